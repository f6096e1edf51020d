//! The card number: parsed whole, and judged while it is being keyed.

use ivrpay_payment::{Brand, Truncated};

use crate::brand::{Range, has_luhn};
use crate::digits::{Digits, value};

/// Which brands are taken and whether Luhn is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Brands that the merchant takes.
    pub brands: Vec<Brand>,
    /// Off only on a test connector: some sandboxes want numbers with a wrong check digit.
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

/// Card number: 12 to 19 digits of a brand that is taken, in a length that the brand has, with a right check digit where the
/// brand has one (ISO/IEC 7812-1).
///
/// Never stored, shown or logged whole; [`Truncated`] is the only form that leaves this crate (PCI DSS v4.0.1, 3.4.1 and
/// 3.5.1).
pub struct Pan {
    digits: Digits,
    brand: Brand,
    truncated: Truncated,
}

impl Pan {
    /// Checks brand, length and check digit.
    ///
    /// The first of these that is wrong is told: fewer than 12 digits ([`PanError::Short`]), the brand, the length (between
    /// two that exist: short below the usual one, long above), the check digit. UnionPay's check digit is not checked, since
    /// not all of its cards have one.
    ///
    /// # Errors
    /// [`PanError`]; the digits are wiped.
    pub fn parse(digits: Digits, rules: &Rules) -> Result<Self, PanError> {
        let (brand, truncated) = digits.expose(|d| read(d, rules))?;
        Ok(Self {
            digits,
            brand,
            truncated,
        })
    }

    /// Brand and last four.
    #[must_use]
    pub fn truncated(&self) -> Truncated {
        self.truncated
    }

    /// The brand. Of a card with two, the one that the merchant takes.
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
///
/// A brand that is not taken counts too: the caller then hears so at once. A UnionPay number without a check digit stays
/// open and ends with `#`: nothing would tell its first 16 digits from a whole one.
#[must_use]
pub fn progress(digits: &Digits, rules: &Rules) -> Progress {
    let complete =
        digits.expose(|d| Range::of(d).is_some_and(|r| d.len() == r.usual) && checks_out(d, rules));
    if complete {
        Progress::Complete
    } else {
        Progress::Open
    }
}

/// Whether a number that was left off may be taken for whole when the wait for the next key is over: it has a length that the
/// brand has, and a valid Luhn.
///
/// Lengths below the usual one (12 to 15 of Maestro, 13 of Visa) do not count: one in ten beginnings of a longer number has a
/// valid Luhn by chance, and somebody who rests after four groups of three is commoner than such a card. They end with `#`.
#[must_use]
pub fn legal(digits: &Digits, rules: &Rules) -> bool {
    digits.expose(|d| {
        Range::of(d).is_some_and(|r| d.len() >= r.usual && r.lengths.contains(&d.len()))
            && checks_out(d, rules)
    })
}

/// Fewest digits of any card (ISO/IEC 7812-1 has no lower limit; Maestro's shortest).
const SHORTEST: usize = 12;

fn read(digits: &[u8], rules: &Rules) -> Result<(Brand, Truncated), PanError> {
    if digits.len() < SHORTEST {
        return Err(PanError::Short);
    }
    let range = Range::of(digits).ok_or(PanError::Brand)?;
    let taken = |brand: &Brand| rules.brands.contains(brand);
    let brand = Some(range.brand)
        .filter(taken)
        .or(range.second.filter(taken))
        .ok_or(PanError::Brand)?;
    if !range.lengths.contains(&digits.len()) {
        return Err(if digits.len() < range.usual {
            PanError::Short
        } else {
            PanError::Long
        });
    }
    if has_luhn(brand) && !checks_out(digits, rules) {
        return Err(PanError::Checksum);
    }
    let last4 = digits.last_chunk().map(|last4: &[u8; 4]| last4.map(value));
    let truncated = last4
        .and_then(|last4| Truncated::new(brand, last4))
        .expect("twelve digits or more, nothing else");
    Ok((brand, truncated))
}

fn checks_out(digits: &[u8], rules: &Rules) -> bool {
    !rules.luhn || luhn(digits)
}

/// ISO/IEC 7812-1, annex B: every second digit from the right counts twice, its two digits summed.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, ascii)| match (i % 2, value(*ascii)) {
            (0, digit) => u32::from(digit),
            (_, digit) if digit > 4 => u32::from(digit) * 2 - 9,
            (_, digit) => u32::from(digit) * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use Brand::{Amex, DinersClub, Discover, Jcb, Maestro, Mastercard, Unionpay, Visa};

    use super::*;
    use crate::digits::keyed;

    fn all() -> Rules {
        Rules {
            brands: Brand::ALL.to_vec(),
            luhn: true,
        }
    }

    #[track_caller]
    fn check(number: &str, rules: &Rules, expected: Result<Brand, PanError>) {
        let parsed = Pan::parse(keyed(number), rules);
        assert_eq!(
            parsed.as_ref().map(Pan::brand).map_err(|error| *error),
            expected,
            "{} digits",
            number.len()
        );
        if let Ok(pan) = parsed {
            assert!(
                pan.expose(|d| d == number.as_bytes()),
                "other digits than were keyed"
            );
            assert_eq!(
                pan.truncated().last4_text(),
                number.split_at(number.len() - 4).1
            );
            assert_eq!(pan.truncated().brand, pan.brand());
        }
    }

