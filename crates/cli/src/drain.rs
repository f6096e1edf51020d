//! `ivrpay drain`: the running service takes no new call, lets those that are on end, and leaves.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use ivrpay_api::{Drain, Drained, StartDrain};
use ivrpay_daemon::config::Span;

use crate::payment::{From, ask, json};
use crate::{Exit, fail, runtime};

/// How often is asked how many calls are left.
const LOOK: Duration = Duration::from_millis(500);

#[derive(clap::Args)]
#[command(
    after_help = "Exit code 0: every call has ended by itself and the service has left; 1: calls were told to end at the limit, or it could not be seen how the service ended.\n`systemctl restart ivrpay` (SIGTERM) does the same with the limit of the configuration, and starts the service again."
)]
pub(crate) struct Args {
    #[command(flatten)]
    from: From,
    /// How long calls may go on, as 90s or 10m; [limits] drain_limit when absent. Run again with another limit, the last one holds.
    #[arg(long)]
    limit: Option<Span>,
    /// Only begin; do not wait for the end.
    #[arg(long)]
    no_wait: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let socket = match args.from.socket_of_service() {
        Ok(socket) => socket,
        Err(code) => return code,
    };
    let drained = runtime().and_then(|runtime| runtime.block_on(drain(args, &socket)));
    match drained {
        Ok(good) if good => Exit::Done.into(),
        Ok(_) => Exit::Failed.into(),
        Err(error) => fail(&error),
    }
}

/// Whether every call has ended by itself.
async fn drain(args: &Args, socket: &std::path::Path) -> anyhow::Result<bool> {
    let body = StartDrain {
        limit_seconds: args.limit.map(|limit| limit.0.as_secs()),
    };
    let begun = ask(socket, "/v1/drain", Some(json(&body))).await?;
    let mut told = None;
    tell(args, &mut told, &begun)?;
    if args.no_wait {
        return Ok(true);
    }
    let mut end = std::pin::pin!(ask(socket, "/v1/drain/end", None));
    let mut look = tokio::time::interval(LOOK);
    let end = loop {
        tokio::select! {
            end = &mut end => break end,
            _ = look.tick() => {
                // Whoever does not answer now may be about to say how it ended.
                if let Ok(now) = ask(socket, "/v1/drain", None).await {
                    tell(args, &mut told, &now)?;
                }
            }
        }
    };
    let end = end.context(
        "the service has left without saying how: see its log, and `ivrpay task list` when it runs again",
    )?;
    let how: Drained = serde_json::from_str(&end)?;
    if args.from.json() {
        say!("{}", end.trim_end());
    } else if how.told_to_end == 0 {
        say!("drained: no call is left, and the service has left");
    } else {
        say!(
            "the service has left; {} calls were on at the limit and were told to end, {} had not ended even so",
            how.told_to_end,
            how.left
        );
    }
    if !how.all_written {
        eprintln!(
            "ivrpay: the journal has not taken all outcomes; what is missing is settled at the next start"
        );
    }
    Ok(how.told_to_end == 0 && how.left == 0 && how.all_written)
}

/// How far it is, where that is news.
fn tell(args: &Args, told: &mut Option<(bool, usize)>, answer: &str) -> anyhow::Result<()> {
    let now: Drain = serde_json::from_str(answer)?;
    if told.replace((now.stopping, now.calls)) == Some((now.stopping, now.calls)) {
        return Ok(());
    }
    if args.from.json() {
        say!("{}", answer.trim_end());
    } else if now.stopping {
        say!("stopping: {} calls", now.calls);
    } else {
        let left = now.seconds_left.unwrap_or_default();
        say!(
            "draining: {} calls on; they may go on for {left} s",
            now.calls
        );
    }
    Ok(())
}
