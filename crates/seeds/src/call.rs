//! Callers, and their calls: the dialogue of the service, led by what a caller does.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ivrpay_card::Month;
use ivrpay_dialogue::{
    At, CallResult, Dialogue, Draft, Input, Line, NotWritten, Output, Say, Settings, Setup, Step,
};
use ivrpay_payment::{Durable, Intent, Outcome, State};
use ivrpay_secret::Key;

use crate::audit;
use crate::points::Crash;
use crate::rng::Rng;
use crate::settle::{Waits, outcome_number};
use crate::store::{Closes, Heard, New, No};
use crate::world::{Event, World, stands};

/// Published test numbers.
const NUMBERS: [&str; 4] = [
    "4111111111111111",
    "4242424242424242",
    "5555555555554444",
    "4012888888881881",
];

static SETTINGS: LazyLock<Arc<Settings>> = LazyLock::new(|| Arc::new(Settings::default()));

/// Who calls to pay.
pub(crate) struct Caller {
    pub(crate) slot: usize,
    announced: bool,
    /// The payment that waits for him.
    payment: Option<(usize, u64)>,
    /// How often he calls again.
    tries: u8,
    number: &'static str,
    /// Of a thousand calls, so many end by his hanging up in the middle.
    hangs_up: u64,
    /// How often he presses what he should not.
    wrong: u64,
    attended: bool,
}

impl Caller {
    pub(crate) fn drawn(slot: usize, announced: bool, rng: &mut Rng) -> Self {
        Self {
            slot,
            announced,
            payment: None,
            tries: u8::try_from(rng.below(4)).unwrap_or(0),
            number: rng.pick(&NUMBERS).unwrap_or("4111111111111111"),
            hangs_up: if rng.chance(300) { 700 } else { 100 },
            wrong: rng.below(60),
            attended: rng.chance(700),
        }
    }
}

/// What a prompt tells of the payment.
const fn tells(line: Line) -> Option<audit::Heard> {
    match line {
        Line::PaymentCompleted => Some(audit::Heard::Paid),
        Line::CardDeclined | Line::PaymentConnectorError => Some(audit::Heard::Refused),
        Line::OutcomeUnknown => Some(audit::Heard::Unknown),
        _ => None,
    }
}

/// A call, in the memory of the process.
pub(crate) struct Call {
    caller: usize,
    payment: usize,
    uid: u64,
    began: i64,
    dialogue: Dialogue,
    /// Prompts so far, and whether the last one plays.
    prompt: u32,
    plays: bool,
    asked: u32,
    step: Step,
    deadline: Option<i64>,
    draft: Option<Draft>,
    /// An intent that was written, and of which nobody has been asked yet.
    unsent: Option<(usize, Durable<Intent>)>,
    /// The last operation of it.
    operation: u64,
    hung_up: bool,
    end: Option<(Closes, Heard)>,
}

