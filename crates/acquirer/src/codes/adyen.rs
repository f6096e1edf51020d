//! Adyen's `refusalReasonCode`.
//!
//! `hard`: blocked, revoked, a number that is none, and what Adyen itself does not send any more.

use ivrpay_payment::Reason::{
    AmountError, AuthenticationRequired, CardNotSupported, CardUnusable, CvvMismatch, ExpiredCard,
    FraudSuspected, InsufficientFunds, InvalidNumber, IssuerUnavailable, LimitExceeded,
    PaymentForbidden, Pickup, PinError, Referral, RequestRefused,
};

use super::Class::{Busy, Unknown};
use super::action::{A, I, L, O, P, Q, R};
use super::{Row, hard, soft};

/// Where a row was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// docs.adyen.com/development-resources/refusal-reasons; 2 to 39 also in two public tables.
    Refusals,
    /// The list of the public Rust crate `adyen`, and not seen in a document of Adyen's.
    Crate,
}

use Source::{Crate, Refusals};

#[rustfmt::skip]
pub(crate) const TABLE: &[Row<Source>] = &[
    ("2",  "Refused",                                  soft(CardUnusable),           &[O, I], Refusals),
    ("3",  "Referral",                                 soft(Referral),               &[I], Refusals),
    ("4",  "Acquirer Error",                           Unknown,                      &[Q, L], Refusals),
    ("5",  "Blocked Card",                             hard(Pickup),                 &[O], Refusals),
    ("6",  "Expired Card",                             soft(ExpiredCard),            &[O], Refusals),
    ("7",  "Invalid Amount",                           soft(AmountError),            &[A], Refusals),
    ("8",  "Invalid Card Number",                      hard(InvalidNumber),          &[R], Refusals),
    ("9",  "Issuer Unavailable",                       soft(IssuerUnavailable),      &[L, O], Refusals),
    ("10", "Not supported",                            soft(CardNotSupported),       &[O], Refusals),
    ("11", "3D Not Authenticated",                     soft(AuthenticationRequired), &[O], Refusals),
    ("12", "Not enough balance",                       soft(InsufficientFunds),      &[O, P], Refusals),
    ("14", "Acquirer Fraud",                           soft(FraudSuspected),         &[O], Refusals),
    ("15", "Cancelled",                                soft(RequestRefused),         &[O, I], Refusals),
    ("16", "Shopper Cancelled",                        soft(RequestRefused),         &[O, I], Refusals),
    ("17", "Invalid Pin",                              soft(PinError),               &[O], Refusals),
    ("18", "Pin tries exceeded",                       soft(PinError),               &[O], Refusals),
    ("19", "Pin validation not possible",              soft(PinError),               &[O], Refusals),
    ("20", "FRAUD",                                    soft(FraudSuspected),         &[O], Refusals),
    ("21", "Not Submitted",                            Busy,                         &[L], Refusals),
    ("22", "FRAUD-CANCELLED",                          soft(FraudSuspected),         &[O], Refusals),
    ("23", "Transaction Not Permitted",                soft(CardNotSupported),       &[O], Refusals),
    ("24", "CVC Declined",                             soft(CvvMismatch),            &[R], Refusals),
    ("25", "Restricted Card",                          soft(CardNotSupported),       &[O], Refusals),
    ("26", "Revocation Of Auth",                       hard(PaymentForbidden),       &[O], Refusals),
    ("27", "Declined Non Generic",                     soft(CardUnusable),           &[O, I], Refusals),
    ("28", "Withdrawal amount exceeded",               soft(LimitExceeded),          &[O, P], Refusals),
    ("29", "Withdrawal count exceeded",                soft(LimitExceeded),          &[O, P], Refusals),
    ("31", "Issuer Suspected Fraud",                   soft(FraudSuspected),         &[O], Refusals),
    ("32", "AVS Declined",                             soft(CardUnusable),           &[O, I], Refusals),
    ("33", "Card requires online pin",                 soft(PinError),               &[O], Refusals),
    ("34", "No checking account available on card",    soft(CardUnusable),           &[O, I], Refusals),
    ("35", "No savings account available on card",     soft(CardUnusable),           &[O, I], Refusals),
    ("36", "Mobile pin required",                      soft(PinError),               &[O], Refusals),
    ("37", "Contactless fallback",                     soft(CardUnusable),           &[O, I], Refusals),
    ("38", "Authentication required",                  soft(AuthenticationRequired), &[O], Refusals),
    ("39", "RReq not received from DS",                soft(CardUnusable),           &[O, I], Refusals),
    ("40", "not for telephone",                        soft(CardUnusable),           &[O, I], Crate),
    ("41", "not for telephone",                        soft(CardUnusable),           &[O, I], Crate),
    ("42", "3DS error",                                soft(AuthenticationRequired), &[O], Crate),
    ("46", "Blocked to prevent excessive retry fees",  hard(PaymentForbidden),       &[O], Crate),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_one() {
        crate::codes::check_rows(
            TABLE,
            "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 31, 32, 33, \
             34, 35, 36, 37, 38, 39, 40, 41, 42, 46",
        );
    }
}
