use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::NOW;
use crate::{SettingError, configured};

const SECRET: &str = "whsec_4eC39HqLyjWDarjtT1zdp7dc";
const ORDER: &str = "00000000000000042";
const OPERATION: &str = "0193a1b2-0000-7000-8000-000000000002";
/// Signed at [`NOW`] under [`SECRET`] by Python's hmac.
const MESSAGE: &str = r#"{"id":"evt_1","object":"event","type":"payment_intent.succeeded","livemode":false,"data":{"object":{"id":"pi_1","object":"payment_intent","status":"succeeded","amount":1500,"amount_received":1500,"currency":"jpy","capture_method":"automatic","metadata":{"order_id":"00000000000000042","operation_id":"0193a1b2-0000-7000-8000-000000000002"}}}}"#;
const SIGNATURE: &str = "0c2c9ef53021effad006c651da2caf22707412b3602d9b2429166894f2ef54a8";

fn settings(secret: &str) -> Settings {
    let mut settings = Settings::new(Mode::Test);
    settings.raw_pan = true;
    for (name, value) in [("secret_key", "sk_test_1"), ("webhook_secret", secret)] {
        settings.secrets.insert(name.to_owned(), value.into());
    }
    settings
}

fn signature(secret: &str, time: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn read(header: &str, body: &[u8], now_unix_s: i64) -> Result<Vec<Heard>, HookError> {
    let stripe = configured("stripe".parse().unwrap(), &settings(SECRET)).unwrap();
    stripe.hook().unwrap().read(&Posted {
        authorization: None,
        signature: Some(header.as_bytes()),
        now_unix_s,
        body,
    })
}

/// What a message of Stripe's says, signed now.
fn heard(message: &Value) -> Heard {
    let body = message.to_string();
    let time = NOW.to_string();
    let header = format!("t={time},v1={}", signature(SECRET, &time, body.as_bytes()));
    let mut heard = read(&header, body.as_bytes(), NOW).unwrap();
    assert_eq!(heard.len(), 1);
    heard.remove(0)
}

/// Forged, old, of another endpoint, changed on the way: nothing of it is believed.
#[test]
fn who_signed_it_and_when() {
    let good = format!("t={NOW},v1={SIGNATURE},v0=00");
    let other = signature("whsec_other", &NOW.to_string(), MESSAGE.as_bytes());
    let later = (NOW + 1).to_string();
    let ok = |header: &str, now| read(header, MESSAGE.as_bytes(), now).map(|heard| heard.len());
    assert_eq!(ok(&good, NOW), Ok(1));
    assert_eq!(ok(&good, NOW + 300), Ok(1));
    assert_eq!(ok(&good, NOW - 300), Ok(1));
    // While a secret is exchanged there are two, in any order; and blanks.
    let two = format!("t={NOW}, v1={other}, v1={}", SIGNATURE.to_ascii_uppercase());
    assert_eq!(ok(&two, NOW), Ok(1));
    for now in [NOW + 301, NOW - 301, NOW + 86_400, i64::MAX, i64::MIN] {
        assert_eq!(ok(&good, now), Err(HookError::Old), "{now}");
    }
    for header in [
        String::new(),
        format!("t={NOW}"),
        format!("v1={SIGNATURE}"),
        format!("t={NOW},v1={other}"),
        format!("t={NOW},v0={SIGNATURE}"),
        // A copy under another time, or under two.
        format!("t={later},v1={SIGNATURE}"),
        format!("t={NOW},t={later},v1={SIGNATURE}"),
        format!("t=+{NOW},v1={SIGNATURE}"),
        format!("t={NOW},v1={}", SIGNATURE.get(..62).unwrap()),
        format!("t={NOW}{},v1={SIGNATURE}", "0".repeat(40)),
        format!("t={NOW},{}v1={SIGNATURE}", "v1=00,".repeat(9)),
    ] {
        assert_eq!(ok(&header, NOW), Err(HookError::Unproven), "{header}");
    }
    for from in ["1500", "pi_1", "succeeded", "jpy", "false"] {
        let changed = MESSAGE.replacen(from, "other", 1);
        assert_eq!(read(&good, changed.as_bytes(), NOW), Err(HookError::Unproven), "{from}");
    }
    let stripe = configured("stripe".parse().unwrap(), &settings(SECRET)).unwrap();
    let bare = Posted { authorization: Some(b"Basic"), signature: None, now_unix_s: NOW, body: MESSAGE.as_bytes() };
    assert_eq!(stripe.hook().unwrap().read(&bare), Err(HookError::Unproven));
    let none = Settings::new(Mode::Test).secret("webhook_secret");
    assert!(none.expose_secret().is_empty());
    let mut without = settings(SECRET);
    without.secrets.remove("webhook_secret");
    assert!(configured("stripe".parse().unwrap(), &without).unwrap().hook().is_none(), "no secret, no webhook");
    for wrong in ["whsec_", "sk_test_1", "whsec_ä"] {
        let error = configured("stripe".parse().unwrap(), &settings(wrong)).err();
        assert!(matches!(error, Some(SettingError::Value { .. })), "{wrong}");
    }
    // Signed, and no event.
    for body in ["", "[]", "{}", r#"{"object":"charge"}"#] {
        let time = NOW.to_string();
        let header = format!("t={time},v1={}", signature(SECRET, &time, body.as_bytes()));
        assert_eq!(read(&header, body.as_bytes(), NOW), Err(HookError::Malformed), "{body}");
    }
}

fn event(name: &str, object: Value) -> Value {
    json!({"id": "evt_1", "object": "event", "type": name, "livemode": false, "data": {"object": object}})
}

fn shown(status: &str, capture: &str) -> Value {
    let received = if status == "succeeded" { 1500 } else { 0 };
    json!({
        "id": "pi_1", "object": "payment_intent", "status": status, "amount": 1500, "amount_received": received, "currency": "jpy",
        "capture_method": capture, "metadata": {"order_id": ORDER, "operation_id": OPERATION},
        "last_payment_error": {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"},
    })
}

fn given_back(status: &str) -> Value {
    json!({
        "id": "re_1", "object": "refund", "status": status, "amount": 400, "currency": "jpy", "payment_intent": "pi_1",
        "metadata": {"order_id": ORDER, "operation_id": OPERATION},
    })
}

#[test]
fn what_events_say() {
    let yen = |minor| Sum::Is(Money::new(minor, Currency::Jpy).unwrap());
    let by_operation = Noticed::Operation(OPERATION.parse().unwrap());
    let by_order = Noticed::Order(AcquirerOrder::new(42).unwrap());
    let intents = "payment_intent";
    for (name, object, about, kinds, sum, word) in [
        ("succeeded", shown("succeeded", "automatic"), by_operation, &[Charge][..], yen(1500), "pi_1"),
        ("succeeded", shown("succeeded", "manual"), by_order, &[Capture], yen(1500), "pi_1"),
        ("amount_capturable_updated", shown("requires_capture", "manual"), by_operation, &[Authorise], yen(1500), "pi_1"),
        ("payment_failed", shown("requires_payment_method", "automatic"), by_operation, &[Charge], yen(1500), "insufficient_funds"),
        ("payment_failed", shown("requires_payment_method", "manual"), by_operation, &[Authorise], yen(1500), "insufficient_funds"),
        ("canceled", shown("canceled", "manual"), by_order, &[Void], Sum::Untold, "pi_1"),
    ] {
        let name = format!("{intents}.{name}");
        let Heard::Notice(notice) = heard(&event(&name, object)) else {
            panic!("{name} says nothing");
        };
        assert_eq!((notice.event, notice.about, notice.kinds, notice.sum), (&*name, about, kinds, sum));
        let said = match &notice.outcome {
            Outcome::Approved(approval) => approval.acquirer_ref.to_string(),
            Outcome::Declined(decline) => decline.reason.name().to_owned(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(said, word, "{name}");
    }
    for (name, status, done) in [
        ("refund.created", "succeeded", true),
        ("refund.updated", "succeeded", true),
        ("charge.refund.updated", "succeeded", true),
        ("refund.failed", "failed", false),
        ("refund.updated", "canceled", false),
    ] {
        let Heard::Notice(notice) = heard(&event(name, given_back(status))) else {
            panic!("{name} {status} says nothing");
        };
        assert_eq!((notice.about, notice.kinds, notice.sum), (by_operation, &[Refund][..], yen(400)));
        assert_eq!(matches!(notice.outcome, Outcome::Approved(_)), done, "{name} {status}");
    }
}

/// What is another merchant's, another mode's, unfinished or of no operation of ours settles nothing.
#[test]
fn what_is_none_of_ours_says_nothing() {
    let name = "payment_intent.succeeded";
    let paid = shown("succeeded", "automatic");
    let with = |pointer: &str, new: Value| {
        let mut object = paid.clone();
        *object.pointer_mut(pointer).unwrap() = new;
        event(name, object)
    };
    for (message, heard_as) in [
        (with("/metadata", json!({})), name),
        (with("/metadata/operation_id", json!("x")), name),
        (with("/id", json!("ch_1")), name),
        (with("/object", json!("charge")), name),
        (with("/status", json!("processing")), name),
        (event("payment_intent.payment_failed", paid.clone()), "payment_intent.payment_failed"),
        (event("payment_intent.created", paid.clone()), "payment_intent.created"),
        (event("charge.succeeded", paid.clone()), "charge.succeeded"),
        (event("payout.paid", paid.clone()), "other"),
        (event("refund.created", given_back("pending")), "refund.created"),
        (event("refund.created", paid.clone()), "other-object"),
    ] {
        let said = heard(&message);
        match heard_as {
            // An intent within a refund's event: it is not what that event says.
            "other-object" => assert_eq!(said, Heard::Nothing("refund.created")),
            name => assert_eq!(said, Heard::Nothing(name), "{message}"),
        }
    }
    let mut live = event(name, paid.clone());
    for mode in [json!(true), json!(null), json!("false")] {
        live["livemode"] = mode;
        assert_eq!(heard(&live), Heard::Nothing(name));
    }
    // Another amount or currency is told as it is: the journal compares.
    let Heard::Notice(dollars) = heard(&with("/currency", json!("xxx"))) else {
        panic!("it is told");
    };
    assert_eq!(dollars.sum, Sum::Foreign);
}

proptest! {
    /// Whatever is changed of a signed message, or of what signs it, nothing else is believed than what was signed.
    #[test]
    fn a_changed_message_is_not_believed(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let good = format!("t={NOW},v1={SIGNATURE}");
        let mut body = MESSAGE.as_bytes().to_vec();
        let at = at.index(body.len());
        let changed = body[at] != byte;
        body[at] = byte;
        prop_assert_eq!(read(&good, &body, NOW).is_err(), changed);
    }

    #[test]
    fn any_header_is_read(header in ".{0,80}", now in any::<i64>()) {
        prop_assert!(read(&header, MESSAGE.as_bytes(), now).is_err());
    }
}
