//! The "Generic Pay" contract: one HTTPS endpoint of the merchant, or of a payment provider, that charges for us.
//!
//! One request, one answer. It knows charge only (tokenise is in the contract and comes with its flow): no capture, void,
//! refund or query, so that an unknown outcome goes to a person. The same request goes out again only where the merchant says that his
//! endpoint knows a `transaction_id` again, and has the card kept until the answer ([`Resend`]).

mod codes;
mod fields;

use ivrpay_card::Card;
use ivrpay_payment::{
    AcquirerRef, Approval, Currency, Doubt, Intent, OperationKind, Outcome, plant,
};
use ivrpay_secret::{Buffer, Full};
use serde::Deserialize;
use serde_json::Value;

use crate::json::Object;
use crate::{
    About, Asked, BuildError, Capabilities, Connector, Method, Plans, Progress, Reply, Request, Resend,
    SettingError, Step, text, Sandbox};

/// Room for a request, bytes. Without parameters of the merchant's own it takes under 500.
const REQUEST_MAX: usize = 2048;

/// What there is to say of it.
pub const ABOUT: About = About {
    name: "generic",
    title: "Generic Pay",
    capabilities: Capabilities {
        charge: true,
        plans: Plans {
            instalments: true,
            bonus_lump_sum: true,
            bonus_instalments: true,
            revolving: true,
            counts: &[],
        },
        // The contract asks the endpoint to know its `transaction_id` again; whether it does, only the merchant can say.
        resend: Resend::IfDeduplicated,
        ..Capabilities::NONE
    },
    hosts: None,
    basic: true,
    raw_pan: false,
    settings: &[],
    sandbox: Sandbox::NO_CARDS,
    make: |settings| {
        if let Some(name) = settings.secrets.keys().next() {
            return Err(SettingError::Unknown {
                name: name.clone(),
                known: "no secrets but the password of HTTP Basic".to_owned(),
                secret: true,
            });
        }
        let parameters = settings.parameters.clone().into_iter().collect();
        Ok(Box::new(Generic::new(parameters)?))
    },
};

/// The connector.
#[derive(Debug, Clone, Default)]
pub struct Generic {
    parameters: Vec<(String, String)>,
}

impl Generic {
    /// Most bytes of names and values of the merchant's own parameters: 512.
    pub const PARAMETERS_MAX: usize = 512;

    /// With fixed parameters of the merchant's own (`merchant_id`, `shop` ...), sent with every request.
    ///
    /// # Errors
    /// [`SettingError::Value`].
    pub fn new(parameters: Vec<(String, String)>) -> Result<Self, SettingError> {
        let ours = [
            fields::PAYMENT_ID,
            fields::ACQUIRER_ORDER,
            fields::ORDER_ID,
            fields::OPERATOR_ID,
            fields::PAYMENT_PLAN,
            fields::PAYMENT_PLAN_COUNT,
            fields::MOTO,
        ];
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let wrong = |name: &str, what| {
            Err(SettingError::Value {
                name: name.to_owned(),
                what,
                secret: false,
            })
        };
        let mut bytes = 0;
        for (name, value) in &parameters {
            if name.is_empty() || !name.bytes().all(plain) || ours.contains(&name.as_str()) {
                return wrong(
                    name,
                    "a parameter's name is of a-z, 0-9 and _, and none of payment_id, acquirer_order, order_id, operator_id, payment_plan, payment_plan_count, moto",
                );
            }
            if value.chars().any(char::is_control) {
                return wrong(name, "a parameter's value holds no control character");
            }
            bytes += name.len() + value.len();
            if bytes > Self::PARAMETERS_MAX {
                return wrong(
                    name,
                    "parameters have 512 bytes together, names and values",
                );
            }
        }
        Ok(Self { parameters })
    }

