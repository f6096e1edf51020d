//! The operator's pay key: two people talk, one presses `*9`, the other pays, and they talk again.
//!
//! The customer's voice is one tone, the operator's another: who heard whom, and when, is in what their telephones report. Each operator's
//! sound is kept and searched for keys.

mod both;
mod elsewhere;
mod names;
mod queue;
mod redirect;
mod seats;
pub(crate) mod socket;
mod spy;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use ivrpay_tests::call::{Call, Report};
use ivrpay_tests::lab::{Lab, binary};
use ivrpay_tests::phone::{Desk, Phone, PhoneReport};
use ivrpay_tests::recording::Recording;
use ivrpay_tests::service::{Service, set, tenant};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::scenarios::{MASTERCARD, OtherResult, VISA, keys};
use crate::{Tally, short};

/// What the customer's voice is, in Hz, that of the operator, and that of another one.
pub(crate) const CUSTOMER: u32 = 1000;
pub(crate) const OPERATOR: u32 = 500;
const SECOND: u32 = 2000;
/// The lab's music.
const MUSIC: u32 = 400;
/// A vowel of a prompt may be taken for music for so long, ms.
const VOWEL_MAX: u64 = 300;

/// Nobody hears nothing for longer, from the operator's key until both talk again, but a customer who is being waited for: to whom
/// something is said after `reminder_after`, and again after each `reminder_every`.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Calls at once: each is two telephones that must not be late, and their sound is judged.
const SIDE_BY_SIDE: usize = 8;
/// The first operator's extension, and how many take turns. Those of the queue and of `phones` are others.
const EXTENSION: usize = 215;
const EXTENSIONS: usize = 35;
/// The first operator of the lab's queue.
pub(crate) const QUEUED: usize = 201;

/// How long somebody who is not Asterisk may stay at the port of AGI: 5 s, and time for a busy machine.
const STRANGER_MAX: Duration = Duration::from_secs(12);

/// What a call may leave behind, and for how long.
const LEFT_MAX: Duration = Duration::from_secs(5);

/// How the two came together.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum By {
    /// `Dial()`, and the operator waits apart.
    Hold,
    /// `Dial()`, and the operator stays.
    Stay,
    /// `Queue()`, and the operator waits apart.
    Queue,
}

impl By {
    pub(crate) fn extension(self, operator: usize) -> String {
        match self {
            Self::Hold => format!("60{operator}"),
            Self::Stay => format!("67{operator}"),
            Self::Queue => "61".to_owned(),
        }
    }

    /// The same by the office PBX.
    pub(crate) fn office_extension(self, operator: usize) -> String {
        match self {
            Self::Hold => format!("66{operator}"),
            Self::Stay => format!("65{operator}"),
            Self::Queue => "66300".to_owned(),
        }
    }
}

/// A call with the pay key, and what must have come of it.
#[derive(Clone)]
pub(crate) struct Case {
    name: String,
    by: By,
    dtmf: &'static str,
    amounts: Vec<u64>,
    /// Announced when the first is paid: one at a time waits.
    second: Option<u64>,
    customer: String,
    operator: Vec<String>,
    /// Any of these.
    results: &'static [&'static str],
    /// The state of the last payment.
    states: &'static [&'static str],
    /// How the operator's (last) call ended.
    left: &'static str,
    /// Both hear each other behind the payment.
    together: bool,
    /// The operator hears nothing of the customer between the key and the result.
    apart: bool,
    /// Keys that the customer presses while they talk.
    pub(crate) pressed: usize,
    /// The key asks without AGI.
    by_ami: bool,
    /// Who began it had the operator stay.
    moved_beside: bool,
    /// It may be over before anybody has looked at the operator's lamp.
    pub(crate) brief: bool,
}

/// What is measured of one call, ms.
pub(crate) struct Times {
    key_to_prompt: u64,
    result_to_talk: u64,
}

/// The operator talks for a moment and presses the key.
pub(crate) const PRESS: &str = "hears:1000 sleep:400 *9";
/// Behind the payment both hear each other, and the operator hangs up.
pub(crate) const GOODBYE: &str = "wait:call-ended hears:1000 sleep:900 hangup";

/// The keys of a whole payment, the amount confirmed while it is being read.
pub(crate) fn paying(pan: &str) -> String {
    keys(pan, "1230", "123").replacen("wait:payment-amount", "wait:greeting", 1)
}

fn pays() -> String {
    format!(
        "hears:500 {} wait:call-ended hears:500 until-end",
        paying(VISA)
    )
}

pub(crate) fn case(name: &str, by: By) -> Case {
    Case {
        name: name.to_owned(),
        by,
        dtmf: "rfc4733",
        amounts: vec![3300],
        second: None,
        customer: pays(),
        operator: vec![format!("{PRESS} {GOODBYE}")],
        results: &["success"],
        states: &["approved"],
        left: "hung-up",
        together: true,
        apart: true,
        pressed: 0,
        by_ami: false,
        moved_beside: false,
        brief: false,
    }
}

impl Case {
    pub(crate) fn dtmf(mut self, way: &'static str) -> Self {
        self.dtmf = way;
        self
    }

    pub(crate) fn customer(mut self, script: &str) -> Self {
        script.clone_into(&mut self.customer);
        self
    }

    pub(crate) fn operator(mut self, script: &str) -> Self {
        self.operator = vec![script.to_owned()];
        self
    }

    /// The operator's telephone takes another call.
    fn then(mut self, script: &str) -> Self {
        self.operator.push(script.to_owned());
        self
    }

    pub(crate) fn ends(
        mut self,
        results: &'static [&'static str],
        states: &'static [&'static str],
    ) -> Self {
        (self.results, self.states) = (results, states);
        self
    }

    /// The customer hangs up: the operator is told so, and let go.
    fn customer_leaves(mut self) -> Self {
        (self.left, self.together) = ("far-hung-up", false);
        self
    }

    /// The customer presses so many keys while they talk.
    pub(crate) fn presses(mut self, keys: usize) -> Self {
        self.pressed = keys;
        self
    }

    /// A second payment is announced when the first is paid; in between they talk.
    pub(crate) fn twice(self) -> Self {
        Self {
            second: Some(4400),
            ..self.with_a_pause()
        }
    }

    /// The operator stays, however the two came together.
    pub(crate) fn stays(mut self) -> Self {
        self.moved_beside = true;
        self
    }

    /// In between they talk, as they wished.
    pub(crate) fn with_a_pause(mut self) -> Self {
        self.apart = false;
        self
    }
}

/// Every call that can run beside others.
fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for way in ["rfc4733", "info", "inband"] {
        for (by, name) in [(By::Hold, "waits"), (By::Stay, "stays")] {
            all.push(case(&format!("the operator {name}, keys by {way}"), by).dtmf(way));
        }
    }
    // A key that comes in two ways at once. By events and INFO each counts twice: there it is the keys alone that matter.
    all.push(case("the operator stays, keys by info-inband", By::Stay).dtmf("info-inband"));
    all.push(
        case("the operator stays, keys by both", By::Stay)
            .dtmf("both")
            .customer(&format!(
                "hears:500 wait:greeting 1 wait:payment-card-number {VISA}# sleep:1000 hangup"
            ))
            .operator(&format!("{PRESS} until-end"))
            .ends(HUNG_UP, WAITING)
            .customer_leaves(),
    );
    all.extend(pauses());
    all.extend(hang_ups());
    all.extend(both::usual());
    let second = paying(MASTERCARD);
    all.push(
        case("the key twice, quickly", By::Hold)
            .operator(&format!("hears:1000 sleep:400 *9*9 {GOODBYE}")),
    );
    all.push(presses_first(
        "the customer presses the key: nothing happens",
        By::Hold,
    ));
    for (name, by) in [
        ("a second payment in the same call", By::Hold),
        ("a second payment, the operator stays", By::Stay),
    ] {
        all.push(
            case(name, by)
                .customer(&format!(
                    "hears:500 {} wait:call-ended hears:500 {second} wait:call-ended hears:500 until-end",
                    paying(VISA)
                ))
                .operator(&format!(
                    "{PRESS} wait:call-ended hears:1000 sleep:1500 *9 {GOODBYE}"
                ))
                .twice(),
        );
    }
    // Last: its first payment stays waiting for this extension.
    all.push(Case {
        amounts: vec![3300, 4400],
        ..case("of two payments the operator takes the second", By::Hold)
            .operator(&format!("{PRESS} heard 2 {GOODBYE}"))
    });
    all
}

