//! `/v1/orders`: orders that are paid in parts.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use ivrpay_api as api;
use ivrpay_journal::{Filter, Part, PartError, PartKind, Payment};
use ivrpay_payment::{Currency, OrderId, State as PaymentState, TenantId};
use serde::Deserialize;

use crate::Web;
use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::payments::{self, rfc3339};
use crate::tasks::by;

/// Most payments of an order that are looked at: parts, and what was tried before.
const PAYMENTS_MAX: u32 = 200;

/// Several cards pay one order, a part each.
#[utoipa::path(post, path = "/v1/orders/split", request_body = api::SplitOrder, responses((status = 201, body = api::Order)))]
pub(crate) async fn split(
    State(web): State<Web>,
    who: Who,
    body: Result<Json<api::SplitOrder>, JsonRejection>,
) -> Result<(StatusCode, Json<api::Order>), ApiError> {
    who.need(Scope::Captures)?;
    let Json(body) = body?;
    let (tenant, order) = payments::order(&who, body.tenant, body.order_id)?;
    let currency = currency(&web, &tenant, body.currency.as_deref())?;
    let amounts = body
        .amounts
        .into_iter()
        .map(|minor| payments::money("amounts", minor, currency))
        .collect::<Result<Vec<_>, _>>()?;
    let by = by(&who, body.by)?;
    let parts = web.journal.split(&tenant, &order, &amounts, &by).await;
    parts.map_err(refused)?;
    Ok((StatusCode::CREATED, view(&web, tenant, order).await?))
}

/// An order is paid once more.
#[utoipa::path(post, path = "/v1/orders/additional", request_body = api::AddToOrder, responses((status = 201, body = api::OrderPart)))]
pub(crate) async fn add(
    State(web): State<Web>,
    who: Who,
    body: Result<Json<api::AddToOrder>, JsonRejection>,
) -> Result<(StatusCode, Json<api::OrderPart>), ApiError> {
    who.need(Scope::Captures)?;
    let Json(body) = body?;
    let (tenant, order) = payments::order(&who, body.tenant, body.order_id)?;
    let currency = currency(&web, &tenant, body.currency.as_deref())?;
    let amount = payments::money("amount", body.amount, currency)?;
    let by = by(&who, body.by)?;
    let added = web
        .journal
        .add_part(&tenant, &order, amount, &body.reason, &by);
    let added = added.await.map_err(refused)?;
    Ok((StatusCode::CREATED, Json(part(added, None))))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    order_id: String,
    tenant: Option<String>,
}

/// An order, and what is paid of it.
#[utoipa::path(get, path = "/v1/orders", params(Asked), responses((status = 200, body = api::Order)))]
pub(crate) async fn show(
    State(web): State<Web>,
    who: Who,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<api::Order>, ApiError> {
    who.need(Scope::PaymentsRead)?;
    let Query(asked) = query.map_err(|rejection| {
        ApiError::parameters(&rejection, "order_id, and tenant for an admin")
    })?;
    let (tenant, order) = payments::order(&who, asked.tenant, asked.order_id)?;
    view(&web, tenant, order).await
}

fn currency(web: &Web, tenant: &TenantId, said: Option<&str>) -> Result<Currency, ApiError> {
    if let Some(said) = said {
        return payments::currency(said);
    }
    let known = web.tenants.iter().find(|known| known.id == *tenant);
    known
        .map(|known| known.currency)
        .ok_or_else(|| ApiError::invalid("tenant: no such merchant is configured"))
}

fn refused(error: PartError) -> ApiError {
    match error {
        PartError::OrderTaken { payment_id, .. } => {
            ApiError::order_taken(error.to_string(), payment_id)
        }
        PartError::Declared | PartError::NotPaid => ApiError::not_possible(error.to_string()),
        PartError::Journal(error) => error.into(),
        error => ApiError::invalid(error.to_string()),
    }
}

/// What of a payment the merchant has, or has reserved.
fn paid(payment: &Payment) -> u64 {
    if payment.state != PaymentState::Approved || !payment.transaction.moves_money() {
        return 0;
    }
    let taken = payment.captured_minor.filter(|taken| *taken > 0);
    taken
        .or(payment.reserved_minor)
        .unwrap_or(payment.amount.minor())
        .saturating_sub(payment.refunded_minor)
}

async fn view(web: &Web, tenant: TenantId, order: OrderId) -> Result<Json<api::Order>, ApiError> {
    let parts = web.journal.parts(&tenant, &order).await?;
    let filter = Filter {
        tenant: Some(tenant.clone()),
        order: Some(order.clone()),
        limit: Some(PAYMENTS_MAX),
        ..Filter::default()
    };
    let payments = web.journal.payments(&filter).await?;
    // Of many that were tried the paid ones may be the oldest.
    let approved = Filter {
        state: Some(PaymentState::Approved),
        ..filter
    };
    let approved = web.journal.payments(&approved).await?;
    if parts.is_empty() && payments.is_empty() {
        return Err(ApiError::not_found(
            "no payment and no part of this order is known",
        ));
    }
    let split = parts.iter().filter(|part| part.kind == PartKind::Split);
    let total = split.map(|part| part.amount.minor()).reduce(|a, b| a + b);
    // The newest first: that which counts is one that is paid, or else the last one.
    let of = |number: u32| {
        let mut of = payments.iter().filter(|payment| payment.part == number);
        let first = of.clone().next();
        let paid = approved.iter().find(|payment| payment.part == number);
        of.find(|payment| payment.state.locks_order())
            .or(paid)
            .or(first)
    };
    Ok(Json(api::Order {
        total,
        paid: approved.iter().map(paid).sum(),
        currency: parts
            .first()
            .map(|part| part.amount)
            .or(payments.first().map(|payment| payment.amount))
            .map_or_else(String::new, |amount| amount.currency().code().to_owned()),
        // The whole order is a part that nobody declares.
        whole: of(0).filter(|_| total.is_none()).map(|payment| payment.id),
        parts: parts
            .into_iter()
            .map(|one| {
                let payment = of(one.part);
                part(one, payment)
            })
            .collect(),
        tenant: tenant.as_str().to_owned(),
        order_id: order.as_str().to_owned(),
    }))
}

fn part(part: Part, payment: Option<&Payment>) -> api::OrderPart {
    api::OrderPart {
        part: part.part,
        kind: part.kind.name().to_owned(),
        amount: part.amount.minor(),
        reason: part.reason,
        by: part.person.to_string(),
        declared_at: rfc3339(part.declared_ms),
        payment_id: payment.map(|payment| payment.id),
        state: payment.map(|payment| payment.state),
        paid: payment.map_or(0, paid),
    }
}
