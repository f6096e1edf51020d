//! Stripe: payment methods, payment intents, setup intents, refunds, customers. From its public description (stripe/openapi, f6c2a48) and
//! docs.stripe.com (errors, idempotency, declines, MOTO, testing). Cards: its published test numbers, with what they are for.

mod calls;
mod webhook;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::hooks::Outgoing;
use super::http::{Received, form};
use super::protocol::{Answered, Protocol};
use super::trouble::{Cut, Faults, Trouble};

const KEY: &str = "sk_test_ivrpay0000000000";
const WEBHOOK_SECRET: &str = "whsec_ivrpay0000000000";

/// What a card stands for, behind a payment method.
#[derive(Clone)]
struct Method {
    verdict: Option<&'static str>,
    last4: String,
    customer: Option<String>,
}

struct Intent {
    amount: u64,
    received: u64,
    currency: String,
    status: &'static str,
    capture: &'static str,
    created: u64,
    metadata: Value,
    error: Value,
    last4: String,
    requests: u64,
}

struct Refund {
    intent: String,
    amount: u64,
    metadata: Value,
}

#[derive(Default)]
pub(crate) struct Stripe {
    methods: BTreeMap<String, Method>,
    customers: Vec<String>,
    intents: BTreeMap<String, Intent>,
    refunds: BTreeMap<String, Refund>,
    /// By idempotency key: a digest of the request, and its answer.
    keys: BTreeMap<String, (u64, u16, Value)>,
    serial: u64,
    outgoing: Vec<Outgoing>,
}

type Fields = Vec<(String, String)>;
type Done = Result<Value, (u16, Value)>;

fn refused(status: u16, kind: &str, code: &str, about: &str) -> (u16, Value) {
    let error =
        json!({"type": kind, "code": code, "param": about, "message": format!("{code}: {about}")});
    (status, json!({ "error": error }))
}

/// Our request is wrong.
fn wrong(code: &str, about: &str) -> (u16, Value) {
    refused(400, "invalid_request_error", code, about)
}

fn missing(id: &str) -> (u16, Value) {
    refused(404, "invalid_request_error", "resource_missing", id)
}

fn get<'a>(fields: &'a Fields, name: &str) -> &'a str {
    let found = fields.iter().find(|(n, _)| n == name);
    found.map_or("", |(_, value)| value.as_str())
}

/// Parameters that a call has, the first `required` of them needed; others, and any that stands twice, are refused by name.
fn known(fields: &Fields, required: usize, names: &[&str]) -> Result<(), (u16, Value)> {
    for (at, (name, _)) in fields.iter().enumerate() {
        let metadata = name.starts_with("metadata[") && name.ends_with(']');
        if !metadata && !names.contains(&name.as_str()) {
            return Err(wrong("parameter_unknown", name));
        }
        if fields.iter().skip(at + 1).any(|(other, _)| other == name) {
            return Err(wrong("parameter_invalid", name));
        }
    }
    let needed = names.iter().take(required);
    match needed.into_iter().find(|name| get(fields, name).is_empty()) {
        Some(name) => Err(wrong("parameter_missing", name)),
        None => Ok(()),
    }
}

fn metadata(fields: &Fields) -> Value {
    let all = fields.iter().filter_map(|(name, value)| {
        let key = name.strip_prefix("metadata[")?.strip_suffix(']')?;
        Some((key.to_owned(), Value::from(value.as_str())))
    });
    all.collect::<serde_json::Map<_, _>>().into()
}

fn amount(fields: &Fields, name: &str) -> Result<u64, (u16, Value)> {
    let amount = get(fields, name).parse().ok();
    let good = amount.filter(|amount| (1..=99_999_999).contains(amount));
    good.ok_or_else(|| wrong("parameter_invalid_integer", name))
}

impl Stripe {
    fn run(&mut self, request: &Received, faults: &Faults) -> (Done, Option<Trouble>) {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let path: Vec<&str> = path.trim_matches('/').split('/').collect();
        let posted = request.method == "POST";
        let kind = request.header("content-type").unwrap_or_default();
        if posted && kind.split(';').next() != Some("application/x-www-form-urlencoded") {
            return (Err(wrong("content_type", kind)), None);
        }
        let bytes = if posted {
            request.body.as_slice()
        } else {
            query.as_bytes()
        };
        let fields: Option<Fields> = form(bytes).and_then(|fields| {
            let text = |bytes| String::from_utf8(bytes).ok();
            fields
                .into_iter()
                .map(|(n, v)| Some((n, text(v)?)))
                .collect()
        });
        let Some(fields) = fields else {
            return (Err(wrong("invalid_utf8", "body")), None);
        };
        if request.header("authorization") != Some(&format!("Bearer {KEY}")) {
            let error = refused(401, "invalid_request_error", "", "Invalid API Key provided");
            return (Err(error), None);
        }
        let name = match (posted, path.as_slice()) {
            (true, [first]) => first,
            (true, [.., last]) => last,
            _ => "read",
        };
        let amount = get(&fields, "amount")
            .parse()
            .ok()
            .filter(|_| name == "payment_intents");
        let trouble = faults.of("stripe", name, amount);
        match trouble.map(|t| t.cut) {
            Some(Cut::Maintenance) => {
                let error = refused(503, "api_error", "", "Stripe is down for maintenance");
                return (Err(error), None);
            }
            Some(Cut::Throttled) => {
                let error = refused(
                    429,
                    "invalid_request_error",
                    "rate_limit",
                    "Too many requests",
                );
                return (Err(error), None);
            }
            _ => {}
        }
        if trouble.is_some_and(|t| !t.booked) {
            return (Ok(Value::Null), trouble);
        }
        (self.done(request, &path, &fields), trouble)
    }
}

impl Protocol for Stripe {
    fn name(&self) -> &'static str {
        "stripe"
    }

    fn settings(&self) -> Value {
        json!({"parameters": {}, "secrets": {"secret_key": KEY, "webhook_secret": WEBHOOK_SECRET}})
    }

    fn outgoing(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.outgoing)
    }

    fn answer(&mut self, request: &Received, faults: &Faults) -> Answered {
        let (done, trouble) = self.run(request, faults);
        let (status, body) = done.map_or_else(|refused| refused, |body| (200, body));
        let wrong = matches!(status, 400 | 401 | 404)
            .then(|| format!("{} {}", request.method, body["error"]));
        Answered::new(status, "application/json", body.to_string())
            .with(trouble)
            .wrong(wrong)
    }

    fn orders(&self) -> Vec<Value> {
        let back = |of: &str| -> u64 {
            let refunds = self.refunds.values().filter(|r| r.intent == of);
            refunds.map(|r| r.amount).sum()
        };
        self
                .intents
                .iter()
                .map(|(id, intent)| {
                    json!({
                        "order": intent.metadata["order_id"], "state": intent.status, "amount": intent.amount,
                        "received": intent.received, "refunded": back(id), "requests": intent.requests, "last4": intent.last4,
                        "booked": matches!(intent.status, "requires_capture" | "succeeded"),
                    })
                })
                .collect()
    }
}
