//! Hyperswitch: a switch in front of other processors, hosted or one's own.
//!
//! A payment's id is ours, made from the order number, so that a payment whose answer was lost is found again by it
//! (`GET … force_sync=true`), and no second one can be made under it. The same with refunds. Nothing is ever sent twice.

mod codes;
mod fields;

use ivrpay_payment::{
    AcquirerOrder, Doubt, Intent, Money, OperationId, OperationKind, Outcome, Parent, Reason,
    Truncated, Why,
};
use ivrpay_secret::{Buffer, Full};
use secrecy::SecretString;
use serde_json::Value;

use crate::codes::soft;
use crate::connector::{SETTLED_AFTER_S, is_early, never};
use crate::json::Object;
use crate::{
    About, Asked, BuildError, Capabilities, Connector, Hosts, Method, Progress, Reply, Request,
    Setting, Settings, Step, json, text, Sandbox, TestCard};
use fields::at;

/// Room for a request, bytes: the longest has under 700.
const REQUEST_MAX: usize = 1_024;

/// What there is to say of it.
pub const ABOUT: About = About {
    name: "hyperswitch",
    title: "Hyperswitch",
    capabilities: Capabilities {
        charge: true,
        authorise_without_capture: true,
        capture: true,
        partial_capture: true,
        void: true,
        refund: true,
        partial_refund: true,
        query: true,
        ..Capabilities::NONE
    },
    hosts: Some(Hosts {
        test: "https://sandbox.hyperswitch.io",
        live: Some("https://api.hyperswitch.io"),
        others: &[],
    }),
    basic: false,
    raw_pan: true,
    settings: &[Setting::secret("api_key", 255, "the secret API key")],
    // Of its dummy processor.
    sandbox: Sandbox {
        approved: Some(TestCard::new("4242424242424242", "123")),
        declined: Some(TestCard::new("4000000000000002", "123")),
        knows_doubles: true,
    },
    make: |settings| Ok(Box::new(Hyperswitch::new(settings))),
};

/// The connector.
pub struct Hyperswitch {
    api_key: SecretString,
}

impl Hyperswitch {
    fn new(settings: &Settings) -> Self {
        Self {
            api_key: settings.secret("api_key"),
        }
    }

    fn request(&self, method: Method, path: String, body: Buffer) -> Request {
        Request {
            method,
            path,
            headers: vec![("accept", "application/json".into())],
            credentials: vec![(fields::API_KEY, self.api_key.clone())],
            content_type: "application/json",
            body,
        }
    }

    fn post(
        &self,
        path: String,
        members: impl FnOnce(&mut Object<'_>) -> Result<(), Full>,
    ) -> Result<Request, BuildError> {
        let mut body = Buffer::take(REQUEST_MAX)?;
        let mut object = Object::begin(&mut body)?;
        members(&mut object)?;
        object.end()?;
        Ok(self.request(Method::Post, path, body))
    }

    fn pay(&self, asked: &Asked<'_>) -> Result<Request, BuildError> {
        let op = asked.op.get();
        if !op.plan.is_lump_sum() {
            return Err(BuildError::Plan { plan: op.plan });
        }
        if op.token.is_some() {
            return Err(BuildError::Field {
                field: "payment_token",
            });
        }
        let card = asked.card()?;
        self.post(fields::PAYMENTS.to_owned(), |object| {
            object.text(fields::PAYMENT_ID, &payment_id(op.acquirer_order))?;
            object.number(fields::AMOUNT, op.amount.minor())?;
            object.text(fields::CURRENCY, op.amount.currency().code())?;
            object.flag(fields::CONFIRM, true)?;
            let manual = op.kind == OperationKind::Authorise;
            let capture = if manual { "manual" } else { "automatic" };
            object.text(fields::CAPTURE_METHOD, capture)?;
            object.text(fields::AUTHENTICATION, "no_three_ds")?;
            object.text(fields::CHANNEL, "telephone_order")?;
            object.text(fields::METHOD, "card")?;
            object.object(fields::METHOD_DATA, |data| {
                data.object(fields::CARD, |object| {
                    card.pan
                        .expose(|digits| object.bytes(fields::NUMBER, digits))?;
                    card.expiry.expose(|month, year| {
                        object.bytes(fields::EXPIRY_MONTH, month)?;
                        object.parts(fields::EXPIRY_YEAR, &[b"20", year])
                    })?;
                    if let Some(code) = &card.code {
                        code.expose(|digits| object.bytes(fields::SECURITY_CODE, digits))?;
                    }
                    object.text(fields::HOLDER, fields::NOBODY)
                })
            })?;
            object.text(fields::ORDER, &op.acquirer_order.to_string())?;
            object.object(fields::METADATA, |metadata| {
                metadata.text(fields::OPERATION, &op.operation_id.to_string())
            })
        })
    }

    fn later(&self, asked: &Asked<'_>) -> Result<Request, BuildError> {
        let (op, parent) = (asked.op.get(), asked.parent()?);
        let id = payment_id(parent.acquirer_order);
        match op.kind {
            OperationKind::Capture => {
                self.post(format!("{}/{id}/capture", fields::PAYMENTS), |object| {
                    object.number(fields::AMOUNT_TO_CAPTURE, op.amount.minor())
                })
            }
            OperationKind::Refund => self.post(fields::REFUNDS.to_owned(), |object| {
                object.text(fields::PAYMENT_ID, &id)?;
                object.text(fields::REFUND_ID, &refund_id(op.operation_id))?;
                object.number(fields::AMOUNT, op.amount.minor())
            }),
            _ => self.post(format!("{}/{id}/cancel", fields::PAYMENTS), |object| {
                object.text(fields::CANCELLATION_REASON, "requested_by_customer")
            }),
        }
    }

    fn query(&self, about: &Parent) -> Result<Request, BuildError> {
        let path = match about.kind {
            OperationKind::Refund => {
                format!("{}/{}", fields::REFUNDS, refund_id(about.operation_id))
            }
            _ => {
                let id = payment_id(about.acquirer_order);
                format!("{}/{id}?force_sync=true", fields::PAYMENTS)
            }
        };
        Ok(self.request(Method::Get, path, Buffer::take(0)?))
    }
}

impl Connector for Hyperswitch {
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
            (OperationKind::Charge | OperationKind::Authorise, 0, None) => {
                Ok(Step::send(self.pay(asked)?, 1, None))
            }
            (OperationKind::Charge | OperationKind::Authorise, 1, Some(reply)) => {
                Ok(Step::Done(paid(op, reply)))
            }
            (OperationKind::Capture | OperationKind::Void | OperationKind::Refund, 0, None) => {
                Ok(Step::send(self.later(asked)?, 1, None))
            }
            (
                OperationKind::Capture | OperationKind::Void | OperationKind::Refund,
                1,
                Some(reply),
            ) => Ok(Step::Done(altered(op, reply))),
            (OperationKind::Query, 0, None) => Ok(Step::ask(self.query(asked.parent()?)?, 1, None)),
            (OperationKind::Query, 1, Some(reply)) => {
                let about = asked.parent()?;
                let early = is_early(about, SETTLED_AFTER_S, asked.now_unix_s);
                Ok(Step::Done(found(about, early, op.card, reply)))
            }
            (OperationKind::Tokenise | OperationKind::Verify, ..) => {
                Err(BuildError::Unsupported { kind: op.kind })
            }
            (_, stage, _) => Err(BuildError::Stage { stage }),
        }
    }
}

