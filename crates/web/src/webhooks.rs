//! `/v1/webhooks`: what merchants' programs were told, and were not.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use futures_util::future::BoxFuture;
use ivrpay_api as api;
use ivrpay_journal::{Event, EventFilter, EventStanding};
use ivrpay_payment::{EventId, PaymentId, TenantId};
use serde::Deserialize;

use crate::Web;
use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::payments::{cut, id, limit, own_tenant, rfc3339};

/// Sends a merchant's program an event that is about nothing; `None` where he has no program.
pub type TestsWebhook = std::sync::Arc<
    dyn Fn(TenantId) -> Option<BoxFuture<'static, api::TestedWebhook>> + Send + Sync,
>;

const NO_EVENT: &str = "there is no such event";

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    state: Option<String>,
    payment_id: Option<String>,
    tenant: Option<String>,
    after: Option<String>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Events about payments, the newest first; those that were given up are the dead letters.
#[utoipa::path(get, path = "/v1/webhooks/events", params(ListQuery), responses((status = 200, body = api::WebhookEvents)))]
pub(crate) async fn list(
    State(web): State<Web>,
    who: Who,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<api::WebhookEvents>, ApiError> {
    who.need(Scope::Payments)?;
    let Query(query) = query.map_err(|rejection| {
        ApiError::parameters(
            &rejection,
            "state (open, delivered or given-up), payment_id, after (the next of the page before), limit (1 to 200), and tenant for an admin",
        )
    })?;
    let limit = limit(query.limit)?;
    let standing = query.state.map(|state| {
        EventStanding::from_name(&state)
            .ok_or_else(|| ApiError::invalid("state: open, delivered or given-up"))
    });
    let filter = EventFilter {
        tenant: own_tenant(&who, query.tenant)?,
        payment: query
            .payment_id
            .map(|p| id("payment_id", p.parse::<PaymentId>()))
            .transpose()?,
        standing: standing.transpose()?,
        after: query
            .after
            .map(|a| id("after", a.parse::<EventId>()))
            .transpose()?,
        // One more than is shown says whether there is another page.
        limit: Some(limit + 1),
    };
    let mut events = web.journal.events(&filter).await?;
    let more = cut(&mut events, limit);
    Ok(Json(api::WebhookEvents {
        next: events.last().filter(|_| more).map(|event| event.id),
        events: events.into_iter().map(view).collect(),
    }))
}

/// One event.
#[utoipa::path(get, path = "/v1/webhooks/events/{id}", params(("id" = String, Path, format = "uuid")), responses((status = 200, body = api::WebhookEvent)))]
pub(crate) async fn show(
    State(web): State<Web>,
    who: Who,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<api::WebhookEvent>, ApiError> {
    who.need(Scope::Payments)?;
    Ok(Json(view(seen(&web, &who, path).await?)))
}

/// Sends it once more, under the same id, for another 72 hours.
#[utoipa::path(post, path = "/v1/webhooks/events/{id}/resend", params(("id" = String, Path, format = "uuid")), responses((status = 200, body = api::WebhookEvent)))]
pub(crate) async fn resend(
    State(web): State<Web>,
    who: Who,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<api::WebhookEvent>, ApiError> {
    who.need(Scope::Payments)?;
    let event = seen(&web, &who, path).await?;
    let resent = web.journal.resend_event(event.id).await?;
    let resent = resent.ok_or_else(|| ApiError::not_found(NO_EVENT))?;
    Ok(Json(view(resent)))
}

/// Sends an event of type `webhook.test` now, once.
#[utoipa::path(post, path = "/v1/webhooks/test", request_body = api::TestWebhook, responses((status = 200, body = api::TestedWebhook)))]
pub(crate) async fn test(
    State(web): State<Web>,
    who: Who,
    body: Result<Json<api::TestWebhook>, JsonRejection>,
) -> Result<Json<api::TestedWebhook>, ApiError> {
    who.need(Scope::Payments)?;
    let Json(body) = body?;
    let tenant = own_tenant(&who, body.tenant)?
        .ok_or_else(|| ApiError::invalid("tenant: whose program is to be tested"))?;
    let sent = (web.tests_webhook)(tenant).ok_or_else(|| {
        ApiError::not_found("this merchant has no program that is told: set [tenants.webhook]")
    })?;
    Ok(Json(sent.await))
}

/// The event, where this key may see it.
async fn seen(
    web: &Web,
    who: &Who,
    path: Result<Path<String>, PathRejection>,
) -> Result<Event, ApiError> {
    let Path(path) = path.map_err(|_| ApiError::not_found(NO_EVENT))?;
    let event = path.parse().map_err(|_| ApiError::not_found(NO_EVENT))?;
    let event = web.journal.event(event).await?;
    let event = event.filter(|event| who.sees(event.tenant.as_str()));
    event.ok_or_else(|| ApiError::not_found(NO_EVENT))
}

fn view(event: Event) -> api::WebhookEvent {
    let standing = event.standing();
    api::WebhookEvent {
        id: event.id,
        tenant: event.tenant.to_string(),
        payment_id: event.payment,
        sequence: event.sequence,
        state: standing.name().to_owned(),
        created_at: rfc3339(event.created_ms),
        attempts: event.attempts,
        tried_at: event.tried_ms.map(rfc3339),
        error: event.error,
        next_at: (standing == EventStanding::Open).then(|| rfc3339(event.due_ms)),
        delivered_at: event.delivered_ms.map(rfc3339),
        r#type: event.kind,
        data: event.data,
    }
}
