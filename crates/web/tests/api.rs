//! The API over real HTTP and a real journal: what an order system, an admin and a stranger get.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "api/access.rs"]
mod access;
#[path = "api/attacks.rs"]
mod attacks;
#[path = "api/oidc.rs"]
mod oidc;
#[path = "api/papers.rs"]
mod papers;
#[path = "api/requests.rs"]
mod requests;
#[path = "api/starts.rs"]
mod starts;
#[path = "api/tls.rs"]
mod tls;
#[path = "api/twilio.rs"]
mod twilio;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ivrpay_api as api;
use ivrpay_journal::{
    By, Claim, IntentDraft, Journal, Later, LaterDraft, OpenOptions, Operation, Planned, Role,
};
use ivrpay_payment::{
    AcquirerRef, Approval, Brand, CallId, Currency, Doubt, Money, Offer, Offers, OperationKind,
    Outcome, PaymentId, Plan, TenantId, Transaction, Truncated,
};
use ivrpay_web::{
    Access, AccessOptions, Acquirers, Answered, ApiKey, CallbackRefused, Caller, CaptureMode, Feed,
    HOOK_BYTES_MAX, HookRefused, JournalHealth, KeyHash, Keys, LaterRefused, Limits, LiveCall,
    NotCalled, NotStarted, Oidc, Posted, Rings, RoleLimits, Scope, Seal, TalkLeg, Talks, Tenant,
    ToCall, ToStart, Twilio, TwilioAccount, Want, Web, Wished,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use twilio::{ACCOUNT, API_KEY, CALL, TOKEN};

/// The time of every clock here: what was announced does not run out while a test is at it.
const NOW_MS: i64 = 1_795_000_000_000;

/// What a call says to whoever wants something of its capture; what that was, and who.
type Asked = (Wished, Option<(Want, By)>);

struct Server {
    /// For order systems.
    api: SocketAddr,
    /// What stands behind the Unix socket.
    admin: SocketAddr,
    connected: Arc<AtomicBool>,
    call: Arc<Mutex<Asked>>,
    journal: Journal,
    web: Web,
    issuer: Arc<oidc::Issuer>,
    events: Feed,
    captures: Arc<Mutex<Vec<api::Capture>>>,
    answered: Arc<Mutex<Vec<Answered>>>,
    /// What the limits take for the time.
    steady_ms: Arc<AtomicU64>,
    /// The time of every other clock.
    now_ms: Arc<AtomicI64>,
    notes: Arc<Notes>,
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
        self.body["code"].as_str().unwrap_or_default()
    }

    /// An error without that by which two requests differ.
    fn but_its_id(&self) -> Value {
        let mut body = self.body.clone();
        body["request_id"] = Value::Null;
        body
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    fn message(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
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
        requests_per_minute: 0,
    }
}

fn limits(tenant: &str) -> Vec<(Role, OperationKind, u64)> {
    let mut limits = vec![
        (Role::Operator, OperationKind::Refund, 1_000),
        (Role::Operator, OperationKind::Capture, 1_000),
        (Role::Operator, OperationKind::Change, 1_000),
        (Role::Supervisor, OperationKind::Refund, 5_000),
    ];
    // In Paris whoever keeps people moves no money.
    if tenant == "paris" {
        limits.push((Role::Admin, OperationKind::Refund, 0));
    }
    limits
}

fn tenant(name: &str, currency: &str, language: &str) -> Tenant {
    Tenant {
        id: TenantId::new(name).unwrap(),
        currency: currency.parse::<Currency>().unwrap(),
        language: language.into(),
        live: false,
        connector: "sandbox".into(),
        connectors: vec!["sandbox".into(), "second".into()],
        transaction: Transaction::Charge,
        waiting_max: Duration::from_secs(900),
        customer_calls_max: 1,
        plans: if name == "tokyo" {
            plans()
        } else {
            Offers::NONE
        },
        receipts: (name == "tokyo").then(papers::receipts),
        role_limits: RoleLimits(limits(name)),
        refuses: Arc::new(|named, amount, plan| {
            if plan.is_some_and(|plan| !plan.is_lump_sum()) && amount.minor() > 5_000_000 {
                return Some("amount: the connector second takes at most 5000000".to_owned());
            }
            let many = amount.minor() > 9_999_999 && named != Some("second");
            many.then(|| "amount: the connector sandbox takes at most 9999999".to_owned())
        }),
    }
}

/// From 10,000 yen on: 3 or 5 instalments with a Visa card, a bonus with a JCB card at one time of the year.
fn plans() -> Offers {
    let offer = |plan: &str, brand, periods: &[&str]| Offer {
        plan: plan.parse().unwrap(),
        brands: vec![brand],
        amount: (10_000, Money::MAX),
        periods: periods.iter().map(|p| p.parse().unwrap()).collect(),
    };
    let rows = vec![
        offer("installments:3", Brand::Visa, &[]),
        offer("installments:5", Brand::Visa, &[]),
        offer("bonus", Brand::Jcb, &["02-01..02-02"]),
    ];
    Offers::new(Currency::Jpy, rows)
}

fn pool() -> api::Pool {
    api::Pool {
        name: "gold".into(),
        used: 3,
        elsewhere: 1,
        guaranteed: 2,
        limit: None,
        tenants: vec!["tokyo".into()],
    }
}

/// Notes who is to be called, and calls nobody.
#[derive(Default)]
struct Notes {
    called: Arc<Mutex<Vec<ToCall>>>,
    away: Mutex<Option<NotCalled>>,
    started: Mutex<Vec<ToStart>>,
    not_started: Mutex<Option<NotStarted>>,
}

impl Talks for Notes {
    fn start(&self, start: ToStart) -> BoxFuture<'static, Result<CallId, NotStarted>> {
        self.started.lock().unwrap().push(start);
        let begun = match &*self.not_started.lock().unwrap() {
            Some(why) => Err(why.clone()),
            None => Ok(CallId::new(uuid::Uuid::now_v7())),
        };
        std::future::ready(begun).boxed()
    }

    fn calls(
        &self,
        tenant: TenantId,
        _sid: Option<String>,
    ) -> BoxFuture<'static, Result<Vec<LiveCall>, NotStarted>> {
        let calls = (tenant.as_str() == "tokyo").then(|| LiveCall {
            sid: CALL.into(),
            with: None,
            from: "0312345678".into(),
            to: "201".into(),
            channel: "PJSIP/trunk-00000001".into(),
            began_ms: NOW_MS,
        });
        std::future::ready(Ok(calls.into_iter().collect())).boxed()
    }

    fn may_call_back(&self, _account: &str, url: &str) -> Result<(), CallbackRefused> {
        if url.starts_with("https://cti.example.com/") {
            Ok(())
        } else {
            Err(CallbackRefused("an address that is not allowed".into()))
        }
    }
}

impl Caller for Notes {
    fn ready<'a>(&'a self, _tenant: &'a TenantId) -> BoxFuture<'a, Result<Rings, NotCalled>> {
        let ready: Result<Rings, _> = match *self.away.lock().unwrap() {
            Some(why) => Err(why),
            None => {
                let called = Arc::clone(&self.called);
                Ok(Box::new(move |call| called.lock().unwrap().push(call)))
            }
        };
        std::future::ready(ready).boxed()
    }
}

/// An acquirer that says yes to everything, but knows of no part of a refund.
struct Yes(Journal);

impl Acquirers for Yes {
    fn can(&self, _connector: &str, kind: OperationKind) -> bool {
        kind != OperationKind::Verify
    }

    fn later(
        &self,
        payment: PaymentId,
        draft: LaterDraft,
    ) -> BoxFuture<'static, Result<Operation, LaterRefused>> {
        let journal = self.0.clone();
        async move {
            if draft.kind == OperationKind::Refund && draft.amount_minor.is_some() {
                return Err(LaterRefused::WholeOnly { kind: draft.kind });
            }
            match journal.write_later(payment, draft).await? {
                Later::Existing(operation) => Ok(operation),
                Later::New(intent) => {
                    journal.write_outcome(&intent, &yes()).await.unwrap();
                    let all = journal.operations(payment).await.unwrap();
                    Ok(all.into_iter().next_back().unwrap())
                }
            }
        }
        .boxed()
    }

    fn plan(
        &self,
        payment: PaymentId,
        draft: LaterDraft,
    ) -> BoxFuture<'static, Result<Planned, LaterRefused>> {
        let journal = self.0.clone();
        async move { Ok(journal.plan_later(payment, &draft).await?) }.boxed()
    }

    fn inquire(
        &self,
        payment: PaymentId,
        by: By,
    ) -> BoxFuture<'static, Result<Vec<Operation>, LaterRefused>> {
        let journal = self.0.clone();
        async move {
            let operation = journal.operations(payment).await.unwrap().remove(0);
            if operation.outcome != Some(Outcome::Unknown(Doubt::NoReply)) {
                return Ok(Vec::new());
            }
            journal.write_query(operation.id, &by).await?;
            let settled = journal.settle(operation.id, &yes(), "inquiry").await;
            settled.unwrap();
            Ok(vec![journal.operations(payment).await.unwrap().remove(0)])
        }
        .boxed()
    }

    fn hook(
        &self,
        connector: String,
        posted: Posted,
    ) -> BoxFuture<'static, Result<(), HookRefused>> {
        // Each says in its own words what is wrong with it.
        let answer = match (&*connector, &*posted.body) {
            ("none", _) => Err(HookRefused::NoHook),
            (_, b"again") => Err(HookRefused::Later),
            (_, b"not json") => Err(HookRefused::Malformed),
            _ if posted.authorization.as_deref() == Some(b"Basic dTpw") => Ok(()),
            _ if posted.signature.as_deref() == Some(b"t=1,v1=00") => Ok(()),
            _ => Err(HookRefused::Unproven),
        };
        std::future::ready(answer).boxed()
    }
}

