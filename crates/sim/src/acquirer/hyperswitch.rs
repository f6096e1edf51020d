//! Hyperswitch: payments under an id of the merchant's, captures, cancels, refunds, and their state. From its public documents and the
//! error list of its source (juspay/hyperswitch: core/errors/api_error_response.rs). Its dummy processor takes Stripe's published cards,
//! and so does this.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cards;
use super::fault;
use super::http::Received;
use super::members;
use super::protocol::{Answered, Protocol};
use super::trouble::{Cut, Faults, Trouble};

const KEY: &str = "snd_ivrpay0000000000";

struct Payment {
    amount: u64,
    received: u64,
    currency: String,
    status: &'static str,
    order: Value,
    metadata: Value,
    error: Option<&'static str>,
    last4: String,
    requests: u64,
}

struct Refund {
    payment: String,
    amount: u64,
}

#[derive(Default)]
pub(crate) struct Hyperswitch {
    payments: BTreeMap<String, Payment>,
    refunds: BTreeMap<String, Refund>,
}

type Done = Result<Value, (u16, Value)>;

fn refused(status: u16, code: &str, message: &str) -> (u16, Value) {
    let error = json!({"type": "invalid_request", "message": message, "code": code});
    (status, json!({ "error": error }))
}

fn missing(what: &str) -> (u16, Value) {
    refused(
        404,
        "HE_02",
        &format!("{what} does not exist in our records"),
    )
}

fn required<'a>(body: &'a Value, pointer: &str) -> Result<&'a str, (u16, Value)> {
    let text = body.pointer(pointer).and_then(Value::as_str);
    let text = text.filter(|text| !text.is_empty());
    text.ok_or_else(|| refused(400, "IR_04", &format!("Missing required param: {pointer}")))
}

fn number(body: &Value, name: &str) -> Result<u64, (u16, Value)> {
    let number = body[name].as_u64().filter(|n| *n > 0);
    number.ok_or_else(|| refused(400, "IR_06", &format!("Json deserialize error: {name}")))
}

fn known(body: &Value, names: &[&str]) -> Result<(), (u16, Value)> {
    match members::unknown(body, names) {
        Some(name) => {
            let message = format!("Json deserialize error: unknown field `{name}`");
            Err(refused(400, "IR_06", &message))
        }
        None => Ok(()),
    }
}

fn shown(id: &str, payment: &Payment) -> Value {
    let capturable = if payment.status == "requires_capture" {
        payment.amount
    } else {
        0
    };
    json!({
        "payment_id": id, "status": payment.status, "amount": payment.amount, "amount_capturable": capturable,
        "amount_received": payment.received, "currency": payment.currency, "connector": "stripe_test",
        "merchant_order_reference_id": payment.order, "metadata": payment.metadata,
        "error_code": payment.error, "error_message": payment.error.map(|_| "The card can't be charged."),
        "unified_code": payment.error.map(|_| "UE_9000"),
    })
}

