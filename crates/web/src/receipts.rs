//! `/v1/payments/{id}/receipts`: receipts (領収書) of what was charged and given back.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ivrpay_api as api;
use ivrpay_journal::{
    IssuedReceipt, MadeReceipt, Mode, Operation, OperationState, Payment, ReceiptError, ReceiptOf,
    TRAINING, looks_like_card,
};
use ivrpay_payment::{OperationKind, PaymentId, State as PaymentState};
use ivrpay_receipt::{
    Card, Font, Issuer, Kind, Language, Line, Receipt, Refused, Sale, Template, Wish,
};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::Web;
use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::payments::{NO_PAYMENT, own, payment_id, rfc3339};
use crate::tasks::by;

/// How a merchant issues receipts.
pub struct Receipts {
    /// Who, and by which rules.
    pub issuer: Issuer,
    /// Whether the language of the call is none of a receipt's: the issuer's counts for all.
    pub one_language: bool,
    /// What every number begins with.
    pub prefix: String,
    /// By which days are counted.
    pub zone: TimeZone,
    /// How they look, in Japanese and in English.
    pub templates: [Template; 2],
    /// By which they are written.
    pub font: Font,
}

impl fmt::Debug for Receipts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipts")
            .field("issuer", &self.issuer)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Receipts {
    fn template(&self, language: Language) -> &Template {
        let [ja, en] = &self.templates;
        match language {
            Language::Ja => ja,
            Language::En => en,
        }
    }

    fn day(&self, at_ms: i64) -> Date {
        let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
        at.to_zoned(self.zone.clone()).date()
    }
}

const NO_RECEIPT: &str = "there is no such receipt";

/// Why there is none.
enum Why {
    /// By law, or by what was said.
    Law(Refused),
    /// The payment is not one of which there is a receipt.
    Not(String),
    Text(&'static str),
    Glyph(char),
    Internal,
}

impl From<Refused> for Why {
    fn from(refused: Refused) -> Self {
        Self::Law(refused)
    }
}

impl From<ReceiptError<Why>> for ApiError {
    fn from(error: ReceiptError<Why>) -> Self {
        match error {
            ReceiptError::NotFound => Self::not_found(NO_PAYMENT),
            ReceiptError::Journal(error) => error.into(),
            ReceiptError::Refused(why) => match why {
                Why::Law(Refused::NothingBack) => {
                    Self::not_possible(Refused::NothingBack.to_string())
                }
                Why::Law(refused) => Self::invalid(refused.to_string()),
                Why::Not(text) => Self::not_possible(text),
                Why::Text(field) => {
                    Self::invalid(format!("{field}: nothing that could be a card number"))
                }
                Why::Glyph(letter) => Self::invalid(format!(
                    "the font of [tenants.receipt] has no glyph for {letter:?}: write it otherwise, or name another font"
                )),
                Why::Internal => Self::internal(),
            },
        }
    }
}

/// Issues a receipt of what was charged; once there is one, issues it again, which it then says. With `kind` `return`: of what was given back since.
#[utoipa::path(
    post, path = "/v1/payments/{id}/receipts", params(("id" = String, Path, format = "uuid")), request_body = api::IssueReceipt,
    responses((status = 201, body = api::Receipt))
)]
pub(crate) async fn issue(
    State(web): State<Web>,
    who: Who,
    payment: Result<Path<String>, PathRejection>,
    body: Result<Json<api::IssueReceipt>, JsonRejection>,
) -> Result<Response, ApiError> {
    who.need(Scope::Receipts)?;
    let Json(body) = body?;
    let id = payment_id(payment)?;
    let by = by(&who, body.by.clone())?;
    let payment = own(&web, &who, id).await?;
    let receipts = of_tenant(&web, &payment)?;
    let wish = wish(&body)?;
    // Issued again, it speaks as it did.
    let before = web.journal.receipts(id).await?;
    let before = before.iter().map(content).next_back().transpose()?;
    let spoken = wish.language.or(before.map(|before| before.language));
    let language = spoken.unwrap_or_else(|| language(&receipts, &payment));
    let template = receipts.template(language).text().to_owned();
    let prefix = match payment.mode {
        Mode::Live => receipts.prefix.clone(),
        Mode::Test => format!("TEST-{}", receipts.prefix),
    };
    let today = receipts.day(web.now_ms());
    let wish = Wish {
        language: Some(language),
        ..wish
    };
    let kind = body.kind;
    let make = move |of: &ReceiptOf<'_>| made(&receipts, of, kind, &wish, today);
    let issued = web
        .journal
        .issue_receipt(id, &prefix, &template, &by, make)
        .await?;
    let location = format!("/v1/payments/{id}/receipts/{}", issued.number);
    let shown = view(&payment, &issued)?;
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(shown),
    )
        .into_response())
}

