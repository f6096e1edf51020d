//! G.711 µ-law, DTMF tones, what was heard, and a WAV file of it.

use std::f64::consts::TAU;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::script::Key;

/// Samples a second of everything here (RTP clock of PCMU, RFC 3551 table 4).
pub(crate) const RATE: u64 = 8000;

/// µ-law silence: positive zero.
pub(crate) const SILENCE: u8 = 0xff;

/// Peak of each of the two tones, 16 bit: -9 dBm0, where a sine of full scale (32,124) is +3.17 dBm0 (ITU-T G.711).
const TONE_PEAK: f64 = 7_913.0;

const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];

/// The two frequencies of a key in Hz (ITU-T Q.23).
pub(crate) fn frequencies(key: Key) -> (f64, f64) {
    let (row, column) = match key.event() {
        0 => (3, 1),
        10 => (3, 0),
        11 => (3, 2),
        event @ 1..=9 => (usize::from(event - 1) / 3, usize::from(event - 1) % 3),
        event => (usize::from(event - 12) & 3, 3),
    };
    (ROWS[row], COLUMNS[column])
}

/// The µ-law sample `at` samples after the tone of `key` began.
pub(crate) fn tone(key: Key, at: u64) -> u8 {
    let (row, column) = frequencies(key);
    #[expect(
        clippy::cast_precision_loss,
        reason = "a tone is some thousand samples"
    )]
    let seconds = at as f64 / RATE as f64;
    let sample = TONE_PEAK * ((TAU * row * seconds).sin() + (TAU * column * seconds).sin());
    #[expect(clippy::cast_possible_truncation, reason = "at most 2 x 7,913")]
    encode(sample as i16)
}

/// The hum of a caller who is never quiet: 440 Hz, which is far from every tone of a key (ITU-T Q.23).
const HUM_HZ: f64 = 440.0;
/// 16 dB below a key's tone: about -25 dBm0, a quiet voice.
const HUM_PEAK: f64 = 1_250.0;

/// The µ-law sample of the hum at `at` samples of our sound.
pub(crate) fn hum(at: u64) -> u8 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a second is enough, and after it the hum is the same again"
    )]
    let seconds = (at % RATE) as f64 / RATE as f64;
    #[expect(clippy::cast_possible_truncation, reason = "at most 1,250")]
    encode((HUM_PEAK * (TAU * HUM_HZ * seconds).sin()) as i16)
}

/// ITU-T G.711: 16 bit to µ-law.
pub(crate) fn encode(sample: i16) -> u8 {
    const BIAS: i32 = 0x84;
    const CLIP: i32 = 32_635;
    let sign = if sample < 0 { 0x80_u8 } else { 0 };
    let magnitude = i32::from(sample).abs().min(CLIP) + BIAS;
    // BIAS sets bit 7 or a higher one, so that the segment is 0 to 7.
    let segment = (24 - magnitude.leading_zeros()).min(7);
    let mantissa = (magnitude >> (segment + 3)) & 0x0f;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "7 bits"
    )]
    let code = ((segment as i32) << 4 | mantissa) as u8;
    !(sign | code)
}

/// ITU-T G.711: µ-law to 16 bit.
pub(crate) fn decode(code: u8) -> i16 {
    let code = !code;
    let magnitude = ((i16::from(code & 0x0f) << 3) + 0x84) << ((code >> 4) & 7);
    if code & 0x80 == 0 {
        magnitude - 0x84
    } else {
        0x84 - magnitude
    }
}

/// What the caller heard: how much of it was louder than a quiet line, and optionally all of it.
pub(crate) struct Ear {
    /// Loud samples so far.
    loud: u64,
    last_loud: Option<Instant>,
    kept: Option<Vec<i16>>,
    began: Instant,
}

/// Root mean square of a packet that counts as heard: about -47 dBm0. Idle lines and comfort noise are under it, speech is at -30 to -15.
const LOUD_RMS: i64 = 100;

/// Longest recording kept: 15 minutes.
const KEPT_MAX: usize = 15 * 60 * 8000;

impl Ear {
    pub(crate) fn new(keep: bool, now: Instant) -> Self {
        Self {
            loud: 0,
            last_loud: None,
            kept: keep.then(Vec::new),
            began: now,
        }
    }

    /// Takes one packet of PCMU.
    pub(crate) fn hear(&mut self, payload: &[u8], now: Instant) {
        if payload.is_empty() {
            return;
        }
        let energy: i64 = payload
            .iter()
            .map(|code| i64::from(decode(*code)).pow(2))
            .sum();
        let samples = payload.len() as u64;
        if energy > LOUD_RMS.pow(2) * i64::try_from(samples).unwrap_or(i64::MAX) {
            self.loud += samples;
            self.last_loud = Some(now);
        }
        if let Some(kept) = &mut self.kept {
            // Asterisk sends nothing when it plays nothing: a gap over 60 ms is written as silence.
            let due = usize::try_from(samples_in(now.saturating_duration_since(self.began)))
                .unwrap_or(KEPT_MAX)
                .min(KEPT_MAX);
            if due > kept.len() + 480 {
                kept.resize(due, 0);
            }
            if kept.len() < KEPT_MAX {
                kept.extend(payload.iter().map(|code| decode(*code)));
            }
        }
    }

