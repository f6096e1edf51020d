//! The calls as tables: where to, which keys, and what must have come of it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use ivrpay_tests::call::{Call, Report};
use ivrpay_tests::lab::{Lab, binary};
use ivrpay_tests::service::Service;
use serde_json::Value;

/// Published test numbers (docs.stripe.com/testing, acquirers' own test pages).
pub(crate) const VISA: &str = "4242424242424242";
pub(crate) const MASTERCARD: &str = "5555555555554444";
pub(crate) const AMEX: &str = "378282246310005";
pub(crate) const JCB: &str = "3530111333300000";
pub(crate) const DINERS: &str = "36227206271667";

/// What is expected of a call.
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) call: Call,
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
    /// Asterisk hands on for seconds what was sent at once: keys come while the caller's telephone is still.
    keys_come_later: bool,
    /// Speech that the caller must have heard, ms.
    heard_ms: u64,
    /// Why the journal says that the card was declined.
    reason: Option<&'static str>,
    /// Either way is good, if the journal and the acquirer's books say the same.
    either: bool,
}

pub(crate) fn extension(language: u8, amount: u64) -> String {
    format!("77{language}{amount}")
}

/// The keys of a whole call. `{}` steps wait for the announcement, so that every key barges into its prompt.
pub(crate) fn keys(pan: &str, expiry: &str, code: &str) -> String {
    format!(
        "wait:payment-amount 1 wait:payment-card-number {pan}# wait:expiration-date {expiry} \
         wait:security-code {code} wait:confirmation 1"
    )
}

pub(crate) fn scenario(
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
        keys_come_later: false,
        heard_ms: 200,
        reason: None,
        either: false,
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

    fn reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
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

    fn keys_come_later(mut self) -> Self {
        self.keys_come_later = true;
        self
    }

    fn or_slower(mut self) -> Self {
        self.or_slower = true;
        self
    }
}

pub(crate) const SUCCESS: &[&str] = &["success"];
pub(crate) const CONNECTOR: &[&str] = &["payment-connector-error"];
pub(crate) const UNKNOWN: &[&str] = &["outcome-unknown"];
pub(crate) const HUNG_UP: &[&str] = &["caller-hung-up"];

pub(crate) fn happy() -> Vec<Scenario> {
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
    // The number is spoken behind "your payment is complete".
    all.push(
        scenario(
            "without an operator: the result and a number are spoken",
            "751200".into(),
            format!("{} wait:payment-completed", keys(VISA, "1230", "123")),
            SUCCESS,
        )
        .approved(VISA),
    );
    all.last_mut().expect("just pushed").heard_ms = 6_000;
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

pub(crate) fn corrections() -> Vec<Scenario> {
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
        scenario("40 keys in a row", extension(1, 1200), "wait:payment-amount 1 wait:payment-card-number 4242424242424242424242424242424242424242# wait:payment-card-number/invalid-card-number hangup".into(), HUNG_UP)
            .not_charged("cancelled"),
    );
    // INFO after INFO, without a pause.
    all.push(
        scenario("40 keys at once", extension(1, 1200), "wait:payment-amount 1 wait:payment-card-number 4242424242424242424242424242424242424242 sleep:8000 hangup".into(), HUNG_UP)
            .not_charged("cancelled")
            .options(&["--dtmf", "info", "--on", "1", "--off", "1"])
            .keys_come_later(),
    );
    all
}

pub(crate) fn hang_ups() -> Vec<Scenario> {
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
    // The intent may be written, the request out, or neither.
    let mut behind = scenario(
        "hang-up right behind the confirmation",
        extension(1, 1200),
        format!("{} hangup", keys(VISA, "1230", "123")),
        &["caller-hung-up", "success"],
    );
    (behind.heard_ms, behind.either) = (0, true);
    all.push(behind);
    all.push(
        scenario(
            "hang-up while the result is spoken",
            extension(1, 1200),
            format!(
                "{} wait:payment-completed hangup",
                keys(VISA, "1230", "123")
            ),
            &["caller-hung-up", "success"],
        )
        .approved(VISA),
    );
    all.push(
        scenario(
            "hang-up at the menu after a decline",
            extension(1, 1200),
            format!(
                "{} wait:card-declined hangup",
                keys("4000000000000002", "1230", "123")
            ),
            HUNG_UP,
        )
        .not_charged("declined")
        .reason("card_unusable"),
    );
    // The answer takes 3 s: the caller is gone, and the approval is in the journal all the same.
    all.push(
        scenario(
            "hang-up while the acquirer is asked",
            extension(1, 9001),
            format!(
                "{} wait:payment-processing sleep:1000 hangup",
                keys(VISA, "1230", "123")
            ),
            &["caller-hung-up", "success"],
        )
        .approved(VISA),
    );
    all
}

