//! From looks to keys.

use zeroize::Zeroize;

use crate::goertzel::{Bank, Look, Seen, nominal};
use crate::key::Key;

/// Lowest and highest sample rate, Hz.
pub const RATES: std::ops::RangeInclusive<u32> = 8000..=192_000;

/// A sample rate at which keys are not looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} samples a second; 8,000 to 192,000 can be read")]
pub struct RateError(pub u32);

/// How sure a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// Within the limits of a receiver: what Asterisk and others would take for a key.
    Decoded,
    /// Two tones of the keypad, too short, weak, twisted, noisy or off their frequency for a receiver. An attacker can read them.
    ToneLike,
}

/// A key that was heard. No `Debug`: its key is card data.
#[derive(Clone, Copy)]
pub struct Tone {
    /// Which.
    pub key: Key,
    /// The first sample of it, counted from the first that was pushed, to within 4 ms.
    pub start: u64,
    /// The first sample behind it, as exact.
    pub end: u64,
    /// How sure.
    pub grade: Grade,
}

/// Squared amplitude of a tone at so many dBm0. A sine of full scale (32,124 in 16 bits) is +3.17 dBm0 (ITU-T G.711).
fn power_at(dbm0: f32) -> f32 {
    let amplitude = 32_124.0 * 10_f32.powf((dbm0 - 3.17) / 20.0);
    amplitude * amplitude
}

/// What two tones must keep to in one look, and over all of them.
struct Limits {
    /// Shortest, in looks of 4 ms: a tone of 40 ms has 9 or 10, one of 20 ms at most 6.
    looks_min: u64,
    /// Weakest of the two, dBm0.
    level_min: f32,
    /// Weakest and strongest high group against low, dB.
    twist: (f32, f32),
    /// Least share of the two tones in the whole sound, 0 to 1.
    share_min: f32,
    /// Furthest from the nominal frequency, as a ratio.
    off_max: f32,
    /// Least steadiness of the two frequencies, 0 to 1: how much of the turns from look to look adds up.
    steady_min: f32,
    /// Most that may be heard of either 12 ms before the first look and behind the last, as a ratio of amplitudes. A key goes on
    /// and off at once, and a look that far away does not touch it; a voice swells.
    outside_max: f32,
}

/// The receiver: -33 to -3 dBm0, high group -8 to +6 dB, ±1.8 % accepted and ±3.5 % refused, 40 ms accepted and 20 ms refused, 15 dB over
/// noise; each with some room, since a tone at the limit is measured a little off it. It joins what AT&T asks (as Asterisk's
/// main/dsp.c does) and Japan (±1.8 %, low group never above high: 事業用電気通信設備規則, table 3).
const DECODE: Limits = Limits {
    looks_min: 7,
    level_min: -36.0,
    twist: (-9.5, 7.5),
    share_min: 0.92,
    off_max: 0.0265,
    steady_min: 0.97,
    outside_max: 0.4,
};

/// The search: two tones of the keypad that somebody could still read, in noise or under speech, twisted, weak or short. (Who has
/// the recording fits them at leisure: on a quiet line 2 ms of a tone are enough.)
const SEARCH: Limits = Limits {
    looks_min: 3,
    level_min: -50.0,
    twist: (-16.0, 16.0),
    share_min: 0.6,
    off_max: 0.02,
    steady_min: 0.95,
    outside_max: 0.4,
};

/// The search for what is off its frequency, as no telephone sends and tapes at a wrong speed do: clean in everything else,
/// since half of the pairs that speech has lie there.
const SEARCH_OFF: Limits = Limits {
    share_min: 0.82,
    off_max: 0.05,
    steady_min: 0.975,
    outside_max: 0.25,
    ..SEARCH
};

/// The search for the 10 to 15 ms that are left of a key where somebody mutes it late: as clean.
const SEARCH_SHORT: Limits = Limits {
    looks_min: 2,
    share_min: 0.7,
    outside_max: 0.25,
    ..SEARCH
};

/// The search for the 4 to 10 ms that are left of a key where somebody mutes it quickly, as Asterisk does: too short for a frequency
/// to be measured, so it must stand in silence, which a voice seldom does.
const SEARCH_BURST: Limits = Limits {
    looks_min: 1,
    level_min: -40.0,
    twist: (-9.5, 7.5),
    share_min: 0.35,
    ..SEARCH
};
/// Longest burst, in looks.
const BURST_LOOKS_MAX: u64 = 2;
/// Most that may be heard of anything 12 ms before a burst and behind it, as a ratio of squared amplitudes.
const BURST_OUTSIDE_MAX: f32 = 0.02;

