//! The auditor: what must be true at every step, and when everything has been looked after. Names no crate of ours: what may follow what is
//! written down here once more, from the rules of money and not from our code. The names of the rules (I1 to I11) are those of
//! `docs/reliability.md`.

use std::collections::BTreeMap;

/// How a payment stands in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    Waiting,
    InFlight,
    Unknown,
    Approved,
    Declined,
    Cancelled,
    Expired,
    Voided,
}

impl Stands {
    const fn locks(self) -> bool {
        matches!(
            self,
            Self::Waiting | Self::InFlight | Self::Unknown | Self::Approved
        )
    }

    /// Whether a payment that stood like this may stand like that.
    const fn may_become(self, next: Self) -> bool {
        use Stands::{Approved, Cancelled, Declined, Expired, InFlight, Unknown, Voided, Waiting};
        matches!(
            (self, next),
            (Waiting, InFlight | Declined | Cancelled | Expired)
                | (InFlight, Waiting | Unknown | Approved)
                | (Unknown, Approved | Declined | Cancelled | Voided)
                | (Approved, Voided)
        )
    }
}

/// How an operation stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    InFlight,
    Approved,
    /// Declined, or nothing was done for it.
    No,
    Unknown,
}

/// What a caller heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    Paid,
    Refused,
    Unknown,
}

/// A payment of the journal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payment {
    pub(crate) id: u64,
    pub(crate) slot: usize,
    pub(crate) stands: Stands,
    pub(crate) amount: u64,
    pub(crate) captured: u64,
    pub(crate) refunded: u64,
    pub(crate) reserves: bool,
    pub(crate) in_call: bool,
}

/// An operation of the journal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) id: u64,
    pub(crate) payment: u64,
    pub(crate) op: Op,
    /// It sends a card.
    pub(crate) takes: bool,
    /// It is a question.
    pub(crate) asks: bool,
}

/// What an acquirer's books say that an operation has done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effect<'a> {
    pub(crate) amount: u64,
    pub(crate) currency: &'a str,
    /// Whether it stands: it was not given back as a whole.
    pub(crate) effective: bool,
}

/// A request that is about to go out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) op: u64,
    pub(crate) payment: u64,
    pub(crate) slot: usize,
    /// Whether it takes a card's money.
    pub(crate) takes: bool,
    pub(crate) connector: usize,
    /// Which request of the operation, and which sending of it.
    pub(crate) stage: u8,
    pub(crate) sending: u8,
    /// Whether what was written before it is on the disk, and not only in memory.
    pub(crate) durable: bool,
    /// Whether the same request may go out again.
    pub(crate) again: bool,
    /// Digest of its bytes.
    pub(crate) digest: u64,
}

/// What is known of one operation that has gone out.
#[derive(Debug, Clone, Copy)]
struct Sent {
    slot: usize,
    payment: u64,
    connector: usize,
    digest: u64,
    /// Requests that take the card's money.
    times: u64,
}

/// A rule that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) rule: &'static str,
    pub(crate) says: String,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Operations that take a card's money and of which a byte has gone out.
    pub authorised: u64,
    /// Requests that take it.
    pub card_requests: u64,
    /// Of these, the very same request once more.
    pub resent: u64,
    /// Such operations behind one of the same order that was unknown when they were sent: never.
    pub behind_unknown: u64,
}

#[derive(Default)]
pub(crate) struct Audit {
    payments: BTreeMap<u64, Payment>,
    operations: BTreeMap<u64, Operation>,
    sent: BTreeMap<u64, Sent>,
    heard: Vec<(u64, u64, Heard)>,
    told: Vec<(u64, u64, Stands)>,
    /// Payments of which a person has seen to the approval.
    seen_to: Vec<u64>,
    /// Payments whose approval is to be released, by their merchant's wish.
    to_release: Vec<u64>,
    pub(crate) counts: Counts,
    pub(crate) broken: Option<Broken>,
}

impl Audit {
    pub(crate) fn broken(&mut self, rule: &'static str, says: String) {
        self.broken.get_or_insert(Broken { rule, says });
    }

