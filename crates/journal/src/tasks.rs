//! What people must do, and who leads a waiting payment: what may happen, and in which transaction.
//!
//! A task is made in the transaction of what causes it. The person who takes it or closes it stands in the chain of records; an unknown
//! outcome's task is closed by what was found out, in the same transaction that settles the operation.

use std::collections::BTreeMap;

use ivrpay_payment::{
    Approval, Entry, OperationId, OperatorId, Outcome, Owner, PaymentId, RecordingId, State,
    TaskId, TenantId, Why,
};
use serde_json::{Value, json};

use crate::journal::{Journal, fresh_id, settle, state_now};
use crate::store::{Durability, Tx};
use crate::types::{
    Assignment, By, Found, Payment, Promise, TRAINING, Task, TaskCount, TaskFilter, TaskKind,
    TaskNews, TaskRules, TaskState, Which,
};
use crate::{AssignError, Error, OutcomeError, TaskError, scrub};

/// Longest number of a caller, characters; the same as a payment's.
const NUMBER_MAX: usize = 24;
/// Longest extension, characters; the same as a payment's.
const EXTENSION_MAX: usize = 40;
/// Longest approval code, characters; the same as a payment's.
const APPROVAL_CODE_MAX: usize = 16;

const TEXT: &str =
    "1 to 500 characters on one line, and no row of digits that looks like a card number";

/// Rules by merchant.
pub(crate) struct Rules(pub(crate) BTreeMap<TenantId, TaskRules>);

impl Rules {
    pub(crate) fn of(&self, tenant: &TenantId) -> TaskRules {
        self.0.get(tenant).cloned().unwrap_or_default()
    }
}

impl Journal {
    /// One task.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn task(&self, id: TaskId) -> Result<Option<Task>, Error> {
        self.store().task(id).await
    }

    /// What people must do, or have done, about a payment, oldest first.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn tasks_of(&self, payment: PaymentId) -> Result<Vec<Task>, Error> {
        self.store().tasks_of(payment).await
    }

    /// What people must do, or have done; see [`TaskFilter`].
    ///
    /// # Errors
    /// The journal's own.
    pub async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<Task>, Error> {
        self.store().tasks(filter).await
    }

    /// How many tasks of each kind are to be done; kinds without any are not in it.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn task_counts(&self) -> Result<Vec<TaskCount>, Error> {
        self.store().task_counts(self.now_ms()).await
    }

    /// Returns when a task was made since this last returned.
    pub async fn task_made(&self) {
        self.store().task_made().await;
    }

    /// The next tasks that were made or became overdue, a hundred of each at most. Each is given once, over every start of the service.
    ///
    /// # Errors
    /// The journal's own; they are given the next time then.
    pub async fn task_news(&self) -> Result<TaskNews, Error> {
        if !self.store().task_news_wait(self.now_ms()).await? {
            return Ok(TaskNews::default());
        }
        // A loss of power may have some told twice.
        let mut tx = self.begin(Durability::Rides).await?;
        let news = tx.task_news().await;
        tx.end(news).await
    }

    /// Keeps that a customer was promised a call.
    ///
    /// # Errors
    /// [`TaskError::PaymentNotFound`], [`TaskError::Exists`], [`TaskError::Field`], or the journal's own.
    pub async fn promise(&self, new: Promise, by: &By) -> Result<Task, TaskError> {
        check_text("reason", &new.reason)?;
        let number = |n: &String| {
            !n.is_empty() && n.chars().count() <= NUMBER_MAX && !scrub::looks_like_card(n)
        };
        if !new.caller_number.as_ref().is_none_or(number) {
            return Err(TaskError::Field {
                field: "caller_number",
                wants: "a telephone number",
            });
        }
        let mut tx = self.begin(Durability::Synced).await?;
        let promised = promise(&mut tx, new, by).await;
        tx.end(promised).await
    }

    /// Gives a task to a person. Taken again by the same, it stays as it is.
    ///
    /// # Errors
    /// [`TaskError::Taken`] by another, [`TaskError::Done`], [`TaskError::NotFound`], or the journal's own.
    pub async fn take_task(&self, id: TaskId, by: &By) -> Result<Task, TaskError> {
        let mut tx = self.begin(Durability::Synced).await?;
        let taken = take(&mut tx, id, by).await;
        tx.end(taken).await
    }

    /// Closes a task with a note. That of an unknown outcome takes what was `found` out, and settles the operation with it.
    ///
    /// # Errors
    /// [`TaskError::NotFoundOut`], [`TaskError::TooEarly`], [`TaskError::NothingToFind`], [`TaskError::Recording`], [`TaskError::Done`], [`TaskError::NotFound`],
    /// [`TaskError::Field`], or the journal's own.
    pub async fn finish_task(
        &self,
        id: TaskId,
        by: &By,
        note: &str,
        found: Option<Found>,
    ) -> Result<Task, TaskError> {
        check_text("note", note)?;
        if let Some(Found::Charged {
            acquirer_ref,
            approval_code,
        }) = &found
        {
            if scrub::looks_like_card(acquirer_ref.as_str()) {
                return Err(TaskError::Field {
                    field: "acquirer_ref",
                    wants: "the acquirer's reference, never a card number; one that only looks so is written with a / in it",
                });
            }
            let good = |code: &String| {
                (1..=APPROVAL_CODE_MAX).contains(&code.len())
                    && code.bytes().all(|b| b.is_ascii_alphanumeric())
                    && !scrub::looks_like_card(code)
            };
            if !approval_code.as_ref().is_none_or(good) {
                return Err(TaskError::Field {
                    field: "approval_code",
                    wants: "1 to 16 letters and digits, never a card number",
                });
            }
        }
        let mut tx = self.begin(Durability::Synced).await?;
        let done = finish(&mut tx, id, by, note, found, self.rules()).await;
        tx.end(done).await
    }

    /// Gives a waiting payment to another operator: person and extension are both replaced, so that it is never matched to the phone of
    /// the one who had it.
    ///
    /// # Errors
    /// [`AssignError::InCall`], [`AssignError::NotWaiting`], [`AssignError::NotFound`], [`AssignError::Field`], or the journal's own.
    pub async fn assign(
        &self,
        which: &Which,
        to: Assignment,
        by: &By,
    ) -> Result<Payment, AssignError> {
        if to.operator.is_none() && to.operator_extension.is_none() {
            return Err(AssignError::Field {
                field: "operator",
                wants: "name the operator, his operator_extension, or both",
            });
        }
        let extension = |e: &String| {
            !e.is_empty() && e.chars().count() <= EXTENSION_MAX && !scrub::looks_like_card(e)
        };
        if !to.operator_extension.as_ref().is_none_or(extension) {
            return Err(AssignError::Field {
                field: "operator_extension",
                wants: "an extension",
            });
        }
        let mut tx = self.begin(Durability::Synced).await?;
        let assigned = assign(&mut tx, which, to, by).await;
        tx.end(assigned).await
    }
}

