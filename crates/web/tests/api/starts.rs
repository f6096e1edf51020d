//! A capture that the API begins, and what becomes of its payment where it can't.

use super::*;

const PATH: &str = "/v1/captures";

#[tokio::test]
async fn a_new_payment_is_taken_in_the_talk_that_is_named() {
    let server = Server::start().await;
    let body = json!({"amount": 1200, "order_id": "A-1", "operator_extension": "201", "mode": "stay", "by": "sato"});
    let begun = server.send("tokyo-key", PATH, body).await;
    assert_eq!(begun.status, 201, "{begun:?}");
    let started = server.notes.started.lock().unwrap().remove(0);
    assert_eq!(started.leg, TalkLeg::Extension("201".into()));
    assert_eq!(started.mode, Some(CaptureMode::Stay));
    assert_eq!(started.by.person.as_str(), "sato");
    assert_eq!(begun.body["payment_id"], started.payment.to_string());
    assert!(begun.body["call_id"].is_string());
    let payment = server
        .journal
        .payment(started.payment)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(payment.amount.minor(), 1_200);
}

#[tokio::test]
async fn a_payment_that_waits_is_taken_and_waits_on_where_it_can_not_be() {
    let server = Server::start().await;
    let payment = server
        .post("tokyo-key", "", r#"{"amount": 900, "order_id": "A-1"}"#)
        .await;
    let id = payment.body["id"].clone();
    let named = json!({"payment_id": id, "channel": "PJSIP/201-0000002a"});
    let begun = server.send("tokyo-key", PATH, named.clone()).await;
    assert_eq!(
        (begun.status, &begun.body["payment_id"]),
        (201, &id),
        "{begun:?}"
    );
    let why = NotStarted::new(api::ErrorCode::NoTalk, "nobody talks with the operator");
    *server.notes.not_started.lock().unwrap() = Some(why);
    let refused = server.send("tokyo-key", PATH, named).await;
    assert_eq!((refused.status, refused.code()), (409, "no-talk"));
    let state = server
        .get(
            "tokyo-key",
            &format!("/v1/payments/{}", id.as_str().unwrap()),
        )
        .await;
    assert_eq!(state.body["state"], "waiting");
    // One that was made for this talk alone does not stand in the way of the next try.
    let fresh = json!({"amount": 1200, "order_id": "A-2", "operator_extension": "201"});
    for _ in 0..2 {
        let refused = server.send("tokyo-key", PATH, fresh.clone()).await;
        assert_eq!((refused.status, refused.code()), (409, "no-talk"));
    }
    *server.notes.not_started.lock().unwrap() = None;
    assert_eq!(server.send("tokyo-key", PATH, fresh).await.status, 201);
}

#[tokio::test]
async fn what_is_wrong_with_a_start_is_told() {
    let server = Server::start().await;
    let payment = server
        .post("paris-key", "", r#"{"amount": 900, "order_id": "P-1"}"#)
        .await;
    let foreign = payment.body["id"].clone();
    for (body, status, says) in [
        (
            json!({"amount": 1, "order_id": "A"}),
            400,
            "operator_extension, or channel",
        ),
        (
            json!({"amount": 1, "order_id": "A", "operator_extension": "201", "channel": "x"}),
            400,
            "one of the two",
        ),
        (
            json!({"amount": 1, "order_id": "A", "channel": "a b"}),
            400,
            "channel: ",
        ),
        (
            json!({"operator_extension": "201"}),
            400,
            "payment_id: name a payment",
        ),
        (
            json!({"payment_id": foreign, "operator_extension": "201"}),
            404,
            "no such payment",
        ),
        (
            json!({"payment_id": foreign, "amount": 1, "operator_extension": "201"}),
            400,
            "leave them out",
        ),
        (
            json!({"amount": 1, "order_id": "A", "operator_extension": "201", "mode": "away"}),
            400,
            "mode",
        ),
    ] {
        let answer = server.send("tokyo-key", PATH, body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.message().contains(says), "{body}: {answer:?}");
    }
    assert!(server.notes.started.lock().unwrap().is_empty());
    let watcher = json!({"amount": 1, "order_id": "A", "operator_extension": "201"});
    assert_eq!(server.send("watcher-key", PATH, watcher).await.status, 403);
}
