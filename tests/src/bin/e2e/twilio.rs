//! What the API does with two who talk: it begins a capture, moves the operator, asks, pauses; and Twilio's own library leads one.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use ivrpay_tests::lab::{Lab, root};
use ivrpay_tests::service::{Events, Service, set};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::operator::{By, Case, Floor, GOODBYE, Seat, case, ended, keys_in};
use crate::scenarios::VISA;
use crate::{Tally, short};

/// Of operators whom no other scenario of this part has.
const FIRST: usize = 245;
const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const TOKEN: &str = "fedcba9876543210fedcba9876543210";
/// How long the two may take to be in their talk.
const TALK_MAX: Duration = Duration::from_secs(20);

pub(crate) async fn run(
    tally: &mut Tally,
    lab: &Lab,
    wanted: impl Fn(&str) -> bool,
) -> anyhow::Result<()> {
    let names = [
        "captures: the API takes a talk over, the operator waits",
        "captures: the API takes a talk over, the operator stays",
        "captures: the operator is moved, a field asked anew, paused and resumed by the API",
        "captures: Twilio's library leads one to its charge",
        "captures: Twilio's library leads one, and cancels it",
    ];
    if !names.iter().any(|name| wanted(name)) {
        return Ok(());
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let token = lab.folder.join("twilio-token");
    std::fs::write(&token, TOKEN)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&token, mode)?;
    let service = Service::start(lab, "twilio", true, |config| {
        short(config);
        let mut account = toml::Table::new();
        account.insert("account_sid".into(), ACCOUNT.into());
        account.insert("auth_token_file".into(), token.display().to_string().into());
        account.insert("key".into(), "lab".into());
        account.insert(
            "callback_networks".into(),
            vec![toml::Value::from("127.0.0.1")].into(),
        );
        account.insert(
            "callback_ports".into(),
            vec![toml::Value::from(i64::from(port))].into(),
        );
        set(config, "twilio", vec![toml::Value::Table(account)]);
    })
    .await?;
    let floor = Floor {
        lab,
        service: &service,
        office: None,
    };
    let [waits, stays, moved, charged, cancelled] = names;
    if wanted(waits) {
        let check = || begun(&floor, By::Hold, "hold", FIRST);
        tally.patiently(waits, check).await;
    }
    if wanted(stays) {
        let check = || begun(&floor, By::Hold, "stay", FIRST + 1);
        tally.patiently(stays, check).await;
    }
    if wanted(moved) {
        tally
            .patiently(moved, || led_by_api(&floor, FIRST + 2))
            .await;
    }
    for (name, ends) in [(charged, "complete"), (cancelled, "cancel")] {
        if wanted(name) {
            let check = || library(&floor, port, ends, FIRST + 4);
            tally.patiently(name, check).await;
        }
    }
    Ok(())
}

