//! `POST /v1/payments/{id}/capture|change|void|refund|inquire`: what is asked of the acquirer behind the call.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::future::BoxFuture;
use ivrpay_api as api;
use ivrpay_journal::{ApiRequest, By, LaterDraft, LaterError, Operation, Payment, Planned};
use ivrpay_payment::{AcquirerOrder, OperationKind, Outcome, PaymentId, Why};

use crate::Web;
use crate::approvals::{self, Needed};
use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::hooks::{HookRefused, Posted};
use crate::payments::{NO_PAYMENT, hash, idempotency_key, own, payment_id, rfc3339, view};
use crate::people;
use crate::tasks::by;

/// Longest reason for it.
const REASON_MAX: usize = 200;
/// How often a wish is judged anew because the payment has changed meanwhile.
const JUDGED_MAX: usize = 3;

/// Who asks acquirers.
pub trait Acquirers: Send + Sync {
    /// Whether this connector's acquirer has such an operation.
    fn can(&self, connector: &str, kind: OperationKind) -> bool;

    /// Captures, changes, voids or refunds; comes back with the operation as the journal has it, answered or not.
    fn later(
        &self,
        payment: PaymentId,
        draft: LaterDraft,
    ) -> BoxFuture<'static, Result<Operation, LaterRefused>>;

    /// What `later` would do now; asks nobody.
    fn plan(
        &self,
        payment: PaymentId,
        draft: LaterDraft,
    ) -> BoxFuture<'static, Result<Planned, LaterRefused>>;

    /// Asks what became of what is unknown of a payment; comes back with those operations as the journal has them then.
    fn inquire(
        &self,
        payment: PaymentId,
        by: By,
    ) -> BoxFuture<'static, Result<Vec<Operation>, LaterRefused>>;

    /// Takes what this connector's acquirer sends of itself; comes back when the journal has it.
    fn hook(
        &self,
        connector: String,
        posted: Posted,
    ) -> BoxFuture<'static, Result<(), HookRefused>>;
}

/// Why an acquirer was not asked.
#[derive(Debug, thiserror::Error)]
pub enum LaterRefused {
    /// The journal, or the payment's state, forbids it.
    #[error(transparent)]
    Journal(#[from] LaterError),
    /// The acquirer has no such operation.
    #[error("this acquirer has no {}", kind.name())]
    Unsupported {
        /// Which.
        kind: OperationKind,
    },
    /// It has the operation, of the whole amount alone.
    #[error("this acquirer has no partial {}", kind.name())]
    WholeOnly {
        /// Which.
        kind: OperationKind,
    },
    /// It has room for less.
    #[error("this acquirer has room for {most} minor units at most")]
    TooMuch {
        /// The largest amount.
        most: u64,
    },
    /// What is reserved there stays as it is.
    #[error("this acquirer does not change what is reserved: {}", if *parts { "capture a part of it; for more, void it and take the payment anew" } else { "void it, and take the payment anew" })]
    NoChange {
        /// Whether a part can be captured.
        parts: bool,
    },
    /// Whether it was charged is not known, and this acquirer is asked that first.
    #[error(
        "whether the payment was charged is not known, and this acquirer releases only what it has a reference of: inquire first, or close its task with what the acquirer shows"
    )]
    InquireFirst,
    /// This acquirer can be asked, and not about that.
    #[error(
        "this acquirer can't be asked what became of it: look order {order} up in its screens, and close its task with what they show"
    )]
    NotKnown {
        /// Our order number there.
        order: AcquirerOrder,
    },
    /// The configuration no longer has the payment's connector.
    #[error("the configuration has no [connectors.{name}] any more: put it back")]
    NoConnector {
        /// Its name.
        name: String,
    },
    /// It was asked.
    #[error(
        "the acquirer was asked, and what came of it can't be read now: look at the payment, do not repeat it"
    )]
    NotRead,
    /// The service stops.
    #[error("the service is stopping")]
    Stopping,
}

