use ivrpay_payment::Why;
use serde_json::json;

use super::*;
use crate::configured;

/// Adyen's published example (adyen-python-api-library, test/UtilTest.py), as are the two with signs of their own.
const KEY: &str = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
const OTHER_KEY: &str = "74F490DD33F7327BAECC88B2947C011FC02D014A473AAA33A8EC93E4DC069174";
const ORDER: &str = "17954352000001234";
const LATER: &str = "0193a1b2-0000-7000-8000-000000000005";
const PSP: &str = "993617895204576J";

fn settings(account: &str, key: &str) -> Settings {
    let mut settings = Settings::new(Mode::Test);
    settings.raw_pan = true;
    settings.parameters = [("merchant_account".to_owned(), account.to_owned())].into();
    settings.secrets = [
        ("api_key".to_owned(), "AQE1".into()),
        ("webhook_hmac_key".to_owned(), key.into()),
    ]
    .into();
    settings
}

fn webhook(account: &str, key: &str) -> Webhook {
    Webhook::new(&settings(account, key)).unwrap().unwrap()
}

fn read(webhook: &Webhook, message: &Value) -> Result<Vec<Heard>, HookError> {
    let body = message.to_string();
    webhook.read(&Posted {
        authorization: None,
        signature: None,
        now_unix_s: 0,
        body: body.as_bytes(),
    })
}

fn message(items: &[Value]) -> Value {
    let items: Vec<_> = items
        .iter()
        .map(|item| json!({"NotificationRequestItem": item}))
        .collect();
    json!({"live": "false", "notificationItems": items})
}

fn signed(mut item: Value) -> Value {
    let mut mac = Hmac::<Sha256>::new_from_slice(&unhex32(KEY).unwrap()).unwrap();
    mac.update(Fields::of(&item).joined(false).as_bytes());
    item["additionalData"]["hmacSignature"] = STANDARD.encode(mac.finalize().into_bytes()).into();
    item
}

fn item(event: &str, reference: &str, success: &str, reason: &str) -> Value {
    json!({
        "pspReference": PSP, "originalReference": "8313547924770610", "merchantAccountCode": "Shop", "merchantReference": reference,
        "amount": {"value": 1500, "currency": "JPY"}, "eventCode": event, "success": success, "reason": reason,
        "eventDate": "2026-04-01T12:00:00+09:00", "additionalData": {},
    })
}

/// What one signed item says.
fn said(item: Value) -> Heard {
    let message = message(&[signed(item)]);
    read(&webhook("Shop", KEY), &message).unwrap().remove(0)
}

