//! Money at the edge: intent to the journal, then the acquirer, then the outcome to the journal, in this order and never
//! another. The task that asks the acquirer is its own, so that a hang-up, a cancelled call or a panic of the call does not
//! lose an answer.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, TryFutureExt as _};
use ivrpay_acquirer::{Capabilities, Connector, Heard, HookError, Posted, Progress};
use ivrpay_card::Card;
use ivrpay_dialogue::operator::Refusal;
use ivrpay_dialogue::{Draft, NotWritten};
use ivrpay_journal::{
    ApiRequest, By, Claim, IntentDraft, IntentError, Journal, LATE_ANSWER, Later, LaterDraft,
    LaterError, Operation, OperationState, OutcomeError, Payment, Planned, RECOVERY, TRAINING,
    Told,
};
use ivrpay_payment::{
    CallId, Decline, Doubt, Durable, Intent, Notice, OperationId, OperationKind, OperatorId,
    Outcome, PaymentId, Reason, State, TenantId, Why,
};
use ivrpay_web::{Acquirers, HookRefused, LaterRefused};
use ivrpay_wire::{Checkpoint, Ran, Sender, Trouble};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::breaker::{Breaker, FAILURES};
use crate::events;
use crate::routing::Ways;
use crate::tries::Tries;

/// The wait before the journal is written again after it refused (disk full, locked): it doubles, up to the second one.
const REWRITE_WAIT: Duration = Duration::from_millis(200);
const REWRITE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Times an outcome is written before the caller is told that it is being checked: 12 s.
const SPOKEN_AFTER_WRITES: u32 = 6;
/// Who settles an operation of which the acquirer was asked what became of it.
const INQUIRY: &str = "inquiry";

/// After how long a refusal of our own is told at least and at most: as long as the acquirer's last one took, so that who tries cards does
/// not hear from the time that nobody was asked.
const REFUSED_AFTER: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// What an inquiry has found.
pub(crate) enum Found {
    /// What became of it.
    Out(Outcome),
    /// Nothing that can be told yet.
    Nothing,
    /// A charge that has stopped in the middle: it is reserved, and no request of ours will take it.
    HalfDone,
    /// The acquirer can't be asked about it: a person finds out.
    NotKnown,
    /// That it was not charged, which nobody may believe before that time, UTC milliseconds.
    TooEarly {
        /// From when on.
        sure_ms: i64,
    },
}

/// In whose name open payments are made good.
/// The door of what is done by nobody's wish.
pub(crate) const BY_ITSELF: &str = "daemon";

fn by_recovery() -> By {
    By {
        person: OperatorId::new(RECOVERY).expect("letters"),
        via: BY_ITSELF.to_owned(),
    }
}
/// How long a message of an acquirer waits here for the answer that it is about, and how often it looks. Most are a moment ahead; one
/// that is further ahead is sent again. Adyen gives up an attempt after 10 s.
const NOTICE_WAIT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });
const NOTICE_AGAIN: Duration = Duration::from_millis(100);

/// A connector, ready to be used.
pub struct Route {
    /// Builds requests and reads replies.
    pub connector: Box<dyn Connector>,
    /// Sends them.
    pub sender: Sender,
    /// Whether it can be asked now.
    pub breaker: Breaker,
    /// How long its last decline took, ms.
    pub declined_ms: AtomicU64,
}

/// Journal and acquirers.
#[derive(Clone)]
pub struct Settle {
    journal: Journal,
    routes: Arc<BTreeMap<String, Route>>,
    in_flight: TaskTracker,
    tries: Arc<Tries>,
    wire: Wire,
}

/// The thread that talks to acquirers: a TLS handshake costs a millisecond and more of work, during which no call could answer a key.
#[derive(Clone)]
struct Wire {
    handle: Handle,
    /// Its thread ends with the last clone.
    _open: Arc<oneshot::Sender<()>>,
}

impl Wire {
    fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let (open, closed) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("ivrpay-wire".to_owned())
            .spawn(move || {
                // An error says that nobody can ask for anything any more.
                runtime.block_on(closed).unwrap_or_default();
            })?;
        Ok(Self {
            handle,
            _open: Arc::new(open),
        })
    }
}

/// The pauses between two writes.
#[derive(Default)]
struct Pauses {
    taken: u32,
}

impl Pauses {
    async fn next(&mut self) {
        let wait = REWRITE_WAIT.saturating_mul(1 << self.taken.min(10));
        tokio::time::sleep(wait.min(REWRITE_WAIT_MAX)).await;
        self.taken += 1;
    }
}

/// Keeps how far an operation of several requests has come.
struct Kept<'j>(&'j Journal);

impl Checkpoint for Kept<'_> {
    fn write<'a>(
        &'a mut self,
        op: &'a Durable<Intent>,
        progress: &'a Progress,
    ) -> Pin<Box<dyn Future<Output = Result<(), ivrpay_wire::NotWritten>> + Send + 'a>> {
        let (payment, operation) = (op.get().payment_id, op.get().operation_id);
        let again = progress.again;
        let written = self.0.write_progress(op, serde_json::json!(progress));
        written
            .inspect_ok(move |()| {
                if again > 0 {
                    events::sent_again(payment, operation, again);
                }
            })
            .map_err(move |error| {
                events::journal_failed(Some(payment), "progress", &error);
                ivrpay_wire::NotWritten
            })
            .boxed()
    }
}

impl Route {
    /// Over a connector from which nothing leaves.
    #[must_use]
    pub fn offline(connector: Box<dyn Connector>) -> Self {
        Self {
            connector,
            sender: Sender::offline(),
            breaker: Breaker::new(Vec::new(), FAILURES),
            declined_ms: AtomicU64::default(),
        }
    }

    fn note_decline(&self, outcome: &Outcome, took: Duration) {
        if matches!(outcome, Outcome::Declined(_)) {
            let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            self.declined_ms.store(ms, Ordering::Relaxed);
        }
    }

    /// When a refusal of our own is told.
    fn refused_after(&self) -> Duration {
        let last = Duration::from_millis(self.declined_ms.load(Ordering::Relaxed));
        last.clamp(REFUSED_AFTER.0, REFUSED_AFTER.1)
    }
}

