//! SQL of the parts of orders.

use ivrpay_payment::{OrderId, PaymentId, State, TenantId};

use super::{DAMAGED, Store, Tx, holds_order, minor, money, named, parsed};
use crate::Error;
use crate::db::{On, query};
use crate::parts::Part;
use crate::types::PartKind;

async fn parts<'a>(
    on: impl Into<On<'a>>,
    tenant: &TenantId,
    order: &OrderId,
) -> Result<Vec<Part>, Error> {
    let rows = query(concat!(
        "SELECT s.*, p.state AS held FROM order_parts s
         LEFT JOIN payments p ON p.tenant = s.tenant AND p.order_id = s.order_id AND p.part = s.part AND ",
        holds_order!(),
        " WHERE s.tenant = ?1 AND s.order_id = ?2 AND s.amount_minor IS NOT NULL ORDER BY s.part"
    ))
    .bind(tenant.as_str())
    .bind(order.as_str())
    .fetch_all(on)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Part {
                part: row.try_get("part")?,
                kind: named(row, "kind", PartKind::from_name)?,
                amount: money(row)?,
                person: parsed(row, "person")?.ok_or(DAMAGED)?,
                reason: row.try_get("reason")?,
                declared_ms: row.try_get("declared_ms")?,
                held: row
                    .try_get::<Option<&str>>("held")?
                    .map(|name| State::from_name(name).ok_or(DAMAGED))
                    .transpose()?,
            })
        })
        .collect()
}

impl Store {
    pub(crate) async fn parts(
        &self,
        tenant: &TenantId,
        order: &OrderId,
    ) -> Result<Vec<Part>, Error> {
        parts(&self.reads, tenant, order).await
    }
}

impl Tx<'_> {
    pub(crate) async fn parts(
        &mut self,
        tenant: &TenantId,
        order: &OrderId,
    ) -> Result<Vec<Part>, Error> {
        parts(self.on(), tenant, order).await
    }

    pub(crate) async fn insert_part(
        &mut self,
        tenant: &TenantId,
        order: &OrderId,
        part: &Part,
    ) -> Result<(), Error> {
        query(
            "INSERT INTO order_parts (tenant, order_id, part, kind, amount_minor, currency, person, reason, declared_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .bind(tenant.as_str())
        .bind(order.as_str())
        .bind(part.part)
        .bind(part.kind.name())
        .bind(minor(part.amount))
        .bind(part.amount.currency().code())
        .bind(part.person.as_str())
        .bind(&part.reason)
        .bind(part.declared_ms)
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// How many parts the order is split into; until the end of the transaction nobody else gets an answer to this.
    pub(crate) async fn hold_split(
        &mut self,
        tenant: &TenantId,
        order: &OrderId,
    ) -> Result<u64, Error> {
        Ok(query(
            "UPDATE order_parts SET declared_ms = declared_ms WHERE tenant = ?1 AND order_id = ?2 AND kind = 'split'",
        )
        .bind(tenant.as_str())
        .bind(order.as_str())
        .execute(self.on())
        .await?)
    }

    /// How many parts of a split are paid or reserved, and not given back whole.
    pub(crate) async fn paid_parts(
        &mut self,
        tenant: &TenantId,
        order: &OrderId,
    ) -> Result<u64, Error> {
        let paid: i64 = query(
            "SELECT count(*) FROM order_parts s WHERE s.tenant = ?1 AND s.order_id = ?2 AND s.kind = 'split' AND EXISTS
               (SELECT 1 FROM payments p WHERE p.tenant = s.tenant AND p.order_id = s.order_id AND p.part = s.part AND p.state = 'approved'
                  AND p.transaction_type IN ('authorize', 'charge') AND (coalesce(p.captured_minor, 0) = 0 OR p.refunded_minor < p.captured_minor))",
        )
        .bind(tenant.as_str())
        .bind(order.as_str())
        .scalar(self.on())
        .await?;
        Ok(paid.cast_unsigned())
    }

    /// The payment by which the unfinished split is somebody's task.
    pub(crate) async fn split_task(
        &mut self,
        tenant: &TenantId,
        order: &OrderId,
    ) -> Result<Option<PaymentId>, Error> {
        let row = query(
            "SELECT payment FROM tasks WHERE tenant = ?1 AND order_id = ?2 AND kind = 'unfinished-split' AND state <> 'done' LIMIT 1",
        )
        .bind(tenant.as_str())
        .bind(order.as_str())
        .fetch_optional(self.on())
        .await?;
        row.map(|row| parsed(&row, "payment")?.ok_or(DAMAGED))
            .transpose()
    }
}
