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
    Brand, CardToken, Currency, Decline, IdError, Money, OperationKind, OperatorId, OrderId,
    Outcome, PaymentId, Plan, SiteId, State as PaymentState, StoredCard, TenantId, Transaction,
    Truncated,
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

    let new = new_payment(&web, tenant, body, request).await?;
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

pub(crate) fn currency(code: &str) -> Result<Currency, ApiError> {
    code.parse()
        .map_err(|e| ApiError::invalid(format!("currency: {e}")))
}

pub(crate) fn money(field: &str, minor: u64, currency: Currency) -> Result<Money, ApiError> {
    Money::new(minor, currency).map_err(|e| ApiError::invalid(format!("{field}: {e}")))
}

/// Which order: an admin has to say whose.
pub(crate) fn order(
    who: &Who,
    tenant: Option<String>,
    order: String,
) -> Result<(TenantId, OrderId), ApiError> {
    let tenant = own_tenant(who, tenant)?.ok_or_else(|| {
        ApiError::invalid("tenant: whose order it is; order numbers are each merchant's own")
    })?;
    Ok((tenant, id("order_id", OrderId::new(order))?))
}

/// The payment that is asked for, checked.
pub(crate) async fn new_payment(
    web: &Web,
    tenant: &Tenant,
    body: api::CreatePayment,
    request: Option<ApiRequest>,
) -> Result<NewPayment, ApiError> {
    let currency = match &body.currency {
        None => tenant.currency,
        Some(code) => self::currency(code)?,
    };
    let transaction = body.transaction_type.unwrap_or(tenant.transaction);
    let amount = match (transaction.moves_money(), body.amount) {
        (true, amount) => money("amount", amount, currency)?,
        (false, 0) => Transaction::nominal(currency),
        (false, _) => {
            return Err(ApiError::invalid(
                "amount: a card that is stored or checked has none; leave it out",
            ));
        }
    };
    let named = named(tenant, body.connector.as_deref())?;
    let stored = stored(web, tenant, &body, transaction, named).await?;
    let (stored, only) = match stored {
        Some((stored, connector)) => (Some(stored), Some(connector)),
        None => (None, named.map(str::to_owned)),
    };
    // A card is stored, or checked, where no route says another.
    let only = only.or_else(|| (!transaction.moves_money()).then(|| tenant.connector.clone()));
    let asked = only
        .as_ref()
        .map_or(&tenant.connectors[..], std::slice::from_ref);
    let cannot = |name: &&String| !web.acquirers.can(name, transaction.kind());
    if let Some(connector) = asked.iter().find(cannot) {
        return Err(ApiError::invalid(format!(
            "transaction_type: {} is none that the connector {connector} has",
            transaction.name()
        )));
    }
    let asked_plan = asked_plan(&body, tenant, transaction, amount)?;
    // Where no money moves, nothing is paid back.
    let plan = asked_plan.or_else(|| (!transaction.moves_money()).then_some(Plan::LumpSum));
    if let Some(why) = (tenant.refuses)(only.as_deref(), amount, plan) {
        return Err(ApiError::invalid(why));
    }
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
        connector_named: only.is_some(),
        connector: only.unwrap_or_else(|| tenant.connector.clone()),
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
        transaction,
        stored,
        expires_ms: Some(
            web.now_ms()
                .saturating_add(i64::try_from(tenant.waiting_max.as_millis()).unwrap_or(i64::MAX)),
        ),
    })
}

