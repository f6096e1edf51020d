//! `ivrpay audit recording` as a user runs it, on made recordings and on our prompts.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[path = "../../tone/tests/made/mod.rs"]
mod made;

use std::path::{Path, PathBuf};
use std::process::Command;

use made::{Press, Random, Sound, wav, wavs};

/// Published by Stripe for tests.
const CARD: &str = "4242424242424242";

/// The keys as they are keyed, one every 200 ms, `on_ms` each; `,` waits 2 s.
fn keyed(keys: &str, on_ms: f64) -> Sound {
    let mut sound = Sound::new(8000);
    sound.silence(500.0);
    for sign in keys.chars() {
        if sign == ',' {
            sound.silence(2000.0);
        } else {
            sound
                .press(&Press::plain(sign, on_ms))
                .silence(200.0 - on_ms);
        }
    }
    sound.silence(500.0);
    sound
}

/// A 16-bit WAV file. `data_size` as its header says it.
fn riff(channels: &[&[i16]], data_size: Option<u32>) -> Vec<u8> {
    let data: Vec<u8> = (0..channels[0].len())
        .flat_map(|n| channels.iter().flat_map(move |c| c[n].to_le_bytes()))
        .collect();
    let count = channels.len() as u16;
    let size = data_size.unwrap_or(data.len() as u32);
    let mut out = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0".to_vec();
    out.extend(count.to_le_bytes());
    out.extend(8000_u32.to_le_bytes());
    out.extend((16_000 * u32::from(count)).to_le_bytes());
    out.extend((2 * count).to_le_bytes());
    out.extend(16_u16.to_le_bytes());
    out.extend(b"data");
    out.extend(size.to_le_bytes());
    out.extend(data);
    out
}

fn audit(args: &[&str], places: &[&Path]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_ivrpay"))
        .args(["audit", "recording"])
        .args(args)
        .args(places)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    for start in 0..CARD.len() - 4 {
        let piece = &CARD.as_bytes()[start..start + 5];
        let piece = std::str::from_utf8(piece).unwrap();
        assert!(
            !out.contains(piece) && !err.contains(piece),
            "digits of the card are shown"
        );
    }
    (out, err, output.status.code().unwrap())
}

/// A recording is written to `name`; its only lines are these, with `{}` for its path.
#[track_caller]
fn check(name: &str, bytes: &[u8], expected: &str, code: i32) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let (out, err, exit) = audit(&[], &[&path]);
    assert_eq!(
        out,
        expected.replace("{}", &path.display().to_string()),
        "{name}: {err}"
    );
    assert_eq!(exit, code, "{name}");
}

#[test]
fn a_card_number_is_found_in_every_form() {
    let quiet = vec![3_i16; 40_000];
    let plain = keyed(CARD, 100.0).noise(-40.0, &mut Random(1)).pcm();
    let quiet = &quiet[..plain.len()];
    let bytes: Vec<u8> = plain.iter().flat_map(|s| s.to_le_bytes()).collect();
    let number = |of: &str, more: &str| {
        format!(
            "{{}}: channel {of}, 0:00.5 to 0:03.6: CARD NUMBER, 16 keys{more}\n\
             audit recording: 1 files, 1 with an audible card number, 0 with other keys\n"
        )
    };
    check("mono.wav", &riff(&[&plain], None), &number("1 of 1", ""), 1);
    check(
        "right.wav",
        &riff(&[quiet, &plain], None),
        &number("2 of 2", ""),
        1,
    );
    check(
        "still-written.wav",
        &riff(&[&plain], Some(0)),
        &number("1 of 1", ""),
        1,
    );
    check(
        "cut.wav",
        &riff(&[&plain], Some(u32::MAX / 2)),
        &number("1 of 1", ""),
        1,
    );
    check("call.sln", &bytes, &number("1 of 1", ""), 1);
    let mu: Vec<u8> = plain
        .iter()
        .map(|s| audio_codec_algorithms::encode_ulaw(*s))
        .collect();
    check("call.ulaw", &mu, &number("1 of 1", ""), 1);
    let a: Vec<u8> = plain
        .iter()
        .map(|s| audio_codec_algorithms::encode_alaw(*s))
        .collect();
    check("call.alaw", &a, &number("1 of 1", ""), 1);
    // What Asterisk's own muting leaves at the beginning of each key: 13.4 ms.
    let left = keyed(CARD, 13.4).noise(-45.0, &mut Random(2)).pcm();
    let text = number("1 of 1", " (16 that no receiver would decode)").replace("3.6", "3.5");
    check("muted-late.wav", &riff(&[&left], None), &text, 1);
}

