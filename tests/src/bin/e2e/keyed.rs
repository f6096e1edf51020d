//! The operator keys the card that his customer says: `*7`. Both talk meanwhile; the keys are the operator's, and reach nobody else.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use ivrpay_tests::call::{Call, Report, not_silent};
use ivrpay_tests::lab::Lab;
use ivrpay_tests::phone::{PhoneReport, heard};
use ivrpay_tests::recording::Recording;
use ivrpay_tests::service::{Service, let_operators_key};
use serde_json::Value;

use crate::operator::{
    BACK, CUSTOMER, GOODBYE, OPERATOR, QUEUED, Refused, Seat, announce, called, ended, heard_at,
    heard_between, keys_in, nothing, nothing_is_left, paying, refusals, step_at,
};
use crate::recorders::Recorder;
use crate::scenarios::{MASTERCARD, VISA, keys};
use crate::short;

/// The operator talks for a moment and presses the key.
const PRESS: &str = "hears:1000 sleep:400 *7";
/// A customer who says his card and presses keys of his own, which are nobody's.
const SAYS: &str = "hears:500 wait:payment-card-number 99# wait:call-ended hears:500 until-end";

/// The lab's queue, instead of what stands before an operator's extension.
const QUEUE: &str = "61";

/// The first operator's extension; none of `operator`, `phones` or the queue.
const EXTENSION: usize = 240;

fn allowed(config: &mut toml::Table) {
    short(config);
    let_operators_key(config);
}

/// What the operator keys. He waits for the number to be said.
fn keying() -> String {
    keys(VISA, "1230", "123").replacen(
        "wait:payment-card-number ",
        "wait:payment-card-number hears:1000 sleep:700 ",
        1,
    )
}

/// One call and its payment.
struct Talk<'a> {
    lab: &'a Lab,
    service: &'a Service,
    seat: Seat,
    operator: usize,
    payment: String,
    /// What the customer hears.
    audio: PathBuf,
}

impl<'a> Talk<'a> {
    async fn new(lab: &'a Lab, service: &'a Service, operator: usize) -> anyhow::Result<Self> {
        Self::about(lab, service, operator, 3300).await
    }

    async fn about(
        lab: &'a Lab,
        service: &'a Service,
        operator: usize,
        amount: u64,
    ) -> anyhow::Result<Self> {
        let seat = Seat::new(lab, operator)?;
        let audio = seat.wav.with_extension("customer.wav");
        Ok(Self {
            lab,
            service,
            seat,
            operator,
            payment: announce(service, operator, amount, None).await?,
            audio,
        })
    }

    /// Places it: both reports, the operator's of each of his calls.
    async fn place(
        &self,
        prefix: &str,
        customer: &str,
        operator: &[String],
        way: &str,
    ) -> anyhow::Result<(Report, Vec<PhoneReport>)> {
        let mut phone = self.seat.phone(operator)?;
        phone = phone.with(&["--dtmf", way]);
        let desk = phone.start(self.lab).await?;
        let extension = match prefix {
            QUEUE => QUEUE.to_owned(),
            prefix => format!("{prefix}{}", self.operator),
        };
        let call = self
            .seat
            .customer(self.lab, extension, customer, "rfc4733")?
            .with(&["--save-audio", &self.audio.display().to_string()]);
        let report = call.place(self.lab).await?;
        if report.result.starts_with("timeout") {
            drop(desk.stop().await);
            anyhow::bail!("the customer: {report:?}");
        }
        Ok((report, desk.reports().await?))
    }

    /// What the journal has, when the call is over.
    async fn state_is(&self, state: &str, entered_by: &str) -> anyhow::Result<Value> {
        state_is(self.service, &self.payment, state, entered_by).await
    }
}

