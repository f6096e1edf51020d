//! The search itself: bytes in, counts by form out.

use std::collections::{BTreeMap, HashMap, HashSet};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};

use super::forms::{
    AT_A_DISTANCE, BYTE_DIGITS, BYTES_AT_A_DISTANCE, CODE_FIELD, CODE_FIELDS, CODE_NEAR, Card,
    KEYS_TOGETHER, Needle, STRIDES, TEXT_DIGITS, needles,
};

/// What stands before a key in an event or a log line, and how Asterisk or a library of ours writes it there.
const KEY_MARKERS: &[&str] = &[
    r#""digit":""#,
    r#""digit": ""#,
    r#"""digit"":"""#,
    r#"\"digit\":\""#,
    "Digit: ",
    "DTMF end '",
    "DTMF begin '",
    "Signal=",
];
/// How far from a key the channel is named, bytes.
const CHANNEL_NEAR: usize = 400;
/// Bytes that are shown before and behind what was found.
const AROUND: usize = 32;
/// Bytes whose rows of bits are made at once: they stay in the cache.
const BLOCK: usize = 64 << 10;

/// Longest that anything we look for is, bytes: pieces of a place overlap by it.
pub(super) const SPAN_MAX: usize = 256 * 19;

/// What is looked for, made once.
pub(super) struct Search {
    needles: Vec<Needle>,
    automaton: AhoCorasick,
    markers: AhoCorasick,
    fields: AhoCorasick,
    codes: HashSet<Vec<u8>>,
    /// Every run of twelve digits, forwards and backwards, as a number.
    twelves: HashSet<u64>,
    /// Every run of as many secret digits as are enough.
    windows: HashSet<Vec<u8>>,
}

/// What was found in one place.
#[derive(Default)]
pub(super) struct Found {
    /// Times by form.
    pub(super) forms: BTreeMap<&'static str, Seen>,
    /// Keys in events, in order: marker, channel (a hash), digit.
    keys: Vec<(u32, u64, u8)>,
}

/// How often a form was found.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) count: usize,
    /// What stood around the first: tells a card from eight digits of something else.
    pub(super) around: String,
}

impl Found {
    fn add(&mut self, form: &'static str, around: impl FnOnce() -> String) {
        let seen = self.forms.entry(form).or_default();
        if seen.count == 0 {
            seen.around = around();
        }
        seen.count += 1;
    }
}

/// What stands there and [`AROUND`] bytes before and behind it, each digit as `#`.
fn masked(data: &[u8], start: usize, end: usize) -> String {
    let around = &data[start.saturating_sub(AROUND)..data.len().min(end + AROUND)];
    let masked = around.iter().map(|byte| match byte {
        b'0'..=b'9' => '#',
        b' '..=b'~' => char::from(*byte),
        _ => '.',
    });
    masked.collect()
}

impl Search {
    /// `text_digits`: see [`TEXT_DIGITS`]; more where there are so many cards that eight digits of one stand somewhere by chance.
    pub(super) fn new(cards: &[Card], text_digits: usize) -> anyhow::Result<Self> {
        let needles = needles(cards, text_digits);
        let automaton = AhoCorasick::new(needles.iter().map(|n| &n.bytes))?;
        let mut twelves = HashSet::new();
        let mut windows = HashSet::new();
        for card in cards {
            let backwards: Vec<u8> = card.digits.iter().rev().copied().collect();
            for way in [&card.digits, &backwards] {
                twelves.extend(
                    way.windows(BYTE_DIGITS)
                        .map(|window| window.iter().fold(0_u64, |n, d| n * 10 + u64::from(*d))),
                );
            }
            let secret = &card.digits[..card.digits.len() - 4];
            let enough = text_digits.min(secret.len());
            windows.extend(secret.windows(enough).map(<[u8]>::to_vec));
        }
        Ok(Self {
            needles,
            automaton,
            markers: AhoCorasick::new(KEY_MARKERS)?,
            fields: AhoCorasickBuilder::new()
                .ascii_case_insensitive(true)
                .build(CODE_FIELDS)?,
            codes: cards.iter().map(|c| c.code.clone().into_bytes()).collect(),
            twelves,
            windows,
        })
    }

