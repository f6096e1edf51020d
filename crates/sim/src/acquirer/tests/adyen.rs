//! What Adyen refuses, what it does twice, and what is only received: with a plain client. What it tells later: with our connector.

use std::sync::atomic::{AtomicBool, Ordering};

use ivrpay_acquirer::{Heard, HookError, Posted};
use ivrpay_payment::{Notice, Noticed, OperationKind, Outcome, Sum};
use tokio::sync::mpsc;

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

/// A charge is captured hours later: until then it can be cancelled by our reference and no part of it given back, from then on the other way
/// round. All of it is given back at either time, which is told as what was asked for.
#[tokio::test]
async fn a_charge_is_captured_hours_later() {
    let lab = Lab::start().await;
    let shop = Shop::open(&lab, "adyen").await;
    let mut inbox = Inbox::open(&lab).await;
    for captured in [false, true] {
        for (kind, amount, event, done) in [
            (OperationKind::Refund, 400, "REFUND", captured),
            (OperationKind::Refund, 1_500, "CANCEL_OR_REFUND", true),
            (OperationKind::Void, 1_500, "CANCEL_OR_REFUND", true),
        ] {
            let charge = shop.intent(OperationKind::Charge, 1_500, None);
            let charge = shop.run(charge, Some(VISA)).await;
            inbox.next(&shop).await;
            let order = charge.op.get().acquirer_order.to_string();
            if captured {
                let over = json!({"event": "DELAY_OVER", "order": order});
                assert_eq!(control(&lab, over.clone()).await, 200);
                assert_eq!(control(&lab, over).await, 400, "once");
            }
            let later = shop.intent(kind, amount, Some(&charge));
            let later = shop.run(later, None).await;
            let notice = inbox.next(&shop).await;
            let about = Noticed::Operation(later.op.get().operation_id);
            let yes = matches!(notice.outcome, Outcome::Approved(_));
            let at = format!("{captured} {kind:?} {amount}");
            assert_eq!(
                (notice.event, notice.about, yes),
                (event, about, done),
                "{at}"
            );
            assert!(notice.kinds.contains(&kind), "{at}");
            let order = shop.order(&charge).await;
            let left = order["taken"].as_u64().unwrap() - order["refunded"].as_u64().unwrap();
            let given = if done { amount } else { 0 };
            assert_eq!(left, 1_500 - given, "{at}: {order}");
        }
        let charge = shop.intent(OperationKind::Charge, 19_005, None);
        let lost = shop.run(charge, Some(VISA)).await;
        inbox.next(&shop).await;
        if captured {
            let order = lost.op.get().acquirer_order.to_string();
            control(&lab, json!({"event": "DELAY_OVER", "order": order})).await;
        }
        let void = shop.intent(OperationKind::Void, 19_005, Some(&lost));
        shop.run(void, None).await;
        let notice = inbox.next(&shop).await;
        let yes = matches!(notice.outcome, Outcome::Approved(_));
        assert_eq!((notice.event, yes), ("TECHNICAL_CANCEL", !captured));
    }
}

/// Where its webhooks go.
struct Inbox {
    messages: mpsc::UnboundedReceiver<(Option<Vec<u8>>, Vec<u8>)>,
    /// Answers 503, once.
    refuses: Arc<AtomicBool>,
}

impl Inbox {
    async fn open(lab: &Lab) -> Self {
        use axum::http::{HeaderMap, StatusCode};
        let (sender, messages) = mpsc::unbounded_channel();
        let refuses = Arc::new(AtomicBool::new(false));
        let once = Arc::clone(&refuses);
        let take = move |headers: HeaderMap, body: axum::body::Bytes| {
            let authorization = headers.get("authorization").map(|h| h.as_bytes().to_vec());
            let refused = once.swap(false, Ordering::SeqCst);
            drop(sender.send((authorization, body.to_vec())));
            std::future::ready(match refused {
                true => (StatusCode::SERVICE_UNAVAILABLE, ""),
                false => (StatusCode::OK, "[accepted]"),
            })
        };
        let router = axum::Router::new().route("/hooks/adyen", axum::routing::post(take));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks/adyen", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        control(
            lab,
            json!({"url": url, "user": "adyen", "password": "secret"}),
        )
        .await;
        Self { messages, refuses }
    }

    async fn body(&mut self) -> Vec<u8> {
        let message = tokio::time::timeout(Duration::from_secs(20), self.messages.recv()).await;
        let (authorization, body) = message.expect("a webhook").unwrap();
        assert_eq!(
            authorization.as_deref(),
            Some(&b"Basic YWR5ZW46c2VjcmV0"[..])
        );
        body
    }

    /// The next one, as our connector reads it.
    async fn next(&mut self, shop: &Shop<'_>) -> Notice {
        match read(shop, &self.body().await).map(|mut heard| heard.remove(0)) {
            Ok(Heard::Notice(notice)) => notice,
            other => panic!("{other:?}"),
        }
    }
}

fn read(shop: &Shop<'_>, body: &[u8]) -> Result<Vec<Heard>, HookError> {
    let posted = Posted {
        authorization: None,
        signature: None,
        now_unix_s: 0,
        body,
    };
    shop.connector.hook().unwrap().read(&posted)
}

async fn control(lab: &Lab, mut asked: Value) -> u16 {
    asked["acquirer"] = "adyen".into();
    let url = format!("http://{}/webhook", lab.running.control);
    let answer = lab.client.post(url).body(asked.to_string()).send().await;
    answer.unwrap().status().as_u16()
}

