//! SQL of what is unknown, and of approvals that nobody knows of.

use ivrpay_payment::{OperationId, PaymentId, TenantId};

use super::{DAMAGED, Store, Tx, operation, parsed};
use crate::Error;
use crate::db::query;
use crate::inquiries::{RECOVERY, Unheard, Unknowns, next_ms};
use crate::types::{Operation, Payment, TRAINING, TaskKind};

impl Store {
    pub(crate) async fn to_inquire(
        &self,
        connector: &str,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Operation>, Error> {
        let rows = query(
            "SELECT * FROM operations WHERE connector = ?1 AND inquire_ms IS NOT NULL AND inquire_ms <= ?2
             ORDER BY inquire_ms, id LIMIT ?3",
        )
        .bind(connector)
        .bind(now_ms)
        .bind(limit)
        .fetch_all(&self.reads)
        .await?;
        rows.iter().map(operation).collect()
    }

    pub(crate) async fn unknowns(&self) -> Result<Unknowns, Error> {
        // The first condition is that of the index of what is open.
        let row = query(
            "SELECT count(*) AS open, min(created_ms) AS since_ms FROM operations
             WHERE state IN ('in-flight', 'unknown') AND state = 'unknown' AND kind <> 'query' AND connector <> ?1",
        )
        .bind(TRAINING)
        .fetch_one(&self.reads)
        .await?;
        let open: i64 = row.try_get("open")?;
        Ok(Unknowns {
            open: u32::try_from(open).unwrap_or(u32::MAX),
            since_ms: row.try_get("since_ms")?,
        })
    }

    /// With the merchant of each.
    pub(crate) async fn to_release(
        &self,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<(TenantId, Unheard)>, Error> {
        let rows = query(
            "SELECT r.payment, r.wanted_ms, r.at_ms, p.tenant, p.connector, p.state = 'approved' AND NOT EXISTS
               (SELECT 1 FROM tasks t WHERE t.payment = r.payment AND t.kind = ?2 AND t.state <> 'open') AND NOT EXISTS
               (SELECT 1 FROM operations o WHERE o.payment = r.payment AND o.kind IN ('capture', 'void', 'refund') AND o.by_whom <> ?4) AS wanted
             FROM releases r JOIN payments p ON p.id = r.payment
             WHERE r.at_ms <= ?3 AND NOT EXISTS (SELECT 1 FROM claims c WHERE c.payment = r.payment)
             ORDER BY r.at_ms, r.payment LIMIT ?1",
        )
        .bind(limit)
        .bind(TaskKind::ApprovedCallerGone.name())
        .bind(now_ms)
        .bind(RECOVERY)
        .fetch_all(&self.reads)
        .await?;
        rows.iter()
            .map(|row| {
                let unheard = Unheard {
                    payment: parsed(row, "payment")?.ok_or(DAMAGED)?,
                    connector: row.try_get("connector")?,
                    wanted: row.try_get("wanted")?,
                    since_ms: row.try_get("wanted_ms")?,
                    at_ms: row.try_get("at_ms")?,
                };
                Ok((parsed(row, "tenant")?.ok_or(DAMAGED)?, unheard))
            })
            .collect()
    }
}

impl Tx<'_> {
    /// Whether a person has the task of an approval that nobody knew of.
    pub(crate) async fn is_a_persons(&mut self, payment: PaymentId) -> Result<bool, Error> {
        Ok(query(
            "SELECT EXISTS (SELECT 1 FROM tasks WHERE payment = ?1 AND kind = ?2 AND state <> 'open')",
        )
        .bind(payment.to_string())
        .bind(TaskKind::ApprovedCallerGone.name())
        .scalar(self.on())
        .await?)
    }

    /// Whether a person sees to what is unknown of a payment.
    pub(crate) async fn is_looked_up(&mut self, payment: PaymentId) -> Result<bool, Error> {
        Ok(query(
            "SELECT EXISTS (SELECT 1 FROM tasks WHERE payment = ?1 AND kind = ?2 AND state = 'taken')",
        )
        .bind(payment.to_string())
        .bind(TaskKind::UnknownOutcome.name())
        .scalar(self.on())
        .await?)
    }

    /// The next question about an operation is counted, and the one behind it put off.
    pub(crate) async fn inquired(&mut self, about: OperationId) -> Result<(), Error> {
        let row = query(
            "UPDATE operations SET inquired = inquired + 1 WHERE id = ?1 RETURNING inquired, inquire_ms",
        )
        .bind(about.to_string())
        .fetch_one(self.on())
        .await?;
        let (asked, at_ms): (u32, Option<i64>) =
            (row.try_get("inquired")?, row.try_get("inquire_ms")?);
        // What is not asked about by itself stays a person's.
        match at_ms {
            Some(_) => self.inquire_at(about, next_ms(self.now_ms, asked)).await,
            None => Ok(()),
        }
    }

    pub(crate) async fn take_inquiry(
        &mut self,
        operation: OperationId,
        for_ms: i64,
    ) -> Result<bool, Error> {
        let taken =
            query("UPDATE operations SET inquire_ms = ?3 WHERE id = ?1 AND inquire_ms <= ?2")
                .bind(operation.to_string())
                .bind(self.now_ms)
                .bind(self.now_ms.saturating_add(for_ms))
                .execute(self.on())
                .await?;
        Ok(taken > 0)
    }

    pub(crate) async fn take_release(
        &mut self,
        unheard: &Unheard,
        for_ms: i64,
    ) -> Result<bool, Error> {
        let taken = query("UPDATE releases SET at_ms = ?3 WHERE payment = ?1 AND at_ms = ?2")
            .bind(unheard.payment.to_string())
            .bind(unheard.at_ms)
            .bind(self.now_ms.saturating_add(for_ms))
            .execute(self.on())
            .await?;
        Ok(taken > 0)
    }

    pub(crate) async fn inquire_at(
        &mut self,
        operation: OperationId,
        at_ms: Option<i64>,
    ) -> Result<(), Error> {
        query("UPDATE operations SET inquire_ms = ?2 WHERE id = ?1 AND state = 'unknown'")
            .bind(operation.to_string())
            .bind(at_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }

    pub(crate) async fn insert_release(&mut self, payment: &Payment) -> Result<(), Error> {
        query("INSERT INTO releases (payment, wanted_ms, at_ms) VALUES (?1, ?2, ?2) ON CONFLICT DO NOTHING")
            .bind(payment.id.to_string())
            .bind(self.now_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }

    pub(crate) async fn release_at(&mut self, payment: PaymentId, at_ms: i64) -> Result<(), Error> {
        query("UPDATE releases SET at_ms = ?2 WHERE payment = ?1")
            .bind(payment.to_string())
            .bind(at_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }

    pub(crate) async fn delete_release(&mut self, payment: PaymentId) -> Result<(), Error> {
        query("DELETE FROM releases WHERE payment = ?1")
            .bind(payment.to_string())
            .execute(self.on())
            .await?;
        Ok(())
    }

    /// Gives the task that is to be done another reason.
    pub(crate) async fn explain_task(
        &mut self,
        payment: PaymentId,
        kind: TaskKind,
        reason: &str,
    ) -> Result<(), Error> {
        query("UPDATE tasks SET reason = ?3 WHERE payment = ?1 AND kind = ?2 AND state <> 'done'")
            .bind(payment.to_string())
            .bind(kind.name())
            .bind(reason)
            .execute(self.on())
            .await?;
        Ok(())
    }
}
