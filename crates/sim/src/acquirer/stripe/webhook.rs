//! Its webhooks, as JSON: the events of stripe/openapi (f6c2a48), signed as docs.stripe.com/webhooks/signatures has it: HMAC-SHA-256 over the
//! time of the delivery, a point and the body.

use serde_json::{Value, json};

use super::{Done, WEBHOOK_SECRET};
use crate::acquirer::adyen::hmac;
use crate::acquirer::hooks::{Outgoing, Signing};

/// Older than any client takes, seconds.
const OLD_S: u64 = 900;

fn signature(body: &str, signing: Signing) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    let (time, secret) = match signing {
        Signing::Good => (now, WEBHOOK_SECRET),
        Signing::Forged => (now, "whsec_another"),
        Signing::Old => (now.saturating_sub(OLD_S), WEBHOOK_SECRET),
    };
    let bytes = hmac(secret.as_bytes(), &format!("{time}.{body}"));
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("stripe-signature: t={time},v1={hex}\r\n")
}

/// What is told of what has been asked by a POST to this path.
pub(super) fn told(path: &[&str], done: &Done, serial: u64) -> Option<Outgoing> {
    let (event, object) = match (path, done) {
        (["payment_intents"], Ok(intent)) => match intent["status"].as_str()? {
            "succeeded" => ("payment_intent.succeeded", intent),
            _ => ("payment_intent.amount_capturable_updated", intent),
        },
        (["payment_intents"], Err((402, refused))) => (
            "payment_intent.payment_failed",
            refused.pointer("/error/payment_intent")?,
        ),
        (["payment_intents", _, "capture"], Ok(intent)) => ("payment_intent.succeeded", intent),
        (["payment_intents", _, "cancel"], Ok(intent)) => ("payment_intent.canceled", intent),
        (["refunds"], Ok(refund)) => ("refund.created", refund),
        _ => return None,
    };
    let body: Value = json!({
        "id": format!("evt_{serial}"), "object": "event", "type": event, "livemode": false, "data": {"object": object},
    });
    Some(Outgoing {
        name: format!("{event} {}", object["id"].as_str().unwrap_or_default()),
        body: body.to_string(),
        forged: body.to_string(),
        signature: Some(signature),
    })
}
