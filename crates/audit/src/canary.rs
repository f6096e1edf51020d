//! Finds a test card in whatever a canary call may have left behind: the search of `ivrpay audit --canary`.
//!
//! Bytes come in pieces, counts by form come out; nothing that is found is kept. It looks for one published test number, so that it may
//! hold it in the open, and knows nothing of real cards.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, BuildError, MatchKind};

/// How much of what stands before and behind a place is needed to judge it, bytes: pieces of a stream overlap by it on either side.
pub const NEAR: usize = 1024;

/// Fewest digits in a row that are part of a number: the 8 of an issuer number (ISO/IEC 7812-1).
const PART_DIGITS: usize = 8;
/// How far behind the name of its field a security code may stand, bytes.
const CODE_NEAR: usize = 16;
/// Names of that field.
const CODE_FIELDS: [&str; 6] = [
    "cvc",
    "cvv",
    "cvn",
    "securitycode",
    "security_code",
    "security-code",
];

/// What stands before a key in an event or a log line of Asterisk, as it is and inside of CSV and of a JSON text.
const KEY_MARKERS: [&str; 8] = [
    r#""digit":""#,
    r#""digit": ""#,
    r#"""digit"":"""#,
    r#"\"digit\":\""#,
    "Digit: ",
    "DTMF end '",
    "DTMF begin '",
    "Signal=",
];

/// A key that was pressed on the caller's leg, in an event or a log line.
pub const KEY: &str = "a key in an event or log line";
const KEYS_TOGETHER: &str = "keys in events that make up the number";
const CODE: &str = "security code behind its name";

/// A published test card, one a brand: Stripe's and PayPal's pages of test cards. Letters stand for digits, `a` for 0: in the clear the
/// number would stand in the memory of the service, which is this same program, and be found there.
const CARDS: [(&str, &str, &str); 6] = [
    ("visa", "eaaaafggffggfffg", "idb"),
    ("mastercard", "fcaaicicicicicba", "idb"),
    ("jcb", "dfggaacacadgafaf", "idb"),
    ("amex", "dhbeejgdfdjiedb", "idbe"),
    ("discover", "gabbaaajjabdjece", "idb"),
    ("diners-club", "dafgjdajacfjae", "idb"),
];

/// A published test card.
pub struct TestCard {
    digits: Vec<u8>,
    code: String,
}

impl TestCard {
    /// The test card of a brand, as `ivrpay_payment::Brand` spells it. UnionPay publishes none that is told from a row of zeroes.
    #[must_use]
    pub fn of(brand: &str) -> Option<Self> {
        let digit = |letter: u8| letter.wrapping_sub(b'a') % 10;
        CARDS
            .iter()
            .find(|(name, _, _)| *name == brand)
            .map(|(_, number, code)| Self {
                digits: number.bytes().map(digit).collect(),
                code: code.bytes().map(|b| char::from(b'0' + digit(b))).collect(),
            })
    }

    /// The number as keys.
    #[must_use]
    pub fn keys(&self) -> String {
        self.digits.iter().map(|d| char::from(b'0' + d)).collect()
    }

    /// The security code as keys.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }
}

/// On which leg of the canary's call a key is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Leg {
    /// The one that a real caller has as well.
    Caller,
    /// The half that keys, which only a canary has.
    Own,
    /// Nobody says.
    Unknown,
}

/// What was found in one place.
#[derive(Debug, Default)]
pub struct Found {
    /// Times by form.
    pub forms: BTreeMap<&'static str, u64>,
    /// Keys told of the canary's own half: no caller leaves these.
    pub own: u64,
    /// Keys in the order in which they stand, by what stood before them.
    keys: BTreeMap<(u32, Leg), Vec<u8>>,
}

impl Found {
    fn add(&mut self, form: &'static str) {
        *self.forms.entry(form).or_default() += 1;
    }

    /// All forms together.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.forms.values().sum()
    }
}

/// What is looked for, made once a call.
pub struct Search {
    forms: Vec<&'static str>,
    needles: AhoCorasick,
    markers: AhoCorasick,
    fields: AhoCorasick,
    legs: AhoCorasick,
    digits: Vec<u8>,
    code: Vec<u8>,
}

impl Search {
    /// `caller` and `own`: names of the two halves of the call, as `Local/…;2`.
    ///
    /// # Errors
    /// Never for a name as Asterisk gives it: these fit into any automaton.
    pub fn new(card: &TestCard, caller: &str, own: &str) -> Result<Self, BuildError> {
        let mut forms = Vec::new();
        let mut bytes: Vec<Vec<u8>> = Vec::new();
        for (form, needle) in needles(&card.digits) {
            forms.push(form);
            bytes.push(needle);
        }
        let longest = |patterns: &[Vec<u8>]| {
            AhoCorasickBuilder::new()
                .match_kind(MatchKind::LeftmostLongest)
                .build(patterns)
        };
        Ok(Self {
            forms,
            needles: longest(&bytes)?,
            markers: AhoCorasick::new(KEY_MARKERS)?,
            fields: AhoCorasickBuilder::new()
                .ascii_case_insensitive(true)
                .build(CODE_FIELDS)?,
            legs: AhoCorasick::new([caller, own])?,
            digits: card.digits.clone(),
            code: card.code.clone().into_bytes(),
        })
    }

