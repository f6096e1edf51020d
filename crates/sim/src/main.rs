//! `ivrpay-sim`: a simulated acquirer and callers for tests. Never installed.

use clap::{Parser, Subcommand};

mod acquirer;
mod caller;

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
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let code = match Cli::parse().command {
        Command::Acquirer(args) => acquirer::run(args).await,
        Command::Call(args) => caller::run(args).await,
    };
    std::process::ExitCode::from(code)
}
