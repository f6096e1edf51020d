//! What each call does.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{
    Done, Fields, Intent, Method, Refund, Stripe, amount, get, known, metadata, missing, refused,
    webhook, wrong,
};
use crate::acquirer::http::Received;
use crate::acquirer::{cards, fault};

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// `card_error`, with the decline code where the bank is the one that refuses.
fn card_error(verdict: &str) -> Value {
    match verdict {
        "expired_card"
        | "incorrect_cvc"
        | "processing_error"
        | "incorrect_number"
        | "invalid_expiry_year"
        | "invalid_expiry_month"
        | "invalid_cvc"
        | "authentication_required" => {
            json!({"type": "card_error", "code": verdict, "message": "The card can't be charged."})
        }
        _ => json!({
            "type": "card_error", "code": "card_declined", "decline_code": verdict, "message": "Your card was declined.",
        }),
    }
}

fn verdict(number: &str) -> Option<&'static str> {
    let row = fault::CARDS.iter().find(|row| row.0 == number);
    row.map(|row| row.1)
}

impl Stripe {
    fn id(&mut self, prefix: &str) -> String {
        self.serial += 1;
        format!("{prefix}_3Iv{:06}", self.serial)
    }

    fn payment_method(&mut self, fields: &Fields) -> Done {
        let names = [
            "type",
            "card[number]",
            "card[exp_month]",
            "card[exp_year]",
            "card[cvc]",
        ];
        known(fields, 4, &names)?;
        if get(fields, "type") != "card" {
            return Err(wrong("parameter_invalid_string", "type"));
        }
        let number = get(fields, "card[number]");
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let card = |code: &str| Err((402, json!({"error": card_error(code)})));
        if !(12..=19).contains(&number.len()) || !digits(number) || !cards::luhn(number) {
            return card("incorrect_number");
        }
        let month: u32 = get(fields, "card[exp_month]").parse().unwrap_or(0);
        let year: u32 = get(fields, "card[exp_year]").parse().unwrap_or(0);
        if !(1..=12).contains(&month) {
            return card("invalid_expiry_month");
        }
        if !(2000..=2099).contains(&year) || (year, month) < cards::this_month() {
            return card("invalid_expiry_year");
        }
        let code = get(fields, "card[cvc]");
        if !code.is_empty() && (!digits(code) || !(3..=4).contains(&code.len())) {
            return card("invalid_cvc");
        }
        let id = self.id("pm");
        let method = Method {
            verdict: verdict(number),
            last4: cards::last4(number),
            customer: None,
        };
        let answer = json!({
            "id": id, "object": "payment_method", "type": "card", "customer": null,
            "card": {"brand": cards::brand(number), "last4": method.last4, "exp_month": month, "exp_year": year},
        });
        self.methods.insert(id, method);
        Ok(answer)
    }

    /// The card that an intent is to be confirmed with, over the telephone.
    fn confirmed(&self, fields: &Fields) -> Result<Method, (u16, Value)> {
        if get(fields, "confirm") != "true" {
            return Err(wrong("parameter_invalid_string", "confirm"));
        }
        if get(fields, "payment_method_types[0]") != "card" {
            return Err(wrong("parameter_invalid_string", "payment_method_types"));
        }
        let id = get(fields, "payment_method");
        let method = self.methods.get(id).ok_or_else(|| missing(id))?;
        if method.customer.as_deref().unwrap_or_default() != get(fields, "customer") {
            return Err(wrong("payment_method_customer", "customer"));
        }
        // Without the mark of an order by telephone, this account's bank asks for 3-D Secure.
        let moto = get(fields, "payment_method_options[card][moto]") == "true";
        Ok(Method {
            verdict: if moto {
                method.verdict
            } else {
                Some("authentication_required")
            },
            ..method.clone()
        })
    }

    fn payment_intent(&mut self, fields: &Fields) -> Done {
        let names = [
            "amount",
            "currency",
            "payment_method",
            "payment_method_types[0]",
            "confirm",
            "capture_method",
            "customer",
            "payment_method_options[card][moto]",
            "error_on_requires_action",
            "statement_descriptor_suffix",
            "description",
        ];
        known(fields, 4, &names)?;
        let amount = amount(fields, "amount")?;
        let currency = get(fields, "currency");
        if !["jpy", "krw", "usd", "eur", "gbp"].contains(&currency) {
            return Err(wrong("parameter_invalid_string", "currency"));
        }
        let (status, received) = match get(fields, "capture_method") {
            "manual" => ("requires_capture", 0),
            "" | "automatic" | "automatic_async" => ("succeeded", amount),
            _ => return Err(wrong("parameter_invalid_string", "capture_method")),
        };
        let method = self.confirmed(fields)?;
        let id = self.id("pi");
        let error = method.verdict.map_or(Value::Null, card_error);
        let refused = !error.is_null();
        let intent = Intent {
            amount,
            received: if refused { 0 } else { received },
            currency: currency.to_owned(),
            status: if refused {
                "requires_payment_method"
            } else {
                status
            },
            capture: if status == "requires_capture" {
                "manual"
            } else {
                "automatic"
            },
            created: now(),
            metadata: metadata(fields),
            error: error.clone(),
            last4: method.last4,
            requests: 1,
        };
        let answer = shown(&id, &intent);
        self.intents.insert(id, intent);
        if refused {
            let mut error = error;
            error["payment_intent"] = answer;
            return Err((402, json!({ "error": error })));
        }
        Ok(answer)
    }

