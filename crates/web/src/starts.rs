//! `POST /v1/captures`: a talk is taken over, as by the operator's pay key.

use std::borrow::Cow;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use ivrpay_api as api;
use ivrpay_api::ErrorCode;
use ivrpay_journal::{ApiRequest, By, Created, Payment};
use ivrpay_payment::{CallId, PaymentId, State as PaymentState, TenantId};

use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::payments::{hash, id, idempotency_key, merchant, new_payment, not_created, number, own};
use crate::tasks::by;
use crate::{CallbackRefused, Lead, LiveCall, Tenant, Web};

/// Longest name of a channel, bytes (`AST_CHANNEL_NAME`).
const CHANNEL_MAX: usize = 80;

/// Who takes talks over, in which a payment is to be taken.
pub trait Talks: Send + Sync {
    /// Brings the two of a talk into a capture, and says when a card may be asked for. Goes on to its end, whoever waits for it.
    fn start(&self, start: ToStart) -> BoxFuture<'static, Result<CallId, NotStarted>>;

    /// The talks of a merchant that are on now, each leg of each; that of this `CallSid` alone.
    fn calls(
        &self,
        tenant: TenantId,
        sid: Option<String>,
    ) -> BoxFuture<'static, Result<Vec<LiveCall>, NotStarted>>;

    /// Whether status callbacks of that account may go to this address.
    ///
    /// # Errors
    /// Why not.
    fn may_call_back(&self, account: &str, url: &str) -> Result<(), CallbackRefused>;
}

/// A capture that is to begin.
#[derive(Debug, Clone)]
pub struct ToStart {
    /// The merchant, one of whose talks it has to be.
    pub tenant: TenantId,
    /// The payment, which waits.
    pub payment: PaymentId,
    /// In which talk.
    pub leg: TalkLeg,
    /// What the operator does meanwhile; as his key has it when absent.
    pub mode: Option<api::CaptureMode>,
    /// How a program leads, where it does.
    pub lead: Option<Lead>,
    /// Who says so.
    pub by: By,
}

/// By what a talk is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TalkLeg {
    /// The operator's extension.
    Extension(String),
    /// His channel, by name or unique id.
    Channel(String),
    /// The customer's channel, by its `CallSid`.
    Customer(String),
}

/// Why a capture was not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotStarted {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub says: Cow<'static, str>,
}

impl NotStarted {
    /// For this reason.
    pub fn new(code: ErrorCode, says: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            says: says.into(),
        }
    }

    /// Nobody can say, or the service is not there for it.
    #[must_use]
    pub fn away(says: &'static str) -> Self {
        Self::new(ErrorCode::Unavailable, says)
    }
}

/// Takes the talk of an operator over for a payment, as by his pay key; nobody is moved where none could be taken.
#[utoipa::path(post, path = "/v1/captures", request_body = api::StartCapture, responses((status = 201, body = api::CaptureDone)))]
pub(crate) async fn create(
    State(web): State<Web>,
    who: Who,
    headers: HeaderMap,
    body: Result<Json<api::StartCapture>, JsonRejection>,
) -> Result<Response, ApiError> {
    who.need(Scope::Captures)?;
    let tenant = merchant(&web, &who, "captures are begun with a tenant's key")?;
    let Json(body) = body?;
    let request = idempotency_key(&headers)?.map(|key| ApiRequest {
        key,
        hash: hash(&body),
    });
    let named = body.by.clone();
    let by = by(
        &who,
        named.or_else(|| who.person().is_none().then(|| who.name().to_owned())),
    )?;
    let (leg, mode) = (leg(&body)?, body.mode);
    let (payment, is_new) = payment(&web, tenant, &who, body, request).await?;
    if let (PaymentState::Waiting, Some(call)) = (payment.state, payment.call) {
        return Err(ApiError::capture_running(payment.id, call));
    }
    if payment.state != PaymentState::Waiting {
        return Err(ApiError::not_waiting(
            format!("the payment is {}; nobody was moved", payment.state.name()),
            payment.id,
        ));
    }
    let start = ToStart {
        tenant: tenant.id.clone(),
        payment: payment.id,
        leg,
        mode,
        lead: (mode == Some(api::CaptureMode::Led)).then(Lead::default),
        by: by.clone(),
    };
    match web.talks.start(start).await {
        Ok(call_id) => {
            let payment_id = payment.id;
            let begun = api::CaptureDone {
                payment_id,
                call_id,
            };
            Ok((StatusCode::CREATED, Json(begun)).into_response())
        }
        Err(why) => {
            // What was made for this talk alone waits for no other. One that a call has all the same stays its own.
            if is_new {
                web.journal.cancel(payment.id, &by).await?;
            }
            Err(ApiError::not_started(&why))
        }
    }
}

fn leg(body: &api::StartCapture) -> Result<TalkLeg, ApiError> {
    match (&body.operator_extension, &body.channel) {
        (Some(extension), None) => Ok(TalkLeg::Extension(number(
            "operator_extension",
            extension.clone(),
        )?)),
        (None, Some(channel)) => {
            let good = |c: char| c.is_ascii_graphic() && !",\"'\\".contains(c);
            if channel.is_empty() || channel.len() > CHANNEL_MAX || !channel.chars().all(good) {
                return Err(ApiError::invalid(
                    "channel: a channel's name or unique id, as Asterisk has it",
                ));
            }
            Ok(TalkLeg::Channel(channel.clone()))
        }
        _ => Err(ApiError::invalid(
            "operator_extension, or channel: one of the two says whose talk it is",
        )),
    }
}

/// The payment that waits, or a new one; never a bit of both. Whether it was made now.
async fn payment(
    web: &Web,
    tenant: &Tenant,
    who: &Who,
    body: api::StartCapture,
    request: Option<ApiRequest>,
) -> Result<(Payment, bool), ApiError> {
    if let Some(named) = &body.payment_id {
        let only = api::StartCapture {
            payment_id: Some(named.clone()),
            amount: None,
            currency: None,
            order_id: None,
            transaction_type: None,
            language: None,
            operator: None,
            payment_plan: None,
            payment_plan_count: None,
            description: None,
            parameters: std::collections::BTreeMap::new(),
            ..body.clone()
        };
        if only != body {
            return Err(ApiError::invalid(
                "payment_id: amount, order and the rest are the payment's own; leave them out",
            ));
        }
        let payment = own(web, who, id("payment_id", named.parse())?).await?;
        return Ok((payment, false));
    }
    let Some(order_id) = body.order_id else {
        return Err(ApiError::invalid(
            "payment_id: name a payment that waits, or amount and order_id of a new one",
        ));
    };
    let payment = api::CreatePayment {
        amount: body.amount.unwrap_or_default(),
        currency: body.currency,
        order_id,
        part: 0,
        language: body.language,
        // It is this talk's, which is named: no other call of the operator's takes it.
        operator_extension: None,
        operator: body.operator,
        caller_number: None,
        site: None,
        transaction_type: body.transaction_type,
        payment_token: None,
        brand: None,
        last4: None,
        connector: None,
        payment_plan: body.payment_plan,
        payment_plan_count: body.payment_plan_count,
        description: body.description,
        parameters: body.parameters,
        expires_at: None,
    };
    let new = new_payment(web, tenant, payment, request).await?;
    match web.journal.create(new).await {
        Ok(Created::New(payment)) => Ok((payment, true)),
        Ok(Created::Existing(payment)) => Ok((payment, false)),
        Err(error) => Err(not_created(error)),
    }
}
