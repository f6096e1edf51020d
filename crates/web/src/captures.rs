//! What may be wanted of a live capture: by its call (`POST /v1/calls/{id}/ask|pause|resume|switch|complete|cancel`) or by its payment
//! (`POST /v1/payments/{id}/cancel`).

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use ivrpay_api as api;
use ivrpay_api::{CaptureField as Field, CaptureMode};
use ivrpay_journal::By;
use ivrpay_payment::{CallId, PaymentId, State as PaymentState};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::Web;
use crate::auth::{Scope, Who};
use crate::calls::call_id;
use crate::error::ApiError;
use crate::payments::{own, own_tenant, payment_id};
use crate::tasks::by;

/// What is wanted of the call that takes a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// The field is asked anew.
    Ask(Field),
    /// The capture ends, and nothing is charged.
    Cancel,
    /// The field is keyed now, of a capture that a program leads; once more, to be compared, where that is true.
    Capture(Field, bool),
    /// What was keyed is charged, of such a capture.
    Complete,
    /// Customer and operator talk; the capture stands still.
    Pause,
    /// It goes on where it stood.
    Resume,
    /// The operator waits apart, or stays.
    Switch(CaptureMode),
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wished {
    /// It is done, in this call.
    Done(CallId),
    /// The acquirer is being asked: too late.
    ChargeSent,
    /// No call takes the payment, or its result is decided.
    NotInCall,
    /// Not from where the call stands.
    NotNow,
    /// The whole card is being confirmed, or written down before it is sent.
    Completing,
    /// The call did not answer in time, and goes on.
    NoAnswer,
}

type Id = Result<Path<String>, PathRejection>;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CapturesQuery {
    /// Of this merchant alone.
    #[serde(default)]
    tenant: Option<String>,
    /// Those of the operator at this extension.
    #[serde(default)]
    operator_extension: Option<String>,
    /// That of this payment.
    #[serde(default)]
    #[param(value_type = Option<String>, format = "uuid")]
    payment_id: Option<PaymentId>,
}

/// Captures that are on now, oldest first: as of one who has heard all events of them. A call before its payment is known is none.
#[utoipa::path(get, path = "/v1/captures", params(CapturesQuery), responses((status = 200, body = api::Captures)))]
pub(crate) async fn list(
    State(web): State<Web>,
    who: Who,
    query: Result<Query<CapturesQuery>, QueryRejection>,
) -> Result<Json<api::Captures>, ApiError> {
    who.need(Scope::PaymentsRead)?;
    let Query(query) =
        query.map_err(|r| ApiError::parameters(&r, "tenant, operator_extension, payment_id"))?;
    let tenant = own_tenant(&who, query.tenant)?;
    let mut captures = (web.captures)();
    captures.retain(|capture| {
        tenant
            .as_ref()
            .is_none_or(|own| own.as_str() == capture.tenant)
            && query.payment_id.is_none_or(|id| id == capture.payment_id)
            && (query.operator_extension.is_none()
                || query.operator_extension == capture.operator_extension)
    });
    Ok(Json(api::Captures { captures }))
}

/// One of them, by its call.
#[utoipa::path(get, path = "/v1/captures/{id}", params(("id" = String, Path, format = "uuid", description = "The call's id")), responses((status = 200, body = api::Capture)))]
pub(crate) async fn show(
    State(web): State<Web>,
    who: Who,
    call: Id,
) -> Result<Json<api::Capture>, ApiError> {
    who.need(Scope::PaymentsRead)?;
    let id = call_id(call)?;
    let all = (web.captures)().into_iter();
    all.filter(|capture| who.sees(&capture.tenant))
        .find(|capture| capture.call_id == id)
        .map(Json)
        .ok_or_else(|| ApiError::not_found("no call of this id takes a payment now"))
}

/// Ends the capture of the call that takes the payment, before anything is charged.
#[utoipa::path(post, path = "/v1/payments/{id}/cancel", params(("id" = String, Path, format = "uuid")), request_body = api::CancelPayment, responses((status = 200, body = api::Cancelled)))]
pub(crate) async fn cancel_payment(
    State(web): State<Web>,
    who: Who,
    payment: Id,
    body: Result<Json<api::CancelPayment>, JsonRejection>,
) -> Result<Json<api::Cancelled>, ApiError> {
    who.need(Scope::Captures)?;
    let Json(body) = body?;
    let id = payment_id(payment)?;
    let by = by(&who, body.by)?;
    own(&web, &who, id).await?;
    match wish(&web, &who, id, Want::Cancel, by.clone()).await {
        Ok(call_id) => Ok(Json(cancelled(id, Some(call_id)))),
        // One that only waits is over with that.
        Err(refused) => {
            if web.journal.cancel(id, &by).await? {
                Ok(Json(cancelled(id, None)))
            } else {
                Err(refused)
            }
        }
    }
}

