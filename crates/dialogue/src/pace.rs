//! The duplicate-tone filter: tells presses from echoes by the time between keys.
//!
//! Works while keys come in: [`Trail`] for the whole call, [`Pace`] for one field. Owns the times between keys and the last
//! key (one byte of secret memory). Does not know steps, prompts or lengths.
//!
//! Why it is needed: Asterisk publishes short or fast keys twice (`__ast_read`, `queue_dtmf_readq`: measured at 100/20, 80/20,
//! 60/40, 40/80, 40/60 and 40/40 ms on/off), and a telephone that sends RFC 4733 and SIP INFO makes two or three events of
//! each key, milliseconds or a whole key length apart. "88" keyed fast and an echoed 8 can't be told apart by their content.
//! So a doubtful field is never accepted: it is asked again, slower.

use std::time::Duration;

use ivrpay_card::Digits;
use ivrpay_secret::{Buffer, Full, Key};

use crate::io::At;

/// Two events of one key closer than this are one press: a tone needs 40 ms and the pause before the next one 30 ms at the very
/// least (ITU-T Q.24, table A-1; ETSI ES 201 235-3), so two presses are 70 ms apart at their releases. A network stall can push
/// them together, therefore [`Pace::doubtful`] accepts merged events only where every digit came equally often.
const SAME_PRESS: Duration = Duration::from_millis(20);

/// Two events of one key closer than this may be an echo. A finger repeats a key at most six to seven times a second; Asterisk
/// needs 80 ms (`mindtmfduration`) and 45 ms (`AST_MIN_DTMF_GAP`) for each key, and its echoes come within that time.
const ECHO: Duration = Duration::from_millis(150);

/// Two events of any keys closer than this come from no finger: at a period below 80 + 45 ms Asterisk doubles keys, and two
/// events in such a period (a key and the late echo of an earlier one) have a gap of at most 62 ms.
const TOO_FAST: Duration = Duration::from_millis(75);

/// How much a key's own length may miss the gap before it and still mean that it was down when the same key was last reported
/// (INFO at the press, RFC 4733 at the release): RTP time stamps against arrival times.
const OVERLAP: Duration = Duration::from_millis(40);

/// Fewest pairs from which a rhythm of pairs can be told from chance.
const PAIRS_MIN: usize = 4;

/// The last key of the call, whatever field it belonged to.
pub(crate) struct Trail {
    last: Buffer,
    at: Option<At>,
}

/// How a key stands to the one before it.
#[derive(Clone, Copy)]
pub(crate) struct Touch {
    /// Since the last key; `None` for the first of the call.
    pub(crate) gap: Option<Duration>,
    /// The last key was the same one.
    same: bool,
    lasted: Duration,
}

impl Trail {
    pub(crate) fn take() -> Result<Self, Full> {
        Ok(Self {
            last: Buffer::take(1)?,
            at: None,
        })
    }

    pub(crate) fn touch(&mut self, now: At, key: Key, lasted: Duration) -> Touch {
        let byte = match key {
            Key::Digit(digit) => b'0'.wrapping_add(digit),
            Key::Star => b'*',
            Key::Hash => b'#',
            Key::Letter => b'A',
        };
        let gap = self.at.map(|at| now.since(at));
        let same = gap.is_some() && self.last.expose(|last| last == [byte]);
        self.last.clear();
        let kept = self.last.push(&[byte]);
        debug_assert!(kept.is_ok(), "one byte fits into one byte");
        self.at = Some(now);
        Touch { gap, same, lasted }
    }

    pub(crate) fn wipe(&mut self) {
        self.last.clear();
        self.at = None;
    }
}

impl Touch {
    /// Too near to the same key before it to be another press for certain. In a menu, and for `*` and `#`, it is dropped.
    pub(crate) fn echo(self) -> bool {
        self.same && self.gap.is_some_and(|gap| gap < ECHO || self.overlaps(gap))
    }

    pub(crate) fn same_press(self) -> bool {
        self.same && self.gap.is_some_and(|gap| gap < SAME_PRESS)
    }

    fn doubtful(self) -> bool {
        self.echo() || self.gap.is_some_and(|gap| gap < TOO_FAST)
    }

    /// It went down before the same key was last reported: one finger can't do that.
    fn overlaps(self, gap: Duration) -> bool {
        !self.lasted.is_zero() && gap < self.lasted.saturating_add(OVERLAP)
    }
}

/// What a digit is to its field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The same press once more: dropped.
    Again,
    /// A digit.
    Digit,
}

/// The rhythm of one field.
pub(crate) struct Pace {
    /// Between kept digits; one fewer than digits.
    gaps: Vec<Duration>,
    /// Events of each kept digit.
    events: Vec<u8>,
    doubtful: bool,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self {
            gaps: Vec::with_capacity(Digits::MAX),
            events: Vec::with_capacity(Digits::MAX),
            doubtful: false,
        }
    }

    pub(crate) fn hear(&mut self, touch: Touch) -> Heard {
        if touch.same_press() {
            // The first key of a field may be the end of the last key of the field before: nothing to count then.
            if let Some(events) = self.events.last_mut() {
                *events = events.saturating_add(1);
            }
            return Heard::Again;
        }
        self.doubtful |= touch.doubtful();
        if self.events.len() < Digits::MAX {
            if !self.events.is_empty() {
                self.gaps.push(touch.gap.unwrap_or_default());
            }
            self.events.push(1);
        }
        Heard::Digit
    }

    /// Longest gap between two digits of this field.
    pub(crate) fn longest(&self) -> Duration {
        self.gaps.iter().copied().max().unwrap_or_default()
    }

    /// Whether it can't be told which digits were pressed. `by_length`: the field has just ended by its last digit, whose further
    /// events may still be on their way.
    pub(crate) fn doubtful(&self, digits: &Digits, by_length: bool) -> bool {
        self.doubtful || self.unevenly_merged(by_length) || self.pairs(digits)
    }

    /// Some digits came as several events within [`SAME_PRESS`], others did not. Where all did equally often the telephone
    /// doubles: then dropping is proven right, for a number that really has only pairs would be left with half its digits,
    /// 6 to 9 or 2, and no field takes so few.
    fn unevenly_merged(&self, by_length: bool) -> bool {
        let whole = if by_length {
            self.events.len().saturating_sub(1)
        } else {
            self.events.len()
        };
        let first = self.events.first().copied().unwrap_or(1);
        self.events
            .iter()
            .take(whole)
            .any(|events| *events != first)
            || self.events.iter().skip(whole).any(|events| *events > first)
    }

    /// Only pairs of equal digits, in a rhythm of pairs. 5555555555554444 keyed evenly, or in groups of four, has no such rhythm:
    /// medians are compared, so that a few long gaps between groups don't make one.
    fn pairs(&self, digits: &Digits) -> bool {
        let count = digits.len();
        if count < 2 * PAIRS_MIN || !count.is_multiple_of(2) || self.gaps.len() + 1 != count {
            return false;
        }
        if !digits.expose(|d| {
            d.chunks_exact(2)
                .all(|pair| matches!(pair, [a, b] if a == b))
        }) {
            return false;
        }
        let within = median(self.gaps.iter().step_by(2));
        let between = median(self.gaps.iter().skip(1).step_by(2));
        within * 3 < between * 2 || between * 3 < within * 2
    }
}

fn median<'a>(gaps: impl Iterator<Item = &'a Duration>) -> Duration {
    let mut gaps: Vec<Duration> = gaps.copied().collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied().unwrap_or_default()
}
