//! Tells of tasks: each once when it is made and once when it is overdue, on `GET /v1/events` and in the log; and counts them.

use std::time::Duration;

use ivrpay_journal::Journal;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::events::{self, Events};

/// How often tasks are looked through for those that became overdue. One that is made is told at once.
const LOOK: Duration = Duration::from_secs(5);

/// From now on until the service stops; what is made later is told by the next start.
pub(crate) fn watch(
    journal: Journal,
    events: Events,
    stopping: &CancellationToken,
    servers: &TaskTracker,
) {
    let stopping = stopping.clone();
    servers.spawn(async move {
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = journal.task_made() => {}
                () = stopping.cancelled() => break,
            }
            if let Err(error) = tell(&journal, &events).await {
                events::journal_failed(None, "tasks", &error);
            }
        }
    });
}

async fn tell(journal: &Journal, events: &Events) -> Result<(), ivrpay_journal::Error> {
    loop {
        let news = journal.task_news().await?;
        if news.is_empty() {
            break;
        }
        news.made.iter().for_each(|task| events.task_made(task));
        news.overdue
            .iter()
            .for_each(|task| events.task_overdue(task));
    }
    events::tasks(&journal.task_counts().await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use ivrpay_api::EventKind;
    use ivrpay_journal::{By, OpenOptions, Promise, TaskKind};
    use ivrpay_payment::{OperatorId, Owner, TenantId};

    use super::*;

    #[tokio::test]
    async fn a_task_is_told_of_once_when_made_and_once_when_late() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let now = Arc::new(AtomicI64::new(1_795_435_200_000));
        let options = || {
            let mut options = OpenOptions::new("test");
            let now = Arc::clone(&now);
            options.clock = Arc::new(move || now.load(Ordering::SeqCst));
            options.steady = None;
            options
        };
        let journal = Journal::open(&path, options()).await.unwrap();
        let events = Events::new();
        let mut heard = events.feed().subscribe();
        let (stopping, servers) = (CancellationToken::new(), TaskTracker::new());
        watch(journal.clone(), events, &stopping, &servers);
        let promise = Promise {
            tenant: TenantId::new("shop").unwrap(),
            payment: None,
            order: Some("A-1".parse().unwrap()),
            caller_number: Some("0312345678".into()),
            owner: Owner::new("role:front").unwrap(),
            due_ms: now.load(Ordering::SeqCst) + 60_000,
            reason: "card at home".into(),
        };
        let by = By {
            person: OperatorId::new("sato").unwrap(),
            via: "desk".into(),
        };
        let task = journal.promise(promise, &by).await.unwrap();
        let made = tokio::time::timeout(Duration::from_secs(4), heard.recv());
        let made = made.await.expect("told at once").unwrap();
        assert_eq!(
            (made.event, made.task_id, made.tenant.as_str()),
            (EventKind::TaskMade, Some(task.id), "shop")
        );
        assert_eq!(made.task_kind.as_deref(), Some("promised-call-back"));
        assert_eq!(made.call_id, None);
        stopping.cancel();
        servers.close();
        servers.wait().await;

        let news = Events::new();
        let mut heard = news.feed().subscribe();
        now.fetch_add(60_000, Ordering::SeqCst);
        tell(&journal, &news).await.unwrap();
        let late = heard.try_recv().unwrap();
        assert_eq!(
            (late.event, late.task_id),
            (EventKind::TaskOverdue, Some(task.id))
        );
        // Not again, and not by the next start either.
        journal.stop().await.unwrap();
        let journal = Journal::open(&path, options()).await.unwrap();
        tell(&journal, &news).await.unwrap();
        assert!(heard.try_recv().is_err());
        let counts = journal.task_counts().await.unwrap();
        assert_eq!(counts.len(), 1);
        assert_eq!(
            (counts[0].kind, counts[0].open, counts[0].overdue),
            (TaskKind::PromisedCallBack, 1, 1)
        );
    }
}
