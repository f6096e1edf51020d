//! Two services on one journal in PostgreSQL, as two Asterisks have them. Calls reach the one that has the dialplan's application; the other one
//! is asked over its API, and makes good what the first has left.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use ivrpay_tests::call::Call;
use ivrpay_tests::lab::Lab;
use ivrpay_tests::postgres;
use ivrpay_tests::service::{Service, set, tenant};
use serde_json::{Value, json};

use crate::scenarios::{Books, VISA, extension, keys};
use crate::short;

/// Seconds until one that says nothing counts as gone.
const LEASE_S: i64 = 5;

/// By its number the dialplan reaches the other one too (50N); faults have those from 0 on.
const FAR: u32 = 9;

/// Longest until the other one has made good what is left.
const TAKEN_OVER_MAX: Duration = Duration::from_secs(30);

/// The one that calls reach, and the other one.
async fn two(lab: &Lab, name: &str) -> anyhow::Result<(Service, Service)> {
    two_with(lab, name, |_| {}).await
}

/// The same, with more in the configuration of both.
async fn two_with(
    lab: &Lab,
    name: &str,
    more: impl Fn(&mut toml::Table),
) -> anyhow::Result<(Service, Service)> {
    let url = postgres::database().await;
    let shared = |config: &mut toml::Table, daemon: &str| {
        short(config);
        config.remove("journal");
        set(config, "journal.url", url.as_str());
        set(config, "journal.daemon", daemon);
        set(config, "journal.lease_seconds", LEASE_S);
        // Beside a journal's file, where there is one.
        for (key, file) in [
            ("admin.socket", "ivrpay.sock"),
            ("quarantine.path", "quarantine"),
        ] {
            set(config, key, file);
        }
        set(config, "connectors.generic.reply_timeout", "60s");
        more(config);
    };
    let [near, far] = ["near", "far"].map(|which| format!("{name}-{which}"));
    let near = Service::start(lab, &near, true, |config| {
        shared(config, "near");
    });
    let near = near.await?;
    let far = Service::start(lab, &far, true, |config| {
        shared(config, "far");
        set(config, "ari.app", format!("ivrpay-f{FAR}"));
        config.remove("agi");
        let listen = config["http"]["listen"].as_str().unwrap_or_default();
        let host = listen.split(':').next().unwrap_or_default().to_owned();
        set(config, "http.listen", format!("{host}:9490"));
    });
    Ok((near, far.await?))
}

/// Announced at the one, paid in a call that the other one leads; the order is locked at both.
pub(crate) async fn announced_there_paid_here(lab: &Lab, books: &Books) -> anyhow::Result<()> {
    let (near, far) = two(lab, "several").await?;
    let from = format!("03{:08}", std::process::id() % 100_000_000);
    let order = format!("S-{}", uuid::Uuid::now_v7());
    let body = json!({"amount": 3210, "order_id": order, "language": "en", "caller_number": from});
    let (status, first) = far.post("/v1/payments", &body, Some(&order)).await?;
    ensure!(status == 201, "announcing answered {status}: {first}");
    let (status, again) = near.post("/v1/payments", &body, Some(&order)).await?;
    ensure!(
        status == 201 && again == first,
        "the same request at the other one answered {status}: {again}"
    );
    let call = Call::new("8803", keys(VISA, "1230", "123")).with(&["--from", &from]);
    let report = call.place(lab).await?;
    let id = first["id"].as_str().context("no id")?;
    ensure!(
        report.result == "success" && report.payment_id.as_deref() == Some(id),
        "the call ended with {} and payment {:?}",
        report.result,
        report.payment_id
    );
    for (at, service) in [("near", &near), ("far", &far)] {
        let state = service.payment(id).await?["state"].clone();
        ensure!(state == "approved", "{at} says {state}");
        let (status, taken) = service.post("/v1/payments", &body, None).await?;
        ensure!(
            status == 409,
            "{at} takes a second payment: {status}: {taken}"
        );
    }
    let booked = books.of(id).await?.len();
    ensure!(booked == 1, "the acquirer holds {booked} transactions");
    Ok(())
}

