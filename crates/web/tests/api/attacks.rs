//! Every route, as the document has them, by everybody who may not, and with every body that is none. A new route is in it by itself.

use serde_json::Map;

use super::*;

/// What was tried, and what got through.
#[derive(Default)]
struct Table {
    cases: usize,
    passed: Vec<String>,
}

impl Table {
    fn note(&mut self, what: &str, answer: &Answer, good: bool) {
        self.cases += 1;
        // Whatever is wrong is told in the one form, and never as a mistake of ours.
        let is_problem = answer.body["code"].is_string() && answer.body["request_id"].is_string();
        let in_form = answer.status < 400
            || (is_problem
                && answer
                    .head
                    .contains("content-type: application/problem+json"));
        if !good || !in_form || answer.status >= 500 {
            self.passed
                .push(format!("{what}: {} {}", answer.status, answer.body));
        }
    }
}

/// A route as the document has it, with ids of tokyo's.
struct Route {
    method: String,
    path: String,
    keyed: bool,
    admin: bool,
    schema: Option<Value>,
}

struct Ids {
    payment: String,
    task: String,
    call: String,
    person: String,
    key: String,
    /// By whom nobody comes in any more, or only for some of it.
    expired: String,
    revoked: String,
    reader: String,
    ended: String,
    operator: String,
}

fn routes(ids: &Ids) -> Vec<Route> {
    let document = ivrpay_web::openapi();
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().unwrap();
        item.iter()
            .map(move |(method, operation)| (path, method, operation))
    });
    all.map(|(path, method, operation)| {
        let id = match path.split('/').nth(2) {
            Some("tasks") => &ids.task,
            Some("calls" | "captures") => &ids.call,
            Some("people") => &ids.person,
            Some("keys") => &ids.key,
            _ => &ids.payment,
        };
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let schema = schema.as_str().map(|name| {
            let name = name.rsplit('/').next().unwrap();
            document["components"]["schemas"][name].clone()
        });
        Route {
            method: method.to_uppercase(),
            path: path
                .replace("{id}", id)
                .replace("{connector}", "sandbox")
                .replace("{number}", "R-000001"),
            keyed: operation["security"].is_array(),
            admin: path.starts_with("/v1/recordings") || path.starts_with("/v1/drain"),
            schema,
        }
    })
    .collect()
}

/// A body of the right form, by its schema; of what no check of a value would refuse.
fn right(schema: &Value, ids: &Ids) -> Map<String, Value> {
    let fields = schema["properties"].as_object().unwrap();
    let required = schema["required"].as_array();
    let needed = |name: &String| required.is_some_and(|all| all.iter().any(|one| one == name));
    let value = |name: &str, one: &Value| match (name, one["type"].as_str()) {
        ("payment_id", _) => json!(ids.payment),
        ("due_at", _) => json!("2026-11-24T18:00:00+09:00"),
        ("for", _) => json!("expiration-date"),
        ("mode", _) => json!("hold"),
        ("first", _) => json!("customer"),
        ("to", _) => json!("0312345678"),
        ("action", _) => json!("deleted"),
        ("amounts", _) => json!([600, 600]),
        (_, Some("integer")) => json!(1200),
        ("code", _) => json!("123456"),
        ("old" | "new" | "password", _) => json!("correct horse battery"),
        (_, Some("array")) => json!([]),
        (_, Some("string")) => json!("A-1"),
        ("by", _) => json!("A-1"),
        _ => Value::Null,
    };
    fields
        .iter()
        // Only who has signed in may leave it out.
        .filter(|(name, _)| needed(name) || *name == "by")
        .map(|(name, one)| (name.clone(), value(name, one)))
        .collect()
}

const JSON: &str = "content-type: application/json\r\n";

async fn knock(server: &Server, route: &Route, key: &str, head: &str, body: &str) -> Answer {
    ask(server.api, &route.method, &route.path, key, head, body).await
}