/// The customer presses the key before the operator does.
fn presses_first(name: &str, by: By) -> Case {
    case(name, by)
        .customer(&format!("hears:500 *9 sleep:1500 {}", pays()))
        .operator(&format!("hears:1000 sleep:3500 *9 {GOODBYE}"))
        .presses(2)
}

/// Keys by which one of the two stops it.
fn pauses() -> Vec<Case> {
    let mut all = Vec::new();
    let rest = format!(
        "{VISA}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1 \
         wait:call-ended hears:500 until-end"
    );
    for (by, name) in [(By::Hold, "waits"), (By::Stay, "stays")] {
        // On the empty card number; the pay key goes on there. The customer is told for 5 s that he is being connected.
        all.push(
            case(&format!("** pauses, *9 goes on, the operator {name}"), by)
                .customer(&format!(
                    "hears:500 wait:greeting 1 wait:payment-card-number , * , , * wait:paused hears:500 \
                     wait:payment-card-number , {rest}"
                ))
                .operator(&format!(
                    "{PRESS} wait:paused hears:1000 sleep:6500 *9 {GOODBYE}"
                ))
                .with_a_pause(),
        );
        // With half a number keyed, which is kept.
        let (half, other) = rest.split_at(8);
        all.push(
            case(&format!("*9 pauses in a number and goes on, the operator {name}"), by)
                .customer(&format!(
                    "hears:500 wait:greeting 1 wait:payment-card-number {half} wait:paused hears:500 \
                     wait:payment-card-number , {other}"
                ))
                .operator(&format!(
                    "{PRESS} wait:payment-card-number sleep:4000 *9 wait:paused hears:1000 sleep:1000 *9 {GOODBYE}"
                ))
                .with_a_pause(),
        );
        all.push(
            case(&format!("*0 by the operator who {name} cancels"), by)
                .customer("hears:500 wait:greeting 1 wait:payment-card-number 4242 wait:call-ended hears:500 until-end")
                .operator(&format!("{PRESS} wait:payment-card-number sleep:3500 *0 {GOODBYE}"))
                .ends(&["agent-cancelled"], WAITING),
        );
    }
    all.push(
        case(
            "the operator hangs up in a pause: the customer goes on",
            By::Hold,
        )
        .customer(&format!(
            "hears:500 wait:greeting 1 wait:payment-card-number , * , , * wait:paused hears:500 \
                 wait:payment-card-number , {rest}"
        ))
        .operator(&format!("{PRESS} wait:paused hears:1000 sleep:6500 hangup"))
        .then(BACK)
        .with_a_pause(),
    );
    all
}

/// The telephone of an operator to whom the ladder brings the customer back.
pub(crate) const BACK: &str = "hears:1000 sleep:900 hangup";

fn hang_ups() -> Vec<Case> {
    let mut all = Vec::new();
    let whole = paying(VISA);
    let upto = |step: &str| -> String {
        let (before, _) = whole.split_once(step).unwrap_or((&whole, ""));
        format!("hears:500 {before}{step}")
    };
    for (by, who) in [(By::Hold, "waits"), (By::Stay, "stays")] {
        for (step, script, results, states) in [
            (
                "greeting",
                "hears:500 wait:greeting hangup".to_owned(),
                HUNG_UP,
                WAITING,
            ),
            (
                "number",
                "hears:500 wait:greeting 1 wait:payment-card-number 424242 hangup".to_owned(),
                HUNG_UP,
                WAITING,
            ),
            (
                "code",
                format!("{} 12 hangup", upto("wait:security-code")),
                HUNG_UP,
                WAITING,
            ),
            (
                "confirmation",
                format!("{} hangup", upto("wait:confirmation")),
                HUNG_UP,
                WAITING,
            ),
            (
                "processing",
                format!("hears:500 {whole} wait:payment-processing sleep:1000 hangup"),
                EITHER,
                PAID,
            ),
            (
                "result",
                format!("hears:500 {whole} wait:payment-completed hangup"),
                EITHER,
                PAID,
            ),
        ] {
            let mut one = case(
                &format!("the customer hangs up: {step}, the operator {who}"),
                by,
            )
            .customer(&script)
            .operator(&format!("{PRESS} until-end"))
            .ends(results, states)
            .customer_leaves();
            if step == "processing" {
                // Answered after 3 s. Who hangs up at once may do so before the charge is sent, and nothing is.
                one.amounts = vec![9001];
            }
            all.push(one);
        }
        // The result takes 8.3 s, then comes the whisper.
        all.push(
            case(
                &format!("the customer hangs up: whisper, the operator {who}"),
                by,
            )
            .customer(&format!(
                "hears:500 {whole} wait:payment-completed sleep:9500 hangup"
            ))
            .operator(&format!("{PRESS} until-end"))
            .customer_leaves(),
        );
        let back = |step: &str, script: String| {
            case(
                &format!("the operator hangs up: {step}, he {who}, and is rung again"),
                by,
            )
            .operator(&script)
            .then(BACK)
        };
        all.push(back(
            "number",
            format!("{PRESS} wait:payment-card-number sleep:500 hangup"),
        ));
        all.push(back(
            "confirmation",
            format!("{PRESS} wait:confirmation hangup"),
        ));
        let mut processing = back(
            "processing",
            format!("{PRESS} wait:payment-processing sleep:1000 hangup"),
        );
        processing.amounts = vec![9001];
        all.push(processing);
        all.push(back(
            "whisper",
            format!("{PRESS} wait:payment-completed sleep:9500 hangup"),
        ));
    }
    all
}

const HUNG_UP: &[&str] = &["caller-hung-up"];
/// Or the whisper took longer than the customer's telephone waits for the result.
const EITHER: &[&str] = &["caller-hung-up", "success", "hung-up"];
/// An announced payment that was not tried waits for the next call.
pub(crate) const WAITING: &[&str] = &["waiting"];
pub(crate) const PAID: &[&str] = &["approved"];

/// Everything that the calls share.
pub(crate) struct Floor<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) service: &'a Service,
    /// Where the operators' telephones are, when they are behind an office PBX.
    pub(crate) office: Option<&'a Lab>,
}

/// One operator's place for one call.
pub(crate) struct Seat {
    operator: usize,
    /// The customer's number.
    pub(crate) from: String,
    pub(crate) wav: PathBuf,
}

impl Seat {
    pub(crate) fn new(lab: &Lab, operator: usize) -> anyhow::Result<Self> {
        let folder = lab.folder.join("operators");
        std::fs::create_dir_all(&folder)?;
        let unique = uuid::Uuid::now_v7();
        Ok(Self {
            operator,
            from: format!("06{:08}", unique.as_u128() % 100_000_000),
            wav: folder.join(format!("{operator}-{unique}.wav")),
        })
    }

    pub(crate) fn phone(&self, scripts: &[String]) -> anyhow::Result<Phone> {
        let mut scripts = scripts.iter();
        let first = scripts.next().context("no script")?;
        let phone = Phone::new(self.operator.to_string(), first).with(&[
            "--voice",
            "500",
            "--hear",
            "500,1000,2000",
            "--timeout",
            "40",
            "--limit",
            "100",
            "--record",
            &self.wav.display().to_string(),
        ]);
        Ok(scripts.fold(phone, |phone, script| phone.then(script)))
    }

    /// What the customer hears.
    fn customer_wav(&self) -> PathBuf {
        self.wav.with_extension("heard.wav")
    }

