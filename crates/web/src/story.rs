//! `GET /v1/payments/{id}/story`: what happened to a payment, of all that the journal has of it.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use ivrpay_api as api;
use ivrpay_journal::{Event, Payment, Record, Task};
use serde_json::Value;

use crate::Web;
use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::payments::{own, payment_id, rfc3339};

/// Who does what nobody wished.
const SERVICE: &str = "ivrpay";

/// Who did what to this payment, when, and what came of it, oldest first: with every answer, task and event.
#[utoipa::path(get, path = "/v1/payments/{id}/story", params(("id" = String, Path, format = "uuid")), responses((status = 200, body = api::Story)))]
pub(crate) async fn show(
    State(web): State<Web>,
    who: Who,
    payment: Result<Path<String>, PathRejection>,
) -> Result<Json<api::Story>, ApiError> {
    who.need(Scope::PaymentsRead)?;
    let payment = own(&web, &who, payment_id(payment)?).await?;
    Ok(Json(of(&web, &payment).await?))
}

/// The story of a payment.
pub(crate) async fn of(web: &Web, payment: &Payment) -> Result<api::Story, ApiError> {
    let records = web.journal.records(payment.id).await?;
    let tasks = web.journal.tasks_of(payment.id).await?;
    let events = ivrpay_journal::EventFilter {
        payment: Some(payment.id),
        ..ivrpay_journal::EventFilter::default()
    };
    let events = web.journal.events(&events).await?;
    Ok(api::Story {
        payment_id: payment.id,
        entries: told(payment, &records, &tasks, &events),
    })
}

struct Told(Vec<(i64, api::StoryEntry)>);

impl Told {
    fn add(
        &mut self,
        at_ms: i64,
        who: &str,
        via: Option<&str>,
        what: &str,
        detail: api::StoryDetail,
    ) {
        let entry = api::StoryEntry {
            at: rfc3339(at_ms),
            who: who.to_owned(),
            via: via.map(str::to_owned),
            what: what.to_owned(),
            detail,
        };
        self.0.push((at_ms, entry));
    }
}

fn told(
    payment: &Payment,
    records: &[Record],
    tasks: &[Task],
    events: &[Event],
) -> Vec<api::StoryEntry> {
    let mut told = Told(Vec::new());
    // What was said in a call stands in what ends it, and until then in what was asked in it.
    let mut call: Option<(i64, &str)> = None;
    let mut said = &Value::Null;
    for record in records {
        match &*record.kind {
            "claimed" => {
                let keyed_by = text(&record.body, "entered_by").unwrap_or("caller");
                call = Some((record.at_ms, keyed_by));
            }
            "intent" if record.body["evidence"].is_array() => said = &record.body["evidence"],
            "closed" => {
                let evidence = &record.body["evidence"];
                spoken(
                    &mut told,
                    call,
                    if evidence.is_array() { evidence } else { said },
                );
                (call, said) = (None, &Value::Null);
            }
            _ => {}
        }
        one(&mut told, payment, record);
    }
    spoken(&mut told, call, said);
    for task in tasks {
        of_task(&mut told, task);
    }
    for event in events {
        of_event(&mut told, event);
    }
    told.0.sort_by_key(|(at, _)| *at);
    told.0.into_iter().map(|(_, entry)| entry).collect()
}

fn text<'v>(body: &'v Value, name: &str) -> Option<&'v str> {
    body[name].as_str()
}

fn owned(body: &Value, name: &str) -> Option<String> {
    text(body, name).map(str::to_owned)
}

