//! Orders that are paid in parts: split over several cards, each part with its amount; or once more, with a person and a reason.
//!
//! A part has a lock of its own and is paid as an order is. As long as some parts of a split are paid and others are not, that is
//! somebody's task: collect the rest, keep what is paid, or release it.

use ivrpay_payment::{Money, OperatorId, OrderId, PaymentId, State, TenantId};
use serde_json::json;

use crate::journal::{Journal, expire_one, is_overdue};
use crate::store::{Durability, Tx};
use crate::tasks::{self, Rules};
use crate::types::{By, Origin, PartKind, Payment, TRAINING, TaskKind};
use crate::{CreateError, Error, PartError, scrub};

/// A declared part of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number; of a split from 0 on.
    pub part: u32,
    /// Why it is there.
    pub kind: PartKind,
    /// What it costs.
    pub amount: Money,
    /// Who declared it.
    pub person: OperatorId,
    /// Why, of an additional one.
    pub reason: Option<String>,
    /// When, UTC milliseconds.
    pub declared_ms: i64,
    /// Of the payment that keeps others of this part away; `None` where there is none.
    pub held: Option<State>,
}

impl Part {
    /// Most parts of a split: people who pay with ten cards are not customers.
    pub const MAX: usize = 9;
    /// Longest reason, characters.
    pub const REASON_MAX: usize = 200;
}

impl Journal {
    /// Declares that an order is paid in parts of these amounts, 0 first. The same again is the same.
    ///
    /// # Errors
    /// [`PartError`]; nothing is declared then.
    pub async fn split(
        &self,
        tenant: &TenantId,
        order: &OrderId,
        amounts: &[Money],
        by: &By,
    ) -> Result<Vec<Part>, PartError> {
        check(amounts)?;
        let mut tx = self.begin(Durability::Synced).await?;
        let split = split(&mut tx, (tenant, order), amounts, by, self.rules()).await;
        tx.end(split).await
    }

    /// Declares one payment more of an order, with a reason.
    ///
    /// # Errors
    /// [`PartError`]; nothing is declared then.
    pub async fn add_part(
        &self,
        tenant: &TenantId,
        order: &OrderId,
        amount: Money,
        reason: &str,
        by: &By,
    ) -> Result<Part, PartError> {
        let bad = reason.trim().is_empty()
            || reason.chars().count() > Part::REASON_MAX
            || reason.chars().any(char::is_control)
            || scrub::looks_like_card(reason);
        if bad {
            return Err(PartError::Reason);
        }
        let mut tx = self.begin(Durability::Synced).await?;
        let added = add(&mut tx, tenant, order, amount, reason, by).await;
        tx.end(added).await
    }

    /// The part of a split order that a call about it, and about this amount, is about; `part` itself where it says so or the order is not split.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn part_for(
        &self,
        tenant: &TenantId,
        order: &OrderId,
        part: u32,
        amount: Option<Money>,
    ) -> Result<u32, Error> {
        if part != 0 {
            return Ok(part);
        }
        let parts = self.parts(tenant, order).await?;
        Ok(about(&parts, amount).unwrap_or(part))
    }

    /// The declared parts of an order, in the order of their numbers.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn parts(&self, tenant: &TenantId, order: &OrderId) -> Result<Vec<Part>, Error> {
        self.store().parts(tenant, order).await
    }
}

fn check(amounts: &[Money]) -> Result<(), PartError> {
    if !(2..=Part::MAX).contains(&amounts.len()) {
        return Err(PartError::Count);
    }
    let currency = amounts.first().map(|amount| amount.currency());
    if amounts.iter().any(|a| Some(a.currency()) != currency) {
        return Err(PartError::Currency);
    }
    let total = amounts.iter().map(|amount| amount.minor()).sum::<u64>();
    if total > Money::MAX {
        return Err(PartError::Total);
    }
    Ok(())
}

async fn split(
    tx: &mut Tx<'_>,
    (tenant, order): (&TenantId, &OrderId),
    amounts: &[Money],
    by: &By,
    rules: &Rules,
) -> Result<Vec<Part>, PartError> {
    let before = tx.parts(tenant, order).await?;
    if !before.is_empty() {
        let split = before.iter().filter(|part| part.kind == PartKind::Split);
        let same = split.map(|part| part.amount).eq(amounts.iter().copied());
        return if same {
            Ok(before)
        } else {
            Err(PartError::Declared)
        };
    }
    let mut holder = tx.payment_of_order(tenant, order, 0).await?;
    if let Some(overdue) = holder.take_if(|holder| is_overdue(holder, tx.now_ms)) {
        expire_one(tx, overdue).await?;
    }
    // What is paid, or on its way, for the whole, is no part; unless it is just that.
    if let Some(holder) = &holder
        && Some(&holder.amount) != amounts.first()
    {
        return Err(PartError::OrderTaken {
            payment_id: holder.id,
            state: holder.state,
        });
    }
    let mut parts = Vec::with_capacity(amounts.len());
    for (part, amount) in (0..).zip(amounts) {
        let part = Part {
            part,
            kind: PartKind::Split,
            amount: *amount,
            person: by.person.clone(),
            reason: None,
            declared_ms: tx.now_ms,
            held: None,
        };
        tx.insert_part(tenant, order, &part).await?;
        parts.push(part);
    }
    note(tx, tenant, order, &parts, by).await?;
    if let Some(holder) = holder.filter(|holder| holder.state == State::Approved) {
        look(tx, &holder, rules).await?;
    }
    Ok(parts)
}

