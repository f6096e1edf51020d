//! `ivrpay connector test`: a list of cases against an acquirer's test system.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ivrpay_card::Month;
use ivrpay_daemon::config::Config;
use ivrpay_journal::Rehearsal;
use ivrpay_payment::{AcquirerOrder, Durable, Intent};
use ivrpay_wire::conformance::{Cards, Kit, Offered, Record, Report, Row, Subject, Verdict};
use jiff::Zoned;
use serde::Serialize;

use crate::{ConfigPath, Exit, fail, load, no_signals, runtime, stop_signal};

#[derive(clap::Args)]
#[command(
    after_help = "The list, and what each case expects: docs/connector-test.md. Small amounts in yen, all undone; what could not be undone is said by its order \
number. Only connectors in mode test: these are no payments, and the journal knows nothing of them.\n\n\
A file of cards has lines `approved NUMBER MMYY CODE` and `declined NUMBER MMYY CODE`, and only you may read it (chmod 600). Acquirers' published test numbers are \
known.\n\n\
Exit codes: 0 all that was tried is as expected; 1 something failed or was left; 2 wrong usage, or a live connector; 78 the configuration can't be used."
)]
pub(crate) struct Args {
    /// Its name: [connectors.NAME].
    name: String,
    #[command(flatten)]
    config: ConfigPath,
    /// Test cards of this merchant's own.
    #[arg(long, value_name = "FILE")]
    card_file: Option<PathBuf>,
    /// Where each operation is written before it goes out; a new file. Without it a temporary one, deleted if nothing was left.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// The file of what goes out.
struct Written(Rehearsal);

impl Record for Written {
    fn order(&mut self) -> AcquirerOrder {
        self.0.order()
    }

