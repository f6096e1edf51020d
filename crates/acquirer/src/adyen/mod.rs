//! Adyen Checkout: payments by telephone (`Moto`).
//!
//! One request, one answer, and for whatever comes later only `received`: captures, cancels and refunds are done some time after, and
//! told by webhook ([`webhook`]). So no answer calls them done. There is nothing to ask, either: a payment whose answer was lost is undone
//! by our own reference (the technical cancel), which is what a void does where it has no reference of Adyen's. The same request goes out
//! again only where the card is kept until its answer ([`Resend`]).

mod codes;
mod fields;
mod webhook;

use ivrpay_payment::{
    CardToken, Doubt, Intent, OperationKind, Outcome, Plan, Reason,
};
use ivrpay_secret::{Buffer, Full};
use secrecy::SecretString;
use serde_json::Value;

use crate::codes::{Class, soft};
use crate::json::Object;
use crate::{
    About, Asked, BuildError, Capabilities, Connector, Hook, Hosts, Method, Mode, Plans, Progress, Reply,
    Request, Resend, Sandbox, Setting, SettingError, Settings, Step, TestCard, json, text,
};
use fields::at;
use webhook::Webhook;

/// Room for a request, bytes: the longest has under 700.
const REQUEST_MAX: usize = 1_024;

/// Hours after which Adyen captures a charge by itself. Not at once, so that one whose answer was lost can still be cancelled by our
/// reference: what is captured can't.
const CAPTURE_DELAY_H: u64 = 1;

/// What there is to say of it.
pub const ABOUT: About = About {
    name: "adyen",
    title: "Adyen Checkout",
    capabilities: Capabilities {
        charge: true,
        authorise_without_capture: true,
        capture: true,
        partial_capture: true,
        void: true,
        void_unknown: true,
        refund: true,
        partial_refund: true,
        captured_later: true,
        tokenise: true,
        verify: true,
        plans: Plans {
            instalments: true,
            bonus_lump_sum: true,
            revolving: true,
            ..Plans::LUMP_SUM
        },
        // docs.adyen.com/development-resources/api-idempotency.
        resend: Resend::ByKey,
        ..Capabilities::NONE
    },
    hosts: Some(Hosts {
        test: "https://checkout-test.adyen.com/v72",
        live: None,
        others: &[("-checkout-live.adyenpayments.com", Mode::Live)],
    }),
    basic: false,
    raw_pan: true,
    settings: &[
        Setting::text("merchant_account", 80, "the merchant account's name"),
        Setting::secret("api_key", 1_024, "the API key (X-API-Key)"),
        Setting::secret(
            "webhook_hmac_key",
            64,
            "the HMAC key of the webhook, 64 hexadecimal digits",
        )
        .checked(webhook::is_key)
        .optional(),
        Setting::text(
            "webhook_user",
            64,
            "the user of HTTP Basic that the webhook brings, without a colon",
        )
        .checked(|user| !user.contains(':'))
        .optional(),
        Setting::secret(
            "webhook_password",
            256,
            "the password of HTTP Basic that the webhook brings",
        )
        .optional(),
    ],
    sandbox: Sandbox {
        approved: Some(TestCard {
            expiry: Some("0330"),
            ..TestCard::new("4111111111111111", "737")
        }),
        // It refuses by the holder's name, which nobody keys.
        ..Sandbox::NO_CARDS
    },
    make: |settings| Ok(Box::new(Adyen::new(settings)?)),
};

/// The connector.
pub struct Adyen {
    merchant_account: String,
    api_key: SecretString,
    webhook: Option<Webhook>,
}

