//! A world of one seed: a clock, what is to happen when, the service, its acquirers, callers and people, and the auditor beside them.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use ivrpay_acquirer::{Connector, Mode, Progress, Reply, Settings};
use ivrpay_payment::{Currency, Money, Notice, OperationKind, Outcome, State, Transaction};

use crate::audit::{self, Audit, Broken, Counts};
use crate::bank::{
    Bank, HMAC_KEY, Kind, MERCHANT, Mood, Other, Packet, Protocol, SHOP_PASS, Stands, Tag, garbled,
};
use crate::book::{OpState, Operation, Payment, TaskKind, TaskState};
use crate::call::{Call, Caller};
use crate::points::{Crash, How, Points};
use crate::rng::{Rng, mixed};
use crate::settle::{Came, Running};
use crate::store::{No, Store};

/// The journal's clock at the begin: 2026-11-23 12:00 UTC, ms.
pub(crate) const NOON: i64 = 1_795_435_200_000;
/// Longer than any seed has: one that goes on so long does not end.
const STEPS_MAX: u32 = 30_000;
const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// From the last fault on everything is looked after for so long: longer than an acquirer is asked by itself.
const AFTER: i64 = 40 * HOUR;

/// The connectors, made once.
pub struct Lab {
    adyen: Box<dyn Connector>,
    generic: Box<dyn Connector>,
    gmo: Box<dyn Connector>,
    stripe: Box<dyn Connector>,
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Lab {
    /// As a merchant would configure them for tests.
    ///
    /// # Panics
    /// When one of our connectors refuses its settings.
    #[must_use]
    pub fn new() -> Self {
        let mut settings = Settings::new(Mode::Test);
        settings.raw_pan = true;
        let none = settings.clone();
        let mut shop = settings.clone();
        shop.parameters
            .insert("shop_id".to_owned(), "tshop00000001".to_owned());
        shop.secrets
            .insert("shop_pass".to_owned(), SHOP_PASS.to_owned().into());
        let mut account = settings.clone();
        account
            .parameters
            .insert("merchant_account".to_owned(), MERCHANT.to_owned());
        account
            .secrets
            .insert("api_key".to_owned(), "key".to_owned().into());
        account
            .secrets
            .insert("webhook_hmac_key".to_owned(), HMAC_KEY.to_owned().into());
        let key = "sk_test_seeds".to_owned();
        settings.secrets.insert("secret_key".to_owned(), key.into());
        let made = "a connector takes its settings";
        Self {
            adyen: (ivrpay_acquirer::adyen::ABOUT.make)(&account).expect(made),
            generic: (ivrpay_acquirer::generic::ABOUT.make)(&none).expect(made),
            gmo: (ivrpay_acquirer::gmo::ABOUT.make)(&shop).expect(made),
            stripe: (ivrpay_acquirer::stripe::ABOUT.make)(&settings).expect(made),
        }
    }

    pub(crate) fn of(&self, protocol: Protocol) -> &dyn Connector {
        match protocol {
            Protocol::Adyen => self.adyen.as_ref(),
            Protocol::Generic => self.generic.as_ref(),
            Protocol::Gmo => self.gmo.as_ref(),
            Protocol::Stripe => self.stripe.as_ref(),
        }
    }
}

/// How often what goes wrong at an acquirer, of a thousand requests.
#[derive(Debug, Clone, Copy, Default)]
struct Faults {
    not_reached: u64,
    lost: u64,
    late: u64,
    reply_lost: u64,
    cut: u64,
    status_before: u64,
    status_after: u64,
    garbled: u64,
    stale: u64,
    declines: u64,
    lags: u64,
    void_refused: u64,
    hooks: u64,
    other: u64,
}

/// An acquirer, and the way there.
pub(crate) struct Line {
    pub(crate) bank: Bank,
    /// The same request may go out again.
    pub(crate) again: bool,
    pub(crate) reply_timeout: i64,
    faults: Faults,
    /// Nobody is reached from then until then; or everything is answered by 503.
    away: (i64, i64, bool),
    /// The last answer, which a line that is out of step gives once more.
    last: Option<(u16, String)>,
}

/// A request on its way.
pub(crate) struct Flight {
    pub(crate) running: usize,
    pub(crate) epoch: u32,
    pub(crate) sending: u8,
    connector: usize,
    packet: Packet,
    tag: Tag,
}

/// What is going to happen.
pub(crate) enum Event {
    /// A caller calls.
    Calls(usize),
    /// He keys what he was asked for, the n-th time that he was asked something.
    Keys {
        call: usize,
        asked: u32,
    },
    HangsUp(usize),
    PromptEnds {
        call: usize,
        prompt: u32,
    },
    Deadline(usize),
    /// The intent of a call is to be written.
    Write(usize),
    Answered {
        call: usize,
        outcome: Outcome,
    },
    /// The call's end was not written.
    Release(usize),
    /// An operation begins, or goes on.
    Asks(usize),
    /// A request arrives at its acquirer.
    Arrives(Box<Flight>),
    Came {
        running: usize,
        epoch: u32,
        sending: u8,
        came: Came,
    },
    /// The same request goes out again.
    Again {
        running: usize,
        epoch: u32,
    },
    /// What came of an operation is written once more.
    Keep {
        running: usize,
        epoch: u32,
    },
    /// An acquirer says something of itself.
    Hook(Box<Hook>),
    Posted(Posting),
    /// An order system announces a payment.
    Announce {
        slot: usize,
        caller: usize,
    },
    Expire,
    /// The service looks after what is due.
    Look,
    Person,
    Ends(How),
    Starts,
    Disk {
        full: bool,
    },
    /// Nothing goes wrong any more.
    Calm,
}

/// A message of an acquirer.
pub(crate) struct Hook {
    pub(crate) connector: usize,
    pub(crate) message: Notice,
    pub(crate) tries: u8,
}

/// The same, as it comes.
pub(crate) struct Posting {
    pub(crate) connector: usize,
    pub(crate) body: String,
    pub(crate) tries: u8,
}

struct Due {
    at: i64,
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The first is the greatest: the heap gives it first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// An order, or a part of one.
pub(crate) struct Slot {
    pub(crate) amount: Money,
}

/// What a seed came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Of which seed.
    pub seed: u64,
    /// Things that happened.
    pub steps: u32,
    /// Of everything that happened, in its order.
    pub hash: u64,
    /// What was counted.
    pub counts: Counts,
    /// Payments of each end, in the order of `Ends`.
    pub ends: Ends,
    /// What is wrong.
    pub broken: Option<Wrong>,
    /// What happened, where it was asked for.
    pub trace: Vec<String>,
}

/// How often what happened: that the faults do happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub struct Ends {
    pub payments: u64,
    pub approved: u64,
    pub voided: u64,
    pub declined: u64,
    pub cancelled: u64,
    pub expired: u64,
    pub unknown: u64,
    pub kills: u64,
    pub power_losses: u64,
    pub found_out: u64,
    pub failed_over: u64,
    pub released: u64,
}