fn yes() -> Outcome {
    Outcome::Approved(Approval {
        acquirer_ref: AcquirerRef::new("ch_2").unwrap(),
        code: None,
        card: None,
    })
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
        let now_ms = Arc::new(AtomicI64::new(NOW_MS));
        let clock = || {
            let now_ms = Arc::clone(&now_ms);
            Arc::new(move || now_ms.load(Ordering::SeqCst))
        };
        options.clock = clock();
        options.steady = None;
        let journal = Journal::open(folder.path().join("journal.db"), options)
            .await
            .unwrap();
        let connected = Arc::new(AtomicBool::new(true));
        let events = Feed::new("life", 4);
        let captures = Arc::<Mutex<Vec<api::Capture>>>::default();
        let shown = Arc::clone(&captures);
        let answered = Arc::<Mutex<Vec<Answered>>>::default();
        let told = Arc::clone(&answered);
        let steady_ms = Arc::<AtomicU64>::default();
        let up = Arc::clone(&connected);
        let call = Arc::new(Mutex::new((Wished::NotInCall, None)));
        let asked = Arc::clone(&call);
        let all = Scope::ALL;
        let issuer = oidc::Issuer::new();
        let notes = Arc::new(Notes::default());
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
                key("reader-key", "tokyo", &[Scope::PaymentsRead, Scope::Health]),
                key("ghost-key", "ghost", &all),
                ApiKey {
                    requests_per_minute: 3,
                    ..key("slow-key", "tokyo", &all)
                },
            ])),
            tenants: Arc::new(vec![
                tenant("tokyo", "JPY", "ja"),
                tenant("paris", "EUR", "en"),
            ]),
            events: events.clone(),
            findings: Arc::new(|| {
                let findings = api::HealthFindings {
                    checked_at: "2026-11-24T00:00:00Z".into(),
                    whole: true,
                    findings: Vec::new(),
                };
                std::future::ready(findings).boxed()
            }),
            captures: Arc::new(move || captures.lock().unwrap().clone()),
            limits: Limits::new(Arc::new({
                let ms = Arc::clone(&steady_ms);
                move || Duration::from_millis(ms.load(Ordering::Relaxed))
            })),
            access: Access::new(AccessOptions {
                oidc: Some(Oidc::new(issuer.options())),
                seal: Some(Seal::new("a key that is for tests alone, and long").unwrap()),
                ..AccessOptions::default()
            }),
            answered: Arc::new(move |answer| told.lock().unwrap().push(answer.clone())),
            body_max: Duration::from_millis(300),
            wish: Arc::new(move |_, want, by| {
                let mut call = asked.lock().unwrap();
                call.1 = Some((want, by));
                std::future::ready(call.0).boxed()
            }),
            acquirers: Arc::new(Yes(journal.clone())),
            health: Arc::new(|| api::Health {
                ok: true,
                main_loop_seconds: 0,
                calls: 0,
                calls_max: 1,
                secret_memory: "memfd_secret".into(),
                draining: false,
                stopping: false,
            }),
            ready: Arc::new(move || {
                let ready = up.load(Ordering::Relaxed);
                api::Ready {
                    ready,
                    asterisk: if ready { "connected" } else { "not connected" }.into(),
                    journal: "writable".into(),
                    acquirers: "answer".into(),
                    calls: "taken".into(),
                }
            }),
            drains: Arc::new(Draining::default()),
            tests_webhook: Arc::new(|tenant| {
                let tested = api::TestedWebhook {
                    delivered: false,
                    error: Some("answered 503 instead of 2xx".into()),
                    hint: None,
                };
                (tenant.as_str() == "tokyo").then(|| std::future::ready(tested).boxed())
            }),
            pools: Arc::new(|| vec![pool()]),
            metrics: metrics_exporter_prometheus::PrometheusBuilder::new()
                .build_recorder()
                .handle(),
            clock: clock(),
            authorisation_days: Arc::new([("sandbox".to_owned(), 7)].into()),
            prompt_version: "1".into(),
            closing: CancellationToken::new(),
            journal_health: JournalHealth::default(),
            caller: Arc::clone(&notes) as Arc<dyn Caller>,
            talks: Arc::clone(&notes) as Arc<dyn Talks>,
            twilio: Arc::new(Twilio::new(vec![TwilioAccount {
                sid: ACCOUNT.into(),
                key: "tokyo-key".into(),
                token: KeyHash::of(TOKEN),
                api_keys: [(API_KEY.to_owned(), "watcher-key".to_owned())].into(),
            }])),
        };
        Self {
            api: serve(ivrpay_web::router(web.clone())).await,
            admin: serve(ivrpay_web::admin_router(web.clone())).await,
            web,
            issuer,
            connected,
            call,
            journal,
            events,
            captures: shown,
            answered,
            steady_ms,
            now_ms,
            notes,
            _folder: folder,
        }
    }

    async fn post(&self, key: &str, headers: &str, body: &str) -> Answer {
        let head = format!("content-type: application/json\r\n{headers}");
        ask(self.api, "POST", "/v1/payments", key, &head, body).await
    }

    /// A body to any path, by a key, or by the admin's socket where there is none.
    async fn send(&self, key: &str, path: &str, body: Value) -> Answer {
        let to = if key.is_empty() { self.admin } else { self.api };
        let head = "content-type: application/json\r\n";
        ask(to, "POST", path, key, head, &body.to_string()).await
    }

    /// To a path that nobody needs a key for.
    async fn send_open(&self, path: &str, body: Value) -> Answer {
        let head = "content-type: application/json\r\n";
        ask(self.api, "POST", path, "", head, &body.to_string()).await
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
    answer(bytes)
}

fn answer(bytes: Vec<u8>) -> Answer {
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_ascii_lowercase(),
        body: serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned())),
    }
}

