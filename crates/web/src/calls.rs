//! `/v1/calls`: customers who are called.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ivrpay_api as api;
use ivrpay_journal::{
    About, ApiRequest, CallError, CalledNow, CustomerCall, First, NewCustomerCall,
};
use ivrpay_payment::CallId;

use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::payments::{
    NO_PAYMENT, hash, id, idempotency_key, merchant, new_payment, not_created, number, rfc3339,
};
use crate::{NotCalled, Tenant, ToCall, Web};

/// Calls a customer about a payment.
#[utoipa::path(post, path = "/v1/calls", request_body = api::CallCustomer, responses((status = 201, body = api::CustomerCall)))]
pub(crate) async fn create(
    State(web): State<Web>,
    who: Who,
    headers: HeaderMap,
    body: Result<Json<api::CallCustomer>, JsonRejection>,
) -> Result<Response, ApiError> {
    who.need(Scope::Captures)?;
    let tenant = merchant(&web, &who, "customers are called with a tenant's key")?;
    let Json(body) = body?;
    let request = idempotency_key(&headers)?.map(|key| ApiRequest {
        key,
        hash: hash(&body),
    });
    let first = First::from_name(&body.first)
        .ok_or_else(|| ApiError::invalid("first: customer or operator"))?;
    let extension = body
        .operator_extension
        .clone()
        .map(|e| number("operator_extension", e))
        .transpose()?;
    if first == First::Operator && extension.is_none() {
        return Err(ApiError::invalid(
            "operator_extension: who is rung first, where first is operator",
        ));
    }
    let from = body.from.clone().map(|n| number("from", n)).transpose()?;
    let to = number("to", body.to.clone())?;
    let rings = match web.caller.ready(&tenant.id).await {
        Ok(rings) => rings,
        Err(why) => {
            // What the same request began before is told all the same.
            let before = match &request {
                Some(request) => web.journal.customer_call_before(&tenant.id, request).await,
                None => Ok(None),
            };
            return match (before.map_err(refused)?, why) {
                (Some(call), _) => Ok(Json(view(&call)).into_response()),
                (None, NotCalled::Away(why)) => Err(ApiError::unavailable(why)),
                (None, NotCalled::Full) => Err(ApiError::capacity_exceeded()),
            };
        }
    };
    let new = NewCustomerCall {
        tenant: tenant.id.clone(),
        about: about(&web, tenant, body).await?,
        number: to,
        first,
        request,
        at_once_max: tenant.customer_calls_max,
    };
    match web.journal.call_customer(new).await {
        Ok(CalledNow::New(call, payment)) => {
            let location = format!("/v1/calls/{}", call.id);
            let answer = view(&call);
            rings(ToCall {
                call,
                payment: *payment,
                from,
                operator_extension: extension,
            });
            let location = [(header::LOCATION, location)];
            Ok((StatusCode::CREATED, location, Json(answer)).into_response())
        }
        Ok(CalledNow::Before(call)) => Ok(Json(view(&call)).into_response()),
        Err(error) => Err(refused(error)),
    }
}

/// A payment by its id, or a new one; never a bit of both.
async fn about(web: &Web, tenant: &Tenant, body: api::CallCustomer) -> Result<About, ApiError> {
    match (body.payment_id, body.amount, body.order_id) {
        (Some(payment), None, None) => {
            let of_the_payment = [
                &body.currency,
                &body.language,
                &body.operator,
                &body.site,
                &body.payment_plan,
            ];
            if of_the_payment.iter().any(|field| field.is_some())
                || body.payment_plan_count.is_some()
            {
                return Err(ApiError::invalid(
                    "payment_id: currency, language, operator, site and plan are the payment's own; leave them out",
                ));
            }
            Ok(About::Payment(id("payment_id", payment.parse())?))
        }
        (None, Some(amount), Some(order_id)) => {
            let payment = api::CreatePayment {
                amount,
                currency: body.currency,
                order_id,
                part: 0,
                language: body.language,
                operator_extension: body.operator_extension,
                operator: body.operator,
                caller_number: Some(body.to),
                site: body.site,
                transaction_type: None,
                payment_token: None,
                brand: None,
                last4: None,
                connector: None,
                payment_plan: body.payment_plan,
                payment_plan_count: body.payment_plan_count,
                description: None,
                parameters: BTreeMap::new(),
                expires_at: None,
            };
            let payment = new_payment(web, tenant, payment, None).await?;
            Ok(About::New(Box::new(payment)))
        }
        _ => Err(ApiError::invalid(
            "payment_id: name a payment that waits, or amount and order_id of a new one",
        )),
    }
}

fn refused(error: CallError) -> ApiError {
    match error {
        CallError::IdempotencyReused => ApiError::idempotency_reused(),
        CallError::InCall { payment_id } => ApiError::not_waiting(
            "the payment is in a call; wait until the call is over, then try again",
            payment_id,
        ),
        CallError::Journal(error) => error.into(),
        CallError::NotFound => ApiError::not_found(NO_PAYMENT),
        CallError::NotWaiting { payment_id, state } => ApiError::not_waiting(
            format!("the payment is {}; nobody is called about it", state.name()),
            payment_id,
        ),
        CallError::OnAlready { call } => ApiError::call_exists(call),
        CallError::Payment(error) => not_created(error),
        CallError::TooMany { at_once_max: 0 } => ApiError::forbidden(
            "customers of this tenant are not called; [tenants.calls] at_once_max is 0",
        ),
        CallError::TooMany { at_once_max } => ApiError::too_many_calls(format!(
            "{at_once_max} customers are being called, which is the most at once; try again when one call is over, or raise [tenants.calls] at_once_max"
        )),
        error => ApiError::invalid(error.to_string()),
    }
}

/// A customer who is, or was, called.
#[utoipa::path(get, path = "/v1/calls/{id}", params(("id" = String, Path, format = "uuid")), responses((status = 200, body = api::CustomerCall)))]
pub(crate) async fn show(
    State(web): State<Web>,
    who: Who,
    call: Result<Path<String>, PathRejection>,
) -> Result<Json<api::CustomerCall>, ApiError> {
    who.need(Scope::PaymentsRead)?;
    let call = call_id(call)?;
    // Another tenant's call is not told from one that does not exist.
    web.journal
        .customer_call(call)
        .await?
        .filter(|call| who.sees(call.tenant.as_str()))
        .map(|call| Json(view(&call)))
        .ok_or_else(|| ApiError::not_found("there is no such call"))
}

/// The id of a path.
pub(crate) fn call_id(path: Result<Path<String>, PathRejection>) -> Result<CallId, ApiError> {
    let Path(text) = path.map_err(|_| ApiError::invalid("the call's id is no text"))?;
    text.parse().map_err(|e| ApiError::invalid(format!("{e}")))
}

fn view(call: &CustomerCall) -> api::CustomerCall {
    api::CustomerCall {
        id: call.id,
        tenant: call.tenant.to_string(),
        payment_id: call.payment,
        to: call.number.clone(),
        first: call.first.name().to_owned(),
        state: if call.ended_ms.is_some() {
            "over"
        } else {
            "on"
        }
        .to_owned(),
        result: call.result.clone(),
        created_at: rfc3339(call.created_ms),
        ended_at: call.ended_ms.map(rfc3339),
    }
}
