//! `GET /v1/payments/{id}/evidence`: all that can be shown of a payment to somebody who was not there, with what he needs to check it.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use ivrpay_api as api;
use ivrpay_journal::{ChainHead, Record};

use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::payments::{own, payment_id, rfc3339, view};
use crate::{Web, later, receipts, story};

/// How somebody else checks it.
const HOW: &str = "Each record's hash is SHA-256 over, in this order: writer, payment id, operation id (empty where there is none), kind and body, each as its length in bytes (8 bytes, big-endian) and its UTF-8; then number, epoch, version and at_ms (8 bytes each, big-endian, two's complement); then the hash of the record before of the same writer. Hashes are hexadecimal, in groups of eight. The service writes the end of each chain into its log each hour (chain-head); one that was kept elsewhere proves, by `ivrpay journal verify --anchor FILE`, that no record up to it was changed since.";

/// The page needs a little of its own style, and nothing else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
);

/// What was asked, when, by whom and what was answered; who keyed the card and what was seen to meanwhile; the acquirer's references, receipts, and
/// the records of the journal with their hashes. JSON; with `Accept: text/html` one page.
#[utoipa::path(
    get, path = "/v1/payments/{id}/evidence", params(("id" = String, Path, format = "uuid")),
    responses((status = 200, content((api::Evidence = "application/json"), (String = "text/html"))))
)]
pub(crate) async fn show(
    State(web): State<Web>,
    who: Who,
    payment: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    who.need(Scope::PaymentsRead)?;
    let payment = own(&web, &who, payment_id(payment)?).await?;
    let operations = web.journal.operations(payment.id).await?;
    let records = web.journal.records(payment.id).await?;
    let heads = web.journal.heads().await?;
    // Whoever reads it was not there: what charges a card again, and what is the merchant's own, is not for him.
    let mut shown = view(&payment);
    shown.payment_token = None;
    shown.parameters.clear();
    if !payment.transaction.moves_money() {
        shown.acquirer_ref = None;
    }
    let receipts = match who.may(Scope::Receipts) {
        true => receipts::all(&web, &payment, payment.id).await?,
        false => Vec::new(),
    };
    let evidence = api::Evidence {
        made_at: rfc3339(web.now_ms()),
        payment: shown,
        caller_number: payment.caller_number.clone(),
        prompt_version: payment.prompt_version.clone(),
        story: story::of(&web, &payment).await?.entries,
        operations: operations.iter().map(later::shown).collect(),
        receipts,
        records: records.iter().map(record).collect(),
        // Those of other services have nothing to do with it.
        heads: heads
            .iter()
            .filter(|head| records.iter().any(|record| record.writer == head.writer))
            .map(ChainHead::to_string)
            .collect(),
        how_to_check: HOW.to_owned(),
    };
    let wanted = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    if wanted.is_some_and(|wanted| wanted.contains("text/html")) {
        let page = Html(page(&evidence));
        return Ok(([(header::CONTENT_SECURITY_POLICY, POLICY)], page).into_response());
    }
    Ok(Json(evidence).into_response())
}

fn record(record: &Record) -> api::EvidenceRecord {
    api::EvidenceRecord {
        writer: record.writer.clone(),
        number: record.number,
        epoch: record.epoch,
        version: record.version,
        at_ms: record.at_ms,
        operation_id: record.operation.map(|id| id.to_string()),
        kind: record.kind.clone(),
        body: record.text.clone(),
        hash: grouped(&record.hash),
        before: grouped(&record.before),
    }
}

/// In groups of eight, as [`ChainHead`] is written: no row of digits that could be taken for a card's.
fn grouped(hash: &[u8; 32]) -> String {
    let four = hash
        .chunks(4)
        .map(|four| four.iter().map(|byte| format!("{byte:02x}")).collect());
    four.collect::<Vec<String>>().join("-")
}

/// What others have written is text, whatever it looks like.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#1a1a1a}table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25em .6em;border-bottom:1px solid #ccc}td.m{font-family:monospace;font-size:12px;overflow-wrap:anywhere}@media print{body{margin:0}}";

struct Page(String);

impl Page {
    fn head(&mut self, text: &str) {
        self.0.push_str(&format!("<h2>{}</h2>", escaped(text)));
    }

    fn table(&mut self, heads: &[&str], rows: impl Iterator<Item = Vec<String>>, mono: bool) {
        self.0.push_str("<table><thead><tr>");
        for head in heads {
            self.0
                .push_str(&format!("<th scope=\"col\">{}</th>", escaped(head)));
        }
        self.0.push_str("</tr></thead><tbody>");
        let cell = if mono { "<td class=\"m\">" } else { "<td>" };
        for row in rows {
            self.0.push_str("<tr>");
            for text in row {
                self.0.push_str(&format!("{cell}{}</td>", escaped(&text)));
            }
            self.0.push_str("</tr>");
        }
        self.0.push_str("</tbody></table>");
    }
}