/// What was issued of a payment, oldest first.
#[utoipa::path(get, path = "/v1/payments/{id}/receipts", params(("id" = String, Path, format = "uuid")), responses((status = 200, body = api::Receipts)))]
pub(crate) async fn list(
    State(web): State<Web>,
    who: Who,
    payment: Result<Path<String>, PathRejection>,
) -> Result<Json<api::Receipts>, ApiError> {
    who.need(Scope::Receipts)?;
    let payment = own(&web, &who, payment_id(payment)?).await?;
    let issued = web.journal.receipts(payment.id).await?;
    let receipts = issued
        .iter()
        .map(|one| view(&payment, one))
        .collect::<Result<_, _>>()?;
    Ok(Json(api::Receipts { receipts }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShowQuery {
    /// Which issue of it; the last when absent.
    issue: Option<u32>,
}

/// One of them: JSON, with `Accept: application/pdf` the file, with `Accept: text/plain` the text. Always as it was issued.
#[utoipa::path(
    get, path = "/v1/payments/{id}/receipts/{number}",
    params(("id" = String, Path, format = "uuid"), ("number" = String, Path), ShowQuery),
    responses((status = 200, content((api::Receipt = "application/json"), (String = "application/pdf"), (String = "text/plain"))))
)]
pub(crate) async fn show(
    State(web): State<Web>,
    who: Who,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<ShowQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    who.need(Scope::Receipts)?;
    let Path((payment, number)) = path.map_err(|_| ApiError::not_found(NO_RECEIPT))?;
    let Query(query) = query.map_err(|r| ApiError::parameters(&r, "issue"))?;
    let payment = own(&web, &who, payment_id(Ok(Path(payment)))?).await?;
    let all = web.journal.receipts(payment.id).await?.into_iter();
    let of_it = all
        .filter(|one| one.number == number && query.issue.is_none_or(|issue| issue == one.issue));
    let found = of_it.max_by_key(|one| one.issue);
    let issued = found.ok_or_else(|| ApiError::not_found(NO_RECEIPT))?;
    let wanted = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let wanted = wanted.unwrap_or_default();
    if wanted.contains("application/pdf") {
        let receipts = of_tenant(&web, &payment)?;
        let name = format!(
            "attachment; filename=\"{}-{}.pdf\"",
            issued.number, issued.issue
        );
        let bytes = file(receipts, &issued).await?;
        let head = [
            (header::CONTENT_TYPE, "application/pdf".to_owned()),
            (header::CONTENT_DISPOSITION, name),
        ];
        return Ok((head, bytes).into_response());
    }
    if wanted.contains("text/plain") {
        let text = ivrpay_receipt::plain(&content(&issued)?);
        return Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response());
    }
    Ok(Json(view(&payment, &issued)?).into_response())
}

/// The PDF of a receipt, as it was issued.
async fn file(receipts: Arc<Receipts>, issued: &IssuedReceipt) -> Result<Vec<u8>, ApiError> {
    let (content, text) = (content(issued)?, issued.template.clone());
    let drawn = tokio::task::spawn_blocking(move || {
        let template = Template::read(&text).ok()?;
        ivrpay_receipt::pdf(&content, &template, &receipts.font).ok()
    });
    drawn.await.ok().flatten().ok_or_else(|| {
        ApiError::not_possible("the font of [tenants.receipt] is another one than that by which the receipt was issued, and lacks a letter of it")
    })
}

fn of_tenant(web: &Web, payment: &Payment) -> Result<Arc<Receipts>, ApiError> {
    let tenant = web
        .tenants
        .iter()
        .find(|tenant| tenant.id == payment.tenant);
    let receipts = tenant.and_then(|tenant| tenant.receipts.clone());
    receipts.ok_or_else(|| {
        ApiError::not_possible("this merchant issues no receipts: set [tenants.receipt]")
    })
}

