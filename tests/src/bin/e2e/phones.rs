//! Operators' telephones on a plain Asterisk: both talk, nobody answers, calls are held and transferred. `transferred` has the daemon too.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use ivrpay_tests::call::{Call, Report};
use ivrpay_tests::lab::Lab;
use ivrpay_tests::phone::{Phone, PhoneReport, heard};
use ivrpay_tests::service::Service;
use serde_json::json;

use crate::scenarios::{VISA, keys};

/// What the customer's voice is, in Hz, and that of each operator.
const CUSTOMER: u32 = 1000;
const OPERATOR: u32 = 500;
const SECOND: u32 = 2000;

/// A customer with a voice of his own, who needs no daemon.
fn customer(extension: &str, keys: &str) -> Call {
    let call = Call::new(extension, keys).with(&["--voice", "1000", "--hear", "500,2000"]);
    Call { deaf: true, ..call }
}

fn phone(number: &str, voice: u32, script: &str) -> Phone {
    Phone::new(number, script).with(&["--voice", &voice.to_string(), "--hear", "500,1000,2000"])
}

fn talked(voices: &BTreeMap<u32, Vec<(u64, u64)>>, hz: u32, ms: u64) -> anyhow::Result<()> {
    let heard = heard(voices, hz);
    ensure!(
        heard >= ms,
        "voice {hz} was heard {heard} ms, not {ms}: {voices:?}"
    );
    Ok(())
}

fn ended(report: &Report, result: &str) -> anyhow::Result<()> {
    ensure!(
        report.result == result,
        "the customer's call ended with {}, not {result}",
        report.result
    );
    Ok(())
}

fn left(report: &PhoneReport, result: &str) -> anyhow::Result<()> {
    ensure!(
        report.result == result && report.errors.is_empty(),
        "call {} of the telephone ended with {} {:?}, not {result}",
        report.call,
        report.result,
        report.errors
    );
    Ok(())
}

/// Three calls to one telephone: the operator hangs up, the customer does, nobody does before both have heard each other.
pub(crate) async fn both_talk(lab: &Lab) -> anyhow::Result<()> {
    let desk = phone("201", OPERATOR, "hears:1000 sleep:1000 hangup")
        .then("answer:300 hears:1000 until-end")
        .start(lab)
        .await?;
    let first = customer("60201", "hears:500 until-end").place(lab).await?;
    let second = customer("60201", "hears:500 sleep:1000 hangup")
        .place(lab)
        .await?;
    let reports = desk.reports().await?;
    ensure!(reports.len() == 2, "{} calls came", reports.len());
    ended(&first, "ended-without-result")?;
    ended(&second, "hung-up")?;
    left(&reports[0], "hung-up")?;
    left(&reports[1], "far-hung-up")?;
    for (customer, operator) in [first, second].iter().zip(&reports) {
        talked(&customer.voices, OPERATOR, 800)?;
        talked(&operator.voices, CUSTOMER, 800)?;
        ensure!(operator.with == "0312345678", "{} called", operator.with);
        ensure!(
            operator.heard(OPERATOR) == 0 && heard(&customer.voices, CUSTOMER) == 0,
            "somebody hears himself"
        );
        ensure!(
            operator.telephone_events_received == 0,
            "a key that nobody pressed"
        );
    }
    Ok(())
}

/// Busy, declined, no answer, given up: what the customer's side is told.
pub(crate) async fn not_answered(lab: &Lab) -> anyhow::Result<()> {
    let one = async |number: &'static str,
                     script: &str,
                     keys: &[&str],
                     customers: &str,
                     operators: &str| {
        let desk = phone(number, OPERATOR, script).start(lab).await?;
        let call = customer(&format!("60{number}"), "until-end").with(keys);
        ended(&call.place(lab).await?, customers)?;
        left(&desk.report().await?, operators)
    };
    let (busy, declined, unanswered, given_up) = tokio::join!(
        one("211", "busy", &[], "rejected 486", "busy"),
        one("212", "declines", &[], "rejected 403", "declined"),
        // 20 s of `Dial()`.
        one("213", "rings", &[], "rejected 603", "cancelled"),
        one(
            "214",
            "rings",
            &["--timeout", "2"],
            "timeout waiting for an answer",
            "cancelled"
        ),
    );
    busy.context("busy")?;
    declined.context("declined")?;
    unanswered.context("no answer")?;
    given_up.context("given up by the caller")
}

/// Keys of the operator, in every way that a telephone has, reach the customer once each.
pub(crate) async fn operators_keys(lab: &Lab) -> anyhow::Result<()> {
    for way in ["rfc4733", "info", "inband"] {
        let desk = phone("201", OPERATOR, "hears:1000 1234 sleep:500 hangup")
            .with(&["--dtmf", way])
            .start(lab)
            .await?;
        let report = customer("60201", "until-end").place(lab).await?;
        left(&desk.report().await?, "hung-up")?;
        ensure!(
            report.telephone_events_received == 4,
            "of 4 keys by {way}, {} arrived",
            report.telephone_events_received
        );
    }
    Ok(())
}

