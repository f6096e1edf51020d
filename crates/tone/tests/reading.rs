//! Files of every kind that is read, cut off, broken, and still being written.

mod made;

use std::io::{self, Read};

use audio_codec_algorithms::{encode_alaw, encode_ulaw};
use ivrpay_tone::{CHANNELS_MAX, Raw, Recording, RecordingError};
use made::{Press, Random, Sound};

const KEYS: &str = "159#";

/// [`KEYS`], a little noise.
fn keyed(rate: u32) -> Vec<i16> {
    let mut sound = Sound::new(rate);
    for sign in KEYS.chars() {
        sound.silence(80.0).press(&Press::plain(sign, 80.0));
    }
    sound.silence(80.0).noise(-45.0, &mut Random(1)).pcm()
}

fn quiet(len: usize) -> Vec<i16> {
    (0..len).map(|n| (n % 7) as i16 - 3).collect()
}

/// Channels after one another in each frame.
fn interleaved(channels: &[&[i16]]) -> Vec<i16> {
    (0..channels[0].len())
        .flat_map(|n| channels.iter().map(move |c| c[n]))
        .collect()
}

#[derive(Clone, Copy, Debug)]
enum Coding {
    U8,
    S16,
    S24,
    S32,
    F32,
    F64,
    ALaw,
    MuLaw,
}
use Coding::{ALaw, F32, F64, MuLaw, S16, S24, S32, U8};

fn coded(samples: &[i16], coding: Coding) -> Vec<u8> {
    let unit = |s: i16| f64::from(s) / 32_768.0;
    samples
        .iter()
        .flat_map(|s| match coding {
            U8 => vec![(s / 256 + 128) as u8],
            S16 => s.to_le_bytes().to_vec(),
            S24 => [&[0x55][..], &s.to_le_bytes()].concat(),
            S32 => [&[0x55, 0xaa][..], &s.to_le_bytes()].concat(),
            F32 => (unit(*s) as f32).to_le_bytes().to_vec(),
            F64 => unit(*s).to_le_bytes().to_vec(),
            ALaw => vec![encode_alaw(*s)],
            MuLaw => vec![encode_ulaw(*s)],
        })
        .collect()
}

/// A chunk of a RIFF file, whose header may say another size than it has.
fn chunk(id: &[u8; 4], bytes: &[u8], size: u32) -> Vec<u8> {
    let pad = &[0][..bytes.len() % 2];
    [id, &size.to_le_bytes()[..], bytes, pad].concat()
}

fn format(tag: u16, channels: u16, rate: u32, bytes: u16) -> Vec<u8> {
    let align = bytes * channels;
    let mut out = [tag, channels].map(u16::to_le_bytes).concat();
    out.extend(rate.to_le_bytes());
    out.extend((rate * u32::from(align)).to_le_bytes());
    out.extend([align, bytes * 8].map(u16::to_le_bytes).concat());
    out
}

fn format_of(coding: Coding, channels: u16, rate: u32) -> Vec<u8> {
    let (tag, bytes) = match coding {
        U8 => (1, 1),
        S16 => (1, 2),
        S24 => (1, 3),
        S32 => (1, 4),
        F32 => (3, 4),
        F64 => (3, 8),
        ALaw => (6, 1),
        MuLaw => (7, 1),
    };
    format(tag, channels, rate, bytes)
}

fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    [
        b"RIFF",
        &(body.len() as u32 + 4).to_le_bytes()[..],
        b"WAVE",
        &body,
    ]
    .concat()
}

fn wav(format: &[u8], data: &[u8]) -> Vec<u8> {
    riff(&[
        chunk(b"fmt ", format, format.len() as u32),
        chunk(b"data", data, data.len() as u32),
    ])
}

/// Keys of each channel, and the length in samples.
fn read(bytes: &[u8], raw: Option<Raw>) -> Result<(Vec<String>, u64), RecordingError> {
    let recording = Recording::open(bytes, raw)?;
    let mut keys = vec![String::new(); usize::from(recording.channels())];
    let len = recording.listen(|channel, tone| {
        keys[usize::from(channel)].push(char::from(tone.key.expose()));
    })?;
    Ok((keys, len))
}

#[track_caller]
fn check(what: &str, bytes: &[u8], raw: Option<Raw>, expected: &[&str], len: usize) {
    let (keys, frames) = read(bytes, raw).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(keys, expected, "{what}");
    assert_eq!(frames, len as u64, "{what}");
}

