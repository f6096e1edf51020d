//! `ivrpay-sim`: a simulated acquirer and callers for tests. Never installed.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks there"
)]

use clap::{Parser, Subcommand};

mod acquirer;
mod caller;
mod card;
mod line;
mod phone;
mod scan;
mod seeds;
mod without;

/// Simulators for ivrpay's tests: an acquirer, and callers over real SIP and RTP. Loopback only.
#[derive(Parser)]
#[command(name = "ivrpay-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A simulated acquirer that speaks the Generic Pay contract as a server.
    Acquirer(acquirer::Args),
    /// One real call from outside over SIP and RTP, keys as a script.
    Call(caller::Args),
    /// Print a made-up card inside a published test BIN: `PAN MMYY CODE`.
    Card(card::Args),
    /// Hold a card in memory in every form, for the control of a search.
    Hold(scan::HoldArgs),
    /// A telephone on an operator's desk over SIP and RTP: is called, talks, transfers, as scripts say.
    Phone(phone::Args),
    /// Look for card numbers in memory and files; says where and how often, never what.
    Scan(scan::Args),
    /// Simulate payments by seeds: every order of faults, kills and losses of power, and an auditor at every step.
    Seeds(seeds::Args),
    /// Run a command as on a machine that lacks something: secret memory, locked memory, seccomp, Landlock.
    Without(without::Args),
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    // One provider for every TLS of ours; a second call says that there is one already.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let code = match Cli::parse().command {
        Command::Acquirer(args) => acquirer::run(args).await,
        Command::Call(args) => caller::run(args).await,
        Command::Card(args) => card::run(&args),
        Command::Hold(args) => scan::hold(&args),
        Command::Phone(args) => phone::run(args).await,
        Command::Scan(args) => scan::run(args).await,
        Command::Seeds(args) => seeds::run(&args),
        Command::Without(args) => without::run(&args),
    };
    std::process::ExitCode::from(code)
}