/// Prompts and menu keys of a call that was claimed then.
fn spoken(told: &mut Told, call: Option<(i64, &str)>, evidence: &Value) {
    let (Some((began_ms, keyed_by)), Some(all)) = (call, evidence.as_array()) else {
        return;
    };
    for one in all {
        let at_ms = began_ms.saturating_add(one["at_ms"].as_i64().unwrap_or_default());
        let mut detail = api::StoryDetail::default();
        match text(one, "is") {
            Some("spoken") => {
                detail.prompt = owned(one, "prompt");
                detail.text = format!("said {}", text(one, "prompt").unwrap_or_default());
                told.add(at_ms, SERVICE, None, "spoken", detail);
            }
            Some("pressed") => {
                detail.step = owned(one, "step");
                detail.key = one["key"].as_u64().and_then(|key| u8::try_from(key).ok());
                let (key, step) = (&one["key"], text(one, "step").unwrap_or_default());
                detail.text = format!("pressed {key} at {step}");
                told.add(at_ms, keyed_by, None, "pressed", detail);
            }
            Some("guarded") => {
                let is = |name: &str| one[name].as_bool() == Some(true);
                let excepted = one["excepted"].as_array();
                let excepted: Vec<&str> = excepted
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                let mut text = vec![format!(
                    "the card may be keyed ({})",
                    text(one, "mode").unwrap_or_default()
                )];
                if is("muted") {
                    text.push("the customer is muted for all who listen or record".to_owned());
                }
                if is("recorders_paused") {
                    text.push("recorders outside Asterisk are paused".to_owned());
                }
                text.push(match &*excepted.join(", ") {
                    "" => "Asterisk was asked, and nothing of it stores or hears keys".to_owned(),
                    some => format!("Asterisk was asked; somebody answers for: {some}"),
                });
                detail.text = text.join("; ");
                told.add(at_ms, SERVICE, None, "guarded", detail);
            }
            Some(what @ ("cancelled" | "completed")) => {
                detail.text = if what == "cancelled" {
                    "ended the capture"
                } else {
                    "had what was keyed charged"
                }
                .to_owned();
                let who = text(one, "by").unwrap_or(SERVICE);
                told.add(at_ms, who, text(one, "via"), what, detail);
            }
            _ => {}
        }
    }
}

fn one(told: &mut Told, payment: &Payment, record: &Record) {
    let body = &record.body;
    let mut detail = api::StoryDetail {
        state: text(body, "state").and_then(ivrpay_payment::State::from_name),
        operation_id: record.operation.map(|id| id.to_string()),
        call_id: owned(body, "call"),
        ..api::StoryDetail::default()
    };
    let by = text(body, "by");
    let mut who = by.unwrap_or(SERVICE).to_owned();
    let what = match &*record.kind {
        // Told by the tasks themselves, which know of those that nobody closed.
        "task" => return,
        _ if body.is_null() => {
            detail.text = "the journal keeps this no longer".to_owned();
            "removed"
        }
        "created" => {
            if let Some(operator) = text(body, "operator") {
                operator.clone_into(&mut who);
            }
            detail.amount = body["amount_minor"].as_u64();
            detail.connector = owned(body, "connector");
            detail.text = format!(
                "announced {} by {}",
                payment.amount,
                text(body, "origin").unwrap_or_default()
            );
            "created"
        }
        "assigned" => {
            let to = [text(body, "operator"), text(body, "operator_extension")];
            let to: Vec<&str> = to.into_iter().flatten().collect();
            detail.text = format!("given to {}", to.join(" at "));
            "assigned"
        }
        "called" => {
            detail.text = format!("rang the {}", text(body, "first").unwrap_or_default());
            "called"
        }
        "call-ended" => {
            detail.result = owned(body, "result");
            detail.text = format!(
                "the ringing ended: {}",
                text(body, "result").unwrap_or_default()
            );
            "call-ended"
        }
        "claimed" => {
            let keyed_by = text(body, "entered_by").unwrap_or("caller");
            detail.text = format!("a call takes the payment; the {keyed_by} keys the card");
            "claimed"
        }
        "intent" => {
            detail.kind = owned(body, "kind");
            detail.amount = body["amount_minor"].as_u64();
            detail.connector = owned(body, "connector");
            detail.acquirer_order = owned(body, "acquirer_order");
            let card = match (text(body, "brand"), text(body, "last4")) {
                (Some(brand), Some(last4)) => format!(", {brand} {last4}"),
                _ => String::new(),
            };
            detail.text = format!("asks for: {}{card}", text(body, "kind").unwrap_or_default());
            "asked"
        }
        "progress" => {
            detail.text =
                "the acquirer has answered the request before; the next goes out".to_owned();
            "progress"
        }
        "failed-over" => {
            detail.connector = owned(body, "connector");
            let (from, to) = (text(body, "not_reached"), text(body, "connector"));
            detail.text = format!(
                "{} was not reached, {} is asked",
                from.unwrap_or_default(),
                to.unwrap_or_default()
            );
            "failed-over"
        }
        kind @ ("outcome" | "settled") => {
            let outcome = &body["outcome"];
            answered(&mut detail, outcome);
            if kind == "outcome" {
                payment.connector.clone_into(&mut who);
                "answered"
            } else {
                "settled"
            }
        }
        "contradicted" => {
            answered(&mut detail, &body["outcome"]);
            detail.note = owned(body, "event");
            detail.text = format!("the acquirer says otherwise: {}", detail.text);
            "contradicted"
        }
        "closed" => {
            detail.result = owned(body, "result");
            detail.text = format!(
                "the call is over: {}",
                text(body, "result").unwrap_or_default()
            );
            "closed"
        }
        "expired" => {
            detail.text = "no call came in time".to_owned();
            "expired"
        }
        "receipt" => {
            detail.number = owned(body, "number");
            detail.text = format!(
                "issued {} {}",
                text(body, "kind").unwrap_or("receipt"),
                text(body, "number").unwrap_or_default()
            );
            "receipt-issued"
        }
        "disputed" => {
            detail.note = owned(body, "reason");
            detail.text = "disputed: no refund, void or change until that is over".to_owned();
            "disputed"
        }
        "dispute-ended" => {
            detail.note = owned(body, "outcome");
            detail.text = "the dispute is over".to_owned();
            "dispute-ended"
        }
        other => {
            detail.text = other.replace('-', " ");
            other
        }
    };
    told.add(record.at_ms, &who, text(body, "via"), what, detail);
}

