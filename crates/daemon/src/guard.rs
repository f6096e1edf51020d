//! Whether Asterisk would betray a card: asked before every capture, answers kept for a short, named time.
//!
//! What ARI shows is looked at. AMI users, the dialplan and MixMonitor it does not show (`ivrpay audit` looks at them over AMI, and the
//! caller's voice is muted for recorders), and debug switches hardly anybody (the audit names those that it can't see). Not knowing is not
//! safe: what Asterisk does not answer refuses the capture.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use ivrpay_ari::{
    Application, Bridge, Channel, ChannelId, Client, Info, LogChannel, Module, RequestError,
};
use ivrpay_audit::{Version, is_false, is_true};
use ivrpay_dialogue::operator::Refusal;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::order;

/// How long an answer of Asterisk about itself stands. What is switched on in between is seen by the next call. Who is there beside a
/// call is asked for after it came.
pub(crate) const ANSWER_KEPT: Duration = Duration::from_secs(5);

/// Longest wait for an answer; then it is not known.
const ANSWER_MAX: Duration = Duration::from_secs(6);

/// Lines `events` of cel.conf that are read.
const CEL_LINES_MAX: i32 = 16;

/// The section of pjsip.conf with `type = global`. ARI answers for a name alone, and does not list names.
const PJSIP_GLOBAL: &str = "global";

/// Endpoints whose settings are kept; one more, and all are asked anew.
const ENDPOINTS_MAX: usize = 1_000;

/// Longest time that an exception may stand, days.
pub(crate) const EXCEPTION_DAYS_MAX: i64 = 30;

/// What can betray a card. The names are those of `[[guard.exceptions]]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Danger {
    /// A log channel writes every key, or there is none, and standard output gets it.
    DtmfLog,
    /// CEL stores every key.
    CelKeys,
    /// A recorder that we can't mute is on the call.
    Recorder,
    /// The call is in a bridge that carries keys past Asterisk.
    NativeBridge,
    /// Another application gets the caller's keys.
    SubscribedApp,
    /// Somebody listens to the caller.
    Spy,
    /// The caller's endpoint may send audio and keys past Asterisk, or does not say.
    DirectMedia,
    /// SIP messages, and keys in them, are logged or sent away, or Asterisk does not say.
    SipCopy,
    /// The caller comes by no trunk of the edge.
    NotATrunk,
    /// Asterisk did not mute the caller.
    NotMuted,
    /// A recorder outside Asterisk did not say that it pauses.
    RecorderRuns,
    /// Asterisk did not answer.
    NotKnown,
}

