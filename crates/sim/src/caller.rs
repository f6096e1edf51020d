//! `ivrpay-sim call`: a telephone of ours that calls from outside over real SIP and RTP.
//!
//! The command line, what is printed and the exit code; `place` does the call. Keys are never printed: they may be a card.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;

mod place;
#[cfg(test)]
pub(crate) mod tests;

use crate::line::audio::{self, HUM_HZ};
use crate::line::events::{Announcements, Feed, NoFeed};
use crate::line::script::{self, Action, user};
use crate::line::{Exit, Handset, loopback, loopback_port, print, say};
use place::{CallReport, Ending, PlaceError, Plan, Seen};

/// Places one real call over SIP and RTP and keys a script.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, args_override_self = true)]
pub(crate) struct Args {
    /// Extension to call.
    #[arg(value_parser = user)]
    extension: String,
    /// What is keyed and waited for, blanks between words; `-` reads it from standard input, one call a line.
    #[arg(allow_hyphen_values = true)]
    keys: String,
    #[command(flatten)]
    handset: Handset,
    /// The caller's number.
    #[arg(long, default_value = "0312345678", value_parser = user)]
    from: String,
    /// Our address; loopback only.
    #[arg(long, default_value = "127.0.10.2", value_parser = loopback)]
    bind: IpAddr,
    /// Asterisk; loopback only.
    #[arg(long, default_value = "127.0.10.1:5060", value_parser = loopback_port)]
    to: SocketAddr,
    #[command(flatten)]
    announcements: Announcements,
    /// Seconds to wait for each: the answer, a step, the end after the last key.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// How long the line stays open after the daemon ended its part, in ms.
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u64).range(0..=600_000))]
    linger: u64,
    /// Exit with 1 unless the call ends with this result.
    #[arg(long, value_name = "RESULT")]
    expect: Option<String>,
    /// One line of JSON on standard output.
    #[arg(long)]
    json: bool,
    /// No transcript on standard error.
    #[arg(long)]
    quiet: bool,
    /// Writes what was heard; with several calls, of the first.
    #[arg(long, value_name = "FILE.wav")]
    save_audio: Option<PathBuf>,
    /// `--voice 440`, a hum: a recording then shows where the caller can be heard.
    #[arg(long, conflicts_with = "voice")]
    hum: bool,
    /// Calls in all.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// Calls at once.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    parallel: u32,
}

const AFTER_HELP: &str = "\
KEYS: 0-9 * # A-D are keys, `,` is a pause of 500 ms; words: wait:STEP[/ERROR] until the daemon announces that step (and \
that error), heard until a prompt was heard and 600 ms of silence, hears:HZ[/MS] until the voice of that tone was heard for 200 ms, \
not-hears:HZ[/MS] until it was not for 600 ms (MS: the longest wait), sleep:MS, hangup, until-end (what happens at the end anyway). Who \
is asked to key more slowly while another step is waited for keys what belongs to that step again, twice at most. The \
daemon's end of the call ends the script --linger later, unless it has a wait:call-ended[/RESULT]: then it goes on behind that.

The last line is `call: RESULT`: the daemon's word, or `ended-without-result`, `hung-up`, `rejected STATUS`, `timeout waiting for ...`.

Exit codes: 0 the call ended with a result, or with what --expect names; 1 with another one; 2 or 64 wrong use; 3 timeout; \
4 ended without a result; 5 the keys wait for steps and no daemon announces any; 6 rejected; 74 no socket or file.";

/// Runs the command; returns the exit code.
pub(crate) async fn run(args: Args) -> u8 {
    match calls(args).await {
        Ok(exit) => exit as u8,
        Err((exit, error)) => {
            say(&format!("call: {error:#}"));
            exit as u8
        }
    }
}

/// Nothing was called, and the exit code for it.
type Refused = (Exit, anyhow::Error);

async fn calls(mut args: Args) -> Result<Exit, Refused> {
    let scripts = scripts(&args.keys).map_err(|error| (Exit::Usage, error))?;
    let waits = scripts.iter().any(|s| script::waits_for_steps(s));
    let feed = args.announcements.feed("call", waits).await;
    let feed = feed.map_err(refused)?.map(Arc::new);
    if args.hum {
        args.handset.voice = Some(HUM_HZ);
    }
    let args = Arc::new(args);
    let calls = args
        .count
        .max(u32::try_from(scripts.len()).unwrap_or(u32::MAX));
    let (mut running, mut exits) = (JoinSet::new(), Vec::new());
    for (n, script) in (1..=calls).zip(scripts.iter().cycle()) {
        if running.len() >= args.parallel as usize {
            exits.extend(running.join_next().await);
        }
        let (args, feed, script) = (Arc::clone(&args), feed.clone(), script.clone());
        running.spawn(async move { one(&args, script, feed.as_deref(), n, calls).await });
    }
    while let Some(exit) = running.join_next().await {
        exits.push(exit);
    }
    // A call's task ends by a bug alone.
    let exits: Vec<Exit> = exits
        .into_iter()
        .map(|exit| exit.unwrap_or(Exit::Io))
        .collect();
    let failed = exits.iter().filter(|exit| **exit != Exit::Done).count();
    if calls > 1 && !args.json {
        print(&format!(
            "calls: {} placed, {failed} not as expected",
            exits.len()
        ));
    }
    Ok(exits
        .into_iter()
        .find(|exit| *exit != Exit::Done)
        .unwrap_or(Exit::Done))
}