/// A rule that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Its name.
    pub rule: &'static str,
    /// At which step.
    pub step: u32,
    /// What there is to say.
    pub says: String,
}

pub(crate) struct World<'l> {
    pub(crate) lab: &'l Lab,
    pub(crate) rng: Rng,
    pub(crate) now: i64,
    heap: BinaryHeap<Due>,
    number: u64,
    pub(crate) store: Store,
    pub(crate) lines: Vec<Line>,
    /// Connectors that a card may go to, best first.
    pub(crate) ways: Vec<usize>,
    pub(crate) transaction: Transaction,
    pub(crate) slots: Vec<Slot>,
    pub(crate) callers: Vec<Caller>,
    pub(crate) calls: Vec<Option<Call>>,
    pub(crate) running: Vec<Option<Running>>,
    pub(crate) alive: bool,
    pub(crate) calm: bool,
    pub(crate) asking: Vec<u64>,
    look_at: i64,
    /// Nothing behind that is waited for.
    until: i64,
    pub(crate) audit: Audit,
    pub(crate) ends: Ends,
    told: usize,
    hash: u64,
    pub(crate) steps: u32,
    trace: Option<Vec<String>>,
    /// Digests of what was audited of each row, so that only what is new is looked at.
    seen_payments: Vec<(u64, State, u64, u64, bool)>,
    seen_operations: Vec<(u64, OpState)>,
    effects: usize,
    /// Every loss of power is only a kill.
    #[cfg(test)]
    pub(crate) keeps_power: bool,
}