async fn fixture() -> (Server, Ids) {
    let server = Server::start().await;
    let id = |answer: &Answer| answer.body["id"].as_str().unwrap().to_owned();
    let sato = server.someone("sato", "operator", Some("tokyo")).await;
    let key = async |scope: &str, expires: Option<&str>| {
        let body = json!({"tenant": "tokyo", "name": "k", "scopes": [scope], "expires_at": expires, "by": "root"});
        server.send("", "/v1/keys", body).await
    };
    let text = |answer: &Answer, field: &str| answer.body[field].as_str().unwrap().to_owned();
    let reader = key("payments:read", None).await;
    let revoked = key("payments", None).await;
    // An hour from the time of every clock here.
    let expired = key("payments", Some("2026-11-18T12:06:40Z")).await;
    assert_eq!(expired.status, 201, "{expired:?}");
    let revoke = format!("/v1/keys/{}/revoke", id(&revoked));
    server.send("", &revoke, json!({"by": "root"})).await;
    server.wait(3_600);
    let ended = server.sign_in(&sato).await;
    ask(server.api, "POST", "/v1/session/end", &ended, "", "").await;
    let operator = server.sign_in(&sato).await;
    let payment = r#"{"amount": 1200, "order_id": "A-1", "caller_number": "0312345678"}"#;
    let payment = server.post("tokyo-key", "", payment).await;
    let task = json!({"order_id": "A-1", "caller_number": "0312345678", "owner": "sato", "due_at": "2026-11-24T18:00:00+09:00",
        "reason": "later", "by": "sato"});
    let task = server.send("tokyo-key", "/v1/tasks", task).await;
    let call = json!({"to": "0312345678", "first": "customer", "amount": 1, "order_id": "A-2"});
    let call = server.send("tokyo-key", "/v1/calls", call).await;
    // That call takes its payment now.
    let payment_of: PaymentId = call.body["payment_id"].as_str().unwrap().parse().unwrap();
    let call_of: CallId = call.body["id"].as_str().unwrap().parse().unwrap();
    server.journal.claim(payment_of, call_of).await.unwrap();
    let ids = Ids {
        payment: id(&payment),
        task: id(&task),
        call: id(&call),
        person: sato.id.clone(),
        key: id(&reader),
        expired: text(&expired, "key"),
        revoked: text(&revoked, "key"),
        reader: text(&reader, "key"),
        ended,
        operator,
    };
    (server, ids)
}

