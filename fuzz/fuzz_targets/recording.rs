//! Any file gives its keys in order and within its length, or an error; no more samples than bytes.
//!
//! The first byte chooses the name: a WAV file of which only the beginning is right, or one without a header.
#![no_main]

use ivrpay_tone::{Raw, Recording};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 6] = ["ulaw", "alaw", "sln", "sln16", "sln44", "sln192"];

fuzz_target!(|input: &[u8]| {
    let [how, rest @ ..] = input else { return };
    let headed;
    let bytes = if how & 1 == 0 {
        headed = [b"RIFF\0\0\0\0WAVE", rest].concat();
        &headed
    } else {
        rest
    };
    let raw = NAMES.get(usize::from(how >> 1)).and_then(|name| Raw::named(name));
    let Ok(recording) = Recording::open(bytes, raw) else { return };
    let (rate, channels) = (u64::from(recording.rate()), recording.channels());
    let mut ends = vec![0; usize::from(channels)];
    let frames = recording
        .listen(|channel, tone| {
            let last = &mut ends[usize::from(channel)];
            assert!(*last <= tone.start && tone.start < tone.end);
            *last = tone.end;
        })
        .expect("memory can be read");
    assert!(frames * u64::from(channels) <= bytes.len() as u64);
    assert!(ends.iter().all(|end| *end <= frames + rate / 100));
});