async fn state_is(
    service: &Service,
    payment: &str,
    state: &str,
    entered_by: &str,
) -> anyhow::Result<Value> {
    let began = Instant::now();
    loop {
        let found = service.payment(payment).await?;
        if found["state"] == state {
            ensure!(
                found["entered_by"] == entered_by,
                "the payment says that it was keyed by {}, not by {entered_by}",
                found["entered_by"]
            );
            return Ok(found);
        }
        ensure!(
            began.elapsed() < Duration::from_secs(20),
            "the payment is {}, not {state}",
            found["state"]
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Paid; both heard each other while the operator keyed, and no key of his reached the customer, nor one of the customer's anybody.
async fn approved(
    lab: &Lab,
    service: &Service,
    (prefix, operator): (&str, usize),
    way: &str,
) -> anyhow::Result<()> {
    let talk = Talk::new(lab, service, operator).await?;
    let script = [format!("{PRESS} {} {GOODBYE}", keying())];
    let mut events = service.events().await?;
    let first =
        events.first(|e| e["payment_id"] == talk.payment.as_str() && e["step"] == "payment-amount");
    let (placed, event) = tokio::join!(talk.place(prefix, SAYS, &script, way), first);
    let (report, operators) = placed?;
    let told = || format!("the customer: {report:?}; the operator: {operators:?}");
    let last = operators.last().with_context(told)?;
    ensure!(
        report.result == "success" && last.result == "hung-up" && last.errors.is_empty(),
        "{}",
        told()
    );
    ensure!(
        event?["entered_by"] == "operator",
        "the events do not say it"
    );
    report.never_silent()?;
    not_silent(&last.quiet).context("the operator")?;
    let payment = talk.state_is("approved", "operator").await?;
    // Not the customer's 99 among them.
    let last4 = payment["last4"]
        .as_str()
        .filter(|four| VISA.ends_with(four));
    ensure!(last4.is_some(), "{payment}");
    let step = |name: &str| step_at(&report, name).with_context(told);
    let (from, to) = (step("payment-card-number")?, step("payment-completed")?);
    let by_operator = heard_at(&last.voices, CUSTOMER, last.began_unix_ms);
    let by_customer = heard_at(&report.voices, OPERATOR, report.began_unix_ms);
    for (who, stretches) in [("operator", &by_operator), ("customer", &by_customer)] {
        let heard = heard_between(stretches, from, to);
        ensure!(
            heard >= 700,
            "while it was keyed the {who} heard {heard} ms of the other; {}",
            told()
        );
    }
    ensure!(
        report.telephone_events_received == 0 && last.telephone_events_received == 0,
        "{} keys reached the customer, {} the operator",
        report.telephone_events_received,
        last.telephone_events_received
    );
    // The amount and the result: spoken to him, beside what the operator says.
    ensure!(
        report.heard_ms >= 4_000,
        "the customer heard {} ms",
        report.heard_ms
    );
    if way != "inband" {
        let keys = keys_in(&talk.audio).await?;
        ensure!(keys == 0, "{keys} keys can be heard by the customer");
    }
    nothing_is_left(lab, service).await
}

/// A tenant that did not ask for it: told before the customer moves.
async fn refused_off(lab: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "keyed-off", true, short).await?;
    let operator = EXTENSION;
    let payment = announce(&service, operator, 3300, None).await?;
    Refused {
        script: Some(format!("{PRESS} sleep:1000 hears:1000 sleep:700 hangup")),
        ..Refused::new(lab, operator)
    }
    .place(nothing())
    .await?;
    let why = refusals(&service, operator)?;
    ensure!(why == ["Keyed"], "the log says {why:?}");
    state_is(&service, &payment, "waiting", "caller")
        .await
        .map(drop)
}

/// A recorder outside that does not say that it pauses: the operator hears the reason, and both talk again; nothing was asked for.
async fn refused_recorded(lab: &Lab) -> anyhow::Result<()> {
    let recorder = Recorder::start(lab).await?;
    recorder.refuses();
    let service = Service::start(lab, "keyed-recorder", true, |config| {
        allowed(config);
        recorder.named(config);
    })
    .await?;
    let talk = Talk::new(lab, &service, EXTENSION + 1).await?;
    let script = format!("{PRESS} {GOODBYE}");
    let customer = "hears:500 wait:call-ended hears:500 until-end";
    let (report, operators) = talk.place("60", customer, &[script], "rfc4733").await?;
    let told = || format!("the customer: {report:?}; the operator: {operators:?}");
    ensure!(
        report.result == "internal-error" && !report.way().contains("payment-amount"),
        "{}",
        told()
    );
    let last = operators.last().with_context(told)?;
    let [.., (_, from), (to, _)] = heard_at(&last.voices, CUSTOMER, 0)[..] else {
        anyhow::bail!("they did not talk again; {}", told());
    };
    let recording = Recording::complete(&talk.seat.wav).await?;
    let spoken = recording.spoken(Duration::from_millis(from), Duration::from_millis(to));
    ensure!(
        spoken >= Duration::from_secs(1),
        "of the reason the operator heard {spoken:?}"
    );
    talk.state_is("waiting", "operator").await?;
    nothing_is_left(lab, &service).await
}

/// Recorded by MixMonitor: that recording ends before anything is said, another one begins behind the payment.
async fn recorded(lab: &Lab, service: &Service, operator: usize) -> anyhow::Result<()> {
    let talk = Talk::new(lab, service, operator).await?;
    let script = format!("{PRESS} {} {GOODBYE}", keying());
    let (report, _) = talk.place("71", SAYS, &[script], "rfc4733").await?;
    ensure!(report.result == "success", "{report:?}");
    talk.state_is("approved", "operator").await?;
    let file = |part: &str| {
        let name = format!("recorded-{}{part}.wav", talk.seat.from);
        lab.folder.join("spool").join(name)
    };
    let before = Recording::complete(&file("")).await?.length();
    let asked = step_at(&report, "payment-amount").context("no amount")? - report.began_unix_ms;
    ensure!(
        before < Duration::from_millis(asked),
        "the recording lasts {before:?}, the amount was spoken {asked} ms behind the INVITE"
    );
    let behind = Recording::complete(&file("-again")).await?;
    let heard = behind.spoken(Duration::ZERO, behind.length());
    ensure!(
        heard >= Duration::from_millis(500),
        "behind the payment the customer is recorded for {heard:?}"
    );
    ensure!(behind.keys() == 0, "{} keys are recorded", behind.keys());
    nothing_is_left(lab, service).await
}

/// The operator hangs up in the number: nothing is charged, and he is rung again.
async fn operator_leaves(lab: &Lab, service: &Service, operator: usize) -> anyhow::Result<()> {
    let talk = Talk::new(lab, service, operator).await?;
    let script = format!("{PRESS} wait:payment-amount 1 wait:payment-card-number 424242 hangup");
    let scripts = [script, BACK.to_owned()];
    let customer = "hears:500 wait:call-ended hears:500 until-end";
    let (report, operators) = talk.place("60", customer, &scripts, "rfc4733").await?;
    let told = || format!("the customer: {report:?}; the operator: {operators:?}");
    ensure!(
        report.result == "agent-cancelled" && operators.len() == 2,
        "{}",
        told()
    );
    ensure!(
        operators[1].heard(CUSTOMER) >= 700 && heard(&report.voices, OPERATOR) >= 700,
        "{}",
        told()
    );
    talk.state_is("waiting", "operator").await?;
    nothing_is_left(lab, service).await
}

/// The operator hangs up while the acquirer is asked: the answer is waited for, the customer hears it.
async fn operator_leaves_late(lab: &Lab, service: &Service, operator: usize) -> anyhow::Result<()> {
    // Answered after 3 s.
    let talk = Talk::about(lab, service, operator, 9001).await?;
    let script = format!(
        "{PRESS} {} wait:payment-processing sleep:500 hangup",
        keying()
    );
    let scripts = [script, BACK.to_owned()];
    let customer = "hears:500 wait:call-ended hears:500 until-end";
    let (report, operators) = talk.place("60", customer, &scripts, "rfc4733").await?;
    ensure!(
        report.result == "success" && operators.len() == 2,
        "the customer: {report:?}; the operator: {operators:?}"
    );
    talk.state_is("approved", "operator").await?;
    nothing_is_left(lab, service).await
}

/// The customer hangs up in the number: the operator is told, and let go.
async fn customer_leaves(lab: &Lab, service: &Service, operator: usize) -> anyhow::Result<()> {
    let talk = Talk::new(lab, service, operator).await?;
    let script = format!("{PRESS} wait:payment-amount 1 wait:payment-card-number 424242 until-end");
    let customer = "hears:500 wait:payment-card-number sleep:2500 hangup";
    let (report, operators) = talk.place("60", customer, &[script], "rfc4733").await?;
    let told = || format!("the customer: {report:?}; the operator: {operators:?}");
    ensure!(
        report.result == "caller-hung-up" || report.result == "hung-up",
        "{}",
        told()
    );
    ensure!(operators[0].result == "far-hung-up", "{}", told());
    talk.state_is("waiting", "operator").await?;
    nothing_is_left(lab, service).await
}

/// `*` clears the number, twice on the empty one it ends; then a second payment, in which the customer keys himself.
async fn star_and_again(lab: &Lab, service: &Service, operator: usize) -> anyhow::Result<()> {
    let talk = Talk::new(lab, service, operator).await?;
    let again = paying(MASTERCARD);
    let script = [format!(
        "{PRESS} wait:payment-amount 1 wait:payment-card-number 42* sleep:800 * sleep:800 * wait:call-ended hears:1000 sleep:1500 *9 {GOODBYE}"
    )];
    let customer =
        format!("hears:500 wait:call-ended hears:500 {again} wait:call-ended hears:500 until-end");
    let mut events = service.events().await?;
    let first =
        events.first(|e| e["payment_id"] == talk.payment.as_str() && e["event"] == "call-ended");
    let (placed, first) = tokio::join!(talk.place("60", &customer, &script, "rfc4733"), first);
    let (report, operators) = placed?;
    let told = || format!("the customer: {report:?}; the operator: {operators:?}");
    ensure!(first?["result"] == "agent-cancelled", "{}", told());
    ensure!(
        report.result == "success" && operators[0].result == "hung-up",
        "{}",
        told()
    );
    // The same payment, keyed by the customer now.
    talk.state_is("approved", "caller").await?;
    nothing_is_left(lab, service).await
}

/// Somebody begins to listen while the operator keys: it ends, and nothing is charged.
async fn spied_on(lab: &Lab, service: &Service, operator: usize) -> anyhow::Result<()> {
    let talk = Talk::new(lab, service, operator).await?;
    let script = [format!(
        "{PRESS} wait:payment-amount 1 wait:payment-card-number 4242 {GOODBYE}"
    )];
    let customer = "hears:500 wait:call-ended hears:500 until-end";
    let mut events = service.events().await?;
    let listen = async {
        let his = |e: &Value| e["payment_id"] == talk.payment.as_str();
        let event = events.first(|e| his(e) && e["step"] == "payment-card-number");
        let event = event.await?;
        let channel = event["channel_id"].as_str().unwrap_or_default();
        let body = serde_json::json!({"app": "ivrpay", "spy": "both", "appArgs": "tenant=nobody"});
        lab.ari_body("POST", &format!("/channels/{channel}/snoop"), &body)
            .await?;
        events
            .first(|e| his(e) && e["event"] == "capture-refused")
            .await
    };
    let (placed, refused) = tokio::join!(talk.place("60", customer, &script, "rfc4733"), listen);
    let (report, operators) = placed?;
    ensure!(
        refused?["error"] == "spy" && report.result == "agent-cancelled",
        "the customer: {report:?}; the operator: {operators:?}"
    );
    talk.state_is("waiting", "operator").await.map(drop)
}

/// The operator called the customer. What the customer's telephone got is decoded.
async fn called_out(lab: &Lab, service: &Service, operator: usize) -> anyhow::Result<()> {
    let (seat, number) = (Seat::new(lab, operator)?, "0398765433");
    let payment = announce(service, operator, 3300, None).await?;
    let record = seat.wav.with_extension("customer.wav");
    let customer = called(lab, number, "hears:500 wait:call-ended hears:500 until-end")?
        .with(&["--record", &record.display().to_string()])
        .start(lab)
        .await?;
    let script = format!("call:69{number} {PRESS} {} {GOODBYE}", keying());
    let desk = seat.phone(&[script])?.start(lab).await?;
    let (operator, customer) = tokio::join!(ended(desk), ended(customer));
    let (operator, customer) = (operator?, customer?);
    let told = || format!("the operator: {operator:?}; the customer: {customer:?}");
    ensure!(operator.result == "hung-up", "{}", told());
    state_is(service, &payment, "approved", "operator")
        .await
        .with_context(told)?;
    ensure!(customer.telephone_events_received == 0, "{}", told());
    let keys = keys_in(&record).await?;
    ensure!(keys == 0, "{keys} keys can be heard by the customer");
    nothing_is_left(lab, service).await
}

/// SIGKILL while the operator keys; the next daemon gives both back, and they talk again.
async fn killed(lab: &Lab) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "keyed-killed", true, allowed).await?;
    let operator = EXTENSION + 2;
    let seat = Seat::new(lab, operator)?;
    let payment = announce(&service, operator, 3300, None).await?;
    let desk = seat
        .phone(&[format!(
            "{PRESS} wait:payment-amount 1 wait:payment-card-number 42424242 sleep:6000 hears:1000 sleep:900 hangup"
        )])?
        .start(lab)
        .await?;
    let call = Call {
        deaf: true,
        ..seat.customer(
            lab,
            format!("60{operator}"),
            "hears:500 until-end",
            "rfc4733",
        )?
    };
    let mut events = service.events().await?;
    let kill = async {
        events.first(|e| e["digits"] == 8).await?;
        service.kill_and_start().await
    };
    let (report, killed) = tokio::join!(call.place(lab), kill);
    killed?;
    let (report, operator) = (report?, ended(desk).await?);
    let told = || format!("the customer: {report:?}; the operator: {operator:?}");
    ensure!(operator.result == "hung-up", "{}", told());
    ensure!(report.telephone_events_received == 0, "{}", told());
    let found = service.payment(&payment).await?;
    ensure!(
        found["state"] == "cancelled" || found["state"] == "waiting",
        "the payment is {}",
        found["state"]
    );
    nothing_is_left(lab, &service).await
}