    pub(crate) fn customer(
        &self,
        lab: &Lab,
        extension: String,
        script: &str,
        way: &str,
    ) -> anyhow::Result<Call> {
        let mut options = vec![
            "--voice",
            "1000",
            "--hear",
            "500,2000,400",
            "--from",
            &self.from,
            "--dtmf",
            way,
            "--timeout",
            "40",
        ];
        if way == "inband" {
            options.extend(["--bind", lab.get("INBAND_IP")?]);
        }
        Ok(Call::new(extension, script).with(&options))
    }
}

/// Stretches of a voice in ms since 1970.
pub(crate) fn heard_at(
    voices: &BTreeMap<u32, Vec<(u64, u64)>>,
    hz: u32,
    began_unix_ms: u64,
) -> Vec<(u64, u64)> {
    let stretches = voices.get(&hz).map(Vec::as_slice).unwrap_or_default();
    stretches
        .iter()
        .map(|(begin, end)| (begin + began_unix_ms, end + began_unix_ms))
        .collect()
}

/// When a step was announced to the customer, ms since 1970; of several the last.
pub(crate) fn step_at(report: &Report, step: &str) -> Option<u64> {
    let steps = report.steps.as_array()?;
    let found = steps.iter().rfind(|s| s["step"] == step)?;
    Some(found["ms"].as_u64()? + report.began_unix_ms)
}

/// When the payment began, ms since 1970.
fn began_of(report: &Report) -> u64 {
    step_at(report, "greeting").unwrap_or(u64::MAX)
}

/// Keys that a decoder finds in a recording, whatever they may be, and remnants of keys.
pub(crate) async fn keys_in(wav: &PathBuf) -> anyhow::Result<usize> {
    let output = tokio::process::Command::new(binary("ivrpay")?)
        .args(["audit", "recording", "--json"])
        .arg(wav)
        .output()
        .await?;
    ensure!(
        matches!(output.status.code(), Some(0 | 1)),
        "`ivrpay audit recording` ended with {:?}: {}",
        output.status.code(),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let decoded: u64 = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| line["keys"].as_u64())
        .sum();
    let remnants = Recording::complete(wav).await?.keys();
    Ok(usize::try_from(decoded)? + remnants)
}

