//! What is asked of an acquirer behind the call: capture, change, void and refund of an approved payment, and the question what became of
//! an operation. Written and synced before it is sent, as the charge is; of the first four one at a time is open. Each is asked of the
//! connector that the charge was asked of.

use ivrpay_payment::{
    AcquirerRef, Asked, Durable, Entry, IdempotencyKey, Intent, Money, NotAllowed, OperationId,
    OperationKind, Outcome, Parent, PaymentId, State,
};
use serde_json::{Value, json};

use crate::inquiries::{HALF_DONE, RECOVERY};
use crate::journal::{Journal, check_key, fresh_id};
use crate::store::{Durability, Tx};
use crate::types::{By, Judged, Later, LaterDraft, Operation, OperationState, Payment, Planned};
use crate::{Error, LaterError, chain};

impl Journal {
    /// Writes and syncs a capture, a change, a void or a refund, unless the same request did so before.
    ///
    /// # Errors
    /// [`LaterError`]; nothing may be sent then.
    pub async fn write_later(
        &self,
        payment: PaymentId,
        draft: LaterDraft,
    ) -> Result<Later, LaterError> {
        let mut tx = self.begin(Durability::Synced).await?;
        let written = later(&mut tx, payment, draft).await;
        tx.end(written).await
    }

    /// What [`Self::write_later`] would do now; writes nothing.
    ///
    /// # Errors
    /// As of [`Self::write_later`].
    pub async fn plan_later(
        &self,
        payment: PaymentId,
        draft: &LaterDraft,
    ) -> Result<Planned, LaterError> {
        let mut tx = self.begin(Durability::Rides).await?;
        let planned = planned(&mut tx, payment, draft).await;
        let planned = planned.map(|allowed| match allowed {
            Allowed::Before(operation) => Planned::Before(operation),
            Allowed::New(new) => Planned::New(new.amount),
        });
        tx.end(planned).await
    }

    /// Writes and syncs the question what became of an operation.
    ///
    /// # Errors
    /// [`LaterError::NotFound`], and the journal's own.
    pub async fn write_query(
        &self,
        about: OperationId,
        by: &By,
    ) -> Result<Durable<Intent>, LaterError> {
        let mut tx = self.begin(Durability::Synced).await?;
        let written = query(&mut tx, about, by).await;
        tx.end(written).await.map(Durable::attest)
    }

    /// Writes and syncs how far an operation of several requests has come, before the next of them goes out.
    ///
    /// # Errors
    /// The journal's own; the next request may not be sent then.
    pub async fn write_progress(
        &self,
        intent: &Durable<Intent>,
        progress: Value,
    ) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Synced).await?;
        let written = progressed(&mut tx, intent.get(), progress).await;
        tx.end(written).await
    }
}

/// What the journal allows of a wish.
#[allow(
    clippy::large_enum_variant,
    reason = "one of them lives at a time, and is taken apart at once"
)]
enum Allowed {
    /// The same request wrote it before.
    Before(Operation),
    New(New),
}

struct New {
    payment: Payment,
    /// The operation that took the card.
    root: Operation,
    amount: Money,
    /// Digest of the request's key, and the request's hash.
    request: Option<([u8; 32], [u8; 32])>,
}

