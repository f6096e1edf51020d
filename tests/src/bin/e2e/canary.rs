//! `ivrpay audit --canary`: what it finds, what it refuses, and that it leaves no call behind.

use anyhow::{Context as _, ensure};
use ivrpay_tests::canary::{Canary, PERSON};
use ivrpay_tests::lab::Lab;
use ivrpay_tests::service::Service;
use serde_json::Value;

use crate::short;

async fn requests(lab: &Lab) -> anyhow::Result<String> {
    let log = format!("http://{}:9480/log", lab.get("ACQUIRER_IP")?);
    let http = reqwest::Client::builder().no_proxy().build()?;
    Ok(http.get(log).send().await?.text().await?)
}

/// On the hardened lab: every place is looked at, nothing is found, nobody but the journal knows of the payment.
pub(crate) async fn finds_nothing(lab: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "canary", true, short).await?;
    let before = requests(lab).await?;
    let canary = Canary::run(&service, &[]).await?;
    let summary = canary.summary();
    ensure!(
        canary.code == Some(0) && summary["found"] == 0 && summary["result"] == "success",
        "ended with {:?}: {:#?} {}",
        canary.code,
        canary.lines,
        canary.errors
    );
    for place in [
        "channel variables",
        "Asterisk's database (database show)",
        "ARI events of a second application",
        "the service's memory while the card is in it",
        "the service's memory after the call",
        "the journal",
        "the service's log",
        "Asterisk's log folder",
        "recordings in Asterisk's spool folder",
    ] {
        ensure!(
            canary.place("place", place).is_some(),
            "{place} was not searched: {:#?}",
            canary.lines
        );
    }
    ensure!(
        canary.place("not-looked-at", "Asterisk's memory").is_some(),
        "what is not looked at is not told"
    );
    let id = summary["payment"].as_str().context("no payment")?;
    let payment = service.payment(id).await?;
    ensure!(
        payment["connector"] == "training"
            && payment["operator"] == PERSON
            && payment["state"] == "approved",
        "the journal has {payment}"
    );
    ensure!(
        before == requests(lab).await?,
        "the acquirer heard of a canary"
    );
    let ids = async |query: &str| -> anyhow::Result<Vec<Value>> {
        let (_, list) = service.get(&format!("/v1/payments?{query}")).await?;
        let payments = list["payments"].as_array().context("no list")?;
        Ok(payments.iter().map(|p| p["id"].clone()).collect())
    };
    ensure!(
        ids("limit=200").await?.is_empty() && ids("training=true").await? == [id],
        "practice stands among the payments"
    );
    Ok(())
}

/// A log of keys that is switched on behind the guard's look is found; one that is on before is the guard's finding.
pub(crate) async fn finds_a_log_of_keys(lab: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "canary-log", true, short).await?;
    let mut events = service.events().await?;
    let child = Canary::start(&service, &[])?;
    let step = events.step("payment-card-number").await;
    let log = "/asterisk/logging/canary-keys.log";
    lab.ari("POST", &format!("{log}?configuration=dtmf"))
        .await?;
    let found = Canary::end(child).await;
    let refused = Canary::run(&service, &[]).await;
    lab.ari("DELETE", log).await?;
    step?;
    let (found, refused) = (found?, refused?);
    let place = found.place("place", "Asterisk's log folder");
    ensure!(
        found.code == Some(1)
            && found.summary()["found"] == 1
            && place.is_some_and(|p| p["found"].as_u64() > Some(10)),
        "a log of keys: ended with {:?}: {:#?}",
        found.code,
        found.lines
    );
    let line = refused.place("refused", "the service's guard");
    ensure!(
        refused.code == Some(1)
            && refused.summary()["found"] == 1
            && line.is_some_and(|l| l["danger"] == "dtmf-log"),
        "with the log on: ended with {:?}: {:#?} {}",
        refused.code,
        refused.lines,
        refused.errors
    );
    Ok(())
}

/// No key where the call is not practice, or names nobody, or anybody could call; and no call left, also when it is stopped.
pub(crate) async fn refuses(lab: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "canary-refused", true, short).await?;
    for (extension, why) in [
        ("s@lab-canary-live", "its connector is not training"),
        ("s@lab-canary-nobody", "does not name the person"),
        ("8802@ivrpay-samples", "can reach the context"),
        ("s@lab-canary-nowhere", "brought no call"),
    ] {
        let canary = Canary::run(&service, &["--extension", extension]).await?;
        ensure!(
            canary.code == Some(1)
                && canary.lines.is_empty()
                && canary.errors.contains(why)
                && canary.errors.contains("hint: "),
            "{extension}: ended with {:?}: {}",
            canary.code,
            canary.errors
        );
    }
    let mut events = service.events().await?;
    let child = Canary::start(&service, &[])?;
    events.step("payment-card-number").await?;
    let second = Canary::run(&service, &[]).await?;
    ensure!(
        second.code == Some(1) && second.errors.contains("another canary"),
        "a second one: ended with {:?}: {}",
        second.code,
        second.errors
    );
    let pid = child.id().context("no pid")?.to_string();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status()?;
    ensure!(sent.success(), "kill -INT failed");
    let stopped = Canary::end(child).await?;
    ensure!(
        stopped.code == Some(1) && stopped.errors.contains("stopped"),
        "stopped: ended with {:?}: {}",
        stopped.code,
        stopped.errors
    );
    // The service hears of the hang-up; what it led is over then.
    events.first(|e| e["event"] == "call-ended").await?;
    let channels = lab.ari("GET", "/channels").await?;
    let left = channels.as_array().is_some_and(|channels| {
        let ours = |c: &&Value| {
            c["id"]
                .as_str()
                .is_some_and(|id| id.starts_with("ivrpay-canary"))
        };
        channels.iter().any(|c| ours(&c))
    });
    ensure!(!left, "a canary that was stopped left its call");
    Ok(())
}
