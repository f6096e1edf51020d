//! What a refused payment's `error_code` and an error's `code` mean for the money.
//!
//! `error_code` is the processor's own, of some 88 of them: the same number has other meanings at others. So only words are looked up, in
//! Stripe's table, which many follow; all else is a refusal without a reason: `status` says before it that the payment has failed.

use ivrpay_payment::Reason::Other;

use crate::codes::Class::{self, Declined, Rejected, Unknown};
use crate::codes::{find, listed, soft, stripe};

/// Where a row was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// juspay/hyperswitch, crates/router/src/core/errors/api_error_response.rs.
    Errors,
}

use Source::Errors;

/// What Hyperswitch says when there is no such payment or refund.
pub(super) const NOT_FOUND: &str = "HE_02";

/// By an error's `code`. The `IR` codes are found before anything is sent to a processor.
#[rustfmt::skip]
pub(super) const ERRORS: &[(&str, Class, Source)] = &[
    ("he_01", Unknown, Errors), // the id was used before: look it up
    ("he_02", Rejected, Errors), // not there
    ("ir_01", Rejected, Errors), // API key
    ("ir_02", Rejected, Errors), // address
    ("ir_03", Rejected, Errors), // method
    ("ir_04", Rejected, Errors), // missing
    ("ir_05", Rejected, Errors), // form
    ("ir_06", Rejected, Errors), // data
    ("ir_07", Rejected, Errors), // value
    ("ir_13", Rejected, Errors), // more than is left to refund
    ("ir_14", Rejected, Errors), // not in this state
    ("ir_16", Rejected, Errors), // invalid request
];

/// The class of an error.
pub(super) fn error(code: &str) -> Class {
    find(ERRORS, &code.to_ascii_lowercase()).unwrap_or(Unknown)
}

/// The class of a payment that has failed.
pub(super) fn refusal(code: &str) -> Class {
    match listed(stripe::TABLE, &code.to_ascii_lowercase()) {
        Some(class @ Declined { .. }) => class,
        _ => soft(Other),
    }
}

#[cfg(test)]
mod tests {
    use ivrpay_payment::Reason::{InsufficientFunds, LostOrStolen};

    use super::*;
    use crate::codes::hard;

    #[test]
    fn classes() {
        crate::codes::check(ERRORS);
        for (code, expected) in [
            ("insufficient_funds", soft(InsufficientFunds)),
            ("LOST_CARD", hard(LostOrStolen)),
            ("processing_error", soft(Other)),
            ("12", soft(Other)),
            ("", soft(Other)),
        ] {
            assert_eq!(refusal(code), expected, "{code}");
        }
        for (code, expected) in [
            ("IR_04", Rejected),
            ("HE_01", Unknown),
            ("CE_00", Unknown),
            ("IR_99", Unknown),
        ] {
            assert_eq!(error(code), expected, "{code}");
        }
    }
}
