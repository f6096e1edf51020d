//! One payment: what it is, what has happened, and what may be done about it.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use ivrpay_api as api;
use ivrpay_payment::{State as PaymentState, Transaction};
use serde_json::{Value, json};

use super::payments::{Row, row};
use super::{Frame, allowed, answer, good, html, id, once, once_of, tasks, told};
use crate::Console;
use crate::client::{File, Trouble, filtered};
use crate::guard::Posted;
use crate::sessions::{Flash, Signed};
use crate::show;
use crate::words::{self, Lang};

/// One fact beside its name.
struct Fact {
    name: &'static str,
    value: String,
}

struct Entry {
    at: String,
    who: String,
    what: String,
    detail: String,
}

struct Part {
    part: u32,
    amount: String,
    state: String,
    payment: String,
    here: bool,
}

struct Receipt {
    number: String,
    kind: String,
    at: String,
}

/// Something about money that may be asked for now.
struct Act {
    what: &'static str,
    name: &'static str,
    warning: &'static str,
    /// A part may be asked for.
    part: bool,
    /// All that there is.
    all: String,
    once: String,
}

#[derive(Template)]
#[template(path = "payment.html")]
struct PaymentPage {
    f: Frame,
    row: Row,
    facts: Vec<Fact>,
    parameters: Vec<(String, String)>,
    decline: String,
    advice: String,
    unknown: bool,
    disputed: bool,
    acts: Vec<Act>,
    may_cancel: bool,
    may_inquire: bool,
    may_dispute: bool,
    entries: Option<Vec<Entry>>,
    parts: Vec<Part>,
    tasks: Vec<tasks::Row>,
    receipts: Vec<Receipt>,
    may_receipt: bool,
    once: String,
}

pub(crate) async fn page(
    State(console): State<Console>,
    signed: Signed,
    Path(payment): Path<String>,
) -> Response {
    let page = shown(&console, &signed, &payment).await;
    answer(&console, &signed, "/payments", page)
}

async fn shown(console: &Console, signed: &Signed, payment: &str) -> Result<Response, Trouble> {
    allowed(&signed.person, "/payments")?;
    let (client, token) = (&console.client, &signed.token);
    let base = format!("/v1/payments/{}", id(payment));
    let payment: api::Payment = client.get(token, &base).await?;
    let disputed = payment.disputed.is_some();
    let order = payment.order_id.as_deref().unwrap_or_default();
    let (story, receipts) = (format!("{base}/story"), format!("{base}/receipts"));
    let order = filtered(
        "/v1/orders",
        &[("order_id", order), ("tenant", &payment.tenant)],
    );
    let todo = signed.person.may("tasks");
    // What is not there, or not for this person, is left out.
    let (story, receipts, order, tasks) = tokio::join!(
        client.get::<api::Story>(token, &story),
        client.get::<api::Receipts>(token, &receipts),
        client.get::<api::Order>(token, &order),
        async {
            match todo {
                true => client.get::<api::Tasks>(token, "/v1/tasks?limit=200").await,
                false => Err(Trouble::Ours("forbidden")),
            }
        },
    );
    let lang = signed.lang;
    let of_this = |task: &&api::Task| task.payment_id == Some(payment.id);
    let tasks = tasks.map_or_else(
        |_| Vec::new(),
        |all| {
            let mine = all.tasks.iter().filter(of_this);
            mine.map(|task| tasks::row(task, console, signed)).collect()
        },
    );
    let decline = payment.decline.as_ref();
    let unknown = matches!(
        payment.state,
        PaymentState::Unknown | PaymentState::InFlight
    );
    let may = |scope: &str| signed.person.may(scope);
    let approved = payment.state == PaymentState::Approved;
    let mut title = lang.words().payment.to_owned();
    if let Some(order) = &payment.order_id {
        title = format!("{title} {order}");
    }
    Ok(html(&PaymentPage {
        f: Frame::of(console, signed, "/payments", &title),
        row: row(&payment, console, lang),
        facts: facts(&payment, console, lang),
        parameters: payment.parameters.clone().into_iter().collect(),
        decline: payment.decline_reason.clone().unwrap_or_default(),
        advice: decline.map_or(String::new(), |decline| match lang {
            Lang::Ja => decline.advice.ja.clone(),
            Lang::En => decline.advice.en.clone(),
        }),
        unknown,
        acts: match may("refunds") {
            true => acts(&payment, disputed, lang),
            false => Vec::new(),
        },
        may_cancel: payment.state == PaymentState::Waiting && may("captures"),
        may_inquire: unknown && may("refunds"),
        may_dispute: approved && may("disputes"),
        disputed,
        entries: story.ok().map(|story| entries(story, console, lang)),
        parts: order.map_or_else(|_| Vec::new(), |order| parts(&order, &payment, lang)),
        tasks,
        receipts: receipts.map_or_else(|_| Vec::new(), |all| receipts_of(all, console, lang)),
        may_receipt: approved && may("receipts"),
        once: once(),
    }))
}

