//! What a durable intent costs against a raw `fdatasync` of 256 bytes on the same disk, in the same run; how many records share a sync when 64
//! payments write at once; and how long a start takes that finds 10,000 open ones.
//!
//! `cargo run -p ivrpay-journal --example sync_cost [FOLDER] [PAYMENTS] [postgres://…]`; with a URL, of an empty database whose files are on the same
//! disk, the same for PostgreSQL.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement on a terminal"
)]

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use ivrpay_journal::{
    EnteredBy, IntentDraft, Journal, Location, Mode, NewPayment, OpenOptions, Origin, Server,
};
use ivrpay_payment::{
    AcquirerRef, Approval, Brand, CallId, Currency, Money, Outcome, Plan, TenantId, Transaction,
    Truncated,
};

/// Payments that write at once.
const AT_ONCE: usize = 64;
/// Open payments that a start finds.
const OPEN: usize = 10_000;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| ".".into());
    let payments: usize = arguments.next().map_or(500, |count| count.parse().unwrap());
    let place = tempfile::tempdir_in(folder).unwrap();

    let mut file = File::create(place.path().join("raw")).unwrap();
    let raw = times(payments, || {
        file.write_all(&[7; 256]).unwrap();
        file.sync_data().unwrap();
    });
    let syncs = rate(raw.len(), raw.iter().sum());
    let base = show("raw fdatasync of 256 B", raw, None);
    println!("{:26} {syncs:7.0} syncs/s", "");
    let mut stores = vec![("SQLite", Location::from(place.path().join("journal.db")))];
    if let Some(url) = arguments.next() {
        stores.push(("PostgreSQL", Server::new(&url, None).unwrap().into()));
    }
    for (name, at) in stores {
        println!("\n{name}");
        one_by_one(&at, payments, base).await;
        at_once(&at, payments, syncs).await;
        start(&at).await;
    }
}

fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

async fn open(at: &Location, writer: &str) -> Journal {
    Journal::open(at, OpenOptions::new(writer)).await.unwrap()
}

/// A payment after the other.
async fn one_by_one(at: &Location, payments: usize, base: (f64, f64)) {
    let journal = open(at, "one").await;
    let mut steps: [Vec<Duration>; 4] = std::array::from_fn(|_| Vec::with_capacity(payments));
    for n in 0..payments {
        let mut at = Instant::now();
        let mut lap = |step: &mut Vec<Duration>| {
            step.push(at.elapsed());
            at = Instant::now();
        };
        let id = journal.create(payment(n)).await.unwrap().payment().id;
        journal
            .claim(id, CallId::new(uuid::Uuid::now_v7()))
            .await
            .unwrap();
        lap(&mut steps[0]);
        let intent = journal.write_intent(id, draft()).await.unwrap();
        lap(&mut steps[1]);
        journal.write_outcome(&intent, &approved()).await.unwrap();
        lap(&mut steps[2]);
        journal
            .close(id, "success", serde_json::Value::Null)
            .await
            .unwrap();
        lap(&mut steps[3]);
    }
    journal.stop().await.unwrap();
    let names = [
        "create + claim (no sync)",
        "write_intent (sync)",
        "write_outcome (sync)",
        "close (no sync)",
    ];
    for (name, step) in names.into_iter().zip(steps) {
        show(name, step, Some(base));
    }
}

