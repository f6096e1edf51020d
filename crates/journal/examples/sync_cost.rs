//! What a durable intent costs against a raw `fdatasync` of 256 bytes on the same disk, in the same run.
//!
//! `cargo run -p ivrpay-journal --example sync_cost [FOLDER] [PAYMENTS]`

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement on a terminal"
)]

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use ivrpay_journal::{EnteredBy, IntentDraft, Journal, Mode, NewPayment, OpenOptions, Origin};
use ivrpay_payment::{
    AcquirerRef, Approval, Brand, CallId, Currency, Money, Outcome, Plan, TenantId, Transaction,
    Truncated,
};

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

    let journal = Journal::open(place.path().join("journal.db"), OpenOptions::new("bench"))
        .await
        .unwrap();
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

    let base = show("raw fdatasync of 256 B", raw, None);
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
