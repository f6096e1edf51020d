//! `GET /v1/payments/expiring`: what is reserved and not taken.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use ivrpay_api as api;
use serde::Deserialize;

use crate::Web;
use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::payments::{own_tenant, rfc3339, view};

const DAY_MS: i64 = 24 * 3_600_000;
const HOUR_MS: i64 = 3_600_000;
/// Furthest ahead that may be asked for: a year.
const HOURS_MAX: u32 = 366 * 24;
/// Three days.
const HOURS: u32 = 72;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpiringQuery {
    #[param(minimum = 1, maximum = 8784)]
    within_hours: Option<u32>,
    tenant: Option<String>,
}

/// When an amount lapses that was reserved then, milliseconds since 1970 (UTC).
#[must_use]
pub fn lapses_ms(since_ms: i64, days: u16) -> i64 {
    since_ms.saturating_add(i64::from(days).saturating_mul(DAY_MS))
}

/// What is reserved and not taken, and lapses within so many hours.
#[utoipa::path(get, path = "/v1/payments/expiring", params(ExpiringQuery), responses((status = 200, body = api::Expiring)))]
pub(crate) async fn list(
    State(web): State<Web>,
    who: Who,
    query: Result<Query<ExpiringQuery>, QueryRejection>,
) -> Result<Json<api::Expiring>, ApiError> {
    who.need(Scope::PaymentsRead)?;
    let Query(query) = query
        .map_err(|error| ApiError::parameters(&error, "within_hours, and tenant for an admin"))?;
    let hours = query.within_hours.unwrap_or(HOURS);
    if !(1..=HOURS_MAX).contains(&hours) {
        return Err(ApiError::invalid(format!("within_hours: 1 to {HOURS_MAX}")));
    }
    let tenant = own_tenant(&who, query.tenant)?;
    let until = web
        .now_ms()
        .saturating_add(i64::from(hours).saturating_mul(HOUR_MS));
    let reserved = web.journal.reserved(tenant.as_ref()).await?;
    let mut found: Vec<_> = reserved
        .iter()
        .map(|reserved| {
            let days = web.authorisation_days.get(&reserved.payment.connector);
            let lapses = days.map(|days| lapses_ms(reserved.since_ms, *days));
            (lapses, reserved)
        })
        .filter(|(lapses, _)| lapses.is_none_or(|lapses| lapses <= until))
        .collect();
    found.sort_by_key(|(lapses, reserved)| (lapses.is_none(), *lapses, reserved.since_ms));
    let payments = found
        .into_iter()
        .map(|(lapses, reserved)| api::ExpiringPayment {
            reserved_at: rfc3339(reserved.since_ms),
            lapses_at: lapses.map(rfc3339),
            payment: view(&reserved.payment),
        })
        .collect();
    Ok(Json(api::Expiring { payments }))
}
