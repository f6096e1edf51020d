//! Captures that are on now, as `GET /v1/captures` shows them: what somebody knows who has heard all events of a call.
//!
//! Fed by the events themselves (`events.rs`) and, for what is in none of them, by the call. A call leaves with its task, however that ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ivrpay_api as api;
use ivrpay_journal::Payment;
use ivrpay_payment::{CallId, Plan, Truncated};

/// All of them.
#[derive(Clone, Default)]
pub(crate) struct Captures(Arc<Mutex<BTreeMap<CallId, On>>>);

struct On {
    capture: api::Capture,
    /// When it ends by itself, unless somebody goes on.
    ends: Option<Instant>,
}

/// A call's place among them; dropping it gives the place up.
pub(crate) struct Listed {
    call: CallId,
    all: Captures,
}

/// What is in no event.
pub(crate) struct Seen {
    pub(crate) mode: &'static str,
    pub(crate) card: Option<Truncated>,
    pub(crate) ends: Option<Instant>,
}

impl Captures {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<CallId, On>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call that will take a payment: it is shown once that is known.
    pub(crate) fn place(&self, call: CallId) -> Listed {
        Listed {
            call,
            all: self.clone(),
        }
    }

    /// All that are on, oldest first.
    pub(crate) fn now(&self) -> Vec<api::Capture> {
        let now = Instant::now();
        let lock = self.lock();
        let all = lock.values().map(|on| {
            let left = on
                .ends
                .map(|at| at.saturating_duration_since(now).as_secs());
            api::Capture {
                seconds_left: left,
                ..on.capture.clone()
            }
        });
        all.collect()
    }

    /// An event of a call: what it says holds until the next one.
    pub(crate) fn heard(&self, event: &api::Event) {
        let Some(call) = event.call_id else { return };
        let mut lock = self.lock();
        let Some(On { capture, ends }) = lock.get_mut(&call) else {
            return;
        };
        match event.event {
            api::EventKind::Step | api::EventKind::Digits => {}
            api::EventKind::CaptureRefused => {
                capture.error.clone_from(&event.error);
                return;
            }
            _ => return,
        }
        let Some(step) = &event.step else { return };
        // Behind them nothing of the caller ends it, nor does a limit.
        if matches!(
            step.as_str(),
            "payment-processing" | "payment-completed" | "payment-failed"
        ) {
            *ends = None;
            capture.seconds_left = None;
        }
        if api::CaptureField::from_name(step).is_some() {
            capture.field = Some(step.clone());
        } else if step != "paused" {
            capture.field = None;
        }
        capture.step.clone_from(step);
        capture.digits = event.digits;
        capture.attempt = event.attempt;
        if event.event == api::EventKind::Step {
            capture.error.clone_from(&event.error);
            capture.payment_plan.clone_from(&event.payment_plan);
            capture.payment_plan_count = event.payment_plan_count;
        }
    }
}

impl Listed {
    /// Shows the call, with the payment that it takes.
    pub(crate) fn takes(&self, payment: &Payment, extension: Option<&str>, seen: Seen) {
        let extension = extension.or(payment.operator_extension.as_deref());
        let card = payment.stored.as_ref().map(|stored| stored.card);
        let plan = payment.asked_plan;
        let capture = api::Capture {
            call_id: self.call,
            payment_id: payment.id,
            tenant: payment.tenant.to_string(),
            order_id: payment.order.as_ref().map(ToString::to_string),
            amount: payment.amount.minor(),
            currency: payment.amount.currency().to_string(),
            transaction_type: payment.transaction,
            description: payment.attached.description.clone(),
            operator: payment.operator.as_ref().map(ToString::to_string),
            operator_extension: extension.map(str::to_owned),
            mode: seen.mode.to_owned(),
            practice: payment.connector == ivrpay_journal::TRAINING,
            step: "greeting".to_owned(),
            field: None,
            digits: None,
            attempt: None,
            error: None,
            seconds_left: None,
            brand: card.map(|card| card.brand),
            last4: card.map(Truncated::last4_text),
            payment_plan: plan.map(|plan| plan.name().to_owned()),
            payment_plan_count: plan.and_then(Plan::count),
            began_at: jiff::Timestamp::now().to_string(),
            entered_by: payment.entered_by.name().to_owned(),
        };
        let on = On {
            capture,
            ends: seen.ends,
        };
        self.all.lock().insert(self.call, on);
    }

