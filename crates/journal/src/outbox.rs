//! Events about payments, for the merchants' programs: each is written with what it tells, and stays until it is delivered, or given up.
//!
//! Whoever delivers takes an event first, which keeps others away for a while; one that dies meanwhile has taken it in vain, and it is
//! delivered again under the same id. Of a payment the events go out in their order, one after the other.

use std::time::Duration;

use ivrpay_payment::{EventId, PaymentId, TenantId};
use serde_json::Value;

use crate::Error;
use crate::journal::Journal;
use crate::store::Durability;

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The same at each try.
    pub id: EventId,
    /// What it is about.
    pub payment: PaymentId,
    /// Whose.
    pub tenant: TenantId,
    /// Its place among the events of the payment, from 1 on.
    pub sequence: i64,
    /// `payment.approved`, `payment.declined`, …
    pub kind: String,
    /// The payment as it was then.
    pub data: Value,
    /// When it was written, UTC milliseconds.
    pub created_ms: i64,
    /// When it is tried next.
    pub due_ms: i64,
    /// Tries until now.
    pub attempts: u32,
    /// When the last one was.
    pub tried_ms: Option<i64>,
    /// What came of it, unless it was taken.
    pub error: Option<String>,
    /// When the receiver had it.
    pub delivered_ms: Option<i64>,
    /// When it was given up.
    pub given_up_ms: Option<i64>,
    /// When somebody had it delivered again.
    pub again_ms: Option<i64>,
}

/// Which events are listed.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Of this merchant.
    pub tenant: Option<TenantId>,
    /// About this payment.
    pub payment: Option<PaymentId>,
    /// `Some(Standing::…)` alone.
    pub standing: Option<EventStanding>,
    /// Behind this one: the next page.
    pub after: Option<EventId>,
    /// At most [`EventFilter::MAX`].
    pub limit: Option<u32>,
}

impl EventFilter {
    /// Most of one page.
    pub const MAX: u32 = 500;
}

/// How an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventStanding {
    /// Not delivered yet.
    Open,
    /// The receiver has it.
    Delivered,
    /// Given up: the list of dead letters.
    GivenUp,
}

impl EventStanding {
    /// As it is spelt.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Delivered => "delivered",
            Self::GivenUp => "given-up",
        }
    }

    /// By its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Open, Self::Delivered, Self::GivenUp]
            .into_iter()
            .find(|standing| standing.name() == name)
    }
}

impl Event {
    /// How it stands.
    #[must_use]
    pub const fn standing(&self) -> EventStanding {
        if self.delivered_ms.is_some() {
            EventStanding::Delivered
        } else if self.given_up_ms.is_some() {
            EventStanding::GivenUp
        } else {
            EventStanding::Open
        }
    }
}

/// How many events of a merchant stand how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventCount {
    /// Not delivered yet.
    pub open: i64,
    /// When the oldest of these was written.
    pub oldest_ms: Option<i64>,
    /// Given up.
    pub given_up: i64,
}

impl Journal {
    /// A merchant's events may be delivered from now on: where none ever was, those from before `since_ms` are given up, as nobody waits for
    /// them. Says how many.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn begin_events(&self, tenant: &TenantId, since_ms: i64) -> Result<u64, Error> {
        if !self.store().has_old_events(tenant, since_ms).await? {
            return Ok(0);
        }
        let mut tx = self.begin(Durability::Rides).await?;
        let given_up = tx.give_up_old_events(tenant, since_ms).await;
        tx.end(given_up).await
    }

    /// Takes the merchant's event that is due first, for so long; nobody else takes it meanwhile.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn take_event(
        &self,
        tenant: &TenantId,
        hold: Duration,
    ) -> Result<Option<Event>, Error> {
        let now_ms = self.now_ms();
        // Most looks find nothing, and write nothing.
        if self.store().due_event(tenant, now_ms).await?.is_none() {
            return Ok(None);
        }
        let mut tx = self.begin(Durability::Rides).await?;
        let taken = async {
            let Some(mut event) = tx.due_event(tenant).await? else {
                return Ok(None);
            };
            event.error = None;
            let tried = event.attempts;
            event.attempts = tried.saturating_add(1);
            event.tried_ms = Some(tx.now_ms);
            let hold = i64::try_from(hold.as_millis()).unwrap_or(i64::MAX);
            event.due_ms = tx.now_ms.saturating_add(hold);
            tx.update_event(&event, tried).await?;
            Ok(Some(event))
        };
        let taken = taken.await;
        tx.end(taken).await
    }

    /// The receiver has it. What else waits for that receiver after a failure a minute ago and more is due now.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn event_delivered(&self, mut event: Event) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let done = async {
            let tried = event.attempts;
            event.delivered_ms = Some(tx.now_ms);
            event.error = None;
            tx.update_event(&event, tried).await?;
            tx.wake_events(&event.tenant).await
        };
        let done = done.await;
        tx.end(done).await
    }

    /// The receiver does not have it, as far as is known: tried again then; with `None` never.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn event_failed(
        &self,
        mut event: Event,
        why: &str,
        next_ms: Option<i64>,
    ) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let failed = async {
            event.error = Some(why.chars().take(200).collect());
            match next_ms {
                Some(next_ms) => event.due_ms = next_ms,
                None => event.given_up_ms = Some(tx.now_ms),
            }
            tx.update_event(&event, event.attempts).await
        };
        let failed = failed.await;
        tx.end(failed).await
    }

    /// One event.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn event(&self, id: EventId) -> Result<Option<Event>, Error> {
        self.store().event(id).await
    }

    /// Events, the newest first.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, Error> {
        self.store().events(filter).await
    }

    /// How many of a merchant wait, or were given up.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn event_count(&self, tenant: &TenantId) -> Result<EventCount, Error> {
        self.store().event_count(tenant).await
    }

    /// Delivers an event once more, under the same id, for another 72 hours; `None` where there is none.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn resend_event(&self, id: EventId) -> Result<Option<Event>, Error> {
        let mut tx = self.begin(Durability::Synced).await?;
        let resent = async {
            let Some(mut event) = tx.event(id).await? else {
                return Ok(None);
            };
            (event.delivered_ms, event.given_up_ms, event.error) = (None, None, None);
            let tried = event.attempts;
            (event.attempts, event.due_ms, event.again_ms) = (0, tx.now_ms, Some(tx.now_ms));
            tx.update_event(&event, tried).await?;
            Ok(Some(event))
        };
        let resent = resent.await;
        tx.end(resent).await
    }
}
