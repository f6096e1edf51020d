//! `ivrpay connector list|test|accept`: the connectors of the configuration, tried, and a person's word for one that moves money.

mod accept;
mod list;
mod test;

use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// The connectors of the configuration: where, test or live, whose payments, since when.
    List(list::Args),
    /// Run a list of cases against a connector's endpoint: a simulator, or the acquirer's own test system. Prints a report for the acquirer.
    Test(test::Args),
    /// Take a live connector that has been used and is another now; who says so goes into the journal. The service may not run.
    Accept(accept::Args),
}

pub(crate) fn run(command: Command) -> ExitCode {
    match command {
        Command::List(args) => list::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Accept(args) => accept::run(&args),
    }
}