    /// Counts what ends behind `from` and not behind `to`. Around both, [`NEAR`] bytes should be there, as far as the stream has them.
    pub fn feed(&self, data: &[u8], from: usize, to: usize, found: &mut Found) {
        let within = |end: usize| end > from && end <= to;
        for hit in self.needles.find_iter(data).filter(|h| within(h.end())) {
            if let Some(form) = self.forms.get(hit.pattern().as_usize()) {
                found.add(form);
            }
        }
        for field in self.fields.find_iter(data).filter(|h| within(h.end())) {
            let behind = data.get(field.end()..).unwrap_or_default();
            let near = behind.get(..CODE_NEAR).unwrap_or(behind);
            if near.split(|b| !b.is_ascii_digit()).any(|w| w == self.code) {
                found.add(CODE);
            }
        }
        for marker in self.markers.find_iter(data).filter(|h| within(h.end())) {
            let Some(digit) = data.get(marker.end()).filter(|b| b.is_ascii_digit()) else {
                continue;
            };
            let leg = self.leg(data, marker.end());
            match leg {
                Leg::Own => {
                    found.own += 1;
                    continue;
                }
                Leg::Caller => found.add(KEY),
                // Somebody else's call, or a line without a name: only keys that make up the number are the canary's.
                Leg::Unknown => {}
            }
            let keys = found.keys.entry((marker.pattern().as_u32(), leg));
            keys.or_default().push(digit - b'0');
        }
    }

    /// Puts keys in events together, as somebody would who has the file. After the last piece.
    pub fn finish(&self, found: &mut Found) {
        for keys in std::mem::take(&mut found.keys).into_values() {
            let part = |run: &&[u8]| self.digits.windows(PART_DIGITS).any(|of| of == *run);
            // AMI tells the begin and the end of each key in the same words.
            let halves = [0, 1].map(|from| keys.iter().skip(from).step_by(2).copied().collect());
            let [even, odd]: [Vec<u8>; 2] = halves;
            let parts = [keys, even, odd]
                .iter()
                .map(|keys| keys.windows(PART_DIGITS).filter(part).count() as u64)
                .max()
                .unwrap_or_default();
            if parts > 0 {
                *found.forms.entry(KEYS_TOGETHER).or_default() += parts;
            }
        }
    }

    /// Searches a whole text.
    pub fn whole(&self, text: &[u8], found: &mut Found) {
        self.feed(text, 0, text.len(), found);
        self.finish(found);
    }

    /// Which half the line around a key names: the nearest behind it, else the nearest before. Only whole names count, not ids: those
    /// of linked calls stand in the same line.
    fn leg(&self, data: &[u8], at: usize) -> Leg {
        let behind = data.get(at..).unwrap_or_default();
        let behind = behind.split(|b| *b == b'\n').next().unwrap_or_default();
        let behind = behind.get(..NEAR).unwrap_or(behind);
        let before = data.get(at.saturating_sub(NEAR)..at).unwrap_or_default();
        let before = before.rsplit(|b| *b == b'\n').next().unwrap_or_default();
        let hit = self
            .legs
            .find(behind)
            .or_else(|| self.legs.find_iter(before).last());
        match hit.map(|h| h.pattern().as_u32()) {
            Some(0) => Leg::Caller,
            Some(_) => Leg::Own,
            None => Leg::Unknown,
        }
    }
}

