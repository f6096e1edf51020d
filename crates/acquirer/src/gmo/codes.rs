//! `ErrInfo` to what it means for the money.
//!
//! A code that is not listed is unknown: the document does not say of any class as a whole that it never books.

use ivrpay_payment::Reason::{
    CardNotSupported, CvvMismatch, InvalidExpiry, InvalidNumber, MerchantConfig, PlanNotAllowed,
};

use crate::codes::Class::{self, Busy, Rejected, Unknown};
use crate::codes::{cafis, find, hard, soft};

/// Where a row was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// tricot-inc/errors-gmopg, d207573 (362 rows, each with whether it may be tried again).
    Errors,
}

use Source::Errors;

/// What GMO says when there is no such order.
pub(super) const NO_SUCH_ORDER: [&str; 2] = ["E01110002", "M01004002"];
/// Operation not possible in this state: a return where a void came too late, and the other way round.
pub(super) const IMPOSSIBLE: &str = "E11010003";

#[rustfmt::skip]
pub(super) const TABLE: &[(&str, Class, Source)] = &[
    ("e01030002", Rejected, Errors), // shop id or pass
    ("e01040010", Unknown, Errors), // order id used before: look it up
    ("e01050002", Rejected, Errors),
    ("e01050004", Rejected, Errors),
    ("e01060010", Rejected, Errors), // amount differs from the authorisation's
    ("e01110002", Rejected, Errors),
    ("e01110010", Rejected, Errors),
    ("e01170001", soft(InvalidNumber), Errors),
    ("e01170003", soft(InvalidNumber), Errors),
    ("e01170006", soft(InvalidNumber), Errors),
    ("e01170011", soft(InvalidNumber), Errors),
    ("e01180001", soft(InvalidExpiry), Errors),
    ("e01180003", soft(InvalidExpiry), Errors),
    ("e01180006", soft(InvalidExpiry), Errors),
    ("e01180008", soft(InvalidExpiry), Errors),
    ("e01180011", soft(InvalidExpiry), Errors),
    ("e01240002", Rejected, Errors), // no such card
    ("e01260010", soft(PlanNotAllowed), Errors),
    ("e01270010", soft(PlanNotAllowed), Errors),
    ("e01390002", Rejected, Errors), // no such member
    ("e01460008", soft(CvvMismatch), Errors),
    ("e11010001", Unknown, Errors), // already settled
    ("e11010002", Rejected, Errors),
    ("e11010003", Rejected, Errors),
    ("e11010010", Rejected, Errors), // older than 180 days
    ("e11010099", soft(CardNotSupported), Errors),
    ("e11010999", Unknown, Errors), // perhaps already settled
    ("e41170002", soft(CardNotSupported), Errors), // brand
    ("e41170099", hard(InvalidNumber), Errors), // check digit
    ("e61010001", soft(MerchantConfig), Errors),
    ("e61010002", soft(MerchantConfig), Errors),
    ("e61010003", soft(MerchantConfig), Errors),
    ("e61020001", soft(MerchantConfig), Errors),
    ("e61030001", soft(MerchantConfig), Errors),
    ("e61040001", soft(MerchantConfig), Errors), // card numbers not allowed
    ("e82010001", Unknown, Errors), // another request of ours is running
    ("e90010001", Unknown, Errors), // the first one is still running
    ("e91019999", Unknown, Errors),
    ("e91020001", Unknown, Errors),
    ("e91029998", Unknown, Errors),
    ("e91029999", Unknown, Errors),
    ("e91060001", Unknown, Errors),
    ("e91099996", Unknown, Errors),
    ("e91099997", Unknown, Errors),
    ("e91099999", Unknown, Errors),
    ("e92000001", Busy, Errors),
    ("e92000002", Busy, Errors),
    ("ex1000301", Rejected, Errors),
    ("ex1000302", Rejected, Errors),
    ("ex1000303", Rejected, Errors),
    ("ex1000304", Rejected, Errors),
    ("m01004002", Rejected, Errors),
];

/// The class of one `ErrInfo`. A verdict of CAFIS is `42Gnn0000`; its network's trouble, `42Cnn0000`, is looked up first whatever it is.
pub(super) fn class(error: &str) -> Class {
    if error.starts_with("42C") {
        return Unknown;
    }
    find(TABLE, &error.to_ascii_lowercase())
        .or_else(|| error.starts_with("42G").then(|| cafis::class(error))?)
        .unwrap_or(Unknown)
}

#[cfg(test)]
mod tests {
    use ivrpay_payment::Reason::{InsufficientFunds, LostOrStolen};

    use super::*;

    #[test]
    fn classes() {
        crate::codes::check(TABLE);
        for (error, expected) in [
            ("42G440000", soft(CvvMismatch)),
            ("42G020000", soft(InsufficientFunds)),
            ("42G600000", hard(LostOrStolen)),
            ("42C120000", Unknown),
            ("42C500000", Unknown),
            ("E92000001", Busy),
            ("E00000000", Unknown),
            ("G12", Unknown),
            ("", Unknown),
        ] {
            assert_eq!(class(error), expected, "{error}");
        }
    }
}