#[test]
fn what_else_is_keyed() {
    for (name, keys, expected, code) in [
        (
            "corrected",
            format!("4242#*{CARD}#"),
            "{}: channel 1 of 1, 0:00.5 to 0:05.0: CARD NUMBER, 23 keys\naudit recording: 1 files, 1 with an audible card number, 0 with other keys\n",
            1,
        ),
        (
            "part",
            "42424242".to_owned(),
            "{}: channel 1 of 1, 0:00.5 to 0:02.0: PART OF A NUMBER, 8 keys\naudit recording: 1 files, 1 with an audible card number, 0 with other keys\n",
            1,
        ),
        (
            "code",
            format!("{CARD},,,,,,123"),
            "{}: channel 1 of 1, 0:00.5 to 0:03.6: CARD NUMBER, 16 keys\n{}: channel 1 of 1, 0:15.7 to 0:16.2: CODE after a number, 3 keys\naudit recording: 1 files, 1 with an audible card number, 0 with other keys\n",
            1,
        ),
        (
            "menu",
            "1".to_owned(),
            "{}: channel 1 of 1, 0:00.5 to 0:00.6: other keys, 1 key\naudit recording: 1 files, 0 with an audible card number, 1 with other keys\n",
            0,
        ),
        (
            "silence",
            String::new(),
            "audit recording: 1 files, 0 with an audible card number, 0 with other keys\n",
            0,
        ),
    ] {
        let sound = keyed(&keys, 100.0).noise(-40.0, &mut Random(3)).pcm();
        check(
            &format!("{name}.wav"),
            &riff(&[&sound], None),
            expected,
            code,
        );
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Both parties in one channel, as MixMonitor mixes them: somebody speaks all the while.
#[test]
fn a_card_number_under_speech() {
    let mut speech = Vec::new();
    for path in wavs(&root().join("asterisk-conf/sounds/en")) {
        speech.extend(wav(&path).unwrap_or_default());
    }
    let folder = tempfile::tempdir().unwrap();
    for (n, piece) in speech.chunks_exact(8000 * 6).take(20).enumerate() {
        let mut sound = Sound::new(8000);
        sound.samples = piece.iter().map(|s| f64::from(*s) / 4.0).collect();
        for (n, sign) in CARD.chars().enumerate() {
            sound.press_at(4000 + n * 2000, &Press::plain(sign, 100.0));
        }
        std::fs::write(
            folder.path().join(format!("{n}.wav")),
            riff(&[&sound.pcm()], None),
        )
        .unwrap();
    }
    let (out, _, code) = audit(&[], &[folder.path()]);
    let whole = out.matches("CARD NUMBER").count();
    println!("under speech: {whole} of 20 whole");
    assert!(
        out.ends_with(
            "audit recording: 20 files, 20 with an audible card number, 0 with other keys\n"
        ),
        "{out}"
    );
    assert!(whole >= 18, "{out}");
    assert_eq!(code, 1);
}

#[test]
fn prompts_have_none() {
    let sounds = root().join("asterisk-conf/sounds");
    let count = wavs(&sounds).len();
    assert!(count > 400);
    let (out, err, code) = audit(&[], &[&sounds]);
    assert_eq!(
        out,
        format!(
            "audit recording: {count} files, 0 with an audible card number, 0 with other keys, 2 left out (no recordings)\n"
        ),
        "{err}"
    );
    assert_eq!(code, 0);
}

#[test]
fn what_can_not_be_read_is_told_and_the_rest_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let key = keyed("1", 100.0).pcm();
    write("a/deep/menu.wav", &riff(&[&key], None));
    write("broken.wav", b"no wave at all");
    write("empty.wav", b"");
    write("gone.gsm", &[0x55; 99]);
    write("notes.txt", b"no recording");
    write("short.wav", b"RIFF\0\0\0\0WAVEfmt ");
    let loops = folder.path().join("a/loop");
    std::os::unix::fs::symlink(folder.path(), loops).unwrap();
    let missing = folder.path().join("missing.wav");
    let (out, err, code) = audit(&[], &[folder.path(), &missing]);
    let at = |name: &str| folder.path().join(name).display().to_string();
    assert_eq!(
        out,
        format!(
            "{}: channel 1 of 1, 0:00.5 to 0:00.6: other keys, 1 key\n\
             audit recording: 2 files, 0 with an audible card number, 1 with other keys, 4 could not be read, 2 left out (no recordings)\n",
            at("a/deep/menu.wav")
        )
    );
    for (name, error) in [
        ("broken.wav", "is no recording of a kind that can be read"),
        ("empty.wav", "is empty"),
        ("gone.gsm", "is sound of a kind that can't be read"),
        (
            "short.wav",
            "has a broken header: it ends before the sound begins",
        ),
        (
            "missing.wav",
            "can't be read: No such file or directory (os error 2)",
        ),
    ] {
        let line = format!("ivrpay: {} {error}\nhint: ", at(name));
        assert!(err.contains(&line), "{name}: {err}");
    }
    assert_eq!((err.lines().count(), code), (10, 2));

    // JSON has all of it, a line each.
    let (out, err, code) = audit(&["--json"], &[folder.path(), &missing]);
    let lines: Vec<serde_json::Value> = out
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!((err.as_str(), code, lines.len()), ("", 2, 7));
    assert_eq!(
        lines[0],
        serde_json::json!({
            "file": at("a/deep/menu.wav"), "channel": 1, "channels": 1, "start_ms": lines[0]["start_ms"], "end_ms": lines[0]["end_ms"],
            "kind": "other", "keys": 1, "tone_like": 0, "audible": false,
        })
    );
    assert!(
        lines[1..6]
            .iter()
            .all(|line| line["error"].is_string() && line["hint"].is_string())
    );
    assert_eq!(
        lines[6],
        serde_json::json!({ "files": 2, "with_card_number": 0, "with_other_keys": 1, "unreadable": 4, "left_out": 2 })
    );
}

/// A wrong path, or a recorder that records nothing, is no proof that no card is there.
#[test]
fn no_recording_at_all_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let check = |what: &str, place: &Path| {
        let (out, err, code) = audit(&[], &[place]);
        assert!(
            err.contains("ivrpay: no recording was found\nhint: name the folder"),
            "{what}: {err}"
        );
        assert!(out.starts_with("audit recording: 0 files"), "{what}: {out}");
        assert_eq!(code, 2, "{what}");
    };
    check("an empty folder", folder.path());
    let pipe = folder.path().join("call.wav");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    std::fs::write(folder.path().join("notes.txt"), "no recording").unwrap();
    check("pipes and other files", folder.path());
    let (out, _, code) = audit(&["--json"], &[folder.path()]);
    assert_eq!((out.lines().count(), code), (1, 2));
}

#[test]
fn without_a_place_it_says_how() {
    let (_, err, code) = audit(&[], &[]);
    assert!(err.contains("Usage: ivrpay audit recording"), "{err}");
    assert_eq!(code, 2);
}
