//! What a receipt says.

use std::fmt;
use std::str::FromStr;

use ivrpay_payment::Currency;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Language of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "ISO 639-1")]
pub enum Language {
    Ja,
    En,
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// What was paid (領収書).
    Receipt,
    /// What was given back of it (返還インボイス).
    Return,
}

impl Kind {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Return => "return",
        }
    }
}

/// How a fraction of the smallest unit ends, once for each rate of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rounding {
    /// Cut off (切捨て).
    #[default]
    Down,
    /// Half and more up (四捨五入).
    Half,
    /// Up (切上げ).
    Up,
}

/// A tax rate, in hundredths of a per cent: 1000 is 10 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(pub(crate) u16);

/// No rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a rate is per cent with at most two digits behind the point, as 10, 8 or 5.5; 0 for what is not taxed; at most 99.99"
)]
pub struct RateError;

impl Rate {
    /// Of what is not taxed.
    pub const NONE: Self = Self(0);
    /// Japan's reduced rate (軽減税率).
    pub const REDUCED: Self = Self(800);
    /// Japan's standard rate.
    pub const STANDARD: Self = Self(1000);

    /// The tax in an amount that has it in it.
    #[must_use]
    pub fn within(self, gross: u64, rounding: Rounding) -> u64 {
        let (over, under) = (
            u128::from(gross) * u128::from(self.0),
            10_000 + u128::from(self.0),
        );
        let tax = match rounding {
            Rounding::Down => over / under,
            Rounding::Half => (over * 2 + under) / (under * 2),
            Rounding::Up => over.div_ceil(under),
        };
        // Never more than it is of.
        u64::try_from(tax).unwrap_or(gross)
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str, max: usize| {
            (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
        };
        if !digits(whole, 2) || !digits(part, 2) {
            return Err(RateError);
        }
        let whole: u16 = whole.parse().map_err(|_| RateError)?;
        let hundredths: u16 = part.parse().map_err(|_| RateError)?;
        let hundredths = if part.len() == 1 {
            hundredths * 10
        } else {
            hundredths
        };
        Ok(Self(whole * 100 + hundredths))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        match part {
            0 => write!(f, "{whole}"),
            part if part % 10 == 0 => write!(f, "{whole}.{}", part / 10),
            part => write!(f, "{whole}.{part:02}"),
        }
    }
}

/// The number under which an issuer of qualified invoices is registered (登録番号): T and 13 digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Registration(String);

/// No registration number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RegistrationError(&'static str);

impl FromStr for Registration {
    type Err = RegistrationError;

    fn from_str(text: &str) -> Result<Self, RegistrationError> {
        let wrong = RegistrationError("a registration number (登録番号) is T and 13 digits");
        let digits = text.strip_prefix('T').ok_or(wrong)?;
        if digits.len() != 13 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong);
        }
        let mut values = digits.bytes().map(|digit| u32::from(digit - b'0'));
        let check = values.next().ok_or(wrong)?;
        // 法人番号の指定に関する省令: from the last digit on, times 1, 2, 1, 2 …
        let weighted = values
            .rev()
            .enumerate()
            .map(|(at, digit)| digit * if at % 2 == 0 { 1 } else { 2 });
        if 9 - weighted.sum::<u32>() % 9 != check {
            return Err(RegistrationError(
                "the first digit of the registration number does not fit the others: one of them is mistyped",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Registration {
    type Error = RegistrationError;

    fn try_from(text: String) -> Result<Self, RegistrationError> {
        text.parse()
    }
}

impl From<Registration> for String {
    fn from(registration: Registration) -> Self {
        registration.0
    }
}

impl fmt::Display for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who issues receipts, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// As it is to stand there.
    pub name: String,
    /// Its address, telephone and the like, line by line.
    pub address: Vec<String>,
    /// Of who issues qualified invoices; without one no tax is shown in Japan.
    pub registration: Option<Registration>,
    /// Since when: what was sold before has no number.
    pub registered_on: Option<Date>,
    /// Elsewhere: `VAT GB 123 4567 89`.
    pub tax_id: Option<String>,
    /// A retailer, restaurant, taxi and the like may leave the recipient out (適格簡易請求書).
    pub simplified: bool,
    /// What it is for (但し書き), where nothing is said; by the language when `None`.
    pub purpose: Option<String>,
    /// Rate of a payment of which no line is said.
    pub rate: Option<Rate>,
    /// How a fraction ends.
    pub rounding: Rounding,
    /// Where none is said.
    pub language: Language,
}

/// What was charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// Ours.
    pub payment: String,
    /// The merchant's.
    pub order: Option<String>,
    /// Taken, minor units.
    pub amount: u64,
    /// Of what.
    pub currency: Currency,
    /// When, where the merchant is.
    pub paid_on: Date,
    /// With which card.
    pub card: Option<Card>,
    /// No money moved.
    pub test: bool,
}

/// A card and how it is paid back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// `visa`, …
    pub brand: String,
    /// The end of its number.
    pub last4: String,
    /// `lump_sum`, `installments`, …
    pub plan: String,
    /// In how many.
    pub count: Option<u8>,
}

/// What the merchant says of a receipt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// 宛名, with 様 or 御中.
    pub recipient: Option<String>,
    /// 但し書き.
    pub purpose: Option<String>,
    /// What was sold; one of the default rate where there is none.
    pub lines: Vec<Line>,
    /// When it was sold or delivered, where that is not when it was paid.
    pub sold_on: Option<Date>,
    /// In which language.
    pub language: Option<Language>,
}