impl Floor<'_> {
    async fn announce(
        &self,
        operator: usize,
        amount: u64,
        order: Option<&str>,
    ) -> anyhow::Result<String> {
        announce(self.service, operator, amount, order).await
    }

    /// Places a call and judges it; again, where this machine may be why it ended otherwise.
    pub(crate) async fn run(&self, case: &Case, operator: usize) -> anyhow::Result<Times> {
        crate::patiently(&case.name, || self.once(case, operator)).await
    }

    async fn once(&self, case: &Case, operator: usize) -> anyhow::Result<Times> {
        let mut payments = Vec::new();
        let ran = self.place(case, operator, &mut payments).await;
        // Also where it was not as expected: the next call of this extension finds its own payment alone.
        let over = payments
            .iter()
            .map(|payment| hand_over(self.service, payment));
        let over = futures_util::future::try_join_all(over).await;
        let times = ran?;
        over?;
        Ok(times)
    }

    /// `payments`: those that were announced for it, whatever came of it.
    async fn place(
        &self,
        case: &Case,
        operator: usize,
        payments: &mut Vec<String>,
    ) -> anyhow::Result<Times> {
        let seat = Seat::new(self.lab, operator)?;
        for amount in &case.amounts {
            payments.push(self.announce(operator, *amount, None).await?);
        }
        let phone = seat.phone(&case.operator)?;
        let phone = phone.start(self.office.unwrap_or(self.lab)).await?;
        let extension = match self.office {
            Some(_) => case.by.office_extension(operator),
            None if case.by_ami => redirect::by_ami(&case.by.extension(operator)),
            None => case.by.extension(operator),
        };
        let call = seat.customer(self.lab, extension, &case.customer, case.dtmf)?;
        let call = call.with(&["--save-audio", &seat.customer_wav().display().to_string()]);
        let again = async {
            if let Some(amount) = case.second {
                self.state_is(payments.last().context("none")?, &["approved"])
                    .await?;
                payments.push(self.announce(operator, amount, None).await?);
            }
            anyhow::Ok(())
        };
        let (report, lamp, again) =
            tokio::join!(call.place(self.lab), self.lamp(operator, &seat.from), again);
        let report = report?;
        again?;
        let operators = if report.result.starts_with("timeout") {
            drop(phone.stop().await);
            Vec::new()
        } else {
            phone.reports().await?
        };
        let told = || -> String {
            let ends: Vec<_> = operators
                .iter()
                .map(|o| format!("{} {:?}", o.result, o.voices))
                .collect();
            format!(
                "result {}, late {} ms, steps {}; the customer heard {:?}; the operator's calls: {}",
                report.result,
                report.late_ms_max,
                report.way(),
                report.voices,
                ends.join(" | ")
            )
        };
        let judged = self.judge(case, &seat, &report, &operators, payments, lamp);
        let times = judged.await.with_context(told)?;
        self.nothing_left(&seat, report.call_id.as_deref()).await?;
        Ok(times)
    }

    async fn judge(
        &self,
        case: &Case,
        seat: &Seat,
        report: &Report,
        operators: &[PhoneReport],
        payments: &[String],
        lamp: anyhow::Result<bool>,
    ) -> anyhow::Result<Times> {
        OtherResult::judge(report, case.results)
            .with_context(|| format!("not {:?}", case.results))?;
        let taken = payments.last().context("no payment")?;
        ensure!(
            report.payment_id.as_ref() == Some(taken),
            "the call took payment {:?}, not {taken}",
            report.payment_id
        );
        self.state_is(taken, case.states).await?;
        ensure!(
            lamp? || case.brief,
            "the operator's lamp was not on during the payment"
        );
        ensure!(
            operators.len() == case.operator.len(),
            "the operator's telephone had {} calls, not {}",
            operators.len(),
            case.operator.len()
        );
        let (first, last) = (
            operators.first().context("no call")?,
            operators.last().context("no call")?,
        );
        ensure!(
            last.result == case.left,
            "the operator's call ended with {}, not {}",
            last.result,
            case.left
        );
        for one in operators {
            ensure!(one.errors.is_empty(), "SIP: {:?}", one.errors);
            // But the customer's own keys while they talk.
            ensure!(
                one.telephone_events_received <= case.pressed,
                "{} keys reached the operator's telephone as telephone-events",
                one.telephone_events_received
            );
        }
        let keys = keys_in(&seat.wav).await?;
        ensure!(keys == 0, "{keys} keys can be heard by the operator");

        let began = step_at(report, "greeting").context("no step was announced")?;
        let result = step_at(report, "payment-completed")
            .or(step_at(report, "payment-failed"))
            .unwrap_or(report.began_unix_ms + report.lasted_ms);
        let by_operator = heard_at(&first.voices, CUSTOMER, first.began_unix_ms);
        if case.apart {
            let heard = by_operator
                .iter()
                .find(|(begin, end)| *end > began && *begin < result);
            ensure!(
                heard.is_none(),
                "the operator heard the customer between the key ({began}) and the result ({result}): {by_operator:?}"
            );
        }
        OtherResult::never_silent(report).context("the customer")?;
        let music = heard_at(&report.voices, MUSIC, report.began_unix_ms);
        let music = music
            .iter()
            .find(|(from, to)| *from > began && *to < result && to - from > VOWEL_MAX);
        ensure!(
            music.is_none(),
            "the customer heard music at {music:?}, in the middle of his payment"
        );
        let by_customer = heard_at(&report.voices, OPERATOR, report.began_unix_ms);
        let between = heard_between(&by_customer, began, result);
        let by = if case.moved_beside { By::Stay } else { case.by };
        match by {
            By::Stay if case.together && case.operator.len() == 1 => ensure!(
                between >= 500,
                "the operator stays, and the customer heard him for {between} ms"
            ),
            By::Hold | By::Queue if case.apart => ensure!(
                between <= 100,
                "the operator waits apart, and the customer heard him for {between} ms"
            ),
            _ => {}
        }
        let pressed = by_operator.iter().rfind(|(begin, _)| *begin < began);
        let key_to_prompt = began.saturating_sub(pressed.context("they never talked")?.1);
        let back = heard_at(&last.voices, CUSTOMER, last.began_unix_ms)
            .into_iter()
            .find(|(begin, _)| *begin > result);
        let mut result_to_talk = 0;
        if case.together {
            let (back, _) =
                back.context("behind the payment the operator did not hear the customer")?;
            let heard = heard_between(&by_customer, back, u64::MAX);
            ensure!(
                heard >= 400,
                "behind the payment the customer heard the operator for {heard} ms"
            );
            result_to_talk = back - result;
            let heard = Recording::complete(&seat.customer_wav()).await?;
            let at = |unix: u64| Duration::from_millis(unix.saturating_sub(report.began_unix_ms));
            let quiet = heard.quiet(at(result), at(back));
            ensure!(
                quiet <= SILENCE_MAX,
                "between the result and the operator the customer heard nothing for {quiet:?}"
            );
            if operators.len() == 1 {
                let at =
                    |unix: u64| Duration::from_millis(unix.saturating_sub(first.began_unix_ms));
                let heard = Recording::complete(&seat.wav).await?;
                // One who stays hears nothing until he is whispered to: he talks.
                let quiet = heard.quiet(at(began), at(back));
                ensure!(
                    quiet <= SILENCE_MAX || by == By::Stay || !case.apart,
                    "the operator heard nothing for {quiet:?}"
                );
                let spoken = heard.spoken(at(result), at(back));
                ensure!(
                    spoken >= Duration::from_secs(1),
                    "of the whisper the operator heard {spoken:?}"
                );
            }
        }
        Ok(Times {
            key_to_prompt,
            result_to_talk,
        })
    }

    pub(crate) async fn state_is(&self, payment: &str, states: &[&str]) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let state = self.service.payment(payment).await?["state"].clone();
            if states.iter().any(|s| state == *s) {
                return Ok(());
            }
            // A payment in its call comes to its end.
            ensure!(
                began.elapsed() < Duration::from_secs(60)
                    && (state == "waiting" || state == "in-flight"),
                "the payment is {state}, not {states:?}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Whether the operator's lamp is on while the customer pays; ends with his call.
    async fn lamp(&self, operator: usize, from: &str) -> anyhow::Result<bool> {
        let name = format!("Stasis:ivrpay-{operator}");
        let (mut was_there, began) = (false, Instant::now());
        loop {
            let devices = self.lab.ari("GET", "/deviceStates").await?;
            let all = devices.as_array().map(Vec::as_slice).unwrap_or_default();
            if all
                .iter()
                .any(|d| d["name"] == name.as_str() && d["state"] == "INUSE")
            {
                return Ok(true);
            }
            let there = !channels_of(self.lab, operator, from).await?.is_empty();
            if (was_there && !there) || began.elapsed() > Duration::from_secs(60) {
                return Ok(false);
            }
            was_there |= there;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    async fn nothing_left(&self, seat: &Seat, call: Option<&str>) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let mut left = channels_of(self.lab, seat.operator, &seat.from).await?;
            left.extend(
                ours(self.lab, &|id| {
                    call.is_some_and(|call| id == format!("ivrpay-{call}"))
                        || id == format!("Stasis:ivrpay-{}", seat.operator)
                })
                .await?,
            );
            if left.is_empty() {
                return Ok(());
            }
            ensure!(began.elapsed() < LEFT_MAX, "left behind: {left:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

pub(crate) async fn announce(
    service: &Service,
    operator: usize,
    amount: u64,
    order: Option<&str>,
) -> anyhow::Result<String> {
    let order = order.map_or_else(|| format!("K-{}", uuid::Uuid::now_v7()), str::to_owned);
    let body =
        json!({"amount": amount, "order_id": order, "operator_extension": operator.to_string()});
    let (status, payment) = service.post("/v1/payments", &body, None).await?;
    ensure!(status == 201, "announcing answered {status}: {payment}");
    Ok(payment["id"].as_str().unwrap_or_default().to_owned())
}

/// One that waits still is another's: the next call of this extension is not asked which it means.
async fn hand_over(service: &Service, payment: &str) -> anyhow::Result<()> {
    if service.payment(payment).await?["state"] == "waiting" {
        let path = format!("/v1/payments/{payment}/operator");
        let body = json!({"operator_extension": "999", "by": "e2e"});
        let (status, answer) = service.post(&path, &body, None).await?;
        ensure!(status == 200, "handing over answered {status}: {answer}");
    }
    Ok(())
}

/// Channels of an operator and his customer.
async fn channels_of(lab: &Lab, operator: usize, from: &str) -> anyhow::Result<Vec<String>> {
    let channels = lab.ari("GET", "/channels").await?;
    let all = channels.as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |c: &Value| c["name"].as_str().unwrap_or_default().to_owned();
    let operators = format!("PJSIP/{operator}-");
    Ok(all
        .iter()
        .filter(|c| name(c).starts_with(&operators) || c["caller"]["number"] == from)
        .map(name)
        .collect())
}

/// Bridges and lamps whose names fit.
async fn ours(lab: &Lab, fits: &dyn Fn(&str) -> bool) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for (path, key) in [("/bridges", "id"), ("/deviceStates", "name")] {
        let list = lab.ari("GET", path).await?;
        let names = list.as_array().into_iter().flatten();
        all.extend(
            names
                .filter_map(|one| one[key].as_str())
                .filter(|name| fits(name))
                .map(str::to_owned),
        );
    }
    Ok(all)
}

/// Asterisk and the service have nothing of any call.
pub(crate) async fn nothing_is_left(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let channels = lab.ari("GET", "/channels").await?;
        let channels = channels.as_array().map_or(0, Vec::len);
        let ours = ours(lab, &|name| name.contains("ivrpay-")).await?;
        let (_, health) = service.get("/healthz").await?;
        if channels == 0 && ours.is_empty() && health["calls"] == 0 {
            return Ok(());
        }
        ensure!(
            began.elapsed() < LEFT_MAX,
            "{channels} channels, {ours:?} and {} calls are left",
            health["calls"]
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How the operators' keys were answered: the log's words for one operator's channel.
pub(crate) fn refusals(service: &Service, operator: usize) -> anyhow::Result<Vec<String>> {
    let log = std::fs::read_to_string(service.folder.join("log"))?;
    let channel = format!("PJSIP/{operator}-");
    Ok(log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| {
            let ours = line["operator"].as_str()?.starts_with(&channel);
            ours.then(|| line["why"].as_str().map(str::to_owned))?
        })
        .collect())
}

/// A key that is answered with a reason: the operator hears it, and both talk before and behind it. `why` stands in the log where the
/// service is there to write it.
pub(crate) struct Refused<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) operator: usize,
    pub(crate) extension: String,
    /// Instead of the usual ones.
    pub(crate) customer: Option<String>,
    pub(crate) script: Option<String>,
    /// The least music that the customer hears meanwhile, ms.
    pub(crate) music: u64,
}

impl<'a> Refused<'a> {
    pub(crate) fn new(lab: &'a Lab, operator: usize) -> Self {
        Self {
            lab,
            operator,
            extension: By::Hold.extension(operator),
            customer: None,
            script: None,
            music: 1000,
        }
    }

    pub(crate) async fn place(
        self,
        during: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let seat = Seat::new(self.lab, self.operator)?;
        let usual = "hears:1000 sleep:400 *9 sleep:1000 hears:1000 sleep:700 hangup";
        let script = self.script.unwrap_or_else(|| usual.to_owned());
        let desk = seat.phone(&[script])?.start(self.lab).await?;
        let customer = self
            .customer
            .unwrap_or_else(|| "hears:500 until-end".to_owned());
        let call = Call {
            deaf: !customer.contains("wait:"),
            ..seat.customer(self.lab, self.extension, &customer, "rfc4733")?
        };
        let (report, during) = tokio::join!(call.place(self.lab), during);
        let (report, operator) = (report?, ended(desk).await?);
        during?;
        let told = || format!("the operator's call: {operator:?}; the customer's: {report:?}");
        let talk = talk_around(&operator).with_context(told)?;
        let spoken = Recording::complete(&seat.wav).await?.spoken(talk.0, talk.1);
        ensure!(
            spoken >= Duration::from_secs(1),
            "of the reason the operator heard {spoken:?}; {}",
            told()
        );
        let heard = ivrpay_tests::phone::heard(&report.voices, OPERATOR);
        ensure!(
            heard >= 900,
            "the customer heard the operator for {heard} ms; {}",
            told()
        );
        ensure!(operator.result == "hung-up", "{}", told());
        let music = ivrpay_tests::phone::heard(&report.voices, MUSIC);
        ensure!(
            music >= self.music,
            "while the operator was told, the customer heard music for {music} ms; {}",
            told()
        );
        Ok(())
    }
}

pub(crate) async fn ended(desk: Desk) -> anyhow::Result<PhoneReport> {
    let mut reports = desk.reports().await?;
    reports.pop().context("the operator was not called")
}

/// The last time in which the operator did not hear the customer, and heard him again behind it: since the call began.
fn talk_around(operator: &PhoneReport) -> anyhow::Result<(Duration, Duration)> {
    let heard = heard_at(&operator.voices, CUSTOMER, 0);
    let [.., (_, from), (to, end)] = heard.as_slice() else {
        bail!("the operator heard the customer at {heard:?}");
    };
    ensure!(
        end - to >= 500,
        "behind it he heard the customer for {} ms",
        end - to
    );
    Ok((Duration::from_millis(*from), Duration::from_millis(*to)))
}

pub(crate) async fn nothing() -> anyhow::Result<()> {
    Ok(())
}

impl Floor<'_> {
    /// Nothing announced, no amount.
    async fn refused_nothing(&self, operator: usize) -> anyhow::Result<()> {
        Refused::new(self.lab, operator).place(nothing()).await?;
        let why = refusals(self.service, operator)?;
        ensure!(why == ["NothingWaiting"], "the log says {why:?}");
        Ok(())
    }

    /// The order is paid by the key; pressed again, the key says so.
    async fn refused_paid(&self, operator: usize) -> anyhow::Result<()> {
        let order = format!(
            "1{}",
            std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)?
                .as_millis()
        );
        let payment = self.announce(operator, 3300, Some(&order)).await?;
        Refused {
            extension: format!("68{operator}*{order}"),
            customer: Some(pays()),
            script: Some(format!(
                "{PRESS} wait:call-ended hears:1000 sleep:600 *9 sleep:1000 hears:1000 sleep:700 hangup"
            )),
            ..Refused::new(self.lab, operator)
        }
        .place(nothing())
        .await?;
        self.state_is(&payment, PAID).await?;
        let why = refusals(self.service, operator)?;
        ensure!(why == ["OrderPaid"], "the log says {why:?}");
        Ok(())
    }

    /// Several wait, and the operator presses nothing: both talk on, and all wait.
    async fn undecided(&self, operator: usize) -> anyhow::Result<()> {
        let first = self.announce(operator, 3300, None).await?;
        let second = self.announce(operator, 4400, None).await?;
        Refused::new(self.lab, operator).place(nothing()).await?;
        for payment in [first, second] {
            self.state_is(&payment, &["waiting"]).await?;
        }
        Ok(())
    }

    /// Behind a payment the customer presses the key: another payment waits, and is not begun.
    async fn customer_behind(&self, operator: usize) -> anyhow::Result<()> {
        let seat = Seat::new(self.lab, operator)?;
        let paid = self.announce(operator, 3300, None).await?;
        let desk = seat
            .phone(&[format!(
                "{PRESS} wait:call-ended hears:1000 sleep:4500 hears:1000 sleep:500 hangup"
            )])?
            .start(self.lab)
            .await?;
        let customer = format!(
            "hears:500 {} wait:call-ended hears:500 sleep:1500 *9 sleep:1500 hears:500 until-end",
            paying(VISA)
        );
        let extension = By::Hold.extension(operator);
        let call = seat.customer(self.lab, extension, &customer, "rfc4733")?;
        let other = async {
            self.state_is(&paid, PAID).await?;
            self.announce(operator, 4400, None).await
        };
        let (report, other) = tokio::join!(call.place(self.lab), other);
        let (report, other, operator) = (report?, other?, ended(desk).await?);
        ensure!(
            report.result == "success" && report.payment_id == Some(paid),
            "the call ended with {} and payment {:?}; {operator:?}",
            report.result,
            report.payment_id
        );
        ensure!(operator.result == "hung-up", "{operator:?}");
        self.state_is(&other, &["waiting"]).await
    }

    /// Behind the payment the operator gives the customer to another one by REFER.
    async fn transferred_behind(&self, operator: usize, to: usize) -> anyhow::Result<()> {
        let (seat, other) = (Seat::new(self.lab, operator)?, Seat::new(self.lab, to)?);
        let paid = self.announce(operator, 3300, None).await?;
        let desk = seat
            .phone(&[format!(
                "{PRESS} wait:call-ended hears:1000 sleep:500 hold sleep:1000 resume hears:1000 sleep:500 refer:{to}"
            )])?
            .start(self.lab)
            .await?;
        let second = Phone::new(to.to_string(), "hears:1000 sleep:900 hangup")
            .with(&["--voice", "2000", "--hear", "1000", "--timeout", "60"])
            .start(self.lab)
            .await?;
        let customer = format!(
            "hears:500 {} wait:call-ended hears:2000 until-end",
            paying(VISA)
        );
        let extension = By::Hold.extension(operator);
        let call = seat.customer(self.lab, extension, &customer, "rfc4733")?;
        let report = call.place(self.lab).await?;
        let (first, second) = (ended(desk).await?, ended(second).await?);
        let told = || format!("{report:?} {first:?} {second:?}");
        ensure!(
            report.result == "success"
                && first.result == "transferred"
                && second.result == "hung-up",
            "{}",
            told()
        );
        ensure!(
            ivrpay_tests::phone::heard(&report.voices, SECOND) >= 500
                && second.heard(CUSTOMER) >= 500,
            "the two did not talk; {}",
            told()
        );
        let by_operator = heard_at(&first.voices, CUSTOMER, first.began_unix_ms);
        ensure!(
            by_operator
                .windows(2)
                .any(|pair| pair[0].0 > began_of(&report) && pair[1].0 - pair[0].1 >= 900),
            "behind the payment no hold is to be heard; {}",
            told()
        );
        self.state_is(&paid, PAID).await?;
        self.nothing_left(&seat, report.call_id.as_deref()).await?;
        self.nothing_left(&other, None).await
    }

    /// Whoever connects to the port of AGI and says nothing, nonsense, or a line without an end is let go; the key works beside.
    async fn strangers_at_the_port(&self, operator: usize) -> anyhow::Result<()> {
        let at = format!("{}:4573", self.lab.get("ASTERISK_IP")?);
        let stranger = async |says: &'static [u8], again: bool| {
            let mut socket = tokio::net::TcpStream::connect(&at).await?;
            let began = Instant::now();
            while let Ok(()) = socket.write_all(says).await {
                if !again {
                    break;
                }
                ensure!(
                    began.elapsed() < STRANGER_MAX,
                    "a line without an end is read on"
                );
            }
            let mut heard = Vec::new();
            // Closed, or reset where more was sent than was read.
            let closed = socket.read_to_end(&mut heard);
            let closed = tokio::time::timeout(STRANGER_MAX, closed).await;
            ensure!(closed.is_ok(), "still there after {STRANGER_MAX:?}");
            ensure!(heard.is_empty(), "it was told {} bytes", heard.len());
            anyhow::Ok(())
        };
        let case = case("beside strangers", By::Hold);
        let (ran, silent, nonsense, endless) = tokio::join!(
            self.run(&case, operator),
            stranger(b"", false),
            stranger(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", false),
            stranger(&[b'a'; 4096], true),
        );
        silent.context("one who says nothing")?;
        nonsense.context("one who says nonsense")?;
        endless.context("one who does not end")?;
        ran.map(drop)
    }

    /// The operator presses the key, the customer of this call pays, the two part, and nothing is left; the payment as the API shows it.
    async fn paid(&self, seat: &Seat, call: Call) -> anyhow::Result<Value> {
        let desk = seat.phone(&[format!("{PRESS} {GOODBYE}")])?;
        let desk = desk.start(self.lab).await?;
        let report = call.place(self.lab).await?;
        OtherResult::judge(&report, &["success"])?;
        let left = ended(desk).await?;
        ensure!(left.result == "hung-up", "{left:?}");
        let payment = report.payment_id.context("no payment")?;
        self.state_is(&payment, PAID).await?;
        let payment = self.service.payment(&payment).await?;
        self.nothing_left(seat, report.call_id.as_deref()).await?;
        Ok(payment)
    }

    /// The whole of it as practice: said so, and nobody is charged.
    async fn practised(&self, operator: usize) -> anyhow::Result<()> {
        let seat = Seat::new(self.lab, operator)?;
        let call = seat.customer(self.lab, format!("57{operator}"), &pays(), "rfc4733")?;
        let payment = self.paid(&seat, call).await?;
        ensure!(
            payment["connector"] == "training" && payment["order_id"].is_null(),
            "practice made {payment}"
        );
        Ok(())
    }

    /// The same test as that of the operator who stays sees keys when our bridge does not absorb them, and hears them when the
    /// customer is not muted: both are taken away by hand.
    async fn control(&self, operator: usize, absorbed: bool) -> anyhow::Result<()> {
        let seat = Seat::new(self.lab, operator)?;
        self.announce(operator, 3300, None).await?;
        let desk = seat
            .phone(&[format!("{PRESS} {GOODBYE}")])?
            .start(self.lab)
            .await?;
        let slowly = pays().replacen(
            "wait:payment-card-number ",
            "wait:payment-card-number sleep:2500 ",
            1,
        );
        let extension = By::Stay.extension(operator);
        let call = seat.customer(self.lab, extension, &slowly, "inband")?;
        let mut events = self.service.events().await?;
        let by_hand = async {
            let (call, channel) = loop {
                let event = events.step("payment-card-number").await?;
                let channel = event["channel_id"].as_str().unwrap_or_default().to_owned();
                if self.is_his(&channel, &seat.from).await? {
                    let call = event["call_id"].as_str().unwrap_or_default().to_owned();
                    break (call, channel);
                }
            };
            if absorbed {
                let path = format!("/channels/{channel}/mute?direction=in");
                return self.lab.ari("DELETE", &path).await.map(drop);
            }
            let bridge = format!("/bridges/ivrpay-{call}");
            let body = json!({"channel": channel});
            self.lab
                .ari_body("POST", &format!("{bridge}/removeChannel"), &body)
                .await?;
            let body = json!({"channel": channel, "absorbDTMF": false});
            self.lab
                .ari_body("POST", &format!("{bridge}/addChannel"), &body)
                .await?;
            Ok(())
        };
        let (report, by_hand) = tokio::join!(call.place(self.lab), by_hand);
        by_hand?;
        let (report, operator) = (report?, ended(desk).await?);
        ensure!(report.result == "success", "{report:?} {operator:?}");
        let (events, keys) = (
            operator.telephone_events_received,
            keys_in(&seat.wav).await?,
        );
        if absorbed {
            ensure!(
                events == 0 && keys > 0,
                "{events} telephone-events, {keys} keys in the sound of a customer who is not muted"
            );
        } else {
            ensure!(events >= 16, "{events} telephone-events without absorbDTMF");
        }
        Ok(())
    }

    /// The API ends the capture in the middle of the card number, and behind the call the payment that waits again.
    async fn cancelled_by_api(&self, operator: usize) -> anyhow::Result<()> {
        let case = case("by the API", By::Hold)
            .customer("hears:500 wait:greeting 1 wait:payment-card-number 42424242 wait:call-ended hears:500 until-end")
            .ends(&["agent-cancelled"], WAITING);
        let mut events = self.service.events().await?;
        let cancel = async {
            loop {
                let event = events.first(|e| e["digits"] == 8).await?;
                let payment = event["payment_id"].as_str().unwrap_or_default().to_owned();
                if self.is_operators(&payment, operator).await? {
                    let (status, answer) = self.cancel(&payment).await?;
                    ensure!(
                        status == 200
                            && answer["result"] == "agent-cancelled"
                            && answer["call_id"] == event["call_id"],
                        "cancelling answered {status}: {answer}"
                    );
                    return anyhow::Ok(payment);
                }
            }
        };
        let (ran, payment) = tokio::join!(self.run(&case, operator), cancel);
        ran?;
        // It waits again behind the call, until that is cancelled too.
        let payment = payment?;
        let (status, answer) = self.cancel(&payment).await?;
        ensure!(
            status == 200 && answer["call_id"].is_null(),
            "behind the call, cancelling answered {status}: {answer}"
        );
        let (status, answer) = self.cancel(&payment).await?;
        ensure!(
            status == 409 && answer["code"] == "not-in-call",
            "once more, cancelling answered {status}: {answer}"
        );
        Ok(())
    }

    /// Once the charge is out, the API says so; the customer pays.
    async fn cancelled_too_late(&self, operator: usize) -> anyhow::Result<()> {
        // Answered after 3 s.
        let case = Case {
            amounts: vec![9001],
            ..case("too late", By::Stay)
        };
        let mut events = self.service.events().await?;
        let late = async {
            let payment = loop {
                let event = events.step("payment-processing").await?;
                let payment = event["payment_id"].as_str().unwrap_or_default();
                if self.is_operators(payment, operator).await? {
                    break payment.to_owned();
                }
            };
            // The step begins with the intent; the charge follows when that is on disk.
            tokio::time::sleep(Duration::from_millis(800)).await;
            let (status, answer) = self.cancel(&payment).await?;
            let says = answer["detail"].as_str().unwrap_or_default();
            ensure!(
                status == 409 && answer["code"] == "charge-sent" && says.contains("sent"),
                "in flight, cancelling answered {status}: {answer}"
            );
            anyhow::Ok(payment)
        };
        let (ran, payment) = tokio::join!(self.run(&case, operator), late);
        ran?;
        let (status, answer) = self.cancel(&payment?).await?;
        let says = answer["detail"].as_str().unwrap_or_default();
        ensure!(
            status == 409 && answer["code"] == "charge-sent" && says.contains("approved"),
            "when it is paid, cancelling answered {status}: {answer}"
        );
        Ok(())
    }

    async fn cancel(&self, payment: &str) -> anyhow::Result<(u16, Value)> {
        let path = format!("/v1/payments/{payment}/cancel");
        self.service.post(&path, &json!({"by": "e2e"}), None).await
    }

    async fn is_operators(&self, payment: &str, operator: usize) -> anyhow::Result<bool> {
        if payment.is_empty() {
            return Ok(false);
        }
        let (payment, own) = (self.service.payment(payment).await?, operator.to_string());
        Ok(payment["operator_extension"] == own.as_str())
    }

    async fn is_his(&self, channel: &str, from: &str) -> anyhow::Result<bool> {
        let found = self.lab.ari("GET", &format!("/channels/{channel}")).await?;
        Ok(found["caller"]["number"] == from)
    }
}

