//! What could be a card number, for texts that must not hold one. Knows no card: only which digits begin one.

/// Digits of a card number, fewest and most (ISO/IEC 7812-1).
pub const CARD_LENGTHS: std::ops::RangeInclusive<usize> = 13..=19;

/// Whether `digits` (0 to 9 each) have a length, a beginning and a check digit as a card number has.
///
/// Beginnings are those of the brands that acquirers take (acquirers' BIN tables), so that a date or a time stamp is none: one in
/// ten of those would pass the Luhn check alone.
#[must_use]
pub fn is_card_like(digits: &[u8]) -> bool {
    let prefix = digits
        .iter()
        .take(4)
        .fold(0, |number: u16, digit| number * 10 + u16::from(*digit));
    let begins = match digits.len() {
        13 => matches!(prefix, 4000..=4999),
        14 => matches!(prefix, 3000..=3059 | 3095 | 3600..=3699 | 3800..=3999),
        15 => matches!(prefix, 1800 | 2131 | 3400..=3499 | 3700..=3799),
        16 => {
            matches!(prefix, 2131 | 2221..=2720 | 3000..=3999 | 4000..=4999 | 5000..=5999 | 6000..=6999)
        }
        17..=19 => matches!(prefix, 3000..=3999 | 4000..=4999 | 5000..=5099 | 5600..=6999),
        _ => false,
    };
    // Maestro has every length.
    let maestro = (13..=15).contains(&digits.len()) && matches!(prefix, 5000..=5099 | 5600..=6999);
    // UnionPay's newer numbers.
    let union_pay = (16..=19).contains(&digits.len()) && matches!(prefix, 8100..=8199);
    (begins || maestro || union_pay) && luhn(digits)
}

/// ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: bool) {
        let digits: Vec<u8> = text.bytes().map(|b| b - b'0').collect();
        assert_eq!(is_card_like(&digits), expected, "{text}");
    }

    #[test]
    fn cards_and_other_numbers() {
        for card in [
            "4111111111111111",
            "4222222222222",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "3530111333300000",
            "36227206271667",
            "6200000000000005",
            "6212345678900000003",
        ] {
            check(card, true);
        }
        check("4111111111111112", false);
        check("1795422131000", false);
        // Dates and times that pass the Luhn check.
        check("20261123000006", false);
        check("202611230000002", false);
        check("20261123154512000", false);
        check("", false);
    }
}
