//! `/v1/keys`: keys of programs. Nobody makes one that may more than he does.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use ivrpay_api as api;
use ivrpay_journal::{NewKey, ProgramKey};
use ivrpay_payment::KeyId;

use crate::Web;
use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::payments::{own_tenant, rfc3339, time};
use crate::people::{ListQuery, text};
use crate::secrets;
use crate::tasks::by;

/// How long an old key is good beside the new one.
const OVERLAP_HOURS: u32 = 24;
/// At most.
const OVERLAP_MAX: u32 = 720;
/// As in the configuration.
const PER_MINUTE_MAX: u32 = 60_000;
const NO_KEY: &str = "there is no such key; those of [[http.keys]] are in the configuration alone";

type Id = Result<Path<String>, PathRejection>;

/// Makes a key. It is shown once.
#[utoipa::path(post, path = "/v1/keys", request_body = api::CreateKey, responses((status = 201, body = api::MadeKey)))]
pub(crate) async fn create(
    State(web): State<Web>,
    who: Who,
    body: Result<Json<api::CreateKey>, JsonRejection>,
) -> Result<Response, ApiError> {
    who.need(Scope::Keys)?;
    let Json(body) = body?;
    let by = by(&who, body.by)?;
    let tenant = own_tenant(&who, body.tenant)?
        .ok_or_else(|| ApiError::invalid("tenant: a key belongs to one"))?;
    if !web.tenants.iter().any(|t| t.id == tenant) {
        return Err(ApiError::invalid(
            "tenant: the configuration has no tenant of this name",
        ));
    }
    let mut scopes = Vec::new();
    for name in &body.scopes {
        let scope = Scope::from_name(name).ok_or_else(|| {
            let known: Vec<_> = Scope::ALL.iter().map(|scope| scope.name()).collect();
            ApiError::invalid(format!("scopes: there are {}", known.join(", ")))
        })?;
        if !who.may(scope) {
            return Err(ApiError::forbidden(
                "scopes: nobody makes a key that may more than he does",
            ));
        }
        scopes.push(scope);
    }
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(ApiError::invalid("scopes: a key that may nothing is none"));
    }
    if body.requests_per_minute.is_some_and(|n| n > PER_MINUTE_MAX) {
        return Err(ApiError::invalid(
            "requests_per_minute: 0 (as often as it likes) to 60000",
        ));
    }
    let key = secrets::key()?;
    let new = NewKey {
        tenant,
        name: text("name", body.name, 64)?,
        prefix: secrets::prefix(&key),
        hash: secrets::hash(&key.0),
        scopes: scopes.iter().map(|scope| scope.name().to_owned()).collect(),
        per_minute: body.requests_per_minute,
        expires_ms: later(&web, body.expires_at.as_deref())?,
    };
    let made = web.journal.create_key(new, by.person.as_str()).await?;
    let made = made.ok_or_else(|| {
        ApiError::not_possible("there are too many keys: revoke those that nobody uses")
    })?;
    Ok(shown(&web, key, made))
}

/// Makes a key behind another, which is good for a while yet.
#[utoipa::path(post, path = "/v1/keys/{id}/rotate", params(("id" = String, Path, format = "uuid")), request_body = api::RotateKey, responses((status = 201, body = api::MadeKey)))]
pub(crate) async fn rotate(
    State(web): State<Web>,
    who: Who,
    path: Id,
    body: Result<Json<api::RotateKey>, JsonRejection>,
) -> Result<Response, ApiError> {
    who.need(Scope::Keys)?;
    let Json(body) = body?;
    let by = by(&who, body.by)?;
    let old = held(&web, &who, path).await?;
    let hours = body.overlap_hours.unwrap_or(OVERLAP_HOURS);
    if hours > OVERLAP_MAX {
        return Err(ApiError::invalid("overlap_hours: 0 to 720"));
    }
    let key = secrets::key()?;
    let new = NewKey {
        tenant: old.tenant,
        name: old.name,
        prefix: secrets::prefix(&key),
        hash: secrets::hash(&key.0),
        scopes: old.scopes,
        per_minute: old.per_minute,
        expires_ms: later(&web, body.expires_at.as_deref())?,
    };
    let overlap_ms = i64::from(hours) * 3_600_000;
    let made = web
        .journal
        .rotate_key(old.id, new, overlap_ms, by.person.as_str());
    let made = made
        .await?
        .ok_or_else(|| ApiError::not_possible("the key is expired or revoked: make another one"))?;
    Ok(shown(&web, key, made))
}