fn refused(why: NoFeed) -> Refused {
    match why {
        NoFeed::Key(error) => (Exit::Usage, error),
        NoFeed::Daemon(error) => (Exit::NoEvents, error),
    }
}

/// One call: places it, prints it, keeps its sound.
async fn one(args: &Args, script: Vec<Action>, feed: Option<&Feed>, n: u32, calls: u32) -> Exit {
    let plan = Plan {
        extension: args.extension.clone(),
        from: args.from.clone(),
        script,
        handset: args.handset.clone(),
        bind: args.bind,
        to: args.to,
        timeout: Duration::from_secs(args.timeout),
        linger: Duration::from_millis(args.linger),
        keep_audio: args.save_audio.is_some() && n == 1,
    };
    let show = |at: Duration, what: &str| {
        if !args.quiet {
            let which = if calls > 1 {
                format!("[{n}] ")
            } else {
                String::new()
            };
            say(&format!("{which}{:>7.3} {what}", at.as_secs_f64()));
        }
    };
    // Keys in a row are one line, shown when something else happens.
    let mut keys: Option<(Duration, usize)> = None;
    let seen = move |at: Duration, seen: Seen<'_>| {
        if let Seen::Keys(count) = seen {
            keys.get_or_insert((at, 0)).1 += count;
            return;
        }
        if let Some((began, count)) = keys.take() {
            show(began, &format!("-> {}", "•".repeat(count)));
        }
        show(at, &shown(&seen));
    };
    let report = match place::place(&plan, feed, seen).await {
        Ok(report) => report,
        Err(error) => {
            let source =
                std::error::Error::source(&error).map_or(String::new(), |s| format!(": {s}"));
            say(&format!("call: {error}{source}\nhint: {}", error.hint()));
            return match error {
                PlaceError::NoEvents => Exit::NoEvents,
                PlaceError::Socket { .. } => Exit::Io,
            };
        }
    };
    print(&last_line(&report, args.json));
    let mut exit = exit(&report.ending, args.expect.as_deref());
    if let (Some(path), Some(samples)) = (&args.save_audio, &report.audio)
        && let Err(error) = audio::save_wav(path, samples)
    {
        say(&format!(
            "call: {} can't be written: {error}",
            path.display()
        ));
        exit = Exit::Io;
    }
    exit
}

fn exit(ending: &Ending, expect: Option<&str>) -> Exit {
    if let Some(expect) = expect
        && ending.to_string() == expect
    {
        return Exit::Done;
    }
    match ending {
        Ending::Result(_) if expect.is_some() => Exit::Unexpected,
        Ending::Result(_) => Exit::Done,
        Ending::WithoutResult | Ending::HungUp => Exit::WithoutResult,
        Ending::Rejected(_) => Exit::Rejected,
        Ending::TimedOut(_) => Exit::TimedOut,
    }
}

fn last_line(report: &CallReport, json: bool) -> String {
    if !json {
        return format!("call: {}", report.ending);
    }
    let mut all = serde_json::json!({
        "result": report.ending.to_string(),
        "answered": report.answered,
        "lasted_ms": audio::millis(report.lasted),
        "sip_call_id": report.sip_call_id,
        "call_id": report.call_id,
        "payment_id": report.payment_id,
        "steps": report.steps,
    });
    if let (Some(all), Ok(serde_json::Value::Object(heard))) =
        (all.as_object_mut(), serde_json::to_value(&report.heard))
    {
        all.extend(heard);
    }
    all.to_string()
}

fn shown(seen: &Seen<'_>) -> String {
    match seen {
        Seen::Calling => "-> calls".into(),
        Seen::Ringing => "<- rings".into(),
        Seen::Answered => "<- answers".into(),
        Seen::NoTelephoneEvents => {
            "!! the far end takes no telephone-events: these keys won't be understood".into()
        }
        Seen::Keys(_) => String::new(),
        Seen::Step(step) => {
            let attempt = step
                .attempt
                .filter(|n| *n > 1)
                .map_or(String::new(), |n| format!(", attempt {n}"));
            let error = step
                .error
                .as_ref()
                .map_or(String::new(), |e| format!(", {e}"));
            format!("<- {}{attempt}{error}", step.step)
        }
        Seen::InfoRefused(status) => format!("!! the INFO with a key was refused: {status}"),
        Seen::EventsLost => "!! the stream of events ended, opening it again".into(),
        Seen::EventsBack => "!! the stream of events is back".into(),
        Seen::Ended(result) => format!("<- ended: {result}"),
        Seen::FarHungUp => "<- hangs up".into(),
        Seen::HungUp => "-> hangs up".into(),
    }
}

/// The scripts of the calls, in turn.
fn scripts(keys: &str) -> anyhow::Result<Vec<Vec<Action>>> {
    if keys != "-" {
        return Ok(vec![script::parse(keys)?]);
    }
    let mut scripts = Vec::new();
    for (n, line) in (1..).zip(std::io::stdin().lines()) {
        let script =
            script::parse(&line?).with_context(|| format!("line {n} of standard input"))?;
        if !script.is_empty() {
            scripts.push(script);
        }
    }
    anyhow::ensure!(!scripts.is_empty(), "no keys on standard input");
    Ok(scripts)
}
