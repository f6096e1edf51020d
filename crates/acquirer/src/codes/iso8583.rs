//! What card networks say themselves: response codes (ISO 8583, 1987, data element 39), and their advice whether to try again. Acquirers
//! pass them on beside codes of their own.
//!
//! `hard` is Visa's category 1, "issuer will never approve": 04, 07, 12, 14, 15, 41, 43, 46, 57, R0, R1, R3
//! (developers.tabapay.com/docs/excessive-retry-rules; checkout.com/docs/developer-resources/codes/visa-response-codes has the same without
//! R0), taken for every brand. The reasons are general knowledge of the trade, in part read in public gateways' tables.

use ivrpay_payment::Reason::{
    self, AmountError, AuthenticationRequired, CardNotSupported, CardUnusable, CvvMismatch,
    ExpiredCard, FraudSuspected, InsufficientFunds, InvalidCard, InvalidNumber, IssuerUnavailable,
    LimitExceeded, LostOrStolen, MerchantConfig, Other, PaymentForbidden, Pickup, PinError,
    Referral,
};

use super::Class::{self, Declined, Unknown};
use super::action::{A, I, L, O, P, Q, R};
use super::{Row, hard, listed, soft};

/// Where a row was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// General knowledge of the trade; the schemes' own manuals are not public.
    General,
    /// The same, and that it is for good in the lists of Visa's category 1 named above.
    Category1,
}

use Source::{Category1, General};

/// Response codes.
#[rustfmt::skip]
pub(crate) const TABLE: &[Row<Source>] = &[
    ("01", "refer to card issuer",                   soft(Referral),               &[I], General),
    ("02", "refer to card issuer, special",          soft(Referral),               &[I], General),
    ("03", "invalid merchant",                       soft(MerchantConfig),         &[A], General),
    ("04", "pick up card",                           hard(Pickup),                 &[O], Category1),
    ("05", "do not honour",                          soft(CardUnusable),           &[O, I], General),
    ("06", "error",                                  Unknown,                      &[Q], General),
    ("07", "pick up card, special",                  hard(Pickup),                 &[O], Category1),
    ("12", "invalid transaction",                    hard(CardUnusable),           &[O, I], Category1),
    ("13", "invalid amount",                         soft(AmountError),            &[A], General),
    ("14", "invalid card number",                    hard(InvalidNumber),          &[R], Category1),
    ("15", "no such issuer",                         hard(InvalidCard),            &[O, R], Category1),
    ("19", "re-enter transaction",                   soft(IssuerUnavailable),      &[R], General),
    ("1a", "strong authentication wanted",           soft(AuthenticationRequired), &[O], General),
    ("30", "format error",                           soft(MerchantConfig),         &[A], General),
    ("33", "expired card, pick up",                  soft(ExpiredCard),            &[O], General),
    ("34", "suspected fraud, pick up",               soft(FraudSuspected),         &[O], General),
    ("41", "lost card",                              hard(LostOrStolen),           &[O], Category1),
    ("43", "stolen card",                            hard(LostOrStolen),           &[O], Category1),
    ("46", "closed account",                         hard(InvalidCard),            &[O], Category1),
    ("51", "not sufficient funds",                   soft(InsufficientFunds),      &[O, P], General),
    ("54", "expired card",                           soft(ExpiredCard),            &[O], General),
    ("55", "incorrect PIN",                          soft(PinError),               &[O], General),
    ("56", "no card record",                         soft(InvalidCard),            &[O, R], General),
    ("57", "not permitted to cardholder",            hard(CardNotSupported),       &[O], Category1),
    ("58", "not permitted to terminal",              soft(MerchantConfig),         &[A], General),
    ("59", "suspected fraud",                        soft(FraudSuspected),         &[O], General),
    ("61", "exceeds amount limit",                   soft(LimitExceeded),          &[O, P], General),
    ("62", "restricted card",                        soft(CardUnusable),           &[O, I], General),
    ("63", "security violation",                     soft(CardUnusable),           &[O, I], General),
    ("65", "exceeds frequency limit",                soft(LimitExceeded),          &[O, L], General),
    ("68", "response received too late",             Unknown,                      &[Q], General),
    ("75", "PIN tries exceeded",                     soft(PinError),               &[O], General),
    ("82", "CVV wrong",                              soft(CvvMismatch),            &[R], General),
    ("91", "issuer not available",                   soft(IssuerUnavailable),      &[L, O], General),
    ("92", "no route to the issuer",                 soft(IssuerUnavailable),      &[L, O], General),
    ("94", "duplicate transmission",                 Unknown,                      &[Q], General),
    ("96", "system malfunction",                     Unknown,                      &[Q], General),
    ("n7", "CVV2 wrong",                             soft(CvvMismatch),            &[R], General),
    ("r0", "stop this payment",                      hard(PaymentForbidden),       &[O], Category1),
    ("r1", "revocation of authorisation",            hard(PaymentForbidden),       &[O], Category1),
    ("r3", "revocation of all authorisations",       hard(PaymentForbidden),       &[O], Category1),
];

