//! Adyen Checkout, version 72: payments, captures, cancels, refunds, reversals. From its public description (Adyen/adyen-openapi, aa014f0)
//! and docs.adyen.com (refusal reasons, error codes, idempotency, capture, reversal). What is asked later is only `received`; it is done at once
//! here, and told by webhook ([`webhook`]) where the control port was given an address.
//!
//! A refusal is asked for as in its test system: by the holder's name. Cards of another test system are refused as they are there.

mod calls;
mod webhook;

pub(in crate::acquirer) use webhook::hmac;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::hooks::Outgoing;
use super::http::Received;
use super::members;
use super::protocol::{Answered, Protocol};
use super::trouble::{Cut, Faults, Trouble};

const KEY: &str = "AQE-ivrpay-test-0000000000";
const MERCHANT: &str = "IvrpayTestMerchant";
const WEBHOOK_KEY: &str = "0123456789ABCDEF0123456789abcdef0123456789ABCDEF0123456789abcdef";

struct Payment {
    reference: String,
    amount: u64,
    currency: String,
    state: &'static str,
    captured: u64,
    /// Whether it is captured by itself, hours after: when the control port says that they are over.
    delayed: bool,
    refunded: u64,
    plan: Value,
    last4: String,
    requests: u64,
    /// What was asked of it last: call, reference of the request and of Adyen, amount.
    last: Option<(String, String, String, u64)>,
}

#[derive(Default)]
pub(crate) struct Adyen {
    payments: BTreeMap<String, Payment>,
    /// Stored cards: shopper and number's refusal by their id.
    stored: BTreeMap<String, (String, Option<Refusal>, String)>,
    keys: BTreeMap<String, (u64, u16, Value)>,
    serial: u64,
    outgoing: Vec<Outgoing>,
}

type Refusal = (&'static str, &'static str);
type Done = Result<(u16, Value), (u16, Value)>;

fn refused(status: u16, code: &str, kind: &str, message: &str) -> (u16, Value) {
    let error = json!({"status": status, "errorCode": code, "message": message, "errorType": kind});
    (status, error)
}

fn wrong(code: &str, message: &str) -> (u16, Value) {
    refused(422, code, "validation", message)
}

fn missing(name: &str) -> (u16, Value) {
    wrong("100", &format!("Required field '{name}' is not provided."))
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn required<'a>(value: &'a Value, name: &str) -> Result<&'a str, (u16, Value)> {
    match text(value, &format!("/{name}")) {
        "" => Err(missing(name)),
        text => Ok(text),
    }
}

fn known(body: &Value, names: &[&str]) -> Result<(), (u16, Value)> {
    match members::unknown(body, names) {
        Some(name) => Err(refused(
            400,
            "702",
            "validation",
            &format!("Structure of the request contains the following unknown fields: [{name}]"),
        )),
        None => Ok(()),
    }
}

fn merchant(body: &Value) -> Result<(), (u16, Value)> {
    match required(body, "merchantAccount")? {
        MERCHANT => Ok(()),
        _ => Err(refused(403, "901", "security", "Invalid Merchant Account")),
    }
}

fn amount(body: &Value) -> Result<(u64, String), (u16, Value)> {
    if body["amount"].is_null() {
        return Err(wrong("100", "Required object 'amount' is not provided."));
    }
    let currency = text(body, "/amount/currency");
    if !["JPY", "KRW", "USD", "EUR", "GBP"].contains(&currency) {
        return Err(wrong("138", "Unsupported currency specified"));
    }
    let value = body["amount"]["value"].as_u64();
    let value = value.ok_or_else(|| wrong("137", "Invalid amount specified"))?;
    Ok((value, currency.to_owned()))
}

impl Adyen {
    fn run(&mut self, request: &Received, faults: &Faults) -> (Done, Option<Trouble>) {
        let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        if request.method != "POST" {
            return (Err(refused(404, "000", "validation", "Not Found")), None);
        }
        let kind = request.header("content-type").unwrap_or_default();
        let mut kind = kind.split(';').map(str::trim);
        let json = kind.next() == Some("application/json");
        let utf8 = kind.all(|rest| rest.eq_ignore_ascii_case("charset=utf-8"));
        if !json || !utf8 {
            return (
                Err(refused(415, "000", "validation", "Unsupported media type")),
                None,
            );
        }
        if request.header("x-api-key") != Some(KEY) {
            let error = refused(
                401,
                "000",
                "security",
                "HTTP Status Response - Unauthorized",
            );
            return (Err(error), None);
        }
        let body = match members::object(&request.body) {
            Ok(body) => body,
            Err(error) => return (Err(refused(400, "702", "validation", &error)), None),
        };
        let name = path.last().copied().unwrap_or_default();
        let sum = body["amount"]["value"]
            .as_u64()
            .filter(|_| name == "payments");
        let trouble = faults.of("adyen", name, sum);
        match trouble.map(|t| t.cut) {
            Some(Cut::Maintenance) => {
                let error = refused(503, "000", "internal", "Service unavailable");
                return (Err(error), None);
            }
            Some(Cut::Throttled) => {
                let error = refused(429, "000", "internal", "Too many requests");
                return (Err(error), None);
            }
            _ => {}
        }
        if trouble.is_some_and(|t| !t.booked) {
            return (Ok((200, Value::Null)), trouble);
        }
        (self.done(request, &path, &body), trouble)
    }
}

impl Protocol for Adyen {
    fn name(&self) -> &'static str {
        "adyen"
    }

    fn settings(&self) -> Value {
        json!({"parameters": {"merchant_account": MERCHANT}, "secrets": {"api_key": KEY, "webhook_hmac_key": WEBHOOK_KEY}})
    }

    fn answer(&mut self, request: &Received, faults: &Faults) -> Answered {
        let (done, trouble) = self.run(request, faults);
        let wrong = match &done {
            Err((status, body)) if !matches!(status, 429 | 503) => {
                Some(format!("{status} {}", body["message"]))
            }
            _ => None,
        };
        let (Ok((status, body)) | Err((status, body))) = done;
        Answered::new(status, "application/json;charset=UTF-8", body.to_string())
            .with(trouble)
            .wrong(wrong)
    }

    fn outgoing(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.outgoing)
    }

    fn tell(&mut self, event: &str, order: &str) -> bool {
        self.tell_late(event, order)
    }

    fn orders(&self) -> Vec<Value> {
        self
                .payments
                .values()
                .map(|payment| {
                    json!({
                        "order": payment.reference, "state": payment.state, "amount": payment.amount, "captured": payment.captured,
                        // What the merchant gets, where it is not cancelled before.
                        "taken": if payment.delayed && payment.state == "Authorised" { payment.amount } else { payment.captured },
                        "refunded": payment.refunded, "requests": payment.requests, "last4": payment.last4, "plan": payment.plan,
                        "booked": payment.state == "Authorised",
                    })
                })
                .collect()
    }
}