fn facts(payment: &api::Payment, console: &Console, lang: Lang) -> Vec<Fact> {
    let w = lang.words();
    let money = |minor: u64| show::amount(minor, &payment.currency);
    let some = |text: &Option<String>| text.clone().unwrap_or_default();
    let plan = payment
        .payment_plan
        .as_deref()
        .map_or(String::new(), |plan| {
            let name = words::plan(plan, lang);
            match payment.payment_plan_count {
                Some(count) => format!("{name} ×{count}"),
                None => name.to_owned(),
            }
        });
    let result = payment.result.as_deref();
    let facts = [
        (
            w.kind,
            words::transaction(payment.transaction_type.name(), lang).to_owned(),
        ),
        (w.plan, plan),
        (w.reserved, payment.reserved.map_or(String::new(), money)),
        (w.captured, payment.captured.map_or(String::new(), money)),
        (
            w.refunded,
            Some(payment.refunded)
                .filter(|n| *n > 0)
                .map_or(String::new(), money),
        ),
        (w.approval_number, some(&payment.approval_code)),
        (w.acquirer_reference, some(&payment.acquirer_ref)),
        (w.connector, payment.connector.clone()),
        (
            w.reference,
            payment.reference.map_or(String::new(), |n| n.to_string()),
        ),
        (
            w.result,
            result.map_or(String::new(), |r| words::result(r, lang).to_owned()),
        ),
        (w.extension, some(&payment.operator_extension)),
        (w.site, some(&payment.site)),
        (w.description, some(&payment.description)),
        (w.updated, show::time(&payment.updated_at, &console.zone)),
        ("ID", payment.id.to_string()),
    ];
    facts
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| Fact { name, value })
        .collect()
}

/// What the payment's state has room for; the API decides.
fn acts(payment: &api::Payment, disputed: bool, lang: Lang) -> Vec<Act> {
    let w = lang.words();
    let mut acts = Vec::new();
    if payment.state != PaymentState::Approved {
        return acts;
    }
    let money = |minor: u64| show::amount(minor, &payment.currency);
    let reserved = payment.reserved.unwrap_or(payment.amount);
    let taken = payment.captured.unwrap_or(0);
    let is_money = matches!(
        payment.transaction_type,
        Transaction::Authorise | Transaction::Charge
    );
    if is_money && payment.captured.is_none() {
        acts.push(Act {
            what: "capture",
            name: w.do_capture,
            warning: w.warn_capture,
            part: true,
            all: money(reserved),
            once: once(),
        });
    }
    if is_money && taken > payment.refunded && !disputed {
        acts.push(Act {
            what: "refund",
            name: w.do_refund,
            warning: w.warn_refund,
            part: true,
            all: money(taken - payment.refunded),
            once: once(),
        });
    }
    if is_money && payment.refunded == 0 && !disputed {
        acts.push(Act {
            what: "void",
            name: w.do_void,
            warning: w.warn_void,
            part: false,
            all: money(payment.captured.unwrap_or(reserved)),
            once: once(),
        });
    }
    acts
}

fn entries(story: api::Story, console: &Console, lang: Lang) -> Vec<Entry> {
    let all = story.entries.into_iter();
    all.map(|entry| Entry {
        at: show::second(&entry.at, &console.zone),
        what: words::story(&entry.what, lang).to_owned(),
        detail: match entry.detail.note {
            Some(note) => format!("{} ({note})", entry.detail.text),
            None => entry.detail.text,
        },
        who: match entry.via {
            Some(via) if via != entry.who => format!("{} ({via})", entry.who),
            _ => entry.who,
        },
    })
    .collect()
}

fn parts(order: &api::Order, payment: &api::Payment, lang: Lang) -> Vec<Part> {
    let all = order.parts.iter();
    all.map(|part| Part {
        part: part.part + 1,
        amount: show::amount(part.amount, &order.currency),
        state: part.state.map_or(String::new(), |state| {
            words::state(state.name(), lang).to_owned()
        }),
        payment: part.payment_id.map_or(String::new(), |id| id.to_string()),
        here: part.payment_id == Some(payment.id),
    })
    .collect()
}

fn receipts_of(all: api::Receipts, console: &Console, lang: Lang) -> Vec<Receipt> {
    let w = lang.words();
    let all = all.receipts.into_iter();
    all.map(|receipt| Receipt {
        kind: match receipt.kind {
            api::ReceiptKind::Receipt => w.receipt.to_owned(),
            api::ReceiptKind::Return => w.receipt_return.to_owned(),
        },
        at: show::time(&receipt.issued_at, &console.zone),
        number: receipt.number,
    })
    .collect()
}

pub(crate) async fn act(
    State(console): State<Console>,
    Path((payment, what)): Path<(String, String)>,
    posted: Posted,
) -> Response {
    let done = acted(&console, &payment, &what, &posted).await;
    let back = format!("/payments/{}", id(&payment));
    told(&console, &posted, done, &back)
}