impl From<ivrpay_journal::Error> for LaterRefused {
    fn from(error: ivrpay_journal::Error) -> Self {
        Self::Journal(error.into())
    }
}

impl From<LaterRefused> for ApiError {
    fn from(refused: LaterRefused) -> Self {
        let message = refused.to_string();
        match refused {
            LaterRefused::Journal(error) => match error {
                LaterError::NotFound => Self::not_found(NO_PAYMENT),
                LaterError::IdempotencyReused => Self::idempotency_reused(),
                LaterError::Journal(error) => error.into(),
                LaterError::Key | LaterError::Amount { .. } | LaterError::NoChange { .. } => {
                    Self::invalid(message)
                }
                _ => Self::not_possible(message),
            },
            LaterRefused::NoConnector { .. } | LaterRefused::NotRead | LaterRefused::Stopping => {
                Self::unavailable(message)
            }
            LaterRefused::TooMuch { .. } => Self::invalid(message),
            LaterRefused::InquireFirst
            | LaterRefused::NoChange { .. }
            | LaterRefused::NotKnown { .. }
            | LaterRefused::Unsupported { .. }
            | LaterRefused::WholeOnly { .. } => Self::not_possible(message),
        }
    }
}

type Wish = Result<Json<api::Later>, JsonRejection>;
type Id = Result<Path<String>, PathRejection>;

macro_rules! later {
    ($($name:ident $path:literal $kind:ident $text:literal)*) => {$(
        #[doc = $text]
        #[utoipa::path(
            post, path = $path, params(("id" = String, Path, format = "uuid")), request_body = api::Later,
            responses((status = 200, body = LaterAnswer), (status = 202, body = api::ApprovalNeeded))
        )]
        pub(crate) async fn $name(
            web: State<Web>,
            who: Who,
            headers: HeaderMap,
            payment: Id,
            body: Wish,
        ) -> Result<Response, ApiError> {
            ask(OperationKind::$kind, web, who, headers, payment, body).await
        }
    )*};
}

later! {
    capture "/v1/payments/{id}/capture" Capture "Takes what was reserved, or a part of it."
    change "/v1/payments/{id}/change" Change "Reserves another amount instead of the one that is reserved, where the acquirer does that."
    void "/v1/payments/{id}/void" Void "Releases what was reserved, or takes a charge back that is not settled."
    refund "/v1/payments/{id}/refund" Refund "Gives back what was taken, or a part of it, which needs an Idempotency-Key."
}

/// What came of it; with `dry_run` what would be done.
#[derive(utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it only describes what is answered")]
pub(crate) enum LaterAnswer {
    Done(api::LaterDone),
    Planned(api::LaterPlanned),
}

