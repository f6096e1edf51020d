//! `errorCode` and `creditErrorCode` to what they mean for the money.
//!
//! A code that is not listed is unknown, but for those whose fourth sign is 1: all of the list's are refusals of a parameter, made before
//! anything is done.

use ivrpay_payment::Outcome;
use ivrpay_payment::Reason::{CardNotSupported, InvalidNumber};

use crate::codes::Class::{self, Busy, Rejected, Unknown};
use crate::codes::{cafis, find, soft};

/// Where a row was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// common-repository/yamato-credit-for-woo, bc22f61 (includes/class-kupaywc-codes.php).
    Woo,
}

use Source::Woo;

/// Those whose verdict is in `creditErrorCode`: an authorisation, and that of another amount.
const BY_CREDIT: [&str; 3] = ["A012060001", "A082000010", "A076000001"];

#[rustfmt::skip]
pub(super) const TABLE: &[(&str, Class, Source)] = &[
    ("0200001", soft(InvalidNumber), Woo), // check digit
    ("0200002", Unknown, Woo),
    ("0200003", soft(InvalidNumber), Woo), // of another company than was told
    ("0400001", Unknown, Woo),
    ("0500001", Unknown, Woo),
    ("0500002", Unknown, Woo),
    ("9900001", Unknown, Woo),
    ("a012050002", soft(CardNotSupported), Woo), // 3-D Secure only
    ("a033000001", Rejected, Woo), // the stored cards can't be read
    ("a062010001", Rejected, Woo), // no such order
    ("a062010002", Rejected, Woo),
    ("a062010003", Rejected, Woo), // cancelled before, or not to be cancelled
    ("a062010004", Rejected, Woo), // settled
    ("a062010005", Unknown, Woo),
    ("a062010007", Unknown, Woo),
    ("a062030001", Unknown, Woo),
    ("a070000000", Busy, Woo), // 23:00 to 1:00
    ("a073000001", Rejected, Woo),
    ("a073000002", Rejected, Woo),
    ("a074000001", Rejected, Woo), // the same amount
    ("a075000001", Unknown, Woo),
    ("a077000001", Unknown, Woo), // the old amount could not be cancelled
    ("a082000001", Rejected, Woo),
    ("a082000002", Rejected, Woo),
    ("a082000003", Unknown, Woo), // order number used before: look it up
    ("a082000005", Rejected, Woo), // no contract for stored cards
    ("a082000007", Rejected, Woo), // no contract for this plan
    ("a082000008", soft(InvalidNumber), Woo),
    ("a092000001", Unknown, Woo),
    ("e012000001", Unknown, Woo), // a slip is there already
    ("e013000001", Unknown, Woo), // changed by another request meanwhile
    ("z010000000", Busy, Woo),
    ("z012000001", Rejected, Woo),
    ("z012000002", Rejected, Woo),
    ("z012000003", Rejected, Woo),
    ("z012000004", Unknown, Woo), // this order is being worked on
    ("z012000005", Unknown, Woo),
    ("z012000006", Unknown, Woo),
    ("z012000007", Rejected, Woo), // trader code
    ("z012000008", Rejected, Woo),
    ("z012000009", Rejected, Woo), // address of the sender
    ("z019999999", Unknown, Woo),
];

/// What a refusal says.
pub(super) fn outcome(error: &str, credit: &str) -> Outcome {
    if !BY_CREDIT.contains(&error) {
        // The function, and what it says: nine digits in a row would be hidden, as a card's.
        let (function, rest) = error.split_at_checked(3).unwrap_or((error, ""));
        let class = listed(error).unwrap_or(Unknown);
        return class.outcome(&format!("{function}:{rest}"));
    }
    // What the network says (`Cnn`, 999) is looked up first, whatever it is.
    let issuer = credit.starts_with('G').then(|| cafis::class(credit));
    let class = issuer.flatten().or_else(|| find(TABLE, credit));
    class.unwrap_or(Unknown).outcome(credit)
}

fn listed(error: &str) -> Option<Class> {
    let parameter = error.len() == 10 && error.is_ascii() && error.get(3..4) == Some("1");
    find(TABLE, &error.to_ascii_lowercase()).or(parameter.then_some(Rejected))
}

#[cfg(test)]
mod tests {
    use ivrpay_payment::Reason::{CvvMismatch, LimitExceeded, LostOrStolen};
    use ivrpay_payment::{Decline, Doubt, Why};

    use super::*;

    #[test]
    fn two_codes_and_what_they_come_to() {
        crate::codes::check(TABLE);
        let declined = |reason, code: &str, hard| {
            let code = code.into();
            Outcome::Declined(Decline { reason, code, hard, action: None })
        };
        let unknown = Outcome::Unknown(Doubt::UnlistedCode);
        for (error, credit, expected) in [
            ("A012060001", "G55", declined(LimitExceeded, "G55", false)),
            ("A012060001", "G44", declined(CvvMismatch, "G44", false)),
            ("A082000010", "G60", declined(LostOrStolen, "G60", true)),
            ("A076000001", "G55", declined(LimitExceeded, "G55", false)),
            ("A012060001", "0200001", declined(InvalidNumber, "0200001", false)),
            ("A012060001", "0200002", unknown.clone()),
            ("A012060001", "C12", unknown.clone()),
            ("A012060001", "999", unknown.clone()),
            ("A012060001", "", unknown.clone()),
            ("A012050002", "", declined(CardNotSupported, "A01:2050002", false)),
            ("A082000003", "", unknown.clone()),
            ("A011010401", "", Outcome::NotCharged(Why::Rejected)),
            ("E011010351", "", Outcome::NotCharged(Why::Rejected)),
            ("A077000001", "G12", unknown.clone()),
            ("Z010000000", "", Outcome::NotCharged(Why::Busy)),
            ("Z012000006", "", unknown.clone()),
            ("Z019999999", "", unknown.clone()),
            ("A012999999", "", unknown.clone()),
            ("四一二一", "", unknown.clone()),
            ("", "", unknown),
        ] {
            assert_eq!(outcome(error, credit), expected, "{error} {credit}");
        }
    }
}