/// Ends the capture of the call, before anything is charged.
#[utoipa::path(post, path = "/v1/calls/{id}/cancel", params(("id" = String, Path, format = "uuid")), request_body = api::CancelPayment, responses((status = 200, body = api::Cancelled)))]
pub(crate) async fn cancel(
    State(web): State<Web>,
    who: Who,
    call: Id,
    body: Result<Json<api::CancelPayment>, JsonRejection>,
) -> Result<Json<api::Cancelled>, ApiError> {
    who.need(Scope::Captures)?;
    let Json(body) = body?;
    let payment = of_call(&web, &who, call).await?;
    let by = by(&who, body.by)?;
    let call_id = wish(&web, &who, payment, Want::Cancel, by).await?;
    Ok(Json(cancelled(payment, Some(call_id))))
}

/// Asks one field of the card anew: what was keyed of it, and of those behind it, is wiped. In a pause that goes on, too.
#[utoipa::path(post, path = "/v1/calls/{id}/ask", params(("id" = String, Path, format = "uuid")), request_body = api::AskField, responses((status = 200, body = api::CaptureDone)))]
pub(crate) async fn ask(
    State(web): State<Web>,
    who: Who,
    call: Id,
    body: Result<Json<api::AskField>, JsonRejection>,
) -> Result<Json<api::CaptureDone>, ApiError> {
    who.need(Scope::Captures)?;
    let Json(body) = body?;
    done(&web, &who, call, Want::Ask(body.field), body.by).await
}

/// Stops the capture, so that customer and operator talk; the customer's keys are nobody's then.
#[utoipa::path(post, path = "/v1/calls/{id}/pause", params(("id" = String, Path, format = "uuid")), request_body = api::CaptureWish, responses((status = 200, body = api::CaptureDone)))]
pub(crate) async fn pause(
    State(web): State<Web>,
    who: Who,
    call: Id,
    body: Result<Json<api::CaptureWish>, JsonRejection>,
) -> Result<Json<api::CaptureDone>, ApiError> {
    who.need(Scope::Captures)?;
    let Json(body) = body?;
    done(&web, &who, call, Want::Pause, body.by).await
}

/// Goes on after a pause, at the same field.
#[utoipa::path(post, path = "/v1/calls/{id}/resume", params(("id" = String, Path, format = "uuid")), request_body = api::CaptureWish, responses((status = 200, body = api::CaptureDone)))]
pub(crate) async fn resume(
    State(web): State<Web>,
    who: Who,
    call: Id,
    body: Result<Json<api::CaptureWish>, JsonRejection>,
) -> Result<Json<api::CaptureDone>, ApiError> {
    who.need(Scope::Captures)?;
    let Json(body) = body?;
    done(&web, &who, call, Want::Resume, body.by).await
}

/// Has the operator wait apart (`hold`) or stay beside the customer, from here on; the field that is keyed stands still meanwhile.
#[utoipa::path(post, path = "/v1/calls/{id}/switch", params(("id" = String, Path, format = "uuid")), request_body = api::SwitchCapture, responses((status = 200, body = api::CaptureDone)))]
pub(crate) async fn switch(
    State(web): State<Web>,
    who: Who,
    call: Id,
    body: Result<Json<api::SwitchCapture>, JsonRejection>,
) -> Result<Json<api::CaptureDone>, ApiError> {
    who.need(Scope::Captures)?;
    let Json(body) = body?;
    done(&web, &who, call, Want::Switch(body.mode), body.by).await
}

/// Charges what was keyed, in a capture that a program leads (mode `led`).
#[utoipa::path(post, path = "/v1/calls/{id}/complete", params(("id" = String, Path, format = "uuid")), request_body = api::CaptureWish, responses((status = 200, body = api::CaptureDone)))]
pub(crate) async fn complete(
    State(web): State<Web>,
    who: Who,
    call: Id,
    body: Result<Json<api::CaptureWish>, JsonRejection>,
) -> Result<Json<api::CaptureDone>, ApiError> {
    who.need(Scope::Captures)?;
    let Json(body) = body?;
    done(&web, &who, call, Want::Complete, body.by).await
}

