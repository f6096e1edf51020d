//! Drives a connector's steps over a sender, from a durable intent to an outcome.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ivrpay_acquirer::{Asked, BuildError, Connector, Course, Progress, Resend, Step, codes_in};
use ivrpay_card::Card;
use ivrpay_payment::{AcquirerRef, Doubt, Durable, Intent, Outcome};

use tokio::time::Instant;

use crate::again::{Asking, Sent};
use crate::{SendError, Sender, Wiped};

/// Most requests of one operation; acquirers have one to three.
const STEPS_MAX: usize = 8;

/// Keeps the progress of an operation of several requests on disk.
pub trait Checkpoint: Send {
    /// Writes and syncs `progress`, before the request that it belongs to goes out. Never called for the first request, whose record is
    /// the intent, but where that goes out again ([`Progress::again`]).
    fn write<'a>(
        &'a mut self,
        op: &'a Durable<Intent>,
        progress: &'a Progress,
    ) -> Pin<Box<dyn Future<Output = Result<(), NotWritten>> + Send + 'a>>;
}

/// The progress could not be written, so the next request does not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the progress of an operation could not be written; the next request was not sent")]
pub struct NotWritten;

/// What an operation came to.
#[must_use]
pub struct Ran {
    /// What is known about the money.
    pub outcome: Outcome,
    /// What kept a request from going out or its answer from coming; for the log, where an admin looks for what to mend.
    pub trouble: Option<Trouble>,
    /// The codes of an answer that left the outcome open, for the log; empty for none.
    pub codes: String,
    /// The card, where no connection came about for the first request: not one byte has gone out, and another acquirer may be asked.
    pub unsent: Option<Card>,
}

/// Without the card.
impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ran")
            .field("outcome", &self.outcome)
            .field("trouble", &self.trouble)
            .finish_non_exhaustive()
    }
}

/// The card beside a request that holds it too, until that has been written out: should no connection come about, it is there.
#[derive(Clone, Default)]
struct Spare(Arc<Mutex<Option<Card>>>);

impl Spare {
    fn put(&self, card: Option<Card>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = card;
    }

    fn take(&self) -> Option<Card> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Why an operation stopped before the connector was done with it. No text from outside, so that it may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The request could not be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The progress could not be journalled.
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
    /// The request did not go out, or no answer came.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The connector wanted more requests than any acquirer has.
    #[error("the operation did not end after {STEPS_MAX} requests")]
    Steps,
}

impl Trouble {
    /// What the operator can do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Build(error) => error.hint(),
            Self::NotWritten(_) => {
                "free space on the journal's file system, then look the payment up at the acquirer"
            }
            Self::Send(error) => error.hint(),
            Self::Steps => "this is a bug of ivrpay: please report it",
        }
    }
}

/// Runs an operation from `progress` on. A card that no later step needs is wiped with the body of the request that holds it, or comes
/// back in [`Ran::unsent`]; `told` learns when the body of each request has been.
///
/// A request goes out once. Of an operation with a card, each may go out again where the endpoint's `card_kept` says so and the connector
/// allows it.
pub async fn run_from(
    connector: &dyn Connector,
    sender: &Sender,
    op: &Durable<Intent>,
    mut card: Option<Card>,
    mut progress: Progress,
    checkpoint: &mut dyn Checkpoint,
    told: impl Fn(Wiped) + Copy + Send + Sync + 'static,
) -> Ran {
    let stopped = |outcome, trouble| Ran {
        outcome,
        trouble: Some(trouble),
        codes: String::new(),
        unsent: None,
    };
    let spare = Spare::default();
    let mut course = Course::new(op.get(), &progress);
    let again = card.is_some()
        && sender.keeps_cards()
        && connector.about().capabilities.resend != Resend::Never;
    let mut last = None;
    for _ in 0..STEPS_MAX {
        let asked = Asked {
            op,
            card: card.as_ref(),
            now_unix_s: now_unix_s(),
        };
        let request = match connector.step(&asked, &progress, last.as_ref()) {
            Ok(Step::Done(says)) => {
                let open =
                    course.doubts(&says) || matches!(says, Outcome::Unknown(Doubt::UnlistedCode));
                let answer = last.as_ref().filter(|_| open);
                return Ran {
                    outcome: course.ends(says),
                    trouble: None,
                    codes: answer.map(codes_in).unwrap_or_default(),
                    unsent: None,
                };
            }
            Ok(Step::Send(request, next)) => {
                progress = next;
                request
            }
            Err(error) => return stopped(course.stops(), error.into()),
        };
        let opens = course.opens();
        if !progress.needs_card {
            spare.put(card.take().filter(|_| opens));
        }
        if !opens && let Err(error) = checkpoint.write(op, &progress).await {
            return stopped(course.stops(), error.into());
        }
        course.goes_out(&progress);
        let beside = spare.clone();
        let came = if again {
            let asking = Asking {
                connector,
                sender,
                op,
                until: Instant::now() + sender.keeping.most,
            };
            let out = move |sent: bool| drop(sent.then(|| beside.take()));
            asking
                .until_answered(request, &mut progress, checkpoint, out, told)
                .await
        } else {
            let written = move |mut wiped: Wiped| {
                if wiped.held.is_some() && beside.take().is_some() {
                    wiped.at = SystemTime::now();
                }
                told(wiped);
            };
            Sent::once(sender.send(request, written).await)
        };
        if came.doubted {
            course.doubt();
        }
        if came.doubted || !matches!(came.result, Err(SendError::NotSent { .. })) {
            spare.put(None);
        }
        match came.result {
            Ok(reply) => last = Some(reply),
            Err(error) if came.doubted => return stopped(course.stops(), error.into()),
            Err(error @ SendError::NotSent { .. }) => {
                return Ran {
                    unsent: card.or_else(|| spare.take()).filter(|_| opens),
                    ..stopped(course.was_not_sent(), error.into())
                };
            }
            Err(error @ SendError::NoReply { .. }) => {
                return stopped(course.stops(), error.into());
            }
        }
    }
    stopped(Outcome::Unknown(Doubt::Malformed), Trouble::Steps)
}

pub(crate) fn now_unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

/// What is said to the admin of an operation: by what stopped it, else by what it came to.
#[must_use]
pub fn hint(outcome: &Outcome, trouble: Option<&Trouble>) -> Option<&'static str> {
    match (trouble, outcome) {
        (Some(trouble), _) => Some(trouble.hint()),
        (None, Outcome::NotCharged(why)) => why.hint(),
        (None, _) => None,
    }
}

/// Keeps the last progress in memory: for operations that no journal knows, since they are no payments.
#[derive(Debug, Default)]
pub struct Kept(Option<Progress>);

impl Kept {
    /// The acquirer's reference of the operation that ended so: that of its approval, else of its last request.
    #[must_use]
    pub fn reference(self, outcome: &Outcome) -> Option<AcquirerRef> {
        match outcome {
            Outcome::Approved(approval) => Some(approval.acquirer_ref.clone()),
            _ => self.0?.reference,
        }
    }
}

impl Checkpoint for Kept {
    fn write<'a>(
        &'a mut self,
        _op: &'a Durable<Intent>,
        progress: &'a Progress,
    ) -> Pin<Box<dyn Future<Output = Result<(), NotWritten>> + Send + 'a>> {
        self.0 = Some(progress.clone());
        Box::pin(std::future::ready(Ok(())))
    }
}
