//! `result/status` and `result/code` to what they mean for the money.
//!
//! The status decides: `failure` is the issuer's no, `invalid` says that what we sent is wrong, `maintenance` that ZEUS is closed; none
//! of them is a payment. The code only says which refusal it is. Any other status is unknown.

use ivrpay_payment::Reason::{
    AuthenticationRequired, CardUnusable, CvvMismatch, ExpiredCard, InvalidExpiry, InvalidNumber,
};

use crate::codes::Class::{self, Busy, Rejected, Unknown};
use crate::codes::{find, soft};

/// Where a row was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// common-repository/usc-e-shop 7b1775d, classes/paymentZeus.class.php.
    Client,
}

use Source::Client;

/// Codes that lay it on the card.
#[rustfmt::skip]
pub(super) const TABLE: &[(&str, Class, Source)] = &[
    ("02100431", soft(AuthenticationRequired), Client),
    ("02130514", soft(InvalidNumber), Client),
    ("02130517", soft(InvalidNumber), Client),
    ("02130619", soft(InvalidNumber), Client),
    ("02130620", soft(InvalidNumber), Client),
    ("02130621", soft(InvalidNumber), Client),
    ("02130640", soft(InvalidNumber), Client),
    ("02130714", soft(InvalidExpiry), Client), // year
    ("02130717", soft(InvalidExpiry), Client),
    ("02130725", soft(InvalidExpiry), Client),
    ("02130814", soft(InvalidExpiry), Client), // month
    ("02130817", soft(InvalidExpiry), Client),
    ("02130825", soft(InvalidExpiry), Client),
    ("02130922", soft(ExpiredCard), Client),
    ("02131014", soft(CvvMismatch), Client),
    ("02131017", soft(CvvMismatch), Client),
];

/// The class of a payment's answer that is no success.
pub(super) fn class(status: &str, code: &str) -> Class {
    let listed = find(TABLE, code);
    match status {
        "failure" => listed.unwrap_or(soft(CardUnusable)),
        // Name, count, telephone, mail, credentials: ours.
        "invalid" => listed.unwrap_or(Rejected),
        "maintenance" => Busy,
        _ => Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        crate::codes::check(TABLE);
        for (status, code, expected) in [
            ("failure", "", soft(CardUnusable)),
            ("failure", "02130922", soft(ExpiredCard)),
            ("invalid", "02130514", soft(InvalidNumber)),
            ("invalid", "02131414", Rejected),
            ("invalid", "", Rejected),
            ("maintenance", "", Busy),
            ("outside", "", Unknown),
            ("success", "02130514", Unknown),
            ("", "", Unknown),
        ] {
            assert_eq!(class(status, code), expected, "{status} {code}");
        }
    }
}
