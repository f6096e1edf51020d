//! What Hyperswitch refuses, and that an id is used once: with a plain client.

use super::ask::{ask, books};
use super::*;

const KEY: (&str, &str) = ("api-key", "snd_ivrpay0000000000");
const JSON: (&str, &str) = ("content-type", "application/json");
const ID: &str = "tel000000000000000000000000007";

fn payment() -> Value {
    json!({
        "payment_id": ID, "amount": 1500, "currency": "JPY", "confirm": true, "capture_method": "manual",
        "authentication_type": "no_three_ds", "payment_channel": "telephone_order", "payment_method": "card",
        "payment_method_data": {"card": {
            "card_number": VISA, "card_exp_month": "12", "card_exp_year": "2040", "card_cvc": "123", "card_holder_name": "A",
        }},
        "merchant_order_reference_id": "7", "metadata": {},
    })
}

async fn post(lab: &Lab, path: &str, body: &Value) -> (u16, Value) {
    ask(
        lab,
        "hyperswitch",
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
    let card = "/payment_method_data/card";
    for (body, code, message) in [
        (with("/amuont", json!(1)), "IR_06", "amuont"),
        (
            with(&format!("{card}/cvv"), json!("1")),
            "IR_06",
            "card.cvv",
        ),
        (with("/payment_id", json!("tel7")), "IR_05", "payment_id"),
        (with("/payment_id", json!("")), "IR_04", "payment_id"),
        (with("/amount", json!(0)), "IR_06", "amount"),
        (with("/amount", json!("1500")), "IR_06", "amount"),
        (with("/currency", json!("YEN")), "IR_06", "currency"),
        (with("/confirm", json!(false)), "IR_07", "confirm"),
        (
            with("/payment_method", json!("")),
            "IR_04",
            "payment_method",
        ),
        (
            with("/capture_method", json!("later")),
            "IR_06",
            "capture_method",
        ),
        (
            with(&format!("{card}/card_number"), json!("4242424242424241")),
            "IR_06",
            "card number",
        ),
        (
            with(&format!("{card}/card_exp_month"), json!("")),
            "IR_04",
            "card_exp_month",
        ),
        (
            with(&format!("{card}/card_exp_year"), json!("40")),
            "IR_16",
            "Expiry",
        ),
        (
            with(&format!("{card}/card_cvc"), json!("12")),
            "IR_16",
            "card_cvc",
        ),
    ] {
        let (status, answer) = post(&lab, "/payments", &body).await;
        let error = &answer["error"];
        assert_eq!(
            (status, &error["code"]),
            (400, &json!(code)),
            "{body}: {error}"
        );
        assert!(
            error["message"].as_str().unwrap().contains(message),
            "{error}"
        );
    }
    let good = payment().to_string();
    let doubled = good.replacen('{', r#"{"amount":1,"#, 1);
    let latin = [good.replace("\"A\"", "\"").as_bytes(), b"\xe9"].concat();
    for (headers, body, status) in [
        (vec![JSON], good.as_bytes(), 401),
        (vec![JSON, ("api-key", "snd_other")], good.as_bytes(), 401),
        (
            vec![KEY, ("content-type", "application/x-www-form-urlencoded")],
            good.as_bytes(),
            400,
        ),
        (
            vec![KEY, ("content-type", "application/json; charset=Shift_JIS")],
            good.as_bytes(),
            400,
        ),
        (vec![KEY, JSON], doubled.as_bytes(), 400),
        (vec![KEY, JSON], &latin, 400),
    ] {
        let (given, answer) = ask(&lab, "hyperswitch", ("POST", "/payments"), &headers, body).await;
        assert_eq!(given, status, "{answer}");
    }
    let (orders, wrong) = books(&lab, "hyperswitch").await;
    assert_eq!((orders, wrong), (json!([]), 20));
}

#[tokio::test]
async fn an_id_is_used_once_and_states_are_kept() {
    let lab = Lab::start().await;
    let read = async |path: &str| ask(&lab, "hyperswitch", ("GET", path), &[KEY], b"").await;
    let path = format!("/payments/{ID}");
    let (status, none) = read(&format!("{path}?force_sync=true")).await;
    assert_eq!((status, &none["error"]["code"]), (404, &json!("HE_02")));
    let (_, first) = post(&lab, "/payments", &payment()).await;
    assert_eq!(first["status"], "requires_capture");
    let (status, again) = post(&lab, "/payments", &payment()).await;
    assert_eq!((status, &again["error"]["code"]), (400, &json!("HE_01")));
    let capture = format!("{path}/capture");
    assert_eq!(
        post(&lab, &capture, &json!({"amount_to_capture": 1501}))
            .await
            .0,
        400
    );
    let (_, captured) = post(&lab, &capture, &json!({"amount_to_capture": 1200})).await;
    assert_eq!(
        (&captured["status"], &captured["amount_received"]),
        (&json!("partially_captured"), &json!(1200))
    );
    assert_eq!(
        post(&lab, &capture, &json!({})).await.1["error"]["code"],
        "IR_14"
    );
    assert_eq!(
        post(&lab, &format!("{path}/cancel"), &json!({})).await.0,
        400,
        "too late"
    );
    let refund = |id: &str, sum: u64| json!({"payment_id": ID, "refund_id": id, "amount": sum});
    assert_eq!(
        post(&lab, "/refunds", &refund("r1", 1000)).await.1["status"],
        "succeeded"
    );
    assert_eq!(
        post(&lab, "/refunds", &refund("r1", 100)).await.1["error"]["code"],
        "HE_01"
    );
    assert_eq!(
        post(&lab, "/refunds", &refund("r2", 201)).await.1["error"]["code"],
        "IR_13"
    );
    assert_eq!(read("/refunds/r1").await.1["amount"], 1000);
    assert_eq!(read("/refunds/r2").await.0, 404);
    let mut web = payment();
    web["payment_id"] = ID.replace('7', "8").into();
    web["payment_channel"] = "ecommerce".into();
    assert_eq!(
        post(&lab, "/payments", &web).await.1["status"],
        "requires_customer_action"
    );
    let (orders, _) = books(&lab, "hyperswitch").await;
    assert_eq!(
        (&orders[0]["received"], &orders[0]["refunded"]),
        (&json!(1200), &json!(1000))
    );
    assert!(!lab.log().await.to_string().contains(VISA));
}
