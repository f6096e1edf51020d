//! How things stand, as a page shows it: in words of its language, without a digit but the last four.

use std::time::Instant;

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::hub::{Call, Live};
use crate::show;
use crate::words::{self, Lang};

/// How long the end of a call stands on *my call*.
const RESULT_SHOWN: std::time::Duration = std::time::Duration::from_secs(15 * 60);

/// Fields of a payment in the order in which they are keyed.
const FIELDS: [&str; 7] = [
    "payment-amount",
    "payment-card-number",
    "expiration-date",
    "security-code",
    "payment-plan",
    "confirmation",
    "payment-processing",
];

/// Which of them a step belongs to.
fn field(step: &str) -> &str {
    match step {
        "stored-card" | "card-declined" => "payment-card-number",
        "expiration-date-past" => "expiration-date",
        "payment-plan-count" | "payment-plan-confirmation" => "payment-plan",
        other => other,
    }
}

/// What may be asked anew from there.
fn askable(field: &str) -> bool {
    FIELDS.contains(&field) && field != "payment-processing"
}

/// One field of the call.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Field {
    code: &'static str,
    name: &'static str,
    /// `done`, `now` or `todo`.
    state: &'static str,
    /// The same in words.
    state_name: &'static str,
    /// What has been keyed of it, as a count; of the security code, whether.
    keyed: String,
    /// So many dots.
    dots: u8,
}

/// *My call*.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub(crate) struct CallView {
    /// `waiting`, `on`, `ended`.
    pub(crate) state: &'static str,
    pub(crate) connected: bool,
    call_id: String,
    payment_id: String,
    order: String,
    amount: String,
    operator: String,
    card: String,
    step: String,
    step_code: String,
    /// What a screen reader is told.
    told: String,
    attempt: String,
    mode: String,
    note: String,
    /// `good`, `bad`, `care`, or none.
    tone: &'static str,
    result: String,
    advice: String,
    advice_long: String,
    fields: Vec<Field>,
    /// What would be asked again.
    ask: String,
    paused: bool,
    /// It can still be cancelled, asked, paused.
    open: bool,
    stay: bool,
    /// Seconds left for this field, as of now.
    pub(crate) seconds: Option<u64>,
    /// When that was last known.
    #[serde(skip)]
    pub(crate) timed: Option<Instant>,
}

/// The call of an extension: the one that is on, else the one that was.
pub(crate) fn my_call(live: &Live, extension: &str, lang: Lang) -> CallView {
    let mine = |call: &Call| {
        !extension.is_empty() && call.about.operator_extension.as_deref() == Some(extension)
    };
    let on = live
        .calls
        .values()
        .filter(|call| mine(call))
        .max_by(|one, other| one.about.began_at.cmp(&other.about.began_at));
    let call = on.or_else(|| {
        let over = live.ended.iter().find(|call| mine(call));
        over.filter(|call| call.timed.elapsed() < RESULT_SHOWN)
    });
    let connected = live.connected;
    match call {
        Some(call) => CallView {
            connected,
            ..of_call(call, lang)
        },
        None => CallView {
            state: "waiting",
            connected,
            told: lang.words().waiting.to_owned(),
            ..CallView::default()
        },
    }
}

fn of_call(call: &Call, lang: Lang) -> CallView {
    let (about, words) = (&call.about, lang.words());
    let step = about.step.as_deref().unwrap_or("greeting");
    let paused = step == "paused";
    let here = match paused {
        true => about.field.as_deref().unwrap_or_default(),
        false => step,
    };
    let here = field(here);
    let ended = call.result.is_some();
    let (tone, result) = call
        .result
        .as_deref()
        .map_or(("", String::new()), |result| {
            let tone = tone(call, result);
            let text = words::result(result, lang);
            // The journal is believed: a caller who has hung up may have paid.
            let text = match (tone, result) {
                ("good", "success") | ("care", "outcome-unknown" | "order-already-paid") => {
                    text.to_owned()
                }
                ("good", _) => format!("{} ({text})", words.paid_anyway),
                ("care", _) => format!("{} ({text})", words::result("outcome-unknown", lang)),
                _ => text.to_owned(),
            };
            (tone, text)
        });
    let name = words::step(step, lang);
    let note = match call.wrong.as_deref() {
        Some(wrong) => words::wrong(wrong, lang).to_owned(),
        None if call.silent => words.keys_silent.to_owned(),
        None if about.entered_by.as_deref() == Some("operator") => words.operator_keys.to_owned(),
        None => String::new(),
    };
    let decline = call.payment.as_ref().and_then(|p| p.decline.as_ref());
    let advised = decline.filter(|_| tone != "good");
    let stay = about.mode.as_deref() == Some("stay");
    let left = about.seconds_left;
    let seconds = left.map(|left| left.saturating_sub(call.timed.elapsed().as_secs()));
    let brand = about.brand.as_deref().map(brand).unwrap_or_default();
    let card = match about.last4.as_deref() {
        Some(last4) => format!("{brand} •••• {last4}").trim_start().to_owned(),
        None => brand,
    };
    CallView {
        state: if ended { "ended" } else { "on" },
        connected: true,
        call_id: about.call_id.clone(),
        payment_id: about.payment_id.clone().unwrap_or_default(),
        order: about.order_id.clone().unwrap_or_default(),
        amount: about.amount.map_or(String::new(), |amount| {
            show::amount(amount, about.currency.as_deref().unwrap_or_default())
        }),
        operator: about.operator.clone().unwrap_or_default(),
        card,
        told: match (ended, note.is_empty()) {
            (true, _) => result.clone(),
            (false, true) => name.to_owned(),
            (false, false) => format!("{name}: {note}"),
        },
        // Behind the end, the result says it.
        step: match ended {
            true => String::new(),
            false => name.to_owned(),
        },
        step_code: step.to_owned(),
        attempt: about
            .attempt
            .filter(|n| *n > 1)
            .map_or(String::new(), |n| match lang {
                Lang::Ja => format!("{n} {}", words.attempt),
                Lang::En => format!("{} {n}", words.attempt),
            }),
        mode: match about.mode.as_deref() {
            Some("stay") => words.mode_stay.to_owned(),
            Some("hold") => words.mode_hold.to_owned(),
            _ => String::new(),
        },
        tone,
        advice: advised.map_or(String::new(), |decline| {
            words::advice(&decline.action, lang).to_owned()
        }),
        advice_long: advised.map_or(String::new(), |decline| match lang {
            Lang::Ja => decline.advice.ja.clone(),
            Lang::En => decline.advice.en.clone(),
        }),
        result,
        note,
        fields: fields(call, here, lang),
        ask: match askable(here) {
            true => here.to_owned(),
            false => String::new(),
        },
        paused,
        open: !ended
            && !matches!(
                step,
                "payment-processing" | "payment-completed" | "payment-failed"
            ),
        stay,
        seconds: seconds.filter(|_| !ended),
        timed: Some(call.timed),
    }
}

