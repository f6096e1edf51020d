//! Errors of the API, in one form.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ivrpay_api::{ErrorBody, ErrorCode, ErrorDetail};
use ivrpay_payment::{CallId, PaymentId, TaskId};

/// An error on its way to a client.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    detail: ErrorDetail,
}

impl ApiError {
    fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            status,
            detail: ErrorDetail {
                code,
                message: message.into(),
                payment_id: None,
                call_id: None,
                task_id: None,
            },
        }
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            ErrorCode::Unauthorized,
            "send the header `Authorization: Bearer KEY` with a key of [[http.keys]]",
        )
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, message)
    }

    /// A payment that stands in the way.
    fn about(payment: PaymentId, code: ErrorCode, message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::CONFLICT, code, message);
        error.detail.payment_id = Some(payment);
        error
    }

    pub(crate) fn order_taken(message: impl Into<String>, payment: PaymentId) -> Self {
        Self::about(payment, ErrorCode::OrderTaken, message)
    }

    pub(crate) fn not_waiting(message: impl Into<String>, payment: PaymentId) -> Self {
        Self::about(payment, ErrorCode::NotWaiting, message)
    }

    pub(crate) fn not_in_call(message: impl Into<String>, payment: PaymentId) -> Self {
        Self::about(payment, ErrorCode::NotInCall, message)
    }

    pub(crate) fn charge_sent(message: impl Into<String>, payment: PaymentId) -> Self {
        Self::about(payment, ErrorCode::ChargeSent, message)
    }

    pub(crate) fn not_possible(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, ErrorCode::NotPossible, message)
    }

    pub(crate) fn call_exists(call: CallId) -> Self {
        let mut error = Self::new(
            StatusCode::CONFLICT,
            ErrorCode::CallExists,
            "the customer is being called about this payment; it is in call_id",
        );
        error.detail.call_id = Some(call);
        error
    }

    pub(crate) fn too_many_calls(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::TooManyCalls,
            message,
        )
    }

    pub(crate) fn capacity_exceeded() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::CapacityExceeded,
            "no place is free for another call, by [limits] calls_max or the tenant's pool; nobody is called, and nothing was changed: try again when a call is over",
        )
    }

    pub(crate) fn task_exists(message: impl Into<String>, task: TaskId) -> Self {
        let mut error = Self::new(StatusCode::CONFLICT, ErrorCode::TaskExists, message);
        error.detail.task_id = Some(task);
        error
    }

    pub(crate) fn task_done() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            ErrorCode::TaskDone,
            "the task is done already; what its done_by and note say stands",
        )
    }

    pub(crate) fn too_early(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, ErrorCode::TooEarly, message)
    }

    pub(crate) fn task_taken(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, ErrorCode::TaskTaken, message)
    }

    pub(crate) fn idempotency_reused() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            ErrorCode::IdempotencyReused,
            "this Idempotency-Key was used with another body; use a new key for a new request",
        )
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Unavailable,
            message,
        )
    }
}

impl From<ivrpay_journal::Error> for ApiError {
    fn from(error: ivrpay_journal::Error) -> Self {
        Self::unavailable(format!("{error}; nothing was changed"))
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        // The text of a JSON error may quote what was sent: a field name at most, since serde names unknown fields.
        // A body that is no JSON at all is not quoted.
        match rejection {
            JsonRejection::JsonDataError(error) => Self::invalid(cut(&error.body_text())),
            JsonRejection::JsonSyntaxError(_) => Self::invalid("the body is not JSON"),
            JsonRejection::MissingJsonContentType(_) => {
                Self::invalid("send the header `Content-Type: application/json`")
                    .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            other => Self::invalid("the body could not be read").with_status(other.status()),
        }
    }
}

/// At most 200 characters, and no run of digits longer than eight: what was sent may have been a card number.
fn cut(text: &str) -> String {
    let mut run = 0;
    text.chars()
        .take(200)
        .map(|c| {
            run = if c.is_ascii_digit() { run + 1 } else { 0 };
            if run > 8 { '.' } else { c }
        })
        .collect()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorBody { error: self.detail })).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
