//! SQL of payments that are reserved and not taken.

use ivrpay_payment::{PaymentId, TenantId};

use super::{Store, Tx, payment};
use crate::Error;
use crate::db::query;
use crate::expiring::Reserved;
use crate::types::{TRAINING, TaskKind};

impl Store {
    /// `by`: of this connector, since then or longer, and never anybody's task.
    pub(crate) async fn reserved(
        &self,
        tenant: Option<&TenantId>,
        by: Option<(&str, i64)>,
    ) -> Result<Vec<Reserved>, Error> {
        let rows = query(
            "SELECT p.*, c.call, o.created_ms AS reserved_ms FROM payments p LEFT JOIN claims c ON c.payment = p.id
             JOIN operations o ON o.payment = p.id AND o.kind = 'authorize' AND o.state = 'approved'
             WHERE p.state = 'approved' AND p.captured_minor IS NULL AND p.connector <> ?2 AND (?1 IS NULL OR p.tenant = ?1)
               AND (?4 IS NULL OR (p.connector = ?4 AND o.created_ms <= ?5 AND NOT EXISTS
                 (SELECT 1 FROM tasks t WHERE t.payment = p.id AND t.kind = 'expiring-authorization')))
             ORDER BY o.created_ms, p.id LIMIT ?3",
        )
        .bind(tenant.map(TenantId::as_str))
        .bind(TRAINING)
        .bind(Reserved::MAX)
        .bind(by.map(|(connector, _)| connector))
        .bind(by.map(|(_, since_ms)| since_ms))
        .fetch_all(&self.reads)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Reserved {
                    payment: payment(row)?,
                    since_ms: row.try_get("reserved_ms")?,
                })
            })
            .collect()
    }
}

impl Tx<'_> {
    /// Whether the payment has, or had, such a task.
    pub(crate) async fn had_task(
        &mut self,
        payment: PaymentId,
        kind: TaskKind,
    ) -> Result<bool, Error> {
        Ok(
            query("SELECT EXISTS (SELECT 1 FROM tasks WHERE payment = ?1 AND kind = ?2)")
                .bind(payment.to_string())
                .bind(kind.name())
                .scalar(self.on())
                .await?,
        )
    }
}
