//! `ivrpay-console`: started by `ivrpay console`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks there"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ivrpay_console::{Config, Console, Error};
use tokio::signal::unix::{SignalKind, signal};

/// Web pages for operators, supervisors and admins, over the HTTP API. Runs until SIGTERM.
#[derive(Parser)]
#[command(name = "ivrpay console", version)]
struct Args {
    /// Its settings.
    #[arg(
        long,
        short,
        global = true,
        env = "IVRPAY_CONSOLE_CONFIG",
        default_value = "/etc/ivrpay/console.toml"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Look at the settings, and whether the API answers.
    Check,
}

/// As `ivrpay` has them.
const FAILED: u8 = 1;
const CONFIG: u8 = 78;

fn main() -> ExitCode {
    let args = Args::parse();
    // What a panic says may be about what somebody has entered.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(|l| format!("{}:{}", l.file(), l.line()))
            .unwrap_or_default();
        eprintln!("ivrpay-console: a bug at {place}; please report it");
    }));
    match run(&args.config, args.command.is_some()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ivrpay-console: {error}");
            if let Some(error) = error.downcast_ref::<Error>() {
                eprintln!("hint: {}", error.hint());
                if matches!(error, Error::Config(_) | Error::Tls(_)) {
                    return CONFIG.into();
                }
            }
            FAILED.into()
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn run(config: &Path, check: bool) -> anyhow::Result<ExitCode> {
    let config = Config::load(config).map_err(Error::from)?;
    let address = config.api.address.clone();
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let console = Console::new(config)?;
    if check {
        if console.reaches_api().await {
            println!("the settings can be used, and {address} answers");
            return Ok(ExitCode::SUCCESS);
        }
        println!("{address} does not answer as the service's API");
        println!("hint: start the service with [http] listen, and look at [api] of the settings");
        return Ok(FAILED.into());
    }
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    console
        .serve(stop, |at| println!("pages at {scheme}://{at}"))
        .await?;
    Ok(ExitCode::SUCCESS)
}
