//! `vResultCode` and `resCenterErrorCode` to what they mean for the money.
//!
//! A code that is not listed is unknown, but for `ACnn`, which speaks of a parameter and so of nothing that was done.

use ivrpay_payment::Outcome;
use ivrpay_payment::Reason::{
    AmountError, CardNotSupported, CardUnusable, CvvMismatch, CvvMissing, InvalidCard, InvalidExpiry,
    InvalidNumber, IssuerUnavailable, LimitExceeded, LostOrStolen, MerchantConfig, Pickup, PinError,
    PlanNotAllowed, Referral, RequestRefused,
};

use crate::codes::Class::{self, Rejected, Unknown};
use crate::codes::action::O;
use crate::codes::{cafis, find, hard, soft};

/// Where a row was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// The list of the vendor's development kit (yunliantiao/veritrans-tgmdk, 3498a7c); an issuer's verdict beside its CAFIS code.
    Kit,
}

use Source::Kit;

/// The first of the four codes of `vResultCode`.
#[rustfmt::skip]
pub(super) const TABLE: &[(&str, Class, Source)] = &[
    ("ab12", soft(CardNotSupported), Kit), // brand not in the contract
    ("ac25", soft(InvalidNumber), Kit),
    ("ac27", soft(InvalidNumber), Kit),
    ("ac30", soft(InvalidExpiry), Kit),
    ("acd4", Rejected, Kit), // the order that it is about
    ("acd6", Rejected, Kit),
    ("ag16", Unknown, Kit), // C12
    ("ag17", Unknown, Kit), // C13
    ("ag18", Unknown, Kit), // C14
    ("ag21", Unknown, Kit), // C33
    ("ag24", Unknown, Kit), // C50
    ("ag29", Unknown, Kit),
    ("ag33", soft(CardUnusable), Kit), // G12
    ("ag39", soft(Referral), Kit), // G30
    ("ag40", soft(PinError), Kit), // G42
    ("ag41", soft(CvvMismatch), Kit), // G44
    ("ag42", soft(CvvMissing), Kit), // G45
    ("ag44", soft(LimitExceeded), Kit), // G54
    ("ag45", soft(LimitExceeded), Kit), // G55
    ("ag46", hard(Pickup), Kit), // G56
    ("ag47", hard(LostOrStolen), Kit), // G60
    ("ag48", hard(InvalidCard), Kit), // G61
    ("ag49", hard(InvalidNumber), Kit), // G65
    ("ag50", soft(MerchantConfig), Kit), // G67
    ("ag51", soft(AmountError), Kit), // G68
    ("ag57", soft(PlanNotAllowed), Kit), // G74
    ("ag61", soft(PlanNotAllowed), Kit), // G78
    ("ag64", soft(InvalidExpiry), Kit), // G83
    ("ag65", soft(CardNotSupported), Kit), // G85
    ("ag68", soft(IssuerUnavailable), Kit), // G95
    ("ag70", soft(RequestRefused), Kit), // G97
    ("ag71", soft(IssuerUnavailable).with(O), Kit), // G98
    ("ag72", soft(IssuerUnavailable), Kit), // G99
    ("gb12", soft(CardNotSupported), Kit),
];

/// What an answer with `mstatus` failure says. The issuer's own code is more exact, where there is one; but what one of them calls unknown
/// is unknown, and so is all that the network (`Cnn`) says.
pub(super) fn outcome(result_code: &str, center_code: &str) -> Outcome {
    let first = result_code.get(..4).unwrap_or_default();
    let center = center_code.trim();
    let theirs = listed(first);
    if center.is_empty() || theirs == Some(Unknown) {
        return theirs.unwrap_or(Unknown).outcome(first);
    }
    let issuer = center.starts_with('G').then(|| cafis::class(center));
    issuer.flatten().unwrap_or(Unknown).outcome(center)
}

fn listed(first: &str) -> Option<Class> {
    let parameter = first.len() == 4 && first.starts_with("AC");
    find(TABLE, &first.to_ascii_lowercase()).or(parameter.then_some(Rejected))
}

#[cfg(test)]
mod tests {
    use ivrpay_payment::{Decline, Doubt, Why};

    use super::*;

    #[test]
    fn an_issuers_verdict_is_that_of_its_cafis_code() {
        crate::codes::check(TABLE);
        for (first, code) in [
            ("ag33", "G12"), ("ag39", "G30"), ("ag40", "G42"), ("ag41", "G44"), ("ag42", "G45"), ("ag44", "G54"), ("ag45", "G55"),
            ("ag46", "G56"), ("ag47", "G60"), ("ag48", "G61"), ("ag49", "G65"), ("ag50", "G67"), ("ag51", "G68"), ("ag57", "G74"),
            ("ag61", "G78"), ("ag64", "G83"), ("ag65", "G85"), ("ag68", "G95"), ("ag70", "G97"), ("ag71", "G98"), ("ag72", "G99"),
        ] {
            assert_eq!(find(TABLE, first), cafis::class(code), "{first} {code}");
        }
    }

    #[test]
    fn two_codes_and_what_they_come_to() {
        let declined = |reason, code: &str, hard| {
            Outcome::Declined(Decline { reason, code: code.into(), hard, action: None })
        };
        let unknown = Outcome::Unknown(Doubt::UnlistedCode);
        for (result, center, expected) in [
            ("AG41000000000000", "G44", declined(CvvMismatch, "G44", false)),
            ("AG41000000000000", "   ", declined(CvvMismatch, "AG41", false)),
            ("AG47000000000000", "", declined(LostOrStolen, "AG47", true)),
            ("AG99000000000000", "G12", declined(CardUnusable, "G12", false)),
            ("AG41000000000000", "G00", unknown.clone()),
            ("AG24000000000000", "G12", unknown.clone()),
            ("AG41000000000000", "C12", unknown.clone()),
            ("AC99000000000000", "   ", Outcome::NotCharged(Why::Rejected)),
            ("ACD4000000000000", "   ", Outcome::NotCharged(Why::Rejected)),
            ("A001000000000000", "   ", unknown.clone()),
            ("MF05000000000000", "   ", unknown.clone()),
            ("AC", "", unknown.clone()),
            ("", "", unknown),
        ] {
            assert_eq!(outcome(result, center), expected, "{result} {center}");
        }
    }
}
