//! What every request has: an id, a form of errors, a limit, one answer under one key; and what a listener has missed.

use super::*;

const JSON: &str = "content-type: application/json\r\n";

#[tokio::test]
async fn a_request_has_an_id_in_answer_error_and_log() {
    let server = Server::start().await;
    let own = "x-request-id: order-17\r\n";
    let told = ask(server.api, "GET", "/v1/payments/x", "tokyo-key", own, "").await;
    assert_eq!(told.header("x-request-id"), Some("order-17"));
    assert_eq!(told.body["request_id"], "order-17");
    assert_eq!(
        told.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(told.body["type"], "/docs#invalid-request");
    assert_eq!(told.body["status"], 400);
    assert!(told.body["title"].is_string() && told.body["hint"].is_string());
    // What could be a card number, or is none of the form, is not taken over.
    for bad in ["4111111111111111", "a b", ""] {
        let head = format!("x-request-id: {bad}\r\n");
        let answer = ask(server.api, "GET", "/healthz", "", &head, "").await;
        let id = answer.header("x-request-id").unwrap();
        assert_eq!((id.len(), id == bad), (36, false), "{bad}");
    }
    let answered = server.answered.lock().unwrap();
    let first = &answered[0];
    let seen = (
        first.id.to_string(),
        first.method,
        first.path.as_str(),
        first.status,
    );
    assert_eq!(seen, ("order-17".into(), "GET", "/v1/payments/{id}", 400));
    assert_eq!(first.key.as_deref(), Some("tokyo-key"));
    assert_eq!(
        (answered[1].path.as_str(), &answered[1].key),
        ("/healthz", &None)
    );
}

#[tokio::test]
async fn a_slip_in_a_name_is_told_with_what_was_meant() {
    let server = Server::start().await;
    let body = r#"{"amount": 1, "order_id": "A", "operator_extention": "201"}"#;
    let answer = server.post("tokyo-key", "", body).await;
    let says = "operator_extention: there is no such field; did you mean operator_extension?";
    assert!(answer.message().starts_with(says), "{}", answer.message());
    let answer = server.get("tokyo-key", "/v1/payments?orderid=A").await;
    let says = "orderid: there is no such field; did you mean order_id?";
    assert!(answer.message().starts_with(says), "{}", answer.message());
}

#[tokio::test]
async fn a_key_asks_as_often_as_it_may() {
    let server = Server::start().await;
    for left in [2, 1, 0] {
        let answer = server.get("slow-key", "/v1/payments").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"key\";q=3;w=60"));
        let told = answer.header("ratelimit").unwrap();
        assert!(told.starts_with(&format!("\"key\";r={left};t=")), "{told}");
    }
    let refused = server.get("slow-key", "/v1/payments").await;
    assert_eq!((refused.status, refused.code()), (429, "rate-limited"));
    assert_eq!(refused.header("retry-after"), Some("20"));
    assert_eq!(refused.header("ratelimit"), Some("\"key\";r=0;t=60"));
    let free = server.get("tokyo-key", "/v1/payments").await;
    assert_eq!((free.status, free.header("ratelimit")), (200, None));
    server.steady_ms.fetch_add(20_000, Ordering::Relaxed);
    assert_eq!(server.get("slow-key", "/v1/payments").await.status, 200);
    assert_eq!(server.get("slow-key", "/v1/payments").await.status, 429);
}

