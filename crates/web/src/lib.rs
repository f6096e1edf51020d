//! The HTTP API: payments, tasks, events, health and metrics, over TCP for order systems and over a Unix socket for the CLI.
//!
//! Knows `api`, `payment` and `journal`; cannot name card data. A function returns the [`Router`], so tests need no port.

mod access;
mod again;
mod approvals;
mod assign;
mod auth;
mod calls;
mod captures;
mod disputes;
mod document;
mod drain;
mod error;
mod evidence;
mod expiring;
mod feed;
mod hooks;
mod keys;
mod later;
mod limit;
mod listen;
mod oidc;
mod orders;
mod payments;
mod people;
mod receipts;
mod recordings;
mod request;
mod routes;
mod secrets;
mod sessions;
mod starts;
mod story;
mod tasks;
mod tls;
mod trail;
mod twilio;
mod webhooks;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, FromRef, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use ivrpay_api as api;
use ivrpay_journal::{By, CustomerCall, Journal, Payment};
use ivrpay_payment::{Currency, Money, Offers, OperatorId, PaymentId, Plan, TenantId, Transaction};
use metrics_exporter_prometheus::PrometheusHandle;
use routes::Routes;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

pub use access::{Access, AccessOptions, Peer, Security};
pub use api::{CaptureField as Field, CaptureMode};
pub use approvals::RoleLimits;
pub use auth::{ApiKey, KeyHash, KeyHashError, Keys, Scope};
pub use captures::{Want, Wished};
pub use document::openapi;
pub use drain::Drains;
use error::ApiError;
pub use expiring::lapses_ms;
pub use feed::Feed;
pub use hooks::{HOOK_BYTES_MAX, HookRefused, Posted};
pub use later::{Acquirers, LaterRefused};
pub use limit::{Limits, Steady};
pub use listen::{CONNECTIONS_MAX, HEAD_MAX, serve, serve_tls};
pub use oidc::{Oidc, OidcAsk, OidcAsks, OidcOptions};
pub use receipts::Receipts;
pub use request::{Answered, BODY_MAX, RequestId};
pub use secrets::{Seal, SealError};
pub use starts::{NotStarted, TalkLeg, Talks, ToStart};
pub use tls::{Tls, TlsError, TlsFiles};
pub use twilio::{CallbackRefused, Lead, LiveCall, Twilio, TwilioAccount};
pub use webhooks::TestsWebhook;

/// Largest body that is read, bytes. A payment is a few hundred.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// Why an amount can't be asked for, in words for people: of a connector that is named, else of those that the routes name for the plan,
/// where one is settled, else for any that may be chosen. `None` where it can.
pub type Refuses = Arc<dyn Fn(Option<&str>, Money, Option<Plan>) -> Option<String> + Send + Sync>;

/// What the API needs to know of a merchant.
#[derive(Clone)]
pub struct Tenant {
    /// Its name.
    pub id: TenantId,
    /// Currency where a request names none.
    pub currency: Currency,
    /// Language where a request names none.
    pub language: String,
    /// Test or live.
    pub live: bool,
    /// Connector that its payments go through where no route says another.
    pub connector: String,
    /// What a payment is where a request does not say it.
    pub transaction: Transaction,
    /// All that its payments may go through.
    pub connectors: Vec<String>,
    /// How long an announced payment waits for its call.
    pub waiting_max: Duration,
    /// Customers who may be called at once; 0 = nobody is.
    pub customer_calls_max: u32,
    /// How else than at once may be paid.
    pub plans: Offers,
    /// What people may ask of an acquirer alone.
    pub role_limits: RoleLimits,
    /// What its acquirers have no room for.
    pub refuses: Refuses,
    /// How it issues receipts; `None`: it issues none.
    pub receipts: Option<Arc<Receipts>>,
}

/// Who calls customers.
pub trait Caller: Send + Sync {
    /// Who calls a customer of this merchant now: a place for him is kept, until it is dropped.
    ///
    /// # Errors
    /// Why nobody can.
    fn ready<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Rings, NotCalled>>;
}

/// Calls, without waiting for it. What becomes of it comes into the journal.
pub type Rings = Box<dyn FnOnce(ToCall) + Send>;

/// Why no customer can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCalled {
    /// In words for people.
    Away(&'static str),
    /// No place is free.
    Full,
}

/// A customer who is to be called now.
#[derive(Debug, Clone)]
pub struct ToCall {
    /// As the journal has it.
    pub call: CustomerCall,
    /// The payment.
    pub payment: Payment,
    /// The number that the customer is shown.
    pub from: Option<String>,
    /// Extension of the operator who is rung first, or who takes the customer back.
    pub operator_extension: Option<String>,
}