async fn acted(
    console: &Console,
    payment: &str,
    what: &str,
    posted: &Posted,
) -> Result<Flash, Trouble> {
    let (form, signed) = (&posted.form, &posted.signed);
    let (words, by) = (signed.lang.words(), &signed.person.person);
    let base = format!("/v1/payments/{}", id(payment));
    let ask = |path: String, body: Value| async move {
        let (client, token) = (&console.client, &signed.token);
        client
            .post::<Value>(Some(token), &path, &body, once_of(form))
            .await
    };
    match what {
        "capture" | "void" | "refund" => money(console, &base, what, posted).await,
        "cancel" => {
            ask(format!("{base}/cancel"), json!({"by": by})).await?;
            Ok(good(words.cancelled_now))
        }
        "inquire" => {
            ask(format!("{base}/inquire"), json!({"by": by})).await?;
            Ok(good(words.inquired))
        }
        "dispute" => {
            let reason = needed(form.get("reason"))?;
            ask(
                format!("{base}/dispute"),
                json!({"reason": reason, "by": by}),
            )
            .await?;
            Ok(good(words.disputed_now))
        }
        "dispute-end" => {
            let body = json!({"outcome": form.get("outcome"), "by": by});
            ask(format!("{base}/dispute/end"), body).await?;
            Ok(good(words.dispute_ended))
        }
        "receipt" => {
            let mut body = json!({"by": by});
            let recipient = form.get("recipient");
            if let Some(body) = body.as_object_mut().filter(|_| !recipient.is_empty()) {
                body.insert("recipient".to_owned(), recipient.into());
            }
            ask(format!("{base}/receipts"), body).await?;
            Ok(good(words.receipt_issued))
        }
        _ => Err(Trouble::Ours("not-found")),
    }
}

fn needed(reason: &str) -> Result<&str, Trouble> {
    match reason.is_empty() {
        true => Err(Trouble::Ours("no-reason")),
        false => Ok(reason),
    }
}

/// What moves money: with a tick, a reason, and an amount in the payment's own currency.
async fn money(
    console: &Console,
    base: &str,
    what: &str,
    posted: &Posted,
) -> Result<Flash, Trouble> {
    let (form, signed) = (&posted.form, &posted.signed);
    let words = signed.lang.words();
    if form.get("sure") != "yes" {
        return Err(Trouble::Ours("unconfirmed"));
    }
    let reason = needed(form.get("reason"))?;
    let mut body = json!({"by": signed.person.person, "reason": reason});
    let (client, token) = (&console.client, &signed.token);
    if !form.get("amount").is_empty() {
        let payment: api::Payment = client.get(token, base).await?;
        let minor = show::read_amount(form.get("amount"), &payment.currency);
        let minor = minor.ok_or(Trouble::Ours("bad-amount"))?;
        if let Some(body) = body.as_object_mut() {
            body.insert("amount".to_owned(), minor.into());
        }
    }
    let path = format!("{base}/{what}");
    let done: Value = client
        .post(Some(token), &path, &body, once_of(form))
        .await?;
    if done.get("approval_id").is_some() {
        return Ok(good(words.money_waits));
    }
    let state = done.pointer("/operation/state").and_then(Value::as_str);
    let (is_good, text) = match state {
        Some("approved") => (true, words.money_done),
        Some("declined") => (false, words.money_declined),
        Some("not-charged") => (false, words.money_not_done),
        _ => (false, words.money_unknown),
    };
    Ok(Flash {
        good: is_good,
        text: text.to_owned(),
        todo: match done.pointer("/operation/hint").and_then(Value::as_str) {
            Some(hint) => hint.to_owned(),
            None => String::new(),
        },
    })
}

/// A file, kept apart from our pages: it is saved, not shown.
fn saved(file: File, name: &str) -> Response {
    let plain: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c))
        .collect();
    let disposition = format!("attachment; filename=\"{plain}\"");
    (
        [
            (header::CONTENT_TYPE, file.kind),
            (header::CONTENT_DISPOSITION, disposition),
        ],
        file.bytes,
    )
        .into_response()
}

pub(crate) async fn receipt(
    State(console): State<Console>,
    signed: Signed,
    Path((payment, file)): Path<(String, String)>,
) -> Response {
    let number = file.trim_end_matches(".pdf");
    let path = format!("/v1/payments/{}/receipts/{}", id(&payment), id(number));
    let client = &console.client;
    let file = client.file(&signed.token, &path, "application/pdf").await;
    let name = format!("receipt-{number}.pdf");
    answer(
        &console,
        &signed,
        "/payments",
        file.map(|file| saved(file, &name)),
    )
}

pub(crate) async fn evidence(
    State(console): State<Console>,
    signed: Signed,
    Path((payment, file)): Path<(String, String)>,
) -> Response {
    let (kind, ending) = match &*file {
        "evidence.pdf" => ("application/pdf", "pdf"),
        _ => ("application/json", "json"),
    };
    let path = format!("/v1/payments/{}/evidence", id(&payment));
    let file = console.client.file(&signed.token, &path, kind).await;
    let name = format!("evidence-{payment}.{ending}");
    answer(
        &console,
        &signed,
        "/payments",
        file.map(|file| saved(file, &name)),
    )
}
