//! What is told of a payment: what is on, its story, its receipts, its evidence, and that it is disputed.

use super::*;

/// A payment of tokyo's that is charged, and whose call is over.
async fn approved(server: &Server, order: &str) -> PaymentId {
    let body = json!({"amount": 1200, "order_id": order}).to_string();
    let made = server.post("tokyo-key", "", &body).await;
    let id: PaymentId = made.body["id"].as_str().unwrap().parse().unwrap();
    let claim = server.journal.claim(id, call_id()).await.unwrap();
    let intent = server.journal.write_intent(id, draft(&claim)).await;
    let intent = intent.unwrap();
    server.journal.write_outcome(&intent, &yes()).await.unwrap();
    let said = json!([{"is": "spoken", "prompt": "greeting", "at_ms": 10}, {"is": "pressed", "step": "confirmation", "key": 1, "at_ms": 20}]);
    let released = server.journal.release(&claim, "success", said).await;
    released.unwrap();
    id
}

/// Who announced it, who took it, what the caller heard and pressed, what the acquirer answered, and who was told.
#[tokio::test]
async fn a_payment_tells_its_story() {
    let server = Server::start().await;
    let id = approved(&server, "S-1").await;
    let story = server
        .get("reader-key", &format!("/v1/payments/{id}/story"))
        .await;
    assert_eq!(story.status, 200, "{}", story.body);
    let entries = story.body["entries"].as_array().unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                entry["what"].as_str().unwrap(),
                entry["who"].as_str().unwrap(),
            )
        })
        .collect();
    for expected in [
        ("created", "ivrpay"),
        ("claimed", "ivrpay"),
        ("spoken", "ivrpay"),
        ("pressed", "caller"),
        ("asked", "ivrpay"),
        ("answered", "sandbox"),
        ("closed", "ivrpay"),
        ("event", "ivrpay"),
    ] {
        assert!(told.contains(&expected), "{expected:?} of {told:?}");
    }
    let answered = entries
        .iter()
        .find(|entry| entry["what"] == "answered")
        .unwrap();
    assert_eq!(answered["detail"]["outcome"], "approved");
    assert_eq!(answered["detail"]["state"], "approved");
    assert_eq!(
        server
            .get("paris-key", &format!("/v1/payments/{id}/story"))
            .await
            .status,
        404
    );
}

/// What is on is shown to its merchant, by a key that may read, in whole and by its call.
#[tokio::test]
async fn what_is_on_now_is_shown() {
    let server = Server::start().await;
    let call = "01890000-0000-7000-8000-000000000009";
    let capture = |call: &str, tenant: &str, extension: &str| {
        serde_json::from_value::<api::Capture>(json!({
            "call_id": call, "payment_id": call, "tenant": tenant, "order_id": "A-1", "amount": 1200, "currency": "JPY",
            "transaction_type": "charge", "operator_extension": extension, "mode": "stay", "practice": false, "step": "expiration-date",
            "field": "expiration-date", "digits": 2, "attempt": 1, "seconds_left": 90, "brand": "jcb", "last4": "0000",
            "began_at": "2026-11-24T00:00:00Z", "entered_by": "caller",
        }))
        .unwrap()
    };
    let other = "01890000-0000-7000-8000-000000000008";
    *server.captures.lock().unwrap() = vec![
        capture(call, "tokyo", "201"),
        capture(other, "paris", "301"),
    ];
    let all = server.get("reader-key", "/v1/captures").await;
    assert_eq!(all.status, 200, "{}", all.body);
    assert_eq!(all.body["captures"].as_array().unwrap().len(), 1);
    assert_eq!(all.body["captures"][0]["last4"], "0000");
    for (query, count) in [
        ("?operator_extension=201", 1),
        ("?operator_extension=202", 0),
        (&*format!("?payment_id={call}"), 1),
    ] {
        let some = server
            .get("tokyo-key", &format!("/v1/captures{query}"))
            .await;
        assert_eq!(
            some.body["captures"].as_array().unwrap().len(),
            count,
            "{query}"
        );
    }
    let one = server
        .get("reader-key", &format!("/v1/captures/{call}"))
        .await;
    assert_eq!((one.status, &one.body["digits"]), (200, &json!(2)));
    let foreign = server
        .get("tokyo-key", &format!("/v1/captures/{other}"))
        .await;
    assert_eq!(foreign.status, 404);
}