impl World<'_> {
    /// An order system announces what is to be paid.
    pub(crate) fn announce(&mut self, slot: usize, caller: usize) -> Result<(), Crash> {
        let Some(new) = self.new_payment(slot, true) else {
            return Ok(());
        };
        let made = if self.alive {
            self.store.create(new)?
        } else {
            Err(No::Full)
        };
        match made {
            Ok(payment) => {
                let uid = self.store.book().payments.get(payment).map_or(0, |p| p.uid);
                self.note("announced", uid, slot as u64);
                let all = self.callers.iter_mut().filter(|c| c.slot == slot);
                all.for_each(|caller| caller.payment = Some((payment, uid)));
            }
            // It asks again, as order systems do.
            Err(No::Full) => self.after(20_000, Event::Announce { slot, caller }),
            Err(_) => {}
        }
        Ok(())
    }

    fn new_payment(&mut self, slot: usize, announced: bool) -> Option<New> {
        let amount = self.slots.get(slot)?.amount;
        let minutes = self.rng.between(1, 60);
        let expires_ms = announced.then(|| self.now + minutes * 60_000);
        if let Some(at) = expires_ms {
            // Each minute.
            let late = self.rng.between(0, 60_000);
            self.at(at + late, Event::Expire);
        }
        Some(New {
            slot,
            transaction: self.transaction,
            amount,
            announced,
            expires_ms,
            connector: self.ways.first().copied()?,
        })
    }

    pub(crate) fn calls_in(&mut self, caller: usize) -> Result<(), Crash> {
        let Some(who) = self.callers.get(caller) else {
            return Ok(());
        };
        let (slot, announced, waits, attended) =
            (who.slot, who.announced, who.payment, who.attended);
        if !self.alive {
            self.comes_again(caller);
            return Ok(());
        }
        let number = self.calls.len();
        let claimed = match waits.filter(|_| announced) {
            Some((payment, uid)) => {
                let there = self
                    .store
                    .book()
                    .payments
                    .get(payment)
                    .is_some_and(|p| p.uid == uid);
                if there {
                    self.store.claim(payment, number)?
                } else {
                    Err(No::NotFree)
                }
            }
            None => match self.new_payment(slot, false) {
                Some(new) => self.store.create_claimed(new, number)?,
                None => return Ok(()),
            },
        };
        let before = waits
            .filter(|_| announced)
            .and_then(|(at, _)| self.store.book().payments.get(at));
        let over = before
            .and_then(|p| p.expires_ms)
            .is_some_and(|at| at <= self.now);
        let Ok(payment) = claimed else {
            self.note("not taken", caller as u64, slot as u64);
            self.comes_again(caller);
            return Ok(());
        };
        let Some(found) = self.store.book().payments.get(payment) else {
            return Ok(());
        };
        let (uid, amount, transaction) = (found.uid, found.amount, found.transaction);
        self.note("call", uid, number as u64);
        self.audit.claimed(uid, over);
        let short = self.rng.chance(750);
        let setup = Setup {
            transaction,
            attended,
            month: Month {
                year: 2026,
                month: 11,
            },
            amount_confirmed: short,
            greeting: !short,
            ..Setup::default_for(amount)
        };
        let Ok(dialogue) = Dialogue::new(Arc::clone(&SETTINGS), setup) else {
            self.audit
                .broken("memory", "no secret memory is free".to_owned());
            return Ok(());
        };
        self.calls.push(Some(Call {
            caller,
            payment,
            uid,
            began: self.now,
            dialogue,
            prompt: 0,
            plays: false,
            asked: 0,
            step: Step::Greeting,
            deadline: None,
            draft: None,
            unsent: None,
            operation: 0,
            hung_up: false,
            end: None,
        }));
        let hangs_up = self.callers.get(caller).map_or(0, |c| c.hangs_up);
        if self.rng.chance(hangs_up) {
            let ms = self.rng.between(0, 60_000);
            self.after(ms, Event::HangsUp(number));
        }
        self.with(number, |call, _| call.dialogue.start(At::default()))
    }

    /// He calls again, if he does.
    fn comes_again(&mut self, caller: usize) {
        let Some(who) = self.callers.get_mut(caller) else {
            return;
        };
        if who.tries > 0 {
            who.tries -= 1;
            let most = if self.rng.chance(700) {
                120_000
            } else {
                3_600_000
            };
            let ms = self.rng.between(1000, most);
            self.after(ms, Event::Calls(caller));
        }
    }

    /// The process is gone, and the call with it: the dialplan has the caller.
    pub(crate) fn lost(&mut self, number: usize) {
        let Some(call) = self.calls.get_mut(number).and_then(Option::take) else {
            return;
        };
        self.comes_again(call.caller);
    }

    /// One change of a call's dialogue, and what follows from it.
    fn with(&mut self, number: usize, change: impl FnOnce(&mut Call, At)) -> Result<(), Crash> {
        let now = self.now;
        let Some(mut call) = self.calls.get_mut(number).and_then(Option::take) else {
            return Ok(());
        };
        let ms = u64::try_from(now - call.began).unwrap_or(0);
        change(&mut call, At(Duration::from_millis(ms)));
        let done = self.drain(number, &mut call);
        if done.is_err() {
            // He is in the dialplan now.
            self.comes_again(call.caller);
            return done;
        }
        if call.end.is_none()
            && let Some(at) = call.dialogue.deadline()
        {
            let at = call
                .began
                .saturating_add(i64::try_from(at.millis()).unwrap_or(i64::MAX));
            if call
                .deadline
                .is_none_or(|before| before > at || before < now)
            {
                call.deadline = Some(at);
                self.at(at, Event::Deadline(number));
            }
        }
        if let Some(place) = self.calls.get_mut(number) {
            *place = Some(call);
        }
        Ok(())
    }

    fn drain(&mut self, number: usize, call: &mut Call) -> Result<(), Crash> {
        while let Some(output) = call.dialogue.poll_output() {
            match output {
                Output::Play(prompt) => {
                    call.prompt += 1;
                    call.plays = true;
                    let ms = self.rng.between(500, 4000);
                    self.after(
                        ms,
                        Event::PromptEnds {
                            call: number,
                            prompt: call.prompt,
                        },
                    );
                    for say in prompt.0 {
                        if let Say::Line(line) = say
                            && let Some(heard) = tells(line)
                        {
                            self.hears(call, heard);
                        }
                    }
                }
                Output::StopPlay => call.plays = false,
                Output::Listen(_) | Output::Taken(_) => {}
                Output::Progress(progress) => {
                    if progress.asked {
                        call.asked += 1;
                        call.step = progress.step;
                        if progress.step == Step::PaymentCardNumber {
                            self.audit.asked_for_card(call.uid);
                        }
                        let ms = self.rng.between(800, 9000);
                        self.after(
                            ms,
                            Event::Keys {
                                call: number,
                                asked: call.asked,
                            },
                        );
                    }
                }
                Output::Write(draft) => {
                    call.draft = Some(draft);
                    let ms = self.rng.between(1, 20);
                    self.after(ms, Event::Write(number));
                }
                Output::Authorise(intent, card) => {
                    let Some((at, _)) = call.unsent.take() else {
                        continue;
                    };
                    let first = self.store.book().operations.get(at).map(|o| o.connector);
                    let ways: VecDeque<usize> = self
                        .ways
                        .iter()
                        .copied()
                        .filter(|way| Some(*way) != first)
                        .collect();
                    self.begin(at, intent, ways, card, Waits::Call(number));
                }
                Output::End(end) => {
                    // An intent that is still on its way to the disk is not sent either.
                    if call.draft.is_some()
                        && let Some((at, intent)) = self.intent(call)?.ok()
                    {
                        self.not_sent(at, intent)?;
                    }
                    let result = match end.result {
                        CallResult::AmountRejected => Closes::AmountRejected,
                        CallResult::OutcomeUnknown => Closes::OutcomeUnknown,
                        _ => Closes::Other,
                    };
                    let heard = if end.hung_up {
                        Heard::Nobody
                    } else {
                        Heard::Caller
                    };
                    call.end = Some((result, heard));
                    self.note("call ends", call.uid, result as u64);
                    self.after(1, Event::Release(number));
                }
            }
        }
        Ok(())
    }

    /// What the dialplan and the caller hear of it: judged when it begins to be spoken.
    fn hears(&mut self, call: &Call, heard: audit::Heard) {
        let synced = &self.store.disk.synced.payments;
        let disk = synced
            .iter()
            .find(|p| p.uid == call.uid)
            .map(|p| stands(p.state));
        self.note("hears", call.uid, heard as u64);
        // "Not charged" of a call in which nobody was asked says nothing of an operation.
        self.audit.hears(call.uid, call.operation, heard, disk);
    }

    /// Writes the intent of a call.
    fn intent(&mut self, call: &mut Call) -> Result<Result<(usize, Durable<Intent>), No>, Crash> {
        let Some(draft) = call.draft.take() else {
            return Ok(Err(No::NotAllowed));
        };
        let Some(connector) = self.ways.first().copied() else {
            return Ok(Err(No::NotAllowed));
        };
        self.store.points.pass("before the intent")?;
        let written = self
            .store
            .write_intent(call.payment, draft.card, connector)?;
        if let Ok((at, _)) = &written {
            call.operation = self.store.book().operations.get(*at).map_or(0, |o| o.uid);
            self.note("intent", call.uid, call.operation);
        }
        Ok(written)
    }

    pub(crate) fn writes(&mut self, number: usize) -> Result<(), Crash> {
        let Some(mut call) = self.calls.get_mut(number).and_then(Option::take) else {
            return Ok(());
        };
        if call.draft.is_none() {
            if let Some(place) = self.calls.get_mut(number) {
                *place = Some(call);
            }
            return Ok(());
        }
        let written = match self.intent(&mut call) {
            Ok(written) => written,
            Err(crash) => {
                self.comes_again(call.caller);
                return Err(crash);
            }
        };
        let input = match written {
            Ok((at, intent)) => {
                call.unsent = Some((at, intent.clone()));
                Input::Written(intent)
            }
            Err(No::OrderTaken) => Input::NotWritten(NotWritten::OrderTaken),
            Err(_) => Input::NotWritten(NotWritten::Failed),
        };
        if let Some(place) = self.calls.get_mut(number) {
            *place = Some(call);
        }
        self.with(number, |call, at| call.dialogue.handle(at, input))?;
        // He hung up in between: nothing was sent.
        let unsent = self.calls.get_mut(number).and_then(Option::as_mut);
        if let Some((at, intent)) = unsent.and_then(|call| call.unsent.take()) {
            self.not_sent(at, intent)?;
        }
        Ok(())
    }

    pub(crate) fn answered(&mut self, number: usize, outcome: Outcome) -> Result<(), Crash> {
        self.note("told", number as u64, outcome_number(&outcome));
        self.store.points.pass("before it is spoken")?;
        self.with(number, |call, at| {
            call.dialogue.handle(at, Input::Answered(outcome))
        })
    }

    pub(crate) fn prompt_ends(&mut self, number: usize, prompt: u32) -> Result<(), Crash> {
        let plays = |call: &Call| call.plays && call.prompt == prompt && !call.hung_up;
        if !self
            .calls
            .get(number)
            .and_then(Option::as_ref)
            .is_some_and(plays)
        {
            return Ok(());
        }
        self.store.points.pass("spoken")?;
        self.with(number, |call, at| {
            call.plays = false;
            call.dialogue.handle(at, Input::PromptEnded);
        })
    }

    pub(crate) fn deadline(&mut self, number: usize) -> Result<(), Crash> {
        let now = self.now;
        self.with(number, |call, at| {
            if call.deadline.is_some_and(|due| due <= now) {
                call.deadline = None;
            }
            if call.dialogue.deadline().is_some_and(|due| due <= at) {
                call.dialogue.handle(at, Input::DeadlineReached);
            }
        })
    }

    pub(crate) fn hangs_up(&mut self, number: usize) -> Result<(), Crash> {
        self.with(number, |call, at| {
            if !call.hung_up && call.end.is_none() {
                call.hung_up = true;
                call.dialogue.handle(at, Input::HungUp);
            }
        })
    }

    /// He keys what he was asked for, all of it, or something else.
    pub(crate) fn keys(&mut self, number: usize, asked: u32) -> Result<(), Crash> {
        let Some(call) = self.calls.get(number).and_then(Option::as_ref) else {
            return Ok(());
        };
        if call.asked != asked || call.hung_up || call.end.is_some() {
            return Ok(());
        }
        let Some(caller) = self.callers.get(call.caller) else {
            return Ok(());
        };
        let wrong = self.rng.chance(caller.wrong);
        let keys = match (call.step, wrong) {
            (Step::PaymentCardNumber, false) => caller.number,
            (Step::PaymentCardNumber, true) => "411111111111111",
            (Step::ExpirationDate, false) => "1230",
            (Step::SecurityCode, false) => "123",
            (Step::ExpirationDate | Step::SecurityCode, true) => "9",
            (Step::CardDeclined, _) if self.rng.chance(400) => "2",
            (Step::PaymentAmount | Step::Confirmation | Step::CardDeclined, false) => "1",
            (Step::PaymentAmount | Step::Confirmation | Step::CardDeclined, true) => "2",
            _ => return Ok(()),
        };
        let gap = u64::try_from(self.rng.between(130, 400)).unwrap_or(200);
        let ends = matches!(
            call.step,
            Step::PaymentCardNumber | Step::ExpirationDate | Step::SecurityCode
        );
        let keys = keys.bytes().chain(ends.then_some(b'#'));
        self.with(number, |call, at| {
            // All of them have come by now.
            let all: Vec<Key> = keys.filter_map(Key::from_byte).collect();
            let took = Duration::from_millis(gap.saturating_mul(all.len() as u64));
            let mut came = At(at.0.saturating_sub(took));
            for key in all {
                came = came.plus(Duration::from_millis(gap));
                call.dialogue
                    .handle(came, Input::Key(key, Duration::from_millis(80)));
            }
        })
    }

    /// Gives a call's payment back.
    pub(crate) fn release(&mut self, number: usize) -> Result<(), Crash> {
        let Some(call) = self.calls.get(number).and_then(Option::as_ref) else {
            return Ok(());
        };
        let Some((result, heard)) = call.end else {
            return Ok(());
        };
        let (payment, caller, uid) = (call.payment, call.caller, call.uid);
        if self.store.finish(payment, number, result, heard)?.is_err() {
            // As soon as the journal takes it.
            self.after(5000, Event::Release(number));
            return Ok(());
        }
        if let Some(place) = self.calls.get_mut(number) {
            *place = None;
        }
        let state = self.store.book().payments.get(payment).map(|p| p.state);
        self.note("released", uid, state.map_or(9, |s| s as u64));
        // Who has paid rarely pays again, and does at times.
        let paid = state == Some(State::Approved);
        if !paid || self.rng.chance(200) {
            self.comes_again(caller);
        }
        Ok(())
    }
}
