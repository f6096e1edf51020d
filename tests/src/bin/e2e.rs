//! Calls on a real Asterisk: what a caller hears and what the books say afterwards.
//!
//! `e2e [--suite sid|bullseye|host] [--instance N] [--filter TEXT] [--full]`; ends with `e2e: N calls, N as expected`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program speaks there"
)]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use ivrpay_tests::call::{Call, Report};
use ivrpay_tests::lab::Lab;
use ivrpay_tests::service::{SHORT_WAITS, Service, set};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// Calls at once in the long part. A call is mostly waiting; the limit keeps two cores from being late with RTP.
const SIDE_BY_SIDE: usize = 24;

/// Published test numbers (docs.stripe.com/testing, acquirers' own test pages).
const VISA: &str = "4242424242424242";
const MASTERCARD: &str = "5555555555554444";
const AMEX: &str = "378282246310005";
const JCB: &str = "3530111333300000";
const DINERS: &str = "36227206271667";

/// What is expected of a call.
struct Scenario {
    name: String,
    call: Call,
    /// Result of the call, any of these.
    results: &'static [&'static str],
    /// State of the payment afterwards.
    state: Option<&'static str>,
    /// Last four digits that the acquirer must have seen, for a charge that it booked.
    last4: Option<String>,
    /// Charges that the acquirer's books hold for this order.
    booked: Option<u64>,
    /// A second chance that is as good: the caller was asked to key more slowly, and nothing was charged.
    or_slower: bool,
    /// Speech that the caller must have heard, ms.
    heard_ms: u64,
}

fn extension(language: u8, amount: u64) -> String {
    format!("77{language}{amount}")
}

/// The keys of a whole call. `{}` steps wait for the announcement, so that every key barges into its prompt.
fn keys(pan: &str, expiry: &str, code: &str) -> String {
    format!(
        "wait:payment-amount 1 wait:payment-card-number {pan}# wait:expiration-date {expiry} \
         wait:security-code {code} wait:confirmation 1"
    )
}

fn scenario(
    name: &str,
    extension: String,
    keys: String,
    results: &'static [&'static str],
) -> Scenario {
    Scenario {
        name: name.to_owned(),
        call: Call::new(extension, keys),
        results,
        state: None,
        last4: None,
        booked: None,
        or_slower: false,
        heard_ms: 200,
    }
}

impl Scenario {
    fn approved(mut self, pan: &str) -> Self {
        self.state = Some("approved");
        self.booked = Some(1);
        self.last4 = pan.get(pan.len() - 4..).map(str::to_owned);
        self
    }

    fn not_charged(mut self, state: &'static str) -> Self {
        self.state = Some(state);
        self.booked = Some(0);
        self
    }

    fn state(mut self, state: &'static str) -> Self {
        self.state = Some(state);
        self
    }

    fn options(mut self, options: &[&str]) -> Self {
        self.call = self.call.with(options);
        self
    }

    fn or_slower(mut self) -> Self {
        self.or_slower = true;
        self
    }
}

const SUCCESS: &[&str] = &["success"];
const CONNECTOR: &[&str] = &["payment-connector-error"];
const UNKNOWN: &[&str] = &["outcome-unknown"];
const HUNG_UP: &[&str] = &["caller-hung-up"];

