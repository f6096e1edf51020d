//! Payments that are disputed: a flag beside the state, which keeps refund, void and change away until somebody says that it is over. What is
//! disputed may have been given back by the issuer already; to give it back once more would be twice.

use ivrpay_payment::{OperatorId, PaymentId, State};
use serde::Serialize;
use serde_json::json;

use crate::journal::{Journal, fresh_id};
use crate::store::{Durability, Tx};
use crate::types::{By, Payment, Task};
use crate::{DisputeError, scrub};

/// That a payment is disputed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dispute {
    /// Since when, UTC milliseconds.
    pub since_ms: i64,
    /// Who said so.
    pub by: OperatorId,
    /// Why.
    pub reason: String,
}

impl Journal {
    /// Keeps that a payment is disputed. The same again is the same.
    ///
    /// # Errors
    /// [`DisputeError`].
    pub async fn dispute(
        &self,
        payment: PaymentId,
        reason: &str,
        by: &By,
    ) -> Result<Payment, DisputeError> {
        check(reason)?;
        let mut tx = self.begin(Durability::Synced).await?;
        let disputed = begin(&mut tx, payment, reason, by).await;
        tx.end(disputed).await
    }

    /// That is over, and how.
    ///
    /// # Errors
    /// [`DisputeError`].
    pub async fn end_dispute(
        &self,
        payment: PaymentId,
        outcome: &str,
        by: &By,
    ) -> Result<Payment, DisputeError> {
        check(outcome)?;
        let mut tx = self.begin(Durability::Synced).await?;
        let ended = end(&mut tx, payment, outcome, by).await;
        tx.end(ended).await
    }
}

fn check(text: &str) -> Result<(), DisputeError> {
    let bad = text.trim().is_empty()
        || text.chars().count() > Task::NOTE_MAX
        || text.chars().any(char::is_control)
        || scrub::looks_like_card(text);
    if bad { Err(DisputeError::Text) } else { Ok(()) }
}

async fn begin(
    tx: &mut Tx<'_>,
    id: PaymentId,
    reason: &str,
    by: &By,
) -> Result<Payment, DisputeError> {
    let mut payment = tx.payment(id).await?.ok_or(DisputeError::NotFound)?;
    match &payment.disputed {
        Some(dispute) if dispute.by == by.person && dispute.reason == reason => return Ok(payment),
        Some(dispute) => {
            return Err(DisputeError::Disputed {
                by: dispute.by.clone(),
            });
        }
        None => {}
    }
    // Of what nobody knows the customer may say that it was charged.
    let charged = matches!(
        payment.state,
        State::Approved | State::Unknown | State::Voided
    );
    if !charged || !payment.transaction.moves_money() {
        return Err(DisputeError::NotCharged {
            state: payment.state,
        });
    }
    payment.disputed = Some(Dispute {
        since_ms: tx.now_ms,
        by: by.person.clone(),
        reason: reason.to_owned(),
    });
    tx.write_dispute(&mut payment).await?;
    tx.insert_audit(by.person.as_str(), "dispute", &payment)
        .await?;
    let body = json!({ "reason": reason, "by": by.person, "via": by.via });
    tx.append("disputed", &payment, None, body.clone()).await?;
    let event = fresh_id(tx.now_ms);
    tx.insert_event_of(event, &payment, "payment.disputed", Some(("dispute", body)))
        .await?;
    Ok(payment)
}

async fn end(
    tx: &mut Tx<'_>,
    id: PaymentId,
    outcome: &str,
    by: &By,
) -> Result<Payment, DisputeError> {
    let mut payment = tx.payment(id).await?.ok_or(DisputeError::NotFound)?;
    if payment.disputed.take().is_none() {
        return Err(DisputeError::NotDisputed);
    }
    tx.write_dispute(&mut payment).await?;
    tx.insert_audit(by.person.as_str(), "dispute-end", &payment)
        .await?;
    let body = json!({ "outcome": outcome, "by": by.person, "via": by.via });
    tx.append("dispute-ended", &payment, None, body.clone())
        .await?;
    let event = fresh_id(tx.now_ms);
    let kind = "payment.dispute_ended";
    tx.insert_event_of(event, &payment, kind, Some(("dispute", body)))
        .await?;
    Ok(payment)
}
