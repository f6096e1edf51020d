//! Stripe's codes, which merchants' own endpoints use as well.

use ivrpay_payment::Reason;

use super::Class::{self, Busy, Rejected, Unknown};
use super::{hard, soft};

/// Where a row was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// docs.stripe.com/declines/codes.
    StripeDeclines,
    /// docs.stripe.com/error-codes and docs.stripe.com/api/errors (`type`).
    StripeErrors,
}

use Reason::{
    AmountError, AuthenticationRequired, CardNotSupported, CardUnusable, CvvMismatch, Duplicate,
    ExpiredCard, FraudSuspected, InsufficientFunds, InvalidCard, InvalidExpiry, InvalidNumber,
    IssuerUnavailable, LimitExceeded, LostOrStolen, PaymentForbidden, Pickup, PinError, Referral,
};
use Source::{StripeDeclines, StripeErrors};

#[rustfmt::skip]
pub(crate) const TABLE: &[(&str, Class, Source)] = &[
    ("amount_too_large", soft(AmountError), StripeErrors),
    ("amount_too_small", soft(AmountError), StripeErrors),
    ("api_error", Unknown, StripeErrors), // "something went wrong on Stripe's end"
    ("api_key_expired", Rejected, StripeErrors),
    ("approve_with_id", soft(Referral), StripeDeclines),
    ("authentication_error", Rejected, StripeErrors),
    ("authentication_required", soft(AuthenticationRequired), StripeDeclines),
    ("call_issuer", soft(Referral), StripeDeclines),
    ("card_decline_rate_limit_exceeded", soft(FraudSuspected), StripeErrors),
    ("card_declined", soft(CardUnusable), StripeErrors),
    ("card_not_supported", soft(CardNotSupported), StripeDeclines),
    ("card_velocity_exceeded", soft(LimitExceeded), StripeDeclines),
    ("currency_not_supported", soft(CardNotSupported), StripeDeclines),
    ("do_not_honor", soft(CardUnusable), StripeDeclines),
    ("do_not_try_again", hard(PaymentForbidden), StripeDeclines),
    ("duplicate_transaction", soft(Duplicate), StripeDeclines),
    ("expired_card", soft(ExpiredCard), StripeDeclines),
    ("fraudulent", soft(FraudSuspected), StripeDeclines),
    ("generic_decline", soft(CardUnusable), StripeDeclines),
    ("idempotency_error", Unknown, StripeErrors), // another request went out under this key before
    ("idempotency_key_in_use", Unknown, StripeErrors), // the first one is still running
    ("incorrect_cvc", soft(CvvMismatch), StripeDeclines),
    ("incorrect_number", hard(InvalidNumber), StripeDeclines),
    ("incorrect_pin", soft(PinError), StripeDeclines),
    ("insufficient_funds", soft(InsufficientFunds), StripeDeclines),
    ("invalid_account", hard(InvalidCard), StripeDeclines),
    ("invalid_amount", soft(AmountError), StripeDeclines),
    ("invalid_cvc", soft(CvvMismatch), StripeDeclines),
    ("invalid_expiry_month", soft(InvalidExpiry), StripeDeclines),
    ("invalid_expiry_year", soft(InvalidExpiry), StripeDeclines),
    ("invalid_number", hard(InvalidNumber), StripeDeclines),
    ("invalid_request_error", Rejected, StripeErrors),
    ("issuer_not_available", soft(IssuerUnavailable), StripeDeclines),
    ("lock_timeout", Busy, StripeErrors),
    ("lost_card", hard(LostOrStolen), StripeDeclines),
    ("merchant_blacklist", soft(FraudSuspected), StripeDeclines),
    ("new_account_information_available", soft(InvalidCard), StripeDeclines),
    ("no_action_taken", soft(CardUnusable), StripeDeclines),
    ("not_permitted", soft(CardUnusable), StripeDeclines),
    ("payment_intent_authentication_failure", soft(AuthenticationRequired), StripeErrors),
    ("pickup_card", hard(Pickup), StripeDeclines),
    ("processing_error", Unknown, StripeDeclines), // "an error occurred while processing the card"
    ("rate_limit", Busy, StripeErrors),
    ("reenter_transaction", soft(IssuerUnavailable), StripeDeclines),
    ("restricted_card", soft(CardUnusable), StripeDeclines),
    ("revocation_of_all_authorizations", hard(PaymentForbidden), StripeDeclines),
    ("revocation_of_authorization", hard(PaymentForbidden), StripeDeclines),
    ("security_violation", soft(CardUnusable), StripeDeclines),
    ("service_not_allowed", soft(CardUnusable), StripeDeclines),
    ("stolen_card", hard(LostOrStolen), StripeDeclines),
    ("stop_payment_order", hard(PaymentForbidden), StripeDeclines),
    ("testmode_decline", soft(CardUnusable), StripeDeclines),
    ("transaction_not_allowed", soft(CardUnusable), StripeDeclines),
    ("try_again_later", soft(CardUnusable), StripeDeclines),
    ("withdrawal_count_limit_exceeded", soft(LimitExceeded), StripeDeclines),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_one() {
        crate::codes::check(TABLE);
    }
}