#[tokio::test]
async fn a_plan_is_one_that_the_merchant_offers_for_the_amount() {
    let server = Server::start().await;
    for (n, (plan, shown)) in [
        (json!({}), (Value::Null, Value::Null)),
        (
            json!({"payment_plan": "lump_sum"}),
            (json!("lump_sum"), Value::Null),
        ),
        (
            json!({"payment_plan": "installments", "payment_plan_count": 5}),
            (json!("installments"), json!(5)),
        ),
        // Whether its time has come is the call's to see.
        (
            json!({"payment_plan": "bonus"}),
            (json!("bonus"), Value::Null),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = json!({"amount": 10_000, "order_id": format!("P-{n}")});
        body.as_object_mut()
            .unwrap()
            .extend(plan.as_object().unwrap().clone());
        let made = server.post("tokyo-key", "", &body.to_string()).await;
        assert_eq!(made.status, 201, "{made:?}");
        let id = made.body["id"].as_str().unwrap();
        let got = server.get("tokyo-key", &format!("/v1/payments/{id}")).await;
        for body in [made.body, got.body] {
            assert_eq!(
                (&body["payment_plan"], &body["payment_plan_count"]),
                (&shown.0, &shown.1)
            );
        }
    }
    let all = "for this amount lump_sum, installments with payment_plan_count 3, installments with payment_plan_count 5, bonus";
    for (key, body, says) in [
        ("tokyo-key", json!({"payment_plan": "installments"}), all),
        (
            "tokyo-key",
            json!({"payment_plan": "installments", "payment_plan_count": 4}),
            all,
        ),
        ("tokyo-key", json!({"payment_plan": "revolving"}), all),
        (
            "tokyo-key",
            json!({"payment_plan": "bonus", "payment_plan_count": 2}),
            all,
        ),
        (
            "tokyo-key",
            json!({"payment_plan": "lump_sum", "payment_plan_count": 1}),
            all,
        ),
        ("tokyo-key", json!({"payment_plan": "installments:3"}), all),
        ("tokyo-key", json!({"payment_plan_count": 3}), all),
        (
            "tokyo-key",
            json!({"payment_plan": "bonus", "amount": 9_999}),
            "for this amount lump_sum",
        ),
        (
            "tokyo-key",
            json!({"payment_plan": "bonus", "currency": "USD"}),
            "for this amount lump_sum",
        ),
        (
            "paris-key",
            json!({"payment_plan": "bonus"}),
            "for this amount lump_sum",
        ),
    ] {
        let mut whole = json!({"amount": 10_000, "order_id": "P-9"});
        whole
            .as_object_mut()
            .unwrap()
            .extend(body.as_object().unwrap().clone());
        let refused = server.post(key, "", &whole.to_string()).await;
        assert_eq!(
            (refused.status, refused.code()),
            (400, "invalid-request"),
            "{body}"
        );
        assert_eq!(refused.message(), format!("payment_plan: {says}"), "{body}");
    }
    // Whoever is asked for plans has less room than who is asked for one payment.
    for (plan, status) in [("bonus", 400), ("lump_sum", 201)] {
        let body = json!({"amount": 5_000_001, "order_id": "P-9", "payment_plan": plan});
        let asked = server.post("tokyo-key", "", &body.to_string()).await;
        assert_eq!(asked.status, status, "{asked:?}");
    }
    // And of a customer who is called.
    let call = json!({"to": "0312345678", "first": "customer", "amount": 10_000, "order_id": "P-10", "payment_plan": "revolving"});
    let refused = server.send("tokyo-key", "/v1/calls", call).await;
    assert_eq!(refused.message(), format!("payment_plan: {all}"));
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
    assert_eq!(
        other.but_its_id(),
        nobodys.but_its_id(),
        "a stranger can't tell them apart"
    );

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
async fn a_customer_is_called_once() {
    let server = Server::start().await;
    let call = async |key: &str, headers: &str, body: &Value| {
        let head = format!("content-type: application/json\r\n{headers}");
        ask(
            server.api,
            "POST",
            "/v1/calls",
            key,
            &head,
            &body.to_string(),
        )
        .await
    };
    let body = json!({"to": "0398765432", "from": "+81312345678", "first": "customer", "amount": 1200, "order_id": "A-1",
        "operator": "sato", "operator_extension": "201"});
    let keyed = "idempotency-key: k-1\r\n";
    let made = call("tokyo-key", keyed, &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.body["id"].as_str().unwrap();
    assert!(made.head.contains(&format!("location: /v1/calls/{id}")));
    assert_eq!(
        (&made.body["state"], &made.body["result"]),
        (&json!("on"), &Value::Null)
    );
    let again = call("tokyo-key", keyed, &body).await;
    assert_eq!((again.status, &again.body), (201, &made.body));
    assert!(again.head.contains(&format!("location: /v1/calls/{id}")));
    let other = json!({"to": "0398765433", "first": "customer", "amount": 1200, "order_id": "A-1"});
    let reused = call("tokyo-key", keyed, &other).await;
    assert_eq!((reused.status, reused.code()), (422, "idempotency-reused"));
    {
        let notes = server.notes.called.lock().unwrap();
        let [only] = &notes[..] else {
            panic!("called {} times", notes.len());
        };
        assert_eq!(only.call.number, "0398765432");
        assert_eq!(only.from.as_deref(), Some("+81312345678"));
        assert_eq!(only.operator_extension.as_deref(), Some("201"));
        assert_eq!(only.payment.caller_number.as_deref(), Some("0398765432"));
    }
    let payment = &made.body["payment_id"];
    let about = json!({"to": "0398765432", "first": "customer", "payment_id": payment});
    let exists = call("tokyo-key", "", &about).await;
    assert_eq!((exists.status, exists.code()), (409, "call-exists"));
    assert_eq!(exists.body["call_id"], made.body["id"]);
    let foreign = call("paris-key", "", &about).await;
    assert_eq!((foreign.status, foreign.code()), (404, "not-found"));
    let second = json!({"to": "0398765432", "first": "customer", "amount": 1, "order_id": "A-2"});
    let most = call("tokyo-key", "", &second).await;
    assert_eq!((most.status, most.code()), (429, "too-many-calls"));

    let call_id = id.parse().unwrap();
    server
        .journal
        .end_customer_call(call_id, "busy")
        .await
        .unwrap();
    let path = format!("/v1/calls/{id}");
    let over = server.get("tokyo-key", &path).await;
    assert_eq!(
        (&over.body["state"], &over.body["result"]),
        (&json!("over"), &json!("busy"))
    );
    assert!(over.body["ended_at"].is_string());
    assert_eq!(server.get("paris-key", &path).await.status, 404);
    let admin = ask(server.admin, "GET", &path, "", "", "").await;
    assert_eq!(admin.body, over.body);
    assert_eq!(call("watcher-key", "", &second).await.status, 403);

    // Nobody can be called now; what came before is told all the same.
    let away = NotCalled::Away("nobody is called now");
    *server.notes.away.lock().unwrap() = Some(away);
    let again = call("tokyo-key", keyed, &body).await;
    assert_eq!((again.status, &again.body), (201, &made.body));
    let reused = call("tokyo-key", keyed, &other).await;
    assert_eq!((reused.status, reused.code()), (422, "idempotency-reused"));
    let away = call("tokyo-key", "", &second).await;
    assert_eq!((away.status, away.code()), (503, "unavailable"));
    *server.notes.away.lock().unwrap() = Some(NotCalled::Full);
    let full = call("tokyo-key", "", &second).await;
    assert_eq!((full.status, full.code()), (503, "capacity-exceeded"));
    // One that waits for its call needs no place.
    let waits = json!({"amount": 1, "order_id": "A-3"});
    let waits = server.send("tokyo-key", "/v1/payments", waits).await;
    assert_eq!(waits.status, 201, "{waits:?}");
    assert_eq!(server.notes.called.lock().unwrap().len(), 1);
}

/// What a merchant's program was told is shown to that merchant, and sent again.
#[tokio::test]
async fn webhooks_are_shown_and_sent_again() {
    let server = Server::start().await;
    let body = r#"{"amount": 1200, "order_id": "A-1"}"#;
    let made = server.post("tokyo-key", "", body).await;
    let payment = made.body["id"].as_str().unwrap();
    let cancel = format!("/v1/payments/{payment}/cancel");
    assert_eq!(
        server
            .send("tokyo-key", &cancel, json!({"by": "sato"}))
            .await
            .status,
        200
    );
    let list = "/v1/webhooks/events?state=open";
    let listed = server.get("tokyo-key", list).await;
    let events = listed.body["events"].as_array().unwrap();
    let [event] = events.as_slice() else {
        panic!("{}", listed.body);
    };
    assert_eq!(
        (&event["type"], &event["payment_id"], &event["sequence"]),
        (&json!("payment.cancelled"), &json!(payment), &json!(1))
    );
    let id = event["id"].as_str().unwrap();
    let path = format!("/v1/webhooks/events/{id}");
    assert_eq!(server.get("tokyo-key", &path).await.body["state"], "open");
    for (key, path, status) in [
        ("paris-key", path.as_str(), 404),
        ("watcher-key", list, 403),
        ("tokyo-key", "/v1/webhooks/events/none", 404),
        ("tokyo-key", "/v1/webhooks/events?state=dead", 400),
        ("tokyo-key", "/v1/webhooks/events?tenant=paris", 403),
    ] {
        assert_eq!(server.get(key, path).await.status, status, "{key} {path}");
    }
    let paris = server.get("paris-key", list).await;
    assert_eq!(paris.body["events"], json!([]));

    let resend = format!("{path}/resend");
    let again = server.send("tokyo-key", &resend, json!({})).await;
    assert_eq!((again.status, &again.body["attempts"]), (200, &json!(0)));
    assert_eq!(
        server.send("paris-key", &resend, json!({})).await.status,
        404
    );

    let test = "/v1/webhooks/test";
    let tested = server.send("tokyo-key", test, json!({})).await;
    assert_eq!(
        (tested.status, &tested.body["delivered"]),
        (200, &json!(false))
    );
    assert_eq!(server.send("paris-key", test, json!({})).await.status, 404);
    let other = server
        .send("paris-key", test, json!({"tenant": "tokyo"}))
        .await;
    assert_eq!(other.status, 403);
    assert_eq!(server.send("", test, json!({})).await.status, 400);
}

/// Everybody's counts to whoever may read the metrics, and of merchants his own name alone.
#[tokio::test]
async fn pools_are_told() {
    let server = Server::start().await;
    let gold = |tenants: Value| json!({"pools": [{"name": "gold", "used": 3, "elsewhere": 1, "guaranteed": 2, "tenants": tenants}]});
    let watcher = server.get("watcher-key", "/v1/pools").await;
    assert_eq!(
        (watcher.status, watcher.body),
        (200, gold(json!(["tokyo"])))
    );
    let paris = server.get("paris-key", "/v1/pools").await;
    assert_eq!(paris.body, gold(json!([])));
    assert_eq!(server.get("nobody", "/v1/pools").await.status, 401);
    let admin = ask(server.admin, "GET", "/v1/pools", "", "", "").await;
    assert_eq!(admin.body, gold(json!(["tokyo"])));
}

#[tokio::test]
async fn calls_that_are_not_clear_are_refused() {
    let server = Server::start().await;
    for (body, word) in [
        (
            json!({"first": "customer", "amount": 1, "order_id": "A-1"}),
            "to",
        ),
        (
            json!({"to": "abc", "first": "customer", "amount": 1, "order_id": "A-1"}),
            "to",
        ),
        (
            json!({"to": "4111111111111111", "first": "customer", "amount": 1, "order_id": "A-1"}),
            "to",
        ),
        (
            json!({"to": "1", "first": "me", "amount": 1, "order_id": "A-1"}),
            "first",
        ),
        (
            json!({"to": "1", "first": "operator", "amount": 1, "order_id": "A-1"}),
            "operator_extension",
        ),
        (
            json!({"to": "1", "first": "customer", "amount": 1}),
            "payment_id",
        ),
        (
            json!({"to": "1", "first": "customer", "payment_id": "x"}),
            "payment",
        ),
        (
            json!({"to": "1", "first": "customer", "payment_id": uuid(), "language": "ja"}),
            "language",
        ),
        (
            json!({"to": "1", "first": "customer", "amount": 0, "order_id": "A-1"}),
            "amount",
        ),
        (
            json!({"to": "1", "first": "customer", "amount": 1, "order_id": "A-1", "ring": 5}),
            "ring",
        ),
    ] {
        let answer = server.send("tokyo-key", "/v1/calls", body.clone()).await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "invalid-request"),
            "{body}: {answer:?}"
        );
        assert!(answer.message().contains(word), "{body}: {answer:?}");
    }
    assert!(server.notes.called.lock().unwrap().is_empty());
}

fn uuid() -> &'static str {
    "01890000-0000-7000-8000-000000000000"
}

