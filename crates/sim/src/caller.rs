//! `ivrpay-sim call`: a telephone of ours that calls from outside over real SIP and RTP.
//!
//! The command line, what is printed and the exit code; `place` does the call. Keys are never printed: they may be a card.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;

mod audio;
mod events;
mod place;
mod rtp;
mod script;
mod sip;
#[cfg(test)]
mod tests;

use events::Feed;
use place::{CallReport, Dtmf, Ending, InfoAt, PlaceError, Plan, Seen};
use script::Action;

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
    /// How keys travel.
    #[arg(long, value_enum, default_value = "rfc4733")]
    dtmf: Dtmf,
    /// When a SIP INFO goes out.
    #[arg(long, value_enum, default_value = "release")]
    info_at: InfoAt,
    /// How long a key is held, in ms.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(rtp::ON_MAX_MS)))]
    on: u32,
    /// Shortest time between two keys, in ms.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    off: u32,
    /// The caller's number.
    #[arg(long, default_value = "0312345678", value_parser = user)]
    from: String,
    /// Our address; loopback only.
    #[arg(long, default_value = "127.0.10.2", value_parser = loopback)]
    bind: IpAddr,
    /// Asterisk; loopback only.
    #[arg(long, default_value = "127.0.10.1:5060", value_parser = loopback_port)]
    to: SocketAddr,
    /// `GET /v1/events` of the daemon.
    #[arg(long, value_name = "URL")]
    events: Option<String>,
    /// The bearer key for it.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
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
    /// Hum, at 440 Hz, where no key is pressed: a recording then shows where the caller can be heard.
    #[arg(long)]
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
that error), heard until a prompt was heard and 600 ms of silence, sleep:MS, hangup, until-end (what happens at the end anyway).

The last line is `call: RESULT`: the daemon's word, or `ended-without-result`, `hung-up`, `rejected STATUS`, `timeout waiting for ...`.

Exit codes: 0 the call ended with a result, or with what --expect names; 1 with another one; 2 or 64 wrong use; 3 timeout; \
4 ended without a result; 5 the keys wait for steps and no daemon announces any; 6 rejected; 74 no socket or file.";

/// The process's exit code. Several calls: the first that is not 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Exit {
    Done = 0,
    Unexpected = 1,
    TimedOut = 3,
    WithoutResult = 4,
    NoEvents = 5,
    // Not 2, with which clap ends.
    Rejected = 6,
    Usage = 64,
    Io = 74,
}

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

async fn calls(args: Args) -> Result<Exit, Refused> {
    let scripts = scripts(&args.keys).map_err(|error| (Exit::Usage, error))?;
    let waits = scripts
        .iter()
        .flatten()
        .any(|a| matches!(a, Action::Step { .. }));
    let feed = feed(&args, waits).await?.map(Arc::new);
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

/// One call: places it, prints it, keeps its sound.
async fn one(args: &Args, script: Vec<Action>, feed: Option<&Feed>, n: u32, calls: u32) -> Exit {
    let plan = Plan {
        extension: args.extension.clone(),
        from: args.from.clone(),
        script,
        dtmf: args.dtmf,
        info_at: args.info_at,
        on_ms: args.on,
        off_ms: args.off,
        bind: args.bind,
        to: args.to,
        timeout: Duration::from_secs(args.timeout),
        linger: Duration::from_millis(args.linger),
        keep_audio: args.save_audio.is_some() && n == 1,
        hums: args.hum,
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
        && let Err(error) =
            std::fs::File::create(path).and_then(|mut file| audio::write_wav(&mut file, samples))
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
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    if !json {
        return format!("call: {}", report.ending);
    }
    serde_json::json!({
        "result": report.ending.to_string(),
        "answered": report.answered,
        "lasted_ms": ms(report.lasted),
        "heard_ms": ms(report.heard),
        "keys_sent": report.keys_sent,
        "telephone_events_received": report.events_received,
        "late_ms_max": ms(report.late_max),
        "sip_call_id": report.sip_call_id,
        "call_id": report.call_id,
        "payment_id": report.payment_id,
        "steps": report.steps,
    })
    .to_string()
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

/// Opens the stream of events. A daemon that is away is no error for a script that does not wait for it: what the
/// dialplan does then is worth a call.
async fn feed(args: &Args, waits: bool) -> Result<Option<Feed>, Refused> {
    let Some(url) = &args.events else {
        return Ok(None);
    };
    let key = match &args.key_file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("--key-file {} can't be read", path.display()))
                .map_err(|error| (Exit::Usage, error))?;
            Some(text.trim().to_owned())
        }
        None => None,
    };
    match Feed::connect(url, key.as_deref()).await {
        Ok(feed) => Ok(Some(feed)),
        Err(error) if waits => {
            let error = error.context("the keys wait for steps, but the daemon's events can't be read (is `ivrpay serve` up?)");
            Err((Exit::NoEvents, error))
        }
        Err(error) => {
            say(&format!("call: no events: {error:#}"));
            Ok(None)
        }
    }
}

/// The user part of a SIP URI, as far as telephone numbers and extensions need it.
fn user(text: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"+*#-_.".contains(&b);
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(fits) {
        // RFC 3261, 25.1: `#` is not allowed unescaped.
        Ok(text.replace('#', "%23"))
    } else {
        Err("1 to 64 letters, digits or + * # - _ .".into())
    }
}

fn loopback(text: &str) -> Result<IpAddr, String> {
    let ip: std::net::Ipv4Addr = text.parse().map_err(|_| "not an IPv4 address")?;
    ip.is_loopback()
        .then_some(ip.into())
        .ok_or_else(|| "only 127.0.0.0/8: this is a simulator".into())
}

fn loopback_port(text: &str) -> Result<SocketAddr, String> {
    let (ip, port) = text.split_once(':').unwrap_or((text, "5060"));
    Ok((loopback(ip)?, port.parse().map_err(|_| "not a port")?).into())
}

/// Standard error, for people. A closed one is no reason to end a call.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}

/// Standard output, for scripts.
fn print(line: &str) {
    writeln!(std::io::stdout(), "{line}").ok();
}