/// The stored card that is to be charged, and the connector whose acquirer has it.
async fn stored(
    web: &Web,
    tenant: &Tenant,
    body: &api::CreatePayment,
    transaction: Transaction,
    named: Option<&str>,
) -> Result<Option<(StoredCard, String)>, ApiError> {
    let Some(token) = &body.payment_token else {
        if body.brand.is_some() || body.last4.is_some() {
            return Err(ApiError::invalid(
                "brand and last4 are those of the card of a payment_token",
            ));
        }
        return Ok(None);
    };
    if !transaction.moves_money() {
        return Err(ApiError::invalid(
            "payment_token: a stored card is charged or authorized",
        ));
    }
    let token = id("payment_token", CardToken::new(token.clone()))?;
    let told = match (body.brand, body.last4.as_deref()) {
        (None, None) => None,
        (Some(brand), Some(last4)) => {
            Some(truncated(brand, last4).ok_or_else(|| ApiError::invalid("last4: four digits"))?)
        }
        _ => return Err(ApiError::invalid("brand and last4 go together")),
    };
    let mode = if tenant.live { Mode::Live } else { Mode::Test };
    let known = web.journal.stored_card(&tenant.id, &token, mode).await?;
    let (card, connector) = match (known, told) {
        (Some((card, _)), Some(told)) if card != told => {
            return Err(ApiError::invalid(
                "brand, last4: the card that was stored under this payment_token has others",
            ));
        }
        (Some(known), _) => known,
        (None, Some(told)) => (told, named.unwrap_or(&tenant.connector).to_owned()),
        (None, None) => {
            return Err(ApiError::invalid(
                "payment_token: it was not stored here; send brand and last4 of its card too, which the caller is told",
            ));
        }
    };
    if !tenant.connectors.contains(&connector) {
        return Err(ApiError::invalid(format!(
            "payment_token: its card is stored at {connector}, which is none of this tenant's connectors"
        )));
    }
    if named.is_some_and(|named| named != connector) {
        return Err(ApiError::invalid(format!(
            "connector: the card of this payment_token is stored at {connector}"
        )));
    }
    if !web.acquirers.can(&connector, OperationKind::Tokenise) {
        return Err(ApiError::invalid(format!(
            "payment_token: the connector {connector} has no stored cards"
        )));
    }
    Ok(Some((StoredCard { token, card }, connector)))
}

/// The connector that was named, where it is one of the tenant's.
fn named<'n>(tenant: &Tenant, named: Option<&'n str>) -> Result<Option<&'n str>, ApiError> {
    if named.is_none_or(|name| tenant.connectors.iter().any(|known| known == name)) {
        return Ok(named);
    }
    let known = tenant.connectors.join(", ");
    Err(ApiError::invalid(format!("connector: one of {known}")))
}

fn truncated(brand: Brand, last4: &str) -> Option<Truncated> {
    let digits: [u8; 4] = last4.as_bytes().try_into().ok()?;
    Truncated::new(brand, digits.map(|digit| digit.wrapping_sub(b'0')))
}

/// How it is to be paid back, of what the merchant offers for the amount. Card and day are not known yet: the call looks at both.
fn asked_plan(
    body: &api::CreatePayment,
    tenant: &Tenant,
    transaction: Transaction,
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
    if !transaction.moves_money() {
        return Err(ApiError::invalid(
            "payment_plan: nothing is paid where a card is stored or checked; leave it out",
        ));
    }
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
    let mut shown = view(&payment);
    if payment.decline_reason.is_some() {
        let operations = web.journal.operations(payment.id).await?;
        let last = operations.into_iter().rev().find_map(|o| o.outcome);
        if let Some(Outcome::Declined(decline)) = &last {
            shown.decline = Some(declined(decline));
        }
    }
    Ok(Json(shown))
}

fn declined(decline: &Decline) -> api::Decline {
    let advice = decline.advice();
    api::Decline {
        reason: decline.reason.name().to_owned(),
        code: Some(decline.code.clone()).filter(|code| !code.is_empty()),
        hard: decline.hard,
        same_card: decline.same_card(),
        action: decline.action().name().to_owned(),
        advice: api::Advice {
            ja: advice.ja.to_owned(),
            en: advice.en.to_owned(),
        },
    }
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
        transaction_type: payment.transaction,
        amount: if payment.transaction.moves_money() {
            payment.amount.minor()
        } else {
            0
        },
        currency: payment.amount.currency().to_string(),
        operator: payment.operator.as_ref().map(ToString::to_string),
        operator_extension: payment.operator_extension.clone(),
        site: payment.site.as_ref().map(ToString::to_string),
        result: payment.result.clone(),
        reference: payment.reference,
        brand: payment.card.map(|c| c.brand),
        last4: payment.card.map(|c| c.last4_text()),
        decline_reason: payment.decline_reason.clone(),
        decline: None,
        acquirer_ref: payment.acquirer_ref.as_ref().map(ToString::to_string),
        approval_code: payment.approval_code.clone(),
        payment_token: payment.token().map(str::to_owned),
        entered_by: payment.entered_by.name().into(),
        mode: payment.mode.name().into(),
        connector: payment.connector.clone(),
        payment_plan: plan.map(|plan| plan.name().into()),
        payment_plan_count: plan.and_then(Plan::count),
        reserved: payment.reserved_minor,
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
