//! The way out: what runs goes on, what comes meanwhile is the dialplan's or another daemon's.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::future::LocalBoxFuture;
use ivrpay_tests::call::{Call, Report};
use ivrpay_tests::lab::Lab;
use ivrpay_tests::service::{Service, set};
use serde_json::{Value, json};

use crate::faults::nothing_left;
use crate::scenarios::{Books, OtherResult, SUCCESS, VISA, extension, keys};
use crate::{UNHURRIED, short};

/// Calls that are on when the service is told to leave.
const CALLS: usize = 20;

pub(crate) fn all<'a>(
    lab: &'a Lab,
    books: &'a Books,
) -> [(&'static str, LocalBoxFuture<'a, anyhow::Result<()>>); 4] {
    [
        (
            "drain: twenty calls end well, a new one gets the dialplan, the service leaves",
            Box::pin(crate::patiently("drain: twenty", move || {
                twenty(lab, books)
            })),
        ),
        (
            "drain: by the command line; at the limit callers are told and given back",
            Box::pin(by_command(lab)),
        ),
        (
            "drain: killed in it with a charge in flight: unknown, never charged again",
            Box::pin(killed(lab, books)),
        ),
        (
            "drain: upgrade by a second daemon under load: no call is lost",
            Box::pin(upgrade(lab, books)),
        ),
    ]
}

/// Calls that wait at different steps: before a key each, and for an acquirer that is slow.
fn calls(from: usize) -> Vec<Call> {
    let steps = [
        "payment-amount",
        "payment-card-number",
        "expiration-date",
        "security-code",
        "confirmation",
    ];
    (from..from + CALLS)
        .map(|n| {
            let slow = n % 6 == 5;
            let step = format!("wait:{} ", steps[n % steps.len()]);
            let script =
                keys(VISA, "1230", "123").replacen(&step, &format!("{step}sleep:3000 "), 1);
            // An order of its own each; 9001 is answered late.
            let amount = if slow { 9001 } else { 1200 };
            Call::new(extension(1, amount), script).with(&UNHURRIED)
        })
        .collect()
}

/// Places them a little apart from each other.
async fn place(lab: &Lab, calls: Vec<Call>) -> anyhow::Result<Vec<Report>> {
    let placed = calls.iter().enumerate().map(|(n, call)| async move {
        tokio::time::sleep(Duration::from_millis(250) * u32::try_from(n)?).await;
        call.place(lab).await
    });
    futures_util::future::try_join_all(placed).await
}

/// Each is paid, once.
async fn paid(reports: &[Report], books: &Books) -> anyhow::Result<()> {
    for report in reports {
        OtherResult::judge(report, SUCCESS)?;
        let id = report.payment_id.as_deref().context("no payment")?;
        let booked = books.of(id).await?.len();
        ensure!(
            booked == 1,
            "the acquirer holds {booked} transactions of {id}"
        );
    }
    Ok(())
}

/// How often the dialplan has gone on without a payment.
fn fallbacks(lab: &Lab) -> anyhow::Result<usize> {
    let log = std::fs::read(lab.folder.join("log/ivrpay.log")).unwrap_or_default();
    let line = "ivrpay result=internal-error payment= ";
    Ok(String::from_utf8_lossy(&log).matches(line).count())
}

