//! Recorders outside Asterisk: SIPREC, SPAN ports, softphones, screens, transcription. Asterisk's mute does not reach them.
//!
//! `[[recorders]]` names each, with a hook that pauses it and says so, or with the person who says how card data is kept out of it.
//! No acknowledgement, no capture. A pause is in the journal before it is asked for, and leaves it when the recorder has said that
//! it runs again: a process that dies in between makes the next one resume it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ivrpay_ari::{ChannelId, Client, RequestError};
use ivrpay_journal::{Journal, RecorderPause};
use ivrpay_payment::{CallId, TenantId};
use ivrpay_wire::{Hook, HookConfig, HookError};
use serde::Deserialize;
use serde_json::json;

use crate::config::{ConfigError, Span, Tenant, secret, span, word};
use crate::events;
use crate::guard::Danger;

/// Recorders that may be named.
const RECORDERS_MAX: usize = 32;
/// Longest wait for an acknowledgement, and what it is by default. The caller waits for it in silence.
const TIMEOUT_MAX_MS: u64 = 10_000;
const TIMEOUT: Duration = Duration::from_secs(2);
/// Wait before a recorder that did not resume is asked again; it doubles up to the longest.
const RESUME_WAIT: Duration = Duration::from_secs(1);
const RESUME_WAIT_MAX: Duration = Duration::from_secs(60);
/// Times that it is asked until the next start of the service: a day.
const RESUME_TRIES: u32 = 1_440;
/// From this failure on it is an error, not a warning.
const RESUME_TOLD: u32 = 3;
/// How often it is looked whether a caller of a daemon that died is still in the payment, and the tail behind it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const TAIL: Duration = Duration::from_secs(2);
/// Longest name of a person, and longest sentence, characters.
const PERSON_MAX: usize = 64;
const SENTENCE_MAX: usize = 400;
/// How old the word of a person may be until `check` asks for a new one (PCI DSS v4.0.1, 12.5.2: scope is confirmed every year).
const WORD_DAYS_MAX: i32 = 365;

/// What kind of recorder it is: for people who read `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Something else.
    Other,
    /// What an operator sees.
    Screen,
    /// A session recording server (RFC 7866).
    Siprec,
    /// The operator's telephone program.
    Softphone,
    /// A copy of the network's packets.
    SpanPort,
    /// Speech to text.
    Transcription,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Screen => "screen",
            Self::Siprec => "siprec",
            Self::Softphone => "softphone",
            Self::SpanPort => "span-port",
            Self::Transcription => "transcription",
        }
    }
}

/// A recorder, checked.
pub struct Recorder {
    /// Its name, in the journal too.
    pub name: String,
    kind: Kind,
    /// Whose calls it hears; everybody's when empty.
    tenants: Vec<TenantId>,
    kept: Kept,
}

impl Recorder {
    /// The ports that its hooks are told at.
    pub(crate) fn ports(&self) -> Vec<u16> {
        match &self.kept {
            Kept::Paused(hooks) => [&hooks.pause, &hooks.resume]
                .into_iter()
                .filter_map(Hook::port)
                .collect(),
            Kept::Out { .. } => Vec::new(),
        }
    }
}

/// What keeps card data out of a recorder.
enum Kept {
    /// It pauses when it is told to.
    Paused(Box<Hooks>),
    /// Somebody says so.
    Out {
        sentence: String,
        person: String,
        date: jiff::civil::Date,
    },
}

