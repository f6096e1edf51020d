//! The search itself: bytes in, counts by form out.

use std::collections::{BTreeMap, HashMap, HashSet};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};

use super::forms::{
    BYTE_DIGITS, CODE_FIELD, CODE_FIELDS, CODE_NEAR, Card, KEYS_TOGETHER, Needle, STRIDES,
    TEXT_DIGITS, needles,
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
/// Digits of a card that are looked up first, at a distance.
const PIECE: usize = 4;

/// Longest that anything we look for is, bytes: pieces of a place overlap by it.
pub(super) const SPAN_MAX: usize = 256 * 19;

/// What is looked for, made once.
pub(super) struct Search {
    needles: Vec<Needle>,
    automaton: AhoCorasick,
    markers: AhoCorasick,
    fields: AhoCorasick,
    codes: HashSet<Vec<u8>>,
    /// Four digits in the middle of a card, as a number: card and where they stand in it.
    pieces: HashMap<usize, Vec<(Vec<u8>, usize)>>,
    /// Every run of eight secret digits.
    windows: HashSet<Vec<u8>>,
}

/// What was found in one place.
#[derive(Default)]
pub(super) struct Found {
    /// Times by form.
    pub(super) forms: BTreeMap<&'static str, usize>,
    /// Keys in events, in order: marker, channel (a hash), digit.
    keys: Vec<(u32, u64, u8)>,
}

impl Found {
    fn add(&mut self, form: &'static str) {
        *self.forms.entry(form).or_default() += 1;
    }
}

impl Search {
    pub(super) fn new(cards: &[Card]) -> anyhow::Result<Self> {
        let needles = needles(cards);
        let automaton = AhoCorasick::new(needles.iter().map(|n| &n.bytes))?;
        let mut pieces: HashMap<usize, Vec<(Vec<u8>, usize)>> = HashMap::new();
        let mut windows = HashSet::new();
        for card in cards {
            let backwards: Vec<u8> = card.digits.iter().rev().copied().collect();
            for way in [&card.digits, &backwards] {
                // Every run of twelve holds at least one of these pieces.
                for at in (0..=way.len() - PIECE).step_by(PIECE) {
                    let key = number(way[at..].iter().copied());
                    pieces.entry(key).or_default().push((way.clone(), at));
                }
            }
            let secret = &card.digits[..card.digits.len() - 4];
            windows.extend(secret.windows(TEXT_DIGITS).map(<[u8]>::to_vec));
        }
        Ok(Self {
            needles,
            automaton,
            markers: AhoCorasick::new(KEY_MARKERS)?,
            fields: AhoCorasickBuilder::new()
                .ascii_case_insensitive(true)
                .build(CODE_FIELDS)?,
            codes: cards.iter().map(|c| c.code.clone().into_bytes()).collect(),
            pieces,
            windows,
        })
    }

    /// Looks through `data`, whose first `seen` bytes were in the piece before.
    pub(super) fn feed(&self, data: &[u8], seen: usize, found: &mut Found) {
        for hit in self.automaton.find_overlapping_iter(data) {
            if hit.end() > seen {
                found.add(self.needles[hit.pattern()].form);
            }
        }
        self.at_a_distance(data, seen, found);
        for field in self.fields.find_iter(data) {
            if field.end() + CODE_NEAR > seen && self.code_behind(data, field.end()) {
                found.add(CODE_FIELD);
            }
        }
        for marker in self.markers.find_iter(data) {
            let Some(digit) = data.get(marker.end()).filter(|b| b.is_ascii_digit()) else {
                continue;
            };
            if marker.end() < seen {
                continue;
            }
            found.add("a key in an event or log line");
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
            for run in digits.windows(TEXT_DIGITS) {
                if self.windows.contains(run) {
                    found.add(KEYS_TOGETHER);
                }
            }
        }
    }

    /// Twelve digits of a card at a fixed distance, as characters or as numbers. At distance 1 the automaton sees them.
    fn at_a_distance(&self, data: &[u8], seen: usize, found: &mut Found) {
        for (base, form) in [
            (b'0', "ASCII at a distance"),
            (0, "a byte a digit at a distance"),
        ] {
            let digit = |at: usize| {
                data.get(at)
                    .map(|b| b.wrapping_sub(base))
                    .filter(|d| *d < 10)
            };
            for start in 0..data.len() {
                // Zeroes are most of a memory; the pieces of a corpus begin with none.
                let Some(first) = digit(start).filter(|d| base != 0 || *d != 0) else {
                    continue;
                };
                for stride in STRIDES.skip(1) {
                    let Some(second) = digit(start + stride) else {
                        continue;
                    };
                    let Some(third) = digit(start + 2 * stride) else {
                        continue;
                    };
                    let Some(fourth) = digit(start + 3 * stride) else {
                        continue;
                    };
                    let Some(cards) = self.pieces.get(&number([first, second, third, fourth]))
                    else {
                        continue;
                    };
                    for (card, at) in cards {
                        let before = (0..*at)
                            .rev()
                            .zip(1..)
                            .take_while(|(i, n)| {
                                start
                                    .checked_sub(n * stride)
                                    .and_then(digit)
                                    .is_some_and(|d| d == card[*i])
                            })
                            .count();
                        let behind = (*at..card.len())
                            .zip(0..)
                            .take_while(|(i, n)| digit(start + n * stride) == Some(card[*i]))
                            .count();
                        if before + behind >= BYTE_DIGITS && start + behind * stride > seen {
                            found.add(form);
                        }
                    }
                }
            }
        }
    }

    /// A code that stands alone, at most [`CODE_NEAR`] bytes behind the name of its field.
    fn code_behind(&self, data: &[u8], end: usize) -> bool {
        let near = &data[end..data.len().min(end + CODE_NEAR)];
        near.split(|b| !b.is_ascii_digit())
            .any(|word| self.codes.contains(word))
    }
}

/// The first four digits as a number: a key of [`Search::pieces`].
fn number(digits: impl IntoIterator<Item = u8>) -> usize {
    digits
        .into_iter()
        .take(PIECE)
        .fold(0, |n, d| n * 10 + usize::from(d))
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