    fn setup_intent(&mut self, fields: &Fields) -> Done {
        let names = [
            "payment_method",
            "payment_method_types[0]",
            "confirm",
            "usage",
            "customer",
            "payment_method_options[card][moto]",
        ];
        known(fields, 3, &names)?;
        let method = self.confirmed(fields)?;
        let id = self.id("seti");
        if let Some(verdict) = method.verdict {
            return Err((402, json!({"error": card_error(verdict)})));
        }
        Ok(json!({
            "id": id, "object": "setup_intent", "status": "succeeded", "usage": get(fields, "usage"), "metadata": metadata(fields),
        }))
    }

    fn capture(&mut self, id: &str, fields: &Fields) -> Done {
        known(fields, 0, &["amount_to_capture"])?;
        let wanted = match get(fields, "amount_to_capture") {
            "" => None,
            _ => Some(amount(fields, "amount_to_capture")?),
        };
        let intent = self.intents.get_mut(id).ok_or_else(|| missing(id))?;
        let wanted = wanted.unwrap_or(intent.amount);
        if intent.status != "requires_capture" {
            return Err(wrong("payment_intent_unexpected_state", "intent"));
        }
        if wanted > intent.amount {
            return Err(wrong("amount_too_large", "amount_to_capture"));
        }
        intent.status = "succeeded";
        intent.received = wanted;
        Ok(shown(id, intent))
    }

    fn cancel(&mut self, id: &str, fields: &Fields) -> Done {
        known(fields, 0, &["cancellation_reason"])?;
        let reasons = [
            "",
            "duplicate",
            "fraudulent",
            "requested_by_customer",
            "abandoned",
        ];
        if !reasons.contains(&get(fields, "cancellation_reason")) {
            return Err(wrong("parameter_invalid_string", "cancellation_reason"));
        }
        let intent = self.intents.get_mut(id).ok_or_else(|| missing(id))?;
        if matches!(intent.status, "succeeded" | "canceled") {
            return Err(wrong("payment_intent_unexpected_state", "intent"));
        }
        intent.status = "canceled";
        Ok(shown(id, intent))
    }

    fn refund(&mut self, fields: &Fields) -> Done {
        known(fields, 1, &["payment_intent", "amount", "reason"])?;
        if !["", "duplicate", "fraudulent", "requested_by_customer"]
            .contains(&get(fields, "reason"))
        {
            return Err(wrong("parameter_invalid_string", "reason"));
        }
        let of = get(fields, "payment_intent");
        let back: u64 = self
            .refunds
            .values()
            .filter(|r| r.intent == of)
            .map(|r| r.amount)
            .sum();
        let intent = self.intents.get(of).ok_or_else(|| missing(of))?;
        if intent.status != "succeeded" {
            return Err(wrong("payment_intent_unexpected_state", "payment_intent"));
        }
        let left = intent.received.saturating_sub(back);
        let amount = match get(fields, "amount") {
            "" => left,
            _ => amount(fields, "amount")?,
        };
        if left == 0 {
            return Err(wrong("charge_already_refunded", "charge"));
        }
        if amount > left {
            return Err(wrong("amount_too_large", "amount"));
        }
        let id = self.id("re");
        let refund = Refund {
            intent: of.to_owned(),
            amount,
            metadata: metadata(fields),
        };
        let answer = self.refund_shown(&id, &refund);
        self.refunds.insert(id, refund);
        Ok(answer)
    }

    fn refund_shown(&self, id: &str, refund: &Refund) -> Value {
        let currency = self
            .intents
            .get(&refund.intent)
            .map(|i| i.currency.as_str());
        json!({
            "id": id, "object": "refund", "status": "succeeded", "amount": refund.amount, "currency": currency,
            "payment_intent": refund.intent, "metadata": refund.metadata,
        })
    }

    fn attach(&mut self, id: &str, fields: &Fields) -> Done {
        known(fields, 1, &["customer"])?;
        let customer = get(fields, "customer");
        if !self.customers.iter().any(|c| c == customer) {
            return Err(missing(customer));
        }
        let method = self.methods.get_mut(id).ok_or_else(|| missing(id))?;
        if let Some(verdict) = method.verdict {
            return Err((402, json!({"error": card_error(verdict)})));
        }
        method.customer = Some(customer.to_owned());
        Ok(json!({"id": id, "object": "payment_method", "type": "card", "customer": customer}))
    }