    /// A payment as it is written now.
    pub(crate) fn payment(&mut self, now: Payment) {
        let before = self.payments.insert(now.id, now);
        let was = before.map(|before| before.stands);
        let steps = was.is_none_or(|was| {
            // What begins and ends in one commit skips a step: a call that ends with its operation open.
            was == now.stands || was.may_become(now.stands)
        });
        if !steps {
            self.broken(
                "I6",
                format!("payment {} was {was:?} and is {:?}", now.id, now.stands),
            );
        }
        if now.captured > now.amount || now.refunded > now.captured {
            let (taken, back) = (now.captured, now.refunded);
            self.broken(
                "I7",
                format!(
                    "payment {} of {}: {taken} taken, {back} given back",
                    now.id, now.amount
                ),
            );
        }
        if now.stands.locks() {
            let mut others = self.payments.values();
            if let Some(other) =
                others.find(|p| p.id != now.id && p.slot == now.slot && p.stands.locks())
            {
                let says = format!(
                    "payments {} and {} of one order, {:?} and {:?}",
                    other.id, now.id, other.stands, now.stands
                );
                self.broken("I1", says);
            }
        }
    }

    /// An operation as it is written now, and what its acquirer has done for it.
    pub(crate) fn operation(
        &mut self,
        now: Operation,
        effect: Option<Effect<'_>>,
        amount: u64,
        currency: &str,
    ) {
        let before = self.operations.insert(now.id, now).map(|before| before.op);
        if before == Some(now.op) || now.asks {
            return;
        }
        if matches!(before, Some(Op::Approved | Op::No)) {
            self.broken(
                "I6",
                format!("operation {} was {before:?} and is {:?}", now.id, now.op),
            );
        }
        match (now.op, effect) {
            (Op::Approved, None) => {
                self.broken(
                    "I2",
                    format!("operation {} is approved here, and was not done", now.id),
                );
            }
            (Op::Approved, Some(effect))
                if effect.amount != amount || effect.currency != currency =>
            {
                let says = format!(
                    "operation {} of {amount} {currency} is approved, and {} {} moved",
                    now.id, effect.amount, effect.currency
                );
                self.broken("I7", says);
            }
            (Op::No, Some(effect)) if effect.effective => {
                self.broken(
                    "I2",
                    format!("operation {} was done, and is not here", now.id),
                );
            }
            _ => {}
        }
    }

    /// Behind a loss of power: what is there now. What was sent, or told to a caller, has to be.
    pub(crate) fn lost(&mut self, payments: Vec<Payment>, operations: Vec<Operation>, told: usize) {
        self.payments = payments.into_iter().map(|p| (p.id, p)).collect();
        self.operations = operations.into_iter().map(|o| (o.id, o)).collect();
        self.told.truncate(told);
        let sent = self
            .sent
            .keys()
            .find(|id| !self.operations.contains_key(id));
        if let Some(id) = sent.copied() {
            self.broken(
                "I5",
                format!("operation {id} was sent, and the journal has lost it"),
            );
        }
        let heard = self
            .heard
            .iter()
            .find(|(payment, ..)| !self.payments.contains_key(payment));
        if let Some((payment, ..)) = heard.copied() {
            self.broken(
                "I3",
                format!("payment {payment} was told to its caller, and the journal has lost it"),
            );
        }
    }

    /// How much the merchant has been told so far.
    pub(crate) const fn told_so_far(&self) -> usize {
        self.told.len()
    }

    /// The merchant is told.
    pub(crate) fn told(&mut self, number: u64, payment: u64, stands: Stands) {
        if number != self.told.len() as u64 + 1 {
            self.broken("I8", format!("number {number} behind {}", self.told.len()));
        }
        if self
            .told
            .iter()
            .any(|(_, of, what)| *of == payment && *what == stands)
        {
            self.broken(
                "I8",
                format!("{stands:?} of payment {payment} is told twice"),
            );
        }
        self.told.push((number, payment, stands));
    }