fn happy() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (name, language, pan, code) in [
        ("happy path, Japanese, Visa", 1, VISA, "123"),
        ("happy path, English, Mastercard", 2, MASTERCARD, "123"),
        ("happy path, Japanese, JCB", 1, JCB, "123"),
        (
            "happy path, English, American Express: 15 digits, code of four",
            2,
            AMEX,
            "1234",
        ),
        (
            "happy path, Japanese, Diners Club: 14 digits",
            1,
            DINERS,
            "123",
        ),
    ] {
        all.push(
            scenario(
                name,
                extension(language, 1200),
                keys(pan, "1230", code),
                SUCCESS,
            )
            .approved(pan),
        );
    }
    all.push(
        scenario(
            "happy path, every prompt heard to its end",
            extension(1, 12_345),
            format!(
                "wait:payment-amount heard 1 wait:payment-card-number heard {VISA}# wait:expiration-date heard 1230 \
                 wait:security-code heard 123 wait:confirmation heard 1"
            ),
            SUCCESS,
        )
        .approved(VISA),
    );
    all.last_mut().expect("just pushed").heard_ms = 15_000;
    all.push(
        scenario(
            "the card number ends by itself, without #",
            extension(1, 1200),
            keys(VISA, "1230", "123").replacen('#', "", 1),
            SUCCESS,
        )
        .approved(VISA),
    );
    all.push(
        scenario(
            "a late # after the number ended by itself is swallowed",
            extension(1, 1200),
            keys(VISA, "1230", "123")
                .replacen('#', " wait:expiration-date #", 1)
                .replacen("wait:expiration-date 1230", "1230", 1),
            SUCCESS,
        )
        .approved(VISA),
    );
    all.push(
        scenario(
            "all keys typed ahead",
            extension(2, 1200),
            format!("wait:payment-amount 1 {VISA}# 1230 123 wait:confirmation 1"),
            SUCCESS,
        )
        .approved(VISA),
    );
    all.push(
        scenario(
            "a key during the greeting counts",
            extension(1, 1200),
            format!("wait:greeting 1 wait:payment-card-number {VISA}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1"),
            SUCCESS,
        )
        .approved(VISA),
    );
    all.push(
        scenario(
            "keys by SIP INFO",
            extension(1, 1200),
            keys(VISA, "1230", "123"),
            SUCCESS,
        )
        .approved(VISA)
        .options(&["--dtmf", "info"]),
    );
    all
}