/// Takes a key away, at once here and within 5 seconds at other services on the same journal.
#[utoipa::path(post, path = "/v1/keys/{id}/revoke", params(("id" = String, Path, format = "uuid")), request_body = api::WhoAsks, responses((status = 200, body = api::Key)))]
pub(crate) async fn revoke(
    State(web): State<Web>,
    who: Who,
    path: Id,
    body: Result<Json<api::WhoAsks>, JsonRejection>,
) -> Result<Json<api::Key>, ApiError> {
    who.need(Scope::Keys)?;
    let Json(body) = body?;
    by(&who, body.by)?;
    let key = seen(&web, &who, path).await?;
    let revoked = web.journal.revoke_key(key.id).await?;
    web.access.forget_keys();
    let revoked = revoked.ok_or_else(|| ApiError::not_found(NO_KEY))?;
    Ok(Json(view(&web, revoked)))
}

/// Keys of the journal; of each what it begins with, and when it was last used.
#[utoipa::path(get, path = "/v1/keys", params(ListQuery), responses((status = 200, body = api::Keys)))]
pub(crate) async fn list(
    State(web): State<Web>,
    who: Who,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<api::Keys>, ApiError> {
    who.need(Scope::Keys)?;
    let Query(query) = query.map_err(|r| ApiError::parameters(&r, "tenant, for an admin"))?;
    let tenant = own_tenant(&who, query.tenant)?;
    let keys = web.journal.keys(tenant.as_ref()).await?;
    Ok(Json(api::Keys {
        keys: keys.into_iter().map(|key| view(&web, key)).collect(),
    }))
}

/// One key.
#[utoipa::path(get, path = "/v1/keys/{id}", params(("id" = String, Path, format = "uuid")), responses((status = 200, body = api::Key)))]
pub(crate) async fn show(
    State(web): State<Web>,
    who: Who,
    path: Id,
) -> Result<Json<api::Key>, ApiError> {
    who.need(Scope::Keys)?;
    let key = seen(&web, &who, path).await?;
    Ok(Json(view(&web, key)))
}

fn later(web: &Web, at: Option<&str>) -> Result<Option<i64>, ApiError> {
    let at_ms = at.map(|at| time("expires_at", at)).transpose()?;
    if at_ms.is_some_and(|at_ms| at_ms <= web.now_ms()) {
        return Err(ApiError::invalid("expires_at: later than now"));
    }
    Ok(at_ms)
}

async fn seen(web: &Web, who: &Who, path: Id) -> Result<ProgramKey, ApiError> {
    let Path(text) = path.map_err(|_| ApiError::invalid("the key's id is no text"))?;
    let id: KeyId = text
        .parse()
        .map_err(|e| ApiError::invalid(format!("{e}")))?;
    let found = web.journal.key(id).await?;
    found
        .filter(|key| who.sees(key.tenant.as_str()))
        .ok_or_else(|| ApiError::not_found(NO_KEY))
}

/// The same of one that he might have made.
async fn held(web: &Web, who: &Who, path: Id) -> Result<ProgramKey, ApiError> {
    let key = seen(web, who, path).await?;
    let mut scopes = key.scopes.iter().filter_map(|name| Scope::from_name(name));
    if !scopes.all(|scope| who.may(scope)) {
        return Err(ApiError::forbidden("this key may more than you do"));
    }
    Ok(key)
}

fn shown(web: &Web, key: api::Secret, made: ProgramKey) -> Response {
    web.access.forget_keys();
    let location = format!("/v1/keys/{}", made.id);
    let of = view(web, made);
    (
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(api::MadeKey { key, of }),
    )
        .into_response()
}

fn view(web: &Web, key: ProgramKey) -> api::Key {
    let state = if key.revoked_ms.is_some() {
        "revoked"
    } else if key.expires_ms.is_some_and(|at| at <= web.now_ms()) {
        "expired"
    } else {
        "good"
    };
    api::Key {
        id: key.id,
        tenant: key.tenant.into(),
        name: key.name,
        prefix: key.prefix,
        scopes: key.scopes,
        state: state.to_owned(),
        requests_per_minute: key.per_minute,
        created_at: rfc3339(key.created_ms),
        created_by: key.created_by,
        expires_at: key.expires_ms.map(rfc3339),
        used_at: key.used_ms.map(rfc3339),
        revoked_at: key.revoked_ms.map(rfc3339),
    }
}
