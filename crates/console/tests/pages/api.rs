//! An API that answers as `docs/openapi.json` says, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use futures_util::{Stream, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

pub(super) const PAYMENT: &str = "0193f000-0000-7000-8000-000000000001";
pub(super) const CALL: &str = "0193f000-0000-7000-8000-000000000002";
const TASK: &str = "0193f000-0000-7000-8000-000000000003";

/// What a caller or an order system may send.
pub(super) const HOSTILE: &str =
    "<img src=x onerror=alert(1)>\"'&</script><script>alert(2)</script>";

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) token: String,
    pub(super) once: String,
    pub(super) body: Value,
}

#[derive(Clone)]
pub(super) struct Api {
    asked: Arc<Mutex<Vec<Asked>>>,
    /// What the next POST is answered.
    next: Arc<Mutex<Option<(StatusCode, Value)>>>,
    pub(super) events: broadcast::Sender<Value>,
    pub(super) captures: Arc<Mutex<Vec<Value>>>,
}

impl Api {
    pub(super) async fn start() -> (Self, SocketAddr) {
        let api = Self {
            asked: Arc::default(),
            next: Arc::default(),
            events: broadcast::channel(64).0,
            captures: Arc::default(),
        };
        let router = Router::new()
            .route("/v1/sessions", post(sessions))
            .route("/v1/events", get(events))
            .route("/v1/{*path}", any(other))
            .route("/readyz", get(|| async { Json(json!({"ready": true, "asterisk": "connected", "journal": "writable", "acquirers": "answer", "calls": "taken"})) }))
            .with_state(api.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (api, address)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// What was asked for that changes something, since the last look.
    pub(super) fn posts(&self) -> Vec<Asked> {
        let mut asked = self.asked.lock().unwrap();
        let all = std::mem::take(&mut *asked);
        all.into_iter()
            .filter(|a| a.method == Method::POST && !a.path.starts_with("/v1/session"))
            .collect()
    }

    pub(super) fn answers(&self, status: u16, body: Value) {
        let status = StatusCode::from_u16(status).unwrap();
        *self.next.lock().unwrap() = Some((status, body));
    }

    fn note(&self, method: Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) {
        let text = |name| {
            let value = headers
                .get(name)
                .and_then(|v: &header::HeaderValue| v.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        self.asked.lock().unwrap().push(Asked {
            method,
            path: uri.to_string(),
            token: text(header::AUTHORIZATION),
            once: text(header::HeaderName::from_static("idempotency-key")),
            body: serde_json::from_slice(body).unwrap_or_default(),
        });
    }
}

pub(super) fn problem(status: u16, code: &str) -> (u16, Value) {
    let body = json!({
        "type": "/docs", "title": "T", "status": status, "code": code,
        "detail": "what is wrong in English", "hint": "what to do in English", "request_id": "r",
    });
    (status, body)
}

fn refuse((status, body): (u16, Value)) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

async fn sessions(State(api): State<Api>, uri: Uri, headers: HeaderMap, bytes: Bytes) -> Response {
    api.note(Method::POST, &uri, &headers, &bytes);
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    let person = body["person"].as_str().unwrap_or_default();
    if body["password"] != "right horse" {
        return refuse(problem(401, "sign-in-failed"));
    }
    let (role, scopes) = match person {
        "sato" => ("operator", json!(["events", "payments", "tasks"])),
        "mori" => (
            "supervisor",
            json!(["events", "payments", "tasks", "health"]),
        ),
        "root" => (
            "admin",
            json!(["events", "payments", "tasks", "health", "people", "keys"]),
        ),
        "nobody" => ("operator", json!([])),
        _ => return refuse(problem(429, "locked")),
    };
    if person == "mori" && body["code"] != "123456" {
        return refuse(problem(401, "code-required"));
    }
    let answer = json!({
        "token": format!("ivs_{person}"), "person": person, "name": HOSTILE, "tenant": "shop", "role": role, "scopes": scopes,
        "extension": "201", "language": null, "expires_at": "2027-01-01T00:00:00Z", "idle_seconds": 900,
    });
    (StatusCode::CREATED, Json(answer)).into_response()
}

async fn events(State(api): State<Api>) -> Sse<impl Stream<Item = Result<Event, axum::Error>>> {
    let stream = BroadcastStream::new(api.events.subscribe());
    Sse::new(stream.filter_map(async |event| {
        let event = event.ok()?;
        Some(Event::default().id("life-1").json_data(event))
    }))
}

pub(super) fn payment(state: &str) -> Value {
    json!({
        "id": PAYMENT, "tenant": "shop", "order_id": HOSTILE, "part": 0, "state": state, "transaction_type": "authorize",
        "amount": 1200, "currency": "JPY", "operator": HOSTILE, "operator_extension": "201", "site": HOSTILE, "result": "success",
        "reference": 4711, "brand": "visa", "last4": "1111", "decline_reason": "insufficient_funds", "acquirer_ref": HOSTILE,
        "decline": {"reason": "insufficient_funds", "code": "42G", "hard": false, "same_card": false, "action": "other-card",
            "advice": {"ja": "別のカードをお願いしてください。", "en": "Ask for another card."}},
        "approval_code": "A1B2", "mode": "test", "connector": "gmo", "payment_plan": "installments", "payment_plan_count": 3,
        "captured": null, "refunded": 0, "description": HOSTILE, "parameters": {HOSTILE: HOSTILE},
        "created_at": "2026-11-27T09:00:00Z", "updated_at": "2026-11-27T09:05:00Z",
    })
}

fn task(kind: &str) -> Value {
    json!({
        "id": TASK, "kind": kind, "state": "open", "tenant": "shop", "payment_id": PAYMENT, "order_id": HOSTILE,
        "recording_id": null, "caller_number": HOSTILE, "owner": "role:front", "due_at": "2026-11-28T09:00:00Z", "overdue": true,
        "reason": HOSTILE, "created_at": "2026-11-27T09:00:00Z", "created_by": null, "taken_by": null, "taken_at": null,
        "done_by": null, "done_at": null, "note": null,
    })
}

async fn other(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    Path(path): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    api.note(method.clone(), &uri, &headers, &bytes);
    if headers.get(header::AUTHORIZATION).is_none() {
        return refuse(problem(404, "not-found"));
    }
    if method == Method::POST {
        let next = api.next.lock().unwrap().take();
        let (status, body) = next.unwrap_or((StatusCode::OK, json!({})));
        return (status, Json(body)).into_response();
    }
    let text = |kind: &'static str| ([(header::CONTENT_TYPE, kind)], "a file").into_response();
    let path: Vec<&str> = path.split('/').collect();
    let body = match &path[..] {
        ["session"] => json!({}),
        ["captures"] => json!({"captures": *api.captures.lock().unwrap()}),
        ["payments"] => {
            json!({"payments": [payment("approved"), payment("unknown")], "next": PAYMENT})
        }
        ["payments", PAYMENT] => payment("approved"),
        ["payments", PAYMENT, "story"] => json!({"payment_id": PAYMENT, "entries": [
            {"at": "2026-11-27T09:00:00Z", "who": HOSTILE, "via": null, "what": HOSTILE, "detail": {"text": HOSTILE}}]}),
        ["payments", PAYMENT, "receipts"] => {
            json!({"receipts": [{"number": "R-1", "issue": 1, "kind": "receipt", "payment_id": PAYMENT, "order_id": HOSTILE, "amount": 1200,
                "currency": "JPY", "issued_at": "2026-11-27T09:00:00Z", "issued_on": "2026-11-27", "sold_on": "2026-11-27", "by": HOSTILE,
                "language": "ja", "recipient": HOSTILE, "purpose": HOSTILE, "lines": [], "taxes": [], "original": null, "test": false,
                "content_hash": "x", "text": HOSTILE, "path": "/v1/x"}]})
        }
        ["payments", PAYMENT, "receipts", _] => return text("application/pdf"),
        ["payments", PAYMENT, "evidence"] => return text("text/html"),
        ["orders"] => {
            json!({"tenant": "shop", "order_id": HOSTILE, "currency": "JPY", "total": 2000, "paid": 1200, "whole": null,
            "parts": [{"part": 0, "kind": "split", "amount": 1200, "reason": null, "by": "sato", "declared_at": "2026-11-27T09:00:00Z",
                "payment_id": PAYMENT, "state": "approved", "paid": 1200}]})
        }
        ["tasks"] => {
            json!({"tasks": [task("unknown-outcome"), task("promised-call-back")], "next": null})
        }
        ["approvals"] => {
            json!({"approvals": [{"id": TASK, "state": "open", "tenant": "shop", "until": "2026-11-28T09:00:00Z", "kind": "refund", "amount": 90000, "currency": "JPY",
            "payment_id": PAYMENT, "asked_by": HOSTILE, "asked_at": "2026-11-27T09:00:00Z"}]})
        }
        ["health", "findings"] => {
            json!({"checked_at": "2026-11-27T09:00:00Z", "whole": true, "findings": [
            {"code": "logger-dtmf", "severity": "danger", "what": HOSTILE, "hint": HOSTILE},
            {"code": "check/clock", "severity": "ok", "what": "w", "hint": null}]})
        }
        ["people"] => {
            json!({"people": [{"id": TASK, "single_sign_on": false, "password": true, "created_at": "2026-11-27T09:00:00Z", "created_by": "x", "name": HOSTILE, "shown": HOSTILE, "role": "operator", "extension": "201", "second_factor": true, "locked_until": "2026-11-27T09:00:00Z"}]})
        }
        ["keys"] => {
            json!({"keys": [{"id": TASK, "tenant": "shop", "state": "live", "created_at": "2026-11-27T09:00:00Z", "created_by": "x", "name": HOSTILE, "prefix": "ivk_ab", "scopes": ["payments"]}]})
        }
        ["pools"] => {
            json!({"pools": [{"name": HOSTILE, "used": 3, "elsewhere": 0, "guaranteed": 2, "limit": 10, "tenants": ["shop"]}]})
        }
        _ => return refuse(problem(404, "not-found")),
    };
    Json(body).into_response()
}
