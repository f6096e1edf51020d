//! What waits for a second person.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use ivrpay_api as api;
use serde_json::{Value, json};

use super::{Frame, allowed, answer, good, html, id, told};
use crate::Console;
use crate::client::Trouble;
use crate::guard::Posted;
use crate::sessions::{Flash, Signed};
use crate::show;
use crate::words;

struct Row {
    id: String,
    at: String,
    what: String,
    amount: String,
    payment: String,
    asked_by: String,
    until: String,
    /// Nobody approves what he has asked for himself.
    own: bool,
}

#[derive(Template)]
#[template(path = "approvals.html")]
struct ApprovalsPage {
    f: Frame,
    rows: Vec<Row>,
}

pub(crate) async fn page(State(console): State<Console>, signed: Signed) -> Response {
    let page = listed(&console, &signed).await;
    answer(&console, &signed, "/approvals", page)
}

async fn listed(console: &Console, signed: &Signed) -> Result<Response, Trouble> {
    allowed(&signed.person, "/approvals")?;
    let all: api::Approvals = console.client.get(&signed.token, "/v1/approvals").await?;
    let lang = signed.lang;
    // One that is approved and not done is approved again to have it done.
    let waiting = all
        .approvals
        .into_iter()
        .filter(|one| matches!(&*one.state, "open" | "approved"));
    let rows = waiting.map(|one| Row {
        id: one.id.to_string(),
        at: show::time(&one.asked_at, &console.zone),
        until: show::time(&one.until, &console.zone),
        what: words::operation(&one.kind, lang).to_owned(),
        amount: show::amount(one.amount, &one.currency),
        payment: one.payment_id.to_string(),
        own: one.asked_by == signed.person.person,
        asked_by: one.asked_by,
    });
    Ok(html(&ApprovalsPage {
        rows: rows.collect(),
        f: Frame::of(console, signed, "/approvals", lang.words().approvals),
    }))
}

pub(crate) async fn act(
    State(console): State<Console>,
    Path((approval, what)): Path<(String, String)>,
    posted: Posted,
) -> Response {
    let done = acted(&console, &approval, &what, &posted).await;
    told(&console, &posted, done, "/approvals")
}

async fn acted(
    console: &Console,
    approval: &str,
    what: &str,
    posted: &Posted,
) -> Result<Flash, Trouble> {
    let words = posted.signed.lang.words();
    let text = match what {
        "approve" => words.approved_now,
        "refuse" => words.refused_now,
        _ => return Err(Trouble::Ours("not-found")),
    };
    let path = format!("/v1/approvals/{}/{what}", id(approval));
    let body = json!({"by": posted.signed.person.person});
    let token = Some(&posted.signed.token);
    console
        .client
        .post::<Value>(token, &path, &body, None)
        .await?;
    Ok(good(text))
}
