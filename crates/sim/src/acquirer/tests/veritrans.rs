//! VeriTrans refuses what is wrong, with a client that is none of ours.

use sha2::{Digest, Sha256};

use super::*;

const CCID: &str = "A100000000000000000000cc";

fn params() -> Value {
    json!({
        "orderId": "ord-0001", "amount": "1500", "jpo": "10", "withCapture": "false", "cardNumber": "4111111111111111", "cardExpire": "12/40",
        "securityCode": "123", "txnVersion": "2.0.0", "dummyRequest": "1", "merchantCcid": CCID,
    })
}

fn signed(params: &str, key: &str) -> Vec<u8> {
    let digest = Sha256::digest([CCID, params, key].concat().as_bytes());
    let hash: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    format!("{{\"params\":{params},\"authHash\":\"{hash}\"}}").into_bytes()
}

async fn send(lab: &Lab, path: &str, kind: &str, body: Vec<u8>) -> (u16, Value) {
    let url = format!("https://{}/veritrans{path}", lab.running.listen);
    let request = lab.client.post(url).header("content-type", kind).body(body);
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_default())
}

async fn booked(lab: &Lab) -> Value {
    lab.log().await["acquirers"]["veritrans"]["orders"].clone()
}

const AUTHORISE: &str = "/test-paynow/v2/Authorize/card";
const KEY: &str = "secret_key_example";
const JSON: &str = "application/json";

#[tokio::test]
async fn wrong_requests_are_refused() {
    let lab = Lab::start().await;
    let with = |name: &str, value: Value| {
        let mut params = params();
        params[name] = value;
        signed(&params.to_string(), KEY)
    };
    let without = |name: &str| {
        let mut params = params();
        params.as_object_mut().unwrap().remove(name);
        signed(&params.to_string(), KEY)
    };
    let good = params().to_string();
    let mut latin = signed(&good, KEY);
    latin.insert(20, 0x93);
    let other_text = good.replace("1500", "1501");
    let moved = String::from_utf8(signed(&good, KEY)).unwrap();
    let moved = moved.replace(&good, &other_text).into_bytes();
    let spaced = String::from_utf8(signed(&good, KEY)).unwrap();
    let spaced = spaced.replace("\"amount\":", "\"amount\": ").into_bytes();
    let doubled = good.replace("\"amount\"", "\"amount\":\"1\",\"amount\"");
    for (what, code, body) in [
        ("no order", "AC01", without("orderId")),
        (
            "an order of other letters",
            "AC01",
            with("orderId", "ord 1".into()),
        ),
        ("no amount", "AC01", without("amount")),
        (
            "an amount that is a number",
            "AC01",
            with("amount", 1500.into()),
        ),
        ("an amount of nothing", "AC01", with("amount", "0".into())),
        ("an unknown plan", "AC01", with("jpo", "61C1".into())),
        ("no number", "AC25", without("cardNumber")),
        ("no expiry", "AC30", without("cardExpire")),
        (
            "an expiry turned round",
            "AC30",
            with("cardExpire", "40/12".into()),
        ),
        ("an unknown field", "AC01", with("cardholder", "X".into())),
        (
            "an unknown account",
            "AC01",
            with("payNowIdParam", json!({"accountParam": {"accountId": "x"}})),
        ),
        (
            "an unknown field below",
            "AC01",
            with("payNowIdParam", json!({"accountparam": {}})),
        ),
        ("a doubled field", "AC01", signed(&doubled, KEY)),
        ("another charset", "AC01", latin),
        ("no JSON", "AC01", b"{".to_vec()),
        ("another key", "ZZ01", signed(&good, "secret_key_guessed")),
        ("another text than was signed", "ZZ01", moved),
        ("the same text, spaced otherwise", "ZZ01", spaced),
        (
            "another merchant",
            "ZZ01",
            with("merchantCcid", "A200000000000000000000cc".into()),
        ),
        ("no dummy", "ZZ01", with("dummyRequest", "0".into())),
    ] {
        let (status, answer) = send(&lab, AUTHORISE, JSON, body).await;
        let result = &answer["result"];
        assert_eq!(
            (status, &result["mstatus"]),
            (200, &json!("failure")),
            "{what}"
        );
        assert_eq!(
            result["vResultCode"],
            format!("{code}000000000000"),
            "{what}"
        );
    }
    for (path, kind) in [
        ("/paynow/v2/Authorize/card", JSON),
        ("/test-paynow/v2/Authorise/card", JSON),
        (AUTHORISE, "application/x-www-form-urlencoded"),
    ] {
        let (status, _) = send(&lab, path, kind, signed(&good, KEY)).await;
        assert_eq!(status, 404, "{path} {kind}");
    }
    assert_eq!(booked(&lab).await, json!([]));
    assert!(!lab.log().await.to_string().contains("4111111111111111"));
}

/// An order is authorised once, and every later step knows what the order has left.
#[tokio::test]
async fn an_order_has_a_state() {
    let lab = Lab::start().await;
    let ask = async |path: &str, params: Value| {
        let (_, answer) = send(&lab, path, JSON, signed(&params.to_string(), KEY)).await;
        answer["result"]["vResultCode"]
            .as_str()
            .unwrap()
            .get(..4)
            .unwrap()
            .to_owned()
    };
    let later = |amount: Option<&str>| {
        let mut params = json!({"orderId": "ord-0001", "txnVersion": "2.0.0", "dummyRequest": "1", "merchantCcid": CCID});
        if let Some(amount) = amount {
            params["amount"] = amount.into();
        }
        params
    };
    let (capture, cancel) = (
        "/test-paynow/v2/Capture/card",
        "/test-paynow/v2/Cancel/card",
    );
    for (path, params, code) in [
        (capture, later(Some("1500")), "ACD4"),
        (AUTHORISE, params(), "A001"),
        (AUTHORISE, params(), "ZZ01"),
        (cancel, later(Some("500")), "AC01"),
        (capture, later(Some("1501")), "AC01"),
        (capture, later(Some("1400")), "A001"),
        (capture, later(Some("1400")), "NH02"),
        (cancel, later(Some("1401")), "AC01"),
        (cancel, later(Some("400")), "A001"),
        (cancel, later(None), "A001"),
        (cancel, later(None), "NH02"),
    ] {
        assert_eq!(ask(path, params.clone()).await, code, "{path} {params}");
    }
    let log = booked(&lab).await;
    assert_eq!(
        (&log[0]["state"], &log[0]["requests"]),
        (&json!("refunded"), &json!(2))
    );
}