/// The id of the payment of an order: 30 characters.
fn payment_id(order: AcquirerOrder) -> String {
    format!("tel{:027}", order.get())
}

/// The id of the refund of an operation: 30 characters, of which 27 are the end of the operation's id.
fn refund_id(operation: OperationId) -> String {
    let id = operation.to_string().replace('-', "");
    format!("ref{}", id.get(5..).unwrap_or_default())
}

/// The answer, or what the lack of one means for the money. Total.
fn object(reply: &Reply) -> Result<Value, Outcome> {
    let status = reply.status();
    let answer = json::read(reply);
    if status == 200 {
        return answer.ok_or(Outcome::Unknown(Doubt::Malformed));
    }
    let code = answer.as_ref().and_then(|a| json::text(a, at::ERROR_CODE));
    Err(match (status, code) {
        // What is wrong with a request, and found before a processor was asked.
        (400 | 401 | 403 | 404 | 422, Some(code)) => codes::error(code).outcome(code),
        _ => Outcome::Unknown(Doubt::Status { status }),
    })
}

/// What the answer to a new payment says. Total.
fn paid(op: &Intent, reply: &Reply) -> Outcome {
    let payment = match object(reply) {
        Ok(payment) => payment,
        Err(outcome) => return outcome,
    };
    if !is_ours(&payment, op.acquirer_order, Some(op.operation_id)) {
        return Outcome::Unknown(Doubt::Mismatch);
    }
    match (op.kind, json::text(&payment, at::STATUS)) {
        // More was taken than asked, or less done.
        (OperationKind::Authorise, Some("succeeded"))
        | (OperationKind::Charge, Some("requires_capture")) => Outcome::Unknown(Doubt::Mismatch),
        _ => state(&payment, op.amount, true, op.card),
    }
}

fn is_ours(payment: &Value, order: AcquirerOrder, operation: Option<OperationId>) -> bool {
    json::text(payment, at::PAYMENT_ID) == Some(&payment_id(order))
        && operation.is_none_or(|id| json::text(payment, at::OPERATION) == Some(&id.to_string()))
}

fn is_of(object: &Value, place: &str, amount: Money) -> bool {
    json::number(object, place) == Some(amount.minor())
        && json::text(object, at::CURRENCY) == Some(amount.currency().code())
}

/// An approval by the payment's id.
fn yes(payment: &Value, card: Truncated) -> Outcome {
    let id = json::text(payment, at::PAYMENT_ID).unwrap_or_default();
    text::approved(id, None, card)
}

