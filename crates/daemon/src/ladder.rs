//! The return ladder: who takes the caller back after a payment, rung by rung.
//!
//! The dialplan climbs it (`ivrpay-return`), with or without us: `Dial()` and `Queue()` do there what they do everywhere, statistics and
//! lamps among it. From here come, as variables, the rungs of this tenant and result, and the whisper for whoever answers: file names,
//! so that both are there when this process is not.

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use ivrpay_dialogue::{CallResult, End, Prompt, Say, Spelt};
use ivrpay_payment::Outcome;
use ivrpay_prompts::Language;
use serde::Deserialize;

/// Most rungs of a ladder.
pub(crate) const RUNGS_MAX: usize = 8;
/// Longest that one rung may ring.
const RING_MAX: Duration = Duration::from_secs(600);
/// Longest that the customer is spoken to between two rungs: until then an operator is kept for whom a later rung rings.
const SPOKEN_MAX: Duration = Duration::from_secs(6);
/// Longest number of a good-bye, signs.
const NUMBER_MAX: usize = 20;

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
            ["say", number] => {
                let good = number.chars().all(|c| c.is_ascii_digit() || c == '-');
                let spoken = Spelt::new(number).filter(|_| good && number.len() <= NUMBER_MAX);
                spoken
                    .map(|_| Self::Say(number.to_owned()))
                    .ok_or("a number is 1 to 20 digits, with hyphens where a pause is made")
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
    /// How long an operator is kept behind the end of the call, as a queue does it itself (`wrapuptime`) behind its own calls.
    pub wrap_up: Duration,
}

/// The rung that rings the operator who had the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Which one, from 1.
    pub(crate) rung: u32,
    /// Until when it has rung at the latest.
    pub(crate) until: Duration,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            operator: "PJSIP/{extension}".into(),
            default: vec![Rung::Operator(Duration::from_secs(20))],
            by_ending: Vec::new(),
            wrap_up: Duration::ZERO,
        }
    }
}

impl Rung {
    /// How long it rings at most.
    fn rings(&self) -> Duration {
        match self {
            Self::Operator(wait) | Self::Dial(_, wait) | Self::Queue(_, wait) => *wait,
            Self::Goto(..) | Self::Say(_) => Duration::ZERO,
        }
    }
}

impl Ladder {
    fn of(&self, ending: Ending) -> &[Rung] {
        let own = self.by_ending.iter().find(|(of, _)| *of == ending);
        own.map_or(&self.default, |(_, rungs)| rungs)
    }

    /// The last rung that rings the operator, whose extension is known; `None`: the ladder leads to others.
    pub(crate) fn kept(&self, ending: Ending) -> Option<Kept> {
        let rungs = self.of(ending);
        let last = rungs
            .iter()
            .rposition(|rung| matches!(rung, Rung::Operator(_)))?;
        let before = rungs.get(..=last)?.iter();
        Some(Kept {
            rung: u32::try_from(last + 1).ok()?,
            until: before.map(|rung| rung.rings() + SPOKEN_MAX).sum(),
        })
    }

    /// The rungs as the dialplan reads them; the operator's is left out where nobody knows who that is.
    pub(crate) fn rungs(
        &self,
        ending: Ending,
        extension: Option<&str>,
        language: Language,
    ) -> Vec<String> {
        self.of(ending)
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
                    Rung::Say(number) => {
                        let goodbye = Prompt(vec![Say::Goodbye(Spelt::new(number)?)]);
                        write!(text, "say,{}", files(&goodbye, language))
                    }
                };
                written.ok().map(|()| text)
            })
            .collect()
    }
}

/// The sound files of a prompt, as `Playback()` and `Queue()` take several. Each with its language's folder: the channel that plays
/// them may have another language.
pub(crate) fn files(prompt: &Prompt, language: Language) -> String {
    let files: Vec<String> = ivrpay_prompts::clips(prompt, language)
        .iter()
        .map(|clip| format!("{}/ivrpay/{clip}", language.code()))
        .collect();
    files.join("&")
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
            (
                "say 1-2",
                Some(
                    "say,en/ivrpay/return-goodbye-1&en/ivrpay/digit-1&en/ivrpay/pause&en/ivrpay/digit-2&en/ivrpay/pause",
                ),
            ),
            ("operator", None),
            ("operator 0s", None),
            ("operator 20", None),
            ("operator 601s", None),
            ("dial 300 5s", None),
            ("dial PJSIP/300&PJSIP/301 5s", None),
            ("dial PJSIP/${X} 5s", None),
            ("queue a,b 5s", None),
            ("say +81312345678", None),
            ("say abc", None),
            ("say 1-1-1-1-1-1-1-1-1-1-1", None),
            ("", None),
        ] {
            let rung: Result<Rung, _> = text.parse();
            let ladder = Ladder {
                default: rung.into_iter().collect(),
                ..Ladder::default()
            };
            let written = ladder.rungs(Ending::Error, Some("201"), Language::En);
            assert_eq!(written.first().map(String::as_str), dialplan, "{text}");
        }
    }

    #[test]
    fn a_result_has_its_own_ladder_and_an_unknown_operator_no_rung() {
        let rungs = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect();
        let ladder = Ladder {
            by_ending: vec![
                (Ending::Approved, rungs(&["queue orders 60s"])),
                (
                    Ending::Unknown,
                    rungs(&["queue orders 60s", "operator 20s", "say 1"]),
                ),
            ],
            ..Ladder::default()
        };
        let read = |ending, extension| ladder.rungs(ending, extension, Language::Ja);
        assert_eq!(read(Ending::Approved, Some("201")), ["queue,orders,60"]);
        assert_eq!(read(Ending::Declined, Some("201")), ["dial,PJSIP/201,20"]);
        assert!(read(Ending::Declined, None).is_empty());
        assert_eq!(ladder.kept(Ending::Approved), None);
        let kept = |rung, seconds| {
            Some(Kept {
                rung,
                until: Duration::from_secs(seconds),
            })
        };
        assert_eq!(ladder.kept(Ending::Declined), kept(1, 26));
        assert_eq!(ladder.kept(Ending::Unknown), kept(2, 92));
    }
}
