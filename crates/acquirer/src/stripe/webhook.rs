//! Stripe's webhooks: who signed them, and what they say of an operation of ours.
//!
//! The header `Stripe-Signature` has a time and an HMAC-SHA256 over that time, a point and the body, under the endpoint's secret; each
//! delivery is signed anew, so that an old one is a copy. (stripe/stripe-node, src/Webhooks.ts; docs.stripe.com/webhooks/signatures.)
//! An intent names the operation that made it: a capture or a release of it is known by our order alone.

use hmac::{Hmac, KeyInit as _, Mac as _};
use ivrpay_payment::OperationKind::{Authorise, Capture, Charge, Refund, Void};
use ivrpay_payment::{
    AcquirerOrder, AcquirerRef, Approval, Currency, Decline, Money, Notice, Noticed, OperationKind,
    Outcome, Reason, Sum,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::Sha256;

use super::fields::{at, told};
use super::{codes, id};
use crate::digest::unhex32;
use crate::{Heard, Hook, HookError, Mode, Posted, Settings, json};

/// How far the time of a message may be from ours, seconds: what Stripe's own libraries take.
const TOLERANCE_S: u64 = 300;
/// Most signatures of a message: two while a secret is exchanged, and those of other versions.
const SIGNATURES_MAX: usize = 8;

/// Those that tell something, and for the log those that often come beside them. stripe/openapi (f6c2a48), event types.
const EVENTS: &[&str] = &[
    "payment_intent.succeeded",
    "payment_intent.amount_capturable_updated",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.refund.updated",
    "payment_intent.created",
    "charge.succeeded",
    "charge.captured",
    "charge.failed",
    "charge.refunded",
    "charge.updated",
    "charge.dispute.created",
];

/// What proves a webhook, and whose it has to be.
pub(super) struct Webhook {
    live: bool,
    secret: SecretString,
}

/// The secret of an endpoint, as Stripe shows it.
pub(super) fn is_secret(text: &str) -> bool {
    let rest = text.strip_prefix("whsec_").unwrap_or_default();
    !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl Webhook {
    /// `None` without a secret.
    pub(super) fn new(settings: &Settings) -> Option<Self> {
        let secret = settings.secret("webhook_secret");
        let live = settings.mode == Mode::Live;
        (!secret.expose_secret().is_empty()).then_some(Self { live, secret })
    }

    /// Whether somebody who has the secret signed this body, just now.
    fn proves(&self, posted: &Posted<'_>) -> Result<(), HookError> {
        let header = posted.signature.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let header = header.ok_or(HookError::Unproven)?;
        let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
        let mut times = parts().filter(|(name, _)| *name == "t").map(|(_, time)| time);
        let (Some(time), None) = (times.next(), times.next()) else {
            return Err(HookError::Unproven);
        };
        let seconds = Some(time).filter(|t| t.len() <= 12 && t.bytes().all(|b| b.is_ascii_digit()));
        let seconds: i64 = seconds.and_then(|t| t.parse().ok()).ok_or(HookError::Unproven)?;
        let signed = parts()
            .filter(|(name, _)| *name == "v1")
            .take(SIGNATURES_MAX)
            .filter_map(|(_, signature)| unhex32(signature))
            .any(|signature| {
                let key = self.secret.expose_secret().as_bytes();
                let mac = Hmac::<Sha256>::new_from_slice(key);
                mac.is_ok_and(|mut mac| {
                    mac.update(time.as_bytes());
                    mac.update(b".");
                    mac.update(posted.body);
                    mac.verify_slice(&signature).is_ok()
                })
            });
        if !signed {
            return Err(HookError::Unproven);
        }
        // Asked behind the signature: who has not the secret learns nothing of our clock.
        if posted.now_unix_s.abs_diff(seconds) > TOLERANCE_S {
            return Err(HookError::Old);
        }
        Ok(())
    }

    fn heard(&self, message: &Value) -> Heard {
        let name = json::text(message, told::TYPE).unwrap_or_default();
        let Some(event) = EVENTS.iter().copied().find(|event| *event == name) else {
            return Heard::Nothing("other");
        };
        let ours = message.pointer(told::LIVE).and_then(Value::as_bool) == Some(self.live);
        let notice = message.pointer(told::DATA).filter(|_| ours);
        let notice = notice.and_then(|object| match json::text(object, at::OBJECT)? {
            "payment_intent" => intent(event, object),
            "refund" => refund(event, object),
            _ => None,
        });
        notice.map_or(Heard::Nothing(event), Heard::Notice)
    }
}

impl Hook for Webhook {
    fn read(&self, posted: &Posted<'_>) -> Result<Vec<Heard>, HookError> {
        self.proves(posted)?;
        let message: Value =
            serde_json::from_slice(posted.body).map_err(|_| HookError::Malformed)?;
        if json::text(&message, at::OBJECT) != Some("event") {
            return Err(HookError::Malformed);
        }
        Ok(vec![self.heard(&message)])
    }
}

/// The operation that made it.
fn operation(object: &Value) -> Option<Noticed> {
    let id = json::text(object, at::OPERATION)?.parse().ok()?;
    Some(Noticed::Operation(id))
}

/// Our order; a capture or a release of it is one operation of several.
fn order(object: &Value) -> Option<Noticed> {
    let text = json::text(object, at::ORDER)?;
    let digits = text.len() == 17 && text.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| text.parse().ok())??;
    AcquirerOrder::new(number).map(Noticed::Order)
}

fn sum(object: &Value, place: &str) -> Sum {
    let currency = json::text(object, at::CURRENCY).map(str::to_ascii_uppercase);
    let currency = currency.and_then(|code| code.parse::<Currency>().ok());
    match (json::number(object, place), currency) {
        (Some(minor), Some(currency)) => Money::new(minor, currency).map_or(Sum::Foreign, Sum::Is),
        _ => Sum::Foreign,
    }
}

fn done(reference: &AcquirerRef) -> Outcome {
    Outcome::Approved(Approval {
        acquirer_ref: reference.clone(),
        code: None,
        card: None,
    })
}

fn intent(event: &'static str, object: &Value) -> Option<Notice> {
    let reference = AcquirerRef::new(id(object, "pi_")?).ok()?;
    let status = json::text(object, at::STATUS)?;
    let manual = json::text(object, told::CAPTURE_METHOD)? == "manual";
    let takes: &[OperationKind] = if manual { &[Authorise] } else { &[Charge] };
    let (about, kinds, sum, outcome) = match (event, status) {
        ("payment_intent.succeeded", "succeeded") if manual => (
            order(object)?,
            &[Capture][..],
            sum(object, at::RECEIVED),
            done(&reference),
        ),
        ("payment_intent.succeeded", "succeeded") => (
            operation(object)?,
            takes,
            sum(object, at::RECEIVED),
            done(&reference),
        ),
        ("payment_intent.amount_capturable_updated", "requires_capture") if manual => (
            operation(object)?,
            takes,
            sum(object, at::AMOUNT),
            done(&reference),
        ),
        ("payment_intent.payment_failed", "requires_payment_method") => {
            let error = object.pointer(at::LAST_ERROR).filter(|e| !e.is_null())?;
            let refusal = codes::refusal(error);
            let known = matches!(refusal, Outcome::Declined(_));
            let refusal = known.then_some(refusal)?;
            (operation(object)?, takes, sum(object, at::AMOUNT), refusal)
        }
        // How much of it was reserved is not told by what is left of it.
        ("payment_intent.canceled", "canceled") => {
            (order(object)?, &[Void][..], Sum::Untold, done(&reference))
        }
        _ => return None,
    };
    Some(Notice {
        event,
        about,
        kinds,
        warns: &[],
        sum,
        outcome,
        reference,
    })
}

fn refund(event: &'static str, object: &Value) -> Option<Notice> {
    let reference = AcquirerRef::new(id(object, "re_")?).ok()?;
    let status = json::text(object, at::STATUS)?;
    let outcome = match status {
        "succeeded" => done(&reference),
        // Also behind one that was done: then the customer has not the money, and somebody is told.
        "failed" | "canceled" => Outcome::Declined(Decline {
            reason: Reason::RequestRefused,
            code: status.to_owned(),
            hard: false,
            action: None,
        }),
        _ => return None,
    };
    Some(Notice {
        event,
        about: operation(object)?,
        kinds: &[Refund],
        warns: &[Refund],
        sum: sum(object, at::AMOUNT),
        outcome,
        reference,
    })
}

#[cfg(test)]
mod tests;
