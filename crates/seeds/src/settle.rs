//! The service's order of effects: an intent to the journal, then the acquirer, then the outcome to the journal, then whoever waits for
//! it; what is due by itself; and what people ask for. In the order of `daemon/src/settle.rs`, `recovery.rs` and `wire/src/run.rs`; what
//! an answer means is decided by the connectors, and what may be said of the money by [`Course`].

use std::collections::VecDeque;

use ivrpay_acquirer::{Asked, Course, Heard, Posted, Progress, Reply, Request, Resend, Step};
use ivrpay_card::Card;
use ivrpay_payment::{
    AcquirerRef, Approval, Currency, Decline, Doubt, Durable, Intent, Money, Notice, Noticed,
    OperationId, OperationKind, Outcome, Reason, State, Sum, Why, plant,
};

use crate::audit;
use crate::bank::{Effect, Kind, Packet, Protocol, Tag, forged};
use crate::book::{By, OpState, Operation, Release, TaskKind, TaskState};
use crate::points::Crash;
use crate::store::{self, Later, No, Noted, durable, serial};
use crate::world::{Event, Hook, Posting, World, again_later, digest_of, first, kind, reply};

/// Most requests of one operation.
const STEPS_MAX: u8 = 8;
/// Longest that a card is kept for a further sending.
const KEPT_MS: i64 = 60_000;
/// Before each further sending.
const PAUSES_MS: [i64; 2] = [1000, 4000];
/// The wait before an outcome is written again: it doubles, up to the second one.
const REWRITE_MS: i64 = 200;
const REWRITE_MAX_MS: i64 = 10_000;
/// Times that an outcome is written before the caller is told that it is being checked.
const SPOKEN_AFTER_WRITES: u32 = 6;
/// How long an acquirer that a release did not reach is left alone, and how long a release is tried.
const AWAY_MS: i64 = 30_000;
const RELEASE_MAX_MS: i64 = 24 * 3_600_000;

/// What a message may be about.
const KINDS: &[OperationKind] = &[
    OperationKind::Authorise,
    OperationKind::Capture,
    OperationKind::Charge,
    OperationKind::Refund,
    OperationKind::Void,
];

/// What came of a sending.
pub(crate) enum Came {
    Reply(u16, String),
    NoReply,
    NotSent,
}

/// Who waits for an outcome.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Waits {
    Call(usize),
    /// A person who asked for a capture, a void or a refund; or nobody.
    Nobody,
    /// What is found out is about that operation.
    About {
        operation: usize,
        uid: u64,
        by: By,
    },
    /// A release by itself, of that payment.
    Release {
        payment: usize,
        uid: u64,
    },
}

/// An operation that is being asked for, in the memory of the process.
pub(crate) struct Running {
    at: usize,
    uid: u64,
    slot: usize,
    payment: u64,
    op: Durable<Intent>,
    connector: usize,
    /// Where it may go beside, best first.
    ways: VecDeque<usize>,
    card: Option<Card>,
    /// Beside the request that holds it too, until that is connected.
    spare: Option<Card>,
    progress: Progress,
    course: Course,
    last: Option<Reply>,
    steps: u8,
    /// The request that may go out again, as it is kept.
    packet: Option<Packet>,
    opens: bool,
    until: i64,
    sending: u8,
    waiting: bool,
    /// The last sending's answer, and whether one before had none.
    answered: Option<(u16, String)>,
    doubted: bool,
    waits: Option<Waits>,
    outcome: Option<Outcome>,
    writes: u32,
}

/// A request's bytes. Only published test numbers are in them.
fn packet(request: &Request) -> Packet {
    let key = request
        .headers
        .iter()
        .find(|(name, _)| *name == "idempotency-key");
    Packet {
        post: request.method == ivrpay_acquirer::Method::Post,
        path: request.path.clone(),
        key: key.map(|(_, value)| value.clone()),
        body: request.body.as_ref().to_vec(),
    }
}

