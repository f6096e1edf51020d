//! Payments whose time is over are taken out of the journal.

use std::time::Duration;

use ivrpay_journal::{Journal, Retained, Terms};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::events;

/// Terms are days.
const EVERY: Duration = Duration::from_secs(3600);
/// Between two transactions: who has a caller at the telephone goes first.
const PAUSE: Duration = Duration::from_millis(200);

/// Looks at the start and each hour, where a term is set.
pub(crate) fn watch(
    journal: Journal,
    terms: Terms,
    stopping: CancellationToken,
    servers: &TaskTracker,
) {
    if !terms.are_any() {
        return;
    }
    servers.spawn(async move {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stopping.cancelled() => return,
            }
            tokio::select! {
                () = look(&journal, &terms) => {}
                () = stopping.cancelled() => return,
            }
        }
    });
}

async fn look(journal: &Journal, terms: &Terms) {
    let mut removed = 0;
    loop {
        match journal.retain(terms).await {
            Ok(Retained::Removed(0)) => break,
            Ok(Retained::Removed(some)) => removed += some,
            Ok(Retained::Waits) => {
                events::retention_waits();
                break;
            }
            Err(error) => {
                events::journal_failed(None, "retain", &error);
                break;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    if removed > 0 {
        events::retained(removed);
    }
}
