//! What may happen to a payment, and in which transaction.

use std::fmt;
use std::sync::Arc;

use ivrpay_payment::{
    Answer, Asked, CallId, CardToken, Doubt, Durable, Duty, Entry, IdempotencyKey, Intent,
    OperationId, OperationKind, OrderId, Outcome, PaymentId, Plan, State, Step, TenantId,
    Truncated, Why, believed_from_ms,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answers;
use crate::inquiries::{LATE_ANSWER, RECOVERY, RELEASED, next_ms};
use crate::location::Location;
use crate::store::{Durability, Holder, Store, Tx};
use crate::tasks::{Rules, task};
use crate::types::{
    ApiRequest, Attached, By, Claim, Clock, Created, EnteredBy, Filter, IntentDraft, Match, Mode,
    NewPayment, OpenOptions, Operation, OperationState, Origin, Payment, Record, Recovered,
    TRAINING, TaskKind, VerifyReport,
};
use crate::{
    ClaimError, CreateError, Error, IntentError, OutcomeError, calls, chain, parts, scrub,
};

/// Result of a call whose process died before the call was closed.
pub(crate) const INTERRUPTED: &str = "internal-error";
/// Result of a call whose caller said that the amount is wrong.
const AMOUNT_REJECTED: &str = "amount-rejected";
/// Result of a payment that its operator has withdrawn.
const AGENT_CANCELLED: &str = "agent-cancelled";
/// Result of a call whose operation has no known outcome.
const OUTCOME_UNKNOWN: &str = "outcome-unknown";

/// Who knows how a call's payment ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    Caller,
    Operator,
    Nobody,
}

/// The journal of payments. Clones share one file, or one right to write in the database.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    /// What nobody sets, and how far the clock was ahead of it when the journal was opened.
    steady: Option<(Clock, i64)>,
    rules: Rules,
}

impl Inner {
    fn new(store: Store, options: OpenOptions) -> Self {
        let clock = options.clock;
        let steady = options.steady.map(|steady| {
            let apart = clock().saturating_sub(steady());
            (steady, apart)
        });
        Self {
            store,
            clock,
            steady,
            rules: Rules(options.task_rules),
        }
    }

    /// How far the clock has jumped ahead since the journal was opened, milliseconds. What was written before the jump looks older by that
    /// than it is.
    fn jumped_ms(&self) -> i64 {
        self.steady.as_ref().map_or(0, |(steady, apart)| {
            let now = (self.clock)().saturating_sub(steady());
            now.saturating_sub(*apart).max(0)
        })
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("writer", &self.0.store.writer())
            .finish()
    }
}

impl Journal {
    /// Opens the journal for this daemon: makes or migrates it, checks it, and keeps other writers of the file, or of this name in the database, away until
    /// [`Self::stop`], or until the last clone is dropped. Call [`Self::recover`] next.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::Corrupt`], [`Error::Version`], [`Error::ReadOnly`], [`Error::Io`] ...
    pub async fn open(at: impl Into<Location>, options: OpenOptions) -> Result<Self, Error> {
        let store = Store::open(&at.into(), &options).await?;
        Ok(Self(Arc::new(Inner::new(store, options))))
    }

    /// Opens the journal for reading, beside a daemon that may be writing it. Everything that writes is [`Error::ReadOnly`].
    ///
    /// # Errors
    /// As [`Self::open`], but never [`Error::InUse`].
    pub async fn open_read_only(at: impl Into<Location>) -> Result<Self, Error> {
        let options = OpenOptions::new("reader");
        let store = Store::open_read_only(&at.into(), options.busy_timeout).await?;
        Ok(Self(Arc::new(Inner::new(store, options))))
    }

    /// Creates a waiting payment, unless the same API call made it before.
    ///
    /// # Errors
    /// [`CreateError::OrderTaken`], [`CreateError::IdempotencyReused`], [`CreateError::Field`], or the journal's own.
    pub async fn create(&self, new: NewPayment) -> Result<Created, CreateError> {
        check_fields(&new)?;
        let durability = match new.origin {
            // The API's caller, or the operator, is told that the payment exists.
            Origin::Api | Origin::Desk => Durability::Synced,
            // Only the call that follows knows of it, and its intent is synced.
            Origin::Dialplan => Durability::Rides,
        };
        let mut tx = self.begin(durability).await?;
        let created = create(&mut tx, new).await;
        tx.end(created).await
    }

