//! A recording, listened to: where its caller hums, and whether keys can be heard in it.

use std::f64::consts::TAU;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

/// Samples a second of everything here.
const RATE: usize = 8_000;
/// Samples that are judged together for the hum: 20 ms.
const FRAME: usize = 160;
/// For keys: 10 ms, begun every ms. What in-band detection leaves of a key in a recording is 13 ms long, and enough to tell it: so many pieces
/// behind one another lie in it, wherever it begins.
const PIECE: usize = 80;
const PIECE_EVERY: usize = 8;
const PIECES: usize = 3;
/// Root mean square, 16 bit, under which nothing is heard.
const QUIET_RMS: f64 = 30.0;
/// The same for keys: -44 dBm0.
const KEY_RMS: f64 = 100.0;
/// What its two tones, fitted together, have of a piece of a key: 0.979 at least, over all keys, phases, differences of 6 dB and frequencies
/// 0.5 % off. Of our voices three pieces behind one another have 0.88 at most, wherever they are cut.
const BOTH_MIN: f64 = 0.93;
/// `ivrpay-sim call --hum`.
const HUM_HZ: f64 = 440.0;
/// ITU-T Q.23.
const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];

/// 16 bit, 8 kHz, one channel.
pub struct Recording(Vec<i16>);

impl Recording {
    /// Reads a WAV file that Asterisk writes, when it is complete: the length in its head is written when the recorder ends.
    ///
    /// # Errors
    /// When it is not complete after 10 s, or is something else.
    pub async fn complete(path: &Path) -> anyhow::Result<Self> {
        let began = Instant::now();
        loop {
            if let Ok(bytes) = tokio::fs::read(path).await
                && let Some((head, data)) = bytes.split_at_checked(44)
                && let Some(length) = head.last_chunk::<4>()
                && u32::from_le_bytes(*length) as usize == data.len()
                && !data.is_empty()
            {
                ensure!(
                    head.get(20..28) == Some(&[1, 0, 1, 0, 0x40, 0x1f, 0, 0]),
                    "{} is not 16 bit, 8 kHz, one channel",
                    path.display()
                );
                let samples = data.as_chunks::<2>().0;
                return Ok(Self(
                    samples.iter().map(|s| i16::from_le_bytes(*s)).collect(),
                ));
            }
            if began.elapsed() > Duration::from_secs(10) {
                bail!("{} is not complete", path.display());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its length.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::from_millis((self.0.len() * 1_000 / RATE) as u64)
    }

    /// The longest time in which nothing is heard between these times of the recording.
    #[must_use]
    pub fn quiet(&self, from: Duration, to: Duration) -> Duration {
        let frame = |at: Duration| usize::try_from(at.as_millis() / 20).unwrap_or(usize::MAX);
        let (mut longest, mut now) = (0, 0);
        let frames = self.0.chunks_exact(FRAME).take(frame(to)).skip(frame(from));
        for samples in frames {
            let quiet = energy(samples) < QUIET_RMS.powi(2) * FRAME as f64;
            now = if quiet { now + 1 } else { 0 };
            longest = longest.max(now);
        }
        Duration::from_millis(longest * 20)
    }

    /// Where the caller hums, as times from the beginning: one entry a stretch, pauses under 60 ms bridged (a lost packet).
    #[must_use]
    pub fn hums(&self) -> Vec<(Duration, Duration)> {
        let mut stretches: Vec<(usize, usize)> = Vec::new();
        for (at, frame) in self.0.chunks_exact(FRAME).enumerate() {
            let energy = energy(frame);
            // All the energy of a sine of N samples is N/2 times what Goertzel gives for its bin.
            let share = power(frame, HUM_HZ) / (energy * (FRAME / 2) as f64);
            if energy < QUIET_RMS.powi(2) * FRAME as f64 || share < 0.6 {
                continue;
            }
            match stretches.last_mut() {
                Some((_, end)) if at - *end <= 3 => *end = at + 1,
                _ => stretches.push((at, at + 1)),
            }
        }
        let ms = |frame: usize| Duration::from_millis(frame as u64 * 20);
        stretches
            .into_iter()
            // A vowel of a prompt can be near: it is never this long and this pure.
            .filter(|(begin, end)| end - begin >= 10)
            .map(|(begin, end)| (ms(begin), ms(end)))
            .collect()
    }

    /// Keys that can be told from the recording, also from a remnant of a key.
    #[must_use]
    pub fn keys(&self) -> usize {
        let fit = Fit::new();
        let mut keys = 0;
        let mut before = None;
        let mut pieces = 0;
        for at in (0..self.0.len().saturating_sub(PIECE)).step_by(PIECE_EVERY) {
            let piece = self.0.get(at..at + PIECE);
            let now = piece.and_then(|piece| fit.key(piece));
            pieces = match now {
                Some(_) if now == before => pieces + 1,
                Some(_) => 1,
                None => 0,
            };
            keys += usize::from(pieces == PIECES);
            before = now;
        }
        keys
    }

    /// How much of a part of it is louder than a quiet line: speech, or a voice.
    #[must_use]
    pub fn spoken(&self, from: Duration, to: Duration) -> Duration {
        let at = |time: Duration| time.as_millis() as usize * RATE / 1_000;
        let part = self.0.get(at(from)..at(to).min(self.0.len()));
        let loud = part
            .unwrap_or_default()
            .chunks_exact(FRAME)
            .filter(|frame| energy(frame) >= QUIET_RMS.powi(2) * FRAME as f64);
        Duration::from_millis(loud.count() as u64 * 20)
    }

    /// Whether nothing is in it but the caller's hum and silence: no remnant of a key, nothing spoken.
    #[must_use]
    pub fn is_only_hum(&self) -> bool {
        let hums = self.hums();
        (0_u64..)
            .zip(self.0.chunks_exact(FRAME))
            .all(|(at, frame)| {
                let at = Duration::from_millis(at * 20);
                // A frame in which the hum begins or ends is neither.
                let frame_time = Duration::from_millis(20);
                energy(frame) < QUIET_RMS.powi(2) * FRAME as f64
                    || hums
                        .iter()
                        .any(|(begin, end)| at + frame_time >= *begin && at <= *end)
            })
    }
}

fn energy(samples: &[i16]) -> f64 {
    samples.iter().map(|s| f64::from(*s).powi(2)).sum()
}

/// Power of one frequency (Goertzel).
fn power(samples: &[i16], hz: f64) -> f64 {
    let k = 2.0 * (TAU * hz / RATE as f64).cos();
    let (mut a, mut b) = (0.0, 0.0);
    for s in samples {
        (a, b) = (f64::from(*s) + k * a - b, a);
    }
    a * a + b * b - k * a * b
}

/// Sine and cosine of each tone of a key over one piece, and of each key how they overlap: in 10 ms two tones do.
struct Fit {
    waves: [[f64; PIECE]; 16],
    inverses: Vec<[[f64; 4]; 4]>,
}

/// The weaker tone of a key has at least this part of the other one's power.
const WEAKER_MIN: f64 = 0.1;

impl Fit {
    fn new() -> Self {
        let tones = ROWS.into_iter().chain(COLUMNS);
        let mut waves = [[0.0; PIECE]; 16];
        for ([sine, cosine], hz) in waves.as_chunks_mut::<2>().0.iter_mut().zip(tones) {
            for (at, (sine, cosine)) in sine.iter_mut().zip(cosine).enumerate() {
                let angle = TAU * hz * at as f64 / RATE as f64;
                (*sine, *cosine) = angle.sin_cos();
            }
        }
        let dot = |one: usize, other: usize| -> f64 {
            let pairs = waves[one].iter().zip(&waves[other]);
            pairs.map(|(a, b)| a * b).sum()
        };
        let overlap = |key| Self::waves_of(key).map(|i| Self::waves_of(key).map(|j| dot(i, j)));
        let inverses = (0..16).map(|key| inverse(overlap(key))).collect();
        Self { waves, inverses }
    }

    /// Which waves a key has.
    fn waves_of(key: usize) -> [usize; 4] {
        let (row, column) = (2 * (key / 4), 8 + 2 * (key % 4));
        [row, row + 1, column, column + 1]
    }

    /// The key whose two tones are nearly all of this piece.
    fn key(&self, piece: &[i16]) -> Option<usize> {
        let energy = energy(piece);
        if energy < KEY_RMS.powi(2) * piece.len() as f64 {
            return None;
        }
        let in_piece = self.waves.map(|wave| -> f64 {
            let pairs = wave.iter().zip(piece);
            pairs.map(|(wave, sample)| wave * f64::from(*sample)).sum()
        });
        (0..16).find(|key| {
            let has = Self::waves_of(*key).map(|wave| in_piece[wave]);
            let parts = self.inverses[*key].map(|row| -> f64 {
                let terms = row.iter().zip(&has);
                terms.map(|(a, b)| a * b).sum()
            });
            let both: f64 = parts.iter().zip(&has).map(|(a, b)| a * b).sum();
            let (row, column) = (parts[0].hypot(parts[1]), parts[2].hypot(parts[3]));
            let (weaker, stronger) = (row.min(column), row.max(column));
            both > BOTH_MIN * energy && weaker.powi(2) > WEAKER_MIN * stronger.powi(2)
        })
    }
}

/// By Gauss and Jordan; of a matrix that has one, as that of waves of different frequencies.
fn inverse(mut left: [[f64; 4]; 4]) -> [[f64; 4]; 4] {
    let mut right = [0, 1, 2, 3].map(|i| [0, 1, 2, 3].map(|j| f64::from(i == j)));
    for at in 0..4 {
        let pivot = left[at][at];
        for row in [&mut left, &mut right] {
            row[at] = row[at].map(|value| value / pivot);
        }
        for other in (0..4).filter(|other| *other != at) {
            let times = left[other][at];
            for matrix in [&mut left, &mut right] {
                let from = matrix[at];
                for (value, from) in matrix[other].iter_mut().zip(from) {
                    *value -= times * from;
                }
            }
        }
    }
    right
}

/// The only recording in a folder whose name holds `part` and ends with `.wav`.
///
/// # Errors
/// When there is none, or more than one.
pub fn named(folder: &Path, part: &str) -> anyhow::Result<std::path::PathBuf> {
    let found: Vec<_> = std::fs::read_dir(folder)
        .with_context(|| folder.display().to_string())?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .and_then(|n| n.to_str())
                .is_some_and(|n| n.contains(part) && n.ends_with(".wav"))
        })
        .collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        some => bail!(
            "{} recordings of {part} in {}",
            some.len(),
            folder.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(tones: &[f64], ms: usize) -> Vec<i16> {
        (0..ms * 8)
            .map(|n| {
                let at = n as f64 / RATE as f64;
                let sum: f64 = tones.iter().map(|hz| (TAU * hz * at).sin()).sum();
                (sum * 3_000.0) as i16
            })
            .collect()
    }

    #[test]
    fn a_remnant_of_a_key_is_a_key_and_a_hum_is_none() {
        for (tones, ms, keys) in [
            (&[697.0, 1209.0][..], 20, 1),
            (&[941.0, 1477.0], 100, 1),
            (&[440.0], 500, 0),
            (&[697.0], 500, 0),
            (&[440.0, 660.0, 880.0], 500, 0),
        ] {
            let mut samples = sound(&[], 50);
            samples.extend(sound(tones, ms));
            samples.extend(sound(&[], 50));
            assert_eq!(Recording(samples).keys(), keys, "{tones:?} for {ms} ms");
        }
    }

    /// The shortest that a detector leaves, wherever the pieces are cut, each tone 6 dB below the other.
    #[test]
    fn of_a_remnant_of_13_ms_the_key_is_found() {
        for row in ROWS {
            for column in COLUMNS {
                for before in 50 * 8..50 * 8 + PIECE_EVERY {
                    let mut samples = vec![0; before];
                    samples.extend((0..13 * 8).map(|n| {
                        let at = TAU * n as f64 / RATE as f64;
                        let (row, column) = ((row * at).sin(), (column * at).sin());
                        (500.0 * row + 250.0 * column) as i16
                    }));
                    samples.extend([0; 400]);
                    assert_eq!(Recording(samples).keys(), 1, "{row} {column} {before}");
                }
            }
        }
    }

    #[tokio::test]
    async fn no_sentence_of_ours_is_a_key() {
        let sounds = crate::lab::root().join("asterisk-conf/sounds");
        let mut read = 0;
        for language in ["ja", "en"] {
            let folder = sounds.join(language).join("ivrpay");
            for file in std::fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                let recording = Recording::complete(&path).await.unwrap();
                // A telephone begins to record it anywhere: each cut of the pieces.
                for from in [0, 4] {
                    let cut = Recording(recording.0.get(from..).unwrap().to_vec());
                    assert_eq!(cut.keys(), 0, "{} from {from}", path.display());
                }
                read += 1;
            }
        }
        assert!(read > 400, "{read} sentences");
    }

    #[test]
    fn hums_are_found_with_their_pauses() {
        let mut samples = sound(&[HUM_HZ], 1_000);
        samples.extend(sound(&[], 2_000));
        samples.extend(sound(&[HUM_HZ], 500));
        let recording = Recording(samples);
        let ms = Duration::from_millis;
        assert_eq!(
            recording.hums(),
            [(ms(0), ms(1_000)), (ms(3_000), ms(3_500))]
        );
        assert!(recording.is_only_hum());
        let mut with_a_key = recording.0;
        with_a_key.extend(sound(&[], 100));
        with_a_key.extend(sound(&[770.0, 1336.0], 20));
        assert!(!Recording(with_a_key).is_only_hum());
    }
}
