//! `ivrpay-sim phone`: a telephone on an operator's desk, over real SIP and RTP.
//!
//! The command line, what is printed and the exit code; `desk` does the calls. Keys are never printed, nor which keys arrived.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod desk;
#[cfg(test)]
mod tests;

use crate::line::events::{Announcements, NoFeed};
use crate::line::script::{self, PhoneScript, user};
use crate::line::{Exit, Handset, audio, loopback_port, print, say};
use desk::{CallReport, Plan, ServeError};

/// A SIP telephone that is called, and does with each call what a script says.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// What is done with each call, in turn: one script a call.
    #[arg(required = true, value_name = "SCRIPT")]
    scripts: Vec<String>,
    /// Where it is reached; loopback only.
    #[arg(long, value_parser = loopback_port)]
    listen: SocketAddr,
    /// Its own number.
    #[arg(long, default_value = "201", value_parser = user)]
    number: String,
    /// Asterisk, for calls from here; loopback only.
    #[arg(long, default_value = "127.0.10.1:5060", value_parser = loopback_port)]
    to: SocketAddr,
    #[command(flatten)]
    handset: Handset,
    /// How long it rings before it answers, in ms; `answer:MS` in a script goes before.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=600_000))]
    answer_after: u64,
    #[command(flatten)]
    announcements: Announcements,
    /// Seconds to wait for each: the answer, a step, a voice, a transfer, the end after the last word.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Seconds after which it hangs up and ends, whatever it does.
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=7200))]
    limit: u64,
    /// Writes what was heard in the first call; in call N, to a name that ends with `-N`.
    #[arg(long, value_name = "FILE.wav")]
    record: Option<PathBuf>,
    /// Lines of JSON on standard output: where it listens, then each call when it is over.
    #[arg(long)]
    json: bool,
    /// No transcript on standard error.
    #[arg(long)]
    quiet: bool,
}

const AFTER_HELP: &str = "\
SCRIPT: keys and words as of `ivrpay-sim call`. The first word may be answer:MS, busy (486), declines (603), rings (until the caller \
gives up) or call:EXT (calls instead of being called). More words: hold and resume (by re-INVITE), refer:EXT (blind transfer by \
REFER), attended:EXT { WORDS } (hold, a call to EXT with these words, then REFER with Replaces; where the words end with hangup, or EXT \
is not reached, it takes the far end back instead and goes on). A transfer that fails goes on with the next word as well.

wait:STEP is the daemon's step in the call whose Call-ID the INVITE names in X-Lab-Call-ID; without it, in any call; \
in a second call, the daemon's step in that one too. \
wait:call-ended[/RESULT] is the end of the daemon's part.

While it is in a call, another one gets 486; behind the last script it ends.

Exit codes: 0 all calls were made as their scripts say; 3 something was waited for in vain, or no call came; 5 the scripts wait \
for steps and no daemon announces any; 6 a call from here was rejected; 2 or 64 wrong use; 74 no socket or file.";

/// Runs the command; returns the exit code.
pub(crate) async fn run(args: Args) -> u8 {
    match phone(args).await {
        Ok(exit) => exit as u8,
        Err((exit, error)) => {
            say(&format!("phone: {error:#}"));
            exit as u8
        }
    }
}

async fn phone(args: Args) -> Result<Exit, (Exit, anyhow::Error)> {
    let scripts: Vec<PhoneScript> = (1..)
        .zip(&args.scripts)
        .map(|(n, text)| {
            let parsed = script::parse_phone(text);
            parsed.map_err(|e| anyhow::Error::new(e).context(format!("script {n}")))
        })
        .collect::<Result<_, _>>()
        .map_err(|error| (Exit::Usage, error))?;
    let waits = scripts.iter().any(|s| script::waits_for_steps(&s.actions));
    let feed = args.announcements.feed("phone", waits).await;
    let feed = feed.map_err(|why| match why {
        NoFeed::Key(error) => (Exit::Usage, error),
        NoFeed::Daemon(error) => (Exit::NoEvents, error),
    })?;
    if waits && feed.is_none() {
        let error = anyhow::anyhow!(
            "the script waits for a step, but nobody announces steps: --events is missing"
        );
        return Err((Exit::NoEvents, error));
    }
    let plan = Plan {
        number: args.number,
        listen: args.listen,
        to: args.to,
        scripts,
        handset: args.handset,
        answer_after: Duration::from_millis(args.answer_after),
        timeout: Duration::from_secs(args.timeout),
        limit: Duration::from_secs(args.limit),
        keep_audio: args.record.is_some(),
    };
    let mut exit = Exit::Done;
    let mut worse = |other: Exit| {
        if exit == Exit::Done {
            exit = other;
        }
    };
    let listens = |at: SocketAddr| {
        if args.json {
            print(&serde_json::json!({ "listening": at }).to_string());
        } else {
            print(&format!("phone: listening at {at}"));
        }
    };
    let mut done = |mut report: CallReport| {
        let audio = report.audio.take();
        if let (Some(path), Some(samples)) = (&args.record, audio) {
            let path = numbered(path, report.call);
            if let Err(error) = audio::save_wav(&path, &samples) {
                say(&format!(
                    "phone: {} can't be written: {error}",
                    path.display()
                ));
                worse(Exit::Io);
            }
        }
        if report.result.starts_with("timeout") {
            worse(Exit::TimedOut);
        } else if report.result.starts_with("rejected") {
            worse(Exit::Rejected);
        }
        if args.json {
            print(&serde_json::to_string(&report).unwrap_or_default());
        } else {
            print(&format!("phone: call {}: {}", report.call, report.result));
        }
    };
    let seen = |call: usize, at: Duration, what: &str| {
        if !args.quiet {
            say(&format!("[{call}] {:>7.3} {what}", at.as_secs_f64()));
        }
    };
    match desk::serve(&plan, feed.as_ref(), listens, &mut done, seen).await {
        Ok(()) => Ok(exit),
        Err(error @ ServeError::Socket { .. }) => Err((Exit::Io, error.into())),
        Err(error @ ServeError::NotCalled { .. }) => Err((Exit::TimedOut, error.into())),
    }
}

/// The recording of call `n`: `FILE.wav`, `FILE-2.wav`, …
fn numbered(path: &Path, n: usize) -> PathBuf {
    if n == 1 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path
        .extension()
        .map_or(String::new(), |e| format!(".{}", e.to_string_lossy()));
    path.with_file_name(format!("{stem}-{n}{ending}"))
}