fn corrections() -> Vec<Scenario> {
    let right = |head: &str| {
        format!(
            "wait:payment-amount 1 wait:payment-card-number {head} wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1"
        )
    };
    let mut all = vec![
        scenario(
            "card number wrong, then right",
            extension(1, 1200),
            right(&format!(
                "4242424242424241# wait:payment-card-number/invalid-card-number , {VISA}#"
            )),
            SUCCESS,
        )
        .approved(VISA),
        scenario(
            "card number too short, then right",
            extension(2, 1200),
            right(&format!(
                "42424242# wait:payment-card-number/invalid-card-number , {VISA}#"
            )),
            SUCCESS,
        )
        .approved(VISA),
        scenario(
            "card number too long, then right",
            extension(1, 1200),
            right(&format!(
                "42424242424242424242# wait:payment-card-number/invalid-card-number , {VISA}#"
            )),
            SUCCESS,
        )
        .approved(VISA),
        scenario(
            "a brand that nobody takes, then right",
            extension(1, 1200),
            right(&format!(
                "9999999999999999# wait:payment-card-number/invalid-card-type , {VISA}#"
            )),
            SUCCESS,
        )
        .approved(VISA),
        scenario(
            "* clears what was keyed",
            extension(1, 1200),
            right(&format!("4242*{VISA}#")),
            SUCCESS,
        )
        .approved(VISA),
        scenario(
            "digits are kept over a time-out",
            extension(1, 1200),
            right("42424242 sleep:3500 42424242#"),
            SUCCESS,
        )
        .approved(VISA),
        scenario(
            "letters A to D are ignored",
            extension(1, 1200),
            right("A42424242B42424242CD#"),
            SUCCESS,
        )
        .approved(VISA),
    ];
    all.push(
        scenario(
            "expiry wrong, then right",
            extension(1, 1200),
            format!("wait:payment-amount 1 wait:payment-card-number {VISA}# wait:expiration-date 1330 wait:expiration-date/invalid-date , 1230 wait:security-code 123 wait:confirmation 1"),
            SUCCESS,
        )
        .approved(VISA),
    );
    all.push(
        scenario(
            "expiry in the past, keyed again",
            extension(2, 1200),
            format!("wait:payment-amount 1 wait:payment-card-number {VISA}# wait:expiration-date 0120 wait:expiration-date-past , 1 wait:expiration-date , 1230 wait:security-code 123 wait:confirmation 1"),
            SUCCESS,
        )
        .approved(VISA),
    );
    all.push(
        scenario(
            "expiry in the past, another card",
            extension(1, 1200),
            format!("wait:payment-amount 1 wait:payment-card-number {VISA}# wait:expiration-date 0120 wait:expiration-date-past , 2 wait:payment-card-number , {MASTERCARD}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1"),
            SUCCESS,
        )
        .approved(MASTERCARD),
    );
    all.push(
        scenario(
            "security code too short, then right",
            extension(1, 1200),
            format!("wait:payment-amount 1 wait:payment-card-number {VISA}# wait:expiration-date 1230 wait:security-code 12# wait:security-code/invalid-security-code , 123 wait:confirmation 1"),
            SUCCESS,
        )
        .approved(VISA),
    );
    all.push(
        scenario(
            "last four refused, another card",
            extension(1, 1200),
            format!("wait:payment-amount 1 wait:payment-card-number {VISA}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 2 wait:payment-card-number {JCB}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1"),
            SUCCESS,
        )
        .approved(JCB),
    );
    all.push(
        scenario(
            "the amount is refused",
            extension(1, 1200),
            "wait:payment-amount 2".into(),
            &["amount-rejected"],
        )
        .not_charged("cancelled"),
    );
    all.push(
        scenario(
            "* twice asks for the operator",
            extension(1, 1200),
            "wait:payment-amount 1 wait:payment-card-number * , , *".into(),
            &["caller-interrupted-with-star"],
        )
        .not_charged("cancelled"),
    );
    all.push(
        scenario("three wrong numbers", extension(2, 1200), "wait:payment-amount 1 wait:payment-card-number 4242424242424241# wait:payment-card-number/invalid-card-number , 4242424242424241# wait:payment-card-number/invalid-card-number , 4242424242424241#".into(), &["too-many-failed-attempts"])
            .not_charged("cancelled"),
    );
    all.push(
        scenario(
            "silence",
            extension(1, 1200),
            String::new(),
            &["too-many-failed-attempts", "session-timeout"],
        )
        .not_charged("cancelled"),
    );
    all.push(
        scenario("40 keys at once", extension(1, 1200), "wait:payment-amount 1 wait:payment-card-number 4242424242424242424242424242424242424242# wait:payment-card-number/invalid-card-number hangup".into(), HUNG_UP)
            .not_charged("cancelled"),
    );
    all
}

fn hang_ups() -> Vec<Scenario> {
    let steps = [
        ("greeting", "wait:greeting"),
        ("amount", "wait:payment-amount"),
        (
            "card number",
            "wait:payment-amount 1 wait:payment-card-number 42424242",
        ),
        (
            "expiry",
            "wait:payment-amount 1 wait:payment-card-number 4242424242424242# wait:expiration-date 12",
        ),
        (
            "security code",
            "wait:payment-amount 1 wait:payment-card-number 4242424242424242# wait:expiration-date 1230 wait:security-code 12",
        ),
        (
            "confirmation",
            "wait:payment-amount 1 wait:payment-card-number 4242424242424242# wait:expiration-date 1230 wait:security-code 123 wait:confirmation",
        ),
    ];
    let mut all: Vec<Scenario> = steps
        .into_iter()
        .map(|(name, keys)| {
            let mut s = scenario(
                &format!("hang-up at the {name}"),
                extension(1, 1200),
                format!("{keys} hangup"),
                HUNG_UP,
            )
            .not_charged("cancelled");
            s.heard_ms = 0;
            s
        })
        .collect();
    // The answer takes 3 s: the caller is gone, and the approval is in the journal all the same.
    all.push(
        scenario(
            "hang-up while the acquirer is asked",
            extension(1, 9001),
            format!(
                "{} wait:payment-processing hangup",
                keys(VISA, "1230", "123")
            ),
            &["caller-hung-up", "success"],
        )
        .approved(VISA),
    );
    all
}

