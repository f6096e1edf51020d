//! `ivrpay check`: widening rings, each line a fact, then a hint.
//!
//! File, values, routes, prompts on disk, secret memory, protections of the process, journal, then over the network Asterisk (reachable, our user, not logging
//! keys), who may pay where operators are behind another PBX, the pay key (its port, features and dialplan), what takes supervisors
//! off and every acquirer (reachable, its certificate good). `offline` stops before the network.

mod edge;
mod ladder;
mod pay_key;
mod routes;
mod spies;

use std::path::Path;
use std::time::Duration;

use ivrpay_acquirer::CardKept;
use ivrpay_ari::{ChannelId, RequestError};
use ivrpay_journal::{Journal, Location, Role, TaskFilter, TaskKind};
use ivrpay_payment::OperationKind;
use ivrpay_wire::WebhookError;
use serde::Serialize;

use crate::config::{Config, ConfigError};
use crate::guard::{Around, Danger, Facts};
use crate::pools::Pool;

/// Where a request of ours failed in a way that has no better advice.
const SEE_LOG: &str = "see Asterisk's log at this time";

/// Copies of invoices are kept for seven years and two months behind the end of a year, and the year itself may be as long.
const RECEIPTS_KEPT: Duration = Duration::from_secs(3_000 * 24 * 3_600);

/// How far the clocks of two machines may be apart that share a journal, ms.
const CLOCKS_MS: u64 = 30_000;

/// How a fact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Works, and somebody should know.
    Warning,
    /// Calls would fail, or a card would be at risk.
    Bad,
}

/// Whether what Asterisk printed says that it is not there (`apps/app_queue.c`, `main/pbx.c`).
fn missing(lines: &[String]) -> bool {
    lines.iter().any(|line| {
        line.starts_with("No such queue") || line.starts_with("There is no existence of")
    })
}

/// The first of these extensions that `dialplan show CONTEXT` does not have.
fn lacks<'e>(
    lines: &[impl AsRef<str>],
    mut needed: impl Iterator<Item = &'e str>,
) -> Option<&'e str> {
    needed.find(|extension| {
        let start = format!("'{extension}' =>");
        !lines
            .iter()
            .any(|line| line.as_ref().trim_start().starts_with(&start))
    })
}

/// Days before its end on which a certificate is a warning.
pub(crate) const CERTIFICATE_DAYS: i64 = 30;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// Ring: `file`, `values`, `routes`, `prompts`, `secret-memory`, `process`, `journal`, `connectors`, `asterisk`,
    /// `edge`, `pay-key`, `spy`, `return`, `acquirer`, `recorder`.
    pub ring: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub fact: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Collects facts in the order in which they are found.
pub struct Check<'a> {
    facts: Vec<Fact>,
    tell: &'a mut dyn FnMut(&Fact),
}

impl<'a> Check<'a> {
    /// `tell` is called for every fact at once, so that a person sees progress.
    pub fn new(tell: &'a mut dyn FnMut(&Fact)) -> Self {
        Self {
            facts: Vec::new(),
            tell,
        }
    }

    fn say(
        &mut self,
        ring: &'static str,
        verdict: Verdict,
        fact: impl Into<String>,
        hint: Option<String>,
    ) {
        let fact = Fact {
            ring,
            verdict,
            fact: fact.into(),
            hint,
        };
        (self.tell)(&fact);
        self.facts.push(fact);
    }

    fn good(&mut self, ring: &'static str, fact: impl Into<String>) {
        self.say(ring, Verdict::Good, fact, None);
    }

    fn bad(&mut self, ring: &'static str, fact: impl Into<String>, hint: impl Into<String>) {
        self.say(ring, Verdict::Bad, fact, Some(hint.into()));
    }

    fn warn(&mut self, ring: &'static str, fact: impl Into<String>, hint: impl Into<String>) {
        self.say(ring, Verdict::Warning, fact, Some(hint.into()));
    }

    /// All rings, or those before the network.
    pub async fn run(mut self, path: &Path, offline: bool) -> Vec<Fact> {
        let config = match Config::load(path) {
            Ok(config) => config,
            Err(error) => {
                let ring = match error {
                    ConfigError::Read { .. } | ConfigError::Syntax { .. } => "file",
                    _ => "values",
                };
                self.bad(ring, error.to_string(), error.hint());
                return self.facts;
            }
        };
        self.good("file", format!("{} is read", config.path.display()));
        self.values(&config);
        self.routes(&config);
        self.prompts(&config);
        self.secret_memory(&config);
        self.process(&config);
        self.journal(&config).await;
        self.live_connectors(&config).await;
        if !offline {
            self.network(&config).await;
        }
        self.facts
    }

