//! G.711 µ-law, DTMF tones, voices, what was heard, and a WAV file of it.

use std::f64::consts::TAU;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
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

/// The hum of a caller who is never quiet, in Hz: far from every tone of a key (ITU-T Q.23).
pub(crate) const HUM_HZ: u32 = 440;
/// 16 dB below a key's tone: about -25 dBm0, a quiet voice.
const VOICE_PEAK: f64 = 1_250.0;

/// The µ-law sample of a voice of `hz`, a whole number, at `at` samples of our sound.
pub(crate) fn voice(hz: u32, at: u64) -> u8 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a second is enough, and after it the voice is the same again"
    )]
    let seconds = (at % RATE) as f64 / RATE as f64;
    #[expect(clippy::cast_possible_truncation, reason = "at most 1,250")]
    encode((VOICE_PEAK * (TAU * f64::from(hz) * seconds).sin()) as i16)
}

/// Power of one frequency (Goertzel): for a sine of this frequency N/2 times the energy of its N samples.
fn power(samples: &[i16], hz: f64) -> f64 {
    let k = 2.0 * (TAU * hz / 8000.0).cos();
    let (mut a, mut b) = (0.0, 0.0);
    for s in samples {
        (a, b) = (f64::from(*s) + k * a - b, a);
    }
    a * a + b * b - k * a * b
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
    voices: Vec<Voice>,
    began: Instant,
    /// When something was heard, or a key pressed, last.
    stirred: Instant,
    /// From one of these to the next one, where that was long.
    quiet: Vec<(Instant, Instant)>,
}

/// Shortest time without a sound that is told: pauses of speech are shorter.
const QUIET_MIN: Duration = Duration::from_secs(2);

/// Root mean square of a packet that counts as heard: about -47 dBm0. Idle lines and comfort noise are under it, speech is at -30 to -15.
const LOUD_RMS: i64 = 100;

/// Longest recording kept: 15 minutes.
const KEPT_MAX: usize = 15 * 60 * 8000;

impl Ear {
    /// `voices`: frequencies in Hz that are told apart.
    pub(crate) fn new(keep: bool, voices: &[u32], now: Instant) -> Self {
        Self {
            loud: 0,
            last_loud: None,
            kept: keep.then(Vec::new),
            voices: voices.iter().map(|hz| Voice::new(*hz)).collect(),
            began: now,
            stirred: now,
            quiet: Vec::new(),
        }
    }

    /// Something was heard, or a key was pressed: whoever keys waits for nothing.
    pub(crate) fn stir(&mut self, now: Instant) {
        let last = std::mem::replace(&mut self.stirred, now);
        if now.saturating_duration_since(last) >= QUIET_MIN && self.quiet.len() < STRETCHES_MAX {
            self.quiet.push((last, now));
        }
    }

    /// Takes one packet of PCMU.
    pub(crate) fn hear(&mut self, payload: &[u8], now: Instant) {
        if payload.is_empty() {
            return;
        }
        let decoded: Vec<i16> = payload.iter().map(|code| decode(*code)).collect();
        for voice in &mut self.voices {
            voice.hear(&decoded, now);
        }
        let energy: i64 = decoded.iter().map(|s| i64::from(*s).pow(2)).sum();
        let samples = payload.len() as u64;
        if energy > LOUD_RMS.pow(2) * i64::try_from(samples).unwrap_or(i64::MAX) {
            self.loud += samples;
            self.last_loud = Some(now);
            self.stir(now);
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
                kept.extend(decoded);
            }
        }
    }

    pub(crate) fn heard(&self) -> Duration {
        Duration::from_micros(self.loud * 1_000_000 / RATE)
    }

    /// The long times between these two in which nothing was heard and no key pressed.
    pub(crate) fn quiet(&self, from: Instant, to: Instant) -> Vec<(Instant, Instant)> {
        let last = (self.stirred, to);
        let all = self.quiet.iter().copied().chain([last]);
        all.map(|(begin, end)| (begin.max(from), end.min(to)))
            .filter(|(begin, end)| end.saturating_duration_since(*begin) >= QUIET_MIN)
            .collect()
    }

    pub(crate) fn last_loud(&self) -> Option<Instant> {
        self.last_loud
    }

    /// The voice of this frequency, when it is one that is told apart.
    pub(crate) fn voice(&self, hz: u32) -> Option<&Voice> {
        self.voices.iter().find(|voice| voice.hz == hz)
    }

    pub(crate) fn voices(&self) -> &[Voice] {
        &self.voices
    }

    /// What was heard, from the first moment on; `None` when it was not to be kept.
    pub(crate) fn into_samples(self) -> Option<Vec<i16>> {
        self.kept
    }
}

