//! `refusalReasonCode` and `errorCode` to what they mean for the money.
//!
//! A refusal that is not listed is one all the same: `resultCode` says before it that the payment was refused. An error that is not listed
//! is told by its type: what is found wrong in a request was not processed.

use ivrpay_payment::Reason::{
    AmountError, AuthenticationRequired, CardNotSupported, CardUnusable, CvvMismatch, ExpiredCard,
    FraudSuspected, InsufficientFunds, InvalidExpiry, InvalidNumber, IssuerUnavailable,
    LimitExceeded, PaymentForbidden, Pickup, PinError, Referral, RequestRefused,
};

use crate::codes::Class::{self, Busy, Rejected, Unknown};
use crate::codes::{find, hard, soft};

/// Where a row was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// docs.adyen.com/development-resources/refusal-reasons; 2 to 39 also in two public tables.
    Refusals,
    /// The list of the public Rust crate `adyen`, and not seen in a document of Adyen's.
    Crate,
    /// docs.adyen.com/development-resources/error-codes.
    Errors,
}

use Source::{Crate, Errors, Refusals};

/// By `refusalReasonCode`.
#[rustfmt::skip]
pub(super) const REFUSALS: &[(&str, Class, Source)] = &[
    ("2", soft(CardUnusable), Refusals),
    ("3", soft(Referral), Refusals),
    ("4", Unknown, Refusals), // "Acquirer Error"
    ("5", hard(Pickup), Refusals), // "Blocked Card"
    ("6", soft(ExpiredCard), Refusals),
    ("7", soft(AmountError), Refusals),
    ("8", hard(InvalidNumber), Refusals),
    ("9", soft(IssuerUnavailable), Refusals),
    ("10", soft(CardNotSupported), Refusals),
    ("11", soft(AuthenticationRequired), Refusals),
    ("12", soft(InsufficientFunds), Refusals),
    ("14", soft(FraudSuspected), Refusals),
    ("15", soft(RequestRefused), Refusals),
    ("16", soft(RequestRefused), Refusals),
    ("17", soft(PinError), Refusals),
    ("18", soft(PinError), Refusals),
    ("19", soft(PinError), Refusals),
    ("20", soft(FraudSuspected), Refusals),
    ("21", Busy, Refusals), // "Not Submitted"
    ("22", soft(FraudSuspected), Refusals),
    ("23", soft(CardNotSupported), Refusals),
    ("24", soft(CvvMismatch), Refusals),
    ("25", soft(CardNotSupported), Refusals),
    ("26", hard(PaymentForbidden), Refusals),
    ("27", soft(CardUnusable), Refusals),
    ("28", soft(LimitExceeded), Refusals),
    ("29", soft(LimitExceeded), Refusals),
    ("31", soft(FraudSuspected), Refusals),
    ("32", soft(CardUnusable), Refusals),
    ("33", soft(PinError), Refusals),
    ("34", soft(CardUnusable), Refusals),
    ("35", soft(CardUnusable), Refusals),
    ("36", soft(PinError), Refusals),
    ("37", soft(CardUnusable), Refusals),
    ("38", soft(AuthenticationRequired), Refusals),
    ("39", soft(CardUnusable), Refusals),
    ("40", soft(CardUnusable), Crate),
    ("41", soft(CardUnusable), Crate),
    ("42", soft(AuthenticationRequired), Crate),
    ("46", hard(PaymentForbidden), Crate), // "blocked to prevent excessive retry fees"
];

/// By `errorCode`.
#[rustfmt::skip]
pub(super) const ERRORS: &[(&str, Class, Source)] = &[
    ("101", soft(InvalidNumber), Errors),
    ("102", soft(InvalidNumber), Errors), // no brand has such a number
    ("103", soft(CvvMismatch), Errors),
    ("129", soft(InvalidExpiry), Errors),
    ("704", Unknown, Errors), // processed before, or being processed
];

/// The class of a refusal.
pub(super) fn refusal(code: &str) -> Class {
    find(REFUSALS, code).unwrap_or(soft(RequestRefused))
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
    use super::*;

    #[test]
    fn classes() {
        crate::codes::check(REFUSALS);
        crate::codes::check(ERRORS);
        for (code, expected) in [
            ("12", soft(InsufficientFunds)),
            ("5", hard(Pickup)),
            ("4", Unknown),
            ("21", Busy),
            ("99", soft(RequestRefused)),
        ] {
            assert_eq!(refusal(code), expected, "{code}");
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
