//! `ivrpay.toml`: read, checked, and turned into what the service runs on.
//!
//! One file, every key with a default where one makes sense, unknown keys refused. Secrets are named by file, never written
//! here. Paths are relative to the folder of the file. `ivrpay check` says what is wrong and what to do.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ivrpay_acquirer::{
    Capabilities, CardKept, EndpointConfig, Identity, Kind, Mode as AcquirerMode, Resend,
    Settings as ConnectorSettings,
};
use ivrpay_card::Ranges;
use ivrpay_dialogue::Settings;
use ivrpay_dialogue::desk::OrderDigits;
use ivrpay_journal::{Location, Server, TaskRules, Terms};
use ivrpay_payment::{
    Brand, Currency, Money, Offers, OperationKind, Owner, SiteId, TenantId, Transaction,
};
use ivrpay_prompts::Language;
use ivrpay_web::{ApiKey, KeyHash, RoleLimits, Scope, TlsFiles};
use ivrpay_wire::{Lookup, LookupConfig, Network, Webhook, WebhookConfig};
use jiff::tz::TimeZone;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::access::{Access, RawAccess, RawRoles};
use crate::breaker::{FAILURES, Maintenance};
use crate::edge::{Edge, RawEdge};
use crate::guard::{Danger, EXCEPTION_DAYS_MAX, Exception};
use crate::ladder::{Ending, Ladder, RUNGS_MAX, Rung};
use crate::line::Line;
use crate::pairs::Hearers;
use crate::plans::{self, RawPlan};
use crate::pools::{Pool, REST};
use crate::receipts::{self, RawReceipt};
use crate::recorders::{RawRecorder, Recorder};
use crate::routing::{Merchant, RawRoute, Routing};
use crate::spies;
use crate::tries::{TRIES_DEFAULT, TRIES_MAX};
use crate::twilio::{Account, RawAccount, accounts_of};

/// Why a configuration can't be used. Each says where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file can't be read.
    #[error("the configuration {path} can't be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a wrong type.
    #[error("{path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, key and reason.
        message: String,
    },
    /// A value that can't be.
    #[error("{key}: {message}")]
    Value {
        /// Where, as `table.key`.
        key: String,
        /// What is wrong and what is allowed.
        message: String,
    },
    /// A secret's file can't be used.
    #[error("{key}: the file {path} {message}")]
    Secret {
        /// Where, as `table.key`.
        key: String,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

impl ConfigError {
    /// What an admin should do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } => {
                "name the file with --config, and let the user of the service read it"
            }
            Self::Syntax { .. } => {
                "asterisk-conf/ivrpay.sample.toml shows every key with its default"
            }
            Self::Value { .. } => {
                "mend the value; asterisk-conf/ivrpay.sample.toml shows what each key takes"
            }
            Self::Secret { .. } => {
                "write the secret alone into that file, owned by the user of the service, with mode 0600"
            }
        }
    }

    pub(crate) fn value(key: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::Value {
            key: key.into(),
            message: message.to_string(),
        }
    }
}

/// Everything, checked.
pub struct Config {
    /// Where the file was.
    pub path: PathBuf,
    /// Asterisk.
    pub ari: ivrpay_ari::Config,
    /// Asterisk's manager interface, for `ivrpay audit`; `None` = not asked.
    pub ami: Option<ivrpay_ami::Config>,
    /// Where the operator's pay key asks; `None` = not over AGI.
    pub agi: Option<Agi>,
    /// The user that moves both legs where the pay key can't ask over AGI; `None` = that way is not used.
    pub pay_key: Option<ivrpay_ami::Config>,
    /// HTTP API.
    pub http: Http,
    /// Who may ask in Twilio's form.
    pub twilio: Vec<Account>,
    /// How people and programs are let in there.
    pub access: Access,
    /// Unix socket of the CLI.
    pub admin_socket: PathBuf,
    /// The journal's file; where it is at a server, the file beside which the others are.
    pub journal: PathBuf,
    /// Where the journal is kept.
    pub journal_at: Location,
    /// Our name in the journal, by which others that share it know us. Which start of it, its epoch tells.
    pub daemon: String,
    /// How long we count as alive there without a word.
    pub lease: Duration,
    /// How long payments are kept there.
    pub terms: Terms,
    /// Limits by name.
    pub limits: Limits,
    /// Places that are kept for merchants, or that they may have at most.
    pub pools: Vec<Pool>,
    /// By which trunks callers come, where operators are behind an office PBX.
    pub edge: Edge,
    /// Dangers that somebody answers for.
    pub guard_exceptions: Vec<Exception>,
    /// What to do where memory can't be locked.
    pub secret_policy: ivrpay_secret::Policy,
    /// How callers are led.
    pub dialogue: Settings,
    /// Where sounds are, for `check`; `None` = not checked.
    pub sounds: Option<PathBuf>,
    /// Merchants.
    pub tenants: Vec<Tenant>,
    /// Connectors by name.
    pub connectors: BTreeMap<String, Connector>,
    /// Which numbers belong to which brand, and the file that says so; `None`: as built in.
    pub card_ranges: Option<(PathBuf, Ranges)>,
    /// Recorders outside Asterisk.
    pub recorders: Arc<Vec<Recorder>>,
    /// Folder for recordings in which a card was spoken or keyed.
    pub quarantine_folder: PathBuf,
    /// Whose task they are, and by when.
    pub quarantine: ivrpay_web::Quarantine,
}

/// `[agi]`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agi {
    /// Address; as in the dialplan's `agi://HOST:PORT`.
    pub listen: SocketAddr,
    /// Who may connect.
    pub allowed: ivrpay_agi::Allowed,
    /// Pay keys at once.
    pub calls_max: usize,
}

/// `[http]`, checked.
pub struct Http {
    /// Address; `None` = no API over TCP.
    pub listen: Option<SocketAddr>,
    /// Keys.
    pub keys: Vec<ApiKey>,
    /// The certificate; `None` = in clear.
    pub tls: Option<TlsFiles>,
}

/// A merchant, checked.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Name in `Stasis(…,tenant=NAME)`.
    pub id: TenantId,
    /// `live` = money moves.
    pub live: bool,
    /// Spoken where nothing else is asked for.
    pub language: Language,
    /// Where nothing else is asked for.
    pub currency: Currency,
    /// Brands that are taken.
    pub brands: Vec<Brand>,
    /// The connector that its routes ask where no condition holds.
    pub connector: String,
    /// Whom to ask for a payment.
    pub routing: Routing,
    /// Place or brand, for reports.
    pub site: Option<SiteId>,
    /// Where its days begin and end, for reports.
    pub time_zone: TimeZone,
    /// How long its payments are kept, where it has a term of its own; `None` in it: for ever.
    pub keep: Option<Option<Duration>>,
    /// How long an announced payment waits for its call.
    pub waiting_max: Duration,
    /// By when its tasks are due, and whose they are.
    pub task_rules: TaskRules,
    /// How long before a reserved amount lapses it becomes a task.
    pub expiring: Duration,
    /// Whether the security code is asked.
    pub security_code: bool,
    /// What a payment of which nothing is said is: `charge`, or `authorize` where amounts are captured later.
    pub transaction: Transaction,
    /// How else than at once may be paid.
    pub plans: Offers,
    /// Who takes the caller back.
    pub ladder: Ladder,
    /// What an operator keys before a transfer.
    pub desk: Desk,
    /// Whether an operator may key the card of a caller who can't.
    pub operator_keyed: bool,
    /// What becomes of a supervisor who listens.
    pub spy: spies::Policy,
    /// Who hears the prompts where the operator stays.
    pub stay_prompts: Hearers,
    /// How the line without an operator asks for an order.
    pub line: Line,
    /// Where the merchant says what an order costs; `None` = only announced orders are taken.
    pub lookup: Option<Arc<Lookup>>,
    /// Where the merchant's program is told what became of payments; `None` = nobody is told.
    pub webhook: Option<Webhook>,
    /// How it issues receipts; `None`: it issues none.
    pub receipts: Option<Arc<ivrpay_web::Receipts>>,
    /// What people may ask of an acquirer alone.
    pub role_limits: RoleLimits,
    /// Customers who are called.
    pub calls: CallLimits,
    /// Whose places its calls take; `None`: what all share.
    pub pool: Option<String>,
}

impl Tenant {
    /// Whether a payment of this merchant may go through that connector.
    #[must_use]
    pub fn uses(&self, connector: &str) -> bool {
        self.routing.connectors().contains(&connector)
    }
}

/// `[tenants.calls]`, checked: customers who are called (`POST /v1/calls`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Calls at once of this merchant; 0 = none.
    pub at_once_max: u32,
    /// How long a customer's telephone rings.
    pub ring: Duration,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            at_once_max: 10,
            ring: Duration::from_secs(30),
        }
    }
}

/// `[tenants.desk]`, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Desk {
    /// Largest amount, minor units of the currency that is keyed in.
    pub amount_max: u64,
    /// Digits of an order number; `None` = none is asked.
    pub order: Option<OrderDigits>,
    /// Whether the language of the customer's prompts is asked; else it is the tenant's.
    pub ask_language: bool,
    /// Whether it is asked if the customer may choose how it is paid back.
    pub ask_plan: bool,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            amount_max: Money::MAX,
            order: OrderDigits::new(1, OrderDigits::MAX, false),
            ask_language: true,
            ask_plan: false,
        }
    }
}

/// A connector, checked.
pub struct Connector {
    /// Which contract.
    pub kind: Kind,
    /// What it can do, as it is configured.
    pub can: Capabilities,
    /// Where; `None` for the null connector.
    pub endpoint: Option<EndpointConfig>,
    /// Whether money moves; `None` where its tenants say so, since the merchant's own endpoint knows no modes.
    pub mode: Option<AcquirerMode>,
    /// What its acquirer has to be told.
    pub settings: ConnectorSettings,
    /// Files of its secrets, certificates and authorities, by name of the setting.
    pub credentials: BTreeMap<String, PathBuf>,
    /// When it is in maintenance: nobody is moved for it then.
    pub maintenance: Vec<Maintenance>,
    /// Failures in a row after which it is left alone; 0: never.
    pub away_after: u32,
    /// Days after which its acquirer lets a reserved amount lapse, where that is known.
    pub authorisation_days: Option<u16>,
}

/// `[limits]`: every limit by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Calls at once, 1 to 2,000. One more is an answer, spoken, not an error in a log.
    pub calls_max: usize,
    /// How long calls that are on may go on when the service is to leave, while it takes no new ones; at most an hour.
    pub drain_limit: Span,
    /// How long a stop waits for calls to end that it has told to, seconds, 1 to 900.
    pub shutdown_seconds: u64,
    /// Times within 24 hours that a card may be sent without an approval, 1 to 10.
    pub tries_per_card_per_day: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls_max: 200,
            drain_limit: Span(Duration::from_secs(300)),
            shutdown_seconds: 60,
            tries_per_card_per_day: TRIES_DEFAULT,
        }
    }
}

