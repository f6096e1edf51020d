//! Made sound: tones after the numbers of Mitel's CM7291 tape, ETSI ES 201 235-3 and Japan's rules for what a telephone sends,
//! noise, and speech from files. Nothing here is shared with the detector.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

use ivrpay_tone::{Detector, Grade};

/// Keys, by row and column.
pub(crate) const KEYPAD: &str = "123A456B789C*0#D";
const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];

/// Peak of a sine of 0 dBm0 in 16 bits: full scale (32,124) is +3.17 dBm0 (ITU-T G.711).
pub(crate) fn peak(dbm0: f64) -> f64 {
    32_124.0 * 10_f64.powf((dbm0 - 3.17) / 20.0)
}

/// Numbers that look random and are the same in every run (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly between two numbers.
    pub(crate) fn within(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of so many.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Normal, variance 1 (sum of twelve).
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.within(0.0, 1.0)).sum::<f64>() - 6.0
    }
}

/// A key press.
#[derive(Clone, Copy)]
pub(crate) struct Press {
    /// Place in [`KEYPAD`].
    pub(crate) key: usize,
    pub(crate) on_ms: f64,
    /// Level of the low group.
    pub(crate) dbm0: f64,
    /// High group against low, dB.
    pub(crate) twist: f64,
    /// Off the nominal frequencies, as ratios.
    pub(crate) off: (f64, f64),
    /// Phases at the beginning, radians.
    pub(crate) phase: (f64, f64),
}

impl Press {
    /// A key as telephones send it: both groups at -9 dBm0.
    pub(crate) fn plain(sign: char, on_ms: f64) -> Self {
        Self {
            key: KEYPAD.find(sign).expect("a key"),
            on_ms,
            dbm0: -9.0,
            twist: 0.0,
            off: (0.0, 0.0),
            phase: (0.0, 0.0),
        }
    }

    /// Level of both groups together, dBm0.
    pub(crate) fn level(&self) -> f64 {
        self.dbm0 + 10.0 * (1.0 + 10_f64.powf(self.twist / 10.0)).log10()
    }

    pub(crate) fn sign(&self) -> char {
        KEYPAD.as_bytes()[self.key] as char
    }
}

/// One channel of sound.
pub(crate) struct Sound {
    pub(crate) rate: u32,
    pub(crate) samples: Vec<f64>,
}

impl Sound {
    pub(crate) fn new(rate: u32) -> Self {
        Self {
            rate,
            samples: Vec::new(),
        }
    }

    fn count(&self, ms: f64) -> usize {
        (f64::from(self.rate) * ms / 1000.0).round() as usize
    }

    pub(crate) fn silence(&mut self, ms: f64) -> &mut Self {
        let to = self.samples.len() + self.count(ms);
        self.samples.resize(to, 0.0);
        self
    }

    pub(crate) fn press(&mut self, press: &Press) -> &mut Self {
        let at = self.samples.len();
        self.silence(press.on_ms);
        self.press_at(at, press)
    }

    /// Adds a key onto what is there from sample `at` on.
    pub(crate) fn press_at(&mut self, at: usize, press: &Press) -> &mut Self {
        let (low, high) = (
            ROWS[press.key / 4] * (1.0 + press.off.0),
            COLUMNS[press.key % 4] * (1.0 + press.off.1),
        );
        let (a, b) = (peak(press.dbm0), peak(press.dbm0 + press.twist));
        let n = self.count(press.on_ms);
        for (n, sample) in self.samples.iter_mut().skip(at).take(n).enumerate() {
            let t = n as f64 / f64::from(self.rate);
            *sample += a * (TAU * low * t + press.phase.0).sin()
                + b * (TAU * high * t + press.phase.1).sin();
        }
        self
    }

    /// Adds white noise of this level over all.
    pub(crate) fn noise(&mut self, dbm0: f64, random: &mut Random) -> &mut Self {
        let rms = peak(dbm0) / 2_f64.sqrt();
        for sample in &mut self.samples {
            *sample += rms * random.normal();
        }
        self
    }

    pub(crate) fn pcm(&self) -> Vec<i16> {
        self.samples
            .iter()
            .map(|s| s.round().clamp(-32_768.0, 32_767.0) as i16)
            .collect()
    }
}

/// What was heard, as text: made keys alone get here.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) decoded: String,
    pub(crate) like: String,
    /// First sample and the one behind the last, of all.
    pub(crate) spans: Vec<(u64, u64)>,
}

pub(crate) fn hear(rate: u32, samples: &[i16]) -> Heard {
    let mut heard = Heard::default();
    let mut take = |tone: ivrpay_tone::Tone| {
        let sign = char::from(tone.key.expose());
        match tone.grade {
            Grade::Decoded => heard.decoded.push(sign),
            Grade::ToneLike => heard.like.push(sign),
        }
        heard.spans.push((tone.start, tone.end));
    };
    let mut detector = Detector::new(rate).expect("a rate");
    // As a file is read, in pieces.
    for piece in samples.chunks(997) {
        detector.push(piece, &mut take);
    }
    detector.finish(&mut take);
    heard
}

/// 16-bit samples of a WAV file of one channel, as those of Asterisk and ours are.
pub(crate) fn wav(path: &Path) -> Option<Vec<i16>> {
    let bytes = std::fs::read(path).ok()?;
    let at = bytes.windows(4).position(|w| w == b"data")? + 8;
    Some(
        bytes[at..]
            .chunks_exact(2)
            .map(|two| i16::from_le_bytes([two[0], two[1]]))
            .collect(),
    )
}

/// Every WAV file below a folder.
pub(crate) fn wavs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(wavs(&path));
        } else if path.extension().is_some_and(|e| e == "wav") {
            found.push(path);
        }
    }
    found.sort();
    found
}