impl Hyperswitch {
    fn payment(&mut self, body: &Value) -> Done {
        known(
            body,
            &[
                "payment_id",
                "amount",
                "currency",
                "confirm",
                "capture_method",
                "authentication_type",
                "payment_channel",
                "payment_method",
                "payment_method_type",
                "payment_method_data",
                "payment_method_data.card",
                "payment_method_data.card.card_number",
                "payment_method_data.card.card_exp_month",
                "payment_method_data.card.card_exp_year",
                "payment_method_data.card.card_cvc",
                "payment_method_data.card.card_holder_name",
                "merchant_order_reference_id",
                "description",
                "metadata",
                "metadata.*",
            ],
        )?;
        let id = required(body, "/payment_id")?.to_owned();
        let good = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        if id.len() != 30 || !id.bytes().all(good) {
            return Err(refused(
                400,
                "IR_05",
                "payment_id contains invalid data. Expected format is 30 characters",
            ));
        }
        if self.payments.contains_key(&id) {
            let message = "The payment with the specified payment_id already exists in our records";
            return Err(refused(400, "HE_01", message));
        }
        let amount = number(body, "amount")?;
        let currency = required(body, "/currency")?;
        if !["JPY", "KRW", "USD", "EUR", "GBP"].contains(&currency) {
            return Err(refused(
                400,
                "IR_06",
                "Json deserialize error: unknown variant `currency`",
            ));
        }
        if body["confirm"] != true || required(body, "/payment_method")? != "card" {
            return Err(refused(
                400,
                "IR_07",
                "Invalid value provided: confirm, payment_method",
            ));
        }
        let taken = match body["capture_method"].as_str() {
            Some("automatic") | None => "succeeded",
            Some("manual") => "requires_capture",
            Some(_) => {
                return Err(refused(
                    400,
                    "IR_06",
                    "Json deserialize error: capture_method",
                ));
            }
        };
        let card = |name: &str| required(body, &format!("/payment_method_data/card/{name}"));
        let number = card("card_number")?;
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if !(12..=19).contains(&number.len()) || !digits(number) || !cards::luhn(number) {
            return Err(refused(
                400,
                "IR_06",
                "Json deserialize error: invalid card number",
            ));
        }
        let month: u32 = card("card_exp_month")?.parse().unwrap_or(0);
        let year = card("card_exp_year")?;
        let year: u32 = if digits(year) && year.len() == 4 {
            year.parse().unwrap_or(0)
        } else {
            0
        };
        if !(1..=12).contains(&month) || (year, month) < cards::this_month() {
            return Err(refused(400, "IR_16", "Invalid Expiry Month or Year"));
        }
        let code = body.pointer("/payment_method_data/card/card_cvc");
        let code = code.and_then(Value::as_str).unwrap_or_default();
        if !code.is_empty() && (!digits(code) || !(3..=4).contains(&code.len())) {
            return Err(refused(400, "IR_16", "Invalid card_cvc length"));
        }
        let row = fault::CARDS.iter().find(|row| row.0 == number);
        let phone = body["payment_channel"] == "telephone_order"
            && body["authentication_type"] == "no_three_ds";
        let error = row.map(|row| row.1);
        let status = match error {
            _ if !phone => "requires_customer_action",
            Some("authentication_required") => "requires_customer_action",
            Some(_) => "failed",
            None => taken,
        };
        let payment = Payment {
            amount,
            received: if status == "succeeded" { amount } else { 0 },
            currency: currency.to_owned(),
            status,
            order: body["merchant_order_reference_id"].clone(),
            metadata: body["metadata"].clone(),
            error: error.filter(|_| status == "failed"),
            last4: cards::last4(number),
            requests: 1,
        };
        let answer = shown(&id, &payment);
        self.payments.insert(id, payment);
        Ok(answer)
    }

    fn capture(&mut self, id: &str, body: &Value) -> Done {
        known(body, &["amount_to_capture"])?;
        let payment = self
            .payments
            .get_mut(id)
            .ok_or_else(|| missing("Payment"))?;
        let wanted = match body["amount_to_capture"] {
            Value::Null => payment.amount,
            _ => number(body, "amount_to_capture")?,
        };
        if payment.status != "requires_capture" {
            let message = "This Payment could not be captured because of its status";
            return Err(refused(400, "IR_14", message));
        }
        if wanted > payment.amount {
            return Err(refused(
                400,
                "IR_06",
                "amount_to_capture is greater than amount",
            ));
        }
        payment.received = wanted;
        payment.status = if wanted == payment.amount {
            "succeeded"
        } else {
            "partially_captured"
        };
        Ok(shown(id, payment))
    }

    fn cancel(&mut self, id: &str, body: &Value) -> Done {
        known(body, &["cancellation_reason"])?;
        let payment = self
            .payments
            .get_mut(id)
            .ok_or_else(|| missing("Payment"))?;
        if payment.status != "requires_capture" {
            let message = "You cannot cancel this payment because of its status";
            return Err(refused(400, "IR_16", message));
        }
        payment.status = "cancelled";
        Ok(shown(id, payment))
    }

    fn refund(&mut self, body: &Value) -> Done {
        known(
            body,
            &[
                "payment_id",
                "refund_id",
                "amount",
                "reason",
                "refund_type",
                "metadata",
                "metadata.*",
            ],
        )?;
        let of = required(body, "/payment_id")?;
        let back: u64 = self
            .refunds
            .values()
            .filter(|r| r.payment == of)
            .map(|r| r.amount)
            .sum();
        let payment = self.payments.get(of).ok_or_else(|| missing("Payment"))?;
        let id = required(body, "/refund_id")?;
        if id.len() > 30 {
            return Err(refused(400, "IR_05", "refund_id contains invalid data"));
        }
        if self.refunds.contains_key(id) {
            let message = "Duplicate refund request. Refund already attempted with the refund ID";
            return Err(refused(400, "HE_01", message));
        }
        if !matches!(payment.status, "succeeded" | "partially_captured") {
            return Err(refused(
                400,
                "IR_14",
                "This payment could not be refunded because of its status",
            ));
        }
        let amount = number(body, "amount")?;
        if amount > payment.received.saturating_sub(back) {
            return Err(refused(
                400,
                "IR_13",
                "The refund amount exceeds the amount captured",
            ));
        }
        let refund = Refund {
            payment: of.to_owned(),
            amount,
        };
        let answer = self.refund_shown(id, &refund);
        self.refunds.insert(id.to_owned(), refund);
        Ok(answer)
    }

