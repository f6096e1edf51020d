//! The contract, seen from the server: what a request must have, what is answered.
//!
//! Written from the published contract of Twilio's Generic Pay Connector: one root endpoint, POST, JSON, HTTP Basic; `charge`
//! with transaction_id, cardnumber, cvv, expiry_month `MM`, expiry_year `YY` or `YYYY`, amount as a decimal text in major units,
//! currency_code, parameters text to text; a declined card is 200 with error_code set.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::books::{Asked, Books, Decided, Entry};
use super::cards::{brand, luhn, this_month};
use super::fault::{self, Fault};
use super::http::{Received, answer};
use super::protocol::{GENERIC, Protocols};

const JSON: &str = "application/json";

pub(crate) struct Contract {
    books: Arc<Books>,
    protocols: Arc<Protocols>,
    /// The whole value of the header.
    authorization: Option<String>,
}

/// A request that the contract allows.
struct Charge {
    transaction_id: String,
    number: String,
    code: String,
    expiry: (u32, u32),
    asked: Asked,
}

impl Contract {
    pub(crate) fn new(
        books: Arc<Books>,
        protocols: Arc<Protocols>,
        credentials: Option<(String, String)>,
    ) -> Self {
        let authorization = credentials.map(|(user, password)| {
            format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
            )
        });
        Self {
            books,
            protocols,
            authorization,
        }
    }

    /// Serves one connection to its end.
    pub(crate) async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        loop {
            match Received::read(&mut stream).await {
                Ok(None) => return,
                Ok(Some(request)) => {
                    if self.protocols.serve(&mut stream, &request).await {
                        return;
                    }
                    self.books.count_request();
                    if !self.answer(&mut stream, &request).await {
                        return;
                    }
                }
                Err(()) => {
                    self.books.count_request();
                    self.books.refuse("http");
                    return;
                }
            }
        }
    }

    /// Whether the connection goes on.
    async fn answer(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        request: &Received,
    ) -> bool {
        let charge = match self.read(request) {
            Ok(charge) => charge,
            Err((status, wrong)) => {
                self.books.refuse(wrong);
                let code = if status == 401 {
                    "authentication_error"
                } else {
                    "invalid_request_error"
                };
                let body = json!({"charge_id": null, "error_code": code, "error_message": format!("wrong: {wrong}")});
                return write(stream, &answer(status, JSON, &body.to_string())).await;
            }
        };
        let minor = charge.asked.amount;
        let refusal = charge.refusal();
        let asked = self.protocols.fault(GENERIC, "charge");
        let fault = match &refusal {
            None => asked.map(Fault::of).or_else(|| fault::by_amount(minor)),
            Some(_) => None,
        };
        let decide = || {
            let code = refusal.or_else(|| unbooked(fault?).map(str::to_owned));
            Decided {
                booked: code.is_none(),
                result: code.unwrap_or_else(|| "approved".to_owned()),
                lost: fault.is_some_and(Fault::loses),
            }
        };
        let id = &charge.transaction_id;
        let entry = self.books.enter(id, charge.asked, request.read_at, decide);
        let Some(entry) = entry else {
            let body = json!({"charge_id": null, "error_code": "idempotency_error", "error_message": "another request had this id"});
            return write(stream, &answer(409, JSON, &body.to_string())).await;
        };
        match fault {
            Some(fault) => wrongly(stream, fault, &entry).await,
            None => write(stream, &answer(200, JSON, &body_of(&entry).to_string())).await,
        }
    }

    fn read(&self, request: &Received) -> Result<Charge, (u16, &'static str)> {
        // The second is where the others are, below a name of their own.
        if !["/", "/generic"].contains(&request.path.as_str()) {
            return Err((404, "path"));
        }
        if request.method != "POST" {
            return Err((405, "method of HTTP"));
        }
        if self.authorization.is_some()
            && request.header("authorization") != self.authorization.as_deref()
        {
            return Err((401, "credentials"));
        }
        let content_type = request.header("content-type").unwrap_or_default();
        if content_type.split(';').next().unwrap_or_default().trim() != JSON {
            return Err((415, "content-type"));
        }
        let Ok(Value::Object(fields)) = serde_json::from_slice(&request.body) else {
            return Err((400, "body"));
        };
        Charge::read(&fields).map_err(|wrong| (400, wrong))
    }
}

