//! What codes mean for the money: the four tables of issuers' verdicts, and the form of all tables.
//!
//! Each table is one file, to be read beside the document that it was made from. A row of the four ([`Row`]) says: the code in lower
//! case; what its document calls it; what it means ([`soft`], [`hard`] with the neutral reason, or [`Class`]); what may be done next, the
//! best first, in the letters of [`action`]; its source. A connector's own table is shorter: code, class, source. The operator's advice
//! stands once, by the reason: `payment/src/advice.rs`.

pub(crate) mod adyen;
pub(crate) mod cafis;
pub(crate) mod foreign;
pub(crate) mod iso8583;
pub(crate) mod stripe;

use ivrpay_payment::{Action, Decline, Doubt, Outcome, Reason, Why};

use crate::text;

/// What a code means for the money.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// Refused, nothing charged.
    Declined {
        reason: Reason,
        /// The schemes forbid to try the same card again.
        hard: bool,
        /// What may be done next, where that is not what the reason says.
        action: Option<Action>,
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
        action: None,
    }
}

/// Refused for good: the same card may not be sent again.
pub(crate) const fn hard(reason: Reason) -> Class {
    Class::Declined {
        reason,
        hard: true,
        action: None,
    }
}

/// What may be done next, as the rows of the four tables have it.
pub(crate) mod action {
    use super::Action;

    /// The same card again, from its number.
    pub(crate) const R: Action = Action::ReEnter;
    /// Another card.
    pub(crate) const O: Action = Action::OtherCard;
    /// The caller asks the issuer.
    pub(crate) const I: Action = Action::AskIssuer;
    /// The same card with another plan, or a lower amount.
    pub(crate) const P: Action = Action::OtherPlan;
    /// The same card later.
    pub(crate) const L: Action = Action::Later;
    /// The operator, or who looks after the contract.
    pub(crate) const A: Action = Action::Operator;
    /// Looked up first: never a refusal here, since it may have been charged.
    pub(crate) const Q: Action = Action::LookUp;
}

/// Code, name, what it means, what may be done next, source.
pub(crate) type Row<S> = (&'static str, &'static str, Class, &'static [Action], S);

/// What the row of a code in lower case says.
pub(crate) fn listed<S>(table: &[Row<S>], code: &str) -> Option<Class> {
    let (.., class, actions, _) = table.iter().find(|row| row.0 == code)?;
    Some(match (*class, actions.first()) {
        (class @ Class::Declined { reason, .. }, Some(&next)) if next != reason.action() => {
            class.with(next)
        }
        (class, _) => class,
    })
}

impl Class {
    /// The same refusal, and for good.
    pub(crate) const fn for_good(self) -> Self {
        match self {
            Self::Declined { reason, action, .. } => Self::Declined {
                reason,
                hard: true,
                action,
            },
            other => other,
        }
    }

    /// The same refusal, with what may be done next from somebody who knows better.
    pub(crate) const fn with(self, next: Action) -> Self {
        match self {
            Self::Declined { reason, hard, .. } => Self::Declined {
                reason,
                hard,
                action: Some(next),
            },
            other => other,
        }
    }

    /// The outcome of an answer with this code, spelled as it came.
    pub(crate) fn outcome(self, foreign: &str) -> Outcome {
        match self {
            Self::Declined {
                reason,
                hard,
                action,
            } => Outcome::Declined(Decline {
                reason,
                code: text::code(foreign),
                hard,
                action,
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
    check_codes(table.iter().map(|row| row.0).collect());
}

#[cfg(test)]
#[track_caller]
fn check_codes(mut codes: Vec<&str>) {
    assert!(codes.iter().all(|code| *code == code.to_ascii_lowercase()));
    codes.sort_unstable();
    let all = codes.len();
    codes.dedup();
    assert_eq!(codes.len(), all, "a code stands twice");
}

/// What each of the four tables has to keep. `codes`: those of the lists that it was made from, and no others.
#[cfg(test)]
#[track_caller]
pub(crate) fn check_rows<S>(table: &[Row<S>], codes: &str) {
    use action::{A, L, P, Q};
    check_codes(table.iter().map(|row| row.0).collect());
    let mut meant: Vec<_> = codes.split(", ").collect();
    let mut there: Vec<_> = table.iter().map(|row| row.0).collect();
    meant.sort_unstable();
    there.sort_unstable();
    assert_eq!(there, meant);
    for (code, name, class, actions, _) in table {
        assert!(!name.is_empty(), "{code} has no name");
        let next = actions.first();
        match class {
            Class::Declined { hard, action, .. } => {
                assert_eq!(*action, None, "{code}: the column says it");
                assert!(next.is_some(), "{code}: nothing may be done");
                assert!(
                    !actions.contains(&Q),
                    "{code}: what has to be looked up is no refusal"
                );
                let again = actions.iter().any(|next| [L, P].contains(next));
                assert!(!(*hard && again), "{code}: for good, and once more");
            }
            Class::Rejected => assert_eq!(next, Some(&A), "{code}"),
            Class::Busy => assert_eq!(next, Some(&L), "{code}"),
            Class::Unknown => assert_eq!(next, Some(&Q), "{code}"),
        }
    }
}
