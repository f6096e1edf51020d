//! *My call*, and its buttons.

use askama::Template;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Frame, allowed, answer, good, html, id, once, once_of, told};
use crate::Console;
use crate::client::Trouble;
use crate::guard::{Asked, Posted};
use crate::sessions::{Flash, Signed};
use crate::show;

#[derive(Template)]
#[template(path = "call.html")]
struct CallPage {
    f: Frame,
    extension: String,
    /// What a CRM has sent along.
    order: String,
    amount: String,
    currency: String,
    may_capture: bool,
    once: String,
}

pub(crate) async fn page(
    State(console): State<Console>,
    signed: Signed,
    Asked(query): Asked,
) -> Response {
    let page = allowed(&signed.person, "/").map(|()| {
        let asked = query.get("extension");
        let own = signed.person.extension.as_deref().unwrap_or_default();
        let currency = query.get("currency").to_uppercase();
        html(&CallPage {
            f: Frame::of(&console, &signed, "/", signed.lang.words().my_call),
            extension: if asked.is_empty() { own } else { asked }.to_owned(),
            order: query.get("order").to_owned(),
            amount: query.get("amount").to_owned(),
            currency: if currency.is_empty() {
                "JPY".to_owned()
            } else {
                currency
            },
            may_capture: signed.person.may("captures"),
            once: once(),
        })
    });
    answer(&console, &signed, "/", page)
}

/// Somebody is there: a key or a click, told at most once a minute.
pub(crate) async fn alive(State(console): State<Console>, posted: Posted) -> Response {
    // The API counts what it is asked.
    let asked = console
        .client
        .get::<Value>(&posted.signed.token, "/v1/session");
    match asked.await {
        Err(trouble) if trouble.is_signed_out() => super::signed_out(&console, &posted.signed),
        _ => Json(json!({"good": true})).into_response(),
    }
}

pub(crate) async fn start(State(console): State<Console>, posted: Posted) -> Response {
    let done = begin(&console, &posted).await;
    told(&console, &posted, done, "/")
}

async fn begin(console: &Console, posted: &Posted) -> Result<Flash, Trouble> {
    let (form, signed) = (&posted.form, &posted.signed);
    let currency = form.get("currency");
    let amount =
        show::read_amount(form.get("amount"), currency).ok_or(Trouble::Ours("bad-amount"))?;
    let mut body = json!({
        "amount": amount,
        "currency": currency,
        "order_id": form.get("order"),
        "operator": signed.person.person,
        "operator_extension": form.get("extension"),
    });
    let mode = form.get("mode");
    if let Some(body) = body.as_object_mut().filter(|_| !mode.is_empty()) {
        body.insert("mode".to_owned(), mode.into());
    }
    let path = "/v1/captures";
    console
        .client
        .post::<Value>(Some(&signed.token), path, &body, once_of(form))
        .await?;
    Ok(good(signed.lang.words().started_now))
}

/// What may be wanted of a live call.
pub(crate) async fn wish(
    State(console): State<Console>,
    Path((call, what)): Path<(String, String)>,
    posted: Posted,
) -> Response {
    let done = wanted(&console, &call, &what, &posted).await;
    told(&console, &posted, done, "/")
}

async fn wanted(
    console: &Console,
    call: &str,
    what: &str,
    posted: &Posted,
) -> Result<Flash, Trouble> {
    let (form, signed) = (&posted.form, &posted.signed);
    let words = signed.lang.words();
    let by = &signed.person.person;
    let (body, text) = match what {
        "ask" => (json!({"for": form.get("for"), "by": by}), words.asked_again),
        "pause" => (json!({"by": by}), words.paused_now),
        "resume" => (json!({"by": by}), words.resumed_now),
        "cancel" => (json!({"by": by}), words.cancelled_now),
        "switch" => (
            json!({"mode": form.get("mode"), "by": by}),
            words.switched_now,
        ),
        "complete" => (json!({"by": by}), words.done),
        _ => return Err(Trouble::Ours("not-found")),
    };
    let path = format!("/v1/calls/{}/{what}", id(call));
    let done = console
        .client
        .post::<Value>(Some(&signed.token), &path, &body, None);
    done.await?;
    Ok(good(text))
}