fn declines() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (card, code) in [
        ("4000000000000002", "generic_decline"),
        ("4000000000009995", "insufficient_funds"),
        ("4000000000009987", "lost_card"),
        ("4000000000009979", "stolen_card"),
        ("4000000000000069", "expired_card"),
        ("4000000000006975", "card_velocity_exceeded"),
        ("4100000000000019", "fraudulent"),
        ("4000002500003155", "authentication_required"),
    ] {
        all.push(
            scenario(
                &format!("declined: {code}"),
                extension(1, 1200),
                format!("{} wait:card-declined , 2", keys(card, "1230", "123")),
                CONNECTOR,
            )
            .not_charged("declined"),
        );
    }
    all.push(
        scenario(
            "declined, then another card",
            extension(2, 1200),
            format!("{} wait:card-declined , 1 wait:payment-card-number , {MASTERCARD}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1", keys("4000000000000002", "1230", "123")),
            SUCCESS,
        )
        .approved(MASTERCARD),
    );
    all.push(
        scenario(
            "declined for its security code, entered again",
            extension(1, 1200),
            format!("{} wait:payment-card-number/card-declined , {VISA}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1", keys("4000000000000127", "1230", "123")),
            SUCCESS,
        )
        .approved(VISA),
    );
    all
}

fn acquirer_faults() -> Vec<Scenario> {
    let whole = || keys(VISA, "1230", "123");
    let mut all = Vec::new();
    for (amount, name, booked) in [
        (9002, "never answers, not booked", 0),
        (9003, "never answers, booked", 1),
        (9005, "closes instead of an answer, booked", 1),
        (9007, "cut in the middle of the body, booked", 1),
        (9008, "malformed JSON, booked", 1),
        (9009, "HTML, booked", 1),
        (9010, "500, not booked", 0),
        (9011, "500, booked", 1),
        (9012, "10 MB, booked", 1),
        (9014, "another amount, booked", 1),
    ] {
        let mut s = scenario(
            &format!("acquirer: {name}"),
            extension(1, amount),
            whole(),
            UNKNOWN,
        )
        .state("unknown");
        s.booked = Some(booked);
        all.push(s);
    }
    all.push(scenario("acquirer: slow", extension(1, 9001), whole(), SUCCESS).approved(VISA));
    all.push(
        scenario(
            "acquirer: 402 with a decline",
            extension(1, 9015),
            format!("{} wait:card-declined , 2", whole()),
            CONNECTOR,
        )
        .not_charged("declined"),
    );
    all
}

/// On and off, ms.
const SPEEDS: [(u32, u32); 7] = [
    (40, 40),
    (40, 60),
    (80, 20),
    (100, 20),
    (100, 80),
    (200, 200),
    (1_000, 2_000),
];

fn speeds(lab: &Lab, full: bool) -> anyhow::Result<Vec<Scenario>> {
    let inband = lab.get("INBAND_IP").unwrap_or("127.0.10.5").to_owned();
    let mut all = Vec::new();
    for round in 0..if full { 2 } else { 1 } {
        for (on, off) in SPEEDS {
            for mode in ["rfc4733", "info", "both", "inband"] {
                // A number with pairs and one without.
                let pan = if round == 0 { VISA } else { MASTERCARD };
                let (on_text, off_text) = (on.to_string(), off.to_string());
                let mut options = vec![
                    "--dtmf",
                    mode,
                    "--on",
                    &on_text,
                    "--off",
                    &off_text,
                    "--timeout",
                    "150",
                ];
                if mode == "inband" {
                    options.extend(["--bind", &inband]);
                }
                all.push(
                    scenario(
                        &format!("{mode} at {on}/{off} ms"),
                        extension(1, 1200),
                        keys(pan, "1230", "123"),
                        SUCCESS,
                    )
                    .approved(pan)
                    .or_slower()
                    .options(&options),
                );
            }
        }
    }
    Ok(all)
}

