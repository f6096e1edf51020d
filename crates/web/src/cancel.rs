//! `POST /v1/payments/{id}/cancel`: the capture of a live call is ended before anything is charged.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use ivrpay_api as api;
use ivrpay_payment::{CallId, State as PaymentState};

use crate::Web;
use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::payments::{own, payment_id};
use crate::tasks::by;

/// What became of the wish to end a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It is over, in this call, and nothing is charged for it.
    Ended(CallId),
    /// The acquirer is being asked: too late.
    ChargeSent,
    /// No call takes the payment, or its result is decided.
    NotInCall,
    /// The call did not answer in time, and goes on.
    NoAnswer,
}

pub(crate) async fn payment(
    State(web): State<Web>,
    who: Who,
    payment: Result<Path<String>, PathRejection>,
    body: Result<Json<api::CancelPayment>, JsonRejection>,
) -> Result<Json<api::Cancelled>, ApiError> {
    who.need(Scope::Payments)?;
    let id = payment_id(payment)?;
    let Json(body) = body?;
    let by = by(&who, body.by)?;
    own(&web, &who, id).await?;
    let state = match (web.cancel)(id, by).await {
        Cancelled::Ended(call_id) => {
            return Ok(Json(api::Cancelled {
                payment_id: id,
                call_id,
                result: "agent-cancelled".into(),
            }));
        }
        Cancelled::ChargeSent => PaymentState::InFlight,
        Cancelled::NoAnswer => {
            return Err(ApiError::unavailable(
                "the call is busy and goes on; try again",
            ));
        }
        Cancelled::NotInCall => own(&web, &who, id).await?.state,
    };
    Err(match state {
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
    })
}
