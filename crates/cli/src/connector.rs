//! `ivrpay connector list|accept`: the connectors of the configuration, and a person's word for one that moves money.

mod accept;
mod list;

use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// The connectors of the configuration: where, test or live, whose payments, since when.
    List(list::Args),
    /// Take a live connector that has been used and is another now; who says so goes into the journal. The service may not run.
    Accept(accept::Args),
}

pub(crate) fn run(command: Command) -> ExitCode {
    match command {
        Command::List(args) => list::run(&args),
        Command::Accept(args) => accept::run(&args),
    }
}
