//! Calls while something is away, stopped, killed or full; each has a service of its own.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use ivrpay_tests::call::Call;
use ivrpay_tests::lab::{Lab, binary};
use ivrpay_tests::service::{Service, set};
use serde_json::json;

use crate::scenarios::{Books, SUCCESS, VISA, extension, keys};
use crate::short;

pub(crate) async fn announced(lab: &Lab, service: &Service, books: &Books) -> anyhow::Result<()> {
    let from = format!("03{:08}", std::process::id() % 100_000_000);
    // Digits alone, so that an extension can hold it; it begins with 1, as no card does.
    let order = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_millis()
        .to_string();
    let body = json!({"amount": 3210, "order_id": order, "language": "en", "caller_number": from});
    let (status, first) = service.post("/v1/payments", &body, Some(&order)).await?;
    ensure!(status == 201, "announcing answered {status}: {first}");
    let (status, again) = service.post("/v1/payments", &body, Some(&order)).await?;
    ensure!(
        status == 201 && again == first,
        "the same request again answered {status}: {again}"
    );
    let (status, taken) = service.post("/v1/payments", &body, None).await?;
    ensure!(
        status == 409 && taken["code"] == "order-taken",
        "a second payment of the order answered {status}: {taken}"
    );
    // Practice with the same order pays nothing.
    let report = Call::new(format!("79{order}"), keys(VISA, "1230", "123"))
        .place(lab)
        .await?;
    ensure!(
        report.result == "success" && report.payment_id.as_deref() != first["id"].as_str(),
        "practice ended with {} and payment {:?}",
        report.result,
        report.payment_id
    );
    let waits = service
        .payment(first["id"].as_str().unwrap_or_default())
        .await?;
    ensure!(
        waits["state"] == "waiting",
        "after practice the announced payment is {}",
        waits["state"]
    );
    let call = Call::new("8803", keys(VISA, "1230", "123")).with(&["--from", &from]);
    let report = call.place(lab).await?;
    ensure!(
        report.result == "success",
        "the call ended with {}",
        report.result
    );
    ensure!(
        report.payment_id.as_deref() == first["id"].as_str(),
        "the call was not matched"
    );
    // The order is paid: nobody is asked for a card again.
    let again = Call::new(format!("78{order}"), "until-end");
    for (call, result) in [(again, "order-already-paid"), (call, "internal-error")] {
        let report = call.place(lab).await?;
        ensure!(
            report.result == result,
            "after it was paid, a call to {} ended with {}, not {result}",
            call.extension,
            report.result
        );
    }
    let booked = books
        .of(first["id"].as_str().unwrap_or_default())
        .await?
        .len();
    ensure!(
        booked == 1,
        "the acquirer holds {booked} transactions of the order"
    );
    Ok(())
}

/// The payment that was announced for an operator's extension is taken by the call that this operator transferred.
pub(crate) async fn transferred(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let announce = async |order: String| {
        let body = json!({"amount": 3211, "order_id": order, "operator_extension": "4711"});
        let (status, payment) = service.post("/v1/payments", &body, None).await?;
        ensure!(status == 201, "announcing answered {status}: {payment}");
        Ok(payment["id"].as_str().unwrap_or_default().to_owned())
    };
    let call = Call::new("764711", keys(VISA, "1230", "123"));
    let id = announce(format!("T-{}", uuid::Uuid::now_v7())).await?;
    let report = call.place(lab).await?;
    ensure!(
        report.result == "success" && report.payment_id == Some(id),
        "the call ended with {} and payment {:?}",
        report.result,
        report.payment_id
    );
    // Two that wait: nothing is guessed.
    for n in 0..2 {
        announce(format!("T{n}-{}", uuid::Uuid::now_v7())).await?;
    }
    let report = Call::new("764711", "until-end").place(lab).await?;
    ensure!(
        report.result == "internal-error" && report.payment_id.is_none(),
        "with two candidates the call ended with {} and payment {:?}",
        report.result,
        report.payment_id
    );
    Ok(())
}

