//! The line without an operator, with a merchant that is asked; and customers who are called.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ivrpay_tests::call::{Call, Report, not_silent};
use ivrpay_tests::lab::Lab;
use ivrpay_tests::phone::Phone;
use ivrpay_tests::service::{Service, set, tenant};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::operator::{called, paying};
use crate::recorders::{lock, request};
use crate::scenarios::{OtherResult, VISA, keys};
use crate::short;

/// How long the service waits for the merchant.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long it lets a customer's telephone ring.
const RING: Duration = Duration::from_secs(5);

/// The lab's line without an operator, and what stands before an order in the number that is dialled.
const LINE: &str = "72";

const SECRET: &str = "TWVyY2hhbnQncyBvd24gc2VjcmV0LCBmb3IgdGVzdHM=";

/// A merchant. What it says of an order is in the last digit of the number.
struct Merchant {
    at: String,
    /// Head and body of what was asked.
    asked: Arc<Mutex<Vec<(String, String)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Merchant {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Merchant {
    async fn start(lab: &Lab) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((lab.get("PHONE_IP")?, 0)).await?;
        let at = listener.local_addr()?.to_string();
        let asked: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let notes = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&notes)));
            }
        });
        Ok(Self { at, asked, task })
    }

    /// The service's configuration with this merchant.
    fn named(&self, config: &mut toml::Table, folder: &std::path::Path) -> anyhow::Result<()> {
        short(config);
        let file = folder.join("lookup-secret");
        std::fs::write(&file, format!("whsec_{SECRET}\n"))?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
        let tenant = tenant(config);
        set(tenant, "lookup.url", format!("http://{}/orders", self.at));
        set(tenant, "lookup.secret_file", file.display().to_string());
        set(
            tenant,
            "lookup.timeout",
            format!("{}ms", PATIENCE.as_millis()),
        );
        set(tenant, "line.order_digits", "6-10");
        set(
            tenant,
            "line.languages",
            toml::Value::Array(vec!["ja".into(), "en".into()]),
        );
        Ok(())
    }

    fn times_asked(&self, order: &str) -> usize {
        let asked = lock(&self.asked);
        asked
            .iter()
            .filter(|(_, body)| body.contains(order))
            .count()
    }
}

async fn answer(mut stream: TcpStream, asked: Arc<Mutex<Vec<(String, String)>>>) {
    let Some((head, body)) = request(&mut stream).await else {
        return;
    };
    let question: Value = serde_json::from_str(&body).unwrap_or_default();
    let order = question["order_id"].as_str().unwrap_or_default().to_owned();
    lock(&asked).push((head, body));
    let payable = r#"{"amount":4321,"currency":"JPY","description":"tea","status":"payable"}"#;
    let (status, answer) = match order.chars().last() {
        Some('0') => ("200 OK", r#"{"status":"unknown"}"#.to_owned()),
        Some('1') => ("200 OK", r#"{"status":"paid"}"#.to_owned()),
        Some('2') => {
            tokio::time::sleep(PATIENCE * 3).await;
            ("200 OK", payable.to_owned())
        }
        Some('3') => (
            "200 OK",
            r#"{"amount":"4321","status":"payable"}"#.to_owned(),
        ),
        Some('4') => ("500 Oh", payable.to_owned()),
        Some('5') => ("307 Elsewhere\r\nLocation: /orders", payable.to_owned()),
        Some('6') => ("200 OK", format!("{payable}{}", " ".repeat(70_000))),
        // Closed without a word.
        Some('7') => return,
        _ => ("200 OK", payable.to_owned()),
    };
    let length = answer.len();
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{answer}");
    // Whoever has read enough is gone.
    drop(stream.write_all(text.as_bytes()).await);
}

/// The question's signature, as Standard Webhooks says that a merchant checks it.
fn signed(head: &str, body: &str) -> anyhow::Result<()> {
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .with_context(|| format!("no {name} in {head}"))
    };
    let (id, at) = (header("webhook-id")?, header("webhook-timestamp")?);
    let signature = header("webhook-signature")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(SECRET)?)?;
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    ensure!(signature == expected, "the signature is not right");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let old = now.as_secs().abs_diff(at.parse()?);
    ensure!(old < 60, "the question is {old} s old");
    Ok(())
}