struct Hooks {
    pause: Hook,
    resume: Hook,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRecorder {
    name: String,
    kind: Kind,
    #[serde(default)]
    tenants: Vec<String>,
    pause_url: Option<String>,
    resume_url: Option<String>,
    secret_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    timeout: Option<Span>,
    kept_out_by: Option<String>,
    person: Option<String>,
    date: Option<String>,
}

/// Checks all of them.
///
/// # Errors
/// [`ConfigError`]: which, and what is wrong.
pub(crate) fn checked(
    raw: Vec<RawRecorder>,
    tenants: &[Tenant],
    folder: &Path,
) -> Result<Vec<Recorder>, ConfigError> {
    if raw.len() > RECORDERS_MAX {
        return Err(ConfigError::value(
            "recorders",
            format!("at most {RECORDERS_MAX}"),
        ));
    }
    let mut recorders: Vec<Recorder> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let recorder = recorder(index, raw, tenants, folder)?;
        if recorders.iter().any(|r| r.name == recorder.name) {
            return Err(ConfigError::value(
                format!("recorders[{index}].name"),
                "two recorders have this name",
            ));
        }
        recorders.push(recorder);
    }
    Ok(recorders)
}

fn recorder(
    index: usize,
    raw: RawRecorder,
    tenants: &[Tenant],
    folder: &Path,
) -> Result<Recorder, ConfigError> {
    let at = |key: &str| format!("recorders[{index}].{key}");
    let known = |name: String| {
        tenants
            .iter()
            .find(|t| t.id.as_str() == name)
            .map(|t| t.id.clone())
            .ok_or_else(|| ConfigError::value(at("tenants"), "there is no tenant of this name"))
    };
    let kept = match (raw.pause_url, raw.resume_url, raw.kept_out_by) {
        (Some(pause), Some(resume), None) => {
            if raw.person.is_some() || raw.date.is_some() {
                return Err(ConfigError::value(
                    at("person"),
                    "person and date belong to kept_out_by; take them out, or the hooks",
                ));
            }
            let bearer = match raw.secret_file {
                Some(file) => Some(secret(&at("secret_file"), &folder.join(file))?),
                None => None,
            };
            let timeout = raw.timeout.unwrap_or(Span(TIMEOUT));
            let timeout = span(&at("timeout"), timeout, 100, TIMEOUT_MAX_MS)?;
            let ca_file = raw.ca_file.map(|file| folder.join(file));
            let hook = |key: &str, url: String| {
                let config = HookConfig {
                    url,
                    bearer: bearer.clone(),
                    ca_file: ca_file.clone(),
                    timeout,
                };
                Hook::new(&config).map_err(|error| match error {
                    ivrpay_wire::ConfigError::Url => ConfigError::value(
                        at(key),
                        "https://host[:port]/path, or http:// at 127.0.0.1 or [::1]; without user or fragment",
                    ),
                    other => ConfigError::value(at(key), format!("{other}; {}", other.hint())),
                })
            };
            Kept::Paused(Box::new(Hooks {
                pause: hook("pause_url", pause)?,
                resume: hook("resume_url", resume)?,
            }))
        }
        (None, None, Some(sentence)) => {
            if raw.secret_file.is_some() || raw.ca_file.is_some() || raw.timeout.is_some() {
                return Err(ConfigError::value(
                    at("kept_out_by"),
                    "secret_file, ca_file and timeout belong to hooks; take them out",
                ));
            }
            let person = raw.person.unwrap_or_default();
            if person.trim().is_empty() || person.chars().count() > PERSON_MAX {
                return Err(ConfigError::value(
                    at("person"),
                    format!("who says so, 1 to {PERSON_MAX} characters"),
                ));
            }
            if sentence.trim().is_empty() || sentence.chars().count() > SENTENCE_MAX {
                return Err(ConfigError::value(
                    at("kept_out_by"),
                    format!(
                        "a sentence that says what keeps card data out, 1 to {SENTENCE_MAX} characters"
                    ),
                ));
            }
            let date = raw.date.unwrap_or_default();
            Kept::Out {
                sentence,
                person,
                date: date.parse().map_err(|_| {
                    ConfigError::value(at("date"), "the day of that statement, as \"2026-11-26\"")
                })?,
            }
        }
        _ => {
            return Err(ConfigError::value(
                format!("recorders[{index}]"),
                "needs pause_url and resume_url, or kept_out_by with person and date, and not both",
            ));
        }
    };
    Ok(Recorder {
        name: word(&at("name"), raw.name)?,
        kind: raw.kind,
        tenants: raw
            .tenants
            .into_iter()
            .map(known)
            .collect::<Result<_, _>>()?,
        kept,
    })
}