fn language(receipts: &Receipts, payment: &Payment) -> Language {
    match &*payment.language {
        _ if receipts.one_language => receipts.issuer.language,
        "ja" => Language::Ja,
        "en" => Language::En,
        _ => receipts.issuer.language,
    }
}

fn wish(body: &api::IssueReceipt) -> Result<Wish, ApiError> {
    let day = |text: &String| {
        text.parse::<Date>()
            .map_err(|_| ApiError::invalid("sold_on: a day, as 2026-11-27"))
    };
    let lines = body.lines.iter().map(|line| {
        let rate = line.rate.parse();
        Ok(Line {
            description: line.description.clone(),
            amount: line.amount,
            rate: rate.map_err(|e| ApiError::invalid(format!("rate: {e}")))?,
        })
    });
    Ok(Wish {
        recipient: body.recipient.clone(),
        purpose: body.purpose.clone(),
        lines: lines.collect::<Result<_, ApiError>>()?,
        sold_on: body.sold_on.as_ref().map(day).transpose()?,
        language: body.language.map(|language| match language {
            api::ReceiptLanguage::Ja => Language::Ja,
            api::ReceiptLanguage::En => Language::En,
        }),
    })
}

/// What is issued, of all that is known of the payment in this moment.
fn made(
    receipts: &Receipts,
    of: &ReceiptOf<'_>,
    kind: api::ReceiptKind,
    wish: &Wish,
    today: Date,
) -> Result<MadeReceipt, Why> {
    let payment = of.payment;
    if payment.connector == TRAINING {
        return Err(Why::Not(
            "practice is paid by nobody: there is no receipt of it".to_owned(),
        ));
    }
    if !payment.transaction.moves_money() {
        return Err(Why::Not(
            "nothing was charged: the card was stored or checked".to_owned(),
        ));
    }
    let before: Vec<Receipt> = of
        .before
        .iter()
        .map(content)
        .collect::<Result<_, _>>()
        // What can't be read is not issued as if it had never been.
        .map_err(|_| Why::Internal)?;
    let returns: Vec<Receipt> = before
        .iter()
        .filter(|one| one.kind == Kind::Return)
        .cloned()
        .collect();
    // By its count: two services' clocks differ.
    let last = before
        .iter()
        .filter(|one| one.kind == Kind::Receipt)
        .max_by_key(|one| one.issue);
    let receipt = match kind {
        api::ReceiptKind::Receipt => {
            let sale = sale(receipts, of)?;
            match last {
                Some(last) => ivrpay_receipt::reissue(
                    &receipts.issuer,
                    &sale,
                    wish,
                    last,
                    !returns.is_empty(),
                    today,
                )?,
                None => Receipt {
                    number: of.next.to_owned(),
                    ..ivrpay_receipt::issue(&receipts.issuer, &sale, wish, today)?
                },
            }
        }
        api::ReceiptKind::Return => {
            let last = last.ok_or_else(|| {
                Why::Not(
                    "there is no receipt of which something could be given back: issue it first"
                        .to_owned(),
                )
            })?;
            let said: u64 = returns.iter().map(|one| one.total).sum();
            let back = given_back(payment, last).saturating_sub(said);
            let kinds = [OperationKind::Refund, OperationKind::Void];
            let day = approved(of.operations, &kinds).map_or(today, |at_ms| receipts.day(at_ms));
            Receipt {
                number: of.next.to_owned(),
                ..ivrpay_receipt::give_back(
                    &receipts.issuer,
                    last,
                    &returns,
                    (back, day),
                    wish,
                    today,
                )?
            }
        }
    };
    let text = ivrpay_receipt::plain(&receipt);
    if let Some(letter) = receipts.font.lacks(&text) {
        return Err(Why::Glyph(letter));
    }
    let texts = [Some(&receipt.purpose), receipt.recipient.as_ref()];
    let lines = receipt.lines.iter().map(|line| &line.description);
    if texts
        .into_iter()
        .flatten()
        .chain(lines)
        .any(|text| looks_like_card(text))
    {
        return Err(Why::Text("recipient, purpose and lines"));
    }
    Ok(MadeReceipt {
        number: receipt.number.clone(),
        issue: receipt.issue,
        kind: receipt.kind.name(),
        amount_minor: receipt.total,
        content: serde_json::to_value(&receipt).map_err(|_| Why::Internal)?,
        text,
    })
}