/// Who has no key, a wrong one, another merchant's, or one that may do less.
async fn strangers(server: &Server, ids: &Ids, table: &mut Table) {
    for route in routes(ids) {
        let shown = format!("{} {}", route.method, route.path);
        let body = route.schema.as_ref().map(|schema| right(schema, ids));
        let body = body.map_or_else(String::new, |body| Value::Object(body).to_string());
        let head = if body.is_empty() { "" } else { JSON };
        if route.admin {
            for key in ["", "tokyo-key"] {
                let answer = knock(server, &route, key, head, &body).await;
                table.note(
                    &format!("admin's over TCP: {shown}"),
                    &answer,
                    answer.status == 404,
                );
            }
            continue;
        }
        if !route.keyed {
            continue;
        }
        for key in ["", "wrong", "tokyo-ke", "TOKYO-KEY"] {
            let answer = knock(server, &route, key, head, &body).await;
            table.note(
                &format!("key {key:?}: {shown}"),
                &answer,
                answer.status == 401,
            );
        }
        for (what, key, code) in [
            ("expired", &ids.expired, "key-expired"),
            ("revoked", &ids.revoked, "unauthorized"),
            ("an ended session", &ids.ended, "session-ended"),
        ] {
            let answer = knock(server, &route, key, head, &body).await;
            let good = answer.status == 401 && answer.code() == code;
            table.note(&format!("{what}: {shown}"), &answer, good);
        }
        if route.method == "POST" {
            let answer = knock(server, &route, &ids.reader, head, &body).await;
            let good = answer.status == 403;
            table.note(&format!("reads alone: {shown}"), &answer, good);
        }
        let admins = ["people", "keys", "audit", "webhooks"];
        if route
            .path
            .split('/')
            .nth(2)
            .is_some_and(|of| admins.contains(&of))
        {
            // A person who may less, and says nothing of who he is.
            let answer = knock(server, &route, &ids.operator, head, &body).await;
            let good = answer.status == 403;
            table.note(&format!("another role: {shown}"), &answer, good);
        }
        // Listens and reads metrics, no more.
        let metrics = ["/metrics", "/v1/pools"].contains(&route.path.as_str());
        if !metrics {
            let answer = knock(server, &route, "watcher-key", head, &body).await;
            table.note(
                &format!("without the scope: {shown}"),
                &answer,
                answer.status == 403,
            );
        }
        // Of all merchants, as metrics are.
        if metrics || ["/v1/events", "/v1/health/findings"].contains(&route.path.as_str()) {
            continue;
        }
        let own = [&ids.payment, &ids.task, &ids.call, &ids.person, &ids.key];
        let tells = |answer: &Answer| own.iter().any(|id| answer.body.to_string().contains(*id));
        let by_id = own.iter().any(|id| route.path.contains(*id));
        let named = if route.method == "GET" && !by_id {
            let query = match route.path.as_str() {
                "/v1/orders" => "?order_id=A-1&tenant=tokyo",
                _ => "?tenant=tokyo",
            };
            let path = format!("{}{query}", route.path);
            let answer = ask(server.api, "GET", &path, "paris-key", "", "").await;
            table.note(
                &format!("another's by name: {shown}"),
                &answer,
                answer.status == 403,
            );
            true
        } else {
            false
        };
        if !named {
            let answer = knock(server, &route, "paris-key", head, &body).await;
            let good = !tells(&answer) && (!by_id || answer.status == 404);
            table.note(&format!("another merchant: {shown}"), &answer, good);
        }
    }
}

/// Bodies that are none.
async fn bodies(server: &Server, ids: &Ids, table: &mut Table) {
    for route in routes(ids) {
        let Some(schema) = route.schema.as_ref().filter(|_| route.keyed) else {
            continue;
        };
        let shown = format!("{} {}", route.method, route.path);
        let whole = right(schema, ids);
        let changed = |name: &str, value: Value| {
            let mut body = whole.clone();
            body.insert(name.to_owned(), value);
            Value::Object(body).to_string()
        };
        let text = Value::Object(whole.clone()).to_string();
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        let huge = changed("by", json!("x".repeat(20_000)));
        let mut tried = vec![
            ("empty", JSON, String::new(), 400),
            ("half", JSON, text.replace('}', ""), 400),
            ("a list", JSON, "[]".to_owned(), 400),
            ("null", JSON, "null".to_owned(), 400),
            ("a number", JSON, "1".to_owned(), 400),
            ("twice", JSON, format!("{text}{text}"), 400),
            ("huge", JSON, huge, 413),
            ("deep", JSON, deep, 400),
            ("unknown field", JSON, changed("amoumt", json!(1)), 400),
            (
                "hidden field",
                JSON,
                changed("state", json!("approved")),
                400,
            ),
            ("no type", "", text.clone(), 415),
            (
                "a form",
                "content-type: application/x-www-form-urlencoded\r\n",
                text.clone(),
                415,
            ),
            (
                "another charset",
                "content-type: application/json; charset=shift_jis\r\n",
                text.clone(),
                415,
            ),
            ("a NUL", JSON, changed("by", json!("a\u{0}b")), 400),
        ];
        for name in whole.keys() {
            tried.push((
                "a field of another type",
                JSON,
                changed(name, json!({"a": 1})),
                400,
            ));
            tried.push((
                "a card number",
                JSON,
                changed(name, json!("4111111111111111")),
                400,
            ));
        }
        for (what, head, body, status) in tried {
            let answer = knock(server, &route, "tokyo-key", head, &body).await;
            let quoted = answer.body.to_string().contains("4111111111111111");
            table.note(
                &format!("{what}: {shown}"),
                &answer,
                answer.status == status && !quoted,
            );
        }
    }
}