    /// Creates a payment that begins with its call, and gives it to that call: both or neither, so that none is left behind waiting
    /// for a call that is over.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn create_claimed(
        &self,
        new: NewPayment,
        call: CallId,
    ) -> Result<Claim, CreateError> {
        check_fields(&new)?;
        let mut tx = self.begin(Durability::Rides).await?;
        let claim = create_claimed(&mut tx, new, call).await;
        tx.end(claim).await
    }

    /// The payment that holds the order (part): waiting and not overdue, in flight, unknown or approved.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn order_holder(
        &self,
        tenant: &TenantId,
        order: &OrderId,
        part: u32,
    ) -> Result<Option<Payment>, Error> {
        let holder = self.0.store.order_holder(tenant, order, part).await?;
        let now_ms = (self.0.clock)();
        Ok(holder.filter(|payment| !is_overdue(payment, now_ms)))
    }

    /// A card of this merchant that a call has stored at an acquirer, in this mode and not in practice, and the connector by which it
    /// was: the last one of that token.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn stored_card(
        &self,
        tenant: &TenantId,
        token: &CardToken,
        mode: Mode,
    ) -> Result<Option<(Truncated, String)>, Error> {
        let stored = self.0.store.payment_of_token(tenant, token, mode).await?;
        Ok(stored.and_then(|payment| Some((payment.card?, payment.connector))))
    }

    /// One payment.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn payment(&self, id: PaymentId) -> Result<Option<Payment>, Error> {
        self.0.store.payment(id).await
    }

    /// The payment that a call takes now, of whichever service.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn payment_of_call(&self, call: CallId) -> Result<Option<Payment>, Error> {
        self.0.store.payment_of_call(call).await
    }

    /// Payments, newest first.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn payments(&self, filter: &Filter) -> Result<Vec<Payment>, Error> {
        self.0.store.payments(filter).await
    }

    /// The operations of a payment, oldest first.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn operations(&self, payment: PaymentId) -> Result<Vec<Operation>, Error> {
        self.0.store.operations(payment).await
    }

    /// The records of a payment, oldest first.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn records(&self, payment: PaymentId) -> Result<Vec<Record>, Error> {
        self.0.store.records(payment).await
    }

    /// Announced payments that wait for a call like this one: unclaimed, unexpired, at most ten. More than one is for a person to choose from.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn waiting_for(&self, by: &Match) -> Result<Vec<Payment>, Error> {
        self.0.store.waiting_for(by, (self.0.clock)()).await
    }

    /// Ends waiting payments whose time is over and that no call works on; says which.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn expire(&self, now_ms: i64) -> Result<Vec<PaymentId>, Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let expired = expire(&mut tx, now_ms).await;
        tx.end(expired).await
    }

    /// Ends a waiting payment that no call has, by the wish of the operator who keyed it; false where there is none such (any more).
    ///
    /// # Errors
    /// The journal's own.
    pub async fn withdraw(&self, payment_id: PaymentId) -> Result<bool, Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let withdrawn = withdraw(&mut tx, payment_id, None).await;
        tx.end(withdrawn).await
    }

    /// The same by the wish of whoever announced it.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn cancel(&self, payment_id: PaymentId, by: &By) -> Result<bool, Error> {
        let mut tx = self.begin(Durability::Synced).await?;
        let cancelled = withdraw(&mut tx, payment_id, Some(by)).await;
        tx.end(cancelled).await
    }

    /// Gives a waiting payment to one call.
    ///
    /// # Errors
    /// [`ClaimError::Taken`], [`ClaimError::NotWaiting`], [`ClaimError::NotFound`], or the journal's own.
    pub async fn claim(&self, payment_id: PaymentId, call: CallId) -> Result<Claim, ClaimError> {
        self.claim_keyed_by(payment_id, call, EnteredBy::Caller)
            .await
    }

    /// As [`Self::claim`], for a call in which somebody keys the card who may be another one than in the call before.
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub async fn claim_keyed_by(
        &self,
        payment_id: PaymentId,
        call: CallId,
        entered_by: EnteredBy,
    ) -> Result<Claim, ClaimError> {
        let mut tx = self.begin(Durability::Rides).await?;
        let claim = claim(&mut tx, payment_id, call, entered_by).await;
        tx.end(claim).await
    }

    /// Ends a call's work on a payment: what was announced by API and still has time waits for another call; an open
    /// intent makes it unknown; everything else is over. Says in which state the payment is now. A claim that is gone already changes nothing.
    ///
    /// # Errors
    /// The journal's own; the claim is kept then, and given back by the next `release` or by [`Self::recover`].
    pub async fn release(
        &self,
        claim: &Claim,
        result: &str,
        evidence: Value,
    ) -> Result<State, Error> {
        let (id, call) = (claim.payment.id, Some(claim.call));
        self.finish(id, call, result, evidence, Heard::Caller).await
    }

    /// The same as [`Self::release`], for a caller who hung up before the result had been spoken to its end. An approval
    /// that nobody heard makes a task to call him back; `operator_knows`: his operator is in the call, and is told of it.
    ///
    /// # Errors
    /// As [`Self::release`].
    pub async fn release_unheard(
        &self,
        claim: &Claim,
        result: &str,
        evidence: Value,
        operator_knows: bool,
    ) -> Result<State, Error> {
        let heard = if operator_knows {
            Heard::Operator
        } else {
            Heard::Nobody
        };
        let (id, call) = (claim.payment.id, Some(claim.call));
        self.finish(id, call, result, evidence, heard).await
    }

    /// The closing record of a payment: result of the call, and what was spoken and pressed. Rides on the next sync.
    /// The same as [`Self::release`] where the claim is not at hand.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn close(
        &self,
        payment_id: PaymentId,
        result: &str,
        evidence: Value,
    ) -> Result<State, Error> {
        self.finish(payment_id, None, result, evidence, Heard::Caller)
            .await
    }

    /// Ends the work of a call that died in this process, as [`Self::release_unheard`] does; says on which payment it was.
    ///
    /// # Errors
    /// As [`Self::release`].
    pub async fn abandon(&self, call: CallId) -> Result<Option<PaymentId>, Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let abandoned = abandon(&mut tx, call, self.rules()).await;
        tx.end(abandoned).await
    }

    /// Writes and syncs what is about to be asked of an acquirer. Allots operation id, idempotency key and the acquirer's order number.
    ///
    /// # Errors
    /// [`IntentError`]; nothing may be sent then.
    pub async fn write_intent(
        &self,
        payment_id: PaymentId,
        draft: IntentDraft,
    ) -> Result<Durable<Intent>, IntentError> {
        let mut tx = self.begin(Durability::Synced).await?;
        let intent = write_intent(&mut tx, payment_id, draft).await;
        #[cfg(feature = "plant")]
        if crate::plant::is("no-write-ahead") {
            // Rolled back, and sent all the same.
            return intent.map(Durable::attest);
        }
        // `end` returns after COMMIT, and COMMIT after the sync of the WAL: from here on the intent is on disk.
        tx.end(intent).await.map(Durable::attest)
    }

    /// Writes and syncs what came of an operation, and says in which state the payment is now. Only after this may it be spoken.
    ///
    /// # Errors
    /// [`OutcomeError::AlreadyWritten`]: the first outcome stands. Or the journal's own: the operation is still in flight then.
    pub async fn write_outcome(
        &self,
        intent: &Durable<Intent>,
        outcome: &Outcome,
    ) -> Result<State, OutcomeError> {
        let mut tx = self.begin(Durability::Synced).await?;
        let state = write_outcome(&mut tx, intent.get(), outcome, self.rules()).await;
        tx.end(state).await
    }

    /// Writes and syncs that another connector is asked for an operation, of which not one byte has gone out to the one before.
    ///
    /// # Errors
    /// [`OutcomeError::AlreadyWritten`]: its outcome is known, or nobody waits for it any more. Or the journal's own. Nothing may be
    /// sent then.
    pub async fn fail_over(
        &self,
        intent: &Durable<Intent>,
        connector: &str,
    ) -> Result<(), OutcomeError> {
        let mut tx = self.begin(Durability::Synced).await?;
        let failed_over = fail_over(&mut tx, intent.get(), connector).await;
        tx.end(failed_over).await
    }

    /// The acquirer was not reached: nothing was charged.
    ///
    /// # Errors
    /// As [`Self::write_outcome`].
    pub async fn not_sent(&self, intent: &Durable<Intent>) -> Result<State, OutcomeError> {
        self.write_outcome(intent, &Outcome::NotCharged(Why::NotSent))
            .await
    }

    /// What an inquiry, or a person, found out about an unknown operation. An approval makes a call-back task: the caller
    /// was told that it is being checked.
    ///
    /// # Errors
    /// [`OutcomeError::AlreadyWritten`] unless the operation is unknown and `outcome` is not; or the journal's own.
    pub async fn settle(
        &self,
        operation_id: OperationId,
        outcome: &Outcome,
        by: &str,
    ) -> Result<State, OutcomeError> {
        let mut tx = self.begin(Durability::Synced).await?;
        let state = settle(&mut tx, operation_id, outcome, by, None, self.rules()).await;
        tx.end(state).await
    }

    /// Makes good what a process that is gone left open: operations in flight become unknown with a task to inquire (they are
    /// never sent again), claims are given back, closing records that are missing are written. Idempotent; this process's own calls are not touched.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn recover(&self) -> Result<Recovered, Error> {
        #[cfg(feature = "plant")]
        if crate::plant::is("no-recovery") {
            return Ok(Recovered::default());
        }
        // A look each few seconds for what another service has left: nearly always there is nothing, and a transaction is a sync.
        if self.is_shared() {
            self.may_send()?;
            if !self.0.store.is_left().await? {
                return Ok(Recovered::default());
            }
        }
        let mut tx = self.begin(Durability::Synced).await?;
        let recovered = recover(&mut tx, self.rules()).await;
        tx.end(recovered).await
    }

    /// Walks the hash chains and compares every payment with its last record.
    ///
    /// # Errors
    /// The journal's own; what does not fit is in the report.
    pub async fn verify(&self) -> Result<VerifyReport, Error> {
        self.0.store.verify().await
    }

    /// Whether the journal can be written now: one small transaction, without a sync.
    ///
    /// # Errors
    /// Why not.
    pub async fn ping(&self) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let seen = tx.seen().await;
        tx.end(seen).await
    }

    /// Moves everything from the WAL into the file, syncs, closes, and gives the lock back. Every clone is read-only, and closed, then.
    ///
    /// # Errors
    /// The journal's own; nothing is lost, the WAL is read at the next start.
    pub async fn stop(&self) -> Result<(), Error> {
        self.0.store.stop().await
    }

    /// Whether what this process has written may be sent now: another daemon that counts it as gone would take it over. To be asked right before.
    ///
    /// # Errors
    /// [`Error::Fenced`]; nothing may be sent then.
    pub fn may_send(&self) -> Result<(), Error> {
        self.0.store.holds()
    }

    /// Transactions that this process has written since it opened the journal, and the commits that they have shared: those that wait for the
    /// disk at the same time share one.
    #[must_use]
    pub fn commits(&self) -> (u64, u64) {
        self.0.store.commits()
    }

    /// Whether other services may write it too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.0.store.is_shared()
    }

    pub(crate) fn jumped_ms(&self) -> i64 {
        self.0.jumped_ms()
    }

    /// From when on nothing of ours that is about this operation can be on its way any more, UTC milliseconds; `None`: it is so now.
    #[must_use]
    pub fn is_on_its_way_until(&self, operation: &Operation) -> Option<i64> {
        // A clock that has jumped ahead makes it look older than it is.
        let written_ms = operation.created_ms.saturating_add(self.jumped_ms());
        let not_there = Outcome::NotCharged(Why::LookedUp);
        believed_from_ms(&not_there, written_ms).filter(|sure_ms| self.now_ms() < *sure_ms)
    }

    /// How far the clock of PostgreSQL's machine is before this one's, milliseconds; `None` for a file.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn server_ahead_ms(&self) -> Result<Option<i64>, Error> {
        let server_ms = self.0.store.server_ms().await?;
        Ok((server_ms != 0).then(|| server_ms - self.now_ms()))
    }

    /// Returns when this process may not write any more, and says why. Never for a file, which has one writer.
    pub async fn fenced(&self) -> &'static str {
        self.0.store.fenced().await
    }

    pub(crate) async fn begin(&self, durability: Durability) -> Result<Tx<'_>, Error> {
        let mut tx = self.0.store.begin(durability, &self.0.clock).await?;
        tx.jumped_ms = self.0.jumped_ms();
        Ok(tx)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// The journal's time, UTC milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        (self.0.clock)()
    }

    async fn finish(
        &self,
        payment_id: PaymentId,
        call: Option<CallId>,
        result: &str,
        evidence: Value,
        heard: Heard,
    ) -> Result<State, Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let state = finish(
            &mut tx,
            payment_id,
            call,
            result,
            evidence,
            heard,
            self.rules(),
        )
        .await;
        tx.end(state).await
    }
}