/// The number in every form in which a program keeps one.
fn needles(digits: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let text: Vec<u8> = digits.iter().map(|d| b'0' + d).collect();
    let reversed = |of: &[u8]| of.iter().rev().copied().collect::<Vec<u8>>();
    let utf16 = text.iter().flat_map(|b| [*b, 0]).collect::<Vec<u8>>();
    let mut needles = vec![
        ("digits", text.clone()),
        ("digits, backwards", reversed(&text)),
        // Between the first digit and the last; either order of bytes.
        (
            "digits, UTF-16",
            utf16.strip_suffix(&[0]).unwrap_or(&utf16).to_vec(),
        ),
        ("one byte a digit", digits.to_vec()),
    ];
    for part in text.windows(PART_DIGITS) {
        needles.push(("8 digits in a row", part.to_vec()));
    }
    for sign in *b" -" {
        let groups: Vec<&[u8]> = text.chunks(4).collect();
        needles.push(("digits in groups", groups.join(&sign)));
    }
    // Packed, beginning with either half of a byte. Six bytes are twelve digits.
    for start in [0, 1] {
        let pairs: Vec<[u8; 2]> = digits
            .get(start..)
            .unwrap_or_default()
            .chunks_exact(2)
            .filter_map(|pair| <[u8; 2]>::try_from(pair).ok())
            .take(6)
            .collect();
        needles.push(("BCD", pairs.iter().map(|[a, b]| a << 4 | b).collect()));
        needles.push(("BCD", pairs.iter().map(|[a, b]| b << 4 | a).collect()));
    }
    needles
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "Local/s@ivrpay-canary-00000001;2";
    const OWN: &str = "Local/s@ivrpay-canary-00000001;1";

    /// As a stream is read: in pieces, with what is near on either side.
    fn found(search: &Search, data: &[u8], piece: usize) -> Found {
        let mut found = Found::default();
        let mut at = 0;
        while at < data.len() {
            let end = data.len().min(at + piece);
            let (low, high) = (at.saturating_sub(NEAR), data.len().min(end + NEAR));
            search.feed(&data[low..high], at - low, end - low, &mut found);
            at = end;
        }
        search.finish(&mut found);
        found
    }

    #[test]
    fn every_form_of_every_card_is_found_across_pieces_and_noise_is_not() {
        let mut noise = vec![0_u8; 20_000];
        let mut state = 7_u64;
        for byte in &mut noise[..10_000] {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = b' ' + u8::try_from((state >> 40) % 64).unwrap();
        }
        for (brand, ..) in CARDS {
            let card = TestCard::of(brand).unwrap();
            let search = Search::new(&card, CALLER, OWN).unwrap();
            assert_eq!(found(&search, &noise, 3000).count(), 0, "{brand}");
            for (form, needle) in needles(&card.digits) {
                for at in [0, 2995, 15_000] {
                    let mut data = noise.clone();
                    data[at..at + needle.len()].copy_from_slice(&needle);
                    let found = found(&search, &data, 3000).forms;
                    assert!(found.contains_key(form), "{brand} {form} at {at}");
                }
            }
        }
    }

    #[test]
    fn cards_are_cards() {
        for (brand, ..) in CARDS {
            let card = TestCard::of(brand).unwrap();
            // ISO/IEC 7812-1, annex B.
            let sum: u32 = card.digits.iter().rev().enumerate().fold(0, |sum, (i, d)| {
                let d = u32::from(*d);
                sum + if i % 2 == 0 {
                    d
                } else {
                    d * 2 / 10 + d * 2 % 10
                }
            });
            assert_eq!(sum % 10, 0, "{brand}");
            assert_eq!(card.code().len(), if brand == "amex" { 4 } else { 3 });
        }
        assert!(TestCard::of("unionpay").is_none());
    }

    #[test]
    fn keys_in_lines_are_told_by_their_leg() {
        let card = TestCard::of("visa").unwrap();
        let search = Search::new(&card, CALLER, OWN).unwrap();
        type Line = fn(char, &str) -> String;
        // How often each tells a key.
        let forms: [(u64, Line); 5] = [
            (1, |key, leg| {
                format!("DTMF[7][C-1]: DTMF end '{key}' received on {leg}, duration 100 ms\n")
            }),
            (1, |key, leg| {
                format!(
                    "Event: DTMFEnd | Channel: {leg} | Linkedid: ivrpay-canary-keys | Digit: {key}\n"
                )
            }),
            (2, |key, leg| {
                format!(
                    "Event: DTMFBegin | Channel: {leg} | Digit: {key}\nEvent: DTMFEnd | Channel: {leg} | Digit: {key}\n"
                )
            }),
            (1, |key, leg| {
                format!("{{\"digit\":\"{key}\",\"channel\":{{\"name\":\"{leg}\"}}}}\n")
            }),
            (1, |key, leg| {
                format!("\"DTMF\",\"{leg}\",\"{{\"\"digit\"\":\"\"{key}\"\"}}\"\n")
            }),
        ];
        for (times, line) in forms {
            for (leg, keys, own, together) in [
                (CALLER, 16 * times, 0, 9),
                (OWN, 0, 16 * times, 0),
                ("PJSIP/trunk-00000007", 0, 0, 9),
            ] {
                let text: String = card.keys().chars().map(|k| line(k, leg)).collect();
                let found = found(&search, text.as_bytes(), 700);
                let count = |form| found.forms.get(form).copied().unwrap_or_default();
                assert_eq!(
                    (count(KEY), found.own, count(KEYS_TOGETHER)),
                    (keys, own, together),
                    "{leg} {}",
                    line('x', leg)
                );
            }
        }
    }

    #[test]
    fn what_may_be_shown_and_what_others_key_is_not_found() {
        let card = TestCard::of("visa").unwrap();
        let search = Search::new(&card, CALLER, OWN).unwrap();
        let last4: String = card.keys().chars().skip(12).collect();
        let text = format!(
            "brand=visa last4={last4} **** **** **** {last4} cvc=123 \"digit\":\"x\" DTMF end '5' received on PJSIP/trunk-00000007\n"
        );
        assert_eq!(found(&search, text.as_bytes(), 500).count(), 0);
        let text = format!("CVC: {}\n", card.code());
        assert_eq!(found(&search, text.as_bytes(), 500).count(), 1);
    }
}