/// Bodies that do not come: all at once, each given up in time.
async fn slow(server: &Server, ids: &Ids, table: &mut Table) {
    let posts = routes(ids)
        .into_iter()
        .filter(|route| route.keyed && route.method == "POST");
    let asked = posts.map(|route| async move {
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: ivrpay\r\nconnection: close\r\nauthorization: Bearer tokyo-key\r\n{JSON}content-length: 10\r\n\r\n{{",
            route.path
        );
        let mut stream = TcpStream::connect(server.api).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        tokio::time::timeout(Duration::from_secs(30), read).await.unwrap().unwrap();
        (route, answer(bytes))
    });
    for (route, answer) in futures_util::future::join_all(asked).await {
        let good = answer.status == 408;
        table.note(&format!("slow body: {}", route.path), &answer, good);
    }
}

/// Paths, parameters and headers.
async fn lines(server: &Server, table: &mut Table) {
    let long = "x".repeat(3_000);
    for path in [
        "/v1/payments/..%2f..%2fmetrics".to_owned(),
        "/v1/payments/%00".to_owned(),
        "/v1/payments/%ff".to_owned(),
        "/v1/payments/4111111111111111".to_owned(),
        format!("/v1/payments/{long}"),
        "/v1/payments?state=paid".to_owned(),
        "/v1/payments?state=waiting&state=approved".to_owned(),
        "/v1/payments?limit=-1".to_owned(),
        "/v1/payments?limit=1e3".to_owned(),
        "/v1/payments?after=1".to_owned(),
        "/v1/payments?last4=12345".to_owned(),
        "/v1/payments?last4=4111111111111111".to_owned(),
        "/v1/payments?caller_number=4111111111111111".to_owned(),
        "/v1/payments?created_from=yesterday".to_owned(),
        "/v1/payments?oder_id=A-1".to_owned(),
        format!("/v1/payments?order_id={long}"),
        "/v1/payments?order_id='%20OR%201=1--".to_owned(),
        "/v1/payments/expiring?within_hours=0".to_owned(),
        "/v1/tasks?state=all".to_owned(),
        "/v1/tasks?after=x".to_owned(),
        "/v1/orders".to_owned(),
        "/v1/orders?order_id=".to_owned(),
        "/v1/calls/x".to_owned(),
        "//v1/payments".to_owned(),
        "/v1/payments/".to_owned(),
        "/V1/payments".to_owned(),
    ] {
        let answer = server.get("tokyo-key", &path).await;
        let quoted = answer.body.to_string().contains("4111111111111111");
        let shown: String = path.chars().take(60).collect();
        table.note(
            &shown,
            &answer,
            (400..500).contains(&answer.status) && !quoted,
        );
    }
    let body = r#"{"amount": 1, "order_id": "H-1"}"#;
    let long = format!("idempotency-key: {}\r\n", "k".repeat(256));
    for head in [
        "idempotency-key: \r\n",
        "idempotency-key: 4111111111111111\r\n",
        "idempotency-key: approval-01890000-0000-7000-8000-000000000001\r\n",
        "idempotency-key: \u{e9}\r\n",
        &long,
    ] {
        let answer = server.post("tokyo-key", head, body).await;
        table.note(head, &answer, answer.status == 400);
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = ask(server.api, method, "/v1/payments", "tokyo-key", "", "").await;
        table.note(method, &answer, answer.status == 405);
    }
    // Another body, and another path, under a key that was used.
    let keyed = "idempotency-key: used\r\n";
    assert_eq!(server.post("tokyo-key", keyed, body).await.status, 201);
    let other = r#"{"amount": 2, "order_id": "H-1"}"#;
    let answer = server.post("tokyo-key", keyed, other).await;
    table.note("a used key", &answer, answer.status == 422);
    let head = format!("{JSON}{keyed}");
    let answer = ask(
        server.api,
        "POST",
        "/v1/orders/split",
        "tokyo-key",
        &head,
        body,
    )
    .await;
    table.note("a used key elsewhere", &answer, answer.status == 422);
}

/// Passwords, codes and tokens of one's own choice.
async fn guesses(server: &Server, ids: &Ids, table: &mut Table) {
    let door = async |body: Value, head: &str| {
        let head = format!("{JSON}{head}");
        ask(
            server.api,
            "POST",
            "/v1/sessions",
            "",
            &head,
            &body.to_string(),
        )
        .await
    };
    let right = "correct horse battery";
    for (what, password, code) in [
        ("a password is guessed", "wrong horse battery", "000000"),
        ("a code is guessed", right, "000000"),
        ("a recovery code is guessed", right, "aaaa-aaaa-aaaa-aaaa"),
    ] {
        let unlock = format!("/v1/people/{}/unlock", ids.person);
        server.send("", &unlock, json!({"by": "root"})).await;
        for at in 0..14 {
            server.wait(3);
            let body = json!({"person": "sato", "password": password, "code": code});
            let answer = door(body, "").await;
            let good = answer.status == if at < 10 { 401 } else { 429 };
            table.note(&format!("{what}, {at}"), &answer, good);
        }
    }
    // From one address, with another name each time.
    let mut locked = 0;
    for at in 0..60 {
        let body = json!({"person": format!("nobody{at}"), "password": right});
        let answer = door(body, "").await;
        locked += usize::from(answer.status == 429);
        table.note(
            "a name is guessed",
            &answer,
            [401, 429].contains(&answer.status),
        );
    }
    table
        .passed
        .extend((locked < 20).then(|| format!("names are guessed: {locked} locked")));
    server.wait(120);
    // Nobody is given a token that he has chosen.
    let chosen = format!("ivs_{}", "a".repeat(43));
    let body = json!({"person": "nobody", "password": right, "token": chosen});
    let answer = door(body, "").await;
    table.note("a token of one's own, sent", &answer, answer.status == 400);
    let body = json!({"person": "nobody", "password": right});
    for head in [
        format!("authorization: Bearer {chosen}\r\n"),
        format!("cookie: session={chosen}\r\n"),
    ] {
        let answer = door(body.clone(), &head).await;
        table.note("a token of one's own, shown", &answer, answer.status == 401);
    }
    for token in [chosen.as_str(), "ivs_", "ivk_", &ids.ended] {
        let answer = server.get(token, "/v1/session").await;
        table.note("a token of one's own, used", &answer, answer.status == 401);
    }
    for body in [
        json!({}),
        json!([]),
        json!({"person": "sato"}),
        json!({"person": 1, "password": 2}),
        json!({"person": "sato' OR 1=1--", "password": {"$ne": ""}}),
        json!({"person": "sato", "password": "x".repeat(5_000)}),
        json!({"person": "4111111111111111", "password": right}),
    ] {
        let answer = door(body, "").await;
        let quoted = answer.body.to_string().contains("4111111111111111");
        table.note(
            "what is none at the door",
            &answer,
            answer.status == 400 && !quoted,
        );
    }
}

#[tokio::test]
#[ignore = "scripts/test runs it by itself, and shows its count"]
async fn attacks() {
    let (server, ids) = fixture().await;
    let before = ask(server.admin, "GET", "/v1/payments", "", "", "").await;
    let mut table = Table::default();
    strangers(&server, &ids, &mut table).await;
    bodies(&server, &ids, &mut table).await;
    slow(&server, &ids, &mut table).await;
    lines(&server, &mut table).await;
    guesses(&server, &ids, &mut table).await;
    // What another merchant, and the one key of `lines`, may do is all that was done.
    let after = ask(server.admin, "GET", "/v1/payments?tenant=tokyo", "", "", "").await;
    let known = before.body["payments"].as_array().unwrap();
    let left: Vec<_> = after.body["payments"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|payment| payment["order_id"] != "H-1" && !known.contains(payment))
        .collect();
    let Table { cases, passed } = table;
    println!("attacks: {cases} cases, {} passed", passed.len());
    assert!(passed.is_empty(), "{}", passed.join("\n"));
    assert!(left.is_empty(), "{left:?}");
    assert!(cases >= 120, "{cases}");
}
