//! `refusalReasonCode` and `errorCode` to what they mean for the money.
//!
//! A refusal that is not listed is one all the same: `resultCode` says before it that the payment was refused. An error that is not listed
//! is told by its type: what is found wrong in a request was not processed.

use ivrpay_payment::Reason::{CvvMismatch, InvalidExpiry, InvalidNumber, Other};
use serde_json::Value;

use super::fields::at;
use crate::codes::Class::{self, Rejected, Unknown};
use crate::codes::{adyen, find, iso8583, listed, soft};
use crate::json;

/// Where a row was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// docs.adyen.com/development-resources/error-codes.
    Errors,
}

use Source::Errors;

/// A request of this key was processed before, or is being processed.
pub(super) const IN_PROGRESS: &str = "704";

/// By `errorCode`.
#[rustfmt::skip]
pub(super) const ERRORS: &[(&str, Class, Source)] = &[
    ("101", soft(InvalidNumber), Errors),
    ("102", soft(InvalidNumber), Errors), // no brand has such a number
    ("103", soft(CvvMismatch), Errors),
    ("129", soft(InvalidExpiry), Errors),
    (IN_PROGRESS, Unknown, Errors),
];

/// The class of a refusal, and of what the network said of it. Adyen passes that on as a code and words behind it, and says that the words
/// change: only the code is looked at, and it never makes another thing of it than a refusal.
pub(super) fn refusal(code: &str, answer: &Value) -> Class {
    let network = |place| {
        let said = json::text(answer, place)?;
        said.split([':', ' ']).next()
    };
    let class = listed(adyen::TABLE, code).unwrap_or(soft(Other));
    iso8583::refined(class, network(at::NETWORK_CODE), network(at::NETWORK_ADVICE))
}

/// The class of an error.
pub(super) fn error(code: &str, kind: &str) -> Class {
    find(ERRORS, code).unwrap_or(match kind {
        "validation" | "security" | "configuration" => Rejected,
        _ => Unknown,
    })
}

#[cfg(test)]
mod tests {
    use ivrpay_payment::Reason::{CardUnusable, InsufficientFunds, Pickup};
    use serde_json::json;

    use super::*;
    use crate::codes::Class::Busy;
    use crate::codes::hard;

    #[test]
    fn classes() {
        crate::codes::check(ERRORS);
        let said = |raw: &str, advice: &str| {
            json!({"additionalData": {"refusalReasonRaw": raw, "merchantAdviceCode": advice}})
        };
        for (code, answer, expected) in [
            ("12", json!({}), soft(InsufficientFunds)),
            ("5", json!({}), hard(Pickup)),
            ("4", said("43 : Stolen card", "03: Do not try again"), Unknown),
            ("21", json!({}), Busy),
            ("99", json!({}), soft(Other)),
            ("2", said("51 : Insufficient funds/over credit limit", ""), soft(InsufficientFunds)),
            ("2", said("DECLINED", "03: Do not try again"), hard(CardUnusable)),
            ("2", said("", "02: Cannot approve at this time, try again later"), soft(CardUnusable)),
            ("12", said("41 : Lost card", ""), hard(InsufficientFunds)),
            ("99", said("", "21: Payment Cancellation"), hard(Other)),
        ] {
            assert_eq!(refusal(code, &answer), expected, "{code} {answer}");
        }
        for (code, kind, expected) in [
            ("101", "validation", soft(InvalidNumber)),
            ("130", "validation", Rejected),
            ("901", "security", Rejected),
            ("704", "validation", Unknown),
            ("905", "internal", Unknown),
            ("", "", Unknown),
        ] {
            assert_eq!(error(code, kind), expected, "{code}");
        }
    }
}
