//! SQL of receipts.

use ivrpay_payment::{PaymentId, TenantId};

use super::{DAMAGED, Store, Tx, bytes32, document, parsed};
use crate::db::{On, Row, query};
use crate::receipts::IssuedReceipt;
use crate::types::By;
use crate::{Error, chain};

async fn receipts<'a>(
    on: impl Into<On<'a>>,
    payment: PaymentId,
) -> Result<Vec<IssuedReceipt>, Error> {
    let rows = query(
        "SELECT r.*, t.text AS template_text FROM receipts r JOIN receipt_templates t ON t.hash = r.template
         WHERE r.payment = ?1 ORDER BY r.issued_ms, r.number, r.issue",
    )
    .bind(payment.to_string())
    .fetch_all(on)
    .await?;
    rows.iter().map(receipt).collect()
}

fn receipt(row: &Row) -> Result<IssuedReceipt, Error> {
    Ok(IssuedReceipt {
        tenant: parsed(row, "tenant")?.ok_or(DAMAGED)?,
        number: row.try_get("number")?,
        issue: row.try_get("issue")?,
        kind: row.try_get("kind")?,
        payment: parsed(row, "payment")?.ok_or(DAMAGED)?,
        amount_minor: row.try_get::<i64>("amount_minor")?.cast_unsigned(),
        content: document(row, "content")?.ok_or(DAMAGED)?,
        hash: bytes32(row, "hash")?,
        template: row.try_get("template_text")?,
        by: By {
            person: parsed(row, "person")?.ok_or(DAMAGED)?,
            via: row.try_get("via")?,
        },
        issued_ms: row.try_get("issued_ms")?,
    })
}

impl Store {
    pub(crate) async fn receipts(&self, payment: PaymentId) -> Result<Vec<IssuedReceipt>, Error> {
        receipts(&self.reads, payment).await
    }
}

impl Tx<'_> {
    pub(crate) async fn receipts(
        &mut self,
        payment: PaymentId,
    ) -> Result<Vec<IssuedReceipt>, Error> {
        receipts(self.on(), payment).await
    }

    /// The last number of a series; 0 for none.
    pub(crate) async fn last_receipt(
        &mut self,
        tenant: &TenantId,
        prefix: &str,
    ) -> Result<i64, Error> {
        let row = query("SELECT last FROM receipt_numbers WHERE tenant = ?1 AND prefix = ?2")
            .bind(tenant.as_str())
            .bind(prefix)
            .fetch_optional(self.on())
            .await?;
        Ok(match row {
            Some(row) => row.try_get("last")?,
            None => 0,
        })
    }

    pub(crate) async fn take_receipt_number(
        &mut self,
        tenant: &TenantId,
        prefix: &str,
        number: i64,
    ) -> Result<(), Error> {
        query(
            "INSERT INTO receipt_numbers (tenant, prefix, last) VALUES (?1, ?2, ?3)
             ON CONFLICT (tenant, prefix) DO UPDATE SET last = excluded.last",
        )
        .bind(tenant.as_str())
        .bind(prefix)
        .bind(number)
        .execute(self.on())
        .await?;
        Ok(())
    }

    pub(crate) async fn insert_receipt(
        &mut self,
        receipt: &IssuedReceipt,
        content: &str,
    ) -> Result<(), Error> {
        let template = chain::digest(receipt.template.as_bytes());
        query("INSERT INTO receipt_templates (hash, text) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING")
            .bind(template.as_slice())
            .bind(&receipt.template)
            .execute(self.on())
            .await?;
        query(
            "INSERT INTO receipts (tenant, number, issue, kind, payment, amount_minor, content, hash, template, person, via, issued_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )
        .bind(receipt.tenant.as_str())
        .bind(&receipt.number)
        .bind(receipt.issue)
        .bind(&receipt.kind)
        .bind(receipt.payment.to_string())
        .bind(receipt.amount_minor.cast_signed())
        .bind(content)
        .bind(receipt.hash.as_slice())
        .bind(template.as_slice())
        .bind(receipt.by.person.as_str())
        .bind(&receipt.by.via)
        .bind(receipt.issued_ms)
        .execute(self.on())
        .await?;
        Ok(())
    }
}
