//! What goes wrong between the service and Asterisk, in the middle of each step of a call: a table of steps and faults, each cell a call of its
//! own by a service of its own, through a proxy of ours.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use ivrpay_tests::between::{Between, Events, Rest};
use ivrpay_tests::call::{Call, Report};
use ivrpay_tests::lab::Lab;
use ivrpay_tests::service::{Service, set};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::scenarios::{Books, MASTERCARD, VISA, keys};
use crate::short;

/// Services side by side, each connected under a name of its own.
const SLOTS: usize = 6;

/// Where a call is when the fault begins.
struct Step {
    name: &'static str,
    amount: u64,
    /// Until it is there.
    before: &'static str,
    /// The event by which it is seen that it is there: step, and digits that were keyed of it.
    at: (&'static str, Option<u64>),
    /// What the caller keys who is asked anew, when he has heard that to its end: before, what he keys may be the rest of a number whose
    /// beginning is lost. Nothing where he has nothing to key.
    again: &'static str,
    /// What the caller keys who is not.
    on: &'static str,
}

const PAN: &str = "{PAN}";

/// The rest of a payment from a step on. `{PAN}` is the card.
const STEPS: [Step; 8] = [
    Step {
        name: "greeting",
        amount: 1200,
        before: "wait:greeting",
        at: ("greeting", None),
        again: "wait:payment-amount sleep:9000 1 wait:payment-card-number {PAN}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1",
        on: "wait:payment-amount 1 wait:payment-card-number {PAN}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1",
    },
    Step {
        name: "card number",
        amount: 1200,
        before: "wait:payment-amount 1 wait:payment-card-number 42424242",
        at: ("payment-card-number", Some(8)),
        again: "wait:payment-card-number sleep:9000 {PAN}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1",
        on: "42424242# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1",
    },
    Step {
        name: "expiry",
        amount: 1200,
        before: "wait:payment-amount 1 wait:payment-card-number {PAN}# wait:expiration-date 12",
        at: ("expiration-date", Some(2)),
        again: "wait:expiration-date sleep:9000 1230 wait:security-code 123 wait:confirmation 1",
        on: "30 wait:security-code 123 wait:confirmation 1",
    },
    Step {
        name: "security code",
        amount: 1200,
        before: "wait:payment-amount 1 wait:payment-card-number {PAN}# wait:expiration-date 1230 wait:security-code 1",
        at: ("security-code", None),
        again: "wait:security-code sleep:9000 123 wait:confirmation 1",
        on: "23 wait:confirmation 1",
    },
    Step {
        name: "confirmation",
        amount: 1200,
        before: "wait:payment-amount 1 wait:payment-card-number {PAN}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation",
        at: ("confirmation", None),
        again: "sleep:16000 1",
        on: "1",
    },
    Step {
        name: "acquirer asked",
        amount: 9001,
        before: "wait:payment-amount 1 wait:payment-card-number {PAN}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1 wait:payment-processing",
        at: ("payment-processing", None),
        again: "",
        on: "",
    },
    Step {
        name: "result spoken",
        amount: 1200,
        before: "wait:payment-amount 1 wait:payment-card-number {PAN}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1 wait:payment-completed",
        at: ("payment-completed", None),
        again: "",
        on: "",
    },
    Step {
        name: "menu after a decline",
        amount: 1200,
        before: "wait:payment-amount 1 wait:payment-card-number 4000000000000002# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1 wait:card-declined",
        at: ("card-declined", None),
        again: "sleep:16000 1 wait:payment-card-number , {PAN}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1",
        on: ", 1 wait:payment-card-number , {PAN}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1",
    },
];

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Cut,
    Away,
    Slow,
    Error,
    NotFound,
    Twice,
    Late,
    Replaced,
}

const FAULTS: [(Fault, &str); 8] = [
    (Fault::Cut, "socket cut"),
    (Fault::Away, "socket away for 12 s"),
    (Fault::Slow, "requests late by 6 s"),
    (Fault::Error, "requests answered 500 for 3 s"),
    (Fault::NotFound, "requests answered 404 for 3 s"),
    (Fault::Twice, "events twice"),
    (Fault::Late, "events late by 1.5 s"),
    (Fault::Replaced, "another program takes the application"),
];