/// Every operation, and what is told of it: which operation, how much, yes or no.
#[tokio::test]
async fn what_is_asked_is_told_by_webhook() {
    let lab = Lab::start().await;
    let shop = Shop::open(&lab, "adyen").await;
    let mut inbox = Inbox::open(&lab).await;
    let yes = |notice: &Notice| matches!(notice.outcome, Outcome::Approved(_));
    let authorise = shop.intent(OperationKind::Authorise, 1_500, None);
    let authorised = shop.run(authorise, Some(VISA)).await;
    let notice = inbox.next(&shop).await;
    let order = authorised.op.get().acquirer_order;
    assert_eq!(
        (notice.event, notice.about),
        ("AUTHORISATION", Noticed::Order(order))
    );
    assert_eq!(
        notice.outcome, authorised.outcome,
        "the answer and the webhook say the same"
    );
    assert_eq!(notice.sum, Sum::Is(authorised.op.get().amount));
    for (kind, amount, event, done) in [
        (OperationKind::Refund, 100, "REFUND", false),
        (OperationKind::Capture, 1_200, "CAPTURE", true),
        (OperationKind::Refund, 200, "REFUND", true),
        (OperationKind::Void, 1_000, "CANCELLATION", false),
    ] {
        let later = shop.intent(kind, amount, Some(&authorised));
        let later = shop.run(later, None).await;
        assert_eq!(word(&later.outcome), "unknown: Pending");
        let notice = inbox.next(&shop).await;
        let about = Noticed::Operation(later.op.get().operation_id);
        assert_eq!(
            (notice.event, notice.about, yes(&notice)),
            (event, about, done)
        );
        assert!(notice.kinds.contains(&kind));
        if kind != OperationKind::Void {
            assert_eq!(notice.sum, Sum::Is(later.op.get().amount));
        }
    }
    let declined = shop.intent(OperationKind::Charge, 1_700, None);
    let declined = shop.run(declined, Some("4000000000009995")).await;
    assert_eq!(inbox.next(&shop).await.outcome, declined.outcome);
    // A charge is cancelled or refunded, whichever applies; an unknown one by our order number.
    let charge = shop.intent(OperationKind::Charge, 1_800, None);
    let charge = shop.run(charge, Some(VISA)).await;
    inbox.next(&shop).await;
    shop.run(shop.intent(OperationKind::Void, 1_800, Some(&charge)), None)
        .await;
    let notice = inbox.next(&shop).await;
    assert_eq!((notice.event, yes(&notice)), ("CANCEL_OR_REFUND", true));
    for (amount, booked) in [(19_004, false), (19_005, true)] {
        let charge = shop.intent(OperationKind::Charge, amount, None);
        let lost = shop.run(charge, Some(VISA)).await;
        assert_eq!(word(&lost.outcome), "unknown: NoReply");
        if booked {
            let notice = inbox.next(&shop).await;
            assert_eq!((notice.event, yes(&notice)), ("AUTHORISATION", true));
        }
        shop.run(shop.intent(OperationKind::Void, amount, Some(&lost)), None)
            .await;
        let notice = inbox.next(&shop).await;
        let order = Noticed::Order(lost.op.get().acquirer_order);
        assert_eq!((notice.event, notice.about), ("TECHNICAL_CANCEL", order));
        assert_eq!(yes(&notice), booked);
    }
}

/// Late, twice, out of order, signed by somebody else, refused and sent again, and what fails after it was done.
#[tokio::test]
async fn webhooks_go_wrong_on_demand() {
    let lab = Lab::start().await;
    let shop = Shop::open(&lab, "adyen").await;
    let mut inbox = Inbox::open(&lab).await;
    let charge = async |amount: u64| {
        let charge = shop.intent(OperationKind::Charge, amount, None);
        shop.run(charge, Some(VISA)).await.op.get().acquirer_order
    };
    assert_eq!(control(&lab, json!({"fault": "twice"})).await, 200);
    let order = charge(1_500).await;
    for _ in 0..2 {
        assert_eq!(inbox.next(&shop).await.about, Noticed::Order(order));
    }
    assert_eq!(control(&lab, json!({"fault": "out-of-order"})).await, 200);
    let (first, second) = (charge(1_501).await, charge(1_502).await);
    for order in [second, first] {
        assert_eq!(inbox.next(&shop).await.about, Noticed::Order(order));
    }
    inbox.refuses.store(true, Ordering::SeqCst);
    let order = charge(1_503).await;
    for _ in 0..2 {
        assert_eq!(inbox.next(&shop).await.about, Noticed::Order(order));
    }
    assert_eq!(
        control(&lab, json!({"fault": "wrong-signature"})).await,
        200
    );
    charge(1_504).await;
    let forged = inbox.body().await;
    assert_eq!(read(&shop, &forged), Err(HookError::Unproven));
    assert_eq!(control(&lab, json!({"fault": "never"})).await, 200);
    charge(1_505).await;
    assert_eq!(control(&lab, json!({"fault": "late"})).await, 200);
    let order = charge(1_506).await;
    assert_eq!(inbox.next(&shop).await.about, Noticed::Order(order));
    let late = json!({"event": "CAPTURE_FAILED", "order": order.to_string()});
    assert_eq!(control(&lab, late).await, 200);
    let notice = inbox.next(&shop).await;
    assert_eq!(
        (notice.event, notice.about),
        ("CAPTURE_FAILED", Noticed::Order(order))
    );
    for wrong in [
        json!({"fault": "none such"}),
        json!({"event": "CAPTURE_FAILED", "order": "1"}),
        json!({"url": "http://192.0.2.1:80/hooks"}),
        json!({"url": "https://127.0.0.1:80/hooks"}),
    ] {
        assert_eq!(control(&lab, wrong.clone()).await, 400, "{wrong}");
    }
    let log = lab.log().await["acquirers"]["adyen"]["webhooks"].clone();
    let statuses: Vec<_> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|w| &w["status"])
        .collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 503).count(),
        1,
        "{log}"
    );
}
