//! `/v1/approvals`: what a person may not ask of an acquirer alone. The limit is his role's; a second person whose role may says yes or no,
//! and what was asked is then done once, by the same way as anything else.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use ivrpay_api as api;
use ivrpay_journal::{
    ApiRequest, Approval, ApprovalError, ApprovalFilter, ApprovalState, By, Judged, LaterDraft,
    LaterError, NewApproval, Payment, Planned, Role,
};
use ivrpay_payment::{ApprovalId, OperationKind, OperatorId, PersonId, TenantId, Transaction};
use serde::Deserialize;

use crate::Web;
use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::later::{LaterRefused, done};
use crate::payments::{OUR_KEYS, cut, hash, id, limit, own, own_tenant, rfc3339};
use crate::tasks::by;

/// People who have made one another that are looked at for one approval.
const HANDS_MAX: usize = 50;

/// What each role may ask of an acquirer alone, by merchant: minor units at most. What is not there has no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleLimits(pub Vec<(Role, OperationKind, u64)>);

impl RoleLimits {
    fn most(&self, role: Role, kind: OperationKind) -> u64 {
        let mut all = self.0.iter();
        all.find(|(of, what, _)| *of == role && *what == kind)
            .map_or(u64::MAX, |(_, _, most)| *most)
    }
}

/// What this would come to for the limit. Of a payment that is given back in parts all of them count; to capture a part, or to reserve less,
/// lets the rest go, which counts where it is the larger one.
fn counted(payment: &Payment, kind: OperationKind, minor: u64) -> u64 {
    let reserved = payment
        .reserved_minor
        .unwrap_or_else(|| payment.amount.minor());
    match kind {
        OperationKind::Refund => payment.refunded_minor.saturating_add(minor),
        OperationKind::Capture | OperationKind::Change => minor.max(reserved.saturating_sub(minor)),
        _ => minor,
    }
}

fn may(web: &Web, role: Role, payment: &Payment, kind: OperationKind, minor: u64) -> bool {
    let tenant = web.tenants.iter().find(|t| t.id == payment.tenant);
    // Of a merchant that is not configured any more nobody has said a limit: then nobody decides alone.
    let most = |kind| tenant.map_or(0, |tenant| tenant.role_limits.most(role, kind));
    let is_taken = payment.captured_minor.is_some() || payment.transaction == Transaction::Charge;
    // To take a charge back is to give it back.
    let gives_back = kind == OperationKind::Void && is_taken;
    let counted = counted(payment, kind, minor);
    counted <= most(kind) && (!gives_back || counted <= most(OperationKind::Refund))
}

/// Whether there is anything that this role may not ask of that merchant's acquirers alone.
pub(crate) fn has_limit(web: &Web, role: Role, tenant: &TenantId) -> bool {
    let tenant = web.tenants.iter().find(|t| t.id == *tenant);
    tenant.is_none_or(|tenant| tenant.role_limits.0.iter().any(|(of, ..)| *of == role))
}

/// Whom a wish needs beside the one who has it.
pub(crate) enum Needed {
    /// Nobody, while the payment is as it was judged.
    Nobody(Option<Judged>),
    /// A second person.
    Second(Box<Approval>),
}

/// Whether it needs a second person.
pub(crate) async fn needed(
    web: &Web,
    who: &Who,
    payment: &Payment,
    draft: &LaterDraft,
) -> Result<Needed, ApiError> {
    let Some(person) = who.person() else {
        return Ok(Needed::Nobody(None));
    };
    let plain = LaterDraft {
        judged: None,
        ..draft.clone()
    };
    let planned = web.acquirers.plan(payment.id, plain).await?;
    let Planned::New(amount) = planned else {
        return Ok(Needed::Nobody(None));
    };
    if may(web, person.role, payment, draft.kind, amount.minor()) {
        let judged = Judged::of(payment, amount.minor());
        return Ok(Needed::Nobody(Some(judged)));
    }
    let time = web.access.options().approval.as_millis();
    let time = i64::try_from(time).unwrap_or(i64::MAX);
    let key = draft.request.as_ref().map(|request| request.key.clone());
    let wish = hash(&(draft.kind.name(), draft.amount_minor, key, &draft.by.person));
    let new = NewApproval {
        tenant: payment.tenant.clone(),
        payment: payment.id,
        kind: draft.kind,
        asked_minor: draft.amount_minor,
        amount,
        request: wish.iter().map(|byte| format!("{byte:02x}")).collect(),
        asked_by: draft.by.person.clone(),
        until_ms: web.now_ms().saturating_add(time),
    };
    let asked = web.journal.ask_approval(new).await?;
    Ok(Needed::Second(Box::new(asked)))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    state: Option<String>,
    tenant: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
}

