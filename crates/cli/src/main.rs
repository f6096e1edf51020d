//! `ivrpay`: card payments by telephone keypad on your own Asterisk.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks there"
)]

/// A line on standard output.
macro_rules! say {
    ($($text:tt)*) => { $crate::print(&format!($($text)*)) };
}

mod approval;
mod audit;
mod audit_log;
mod card;
mod connector;
mod console;
mod csv_quotes;
mod drain;
mod journal;
mod key;
mod order;
mod payment;
mod person;
mod pools;
mod receipt;
mod reconcile;
mod recording;
mod simulate;
mod task;
#[cfg(feature = "plant")]
mod teller;
mod trunk;
mod webhook;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use ivrpay_daemon::check::{Check, Verdict};
use ivrpay_daemon::config::Config;

/// Freed memory is wiped, whoever freed it: libraries keep copies that we can't reach (PCI DSS v4.0.1, 3.3.1).
#[cfg(not(feature = "plain-memory"))]
#[global_allocator]
static ALLOCATOR: ivrpay_secret::ZeroOnFree = ivrpay_secret::ZeroOnFree;

/// Card payments by telephone keypad on your own Asterisk.
#[derive(Parser)]
#[command(
    name = "ivrpay",
    version,
    after_help = "Exit codes: 0 done; 1 failed; 2 wrong usage; 78 the configuration can't be used.\nIVRPAY_LOG sets how much `serve` logs: error, warn, info (the default), debug, trace."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service: take calls from Asterisk until SIGTERM, let those that are on end ([limits] drain_limit), then leave. A second
    /// SIGTERM ends them at once.
    Serve {
        #[command(flatten)]
        config: ConfigPath,
    },
    /// The running service takes no new call, lets those that are on end, and leaves: for an upgrade.
    Drain(drain::Args),
    /// Look at everything that the service needs: file, values, prompts, secret memory, journal, Asterisk, acquirers.
    #[command(args_conflicts_with_subcommands = true)]
    Check {
        #[command(subcommand)]
        what: Option<CheckWhat>,
        #[command(flatten)]
        config: ConfigPath,
        /// Stop before the network.
        #[arg(long)]
        offline: bool,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        /// Fail on warnings too.
        #[arg(long)]
        deny_warnings: bool,
    },
    /// Look for everything in Asterisk that would betray a card: in the running one, or in the files of a folder.
    Audit(audit::Args),
    /// Walk through a payment in this terminal: the same dialogue, keys from the keyboard, no Asterisk, nobody is charged.
    Simulate(simulate::Args),
    /// Payments of the running service.
    Payment {
        #[command(subcommand)]
        command: payment::Command,
    },
    /// Orders that are paid in parts: split over several cards, or once more with a reason.
    Order {
        #[command(subcommand)]
        command: order::Command,
    },
    /// Brands of cards.
    Card {
        #[command(subcommand)]
        command: card::Command,
    },
    /// Connectors to acquirers: which there are, tried against the test system, and a person's word for one that moves money.
    Connector {
        #[command(subcommand)]
        command: connector::Command,
    },
    /// Web pages for operators, supervisors and admins: a program of its own that asks the API, on this host or another (docs/console.md).
    Console(console::Args),
    /// Recordings in which a card was spoken or keyed: out of reach, into the journal, and what became of them.
    Recording {
        #[command(subcommand)]
        command: recording::Command,
    },
    /// The journal: a copy, a check of every record, rows and sums for accounting.
    Journal {
        #[command(subcommand)]
        command: journal::Command,
    },
    /// Who may sign in at the HTTP API: people, their passwords and second factors.
    Person {
        #[command(subcommand)]
        command: person::Command,
    },
    /// Keys of programs for the HTTP API, beside those of the configuration.
    Key {
        #[command(subcommand)]
        command: key::Command,
    },
    /// What people may not ask of an acquirer alone: a second person allows or refuses it.
    Approval {
        #[command(subcommand)]
        command: approval::Command,
    },
    /// Who did what at the HTTP API and on the socket.
    AuditLog {
        #[command(subcommand)]
        command: audit_log::Command,
    },
    /// Places for calls that merchants have bought ([pools]), and how many are taken.
    Pools(pools::Args),
    /// Receipts of what was charged and given back (領収書, 返還インボイス).
    Receipt {
        #[command(subcommand)]
        command: receipt::Command,
    },
    /// What merchants' programs were told of payments, and what they did not take.
    Webhook {
        #[command(subcommand)]
        command: webhook::Command,
    },
    /// Compare an acquirer's settlement file with the journal, to the yen.
    Reconcile(reconcile::Args),
    /// What people must do: unknown outcomes, callers who did not hear an approval, promised calls, recordings with a card.
    Task {
        #[command(subcommand)]
        command: task::Command,
    },
    #[cfg(feature = "plant")]
    #[command(hide = true)]
    Teller {
        #[command(subcommand)]
        command: teller::Command,
    },
    /// Print completions for a shell.
    Completions {
        /// bash, zsh, fish, elvish, powershell
        shell: clap_complete::Shell,
    },
}