    async fn network(&mut self, config: &Config) {
        self.asterisk(config).await;
        self.edge(config).await;
        self.pay_key(config).await;
        self.spies(config).await;
        self.ladders(config).await;
        self.acquirers(config).await;
        self.recorders(config).await;
        self.merchants(config).await;
        self.webhooks(config).await;
    }

    /// What of it the running service can say of itself and of what is around it, by the configuration that it runs with.
    pub(crate) async fn run_inside(mut self, config: &Config) {
        self.values(config);
        self.routes(config);
        self.journal(config).await;
        self.live_connectors(config).await;
        self.network(config).await;
    }

    fn values(&mut self, config: &Config) {
        let live = config.tenants.iter().filter(|t| t.live).count();
        self.good(
            "values",
            format!(
                "{} tenant(s), {live} live; {} connector(s); {} API key(s); at most {} calls at once",
                config.tenants.len(),
                config.connectors.len(),
                config.http.keys.len(),
                config.limits.calls_max
            ),
        );
        self.pools(config);
        self.receipts(config);
        for tenant in config.tenants.iter().filter(|t| !t.plans.is_empty()) {
            let plans = crate::plans::described(&tenant.plans);
            self.good(
                "values",
                format!("tenant {} offers, beside one payment: {plans}", tenant.id),
            );
        }
        self.certificate(config);
        self.role_limits(config);
        if config
            .agi
            .as_ref()
            .is_some_and(|a| !a.listen.ip().to_canonical().is_loopback())
        {
            self.warn(
                "values",
                "the pay key's port listens beyond this machine, in clear",
                "let [agi] listen on 127.0.0.1 where Asterisk is on this machine; else see that a VPN carries it",
            );
        }
        if config.http.listen.is_some() && config.http.keys.is_empty() {
            self.warn(
                "values",
                "the configuration has no key for the HTTP API",
                "add [[http.keys]], or make keys and people with `ivrpay key` and `ivrpay person`; else take [http] listen out",
            );
        }
    }

    /// Who may give back so much alone, and take back as much as he likes.
    fn role_limits(&mut self, config: &Config) {
        for tenant in &config.tenants {
            let limits = &tenant.role_limits.0;
            let has = |role, kind| limits.iter().any(|(r, k, _)| (*r, *k) == (role, kind));
            for role in Role::ALL {
                if has(role, OperationKind::Refund) && !has(role, OperationKind::Void) {
                    self.warn(
                        "values",
                        format!(
                            "tenant {} has refund_max for the role {}, and no void_max: what is reserved it voids without a limit",
                            tenant.id,
                            role.name()
                        ),
                        "add void_max under [tenants.roles]; a charge that is taken is voided within refund_max in any case",
                    );
                }
            }
        }
    }

    /// The HTTP API's own, or who has it instead.
    fn certificate(&mut self, config: &Config) {
        let Some(files) = &config.http.tls else {
            if config.http.listen.is_some_and(|a| !a.ip().is_loopback()) {
                self.warn(
                    "values",
                    "the HTTP API listens beyond this machine in clear (behind_proxy)",
                    "see that nobody but the proxy reaches it, or name [http] certificate_file and key_file",
                );
            } else if config.http.listen.is_some()
                && config.access.people_sign_in()
                && !config.access.behind_proxy()
            {
                self.warn(
                    "values",
                    "people sign in, and the HTTP API listens on this machine alone: behind a proxy here all of them have one address, and one number of tries",
                    "say behind_proxy = true under [http] where a proxy leads here; nobody but it may reach the port then",
                );
            }
            return;
        };
        let now_ms = crate::serve::now_ms();
        let tls = ivrpay_web::Tls::open(files.clone());
        let tls = tls.and_then(|tls| tls.is_good(now_ms).map(|()| tls));
        let tls = match tls {
            Ok(tls) => tls,
            Err(error) => {
                let hint = "put a certificate and its key, both in PEM, where [http] names them";
                return self.bad("values", error.to_string(), hint);
            }
        };
        let days = tls.ends_ms().saturating_sub(now_ms) / 86_400_000;
        let fact = format!("the HTTP API's certificate is good for {days} days yet");
        if days <= CERTIFICATE_DAYS {
            self.warn(
                "values",
                fact,
                "renew it; the service takes the new one by itself",
            );
        } else {
            self.good("values", fact);
        }
    }

