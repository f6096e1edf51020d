//! `make bench`: what a durable record costs against a bare loop of `fdatasync` on the same disk, in the same run; how many records share a
//! sync when 64 payments write at once; and how long a start takes that finds 10,000 open ones. For SQLite, and for a PostgreSQL of its own.
//!
//! `cargo run --release -p ivrpay-journal --example sync_cost [FOLDER]`; the folder, `/var/tmp` by default, has to be one that PostgreSQL's user
//! can reach.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement on a terminal"
)]

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use ivrpay_journal::{
    EnteredBy, IntentDraft, Journal, Location, Mode, NewPayment, OpenOptions, Origin, Server,
};
use ivrpay_payment::{
    AcquirerRef, Approval, Brand, CallId, Currency, Money, Outcome, PaymentId, Plan, TenantId,
    Transaction, Truncated,
};

#[path = "../../../tests/src/postgres.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests use all of it")]
mod postgres;

/// Payments that write at once.
const AT_ONCE: usize = 64;
/// Open payments that a start finds.
const OPEN: usize = 10_000;
/// The bare loop and the journal take turns, so that what else the machine does falls on both.
const ROUNDS: usize = 7;
/// Payments of a round, each of two syncs.
const PAYMENTS: usize = 100;
/// Least share of the bare loop's syncs.
const AIM: f64 = 0.8;

#[tokio::main]
async fn main() {
    let folder: &'static str = match std::env::args().nth(1) {
        Some(folder) => folder.leak(),
        None => "/var/tmp",
    };
    let place = tempfile::tempdir_in(folder).unwrap();
    let bare = Bare::new(&place.path().join("bare"));
    postgres::FOLDER.set(folder).unwrap();
    let server = Server::new(&postgres::database().await, None).unwrap();
    let file = place.path().join("journal.db");
    for (name, at) in [
        ("SQLite", Location::from(file)),
        ("PostgreSQL", server.into()),
    ] {
        one_by_one(name, &at, &bare).await;
        at_once(name, &at).await;
        start(name, &at).await;
    }
}

/// Writes 256 bytes and waits for the disk, and again: at the end of a file, which grows, as a log does that nobody has made longer before;
/// or over what is there, where only data is synced.
struct Bare {
    file: File,
    end: Cell<u64>,
}

impl Bare {
    const RECORD: usize = 256;
    const COUNT: usize = 2 * PAYMENTS;

    fn new(path: &std::path::Path) -> Self {
        let file = File::create(path).unwrap();
        let all = vec![7; Self::RECORD * Self::COUNT];
        file.write_all_at(&all, 0).unwrap();
        file.sync_all().unwrap();
        Self {
            file,
            end: Cell::new(all.len() as u64),
        }
    }

    /// Syncs a second.
    fn run(&self, from: u64) -> f64 {
        let began = Instant::now();
        for n in 0..Self::COUNT {
            let at = from + (n * Self::RECORD) as u64;
            self.file.write_all_at(&[9; Self::RECORD], at).unwrap();
            self.file.sync_data().unwrap();
        }
        rate(Self::COUNT as u64, began.elapsed())
    }

    fn appends(&self) -> f64 {
        let end = self.end.get();
        self.end.set(end + (Self::COUNT * Self::RECORD) as u64);
        self.run(end)
    }

    fn overwrites(&self) -> f64 {
        self.run(0)
    }
}

fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

async fn open(at: &Location, writer: &str) -> Journal {
    Journal::open(at, OpenOptions::new(writer)).await.unwrap()
}

/// Payments of which calls have been answered: nothing is synced until they are sent.
async fn claimed(journal: &Journal, count: usize) -> Vec<PaymentId> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let call = CallId::new(uuid::Uuid::now_v7());
        let claim = journal.create_claimed(payment(), call).await.unwrap();
        all.push(claim.payment().id);
    }
    all
}

async fn pay(journal: &Journal, id: PaymentId) {
    let intent = journal.write_intent(id, draft()).await.unwrap();
    journal.write_outcome(&intent, &approved()).await.unwrap();
}

/// A payment after the other.
async fn one_by_one(name: &str, at: &Location, bare: &Bare) {
    let journal = open(at, "one").await;
    let (mut shares, mut over, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let payments = claimed(&journal, PAYMENTS).await;
        let (appends, overwrites) = (bare.appends(), bare.overwrites());
        let began = Instant::now();
        for id in payments {
            pay(&journal, id).await;
        }
        let ours = rate(2 * PAYMENTS as u64, began.elapsed());
        shares.push(ours / appends);
        over.push(ours / overwrites);
        rates.push(ours);
    }
    journal.stop().await.unwrap();
    let (share, over, syncs) = (median(shares), median(over), median(rates));
    println!(
        "journal {name}: one payment after another {syncs:.0} syncs/s, {share:.2} of a bare loop that appends and syncs (aim: {AIM} at least): {}; \
         {over:.2} of one that syncs over what is there",
        if share >= AIM { "ok" } else { "missed" }
    );
}

/// Intents and outcomes of many at once: each waits for the disk.
async fn at_once(name: &str, at: &Location) {
    let journal = open(at, "many").await;
    let claimed = claimed(&journal, 16 * AT_ONCE).await;
    let (before, began) = (journal.commits(), Instant::now());
    let callers: Vec<_> = claimed
        .chunks(claimed.len() / AT_ONCE)
        .map(|mine| {
            let (journal, mine) = (journal.clone(), mine.to_vec());
            tokio::spawn(async move {
                for id in mine {
                    pay(&journal, id).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let (took, after) = (began.elapsed(), journal.commits());
    let (records, commits) = (after.0 - before.0, after.1 - before.1);
    println!(
        "journal {name}: {AT_ONCE} payments at once {:.0} records/s, {:.1} records a sync",
        rate(records, took),
        records as f64 / commits as f64,
    );
    journal.stop().await.unwrap();
}

/// A process is gone in the middle of many payments.
async fn start(name: &str, at: &Location) {
    let journal = open(at, "gone").await;
    let mut tasks = Vec::new();
    for part in 0..AT_ONCE {
        let journal = journal.clone();
        tasks.push(tokio::spawn(async move {
            for id in claimed(&journal, (part..OPEN).step_by(AT_ONCE).count()).await {
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
        "journal {name}: a start with {OPEN} open payments: opened in {:.2} s, made good in {:.2} s{}",
        opened.as_secs_f64(),
        began.elapsed().as_secs_f64(),
        if journal.is_shared() {
            ", with the rest of the lease of the one that is gone"
        } else {
            ""
        }
    );
    journal.stop().await.unwrap();
}

fn payment() -> NewPayment {
    NewPayment {
        tenant: TenantId::new("bench").unwrap(),
        order: None,
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
        attached: ivrpay_journal::Attached::default(),
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