#[derive(Subcommand)]
enum CheckWhat {
    /// How keys arrive on a line: a call of your own, in which a person presses all keys. Says which setting to change.
    Trunk(trunk::Args),
}

#[derive(clap::Args)]
pub(crate) struct ConfigPath {
    /// The configuration.
    #[arg(
        long,
        short,
        env = "IVRPAY_CONFIG",
        default_value = "/etc/ivrpay/ivrpay.toml"
    )]
    config: PathBuf,
}

/// Exit codes.
#[derive(Clone, Copy)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    /// Wrong usage, as clap has it, or a file that was named can't be read.
    Usage = 2,
    /// `EX_CONFIG` of sysexits.h.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    ivrpay_daemon::install_crypto();
    // A panic is a bug; what it says may hold what it was about, so only the place is printed.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(|l| format!("{}:{}", l.file(), l.line()))
            .unwrap_or_default();
        eprintln!("ivrpay: a bug at {place}; please report it");
    }));
    match cli.command {
        Command::Serve { config } => serve(&config.config),
        Command::Check {
            what: Some(CheckWhat::Trunk(args)),
            ..
        } => trunk::run(args),
        Command::Check {
            what: None,
            config,
            offline,
            json,
            deny_warnings,
        } => check(&config.config, offline, json, deny_warnings),
        Command::Drain(args) => drain::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Payment { command } => payment::run(command),
        Command::Order { command } => order::run(command),
        Command::Card { command } => card::run(command),
        Command::Connector { command } => connector::run(command),
        Command::Console(args) => console::run(&args),
        Command::Recording { command } => recording::run(command),
        Command::Journal { command } => journal::run(command),
        Command::Person { command } => person::run(command),
        Command::Key { command } => key::run(command),
        Command::Approval { command } => approval::run(command),
        Command::AuditLog { command } => audit_log::run(command),
        Command::Pools(args) => pools::run(&args),
        Command::Receipt { command } => receipt::run(command),
        Command::Webhook { command } => webhook::run(command),
        Command::Reconcile(args) => reconcile::run(&args),
        Command::Task { command } => task::run(command),
        #[cfg(feature = "plant")]
        Command::Teller { command } => teller::run(command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "ivrpay", &mut script);
            print(String::from_utf8_lossy(&script).trim_end());
            Exit::Done.into()
        }
    }
}

/// Writes a line. Whoever reads may have gone (`| head`): then there is nobody to tell, and no bug.
pub(crate) fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    let written = out
        .write_all(line.as_bytes())
        .and_then(|()| out.write_all(b"\n"));
    match written {
        Ok(()) => {}
        // The verdict is still the exit code.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        Err(error) => {
            eprintln!("ivrpay: standard output can't be written: {error}");
            std::process::exit(Exit::Failed as i32)
        }
    }
}

/// Two threads: with one, a key waits while another call is led (p99 at 200 calls 5 times that of one call, measured); with more,
/// they wake each other up without need.
const WORKERS: usize = 2;

pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()?)
}

