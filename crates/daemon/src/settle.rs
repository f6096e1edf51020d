//! Money at the edge: intent to the journal, then the acquirer, then the outcome to the journal, in this order and never
//! another. The task that asks the acquirer is its own, so that a hang-up, a cancelled call or a panic of the call does not
//! lose an answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ivrpay_acquirer::Connector;
use ivrpay_card::Card;
use ivrpay_dialogue::{Draft, NotWritten};
use ivrpay_journal::{IntentDraft, IntentError, Journal, OutcomeError};
use ivrpay_payment::{Doubt, Durable, Intent, OperationKind, Outcome, PaymentId};
use ivrpay_wire::Sender;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::events;

/// Times an outcome is written again when the journal refuses it (disk full, locked), and the wait between, which doubles.
/// After the last one the operation stays in flight in the journal, and recovery makes it unknown: never a second charge.
const OUTCOME_WRITES_MAX: u32 = 6;
const OUTCOME_WRITE_WAIT: Duration = Duration::from_millis(200);

/// A connector, ready to be used.
pub struct Route {
    /// Builds requests and reads replies.
    pub connector: Box<dyn Connector>,
    /// Sends them.
    pub sender: Sender,
}

/// Journal and acquirers.
#[derive(Clone)]
pub struct Settle {
    journal: Journal,
    routes: Arc<BTreeMap<String, Route>>,
    in_flight: TaskTracker,
}

impl Route {
    /// Over a connector from which nothing leaves.
    #[must_use]
    pub fn offline(connector: Box<dyn Connector>) -> Self {
        Self {
            connector,
            sender: Sender::offline(),
        }
    }
}

impl Settle {
    /// Over a journal and the connectors by name.
    #[must_use]
    pub fn new(journal: Journal, routes: BTreeMap<String, Route>) -> Self {
        Self {
            journal,
            routes: Arc::new(routes),
            in_flight: TaskTracker::new(),
        }
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Writes the intent and syncs it. Nothing has been sent when this fails.
    ///
    /// # Errors
    /// [`NotWritten`]: the order is taken, or the journal can't be written.
    pub async fn write(
        &self,
        payment: PaymentId,
        draft: Draft,
    ) -> Result<Durable<Intent>, NotWritten> {
        let draft = IntentDraft {
            kind: OperationKind::Charge,
            amount: draft.amount,
            card: draft.card,
            evidence: serde_json::to_value(&draft.evidence).unwrap_or_default(),
        };
        match self.journal.write_intent(payment, draft).await {
            Ok(intent) => {
                events::intent(payment, intent.get().operation_id);
                Ok(intent)
            }
            Err(IntentError::OrderTaken) => Err(NotWritten::OrderTaken),
            Err(IntentError::Journal(error)) => {
                events::journal_failed(Some(payment), "intent", &error);
                Err(NotWritten::Failed)
            }
            Err(error) => {
                events::intent_refused(payment, &error);
                Err(NotWritten::Failed)
            }
        }
    }

    /// Asks the acquirer and journals what came of it, in a task of its own. The receiver gets the outcome once it is on
    /// disk: what is spoken to the caller is what the journal says (I3).
    #[must_use]
    pub fn authorise(
        &self,
        connector: &str,
        intent: Durable<Intent>,
        card: Card,
    ) -> oneshot::Receiver<Outcome> {
        let (answer, receiver) = oneshot::channel();
        let this = self.clone();
        let connector = connector.to_owned();
        self.in_flight.spawn(async move {
            let outcome = this.run(&connector, &intent, card).await;
            // The caller may be gone; the journal has it.
            drop(answer.send(outcome));
        });
        receiver
    }

    async fn run(&self, connector: &str, intent: &Durable<Intent>, card: Card) -> Outcome {
        let started = Instant::now();
        let (payment, operation) = (intent.get().payment_id, intent.get().operation_id);
        let route = self.routes.get(connector);
        let outcome = match route {
            Some(route) => {
                ivrpay_wire::run(route.connector.as_ref(), &route.sender, intent, card).await
            }
            // A tenant's connector is checked when the configuration is read; nothing was sent.
            None => Outcome::NotCharged(ivrpay_payment::Why::NotSent),
        };
        events::outcome(payment, operation, &outcome, started.elapsed());
        let mut wait = OUTCOME_WRITE_WAIT;
        for _ in 0..OUTCOME_WRITES_MAX {
            match self.journal.write_outcome(intent, &outcome).await {
                Ok(_) => return outcome,
                // The first outcome stands, and this is the only task that writes one.
                Err(OutcomeError::AlreadyWritten | OutcomeError::NotFound) => break,
                Err(error) => {
                    events::outcome_not_written(payment, &error);
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
            }
        }
        // What is not on disk is not spoken as a fact: the caller hears that it is being checked.
        match outcome {
            Outcome::NotCharged(why) => Outcome::NotCharged(why),
            Outcome::Approved(_) | Outcome::Declined(_) | Outcome::Unknown(_) => {
                Outcome::Unknown(Doubt::NoReply)
            }
        }
    }

    /// Closes an intent that was written and not sent.
    pub async fn not_sent(&self, intent: &Durable<Intent>) {
        if let Err(error) = self.journal.not_sent(intent).await {
            events::outcome_not_written(intent.get().payment_id, &error);
        }
    }

    /// Waits until every answer that is out has come and been journalled.
    pub async fn drain(&self) {
        self.in_flight.close();
        self.in_flight.wait().await;
    }
}