const fn digest(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let (mut hash, mut at) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while at < bytes.len() {
        #[allow(clippy::indexing_slicing, reason = "below the length")]
        let byte = bytes[at];
        hash = (hash ^ byte as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// FNV-1a of bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl<'l> World<'l> {
    pub(crate) fn new(lab: &'l Lab, seed: u64, traced: bool) -> Self {
        let mut rng = Rng::new(mixed(seed ^ 0x6976_7270_6179));
        // One seed of eight has no faults at all, one of four few.
        let mood = match rng.below(8) {
            0 => 0,
            1 | 2 => 1,
            _ => 4,
        };
        let protocols = [
            Protocol::Adyen,
            Protocol::Generic,
            Protocol::Gmo,
            Protocol::Stripe,
        ];
        let first = rng.pick(&protocols).unwrap_or(Protocol::Gmo);
        let mut used = vec![first];
        if rng.chance(350)
            && let Some(second) = rng.pick(&protocols)
            && second != first
        {
            used.push(second);
        }
        let yen = used.contains(&Protocol::Gmo) || rng.chance(700);
        let currency = if yen { Currency::Jpy } else { Currency::Usd };
        let charges = used.contains(&Protocol::Generic) || rng.chance(600);
        let transaction = if charges {
            Transaction::Charge
        } else {
            Transaction::Authorise
        };
        let lines: Vec<Line> = used
            .iter()
            .map(|p| Line::drawn(*p, mood, &mut rng))
            .collect();
        let mut ends: Vec<(u32, How)> = Vec::new();
        if mood > 0 {
            for _ in 0..rng.below(4) {
                let how = if rng.chance(600) {
                    How::PowerLost
                } else {
                    How::Killed
                };
                // A payment passes some thirty; and the start behind such an end a few.
                let most = if rng.chance(250) { 6 } else { 70 };
                ends.push((u32::try_from(rng.below(most)).unwrap_or(0), how));
            }
        }
        let points = Points {
            ends: ends.into(),
            at: None,
        };
        let released = rng.chance(400);
        // Of the same amount as often as not: what takes one for the other is not saved by it.
        let same = rng.chance(500).then_some(rng.below(5000) + 100);
        let amount = |rng: &mut Rng| {
            Money::new(same.unwrap_or_else(|| rng.below(5000) + 100), currency).ok()
        };
        let orders = 1 + rng.below(2);
        let mut slots = Vec::new();
        for _ in 0..orders {
            // One of an order, or two parts of one that was split.
            for _ in 0..=rng.below(3) / 2 {
                slots.extend(amount(&mut rng).map(|amount| Slot { amount }));
            }
        }
        let mut world = Self {
            lab,
            store: Store::new(NOON, points, released),
            rng,
            now: NOON,
            heap: BinaryHeap::new(),
            number: 0,
            ways: (0..lines.len()).collect(),
            lines,
            transaction,
            slots,
            callers: Vec::new(),
            calls: Vec::new(),
            running: Vec::new(),
            alive: true,
            calm: mood == 0,
            asking: Vec::new(),
            look_at: i64::MAX,
            until: NOON + 9 * HOUR + AFTER,
            audit: Audit::default(),
            ends: Ends::default(),
            told: 0,
            hash: mixed(seed),
            steps: 0,
            trace: traced.then(Vec::new),
            seen_payments: Vec::new(),
            seen_operations: Vec::new(),
            effects: 0,
            #[cfg(test)]
            keeps_power: false,
        };
        world.plan(mood);
        world
    }

    /// Who calls when, what people do, and what the machine does.
    fn plan(&mut self, mood: u64) {
        for slot in 0..self.slots.len() {
            let announced = self.rng.chance(300);
            let callers = 1 + usize::from(self.rng.chance(250));
            for nth in 0..callers {
                let caller = self.callers.len();
                self.callers
                    .push(Caller::drawn(slot, announced, &mut self.rng));
                let at = NOON + self.rng.between(0, 3 * MINUTE);
                if announced {
                    if nth == 0 {
                        self.at(at, Event::Announce { slot, caller });
                    }
                    let later = at + self.rng.between(0, 4 * MINUTE);
                    self.at(later, Event::Calls(caller));
                } else {
                    self.at(at, Event::Calls(caller));
                }
            }
        }
        for _ in 0..self.rng.below(5) {
            let within = if self.rng.chance(500) {
                20 * MINUTE
            } else {
                8 * HOUR
            };
            let at = NOON + self.rng.between(MINUTE, within);
            self.at(at, Event::Person);
        }
        if mood > 0 {
            for _ in 0..self.rng.below(3) {
                let at = NOON + self.rng.between(0, 30 * MINUTE);
                let how = if self.rng.chance(500) {
                    How::PowerLost
                } else {
                    How::Killed
                };
                self.at(at, Event::Ends(how));
            }
            if self.rng.chance(150) {
                for _ in 0..=self.rng.below(4) {
                    let left = u32::try_from(self.rng.below(12)).unwrap_or(0);
                    self.store.sync_fails.push(left);
                }
            }
            if self.rng.chance(150) {
                let at = NOON + self.rng.between(0, 5 * MINUTE);
                self.at(at, Event::Disk { full: true });
                let until = at + self.rng.between(SECOND, 3 * MINUTE);
                self.at(until, Event::Disk { full: false });
            }
        }
        let calm = NOON + self.rng.between(2 * HOUR, 9 * HOUR);
        self.at(calm, Event::Calm);
    }

    pub(crate) fn at(&mut self, at: i64, event: Event) {
        self.number += 1;
        self.heap.push(Due {
            at: at.max(self.now),
            number: self.number,
            event,
        });
    }

    pub(crate) fn after(&mut self, ms: i64, event: Event) {
        self.at(self.now.saturating_add(ms), event);
    }

    /// What happened: into the hash, and into the trace where there is one.
    pub(crate) fn note(&mut self, what: &'static str, a: u64, b: u64) {
        let words = digest(what) ^ a.rotate_left(17) ^ b.rotate_left(41) ^ self.now.cast_unsigned();
        self.hash = mixed(self.hash ^ words);
        if let Some(trace) = &mut self.trace {
            let ms = self.now - NOON;
            trace.push(format!(
                "{:>6} {:>9}.{:03} s  {what} {a} {b}",
                self.steps,
                ms / 1000,
                ms % 1000
            ));
        }
    }

    pub(crate) fn run(mut self, seed: u64) -> Ran {
        self.goes_on();
        self.came_to(seed)
    }

    /// Until everything has been looked after, or a rule is broken.
    pub(crate) fn goes_on(&mut self) {
        self.until_nothing_is_left();
        // What only a person can find out, he does: each by what the acquirer's books say.
        for _ in 0..6 {
            if self.audit.broken.is_some() || !self.persons_do_everything() {
                break;
            }
            self.until_nothing_is_left();
        }
        if self.audit.broken.is_none() {
            self.last_look();
        }
    }

    fn came_to(mut self, seed: u64) -> Ran {
        for payment in &self.store.book().payments {
            self.ends.payments += 1;
            let place = match payment.state {
                State::Approved => &mut self.ends.approved,
                State::Voided => &mut self.ends.voided,
                State::Declined => &mut self.ends.declined,
                State::Cancelled => &mut self.ends.cancelled,
                State::Expired => &mut self.ends.expired,
                _ => &mut self.ends.unknown,
            };
            *place += 1;
        }
        let steps = self.steps;
        let broken = self.audit.broken.map(|Broken { rule, says }| Wrong {
            rule,
            step: steps,
            says,
        });
        Ran {
            seed,
            steps,
            hash: self.hash,
            counts: self.audit.counts,
            ends: self.ends,
            broken,
            trace: self.trace.unwrap_or_default(),
        }
    }

    fn until_nothing_is_left(&mut self) {
        while self.audit.broken.is_none() {
            let Some(Due { at, event, .. }) = self.heap.pop() else {
                return;
            };
            if at > self.until {
                continue;
            }
            self.now = self.now.max(at);
            self.store.now = self.now;
            self.steps += 1;
            if self.steps > STEPS_MAX {
                self.audit
                    .broken("I11", "it does not come to an end".to_owned());
                return;
            }
            if self.happens(event).is_err() {
                self.ends_now();
            }
            self.look_at_the_books();
            self.plan_look();
        }
    }

    fn happens(&mut self, event: Event) -> Result<(), Crash> {
        match event {
            Event::Calls(caller) => self.calls_in(caller),
            Event::Keys { call, asked } => self.keys(call, asked),
            Event::HangsUp(call) => self.hangs_up(call),
            Event::PromptEnds { call, prompt } => self.prompt_ends(call, prompt),
            Event::Deadline(call) => self.deadline(call),
            Event::Write(call) => self.writes(call),
            Event::Answered { call, outcome } => self.answered(call, outcome),
            Event::Release(call) => self.release(call),
            Event::Asks(running) => self.asks(running),
            Event::Arrives(flight) => {
                self.arrives(*flight);
                Ok(())
            }
            Event::Came {
                running,
                epoch,
                sending,
                came,
            } => self.came(running, epoch, sending, came),
            Event::Again { running, epoch } => self.again(running, epoch),
            Event::Keep { running, epoch } => self.keeps(running, epoch),
            Event::Hook(hook) => self.hook(*hook),
            Event::Posted(posting) => self.posted(posting),
            Event::Announce { slot, caller } => self.announce(slot, caller),
            Event::Expire => {
                if self.alive {
                    self.store.expire()?.ok();
                }
                Ok(())
            }
            Event::Look => {
                self.look_at = i64::MAX;
                self.look()
            }
            Event::Person => self.person(),
            Event::Ends(how) => {
                if self.alive && !self.calm {
                    self.store.points.at = Some(("anywhere", how));
                    return Err(Crash);
                }
                Ok(())
            }
            Event::Starts => self.starts(),
            Event::Disk { full } => {
                self.store.full = full && !self.calm;
                Ok(())
            }
            Event::Calm => {
                self.calm = true;
                self.store.full = false;
                self.store.sync_fails.clear();
                self.store.points.ends.clear();
                for line in &mut self.lines {
                    line.away = (0, 0, false);
                }
                self.note("calm", 0, 0);
                Ok(())
            }
        }
    }

    /// The process is gone, and perhaps the power.
    fn ends_now(&mut self) {
        #[cfg_attr(not(test), allow(unused_mut, reason = "tests keep the power"))]
        let (place, mut how) = self
            .store
            .points
            .at
            .take()
            .unwrap_or(("nowhere", How::Killed));
        #[cfg(test)]
        if self.keeps_power {
            how = How::Killed;
        }
        self.note(
            place,
            u64::from(how == How::PowerLost),
            u64::from(self.store.epoch),
        );
        self.alive = false;
        self.store.epoch += 1;
        self.running.iter_mut().for_each(|r| drop(r.take()));
        self.asking.clear();
        for call in 0..self.calls.len() {
            self.lost(call);
        }
        if how == How::PowerLost {
            self.ends.power_losses += 1;
            let frames = self.rng.below(self.store.disk.unsynced() as u64 + 1);
            let torn = 1 + self.rng.below(4);
            let number = |n: u64| usize::try_from(n).unwrap_or(0);
            self.store.disk.lose(number(frames), number(torn));
            let book = &self.store.disk.book;
            let uid = |at: usize| book.payments.get(at).map_or(0, |p| p.uid);
            let payments = book.payments.iter().map(shown).collect();
            let operations = book
                .operations
                .iter()
                .map(|o| audited(o, uid(o.payment)))
                .collect();
            self.audit.lost(payments, operations, book.told.len());
            self.told = self.audit.told_so_far();
            self.seen_payments.clear();
            self.seen_operations.clear();
            self.store.written = true;
        } else {
            self.ends.kills += 1;
            if self.store.disk.finds_what_failed() {
                self.store.written = true;
                self.note("found what had failed", self.store.book().frame, 0);
            }
        }
        let wait = if self.rng.chance(800) {
            20 * SECOND
        } else {
            20 * MINUTE
        };
        let after = self.rng.between(SECOND, wait);
        self.after(after, Event::Starts);
    }

    fn starts(&mut self) -> Result<(), Crash> {
        if self.alive {
            return Ok(());
        }
        self.note(
            "starts",
            u64::from(self.store.epoch),
            self.store.book().frame,
        );
        let (whole, frame) = (self.store.book().is_whole(), self.store.book().frame);
        self.audit.opened(whole, frame, self.store.promised);
        self.alive = true;
        if self.store.recover()?.is_err() {
            // It does not start without its journal; whoever started it does so again.
            self.alive = false;
            self.after(10 * SECOND, Event::Starts);
        }
        Ok(())
    }

    /// When something is due by itself.
    fn plan_look(&mut self) {
        if !self.alive {
            return;
        }
        let book = self.store.book();
        let asks = book
            .operations
            .iter()
            .filter(|o| !self.asking.contains(&o.uid));
        let can = |connector: usize| {
            let line = self.lines.get(connector);
            line.is_some_and(|line| self.lab.of(line.bank.protocol).about().capabilities.query)
        };
        let asks = asks.filter_map(|o| o.inquire_ms.filter(|_| can(o.connector)));
        let releases = book.releases.iter().filter(|r| {
            let payment = book.payments.get(r.payment);
            payment.is_some_and(|p| p.call.is_none() && !self.asking.contains(&p.uid))
        });
        let next = asks.chain(releases.map(|r| r.at_ms)).min();
        // Each second.
        if let Some(next) = next.map(|next| next.max(self.now) + 500)
            && next < self.look_at
        {
            self.look_at = next;
            self.at(next, Event::Look);
        }
    }

    /// The auditor looks at what is new in the journal and at the acquirers.
    fn look_at_the_books(&mut self) {
        let effects: usize = self.lines.iter().map(|line| line.bank.effects.len()).sum();
        if effects != self.effects {
            self.effects = effects;
            for slot in 0..self.slots.len() {
                let all = self.lines.iter().flat_map(|line| &line.bank.entries);
                let stands = all.filter(|e| {
                    e.slot == slot && matches!(e.stands, Stands::Reserved | Stands::Taken)
                });
                let stands = stands.count();
                self.audit.stands(slot, stands);
            }
        }
        if !std::mem::take(&mut self.store.written) {
            return;
        }
        let book = &self.store.disk.book;
        for told in book.told.iter().skip(self.told) {
            let payment = book.payments.get(told.payment).map_or(0, |p| p.uid);
            self.audit.told(told.number, payment, stands(told.state));
        }
        self.told = book.told.len();
        // What is over first: a commit may end one payment of an order and make another.
        for over in [true, false] {
            for payment in book
                .payments
                .iter()
                .filter(|p| p.state.locks_order() != over)
            {
                let now = (
                    payment.uid,
                    payment.state,
                    payment.captured.unwrap_or(0),
                    payment.refunded,
                    payment.call.is_some(),
                );
                match self.seen_payments.get_mut(payment.at) {
                    Some(seen) if *seen == now => continue,
                    Some(seen) => *seen = now,
                    None => {
                        self.seen_payments
                            .resize(payment.at + 1, (0, State::Waiting, 0, 0, false));
                        if let Some(seen) = self.seen_payments.get_mut(payment.at) {
                            *seen = now;
                        }
                    }
                }
                self.audit.payment(shown(payment));
            }
        }
        for release in &book.releases {
            let payment = book.payments.get(release.payment).map_or(0, |p| p.uid);
            self.audit.wants_release(payment);
        }
        for operation in &book.operations {
            let now = (operation.uid, operation.state);
            match self.seen_operations.get_mut(operation.at) {
                Some(seen) if *seen == now => continue,
                Some(seen) => *seen = now,
                None => self.seen_operations.push(now),
            }
            let payment = book.payments.get(operation.payment).map_or(0, |p| p.uid);
            let bank = self.lines.get(operation.connector).map(|line| &line.bank);
            let uid = operation.uid;
            let effect = bank.and_then(|bank| {
                bank.did(uid).map(|effect| audit::Effect {
                    // A void is of all that there is.
                    amount: if effect.kind == Kind::Void {
                        operation.amount.minor()
                    } else {
                        effect.amount
                    },
                    currency: if effect.kind == Kind::Void {
                        operation.amount.currency().code()
                    } else {
                        &effect.currency
                    },
                    effective: effect.kind != Kind::Take || bank.effective(uid).is_some(),
                })
            });
            let amount = operation.amount;
            self.audit.operation(
                audited(operation, payment),
                effect,
                amount.minor(),
                amount.currency().code(),
            );
        }
    }

    /// Everything has been looked after.
    fn last_look(&mut self) {
        let book = &self.store.disk.book;
        let at = |uid: u64| {
            book.payments
                .iter()
                .find(|p| p.uid == uid)
                .map_or(usize::MAX, |p| p.at)
        };
        let lines = &self.lines;
        let held = |op: u64| {
            lines
                .iter()
                .find_map(|line| line.bank.effective(op))
                .map(|e| e.held)
        };
        let waits = |uid| book.has_task(at(uid), TaskKind::UnknownOutcome);
        let called = |uid| {
            let payment = at(uid);
            book.tasks
                .iter()
                .any(|t| t.payment == payment && t.kind == TaskKind::CallBack)
        };
        self.audit.ends(held, waits, called);
        if !self.alive {
            self.audit
                .broken("I11", "the service has not started again".to_owned());
        } else if !book.releases.is_empty() {
            self.audit
                .broken("I11", "a release is left open".to_owned());
        }
    }

    /// A request arrives, and is done or not.
    fn arrives(&mut self, flight: Flight) {
        let Flight {
            running,
            epoch,
            sending,
            connector,
            packet,
            tag,
        } = flight;
        let Some(line) = self.lines.get_mut(connector) else {
            return;
        };
        let faults = if self.calm {
            Faults::default()
        } else {
            line.faults
        };
        let rng = &mut self.rng;
        // A further sending of what was done: by the contract an endpoint may call it a double.
        let twice = sending > 0 && rng.chance(faults.stale * 3);
        if twice && line.bank.protocol == Protocol::Generic && line.bank.did(tag.op).is_some() {
            let body = r#"{"charge_id": null, "error_code": "E-DOUBLE", "parameters": {}}"#;
            let delay = rng.between(50, 2000);
            let reply = (200, body.to_owned());
            self.after(
                delay,
                Event::Came {
                    running,
                    epoch,
                    sending,
                    came: Came::Reply(reply.0, reply.1),
                },
            );
            return;
        }
        if rng.chance(faults.status_before)
            || line.away.2 && (line.away.0..line.away.1).contains(&self.now)
        {
            let status = rng.pick(&[500, 502, 503, 429]).unwrap_or(503);
            let delay = rng.between(20, 3000);
            self.after(
                delay,
                Event::Came {
                    running,
                    epoch,
                    sending,
                    came: Came::Reply(status, String::new()),
                },
            );
            return;
        }
        let late = tag.kind == Kind::Void && rng.chance(faults.void_refused);
        let declines = tag.kind == Kind::Take && rng.chance(faults.declines);
        let other = !declines && rng.chance(faults.other);
        let mood = Mood {
            declines,
            lag_ms: if rng.chance(faults.lags) {
                rng.between(SECOND, 30 * SECOND)
            } else {
                0
            },
            late,
            other: if other {
                rng.pick(&[Other::Amount, Other::Currency])
            } else {
                None
            },
        };
        let before = line.bank.effects.len();
        if let Some(trace) = &mut self.trace {
            trace.push(format!(
                "{:>24}  {} {}",
                "",
                packet.path,
                String::from_utf8_lossy(&packet.body)
            ));
        }
        let (status, body) = line.bank.serve(&packet, tag, self.now, mood);
        let did = line.bank.effects.get(before).cloned();
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>24}  {status} {body}", ""));
        }
        let mut came = Came::Reply(status, body.clone());
        let mut delay = rng.between(50, 4000);
        if rng.chance(faults.reply_lost) {
            delay = 200 * SECOND;
        } else if rng.chance(faults.cut) {
            let half = body.len() / 2;
            came = Came::Reply(status, body.get(..half).unwrap_or_default().to_owned());
        } else if rng.chance(faults.status_after) {
            came = Came::Reply(
                rng.pick(&[500, 502, 504]).unwrap_or(500),
                "<html>".to_owned(),
            );
        } else if rng.chance(faults.garbled) {
            if let Some(body) = garbled(line.bank.protocol, tag.kind, &body, rng) {
                came = Came::Reply(status, body);
            }
        } else if tag.kind == Kind::Take
            && rng.chance(faults.stale)
            && let Some((status, body)) = &line.last
        {
            came = Came::Reply(*status, body.clone());
        }
        // A refusal names no order by every contract: what one says is its own, since each request has a connection to itself.
        if did.is_some() && tag.kind == Kind::Take {
            line.last = Some((status, body));
        }
        let hooks = rng.chance(faults.hooks);
        self.note("arrives", tag.op, u64::from(status));
        let says = self
            .lines
            .get_mut(connector)
            .map(|line| std::mem::take(&mut line.bank.says));
        for body in says.unwrap_or_default() {
            self.says(connector, &body);
        }
        if let Some(effect) = did {
            self.note("done", effect.op, effect.amount);
            self.audit.done(effect.op);
            if hooks {
                self.hooks_of(connector, &effect);
            }
        }
        if delay < 200 * SECOND {
            self.after(
                delay,
                Event::Came {
                    running,
                    epoch,
                    sending,
                    came,
                },
            );
        }
    }

    /// What the way to an acquirer does with a request: whether it is reached, and whether the request arrives.
    pub(crate) fn reaches(&mut self, connector: usize) -> bool {
        let Some(line) = self.lines.get(connector) else {
            return false;
        };
        if self.calm {
            return true;
        }
        let away = !line.away.2 && (line.away.0..line.away.1).contains(&self.now);
        !away && !self.rng.chance(line.faults.not_reached)
    }

    /// Puts a request on its way.
    pub(crate) fn sends(
        &mut self,
        connector: usize,
        flight: (usize, u8),
        packet: Packet,
        tag: Tag,
        whole: bool,
    ) {
        let (running, sending) = flight;
        let epoch = self.store.epoch;
        let Some(line) = self.lines.get(connector) else {
            return;
        };
        let faults = if self.calm {
            Faults::default()
        } else {
            line.faults
        };
        let timeout = line.reply_timeout;
        self.after(
            timeout,
            Event::Came {
                running,
                epoch,
                sending,
                came: Came::NoReply,
            },
        );
        if !whole || self.rng.chance(faults.lost) {
            return;
        }
        let delay = if self.rng.chance(faults.late) {
            self.rng.between(20 * SECOND, 100 * SECOND)
        } else {
            self.rng.between(10, 300)
        };
        let flight = Flight {
            running,
            epoch,
            sending,
            connector,
            packet,
            tag,
        };
        self.after(delay, Event::Arrives(Box::new(flight)));
    }

    pub(crate) fn can(&self, connector: usize, kind: OperationKind) -> bool {
        let line = self.lines.get(connector);
        line.is_some_and(|line| {
            self.lab
                .of(line.bank.protocol)
                .about()
                .capabilities
                .has(kind)
        })
    }

    /// How many tasks of what is unknown were closed by what a person found out; false where there was nothing to do.
    fn persons_do_everything(&mut self) -> bool {
        // Nobody may say "not charged" before no answer can come any more.
        self.now += 20 * MINUTE;
        self.until = self.now + AFTER;
        self.store.now = self.now;
        let open: Vec<usize> = self
            .store
            .book()
            .tasks
            .iter()
            .filter(|t| t.kind == TaskKind::UnknownOutcome && t.state != TaskState::Done)
            .map(|t| t.at)
            .collect();
        // What the acquirer can be asked about was found out by itself.
        let book = &self.store.disk.book;
        let mut left = book.operations.iter().filter(|o| {
            let bank = self.lines.get(o.connector).map(|line| &line.bank);
            // What was taken wrongly stays a person's.
            let right = bank.and_then(|bank| bank.did(o.uid)).is_none_or(|did| {
                did.amount == o.amount.minor() && did.currency == o.amount.currency().code()
            });
            let asked = self.can(o.connector, OperationKind::Query);
            right && asked && o.state == OpState::Unknown && !o.kind.is_later()
        });
        if let Some(left) = left.next().map(|o| o.uid) {
            self.audit.broken(
                "I11",
                format!("operation {left} is unknown, and its acquirer was not asked"),
            );
            return false;
        }
        for task in &open {
            self.finds_out(*task).ok();
        }
        self.look_at_the_books();
        self.plan_look();
        !open.is_empty() || !self.heap.is_empty()
    }
}