/// All that the routes share.
#[derive(Clone)]
pub struct Web {
    /// Where payments are.
    pub journal: Journal,
    /// Who may ask.
    pub keys: Arc<Keys>,
    /// Merchants by name.
    pub tenants: Arc<Vec<Tenant>>,
    /// What `GET /v1/events` streams.
    pub events: Feed,
    /// Captures that are on now, for `GET /v1/captures`.
    pub captures: Arc<dyn Fn() -> Vec<api::Capture> + Send + Sync>,
    /// What `GET /v1/health/findings` says; asks no more often than once a minute.
    pub findings: Arc<dyn Fn() -> BoxFuture<'static, api::HealthFindings> + Send + Sync>,
    /// Longest that a body may take.
    pub body_max: Duration,
    /// How often each key has asked.
    pub limits: Limits,
    /// Keys of the journal, and people.
    pub access: Access,
    /// Told of every request.
    pub answered: Arc<dyn Fn(&Answered) + Send + Sync>,
    /// Asked for every `GET /healthz`.
    pub health: Arc<dyn Fn() -> api::Health + Send + Sync>,
    /// Asked for every `GET /readyz`; the journal is asked here.
    pub ready: Arc<dyn Fn() -> api::Ready + Send + Sync>,
    /// Who brings the service to its end.
    pub drains: Arc<dyn Drains>,
    /// Hands a wish to the call that takes this payment.
    pub wish: Arc<dyn Fn(PaymentId, Want, By) -> BoxFuture<'static, Wished> + Send + Sync>,
    /// Who asks acquirers behind the call.
    pub acquirers: Arc<dyn Acquirers>,
    /// Tells a merchant's program something, to see whether it is taken.
    pub tests_webhook: TestsWebhook,
    /// What `GET /v1/pools` shows.
    pub pools: Arc<dyn Fn() -> Vec<api::Pool> + Send + Sync>,
    /// What `GET /metrics` shows.
    pub metrics: PrometheusHandle,
    /// Wall clock, milliseconds since 1970 (UTC).
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Whose task a recording with a card is, and by when.
    pub quarantine: Quarantine,
    /// Days after which a connector's acquirer lets a reserved amount lapse, where that is known.
    pub authorisation_days: Arc<BTreeMap<String, u16>>,
    /// Version of the prompt table, stored with every payment.
    pub prompt_version: String,
    /// Ends the streams of events; no answer is cut off.
    pub closing: CancellationToken,
    /// What `GET /readyz` last found out about the journal.
    pub journal_health: JournalHealth,
    /// Who calls customers.
    pub caller: Arc<dyn Caller>,
    /// Who takes talks over.
    pub talks: Arc<dyn Talks>,
    /// Who may ask in Twilio's form.
    pub twilio: Arc<Twilio>,
}

/// Whose task a recording is in which a card was spoken or keyed, and by when it has to be deleted or redacted.
#[derive(Debug, Clone)]
pub struct Quarantine {
    /// Nobody's in particular when `None`.
    pub owner: Option<OperatorId>,
    /// From its marking.
    pub due: Duration,
}

impl Quarantine {
    /// When it is due, milliseconds since 1970 (UTC), for one that was marked at that time.
    #[must_use]
    pub fn due(&self, marked_ms: i64) -> i64 {
        marked_ms.saturating_add(i64::try_from(self.due.as_millis()).unwrap_or(i64::MAX))
    }
}

/// How long a word on the journal stands: whoever polls `GET /readyz` does not make it write without end.
const JOURNAL_HEALTH_KEPT: Duration = Duration::from_secs(1);

/// Whether the journal can be written, asked at most once in a second.
#[derive(Clone, Default)]
pub struct JournalHealth(Arc<Mutex<Option<Asked>>>);

struct Asked {
    at: Instant,
    good: bool,
}

impl JournalHealth {
    /// Whether it takes writes.
    async fn is_good(&self, journal: &Journal) -> bool {
        let mut last = self.0.lock().await;
        if let Some(asked) = &*last
            && asked.at.elapsed() < JOURNAL_HEALTH_KEPT
        {
            return asked.good;
        }
        let good = journal.ping().await.is_ok();
        *last = Some(Asked {
            at: Instant::now(),
            good,
        });
        good
    }
}

impl Web {
    fn now_ms(&self) -> i64 {
        (self.clock)()
    }
}

impl FromRef<Web> for Journal {
    fn from_ref(web: &Web) -> Self {
        web.journal.clone()
    }
}

