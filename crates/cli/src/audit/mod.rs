//! `ivrpay audit`: what in Asterisk would betray a card, in the running one or in the files of a folder.

mod canary;
mod folder;
pub(crate) mod recording;
mod show;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use ivrpay_audit::{FILE_VALUES_PLACE, Finding, NotLookedAt, Report};
use ivrpay_daemon::canary::Extension;
use ivrpay_daemon::config::{Config, Span};
use ivrpay_payment::OperatorId;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::{ConfigPath, Exit, fail, load, runtime};
use folder::FolderError;
use show::Form;

#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 nothing above a note; 1 a finding, or Asterisk could not be asked, or a part of its files not be read (an #include elsewhere, an #exec); 2 a wrong or unreadable folder; 78 the configuration can't be used. With --watch: 0 when it is ended by SIGINT or SIGTERM. With --canary: 0 the card was keyed and is nowhere; 1 it was found, or no card is asked for, or the call could not be placed."
)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: ConfigPath,
    /// Look at the files of this folder, usually /etc/asterisk, instead of asking the running Asterisk.
    #[arg(long, value_name = "FOLDER")]
    files: Option<PathBuf>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Look again and again, and tell what appears and what goes. In a pipe, one JSON object a line.
    #[arg(long)]
    watch: bool,
    /// With --watch: time between two looks, 1s to 24h.
    #[arg(long, requires = "watch", default_value = "60s", value_parser = every)]
    every: Duration,
    /// Place a call with a published test card through the payment extension, as practice that reaches no acquirer, then search for the card in
    /// all that can be reached. Run it as root: memory and logs are not looked at otherwise.
    #[arg(long, requires = "person", conflicts_with_all = ["files", "watch"])]
    canary: bool,
    /// With --canary: who starts it; stands in the journal, as the operator of its payment.
    #[arg(long, requires = "canary", value_parser = person)]
    person: Option<OperatorId>,
    /// With --canary: the extension that the call goes to, which no telephone and no trunk may reach.
    #[arg(
        long,
        requires = "canary",
        value_name = "EXTENSION@CONTEXT",
        default_value = "s@ivrpay-canary"
    )]
    extension: Extension,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Listen to recordings for keys that were pressed; a card number that can be heard is told by place, never by digit.
    Recording(recording::Args),
}

fn person(text: &str) -> Result<OperatorId, String> {
    OperatorId::new(text).map_err(|e| e.to_string())
}

fn every(text: &str) -> Result<Duration, String> {
    let span: Span = text.parse()?;
    if (Duration::from_secs(1)..=Duration::from_secs(24 * 3600)).contains(&span.0) {
        Ok(span.0)
    } else {
        Err("from 1s to 24h".to_owned())
    }
}

pub(crate) fn run(args: &Args) -> ExitCode {
    if let Some(Command::Recording(args)) = &args.command {
        return recording::run(args);
    }
    let source = match &args.files {
        Some(folder) => Source::Files(folder.clone()),
        None => match load(&args.config.config) {
            Ok(config) => Source::Running(Box::new(config)),
            Err(code) => return code,
        },
    };
    let terminal = std::io::stdout().is_terminal();
    let form = match (args.json, terminal) {
        (true, _) => Form::Json,
        (false, true) => Form::Terminal,
        (false, false) if args.watch => Form::Json,
        (false, false) => Form::Plain,
    };
    if let (true, Some(person), Source::Running(config)) = (args.canary, &args.person, &source) {
        return canary::run(config, person.clone(), args.extension.clone(), form);
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    runtime.block_on(async {
        if args.watch {
            return match watch(&source, form, args.every).await {
                Ok(()) => Exit::Done.into(),
                Err(error) => refused(&error),
            };
        }
        let look = match source.look().await {
            Ok(look) => look,
            Err(error) => return refused(&error),
        };
        show::report(&look.report, form);
        if !look.whole {
            eprintln!("ivrpay: not everything could be looked at that should have been; see above");
        }
        if look.report.is_bad() || !look.whole {
            Exit::Failed.into()
        } else {
            Exit::Done.into()
        }
    })
}

fn refused(error: &FolderError) -> ExitCode {
    eprintln!("ivrpay: {error}\nhint: {}", error.hint());
    Exit::Usage.into()
}

/// What is audited.
enum Source {
    Files(PathBuf),
    Running(Box<Config>),
}

/// One look.
struct Look {
    report: Report,
    /// Whether every way that is configured answered.
    whole: bool,
}

impl Source {
    async fn look(&self) -> Result<Look, FolderError> {
        match self {
            Self::Files(folder) => files(folder),
            Self::Running(config) => {
                let today = jiff::Zoned::now().date();
                let seen = ivrpay_daemon::audit::see(config, today).await;
                Ok(Look {
                    report: ivrpay_audit::running(&seen),
                    whole: seen.is_whole(config.ami.is_some()),
                })
            }
        }
    }
}

fn files(path: &Path) -> Result<Look, FolderError> {
    let folder = folder::read(path)?;
    let mut report =
        ivrpay_audit::files(&folder.tree).map_err(|source| FolderError::NotAsterisk {
            path: path.to_owned(),
            source,
        })?;
    // A file of Asterisk's that was not read may hold anything, and so may what a program writes.
    let whole = !report.incomplete
        && !folder
            .passed_over
            .iter()
            .any(|(name, _)| name.ends_with(".conf"));
    let passed_over = folder.passed_over.into_iter();
    report
        .not_looked_at
        .extend(passed_over.map(|(place, because)| NotLookedAt { place, because }));
    Ok(Look { report, whole })
}

/// A line of `--watch`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Change<'a> {
    Appeared {
        time: jiff::Timestamp,
        #[serde(flatten)]
        finding: &'a Finding,
    },
    Gone {
        time: jiff::Timestamp,
        #[serde(flatten)]
        finding: &'a Finding,
    },
    /// Can't be looked at (any more).
    Lost {
        time: jiff::Timestamp,
        #[serde(flatten)]
        not: &'a NotLookedAt,
    },
    /// Can be looked at again.
    Back {
        time: jiff::Timestamp,
        #[serde(flatten)]
        not: &'a NotLookedAt,
    },
    /// After the first look.
    Watching {
        time: jiff::Timestamp,
        findings: usize,
        looked_at: usize,
    },
}

