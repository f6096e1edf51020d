//! Issuer codes of CAFIS and CARDNET (G: the issuer's verdict, C: the network), which Japanese acquirers pass on in forms of their own.

use ivrpay_payment::Reason;

use super::Class::{self, Unknown};
use super::{hard, soft};

/// Where a row was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// As listed in common-repository/yamato-credit-for-woo (includes/class-kupaywc-codes.php), tricot-inc/errors-gmopg (42Gnn) and
    /// Paygent's 1Gnn, which agree.
    Cafis,
}

use Reason::{
    AmountError, CardNotSupported, CardUnusable, CvvMismatch, CvvMissing, InsufficientFunds,
    InvalidCard, InvalidExpiry, InvalidNumber, IssuerUnavailable, LimitExceeded, LostOrStolen,
    MerchantConfig, PaymentForbidden, Pickup, PinError, PlanNotAllowed, Referral, RequestRefused,
};
use Source::Cafis;

#[rustfmt::skip]
pub(crate) const TABLE: &[(&str, Class, Source)] = &[
    ("g02", soft(InsufficientFunds), Cafis),
    ("g03", soft(LimitExceeded), Cafis),
    ("g04", soft(InsufficientFunds), Cafis),
    ("g05", soft(LimitExceeded), Cafis),
    ("g06", soft(InsufficientFunds), Cafis),
    ("g07", soft(LimitExceeded), Cafis),
    ("g12", soft(CardUnusable), Cafis),
    ("g22", hard(PaymentForbidden), Cafis),
    ("g30", soft(Referral), Cafis),
    ("g42", soft(PinError), Cafis),
    ("g44", soft(CvvMismatch), Cafis),
    ("g45", soft(CvvMissing), Cafis),
    ("g46", soft(MerchantConfig), Cafis),
    ("g54", soft(LimitExceeded), Cafis),
    ("g55", soft(LimitExceeded), Cafis),
    ("g56", hard(Pickup), Cafis),
    ("g60", hard(LostOrStolen), Cafis),
    ("g61", hard(InvalidCard), Cafis),
    ("g65", hard(InvalidNumber), Cafis),
    ("g67", soft(MerchantConfig), Cafis),
    ("g68", soft(AmountError), Cafis),
    ("g69", soft(MerchantConfig), Cafis),
    ("g70", soft(PlanNotAllowed), Cafis),
    ("g71", soft(PlanNotAllowed), Cafis),
    ("g72", soft(PlanNotAllowed), Cafis),
    ("g73", soft(PlanNotAllowed), Cafis),
    ("g74", soft(PlanNotAllowed), Cafis),
    ("g75", soft(PlanNotAllowed), Cafis),
    ("g76", soft(PlanNotAllowed), Cafis),
    ("g77", soft(MerchantConfig), Cafis),
    ("g78", soft(PlanNotAllowed), Cafis),
    ("g79", soft(MerchantConfig), Cafis),
    ("g80", soft(MerchantConfig), Cafis),
    ("g81", soft(MerchantConfig), Cafis),
    ("g83", soft(InvalidExpiry), Cafis),
    ("g84", soft(MerchantConfig), Cafis),
    ("g85", soft(CardNotSupported), Cafis),
    ("g91", soft(IssuerUnavailable), Cafis),
    ("g92", soft(RequestRefused), Cafis),
    ("g94", soft(MerchantConfig), Cafis),
    ("g95", soft(IssuerUnavailable), Cafis),
    ("g96", hard(LostOrStolen), Cafis),
    ("g97", soft(RequestRefused), Cafis),
    ("g98", soft(IssuerUnavailable), Cafis),
    ("g99", soft(IssuerUnavailable), Cafis),
    ("999", Unknown, Cafis),
    ("c01", soft(MerchantConfig), Cafis),
    ("c03", soft(MerchantConfig), Cafis),
    ("c12", soft(IssuerUnavailable), Cafis),
    ("c13", soft(IssuerUnavailable), Cafis),
    ("c14", soft(IssuerUnavailable), Cafis),
    ("c15", Unknown, Cafis),
    ("c17", soft(MerchantConfig), Cafis),
    ("c33", Unknown, Cafis),
    ("c34", soft(MerchantConfig), Cafis),
    ("c35", Unknown, Cafis),
    ("c50", Unknown, Cafis),
    ("c51", Unknown, Cafis),
    ("c53", soft(MerchantConfig), Cafis),
    ("c54", soft(MerchantConfig), Cafis),
    ("c55", Unknown, Cafis),
    ("c56", soft(MerchantConfig), Cafis),
    ("c57", Unknown, Cafis),
    ("c58", soft(MerchantConfig), Cafis),
    ("c60", Unknown, Cafis),
    ("c70", Unknown, Cafis),
    ("c71", Unknown, Cafis),
    ("c72", Unknown, Cafis),
    ("c73", Unknown, Cafis),
    ("c74", Unknown, Cafis),
    ("c75", Unknown, Cafis),
    ("c76", Unknown, Cafis),
    ("c77", Unknown, Cafis),
    ("c78", Unknown, Cafis),
];

/// The class of an issuer code in any of its forms: `G12`, `42G120000`, `42G12`, `(G12)`, `1G12`.
pub(crate) fn class(code: &str) -> Option<Class> {
    let code = code.trim().to_ascii_lowercase();
    super::find(TABLE, &code).or_else(|| {
        let bare = code.trim_matches(['(', ')']);
        let bare = bare
            .strip_prefix("42")
            .or_else(|| bare.strip_prefix('1'))
            .unwrap_or(bare);
        let bare = bare.strip_suffix("0000").unwrap_or(bare);
        matches!(bare.as_bytes(), [b'g' | b'c', _, _]).then(|| super::find(TABLE, bare))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_in_their_forms() {
        crate::codes::check(TABLE);
        for (code, class_) in [
            ("G44", Some(soft(CvvMismatch))),
            ("42G440000", Some(soft(CvvMismatch))),
            ("(G44)", Some(soft(CvvMismatch))),
            ("1G44", Some(soft(CvvMismatch))),
            ("42G600000", Some(hard(LostOrStolen))),
            ("42C500000", Some(Unknown)),
            ("G00", None),
            ("", None),
            ("四", None),
        ] {
            assert_eq!(class(code), class_, "{code}");
        }
    }
}