/// What a network advises beside its code: Mastercard's merchant advice codes (two digits) and Visa's categories (one), as Cybersource's
/// `processorInformation.merchantAdvice.code` and Barclaycard's list them. Only those that forbid; when to come back is the caller's.
const NEVER: [&str; 3] = [
    "03", // Mastercard: do not try again
    "21", // Mastercard: payment cancelled
    "1",  // Visa: issuer never approves (Mastercard's 01 is "new account information")
];

/// A refusal, once what the network says of it is known: its response code, and its advice. What it is for the money stays; for good it is
/// where one of the two says so, and a reason that says nothing gives way to the network's.
pub(crate) fn refined(class: Class, response: Option<&str>, advice: Option<&str>) -> Class {
    let Declined { reason, action, .. } = class else {
        return class;
    };
    let network = response.and_then(|code| listed(TABLE, &code.trim().to_ascii_lowercase()));
    let vague = matches!(reason, CardUnusable | Other | Reason::RequestRefused) && action.is_none();
    let refined = match network {
        Some(network @ Declined { .. }) if vague => network,
        Some(Declined { hard: true, .. }) => class.for_good(),
        _ => class,
    };
    let was_hard = matches!(class, Declined { hard: true, .. });
    let never = advice.is_some_and(|code| NEVER.contains(&code.trim()));
    if was_hard || never {
        refined.for_good()
    } else {
        refined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_one() {
        crate::codes::check_rows(
            TABLE,
            "01, 02, 03, 04, 05, 06, 07, 12, 13, 14, 15, 19, 1a, 30, 33, 34, 41, 43, 46, 51, 54, 55, 56, 57, 58, 59, 61, 62, \
             63, 65, 68, 75, 82, 91, 92, 94, 96, n7, r0, r1, r3",
        );
    }

    /// Visa's list is the table's, neither more nor less.
    #[test]
    fn for_good_is_category_1() {
        let is_hard = |class| matches!(class, Declined { hard: true, .. });
        let hard: Vec<_> = TABLE.iter().filter(|row| is_hard(row.2)).collect();
        let codes: Vec<_> = hard.iter().map(|row| row.0).collect();
        let category_1 = "04 07 12 14 15 41 43 46 57 r0 r1 r3";
        assert_eq!(codes.join(" "), category_1);
        assert!(hard.iter().all(|row| row.4 == Category1));
    }

    #[test]
    fn what_a_network_says_of_a_refusal() {
        let vague = soft(CardUnusable);
        for (class, response, advice, expected) in [
            (vague, Some("51"), None, soft(InsufficientFunds)),
            (vague, Some("43"), None, hard(LostOrStolen)),
            (vague, Some("R1"), Some("02"), hard(PaymentForbidden)),
            (vague, Some("05"), Some("03"), hard(CardUnusable)),
            (vague, None, Some("21"), hard(CardUnusable)),
            (vague, None, Some("1"), hard(CardUnusable)),
            (vague, Some("51"), Some("01"), soft(InsufficientFunds)),
            // What it is for the money stays as the acquirer says.
            (vague, Some("96"), None, vague),
            (Unknown, Some("43"), Some("03"), Unknown),
            // A reason that says something stays, too.
            (soft(CvvMismatch), Some("51"), None, soft(CvvMismatch)),
            (soft(FraudSuspected), Some("04"), None, hard(FraudSuspected)),
            // Once for good, always.
            (
                hard(CardUnusable),
                Some("51"),
                None,
                hard(InsufficientFunds),
            ),
            (vague, Some("ZZ"), Some("99"), vague),
            (vague, Some(""), Some("四"), vague),
            (vague, None, None, vague),
        ] {
            assert_eq!(
                refined(class, response, advice),
                expected,
                "{class:?} {response:?} {advice:?}"
            );
        }
    }
}
