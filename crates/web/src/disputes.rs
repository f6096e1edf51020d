//! `POST /v1/payments/{id}/dispute` and `…/dispute/end`: what is disputed is given back by no other way meanwhile.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use ivrpay_api as api;
use ivrpay_journal::DisputeError;

use crate::Web;
use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::payments::{NO_PAYMENT, own, payment_id, view};
use crate::tasks::by;

/// Keeps that a payment is disputed: refund, void and change are refused until that is over.
#[utoipa::path(
    post, path = "/v1/payments/{id}/dispute", params(("id" = String, Path, format = "uuid")), request_body = api::DisputePayment,
    responses((status = 200, body = api::Payment))
)]
pub(crate) async fn begin(
    State(web): State<Web>,
    who: Who,
    payment: Result<Path<String>, PathRejection>,
    body: Result<Json<api::DisputePayment>, JsonRejection>,
) -> Result<Json<api::Payment>, ApiError> {
    who.need(Scope::Disputes)?;
    let Json(body) = body?;
    let id = payment_id(payment)?;
    let by = by(&who, body.by)?;
    own(&web, &who, id).await?;
    let disputed = web.journal.dispute(id, &body.reason, &by).await;
    Ok(Json(view(&disputed.map_err(|e| refused(e, "reason"))?)))
}

/// The dispute is over; `outcome` says how.
#[utoipa::path(
    post, path = "/v1/payments/{id}/dispute/end", params(("id" = String, Path, format = "uuid")), request_body = api::EndDispute,
    responses((status = 200, body = api::Payment))
)]
pub(crate) async fn end(
    State(web): State<Web>,
    who: Who,
    payment: Result<Path<String>, PathRejection>,
    body: Result<Json<api::EndDispute>, JsonRejection>,
) -> Result<Json<api::Payment>, ApiError> {
    who.need(Scope::Disputes)?;
    let Json(body) = body?;
    let id = payment_id(payment)?;
    let by = by(&who, body.by)?;
    own(&web, &who, id).await?;
    let ended = web.journal.end_dispute(id, &body.outcome, &by).await;
    Ok(Json(view(&ended.map_err(|e| refused(e, "outcome"))?)))
}

fn refused(error: DisputeError, field: &str) -> ApiError {
    match error {
        DisputeError::NotFound => ApiError::not_found(NO_PAYMENT),
        DisputeError::Journal(error) => error.into(),
        DisputeError::Text => ApiError::invalid(format!("{field}: {error}")),
        other => ApiError::not_possible(other.to_string()),
    }
}