/// Number of an order that nobody had before, with this last digit.
fn order(last: u8) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = now.unwrap_or_default().as_millis() % 10_000_000;
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(10);
    let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 90 + 10;
    // Never two equal digits behind one another that a telephone could have doubled: that would be asked again.
    let digits = format!("{millis:07}{next:02}");
    let mut number = String::new();
    for digit in digits.chars() {
        if number.ends_with(digit) {
            let other = (u32::from(digit) - u32::from('0') + 1) % 10;
            number.extend(char::from_digit(other, 10));
        } else {
            number.push(digit);
        }
    }
    if number.ends_with(char::from(b'0' + last)) {
        number.pop();
    }
    number.push(char::from(b'0' + last));
    number
}

/// Keys the order, hears it read back, and says that it is right.
fn keyed(order: &str) -> String {
    format!("wait:order , {order}# wait:confirm ,, 1")
}

fn ended(report: &Report, result: &str) -> anyhow::Result<()> {
    OtherResult::judge(report, &[result]).with_context(|| format!("instead of {result}"))?;
    OtherResult::never_silent(report)
}

/// All that a caller can meet on the line, with one merchant.
async fn line(lab: &Lab) -> anyhow::Result<()> {
    let merchant = Merchant::start(lab).await?;
    let folder = tempfile::tempdir()?;
    let mut named = Ok(());
    let service = Service::start(lab, "line", true, |config| {
        named = merchant.named(config, folder.path());
    })
    .await?;
    named?;
    let (paid, retried, never) = (order(8), order(9), order(0));
    let pays = keys(VISA, "1230", "123");
    let happy = async {
        let script = format!(
            "wait:language 2 {} {pays} wait:payment-completed",
            keyed(&paid)
        );
        let report = Call::new(LINE, script).place(lab).await?;
        ended(&report, "success")?;
        let id = report.payment_id.clone().context("no payment")?;
        let payment = service.payment(&id).await?;
        ensure!(
            payment["amount"] == 4321
                && payment["order_id"] == paid.as_str()
                && payment["state"] == "approved"
                && payment["reference"].is_u64(),
            "the payment is {payment}"
        );
        lab.dialplan_went_on("success", &id).await?;
        // Paid: the merchant is not even asked.
        let again = format!("wait:language 1 {}", keyed(&paid));
        let report = Call::new(LINE, again).place(lab).await?;
        ended(&report, "order-already-paid")?;
        ensure!(
            merchant.times_asked(&paid) == 1,
            "the merchant was asked again"
        );
        let asked = lock(&merchant.asked).clone();
        let (head, body) = asked
            .iter()
            .find(|(_, body)| body.contains(&paid))
            .context("never asked")?;
        signed(head, body)?;
        ensure!(head.starts_with("POST /orders HTTP/1.1"), "{head}");
        let question: Value = serde_json::from_str(body)?;
        let expected = json!({"order_id": paid, "caller": "0312345678", "language": "en"});
        ensure!(question == expected, "the merchant was asked {question}");
        anyhow::Ok(())
    };
    let dialled = async {
        let number = order(8);
        let script = format!("wait:language 1 {pays}");
        let report = Call::new(format!("{LINE}{number}"), script)
            .place(lab)
            .await?;
        ended(&report, "success")?;
        ensure!(merchant.times_asked(&number) == 1, "asked not once");
        ensure!(!report.way().contains("order@"), "the number was asked for");
        anyhow::Ok(())
    };
    let wrong_then_right = async {
        let script = format!(
            "wait:language 1 {} {} {pays}",
            keyed(&never),
            keyed(&retried)
        );
        ended(&Call::new(LINE, script).place(lab).await?, "success")
    };
    let never_right = async {
        let number = order(0);
        let one = keyed(&number);
        let script = format!("wait:language 1 {one} {one} {one}");
        ended(
            &Call::new(LINE, script).place(lab).await?,
            "order-not-found",
        )?;
        // What was answered holds for this call.
        ensure!(merchant.times_asked(&number) == 1, "asked not once");
        anyhow::Ok(())
    };
    let told = async |last: u8, result: &'static str| {
        let number = order(last);
        let script = format!("wait:language 1 {}", keyed(&number));
        let report = Call::new(LINE, script).place(lab).await?;
        ended(&report, result).with_context(|| format!("order …{last}"))?;
        ensure!(
            merchant.times_asked(&number) == 1,
            "the merchant was asked {} times",
            merchant.times_asked(&number)
        );
        ensure!(report.payment_id.is_none(), "there is a payment");
        anyhow::Ok(())
    };
    let operator = async {
        let report = Call::new(LINE, "wait:language 1 wait:order , 0#")
            .place(lab)
            .await?;
        ended(&report, "operator-wanted")?;
        lab.dialplan_went_on("operator-wanted", "").await
    };
    let operator_at_once = async {
        let report = Call::new(LINE, "wait:language , 0").place(lab).await?;
        ended(&report, "operator-wanted")
    };
    let card = async {
        let report = Call::new(
            LINE,
            format!("wait:language 1 wait:order , {VISA} sleep:3000 hangup"),
        )
        .place(lab)
        .await?;
        ended(&report, "caller-hung-up")?;
        ensure!(
            report.way().contains("order/card-number"),
            "a card number was taken for an order: {}",
            report.way()
        );
        ensure!(
            merchant.times_asked(VISA) == 0,
            "the merchant got a card number"
        );
        anyhow::Ok(())
    };
    let gone_while_keying = async {
        let report = Call::new(LINE, "wait:language 1 wait:order , 2048 hangup");
        ended(&report.place(lab).await?, "caller-hung-up")
    };
    let gone_while_asking = async {
        let number = order(2);
        let script = format!("wait:language 1 {} sleep:300 hangup", keyed(&number));
        ended(&Call::new(LINE, script).place(lab).await?, "caller-hung-up")
    };
    let silent = async {
        let report = Call::new(LINE, "wait:language until-end")
            .place(lab)
            .await?;
        ended(&report, "too-many-failed-attempts")
    };
    tokio::try_join!(
        happy,
        dialled,
        wrong_then_right,
        never_right,
        told(1, "order-already-paid"),
        told(2, "lookup-failed"),
        told(3, "lookup-failed"),
        told(4, "lookup-failed"),
        told(5, "lookup-failed"),
        told(6, "lookup-failed"),
        told(7, "lookup-failed"),
        operator,
        operator_at_once,
        card,
        gone_while_keying,
        gone_while_asking,
        silent,
    )?;
    drop(merchant);
    // And now nobody listens there.
    let script = format!("wait:language 1 {}", keyed(&order(8)));
    ended(&Call::new(LINE, script).place(lab).await?, "lookup-failed").context("down")?;
    nothing_on(&service).await
}

