//! What each call does.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use super::webhook::Told;
use super::{
    Adyen, Done, MERCHANT, Payment, Refusal, amount, known, merchant, missing, refused, required,
    text, wrong,
};
use crate::acquirer::cards;
use crate::acquirer::http::Received;

/// What a card or a holder's name stands for: code and reason.
fn verdict(number: &str, holder: &str) -> Option<Refusal> {
    let by_name = match holder {
        "DECLINED" => Some(("2", "Refused")),
        "REFERRAL" => Some(("3", "Referral")),
        "BLOCK_CARD" => Some(("5", "Blocked Card")),
        "CARD_EXPIRED" => Some(("6", "Expired Card")),
        "NOT_ENOUGH_BALANCE" => Some(("12", "Not enough balance")),
        "CVC_DECLINED" => Some(("24", "CVC Declined")),
        _ => None,
    };
    by_name.or(match number {
        "4000000000000002" => Some(("2", "Refused")),
        "4000000000009995" => Some(("12", "Not enough balance")),
        "4000000000009987" | "4000000000009979" => Some(("5", "Blocked Card")),
        "4000000000000069" => Some(("6", "Expired Card")),
        "4000000000000127" => Some(("24", "CVC Declined")),
        "4000000000000119" => Some(("4", "Acquirer Error")),
        "4100000000000019" => Some(("20", "FRAUD")),
        "4000002500003155" => Some(("38", "Authentication required")),
        _ => None,
    })
}

impl Adyen {
    fn psp(&mut self) -> String {
        self.serial += 1;
        format!("IVRPAY{:09}X", self.serial)
    }

    /// Number's end and its refusal: of a card that is sent, or of one that is stored.
    fn card(&self, body: &Value) -> Result<(String, Option<Refusal>), (u16, Value)> {
        let method = &body["paymentMethod"];
        if required(method, "type")? != "scheme" {
            return Err(wrong("14_006", "Required object 'paymentMethod' is wrong"));
        }
        let id = text(method, "/storedPaymentMethodId");
        if !id.is_empty() {
            let stored = self.stored.get(id);
            let (shopper, verdict, last4) =
                stored.ok_or_else(|| wrong("800", "Contract not found"))?;
            if required(body, "shopperReference")? != shopper {
                return Err(wrong("800", "Contract not found"));
            }
            return match text(body, "/shopperInteraction") {
                "ContAuth" => Ok((last4.clone(), *verdict)),
                _ => Err(wrong("103", "CVC is not the right length")),
            };
        }
        let number = required(method, "number")?;
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if !(12..=19).contains(&number.len()) || !digits(number) || !cards::luhn(number) {
            return Err(wrong("101", "Invalid card number"));
        }
        let (month, year) = (
            required(method, "expiryMonth")?,
            required(method, "expiryYear")?,
        );
        let (month, year): (u32, u32) = (month.parse().unwrap_or(0), year.parse().unwrap_or(0));
        if !(1..=12).contains(&month) || !(2000..=2099).contains(&year) {
            return Err(wrong("129", "Expiry Date Invalid"));
        }
        let code = text(method, "/cvc");
        if !code.is_empty() && (!digits(code) || !(3..=4).contains(&code.len())) {
            return Err(wrong("103", "CVC is not the right length"));
        }
        let expired = (year, month) < cards::this_month();
        let verdict = verdict(number, text(method, "/holderName"));
        let last4 = cards::last4(number);
        Ok((
            last4,
            if expired {
                Some(("6", "Expired Card"))
            } else {
                verdict
            },
        ))
    }