/// Waits until so many calls are on.
async fn on(service: &Service, calls: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let (_, health) = service.get("/healthz").await?;
        if health["calls"] == calls {
            return Ok(());
        }
        ensure!(
            began.elapsed() < Duration::from_secs(20),
            "{} calls are on, not {calls}",
            health["calls"]
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn twenty(lab: &Lab, books: &Books) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "drain", true, short).await?;
    let before = fallbacks(lab)?;
    let meanwhile = async {
        on(&service, CALLS).await?;
        service.signal("-TERM")?;
        let (lives, _) = service.get("/healthz").await?;
        // The signal is on its way as the question is.
        let asked = Instant::now();
        let (status, ready) = loop {
            let (status, ready) = service.get("/readyz").await?;
            if status == 503 || asked.elapsed() > Duration::from_secs(5) {
                break (status, ready);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        ensure!(
            lives == 200 && status == 503 && ready["calls"] == "draining",
            "/healthz answered {lives}, /readyz {status}: {ready}"
        );
        // What is announced waits in the journal for whoever takes calls next.
        let order = json!({"amount": 1200, "order_id": format!("D-{}", uuid::Uuid::now_v7())});
        let (status, payment) = service.post("/v1/payments", &order, None).await?;
        ensure!(status == 201, "announcing answered {status}: {payment}");
        let id = payment["id"].as_str().context("no id")?;
        let called = json!({"payment_id": id, "to": "0312345678", "first": "customer"});
        let (status, refused) = service.post("/v1/calls", &called, None).await?;
        ensure!(
            status == 503,
            "calling a customer answered {status}: {refused}"
        );
        let fallback = Call {
            deaf: true,
            ..Call::new(extension(1, 1200), "until-end")
        };
        let report = fallback.place(lab).await?;
        ensure!(
            report.heard_ms > 500,
            "the late caller heard {} ms",
            report.heard_ms
        );
        ensure!(
            fallbacks(lab)? == before + 1,
            "the dialplan did not go on by itself"
        );
        Ok::<_, anyhow::Error>(id.to_owned())
    };
    let (reports, id) = tokio::join!(place(lab, calls(0)), meanwhile);
    let (reports, id) = (reports?, id?);
    ensure!(
        fallbacks(lab)? == before + 1,
        "a call that was on was not led to its end"
    );
    paid(&reports, books).await?;
    let ended = service.ended(Duration::from_secs(20)).await?;
    ensure!(ended.code == Some(0), "the service ended with {ended:?}");
    nothing_left(lab, "ivrpay").await?;
    service.spawn()?;
    service.ready(true).await?;
    let state = service.payment(&id).await?["state"].clone();
    ensure!(state == "waiting", "what was announced is {state}");
    let again = Call::new(extension(1, 1200), keys(VISA, "1230", "123"));
    paid(&[again.place(lab).await?], books).await
}

/// `ivrpay drain`: how it ended, what it said, and its exit code.
async fn drain(service: &Service, limit: &str) -> anyhow::Result<(Value, String, bool)> {
    let (_, said, good) = service.cli(&["drain", "--limit", limit]).await?;
    let end = said.lines().last().unwrap_or_default();
    Ok((serde_json::from_str(end).unwrap_or_default(), said, good))
}

async fn by_command(lab: &Lab) -> anyhow::Result<()> {
    let well = json!({"told_to_end": 0, "left": 0, "all_written": true});
    let mut service = Service::start(lab, "drain-command", true, short).await?;
    let call = Call::new(extension(1, 1200), keys(VISA, "1230", "123"));
    let leave = async {
        on(&service, 1).await?;
        // systemctl stop in a drain that has begun is no second signal.
        let stop = async {
            let began = Instant::now();
            while service.get("/readyz").await?.1["calls"] != "draining" {
                ensure!(
                    began.elapsed() < Duration::from_secs(10),
                    "it does not drain"
                );
            }
            service.signal("-TERM")
        };
        let (drained, stop) = tokio::join!(drain(&service, "60s"), stop);
        stop?;
        drained
    };
    let (report, drained) = tokio::join!(call.place(lab), leave);
    let (report, (end, said, good)) = (report?, drained?);
    ensure!(
        report.result == "success",
        "the call ended with {}",
        report.result
    );
    ensure!(good && end == well, "drain says {said}");
    let ended = service.ended(Duration::from_secs(5)).await?;
    ensure!(ended.code == Some(0), "the service ended with {ended:?}");
    let (_, said, good) = service.cli(&["drain"]).await?;
    ensure!(
        !good && said.contains("is `ivrpay serve` running"),
        "without a service it says {said}"
    );

    service.spawn()?;
    service.ready(true).await?;
    let mut events = service.events().await?;
    let call = Call::new(
        extension(1, 1200),
        "wait:payment-amount 1 wait:payment-card-number 4242 until-end",
    );
    let leave = async {
        events.step("payment-card-number").await?;
        drain(&service, "1s").await
    };
    let (report, drained) = tokio::join!(call.place(lab), leave);
    let (report, (end, said, good)) = (report?, drained?);
    ensure!(
        !good && end == json!({"told_to_end": 1, "left": 0, "all_written": true}),
        "at the limit drain says {said}"
    );
    ensure!(
        report.heard_ms > 500,
        "the caller heard {} ms",
        report.heard_ms
    );
    let payment = report.payment_id.context("no payment")?;
    lab.dialplan_went_on("internal-error", &payment).await?;
    let ended = service.ended(Duration::from_secs(10)).await?;
    ensure!(ended.code == Some(0), "the service ended with {ended:?}");
    Ok(())
}

async fn killed(lab: &Lab, books: &Books) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "drain-killed", true, |config| {
        short(config);
        set(config, "connectors.generic.reply_timeout", "60s");
    })
    .await?;
    let mut events = service.events().await?;
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
        service.signal("-TERM")?;
        // It does not leave with a charge in flight.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (_, ready) = service.get("/readyz").await?;
        ensure!(
            ready["calls"] == "draining",
            "with a charge in flight: {ready}"
        );
        service.kill_and_start().await?;
        Ok::<_, anyhow::Error>(id)
    };
    let (report, id) = tokio::join!(call.place(lab), kill);
    let (_, id) = (report?, id?);
    let state = service.payment(&id).await?["state"].clone();
    ensure!(
        state == "unknown",
        "after the restart the payment is {state}"
    );
    let requests: u64 = books
        .of(&id)
        .await?
        .iter()
        .filter_map(|e| e["requests"].as_u64())
        .sum();
    ensure!(requests == 1, "the acquirer got {requests} requests");
    lab.dialplan_went_on("outcome-unknown", &id).await
}