#[test]
fn every_encoding_rate_and_number_of_channels() {
    for coding in [U8, S16, S24, S32, F32, F64, ALaw, MuLaw] {
        for rate in [8000, 11_025, 16_000, 44_100, 48_000] {
            let keyed = keyed(rate);
            let quiet = quiet(keyed.len());
            for (channels, expected) in [
                (&[&keyed][..], &[KEYS][..]),
                (&[&quiet, &keyed], &["", KEYS]),
                (&[&keyed, &quiet, &keyed], &[KEYS, "", KEYS]),
            ] {
                let samples: Vec<&[i16]> = channels.iter().map(|c| c.as_slice()).collect();
                let data = coded(&interleaved(&samples), coding);
                let format = format_of(coding, channels.len() as u16, rate);
                check(
                    &format!("{coding:?}, {rate} Hz, {} channels", channels.len()),
                    &wav(&format, &data),
                    None,
                    expected,
                    keyed.len(),
                );
            }
        }
    }
}

#[test]
fn headerless_files_by_their_names() {
    for (names, coding, rate) in [
        (&["ulaw", "ul", "mu", "ulw", "pcm", "ULAW"][..], MuLaw, 8000),
        (&["alaw", "al", "alw"], ALaw, 8000),
        (&["sln", "raw"], S16, 8000),
        (&["sln12"], S16, 12_000),
        (&["sln16"], S16, 16_000),
        (&["sln24"], S16, 24_000),
        (&["sln32"], S16, 32_000),
        (&["sln44"], S16, 44_100),
        (&["sln48"], S16, 48_000),
        (&["sln96"], S16, 96_000),
        (&["sln192"], S16, 192_000),
    ] {
        let keyed = keyed(rate);
        let bytes = coded(&keyed, coding);
        for name in names {
            check(
                name,
                &bytes,
                Some(Raw::named(name).unwrap()),
                &[KEYS],
                keyed.len(),
            );
        }
    }
    // A WAV file under a wrong name is one all the same.
    let keyed = keyed(8000);
    check(
        "wav as sln",
        &wav(&format_of(S16, 1, 8000), &coded(&keyed, S16)),
        Raw::named("sln"),
        &[KEYS],
        keyed.len(),
    );
    for name in ["", "wav", "mp3", "gsm", "g729", "txt", "sln11"] {
        assert_eq!(Raw::named(name), None, "{name}");
    }
}