impl Charge {
    fn read(fields: &Map<String, Value>) -> Result<Self, &'static str> {
        const KNOWN: [&str; 11] = [
            "method",
            "transaction_id",
            "cardnumber",
            "cvv",
            "expiry_month",
            "expiry_year",
            "postal_code",
            "amount",
            "currency_code",
            "description",
            "parameters",
        ];
        if fields.keys().any(|name| !KNOWN.contains(&name.as_str())) {
            return Err("a field that the contract does not have");
        }
        let text = |name: &'static str| {
            fields
                .get(name)
                .and_then(Value::as_str)
                .filter(|t| !t.is_empty())
                .ok_or(name)
        };
        let digits = |name: &'static str, lengths: std::ops::RangeInclusive<usize>| {
            text(name).and_then(|t| {
                (lengths.contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit()))
                    .then_some(t)
                    .ok_or(name)
            })
        };
        if text("method")? != "charge" {
            return Err("method");
        }
        let number = digits("cardnumber", 12..=19)?.to_owned();
        let code = digits("cvv", 3..=4)?.to_owned();
        let month: u32 = digits("expiry_month", 2..=2)?
            .parse()
            .map_err(|_| "expiry_month")?;
        let year = digits("expiry_year", 2..=4)?;
        let year = match year.len() {
            2 => 2000 + year.parse::<u32>().map_err(|_| "expiry_year")?,
            4 => year.parse().map_err(|_| "expiry_year")?,
            _ => return Err("expiry_year"),
        };
        if !(1..=12).contains(&month) {
            return Err("expiry_month");
        }
        let currency = text("currency_code")?.to_owned();
        if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err("currency_code");
        }
        let amount = minor(text("amount")?, &currency).ok_or("amount")?;
        let mut parameters = BTreeMap::new();
        match fields.get("parameters") {
            None => {}
            Some(Value::Object(members)) => {
                for (name, value) in members {
                    parameters.insert(name.clone(), value.as_str().ok_or("parameters")?.to_owned());
                }
            }
            Some(_) => return Err("parameters"),
        }
        if parameters.values().any(|value| value.contains(&number)) {
            return Err("parameters that hold the card number");
        }
        let last4 = super::cards::last4(&number);
        let asked = Asked {
            amount,
            currency,
            brand: brand(&number),
            last4,
            published: fault::is_published(&number),
            parameters,
        };
        let transaction_id = text("transaction_id")?.to_owned();
        Ok(Self {
            transaction_id,
            number,
            code,
            expiry: (year, month),
            asked,
        })
    }

    fn refusal(&self) -> Option<String> {
        if !luhn(&self.number) {
            return Some("invalid_number".into());
        }
        fault::refusal(&self.number, self.asked.amount).or_else(|| {
            let code_length = if self.asked.brand == "amex" { 4 } else { 3 };
            if self.expiry < this_month() {
                Some("expired_card".into())
            } else if self.code.len() != code_length || self.code.bytes().all(|b| b == b'0') {
                Some("incorrect_cvc".into())
            } else {
                None
            }
        })
    }
}

/// The result of a fault that books nothing.
fn unbooked(fault: Fault) -> Option<&'static str> {
    Some(match fault {
        Fault::SilentUnbooked => "silent",
        Fault::ClosedUnbooked => "closed",
        Fault::ErrorUnbooked => "500",
        Fault::DeclinedBy402 => "card_declined",
        Fault::RateLimit => "rate_limit",
        Fault::Maintenance => "503",
        Fault::UnlistedCode => "E-4711",
        Fault::Redirect => "302",
        Fault::Neither => "neither",
        _ => return None,
    })
}

