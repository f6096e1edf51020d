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

/// Looks at the start and each hour: at payments where a term is set, at who did what, and at sessions and tries that are over.
pub(crate) fn watch(
    journal: Journal,
    terms: Terms,
    audit: Option<Duration>,
    stopping: CancellationToken,
    servers: &TaskTracker,
) {
    servers.spawn(async move {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stopping.cancelled() => return,
            }
            tokio::select! {
                () = look(&journal, &terms, audit) => {}
                () = stopping.cancelled() => return,
            }
        }
    });
}

async fn look(journal: &Journal, terms: &Terms, audit: Option<Duration>) {
    if let Err(error) = journal.tidy_people().await {
        events::journal_failed(None, "tidy people", &error);
    }
    while let Some(audit) = audit {
        match journal.retain_deeds(audit).await {
            Ok(0) => break,
            Ok(_) => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                events::journal_failed(None, "retain deeds", &error);
                break;
            }
        }
    }
    let mut removed = 0;
    while terms.are_any() {
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
