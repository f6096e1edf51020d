//! `/v1/payments`.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ivrpay_api as api;
use ivrpay_journal::{
    ApiRequest, CreateError, Created, EnteredBy, Filter, Mode, NewPayment, Origin, Payment,
};
use ivrpay_payment::{
    Currency, IdError, Money, OperatorId, OrderId, PaymentId, Plan, SiteId, State as PaymentState,
    TenantId,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::{Tenant, Web};

/// Longest `Idempotency-Key`, characters.
const IDEMPOTENCY_KEY_MAX: usize = 255;

pub(crate) async fn create(
    State(web): State<Web>,
    who: Who,
    headers: HeaderMap,
    body: Result<Json<api::CreatePayment>, JsonRejection>,
) -> Result<Response, ApiError> {
    who.need(Scope::Payments)?;
    let tenant = merchant(&web, &who, "payments are announced with a tenant's key")?;
    let Json(body) = body?;
    let key = idempotency_key(&headers)?;
    let request = key.map(|key| ApiRequest {
        key,
        hash: hash(&body),
    });

    let new = new_payment(&web, tenant, body, request)?;
    match web.journal.create(new).await {
        Ok(Created::New(payment)) => {
            let location = format!("/v1/payments/{}", payment.id);
            Ok((
                StatusCode::CREATED,
                [(header::LOCATION, location)],
                Json(view(&payment)),
            )
                .into_response())
        }
        Ok(Created::Existing(payment)) => {
            Ok((StatusCode::OK, Json(view(&payment))).into_response())
        }
        Err(error) => Err(not_created(error)),
    }
}

/// The merchant of a key; one without is told what needs one.
pub(crate) fn merchant<'w>(web: &'w Web, who: &Who, needs: &str) -> Result<&'w Tenant, ApiError> {
    let own = who.tenant();
    let own = own.and_then(|id| web.tenants.iter().find(|t| t.id == *id));
    own.ok_or_else(|| ApiError::forbidden(needs))
}

/// Why a payment is not made. Every field was checked before; what the journal refuses all the same looks like a card number.
pub(crate) fn not_created(error: CreateError) -> ApiError {
    match error {
        CreateError::OrderTaken { payment_id, state } => ApiError::order_taken(
            format!(
                "this order has a payment that is {}; it is in payment_id",
                state.name()
            ),
            payment_id,
        ),
        CreateError::IdempotencyReused { .. } => ApiError::idempotency_reused(),
        CreateError::Journal(error) => error.into(),
        error => ApiError::invalid(error.to_string()),
    }
}

/// The payment that is asked for, checked.
pub(crate) fn new_payment(
    web: &Web,
    tenant: &Tenant,
    body: api::CreatePayment,
    request: Option<ApiRequest>,
) -> Result<NewPayment, ApiError> {
    let currency = match &body.currency {
        None => tenant.currency,
        Some(code) => code
            .parse::<Currency>()
            .map_err(|e| ApiError::invalid(format!("currency: {e}")))?,
    };
    let amount =
        Money::new(body.amount, currency).map_err(|e| ApiError::invalid(format!("amount: {e}")))?;
    let asked_plan = asked_plan(&body, tenant, amount)?;
    let language = body
        .language
        .clone()
        .unwrap_or_else(|| tenant.language.clone());
    if !["ja", "en"].contains(&language.as_str()) {
        return Err(ApiError::invalid("language: ja or en"));
    }
    Ok(NewPayment {
        tenant: tenant.id.clone(),
        order: Some(id("order_id", OrderId::new(body.order_id))?),
        part: body.part,
        operator: body
            .operator
            .map(|o| id("operator", OperatorId::new(o)))
            .transpose()?,
        site: body.site.map(|s| id("site", SiteId::new(s))).transpose()?,
        asked_plan,
        amount,
        mode: if tenant.live { Mode::Live } else { Mode::Test },
        entered_by: EnteredBy::Caller,
        connector: tenant.connector.clone(),
        language,
        prompt_version: web.prompt_version.clone(),
        operator_extension: body
            .operator_extension
            .map(|e| number("operator_extension", e))
            .transpose()?,
        caller_number: body
            .caller_number
            .map(|n| number("caller_number", n))
            .transpose()?,
        origin: Origin::Api,
        request,
        expires_ms: Some(
            web.now_ms()
                .saturating_add(i64::try_from(tenant.waiting_max.as_millis()).unwrap_or(i64::MAX)),
        ),
    })
}

