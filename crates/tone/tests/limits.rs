//! The detector against the limits of crates/tone/src/lib.rs, on made tones. `examples/measure.rs` does the same at full count.

mod made;

use std::f64::consts::TAU;

use ivrpay_tone::{Detector, RateError};
use made::{Heard, KEYPAD, Press, Random, Sound, hear};

/// One press among silence, in white noise `snr` dB below it. The beginning is at `lead_ms`.
fn one(press: &Press, rate: u32, lead_ms: f64, snr: f64, random: &mut Random) -> Heard {
    let mut sound = Sound::new(rate);
    sound.silence(lead_ms).press(press).silence(50.0);
    sound.noise(press.level() - snr, random);
    hear(rate, &sound.pcm())
}

fn any(random: &mut Random) -> Press {
    Press {
        key: random.below(16),
        phase: (random.within(0.0, TAU), random.within(0.0, TAU)),
        dbm0: -15.0,
        ..Press::plain('0', 40.0)
    }
}

/// 40 ms of tone, 30 ms of pause, the same key three times: every key, every place of it in a block of 102 samples, at the
/// corners of level, twist and frequency.
#[test]
fn what_must_be_accepted_is() {
    let mut random = Random(1);
    let corners: Vec<(f64, f64, (f64, f64))> = [-33.0, -3.0]
        .into_iter()
        .flat_map(|level| [-8.0, 6.0].map(|twist| (level, twist)))
        .flat_map(|(level, twist)| {
            [
                (-0.018, -0.018),
                (0.018, -0.018),
                (-0.018, 0.018),
                (0.018, 0.018),
            ]
            .map(|off| (level, twist, off))
        })
        .collect();
    for key in 0..16 {
        for phase in 0..102_u32 {
            let (level, twist, off) = corners[random.below(corners.len())];
            // The level is that of the weaker group at the bottom, of the stronger at the top.
            let dbm0 = if level < -20.0 {
                level - f64::min(twist, 0.0)
            } else {
                level - f64::max(twist, 0.0)
            };
            let press = Press {
                key,
                dbm0,
                twist,
                off,
                ..any(&mut random)
            };
            let mut sound = Sound::new(8000);
            sound.silence(20.0 + f64::from(phase) / 8.0);
            for _ in 0..3 {
                sound.press(&press).silence(30.0);
            }
            let heard = hear(8000, &sound.pcm());
            assert_eq!(
                (heard.decoded, heard.like),
                (String::from(press.sign()).repeat(3), String::new()),
                "phase {phase}, {level} dBm0, twist {twist} dB, off {off:?}"
            );
        }
    }
}

#[test]
fn what_must_be_refused_is_but_is_found_by_the_search() {
    let mut random = Random(2);
    let (mut found, mut sent) = (0, 0);
    for (on_ms, off) in [
        (100.0, (0.035, 0.0)),
        (100.0, (-0.035, 0.0)),
        (100.0, (0.0, 0.035)),
        (100.0, (0.0, -0.035)),
        (100.0, (0.035, 0.035)),
        (19.9, (0.0, 0.0)),
        (19.9, (0.018, -0.018)),
        (15.0, (0.0, 0.0)),
    ] {
        for key in 0..16 {
            for twist in [-8.0, 0.0, 6.0] {
                for snr in [15.0, 50.0] {
                    let press = Press {
                        key,
                        on_ms,
                        off,
                        twist,
                        ..any(&mut random)
                    };
                    let lead = random.within(40.0, 60.0);
                    let heard = one(&press, 8000, lead, snr, &mut random);
                    assert_eq!(
                        heard.decoded, "",
                        "{on_ms} ms, off {off:?}, {twist} dB, SNR {snr}"
                    );
                    sent += 1;
                    found += usize::from(heard.like.contains(press.sign()));
                }
            }
        }
    }
    println!("refused: {sent} sent, 0 decoded, {found} found by the search");
    assert!(found * 100 >= sent * 95, "{found} of {sent} found");
}

/// Random tones over the whole allowed range, in noise. Goal: at most 0.2 % missed.
#[test]
fn random_tones_in_noise_are_decoded() {
    let mut random = Random(3);
    let (n, mut missed, mut wrong) = (4000, 0, 0);
    for _ in 0..n {
        let press = Press {
            dbm0: random.within(-25.0, -12.0),
            twist: random.within(-8.0, 6.0),
            off: (random.within(-0.018, 0.018), random.within(-0.018, 0.018)),
            ..any(&mut random)
        };
        let (lead, snr) = (random.within(30.0, 45.0), random.within(15.0, 40.0));
        let heard = one(&press, 8000, lead, snr, &mut random);
        missed += usize::from(!heard.decoded.contains(press.sign()));
        wrong += usize::from(
            heard.decoded.chars().any(|sign| sign != press.sign()) || heard.decoded.len() > 1,
        );
    }
    println!("random: {n} tones of 40 ms, SNR 15 to 40: {missed} missed, {wrong} wrong");
    assert!(missed * 500 <= n, "{missed} of {n} missed");
    assert_eq!(wrong, 0);
}