impl Adyen {
    fn new(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            merchant_account: settings.text("merchant_account"),
            api_key: settings.secret("api_key"),
            webhook: Webhook::new(settings)?,
        })
    }

    fn request(
        &self,
        op: &Intent,
        path: String,
        members: impl FnOnce(&mut Object<'_>) -> Result<(), Full>,
    ) -> Result<Request, BuildError> {
        let mut body = Buffer::take(REQUEST_MAX)?;
        let mut object = Object::begin(&mut body)?;
        object.text(fields::MERCHANT_ACCOUNT, &self.merchant_account)?;
        members(&mut object)?;
        object.end()?;
        Ok(Request {
            method: Method::Post,
            path,
            headers: vec![
                ("accept", "application/json".into()),
                (fields::IDEMPOTENCY_KEY, op.idempotency_key.to_string()),
            ],
            credentials: vec![(fields::API_KEY, self.api_key.clone())],
            content_type: "application/json",
            body,
        })
    }

    /// A charge, an authorisation, a check of the card, or its storing: with an amount or without.
    fn pay(&self, asked: &Asked<'_>) -> Result<Request, BuildError> {
        let op = asked.op.get();
        let (card, stored) = match &op.token {
            Some(token) => {
                let wrong = BuildError::Field {
                    field: fields::STORED,
                };
                (None, Some(shopper_and_card(token).ok_or(wrong)?))
            }
            None => (Some(asked.card()?), None),
        };
        let free = is_free(op.kind);
        self.request(op, fields::PAYMENTS.to_owned(), |object| {
            amount(object, op, if free { 0 } else { op.amount.minor() })?;
            object.text(fields::REFERENCE, &op.acquirer_order.to_string())?;
            // A card on file is charged as such: its holder reads out nothing.
            let interaction = if stored.is_some() { "ContAuth" } else { "Moto" };
            object.text(fields::INTERACTION, interaction)?;
            object.text(fields::RETURN_URL, fields::NOWHERE)?;
            object.object(fields::PAYMENT_METHOD, |method| {
                method.text(fields::TYPE, "scheme")?;
                if let Some((_, id)) = stored {
                    method.text(fields::STORED, id)?;
                }
                let Some(card) = card else { return Ok(()) };
                card.pan.expose(|digits| method.bytes(fields::NUMBER, digits))?;
                card.expiry.expose(|month, year| {
                    method.bytes(fields::EXPIRY_MONTH, month)?;
                    method.parts(fields::EXPIRY_YEAR, &[b"20", year])
                })?;
                if let Some(code) = &card.code {
                    code.expose(|digits| method.bytes(fields::SECURITY_CODE, digits))?;
                }
                method.text(fields::HOLDER, fields::NOBODY)
            })?;
            match op.kind {
                OperationKind::Charge => object.number(fields::CAPTURE_DELAY, CAPTURE_DELAY_H)?,
                OperationKind::Authorise => object.object(fields::ADDITIONAL, |more| {
                    more.text(fields::MANUAL_CAPTURE, "true")
                })?,
                _ => {}
            }
            if let Some((value, plan)) = plan(op.plan) {
                object.object(fields::INSTALLMENTS, |object| {
                    object.number(fields::VALUE, value)?;
                    object.text(fields::PLAN, plan)
                })?;
            }
            let shopper = match stored {
                Some((shopper, _)) => shopper.to_owned(),
                None if op.kind == OperationKind::Tokenise => {
                    object.flag(fields::STORE, true)?;
                    op.operation_id.to_string()
                }
                None => return Ok(()),
            };
            object.text(fields::SHOPPER, &shopper)?;
            object.text(fields::PROCESSING_MODEL, "CardOnFile")
        })
    }

    /// A capture, refund or void of a payment; a void without a reference of Adyen's is the technical cancel.
    fn later(&self, asked: &Asked<'_>) -> Result<Request, BuildError> {
        let (op, parent) = (asked.op.get(), asked.parent()?);
        let reference = parent.acquirer_ref.as_ref().map(|r| r.as_str());
        let of = match (op.kind, reference) {
            (_, Some(of)) if is_reference(of) => Some(of),
            (OperationKind::Void, None) => None,
            _ => return Err(BuildError::NoParent),
        };
        let whole = op.amount == parent.amount;
        let (what, with_amount) = match (op.kind, parent.kind) {
            (OperationKind::Capture, _) => ("captures", true),
            // Whether a charge is captured yet is not known: Adyen cancels or refunds all of it, whichever applies.
            (OperationKind::Void, OperationKind::Charge) => ("reversals", false),
            (OperationKind::Refund, OperationKind::Charge) if whole => ("reversals", false),
            (OperationKind::Refund, _) => ("refunds", true),
            _ => ("cancels", false),
        };
        let path = match of {
            Some(of) => format!("{}/{of}/{what}", fields::PAYMENTS),
            None => fields::CANCELS.to_owned(),
        };
        self.request(op, path, |object| {
            if with_amount {
                amount(object, op, op.amount.minor())?;
            }
            if of.is_none() {
                object.text(fields::PAYMENT_REFERENCE, &parent.acquirer_order.to_string())?;
            }
            object.text(fields::REFERENCE, &op.operation_id.to_string())
        })
    }
}