struct Books {
    url: String,
    http: reqwest::Client,
}

impl Books {
    fn new(lab: &Lab) -> anyhow::Result<Self> {
        let url = format!("http://{}:9480/log", lab.get("ACQUIRER_IP")?);
        Ok(Self {
            url,
            http: reqwest::Client::builder().no_proxy().build()?,
        })
    }

    /// What the acquirer knows of a payment of ours.
    async fn of(&self, payment: &str) -> anyhow::Result<Vec<Value>> {
        let log: Value =
            serde_json::from_str(&self.http.get(&self.url).send().await?.text().await?)?;
        let all = log
            .get("transactions")
            .or(Some(&log))
            .and_then(Value::as_array)
            .context("the acquirer's log is no list")?;
        Ok(all
            .iter()
            .filter(|e| e["parameters"]["payment_id"] == payment)
            .cloned()
            .collect())
    }
}

/// Whether the report and the books are as they should be.
async fn judge(
    scenario: &Scenario,
    report: &Report,
    service: &Service,
    books: &Books,
) -> anyhow::Result<()> {
    let slower = report
        .steps
        .to_string()
        .contains("duplicate-tone-suspected")
        || report.steps.to_string().contains("invalid-card-number");
    let payment_id = report.payment_id.clone();
    let payment = match &payment_id {
        Some(id) => service.payment(id).await?,
        None => Value::Null,
    };
    let entries = match &payment_id {
        Some(id) => books.of(id).await?,
        None => Vec::new(),
    };
    let booked = entries.iter().filter(|e| e["booked"] == true).count() as u64;
    if let Some(last4) = &scenario.last4 {
        for entry in entries.iter().filter(|e| e["booked"] == true) {
            ensure!(
                entry["last4"] == last4.as_str(),
                "a wrong number was sent to the acquirer"
            );
        }
        if scenario.or_slower {
            // Nothing but the right number may have reached the acquirer, booked or not.
            ensure!(
                entries.iter().all(|e| e["last4"] == last4.as_str()),
                "a wrong number was sent to the acquirer"
            );
        }
    }
    if scenario.or_slower && slower && report.result != "success" {
        ensure!(
            booked == 0,
            "asked to key more slowly, and charged all the same"
        );
        return Ok(());
    }
    ensure!(
        scenario.results.contains(&report.result.as_str()),
        "the result is {}",
        report.result
    );
    ensure!(
        report.heard_ms >= scenario.heard_ms,
        "only {} ms of speech were heard",
        report.heard_ms
    );
    if let Some(state) = scenario.state {
        ensure!(
            payment["state"] == state,
            "the payment is {}",
            payment["state"]
        );
    }
    if let Some(expected) = scenario.booked {
        ensure!(
            booked == expected,
            "the acquirer booked {booked}, not {expected}"
        );
    }
    if let Some(last4) = &scenario.last4 {
        ensure!(
            payment["last4"] == last4.as_str(),
            "the journal holds other last four digits"
        );
    }
    Ok(())
}

#[derive(Default)]
struct Tally {
    calls: usize,
    good: usize,
}

impl Tally {
    fn count(&mut self, name: &str, took: Duration, result: anyhow::Result<()>) {
        self.calls += 1;
        match result {
            Ok(()) => {
                self.good += 1;
                println!("ok    {:>6.1} s  {name}", took.as_secs_f64());
            }
            Err(error) => println!("WRONG {:>6.1} s  {name}: {error:#}", took.as_secs_f64()),
        }
    }
}