impl Recorder {
    fn hears(&self, tenant: &TenantId) -> bool {
        self.tenants.is_empty() || self.tenants.contains(tenant)
    }

    /// For `check`: a line, and what to do where something is wrong.
    pub(crate) async fn shown(&self) -> Result<String, (String, &'static str)> {
        let whose = match self.tenants.as_slice() {
            [] => "every tenant".to_owned(),
            some => some
                .iter()
                .map(TenantId::as_str)
                .collect::<Vec<_>>()
                .join(", "),
        };
        let what = format!("{} ({}), {whose}", self.name, self.kind.name());
        match &self.kept {
            Kept::Paused(hooks) => {
                for hook in [&hooks.pause, &hooks.resume] {
                    hook.probe().await.map_err(|error| {
                        (
                            format!("{what}: {} {error}; no capture without it", hook.host()),
                            "start it, or mend its pause_url and resume_url",
                        )
                    })?;
                }
                Ok(format!(
                    "{what}: paused by a hook at {} before the first prompt",
                    hooks.pause.host()
                ))
            }
            Kept::Out {
                sentence,
                person,
                date,
            } => {
                let line = format!("{what}: kept out, says {person} on {date}: {sentence}");
                let today = jiff::Timestamp::now()
                    .to_zoned(jiff::tz::TimeZone::UTC)
                    .date();
                let old = today
                    .since((jiff::Unit::Day, *date))
                    .map_or(i32::MAX, |age| age.get_days());
                if (-1..=WORD_DAYS_MAX).contains(&old) {
                    Ok(line)
                } else {
                    Err((
                        format!("{line} (not of the last {WORD_DAYS_MAX} days)"),
                        "ask that person again, and write the new date",
                    ))
                }
            }
        }
    }
}

/// Pauses recorders for calls, and makes them run again.
#[derive(Clone)]
pub(crate) struct Recorders(Arc<Inner>);

struct Inner {
    recorders: Arc<Vec<Recorder>>,
    journal: Journal,
    client: Client,
    /// Our application in Asterisk.
    app: String,
}

impl Recorders {
    pub(crate) fn new(
        recorders: Arc<Vec<Recorder>>,
        journal: Journal,
        client: Client,
        app: String,
    ) -> Self {
        Self(Arc::new(Inner {
            recorders,
            journal,
            client,
            app,
        }))
    }

    /// Whether any has to be paused for this merchant's calls.
    pub(crate) fn any(&self, tenant: &TenantId) -> bool {
        self.hooks(tenant).next().is_some()
    }

    fn hooks(&self, tenant: &TenantId) -> impl Iterator<Item = (&str, &Hook)> {
        self.0
            .recorders
            .iter()
            .filter_map(|recorder| match &recorder.kept {
                Kept::Paused(hooks) if recorder.hears(tenant) => {
                    Some((recorder.name.as_str(), &hooks.pause))
                }
                _ => None,
            })
    }

    /// Pauses every recorder of this merchant, side by side; `call.recorder` is filled in for each.
    ///
    /// # Errors
    /// Not every one has acknowledged: nobody may be asked for a card. Those that have, have to be resumed.
    pub(crate) async fn pause(&self, call: &RecorderPause) -> Result<(), Danger> {
        let pauses = self.hooks(&call.tenant).map(async |(name, hook)| {
            let pause = RecorderPause {
                recorder: name.to_owned(),
                ..call.clone()
            };
            if let Err(error) = self.0.journal.recorder_pausing(&pause).await {
                events::journal_failed(None, "recorder", &error);
                return Err(Danger::RecorderRuns);
            }
            // Before it is told: one that heard, and whose word was lost, is paused as well.
            events::recorder_paused(true);
            let Err(error) = hook.tell(body("pause", &pause)).await else {
                return Ok(());
            };
            events::recorder_not_paused(call.call, name, &error);
            if matches!(error, HookError::Unreached(_)) {
                // It heard nothing, so it runs.
                self.resumed(&pause).await;
            }
            Err(Danger::RecorderRuns)
        });
        join_all(pauses).await.into_iter().collect()
    }