/// Begins a capture of the payment that the case has announced, once both have been heard.
async fn begin_announced(floor: &Floor<'_>, operator: usize, mode: &str) -> anyhow::Result<Value> {
    let until = tokio::time::Instant::now() + TALK_MAX;
    loop {
        let (_, list) = floor.service.get("/v1/payments?state=waiting").await?;
        let all = list["payments"].as_array().cloned().unwrap_or_default();
        let extension = operator.to_string();
        let his = all
            .iter()
            .find(|one| one["operator_extension"] == extension.as_str());
        if let Some(payment) = his
            && in_talk(floor, operator).await?
        {
            // They hear each other for a moment.
            tokio::time::sleep(Duration::from_millis(1_800)).await;
            let body = json!({"payment_id": payment["id"], "operator_extension": extension, "mode": mode, "by": "e2e"});
            let (status, answer) = floor.service.post("/v1/captures", &body, None).await?;
            ensure!(status == 201, "beginning answered {status}: {answer}");
            // The same talk once more.
            let (status, answer_2) = floor.service.post("/v1/captures", &body, None).await?;
            ensure!(
                status == 409 && answer_2["code"] == "capture-running",
                "beginning once more answered {status}: {answer_2}"
            );
            return Ok(answer);
        }
        ensure!(tokio::time::Instant::now() < until, "nobody talked");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn in_talk(floor: &Floor<'_>, operator: usize) -> anyhow::Result<bool> {
    let channels = floor.lab.ari("GET", "/channels").await?;
    let bridges = floor.lab.ari("GET", "/bridges").await?;
    let prefix = format!("PJSIP/{operator}-");
    let all = channels.as_array().into_iter().flatten();
    let his: Vec<_> = all
        .filter(|c| c["name"].as_str().is_some_and(|n| n.starts_with(&prefix)))
        .filter_map(|c| c["id"].as_str())
        .collect();
    let mut bridges = bridges.as_array().into_iter().flatten();
    Ok(bridges.any(|bridge| {
        let members = bridge["channels"].as_array();
        members.is_some_and(|all| all.len() == 2 && all.iter().any(|m| his.iter().any(|h| m == h)))
    }))
}

/// A call in which nobody presses the key.
fn quiet(name: &str, by: By) -> Case {
    case(name, by).operator(&format!("hears:1000 {GOODBYE}"))
}

async fn begun(floor: &Floor<'_>, by: By, mode: &str, operator: usize) -> anyhow::Result<()> {
    let mut case = quiet("begun by the API", by);
    if mode == "stay" {
        case = case.stays();
    }
    let (ran, began) = tokio::join!(
        floor.run(&case, operator),
        begin_announced(floor, operator, mode)
    );
    began?;
    ran.map(drop)
}

async fn done(floor: &Floor<'_>, call: &str, what: &str, body: Value) -> anyhow::Result<()> {
    let path = format!("/v1/calls/{call}/{what}");
    let (status, answer) = floor.service.post(&path, &body, None).await?;
    ensure!(status == 200, "{what} answered {status}: {answer}");
    Ok(())
}

/// The next event of that call in which this step is asked.
async fn step(events: &mut Events, call: &str, step: &str) -> anyhow::Result<Value> {
    events
        .first(|e| e["call_id"] == call && e["event"] == "step" && e["step"] == step)
        .await
        .with_context(|| format!("waiting for {step}"))
}

async fn led_by_api(floor: &Floor<'_>, operator: usize) -> anyhow::Result<()> {
    let (half, rest) = VISA.split_at(8);
    let case = quiet("moved and asked by the API", By::Hold)
        .customer(&format!(
            "hears:500 wait:greeting 1 wait:payment-card-number {half} wait:paused wait:payment-card-number , {rest}# \
             wait:expiration-date wait:paused wait:expiration-date sleep:7000 1230 wait:security-code 123 wait:confirmation 1 \
             wait:call-ended hears:500 until-end"
        ))
        .with_a_pause();
    let mut events = floor.service.events().await?;
    let asks = async {
        let begun = begin_announced(floor, operator, "hold").await?;
        let call = begun["call_id"].as_str().context("no call")?.to_owned();
        let by = json!({"by": "e2e"});
        events
            .first(|e| e["call_id"] == call.as_str() && e["digits"] == 8)
            .await
            .context("half the number")?;
        done(floor, &call, "switch", json!({"mode": "stay", "by": "e2e"})).await?;
        step(&mut events, &call, "expiration-date").await?;
        // What he is already is done.
        done(floor, &call, "switch", json!({"mode": "stay", "by": "e2e"})).await?;
        let anew = json!({"for": "expiration-date", "by": "e2e"});
        done(floor, &call, "ask", anew).await?;
        step(&mut events, &call, "expiration-date").await?;
        done(floor, &call, "pause", by.clone()).await?;
        step(&mut events, &call, "paused").await?;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        done(floor, &call, "resume", by.clone()).await?;
        step(&mut events, &call, "expiration-date").await?;
        // Nothing of it is led by a program.
        let path = format!("/v1/calls/{call}/complete");
        let (status, answer) = floor.service.post(&path, &by, None).await?;
        ensure!(
            status == 409 && answer["code"] == "not-possible",
            "complete answered {status}: {answer}"
        );
        done(floor, &call, "switch", json!({"mode": "hold", "by": "e2e"})).await
    };
    let (ran, asked) = tokio::join!(floor.run(&case, operator), asks);
    asked?;
    ran.map(drop)
}

/// Twilio's own library, with nothing but its address changed.
async fn library(floor: &Floor<'_>, port: u16, ends: &str, operator: usize) -> anyhow::Result<()> {
    let seat = Seat::new(floor.lab, operator)?;
    let operators = format!("hears:1000 {GOODBYE}");
    let desk = seat.phone(&[operators])?.start(floor.lab).await?;
    let card = format!("wait:payment-card-number , {VISA}#");
    let rest = if ends == "complete" {
        " wait:expiration-date , 1230 wait:security-code , 123"
    } else {
        ""
    };
    let script = format!("hears:500 {card}{rest} wait:call-ended hears:500 until-end");
    let call = seat.customer(floor.lab, By::Hold.extension(operator), &script, "rfc4733")?;
    let key = format!("T-{}", uuid::Uuid::now_v7());
    let settings = json!({"base": floor.service.api, "account": ACCOUNT, "token": TOKEN, "ip": "127.0.0.1", "port": port,
        "callback": format!("http://127.0.0.1:{port}/pay?agent={operator}"), "from": seat.from, "key": key, "amount": 3300, "ends": ends});
    let (report, led) = tokio::join!(call.place(floor.lab), python(&settings));
    let led = led?;
    let report = report?;
    let expected = if ends == "complete" {
        ("success", "approved")
    } else {
        ("agent-cancelled", "cancelled")
    };
    ensure!(
        report.result == expected.0,
        "the call ended with {}, steps {}",
        report.result,
        report.way()
    );
    let text = |at: &str| led[at].as_str().unwrap_or_default();
    ensure!(led["forged"] == json!([]), "a signature is wrong: {led}");
    ensure!(
        led["refused"]
            == json!([
                ["a postal code", 400, 20001],
                ["another host", 400, 20001],
                ["a second payment on the call", 409, 20409],
                ["the code before the number", 400, 20001],
                ["the charge before the card", 400, 20001]
            ]),
        "what must be refused: {}",
        led["refused"]
    );
    ensure!(
        text("sid").starts_with("PK") && led["sid"] == led["same_sid"],
        "{led}"
    );
    let pan = &led["pan"];
    ensure!(
        pan["PaymentCardNumber"] == "xxxxxxxxxxxx4242" && pan["PaymentCardType"] == "visa",
        "{pan}"
    );
    ensure!(led["result"]["Result"] == expected.0, "{}", led["result"]);
    ensure!(
        ends != "complete"
            || led["result"]["PaymentConfirmationCode"]
                .as_str()
                .is_some_and(|code| !code.is_empty()),
        "{}",
        led["result"]
    );
    ensure!(
        !led.to_string().contains(VISA),
        "the card's number came to the program"
    );
    let payment = report.payment_id.context("no payment")?;
    floor.state_is(&payment, &[expected.1]).await?;
    let his = ended(desk).await?;
    ensure!(
        his.result == "hung-up",
        "the operator's call: {}",
        his.result
    );
    ensure!(
        his.telephone_events_received == 0,
        "keys reached the operator's telephone"
    );
    let keys = keys_in(&seat.wav).await?;
    ensure!(keys == 0, "{keys} keys can be heard by the operator");
    Ok(())
}

async fn python(settings: &Value) -> anyhow::Result<Value> {
    let found = tokio::process::Command::new(root().join("scripts/venv"))
        .arg("twilio")
        .output()
        .await?;
    ensure!(
        found.status.success(),
        "scripts/venv twilio: {}",
        String::from_utf8_lossy(&found.stderr)
    );
    let python = String::from_utf8(found.stdout)?;
    let mut child = tokio::process::Command::new(python.trim())
        .arg(root().join("tests/twilio/capture.py"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = child.stdin.take().context("no input")?;
    input.write_all(settings.to_string().as_bytes()).await?;
    drop(input);
    let output = tokio::time::timeout(Duration::from_secs(150), child.wait_with_output())
        .await
        .context("the library's program did not end")??;
    ensure!(
        output.status.success(),
        "the library's program: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}