pub(crate) async fn create(tx: &mut Tx<'_>, mut new: NewPayment) -> Result<Created, CreateError> {
    let request = new
        .request
        .as_ref()
        .map(|ApiRequest { key, hash }| (chain::digest(key.as_bytes()), *hash));
    if let Some((key, hash)) = &request
        && let Some((payment, before)) = tx.payment_of_request(&new.tenant, key).await?
    {
        return if before == *hash {
            Ok(Created::Existing(payment))
        } else {
            Err(CreateError::IdempotencyReused {
                payment_id: payment.id,
            })
        };
    }
    if let Some(order) = &new.order
        && (new.transaction.moves_money() || new.part != 0)
    {
        let about = (new.part, new.amount, new.origin);
        new.part = parts::part_of(tx, &new.tenant, order, about).await?;
    }
    if let (Origin::Desk, Some(extension)) = (new.origin, &new.operator_extension) {
        // He keys anew what he had keyed wrong, or the next customer's: of two nobody could tell which is meant.
        for payment in tx.keyed_by(&new.tenant, extension).await? {
            withdraw_one(tx, payment, None).await?;
        }
    }
    if let Some(order) = &new.order
        && let Some(holder) = tx.payment_of_order(&new.tenant, order, new.part).await?
    {
        // One that is overdue does not keep the order; the minute's `expire` has only not come by yet.
        if is_overdue(&holder, tx.now_ms) {
            expire_one(tx, holder).await?;
        } else {
            return Err(CreateError::OrderTaken {
                payment_id: holder.id,
                state: holder.state,
            });
        }
    }
    let payment = Payment {
        id: PaymentId::new(fresh_id(tx.now_ms)),
        tenant: new.tenant,
        order: new.order,
        part: new.part,
        operator: new.operator,
        site: new.site,
        amount: new.amount,
        state: State::Waiting,
        mode: new.mode,
        connector: new.connector,
        connector_named: new.connector_named,
        language: new.language,
        prompt_version: new.prompt_version,
        origin: new.origin,
        entered_by: new.entered_by,
        operator_extension: new.operator_extension,
        caller_number: new.caller_number,
        created_ms: tx.now_ms,
        expires_ms: new.expires_ms,
        updated_ms: tx.now_ms,
        reference: Some(tx.next_reference().await?),
        card: None,
        approval_code: None,
        acquirer_ref: None,
        decline_reason: None,
        result: None,
        evidence: None,
        call: None,
        asked_plan: new.asked_plan,
        plan: Plan::LumpSum,
        reserved_minor: None,
        captured_minor: None,
        refunded_minor: 0,
        transaction: new.transaction,
        stored: new.stored,
        attached: new.attached,
        disputed: None,
    };
    tx.insert_payment(&payment, request.as_ref().map(|(key, hash)| (key, hash)))
        .await?;
    let body = json!({
        "amount_minor": payment.amount.minor(), "currency": payment.amount.currency().code(), "order": payment.order,
        "part": payment.part, "tenant": payment.tenant, "operator": payment.operator, "mode": payment.mode.name(),
        "origin": payment.origin.name(), "entered_by": payment.entered_by.name(), "connector": payment.connector,
        "transaction_type": payment.transaction.name(), "stored_card": payment.stored.as_ref().map(|stored| stored.card.last4_text()),
        "prompt_version": payment.prompt_version, "asked_plan": payment.asked_plan,
    });
    tx.append("created", &payment, None, body).await?;
    Ok(Created::New(payment))
}