    /// Who issues receipts, and whether copies of them are kept as long as Japan's law wants.
    fn receipts(&mut self, config: &Config) {
        for tenant in &config.tenants {
            let Some(receipts) = &tenant.receipts else {
                continue;
            };
            let name = &tenant.id;
            match &receipts.issuer.registration {
                Some(number) => self.good(
                    "values",
                    format!("tenant {name} issues receipts as {number}, {}", receipts.issuer.name),
                ),
                None => self.good(
                    "values",
                    format!("tenant {name} issues receipts that show no tax in yen: it has no registration_number"),
                ),
            }
            if config
                .terms
                .of(name)
                .is_some_and(|term| term < RECEIPTS_KEPT)
            {
                self.warn(
                    "values",
                    format!("tenant {name} issues receipts, and its payments are taken out before copies of invoices may be"),
                    "raise keep_days to 3000 or more, where you have to keep copies of qualified invoices",
                );
            }
        }
    }

    /// What of the places is whose.
    fn pools(&mut self, config: &Config) {
        if config.pools.is_empty() {
            return;
        }
        let of = |pool: Option<&str>| {
            let tenants = config.tenants.iter().filter(|t| t.pool.as_deref() == pool);
            let names: Vec<&str> = tenants.map(|t| t.id.as_str()).collect();
            names.join(", ")
        };
        let guaranteed: u64 = config.pools.iter().map(|p| u64::from(p.guaranteed)).sum();
        let rest = u64::try_from(config.limits.calls_max)
            .unwrap_or(u64::MAX)
            .saturating_sub(guaranteed);
        let is_file = matches!(config.journal_at, Location::File(_));
        for pool in &config.pools {
            let Pool {
                name,
                guaranteed,
                limit,
            } = pool;
            let most = u64::from(*guaranteed) + rest;
            let limit = match limit {
                Some(limit) if is_file && u64::from(*limit) > most => {
                    self.warn(
                        "values",
                        format!("pool {name} may have {limit} places, and there are {most} for it"),
                        "raise [limits] calls_max, or lower its limit",
                    );
                    continue;
                }
                Some(limit) => format!("at most {limit}"),
                None if is_file => format!("at most {most}"),
                None => format!("at most {most} at this service"),
            };
            let tenants = of(Some(name));
            let fact = format!("pool {name}: {guaranteed} places guaranteed, {limit}; {tenants}");
            self.good("values", fact);
        }
        let others = of(None);
        let has_none = config.pools.iter().any(|pool| pool.guaranteed == 0);
        if rest == 0 && (has_none || !others.is_empty()) {
            self.bad(
                "values",
                "every place is guaranteed to a pool: who is guaranteed none never gets one",
                "raise [limits] calls_max, or guarantee fewer",
            );
        } else {
            let others = if others.is_empty() {
                "the pools"
            } else {
                &others
            };
            self.good("values", format!("{rest} places are shared: {others}"));
        }
    }

    fn prompts(&mut self, config: &Config) {
        let Some(folder) = &config.sounds else {
            self.warn(
                "prompts",
                "not looked at: [sounds] path is not set",
                "set it to Asterisk's folder of sounds, often /usr/share/asterisk/sounds",
            );
            return;
        };
        let (mut files, mut missing) = (0, Vec::new());
        for (language, name) in ivrpay_prompts::every_file() {
            files += 1;
            let file = folder
                .join(language.to_string())
                .join("ivrpay")
                .join(format!("{name}.wav"));
            if !file.is_file() {
                missing.push(file);
            }
        }
        match missing.first() {
            None => self.good(
                "prompts",
                format!("all {files} sound files are in {}", folder.display()),
            ),
            Some(first) => self.bad(
                "prompts",
                format!(
                    "{} of {files} sound files are missing, the first: {}",
                    missing.len(),
                    first.display()
                ),
                "copy asterisk-conf/sounds/{ja,en}/ivrpay there",
            ),
        }
    }