    /// A page, newest first.
    fn list(&self, what: &str, query: &Fields) -> Done {
        let names = [
            "created[gte]",
            "created[lte]",
            "limit",
            "starting_after",
            "payment_intent",
        ];
        known(query, 0, &names)?;
        let number = |name: &str, default: u64| match get(query, name) {
            "" => Ok(default),
            text => text
                .parse()
                .map_err(|_| wrong("parameter_invalid_integer", name)),
        };
        let (from, to) = (
            number("created[gte]", 0)?,
            number("created[lte]", u64::MAX)?,
        );
        let limit = usize::try_from(number("limit", 10)?).unwrap_or(0);
        if !(1..=100).contains(&limit) {
            return Err(wrong("parameter_invalid_integer", "limit"));
        }
        let of = get(query, "payment_intent");
        let mut all: Vec<Value> = match what {
            "refunds" => {
                let refunds = self
                    .refunds
                    .iter()
                    .filter(|(_, r)| of.is_empty() || r.intent == of);
                refunds.map(|(id, r)| self.refund_shown(id, r)).collect()
            }
            _ => {
                let intents = self
                    .intents
                    .iter()
                    .filter(|(_, i)| (from..=to).contains(&i.created));
                intents.map(|(id, i)| shown(id, i)).collect()
            }
        };
        all.reverse();
        let after = get(query, "starting_after");
        if !after.is_empty() {
            let at = all
                .iter()
                .position(|one| one["id"] == after)
                .ok_or_else(|| missing(after))?;
            all.drain(..=at);
        }
        let more = all.len() > limit;
        all.truncate(limit);
        Ok(json!({"object": "list", "data": all, "has_more": more, "url": format!("/v1/{what}")}))
    }

    fn post(&mut self, path: &[&str], fields: &Fields) -> Done {
        match *path {
            ["payment_methods"] => self.payment_method(fields),
            ["payment_methods", id, "attach"] => self.attach(id, fields),
            ["payment_intents"] => self.payment_intent(fields),
            ["payment_intents", id, "capture"] => self.capture(id, fields),
            ["payment_intents", id, "cancel"] => self.cancel(id, fields),
            ["setup_intents"] => self.setup_intent(fields),
            ["refunds"] => self.refund(fields),
            ["customers"] => {
                known(fields, 0, &["description", "name", "email"])?;
                let id = self.id("cus");
                self.customers.push(id.clone());
                Ok(json!({"id": id, "object": "customer", "metadata": metadata(fields)}))
            }
            _ => Err(refused(
                404,
                "invalid_request_error",
                "",
                "Unrecognized request URL",
            )),
        }
    }

    fn get(&self, path: &[&str], query: &Fields) -> Done {
        match *path {
            [what @ ("payment_intents" | "refunds")] => self.list(what, query),
            ["payment_intents", id] => {
                known(query, 0, &[])?;
                let intent = self.intents.get(id).ok_or_else(|| missing(id))?;
                Ok(shown(id, intent))
            }
            ["refunds", id] => {
                known(query, 0, &[])?;
                let refund = self.refunds.get(id).ok_or_else(|| missing(id))?;
                Ok(self.refund_shown(id, refund))
            }
            _ => Err(refused(
                404,
                "invalid_request_error",
                "",
                "Unrecognized request URL",
            )),
        }
    }

    /// Does what is asked, once for each idempotency key.
    pub(super) fn done(&mut self, request: &Received, path: &[&str], fields: &Fields) -> Done {
        if request.method == "GET" {
            return self.get(path, fields);
        }
        let Some(key) = request.header("idempotency-key") else {
            let done = self.post(path, fields);
            self.outgoing
                .extend(webhook::told(path, &done, self.serial));
            return done;
        };
        if key.is_empty() || key.len() > 255 {
            return Err(wrong("parameter_invalid_string", "Idempotency-Key"));
        }
        let mut digest = DefaultHasher::new();
        (path, &request.body).hash(&mut digest);
        let digest = digest.finish();
        if let Some((first, status, answer)) = self.keys.get(key) {
            return match (*first == digest, *status) {
                (false, _) => Err(refused(400, "idempotency_error", "", "Idempotency-Key")),
                (true, 200) => Ok(answer.clone()),
                (true, status) => Err((status, answer.clone())),
            };
        }
        let done = self.post(path, fields);
        self.outgoing
            .extend(webhook::told(path, &done, self.serial));
        let (status, answer) = match &done {
            Ok(answer) => (200, answer),
            Err((status, answer)) => (*status, answer),
        };
        self.keys
            .insert(key.to_owned(), (digest, status, answer.clone()));
        done
    }
}

fn shown(id: &str, intent: &Intent) -> Value {
    let capturable = if intent.status == "requires_capture" {
        intent.amount
    } else {
        0
    };
    json!({
        "id": id, "object": "payment_intent", "status": intent.status, "amount": intent.amount, "amount_capturable": capturable,
        "amount_received": intent.received, "capture_method": intent.capture, "currency": intent.currency, "created": intent.created, "metadata": intent.metadata,
        "last_payment_error": intent.error, "latest_charge": id.replacen("pi", "ch", 1), "livemode": false,
    })
}