async fn create_claimed(
    tx: &mut Tx<'_>,
    new: NewPayment,
    call: CallId,
) -> Result<Claim, CreateError> {
    match create(tx, new).await? {
        // Made in this transaction: nobody else can have it.
        Created::New(payment) => Ok(claim_for(tx, payment, call).await?),
        Created::Existing(payment) => Err(CreateError::OrderTaken {
            payment_id: payment.id,
            state: payment.state,
        }),
    }
}

async fn claim_for(tx: &mut Tx<'_>, mut payment: Payment, call: CallId) -> Result<Claim, Error> {
    payment.advance(None, Entry::Claimed)?;
    tx.insert_claim(payment.id, call).await?;
    payment.call = Some(call);
    let body = json!({ "call": call, "entered_by": payment.entered_by.name() });
    tx.append("claimed", &payment, None, body).await?;
    Ok(Claim { payment, call })
}

async fn abandon(tx: &mut Tx<'_>, call: CallId, rules: &Rules) -> Result<Option<PaymentId>, Error> {
    let Some(payment) = tx.claim_of_call(call).await? else {
        return Ok(None);
    };
    finish(
        tx,
        payment,
        Some(call),
        INTERRUPTED,
        Value::Null,
        Heard::Nobody,
        rules,
    )
    .await?;
    Ok(Some(payment))
}

async fn expire(tx: &mut Tx<'_>, now_ms: i64) -> Result<Vec<PaymentId>, Error> {
    let mut expired = Vec::new();
    for payment in tx.overdue(now_ms).await? {
        expired.push(payment.id);
        expire_one(tx, payment).await?;
    }
    answers::delete_old(tx, now_ms).await?;
    Ok(expired)
}

pub(crate) async fn expire_one(tx: &mut Tx<'_>, mut payment: Payment) -> Result<(), Error> {
    let step = payment.advance(None, Entry::Expired)?;
    tx.update_payment(&mut payment).await?;
    tx.append("expired", &payment, None, json!({})).await?;
    tell(tx, &payment, step).await
}

/// A waiting payment that no call has is over, by a person's wish.
async fn withdraw_one(tx: &mut Tx<'_>, mut payment: Payment, by: Option<&By>) -> Result<(), Error> {
    let step = payment.advance(None, Entry::Withdrawn)?;
    payment.result = Some(AGENT_CANCELLED.to_owned());
    tx.update_payment(&mut payment).await?;
    let mut body = json!({ "result": AGENT_CANCELLED });
    if let Some(by) = by {
        body["by"] = json!(by.person);
        body["via"] = json!(by.via);
    }
    tx.append("closed", &payment, None, body).await?;
    tell(tx, &payment, step).await
}

/// An approval that nobody knows of, since nobody asked, is released again, where its merchant wants that.
async fn release_unheard(tx: &mut Tx<'_>, payment: &Payment, rules: &Rules) -> Result<(), Error> {
    let wanted = rules.of(&payment.tenant).release_unheard;
    if wanted && payment.connector != TRAINING && payment.transaction.moves_money() {
        tx.insert_release(payment).await?;
    }
    Ok(())
}

/// The merchant's order system, of a change that it is told of.
async fn tell(tx: &mut Tx<'_>, payment: &Payment, step: Step) -> Result<(), Error> {
    if step.tells {
        tx.insert_event(fresh_id(tx.now_ms), payment).await?;
    }
    Ok(())
}

