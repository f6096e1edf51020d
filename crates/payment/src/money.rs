//! Amounts: integers in minor units with an ISO 4217 currency. No floats anywhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why something is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MoneyError {
    /// Not a currency that we know.
    #[error("unknown currency; known are JPY, USD, EUR, GBP, AUD, CAD, NZD, SGD, HKD, CHF, KRW")]
    Currency,
    /// Zero, below, or above [`Money::MAX`].
    #[error("an amount is from 1 to {max} minor units", max = Money::MAX)]
    Range,
    /// Not a whole number of minor units.
    #[error("an amount is a whole number of minor units: 1200 is 1,200 yen or 12.00 dollars")]
    Syntax,
}

/// ISO 4217 currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the codes are the documentation: ISO 4217")]
#[non_exhaustive]
pub enum Currency {
    Aud,
    Cad,
    Chf,
    Eur,
    Gbp,
    Hkd,
    Jpy,
    Krw,
    Nzd,
    Sgd,
    Usd,
}

impl Currency {
    /// All that we know.
    pub const ALL: [Currency; 11] = [
        Self::Aud,
        Self::Cad,
        Self::Chf,
        Self::Eur,
        Self::Gbp,
        Self::Hkd,
        Self::Jpy,
        Self::Krw,
        Self::Nzd,
        Self::Sgd,
        Self::Usd,
    ];

    /// Three letters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Aud => "AUD",
            Self::Cad => "CAD",
            Self::Chf => "CHF",
            Self::Eur => "EUR",
            Self::Gbp => "GBP",
            Self::Hkd => "HKD",
            Self::Jpy => "JPY",
            Self::Krw => "KRW",
            Self::Nzd => "NZD",
            Self::Sgd => "SGD",
            Self::Usd => "USD",
        }
    }

    /// Digits behind the point: 0 for the yen and the won, else 2 (ISO 4217, "minor unit").
    #[must_use]
    pub const fn exponent(self) -> u32 {
        match self {
            Self::Jpy | Self::Krw => 0,
            _ => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        Self::ALL
            .into_iter()
            .find(|c| c.code().eq_ignore_ascii_case(text))
            .ok_or(MoneyError::Currency)
    }
}

/// An amount to be paid: never zero, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Money {
    minor: u64,
    currency: Currency,
}

impl Money {
    /// Largest amount, minor units: 99,999,999 (a limit of every acquirer's field that we know is at or above it).
    pub const MAX: u64 = 99_999_999;

    /// An amount in minor units.
    ///
    /// # Errors
    /// [`MoneyError::Range`] for zero and above [`Self::MAX`].
    pub const fn new(minor: u64, currency: Currency) -> Result<Self, MoneyError> {
        if minor == 0 || minor > Self::MAX {
            Err(MoneyError::Range)
        } else {
            Ok(Self { minor, currency })
        }
    }

    /// Reads minor units as the dialplan gives them: ASCII digits, nothing else.
    ///
    /// # Errors
    /// [`MoneyError::Syntax`], [`MoneyError::Range`].
    pub fn parse(minor: &str, currency: Currency) -> Result<Self, MoneyError> {
        if minor.is_empty() || minor.len() > 12 || !minor.bytes().all(|b| b.is_ascii_digit()) {
            return Err(MoneyError::Syntax);
        }
        Self::new(minor.parse().map_err(|_| MoneyError::Syntax)?, currency)
    }

    /// Minor units.
    #[must_use]
    pub const fn minor(self) -> u64 {
        self.minor
    }

    /// The currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// Whole units and what is left in minor units: 12.34 dollars are (12, 34).
    #[must_use]
    pub const fn parts(self) -> (u64, u64) {
        let unit = 10_u64.pow(self.currency.exponent());
        (self.minor / unit, self.minor % unit)
    }

    /// Decimal in major units, as the Generic Pay contract wants it: `1500`, `25.00`.
    #[must_use]
    pub fn decimal(self) -> String {
        let (whole, rest) = self.parts();
        match self.currency.exponent() {
            0 => whole.to_string(),
            digits => format!("{whole}.{rest:0width$}", width = digits as usize),
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (minor, currency, decimal) in [
            (1500, Currency::Jpy, "1500"),
            (2500, Currency::Usd, "25.00"),
            (5, Currency::Eur, "0.05"),
        ] {
            assert_eq!(Money::new(minor, currency).unwrap().decimal(), decimal);
        }
    }

    #[test]
    fn bad_amounts_are_refused() {
        for text in ["", "-1", "1.5", "１２", "1e3", "12 ", "9999999999999"] {
            assert_eq!(
                Money::parse(text, Currency::Jpy),
                Err(MoneyError::Syntax),
                "{text}"
            );
        }
        for text in ["0", "100000000", "00"] {
            assert_eq!(
                Money::parse(text, Currency::Jpy),
                Err(MoneyError::Range),
                "{text}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn decimal_reads_back(minor in 1..=Money::MAX) {
            for currency in Currency::ALL {
                let money = Money::new(minor, currency).unwrap();
                let digits: String = money.decimal().chars().filter(char::is_ascii_digit).collect();
                proptest::prop_assert_eq!(digits.parse::<u64>().unwrap(), minor);
            }
        }
    }
}
