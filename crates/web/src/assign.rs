//! `POST /v1/payments/{id}/operator`: another operator takes a waiting payment over.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use ivrpay_api as api;
use ivrpay_journal::{AssignError, Assignment, Which};
use ivrpay_payment::{OperatorId, State as PaymentState};

use crate::Web;
use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::payments::{self, NO_PAYMENT, id, number, own, payment_id, view};
use crate::tasks::by;

const NO_ORDER: &str = "no payment holds this order; announce one with POST /v1/payments";

/// Gives a waiting payment to another operator.
#[utoipa::path(post, path = "/v1/payments/{id}/operator", params(("id" = String, Path, format = "uuid")), request_body = api::AssignPayment, responses((status = 200, body = api::Payment)))]
pub(crate) async fn payment(
    State(web): State<Web>,
    who: Who,
    payment: Result<Path<String>, PathRejection>,
    body: Result<Json<api::AssignPayment>, JsonRejection>,
) -> Result<Json<api::Payment>, ApiError> {
    who.need(Scope::Captures)?;
    let payment = payment_id(payment)?;
    let Json(body) = body?;
    // It never changes its tenant.
    own(&web, &who, payment).await?;
    let to = assignment(body.operator, body.operator_extension)?;
    assign(&web, &who, &Which::Id(payment), to, body.by, NO_PAYMENT).await
}

/// The same, for the payment that holds an order.
#[utoipa::path(post, path = "/v1/payments/operator", request_body = api::AssignOrder, responses((status = 200, body = api::Payment)))]
pub(crate) async fn order(
    State(web): State<Web>,
    who: Who,
    body: Result<Json<api::AssignOrder>, JsonRejection>,
) -> Result<Json<api::Payment>, ApiError> {
    who.need(Scope::Captures)?;
    let Json(body) = body?;
    let (tenant, order) = payments::order(&who, body.tenant, body.order_id)?;
    let which = Which::Order {
        tenant,
        order,
        part: body.part,
    };
    let to = assignment(body.operator, body.operator_extension)?;
    assign(&web, &who, &which, to, body.by, NO_ORDER).await
}

fn assignment(operator: Option<String>, extension: Option<String>) -> Result<Assignment, ApiError> {
    Ok(Assignment {
        operator: operator
            .map(|o| id("operator", OperatorId::new(o)))
            .transpose()?,
        operator_extension: extension
            .map(|e| number("operator_extension", e))
            .transpose()?,
    })
}

async fn assign(
    web: &Web,
    who: &Who,
    which: &Which,
    to: Assignment,
    person: Option<String>,
    missing: &str,
) -> Result<Json<api::Payment>, ApiError> {
    let by = by(who, person)?;
    match web.journal.assign(which, to, &by).await {
        Ok(payment) => Ok(Json(view(&payment))),
        Err(AssignError::InCall { payment_id }) => Err(ApiError::not_waiting(
            "the payment is in a call; wait until the call is over, then try again",
            payment_id,
        )),
        Err(AssignError::NotWaiting { payment_id, state }) => Err(ApiError::not_waiting(
            format!("the payment is {}; {}", state.name(), instead(state)),
            payment_id,
        )),
        Err(AssignError::NotFound) => Err(ApiError::not_found(missing)),
        Err(AssignError::Journal(error)) => Err(error.into()),
        Err(error) => Err(ApiError::invalid(error.to_string())),
    }
}

/// What to do with a payment that does not wait any more.
const fn instead(state: PaymentState) -> &'static str {
    match state {
        PaymentState::InFlight | PaymentState::Unknown => {
            "it may have been charged: do not charge again before it is known"
        }
        PaymentState::Approved => "it is paid, there is nothing to take over",
        _ => "announce it anew with POST /v1/payments",
    }
}