/// Intents and outcomes of many at once: each waits for the disk.
async fn at_once(at: &Location, payments: usize, raw: f64) {
    let journal = open(at, "many").await;
    let mut claimed = Vec::new();
    for n in 0..payments.next_multiple_of(AT_ONCE) {
        let mut new = payment(n);
        new.order = None;
        let call = CallId::new(uuid::Uuid::now_v7());
        let claim = journal.create_claimed(new, call).await.unwrap();
        claimed.push(claim.payment().id);
    }
    let (before, began) = (journal.commits(), Instant::now());
    let callers: Vec<_> = (0..AT_ONCE)
        .map(|caller| {
            let journal = journal.clone();
            let mine: Vec<_> = claimed
                .iter()
                .skip(caller)
                .step_by(AT_ONCE)
                .copied()
                .collect();
            tokio::spawn(async move {
                for id in mine {
                    let intent = journal.write_intent(id, draft()).await.unwrap();
                    journal.write_outcome(&intent, &approved()).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let (took, after) = (began.elapsed(), journal.commits());
    let (records, commits) = (after.0 - before.0, after.1 - before.1);
    let (records_s, commits_s) = (
        records as f64 / took.as_secs_f64(),
        commits as f64 / took.as_secs_f64(),
    );
    println!(
        "{AT_ONCE} payments at once        {records_s:7.0} records/s ({:.2} of the raw syncs/s), {:.1} records a sync, {commits_s:.0} syncs/s ({:.2})",
        records_s / raw,
        records as f64 / commits as f64,
        commits_s / raw,
    );
    journal.stop().await.unwrap();
}

/// A process is gone in the middle of many payments.
async fn start(at: &Location) {
    let journal = open(at, "gone").await;
    let mut tasks = Vec::new();
    for part in 0..AT_ONCE {
        let journal = journal.clone();
        tasks.push(tokio::spawn(async move {
            for n in (part..OPEN).step_by(AT_ONCE) {
                let mut new = payment(n);
                new.order = None;
                let call = CallId::new(uuid::Uuid::now_v7());
                let id = journal
                    .create_claimed(new, call)
                    .await
                    .unwrap()
                    .payment()
                    .id;
                journal.write_intent(id, draft()).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    drop(journal);
    // The connection's thread closes the file on its own time.
    let began = Instant::now();
    let journal = loop {
        match Journal::open(at, OpenOptions::new("next")).await {
            Ok(journal) => break journal,
            Err(ivrpay_journal::Error::InUse { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    let opened = began.elapsed();
    let began = Instant::now();
    let mut unknown = 0;
    // One that shares a database has a lease that has to end first.
    while unknown < OPEN {
        unknown += journal.recover().await.unwrap().unknown.len();
        if unknown < OPEN {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    println!(
        "{OPEN} open payments     opened in {opened:.2?}, made good in {:.2?} (PostgreSQL: with the end of the lease)",
        began.elapsed()
    );
    journal.stop().await.unwrap();
}

fn times(count: usize, mut step: impl FnMut()) -> Vec<Duration> {
    (0..count)
        .map(|_| {
            let at = Instant::now();
            step();
            at.elapsed()
        })
        .collect()
}

/// Prints p50 and p99, and the ratio to the raw sync; returns p50 and p99.
fn show(name: &str, mut times: Vec<Duration>, base: Option<(f64, f64)>) -> (f64, f64) {
    times.sort();
    let at =
        |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e6;
    let (p50, p99) = (at(50), at(99));
    match base {
        Some((base50, base99)) => {
            println!(
                "{name:26} p50 {p50:7.0} us ({:4.1} x)   p99 {p99:7.0} us ({:4.1} x)",
                p50 / base50,
                p99 / base99
            );
        }
        None => println!("{name:26} p50 {p50:7.0} us           p99 {p99:7.0} us"),
    }
    (p50, p99)
}

fn payment(n: usize) -> NewPayment {
    NewPayment {
        tenant: TenantId::new("bench").unwrap(),
        order: Some(format!("B-{n}").parse().unwrap()),
        part: 0,
        operator: None,
        site: None,
        asked_plan: None,
        amount: amount(),
        mode: Mode::Test,
        connector: "null".into(),
        connector_named: false,
        language: "en".into(),
        prompt_version: "1".into(),
        origin: Origin::Dialplan,
        entered_by: EnteredBy::Caller,
        expires_ms: None,
        operator_extension: None,
        caller_number: None,
        request: None,
        transaction: Transaction::Charge,
        stored: None,
    }
}

fn draft() -> IntentDraft {
    IntentDraft {
        stored: false,
        amount: amount(),
        card: Truncated::new(Brand::Visa, [1, 1, 1, 1]).unwrap(),
        plan: Plan::LumpSum,
        connector: "null".into(),
        evidence: serde_json::json!([{"prompt": "amount", "key": "1"}]),
    }
}

fn approved() -> Outcome {
    Outcome::Approved(Approval {
        acquirer_ref: AcquirerRef::new("ch_1").unwrap(),
        code: None,
        card: None,
    })
}

fn amount() -> Money {
    Money::new(1200, Currency::Jpy).unwrap()
}
