//! Which numbers belong to which brand, and how long they are.
//!
//! Ranges are compared digit by digit, where the digits lie, to any depth: issuers have had eight digits since 2022
//! (ISO/IEC 7812-1:2017), so nothing here cuts at six.

use ivrpay_payment::Brand;

/// A range of issuer numbers.
pub(crate) struct Range {
    /// First and last issuer number, of the same length, both within.
    from: &'static [u8],
    to: &'static [u8],
    pub(crate) brand: Brand,
    /// The second brand of these cards: taken as this where the merchant does not take the first.
    pub(crate) second: Option<Brand>,
    /// Lengths that exist, ascending.
    pub(crate) lengths: &'static [usize],
    /// The length that nearly all have.
    pub(crate) usual: usize,
}

impl Range {
    /// The range of a number that is keyed as far as its issuer number.
    pub(crate) fn of(digits: &[u8]) -> Option<&'static Self> {
        RANGES.iter().find(|range| {
            digits
                .get(..range.from.len())
                .is_some_and(|issuer| range.from <= issuer && issuer <= range.to)
        })
    }
}

/// Whether the brand's numbers always have a check digit. Those of UnionPay need not (published: not all of them have one), so a number that fails is
/// no proof of a slip.
pub(crate) const fn has_luhn(brand: Brand) -> bool {
    !matches!(brand, Brand::Unionpay)
}

/// The more digits, the earlier; Maestro's "all else that begins with 6" is last.
static RANGES: &[Range] = &[
    // Issued as UnionPay, accepted in the Discover network.
    Range {
        second: Some(Brand::Unionpay),
        ..range(b"622126", b"622925", Brand::Discover, SIXTEEN_UP, 16)
    },
    range(b"2221", b"2720", Brand::Mastercard, &[16], 16),
    range(b"3095", b"3095", Brand::DinersClub, &[14, 16], 14),
    range(b"3528", b"3589", Brand::Jcb, SIXTEEN_UP, 16),
    range(b"6011", b"6011", Brand::Discover, SIXTEEN_UP, 16),
    range(b"300", b"305", Brand::DinersClub, &[14, 16], 14),
    range(b"644", b"649", Brand::Discover, SIXTEEN_UP, 16),
    range(b"34", b"34", Brand::Amex, &[15], 15),
    range(
        b"36",
        b"36",
        Brand::DinersClub,
        &[14, 15, 16, 17, 18, 19],
        14,
    ),
    range(b"37", b"37", Brand::Amex, &[15], 15),
    range(b"38", b"39", Brand::DinersClub, &[14, 16], 14),
    range(b"50", b"50", Brand::Maestro, TWELVE_UP, 16),
    range(b"51", b"55", Brand::Mastercard, &[16], 16),
    range(b"56", b"58", Brand::Maestro, TWELVE_UP, 16),
    range(b"62", b"62", Brand::Unionpay, SIXTEEN_UP, 16),
    range(b"65", b"65", Brand::Discover, SIXTEEN_UP, 16),
    range(b"81", b"81", Brand::Unionpay, SIXTEEN_UP, 16),
    range(b"4", b"4", Brand::Visa, &[13, 16, 19], 16),
    range(b"6", b"6", Brand::Maestro, TWELVE_UP, 16),
];

const SIXTEEN_UP: &[usize] = &[16, 17, 18, 19];
const TWELVE_UP: &[usize] = &[12, 13, 14, 15, 16, 17, 18, 19];

const fn range(
    from: &'static [u8],
    to: &'static [u8],
    brand: Brand,
    lengths: &'static [usize],
    usual: usize,
) -> Range {
    Range {
        from,
        to,
        brand,
        second: None,
        lengths,
        usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(issuer: &str, expected: Option<Brand>) {
        assert_eq!(
            Range::of(issuer.as_bytes()).map(|range| range.brand),
            expected,
            "{issuer}"
        );
    }

    #[test]
    fn the_edges_of_every_range() {
        use Brand::{Amex, DinersClub, Discover, Jcb, Maestro, Mastercard, Unionpay, Visa};
        for (issuer, brand) in [
            ("40000000", Some(Visa)),
            ("49999999", Some(Visa)),
            ("22209999", None),
            ("22210000", Some(Mastercard)),
            ("27209999", Some(Mastercard)),
            ("27210000", None),
            ("50999999", Some(Maestro)),
            ("51000000", Some(Mastercard)),
            ("55999999", Some(Mastercard)),
            ("56000000", Some(Maestro)),
            ("58999999", Some(Maestro)),
            ("59000000", None),
            ("35279999", None),
            ("35280000", Some(Jcb)),
            ("35899999", Some(Jcb)),
            ("35900000", None),
            ("33999999", None),
            ("34000000", Some(Amex)),
            ("34999999", Some(Amex)),
            ("37000000", Some(Amex)),
            ("37999999", Some(Amex)),
            ("30000000", Some(DinersClub)),
            ("30599999", Some(DinersClub)),
            ("30600000", None),
            ("30949999", None),
            ("30950000", Some(DinersClub)),
            ("30959999", Some(DinersClub)),
            ("30960000", None),
            ("36000000", Some(DinersClub)),
            ("38000000", Some(DinersClub)),
            ("39999999", Some(DinersClub)),
            ("60109999", Some(Maestro)),
            ("60110000", Some(Discover)),
            ("60119999", Some(Discover)),
            ("60120000", Some(Maestro)),
            ("62212599", Some(Unionpay)),
            ("62212600", Some(Discover)),
            ("62292599", Some(Discover)),
            ("62292600", Some(Unionpay)),
            ("64399999", Some(Maestro)),
            ("64400000", Some(Discover)),
            ("64999999", Some(Discover)),
            ("65999999", Some(Discover)),
            ("66000000", Some(Maestro)),
            ("80999999", None),
            ("81000000", Some(Unionpay)),
            ("82000000", None),
            ("00000000", None),
            ("19999999", None),
            ("70000000", None),
            ("99999999", None),
            ("", None),
            ("3", None),
        ] {
            check(issuer, brand);
        }
    }

    /// A range further down must not be hidden by a less exact one above it.
    #[test]
    fn more_digits_come_first() {
        assert!(RANGES.is_sorted_by(|a, b| a.from.len() >= b.from.len()));
        for range in RANGES {
            assert_eq!(range.from.len(), range.to.len());
            assert!(range.lengths.is_sorted() && range.lengths.contains(&range.usual));
            assert!(Range::of(range.from).is_some_and(|found| std::ptr::eq(found, range)));
        }
    }

    #[test]
    fn every_brand_has_a_range() {
        for brand in Brand::ALL {
            assert!(RANGES.iter().any(|range| range.brand == brand), "{brand}");
        }
    }
}