impl World<'_> {
    /// Asks for an operation that is on the disk.
    pub(crate) fn begin(
        &mut self,
        at: usize,
        op: Durable<Intent>,
        ways: VecDeque<usize>,
        card: Option<Card>,
        waits: Waits,
    ) {
        let Some(operation) = self.store.book().operations.get(at) else {
            return;
        };
        let payment = self.store.book().payments.get(operation.payment);
        let (slot, payment) = payment.map_or((0, 0), |p| (p.slot, p.uid));
        let progress = first();
        let running = Running {
            at,
            uid: operation.uid,
            slot,
            payment,
            connector: operation.connector,
            ways,
            card,
            spare: None,
            course: Course::new(op.get(), &progress),
            op,
            progress,
            last: None,
            steps: 0,
            packet: None,
            opens: false,
            until: self.now + KEPT_MS,
            sending: 0,
            waiting: false,
            answered: None,
            doubted: false,
            waits: Some(waits),
            outcome: None,
            writes: 0,
        };
        self.running.push(Some(running));
        let nth = self.running.len() - 1;
        let ms = self.rng.between(0, 5);
        self.after(ms, Event::Asks(nth));
    }

    /// An operation that is closed without asking anybody.
    pub(crate) fn not_sent(&mut self, at: usize, op: Durable<Intent>) -> Result<(), Crash> {
        self.begin(at, op, VecDeque::new(), None, Waits::Nobody);
        let nth = self.running.len() - 1;
        match self.running.get_mut(nth).and_then(Option::take) {
            Some(running) => self.ended(nth, running, Outcome::NotCharged(Why::NotSent)),
            None => Ok(()),
        }
    }

    pub(crate) fn asks(&mut self, nth: usize) -> Result<(), Crash> {
        match self.running.get_mut(nth).and_then(Option::take) {
            // One that was closed at once is only being written.
            Some(running) if running.outcome.is_some() => {
                self.put(nth, running);
                Ok(())
            }
            Some(running) => self.ask(nth, running),
            None => Ok(()),
        }
    }

    fn put(&mut self, nth: usize, running: Running) {
        if let Some(place) = self.running.get_mut(nth) {
            *place = Some(running);
        }
    }

    fn keeps_card(&self, running: &Running) -> bool {
        let Some(line) = self.lines.get(running.connector) else {
            return false;
        };
        let resend = self.lab.of(line.bank.protocol).about().capabilities.resend;
        line.again && resend != Resend::Never && !running.op.get().kind.is_later()
    }

    /// The next request, or the end.
    fn ask(&mut self, nth: usize, mut running: Running) -> Result<(), Crash> {
        running.steps += 1;
        if running.steps > STEPS_MAX {
            return self.ended(nth, running, Outcome::Unknown(Doubt::Malformed));
        }
        let Some(line) = self.lines.get(running.connector) else {
            return self.ended(nth, running, Outcome::NotCharged(Why::NotSent));
        };
        let connector = self.lab.of(line.bank.protocol);
        let asked = Asked {
            op: &running.op,
            card: running.card.as_ref(),
            now_unix_s: self.now.div_euclid(1000),
        };
        let (request, next) = match connector.step(&asked, &running.progress, running.last.as_ref())
        {
            Ok(Step::Done(says)) => {
                let outcome = running.course.ends(says);
                return self.ended(nth, running, outcome);
            }
            Ok(Step::Send(request, next)) => (request, next),
            Err(_) => {
                let outcome = running.course.stops();
                return self.ended(nth, running, outcome);
            }
        };
        let packet = packet(&request);
        drop(request);
        running.progress = next;
        running.opens = running.course.opens();
        if !running.progress.needs_card {
            running.spare = running.card.take().filter(|_| running.opens);
        }
        if !running.opens
            && self
                .store
                .write_progress(running.at, &running.progress)?
                .is_err()
        {
            let outcome = running.course.stops();
            return self.ended(nth, running, outcome);
        }
        running.course.goes_out(&running.progress);
        (running.answered, running.doubted) = (None, false);
        running.packet = Some(packet);
        running.until = self.now + KEPT_MS;
        self.send(nth, running)
    }

    /// One sending.
    fn send(&mut self, nth: usize, mut running: Running) -> Result<(), Crash> {
        let Some(packet) = running.packet.clone() else {
            return Ok(());
        };
        running.sending += 1;
        running.waiting = true;
        let (sending, connector, epoch) = (running.sending, running.connector, self.store.epoch);
        if !self.reaches(connector) {
            let ms = self.rng.between(10, 5000);
            self.after(
                ms,
                Event::Came {
                    running: nth,
                    epoch,
                    sending,
                    came: Came::NotSent,
                },
            );
            self.put(nth, running);
            return Ok(());
        }
        if !plant::is("fail-over-behind-a-sending") {
            running.spare = None;
        }
        self.store.points.pass("connected")?;
        let is = kind(running.op.get().kind);
        let written = self
            .store
            .disk
            .synced
            .operations
            .iter()
            .find(|o| o.uid == running.uid);
        let durable = written.is_some_and(|o| {
            let stage = running.opens && running.progress.again == 0
                || o.progress.stage >= running.progress.stage;
            o.connector == connector && stage && o.progress.again >= running.progress.again
        });
        let takes = is == Kind::Take && !running.progress.harmless;
        self.audit.sends(&audit::Request {
            op: running.uid,
            payment: running.payment,
            slot: running.slot,
            takes,
            connector,
            stage: running.progress.stage,
            sending: running.progress.again,
            durable,
            again: self.keeps_card(&running),
            digest: digest_of(&packet.body)
                ^ packet
                    .key
                    .as_ref()
                    .map_or(0, |key| digest_of(key.as_bytes())),
        });
        self.note("sends", running.uid, u64::from(sending));
        let tag = Tag {
            op: running.uid,
            slot: running.slot,
            kind: is,
        };
        // What the kernel has taken goes out without us, or only a part of it.
        if let Err(crash) = self.store.points.pass("request on its way") {
            let whole = self.rng.chance(500);
            self.sends(connector, (nth, sending), packet, tag, whole);
            return Err(crash);
        }
        self.sends(connector, (nth, sending), packet, tag, true);
        self.put(nth, running);
        self.store.points.pass("request is out")
    }

    /// An answer, or none.
    pub(crate) fn came(
        &mut self,
        nth: usize,
        epoch: u32,
        sending: u8,
        came: Came,
    ) -> Result<(), Crash> {
        if epoch != self.store.epoch {
            return Ok(());
        }
        let Some(mut running) = self.running.get_mut(nth).and_then(Option::take) else {
            return Ok(());
        };
        if !running.waiting || running.sending != sending {
            self.put(nth, running);
            return Ok(());
        }
        running.waiting = false;
        self.store.points.pass("answer")?;
        let Some(line) = self.lines.get(running.connector) else {
            return Ok(());
        };
        let connector = self.lab.of(line.bank.protocol);
        self.hash_of(&came);
        let asks_again = match &came {
            Came::Reply(status, body) => connector.asks_again(&reply(*status, body.clone())),
            _ => false,
        };
        let is_doubt = match &came {
            Came::Reply(status, _) => *status != 429 && asks_again,
            Came::NoReply => true,
            Came::NotSent => false,
        };
        let again_is_first = running.progress.again == 0;
        let keeps = self.keeps_card(&running) && running.op.get().token.is_none();
        let retries = plant::is("again-without-a-key")
            && matches!(came, Came::NoReply)
            && !running.progress.harmless;
        let wants = match &came {
            Came::Reply(..) => asks_again,
            Came::NoReply => true,
            Came::NotSent => !again_is_first,
        };
        // What a sending before was told, that nothing was done for it, still holds.
        let kept = matches!(came, Came::NotSent) && running.answered.is_some() && !running.doubted;
        if !kept {
            running.doubted |= is_doubt && keeps;
            running.answered = match &came {
                Came::Reply(status, body) => Some((*status, body.clone())),
                _ => None,
            };
        }
        let nothing = matches!(came, Came::NotSent) && !kept;
        let pause = PAUSES_MS.get(usize::from(running.progress.again)).copied();
        if let Some(pause) = pause
            && wants
            && (keeps || retries)
            && self.now + pause < running.until
        {
            let epoch = self.store.epoch;
            self.after(
                pause,
                Event::Again {
                    running: nth,
                    epoch,
                },
            );
            self.put(nth, running);
            return Ok(());
        }
        self.decide(nth, running, nothing)
    }

    /// Behind the last sending of a request.
    fn decide(&mut self, nth: usize, mut running: Running, not_sent: bool) -> Result<(), Crash> {
        let answered = running.answered.take();
        let doubted = running.doubted;
        if doubted {
            running.course.doubt();
        }
        match answered {
            Some((status, body)) => {
                running.last = Some(reply(status, body));
                self.ask(nth, running)
            }
            None if doubted => {
                let outcome = running.course.stops();
                self.ended(nth, running, outcome)
            }
            None if not_sent => {
                let outcome = running.course.was_not_sent();
                self.next_way(nth, running, outcome)
            }
            None if plant::is("fail-over-behind-a-sending") => {
                let outcome = running.course.stops();
                self.next_way(nth, running, outcome)
            }
            None => {
                let outcome = running.course.stops();
                self.ended(nth, running, outcome)
            }
        }
    }

    /// Not one byte has gone out: the next acquirer is asked, where there is one.
    fn next_way(
        &mut self,
        nth: usize,
        mut running: Running,
        outcome: Outcome,
    ) -> Result<(), Crash> {
        let card = running
            .card
            .take()
            .or_else(|| running.spare.take())
            .filter(|_| running.opens);
        let next = card.and_then(|card| Some((card, running.ways.pop_front()?)));
        let Some((card, connector)) = next else {
            return self.ended(nth, running, outcome);
        };
        if !plant::is("fail-over-not-written")
            && self.store.fail_over(running.at, connector)?.is_err()
        {
            return self.ended(nth, running, outcome);
        }
        self.ends.failed_over += 1;
        self.note("failed over", running.uid, connector as u64);
        running.connector = connector;
        running.progress = first();
        running.course = Course::new(running.op.get(), &running.progress);
        running.card = Some(card);
        (running.last, running.packet) = (None, None);
        self.ask(nth, running)
    }

    /// The very same request once more.
    pub(crate) fn again(&mut self, nth: usize, epoch: u32) -> Result<(), Crash> {
        if epoch != self.store.epoch {
            return Ok(());
        }
        let Some(mut running) = self.running.get_mut(nth).and_then(Option::take) else {
            return Ok(());
        };
        running.progress.again += 1;
        let noted = plant::is("again-and-not-written")
            || self
                .store
                .write_progress(running.at, &running.progress)?
                .is_ok();
        if !noted || self.now >= running.until {
            return self.decide(nth, running, false);
        }
        if plant::is("again-under-another-key")
            && let Some(packet) = &mut running.packet
        {
            let old = running.op.get().idempotency_key.to_string();
            let new = store::uuid(serial(running.op.get().idempotency_key.uuid()) + 1_000_000)
                .to_string();
            packet.key = packet.key.as_ref().map(|key| key.replace(&old, &new));
            packet.body = String::from_utf8_lossy(&packet.body)
                .replace(&old, &new)
                .into_bytes();
        }
        self.send(nth, running)
    }

    fn hash_of(&mut self, came: &Came) {
        match came {
            Came::Reply(status, body) => {
                self.note("answer", u64::from(*status), digest_of(body.as_bytes()))
            }
            Came::NoReply => self.note("no answer", 0, 0),
            Came::NotSent => self.note("not sent", 0, 0),
        }
    }

    /// What came of it is known, or that it is not.
    fn ended(&mut self, nth: usize, mut running: Running, outcome: Outcome) -> Result<(), Crash> {
        let takes = !running.op.get().kind.is_later();
        let outcome = match outcome {
            Outcome::Unknown(_) if takes && plant::is("unknown-is-declined") => {
                Outcome::Declined(Decline {
                    reason: Reason::Other,
                    code: String::new(),
                    hard: false,
                    action: None,
                })
            }
            Outcome::Unknown(_) if takes && plant::is("unknown-is-approved") => approved_by("none"),
            other => other,
        };
        running.outcome = Some(outcome.clone());
        if plant::is("told-before-it-is-written")
            && let Some(waits) = running.waits.take()
        {
            self.deliver(waits, outcome, running.at)?;
            self.after(
                100,
                Event::Keep {
                    running: nth,
                    epoch: self.store.epoch,
                },
            );
            self.put(nth, running);
            return Ok(());
        }
        self.keep(nth, running)
    }

    pub(crate) fn keeps(&mut self, nth: usize, epoch: u32) -> Result<(), Crash> {
        if epoch != self.store.epoch {
            return Ok(());
        }
        match self.running.get_mut(nth).and_then(Option::take) {
            Some(running) => self.keep(nth, running),
            None => Ok(()),
        }
    }

    /// Writes an outcome; then it is told.
    fn keep(&mut self, nth: usize, mut running: Running) -> Result<(), Crash> {
        let Some(outcome) = running.outcome.clone() else {
            return Ok(());
        };
        let mut written = self.store.write_outcome(running.at, &outcome)?;
        if written == Err(No::AlreadyWritten) {
            written = self.store.settle(running.at, &outcome, By::LateAnswer)?;
        }
        match written {
            Ok(_) | Err(No::AlreadyWritten) => {}
            Err(no) if again_later(no) || no == No::Illegal => {
                running.writes += 1;
                if running.writes == SPOKEN_AFTER_WRITES
                    && let Some(waits) = running.waits.take()
                {
                    let told = match outcome {
                        Outcome::NotCharged(why) => Outcome::NotCharged(why),
                        _ => Outcome::Unknown(Doubt::NoReply),
                    };
                    self.deliver(waits, told, running.at)?;
                }
                let wait = REWRITE_MS.saturating_mul(1 << running.writes.saturating_sub(1).min(10));
                self.after(
                    wait.min(REWRITE_MAX_MS),
                    Event::Keep {
                        running: nth,
                        epoch: self.store.epoch,
                    },
                );
                self.put(nth, running);
                return Ok(());
            }
            Err(_) => {}
        }
        self.note("outcome", running.uid, outcome_number(&outcome));
        self.store.points.pass("before it is told")?;
        match running.waits.take() {
            Some(waits) => self.deliver(waits, outcome, running.at),
            None => Ok(()),
        }
    }

    fn deliver(&mut self, waits: Waits, outcome: Outcome, at: usize) -> Result<(), Crash> {
        match waits {
            Waits::Call(call) => {
                self.after(1, Event::Answered { call, outcome });
                Ok(())
            }
            Waits::Nobody => Ok(()),
            Waits::About { operation, uid, by } => {
                self.asking.retain(|asking| *asking != uid);
                // A charge that has stopped in the middle is released by the service: none of these acquirers takes it by two requests.
                if matches!(outcome, Outcome::Unknown(_)) {
                    return Ok(());
                }
                match self.store.settle(operation, &outcome, by)? {
                    Ok(_) => {
                        self.ends.found_out += 1;
                        if by == By::Inquiry {
                            let of = self
                                .store
                                .book()
                                .operations
                                .get(operation)
                                .map(|o| o.payment);
                            let of = of
                                .and_then(|at| self.store.book().payments.get(at))
                                .map_or(0, |p| p.uid);
                            self.audit.sees_to(of);
                        }
                        self.note("found out", uid, outcome_number(&outcome));
                    }
                    Err(No::TooEarly(sure_ms)) if by == By::Recovery => {
                        self.store.inquire_at(operation, Some(sure_ms))?.ok();
                    }
                    Err(_) => {}
                }
                Ok(())
            }
            Waits::Release { payment, uid } => {
                self.asking.retain(|asking| *asking != uid);
                let not_reached = matches!(outcome, Outcome::NotCharged(Why::NotSent | Why::Busy));
                let void = self.store.book().operations.get(at);
                let again = not_reached && void.is_some_and(|o| o.state == OpState::NotCharged);
                self.released(payment, again)
            }
        }
    }

    fn released(&mut self, payment: usize, again: bool) -> Result<(), Crash> {
        let written = if again {
            let at_ms = self.now + AWAY_MS;
            self.store.release_at(payment, at_ms)?
        } else {
            self.store.released(payment)?
        };
        // Else it is looked at again.
        written.ok();
        Ok(())
    }

    /// What is due by itself.
    pub(crate) fn look(&mut self) -> Result<(), Crash> {
        if !self.alive {
            return Ok(());
        }
        for connector in 0..self.lines.len() {
            if !self.can(connector, OperationKind::Query) {
                continue;
            }
            for operation in self.store.to_inquire(connector) {
                self.ask_about(operation, By::Recovery, By::Recovery)?;
            }
        }
        for (release, wanted) in self.store.to_release() {
            self.release_one(release, wanted)?;
        }
        Ok(())
    }

    /// Asks what became of an operation.
    fn ask_about(&mut self, operation: usize, by: By, found_by: By) -> Result<(), Crash> {
        let uid = self
            .store
            .book()
            .operations
            .get(operation)
            .map_or(0, |o| o.uid);
        if self.asking.contains(&uid) {
            return Ok(());
        }
        if !self.can_ask(operation) {
            if by == By::Recovery {
                self.store.inquire_at(operation, None)?.ok();
            }
            return Ok(());
        }
        let Ok(query) = self.store.query(operation, by)? else {
            return Ok(());
        };
        self.asking.push(uid);
        let Some(intent) = self.store.book().operations.get(query).map(durable) else {
            return Ok(());
        };
        self.begin(
            query,
            intent,
            VecDeque::new(),
            None,
            Waits::About {
                operation,
                uid,
                by: found_by,
            },
        );
        Ok(())
    }

    /// Whether its acquirer can tell what became of that one.
    fn can_ask(&self, operation: usize) -> bool {
        let about = self.store.book().operations.get(operation);
        let line = about.and_then(|about| self.lines.get(about.connector));
        let parent = self.store.as_parent(operation);
        line.zip(parent).is_some_and(|(line, parent)| {
            let connector = self.lab.of(line.bank.protocol);
            connector.can_ask(&parent)
        })
    }

    fn release_one(&mut self, release: Release, wanted: bool) -> Result<(), Crash> {
        let payment = release.payment;
        let found = self
            .store
            .book()
            .payments
            .get(payment)
            .map(|p| (p.uid, p.connector));
        let Some((uid, connector)) = found else {
            return Ok(());
        };
        if self.asking.contains(&uid) {
            return Ok(());
        }
        if !wanted
            || self.now - release.since_ms >= RELEASE_MAX_MS
            || plant::is("release-forgotten")
        {
            return self.released(payment, false);
        }
        let void = OperationKind::Void;
        if !self.can(connector, void) {
            self.audit.sees_to(uid);
            return self.released(payment, false);
        }
        let key = release.at_ms.cast_unsigned() << 8 | payment as u64;
        match self.store.later(payment, void, None, By::Recovery, key)? {
            Ok(Later::New(at)) => {
                self.asking.push(uid);
                self.ends.released += 1;
                self.audit.releases(uid);
                if let Some(intent) = self.store.book().operations.get(at).map(durable) {
                    self.begin(
                        at,
                        intent,
                        VecDeque::new(),
                        None,
                        Waits::Release { payment, uid },
                    );
                }
                Ok(())
            }
            Ok(Later::Existing) => {
                let before = self
                    .store
                    .book()
                    .of(payment)
                    .find(|o| o.request == Some(key));
                let not_reached = before.is_some_and(|o| {
                    let why = matches!(
                        o.outcome,
                        Some(Outcome::NotCharged(Why::NotSent | Why::Busy))
                    );
                    o.state == OpState::NotCharged && why
                });
                self.released(payment, not_reached)
            }
            Err(no) => {
                let open = self.store.book().open(payment).is_some();
                self.released(payment, no == No::Full || open)
            }
        }
    }

    /// A person does something: asks for something behind the call, asks what became of a payment, takes a task, ends one.
    pub(crate) fn person(&mut self) -> Result<(), Crash> {
        if !self.alive {
            return Ok(());
        }
        let payments: Vec<usize> = self.store.book().payments.iter().map(|p| p.at).collect();
        let Some(payment) = self.rng.pick(&payments) else {
            return Ok(());
        };
        let tasks = self
            .store
            .book()
            .tasks
            .iter()
            .filter(|t| t.state != TaskState::Done);
        let tasks: Vec<usize> = tasks.map(|t| t.at).collect();
        match self.rng.below(6) {
            0 | 1 => self.person_asks(payment),
            2 => {
                if self.store.withdraw(payment)?.is_ok() {
                    self.note("withdrawn", payment as u64, 0);
                }
                self.person_asks(payment)
            }
            3 => {
                let unknown = self
                    .store
                    .book()
                    .of(payment)
                    .filter(|o| store::is_unknown(o));
                let unknown: Vec<(usize, usize)> = unknown.map(|o| (o.at, o.connector)).collect();
                for (operation, connector) in unknown {
                    if self.can(connector, OperationKind::Query) {
                        self.ask_about(operation, By::Person, By::Inquiry)?;
                    }
                }
                Ok(())
            }
            4 => match self.rng.pick(&tasks) {
                Some(task) => {
                    if self.store.take_task(task)?.is_ok() {
                        self.sees_to(task);
                    }
                    Ok(())
                }
                None => Ok(()),
            },
            _ => match self.rng.pick(&tasks) {
                Some(task) => self.finds_out(task),
                None => Ok(()),
            },
        }
    }

    fn sees_to(&mut self, task: usize) {
        // Who has found out what was unknown may have told it to somebody.
        let task = self.store.book().tasks.get(task).copied();
        if let Some(task) =
            task.filter(|t| t.kind != TaskKind::Contradicts && t.state != TaskState::Open)
        {
            if task.kind == TaskKind::UnknownOutcome && task.state != TaskState::Done {
                return;
            }
            let payment = self
                .store
                .book()
                .payments
                .get(task.payment)
                .map_or(0, |p| p.uid);
            self.audit.sees_to(payment);
        }
    }

    fn person_asks(&mut self, payment: usize) -> Result<(), Crash> {
        let kinds = [
            OperationKind::Capture,
            OperationKind::Void,
            OperationKind::Refund,
        ];
        let Some(kind) = self.rng.pick(&kinds) else {
            return Ok(());
        };
        let Some(found) = self.store.book().payments.get(payment).cloned() else {
            return Ok(());
        };
        if !self.can(found.connector, kind) {
            return Ok(());
        }
        let Some(line) = self.lines.get(found.connector) else {
            return Ok(());
        };
        let about = self.lab.of(line.bank.protocol).about();
        let is_open = matches!(found.state, State::Unknown | State::InFlight);
        if kind == OperationKind::Void && is_open && !self.releases(payment) {
            return Ok(());
        }
        let parts = match kind {
            OperationKind::Refund => about.capabilities.partial_refund,
            OperationKind::Capture => about.capabilities.partial_capture,
            _ => false,
        };
        let some = self.rng.below(found.amount.minor()) + 1;
        let wanted = (parts && self.rng.chance(500)).then_some(some);
        let request = 1 << 60 | self.rng.next() >> 8;
        let Ok(Later::New(at)) = self
            .store
            .later(payment, kind, wanted, By::Person, request)?
        else {
            return Ok(());
        };
        self.note("person asks", found.uid, at as u64);
        self.audit.sees_to(found.uid);
        if let Some(intent) = self.store.book().operations.get(at).map(durable) {
            self.begin(at, intent, VecDeque::new(), None, Waits::Nobody);
        }
        Ok(())
    }

    /// Whether its acquirer releases what it may have taken or not.
    fn releases(&self, payment: usize) -> bool {
        let book = self.store.book();
        let takes = |o: &&Operation| !o.kind.is_later() && o.state == OpState::Unknown;
        let root = book.of(payment).rfind(takes);
        let line = root.and_then(|root| self.lines.get(root.connector));
        let parent = root.and_then(|root| self.store.as_parent(root.at));
        line.zip(parent).is_some_and(|(line, parent)| {
            let connector = self.lab.of(line.bank.protocol);
            connector.releases(&parent)
        })
    }

    /// Ends a task, by what the acquirer's books say.
    pub(crate) fn finds_out(&mut self, task: usize) -> Result<(), Crash> {
        let Some(found) = self.store.book().tasks.get(task).copied() else {
            return Ok(());
        };
        let operation = found
            .operation
            .and_then(|at| self.store.disk.book.operations.get(at));
        let outcome = operation.and_then(|operation| {
            let bank = &mut self.lines.get_mut(operation.connector)?.bank;
            let (amount, currency) = (operation.amount.minor(), operation.amount.currency().code());
            // A void is of all that there is, whatever that was.
            let takes = !operation.kind.is_later();
            let wrong = takes
                && bank
                    .did(operation.uid)
                    .is_some_and(|did| did.amount != amount || did.currency != currency);
            if wrong {
                bank.gives_back(operation.uid);
                return Some(Outcome::NotCharged(Why::LookedUp));
            }
            let done = if operation.kind.is_later() {
                bank.did(operation.uid)
                    .map(|effect| effect.reference.clone())
            } else {
                bank.effective(operation.uid)
                    .map(|entry| entry.reference.clone())
            };
            Some(match done {
                // One that could be a card number is written with a / in it, as the journal asks for.
                Some(reference) if reference.bytes().all(|b| b.is_ascii_digit()) => {
                    let (date, rest) = reference.split_at_checked(12).unwrap_or((&reference, ""));
                    approved_by(&format!("{date}/{rest}"))
                }
                Some(reference) => approved_by(&reference),
                None => Outcome::NotCharged(Why::LookedUp),
            })
        });
        let ended = self.store.finish_task(task, outcome.as_ref())?;
        if ended.is_ok() {
            self.sees_to(task);
        }
        Ok(())
    }

    /// What an acquirer says of itself of what it has done: late, twice, ahead of its answer, of another amount.
    pub(crate) fn hooks_of(&mut self, connector: usize, effect: &Effect) {
        let protocol = self.lines.get(connector).map(|line| line.bank.protocol);
        if protocol == Some(Protocol::Adyen) {
            return;
        }
        let currency = effect.currency.parse::<Currency>().ok();
        let amount = currency.and_then(|currency| Money::new(effect.amount, currency).ok());
        let (Some(amount), Outcome::Approved(approval)) = (amount, approved_by(&effect.reference))
        else {
            return;
        };
        let times = 1 + self.rng.below(3);
        for _ in 0..times {
            let other = Money::new(effect.amount + 1, amount.currency());
            let sum = if self.rng.chance(100) {
                other.unwrap_or(amount)
            } else {
                amount
            };
            let message = Notice {
                event: "DONE",
                about: Noticed::Operation(OperationId::new(store::uuid(effect.op))),
                kinds: KINDS,
                warns: &[],
                sum: Sum::Is(sum),
                outcome: Outcome::Approved(approval.clone()),
                reference: approval.acquirer_ref.clone(),
            };
            let most = if self.rng.chance(700) { 3000 } else { 600_000 };
            let ms = self.rng.between(1, most);
            let hook = Hook {
                connector,
                message,
                tries: 0,
            };
            self.after(ms, Event::Hook(Box::new(hook)));
        }
    }

    /// What an acquirer posts of itself, as it comes: late, twice, and at times by somebody who has not its key.
    pub(crate) fn says(&mut self, connector: usize, body: &str) {
        let mut bodies = vec![body.to_owned(); 1 + usize::from(self.rng.chance(200))];
        if self.rng.chance(150) && !self.calm {
            bodies.push(forged(body));
        }
        for body in bodies {
            let most = if self.rng.chance(600) { 4000 } else { 900_000 };
            let ms = self.rng.between(1, most);
            let tries = 0;
            self.after(
                ms,
                Event::Posted(Posting {
                    connector,
                    body,
                    tries,
                }),
            );
        }
    }

    pub(crate) fn posted(&mut self, posting: Posting) -> Result<(), Crash> {
        let mut taken = false;
        if self.alive
            && let Some(line) = self.lines.get(posting.connector)
            && let Some(hook) = self.lab.of(line.bank.protocol).hook()
        {
            let posted = Posted {
                authorization: None,
                signature: None,
                now_unix_s: self.now.div_euclid(1000),
                body: posting.body.as_bytes(),
            };
            match hook.read(&posted) {
                Ok(heard) => {
                    taken = true;
                    for heard in heard {
                        if let Heard::Notice(notice) = heard {
                            let told = self.store.notice(posting.connector, &notice)?;
                            self.note(
                                "posted",
                                posting.connector as u64,
                                told.map_or(9, |told| told as u64),
                            );
                            taken &= !matches!(told, Ok(Noted::InFlight) | Err(_));
                        }
                    }
                }
                Err(_) => {
                    self.note("not believed", posting.connector as u64, 0);
                    taken = true;
                }
            }
        }
        if !taken && posting.tries < 13 {
            let ms = 5000 << posting.tries;
            let tries = posting.tries + 1;
            self.after(ms, Event::Posted(Posting { tries, ..posting }));
        }
        Ok(())
    }

    pub(crate) fn hook(&mut self, hook: Hook) -> Result<(), Crash> {
        let told = if self.alive {
            self.store.notice(hook.connector, &hook.message)?
        } else {
            Err(No::Full)
        };
        self.note(
            "hook",
            hook.connector as u64,
            told.map_or(9, |told| told as u64),
        );
        // It comes again until it is taken.
        if matches!(told, Ok(Noted::InFlight) | Err(_)) && hook.tries < 8 {
            let ms = 5000 << hook.tries;
            let tries = hook.tries + 1;
            self.after(ms, Event::Hook(Box::new(Hook { tries, ..hook })));
        }
        Ok(())
    }
}

pub(crate) fn approved_by(reference: &str) -> Outcome {
    match AcquirerRef::new(reference) {
        Ok(acquirer_ref) => Outcome::Approved(Approval {
            acquirer_ref,
            code: None,
            card: None,
        }),
        Err(_) => Outcome::Unknown(Doubt::Malformed),
    }
}

pub(crate) const fn outcome_number(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Approved(_) => 1,
        Outcome::Declined(_) => 2,
        Outcome::NotCharged(_) => 3,
        Outcome::Unknown(_) => 4,
    }
}