impl Danger {
    /// As it is written in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DtmfLog => "dtmf-log",
            Self::CelKeys => "cel-keys",
            Self::Recorder => "recorder",
            Self::NativeBridge => "native-bridge",
            Self::SubscribedApp => "subscribed-app",
            Self::Spy => "spy",
            Self::DirectMedia => "direct-media",
            Self::SipCopy => "sip-copy",
            Self::NotATrunk => "not-a-trunk",
            Self::NotMuted => "not-muted",
            Self::RecorderRuns => "recorder-runs",
            Self::NotKnown => "not-known",
        }
    }

    /// What is so, for an admin.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::DtmfLog => {
                "a log channel of Asterisk has the level DTMF, or it has no log channel at all and prints everything to standard output: every key is written"
            }
            Self::CelKeys => "CEL stores every key (events=ALL or DTMF)",
            Self::Recorder => "an ARI recording runs on the caller's channel",
            Self::NativeBridge => {
                "the caller is in a native bridge: keys go past Asterisk, and to the other side"
            }
            Self::SubscribedApp => "another ARI application gets the caller's keys",
            Self::Spy => {
                "somebody listens to the caller or to his operator (snoop, ChanSpy, ExtenSpy)"
            }
            Self::DirectMedia => {
                "the caller's endpoint has direct_media=yes, or is of chan_sip, which does not say: audio and keys may go past Asterisk"
            }
            Self::SipCopy => {
                "Asterisk logs SIP messages or sends copies of them away, and keys sent by INFO with them; or it can't be asked, since pjsip.conf has no [global]"
            }
            Self::NotATrunk => {
                "the caller's channel is of none of [edge] trunks: his keys pass the PBX that sends him"
            }
            Self::NotMuted => {
                "Asterisk did not mute the caller, so that a recording would hear him"
            }
            Self::RecorderRuns => {
                "a recorder outside Asterisk did not acknowledge its pause, or the journal could not keep that it is paused"
            }
            Self::NotKnown => "Asterisk does not say whether it is safe",
        }
    }

    /// What to change.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::DtmfLog => {
                "logger.conf: take `dtmf` and `*` out of every line of [logfiles] and leave one there (`console => notice,warning,error`), then `logger reload`; for a channel of the CLI, `logger remove channel NAME`"
            }
            Self::CelKeys => {
                "cel.conf: name the events one by one, without ALL and DTMF, then `module reload cel`"
            }
            Self::Recorder => "stop the recording, or begin it behind the payment",
            Self::NativeBridge => "the bridge has to be of type mixing,dtmf_events,proxy_media",
            Self::SubscribedApp => {
                "let the other application connect without subscribeAll and without a subscription to this endpoint, or take ChannelDtmfReceived from it: PUT /applications/NAME/eventFilter {\"disallowed\":[{\"type\":\"ChannelDtmfReceived\"}]}"
            }
            Self::Spy => {
                "hang up the spying channel, or say spy = \"detach\" in the tenant: whoever listens by ChanSpy or ExtenSpy is then taken off for the capture"
            }
            Self::DirectMedia => {
                "pjsip.conf: direct_media = no in the endpoint (asterisk-conf/ivrpay-pjsip.conf), then `module reload res_pjsip.so`; a trunk of chan_sip: move it to PJSIP"
            }
            Self::SipCopy => {
                "pjsip.conf: `[global]`, by this name alone, with type = global and debug = no, then `module reload res_pjsip.so`; modules.conf: noload = res_hep_pjsip.so"
            }
            Self::NotATrunk => {
                "let the office PBX hand its caller back (Transfer(), docs/edge.md) instead of placing a call; an endpoint that is a trunk of this Asterisk belongs into [edge] trunks"
            }
            Self::NotMuted => "let the ARI user write (read_only = no)",
            Self::RecorderRuns => "[[recorders]]; `ivrpay check` shows each",
            Self::NotKnown => {
                "see that the ARI user may read, and that Asterisk is not too old (16.3 or later)"
            }
        }
    }

    /// What the operator is told.
    #[must_use]
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::Spy => Refusal::Monitored,
            Self::Recorder | Self::RecorderRuns => Refusal::Recorded,
            _ => Refusal::Unsafe,
        }
    }

    /// True of Asterisk as a whole, whoever the customer is.
    const fn is_of_every_call(self) -> bool {
        matches!(
            self,
            Self::DtmfLog | Self::CelKeys | Self::SipCopy | Self::NotKnown
        )
    }

    /// Whether a person may answer for it for a while. Never for what stores keys, or carries them past us.
    #[must_use]
    pub const fn may_be_excepted(self) -> bool {
        matches!(
            self,
            Self::SubscribedApp | Self::Spy | Self::DirectMedia | Self::SipCopy
        )
    }
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A danger that somebody answers for until a day: `[[guard.exceptions]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// Which.
    pub danger: Danger,
    /// Who answers for it.
    pub person: String,
    /// Why.
    pub reason: String,
    /// Last day, UTC.
    pub until: jiff::civil::Date,
}

impl Exception {
    /// Whether it stands on that day.
    #[must_use]
    pub fn stands(&self, today: jiff::civil::Date) -> bool {
        today <= self.until
    }
}

/// Today, UTC.
pub(crate) fn today() -> jiff::civil::Date {
    jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date()
}

/// What Asterisk said about itself: true of every call.
pub(crate) struct Facts {
    logging: Vec<LogChannel>,
    modules: Vec<Module>,
    info: Info,
    /// `events` of cel.conf, where CEL is on. Not looked at where no call was on that could be asked.
    cel: Option<String>,
    /// Whether SIP messages are logged (`debug` of [`PJSIP_GLOBAL`]); `None`: there is no such section, and another of its type, whose
    /// name nobody tells us, may log them.
    sip_debug: Option<bool>,
}

/// Whose voices and keys it is about.
#[derive(Clone, Copy)]
pub(crate) struct Legs<'a> {
    /// The customer's channel, and its name.
    pub(crate) customer: (&'a ChannelId, &'a str),
    /// The operator's, where he is beside the customer.
    pub(crate) operator: Option<(&'a ChannelId, &'a str)>,
    /// Whoever listens and can be taken off will be: no danger.
    pub(crate) taken_off: bool,
}

impl<'a> Legs<'a> {
    /// Of a customer without an operator, to whom nobody may listen.
    pub(crate) const fn alone(id: &'a ChannelId, name: &'a str) -> Self {
        Self {
            customer: (id, name),
            operator: None,
            taken_off: false,
        }
    }
}

/// Who is there beside a call: true at one moment.
pub(crate) struct Around {
    applications: Vec<Application>,
    channels: Vec<Channel>,
    bridges: Vec<Bridge>,
}

/// An answer, or that there was none, and when it was asked for.
type Asked<T> = Option<(Instant, Option<T>)>;

/// Asks Asterisk before every capture.
pub(crate) struct Guard {
    app: String,
    exceptions: Vec<Exception>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    facts: Asked<Facts>,
    around: Asked<Around>,
    /// Whether an endpoint may send media past Asterisk.
    direct_media: HashMap<String, (Instant, Option<bool>)>,
}

/// Awaits an answer for [`ANSWER_MAX`] at most.
async fn ask<T>(question: impl Future<Output = Result<T, RequestError>>) -> (Instant, Option<T>) {
    let asked = Instant::now();
    let answer = tokio::time::timeout(ANSWER_MAX, question).await;
    (asked, answer.ok().and_then(Result::ok))
}

impl Guard {
    pub(crate) fn new(app: &str, exceptions: Vec<Exception>) -> Self {
        Self {
            app: app.to_owned(),
            exceptions,
            kept: Mutex::default(),
        }
    }

    /// What somebody answers for today among the dangers of this call, which came at `arrived`, where that is all there is.
    ///
    /// # Errors
    /// The danger for which no card may be keyed now.
    pub(crate) async fn check(
        &self,
        client: &Client,
        legs: Legs<'_>,
        arrived: Instant,
    ) -> Result<Vec<Danger>, Danger> {
        self.check_those(client, legs, arrived, |_| true).await
    }

    /// As [`Self::check`], of the dangers that `counts` names alone; that Asterisk does not answer is always one.
    async fn check_those(
        &self,
        client: &Client,
        legs: Legs<'_>,
        arrived: Instant,
        counts: fn(Danger) -> bool,
    ) -> Result<Vec<Danger>, Danger> {
        let (channel, name) = legs.customer;
        // One call asks, those that come meanwhile wait for its answer; that there was none is an answer too.
        let mut kept = self.kept.lock().await;
        let fresh = |asked: Instant| asked.elapsed() < ANSWER_KEPT;
        if !kept.facts.as_ref().is_some_and(|(asked, _)| fresh(*asked)) {
            let asked = Instant::now();
            let answer = tokio::time::timeout(ANSWER_MAX, Facts::ask(client, Some(channel))).await;
            // Files are read through this channel: that it hung up says nothing to the others.
            if matches!(answer, Ok(Err(RequestError::Gone))) {
                kept.facts = None;
                return Err(Danger::NotKnown);
            }
            kept.facts = Some((asked, answer.ok().and_then(Result::ok)));
        }
        // What another call was told before this one came says nothing of this one.
        if kept
            .around
            .as_ref()
            .is_none_or(|(asked, _)| *asked < arrived)
        {
            kept.around = Some(ask(Around::ask(client)).await);
        }
        // What chan_sip lets its peers do, it tells nobody.
        let mut direct_media = name.starts_with("SIP/");
        if let Some(endpoint) = pjsip_endpoint(name) {
            let known = kept.direct_media.get(endpoint);
            let known = match known.filter(|(asked, _)| fresh(*asked)) {
                Some((_, known)) => *known,
                None => {
                    let (asked, settings) = ask(client.pjsip_settings("endpoint", endpoint)).await;
                    let known = settings.map(|settings| {
                        !settings
                            .iter()
                            .any(|s| s.attribute == "direct_media" && is_off(&s.value))
                    });
                    if kept.direct_media.len() >= ENDPOINTS_MAX {
                        kept.direct_media.clear();
                    }
                    kept.direct_media
                        .insert(endpoint.to_owned(), (asked, known));
                    known
                }
            };
            direct_media = known.ok_or(Danger::NotKnown)?;
        }
        let (Some((_, Some(facts))), Some((_, Some(around)))) = (&kept.facts, &kept.around) else {
            return Err(Danger::NotKnown);
        };
        let mut dangers = facts.dangers();
        dangers.extend(around.dangers(&self.app, legs));
        if direct_media {
            dangers.push(Danger::DirectMedia);
        }
        dangers.retain(|danger| counts(*danger));
        let today = today();
        let excepted = |danger: &Danger| {
            danger.may_be_excepted()
                && self
                    .exceptions
                    .iter()
                    .any(|e| e.danger == *danger && e.stands(today))
        };
        match dangers.iter().find(|danger| !excepted(danger)) {
            Some(danger) => Err(*danger),
            None => Ok(dangers),
        }
    }

    /// As [`Self::check`], of a customer who still talks with an operator: as far as can be known before he moves.
    ///
    /// # Errors
    /// The danger that stays when he has moved.
    pub(crate) async fn before_the_move(
        &self,
        client: &Client,
        legs: Legs<'_>,
        arrived: Instant,
    ) -> Result<(), Danger> {
        // Two people who talk may do so natively; the customer leaves that bridge.
        let stays = |danger| danger != Danger::NativeBridge;
        let checked = self.check_those(client, legs, arrived, stays).await;
        checked.map(drop)
    }

    /// As [`Self::check`], where nobody knows who the customer will be: what is true of every call. `channel`: one that lives.
    ///
    /// # Errors
    /// The danger that every customer would have.
    pub(crate) async fn of_every_call(
        &self,
        client: &Client,
        channel: (&ChannelId, &str),
        arrived: Instant,
    ) -> Result<(), Danger> {
        let legs = Legs::alone(channel.0, channel.1);
        let checked = self.check_those(client, legs, arrived, Danger::is_of_every_call);
        checked.await.map(drop)
    }
}

impl Facts {
    /// `channel`: one that lives, through which configuration files can be read (func_config.so).
    pub(crate) async fn ask(
        client: &Client,
        channel: Option<&ChannelId>,
    ) -> Result<Self, RequestError> {
        let (logging, modules, info) =
            tokio::try_join!(client.logging(), client.modules(), client.info())?;
        let sip_debug = match client.pjsip_settings("global", PJSIP_GLOBAL).await {
            Ok(global) => Some(
                global
                    .iter()
                    .any(|s| s.attribute == "debug" && !is_off(&s.value)),
            ),
            Err(RequestError::Gone) if runs(&modules, "res_pjsip.so") => None,
            // No PJSIP.
            Err(RequestError::Gone) => Some(false),
            Err(error) => return Err(error),
        };
        let mut facts = Self {
            logging,
            modules,
            info,
            cel: None,
            sip_debug,
        };
        if let Some(channel) = channel
            && facts.runs("cel_")
        {
            facts.cel = facts.cel_events(client, channel).await?;
        }
        Ok(facts)
    }

    /// What CEL stores by its file, read as Asterisk reads it: the last `enable` counts, and all `events` together. All that it can
    /// where its file can't be read. What runs may be older than the file: that ARI does not show.
    async fn cel_events(
        &self,
        client: &Client,
        channel: &ChannelId,
    ) -> Result<Option<String>, RequestError> {
        if !self.runs("func_config.so") {
            return Ok(Some("ALL".into()));
        }
        let read = async |key: &str, index: i32| {
            let function = format!("AST_CONFIG(cel.conf,general,{key},{index})");
            match client.get_variable(channel, &function).await {
                // No such file, section, key or index.
                Err(RequestError::Refused { status: 500 }) => Ok(None),
                answer => answer,
            }
        };
        let enable = read("enable", -1).await?.unwrap_or_default();
        if !is_true(&enable) {
            return Ok(None);
        }
        let mut events = Vec::new();
        for index in 0..CEL_LINES_MAX {
            match read("events", index).await? {
                Some(more) => events.push(more),
                None => return Ok(Some(events.join(","))),
            }
        }
        // More than anybody writes: not read to its end.
        Ok(Some("ALL".into()))
    }

    fn runs(&self, module: &str) -> bool {
        runs(&self.modules, module)
    }

    /// What is true of every call.
    pub(crate) fn dangers(&self) -> Vec<Danger> {
        let mut dangers = Vec::new();
        // Without any channel Asterisk prints to standard output whatever comes, keys too (main/logger.c, logger_print_normal).
        if self.logging.is_empty() || self.logging.iter().any(writes_keys) {
            dangers.push(Danger::DtmfLog);
        }
        if self.cel.as_deref().is_some_and(names_keys)
            && Version::cel_knows_keys(Version::read(&self.info.version))
        {
            dangers.push(Danger::CelKeys);
        }
        if self.sip_debug != Some(false) || self.runs("res_hep_pjsip.so") {
            dangers.push(Danger::SipCopy);
        }
        dangers
    }
}

impl Around {
    pub(crate) async fn ask(client: &Client) -> Result<Self, RequestError> {
        let (applications, channels, bridges) =
            tokio::try_join!(client.applications(), client.channels(), client.bridges())?;
        Ok(Self {
            applications,
            channels,
            bridges,
        })
    }

    /// Any channel: configuration files can be read through it.
    pub(crate) fn some_channel(&self) -> Option<&ChannelId> {
        self.channels.first().map(|c| &c.id)
    }

    /// Applications that get the keys of all channels.
    pub(crate) fn listeners(&self, own: &str) -> Vec<&str> {
        self.applications
            .iter()
            .filter(|a| a.name != own && gets_keys(a) && gets_many(a))
            .map(|a| a.name.as_str())
            .collect()
    }

    /// What is true of one call.
    fn dangers(&self, own: &str, legs: Legs<'_>) -> Vec<Danger> {
        let (id, name) = legs.customer;
        let mut dangers = Vec::new();
        let endpoint = order::endpoint_of(name);
        // An application can be subscribed to one endpoint, or to all of a technology.
        let technology = name.split('/').next().unwrap_or_default();
        let subscribed = |app: &Application| {
            app.channel_ids.iter().any(|c| c == ALL || c == id.as_str())
                || app
                    .endpoint_ids
                    .iter()
                    .any(|e| e == endpoint || e.eq_ignore_ascii_case(technology))
        };
        if self
            .applications
            .iter()
            .any(|app| app.name != own && gets_keys(app) && subscribed(app))
        {
            dangers.push(Danger::SubscribedApp);
        }
        let both = [Some(legs.customer), legs.operator];
        let spies = both.into_iter().flatten().any(|leg| {
            let spying = |c: &&Channel| listens(c, leg.0, leg.1);
            let mut spies = self.channels.iter().filter(spying);
            spies.any(|spy| !(legs.taken_off && can_be_taken_off(spy)))
        });
        if spies {
            dangers.push(Danger::Spy);
        }
        for bridge in self
            .bridges
            .iter()
            .filter(|b| b.channels.iter().any(|c| c == id.as_str()))
        {
            if bridge.technology.starts_with("native") {
                dangers.push(Danger::NativeBridge);
            }
            let recorder = |member: &String| {
                self.channels
                    .iter()
                    .any(|c| c.id.as_str() == member && c.name.starts_with("Recorder/"))
            };
            if bridge.channels.iter().any(recorder) {
                dangers.push(Danger::Recorder);
            }
        }
        dangers
    }
}

/// The subscription to every channel, as `GET /applications` names it (res/stasis/app.c).
const ALL: &str = "__AST_CHANNEL_ALL_TOPIC";

/// `PJSIP/trunk-0000002a` is of endpoint trunk.
fn pjsip_endpoint(channel: &str) -> Option<&str> {
    let name = channel.strip_prefix("PJSIP/")?;
    name.rsplit_once('-').map(|(endpoint, _)| endpoint)
}

fn runs(modules: &[Module], module: &str) -> bool {
    modules
        .iter()
        .any(|m| m.name.starts_with(module) && m.status == "Running")
}

fn is_off(value: &str) -> bool {
    value.is_empty() || is_false(value)
}

/// Whether an application is subscribed to all channels, or to those of a whole technology.
fn gets_many(app: &Application) -> bool {
    app.channel_ids.iter().any(|c| c == ALL)
        || app
            .endpoint_ids
            .iter()
            .any(|e| !e.is_empty() && !e.contains('/') && !e.starts_with("__"))
}

/// An application that is given ChannelDtmfReceived: no filter takes it away.
fn gets_keys(app: &Application) -> bool {
    let keys = |types: &[String]| {
        types
            .iter()
            .any(|t| t.eq_ignore_ascii_case("ChannelDtmfReceived"))
    };
    let allowed = app.events_allowed.is_empty() || keys(&app.events_allowed);
    allowed && !keys(&app.events_disallowed)
}

/// A channel that listens to this one: an ARI snoop names it, ChanSpy the beginning of a name or of an id, or nothing.
pub(crate) fn listens(spy: &Channel, id: &ChannelId, name: &str) -> bool {
    if let Some(of) = spy.name.strip_prefix("Snoop/") {
        return of.rsplit_once('-').map_or(of, |(channel, _)| channel) == id.as_str();
    }
    match spy.dialplan.app_name.as_str() {
        "ChanSpy" => {
            let of = spy.dialplan.app_data.split(',').next().unwrap_or_default();
            let of = of.to_ascii_lowercase();
            name.to_ascii_lowercase().starts_with(&of) || id.as_str().starts_with(&of)
        }
        // Which channel an extension has, it does not say.
        "ExtenSpy" => true,
        _ => false,
    }
}

/// Somebody who can be sent away and come back: he runs an application of the dialplan. A snoop is another ARI application's.
pub(crate) fn can_be_taken_off(spy: &Channel) -> bool {
    matches!(spy.dialplan.app_name.as_str(), "ChanSpy" | "ExtenSpy")
}

/// `configuration` is a list of level names in capitals, with blanks between them.
fn writes_keys(channel: &LogChannel) -> bool {
    channel.status.eq_ignore_ascii_case("Enabled")
        && channel
            .configuration
            .split_whitespace()
            .any(|level| level.eq_ignore_ascii_case("DTMF"))
}

fn names_keys(events: &str) -> bool {
    events
        .split(',')
        .map(str::trim)
        .any(|e| e.eq_ignore_ascii_case("ALL") || e.eq_ignore_ascii_case("DTMF"))
}

#[cfg(test)]
mod asked;

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            logging: vec![log("Enabled", "NOTICE WARNING ERROR ")],
            modules: Vec::new(),
            info: serde_json::from_str(r#"{"system":{"version":"22.10.1"}}"#).unwrap(),
            cel: None,
            sip_debug: Some(false),
        }
    }

    fn around() -> Around {
        Around {
            applications: Vec::new(),
            channels: Vec::new(),
            bridges: Vec::new(),
        }
    }

    fn json<T: serde::de::DeserializeOwned>(text: &str) -> T {
        serde_json::from_str(text).unwrap()
    }

    fn log(status: &str, levels: &str) -> LogChannel {
        json(&format!(
            r#"{{"channel":"/var/log/full","type":"File","status":"{status}","configuration":"{levels}"}}"#
        ))
    }

    #[test]
    fn a_log_of_keys_is_a_danger() {
        for (status, levels, danger) in [
            ("Enabled", "NOTICE WARNING ERROR ", false),
            (
                "Enabled",
                "DEBUG NOTICE WARNING ERROR VERBOSE DTMF FAX ",
                true,
            ),
            ("Disabled", "DTMF ", false),
        ] {
            let mut facts = facts();
            facts.logging = vec![log("Enabled", "NOTICE "), log(status, levels)];
            let found = facts.dangers() == [Danger::DtmfLog];
            assert_eq!(found, danger, "{status} {levels}");
        }
        let mut facts = facts();
        facts.logging.clear();
        assert_eq!(facts.dangers(), [Danger::DtmfLog], "no channel at all");
    }

    #[test]
    fn cel_is_a_danger_where_it_knows_keys() {
        for (version, events, danger) in [
            ("22.10.1", "ALL", true),
            ("22.10.1", "CHAN_START, dtmf", true),
            ("22.10.1", "CHAN_START,HANGUP", false),
            ("22.5.9", "ALL", false),
            ("20.16.0", "ALL", true),
            ("18.26.4", "ALL", false),
            ("certified/22.8-cert1", "ALL", true),
            ("GIT-master-1a2b", "ALL", true),
        ] {
            let mut facts = facts();
            facts.info =
                serde_json::from_str(&format!(r#"{{"system":{{"version":"{version}"}}}}"#))
                    .unwrap();
            facts.cel = Some(events.into());
            let found = facts.dangers() == [Danger::CelKeys];
            assert_eq!(found, danger, "{version} {events}");
        }
    }

    #[test]
    fn other_applications_are_a_danger_when_they_get_keys() {
        let id = ChannelId::new("1700000000.7").unwrap();
        for (app, danger) in [
            (
                r#""name":"wallboard","channel_ids":["__AST_CHANNEL_ALL_TOPIC"]"#,
                true,
            ),
            (
                r#""name":"wallboard","channel_ids":["__AST_CHANNEL_ALL_TOPIC"],"events_disallowed":[{"type":"ChannelDtmfReceived"}]"#,
                false,
            ),
            (
                r#""name":"wallboard","channel_ids":["__AST_CHANNEL_ALL_TOPIC"],"events_allowed":[{"type":"StasisStart"}]"#,
                false,
            ),
            (
                r#""name":"wallboard","channel_ids":["__AST_CHANNEL_ALL_TOPIC"],"events_allowed":[{"type":"ChannelDtmfReceived"}]"#,
                true,
            ),
            (r#""name":"cti","channel_ids":["1700000000.7"]"#, true),
            (r#""name":"cti","channel_ids":["1700000000.8"]"#, false),
            (
                r#""name":"cti","channel_ids":[],"endpoint_ids":["PJSIP/trunk"]"#,
                true,
            ),
            (
                r#""name":"cti","channel_ids":[],"endpoint_ids":["PJSIP/other"]"#,
                false,
            ),
            (
                r#""name":"cti","channel_ids":[],"endpoint_ids":["PJSIP"]"#,
                true,
            ),
            (
                r#""name":"cti","channel_ids":[],"endpoint_ids":["IAX2"]"#,
                false,
            ),
            (
                r#""name":"ivrpay","channel_ids":["__AST_CHANNEL_ALL_TOPIC"]"#,
                false,
            ),
        ] {
            let mut facts = around();
            facts.applications = vec![json(&format!("{{{app}}}"))];
            let found = facts.dangers("ivrpay", Legs::alone(&id, "PJSIP/trunk-0000002a"));
            assert_eq!(found == [Danger::SubscribedApp], danger, "{app}");
        }
    }

    #[test]
    fn spies_recorders_and_native_bridges_are_dangers() {
        let id = ChannelId::new("1700000000.7").unwrap();
        let channel = |id: &str, name: &str, app: &str, data: &str| -> Channel {
            json(&format!(
                r#"{{"id":"{id}","name":"{name}","state":"Up","dialplan":{{"app_name":"{app}","app_data":"{data}"}}}}"#
            ))
        };
        let bridge = |technology: &str, members: &str| -> Bridge {
            json(&format!(
                r#"{{"id":"b","technology":"{technology}","channels":[{members}]}}"#
            ))
        };
        let own = r#""1700000000.7""#;
        let both = r#""1700000000.7","r""#;
        let recorder = channel("r", "Recorder/ARI-0000000b;2", "", "");
        for (channels, bridges, danger) in [
            (
                vec![channel("s", "Snoop/1700000000.7-00000001", "Stasis", "x")],
                vec![],
                Some(Danger::Spy),
            ),
            (
                vec![channel("s", "Snoop/1700000000.8-00000001", "Stasis", "x")],
                vec![],
                None,
            ),
            (
                vec![channel("s", "PJSIP/201-00000002", "ChanSpy", "PJSIP/tr,q")],
                vec![],
                Some(Danger::Spy),
            ),
            (
                vec![channel(
                    "s",
                    "PJSIP/201-00000002",
                    "ChanSpy",
                    "pjsip/trunk,q",
                )],
                vec![],
                Some(Danger::Spy),
            ),
            (
                vec![channel(
                    "s",
                    "PJSIP/201-00000002",
                    "ChanSpy",
                    "1700000000.7,uq",
                )],
                vec![],
                Some(Danger::Spy),
            ),
            (
                vec![channel("s", "Snoop/1700000000.71-00000001", "Stasis", "x")],
                vec![],
                None,
            ),
            (
                vec![channel("s", "PJSIP/201-00000002", "ChanSpy", ",q")],
                vec![],
                Some(Danger::Spy),
            ),
            (
                vec![channel("s", "PJSIP/201-00000002", "ChanSpy", "PJSIP/202")],
                vec![],
                None,
            ),
            (
                vec![],
                vec![bridge("native_rtp", own)],
                Some(Danger::NativeBridge),
            ),
            (vec![], vec![bridge("simple_bridge", own)], None),
            (
                vec![recorder.clone()],
                vec![bridge("softmix", both)],
                Some(Danger::Recorder),
            ),
            (
                vec![recorder.clone()],
                vec![bridge("softmix", r#""other","r""#)],
                None,
            ),
        ] {
            let mut facts = around();
            facts.channels = channels;
            facts.bridges = bridges;
            let found = facts.dangers("ivrpay", Legs::alone(&id, "PJSIP/trunk-0000002a"));
            assert_eq!(found, Vec::from_iter(danger));
        }
    }

    #[test]
    fn who_listens_to_either_is_a_danger_unless_he_is_taken_off() {
        let (customer, operator) = (
            ChannelId::new("1700000000.7").unwrap(),
            ChannelId::new("1700000000.8").unwrap(),
        );
        let spy = |name: &str, app: &str, data: &str| -> Channel {
            json(&format!(
                r#"{{"id":"s","name":"{name}","state":"Up","dialplan":{{"app_name":"{app}","app_data":"{data}"}}}}"#
            ))
        };
        for (spies, refused, taken_off) in [
            (
                vec![spy("PJSIP/300-1", "ChanSpy", "PJSIP/201,q")],
                true,
                false,
            ),
            (vec![spy("PJSIP/300-1", "ExtenSpy", "201@x")], true, false),
            (
                vec![spy("PJSIP/300-1", "ChanSpy", "PJSIP/202,q")],
                false,
                false,
            ),
            (
                vec![spy("Snoop/1700000000.8-00000001", "Stasis", "x")],
                true,
                true,
            ),
            (
                vec![
                    spy("PJSIP/300-1", "ChanSpy", ",q"),
                    spy("Snoop/1700000000.7-00000001", "Stasis", "x"),
                ],
                true,
                true,
            ),
        ] {
            let around = Around {
                channels: spies,
                ..around()
            };
            let mut legs = Legs {
                operator: Some((&operator, "PJSIP/201-00000003")),
                ..Legs::alone(&customer, "PJSIP/trunk-0000002a")
            };
            let found = around.dangers("ivrpay", legs) == [Danger::Spy];
            assert_eq!(found, refused, "{:?}", around.channels);
            legs.taken_off = true;
            let found = around.dangers("ivrpay", legs) == [Danger::Spy];
            assert_eq!(found, taken_off, "{:?}", around.channels);
        }
    }
}