#[test]
fn signatures_are_those_that_adyen_has_published() {
    let example = |account: &str, psp: &str, reference: &str, value: u64, signature: &str| {
        json!({
            "pspReference": psp, "merchantAccountCode": account, "merchantReference": reference,
            "amount": {"value": value, "currency": "EUR"}, "eventCode": "AUTHORISATION", "success": "true",
            "additionalData": {"hmacSignature": signature},
        })
    };
    for (key, account, psp, reference, value, signature) in [
        (
            KEY,
            "TestMerchant",
            "7914073381342284",
            "TestPayment-1407325143704",
            1130,
            "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0=",
        ),
        (
            OTHER_KEY,
            "AntoniStroinski",
            "M8NB66SBZSGLNK82",
            ":slashes are fun",
            1000,
            "2EQYm7YJpKO4EtHSPu55SQTyWf8dkW5u2nD1tJFpViA=",
        ),
        (
            OTHER_KEY,
            "AntoniStroinski",
            "T7FD4VM4D3RZNN82",
            "\\\\slashes are fun",
            1000,
            "nIgT81gaB5oJpn2jPXupDq68iRo2wUlBsuYjtYfwKqo=",
        ),
        // Escaped; computed by openssl 3.
        (
            OTHER_KEY,
            "AntoniStroinski",
            "M8NB66SBZSGLNK82",
            ":slashes are fun",
            1000,
            "yqMBc4B2kvYV0skt5UGj/NoukgA7uUQzVrDjpuBdd9o=",
        ),
    ] {
        let webhook = webhook(account, key);
        let good = example(account, psp, reference, value, signature);
        let heard = read(&webhook, &message(std::slice::from_ref(&good)));
        assert_eq!(heard, Ok(vec![Heard::Nothing("AUTHORISATION")]), "{reference}");
        // One field is another, or the signature is missing, cut, or of another key: nothing is read, also of what is good beside it.
        for (place, other) in [
            ("pspReference", json!("M8NB66SBZSGLNK83")),
            ("originalReference", json!("1")),
            ("merchantReference", json!("17954352000001234")),
            ("amount", json!({"value": value + 1, "currency": "EUR"})),
            ("amount", json!({"value": value, "currency": "JPY"})),
            ("eventCode", json!("REFUND")),
            ("success", json!("false")),
            ("additionalData", json!({})),
            ("additionalData", json!({"hmacSignature": ""})),
            ("additionalData", json!({"hmacSignature": "AAAA"})),
        ] {
            let mut bad = good.clone();
            bad[place] = other;
            for items in [vec![bad.clone()], vec![good.clone(), bad]] {
                let refused = read(&webhook, &message(&items));
                assert_eq!(refused, Err(HookError::Unproven), "{place}");
            }
        }
    }
}

fn yes(code: Option<&str>) -> Outcome {
    Outcome::Approved(Approval {
        acquirer_ref: AcquirerRef::new(PSP).unwrap(),
        code: code.map(str::to_owned),
        card: None,
    })
}

fn no(reason: Reason, code: &str) -> Outcome {
    Outcome::Declined(Decline {
        reason,
        code: code.into(),
        hard: false,
        action: None,
    })
}

/// Each event, of what it may be, and what it says of it.
#[test]
fn what_events_say() {
    let order = Noticed::Order(AcquirerOrder::new(17_954_352_000_001_234).unwrap());
    let later = Noticed::Operation(LATER.parse().unwrap());
    let (done, failed) = (yes(None), Reason::RequestRefused);
    let insufficient = Outcome::Declined(Decline {
        reason: Reason::InsufficientFunds,
        code: "12".into(),
        hard: false,
        action: None,
    });
    for (event, reference, success, reason, kinds, about, outcome) in [
        ("AUTHORISATION", ORDER, "true", "033899:1111:03/2030", &[Charge, Authorise][..], order, yes(Some("033899"))),
        ("AUTHORISATION", ORDER, "true", "null", &[Charge, Authorise], order, yes(None)),
        ("AUTHORISATION", ORDER, "false", "Not enough balance", &[Charge, Authorise], order, insufficient),
        ("AUTHORISATION", ORDER, "false", "Something new", &[Charge, Authorise], order, no(Reason::Other, "Something new")),
        ("AUTHORISATION", ORDER, "false", "Not Submitted", &[Charge, Authorise], order, Outcome::NotCharged(Why::Busy)),
        ("CAPTURE", LATER, "true", "", &[Capture], later, done.clone()),
        ("CAPTURE", LATER, "false", "Insufficient balance on payment", &[Capture], later, no(failed, "Insufficient balance on payment")),
        ("CAPTURE_FAILED", LATER, "true", "Capture Failed", &[Capture], later, no(failed, "Capture Failed")),
        ("CANCELLATION", LATER, "true", "", &[Void], later, done.clone()),
        ("CANCELLATION", LATER, "false", "", &[Void], later, no(failed, "CANCELLATION")),
        ("TECHNICAL_CANCEL", ORDER, "true", "", &[Void], order, done.clone()),
        ("CANCEL_OR_REFUND", LATER, "true", "", &[Refund, Void], later, done.clone()),
        ("REFUND", LATER, "true", "", &[Refund, Void], later, done),
        ("REFUND_FAILED", LATER, "true", "Refund Failed", &[Refund, Void], later, no(failed, "Refund Failed")),
        ("REFUNDED_REVERSED", LATER, "true", "", &[Refund, Void], later, no(failed, "REFUNDED_REVERSED")),
    ] {
        let Heard::Notice(notice) = said(item(event, reference, success, reason)) else {
            panic!("{event} {success} says nothing");
        };
        assert_eq!(
            (notice.event, notice.kinds, notice.about, &notice.outcome),
            (event, kinds, about, &outcome)
        );
        let yen = Money::new(1500, Currency::Jpy).unwrap();
        assert_eq!((notice.sum, notice.reference.as_str()), (Sum::Is(yen), PSP));
        let warns: &[OperationKind] = match event {
            "AUTHORISATION" | "TECHNICAL_CANCEL" => &[],
            "CAPTURE_FAILED" => &[Capture, Charge],
            "REFUND" => &[Refund],
            _ => kinds,
        };
        assert_eq!(notice.warns, warns, "{event}");
    }
}