    /// What the call knows beside its events.
    pub(crate) fn sees(&self, seen: &Seen) {
        if let Some(On { capture, ends }) = self.all.lock().get_mut(&self.call) {
            seen.mode.clone_into(&mut capture.mode);
            *ends = seen.ends;
            if let Some(card) = seen.card {
                capture.brand = Some(card.brand);
                capture.last4 = Some(card.last4_text());
            }
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.all.lock().remove(&self.call);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::time::Duration;

    use ivrpay_payment::Brand;

    use super::*;
    use crate::settle::tests::payment_of;

    fn event(call: CallId, kind: api::EventKind, step: &str, digits: Option<u8>) -> api::Event {
        serde_json::from_value(serde_json::json!({
            "seq": 0, "at": "", "call_id": call, "sip_call_id": null, "tenant": "shop",
            "event": kind, "step": step, "attempt": 2, "digits": digits,
        }))
        .unwrap()
    }

    fn seen(card: Option<Truncated>) -> Seen {
        Seen {
            mode: "hold",
            card,
            ends: Some(Instant::now() + Duration::from_millis(90_500)),
        }
    }

    /// Whoever comes late is told what those know who heard every event; a call that is over is gone, however it ended.
    #[tokio::test]
    async fn what_is_on_is_what_was_heard() {
        use api::EventKind::{Digits, Step};
        let folder = tempfile::tempdir().unwrap();
        let options = ivrpay_journal::OpenOptions::new("test");
        let journal = ivrpay_journal::Journal::open(folder.path().join("journal.sqlite"), options);
        let journal = journal.await.unwrap();
        let call = CallId::new(uuid::Uuid::now_v7());
        let new = payment_of("generic");
        let claim = journal.create_claimed(new, call).await.unwrap();
        let captures = Captures::default();
        let listed = captures.place(call);
        captures.heard(&event(call, Step, "payment-card-number", Some(0)));
        assert!(captures.now().is_empty(), "no payment yet");
        listed.takes(claim.payment(), Some("201"), seen(None));
        captures.heard(&event(call, Step, "payment-card-number", Some(0)));
        captures.heard(&event(call, Digits, "payment-card-number", Some(7)));
        let one = captures.now().remove(0);
        assert_eq!(
            (&*one.step, one.field.as_deref(), one.digits, one.attempt),
            (
                "payment-card-number",
                Some("payment-card-number"),
                Some(7),
                Some(2)
            )
        );
        assert_eq!(one.seconds_left, Some(90));
        assert_eq!(one.operator_extension.as_deref(), Some("201"));
        listed.sees(&seen(Truncated::new(Brand::Jcb, [0, 0, 0, 0])));
        captures.heard(&event(call, Step, "security-code", None));
        captures.heard(&event(call, Digits, "security-code", None));
        captures.heard(&event(call, Step, "paused", None));
        let one = captures.now().remove(0);
        assert_eq!(
            (
                &*one.step,
                one.field.as_deref(),
                one.digits,
                one.brand,
                one.last4.as_deref()
            ),
            (
                "paused",
                Some("security-code"),
                None,
                Some(Brand::Jcb),
                Some("0000")
            )
        );
        captures.heard(&event(call, Step, "payment-processing", None));
        let one = captures.now().remove(0);
        assert_eq!((one.field, one.seconds_left), (None, None));
        let dies = tokio::spawn(async move {
            let _listed = listed;
            panic!("a call by a bug");
        });
        assert!(dies.await.is_err());
        assert!(captures.now().is_empty());
    }
}