/// What a payment says about the operation that made it.
fn state(payment: &Value, amount: Money, early: bool, card: Truncated) -> Outcome {
    if !is_of(payment, at::AMOUNT, amount) {
        return Outcome::Unknown(Doubt::Mismatch);
    }
    match json::text(payment, at::STATUS) {
        Some("succeeded" | "requires_capture") => yes(payment, card),
        Some("failed") => {
            let code = json::text(payment, at::REFUSAL).unwrap_or("failed");
            codes::refusal(code).outcome(code)
        }
        // 3-D Secure: nobody can do that on the telephone, and nothing is taken before.
        Some(status @ "requires_customer_action") => {
            soft(Reason::AuthenticationRequired).outcome(status)
        }
        Some("cancelled") => Outcome::NotCharged(Why::Reversed),
        Some("requires_payment_method" | "requires_confirmation") => never(early),
        Some("processing") => Outcome::Unknown(Doubt::Pending),
        Some("partially_captured") => Outcome::Unknown(Doubt::Mismatch),
        _ => Outcome::Unknown(Doubt::Malformed),
    }
}

/// Whether exactly this was taken.
fn is_taken(payment: &Value, amount: Money) -> bool {
    let status = json::text(payment, at::STATUS);
    matches!(status, Some("succeeded" | "partially_captured"))
        && is_of(payment, at::RECEIVED, amount)
}

/// What the answer to a capture, cancellation or refund says. Total.
fn altered(op: &Intent, reply: &Reply) -> Outcome {
    let answer = match object(reply) {
        Ok(answer) => answer,
        Err(outcome) => return outcome,
    };
    if op.kind == OperationKind::Refund {
        return refunded(op.operation_id, op.acquirer_order, op.amount, &answer, op.card);
    }
    let status = json::text(&answer, at::STATUS);
    let done = match op.kind {
        OperationKind::Capture => is_taken(&answer, op.amount),
        _ => status == Some("cancelled"),
    };
    match status {
        _ if !is_ours(&answer, op.acquirer_order, None) => Outcome::Unknown(Doubt::Mismatch),
        _ if done => yes(&answer, op.card),
        Some("processing") => Outcome::Unknown(Doubt::Pending),
        _ => Outcome::Unknown(Doubt::Mismatch),
    }
}

/// What a refund says of itself.
fn refunded(
    operation: OperationId,
    order: AcquirerOrder,
    amount: Money,
    refund: &Value,
    card: Truncated,
) -> Outcome {
    let id = refund_id(operation);
    if json::text(refund, at::REFUND_ID) != Some(&id)
        || !is_ours(refund, order, None)
        || !is_of(refund, at::AMOUNT, amount)
    {
        return Outcome::Unknown(Doubt::Mismatch);
    }
    match json::text(refund, at::STATUS) {
        Some("succeeded") => text::approved(&id, None, card),
        Some("failed") => Outcome::NotCharged(Why::Rejected),
        Some("pending" | "review") => Outcome::Unknown(Doubt::Pending),
        _ => Outcome::Unknown(Doubt::Malformed),
    }
}

/// What is known of the operation that was asked about. Total.
fn found(about: &Parent, early: bool, card: Truncated, reply: &Reply) -> Outcome {
    let answer = match object(reply) {
        Ok(answer) => answer,
        // What is wrong with this question says nothing about the payment, unless it is that there is none.
        Err(Outcome::NotCharged(_)) => {
            let answer = json::read(reply);
            let code = answer.as_ref().and_then(|a| json::text(a, at::ERROR_CODE));
            return if reply.status() == 404 && code == Some(codes::NOT_FOUND) {
                never(early)
            } else {
                Outcome::Unknown(Doubt::Status {
                    status: reply.status(),
                })
            };
        }
        Err(outcome) => return outcome,
    };
    let first = matches!(about.kind, OperationKind::Charge | OperationKind::Authorise);
    if about.kind == OperationKind::Refund {
        return refunded(about.operation_id, about.acquirer_order, about.amount, &answer, card);
    }
    if !is_ours(&answer, about.acquirer_order, first.then_some(about.operation_id)) {
        return Outcome::Unknown(Doubt::Mismatch);
    }
    match (about.kind, json::text(&answer, at::STATUS)) {
        (OperationKind::Capture, _) if is_taken(&answer, about.amount) => yes(&answer, card),
        (OperationKind::Void, Some("cancelled")) => yes(&answer, card),
        (OperationKind::Capture, Some("cancelled")) => Outcome::NotCharged(Why::Reversed),
        (OperationKind::Capture | OperationKind::Void, Some("requires_capture")) => never(early),
        (OperationKind::Capture | OperationKind::Void, Some("processing")) => {
            Outcome::Unknown(Doubt::Pending)
        }
        (OperationKind::Void, Some("succeeded" | "partially_captured" | "failed")) => never(early),
        (OperationKind::Authorise, Some("partially_captured"))
            if is_of(&answer, at::AMOUNT, about.amount) =>
        {
            yes(&answer, card)
        }
        (OperationKind::Charge, Some("requires_capture")) => Outcome::Unknown(Doubt::Mismatch),
        _ if first => state(&answer, about.amount, early, card),
        _ => Outcome::Unknown(Doubt::Mismatch),
    }
}

#[cfg(test)]
mod tests;