    /// Looks through `data`, whose first `seen` bytes were in the piece before.
    pub(super) fn feed(&self, data: &[u8], seen: usize, found: &mut Found) {
        for hit in self.automaton.find_overlapping_iter(data) {
            if hit.end() > seen {
                let around = || masked(data, hit.start(), hit.end());
                found.add(self.needles[hit.pattern()].form, around);
            }
        }
        self.at_a_distance(data, seen, found);
        for field in self.fields.find_iter(data) {
            if field.end() + CODE_NEAR > seen && self.code_behind(data, field.end()) {
                found.add(CODE_FIELD, || masked(data, field.start(), field.end()));
            }
        }
        for marker in self.markers.find_iter(data) {
            let Some(digit) = data.get(marker.end()).filter(|b| b.is_ascii_digit()) else {
                continue;
            };
            if marker.end() < seen {
                continue;
            }
            let around = || masked(data, marker.start(), marker.end());
            found.add("a key in an event or log line", around);
            let channel = channel_near(data, marker.end());
            found
                .keys
                .push((marker.pattern().as_u32(), channel, digit - b'0'));
        }
    }

    /// Puts keys in events together again, as an attacker would: by channel, and all in the order in which they stand.
    pub(super) fn finish(&self, found: &mut Found) {
        let mut ways: HashMap<(u32, Option<u64>), Vec<u8>> = HashMap::new();
        for (marker, channel, digit) in std::mem::take(&mut found.keys) {
            for way in [Some(channel), None] {
                ways.entry((marker, way)).or_default().push(digit);
            }
        }
        for digits in ways.values() {
            for enough in TEXT_DIGITS..=BYTE_DIGITS {
                let runs = digits.windows(enough);
                for _ in runs.filter(|run| self.windows.contains(*run)) {
                    found.add(KEYS_TOGETHER, String::new);
                }
            }
        }
    }

    /// Twelve digits of a card at a fixed distance, as characters or as numbers. At distance 1 the automaton sees them.
    fn at_a_distance(&self, data: &[u8], seen: usize, found: &mut Found) {
        let mut rows = Rows::default();
        for at in (0..data.len()).step_by(BLOCK) {
            let block = &data[at..data.len().min(at + BLOCK + SPAN_MAX)];
            for (base, form) in [(b'0', AT_A_DISTANCE), (0, BYTES_AT_A_DISTANCE)] {
                rows.digits(block, base);
                for stride in STRIDES.skip(1) {
                    rows.candidates(stride, |start| {
                        let window = (0..BYTE_DIGITS).fold(0_u64, |n, i| {
                            n * 10 + u64::from(block[start + i * stride] - base)
                        });
                        let end = at + start + (BYTE_DIGITS - 1) * stride;
                        if start < BLOCK && end >= seen && self.twelves.contains(&window) {
                            found.add(form, String::new);
                        }
                    });
                }
            }
        }
    }

    /// A code that stands alone, at most [`CODE_NEAR`] bytes behind the name of its field and in the same line: a log names the prompt
    /// "security-code", and the next line begins with a time and the number of a thread.
    fn code_behind(&self, data: &[u8], end: usize) -> bool {
        // A number that begins there is looked at to its end: the first three digits of a time are no code.
        let far = data.len().min(end + CODE_NEAR);
        let rest = data[far..].iter().take_while(|b| b.is_ascii_digit());
        let near = &data[end..far + rest.count()];
        let near = near.split(|b| *b == b'\n').next().unwrap_or_default();
        near.split(|b| !b.is_ascii_digit())
            .any(|word| self.codes.contains(word))
    }
}

/// Rows of bits, one for each byte of a block: where twelve digits stand at a distance, found for 64 places at once.
#[derive(Default)]
struct Rows {
    /// A digit.
    digit: Vec<u64>,
    /// A digit but zero: most of a memory is zero, and the corpus has none in its middle.
    nonzero: Vec<u64>,
    two: Vec<u64>,
    four: Vec<u64>,
    eight: Vec<u64>,
    twelve: Vec<u64>,
    /// As `digit`, `two` and `four`, without zeroes.
    some_two: Vec<u64>,
    some_four: Vec<u64>,
}