    fn secret_memory(&mut self, config: &Config) {
        match ivrpay_secret::probe(config.secret_policy, ivrpay_secret::Layout::for_calls(config.limits.calls_max)) {
            Ok(report) if report.backing.is_locked() => self.good("secret-memory", report.to_string()),
            Ok(report) => self.warn(
                "secret-memory",
                report.to_string(),
                "set [secret] policy = \"locked\" and use a kernel with memfd_secret, or raise LimitMEMLOCK",
            ),
            Err(error) => self.bad("secret-memory", error.to_string(), error.hint()),
        }
    }

    /// What protects the service on this machine, when this user runs it: done for a moment, on a thread that then ends.
    fn process(&mut self, config: &Config) {
        use ivrpay_secret::Standing;
        // As the service does, and nothing that `check` would miss.
        if let Err(error) = ivrpay_secret::harden() {
            return self.bad("process", error.to_string(), error.hint());
        }
        let host = ivrpay_secret::Host::look();
        let reach = crate::reach(config);
        for protection in host.protections(&ivrpay_secret::rehearse(&reach), &reach) {
            let verdict = match protection.standing {
                Standing::Holds | Standing::Advice => Verdict::Good,
                Standing::Lacks => Verdict::Warning,
            };
            let hint = protection.hint.map(str::to_owned);
            self.say("process", verdict, protection.fact, hint);
        }
    }

