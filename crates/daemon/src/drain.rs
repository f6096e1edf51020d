//! The way out: no new call is taken, what runs goes on to its end or to a limit, and then the service leaves. Begun by SIGTERM, or by
//! `ivrpay drain` over the Unix socket; and whether the loop that takes calls turns.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ivrpay_api as api;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Counts what runs: calls, customers who are being called, legs that are on their way.
type Running = Box<dyn Fn() -> usize + Send + Sync>;

/// How far the way out is.
#[derive(Clone)]
pub(crate) struct Drain(Arc<Inner>);

struct Inner {
    begun: CancellationToken,
    /// Of the configuration.
    limit: Duration,
    until: Mutex<Option<Instant>>,
    stopping: AtomicBool,
    running: OnceLock<Running>,
    ended: watch::Sender<Option<api::Drained>>,
}

impl Drain {
    pub(crate) fn new(limit: Duration) -> Self {
        Self(Arc::new(Inner {
            begun: CancellationToken::new(),
            limit,
            until: Mutex::default(),
            stopping: AtomicBool::default(),
            running: OnceLock::new(),
            ended: watch::Sender::default(),
        }))
    }

    /// What is counted; before that nothing runs.
    pub(crate) fn counts(&self, running: Running) {
        drop(self.0.running.set(running));
    }

    pub(crate) fn running(&self) -> usize {
        self.0.running.get().map_or(0, |running| running())
    }

    /// Cancelled when it has begun.
    pub(crate) fn begun(&self) -> &CancellationToken {
        &self.0.begun
    }

    pub(crate) fn is_begun(&self) -> bool {
        self.0.begun.is_cancelled()
    }

    /// How long what runs may go on.
    pub(crate) fn left(&self) -> Option<Duration> {
        let until = *self.0.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Nothing runs any more, or its time is over.
    pub(crate) fn is_over(&self) -> bool {
        self.running() == 0 || self.left().is_some_and(|left| left.is_zero())
    }

    /// What is left is told to end.
    pub(crate) fn stop(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
        self.0.begun.cancel();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Relaxed)
    }

    /// The service leaves.
    pub(crate) fn ended(&self, how: api::Drained) {
        self.0.ended.send_replace(Some(how));
    }
}

impl ivrpay_web::Drains for Drain {
    fn begin(&self, limit: Option<Duration>) {
        let until = Instant::now().checked_add(limit.unwrap_or(self.0.limit));
        *self.0.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
        self.0.begun.cancel();
    }

    fn now(&self) -> api::Drain {
        api::Drain {
            draining: self.is_begun(),
            stopping: self.is_stopping(),
            calls: self.running(),
            seconds_left: self.left().map(|left| left.as_secs()),
        }
    }

    fn end(&self) -> BoxFuture<'static, api::Drained> {
        let mut ended = self.0.ended.subscribe();
        async move {
            match ended.wait_for(Option::is_some).await {
                Ok(how) => how.unwrap_or_default(),
                // The process is at its end, and has not said how: by a bug.
                Err(_) => api::Drained::default(),
            }
        }
        .boxed()
    }
}

/// How often the loop that takes calls turns at least.
pub(crate) const BEAT: Duration = Duration::from_secs(1);

/// Since when it has not turned is no slow machine any more, but a bug.
const STILL_MAX: Duration = Duration::from_secs(10);

/// Whether the loop that takes calls turns.
#[derive(Clone)]
pub(crate) struct Pulse {
    began: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            last_ms: Arc::default(),
        }
    }

    pub(crate) fn beat(&self) {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(ms, Ordering::Relaxed);
    }

    /// Since it last did; nothing before the first time, when the service is still being brought up.
    pub(crate) fn since(&self) -> Duration {
        match self.last_ms.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            last => {
                let last = Duration::from_millis(last);
                self.began.elapsed().saturating_sub(last)
            }
        }
    }

    pub(crate) fn is_good(since: Duration) -> bool {
        since < STILL_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use ivrpay_web::Drains as _;

    use super::*;

    /// It is over when nothing runs or the limit is, and another limit takes the place of the first; its end is told to whoever waits.
    #[tokio::test]
    async fn a_drain_is_over_without_calls_or_at_its_limit() {
        let drain = Drain::new(Duration::from_secs(300));
        let calls = Arc::new(AtomicUsize::new(2));
        let counted = Arc::clone(&calls);
        drain.counts(Box::new(move || counted.load(Ordering::Relaxed)));
        assert!(!drain.now().draining && drain.now().seconds_left.is_none());
        drain.begin(None);
        assert!(drain.begun().is_cancelled() && !drain.is_over());
        let now = drain.now();
        assert_eq!((now.draining, now.stopping, now.calls), (true, false, 2));
        assert!(
            now.seconds_left
                .is_some_and(|left| (295..=300).contains(&left))
        );
        drain.begin(Some(Duration::ZERO));
        assert!(drain.is_over(), "the second limit holds");
        drain.begin(Some(Duration::from_secs(9)));
        assert!(!drain.is_over());
        calls.store(0, Ordering::Relaxed);
        assert!(drain.is_over());
        let waits = drain.end();
        let how = api::Drained {
            told_to_end: 1,
            left: 0,
            all_written: true,
        };
        drain.ended(how);
        assert_eq!(waits.await, how);
        assert_eq!(drain.end().await, how, "told to who asks later, too");
    }
}
