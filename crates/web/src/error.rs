//! Errors of the API, in one form.

use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ivrpay_api::{ErrorCode, Problem};
use ivrpay_payment::{CallId, PaymentId, TaskId};

use crate::{NotStarted, request};

/// The form of every error.
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
/// How much alike two names must be for one to be a slip of the other (0 to 1).
const ALIKE: f64 = 0.7;

/// An error on its way to a client.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: ErrorCode,
    detail: String,
    payment_id: Option<PaymentId>,
    call_id: Option<CallId>,
    task_id: Option<TaskId>,
    retry_after: Option<Duration>,
    /// Of `WWW-Authenticate`.
    scheme: &'static str,
}

impl ApiError {
    fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: message.into(),
            payment_id: None,
            call_id: None,
            task_id: None,
            retry_after: None,
            scheme: "Bearer",
        }
    }

    /// Its status and its sentence, for another form of errors: the payment that it is about, which has no field there, stands in it.
    pub(crate) fn told(self) -> (StatusCode, String) {
        const FIELD: &str = "in payment_id";
        let detail = match self.payment_id {
            Some(id) if self.detail.contains(FIELD) => self.detail.replace(FIELD, &id.to_string()),
            Some(id) => format!("{} (payment {id})", self.detail),
            None => self.detail,
        };
        (self.status, detail)
    }

    pub(crate) const fn code(&self) -> ErrorCode {
        self.code
    }

    /// Whether nobody is known who asks.
    pub(crate) fn is_about_who(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            ErrorCode::Unauthorized,
            "send the header `Authorization: Bearer KEY` with a key of [[http.keys]] or of `ivrpay key`, or a session's token",
        )
    }

    fn not_known(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    pub(crate) fn key_expired() -> Self {
        Self::not_known(ErrorCode::KeyExpired, "this key was good, and is no more")
    }

    pub(crate) fn session_ended() -> Self {
        Self::not_known(
            ErrorCode::SessionEnded,
            "the session has ended: by its time, without a request for too long, or by a change of the person",
        )
    }

    /// The same whatever is wrong, and whether there is such a person.
    pub(crate) fn sign_in_failed() -> Self {
        Self::not_known(
            ErrorCode::SignInFailed,
            "the name, the password or the code is wrong, or the code was used before",
        )
    }

    /// Of what an issuer says: it is not a person who guesses, and he is told what is wrong.
    pub(crate) fn sign_in_failed_since(why: &'static str) -> Self {
        Self::not_known(
            ErrorCode::SignInFailed,
            format!("what the issuer says is not taken: {why}"),
        )
    }

    pub(crate) fn code_required() -> Self {
        Self::not_known(
            ErrorCode::CodeRequired,
            "send the code of the second factor too",
        )
    }

    pub(crate) fn second_factor_missing(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            ErrorCode::SecondFactorMissing,
            message,
        )
    }

    pub(crate) fn locked(message: impl Into<String>, wait: Duration) -> Self {
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::Locked, message);
        error.retry_after = Some(wait);
        error
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ErrorCode::Internal,
            "the request could not be brought to its end; look at what it was about before it is sent again",
        )
    }

    /// Of an acquirer, whose messages have no bearer key.
    pub(crate) fn unproven() -> Self {
        let mut error = Self::new(
            StatusCode::UNAUTHORIZED,
            ErrorCode::Unauthorized,
            "the signature, or user and password, are missing or wrong",
        );
        error.scheme = "Basic realm=\"webhook\"";
        error
    }

    pub(crate) fn rate_limited(per_minute: u32, wait: Duration) -> Self {
        let mut error = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::RateLimited,
            format!("this key may ask {per_minute} times a minute ([http] requests_per_minute)"),
        );
        error.retry_after = Some(wait);
        error
    }

    pub(crate) fn in_flight() -> Self {
        let mut error = Self::new(
            StatusCode::CONFLICT,
            ErrorCode::InFlight,
            "a request with this Idempotency-Key came before and is not answered yet",
        );
        error.retry_after = Some(Duration::from_secs(1));
        error
    }

    /// What came before under the same key ended with the service, and nobody can say whether it was done.
    pub(crate) fn lost() -> Self {
        Self::not_possible(
            "a request with this Idempotency-Key was begun when the service ended, and may have been done or not: look first, then send what is missing with a new key",
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
        error.payment_id = Some(payment);
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
        error.call_id = Some(call);
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

    /// The call of the capture that is on.
    pub(crate) fn capture_running(payment: PaymentId, call: CallId) -> Self {
        let mut error = Self::about(
            payment,
            ErrorCode::CaptureRunning,
            "a call takes this payment now; it is in call_id",
        );
        error.call_id = Some(call);
        error
    }

    pub(crate) fn not_started(why: &NotStarted) -> Self {
        let status = match why.code {
            ErrorCode::CapacityExceeded | ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::CONFLICT,
        };
        Self::new(status, why.code, why.says.clone())
    }

    pub(crate) fn task_exists(message: impl Into<String>, task: TaskId) -> Self {
        let mut error = Self::new(StatusCode::CONFLICT, ErrorCode::TaskExists, message);
        error.task_id = Some(task);
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
            StatusCode::UNPROCESSABLE_ENTITY,
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
            JsonRejection::JsonDataError(error) => Self::invalid(said(&error.body_text())),
            JsonRejection::JsonSyntaxError(_) => Self::invalid("the body is not JSON"),
            JsonRejection::MissingJsonContentType(_) => {
                Self::invalid("send the header `Content-Type: application/json`")
                    .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            other => Self::invalid("the body could not be read").with_status(other.status()),
        }
    }
}

impl ApiError {
    /// Parameters that are not those of the path.
    pub(crate) fn parameters(rejection: &QueryRejection, known: &str) -> Self {
        let text = rejection.body_text();
        match unknown_name(&text) {
            Some(text) => Self::invalid(text),
            None => Self::invalid(format!("parameters are {known}")),
        }
    }
}

/// What serde says of a body, and where a name is unknown which one was meant.
fn said(text: &str) -> String {
    unknown_name(text).unwrap_or_else(|| cut(text))
}

/// "unknown field `amont`, expected one of `amount`, `order_id`", as serde writes it, with the nearest of them in front.
fn unknown_name(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    // Between two ticks each; what stands between them is ", " or " or ".
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    let shown = cut(unknown);
    let alike = known
        .iter()
        .map(|name| (strsim::jaro_winkler(unknown, name), name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    Some(match (alike, known.is_empty()) {
        (Some((_, name)), _) => format!(
            "{shown}: there is no such field; did you mean {name}? There are {}",
            known.join(", ")
        ),
        (None, false) => format!(
            "{shown}: there is no such field; there are {}",
            known.join(", ")
        ),
        (None, true) => format!("{shown}: there is no such field, and no other"),
    })
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
        let problem = Problem {
            kind: format!("/docs#{}", self.code.name()),
            title: self.code.title().to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code,
            hint: self.code.hint().to_owned(),
            request_id: request::id(),
            payment_id: self.payment_id,
            call_id: self.call_id,
            task_id: self.task_id,
        };
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        response.extensions_mut().insert(self.code);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, PROBLEM);
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static(self.scheme);
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, whole_seconds(wait).into());
        }
        response
    }
}

/// Rounded up: who waits so long has waited long enough.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_millis()
        .div_ceil(1_000)
        .try_into()
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_with_what_was_meant() {
        let serde = |unknown: &str| {
            format!(
                "Failed to deserialize the JSON body into the target type: {unknown}: unknown field `{unknown}`, expected one of `amount`, `order_id` or `language` at line 1 column 9"
            )
        };
        for (name, says) in [
            (
                "amont",
                "amont: there is no such field; did you mean amount? There are amount, order_id, language",
            ),
            (
                "orderId",
                "orderId: there is no such field; did you mean order_id? There are amount, order_id, language",
            ),
            (
                "xyz",
                "xyz: there is no such field; there are amount, order_id, language",
            ),
            (
                "4111111111111111",
                "41111111........: there is no such field; there are amount, order_id, language",
            ),
        ] {
            assert_eq!(said(&serde(name)), says);
        }
        assert_eq!(
            said("invalid type: string, expected u64"),
            "invalid type: string, expected u64"
        );
        assert_eq!(
            said("unknown field `a`, there are no fields"),
            "a: there is no such field, and no other"
        );
    }

    #[test]
    fn every_code_is_written_as_it_is_named() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).ok(), Some(code.name().into()));
        }
    }
}
