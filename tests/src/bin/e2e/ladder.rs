//! The return ladder: who has the customer back after a payment, what each hears until then, and what the queue makes of it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use ivrpay_tests::call::{Call, Report};
use ivrpay_tests::lab::Lab;
use ivrpay_tests::phone::{Phone, PhoneReport, heard};
use ivrpay_tests::recording::Recording;
use ivrpay_tests::service::{Service, set, tenant};
use serde_json::Value;

use crate::scenarios::{OtherResult, VISA, keys};
use crate::short;

/// Voices, in Hz, and the lab's music.
const CUSTOMER: u32 = 1000;
const OPERATOR: u32 = 500;
const SECOND: u32 = 2000;
const MUSIC: u32 = 400;

/// The longest that a customer who waits for somebody may hear nothing.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// A whisper of result, amount and last four takes at least this long, ms.
const WHISPER_MIN: u64 = 2_500;
/// A vowel of a prompt may be taken for a voice for so long, ms.
const VOWEL_MAX: u64 = 300;
/// What a telephone says later than it was, ms: packets, and the time until a voice counts as one.
const SLACK: u64 = 700;

/// The ladders of all scenarios: one for each ending.
const RETURN: &str = r#"
approved = ["operator 4s", "queue orders 14s", "dial PJSIP/214 6s", "say 03-1234"]
declined = ["queue orders 14s", "say 03-1234"]
abandoned = ["dial PJSIP/213 6s"]
unknown = ["operator 6s"]
error = ["say 0120-1"]
"#;

fn config(config: &mut toml::Table) {
    short(config);
    ladder(config, RETURN);
}

fn ladder(config: &mut toml::Table, text: &str) {
    if let Ok(table) = text.parse::<toml::Table>() {
        set(tenant(config), "return", table);
    }
    let keys = config
        .get_mut("http")
        .and_then(|h| h.get_mut("keys")?.as_array_mut());
    let key = keys.and_then(|k| k.first_mut()?.as_table_mut());
    if let Some(scopes) = key.and_then(|k| k.get_mut("scopes")?.as_array_mut()) {
        scopes.push("tasks".into());
    }
}

async fn service(lab: &Lab) -> anyhow::Result<Service> {
    Service::start(lab, "ladder", true, config).await
}

fn paid() -> String {
    keys(VISA, "1230", "123")
}

/// A customer with a voice of his own, whose script goes on behind the payment, and what he hears in a file.
struct Customer {
    call: Call,
    audio: PathBuf,
}

impl Customer {
    fn new(lab: &Lab, name: &str, extension: &str, script: &str) -> Self {
        let audio = lab.folder.join(format!("ladder-{name}.wav"));
        let call = Call::new(extension, script).with(&[
            "--voice",
            "1000",
            "--hear",
            "500,2000,400",
            "--timeout",
            "60",
            "--save-audio",
            &audio.display().to_string(),
        ]);
        Self { call, audio }
    }

    async fn place(&self, lab: &Lab) -> anyhow::Result<Report> {
        self.call.place(lab).await
    }

    /// Nothing is heard for no longer than [`SILENCE_MAX`] from the end of the daemon's part to `until`, ms since the INVITE.
    async fn never_in_silence(&self, report: &Report, until: u64) -> anyhow::Result<()> {
        let from = ended_ms(report)?;
        ensure!(
            until > from,
            "back at {until} ms, before the end of the payment at {from} ms"
        );
        let recording = Recording::complete(&self.audio).await?;
        let quiet = recording.quiet(Duration::from_millis(from), Duration::from_millis(until));
        ensure!(
            quiet <= SILENCE_MAX,
            "between {from} and {until} ms the customer heard nothing for {quiet:?}"
        );
        Ok(())
    }
}

fn ended_ms(report: &Report) -> anyhow::Result<u64> {
    let steps = report.steps.as_array().context("no steps")?;
    let ended = steps.iter().rfind(|s| s["step"] == "call-ended");
    ended
        .and_then(|s| s["ms"].as_u64())
        .with_context(|| format!("no end of the payment, but {}", report.way()))
}

fn phone(number: &str, voice: u32, script: &str) -> Phone {
    Phone::new(number, script).with(&["--voice", &voice.to_string(), "--hear", "500,1000,2000,400"])
}

