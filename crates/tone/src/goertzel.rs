//! One piece of sound seen through the eight frequencies of the keypad.
//!
//! The kernel is goertzel-nostd: the strength of one frequency, and its phase. Everything that makes a receiver of it is ours:
//! the window, the eight bins together, the share of the whole, and in `dtmf.rs` the limits and the time.

use std::f32::consts::TAU;

use goertzel_nostd::Parameters;
use zeroize::Zeroize;

/// The low group, then the high one, Hz (ITU-T Q.23).
const FREQUENCIES: [f32; 8] = [697.0, 770.0, 852.0, 941.0, 1209.0, 1336.0, 1477.0, 1633.0];

/// The frequency of a bin, Hz.
pub(crate) fn nominal(bin: usize) -> f32 {
    FREQUENCIES[bin & 7]
}

/// The window in milliseconds. At 16 ms the two groups and neighbouring rows are told apart, and half of it fits into the shortest
/// pause that divides two keys (30 ms, Japan's 事業用電気通信設備規則, table 3).
const WINDOW_MS: f32 = 16.0;
/// From one look to the next, ms. The phase then tells frequencies apart that differ by less than 125 Hz.
const HOP_MS: f32 = 4.0;

/// What one look sees.
#[derive(Clone, Copy, Default)]
pub(crate) struct Look {
    /// Each frequency as a complex amplitude, the groups behind one another.
    z: [(f32, f32); 8],
    /// Squared amplitude of everything but a constant offset; of tones alone, the sum of their squared amplitudes.
    pub(crate) energy: f32,
}

/// One frequency of a [`Look`], put right for its distance from the middle of its bin.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    /// Squared amplitude, in steps of 16-bit samples.
    pub(crate) power: f32,
    /// Product of this look and the one before, turned back by the nominal frequency: its angle is the distance.
    pub(crate) turn: (f32, f32),
}

impl Look {
    /// Squared amplitude in bin `bin`, without any correction.
    pub(crate) fn power(&self, bin: usize) -> f32 {
        let (re, im) = self.z[bin & 7];
        re * re + im * im
    }

    /// The strongest of four bins from `from` on.
    pub(crate) fn strongest(&self, from: usize) -> usize {
        (from..from + 4)
            .max_by(|a, b| self.power(*a).total_cmp(&self.power(*b)))
            .unwrap_or(from)
    }
}

impl Zeroize for Look {
    fn zeroize(&mut self) {
        for (re, im) in &mut self.z {
            re.zeroize();
            im.zeroize();
        }
        self.energy.zeroize();
    }
}

/// Eight bins at one sample rate.
pub(crate) struct Bank {
    /// Hann: what is 125 Hz away or more is 31 dB down, so that neither group disturbs the other.
    window: Vec<f32>,
    /// The windowed piece.
    piece: Vec<f32>,
    bins: [Parameters; 8],
    /// The turn of each nominal frequency over one hop, conjugated.
    back: [(f32, f32); 8],
    sum: f32,
    sum_of_squares: f32,
    hop_seconds: f32,
    window_seconds: f32,
    /// Samples from one look to the next.
    pub(crate) hop: usize,
}

impl Bank {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates and windows are small numbers"
    )]
    pub(crate) fn new(rate: u32) -> Self {
        let hz = rate as f32;
        let len = (hz * WINDOW_MS / 1000.0).round() as usize;
        let hop = (hz * HOP_MS / 1000.0).round() as usize;
        let window: Vec<f32> = (0..len)
            .map(|n| 0.5 - 0.5 * (TAU * (n as f32 + 0.5) / len as f32).cos())
            .collect();
        Self {
            piece: vec![0.0; len],
            bins: std::array::from_fn(|bin| Parameters::new(nominal(bin), rate, len)),
            back: std::array::from_fn(|bin| {
                let turn = TAU * nominal(bin) * hop as f32 / hz;
                (turn.cos(), -turn.sin())
            }),
            sum: window.iter().sum(),
            sum_of_squares: window.iter().map(|w| w * w).sum(),
            hop_seconds: hop as f32 / hz,
            window_seconds: len as f32 / hz,
            window,
            hop,
        }
    }

    /// Samples that a look takes.
    pub(crate) fn len(&self) -> usize {
        self.window.len()
    }

    /// Looks at the first [`Self::len`] samples. Quieter than `floor` (squared amplitude) is not looked at any closer.
    pub(crate) fn look(&mut self, samples: &[f32], floor: f32) -> Look {
        let offset = product(samples, &self.window) / self.sum;
        for ((to, x), w) in self.piece.iter_mut().zip(samples).zip(&self.window) {
            *to = (x - offset) * w;
        }
        let energy = product(&self.piece, &self.piece) * 2.0 / self.sum_of_squares;
        if energy < floor {
            return Look::default();
        }
        let scale = 2.0 / self.sum;
        // Sample by sample through all eight: they don't wait for one another as the samples of one bin do.
        let mut bins = self.bins.map(Parameters::start);
        for sample in &self.piece {
            bins = bins.map(|bin| bin.add_samples(std::iter::once(sample)));
        }
        let z = bins.map(|bin| {
            let (re, im) = bin.finish();
            (re * scale, im * scale)
        });
        Look { z, energy }
    }

    /// Bin `bin` of a look, with the look before it.
    pub(crate) fn seen(&self, bin: usize, before: &Look, now: &Look) -> Seen {
        let turn = times(
            times(now.z[bin & 7], conjugate(before.z[bin & 7])),
            self.back[bin & 7],
        );
        // How much of a tone the window lets through so far from the middle of its bin: sin(πu)/πu/(1-u²), u in bins.
        let u = self.distance(turn) * self.window_seconds;
        let share = if u.abs() < 0.05 {
            1.0
        } else {
            let pi_u = std::f32::consts::PI * u;
            // At one bin both parts are zero, and their ratio a half.
            let rest = 1.0 - u * u;
            if rest.abs() < 1e-3 {
                0.5
            } else {
                pi_u.sin() / pi_u / rest
            }
        };
        // Further off it is no tone of this bin: what is seen counts as it is.
        let share = if u.abs() < 1.2 { share } else { 1.0 };
        Seen {
            power: now.power(bin) / (share * share),
            turn,
        }
    }

    /// Hz by which a tone with this turn is off its nominal frequency, ±125.
    pub(crate) fn distance(&self, (re, im): (f32, f32)) -> f32 {
        im.atan2(re) / (TAU * self.hop_seconds)
    }
}

impl Drop for Bank {
    fn drop(&mut self) {
        self.piece.zeroize();
    }
}

/// Sum of products, in eight lanes: the processor takes them at once, and the rounding stays the same everywhere.
fn product(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0.0; 8];
    for (a, b) in a.0.iter().zip(b.0) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f32>() + a.1.iter().zip(b.1).map(|(a, b)| a * b).sum::<f32>()
}

fn times(a: (f32, f32), b: (f32, f32)) -> (f32, f32) {
    (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
}

fn conjugate((re, im): (f32, f32)) -> (f32, f32) {
    (re, -im)
}