/// Asterisk is told to log keys: nobody is asked for a card, and `check` says why.
pub(crate) async fn keys_are_logged(lab: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "keys-logged", true, short).await?;
    let pay = async || {
        let call = Call::new(extension(1, 1200), keys(VISA, "1230", "123"));
        Ok::<_, anyhow::Error>(call.place(lab).await?.result)
    };
    lab.ari("POST", "/asterisk/logging/keys.log?configuration=dtmf")
        .await?;
    let refused = Call::new(extension(1, 1200), "until-end").place(lab).await;
    let checked = std::process::Command::new(binary("ivrpay")?)
        .args(["check", "--json", "--config"])
        .arg(service.folder.join("ivrpay.toml"))
        .output();
    lab.ari("DELETE", "/asterisk/logging/keys.log").await?;
    let (refused, checked) = (refused?, checked?);
    ensure!(
        refused.result == "internal-error" && !refused.way().contains("payment-card-number"),
        "while keys are logged, the call ended with {} by {}",
        refused.result,
        refused.way()
    );
    let facts = String::from_utf8_lossy(&checked.stdout).into_owned();
    ensure!(
        checked.status.code() == Some(1)
            && facts
                .lines()
                .any(|l| l.contains("\"bad\"") && l.contains("level DTMF")),
        "check ended with {:?} and says {facts}",
        checked.status.code()
    );
    // The answer of Asterisk is kept for some seconds.
    let began = std::time::Instant::now();
    loop {
        let result = pay().await?;
        if result == "success" {
            return Ok(());
        }
        ensure!(
            began.elapsed() < Duration::from_secs(30),
            "without that log the call ended with {result}"
        );
    }
}

/// SIGTERM twice while a caller keys: he is told, given back to the dialplan, and the service ends well.
pub(crate) async fn orderly_stop(lab: &Lab) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "stop", true, short).await?;
    let mut events = service.events().await?;
    let call = Call::new(
        extension(1, 1200),
        "wait:payment-amount 1 wait:payment-card-number 4242 until-end",
    );
    let stop = async {
        events.step("payment-card-number").await?;
        service.signal("-TERM")?;
        service.stop(Duration::from_secs(40)).await
    };
    let (report, ended) = tokio::join!(call.place(lab), stop);
    let (report, ended) = (report?, ended?);
    ensure!(
        ended.code == Some(0),
        "the service ended with {:?}",
        ended.code
    );
    ensure!(
        report.heard_ms > 500,
        "the caller heard {} ms",
        report.heard_ms
    );
    lab.dialplan_went_on("internal-error", &report.payment_id.context("no payment")?)
        .await
}

/// No daemon: the dialplan speaks and goes on.
pub(crate) async fn away(lab: &Lab) -> anyhow::Result<()> {
    let report = Call {
        deaf: true,
        ..Call::new(extension(1, 1200), "until-end")
    }
    .place(lab)
    .await?;
    ensure!(
        report.heard_ms > 500,
        "the caller heard {} ms",
        report.heard_ms
    );
    lab.dialplan_went_on("internal-error", "").await
}

/// SIGKILL while the acquirer has the request: unknown after the restart, asked for once.
pub(crate) async fn killed_in_flight(lab: &Lab, books: &Books) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "killed", true, |config| {
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
        let state = service.payment(&id).await?["state"].clone();
        ensure!(
            state == "in-flight",
            "before the kill the payment is {state}"
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

/// SIGKILL while the caller hears that he has paid: the dialplan knows it too.
pub(crate) async fn killed_after_the_answer(lab: &Lab, books: &Books) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "killed-paid", true, short).await?;
    let mut events = service.events().await?;
    let call = Call::new(
        extension(1, 1200),
        format!("{} until-end", keys(VISA, "1230", "123")),
    );
    let kill = async {
        let event = events.step("payment-completed").await?;
        let text = |key: &str| event[key].as_str().context("no id").map(str::to_owned);
        let (id, channel) = (text("payment_id")?, text("channel_id")?);
        lab.variable_is(&channel, "IVRPAY_RESULT", "success")
            .await?;
        service.kill_and_start().await?;
        Ok::<_, anyhow::Error>(id)
    };
    let (report, id) = tokio::join!(call.place(lab), kill);
    let (_, id) = (report?, id?);
    let state = service.payment(&id).await?["state"].clone();
    ensure!(
        state == "approved",
        "after the restart the payment is {state}"
    );
    let booked = books.of(&id).await?.len();
    ensure!(booked == 1, "the acquirer holds {booked} transactions");
    lab.dialplan_went_on("success", &id).await
}

