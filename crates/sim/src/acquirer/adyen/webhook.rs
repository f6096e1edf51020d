//! Its standard webhooks, as JSON: Adyen/adyen-openapi, json/Webhooks-v1.json, whose examples show what stands in each. Signed by HMAC-SHA-256
//! (RFC 2104) over eight fields, joined by colons as its libraries join them.

use base64::Engine as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Adyen, MERCHANT, WEBHOOK_KEY};
use crate::acquirer::hooks::Outgoing;

const BLOCK: usize = 64;

/// One event.
pub(super) struct Told {
    pub(super) event: &'static str,
    pub(super) psp: String,
    pub(super) original: String,
    pub(super) reference: String,
    pub(super) sum: (u64, String),
    pub(super) reason: String,
    pub(super) success: bool,
}

fn key() -> Vec<u8> {
    let pairs = WEBHOOK_KEY.as_bytes().chunks_exact(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap_or_default(), 16);
    pairs.map(|pair| byte(pair).unwrap_or_default()).collect()
}

/// RFC 2104, for a key of at most one block.
pub(in crate::acquirer) fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let pad = |with: u8| {
        let mut block = [with; BLOCK];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        block
    };
    let mut inner = Sha256::new();
    inner.update(pad(0x36));
    inner.update(text);
    let mut outer = Sha256::new();
    outer.update(pad(0x5c));
    outer.update(inner.finalize());
    outer.finalize().to_vec()
}

impl Told {
    fn signed(&self, key: &[u8]) -> String {
        let (value, currency) = &self.sum;
        let text = format!(
            "{}:{}:{MERCHANT}:{}:{value}:{currency}:{}:{}",
            self.psp, self.original, self.reference, self.event, self.success
        );
        let signature = base64::engine::general_purpose::STANDARD.encode(hmac(key, &text));
        let mut item = json!({
            "additionalData": {"hmacSignature": signature}, "amount": {"currency": currency, "value": value}, "eventCode": self.event,
            "eventDate": "2026-11-26T12:00:00+09:00", "merchantAccountCode": MERCHANT, "merchantReference": self.reference,
            "paymentMethod": "visa", "pspReference": self.psp, "reason": self.reason, "success": self.success.to_string(),
        });
        if !self.original.is_empty() {
            item["originalReference"] = self.original.as_str().into();
        }
        json!({"live": "false", "notificationItems": [{"NotificationRequestItem": item}]})
            .to_string()
    }

    pub(super) fn outgoing(&self) -> Outgoing {
        Outgoing {
            name: format!("{} {} {}", self.event, self.reference, self.success),
            body: self.signed(&key()),
            forged: self.signed(b"another key"),
            signature: None,
        }
    }
}

impl Adyen {
    /// That the hours are over after which it captures a charge by itself, of which it says nothing; or that the last thing which was asked of
    /// an order has failed after all.
    pub(super) fn tell_late(&mut self, event: &str, order: &str) -> bool {
        if event == "DELAY_OVER" {
            let mut all = self.payments.values_mut();
            let due = all.find(|p| p.reference == order && p.delayed && p.captured == 0);
            let due = due.filter(|payment| payment.state == "Authorised");
            return due.is_some_and(|payment| {
                payment.captured = payment.amount;
                true
            });
        }
        let found = self.payments.iter().find(|(_, p)| p.reference == order);
        let Some((psp, payment)) = found else {
            return false;
        };
        let (event, kinds): (_, &[&str]) = match event {
            "CAPTURE_FAILED" => ("CAPTURE_FAILED", &["captures"]),
            "REFUND_FAILED" => ("REFUND_FAILED", &["refunds", "reversals"]),
            "REFUNDED_REVERSED" => ("REFUNDED_REVERSED", &["refunds", "reversals"]),
            _ => return false,
        };
        let (reference, own, value) = match &payment.last {
            Some((what, reference, own, value)) if kinds.contains(&&**what) => {
                (reference, own, *value)
            }
            // What Adyen captures by itself has the payment's names.
            None if event == "CAPTURE_FAILED" => (&payment.reference, psp, payment.amount),
            _ => return false,
        };
        let told = Told {
            event,
            psp: own.clone(),
            original: psp.clone(),
            reference: reference.clone(),
            sum: (value, payment.currency.clone()),
            reason: "Failed".to_owned(),
            success: true,
        };
        self.outgoing.push(told.outgoing());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn a_known_signature() {
        let hex: String = hmac(b"Jefe", "what do ya want for nothing?")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
