//! `/v1/payments`.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ivrpay_api as api;
use ivrpay_journal::{
    ApiRequest, Attached, CreateError, Created, EnteredBy, Filter, Mode, NewPayment, Origin,
    Payment,
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

/// Announces a payment, before or during its call.
#[utoipa::path(post, path = "/v1/payments", request_body = api::CreatePayment, responses((status = 201, body = api::Payment)))]
pub(crate) async fn create(
    State(web): State<Web>,
    who: Who,
    headers: HeaderMap,
    body: Result<Json<api::CreatePayment>, JsonRejection>,
) -> Result<Response, ApiError> {
    who.need(Scope::Captures)?;
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
    let expires_ms = expires(web, tenant, body.expires_at.as_deref())?;
    attached(&body)?;
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
        expires_ms: Some(expires_ms),
        attached: Attached {
            description: body.description,
            parameters: body.parameters,
        },
    })
}

/// Until when it waits.
fn expires(web: &Web, tenant: &Tenant, asked: Option<&str>) -> Result<i64, ApiError> {
    let now_ms = web.now_ms();
    let most = i64::try_from(tenant.waiting_max.as_millis()).unwrap_or(i64::MAX);
    let last_ms = now_ms.saturating_add(most);
    let Some(asked) = asked else {
        return Ok(last_ms);
    };
    let asked_ms = time("expires_at", asked)?;
    if asked_ms <= now_ms || asked_ms > last_ms {
        return Err(ApiError::invalid(format!(
            "expires_at: from now until {}, by waiting_max of this tenant",
            rfc3339(last_ms)
        )));
    }
    Ok(asked_ms)
}

/// What the journal would refuse too, and does not say why.
fn attached(body: &api::CreatePayment) -> Result<(), ApiError> {
    let is_line =
        |text: &str, max| text.chars().count() <= max && !text.chars().any(char::is_control);
    let told = body.description.as_deref();
    if told.is_some_and(|told| told.is_empty() || !is_line(told, Attached::DESCRIPTION_MAX)) {
        return Err(ApiError::invalid(format!(
            "description: one line of 1 to {} characters",
            Attached::DESCRIPTION_MAX
        )));
    }
    let is_good = |(name, value): (&String, &String)| {
        !name.is_empty() && is_line(name, Attached::NAME_MAX) && is_line(value, Attached::VALUE_MAX)
    };
    if body.parameters.len() > Attached::PARAMETERS_MAX || !body.parameters.iter().all(is_good) {
        return Err(ApiError::invalid(format!(
            "parameters: at most {}, names of 1 to {} characters, values of one line of at most {}",
            Attached::PARAMETERS_MAX,
            Attached::NAME_MAX,
            Attached::VALUE_MAX
        )));
    }
    Ok(())
}