async fn add(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    order: &OrderId,
    amount: Money,
    reason: &str,
    by: &By,
) -> Result<Part, PartError> {
    let before = tx.parts(tenant, order).await?;
    if before.is_empty() && tx.payment_of_order(tenant, order, 0).await?.is_none() {
        return Err(PartError::NotPaid);
    }
    // The same again, of which nothing is paid: its answer was lost.
    let same = |part: &&Part| {
        part.kind == PartKind::Additional
            && (part.amount, &part.person) == (amount, &by.person)
            && part.reason.as_deref() == Some(reason)
            && part.held.is_none_or(|state| state == State::Waiting)
    };
    if let Some(part) = before.iter().find(same) {
        return Ok(part.clone());
    }
    let part = Part {
        part: before.iter().map(|part| part.part).max().unwrap_or(0) + 1,
        kind: PartKind::Additional,
        amount,
        person: by.person.clone(),
        reason: Some(reason.to_owned()),
        declared_ms: tx.now_ms,
        held: None,
    };
    tx.insert_part(tenant, order, &part).await?;
    note(tx, tenant, order, std::slice::from_ref(&part), by).await?;
    Ok(part)
}

/// Into the chain that nobody can change.
async fn note(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    order: &OrderId,
    parts: &[Part],
    by: &By,
) -> Result<(), Error> {
    let parts: Vec<_> = parts
        .iter()
        .map(|part| {
            json!({
                "part": part.part, "kind": part.kind.name(), "amount_minor": part.amount.minor(),
                "currency": part.amount.currency().code(), "reason": part.reason,
            })
        })
        .collect();
    let body =
        json!({ "tenant": tenant, "order": order, "parts": parts, "by": by.person, "via": by.via });
    tx.append_alone("parts", body).await
}

/// Which part of a split order (of this amount, where it is known) a call is about, in which nobody knows numbers of parts: the first that is not
/// paid, else the last that is. One that may have been charged is not passed by.
fn about(parts: &[Part], amount: Option<Money>) -> Option<u32> {
    let fits = |part: &&Part| {
        part.kind == PartKind::Split && amount.is_none_or(|amount| amount == part.amount)
    };
    let mut fitting = parts.iter().filter(fits);
    let last = fitting.clone().next_back();
    let open = fitting.find(|part| part.held != Some(State::Approved));
    open.or(last).map(|part| part.part)
}

/// Which part a new payment is; one that is announced says so.
pub(crate) async fn part_of(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    order: &OrderId,
    (part, amount, origin): (u32, Money, Origin),
) -> Result<u32, CreateError> {
    let parts = tx.parts(tenant, order).await?;
    if part == 0
        && origin != Origin::Api
        && let Some(about) = about(&parts, Some(amount))
    {
        return Ok(about);
    }
    let is_split = parts.iter().any(|part| part.kind == PartKind::Split);
    match parts.iter().find(|declared| declared.part == part) {
        Some(declared) if declared.amount != amount => Err(CreateError::PartDiffers {
            part,
            amount: declared.amount,
        }),
        None if part != 0 || is_split => Err(CreateError::PartNotDeclared { part }),
        _ => Ok(part),
    }
}

/// What is to be done when a part was paid, or is not any more.
pub(crate) async fn look(tx: &mut Tx<'_>, payment: &Payment, rules: &Rules) -> Result<(), Error> {
    let order = payment.order.as_ref();
    let Some(order) = order.filter(|_| payment.connector != TRAINING) else {
        return Ok(());
    };
    // Nobody else looks at this order meanwhile: of two parts that are paid in one moment the second sees the first.
    let parts = tx.hold_split(&payment.tenant, order).await?;
    if parts == 0 {
        return Ok(());
    }
    let paid = tx.paid_parts(&payment.tenant, order).await?;
    let open: Option<PaymentId> = tx.split_task(&payment.tenant, order).await?;
    let kind = TaskKind::UnfinishedSplit;
    match open {
        None if 0 < paid && paid < parts => {
            let reason = "a part of the order is paid and the rest is not: take the rest, keep what is paid, or release it";
            tasks::task(tx, payment, kind, None, rules, reason).await
        }
        Some(task_of) if paid == 0 || paid == parts => {
            let note = if paid == 0 {
                "nothing of the order is paid any more"
            } else {
                "all parts of the order are paid"
            };
            tx.close_task(task_of, kind, "ivrpay", Some(note)).await
        }
        _ => Ok(()),
    }
}
