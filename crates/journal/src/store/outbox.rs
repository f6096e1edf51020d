//! SQL of events for the merchants' programs.

use ivrpay_payment::{EventId, PaymentId, TenantId};
use serde_json::Value;

use super::{DAMAGED, Store, Tx, document, parsed};
use crate::Error;
use crate::db::{On, Row, query};
use crate::outbox::{Event, EventCount, EventFilter, EventStanding};

/// None of a merchant (`?1`) was ever tried, and some were written before then (`?2`).
macro_rules! never_tried {
    ($before:literal) => {
        concat!(
            $before,
            " tenant = ?1 AND delivered_ms IS NULL AND given_up_ms IS NULL AND created_ms < ?2
               AND NOT EXISTS (SELECT 1 FROM outbox t WHERE t.tenant = ?1 AND t.attempts > 0)"
        )
    };
}

/// The first that is due and has none of its payment before it.
async fn due<'a>(
    on: impl Into<On<'a>>,
    tenant: &TenantId,
    now_ms: i64,
) -> Result<Option<Event>, Error> {
    let row = query(
        "SELECT * FROM outbox o WHERE tenant = ?1 AND due_ms <= ?2 AND delivered_ms IS NULL AND given_up_ms IS NULL
           AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.payment = o.payment AND e.number < o.number
                             AND e.delivered_ms IS NULL AND e.given_up_ms IS NULL)
         ORDER BY due_ms, id LIMIT 1",
    )
    .bind(tenant.as_str())
    .bind(now_ms)
    .fetch_optional(on)
    .await?;
    row.as_ref().map(event).transpose()
}

async fn one<'a>(on: impl Into<On<'a>>, id: EventId) -> Result<Option<Event>, Error> {
    let row = query("SELECT * FROM outbox WHERE id = ?1")
        .bind(id.to_string())
        .fetch_optional(on)
        .await?;
    row.as_ref().map(event).transpose()
}

impl Store {
    pub(crate) async fn due_event(
        &self,
        tenant: &TenantId,
        now_ms: i64,
    ) -> Result<Option<Event>, Error> {
        due(&self.reads, tenant, now_ms).await
    }

    pub(crate) async fn has_old_events(
        &self,
        tenant: &TenantId,
        since_ms: i64,
    ) -> Result<bool, Error> {
        let found = query(never_tried!("SELECT 1 AS one FROM outbox WHERE"))
            .bind(tenant.as_str())
            .bind(since_ms)
            .fetch_optional(&self.reads)
            .await?;
        Ok(found.is_some())
    }

    pub(crate) async fn event(&self, id: EventId) -> Result<Option<Event>, Error> {
        one(&self.reads, id).await
    }

    pub(crate) async fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, Error> {
        let rows = query(
            "SELECT * FROM outbox WHERE (?1 IS NULL OR tenant = ?1) AND (?2 IS NULL OR payment = ?2)
               AND (?3 IS NULL OR (?3 = 'open' AND delivered_ms IS NULL AND given_up_ms IS NULL)
                     OR (?3 = 'delivered' AND delivered_ms IS NOT NULL)
                     OR (?3 = 'given-up' AND given_up_ms IS NOT NULL AND delivered_ms IS NULL))
               AND (?4 IS NULL OR id < ?4)
             ORDER BY id DESC LIMIT ?5",
        )
        .bind(filter.tenant.as_ref().map(TenantId::as_str))
        .bind(filter.payment.map(|id: PaymentId| id.to_string()))
        .bind(filter.standing.map(EventStanding::name))
        .bind(filter.after.map(|id| id.to_string()))
        .bind(filter.limit.unwrap_or(EventFilter::MAX).min(EventFilter::MAX))
        .fetch_all(&self.reads)
        .await?;
        rows.iter().map(event).collect()
    }