/// What somebody does to an order by hand at Adyen names the order alone: it may be ours, and settles nothing.
#[test]
fn what_names_the_order_alone_settles_nothing_but_the_payment_and_its_technical_cancel() {
    for (event, settles, warns) in [
        ("AUTHORISATION", &[Charge, Authorise][..], &[][..]),
        ("TECHNICAL_CANCEL", &[Void], &[]),
        ("CAPTURE", &[], &[Capture]),
        ("CAPTURE_FAILED", &[], &[Capture, Charge]),
        ("CANCELLATION", &[], &[Void]),
        ("CANCEL_OR_REFUND", &[], &[Refund, Void]),
        ("REFUND", &[], &[Refund]),
        ("REFUND_FAILED", &[], &[Refund, Void]),
    ] {
        let Heard::Notice(notice) = said(item(event, ORDER, "true", "")) else {
            panic!("{event} says nothing");
        };
        assert_eq!((notice.kinds, notice.warns), (settles, warns), "{event}");
    }
}

/// While a key is exchanged at Adyen either proves a message, and no third one does.
#[test]
fn an_old_key_and_a_new_one_are_both_good() {
    let old = "00".repeat(32);
    let message = message(&[signed(item("CAPTURE", LATER, "true", ""))]);
    for (keys, good) in [
        (format!("{old}\n{KEY}\n"), true),
        (format!("{KEY} {old}"), true),
        (old.clone(), false),
    ] {
        assert_eq!(read(&webhook("Shop", &keys), &message).is_ok(), good);
    }
}

/// What is another's, or settles nothing, is taken and says nothing.
#[test]
fn what_is_not_ours_says_nothing() {
    let with = |place: &str, value: Value| {
        let mut item = item("CAPTURE", LATER, "true", "");
        item[place] = value;
        item
    };
    for (item, event) in [
        (with("merchantAccountCode", json!("Another")), "CAPTURE"),
        (with("merchantReference", json!("TEL-0001")), "CAPTURE"),
        (with("merchantReference", json!("1795435200000123")), "CAPTURE"),
        (with("merchantReference", json!("")), "CAPTURE"),
        (with("pspReference", json!("a/../b")), "CAPTURE"),
        (with("originalReference", json!("a:b")), "CAPTURE"),
        (with("success", json!("maybe")), "CAPTURE"),
        (with("eventCode", json!("CHARGEBACK")), "CHARGEBACK"),
        (with("eventCode", json!("4111111111111111")), "other"),
        (item("CAPTURE_FAILED", LATER, "false", ""), "CAPTURE_FAILED"),
        (item("AUTHORISATION", ORDER, "false", "Acquirer Error"), "AUTHORISATION"),
    ] {
        assert_eq!(said(item), Heard::Nothing(event));
    }
    // The live account's, at the test account's door.
    let mut message = message(&[signed(item("CAPTURE", LATER, "true", ""))]);
    message["live"] = "true".into();
    let heard = read(&webhook("Shop", KEY), &message);
    assert_eq!(heard, Ok(vec![Heard::Nothing("CAPTURE")]));
}

