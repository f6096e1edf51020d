//! Month and year until which a card is good.

use crate::digits::{Digits, value};

/// Month and year, as keyed: MMYY of the 21st century.
///
/// Cardholder data: not shown, not kept (PCI DSS v4.0.1, 3.2.1).
pub struct Expiry(Digits);

/// What is wrong with an expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpiryError {
    /// Not four digits MMYY with a month of 01 to 12, or so far ahead that no card has it.
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

impl Month {
    /// Months since the year 0, for comparing.
    const fn count(self) -> u32 {
        self.year as u32 * 12 + self.month as u32
    }
}

impl Expiry {
    /// Longest that a card is good for. Cards live three to five years, some ten; what is further ahead was keyed wrong.
    const YEARS_MAX: u32 = 20;

    /// Reads MMYY. A card is good to the last day of its month.
    ///
    /// # Errors
    /// [`ExpiryError`]; the digits are wiped.
    pub fn parse(digits: Digits, now: Month) -> Result<Self, ExpiryError> {
        digits.expose(|d| check(d, now))?;
        Ok(Self(digits))
    }

    /// Lends month (two ASCII digits) and year (two ASCII digits).
    pub fn expose<R>(&self, f: impl FnOnce(&[u8], &[u8]) -> R) -> R {
        self.0.expose(|d| {
            f(
                d.get(..2).unwrap_or_default(),
                d.get(2..).unwrap_or_default(),
            )
        })
    }
}

fn check(digits: &[u8], now: Month) -> Result<(), ExpiryError> {
    let &[m1, m2, y1, y2] = digits else {
        return Err(ExpiryError::Format);
    };
    let month = value(m1) * 10 + value(m2);
    let year = 2000 + u16::from(value(y1) * 10 + value(y2));
    if !(1..=12).contains(&month) {
        return Err(ExpiryError::Format);
    }
    let last = Month { year, month }.count();
    if last < now.count() {
        Err(ExpiryError::Past)
    } else if last > now.count() + Expiry::YEARS_MAX * 12 {
        Err(ExpiryError::Format)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digits::keyed;

    const NOW: Month = Month {
        year: 2026,
        month: 11,
    };

    #[track_caller]
    fn check(text: &str, now: Month, expected: Result<(), ExpiryError>) {
        let parsed = Expiry::parse(keyed(text), now);
        assert_eq!(
            parsed.as_ref().map(|_| ()).map_err(|error| *error),
            expected,
            "{text}"
        );
        if let Ok(expiry) = parsed {
            assert!(expiry.expose(
                |month, year| month == &text.as_bytes()[..2] && year == &text.as_bytes()[2..]
            ));
        }
    }

    #[test]
    fn good_to_the_end_of_the_month() {
        for (text, expected) in [
            ("1126", Ok(())),
            ("1226", Ok(())),
            ("0127", Ok(())),
            ("1231", Ok(())),
            ("1146", Ok(())),
            ("1026", Err(ExpiryError::Past)),
            ("1225", Err(ExpiryError::Past)),
            ("0100", Err(ExpiryError::Past)),
            ("1246", Err(ExpiryError::Format)),
            ("1299", Err(ExpiryError::Format)),
        ] {
            check(text, NOW, expected);
        }
        check(
            "1226",
            Month {
                year: 2026,
                month: 12,
            },
            Ok(()),
        );
        check(
            "1226",
            Month {
                year: 2027,
                month: 1,
            },
            Err(ExpiryError::Past),
        );
        check(
            "0199",
            Month {
                year: 2098,
                month: 12,
            },
            Ok(()),
        );
    }

    #[test]
    fn only_four_digits_with_a_month() {
        for text in [
            "", "1", "112", "11266", "122026", "0026", "1326", "9926", "2612", "3012",
        ] {
            check(text, NOW, Err(ExpiryError::Format));
        }
    }
}