    fn charge(&self, op: &Intent, card: &Card) -> Result<Request, Full> {
        let mut body = Buffer::take(REQUEST_MAX)?;
        let mut object = Object::begin(&mut body)?;
        object.text(fields::METHOD, fields::METHOD_CHARGE)?;
        object.text(fields::TRANSACTION_ID, &op.idempotency_key.to_string())?;
        card.pan
            .expose(|digits| object.bytes(fields::CARD_NUMBER, digits))?;
        if let Some(code) = &card.code {
            code.expose(|digits| object.bytes(fields::SECURITY_CODE, digits))?;
        }
        card.expiry.expose(|month, year| {
            object.bytes(fields::EXPIRY_MONTH, month)?;
            object.bytes(fields::EXPIRY_YEAR, year)
        })?;
        object.text(fields::AMOUNT, &op.amount.decimal())?;
        object.text(fields::CURRENCY, op.amount.currency().code())?;
        object.object(fields::PARAMETERS, |parameters| {
            for (name, value) in &self.parameters {
                parameters.text(name, value)?;
            }
            parameters.text(fields::PAYMENT_ID, &op.payment_id.to_string())?;
            parameters.text(fields::ACQUIRER_ORDER, &op.acquirer_order.to_string())?;
            if let Some(order) = &op.order {
                parameters.text(fields::ORDER_ID, order.as_str())?;
            }
            if let Some(operator) = &op.operator {
                parameters.text(fields::OPERATOR_ID, operator.as_str())?;
            }
            parameters.text(fields::PAYMENT_PLAN, op.plan.name())?;
            if let Some(count) = op.plan.count() {
                parameters.text(fields::PAYMENT_PLAN_COUNT, &count.to_string())?;
            }
            parameters.text(fields::MOTO, "true")
        })?;
        object.end()?;
        Ok(Request {
            method: Method::Post,
            path: String::new(),
            headers: vec![("accept", "application/json".into())],
            credentials: Vec::new(),
            content_type: "application/json",
            body,
        })
    }
}

impl Connector for Generic {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn step(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        match (op.kind, progress.stage, last) {
            (OperationKind::Charge, 0, None) => {
                let request = self.charge(op, asked.card()?)?;
                Ok(Step::send(request, 1, None))
            }
            (OperationKind::Charge, 1, Some(reply)) => Ok(Step::Done(read(op, reply))),
            (OperationKind::Charge, stage, _) => Err(BuildError::Stage { stage }),
            (kind, ..) => Err(BuildError::Unsupported { kind }),
        }
    }
}

/// What a reply says of `op`. Total: any status and any bytes give an outcome (fuzz target `acquirer_reply_generic`).
///
/// 200 with `charge_id` alone is an approval; `error_code` alone, with 200 or 4xx, goes by `codes.rs`; all else is unknown.
#[must_use]
pub fn read(op: &Intent, reply: &Reply) -> Outcome {
    let status = reply.status();
    let may_speak = status == 200 || (400..500).contains(&status);
    if !may_speak && plant::is("500-is-declined") {
        return codes::outcome("E-500", status);
    }
    if !may_speak {
        return Outcome::Unknown(Doubt::Status { status });
    }
    // A 4xx that is not in the contract's form says nothing about the money: a proxy may have written it.
    let unreadable = Outcome::Unknown(if status == 200 {
        Doubt::Malformed
    } else {
        Doubt::Status { status }
    });
    let Some(answer) = reply.body().and_then(parse) else {
        return unreadable;
    };
    let (Ok(charge_id), Ok(error_code)) = (
        answer.text(&answer.charge_id),
        answer.text(&answer.error_code),
    ) else {
        return unreadable;
    };
    match (charge_id, error_code) {
        (Some(_), None) if status != 200 => unreadable,
        (None, None) | (Some(_), Some(_)) => unreadable,
        _ if !answer.is_about(op) => Outcome::Unknown(Doubt::Mismatch),
        (None, Some(code)) => codes::outcome(&code, status),
        (Some(charge_id), None) => approve(op, &charge_id, &answer).unwrap_or(unreadable),
    }
}