async fn withdraw(tx: &mut Tx<'_>, payment_id: PaymentId, by: Option<&By>) -> Result<bool, Error> {
    let found = tx.payment(payment_id).await?;
    let Some(payment) = found.filter(|p| p.state == State::Waiting && p.call.is_none()) else {
        return Ok(false);
    };
    if let Some(by) = by {
        let who = by.person.as_str();
        tx.insert_audit(who, "cancel", &payment).await?;
    }
    withdraw_one(tx, payment, by).await?;
    Ok(true)
}

async fn claim(
    tx: &mut Tx<'_>,
    payment_id: PaymentId,
    call: CallId,
    entered_by: EnteredBy,
) -> Result<Claim, ClaimError> {
    let mut payment = tx.payment(payment_id).await?.ok_or(ClaimError::NotFound)?;
    if payment.call.is_some() {
        return Err(ClaimError::Taken);
    }
    let state = state_now(&payment, tx.now_ms);
    if state != State::Waiting {
        return Err(ClaimError::NotWaiting { state });
    }
    if payment.entered_by != entered_by {
        payment.entered_by = entered_by;
        tx.update_payment(&mut payment).await?;
    }
    Ok(claim_for(tx, payment, call).await?)
}

async fn write_intent(
    tx: &mut Tx<'_>,
    payment_id: PaymentId,
    draft: IntentDraft,
) -> Result<Intent, IntentError> {
    let mut payment = tx.payment(payment_id).await?.ok_or(IntentError::NotFound)?;
    if payment.state != State::Waiting {
        return Err(IntentError::NotWaiting {
            state: payment.state,
        });
    }
    if !tx
        .claim(payment_id)
        .await?
        .is_some_and(|holder| holder.ours)
    {
        return Err(IntentError::NotClaimed);
    }
    if draft.amount != payment.amount {
        return Err(IntentError::AmountDiffers);
    }
    let token = match (draft.stored, &payment.stored) {
        (false, _) => None,
        (true, Some(stored)) if stored.card == draft.card => Some(stored.token.clone()),
        (true, _) => return Err(IntentError::NotStored),
    };
    let other = draft.connector != payment.connector;
    let practice = [&draft.connector, &payment.connector]
        .iter()
        .any(|c| *c == TRAINING);
    if other && (practice || payment.connector_named) {
        return Err(IntentError::Connector);
    }
    let floor = acquirer_order_floor(tx.now_ms);
    let intent = Intent {
        payment_id,
        operation_id: OperationId::new(fresh_id(tx.now_ms)),
        kind: payment.transaction.kind(),
        amount: draft.amount,
        card: draft.card,
        idempotency_key: IdempotencyKey::new(fresh_id(tx.now_ms)),
        acquirer_order: tx.next_acquirer_order(floor).await?,
        order: payment.order.clone(),
        operator: payment.operator.clone(),
        plan: draft.plan,
        token,
        parent: None,
    };
    tx.insert_operation(&intent, &draft.connector)
        .await
        .map_err(|error| match error {
            // The index `operations_one_charge` is the backstop of the states above.
            Error::Store {
                source: sqlx::Error::Database(cause),
            } if cause.is_unique_violation() => IntentError::OrderTaken,
            other => other.into(),
        })?;
    payment
        .advance(None, Entry::Intent(Asked::of(&intent)))
        .map_err(Error::from)?;
    payment.connector = draft.connector;
    payment.card = Some(intent.card);
    payment.plan = intent.plan;
    payment.decline_reason = None;
    tx.update_payment(&mut payment).await?;
    let body = json!({
        "kind": intent.kind.name(), "amount_minor": intent.amount.minor(), "currency": intent.amount.currency().code(),
        "brand": intent.card.brand.name(), "last4": intent.card.last4_text(),
        "plan": intent.plan, "stored_card": draft.stored, "idempotency_key": intent.idempotency_key, "acquirer_order": intent.acquirer_order.to_string(),
        "connector": payment.connector, "evidence": scrub::json(draft.evidence),
    });
    tx.append("intent", &payment, Some(intent.operation_id), body)
        .await?;
    Ok(intent)
}

async fn fail_over(tx: &mut Tx<'_>, intent: &Intent, connector: &str) -> Result<(), OutcomeError> {
    let operation = tx.operation(intent.operation_id).await?;
    let operation = operation.ok_or(OutcomeError::NotFound)?;
    // Behind the call, and with a stored card, there is one acquirer that can do it.
    if operation.state != OperationState::InFlight || operation.parent.is_some() {
        return Err(OutcomeError::AlreadyWritten);
    }
    let payment = tx.payment(operation.payment).await?;
    let mut payment = payment.ok_or(OutcomeError::NotFound)?;
    payment
        .advance(None, Entry::FailedOver)
        .map_err(Error::from)?;
    tx.update_connector(operation.id, connector).await?;
    payment.connector = connector.to_owned();
    tx.update_payment(&mut payment).await?;
    let body = json!({ "not_reached": operation.connector, "connector": connector });
    tx.append("failed-over", &payment, Some(operation.id), body)
        .await?;
    Ok(())
}

async fn write_outcome(
    tx: &mut Tx<'_>,
    intent: &Intent,
    outcome: &Outcome,
    rules: &Rules,
) -> Result<State, OutcomeError> {
    let operation = tx
        .operation(intent.operation_id)
        .await?
        .ok_or(OutcomeError::NotFound)?;
    if operation.state != OperationState::InFlight {
        return Err(OutcomeError::AlreadyWritten);
    }
    let mut payment = tx
        .payment(operation.payment)
        .await?
        .ok_or(OutcomeError::NotFound)?;
    let note = "the acquirer's answer is not known";
    record_outcome(tx, &mut payment, &operation, outcome, None, (rules, note)).await?;
    Ok(payment.state)
}