/// Under a key the first answer is the answer, of every POST, whatever becomes of its subject.
#[tokio::test]
async fn one_key_one_answer() {
    let server = Server::start().await;
    let keyed = |n: u8| format!("{JSON}idempotency-key: k-{n}\r\n");
    let post = async |path: &str, n: u8, body: &Value| {
        ask(
            server.api,
            "POST",
            path,
            "tokyo-key",
            &keyed(n),
            &body.to_string(),
        )
        .await
    };
    let payment = json!({"amount": 1200, "order_id": "A-1"});
    let made = post("/v1/payments", 1, &payment).await;
    assert_eq!(
        (made.status, made.header("idempotent-replayed")),
        (201, None)
    );
    let path = format!(
        "/v1/payments/{}/operator",
        made.body["id"].as_str().unwrap()
    );
    let assigned = post(&path, 2, &json!({"operator": "sato", "by": "mori"})).await;
    assert_eq!(assigned.status, 200);
    // It says what was answered, not what is now; spaces and order of fields are no other request.
    let spaced = "{ \"order_id\":\"A-1\",\n\"amount\": 1200 }";
    let again = ask(
        server.api,
        "POST",
        "/v1/payments",
        "tokyo-key",
        &keyed(1),
        spaced,
    )
    .await;
    assert_eq!((again.status, &again.body), (201, &made.body));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.header("location"), made.header("location"));
    // What is not the same twice by itself.
    let more = json!({"order_id": "A-1", "amount": 700, "reason": "express", "by": "mori"});
    let first = post("/v1/orders/additional", 3, &more).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(
        post("/v1/orders/additional", 3, &more).await.body,
        first.body
    );
    let order = server.get("tokyo-key", "/v1/orders?order_id=A-1").await;
    assert_eq!(order.body["parts"].as_array().unwrap().len(), 1);
    // A refusal by the state of things is an answer; a request that was wrong has begun nothing.
    let taken = post("/v1/payments", 4, &payment).await;
    assert_eq!((taken.status, taken.code()), (409, "order-taken"));
    assert_eq!(post("/v1/payments", 4, &payment).await.body, taken.body);
    let wrong = post("/v1/payments", 5, &json!({"amount": 0, "order_id": "A-5"})).await;
    assert_eq!(wrong.status, 400);
    let right = post("/v1/payments", 5, &json!({"amount": 1, "order_id": "A-5"})).await;
    assert_eq!(right.status, 201);
    // A key is its merchant's own, and one for all paths.
    let other = post(
        "/v1/orders/split",
        5,
        &json!({"order_id": "A-9", "amounts": [1, 2], "by": "m"}),
    )
    .await;
    assert_eq!((other.status, other.code()), (422, "idempotency-reused"));
    let paris = ask(
        server.api,
        "POST",
        "/v1/payments",
        "paris-key",
        &keyed(1),
        &payment.to_string(),
    )
    .await;
    assert_eq!(
        (paris.status, &paris.body["tenant"]),
        (201, &json!("paris"))
    );
}