/// Looks that must keep to the limits of one that is decoded; those at the edges see half a tone.
const GOOD_MIN: u32 = 4;
/// A pause that ends a key, in looks: one of 30 ms has 6 or more, a drop-out of 15 ms at most 5.
const PAUSE_LOOKS: u64 = 6;
/// Looks before and behind the one that is judged: a tone is on where it has at least half of its greatest amplitude there.
/// The window of the outermost does not touch the middle of the judged one.
const AROUND: usize = 3;

/// [`Limits`] of one look, as ratios of squared amplitudes.
struct Gate {
    level_min: f32,
    twist_min: f32,
    twist_max: f32,
    share_min: f32,
}

impl Gate {
    fn new(limits: &Limits) -> Self {
        Self {
            level_min: power_at(limits.level_min),
            twist_min: 10_f32.powf(limits.twist.0 / 10.0),
            twist_max: 10_f32.powf(limits.twist.1 / 10.0),
            share_min: limits.share_min,
        }
    }

    fn lets_through(&self, low: f32, high: f32, energy: f32) -> bool {
        low.min(high) >= self.level_min
            && high >= low * self.twist_min
            && high <= low * self.twist_max
            && low + high >= self.share_min * energy
    }
}

/// Listens for keys in one channel of sound.
///
/// Push the samples as they come; each key is told when the pause behind it is seen, at most 60 ms later. What is kept
/// is some 30 ms of sound and the key that is on, wiped when dropped.
pub struct Detector {
    bank: Bank,
    decode: Gate,
    search: Gate,
    burst: Gate,
    /// Samples that are averaged into one: 48 kHz is looked at as 8 kHz. That takes 0.6 dB from the highest frequency, and what it folds
    /// down is 12 dB weaker or more.
    step: u16,
    averaged: (f32, u16),
    samples: Vec<f32>,
    looks: [Look; 2 * AROUND + 1],
    /// Looks taken.
    taken: u64,
    open: Option<Open>,
}

/// A key that is on, or was a moment ago.
struct Open {
    row: usize,
    column: usize,
    /// First and last look that saw it.
    first: u64,
    last: u64,
    /// Looks that saw it.
    seen: u32,
    /// Looks that saw it well enough to decode.
    good: u32,
    /// Whether it stood in silence.
    burst: bool,
    /// Sum of its shares in the whole sound.
    share: f32,
    low: Turns,
    high: Turns,
    /// What was heard of it before the first look and behind the last, squared.
    before: f32,
    behind: f32,
}

/// The turns of one group, from look to look.
#[derive(Default)]
struct Turns {
    sum: (f32, f32),
    /// Their sum if every look agreed.
    whole: f32,
}

impl Turns {
    fn add(&mut self, (re, im): (f32, f32)) {
        self.sum.0 += re;
        self.sum.1 += im;
        self.whole += re.hypot(im);
    }

    fn steady(&self) -> f32 {
        self.sum.0.hypot(self.sum.1) / self.whole
    }
}

/// What one look sees of a key.
struct Glance {
    row: usize,
    column: usize,
    low: Seen,
    high: Seen,
    share: f32,
    good: bool,
    burst: bool,
}

impl Detector {
    /// A detector for sound of `rate` samples a second.
    ///
    /// # Errors
    /// [`RateError`] outside [`RATES`].
    pub fn new(rate: u32) -> Result<Self, RateError> {
        if !RATES.contains(&rate) {
            return Err(RateError(rate));
        }
        let step = rate / RATES.start();
        let bank = Bank::new(rate / step);
        Ok(Self {
            // So that the first look has the first sample in its middle.
            samples: vec![0.0; bank.len() / 2],
            decode: Gate::new(&DECODE),
            search: Gate::new(&SEARCH),
            burst: Gate::new(&SEARCH_BURST),
            step: u16::try_from(step).map_err(|_| RateError(rate))?,
            averaged: (0.0, 0),
            looks: [Look::default(); 2 * AROUND + 1],
            taken: 0,
            open: None,
            bank,
        })
    }

    /// Listens on. Tells the keys that ended.
    pub fn push(&mut self, samples: &[i16], mut heard: impl FnMut(Tone)) {
        for sample in samples {
            self.averaged.0 += f32::from(*sample);
            self.averaged.1 += 1;
            if self.averaged.1 == self.step {
                let sample = self.averaged.0 / f32::from(self.step);
                self.averaged = (0.0, 0);
                self.take(sample, &mut heard);
            }
        }
    }

    /// The sound is over: tells the key that was still on, if any.
    pub fn finish(mut self, mut heard: impl FnMut(Tone)) {
        for _ in 0..self.bank.len() + (AROUND + 1) * self.bank.hop {
            self.take(0.0, &mut heard);
        }
        self.close(&mut heard);
    }

