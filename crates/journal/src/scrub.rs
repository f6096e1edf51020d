//! Keeps card numbers out of the few free texts that the journal takes: evidence, an acquirer's own code, notes.
//!
//! The last line of defence, not the first: no caller should ever hand one over (PCI DSS v4.0.1, 3.3.1; I10).

use ivrpay_payment::{CARD_LENGTHS, is_card_like};
use serde_json::Value;

/// Whether a run of digits (ASCII or full-width; blanks, dots, dashes, commas and underscores between them allowed) holds 13 to 19 in a
/// row that begin like a card and pass the Luhn check.
#[must_use]
pub fn looks_like_card(text: &str) -> bool {
    !card_bytes(text).is_empty()
}

/// `text` with the digits of what looks like a card number replaced by `*`.
pub(crate) fn text(text: &str) -> String {
    let found = card_bytes(text);
    text.char_indices()
        .map(|(at, c)| {
            if found.iter().any(|range| range.contains(&at)) && digit(c).is_some() {
                '*'
            } else {
                c
            }
        })
        .collect()
}

/// Every text and number in `value`, keys too.
pub(crate) fn json(value: Value) -> Value {
    match value {
        Value::String(string) => Value::String(text(&string)),
        Value::Number(number) if looks_like_card(&number.to_string()) => Value::Null,
        Value::Array(items) => Value::Array(items.into_iter().map(json).collect()),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (text(&key), json(value)))
            .collect(),
        other => other,
    }
}

/// Byte ranges that look like card numbers.
fn card_bytes(text: &str) -> Vec<std::ops::RangeInclusive<usize>> {
    let mut found = Vec::new();
    let (mut places, mut run): (Vec<usize>, Vec<u8>) = <_>::default();
    for (at, c) in text.char_indices().chain([(text.len(), 'x')]) {
        match digit(c) {
            Some(digit) => {
                places.push(at);
                run.push(digit);
            }
            None if joins(c) => {}
            None => {
                for from in 0..run.len() {
                    for length in CARD_LENGTHS {
                        if run.get(from..from + length).is_some_and(is_card_like) {
                            found.push(places[from]..=places[from + length - 1]);
                        }
                    }
                }
                places.clear();
                run.clear();
            }
        }
    }
    found
}

/// The value of a digit, ASCII or full-width: a Japanese keyboard writes either.
fn digit(c: char) -> Option<u8> {
    let c = match c {
        '\u{ff10}'..='\u{ff19}' => u32::from(c) - 0xff10 + u32::from('0'),
        _ => u32::from(c),
    };
    char::from_u32(c)?
        .to_digit(10)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// What people write between the groups of a card number. A slash or a colon is not among them: those stand in dates and times.
fn joins(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '-' | '.' | ',' | '_' | '\u{2010}'
                ..='\u{2015}' | '\u{2212}' | '\u{ff0d}' | '\u{30fb}' | '\u{30fc}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, expected: &str) {
        assert_eq!(text(input), expected);
    }

    #[test]
    fn cards_are_masked_and_the_rest_is_kept() {
        check("4111111111111111", "****************");
        check("E12 4111 1111 1111 1111.", "E12 **** **** **** ****.");
        check("3782-822463-10005", "****-******-*****");
        check("id 2026-11-23 08:42", "id 2026-11-23 08:42");
        check("1795422131000", "1795422131000");
        check("G02", "G02");
        check("カード5555555555554444", "カード****************");
        check("４１１１１１１１１１１１１１１１", "****************");
        check(
            "4111\u{3000}1111ー1111－1111",
            "****\u{3000}****ー****－****",
        );
        check("4111_1111\n1111,1111", "****_****\n****,****");
        check(
            "2026/11/23 14:05 03-1234-5678",
            "2026/11/23 14:05 03-1234-5678",
        );
    }

    #[test]
    fn json_is_searched_through() {
        let dirty = serde_json::json!({"a": ["4242424242424242", 4_242_424_242_424_242_u64, 1200], "amount": "1"});
        assert_eq!(
            json(dirty),
            serde_json::json!({"a": ["****************", null, 1200], "amount": "1"})
        );
    }
}
