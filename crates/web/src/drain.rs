//! `/v1/drain`, on the Unix socket alone: no new call is taken, what runs goes on, then the service leaves.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use futures_util::future::BoxFuture;
use ivrpay_api as api;

use crate::Web;
use crate::error::ApiError;

/// Longest that calls may be let go on: longer than any call.
const LIMIT_MAX: Duration = Duration::from_secs(3_600);

/// Who brings the service to its end.
pub trait Drains: Send + Sync {
    /// Takes no new call from now on; another limit takes the place of the one before.
    fn begin(&self, limit: Option<Duration>);

    /// How far it is.
    fn now(&self) -> api::Drain;

    /// Waits for the end, and says how it was.
    fn end(&self) -> BoxFuture<'static, api::Drained>;
}

/// No new call is taken, and the service leaves.
#[utoipa::path(post, path = "/v1/drain", request_body = api::StartDrain, responses((status = 200, body = api::Drain)))]
pub(crate) async fn begin(
    State(web): State<Web>,
    body: Result<Json<api::StartDrain>, JsonRejection>,
) -> Result<Json<api::Drain>, ApiError> {
    let Json(body) = body?;
    let limit = body.limit_seconds.map(Duration::from_secs);
    if limit.is_some_and(|limit| limit > LIMIT_MAX) {
        return Err(ApiError::invalid(format!(
            "limit_seconds is at most {}",
            LIMIT_MAX.as_secs()
        )));
    }
    web.drains.begin(limit);
    Ok(Json(web.drains.now()))
}

/// How far that is.
#[utoipa::path(get, path = "/v1/drain", responses((status = 200, body = api::Drain)))]
pub(crate) async fn show(State(web): State<Web>) -> Json<api::Drain> {
    Json(web.drains.now())
}

/// Answered when the service leaves.
/// Answers when the service leaves.
#[utoipa::path(get, path = "/v1/drain/end", responses((status = 200, body = api::Drained)))]
pub(crate) async fn end(State(web): State<Web>) -> Json<api::Drained> {
    Json(web.drains.end().await)
}