    fn refund_shown(&self, id: &str, refund: &Refund) -> Value {
        let currency = self
            .payments
            .get(&refund.payment)
            .map(|p| p.currency.as_str());
        json!({
            "refund_id": id, "payment_id": refund.payment, "amount": refund.amount, "currency": currency, "status": "succeeded",
            "error_code": null, "error_message": null, "connector": "stripe_test",
        })
    }

    fn read(&self, path: &[&str]) -> Done {
        match *path {
            ["payments", id] => {
                let payment = self.payments.get(id).ok_or_else(|| missing("Payment"))?;
                Ok(shown(id, payment))
            }
            ["refunds", id] => {
                let refund = self.refunds.get(id).ok_or_else(|| missing("Refund"))?;
                Ok(self.refund_shown(id, refund))
            }
            _ => Err(refused(404, "IR_02", "Unrecognized request URL")),
        }
    }

    fn post(&mut self, path: &[&str], body: &Value) -> Done {
        match *path {
            ["payments"] => self.payment(body),
            ["payments", id, "capture"] => self.capture(id, body),
            ["payments", id, "cancel"] => self.cancel(id, body),
            ["refunds"] => self.refund(body),
            _ => Err(refused(404, "IR_02", "Unrecognized request URL")),
        }
    }
}

impl Hyperswitch {
    fn run(&mut self, request: &Received, faults: &Faults) -> (Done, Option<Trouble>) {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let path: Vec<&str> = path.trim_matches('/').split('/').collect();
        if request.header("api-key") != Some(KEY) {
            let message = "API key not provided or invalid API key used";
            return (Err(refused(401, "IR_01", message)), None);
        }
        let posted = request.method == "POST";
        let kind = request.header("content-type").unwrap_or_default();
        let mut kind = kind.split(';').map(str::trim);
        let json = kind.next() == Some("application/json");
        if posted && !(json && kind.all(|rest| rest.eq_ignore_ascii_case("charset=utf-8"))) {
            return (Err(refused(400, "IR_06", "Content type error")), None);
        }
        if !["", "force_sync=true", "force_sync=false"].contains(&query) {
            return (Err(refused(400, "IR_06", "Query deserialize error")), None);
        }
        let body = match members::object(&request.body) {
            Ok(body) => body,
            Err(_) if !posted => Value::Null,
            Err(error) => return (Err(refused(400, "IR_06", &error)), None),
        };
        let name = match (posted, path.last()) {
            (true, Some(last)) => last,
            _ => "read",
        };
        let sum = body["amount"].as_u64().filter(|_| name == "payments");
        let trouble = faults.of("hyperswitch", name, sum);
        match trouble.map(|t| t.cut) {
            Some(Cut::Maintenance) => {
                return (Err(refused(503, "HE_00", "Under maintenance")), None);
            }
            Some(Cut::Throttled) => {
                return (Err(refused(429, "HE_00", "Too many requests")), None);
            }
            _ => {}
        }
        if trouble.is_some_and(|t| !t.booked) {
            return (Ok(Value::Null), trouble);
        }
        let done = match posted {
            true => self.post(&path, &body),
            false => self.read(&path),
        };
        (done, trouble)
    }
}

impl Protocol for Hyperswitch {
    fn name(&self) -> &'static str {
        "hyperswitch"
    }

    fn settings(&self) -> Value {
        json!({"parameters": {}, "secrets": {"api_key": KEY}})
    }

    fn answer(&mut self, request: &Received, faults: &Faults) -> Answered {
        let (done, trouble) = self.run(request, faults);
        let (status, body) = done.map_or_else(|refused| refused, |body| (200, body));
        // To ask for what is not there is what a query does.
        let wrong = match status {
            200 | 429 | 503 => false,
            401 => true,
            _ => request.method == "POST",
        };
        let wrong = wrong.then(|| body["error"]["message"].to_string());
        Answered::new(status, "application/json", body.to_string())
            .with(trouble)
            .wrong(wrong)
    }

    fn orders(&self) -> Vec<Value> {
        let back = |of: &str| -> u64 {
            let refunds = self.refunds.values().filter(|r| r.payment == of);
            refunds.map(|r| r.amount).sum()
        };
        self
                .payments
                .iter()
                .map(|(id, payment)| {
                    json!({
                        "order": payment.order, "state": payment.status, "amount": payment.amount, "received": payment.received,
                        "refunded": back(id), "requests": payment.requests, "last4": payment.last4,
                        "booked": matches!(payment.status, "requires_capture" | "succeeded" | "partially_captured"),
                    })
                })
                .collect()
    }
}
