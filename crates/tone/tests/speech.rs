//! No keys where nobody pressed one: our prompts, and those of Asterisk where the lab has them. And keys under speech.
#![allow(clippy::print_stdout, reason = "what was measured can be cited")]

mod made;

use std::path::{Path, PathBuf};

use made::{Press, Random, Sound, hear, peak, wav, wavs};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Minutes, keys decoded, tones found by the search.
fn listen(folder: &Path) -> (f64, usize, usize) {
    let (mut samples, mut decoded, mut like) = (0, 0, 0);
    for path in wavs(folder) {
        let Some(sound) = wav(&path) else { continue };
        let heard = hear(8000, &sound);
        samples += sound.len();
        decoded += heard.decoded.len();
        like += heard.like.len();
    }
    let minutes = samples as f64 / 8000.0 / 60.0;
    println!(
        "speech: {}: {minutes:.1} min, {decoded} decoded, {like} tone-like",
        folder.display()
    );
    (minutes, decoded, like)
}

#[test]
fn prompts_have_no_keys() {
    for (language, like_max) in [("en", 0), ("ja", 25)] {
        let (minutes, decoded, like) = listen(&root().join("asterisk-conf/sounds").join(language));
        assert!(minutes > 3.0, "the prompts are there");
        assert_eq!(decoded, 0);
        assert!(like <= like_max, "{like} tone-like in {language}");
    }
}

/// 25 minutes of another voice; only where `scripts/lab` has been up once.
#[test]
fn prompts_of_asterisk_have_no_keys() {
    let folder = root().join(".cache/asterisk-sid/usr/share/asterisk/sounds/en_US_f_Allison");
    if !folder.is_dir() {
        println!("speech: no prompts of Asterisk here");
        return;
    }
    let (_, decoded, like) = listen(&folder);
    assert_eq!(decoded, 0);
    assert!(like <= 3, "{like} tone-like");
}

/// 16 keys while somebody speaks: the search must find them, at the levels at which telephones send.
#[test]
fn keys_under_speech_are_found() {
    let mut random = Random(9);
    let mut speech = Vec::new();
    for path in wavs(&root().join("asterisk-conf/sounds")) {
        speech.extend(wav(&path).unwrap_or_default());
    }
    // Speech that is on has about this level in our prompts; it is set to what a talker has on a line.
    let loud: Vec<f64> = speech
        .iter()
        .map(|s| f64::from(*s))
        .filter(|s| s.abs() > 100.0)
        .collect();
    let rms = (loud.iter().map(|s| s * s).sum::<f64>() / loud.len() as f64).sqrt();
    for (dbm0, least) in [(-30.0, 97), (-20.0, 85), (-12.0, 40)] {
        let scale = peak(dbm0) / 2_f64.sqrt() / rms;
        let (mut sent, mut decoded, mut found) = (0, 0, 0);
        for run in 0..40 {
            let at = random.below(speech.len() - 8000 * 4);
            let mut sound = Sound::new(8000);
            sound.samples = speech[at..at + 8000 * 4]
                .iter()
                .map(|s| f64::from(*s) * scale)
                .collect();
            let mut keys = String::new();
            for n in 0..16 {
                let press = Press {
                    key: (n + run) % 16,
                    ..Press::plain('0', 100.0)
                };
                keys.push(press.sign());
                sound.press_at(n * 1920, &press);
            }
            let heard = hear(8000, &sound.pcm());
            sent += 16;
            decoded += keys.chars().filter(|k| heard.decoded.contains(*k)).count();
            found += keys
                .chars()
                .filter(|k| heard.decoded.contains(*k) || heard.like.contains(*k))
                .count();
        }
        let share = found * 100 / sent;
        println!(
            "keys of -9 dBm0 a group under speech of {dbm0} dBm0: {} % decoded, {share} % found",
            decoded * 100 / sent
        );
        assert!(share >= least, "{share} %");
    }
}
