//! Payments that are reserved and not taken: what the issuer sets free by itself before long.

use ivrpay_payment::{PaymentId, State, TenantId};

use crate::Error;
use crate::journal::Journal;
use crate::store::{Durability, Tx};
use crate::tasks::{self, Rules};
use crate::types::{Payment, TaskKind};

/// A payment that is reserved and not taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Reserved {
    /// The payment.
    pub payment: Payment,
    /// Since when, UTC milliseconds.
    pub since_ms: i64,
}

impl Reserved {
    /// Most of one answer.
    pub const MAX: u32 = 1000;
}

impl Journal {
    /// What is reserved and not taken, the oldest first; practice is left out.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn reserved(&self, tenant: Option<&TenantId>) -> Result<Vec<Reserved>, Error> {
        self.store().reserved(tenant, None).await
    }

    /// The same of every merchant at this connector, since `since_ms` (UTC milliseconds) or longer, without what is, or was, somebody's
    /// task.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn reserved_untold(
        &self,
        connector: &str,
        since_ms: i64,
    ) -> Result<Vec<Reserved>, Error> {
        self.store()
            .reserved(None, Some((connector, since_ms)))
            .await
    }

    /// Makes the task to take or release a reserved payment that lapses at `lapses_ms`, once; says whether it was made now.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn expiring(&self, payment: PaymentId, lapses_ms: i64) -> Result<bool, Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let made = expiring(&mut tx, payment, lapses_ms, self.rules()).await;
        tx.end(made).await
    }
}

async fn expiring(
    tx: &mut Tx<'_>,
    id: PaymentId,
    lapses_ms: i64,
    rules: &Rules,
) -> Result<bool, Error> {
    let Some(payment) = tx.payment(id).await? else {
        return Ok(false);
    };
    let is_reserved = payment.state == State::Approved && payment.captured_minor.is_none();
    // Whoever has closed it knows.
    if !is_reserved || tx.had_task(id, TaskKind::ExpiringAuthorisation).await? {
        return Ok(false);
    }
    tasks::expiring(tx, &payment, lapses_ms, rules).await?;
    Ok(true)
}