async fn ask(
    kind: OperationKind,
    State(web): State<Web>,
    who: Who,
    headers: HeaderMap,
    payment: Id,
    body: Wish,
) -> Result<Response, ApiError> {
    who.need(Scope::Refunds)?;
    let id = payment_id(payment)?;
    let Json(body) = body?;
    let mut payment = own(&web, &who, id).await?;
    let request = idempotency_key(&headers)?.map(|key| ApiRequest {
        key,
        // Who asks is no part of what is asked.
        hash: hash(&(kind.name(), body.amount)),
    });
    if kind == OperationKind::Change && body.amount.is_none() {
        return Err(ApiError::invalid(
            "amount: what is to be reserved from now on, minor units",
        ));
    }
    if kind == OperationKind::Refund && body.amount.is_some() && request.is_none() {
        return Err(ApiError::invalid(
            "send the header Idempotency-Key with a refund of a part: asked twice without, it would be given back twice",
        ));
    }
    // `trail.rs` keeps it.
    body.reason
        .map(|reason| people::text("reason", reason, REASON_MAX))
        .transpose()?;
    let mut draft = LaterDraft {
        kind,
        amount_minor: body.amount,
        by: by(&who, body.by)?,
        request,
        judged: None,
    };
    if body.dry_run {
        let (amount, before) = match web.acquirers.plan(id, draft).await? {
            Planned::New(amount) => (amount, None),
            Planned::Before(operation) => (operation.amount, Some(shown(&operation))),
        };
        let payment = own(&web, &who, id).await?;
        return Ok(Json(api::LaterPlanned {
            kind: kind.name().to_owned(),
            amount: amount.minor(),
            before,
            payment: view(&payment),
        })
        .into_response());
    }
    for _ in 0..JUDGED_MAX {
        draft.judged = match approvals::needed(&web, &who, &payment, &draft).await? {
            Needed::Nobody(judged) => judged,
            Needed::Second(approval) => {
                let asked = Json(approvals::asked(&approval));
                return Ok((StatusCode::ACCEPTED, asked).into_response());
            }
        };
        match web.acquirers.later(id, draft.clone()).await {
            Ok(operation) => return Ok(done(&web, &who, id, &operation).await?.into_response()),
            // Something else was done between, and nothing was written: what is left of the limit is another.
            Err(LaterRefused::Journal(LaterError::Changed)) => {
                payment = own(&web, &who, id).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(LaterRefused::Journal(LaterError::Changed).into())
}

/// What came of it.
pub(crate) async fn done(
    web: &Web,
    who: &Who,
    id: PaymentId,
    operation: &Operation,
) -> Result<Json<api::LaterDone>, ApiError> {
    let payment = after(web, who, id).await?;
    Ok(Json(api::LaterDone {
        operation: shown(operation),
        payment: view(&payment),
    }))
}

/// The payment as it is after the acquirer was asked: not to be read then is no "nothing was changed".
async fn after(web: &Web, who: &Who, id: PaymentId) -> Result<Payment, LaterRefused> {
    own(web, who, id).await.map_err(|_| LaterRefused::NotRead)
}

/// Asks the acquirer what became of what is unknown of a payment.
#[utoipa::path(
    post, path = "/v1/payments/{id}/inquire", params(("id" = String, Path, format = "uuid")), request_body = api::Inquire,
    responses((status = 200, body = api::Inquired))
)]
pub(crate) async fn inquire(
    State(web): State<Web>,
    who: Who,
    payment: Id,
    body: Result<Json<api::Inquire>, JsonRejection>,
) -> Result<Json<api::Inquired>, ApiError> {
    who.need(Scope::Refunds)?;
    let id = payment_id(payment)?;
    let Json(body) = body?;
    own(&web, &who, id).await?;
    let by = by(&who, body.by)?;
    let operations = web.acquirers.inquire(id, by).await?;
    let payment = after(&web, &who, id).await?;
    Ok(Json(api::Inquired {
        operations: operations.iter().map(shown).collect(),
        payment: view(&payment),
    }))
}

pub(crate) fn shown(operation: &Operation) -> api::Operation {
    let outcome = operation.outcome.as_ref();
    let (reason, code) = match outcome {
        Some(Outcome::Declined(decline)) => (
            Some(decline.reason.name().to_owned()),
            Some(decline.code.clone()).filter(|code| !code.is_empty()),
        ),
        _ => (None, None),
    };
    let why = match outcome {
        Some(Outcome::NotCharged(why)) => Some(*why),
        _ => None,
    };
    let acquirer_ref = match outcome {
        Some(Outcome::Approved(approval)) => Some(approval.acquirer_ref.to_string()),
        _ => None,
    };
    api::Operation {
        id: operation.id.to_string(),
        kind: operation.kind.name().to_owned(),
        state: operation.state.name().to_owned(),
        amount: operation.amount.minor(),
        connector: operation.connector.clone(),
        acquirer_order: operation.acquirer_order.to_string(),
        acquirer_ref,
        decline_reason: reason,
        acquirer_code: code,
        why: why.map(|why| why.name().to_owned()),
        hint: why.and_then(Why::hint).map(str::to_owned),
        by: operation.by.clone(),
        at: rfc3339(operation.created_ms),
    }
}
