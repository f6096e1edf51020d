//! Receipts: what was issued stays as it was, under numbers without a gap in each series of a merchant.
//!
//! A number is given in the transaction that keeps its document: what fails takes none. What a document says is its maker's to decide, who sees the
//! payment and all that was issued of it before, with nobody else in between.

use ivrpay_payment::{PaymentId, TenantId};
use serde_json::{Value, json};

use crate::journal::{Journal, fresh_id};
use crate::store::{Durability, Tx};
use crate::types::{By, Operation, Payment};
use crate::{Error, ReceiptError, chain};

/// A document that was issued.
#[derive(Debug, Clone, PartialEq)]
pub struct IssuedReceipt {
    /// Whose.
    pub tenant: TenantId,
    /// Its number.
    pub number: String,
    /// 1, and more for each time that it was issued again.
    pub issue: u32,
    /// `receipt` or `return`.
    pub kind: String,
    /// Of which payment.
    pub payment: PaymentId,
    /// Minor units.
    pub amount_minor: u64,
    /// All that it says.
    pub content: Value,
    /// SHA-256 of that, as it is kept.
    pub hash: [u8; 32],
    /// The template that it was made by.
    pub template: String,
    /// Who issued it.
    pub by: By,
    /// When, UTC milliseconds.
    pub issued_ms: i64,
}

/// What is to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct MadeReceipt {
    /// The number that was offered, or that of the document which this is again.
    pub number: String,
    /// 1, and more for each time that it is issued again.
    pub issue: u32,
    /// `receipt` or `return`.
    pub kind: &'static str,
    /// Minor units.
    pub amount_minor: u64,
    /// All that it says.
    pub content: Value,
    /// The same in words, for a message to the customer.
    pub text: String,
}

/// What a document is made of.
pub struct ReceiptOf<'a> {
    /// The payment.
    pub payment: &'a Payment,
    /// All that was asked of acquirers about it.
    pub operations: &'a [Operation],
    /// What was issued of it, oldest first.
    pub before: &'a [IssuedReceipt],
    /// The next number of the series.
    pub next: &'a str,
}

impl Journal {
    /// Issues a document of a payment: `make` says which, or why not. It takes the next number of the series, `prefix` and six digits or more,
    /// or that of one before.
    ///
    /// # Errors
    /// [`ReceiptError`]; no number is taken then.
    pub async fn issue_receipt<E>(
        &self,
        payment: PaymentId,
        prefix: &str,
        template: &str,
        by: &By,
        make: impl FnOnce(&ReceiptOf<'_>) -> Result<MadeReceipt, E> + Send,
    ) -> Result<IssuedReceipt, ReceiptError<E>> {
        let mut tx = self
            .begin(Durability::Synced)
            .await
            .map_err(ReceiptError::Journal)?;
        let issued = issue(&mut tx, payment, (prefix, template), by, make).await;
        tx.end(issued).await
    }

    /// What was issued of a payment, oldest first.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn receipts(&self, payment: PaymentId) -> Result<Vec<IssuedReceipt>, Error> {
        self.store().receipts(payment).await
    }
}

async fn issue<E>(
    tx: &mut Tx<'_>,
    id: PaymentId,
    (prefix, template): (&str, &str),
    by: &By,
    make: impl FnOnce(&ReceiptOf<'_>) -> Result<MadeReceipt, E> + Send,
) -> Result<IssuedReceipt, ReceiptError<E>> {
    let payment = tx.payment(id).await?.ok_or(ReceiptError::NotFound)?;
    let operations = tx.operations(id).await?;
    let last = tx.last_receipt(&payment.tenant, prefix).await?;
    let next = format!("{prefix}{:06}", last + 1);
    let before = tx.receipts(id).await?;
    let made = make(&ReceiptOf {
        payment: &payment,
        operations: &operations,
        before: &before,
        next: &next,
    });
    let made = made.map_err(ReceiptError::Refused)?;
    if made.number == next {
        tx.take_receipt_number(&payment.tenant, prefix, last + 1)
            .await?;
    }
    let content = made.content.to_string();
    let receipt = IssuedReceipt {
        tenant: payment.tenant.clone(),
        number: made.number,
        issue: made.issue,
        kind: made.kind.to_owned(),
        payment: id,
        amount_minor: made.amount_minor,
        hash: chain::digest(content.as_bytes()),
        content: made.content,
        template: template.to_owned(),
        by: by.clone(),
        issued_ms: tx.now_ms,
    };
    tx.insert_receipt(&receipt, &content).await?;
    // The hash in groups: no row of digits that could be taken for a card's.
    let hash: Vec<String> = receipt
        .hash
        .chunks(4)
        .map(|four| four.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    let body = json!({
        "number": receipt.number, "issue": receipt.issue, "kind": receipt.kind, "amount_minor": receipt.amount_minor,
        "content_hash": hash.join("-"), "by": by.person, "via": by.via,
    });
    tx.append("receipt", &payment, None, body).await?;
    let told = json!({
        "number": receipt.number, "issue": receipt.issue, "kind": receipt.kind, "amount": receipt.amount_minor,
        "path": format!("/v1/payments/{id}/receipts/{}", receipt.number), "text": made.text,
    });
    let event = fresh_id(tx.now_ms);
    tx.insert_event_of(event, &payment, "receipt.issued", Some(("receipt", told)))
        .await?;
    Ok(receipt)
}
