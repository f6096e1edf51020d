//! `res_err_code` to what it means for the money: three digits for the method (101 card, 999 common), two for the type, three for the
//! item. The type decides.
//!
//! A type that is not listed is unknown.

use ivrpay_payment::Reason::{
    CardNotSupported, CardUnusable, CvvMismatch, FraudSuspected, InvalidCard, InvalidExpiry,
    InvalidNumber, LimitExceeded, LostOrStolen, PinError, PlanNotAllowed, Referral, RequestRefused,
};

use crate::codes::Class::{self, Busy, Rejected, Unknown};
use crate::codes::{find, hard, soft};

/// Where a row was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// wozaki/sbpayment.rb af5e8c9, lib/sbpayment/api_error.
    Errors,
    /// One client's table alone (vogle/sbpayment-java f135d76): that it is a refusal is sure, which one is not.
    Client,
}

use Source::{Client, Errors};

/// The transaction is not complete: a question came too early.
pub(super) const NOT_COMPLETE: &str = "94";

#[rustfmt::skip]
pub(super) const TABLE: &[(&str, Class, Source)] = &[
    ("00", Rejected, Errors), // XML
    ("01", Rejected, Errors), // method
    ("02", Rejected, Errors), // id
    ("03", Rejected, Errors), // missing
    ("04", Rejected, Errors), // attribute
    ("05", Rejected, Errors), // length
    ("06", Rejected, Errors), // format
    ("07", Rejected, Errors), // value
    ("09", Rejected, Errors), // hash
    ("10", Busy, Errors), // too old when it came: the clock
    ("11", Rejected, Errors), // transaction id
    ("12", Rejected, Errors), // tracking id
    ("13", Rejected, Errors), // not allowed
    ("14", Rejected, Errors), // merchant id
    ("20", soft(FraudSuspected), Errors),
    ("21", Unknown, Errors), // credit centre
    ("22", soft(LimitExceeded), Errors),
    ("23", soft(CardUnusable), Errors),
    ("24", soft(PinError), Errors),
    ("25", soft(LimitExceeded), Errors), // number of uses
    ("26", soft(CardUnusable), Errors),
    ("27", soft(InvalidNumber), Errors), // number or expiry
    ("28", soft(CardUnusable), Errors), // content
    ("29", soft(PlanNotAllowed), Errors),
    ("30", soft(PlanNotAllowed), Errors),
    ("31", soft(PlanNotAllowed), Errors),
    ("32", soft(PlanNotAllowed), Errors),
    ("33", soft(PlanNotAllowed), Errors),
    ("34", soft(PlanNotAllowed), Errors),
    ("35", soft(PlanNotAllowed), Errors),
    ("36", soft(CardUnusable), Errors),
    // 37 to 60: a sale, refund or cancellation is not possible in this state.
    ("37", Rejected, Errors), // a sale, where sales are automatic
    ("38", Rejected, Errors),
    ("39", Rejected, Errors),
    ("40", Unknown, Errors), // already cancelled: look it up
    ("41", Unknown, Errors), // already sold: look it up
    ("42", Rejected, Errors), // after the end of the third month
    ("43", Rejected, Errors),
    ("44", Rejected, Errors),
    ("45", Rejected, Errors),
    ("46", Unknown, Errors), // already given back: look it up
    ("47", Rejected, Errors),
    ("48", Rejected, Errors),
    ("49", Rejected, Errors),
    ("50", Rejected, Errors),
    ("51", Rejected, Errors),
    ("52", Unknown, Errors), // already cancelled: look it up
    ("53", Rejected, Errors),
    ("54", Rejected, Errors),
    ("55", Rejected, Errors),
    ("56", Rejected, Errors),
    ("57", Rejected, Errors),
    ("58", Rejected, Errors),
    ("59", Rejected, Errors),
    ("60", Rejected, Errors), // no commit any more
    ("61", soft(CvvMismatch), Errors),
    ("63", Rejected, Errors),
    ("64", Unknown, Errors),
    ("65", soft(CardUnusable), Client), // G12
    ("66", soft(Referral), Client), // G30
    ("67", soft(CvvMismatch), Client), // G44
    ("68", soft(LimitExceeded), Client), // G54
    ("69", soft(LimitExceeded), Client), // G55
    ("70", hard(LostOrStolen), Client), // G60
    ("71", hard(InvalidCard), Client), // G61
    ("72", hard(InvalidNumber), Client), // G65
    ("73", soft(InvalidExpiry), Client), // G83
    ("74", soft(CardNotSupported), Client), // G85
    ("75", soft(RequestRefused), Errors), // identity
    ("76", soft(RequestRefused), Errors),
    ("77", soft(RequestRefused), Errors),
    ("79", Rejected, Errors), // more than was authorised
    ("80", Unknown, Errors),
    ("83", Unknown, Errors), // no such record
    ("84", Unknown, Errors),
    ("85", Unknown, Errors),
    ("86", Unknown, Errors),
    ("90", Unknown, Errors),
    ("92", Unknown, Errors),
    ("93", hard(RequestRefused), Errors), // entered again too often
    ("94", Unknown, Errors),
    ("96", Unknown, Errors), // sent twice: look it up
    ("k0", Rejected, Errors), // not yet sold
    ("k1", Rejected, Errors), // more than is left
    ("t1", Rejected, Errors),
    ("t2", Rejected, Errors),
];

/// The type of a code; empty where it is none.
pub(super) fn kind(code: &str) -> &str {
    match (code.len(), code.get(..3)) {
        (8, Some("101" | "999")) => code.get(3..5).unwrap_or_default(),
        _ => "",
    }
}

/// The class of a `res_err_code`.
pub(super) fn class(code: &str) -> Class {
    find(TABLE, &kind(code).to_ascii_lowercase()).unwrap_or(Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        crate::codes::check(TABLE);
        for (code, expected) in [
            ("10105202", Rejected), // recorded
            ("10137999", Rejected), // recorded
            ("10122999", soft(LimitExceeded)),
            ("101K1008", Rejected),
            ("99990999", Unknown),
            ("10196004", Unknown),
            ("10108999", Unknown),
            ("40122999", Unknown),
            ("1012299", Unknown),
            ("101四", Unknown),
            ("", Unknown),
        ] {
            assert_eq!(class(code), expected, "{code}");
        }
    }
}
