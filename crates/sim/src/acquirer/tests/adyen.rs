//! What Adyen refuses, what it does twice, and what is only received: with a plain client.

use ivrpay_payment::OperationKind;

use super::ask::{ask, books};
use super::matrix::{Shop, word};
use super::*;

const KEY: (&str, &str) = ("x-api-key", "AQE-ivrpay-test-0000000000");
const JSON: (&str, &str) = ("content-type", "application/json");

fn payment() -> Value {
    json!({
        "merchantAccount": "IvrpayTestMerchant", "amount": {"value": 1500, "currency": "JPY"}, "reference": "7",
        "shopperInteraction": "Moto", "returnUrl": "https://example.com/none",
        "additionalData": {"manualCapture": "true"},
        "paymentMethod": {"type": "scheme", "number": VISA, "expiryMonth": "12", "expiryYear": "2040", "cvc": "737", "holderName": "A"},
    })
}

async fn post(lab: &Lab, path: &str, body: &Value) -> (u16, Value) {
    ask(
        lab,
        "adyen",
        ("POST", path),
        &[KEY, JSON],
        body.to_string().as_bytes(),
    )
    .await
}

#[tokio::test]
async fn wrong_requests_are_refused_by_name() {
    let lab = Lab::start().await;
    let with = |pointer: &str, new: Value| {
        let mut body = payment();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.insert(name.to_owned(), new);
        body
    };
    for (body, status, code, message) in [
        (with("/amuont", json!(1)), 400, "702", "[amuont]"),
        (
            with("/paymentMethod/cvv", json!("1")),
            400,
            "702",
            "[paymentMethod.cvv]",
        ),
        (
            with("/merchantAccount", json!("")),
            422,
            "100",
            "merchantAccount",
        ),
        (
            with("/merchantAccount", json!("Other")),
            403,
            "901",
            "Merchant",
        ),
        (with("/amount", json!(null)), 422, "100", "amount"),
        (with("/amount/value", json!("1500")), 422, "137", "amount"),
        (
            with("/amount/currency", json!("YEN")),
            422,
            "138",
            "currency",
        ),
        (with("/reference", json!("")), 422, "100", "reference"),
        (with("/returnUrl", json!("")), 422, "100", "returnUrl"),
        (
            with("/shopperInteraction", json!("Phone")),
            422,
            "000",
            "shopperInteraction",
        ),
        (
            with("/paymentMethod/number", json!("4242424242424241")),
            422,
            "101",
            "card number",
        ),
        (
            with("/paymentMethod/expiryMonth", json!("13")),
            422,
            "129",
            "Expiry",
        ),
        (with("/paymentMethod/cvc", json!("73")), 422, "103", "CVC"),
        (
            with("/installments", json!({"value": 0})),
            422,
            "157",
            "installments",
        ),
        (
            with("/installments", json!({"value": 3, "plan": "monthly"})),
            422,
            "157",
            "plan",
        ),
    ] {
        let (given, answer) = post(&lab, "/payments", &body).await;
        assert_eq!(
            (given, &answer["errorCode"]),
            (status, &json!(code)),
            "{body}: {answer}"
        );
        assert!(
            answer["message"].as_str().unwrap().contains(message),
            "{answer}"
        );
    }
    let good = payment().to_string();
    let doubled = good.replacen('{', r#"{"reference":"8","#, 1);
    let latin = [good.replace("\"A\"", "\"").as_bytes(), b"\xe9"].concat();
    for (headers, body, status) in [
        (vec![JSON], good.as_bytes(), 401),
        (vec![JSON, ("x-api-key", "AQE-other")], good.as_bytes(), 401),
        (
            vec![KEY, ("content-type", "text/plain")],
            good.as_bytes(),
            415,
        ),
        (
            vec![KEY, ("content-type", "application/json; charset=Shift_JIS")],
            good.as_bytes(),
            415,
        ),
        (vec![KEY, JSON], doubled.as_bytes(), 400),
        (vec![KEY, JSON], &latin, 400),
    ] {
        let (given, answer) = ask(&lab, "adyen", ("POST", "/payments"), &headers, body).await;
        assert_eq!(given, status, "{answer}");
    }
    let (given, _) = post(&lab, "/payments/NONE/captures", &json!({
        "merchantAccount": "IvrpayTestMerchant", "amount": {"value": 1, "currency": "JPY"}, "reference": "c",
    }))
    .await;
    assert_eq!(given, 422);
    let (orders, wrong) = books(&lab, "adyen").await;
    assert_eq!((orders, wrong), (json!([]), 22));
}

#[tokio::test]
async fn a_key_is_answered_once_and_refusals_are_asked_for_by_name() {
    let lab = Lab::start().await;
    let keyed = async |body: &Value| {
        let headers = [KEY, JSON, ("idempotency-key", "k")];
        ask(
            &lab,
            "adyen",
            ("POST", "/payments"),
            &headers,
            body.to_string().as_bytes(),
        )
        .await
    };
    let first = keyed(&payment()).await;
    assert_eq!(first.1["resultCode"], "Authorised");
    assert_eq!(first, keyed(&payment()).await);
    let mut other = payment();
    other["amount"]["value"] = 1501.into();
    assert_eq!(keyed(&other).await.1["errorCode"], "704");
    for (name, code) in [
        ("DECLINED", "2"),
        ("CARD_EXPIRED", "6"),
        ("NOT_ENOUGH_BALANCE", "12"),
    ] {
        let mut body = payment();
        body["reference"] = name.into();
        body["paymentMethod"]["holderName"] = name.into();
        let (status, answer) = post(&lab, "/payments", &body).await;
        assert_eq!((status, &answer["resultCode"]), (200, &json!("Refused")));
        assert_eq!(answer["refusalReasonCode"], code);
    }
    let mut web = payment();
    web["shopperInteraction"] = "Ecommerce".into();
    assert_eq!(
        post(&lab, "/payments", &web).await.1["resultCode"],
        "RedirectShopper"
    );
    let psp = first.1["pspReference"].as_str().unwrap();
    let sum = |value: u64| json!({"merchantAccount": "IvrpayTestMerchant", "amount": {"value": value, "currency": "JPY"}, "reference": "x"});
    for (what, value) in [
        ("captures", 1200),
        ("captures", 1),
        ("refunds", 1000),
        ("refunds", 201),
    ] {
        let (status, answer) = post(&lab, &format!("/payments/{psp}/{what}"), &sum(value)).await;
        assert_eq!(
            (status, &answer["status"]),
            (201, &json!("received")),
            "possible or not"
        );
    }
    let (orders, _) = books(&lab, "adyen").await;
    assert_eq!(
        (
            &orders[0]["captured"],
            &orders[0]["refunded"],
            &orders[1]["booked"]
        ),
        (&json!(1200), &json!(1000), &json!(false))
    );
    assert!(!lab.log().await.to_string().contains(VISA));
}

/// Our connector: an authorisation whose answer never came is undone by our own reference.
#[tokio::test]
async fn an_unknown_payment_is_undone_by_the_technical_cancel() {
    let lab = Lab::start().await;
    let shop = Shop::open(&lab, "adyen").await;
    let charge = shop.intent(OperationKind::Charge, 19_005, None);
    let lost = shop.run(charge, Some(VISA)).await;
    assert_eq!(word(&lost.outcome), "unknown: NoReply");
    assert_eq!(shop.order(&lost).await["booked"], true);
    let void = shop.intent(OperationKind::Void, 19_005, Some(&lost));
    let void = shop.run(void, None).await;
    assert_eq!(word(&void.outcome), "unknown: Pending");
    let order = shop.order(&lost).await;
    assert_eq!(
        (&order["state"], &order["booked"]),
        (&json!("Cancelled"), &json!(false))
    );
}