/// Opens a task about a payment, unless one of its kind is to be done for it. Nobody is called back about practice.
pub(crate) async fn task(
    tx: &mut Tx<'_>,
    payment: &Payment,
    kind: TaskKind,
    operation: Option<OperationId>,
    rules: &Rules,
    reason: &str,
) -> Result<(), Error> {
    if kind == TaskKind::ApprovedCallerGone && payment.connector == TRAINING {
        return Ok(());
    }
    let task = due_task(tx, payment, kind, operation, rules, reason);
    tx.insert_task(&task).await
}

/// Opens the task of what an acquirer says otherwise of an operation; false where it said so before, done or not.
pub(crate) async fn contradicts(
    tx: &mut Tx<'_>,
    payment: &Payment,
    operation: OperationId,
    rules: &Rules,
    reason: &str,
) -> Result<bool, Error> {
    let kind = TaskKind::AcquirerContradicts;
    let task = due_task(tx, payment, kind, Some(operation), rules, reason);
    tx.insert_task_once(&task).await
}

/// A task about a payment that is due as its merchant's rules say.
fn due_task(
    tx: &Tx<'_>,
    payment: &Payment,
    kind: TaskKind,
    operation: Option<OperationId>,
    rules: &Rules,
    reason: &str,
) -> Task {
    let rules = rules.of(&payment.tenant);
    let due = match kind {
        TaskKind::UnknownOutcome | TaskKind::AcquirerContradicts => rules.unknown_outcome_due,
        _ => rules.approved_caller_gone_due,
    };
    let due = i64::try_from(due.as_millis()).unwrap_or(i64::MAX);
    Task {
        operation,
        ..of_payment(
            tx,
            payment,
            kind,
            tx.now_ms.saturating_add(due),
            rules.owner,
            reason,
        )
    }
}