#[tokio::test]
async fn payments_are_searched_page_by_page() {
    let server = Server::start().await;
    let mut made = Vec::new();
    for n in 0..5 {
        let body = json!({"amount": 100 + n, "order_id": format!("A-{n}"), "caller_number": format!("031234000{n}"),
            "operator": if n % 2 == 0 { "sato" } else { "mori" }, "site": "tokyo-1", "description": format!("帯 {n}"),
            "parameters": {"customer": format!("C-{n}"), "empty": ""}, "expires_at": "2026-11-18T20:10:00+09:00"});
        let answer = server.send("tokyo-key", "/v1/payments", body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        made.push(answer.body);
    }
    assert_eq!(made[2]["description"], "帯 2");
    assert_eq!(
        made[2]["parameters"],
        json!({"customer": "C-2", "empty": ""})
    );
    assert_eq!(made[2]["expires_at"], "2026-11-18T11:10:00Z");
    let mut path = "/v1/payments?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = server.get("tokyo-key", &path).await.body;
        let payments = page["payments"].as_array().unwrap().clone();
        assert!(payments.len() <= 2);
        seen.extend(payments);
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/payments?limit=2&after={next}"),
            None => break,
        }
    }
    seen.reverse();
    assert_eq!(seen, made);
    for (query, orders) in [
        ("operator=mori", &["A-3", "A-1"][..]),
        ("operator=sato&order_id=A-4", &["A-4"]),
        ("caller_number=0312340002", &["A-2"]),
        ("site=tokyo-1&limit=1", &["A-4"]),
        ("site=osaka", &[]),
        ("last4=1111", &[]),
        ("approval_code=X1", &[]),
        (
            "created_from=2026-11-18T00:00:00Z&operator=mori",
            &["A-3", "A-1"],
        ),
        ("created_to=2026-11-18T00:00:00Z", &[]),
    ] {
        let list = server
            .get("tokyo-key", &format!("/v1/payments?{query}"))
            .await
            .body;
        let found: Vec<&str> = list["payments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|payment| payment["order_id"].as_str().unwrap())
            .collect();
        assert_eq!(found, orders, "{query}");
    }
    let many: Value = (0..21)
        .map(|n| (format!("p{n}"), json!("x")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    for (field, value) in [
        ("parameters", many),
        ("parameters", json!({"": "x"})),
        ("parameters", json!({"x": "y".repeat(501)})),
        ("parameters", json!({"x": "a\nb"})),
        ("parameters", json!({"card": "4111111111111111"})),
        ("parameters", json!({"4111111111111111": "x"})),
        ("description", json!("")),
        ("description", json!("x".repeat(201))),
        ("description", json!("4111 1111 1111 1111")),
        ("expires_at", json!("2026-11-18T00:00:00Z")),
        ("expires_at", json!("2027-01-01T00:00:00Z")),
        ("expires_at", json!("soon")),
    ] {
        let mut body = json!({"amount": 1, "order_id": "B-1"});
        body[field] = value;
        let refused = server.send("tokyo-key", "/v1/payments", body).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        assert!(refused.message().contains(field), "{}", refused.message());
        assert!(!refused.body.to_string().contains("4111"));
    }
}

/// A live capture by the id of its call.
#[tokio::test]
async fn a_live_capture_is_asked_paused_and_ended_by_its_call() {
    let server = Server::start().await;
    let made = server
        .post("tokyo-key", "", r#"{"amount": 1200, "order_id": "A-1"}"#)
        .await;
    let id: PaymentId = made.body["id"].as_str().unwrap().parse().unwrap();
    let call = call_id();
    let ask_for = json!({"for": "expiration-date", "by": "mori"});
    let path = |what: &str| format!("/v1/calls/{call}/{what}");
    let none = server
        .send("tokyo-key", &path("ask"), ask_for.clone())
        .await;
    assert_eq!((none.status, none.code()), (404, "not-found"));
    let claim = server.journal.claim(id, call).await.unwrap();
    let stranger = server
        .send("paris-key", &path("ask"), ask_for.clone())
        .await;
    assert_eq!(stranger.but_its_id(), none.but_its_id());
    let mori = json!({"by": "mori"});
    for (what, body, want) in [
        (
            "ask",
            ask_for.clone(),
            Want::Ask(api::CaptureField::ExpirationDate),
        ),
        ("pause", mori.clone(), Want::Pause),
        ("resume", mori.clone(), Want::Resume),
        ("cancel", mori.clone(), Want::Cancel),
    ] {
        server.call.lock().unwrap().0 = Wished::Done(call);
        let done = server.send("tokyo-key", &path(what), body.clone()).await;
        assert_eq!(done.status, 200, "{what}: {done:?}");
        assert_eq!(
            (&done.body["payment_id"], &done.body["call_id"]),
            (&json!(id), &json!(call))
        );
        let (asked, by) = server.call.lock().unwrap().1.take().unwrap();
        assert_eq!(
            (asked, by.person.as_str(), by.via.as_str()),
            (want, "mori", "tokyo-key")
        );
        server.call.lock().unwrap().0 = Wished::NotNow;
        let refused = server.send("tokyo-key", &path(what), body).await;
        assert_eq!(
            (refused.status, refused.code()),
            (409, "not-possible"),
            "{what}"
        );
    }
    server.call.lock().unwrap().1 = None;
    let wrong = json!({"for": "card", "by": "mori"});
    assert_eq!(
        server.send("tokyo-key", &path("ask"), wrong).await.status,
        400
    );
    assert_eq!(server.call.lock().unwrap().1, None);
    let result = "caller-hung-up";
    server
        .journal
        .release(&claim, result, Value::Null)
        .await
        .unwrap();
    let over = server.send("tokyo-key", &path("ask"), ask_for).await;
    assert_eq!(over.status, 404);
}

async fn listen(server: &Server, last: Option<&str>) -> TcpStream {
    let mut stream = TcpStream::connect(server.api).await.unwrap();
    let last = last.map_or_else(String::new, |id| format!("last-event-id: {id}\r\n"));
    let head = format!(
        "GET /v1/events HTTP/1.1\r\nhost: ivrpay\r\nauthorization: Bearer tokyo-key\r\n{last}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_listener_that_comes_back_hears_what_it_missed() {
    let server = Server::start().await;
    for seq in 0..6 {
        server
            .events
            .send(event(seq, if seq == 4 { "paris" } else { "tokyo" }));
    }
    let mut heard = String::new();
    read_until(
        &mut listen(&server, Some("life-2")).await,
        &mut heard,
        "\"seq\":5",
    )
    .await;
    let parts = ["id: life-3\n", "id: life-5\n", "\"seq\":3", "retry: "];
    assert!(parts.iter().all(|part| heard.contains(part)), "{heard}");
    let none = ["\"seq\":2", "paris", "event: gap"];
    assert!(none.iter().all(|part| !heard.contains(part)), "{heard}");
    // Of another life, of no number, or not sent yet: it is told so, and hears all that there is.
    for last in ["before-2", "life-x", "life-6", "x", ""] {
        let mut heard = String::new();
        read_until(
            &mut listen(&server, Some(last)).await,
            &mut heard,
            "\"seq\":5",
        )
        .await;
        assert!(
            heard.contains("event: gap\ndata: {\"why\":\"other-service\"}"),
            "{last}: {heard}"
        );
    }
    // Who was never here is told nothing of before.
    let mut heard = String::new();
    let mut stream = listen(&server, None).await;
    read_until(&mut stream, &mut heard, "retry: ").await;
    server.events.send(event(6, "tokyo"));
    read_until(&mut stream, &mut heard, "\"seq\":6").await;
    assert!(
        !heard.contains("\"seq\":5") && !heard.contains("gap"),
        "{heard}"
    );
    // More than is kept.
    for seq in 7..4_200 {
        server.events.send(event(seq, "tokyo"));
    }
    let mut heard = String::new();
    read_until(
        &mut listen(&server, Some("life-5")).await,
        &mut heard,
        "\"seq\":4199",
    )
    .await;
    assert!(
        heard.contains("event: gap\ndata: {\"why\":\"too-old\"}"),
        "{heard}"
    );
    assert!(
        !heard.contains("\"seq\":6,"),
        "what is not whole begins where it is"
    );
}

#[tokio::test]
async fn the_document_and_its_page_are_for_everybody() {
    let server = Server::start().await;
    let document = server.get("", "/openapi.json").await;
    assert_eq!(
        (document.status, &document.body["openapi"]),
        (200, &json!("3.1.0"))
    );
    let page = server.get("", "/docs").await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let style = server.get("", "/docs/style.css").await;
    assert_eq!(style.header("content-type"), Some("text/css"));
}

/// What the documentation has an order system send, sent.
#[tokio::test]
async fn the_afternoon_of_the_documentation_goes_by() {
    let text = include_str!("../../../../docs/api.md");
    let server = Server::start().await;
    let between = |text: &'static str, from: &str, to: char| {
        let rest = text.split_once(from)?.1;
        rest.split(to).next()
    };
    let mut sent = Vec::new();
    let mut id = String::new();
    let commands = text.split("curl ").skip(1);
    for command in commands.filter_map(|text| text.split("```").next()) {
        let path = between(command, "http://127.0.0.1:9480", ' ').unwrap();
        let path = path.trim().trim_end_matches('"').replace("ID", &id);
        assert!(command.contains("-H \"Authorization: Bearer $KEY\""));
        if path == "/v1/events" {
            continue;
        }
        let key = between(command, "Idempotency-Key: ", '"');
        let head = key.map_or_else(String::new, |key| format!("idempotency-key: {key}\r\n"));
        let answer = match between(command, "--json '", '\'') {
            Some(body) => {
                let head = format!("{JSON}{head}");
                ask(server.api, "POST", &path, "tokyo-key", &head, body).await
            }
            None => server.get("tokyo-key", &path).await,
        };
        if let Some(made) = answer.body["id"].as_str() {
            id = made.to_owned();
        }
        sent.push((answer.status, answer.code().to_owned()));
    }
    // Nobody has paid it in between.
    let expected = [(201, ""), (200, ""), (409, "not-possible")];
    assert_eq!(
        sent,
        expected.map(|(status, code)| (status, code.to_owned()))
    );
}
