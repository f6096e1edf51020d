//! Their `error_code` to our [`Outcome`], each row with its source.
//!
//! The contract itself has no list of codes; it says that a set `error_code` means that nothing was charged. So a code that
//! stands nowhere here is a refusal by the request as such ([`Reason::RequestRefused`]), but for the few that say that the
//! endpoint does not know either.

use ivrpay_payment::{Decline, Doubt, Outcome, Reason, Why};

use crate::text;

/// What a code means for the money.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    /// Refused, nothing charged.
    Declined(Reason),
    /// Our request or contract is wrong, nothing charged.
    Rejected,
    /// Refused before anything was done.
    Busy,
    /// The endpoint does not know, or asks to look it up first.
    Unknown,
}

/// Where a row was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    /// docs.stripe.com/declines/codes.
    StripeDeclines,
    /// docs.stripe.com/error-codes and docs.stripe.com/api/errors (`type`).
    StripeErrors,
    /// Issuer codes of CAFIS/CARDNET, as listed in common-repository/yamato-credit-for-woo
    /// (includes/class-kupaywc-codes.php), tricot-inc/errors-gmopg (42Gnn) and Paygent's 1Gnn, which agree.
    Cafis,
    /// A common name for "I do not know", listed so that it is never taken for a decline.
    Caution,
}

use Class::{Busy, Declined, Rejected, Unknown};
use Reason::{
    AmountError, AuthenticationRequired, CardNotSupported, CardUnusable, CvvMismatch, CvvMissing,
    Duplicate, ExpiredCard, FraudSuspected, InsufficientFunds, InvalidCard, InvalidExpiry,
    InvalidNumber, IssuerUnavailable, LimitExceeded, LostOrStolen, MerchantConfig,
    PaymentForbidden, Pickup, PinError, PlanNotAllowed, Referral, RequestRefused,
};
use Source::{Cafis, Caution, StripeDeclines, StripeErrors};