async fn side_by_side(
    scenarios: Vec<Scenario>,
    width: usize,
    lab: &Arc<Lab>,
    service: &Arc<Service>,
    books: &Arc<Books>,
    tally: &mut Tally,
) {
    let places = Arc::new(Semaphore::new(width));
    let mut tasks = tokio::task::JoinSet::new();
    for scenario in scenarios {
        let (places, lab, service, books) = (
            Arc::clone(&places),
            Arc::clone(lab),
            Arc::clone(service),
            Arc::clone(books),
        );
        tasks.spawn(async move {
            let _place = places.acquire_owned().await;
            let began = Instant::now();
            let result = async {
                let report = scenario.call.place(&lab).await?;
                judge(&scenario, &report, &service, &books)
                    .await
                    .with_context(|| format!("{} steps {}", report.result, report.steps))
            };
            let result = result.await;
            (scenario.name.clone(), began.elapsed(), result)
        });
    }
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok((name, took, result)) => tally.count(&name, took, result),
            Err(error) => tally.count("a scenario", Duration::ZERO, Err(error.into())),
        }
    }
}

struct Args {
    suite: String,
    instance: u32,
    filter: String,
    full: bool,
}

fn args() -> anyhow::Result<Args> {
    let mut args = Args {
        suite: "sid".into(),
        instance: 3,
        filter: String::new(),
        full: false,
    };
    let mut given = std::env::args().skip(1);
    while let Some(arg) = given.next() {
        let mut value = || given.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--suite" => args.suite = value()?,
            "--instance" => args.instance = value()?.parse()?,
            "--filter" => args.filter = value()?,
            "--full" => args.full = true,
            _ => bail!(
                "usage: e2e [--suite sid|bullseye|host] [--instance N] [--filter TEXT] [--full]"
            ),
        }
    }
    Ok(args)
}

fn short(config: &mut toml::Table) {
    if let Ok(waits) = SHORT_WAITS.parse::<toml::Table>() {
        set(config, "dialogue", waits);
    }
    set(config, "connectors.generic.reply_timeout", "4s");
    set(config, "limits.calls_max", 100);
}