/// What ends when SIGINT or SIGTERM comes; from here on neither ends the process by itself. Within a runtime.
///
/// # Errors
/// When they can't be waited for.
pub(crate) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Of who would place a call and could not hang it up when he is stopped.
pub(crate) fn no_signals(error: &std::io::Error) -> ExitCode {
    eprintln!("ivrpay: signals can't be waited for ({error}); no call was placed");
    Exit::Failed.into()
}

pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("ivrpay: {error:#}");
    Exit::Failed.into()
}

/// Reads a configuration, or says what is wrong with it.
pub(crate) fn load(path: &std::path::Path) -> Result<Config, ExitCode> {
    let config = Config::load(path).map_err(|error| {
        eprintln!("ivrpay: {error}\nhint: {}", error.hint());
        ExitCode::from(Exit::Config)
    })?;
    // No card has been read yet.
    if let Some((_, ranges)) = &config.card_ranges {
        ranges.clone().install();
    }
    Ok(config)
}

fn serve(path: &std::path::Path) -> ExitCode {
    let config = match load(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    log();
    // Before any other thread: no core files, nobody looks in; then the arena, so that no card is ever anywhere else.
    if let Err(error) = ivrpay_secret::harden() {
        eprintln!("ivrpay: {error}\nhint: {}", error.hint());
        return Exit::Failed.into();
    }
    let layout = ivrpay_secret::Layout::for_calls(config.limits.calls_max);
    let report = match ivrpay_secret::init(config.secret_policy, layout) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("ivrpay: {error}\nhint: {}", error.hint());
            return Exit::Config.into();
        }
    };
    // What is read here can't be read any more afterwards.
    let host = ivrpay_secret::Host::look();
    let reach = ivrpay_daemon::reach(&config);
    let protections = host.protections(&ivrpay_secret::confine(&reach), &reach);
    let served = runtime()
        .and_then(|runtime| runtime.block_on(ivrpay_daemon::serve(config, report, &protections)));
    match served {
        Ok(()) => Exit::Done.into(),
        Err(error) => match error.downcast_ref::<ivrpay_daemon::live::Changed>() {
            // A restart would not help.
            Some(changed) => {
                eprintln!("ivrpay: {changed}\nhint: {}", changed.hint());
                Exit::Config.into()
            }
            None => fail(&error),
        },
    }
}

/// To a terminal in colour for people, else one JSON object a line. `IVRPAY_LOG` sets the level (`debug`, `ivrpay_daemon=debug`).
fn log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("IVRPAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    if std::io::stderr().is_terminal() {
        builder.init()
    } else {
        builder.json().flatten_event(true).init()
    }
}

fn check(path: &std::path::Path, offline: bool, json: bool, deny_warnings: bool) -> ExitCode {
    let mut tell = |fact: &ivrpay_daemon::check::Fact| {
        if json {
            say!("{}", serde_json::to_string(fact).unwrap_or_default());
            return;
        }
        let mark = match fact.verdict {
            Verdict::Good => "ok  ",
            Verdict::Warning => "warn",
            Verdict::Bad => "BAD ",
        };
        say!("{mark} {:<13} {}", fact.ring, fact.fact);
        if let Some(hint) = &fact.hint {
            say!("     {:<13} hint: {hint}", "");
        }
    };
    let facts = match runtime() {
        Ok(runtime) => runtime.block_on(Check::new(&mut tell).run(path, offline)),
        Err(error) => return fail(&error),
    };
    let worst = facts
        .iter()
        .map(|f| f.verdict)
        .max()
        .unwrap_or(Verdict::Bad);
    let (bad, warnings) = (
        facts.iter().filter(|f| f.verdict == Verdict::Bad).count(),
        facts
            .iter()
            .filter(|f| f.verdict == Verdict::Warning)
            .count(),
    );
    if !json {
        say!(
            "check: {} facts, {warnings} warnings, {bad} bad",
            facts.len()
        );
    }
    match worst {
        Verdict::Bad if facts.len() == 1 => Exit::Config.into(),
        Verdict::Bad => Exit::Failed.into(),
        Verdict::Warning if deny_warnings => Exit::Failed.into(),
        _ => Exit::Done.into(),
    }
}
