//! What became of payments is told to the merchants' programs: each event is sent until it is taken, or for three days.
//!
//! Each merchant by itself, a few at once: one that does not answer keeps no other waiting. When an event is tried next stands in the
//! journal, so that a start after a crash goes on where the one before it was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use ivrpay_api as api;
use ivrpay_journal::{Event, Journal};
use ivrpay_payment::TenantId;
use ivrpay_wire::{Webhook, WebhookError};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::events;

/// How often the journal is asked what is due.
const LOOK: Duration = Duration::from_millis(500);
/// How often is told how many wait.
const COUNT: Duration = Duration::from_secs(10);
/// Events at once to one merchant.
const AT_ONCE: usize = 4;
/// Longer than one try can take: who has taken an event and died has taken it in vain.
const HOLD: Duration = Duration::from_secs(60);
/// How long a stop waits for what is on its way.
const GRACE: Duration = Duration::from_secs(2);
/// How long an event is tried.
pub(crate) const LIFE: Duration = Duration::from_secs(72 * 3600);

/// Pauses behind each try, in seconds; the last one is repeated. Those of Standard Webhooks' example, begun sooner: an order waits for it.
const PAUSES: [u64; 10] = [5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 28_800];

/// The merchants who have a program that is told.
fn all(config: &Config) -> BTreeMap<TenantId, Webhook> {
    let tenants = config.tenants.iter();
    tenants
        .filter_map(|tenant| Some((tenant.id.clone(), tenant.webhook.clone()?)))
        .collect()
}

/// From now on until the service stops.
pub(crate) fn watch(
    config: &Config,
    journal: &Journal,
    stopping: &CancellationToken,
    servers: &TaskTracker,
) {
    let webhooks = all(config);
    let tenants: Vec<_> = webhooks.keys().cloned().collect();
    if tenants.is_empty() {
        return;
    }
    for (tenant, webhook) in webhooks {
        servers.spawn(each(journal.clone(), tenant, webhook, stopping.clone()));
    }
    let (journal, stopping) = (journal.clone(), stopping.clone());
    servers.spawn(async move {
        let mut tick = tokio::time::interval(COUNT);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stopping.cancelled() => return,
            }
            for tenant in &tenants {
                match journal.event_count(tenant).await {
                    Ok(count) => events::webhooks_waiting(tenant, count, journal.now_ms()),
                    Err(error) => events::journal_failed(None, "count events", &error),
                }
            }
        }
    });
}