type Id = Result<Path<String>, PathRejection>;
type Asks = Result<Json<api::WhoAsks>, JsonRejection>;

/// What waits for a second person, and what did.
#[utoipa::path(get, path = "/v1/approvals", params(ListQuery), responses((status = 200, body = api::Approvals)))]
pub(crate) async fn list(
    State(web): State<Web>,
    who: Who,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<api::Approvals>, ApiError> {
    who.need(Scope::Refunds)?;
    let Query(query) = query.map_err(|rejection| {
        ApiError::parameters(
            &rejection,
            "state (open, approved, refused, done or lapsed), after (the next of the page before), limit (1 to 200), and tenant for an admin",
        )
    })?;
    let limit = limit(query.limit)?;
    let state = query.state.map(|state| {
        ApprovalState::from_name(&state)
            .ok_or_else(|| ApiError::invalid("state: open, approved, refused, done or lapsed"))
    });
    let filter = ApprovalFilter {
        tenant: own_tenant(&who, query.tenant)?,
        state: state.transpose()?,
        after: query
            .after
            .map(|a| id("after", a.parse::<ApprovalId>()))
            .transpose()?,
        // One more than is shown says whether there is another page.
        limit: limit + 1,
    };
    let mut found = web.journal.approvals(&filter).await?;
    let more = cut(&mut found, limit);
    Ok(Json(api::Approvals {
        next: found.last().filter(|_| more).map(|approval| approval.id),
        approvals: found.into_iter().map(view).collect(),
    }))
}

/// One of them.
#[utoipa::path(get, path = "/v1/approvals/{id}", params(("id" = String, Path, format = "uuid")), responses((status = 200, body = api::Approval)))]
pub(crate) async fn show(
    State(web): State<Web>,
    who: Who,
    path: Id,
) -> Result<Json<api::Approval>, ApiError> {
    who.need(Scope::Refunds)?;
    Ok(Json(view(seen(&web, &who, path).await?)))
}

/// Allows it, and has it done: the answer is that of what was asked. Asked again it is not done again.
#[utoipa::path(post, path = "/v1/approvals/{id}/approve", params(("id" = String, Path, format = "uuid")), request_body = api::WhoAsks, responses((status = 200, body = api::LaterDone)))]
pub(crate) async fn approve(
    State(web): State<Web>,
    who: Who,
    path: Id,
    body: Asks,
) -> Result<Json<api::LaterDone>, ApiError> {
    who.need(Scope::Refunds)?;
    let Json(body) = body?;
    let by = by(&who, body.by)?;
    let found = seen(&web, &who, path).await?;
    second(&who)?;
    let payment = own(&web, &who, found.payment).await?;
    let minor = found.amount.minor();
    if let Some(person) = who.person() {
        if !may(&web, person.role, &payment, found.kind, minor) {
            return Err(ApiError::forbidden(
                "your role may not do so much alone either: somebody with a higher limit approves this",
            ));
        }
        if is_in_the_hands_of(&web, person.id, &found.asked_by).await? {
            return Err(ApiError::forbidden(
                "who asks has made you, or has given you what you sign in with: somebody else approves this",
            ));
        }
    }
    let draft = LaterDraft {
        kind: found.kind,
        amount_minor: found.asked_minor,
        by: By {
            person: found.asked_by.clone(),
            via: format!("approved by {}", by.person),
        },
        request: Some(ApiRequest {
            key: format!("{OUR_KEYS}{}", found.id),
            hash: hash(&(found.kind.name(), found.asked_minor)),
        }),
        judged: Some(Judged::of(&payment, minor)),
    };
    // What two people have looked at is what is done, and not what it has become meanwhile.
    match web.acquirers.plan(payment.id, draft.clone()).await {
        Ok(_) => {}
        Err(LaterRefused::Journal(LaterError::Changed)) => {
            return Err(ApiError::not_possible(
                "the payment has changed, and this would be another amount now: refuse it, and have it asked anew",
            ));
        }
        Err(error) => return Err(error.into()),
    }
    let decided = web.journal.decide(found.id, &by.person, true).await;
    let decided = decided.map_err(refused)?;
    let operation = web.acquirers.later(payment.id, draft).await?;
    // If this is lost, to approve it once more finds what was done.
    web.journal
        .approval_done(decided.id, operation.id)
        .await
        .ok();
    done(&web, &who, payment.id, &operation).await
}

/// Refuses it.
#[utoipa::path(post, path = "/v1/approvals/{id}/refuse", params(("id" = String, Path, format = "uuid")), request_body = api::WhoAsks, responses((status = 200, body = api::Approval)))]
pub(crate) async fn refuse(
    State(web): State<Web>,
    who: Who,
    path: Id,
    body: Asks,
) -> Result<Json<api::Approval>, ApiError> {
    who.need(Scope::Refunds)?;
    let Json(body) = body?;
    let by = by(&who, body.by)?;
    let found = seen(&web, &who, path).await?;
    second(&who)?;
    let decided = web.journal.decide(found.id, &by.person, false).await;
    Ok(Json(view(decided.map_err(refused)?)))
}

/// Who decides: a person whom we know, since a key's word on who it is would be the first one's.
fn second(who: &Who) -> Result<(), ApiError> {
    match who {
        Who::Key(_) => Err(ApiError::forbidden(
            "a second person signs in to decide this; a key is none",
        )),
        Who::Admin(_) | Who::Person(_) => Ok(()),
    }
}

/// Whether who asks could be this person too: he has made him, or has given him what he signs in with, or has done so with who has.
async fn is_in_the_hands_of(
    web: &Web,
    person: PersonId,
    asks: &OperatorId,
) -> Result<bool, ApiError> {
    let mut next: Vec<_> = web.journal.person(person).await?.into_iter().collect();
    let mut seen = BTreeSet::new();
    while let Some(proofs) = next.pop() {
        if proofs.is_in_the_hands_of(asks) || seen.len() > HANDS_MAX {
            return Ok(true);
        }
        for name in proofs.given_by.iter().chain([&proofs.person.created_by]) {
            if seen.insert(name.to_lowercase()) {
                next.extend(web.journal.person_named(name).await?);
            }
        }
    }
    Ok(false)
}

async fn seen(web: &Web, who: &Who, path: Id) -> Result<Approval, ApiError> {
    let Path(text) = path.map_err(|_| ApiError::invalid("the approval's id is no text"))?;
    let id: ApprovalId = text
        .parse()
        .map_err(|e| ApiError::invalid(format!("{e}")))?;
    let found = web.journal.approval(id).await?;
    found
        .filter(|approval| who.sees(approval.tenant.as_str()))
        .ok_or_else(|| refused(ApprovalError::NotFound))
}

fn refused(error: ApprovalError) -> ApiError {
    match error {
        ApprovalError::NotFound => ApiError::not_found("there is no such approval"),
        ApprovalError::Own => ApiError::forbidden(error.to_string()),
        ApprovalError::Journal(error) => error.into(),
        error => ApiError::not_possible(error.to_string()),
    }
}

pub(crate) fn asked(approval: &Approval) -> api::ApprovalNeeded {
    api::ApprovalNeeded {
        approval_id: approval.id,
        until: rfc3339(approval.until_ms),
    }
}

fn view(approval: Approval) -> api::Approval {
    api::Approval {
        id: approval.id,
        state: approval.state.name().to_owned(),
        tenant: approval.tenant.into(),
        payment_id: approval.payment,
        kind: approval.kind.name().to_owned(),
        amount: approval.amount.minor(),
        currency: approval.amount.currency().code().to_owned(),
        asked_by: approval.asked_by.into(),
        asked_at: rfc3339(approval.asked_ms),
        until: rfc3339(approval.until_ms),
        decided_by: approval.decided_by.map(Into::into),
        decided_at: approval.decided_ms.map(rfc3339),
        operation_id: approval.operation,
    }
}