    fn payment(&mut self, body: &Value) -> Done {
        known(
            body,
            &[
                "merchantAccount",
                "amount",
                "amount.value",
                "amount.currency",
                "reference",
                "returnUrl",
                "shopperInteraction",
                "paymentMethod",
                "paymentMethod.type",
                "paymentMethod.number",
                "paymentMethod.expiryMonth",
                "paymentMethod.expiryYear",
                "paymentMethod.cvc",
                "paymentMethod.holderName",
                "paymentMethod.storedPaymentMethodId",
                "captureDelayHours",
                "installments",
                "installments.value",
                "installments.plan",
                "storePaymentMethod",
                "shopperReference",
                "recurringProcessingModel",
                "additionalData",
                "additionalData.*",
                "metadata",
                "metadata.*",
            ],
        )?;
        merchant(body)?;
        let (value, currency) = amount(body)?;
        let reference = required(body, "reference")?.to_owned();
        if reference.len() > 80 {
            return Err(wrong("130", "Reference is too long"));
        }
        required(body, "returnUrl")?;
        if !["Ecommerce", "ContAuth", "Moto", "POS", ""]
            .contains(&text(body, "/shopperInteraction"))
        {
            return Err(wrong("000", "shopperInteraction"));
        }
        let plan = &body["installments"];
        if !plan.is_null()
            && !plan["value"]
                .as_u64()
                .is_some_and(|n| (1..=99).contains(&n))
        {
            return Err(wrong("157", "Invalid number of installments"));
        }
        let plans = ["", "regular", "bonus", "revolving"];
        if !plans.contains(&text(plan, "/plan")) {
            return Err(wrong("157", "installments.plan"));
        }
        let (last4, verdict) = self.card(body)?;
        let store = body["storePaymentMethod"] == true;
        if store && text(body, "/shopperReference").len() < 3 {
            return Err(missing("shopperReference"));
        }
        let psp = self.psp();
        let moto = text(body, "/shopperInteraction") != "Ecommerce";
        let mut answer = json!({
            "pspReference": psp, "merchantReference": reference, "amount": {"value": value, "currency": currency},
        });
        let state = match verdict {
            _ if !moto => {
                answer["resultCode"] = "RedirectShopper".into();
                "Redirected"
            }
            Some((code @ "4", reason)) => {
                answer["resultCode"] = "Error".into();
                answer["refusalReasonCode"] = code.into();
                answer["refusalReason"] = reason.into();
                "Error"
            }
            Some((code, reason)) => {
                answer["resultCode"] = "Refused".into();
                answer["refusalReasonCode"] = code.into();
                answer["refusalReason"] = reason.into();
                "Refused"
            }
            None => {
                answer["resultCode"] = "Authorised".into();
                answer["additionalData"] =
                    json!({"authCode": format!("{:06}", self.serial), "cvcResult": "1 Matches"});
                if store {
                    let id = format!("STORED{:08}", self.serial);
                    let shopper = text(body, "/shopperReference").to_owned();
                    answer["additionalData"]["tokenization.shopperReference"] =
                        shopper.as_str().into();
                    answer["additionalData"]["tokenization.storedPaymentMethodId"] =
                        id.as_str().into();
                    self.stored.insert(id, (shopper, verdict, last4.clone()));
                }
                "Authorised"
            }
        };
        let manual = text(body, "/additionalData/manualCapture") == "true";
        let hours = &body["captureDelayHours"];
        if !hours.is_null() && hours.as_u64().is_none_or(|hours| hours > 672) {
            return Err(wrong("168", "captureDelayHours"));
        }
        let delayed = hours.as_u64().is_some_and(|hours| hours > 0) && !manual;
        let payment = Payment {
            reference,
            amount: value,
            currency,
            state,
            captured: if state == "Authorised" && !manual && !delayed {
                value
            } else {
                0
            },
            delayed,
            refunded: 0,
            plan: plan.clone(),
            last4,
            requests: 1,
            last: None,
        };
        if state != "Redirected" {
            let told = Told {
                event: "AUTHORISATION",
                psp: psp.clone(),
                original: String::new(),
                reference: payment.reference.clone(),
                sum: (value, payment.currency.clone()),
                reason: match text(&answer, "/refusalReason") {
                    "" => format!("{:06}:{}:12/2040", self.serial, payment.last4),
                    refusal => refusal.to_owned(),
                },
                success: state == "Authorised",
            };
            self.outgoing.push(told.outgoing());
        }
        self.payments.insert(psp, payment);
        Ok((200, answer))
    }