fn page(evidence: &api::Evidence) -> String {
    let p = &evidence.payment;
    let mut page = Page(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Payment {id}</title><style>{STYLE}</style></head><body><h1>Payment {id}</h1><p>Made {at}. Of the card there is its brand and its last four digits, and no more anywhere.</p>",
        id = escaped(&p.id.to_string()),
        at = escaped(&evidence.made_at)
    ));
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let card = match (p.brand, &p.last4) {
        (Some(brand), Some(last4)) => format!("{} {last4}", brand.name()),
        _ => String::new(),
    };
    let plan = match (&p.payment_plan, p.payment_plan_count) {
        (Some(plan), Some(count)) => format!("{plan}, {count}"),
        (plan, _) => text(plan),
    };
    let facts = [
        ("Merchant", p.tenant.clone()),
        ("Order", text(&p.order_id)),
        ("State", p.state.name().to_owned()),
        (
            "Amount, minor units",
            format!("{} {}", p.amount, p.currency),
        ),
        (
            "Captured",
            p.captured
                .map(|minor| minor.to_string())
                .unwrap_or_default(),
        ),
        ("Given back", p.refunded.to_string()),
        ("Card", card),
        ("Paid back", plan),
        ("Who keyed the card", p.entered_by.clone()),
        ("Operator", text(&p.operator)),
        ("Caller's number", text(&evidence.caller_number)),
        ("Approval code", text(&p.approval_code)),
        ("Acquirer's reference", text(&p.acquirer_ref)),
        ("Connector", p.connector.clone()),
        ("Mode", p.mode.clone()),
        ("Prompts, version", evidence.prompt_version.clone()),
        (
            "Disputed",
            p.disputed
                .as_ref()
                .map(|d| format!("since {} by {}: {}", d.since, d.by, d.reason))
                .unwrap_or_default(),
        ),
    ];
    let facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
    page.table(
        &["What", "Is"],
        facts.map(|(name, value)| vec![name.to_owned(), value]),
        false,
    );
    page.head("What happened");
    let story = evidence.story.iter().map(|entry| {
        let who = match &entry.via {
            Some(via) => format!("{} ({via})", entry.who),
            None => entry.who.clone(),
        };
        let note = entry
            .detail
            .note
            .as_ref()
            .map(|note| format!(": {note}"))
            .unwrap_or_default();
        vec![
            entry.at.clone(),
            who,
            entry.what.clone(),
            format!("{}{note}", entry.detail.text),
        ]
    });
    page.table(&["When", "Who", "What", ""], story, false);
    page.head("What acquirers were asked");
    let operations = evidence.operations.iter().map(|o| {
        vec![
            o.at.clone(),
            o.kind.clone(),
            o.amount.to_string(),
            o.state.clone(),
            o.connector.clone(),
            o.acquirer_order.clone(),
            text(&o.acquirer_ref),
        ]
    });
    page.table(
        &[
            "When",
            "What",
            "Minor units",
            "Answer",
            "Connector",
            "Our order number there",
            "Its reference",
        ],
        operations,
        false,
    );
    if !evidence.receipts.is_empty() {
        page.head("Receipts");
        let receipts = evidence.receipts.iter().map(|r| {
            vec![
                r.issued_at.clone(),
                r.number.clone(),
                r.issue.to_string(),
                r.amount.to_string(),
                r.by.clone(),
            ]
        });
        page.table(
            &["When", "Number", "Issue", "Minor units", "By"],
            receipts,
            false,
        );
    }
    page.head("Records of the journal");
    page.0.push_str(&format!("<p>{}</p>", escaped(HOW)));
    let records = evidence.records.iter().map(|r| {
        vec![
            r.writer.clone(),
            r.number.to_string(),
            format!("{} / {}", r.epoch, r.version),
            r.at_ms.to_string(),
            text(&r.operation_id),
            r.kind.clone(),
            r.body.clone(),
            r.hash.clone(),
            r.before.clone(),
        ]
    });
    page.table(
        &[
            "Writer",
            "No.",
            "Epoch / version",
            "at_ms",
            "Operation",
            "Kind",
            "Body",
            "Hash",
            "Hash before",
        ],
        records,
        true,
    );
    page.head("Ends of the chains now");
    page.table(
        &["Chain"],
        evidence.heads.iter().map(|head| vec![head.clone()]),
        true,
    );
    page.0.push_str("</body></html>");
    page.0
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_others_have_written_is_text() {
        assert_eq!(
            escaped("<img src=x onerror='a(\"b\")'> & 茶"),
            "&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt; &amp; 茶"
        );
    }
}