/// A time in a body or parameter, milliseconds.
pub(crate) fn time(field: &str, text: &str) -> Result<i64, ApiError> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    parsed.map(|at| at.as_millisecond()).map_err(|_| {
        ApiError::invalid(format!(
            "{field}: a time as RFC 3339 has it, 2026-11-24T09:00:00Z or 2026-11-24T18:00:00+09:00"
        ))
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

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    order_id: Option<String>,
    reference: Option<u32>,
    #[param(value_type = Option<api::names::State>)]
    state: Option<PaymentState>,
    entered_by: Option<String>,
    caller_number: Option<String>,
    last4: Option<String>,
    approval_code: Option<String>,
    operator: Option<String>,
    site: Option<String>,
    /// Announced at this time or later, RFC 3339.
    created_from: Option<String>,
    /// Announced before this time, RFC 3339.
    created_to: Option<String>,
    /// For an admin.
    tenant: Option<String>,
    training: Option<bool>,
    /// Those that are disputed, or those that are not.
    disputed: Option<bool>,
    /// The `next` of the page before.
    #[param(format = "uuid")]
    after: Option<String>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Most things of one answer.
const LIST_MAX: u32 = 200;

/// Payments, newest first, by any of these; `next` of the answer is `after` of the next page.
#[utoipa::path(get, path = "/v1/payments", params(ListQuery), responses((status = 200, body = api::Payments)))]
pub(crate) async fn list(
    State(web): State<Web>,
    who: Who,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<api::Payments>, ApiError> {
    who.need(Scope::PaymentsRead)?;
    let Query(query) = query.map_err(|rejection| {
        ApiError::parameters(
            &rejection,
            "order_id, reference, state, entered_by, caller_number, last4, approval_code, operator, site, created_from, created_to, training (true or false), disputed (true or false), after (the next of the page before), limit (1 to 200), and tenant for an admin",
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
        caller_number: query
            .caller_number
            .map(|n| number("caller_number", n))
            .transpose()?,
        last4: query.last4.map(last4).transpose()?,
        approval_code: query.approval_code,
        operator: query
            .operator
            .map(|o| id("operator", OperatorId::new(o)))
            .transpose()?,
        site: query.site.map(|s| id("site", SiteId::new(s))).transpose()?,
        since_ms: query
            .created_from
            .map(|t| time("created_from", &t))
            .transpose()?,
        until_ms: query
            .created_to
            .map(|t| time("created_to", &t))
            .transpose()?,
        before: query.after.map(|a| id("after", a.parse())).transpose()?,
        disputed: query.disputed,
        training: query.training.unwrap_or(false),
        // One more than is shown says whether there is another page.
        limit: Some(limit + 1),
    };
    let mut payments = web.journal.payments(&filter).await?;
    let more = cut(&mut payments, limit);
    Ok(Json(api::Payments {
        next: payments.last().filter(|_| more).map(|payment| payment.id),
        payments: payments.iter().map(view).collect(),
    }))
}

/// The end of a card's number: no more of it is ever looked for.
fn last4(text: String) -> Result<String, ApiError> {
    let is_last4 = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    is_last4
        .then_some(text)
        .ok_or_else(|| ApiError::invalid("last4: four digits"))
}

/// How many things a list shows.
pub(crate) fn limit(asked: Option<u32>) -> Result<u32, ApiError> {
    let limit = asked.unwrap_or(50);
    if !(1..=LIST_MAX).contains(&limit) {
        return Err(ApiError::invalid("limit: 1 to 200"));
    }
    Ok(limit)
}

/// Leaves a page of what one more than that was asked for; says whether there is another one behind it.
pub(crate) fn cut<T>(found: &mut Vec<T>, limit: u32) -> bool {
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > shown;
    found.truncate(shown);
    more
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

/// One payment.
#[utoipa::path(get, path = "/v1/payments/{id}", params(("id" = String, Path, format = "uuid")), responses((status = 200, body = api::Payment)))]
pub(crate) async fn show(
    State(web): State<Web>,
    who: Who,
    payment: Result<Path<String>, PathRejection>,
) -> Result<Json<api::Payment>, ApiError> {
    who.need(Scope::PaymentsRead)?;
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
        description: payment.attached.description.clone(),
        parameters: payment.attached.parameters.clone(),
        expires_at: payment.expires_ms.map(rfc3339),
        created_at: rfc3339(payment.created_ms),
        disputed: payment.disputed.as_ref().map(|dispute| api::Disputed {
            since: rfc3339(dispute.since_ms),
            by: dispute.by.to_string(),
            reason: dispute.reason.clone(),
        }),
        updated_at: rfc3339(payment.updated_ms),
    }
}

/// How keys begin under which a second person's word is done.
pub(crate) const OUR_KEYS: &str = "approval-";

pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let is_key = |k: &&str| {
        // The hash of a card number is a card number. A UUID is none, whatever its digits.
        let is_card = uuid::Uuid::parse_str(k).is_err() && ivrpay_journal::looks_like_card(k);
        let is_ours = k.starts_with(OUR_KEYS);
        !k.is_empty() && k.len() <= IDEMPOTENCY_KEY_MAX && !is_card && !is_ours
    };
    let key = value.to_str().ok().filter(is_key);
    key.map(|k| Some(k.to_owned()))
        .ok_or_else(|| ApiError::invalid("Idempotency-Key: 1 to 255 visible ASCII characters, nothing that could be a card number, and not beginning with approval-, as our own do"))
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
