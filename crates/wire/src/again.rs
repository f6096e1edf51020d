//! The very same request again, under the same key, where an acquirer's own document makes that the way to find out what became of it.
//!
//! Until then its body lies in the arena, once: what goes out is lent from there. It is wiped with the answer, when no further sending
//! may follow, or when [`Keeping::most`] is over, whichever comes first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use ivrpay_acquirer::{Connector, Progress, Reply, Request};
use ivrpay_payment::{Durable, Intent};
use ivrpay_secret::Buffer;
use tokio::time::Instant;

use crate::send::Prepared;
use crate::{Checkpoint, SendError, Sender, Wiped};

/// How long, and how often.
#[derive(Debug, Clone)]
pub(crate) struct Keeping {
    /// Longest that a card is kept, from before its first byte on; and that an answer to a further sending is waited for.
    pub(crate) most: Duration,
    /// Before each further sending.
    pub(crate) pauses: [Duration; 2],
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            most: Duration::from_secs(60),
            pauses: [Duration::from_secs(1), Duration::from_secs(4)],
        }
    }
}

/// What came of a request that may have gone out more than once.
pub(crate) struct Sent {
    pub(crate) result: Result<Reply, SendError>,
    /// A sending of it before that had no answer: money may have moved by it, whatever a later one is told.
    pub(crate) doubted: bool,
}

impl Sent {
    /// Of one that went out once.
    pub(crate) const fn once(result: Result<Reply, SendError>) -> Self {
        Self {
            result,
            doubted: false,
        }
    }
}

/// A body, lent to one sending after the other. Whoever lets go of it last wipes it, and it is told then.
struct Whole<F: FnOnce(Wiped)> {
    body: Option<Buffer>,
    taken: Arc<OnceLock<std::time::Instant>>,
    told: Option<F>,
}

impl<F: FnOnce(Wiped)> Drop for Whole<F> {
    fn drop(&mut self) {
        drop(self.body.take());
        let at = SystemTime::now();
        let held = self.taken.get().map(std::time::Instant::elapsed);
        if let Some(told) = self.told.take() {
            told(Wiped { at, held });
        }
    }
}

/// It, on loan.
struct Loan<F: FnOnce(Wiped)>(Arc<Whole<F>>);

impl<F: FnOnce(Wiped)> AsRef<[u8]> for Loan<F> {
    fn as_ref(&self) -> &[u8] {
        self.0.body.as_ref().map(AsRef::as_ref).unwrap_or_default()
    }
}

/// One request of an operation, and what goes with it.
pub(crate) struct Asking<'a> {
    pub(crate) connector: &'a dyn Connector,
    pub(crate) sender: &'a Sender,
    pub(crate) op: &'a Durable<Intent>,
    /// When the card has to be gone, and no further answer is waited for.
    pub(crate) until: Instant,
}

