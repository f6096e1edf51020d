//! Errors as Twilio's API has them: `{"code", "message", "more_info", "status"}`.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ivrpay_api::ErrorCode;
use serde_json::json;

use crate::NotStarted;
use crate::error::{ApiError, whole_seconds};
use crate::twilio::fields::CallbackRefused;

/// An error in Twilio's form.
#[derive(Debug)]
pub(crate) struct Fault {
    status: StatusCode,
    /// Of Twilio's own list.
    code: u32,
    message: String,
    retry_after: Option<Duration>,
}

impl Fault {
    /// "Invalid parameter".
    pub(super) const INVALID: u32 = 20_001;
    /// "Authenticate".
    const UNAUTHORIZED: u32 = 20_003;
    /// "Method not allowed".
    const METHOD: u32 = 20_004;
    /// "Permission denied".
    const FORBIDDEN: u32 = 20_005;
    /// "Not found".
    const NOT_FOUND: u32 = 20_404;
    /// "Conflict".
    const CONFLICT: u32 = 20_409;
    /// "Too many requests".
    const TOO_MANY: u32 = 20_429;
    /// "Internal server error".
    const INTERNAL: u32 = 20_500;
    /// "Service unavailable".
    pub(super) const UNAVAILABLE: u32 = 20_503;
    /// "Invalid call state".
    const CALL_STATE: u32 = 21_220;

    pub(super) fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Self::INVALID, message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            Self::UNAUTHORIZED,
            "Authenticate: the account's sid and token, or the sid and secret of one of its API keys, by [[twilio]]",
        )
    }

    /// Whether nobody is known who asks.
    pub(super) fn is_about_who(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    pub(super) fn too_many(per_minute: u32, wait: Duration) -> Self {
        let mut fault = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            Self::TOO_MANY,
            format!("this key may ask {per_minute} times a minute"),
        );
        fault.retry_after = Some(wait);
        fault
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            Self::NOT_FOUND,
            "there is no such path here; docs/twilio.md has those that there are",
        )
    }

    pub(super) fn no_such_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            Self::METHOD,
            "this path does not take that method; docs/twilio.md says what differs",
        )
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            Self::NOT_FOUND,
            format!("{what} was not found: it is not this account's, or not on any more"),
        )
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, Self::CONFLICT, message)
    }

    pub(super) fn reused() -> Self {
        Self::conflict("this IdempotencyKey was used for another request")
    }

    pub(super) fn call_state(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Self::CALL_STATE, message)
    }

    /// Of our own form.
    pub(super) fn of(error: ApiError) -> Self {
        if error.code() == ErrorCode::IdempotencyReused {
            return Self::reused();
        }
        let (status, message) = error.told();
        let code = match status {
            StatusCode::UNAUTHORIZED => Self::UNAUTHORIZED,
            StatusCode::FORBIDDEN => Self::FORBIDDEN,
            StatusCode::NOT_FOUND => Self::NOT_FOUND,
            StatusCode::CONFLICT => Self::CONFLICT,
            StatusCode::TOO_MANY_REQUESTS => Self::TOO_MANY,
            StatusCode::INTERNAL_SERVER_ERROR => Self::INTERNAL,
            StatusCode::SERVICE_UNAVAILABLE => Self::UNAVAILABLE,
            _ => Self::INVALID,
        };
        Self::new(status, code, message)
    }

    pub(super) fn not_started(why: &NotStarted) -> Self {
        match why.code {
            ErrorCode::NotFound => Self::not_found("the call"),
            ErrorCode::CapacityExceeded | ErrorCode::Unavailable => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Self::UNAVAILABLE,
                why.says.clone(),
            ),
            ErrorCode::NoTalk => Self::call_state(why.says.clone()),
            _ => Self::conflict(why.says.clone()),
        }
    }

    pub(super) fn callback(why: CallbackRefused) -> Self {
        Self::invalid(format!("StatusCallback: {}", why.0))
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = json!({
            "code": self.code,
            "message": self.message,
            "more_info": format!("https://www.twilio.com/docs/errors/{}", self.code),
            "status": self.status.as_u16(),
        });
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Basic realm=\"Twilio API\"");
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(wait) = self.retry_after {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, whole_seconds(wait).into());
        }
        response
    }
}