    /// Makes the recorders of a call run again, in the background.
    pub(crate) fn resume(&self, call: CallId) {
        if self
            .0
            .recorders
            .iter()
            .all(|r| matches!(r.kept, Kept::Out { .. }))
        {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            for pause in this.paused(Some(call)).await {
                let this = this.clone();
                tokio::spawn(async move { this.resume_one(&pause).await });
            }
        });
    }

    /// Makes those run again that a process which is gone had paused: each when its caller is no longer in the payment.
    pub(crate) async fn resume_left(&self) {
        for pause in self.paused(None).await {
            events::recorder_paused(true);
            let this = self.clone();
            tokio::spawn(async move {
                this.until_given_back(&pause).await;
                this.resume_one(&pause).await;
            });
        }
    }

    async fn paused(&self, call: Option<CallId>) -> Vec<RecorderPause> {
        let mut wait = RESUME_WAIT;
        loop {
            match self.0.journal.recorders_paused(call).await {
                Ok(paused) => return paused,
                Err(error) => events::journal_failed(None, "recorder", &error),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RESUME_WAIT_MAX);
        }
    }

    async fn until_given_back(&self, pause: &RecorderPause) {
        let Ok(channel) = ChannelId::new(&pause.channel) else {
            return;
        };
        loop {
            match self.0.client.channel(&channel).await {
                Ok(channel) if !channel.is_in(&self.0.app) => break,
                Err(RequestError::Gone) => return,
                // Still in it, or Asterisk does not say.
                Ok(_) | Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
        tokio::time::sleep(TAIL).await;
    }

    async fn resume_one(&self, pause: &RecorderPause) {
        let resume = self.0.recorders.iter().find_map(|r| match &r.kept {
            Kept::Paused(hooks) if r.name == pause.recorder => Some(&hooks.resume),
            _ => None,
        });
        let Some(resume) = resume else {
            // The configuration no longer names it: an admin knows, and nobody can tell it.
            events::recorder_unknown(pause.call, &pause.recorder);
            return self.resumed(pause).await;
        };
        let mut wait = RESUME_WAIT;
        for failures in 1..=RESUME_TRIES {
            match resume.tell(body("resume", pause)).await {
                Ok(()) => return self.resumed(pause).await,
                Err(error) => events::recorder_not_resumed(
                    pause.call,
                    &pause.recorder,
                    &error,
                    failures,
                    failures >= RESUME_TOLD,
                ),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RESUME_WAIT_MAX);
        }
        // The journal knows it still: the next start begins anew.
    }

    async fn resumed(&self, pause: &RecorderPause) {
        events::recorder_paused(false);
        let kept = self
            .0
            .journal
            .recorder_resumed(&pause.recorder, pause.call)
            .await;
        if let Err(error) = kept {
            events::journal_failed(None, "recorder", &error);
        }
    }
}

/// What a hook is told. Never card data: there is none here.
fn body(event: &str, pause: &RecorderPause) -> Vec<u8> {
    json!({
        "event": event,
        "recorder": pause.recorder,
        "tenant": pause.tenant,
        "call_id": pause.call,
        "channel_id": pause.channel,
        "sip_call_id": pause.sip_call_id,
        "caller": pause.caller,
        "extension": pause.extension,
        "at": jiff::Timestamp::now().to_string(),
    })
    .to_string()
    .into_bytes()
}