/// Where this voice began for the first time at or behind `from`, ms of that report.
fn begins(voices: &[(u64, u64)], from: u64) -> Option<u64> {
    voices
        .iter()
        .map(|(begin, _)| *begin)
        .find(|begin| *begin >= from)
}

fn stretches(voices: &std::collections::BTreeMap<u32, Vec<(u64, u64)>>, hz: u32) -> &[(u64, u64)] {
    voices.get(&hz).map_or(&[], Vec::as_slice)
}

fn result(report: &Report, wanted: &str) -> anyhow::Result<()> {
    OtherResult::judge(report, &[wanted]).with_context(|| format!("not {wanted}"))?;
    OtherResult::never_silent(report)
}

fn left(report: &PhoneReport, wanted: &str) -> anyhow::Result<()> {
    ensure!(
        report.result == wanted && report.errors.is_empty(),
        "call {} of the telephone ended with {} {:?}, not {wanted}; it heard {:?}",
        report.call,
        report.result,
        report.errors,
        report.voices
    );
    Ok(())
}

/// The person who takes the customer back hears something before the customer, who hears music meanwhile; then each hears the other.
/// When they hear each other, in ms of the customer's call.
fn whispered(
    customer: &Report,
    person: &PhoneReport,
    voice: u32,
    whisper: u64,
) -> anyhow::Result<u64> {
    let answered = person.answered_ms.context("not answered")?;
    let joined = begins(stretches(&person.voices, CUSTOMER), answered)
        .with_context(|| format!("the customer was never heard, but {:?}", person.voices))?;
    ensure!(
        joined >= answered + whisper,
        "the customer was joined {} ms behind the answer",
        joined - answered
    );
    let spoken = person.heard_ms.saturating_sub(person.heard(CUSTOMER));
    ensure!(
        spoken >= whisper / 2,
        "of {} ms before the customer was joined something was heard for {spoken} ms",
        joined - answered
    );
    ensure!(
        person.heard(MUSIC) <= VOWEL_MAX,
        "the operator heard the music"
    );
    // On the customer's clock.
    let at = |ms: u64| (person.began_unix_ms + ms).saturating_sub(customer.began_unix_ms);
    let back = begins(
        stretches(&customer.voices, voice),
        at(answered).saturating_sub(SLACK),
    )
    .with_context(|| format!("the operator was never heard, but {:?}", customer.voices))?;
    ensure!(
        back + SLACK >= at(joined),
        "the customer heard the operator at {back} ms, before the whisper ended at {} ms",
        at(joined)
    );
    ensure!(
        person.telephone_events_received == 0,
        "a key of the customer reached the operator"
    );
    ensure!(
        person.with == "0312345678",
        "the telephone shows {}",
        person.with
    );
    Ok(back)
}