    fn write(&mut self, intent: Intent) -> std::io::Result<Durable<Intent>> {
        self.0.write(intent)
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    date: String,
    mode: &'static str,
    #[serde(flatten)]
    report: &'a Report,
    good: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let config = match load(&args.config.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let usage = |message: &str, hint: &str| {
        eprintln!("ivrpay: {message}\nhint: {hint}");
        ExitCode::from(Exit::Usage)
    };
    let Some(connector) = config.connectors.get(&args.name) else {
        let known: Vec<_> = config.connectors.keys().map(String::as_str).collect();
        let hint = format!("there are: {}", known.join(", "));
        return usage(&format!("there is no [connectors.{}]", args.name), &hint);
    };
    if is_of_a_live_merchant(&config, &args.name) {
        return usage(
            "a live merchant uses this connector: its charges would be real",
            "write a connector of the acquirer's test system beside it, and test that",
        );
    }
    // Cards will be in memory: no core file, and no other place than the arena. Before the first thread.
    if let Err(error) = ivrpay_secret::harden() {
        return failed(&error.to_string(), error.hint());
    }
    let layout = ivrpay_secret::Layout::for_calls(4);
    if let Err(error) = ivrpay_secret::init(config.secret_policy, layout) {
        return failed(&error.to_string(), &error.hint());
    }
    let now = Zoned::now();
    let month = Month {
        year: now.year().unsigned_abs(),
        month: now.month().unsigned_abs(),
    };
    let cards = Cards::of(
        &connector.kind.about().sandbox,
        args.card_file.as_deref(),
        month,
    );
    let cards = match cards {
        Ok(cards) => cards,
        Err(error) => return usage(&error.to_string(), error.hint()),
    };
    let path = args.record.clone().unwrap_or_else(|| {
        let name = format!("ivrpay-connector-{}.jsonl", uuid::Uuid::now_v7());
        std::env::temp_dir().join(name)
    });
    let mut record = match Rehearsal::begin(&path) {
        Ok(record) => Written(record),
        Err(error) => {
            let message = format!("{} can't be written: {error}", path.display());
            return usage(
                &message,
                "--record names a new file in a folder that is yours",
            );
        }
    };
    let plans = config.plans_of(&args.name);
    let plans: Option<Vec<Offered>> = plans.map(|plans| {
        let plans = plans.into_iter();
        let plans = plans.map(|(plan, amount)| Offered { plan, amount });
        plans.collect()
    });
    let subject = Subject {
        name: &args.name,
        kind: connector.kind,
        settings: &connector.settings,
        endpoint: connector.endpoint.as_ref(),
        plans: plans.as_deref(),
    };
    let report = match Kit::new(subject, cards, &mut record) {
        Ok(kit) => {
            eprintln!("connector: what goes out is written to {}", path.display());
            tested(kit)
        }
        Err(error) => {
            forget(&path);
            return usage(&error.to_string(), error.hint());
        }
    };
    let report = match report {
        Ok(report) => report,
        Err(code) => return code,
    };
    if args.record.is_none() && report.left.is_empty() {
        forget(&path);
    }
    show(&report, &now, args.json);
    if report.is_good() {
        Exit::Done.into()
    } else {
        Exit::Failed.into()
    }
}

/// A merchant's own endpoint knows no modes: its merchants say whether money moves.
fn is_of_a_live_merchant(config: &Config, name: &str) -> bool {
    let mut tenants = config.tenants.iter();
    tenants.any(|tenant| tenant.live && tenant.uses(name))
}

fn tested(kit: Kit<'_>) -> Result<Report, ExitCode> {
    let runtime = runtime().map_err(|error| fail(&error))?;
    let terminal = std::io::stderr().is_terminal();
    let tell = |row: &Row| {
        if terminal {
            eprintln!("connector: {:<24} {}", row.case, row.result.name());
        }
    };
    let report = runtime.block_on(async {
        // From here on a signal no longer ends the process before what stands is undone.
        let signal = stop_signal()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let waiting = tokio::spawn(async move {
            signal.await;
            stopped.store(true, Ordering::Relaxed);
            eprintln!("connector: stopping; what stands is undone first");
        });
        let report = kit.run(&stop, tell).await;
        waiting.abort();
        Ok::<_, std::io::Error>(report)
    });
    report.map_err(|error| no_signals(&error))
}

fn failed(message: &str, hint: &str) -> ExitCode {
    eprintln!("ivrpay: {message}\nhint: {hint}");
    Exit::Failed.into()
}

fn forget(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        eprintln!("connector: {} stays: {error}", path.display());
    }
}

fn show(report: &Report, now: &Zoned, json: bool) {
    let date = now.strftime("%Y-%m-%d %H:%M:%S %:z").to_string();
    if json {
        let shown = Shown {
            date,
            mode: "test",
            report,
            good: report.is_good(),
        };
        say!("{}", serde_json::to_string(&shown).unwrap_or_default());
        return;
    }
    say!(
        "connector test: {} ({}), {}",
        report.connector,
        report.kind,
        report.title
    );
    say!(
        "{date}, ivrpay {}, {}, mode test",
        report.ivrpay,
        report.host
    );
    for row in &report.cases {
        say!("");
        say!("{:<13} {}: {}", row.result.name(), row.case, row.what);
        if row.result == Verdict::NotSupported {
            say!("{:<13} {}", "", row.came);
            continue;
        }
        say!("{:<13} expected: {}", "", row.expected);
        say!("{:<13} came:     {} ({} ms)", "", row.came, row.ms);
        let parts = [
            ("order", &row.order),
            ("reference", &row.reference),
            ("code", &row.code),
        ];
        let known = parts.into_iter().filter_map(|(name, value)| {
            let value = value.as_ref()?;
            Some(format!("{name} {value}"))
        });
        let known: Vec<_> = known.collect();
        if !known.is_empty() {
            say!("{:<13} {}", "", known.join(", "));
        }
        if let Some(hint) = row.hint {
            say!("{:<13} hint: {hint}", "");
        }
    }
    say!("");
    say!(
        "plans tried: {} ({})",
        if report.plans.tried.is_empty() {
            "none".to_owned()
        } else {
            report.plans.tried.join(", ")
        },
        match report.plans.of {
            "merchants" => "what the merchants who use it offer",
            _ => "one of each kind that it can carry: no merchant of this configuration uses it",
        }
    );
    for left in &report.left {
        say!(
            "left: order {}, {} {}: {}; undo it in the acquirer's screens",
            left.order,
            left.amount_minor,
            left.currency,
            left.why
        );
    }
    say!(
        "connector test: {} ok, {} failed, {} not supported, {} not tried, {} left",
        report.count(Verdict::Ok),
        report.count(Verdict::Failed),
        report.count(Verdict::NotSupported),
        report.count(Verdict::NotTried),
        report.left.len()
    );
}
