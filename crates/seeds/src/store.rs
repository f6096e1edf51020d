//! The journal's contract: what may happen to a payment, in which commit, and which of them are synced.
//!
//! What may follow what is decided by the same functions as in the journal ([`Standing::after`](ivrpay_payment::Standing::after),
//! [`inquiry_pause`], [`believed_from_ms`]). What the journal does beside is done here in the same order; `tests/journal.rs` compares both.

use std::rc::Rc;

use ivrpay_acquirer::Progress;
use ivrpay_payment::{
    AcquirerOrder, AcquirerRef, Answer, Asked, Doubt, Durable, Duty, Entry, IdempotencyKey,
    Illegal, Intent, Money, NotAllowed, Notice, Noticed, OperationId, OperationKind, Outcome,
    Parent, PaymentId, Plan, State, Step, Sum, Transaction, Truncated, Why, believed_from_ms,
    inquiry_pause, plant,
};
use uuid::Uuid;

use crate::book::{
    Book, By, Disk, Durability, OpState, Operation, Payment, Release, Row, Task, TaskKind,
    TaskState, Told,
};
use crate::points::{Crash, Points};

/// Why the journal does not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum No {
    /// The disk is full, the file is locked.
    Full,
    OrderTaken,
    /// Another call has it, or it waits no more.
    NotFree,
    NotClaimed,
    /// The first outcome stands.
    AlreadyWritten,
    TooEarly(i64),
    NotAllowed,
    /// By the state machine.
    Illegal,
}

impl From<Illegal> for No {
    fn from(_: Illegal) -> Self {
        Self::Illegal
    }
}

impl From<NotAllowed> for No {
    fn from(_: NotAllowed) -> Self {
        Self::NotAllowed
    }
}

/// What the process gets back, if it is still there.
pub(crate) type Done<T> = Result<Result<T, No>, Crash>;

/// A payment that is to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct New {
    pub(crate) slot: usize,
    pub(crate) transaction: Transaction,
    pub(crate) amount: Money,
    pub(crate) announced: bool,
    pub(crate) expires_ms: Option<i64>,
    pub(crate) connector: usize,
}

/// Who knows how a call's payment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    Caller,
    Nobody,
}

/// How a call ended, as far as the journal looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closes {
    AmountRejected,
    OutcomeUnknown,
    Other,
}

/// What came of a message of an acquirer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    Contradicts,
    InFlight,
    Known,
    NotOurs,
    Settled,
}

/// What is asked behind the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Later {
    Existing,
    New(usize),
}

pub(crate) struct Store {
    pub(crate) disk: Disk,
    pub(crate) points: Points,
    pub(crate) now: i64,
    /// Of the process.
    pub(crate) epoch: u32,
    pub(crate) full: bool,
    /// So many more commits that are to be synced, then the sync of one fails.
    pub(crate) sync_fails: Vec<u32>,
    pub(crate) release_unheard: bool,
    /// Ids are never used again, whatever is lost.
    serial: u64,
    /// Whether there is something new to be looked at.
    pub(crate) written: bool,
    /// The last commit of which it has said that it is on the disk.
    pub(crate) promised: u64,
    #[cfg(test)]
    pub(crate) trail: crate::tests::Trail,
}

/// A commit that is being made.
struct Tx<'s> {
    book: &'s Book,
    rows: Vec<Row>,
    now: i64,
    epoch: u32,
    release_unheard: bool,
    serial: &'s mut u64,
}

const TAG: u128 = 0x0193_a1b2_0000_7000_8000_0000_0000_0000;

pub(crate) const fn uuid(serial: u64) -> Uuid {
    Uuid::from_u128(TAG | serial as u128)
}

/// Reads [`uuid`].
pub(crate) const fn serial(id: Uuid) -> u64 {
    (id.as_u128() ^ TAG) as u64
}

/// Least order number at an acquirer, as the journal allots them: milliseconds and four digits.
const ORDERS: u64 = 17_954_352_000_000_000;

impl Store {
    pub(crate) fn new(now: i64, points: Points, release_unheard: bool) -> Self {
        Self {
            disk: Disk::default(),
            points,
            now,
            epoch: 1,
            full: false,
            sync_fails: Vec::new(),
            release_unheard,
            serial: 0,
            written: false,
            promised: 0,
            #[cfg(test)]
            trail: crate::tests::Trail::default(),
        }
    }

    pub(crate) const fn book(&self) -> &Book {
        &self.disk.book
    }

