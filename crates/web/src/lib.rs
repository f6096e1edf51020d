//! The HTTP API: payments, tasks, events, health and metrics, over TCP for order systems and over a Unix socket for the CLI.
//!
//! Knows `api`, `payment` and `journal`; cannot name card data. A function returns the [`Router`], so tests need no port.

mod assign;
mod auth;
mod calls;
mod cancel;
mod drain;
mod error;
mod expiring;
mod hooks;
mod later;
mod listen;
mod orders;
mod payments;
mod recordings;
mod tasks;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, FromRef, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};
use ivrpay_api as api;
use ivrpay_journal::{By, CustomerCall, Journal, Payment};
use ivrpay_payment::{Currency, Money, Offers, OperatorId, PaymentId, Plan, TenantId, Transaction};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{Mutex, broadcast};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_util::sync::CancellationToken;

pub use auth::{ApiKey, KeyHash, KeyHashError, Keys, Scope};
pub use cancel::Cancelled;
pub use drain::Drains;
use error::ApiError;
pub use expiring::lapses_ms;
pub use hooks::{HOOK_BYTES_MAX, HookRefused, Posted};
pub use later::{Acquirers, LaterRefused};
pub use listen::{CONNECTIONS_MAX, HEAD_MAX, serve};

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
    /// What its acquirers have no room for.
    pub refuses: Refuses,
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
    pub events: broadcast::Sender<Arc<api::Event>>,
    /// Asked for every `GET /healthz`.
    pub health: Arc<dyn Fn() -> api::Health + Send + Sync>,
    /// Asked for every `GET /readyz`; the journal is asked here.
    pub ready: Arc<dyn Fn() -> api::Ready + Send + Sync>,
    /// Who brings the service to its end.
    pub drains: Arc<dyn Drains>,
    /// Ends the capture of the call that takes this payment.
    pub cancel: Arc<dyn Fn(PaymentId, By) -> BoxFuture<'static, Cancelled> + Send + Sync>,
    /// Who asks acquirers behind the call.
    pub acquirers: Arc<dyn Acquirers>,
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

/// Routes for order systems, each behind a bearer key but `/healthz` and `/readyz`, and for acquirers, who prove themselves in their own way.
pub fn router(web: Web) -> Router {
    let keyed = Router::new()
        .route("/v1/payments", post(payments::create).get(payments::list))
        .route("/v1/payments/operator", post(assign::order))
        .route("/v1/payments/expiring", get(expiring::list))
        .route("/v1/payments/{id}", get(payments::show))
        .route("/v1/payments/{id}/operator", post(assign::payment))
        .route("/v1/calls", post(calls::create))
        .route("/v1/calls/{id}", get(calls::show))
        .route("/v1/payments/{id}/cancel", post(cancel::payment))
        .route("/v1/orders", get(orders::show))
        .route("/v1/orders/split", post(orders::split))
        .route("/v1/orders/additional", post(orders::add))
        .merge(later::routes())
        .route("/v1/tasks", post(tasks::promise).get(tasks::list))
        .route("/v1/tasks/{id}", get(tasks::show))
        .route("/v1/tasks/{id}/take", post(tasks::take))
        .route("/v1/tasks/{id}/done", post(tasks::done))
        .route("/v1/events", get(events))
        .route("/v1/pools", get(pools))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(web.clone(), auth::bearer));
    finish(keyed.merge(hooks::routes()), web)
}

/// The same routes for whoever may open the Unix socket (mode 0600): every tenant, no key.
pub fn admin_router(web: Web) -> Router {
    let open = Router::new()
        .route("/v1/payments", get(payments::list))
        .route("/v1/payments/operator", post(assign::order))
        .route("/v1/payments/expiring", get(expiring::list))
        .route("/v1/payments/{id}", get(payments::show))
        .route("/v1/payments/{id}/operator", post(assign::payment))
        .route("/v1/calls/{id}", get(calls::show))
        .route("/v1/payments/{id}/cancel", post(cancel::payment))
        .route("/v1/orders", get(orders::show))
        .route("/v1/orders/split", post(orders::split))
        .route("/v1/orders/additional", post(orders::add))
        .merge(later::routes())
        .route("/v1/tasks", get(tasks::list))
        .route("/v1/tasks/{id}", get(tasks::show))
        .route("/v1/tasks/{id}/take", post(tasks::take))
        .route("/v1/tasks/{id}/done", post(tasks::done))
        .route(
            "/v1/recordings",
            post(recordings::mark).get(recordings::list),
        )
        .route("/v1/recordings/{id}/resolve", post(recordings::resolve))
        .route("/v1/drain", post(drain::begin).get(drain::show))
        .route("/v1/drain/end", get(drain::end))
        .route("/v1/events", get(events))
        .route("/v1/pools", get(pools))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn(auth::admin));
    finish(open, web)
}

fn finish(routes: Router<Web>, web: Web) -> Router {
    routes
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .fallback(|| async { ApiError::not_found("there is no such path; see docs/api.md") })
        .method_not_allowed_fallback(|| async {
            ApiError::invalid("this path does not take that method")
                .with_status(StatusCode::METHOD_NOT_ALLOWED)
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(no_store))
        .with_state(web)
}

async fn no_store(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn health(State(web): State<Web>) -> Response {
    let health = (web.health)();
    (status(health.ok), Json(health)).into_response()
}

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

async fn metrics(State(web): State<Web>, who: auth::Who) -> Result<Response, ApiError> {
    who.need(Scope::Metrics)?;
    Ok((
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        web.metrics.render(),
    )
        .into_response())
}

/// Of all merchants, as the metrics are.
async fn pools(State(web): State<Web>, who: auth::Who) -> Result<Json<api::Pools>, ApiError> {
    who.need(Scope::Metrics)?;
    let mut pools = (web.pools)();
    for pool in &mut pools {
        pool.tenants.retain(|tenant| who.sees(tenant));
    }
    Ok(Json(api::Pools { pools }))
}

async fn events(
    State(web): State<Web>,
    who: auth::Who,
) -> Result<Sse<impl Stream<Item = Result<axum::response::sse::Event, Infallible>>>, ApiError> {
    who.need(Scope::Events)?;
    let stream = BroadcastStream::new(web.events.subscribe()).filter_map(move |item| {
        let event = match item {
            Ok(event) if who.sees(&event.tenant) => axum::response::sse::Event::default()
                .json_data(event.as_ref())
                .ok()
                .map(Ok),
            Ok(_) => None,
            // A listener that does not read loses events, and is told so: it must list the payments anew.
            Err(BroadcastStreamRecvError::Lagged(lost)) => {
                Some(Ok(axum::response::sse::Event::default()
                    .event("lost")
                    .data(lost.to_string())))
            }
        };
        std::future::ready(event)
    });
    let stream = stream.take_until(web.closing.cancelled_owned());
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}
