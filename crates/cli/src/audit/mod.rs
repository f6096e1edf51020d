//! `ivrpay audit`: looks for card data where it must not be.

use std::process::ExitCode;

mod recording;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Listen to recordings for keys that were pressed; a card number that can be heard is told by place, never by digit.
    Recording(recording::Args),
}

pub(crate) fn run(command: &Command) -> ExitCode {
    match command {
        Command::Recording(args) => recording::run(args),
    }
}