/// A customer's telephone behind the trunk, whom somebody calls.
pub(crate) fn called(lab: &Lab, number: &str, script: impl Into<String>) -> anyhow::Result<Phone> {
    let at = format!("{}:5060", lab.get("TRUNK_IP")?);
    let options = ["--voice", "1000", "--hear", "500", "--timeout", "60"];
    Ok(Phone::new(number, script).at(at).with(&options))
}

/// How long somebody heard a voice between two times, ms since 1970.
pub(crate) fn heard_between(stretches: &[(u64, u64)], from: u64, to: u64) -> u64 {
    stretches
        .iter()
        .map(|(begin, end)| (*end).min(to).saturating_sub((*begin).max(from)))
        .sum()
}

/// The operator calls the customer, and takes the payment with the key of calls that operators place. The customer's key does nothing.
async fn called_out(lab: &Lab, service: &Service, prefix: &str) -> anyhow::Result<()> {
    let (seat, number) = (Seat::new(lab, 206)?, "0398765432");
    let paid = announce(service, seat.operator, 3300, None).await?;
    let script = format!(
        "hears:500 *9 sleep:1500 hears:500 {} wait:call-ended hears:500 sleep:1000 *9 sleep:1500 hears:500 until-end",
        paying(VISA)
    );
    let customer = called(lab, number, script)?.start(lab).await?;
    let operator = format!(
        "call:{prefix}{number} hears:1000 sleep:3500 *9 wait:call-ended hears:1000 sleep:4500 hears:1000 sleep:500 hangup"
    );
    let desk = seat.phone(&[operator])?.start(lab).await?;
    let other = async {
        let began = Instant::now();
        while service.payment(&paid).await?["state"] != "approved" {
            ensure!(
                began.elapsed() < Duration::from_secs(60),
                "the payment is {}",
                service.payment(&paid).await?["state"]
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // The customer's key behind the payment must not begin this one.
        announce(service, seat.operator, 4400, None).await
    };
    let (operator, customer, other) = tokio::join!(ended(desk), ended(customer), other);
    let (operator, customer) = (operator?, customer?);
    let told = || format!("the operator: {operator:?}; the customer: {customer:?}");
    let other = other.with_context(told)?;
    ensure!(
        operator.result == "hung-up" && customer.result == "far-hung-up",
        "{}",
        told()
    );
    ensure!(operator.telephone_events_received <= 4, "{}", told());
    let keys = keys_in(&seat.wav).await?;
    ensure!(
        keys == 0,
        "{keys} keys can be heard by the operator; {}",
        told()
    );
    let state = service.payment(&other).await?["state"].clone();
    ensure!(state == "waiting", "the other payment is {state}");
    nothing_is_left(lab, service).await
}

/// A log of keys: told before the customer moves.
async fn refused_unsafe(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let operator = 208;
    let payment = announce(service, operator, 3300, None).await?;
    lab.ari("POST", "/asterisk/logging/keys.log?configuration=dtmf")
        .await?;
    // What Asterisk said just now is kept for 5 s.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let refused = Refused::new(lab, operator).place(nothing()).await;
    lab.ari("DELETE", "/asterisk/logging/keys.log").await?;
    refused?;
    let why = refusals(service, operator)?;
    ensure!(why == ["Unsafe"], "the log says {why:?}");
    let state = service.payment(&payment).await?["state"].clone();
    ensure!(state == "waiting", "the payment is {state}");
    Ok(())
}

/// No place is free: another caller has the only one.
async fn refused_no_place(lab: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "operator-place", true, |config| {
        short(config);
        set(config, "limits.calls_max", 1);
    })
    .await?;
    let operator = 209;
    announce(&service, operator, 3300, None).await?;
    let other = Call::new(
        crate::scenarios::extension(1, 1200),
        "wait:payment-amount sleep:2500 sleep:2500 hangup",
    );
    let mut events = service.events().await?;
    let press = async {
        events.step("greeting").await?;
        Refused::new(lab, operator).place(nothing()).await
    };
    let (other, refused) = tokio::join!(other.place(lab), press);
    other?;
    refused?;
    let why = refusals(&service, operator)?;
    ensure!(why == ["NoPlace"], "the log says {why:?}");
    nothing_is_left(lab, &service).await
}

/// Three charges in a row have not reached the acquirer: no customer is moved for the next one.
async fn refused_acquirer_away(lab: &Lab) -> anyhow::Result<()> {
    let closed = format!("https://{}:9/", lab.get("ACQUIRER_IP")?);
    let service = Service::start(lab, "operator-acquirer", true, |config| {
        short(config);
        set(config, "connectors.generic.url", closed);
        set(config, "connectors.generic.away_after", 3);
    })
    .await?;
    let operator = 214;
    let payment = announce(&service, operator, 3300, None).await?;
    let calls = Call::new("7711200", format!("{} hangup", keys(VISA, "1230", "123")));
    for report in calls.place_many(lab, 3, 3).await? {
        let result = report.result;
        ensure!(result != "success", "a call ended with {result}");
    }
    Refused::new(lab, operator).place(nothing()).await?;
    let why = refusals(&service, operator)?;
    ensure!(why == ["AcquirerAway"], "the log says {why:?}");
    let state = service.payment(&payment).await?["state"].clone();
    ensure!(state == "waiting", "the payment is {state}");
    nothing_is_left(lab, &service).await
}

/// The service is being stopped while the two talk, then it is gone: both times the operator hears that it is away.
async fn refused_away(lab: &Lab) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "operator-away", true, |config| {
        short(config);
        set(config, "connectors.generic.reply_timeout", "20s");
    })
    .await?;
    let operator = 210;
    announce(&service, operator, 3300, None).await?;
    // One whose answer is out: for it the service stays a while.
    let other = Call::new(
        crate::scenarios::extension(1, 9003),
        keys(VISA, "1230", "123"),
    );
    let mut events = service.events().await?;
    let stop = async {
        events.step("payment-processing").await?;
        service.signal("-TERM")?;
        Refused::new(lab, operator).place(nothing()).await
    };
    let (other, refused) = tokio::join!(other.place(lab), stop);
    other?;
    refused.context("while it is being stopped")?;
    let why = refusals(&service, operator)?;
    ensure!(why == ["ServiceAway"], "the log says {why:?}");
    service.ended(Duration::from_secs(40)).await?;
    Refused::new(lab, operator)
        .place(nothing())
        .await
        .context("when it is gone")
}