#[tokio::main]
async fn main() -> ExitCode {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let mut tally = Tally::default();
    if let Err(error) = run(&mut tally).await {
        eprintln!("e2e: {error:#}");
        tally.calls += 1;
    }
    println!("e2e: {} calls, {} as expected", tally.calls, tally.good);
    println!(
        "{} passed; {} failed;",
        tally.good,
        tally.calls - tally.good
    );
    if tally.calls == tally.good && tally.calls > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn run(tally: &mut Tally) -> anyhow::Result<()> {
    let args = args()?;
    let lab = Arc::new(Lab::up(args.instance, &args.suite)?);
    let books = Arc::new(Books::new(&lab)?);
    let wanted = |name: &str| args.filter.is_empty() || name.contains(&args.filter);

    let service = Arc::new(Service::start(&lab, "main", true, short).await?);
    let mut all: Vec<Scenario> = Vec::new();
    // The longest first, so that the end is not one slow call alone.
    all.extend(speeds(&lab, args.full)?.into_iter().rev());
    all.extend(corrections());
    all.extend(happy());
    all.extend(hang_ups());
    all.extend(declines());
    all.extend(acquirer_faults());
    all.retain(|s| wanted(&s.name));
    side_by_side(all, SIDE_BY_SIDE, &lab, &service, &books, tally).await;

    if wanted("20 calls at once") {
        let twenty = (1..=20)
            .map(|n| {
                scenario(
                    &format!("20 calls at once, number {n}"),
                    extension(1 + n % 2, 1200),
                    keys(VISA, "1230", "123"),
                    SUCCESS,
                )
                .approved(VISA)
            })
            .collect();
        side_by_side(twenty, 20, &lab, &service, &books, tally).await;
    }
    if wanted("announced by the API") {
        let began = Instant::now();
        let result = announced(&lab, &service, &books).await;
        tally.count(
            "announced by the API: matched, paid once, refused twice",
            began.elapsed(),
            result,
        );
    }
    let mut service = Arc::into_inner(service).context("the service is still used")?;
    if wanted("stop") {
        let began = Instant::now();
        let result = orderly_stop(&lab, &mut service).await;
        tally.count(
            "stop: SIGTERM gives the caller back",
            began.elapsed(),
            result,
        );
    }
    drop(service);
    for (name, result) in [(
        "daemon away: the dialplan speaks and goes on",
        wanted("daemon away").then_some(away(&lab)).map(Box::pin),
    )] {
        if let Some(result) = result {
            let began = Instant::now();
            tally.count(name, began.elapsed(), result.await);
        }
    }
    if wanted("killed") {
        let began = Instant::now();
        tally.count(
            "killed in flight: unknown after the restart, never charged again",
            began.elapsed(),
            killed_in_flight(&lab, &books).await,
        );
        let began = Instant::now();
        tally.count(
            "killed during entry: the caller is given back by the next daemon",
            began.elapsed(),
            killed_during_entry(&lab).await,
        );
    }
    if wanted("capacity") {
        let began = Instant::now();
        tally.count(
            "capacity: one call more than there are places",
            began.elapsed(),
            capacity(&lab).await,
        );
    }
    if wanted("disk full") {
        let began = Instant::now();
        tally.count(
            "disk full at the intent: nothing is sent",
            began.elapsed(),
            disk_full(&lab, &books).await,
        );
    }
    if wanted("acquirer away") {
        let began = Instant::now();
        tally.count(
            "acquirer away: nothing is sent",
            began.elapsed(),
            acquirer_away(&lab).await,
        );
    }
    if wanted("Asterisk away") {
        let began = Instant::now();
        tally.count(
            "Asterisk away at the start: waits and says so",
            began.elapsed(),
            asterisk_away(&lab).await,
        );
    }
    Ok(())
}

async fn announced(lab: &Lab, service: &Service, books: &Books) -> anyhow::Result<()> {
    let from = format!("03{:08}", std::process::id() % 100_000_000);
    let order = format!("E2E-{}", uuid::Uuid::now_v7());
    let body = json!({"amount": 3210, "order_id": order, "language": "en", "caller_number": from});
    let (status, first) = service.post("/v1/payments", &body, Some(&order)).await?;
    ensure!(status == 201, "announcing answered {status}: {first}");
    let (status, again) = service.post("/v1/payments", &body, Some(&order)).await?;
    ensure!(
        status == 200 && again["id"] == first["id"],
        "the same request again answered {status}: {again}"
    );
    let (status, taken) = service.post("/v1/payments", &body, None).await?;
    ensure!(
        status == 409 && taken["error"]["code"] == "order-taken",
        "a second payment of the order answered {status}: {taken}"
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
    let report = call.place(lab).await?;
    ensure!(report.result != "success", "the order was paid twice");
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

async fn orderly_stop(lab: &Lab, service: &mut Service) -> anyhow::Result<()> {
    let call = Call::new(
        extension(1, 1200),
        "wait:payment-amount 1 wait:payment-card-number 4242 until-end",
    );
    let placed = call.place(lab);
    let stop = async {
        // Until the call is at its card number.
        until(service, |health| health["calls"] == 1).await?;
        tokio::time::sleep(Duration::from_secs(4)).await;
        service.stop(Duration::from_secs(40)).await
    };
    let (report, ended) = tokio::join!(placed, stop);
    let (report, ended) = (report?, ended?);
    ensure!(
        ended.code == Some(0),
        "the service ended with {:?}",
        ended.code
    );
    ensure!(report.heard_ms > 0, "the caller heard nothing");
    Ok(())
}

async fn until(service: &Service, good: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if let Ok((_, health)) = service.get("/healthz").await
            && good(&health)
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("/healthz did not become what was waited for")
}

async fn away(lab: &Lab) -> anyhow::Result<()> {
    let report = without_events(&extension(1, 1200), "until-end", lab).await?;
    ensure!(
        report.heard_ms > 500,
        "the caller heard {} ms",
        report.heard_ms
    );
    Ok(())
}

/// A call while nobody announces steps.
async fn without_events(extension: &str, keys: &str, lab: &Lab) -> anyhow::Result<Report> {
    Call::new(extension, keys)
        .with(&["--no-events", "--timeout", "60"])
        .place(lab)
        .await
}

async fn killed_in_flight(lab: &Lab, books: &Books) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "killed", true, |config| {
        short(config);
        set(config, "connectors.generic.reply_timeout", "60s");
    })
    .await?;
    let call = Call::new(
        extension(1, 9003),
        format!(
            "{} wait:payment-processing sleep:1000 hangup",
            keys(VISA, "1230", "123")
        ),
    );
    let report = call.place(lab).await?;
    let id = report.payment_id.context("no payment")?;
    ensure!(
        service.payment(&id).await?["state"] == "in-flight",
        "the payment is not in flight"
    );
    service.kill().await?;
    service.spawn()?;
    service.ready(true).await?;
    let payment = service.payment(&id).await?;
    ensure!(
        payment["state"] == "unknown",
        "after the restart the payment is {}",
        payment["state"]
    );
    let entries = books.of(&id).await?;
    let requests: u64 = entries.iter().filter_map(|e| e["requests"].as_u64()).sum();
    ensure!(requests == 1, "the acquirer got {requests} requests");
    Ok(())
}

async fn killed_during_entry(lab: &Lab) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "killed-entry", true, short).await?;
    let call =
        async { without_events(&extension(1, 1200), "sleep:6000 1 4242 until-end", lab).await };
    let kill = async {
        until(&service, |health| health["calls"] == 1).await?;
        service.kill().await?;
        service.spawn()?;
        service.ready(true).await
    };
    let (report, killed) = tokio::join!(call, kill);
    killed?;
    let report = report?;
    ensure!(
        report.result != "timeout",
        "the caller was stranded: {}",
        report.result
    );
    Ok(())
}