fn cancelled(payment_id: PaymentId, call_id: Option<CallId>) -> api::Cancelled {
    api::Cancelled {
        payment_id,
        call_id,
        result: "agent-cancelled".into(),
    }
}

/// The payment that a call of this key's merchant takes now.
async fn of_call(web: &Web, who: &Who, call: Id) -> Result<PaymentId, ApiError> {
    let found = web.journal.payment_of_call(call_id(call)?).await?;
    found
        .filter(|payment| who.sees(payment.tenant.as_str()))
        .map(|payment| payment.id)
        .ok_or_else(|| {
            ApiError::not_found(
                "no call of this id takes a payment now; call_id of /v1/events has those that do",
            )
        })
}

/// Wishes it of the payment that the call takes.
async fn done(
    web: &Web,
    who: &Who,
    call: Id,
    want: Want,
    person: impl Into<Option<String>>,
) -> Result<Json<api::CaptureDone>, ApiError> {
    let payment_id = of_call(web, who, call).await?;
    let call_id = wish(web, who, payment_id, want, by(who, person)?).await?;
    Ok(Json(api::CaptureDone {
        payment_id,
        call_id,
    }))
}

/// Hands it to the call, and says in which it was done. The payment is one that this key sees.
async fn wish(web: &Web, who: &Who, id: PaymentId, want: Want, by: By) -> Result<CallId, ApiError> {
    let mut call = None;
    let state = match (web.wish)(id, want, by).await {
        Wished::Done(call) => return Ok(call),
        Wished::ChargeSent => PaymentState::InFlight,
        Wished::NoAnswer => {
            return Err(ApiError::unavailable(
                "the call is busy and goes on; try again",
            ));
        }
        Wished::NotNow => {
            return Err(ApiError::not_possible(match want {
                Want::Ask(field) => format!(
                    "{} has not been keyed yet in this call, or is no part of it; what is asked now comes in /v1/events",
                    field.name()
                ),
                Want::Pause => "the capture is paused already, or nobody could resume it: no operator is in the call".to_owned(),
                Want::Resume => "the capture is not paused".to_owned(),
                Want::Cancel => "the capture can't be ended now".to_owned(),
                Want::Capture(field, _) => format!("{} can't be keyed now", field.name()),
                Want::Complete => "nothing can be charged yet: it is no capture that a program leads (mode led), or a field is missing; /v1/events has those that were keyed".to_owned(),
                Want::Switch(_) => "the operator can't be moved now: he keys the card himself, is gone, or a program leads; or the card is being sent".to_owned(),
            }));
        }
        Wished::Completing => return Err(ApiError::not_possible(COMPLETING)),
        Wished::NotInCall => {
            let payment = own(web, who, id).await?;
            call = payment.call;
            payment.state
        }
    };
    Err(over(id, state, call.is_some()))
}

/// What is told where nothing but the customer, or the acquirer, decides any more.
pub(crate) const COMPLETING: &str = "the card is being confirmed by the customer, or on its way to the acquirer: it was completed already, and is charged once";

/// Why nothing can be done any more with a payment: what is said of one that is charged, or may be, is said nowhere else.
pub(crate) fn over(id: PaymentId, state: PaymentState, has_call: bool) -> ApiError {
    match state {
        PaymentState::InFlight => ApiError::charge_sent(
            "the charge has been sent to the acquirer and can't be called back; its answer decides, wait for it",
            id,
        ),
        PaymentState::Unknown => ApiError::charge_sent(
            "the charge has been sent and its outcome is not known; it may have been charged, do not charge again",
            id,
        ),
        PaymentState::Approved => ApiError::charge_sent(
            "the payment is approved: the card is charged, and there is nothing left to cancel",
            id,
        ),
        PaymentState::Waiting if has_call => ApiError::not_possible(
            "its call is led by another service, or is ending already: ask there; it may still be charged",
        ),
        PaymentState::Waiting => ApiError::not_in_call(
            "the payment waits and no call takes it now, or its call is ending already; nothing has been charged",
            id,
        ),
        state => ApiError::not_in_call(
            format!(
                "the payment is {}; there is nothing to cancel",
                state.name()
            ),
            id,
        ),
    }
}