pub(crate) async fn settle(
    tx: &mut Tx<'_>,
    operation_id: OperationId,
    outcome: &Outcome,
    by: &str,
    note: Option<&str>,
    rules: &Rules,
) -> Result<State, OutcomeError> {
    let operation = tx
        .operation(operation_id)
        .await?
        .ok_or(OutcomeError::NotFound)?;
    if operation.state != OperationState::Unknown {
        return Err(OutcomeError::AlreadyWritten);
    }
    // A clock that has jumped ahead makes it look older than it is.
    let written_ms = operation.created_ms.saturating_add(tx.jumped_ms);
    if let Some(sure_ms) = believed_from_ms(outcome, written_ms)
        && tx.now_ms < sure_ms
    {
        return Err(OutcomeError::TooEarly { sure_ms });
    }
    let mut payment = tx
        .payment(operation.payment)
        .await?
        .ok_or(OutcomeError::NotFound)?;
    if matches!(outcome, Outcome::Unknown(_)) {
        return Err(OutcomeError::AlreadyWritten);
    }
    let by = scrub::text(by);
    tx.close_unknown(&operation, &by, note).await?;
    tx.insert_audit(&by, "settle", &payment).await?;
    let gone = "approved after the call had ended";
    record_outcome(
        tx,
        &mut payment,
        &operation,
        outcome,
        Some(&by),
        (rules, gone),
    )
    .await?;
    // A payment has one task of what is unknown at a time: of two such operations the other one's is next.
    let all = tx.operations(payment.id).await?;
    if let Some(other) = all.iter().find(|o| is_unknown(o)) {
        let note = "the acquirer's answer is not known";
        let kind = TaskKind::UnknownOutcome;
        task(tx, &payment, kind, Some(other.id), rules, note).await?;
    }
    Ok(payment.state)
}

/// Whether somebody has to find out what became of it.
fn is_unknown(operation: &Operation) -> bool {
    operation.state == OperationState::Unknown && operation.kind != OperationKind::Query
}

/// What nobody knew to be charged, and is released, has taken nothing: the acquirer has said so of the void.
async fn released(
    tx: &mut Tx<'_>,
    payment: &Payment,
    void: &Operation,
    by: &str,
) -> Result<(), Error> {
    let Some(parent) = void.parent else {
        return Ok(());
    };
    let Some(root) = tx.operation(parent).await?.filter(is_unknown) else {
        return Ok(());
    };
    let outcome = json!(Outcome::NotCharged(Why::Reversed));
    tx.update_operation(root.id, OperationState::NotCharged, &outcome, None)
        .await?;
    tx.close_unknown(&root, by, None).await?;
    let body = json!({ "outcome": outcome, "by": by, "about": void.id });
    tx.append("settled", payment, Some(root.id), body).await
}

/// The outcome in operation, payment, record and, unless the call goes on, outbox; with the task that it makes, for this reason. `by`: who
/// found it out.
async fn record_outcome(
    tx: &mut Tx<'_>,
    payment: &mut Payment,
    operation: &Operation,
    outcome: &Outcome,
    by: Option<&str>,
    (rules, reason): (&Rules, &str),
) -> Result<(), Error> {
    let begins = !operation.kind.is_later();
    let mut outcome = outcome.clone();
    let (asked, answer) = (operation.asked(), Answer::from(&outcome));
    let (kind, entry) = match by {
        None => ("outcome", Entry::Outcome(asked, answer)),
        Some(_) => ("settled", Entry::Settled(asked, answer)),
    };
    let step = payment.advance(operation.open(), entry)?;
    let state = match &mut outcome {
        Outcome::Approved(approval) => {
            // Sixteen letters and digits are room for a card number, should an acquirer send one back by mistake.
            approval.code = approval
                .code
                .take()
                .map(|code| scrub::text(&code).chars().take(16).collect());
            if begins {
                payment.approval_code.clone_from(&approval.code);
                payment.acquirer_ref = Some(approval.acquirer_ref.clone());
            }
            if operation.kind == OperationKind::Void {
                let by = by.or(operation.by.as_deref()).unwrap_or_default();
                released(tx, payment, operation, by).await?;
            }
            if matches!(operation.kind, OperationKind::Capture | OperationKind::Void) {
                let by = operation.by.as_deref().unwrap_or_default();
                let kind = TaskKind::ExpiringAuthorisation;
                tx.close_task(payment.id, kind, by, None).await?;
            }
            OperationState::Approved
        }
        Outcome::Declined(decline) => {
            decline.code = scrub::text(&decline.code);
            if begins {
                payment.decline_reason = Some(decline.reason.name().to_owned());
            }
            OperationState::Declined
        }
        Outcome::NotCharged(_) => OperationState::NotCharged,
        Outcome::Unknown(_) => OperationState::Unknown,
    };
    let outcome = json!(outcome);
    let inquire_ms = match step.duty {
        Duty::Inquire => next_ms(tx.now_ms, 0),
        _ => None,
    };
    tx.update_operation(operation.id, state, &outcome, inquire_ms)
        .await?;
    tx.update_payment(payment).await?;
    let mut body = json!({ "outcome": outcome });
    if let Some(by) = by {
        body["by"] = Value::from(by);
    }
    tx.append(kind, payment, Some(operation.id), body).await?;
    let to_do = match step.duty {
        Duty::Inquire => Some(TaskKind::UnknownOutcome),
        Duty::CallBack => Some(TaskKind::ApprovedCallerGone),
        _ => None,
    };
    if let Some(kind) = to_do {
        task(tx, payment, kind, Some(operation.id), rules, reason).await?;
    }
    // Whoever has found it out may have told it to somebody.
    if step.duty == Duty::CallBack && by.is_some_and(|by| [RECOVERY, LATE_ANSWER].contains(&by)) {
        release_unheard(tx, payment, rules).await?;
    }
    // What is captured, or given back in part, was somebody's decision already.
    let changes = match operation.kind {
        OperationKind::Refund => payment
            .captured_minor
            .is_some_and(|taken| payment.refunded_minor >= taken),
        kind => begins || kind == OperationKind::Void,
    };
    if state == OperationState::Approved && changes {
        parts::look(tx, payment, rules).await?;
    }
    if step.tells && payment.state == State::Voided {
        tx.explain_task(payment.id, TaskKind::ApprovedCallerGone, RELEASED)
            .await?;
    }
    tell(tx, payment, step).await
}