impl Line {
    fn drawn(protocol: Protocol, mood: u64, rng: &mut Rng) -> Self {
        let mut some = |most: u64| {
            if mood > 0 && rng.chance(500) {
                rng.below(most * mood / 4 + 1)
            } else {
                0
            }
        };
        let faults = Faults {
            not_reached: some(300),
            lost: some(200),
            late: some(200),
            reply_lost: some(400),
            cut: some(150),
            status_before: some(250),
            status_after: some(250),
            garbled: some(250),
            stale: some(100),
            lags: some(600),
            void_refused: some(600),
            hooks: some(800),
            other: some(60),
            declines: 120,
        };
        let again = protocol != Protocol::Gmo && rng.chance(500);
        let away = if mood > 0 && rng.chance(200) {
            let from = NOON + rng.between(0, 10 * MINUTE);
            (from, from + rng.between(MINUTE, HOUR), rng.chance(500))
        } else {
            (0, 0, false)
        };
        Self {
            bank: Bank::new(protocol, again),
            again,
            reply_timeout: if rng.chance(700) {
                30 * SECOND
            } else {
                120 * SECOND
            },
            faults,
            away,
            last: None,
        }
    }
}

/// As the auditor speaks of it.
pub(crate) const fn stands(state: State) -> audit::Stands {
    match state {
        State::InFlight => audit::Stands::InFlight,
        State::Unknown => audit::Stands::Unknown,
        State::Approved => audit::Stands::Approved,
        State::Declined => audit::Stands::Declined,
        State::Cancelled => audit::Stands::Cancelled,
        State::Expired => audit::Stands::Expired,
        State::Voided => audit::Stands::Voided,
        _ => audit::Stands::Waiting,
    }
}

