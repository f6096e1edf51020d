//! Measures the detector against what it promises, and prints a table. `cargo run --release -p ivrpay-tone --example measure
//! [FOLDER of 8 kHz WAV files without keys...]`
#![allow(clippy::print_stdout, reason = "an example prints")]

#[path = "../tests/made/mod.rs"]
mod made;

use std::f64::consts::TAU;
use std::path::Path;

use made::{Press, Random, Sound, hear};

fn random_press(random: &mut Random, on_ms: f64) -> Press {
    Press {
        key: random.below(16),
        on_ms,
        dbm0: -15.0,
        twist: 0.0,
        off: (0.0, 0.0),
        phase: (random.within(0.0, TAU), random.within(0.0, TAU)),
    }
}

fn main() {
    let folders: Vec<_> = std::env::args().skip(1).collect();
    for folder in &folders {
        talk_off(Path::new(folder));
    }
    if !folders.is_empty() {
        return;
    }
    let mut random = Random(1);
    speed();
    grid(&mut random);
    refused(&mut random);
    edges(&mut random);
    noisy(&mut random);
    short(&mut random);
}

fn grid(random: &mut Random) {
    let (mut sent, mut missed, mut extra, mut like) = (0, 0, 0, 0);
    for key in 0..16 {
        for phase in 0..102_u32 {
            for level in [-33.0, -18.0, -3.0] {
                for twist in [-8.0, 0.0, 6.0_f64] {
                    for off in [
                        (-0.018, -0.018),
                        (0.018, 0.018),
                        (0.018, -0.018),
                        (-0.018, 0.018),
                        (0.0, 0.0),
                    ] {
                        let mut sound = Sound::new(8000);
                        sound.silence(20.0 + f64::from(phase) / 8.0);
                        let press = Press {
                            key,
                            dbm0: if level == -33.0 {
                                level - twist.min(0.0)
                            } else {
                                level - twist.max(0.0)
                            },
                            twist,
                            off,
                            ..random_press(random, 40.0)
                        };
                        for _ in 0..3 {
                            sound.press(&press).silence(30.0);
                        }
                        let heard = hear(8000, &sound.pcm());
                        let right = heard.decoded.chars().filter(|c| *c == press.sign()).count();
                        sent += 3;
                        missed += 3_usize.saturating_sub(right);
                        extra += heard.decoded.len().saturating_sub(3);
                        like += heard.like.len();
                    }
                }
            }
        }
    }
    println!(
        "40/30 ms, 16 keys x 102 phases x -33..-3 dBm0 x -8..+6 dB x +-1.8 %: {sent} sent, {missed} missed, {extra} extra, {like} tone-like"
    );
}

fn refused(random: &mut Random) {
    for (name, on_ms, offs) in [
        (
            "+-3.5 % in one group or both, 100 ms",
            100.0,
            vec![
                (0.035, 0.0),
                (-0.035, 0.0),
                (0.0, 0.035),
                (0.0, -0.035),
                (0.035, 0.035),
                (-0.035, -0.035),
            ],
        ),
        ("19.9 ms", 19.9, vec![(0.0, 0.0), (0.018, -0.018)]),
        ("15 ms", 15.0, vec![(0.0, 0.0)]),
    ] {
        for snr in [15.0, 60.0] {
            let (mut sent, mut decoded, mut like) = (0, 0, 0);
            for key in 0..16 {
                for phase in 0..102 {
                    for off in &offs {
                        for twist in [-8.0, 0.0, 6.0] {
                            let mut sound = Sound::new(8000);
                            sound.silence(50.0 + f64::from(phase) / 8.0);
                            sound
                                .press(&Press {
                                    key,
                                    off: *off,
                                    twist,
                                    ..random_press(random, on_ms)
                                })
                                .silence(50.0);
                            let level = -15.0 + 10.0 * (1.0 + 10_f64.powf(twist / 10.0)).log10();
                            sound.noise(level - snr, random);
                            let heard = hear(8000, &sound.pcm());
                            sent += 1;
                            decoded += heard.decoded.len();
                            like += heard.like.len();
                        }
                    }
                }
            }
            println!("{name}, SNR {snr}: {sent} sent, {decoded} decoded, {like} tone-like");
        }
    }
}

/// One property goes through its range, all else is good (60 ms, SNR 25): which values are always decoded, and which never.
fn edges(random: &mut Random) {
    type Change = fn(&mut Press, f64);
    let sweeps: [(&str, [f64; 3], Change); 7] = [
        ("off its frequency, %", [1.0, 4.0, 0.05], |press, x| {
            press.off = if press.key % 2 == 0 {
                (x / 100.0, 0.0)
            } else {
                (0.0, -x / 100.0)
            };
        }),
        ("high group over low, dB", [0.0, 12.0, 0.5], |press, x| {
            press.twist = x
        }),
        ("high group under low, dB", [0.0, 14.0, 0.5], |press, x| {
            press.twist = -x
        }),
        ("level, -dBm0", [25.0, 45.0, 0.5], |press, x| {
            press.dbm0 = -x
        }),
        ("60 ms less, ms", [10.0, 45.0, 1.0], |press, x| {
            press.on_ms = 60.0 - x
        }),
        ("drop-out, ms: one key", [5.0, 35.0, 1.0], |_, _| {}),
        ("noise, -dB", [0.0, 0.0, 0.5], |_, _| {}),
    ];
    for (name, [from, to, step], change) in sweeps {
        let (mut all, mut none) = (f64::NAN, f64::NAN);
        let snr_is_swept = to == 0.0;
        let (from, to) = if snr_is_swept {
            (-25.0, -3.0)
        } else {
            (from, to)
        };
        let mut x = from;
        while x <= to {
            let mut good = 0;
            for _ in 0..200 {
                let mut press = random_press(random, 60.0);
                change(&mut press, x);
                let mut sound = Sound::new(8000);
                sound.silence(random.within(40.0, 60.0)).press(&press);
                if name.starts_with("drop-out") {
                    sound.silence(x).press(&press);
                }
                sound.silence(60.0);
                let snr = if snr_is_swept { -x } else { 25.0 };
                sound.noise(press.level() - snr, random);
                good += usize::from(hear(8000, &sound.pcm()).decoded == press.sign().to_string());
            }
            if good == 200 && none.is_nan() {
                all = x;
            }
            if good == 0 && none.is_nan() {
                none = x;
            }
            x += step;
        }
        println!("edge: {name}: always up to {all:.2}, never from {none:.2} on");
    }
}

