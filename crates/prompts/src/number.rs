//! Which clips say a number. Pure arithmetic on names: the table knows how they sound.

use ivrpay_payment::Money;

// 億 has no clips.
const _: () = assert!(Money::MAX < 100_000_000);

/// Japanese: a clip for each place that is not zero. The last place before 万 brings it along (さん|じゅうよんまん), for
/// 一千万 alone is いっせんまん and inside a number せん.
pub(crate) fn japanese(number: u64) -> Vec<u64> {
    let (tens_of_thousands, rest) = (number / 10_000, number % 10_000);
    let mut clips = places(tens_of_thousands);
    if let Some(last) = clips.last_mut() {
        *last *= 10_000;
    }
    clips.extend(places(rest));
    clips
}

/// The places below 10,000 that are not zero: 1,203 is 1,000, 200 and 3.
fn places(number: u64) -> Vec<u64> {
    [1000, 100, 10, 1]
        .into_iter()
        .map(|place| number / place % 10 * place)
        .filter(|value| *value > 0)
        .collect()
}

/// English: `twelve` `thousand` `three hundred` `forty-five`, as names of clips.
pub(crate) fn english(number: u64) -> Vec<String> {
    let mut clips = Vec::new();
    for (group, name) in [
        (number / 1_000_000, Some("million")),
        (number / 1000 % 1000, Some("thousand")),
        (number % 1000, None),
    ] {
        let said = [group / 100 * 100, group % 100];
        clips.extend(
            said.into_iter()
                .filter(|value| *value > 0)
                .map(|value| format!("number-{value}")),
        );
        clips.extend(name.filter(|_| group > 0).map(str::to_owned));
    }
    clips
}

/// With commas: 12,345.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_have_commas() {
        for (number, text) in [
            (1, "1"),
            (999, "999"),
            (1000, "1,000"),
            (12_345, "12,345"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