async fn finish(
    tx: &mut Tx<'_>,
    payment_id: PaymentId,
    call: Option<CallId>,
    result: &str,
    evidence: Value,
    heard: Heard,
    rules: &Rules,
) -> Result<State, Error> {
    let payment = tx.payment(payment_id).await?.ok_or(Error::Corrupt {
        what: "a payment of this process is missing",
    })?;
    let held = tx.claim(payment_id).await?;
    if !held.is_some_and(|held| held.ours && call.is_none_or(|call| call == held.call)) {
        return Ok(payment.state);
    }
    // The call ends while its operation is open: nobody will write the outcome, so nobody may take it for refused.
    let mut payment = payment;
    let open = tx.in_flight(Some(payment_id)).await?;
    for operation in open.into_iter().filter(|o| !o.kind.is_later()) {
        payment = to_unknown(
            tx,
            &operation,
            rules,
            "the call ended before the acquirer's answer was written",
        )
        .await?;
    }
    // The outcome may have come to the disk after the caller had been told that it is being checked.
    let told_otherwise = result == OUTCOME_UNKNOWN;
    let unheard = match (told_otherwise, heard) {
        (true, _) => Some("approved, and the caller was told that it is being checked"),
        (false, Heard::Caller) => None,
        (false, Heard::Operator) => Some(
            "the caller did not hear that the payment is approved; his operator was in the call",
        ),
        (false, Heard::Nobody) => Some("the caller did not hear that the payment is approved"),
    };
    close_call(tx, payment, result, scrub::json(evidence), (rules, unheard)).await
}

/// Ends the claim; a payment that is still waiting waits on or is over. Of one that is approved nobody knows, where `unheard` says why.
async fn close_call(
    tx: &mut Tx<'_>,
    mut payment: Payment,
    result: &str,
    evidence: Value,
    (rules, unheard): (&Rules, Option<&str>),
) -> Result<State, Error> {
    // A wrong amount is announced anew: nobody can pay this one.
    let waits_on = payment.origin != Origin::Dialplan
        && !is_past(&payment, tx.now_ms)
        && result != AMOUNT_REJECTED;
    let heard = unheard.is_none();
    let step = payment.advance(None, Entry::Closed { waits_on, heard })?;
    if payment.state == State::Waiting {
        // The card that was declined is the operation's; the next caller begins anew.
        (payment.card, payment.decline_reason) = (None, None);
    }
    if let (Duty::CallBack, Some(reason)) = (step.duty, unheard) {
        let kind = TaskKind::ApprovedCallerGone;
        task(tx, &payment, kind, None, rules, reason).await?;
    }
    payment.result = Some(result.to_owned());
    if !evidence.is_null() {
        payment.evidence = Some(evidence.clone());
    }
    payment.call = None;
    tx.delete_claim(payment.id).await?;
    tx.update_payment(&mut payment).await?;
    tx.append(
        "closed",
        &payment,
        None,
        json!({ "result": result, "evidence": evidence }),
    )
    .await?;
    tell(tx, &payment, step).await?;
    Ok(payment.state)
}

async fn recover(tx: &mut Tx<'_>, rules: &Rules) -> Result<Recovered, Error> {
    let mut recovered = Recovered::default();
    tx.end_leases().await?;
    calls::recover(tx).await?;
    for operation in tx.in_flight(None).await? {
        if operation.kind != OperationKind::Query {
            recovered.unknown.push(operation.payment);
        }
        to_unknown(
            tx,
            &operation,
            rules,
            "the daemon stopped while the acquirer was asked",
        )
        .await?;
    }
    for Holder { payment: id, .. } in tx.stale_claims().await? {
        let payment = tx.payment(id).await?.ok_or(Error::Corrupt {
            what: "a claim without its payment",
        })?;
        let (list, result) = match payment.state {
            State::Waiting => (&mut recovered.released, INTERRUPTED),
            State::Approved => (&mut recovered.closed, "success"),
            _ => (&mut recovered.closed, OUTCOME_UNKNOWN),
        };
        list.push(id);
        // Nobody knows whether the caller heard it.
        let unheard = "the daemon stopped before the call was closed";
        close_call(tx, payment, result, Value::Null, (rules, Some(unheard))).await?;
    }
    Ok(recovered)
}

/// An open operation whose outcome nobody will write: it may have been charged.
async fn to_unknown(
    tx: &mut Tx<'_>,
    operation: &Operation,
    rules: &Rules,
    note: &str,
) -> Result<Payment, Error> {
    let mut payment = tx.payment(operation.payment).await?.ok_or(Error::Corrupt {
        what: "an operation without its payment",
    })?;
    let unknown = Outcome::Unknown(Doubt::NoReply);
    record_outcome(tx, &mut payment, operation, &unknown, None, (rules, note)).await?;
    Ok(payment)
}

/// The free texts of a new payment; the ids check themselves.
pub(crate) fn check_fields(new: &NewPayment) -> Result<(), CreateError> {
    let fields = [
        ("operator_extension", new.operator_extension.as_deref(), 40),
        ("caller_number", new.caller_number.as_deref(), 24),
        ("connector", Some(new.connector.as_str()), 64),
        ("language", Some(new.language.as_str()), 16),
        ("prompt_version", Some(new.prompt_version.as_str()), 64),
    ];
    for (field, text, max) in fields {
        if text.is_some_and(|text| text.chars().count() > max || scrub::looks_like_card(text)) {
            return Err(CreateError::Field { field });
        }
    }
    check_attached(&new.attached)?;
    check_key(new.request.as_ref())
}

fn check_attached(attached: &Attached) -> Result<(), CreateError> {
    let line = |text: &str, max| {
        (1..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control)
    };
    let of = |field, is_good: bool| is_good.then_some(()).ok_or(CreateError::Field { field });
    let told = attached.description.as_deref();
    of(
        "description",
        told.is_none_or(|told| {
            line(told, Attached::DESCRIPTION_MAX) && !scrub::looks_like_card(told)
        }),
    )?;
    let mut texts = attached
        .parameters
        .iter()
        .flat_map(|(name, value)| [name, value]);
    let is_good = |(name, value): (&String, &String)| {
        line(name, Attached::NAME_MAX)
            && value.chars().count() <= Attached::VALUE_MAX
            && !value.chars().any(char::is_control)
    };
    let is_card = texts.any(|text| scrub::looks_like_card(text));
    of(
        "parameters",
        attached.parameters.len() <= Attached::PARAMETERS_MAX
            && attached.parameters.iter().all(is_good)
            && !is_card,
    )
}