/// Without a merchant to ask, what was announced is taken, and nothing else.
async fn announced(lab: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "line-announced", true, short).await?;
    let number = order(8);
    let body = json!({"amount": 3300, "order_id": number});
    let (status, payment) = service.post("/v1/payments", &body, None).await?;
    ensure!(status == 201, "announcing answered {status}: {payment}");
    let missing = keyed(&order(8));
    let script = format!("{missing} {} {}", keyed(&number), keys(VISA, "1230", "123"));
    let report = Call::new(LINE, script).place(lab).await?;
    ended(&report, "success")?;
    ensure!(
        report.payment_id.as_deref() == payment["id"].as_str(),
        "another payment was taken: {:?}",
        report.payment_id
    );
    nothing_on(&service).await
}

async fn nothing_on(service: &Service) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let (_, health) = service.get("/healthz").await?;
        if health["calls"] == 0 {
            return Ok(());
        }
        ensure!(
            began.elapsed() < Duration::from_secs(10),
            "{} calls are left",
            health["calls"]
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const CUSTOMER: &str = "0398765432";

fn customer(lab: &Lab, script: impl Into<String>) -> anyhow::Result<Phone> {
    called(lab, CUSTOMER, script)
}

fn asks(order: &str) -> Value {
    json!({"to": CUSTOMER, "from": "0312345678", "first": "customer", "amount": 2750, "order_id": order})
}

async fn call(service: &Service, body: &Value, key: Option<&str>) -> anyhow::Result<Value> {
    let (status, answer) = service.post("/v1/calls", body, key).await?;
    ensure!(status == 201, "POST /v1/calls answered {status}: {answer}");
    ensure!(
        answer["state"] == "on" && answer["to"] == body["to"],
        "{answer}"
    );
    Ok(answer)
}

/// Waits until the call is over: the call, and its payment.
async fn over(service: &Service, call: &Value, result: &str) -> anyhow::Result<Value> {
    let path = format!("/v1/calls/{}", call["id"].as_str().unwrap_or_default());
    let began = Instant::now();
    loop {
        let (status, answer) = service.get(&path).await?;
        ensure!(status == 200, "{path} answered {status}: {answer}");
        if answer["state"] == "over" {
            ensure!(
                answer["result"] == result && answer["ended_at"].is_string(),
                "the call is {answer} instead of {result}"
            );
            break;
        }
        ensure!(
            began.elapsed() < Duration::from_secs(90),
            "the call is not over: {answer}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let payment = call["payment_id"].as_str().context("no payment")?;
    service.payment(payment).await
}

fn waits(payment: &Value) -> anyhow::Result<()> {
    ensure!(
        payment["state"] == "waiting",
        "the payment does not wait: {payment}"
    );
    Ok(())
}

/// How long a channel of a call may be there behind its end.
const LEFT_MAX: Duration = Duration::from_secs(8);

async fn outbound_service(lab: &Lab) -> anyhow::Result<Service> {
    Service::start(lab, "outbound", true, |config| {
        short(config);
        let tenant = tenant(config);
        set(tenant, "calls.ring", format!("{}s", RING.as_secs()));
        set(tenant, "calls.at_once_max", 1);
    })
    .await
}

/// The customer answers, presses 1 and pays; the same request calls nobody again.
async fn called_and_paid(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let script = format!("answer:500 heard 1 {} until-end", keys(VISA, "1230", "123"));
    let phone = customer(lab, script)?.start(lab).await?;
    let order = format!("C-{}", uuid::Uuid::now_v7());
    let key = uuid::Uuid::now_v7().to_string();
    let begun = call(service, &asks(&order), Some(&key)).await?;
    let (status, again) = service.post("/v1/calls", &asks(&order), Some(&key)).await?;
    ensure!(
        status == 201 && again == begun,
        "the same request answered {status}: {again}"
    );
    let (status, other) = service
        .post("/v1/calls", &asks("another"), Some(&key))
        .await?;
    ensure!(
        status == 422 && other["code"] == "idempotency-reused",
        "another request under the same key answered {status}: {other}"
    );
    let payment = over(service, &begun, "success").await?;
    ensure!(
        payment["state"] == "approved" && payment["amount"] == 2750,
        "the payment is {payment}"
    );
    let report = phone.report().await?;
    ensure!(
        report.with == "0312345678" && report.ended_by == "far" && report.errors.is_empty(),
        "the customer's telephone saw {report:?}"
    );
    not_silent(&report.quiet)?;
    // Called again about what is paid: not even begun.
    let body = json!({"to": CUSTOMER, "first": "customer", "payment_id": payment["id"]});
    let (status, refused) = service.post("/v1/calls", &body, None).await?;
    ensure!(
        status == 409 && refused["code"] == "not-waiting",
        "a paid payment answered {status}: {refused}"
    );
    lab.no_channel(LEFT_MAX).await
}

/// Busy, declined, no answer: told, and the payment waits. One payment, one call.
async fn not_reached(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let body = json!({"amount": 900, "order_id": format!("C-{}", uuid::Uuid::now_v7())});
    let (status, payment) = service.post("/v1/payments", &body, None).await?;
    ensure!(status == 201, "announcing answered {status}: {payment}");
    let asks = json!({"to": CUSTOMER, "first": "customer", "payment_id": payment["id"]});
    let mut events = service.events().await?;
    for (script, result) in [
        ("busy", "busy"),
        ("declines", "unreachable"),
        ("rings", "no-answer"),
    ] {
        let phone = customer(lab, script)?.start(lab).await?;
        let begun = call(service, &asks, None).await?;
        if script == "rings" {
            let (status, second) = service.post("/v1/calls", &asks, None).await?;
            ensure!(
                status == 409
                    && second["code"] == "call-exists"
                    && second["call_id"] == begun["id"],
                "a second call answered {status}: {second}"
            );
        }
        waits(&over(service, &begun, result).await.context(script)?)?;
        phone.report().await?;
        let ended = |e: &Value| e["event"] == "customer-call-ended" && e["call_id"] == begun["id"];
        let event = events.within(Duration::from_secs(5), ended).await?;
        ensure!(
            event["result"] == result && event["payment_id"] == payment["id"],
            "listeners were told {event}"
        );
    }
    lab.no_channel(LEFT_MAX).await
}

/// More than may be at once, numbers that are none, and requests that are not clear.
async fn refused(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let phone = customer(lab, "rings")?.start(lab).await?;
    let order = || format!("C-{}", uuid::Uuid::now_v7());
    let first = call(service, &asks(&order()), None).await?;
    let second = order();
    let (status, answer) = service.post("/v1/calls", &asks(&second), None).await?;
    ensure!(
        status == 429 && answer["code"] == "too-many-calls",
        "a second call answered {status}: {answer}"
    );
    let (_, none) = service
        .get(&format!("/v1/payments?order_id={second}"))
        .await?;
    ensure!(none["payments"] == json!([]), "a payment was made: {none}");
    for (body, status) in [
        (
            json!({"to": "x", "first": "customer", "amount": 1, "order_id": "1"}),
            400,
        ),
        (
            json!({"to": CUSTOMER, "first": "nobody", "amount": 1, "order_id": "1"}),
            400,
        ),
        (json!({"to": CUSTOMER, "first": "customer"}), 400),
        (
            json!({"to": CUSTOMER, "first": "customer", "amount": 1}),
            400,
        ),
        (
            json!({"to": CUSTOMER, "first": "operator", "amount": 1, "order_id": "1"}),
            400,
        ),
        (
            json!({"to": CUSTOMER, "first": "customer", "payment_id": uuid::Uuid::now_v7(), "amount": 1}),
            400,
        ),
    ] {
        let (answered, text) = service.post("/v1/calls", &body, None).await?;
        ensure!(answered == status, "{body} answered {answered}: {text}");
    }
    over(service, &first, "no-answer").await?;
    phone.report().await?;
    let (status, _) = service
        .get(&format!("/v1/calls/{}", uuid::Uuid::now_v7()))
        .await?;
    ensure!(status == 404, "a call that is none answered {status}");
    lab.no_channel(LEFT_MAX).await
}

/// A machine answers, talks and presses nothing: nothing is said of a payment, and it is hung up.
async fn machine(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let phone = customer(lab, "until-end")?.start(lab).await?;
    let mut events = service.events().await?;
    let begun = call(service, &asks(&format!("C-{}", uuid::Uuid::now_v7())), None).await?;
    waits(&over(service, &begun, "no-key").await?)?;
    let report = phone.report().await?;
    ensure!(
        report.ended_by == "far" && report.ended_ms > 20_000,
        "the machine's call ended after {} ms by {}",
        report.ended_ms,
        report.ended_by
    );
    // It may be a person after all: asked again each 6 s.
    let quiet = report.quiet.iter().map(|(from, to)| to - from).max();
    ensure!(
        quiet.is_none_or(|ms| ms < 7_000),
        "nothing was heard at {:?}",
        report.quiet
    );
    // Not one step of a payment was entered.
    let either = |e: &Value| e["event"] == "step" || e["event"] == "customer-call-ended";
    let event = events.within(Duration::from_secs(5), either).await?;
    ensure!(event["event"] != "step", "a machine was asked: {event}");
    lab.no_channel(LEFT_MAX).await
}

/// SIGKILL while the customer's telephone rings, and while he is asked for a key: the ringing stops, nobody rings it again, and what was
/// asked for is known.
async fn killed(lab: &Lab) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "killed-calling", true, short).await?;
    for script in ["rings", "answer:200 until-end"] {
        let mut phone = customer(lab, script)?.then("rings").start(lab).await?;
        let body = asks(&format!("C-{}", uuid::Uuid::now_v7()));
        let key = uuid::Uuid::now_v7().to_string();
        let mut events = service.events().await?;
        let begun = call(&service, &body, Some(&key)).await?;
        let reached = async {
            if script == "rings" {
                return channel_is(lab, "Ringing").await;
            }
            events.first(|e| e["event"] == "call-started").await?;
            Ok(())
        };
        tokio::time::timeout(Duration::from_secs(10), reached)
            .await
            .with_context(|| format!("{script}: the telephone was not reached"))??;
        service.kill_and_start().await?;
        waits(&over(&service, &begun, "internal-error").await?).context(script)?;
        let report = phone.next().await?;
        ensure!(
            report.ended_by == "far" && report.ended_ms < 20_000,
            "{script}: the telephone saw {report:?}"
        );
        lab.no_channel(LEFT_MAX).await?;
        // Asked again it answers as it did, and rings nobody.
        let (status, again) = service.post("/v1/calls", &body, Some(&key)).await?;
        ensure!(
            status == 201 && again == begun,
            "the same request answered {status}: {again}"
        );
        lab.no_channel(LEFT_MAX).await?;
        let more = phone.stop().await?;
        ensure!(more.is_empty(), "{script}: it was rung again: {more:?}");
    }
    nothing_on(&service).await
}

async fn channel_is(lab: &Lab, state: &str) -> anyhow::Result<()> {
    loop {
        let channels = lab.ari("GET", "/channels").await?;
        let trunk = |channel: &Value| {
            let name = channel["name"].as_str().unwrap_or_default();
            name.starts_with("PJSIP/trunk") && channel["state"] == state
        };
        if channels.as_array().is_some_and(|all| all.iter().any(trunk)) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The operator is rung first, then the customer; they talk, and his pay key takes the payment. Busy customers and absent operators
/// are told apart.
async fn operator_first(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let asks = |extension: &str| {
        json!({"to": CUSTOMER, "first": "operator", "amount": 2750, "order_id": format!("C-{}", uuid::Uuid::now_v7()),
               "operator_extension": extension})
    };
    let operator = |number: &str, script: &str| {
        Phone::new(number, script).with(&["--voice", "500", "--hear", "1000"])
    };
    let pays = format!(
        "answer:500 hears:500 {} wait:call-ended hears:500 until-end",
        paying(VISA)
    );
    let presses = "hears:1000 sleep:500 *9 wait:call-ended hears:1000 sleep:500 hangup";
    let desk = operator("231", presses).start(lab).await?;
    let phone = customer(lab, pays)?.start(lab).await?;
    let begun = call(service, &asks("231"), None).await?;
    let payment = over(service, &begun, "talked").await?;
    ensure!(payment["state"] == "approved", "the payment is {payment}");
    let (desk, phone) = (desk.report().await?, phone.report().await?);
    ensure!(
        desk.heard(1000) > 500 && phone.heard(500) > 500,
        "they did not hear each other: {:?}, {:?}",
        desk.voices,
        phone.voices
    );
    not_silent(&phone.quiet).context("the customer")?;
    not_silent(&desk.quiet).context("the operator")?;

    let desk = operator("232", "until-end").start(lab).await?;
    let phone = customer(lab, "busy")?.start(lab).await?;
    let begun = call(service, &asks("232"), None).await?;
    waits(&over(service, &begun, "busy").await?)?;
    let (desk, _) = (desk.report().await?, phone.report().await?);
    ensure!(
        desk.heard_ms > 500 && desk.ended_by == "far",
        "the operator was not told: {desk:?}"
    );

    let desk = operator("233", "busy").start(lab).await?;
    let begun = call(service, &asks("233"), None).await?;
    waits(&over(service, &begun, "operator-no-answer").await?)?;
    desk.report().await?;
    lab.no_channel(LEFT_MAX).await
}

/// The same, with all that the dialplan asks and tells over AGI in the other way.
async fn operator_first_without_agi(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let way = async |way: &str| {
        let path = format!("/asterisk/variable?variable=IVRPAY_KEY_WAY&value={way}");
        lab.ari("POST", &path).await
    };
    way("ami").await?;
    let done = operator_first(lab, service).await;
    way("").await?;
    done
}

/// The dialplan says first who is calling; and an operator wants the customer back afterwards: his telephone rings behind the payment.
async fn brought_back(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let script = format!(
        "answer:500 heard heard 1 {} wait:call-ended hears:500 until-end",
        keys(VISA, "1230", "123")
    );
    let phone = customer(lab, script)?.start(lab).await?;
    let desk = Phone::new("234", "hears:1000 sleep:500 hangup")
        .with(&["--voice", "500", "--hear", "1000"])
        .start(lab)
        .await?;
    let mut body = asks(&format!("C-{}", uuid::Uuid::now_v7()));
    body["operator_extension"] = json!("234");
    // As in scripts/lab.
    body["to"] = json!("0398765499");
    let begun = call(service, &body, None).await?;
    let payment = over(service, &begun, "success").await?;
    ensure!(payment["state"] == "approved", "the payment is {payment}");
    let (desk, phone) = (desk.report().await?, phone.report().await?);
    ensure!(
        desk.heard(1000) > 500 && phone.heard(500) > 200,
        "they did not hear each other: {:?}, {:?}",
        desk.voices,
        phone.voices
    );
    not_silent(&phone.quiet)?;
    lab.no_channel(LEFT_MAX).await
}

/// The dialplan says of the customer who answered what can't be read: he hears so, and his call is over all the same.
async fn unreadable(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let phone = customer(lab, "answer:500 until-end")?.start(lab).await?;
    let mut body = asks(&format!("C-{}", uuid::Uuid::now_v7()));
    // As in scripts/lab.
    body["to"] = json!("0398765497");
    let begun = call(service, &body, None).await?;
    waits(&over(service, &begun, "internal-error").await?)?;
    let report = phone.report().await?;
    ensure!(
        report.ended_by == "far" && report.heard_ms > 500,
        "the customer's telephone saw {report:?}"
    );
    not_silent(&report.quiet)?;
    lab.no_channel(LEFT_MAX).await
}

type WithService = for<'a> fn(&'a Lab, &'a Service) -> LocalBoxFuture<'a, anyhow::Result<()>>;

/// All of them; `all`: the rarer ones too.
pub(crate) async fn run(
    tally: &mut crate::Tally,
    lab: &Lab,
    wanted: impl Fn(&str) -> bool,
    all: bool,
) {
    const MERCHANT: &str = "line: a merchant is asked, and what each of its answers leads to";
    const ANNOUNCED: &str = "line: announced orders, without a merchant to ask";
    const PAID: &str = "called: the customer answers and pays, once";
    const KILLED: &str = "called: killed while it rings, and while the customer is asked";
    let wanted = |name: &str| wanted(name) && (all || [MERCHANT, PAID].contains(&name));
    if wanted(MERCHANT) {
        tally.patiently(MERCHANT, || line(lab)).await;
    }
    if wanted(ANNOUNCED) {
        tally.patiently(ANNOUNCED, || announced(lab)).await;
    }
    if wanted(KILLED) {
        tally.patiently(KILLED, || killed(lab)).await;
    }
    let called: [(&str, WithService); 8] = [
        (PAID, |lab, service| {
            called_and_paid(lab, service).boxed_local()
        }),
        ("called: busy, declined, no answer", |lab, service| {
            not_reached(lab, service).boxed_local()
        }),
        (
            "called: too many at once, and bad requests",
            |lab, service| refused(lab, service).boxed_local(),
        ),
        (
            "called: a machine hears nothing of a payment",
            |lab, service| machine(lab, service).boxed_local(),
        ),
        ("called: brought back to the operator", |lab, service| {
            brought_back(lab, service).boxed_local()
        }),
        ("called: the operator first", |lab, service| {
            operator_first(lab, service).boxed_local()
        }),
        ("called: the operator first, and no AGI", |lab, service| {
            operator_first_without_agi(lab, service).boxed_local()
        }),
        (
            "called: arguments that can't be read: over all the same",
            |lab, service| unreadable(lab, service).boxed_local(),
        ),
    ];
    if !called.iter().any(|(name, _)| wanted(name)) {
        return;
    }
    match outbound_service(lab).await {
        Ok(service) => {
            for (name, check) in called {
                if wanted(name) {
                    tally.one(name, check(lab, &service)).await;
                }
            }
        }
        Err(error) => tally.count("called", Duration::ZERO, Err(error)),
    }
}