#[test]
fn headers_that_are_unusual_or_wrong() {
    let keyed = keyed(8000);
    let n = keyed.len();
    let data = coded(&keyed, S16);
    let plain = format_of(S16, 1, 8000);
    let fmt = chunk(b"fmt ", &plain, 16);
    let size = data.len() as u32;
    let extensible = {
        let mut format = format(0xfffe, 1, 8000, 2);
        format.extend([22, 0, 16, 0, 4, 0, 0, 0]);
        format.extend(*b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71");
        format
    };
    let twenty_bits = {
        let mut format = format(1, 1, 8000, 3);
        format[14] = 20;
        format
    };
    let list = chunk(b"LIST", b"odd", 3);
    let half = data.len() / 2;
    for (what, bytes) in [
        ("extensible", wav(&extensible, &data)),
        ("20 bits in 3 bytes", wav(&twenty_bits, &coded(&keyed, S24))),
        (
            "other chunks before",
            riff(&[
                list.clone(),
                fmt.clone(),
                list.clone(),
                chunk(b"data", &data, size),
            ]),
        ),
        (
            "other chunks behind",
            riff(&[fmt.clone(), chunk(b"data", &data, size), list.clone()]),
        ),
        (
            "size 0: still being written",
            riff(&[fmt.clone(), chunk(b"data", &data, 0)]),
        ),
        (
            "size -1",
            riff(&[fmt.clone(), chunk(b"data", &data, u32::MAX)]),
        ),
        (
            "more promised than there is",
            riff(&[fmt.clone(), chunk(b"data", &data, size * 2)]),
        ),
        (
            "a size of before",
            riff(&[fmt.clone(), chunk(b"data", &data, half as u32)]),
        ),
        (
            "sound in two chunks",
            riff(&[
                fmt.clone(),
                chunk(b"data", &data[..half], half as u32),
                list.clone(),
                chunk(b"data", &data[half..], size - half as u32),
            ]),
        ),
        (
            "half a sample at the end",
            wav(&plain, &[&data[..], &[1]].concat()),
        ),
    ] {
        check(what, &bytes, None, &[KEYS], n);
    }
    // RF64 has its sizes elsewhere.
    let mut rf64 = riff(&[
        chunk(b"ds64", &[0; 28], 28),
        fmt,
        chunk(b"data", &data, u32::MAX),
    ]);
    rf64[..4].copy_from_slice(b"RF64");
    check("RF64", &rf64, None, &[KEYS], n);
}

#[test]
fn what_is_no_recording_is_told() {
    let data = [0; 64];
    let silence = wav(&format_of(S16, 1, 8000), &data);
    let mut no_format = riff(&[chunk(b"data", &data, 64)]);
    for (what, bytes, expected) in [
        ("empty", Vec::new(), "is empty"),
        (
            "text",
            b"[general]\nenabled=yes\n".to_vec(),
            "is no recording of a kind that can be read",
        ),
        (
            "short text",
            b"RIFF".to_vec(),
            "is no recording of a kind that can be read",
        ),
        (
            "mp3",
            b"ID3\x04\0\0\0\0\0\0\0\0\0\0".to_vec(),
            "is no recording of a kind that can be read",
        ),
        (
            "header alone",
            silence[..12].to_vec(),
            "has a broken header: it ends before the sound begins",
        ),
        (
            "cut in the format",
            silence[..30].to_vec(),
            "has a broken header: its format is cut off",
        ),
        (
            "no format",
            std::mem::take(&mut no_format),
            "has a broken header: the sound comes before its format",
        ),
        (
            "a format too short",
            riff(&[chunk(b"fmt ", &[0; 8], 8)]),
            "has a broken header: its format has no sensible size",
        ),
        (
            "a format too long",
            riff(&[chunk(b"fmt ", &[0; 8], u32::MAX)]),
            "has a broken header: its format has no sensible size",
        ),
        (
            "no channel",
            wav(&format(1, 0, 8000, 2), &data),
            "has a broken header: it has no channel",
        ),
        (
            "PCM in 5 bytes",
            wav(&format(1, 1, 8000, 5), &data),
            "has a broken header: its samples have a size that its kind has not",
        ),
        (
            "too many channels",
            wav(&format(1, CHANNELS_MAX + 1, 8000, 1), &data),
            "has 33 channels; 32 can be listened to",
        ),
        (
            "too slow",
            wav(&format(1, 1, 4000, 2), &data),
            "4000 samples a second; 8,000 to 192,000 can be read",
        ),
        (
            "too fast",
            wav(&format(1, 1, 1_000_000, 2), &data),
            "1000000 samples a second; 8,000 to 192,000 can be read",
        ),
        (
            "wav49",
            wav(&format(0x31, 1, 8000, 0), &data),
            "is compressed (GSM, Asterisk's wav49, WAV format 0x0031)",
        ),
        (
            "ADPCM",
            wav(&format(0x11, 1, 8000, 1), &data),
            "is compressed (ADPCM, WAV format 0x0011)",
        ),
        (
            "unheard-of",
            wav(&format(0x1234, 1, 8000, 1), &data),
            "is compressed (unknown, WAV format 0x1234)",
        ),
    ] {
        match read(&bytes, None) {
            Ok(_) => panic!("{what}: read"),
            Err(error) => {
                assert_eq!(error.to_string(), expected, "{what}");
                assert!(!error.hint().is_empty());
            }
        }
    }
    check("no sound yet", &silence[..44], None, &[""], 0);
}

/// Gives a few bytes at a time, is interrupted in between, and may break in the end.
struct Slow<'a> {
    bytes: &'a [u8],
    turn: usize,
    breaks: bool,
}

impl Read for Slow<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        if self.turn.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.bytes.is_empty() && self.breaks {
            return Err(io::Error::other("the disk is gone"));
        }
        let n = to.len().min(self.turn % 11 + 1).min(self.bytes.len());
        let (now, rest) = self.bytes.split_at(n);
        to[..n].copy_from_slice(now);
        self.bytes = rest;
        Ok(n)
    }
}

#[test]
fn a_reader_may_be_slow_or_break() {
    let keyed = keyed(8000);
    let stereo = coded(&interleaved(&[&keyed, &keyed]), S24);
    let bytes = wav(&format_of(S24, 2, 8000), &stereo);
    for breaks in [false, true] {
        let recording = Recording::open(
            Slow {
                bytes: &bytes,
                turn: 0,
                breaks,
            },
            None,
        )
        .unwrap();
        let mut keys = [String::new(), String::new()];
        let end = recording.listen(|channel, tone| {
            keys[usize::from(channel)].push(char::from(tone.key.expose()));
        });
        assert_eq!(keys, [KEYS, KEYS]);
        match end {
            Ok(len) => assert!(!breaks && len == keyed.len() as u64),
            Err(error) => assert!(breaks && error.to_string() == "can't be read: the disk is gone"),
        }
    }
}

proptest::proptest! {
    /// Any bytes, also behind the beginning of a WAV file: an answer, no panic.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000), headed: bool, name in 0_usize..4) {
        let bytes = if headed { [b"RIFF\0\0\0\0WAVE", &bytes[..]].concat() } else { bytes };
        let raw = ["ulaw", "alaw", "sln", "sln48"].map(Raw::named)[name];
        if let Ok((_, len)) = read(&bytes, raw) {
            proptest::prop_assert!(len <= bytes.len() as u64);
        }
    }
}