/// On hold neither hears the other, then both do again.
pub(crate) async fn held(lab: &Lab) -> anyhow::Result<()> {
    let script = "hears:1000 sleep:300 hold sleep:1500 resume hears:1000 sleep:500 hangup";
    let desk = phone("201", OPERATOR, script).start(lab).await?;
    let report = customer("60201", "until-end").place(lab).await?;
    let operator = desk.report().await?;
    left(&operator, "hung-up")?;
    for (who, voices, hz) in [
        ("the customer", &report.voices, OPERATOR),
        ("the operator", &operator.voices, CUSTOMER),
    ] {
        let stretches = voices.get(&hz).map(Vec::as_slice).unwrap_or_default();
        let [(_, held), (resumed, _)] = stretches else {
            anyhow::bail!("{who} heard {hz} Hz at {stretches:?}");
        };
        ensure!(resumed - held >= 1400, "on hold {who} heard {stretches:?}");
    }
    Ok(())
}

/// The operator asks another one, and gives the customer to him; one who is busy sends the operator back to the customer.
pub(crate) async fn attended(lab: &Lab) -> anyhow::Result<()> {
    let first = phone(
        "201",
        OPERATOR,
        "hears:1000 sleep:500 attended:202 { hears:2000 sleep:500 }",
    )
    .start(lab)
    .await?;
    let second = phone("202", SECOND, "hears:500 hears:1000 sleep:500 hangup")
        .start(lab)
        .await?;
    let report = customer("60201", "hears:500 hears:2000 until-end")
        .place(lab)
        .await?;
    let (first, second) = (first.report().await?, second.report().await?);
    ended(&report, "ended-without-result")?;
    left(&first, "transferred")?;
    left(&second, "hung-up")?;
    talked(&report.voices, SECOND, 500)?;
    talked(&second.voices, CUSTOMER, 500)?;
    let consultation = first.consultation.context("no second call")?;
    ensure!(
        consultation.heard(SECOND) > 0 && consultation.heard(CUSTOMER) == 0,
        "in the second call the operator heard {:?}",
        consultation.voices
    );

    let first = phone(
        "201",
        OPERATOR,
        "hears:1000 attended:202 hears:1000 sleep:500 hangup",
    )
    .start(lab)
    .await?;
    let second = phone("202", SECOND, "busy").start(lab).await?;
    let report = customer("60201", "hears:500 until-end").place(lab).await?;
    let (first, second) = (first.report().await?, second.report().await?);
    left(&first, "hung-up")?;
    left(&second, "busy")?;
    ended(&report, "ended-without-result")
}

/// Of the queue the first operator is busy, the second takes the call.
pub(crate) async fn queue(lab: &Lab) -> anyhow::Result<()> {
    let busy = phone("201", OPERATOR, "busy").start(lab).await?;
    let takes = phone("202", SECOND, "hears:1000 sleep:500 hangup")
        .start(lab)
        .await?;
    let report = customer("61", "hears:2000 until-end").place(lab).await?;
    left(&busy.report().await?, "busy")?;
    left(&takes.report().await?, "hung-up")?;
    ended(&report, "ended-without-result")?;
    talked(&report.voices, SECOND, 400)
}

/// The operator calls the customer.
pub(crate) async fn calls_out(lab: &Lab) -> anyhow::Result<()> {
    let number = "0312345678";
    let customer = phone(number, CUSTOMER, "hears:500 until-end")
        .at(format!("{}:5060", lab.get("TRUNK_IP")?))
        .start(lab)
        .await?;
    let operator = phone(
        "201",
        OPERATOR,
        &format!("call:62{number} hears:1000 sleep:500 hangup"),
    )
    .start(lab)
    .await?;
    let (operator, customer) = (operator.report().await?, customer.report().await?);
    left(&operator, "hung-up")?;
    left(&customer, "far-hung-up")?;
    talked(&operator.voices, CUSTOMER, 500)?;
    talked(&customer.voices, OPERATOR, 500)
}

/// A real REFER to the payment extension: the payment that was announced for this operator is taken. Asterisk itself sets
/// BLINDTRANSFER, by which it is found.
pub(crate) async fn transferred_by_refer(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let order = format!("R-{}", uuid::Uuid::now_v7());
    let body = json!({"amount": 3212, "order_id": order, "operator_extension": "207"});
    let (status, payment) = service.post("/v1/payments", &body, None).await?;
    ensure!(status == 201, "announcing answered {status}: {payment}");
    let desk = phone("207", OPERATOR, "hears:1000 sleep:500 refer:8803")
        .start(lab)
        .await?;
    let script = format!("hears:500 {}", keys(VISA, "1230", "123"));
    let report = Call {
        deaf: false,
        ..customer("60207", &script)
    }
    .place(lab)
    .await?;
    let operator = desk.report().await?;
    left(&operator, "transferred")?;
    ensure!(
        report.result == "success" && report.payment_id.as_deref() == payment["id"].as_str(),
        "the call ended with {} and payment {:?}, steps {}",
        report.result,
        report.payment_id,
        report.way()
    );
    let transfer = operator.transfer.context("no transfer")?;
    ensure!(
        transfer.status == Some(202) && transfer.notified.last() == Some(&200),
        "the telephone was told {transfer:?}"
    );
    ensure!(
        operator.telephone_events_received == 0,
        "the operator's telephone got keys"
    );
    Ok(())
}