    fn modification(&mut self, psp: &str, what: &str, body: &Value) -> Done {
        let sums = [
            "merchantAccount",
            "amount",
            "amount.value",
            "amount.currency",
            "reference",
        ];
        let with_sum = matches!(what, "captures" | "refunds");
        known(
            body,
            if with_sum {
                &sums
            } else {
                &["merchantAccount", "reference"]
            },
        )?;
        merchant(body)?;
        let sum = if with_sum { Some(amount(body)?) } else { None };
        let own = self.psp();
        let payment = self.payments.get_mut(psp);
        let payment = payment
            .ok_or_else(|| wrong("167", "Original pspReference required for this operation"))?;
        let value = sum.as_ref().map_or(payment.amount, |(value, _)| *value);
        if sum
            .as_ref()
            .is_some_and(|(_, currency)| *currency != payment.currency)
        {
            return Err(wrong("138", "Unsupported currency specified"));
        }
        // What is not possible is told by webhook only; here it just is not done.
        let authorised = payment.state == "Authorised";
        let mut done = true;
        match what {
            "captures" if authorised && payment.captured == 0 && value <= payment.amount => {
                payment.captured = value;
            }
            "cancels" | "reversals" if authorised && payment.captured == 0 => {
                payment.state = "Cancelled";
            }
            "reversals" if authorised => payment.refunded = payment.captured,
            "refunds" if value <= payment.captured.saturating_sub(payment.refunded) => {
                payment.refunded += value;
            }
            _ => done = false,
        }
        let reference = text(body, "/reference").to_owned();
        payment.last = Some((what.to_owned(), reference.clone(), own.clone(), value));
        let told = Told {
            event: match what {
                "captures" => "CAPTURE",
                "cancels" => "CANCELLATION",
                "reversals" => "CANCEL_OR_REFUND",
                _ => "REFUND",
            },
            psp: own.clone(),
            original: psp.to_owned(),
            reference,
            sum: (value, payment.currency.clone()),
            reason: if done {
                String::new()
            } else {
                "Insufficient balance on payment".to_owned()
            },
            success: done,
        };
        self.outgoing.push(told.outgoing());
        let mut answer = json!({
            "merchantAccount": MERCHANT, "paymentPspReference": psp, "pspReference": own, "status": "received",
            "reference": body["reference"],
        });
        if with_sum {
            answer["amount"] = body["amount"].clone();
        }
        Ok((201, answer))
    }

    /// The technical cancel: by the merchant's own reference.
    fn cancel(&mut self, body: &Value) -> Done {
        known(body, &["merchantAccount", "paymentReference", "reference"])?;
        merchant(body)?;
        let reference = required(body, "paymentReference")?;
        let own = self.psp();
        let found = self
            .payments
            .iter_mut()
            .find(|(_, p)| p.reference == reference && p.state == "Authorised" && p.captured == 0);
        // Of all that is told later, this alone bears the payment's reference and not the request's.
        let mut told = Told {
            event: "TECHNICAL_CANCEL",
            psp: own.clone(),
            original: String::new(),
            reference: reference.to_owned(),
            sum: (0, "JPY".to_owned()),
            reason: "Transaction not found".to_owned(),
            success: false,
        };
        if let Some((psp, payment)) = found {
            payment.state = "Cancelled";
            (told.original, told.success) = (psp.clone(), true);
            told.sum = (payment.amount, payment.currency.clone());
            told.reason.clear();
        }
        self.outgoing.push(told.outgoing());
        let answer = json!({
            "merchantAccount": MERCHANT, "paymentReference": reference, "pspReference": own, "status": "received",
            "reference": body["reference"],
        });
        Ok((201, answer))
    }

    fn post(&mut self, path: &[&str], body: &Value) -> Done {
        match *path {
            ["payments"] => self.payment(body),
            [
                "payments",
                psp,
                what @ ("captures" | "cancels" | "refunds" | "reversals"),
            ] => self.modification(psp, what, body),
            ["cancels"] => self.cancel(body),
            _ => Err(refused(404, "000", "validation", "Not Found")),
        }
    }

    pub(super) fn done(&mut self, request: &Received, path: &[&str], body: &Value) -> Done {
        let Some(key) = request.header("idempotency-key") else {
            return self.post(path, body);
        };
        if key.is_empty() || key.len() > 64 {
            return Err(wrong("000", "Idempotency-Key"));
        }
        let mut digest = DefaultHasher::new();
        (path, &request.body).hash(&mut digest);
        let digest = digest.finish();
        if let Some((first, status, answer)) = self.keys.get(key) {
            return match (*first == digest, *status) {
                (false, _) => Err(wrong("704", "request already processed or in progress")),
                (true, 200 | 201) => Ok((*status, answer.clone())),
                (true, status) => Err((status, answer.clone())),
            };
        }
        let done = self.post(path, body);
        let (Ok((status, answer)) | Err((status, answer))) = &done;
        self.keys
            .insert(key.to_owned(), (digest, *status, answer.clone()));
        done
    }
}
