//! SQL of what a second person allows.

use ivrpay_payment::{
    ApprovalId, Money, OperationId, OperationKind, OperatorId, PaymentId, TenantId,
};

use super::{DAMAGED, Store, Tx, named, parsed};
use crate::Error;
use crate::approvals::{Approval, ApprovalFilter, ApprovalState};
use crate::db::{Row, query};

impl Store {
    pub(crate) async fn approvals(
        &self,
        filter: &ApprovalFilter,
        now_ms: i64,
    ) -> Result<Vec<Approval>, Error> {
        // What has lapsed is written so when somebody next asks for the same.
        let rows = query(
            "SELECT * FROM approvals WHERE (?1 IS NULL OR tenant = ?1) AND (?2 IS NULL OR id < ?2)
               AND (?3 IS NULL OR CASE WHEN state IN ('open', 'approved') AND until_ms <= ?4 THEN 'lapsed' ELSE state END = ?3)
             ORDER BY id DESC LIMIT ?5",
        )
        .bind(filter.tenant.as_ref().map(TenantId::as_str))
        .bind(filter.after.map(|id| id.to_string()))
        .bind(filter.state.map(ApprovalState::name))
        .bind(now_ms)
        .bind(filter.limit)
        .fetch_all(&self.reads)
        .await?;
        rows.iter().map(|row| approval(row, now_ms)).collect()
    }

    pub(crate) async fn approval(
        &self,
        id: ApprovalId,
        now_ms: i64,
    ) -> Result<Option<Approval>, Error> {
        let row = query("SELECT * FROM approvals WHERE id = ?1")
            .bind(id.to_string())
            .fetch_optional(&self.reads)
            .await?;
        row.map(|row| approval(&row, now_ms)).transpose()
    }
}

impl Tx<'_> {
    pub(crate) async fn approval(&mut self, id: ApprovalId) -> Result<Option<Approval>, Error> {
        let now_ms = self.now_ms;
        let row = query("SELECT * FROM approvals WHERE id = ?1")
            .bind(id.to_string())
            .fetch_optional(self.on())
            .await?;
        row.map(|row| approval(&row, now_ms)).transpose()
    }

    pub(crate) async fn open_approval(
        &mut self,
        payment: PaymentId,
        request: &str,
    ) -> Result<Option<Approval>, Error> {
        let now_ms = self.now_ms;
        let row =
            query("SELECT * FROM approvals WHERE payment = ?1 AND request = ?2 AND state = 'open'")
                .bind(payment.to_string())
                .bind(request)
                .fetch_optional(self.on())
                .await?;
        row.map(|row| approval(&row, now_ms)).transpose()
    }

    pub(crate) async fn lapse_approvals(&mut self, payment: PaymentId) -> Result<(), Error> {
        query("UPDATE approvals SET state = 'lapsed' WHERE payment = ?1 AND state = 'open' AND until_ms <= ?2")
            .bind(payment.to_string())
            .bind(self.now_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }

    pub(crate) async fn insert_approval(
        &mut self,
        approval: &Approval,
        request: &str,
    ) -> Result<(), Error> {
        let minor = |minor: u64| i64::try_from(minor).unwrap_or(i64::MAX);
        query(
            "INSERT INTO approvals (id, tenant, payment, kind, asked_minor, amount_minor, currency, request, asked_by, asked_ms, until_ms, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )
        .bind(approval.id.to_string())
        .bind(approval.tenant.as_str())
        .bind(approval.payment.to_string())
        .bind(approval.kind.name())
        .bind(approval.asked_minor.map(minor))
        .bind(minor(approval.amount.minor()))
        .bind(approval.amount.currency().code())
        .bind(request)
        .bind(approval.asked_by.as_str())
        .bind(approval.asked_ms)
        .bind(approval.until_ms)
        .bind(approval.state.name())
        .execute(self.on())
        .await?;
        Ok(())
    }

    pub(crate) async fn decide_approval(
        &mut self,
        id: ApprovalId,
        to: ApprovalState,
        by: &OperatorId,
    ) -> Result<(), Error> {
        query("UPDATE approvals SET state = ?2, decided_by = ?3, decided_ms = ?4 WHERE id = ?1")
            .bind(id.to_string())
            .bind(to.name())
            .bind(by.as_str())
            .bind(self.now_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }

    pub(crate) async fn approval_done(
        &mut self,
        id: ApprovalId,
        operation: OperationId,
    ) -> Result<(), Error> {
        query("UPDATE approvals SET state = 'done', operation = ?2 WHERE id = ?1 AND state = 'approved'")
            .bind(id.to_string())
            .bind(operation.to_string())
            .execute(self.on())
            .await?;
        Ok(())
    }
}

fn approval(row: &Row, now_ms: i64) -> Result<Approval, Error> {
    let minor = |minor: i64| u64::try_from(minor).map_err(|_| DAMAGED);
    let currency: &str = row.try_get("currency")?;
    let currency = currency.parse().map_err(|_| DAMAGED)?;
    let asked_minor: Option<i64> = row.try_get("asked_minor")?;
    let until_ms = row.try_get("until_ms")?;
    let state = match named(row, "state", ApprovalState::from_name)? {
        ApprovalState::Open | ApprovalState::Approved if until_ms <= now_ms => {
            ApprovalState::Lapsed
        }
        state => state,
    };
    Ok(Approval {
        id: parsed(row, "id")?.ok_or(DAMAGED)?,
        tenant: parsed(row, "tenant")?.ok_or(DAMAGED)?,
        payment: parsed(row, "payment")?.ok_or(DAMAGED)?,
        kind: named(row, "kind", |name| match name {
            "change" => Some(OperationKind::Change),
            other => super::kind(other),
        })?,
        asked_minor: asked_minor.map(minor).transpose()?,
        amount: Money::new(minor(row.try_get("amount_minor")?)?, currency).map_err(|_| DAMAGED)?,
        asked_by: parsed(row, "asked_by")?.ok_or(DAMAGED)?,
        asked_ms: row.try_get("asked_ms")?,
        until_ms,
        state,
        decided_by: parsed(row, "decided_by")?,
        decided_ms: row.try_get("decided_ms")?,
        operation: parsed(row, "operation")?,
    })
}
