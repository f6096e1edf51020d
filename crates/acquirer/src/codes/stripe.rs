//! Stripe's codes, which merchants' own endpoints use as well.
//!
//! `hard`: lost, stolen, taken in, revoked, "do not try again", and a number or an account that is none (Visa's 14 and 46). Of the others
//! `advice_code` and the network's own codes ([`super::iso8583`]) say so, where an answer has them.
//! `duplicate_transaction` is looked up first: a payment of the same amount by the same card was sent shortly before.

use ivrpay_payment::Reason;

use super::Class::{Busy, Rejected, Unknown};
use super::action::{A, I, L, O, P, Q, R};
use super::{Row, hard, soft};

/// Where a row was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// docs.stripe.com/declines/codes.
    StripeDeclines,
    /// docs.stripe.com/error-codes and docs.stripe.com/api/errors (`type`).
    StripeErrors,
}

use Reason::{
    AmountError, AuthenticationRequired, CardNotSupported, CardUnusable, CvvMismatch, ExpiredCard,
    FraudSuspected, InsufficientFunds, InvalidCard, InvalidExpiry, InvalidNumber,
    IssuerUnavailable, LimitExceeded, LostOrStolen, PaymentForbidden, Pickup, PinError, Referral,
};
use Source::{StripeDeclines, StripeErrors};