/// Answers as `fault` says; whether the connection goes on.
async fn wrongly(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    fault: Fault,
    entry: &Entry,
) -> bool {
    let mut body = body_of(entry);
    let declined = |code: &str| {
        json!({"charge_id": null, "error_code": code, "error_message": "refused"}).to_string()
    };
    let good = answer(200, JSON, &body.to_string());
    let bytes = match fault {
        Fault::Slow => {
            tokio::time::sleep(Duration::from_secs(3)).await;
            good
        }
        Fault::SilentUnbooked | Fault::SilentBooked => {
            // Until the client goes.
            let mut rest = [0; 64];
            while stream.read(&mut rest).await.is_ok_and(|n| n > 0) {}
            return false;
        }
        Fault::ClosedUnbooked | Fault::ClosedBooked => return false,
        Fault::CutHead => {
            write(stream, good.get(..20).unwrap_or_default()).await;
            return false;
        }
        Fault::CutBody => {
            write(stream, good.get(..good.len() - 30).unwrap_or_default()).await;
            return false;
        }
        Fault::BrokenJson => answer(200, JSON, r#"{"charge_id":"ch_1","error_code":nul"#),
        Fault::Html => answer(
            200,
            "text/html",
            "<html><body><h1>It works!</h1></body></html>",
        ),
        Fault::ErrorUnbooked | Fault::ErrorBooked => {
            answer(500, "text/html", "<h1>Internal Server Error</h1>")
        }
        Fault::Huge => answer(
            200,
            JSON,
            &format!(r#"{{"charge_id":"{}"}}"#, "x".repeat(10_000_000)),
        ),
        Fault::Doubled => [good.clone(), good].concat(),
        Fault::OtherAmount => {
            let other = decimal(entry.asked.amount + 1, &entry.asked.currency);
            set(&mut body, "amount", &other);
            answer(200, JSON, &body.to_string())
        }
        Fault::DeclinedBy402 => answer(402, JSON, &declined("card_declined")),
        Fault::RateLimit => answer(429, JSON, &declined("rate_limit")),
        Fault::Maintenance => answer(503, "text/html", "<h1>Maintenance</h1>"),
        Fault::Both => {
            if let Some(body) = body.as_object_mut() {
                body.insert("error_code".into(), "insufficient_funds".into());
            }
            answer(200, JSON, &body.to_string())
        }
        Fault::UnlistedCode => answer(200, JSON, &declined("E-4711")),
        Fault::Dripping => {
            for byte in good {
                if !write(stream, &[byte]).await {
                    return false;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            return false;
        }
        Fault::OtherOrder => {
            set(
                &mut body,
                "transaction_id",
                "00000000-0000-7000-8000-000000000000",
            );
            answer(200, JSON, &body.to_string())
        }
        Fault::Redirect => answer(302, "text/html", ""),
        Fault::Neither => answer(
            200,
            JSON,
            r#"{"charge_id":null,"error_code":null,"error_message":null}"#,
        ),
    };
    write(stream, &bytes).await
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> bool {
    stream.write_all(bytes).await.is_ok() && stream.flush().await.is_ok()
}

fn set(body: &mut Value, name: &str, value: &str) {
    if let Some(parameters) = body.get_mut("parameters").and_then(Value::as_object_mut) {
        parameters.insert(name.into(), value.into());
    }
}

/// The contract's answer to what stands in the books; `parameters` repeat the request, so that a client can compare.
fn body_of(entry: &Entry) -> Value {
    let Some(charge_id) = &entry.charge_id else {
        return json!({"charge_id": null, "error_code": entry.result, "error_message": "Card declined"});
    };
    let code: String = charge_id
        .chars()
        .rev()
        .take(6)
        .collect::<String>()
        .to_ascii_uppercase();
    json!({
        "charge_id": charge_id,
        "error_code": null,
        "error_message": null,
        "parameters": {
            "confirmation_number": code,
            "amount": decimal(entry.asked.amount, &entry.asked.currency),
            "currency_code": entry.asked.currency,
            "transaction_id": entry.transaction_id,
        },
    })
}

/// ISO 4217: currencies without a minor unit.
fn zero_decimal(currency: &str) -> bool {
    matches!(currency, "JPY" | "KRW" | "VND" | "CLP")
}

/// `"1500"` and `"1500.00"` yen, `"25.00"` dollars.
fn minor(text: &str, currency: &str) -> Option<u64> {
    let (whole, cents) = text.split_once('.').unwrap_or((text, "00"));
    let digits = |t: &str| {
        (!t.is_empty() && t.len() <= 9 && t.bytes().all(|b| b.is_ascii_digit()))
            .then(|| t.parse::<u64>().ok())?
    };
    let (whole, minor) = (digits(whole)?, digits(cents).filter(|_| cents.len() == 2)?);
    let amount = match (zero_decimal(currency), minor) {
        (true, 0) => whole,
        (true, _) => return None,
        (false, minor) => whole * 100 + minor,
    };
    (amount > 0).then_some(amount)
}

fn decimal(minor: u64, currency: &str) -> String {
    if zero_decimal(currency) {
        minor.to_string()
    } else {
        format!("{}.{:02}", minor / 100, minor % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        for (text, currency, expected) in [
            ("1500", "JPY", Some(1500)),
            ("1500.00", "JPY", Some(1500)),
            ("1500.01", "JPY", None),
            ("25.00", "USD", Some(2500)),
            ("25.5", "USD", None),
            ("0", "JPY", None),
            ("1,500", "JPY", None),
            ("-5", "JPY", None),
        ] {
            assert_eq!(minor(text, currency), expected, "{text}");
        }
    }
}
