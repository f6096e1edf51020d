//! What is told of a payment: what is on, its story, its receipts, its evidence, and that it is disputed.

use ivrpay_receipt::{Font, Issuer, Language, Rounding, Template};

use super::*;

/// How tokyo issues receipts, with the font of Debian's `fonts-ipafont-gothic`.
pub(super) fn receipts() -> Arc<ivrpay_web::Receipts> {
    let font = std::fs::read("/usr/share/fonts/opentype/ipafont-gothic/ipagp.ttf").unwrap();
    Arc::new(ivrpay_web::Receipts {
        issuer: Issuer {
            name: "みどり通販".into(),
            address: Vec::new(),
            registration: Some("T7000012050002".parse().unwrap()),
            tax_id: None,
            simplified: false,
            purpose: None,
            rate: Some("10".parse().unwrap()),
            registered_on: None,
            rounding: Rounding::Down,
            language: Language::Ja,
        },
        one_language: true,
        prefix: "R-".into(),
        zone: jiff::tz::TimeZone::UTC,
        templates: [Language::Ja, Language::En]
            .map(|language| Template::read(Template::built_in(language)).unwrap()),
        font: Font::new(font, 0).unwrap(),
    })
}

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

/// Numbers without a gap, whoever is refused in between; again is again; what was given back refers to what was paid.
#[tokio::test]
async fn receipts_are_issued_once_and_then_again() {
    let server = Server::start().await;
    let first = approved(&server, "R-1").await;
    let second = approved(&server, "R-2").await;
    let path = |id: &PaymentId| format!("/v1/payments/{id}/receipts");
    let issue = async |id: &PaymentId, body: Value| server.send("tokyo-key", &path(id), body).await;
    let nobody = issue(&first, json!({"by": "mori"})).await;
    assert_eq!(
        (nobody.status, nobody.message().contains("宛名")),
        (400, true),
        "{nobody:?}"
    );
    let made = issue(&first, json!({"by": "mori", "recipient": "山田太郎"})).await;
    assert_eq!(
        (made.status, &made.body["number"], &made.body["issue"]),
        (201, &json!("TEST-R-000001"), &json!(1)),
        "{made:?}"
    );
    assert_eq!(
        made.body["taxes"],
        json!([{"rate": "10", "gross": 1200, "tax": 109}])
    );
    let wrong = json!({"by": "mori", "recipient": "佐藤", "lines": [{"description": "茶", "amount": 1000, "rate": "8"}]});
    let wrong = issue(&second, wrong).await;
    assert!(
        wrong.status == 400 && wrong.message().contains("1000"),
        "{wrong:?}"
    );
    let card = issue(
        &second,
        json!({"by": "mori", "recipient": "4111111111111111"}),
    )
    .await;
    assert_eq!(card.status, 400, "{card:?}");
    let lines = json!([{"description": "茶", "amount": 400, "rate": "8"}, {"description": "急須", "amount": 800, "rate": "10"}]);
    let other = issue(
        &second,
        json!({"by": "mori", "recipient": "佐藤", "lines": lines}),
    )
    .await;
    assert_eq!(other.body["number"], "TEST-R-000002", "{other:?}");
    let again = issue(&first, json!({"by": "mori"})).await;
    assert_eq!(
        (&again.body["number"], &again.body["issue"]),
        (&json!("TEST-R-000001"), &json!(2)),
        "{again:?}"
    );
    assert!(again.body["text"].as_str().unwrap().contains("再発行"));
    let early = issue(&first, json!({"by": "mori", "kind": "return"})).await;
    assert_eq!(
        (early.status, &early.body["code"]),
        (409, &json!("not-possible")),
        "{early:?}"
    );
    // The acquirer of these tests gives back the whole alone.
    let refund = format!("/v1/payments/{second}/refund");
    let refunded = server
        .send("tokyo-key", &refund, json!({"by": "mori"}))
        .await;
    assert_eq!(refunded.status, 200, "{refunded:?}");
    let back = json!({"by": "mori", "kind": "return"});
    let returned = issue(&second, back.clone()).await;
    assert_eq!(
        (&returned.body["number"], &returned.body["original"]),
        (&json!("TEST-R-000003"), &json!("TEST-R-000002")),
        "{returned:?}"
    );
    assert_eq!(issue(&second, back).await.status, 409);

    let listed = server.get("tokyo-key", &path(&first)).await;
    assert_eq!(listed.body["receipts"].as_array().unwrap().len(), 2);
    let one = format!("{}/TEST-R-000001", path(&first));
    let shown = server.get("tokyo-key", &format!("{one}?issue=1")).await;
    assert_eq!(shown.body["content_hash"], made.body["content_hash"]);
    let text = ask(
        server.api,
        "GET",
        &one,
        "tokyo-key",
        "accept: text/plain\r\n",
        "",
    )
    .await;
    assert!(text.body.as_str().unwrap().contains("山田太郎"), "{text:?}");
    let head = "accept: application/pdf\r\n";
    let request = format!(
        "GET {one} HTTP/1.1\r\nhost: ivrpay\r\nconnection: close\r\nauthorization: Bearer tokyo-key\r\n{head}\r\n"
    );
    let mut stream = TcpStream::connect(server.api).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    assert!(
        bytes.windows(8).any(|eight| eight == b"%PDF-1.7"),
        "{}",
        String::from_utf8_lossy(&bytes)
    );
    for (key, path, status) in [
        ("paris-key", &*path(&first), 404),
        ("reader-key", &path(&first), 403),
        ("tokyo-key", &format!("{}/R-9", path(&first)), 404),
    ] {
        assert_eq!(server.get(key, path).await.status, status, "{key} {path}");
    }
    let events = server
        .get(
            "tokyo-key",
            &format!("/v1/webhooks/events?payment_id={first}"),
        )
        .await;
    let told = events.body["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["type"] == "receipt.issued");
    assert!(told.is_some(), "{events:?}");
}

/// What was not charged, or of which nobody knows, has no receipt.
#[tokio::test]
async fn what_is_not_paid_has_no_receipt() {
    let server = Server::start().await;
    let body =
        json!({"amount": 1200, "order_id": "N-1", "transaction_type": "authorize"}).to_string();
    let made = server.post("tokyo-key", "", &body).await;
    let id: PaymentId = made.body["id"].as_str().unwrap().parse().unwrap();
    let path = format!("/v1/payments/{id}/receipts");
    let wish = json!({"by": "mori", "recipient": "山田"});
    let refused = async |says: &str| {
        let refused = server.send("tokyo-key", &path, wish.clone()).await;
        assert!(
            refused.status == 409 && refused.message().contains(says),
            "{says}: {refused:?}"
        );
    };
    refused("the payment is waiting").await;
    let claim = server.journal.claim(id, call_id()).await.unwrap();
    let intent = server
        .journal
        .write_intent(id, draft(&claim))
        .await
        .unwrap();
    let unknown = Outcome::Unknown(Doubt::NoReply);
    server
        .journal
        .write_outcome(&intent, &unknown)
        .await
        .unwrap();
    refused("nobody knows yet").await;
    server
        .journal
        .settle(intent.get().operation_id, &yes(), "mori")
        .await
        .unwrap();
    refused("not taken").await;
    let captured = server
        .send(
            "tokyo-key",
            &format!("/v1/payments/{id}/capture"),
            json!({"amount": 700, "by": "mori"}),
        )
        .await;
    assert_eq!(captured.status, 200, "{captured:?}");
    let made = server.send("tokyo-key", &path, wish.clone()).await;
    assert_eq!(
        (made.status, &made.body["amount"]),
        (201, &json!(700)),
        "{made:?}"
    );
}

/// Nothing is given back of what is disputed, until somebody says that it is over.
#[tokio::test]
async fn what_is_disputed_is_not_given_back() {
    let server = Server::start().await;
    let id = approved(&server, "D-1").await;
    let path = |what: &str| format!("/v1/payments/{id}/{what}");
    let post = async |what: &str, body: Value| server.send("tokyo-key", &path(what), body).await;
    let ended = post("dispute/end", json!({"outcome": "won", "by": "mori"})).await;
    assert_eq!(ended.status, 409, "{ended:?}");
    let wish = json!({"reason": "the customer knows nothing of it", "by": "mori"});
    for _ in 0..2 {
        let disputed = post("dispute", wish.clone()).await;
        assert_eq!(
            (disputed.status, &disputed.body["disputed"]["by"]),
            (200, &json!("mori")),
            "{disputed:?}"
        );
    }
    let other = post("dispute", json!({"reason": "another", "by": "sato"})).await;
    assert_eq!(other.status, 409, "{other:?}");
    for what in ["refund", "void"] {
        let refused = post(what, json!({"by": "mori"})).await;
        assert!(
            refused.status == 409 && refused.message().contains("disputed"),
            "{refused:?}"
        );
    }
    let listed = server.get("tokyo-key", "/v1/payments?disputed=true").await;
    assert_eq!(listed.body["payments"].as_array().unwrap().len(), 1);
    let others = server.get("tokyo-key", "/v1/payments?disputed=false").await;
    assert_eq!(others.body["payments"], json!([]));
    let ended = post("dispute/end", json!({"outcome": "won", "by": "sato"})).await;
    assert_eq!(
        (ended.status, &ended.body["disputed"]),
        (200, &Value::Null),
        "{ended:?}"
    );
    assert_eq!(post("refund", json!({"by": "mori"})).await.status, 200);
    let story = server.get("tokyo-key", &path("story")).await;
    let told: Vec<_> = story.body["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["what"].as_str().unwrap())
        .collect();
    assert!(
        told.contains(&"disputed") && told.contains(&"dispute-ended"),
        "{told:?}"
    );
}