/// As the brand writes itself.
pub(crate) fn brand(name: &str) -> String {
    let known = [
        ("visa", "Visa"),
        ("mastercard", "Mastercard"),
        ("jcb", "JCB"),
        ("amex", "American Express"),
        ("diners-club", "Diners Club"),
        ("discover", "Discover"),
        ("maestro", "Maestro"),
        ("unionpay", "UnionPay"),
    ];
    let found = known.iter().find(|(known, _)| *known == name);
    found.map_or(name, |(_, shown)| shown).to_owned()
}

fn fields(call: &Call, here: &str, lang: Lang) -> Vec<Field> {
    let words = lang.words();
    let shown = FIELDS
        .into_iter()
        .filter(|code| *code != "payment-plan" || call.planned);
    let done = call.result.as_deref() == Some("success") || here == "payment-completed";
    let at = FIELDS.iter().position(|code| *code == here);
    shown
        .map(|code| {
            let place = FIELDS.iter().position(|other| *other == code);
            let state = match at {
                _ if done => "done",
                Some(_) if place < at => "done",
                Some(_) if place == at && call.result.is_none() => "now",
                _ => "todo",
            };
            let digits = call.about.digits.filter(|_| state == "now").unwrap_or(0);
            let keyed = match (code, state) {
                ("security-code", "done") => words.entered.to_owned(),
                ("security-code", "now") => words.entering.to_owned(),
                ("payment-card-number" | "expiration-date", "now") => match lang {
                    Lang::Ja => format!("{digits} {}", words.digits_unit),
                    Lang::En => format!("{digits} {}", words.digits_unit),
                },
                _ => String::new(),
            };
            Field {
                code,
                name: words::step(code, lang),
                state,
                state_name: match state {
                    "done" => words.state_done,
                    "now" => words.state_now,
                    _ => words.state_todo,
                },
                keyed,
                dots: match code {
                    "payment-card-number" | "expiration-date" => digits,
                    _ => 0,
                },
            }
        })
        .collect()
}

fn tone(call: &Call, result: &str) -> &'static str {
    let state = call.payment.as_ref().map(|payment| payment.state.name());
    match (result, state) {
        ("success", _) | (_, Some("approved")) => "good",
        ("outcome-unknown", _) | (_, Some("unknown" | "in-flight")) => "care",
        ("order-already-paid", _) => "care",
        _ => "bad",
    }
}

/// A row of the live wall.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Row {
    id: String,
    payment_id: String,
    extension: String,
    operator: String,
    order: String,
    amount: String,
    step: String,
    keyed: String,
    attempt: String,
    began: String,
    note: String,
    tone: &'static str,
}

/// The live wall.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct WallView {
    connected: bool,
    calls: Vec<Row>,
    ended: Vec<Row>,
    count: String,
    failures: String,
}

pub(crate) fn wall(live: &Live, lang: Lang, zone: &TimeZone) -> WallView {
    let mut calls: Vec<_> = live.calls.values().collect();
    calls.sort_by(|one, other| one.about.began_at.cmp(&other.about.began_at));
    let ended: Vec<_> = live
        .ended
        .iter()
        .take(50)
        .map(|c| row(c, lang, zone))
        .collect();
    let failures = live.ended.iter().filter(|call| {
        let result = call.result.as_deref().unwrap_or_default();
        tone(call, result) != "good"
    });
    WallView {
        connected: live.connected,
        count: calls.len().to_string(),
        failures: failures.count().to_string(),
        calls: calls.into_iter().map(|c| row(c, lang, zone)).collect(),
        ended,
    }
}

fn row(call: &Call, lang: Lang, zone: &TimeZone) -> Row {
    let view = of_call(call, lang);
    let keyed = view.fields.iter().find(|field| field.state == "now");
    Row {
        id: view.call_id,
        payment_id: view.payment_id,
        extension: call.about.operator_extension.clone().unwrap_or_default(),
        operator: view.operator,
        order: view.order,
        amount: view.amount,
        keyed: keyed.map_or(String::new(), |field| field.keyed.clone()),
        attempt: view.attempt,
        began: show::second(&call.about.began_at, zone),
        note: view.note,
        step: match view.result.is_empty() {
            true => view.step,
            false => view.result,
        },
        tone: view.tone,
    }
}