#[test]
fn a_drop_out_does_not_end_a_key_and_a_pause_does() {
    let mut random = Random(4);
    for (gap_ms, keys) in [(5.0, 1), (10.0, 1), (15.0, 1), (30.0, 2), (50.0, 2)] {
        for key in 0..16 {
            for snr in [15.0, 50.0] {
                let press = Press {
                    key,
                    on_ms: 50.0,
                    ..any(&mut random)
                };
                let mut sound = Sound::new(8000);
                sound
                    .silence(random.within(30.0, 40.0))
                    .press(&press)
                    .silence(gap_ms);
                sound
                    .press(&Press {
                        key,
                        on_ms: 50.0,
                        ..any(&mut random)
                    })
                    .silence(50.0);
                sound.noise(press.level() - snr, &mut random);
                let heard = hear(8000, &sound.pcm());
                assert_eq!(
                    heard.decoded,
                    String::from(press.sign()).repeat(keys),
                    "{gap_ms} ms, SNR {snr}"
                );
            }
        }
    }
}

/// Every rate that a recording may have gives the same keys at the same times.
#[test]
fn every_rate() {
    let mut random = Random(5);
    for rate in [
        8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000,
    ] {
        let mut sound = Sound::new(rate);
        let mut begins = Vec::new();
        for key in 0..16 {
            sound.silence(60.0);
            begins.push(sound.samples.len() as u64);
            let off = (random.within(-0.018, 0.018), random.within(-0.018, 0.018));
            sound.press(&Press {
                key,
                on_ms: 60.0,
                off,
                ..any(&mut random)
            });
        }
        sound.silence(5.0).noise(-40.0, &mut random);
        let heard = hear(rate, &sound.pcm());
        assert_eq!(
            (heard.decoded.as_str(), heard.like.as_str()),
            (KEYPAD, ""),
            "{rate} Hz"
        );
        let exact = u64::from(rate) * 5 / 1000;
        for (begin, (start, end)) in begins.iter().zip(&heard.spans) {
            let stop = begin + u64::from(rate) * 60 / 1000;
            assert!(
                start.abs_diff(*begin) <= exact && end.abs_diff(stop) <= exact,
                "{rate} Hz"
            );
        }
    }
    for rate in [0, 7999, 192_001, u32::MAX] {
        assert_eq!(Detector::new(rate).err(), Some(RateError(rate)));
    }
}

/// What is left of keys that somebody muted late, or never meant for a receiver.
#[test]
fn the_search_finds_what_a_receiver_refuses() {
    let mut random = Random(6);
    for (what, press, snr, least) in [
        ("6 ms in silence", Press::plain('0', 6.0), 30.0, 98),
        (
            "13.4 ms, as Asterisk leaves",
            Press::plain('0', 13.4),
            20.0,
            98,
        ),
        ("20 ms", Press::plain('0', 20.0), 10.0, 98),
        (
            "12 dB high",
            Press {
                twist: 12.0,
                dbm0: -20.0,
                ..Press::plain('0', 50.0)
            },
            20.0,
            98,
        ),
        (
            "12 dB low",
            Press {
                twist: -12.0,
                ..Press::plain('0', 50.0)
            },
            20.0,
            98,
        ),
        (
            "4 % off",
            Press {
                off: (0.04, -0.04),
                ..Press::plain('0', 50.0)
            },
            20.0,
            80,
        ),
        (
            "-45 dBm0",
            Press {
                dbm0: -45.0,
                ..Press::plain('0', 50.0)
            },
            20.0,
            98,
        ),
        ("noise", Press::plain('0', 60.0), 5.0, 95),
    ] {
        let mut found = 0;
        for n in 0..200 {
            let press = Press {
                key: n % 16,
                phase: any(&mut random).phase,
                ..press
            };
            let heard = one(&press, 8000, random.within(40.0, 60.0), snr, &mut random);
            found += usize::from(format!("{}{}", heard.decoded, heard.like).contains(press.sign()));
        }
        println!("search: {what}, SNR {snr}: {} % found", found / 2);
        assert!(found / 2 >= least, "{what}: {} %", found / 2);
    }
}

#[test]
fn a_held_key_is_one_and_the_first_and_last_samples_count() {
    let mut sound = Sound::new(8000);
    sound.press(&Press::plain('5', 10_000.0));
    let heard = hear(8000, &sound.pcm());
    assert_eq!(heard.decoded, "5");
    assert!(heard.spans[0].0 <= 40 && heard.spans[0].1.abs_diff(80_000) <= 40);
    for samples in [&[][..], &[0; 8000], &[i16::MAX; 8000], &[i16::MIN; 8000]] {
        assert!(
            hear(8000, samples).spans.is_empty(),
            "silence and a constant are no keys"
        );
    }
}

proptest::proptest! {
    /// Any samples: no panic, and keys follow one another within the sound.
    #[test]
    fn keys_are_in_order_and_within(
        samples in proptest::collection::vec(proptest::num::i16::ANY, 0..4000),
        key in 0_usize..16, at in 0_usize..4000, dbm0 in -50.0..3.0_f64, rate in 8000_u32..=192_000,
    ) {
        let mut sound = Sound::new(rate);
        sound.samples = samples.iter().map(|s| f64::from(*s) / 64.0).collect();
        sound.press_at(at, &Press { key, dbm0, ..Press::plain('0', 100.0) });
        let pcm = sound.pcm();
        let heard = hear(rate, &pcm);
        let mut last = 0;
        for (start, end) in heard.spans {
            proptest::prop_assert!(last <= start && start < end);
            last = end;
        }
        proptest::prop_assert!(last <= pcm.len() as u64 + u64::from(rate) / 100);
    }
}
