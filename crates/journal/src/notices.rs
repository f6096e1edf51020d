//! What an acquirer says of itself, behind its answers. It settles what is unknown, as an inquiry does; what contradicts the journal is
//! a person's task, once, and changes nothing. Messages come twice, late, out of order, and before the answer that they are about.

use ivrpay_payment::{Notice, Noticed, OperationId, OperationKind, Outcome, PaymentId, Sum, Why};
use serde_json::json;

use crate::journal::{Journal, settle};
use crate::store::{Durability, Tx};
use crate::tasks::{self, Rules};
use crate::types::{Operation, OperationState};
use crate::{Error, OutcomeError, scrub};

/// Who settles what an acquirer has told of itself.
const WEBHOOK: &str = "webhook";

/// What came of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It says something else than the journal: a person has the task to look at it.
    Contradicts(PaymentId, OperationId),
    /// The acquirer's answer is still awaited, and comes first. Nothing was written: the message has to come again.
    InFlight,
    /// Nothing that was not known.
    Known,
    /// It is about no operation of ours by that connector.
    NotOurs,
    /// An unknown operation has its outcome by it.
    Settled(PaymentId, OperationId),
}

impl Journal {
    /// Writes and syncs what the acquirer of a connector says of an operation.
    ///
    /// # Errors
    /// The journal's own; the message has to come again then.
    pub async fn notice(&self, connector: &str, notice: &Notice) -> Result<Told, Error> {
        let mut tx = self.begin(Durability::Synced).await?;
        let told = told(&mut tx, connector, notice, self.rules()).await;
        tx.end(told).await
    }
}

async fn told(
    tx: &mut Tx<'_>,
    connector: &str,
    notice: &Notice,
    rules: &Rules,
) -> Result<Told, Error> {
    let Some(operation) = meant(tx, connector, notice).await? else {
        return Ok(Told::NotOurs);
    };
    let payment = tx.payment(operation.payment).await?.ok_or(Error::Corrupt {
        what: "an operation without its payment",
    })?;
    let is_ours = match notice.sum {
        Sum::Untold => true,
        // A void is of all that is left, and an acquirer may speak of all that there was.
        Sum::Is(sum) => {
            sum == operation.amount
                || (operation.kind == OperationKind::Void && sum == payment.amount)
        }
        Sum::Foreign => false,
    };
    let says_yes = matches!(notice.outcome, Outcome::Approved(_));
    match operation.state {
        OperationState::InFlight => return Ok(Told::InFlight),
        OperationState::Unknown if is_ours && notice.kinds.contains(&operation.kind) => {
            let settled = settle(tx, operation.id, &notice.outcome, WEBHOOK, None, rules).await;
            return match settled {
                Ok(_) => Ok(Told::Settled(payment.id, operation.id)),
                Err(OutcomeError::Journal(error)) => Err(error),
                // An outcome that settles nothing.
                Err(_) => Ok(Told::Known),
            };
        }
        OperationState::Approved if is_ours && says_yes && is_the_same(&operation, notice) => {
            return Ok(Told::Known);
        }
        OperationState::Declined | OperationState::NotCharged if !says_yes => {
            return Ok(Told::Known);
        }
        // It was authorised, and has been released since.
        OperationState::NotCharged
            if is_ours && operation.outcome == Some(Outcome::NotCharged(Why::Reversed)) =>
        {
            return Ok(Told::Known);
        }
        _ => {}
    }
    let reason = reason(&operation, notice, is_ours);
    if tasks::contradicts(tx, &payment, operation.id, rules, &reason).await? {
        let body = json!({
            "event": notice.event, "outcome": notice.outcome, "acquirer_ref": notice.reference, "by": WEBHOOK,
        });
        tx.append(
            "contradicted",
            &payment,
            Some(operation.id),
            scrub::json(body),
        )
        .await?;
        return Ok(Told::Contradicts(payment.id, operation.id));
    }
    Ok(Told::Known)
}

/// The operation that it is about.
async fn meant(
    tx: &mut Tx<'_>,
    connector: &str,
    notice: &Notice,
) -> Result<Option<Operation>, Error> {
    let fits = |operation: &Operation| {
        let kind = &operation.kind;
        operation.connector == connector
            && (notice.kinds.contains(kind) || notice.warns.contains(kind))
    };
    match notice.about {
        Noticed::Operation(id) => Ok(tx.operation(id).await?.filter(fits)),
        Noticed::Order(order) => {
            let mut all = tx.operations_of_order(order).await?;
            all.retain(fits);
            // What was never done, nobody speaks of, while there is another one.
            if all.len() > 1 {
                all.retain(|operation| operation.state != OperationState::NotCharged);
            }
            // One void at a time, and none behind one that was done. Of two refunds the order does not tell which.
            if all.len() > 1 && all.iter().all(|o| o.kind == OperationKind::Void) {
                all.retain(is_open);
            }
            Ok(all.pop().filter(|_| all.is_empty()))
        }
    }
}

const fn is_open(operation: &Operation) -> bool {
    matches!(
        operation.state,
        OperationState::InFlight | OperationState::Unknown
    )
}

/// Whether it is about what was approved here. A card that was taken under another reference of the acquirer's was taken twice.
fn is_the_same(operation: &Operation, notice: &Notice) -> bool {
    match &operation.outcome {
        Some(Outcome::Approved(approval)) if !operation.kind.is_later() => {
            approval.acquirer_ref == notice.reference
        }
        _ => true,
    }
}

/// What the person has to know, and what there is to do.
fn reason(operation: &Operation, notice: &Notice, is_ours: bool) -> String {
    let (event, reference) = (notice.event, scrub::text(notice.reference.as_str()));
    let (kind, state) = (operation.kind.name(), operation.state.name());
    let amount = operation.amount;
    let (minor, currency) = (amount.minor(), amount.currency().code());
    let what = format!("this {kind} of {minor} (minor units) {currency}");
    let told = match (is_ours, &notice.outcome, operation.kind) {
        (false, ..) => {
            let sum = match notice.sum {
                Sum::Is(sum) => format!("{} {}", sum.minor(), sum.currency().code()),
                Sum::Foreign | Sum::Untold => "another amount or currency".to_owned(),
            };
            format!(
                "the acquirer speaks of {sum}, and means {what}, {state} here: nothing was settled by that. Look at it there"
            )
        }
        (_, Outcome::Approved(_), _) if operation.state == OperationState::Approved => format!(
            "the acquirer says that {what} was done under another reference than ours: it may have been charged twice. Look at it there, \
             and give one back"
        ),
        (_, Outcome::Approved(_), _) => format!(
            "the acquirer says that {what} was done, and it is {state} here: money may have moved. Look at it there"
        ),
        (.., OperationKind::Refund | OperationKind::Void) => format!(
            "the acquirer says that {what} has failed, and it is {state} here: the customer may not have the money back. Look at it \
             there, and give it back in another way"
        ),
        _ => format!(
            "the acquirer says that {what} has failed, and it is {state} here: the money may not come. Look at it there"
        ),
    };
    format!("{event} {reference}: {told}")
}