    /// A request is about to go out.
    pub(crate) fn sends(&mut self, request: &Request) {
        let Request {
            op, payment, slot, ..
        } = *request;
        if !request.durable {
            let (stage, sending) = (request.stage, request.sending);
            self.broken("I5", format!("operation {op}: request {stage}, sending {sending} goes out and is not on the disk"));
        }
        if !request.takes {
            return;
        }
        // I6: nothing before it of this order may have moved money.
        let open = self.sent.iter().find(|(id, sent)| {
            **id != op && sent.slot == slot && {
                let known = self.operations.get(id).map(|o| o.op) == Some(Op::No);
                let over = self
                    .payments
                    .get(&sent.payment)
                    .is_some_and(|p| p.stands == Stands::Voided);
                !known && !over
            }
        });
        if let Some(before) = open.map(|(id, _)| *id) {
            self.counts.behind_unknown += 1;
            self.broken(
                "I6",
                format!(
                    "operation {op} is sent, and {before} of the same order may have been done"
                ),
            );
        }
        let first = Sent {
            slot,
            payment,
            connector: request.connector,
            digest: request.digest,
            times: 0,
        };
        let sent = self.sent.entry(op).or_insert(first);
        sent.times += 1;
        let (times, other, changed) = (
            sent.times,
            sent.connector != request.connector,
            sent.digest != request.digest,
        );
        if times == 1 {
            self.counts.authorised += 1;
        } else {
            self.counts.resent += 1;
        }
        self.counts.card_requests += 1;
        if other {
            self.broken(
                "I6",
                format!("operation {op} goes to a second acquirer, and the first may have done it"),
            );
        } else if times > 1 && !request.again {
            self.broken("I6", format!("operation {op} is sent {times} times"));
        } else if times > 1 && changed {
            self.broken(
                "I6",
                format!("operation {op} is sent again, and is another request"),
            );
        }
    }

    /// An approval is to be released by nobody's wish.
    pub(crate) fn releases(&mut self, payment: u64) {
        if self.seen_to.contains(&payment) {
            self.broken(
                "I2",
                format!("payment {payment} is released by itself, over a person"),
            );
        }
        if self
            .heard
            .iter()
            .any(|(of, _, heard)| *of == payment && *heard == Heard::Paid)
        {
            self.broken(
                "I3",
                format!(
                    "payment {payment} is released by itself, and its caller heard that it is paid"
                ),
            );
        }
    }

    /// The journal has it that an approval is to be released.
    pub(crate) fn wants_release(&mut self, payment: u64) {
        if !self.to_release.contains(&payment) {
            self.to_release.push(payment);
        }
    }

    /// A call takes a payment; `over`: its time was over.
    pub(crate) fn claimed(&mut self, payment: u64, over: bool) {
        if over {
            self.broken(
                "I11",
                format!("payment {payment} is taken by a call, and its time was over"),
            );
        }
    }

    /// The acquirers have so many entries of an order that stand.
    pub(crate) fn stands(&mut self, slot: usize, effective: usize) {
        if effective > 1 {
            self.broken("I1", format!("order {slot} is charged {effective} times"));
        }
    }

    /// An acquirer has done an operation.
    pub(crate) fn done(&mut self, op: u64) {
        if self.operations.get(&op).map(|o| o.op) == Some(Op::No) {
            self.broken(
                "I6",
                format!("operation {op} is done now, and the journal says that it was not"),
            );
        }
    }

    /// A caller is asked for a card.
    pub(crate) fn asked_for_card(&mut self, payment: u64) {
        let open = self.operations.values().find(|o| {
            o.payment == payment && o.takes && matches!(o.op, Op::Unknown | Op::InFlight)
        });
        if let Some(open) = open.map(|o| o.id) {
            self.broken(
                "I4",
                format!("another card is asked for while operation {open} is not known"),
            );
        }
    }

    /// A caller begins to hear it; `disk`: how the payment stands on the disk.
    pub(crate) fn hears(&mut self, payment: u64, op: u64, heard: Heard, disk: Option<Stands>) {
        if heard == Heard::Paid && !matches!(disk, Some(Stands::Approved | Stands::Voided)) {
            self.broken(
                "I3",
                format!("payment {payment} is told as paid, and is {disk:?} on the disk"),
            );
        }
        self.heard.push((payment, op, heard));
    }