fn shown(payment: &Payment) -> audit::Payment {
    audit::Payment {
        id: payment.uid,
        slot: payment.slot,
        stands: stands(payment.state),
        amount: payment.amount.minor(),
        captured: payment.captured.unwrap_or(0),
        refunded: payment.refunded,
        reserves: payment.transaction == Transaction::Authorise,
        in_call: payment.call.is_some(),
    }
}

fn audited(operation: &Operation, payment: u64) -> audit::Operation {
    audit::Operation {
        id: operation.uid,
        payment,
        op: match operation.state {
            OpState::InFlight => audit::Op::InFlight,
            OpState::Approved => audit::Op::Approved,
            OpState::Declined | OpState::NotCharged => audit::Op::No,
            OpState::Unknown => audit::Op::Unknown,
        },
        takes: !operation.kind.is_later(),
        asks: operation.kind == OperationKind::Query,
    }
}

/// Which of an acquirer's books an operation belongs into.
pub(crate) const fn kind(kind: OperationKind) -> Kind {
    match kind {
        OperationKind::Capture => Kind::Capture,
        OperationKind::Void => Kind::Void,
        OperationKind::Refund => Kind::Refund,
        OperationKind::Query => Kind::Query,
        _ => Kind::Take,
    }
}

/// A reply, as a connector reads it.
pub(crate) fn reply(status: u16, body: String) -> Reply {
    Reply::new(status, body.into_bytes())
}

/// Whether a write may be tried again later.
pub(crate) const fn again_later(no: No) -> bool {
    matches!(no, No::Full | No::TooEarly(_))
}

/// Of an operation that has not begun.
pub(crate) fn first() -> Progress {
    Progress::default()
}
