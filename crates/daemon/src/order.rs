//! Which payment a call is about: by its id, its order, the operator's extension or the caller's number. Never guessed.

use ivrpay_dialogue::operator::Refusal;
use ivrpay_journal::{Error, Journal, Match, Payment, TRAINING};
use ivrpay_payment::{Money, Offers, PaymentId, State, Transaction};

use crate::arguments::{Arguments, Mode};
use crate::config::Tenant;
use crate::plans;
use crate::routing::Wish;

/// Why there is no payment to be taken.
pub(crate) enum NotFound {
    Journal(Error),
    /// An id that is none of this tenant's.
    Foreign,
    /// The order has a payment that is not waiting (any more), or is being taken by another call.
    Taken {
        by: PaymentId,
        state: State,
    },
    /// Several wait; a person chooses.
    Several(Vec<Payment>),
}

impl From<Error> for NotFound {
    fn from(error: Error) -> Self {
        Self::Journal(error)
    }
}

/// The tenant that the arguments name; where there is only one, it need not be named.
pub(crate) fn tenant<'a>(tenants: &'a [Tenant], args: &Arguments) -> Option<&'a Tenant> {
    named(tenants, args.tenant.as_deref().unwrap_or_default())
}

/// The same by its name, which may be empty.
pub(crate) fn named<'a>(tenants: &'a [Tenant], name: &str) -> Option<&'a Tenant> {
    match (tenants, name) {
        ([only], "") => Some(only),
        (tenants, name) => tenants.iter().find(|t| t.id.as_str() == name),
    }
}

/// The connector that a payment goes through whatever the routes say.
pub(crate) fn only(payment: &Payment) -> Option<&str> {
    payment.connector_named.then_some(&*payment.connector)
}

/// Why no acquirer of a waiting payment has room for it; `None` where one has.
pub(crate) fn refused(tenant: &Tenant, payment: &Payment) -> Option<String> {
    let offers = plans::today_for(tenant, payment.transaction);
    tenant.routing.refuses(wish(payment, &offers))
}

/// The same of one that is not made yet; `named`: the connector that it goes through whatever the routes say.
pub(crate) fn refused_new(
    tenant: &Tenant,
    transaction: Transaction,
    named: Option<&str>,
    amount: Money,
) -> Option<String> {
    let offers = &plans::today_for(tenant, transaction);
    let plan = None;
    tenant.routing.refuses(Wish {
        named,
        amount,
        plan,
        offers,
    })
}

/// What is known of a payment before its card, where its merchant offers that today.
pub(crate) fn wish<'a>(payment: &'a Payment, offers: &'a Offers) -> Wish<'a> {
    Wish {
        named: only(payment),
        amount: payment.amount,
        plan: payment.asked_plan,
        offers,
    }
}

/// An announced payment; `None` where nothing was announced.
pub(crate) async fn find(
    journal: &Journal,
    tenant: &Tenant,
    args: &Arguments,
    extension: Option<&str>,
    caller: &str,
) -> Result<Option<Payment>, NotFound> {
    let practice = args.mode == Mode::Training;
    // Practice approves whatever is keyed: none of it is taken for a real payment, and no real one for practice.
    let fits = |payment: &Payment| {
        (payment.connector == TRAINING) == (practice || tenant.connector == TRAINING)
    };
    if let Some(id) = args.payment {
        let payment = journal.payment(id).await?;
        return match payment.filter(|p| p.tenant == tenant.id && fits(p)) {
            Some(payment) => Ok(Some(payment)),
            None => Err(NotFound::Foreign),
        };
    }
    if let Some(order) = args.order.as_ref().filter(|_| !practice) {
        // What is wrong with an amount is told where it is asked for.
        let amount = args.money(tenant.currency).ok().flatten();
        let part = journal.part_for(&tenant.id, order, args.part, amount);
        let holder = journal.order_holder(&tenant.id, order, part.await?).await?;
        return match holder {
            Some(p) if p.state == State::Waiting && p.call.is_none() => Ok(Some(p)),
            Some(p) => Err(NotFound::Taken {
                by: p.id,
                state: p.state,
            }),
            None => Ok(None),
        };
    }
    let mut matches = Vec::new();
    if let Some(extension) = extension {
        matches.push(Match::OperatorExtension {
            tenant: tenant.id.clone(),
            extension: extension.to_owned(),
        });
    }
    if args.mode == Mode::Attended && !caller.is_empty() {
        matches.push(Match::CallerNumber {
            tenant: tenant.id.clone(),
            number: caller.to_owned(),
        });
    }
    for by in &matches {
        let mut found = journal.waiting_for(by).await?;
        found.retain(fits);
        match found.len() {
            0 => {}
            1 => return Ok(found.pop()),
            _ => return Err(NotFound::Several(found)),
        }
    }
    Ok(None)
}

/// What an operator is told of an order whose payment is in this state. "Paid" is said of one that is approved, and of no other.
pub(crate) const fn refusal(state: State) -> Refusal {
    match state {
        State::Approved => Refusal::OrderPaid,
        State::InFlight | State::Unknown => Refusal::OrderUnknown,
        // Another call is at it, or it is over; somebody looks it up.
        _ => Refusal::InProgress,
    }
}

/// `PJSIP/trunk-0000002a` is a channel of `PJSIP/trunk`.
pub(crate) fn endpoint_of(channel: &str) -> &str {
    channel
        .rsplit_once('-')
        .map_or(channel, |(endpoint, _)| endpoint)
}

/// The extension in a channel's name: `PJSIP/201-0000002a` is extension 201. A Local channel is nobody's telephone.
pub(crate) fn extension_of(channel: &str) -> Option<&str> {
    if channel.starts_with("Local/") {
        return None;
    }
    let (_, extension) = endpoint_of(channel).split_once('/')?;
    Some(extension).filter(|e| !e.is_empty())
}