/// SIGKILL while the customer keys; the next daemon gives both back, and the dialplan brings them together.
async fn killed(lab: &Lab, by: By) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "operator-killed", true, short).await?;
    let operator = 205;
    let seat = Seat::new(lab, operator)?;
    let payment = announce(&service, operator, 3300, None).await?;
    let desk = seat
        .phone(&[format!(
            "{PRESS} wait:payment-card-number sleep:2500 hears:1000 sleep:900 hangup"
        )])?
        .start(lab)
        .await?;
    let call = seat.customer(
        lab,
        by.extension(operator),
        "hears:500 wait:greeting 1 wait:payment-card-number 42424242 until-end",
        "rfc4733",
    )?;
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
    let by_operator = heard_at(&operator.voices, CUSTOMER, operator.began_unix_ms);
    let (back, _) = by_operator
        .last()
        .filter(|_| by_operator.len() >= 2)
        .with_context(told)?;
    let by_customer = heard_at(&report.voices, OPERATOR, report.began_unix_ms);
    let heard = heard_between(&by_customer, *back, u64::MAX);
    ensure!(
        heard >= 400,
        "the customer heard the operator for {heard} ms; {}",
        told()
    );
    ensure!(operator.telephone_events_received == 0, "{}", told());
    let keys = keys_in(&seat.wav).await?;
    ensure!(keys == 0, "{keys} keys can be heard by the operator");
    let state = service.payment(&payment).await?["state"].clone();
    ensure!(
        state == "cancelled" || state == "waiting",
        "the payment is {state}"
    );
    nothing_is_left(lab, &service).await
}