/// How it is to be paid back, of what the merchant offers for the amount. Card and day are not known yet: the call looks at both.
fn asked_plan(
    body: &api::CreatePayment,
    tenant: &Tenant,
    amount: Money,
) -> Result<Option<Plan>, ApiError> {
    let name = body.payment_plan.as_deref();
    let plan = match (name, body.payment_plan_count) {
        (None, None) => return Ok(None),
        (Some(name), Some(count)) => format!("{name}:{count}").parse().ok(),
        // The count has a field of its own.
        (Some(name), None) => name.parse().ok().filter(|_| !name.contains(':')),
        (None, Some(_)) => None,
    };
    let offers = tenant.plans.of(amount);
    if let Some(plan) = plan.filter(|plan| offers.allows(*plan)) {
        return Ok(Some(plan));
    }
    let allowed: Vec<String> = offers
        .plans()
        .into_iter()
        .map(|plan| match plan.count() {
            Some(count) => format!("{} with payment_plan_count {count}", plan.name()),
            None => plan.name().to_owned(),
        })
        .collect();
    Err(ApiError::invalid(format!(
        "payment_plan: for this amount {}",
        allowed.join(", ")
    )))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    order_id: Option<String>,
    reference: Option<u32>,
    state: Option<PaymentState>,
    entered_by: Option<String>,
    tenant: Option<String>,
    training: Option<bool>,
    limit: Option<u32>,
}

/// Most things of one answer.
const LIST_MAX: u32 = 200;