async fn planned(
    tx: &mut Tx<'_>,
    payment: PaymentId,
    draft: &LaterDraft,
) -> Result<Allowed, LaterError> {
    let payment = tx.payment(payment).await?.ok_or(LaterError::NotFound)?;
    check_key(draft.request.as_ref()).map_err(|_| LaterError::Key)?;
    let request = draft
        .request
        .as_ref()
        .map(|r| (chain::digest(r.key.as_bytes()), r.hash));
    if let Some((key, asked)) = &request
        && let Some((before, hash)) = tx.operation_of_request(payment.id, key).await?
    {
        return if hash == *asked {
            Ok(Allowed::Before(before))
        } else {
            Err(LaterError::IdempotencyReused)
        };
    }
    let operations = tx.operations(payment.id).await?;
    let standing = payment.standing(operations.iter().find_map(Operation::open));
    let minor = standing.allows(draft.kind, draft.amount_minor)?;
    if draft
        .judged
        .is_some_and(|judged| judged != Judged::of(&payment, minor))
    {
        return Err(LaterError::Changed);
    }
    let gives_back = matches!(
        draft.kind,
        OperationKind::Refund | OperationKind::Void | OperationKind::Change
    );
    // What was reserved by half a charge is released all the same: nobody gives that back a second time.
    let half_done = draft.by.person.as_str() == RECOVERY && draft.by.via == HALF_DONE;
    if payment.disputed.is_some() && gives_back && !half_done {
        return Err(LaterError::Disputed);
    }
    // Taken since it was read what is due.
    if draft.by.person.as_str() == RECOVERY {
        let taken = match payment.state {
            State::Unknown => tx.is_looked_up(payment.id).await?,
            // Meanwhile somebody has found out that it is taken.
            _ if draft.by.via == HALF_DONE => true,
            _ => tx.is_a_persons(payment.id).await?,
        };
        if taken {
            return Err(LaterError::Taken);
        }
    }
    let amount = Money::new(minor, payment.amount.currency())
        .map_err(|_| LaterError::Amount { left: minor })?;
    let about = match payment.state {
        // Charged or not, it can be released.
        State::Unknown => OperationState::Unknown,
        _ => OperationState::Approved,
    };
    let root = root(&operations, about).ok_or(Error::Corrupt {
        what: "a payment without the operation that its state says it has",
    })?;
    Ok(Allowed::New(New {
        root: root.clone(),
        payment,
        amount,
        request,
    }))
}

async fn later(
    tx: &mut Tx<'_>,
    payment: PaymentId,
    draft: LaterDraft,
) -> Result<Later, LaterError> {
    let New {
        payment,
        root,
        amount,
        request,
    } = match planned(tx, payment, &draft).await? {
        Allowed::Before(operation) => return Ok(Later::Existing(operation)),
        Allowed::New(new) => new,
    };
    let mut intent = intent(tx, &payment, &root, &root, draft.kind, amount);
    if let (Some(parent), Some(reserved)) = (&mut intent.parent, payment.reserved_minor) {
        let currency = payment.amount.currency();
        parent.amount = Money::new(reserved, currency).unwrap_or(parent.amount);
    }
    let asked = payment
        .standing(None)
        .after(Entry::Intent(Asked::of(&intent)));
    asked.map_err(Error::from)?;
    let request = request.as_ref().map(|(key, hash)| (key, hash));
    tx.insert_later(&intent, &root.connector, draft.by.person.as_str(), request)
        .await?;
    append(tx, &payment, &intent, &draft.by).await?;
    Ok(Later::New(Durable::attest(intent)))
}

impl From<NotAllowed> for LaterError {
    fn from(why: NotAllowed) -> Self {
        match why {
            NotAllowed::Amount(left) => Self::Amount { left },
            NotAllowed::Captured => Self::Captured,
            NotAllowed::Kind => Self::Kind,
            NotAllowed::NoChange(reserved) => Self::NoChange { reserved },
            NotAllowed::NoMoney => Self::NoMoney,
            NotAllowed::NotApproved(state) => Self::NotApproved { state },
            NotAllowed::NotCaptured => Self::NotCaptured,
            NotAllowed::Open(kind) => Self::Open { kind },
            NotAllowed::Refunded => Self::Refunded,
            NotAllowed::WholeOnly => Self::WholeOnly,
        }
    }
}

async fn query(tx: &mut Tx<'_>, about: OperationId, by: &By) -> Result<Intent, LaterError> {
    let about = tx.operation(about).await?.ok_or(LaterError::NotFound)?;
    let payment = tx
        .payment(about.payment)
        .await?
        .ok_or(LaterError::NotFound)?;
    let operations = tx.operations(payment.id).await?;
    let root = match about.parent {
        Some(parent) => operations.iter().find(|o| o.id == parent),
        None => Some(&about),
    };
    let root = root.ok_or(Error::Corrupt {
        what: "an operation without its parent",
    })?;
    let intent = intent(
        tx,
        &payment,
        root,
        &about,
        OperationKind::Query,
        about.amount,
    );
    tx.insert_later(&intent, &root.connector, by.person.as_str(), None)
        .await?;
    // What a person asks uses up none of those that are asked by themselves.
    if by.person.as_str() == RECOVERY {
        tx.inquired(about.id).await?;
    }
    append(tx, &payment, &intent, by).await?;
    Ok(intent)
}

