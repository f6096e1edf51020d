//! What every request has, whatever its path: an id, a word in the log, a body that comes in time.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use uuid::Uuid;

use crate::error::ApiError;
use crate::{BODY_BYTES_MAX, Web, access};

/// The header in and out.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken from a client.
const ID_MAX: usize = 64;
/// Longest that a body may take.
pub const BODY_MAX: Duration = Duration::from_secs(10);

tokio::task_local! {
    /// The request that this task works for.
    static ID: RequestId;
}

/// By what client, log and error name a request: letters, digits, `-`, `_` and `.`, and nothing that could be a card number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl RequestId {
    fn fresh() -> Self {
        Self(Uuid::now_v7().to_string().into())
    }
}

impl FromStr for RequestId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let is_id = (1..=ID_MAX).contains(&text.len()) && text.bytes().all(legal);
        // A UUID is one, whatever its digits.
        let is_card = Uuid::parse_str(text).is_err() && ivrpay_journal::looks_like_card(text);
        (is_id && !is_card).then(|| Self(text.into())).ok_or(())
    }
}

/// The id of the request that this task works for; empty outside of one.
pub(crate) fn id() -> String {
    ID.try_with(ToString::to_string).unwrap_or_default()
}

/// Who asked, for the log; an answer has it among its extensions.
#[derive(Debug, Clone)]
pub(crate) struct AskedBy(pub(crate) String);

/// A request that was answered.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Its id.
    pub id: RequestId,
    /// `GET`, `POST`; any other is `other`.
    pub method: &'static str,
    /// The path as the routes have it (`/v1/payments/{id}`); empty where there is none such. Never what was sent.
    pub path: String,
    /// Of the answer.
    pub status: u16,
    /// The name of the key; none where none was needed, or right.
    pub key: Option<String>,
    /// Until the answer's head was there.
    pub took: Duration,
}

/// Runs a request under its id, and tells of it.
pub(crate) async fn named(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let address = access::address(&request, web.access.options().behind_proxy);
    request.extensions_mut().insert(address);
    let given = request.headers().get(&REQUEST_ID);
    let given = given.and_then(|id| id.to_str().ok()?.parse().ok());
    let id = given.unwrap_or_else(RequestId::fresh);
    let method = match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        _ => "other",
    };
    let path = request.extensions().get::<MatchedPath>();
    let path = path.map_or_else(String::new, |path| path.as_str().to_owned());
    let mut response = ID.scope(id.clone(), next.run(request)).await;
    (web.answered)(&Answered {
        id: id.clone(),
        method,
        path,
        status: response.status().as_u16(),
        key: response
            .extensions()
            .get::<AskedBy>()
            .map(|by| by.0.clone()),
        took: began.elapsed(),
    });
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Runs something to its end, also where the client goes away, under the request's id.
pub(crate) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    match ID.try_with(Clone::clone) {
        Ok(id) => tokio::spawn(ID.scope(id, work)).await,
        Err(_) => tokio::spawn(work).await,
    }
}

/// Reads the body whole, in time and in UTF-8, before anything is done with it.
pub(crate) async fn whole_body(State(web): State<Web>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    if !is_utf8(&request) {
        return ApiError::invalid("the body is to be UTF-8: `Content-Type: application/json`")
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .into_response();
    }
    let (parts, body) = request.into_parts();
    let read = tokio::time::timeout(web.body_max, to_bytes(body, BODY_BYTES_MAX)).await;
    match read {
        // A list would be taken for the fields in their order, without their names.
        Ok(Ok(bytes)) if bytes.trim_ascii_start().starts_with(b"[") => {
            ApiError::invalid("the body is to be a JSON object, {\"…\": …}, not a list")
                .into_response()
        }
        Ok(Ok(bytes)) => {
            next.run(Request::from_parts(parts, Body::from(bytes)))
                .await
        }
        Ok(Err(_)) => ApiError::invalid(format!(
            "the body could not be read, or is longer than {BODY_BYTES_MAX} bytes"
        ))
        .with_status(StatusCode::PAYLOAD_TOO_LARGE)
        .into_response(),
        Err(_) => ApiError::invalid(format!(
            "the body did not come within {} ms",
            web.body_max.as_millis()
        ))
        .with_status(StatusCode::REQUEST_TIMEOUT)
        .into_response(),
    }
}

/// Whether the type of the body names no other character set.
fn is_utf8(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let Some(Ok(kind)) = kind.map(HeaderValue::to_str) else {
        return kind.is_none();
    };
    kind.split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .all(|(_, set)| {
            let set = set.trim().trim_matches('"');
            set.eq_ignore_ascii_case("utf-8") || set.eq_ignore_ascii_case("utf8")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_a_client_is_short_plain_and_no_card() {
        for good in [
            "a",
            "order-17.2_b",
            "01890000-0000-7000-8000-000000000001",
            &"x".repeat(64),
        ] {
            assert!(good.parse::<RequestId>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "a b",
            "é",
            "a\nb",
            "4111111111111111",
            "id-4111-1111-1111-1111",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<RequestId>().is_err(), "{bad}");
        }
    }
}
