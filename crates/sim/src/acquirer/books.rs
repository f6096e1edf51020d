//! What the acquirer remembers, and the control port that tells it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::held::Held;
use super::http::{Received, answer};
use super::protocol::{GENERIC, Protocols, ask_for_fault, ask_for_webhook};

/// A charge as it was asked: what makes two requests under one id the same.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Asked {
    pub(crate) amount: u64,
    pub(crate) currency: String,
    pub(crate) brand: &'static str,
    pub(crate) last4: String,
    /// Whether the whole number is a published test number: another one was not keyed by any test.
    pub(crate) published: bool,
    pub(crate) parameters: BTreeMap<String, String>,
}

/// A transaction: the first request under its id, and all that came after.
#[derive(Clone, Serialize)]
pub(crate) struct Entry {
    pub(crate) transaction_id: String,
    #[serde(flatten)]
    pub(crate) asked: Asked,
    /// `approved`, or the error code.
    pub(crate) result: String,
    /// Whether money was taken.
    pub(crate) booked: bool,
    /// Requests under this id.
    pub(crate) requests: u64,
    /// When the last byte of the first of them had been read: nanoseconds since 1970 by the clock of this machine.
    pub(crate) read_at_ns: u64,
    #[serde(skip)]
    pub(crate) charge_id: Option<String>,
    #[serde(skip)]
    lost: bool,
}

/// What came of a request.
pub(crate) struct Decided {
    pub(crate) result: String,
    pub(crate) booked: bool,
    /// It was never looked at: should it come again, it is the first.
    pub(crate) lost: bool,
}

impl Entry {
    fn decide(&mut self, decided: Decided) {
        self.charge_id = decided
            .booked
            .then(|| format!("ch_{}", uuid::Uuid::now_v7().simple()));
        self.result = decided.result;
        self.booked = decided.booked;
        self.lost = decided.lost;
    }
}

#[derive(Default)]
struct State {
    /// Requests on the HTTPS port, those refused included.
    requests: u64,
    /// Requests that are not the contract's.
    refused: u64,
    /// What was wrong with them: names of fields and headers, never values.
    wrong: Vec<&'static str>,
    entries: Vec<Entry>,
}

/// The books.
#[derive(Default)]
pub(crate) struct Books(Held<State>);

impl Books {
    pub(crate) fn count_request(&self) {
        self.0.with(|state| state.requests += 1);
    }

    pub(crate) fn refuse(&self, wrong: &'static str) {
        self.0.with(|state| {
            state.refused += 1;
            state.wrong.push(wrong);
        });
    }

    /// The entry of `transaction_id`, as it stands or made by `decide`. `None`: the id was used for something else.
    pub(crate) fn enter(
        &self,
        transaction_id: &str,
        asked: Asked,
        read_at: SystemTime,
        decide: impl FnOnce() -> Decided,
    ) -> Option<Entry> {
        self.0.with(|state| {
            if let Some(entry) = state
                .entries
                .iter_mut()
                .find(|e| e.transaction_id == transaction_id)
            {
                entry.requests += 1;
                if entry.asked != asked {
                    return None;
                }
                if entry.lost {
                    entry.decide(decide());
                }
                return Some(entry.clone());
            }
            let since_1970 = read_at
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            let transaction_id = transaction_id.to_owned();
            let mut entry = Entry {
                transaction_id,
                asked,
                result: String::new(),
                booked: false,
                requests: 1,
                read_at_ns: u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX),
                charge_id: None,
                lost: false,
            };
            entry.decide(decide());
            state.entries.push(entry.clone());
            Some(entry)
        })
    }

    pub(crate) async fn serve_control(&self, protocols: &Protocols, mut stream: TcpStream) {
        let Ok(Some(request)) = Received::read(&mut stream).await else {
            return;
        };
        let reply = match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/ready") => answer(200, "application/json", r#"{"ready":true}"#),
            ("GET", "/log") => {
                let mut log = self.log();
                if let Some(log) = log.as_object_mut() {
                    let mut acquirers = protocols.log();
                    acquirers[GENERIC] = self.as_acquirer();
                    log.insert("acquirers".to_owned(), acquirers);
                }
                answer(200, "application/json", &log.to_string())
            }
            ("GET", "/settings") => {
                answer(200, "application/json", &protocols.settings().to_string())
            }
            ("POST", "/fault") => match ask_for_fault(protocols, &request.body) {
                Ok(asked) => answer(200, "application/json", &asked.to_string()),
                Err(wrong) => answer(400, "application/json", &wrong.to_string()),
            },
            ("POST", "/webhook") => match ask_for_webhook(protocols, &request.body) {
                Ok(asked) => answer(200, "application/json", &asked.to_string()),
                Err(wrong) => answer(400, "application/json", &wrong.to_string()),
            },
            ("POST", "/reset") => {
                protocols.reset();
                self.0.with(|state| *state = State::default());
                answer(200, "application/json", r#"{"reset":true}"#)
            }
            _ => answer(
                404,
                "application/json",
                r#"{"error":"GET /ready, GET /log, GET /settings, POST /fault, POST /webhook, POST /reset"}"#,
            ),
        };
        if stream.write_all(&reply).await.is_ok() {
            // A client that is gone needs no farewell.
            stream.shutdown().await.unwrap_or_default();
        }
    }

    /// As the books of those that have a protocol of their own.
    fn as_acquirer(&self) -> serde_json::Value {
        self.0.with(|state| {
            let orders = state.entries.iter().map(|entry| {
                let asked = &entry.asked;
                json!({
                    "order": asked.parameters.get("acquirer_order"), "state": entry.result, "amount": asked.amount, "booked": entry.booked,
                    "requests": entry.requests, "last4": asked.last4,
                })
            });
            json!({"orders": orders.collect::<Vec<_>>(), "wrong": state.wrong})
        })
    }

    pub(crate) fn log(&self) -> serde_json::Value {
        self.0.with(|state| {
            let booked: Vec<_> = state.entries.iter().filter(|e| e.booked).collect();
            json!({
                "requests": state.requests,
                "refused": state.refused,
                "wrong": state.wrong,
                "booked": booked.len(),
                "booked_amount": booked.iter().map(|e| e.asked.amount).sum::<u64>(),
                "transactions": state.entries,
            })
        })
    }
}