    pub(crate) fn heard(&self) -> Duration {
        Duration::from_micros(self.loud * 1_000_000 / RATE)
    }

    pub(crate) fn last_loud(&self) -> Option<Instant> {
        self.last_loud
    }

    /// What was heard, from the first moment on; `None` when it was not to be kept.
    pub(crate) fn into_samples(self) -> Option<Vec<i16>> {
        self.kept
    }
}

/// Samples at 8 kHz in a time.
pub(crate) fn samples_in(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX / RATE) * RATE / 1_000_000
}

/// Writes 16 bit mono at 8 kHz (RIFF).
///
/// # Errors
/// What writing brought.
pub(crate) fn write_wav(to: &mut impl Write, samples: &[i16]) -> io::Result<()> {
    let bytes = u32::try_from(samples.len() * 2).map_err(io::Error::other)?;
    let mut out = Vec::with_capacity(44 + samples.len() * 2);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&(36 + bytes).to_le_bytes());
    // Format 1 (PCM), 1 channel, 8,000 samples and 16,000 bytes a second, 2 bytes a sample.
    out.extend_from_slice(
        b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data",
    );
    out.extend_from_slice(&bytes.to_le_bytes());
    out.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
    to.write_all(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mu_law_is_its_own_inverse() {
        for code in 0..=255_u8 {
            // 0x7f is negative zero, which encodes as positive zero.
            let expected = if code == 0x7f { 0xff } else { code };
            assert_eq!(encode(decode(code)), expected, "{code:#x}");
        }
        assert_eq!(decode(SILENCE), 0);
        assert_eq!(decode(0x80), 32_124);
        assert_eq!(encode(i16::MIN), 0x00);
    }

    /// Power of one frequency in a piece (Goertzel).
    fn power(samples: &[i16], hz: f64) -> f64 {
        let k = 2.0 * (TAU * hz / 8000.0).cos();
        let (mut a, mut b) = (0.0, 0.0);
        for s in samples {
            (a, b) = (f64::from(*s) + k * a - b, a);
        }
        a * a + b * b - k * a * b
    }

    #[test]
    fn each_key_has_its_two_tones_and_no_other() {
        for sign in "0123456789*#ABCD".chars() {
            let key = Key::parse(sign).unwrap();
            let samples: Vec<i16> = (0..800).map(|at| decode(tone(key, at))).collect();
            let loudest = |from: [f64; 4]| {
                from.into_iter()
                    .max_by(|a, b| power(&samples, *a).total_cmp(&power(&samples, *b)))
                    .unwrap()
            };
            let keypad = ["123A", "456B", "789C", "*0#D"];
            let row = keypad.iter().position(|r| r.contains(sign)).unwrap();
            let column = keypad[row].find(sign).unwrap();
            assert_eq!(
                (loudest(ROWS), loudest(COLUMNS)),
                (ROWS[row], COLUMNS[column]),
                "{sign}"
            );
            // -9 dBm0 each: a sum of -6 dBm0; 0 dBm0 is an RMS of 15,760 (32,124 / sqrt 2 at +3.17 dBm0).
            let rms = (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 800.0).sqrt();
            let level = 20.0 * (rms / 15_760.0).log10();
            assert!((level + 6.0).abs() < 0.3, "{sign}: {level} dBm0");
        }
    }

    #[test]
    fn hears_speech_and_not_a_quiet_line() {
        let now = Instant::now();
        let mut ear = Ear::new(false, now);
        ear.hear(&[SILENCE; 160], now);
        ear.hear(&[encode(8), encode(-8)].repeat(80), now);
        assert_eq!((ear.heard(), ear.last_loud()), (Duration::ZERO, None));
        let speech: Vec<u8> = (0..160)
            .map(|at| tone(Key::parse('5').unwrap(), at))
            .collect();
        ear.hear(&speech, now);
        assert_eq!(ear.heard(), Duration::from_millis(20));
        assert_eq!(ear.last_loud(), Some(now));
    }

    #[test]
    fn a_recording_keeps_the_gaps() {
        let now = Instant::now();
        let mut ear = Ear::new(true, now);
        ear.hear(&[0x80; 160], now + Duration::from_millis(20));
        ear.hear(&[0x80; 160], now + Duration::from_millis(1000));
        let samples = ear.into_samples().unwrap();
        assert_eq!(
            (samples.len(), samples[0], samples[500], samples[8000]),
            (8160, 32_124, 0, 32_124)
        );
        let mut wav = Vec::new();
        write_wav(&mut wav, &samples).unwrap();
        assert_eq!(
            (wav.len(), &wav[..4], &wav[36..40]),
            (44 + 16_320, &b"RIFF"[..], &b"data"[..])
        );
    }
}