#[tokio::test]
async fn the_same_order_is_not_announced_twice() {
    let server = Server::start().await;
    let body = r#"{"amount": 1200, "order_id": "A-1"}"#;
    let keyed = "idempotency-key: k-1\r\n";
    let first = server.post("tokyo-key", keyed, body).await;
    assert_eq!(first.status, 201);
    let again = server.post("tokyo-key", keyed, body).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert!(again.head.contains("idempotent-replayed: true"));
    assert!(again.head.contains("location: /v1/payments/"));
    let other_amount = server
        .post("tokyo-key", keyed, r#"{"amount": 1300, "order_id": "A-1"}"#)
        .await;
    assert_eq!(
        (other_amount.status, other_amount.code()),
        (422, "idempotency-reused")
    );
    for headers in ["", "idempotency-key: k-2\r\n"] {
        let taken = server.post("tokyo-key", headers, body).await;
        assert_eq!((taken.status, taken.code()), (409, "order-taken"));
        assert_eq!(taken.body["payment_id"], first.body["id"]);
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

    // Twenty at the same time: one is made, and who comes meanwhile is told to wait.
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
    let (made, waits): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 201);
    assert!(made.iter().all(|a| a.body["id"] == made[0].body["id"]));
    for answer in waits {
        assert_eq!((answer.status, answer.code()), (409, "in-flight"));
        assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
    }
    let list = server.get("tokyo-key", "/v1/payments?order_id=A-2").await;
    assert_eq!(list.body["payments"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn bad_bodies_are_refused_with_what_to_do() {
    let server = Server::start().await;
    let long = format!(r#"{{"amount": 1, "order_id": "{}"}}"#, "x".repeat(20_000));
    let table: &[(&str, u16, &str)] = &[
        ("", 400, "the body is not JSON"),
        ("{", 400, "the body is not JSON"),
        ("[]", 400, "a JSON object"),
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
        (
            r#"{"amount": 1, "order_id": "A", "transaction_type": "refund"}"#,
            400,
            "transaction_type",
        ),
        (
            r#"{"amount": 1, "order_id": "A", "transaction_type": "tokenize"}"#,
            400,
            "amount: a card that is stored or checked has none",
        ),
        (
            r#"{"order_id": "A", "transaction_type": "verify"}"#,
            400,
            "transaction_type: verify is none that the connector sandbox has",
        ),
        (
            r#"{"order_id": "A", "transaction_type": "tokenize", "payment_token": "t"}"#,
            400,
            "payment_token: ",
        ),
        (
            r#"{"amount": 1, "order_id": "A", "payment_token": "t"}"#,
            400,
            "send brand and last4",
        ),
        (
            r#"{"amount": 1, "order_id": "A", "payment_token": "t", "brand": "visa"}"#,
            400,
            "brand and last4 go together",
        ),
        (
            r#"{"amount": 1, "order_id": "A", "payment_token": "t", "brand": "visa", "last4": "12"}"#,
            400,
            "last4: ",
        ),
        (
            r#"{"amount": 1, "order_id": "A", "brand": "visa", "last4": "1234"}"#,
            400,
            "brand and last4",
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
        "/v1/tasks",
        "/v1/tasks/01890000-0000-7000-8000-000000000000",
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
    for path in [
        "/v1/payments/operator",
        "/v1/payments/01890000-0000-7000-8000-000000000000/operator",
        "/v1/tasks",
        "/v1/tasks/01890000-0000-7000-8000-000000000000/take",
        "/v1/tasks/01890000-0000-7000-8000-000000000000/done",
    ] {
        let answer = server.send("watcher-key", path, json!({})).await;
        assert_eq!((answer.status, answer.code()), (403, "forbidden"), "{path}");
    }
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

/// A service that is told to leave, and does.
#[derive(Default)]
struct Draining(Mutex<Option<Option<std::time::Duration>>>);

impl ivrpay_web::Drains for Draining {
    fn begin(&self, limit: Option<std::time::Duration>) {
        *self.0.lock().unwrap() = Some(limit);
    }

    fn now(&self) -> api::Drain {
        let begun = *self.0.lock().unwrap();
        api::Drain {
            draining: begun.is_some(),
            stopping: false,
            calls: 2,
            seconds_left: begun.map(|limit| limit.map_or(300, |limit| limit.as_secs())),
        }
    }

    fn end(&self) -> BoxFuture<'static, api::Drained> {
        std::future::ready(api::Drained {
            told_to_end: 1,
            left: 0,
            all_written: true,
        })
        .boxed()
    }
}

#[tokio::test]
async fn an_admin_drains_and_nobody_else() {
    let server = Server::start().await;
    let body = json!({"limit_seconds": 90});
    let key = server.send("tokyo-key", "/v1/drain", body.clone()).await;
    assert_eq!(key.status, 404, "over TCP there is no such path");
    let long = json!({"limit_seconds": 3601});
    let refused = server.send("", "/v1/drain", long).await;
    assert_eq!((refused.status, refused.code()), (400, "invalid-request"));
    let now = ask(server.admin, "GET", "/v1/drain", "", "", "").await;
    assert_eq!(now.body["draining"], false, "what was refused did nothing");
    let begun = server.send("", "/v1/drain", body).await;
    assert_eq!(
        (begun.status, &begun.body["seconds_left"]),
        (200, &json!(90))
    );
    let end = ask(server.admin, "GET", "/v1/drain/end", "", "", "").await;
    assert_eq!(
        end.body,
        json!({"told_to_end": 1, "left": 0, "all_written": true})
    );
}

#[tokio::test]
async fn health_says_that_it_lives_and_readiness_what_is_wrong() {
    let server = Server::start().await;
    let well = server.get("", "/readyz").await;
    assert_eq!((well.status, &well.body["ready"]), (200, &json!(true)));
    server.connected.store(false, Ordering::Relaxed);
    let lives = server.get("", "/healthz").await;
    assert_eq!((lives.status, &lives.body["ok"]), (200, &json!(true)));
    let away = server.get("", "/readyz").await;
    assert_eq!(
        (away.status, &away.body["asterisk"]),
        (503, &json!("not connected"))
    );
    server.connected.store(true, Ordering::Relaxed);
    server.journal.stop().await.unwrap();
    // A word on the journal stands for a second.
    let closed = async {
        while server.get("", "/readyz").await.body["journal"] == "writable" {
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

fn event(seq: u64, tenant: &str) -> api::Event {
    api::Event {
        seq,
        at: "2026-11-24T00:00:00Z".into(),
        call_id: Some(
            "01890000-0000-7000-8000-000000000000"
                .parse::<CallId>()
                .unwrap(),
        ),
        channel_id: Some("1.1".into()),
        sip_call_id: None,
        tenant: tenant.into(),
        event: api::EventKind::Step,
        step: Some("payment-card-number".into()),
        attempt: Some(1),
        digits: Some(0),
        error: None,
        payment_plan: None,
        payment_plan_count: None,
        result: None,
        entered_by: None,
        payment_id: None,
        task_id: None,
        task_kind: None,
    }
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
    for seq in 0..=9 {
        let whose = if seq % 2 == 0 { "paris" } else { "tokyo" };
        server.events.send(event(seq, whose));
    }
    read_until(&mut stream, &mut heard, "\"seq\":9").await;
    assert!(
        heard.contains("event: gap\ndata: {\"why\":\"slow\",\"lost\":6}"),
        "{heard}"
    );
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
            json!({"action": "deleting", "by": "  "}),
            400,
        ),
        (
            format!("/v1/recordings/{id}/resolve"),
            json!({"action": "deleting", "by": "x"}),
            200,
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

/// Its whole amount from a Visa card, at its own connector.
fn draft(claim: &Claim) -> IntentDraft {
    let payment = claim.payment();
    IntentDraft {
        stored: false,
        amount: payment.amount,
        card: Truncated::new(Brand::Visa, [1, 1, 1, 1]).unwrap(),
        plan: Plan::LumpSum,
        connector: payment.connector.clone(),
        evidence: Value::Null,
    }
}

fn call_id() -> CallId {
    "01890000-0000-7000-8000-000000000001".parse().unwrap()
}

/// A payment of tokyo's whose acquirer did not answer; its call is over.
/// A card is stored by a call and charged by its token; nobody else's token is known.
#[tokio::test]
async fn a_card_that_a_call_has_stored_is_charged_by_its_token() {
    let server = Server::start().await;
    let body = json!({"order_id": "customer-7", "transaction_type": "tokenize"});
    let made = server.post("tokyo-key", "", &body.to_string()).await;
    assert_eq!(
        (made.status, &made.body["amount"]),
        (201, &json!(0)),
        "{made:?}"
    );
    let id: PaymentId = made.body["id"].as_str().unwrap().parse().unwrap();
    let claim = server.journal.claim(id, call_id()).await.unwrap();
    let intent = server
        .journal
        .write_intent(id, draft(&claim))
        .await
        .unwrap();
    assert_eq!(intent.get().kind, OperationKind::Tokenise);
    server.journal.write_outcome(&intent, &yes()).await.unwrap();
    let path = format!("/v1/payments/{id}");
    let stored = server.get("tokyo-key", &path).await;
    let token = stored.body["payment_token"].as_str().unwrap().to_owned();
    assert_eq!(stored.body["captured"], Value::Null);

    let mut body = json!({"amount": 1200, "order_id": "A-7", "payment_token": token});
    let made = server.post("tokyo-key", "", &body.to_string()).await;
    assert_eq!(
        (made.status, &made.body["payment_token"]),
        (201, &json!(token))
    );
    let id: PaymentId = made.body["id"].as_str().unwrap().parse().unwrap();
    let payment = server.journal.payment(id).await.unwrap().unwrap();
    let card = payment.stored.map(|stored| stored.card);
    assert_eq!(card, Truncated::new(Brand::Visa, [1, 1, 1, 1]));

    // Another merchant's token is as unknown as any; what the caller is told of a card that is known is what is known.
    body["order_id"] = json!("A-8");
    let other = server.post("paris-key", "", &body.to_string()).await;
    assert_eq!(other.status, 400);
    assert!(other.message().contains("was not stored here"), "{other:?}");
    body["brand"] = json!("jcb");
    body["last4"] = json!("0505");
    let differs = server.post("tokyo-key", "", &body.to_string()).await;
    assert!(differs.message().contains("has others"), "{differs:?}");
    body["payment_token"] = json!("of-another-system");
    let elsewhere = server.post("tokyo-key", "", &body.to_string()).await;
    assert_eq!(elsewhere.status, 201, "{elsewhere:?}");
    body["order_id"] = json!("A-9");
    body["payment_token"] = json!("4111111111111111");
    let card = server.post("tokyo-key", "", &body.to_string()).await;
    assert_eq!(card.status, 400);
    assert!(!card.message().contains("4111"));
}

async fn unknown(server: &Server, order: &str) -> PaymentId {
    let body = json!({"amount": 1200, "order_id": order, "operator": "sato", "caller_number": "0312345678"});
    let made = server.post("tokyo-key", "", &body.to_string()).await;
    let id: PaymentId = made.body["id"].as_str().unwrap().parse().unwrap();
    let call = call_id();
    let claim = server.journal.claim(id, call).await.unwrap();
    let intent = server
        .journal
        .write_intent(id, draft(&claim))
        .await
        .unwrap();
    let doubt = Outcome::Unknown(Doubt::NoReply);
    server.journal.write_outcome(&intent, &doubt).await.unwrap();
    let result = "outcome-unknown";
    server
        .journal
        .release(&claim, result, Value::Null)
        .await
        .unwrap();
    id
}

/// Behind the call: what is unknown is asked about, what was taken is given back, once a request, by whom the key lets.
#[tokio::test]
async fn a_payment_is_inquired_and_refunded_behind_its_call() {
    let server = Server::start().await;
    let id = unknown(&server, "A-1").await;
    let path = |operation: &str| format!("/v1/payments/{id}/{operation}");
    let by = json!({"by": "mori"});

    let early = server.send("tokyo-key", &path("refund"), by.clone()).await;
    assert_eq!(
        (early.status, &early.body["code"]),
        (409, &json!("not-possible"))
    );
    let found = server.send("tokyo-key", &path("inquire"), by.clone()).await;
    assert_eq!(
        (found.status, &found.body["payment"]["state"]),
        (200, &json!("approved"))
    );
    assert_eq!(found.body["operations"][0]["state"], "approved");
    assert_eq!(found.body["payment"]["captured"], 1200);
    let nothing = server.send("tokyo-key", &path("inquire"), by.clone()).await;
    assert_eq!(nothing.body["operations"], json!([]));

    for (operation, body, status, code) in [
        ("capture", json!({"by": "mori"}), 409, "not-possible"),
        // Asked twice without a key it would be given back twice.
        (
            "refund",
            json!({"by": "mori", "amount": 100}),
            400,
            "invalid-request",
        ),
        (
            "void",
            json!({"by": "mori", "amount": 100}),
            409,
            "not-possible",
        ),
        // What is taken is not changed; and to nothing, nothing is.
        (
            "change",
            json!({"by": "mori", "amount": 900}),
            409,
            "not-possible",
        ),
        ("change", json!({"by": "mori"}), 400, "invalid-request"),
        ("refund", json!({}), 400, "invalid-request"),
        (
            "refund",
            json!({"by": "mori", "order": 1}),
            400,
            "invalid-request",
        ),
    ] {
        let refused = server
            .send("tokyo-key", &path(operation), body.clone())
            .await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (status, &json!(code)),
            "{operation} {body}"
        );
    }
    let stranger = server.send("paris-key", &path("refund"), by.clone()).await;
    assert_eq!(stranger.status, 404);

    let head = "content-type: application/json\r\nidempotency-key: refund-1\r\n";
    let refund = |body: Value| {
        let (path, api) = (path("refund"), server.api);
        async move { ask(api, "POST", &path, "tokyo-key", head, &body.to_string()).await }
    };
    let plan = |body: Value| {
        let plan = refund(body);
        async move {
            let plan = plan.await;
            (
                plan.status,
                plan.body["amount"].clone(),
                plan.body["before"]["state"].clone(),
            )
        }
    };
    let dry = json!({"by": "mori", "dry_run": true});
    assert_eq!(plan(dry.clone()).await, (200, json!(1200), Value::Null));
    let other_key = "content-type: application/json\r\nidempotency-key: refund-0\r\n";
    let part = json!({"by": "mori", "amount": 100}).to_string();
    let part = ask(
        server.api,
        "POST",
        &path("refund"),
        "tokyo-key",
        other_key,
        &part,
    )
    .await;
    assert_eq!(part.status, 409, "no part at this acquirer: {part:?}");
    let first = refund(by.clone()).await;
    assert_eq!(
        (first.status, &first.body["operation"]["kind"]),
        (200, &json!("refund")),
        "{first:?}"
    );
    assert_eq!(first.body["operation"]["by"], "mori");
    assert_eq!(
        (
            &first.body["payment"]["state"],
            &first.body["payment"]["refunded"]
        ),
        (&json!("voided"), &json!(1200))
    );
    assert_eq!(refund(by.clone()).await.body, first.body);
    let again = refund(json!({"by": "kato"})).await;
    assert_eq!(again.body["code"], "idempotency-reused");
    // On the admin's socket who asks again is no other request, and hears how it is now.
    let kato = json!({"by": "kato"}).to_string();
    let again = ask(server.admin, "POST", &path("refund"), "", head, &kato).await;
    assert_eq!(again.body["operation"], first.body["operation"]);
    assert_eq!(plan(dry).await, (200, json!(1200), json!("approved")));
    let whole = json!({"by": "mori"}).to_string();
    let other = ask(server.api, "POST", &path("void"), "tokyo-key", head, &whole).await;
    assert_eq!(other.body["code"], "idempotency-reused");
}

/// Reserved at a connector whose amounts live seven days, and at one of which nobody knows.
#[tokio::test]
async fn what_is_reserved_is_listed_before_it_lapses() {
    let server = Server::start().await;
    let mut ids = Vec::new();
    for (order, connector) in [("A-1", "second"), ("A-2", "sandbox")] {
        let body = json!({"amount": 1200, "order_id": order, "connector": connector, "transaction_type": "authorize"});
        let made = server.post("tokyo-key", "", &body.to_string()).await;
        assert_eq!(
            (made.status, &made.body["connector"]),
            (201, &json!(connector))
        );
        let id: PaymentId = made.body["id"].as_str().unwrap().parse().unwrap();
        let claim = server.journal.claim(id, call_id()).await.unwrap();
        let intent = server
            .journal
            .write_intent(id, draft(&claim))
            .await
            .unwrap();
        server.journal.write_outcome(&intent, &yes()).await.unwrap();
        let result = "success";
        let released = server.journal.release(&claim, result, Value::Null).await;
        released.unwrap();
        ids.push(id.to_string());
    }
    let path = "/v1/payments/expiring";
    // Reserved now, by the journal's clock, which is not the API's.
    let all = server
        .get("tokyo-key", &format!("{path}?within_hours=8784"))
        .await;
    let listed: Vec<_> = all.body["payments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| {
            (
                p["payment"]["id"].as_str().unwrap(),
                p["lapses_at"].is_null(),
            )
        })
        .collect();
    assert_eq!(listed, [(&*ids[1], false), (&*ids[0], true)], "{all:?}");
    let other = server.get("paris-key", path).await;
    assert_eq!(other.body["payments"], json!([]));
    for wrong in ["within_hours=0", "within_hours=x", "within=3d"] {
        let refused = server.get("tokyo-key", &format!("{path}?{wrong}")).await;
        assert_eq!(refused.status, 400, "{wrong}");
    }
    // What no acquirer would take is told now, and not to a customer.
    let many = r#"{"amount": 10000000, "order_id": "A-4"}"#;
    for (body, says) in [
        (
            r#"{"amount": 1, "order_id": "A-3", "connector": "elsewhere"}"#,
            "connector: one of sandbox, second",
        ),
        (many, "amount: the connector sandbox takes at most 9999999"),
    ] {
        let refused = server.post("tokyo-key", "", body).await;
        assert_eq!(refused.status, 400);
        let message = refused.body["detail"].as_str().unwrap();
        assert_eq!(message, says);
    }
    let many = many.replace('}', ", \"connector\": \"second\"}");
    assert_eq!(server.post("tokyo-key", "", &many).await.status, 201);
}

#[tokio::test]
async fn a_task_is_listed_taken_and_done() {
    let server = Server::start().await;
    let payment = unknown(&server, "A-1").await;
    let list = server.get("tokyo-key", "/v1/tasks").await;
    assert_eq!((list.status, &list.body["next"]), (200, &Value::Null));
    let task = &list.body["tasks"][0];
    for (field, value) in [
        ("kind", json!("unknown-outcome")),
        ("state", json!("open")),
        ("tenant", json!("tokyo")),
        ("payment_id", json!(payment)),
        ("order_id", json!("A-1")),
        ("caller_number", json!("0312345678")),
        ("owner", json!("sato")),
        ("overdue", json!(false)),
        ("due_at", json!("2026-11-19T11:06:40Z")),
        ("note", Value::Null),
    ] {
        assert_eq!(task[field], value, "{field}");
    }
    let path = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    assert_eq!(&server.get("tokyo-key", &path).await.body, task);
    let admin = ask(server.admin, "GET", &path, "", "", "").await;
    assert_eq!(&admin.body, task);
    // A stranger can't tell it from one that does not exist.
    let other = server.get("paris-key", &path).await;
    let nobodys = "/v1/tasks/01890000-0000-7000-8000-000000000000";
    let nobodys = server.get("paris-key", nobodys).await;
    assert_eq!(
        (other.status, other.but_its_id()),
        (404, nobodys.but_its_id())
    );
    let strangers = server.get("paris-key", "/v1/tasks").await;
    assert_eq!(strangers.body["tasks"], json!([]));
    for (what, body) in [
        ("take", json!({"by": "x"})),
        (
            "done",
            json!({"by": "x", "note": "x", "found": "not-charged"}),
        ),
    ] {
        let answer = server
            .send("paris-key", &format!("{path}/{what}"), body)
            .await;
        assert_eq!(answer.status, 404, "{what}");
    }

    let take = format!("{path}/take");
    let done = format!("{path}/done");
    let taken = server
        .send("tokyo-key", &take, json!({"by": "suzuki"}))
        .await;
    assert_eq!(
        (taken.status, &taken.body["state"], &taken.body["taken_by"]),
        (200, &json!("taken"), &json!("suzuki"))
    );
    let again = server.send("", &take, json!({"by": "suzuki"})).await;
    assert_eq!((again.status, &again.body), (200, &taken.body));
    let late = server.send("tokyo-key", &take, json!({"by": "mori"})).await;
    assert_eq!((late.status, late.code()), (409, "task-taken"));
    assert!(late.message().contains("suzuki"), "{}", late.message());

    let pan = "4111111111111111";
    let table = [
        (json!({"by": "mori"}), "note"),
        (json!({"note": "x"}), "by"),
        (json!({"by": "", "note": "x"}), "by: "),
        (json!({"by": pan, "note": "x"}), "by: "),
        (json!({"by": "mori", "note": ""}), "note: "),
        (json!({"by": "mori", "note": pan}), "note: "),
        (json!({"by": "mori", "note": "x".repeat(501)}), "note: "),
        (
            json!({"by": "mori", "note": "x"}),
            "found: look the payment up",
        ),
        (
            json!({"by": "mori", "note": "x", "found": "maybe"}),
            "found: charged",
        ),
        (
            json!({"by": "mori", "note": "x", "found": "charged"}),
            "acquirer_ref: ",
        ),
        (
            json!({"by": "mori", "note": "x", "found": "charged", "acquirer_ref": pan}),
            "acquirer_ref: ",
        ),
        (
            json!({"by": "mori", "note": "x", "found": "not-charged", "acquirer_ref": "ch"}),
            "belong to found",
        ),
        (
            json!({"by": "mori", "note": "x", "found": "charged", "acquirer_ref": "ch", "approval_code": pan}),
            "approval_code: ",
        ),
        (json!({"by": "mori", "note": "x", "pan": "x"}), "pan"),
    ];
    for (body, says) in table {
        let answer = server.send("tokyo-key", &done, body.clone()).await;
        let shown = body.to_string().replace(pan, "PAN");
        assert_eq!(
            (answer.status, answer.code()),
            (400, "invalid-request"),
            "{shown}"
        );
        assert!(
            answer.message().contains(says),
            "{shown}: {}",
            answer.message()
        );
        assert!(!answer.body.to_string().contains(pan), "{shown}");
    }
    // The acquirer's answer may still be on its way.
    let body = json!({"by": "mori", "note": "not in the portal", "found": "not-charged"});
    let early = server.send("tokyo-key", &done, body).await;
    assert_eq!((early.status, early.code()), (409, "too-early"));
    assert!(
        early.message().contains("2026-11-18T11:16:40Z"),
        "{}",
        early.message()
    );
    let body = json!({"by": "mori", "note": "seen in the portal", "found": "charged", "acquirer_ref": "ch_9", "approval_code": "Z9"});
    let finished = server.send("tokyo-key", &done, body.clone()).await;
    assert_eq!(finished.status, 200, "{finished:?}");
    assert_eq!(
        (
            &finished.body["state"],
            &finished.body["done_by"],
            &finished.body["note"]
        ),
        (&json!("done"), &json!("mori"), &json!("seen in the portal"))
    );
    let twice = server.send("tokyo-key", &done, body).await;
    assert_eq!((twice.status, twice.code()), (409, "task-done"));
    let paid = server
        .get("tokyo-key", &format!("/v1/payments/{payment}"))
        .await;
    assert_eq!(
        (
            &paid.body["state"],
            &paid.body["acquirer_ref"],
            &paid.body["approval_code"]
        ),
        (&json!("approved"), &json!("ch_9"), &json!("Z9"))
    );
    // The caller was told that it is being checked: now somebody has to tell him.
    let list = server
        .get("tokyo-key", "/v1/tasks?owner=sato&state=open")
        .await;
    assert_eq!(list.body["tasks"][0]["kind"], "approved-caller-gone");
    let list = server.get("tokyo-key", "/v1/tasks?state=done").await;
    assert_eq!(list.body["tasks"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_call_back_is_promised_and_found_page_by_page() {
    let server = Server::start().await;
    let body = |order: &str, due: &str| {
        json!({"order_id": order, "caller_number": "0312345678", "owner": "role:front", "due_at": due,
            "reason": "カードが手元にない", "by": "sato"})
    };
    let noon = "2026-11-19T12:00:00+09:00";
    let made = server
        .send("tokyo-key", "/v1/tasks", body("A-1", noon))
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.body["id"].as_str().unwrap();
    assert!(made.head.contains(&format!("location: /v1/tasks/{id}")));
    for (field, value) in [
        ("kind", json!("promised-call-back")),
        ("due_at", json!("2026-11-19T03:00:00Z")),
        ("owner", json!("role:front")),
        ("created_by", json!("sato")),
        ("payment_id", Value::Null),
    ] {
        assert_eq!(made.body[field], value, "{field}");
    }
    let twice = server
        .send("tokyo-key", "/v1/tasks", body("A-1", noon))
        .await;
    assert_eq!((twice.status, twice.code()), (409, "task-exists"));
    assert_eq!(twice.body["task_id"], made.body["id"]);
    for (order, due) in [
        ("A-3", "2026-11-19T12:00:00Z"),
        ("A-2", "2026-11-19T11:00:00Z"),
    ] {
        let made = server
            .send("tokyo-key", "/v1/tasks", body(order, due))
            .await;
        assert_eq!(made.status, 201, "{order}");
    }
    let mut orders = Vec::new();
    let mut path = "/v1/tasks?limit=2".to_owned();
    loop {
        let page = server.get("tokyo-key", &path).await;
        for task in page.body["tasks"].as_array().unwrap() {
            orders.push(task["order_id"].as_str().unwrap().to_owned());
        }
        let Some(next) = page.body["next"].as_str() else {
            break;
        };
        path = format!("/v1/tasks?limit=2&after={next}");
    }
    assert_eq!(orders, ["A-1", "A-2", "A-3"], "the most urgent first");

    let strangers = server
        .get("paris-key", &format!("/v1/tasks?after={id}"))
        .await;
    assert_eq!(strangers.status, 404);
    for query in [
        "state=over",
        "limit=0",
        "limit=201",
        "after=x",
        "owner=",
        "page=2",
        "tenant=paris",
    ] {
        let answer = server.get("tokyo-key", &format!("/v1/tasks?{query}")).await;
        assert!([400, 403].contains(&answer.status), "{query}: {answer:?}");
    }
    let pan = "4111111111111111";
    let with = |field: &str, value: Value| {
        let mut body = body("B-1", noon);
        body[field] = value;
        body
    };
    let missing = |field: &str| {
        let mut body = body("B-1", noon);
        body.as_object_mut().unwrap().remove(field);
        body
    };
    for (body, status, says) in [
        (missing("owner"), 400, "owner"),
        (missing("due_at"), 400, "due_at"),
        (missing("order_id"), 400, "payment_id: "),
        (missing("caller_number"), 400, "caller_number: "),
        (with("due_at", json!("tomorrow")), 400, "due_at: "),
        (
            with("due_at", json!("2026-11-18T00:00:00Z")),
            400,
            "due_at: ",
        ),
        (
            with("due_at", json!("2027-11-18T00:00:00Z")),
            400,
            "due_at: ",
        ),
        (with("reason", json!(pan)), 400, "reason: "),
        (with("reason", json!("a\u{7}")), 400, "reason: "),
        (
            with("caller_number", json!("03 12")),
            400,
            "caller_number: ",
        ),
        (
            with("caller_number", json!("378282246310005")),
            400,
            "caller_number: ",
        ),
        (with("owner", json!(pan)), 400, "owner: "),
        (with("card", json!("x")), 400, "card"),
        (with("payment_id", json!("x")), 400, "payment_id: "),
        (
            with("payment_id", json!("01890000-0000-7000-8000-000000000000")),
            400,
            "not both",
        ),
    ] {
        let answer = server.send("tokyo-key", "/v1/tasks", body.clone()).await;
        let shown = body.to_string().replace(pan, "PAN");
        assert_eq!(answer.status, status, "{shown}: {answer:?}");
        assert!(
            answer.message().contains(says),
            "{shown}: {}",
            answer.message()
        );
        assert!(!answer.body.to_string().contains(pan), "{shown}");
    }
    // Nobody promises over the admin's socket: it has no tenant.
    let admin = server.send("", "/v1/tasks", body("B-1", noon)).await;
    assert_eq!(admin.status, 405);
    let ghost = server
        .send("ghost-key", "/v1/tasks", body("B-1", noon))
        .await;
    assert_eq!(ghost.status, 403);
    let all = server.get("tokyo-key", "/v1/tasks").await;
    assert_eq!(
        all.body["tasks"].as_array().unwrap().len(),
        3,
        "nothing of all this was kept"
    );
}

#[tokio::test]
async fn an_order_is_split_over_several_cards() {
    let server = Server::start().await;
    let split = json!({"order_id": "A-1", "amounts": [5000, 3000], "by": "sato"});
    let made = server
        .send("tokyo-key", "/v1/orders/split", split.clone())
        .await;
    assert_eq!(
        (made.status, &made.body["total"]),
        (201, &json!(8000)),
        "{made:?}"
    );
    assert_eq!(made.body["parts"][1]["amount"], 3000);
    let mut other = split.clone();
    other["amounts"] = json!([4000, 4000]);
    for (key, path, body, status, says) in [
        ("tokyo-key", "split", other, 409, "other parts already"),
        (
            "tokyo-key",
            "split",
            json!({"order_id": "B", "amounts": [1], "by": "sato"}),
            400,
            "2 to 9 parts",
        ),
        (
            "tokyo-key",
            "split",
            json!({"order_id": "B", "amounts": [1, 0], "by": "sato"}),
            400,
            "amounts: an amount is from 1",
        ),
        (
            "tokyo-key",
            "split",
            json!({"order_id": "B", "amounts": [1, 1], "currency": "XXX", "by": "sato"}),
            400,
            "currency",
        ),
        ("", "split", split.clone(), 400, "tenant: whose order"),
        (
            "tokyo-key",
            "additional",
            json!({"order_id": "C", "amount": 1, "reason": "x", "by": "sato"}),
            409,
            "no payment yet",
        ),
        (
            "tokyo-key",
            "additional",
            json!({"order_id": "A-1", "amount": 1, "reason": "4111 1111 1111 1111", "by": "sato"}),
            400,
            "reason: 1 to 200",
        ),
    ] {
        let answer = server.send(key, &format!("/v1/orders/{path}"), body).await;
        let said = answer.body["detail"].as_str().unwrap_or_default();
        assert!(
            answer.status == status && said.contains(says),
            "{answer:?} does not say {says:?}"
        );
        assert!(!said.contains("4111"));
    }
    let pay = async |part: u32, amount: u64| {
        let body = json!({"order_id": "A-1", "part": part, "amount": amount});
        server.send("tokyo-key", "/v1/payments", body).await
    };
    let refused = pay(1, 5000).await;
    let said = refused.body["detail"].as_str().unwrap();
    assert!(
        refused.status == 400 && said.contains("declared with 3000 JPY"),
        "{said}"
    );
    let second = pay(1, 3000).await;
    assert_eq!(
        (second.status, &second.body["part"]),
        (201, &json!(1)),
        "{second:?}"
    );
    let shown = server.get("tokyo-key", "/v1/orders?order_id=A-1").await;
    assert_eq!(shown.body["parts"][1]["payment_id"], second.body["id"]);
    assert_eq!(
        (&shown.body["paid"], &shown.body["parts"][0]["state"]),
        (&json!(0), &Value::Null)
    );
    let more =
        json!({"order_id": "A-1", "amount": 700, "reason": "delivered by express", "by": "mori"});
    let more = server
        .send("tokyo-key", "/v1/orders/additional", more)
        .await;
    assert_eq!(
        (more.status, &more.body["part"], &more.body["by"]),
        (201, &json!(2), &json!("mori")),
        "{more:?}"
    );
    // Another merchant's order of the same number is another one.
    assert_eq!(
        server
            .get("paris-key", "/v1/orders?order_id=A-1")
            .await
            .status,
        404
    );
    assert_eq!(
        server.get("tokyo-key", "/v1/orders?order=A-1").await.status,
        400
    );
}

#[tokio::test]
async fn another_operator_takes_a_waiting_payment_over() {
    let server = Server::start().await;
    let body =
        r#"{"amount": 1200, "order_id": "A-1", "operator": "sato", "operator_extension": "201"}"#;
    let made = server.post("tokyo-key", "", body).await;
    assert_eq!(made.body["operator_extension"], "201");
    let id: PaymentId = made.body["id"].as_str().unwrap().parse().unwrap();
    let path = format!("/v1/payments/{id}/operator");
    let suzuki = json!({"operator": "suzuki", "operator_extension": "202", "by": "mori"});
    let moved = server.send("tokyo-key", &path, suzuki.clone()).await;
    assert_eq!(
        (
            moved.status,
            &moved.body["operator"],
            &moved.body["operator_extension"]
        ),
        (200, &json!("suzuki"), &json!("202")),
        "{moved:?}"
    );
    let by_order = "/v1/payments/operator";
    let tanaka = json!({"order_id": "A-1", "operator": "tanaka", "by": "tanaka"});
    let moved = server.send("tokyo-key", by_order, tanaka.clone()).await;
    assert_eq!(
        (
            &moved.body["id"],
            &moved.body["operator"],
            &moved.body["operator_extension"]
        ),
        (&json!(id), &json!("tanaka"), &Value::Null)
    );
    // An admin has to say whose order it is.
    let mut admins = tanaka.clone();
    assert_eq!(server.send("", by_order, admins.clone()).await.status, 400);
    admins["tenant"] = json!("tokyo");
    assert_eq!(server.send("", by_order, admins.clone()).await.status, 200);
    admins["tenant"] = json!("paris");
    assert_eq!(server.send("tokyo-key", by_order, admins).await.status, 403);
    for (key, path, body, status, says) in [
        (
            "paris-key",
            path.as_str(),
            suzuki.clone(),
            404,
            "no such payment",
        ),
        (
            "paris-key",
            by_order,
            tanaka.clone(),
            404,
            "holds this order",
        ),
        (
            "tokyo-key",
            "/v1/payments/x/operator",
            suzuki.clone(),
            400,
            "payment id",
        ),
        ("tokyo-key", &path, json!({"by": "mori"}), 400, "operator: "),
        ("tokyo-key", &path, json!({"operator": "x"}), 400, "by"),
        (
            "tokyo-key",
            &path,
            json!({"operator": "x", "by": " "}),
            400,
            "by: ",
        ),
        (
            "tokyo-key",
            &path,
            json!({"operator_extension": "2x", "by": "mori"}),
            400,
            "operator_extension: ",
        ),
        (
            "tokyo-key",
            &path,
            json!({"operator": "x", "by": "mori", "amount": 1}),
            400,
            "amount",
        ),
    ] {
        let answer = server.send(key, path, body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(
            answer.message().contains(says),
            "{body}: {}",
            answer.message()
        );
    }
    let call = call_id();
    let claim = server.journal.claim(id, call).await.unwrap();
    let answer = server.send("tokyo-key", &path, suzuki.clone()).await;
    assert_eq!((answer.status, answer.code()), (409, "not-waiting"));
    assert!(
        answer.message().contains("in a call"),
        "{}",
        answer.message()
    );
    assert_eq!(answer.body["payment_id"], json!(id));
    let result = "amount-rejected";
    server
        .journal
        .release(&claim, result, Value::Null)
        .await
        .unwrap();
    let answer = server.send("tokyo-key", &path, suzuki).await;
    assert_eq!((answer.status, answer.code()), (409, "not-waiting"));
    assert!(
        answer.message().contains("announce it anew"),
        "{}",
        answer.message()
    );
    let shown = server.get("tokyo-key", &format!("/v1/payments/{id}")).await;
    assert_eq!(shown.body["operator"], "tanaka");
}

#[tokio::test]
async fn a_capture_is_cancelled_until_its_charge_is_sent() {
    let server = Server::start().await;
    let made = server
        .post("tokyo-key", "", r#"{"amount": 1200, "order_id": "A-1"}"#)
        .await;
    let id: PaymentId = made.body["id"].as_str().unwrap().parse().unwrap();
    let path = format!("/v1/payments/{id}/cancel");
    let mori = json!({"by": "mori"});
    for (key, path, body, status, code) in [
        ("paris-key", path.as_str(), mori.clone(), 404, "not-found"),
        ("watcher-key", &path, mori.clone(), 403, "forbidden"),
        ("tokyo-key", &path, json!({}), 400, "invalid-request"),
        (
            "tokyo-key",
            &path,
            json!({"by": ""}),
            400,
            "invalid-request",
        ),
        (
            "tokyo-key",
            &path,
            json!({"by": "m", "why": 1}),
            400,
            "invalid-request",
        ),
        (
            "tokyo-key",
            "/v1/payments/x/cancel",
            mori.clone(),
            400,
            "invalid-request",
        ),
    ] {
        let answer = server.send(key, path, body.clone()).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{key} {body}: {answer:?}"
        );
    }
    assert_eq!(server.call.lock().unwrap().1, None, "no call was asked");

    let call = call_id();
    server.call.lock().unwrap().0 = Wished::Done(call);
    for (key, via) in [("tokyo-key", "tokyo-key"), ("", "admin")] {
        let answer = server.send(key, &path, mori.clone()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(
            answer.body,
            json!({"payment_id": id, "call_id": call, "result": "agent-cancelled"})
        );
        let (want, by) = server.call.lock().unwrap().1.take().unwrap();
        assert_eq!(want, Want::Cancel);
        assert_eq!((by.person.as_str(), by.via.as_str()), ("mori", via));
    }

    let unknown = unknown(&server, "A-2").await;
    for (payment, said, status, code, says) in [
        (
            unknown,
            Wished::NotInCall,
            409,
            "charge-sent",
            "do not charge again",
        ),
        (unknown, Wished::NoAnswer, 503, "unavailable", "try again"),
        (
            unknown,
            Wished::ChargeSent,
            409,
            "charge-sent",
            "wait for it",
        ),
    ] {
        server.call.lock().unwrap().0 = said;
        let path = format!("/v1/payments/{payment}/cancel");
        let answer = server.send("tokyo-key", &path, mori.clone()).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
        assert!(answer.message().contains(says), "{}", answer.message());
        if status == 409 {
            assert_eq!(answer.body["payment_id"], json!(payment));
        }
    }
    // One that waits, and no call has it: it is over, and a second time is too late. It is nobody else's to end.
    server.call.lock().unwrap().0 = Wished::NotInCall;
    let answer = server.send("paris-key", &path, mori.clone()).await;
    assert_eq!(answer.status, 404, "{answer:?}");
    let answer = server.send("tokyo-key", &path, mori.clone()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.body,
        json!({"payment_id": id, "result": "agent-cancelled"})
    );
    let shown = server.get("tokyo-key", &format!("/v1/payments/{id}")).await;
    assert_eq!(shown.body["state"], "cancelled");
    let answer = server.send("tokyo-key", &path, mori).await;
    assert_eq!((answer.status, answer.code()), (409, "not-in-call"));
}

/// What an acquirer sends proves itself: no bearer key is asked for, and none helps. It is accepted when the journal has it.
#[tokio::test]
async fn an_acquirer_posts_without_a_key() {
    let server = Server::start().await;
    let good = "authorization: Basic dTpw\r\ncontent-type: application/json\r\n";
    let long = "x".repeat(HOOK_BYTES_MAX + 1);
    let fits = "x".repeat(HOOK_BYTES_MAX);
    for (path, headers, body, status) in [
        ("/hooks/adyen", good, "{}", 200),
        ("/hooks/adyen", good, &*fits, 200),
        ("/hooks/adyen", good, &*long, 413),
        ("/hooks/adyen", "", "{}", 401),
        (
            "/hooks/stripe",
            "stripe-signature: t=1,v1=00\r\n",
            "{}",
            200,
        ),
        (
            "/hooks/stripe",
            "stripe-signature: t=1,v1=01\r\n",
            "{}",
            401,
        ),
        ("/hooks/adyen", good, "not json", 400),
        ("/hooks/adyen", good, "again", 503),
        ("/hooks/none", good, "{}", 404),
        ("/hooks/adyen/more", good, "{}", 404),
        ("/hooks", good, "{}", 404),
    ] {
        let answer = ask(server.api, "POST", path, "", headers, body).await;
        let length = body.len();
        assert_eq!(answer.status, status, "{path} {length}: {answer:?}");
        if status == 200 {
            assert_eq!(answer.body, "[accepted]");
        }
        if status == 401 {
            assert!(
                answer.head.contains("www-authenticate: basic"),
                "{answer:?}"
            );
        }
    }
    let get = ask(server.api, "GET", "/hooks/adyen", "", good, "").await;
    assert_eq!(get.status, 405, "{get:?}");
    let keyed = ask(server.api, "POST", "/hooks/adyen", "tokyo-key", "", "{}").await;
    assert_eq!(keyed.status, 401, "{keyed:?}");
    // Who may open the socket is no acquirer.
    let admin = ask(server.admin, "POST", "/hooks/adyen", "", good, "{}").await;
    assert_eq!(admin.status, 404, "{admin:?}");
}
