//! The API over real HTTP and a real journal: what an order system, an admin and a stranger get.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ivrpay_api as api;
use ivrpay_journal::{Journal, OpenOptions};
use ivrpay_payment::{CallId, Currency, TenantId};
use ivrpay_web::{ApiKey, JournalHealth, Keys, Scope, Tenant, Web};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// The time of every clock here: what was announced does not run out while a test is at it.
const NOW_MS: i64 = 1_795_000_000_000;

struct Server {
    /// For order systems.
    api: SocketAddr,
    /// What stands behind the Unix socket.
    admin: SocketAddr,
    connected: Arc<AtomicBool>,
    journal: Journal,
    events: broadcast::Sender<Arc<api::Event>>,
    _folder: tempfile::TempDir,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

fn key(name: &str, tenant: &str, scopes: &[Scope]) -> ApiKey {
    let hash = Sha256::digest(name.as_bytes());
    let hash: String = hash.iter().map(|b| format!("{b:02x}")).collect();
    ApiKey {
        name: name.into(),
        tenant: TenantId::new(tenant).unwrap(),
        hash: hash.parse().unwrap(),
        scopes: scopes.to_vec(),
    }
}

fn tenant(name: &str, currency: &str, language: &str) -> Tenant {
    Tenant {
        id: TenantId::new(name).unwrap(),
        currency: currency.parse::<Currency>().unwrap(),
        language: language.into(),
        live: false,
        connector: "sandbox".into(),
        waiting_max: Duration::from_secs(900),
    }
}

async fn serve(router: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = OpenOptions::new("test");
        options.clock = Arc::new(|| NOW_MS);
        let journal = Journal::open(folder.path().join("journal.db"), options)
            .await
            .unwrap();
        let connected = Arc::new(AtomicBool::new(true));
        let events = broadcast::channel(4).0;
        let up = Arc::clone(&connected);
        let all = [Scope::Events, Scope::Metrics, Scope::Payments];
        let web = Web {
            quarantine: ivrpay_web::Quarantine {
                owner: None,
                due: std::time::Duration::from_secs(3_600),
            },
            journal: journal.clone(),
            keys: Arc::new(Keys(vec![
                key("tokyo-key", "tokyo", &all),
                key("paris-key", "paris", &all),
                key("watcher-key", "tokyo", &[Scope::Metrics]),
                key("ghost-key", "ghost", &all),
            ])),
            tenants: Arc::new(vec![
                tenant("tokyo", "JPY", "ja"),
                tenant("paris", "EUR", "en"),
            ]),
            events: events.clone(),
            health: Arc::new(move || {
                let ok = up.load(Ordering::Relaxed);
                api::Health {
                    ok,
                    asterisk: if ok { "connected" } else { "not connected" }.into(),
                    journal: "writable".into(),
                    calls: 0,
                    calls_max: 1,
                    secret_memory: "memfd_secret".into(),
                    stopping: false,
                }
            }),
            metrics: metrics_exporter_prometheus::PrometheusBuilder::new()
                .build_recorder()
                .handle(),
            clock: Arc::new(|| NOW_MS),
            prompt_version: "1".into(),
            closing: CancellationToken::new(),
            journal_health: JournalHealth::default(),
        };
        Self {
            api: serve(ivrpay_web::router(web.clone())).await,
            admin: serve(ivrpay_web::admin_router(web)).await,
            connected,
            journal,
            events,
            _folder: folder,
        }
    }

    async fn post(&self, key: &str, headers: &str, body: &str) -> Answer {
        let head = format!("content-type: application/json\r\n{headers}");
        ask(self.api, "POST", "/v1/payments", key, &head, body).await
    }

    async fn get(&self, key: &str, path: &str) -> Answer {
        ask(self.api, "GET", path, key, "", "").await
    }
}