/// Something that was sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// In words.
    pub description: String,
    /// With its tax, minor units; below zero: a discount.
    pub amount: i64,
    /// Its tax.
    pub rate: Rate,
}

/// All of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Which.
    pub rate: Rate,
    /// With tax.
    pub gross: u64,
    /// The tax; `None` where the issuer may show none.
    pub tax: Option<u64>,
}

/// What a return is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// Number of the receipt.
    pub number: String,
    /// When it was sold.
    pub sold_on: Date,
}

/// All that a document says: kept as it was issued, and shown again from this alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Form of this.
    pub version: u8,
    /// What it is.
    pub kind: Kind,
    /// Given by who keeps them; empty until then.
    pub number: String,
    /// 1 for the first; else it was issued again (再発行).
    pub issue: u32,
    /// When, where the merchant is.
    pub issued_on: Date,
    /// When it was sold, or given back.
    pub sold_on: Date,
    /// When it was paid.
    pub paid_on: Date,
    /// In which language.
    pub language: Language,
    /// Who issues it.
    pub issuer: String,
    /// And from where.
    pub address: Vec<String>,
    /// 登録番号.
    pub registration: Option<Registration>,
    /// The same elsewhere.
    pub tax_id: Option<String>,
    /// 宛名.
    pub recipient: Option<String>,
    /// 但し書き.
    pub purpose: String,
    /// What was sold.
    pub lines: Vec<Line>,
    /// By rate, the highest first.
    pub sums: Vec<Sum>,
    /// How their fractions ended.
    pub rounding: Rounding,
    /// All, with tax, minor units.
    pub total: u64,
    /// Of what.
    pub currency: Currency,
    /// How it was paid.
    pub card: Option<Card>,
    /// The merchant's order.
    pub order: Option<String>,
    /// Ours.
    pub payment: String,
    /// Of a return: what it is of.
    pub original: Option<Original>,
    /// No money moved.
    pub test: bool,
}

impl Receipt {
    /// Whether Japan's law of qualified invoices is spoken of.
    #[must_use]
    pub fn is_japanese(&self) -> bool {
        self.currency == Currency::Jpy
    }

    /// Whether a rate is Japan's reduced one, which is marked.
    #[must_use]
    pub fn is_reduced(&self, rate: Rate) -> bool {
        self.is_japanese() && rate == Rate::REDUCED
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_registration_number_has_a_check_digit() {
        // The National Tax Agency's own corporate number.
        let nta: Registration = "T7000012050002".parse().unwrap();
        assert_eq!(nta.to_string(), "T7000012050002");
        for wrong in [
            "",
            "T",
            "7000012050002",
            "T700001205000",
            "T70000120500021",
            "t7000012050002",
            "T7000012050003",
            "T6000012050002",
            "T7000012050020",
            "T700001205000Ⅱ",
        ] {
            assert!(wrong.parse::<Registration>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rate_is_per_cent() {
        for (text, rate, shown) in [
            ("10", 1000, "10"),
            ("8", 800, "8"),
            ("0", 0, "0"),
            ("5.5", 550, "5.5"),
            ("8.25", 825, "8.25"),
            ("10.05", 1005, "10.05"),
            ("99.99", 9999, "99.99"),
        ] {
            assert_eq!(text.parse(), Ok(Rate(rate)), "{text}");
            assert_eq!(Rate(rate).to_string(), shown);
        }
        for wrong in [
            "", "-1", "+8", "100", "8%", "8.", ".5", "8.255", "1e1", "８",
        ] {
            assert_eq!(wrong.parse::<Rate>(), Err(RateError), "{wrong}");
        }
    }

    #[test]
    fn a_fraction_ends_as_it_is_said() {
        use Rounding::{Down, Half, Up};
        for (gross, rate, down, half, up) in [
            (1100, 1000, 100, 100, 100),
            (1000, 1000, 90, 91, 91),
            (999, 1000, 90, 91, 91),
            (1005, 1000, 91, 91, 92),
            (100, 800, 7, 7, 8),
            (1, 800, 0, 0, 1),
            (500, 0, 0, 0, 0),
            (99_999_999, 1000, 9_090_909, 9_090_909, 9_090_909),
        ] {
            let tax = [Down, Half, Up].map(|rounding| Rate(rate).within(gross, rounding));
            assert_eq!(tax, [down, half, up], "{gross} at {rate}");
        }
    }
}
