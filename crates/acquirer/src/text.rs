//! Text from outside, made fit to be kept: short, printable, and no card number.

use ivrpay_payment::{
    AcquirerRef, Approval, Brand, CARD_LENGTHS, Doubt, Outcome, Truncated, is_card_like,
};

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

/// Whether `text` holds the card's number, signs between its digits allowed: digits that could be a card number, and end in the
/// card's last four. A numeric reference that only ends so is no echo: an approval must not be doubted for that. UnionPay and
/// Maestro have numbers without a check digit, so there the ending is enough.
pub(crate) fn echoes(text: &str, card: Truncated) -> bool {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|b| !matches!(b, b'-' | b' ' | b'.' | b'_'))
        .map(|b| b.wrapping_sub(b'0'))
        .collect();
    let last4 = card.last4();
    let lenient = matches!(card.brand, Brand::Unionpay | Brand::Maestro);
    digits.split(|digit| *digit > 9).any(|run| {
        let whole = lenient && (12..=19).contains(&run.len()) && run.ends_with(&last4);
        whole
            || (0..run.len()).any(|from| {
                CARD_LENGTHS.into_iter().any(|length| {
                    run.get(from..from + length)
                        .is_some_and(|part| part.ends_with(&last4) && is_card_like(part))
                })
            })
    })
}

/// An approval by `reference`; a doubt where that can't be kept. The issuer's code is left out where it is none.
pub(crate) fn approved(reference: &str, code: Option<&str>, card: Truncated) -> Outcome {
    if echoes(reference, card) {
        return Outcome::Unknown(Doubt::Malformed);
    }
    approved_by(reference, code, card)
}

/// The same, by a reference of the acquirer's own form, in which digits that look like the card's are chance.
pub(crate) fn approved_by(reference: &str, code: Option<&str>, card: Truncated) -> Outcome {
    let Ok(acquirer_ref) = AcquirerRef::new(reference) else {
        return Outcome::Unknown(Doubt::Malformed);
    };
    let code = code.filter(|code| {
        let fits =
            (1..=16).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
        fits && !echoes(code, card)
    });
    Outcome::Approved(Approval {
        acquirer_ref,
        code: code.map(str::to_owned),
        card: None,
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
            ("01-4111111111111111", true),
            ("4111111111111111-01", true),
            ("4111111111111112", false),
            ("ch_54f5f89e649a4ffe9f136010188ee80e", false),
            ("1111", false),
            // Numbers of the acquirer's own that end as the card does.
            ("20261125001111", false),
            ("9000000000001111", false),
            ("6200000000001111", false),
        ] {
            assert_eq!(echoes(text, card), seen, "{text}");
        }
        // Without a check digit that could tell.
        let union_pay = Truncated::new(Brand::Unionpay, [1, 1, 1, 1]).unwrap();
        assert!(echoes("6200000000001111", union_pay));
    }
}