/// What was charged, where something was.
fn sale(receipts: &Receipts, of: &ReceiptOf<'_>) -> Result<Sale, Why> {
    let payment = of.payment;
    let amount = match (payment.state, payment.captured_minor) {
        (PaymentState::Approved, Some(amount)) => amount,
        (PaymentState::Approved, None) => {
            return Err(Why::Not(
                "the amount is reserved and not taken: there is a receipt once it is captured"
                    .to_owned(),
            ));
        }
        (PaymentState::Unknown, _) => {
            return Err(Why::Not(
                "nobody knows yet whether it was charged: inquire first".to_owned(),
            ));
        }
        (state, _) => {
            return Err(Why::Not(format!(
                "the payment is {}: there is a receipt of what was charged alone",
                state.name()
            )));
        }
    };
    let kinds = [OperationKind::Charge, OperationKind::Capture];
    let paid_ms = approved(of.operations, &kinds).unwrap_or(payment.updated_ms);
    Ok(Sale {
        payment: payment.id.to_string(),
        order: payment.order.as_ref().map(ToString::to_string),
        amount,
        currency: payment.amount.currency(),
        paid_on: receipts.day(paid_ms),
        card: payment.card.map(|card| Card {
            brand: card.brand.name().to_owned(),
            last4: card.last4_text(),
            plan: payment.plan.name().to_owned(),
            count: payment.plan.count(),
        }),
        test: payment.mode == Mode::Test,
    })
}

/// Of a charge that was undone, all of it.
fn given_back(payment: &Payment, receipt: &Receipt) -> u64 {
    if payment.state == PaymentState::Voided {
        receipt.total
    } else {
        payment.refunded_minor
    }
}

/// When the last of these that was approved was sent: what became of it may have been learnt days later.
fn approved(operations: &[Operation], kinds: &[OperationKind]) -> Option<i64> {
    let mut of = operations.iter().rev();
    of.find(|one| one.state == OperationState::Approved && kinds.contains(&one.kind))
        .map(|one| one.created_ms)
}

/// What it says, of what is kept.
fn content(issued: &IssuedReceipt) -> Result<Receipt, ApiError> {
    serde_json::from_value(issued.content.clone()).map_err(|_| ApiError::internal())
}

fn view(payment: &Payment, issued: &IssuedReceipt) -> Result<api::Receipt, ApiError> {
    let receipt = content(issued)?;
    Ok(api::Receipt {
        number: issued.number.clone(),
        issue: issued.issue,
        kind: match receipt.kind {
            Kind::Receipt => api::ReceiptKind::Receipt,
            Kind::Return => api::ReceiptKind::Return,
        },
        payment_id: payment.id,
        order_id: receipt.order.clone(),
        amount: receipt.total,
        currency: receipt.currency.to_string(),
        issued_at: rfc3339(issued.issued_ms),
        issued_on: receipt.issued_on.to_string(),
        sold_on: receipt.sold_on.to_string(),
        by: issued.by.person.to_string(),
        language: match receipt.language {
            Language::Ja => api::ReceiptLanguage::Ja,
            Language::En => api::ReceiptLanguage::En,
        },
        recipient: receipt.recipient.clone(),
        purpose: receipt.purpose.clone(),
        lines: receipt
            .lines
            .iter()
            .map(|line| api::ReceiptLine {
                description: line.description.clone(),
                amount: line.amount,
                rate: line.rate.to_string(),
            })
            .collect(),
        taxes: receipt
            .sums
            .iter()
            .map(|sum| api::ReceiptTax {
                rate: sum.rate.to_string(),
                gross: sum.gross,
                tax: sum.tax,
            })
            .collect(),
        original: receipt
            .original
            .as_ref()
            .map(|original| original.number.clone()),
        test: receipt.test,
        content_hash: issued
            .hash
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        text: ivrpay_receipt::plain(&receipt),
        path: format!("/v1/payments/{}/receipts/{}", payment.id, issued.number),
    })
}

/// For the evidence of a payment.
pub(crate) async fn all(
    web: &Web,
    payment: &Payment,
    id: PaymentId,
) -> Result<Vec<api::Receipt>, ApiError> {
    let issued = web.journal.receipts(id).await?;
    issued.iter().map(|one| view(payment, one)).collect()
}