/// Cards of their own, for calls whose card is declined: the same one is not sent for ever.
pub(crate) fn own_cards(count: usize) -> anyhow::Result<Vec<String>> {
    let mut made = std::process::Command::new(binary("ivrpay-sim")?);
    let made = made
        .args(["card", "--count", &count.to_string()])
        .output()?;
    let made = String::from_utf8(made.stdout)?;
    let cards: Vec<_> = made
        .lines()
        .filter_map(|line| Some(line.split(' ').next()?.to_owned()))
        .collect();
    ensure!(cards.len() == count, "ivrpay-sim makes no cards");
    Ok(cards)
}

pub(crate) fn declines() -> anyhow::Result<Vec<Scenario>> {
    let mut all = Vec::new();
    // Every reason of crates/payment/src/outcome.rs that an acquirer gives: by published test card, else by amount.
    let table = [
        (VISA, 9468, "amount_error"),
        ("4000002500003155", 1200, "authentication_required"),
        (VISA, 9485, "card_not_supported"),
        ("4000000000000002", 1200, "card_unusable"),
        ("4000000000000127", 1200, "cvv_mismatch"),
        (VISA, 9445, "cvv_missing"),
        ("4000000000000069", 1200, "expired_card"),
        ("4100000000000019", 1200, "fraud_suspected"),
        ("4000000000009995", 1200, "insufficient_funds"),
        (VISA, 9461, "invalid_card"),
        (VISA, 9483, "invalid_expiry"),
        (VISA, 9465, "invalid_number"),
        (VISA, 9491, "issuer_unavailable"),
        ("4000000000006975", 1200, "limit_exceeded"),
        ("4000000000009979", 1200, "lost_or_stolen"),
        (VISA, 9446, "merchant_config"),
        (VISA, 9422, "payment_forbidden"),
        (VISA, 9456, "pickup"),
        (VISA, 9442, "pin_error"),
        (VISA, 9470, "plan_not_allowed"),
        (VISA, 9430, "referral"),
        (VISA, 9492, "request_refused"),
    ];
    for ((card, amount, reason), own) in table.into_iter().zip(own_cards(table.len())?) {
        let card = if card == VISA { &own } else { card };
        // Whatever the reason is, the caller is asked the same.
        all.push(
            scenario(
                &format!("declined: {reason}"),
                extension(1, amount),
                format!("{} wait:card-declined , 2", keys(card, "1230", "123")),
                CONNECTOR,
            )
            .not_charged("declined")
            .reason(reason),
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
            format!("{} wait:card-declined , 1 wait:payment-card-number , {VISA}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1", keys("4000000000000127", "1230", "123")),
            SUCCESS,
        )
        .approved(VISA),
    );
    Ok(all)
}

pub(crate) fn acquirer_faults() -> anyhow::Result<Vec<Scenario>> {
    let mut own = own_cards(11)?.into_iter();
    let mut whole = || keys(&own.next().unwrap_or_default(), "1230", "123");
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
    let slow = keys(VISA, "1230", "123");
    all.push(scenario("acquirer: slow", extension(1, 9001), slow, SUCCESS).approved(VISA));
    all.push(
        scenario(
            "acquirer: 402 with a decline",
            extension(1, 9015),
            format!("{} wait:card-declined , 2", whole()),
            CONNECTOR,
        )
        .not_charged("declined"),
    );
    Ok(all)
}

/// On and off, ms.
pub(crate) const SPEEDS: [(u32, u32); 7] = [
    (40, 40),
    (40, 60),
    (80, 20),
    (100, 20),
    (100, 80),
    (200, 200),
    (1_000, 2_000),
];

/// Each with a card of its own: a card that twenty key at once would be a card that is being tried.
pub(crate) fn twenty() -> anyhow::Result<Vec<Scenario>> {
    let cards = own_cards(20)?.into_iter().zip(1..);
    Ok(cards
        .map(|(card, n)| {
            let name = format!("20 calls at once, number {n}");
            let to = extension(1 + n % 2, 1200);
            scenario(&name, to, keys(&card, "1230", "123"), SUCCESS).approved(&card)
        })
        .collect())
}