/// SIGKILL during entry: the next daemon gives the caller back.
pub(crate) async fn killed_during_entry(lab: &Lab) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "killed-entry", true, short).await?;
    let mut events = service.events().await?;
    let call = Call::new(
        extension(1, 1200),
        "wait:payment-amount 1 wait:payment-card-number 4242 until-end",
    );
    let kill = async {
        events.step("payment-card-number").await?;
        service.kill_and_start().await
    };
    let (report, killed) = tokio::join!(call.place(lab), kill);
    killed?;
    let report = report?;
    ensure!(
        !report.result.starts_with("timeout"),
        "the caller was stranded: {}",
        report.result
    );
    let payment = report.payment_id.context("no payment")?;
    let state = service.payment(&payment).await?["state"].clone();
    ensure!(
        state == "cancelled",
        "after the restart the payment is {state}"
    );
    lab.dialplan_went_on("internal-error", "").await
}

/// One call more than there are places: it is told and goes on, the first one is not disturbed.
pub(crate) async fn capacity(lab: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "capacity", true, |config| {
        short(config);
        set(config, "limits.calls_max", 1);
    })
    .await?;
    let mut events = service.events().await?;
    // The first one waits at its confirmation until the second one is through; a reminder is not a second chance to fail.
    let first = Call::new(
        extension(1, 1200),
        keys(VISA, "1230", "123").replacen(
            "wait:confirmation 1",
            "wait:confirmation sleep:3500 1",
            1,
        ),
    );
    let second = async {
        events.step("payment-amount").await?;
        let call = Call {
            deaf: true,
            ..Call::new(extension(1, 1200), "until-end")
        };
        let report = call.place(lab).await?;
        ensure!(
            report.heard_ms > 500,
            "the second caller heard {} ms",
            report.heard_ms
        );
        lab.dialplan_went_on("capacity-exceeded", "").await
    };
    let (first, second) = tokio::join!(first.place(lab), second);
    second?;
    let result = first?.result;
    ensure!(
        SUCCESS.contains(&result.as_str()),
        "the first call was disturbed: {result}"
    );
    Ok(())
}

/// The disk fills up before the intent: nothing is sent, and the caller hears that nothing was charged.
pub(crate) async fn disk_full(lab: &Lab, books: &Books) -> anyhow::Result<()> {
    let disk = SmallDisk::mount(&lab.folder.join("small-disk"))?;
    let path = disk.0.join("journal.sqlite");
    let service = Service::start(lab, "disk-full", true, |config| {
        short(config);
        set(config, "journal.path", path.display().to_string());
        set(
            config,
            "admin.socket",
            lab.folder.join("disk-full.sock").display().to_string(),
        );
    })
    .await?;
    let mut events = service.events().await?;
    let call = Call::new(
        extension(1, 1200),
        keys(VISA, "1230", "123").replacen(
            "wait:confirmation 1",
            "wait:confirmation sleep:2000 1",
            1,
        ),
    );
    let fill = async {
        events.step("confirmation").await?;
        disk.fill()
    };
    let (report, filled) = tokio::join!(call.place(lab), fill);
    filled?;
    let report = report?;
    ensure!(
        report.result == "internal-error",
        "the call ended with {}",
        report.result
    );
    let id = report.payment_id.context("no payment")?;
    ensure!(books.of(&id).await?.is_empty(), "something was sent");
    Ok(())
}

/// The disk fills up while the acquirer has the request: nothing is said as a fact that the journal does not hold, and when there
/// is room again, it holds the approval.
pub(crate) async fn disk_full_at_the_outcome(lab: &Lab, books: &Books) -> anyhow::Result<()> {
    let disk = SmallDisk::mount(&lab.folder.join("small-disk"))?;
    let path = disk.0.join("journal.sqlite");
    let service = Service::start(lab, "disk-full-outcome", true, |config| {
        short(config);
        set(config, "journal.path", path.display().to_string());
        let socket = lab.folder.join("disk-full.sock").display().to_string();
        set(config, "admin.socket", socket);
    })
    .await?;
    let mut events = service.events().await?;
    let call = Call::new(
        extension(1, 9001),
        format!("{} until-end", keys(VISA, "1230", "123")),
    );
    let fill = async {
        let event = events.step("payment-processing").await?;
        let id = event["payment_id"].as_str().context("no payment")?;
        books.received(id).await?;
        disk.fill()?;
        Ok::<_, anyhow::Error>(id.to_owned())
    };
    let (report, id) = tokio::join!(call.place(lab), fill);
    let (report, id) = (report?, id?);
    ensure!(
        report.result == "outcome-unknown",
        "the call ended with {}",
        report.result
    );
    lab.dialplan_went_on("outcome-unknown", &id).await?;
    disk.empty()?;
    let began = std::time::Instant::now();
    loop {
        let payment = service.payment(&id).await?;
        if payment["state"] == "approved" && payment["result"] == "outcome-unknown" {
            return Ok(());
        }
        ensure!(
            began.elapsed() < Duration::from_secs(40),
            "with room again the payment is {payment}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A file system of 3 MiB.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &std::path::Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(at)?;
        let done = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3m", "ivrpay-small"])
            .arg(at)
            .status()?;
        ensure!(
            done.success(),
            "a small file system can't be mounted; run as root"
        );
        Ok(Self(at.to_owned()))
    }

    fn fill(&self) -> anyhow::Result<()> {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.0.join("filler"))?;
        while file.write_all(&[0; 4096]).is_ok() {}
        Ok(())
    }
}

