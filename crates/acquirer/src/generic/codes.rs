//! Their `error_code` to our [`Outcome`].
//!
//! The contract itself has no list of codes; it says that a set `error_code` means that nothing was charged. So a code that
//! stands in no table is a refusal for another reason ([`Reason::Other`]), but for the few that say that the
//! endpoint does not know either.

use ivrpay_payment::{Doubt, Outcome, Reason};

use crate::codes::{Class, cafis, find, listed, soft, stripe};

/// Common names for "I do not know", listed so that they are never taken for a decline.
const CAUTION: &[(&str, Class, ())] = &[
    ("gateway_timeout", Class::Unknown, ()),
    ("timeout", Class::Unknown, ()),
    ("unknown", Class::Unknown, ()),
    ("unknown_error", Class::Unknown, ()),
];

/// The outcome of an answer that names `error_code` and no charge. `status` matters only for a code that is not listed: with
/// 408 and 409 it speaks of time or of another request, and not of this one's end.
pub(super) fn outcome(error_code: &str, status: u16) -> Outcome {
    match class(error_code) {
        Some(class) => class.outcome(error_code),
        None if matches!(status, 408 | 409) => Outcome::Unknown(Doubt::Status { status }),
        None => soft(Reason::Other).outcome(error_code),
    }
}

fn class(error_code: &str) -> Option<Class> {
    let code = error_code.trim().to_ascii_lowercase();
    listed(stripe::TABLE, &code)
        .or_else(|| find(CAUTION, &code))
        .or_else(|| cafis::class(&code))
}

#[cfg(test)]
mod tests {
    use ivrpay_payment::{Decline, Why};

    use super::*;

    #[test]
    fn every_reason_can_be_had() {
        let rows = stripe::TABLE.iter().map(|row| row.2);
        let rows: Vec<_> = rows.chain(cafis::TABLE.iter().map(|row| row.2)).collect();
        // Ours, of no table, and what is looked up first.
        let never = [
            Reason::Duplicate,
            Reason::HardDeclinedBefore,
            Reason::Other,
            Reason::TriesExceeded,
        ];
        for reason in Reason::ALL.into_iter().filter(|reason| !never.contains(reason)) {
            assert!(
                rows.iter()
                    .any(|class| matches!(class, Class::Declined { reason: r, .. } if *r == reason)),
                "{}",
                reason.name()
            );
        }
    }

    #[test]
    fn codes_of_both_tables() {
        for (code, expected) in [
            ("42G440000", Some(soft(Reason::CvvMismatch))),
            ("INSUFFICIENT_FUNDS", Some(soft(Reason::InsufficientFunds))),
            ("timeout", Some(Class::Unknown)),
            ("", None),
        ] {
            assert_eq!(class(code), expected, "{code}");
        }
    }

    #[test]
    fn an_unlisted_code_is_a_refusal_but_not_with_conflict_or_time() {
        assert!(
            matches!(outcome("E-4711", 200), Outcome::Declined(Decline { reason: Reason::Other, code, .. }) if code == "E-4711")
        );
        assert_eq!(
            outcome("E-4711", 409),
            Outcome::Unknown(Doubt::Status { status: 409 })
        );
        assert_eq!(outcome("rate_limit", 429), Outcome::NotCharged(Why::Busy));
    }
}