impl Asking<'_> {
    /// Sends `request` until it has an answer: each time noted on disk before, and on a connection of its own. `out` learns of each
    /// sending that its body has been written out, or not; `told` that it has been wiped, once.
    ///
    /// The first sending is waited for as if it were the only one.
    pub(crate) async fn until_answered(
        &self,
        request: Request,
        progress: &mut Progress,
        checkpoint: &mut dyn Checkpoint,
        out: impl Fn(bool) + Clone + Send + Sync + 'static,
        told: impl FnOnce(Wiped) + Send + Sync + 'static,
    ) -> Sent {
        let (prepared, body) = match self.sender.prepare(request) {
            Ok(prepared) => prepared,
            Err(error) => return Sent::once(Err(error)),
        };
        let taken = Arc::new(OnceLock::new());
        let mut kept = Some(Arc::new(Whole {
            body: Some(body),
            taken: Arc::clone(&taken),
            told: Some(told),
        }));
        let mut pauses = self.sender.keeping.pauses.iter();
        let mut sent = Sent::once(Err(SendError::NoReply {
            waited: Duration::ZERO,
        }));
        while let Some(body) = kept.clone() {
            let pause = pauses.next();
            if pause.is_none() {
                kept = None;
            }
            let first = progress.again == 0;
            let out = out.clone();
            let result = self
                .once(&prepared, body, &taken, &mut kept, first, out)
                .await;
            sent = match result {
                // What a sending before was told, that nothing was done for it, still holds.
                Err(SendError::NotSent { .. }) if sent.result.is_ok() && !sent.doubted => sent,
                result => Sent {
                    doubted: sent.doubted || self.is_doubt(&result),
                    result,
                },
            };
            let again = match &sent.result {
                Ok(reply) => self.connector.asks_again(reply),
                Err(SendError::NoReply { .. }) => true,
                // Nothing has gone out so far: another acquirer may be asked.
                Err(SendError::NotSent { .. }) => !first,
            };
            let (true, Some(pause)) = (again, pause) else {
                break;
            };
            if !self.may_go_on(*pause).await {
                break;
            }
            progress.again = progress.again.saturating_add(1);
            let mut noted = checkpoint.write(self.op, progress);
            tokio::select! {
                biased;
                written = &mut noted => if written.is_err() || self.is_over() {
                    break;
                },
                // A journal that does not write keeps no card.
                () = self.over() => {
                    drop(kept.take());
                    noted.await.ok();
                    break;
                }
            }
        }
        sent
    }

    /// Whether a sending may have been done, or be worked on: no answer, or one that asks to send it again. One that says that there were
    /// too many requests says that nothing was done (RFC 6585, 4).
    fn is_doubt(&self, result: &Result<Reply, SendError>) -> bool {
        const TOO_MANY_REQUESTS: u16 = 429;
        match result {
            Ok(reply) => reply.status() != TOO_MANY_REQUESTS && self.connector.asks_again(reply),
            Err(SendError::NoReply { .. }) => true,
            Err(SendError::NotSent { .. }) => false,
        }
    }

    fn is_over(&self) -> bool {
        self.sender.is_stopping() || Instant::now() >= self.until
    }

    /// Until its time is over, or the service stops.
    async fn over(&self) {
        tokio::select! {
            () = self.sender.stopping() => {}
            () = tokio::time::sleep_until(self.until) => {}
        }
    }

    /// Waits before the next sending; whether there is time for one.
    async fn may_go_on(&self, pause: Duration) -> bool {
        let at = Instant::now() + pause;
        if at >= self.until {
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep_until(at) => !self.is_over(),
            () = self.sender.stopping() => false,
        }
    }

    /// One sending. The body is let go of when its time is over, or when the service stops; one that has not been written out by the end
    /// of its time goes no further.
    async fn once<F: FnOnce(Wiped) + Send + Sync + 'static>(
        &self,
        prepared: &Prepared,
        body: Arc<Whole<F>>,
        taken: &Arc<OnceLock<std::time::Instant>>,
        kept: &mut Option<Arc<Whole<F>>>,
        first: bool,
        out: impl Fn(bool) + Send + 'static,
    ) -> Result<Reply, SendError> {
        let begun = Instant::now();
        let written = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&written);
        let exchange =
            self.sender
                .exchange(prepared, Loan(body), Arc::clone(taken), move |wiped| {
                    tell.store(true, Ordering::Release);
                    out(wiped.held.is_some());
                });
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            result = &mut exchange => return result,
            () = self.sender.stopping() => *kept = None,
            () = tokio::time::sleep_until(self.until) => *kept = None,
        }
        let waits = |until: Instant| tokio::time::sleep_until(until);
        let no_reply = || {
            Err(SendError::NoReply {
                waited: begun.elapsed(),
            })
        };
        tokio::select! {
            biased;
            result = &mut exchange => return result,
            () = waits(self.until) => {}
        }
        if !first || !written.load(Ordering::Acquire) {
            return no_reply();
        }
        exchange.await
    }
}
