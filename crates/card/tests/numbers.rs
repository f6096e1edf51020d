//! What holds for any digits that a caller may key. Numbers are made at run time inside the BINs of published test numbers.
#![allow(clippy::unwrap_used, reason = "a test")]

use ivrpay_card::{
    Digits, Expiry, Month, Pan, PanError, Progress, Rules, SecurityCode, legal, progress,
};
use ivrpay_payment::Brand;
use proptest::prelude::*;

fn keyed(values: &[u8]) -> Digits {
    let mut digits = Digits::take().unwrap();
    for value in values {
        digits.push(*value).unwrap();
    }
    digits
}

fn all() -> Rules {
    Rules {
        brands: Brand::ALL.to_vec(),
        luhn: true,
    }
}

/// BINs of published test numbers, with a length that the brand has.
const BINS: [(&str, usize, Brand); 10] = [
    ("411111", 16, Brand::Visa),
    ("424242", 16, Brand::Visa),
    ("411111", 19, Brand::Visa),
    ("555555", 16, Brand::Mastercard),
    ("222300", 16, Brand::Mastercard),
    ("353011", 16, Brand::Jcb),
    ("378282", 15, Brand::Amex),
    ("362272", 14, Brand::DinersClub),
    ("305693", 14, Brand::DinersClub),
    ("601111", 16, Brand::Discover),
];

/// The check digit by the sum of the other digits, worked out from the left and not as the crate does it.
fn check_digit(front: &[u8]) -> u8 {
    let mut sum = 0;
    for (i, digit) in front.iter().enumerate() {
        let twice = (front.len() - i) % 2 == 1;
        let counted = if twice { digit * 2 } else { *digit };
        sum += u32::from(counted / 10 + counted % 10);
    }
    u8::try_from((10 - sum % 10) % 10).unwrap()
}

prop_compose! {
    /// A number with a right check digit.
    fn number()(which in 0..BINS.len(), rest in prop::collection::vec(0_u8..10, 19)) -> (Vec<u8>, Brand) {
        let (bin, length, brand) = BINS[which];
        let mut values: Vec<u8> = bin.bytes().map(|b| b - b'0').collect();
        values.extend(rest.iter().take(length - 1 - bin.len()));
        values.push(check_digit(&values));
        (values, brand)
    }
}

proptest! {
    #[test]
    fn a_right_number_is_taken((values, brand) in number()) {
        let pan = Pan::parse(keyed(&values), &all());
        prop_assert_eq!(pan.as_ref().map(Pan::brand).ok(), Some(brand));
        let last4 = pan.ok().map(|pan| pan.truncated().last4()).unwrap();
        prop_assert_eq!(&last4[..], &values[values.len() - 4..]);
        prop_assert!(legal(&keyed(&values), &all()));
    }

    #[test]
    fn no_single_wrong_digit_passes((values, brand) in number(), place in 0_usize..19, by in 1_u8..10) {
        let mut wrong = values.clone();
        let place = place % wrong.len();
        wrong[place] = (wrong[place] + by) % 10;
        match Pan::parse(keyed(&wrong), &all()) {
            Err(_) => {}
            // A wrong issuer may be one whose numbers have no check digit.
            Ok(pan) => {
                prop_assert!(pan.brand() == Brand::Unionpay && brand != Brand::Unionpay && place < 2);
            }
        }
        if place >= 6 {
            prop_assert_eq!(Pan::parse(keyed(&wrong), &all()).err(), Some(PanError::Checksum));
            prop_assert_eq!(progress(&keyed(&wrong), &all()), Progress::Open);
        }
    }

    /// Two neighbours in the wrong order are caught, but 09 and 90 (a known gap of the formula).
    #[test]
    fn no_swap_of_neighbours_passes((values, _) in number(), place in 6_usize..18) {
        let place = 6 + place % (values.len() - 7);
        let (a, b) = (values[place], values[place + 1]);
        prop_assume!(a != b && a.abs_diff(b) != 9);
        let mut wrong = values;
        wrong.swap(place, place + 1);
        prop_assert_eq!(Pan::parse(keyed(&wrong), &all()).err(), Some(PanError::Checksum));
    }

    /// Any digits: nothing panics, what is taken is in range, and what may end by itself is then taken or has a reason that the caller hears.
    #[test]
    fn any_digits(
        values in prop::collection::vec(0_u8..10, 0..=Digits::MAX),
        luhn: bool,
        brands in prop::collection::vec(prop::sample::select(Brand::ALL.to_vec()), 0..9),
        month in 1_u8..=12,
        year in 2000_u16..2100,
    ) {
        let rules = Rules { brands, luhn };
        let complete = progress(&keyed(&values), &rules) == Progress::Complete;
        let is_legal = legal(&keyed(&values), &rules);
        prop_assert!(is_legal || !complete, "complete is legal");
        match Pan::parse(keyed(&values), &rules) {
            Ok(pan) => {
                prop_assert!((12..=19).contains(&values.len()));
                prop_assert!(rules.brands.contains(&pan.brand()));
            }
            Err(PanError::Brand) => {}
            Err(error) => prop_assert!(!is_legal, "{}", error),
        }
        if Expiry::parse(keyed(&values), Month { year, month }).is_ok() {
            prop_assert_eq!(values.len(), 4);
        }
        for brand in Brand::ALL {
            prop_assert_eq!(
                SecurityCode::parse(keyed(&values), brand).is_ok(),
                values.len() == SecurityCode::digits(brand)
            );
        }
    }
}

/// Twelve times as many fields as there are slots: none is lost on a way out, be it a refusal or a drop.
#[test]
fn no_slot_is_lost() {
    let visa = [4_u8, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
    for _ in 0..100 {
        let kept: Vec<Pan> = (0..256)
            .map(|_| Pan::parse(keyed(&visa), &all()).ok().unwrap())
            .collect();
        for _ in 0..256 {
            assert!(Pan::parse(keyed(&visa[..12]), &all()).is_err());
        }
        drop(kept);
    }
}