pub(crate) fn speeds(lab: &Lab, full: bool) -> anyhow::Result<Vec<Scenario>> {
    let inband = lab.get("INBAND_IP").unwrap_or("127.0.10.5").to_owned();
    let mut all = Vec::new();
    const MODES: [&str; 4] = ["rfc4733", "info", "both", "inband"];
    for round in 0..if full { 2 } else { 1 } {
        // Of its own in each call, as for twenty at once; the second time one that is a key again and again.
        let mut own = own_cards(SPEEDS.len() * MODES.len())?.into_iter();
        for (on, off) in SPEEDS {
            for mode in MODES {
                let own = own.next().unwrap_or_default();
                let pan = if round == 0 { &own } else { MASTERCARD };
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

pub(crate) struct Books {
    url: String,
    http: reqwest::Client,
}

impl Books {
    pub(crate) fn new(lab: &Lab) -> anyhow::Result<Self> {
        let url = format!("http://{}:9480/log", lab.get("ACQUIRER_IP")?);
        Ok(Self {
            url,
            // The simulator closes after each answer: a kept connection could be met while it closes.
            http: reqwest::Client::builder()
                .no_proxy()
                .pool_max_idle_per_host(0)
                .build()?,
        })
    }

    /// Waits until the acquirer has got a request for this payment.
    pub(crate) async fn received(&self, payment: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.of(payment).await?.is_empty() {
            ensure!(
                began.elapsed() < Duration::from_secs(10),
                "the acquirer got no request"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// What the acquirer knows of a payment of ours.
    pub(crate) async fn of(&self, payment: &str) -> anyhow::Result<Vec<Value>> {
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

/// More than this, ms, and keys may have come in another rhythm than they were meant to.
const LATE_MS_MAX: u64 = 20;

/// The call ended otherwise than it should.
#[derive(Debug, thiserror::Error)]
#[error("the call ended with {}, {} ms late, steps {}", .0.result, .0.late_ms_max, .0.way())]
pub(crate) struct OtherResult(Report);

impl OtherResult {
    /// Whether it ended in one of these ways.
    pub(crate) fn judge(report: &Report, wanted: &[&str]) -> anyhow::Result<()> {
        if wanted.contains(&report.result.as_str()) {
            Ok(())
        } else {
            Err(Self(report.clone()).into())
        }
    }

    /// That the caller was never left in silence; of a machine that was late another try says more.
    pub(crate) fn never_silent(report: &Report) -> anyhow::Result<()> {
        report.never_silent().map_err(|error| {
            if report.late_ms_max > LATE_MS_MAX {
                anyhow::Error::from(Self(report.clone())).context(format!("{error:#}"))
            } else {
                error
            }
        })
    }

    /// Whether the machine may be why: it was late, or the service doubted the rhythm of keys that were sent in a good one. Such a call
    /// is worth another try; what came to money, to a card or to a telephone stands.
    pub(crate) fn is_late(error: &anyhow::Error) -> bool {
        error.downcast_ref::<Self>().is_some_and(|Self(report)| {
            report.late_ms_max > LATE_MS_MAX || report.way().contains("duplicate-tone-suspected")
        })
    }
}

/// Whether the report and the books are as they should be.
pub(crate) async fn judge(
    scenario: &Scenario,
    report: &Report,
    lab: &Lab,
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
        // A card of the call's own is known by its last four alone.
        let keyed = |e: &Value| e["published"] == true || e["last4"] == last4.as_str();
        ensure!(
            entries.iter().all(keyed),
            "a number that nobody keyed was sent to the acquirer"
        );
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
    OtherResult::judge(report, scenario.results)?;
    if !scenario.keys_come_later {
        OtherResult::never_silent(report)?;
    }
    if let Some(state) = scenario.state {
        ensure!(
            payment["state"] == state,
            "the payment is {}",
            payment["state"]
        );
    }
    if let Some(reason) = scenario.reason {
        ensure!(
            payment["decline_reason"] == reason,
            "the journal says that it was declined for {}",
            payment["decline_reason"]
        );
    }
    if scenario.either {
        let expected = if booked == 1 { "approved" } else { "cancelled" };
        ensure!(
            payment["state"] == expected,
            "the payment is {}, and the acquirer booked {booked}",
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
    ensure!(
        report.heard_ms >= scenario.heard_ms,
        "only {} ms of speech were heard",
        report.heard_ms
    );
    // He hung up: there is no call that could go on.
    if report.result != "caller-hung-up" && !scenario.call.keys.ends_with("hangup") {
        lab.dialplan_went_on(&report.result, payment_id.as_deref().unwrap_or_default())
            .await?;
    }
    Ok(())
}
