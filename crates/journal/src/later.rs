//! What is asked of an acquirer behind the call: capture, void and refund of an approved payment, and the question what became of an
//! operation. Written and synced before it is sent, as the charge is; of the first three one at a time is open. Each is asked of the
//! connector that the charge was asked of.

use ivrpay_payment::{
    AcquirerRef, Durable, IdempotencyKey, Intent, Money, OperationId, OperationKind, Outcome,
    Parent, PaymentId, State,
};
use serde_json::{Value, json};

use crate::journal::{Journal, check_key, fresh_id};
use crate::sqlite::{Durability, Tx};
use crate::types::{By, Later, LaterDraft, Operation, OperationState, Payment, Planned};
use crate::{Error, LaterError, chain};

impl Journal {
    /// Writes and syncs a capture, a void or a refund, unless the same request did so before.
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

/// Whether it is done about an operation before it, behind the call.
pub(crate) const fn is_later(kind: OperationKind) -> bool {
    matches!(
        kind,
        OperationKind::Capture | OperationKind::Void | OperationKind::Refund | OperationKind::Query
    )
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
    let about = match (payment.state, draft.kind) {
        (State::Approved, _) => OperationState::Approved,
        // Charged or not, it can be released, where the acquirer does that by our order number.
        (State::Unknown, OperationKind::Void) => OperationState::Unknown,
        (state, _) => return Err(LaterError::NotApproved { state }),
    };
    let amount = amount(&payment, draft.kind, draft.amount_minor)?;
    let operations = tx.operations(payment.id).await?;
    let open = operations.iter().find(|o| {
        let open = matches!(o.state, OperationState::InFlight | OperationState::Unknown);
        open && is_later(o.kind) && o.kind != OperationKind::Query
    });
    if let Some(open) = open {
        return Err(LaterError::Open { kind: open.kind });
    }
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
    let intent = intent(tx, &payment, &root, &root, draft.kind, amount);
    let request = request.as_ref().map(|(key, hash)| (key, hash));
    tx.insert_later(&intent, &root.connector, draft.by.person.as_str(), request)
        .await?;
    append(tx, &payment, &intent, &draft.by).await?;
    Ok(Later::New(Durable::attest(intent)))
}

/// How much of it, where the state allows it at all.
fn amount(
    payment: &Payment,
    kind: OperationKind,
    wanted: Option<u64>,
) -> Result<Money, LaterError> {
    if !payment.transaction.moves_money() {
        return Err(LaterError::NoMoney);
    }
    let whole = payment.amount.minor();
    let left = match (kind, payment.captured_minor) {
        (OperationKind::Capture, None) => whole,
        (OperationKind::Capture, Some(_)) => return Err(LaterError::Captured),
        (OperationKind::Void, _) if payment.refunded_minor > 0 => return Err(LaterError::Refunded),
        (OperationKind::Void, captured) => {
            let left = captured.unwrap_or(whole);
            if wanted.is_some_and(|wanted| wanted != left) {
                return Err(LaterError::WholeOnly);
            }
            left
        }
        (OperationKind::Refund, Some(captured)) => captured.saturating_sub(payment.refunded_minor),
        (OperationKind::Refund, None) => return Err(LaterError::NotCaptured),
        _ => return Err(LaterError::Kind),
    };
    let minor = wanted.unwrap_or(left);
    if minor == 0 || minor > left {
        return Err(LaterError::Amount { left });
    }
    Money::new(minor, payment.amount.currency()).map_err(|_| LaterError::Amount { left })
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
    append(tx, &payment, &intent, by).await?;
    Ok(intent)
}

/// The operation that took the card, and that is approved, or unknown.
fn root(operations: &[Operation], state: OperationState) -> Option<&Operation> {
    operations
        .iter()
        .rfind(|o| !is_later(o.kind) && o.state == state)
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
        parent: Some(Box::new(Parent {
            operation_id: about.id,
            kind: about.kind,
            amount: about.amount,
            acquirer_order: root.acquirer_order,
            idempotency_key: about.idempotency_key,
            acquirer_ref: reference(about).or_else(|| reference(root)),
            at_unix_s: about.created_ms.div_euclid(1000),
        })),
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

async fn progressed(tx: &mut Tx<'_>, intent: &Intent, progress: Value) -> Result<(), Error> {
    let payment = tx.payment(intent.payment_id).await?.ok_or(Error::Corrupt {
        what: "an operation without its payment",
    })?;
    tx.update_progress(intent.operation_id, &progress).await?;
    let body = json!({ "progress": progress });
    tx.append("progress", &payment, Some(intent.operation_id), body)
        .await
}

/// What the approval of an operation makes of its payment's amounts.
pub(crate) fn apply(payment: &mut Payment, operation: &Operation) {
    match operation.kind {
        OperationKind::Charge | OperationKind::Capture => {
            payment.captured_minor = Some(operation.amount.minor())
        }
        // What was found out meanwhile to have taken nothing stays so.
        OperationKind::Void if matches!(payment.state, State::Approved | State::Unknown) => {
            payment.state = State::Voided;
        }
        OperationKind::Refund => {
            payment.refunded_minor += operation.amount.minor();
            if payment.captured_minor == Some(payment.refunded_minor) {
                payment.state = State::Voided;
            }
        }
        _ => {}
    }
}