/// All of them.
pub(crate) async fn all(
    tally: &mut Tally,
    lab: &Lab,
    wanted: impl Fn(&str) -> bool,
    full: bool,
) -> anyhow::Result<()> {
    let named = |name: &str| format!("pay key: {name}");
    let service = Service::start(lab, "operator", true, short).await?;
    let floor = Floor {
        lab,
        service: &service,
        office: None,
    };
    let cases = cases();
    // One after the other: the queue has one operator who is there.
    let queued: Vec<Case> = ["rfc4733", "info", "inband"]
        .into_iter()
        .map(|way| {
            case(
                &format!("from the queue, the operator waits, keys by {way}"),
                By::Queue,
            )
            .dtmf(way)
        })
        .chain(full.then(|| {
            presses_first(
                "from the queue, the customer presses the key: nothing happens",
                By::Queue,
            )
        }))
        .collect();
    let by_ami = redirect::cases(full);
    let rare = if full { both::all() } else { Vec::new() };
    let queue = tokio::sync::Mutex::new(());
    let mut checks: Vec<(String, LocalBoxFuture<'_, anyhow::Result<Option<Times>>>)> = Vec::new();
    let mut next = (0..EXTENSIONS).map(|n| EXTENSION + n).cycle();
    let mut operator = || next.next().unwrap_or(EXTENSION);
    for case in &queued {
        let (floor, queue) = (&floor, &queue);
        let check = async move {
            let _turn = queue.lock().await;
            floor.run(case, QUEUED).await.map(Some)
        };
        checks.push((named(&case.name), check.boxed_local()));
    }
    for case in cases.iter().chain(&rare) {
        checks.push((
            named(&case.name),
            floor
                .run(case, operator())
                .map(|t| t.map(Some))
                .boxed_local(),
        ));
    }
    for case in &by_ami {
        let (floor, queue, queued) = (&floor, &queue, case.by == By::Queue);
        let extension = if queued { QUEUED } else { operator() };
        let check = async move {
            let _turn = match queued {
                true => Some(queue.lock().await),
                false => None,
            };
            floor.run(case, extension).await.map(Some)
        };
        checks.push((named(&case.name), check.boxed_local()));
    }
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s] =
        std::array::from_fn(|_| operator());
    let rarer: [(&str, LocalBoxFuture<'_, anyhow::Result<()>>); 5] = [
        (
            "strangers at the port of AGI are let go, and the key works beside",
            floor.strangers_at_the_port(s).boxed_local(),
        ),
        (
            "the operator, who waits, transfers while the customer keys: refused",
            floor.transferred_meanwhile(By::Hold, k, l).boxed_local(),
        ),
        (
            "another program redirects the customer while he keys",
            floor
                .redirected_meanwhile(elsewhere::Whom::Customer, m)
                .boxed_local(),
        ),
        (
            "another program redirects the operator while the customer keys",
            floor
                .redirected_meanwhile(elsewhere::Whom::Operator, n)
                .boxed_local(),
        ),
        ("practice by the key", floor.practised(o).boxed_local()),
    ];
    let others: [(&str, LocalBoxFuture<'_, anyhow::Result<()>>); 14] = [
        (
            "the operator, who stays, transfers while the customer keys: the customer stays",
            floor.transferred_meanwhile(By::Stay, p, q).boxed_local(),
        ),
        (
            "another program redirects both while the customer keys",
            floor
                .redirected_meanwhile(elsewhere::Whom::Both, r)
                .boxed_local(),
        ),
        (
            "each is shown the other, before, in and behind the payment",
            async {
                floor.names(By::Hold).await.context("the operator waits")?;
                floor.names(By::Stay).await.context("the operator stays")
            }
            .boxed_local(),
        ),
        (
            "nothing is announced: refused",
            floor.refused_nothing(a).boxed_local(),
        ),
        (
            "the order is paid: refused",
            floor.refused_paid(b).boxed_local(),
        ),
        (
            "two payments, none chosen",
            floor.undecided(c).boxed_local(),
        ),
        (
            "the customer presses the key behind a payment",
            floor.customer_behind(d).boxed_local(),
        ),
        (
            "transferred by REFER behind the payment",
            floor.transferred_behind(e, f).boxed_local(),
        ),
        (
            "control: without absorbDTMF the keys reach the operator",
            floor.control(g, false).boxed_local(),
        ),
        (
            "control: not muted, the operator hears the keys",
            floor.control(h, true).boxed_local(),
        ),
        (
            "the API cancels in the card number",
            floor.cancelled_by_api(i).boxed_local(),
        ),
        (
            "the API cancels when the charge is sent: refused",
            floor.cancelled_too_late(j).boxed_local(),
        ),
        (
            "the queue's record and wrap-up, the operator waits",
            floor.recorded_by_the_queue("611", 204).boxed_local(),
        ),
        (
            "the queue's record and wrap-up, the operator stays",
            floor.recorded_by_the_queue("612", 211).boxed_local(),
        ),
    ];
    for (name, check) in others.into_iter().chain(rarer.into_iter().filter(|_| full)) {
        checks.push((named(name), check.map(|r| r.map(|()| None)).boxed_local()));
    }
    checks.retain(|(name, _)| wanted(name));
    let ran = !checks.is_empty();
    let mut done = futures_util::stream::iter(checks)
        .map(|(name, check)| async move {
            let began = Instant::now();
            let result = check.await;
            (name, began.elapsed(), result)
        })
        .buffer_unordered(SIDE_BY_SIDE);
    let mut measured = Vec::new();
    while let Some((name, took, result)) = done.next().await {
        let result = result.map(|times| measured.extend(times));
        tally.count(&name, took, result);
    }
    drop(done);
    print_times(&measured);
    spy::refuses(tally, lab, &service, |name| {
        wanted(name) && (full || name.contains("listens"))
    })
    .await;
    let seats = named("fifty seats, each takes a payment, by whoever sits there");
    if full && wanted(&seats) {
        tally.one(&seats, floor.fifty_seats()).await;
    }
    let alone: [(&str, LocalBoxFuture<'_, anyhow::Result<()>>); 3] = [
        (
            "the operator calls, and takes the payment",
            called_out(lab, &service, "69").boxed_local(),
        ),
        (
            "keys are logged: refused",
            refused_unsafe(lab, &service).boxed_local(),
        ),
        (
            "after all these: no channel, no bridge, no call, no lamp",
            nothing_is_left(lab, &service).boxed_local(),
        ),
    ];
    for (name, check) in alone {
        let name = named(name);
        if wanted(&name) || (ran && name.contains("after all")) {
            tally.one(&name, check).await;
        }
    }
    drop(service);
    redirect::own(tally, lab, &wanted, full).await;
    spy::takes_off(tally, lab, &wanted, full).await?;
    let own: [(&str, LocalBoxFuture<'_, anyhow::Result<()>>); 5] = [
        (
            "no place is free: refused",
            refused_no_place(lab).boxed_local(),
        ),
        (
            "the acquirer does not answer: refused",
            refused_acquirer_away(lab).boxed_local(),
        ),
        (
            "the service is stopped, then away: refused",
            refused_away(lab).boxed_local(),
        ),
        (
            "the daemon killed, the operator waits: both talk again",
            killed(lab, By::Hold).boxed_local(),
        ),
        (
            "the daemon killed, the operator stays: both talk again",
            killed(lab, By::Stay).boxed_local(),
        ),
    ];
    for (name, check) in own {
        let name = named(name);
        if wanted(&name) {
            tally.one(&name, check).await;
        }
    }
    Ok(())
}

fn print_times(measured: &[Times]) {
    let of = |what: fn(&Times) -> u64| {
        let mut all: Vec<u64> = measured.iter().map(what).filter(|ms| *ms > 0).collect();
        all.sort_unstable();
        (
            all.get(all.len() / 2).copied().unwrap_or_default(),
            all.last().copied().unwrap_or_default(),
            all.len(),
        )
    };
    let (key, key_max, keys) = of(|t| t.key_to_prompt);
    let (talk, talk_max, talks) = of(|t| t.result_to_talk);
    if keys > 0 {
        println!(
            "pay key to first prompt: {key} ms, at most {key_max} ms ({keys} calls); result to talking again, both told: {talk} ms, at most {talk_max} ms ({talks} calls)"
        );
    }
}