/// The operation that took the card, and that is approved, or unknown.
fn root(operations: &[Operation], state: OperationState) -> Option<&Operation> {
    operations
        .iter()
        .rfind(|o| !o.kind.is_later() && o.state == state)
}

fn intent(
    tx: &Tx<'_>,
    payment: &Payment,
    root: &Operation,
    about: &Operation,
    kind: OperationKind,
    amount: Money,
) -> Intent {
    Intent {
        payment_id: payment.id,
        operation_id: OperationId::new(fresh_id(tx.now_ms)),
        kind,
        amount,
        card: root.card,
        idempotency_key: IdempotencyKey::new(fresh_id(tx.now_ms)),
        acquirer_order: root.acquirer_order,
        order: payment.order.clone(),
        operator: payment.operator.clone(),
        plan: payment.plan,
        token: None,
        parent: Some(Box::new(parent(root, about))),
    }
}

fn parent(root: &Operation, about: &Operation) -> Parent {
    Parent {
        operation_id: about.id,
        kind: about.kind,
        amount: about.amount,
        acquirer_order: root.acquirer_order,
        idempotency_key: about.idempotency_key,
        acquirer_ref: reference(about).or_else(|| reference(root)),
        at_unix_s: about.created_ms.div_euclid(1000),
    }
}

impl Operation {
    /// What an acquirer would be told of it that is asked about it; `all` are those of its payment.
    #[must_use]
    pub fn as_parent(&self, all: &[Self]) -> Parent {
        let root = self.parent.and_then(|id| all.iter().find(|o| o.id == id));
        parent(root.unwrap_or(self), self)
    }
}

/// What the acquirer has said of an operation: in its approval, else before its last request.
fn reference(of: &Operation) -> Option<AcquirerRef> {
    if let Some(Outcome::Approved(approval)) = &of.outcome {
        return Some(approval.acquirer_ref.clone());
    }
    of.progress
        .as_ref()?
        .get("reference")?
        .as_str()?
        .parse()
        .ok()
}

async fn append(tx: &mut Tx<'_>, payment: &Payment, intent: &Intent, by: &By) -> Result<(), Error> {
    let body = json!({
        "kind": intent.kind.name(), "amount_minor": intent.amount.minor(), "currency": intent.amount.currency().code(),
        "idempotency_key": intent.idempotency_key, "acquirer_order": intent.acquirer_order.to_string(),
        "about": intent.parent.as_ref().map(|p| p.operation_id), "by": by.person, "via": by.via,
    });
    tx.append("intent", payment, Some(intent.operation_id), body)
        .await
}

/// How often the same request has gone out again by then.
fn sendings(progress: Option<&Value>) -> u64 {
    let again = progress.and_then(|progress| progress["again"].as_u64());
    again.unwrap_or_default()
}

async fn progressed(tx: &mut Tx<'_>, intent: &Intent, progress: Value) -> Result<(), Error> {
    let payment = tx.payment(intent.payment_id).await?.ok_or(Error::Corrupt {
        what: "an operation without its payment",
    })?;
    let all = tx.operations(payment.id).await?;
    let open = all.iter().find_map(Operation::open);
    let operation = all.iter().find(|o| o.id == intent.operation_id);
    let before = operation.and_then(|o| o.progress.as_ref());
    let entry = if sendings(Some(&progress)) > sendings(before) {
        Entry::Again(intent.kind)
    } else {
        Entry::Progress(intent.kind)
    };
    payment.standing(open).after(entry)?;
    tx.update_progress(intent.operation_id, &progress).await?;
    let body = json!({ "progress": progress });
    tx.append("progress", &payment, Some(intent.operation_id), body)
        .await
}