fn noisy(random: &mut Random) {
    for (name, twist, off) in [
        ("-8..+6 dB, 1.8 %", (-8.0, 6.0), 0.018),
        ("-8..+5 dB, 1.5 %", (-8.0, 5.0), 0.015),
    ] {
        let (mut missed, mut wrong) = (0, 0);
        for _ in 0..40_000 {
            let mut sound = Sound::new(8000);
            let press = Press {
                dbm0: random.within(-25.0, -12.0),
                twist: random.within(twist.0, twist.1),
                off: (random.within(-off, off), random.within(-off, off)),
                ..random_press(random, 40.0)
            };
            sound
                .silence(random.within(30.0, 45.0))
                .press(&press)
                .silence(40.0);
            let level = press.level();
            let snr = random.within(15.0, 40.0);
            sound.noise(level - snr, random);
            let heard = hear(8000, &sound.pcm());
            missed += usize::from(!heard.decoded.contains(press.sign()));
            wrong += usize::from(
                heard.decoded.chars().any(|c| c != press.sign()) || heard.decoded.len() > 1,
            );
        }
        println!(
            "40,000 random tones of 40 ms, SNR 15..40, {name}: {missed} missed, {wrong} wrong"
        );
    }
}

fn short(random: &mut Random) {
    for (name, on_ms, twist, off, dbm0) in [
        ("4 ms", 4.0, 0.0, 0.0, -9.0),
        ("5 ms", 5.0, 0.0, 0.0, -9.0),
        ("6 ms", 6.0, 0.0, 0.0, -9.0),
        ("8 ms", 8.0, 0.0, 0.0, -9.0),
        ("10 ms", 10.0, 0.0, 0.0, -9.0),
        ("13.4 ms", 13.4, 0.0, 0.0, -9.0),
        ("20 ms", 20.0, 0.0, 0.0, -9.0),
        ("30 ms, 12 dB twist", 30.0, 12.0, 0.0, -20.0),
        ("30 ms, -12 dB twist", 30.0, -12.0, 0.0, -10.0),
        ("30 ms, 4 % off", 30.0, 0.0, 0.04, -10.0),
        ("30 ms, -45 dBm0", 30.0, 0.0, 0.0, -45.0),
    ] {
        let mut line = String::new();
        for snr in [5.0, 10.0, 20.0, 60.0] {
            let mut found = 0;
            for _ in 0..500 {
                let mut sound = Sound::new(8000);
                let press = Press {
                    twist,
                    dbm0,
                    off: (off, -off),
                    ..random_press(random, on_ms)
                };
                sound
                    .silence(random.within(40.0, 60.0))
                    .press(&press)
                    .silence(60.0);
                let level = press.level();
                sound.noise(level - snr, random);
                let heard = hear(8000, &sound.pcm());
                found +=
                    usize::from(format!("{}{}", heard.decoded, heard.like).contains(press.sign()));
            }
            line.push_str(&format!(
                "  SNR {snr}: {:.1} %",
                f64::from(u32::try_from(found).unwrap_or(0)) / 5.0
            ));
        }
        println!("found, {name}:{line}");
    }
}

fn talk_off(folder: &Path) {
    let (mut seconds, mut decoded, mut like) = (0.0, 0, 0);
    let mut files = Vec::new();
    for path in made::wavs(folder) {
        let Some(samples) = made::wav(&path) else {
            continue;
        };
        let heard = hear(8000, &samples);
        seconds += samples.len() as f64 / 8000.0;
        decoded += heard.decoded.len();
        like += heard.like.len();
        if !heard.decoded.is_empty() || heard.like.len() > 3 {
            files.push(format!(
                "{} {}+{}",
                path.display(),
                heard.decoded.len(),
                heard.like.len()
            ));
        }
    }
    println!(
        "{}: {:.1} min without keys: {decoded} decoded, {like} tone-like; {files:?}",
        folder.display(),
        seconds / 60.0
    );
}

fn speed() {
    for rate in [8000, 16_000, 48_000] {
        for (name, noise) in [("keys in noise", true), ("silence", false)] {
            let mut sound = Sound::new(rate);
            let mut random = Random(7);
            for key in (0..16).cycle().take(300) {
                sound
                    .press(&Press {
                        key,
                        ..random_press(&mut random, 100.0)
                    })
                    .silence(100.0);
            }
            if noise {
                sound.noise(-35.0, &mut random);
            } else {
                sound.samples.fill(0.0);
            }
            let pcm = sound.pcm();
            let began = cpu_seconds();
            let heard = hear(rate, &pcm).decoded.len();
            let took = cpu_seconds() - began;
            println!(
                "{rate} Hz, {name}: {:.0} times real time ({heard} of {} keys)",
                60.0 / took,
                if noise { 300 } else { 0 }
            );
        }
    }
}

/// What this thread has had of a core, so that others on it don't count.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds: f64 = stat
        .split(' ')
        .next()
        .expect("a number")
        .parse()
        .expect("a number");
    nanoseconds / 1e9
}