    /// Published by Stripe, Adyen, GMO and PayPal for tests.
    const PUBLISHED: [(&str, Brand); 25] = [
        ("4111111111111111", Visa),
        ("4242424242424242", Visa),
        ("4012888888881881", Visa),
        ("4000003920000003", Visa),
        ("4222222222222", Visa),
        ("5555555555554444", Mastercard),
        ("5105105105105100", Mastercard),
        ("2223003122003222", Mastercard),
        ("3530111333300000", Jcb),
        ("3566002020360505", Jcb),
        ("3569990010095841", Jcb),
        ("378282246310005", Amex),
        ("371449635398431", Amex),
        ("370000000000002", Amex),
        ("36227206271667", DinersClub),
        ("36006666333344", DinersClub),
        ("30569309025904", DinersClub),
        ("3056930009020004", DinersClub),
        ("38520000023237", DinersClub),
        ("6011111111111117", Discover),
        ("6011000990139424", Discover),
        ("6200000000000005", Unionpay),
        ("6200000000000047", Unionpay),
        ("6205500000000000004", Unionpay),
        ("6759649826438453", Maestro),
    ];

    #[test]
    fn published_numbers_are_taken() {
        for (number, brand) in PUBLISHED {
            check(number, &all(), Ok(brand));
        }
    }

    #[test]
    fn a_wrong_check_digit_is_refused() {
        for (number, brand) in PUBLISHED {
            let (front, last) = number.split_at(number.len() - 1);
            let last: u8 = last.parse().unwrap();
            let wrong = format!("{front}{}", (last + 1) % 10);
            let expected = if brand == Unionpay {
                Ok(brand)
            } else {
                Err(PanError::Checksum)
            };
            check(&wrong, &all(), expected);
            check(
                &wrong,
                &Rules {
                    luhn: false,
                    ..all()
                },
                Ok(brand),
            );
        }
    }

    #[test]
    fn a_wrong_length_is_told_before_a_wrong_check_digit() {
        for (number, expected) in [
            ("", PanError::Short),
            ("4", PanError::Short),
            ("41111111111", PanError::Short),
            ("99999999999", PanError::Short),
            ("411111111111", PanError::Short),
            ("41111111111111", PanError::Short),
            ("411111111111111", PanError::Short),
            ("41111111111111111", PanError::Long),
            ("411111111111111111", PanError::Long),
            ("41111111111111111111", PanError::Long),
            ("411111111111111111111111", PanError::Long),
            ("555555555555444", PanError::Short),
            ("55555555555544444", PanError::Long),
            ("37828224631000", PanError::Short),
            ("3782822463100050", PanError::Long),
            ("3622720627166", PanError::Short),
            ("36227206271667000000", PanError::Long),
            ("305693090259040", PanError::Long),
            ("353011133330000", PanError::Short),
            ("35301113333000000000", PanError::Long),
            ("999999999999", PanError::Brand),
            ("9999999999999999", PanError::Brand),
            ("0000000000000000", PanError::Brand),
            ("1234567812345670", PanError::Brand),
        ] {
            check(number, &all(), Err(expected));
        }
    }

    #[test]
    fn only_what_the_merchant_takes() {
        let rules = Rules {
            brands: vec![Visa, Mastercard, Jcb],
            luhn: true,
        };
        for (number, brand) in PUBLISHED {
            let expected = if rules.brands.contains(&brand) {
                Ok(brand)
            } else {
                Err(PanError::Brand)
            };
            check(number, &rules, expected);
        }
        check("378282246310006", &rules, Err(PanError::Brand));
        check("37828224631", &rules, Err(PanError::Short));
    }

    /// A card with two brands is taken under the one that the merchant takes. Discover's is taken for nothing else.
    #[test]
    fn cards_with_two_brands() {
        let only = |brand| Rules {
            brands: vec![brand],
            luhn: true,
        };
        check("6221260000000000", &all(), Ok(Discover));
        check("6221260000000000", &only(Unionpay), Ok(Unionpay));
        check("6221260000000000", &only(Discover), Ok(Discover));
        check("6221260000000000", &only(Maestro), Err(PanError::Brand));
        check("6011111111111117", &only(Maestro), Err(PanError::Brand));
    }

    /// The number of digits at which a field may end by itself, and those at which it may when no key comes for long.
    #[track_caller]
    fn ends(number: &str, rules: &Rules, by_itself: &[usize], left_off: &[usize]) {
        let mut digits = Digits::take().unwrap();
        let (mut complete, mut is_legal) = (Vec::new(), Vec::new());
        for byte in number.bytes() {
            digits.push(value(byte)).unwrap();
            if progress(&digits, rules) == Progress::Complete {
                complete.push(digits.len());
            }
            if legal(&digits, rules) {
                is_legal.push(digits.len());
            }
        }
        assert_eq!((&*complete, &*is_legal), (by_itself, left_off));
    }

    #[test]
    fn a_field_ends_at_the_usual_length() {
        for (number, brand) in PUBLISHED {
            let usual = match brand {
                Amex => 15,
                DinersClub => 14,
                _ => 16,
            };
            if number.len() == usual {
                ends(number, &all(), &[usual], &[usual]);
            }
        }
        // A brand that is not taken: the caller hears it at once.
        ends(
            "378282246310005",
            &Rules {
                brands: vec![Visa],
                luhn: true,
            },
            &[15],
            &[15],
        );
    }

    #[test]
    fn a_field_stays_open() {
        ends("4111111111111112", &all(), &[], &[]);
        ends("9999999999999995", &all(), &[], &[]);
        ends("4222222222222", &all(), &[], &[]);
        ends("6200000000000004", &all(), &[], &[]);
        ends("4111111111111111111", &all(), &[16], &[16]);
    }

    #[test]
    fn a_longer_number_may_be_left_off() {
        ends("3056930009020004", &all(), &[], &[16]);
        ends("6205500000000000004", &all(), &[], &[19]);
        ends(
            "4111111111111112",
            &Rules {
                luhn: false,
                ..all()
            },
            &[16],
            &[16],
        );
    }
}
