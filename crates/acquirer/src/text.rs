//! Text from outside, made fit to be kept: short, printable, and no card number.

use ivrpay_payment::Truncated;

/// Longest code that is kept, characters.
const CODE_MAX: usize = 40;

/// A foreign code as it may stand in journal and report: printable ASCII, at most 40 characters, and every run of more than
/// eight digits masked (an endpoint that puts a card number there must not get it into our journal; PCI DSS v4.0.1, 3.4.1).
pub(crate) fn code(foreign: &str) -> String {
    let mut kept: String = foreign
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .collect();
    if longest_run(&kept) > 8 {
        kept = kept
            .chars()
            .map(|c| if c.is_ascii_digit() { 'x' } else { c })
            .collect();
    }
    kept.truncate(CODE_MAX);
    kept
}

/// Whether `text` holds 12 to 19 digits in a row, signs between them allowed, that end in the card's last four: then it is
/// taken for the card's number.
pub(crate) fn echoes(text: &str, card: Truncated) -> bool {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|b| !matches!(b, b'-' | b' ' | b'.' | b'_'))
        .collect();
    digits
        .split(|b| !b.is_ascii_digit())
        .filter(|run| (12..=19).contains(&run.len()))
        .any(|run| {
            run.iter()
                .rev()
                .zip(card.last4().iter().rev())
                .all(|(a, b)| a - b'0' == *b)
        })
}

fn longest_run(text: &str) -> usize {
    let text: Vec<u8> = text
        .bytes()
        .filter(|b| !matches!(b, b'-' | b' ' | b'.' | b'_'))
        .collect();
    text.split(|b| !b.is_ascii_digit())
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use ivrpay_payment::Brand;

    use super::*;

    #[test]
    fn codes_are_short_printable_and_never_a_card() {
        for (foreign, kept) in [
            ("insufficient_funds", "insufficient_funds"),
            ("42G120000", "42G120000"),
            ("no 4111111111111111!", "no xxxxxxxxxxxxxxxx!"),
            ("4111-1111 1111_1111", "xxxx-xxxx xxxx_xxxx"),
            ("残高不足\u{1b}[31m E1", "[31m E1"),
            (&"x".repeat(99), &"x".repeat(40)),
        ] {
            assert_eq!(code(foreign), kept);
        }
    }

    #[test]
    fn a_reference_that_holds_the_card_is_seen() {
        let card = Truncated::new(Brand::Visa, [1, 1, 1, 1]).unwrap();
        for (text, seen) in [
            ("ch_4111111111111111", true),
            ("4111-1111-1111-1111", true),
            ("4111111111111112", false),
            ("ch_54f5f89e649a4ffe9f136010188ee80e", false),
            ("1111", false),
        ] {
            assert_eq!(echoes(text, card), seen, "{text}");
        }
    }
}