/// Where one voice was heard.
///
/// Judged by the packet: a voice is there when its frequency holds a third of the packet's energy, so that two voices that a bridge has
/// mixed are both found. A stretch counts from 200 ms on, which no vowel of a prompt and no key reaches so purely.
pub(crate) struct Voice {
    pub(crate) hz: u32,
    /// Begin and end, the last one perhaps not yet long enough.
    stretches: Vec<(Instant, Instant)>,
}

/// Shortest stretch of a voice that counts.
pub(crate) const VOICE_MIN: Duration = Duration::from_millis(200);
/// Longest pause inside a stretch: two lost packets.
const VOICE_GAP: Duration = Duration::from_millis(60);
const VOICE_SHARE: f64 = 0.33;
/// Least peak, 16 bit: 10 dB below [`VOICE_PEAK`].
const VOICE_PEAK_MIN: f64 = 400.0;
/// Stretches kept of one voice in one call.
const STRETCHES_MAX: usize = 10_000;

impl Voice {
    pub(crate) fn new(hz: u32) -> Self {
        Self {
            hz,
            stretches: Vec::new(),
        }
    }

    /// Takes one packet that came at `now`.
    fn hear(&mut self, samples: &[i16], now: Instant) {
        let energy: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
        let count = f64::from(u32::try_from(samples.len()).unwrap_or(u32::MAX));
        let power = power(samples, f64::from(self.hz));
        let loud = power >= (VOICE_PEAK_MIN * count / 2.0).powi(2);
        if !loud || power < VOICE_SHARE * energy * count / 2.0 {
            return;
        }
        let lasted = Duration::from_micros(samples.len() as u64 * 1_000_000 / RATE);
        let begins = now.checked_sub(lasted).unwrap_or(now);
        let full = self.stretches.len() >= STRETCHES_MAX;
        match self.stretches.last_mut() {
            Some((_, end)) if begins <= *end + VOICE_GAP => *end = now,
            Some(last) if last.1 - last.0 < VOICE_MIN => *last = (begins, now),
            _ if full => {}
            _ => self.stretches.push((begins, now)),
        }
    }

    /// For how long it has been heard without a pause since `from`; nothing where it is silent at `now`.
    pub(crate) fn heard_since(&self, from: Instant, now: Instant) -> Duration {
        match self.stretches.last() {
            Some((begin, end)) if *end + VOICE_GAP >= now => {
                end.saturating_duration_since((*begin).max(from))
            }
            _ => Duration::ZERO,
        }
    }

    /// The end of the last stretch that counts.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.counted().next_back().map(|(_, end)| *end)
    }

    fn counted(&self) -> impl DoubleEndedIterator<Item = &(Instant, Instant)> {
        self.stretches.iter().filter(|(a, b)| *b - *a >= VOICE_MIN)
    }

    /// The stretches in ms since `from`.
    pub(crate) fn in_ms(&self, from: Instant) -> Vec<(u64, u64)> {
        let ms = |at: Instant| millis(at.saturating_duration_since(from));
        self.counted().map(|(a, b)| (ms(*a), ms(*b))).collect()
    }
}

/// Whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Samples at 8 kHz in a time.
pub(crate) fn samples_in(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX / RATE) * RATE / 1_000_000
}

/// Writes a WAV file, over one that is there.
///
/// # Errors
/// What the file system brought.
pub(crate) fn save_wav(path: &Path, samples: &[i16]) -> io::Result<()> {
    write_wav(&mut File::create(path)?, samples)
}