/// Nobody is left: no channel, no bridge, no lamp, no call.
async fn nothing_left(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let (channels, bridges, lamps) = (
            lab.ari("GET", "/channels").await?,
            lab.ari("GET", "/bridges").await?,
            lab.ari("GET", "/deviceStates").await?,
        );
        let (_, health) = service.get("/healthz").await?;
        let empty = |v: &Value| v.as_array().is_some_and(Vec::is_empty);
        if empty(&channels) && empty(&bridges) && empty(&lamps) && health["calls"] == 0 {
            return Ok(());
        }
        ensure!(
            began.elapsed() < Duration::from_secs(12),
            "left over: channels {channels}, bridges {bridges}, lamps {lamps}, health {health}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until the lamp of an extension is lit or not.
async fn lamp(lab: &Lab, extension: &str, lit: bool, within: Duration) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let name = format!("Stasis:ivrpay-{extension}");
    while began.elapsed() < within {
        let all = lab.ari("GET", "/deviceStates").await?;
        let found = all
            .as_array()
            .into_iter()
            .flatten()
            .find(|d| d["name"] == *name);
        if found.is_some_and(|d| d["state"] == "INUSE") == lit {
            return Ok(began.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!(
        "the lamp {name} did not become {}",
        if lit { "lit" } else { "dark" }
    )
}

/// Transferred by REFER, paid: the same operator has him back, whispered to; lamp, names, hold, and a transfer to another one.
async fn paid_and_back(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let desk = phone("205", OPERATOR, "hears:1000 sleep:300 refer:631200")
        .then("answer:1500 hears:1000 sleep:600 hold sleep:1500 resume hears:1000 sleep:300 refer:206")
        .start(lab)
        .await?;
    let other = phone("206", SECOND, "hears:1000 sleep:500 hangup")
        .start(lab)
        .await?;
    let script = format!(
        "hears:500 {} wait:call-ended 17 hears:500 hears:2000 until-end",
        paid()
    );
    let customer = Customer::new(lab, "back", "60205", &script);
    let mut events = service.events().await?;
    let lamps = async {
        lamp(lab, "205", true, Duration::from_secs(20)).await?;
        events.step("payment-card-number").await?;
        // What is whispered is there before anybody is asked: result, amount and last four.
        events.step("payment-completed").await?;
        lamp(lab, "205", true, Duration::from_millis(500)).await?;
        let whisper = variable_of_customer(lab, "IVRPAY_WHISPER").await?;
        for part in [
            "ja/ivrpay/whisper-success-1&",
            "ja/ivrpay/yen-",
            "ja/ivrpay/digit-4&ja/ivrpay/digit-2&ja/ivrpay/digit-4&ja/ivrpay/digit-2",
        ] {
            ensure!(
                whisper.contains(part),
                "{part} is not in the whisper {whisper}"
            );
        }
        Ok(())
    };
    let (report, lamps) = tokio::join!(customer.place(lab), lamps);
    let report = report?;
    // A telephone that nobody rings any more would only say that.
    result(&report, "success")?;
    let reports = desk.reports().await?;
    lamps?;
    let other = other.report().await?;
    let [first, second] = &reports[..] else {
        bail!("{} calls came to the operator", reports.len());
    };
    left(first, "transferred")?;
    left(second, "transferred")?;
    left(&other, "hung-up")?;
    let back = whispered(&report, second, OPERATOR, WHISPER_MIN)?;
    customer.never_in_silence(&report, back).await?;
    ensure!(
        heard(&report.voices, MUSIC) >= 1_000,
        "the customer heard no music: {:?}",
        report.voices
    );
    // On hold, and back again.
    let talk = stretches(&second.voices, CUSTOMER);
    ensure!(talk.len() >= 2, "hold is not to be heard: {talk:?}");
    ensure!(
        heard(&report.voices, SECOND) >= 300,
        "the second operator was not heard"
    );
    ensure!(
        other.heard(CUSTOMER) >= 300,
        "the second operator did not hear the customer"
    );
    nothing_left(lab, service).await
}

/// A variable of the only channel of the trunk.
async fn variable_of_customer(lab: &Lab, variable: &str) -> anyhow::Result<String> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(15) {
        let channels = lab.ari("GET", "/channels").await?;
        for channel in channels.as_array().into_iter().flatten() {
            if !channel["name"]
                .as_str()
                .is_some_and(|n| n.starts_with("PJSIP/trunk-"))
            {
                continue;
            }
            let id = channel["id"].as_str().unwrap_or_default();
            let read = |name: &str| format!("/channels/{id}/variable?variable={name}");
            // Behind the daemon's part.
            let place = lab.ari("GET", &read("IVRPAY_RUNG")).await?;
            if place["value"].as_str().is_none_or(str::is_empty) {
                continue;
            }
            let value = lab.ari("GET", &read(variable)).await?;
            return Ok(value["value"].as_str().unwrap_or_default().to_owned());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("no customer came to the ladder")
}

/// How an operator does not take the customer back.
struct Refuses {
    name: &'static str,
    /// His extension, and what his telephone does with the call that comes back; `None`: it is away.
    extension: &'static str,
    script: Option<&'static str>,
}

/// Each goes one rung on.
const REFUSES: [Refuses; 5] = [
    Refuses {
        name: "busy",
        extension: "207",
        script: Some("busy"),
    },
    Refuses {
        name: "declines",
        extension: "208",
        script: Some("declines"),
    },
    Refuses {
        name: "does not answer",
        extension: "209",
        script: Some("rings"),
    },
    Refuses {
        name: "is away",
        extension: "210",
        script: None,
    },
    Refuses {
        name: "hangs up in the whisper",
        extension: "211",
        script: Some("sleep:1500 hangup"),
    },
];

/// The operator does not take him: one rung on, to the queue, whose agent hears the whisper with the customer still hearing music.
async fn one_rung_on(lab: &Lab, service: &Service, refuses: &Refuses) -> anyhow::Result<()> {
    let extension = refuses.extension;
    let operator = match refuses.script {
        Some(script) => Some(phone(extension, OPERATOR, script).start(lab).await?),
        None => None,
    };
    let agent = phone("202", SECOND, "hears:1000 sleep:800 hangup")
        .start(lab)
        .await?;
    let script = format!("{} wait:call-ended hears:2000 until-end", paid());
    let customer = Customer::new(lab, extension, &format!("64{extension}1200"), &script);
    let report = customer.place(lab).await?;
    let agent = agent.report().await?;
    if let Some(operator) = operator {
        let operator = operator.report().await?;
        ensure!(
            operator.heard(CUSTOMER) <= VOWEL_MAX,
            "the operator heard the customer: {:?}",
            operator.voices
        );
    }
    result(&report, "success")?;
    left(&agent, "hung-up")?;
    let back = whispered(&report, &agent, SECOND, WHISPER_MIN)?;
    customer.never_in_silence(&report, back).await?;
    ensure!(
        heard(&report.voices, OPERATOR) <= VOWEL_MAX,
        "the customer heard the operator"
    );
    nothing_left(lab, service).await
}

/// Nobody of the queue, then the extension takes him; and where that one does not either, a spoken good-bye.
async fn to_the_end(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    // Both agents of the queue do not take it, as long as it asks.
    let agent = phone("202", SECOND, "sleep:1200 hangup")
        .then("rings")
        .then("rings")
        .start(lab)
        .await?;
    let last = phone("214", OPERATOR, "hears:1000 sleep:500 hangup")
        .start(lab)
        .await?;
    let script = format!("{} wait:call-ended hears:500 until-end", paid());
    let customer = Customer::new(lab, "end", "642121200", &script);
    let report = customer.place(lab).await?;
    drop(agent.stop().await);
    let last = last.report().await?;
    result(&report, "success")?;
    left(&last, "hung-up")?;
    let back = whispered(&report, &last, OPERATOR, WHISPER_MIN)?;
    customer.never_in_silence(&report, back).await?;
    ensure!(
        heard(&report.voices, SECOND) <= VOWEL_MAX,
        "an agent who hung up in the whisper was heard"
    );
    nothing_left(lab, service).await
}

/// Who takes the customer back is another one for each ending.
async fn by_result(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let (paid, stars) = (
        paid(),
        "wait:payment-amount 1 wait:payment-card-number * , , *",
    );
    let declined = format!("{paid} wait:card-declined , 2");
    // Amount, keys, result, who takes him, whisper in ms.
    for (name, extension, amount, script, wanted, taker, whisper) in [
        (
            "declined",
            "215",
            "9492",
            declined.as_str(),
            "payment-connector-error",
            Some(("202", SECOND)),
            1_000,
        ),
        (
            "abandoned",
            "216",
            "1200",
            stars,
            "caller-interrupted-with-star",
            Some(("213", OPERATOR)),
            1_000,
        ),
        (
            "unknown",
            "217",
            "9002",
            paid.as_str(),
            "outcome-unknown",
            Some(("217", OPERATOR)),
            1_000,
        ),
        ("error", "218", "000", "", "internal-error", None, 0),
    ] {
        let one = async {
            let desk = match taker {
                Some((number, voice)) => Some(
                    phone(number, voice, "hears:1000 sleep:400 hangup")
                        .start(lab)
                        .await?,
                ),
                None => None,
            };
            let hears = taker.map_or(String::new(), |(_, voice)| format!("hears:{voice}"));
            let script = format!("{script} wait:call-ended {hears} until-end");
            let customer = Customer::new(lab, name, &format!("64{extension}{amount}"), &script);
            let report = customer.place(lab).await?;
            result(&report, wanted)?;
            let until = match (desk, taker) {
                (Some(desk), Some((_, voice))) => {
                    let person = desk.report().await?;
                    left(&person, "hung-up")?;
                    whispered(&report, &person, voice, whisper)?
                }
                _ => report.lasted_ms.saturating_sub(300),
            };
            customer.never_in_silence(&report, until).await?;
            if taker.is_none() {
                // The good-bye with its number.
                ensure!(
                    report.lasted_ms >= ended_ms(&report)? + 4_000,
                    "the good-bye took {} ms",
                    report.lasted_ms - ended_ms(&report)?
                );
            }
            nothing_left(lab, service).await
        };
        one.await.context(name)?;
    }
    Ok(())
}

/// The customer hangs up while the operator's telephone rings: it stops. He had heard that it is paid: nobody calls him back for it. One who
/// hung up before he heard it is called back, and nobody rings for him.
async fn customer_gives_up(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let desk = phone("219", OPERATOR, "rings").start(lab).await?;
    let script = format!("{} wait:call-ended hears:400 hangup", paid());
    let customer = Customer::new(lab, "gives-up", "642191200", &script);
    let report = customer.place(lab).await?;
    let operator = desk.report().await?;
    result(&report, "success")?;
    left(&operator, "cancelled")?;
    let hung_up = report.began_unix_ms + report.lasted_ms;
    let stopped = operator.began_unix_ms + operator.ended_ms;
    ensure!(
        stopped <= hung_up + SLACK,
        "the telephone rang for {} ms longer",
        stopped - hung_up
    );
    ensure!(
        task(service, &report).await?.is_none(),
        "a task about an approval that was heard"
    );
    nothing_left(lab, service).await?;

    let script = paid().replace(
        "wait:confirmation 1",
        "wait:confirmation 1 wait:payment-processing sleep:200 hangup",
    );
    let report = Customer::new(lab, "gone", "642199001", &script)
        .place(lab)
        .await?;
    nothing_left(lab, service).await?;
    let task = task(service, &report).await?.context("no task")?;
    ensure!(task["kind"] == "approved-caller-gone", "{task}");
    Ok(())
}

/// The open task about this payment.
async fn task(service: &Service, report: &Report) -> anyhow::Result<Option<Value>> {
    let id = report.payment_id.as_deref().context("no payment")?;
    let (status, tasks) = service.get("/v1/tasks?limit=200").await?;
    ensure!(status == 200, "GET /v1/tasks answered {status}: {tasks}");
    let tasks = tasks["tasks"].as_array().context("no tasks")?;
    Ok(tasks.iter().find(|t| t["payment_id"] == id).cloned())
}

/// The lamp is lit from the transfer until the operator's telephone has the customer again; the queue does not ring him meanwhile; a service
/// that was killed leaves it to the next one.
async fn lamps(lab: &Lab) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "ladder-lamps", true, |config| {
        short(config);
        ladder(
            config,
            "wrap_up = \"3s\"\napproved = [\"operator 6s\"]\nerror = [\"operator 3s\"]",
        );
    })
    .await?;
    let mut events = service.events().await?;
    // 201 has transferred his customer; the queue's next call goes past him.
    let desk = phone("201", OPERATOR, "answer:1000 hears:1000 sleep:500 hangup")
        .start(lab)
        .await?;
    let agent = phone("202", SECOND, "hears:1000 sleep:300 hangup")
        .start(lab)
        .await?;
    let script = format!("{} wait:call-ended hears:500 until-end", paid());
    let customer = Customer::new(lab, "lamp", "642011200", &script);
    let meanwhile = async {
        events.step("payment-card-number").await?;
        lamp(lab, "201", true, Duration::from_millis(200)).await?;
        let second = Call::new("61", "hears:2000 until-end").with(&[
            "--voice",
            "1000",
            "--from",
            "0311112222",
        ]);
        Call {
            deaf: true,
            ..second
        }
        .place(lab)
        .await
    };
    let (report, second) = tokio::join!(customer.place(lab), meanwhile);
    let (report, second) = (report?, second?);
    let agent = agent.report().await?;
    let operator = desk.report().await?;
    result(&report, "success")?;
    left(&agent, "hung-up")?;
    left(&operator, "hung-up")?;
    ensure!(
        second.result == "ended-without-result",
        "the queue's call ended with {}",
        second.result
    );
    whispered(&report, &operator, OPERATOR, WHISPER_MIN)?;
    // Wrapped up from the end of the call, not from the transfer.
    let took = lamp(lab, "201", false, Duration::from_secs(9)).await?;
    ensure!(
        took >= Duration::from_millis(1500),
        "wrapped up {took:?} behind the end"
    );
    nothing_left(lab, &service).await?;

    let call = Customer::new(
        lab,
        "killed",
        "642011200",
        "wait:payment-amount 1 wait:payment-card-number 4242 until-end",
    );
    let kill = async {
        events_of(&service).await?;
        lamp(lab, "201", true, Duration::from_millis(200)).await?;
        service.kill().await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        lamp(lab, "201", true, Duration::from_millis(200)).await?;
        service.spawn()?;
        service.ready(true).await?;
        lamp(lab, "201", false, Duration::from_secs(3)).await
    };
    let (report, killed) = tokio::join!(call.place(lab), kill);
    killed?;
    // The dialplan had its ladder from the start: nobody is at 201, a good-bye.
    let report = report?;
    ensure!(
        !report.result.starts_with("timeout"),
        "the caller was stranded: {}",
        report.result
    );
    nothing_left(lab, &service).await
}

async fn events_of(service: &Service) -> anyhow::Result<()> {
    let mut events = service.events().await?;
    events.step("payment-card-number").await.map(drop)
}

/// What the queue's own record says of a call that left it for a payment, and of the one that came back by it.
async fn queue_log(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let desk = phone("202", SECOND, "hears:1000 sleep:300 refer:639492")
        .then("answer:500 hears:1000 sleep:500 hangup")
        .start(lab)
        .await?;
    let script = format!(
        "hears:2000 {} wait:card-declined , 2 wait:call-ended hears:2000 until-end",
        paid()
    );
    let customer = Customer::new(lab, "queue", "61", &script);
    let report = customer.place(lab).await?;
    result(&report, "payment-connector-error")?;
    let reports = desk.reports().await?;
    let [first, second] = &reports[..] else {
        bail!("{} calls came to the agent", reports.len());
    };
    left(first, "transferred")?;
    left(second, "hung-up")?;
    whispered(&report, second, SECOND, 1_000)?;
    let log = tokio::fs::read_to_string(lab.folder.join("log/queue_log")).await?;
    let start = log
        .lines()
        .rfind(|l| l.contains("|IVRPAYSTART|"))
        .context("no IVRPAYSTART")?;
    let unique = start.split('|').nth(1).context("no call")?;
    let mine: Vec<Vec<&str>> = log
        .lines()
        .map(|l| l.split('|').collect::<Vec<_>>())
        .filter(|l| l.get(1) == Some(&unique))
        .collect();
    let mut events: Vec<&str> = mine
        .iter()
        .filter_map(|l| l.get(4).copied())
        .filter(|e| *e != "RINGNOANSWER" && *e != "RINGCANCELED")
        .collect();
    // The queue writes the transfer in the agent's thread, the dialplan its start in the
    // customer's, who is on his way by then: either may be first.
    if let [_, _, start @ "IVRPAYSTART", transfer @ "BLINDTRANSFER", ..] = &mut events[..] {
        std::mem::swap(start, transfer);
    }
    ensure!(
        events
            == [
                "ENTERQUEUE",
                "CONNECT",
                "BLINDTRANSFER",
                "IVRPAYSTART",
                "IVRPAYEND",
                "ENTERQUEUE",
                "CONNECT",
                "COMPLETEAGENT"
            ],
        "the queue has {events:?}"
    );
    let payment = report.payment_id.as_deref().unwrap_or_default();
    let end = mine
        .iter()
        .find(|l| l.get(4) == Some(&"IVRPAYEND"))
        .context("no end")?;
    ensure!(
        end.get(2..)
            == Some(
                &[
                    "orders",
                    "202",
                    "IVRPAYEND",
                    "payment-connector-error",
                    payment
                ][..]
            ),
        "the end is {end:?}"
    );
    nothing_left(lab, service).await
}

/// Another payment in the call that came back, by the pay key, though the call had none.
async fn pays_again(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let desk = phone(
        "220",
        OPERATOR,
        "answer:500 hears:1000 sleep:500 *9 not-hears:1000/8000 hears:1000 sleep:500 hangup",
    )
    .start(lab)
    .await?;
    let order = format!("L-{}", uuid::Uuid::now_v7());
    let body = serde_json::json!({"amount": 3400, "order_id": order, "operator_extension": "220"});
    let (status, payment) = service.post("/v1/payments", &body, None).await?;
    ensure!(status == 201, "announcing answered {status}: {payment}");
    // The first is another order, with its own amount.
    let script = format!(
        "{} wait:call-ended hears:500 {} wait:call-ended hears:500 until-end",
        paid(),
        paid()
    );
    let customer = Customer::new(lab, "again", "642201200", &script);
    let report = customer.place(lab).await?;
    let operator = desk.report().await?;
    result(&report, "success")?;
    left(&operator, "hung-up")?;
    let id = payment["id"].as_str().context("no id")?;
    ensure!(
        report.payment_id.as_deref() == Some(id),
        "the second payment is {:?}",
        report.payment_id
    );
    let second = service.payment(id).await?;
    ensure!(
        second["state"] == "approved",
        "the second payment is {}",
        second["state"]
    );
    ensure!(
        operator.telephone_events_received == 0,
        "a key of the customer reached the operator"
    );
    nothing_left(lab, service).await
}

/// Fifty seats that nobody set up here: each telephone is rung for its own customer alone. In waves of five, as many as two cores play
/// with all else that a full run has beside them.
async fn fifty_seats(lab: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "ladder-seats", true, |config| {
        short(config);
        ladder(config, "default = [\"operator 3s\"]");
    })
    .await?;
    let places = tokio::sync::Semaphore::new(5);
    let one = async |n: u32| {
        let _place = places.acquire().await?;
        let (number, from) = (n.to_string(), format!("0312340{n}"));
        let script = format!("{} wait:call-ended until-end", paid());
        let call = Call::new(format!("64{number}1200"), script).with(&["--from", &from]);
        let call = call.with(&crate::UNHURRIED);
        crate::patiently(&format!("telephone {number}"), async || {
            let desk = phone(&number, OPERATOR, "rings").start(lab).await?;
            let report = call.place(lab).await?;
            let reports = desk.reports().await?;
            let rung: Vec<&str> = reports.iter().map(|r| r.with.as_str()).collect();
            ensure!(
                rung == [from.as_str()],
                "telephone {number} was rung for {rung:?}, not {from}"
            );
            result(&report, "success")
        })
        .await
    };
    let all = futures_util::future::join_all((201..=250).map(one)).await;
    let wrong: Vec<String> = all
        .into_iter()
        .filter_map(|r: anyhow::Result<()>| r.err())
        .map(|e| format!("{e:#}"))
        .collect();
    ensure!(
        wrong.is_empty(),
        "{} of 50: {}",
        wrong.len(),
        wrong.join("; ")
    );
    nothing_left(lab, &service).await
}

/// `ivrpay check` names a rung that leads to nobody, and the line to add.
async fn checked(lab: &Lab) -> anyhow::Result<()> {
    let check = async |text: &str| {
        let service = Service::start(lab, "ladder-check", true, |config| {
            short(config);
            ladder(config, text);
        })
        .await?;
        let output = tokio::process::Command::new(ivrpay_tests::lab::binary("ivrpay")?)
            .args(["check", "--json", "--config"])
            .arg(service.folder.join("ivrpay.toml"))
            .output()
            .await?;
        Ok::<_, anyhow::Error>(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let said = check(RETURN).await?;
    ensure!(
        said.contains("lead to nobody"),
        "of a good ladder it says {said}"
    );
    let said = check(
        "default = [\"queue nobody 20s\", \"dial PJSIP/999 5s\", \"goto lab-operator nowhere\", \"goto lab-operator 201\", \"queue orders 5s\"]",
    )
    .await?;
    for part in [
        "the queue nobody",
        "[nobody]",
        "PJSIP/999",
        "[999]",
        "nowhere in the context lab-operator",
        "exten => nowhere",
    ] {
        ensure!(
            said.contains(part),
            "of a ladder to nobody it does not say {part:?}: {said}"
        );
    }
    ensure!(!said.contains("queue orders"), "{said}");
    Ok(())
}

/// A ladder that leads to a payment again, in the caller's own channel and over a telephone that forwards: it ends, with the good-bye.
async fn turns(lab: &Lab) -> anyhow::Result<()> {
    // An amount that nobody can pay: each time the payment is over at once.
    const AGAIN: &str = "63100000000";
    for rung in [
        format!("goto lab {AGAIN}"),
        format!("dial Local/{AGAIN}@lab/n 60s"),
    ] {
        let service = Service::start(lab, "ladder-turns", true, |config| {
            short(config);
            ladder(config, &format!("default = [{rung:?}]"));
        })
        .await?;
        // To the end of the call, not of its first payment.
        let call = Call {
            deaf: true,
            ..Call::new(AGAIN, "until-end")
        };
        let report = call.place(lab).await?;
        let told = || format!("{rung}: {report:?}");
        // Five ladders, the payments between, and the good-bye.
        ensure!(
            report.lasted_ms < 90_000 && report.heard_ms >= 10_000,
            "{}",
            told()
        );
        nothing_left(lab, &service).await.with_context(told)?;
    }
    Ok(())
}

/// All of them; the long one of fifty calls with `full` alone.
pub(crate) async fn run(
    tally: &mut crate::Tally,
    lab: &Lab,
    wanted: impl Fn(&str) -> bool,
    full: bool,
) -> anyhow::Result<()> {
    const PAID: &str =
        "ladder: paid, and back to the operator who transferred, who holds and transfers again";
    const TO_THE_END: &str = "ladder: nobody of the queue, then the extension";
    const BY_RESULT: &str =
        "ladder: declined, abandoned, unknown and error have ladders of their own";
    const GIVES_UP: &str =
        "ladder: the customer gives up while it rings, and before he heard of the approval";
    const QUEUE_LOG: &str = "ladder: the queue's record has the payment";
    const AGAIN: &str = "ladder: another payment by the pay key in the call that came back";
    const LAMPS: &str = "ladder: the operator's lamp, the queue goes past him, the daemon killed";
    const SEATS: &str = "ladder: fifty seats, each has its own customer back";
    const CHECKED: &str = "ladder: check names a rung that leads to nobody";
    const TURNS: &str = "ladder: one that leads to a payment again ends, with a good-bye";
    let rungs: Vec<(String, &Refuses)> = REFUSES
        .iter()
        .map(|refuses| {
            (
                format!("ladder: the operator {}, one rung on", refuses.name),
                refuses,
            )
        })
        .collect();
    // Minutes each, and beside others of their kind: at full count alone.
    let rare = |name: &str| {
        let rungs = ["declines", "does not answer", "is away"];
        name == BY_RESULT || name == TURNS || rungs.iter().any(|rung| name.contains(rung))
    };
    let wanted = |name: &str| wanted(name) && (full || !rare(name));
    let with_service = [PAID, TO_THE_END, BY_RESULT, GIVES_UP, QUEUE_LOG, AGAIN];
    if with_service.iter().any(|n| wanted(n)) || rungs.iter().any(|(n, _)| wanted(n)) {
        let service = service(lab).await?;
        if wanted(PAID) {
            tally.patiently(PAID, || paid_and_back(lab, &service)).await;
        }
        for (name, refuses) in &rungs {
            if wanted(name) {
                tally
                    .patiently(name, || one_rung_on(lab, &service, refuses))
                    .await;
            }
        }
        if wanted(TO_THE_END) {
            tally
                .patiently(TO_THE_END, || to_the_end(lab, &service))
                .await;
        }
        if wanted(BY_RESULT) {
            tally
                .patiently(BY_RESULT, || by_result(lab, &service))
                .await;
        }
        if wanted(GIVES_UP) {
            tally
                .patiently(GIVES_UP, || customer_gives_up(lab, &service))
                .await;
        }
        if wanted(QUEUE_LOG) {
            tally
                .patiently(QUEUE_LOG, || queue_log(lab, &service))
                .await;
        }
        if wanted(AGAIN) {
            tally.patiently(AGAIN, || pays_again(lab, &service)).await;
        }
    }
    if wanted(LAMPS) {
        tally.patiently(LAMPS, || lamps(lab)).await;
    }
    if wanted(TURNS) {
        tally.patiently(TURNS, || turns(lab)).await;
    }
    if full && wanted(SEATS) {
        tally.patiently(SEATS, || fifty_seats(lab)).await;
    }
    if wanted(CHECKED) {
        tally.patiently(CHECKED, || checked(lab)).await;
    }
    Ok(())
}