/// Waits until the payment is in one of these states, by that service.
async fn comes_to(service: &Service, id: &str, states: &[&str]) -> anyhow::Result<Value> {
    let began = Instant::now();
    loop {
        let payment = service.payment(id).await?;
        let state = payment["state"].as_str().unwrap_or_default();
        if states.contains(&state) {
            return Ok(payment);
        }
        ensure!(
            began.elapsed() < TAKEN_OVER_MAX,
            "the payment is {state} still"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The one is killed while the acquirer has the request: the other one makes it unknown when the lease has ended, and nobody sends it again.
pub(crate) async fn killed_and_taken_over(lab: &Lab, books: &Books) -> anyhow::Result<()> {
    let (mut near, far) = two(lab, "several-killed").await?;
    let mut events = near.events().await?;
    let call = Call::new(
        extension(1, 9003),
        format!("{} until-end", keys(VISA, "1230", "123")),
    );
    let kill = async {
        let event = events.step("payment-processing").await?;
        let id = event["payment_id"]
            .as_str()
            .context("no payment")?
            .to_owned();
        books.received(&id).await?;
        near.kill().await?;
        let began = Instant::now();
        let state = far.payment(&id).await?["state"].clone();
        ensure!(state == "in-flight", "right behind the kill it is {state}");
        comes_to(&far, &id, &["unknown"]).await?;
        let took = began.elapsed();
        // It starts again, finds nothing to make good, and gives the caller back.
        near.spawn()?;
        near.ready(true).await?;
        Ok::<_, anyhow::Error>((id, took))
    };
    let (report, killed) = tokio::join!(call.place(lab), kill);
    // Whoever killed it knows more of what went wrong.
    let (id, took) = killed?;
    drop(report?);
    ensure!(
        took > Duration::from_secs(1),
        "it was taken over after {took:?}, before its lease had ended"
    );
    let requests: u64 = books
        .of(&id)
        .await?
        .iter()
        .filter_map(|e| e["requests"].as_u64())
        .sum();
    ensure!(requests == 1, "the acquirer got {requests} requests");
    let state = near.payment(&id).await?["state"].clone();
    ensure!(state == "unknown", "behind its start it is {state}");
    Ok(())
}

/// The one stands still, while a caller keys, for longer than its lease, and goes on: it sends nothing, writes nothing, and ends.
pub(crate) async fn stood_still(lab: &Lab, books: &Books) -> anyhow::Result<()> {
    let (mut near, far) = two(lab, "several-still").await?;
    let mut events = near.events().await?;
    let call = Call::new(
        extension(1, 1200),
        format!("{} until-end", keys(VISA, "1230", "123")),
    );
    let still = async {
        let event = events.step("security-code").await?;
        let id = event["payment_id"]
            .as_str()
            .context("no payment")?
            .to_owned();
        near.signal("-STOP")?;
        let there = comes_to(&far, &id, &["cancelled"]).await;
        near.signal("-CONT")?;
        let there = there?;
        let ended = near.ended(Duration::from_secs(60)).await?;
        ensure!(
            ended.code.is_some_and(|code| code != 0),
            "it ended with {:?}, and nobody starts it again",
            ended.code
        );
        Ok::<_, anyhow::Error>((id, there))
    };
    let (report, stood) = tokio::join!(call.place(lab), still);
    let (id, before) = stood?;
    let report = report?;
    ensure!(
        report.result != "success",
        "the caller was told that he has paid"
    );
    let sent = books.of(&id).await?;
    ensure!(sent.is_empty(), "the acquirer got {sent:?}");
    let after = far.payment(&id).await?;
    ensure!(
        after["state"] == before["state"],
        "it was {} and is {}",
        before["state"],
        after["state"]
    );
    Ok(())
}

/// The only place of a pool is taken at the one: the other one tells callers and order systems so, until that one is killed and its lease ends.
pub(crate) async fn a_pool_over_both(lab: &Lab) -> anyhow::Result<()> {
    let (mut near, far) = two_with(lab, "several-pool", |config| {
        set(config, "pools.single.guaranteed", 1);
        set(config, "pools.single.limit", 1);
        set(tenant(config), "pool", "single");
        set(tenant(config), "calls.ring", "5s");
    })
    .await?;
    let mut events = near.events().await?;
    // He hangs up when the one that led him is gone.
    let first = Call::new(
        extension(1, 1200),
        "wait:payment-amount sleep:3000 sleep:3000 sleep:3000 hangup",
    );
    let order = || format!("P-{}", uuid::Uuid::now_v7());
    let full = async {
        events.step("payment-amount").await?;
        let second = Call {
            deaf: true,
            ..Call::new(format!("50{FAR}1200"), "until-end")
        };
        let report = second.place(lab).await?;
        ensure!(
            report.heard_ms > 500,
            "the second caller heard {} ms",
            report.heard_ms
        );
        lab.dialplan_went_on("capacity-exceeded", "").await?;
        let asks =
            json!({"to": "0398765400", "first": "customer", "amount": 2750, "order_id": order()});
        let (status, answer) = far.post("/v1/calls", &asks, None).await?;
        ensure!(
            status == 503 && answer["code"] == "capacity-exceeded",
            "a call to a customer answered {status}: {answer}"
        );
        // What waits for its call takes no place.
        let waits = json!({"amount": 3210, "order_id": order()});
        let (status, answer) = far.post("/v1/payments", &waits, None).await?;
        ensure!(status == 201, "announcing answered {status}: {answer}");
        let (_, metrics) = far.get("/metrics").await?;
        let refused = "ivrpay_pool_refused_total{pool=\"single\",why=\"limit\"} 2";
        ensure!(
            metrics.as_str().is_some_and(|m| m.contains(refused)),
            "the metrics have not {refused}"
        );
        let (pools, said, _) = near.cli(&["pools"]).await?;
        ensure!(
            pools["pools"][0]["used"] == 1 && pools["pools"][0]["limit"] == 1,
            "`ivrpay pools` says {said}"
        );
        near.kill().await?;
        let began = Instant::now();
        loop {
            let (status, answer) = far.post("/v1/calls", &asks, None).await?;
            let took = began.elapsed();
            if status == 201 {
                ensure!(
                    took > Duration::from_secs(1),
                    "the place of the one that was killed was given after {took:?}, before its lease had ended"
                );
                let id = answer["id"].as_str().context("no id")?.to_owned();
                return Ok(id);
            }
            ensure!(
                answer["code"] == "capacity-exceeded" && took < TAKEN_OVER_MAX,
                "after {took:?} a call to a customer answered {status}: {answer}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    // What became of the caller is not known to the one that led him.
    let (_, full) = tokio::join!(first.place(lab), full);
    let path = format!("/v1/calls/{}", full?);
    let began = Instant::now();
    loop {
        let (_, call) = far.get(&path).await?;
        if call["state"] == "over" {
            return Ok(());
        }
        ensure!(
            began.elapsed() < Duration::from_secs(40),
            "the customer is being called still: {call}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
