//! The ends of the journal's chains of records, into the log: whoever can write the journal's file can write all its hashes anew, and not the
//! log that has gone to another machine.

use std::time::Duration;

use ivrpay_journal::Journal;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::events;

/// How much may be changed unseen: what was written since the last one.
const EVERY: Duration = Duration::from_secs(3600);

/// Tells them at the start, each hour, and when the service stops.
pub(crate) fn watch(journal: Journal, stopping: CancellationToken, servers: &TaskTracker) {
    servers.spawn(async move {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut goes_on = true;
        while goes_on {
            tokio::select! {
                _ = tick.tick() => {}
                () = stopping.cancelled() => goes_on = false,
            }
            match journal.anchor().await {
                Ok(heads) => {
                    for head in heads.iter().filter(|head| head.records > 0) {
                        events::chain_head(head);
                    }
                }
                Err(error) => events::journal_failed(None, "heads", &error),
            }
        }
    });
}