/// A length of time as "10s", "1500ms" or "2h".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!("{text:?} is no length of time; write \"10s\", \"1500ms\", \"5m\" or \"2h\"")
        };
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let millis = match unit.trim() {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(bad()),
        };
        Ok(Self(Duration::from_millis(
            number.checked_mul(millis).ok_or_else(bad)?,
        )))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    ari: RawAri,
    #[serde(default)]
    ami: Option<RawAmi>,
    #[serde(default)]
    agi: Option<RawAgi>,
    #[serde(default)]
    pay_key: Option<RawAmi>,
    #[serde(default)]
    http: RawHttp,
    #[serde(default)]
    twilio: Vec<RawAccount>,
    #[serde(default)]
    access: RawAccess,
    #[serde(default)]
    admin: RawAdmin,
    #[serde(default)]
    journal: RawJournal,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    pools: BTreeMap<String, RawPool>,
    #[serde(default)]
    edge: Option<RawEdge>,
    #[serde(default)]
    guard: RawGuard,
    #[serde(default)]
    secret: RawSecret,
    #[serde(default)]
    dialogue: RawDialogue,
    #[serde(default)]
    sounds: RawSounds,
    #[serde(default)]
    tenants: Vec<RawTenant>,
    #[serde(default)]
    connectors: BTreeMap<String, RawConnector>,
    #[serde(default)]
    cards: RawCards,
    #[serde(default)]
    recorders: Vec<RawRecorder>,
    #[serde(default)]
    quarantine: RawQuarantine,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawCards {
    ranges: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawPool {
    guaranteed: u32,
    limit: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawQuarantine {
    path: Option<PathBuf>,
    owner: Option<String>,
    due: Option<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAri {
    #[serde(default = "default_ari_url")]
    url: String,
    #[serde(default = "default_ari_app")]
    app: String,
    #[serde(default = "default_ari_app")]
    user: String,
    password_file: PathBuf,
    #[serde(default = "default_request_timeout")]
    request_timeout: Span,
}

fn default_ari_url() -> String {
    "http://127.0.0.1:8088/ari".into()
}

fn default_ari_app() -> String {
    "ivrpay".into()
}

fn default_request_timeout() -> Span {
    Span(Duration::from_secs(5))
}

/// A user of Asterisk's manager interface: each that needs one has its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAmi {
    #[serde(default = "default_ami_address")]
    address: String,
    user: Option<String>,
    password_file: PathBuf,
}

fn default_ami_address() -> String {
    "127.0.0.1:5038".into()
}

/// Of `[ami]`, and of `[pay_key]`, as `asterisk-conf/ivrpay-manager.conf` has them.
/// Most that a key may be allowed to ask.
const REQUESTS_MAX: u32 = 60_000;
const AMI_USER: &str = "ivrpay-audit";
const PAY_KEY_USER: &str = "ivrpay-key";

/// The operator waits for it, and hears nothing meanwhile. As long as Asterisk itself waits for a port of AGI (`res/res_agi.c:
/// MAX_AGI_CONNECT`).
const PAY_KEY_WAIT: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAgi {
    listen: SocketAddr,
    allow: Option<Vec<IpAddr>>,
    #[serde(default = "default_agi_calls_max")]
    calls_max: usize,
}

fn default_agi_calls_max() -> usize {
    50
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawHttp {
    listen: Option<SocketAddr>,
    requests_per_minute: u32,
    behind_proxy: bool,
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    client_ca_file: Option<PathBuf>,
    keys: Vec<RawKey>,
}

impl RawHttp {
    /// Keys, passwords and sessions do not go over a network in clear.
    fn tls(&self, folder: &Path) -> Result<Option<TlsFiles>, ConfigError> {
        let path = |path: &PathBuf| folder.join(path);
        let files = match (&self.certificate_file, &self.key_file) {
            (Some(certificate), Some(key)) => Some(TlsFiles {
                certificate: path(certificate),
                key: path(key),
                client_ca: self.client_ca_file.as_ref().map(path),
            }),
            (None, None) if self.client_ca_file.is_none() => None,
            (Some(_), None) => {
                return Err(ConfigError::value(
                    "http.key_file",
                    "the key of http.certificate_file is missing",
                ));
            }
            _ => {
                return Err(ConfigError::value(
                    "http.certificate_file",
                    "the certificate is missing",
                ));
            }
        };
        let beyond = self
            .listen
            .is_some_and(|a| !a.ip().to_canonical().is_loopback());
        if beyond && files.is_none() && !self.behind_proxy {
            return Err(ConfigError::value(
                "http.listen",
                "beyond this machine keys would go in clear: name certificate_file and key_file, or listen on 127.0.0.1; behind_proxy = true where a proxy of yours has TLS and a network of its own leads here",
            ));
        }
        Ok(files)
    }
}

impl Default for RawHttp {
    fn default() -> Self {
        Self {
            listen: None,
            requests_per_minute: 600,
            behind_proxy: false,
            certificate_file: None,
            key_file: None,
            client_ca_file: None,
            keys: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    name: String,
    tenant: String,
    sha256: String,
    scopes: Vec<String>,
    requests_per_minute: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawAdmin {
    socket: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawJournal {
    path: Option<PathBuf>,
    url: Option<String>,
    password_file: Option<PathBuf>,
    daemon: String,
    lease_seconds: u64,
    keep_days: Option<u32>,
}

impl Default for RawJournal {
    fn default() -> Self {
        Self {
            path: None,
            url: None,
            password_file: None,
            daemon: "ivrpay".into(),
            lease_seconds: 15,
            keep_days: None,
        }
    }
}

/// 180 days: until then an acquirer takes refunds and holders of cards complain, and whoever keys a paid order again is told so.
fn keep(key: &str, days: u32) -> Result<Option<Duration>, ConfigError> {
    match days {
        0 => Ok(None),
        180..=36_500 => Ok(Some(Duration::from_secs(u64::from(days) * 24 * 3600))),
        _ => Err(ConfigError::value(key, "180 to 36500 days; 0: for ever")),
    }
}

impl RawJournal {
    /// Where it is, and the file beside which the others are.
    fn location(&self, folder: &Path) -> Result<(Location, PathBuf), ConfigError> {
        let path = self.path.as_deref();
        let path = folder.join(path.unwrap_or(Path::new("/var/lib/ivrpay/journal.sqlite")));
        let daemon = &self.daemon;
        let is_name = (1..=64).contains(&daemon.len())
            && daemon
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_name {
            return Err(ConfigError::value(
                "journal.daemon",
                "1 to 64 of a-z, 0-9 and -",
            ));
        }
        if !(5..=120).contains(&self.lease_seconds) {
            return Err(ConfigError::value("journal.lease_seconds", "5 to 120"));
        }
        let Some(url) = &self.url else {
            if self.password_file.is_some() {
                return Err(ConfigError::value(
                    "journal.password_file",
                    "a file needs no password: set url, or take it out",
                ));
            }
            return Ok((Location::File(path.clone()), path));
        };
        if self.path.is_some() {
            return Err(ConfigError::value(
                "journal.path",
                "url says where the journal is: take one of the two out",
            ));
        }
        let password = self
            .password_file
            .as_ref()
            .map(|file| secret("journal.password_file", &folder.join(file)))
            .transpose()?;
        let password = password.as_ref().map(ExposeSecret::expose_secret);
        let server =
            Server::new(url, password).map_err(|e| ConfigError::value("journal.url", e))?;
        Ok((server.into(), path))
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawGuard {
    exceptions: Vec<RawException>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawException {
    danger: Danger,
    person: String,
    reason: String,
    /// `2026-12-24`
    until: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawSecret {
    policy: RawPolicy,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum RawPolicy {
    #[default]
    Locked,
    Any,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawSounds {
    path: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawDialogue {
    first_key_card_number: Option<Span>,
    first_key: Option<Span>,
    reminder_after: Option<Span>,
    reminder_every: Option<Span>,
    inter_digit_timeout: Option<Span>,
    quiet: Option<Span>,
    max_attempts: Option<u8>,
    cards_max: Option<u8>,
    no_progress: Option<Span>,
    session: Option<Span>,
    pause: Option<Span>,
    processing_long: Option<Span>,
    detect_tones: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTenant {
    name: String,
    mode: RawMode,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    currency: Option<String>,
    #[serde(default = "default_brands")]
    valid_card_types: Vec<Brand>,
    connector: Option<String>,
    #[serde(default)]
    fallback: Vec<String>,
    #[serde(default)]
    routes: Vec<RawRoute>,
    #[serde(default)]
    site: Option<String>,
    #[serde(default)]
    time_zone: Option<String>,
    keep_days: Option<u32>,
    #[serde(default = "default_waiting_max")]
    waiting_max: Span,
    #[serde(default)]
    unknown_outcome_due: Option<Span>,
    #[serde(default)]
    approved_caller_gone_due: Option<Span>,
    #[serde(default)]
    unheard_approval: RawUnheard,
    #[serde(default)]
    authorisation_expiring: Option<Span>,
    #[serde(default)]
    task_owner: Option<String>,
    #[serde(default = "yes")]
    security_code: bool,
    #[serde(default)]
    transaction_type: Transaction,
    #[serde(default)]
    plans: Vec<RawPlan>,
    #[serde(default)]
    r#return: Option<RawReturn>,
    #[serde(default)]
    line: RawLine,
    lookup: Option<RawLookup>,
    webhook: Option<RawWebhook>,
    receipt: Option<RawReceipt>,
    #[serde(default)]
    calls: RawCalls,
    #[serde(default)]
    desk: RawDesk,
    #[serde(default)]
    spy: spies::Policy,
    pool: Option<String>,
    #[serde(default)]
    stay_prompts: Hearers,
    operator_keyed: Option<toml::Value>,
    #[serde(default)]
    roles: RawRoles,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawLine {
    languages: Option<Vec<String>>,
    order_digits: Option<String>,
    operator: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLookup {
    url: String,
    secret_file: PathBuf,
    timeout: Option<Span>,
    ca_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    url: String,
    secret_file: PathBuf,
    bearer_file: Option<PathBuf>,
    client_certificate_file: Option<PathBuf>,
    client_key_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    networks: Vec<String>,
    timeout: Option<Span>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawCalls {
    at_once_max: Option<u32>,
    ring: Option<Span>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawDesk {
    amount_max: Option<u64>,
    order_digits: Option<Vec<usize>>,
    order_required: bool,
    ask_language: Option<bool>,
    ask_plan: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReturn {
    operator: Option<String>,
    wrap_up: Option<Span>,
    default: Option<Vec<String>>,
    approved: Option<Vec<String>>,
    declined: Option<Vec<String>>,
    abandoned: Option<Vec<String>>,
    unknown: Option<Vec<String>>,
    error: Option<Vec<String>>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum RawMode {
    Live,
    Test,
}

/// What becomes of an approval that neither caller nor operator knows of.
#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum RawUnheard {
    #[default]
    Keep,
    Void,
}

fn default_brands() -> Vec<Brand> {
    vec![
        Brand::Visa,
        Brand::Mastercard,
        Brand::Jcb,
        Brand::Amex,
        Brand::DinersClub,
    ]
}

/// How long before a reserved amount lapses it becomes a task, where the configuration says nothing else: three days.
const EXPIRING: Duration = Duration::from_secs(72 * 3600);

fn default_waiting_max() -> Span {
    Span(Duration::from_secs(24 * 3600))
}

fn yes() -> bool {
    true
}

/// `raw_pan = "contracted"`: a word, so that nobody switches it on without having read what it says.
#[derive(Clone, Copy, PartialEq, Eq)]
struct RawPan;

impl<'de> Deserialize<'de> for RawPan {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;

        impl serde::de::Visitor<'_> for Word {
            type Value = RawPan;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"contracted\", which says that your contract with the acquirer lets you send card numbers; leave raw_pan out where it does not")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawPan, E> {
                match text {
                    "contracted" => Ok(RawPan),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
        }

        deserializer.deserialize_str(Word)
    }
}

/// `card_kept`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct RawCardKept(CardKept);

impl<'de> Deserialize<'de> for RawCardKept {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;

        impl serde::de::Visitor<'_> for Word {
            type Value = RawCardKept;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"until-sent\" or \"until-answer\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawCardKept, E> {
                [CardKept::UntilSent, CardKept::UntilAnswer]
                    .into_iter()
                    .find(|kept| kept.name() == text)
                    .map(RawCardKept)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Word)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConnector {
    kind: String,
    url: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    client_certificate_file: Option<PathBuf>,
    client_key_file: Option<PathBuf>,
    mode: Option<RawMode>,
    raw_pan: Option<RawPan>,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    #[serde(default)]
    secrets: BTreeMap<String, PathBuf>,
    #[serde(default)]
    maintenance: Vec<String>,
    away_after: Option<u32>,
    authorisation_days: Option<u16>,
    connect_timeout: Option<Span>,
    reply_timeout: Option<Span>,
    card_kept: Option<RawCardKept>,
    endpoint_deduplicates: Option<bool>,
}

impl Config {
    /// Reads and checks a configuration, secrets included.
    ///
    /// # Errors
    /// [`ConfigError`]: what is wrong, where, and by `hint()` what to do.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, path, folder)
    }

    fn parse(text: &str, path: &Path, folder: &Path) -> Result<Self, ConfigError> {
        let syntax = |message: String| ConfigError::Syntax {
            path: path.to_owned(),
            message,
        };
        let document = toml::Deserializer::parse(text).map_err(|e| syntax(at_line(text, &e)))?;
        let raw: RawConfig = serde_path_to_error::deserialize(document).map_err(|e| {
            let key = e.path().to_string();
            let inner = e.into_inner();
            let place = at_line(text, &inner);
            syntax(match key.as_str() {
                "" | "." => place,
                _ => format!("{key}: {place}"),
            })
        })?;

        let connectors = raw
            .connectors
            .into_iter()
            .map(|(name, raw)| {
                let name = word("connectors", name)?;
                let connector = connector(&name, raw, folder)?;
                Ok((name, connector))
            })
            .collect::<Result<BTreeMap<_, _>, ConfigError>>()?;
        if raw.tenants.is_empty() {
            return Err(ConfigError::value(
                "tenants",
                "none; add a [[tenants]] table for the merchant",
            ));
        }
        let mut tenants: Vec<Tenant> = Vec::new();
        for (index, raw) in raw.tenants.into_iter().enumerate() {
            let tenant = tenant(index, raw, &connectors, folder)?;
            if tenants.iter().any(|t| t.id == tenant.id) {
                return Err(ConfigError::value(
                    format!("tenants[{index}].name"),
                    "two tenants have this name",
                ));
            }
            tenants.push(tenant);
        }
        let requests_per_minute = per_minute(
            "http.requests_per_minute".into(),
            raw.http.requests_per_minute,
        )?;
        let tls = raw.http.tls(folder)?;
        let keys = raw
            .http
            .keys
            .into_iter()
            .enumerate()
            .map(|(index, raw)| api_key(index, raw, requests_per_minute, &tenants))
            .collect::<Result<Vec<_>, _>>()?;
        let twilio = accounts_of(raw.twilio, &keys, folder)?;
        let limits = raw.limits;
        if !(1..=2_000).contains(&limits.calls_max) {
            return Err(ConfigError::value("limits.calls_max", "1 to 2000"));
        }
        if !(1..=900).contains(&limits.shutdown_seconds) {
            return Err(ConfigError::value("limits.shutdown_seconds", "1 to 900"));
        }
        span("limits.drain_limit", limits.drain_limit, 0, 3_600_000)?;
        if !(1..=TRIES_MAX).contains(&limits.tries_per_card_per_day) {
            return Err(ConfigError::value(
                "limits.tries_per_card_per_day",
                "1 to 10",
            ));
        }
        let pools = pools(raw.pools, &tenants, &limits)?;
        let (journal_at, journal) = raw.journal.location(folder)?;
        let admin_socket = match raw.admin.socket {
            Some(socket) => folder.join(socket),
            None => journal.with_file_name("ivrpay.sock"),
        };
        let quarantine_folder = match raw.quarantine.path {
            Some(path) => folder.join(path),
            None => journal.with_file_name("quarantine"),
        };
        let due = raw.quarantine.due.unwrap_or(Span(crate::quarantine::DUE));
        let quarantine = ivrpay_web::Quarantine {
            owner: raw
                .quarantine
                .owner
                .map(ivrpay_payment::OperatorId::new)
                .transpose()
                .map_err(|e| ConfigError::value("quarantine.owner", e))?,
            due: span("quarantine.due", due, 3_600_000, 30 * 24 * 3_600_000)?,
        };
        Ok(Self {
            path: path.to_owned(),
            quarantine_folder,
            quarantine,
            ari: ari(raw.ari, folder)?,
            ami: raw
                .ami
                .map(|raw| ami(raw, "ami", AMI_USER, folder))
                .transpose()?,
            agi: raw.agi.map(agi).transpose()?,
            pay_key: raw.pay_key.map(|raw| pay_key(raw, folder)).transpose()?,
            access: Access::checked(
                raw.access,
                folder,
                raw.http.behind_proxy,
                requests_per_minute,
            )?,
            http: Http {
                listen: raw.http.listen,
                keys,
                tls,
            },
            twilio,
            admin_socket,
            journal,
            journal_at,
            daemon: raw.journal.daemon,
            lease: Duration::from_secs(raw.journal.lease_seconds),
            terms: Terms {
                all: match raw.journal.keep_days {
                    Some(days) => keep("journal.keep_days", days)?,
                    None => None,
                },
                of: tenants
                    .iter()
                    .filter_map(|tenant| Some((tenant.id.clone(), tenant.keep?)))
                    .collect(),
            },
            limits,
            pools,
            edge: raw.edge.map(Edge::checked).transpose()?.unwrap_or_default(),
            guard_exceptions: raw
                .guard
                .exceptions
                .into_iter()
                .enumerate()
                .map(|(index, raw)| exception(index, raw, crate::guard::today()))
                .collect::<Result<_, _>>()?,
            secret_policy: match raw.secret.policy {
                RawPolicy::Locked => ivrpay_secret::Policy::Locked,
                RawPolicy::Any => ivrpay_secret::Policy::Any,
            },
            dialogue: dialogue(&raw.dialogue)?,
            sounds: raw.sounds.path.map(|p| folder.join(p)),
            recorders: Arc::new(crate::recorders::checked(raw.recorders, &tenants, folder)?),
            card_ranges: card_ranges(raw.cards, &tenants, folder)?,
            tenants,
            connectors,
        })
    }

    /// The merchant of that name.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Option<&Tenant> {
        self.tenants.iter().find(|t| t.id.as_str() == name)
    }
}

/// Where and why, without the line itself: a password written in the wrong place must not come into a log.
fn at_line(text: &str, error: &toml::de::Error) -> String {
    let message = error.message();
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message.to_owned(),
    }
}

/// Longest file of ranges, bytes.
const RANGES_BYTES_MAX: u64 = 64 * 1024;

fn card_ranges(
    raw: RawCards,
    tenants: &[Tenant],
    folder: &Path,
) -> Result<Option<(PathBuf, Ranges)>, ConfigError> {
    let Some(file) = raw.ranges else {
        return Ok(None);
    };
    let path = folder.join(file);
    let ranges = read_ranges(&path).map_err(|e| ConfigError::value("cards.ranges", e))?;
    for tenant in tenants {
        if let Some(brand) = tenant.brands.iter().find(|brand| !ranges.knows(**brand)) {
            return Err(ConfigError::value(
                "cards.ranges",
                format!(
                    "{} has no range of {brand}, which the merchant {} takes",
                    path.display(),
                    tenant.id
                ),
            ));
        }
    }
    Ok(Some((path, ranges)))
}

/// Reads a file of ranges, and checks it.
///
/// # Errors
/// What is wrong with it, and what to do.
pub fn read_ranges(path: &Path) -> Result<Ranges, String> {
    let wrong = |what: String| format!("{}: {what}", path.display());
    let meta = std::fs::metadata(path).map_err(|e| wrong(format!("can't be read: {e}")))?;
    if !meta.is_file() || meta.len() > RANGES_BYTES_MAX {
        return Err(wrong(format!(
            "is no file of at most {RANGES_BYTES_MAX} bytes"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|e| wrong(format!("can't be read: {e}")))?;
    Ranges::read(&text).map_err(|e| wrong(format!("{e}; {}", e.hint())))
}

fn ari(raw: RawAri, folder: &Path) -> Result<ivrpay_ari::Config, ConfigError> {
    let password = secret("ari.password_file", &folder.join(raw.password_file))?;
    let mut ari = ivrpay_ari::Config::new(&raw.url, &raw.user, password, &raw.app);
    ari.request_timeout = span("ari.request_timeout", raw.request_timeout, 500, 60_000)?;
    // Checks address, user and name; connects nowhere.
    ivrpay_ari::Client::new(&ari)
        .map_err(|e| ConfigError::value("ari", format!("{e}; {}", e.hint())))?;
    Ok(ari)
}

fn ami(
    raw: RawAmi,
    key: &str,
    user: &str,
    folder: &Path,
) -> Result<ivrpay_ami::Config, ConfigError> {
    let file = folder.join(raw.password_file);
    let password = secret(&format!("{key}.password_file"), &file)?;
    let user = raw.user.as_deref().unwrap_or(user);
    let ami = ivrpay_ami::Config::new(&raw.address, user, password);
    ami.check()
        .map_err(|e| ConfigError::value(key, format!("{e}; {}", e.hint())))?;
    Ok(ami)
}

fn pay_key(raw: RawAmi, folder: &Path) -> Result<ivrpay_ami::Config, ConfigError> {
    let mut ami = ami(raw, "pay_key", PAY_KEY_USER, folder)?;
    (ami.connect_timeout, ami.answer_timeout) = (PAY_KEY_WAIT, PAY_KEY_WAIT);
    Ok(ami)
}

fn agi(raw: RawAgi) -> Result<Agi, ConfigError> {
    if raw.listen.port() == 0 {
        return Err(ConfigError::value(
            "agi.listen",
            "write the port that the dialplan asks at; Asterisk's own is 4573",
        ));
    }
    if !(1..=2_000).contains(&raw.calls_max) {
        return Err(ConfigError::value("agi.calls_max", "1 to 2000"));
    }
    let allowed = match raw.allow {
        None => ivrpay_agi::Allowed::Loopback,
        Some(addresses) if addresses.is_empty() => {
            return Err(ConfigError::value(
                "agi.allow",
                "nobody may connect; name Asterisk's address, or leave [agi] out",
            ));
        }
        Some(addresses) => ivrpay_agi::Allowed::Addresses(addresses.into_iter().collect()),
    };
    if allowed == ivrpay_agi::Allowed::Loopback && !raw.listen.ip().to_canonical().is_loopback() {
        return Err(ConfigError::value(
            "agi.listen",
            "others reach this address; name Asterisk's address in agi.allow",
        ));
    }
    Ok(Agi {
        listen: raw.listen,
        allowed,
        calls_max: raw.calls_max,
    })
}

/// Words of a person's own, for logs.
fn words(key: &str, text: String) -> Result<String, ConfigError> {
    let text = text.trim();
    if text.is_empty() || text.len() > 200 || text.chars().any(char::is_control) {
        return Err(ConfigError::value(key, "1 to 200 bytes, in one line"));
    }
    Ok(text.to_owned())
}

fn exception(
    index: usize,
    raw: RawException,
    today: jiff::civil::Date,
) -> Result<Exception, ConfigError> {
    let at = |key: &str| format!("guard.exceptions[{index}].{key}");
    if !raw.danger.may_be_excepted() {
        return Err(ConfigError::value(
            at("danger"),
            format!(
                "{} can't be excepted: card data would be kept or pass by; {}",
                raw.danger,
                raw.danger.hint()
            ),
        ));
    }
    let until: jiff::civil::Date = raw
        .until
        .parse()
        .map_err(|_| ConfigError::value(at("until"), "a day as 2026-12-24"))?;
    let last = today
        .checked_add(jiff::Span::new().days(EXCEPTION_DAYS_MAX))
        .map_err(|e| ConfigError::value(at("until"), e))?;
    if until > last {
        return Err(ConfigError::value(
            at("until"),
            format!("at most {EXCEPTION_DAYS_MAX} days from today, {last} or before"),
        ));
    }
    Ok(Exception {
        danger: raw.danger,
        person: words(&at("person"), raw.person)?,
        reason: words(&at("reason"), raw.reason)?,
        until,
    })
}

pub(crate) fn word(key: &str, text: String) -> Result<String, ConfigError> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || text.len() > 64 || !text.chars().all(good) {
        return Err(ConfigError::value(key, "1 to 64 letters, digits, - _ ."));
    }
    Ok(text)
}

pub(crate) fn span(
    key: &str,
    span: Span,
    min_ms: u64,
    max_ms: u64,
) -> Result<Duration, ConfigError> {
    let (min, max) = (Duration::from_millis(min_ms), Duration::from_millis(max_ms));
    if span.0 < min || span.0 > max {
        return Err(ConfigError::value(key, format!("from {min:?} to {max:?}")));
    }
    Ok(span.0)
}

/// Reads a secret from a file of its own, which nobody else may read (PCI DSS v4.0.1, 8.6.2).
pub(crate) fn secret(key: &str, path: &Path) -> Result<SecretString, ConfigError> {
    let text = secret_text(key, path)?;
    if text.expose_secret().contains(['\n', '\r']) {
        return Err(ConfigError::Secret {
            key: key.to_owned(),
            path: path.to_owned(),
            message: "has more than one line; it should hold the secret alone".into(),
        });
    }
    Ok(text)
}

/// What a file holds that nobody else may read; of one line or several.
pub(crate) fn secret_text(key: &str, path: &Path) -> Result<SecretString, ConfigError> {
    use std::os::unix::fs::PermissionsExt as _;
    let bad = |message: String| ConfigError::Secret {
        key: key.to_owned(),
        path: path.to_owned(),
        message,
    };
    let meta = std::fs::metadata(path).map_err(|e| bad(format!("can't be read: {e}")))?;
    if !meta.is_file() {
        return Err(bad("is no file".into()));
    }
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(bad(format!(
            "may be read by others (mode {:03o})",
            meta.permissions().mode() & 0o777
        )));
    }
    if meta.len() > 4096 {
        return Err(bad(
            "is longer than 4,096 bytes; it should hold the secret alone".into(),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|e| bad(format!("can't be read: {e}")))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(bad("is empty".into()));
    }
    Ok(SecretString::from(text.to_owned()))
}

/// How often a key may ask.
fn per_minute(at: String, number: u32) -> Result<u32, ConfigError> {
    if number > REQUESTS_MAX {
        return Err(ConfigError::value(at, "0 (as often as it likes) to 60000"));
    }
    Ok(number)
}

fn api_key(
    index: usize,
    raw: RawKey,
    requests_per_minute: u32,
    tenants: &[Tenant],
) -> Result<ApiKey, ConfigError> {
    let at = |key: &str| format!("http.keys[{index}].{key}");
    let tenant = tenants
        .iter()
        .find(|t| t.id.as_str() == raw.tenant)
        .ok_or_else(|| ConfigError::value(at("tenant"), "there is no tenant of this name"))?;
    let hash: KeyHash = raw
        .sha256
        .parse()
        .map_err(|e| ConfigError::value(at("sha256"), e))?;
    let scopes = raw
        .scopes
        .into_iter()
        .map(|name| {
            Scope::from_name(&name).ok_or_else(|| {
                let known: Vec<_> = Scope::ALL.iter().map(|scope| scope.name()).collect();
                ConfigError::value(at("scopes"), format!("there are {}", known.join(", ")))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(ApiKey {
        name: word(&at("name"), raw.name)?,
        tenant: tenant.id.clone(),
        hash,
        scopes,
        requests_per_minute: per_minute(
            at("requests_per_minute"),
            raw.requests_per_minute.unwrap_or(requests_per_minute),
        )?,
    })
}

fn tenant(
    index: usize,
    raw: RawTenant,
    connectors: &BTreeMap<String, Connector>,
    folder: &Path,
) -> Result<Tenant, ConfigError> {
    let at = |key: &str| format!("tenants[{index}].{key}");
    let transaction = raw.transaction_type;
    if !transaction.moves_money() {
        return Err(ConfigError::value(
            at("transaction_type"),
            "charge or authorize; a card is stored or checked where a payment asks for it",
        ));
    }
    let live = raw.mode == RawMode::Live;
    if raw.valid_card_types.is_empty() {
        return Err(ConfigError::value(
            at("valid_card_types"),
            "names at least one brand",
        ));
    }
    let currency = raw
        .currency
        .map_or(Ok(Currency::Jpy), |c| c.parse())
        .map_err(|e| ConfigError::value(at("currency"), e))?;
    let time_zone = match raw.time_zone.as_deref() {
        Some(name) => TimeZone::get(name),
        None if currency == Currency::Jpy => TimeZone::get("Asia/Tokyo"),
        None => Ok(TimeZone::UTC),
    };
    let time_zone = time_zone.map_err(|_| {
        ConfigError::value(
            at("time_zone"),
            "a name of the tz database, as \"Asia/Tokyo\" or \"Europe/Berlin\"",
        )
    })?;
    let zone = time_zone.clone();
    let merchant = Merchant {
        at: format!("tenants[{index}]"),
        live,
        currency,
        transaction,
        brands: &raw.valid_card_types,
        connectors,
    };
    let routing = merchant.routing(raw.connector, raw.fallback, raw.routes)?;
    let due = |key: &str, due: Option<Span>, usual: Duration| {
        span(
            &at(key),
            due.unwrap_or(Span(usual)),
            60_000,
            30 * 24 * 3_600_000,
        )
    };
    let usual = TaskRules::default();
    let task_rules = TaskRules {
        unknown_outcome_due: due(
            "unknown_outcome_due",
            raw.unknown_outcome_due,
            usual.unknown_outcome_due,
        )?,
        approved_caller_gone_due: due(
            "approved_caller_gone_due",
            raw.approved_caller_gone_due,
            usual.approved_caller_gone_due,
        )?,
        owner: raw
            .task_owner
            .map(Owner::new)
            .transpose()
            .map_err(|e| ConfigError::value(at("task_owner"), e))?,
        release_unheard: raw.unheard_approval == RawUnheard::Void,
    };
    let voids = |name: &str| {
        let connector = connectors.get(name);
        connector.is_some_and(|connector| connector.can.has(OperationKind::Void))
    };
    if task_rules.release_unheard
        && let Some(name) = routing.connectors().into_iter().find(|name| !voids(name))
    {
        return Err(ConfigError::value(
            at("unheard_approval"),
            format!("\"keep\": the acquirer of [connectors.{name}] has no void"),
        ));
    }
    if raw.desk.ask_plan && raw.plans.is_empty() {
        return Err(ConfigError::value(
            at("desk.ask_plan"),
            "there is nothing to choose: offer something in [[tenants.plans]]",
        ));
    }
    let whose = plans::Whose {
        brands: &raw.valid_card_types,
        currency,
        lacking: &|plan, brands| {
            let carriers = routing.carriers(plan, brands, currency);
            let lacks = |name: &&&str| {
                let connector = connectors.get(**name);
                !connector.is_some_and(|connector| connector.can.plans.has(plan))
            };
            let name = carriers.iter().find(lacks)?;
            Some((*name).to_owned())
        },
    };
    Ok(Tenant {
        id: TenantId::new(raw.name).map_err(|e| ConfigError::value(at("name"), e))?,
        live,
        language: raw
            .language
            .map_or(Ok(Language::Ja), |l| l.parse())
            .map_err(|_| ConfigError::value(at("language"), "ja or en"))?,
        currency,
        plans: plans::checked(&at("plans"), raw.plans, &whose)?,
        brands: raw.valid_card_types,
        connector: routing.usual().to_owned(),
        routing,
        site: raw
            .site
            .map(SiteId::new)
            .transpose()
            .map_err(|e| ConfigError::value(at("site"), e))?,
        time_zone,
        keep: raw
            .keep_days
            .map(|days| keep(&at("keep_days"), days))
            .transpose()?,
        waiting_max: span(
            &at("waiting_max"),
            raw.waiting_max,
            60_000,
            7 * 24 * 3_600_000,
        )?,
        expiring: due(
            "authorisation_expiring",
            raw.authorisation_expiring,
            EXPIRING,
        )?,
        task_rules,
        security_code: raw.security_code,
        transaction: raw.transaction_type,
        ladder: raw
            .r#return
            .map_or_else(|| Ok(Ladder::default()), |raw| ladder(&at("return"), raw))?,
        desk: desk(&at("desk"), &raw.desk)?,
        operator_keyed: operator_keyed(&at("operator_keyed"), raw.operator_keyed.as_ref())?,
        spy: raw.spy,
        stay_prompts: raw.stay_prompts,
        line: line(&at("line"), raw.line)?,
        lookup: raw
            .lookup
            .map(|raw| lookup(&at("lookup"), raw, folder))
            .transpose()?,
        webhook: raw
            .webhook
            .map(|raw| webhook(&at("webhook"), raw, folder))
            .transpose()?,
        receipts: raw
            .receipt
            .map(|raw| receipts::checked(&at("receipt"), raw, &zone, folder))
            .transpose()?,
        role_limits: raw.roles.into(),
        calls: calls(&at("calls"), &raw.calls)?,
        pool: raw.pool,
    })
}

/// Most that a pool may have over all services.
const PLACES_MAX: u32 = 100_000;

fn pools(
    raw: BTreeMap<String, RawPool>,
    tenants: &[Tenant],
    limits: &Limits,
) -> Result<Vec<Pool>, ConfigError> {
    for (index, tenant) in tenants.iter().enumerate() {
        if let Some(name) = tenant.pool.as_ref().filter(|name| !raw.contains_key(*name)) {
            return Err(ConfigError::value(
                format!("tenants[{index}].pool"),
                format!("there is no [pools.{name}]"),
            ));
        }
    }
    let pool = |(name, raw): (String, RawPool)| {
        let name = word("pools", name)?;
        let at = |key: &str| format!("pools.{name}{key}");
        if name == REST {
            return Err(ConfigError::value(
                at(""),
                "another name: this is that of what all others share",
            ));
        }
        if !tenants
            .iter()
            .any(|tenant| tenant.pool.as_ref() == Some(&name))
        {
            return Err(ConfigError::value(
                at(""),
                "no tenant has it: its places would be kept for nobody; write pool in a [[tenants]] table, or take it out",
            ));
        }
        if let Some(limit) = raw.limit
            && !(raw.guaranteed.max(1)..=PLACES_MAX).contains(&limit)
        {
            return Err(ConfigError::value(
                at(".limit"),
                format!("1 to {PLACES_MAX}, and not below guaranteed"),
            ));
        }
        Ok(Pool {
            name,
            guaranteed: raw.guaranteed,
            limit: raw.limit,
        })
    };
    let pools = raw.into_iter().map(pool).collect::<Result<Vec<_>, _>>()?;
    let together: u64 = pools.iter().map(|pool| u64::from(pool.guaranteed)).sum();
    if u64::try_from(limits.calls_max).is_ok_and(|most| together > most) {
        return Err(ConfigError::value(
            "pools",
            format!(
                "{together} places are guaranteed together, and limits.calls_max is {}: guarantee fewer, or raise it",
                limits.calls_max
            ),
        ));
    }
    Ok(pools)
}

fn line(at: &str, raw: RawLine) -> Result<Line, ConfigError> {
    let mut line = Line::default();
    if let Some(languages) = raw.languages {
        let read = languages.iter().map(|text| text.parse::<Language>());
        let read: Vec<Language> = read
            .collect::<Result<_, _>>()
            .map_err(|why| ConfigError::value(format!("{at}.languages"), why))?;
        line.ask_language = match read.as_slice() {
            [_] => false,
            [one, other] if one != other => true,
            _ => {
                return Err(ConfigError::value(
                    format!("{at}.languages"),
                    "[\"ja\"], [\"en\"], or both, each once",
                ));
            }
        };
        line.language = read.first().copied();
    }
    if let Some(digits) = raw.order_digits {
        let range = match digits.split_once('-') {
            Some((min, max)) => min.trim().parse().ok().zip(max.trim().parse().ok()),
            None => digits.trim().parse().ok().map(|count| (count, count)),
        };
        line.digits = range
            .and_then(|(min, max)| OrderDigits::new(min, max, true))
            .ok_or_else(|| {
                ConfigError::value(
                    format!("{at}.order_digits"),
                    format!(
                        "how many digits an order number has, as \"8\" or \"4-10\"; 1 to {}",
                        OrderDigits::MAX
                    ),
                )
            })?;
    }
    line.operator = raw.operator.unwrap_or(line.operator);
    Ok(line)
}

fn lookup(at: &str, raw: RawLookup, folder: &Path) -> Result<Arc<Lookup>, ConfigError> {
    let key = |key: &str| format!("{at}.{key}");
    let config = LookupConfig {
        url: raw.url,
        secret: secret(&key("secret_file"), &folder.join(raw.secret_file))?,
        ca_file: raw.ca_file.map(|file| folder.join(file)),
        timeout: span(
            &key("timeout"),
            raw.timeout.unwrap_or(Span(crate::line::LOOKUP_TIMEOUT)),
            100,
            10_000,
        )?,
    };
    let lookup = Lookup::new(&config).map_err(|error| of_merchants(at, &error))?;
    Ok(Arc::new(lookup))
}

/// What is wrong with the address of a merchant's program.
fn of_merchants(at: &str, error: &ivrpay_wire::ConfigError) -> ConfigError {
    let key = |key: &str| format!("{at}.{key}");
    let says = || format!("{error}; {}", error.hint());
    match error {
        ivrpay_wire::ConfigError::Url => ConfigError::value(
            key("url"),
            "https://host[:port]/path, or http:// at 127.0.0.1 or [::1]; without user or fragment",
        ),
        ivrpay_wire::ConfigError::Forbidden => ConfigError::value(key("url"), says()),
        ivrpay_wire::ConfigError::Secret => ConfigError::value(key("secret_file"), says()),
        _ => ConfigError::value(at, says()),
    }
}

/// How long a receiver may take to answer.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(15);

fn webhook(at: &str, raw: RawWebhook, folder: &Path) -> Result<Webhook, ConfigError> {
    let key = |key: &str| format!("{at}.{key}");
    let read = |name: &str, file: &Path| secret(&key(name), &folder.join(file));
    let networks = raw.networks.iter().map(|text| {
        let address = text.parse::<std::net::IpAddr>().map(Network::from);
        address.or_else(|_| text.parse()).map_err(|_| {
            ConfigError::value(
                key("networks"),
                "networks as 192.168.10.0/24 or fd00::/8, or addresses",
            )
        })
    });
    // A line each: the one that comes, and the one that goes.
    let secrets = secret_text(&key("secret_file"), &folder.join(&raw.secret_file))?;
    let secrets = secrets.expose_secret().lines().map(str::trim);
    let secrets = secrets.filter(|line| !line.is_empty()).map(Into::into);
    let config = WebhookConfig {
        url: raw.url,
        secrets: secrets.collect(),
        bearer: raw
            .bearer_file
            .map(|file| read("bearer_file", &file))
            .transpose()?,
        identity: identity(
            &key("client_certificate_file"),
            raw.client_certificate_file,
            raw.client_key_file,
            folder,
        )?,
        ca_file: raw.ca_file.map(|file| folder.join(file)),
        networks: networks.collect::<Result<_, _>>()?,
        timeout: span(
            &key("timeout"),
            raw.timeout.unwrap_or(Span(WEBHOOK_TIMEOUT)),
            1000,
            30_000,
        )?,
    };
    Webhook::new(&config).map_err(|error| of_merchants(at, &error))
}

/// The certificate that we show to who asks for one, and its key: both, or neither.
fn identity(
    key: &str,
    certificate: Option<PathBuf>,
    private: Option<PathBuf>,
    folder: &Path,
) -> Result<Option<Identity>, ConfigError> {
    match (certificate, private) {
        (None, None) => Ok(None),
        (Some(certificate), Some(private)) => Ok(Some(Identity {
            certificate_file: folder.join(certificate),
            key_file: folder.join(private),
        })),
        _ => Err(ConfigError::value(
            key,
            "client_certificate_file and client_key_file belong together, and one is missing",
        )),
    }
}

fn calls(at: &str, raw: &RawCalls) -> Result<CallLimits, ConfigError> {
    let usual = CallLimits::default();
    let at_once_max = raw.at_once_max.unwrap_or(usual.at_once_max);
    if at_once_max > 200 {
        return Err(ConfigError::value(
            format!("{at}.at_once_max"),
            "0 to 200; 0 calls nobody",
        ));
    }
    let ring = raw.ring.unwrap_or(Span(usual.ring));
    Ok(CallLimits {
        at_once_max,
        ring: span(&format!("{at}.ring"), ring, 5_000, 120_000)?,
    })
}

/// The one word by which an installation says that it knows what it takes upon itself.
fn operator_keyed(at: &str, value: Option<&toml::Value>) -> Result<bool, ConfigError> {
    match value.map(toml::Value::as_str) {
        None => Ok(false),
        Some(Some("in-scope")) => Ok(true),
        Some(_) => Err(ConfigError::value(
            at,
            "an operator who keys a card brings his telephone, his desk and their network into the scope of PCI DSS (v4.0.1, requirement 12.5.2): write \"in-scope\" to say that yours takes them in, or take the line out",
        )),
    }
}

fn desk(at: &str, raw: &RawDesk) -> Result<Desk, ConfigError> {
    let usual = Desk::default();
    let amount_max = raw.amount_max.unwrap_or(usual.amount_max);
    if !(1..=Money::MAX).contains(&amount_max) {
        return Err(ConfigError::value(
            format!("{at}.amount_max"),
            format!("1 to {}, in minor units", Money::MAX),
        ));
    }
    let digits = raw
        .order_digits
        .as_deref()
        .unwrap_or(&[1, OrderDigits::MAX]);
    let order = match digits {
        [] => None,
        [min, max] => OrderDigits::new(*min, *max, raw.order_required),
        _ => None,
    };
    if order.is_none() && !digits.is_empty() {
        return Err(ConfigError::value(
            format!("{at}.order_digits"),
            format!(
                "fewest and most digits, 1 to {}; [] where no order number is asked",
                OrderDigits::MAX
            ),
        ));
    }
    if order.is_none() && raw.order_required {
        return Err(ConfigError::value(
            format!("{at}.order_required"),
            "no order number is asked (order_digits = [])",
        ));
    }
    Ok(Desk {
        amount_max,
        order,
        ask_language: raw.ask_language.unwrap_or(usual.ask_language),
        ask_plan: raw.ask_plan,
    })
}

fn ladder(at: &str, raw: RawReturn) -> Result<Ladder, ConfigError> {
    let rungs = |key: &str, texts: Vec<String>| {
        let at = format!("{at}.{key}");
        if texts.len() > RUNGS_MAX {
            let most = format!("has at most {RUNGS_MAX} rungs");
            return Err(ConfigError::value(at, most));
        }
        let read = texts.iter().map(|text| text.parse::<Rung>());
        read.collect::<Result<Vec<_>, _>>()
            .map_err(|why| ConfigError::value(at, why))
    };
    let mut ladder = Ladder::default();
    if let Some(operator) = raw.operator {
        let good = |c: char| c.is_ascii_alphanumeric() || "/@:-_.{}".contains(c);
        if !operator.contains("/")
            || !operator.contains("{extension}")
            || !operator.chars().all(good)
        {
            return Err(ConfigError::value(
                format!("{at}.operator"),
                "is how an operator is rung, for example PJSIP/{extension}",
            ));
        }
        ladder.operator = operator;
    }
    if let Some(wrap_up) = raw.wrap_up {
        ladder.wrap_up = span(&format!("{at}.wrap_up"), wrap_up, 0, 600_000)?;
    }
    if let Some(texts) = raw.default {
        ladder.default = rungs("default", texts)?;
    }
    for (key, ending, texts) in [
        ("approved", Ending::Approved, raw.approved),
        ("declined", Ending::Declined, raw.declined),
        ("abandoned", Ending::Abandoned, raw.abandoned),
        ("unknown", Ending::Unknown, raw.unknown),
        ("error", Ending::Error, raw.error),
    ] {
        if let Some(texts) = texts {
            ladder.by_ending.push((ending, rungs(key, texts)?));
        }
    }
    Ok(ladder)
}

fn connector(name: &str, raw: RawConnector, folder: &Path) -> Result<Connector, ConfigError> {
    let at = |key: &str| format!("connectors.{name}.{key}");
    let kind: Kind = raw
        .kind
        .parse()
        .map_err(|e| ConfigError::value(at("kind"), e))?;
    if name == ivrpay_journal::TRAINING && kind != Kind::NULL {
        return Err(ConfigError::value(
            at("kind"),
            "the connector of practice calls is of kind null: nobody is charged there; give this one another name",
        ));
    }
    let about = kind.about();
    let mode = raw.mode.map(|mode| match mode {
        RawMode::Live => AcquirerMode::Live,
        RawMode::Test => AcquirerMode::Test,
    });
    if about.hosts.is_some() && mode.is_none() {
        return Err(ConfigError::value(
            at("mode"),
            "is missing: \"test\" for the acquirer's test system, \"live\" where money moves",
        ));
    }
    let mut settings = ConnectorSettings::new(mode.unwrap_or(AcquirerMode::Test));
    settings.raw_pan = raw.raw_pan.is_some();
    settings.parameters = raw.parameters;
    let kept = raw.card_kept.map_or(CardKept::UntilSent, |kept| kept.0);
    let card_kept = card_kept(kind, kept, raw.endpoint_deduplicates)
        .map_err(|(key, error)| ConfigError::value(at(key), error))?;
    let away_after = raw.away_after.unwrap_or(FAILURES);
    if away_after > 100 {
        return Err(ConfigError::value(at("away_after"), "0 to 100"));
    }
    if raw
        .authorisation_days
        .is_some_and(|days| !(1..=365).contains(&days))
    {
        return Err(ConfigError::value(at("authorisation_days"), "1 to 365"));
    }
    let maintenance = raw.maintenance.iter().map(|text| text.parse());
    let maintenance = maintenance.collect::<Result<Vec<Maintenance>, _>>();
    let maintenance = maintenance.map_err(|e| ConfigError::value(at("maintenance"), e))?;
    let mut credentials = BTreeMap::new();
    for (key, file) in [
        ("password_file", &raw.password_file),
        ("ca_file", &raw.ca_file),
        ("client_certificate_file", &raw.client_certificate_file),
        ("client_key_file", &raw.client_key_file),
    ] {
        if let Some(file) = file {
            credentials.insert(key.to_owned(), folder.join(file));
        }
    }
    for (key, file) in raw.secrets {
        let (name, file) = (format!("secrets.{key}"), folder.join(file));
        let value = secret(&at(&name), &file)?;
        credentials.insert(name, file);
        settings.secrets.insert(key, value);
    }
    let made = ivrpay_acquirer::configured(kind, &settings)
        .map_err(|e| ConfigError::value(at(e.key()), e))?;
    let can = made.about().capabilities;
    let authorisation_days = raw.authorisation_days.or(can.authorisation_days);
    if !kind.needs_endpoint() {
        if raw.url.is_some() || raw.user.is_some() || raw.password_file.is_some() {
            return Err(ConfigError::value(
                at("url"),
                "a null connector sends nothing: take url, user and password_file out, or set another kind",
            ));
        }
        return Ok(Connector {
            kind,
            can,
            endpoint: None,
            mode,
            settings,
            credentials,
            maintenance,
            away_after,
            authorisation_days,
        });
    }
    let host = about.hosts.and_then(|hosts| match settings.mode {
        AcquirerMode::Test => Some(hosts.test),
        AcquirerMode::Live => hosts.live,
    });
    let url = raw
        .url
        .or(host.map(str::to_owned))
        .ok_or_else(|| ConfigError::value(at("url"), "is missing"))?;
    if let Some(wrong) = other_system(about.hosts, &url, settings.mode) {
        return Err(ConfigError::value(at("mode"), wrong));
    }
    let (user, password) = match (about.basic, raw.user, raw.password_file) {
        (true, None, _) => return Err(ConfigError::value(at("user"), "is missing")),
        (true, _, None) => return Err(ConfigError::value(at("password_file"), "is missing")),
        (true, Some(user), Some(file)) => (
            user,
            Some(secret(&at("password_file"), &folder.join(file))?),
        ),
        (false, None, None) => (String::new(), None),
        (false, ..) => {
            return Err(ConfigError::value(
                at("user"),
                "this acquirer has no user and password of HTTP: what it gave you belongs under parameters and secrets",
            ));
        }
    };
    let identity = identity(
        &at("client_certificate_file"),
        raw.client_certificate_file,
        raw.client_key_file,
        folder,
    )?;
    let endpoint = EndpointConfig {
        url,
        user,
        password,
        ca_file: raw.ca_file.map(|f| folder.join(f)),
        identity,
        connect_timeout: span(
            &at("connect_timeout"),
            raw.connect_timeout
                .unwrap_or(Span(EndpointConfig::CONNECT_TIMEOUT)),
            100,
            60_000,
        )?,
        reply_timeout: span(
            &at("reply_timeout"),
            raw.reply_timeout
                .unwrap_or(Span(EndpointConfig::REPLY_TIMEOUT)),
            100,
            120_000,
        )?,
        card_kept,
    };
    // Reads the authorities too, so that a wrong file is told at start-up.
    ivrpay_wire::Sender::new(&endpoint).map_err(|e| {
        ConfigError::value(format!("connectors.{name}"), format!("{e}; {}", e.hint()))
    })?;
    Ok(Connector {
        kind,
        can,
        endpoint: Some(endpoint),
        mode,
        settings,
        credentials,
        maintenance,
        away_after,
        authorisation_days,
    })
}

/// What is wrong where the address is known to be the other system than the one that is meant.
fn other_system(
    hosts: Option<ivrpay_acquirer::Hosts>,
    url: &str,
    mode: AcquirerMode,
) -> Option<&'static str> {
    match (hosts?.mode_of(url)?, mode) {
        (AcquirerMode::Test, AcquirerMode::Live) => Some(
            "\"live\", and url is the acquirer's test system: nobody would be charged; write the address where money moves, or \"test\"",
        ),
        (AcquirerMode::Live, AcquirerMode::Test) => Some(
            "\"test\", and url is where money moves: every test would charge somebody; write the address of the test system, or \"live\"",
        ),
        _ => None,
    }
}

/// How long a connector's cards are kept; else the setting that is wrong, and why.
fn card_kept(
    kind: Kind,
    kept: CardKept,
    deduplicates: Option<bool>,
) -> Result<CardKept, (&'static str, &'static str)> {
    let can = &kind.about().capabilities;
    if deduplicates.is_some() && can.resend != Resend::IfDeduplicated {
        return Err((
            "endpoint_deduplicates",
            "belongs to kind generic, whose endpoint is your own: take it out",
        ));
    }
    let why_not = match can.resend {
        _ if kept == CardKept::UntilSent => return Ok(kept),
        Resend::ByKey => return Ok(kept),
        Resend::IfDeduplicated if deduplicates == Some(true) => return Ok(kept),
        Resend::IfDeduplicated => {
            "\"until-answer\" sends the same charge again when no answer came: it needs endpoint_deduplicates = true, which says that your endpoint charges one transaction_id once, however often it comes; else take it out (\"until-sent\")"
        }
        Resend::Never if !kind.needs_endpoint() => {
            "\"until-answer\" is of no use here: nothing is sent; take it out (\"until-sent\")"
        }
        Resend::Never if can.query => {
            "\"until-answer\" is of no use here: this acquirer does not take the same request twice, and what became of a lost answer is asked without the card (ivrpay payment inquire); take it out (\"until-sent\")"
        }
        Resend::Never => {
            "\"until-answer\" is of no use here: this acquirer does not take the same request twice, and a person finds out what became of a lost answer; take it out (\"until-sent\")"
        }
    };
    Err(("card_kept", why_not))
}

fn dialogue(raw: &RawDialogue) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    let spans: [(&str, Option<Span>, &mut Duration, u64, u64); 10] = [
        (
            "first_key_card_number",
            raw.first_key_card_number,
            &mut settings.first_key_card_number,
            1_000,
            300_000,
        ),
        (
            "first_key",
            raw.first_key,
            &mut settings.first_key,
            1_000,
            120_000,
        ),
        (
            "reminder_after",
            raw.reminder_after,
            &mut settings.reminder_after,
            1_000,
            60_000,
        ),
        (
            "reminder_every",
            raw.reminder_every,
            &mut settings.reminder_every,
            1_000,
            60_000,
        ),
        (
            "inter_digit_timeout",
            raw.inter_digit_timeout,
            &mut settings.inter_digit_timeout,
            1_000,
            60_000,
        ),
        ("quiet", raw.quiet, &mut settings.quiet, 500, 5_000),
        (
            "no_progress",
            raw.no_progress,
            &mut settings.no_progress,
            5_000,
            900_000,
        ),
        (
            "session",
            raw.session,
            &mut settings.session,
            10_000,
            1_800_000,
        ),
        ("pause", raw.pause, &mut settings.pause, 1_000, 120_000),
        (
            "processing_long",
            raw.processing_long,
            &mut settings.processing_long,
            1_000,
            60_000,
        ),
    ];
    for (key, given, setting, min, max) in spans {
        if let Some(given) = given {
            *setting = span(&format!("dialogue.{key}"), given, min, max)?;
        }
    }
    let counts: [(&str, Option<u8>, &mut u8); 2] = [
        ("max_attempts", raw.max_attempts, &mut settings.max_attempts),
        ("cards_max", raw.cards_max, &mut settings.cards_max),
    ];
    for (key, given, setting) in counts {
        if let Some(given) = given {
            if !(1..=10).contains(&given) {
                return Err(ConfigError::value(format!("dialogue.{key}"), "1 to 10"));
            }
            *setting = given;
        }
    }
    if let Some(given) = raw.detect_tones {
        settings.detect_tones = given;
    }
    Ok(settings)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    pub(crate) const SAMPLE: &str = include_str!("../../../asterisk-conf/ivrpay.sample.toml");

    pub(crate) struct Folder(tempfile::TempDir);

    impl Folder {
        pub(crate) fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            folder.secret("ari-password", "one\n", 0o600);
            folder.secret("acquirer-password", "two", 0o600);
            folder.secret("ami-password", "three", 0o600);
            folder.secret("ami-key-password", "four", 0o600);
            folder.secret(
                "lookup-secret",
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                0o600,
            );
            folder.secret(
                "webhook-secret",
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nwhsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
                0o600,
            );
            folder
        }

        pub(crate) fn secret(&self, name: &str, text: &str, mode: u32) {
            let path = self.0.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }

        pub(crate) fn load(&self, text: &str) -> Result<Config, ConfigError> {
            let path = self.0.path().join("ivrpay.toml");
            std::fs::write(&path, text).unwrap();
            Config::load(&path)
        }
    }

    #[test]
    fn the_sample_loads_and_its_comments_are_the_defaults() {
        let folder = Folder::new();
        folder.secret("twilio-token", "00112233445566778899aabbccddeeff", 0o600);
        folder.secret("oidc-secret", "five", 0o600);
        folder.secret(
            "seal-key",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            0o600,
        );
        let commented: String = SAMPLE
            .lines()
            .map(|l| {
                l.strip_prefix('#')
                    .filter(|l| l.starts_with('[') || l.contains(" = ") && !l.starts_with(' '))
                    .unwrap_or(l)
            })
            .filter(|l| {
                ![
                    "ca_file",
                    "site",
                    "parameters",
                    "ranges",
                    "task_owner",
                    "url = \"postgres",
                    "client_certificate_file",
                    "client_key_file",
                    "bearer_file",
                    "certificate_file",
                    "key_file",
                    "client_ca_file",
                ]
                .iter()
                .any(|key| l.starts_with(key))
            })
            .map(|l| format!("{l}\n"))
            .collect();
        let (sample, full) = (
            folder.load(SAMPLE).unwrap(),
            folder.load(&commented).unwrap(),
        );
        assert_eq!(sample.dialogue, full.dialogue);
        assert_eq!(sample.limits, full.limits);
        let per_minute = |config: &Config| config.http.keys[0].requests_per_minute;
        assert_eq!((per_minute(&sample), per_minute(&full)), (600, 600));
        assert_eq!(sample.journal_at, full.journal_at);
        assert_eq!((&sample.daemon, sample.lease), (&full.daemon, full.lease));
        let shop = &sample.tenants[0].id;
        assert_eq!(sample.terms.of(shop), full.terms.of(shop));
        assert_eq!(sample.quarantine_folder, full.quarantine_folder);
        assert_eq!(sample.quarantine.due, full.quarantine.due);
        assert_eq!(
            (&sample.ari.url, &sample.ari.app, &sample.ari.user),
            (&full.ari.url, &full.ari.app, &full.ari.user)
        );
        assert_eq!(sample.ari.request_timeout, full.ari.request_timeout);
        assert!(sample.ami.is_none());
        let ami = full.ami.as_ref().unwrap();
        assert_eq!(
            (&ami.address, &ami.user),
            (&default_ami_address(), &AMI_USER.to_owned())
        );
        assert!(sample.pay_key.is_none());
        let key = full.pay_key.as_ref().unwrap();
        assert_eq!(
            (&key.address, &key.user),
            (&default_ami_address(), &PAY_KEY_USER.to_owned())
        );
        assert!(sample.agi.is_none());
        let agi = full.agi.as_ref().unwrap();
        assert_eq!(agi.calls_max, default_agi_calls_max());
        assert_eq!(agi.listen, "127.0.0.1:4573".parse().unwrap());
        assert!(agi.allowed.lets_in(agi.listen.ip()));
        let (a, b) = (&sample.tenants[0], &full.tenants[0]);
        assert_eq!(
            (a.language, a.currency, &a.brands),
            (b.language, b.currency, &b.brands)
        );
        assert_eq!(
            (a.security_code, a.waiting_max),
            (b.security_code, b.waiting_max)
        );
        assert_eq!(a.task_rules, b.task_rules);
        assert_eq!(a.expiring, b.expiring);
        assert_eq!(a.calls, b.calls);
        // The plans that it shows can be offered.
        let (before, rest) = SAMPLE.split_once("# [[tenants.plans]]").unwrap();
        let (plans, behind) = rest.split_once("# Who takes").unwrap();
        let plans = plans.replace("\n# ", "\n");
        let shown = format!("{before}[[tenants.plans]]{plans}# Who takes{behind}");
        let shown = folder.load(&shown).unwrap();
        assert_eq!(shown.tenants[0].plans.rows().len(), 6);
        assert!(a.plans.is_empty() && !a.desk.ask_plan);
        // What `ivrpay connector test` has to try of each connector.
        let of = |c: &Config, name: &str| {
            let plans = c.plans_of(name)?.into_iter();
            Some(plans.map(|row| row.0.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(of(&sample, "generic"), Some(Vec::new()));
        assert_eq!(of(&sample, "nobody-s"), None);
        let rest = ["installments:3", "installments:5", "installments:6"];
        let rest = [&rest[..], &["installments:10", "installments:12", "bonus"]].concat();
        assert_eq!(of(&shown, "generic").unwrap(), rest);
        let line = |t: &Tenant| (t.line.ask_language, t.line.digits, t.line.operator);
        assert_eq!(line(a), line(b));
        assert!(a.lookup.is_none() && b.lookup.is_some());
        assert_eq!((a.desk, a.desk), (b.desk, Desk::default()));
        assert_eq!((a.spy, a.spy), (b.spy, spies::Policy::Refuse));
        let hear = (b.stay_prompts, Hearers::Customer);
        assert_eq!((a.stay_prompts, a.stay_prompts), hear);
        // Off, unless somebody writes the word.
        let line = "# operator_keyed = \"in-scope\"";
        assert!(SAMPLE.contains(line) && !a.operator_keyed);
        let on = SAMPLE.replace(line, line.trim_start_matches("# "));
        assert!(folder.load(&on).unwrap().tenants[0].operator_keyed);
        let timeouts = |c: &Config| {
            c.connectors["generic"]
                .endpoint
                .as_ref()
                .map(|e| (e.connect_timeout, e.reply_timeout, e.card_kept))
        };
        assert_eq!(timeouts(&sample), timeouts(&full));
    }

    /// Which connectors may keep a card until its answer, and that none does unless told to.
    #[test]
    fn a_card_is_kept_longer_only_where_its_acquirer_makes_use_of_it() {
        let (until_sent, until_answer) = (CardKept::UntilSent, CardKept::UntilAnswer);
        for kind in Kind::all() {
            assert_eq!(card_kept(kind, until_sent, None), Ok(until_sent));
            let given = card_kept(kind, until_answer, None);
            if ["stripe", "adyen"].contains(&kind.name()) {
                assert_eq!(given, Ok(until_answer), "{kind}");
            } else {
                let (key, why) = given.unwrap_err();
                let query = kind.about().capabilities.query;
                assert_eq!(key, "card_kept");
                assert_eq!(why.contains("inquire"), query, "{kind}: {why}");
            }
        }
        let generic = |said| card_kept(Kind::GENERIC, until_answer, Some(said));
        assert_eq!(generic(true), Ok(until_answer));
        assert!(generic(false).is_err());
        // Saying what the endpoint does keeps nothing yet.
        let said = card_kept(Kind::GENERIC, until_sent, Some(true));
        assert_eq!(said, Ok(until_sent));
    }

    #[track_caller]
    fn refused(change: (&str, &str), message: &str) {
        let folder = Folder::new();
        assert!(SAMPLE.contains(change.0), "the sample has no {}", change.0);
        let error = folder
            .load(&SAMPLE.replace(change.0, change.1))
            .err()
            .expect("to be refused");
        let text = error.to_string();
        assert!(text.contains(message), "{text:?} does not say {message:?}");
        assert!(!error.hint().is_empty());
    }

    #[test]
    fn webhooks_are_checked() {
        let table =
            |rest: &str| format!("[tenants.webhook]\nsecret_file = \"webhook-secret\"\n{rest}");
        for (table, error) in [
            (table("url = \"https://shop.example.com/e\""), None),
            (
                table("url = \"https://192.168.10.7/e\"\nnetworks = [\"192.168.10.0/24\", \"fd00::/8\", \"127.0.0.1\"]"),
                None,
            ),
            (
                table("url = \"https://192.168.10.7/e\""),
                Some("webhook.url: the address in the url is not one of the internet"),
            ),
            (table("url = \"http://shop.example.com/e\""), Some("webhook.url")),
            (
                table("url = \"https://shop.example.com/e\"\nnetworks = [\"10.0.0.0/33\"]"),
                Some("webhook.networks: networks as 192.168.10.0/24"),
            ),
            (
                table("url = \"https://shop.example.com/e\"\ntimeout = \"1m\""),
                Some("webhook.timeout"),
            ),
            (
                table("url = \"https://shop.example.com/e\"\nclient_key_file = \"us.key\""),
                Some("belong together"),
            ),
            (
                "[tenants.webhook]\nurl = \"https://shop.example.com/e\"\nsecret_file = \"ari-password\"".into(),
                Some("webhook.secret_file: the secret is not of the form whsec_"),
            ),
        ] {
            is_as_it_should_be(&table, error);
        }
    }

    #[test]
    fn the_line_and_the_merchant_are_checked() {
        let lookup = "secret_file = \"lookup-secret\"\nurl = ";
        for (table, error) in [
            (
                "[tenants.line]\norder_digits = \"8\"\nlanguages = [\"en\", \"ja\"]",
                None,
            ),
            (
                "[tenants.line]\norder_digits = \"4 - 10\"\noperator = false",
                None,
            ),
            (
                "[tenants.line]\norder_digits = \"0\"",
                Some("line.order_digits"),
            ),
            (
                "[tenants.line]\norder_digits = \"9-4\"",
                Some("line.order_digits"),
            ),
            ("[tenants.line]\norder_digits = \"1-21\"", Some("1 to 20")),
            (
                "[tenants.line]\nlanguages = [\"fr\"]",
                Some("languages are ja and en"),
            ),
            ("[tenants.line]\nlanguages = []", Some("line.languages")),
            (
                "[tenants.line]\nlanguages = [\"ja\", \"ja\"]",
                Some("each once"),
            ),
            (
                &format!("[tenants.lookup]\n{lookup}\"https://shop.example.com/o\""),
                None,
            ),
            (
                &format!("[tenants.lookup]\n{lookup}\"http://127.0.0.1:9/o\""),
                None,
            ),
            (
                &format!("[tenants.lookup]\n{lookup}\"http://shop.example.com/o\""),
                Some("lookup.url"),
            ),
            (
                &format!(
                    "[tenants.lookup]\n{lookup}\"https://shop.example.com/o\"\ntimeout = \"1m\""
                ),
                Some("lookup.timeout"),
            ),
            (
                "[tenants.lookup]\nurl = \"https://shop.example.com/o\"\nsecret_file = \"ari-password\"",
                Some("lookup.secret_file: the secret is not of the form whsec_"),
            ),
            (
                "[tenants.lookup]\nurl = \"https://shop.example.com/o\"\nsecret_file = \"none\"",
                Some("can't be read"),
            ),
            ("[tenants.calls]\nat_once_max = 0\nring = \"5s\"", None),
            (
                "[tenants.calls]\nat_once_max = 201",
                Some("calls.at_once_max"),
            ),
            ("[tenants.calls]\nring = \"1s\"", Some("calls.ring")),
        ] {
            is_as_it_should_be(table, error);
        }
    }

    /// A table of the last merchant, and what is wrong with it.
    #[track_caller]
    fn is_as_it_should_be(table: &str, error: Option<&str>) {
        let loaded = Folder::new().load(&format!("{SAMPLE}\n{table}\n"));
        match (loaded, error) {
            (Ok(_), None) => {}
            (Err(got), Some(error)) => {
                let got = got.to_string();
                assert!(
                    got.contains(error),
                    "{table}: {got:?} does not say {error:?}"
                );
            }
            (Ok(_), Some(error)) => panic!("{table}: taken, without {error:?}"),
            (Err(got), None) => panic!("{table}: {got}"),
        }
    }

    /// Money would move in a test, or none where a customer pays.
    #[test]
    fn a_mode_that_the_address_contradicts_is_refused() {
        let folder = Folder::new();
        let load = |mode: &str, url: &str| {
            let own = format!(
                "{SAMPLE}\n[connectors.own]\nkind = \"gmo\"\nmode = \"{mode}\"\nurl = \"https://{url}/payment\"\nraw_pan = \"contracted\"\n\
                 parameters = {{ shop_id = \"tshop00000001\" }}\nsecrets = {{ shop_pass = \"acquirer-password\" }}\n"
            );
            folder.load(&own).map(drop).map_err(|e| e.to_string())
        };
        for (mode, url, says) in [
            (
                "live",
                "pt01.mul-pay.jp",
                "connectors.own.mode: \"live\", and",
            ),
            (
                "test",
                "p01.mul-pay.jp",
                "connectors.own.mode: \"test\", and",
            ),
        ] {
            let error = load(mode, url).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        for (mode, url) in [
            ("live", "p01.mul-pay.jp"),
            ("test", "pt01.mul-pay.jp"),
            ("live", "p02.mul-pay.jp"),
            ("test", "127.0.0.1:8443"),
        ] {
            assert_eq!(load(mode, url), Ok(()), "{mode} {url}");
        }
    }

    #[test]
    fn pools_are_checked() {
        let shop = "name = \"shop\"                            # as in";
        let load = |tables: &str| {
            let text = SAMPLE.replace(shop, &format!("pool = \"gold\"\n{shop}"));
            assert_ne!(text, SAMPLE);
            Folder::new().load(&format!("{text}\n{tables}\n"))
        };
        let pools = load("[pools.gold]\nguaranteed = 10\nlimit = 30").unwrap();
        let gold = Pool {
            name: "gold".into(),
            guaranteed: 10,
            limit: Some(30),
        };
        assert_eq!(
            (pools.pools, pools.tenants[0].pool.as_deref()),
            (vec![gold], Some("gold"))
        );
        // All of them may be one merchant's.
        assert!(load("[pools.gold]\nguaranteed = 200").is_ok());
        for (tables, error) in [
            ("", "tenants[0].pool: there is no [pools.gold]"),
            (
                "[pools.gold]\n[pools.gold2]",
                "pools.gold2: no tenant has it",
            ),
            ("[pools.gold]\n[pools.rest]", "pools.rest: another name"),
            ("[pools.gold]\nlimit = 0", "pools.gold.limit: 1 to 100000"),
            (
                "[pools.gold]\nguaranteed = 10\nlimit = 9",
                "not below guaranteed",
            ),
            (
                "[pools.gold]\nguaranteed = 201",
                "pools: 201 places are guaranteed together, and limits.calls_max is 200",
            ),
            ("[pools.gold]\nat_most = 1", "at_most"),
        ] {
            let got = load(tables).err().unwrap().to_string();
            assert!(
                got.contains(error),
                "{tables}: {got:?} does not say {error:?}"
            );
        }
    }

    #[test]
    fn bad_values_are_named() {
        refused(("[admin]", "[amdin]"), "amdin");
        refused(
            ("#calls_max = 200 ", "calls_max = 0 "),
            "limits.calls_max: 1 to 2000",
        );
        refused(("#calls_max = 200 ", "calls_max = \"many\" "), "calls_max");
        refused(
            ("#shutdown_seconds = 60", "shutdown_seconds = 0"),
            "limits.shutdown_seconds",
        );
        for bad in ["\"2h\"", "\"5\"", "300"] {
            refused(
                ("#drain_limit = \"5m\"", &format!("drain_limit = {bad}")),
                if bad == "\"2h\"" {
                    "limits.drain_limit"
                } else {
                    "drain_limit"
                },
            );
        }
        for none in ["0", "11", "-1"] {
            refused(
                (
                    "#tries_per_card_per_day = 5",
                    &format!("tries_per_card_per_day = {none}"),
                ),
                "limits.tries_per_card_per_day",
            );
        }
        refused(
            ("#max_attempts = 3", "max_attempts = 0"),
            "dialogue.max_attempts: 1 to 10",
        );
        refused(
            ("#quiet = \"1500ms\"", "quiet = \"1500\""),
            "no length of time",
        );
        refused(("#quiet = \"1500ms\"", "quiet = \"9s\""), "dialogue.quiet");
        refused(("mode = \"test\"", "mode = \"tset\""), "tset");
        refused(("#spy = \"refuse\"", "spy = \"allow\""), "detach");
        refused(
            ("#stay_prompts = \"customer\"", "stay_prompts = \"all\""),
            "both",
        );
        refused(
            ("connector = \"generic\"", "connector = \"gmo\""),
            "there is no [connectors.gmo]",
        );
        refused(
            ("kind = \"generic\"", "kind = \"no-such\""),
            "connectors.generic.kind",
        );
        // An acquirer of its own: what it has to be told, one thing after the other.
        let gmo = |more: &str| format!("\nkind = \"gmo\"\n{more}\n");
        for (more, says) in [
            ("", "connectors.generic.mode"),
            ("mode = \"live\"", "connectors.generic.raw_pan"),
            (
                "mode = \"test\"\nraw_pan = \"contracted\"",
                "connectors.generic.parameters: `shop_id` is missing",
            ),
        ] {
            refused(("\nkind = \"generic\"\n", &gmo(more)), says);
        }
        for (said, named) in [("true", "boolean `true`"), ("\"yes\"", "string \"yes\"")] {
            let kind = gmo(&format!("mode = \"test\"\nraw_pan = {said}"));
            let says = "expected \"contracted\", which says that your contract";
            for says in [says, named, "connectors.generic.raw_pan"] {
                refused(("\nkind = \"generic\"\n", &kind), says);
            }
        }
        // Longer than it takes to send a card, only where that is of use.
        let zeus =
            "mode = \"test\"\nraw_pan = \"contracted\"\nparameters = { clientip = \"2013000111\" }";
        for (kind, more, says) in [
            (
                "generic",
                "card_kept = \"for-ever\"",
                "string \"for-ever\", expected \"until-sent\" or \"until-answer\"",
            ),
            (
                "generic",
                "card_kept = true",
                "expected \"until-sent\" or \"until-answer\"",
            ),
            (
                "generic",
                "card_kept = \"until-answer\"",
                "connectors.generic.card_kept: \"until-answer\" sends the same charge again",
            ),
            (
                "generic",
                "card_kept = \"until-answer\"\nendpoint_deduplicates = false",
                "needs endpoint_deduplicates = true",
            ),
            ("null", "card_kept = \"until-answer\"", "nothing is sent"),
            (
                "zeus",
                &format!("{zeus}\nendpoint_deduplicates = true"),
                "endpoint_deduplicates: belongs to kind generic",
            ),
        ] {
            refused(
                (
                    "\nkind = \"generic\"\n",
                    &format!("\nkind = \"{kind}\"\n{more}\n"),
                ),
                says,
            );
        }
        refused(
            ("#currency = \"JPY\"", "currency = \"YEN\""),
            "tenants[0].currency",
        );
        for (line, key) in [
            ("#lease_seconds = 15", "journal.keep_days"),
            ("#time_zone = \"Asia/Tokyo\"", "tenants[0].keep_days"),
        ] {
            let says = format!("{key}: 180 to 36500 days; 0: for ever");
            refused((line, "keep_days = 90"), &says);
        }
        refused(
            ("#language = \"ja\"", "language = \"de\""),
            "tenants[0].language",
        );
        refused(
            (
                "#unheard_approval = \"keep\"",
                "unheard_approval = \"void\"",
            ),
            "tenants[0].unheard_approval: \"keep\": the acquirer of [connectors.generic] has no void",
        );
        refused(
            (
                "#unknown_outcome_due = \"24h\"",
                "unknown_outcome_due = \"31d\"",
            ),
            "no length of time",
        );
        refused(
            (
                "#approved_caller_gone_due = \"4h\"",
                "approved_caller_gone_due = \"1s\"",
            ),
            "tenants[0].approved_caller_gone_due",
        );
        refused(
            (
                "#task_owner = \"role:supervisor\"",
                "task_owner = \"the boss\"",
            ),
            "tenants[0].task_owner",
        );
        for bad in ["true", "false", "\"on\"", "\"\"", "1"] {
            refused(
                (
                    "mode = \"test\"",
                    &format!("mode = \"test\"\noperator_keyed = {bad}"),
                ),
                "tenants[0].operator_keyed: an operator who keys a card brings his telephone, his desk and their network into the scope of PCI DSS (v4.0.1, requirement 12.5.2)",
            );
        }
        for (key, bad) in [
            ("amount_max", "amount_max = 0"),
            ("amount_max", "amount_max = 100000000"),
            ("order_digits", "order_digits = [0, 4]"),
            ("order_digits", "order_digits = [4]"),
            ("order_digits", "order_digits = [4, 21]"),
            ("order_required", "order_digits = []\norder_required = true"),
            ("ask_plan", "ask_plan = true"),
        ] {
            refused(
                ("#[tenants.desk]", &format!("[tenants.desk]\n{bad}")),
                &format!("tenants[0].desk.{key}"),
            );
        }
        refused(
            ("tenant = \"shop\"", "tenant = \"chop\""),
            "http.keys[0].tenant",
        );
        refused(("sha256 = \"00", "sha256 = \"0"), "http.keys[0].sha256");
        let many = (
            "\n[[http.keys]]",
            "\nrequests_per_minute = 60001\n[[http.keys]]",
        );
        refused(many, "http.requests_per_minute");
        let many = (
            "tenant = \"shop\"",
            "tenant = \"shop\"\nrequests_per_minute = 60001",
        );
        refused(many, "http.keys[0].requests_per_minute");
        refused(
            ("listen = \"127.0.0.1:9480\"", "listen = \"9480\""),
            "listen",
        );
        refused(
            (
                "#url = \"http://127.0.0.1:8088/ari\"",
                "url = \"https://pbx/ari\"",
            ),
            "ari: ARI over TLS",
        );
        refused(
            (
                "#url = \"http://127.0.0.1:8088/ari\"",
                "url = \"http://u:p@pbx/ari\"",
            ),
            "ari: the address",
        );
        refused(
            (
                "url = \"https://pay.example.com/charge\"",
                "url = \"http://pay.example.com/charge\"",
            ),
            "connectors.generic",
        );
        refused(
            (
                "password_file = \"ari-password\"",
                "password_file = \"none\"",
            ),
            "can't be read",
        );
        refused(
            ("password_file = \"ari-password\"", "password = \"secret\""),
            "password",
        );
    }

    #[test]
    fn the_pay_key_is_for_asterisk_alone() {
        let folder = Folder::new();
        let with = |lines: &str| folder.load(&format!("{SAMPLE}\n[agi]\n{lines}\n"));
        let agi = with("listen = \"127.0.0.1:4573\"").unwrap().agi.unwrap();
        assert_eq!(agi.allowed, ivrpay_agi::Allowed::Loopback);
        let agi = with("listen = \"0.0.0.0:4573\"\nallow = [\"192.0.2.7\"]\ncalls_max = 7");
        let agi = agi.unwrap().agi.unwrap();
        assert_eq!(
            (
                agi.allowed.lets_in("192.0.2.7".parse().unwrap()),
                agi.allowed.lets_in("192.0.2.8".parse().unwrap()),
                agi.calls_max
            ),
            (true, false, 7)
        );
        for (lines, message) in [
            ("", "missing field `listen`"),
            ("listen = \"4573\"", "agi.listen"),
            ("listen = \"127.0.0.1:0\"", "agi.listen: write the port"),
            ("listen = \"0.0.0.0:4573\"", "agi.listen: others reach"),
            ("listen = \"192.0.2.1:4573\"", "agi.listen: others reach"),
            (
                "listen = \"127.0.0.1:4573\"\nallow = []",
                "agi.allow: nobody",
            ),
            (
                "listen = \"127.0.0.1:4573\"\nallow = [\"pbx\"]",
                "agi.allow",
            ),
            (
                "listen = \"127.0.0.1:4573\"\ncalls_max = 0",
                "agi.calls_max: 1 to 2000",
            ),
            ("listen = \"127.0.0.1:4573\"\nkey = \"*9\"", "unknown field"),
        ] {
            let text = with(lines).err().expect("refused").to_string();
            assert!(text.contains(message), "{text:?} does not say {message:?}");
        }
    }

    /// A secret that stands in the wrong place is not repeated where it would be logged.
    #[test]
    fn bad_syntax_is_told_by_its_line_alone() {
        for (text, line) in [
            ("[ari]\npassword = sesame-open\n", "line 2"),
            (
                "[ari]\npassword_file = \"a\"\nsesame-open = \"x\n",
                "line 3",
            ),
        ] {
            let error = Folder::new().load(text).err().expect("refused").to_string();
            assert!(!error.contains("sesame"), "{error}");
            assert!(error.contains(line), "{error}");
        }
    }

    #[test]
    fn parameters_of_the_merchants_own() {
        let with = |parameters: &str| {
            let line = "#parameters = { merchant_id = \"M-1\" }";
            assert!(SAMPLE.contains(line));
            SAMPLE.replace(line, &format!("parameters = {parameters} "))
        };
        let config = Folder::new()
            .load(&with("{ merchant_id = \"M-1\" }"))
            .map_err(|e| e.to_string())
            .expect("taken");
        assert_eq!(
            config.connectors["generic"].settings.parameters,
            [("merchant_id".to_owned(), "M-1".to_owned())].into()
        );
        // A name that is ours.
        refused(
            (
                "#parameters = { merchant_id = \"M-1\" }",
                "parameters = { order_id = \"1\" }",
            ),
            "connectors.generic.parameters",
        );
    }

    #[test]
    fn exceptions_have_a_person_and_an_end() {
        let today = jiff::Timestamp::now()
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date();
        let day = |days: i64| {
            let day = today.checked_add(jiff::Span::new().days(days)).unwrap();
            day.to_string()
        };
        let table = |danger: &str, person: &str, until: &str| {
            format!(
                "{SAMPLE}\n[[guard.exceptions]]\ndanger = \"{danger}\"\nperson = \"{person}\"\nreason = \"trunk is moved\"\nuntil = \"{until}\"\n"
            )
        };
        for (danger, person, until, error) in [
            ("direct-media", "Hanako Sato", day(30), None),
            ("spy", "Hanako Sato", day(0), None),
            // Over: said at the start, and without effect.
            ("subscribed-app", "Hanako Sato", day(-3), None),
            (
                "direct-media",
                "Hanako Sato",
                day(31),
                Some("at most 30 days"),
            ),
            ("direct-media", " ", day(1), Some("person")),
            (
                "direct-media",
                "Hanako Sato",
                "soon".into(),
                Some("2026-12-24"),
            ),
            ("dtmf-log", "Hanako Sato", day(1), Some("can't be excepted")),
            ("cel-keys", "Hanako Sato", day(1), Some("can't be excepted")),
            ("recorder", "Hanako Sato", day(1), Some("can't be excepted")),
            (
                "native-bridge",
                "Hanako Sato",
                day(1),
                Some("can't be excepted"),
            ),
            (
                "not-known",
                "Hanako Sato",
                day(1),
                Some("can't be excepted"),
            ),
            ("weather", "Hanako Sato", day(1), Some("unknown variant")),
        ] {
            let loaded = Folder::new().load(&table(danger, person, &until));
            match (loaded, error) {
                (Ok(config), None) => assert_eq!(config.guard_exceptions.len(), 1),
                (Err(got), Some(error)) => {
                    assert!(got.to_string().contains(error), "{danger} {until}: {got}");
                }
                (Ok(_), Some(error)) => panic!("{danger} {until}: taken, without {error:?}"),
                (Err(got), None) => panic!("{danger} {until}: {got}"),
            }
        }
    }

    /// A recorder that somebody named wrongly would hear cards: nothing is guessed.
    #[test]
    fn recorders_are_paused_or_vouched_for() {
        let hooks =
            "pause_url = \"https://r.example.com/p\"\nresume_url = \"https://r.example.com/r\"";
        let word = "kept_out_by = \"masked\"\nperson = \"T. Yamada\"\ndate = \"2026-11-26\"";
        let load = |rest: &str| {
            Folder::new()
                .load(&format!(
                    "{SAMPLE}\n[[recorders]]\nname = \"a\"\nkind = \"siprec\"\n{rest}\n"
                ))
                .map(|config| config.recorders.len())
                .map_err(|error| error.to_string())
        };
        for (rest, expected) in [
            (hooks.to_owned(), Ok(1)),
            (word.to_owned(), Ok(1)),
            (
                format!(
                    "{hooks}\nsecret_file = \"ari-password\"\ntimeout = \"1s\"\ntenants = [\"shop\"]"
                ),
                Ok(1),
            ),
            (
                format!("{hooks}\n{word}"),
                Err("needs pause_url and resume_url, or kept_out_by"),
            ),
            (
                String::new(),
                Err("needs pause_url and resume_url, or kept_out_by"),
            ),
            (
                "pause_url = \"https://r.example.com/p\"".to_owned(),
                Err("needs pause_url and resume_url"),
            ),
            (
                hooks.replace("https", "http"),
                Err("recorders[0].pause_url: https://"),
            ),
            (
                hooks.replace("https://r.example.com", "http://127.0.0.1:9"),
                Ok(1),
            ),
            (
                format!("{hooks}\ntimeout = \"1m\""),
                Err("recorders[0].timeout"),
            ),
            (
                format!("{hooks}\ntenants = [\"chop\"]"),
                Err("recorders[0].tenants"),
            ),
            (
                format!("{hooks}\nsecret_file = \"none\""),
                Err("can't be read"),
            ),
            (
                format!("{hooks}\nperson = \"T. Yamada\""),
                Err("recorders[0].person"),
            ),
            (
                format!("{word}\ntimeout = \"1s\""),
                Err("recorders[0].kept_out_by"),
            ),
            (word.replace("T. Yamada", " "), Err("recorders[0].person")),
            (
                word.replace("2026-11-26", "yesterday"),
                Err("recorders[0].date"),
            ),
            (
                format!("{word}\n[[recorders]]\nname = \"a\"\nkind = \"other\"\n{word}"),
                Err("two recorders"),
            ),
        ] {
            match (load(&rest), expected) {
                (Ok(count), Ok(expected)) => assert_eq!(count, expected, "{rest}"),
                (Err(text), Err(expected)) => {
                    assert!(
                        text.contains(expected),
                        "{text:?} does not say {expected:?}"
                    );
                }
                (loaded, expected) => panic!("{rest}: {loaded:?} instead of {expected:?}"),
            }
        }
    }

    /// The sample's recorders stand in comments, and are right.
    #[test]
    fn the_samples_recorders_load() {
        let folder = Folder::new();
        folder.secret("recorder-secret", "three", 0o600);
        let text: String = SAMPLE
            .split("# [[recorders]]")
            .skip(1)
            .flat_map(|part| ["[[recorders]]", part])
            .flat_map(str::lines)
            .map(|line| line.trim_start_matches("# "))
            .filter(|line| !line.starts_with("ca_file"))
            .map(|line| format!("{line}\n"))
            .collect();
        let config = folder
            .load(&format!("{SAMPLE}\n{text}"))
            .map_err(|e| e.to_string());
        assert_eq!(config.expect("taken").recorders.len(), 2);
    }

    #[test]
    fn practice_can_charge_nobody() {
        let generic = SAMPLE
            .split("\n[connectors.generic]")
            .nth(1)
            .expect("the sample has it");
        let text = format!("{SAMPLE}\n[connectors.training]{generic}");
        let error = Folder::new()
            .load(&text)
            .err()
            .expect("refused")
            .to_string();
        assert!(error.contains("connectors.training.kind"), "{error}");
        let text = format!(
            "{SAMPLE}\n[connectors.t]\nkind = \"null\"\nurl = \"https://pay.example.com/\"\n"
        );
        let error = Folder::new()
            .load(&text)
            .err()
            .expect("refused")
            .to_string();
        assert!(error.contains("connectors.t.url"), "{error}");
    }

    #[test]
    fn secrets_are_for_the_service_alone() {
        let folder = Folder::new();
        for (text, mode, message) in [
            ("one", 0o644, "may be read by others (mode 644)"),
            ("", 0o600, "is empty"),
            ("a\nb", 0o600, "more than one line"),
        ] {
            folder.secret("ari-password", text, mode);
            let error = folder.load(SAMPLE).err().unwrap().to_string();
            assert!(
                error.contains(message),
                "{error:?} does not say {message:?}"
            );
        }
    }

    #[test]
    fn a_missing_file_says_so() {
        let error = Config::load(Path::new("/nonexistent/ivrpay.toml"))
            .err()
            .unwrap();
        assert!(matches!(error, ConfigError::Read { .. }), "{error}");
    }

    #[test]
    fn a_live_tenant_needs_a_real_connector() {
        let folder = Folder::new();
        let text = SAMPLE
            .replace("mode = \"test\"", "mode = \"live\"")
            .replace("connector = \"generic\"", "connector = \"t\"");
        let error = folder
            .load(&format!("{text}\n[connectors.t]\nkind = \"null\"\n"))
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("nobody would be charged"), "{error}");
    }

    /// The settings on the pages of the acquirers are settings.
    #[test]
    fn the_acquirers_pages_load() {
        let pages = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/acquirers");
        for page in std::fs::read_dir(pages).unwrap() {
            let page = page.unwrap().path();
            let text = std::fs::read_to_string(&page).unwrap();
            let blocks = text.split("```toml\n").skip(1);
            let blocks: Vec<_> = blocks.filter_map(|b| b.split("```").next()).collect();
            assert!(!blocks.is_empty(), "{page:?}");
            for block in blocks.into_iter().filter(|b| b.contains("kind = ")) {
                let folder = Folder::new();
                let read: toml::Table = block.parse().unwrap();
                for connector in read["connectors"].as_table().unwrap().values() {
                    let secrets = connector.get("secrets").and_then(toml::Value::as_table);
                    let files = secrets.into_iter().flatten().map(|(_, file)| file);
                    for file in files.chain(connector.get("password_file")) {
                        // Of a length and of letters that every acquirer takes; an initial vector of 3DES has eight.
                        let file = file.as_str().unwrap();
                        let text = if file.ends_with("-iv") {
                            "initial1"
                        } else {
                            "sk_test_1"
                        };
                        folder.secret(file, text, 0o600);
                    }
                }
                let mut config = SAMPLE.to_owned();
                if block.contains("[connectors.generic]") {
                    let (before, table) = SAMPLE.split_once("\n[connectors.generic]").unwrap();
                    config = [before, table.split_once("\n\n").unwrap().1].join("\n");
                }
                let loaded = folder.load(&format!("{config}\n{block}"));
                assert!(loaded.is_ok(), "{page:?}: {:?}", loaded.err());
            }
        }
    }
}