    fn tx<T>(
        &mut self,
        durability: Durability,
        make: impl FnOnce(&mut Tx<'_>) -> Result<T, No>,
    ) -> Done<T> {
        #[cfg(test)]
        let before = self.disk.book.frame;
        let done = self.transact(durability, make);
        #[cfg(test)]
        {
            let came = match &done {
                Ok(done) => Ok(done.as_ref().err().copied()),
                Err(crash) => Err(*crash),
            };
            self.trail
                .said(self.now, self.epoch, &self.disk.book, before, came);
        }
        done
    }

    fn transact<T>(
        &mut self,
        durability: Durability,
        make: impl FnOnce(&mut Tx<'_>) -> Result<T, No>,
    ) -> Done<T> {
        self.points.pass("before a transaction")?;
        if self.full {
            return Ok(Err(No::Full));
        }
        let mut tx = Tx {
            book: &self.disk.book,
            rows: Vec::new(),
            now: self.now,
            epoch: self.epoch,
            release_unheard: self.release_unheard,
            serial: &mut self.serial,
        };
        let made = match make(&mut tx) {
            Ok(made) => made,
            Err(no) => return Ok(Err(no)),
        };
        let rows = tx.rows;
        if rows.is_empty() {
            return Ok(Ok(made));
        }
        self.points.pass("before a commit")?;
        if durability == Durability::Synced && self.sync_fails() {
            self.disk.fail(rows);
            self.points.pass("the sync has failed")?;
            return Ok(Err(No::Full));
        }
        self.disk.append(rows);
        self.written = true;
        if durability == Durability::Synced {
            self.points.pass("written, not synced")?;
            if !plant::is("no-sync") {
                self.disk.sync();
            }
            self.promised = self.disk.book.frame;
        }
        self.points.pass("behind a commit")?;
        Ok(Ok(made))
    }

    fn sync_fails(&mut self) -> bool {
        match self.sync_fails.last_mut() {
            Some(0) => self.sync_fails.pop().is_some(),
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    pub(crate) fn create(&mut self, new: New) -> Done<usize> {
        #[cfg(test)]
        self.trail.says(|| crate::tests::Said::Create(new));
        let durability = if new.announced {
            Durability::Synced
        } else {
            Durability::Rides
        };
        self.tx(durability, |tx| tx.create(new).map(|payment| payment.at))
    }

    pub(crate) fn create_claimed(&mut self, new: New, call: usize) -> Done<usize> {
        #[cfg(test)]
        self.trail
            .says(|| crate::tests::Said::CreateClaimed(new, call));
        self.tx(Durability::Rides, |tx| {
            let payment = tx.create(new)?;
            tx.claim(payment, call)
        })
    }

    pub(crate) fn claim(&mut self, payment: usize, call: usize) -> Done<usize> {
        #[cfg(test)]
        self.trail.says(|| crate::tests::Said::Claim(payment, call));
        self.tx(Durability::Rides, |tx| {
            let payment = tx.payment(payment)?;
            if payment.call.is_some() && !plant::is("claimed-by-two") {
                return Err(No::NotFree);
            }
            let overdue = is_overdue(&payment, tx.now) && !plant::is("expired-is-claimed");
            if overdue || payment.state != State::Waiting {
                return Err(No::NotFree);
            }
            tx.claim(payment, call)
        })
    }

    /// Ends waiting payments whose time is over.
    pub(crate) fn expire(&mut self) -> Done<()> {
        #[cfg(test)]
        self.trail.says(|| crate::tests::Said::Expire);
        let now = self.now;
        self.tx(Durability::Rides, |tx| {
            let all = tx.book.payments.iter();
            let due: Vec<_> = all.filter(|p| is_overdue(p, now)).cloned().collect();
            for mut payment in due {
                let step = payment.advance(None, Entry::Expired)?;
                tx.tell(&payment, step);
                tx.put(payment);
            }
            Ok(())
        })
    }

    pub(crate) fn withdraw(&mut self, payment: usize) -> Done<()> {
        #[cfg(test)]
        self.trail.says(|| crate::tests::Said::Withdraw(payment));
        self.tx(Durability::Rides, |tx| {
            let mut payment = tx.payment(payment)?;
            if payment.state != State::Waiting || payment.call.is_some() {
                return Err(No::NotFree);
            }
            let step = payment.advance(None, Entry::Withdrawn)?;
            tx.tell(&payment, step);
            tx.put(payment);
            Ok(())
        })
    }

    /// The number of the operation, and what may be sent by it.
    pub(crate) fn write_intent(
        &mut self,
        payment: usize,
        card: Truncated,
        connector: usize,
    ) -> Done<(usize, Durable<Intent>)> {
        #[cfg(test)]
        self.trail
            .says(|| crate::tests::Said::Intent(payment, card, connector));
        let durability = if plant::is("intent-not-synced") {
            Durability::Rides
        } else {
            Durability::Synced
        };
        self.tx(durability, |tx| {
            let mut payment = tx.payment(payment)?;
            if payment.state != State::Waiting {
                return Err(No::NotFree);
            }
            if payment.call.is_none_or(|(epoch, _)| epoch != tx.epoch) {
                return Err(No::NotClaimed);
            }
            let at = tx.next_operation();
            let uid = tx.id();
            let order = ORDERS.saturating_add(uid.saturating_mul(7));
            let intent = Intent {
                payment_id: PaymentId::new(uuid(payment.uid)),
                operation_id: OperationId::new(uuid(uid)),
                kind: payment.transaction.kind(),
                amount: payment.amount,
                card,
                idempotency_key: IdempotencyKey::new(uuid(tx.id())),
                acquirer_order: AcquirerOrder::new(order).ok_or(No::NotAllowed)?,
                order: None,
                operator: None,
                plan: Plan::LumpSum,
                token: None,
                parent: None,
            };
            payment.advance(None, Entry::Intent(Asked::of(&intent)))?;
            payment.connector = connector;
            payment.refused = false;
            tx.rows.push(Row::Operation(Operation {
                at,
                uid,
                payment: payment.at,
                connector,
                parent: None,
                kind: intent.kind,
                amount: intent.amount,
                state: OpState::InFlight,
                outcome: None,
                created_ms: tx.now,
                inquire_ms: None,
                inquired: 0,
                progress: Progress::default(),
                by: None,
                request: None,
                intent: Rc::new(intent.clone()),
            }));
            tx.put(payment);
            Ok((at, attest(intent)))
        })
    }

    pub(crate) fn fail_over(&mut self, operation: usize, connector: usize) -> Done<()> {
        #[cfg(test)]
        self.trail
            .says(|| crate::tests::Said::FailOver(operation, connector));
        self.tx(Durability::Synced, |tx| {
            let mut operation = tx.operation(operation)?;
            if operation.state != OpState::InFlight || operation.parent.is_some() {
                return Err(No::AlreadyWritten);
            }
            let mut payment = tx.payment(operation.payment)?;
            payment.advance(None, Entry::FailedOver)?;
            operation.connector = connector;
            payment.connector = connector;
            tx.rows.push(Row::Operation(operation));
            tx.put(payment);
            Ok(())
        })
    }

    pub(crate) fn write_progress(&mut self, operation: usize, progress: &Progress) -> Done<()> {
        #[cfg(test)]
        self.trail
            .says(|| crate::tests::Said::Progress(operation, progress.clone()));
        self.tx(Durability::Synced, |tx| {
            let mut operation = tx.operation(operation)?;
            let payment = tx.payment(operation.payment)?;
            let entry = if progress.again > operation.progress.again {
                Entry::Again(operation.kind)
            } else {
                Entry::Progress(operation.kind)
            };
            payment.standing(tx.open(payment.at)).after(entry)?;
            operation.progress = progress.clone();
            tx.rows.push(Row::Operation(operation));
            Ok(())
        })
    }

    pub(crate) fn write_outcome(&mut self, operation: usize, outcome: &Outcome) -> Done<State> {
        #[cfg(test)]
        self.trail
            .says(|| crate::tests::Said::Outcome(operation, outcome.clone()));
        let durability = if plant::is("outcome-not-synced") {
            Durability::Rides
        } else {
            Durability::Synced
        };
        self.tx(durability, |tx| {
            let operation = tx.operation(operation)?;
            if operation.state != OpState::InFlight {
                return Err(No::AlreadyWritten);
            }
            let mut payment = tx.payment(operation.payment)?;
            tx.record(&mut payment, operation, outcome, None)?;
            Ok(payment.state)
        })
    }

    pub(crate) fn settle(&mut self, operation: usize, outcome: &Outcome, by: By) -> Done<State> {
        #[cfg(test)]
        self.trail
            .says(|| crate::tests::Said::Settle(operation, outcome.clone(), by));
        self.tx(Durability::Synced, |tx| tx.settle(operation, outcome, by))
    }

    pub(crate) fn notice(&mut self, connector: usize, message: &Notice) -> Done<Noted> {
        #[cfg(test)]
        self.trail
            .says(|| crate::tests::Said::Notice(connector, message.clone()));
        self.tx(Durability::Synced, |tx| tx.notice(connector, message))
    }

    pub(crate) fn later(
        &mut self,
        payment: usize,
        kind: OperationKind,
        wanted: Option<u64>,
        by: By,
        request: u64,
    ) -> Done<Later> {
        #[cfg(test)]
        self.trail
            .says(|| crate::tests::Said::Later(payment, kind, wanted, by, request));
        self.tx(Durability::Synced, |tx| {
            let payment = tx.payment(payment)?;
            if tx.book.of(payment.at).any(|o| o.request == Some(request)) {
                return Ok(Later::Existing);
            }
            let standing = payment.standing(tx.open(payment.at));
            let minor = standing.allows(kind, wanted)?;
            // Taken since it was read what is due.
            let taken = match payment.state {
                State::Unknown => tx.book.is_looked_up(payment.at),
                _ => tx.book.is_a_persons(payment.at),
            };
            if by == By::Recovery && !plant::is("released-over-a-person") && taken {
                return Err(No::NotAllowed);
            }
            let amount = Money::new(minor, payment.amount.currency());
            let amount = amount.map_err(|_| No::NotAllowed)?;
            let about = match payment.state {
                State::Unknown => OpState::Unknown,
                _ => OpState::Approved,
            };
            let mut all = tx.book.of(payment.at);
            let root = all.rfind(|o| !o.kind.is_later() && o.state == about);
            let root = root.ok_or(No::NotAllowed)?.clone();
            let at = tx.behind(&payment, &root, &root, kind, amount, by, Some(request))?;
            let asked = Asked {
                kind,
                amount: amount.minor(),
            };
            payment.standing(None).after(Entry::Intent(asked))?;
            Ok(Later::New(at))
        })
    }

    pub(crate) fn query(&mut self, about: usize, by: By) -> Done<usize> {
        #[cfg(test)]
        self.trail.says(|| crate::tests::Said::Query(about, by));
        self.tx(Durability::Synced, |tx| {
            let mut about = tx.operation(about)?;
            let payment = tx.payment(about.payment)?;
            let root = match about.parent {
                Some(parent) => tx.operation(parent)?,
                None => about.clone(),
            };
            let query = OperationKind::Query;
            let at = tx.behind(&payment, &root, &about, query, about.amount, by, None)?;
            // What a person asks uses up none of those that are asked by themselves.
            if by == By::Recovery {
                about.inquired += 1;
                if about.inquire_ms.is_some() && about.state == OpState::Unknown {
                    about.inquire_ms = next_ms(tx.now, about.inquired);
                }
                tx.rows.push(Row::Operation(about));
            }
            Ok(at)
        })
    }

    /// Ends a call's work on a payment.
    pub(crate) fn finish(
        &mut self,
        payment: usize,
        call: usize,
        result: Closes,
        heard: Heard,
    ) -> Done<()> {
        #[cfg(test)]
        self.trail
            .says(|| crate::tests::Said::Finish(payment, result, heard));
        self.tx(Durability::Rides, |tx| {
            let mut payment = tx.payment(payment)?;
            if payment.call != Some((tx.epoch, call)) {
                return Ok(());
            }
            let open = tx
                .book
                .of(payment.at)
                .filter(|o| o.state == OpState::InFlight && !o.kind.is_later());
            let open: Vec<_> = open.cloned().collect();
            for operation in open {
                let unknown = Outcome::Unknown(Doubt::NoReply);
                tx.record(&mut payment, operation, &unknown, None)?;
            }
            let unheard = result == Closes::OutcomeUnknown || heard == Heard::Nobody;
            tx.close_call(payment, result, !unheard)
        })
    }

    /// Makes good what a process that is gone left open.
    pub(crate) fn recover(&mut self) -> Done<()> {
        #[cfg(test)]
        self.trail.says(|| crate::tests::Said::Recover);
        if plant::is("no-recovery") {
            return Ok(Ok(()));
        }
        self.tx(Durability::Synced, |tx| {
            let open = tx.book.operations.iter();
            let open: Vec<_> = open
                .filter(|o| o.state == OpState::InFlight)
                .cloned()
                .collect();
            for operation in open {
                let mut payment = tx.payment(operation.payment)?;
                let unknown = Outcome::Unknown(Doubt::NoReply);
                tx.record(&mut payment, operation, &unknown, None)?;
            }
            let epoch = tx.epoch;
            let stale = tx.book.payments.iter();
            let stale: Vec<_> = stale
                .filter(|p| p.call.is_some_and(|(of, _)| of != epoch))
                .map(|p| p.at)
                .collect();
            for at in stale {
                let payment = tx.payment(at)?;
                tx.close_call(payment, Closes::Other, false)?;
            }
            Ok(())
        })
    }

    /// Operations of this connector whose acquirer is to be asked now.
    pub(crate) fn to_inquire(&self, connector: usize) -> Vec<usize> {
        let due =
            self.book().operations.iter().filter(|o| {
                o.connector == connector && o.inquire_ms.is_some_and(|at| at <= self.now)
            });
        due.map(|o| o.at).collect()
    }

    /// What an acquirer would be told of an operation that is asked about it.
    pub(crate) fn as_parent(&self, operation: usize) -> Option<Parent> {
        let all = &self.book().operations;
        let about = all.get(operation)?;
        let root = about.parent.and_then(|at| all.get(at));
        Some(parent(root.unwrap_or(about), about))
    }

    /// At that time; never by itself where there is none.
    pub(crate) fn inquire_at(&mut self, operation: usize, at_ms: Option<i64>) -> Done<()> {
        #[cfg(test)]
        self.trail
            .says(|| crate::tests::Said::InquireAt(operation, at_ms));
        self.tx(Durability::Rides, |tx| {
            let mut operation = tx.operation(operation)?;
            if operation.state == OpState::Unknown {
                operation.inquire_ms = at_ms;
                tx.rows.push(Row::Operation(operation));
            }
            Ok(())
        })
    }

    /// Approvals that are to be released now; whether each is wanted still.
    pub(crate) fn to_release(&self) -> Vec<(Release, bool)> {
        let book = self.book();
        let due = book.releases.iter().filter(|release| {
            let payment = book.payments.get(release.payment);
            release.at_ms <= self.now && payment.is_some_and(|p| p.call.is_none())
        });
        let due = due.map(|release| {
            let at = release.payment;
            let approved = book
                .payments
                .get(at)
                .is_some_and(|p| p.state == State::Approved);
            let taken = book.is_a_persons(at);
            let by_a_person = book.of(at).any(|o| {
                let moves = o.kind.is_later() && o.kind != OperationKind::Query;
                moves && o.by != Some(By::Recovery)
            });
            let wanted = if plant::is("released-over-a-person") {
                approved
            } else {
                approved && !taken && !by_a_person
            };
            (*release, wanted)
        });
        let due: Vec<_> = due.collect();
        #[cfg(test)]
        self.trail.saw(self.now, self.epoch, &due);
        due
    }

    pub(crate) fn release_at(&mut self, payment: usize, at_ms: i64) -> Done<()> {
        #[cfg(test)]
        self.trail
            .says(|| crate::tests::Said::ReleaseAt(payment, at_ms));
        self.tx(Durability::Rides, |tx| {
            let found = tx.book.releases.iter().find(|r| r.payment == payment);
            if let Some(release) = found.copied() {
                tx.rows.push(Row::Release(Release { at_ms, ..release }));
            }
            Ok(())
        })
    }

    pub(crate) fn released(&mut self, payment: usize) -> Done<()> {
        #[cfg(test)]
        self.trail.says(|| crate::tests::Said::Released(payment));
        self.tx(Durability::Rides, |tx| {
            tx.rows.push(Row::NoRelease(payment));
            Ok(())
        })
    }

    pub(crate) fn take_task(&mut self, task: usize) -> Done<()> {
        #[cfg(test)]
        self.trail.says(|| crate::tests::Said::TakeTask(task));
        self.tx(Durability::Synced, |tx| {
            let task = tx.book.tasks.get(task).ok_or(No::NotAllowed)?;
            match task.state {
                TaskState::Open => {}
                // By the same person: there is one.
                TaskState::Taken => return Ok(()),
                TaskState::Done => return Err(No::NotFree),
            }
            tx.rows.push(Row::Task(Task {
                state: TaskState::Taken,
                ..*task
            }));
            Ok(())
        })
    }

    /// Closes a task; that of an unknown outcome with what was found out.
    pub(crate) fn finish_task(&mut self, task: usize, found: Option<&Outcome>) -> Done<()> {
        #[cfg(test)]
        self.trail
            .says(|| crate::tests::Said::FinishTask(task, found.cloned()));
        self.tx(Durability::Synced, |tx| {
            let task = *tx.book.tasks.get(task).ok_or(No::NotAllowed)?;
            if task.state == TaskState::Done {
                return Err(No::NotFree);
            }
            match (task.kind, task.operation, found) {
                (TaskKind::UnknownOutcome, Some(operation), Some(found)) => {
                    tx.settle(operation, found, By::Person)?;
                }
                (TaskKind::UnknownOutcome, ..) => return Err(No::NotAllowed),
                _ => {}
            }
            tx.rows.push(Row::Task(Task {
                state: TaskState::Done,
                ..task
            }));
            Ok(())
        })
    }
}

impl Tx<'_> {
    fn id(&mut self) -> u64 {
        *self.serial += 1;
        *self.serial
    }

    fn payment(&self, at: usize) -> Result<Payment, No> {
        let written = self.rows.iter().rev().find_map(|row| match row {
            Row::Payment(payment) if payment.at == at => Some(payment),
            _ => None,
        });
        let found = written.or_else(|| self.book.payments.get(at));
        found.cloned().ok_or(No::NotAllowed)
    }

    fn operation(&self, at: usize) -> Result<Operation, No> {
        let written = self.rows.iter().rev().find_map(|row| match row {
            Row::Operation(operation) if operation.at == at => Some(operation),
            _ => None,
        });
        let found = written.or_else(|| self.book.operations.get(at));
        found.cloned().ok_or(No::NotAllowed)
    }

    fn open(&self, payment: usize) -> Option<ivrpay_payment::Open> {
        let all = self.book.of(payment);
        let mut now = all.filter_map(|o| self.operation(o.at).ok());
        now.find_map(|o| o.open())
    }

    fn next_operation(&self) -> usize {
        let new = self.rows.iter().filter_map(|row| match row {
            Row::Operation(o) => Some(o.at + 1),
            _ => None,
        });
        new.chain([self.book.operations.len()]).max().unwrap_or(0)
    }

    fn put(&mut self, payment: Payment) {
        self.rows.push(Row::Payment(payment));
    }

    fn tell(&mut self, payment: &Payment, step: Step) {
        if !step.tells {
            return;
        }
        let new = self.rows.iter().filter(|r| matches!(r, Row::Told(_)));
        let number = self.book.told.len() as u64 + new.count() as u64 + 1;
        self.rows.push(Row::Told(Told {
            number,
            payment: payment.at,
            state: payment.state,
        }));
    }

    fn task(&mut self, payment: usize, kind: TaskKind, operation: Option<usize>) -> bool {
        let mut now = self.book.tasks.clone();
        for row in &self.rows {
            if let Row::Task(task) = row {
                match now.get_mut(task.at) {
                    Some(place) => *place = *task,
                    None => now.push(*task),
                }
            }
        }
        // One of a kind that is to be done; what an acquirer says otherwise of an operation, once.
        let there = now.iter().any(|task| {
            task.payment == payment
                && task.kind == kind
                && (task.state != TaskState::Done
                    || kind == TaskKind::Contradicts && task.operation == operation)
        });
        if !there {
            self.rows.push(Row::Task(Task {
                at: now.len(),
                payment,
                kind,
                operation,
                state: TaskState::Open,
            }));
        }
        !there
    }

    fn create(&mut self, new: New) -> Result<Payment, No> {
        let holder = self.book.payments.iter().find(|p| {
            p.slot == new.slot && {
                let released = p.state == State::Unknown && plant::is("unknown-locks-no-order");
                p.state.locks_order() && !released
            }
        });
        if let Some(holder) = holder {
            if !is_overdue(holder, self.now) {
                return Err(No::OrderTaken);
            }
            let mut holder = holder.clone();
            let step = holder.advance(None, Entry::Expired)?;
            self.tell(&holder, step);
            self.put(holder);
        }
        let payment = Payment {
            at: self.book.payments.len(),
            uid: self.id(),
            slot: new.slot,
            transaction: new.transaction,
            amount: new.amount,
            state: State::Waiting,
            captured: None,
            refunded: 0,
            call: None,
            refused: false,
            announced: new.announced,
            expires_ms: new.expires_ms,
            connector: new.connector,
        };
        self.put(payment.clone());
        Ok(payment)
    }

    fn claim(&mut self, mut payment: Payment, call: usize) -> Result<usize, No> {
        let at = payment.at;
        if plant::is("claimed-by-two") {
            payment.call = None;
        }
        payment.advance(None, Entry::Claimed)?;
        payment.call = Some((self.epoch, call));
        self.put(payment);
        Ok(at)
    }

    #[allow(clippy::too_many_arguments, reason = "each of them is written")]
    fn behind(
        &mut self,
        payment: &Payment,
        root: &Operation,
        about: &Operation,
        kind: OperationKind,
        amount: Money,
        by: By,
        request: Option<u64>,
    ) -> Result<usize, No> {
        let at = self.next_operation();
        let uid = self.id();
        let intent = Intent {
            payment_id: PaymentId::new(uuid(payment.uid)),
            operation_id: OperationId::new(uuid(uid)),
            kind,
            amount,
            card: root.intent.card,
            idempotency_key: IdempotencyKey::new(uuid(self.id())),
            acquirer_order: root.intent.acquirer_order,
            order: None,
            operator: None,
            plan: Plan::LumpSum,
            token: None,
            parent: Some(Box::new(parent(root, about))),
        };
        self.rows.push(Row::Operation(Operation {
            at,
            uid,
            payment: payment.at,
            connector: root.connector,
            parent: Some(about.at),
            kind,
            amount,
            state: OpState::InFlight,
            outcome: None,
            created_ms: self.now,
            inquire_ms: None,
            inquired: 0,
            progress: Progress::default(),
            by: Some(by),
            request,
            intent: Rc::new(intent),
        }));
        Ok(at)
    }

    fn settle(&mut self, operation: usize, outcome: &Outcome, by: By) -> Result<State, No> {
        let operation = self.operation(operation)?;
        if operation.state != OpState::Unknown {
            return Err(No::AlreadyWritten);
        }
        if let Some(sure_ms) = believed_from_ms(outcome, operation.created_ms)
            && self.now < sure_ms
        {
            return Err(No::TooEarly(sure_ms));
        }
        if matches!(outcome, Outcome::Unknown(_)) {
            return Err(No::AlreadyWritten);
        }
        let mut payment = self.payment(operation.payment)?;
        self.close_unknown(&operation);
        self.record(&mut payment, operation, outcome, Some(by))?;
        // Of two such operations the other one's task is next.
        let all = self.book.of(payment.at).map(|o| o.at);
        let mut all = all.filter_map(|at| self.operation(at).ok());
        if let Some(other) = all.find(is_unknown) {
            self.task(payment.at, TaskKind::UnknownOutcome, Some(other.at));
        }
        Ok(payment.state)
    }

    fn close_unknown(&mut self, of: &Operation) {
        let closed = self.book.tasks.iter().filter(|task| {
            task.payment == of.payment
                && task.kind == TaskKind::UnknownOutcome
                && task.operation.is_none_or(|about| about == of.at)
                && task.state != TaskState::Done
        });
        let closed: Vec<_> = closed.copied().collect();
        for task in closed {
            self.rows.push(Row::Task(Task {
                state: TaskState::Done,
                ..task
            }));
        }
    }

    /// The outcome in operation, payment, task and what the merchant is told. `by`: who found it out.
    fn record(
        &mut self,
        payment: &mut Payment,
        mut operation: Operation,
        outcome: &Outcome,
        by: Option<By>,
    ) -> Result<(), No> {
        let (asked, answer) = (operation.asked(), Answer::from(outcome));
        let entry = match by {
            None => Entry::Outcome(asked, answer),
            Some(_) => Entry::Settled(asked, answer),
        };
        let begins = !operation.kind.is_later();
        let mut step = payment.advance(operation.open(), entry)?;
        if plant::is("told-twice-by-the-webhook") && by == Some(By::Webhook) {
            self.tell(payment, step);
            step.tells = true;
        }
        operation.state = match outcome {
            Outcome::Approved(_) => {
                if operation.kind == OperationKind::Void {
                    self.reversed(&operation)?;
                }
                OpState::Approved
            }
            Outcome::Declined(_) => {
                if begins {
                    payment.refused = true;
                }
                OpState::Declined
            }
            Outcome::NotCharged(_) => OpState::NotCharged,
            Outcome::Unknown(_) => OpState::Unknown,
        };
        operation.inquire_ms = match step.duty {
            Duty::Inquire if !plant::is("nobody-asks") => next_ms(self.now, 0),
            _ => None,
        };
        operation.outcome = Some(outcome.clone());
        let at = operation.at;
        self.rows.push(Row::Operation(operation));
        self.put(payment.clone());
        let to_do = match step.duty {
            Duty::Inquire => Some(TaskKind::UnknownOutcome),
            Duty::CallBack => Some(TaskKind::CallBack),
            _ => None,
        };
        if let Some(kind) = to_do {
            self.task(payment.at, kind, Some(at));
        }
        let by_itself = matches!(by, Some(By::Recovery | By::LateAnswer));
        let by_itself = by_itself || by.is_some() && plant::is("released-though-a-person-knows");
        let wanted = self.release_unheard && payment.transaction.moves_money();
        let there = self.book.releases.iter().any(|r| r.payment == payment.at);
        if step.duty == Duty::CallBack && by_itself && wanted && !there {
            self.rows.push(Row::Release(Release {
                payment: payment.at,
                since_ms: self.now,
                at_ms: self.now,
            }));
        }
        self.tell(payment, step);
        Ok(())
    }

    /// What nobody knew to be charged, and is released, has taken nothing.
    fn reversed(&mut self, void: &Operation) -> Result<(), No> {
        let Some(parent) = void.parent else {
            return Ok(());
        };
        let mut root = self.operation(parent)?;
        if !is_unknown(&root) {
            return Ok(());
        }
        self.close_unknown(&root);
        root.state = OpState::NotCharged;
        root.outcome = Some(Outcome::NotCharged(Why::Reversed));
        root.inquire_ms = None;
        self.rows.push(Row::Operation(root));
        Ok(())
    }

    fn close_call(&mut self, mut payment: Payment, result: Closes, heard: bool) -> Result<(), No> {
        let past = payment.expires_ms.is_some_and(|at| at <= self.now);
        let waits_on = payment.announced && !past && result != Closes::AmountRejected;
        let step = payment.advance(None, Entry::Closed { waits_on, heard })?;
        if payment.state == State::Waiting {
            payment.refused = false;
        }
        if step.duty == Duty::CallBack {
            self.task(payment.at, TaskKind::CallBack, None);
        }
        payment.call = None;
        self.tell(&payment, step);
        self.put(payment);
        Ok(())
    }

    fn notice(&mut self, connector: usize, notice: &Notice) -> Result<Noted, No> {
        let Some(operation) = self.meant(connector, notice) else {
            return Ok(Noted::NotOurs);
        };
        let payment = self.payment(operation.payment)?;
        let is_ours = match notice.sum {
            Sum::Untold => true,
            Sum::Is(sum) => {
                sum == operation.amount
                    || operation.kind == OperationKind::Void && sum == payment.amount
            }
            Sum::Foreign => false,
        };
        let is_ours = is_ours || plant::is("webhook-of-any-amount");
        let says_yes = matches!(notice.outcome, Outcome::Approved(_));
        match operation.state {
            OpState::InFlight => return Ok(Noted::InFlight),
            OpState::Unknown if is_ours && notice.kinds.contains(&operation.kind) => {
                return match self.settle(operation.at, &notice.outcome, By::Webhook) {
                    Ok(_) => Ok(Noted::Settled),
                    Err(_) => Ok(Noted::Known),
                };
            }
            OpState::Approved if is_ours && says_yes && is_the_same(&operation, notice) => {
                return Ok(Noted::Known);
            }
            OpState::Declined | OpState::NotCharged if !says_yes => return Ok(Noted::Known),
            OpState::NotCharged
                if is_ours && operation.outcome == Some(Outcome::NotCharged(Why::Reversed)) =>
            {
                return Ok(Noted::Known);
            }
            _ => {}
        }
        let (at, kind) = (operation.payment, TaskKind::Contradicts);
        Ok(if self.task(at, kind, Some(operation.at)) {
            Noted::Contradicts
        } else {
            Noted::Known
        })
    }

    /// The operation that it is about.
    fn meant(&self, connector: usize, notice: &Notice) -> Option<Operation> {
        let fits = |operation: &&Operation| {
            let kind = &operation.kind;
            operation.connector == connector
                && (notice.kinds.contains(kind) || notice.warns.contains(kind))
        };
        let all = self.book.operations.iter().filter(fits);
        if plant::is("webhook-of-another-payment")
            && let Some(other) = all.clone().find(|o| is_unknown(o) && !o.kind.is_later())
        {
            return Some(other.clone());
        }
        match notice.about {
            Noticed::Operation(id) => all.clone().find(|o| o.intent.operation_id == id).cloned(),
            Noticed::Order(order) => {
                let mut all: Vec<&Operation> =
                    all.filter(|o| o.intent.acquirer_order == order).collect();
                if all.len() > 1 {
                    all.retain(|o| o.state != OpState::NotCharged);
                }
                if all.len() > 1 && all.iter().all(|o| o.kind == OperationKind::Void) {
                    all.retain(|o| matches!(o.state, OpState::InFlight | OpState::Unknown));
                }
                all.pop().filter(|_| all.is_empty()).cloned()
            }
        }
    }
}

/// The model journal's own word that something is on its model disk.
fn attest(intent: Intent) -> Durable<Intent> {
    Durable::attest(intent)
}

/// What may be sent of an operation that was written behind the call.
pub(crate) fn durable(operation: &Operation) -> Durable<Intent> {
    attest(Intent::clone(&operation.intent))
}

fn is_the_same(operation: &Operation, message: &Notice) -> bool {
    match &operation.outcome {
        Some(Outcome::Approved(approval)) if !operation.kind.is_later() => {
            approval.acquirer_ref == message.reference
        }
        _ => true,
    }
}

/// Whether somebody has to find out what became of it.
pub(crate) fn is_unknown(operation: &Operation) -> bool {
    operation.state == OpState::Unknown && operation.kind != OperationKind::Query
}

fn is_overdue(payment: &Payment, now: i64) -> bool {
    payment.state == State::Waiting
        && payment.call.is_none()
        && payment.expires_ms.is_some_and(|at| at <= now)
}

fn next_ms(now: i64, asked: u32) -> Option<i64> {
    let pause = inquiry_pause(asked)?;
    Some(now.saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)))
}

fn parent(root: &Operation, about: &Operation) -> Parent {
    Parent {
        operation_id: about.intent.operation_id,
        kind: about.kind,
        amount: about.amount,
        acquirer_order: root.intent.acquirer_order,
        idempotency_key: about.intent.idempotency_key,
        acquirer_ref: reference(about).or_else(|| reference(root)),
        at_unix_s: about.created_ms.div_euclid(1000),
    }
}

/// What the acquirer has said of an operation: in its approval, else before its last request.
fn reference(of: &Operation) -> Option<AcquirerRef> {
    if let Some(Outcome::Approved(approval)) = &of.outcome {
        return Some(approval.acquirer_ref.clone());
    }
    of.progress.reference.clone()
}