/// Writes one request as it would stand on the wire, and reads the answer to its end.
async fn ask(
    to: SocketAddr,
    method: &str,
    path: &str,
    key: &str,
    headers: &str,
    body: &str,
) -> Answer {
    let authorization = if key.is_empty() {
        String::new()
    } else {
        format!("authorization: Bearer {key}\r\n")
    };
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: ivrpay\r\nconnection: close\r\ncontent-length: {}\r\n{authorization}{headers}\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(to).await.unwrap();
    // A server that refuses a long body may close before it has all of it.
    drop(stream.write_all(text.as_bytes()).await);
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes).await);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_ascii_lowercase(),
        body: serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned())),
    }
}

#[tokio::test]
async fn a_payment_is_announced_found_and_kept_from_others() {
    let server = Server::start().await;
    let body = json!({"amount": 1200, "order_id": "A-1024", "operator_extension": "201", "operator": "sato",
        "caller_number": "+81312345678", "site": "tokyo-1"});
    let made = server.post("tokyo-key", "", &body.to_string()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.body["id"].as_str().unwrap();
    assert!(made.head.contains(&format!("location: /v1/payments/{id}")));
    assert!(made.head.contains("cache-control: no-store"));
    let shown = [
        ("state", json!("waiting")),
        ("amount", json!(1200)),
        ("currency", json!("JPY")),
        ("tenant", json!("tokyo")),
        ("order_id", json!("A-1024")),
        ("part", json!(0)),
        ("operator", json!("sato")),
        ("site", json!("tokyo-1")),
        ("mode", json!("test")),
        ("last4", Value::Null),
    ];
    for (field, value) in shown {
        assert_eq!(made.body[field], value, "{field}");
    }

    let path = format!("/v1/payments/{id}");
    assert_eq!(server.get("tokyo-key", &path).await.body, made.body);
    let admin = ask(server.admin, "GET", &path, "", "", "").await;
    assert_eq!(admin.body, made.body);
    let other = server.get("paris-key", &path).await;
    let nobodys = server
        .get(
            "paris-key",
            "/v1/payments/01890000-0000-7000-8000-000000000000",
        )
        .await;
    assert_eq!((other.status, other.code()), (404, "not-found"));
    assert_eq!(other.body, nobodys.body, "a stranger can't tell them apart");

    let euro = server
        .post("paris-key", "", r#"{"amount": 1, "order_id": "A-1024"}"#)
        .await;
    assert_eq!(euro.body["currency"], "EUR");
    let counts = [
        ("tokyo-key", "", 1),
        ("tokyo-key", "?order_id=A-1024&state=waiting&limit=200", 1),
        ("tokyo-key", "?tenant=tokyo", 1),
        ("tokyo-key", "?state=approved", 0),
        ("tokyo-key", "?order_id=A-1025", 0),
        ("paris-key", "", 1),
    ];
    for (key, query, count) in counts {
        let list = server.get(key, &format!("/v1/payments{query}")).await;
        assert_eq!(
            list.body["payments"].as_array().unwrap().len(),
            count,
            "{key} {query}"
        );
    }
    let all = ask(server.admin, "GET", "/v1/payments", "", "", "").await;
    assert_eq!(all.body["payments"].as_array().unwrap().len(), 2);
    let one = ask(server.admin, "GET", "/v1/payments?tenant=paris", "", "", "").await;
    assert_eq!(one.body["payments"][0]["tenant"], "paris");
}

#[tokio::test]
async fn the_same_order_is_not_announced_twice() {
    let server = Server::start().await;
    let body = r#"{"amount": 1200, "order_id": "A-1"}"#;
    let keyed = "idempotency-key: k-1\r\n";
    let first = server.post("tokyo-key", keyed, body).await;
    assert_eq!(first.status, 201);
    let again = server.post("tokyo-key", keyed, body).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    let other_amount = server
        .post("tokyo-key", keyed, r#"{"amount": 1300, "order_id": "A-1"}"#)
        .await;
    assert_eq!(
        (other_amount.status, other_amount.code()),
        (409, "idempotency-reused")
    );
    for headers in ["", "idempotency-key: k-2\r\n"] {
        let taken = server.post("tokyo-key", headers, body).await;
        assert_eq!((taken.status, taken.code()), (409, "order-taken"));
        assert_eq!(taken.body["error"]["payment_id"], first.body["id"]);
    }
    // Keys are each tenant's own, and so are order numbers.
    let paris = server.post("paris-key", keyed, body).await;
    assert_eq!(paris.status, 201);
    let part = server
        .post(
            "tokyo-key",
            "",
            r#"{"amount": 1, "order_id": "A-1", "part": 1}"#,
        )
        .await;
    assert_eq!((part.status, part.code()), (400, "invalid-request"));
    assert!(part.message().contains("part 1"), "{}", part.message());

    // Twenty at the same time: one is made, whoever asks gets the same.
    let server = Arc::new(server);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let server = Arc::clone(&server);
        asked.spawn(async move {
            server
                .post(
                    "tokyo-key",
                    "idempotency-key: k-3\r\n",
                    r#"{"amount": 5, "order_id": "A-2"}"#,
                )
                .await
        });
    }
    let answers = asked.join_all().await;
    assert_eq!(answers.iter().filter(|a| a.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|a| a.status == 200).count(), 19);
    assert!(
        answers
            .iter()
            .all(|a| a.body["id"] == answers[0].body["id"])
    );
}

#[tokio::test]
async fn bad_bodies_are_refused_with_what_to_do() {
    let server = Server::start().await;
    let long = format!(r#"{{"amount": 1, "order_id": "{}"}}"#, "x".repeat(20_000));
    let table: &[(&str, u16, &str)] = &[
        ("", 400, "the body is not JSON"),
        ("{", 400, "the body is not JSON"),
        ("[]", 400, "invalid"),
        (r#"{"order_id": "A"}"#, 400, "amount"),
        (r#"{"amount": 1}"#, 400, "order_id"),
        (r#"{"amount": "1", "order_id": "A"}"#, 400, "amount"),
        (r#"{"amount": 1.5, "order_id": "A"}"#, 400, "amount"),
        (r#"{"amount": -1, "order_id": "A"}"#, 400, "amount"),
        (r#"{"amount": 0, "order_id": "A"}"#, 400, "amount: "),
        (r#"{"amount": 100000000, "order_id": "A"}"#, 400, "amount: "),
        (
            r#"{"amount": 18446744073709551616, "order_id": "A"}"#,
            400,
            "amount",
        ),
        (r#"{"amount": 1, "order_id": ""}"#, 400, "order_id: "),
        (r#"{"amount": 1, "order_id": "a b"}"#, 400, "order_id: "),
        (
            r#"{"amount": 1, "order_id": "A", "currency": "yen"}"#,
            400,
            "currency: ",
        ),
        (
            r#"{"amount": 1, "order_id": "A", "language": "fr"}"#,
            400,
            "language: ja or en",
        ),
        (
            r#"{"amount": 1, "order_id": "A", "operator_extension": "2x"}"#,
            400,
            "operator_extension: ",
        ),
        (
            r#"{"amount": 1, "order_id": "A", "caller_number": "+"}"#,
            400,
            "caller_number: ",
        ),
        (r#"{"amount": 1, "order_id": "A", "part": -1}"#, 400, "part"),
        (
            r#"{"amount": 1, "order_id": "A", "card_number": "x"}"#,
            400,
            "card_number",
        ),
        (&long, 413, "the body could not be read"),
    ];
    for (body, status, says) in table {
        let answer = server.post("tokyo-key", "", body).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(answer.status, *status, "{shown}: {answer:?}");
        assert_eq!(answer.code(), "invalid-request", "{shown}");
        assert!(
            answer.message().contains(says),
            "{shown}: {}",
            answer.message()
        );
    }
    let no_type = ask(server.api, "POST", "/v1/payments", "tokyo-key", "", "{}").await;
    assert_eq!((no_type.status, no_type.code()), (415, "invalid-request"));
    let long_key = format!("idempotency-key: {}\r\n", "k".repeat(256));
    for headers in ["idempotency-key: \r\n", &long_key] {
        let answer = server
            .post("tokyo-key", headers, r#"{"amount": 1, "order_id": "A"}"#)
            .await;
        assert_eq!(answer.status, 400);
        assert!(answer.message().starts_with("Idempotency-Key: "));
    }
    let none = server.get("tokyo-key", "/v1/payments").await;
    assert_eq!(
        none.body["payments"],
        json!([]),
        "nothing of all this was stored"
    );
}

/// A merchant's system that puts the card where it does not belong: not stored, and not quoted back.
#[tokio::test]
async fn a_card_number_in_a_field_is_neither_stored_nor_quoted() {
    let server = Server::start().await;
    let pan = "4111111111111111";
    let bodies = [
        format!(r#"{{"amount": 1, "order_id": "{pan}"}}"#),
        format!(r#"{{"amount": 1, "order_id": "A-{pan}"}}"#),
        format!(r#"{{"amount": 1, "order_id": "A", "site": "{pan}"}}"#),
        format!(r#"{{"amount": 1, "order_id": "A", "operator": "{pan}"}}"#),
        format!(r#"{{"amount": 1, "order_id": "A", "caller_number": "{pan}"}}"#),
        format!(r#"{{"amount": 1, "order_id": "A", "operator_extension": "{pan}"}}"#),
        format!(r#"{{"amount": 1, "order_id": "A", "currency": "{pan}"}}"#),
        format!(r#"{{"amount": 1, "order_id": "A", "language": "{pan}"}}"#),
        format!(r#"{{"amount": {pan}, "order_id": "A"}}"#),
        format!(r#"{{"amount": "{pan}", "order_id": "A"}}"#),
        format!(r#"{{"amount": 1, "order_id": "A", "{pan}": 1}}"#),
        format!(r#"{{"amount": 1, "order_id": "A", "part": {pan}}}"#),
    ];
    for body in bodies {
        let answer = server.post("tokyo-key", "", &body).await;
        let asked = body.replace(pan, "PAN");
        assert_eq!(
            (answer.status, answer.code()),
            (400, "invalid-request"),
            "{asked}"
        );
        assert!(!answer.body.to_string().contains(pan), "{asked}: quoted");
    }
    let keyed = format!("idempotency-key: {pan}\r\n");
    let answer = server
        .post("tokyo-key", &keyed, r#"{"amount": 1, "order_id": "A"}"#)
        .await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(!answer.body.to_string().contains(pan));
    // A UUID may look like a card by chance: the digits from `4111` on pass the Luhn check.
    let by_chance = "00004111-1111-1111-1111-00000000beef";
    let keyed = format!("idempotency-key: {by_chance}\r\n");
    let answer = server
        .post("tokyo-key", &keyed, r#"{"amount": 1, "order_id": "UUID"}"#)
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    for path in [
        format!("/v1/payments/{pan}"),
        format!("/v1/payments?order_id={pan}"),
        format!("/{pan}"),
    ] {
        let answer = server.get("tokyo-key", &path).await;
        assert!((400..500).contains(&answer.status));
        assert!(!answer.body.to_string().contains(pan));
    }
    let stored = server.get("tokyo-key", "/v1/payments").await;
    let stored = stored.body["payments"].as_array().unwrap();
    assert_eq!(stored.len(), 1, "only the one with the UUID");
    assert_eq!(stored[0]["order_id"], "UUID");
}

#[tokio::test]
async fn who_may_do_what() {
    let server = Server::start().await;
    let paths = [
        "/v1/payments",
        "/v1/payments/01890000-0000-7000-8000-000000000000",
        "/v1/events",
        "/metrics",
    ];
    for path in paths {
        for key in ["", "wrong", "tokyo-key2", "tokyo-ke"] {
            let answer = server.get(key, path).await;
            assert_eq!(
                (answer.status, answer.code()),
                (401, "unauthorized"),
                "{key} {path}"
            );
            assert!(answer.head.contains("www-authenticate: bearer"));
        }
    }
    for scheme in ["Basic tokyo-key", "Bearer", "tokyo-key"] {
        let header = format!("authorization: {scheme}\r\n");
        let answer = ask(server.api, "GET", "/metrics", "", &header, "").await;
        assert_eq!(answer.status, 401, "{scheme}");
    }
    for path in paths.iter().filter(|p| **p != "/metrics") {
        let answer = server.get("watcher-key", path).await;
        assert_eq!((answer.status, answer.code()), (403, "forbidden"), "{path}");
        assert!(answer.message().contains("lacks the scope"));
    }
    assert_eq!(server.get("watcher-key", "/metrics").await.status, 200);
    let body = r#"{"amount": 1, "order_id": "A"}"#;
    assert_eq!(server.post("watcher-key", "", body).await.status, 403);
    // A key whose tenant is no longer configured.
    assert_eq!(server.post("ghost-key", "", body).await.status, 403);
    assert_eq!(
        server
            .get("tokyo-key", "/v1/payments?tenant=paris")
            .await
            .status,
        403
    );
    // Nobody makes payments over the admin's socket: it has no tenant.
    let admin = ask(
        server.admin,
        "POST",
        "/v1/payments",
        "",
        "content-type: application/json\r\n",
        body,
    )
    .await;
    assert_eq!(admin.status, 405);

    for (path, status) in [
        ("/", 404),
        ("/v1", 404),
        ("/v1/payments/", 404),
        ("/v1/payments/x", 400),
    ] {
        assert_eq!(server.get("tokyo-key", path).await.status, status, "{path}");
    }
    for (method, path) in [
        ("DELETE", "/v1/payments"),
        ("PUT", "/v1/payments/x"),
        ("POST", "/healthz"),
    ] {
        let answer = ask(server.api, method, path, "tokyo-key", "", "").await;
        assert_eq!(
            (answer.status, answer.code()),
            (405, "invalid-request"),
            "{method} {path}"
        );
    }
    for query in [
        "limit=0",
        "limit=201",
        "limit=x",
        "state=paid",
        "tenant=",
        "page=2",
    ] {
        let answer = server
            .get("tokyo-key", &format!("/v1/payments?{query}"))
            .await;
        assert!([400, 403].contains(&answer.status), "{query}: {answer:?}");
    }
}

#[tokio::test]
async fn health_says_what_is_wrong() {
    let server = Server::start().await;
    let well = server.get("", "/healthz").await;
    assert_eq!((well.status, &well.body["ok"]), (200, &json!(true)));
    server.connected.store(false, Ordering::Relaxed);
    let away = server.get("", "/healthz").await;
    assert_eq!(
        (away.status, &away.body["asterisk"]),
        (503, &json!("not connected"))
    );
    server.connected.store(true, Ordering::Relaxed);
    server.journal.stop().await.unwrap();
    // A word on the journal stands for a second.
    let closed = async {
        while server.get("", "/healthz").await.body["ok"] == true {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), closed)
        .await
        .expect("told that the journal is closed");
    let refused = server
        .post("tokyo-key", "", r#"{"amount": 1, "order_id": "A"}"#)
        .await;
    assert_eq!((refused.status, refused.code()), (503, "unavailable"));
    assert!(refused.message().contains("nothing was changed"));
}

fn event(seq: u64, tenant: &str) -> Arc<api::Event> {
    Arc::new(api::Event {
        seq,
        at: "2026-11-24T00:00:00Z".into(),
        call_id: "01890000-0000-7000-8000-000000000000"
            .parse::<CallId>()
            .unwrap(),
        channel_id: "1.1".into(),
        sip_call_id: None,
        tenant: tenant.into(),
        event: api::EventKind::Step,
        step: Some("payment-card-number".into()),
        attempt: Some(1),
        digits: Some(0),
        error: None,
        result: None,
        payment_id: None,
    })
}

#[tokio::test]
async fn a_listener_hears_its_own_tenant_and_what_it_lost() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.api).await.unwrap();
    stream
        .write_all(
            b"GET /v1/events HTTP/1.1\r\nhost: ivrpay\r\nauthorization: Bearer tokyo-key\r\n\r\n",
        )
        .await
        .unwrap();
    let mut heard = String::new();
    read_until(&mut stream, &mut heard, "\r\n\r\n").await;
    assert!(heard.contains("text/event-stream"), "{heard}");
    // The queue holds four; the rest is lost, and said to be, since the listener's task has no turn before the next await.
    for seq in 1..=9 {
        let whose = if seq % 2 == 0 { "paris" } else { "tokyo" };
        server.events.send(event(seq, whose)).unwrap();
    }
    read_until(&mut stream, &mut heard, "\"seq\":9").await;
    assert!(heard.contains("event: lost\ndata: 5"), "{heard}");
    assert!(heard.contains("\"seq\":7"), "{heard}");
    assert!(
        !heard.contains("\"seq\":8") && !heard.contains("paris"),
        "{heard}"
    );
}

async fn read_until(stream: &mut TcpStream, heard: &mut String, what: &str) {
    let read = async {
        while !heard.contains(what) {
            let mut bytes = [0; 4096];
            let n = stream.read(&mut bytes).await.unwrap();
            assert!(n > 0, "the stream ended: {heard}");
            heard.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read)
        .await
        .unwrap_or_else(|_| panic!("{what} not heard"));
}

/// Recordings are for whoever may open the Unix socket; an order system does not see them.
#[tokio::test]
async fn a_recording_is_marked_listed_and_resolved() {
    let server = Server::start().await;
    let json_head = "content-type: application/json\r\n";
    let post = async |path: &str, body: Value| {
        ask(server.admin, "POST", path, "", json_head, &body.to_string()).await
    };
    let mark = json!({"origin": "/spool/a.wav", "file": "/q/1.wav", "by": "T. Yamada", "reason": "spoken"});
    let made = post("/v1/recordings", mark.clone()).await;
    assert_eq!(
        (made.status, &made.body["state"]),
        (200, &json!("quarantined")),
        "{made:?}"
    );
    assert_eq!(
        post("/v1/recordings", mark.clone()).await.body["id"],
        made.body["id"]
    );
    let listed = ask(server.admin, "GET", "/v1/recordings", "", "", "").await;
    assert_eq!(listed.body["recordings"].as_array().unwrap().len(), 1);
    let id = made.body["id"].as_str().unwrap();
    for (path, body, status) in [
        (
            "/v1/recordings".to_owned(),
            json!({"origin": "", "by": "x"}),
            400,
        ),
        (
            "/v1/recordings".to_owned(),
            json!({"origin": "a", "by": " "}),
            400,
        ),
        (
            "/v1/recordings".to_owned(),
            json!({"origin": "a", "by": "x", "pan": "y"}),
            400,
        ),
        (
            "/v1/recordings/nonsense/resolve".to_owned(),
            json!({"action": "deleted", "by": "x"}),
            404,
        ),
        (
            format!("/v1/recordings/{id}/resolve"),
            json!({"action": "kept", "by": "x"}),
            400,
        ),
        (
            format!("/v1/recordings/{id}/resolve"),
            json!({"action": "deleted", "by": "x"}),
            200,
        ),
        (
            format!("/v1/recordings/{id}/resolve"),
            json!({"action": "deleted", "by": "x"}),
            400,
        ),
    ] {
        let answer = post(&path, body.clone()).await;
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
    }
    let outside = ask(server.api, "GET", "/v1/recordings", "tokyo-key", "", "").await;
    assert_eq!(outside.status, 404);
}
