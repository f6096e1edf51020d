//! `ivrpay journal …`: a copy, a check, rows and sums for accounting. All of it reads, beside a service that writes.

mod close;
mod copy;
pub(crate) mod days;
mod due;
mod export;
pub(crate) mod verify;

use std::process::ExitCode;

use ivrpay_daemon::config::Config;
use ivrpay_journal::{Journal, Location};

use crate::{ConfigPath, Exit, fail, load, runtime};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Copy the journal into a new file while the service writes it, and check the copy.
    Backup(copy::Args),
    /// Check every record: its hash, its place in the chain, the state of each payment; with --anchor also against ends kept elsewhere.
    Verify(verify::Args),
    /// Print where the chains of records end, to be kept on another machine.
    Head(verify::HeadArgs),
    /// Write what was approved in some days as CSV, for accounting.
    Export(export::Args),
    /// Add up a day by site and operator, in the merchant's time zone.
    Close(close::Args),
    /// Count the payments that the service takes out next, since their time is over (`keep_days`).
    Due(due::Args),
}

pub(crate) fn run(command: Command) -> ExitCode {
    match command {
        Command::Backup(args) => copy::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Head(args) => verify::head(&args),
        Command::Export(args) => export::run(&args),
        Command::Close(args) => close::run(&args),
        Command::Due(args) => due::run(&args),
    }
}

/// Reads the configuration and the journal, and says what came of it.
fn with_journal(
    config: &ConfigPath,
    done: impl AsyncFnOnce(&Config, Journal) -> anyhow::Result<Exit>,
) -> ExitCode {
    let config = match load(&config.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let ended = runtime().and_then(|runtime| {
        runtime.block_on(async {
            let journal = opened(&config.journal_at).await?;
            done(&config, journal).await
        })
    });
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => fail(&error),
    }
}

/// For reading.
pub(crate) async fn opened(at: &Location) -> anyhow::Result<Journal> {
    let journal = Journal::open_read_only(at).await;
    journal.map_err(|error| anyhow::anyhow!("the journal {at}: {error}\nhint: {}", error.hint()))
}