impl Settle {
    /// Over a journal and the connectors by name.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(
        journal: Journal,
        mut routes: BTreeMap<String, Route>,
        tries: Tries,
    ) -> std::io::Result<Self> {
        for route in routes.values_mut() {
            let journal = journal.clone();
            route.sender.only_while(move || journal.may_send().is_ok());
        }
        Ok(Self {
            journal,
            routes: Arc::new(routes),
            in_flight: TaskTracker::new(),
            tries: Arc::new(tries),
            wire: Wire::start()?,
        })
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Writes the intent, of this connector, and syncs it. Nothing has been sent when this fails.
    ///
    /// # Errors
    /// [`NotWritten`]: the order is taken, or the journal can't be written.
    pub async fn write(
        &self,
        payment: PaymentId,
        connector: &str,
        draft: Draft,
    ) -> Result<Durable<Intent>, NotWritten> {
        let draft = IntentDraft {
            stored: draft.stored,
            amount: draft.amount,
            card: draft.card,
            plan: draft.plan,
            connector: connector.to_owned(),
            evidence: serde_json::to_value(&draft.evidence).unwrap_or_default(),
        };
        let began = Instant::now();
        match self.journal.write_intent(payment, draft).await {
            Ok(intent) => {
                events::journalled("intent", began.elapsed());
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
    /// disk: what is spoken to the caller is what the journal says (I3). `ways` begins with the intent's connector; `merchant`: whose
    /// tries of this card are counted; none in practice.
    #[must_use]
    pub fn authorise(
        &self,
        ways: Ways,
        intent: Durable<Intent>,
        card: Option<Card>,
        merchant: Option<TenantId>,
    ) -> oneshot::Receiver<Outcome> {
        let (answer, receiver) = oneshot::channel();
        let this = self.clone();
        let card = card.map(|card| (card, merchant));
        self.in_flight.spawn_on(
            async move { this.run(ways, &intent, card, answer).await },
            &self.wire.handle,
        );
        receiver
    }

    /// Whether this connector can do that; one that is not configured can do nothing.
    #[must_use]
    pub fn can(&self, connector: &str, kind: OperationKind) -> bool {
        self.capabilities(connector).is_some_and(|c| c.has(kind))
    }

    fn capabilities(&self, connector: &str) -> Option<&Capabilities> {
        let route = self.routes.get(connector)?;
        Some(&route.connector.about().capabilities)
    }

    /// Asks the acquirer for a capture, a change, a void or a refund.
    ///
    /// # Errors
    /// [`LaterRefused`]; nothing was sent then.
    pub async fn later(
        &self,
        payment: PaymentId,
        draft: LaterDraft,
    ) -> Result<Operation, LaterRefused> {
        let found = self.allows(payment, &draft).await?;
        match self.journal.write_later(payment, draft).await? {
            Later::Existing(operation) => Ok(operation),
            Later::New(intent) => {
                self.answered(&found.connector, &intent).await;
                let id = intent.get().operation_id;
                self.operation(payment, id).await
            }
        }
    }

    /// What [`Self::later`] would do now; asks nobody and writes nothing.
    ///
    /// # Errors
    /// As of [`Self::later`].
    pub async fn plan(
        &self,
        payment: PaymentId,
        draft: &LaterDraft,
    ) -> Result<Planned, LaterRefused> {
        self.allows(payment, draft).await?;
        Ok(self.journal.plan_later(payment, draft).await?)
    }

    /// The payment, where its acquirer has such an operation.
    async fn allows(
        &self,
        payment: PaymentId,
        draft: &LaterDraft,
    ) -> Result<Payment, LaterRefused> {
        let kind = draft.kind;
        let found = self.payment(payment).await?;
        let about = self.route(&found.connector)?.connector.about();
        if kind == OperationKind::Change {
            let most = about.capabilities.amount_max;
            let wanted = draft.amount_minor.unwrap_or_default();
            return match about.capabilities.change {
                true if wanted <= most => Ok(found),
                true => Err(LaterRefused::TooMuch { most }),
                false => Err(LaterRefused::NoChange {
                    parts: about.capabilities.partial_capture,
                }),
            };
        }
        if !about.capabilities.has(kind) {
            return Err(LaterRefused::Unsupported { kind });
        }
        // One that is in flight may be unknown when it is written.
        let is_open = matches!(found.state, State::Unknown | State::InFlight);
        if kind == OperationKind::Void && is_open && !self.releases(&found).await? {
            return Err(LaterRefused::InquireFirst);
        }
        let (whole, parts) = match kind {
            OperationKind::Refund => (found.captured_minor, about.capabilities.partial_refund),
            _ => (
                Some(found.reserved_minor.unwrap_or(found.amount.minor())),
                about.capabilities.partial_capture,
            ),
        };
        let is_part = draft
            .amount_minor
            .is_some_and(|amount| Some(amount) != whole);
        if is_part && !parts && kind != OperationKind::Void {
            return Err(LaterRefused::WholeOnly { kind });
        }
        Ok(found)
    }

    /// Whether its acquirer releases what it may have taken or not.
    async fn releases(&self, payment: &Payment) -> Result<bool, LaterRefused> {
        let all = self.journal.operations(payment.id).await?;
        let takes = |o: &&Operation| !o.kind.is_later() && o.state == OperationState::Unknown;
        let connector = &self.route(&payment.connector)?.connector;
        Ok(match all.iter().rfind(takes) {
            Some(root) => connector.releases(&root.as_parent(&all)),
            None => connector.about().capabilities.void_unknown,
        })
    }

    /// Asks the acquirer what became of what is unknown of a payment, and settles what it says.
    ///
    /// # Errors
    /// [`LaterRefused`]; nothing was settled then.
    pub async fn inquire(
        &self,
        payment: PaymentId,
        by: By,
    ) -> Result<Vec<Operation>, LaterRefused> {
        let kind = OperationKind::Query;
        self.payment(payment).await?;
        let operations = self.journal.operations(payment).await?;
        let open = operations.into_iter().filter(|operation| {
            operation.state == OperationState::Unknown && operation.kind != kind
        });
        let mut asked = Vec::new();
        let mut not_known = None;
        for operation in open {
            let route = self.route(&operation.connector)?;
            if !route.connector.about().capabilities.query {
                return Err(LaterRefused::Unsupported { kind });
            }
            if let Found::NotKnown = self.ask_about(&operation, &by).await? {
                let order = operation.acquirer_order;
                not_known = Some(LaterRefused::NotKnown { order });
                continue;
            }
            asked.push(self.operation(payment, operation.id).await?);
        }
        match not_known {
            Some(refused) if asked.is_empty() => Err(refused),
            _ => Ok(asked),
        }
    }

    /// Asks what became of one operation, and settles what is said.
    ///
    /// # Errors
    /// [`LaterRefused`]; nothing was settled then.
    async fn ask_about(&self, operation: &Operation, by: &By) -> Result<Found, LaterRefused> {
        let all = self.journal.operations(operation.payment).await?;
        let route = self.route(&operation.connector)?;
        if !route.connector.can_ask(&operation.as_parent(&all)) {
            return Ok(Found::NotKnown);
        }
        let query = self.journal.write_query(operation.id, by).await?;
        let outcome = self.answered(&operation.connector, &query).await;
        match outcome {
            Outcome::Unknown(Doubt::HalfDone) => {
                // Its second request may be on its way.
                let until = self.journal.is_on_its_way_until(operation);
                return Ok(until.map_or(Found::HalfDone, |sure_ms| Found::TooEarly { sure_ms }));
            }
            Outcome::Unknown(_) => return Ok(Found::Nothing),
            _ => {}
        }
        // What a person has asked for, a person knows.
        let found_by = if by.person.as_str() == RECOVERY {
            RECOVERY
        } else {
            INQUIRY
        };
        match self.journal.settle(operation.id, &outcome, found_by).await {
            Ok(_) => Ok(Found::Out(outcome)),
            // Somebody else was faster, and that stands.
            Err(OutcomeError::AlreadyWritten) => Ok(Found::Nothing),
            // It stays unknown.
            Err(OutcomeError::TooEarly { sure_ms }) => Ok(Found::TooEarly { sure_ms }),
            Err(OutcomeError::Journal(error)) => Err(error.into()),
            Err(_) => Err(LaterError::NotFound.into()),
        }
    }

    /// The same, by nobody's wish; in a task of its own, so that the service stops behind it.
    pub(crate) fn ask_by_itself(
        &self,
        operation: Operation,
    ) -> BoxFuture<'static, Result<Found, LaterRefused>> {
        let this = self.clone();
        self.apart(async move { this.ask_about(&operation, &by_recovery()).await })
    }

    /// Releases an approval, or a charge that has stopped in the middle (`via` says which), by nobody's wish; once under each `key`.
    pub(crate) fn release_by_itself(
        &self,
        payment: PaymentId,
        via: &str,
        key: String,
    ) -> BoxFuture<'static, Result<Operation, LaterRefused>> {
        let this = self.clone();
        let draft = LaterDraft {
            kind: OperationKind::Void,
            amount_minor: None,
            by: By {
                via: via.to_owned(),
                ..by_recovery()
            },
            request: Some(ApiRequest { key, hash: [0; 32] }),
            judged: None,
        };
        self.apart(async move { Self::later(&this, payment, draft).await })
    }

    /// The connectors whose acquirers can be asked what became of an operation.
    pub(crate) fn inquirable(&self) -> impl Iterator<Item = &str> {
        let all = self.routes.iter();
        all.filter(|(_, route)| route.connector.about().capabilities.query)
            .map(|(name, _)| name.as_str())
    }

    /// Takes what a connector's acquirer sends of itself. What it says of an operation whose answer is still awaited comes behind that
    /// answer: the call speaks what the acquirer answered, and the journal has never two sources at once.
    ///
    /// # Errors
    /// [`HookRefused`]: the acquirer has to send it again, or it is none of its messages.
    pub async fn hook(
        &self,
        connector: &str,
        posted: &ivrpay_web::Posted,
    ) -> Result<(), HookRefused> {
        let route = self.routes.get(connector);
        let hook = route.and_then(|route| route.connector.hook());
        let hook = hook.ok_or(HookRefused::NoHook)?;
        let posted = Posted {
            authorization: posted.authorization.as_deref(),
            signature: posted.signature.as_deref(),
            now_unix_s: jiff::Timestamp::now().as_second(),
            body: &posted.body,
        };
        let heard = hook.read(&posted).map_err(|error| {
            events::hook_refused(connector, &error);
            match error {
                HookError::Malformed => HookRefused::Malformed,
                HookError::Old | HookError::Unproven => HookRefused::Unproven,
            }
        })?;
        for heard in &heard {
            match heard {
                Heard::Nothing(event) => events::noticed(connector, event, None),
                Heard::Notice(notice) => self.notice(connector, notice).await?,
            }
        }
        Ok(())
    }

    async fn notice(&self, connector: &str, notice: &Notice) -> Result<(), HookRefused> {
        let until = Instant::now() + NOTICE_WAIT;
        loop {
            match self.journal.notice(connector, notice).await {
                Ok(Told::InFlight) if Instant::now() < until => {
                    tokio::time::sleep(NOTICE_AGAIN).await;
                }
                Ok(told) => {
                    events::noticed(connector, notice.event, Some(told));
                    return match told {
                        Told::InFlight => Err(HookRefused::Later),
                        _ => Ok(()),
                    };
                }
                Err(error) => {
                    events::journal_failed(None, "notice", &error);
                    return Err(HookRefused::Later);
                }
            }
        }
    }

    /// Whether one of these connectors' acquirers can be asked now; else what an operator is told: of maintenance, where that is all of
    /// it.
    pub(crate) fn can_be_asked(&self, connectors: &[&str]) -> Result<(), Refusal> {
        let mut all = connectors.iter().map(|name| self.is_open(name));
        let first = all.next().unwrap_or(Ok(()));
        all.fold(first, |before, now| match (before, now) {
            (Ok(()), _) | (_, Ok(())) => Ok(()),
            (Err(before), Err(now)) if before == now => Err(now),
            _ => Err(Refusal::AcquirerAway),
        })
    }

    pub(crate) fn is_open(&self, connector: &str) -> Result<(), Refusal> {
        let Some(route) = self.routes.get(connector) else {
            return Ok(());
        };
        route.breaker.closed(Instant::now(), jiff::Timestamp::now())
    }

    /// Those of the ways that can be asked now, or all where none can.
    #[must_use]
    pub fn open(&self, ways: Ways) -> Ways {
        ways.open(|connector| self.is_open(connector).is_ok())
    }

    /// Acquirers that can be asked now, and all; practice asks none.
    pub(crate) fn reached(&self) -> (usize, usize) {
        let all = || self.routes.keys().filter(|name| *name != TRAINING);
        let open = all().filter(|name| self.is_open(name).is_ok());
        (open.count(), all().count())
    }

    /// For metrics.
    pub(crate) fn tell_of_acquirers(&self) {
        for name in self.routes.keys().filter(|name| *name != TRAINING) {
            events::acquirer_open(name, self.is_open(name).is_ok());
        }
    }

    async fn payment(&self, id: PaymentId) -> Result<Payment, LaterRefused> {
        let found = self.journal.payment(id).await?;
        found.ok_or_else(|| LaterError::NotFound.into())
    }

    fn route(&self, name: &str) -> Result<&Route, LaterRefused> {
        self.routes
            .get(name)
            .ok_or_else(|| LaterRefused::NoConnector {
                name: name.to_owned(),
            })
    }

    /// What came of an operation without a card, once it is on disk.
    async fn answered(&self, connector: &str, intent: &Durable<Intent>) -> Outcome {
        events::intent(intent.get().payment_id, intent.get().operation_id);
        match self
            .authorise(Ways::only(connector), intent.clone(), None, None)
            .await
        {
            Ok(outcome) => outcome,
            // Its task died by a bug: it may have been done.
            Err(_) => {
                let unknown = Outcome::Unknown(Doubt::NoReply);
                self.close(intent, unknown.clone()).await;
                unknown
            }
        }
    }

    /// An operation that has been asked for.
    async fn operation(
        &self,
        payment: PaymentId,
        id: OperationId,
    ) -> Result<Operation, LaterRefused> {
        let all = self.journal.operations(payment).await;
        let all = all.map_err(|_| LaterRefused::NotRead)?;
        let found = all.into_iter().find(|operation| operation.id == id);
        found.ok_or(LaterRefused::NotRead)
    }

    /// Runs what somebody asks behind the call in a task of its own: he may go away at any moment, and what is written must be sent.
    fn apart<T: Send + 'static>(
        &self,
        asks: impl Future<Output = Result<T, LaterRefused>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, LaterRefused>> {
        if self.in_flight.is_closed() {
            return std::future::ready(Err(LaterRefused::Stopping)).boxed();
        }
        let asked = self.in_flight.spawn(asks);
        async move { asked.await.unwrap_or(Err(LaterRefused::NotRead)) }.boxed()
    }

    async fn run(
        &self,
        ways: Ways,
        intent: &Durable<Intent>,
        card: Option<(Card, Option<TenantId>)>,
        answer: oneshot::Sender<Outcome>,
    ) {
        let started = Instant::now();
        let (payment, operation) = (intent.get().payment_id, intent.get().operation_id);
        let tried = match &card {
            Some((card, Some(merchant))) => Some(self.tries.begin(merchant, &card.pan, started)),
            _ => None,
        };
        let card = card.map(|(card, _)| card);
        let outcome = match &tried {
            // The intent is in the books, and this is what came of it. The card goes nowhere.
            Some(Err(reason)) => {
                drop(card);
                self.refused(&ways, intent, *reason).await
            }
            _ => self.ask_all(ways, intent, card, started).await,
        };
        if let Some(Ok(tried)) = &tried {
            self.tries.end(tried, &outcome, Instant::now());
        }
        #[cfg(feature = "plant")]
        let outcome = crate::teller::mistaken(outcome);
        let mut answer = Some(answer);
        #[cfg(feature = "plant")]
        if ivrpay_secret::plant::is("told-before-it-is-written")
            && let Some(answer) = answer.take()
        {
            drop(answer.send(outcome.clone()));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut pauses = Pauses::default();
        while let Err(error) = self.keep(intent, &outcome).await {
            // The log has the acquirer's reference, should this process end before the journal has it.
            events::outcome_not_written(payment, operation, &outcome, &error);
            if pauses.taken + 1 == SPOKEN_AFTER_WRITES
                && let Some(answer) = answer.take()
            {
                // What is not on disk is not spoken as a fact: the caller hears that it is being checked.
                drop(answer.send(match outcome {
                    Outcome::NotCharged(why) => Outcome::NotCharged(why),
                    Outcome::Approved(_) | Outcome::Declined(_) | Outcome::Unknown(_) => {
                        Outcome::Unknown(Doubt::NoReply)
                    }
                }));
            }
            // Another one finds out what came of it: nothing is written by this process any more.
            if self.journal.may_send().is_err() {
                if let Some(answer) = answer.take() {
                    drop(answer.send(Outcome::Unknown(Doubt::NoReply)));
                }
                return;
            }
            pauses.next().await;
        }
        #[cfg(feature = "plant")]
        ivrpay_secret::plant::point("before the outcome is told");
        if let Some(answer) = answer {
            // The caller may be gone; the journal has it.
            drop(answer.send(outcome));
        }
    }

    /// Asks one connector after the other until one has been reached.
    async fn ask_all(
        &self,
        ways: Ways,
        intent: &Durable<Intent>,
        mut card: Option<Card>,
        started: Instant,
    ) -> Outcome {
        let (payment, operation) = (intent.get().payment_id, intent.get().operation_id);
        let mut ways = ways.into_iter();
        let mut connector = ways.next().unwrap_or_default();
        let ran = loop {
            let mut ran = self.ask_one(&connector, intent, card).await;
            // Only what not one byte has gone out of, and what a card is there for.
            let next = ran
                .unsent
                .take()
                .and_then(|card| Some((card, ways.next()?)));
            let Some((unsent, other)) = next else {
                break ran;
            };
            if let Err(error) = self.journal.fail_over(intent, &other).await {
                // Else its call was closed meanwhile: nobody waits for it any more.
                if let OutcomeError::Journal(error) = &error {
                    events::journal_failed(Some(payment), "fail-over", error);
                }
                break ran;
            }
            let trouble = ran.trouble.as_ref();
            events::failed_over(payment, operation, (&connector, &other), trouble);
            (connector, card) = (other, Some(unsent));
        };
        let (trouble, took) = (ran.trouble.as_ref(), started.elapsed());
        let asked = (connector.as_str(), intent.get().kind.name());
        events::outcome(
            payment,
            operation,
            asked,
            &ran.outcome,
            trouble,
            &ran.codes,
            took,
        );
        ran.outcome
    }

    /// What comes of a card that may not be tried: a decline, after as long as one takes.
    async fn refused(&self, ways: &Ways, intent: &Durable<Intent>, reason: Reason) -> Outcome {
        let (payment, operation) = (intent.get().payment_id, intent.get().operation_id);
        if let Some(route) = self.routes.get(ways.first()) {
            tokio::time::sleep(route.refused_after()).await;
        }
        let asked = (ways.first(), intent.get().kind.name());
        events::not_tried(payment, operation, asked, reason);
        Outcome::Declined(Decline {
            reason,
            code: String::new(),
            hard: reason == Reason::HardDeclinedBefore,
            action: None,
        })
    }

    /// What one connector makes of an operation, noted for those who ask next.
    async fn ask_one(&self, connector: &str, intent: &Durable<Intent>, card: Option<Card>) -> Ran {
        let Some(route) = self.routes.get(connector) else {
            // A tenant's connectors are checked when the configuration is read; nothing was sent.
            return Ran {
                outcome: Outcome::NotCharged(Why::NotSent),
                trouble: None,
                codes: String::new(),
                unsent: None,
            };
        };
        let (payment, operation) = (intent.get().payment_id, intent.get().operation_id);
        let started = Instant::now();
        let ran = ivrpay_wire::run_from(
            route.connector.as_ref(),
            &route.sender,
            intent,
            card,
            Progress::default(),
            &mut Kept(&self.journal),
            move |wiped| events::wiped(payment, operation, wiped),
        )
        .await;
        // A later operation may fail by what it is about, and what was not built asked nobody.
        let asked = intent.get().parent.is_none()
            && !matches!(
                ran.trouble,
                Some(Trouble::Build(_) | Trouble::NotWritten(_))
            );
        if asked {
            route.note_decline(&ran.outcome, started.elapsed());
            if route.breaker.note(&ran.outcome, Instant::now()) {
                events::acquirer_away(connector);
            }
        }
        ran
    }

    /// Writes an outcome. Where the call was closed meanwhile, its operation is unknown, and now is settled.
    async fn keep(&self, intent: &Durable<Intent>, outcome: &Outcome) -> Result<(), OutcomeError> {
        let began = Instant::now();
        let written = match self.journal.write_outcome(intent, outcome).await {
            Err(OutcomeError::AlreadyWritten) => {
                let operation = intent.get().operation_id;
                self.journal.settle(operation, outcome, LATE_ANSWER).await
            }
            other => other,
        };
        match written {
            Err(OutcomeError::AlreadyWritten) => {
                // The first outcome stands: somebody found it out meanwhile. Where he found "no", an approval is told to the log.
                if let Outcome::Approved(approval) = outcome {
                    let (payment, operation) = (intent.get().payment_id, intent.get().operation_id);
                    events::approved_too_late(payment, operation, &approval.acquirer_ref);
                }
                Ok(())
            }
            Ok(_) => {
                events::journalled("outcome", began.elapsed());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Ends a call's work on its payment. What the journal refuses is written as soon as it takes it, in a task of its own: the
    /// payment and its order stay locked until then. `heard`: by the caller; `operator_knows`: his operator is in the call.
    pub(crate) async fn release(
        &self,
        claim: Claim,
        result: &'static str,
        evidence: serde_json::Value,
        (heard, operator_knows): (bool, bool),
    ) {
        let id = claim.payment().id;
        let claim = Arc::new(claim);
        let release = move |this: Self| {
            let (claim, evidence) = (Arc::clone(&claim), evidence.clone());
            async move {
                if heard {
                    this.journal.release(&claim, result, evidence).await
                } else {
                    let journal = &this.journal;
                    journal
                        .release_unheard(&claim, result, evidence, operator_knows)
                        .await
                }
            }
        };
        self.until_taken(release, move |error| {
            events::journal_failed(Some(id), "release", error);
        })
        .await;
    }

    /// Ends what a call held that died by a bug; as [`Self::release`] does, whenever the journal takes it.
    pub(crate) async fn abandon(&self, call: CallId) {
        self.until_taken(
            move |this: Self| async move { this.journal.abandon(call).await },
            |error| events::journal_failed(None, "abandon", error),
        )
        .await;
    }

    /// Closes an intent that was written and not sent, whenever the journal takes it.
    pub async fn not_sent(&self, intent: &Durable<Intent>) {
        self.close(intent, Outcome::NotCharged(Why::NotSent)).await;
    }

    /// Closes an intent for which no acquirer's answer will be written, whenever the journal takes it.
    async fn close(&self, intent: &Durable<Intent>, outcome: Outcome) {
        let (payment, operation) = (intent.get().payment_id, intent.get().operation_id);
        let (intent, told) = (intent.clone(), outcome.clone());
        let close = move |this: Self| {
            let (intent, outcome) = (intent.clone(), outcome.clone());
            async move { this.keep(&intent, &outcome).await }
        };
        self.until_taken(close, move |error| {
            events::outcome_not_written(payment, operation, &told, error);
        })
        .await;
    }

    /// Has the journal take something: at once, or, where it refuses, in a task of its own as soon as it does not.
    async fn until_taken<T, E, F>(
        &self,
        attempt: impl Fn(Self) -> F + Send + 'static,
        refused: impl Fn(&E) + Send + 'static,
    ) where
        T: Send,
        E: Send,
        F: Future<Output = Result<T, E>> + Send,
    {
        let Err(error) = attempt(self.clone()).await else {
            return;
        };
        refused(&error);
        let this = self.clone();
        self.in_flight.spawn(async move {
            let mut pauses = Pauses::default();
            while this.journal.may_send().is_ok() {
                pauses.next().await;
                match attempt(this.clone()).await {
                    Ok(_) => return,
                    Err(error) => refused(&error),
                }
            }
        });
    }

    /// Nothing is sent a second time from now on, and no card is kept for that.
    pub fn stop_resending(&self) {
        for route in self.routes.values() {
            route.sender.stop();
        }
    }

    /// Waits until every answer that is out has come and been journalled.
    pub async fn drain(&self) {
        self.in_flight.close();
        self.in_flight.wait().await;
    }
}

impl Acquirers for Settle {
    fn can(&self, connector: &str, kind: OperationKind) -> bool {
        Self::can(self, connector, kind)
    }

    fn later(
        &self,
        payment: PaymentId,
        draft: LaterDraft,
    ) -> BoxFuture<'static, Result<Operation, LaterRefused>> {
        let this = self.clone();
        self.apart(async move { Self::later(&this, payment, draft).await })
    }

    fn plan(
        &self,
        payment: PaymentId,
        draft: LaterDraft,
    ) -> BoxFuture<'static, Result<Planned, LaterRefused>> {
        let this = self.clone();
        async move { Self::plan(&this, payment, &draft).await }.boxed()
    }

    fn inquire(
        &self,
        payment: PaymentId,
        by: By,
    ) -> BoxFuture<'static, Result<Vec<Operation>, LaterRefused>> {
        let this = self.clone();
        self.apart(async move { Self::inquire(&this, payment, by).await })
    }

    fn hook(
        &self,
        connector: String,
        posted: ivrpay_web::Posted,
    ) -> BoxFuture<'static, Result<(), HookRefused>> {
        let this = self.clone();
        async move { Self::hook(&this, &connector, &posted).await }.boxed()
    }
}

#[cfg(test)]
mod again;
#[cfg(test)]
mod fail_over;

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::AtomicI64;

    use ivrpay_acquirer::null::Null;
    use ivrpay_acquirer::{About, Asked, BuildError, Hook, Reply, Step};
    use ivrpay_card::{Digits, Expiry, Month, Pan, Rules};
    use ivrpay_journal::{EnteredBy, Mode, NewPayment, OpenOptions, Origin, TaskFilter};
    use ivrpay_payment::{
        AcquirerRef, Approval, Brand, Currency, Money, Noticed, OperatorId, Parent, Plan, Sum,
        TenantId, Transaction, Truncated,
    };

    use super::*;

    /// As practice, but what comes behind a call is a bug, or can't be built.
    struct Odd(fn() -> BuildError);

    impl Connector for Odd {
        fn about(&self) -> &'static About {
            Null.about()
        }

        fn step(
            &self,
            _asked: &Asked<'_>,
            _progress: &Progress,
            _last: Option<&Reply>,
        ) -> Result<Step, BuildError> {
            Err((self.0)())
        }
    }

    /// Declines for good whatever it is asked, and counts how often.
    struct Pickup(Arc<AtomicU64>);

    impl Connector for Pickup {
        fn about(&self) -> &'static About {
            Null.about()
        }

        fn step(
            &self,
            _asked: &Asked<'_>,
            _progress: &Progress,
            _last: Option<&Reply>,
        ) -> Result<Step, BuildError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Step::Done(Outcome::Declined(Decline {
                reason: Reason::Pickup,
                code: "G56".into(),
                hard: true,
                action: None,
            })))
        }
    }

    /// A published test card.
    pub(super) fn card() -> Card {
        let digits = |text: &str| {
            let mut digits = Digits::take().unwrap();
            for digit in text.bytes() {
                digits.push(digit - b'0').unwrap();
            }
            digits
        };
        let rules = Rules {
            brands: vec![Brand::Visa],
            luhn: true,
        };
        let now = Month {
            year: 2026,
            month: 11,
        };
        Card {
            pan: Pan::parse(digits("4111111111111111"), &rules).unwrap(),
            expiry: Expiry::parse(digits("1230"), now).unwrap(),
            code: None,
        }
    }

    /// The second intent is in the books as a decline of ours, and nobody was asked; practice counts nothing.
    #[tokio::test]
    async fn a_card_that_was_declined_for_good_goes_nowhere() {
        let steps = Arc::new(AtomicU64::default());
        let place = made(Box::new(Pickup(Arc::clone(&steps)))).await;
        let shop = || Some(TenantId::new("shop").unwrap());
        let mut told = Vec::new();
        for merchant in [None, None, shop(), shop()] {
            let intent = place.intent().await;
            let answer = place
                .settle
                .authorise(Ways::only("odd"), intent, Some(card()), merchant);
            let Ok(Outcome::Declined(decline)) = answer.await else {
                panic!("it was not declined");
            };
            told.push(decline.reason);
        }
        let before = Reason::HardDeclinedBefore;
        let pickup = Reason::Pickup;
        assert_eq!(told, [pickup, pickup, pickup, before]);
        assert_eq!(steps.load(Ordering::Relaxed), 3);
        let operations = place.journal.operations(place.payment).await.unwrap();
        let last = operations.last().unwrap();
        assert_eq!(last.state, OperationState::Declined);
        assert!(
            matches!(&last.outcome, Some(Outcome::Declined(d)) if d.reason == before && d.hard && d.code.is_empty())
        );
    }

    struct Place {
        _folder: tempfile::TempDir,
        journal: Journal,
        settle: Settle,
        payment: PaymentId,
        claim: Claim,
        /// How far the journal's clock is ahead, ms.
        ahead: Arc<AtomicI64>,
    }

    impl Place {
        async fn intent(&self) -> Durable<Intent> {
            let draft = draft_of(self.claim.payment());
            let intent = self.journal.write_intent(self.payment, draft).await;
            intent.unwrap()
        }
    }

    /// A payment of 1200 yen that is approved and over.
    async fn paid(connector: Box<dyn Connector>) -> Place {
        let place = made(connector).await;
        let intent = place.intent().await;
        let approved = Outcome::Approved(Approval {
            acquirer_ref: AcquirerRef::new("ch_1").unwrap(),
            code: None,
            card: None,
        });
        let (journal, nothing) = (&place.journal, serde_json::Value::Null);
        journal.write_outcome(&intent, &approved).await.unwrap();
        journal
            .release(&place.claim, "success", nothing)
            .await
            .unwrap();
        place
    }

    /// A payment of 1200 yen that begins with its call.
    pub(crate) fn payment_of(connector: &str) -> NewPayment {
        NewPayment {
            tenant: TenantId::new("shop").unwrap(),
            order: None,
            part: 0,
            operator: None,
            site: None,
            asked_plan: None,
            amount: Money::new(1200, Currency::Jpy).unwrap(),
            mode: Mode::Test,
            connector: connector.to_owned(),
            connector_named: false,
            language: "ja".into(),
            prompt_version: "1".into(),
            origin: Origin::Dialplan,
            entered_by: EnteredBy::Caller,
            expires_ms: None,
            operator_extension: None,
            caller_number: None,
            request: None,
            transaction: Transaction::Charge,
            stored: None,
            attached: ivrpay_journal::Attached::default(),
        }
    }

    /// Its whole amount from a Visa card.
    pub(crate) fn draft_of(payment: &Payment) -> IntentDraft {
        IntentDraft {
            stored: false,
            amount: payment.amount,
            card: Truncated::new(Brand::Visa, [1, 1, 1, 1]).unwrap(),
            plan: Plan::LumpSum,
            connector: payment.connector.clone(),
            evidence: serde_json::Value::Null,
        }
    }

    /// A payment of 1200 yen in its call.
    async fn made(connector: Box<dyn Connector>) -> Place {
        made_of(connector, Transaction::Charge).await
    }

    async fn made_of(connector: Box<dyn Connector>, transaction: Transaction) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let mut options = OpenOptions::new("test");
        let ahead = Arc::new(AtomicI64::new(0));
        let by = Arc::clone(&ahead);
        options.steady = None;
        options.clock =
            Arc::new(move || jiff::Timestamp::now().as_millisecond() + by.load(Ordering::Relaxed));
        let journal = Journal::open(path, options).await.unwrap();
        let call = CallId::new(uuid::Uuid::now_v7());
        let claim = journal
            .create_claimed(
                NewPayment {
                    transaction,
                    ..payment_of("odd")
                },
                call,
            )
            .await
            .unwrap();
        let payment = claim.payment().id;
        let routes = BTreeMap::from([("odd".to_owned(), Route::offline(connector))]);
        let tries = Tries::new(5, Instant::now()).unwrap();
        let settle = Settle::new(journal.clone(), routes, tries).unwrap();
        Place {
            _folder: folder,
            journal,
            settle,
            payment,
            claim,
            ahead,
        }
    }

    fn refund() -> LaterDraft {
        LaterDraft {
            kind: OperationKind::Refund,
            amount_minor: Some(100),
            by: By {
                person: OperatorId::new("mori").unwrap(),
                via: "admin".into(),
            },
            request: None,
            judged: None,
        }
    }

    /// Whoever asked for a refund hangs up at once: it is written, sent and answered all the same.
    #[tokio::test]
    async fn a_refund_does_not_hang_on_who_asked() {
        let place = paid(Box::new(Null)).await;
        drop(Acquirers::later(&place.settle, place.payment, refund()));
        place.settle.drain().await;
        let payment = place.journal.payment(place.payment).await.unwrap();
        assert_eq!(payment.unwrap().refunded_minor, 100);
        // And nothing is begun while the service stops.
        let late = Acquirers::later(&place.settle, place.payment, refund()).await;
        assert!(matches!(late, Err(LaterRefused::Stopping)));
    }

    /// A bug in the middle leaves an unknown refund and a task, never one that is open for ever.
    #[tokio::test]
    async fn a_refund_that_dies_by_a_bug_is_unknown() {
        let place = paid(Box::new(Odd(|| panic!("a bug")))).await;
        let operation = place.settle.later(place.payment, refund()).await.unwrap();
        assert_eq!(operation.state, OperationState::Unknown);
        let tasks = place.journal.tasks(&TaskFilter::default()).await.unwrap();
        assert_eq!(tasks.len(), 1, "{tasks:?}");
    }

    /// Tells of any operation that a body names that it was done.
    struct Tells;

    impl Connector for Tells {
        fn about(&self) -> &'static About {
            Null.about()
        }

        fn step(
            &self,
            _asked: &Asked<'_>,
            _progress: &Progress,
            _last: Option<&Reply>,
        ) -> Result<Step, BuildError> {
            Ok(Step::Done(Outcome::Unknown(Doubt::Pending)))
        }

        fn hook(&self) -> Option<&dyn Hook> {
            Some(self)
        }
    }

    impl Hook for Tells {
        fn read(&self, posted: &Posted<'_>) -> Result<Vec<Heard>, HookError> {
            let text = std::str::from_utf8(posted.body).unwrap();
            let operation = text.parse().map_err(|_| HookError::Unproven)?;
            let reference = AcquirerRef::new("psp_1").unwrap();
            Ok(vec![
                Heard::Nothing("REPORT_AVAILABLE"),
                Heard::Notice(Notice {
                    event: "CAPTURE",
                    about: Noticed::Operation(operation),
                    kinds: &[OperationKind::Charge],
                    warns: &[],
                    sum: Sum::Untold,
                    outcome: Outcome::Approved(Approval {
                        acquirer_ref: reference.clone(),
                        code: None,
                        card: None,
                    }),
                    reference,
                }),
            ])
        }
    }

    /// As Adyen: a void is received, and no more.
    struct Receives;

    impl Connector for Receives {
        fn about(&self) -> &'static About {
            &ivrpay_acquirer::adyen::ABOUT
        }

        fn step(
            &self,
            _asked: &Asked<'_>,
            _progress: &Progress,
            _last: Option<&Reply>,
        ) -> Result<Step, BuildError> {
            Ok(Step::Done(Outcome::Unknown(Doubt::Pending)))
        }
    }

    /// Of what nobody knows to be charged, only who releases by our order number is asked; the others are inquired first, and nothing is
    /// written.
    #[tokio::test]
    async fn a_void_of_what_is_unknown_asks_only_who_can() {
        let void = || LaterDraft {
            kind: OperationKind::Void,
            amount_minor: None,
            ..refund()
        };
        let unknown = Outcome::Unknown(Doubt::NoReply);
        for (connector, can) in [
            (Box::new(Null) as Box<dyn Connector>, false),
            (Box::new(Receives), true),
        ] {
            let place = made(connector).await;
            let intent = place.intent().await;
            let early = place.settle.later(place.payment, void()).await;
            assert!(early.is_err(), "it is being asked for");
            let (journal, nothing) = (&place.journal, serde_json::Value::Null);
            journal.write_outcome(&intent, &unknown).await.unwrap();
            let (claim, result) = (&place.claim, "outcome-unknown");
            journal.release(claim, result, nothing).await.unwrap();
            let planned = place.settle.plan(place.payment, &void()).await;
            let asked = place.settle.later(place.payment, void()).await;
            let operations = journal.operations(place.payment).await.unwrap();
            if can {
                assert_eq!(planned.unwrap(), Planned::New(intent.get().amount));
                assert_eq!(asked.unwrap().state, OperationState::Unknown);
                assert_eq!(operations.len(), 2);
            } else {
                assert!(matches!(planned, Err(LaterRefused::InquireFirst)));
                assert!(matches!(asked, Err(LaterRefused::InquireFirst)));
                assert_eq!(operations.len(), 1);
            }
            let payment = journal.payment(place.payment).await.unwrap();
            assert_eq!(
                payment.unwrap().state,
                State::Unknown,
                "received is not released"
            );
            let more = place.settle.later(place.payment, refund()).await;
            assert!(
                more.is_err(),
                "nothing is given back that may not have been taken"
            );
        }
    }

    /// Reserves, and changes what is reserved where its acquirer is one of those that do.
    struct Reserves(&'static About);

    impl Connector for Reserves {
        fn about(&self) -> &'static About {
            self.0
        }

        fn step(
            &self,
            _asked: &Asked<'_>,
            _progress: &Progress,
            _last: Option<&Reply>,
        ) -> Result<Step, BuildError> {
            let reference = AcquirerRef::new("1").unwrap();
            Ok(Step::Done(Outcome::Approved(Approval {
                acquirer_ref: reference,
                code: None,
                card: None,
            })))
        }
    }

    /// Who can't change what is reserved says what there is instead, and is not asked; who can has room for so much.
    #[tokio::test]
    async fn what_is_reserved_is_changed_where_the_acquirer_does_that() {
        let change = |minor| LaterDraft {
            kind: OperationKind::Change,
            amount_minor: Some(minor),
            ..refund()
        };
        for (about, minor, says) in [
            (&ivrpay_acquirer::gmo::ABOUT, 1500, None),
            (
                &ivrpay_acquirer::gmo::ABOUT,
                10_000_000,
                Some("room for 9999999 minor units"),
            ),
            (
                &ivrpay_acquirer::stripe::ABOUT,
                900,
                Some("capture a part of it"),
            ),
            (
                &ivrpay_acquirer::zeus::ABOUT,
                900,
                Some("take the payment anew"),
            ),
        ] {
            let place = made_of(Box::new(Reserves(about)), Transaction::Authorise).await;
            let intent = place.intent().await;
            let answer = place
                .settle
                .authorise(Ways::only("odd"), intent, None, None);
            answer.await.unwrap();
            let asked = place.settle.later(place.payment, change(minor)).await;
            let planned = place.settle.plan(place.payment, &change(minor)).await;
            let payment = place.journal.payment(place.payment).await.unwrap();
            let reserved = payment.unwrap().reserved_minor;
            match says {
                None => {
                    assert_eq!(asked.unwrap().state, OperationState::Approved);
                    assert_eq!(reserved, Some(minor));
                    assert!(planned.is_err(), "it is reserved already");
                }
                Some(says) => {
                    let why = asked.err().unwrap().to_string();
                    assert!(why.contains(says), "{why}");
                    assert_eq!(planned.err().unwrap().to_string(), why);
                    assert_eq!(reserved, None);
                }
            }
        }
    }

    fn posted(text: String) -> ivrpay_web::Posted {
        ivrpay_web::Posted {
            authorization: None,
            signature: None,
            body: text.into_bytes(),
        }
    }

    /// A message that is ahead of the answer waits for it, and settles what that left open; one that is too far ahead has to come again.
    #[tokio::test]
    async fn a_message_comes_behind_the_answer_that_it_is_about() {
        let place = made(Box::new(Tells)).await;
        let intent = place.intent().await;
        let message = || posted(intent.get().operation_id.to_string());
        let early = place.settle.hook("odd", &message()).await;
        assert_eq!(early, Err(HookRefused::Later));
        let unknown = Outcome::Unknown(Doubt::NoReply);
        let (told, written) = tokio::join!(
            Acquirers::hook(&place.settle, "odd".into(), message()),
            async {
                tokio::time::sleep(NOTICE_AGAIN * 2).await;
                place.journal.write_outcome(&intent, &unknown).await
            }
        );
        written.unwrap();
        assert_eq!(told, Ok(()));
        let payment = place.journal.payment(place.payment).await.unwrap();
        assert_eq!(payment.unwrap().state, State::Approved);
        for (connector, text, refused) in [
            ("odd", "", HookRefused::Unproven),
            ("other", "", HookRefused::NoHook),
        ] {
            let answer = place.settle.hook(connector, &posted(text.into())).await;
            assert_eq!(answer, Err(refused));
        }
    }

    /// Stripe's message settles what is unknown, once, however often it comes; a forged one and a copy of an old one settle nothing.
    #[tokio::test]
    async fn a_signed_message_settles_what_is_unknown() {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let mut settings = ivrpay_acquirer::Settings::new(ivrpay_acquirer::Mode::Test);
        settings.raw_pan = true;
        for (name, value) in [("secret_key", "sk_test_1"), ("webhook_secret", "whsec_1")] {
            settings.secrets.insert(name.to_owned(), value.into());
        }
        let stripe = ivrpay_acquirer::configured("stripe".parse().unwrap(), &settings);
        let place = made(stripe.map_err(|e| e.to_string()).unwrap()).await;
        let intent = place.intent().await;
        let unknown = Outcome::Unknown(Doubt::NoReply);
        let journal = &place.journal;
        journal.write_outcome(&intent, &unknown).await.unwrap();
        let order = intent.get().acquirer_order.to_string();
        let body = serde_json::json!({
            "object": "event", "type": "payment_intent.succeeded", "livemode": false, "data": {"object": {
                "id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount": 1200, "amount_received": 1200, "currency": "jpy",
                "capture_method": "automatic", "metadata": {"order_id": order, "operation_id": intent.get().operation_id},
            }},
        });
        let posted = |secret: &str, at: i64| {
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
            mac.update(format!("{at}.{body}").as_bytes());
            let bytes = mac.finalize().into_bytes();
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            ivrpay_web::Posted {
                signature: Some(format!("t={at},v1={hex}").into_bytes()),
                ..posted(body.to_string())
            }
        };
        let now = jiff::Timestamp::now().as_second();
        let state = async || {
            let payment = journal.payment(place.payment).await.unwrap();
            let written = journal.operations(place.payment).await.unwrap().len();
            (payment.unwrap().state, written)
        };
        for (secret, at) in [("whsec_2", now), ("whsec_1", now - 600)] {
            let refused = place.settle.hook("odd", &posted(secret, at)).await;
            assert_eq!(refused, Err(HookRefused::Unproven));
            assert_eq!(state().await, (State::Unknown, 1));
        }
        for _ in 0..2 {
            let taken = place.settle.hook("odd", &posted("whsec_1", now)).await;
            assert_eq!((taken, state().await), (Ok(()), (State::Approved, 1)));
        }
        let tasks = journal.tasks(&TaskFilter::default()).await.unwrap();
        let contradicts = |task: &&ivrpay_journal::Task| {
            task.kind == ivrpay_journal::TaskKind::AcquirerContradicts
        };
        assert_eq!(tasks.iter().find(contradicts), None);
    }

    /// ZEUS is asked by a number that was in the answer which was lost: no question is written, then or later, and who asks is told so.
    #[tokio::test]
    async fn what_an_acquirer_cannot_be_asked_is_a_persons_from_the_beginning() {
        let mut settings = ivrpay_acquirer::Settings::new(ivrpay_acquirer::Mode::Test);
        settings.raw_pan = true;
        for (name, value) in [
            ("clientip", "2013000111"),
            ("telno", "0312345678"),
            ("email", "a@example.jp"),
        ] {
            let (name, value) = (name.to_owned(), value.to_owned());
            settings.parameters.insert(name, value);
        }
        for name in ["key", "zkey"] {
            settings.secrets.insert(name.to_owned(), "k".into());
        }
        let zeus = ivrpay_acquirer::configured("zeus".parse().unwrap(), &settings);
        let place = made(zeus.map_err(|e| e.to_string()).unwrap()).await;
        let intent = place.intent().await;
        let (journal, operation) = (&place.journal, intent.get().operation_id);
        let unknown = Outcome::Unknown(Doubt::NoReply);
        journal.write_outcome(&intent, &unknown).await.unwrap();
        let asked = place.settle.inquire(place.payment, refund().by).await;
        assert!(matches!(asked, Err(LaterRefused::NotKnown { .. })));
        journal.inquire_at(operation, 1).await.unwrap();
        let due = async || journal.to_inquire("odd", 9).await.unwrap().len();
        assert_eq!(due().await, 1);
        crate::recovery::once(&place.settle).await.unwrap();
        assert_eq!(due().await, 0);
        let operations = journal.operations(place.payment).await.unwrap();
        assert_eq!(operations.len(), 1, "nothing was asked");
        let tasks = journal.tasks(&TaskFilter::default()).await.unwrap();
        assert_eq!(tasks.len(), 1, "{tasks:?}");
    }

    /// As Yamato, of a charge whose shipment was never entered.
    struct Half;

    impl Connector for Half {
        fn about(&self) -> &'static About {
            &ivrpay_acquirer::kuroneko::ABOUT
        }

        fn step(
            &self,
            asked: &Asked<'_>,
            _progress: &Progress,
            _last: Option<&Reply>,
        ) -> Result<Step, BuildError> {
            Ok(Step::Done(match asked.op.get().kind {
                OperationKind::Void => Outcome::Approved(Approval {
                    acquirer_ref: AcquirerRef::new("v-1").unwrap(),
                    code: None,
                    card: None,
                }),
                _ => Outcome::Unknown(Doubt::HalfDone),
            }))
        }

        fn releases(&self, _about: &Parent) -> bool {
            true
        }
    }

    /// What is reserved and was never taken is released by the question that finds it so, where no person sees to it; its order is free
    /// again, and nothing is asked any more.
    #[tokio::test]
    async fn a_charge_that_stopped_in_the_middle_is_released() {
        for taken in [false, true] {
            let place = made(Box::new(Half)).await;
            let intent = place.intent().await;
            let (journal, operation) = (&place.journal, intent.get().operation_id);
            let unknown = Outcome::Unknown(Doubt::NoReply);
            journal.write_outcome(&intent, &unknown).await.unwrap();
            let (claim, nothing) = (&place.claim, serde_json::Value::Null);
            journal
                .release(claim, "outcome-unknown", nothing)
                .await
                .unwrap();
            if taken {
                let tasks = journal.tasks(&TaskFilter::default()).await.unwrap();
                journal.take_task(tasks[0].id, &refund().by).await.unwrap();
            }
            journal.inquire_at(operation, 1).await.unwrap();
            crate::recovery::once(&place.settle).await.unwrap();
            let early = journal.payment(place.payment).await.unwrap().unwrap();
            assert_eq!(
                early.state,
                State::Unknown,
                "its second request may be on its way"
            );
            place.ahead.fetch_add(11 * 60_000, Ordering::Relaxed);
            crate::recovery::once(&place.settle).await.unwrap();
            let payment = journal.payment(place.payment).await.unwrap().unwrap();
            let operations = journal.operations(place.payment).await.unwrap();
            let kinds: Vec<_> = operations.iter().map(|o| (o.kind, o.state)).collect();
            let (charge, asked) = (OperationKind::Charge, OperationKind::Query);
            let unknown = OperationState::Unknown;
            if taken {
                assert_eq!(payment.state, State::Unknown);
                assert_eq!(
                    kinds,
                    [(charge, unknown), (asked, unknown), (asked, unknown)]
                );
                // He may do so himself.
                let void = LaterDraft {
                    kind: OperationKind::Void,
                    amount_minor: None,
                    ..refund()
                };
                let void = place.settle.later(place.payment, void).await;
                assert_eq!(void.unwrap().state, OperationState::Approved);
            } else {
                assert_eq!(payment.state, State::Voided);
                let done = (OperationKind::Void, OperationState::Approved);
                let not = (charge, OperationState::NotCharged);
                assert_eq!(kinds, [not, (asked, unknown), (asked, unknown), done]);
            }
            let left = journal.to_inquire("odd", 9).await.unwrap();
            assert!(left.is_empty(), "{left:?}");
            let tasks = journal.tasks(&TaskFilter::default()).await.unwrap();
            let open = tasks.iter().filter(|task| task.done_ms.is_none());
            assert_eq!(open.count(), 0, "{tasks:?}");
        }
    }

    /// What an acquirer was never asked says nothing about it.
    #[tokio::test]
    async fn refunds_that_fail_keep_no_customer_away() {
        let place = paid(Box::new(Odd(|| BuildError::NoParent))).await;
        for _ in 0..5 {
            let operation = place.settle.later(place.payment, refund()).await.unwrap();
            assert_eq!(operation.state, OperationState::NotCharged);
        }
        assert_eq!(place.settle.can_be_asked(&["odd"]), Ok(()));
    }
}
