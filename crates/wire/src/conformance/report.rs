//! What a test came to, as it is shown and sent.

use std::fmt::Write as _;

use ivrpay_payment::{Outcome, Why};
use serde::Serialize;

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As expected.
    Ok,
    /// Not as expected.
    Failed,
    /// The acquirer, or the connector, has no such thing.
    NotSupported,
    /// It could not be tried; `came` says why.
    NotTried,
}

impl Verdict {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "FAILED",
            Self::NotSupported => "not supported",
            Self::NotTried => "not tried",
        }
    }
}

/// One case.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Its name.
    pub case: &'static str,
    /// What it does; of a plan, which one.
    pub what: String,
    /// What was expected.
    pub expected: &'static str,
    /// How it ended.
    pub result: Verdict,
    /// What came.
    pub came: String,
    /// The acquirer's reference, where one came.
    pub reference: Option<String>,
    /// The acquirer's code, where one came.
    pub code: Option<String>,
    /// Our order number at the acquirer.
    pub order: Option<String>,
    /// What to do.
    pub hint: Option<&'static str>,
    /// How long it took, what was undone behind it left out.
    pub ms: u64,
}

/// An order that stands at the acquirer and could not be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Our order number there.
    pub order: String,
    /// How much is reserved or taken, minor units.
    pub amount_minor: u64,
    /// ISO 4217.
    pub currency: &'static str,
    /// Why.
    pub why: String,
    /// Whether nothing else was to be expected: the acquirer has neither void nor refund.
    pub by_design: bool,
}

/// Which plans were tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plans {
    /// Whose they are: `merchants`, those that they offer, else `connector`, one of each kind that it can carry.
    pub of: &'static str,
    /// In words, in the order in which they were tried.
    pub tried: Vec<String>,
}

/// All of it. Nothing secret: it is made to be sent to the acquirer.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of ivrpay.
    pub ivrpay: &'static str,
    /// Name in the configuration.
    pub connector: String,
    /// Which acquirer.
    pub kind: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// The host that was asked.
    pub host: String,
    /// The plans.
    pub plans: Plans,
    /// In the order in which they were run.
    pub cases: Vec<Row>,
    /// What could not be undone.
    pub left: Vec<Left>,
}

impl Report {
    /// How many ended so.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.cases.iter().filter(|c| c.result == verdict).count()
    }

    /// Whether nothing failed, something was tried, and nothing is left that should not be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.count(Verdict::Failed) == 0
            && self.count(Verdict::Ok) > 0
            && self.left.iter().all(|left| left.by_design)
    }
}

/// An outcome in words.
pub(super) fn words(outcome: &Outcome) -> String {
    let mut text = match outcome {
        Outcome::Approved(_) => return "approved".to_owned(),
        Outcome::Declined(decline) => return format!("declined: {}", decline.reason.name()),
        Outcome::NotCharged(_) => "not charged: ".to_owned(),
        Outcome::Unknown(_) => "unknown: ".to_owned(),
    };
    let why = match outcome {
        Outcome::NotCharged(Why::NotArrived) => "there is no such order".to_owned(),
        Outcome::NotCharged(Why::Rejected) => "our request was refused as wrong".to_owned(),
        Outcome::NotCharged(Why::Busy) => "the acquirer is busy".to_owned(),
        Outcome::NotCharged(Why::NotSent) => "nothing was sent".to_owned(),
        Outcome::NotCharged(why) => format!("{why:?}"),
        Outcome::Unknown(doubt) => format!("{doubt:?}"),
        _ => String::new(),
    };
    // To write into a `String` can't fail.
    write!(text, "{why}").unwrap_or_default();
    text
}
