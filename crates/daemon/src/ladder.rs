//! The return ladder: who takes the caller back after a payment, rung by rung.
//!
//! The dialplan climbs it (`ivrpay-return`), with or without us: `Dial()` and `Queue()` do there what they do everywhere, statistics and
//! lamps among it. From here come the rungs of this tenant and result, as variables, and the whisper for whoever answers.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ivrpay_dialogue::{CallResult, End, Prompt};
use ivrpay_payment::{CallId, Outcome};
use ivrpay_prompts::Language;
use serde::Deserialize;

/// Most rungs of a ladder.
pub(crate) const RUNGS_MAX: usize = 8;
/// Longest that one rung may ring.
const RING_MAX: Duration = Duration::from_secs(600);
/// Whispers that are kept, and how long: the customer may wait in a queue meanwhile.
const WHISPERS_MAX: usize = 2_000;
const WHISPER_KEPT: Duration = Duration::from_secs(3_600);

/// How a payment ended, as far as it decides who takes the caller back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Paid, or paid before.
    Approved,
    /// The card was refused, or could not be entered.
    Declined,
    /// The caller or a person ended it, or time was over.
    Abandoned,
    /// Nobody knows yet.
    Unknown,
    /// It could not be tried.
    Error,
}

impl Ending {
    pub(crate) fn of(result: CallResult, end: Option<&End>) -> Self {
        let outcome = end.and_then(|end| end.outcome.as_ref());
        match (outcome, result) {
            (Some(Outcome::Approved(_)), _) => Self::Approved,
            (Some(Outcome::Unknown(_)), _) => Self::Unknown,
            (_, CallResult::Success | CallResult::OrderAlreadyPaid) => Self::Approved,
            (_, CallResult::OutcomeUnknown) => Self::Unknown,
            (Some(Outcome::Declined(_)), _) => Self::Declined,
            (_, CallResult::TooManyFailedAttempts | CallResult::ValidationError) => Self::Declined,
            (
                _,
                CallResult::AgentCancelled
                | CallResult::AmountRejected
                | CallResult::CallerHungUp
                | CallResult::CallerInterruptedWithStar
                | CallResult::NoKey
                | CallResult::OperatorWanted
                | CallResult::SessionTimeout,
            ) => Self::Abandoned,
            _ => Self::Error,
        }
    }
}

/// One who may take the caller back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rung {
    /// The operator who had the call, where his extension is known.
    Operator(Duration),
    /// Any endpoint, `PJSIP/300`.
    Dial(String, Duration),
    /// A queue.
    Queue(String, Duration),
    /// Context and extension of the admin's dialplan.
    Goto(String, String),
    /// A spoken good-bye with a telephone number.
    Say(String),
}

impl FromStr for Rung {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a rung is `operator 20s`, `dial PJSIP/300 20s`, `queue NAME 60s`, `goto CONTEXT EXTENSION` or `say NUMBER`";
        let words: Vec<&str> = text.split_whitespace().collect();
        let ring = |text: &str| {
            let seconds = text.strip_suffix('s').and_then(|s| s.parse().ok());
            let ring = Duration::from_secs(seconds.ok_or(FORM)?);
            (Duration::from_secs(1)..=RING_MAX)
                .contains(&ring)
                .then_some(ring)
                .ok_or("a rung rings for 1s to 600s")
        };
        let name = |text: &str, more: &str| {
            // Nothing that the dialplan takes for a separator, a variable or an option.
            let good =
                |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c) || more.contains(c);
            (!text.is_empty() && text.len() <= 80 && text.chars().all(good))
                .then(|| text.to_owned())
                .ok_or("names are letters, digits, - _ . and +, in an endpoint / @ : too")
        };
        match words[..] {
            ["operator", wait] => Ok(Self::Operator(ring(wait)?)),
            ["dial", endpoint, wait] if endpoint.contains('/') => {
                Ok(Self::Dial(name(endpoint, "/@:")?, ring(wait)?))
            }
            ["queue", queue, wait] => Ok(Self::Queue(name(queue, "")?, ring(wait)?)),
            ["goto", context, extension] => {
                Ok(Self::Goto(name(context, "")?, name(extension, "*#")?))
            }
            ["say", number] if number.chars().all(|c| c.is_ascii_digit()) && number.len() <= 15 => {
                Ok(Self::Say(number.to_owned()))
            }
            _ => Err(FORM),
        }
    }
}

