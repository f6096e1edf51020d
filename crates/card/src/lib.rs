//! Card number, security code and expiry in locked memory.
//!
//! SKELETON: interface only.

use ivrpay_payment::{Brand, Truncated};
use ivrpay_secret::{Buffer, Full};

/// Digits as they are keyed: at most 19 + 1, in locked memory.
pub struct Digits(Buffer);

impl Digits {
    /// Most digits that a field keeps: 19 (ISO/IEC 7812-1) and some more, so that "too many" is seen, not cut off.
    pub const MAX: usize = 24;

    /// An empty field.
    ///
    /// # Errors
    /// [`Full`].
    pub fn take() -> Result<Self, Full> {
        Buffer::take(Self::MAX).map(Self)
    }

    /// Appends one digit, 0 to 9.
    ///
    /// # Errors
    /// [`Full`] when it has [`Self::MAX`].
    pub fn push(&mut self, digit: u8) -> Result<(), Full> {
        self.0.push(&[b'0' + digit])
    }

    /// Digits held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Wipes.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Lends the digits, one ASCII byte each.
    pub fn expose<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        self.0.expose(f)
    }

    /// The last digit, if any, taken away again (for the duplicate-tone filter).
    pub fn pop(&mut self) {
        todo!("skeleton")
    }
}

/// Which brands are taken and whether Luhn is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Brands that the merchant takes.
    pub brands: Vec<Brand>,
    /// Off only on a test connector.
    pub luhn: bool,
}

/// What is wrong with a card number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PanError {
    /// Luhn check.
    #[error("the check digit is wrong")]
    Checksum,
    /// A brand that the merchant does not take, or none that we know.
    #[error("the brand is not taken")]
    Brand,
    /// Too many digits for the brand.
    #[error("too many digits")]
    Long,
    /// Too few digits for the brand.
    #[error("too few digits")]
    Short,
}

/// Card number.
pub struct Pan {
    digits: Digits,
    brand: Brand,
}

impl Pan {
    /// Checks brand, length and Luhn.
    ///
    /// # Errors
    /// [`PanError`]; the digits are wiped.
    pub fn parse(digits: Digits, rules: &Rules) -> Result<Self, PanError> {
        let _unused = (digits, rules);
        todo!("skeleton")
    }

    /// Brand and last four.
    #[must_use]
    pub fn truncated(&self) -> Truncated {
        todo!("skeleton")
    }

    /// The brand.
    #[must_use]
    pub fn brand(&self) -> Brand {
        self.brand
    }

    /// Lends the digits, one ASCII byte each.
    pub fn expose<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        self.digits.expose(f)
    }
}

/// What is known of a number that is still being keyed: decides when a field may end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Has the brand's usual length (16, 15, 14) and, where checked, a valid Luhn.
    Complete,
    /// Not yet.
    Open,
}

/// See [`Progress`].
#[must_use]
pub fn progress(digits: &Digits, rules: &Rules) -> Progress {
    let _unused = (digits, rules);
    todo!("skeleton")
}

/// Month and year.
pub struct Expiry(Digits);

/// What is wrong with an expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpiryError {
    /// Not four digits MMYY with a month of 01 to 12.
    #[error("not a month and a year")]
    Format,
    /// In the past, seen from the given month.
    #[error("the date has passed")]
    Past,
}

/// The month in which a call is made, from outside (no clock here). 2026-11 is `Month { year: 2026, month: 11 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month {
    /// 2000 to 2099.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
}

impl Expiry {
    /// Reads MMYY.
    ///
    /// # Errors
    /// [`ExpiryError`]; the digits are wiped.
    pub fn parse(digits: Digits, now: Month) -> Result<Self, ExpiryError> {
        let _unused = (digits, now);
        todo!("skeleton")
    }

    /// Lends month (two ASCII digits) and year (two ASCII digits).
    pub fn expose<R>(&self, f: impl FnOnce(&[u8], &[u8]) -> R) -> R {
        self.0.expose(|d| f(d.get(..2).unwrap_or_default(), d.get(2..).unwrap_or_default()))
    }
}

/// Security code.
pub struct SecurityCode(Digits);

/// Not the number of digits that the brand has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the number of digits that the brand has")]
pub struct SecurityCodeError;

impl SecurityCode {
    /// Digits of the brand's code: 4 for American Express, else 3.
    #[must_use]
    pub const fn digits(brand: Brand) -> usize {
        if matches!(brand, Brand::Amex) { 4 } else { 3 }
    }

    /// Checks the length.
    ///
    /// # Errors
    /// [`SecurityCodeError`]; the digits are wiped.
    pub fn parse(digits: Digits, brand: Brand) -> Result<Self, SecurityCodeError> {
        let _unused = (digits, brand);
        todo!("skeleton")
    }

    /// Lends the digits.
    pub fn expose<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        self.0.expose(f)
    }
}

/// A whole card, as an acquirer needs it.
pub struct Card {
    /// Number.
    pub pan: Pan,
    /// Expiry.
    pub expiry: Expiry,
    /// Code, where it was asked.
    pub code: Option<SecurityCode>,
}