/// Those that are tried each time: of each fault what a caller notices most, and each step once at least.
const USUAL: [(&str, &str); 16] = [
    ("socket cut", "greeting"),
    ("socket cut", "card number"),
    ("socket cut", "expiry"),
    ("socket cut", "security code"),
    ("socket cut", "confirmation"),
    ("socket cut", "acquirer asked"),
    ("socket cut", "result spoken"),
    ("socket cut", "menu after a decline"),
    ("socket away for 12 s", "card number"),
    ("socket away for 12 s", "acquirer asked"),
    ("requests late by 6 s", "acquirer asked"),
    ("requests answered 500 for 3 s", "result spoken"),
    ("requests answered 500 for 3 s", "card number"),
    ("events twice", "card number"),
    ("events late by 1.5 s", "card number"),
    ("another program takes the application", "acquirer asked"),
];

impl Fault {
    /// Keys are lost by it: the caller is asked anew.
    const fn loses_keys(self) -> bool {
        matches!(self, Self::Cut | Self::Away | Self::Replaced)
    }

    /// How long a caller waits who does not know of it.
    const fn pause(self) -> &'static str {
        match self {
            // Longer than it lasts: whoever keys meanwhile is not heard.
            Self::Replaced => "sleep:25000",
            // The service tries to connect with growing pauses.
            Self::Away => "sleep:16000",
            Self::Cut | Self::Twice => "",
            Self::Late => "sleep:500",
            Self::Slow => "sleep:8000",
            Self::Error | Self::NotFound => "sleep:4000",
        }
    }

    /// Begins, and ends it.
    async fn happens(self, between: &Between, lab: &Lab, app: &str) -> anyhow::Result<()> {
        match self {
            Self::Cut => between.cut(),
            Self::Away => {
                between.away(true);
                between.cut();
                tokio::time::sleep(Duration::from_secs(12)).await;
                between.away(false);
            }
            Self::Slow => {
                between.rest(Rest::Waits(Duration::from_secs(6)));
                tokio::time::sleep(Duration::from_secs(7)).await;
                between.rest(Rest::Passes);
            }
            Self::Error | Self::NotFound => {
                let status = if self == Self::Error { 500 } else { 404 };
                between.rest(Rest::Is(status));
                tokio::time::sleep(Duration::from_secs(3)).await;
                between.rest(Rest::Passes);
            }
            // Until the end of the call.
            Self::Twice => between.events(Events::Twice),
            Self::Late => between.events(Events::Late(Duration::from_millis(1500))),
            Self::Replaced => {
                let url = lab.get("ARI_URL")?.replacen("http", "ws", 1);
                let password = std::fs::read_to_string(lab.path("ARI_PASSWORD_FILE")?)?;
                let key = format!("{}:{}", lab.get("ARI_USER")?, password.trim());
                let url = format!("{url}/events?app={app}&api_key={key}");
                let (socket, _) = tokio_tungstenite::connect_async(url).await?;
                tokio::time::sleep(Duration::from_secs(3)).await;
                drop(socket);
            }
        }
        Ok(())
    }
}

/// One place for a service.
struct Slot {
    number: usize,
    between: Between,
    service: Service,
}

impl Slot {
    async fn start(lab: &Lab, number: usize) -> anyhow::Result<Self> {
        let host = lab.get("ASTERISK_IP")?.to_owned();
        let port = |base: usize| format!("{host}:{}", base + number);
        let address: SocketAddr = port(8100).parse()?;
        let between = Between::start(address, format!("{host}:8088").parse()?).await?;
        let name = format!("faults-{number}");
        let socket = lab.folder.join(format!("faults-{number}.sock"));
        let service = Service::start(lab, &name, true, |config| {
            short(config);
            set(config, "ari.url", format!("http://{address}/ari"));
            set(config, "ari.app", app(number));
            set(config, "http.listen", port(9500));
            set(config, "agi.listen", port(4600));
            set(config, "admin.socket", socket.display().to_string());
            // Nobody is asked again by time alone: a step that is asked again was asked so by the fault.
            for wait in ["first_key_card_number", "first_key", "inter_digit_timeout"] {
                set(config, &format!("dialogue.{wait}"), "59s");
            }
            for wait in ["reminder_after", "reminder_every"] {
                set(config, &format!("dialogue.{wait}"), "58s");
            }
        })
        .await?;
        Ok(Self {
            number,
            between,
            service,
        })
    }

    /// A call to this service.
    fn call(&self, lab: &Lab, amount: u64, script: &str) -> anyhow::Result<Call> {
        let events = format!("{}/v1/events", self.service.api);
        let key = lab.path("API_KEY_FILE")?.display().to_string();
        let script = script.replace(PAN, VISA);
        let call = Call::new(format!("50{}{amount}", self.number), script);
        let call = call.with(&["--events", &events, "--key-file", &key]);
        Ok(Call { deaf: true, ..call })
    }