/// Only a hash of the key is stored, and a hash of a card number is a card number (PCI DSS v4.0.1, 3.5.1.1). A UUID is spared: one in
/// some hundred holds digits enough, by chance, to look like a card.
pub(crate) fn check_key(request: Option<&ApiRequest>) -> Result<(), CreateError> {
    let bad = |request: &ApiRequest| {
        Uuid::parse_str(&request.key).is_err() && scrub::looks_like_card(&request.key)
    };
    if request.is_some_and(bad) {
        return Err(CreateError::Field {
            field: "Idempotency-Key",
        });
    }
    Ok(())
}

fn is_past(payment: &Payment, now_ms: i64) -> bool {
    payment.expires_ms.is_some_and(|expires| expires <= now_ms)
}

pub(crate) fn is_overdue(payment: &Payment, now_ms: i64) -> bool {
    payment.state == State::Waiting && payment.call.is_none() && is_past(payment, now_ms)
}

/// The state of a payment now: one that is overdue has expired, though the minute's `expire` has not come by yet.
pub(crate) fn state_now(payment: &Payment, now_ms: i64) -> State {
    if is_overdue(payment, now_ms) {
        State::Expired
    } else {
        payment.state
    }
}

/// A UUID version 7 of the injected time. Each is greater than all before it in this process, also within a millisecond and when
/// the clock goes back: waiting payments, tasks and events are taken in the order of their ids.
pub(crate) fn fresh_id(now_ms: i64) -> Uuid {
    static CONTEXT: std::sync::Mutex<uuid::ContextV7> =
        std::sync::Mutex::new(uuid::ContextV7::new());
    let (seconds, rest) = (now_ms.div_euclid(1000).max(0), now_ms.rem_euclid(1000));
    let nanos = u32::try_from(rest * 1_000_000).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(
        &CONTEXT,
        seconds.cast_unsigned(),
        nanos,
    ))
}

/// Least acquirer order number at this time: milliseconds and four random digits. The counter alone would begin anew with
/// a new journal, and two installations may share one account at an acquirer. It begins with 1 until 2033, which no card does.
pub(crate) fn acquirer_order_floor(now_ms: i64) -> i64 {
    let random = Uuid::now_v7().as_u64_pair().1 % 10_000;
    now_ms
        .clamp(0, 9_999_999_999_999)
        .saturating_mul(10_000)
        .saturating_add(random.cast_signed())
}

#[cfg(test)]
mod tests {
    use ivrpay_payment::{Brand, Currency, Money, TenantId, Transaction, Truncated};

    use super::*;
    use crate::EnteredBy;

    const FULL: i64 = 2;
    const NORMAL: i64 = 1;

    fn payment(origin: Origin) -> NewPayment {
        NewPayment {
            tenant: TenantId::new("acme").unwrap(),
            order: None,
            part: 0,
            operator: None,
            site: None,
            asked_plan: None,
            amount: Money::new(1200, Currency::Jpy).unwrap(),
            mode: Mode::Test,
            connector: "null".into(),
            connector_named: false,
            language: "en".into(),
            prompt_version: "1".into(),
            origin,
            entered_by: EnteredBy::Caller,
            expires_ms: None,
            operator_extension: None,
            caller_number: None,
            request: None,
            transaction: Transaction::Authorise,
            stored: None,
            attached: crate::Attached::default(),
        }
    }

    #[test]
    fn a_later_id_is_greater_within_a_millisecond_and_when_the_clock_goes_back() {
        let now = 1_800_000_000_000;
        let ids: Vec<_> = (0..1000).map(|n| fresh_id(now - n / 100)).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
    }

    /// Intent, outcome and what an API caller was told wait for the disk; the rest rides on the next sync.
    #[tokio::test]
    async fn what_is_synced() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path().join("journal.db"), OpenOptions::new("edge-1"))
            .await
            .unwrap();
        let synchronous = async |what: &str, expected: i64| {
            assert_eq!(journal.0.store.synchronous().await, expected, "{what}");
        };
        journal.create(payment(Origin::Api)).await.unwrap();
        synchronous("create by API", FULL).await;
        let id = journal
            .create(payment(Origin::Dialplan))
            .await
            .unwrap()
            .payment()
            .id;
        synchronous("create by dialplan", NORMAL).await;
        journal
            .claim(id, CallId::new(Uuid::now_v7()))
            .await
            .unwrap();
        synchronous("claim", NORMAL).await;
        let draft = IntentDraft {
            stored: false,
            amount: Money::new(1200, Currency::Jpy).unwrap(),
            card: Truncated::new(Brand::Visa, [1, 1, 1, 1]).unwrap(),
            plan: Plan::LumpSum,
            connector: "null".into(),
            evidence: Value::Null,
        };
        let intent = journal.write_intent(id, draft).await.unwrap();
        synchronous("intent", FULL).await;
        journal.ping().await.unwrap();
        synchronous("ping", NORMAL).await;
        let unknown = Outcome::Unknown(Doubt::NoReply);
        journal.write_outcome(&intent, &unknown).await.unwrap();
        synchronous("outcome", FULL).await;
        journal
            .close(id, OUTCOME_UNKNOWN, Value::Null)
            .await
            .unwrap();
        synchronous("close", NORMAL).await;
        journal
            .settle(
                intent.get().operation_id,
                &Outcome::NotCharged(Why::Busy),
                "query",
            )
            .await
            .unwrap();
        synchronous("settle", FULL).await;
        journal.expire(0).await.unwrap();
        journal.recover().await.unwrap();
        synchronous("recover", FULL).await;
    }

    #[test]
    fn acquirer_orders_never_begin_like_a_card() {
        // 2026-11-23 and 2033-01-01, UTC.
        for now_ms in [1_795_435_200_000, 1_988_150_400_000] {
            let number = acquirer_order_floor(now_ms);
            assert_eq!(number / 10_000, now_ms);
            assert_eq!(format!("{number:017}").chars().next(), Some('1'));
        }
    }
}
