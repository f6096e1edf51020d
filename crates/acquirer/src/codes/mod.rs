//! What codes mean for the money: tables that several acquirers share, and their form.
//!
//! A row is (code in lower case, class, source). Each table is one file, to be read beside the document that it was made from.

pub(crate) mod cafis;
pub(crate) mod stripe;

use ivrpay_payment::{Decline, Doubt, Outcome, Reason, Why};

use crate::text;

/// What a code means for the money.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// Refused, nothing charged.
    Declined {
        reason: Reason,
        /// The schemes forbid to try the same card again.
        hard: bool,
    },
    /// Our request or contract is wrong, nothing charged.
    Rejected,
    /// Refused before anything was done.
    Busy,
    /// The acquirer does not know, or asks to look it up first.
    Unknown,
}

/// Refused; the same card may be tried again, if the reason allows it.
pub(crate) const fn soft(reason: Reason) -> Class {
    Class::Declined {
        reason,
        hard: false,
    }
}

/// Refused for good: the same card may not be sent again.
pub(crate) const fn hard(reason: Reason) -> Class {
    Class::Declined { reason, hard: true }
}

impl Class {
    /// The outcome of an answer with this code, spelled as it came.
    pub(crate) fn outcome(self, foreign: &str) -> Outcome {
        match self {
            Self::Declined { reason, hard } => Outcome::Declined(Decline {
                reason,
                code: text::code(foreign),
                hard,
            }),
            Self::Rejected => Outcome::NotCharged(Why::Rejected),
            Self::Busy => Outcome::NotCharged(Why::Busy),
            Self::Unknown => Outcome::Unknown(Doubt::UnlistedCode),
        }
    }
}

/// The row of a code in lower case.
pub(crate) fn find<S: Copy>(table: &[(&str, Class, S)], code: &str) -> Option<Class> {
    table.iter().find(|row| row.0 == code).map(|row| row.1)
}

/// What every table has to keep.
#[cfg(test)]
#[track_caller]
pub(crate) fn check<S>(table: &[(&str, Class, S)]) {
    let mut codes: Vec<_> = table.iter().map(|row| row.0).collect();
    assert!(codes.iter().all(|code| *code == code.to_ascii_lowercase()));
    codes.sort_unstable();
    let all = codes.len();
    codes.dedup();
    assert_eq!(codes.len(), all, "a code stands twice");
}