/// The contract's answer. The members below `parameters` are not the contract's, but endpoints repeat them; if they do, they
/// have to be right.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    charge_id: Value,
    error_code: Value,
    parameters: Value,
    amount: Value,
    currency_code: Value,
    transaction_id: Value,
}

fn parse(body: &[u8]) -> Option<Answer> {
    // An object and nothing else: serde would read an array as a struct, member by member.
    let object = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    let answer: Answer = object.then(|| serde_json::from_slice(body).ok())??;
    // PHP writes an empty object as `[]`.
    let parameters = match &answer.parameters {
        Value::Null | Value::Object(_) => true,
        Value::Array(members) => members.is_empty(),
        _ => false,
    };
    parameters.then_some(answer)
}

impl Answer {
    /// Text or number as text; `None` for null.
    fn text(&self, value: &Value) -> Result<Option<String>, ()> {
        match value {
            Value::Null => Ok(None),
            Value::String(text) if text.trim().is_empty() => Err(()),
            Value::String(text) => Ok(Some(text.clone())),
            Value::Number(number) => Ok(Some(number.to_string())),
            _ => Err(()),
        }
    }

    /// Whether all that the answer repeats of the request is as it was asked.
    fn is_about(&self, op: &Intent) -> bool {
        let currency = op.amount.currency();
        let parameter = |name| self.parameters.get(name).unwrap_or(&Value::Null);
        let same = |value: &Value, equal: &dyn Fn(&str) -> bool| match self.text(value) {
            Ok(None) => true,
            Ok(Some(text)) => equal(&text),
            Err(()) => false,
        };
        let amount = |text: &str| {
            minor(text, currency) == Some(op.amount.minor()) || plant::is("amount-not-compared")
        };
        let code = |text: &str| {
            text.eq_ignore_ascii_case(currency.code()) || plant::is("currency-not-compared")
        };
        let other = plant::is("another-order-taken-for-ours");
        let key = |text: &str| other || text.eq_ignore_ascii_case(&op.idempotency_key.to_string());
        let order = |text: &str| other || text == op.acquirer_order.to_string();
        let payment = |text: &str| text.eq_ignore_ascii_case(&op.payment_id.to_string());
        same(&self.amount, &amount)
            && same(&self.currency_code, &code)
            && same(&self.transaction_id, &key)
            && same(parameter(fields::AMOUNT), &amount)
            && same(parameter(fields::CURRENCY), &code)
            && same(parameter(fields::TRANSACTION_ID), &key)
            && same(parameter(fields::ACQUIRER_ORDER), &order)
            && same(parameter(fields::PAYMENT_ID), &payment)
    }
}

/// `None` when the reference can't be kept: money has moved, but we could not name it.
fn approve(op: &Intent, charge_id: &str, answer: &Answer) -> Option<Outcome> {
    if text::echoes(charge_id, op.card) {
        return None;
    }
    let acquirer_ref = AcquirerRef::new(charge_id).ok()?;
    let code = fields::APPROVAL_CODES.iter().find_map(|name| {
        let code = answer.text(answer.parameters.get(*name)?).ok()??;
        let fits =
            (1..=16).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
        (fits && !text::echoes(&code, op.card)).then_some(code)
    });
    Some(Outcome::Approved(Approval {
        acquirer_ref,
        code,
        card: None,
    }))
}

/// Minor units of a decimal text in major units; zeros beyond the currency's digits are accepted (`1500.00` yen).
fn minor(text: &str, currency: Currency) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty()
        || !text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        || fraction.contains('.')
    {
        return None;
    }
    let mut minor: u64 = whole.parse().ok()?;
    let mut rest = fraction.bytes();
    for _ in 0..currency.exponent() {
        minor = minor
            .checked_mul(10)?
            .checked_add(u64::from(rest.next().unwrap_or(b'0') - b'0'))?;
    }
    rest.all(|b| b == b'0').then_some(minor)
}

#[cfg(test)]
mod tests;