    /// Waits until the service takes calls again.
    async fn ready(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let (status, ready) = self.service.get("/readyz").await?;
            if status == 200 {
                return Ok(());
            }
            ensure!(
                began.elapsed() < Duration::from_secs(45),
                "/readyz stays {ready}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn app(number: usize) -> String {
    format!("ivrpay-f{number}")
}

/// The table, or what is usual of it: names, how long it took, and what came of it.
pub(crate) async fn table(
    lab: &Lab,
    books: &Books,
    wanted: impl Fn(&str) -> bool,
    full: bool,
) -> Vec<(String, Duration, anyhow::Result<()>)> {
    let mut cells = Vec::new();
    for (fault, what) in FAULTS {
        for step in &STEPS {
            let name = format!("faults: {what}: {}", step.name);
            if wanted(&name) && (full || USUAL.contains(&(what, step.name))) {
                cells.push((name, fault, step));
            }
        }
    }
    // The longest first.
    cells.sort_by_key(|(_, fault, _)| *fault != Fault::Replaced);
    let done = Mutex::new(Vec::new());
    if !cells.is_empty() {
        let cells = Mutex::new(cells.into_iter());
        let workers = (0..SLOTS).map(|number| {
            let (cells, done) = (&cells, &done);
            async move {
                loop {
                    let Some((name, fault, step)) = cells.lock().await.next() else {
                        return;
                    };
                    let began = Instant::now();
                    let result = cell(lab, books, number, fault, step).await;
                    done.lock().await.push((name, began.elapsed(), result));
                }
            }
        });
        futures_util::future::join_all(workers).await;
    }
    done.into_inner()
}

async fn cell(
    lab: &Lab,
    books: &Books,
    number: usize,
    fault: Fault,
    step: &Step,
) -> anyhow::Result<()> {
    let slot = Slot::start(lab, number).await?;
    let mut events = slot.service.events().await?;
    let rest = if fault.loses_keys() {
        step.again
    } else {
        step.on
    };
    let script = format!("{} {} {rest} until-end", step.before, fault.pause());
    let call = slot.call(lab, step.amount, &script)?;
    let happens = async {
        let (name, digits) = step.at;
        events
            .first(|event| {
                event["step"] == name
                    && match digits {
                        Some(digits) => event["digits"] == digits,
                        // Of the code is told that it has begun.
                        None => name != "security-code" || event["event"] == "digits",
                    }
            })
            .await?;
        fault.happens(&slot.between, lab, &app(number)).await
    };
    let (report, happened) = tokio::join!(call.place(lab), happens);
    happened?;
    let report = report?;
    judge(lab, books, &slot, fault, step, &report)
        .await
        .with_context(|| format!("result {}, steps {}", report.result, report.way()))
}

/// What the dialplan has got of a payment.
async fn dialplan(lab: &Lab, payment: &str) -> anyhow::Result<String> {
    let began = Instant::now();
    loop {
        let log = tokio::fs::read(lab.folder.join("log/ivrpay.log")).await?;
        let log = String::from_utf8_lossy(&log);
        let end = format!(" payment={payment} ");
        if let Some(line) = log.lines().find(|line| line.contains(&end)) {
            let (_, rest) = line.split_once("ivrpay result=").context("no result")?;
            return Ok(rest.split(' ').next().unwrap_or_default().to_owned());
        }
        ensure!(
            began.elapsed() < Duration::from_secs(5),
            "the dialplan knows nothing of the payment"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn judge(
    lab: &Lab,
    books: &Books,
    slot: &Slot,
    fault: Fault,
    step: &Step,
    report: &Report,
) -> anyhow::Result<()> {
    let id = report.payment_id.as_deref().context("no payment")?;
    let payment = slot.service.payment(id).await?;
    let state = payment["state"].as_str().unwrap_or_default();
    // The caller can go on in each of these cases, and has paid, once.
    ensure!(
        report.result == "success" && state == "approved",
        "the payment is {state}"
    );
    let booked = books
        .of(id)
        .await?
        .iter()
        .filter(|t| t["booked"] == true)
        .count();
    ensure!(booked == 1, "the acquirer has booked {booked} charges");
    // Where Asterisk says that it knows no such channel nobody tries again: the next listing gives the caller back, within a minute, and this
    // one does not wait so long.
    if fault != Fault::NotFound || step.name != "result spoken" {
        let told = dialplan(lab, id).await?;
        ensure!(told == "success", "the dialplan got {told}");
    }
    if fault.loses_keys() && !["greeting", "acquirer asked", "result spoken"].contains(&step.name) {
        let steps = report
            .steps
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let asked = steps.iter().filter(|s| s["step"] == step.at.0).count();
        ensure!(asked > 1, "the step was asked {asked} times");
    }
    nothing_left(lab, &app(slot.number)).await?;
    slot.ready().await
}

/// No channel in Stasis, no bridge of ours.
pub(crate) async fn nothing_left(lab: &Lab, app: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let channels = lab.ari("GET", "/channels").await?;
        let ours = |channel: &&Value| {
            let data = channel["dialplan"]["app_data"].as_str().unwrap_or_default();
            channel["dialplan"]["app_name"] == "Stasis" && data.split(',').next() == Some(app)
        };
        let left = channels
            .as_array()
            .map_or(0, |all| all.iter().filter(ours).count());
        if left == 0 {
            return Ok(());
        }
        ensure!(
            began.elapsed() < Duration::from_secs(10),
            "{left} channels stay in Stasis"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Asterisk is killed with a call at each step, one of them with its charge in flight, and started again.
pub(crate) async fn asterisk_killed(lab: &Lab, books: &Books) -> anyhow::Result<()> {
    let slot = Slot::start(lab, 0).await?;
    let mut events = slot.service.events().await?;
    let (asked, others): (Vec<_>, Vec<_>) = STEPS
        .iter()
        .filter(|step| !["greeting", "result spoken"].contains(&step.name))
        .partition(|step| step.name == "acquirer asked");
    let place = async |steps: Vec<&Step>| {
        let placed = steps.iter().enumerate().map(|(n, step)| {
            let slot = &slot;
            async move {
                tokio::time::sleep(Duration::from_millis(300) * u32::try_from(n)?).await;
                // They stay where they are; then there is nobody at the other end.
                let script = format!("{} sleep:45000 hangup", step.before);
                slot.call(lab, step.amount, &script)?.place(lab).await
            }
        });
        futures_util::future::try_join_all(placed).await
    };
    let last = async {
        let mut ids = BTreeSet::new();
        let mut there = BTreeSet::new();
        while there.len() < others.len() {
            let event = events
                .first(|event| event["payment_id"].is_string())
                .await?;
            ids.insert(event["payment_id"].as_str().unwrap_or_default().to_owned());
            let is_at = |step: &&&Step| {
                event["step"] == step.at.0
                    && step.at.1.is_none_or(|digits| event["digits"] == digits)
                    && (step.at.0 != "security-code" || event["event"] == "digits")
            };
            // Others pass through most of them on their way; the menu is behind all.
            there.extend(others.iter().filter(is_at).map(|step| step.at.0));
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        let charged = async {
            let event = events.step("payment-processing").await?;
            let id = event["payment_id"]
                .as_str()
                .context("no payment")?
                .to_owned();
            books.received(&id).await?;
            lab.restart_asterisk()?;
            Ok::<_, anyhow::Error>(id)
        };
        let (_, id) = tokio::join!(place(asked.clone()), charged);
        let id = id?;
        // What was charged is kept, and a person calls back.
        let began = Instant::now();
        loop {
            let payment = slot.service.payment(&id).await?;
            if payment["state"] == "approved" && payment["in_call"] != true {
                break;
            }
            ensure!(
                began.elapsed() < Duration::from_secs(20),
                "the payment that was in flight is {payment}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        slot.ready().await?;
        Ok::<_, anyhow::Error>((id, ids))
    };
    let (_, last) = tokio::join!(place(others.clone()), last);
    let (charged, mut ids) = last?;
    let booked = books.of(&charged).await?.len();
    ensure!(booked == 1, "the acquirer has booked {booked} charges");
    ids.remove(&charged);
    ensure!(
        ids.len() >= others.len(),
        "only {} calls were on",
        ids.len()
    );
    for id in &ids {
        let payment = slot.service.payment(id).await?;
        // That of the menu was declined before.
        ensure!(
            payment["state"] == "cancelled" || payment["state"] == "declined",
            "a payment whose call is gone is {payment}"
        );
    }
    let (_, health) = slot.service.get("/healthz").await?;
    ensure!(health["calls"] == 0, "{} calls are left", health["calls"]);
    let (_, tasks, _) = slot.service.cli(&["task", "list"]).await?;
    ensure!(
        tasks.contains("approved-caller-gone") && tasks.contains(&charged),
        "nobody is to call back: {tasks}"
    );
    let script = keys(MASTERCARD, "1230", "123");
    let next = slot.call(lab, 1200, &script)?.place(lab).await?;
    ensure!(
        next.result == "success",
        "the next call ended with {}",
        next.result
    );
    Ok(())
}