#[rustfmt::skip]
pub(crate) const TABLE: &[Row<Source>] = &[
    ("amount_too_large",                        "amount above the allowed",         soft(AmountError),             &[A], StripeErrors),
    ("amount_too_small",                        "amount below the allowed",         soft(AmountError),             &[A], StripeErrors),
    ("api_error",                               "went wrong on Stripe's end",       Unknown,                       &[Q], StripeErrors),
    ("api_key_expired",                         "API key expired",                  Rejected,                      &[A], StripeErrors),
    ("approve_with_id",                         "can't be authorised",              soft(Referral),                &[I], StripeDeclines),
    ("authentication_error",                    "API key wrong",                    Rejected,                      &[A], StripeErrors),
    ("authentication_required",                 "3-D Secure wanted",                soft(AuthenticationRequired),  &[O], StripeDeclines),
    ("call_issuer",                             "declined, reason unknown: ask",    soft(Referral),                &[I], StripeDeclines),
    ("card_decline_rate_limit_exceeded",        "declined too often of late",       soft(FraudSuspected),          &[O], StripeErrors),
    ("card_declined",                           "declined",                         soft(CardUnusable),            &[O, I], StripeErrors),
    ("card_not_supported",                      "no purchases of this kind",        soft(CardNotSupported),        &[O], StripeDeclines),
    ("card_velocity_exceeded",                  "balance, limit or amount",         soft(LimitExceeded),           &[O, P], StripeDeclines),
    ("currency_not_supported",                  "currency not of this card",        soft(CardNotSupported),        &[O], StripeDeclines),
    ("do_not_honor",                            "declined, reason unknown",         soft(CardUnusable),            &[O, I], StripeDeclines),
    ("do_not_try_again",                        "declined, reason unknown",         hard(PaymentForbidden),        &[O], StripeDeclines),
    ("duplicate_transaction",                   "same amount and card lately",      Unknown,                       &[Q], StripeDeclines),
    ("expired_card",                            "expired",                          soft(ExpiredCard),             &[O], StripeDeclines),
    ("fraudulent",                              "Stripe suspects fraud",            soft(FraudSuspected),          &[O], StripeDeclines),
    ("generic_decline",                         "declined, reason unknown",         soft(CardUnusable),            &[O, I], StripeDeclines),
    ("idempotency_error",                       "other request under this key",     Unknown,                       &[Q], StripeErrors),
    ("idempotency_key_in_use",                  "the first one still runs",         Unknown,                       &[Q], StripeErrors),
    ("incorrect_cvc",                           "CVC wrong",                        soft(CvvMismatch),             &[R], StripeDeclines),
    ("incorrect_number",                        "number wrong",                     hard(InvalidNumber),           &[R], StripeDeclines),
    ("incorrect_pin",                           "PIN wrong",                        soft(PinError),                &[O], StripeDeclines),
    ("insufficient_funds",                      "insufficient funds",               soft(InsufficientFunds),       &[O, P], StripeDeclines),
    ("invalid_account",                         "card or its account invalid",      hard(InvalidCard),             &[O, R], StripeDeclines),
    ("invalid_amount",                          "amount invalid or too high",       soft(AmountError),             &[A], StripeDeclines),
    ("invalid_cvc",                             "CVC wrong",                        soft(CvvMismatch),             &[R], StripeDeclines),
    ("invalid_expiry_month",                    "expiry month invalid",             soft(InvalidExpiry),           &[R], StripeDeclines),
    ("invalid_expiry_year",                     "expiry year invalid",              soft(InvalidExpiry),           &[R], StripeDeclines),
    ("invalid_number",                          "number wrong",                     hard(InvalidNumber),           &[R], StripeDeclines),
    ("invalid_request_error",                   "request wrong",                    Rejected,                      &[A], StripeErrors),
    ("issuer_not_available",                    "issuer not reached",               soft(IssuerUnavailable),       &[L, O], StripeDeclines),
    ("lock_timeout",                            "object locked by another",         Busy,                          &[L], StripeErrors),
    ("lost_card",                               "reported lost",                    hard(LostOrStolen),            &[O], StripeDeclines),
    ("merchant_blacklist",                      "on the block list at Stripe",      soft(FraudSuspected),          &[O], StripeDeclines),
    ("new_account_information_available",       "card or its account invalid",      soft(InvalidCard),             &[O, R], StripeDeclines),
    ("no_action_taken",                         "declined, reason unknown",         soft(CardUnusable),            &[O, I], StripeDeclines),
    ("not_permitted",                           "payment not permitted",            soft(CardUnusable),            &[O, I], StripeDeclines),
    ("payment_intent_authentication_failure",   "3-D Secure failed",                soft(AuthenticationRequired),  &[O], StripeErrors),
    ("pickup_card",                             "can't be used (lost, stolen)",     hard(Pickup),                  &[O], StripeDeclines),
    ("processing_error",                        "error while processing",           Unknown,                       &[Q], StripeDeclines),
    ("rate_limit",                              "too many requests",                Busy,                          &[L], StripeErrors),
    ("reenter_transaction",                     "not processed, reason unknown",    soft(IssuerUnavailable),       &[R], StripeDeclines),
    ("restricted_card",                         "can't be used (lost, stolen)",     soft(CardUnusable),            &[O, I], StripeDeclines),
    ("revocation_of_all_authorizations",        "all authorisations revoked",       hard(PaymentForbidden),        &[O], StripeDeclines),
    ("revocation_of_authorization",             "authorisation revoked",            hard(PaymentForbidden),        &[O], StripeDeclines),
    ("security_violation",                      "declined, reason unknown",         soft(CardUnusable),            &[O, I], StripeDeclines),
    ("service_not_allowed",                     "declined, reason unknown",         soft(CardUnusable),            &[O, I], StripeDeclines),
    ("stolen_card",                             "reported stolen",                  hard(LostOrStolen),            &[O], StripeDeclines),
    ("stop_payment_order",                      "stopped by the cardholder",        hard(PaymentForbidden),        &[O], StripeDeclines),
    ("testmode_decline",                        "a test card, declined",            soft(CardUnusable),            &[O], StripeDeclines),
    ("transaction_not_allowed",                 "declined, reason unknown",         soft(CardUnusable),            &[O, I], StripeDeclines),
    ("try_again_later",                         "declined, reason unknown",         soft(CardUnusable),            &[L, I], StripeDeclines),
    ("withdrawal_count_limit_exceeded",         "balance or limit",                 soft(LimitExceeded),           &[O, P], StripeDeclines),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_one() {
        crate::codes::check_rows(
            TABLE,
            "incorrect_number, invalid_number, invalid_expiry_month, invalid_expiry_year, expired_card, incorrect_cvc, \
             invalid_cvc, insufficient_funds, card_velocity_exceeded, withdrawal_count_limit_exceeded, generic_decline, \
             do_not_honor, no_action_taken, transaction_not_allowed, not_permitted, restricted_card, security_violation, \
             service_not_allowed, try_again_later, call_issuer, approve_with_id, issuer_not_available, reenter_transaction, \
             lost_card, stolen_card, pickup_card, fraudulent, merchant_blacklist, card_decline_rate_limit_exceeded, \
             card_not_supported, currency_not_supported, do_not_try_again, revocation_of_authorization, \
             revocation_of_all_authorizations, stop_payment_order, authentication_required, \
             payment_intent_authentication_failure, processing_error, invalid_account, new_account_information_available, \
             invalid_amount, amount_too_small, amount_too_large, duplicate_transaction, idempotency_key_in_use, \
             lock_timeout, rate_limit, testmode_decline, card_declined, incorrect_pin, api_error, api_key_expired, \
             authentication_error, idempotency_error, invalid_request_error",
        );
    }
}