/// Routes for order systems, each behind a bearer key but `/healthz`, `/readyz` and the document, and for acquirers, who prove themselves in
/// their own way.
pub fn router(web: Web) -> Router {
    let keyed = keyed().into_router();
    // From the outside in: who it is and how often, the body, whether it came before.
    let keyed = keyed
        .layer(middleware::from_fn_with_state(web.clone(), again::once))
        .layer(middleware::from_fn_with_state(web.clone(), trail::kept))
        .layer(middleware::from_fn_with_state(
            web.clone(),
            request::whole_body,
        ))
        .layer(middleware::from_fn_with_state(web.clone(), auth::bearer));
    let doors = doors().into_router().layer(middleware::from_fn_with_state(
        web.clone(),
        request::whole_body,
    ));
    let others = hooks::routes().into_router().merge(twilio::router(&web));
    finish(keyed.merge(doors).merge(others), web)
}

/// The same routes for whoever may open the Unix socket (mode 0600): every tenant, no key.
pub fn admin_router(web: Web) -> Router {
    let open = shared().merge(admins()).into_router();
    let open = open
        .layer(middleware::from_fn_with_state(web.clone(), trail::kept))
        .layer(middleware::from_fn_with_state(
            web.clone(),
            request::whole_body,
        ))
        .layer(middleware::from_fn(auth::admin));
    finish(open, web)
}

/// Behind a key alone: what only a merchant can begin.
fn keyed() -> Routes {
    shared()
        .post("/v1/payments", payments::create)
        .post("/v1/calls", calls::create)
        .post("/v1/captures", starts::create)
        .post("/v1/tasks", tasks::promise)
        .get("/v1/session", sessions::show)
        .post("/v1/session/end", sessions::end)
        .post("/v1/session/password", sessions::password)
}

/// Where people sign in.
fn doors() -> Routes {
    Routes::default()
        .post("/v1/sessions", sessions::create)
        .get("/v1/sign-in/oidc", oidc::begin)
        .post("/v1/sessions/oidc", oidc::end)
}

/// Behind a key, and on the Unix socket.
fn shared() -> Routes {
    Routes::default()
        .get("/v1/payments", payments::list)
        .post("/v1/payments/operator", assign::order)
        .get("/v1/payments/expiring", expiring::list)
        .get("/v1/payments/{id}", payments::show)
        .get("/v1/payments/{id}/story", story::show)
        .get("/v1/payments/{id}/evidence", evidence::show)
        .get("/v1/payments/{id}/receipts/{number}", receipts::show)
        .get("/v1/payments/{id}/receipts", receipts::list)
        .post("/v1/payments/{id}/receipts", receipts::issue)
        .post("/v1/payments/{id}/dispute", disputes::begin)
        .post("/v1/payments/{id}/dispute/end", disputes::end)
        .post("/v1/payments/{id}/operator", assign::payment)
        .post("/v1/payments/{id}/cancel", captures::cancel_payment)
        .post("/v1/payments/{id}/capture", later::capture)
        .post("/v1/payments/{id}/change", later::change)
        .post("/v1/payments/{id}/void", later::void)
        .post("/v1/payments/{id}/refund", later::refund)
        .post("/v1/payments/{id}/inquire", later::inquire)
        .get("/v1/captures", captures::list)
        .get("/v1/captures/{id}", captures::show)
        .get("/v1/calls/{id}", calls::show)
        .post("/v1/calls/{id}/ask", captures::ask)
        .post("/v1/calls/{id}/pause", captures::pause)
        .post("/v1/calls/{id}/resume", captures::resume)
        .post("/v1/calls/{id}/cancel", captures::cancel)
        .post("/v1/calls/{id}/switch", captures::switch)
        .post("/v1/calls/{id}/complete", captures::complete)
        .get("/v1/orders", orders::show)
        .post("/v1/orders/split", orders::split)
        .post("/v1/orders/additional", orders::add)
        .get("/v1/tasks", tasks::list)
        .get("/v1/tasks/{id}", tasks::show)
        .post("/v1/tasks/{id}/take", tasks::take)
        .post("/v1/tasks/{id}/done", tasks::done)
        .get("/v1/webhooks/events", webhooks::list)
        .get("/v1/webhooks/events/{id}", webhooks::show)
        .post("/v1/webhooks/events/{id}/resend", webhooks::resend)
        .post("/v1/webhooks/test", webhooks::test)
        .get("/v1/people", people::list)
        .post("/v1/people", people::create)
        .get("/v1/people/{id}", people::show)
        .post("/v1/people/{id}/disable", people::disable)
        .post("/v1/people/{id}/enable", people::enable)
        .post("/v1/people/{id}/unlock", people::unlock)
        .post("/v1/people/{id}/password", people::password)
        .post("/v1/people/{id}/second-factor", people::second_factor)
        .post("/v1/people/{id}/second-factor/confirm", people::confirm)
        .get("/v1/keys", keys::list)
        .post("/v1/keys", keys::create)
        .get("/v1/keys/{id}", keys::show)
        .post("/v1/keys/{id}/rotate", keys::rotate)
        .post("/v1/keys/{id}/revoke", keys::revoke)
        .get("/v1/audit", trail::list)
        .get("/v1/approvals", approvals::list)
        .get("/v1/approvals/{id}", approvals::show)
        .post("/v1/approvals/{id}/approve", approvals::approve)
        .post("/v1/approvals/{id}/refuse", approvals::refuse)
        .get("/v1/events", feed::events)
        .get("/v1/pools", pools)
        .get("/v1/health/findings", findings)
        .get("/metrics", metrics)
}

