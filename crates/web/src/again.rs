//! `Idempotency-Key`: the same request again gets the same answer, and is done once.
//!
//! What is done for money is done once by its own means too (the journal knows payment, call and operation by the key): those hold for ever,
//! and where a service ended between the deed and its answer. Here is the answer itself, of every POST, for a day.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use ivrpay_journal::{ApiRequest, Begun, GivenAnswer, looks_like_card};
use ivrpay_payment::TenantId;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::auth::Who;
use crate::error::ApiError;
use crate::payments::idempotency_key;
use crate::{BODY_BYTES_MAX, Web, request};

/// On an answer that was given before, as Stripe has it.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Largest answer that is kept, bytes.
const ANSWER_MAX: usize = 256 * 1024;
/// What is not the same when it is done twice, and has no key of its own in the journal: paths end so.
const ONLY_ONCE: [&str; 2] = ["/v1/orders/additional", "/receipts"];
/// What answers with a secret, or is asked with one: neither is kept.
const SECRET: [&str; 3] = ["/v1/keys", "/v1/people", "/v1/session"];

pub(crate) async fn once(
    State(web): State<Web>,
    who: Who,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let key = match idempotency_key(request.headers()) {
        Ok(key) => key,
        Err(error) => return error.into_response(),
    };
    let (Some(key), Some(tenant)) = (key, who.tenant()) else {
        return next.run(request).await;
    };
    let path = request.uri().path().to_owned();
    if SECRET.iter().any(|secret| path.starts_with(secret)) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    // It is in memory already: `whole_body`.
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return ApiError::invalid("the body could not be read").into_response();
    };
    let value = serde_json::from_slice::<Value>(&body).ok();
    let is_card = std::str::from_utf8(&body).is_ok_and(looks_like_card);
    let asked = ApiRequest {
        key,
        hash: fingerprint(&who, &path, value.as_ref(), &body),
    };
    let request = Request::from_parts(parts, Body::from(body));
    // What would be done under a key may be asked before it is. And of what looks like a card not even a hash is written: the rest of a body
    // can be guessed.
    if value.is_some_and(|value| value["dry_run"] == true) || is_card {
        return next.run(request).await;
    }
    match web.journal.begin_request(tenant, &asked).await {
        Ok(Begun::New) => {}
        Ok(Begun::Lost) if !ONLY_ONCE.iter().any(|end| path.ends_with(end)) => {}
        Ok(Begun::Lost) => {
            let answer = ApiError::lost().into_response();
            return kept(&web, tenant, &asked, answer).await;
        }
        Ok(Begun::Answered(answer)) => return replayed(answer),
        Ok(Begun::InFlight) => return ApiError::in_flight().into_response(),
        Ok(Begun::Reused) => return ApiError::idempotency_reused().into_response(),
        Err(error) => return ApiError::from(error).into_response(),
    }
    let tenant = tenant.clone();
    // A client that goes away leaves nothing half done, and finds the answer when it asks again.
    let done = request::to_its_end(async move {
        let answer = Box::pin(next.run(request)).await;
        kept(&web, &tenant, &asked, answer).await
    });
    done.await
        .unwrap_or_else(|_| ApiError::internal().into_response())
}

/// What is asked and by whom, whatever spaces and order of fields it is written with: nobody gets another's answer, who may see less. A key that
/// was rotated and the one behind it are the same.
fn fingerprint(who: &Who, path: &str, value: Option<&Value>, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [who.door(), &who.person_or_key(), path] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    match value {
        // Its fields are in the order of their names.
        Some(value) => hash.update(value.to_string().as_bytes()),
        None => hash.update(body),
    }
    hash.finalize().into()
}

/// Whether something was done, or refused because of how things stand. A request that was wrong, or could not be taken, has begun nothing:
/// it may come again under its key.
fn is_decided(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::CONFLICT
}

async fn kept(web: &Web, tenant: &TenantId, asked: &ApiRequest, answer: Response) -> Response {
    let (parts, body) = answer.into_parts();
    let Ok(body) = to_bytes(body, ANSWER_MAX).await else {
        // None is so long.
        return ApiError::internal().into_response();
    };
    let text = std::str::from_utf8(&body).ok();
    let header = |name| {
        let value = parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.map(str::to_owned)
    };
    let given = text
        .filter(|_| is_decided(parts.status))
        .map(|text| GivenAnswer {
            status: parts.status.as_u16(),
            content_type: header(header::CONTENT_TYPE).unwrap_or_default(),
            location: header(header::LOCATION),
            body: text.to_owned(),
        });
    // Not to keep it takes nothing from what was done: the same again is then asked of what was done.
    web.journal
        .end_request(tenant, asked, given.as_ref())
        .await
        .ok();
    Response::from_parts(parts, Body::from(body))
}

fn replayed(answer: GivenAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, answer.body).into_response();
    let headers = response.headers_mut();
    let location = answer.location.map(|location| (header::LOCATION, location));
    let kind = [(header::CONTENT_TYPE, answer.content_type)];
    for (name, value) in kind.into_iter().chain(location) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::auth::{ApiKey, KeyHash};

    fn who(name: &str) -> Who {
        Who::Key(ApiKey {
            name: name.into(),
            tenant: TenantId::new("demo").unwrap(),
            hash: KeyHash::new([0; 32]),
            scopes: Vec::new(),
            requests_per_minute: 0,
        })
    }

    #[test]
    fn a_request_is_the_same_by_what_it_says() {
        let of = |path, body: &str| {
            let value = serde_json::from_str(body).ok();
            fingerprint(&who("shop"), path, value.as_ref(), body.as_bytes())
        };
        let one = of("/a", r#"{"amount": 1, "by": "x"}"#);
        assert_eq!(of("/a", r#"{ "by":"x","amount":1}"#), one);
        assert_ne!(of("/b", r#"{"amount": 1, "by": "x"}"#), one);
        assert_ne!(of("/a", r#"{"amount": 2, "by": "x"}"#), one);
        assert_ne!(of("/a", "{"), of("/a", "["));
        assert_ne!(fingerprint(&who("other"), "/a", None, b"{"), of("/a", "{"));
    }
}