/// Writes 16 bit mono at 8 kHz (RIFF).
///
/// # Errors
/// What writing brought.
fn write_wav(to: &mut impl Write, samples: &[i16]) -> io::Result<()> {
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
        let mut ear = Ear::new(false, &[], now);
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
    fn long_times_without_sound_are_told() {
        let began = Instant::now();
        let mut ear = Ear::new(false, &[], began);
        let at = |ms| began + Duration::from_millis(ms);
        let speech: Vec<u8> = (0..160)
            .map(|at| tone(Key::parse('5').unwrap(), at))
            .collect();
        for ms in [3_000, 4_900, 9_000] {
            ear.hear(&speech, at(ms));
            ear.hear(&[SILENCE; 160], at(ms + 20));
        }
        // From the answer, not from before it; the time to the end counts.
        let quiet = |from, to| ear.quiet(at(from), at(to));
        assert_eq!(
            quiet(500, 12_000),
            [
                (at(500), at(3_000)),
                (at(4_900), at(9_000)),
                (at(9_000), at(12_000))
            ]
        );
        assert_eq!(quiet(2_000, 9_500), [(at(4_900), at(9_000))]);
        ear.stir(at(10_500));
        assert_eq!(ear.quiet(at(9_000), at(12_400)), []);
    }

    /// What comes in 20 ms packets from `begin` ms on: the sum of these voices.
    fn speak(ear: &mut Ear, at: Instant, (begin, end): (u64, u64), voices: &[u32]) {
        for ms in (begin..end).step_by(20) {
            let sample = |n| {
                let sum = voices
                    .iter()
                    .map(|hz| i32::from(decode(voice(*hz, n))))
                    .sum::<i32>();
                encode(i16::try_from(sum).unwrap())
            };
            let packet: Vec<u8> = (ms * 8..ms * 8 + 160).map(sample).collect();
            ear.hear(&packet, at + Duration::from_millis(ms + 20));
        }
    }

    #[test]
    fn voices_are_told_apart_also_when_they_are_mixed() {
        let at = Instant::now();
        let mut ear = Ear::new(false, &[440, 1000], at);
        speak(&mut ear, at, (0, 1000), &[1000]);
        // Two lost packets are no pause.
        speak(&mut ear, at, (1040, 2000), &[1000]);
        speak(&mut ear, at, (2000, 3000), &[440, 1000]);
        speak(&mut ear, at, (5000, 5500), &[440]);
        // Too short, and another voice.
        speak(&mut ear, at, (6000, 6100), &[1000]);
        speak(&mut ear, at, (7000, 8000), &[800]);
        let heard = |hz| ear.voice(hz).unwrap().in_ms(at);
        assert_eq!(heard(1000), [(0, 3000)]);
        assert_eq!(heard(440), [(2000, 3000), (5000, 5500)]);
        let ms = |n| at + Duration::from_millis(n);
        let voice = ear.voice(1000).unwrap();
        assert_eq!(voice.last(), Some(ms(3000)));
        assert_eq!(
            voice.heard_since(ms(5900), ms(6100)),
            Duration::from_millis(100)
        );
        assert_eq!(voice.heard_since(ms(5900), ms(6300)), Duration::ZERO);
        assert!(ear.voice(700).is_none());
    }

    #[test]
    fn neither_keys_nor_silence_are_a_voice() {
        let at = Instant::now();
        let mut ear = Ear::new(false, &[440, 500, 1000, 2000], at);
        for (n, sign) in (0..).zip("0123456789*#ABCD".chars()) {
            let key = Key::parse(sign).unwrap();
            for ms in (0..400).step_by(20) {
                let packet: Vec<u8> = (ms * 8..ms * 8 + 160).map(|at| tone(key, at)).collect();
                ear.hear(&packet, at + Duration::from_millis(n * 1000 + ms));
            }
        }
        ear.hear(&[SILENCE; 160], at);
        assert!(ear.voices().iter().all(|voice| voice.last().is_none()));
    }

    #[test]
    fn a_recording_keeps_the_gaps() {
        let now = Instant::now();
        let mut ear = Ear::new(true, &[], now);
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