pub(crate) async fn list(
    State(web): State<Web>,
    who: Who,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<api::Payments>, ApiError> {
    who.need(Scope::Payments)?;
    let Query(query) = query.map_err(|_| {
        ApiError::invalid(
            "parameters are order_id, reference, state, entered_by, training (true or false), limit (1 to 200), and tenant for an admin",
        )
    })?;
    let limit = limit(query.limit)?;
    let tenant = own_tenant(&who, query.tenant)?;
    let filter = Filter {
        tenant,
        order: query
            .order_id
            .map(|o| id("order_id", OrderId::new(o)))
            .transpose()?,
        reference: query.reference,
        state: query.state,
        entered_by: query
            .entered_by
            .map(|who| {
                EnteredBy::from_name(&who)
                    .ok_or_else(|| ApiError::invalid("entered_by: caller or operator"))
            })
            .transpose()?,
        training: query.training.unwrap_or(false),
        limit: Some(limit),
        ..Filter::default()
    };
    let payments = web.journal.payments(&filter).await?;
    Ok(Json(api::Payments {
        payments: payments.iter().map(view).collect(),
    }))
}

/// How many things a list shows.
pub(crate) fn limit(asked: Option<u32>) -> Result<u32, ApiError> {
    let limit = asked.unwrap_or(50);
    if !(1..=LIST_MAX).contains(&limit) {
        return Err(ApiError::invalid("limit: 1 to 200"));
    }
    Ok(limit)
}

/// Whose things a list shows: those of the key's tenant, or of the one that an admin names; `None` for all.
pub(crate) fn own_tenant(who: &Who, asked: Option<String>) -> Result<Option<TenantId>, ApiError> {
    match (who.tenant(), asked) {
        (Some(own), None) => Ok(Some(own.clone())),
        (Some(own), Some(asked)) if own.as_str() == asked => Ok(Some(own.clone())),
        (Some(_), Some(_)) => Err(ApiError::forbidden("this key sees its own tenant alone")),
        (None, asked) => asked.map(|t| id("tenant", TenantId::new(t))).transpose(),
    }
}

pub(crate) async fn show(
    State(web): State<Web>,
    who: Who,
    payment: Result<Path<String>, PathRejection>,
) -> Result<Json<api::Payment>, ApiError> {
    who.need(Scope::Payments)?;
    let payment = own(&web, &who, payment_id(payment)?).await?;
    Ok(Json(view(&payment)))
}

/// A payment that this key may see. Another tenant's is not told from one that does not exist.
pub(crate) async fn own(web: &Web, who: &Who, payment: PaymentId) -> Result<Payment, ApiError> {
    let found = web.journal.payment(payment).await?;
    found
        .filter(|p| who.sees(p.tenant.as_str()))
        .ok_or_else(|| ApiError::not_found(NO_PAYMENT))
}

pub(crate) const NO_PAYMENT: &str = "there is no such payment";

/// The id of a path.
pub(crate) fn payment_id(path: Result<Path<String>, PathRejection>) -> Result<PaymentId, ApiError> {
    let Path(text) = path.map_err(|_| ApiError::invalid("the payment's id is no text"))?;
    text.parse().map_err(|e| ApiError::invalid(format!("{e}")))
}

pub(crate) fn view(payment: &Payment) -> api::Payment {
    // A card has been sent with one.
    let sent = payment.card.map(|_| payment.plan);
    let plan = sent.or(payment.asked_plan);
    api::Payment {
        id: payment.id,
        tenant: payment.tenant.to_string(),
        order_id: payment.order.as_ref().map(ToString::to_string),
        part: payment.part,
        state: payment.state,
        amount: payment.amount.minor(),
        currency: payment.amount.currency().to_string(),
        operator: payment.operator.as_ref().map(ToString::to_string),
        operator_extension: payment.operator_extension.clone(),
        site: payment.site.as_ref().map(ToString::to_string),
        result: payment.result.clone(),
        reference: payment.reference,
        brand: payment.card.map(|c| c.brand),
        last4: payment.card.map(|c| c.last4_text()),
        decline_reason: payment.decline_reason.clone(),
        acquirer_ref: payment.acquirer_ref.as_ref().map(ToString::to_string),
        approval_code: payment.approval_code.clone(),
        entered_by: payment.entered_by.name().into(),
        mode: payment.mode.name().into(),
        connector: payment.connector.clone(),
        payment_plan: plan.map(|plan| plan.name().into()),
        payment_plan_count: plan.and_then(Plan::count),
        captured: payment.captured_minor,
        refunded: payment.refunded_minor,
        created_at: rfc3339(payment.created_ms),
        updated_at: rfc3339(payment.updated_ms),
    }
}

pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|k| !k.is_empty() && k.len() <= IDEMPOTENCY_KEY_MAX);
    key.map(|k| Some(k.to_owned()))
        .ok_or_else(|| ApiError::invalid("Idempotency-Key: 1 to 255 visible ASCII characters"))
}

pub(crate) fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map(|t| t.to_string())
        .unwrap_or_default()
}

/// What a request is known again by.
pub(crate) fn hash(body: &impl serde::Serialize) -> [u8; 32] {
    let text = serde_json::to_string(body).unwrap_or_default();
    Sha256::digest(text.as_bytes()).into()
}

pub(crate) fn id<T>(field: &str, result: Result<T, IdError>) -> Result<T, ApiError> {
    result.map_err(|e| ApiError::invalid(format!("{field}: {e}")))
}

/// A telephone number or an extension: at most 15 digits (ITU-T E.164), a `+` in front is allowed.
pub(crate) fn number(field: &str, text: String) -> Result<String, ApiError> {
    let digits = text.strip_prefix('+').unwrap_or(&text);
    if digits.is_empty() || digits.len() > 15 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ApiError::invalid(format!(
            "{field}: 1 to 15 digits, a + in front is allowed"
        )));
    }
    Ok(text)
}
