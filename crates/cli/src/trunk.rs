//! `ivrpay check trunk`: how keys arrive on a line, by a call of one's own.

use std::io::Cursor;
use std::process::ExitCode;
use std::time::Duration;

use ivrpay_daemon::trunk::{self, Finding, KEYS, Measured, Origin, Round, Sound, Tally, Way};
use ivrpay_prompts::Language;
use ivrpay_tone::{Grade, Recording};
use serde::Serialize;

use crate::audit::recording;
use crate::{ConfigPath, Exit, fail, load, no_signals, runtime, stop_signal};

#[derive(clap::Args)]
#[command(
    after_help = "Three rounds, in each of which all twelve keys are pressed, row by row: slowly, quickly, and slowly once more. In the third the sound is \
recorded for at most 30 s and deleted as soon as it was read: press no card number. About a minute.\n\
To let it be called, write into extensions.conf, in a context that the trunk reaches:  exten => 8890,1,Goto(ivrpay-trunk-check,s,1)\n\n\
Exit codes: 0 keys arrive well; 1 something is to be changed, or nothing could be measured; 2 wrong usage; 78 the configuration can't be used."
)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigPath,
    /// Place the call, as Dial() does: PJSIP/0312345678@trunk, Local/8890@internal. Without it a call is waited for.
    #[arg(long, value_name = "ENDPOINT", value_parser = endpoint)]
    dial: Option<String>,
    /// How long a call is waited for, s.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600), conflicts_with = "dial")]
    wait: u64,
    /// Language of what is said: ja, en.
    #[arg(long, default_value_t = Language::Ja)]
    language: Language,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// What `Dial()` takes for one channel, and nothing that it takes apart.
fn endpoint(text: &str) -> Result<String, String> {
    let good = |part: &str| {
        (1..=120).contains(&part.len())
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.*#+@:/".contains(&b))
    };
    match text.split_once('/') {
        Some((technology, rest))
            if technology.bytes().all(|b| b.is_ascii_alphanumeric())
                && !technology.is_empty()
                && good(rest) =>
        {
            Ok(text.to_owned())
        }
        _ => Err("TECHNOLOGY/RESOURCE, as PJSIP/0312345678@trunk".to_owned()),
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    channel: &'a str,
    line: &'a str,
    way: Way,
    dtmf_mode: Option<&'a str>,
    codec: Option<&'a str>,
    slow: Keyed,
    fast: Keyed,
    sound: Sound,
    findings: &'a [Finding],
}

#[derive(Serialize)]
struct Keyed {
    #[serde(flatten)]
    tally: Tally,
    telephone_event_packets: Option<u64>,
    held_ms: Vec<u64>,
}

impl Keyed {
    fn of(round: &Round) -> Self {
        Self {
            tally: Tally::of(&round.keys),
            telephone_event_packets: round.events,
            held_ms: round.keys.iter().map(|key| key.lasted_ms).collect(),
        }
    }
}

pub(crate) fn run(args: Args) -> ExitCode {
    let config = match load(&args.config.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    // Keys pass secret memory, as in every call.
    if let Err(code) = recording::prepare() {
        return code;
    }
    let request = trunk::Request {
        from: match args.dial {
            Some(endpoint) => Origin::Placed(endpoint),
            None => Origin::Awaited(Duration::from_secs(args.wait)),
        },
        language: args.language,
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let done = runtime.block_on(async {
        // From here on a signal no longer ends the process before the call is hung up.
        let stop = stop_signal()?;
        let mut tell = |what: &str| eprintln!("trunk: {what}");
        Ok::<_, std::io::Error>(trunk::run(&config, &request, stop, &mut tell).await)
    });
    let done = match done {
        Ok(done) => done,
        Err(error) => return no_signals(&error),
    };
    match done {
        Ok(measured) => {
            let sound = listen(&measured.recording);
            show(&measured, sound, args.json)
        }
        Err(error) => {
            eprintln!("ivrpay: {error}\nhint: {}", error.hint());
            match error {
                trunk::Error::Configuration(_) => Exit::Config.into(),
                _ => Exit::Failed.into(),
            }
        }
    }
}

/// Keys in a recording, of which no digit is kept.
fn listen(recording: &[u8]) -> Sound {
    let mut sound = Sound::default();
    let Ok(reader) = Recording::open(Cursor::new(recording), None) else {
        return sound;
    };
    // What was heard before the file broke counts.
    drop(reader.listen(|_, tone| match tone.grade {
        Grade::Decoded => sound.decoded += 1,
        Grade::ToneLike => sound.like += 1,
    }));
    sound
}

fn show(measured: &Measured, sound: Sound, json: bool) -> ExitCode {
    let (way, findings) = trunk::judge(measured, sound);
    let bad = findings.iter().filter(|finding| finding.bad).count();
    if json {
        let shown = Shown {
            channel: &measured.channel,
            line: measured.line(),
            way,
            dtmf_mode: measured.mode.as_deref(),
            codec: measured.codec.as_deref(),
            slow: Keyed::of(&measured.slow),
            fast: Keyed::of(&measured.fast),
            sound,
            findings: &findings,
        };
        say!("{}", serde_json::to_string(&shown).unwrap_or_default());
    } else {
        for finding in &findings {
            let mark = if finding.bad { "BAD" } else { "ok" };
            say!("{mark:<4} {}", finding.fact);
            if let Some(hint) = &finding.hint {
                say!("{:<4} hint: {hint}", "");
            }
        }
        say!(
            "check trunk: {}: {}; {} of {} keys; {bad} to change",
            measured.line(),
            way.what(),
            KEYS.len() - Tally::of(&measured.slow.keys).lost,
            KEYS.len()
        );
    }
    if bad > 0 {
        Exit::Failed.into()
    } else {
        Exit::Done.into()
    }
}