#[test]
fn amounts_are_told_or_are_none_of_ours() {
    let sum = |event: &str, amount: Value| {
        let mut item = item(event, LATER, "true", "");
        item["amount"] = amount;
        let Heard::Notice(notice) = said(item) else {
            panic!("it says something");
        };
        notice.sum
    };
    let foreign = [
        json!({"value": 0, "currency": "JPY"}),
        json!({"value": -1500, "currency": "JPY"}),
        json!({"value": 15.5, "currency": "JPY"}),
        json!({"value": 1500, "currency": "XXX"}),
        json!({"value": 1500}),
        Value::Null,
    ];
    for amount in foreign {
        assert_eq!(sum("REFUND", amount.clone()), Sum::Foreign, "{amount}");
    }
    let nought = json!({"value": 0, "currency": "JPY"});
    assert_eq!(sum("CANCELLATION", nought), Sum::Untold);
}

#[test]
fn user_and_password_are_asked_for_beside_the_signature() {
    let mut settings = settings("Shop", KEY);
    let name = |error: SettingError| match error {
        SettingError::Missing { name, .. } => name,
        other => panic!("{other}"),
    };
    let hook = |settings: &Settings| configured("adyen".parse().unwrap(), settings);
    settings.parameters.insert("webhook_user".into(), "adyen".into());
    assert_eq!(hook(&settings).err().map(name), Some("webhook_password"));
    settings.secrets.insert("webhook_password".into(), "pass:word".into());
    let adyen = hook(&settings).unwrap();
    let body = message(&[signed(item("CAPTURE", LATER, "true", ""))]).to_string();
    for (authorization, good) in [
        (Some("Basic YWR5ZW46cGFzczp3b3Jk"), true),
        (Some("Basic YWR5ZW46cGFzczp3b3Jl"), false),
        (Some("Bearer YWR5ZW46cGFzczp3b3Jk"), false),
        (Some(""), false),
        (None, false),
    ] {
        let read = adyen.hook().unwrap().read(&Posted {
            authorization: authorization.map(str::as_bytes),
            signature: None,
            now_unix_s: 0,
            body: body.as_bytes(),
        });
        assert_eq!(read.is_ok(), good, "{authorization:?}");
    }
    // They prove nothing by themselves.
    settings.secrets.remove("webhook_hmac_key");
    assert_eq!(hook(&settings).err().map(name), Some("webhook_hmac_key"));
    settings.secrets.remove("webhook_password");
    settings.parameters.remove("webhook_user");
    assert!(hook(&settings).unwrap().hook().is_none(), "no key, no webhook");
    for key in ["", "44782D", &"g".repeat(64), &format!("{KEY} {KEY} {KEY}"), &format!("{KEY} 44782D")] {
        settings.secrets.insert("webhook_hmac_key".into(), key.into());
        let refused = matches!(hook(&settings), Err(SettingError::Value { .. }));
        assert_eq!(refused, !key.is_empty(), "{key}");
    }
}

#[test]
fn another_form_is_no_message() {
    let webhook = webhook("Shop", KEY);
    for body in [
        "",
        "eventCode=CAPTURE&success=true",
        "{}",
        "[]",
        r#"{"notificationItems": {}}"#,
        r#"{"live": "false", "notificationItems": []}"#,
        r#"{"notificationItems": [{}]}"#,
    ] {
        let posted = Posted {
            authorization: None,
            signature: None,
            now_unix_s: 0,
            body: body.as_bytes(),
        };
        assert_eq!(webhook.read(&posted), Err(HookError::Malformed), "{body}");
    }
    let many = vec![signed(item("CAPTURE", LATER, "true", "")); ITEMS_MAX + 1];
    assert_eq!(read(&webhook, &message(&many)), Err(HookError::Malformed));
}
