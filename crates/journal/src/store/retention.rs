//! SQL of what is taken out of the journal.

use ivrpay_payment::{PaymentId, TaskId, TenantId};

use super::{DAMAGED, Store, Tx, ids, parsed};
use crate::Error;
use crate::db::{On, query};
use crate::retention::{Removal, Terms};

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
            "(p.state NOT IN ('waiting', 'in-flight', 'unknown') AND p.disputed_ms IS NULL AND (p.state <> 'approved' OR p.transaction_type <> 'tokenize')
              AND NOT EXISTS (SELECT 1 FROM claims c WHERE c.payment = p.id)
              AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.payment = p.id AND (o.state IN ('in-flight', 'unknown') OR o.updated_ms >= ?2))
              AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.payment = p.id AND (t.state <> 'done' OR t.done_ms >= ?2))
              AND NOT EXISTS (SELECT 1 FROM receipts i WHERE i.payment = p.id AND i.issued_ms >= ?2)
              AND NOT EXISTS (SELECT 1 FROM calls c WHERE c.payment = p.id AND c.ended_ms IS NULL)
              AND NOT EXISTS (SELECT 1 FROM releases r WHERE r.payment = p.id))",
            $rest
        )
    };
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
        let rows = query("SELECT tenant FROM payments UNION SELECT tenant FROM tasks WHERE tenant IS NOT NULL ORDER BY tenant")
            .fetch_all(&self.reads)
            .await?;
        rows.iter()
            .map(|row| parsed(row, "tenant")?.ok_or(DAMAGED))
            .collect()
    }

    /// On how many days in between the ends of the chains were kept, which the service does each hour.
    pub(crate) async fn days_written(&self, from_ms: i64, to_ms: i64) -> Result<i64, Error> {
        let days = query(
            "SELECT count(DISTINCT at_ms / 86400000) FROM records WHERE kind = 'anchored' AND at_ms BETWEEN ?1 AND ?2",
        );
        Ok(days.bind(from_ms).bind(to_ms).scalar(&self.reads).await?)
    }

    /// Some payments of a merchant that nobody has changed since then and of which nothing is open.
    pub(crate) async fn over(
        &self,
        tenant: &TenantId,
        before_ms: i64,
    ) -> Result<Vec<PaymentId>, Error> {
        let rows = query(old!("p.id", "", " ORDER BY p.updated_ms LIMIT ?3"))
            .bind(tenant.as_str())
            .bind(before_ms)
            .bind(Terms::AT_ONCE)
            .fetch_all(&self.reads)
            .await?;
        ids(&rows)
    }

    /// Some promises to ring back that were kept before then and are about no payment of ours.
    pub(crate) async fn promises_over(
        &self,
        tenant: &TenantId,
        before_ms: i64,
    ) -> Result<Vec<TaskId>, Error> {
        let rows = query(
            "SELECT id FROM tasks WHERE tenant = ?1 AND payment IS NULL AND recording IS NULL AND state = 'done' AND done_ms < ?2
             ORDER BY done_ms LIMIT ?3",
        )
        .bind(tenant.as_str())
        .bind(before_ms)
        .bind(Terms::AT_ONCE)
        .fetch_all(&self.reads)
        .await?;
        ids(&rows)
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
            .filter(|removal| {
                let of = removal.tenant.as_ref();
                of.is_some_and(|of| tenant.is_none_or(|tenant| tenant == of))
            })
            .map(|removal| removal.before_ms)
            .max())
    }
}

impl Tx<'_> {
    /// Whether nobody has changed the payment since then and nothing of it is open.
    pub(crate) async fn is_over(
        &mut self,
        tenant: &TenantId,
        before_ms: i64,
        id: PaymentId,
    ) -> Result<bool, Error> {
        let over: i64 = query(old!("count(*)", "p.id = ?3 AND ", ""))
            .bind(tenant.as_str())
            .bind(before_ms)
            .bind(id.to_string())
            .scalar(self.on())
            .await?;
        Ok(over > 0)
    }

    /// A promise to ring back that is kept, and was about no payment of ours.
    pub(crate) async fn remove_promise(&mut self, id: TaskId) -> Result<bool, Error> {
        let removed = query("DELETE FROM tasks WHERE id = ?1 AND state = 'done'");
        Ok(removed.bind(id.to_string()).execute(self.on()).await? > 0)
    }

    /// Parts that were declared before then of orders of which there is no payment.
    pub(crate) async fn remove_parts(
        &mut self,
        tenant: &TenantId,
        before_ms: i64,
    ) -> Result<(), Error> {
        query(
            "DELETE FROM order_parts WHERE tenant = ?1 AND declared_ms < ?2 AND NOT EXISTS
               (SELECT 1 FROM payments p WHERE p.tenant = order_parts.tenant AND p.order_id = order_parts.order_id)",
        )
        .bind(tenant.as_str())
        .bind(before_ms)
        .execute(self.on())
        .await?;
        Ok(())
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
            "DELETE FROM receipts WHERE payment = ?1",
            "DELETE FROM approvals WHERE payment = ?1",
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