/// What there is to be done about a payment: its operator's, where it has one.
fn of_payment(
    tx: &Tx<'_>,
    payment: &Payment,
    kind: TaskKind,
    due_ms: i64,
    owner: Option<Owner>,
    reason: &str,
) -> Task {
    Task {
        tenant: Some(payment.tenant.clone()),
        payment: Some(payment.id),
        order: payment.order.clone(),
        caller_number: payment.caller_number.clone(),
        owner: payment.operator.as_ref().map(Owner::from).or(owner),
        ..new_task(tx, kind, due_ms, reason)
    }
}

/// Opens the task of a reserved payment that lapses then.
pub(crate) async fn expiring(
    tx: &mut Tx<'_>,
    payment: &Payment,
    lapses_ms: i64,
    rules: &Rules,
) -> Result<(), Error> {
    let owner = rules.of(&payment.tenant).owner;
    let reason = "reserved, and neither taken nor released: it lapses when this is due";
    let kind = TaskKind::ExpiringAuthorisation;
    let task = of_payment(tx, payment, kind, lapses_ms, owner, reason);
    tx.insert_task(&task).await
}

/// Opens the task of a recording.
pub(crate) async fn quarantined(
    tx: &mut Tx<'_>,
    recording: RecordingId,
    owner: Option<&OperatorId>,
    due_ms: i64,
    reason: &str,
) -> Result<(), Error> {
    let task = Task {
        recording: Some(recording),
        owner: owner.map(Owner::from),
        ..new_task(tx, TaskKind::QuarantinedRecording, due_ms, reason)
    };
    tx.insert_task(&task).await
}

fn new_task(tx: &Tx<'_>, kind: TaskKind, due_ms: i64, reason: &str) -> Task {
    Task {
        id: TaskId::new(fresh_id(tx.now_ms)),
        kind,
        state: TaskState::Open,
        tenant: None,
        payment: None,
        operation: None,
        recording: None,
        order: None,
        caller_number: None,
        owner: None,
        due_ms,
        reason: reason.to_owned(),
        created_ms: tx.now_ms,
        created_by: None,
        taken_by: None,
        taken_ms: None,
        done_by: None,
        done_ms: None,
        note: None,
    }
}

async fn promise(tx: &mut Tx<'_>, new: Promise, by: &By) -> Result<Task, TaskError> {
    let ahead = new.due_ms.saturating_sub(tx.now_ms);
    if ahead <= 0 || u128::from(ahead.unsigned_abs()) > Promise::DUE_MAX.as_millis() {
        return Err(TaskError::Field {
            field: "due_at",
            wants: "a time from now on, at most 90 days ahead",
        });
    }
    let payment = match new.payment {
        Some(id) => {
            let payment = tx.payment(id).await?;
            let own = payment.filter(|payment| payment.tenant == new.tenant);
            Some(own.ok_or(TaskError::PaymentNotFound)?)
        }
        None if new.order.is_none() => {
            return Err(TaskError::Field {
                field: "payment_id",
                wants: "name the payment, or the order_id",
            });
        }
        None => None,
    };
    if let Some(task_id) = tx.promise(&new).await? {
        return Err(TaskError::Exists { task_id });
    }
    let number = new
        .caller_number
        .or_else(|| payment.as_ref().and_then(|p| p.caller_number.clone()));
    let task = Task {
        tenant: Some(new.tenant),
        payment: new.payment,
        order: payment.map_or(new.order, |payment| payment.order),
        caller_number: Some(number.ok_or(TaskError::Field {
            field: "caller_number",
            wants: "the number to call; the payment has none",
        })?),
        owner: Some(new.owner),
        created_by: Some(by.person.clone()),
        ..new_task(tx, TaskKind::PromisedCallBack, new.due_ms, &new.reason)
    };
    tx.insert_task(&task).await?;
    record(tx, &task, by).await?;
    Ok(task)
}

async fn take(tx: &mut Tx<'_>, id: TaskId, by: &By) -> Result<Task, TaskError> {
    let mut task = tx.task(id).await?.ok_or(TaskError::NotFound)?;
    match (task.state, &task.taken_by) {
        (TaskState::Done, _) => return Err(TaskError::Done),
        (TaskState::Taken, Some(who)) if *who == by.person => return Ok(task),
        (TaskState::Taken, Some(who)) => return Err(TaskError::Taken { by: who.clone() }),
        _ => {}
    }
    task.state = TaskState::Taken;
    task.taken_by = Some(by.person.clone());
    task.taken_ms = Some(tx.now_ms);
    tx.update_task(&task).await?;
    record(tx, &task, by).await?;
    Ok(task)
}