async fn each(journal: Journal, tenant: TenantId, webhook: Webhook, stopping: CancellationToken) {
    let life = i64::try_from(LIFE.as_millis()).unwrap_or(i64::MAX);
    let since = journal.now_ms().saturating_sub(life);
    match journal.begin_events(&tenant, since).await {
        Ok(0) => {}
        Ok(old) => events::webhook_begins(&tenant, old),
        Err(error) => events::journal_failed(None, "begin events", &error),
    }
    let mut running = JoinSet::new();
    while !stopping.is_cancelled() {
        let taken = if running.len() < AT_ONCE {
            journal.take_event(&tenant, HOLD).await
        } else {
            Ok(None)
        };
        match taken {
            Ok(Some(event)) => {
                running.spawn(one(journal.clone(), webhook.clone(), event));
                continue;
            }
            Ok(None) => {}
            Err(error) => events::journal_failed(None, "take an event", &error),
        }
        tokio::select! {
            () = stopping.cancelled() => {}
            Some(_) = running.join_next(), if !running.is_empty() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    // What is not over by then is sent again by the next start, under the same id.
    drop(tokio::time::timeout(GRACE, running.join_all()).await);
}

/// What is due now, one after the other; for a process that is no service.
#[cfg(feature = "plant")]
pub(crate) async fn all_due(
    journal: &Journal,
    tenant: &TenantId,
    webhook: &Webhook,
) -> Result<(), ivrpay_journal::Error> {
    while let Some(event) = journal.take_event(tenant, HOLD).await? {
        one(journal.clone(), webhook.clone(), event).await;
    }
    Ok(())
}

/// One try.
async fn one(journal: Journal, webhook: Webhook, event: Event) {
    #[cfg(feature = "plant")]
    ivrpay_secret::plant::point("before an event is sent");
    let id = event.id.to_string();
    let sent = webhook.send(&id, SystemTime::now(), body(&event)).await;
    #[cfg(feature = "plant")]
    ivrpay_secret::plant::point("behind an event");
    let written = match sent {
        Ok(()) => {
            events::webhook_delivered(&event);
            journal.event_delivered(event).await
        }
        Err(error) => {
            let next_ms = next_ms(&event, journal.now_ms(), &error);
            events::webhook_failed(&event, &error, next_ms);
            let why = error.to_string();
            journal.event_failed(event, &why, next_ms).await
        }
    };
    if let Err(error) = written {
        // It is sent again, then.
        events::journal_failed(None, "write what became of an event", &error);
    }
}

/// Sends a merchant's program an event that is about nothing.
pub(crate) fn tests(config: &Config) -> ivrpay_web::TestsWebhook {
    let webhooks = all(config);
    Arc::new(move |tenant| {
        let webhook = webhooks.get(&tenant)?.clone();
        let sent = async move {
            let at = jiff::Timestamp::now().to_string();
            let body =
                json!({ "type": "webhook.test", "timestamp": at, "data": { "tenant": tenant } });
            let id = uuid::Uuid::now_v7().to_string();
            let body = body.to_string().into_bytes();
            let failed = webhook.send(&id, SystemTime::now(), body).await.err();
            api::TestedWebhook {
                delivered: failed.is_none(),
                error: failed.map(|error| error.to_string()),
                hint: failed.map(|error| error.hint().to_owned()),
            }
        };
        Some(sent.boxed())
    })
}

/// What is sent: `type`, `timestamp` and `data`, as Standard Webhooks recommends.
pub(crate) fn body(event: &Event) -> Vec<u8> {
    let at = jiff::Timestamp::from_millisecond(event.created_ms).unwrap_or_default();
    let mut data = event.data.clone();
    data["sequence"] = event.sequence.into();
    json!({ "type": event.kind, "timestamp": at.to_string(), "data": data })
        .to_string()
        .into_bytes()
}

/// When it is tried next; `None`: never more. The last try is at the end of its time.
fn next_ms(event: &Event, now_ms: i64, error: &WebhookError) -> Option<i64> {
    let milliseconds = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let began = event.again_ms.unwrap_or(event.created_ms);
    let end = began.saturating_add(milliseconds(LIFE));
    if now_ms >= end {
        return None;
    }
    let at = usize::try_from(event.attempts).unwrap_or(usize::MAX);
    let at = at.saturating_sub(1).min(PAUSES.len() - 1);
    let pause = Duration::from_secs(PAUSES.get(at).copied().unwrap_or(28_800));
    // Up to a tenth more, by the event's own id: what failed together does not come back together.
    let spread = pause / 1000 * u32::from(event.id.uuid().as_bytes()[15]) * 100 / 255;
    let wanted = match error {
        WebhookError::Refused {
            retry_after: Some(wanted),
            ..
        } => *wanted,
        _ => Duration::ZERO,
    };
    let pause = (pause + spread).max(wanted);
    Some(now_ms.saturating_add(milliseconds(pause)).min(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: i64 = 1_795_435_200_000;
    const HOUR: i64 = 3_600_000;

    fn event() -> Event {
        Event {
            id: "0193a1b2-0000-7000-8000-0000000000ff".parse().unwrap(),
            payment: "0193a1b2-0000-7000-8000-000000000001".parse().unwrap(),
            tenant: TenantId::new("shop").unwrap(),
            sequence: 2,
            kind: "payment.approved".into(),
            data: json!({"amount": 1200}),
            created_ms: BEGAN,
            due_ms: BEGAN,
            attempts: 0,
            tried_ms: None,
            error: None,
            delivered_ms: None,
            given_up_ms: None,
            again_ms: None,
        }
    }

    #[test]
    fn pauses_grow_and_end_after_72_hours() {
        let silent = WebhookError::Silent(Duration::from_secs(15));
        let (mut event, mut now, mut tries) = (event(), BEGAN, 0);
        let mut pauses = Vec::new();
        loop {
            tries += 1;
            event.attempts += 1;
            let Some(next) = next_ms(&event, now, &silent) else {
                break;
            };
            pauses.push(next - now);
            now = next;
        }
        assert_eq!(now, BEGAN + 72 * HOUR, "the last try is at the end");
        assert_eq!(tries, 17);
        assert_eq!(pauses[0], 5_500);
        let growing = &pauses[..pauses.len() - 1];
        assert!(growing.windows(2).all(|two| two[0] <= two[1]), "{pauses:?}");
    }

    #[test]
    fn a_receiver_may_want_to_be_left_alone_and_a_person_may_begin_anew() {
        let mut event = event();
        event.attempts = 1;
        let busy = WebhookError::Refused {
            status: 429,
            retry_after: Some(Duration::from_secs(900)),
        };
        assert_eq!(next_ms(&event, BEGAN, &busy), Some(BEGAN + 900_000));
        let late = BEGAN + 80 * HOUR;
        assert_eq!(next_ms(&event, late, &busy), None);
        event.again_ms = Some(late - HOUR);
        assert_eq!(next_ms(&event, late, &busy), Some(late + 900_000));
    }

    #[test]
    fn what_is_sent() {
        let sent: serde_json::Value = serde_json::from_slice(&body(&event())).unwrap();
        assert_eq!(
            sent,
            json!({"type": "payment.approved", "timestamp": "2026-11-23T12:00:00Z", "data": {"amount": 1200, "sequence": 2}})
        );
    }
}