impl Rows {
    fn digits(&mut self, block: &[u8], base: u8) {
        // Behind the end stand zeroes, as far as a shift can reach.
        let words = block.len().div_ceil(64) + SPAN_MAX / 64 + 2;
        for row in [&mut self.digit, &mut self.nonzero] {
            row.clear();
            row.resize(words, 0);
        }
        for (word, bytes) in block.chunks(64).enumerate() {
            for (bit, byte) in bytes.iter().enumerate() {
                let digit = byte.wrapping_sub(base);
                self.digit[word] |= u64::from(digit < 10) << bit;
                let some = digit < 10 && (base != 0 || digit != 0);
                self.nonzero[word] |= u64::from(some) << bit;
            }
        }
        for row in [
            &mut self.two,
            &mut self.four,
            &mut self.eight,
            &mut self.twelve,
            &mut self.some_two,
            &mut self.some_four,
        ] {
            row.clear();
            row.resize(words, 0);
        }
    }

    /// Calls `take` for every place where twelve digits stand at this distance, and four of them are not zero where those of
    /// the corpus are not: the seventh to the tenth, or backwards the second to the fifth.
    fn candidates(&mut self, stride: usize, mut take: impl FnMut(usize)) {
        if !both(&mut self.some_two, &self.nonzero, &self.nonzero, stride)
            || !both(
                &mut self.some_four,
                &self.some_two,
                &self.some_two,
                2 * stride,
            )
        {
            return;
        }
        both(&mut self.two, &self.digit, &self.digit, stride);
        both(&mut self.four, &self.two, &self.two, 2 * stride);
        if !both(&mut self.eight, &self.four, &self.four, 4 * stride)
            || !both(&mut self.twelve, &self.eight, &self.four, 8 * stride)
        {
            return;
        }
        for (word, twelve) in self.twelve.iter().enumerate() {
            if *twelve == 0 {
                continue;
            }
            let core = |by: usize| shifted(&self.some_four, word, by * stride);
            let mut bits = twelve & (core(6) | core(1));
            while bits != 0 {
                take(word * 64 + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
    }
}

/// `into` = `a` and `b`, the latter `by` places further on. Whether a bit is left.
fn both(into: &mut [u64], a: &[u64], b: &[u64], by: usize) -> bool {
    let (words, bits) = (by / 64, by % 64);
    let mut any = 0;
    let further = b[words..].iter().zip(&b[words + 1..]);
    for ((into, a), (low, high)) in into.iter_mut().zip(a).zip(further) {
        *into = a & (low >> bits | high << (63 - bits) << 1);
        any |= *into;
    }
    // Rows end with zeroes: what the shift did not reach is none.
    let reached = b.len() - words - 1;
    into[reached..].fill(0);
    any != 0
}

fn shifted(row: &[u64], word: usize, by: usize) -> u64 {
    let (words, bits) = (by / 64, by % 64);
    let at = |i: usize| row.get(i).copied().unwrap_or_default();
    at(word + words) >> bits | at(word + words + 1) << (63 - bits) << 1
}

/// A hash of the channel that is named nearest behind a key, else before it: a unique id (`1700000000.7`) or a channel's
/// name (`PJSIP/trunk-0000002a`).
fn channel_near(data: &[u8], at: usize) -> u64 {
    let behind = &data[at..data.len().min(at + CHANNEL_NEAR)];
    let before = &data[at.saturating_sub(CHANNEL_NEAR)..at];
    let is_channel = |word: &&[u8]| {
        let id = word
            .split(|b| *b == b'.')
            .map(<[u8]>::len)
            .collect::<Vec<_>>();
        let numeric = word.iter().all(|b| b.is_ascii_digit() || *b == b'.');
        (numeric && id.len() == 2 && id[0] >= 9) || word.contains(&b'/') && word.contains(&b'-')
    };
    fn words(text: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
        text.split(|b| !(b.is_ascii_alphanumeric() || b".-/_@".contains(b)))
            .filter(|w| w.len() > 8)
    }
    let channel = words(behind)
        .find(is_channel)
        .or_else(|| words(before).rev().find(is_channel))
        .unwrap_or_default();
    // FNV-1a: equal words, equal numbers, in every run.
    channel.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}
