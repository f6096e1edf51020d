//! What Stripe refuses, and what it does twice: with a plain client.

use ivrpay_acquirer::{Heard, HookError, Posted};
use ivrpay_payment::{Notice, OperationKind, Outcome, Sum};
use tokio::sync::mpsc;

use super::ask::{ask, books};
use super::matrix::Shop;
use super::*;

const BEARER: (&str, &str) = ("authorization", "Bearer sk_test_ivrpay0000000000");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const CARD: &str =
    "type=card&card[number]=4242424242424242&card[exp_month]=12&card[exp_year]=2040&card[cvc]=123";

async fn post(lab: &Lab, path: &str, body: &str) -> (u16, Value) {
    ask(
        lab,
        "stripe",
        ("POST", path),
        &[BEARER, FORM],
        body.as_bytes(),
    )
    .await
}

fn intent(method: &str) -> String {
    format!(
        "amount=1500&currency=jpy&confirm=true&capture_method=manual&payment_method={method}&payment_method_types[0]=card&payment_method_options[card][moto]=true&metadata[order_id]=7"
    )
}

#[tokio::test]
async fn wrong_requests_are_refused_by_name() {
    let lab = Lab::start().await;
    let (_, method) = post(&lab, "/payment_methods", CARD).await;
    let good = intent(method["id"].as_str().unwrap());
    let without = |name: &str| {
        let kept = good.split('&').filter(|pair| !pair.starts_with(name));
        kept.collect::<Vec<_>>().join("&")
    };
    for (path, body, status, param) in [
        (
            "/payment_methods",
            CARD.replace("type=card", "type=sepa"),
            400,
            "type",
        ),
        (
            "/payment_methods",
            CARD.replace("[number]", "[nubmer]"),
            400,
            "card[nubmer]",
        ),
        (
            "/payment_methods",
            format!("{CARD}&card[cvc]=123"),
            400,
            "card[cvc]",
        ),
        (
            "/payment_methods",
            CARD.replace("&card[exp_year]=2040", ""),
            400,
            "card[exp_year]",
        ),
        ("/payment_intents", without("amount="), 400, "amount"),
        ("/payment_intents", without("currency="), 400, "currency"),
        (
            "/payment_intents",
            without("payment_method="),
            400,
            "payment_method",
        ),
        ("/payment_intents", without("confirm="), 400, "confirm"),
        (
            "/payment_intents",
            good.replace("=1500", "=15.00"),
            400,
            "amount",
        ),
        (
            "/payment_intents",
            good.replace("jpy", "JPY"),
            400,
            "currency",
        ),
        (
            "/payment_intents",
            good.replace("pm_", "pmx_"),
            404,
            "pmx_3Iv000001",
        ),
        ("/payment_intents", format!("{good}&moto=true"), 400, "moto"),
        ("/payment_intents/pi_9/capture", String::new(), 404, "pi_9"),
        (
            "/payment_intents/pi_9/cancel",
            "cancellation_reason=why".into(),
            400,
            "cancellation_reason",
        ),
        ("/refunds", "amount=1".into(), 400, "payment_intent"),
        ("/charges", String::new(), 404, "Unrecognized request URL"),
    ] {
        let (given, answer) = post(&lab, path, &body).await;
        let error = &answer["error"];
        assert_eq!(
            (given, &error["param"]),
            (status, &json!(param)),
            "{path} {body}: {error}"
        );
    }
    let latin = good.replace("order_id]=7", "order_id]=%E9");
    for (headers, body, status) in [
        (vec![FORM], good.as_str(), 401),
        (
            vec![FORM, ("authorization", "Bearer sk_test_other")],
            &good,
            401,
        ),
        (
            vec![BEARER, ("content-type", "application/json")],
            &good,
            400,
        ),
        (vec![BEARER, FORM], &latin, 400),
    ] {
        let (given, answer) = ask(
            &lab,
            "stripe",
            ("POST", "/payment_intents"),
            &headers,
            body.as_bytes(),
        )
        .await;
        assert_eq!(given, status, "{answer}");
    }
    let (orders, wrong) = books(&lab, "stripe").await;
    assert_eq!((orders, wrong), (json!([]), 20));
}

#[tokio::test]
async fn a_key_is_answered_once_and_states_are_kept() {
    let lab = Lab::start().await;
    let keyed = async |key: &str, path: &str, body: &str| {
        let headers = [BEARER, FORM, ("idempotency-key", key)];
        ask(&lab, "stripe", ("POST", path), &headers, body.as_bytes()).await
    };
    let (_, method) = keyed("a", "/payment_methods", CARD).await;
    let body = intent(method["id"].as_str().unwrap());
    let first = keyed("b", "/payment_intents", &body).await;
    assert_eq!(first, keyed("b", "/payment_intents", &body).await);
    assert_eq!(first.1["status"], "requires_capture");
    let (status, other) = keyed("b", "/payment_intents", &body.replace("1500", "1501")).await;
    assert_eq!(
        (status, &other["error"]["type"]),
        (400, &json!("idempotency_error"))
    );

    let id = first.1["id"].as_str().unwrap();
    let path = format!("/payment_intents/{id}");
    let at = |what: &str| format!("{path}/{what}");
    assert_eq!(
        post(&lab, &at("capture"), "amount_to_capture=1501").await.0,
        400
    );
    let (_, captured) = post(&lab, &at("capture"), "amount_to_capture=1200").await;
    assert_eq!(captured["amount_received"], 1200);
    assert_eq!(post(&lab, &at("capture"), "").await.0, 400, "only once");
    assert_eq!(post(&lab, &at("cancel"), "").await.0, 400, "too late");
    let refund = |sum: u64| format!("payment_intent={id}&amount={sum}");
    assert_eq!(
        post(&lab, "/refunds", &refund(1000)).await.1["status"],
        "succeeded"
    );
    assert_eq!(
        post(&lab, "/refunds", &refund(201)).await.0,
        400,
        "more than is left"
    );
    assert_eq!(post(&lab, "/refunds", &refund(200)).await.0, 200);
    assert_eq!(
        post(&lab, "/refunds", &refund(1)).await.1["error"]["code"],
        "charge_already_refunded"
    );
    let read = async |path: &str| ask(&lab, "stripe", ("GET", path), &[BEARER], b"").await.1;
    assert_eq!(read(&path).await["status"], "succeeded");
    let page = read(&format!("/refunds?payment_intent={id}&limit=1")).await;
    assert_eq!(
        (&page["has_more"], &page["data"][0]["amount"]),
        (&json!(true), &json!(200))
    );
    let (orders, _) = books(&lab, "stripe").await;
    assert_eq!(
        (
            &orders[0]["order"],
            &orders[0]["received"],
            &orders[0]["refunded"],
            &orders[1]
        ),
        (&json!("7"), &json!(1200), &json!(1200), &Value::Null)
    );
    assert!(!lab.log().await.to_string().contains(VISA));
}

