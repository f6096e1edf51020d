//! Who did what: every request that changes something is kept before it is done, and what came of it behind. What can't be kept is not done.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use ivrpay_api as api;
use ivrpay_journal::{Deed, DeedFilter, Deeds, Done};
use ivrpay_payment::{OperatorId, PaymentId};
use serde::Deserialize;
use uuid::Uuid;

use crate::access::{Address, Security};
use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::payments::{cut, limit, own_tenant, rfc3339};
use crate::{BODY_BYTES_MAX, Web, request};

/// Longest text of what was done.
const WHAT_MAX: usize = 160;
/// Longest reason that is kept.
const REASON_MAX: usize = 500;
/// What stands there before it is done.
const BEGUN: &str = "begun";

/// What somebody wants to do.
fn deed(who: &Who, address: &Address, what: &str) -> Deed {
    Deed {
        address: Some(address.0.to_string()).filter(|address| !address.is_empty()),
        request: request::id(),
        result: BEGUN.to_owned(),
        tenant: who.tenant().cloned(),
        via: who.door().to_owned(),
        what: what.chars().take(WHAT_MAX).collect(),
        who: who.person_or_key(),
        by: None,
        reason: None,
    }
}

/// Around everything that a key, a person or the socket asks for.
pub(crate) async fn kept(
    State(web): State<Web>,
    who: Who,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let mut deed = asked(&who, &request);
    let (parts, body) = request.into_parts();
    // It is in memory already: `whole_body`.
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return ApiError::invalid("the body could not be read").into_response();
    };
    let said: Said = serde_json::from_slice(&body).unwrap_or_default();
    deed.reason = said
        .reason
        .map(|why| why.chars().take(REASON_MAX).collect());
    deed.by = said.by.map(Into::into);
    let request = Request::from_parts(parts, Body::from(body));
    // Whoever hangs up hides nothing, and leaves nothing half done.
    let done = request::to_its_end(async move {
        if let Err(error) = begun(&web, &deed).await {
            return error.into_response();
        }
        let answer = Box::pin(next.run(request)).await;
        ended(&web, deed, &answer).await;
        answer
    });
    done.await
        .unwrap_or_else(|_| ApiError::internal().into_response())
}

/// What a request asks for, as the routes have it: of what was sent only ids of ours stand in it, since a path may hold anything, a card
/// number too.
pub(crate) fn path(request: &Request) -> String {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("", MatchedPath::as_str);
    let mut sent = request.uri().path().split('/');
    let parts = route.split('/').map(|part| {
        let sent = sent.next().unwrap_or_default();
        let id = Uuid::try_parse(sent).ok().filter(|_| part.starts_with('{'));
        id.map_or_else(|| part.to_owned(), |id| id.hyphenated().to_string())
    });
    format!(
        "{} {}",
        request.method(),
        parts.collect::<Vec<_>>().join("/")
    )
}

/// What a request wants to have done.
pub(crate) fn asked(who: &Who, request: &Request) -> Deed {
    let address = request.extensions().get::<Address>().cloned();
    let address = address.unwrap_or_else(|| Address("".into()));
    deed(who, &address, &path(request))
}

/// With the payment that it is about, and what is wanted of that, where the path does not say so.
pub(crate) fn about(deed: &mut Deed, payment: PaymentId, wish: &str) {
    let what = format!("{} {payment} {wish}", deed.what);
    deed.what = what.trim_end().chars().take(WHAT_MAX).collect();
}

/// Keeps it before it is done.
pub(crate) async fn begun(web: &Web, deed: &Deed) -> Result<(), ApiError> {
    web.journal.note_deed(deed).await.map_err(|error| {
        web.access.tell(Security::NotKept);
        ApiError::from(error)
    })
}

/// And what came of it.
pub(crate) fn ended<'w>(
    web: &'w Web,
    mut deed: Deed,
    answer: &Response,
) -> impl Future<Output = ()> + use<'w> {
    // An answer's body may not be lent to another thread.
    deed.result = result(answer);
    async move {
        if web.journal.note_deed(&deed).await.is_err() {
            web.access.tell(Security::ResultNotKept);
        }
    }
}

/// What a body says of who wants it, and why.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    by: Option<OperatorId>,
    reason: Option<String>,
}

fn result(answer: &Response) -> String {
    let status = answer.status().as_u16();
    let made = answer.headers().get(header::LOCATION);
    match (
        answer.extensions().get::<api::ErrorCode>(),
        made.and_then(|made| made.to_str().ok()),
    ) {
        (Some(code), _) => format!("{status} {}", code.name()),
        (None, Some(made)) => format!("{status} {made}"),
        (None, None) => status.to_string(),
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Behind this entry, the oldest first: for whoever reads on for ever. 0 is the beginning.
    after: Option<i64>,
    /// Before this entry, the newest first.
    before: Option<i64>,
    /// Of this person or key alone.
    who: Option<String>,
    tenant: Option<String>,
    limit: Option<u32>,
}

/// Who did what.
#[utoipa::path(get, path = "/v1/audit", params(ListQuery), responses((status = 200, body = api::AuditLog)))]
pub(crate) async fn list(
    State(web): State<Web>,
    who: Who,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<api::AuditLog>, ApiError> {
    who.need(Scope::Audit)?;
    let Query(query) = query.map_err(|rejection| {
        ApiError::parameters(
            &rejection,
            "after or before (the next of the page before), who, limit (1 to 200), and tenant for an admin",
        )
    })?;
    if query.after.is_some() && query.before.is_some() {
        return Err(ApiError::invalid("after: name after or before, not both"));
    }
    let limit = limit(query.limit)?;
    let filter = DeedFilter {
        tenant: own_tenant(&who, query.tenant)?,
        who: query.who,
        after: query.after,
        before: query.before,
        // One more than is shown says whether there is another page.
        limit: limit + 1,
    };
    let Deeds {
        mut found,
        looked_to,
    } = web.journal.deeds(&filter).await?;
    let more = cut(&mut found, limit);
    let last = found.last().filter(|_| more).map(|done| done.sequence);
    Ok(Json(api::AuditLog {
        next: last.or(looked_to),
        entries: found.into_iter().map(view).collect(),
    }))
}

fn view(done: Done) -> api::AuditEntry {
    let deed = done.deed;
    api::AuditEntry {
        id: done.sequence,
        at: rfc3339(done.at_ms),
        who: deed.who,
        via: deed.via,
        by: deed.by,
        reason: deed.reason,
        address: deed.address,
        tenant: deed.tenant.map(Into::into),
        what: deed.what,
        result: deed.result,
        request_id: Some(deed.request).filter(|id| !id.is_empty()),
    }
}