fn answered(detail: &mut api::StoryDetail, outcome: &Value) {
    let result = text(outcome, "result").unwrap_or("unknown");
    detail.outcome = Some(result.to_owned());
    detail.acquirer_ref = owned(outcome, "acquirer_ref");
    detail.reason = owned(outcome, "reason");
    match result {
        "approved" => detail.approval_code = owned(outcome, "code"),
        _ => detail.acquirer_code = owned(outcome, "code").filter(|code| !code.is_empty()),
    }
    detail.text = match (&detail.reason, &detail.acquirer_code) {
        (Some(reason), Some(code)) => format!("{result}: {reason} ({code})"),
        (Some(reason), None) => format!("{result}: {reason}"),
        _ => result.to_owned(),
    };
}

fn of_task(told: &mut Told, task: &Task) {
    let detail = |text: &str, note: Option<&String>| api::StoryDetail {
        text: text.to_owned(),
        task_id: Some(task.id.to_string()),
        about: Some(task.kind.name().to_owned()),
        note: note.cloned(),
        ..api::StoryDetail::default()
    };
    let made_by = task.created_by.as_ref().map_or(SERVICE, |by| by.as_str());
    let made = detail(
        &format!("a task for a person: {}", task.kind.name()),
        Some(&task.reason),
    );
    told.add(task.created_ms, made_by, None, "task-made", made);
    if let (Some(by), Some(at_ms)) = (&task.taken_by, task.taken_ms) {
        told.add(
            at_ms,
            by.as_str(),
            None,
            "task-taken",
            detail("is at the task", None),
        );
    }
    if let (Some(by), Some(at_ms)) = (&task.done_by, task.done_ms) {
        told.add(
            at_ms,
            by,
            None,
            "task-done",
            detail("the task is done", task.note.as_ref()),
        );
    }
}

fn of_event(told: &mut Told, event: &Event) {
    let detail = |text: String| api::StoryDetail {
        text,
        event_id: Some(event.id.to_string()),
        about: Some(event.kind.clone()),
        ..api::StoryDetail::default()
    };
    let written = detail(format!("{} for the merchant's program", event.kind));
    told.add(event.created_ms, SERVICE, None, "event", written);
    let tries = event.attempts;
    if let Some(at_ms) = event.delivered_ms {
        let had = detail(format!(
            "the merchant's program has {} (try {tries})",
            event.kind
        ));
        told.add(at_ms, SERVICE, None, "event-delivered", had);
    } else if let Some(at_ms) = event.given_up_ms {
        let mut given_up = detail(format!("{} was given up after {tries} tries", event.kind));
        given_up.note.clone_from(&event.error);
        told.add(at_ms, SERVICE, None, "event-given-up", given_up);
    }
}