#[rustfmt::skip]
const TABLE: &[(&str, Class, Source)] = &[
    ("amount_too_large", Declined(AmountError), StripeErrors),
    ("amount_too_small", Declined(AmountError), StripeErrors),
    ("api_error", Unknown, StripeErrors), // "something went wrong on Stripe's end"
    ("api_key_expired", Rejected, StripeErrors),
    ("approve_with_id", Declined(Referral), StripeDeclines),
    ("authentication_error", Rejected, StripeErrors),
    ("authentication_required", Declined(AuthenticationRequired), StripeDeclines),
    ("call_issuer", Declined(Referral), StripeDeclines),
    ("card_decline_rate_limit_exceeded", Declined(FraudSuspected), StripeErrors),
    ("card_declined", Declined(CardUnusable), StripeErrors),
    ("card_not_supported", Declined(CardNotSupported), StripeDeclines),
    ("card_velocity_exceeded", Declined(LimitExceeded), StripeDeclines),
    ("currency_not_supported", Declined(CardNotSupported), StripeDeclines),
    ("do_not_honor", Declined(CardUnusable), StripeDeclines),
    ("do_not_try_again", Declined(PaymentForbidden), StripeDeclines),
    ("duplicate_transaction", Declined(Duplicate), StripeDeclines),
    ("expired_card", Declined(ExpiredCard), StripeDeclines),
    ("fraudulent", Declined(FraudSuspected), StripeDeclines),
    ("generic_decline", Declined(CardUnusable), StripeDeclines),
    ("idempotency_error", Unknown, StripeErrors), // another request went out under this key before
    ("idempotency_key_in_use", Unknown, StripeErrors), // the first one is still running
    ("incorrect_cvc", Declined(CvvMismatch), StripeDeclines),
    ("incorrect_number", Declined(InvalidNumber), StripeDeclines),
    ("incorrect_pin", Declined(PinError), StripeDeclines),
    ("insufficient_funds", Declined(InsufficientFunds), StripeDeclines),
    ("invalid_account", Declined(InvalidCard), StripeDeclines),
    ("invalid_amount", Declined(AmountError), StripeDeclines),
    ("invalid_cvc", Declined(CvvMismatch), StripeDeclines),
    ("invalid_expiry_month", Declined(InvalidExpiry), StripeDeclines),
    ("invalid_expiry_year", Declined(InvalidExpiry), StripeDeclines),
    ("invalid_number", Declined(InvalidNumber), StripeDeclines),
    ("invalid_request_error", Rejected, StripeErrors),
    ("issuer_not_available", Declined(IssuerUnavailable), StripeDeclines),
    ("lock_timeout", Busy, StripeErrors),
    ("lost_card", Declined(LostOrStolen), StripeDeclines),
    ("merchant_blacklist", Declined(FraudSuspected), StripeDeclines),
    ("new_account_information_available", Declined(InvalidCard), StripeDeclines),
    ("no_action_taken", Declined(CardUnusable), StripeDeclines),
    ("not_permitted", Declined(CardUnusable), StripeDeclines),
    ("payment_intent_authentication_failure", Declined(AuthenticationRequired), StripeErrors),
    ("pickup_card", Declined(Pickup), StripeDeclines),
    ("processing_error", Unknown, StripeDeclines), // "an error occurred while processing the card"
    ("rate_limit", Busy, StripeErrors),
    ("reenter_transaction", Declined(IssuerUnavailable), StripeDeclines),
    ("restricted_card", Declined(CardUnusable), StripeDeclines),
    ("revocation_of_all_authorizations", Declined(PaymentForbidden), StripeDeclines),
    ("revocation_of_authorization", Declined(PaymentForbidden), StripeDeclines),
    ("security_violation", Declined(CardUnusable), StripeDeclines),
    ("service_not_allowed", Declined(CardUnusable), StripeDeclines),
    ("stolen_card", Declined(LostOrStolen), StripeDeclines),
    ("stop_payment_order", Declined(PaymentForbidden), StripeDeclines),
    ("testmode_decline", Declined(CardUnusable), StripeDeclines),
    ("transaction_not_allowed", Declined(CardUnusable), StripeDeclines),
    ("try_again_later", Declined(CardUnusable), StripeDeclines),
    ("withdrawal_count_limit_exceeded", Declined(LimitExceeded), StripeDeclines),

    ("gateway_timeout", Unknown, Caution),
    ("timeout", Unknown, Caution),
    ("unknown", Unknown, Caution),
    ("unknown_error", Unknown, Caution),

    // G: verdicts of the issuer.
    ("g02", Declined(InsufficientFunds), Cafis),
    ("g03", Declined(LimitExceeded), Cafis),
    ("g04", Declined(InsufficientFunds), Cafis),
    ("g05", Declined(LimitExceeded), Cafis),
    ("g06", Declined(InsufficientFunds), Cafis),
    ("g07", Declined(LimitExceeded), Cafis),
    ("g12", Declined(CardUnusable), Cafis),
    ("g22", Declined(PaymentForbidden), Cafis),
    ("g30", Declined(Referral), Cafis),
    ("g42", Declined(PinError), Cafis),
    ("g44", Declined(CvvMismatch), Cafis),
    ("g45", Declined(CvvMissing), Cafis),
    ("g46", Declined(MerchantConfig), Cafis),
    ("g54", Declined(LimitExceeded), Cafis),
    ("g55", Declined(LimitExceeded), Cafis),
    ("g56", Declined(Pickup), Cafis),
    ("g60", Declined(LostOrStolen), Cafis),
    ("g61", Declined(InvalidCard), Cafis),
    ("g65", Declined(InvalidNumber), Cafis),
    ("g67", Declined(MerchantConfig), Cafis),
    ("g68", Declined(AmountError), Cafis),
    ("g69", Declined(MerchantConfig), Cafis),
    ("g70", Declined(PlanNotAllowed), Cafis),
    ("g71", Declined(PlanNotAllowed), Cafis),
    ("g72", Declined(PlanNotAllowed), Cafis),
    ("g73", Declined(PlanNotAllowed), Cafis),
    ("g74", Declined(PlanNotAllowed), Cafis),
    ("g75", Declined(PlanNotAllowed), Cafis),
    ("g76", Declined(PlanNotAllowed), Cafis),
    ("g77", Declined(MerchantConfig), Cafis),
    ("g78", Declined(PlanNotAllowed), Cafis),
    ("g79", Declined(MerchantConfig), Cafis),
    ("g80", Declined(MerchantConfig), Cafis),
    ("g81", Declined(MerchantConfig), Cafis),
    ("g83", Declined(InvalidExpiry), Cafis),
    ("g84", Declined(MerchantConfig), Cafis),
    ("g85", Declined(CardNotSupported), Cafis),
    ("g91", Declined(IssuerUnavailable), Cafis),
    ("g92", Declined(RequestRefused), Cafis),
    ("g94", Declined(MerchantConfig), Cafis),
    ("g95", Declined(IssuerUnavailable), Cafis),
    ("g96", Declined(LostOrStolen), Cafis),
    ("g97", Declined(RequestRefused), Cafis),
    ("g98", Declined(IssuerUnavailable), Cafis),
    ("g99", Declined(IssuerUnavailable), Cafis),

    // C: the network. Only the issuer's centre busy, failed or closed is a verdict; the rest has to be looked up first.
    ("999", Unknown, Cafis),
    ("c01", Declined(MerchantConfig), Cafis),
    ("c03", Declined(MerchantConfig), Cafis),
    ("c12", Declined(IssuerUnavailable), Cafis),
    ("c13", Declined(IssuerUnavailable), Cafis),
    ("c14", Declined(IssuerUnavailable), Cafis),
    ("c15", Unknown, Cafis),
    ("c17", Declined(MerchantConfig), Cafis),
    ("c33", Unknown, Cafis),
    ("c34", Declined(MerchantConfig), Cafis),
    ("c35", Unknown, Cafis),
    ("c50", Unknown, Cafis),
    ("c51", Unknown, Cafis),
    ("c53", Declined(MerchantConfig), Cafis),
    ("c54", Declined(MerchantConfig), Cafis),
    ("c55", Unknown, Cafis),
    ("c56", Declined(MerchantConfig), Cafis),
    ("c57", Unknown, Cafis),
    ("c58", Declined(MerchantConfig), Cafis),
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

/// The outcome of an answer that names `error_code` and no charge. `status` matters only for a code that is not listed: with
/// 408 and 409 it speaks of time or of another request, and not of this one's end.
pub(super) fn outcome(error_code: &str, status: u16) -> Outcome {
    let code = text::code(error_code);
    match find(error_code) {
        Some(Declined(reason)) => Outcome::Declined(Decline { reason, code }),
        Some(Rejected) => Outcome::NotCharged(Why::Rejected),
        Some(Busy) => Outcome::NotCharged(Why::Busy),
        Some(Unknown) => Outcome::Unknown(Doubt::UnlistedCode),
        None if matches!(status, 408 | 409) => Outcome::Unknown(Doubt::Status { status }),
        None => Outcome::Declined(Decline {
            reason: RequestRefused,
            code,
        }),
    }
}

fn find(error_code: &str) -> Option<Class> {
    let code = error_code.trim().to_ascii_lowercase();
    let row = |code: &str| TABLE.iter().find(|row| row.0 == code).map(|row| row.1);
    row(&code).or_else(|| {
        // Encodings of an issuer code: `42G120000`, `42G12`, `(G12)`, `1G12`.
        let bare = code.trim_matches(['(', ')']);
        let bare = bare
            .strip_prefix("42")
            .or_else(|| bare.strip_prefix('1'))
            .unwrap_or(bare);
        let bare = bare.strip_suffix("0000").unwrap_or(bare);
        matches!(bare.as_bytes(), [b'g' | b'c', _, _]).then(|| row(bare))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_stands_twice_and_all_are_lower_case() {
        let mut codes: Vec<_> = TABLE.iter().map(|row| row.0).collect();
        assert!(codes.iter().all(|code| *code == code.to_ascii_lowercase()));
        codes.sort_unstable();
        let all = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }

    #[test]
    fn every_reason_can_be_had() {
        for reason in Reason::ALL {
            assert!(
                TABLE.iter().any(|row| row.1 == Declined(reason)),
                "{}",
                reason.name()
            );
        }
    }

    #[test]
    fn sources_are_named() {
        for source in [StripeDeclines, StripeErrors, Cafis, Caution] {
            assert!(TABLE.iter().any(|row| row.2 == source), "{source:?}");
        }
    }

    #[test]
    fn codes_in_their_encodings() {
        for (code, class) in [
            ("G44", Some(Declined(CvvMismatch))),
            ("42G440000", Some(Declined(CvvMismatch))),
            ("(G44)", Some(Declined(CvvMismatch))),
            ("1G44", Some(Declined(CvvMismatch))),
            ("42C500000", Some(Unknown)),
            ("INSUFFICIENT_FUNDS", Some(Declined(InsufficientFunds))),
            ("G00", None),
            ("", None),
            ("四", None),
        ] {
            assert_eq!(find(code), class, "{code}");
        }
    }

    #[test]
    fn an_unlisted_code_is_a_refusal_but_not_with_conflict_or_time() {
        assert!(
            matches!(outcome("E-4711", 200), Outcome::Declined(Decline { reason: RequestRefused, code }) if code == "E-4711")
        );
        assert_eq!(
            outcome("E-4711", 409),
            Outcome::Unknown(Doubt::Status { status: 409 })
        );
        assert_eq!(outcome("rate_limit", 429), Outcome::NotCharged(Why::Busy));
    }
}
