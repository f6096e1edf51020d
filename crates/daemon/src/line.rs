//! The line that no operator attends: how it asks, and what a merchant answers.
//!
//! Does not know how a caller is asked ([`crate::call`]), nor how a merchant is reached.

use std::time::Duration;

use ivrpay_dialogue::desk::OrderDigits;
use ivrpay_payment::{Currency, Money};
use ivrpay_prompts::Language;
use serde::Deserialize;

/// How long a merchant is waited for, in silence, where the configuration says nothing.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest from the first question to an order and its amount, wrong numbers and the merchant's answers included. The dialplan's own
/// limit (`ivrpay-pay`) is longer by this.
pub(crate) const ENTRY_MAX: Duration = Duration::from_secs(300);

/// `[tenants.line]`, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Whether the caller chooses a language, where the dialplan names none.
    pub ask_language: bool,
    /// The language where none is chosen, or the first one; the tenant's when `None`.
    pub language: Option<Language>,
    /// Digits of an order number.
    pub digits: OrderDigits,
    /// Whether 0 leads to an operator: the dialplan has one.
    pub operator: bool,
}

impl Default for Line {
    fn default() -> Self {
        const ANY: OrderDigits = match OrderDigits::new(1, OrderDigits::MAX, true) {
            Some(digits) => digits,
            None => panic!("a range of digits"),
        };
        Self {
            ask_language: false,
            language: None,
            digits: ANY,
            operator: true,
        }
    }
}

/// What a merchant says of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It costs so much.
    Payable(Money),
    /// It is paid.
    Paid,
    /// There is no such order.
    Unknown,
}

#[derive(Deserialize)]
struct RawAnswer {
    status: Status,
    amount: Option<u64>,
    currency: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    Paid,
    Payable,
    Unknown,
}

/// Reads a merchant's answer; fields that are not ours may stand in it.
///
/// # Errors
/// What is wrong, in words for an admin; never what stood there.
pub(crate) fn answer(body: &[u8]) -> Result<Answer, &'static str> {
    let raw: RawAnswer = serde_json::from_slice(body)
        .map_err(|_| "the answer is no JSON object with status payable, paid or unknown, amount as a whole number of minor units, and currency")?;
    match raw.status {
        Status::Paid => return Ok(Answer::Paid),
        Status::Unknown => return Ok(Answer::Unknown),
        Status::Payable => {}
    }
    let currency = raw
        .currency
        .ok_or("status is payable, and there is no currency")?;
    let currency: Currency = currency
        .parse()
        .map_err(|_| "currency is not one that we know")?;
    let amount = raw
        .amount
        .ok_or("status is payable, and there is no amount")?;
    Money::new(amount, currency)
        .map(Answer::Payable)
        .map_err(|_| "amount is not from 1 to 99,999,999 minor units")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_merchants_answer_is_an_amount_or_nothing() {
        let yen = |minor| Answer::Payable(Money::new(minor, Currency::Jpy).unwrap());
        for (body, expected) in [
            (
                r#"{"amount":1200,"currency":"JPY","status":"payable","description":"tea","colour":1}"#,
                Some(yen(1_200)),
            ),
            (r#"{"status":"paid"}"#, Some(Answer::Paid)),
            (
                r#"{"status":"unknown","amount":null}"#,
                Some(Answer::Unknown),
            ),
            (r#"{"amount":1200,"status":"payable"}"#, None),
            (r#"{"currency":"JPY","status":"payable"}"#, None),
            (r#"{"amount":0,"currency":"JPY","status":"payable"}"#, None),
            (
                r#"{"amount":12.5,"currency":"JPY","status":"payable"}"#,
                None,
            ),
            (r#"{"amount":-1,"currency":"JPY","status":"payable"}"#, None),
            (
                r#"{"amount":"1200","currency":"JPY","status":"payable"}"#,
                None,
            ),
            (
                r#"{"amount":100000000,"currency":"JPY","status":"payable"}"#,
                None,
            ),
            (
                r#"{"amount":1200,"currency":"XXX","status":"payable"}"#,
                None,
            ),
            (r#"{"amount":1200,"currency":"JPY"}"#, None),
            (
                r#"{"amount":1200,"currency":"JPY","status":"Payable"}"#,
                None,
            ),
            (r#"[{"status":"paid"}]"#, None),
            ("", None),
            ("<html>", None),
            ("\u{feff}{}", None),
        ] {
            assert_eq!(answer(body.as_bytes()).ok(), expected, "{body}");
        }
        assert!(answer(&[0xff, 0xfe]).is_err());
    }
}
