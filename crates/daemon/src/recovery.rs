//! Makes good what is open, from the start of the service on: the acquirer is asked what became of what is unknown, a charge that has stopped
//! in the middle is released, and so is an approval that nobody knows of, where its merchant wants that.
//!
//! When each is due stands in the journal, so that a start after a crash goes on where the one before it was. Nothing here charges anybody.

use std::time::Duration;

use futures_util::future::join_all;
use ivrpay_journal::{HALF_DONE, Journal, LaterError, Operation, OperationState, Unheard};
use ivrpay_payment::{Outcome, PaymentId, Why};
use ivrpay_web::LaterRefused;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::events;
use crate::recorders::Recorders;
use crate::settle::{BY_ITSELF, Found, Settle};

/// How often is looked whether another service is gone.
const TAKE_OVER: Duration = Duration::from_secs(2);
/// How often the journal is asked what is due.
const LOOK: Duration = Duration::from_secs(1);
/// Questions at once to one acquirer.
const AT_ONCE: u32 = 8;
/// How long an acquirer that can't be asked now is left alone; and one that a release did not reach.
const AWAY_MS: i64 = 30_000;
/// How long a release is tried; then its task is a person's alone.
const RELEASE_MAX_MS: i64 = 24 * 3600 * 1000;

/// From now on until the service stops. Each connector by itself: one that does not answer keeps no other waiting.
pub(crate) fn watch(settle: &Settle, stopping: &CancellationToken, servers: &TaskTracker) {
    for connector in settle.inquirable() {
        let (settle, connector) = (settle.clone(), connector.to_owned());
        servers.spawn(each(stopping.clone(), async move || {
            inquire(&settle, &connector).await
        }));
    }
    let settle = settle.clone();
    servers.spawn(each(stopping.clone(), async move || release(&settle).await));
}

/// Makes good what other services have left that share the journal and whose lease has ended, from now on until this one stops.
pub(crate) fn take_over(
    journal: Journal,
    recorders: Recorders,
    stopping: &CancellationToken,
    servers: &TaskTracker,
) {
    let stopping = stopping.clone();
    servers.spawn(async move {
        let mut tick = tokio::time::interval(TAKE_OVER);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stopping.cancelled() => return,
            }
            match journal.recover().await {
                Ok(recovered) if recovered.is_empty() => {}
                Ok(recovered) => {
                    let [unknown, released, closed] =
                        [&recovered.unknown, &recovered.released, &recovered.closed];
                    events::taken_over(unknown.len(), released.len(), closed.len());
                    recorders.resume_left().await;
                }
                Err(error) => events::journal_failed(None, "recover", &error),
            }
        }
    });
}

/// Looks once after everything that is due now; for a process that is no service.
///
/// # Errors
/// As of a look of the service's own.
#[cfg(any(test, feature = "plant"))]
pub(crate) async fn once(settle: &Settle) -> Result<(), LaterRefused> {
    for connector in settle.inquirable() {
        inquire(settle, connector).await?;
    }
    release(settle).await
}

async fn each(stopping: CancellationToken, look: impl AsyncFn() -> Result<(), LaterRefused>) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stopping.cancelled() => return,
        }
        if let Err(error) = look().await {
            events::recovery_failed(&error);
        }
    }
}

async fn inquire(settle: &Settle, connector: &str) -> Result<(), LaterRefused> {
    let due = settle.journal().to_inquire(connector, AT_ONCE).await?;
    let asked = due.into_iter().map(|operation| one(settle, operation));
    join_all(asked).await.into_iter().collect()
}

async fn one(settle: &Settle, operation: Operation) -> Result<(), LaterRefused> {
    let id = operation.id;
    let again = if settle.is_open(&operation.connector).is_err() {
        // No question is used up by an acquirer that is known to be away.
        Some(settle.journal().now_ms().saturating_add(AWAY_MS))
    } else {
        if !settle.journal().take_inquiry(id).await? {
            return Ok(());
        }
        let payment = operation.payment;
        match settle.ask_by_itself(operation).await? {
            Found::Out(outcome) => {
                events::found_out(payment, id, &outcome);
                None
            }
            Found::Nothing => None,
            Found::HalfDone => {
                half_done(settle, payment).await?;
                None
            }
            Found::NotKnown => {
                settle.journal().inquire_no_more(id).await?;
                None
            }
            Found::TooEarly { sure_ms } => Some(sure_ms),
        }
    };
    if let Some(at_ms) = again {
        settle.journal().inquire_at(id, at_ms).await?;
    }
    Ok(())
}

/// Releases a charge that is reserved and was never taken: its caller was told that it is being checked. Where that does not come about, the
/// next question finds it as it is.
async fn half_done(settle: &Settle, payment: PaymentId) -> Result<(), LaterRefused> {
    let key = format!("half-done-{}", settle.journal().now_ms());
    match settle.release_by_itself(payment, HALF_DONE, key).await {
        Err(LaterRefused::Stopping) => {}
        // A person sees to it, or a release before this one has no outcome yet.
        released => events::half_done(payment, released),
    }
    Ok(())
}

async fn release(settle: &Settle) -> Result<(), LaterRefused> {
    let due = settle.journal().to_release(AT_ONCE).await?;
    let released = due.into_iter().map(|unheard| release_one(settle, unheard));
    join_all(released).await.into_iter().collect()
}

async fn release_one(settle: &Settle, unheard: Unheard) -> Result<(), LaterRefused> {
    let journal = settle.journal();
    let now = journal.now_ms();
    if !journal.take_release(&unheard).await? {
        return Ok(());
    }
    let Unheard {
        payment,
        connector,
        wanted,
        since_ms,
        at_ms,
    } = unheard;
    let again = if !wanted || now.saturating_sub(since_ms) >= RELEASE_MAX_MS {
        false
    } else if settle.is_open(&connector).is_err() {
        // One that is known to be away is not asked.
        true
    } else {
        // Its own key at each time: one that was cut off behind the journal's write is not asked for twice.
        let key = format!("release-{at_ms}");
        match settle.release_by_itself(payment, BY_ITSELF, key).await {
            Ok(void) => {
                events::released(payment, &void);
                was_not_reached(&void)
            }
            Err(LaterRefused::Stopping) => return Ok(()),
            // Something else is asked of it, or a dispute is not over; or the journal can't be read or written now.
            Err(
                LaterRefused::NotRead
                | LaterRefused::Journal(
                    LaterError::Disputed | LaterError::Open { .. } | LaterError::Journal(_),
                ),
            ) => true,
            // A person has the task.
            Err(refused) => {
                events::not_released(payment, &refused);
                false
            }
        }
    };
    if again {
        let at_ms = now.saturating_add(AWAY_MS);
        journal.release_at(payment, at_ms).await?;
    } else {
        journal.released(payment).await?;
    }
    Ok(())
}

/// Whether nothing came of it, and it may be asked for again.
fn was_not_reached(void: &Operation) -> bool {
    void.state == OperationState::NotCharged
        && matches!(
            void.outcome,
            Some(Outcome::NotCharged(Why::NotSent | Why::Busy))
        )
}
