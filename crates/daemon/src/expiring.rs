//! Makes a task of what is reserved and would lapse before long.

use std::collections::BTreeMap;
use std::time::Duration;

use ivrpay_journal::Journal;
use ivrpay_payment::TenantId;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::events;

/// How often what is reserved is looked through.
const LOOK: Duration = Duration::from_secs(60);

/// Days after which each connector's acquirer lets a reserved amount lapse, where that is known.
pub(crate) fn days(config: &Config) -> BTreeMap<String, u16> {
    let connectors = config.connectors.iter();
    connectors
        .filter_map(|(name, connector)| Some((name.clone(), connector.authorisation_days?)))
        .collect()
}

/// From now on until the service stops.
pub(crate) fn watch(
    config: &Config,
    journal: Journal,
    stopping: &CancellationToken,
    servers: &TaskTracker,
) {
    let days = days(config);
    let tenants = config.tenants.iter();
    let ahead: BTreeMap<_, _> = tenants.map(|t| (t.id.clone(), t.expiring)).collect();
    let stopping = stopping.clone();
    servers.spawn(async move {
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stopping.cancelled() => break,
            }
            let now_ms = jiff::Timestamp::now().as_millisecond();
            if let Err(error) = look(&journal, &days, &ahead, now_ms).await {
                events::journal_failed(None, "expiring", &error);
            }
        }
    });
}

fn ahead_ms(ahead: &Duration) -> i64 {
    i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX)
}

async fn look(
    journal: &Journal,
    days: &BTreeMap<String, u16>,
    ahead: &BTreeMap<TenantId, Duration>,
    now_ms: i64,
) -> Result<(), ivrpay_journal::Error> {
    let furthest = ahead.values().map(ahead_ms).max().unwrap_or_default();
    for (connector, days) in days {
        let age_ms = ivrpay_web::lapses_ms(0, *days).saturating_sub(furthest);
        let old = now_ms.saturating_sub(age_ms);
        for reserved in journal.reserved_untold(connector, old).await? {
            let payment = &reserved.payment;
            let lapses_ms = ivrpay_web::lapses_ms(reserved.since_ms, *days);
            let due = |ahead| lapses_ms.saturating_sub(ahead_ms(ahead)) <= now_ms;
            if ahead.get(&payment.tenant).is_some_and(due) {
                journal.expiring(payment.id, lapses_ms).await?;
            }
        }
    }
    Ok(())
}