    fn take(&mut self, sample: f32, heard: &mut impl FnMut(Tone)) {
        self.samples.push(sample);
        if self.samples.len() < self.bank.len() {
            return;
        }
        let look = self.bank.look(&self.samples, self.search.level_min);
        self.samples.drain(..self.bank.hop);
        self.looks.rotate_left(1);
        self.looks[2 * AROUND] = look;
        self.taken += 1;
        if let Some(at) = self.taken.checked_sub(AROUND as u64 + 1) {
            self.judge(at, heard);
        }
    }

    /// Judges the look in the middle, number `at`.
    fn judge(&mut self, at: u64, heard: &mut impl FnMut(Tone)) {
        let Some(glance) = self.glance() else {
            if self
                .open
                .as_ref()
                .is_some_and(|open| at - open.last >= PAUSE_LOOKS)
            {
                self.close(heard);
            }
            return;
        };
        let (row, column) = (glance.row, glance.column);
        if self
            .open
            .as_ref()
            .is_some_and(|open| (open.row, open.column) != (row, column))
        {
            self.close(heard);
        }
        let now = &self.looks[AROUND];
        let left = |look: &Look| {
            let ratio = |bin| look.power(bin) / now.power(bin);
            ratio(row).max(ratio(column))
        };
        let (before, behind) = (left(&self.looks[0]), left(&self.looks[2 * AROUND]));
        let open = self.open.get_or_insert_with(|| Open {
            row,
            column,
            first: at,
            last: at,
            seen: 0,
            good: 0,
            burst: false,
            share: 0.0,
            low: Turns::default(),
            high: Turns::default(),
            before,
            behind,
        });
        open.last = at;
        open.seen += 1;
        open.good += u32::from(glance.good);
        open.burst |= glance.burst;
        open.share += glance.share;
        open.low.add(glance.low.turn);
        open.high.add(glance.high.turn);
        open.behind = behind;
    }

    /// The key in the middle look, if one is on there.
    fn glance(&self) -> Option<Glance> {
        let (before, now) = (&self.looks[AROUND - 1], &self.looks[AROUND]);
        let (row, column) = (now.strongest(0), now.strongest(4));
        let low = self.bank.seen(row, before, now);
        let high = self.bank.seen(column, before, now);
        let through = |gate: &Gate| gate.lets_through(low.power, high.power, now.energy);
        let on = |bin| {
            let most = now.power(bin) * 4.0;
            self.looks.iter().all(|look| look.power(bin) <= most)
        };
        let quiet = now.energy * BURST_OUTSIDE_MAX;
        let burst = self.looks[0].energy <= quiet
            && self.looks[2 * AROUND].energy <= quiet
            && self
                .burst
                .lets_through(now.power(row), now.power(column), now.energy);
        ((through(&self.search) || burst) && on(row) && on(column)).then(|| Glance {
            burst,
            share: (low.power + high.power) / now.energy,
            good: through(&self.decode),
            row,
            column,
            low,
            high,
        })
    }

    fn close(&mut self, heard: &mut impl FnMut(Tone)) {
        let Some(open) = self.open.take() else { return };
        if let Some(grade) = self.grade(&open) {
            let hop = self.bank.hop as u64 * u64::from(self.step);
            heard(Tone {
                key: Key::at(open.row, open.column & 3),
                start: (open.first * hop).saturating_sub(hop / 2),
                end: open.last * hop + hop / 2,
                grade,
            });
        }
    }

    fn grade(&self, open: &Open) -> Option<Grade> {
        let off = |bin, turns: &Turns| (self.bank.distance(turns.sum) / nominal(bin)).abs();
        let off = off(open.row, &open.low).max(off(open.column, &open.high));
        let steady = open.low.steady().min(open.high.steady());
        let outside = open.before.max(open.behind).sqrt();
        #[expect(clippy::cast_precision_loss, reason = "of some hundred looks")]
        let share = open.share / open.seen as f32;
        let looks = open.last - open.first + 1;
        let within = |limits: &Limits| {
            looks >= limits.looks_min && off <= limits.off_max && steady >= limits.steady_min
        };
        if within(&DECODE) && open.good >= GOOD_MIN {
            // A key in all but its edges can be read as well.
            let sharp = outside <= DECODE.outside_max;
            return Some(if sharp {
                Grade::Decoded
            } else {
                Grade::ToneLike
            });
        }
        ([SEARCH, SEARCH_OFF, SEARCH_SHORT].iter().any(|limits| {
            within(limits) && share >= limits.share_min && outside <= limits.outside_max
        }) || (open.burst && looks <= BURST_LOOKS_MAX))
            .then_some(Grade::ToneLike)
    }
}

impl Drop for Detector {
    fn drop(&mut self) {
        self.samples.zeroize();
        self.averaged.0.zeroize();
        for look in &mut self.looks {
            look.zeroize();
        }
        if let Some(open) = &mut self.open {
            open.row.zeroize();
            open.column.zeroize();
        }
    }
}