    pub(crate) async fn event_count(&self, tenant: &TenantId) -> Result<EventCount, Error> {
        let row = query(
            "SELECT (SELECT count(*) FROM outbox WHERE tenant = ?1 AND delivered_ms IS NULL AND given_up_ms IS NULL) AS open,
                    (SELECT min(created_ms) FROM outbox WHERE tenant = ?1 AND delivered_ms IS NULL AND given_up_ms IS NULL) AS oldest_ms,
                    (SELECT count(*) FROM outbox
                      WHERE tenant = ?1 AND delivered_ms IS NULL AND given_up_ms IS NOT NULL AND tried_ms IS NOT NULL) AS given_up",
        )
        .bind(tenant.as_str())
        .fetch_one(&self.reads)
        .await?;
        Ok(EventCount {
            open: row.try_get("open")?,
            oldest_ms: row.try_get("oldest_ms")?,
            given_up: row.try_get("given_up")?,
        })
    }
}

impl Tx<'_> {
    pub(crate) async fn due_event(&mut self, tenant: &TenantId) -> Result<Option<Event>, Error> {
        let now_ms = self.now_ms;
        due(self.on(), tenant, now_ms).await
    }

    pub(crate) async fn event(&mut self, id: EventId) -> Result<Option<Event>, Error> {
        one(self.on(), id).await
    }

    pub(crate) async fn give_up_old_events(
        &mut self,
        tenant: &TenantId,
        since_ms: i64,
    ) -> Result<u64, Error> {
        let given_up = query(never_tried!(
            "UPDATE outbox SET given_up_ms = ?3, error = 'older than the webhook' WHERE"
        ))
        .bind(tenant.as_str())
        .bind(since_ms)
        .bind(self.now_ms)
        .execute(self.on())
        .await?;
        Ok(given_up)
    }

    /// What came of the try that was the `tried`-th; nothing where somebody has had it begun anew since.
    pub(crate) async fn update_event(&mut self, event: &Event, tried: u32) -> Result<(), Error> {
        query(
            "UPDATE outbox SET due_ms = ?2, attempts = ?3, tried_ms = ?4, error = ?5, delivered_ms = ?6, given_up_ms = ?7, again_ms = ?8
             WHERE id = ?1 AND attempts = ?9",
        )
        .bind(event.id.to_string())
        .bind(event.due_ms)
        .bind(event.attempts)
        .bind(event.tried_ms)
        .bind(&event.error)
        .bind(event.delivered_ms)
        .bind(event.given_up_ms)
        .bind(event.again_ms)
        .bind(tried)
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// What waits behind a failure is due now; one that fails each time not more often than once a minute. One that somebody has taken has no
    /// error since, and is left to him.
    pub(crate) async fn wake_events(&mut self, tenant: &TenantId) -> Result<(), Error> {
        query(
            "UPDATE outbox SET due_ms = ?2 WHERE delivered_ms IS NULL AND given_up_ms IS NULL AND due_ms > ?2 AND error IS NOT NULL AND tried_ms < ?2 - 60000
               AND tenant = ?1",
        )
        .bind(tenant.as_str())
        .bind(self.now_ms)
        .execute(self.on())
        .await?;
        Ok(())
    }
}

fn event(row: &Row) -> Result<Event, Error> {
    Ok(Event {
        id: parsed(row, "id")?.ok_or(DAMAGED)?,
        payment: parsed(row, "payment")?.ok_or(DAMAGED)?,
        tenant: parsed(row, "tenant")?.ok_or(DAMAGED)?,
        sequence: row.try_get("number")?,
        kind: row.try_get::<&str>("kind")?.to_owned(),
        data: document(row, "body")?.unwrap_or(Value::Null),
        created_ms: row.try_get("created_ms")?,
        due_ms: row.try_get("due_ms")?,
        attempts: u32::try_from(row.try_get::<i64>("attempts")?).map_err(|_| DAMAGED)?,
        tried_ms: row.try_get("tried_ms")?,
        error: row.try_get::<Option<&str>>("error")?.map(str::to_owned),
        delivered_ms: row.try_get("delivered_ms")?,
        given_up_ms: row.try_get("given_up_ms")?,
        again_ms: row.try_get("again_ms")?,
    })
}