/// The ladders of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    /// How an operator is rung, `{extension}` for his extension.
    pub operator: String,
    /// For results that have none of their own.
    pub default: Vec<Rung>,
    /// By result.
    pub by_ending: Vec<(Ending, Vec<Rung>)>,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            operator: "PJSIP/{extension}".into(),
            default: vec![Rung::Operator(Duration::from_secs(20))],
            by_ending: Vec::new(),
        }
    }
}

impl Ladder {
    /// The rungs as the dialplan reads them; the operator's is left out where nobody knows who that is.
    pub(crate) fn rungs(&self, ending: Ending, extension: Option<&str>) -> Vec<String> {
        let own = self.by_ending.iter().find(|(of, _)| *of == ending);
        let rungs = own.map_or(&self.default, |(_, rungs)| rungs);
        rungs
            .iter()
            .filter_map(|rung| {
                let mut text = String::new();
                let written = match rung {
                    Rung::Operator(wait) => {
                        let endpoint = self.operator.replace("{extension}", extension?);
                        write!(text, "dial,{endpoint},{}", wait.as_secs())
                    }
                    Rung::Dial(endpoint, wait) => {
                        write!(text, "dial,{endpoint},{}", wait.as_secs())
                    }
                    Rung::Queue(name, wait) => write!(text, "queue,{name},{}", wait.as_secs()),
                    Rung::Goto(context, extension) => write!(text, "goto,{context},{extension}"),
                    Rung::Say(number) => write!(text, "say,{number}"),
                };
                written.ok().map(|()| text)
            })
            .collect()
    }
}

/// What whoever answers is told, until the customer has been joined.
#[derive(Clone, Default)]
pub(crate) struct Whispers(Arc<Mutex<HashMap<CallId, (Instant, Prompt, Language)>>>);

impl Whispers {
    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, (Instant, Prompt, Language)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keep(&self, call: CallId, prompt: Prompt, language: Language) {
        let mut kept = self.lock();
        if kept.len() >= WHISPERS_MAX {
            kept.retain(|_, (since, ..)| since.elapsed() < WHISPER_KEPT);
        }
        // Full all the same: this one is not whispered, which is less than a card's worth of memory for ever.
        if kept.len() < WHISPERS_MAX {
            kept.insert(call, (Instant::now(), prompt, language));
        }
    }

    /// Stays: the first who answered may have hung up in the middle of it.
    pub(crate) fn of(&self, call: CallId) -> Option<(Prompt, Language)> {
        let kept = self.lock();
        let (since, prompt, language) = kept.get(&call)?;
        (since.elapsed() < WHISPER_KEPT).then(|| (prompt.clone(), *language))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn rungs_are_read_and_what_the_dialplan_would_misread_is_not() {
        for (text, dialplan) in [
            ("operator 20s", Some("dial,PJSIP/201,20")),
            ("dial PJSIP/300 5s", Some("dial,PJSIP/300,5")),
            (
                "dial Local/300@from-internal/n 5s",
                Some("dial,Local/300@from-internal/n,5"),
            ),
            ("queue orders 60s", Some("queue,orders,60")),
            ("goto from-internal 8800", Some("goto,from-internal,8800")),
            ("say 0312345678", Some("say,0312345678")),
            ("operator", None),
            ("operator 0s", None),
            ("operator 20", None),
            ("operator 601s", None),
            ("dial 300 5s", None),
            ("dial PJSIP/300&PJSIP/301 5s", None),
            ("dial PJSIP/${X} 5s", None),
            ("queue a,b 5s", None),
            ("say +81312345678", None),
            ("", None),
        ] {
            let rung: Result<Rung, _> = text.parse();
            let ladder = Ladder {
                default: rung.into_iter().collect(),
                ..Ladder::default()
            };
            let written = ladder.rungs(Ending::Error, Some("201"));
            assert_eq!(written.first().map(String::as_str), dialplan, "{text}");
        }
    }

    #[test]
    fn a_result_has_its_own_ladder_and_an_unknown_operator_no_rung() {
        let ladder = Ladder {
            by_ending: vec![(Ending::Approved, vec![Rung::Say("0312345678".into())])],
            ..Ladder::default()
        };
        assert_eq!(
            ladder.rungs(Ending::Approved, Some("201")),
            ["say,0312345678"]
        );
        assert_eq!(
            ladder.rungs(Ending::Declined, Some("201")),
            ["dial,PJSIP/201,20"]
        );
        assert!(ladder.rungs(Ending::Declined, None).is_empty());
    }
}
