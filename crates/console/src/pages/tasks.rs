//! What people must do.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use ivrpay_api as api;
use serde_json::{Value, json};

use super::{Frame, allowed, answer, good, html, id, told};
use crate::Console;
use crate::client::{Trouble, filtered};
use crate::guard::{Asked, Form, Posted};
use crate::sessions::{Flash, Signed};
use crate::show;
use crate::words;

/// A task in a list.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) due: String,
    pub(super) overdue: bool,
    pub(super) owner: String,
    pub(super) taken_by: String,
    pub(super) order: String,
    pub(super) payment: String,
    pub(super) phone: String,
    pub(super) reason: String,
    pub(super) note: String,
    pub(super) done_by: String,
    pub(super) done: bool,
    pub(super) unknown: bool,
    pub(super) mine: bool,
}

pub(super) fn row(task: &api::Task, console: &Console, signed: &Signed) -> Row {
    let some = |text: &Option<String>| text.clone().unwrap_or_default();
    Row {
        id: task.id.to_string(),
        kind: words::task(&task.kind, signed.lang).to_owned(),
        due: show::time(&task.due_at, &console.zone),
        overdue: task.overdue,
        owner: some(&task.owner),
        taken_by: some(&task.taken_by),
        order: some(&task.order_id),
        payment: task.payment_id.map_or(String::new(), |id| id.to_string()),
        phone: some(&task.caller_number),
        reason: task.reason.clone(),
        note: some(&task.note),
        done_by: some(&task.done_by),
        done: task.state == "done",
        unknown: task.kind == "unknown-outcome",
        mine: task.taken_by.as_deref() == Some(&signed.person.person),
    }
}

#[derive(Template)]
#[template(path = "tasks.html")]
struct TasksPage {
    f: Frame,
    tasks: Vec<Row>,
    done: bool,
    next: String,
}

pub(crate) async fn page(
    State(console): State<Console>,
    signed: Signed,
    Asked(query): Asked,
) -> Response {
    let page = listed(&console, &signed, &query).await;
    answer(&console, &signed, "/tasks", page)
}

async fn listed(console: &Console, signed: &Signed, query: &Form) -> Result<Response, Trouble> {
    allowed(&signed.person, "/tasks")?;
    let done = query.get("state") == "done";
    let state = if done { "done" } else { "" };
    let filters = [
        ("state", state),
        ("after", query.get("after")),
        ("limit", "50"),
    ];
    let path = filtered("/v1/tasks", &filters);
    let answer: api::Tasks = console.client.get(&signed.token, &path).await?;
    let next = answer.next.map_or(String::new(), |after| {
        filtered("/tasks", &[("state", state), ("after", &after.to_string())])
    });
    let all = answer.tasks.iter();
    Ok(html(&TasksPage {
        f: Frame::of(console, signed, "/tasks", signed.lang.words().tasks),
        tasks: all.map(|task| row(task, console, signed)).collect(),
        done,
        next,
    }))
}

pub(crate) async fn act(
    State(console): State<Console>,
    Path((task, what)): Path<(String, String)>,
    posted: Posted,
) -> Response {
    let done = acted(&console, &task, &what, &posted).await;
    let back = super::local(posted.form.get("back")).to_owned();
    let back = if back == "/" {
        "/tasks".to_owned()
    } else {
        back
    };
    told(&console, &posted, done, &back)
}

async fn acted(
    console: &Console,
    task: &str,
    what: &str,
    posted: &Posted,
) -> Result<Flash, Trouble> {
    let (form, signed) = (&posted.form, &posted.signed);
    let (words, by) = (signed.lang.words(), &signed.person.person);
    let (body, text) = match what {
        "take" => (json!({"by": by}), words.task_taken),
        "done" => {
            let mut body = json!({"by": by, "note": form.get("note")});
            if let Some(body) = body.as_object_mut() {
                for name in ["found", "acquirer_ref", "approval_code"] {
                    if !form.get(name).is_empty() {
                        body.insert(name.to_owned(), form.get(name).into());
                    }
                }
            }
            (body, words.task_done)
        }
        _ => return Err(Trouble::Ours("not-found")),
    };
    let path = format!("/v1/tasks/{}/{what}", id(task));
    let done = console
        .client
        .post::<Value>(Some(&signed.token), &path, &body, None);
    done.await?;
    Ok(good(text))
}