/// Where its webhooks go: each with the header that signs it.
async fn inbox(lab: &Lab) -> mpsc::UnboundedReceiver<(Vec<u8>, Vec<u8>)> {
    let (sender, messages) = mpsc::unbounded_channel();
    let take = move |headers: axum::http::HeaderMap, body: axum::body::Bytes| {
        let signature = headers.get("stripe-signature");
        let signature = signature.map(|h| h.as_bytes().to_vec());
        drop(sender.send((signature.unwrap_or_default(), body.to_vec())));
        std::future::ready("[accepted]")
    };
    let router = axum::Router::new().route("/hooks/stripe", axum::routing::post(take));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks/stripe", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    control(lab, json!({ "url": url })).await;
    messages
}

async fn control(lab: &Lab, mut asked: Value) {
    asked["acquirer"] = "stripe".into();
    let url = format!("http://{}/webhook", lab.running.control);
    let answer = lab.client.post(url).body(asked.to_string()).send().await;
    assert_eq!(answer.unwrap().status().as_u16(), 200);
}

/// The next one, as our connector reads it.
async fn next(
    messages: &mut mpsc::UnboundedReceiver<(Vec<u8>, Vec<u8>)>,
    shop: &Shop<'_>,
) -> Result<Notice, HookError> {
    let message = tokio::time::timeout(Duration::from_secs(20), messages.recv()).await;
    let (signature, body) = message.expect("a webhook").unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let posted = Posted {
        authorization: None,
        signature: Some(&signature),
        now_unix_s: i64::try_from(now.unwrap().as_secs()).unwrap(),
        body: &body,
    };
    let mut heard = shop.connector.hook().unwrap().read(&posted)?;
    match heard.remove(0) {
        Heard::Notice(notice) => Ok(notice),
        Heard::Nothing(event) => panic!("{event} says nothing"),
    }
}

/// What is asked is told, of the amount and with the outcome that were asked; forged, old and repeated ones are known as such.
#[tokio::test]
async fn what_is_asked_is_told_by_webhook() {
    use OperationKind::{Authorise, Capture, Charge, Refund, Void};
    const VISA: &str = "4242424242424242";
    let lab = Lab::start().await;
    let shop = Shop::open(&lab, "stripe").await;
    let mut messages = inbox(&lab).await;
    let mut before = None;
    for (kind, amount, card, event, done) in [
        (Charge, 1500, Some(VISA), "payment_intent.succeeded", true),
        (Refund, 400, None, "refund.created", true),
        (
            Charge,
            1500,
            Some("4000000000009995"),
            "payment_intent.payment_failed",
            false,
        ),
        (
            Authorise,
            1500,
            Some(VISA),
            "payment_intent.amount_capturable_updated",
            true,
        ),
        (Capture, 900, None, "payment_intent.succeeded", true),
        (
            Authorise,
            1500,
            Some(VISA),
            "payment_intent.amount_capturable_updated",
            true,
        ),
        (Void, 1500, None, "payment_intent.canceled", true),
    ] {
        let parent = before.as_ref().filter(|_| card.is_none());
        let intent = shop.intent(kind, amount, parent);
        let (of, sum) = (intent.kind, intent.amount);
        let asked = shop.run(intent, card).await;
        let notice = next(&mut messages, &shop).await.unwrap();
        assert_eq!((notice.event, notice.kinds), (event, &[of][..]));
        let told = if kind == Void {
            Sum::Untold
        } else {
            Sum::Is(sum)
        };
        assert_eq!(notice.sum, told, "{event}");
        assert_eq!(matches!(notice.outcome, Outcome::Approved(_)), done);
        assert_eq!(matches!(asked.outcome, Outcome::Approved(_)), done);
        before = Some(asked);
    }
    for (fault, expected) in [
        ("wrong-signature", Err(HookError::Unproven)),
        ("old", Err(HookError::Old)),
        ("twice", Ok("payment_intent.succeeded")),
    ] {
        control(&lab, json!({ "fault": fault })).await;
        shop.run(shop.intent(Charge, 1500, None), Some(VISA)).await;
        let times = if fault == "twice" { 2 } else { 1 };
        for _ in 0..times {
            let notice = next(&mut messages, &shop).await;
            assert_eq!(notice.map(|notice| notice.event), expected, "{fault}");
        }
    }
}