/// All of them; without `full` the first two.
pub(crate) async fn run(
    tally: &mut crate::Tally,
    lab: &Lab,
    wanted: impl Fn(&str) -> bool,
    full: bool,
) -> anyhow::Result<()> {
    const OFF: &str = "operator keys: the tenant does not allow it: refused";
    const RECORDER: &str = "operator keys: a recorder does not pause: refused, the reason is heard";
    const KILLED: &str = "operator keys: the daemon killed: both talk again";
    let wanted = |name: &str| wanted(name) && (full || name == OFF || name == APPROVED);
    if wanted(OFF) {
        tally.one(OFF, refused_off(lab)).await;
    }
    with_service(tally, lab, &wanted).await?;
    if wanted(RECORDER) {
        tally.one(RECORDER, refused_recorded(lab)).await;
    }
    if wanted(KILLED) {
        tally.one(KILLED, killed(lab)).await;
    }
    Ok(())
}

const APPROVED: &str = "operator keys: approved, keys by rfc4733: they reach nobody else";
const WITH_SERVICE: [&str; 12] = [
    APPROVED,
    "operator keys: approved, keys by info",
    "operator keys: approved, keys by inband",
    "operator keys: approved, the key asks without AGI",
    "operator keys: approved, from the queue",
    "operator keys: the recording ends, and another begins behind",
    "operator keys: he hangs up in the number",
    "operator keys: he hangs up while the acquirer is asked",
    "operator keys: the customer hangs up in the number",
    "operator keys: * clears and ends, then the customer keys",
    "operator keys: somebody begins to listen: it ends",
    "operator keys: he called the customer",
];