impl Connector for Adyen {
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
        let pays = match op.kind {
            OperationKind::Charge
            | OperationKind::Authorise
            | OperationKind::Verify
            | OperationKind::Tokenise => true,
            OperationKind::Capture | OperationKind::Void | OperationKind::Refund => false,
            kind => return Err(BuildError::Unsupported { kind }),
        };
        match (progress.stage, last) {
            (0, None) => {
                if pays && !ABOUT.capabilities.plans.has(op.plan) {
                    return Err(BuildError::Plan { plan: op.plan });
                }
                let request = if pays {
                    self.pay(asked)
                } else {
                    self.later(asked)
                };
                let progress = Progress {
                    stage: 1,
                    harmless: is_free(op.kind),
                    ..Progress::default()
                };
                Ok(Step::Send(request?, progress))
            }
            (1, Some(reply)) if pays => Ok(Step::Done(paid(op, reply))),
            (1, Some(reply)) => {
                let parent = asked.parent()?;
                let of = parent.acquirer_ref.as_ref().map(|r| r.as_str());
                let order = parent.acquirer_order.to_string();
                let of = of.map_or((at::OF_REFERENCE, &*order), |of| (at::OF_PSP_REFERENCE, of));
                Ok(Step::Done(received(of, reply)))
            }
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    /// One of before is still being worked on. Which of its own faults may be sent again, Adyen says in a header that is not read.
    fn asks_again(&self, reply: &Reply) -> bool {
        let answer = json::read(reply);
        let code = answer.as_ref().and_then(|a| json::text(a, at::ERROR_CODE));
        reply.status() == 422 && code == Some(codes::IN_PROGRESS)
    }

    fn hook(&self) -> Option<&dyn Hook> {
        self.webhook.as_ref().map(|webhook| webhook as &dyn Hook)
    }
}

/// Whether no money can move by it.
const fn is_free(kind: OperationKind) -> bool {
    matches!(kind, OperationKind::Verify | OperationKind::Tokenise)
}

fn amount(object: &mut Object<'_>, op: &Intent, value: u64) -> Result<(), Full> {
    object.object(fields::AMOUNT, |amount| {
        amount.number(fields::VALUE, value)?;
        amount.text(fields::CURRENCY, op.amount.currency().code())
    })
}

/// `installments.value` and `.plan`.
const fn plan(plan: Plan) -> Option<(u64, &'static str)> {
    match plan {
        Plan::Instalments(count) => Some((count.get() as u64, "regular")),
        Plan::BonusLumpSum => Some((1, "bonus")),
        Plan::Revolving => Some((1, "revolving")),
        Plan::LumpSum | Plan::BonusInstalments(_) => None,
    }
}

/// Letters and digits, fit for a path.
fn is_reference(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A token is `shopper:stored card`.
fn shopper_and_card(token: &CardToken) -> Option<(&str, &str)> {
    let (shopper, id) = token.as_str().split_once(':')?;
    (shopper.len() >= 3 && is_reference(id)).then_some((shopper, id))
}

/// What the answer to a payment says. Total.
fn paid(op: &Intent, reply: &Reply) -> Outcome {
    let status = reply.status();
    let Some(answer) = json::read(reply) else {
        return Outcome::Unknown(match status {
            200 => Doubt::Malformed,
            status => Doubt::Status { status },
        });
    };
    if status != 200 {
        return error(status, &answer);
    }
    let order = op.acquirer_order.to_string();
    if json::text(&answer, at::REFERENCE) != Some(&order) {
        return Outcome::Unknown(Doubt::Mismatch);
    }
    match json::text(&answer, at::RESULT) {
        Some("Authorised") => authorised(op, &answer),
        Some(result @ ("Refused" | "Cancelled")) => {
            let code = json::text(&answer, at::REFUSAL).unwrap_or(result);
            codes::refusal(code, &answer).outcome(code)
        }
        // 3-D Secure, or a page: nobody can do that on the telephone, and nothing is taken before.
        Some(
            result @ ("RedirectShopper" | "IdentifyShopper" | "ChallengeShopper"
            | "PresentToShopper"),
        ) => soft(Reason::AuthenticationRequired).outcome(result),
        Some("Pending" | "Received") => Outcome::Unknown(Doubt::Pending),
        Some("Error") => Outcome::Unknown(Doubt::UnlistedCode),
        // A part of it.
        Some("PartiallyAuthorised") => Outcome::Unknown(Doubt::Mismatch),
        _ => Outcome::Unknown(Doubt::Malformed),
    }
}

/// A yes, where it is about this amount.
fn authorised(op: &Intent, answer: &Value) -> Outcome {
    let value = if is_free(op.kind) {
        0
    } else {
        op.amount.minor()
    };
    let repeated = answer.pointer(at::AMOUNT).is_some_and(|a| !a.is_null());
    if repeated
        && (json::number(answer, at::VALUE) != Some(value)
            || json::text(answer, at::CURRENCY) != Some(op.amount.currency().code()))
    {
        return Outcome::Unknown(Doubt::Mismatch);
    }
    let psp = json::text(answer, at::PSP_REFERENCE).filter(|text| is_reference(text));
    let Some(psp) = psp else {
        return Outcome::Unknown(Doubt::Malformed);
    };
    if op.kind != OperationKind::Tokenise {
        return text::approved(psp, json::text(answer, at::APPROVAL), op.card);
    }
    let id = at::STORED.iter().find_map(|place| json::text(answer, place));
    match id.filter(|id| is_reference(id)) {
        Some(id) => text::approved(&format!("{}:{id}", op.operation_id), None, op.card),
        // The card is good, and its name comes by webhook, if at all.
        None => Outcome::Unknown(Doubt::Pending),
    }
}

/// What the answer to a later request says: no, or that it was received, which is not yet done. Total.
fn received((place, of): (&str, &str), reply: &Reply) -> Outcome {
    let status = reply.status();
    match (status, json::read(reply)) {
        (201, Some(answer)) if json::text(&answer, place) != Some(of) => {
            Outcome::Unknown(Doubt::Mismatch)
        }
        (201, Some(answer)) if json::text(&answer, at::STATUS) == Some("received") => {
            Outcome::Unknown(Doubt::Pending)
        }
        (200 | 201, _) => Outcome::Unknown(Doubt::Malformed),
        (_, Some(answer)) => error(status, &answer),
        (_, None) => Outcome::Unknown(Doubt::Status { status }),
    }
}

/// What an error says.
fn error(status: u16, answer: &Value) -> Outcome {
    let code = json::text(answer, at::ERROR_CODE);
    let kind = json::text(answer, at::ERROR_TYPE);
    match (status, code, kind) {
        (400 | 401 | 403 | 422, Some(code), Some(kind)) => match codes::error(code, kind) {
            // No error is known by which Adyen says that it has done nothing yet.
            Class::Busy => Outcome::Unknown(Doubt::UnlistedCode),
            class => class.outcome(code),
        },
        _ => Outcome::Unknown(Doubt::Status { status }),
    }
}

#[cfg(test)]
mod tests;
