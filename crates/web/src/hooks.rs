//! `POST /hooks/CONNECTOR`: what an acquirer sends of itself. No bearer key: the message proves itself, and the connector looks at that.
//! It is answered with 200 when the journal has it; with anything else the acquirer sends it again.

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use crate::Web;
use crate::error::ApiError;
use crate::routes::Routes;

/// Largest message that is read, bytes. One has a few thousand.
pub const HOOK_BYTES_MAX: usize = 64 * 1024;

/// What Adyen's documents ask for as the body of an answer; who looks at the status alone does not mind it.
const ACCEPTED: &str = "[accepted]";

/// A message as it came.
pub struct Posted {
    /// The header `Authorization`.
    pub authorization: Option<Vec<u8>>,
    /// The header `Stripe-Signature`.
    pub signature: Option<Vec<u8>>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookRefused {
    /// It can't be kept now: it has to come again.
    Later,
    /// It is none of the acquirer's form.
    Malformed,
    /// The connector takes none.
    NoHook,
    /// Nothing proves that it is the acquirer's.
    Unproven,
}

impl IntoResponse for HookRefused {
    fn into_response(self) -> Response {
        match self {
            Self::Later => ApiError::unavailable("not now: send it again").into_response(),
            Self::Malformed => {
                ApiError::invalid("this is no message as this acquirer's documents have it: is the webhook set to JSON?")
                    .into_response()
            }
            Self::NoHook => ApiError::not_found(
                "no such connector takes webhooks: it has none, or the secret is missing by which they are proven",
            )
            .into_response(),
            Self::Unproven => ApiError::unproven().into_response(),
        }
    }
}

pub(crate) fn routes() -> Routes {
    let to = post(take).layer(DefaultBodyLimit::max(HOOK_BYTES_MAX));
    Routes::default().add("post", "/hooks/{connector}", to)
}

/// What an acquirer sends of itself; it proves itself in its own way.
#[utoipa::path(post, path = "/hooks/{connector}", params(("connector" = String, Path)), request_body = String, responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn take(
    State(web): State<Web>,
    connector: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let Ok(Path(connector)) = connector else {
        return HookRefused::NoHook.into_response();
    };
    // Anybody may knock here: a body that does not come holds no place.
    let read = tokio::time::timeout(web.body_max, Bytes::from_request(request, &())).await;
    let Ok(body) = read else {
        let status = StatusCode::REQUEST_TIMEOUT;
        return ApiError::invalid("the body did not come")
            .with_status(status)
            .into_response();
    };
    let body = match body {
        Ok(body) => body.to_vec(),
        Err(rejection) => {
            return ApiError::invalid("the body could not be read, or is too long")
                .with_status(rejection.status())
                .into_response();
        }
    };
    let header = |name: &str| headers.get(name).map(|value| value.as_bytes().to_vec());
    let posted = Posted {
        authorization: header(header::AUTHORIZATION.as_str()),
        signature: header("stripe-signature"),
        body,
    };
    match web.acquirers.hook(connector, posted).await {
        Ok(()) => ACCEPTED.into_response(),
        Err(refused) => refused.into_response(),
    }
}