/// Those of one service.
async fn with_service(
    tally: &mut crate::Tally,
    lab: &Lab,
    wanted: impl Fn(&str) -> bool,
) -> anyhow::Result<()> {
    type Check<'a> = futures_util::future::LocalBoxFuture<'a, anyhow::Result<()>>;
    if !WITH_SERVICE.into_iter().any(&wanted) {
        return Ok(());
    }
    let service = Service::start(lab, "keyed", true, allowed).await?;
    let (service, at) = (&service, |n: usize| EXTENSION + n);
    let checks: [Check<'_>; WITH_SERVICE.len()] = [
        Box::pin(approved(lab, service, ("60", at(3)), "rfc4733")),
        Box::pin(approved(lab, service, ("60", at(0)), "info")),
        Box::pin(approved(lab, service, ("60", at(1)), "inband")),
        Box::pin(approved(lab, service, ("5960", at(3)), "rfc4733")),
        Box::pin(approved(lab, service, (QUEUE, QUEUED), "rfc4733")),
        Box::pin(recorded(lab, service, at(4))),
        Box::pin(operator_leaves(lab, service, at(5))),
        Box::pin(operator_leaves_late(lab, service, at(6))),
        Box::pin(customer_leaves(lab, service, at(7))),
        Box::pin(star_and_again(lab, service, at(8))),
        Box::pin(spied_on(lab, service, at(9))),
        Box::pin(called_out(lab, service, at(10))),
    ];
    for (name, check) in WITH_SERVICE.into_iter().zip(checks) {
        if wanted(name) {
            tally.one(name, check).await;
        }
    }
    Ok(())
}