/// The name of the second daemon for the dialplan; an empty one takes it away.
async fn second(lab: &Lab, app: &str) -> anyhow::Result<()> {
    let path = format!("/asterisk/variable?variable=IVRPAY_APP_2&value={app}");
    lab.ari("POST", &path).await.map(drop)
}

async fn upgrade(lab: &Lab, books: &Books) -> anyhow::Result<()> {
    second(lab, "ivrpay-b").await?;
    let done = crate::patiently("drain: upgrade", || upgraded(lab, books)).await;
    second(lab, "").await?;
    done
}

async fn upgraded(lab: &Lab, books: &Books) -> anyhow::Result<()> {
    let mut old = Service::start(lab, "upgrade-old", true, short).await?;
    let host = lab.get("ASTERISK_IP")?.to_owned();
    let new = Service::start(lab, "upgrade-new", true, |config| {
        short(config);
        set(config, "ari.app", "ivrpay-b");
        set(config, "http.listen", format!("{host}:9481"));
        set(config, "agi.listen", format!("{host}:4574"));
        let socket = lab.folder.join("upgrade-new.sock").display().to_string();
        set(config, "admin.socket", socket);
    })
    .await?;
    let before = fallbacks(lab)?;
    let key = lab.path("API_KEY_FILE")?.display().to_string();
    let events = format!("{}/v1/events", new.api);
    let to_new = |call: Call| Call {
        deaf: true,
        ..call.with(&["--events", &events, "--key-file", &key])
    };
    let meanwhile = async {
        on(&old, CALLS).await?;
        old.signal("-TERM")?;
        let late = calls(CALLS).into_iter().take(CALLS / 2).map(to_new);
        place(lab, late.collect()).await
    };
    let (first, second) = tokio::join!(place(lab, calls(0)), meanwhile);
    let (first, second) = (first?, second?);
    paid(&first, books).await?;
    paid(&second, books).await?;
    let ended = old.ended(Duration::from_secs(20)).await?;
    ensure!(
        ended.code == Some(0),
        "the old service ended with {ended:?}"
    );
    // The old one is gone: its name alone leads to the new one.
    let after = to_new(Call::new(extension(1, 1200), keys(VISA, "1230", "123")));
    paid(&[after.place(lab).await?], books).await?;
    ensure!(
        fallbacks(lab)? == before,
        "a caller heard the dialplan's sentence"
    );
    for report in &second {
        let id = report.payment_id.as_deref().context("no payment")?;
        new.payment(id).await?;
    }
    Ok(())
}
