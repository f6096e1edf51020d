//! SQL of what is taken out of the journal.

use ivrpay_payment::{PaymentId, TenantId};

use super::{DAMAGED, Store, Tx, parsed};
use crate::Error;
use crate::db::{On, query};
use crate::retention::Removal;

/// What stands for the body of a record that was taken out; that of every other one is an object.
pub(super) const TAKEN_OUT: &str = "null";

/// Of a merchant (`?1`), and not changed since then (`?2`).
macro_rules! old {
    ($select:literal, $and:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $select,
            " FROM payments p WHERE p.tenant = ?1 AND p.updated_ms < ?2 AND ",
            $and,
            "(p.state NOT IN ('waiting', 'in-flight', 'unknown') AND (p.state <> 'approved' OR p.transaction_type <> 'tokenize')
              AND NOT EXISTS (SELECT 1 FROM claims c WHERE c.payment = p.id)
              AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.payment = p.id AND (o.state IN ('in-flight', 'unknown') OR o.updated_ms >= ?2))
              AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.payment = p.id AND (t.state <> 'done' OR t.done_ms >= ?2))
              AND NOT EXISTS (SELECT 1 FROM calls c WHERE c.payment = p.id AND c.ended_ms IS NULL)
              AND NOT EXISTS (SELECT 1 FROM releases r WHERE r.payment = p.id))",
            $rest
        )
    };
}

async fn tenants<'a>(on: impl Into<On<'a>>) -> Result<Vec<TenantId>, Error> {
    let rows = query("SELECT tenant FROM payments UNION SELECT tenant FROM tasks WHERE tenant IS NOT NULL ORDER BY tenant")
        .fetch_all(on)
        .await?;
    rows.iter()
        .map(|row| parsed(row, "tenant")?.ok_or(DAMAGED))
        .collect()
}

/// What the journal says that it has lost.
pub(super) async fn removals<'a>(on: impl Into<On<'a>>) -> Result<Vec<Removal>, Error> {
    let rows = query("SELECT body FROM records WHERE kind = 'retention'")
        .fetch_all(on)
        .await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        let body: &str = row.try_get("body")?;
        // One that was changed is found by its hash.
        all.extend(serde_json::from_str::<Removal>(body).ok());
    }
    Ok(all)
}

impl Store {
    pub(crate) async fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        tenants(&self.reads).await
    }

    /// How many are over, and how many are as old and stay.
    pub(crate) async fn count_over(
        &self,
        tenant: &TenantId,
        before_ms: i64,
    ) -> Result<(i64, i64), Error> {
        let over = query(old!("count(*)", "", ""));
        let held = query(old!("count(*)", "NOT ", ""));
        let count = async |asked: crate::db::Query| {
            let asked = asked.bind(tenant.as_str()).bind(before_ms);
            asked.scalar::<i64>(&self.reads).await
        };
        Ok((count(over).await?, count(held).await?))
    }

    pub(crate) async fn removed_before(
        &self,
        tenant: Option<&TenantId>,
    ) -> Result<Option<i64>, Error> {
        let removals = removals(&self.reads).await?;
        Ok(removals
            .iter()
            .filter(|removal| tenant.is_none_or(|tenant| *tenant == removal.tenant))
            .map(|removal| removal.before_ms)
            .max())
    }
}

impl Tx<'_> {
    pub(crate) async fn tenants(&mut self) -> Result<Vec<TenantId>, Error> {
        tenants(self.on()).await
    }

    /// How long nothing had been written when this service started; 0 in a new journal.
    pub(crate) async fn stood_ms(&mut self) -> Result<i64, Error> {
        let row = query(
            "SELECT w.started_ms - r.at_ms AS stood_ms FROM records r JOIN writers w ON w.name = ?1
             WHERE NOT (r.writer = ?1 AND r.epoch = ?2) ORDER BY r.sequence DESC LIMIT 1",
        )
        .bind(self.writer())
        .bind(self.epoch())
        .fetch_optional(self.on())
        .await?;
        Ok(row.map_or(Ok(0), |row| row.try_get("stood_ms"))?)
    }

    /// Payments of a merchant that nobody has changed since then and of which nothing is open.
    pub(crate) async fn over(
        &mut self,
        tenant: &TenantId,
        before_ms: i64,
        limit: u32,
    ) -> Result<Vec<PaymentId>, Error> {
        let rows = query(old!("p.id", "", " ORDER BY p.id LIMIT ?3"))
            .bind(tenant.as_str())
            .bind(before_ms)
            .bind(limit)
            .fetch_all(self.on())
            .await?;
        rows.iter()
            .map(|row| parsed(row, "id")?.ok_or(DAMAGED))
            .collect()
    }

    /// Promises to ring back that were kept before then and are about no payment of ours.
    pub(crate) async fn remove_promises(
        &mut self,
        tenant: &TenantId,
        before_ms: i64,
    ) -> Result<u64, Error> {
        let removed = query(
            "DELETE FROM tasks WHERE tenant = ?1 AND payment IS NULL AND recording IS NULL AND state = 'done' AND done_ms < ?2",
        );
        let removed = removed.bind(tenant.as_str()).bind(before_ms);
        Ok(removed.execute(self.on()).await?)
    }

    /// A payment and all that was kept of it; says of which records the content is gone. `None`: another service has taken it out.
    pub(crate) async fn remove(
        &mut self,
        id: PaymentId,
    ) -> Result<Option<Vec<(String, i64)>>, Error> {
        let id = id.to_string();
        let rows = query(
            "UPDATE records SET body = ?2, payment = NULL, operation = NULL WHERE payment = ?1 RETURNING writer, number",
        )
        .bind(&id)
        .bind(TAKEN_OUT)
        .fetch_all(self.on())
        .await?;
        let mut records = Vec::with_capacity(rows.len());
        for row in &rows {
            records.push((row.try_get("writer")?, row.try_get("number")?));
        }
        for delete in [
            "DELETE FROM outbox WHERE payment = ?1",
            "DELETE FROM audit WHERE payment = ?1",
            "DELETE FROM calls WHERE payment = ?1",
            "DELETE FROM tasks WHERE payment = ?1",
            "DELETE FROM operations WHERE payment = ?1",
        ] {
            query(delete).bind(&id).execute(self.on()).await?;
        }
        let row = query("DELETE FROM payments WHERE id = ?1 RETURNING tenant, order_id")
            .bind(&id)
            .fetch_optional(self.on())
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let (tenant, order): (&str, Option<&str>) =
            (row.try_get("tenant")?, row.try_get("order_id")?);
        query(
            "DELETE FROM order_parts WHERE tenant = ?1 AND order_id = ?2
               AND NOT EXISTS (SELECT 1 FROM payments WHERE tenant = ?1 AND order_id = ?2)",
        )
        .bind(tenant)
        .bind(order)
        .execute(self.on())
        .await?;
        Ok(Some(records))
    }
}