/// Looks until a signal comes. The first look tells everything as new.
async fn watch(source: &Source, form: Form, every: Duration) -> Result<(), FolderError> {
    let mut interrupt = signal(SignalKind::interrupt()).ok();
    let mut terminate = signal(SignalKind::terminate()).ok();
    let mut known: Vec<Finding> = Vec::new();
    let mut lost: Vec<NotLookedAt> = Vec::new();
    let mut first = true;
    loop {
        let look = tokio::select! {
            look = source.look() => look,
            () = next(&mut interrupt) => return Ok(()),
            () = next(&mut terminate) => return Ok(()),
        };
        let time = jiff::Timestamp::now();
        let report = match look {
            Ok(look) => look.report,
            Err(error) if first => return Err(error),
            // A folder that is away for a moment: all that was known stays.
            Err(error) => Report {
                findings: known.clone(),
                looked_at: Vec::new(),
                not_looked_at: vec![NotLookedAt {
                    place: "the folder".to_owned(),
                    because: error.to_string(),
                }],
                incomplete: true,
            },
        };
        for finding in report.findings.iter().filter(|f| !known.contains(f)) {
            tell(form, &Change::Appeared { time, finding });
        }
        // What could not be looked at this time is not gone.
        let (kept, gone): (Vec<Finding>, Vec<Finding>) = known
            .into_iter()
            .filter(|f| !report.findings.contains(f))
            .partition(|f| !report.covers(&f.place));
        for finding in &gone {
            tell(form, &Change::Gone { time, finding });
        }
        // What comes and goes with calls is told once.
        let told = |not: &&NotLookedAt| first || not.place != FILE_VALUES_PLACE;
        let new = report.not_looked_at.iter().filter(|n| !lost.contains(n));
        for not in new.filter(told) {
            tell(form, &Change::Lost { time, not });
        }
        let old = lost.iter().filter(|n| !report.not_looked_at.contains(n));
        for not in old.filter(told) {
            tell(form, &Change::Back { time, not });
        }
        if first {
            first = false;
            let (findings, looked_at) = (report.findings.len(), report.looked_at.len());
            tell(
                form,
                &Change::Watching {
                    time,
                    findings,
                    looked_at,
                },
            );
        }
        lost = report.not_looked_at;
        known = report.findings;
        known.extend(kept);
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = next(&mut interrupt) => return Ok(()),
            () = next(&mut terminate) => return Ok(()),
        }
    }
}

/// Waits for a signal; for ever where it can't be waited for.
async fn next(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

fn tell(form: Form, change: &Change<'_>) {
    if form == Form::Json {
        say!("{}", serde_json::to_string(change).unwrap_or_default());
        return;
    }
    match change {
        Change::Appeared { time, finding } => {
            say!("{time:.0} appeared");
            show::finding(finding, form);
        }
        Change::Gone { time, finding } => {
            say!("{time:.0} gone: {} {}", finding.id, finding.place);
        }
        Change::Lost { time, not } => {
            say!(
                "{time:.0} not looked at: {}, because {}",
                not.place,
                not.because
            );
        }
        Change::Back { time, not } => say!("{time:.0} looked at again: {}", not.place),
        Change::Watching {
            time,
            findings,
            looked_at,
        } => {
            say!("{time:.0} watching: {findings} findings, {looked_at} places looked at");
        }
    }
}