impl SmallDisk {
    fn empty(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.0.join("filler"))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(
            std::process::Command::new("umount")
                .arg("-l")
                .arg(&self.0)
                .status(),
        );
    }
}

/// The acquirer can't be reached: nothing was sent, the caller hears just that, and the log says why.
pub(crate) async fn acquirer_away(lab: &Lab, url: &str, why: &str) -> anyhow::Result<()> {
    let service = Service::start(lab, "acquirer-away", true, |config| {
        short(config);
        if url.is_empty() {
            // Its own authority is not trusted any more.
            if let Some(toml::Value::Table(generic)) = config
                .get_mut("connectors")
                .and_then(|c| c.get_mut("generic"))
            {
                generic.remove("ca_file");
            }
        } else {
            set(config, "connectors.generic.url", url);
        }
    })
    .await?;
    let report = Call::new(extension(1, 1200), keys(VISA, "1230", "123"))
        .place(lab)
        .await?;
    ensure!(
        report.result == "payment-connector-error",
        "the call ended with {}",
        report.result
    );
    let payment = service
        .payment(&report.payment_id.context("no payment")?)
        .await?;
    ensure!(
        payment["state"] == "cancelled",
        "the payment is {}",
        payment["state"]
    );
    let log = std::fs::read_to_string(service.folder.join("log"))?;
    let line = log
        .lines()
        .find(|l| l.contains("nothing was charged"))
        .context("the log does not say that nothing was charged")?;
    ensure!(
        line.contains(why) && line.contains("hint"),
        "the log does not say why: {line}"
    );
    Ok(())
}

/// The dialplan names another application than the configuration: the caller hears the fallback, and `check` says it.
pub(crate) async fn other_application(lab: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "other-app", true, |config| {
        short(config);
        set(config, "ari.app", "ivrpay-other");
    })
    .await?;
    away(lab).await?;
    // The configuration of the lab has the application that the dialplan names.
    for (config, good) in [
        (service.folder.join("ivrpay.toml"), true),
        (lab.path("CONFIG")?, false),
    ] {
        let facts = std::process::Command::new(binary("ivrpay")?)
            .args(["check", "--json", "--config"])
            .arg(config)
            .output()?;
        let facts = String::from_utf8_lossy(&facts.stdout).into_owned();
        let fact = facts
            .lines()
            .find(|l| l.contains("connected as application"))
            .context("check says nothing about the application")?;
        ensure!(
            fact.contains("\"good\"") == good && fact.contains("ivrpay-other"),
            "check says {fact}"
        );
    }
    Ok(())
}

/// Asterisk is away at the start: the service waits and says so.
pub(crate) async fn asterisk_away(lab: &Lab) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "asterisk-away", false, |config| {
        short(config);
        set(config, "ari.url", "http://127.0.0.1:9/ari");
    })
    .await?;
    let (lives, _) = service.get("/healthz").await?;
    let (status, health) = service.get("/readyz").await?;
    ensure!(
        lives == 200 && status == 503 && health["asterisk"] == "not connected",
        "/healthz answered {lives}, /readyz {status}: {health}"
    );
    let log = std::fs::read_to_string(service.folder.join("log"))?;
    ensure!(
        log.contains("waiting for Asterisk"),
        "the log does not say what is waited for"
    );
    let ended = service.stop(Duration::from_secs(10)).await?;
    ensure!(
        ended.code == Some(0),
        "the service ended with {:?}",
        ended.code
    );
    Ok(())
}
