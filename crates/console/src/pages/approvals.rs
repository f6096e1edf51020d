//! What waits for a second person.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::{Frame, allowed, answer, good, html, id, rows, text, told};
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
    reason: String,
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
    let all: Value = console.client.get(&signed.token, "/v1/approvals").await?;
    let lang = signed.lang;
    let listed = rows(&all, "approvals").iter().map(|one| {
        let asked_by = first(one, &["asked_by", "by"]);
        let amount = one.get("amount").and_then(Value::as_u64);
        Row {
            id: first(one, &["id", "approval_id"]),
            at: show::time(
                &first(one, &["asked_at", "created_at", "at"]),
                &console.zone,
            ),
            what: words::operation(&first(one, &["kind", "operation"]), lang).to_owned(),
            amount: amount.map_or(String::new(), |minor| {
                show::amount(minor, &text(one, "currency"))
            }),
            payment: text(one, "payment_id"),
            own: asked_by == signed.person.person,
            reason: text(one, "reason"),
            asked_by,
        }
    });
    Ok(html(&ApprovalsPage {
        rows: listed.collect(),
        f: Frame::of(console, signed, "/approvals", lang.words().approvals),
    }))
}

fn first(value: &Value, names: &[&str]) -> String {
    let all = names.iter().map(|name| text(value, name));
    all.into_iter().find(|t| !t.is_empty()).unwrap_or_default()
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