    /// Whether the service may write its file; says so where it can't, or where there is none yet.
    fn journal_file(&mut self, file: &Path) -> bool {
        let path = file.display();
        if !file.exists() {
            let folder = file.parent().unwrap_or(Path::new("."));
            let probe = folder.join(format!(".ivrpay-check-{}", std::process::id()));
            let made = std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe));
            match made {
                Ok(()) => self.good(
                    "journal",
                    format!("{path} is not there yet and can be made"),
                ),
                Err(error) => self.bad(
                    "journal",
                    format!("{path} is not there and can't be made: {error}"),
                    "make the folder, owned by the user of the service, mode 0700",
                ),
            }
            return false;
        }
        match std::fs::OpenOptions::new().append(true).open(file) {
            Ok(_) => true,
            Err(error) => {
                self.bad(
                    "journal",
                    format!("{path} can't be written: {error}"),
                    "let the user of the service own it, mode 0600",
                );
                false
            }
        }
    }

    /// Whether the clocks agree by which payments of several services are dated.
    async fn journal_clock(&mut self, journal: &Journal) -> Result<(), ivrpay_journal::Error> {
        let Some(ahead) = journal.server_ahead_ms().await? else {
            return Ok(());
        };
        if ahead.unsigned_abs() > CLOCKS_MS {
            self.bad(
                "journal",
                format!(
                    "the clock of PostgreSQL's machine differs from this one's by {} s",
                    ahead.unsigned_abs() / 1000
                ),
                "let NTP set both: when nobody can have been charged any more is reckoned by them",
            );
        }
        Ok(())
    }

    async fn journal(&mut self, config: &Config) {
        let path = &config.journal_at;
        if let Location::File(file) = path
            && !self.journal_file(file)
        {
            return;
        }
        let tasks = async {
            let journal = Journal::open_read_only(path).await?;
            self.journal_clock(&journal).await?;
            journal.tasks(&TaskFilter::default()).await
        };
        match tasks.await {
            Ok(tasks) if tasks.is_empty() => {
                self.good("journal", format!("{path} is readable and writable"))
            }
            Ok(tasks) => {
                let of = |kind| tasks.iter().filter(|t| t.kind == kind).count();
                let recordings = of(TaskKind::QuarantinedRecording);
                if recordings > 0 {
                    self.warn(
                        "journal",
                        format!("{path}: {recordings} recording(s) in which a card was spoken or keyed"),
                        "`ivrpay recording list` shows them; delete or redact each, then `ivrpay recording resolve ID`",
                    );
                }
                if recordings == tasks.len() {
                    return;
                }
                self.warn(
                    "journal",
                    format!(
                        "{path}: {} payment(s) whose outcome is unknown, {} approval(s) that the caller did not hear, {} call(s) that were promised, {} reserved amount(s) that lapse before long, {} order(s) of which a part is paid and the rest is not, {} word(s) of an acquirer that contradict the journal",
                        of(TaskKind::UnknownOutcome),
                        of(TaskKind::ApprovedCallerGone),
                        of(TaskKind::PromisedCallBack),
                        of(TaskKind::ExpiringAuthorisation),
                        of(TaskKind::UnfinishedSplit),
                        of(TaskKind::AcquirerContradicts),
                    ),
                    "`ivrpay task list` shows them; `ivrpay payment inquire ID --by NAME` asks the acquirer about an unknown one; else look it up there",
                )
            }
            Err(ivrpay_journal::Error::Version { found: 0, .. }) => self.good(
                "journal",
                format!("{path} is reached and is empty: the first start makes it"),
            ),
            Err(error) => self.bad("journal", format!("{path}: {error}"), error.hint()),
        }
    }

    async fn asterisk(&mut self, config: &Config) {
        let client = ivrpay_ari::Client::new(&config.ari);
        let client = match client {
            Ok(client) => client,
            Err(error) => return self.bad("asterisk", error.to_string(), error.hint()),
        };
        match client.info().await {
            Ok(info) => self.good(
                "asterisk",
                format!("Asterisk {} answers at {}", info.version, config.ari.url),
            ),
            Err(error) => {
                return self.bad(
                    "asterisk",
                    error.to_string(),
                    error.hint().unwrap_or(SEE_LOG),
                );
            }
        }
        // Nothing has this id: who may write is told that it is not there, who may not is refused.
        match ChannelId::new("ivrpay-check") {
            Ok(nobody) => match client.set_variable(&nobody, "IVRPAY_CHECK", "1").await {
                Err(RequestError::Gone) => self.good(
                    "asterisk",
                    format!("the ARI user {} may read and write", config.ari.user),
                ),
                Err(error) => self.bad(
                    "asterisk",
                    format!("the ARI user {} may not write: {error}", config.ari.user),
                    error.hint().unwrap_or(SEE_LOG),
                ),
                Ok(()) => self.bad(
                    "asterisk",
                    "a channel that is not there took a variable",
                    SEE_LOG,
                ),
            },
            Err(error) => self.bad("asterisk", error.to_string(), SEE_LOG),
        }
        self.application(&client, &config.ari.app).await;
        self.sounds(&client).await;
        self.dangers(&client, config).await;
    }

    /// What the guard would refuse a capture for, as far as it is true of every call.
    async fn dangers(&mut self, client: &ivrpay_ari::Client, config: &Config) {
        let today = crate::guard::today();
        for exception in &config.guard_exceptions {
            let (danger, person, until) = (exception.danger, &exception.person, exception.until);
            if exception.stands(today) {
                self.warn(
                    "asterisk",
                    format!(
                        "{person} answers for {danger} until {until}: {}",
                        danger.why()
                    ),
                    danger.hint(),
                );
            } else {
                self.warn(
                    "asterisk",
                    format!("the exception of {person} for {danger} is over since {until}"),
                    "take it out of [[guard.exceptions]]",
                );
            }
        }
        // Configuration files can be read through a channel alone; any that lives will do.
        let asked = async {
            let around = Around::ask(client).await?;
            let facts = Facts::ask(client, around.some_channel()).await?;
            Ok::<_, RequestError>((facts, around))
        };
        let (facts, around) = match asked.await {
            Ok(asked) => asked,
            Err(error) => {
                return self.bad(
                    "asterisk",
                    format!("does not say whether it would betray a card: {error}"),
                    error.hint().unwrap_or(SEE_LOG),
                );
            }
        };
        let dangers = facts.dangers();
        for danger in &dangers {
            self.bad("asterisk", danger.why(), danger.hint());
        }
        let listeners = around.listeners(&config.ari.app);
        for app in &listeners {
            self.bad(
                "asterisk",
                format!("the ARI application {app} gets the keys of every call"),
                Danger::SubscribedApp.hint(),
            );
        }
        if dangers.is_empty() && listeners.is_empty() {
            let cel = if around.some_channel().is_none() {
                "; CEL was not looked at, since no call is on"
            } else {
                ""
            };
            self.good(
                "asterisk",
                format!("no log, no record and no other application gets keys{cel}"),
            );
        }
    }

    /// Whether calls would reach the service: the dialplan's `Stasis()` has to name the application that we open.
    async fn application(&mut self, client: &ivrpay_ari::Client, app: &str) {
        match client.applications().await {
            Ok(known) if known.iter().any(|a| a.name == app) => self.good(
                "asterisk",
                format!("a service is connected as application {app}: Stasis({app},…) reaches it"),
            ),
            Ok(known) => {
                let names: Vec<&str> = known.iter().map(|a| a.name.as_str()).collect();
                self.warn(
                    "asterisk",
                    format!("no service is connected as application {app}; connected are {names:?}"),
                    "start `ivrpay serve`; if it runs, name the application of [ari] app in the dialplan's Stasis(), or the other way round: until then callers hear the fallback",
                );
            }
            Err(error) => self.bad(
                "asterisk",
                format!("does not list its applications: {error}"),
                error.hint().unwrap_or(SEE_LOG),
            ),
        }
    }

    /// Whether Asterisk itself has the prompts, wherever its folder of sounds is.
    async fn sounds(&mut self, client: &ivrpay_ari::Client) {
        let known = match client.sounds().await {
            Ok(known) => known,
            Err(error) => {
                return self.bad(
                    "asterisk",
                    format!("does not list its sounds: {error}"),
                    error.hint().unwrap_or(SEE_LOG),
                );
            }
        };
        let has = |language: &str, name: &str| {
            known.iter().any(|sound| {
                sound.id.strip_prefix("ivrpay/") == Some(name)
                    && sound.languages.iter().any(|l| l.language == language)
            })
        };
        let (mut prompts, mut missing) = (0, Vec::new());
        for (language, name) in ivrpay_prompts::every_file() {
            prompts += 1;
            if !has(language.code(), name) {
                missing.push(format!("{language}/ivrpay/{name}"));
            }
        }
        match missing.first() {
            None => self.good("asterisk", format!("Asterisk has all {prompts} prompts")),
            Some(first) => self.bad(
                "asterisk",
                format!(
                    "Asterisk has {} of {prompts} prompts not, the first: {first}",
                    missing.len()
                ),
                "copy asterisk-conf/sounds/{ja,en}/ivrpay into the languages' folders below `sounds` of its data directory (`core show settings` names it), let its user read them, and restart Asterisk",
            ),
        }
    }

    /// The endpoints of Asterisk; that it does not tell them is a fact of the ring.
    async fn known_endpoints(
        &mut self,
        ring: &'static str,
        client: &ivrpay_ari::Client,
    ) -> Option<Vec<ivrpay_ari::Endpoint>> {
        match client.endpoints().await {
            Ok(known) => Some(known),
            Err(error) => {
                self.bad(
                    ring,
                    format!("Asterisk does not list its endpoints: {error}"),
                    error.hint().unwrap_or(SEE_LOG),
                );
                None
            }
        }
    }

    /// Recorders outside Asterisk, which nobody but the configuration knows.
    async fn recorders(&mut self, config: &Config) {
        if config.recorders.is_empty() {
            self.good(
                "recorder",
                "none outside Asterisk is named ([[recorders]]): SIPREC, SPAN ports, softphones, screens and transcription are yours to name",
            );
        }
        for recorder in config.recorders.iter() {
            match recorder.shown().await {
                Ok(fact) => self.good("recorder", fact),
                Err((fact, hint)) => self.bad("recorder", fact, hint),
            }
        }
    }

    /// Those that say what an order costs.
    async fn merchants(&mut self, config: &Config) {
        for tenant in &config.tenants {
            let Some(lookup) = &tenant.lookup else {
                continue;
            };
            let (name, host) = (&tenant.id, lookup.host());
            match lookup.probe().await {
                Ok(()) => self.good(
                    "merchant",
                    format!("{name}: {host} can be asked about orders"),
                ),
                Err(error) => self.bad(
                    "merchant",
                    format!(
                        "{name}: {host} {error}; no order is taken on the line without an operator"
                    ),
                    "start it, or mend [tenants.lookup] url",
                ),
            }
        }
    }

    /// Those that are told what became of payments.
    async fn webhooks(&mut self, config: &Config) {
        for tenant in &config.tenants {
            let Some(webhook) = &tenant.webhook else {
                continue;
            };
            let (name, host) = (&tenant.id, webhook.host());
            match webhook.look().await {
                Ok(()) => self.good(
                    "webhook",
                    format!("{name}: events go to {host}; `ivrpay webhook test {name}` sends one"),
                ),
                Err(error) => self.bad(
                    "webhook",
                    format!("{name}: {host}: {error}; its events wait, for 72 hours at most"),
                    WebhookError::Unreached(error).hint(),
                ),
            }
        }
    }

    async fn acquirers(&mut self, config: &Config) {
        crate::install_crypto();
        for (name, connector) in &config.connectors {
            let Some(endpoint) = &connector.endpoint else {
                self.good(
                    "acquirer",
                    format!("{name}: nothing leaves (null connector)"),
                );
                continue;
            };
            let probed = match ivrpay_wire::Sender::new(endpoint) {
                Ok(sender) => sender
                    .probe()
                    .await
                    .map(|reached| format!("{} answers with {}", reached.peer, reached.tls))
                    .map_err(|e| (e.to_string(), e.hint())),
                Err(error) => Err((error.to_string(), error.hint())),
            };
            match probed {
                Ok(fact) => self.good("acquirer", format!("{name}: {fact}")),
                Err((fact, hint)) => self.bad("acquirer", format!("{name}: {fact}"), hint),
            }
            if endpoint.card_kept == CardKept::UntilAnswer {
                self.good(
                    "acquirer",
                    format!("{name}: a card is kept until its answer, 60 s at most (card_kept)"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::config::tests::{Folder, SAMPLE};

    /// Of a file, and of a database that other services share.
    #[test]
    fn what_of_the_places_is_whose() {
        let shared = "url = \"postgres://ivrpay@localhost/ivrpay\"\n#path = \"/var";
        for (place, pool, expected) in [
            (
                "",
                "guaranteed = 30\nlimit = 50",
                [
                    (
                        Verdict::Good,
                        "pool gold: 30 places guaranteed, at most 50; shop",
                    ),
                    (Verdict::Good, "170 places are shared: the pools"),
                ],
            ),
            (
                "",
                "guaranteed = 200",
                [
                    (
                        Verdict::Good,
                        "pool gold: 200 places guaranteed, at most 200; shop",
                    ),
                    (Verdict::Good, "0 places are shared: the pools"),
                ],
            ),
            (
                "",
                "limit = 300",
                [
                    (
                        Verdict::Warning,
                        "pool gold may have 300 places, and there are 200 for it",
                    ),
                    (Verdict::Good, "200 places are shared: the pools"),
                ],
            ),
            (
                shared,
                "limit = 300",
                [
                    (
                        Verdict::Good,
                        "pool gold: 0 places guaranteed, at most 300; shop",
                    ),
                    (Verdict::Good, "200 places are shared: the pools"),
                ],
            ),
            (
                shared,
                "",
                [
                    (
                        Verdict::Good,
                        "pool gold: 0 places guaranteed, at most 200 at this service; shop",
                    ),
                    (Verdict::Good, "200 places are shared: the pools"),
                ],
            ),
            (
                "",
                "guaranteed = 200\n[pools.lead]",
                [
                    (
                        Verdict::Good,
                        "pool gold: 200 places guaranteed, at most 200; shop",
                    ),
                    (
                        Verdict::Bad,
                        "every place is guaranteed to a pool: who is guaranteed none never gets one",
                    ),
                ],
            ),
        ] {
            let second = "[[tenants]]\nname = \"second\"\nmode = \"test\"\nconnector = \"generic\"\npool = \"lead\"\n";
            let second = if pool.contains("lead") { second } else { "" };
            let shop = "name = \"shop\"                            # as in";
            let text = SAMPLE
                .replace(shop, &format!("pool = \"gold\"\n{shop}"))
                .replacen(
                    "#path = \"/var",
                    if place.is_empty() {
                        "#path = \"/var"
                    } else {
                        place
                    },
                    1,
                );
            let config = Folder::new()
                .load(&format!("{text}\n[pools.gold]\n{pool}\n{second}"))
                .unwrap();
            let mut tell = |_: &Fact| {};
            let mut check = Check::new(&mut tell);
            check.pools(&config);
            let facts: Vec<_> = check
                .facts
                .iter()
                .filter(|fact| !fact.fact.contains("pool lead"))
                .map(|fact| (fact.verdict, &*fact.fact))
                .collect();
            assert_eq!(facts, expected, "{pool}");
        }
    }
}