    /// A person has taken the task, or asked for something behind the call.
    pub(crate) fn sees_to(&mut self, payment: u64) {
        self.seen_to.push(payment);
    }

    /// The journal was opened behind a crash.
    pub(crate) fn opened(&mut self, whole: bool, frame: u64, promised: u64) {
        if !whole {
            self.broken("I9", "a torn tail is read as if it were whole".to_owned());
        }
        if frame < promised {
            self.broken(
                "I9",
                format!("the journal promised commit {promised}, and has {frame}"),
            );
        }
    }

    /// Everything has been looked after. `held`: what the acquirers hold of an operation; `task`: whether a person has what is unknown,
    /// and whether one calls the customer back (now or before).
    pub(crate) fn ends(
        &mut self,
        held: impl Fn(u64) -> Option<u64>,
        waits: impl Fn(u64) -> bool,
        called_back: impl Fn(u64) -> bool,
    ) {
        let payments: Vec<Payment> = self.payments.values().copied().collect();
        for payment in payments {
            let id = payment.id;
            let of: Vec<Operation> = self
                .operations
                .values()
                .filter(|o| o.payment == id)
                .copied()
                .collect();
            let unknown = of.iter().any(|o| !o.asks && o.op == Op::Unknown);
            if matches!(payment.stands, Stands::InFlight) || payment.in_call {
                self.broken("I11", format!("payment {id} is left {:?}", payment.stands));
            }
            if of.iter().any(|o| o.op == Op::InFlight) {
                self.broken(
                    "I11",
                    format!("payment {id} has an operation that is left open"),
                );
            }
            if (unknown || payment.stands == Stands::Unknown) && !waits(id) {
                self.broken(
                    "I11",
                    format!("payment {id} is unknown, and no person has it"),
                );
            }
            if unknown {
                continue;
            }
            // I2, I7: what the acquirers hold is what the journal says.
            let there: u64 = of
                .iter()
                .filter(|o| o.takes)
                .filter_map(|o| held(o.id))
                .sum();
            let here = match payment.stands {
                Stands::Approved if payment.captured > 0 => payment.captured - payment.refunded,
                Stands::Approved if payment.reserves => payment.amount,
                _ => 0,
            };
            if there != here {
                let rule = if here == 0 || there == 0 { "I2" } else { "I7" };
                let says = format!(
                    "payment {id} is {:?} with {here}, and the acquirer holds {there}",
                    payment.stands
                );
                self.broken(rule, says);
            }
            let said: Vec<(u64, Heard)> = self
                .heard
                .iter()
                .filter(|(of, ..)| *of == id)
                .map(|(_, op, heard)| (*op, *heard))
                .collect();
            let paid = said.iter().any(|(_, heard)| *heard == Heard::Paid);
            if paid && !matches!(payment.stands, Stands::Approved | Stands::Voided) {
                self.broken(
                    "I3",
                    format!("payment {id} was told as paid, and is {:?}", payment.stands),
                );
            }
            for (op, heard) in &said {
                let was_done = self
                    .operations
                    .get(op)
                    .is_some_and(|o| o.op == Op::Approved);
                if *heard == Heard::Refused && was_done {
                    self.broken(
                        "I3",
                        format!("operation {op} was told as not charged, and is approved"),
                    );
                }
            }
            let undone = of.iter().any(|o| !o.takes && !o.asks);
            if payment.stands == Stands::Approved
                && self.to_release.contains(&id)
                && !self.seen_to.contains(&id)
                && !undone
            {
                self.broken(
                    "I2",
                    format!("payment {id} is approved, nobody knows it, and it was not released"),
                );
            }
            if payment.stands == Stands::Approved && !paid && !called_back(id) {
                self.broken(
                    "I2",
                    format!("payment {id} is approved, and nobody tells the customer"),
                );
            }
            let last = self
                .told
                .iter()
                .rfind(|(_, of, _)| *of == id)
                .map(|(.., what)| *what);
            let should = Some(payment.stands).filter(|s| *s != Stands::Waiting);
            if last != should {
                self.broken(
                    "I8",
                    format!(
                        "the merchant was told {last:?} of payment {id}, which is {:?}",
                        payment.stands
                    ),
                );
            }
        }
    }
}
