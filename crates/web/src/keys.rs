//! `/v1/keys`: keys of programs. Nobody makes one that may more than he does.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use ivrpay_api as api;
use ivrpay_journal::{HALF_DONE, NewKey, NotRotated, ProgramKey, RECOVERY};
use ivrpay_payment::{KeyId, TenantId};

use crate::Web;
use crate::approvals::has_limit;
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

const TOO_MANY: &str = "there are too many keys: revoke those that nobody uses";
/// By these names the journal knows other doors than a key.
const DOORS: [&str; 5] = ["admin", "session", "socket", RECOVERY, HALF_DONE];

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
    may_refund(&web, &who, &tenant, &scopes)?;
    let per_minute = per_minute(&web, &who, body.requests_per_minute)?;
    let key = secrets::key()?;
    let new = NewKey {
        tenant,
        name: name(body.name)?,
        prefix: secrets::prefix(&key),
        hash: secrets::hash(&key.0),
        scopes: scopes.iter().map(|scope| scope.name().to_owned()).collect(),
        per_minute,
        expires_ms: later(&web, body.expires_at.as_deref())?,
    };
    let made = web.journal.create_key(new, by.person.as_str()).await?;
    let made = made.ok_or_else(|| ApiError::not_possible(TOO_MANY))?;
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
    let scopes = old.scopes.iter();
    let scopes: Vec<_> = scopes.filter_map(|s| Scope::from_name(s)).collect();
    may_refund(&web, &who, &old.tenant, &scopes)?;
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
    let made = made.await?.map_err(|why| {
        ApiError::not_possible(match why {
            NotRotated::Gone => "the key is expired or revoked: make another one",
            NotRotated::TooMany => TOO_MANY,
        })
    })?;
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

/// A key's name as in `[[http.keys]]`. It stands where something was done, and must be nobody else's there.
fn name(name: String) -> Result<String, ApiError> {
    let name = text("name", name, 64)?;
    let is_word = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if !is_word || DOORS.iter().any(|door| door.eq_ignore_ascii_case(&name)) {
        return Err(ApiError::invalid(
            "name: 1 to 64 letters, digits, - _ . and not admin, session or socket",
        ));
    }
    Ok(name)
}

/// Whoever has a limit gets no key that has none.
fn may_refund(web: &Web, who: &Who, tenant: &TenantId, scopes: &[Scope]) -> Result<(), ApiError> {
    let refunds = scopes.iter().any(|scope| scope.includes(Scope::Refunds));
    match who.person() {
        Some(person) if refunds && has_limit(web, person.role, tenant) => Err(ApiError::forbidden(
            "scopes: a program's key has no limit, and your role has one; an admin without, or `ivrpay key` on the machine, makes it",
        )),
        _ => Ok(()),
    }
}

/// How often a key may ask. Nobody takes his own limit off by one.
fn per_minute(web: &Web, who: &Who, asked: Option<u32>) -> Result<Option<u32>, ApiError> {
    if asked.is_some_and(|n| n > PER_MINUTE_MAX) {
        return Err(ApiError::invalid(
            "requests_per_minute: 0 (as often as it likes) to 60000",
        ));
    }
    let default = web.access.options().requests_per_minute;
    let own = match who {
        Who::Admin(_) => 0,
        Who::Key(key) => key.requests_per_minute,
        Who::Person(_) => default,
    };
    // 0 is no limit.
    let is_more = |n: u32| own > 0 && (n == 0 || n > own);
    match asked {
        Some(n) if is_more(n) => Err(ApiError::forbidden(format!(
            "requests_per_minute: at most {own}, as you may ask yourself; more is made with `ivrpay key` on the machine"
        ))),
        None if is_more(default) => Ok(Some(own)),
        asked => Ok(asked),
    }
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