async fn capacity(lab: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "capacity", true, |config| {
        short(config);
        set(config, "limits.calls_max", 1);
    })
    .await?;
    let first = Call::new(
        extension(1, 1200),
        keys(VISA, "1230", "123").replacen(
            "wait:confirmation 1",
            "wait:confirmation sleep:2000 1",
            1,
        ),
    );
    let second = async {
        until(&service, |health| health["calls"] == 1).await?;
        without_events(&extension(1, 1200), "until-end", lab).await
    };
    let (first, second) = tokio::join!(first.place(lab), second);
    ensure!(first?.result == "success", "the first call was disturbed");
    second?;
    Ok(())
}

async fn disk_full(lab: &Lab, books: &Books) -> anyhow::Result<()> {
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
    let call = Call::new(
        extension(1, 1200),
        keys(VISA, "1230", "123").replacen(
            "wait:confirmation 1",
            "wait:confirmation sleep:2500 1",
            1,
        ),
    );
    let fill = async {
        until(&service, |health| health["calls"] == 1).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
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
    let log = books.http.get(&books.url).send().await?.text().await?;
    let id = report.payment_id.unwrap_or_default();
    ensure!(!id.is_empty() && !log.contains(&id), "something was sent");
    Ok(())
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

async fn acquirer_away(lab: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "acquirer-away", true, |config| {
        short(config);
        set(
            config,
            "connectors.generic.url",
            "https://127.0.0.1:9/charge",
        );
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
    Ok(())
}

async fn asterisk_away(lab: &Lab) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "asterisk-away", false, |config| {
        short(config);
        set(config, "ari.url", "http://127.0.0.1:9/ari");
    })
    .await?;
    let (status, health) = service.get("/healthz").await?;
    ensure!(
        status == 503 && health["asterisk"] != "connected",
        "/healthz answered {status}: {health}"
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