/// On the Unix socket alone.
fn admins() -> Routes {
    Routes::default()
        .post("/v1/recordings", recordings::mark)
        .get("/v1/recordings", recordings::list)
        .post("/v1/recordings/{id}/resolve", recordings::resolve)
        .post("/v1/drain", drain::begin)
        .get("/v1/drain", drain::show)
        .get("/v1/drain/end", drain::end)
}

/// For everybody.
fn open() -> Routes {
    Routes::default()
        .get("/healthz", health)
        .get("/readyz", ready)
        .get("/openapi.json", document::json)
        .get("/docs", document::page)
        .get("/docs/style.css", document::style)
}

fn finish(routes: Router<Web>, web: Web) -> Router {
    routes
        .merge(open().into_router())
        .fallback(|uri: Uri| async move {
            if twilio::is_ours(&uri) {
                return twilio::no_such_path();
            }
            ApiError::not_found("there is no such path; /docs has all").into_response()
        })
        .method_not_allowed_fallback(|uri: Uri| async move {
            if twilio::is_ours(&uri) {
                return twilio::no_such_method();
            }
            ApiError::invalid("this path does not take that method; /docs has those that it takes")
                .with_status(StatusCode::METHOD_NOT_ALLOWED)
                .into_response()
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(web.clone(), request::named))
        .with_state(web)
}

/// Whether the process lives; `calls` and `calls_max` say whether a place is free.
#[utoipa::path(get, path = "/healthz", responses((status = 200, body = api::Health), (status = 503, body = api::Health)))]
async fn health(State(web): State<Web>) -> Response {
    let health = (web.health)();
    (status(health.ok), Json(health)).into_response()
}

/// Whether a call could be taken now, and what is not well.
#[utoipa::path(get, path = "/readyz", responses((status = 200, body = api::Ready), (status = 503, body = api::Ready)))]
async fn ready(State(web): State<Web>) -> Response {
    let mut ready = (web.ready)();
    if !web.journal_health.is_good(&web.journal).await {
        ready.ready = false;
        ready.journal = "not writable".into();
    }
    (status(ready.ready), Json(ready)).into_response()
}

const fn status(good: bool) -> StatusCode {
    if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// Whether he may see what is of all merchants: whoever has written the configuration has said so of its keys.
fn of_all(web: &Web, who: &auth::Who) -> Result<(), ApiError> {
    let is_configured = matches!(who, auth::Who::Key(key) if web.keys.has(key));
    if is_configured || web.tenants.iter().all(|t| who.sees(t.id.as_str())) {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "this is of all merchants, and you belong to one: a key of [[http.keys]] sees it, or an admin without a tenant",
    ))
}

/// Metrics, as Prometheus reads them.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(State(web): State<Web>, who: auth::Who) -> Result<Response, ApiError> {
    who.need(Scope::Metrics)?;
    of_all(&web, &who)?;
    Ok((
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        web.metrics.render(),
    )
        .into_response())
}

/// What `ivrpay check` and `ivrpay audit` find: of the whole service, of all merchants. It is looked at most once a minute, for 30 s at most.
#[utoipa::path(get, path = "/v1/health/findings", responses((status = 200, body = api::HealthFindings)))]
async fn findings(
    State(web): State<Web>,
    who: auth::Who,
) -> Result<Json<api::HealthFindings>, ApiError> {
    who.need(Scope::Health)?;
    of_all(&web, &who)?;
    Ok(Json((web.findings)().await))
}

/// Places for calls by pool: of all merchants, as the metrics are.
#[utoipa::path(get, path = "/v1/pools", responses((status = 200, body = api::Pools)))]
async fn pools(State(web): State<Web>, who: auth::Who) -> Result<Json<api::Pools>, ApiError> {
    who.need(Scope::Metrics)?;
    let mut pools = (web.pools)();
    for pool in &mut pools {
        pool.tenants.retain(|tenant| who.sees(tenant));
    }
    Ok(Json(api::Pools { pools }))
}