async fn finish(
    tx: &mut Tx<'_>,
    id: TaskId,
    by: &By,
    note: &str,
    found: Option<Found>,
    rules: &Rules,
) -> Result<Task, TaskError> {
    let mut task = tx.task(id).await?.ok_or(TaskError::NotFound)?;
    if task.state == TaskState::Done {
        return Err(TaskError::Done);
    }
    match (task.kind, found) {
        (TaskKind::QuarantinedRecording, _) => return Err(TaskError::Recording),
        (TaskKind::UnknownOutcome, None) => return Err(TaskError::NotFoundOut),
        (TaskKind::UnknownOutcome, Some(found)) => {
            let missing = Error::Corrupt {
                what: "a task of an unknown outcome without its operation",
            };
            let operation = task.operation.ok_or(missing)?;
            let outcome = outcome(found);
            settle(
                tx,
                operation,
                &outcome,
                by.person.as_str(),
                Some(note),
                rules,
            )
            .await
            .map_err(|error| match error {
                OutcomeError::AlreadyWritten => TaskError::Done,
                OutcomeError::NotFound => TaskError::NotFound,
                OutcomeError::TooEarly { sure_ms } => TaskError::TooEarly { sure_ms },
                OutcomeError::Journal(error) => error.into(),
            })?;
        }
        (_, Some(_)) => return Err(TaskError::NothingToFind),
        (_, None) => {}
    }
    task.state = TaskState::Done;
    task.done_by = Some(by.person.to_string());
    task.done_ms = Some(tx.now_ms);
    task.note = Some(note.to_owned());
    tx.update_task(&task).await?;
    record(tx, &task, by).await?;
    Ok(task)
}

fn outcome(found: Found) -> Outcome {
    match found {
        Found::Charged {
            acquirer_ref,
            approval_code,
        } => Outcome::Approved(Approval {
            acquirer_ref,
            code: approval_code,
            card: None,
        }),
        Found::NotCharged => Outcome::NotCharged(Why::LookedUp),
    }
}

async fn assign(
    tx: &mut Tx<'_>,
    which: &Which,
    to: Assignment,
    by: &By,
) -> Result<Payment, AssignError> {
    let found = match which {
        Which::Id(id) => tx.payment(*id).await?,
        Which::Order {
            tenant,
            order,
            part,
        } => tx.payment_of_order(tenant, order, *part).await?,
    };
    let mut payment = found.ok_or(AssignError::NotFound)?;
    let payment_id: PaymentId = payment.id;
    if payment.call.is_some() {
        return Err(AssignError::InCall { payment_id });
    }
    let state = state_now(&payment, tx.now_ms);
    if state != State::Waiting {
        return Err(AssignError::NotWaiting { payment_id, state });
    }
    if payment.operator == to.operator && payment.operator_extension == to.operator_extension {
        return Ok(payment);
    }
    let body = json!({
        "operator": to.operator, "operator_extension": to.operator_extension, "from_operator": payment.operator,
        "from_operator_extension": payment.operator_extension, "by": by.person, "via": by.via,
    });
    payment
        .advance(None, Entry::Assigned)
        .map_err(Error::from)?;
    payment.operator = to.operator;
    payment.operator_extension = to.operator_extension;
    tx.assign_payment(&mut payment).await?;
    tx.insert_audit(by.person.as_str(), "assign", &payment)
        .await?;
    tx.append("assigned", &payment, None, body).await?;
    Ok(payment)
}

/// Who did what to which task, in the chain that nobody can change.
async fn record(tx: &mut Tx<'_>, task: &Task, by: &By) -> Result<(), Error> {
    let mut body = json!({
        "task": task.id, "task_kind": task.kind.name(), "task_state": task.state.name(), "owner": task.owner, "due_ms": task.due_ms,
        "by": by.person, "via": by.via,
    });
    if let Some(note) = &task.note {
        body["note"] = Value::from(note.as_str());
    }
    match task.payment {
        Some(id) => {
            let payment = tx.payment(id).await?.ok_or(Error::Corrupt {
                what: "a task without its payment",
            })?;
            tx.append("task", &payment, task.operation, body).await
        }
        None => tx.append_alone("task", body).await,
    }
}

/// A person's text. It is refused, not masked: whoever wrote a card number there has to know.
fn check_text(field: &'static str, text: &str) -> Result<(), TaskError> {
    let bad = text.trim().is_empty()
        || text.chars().count() > Task::NOTE_MAX
        || text.chars().any(char::is_control)
        || scrub::looks_like_card(text);
    if bad {
        return Err(TaskError::Field { field, wants: TEXT });
    }
    Ok(())
}
