//! Drives a connector's steps over a sender, from a durable intent to an outcome.

use std::future::Future;
use std::pin::Pin;

use ivrpay_acquirer::{Connector, Progress, Step};
use ivrpay_card::Card;
use ivrpay_payment::{Doubt, Durable, Intent, Outcome, Why};

use crate::{SendError, Sender};

/// Most requests of one operation; acquirers have one to three.
const STEPS_MAX: usize = 8;

/// Keeps the progress of an operation of several requests on disk.
pub trait Checkpoint: Send {
    /// Writes and syncs `progress`, before the request that it belongs to goes out. Never called for the first request: its
    /// record is the intent.
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

/// Runs an operation of one request. A connector that wants a second one needs [`run_from`]; here it ends as unknown.
pub async fn run(
    connector: &dyn Connector,
    sender: &Sender,
    op: &Durable<Intent>,
    card: Card,
) -> Outcome {
    run_from(
        connector,
        sender,
        op,
        Some(card),
        Progress::default(),
        &mut Refuse,
    )
    .await
}

/// Runs an operation from `progress` on. The card is wiped as soon as no later step needs it, before the request goes out.
pub async fn run_from(
    connector: &dyn Connector,
    sender: &Sender,
    op: &Durable<Intent>,
    mut card: Option<Card>,
    mut progress: Progress,
    checkpoint: &mut dyn Checkpoint,
) -> Outcome {
    let mut sent = progress.stage > 0;
    let mut last = None;
    for _ in 0..STEPS_MAX {
        let request = match connector.step(op, card.as_ref(), &progress, last.as_ref()) {
            Ok(Step::Done(outcome)) => return outcome,
            Ok(Step::Send(request, next)) => {
                progress = next;
                request
            }
            Err(_) => return nothing_more(sent),
        };
        if !progress.needs_card {
            card = None;
        }
        if sent && checkpoint.write(op, &progress).await.is_err() {
            return Outcome::Unknown(Doubt::NoReply);
        }
        match sender.send(request).await {
            Ok(reply) => last = Some(reply),
            Err(SendError::NotSent { .. }) => return nothing_more(sent),
            Err(SendError::NoReply { .. }) => return Outcome::Unknown(Doubt::NoReply),
        }
        sent = true;
    }
    Outcome::Unknown(Doubt::Malformed)
}

/// What it means that the next request did not go out: nothing was charged, unless an earlier one of the operation did go out.
const fn nothing_more(sent: bool) -> Outcome {
    if sent {
        Outcome::Unknown(Doubt::NoReply)
    } else {
        Outcome::NotCharged(Why::NotSent)
    }
}

struct Refuse;

impl Checkpoint for Refuse {
    fn write<'a>(
        &'a mut self,
        _op: &'a Durable<Intent>,
        _progress: &'a Progress,
    ) -> Pin<Box<dyn Future<Output = Result<(), NotWritten>> + Send + 'a>> {
        Box::pin(std::future::ready(Err(NotWritten)))
    }
}
