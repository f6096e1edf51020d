//! The call as a state machine without I/O: keys, waits and answers in; prompts, progress, intents and charges out.
//!
//! # Contract
//!
//! 1. [`Dialogue::new`] takes all the secret memory of a call, then [`Dialogue::start`] begins it.
//! 2. One change: [`Dialogue::handle`], with the time at which it happened (for a key, when it *arrived*).
//! 3. [`Dialogue::poll_output`] until `None`; each output is done in that order.
//! 4. Wait for an event, or for [`Dialogue::deadline`], then 2. again ([`Input::DeadlineReached`]).
//! 5. After [`Output::End`] nothing comes; the dialogue may be dropped. What it held is wiped by then.
//!
//! What the driver owes:
//! - [`Input::PromptEnded`] only for the prompt that was last asked for and was not stopped. A lost one strands nobody: a prompt is
//!   taken as ended after [`Settings::prompt_max`].
//! - [`Output::Write`] is always answered. Where [`Input::Written`] does not bring an [`Output::Authorise`] (the caller hung up
//!   or the call was ended in between; the dialogue may even be over), nothing is sent, and the driver closes the intent as not sent.
//! - [`Output::Authorise`] is always answered, with `Unknown` at worst. Until then nothing ends the call, neither hang-up nor limit,
//!   and after a hang-up there is no deadline either.
//!
//! # Keys
//!
//! A key during a prompt stops it and counts. Everything happens at once in `handle`, so a key typed ahead always meets the field that it
//! was meant for, and no buffer holds it; only while the acquirer is being asked, in a pause and at the end keys are dropped. After an
//! error keys are dropped until there is a pause ([`Settings::after_error`]): they were meant for the steps behind the wrong field.
//! The rules of duplicate tones stand in `pace.rs`.
//!
//! `handle` is total: what a state does not expect is ignored there, and it never panics. Every call ends within
//! [`Settings::session`], the wait for an acquirer and the last prompt aside.
//!
//! Neither [`Dialogue`] nor [`Input`] nor [`Output`] is `Debug` or `Clone`: they hold card data.

mod amount;
mod authorise;
mod call;
mod collect_code;
mod collect_expiry;
mod collect_pan;
mod confirm;
mod declined;
pub mod desk;
mod ear;
mod ending;
mod expiry_past;
mod field;
mod greeting;
mod io;
pub mod keyed;
mod led;
mod line;
mod menu;
pub mod operator;
mod pace;
mod paused;
mod phase;
mod plan;
mod settings;
mod stored;
mod wait;
mod writing;

use std::sync::Arc;

use ivrpay_payment::{Durable, Intent, Outcome, Truncated};
use ivrpay_secret::{Full, Key};

use crate::call::Call;
pub use crate::io::*;
pub use crate::led::{Ask, CardField, Fields, Leading, Taken};
pub use crate::line::Line;
use crate::pace::Touch;
pub use crate::plan::{Counts, PlanKinds};
pub use crate::settings::{Settings, Setup};

/// Deadlines that one `handle` may find due: more are never left behind by settings of a millisecond or more.
const DUE_MAX: usize = 16;

/// One call.
pub struct Dialogue {
    call: Call,
    state: State,
    /// Latest time heard of: it never goes back.
    now: At,
}

/// Where the call is. One state, one file; leaving a state drops its digits, which wipes them.
enum State {
    New,
    Greeting(greeting::Greeting),
    Amount(amount::Amount),
    Stored(stored::Stored),
    CollectPan(collect_pan::CollectPan),
    CollectExpiry(collect_expiry::CollectExpiry),
    ExpiryPast(expiry_past::ExpiryPast),
    CollectCode(collect_code::CollectCode),
    Plan(plan::ChoosePlan),
    Confirm(confirm::Confirm),
    Writing(writing::Writing),
    Authorise(authorise::Authorise),
    Declined(declined::Declined),
    Led(led::Led),
    Paused(paused::Paused),
    Ending(ending::Ending),
    Over,
}

/// What a state gets to see of an input.
enum What {
    Key(Key, Touch),
    KeysLost,
    PromptEnded,
    Time,
    Written(Durable<Intent>),
    NotWritten(NotWritten),
    Answered(Outcome),
    Cancel,
    Capture(Ask),
    Complete,
    Pause,
    ReAsk(Step),
    Resume,
    Shutdown,
    HungUp,
}

impl Dialogue {
    /// A call that has not begun. Takes its secret memory: this is the admission control of a call.
    ///
    /// # Errors
    /// [`Full`] when no secret memory is free.
    pub fn new(settings: Arc<Settings>, setup: Setup) -> Result<Self, Full> {
        Ok(Self {
            call: Call::new(settings, setup)?,
            state: State::New,
            now: At::default(),
        })
    }

    /// Begins; the first outputs are there afterwards. A `handle` without it begins too.
    pub fn start(&mut self, now: At) {
        self.now = self.now.max(now);
        if matches!(self.state, State::New) {
            self.call.began = self.now;
            self.call.progress_at = self.now;
            self.state = greeting::enter(&mut self.call, self.now);
        }
    }

    /// Takes one change in.
    pub fn handle(&mut self, now: At, input: Input) {
        self.start(now);
        match input {
            Input::Key(key, lasted) => {
                // The wait that ended before the key arrived comes first; a key that arrived in time counts, however late we are.
                self.due();
                self.key(now, key, lasted);
            }
            // Belongs to the prompt that plays now, not to one that a due deadline would begin.
            Input::PromptEnded => {
                self.call.prompt_ended();
                self.step(What::PromptEnded);
                self.due();
            }
            Input::DeadlineReached => self.due(),
            Input::Listening => self.call.ear.tones_on(),
            Input::KeysLost => self.timely(What::KeysLost),
            Input::Written(intent) => self.timely(What::Written(intent)),
            Input::NotWritten(why) => self.timely(What::NotWritten(why)),
            Input::Answered(outcome) => self.timely(What::Answered(outcome)),
            Input::HungUp => self.timely(What::HungUp),
            Input::Command(command) => self.timely(match command {
                Command::Cancel => What::Cancel,
                Command::Capture(ask) => What::Capture(ask),
                Command::Complete => What::Complete,
                Command::Pause => What::Pause,
                Command::ReAsk(step) => What::ReAsk(step),
                Command::Resume => What::Resume,
                Command::Shutdown => What::Shutdown,
            }),
        }
    }

    /// What is to be done now, in order; `None` when there is nothing more.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.call.poll()
    }

    /// When [`Input::DeadlineReached`] is wanted, unless something else happens first.
    #[must_use]
    pub fn deadline(&self) -> Option<At> {
        let own = self.state.deadline(&self.call);
        let limit = self.limit();
        match (own, limit) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// When it ends by itself, unless a key comes; `None` where nothing but an answer ends it.
    #[must_use]
    pub fn ends(&self) -> Option<At> {
        self.limit()
    }

    /// The card that it is about now, as far as may be shown: the one that was keyed, or the last one that was sent.
    #[must_use]
    pub fn card(&self) -> Option<Truncated> {
        self.state.card().or(self.call.card)
    }

    /// How far it is. True until the next [`Self::handle`].
    #[must_use]
    pub fn stage(&self) -> Stage {
        match &self.state {
            State::Authorise(_) => Stage::Charging,
            State::Ending(_) | State::Over => Stage::Ending,
            _ => Stage::Open,
        }
    }

    /// Whether a whole card is being confirmed, or written down before it is sent: it was completed already. True until the next
    /// [`Self::handle`].
    #[must_use]
    pub fn is_completing(&self) -> bool {
        self.state.completing()
    }

    /// Whether that would do what it says, now: who is told "yes" must not be told wrong. True until the next [`Self::handle`].
    #[must_use]
    pub fn takes(&self, now: At, command: Command) -> bool {
        // What is due comes first, and may change what is asked.
        let is_due = self.deadline().is_some_and(|at| at <= now);
        match command {
            Command::Cancel | Command::Shutdown => self.stage() == Stage::Open,
            Command::Pause => !is_due && self.call.setup.can_pause && self.state.pausable(),
            Command::Resume => !is_due && matches!(self.state, State::Paused(_)),
            Command::Capture(ask) => !is_due && self.state.captures(&self.call, ask),
            Command::Complete => !is_due && self.state.completes(&self.call),
            Command::ReAsk(step) if self.call.setup.led.is_some() && self.state.is_led() => {
                !is_due && self.state.asks_led(&self.call, step)
            }
            Command::ReAsk(step) => {
                let setup = &self.call.setup;
                let is_asked = match step {
                    Step::SecurityCode => setup.security_code,
                    Step::PaymentPlan => !setup.offers.is_empty(),
                    _ => true,
                };
                // The acquirer's card has no code and no expiry that somebody keyed.
                let is_keyed = !matches!(step, Step::SecurityCode | Step::ExpirationDate)
                    || !self.state.is_stored();
                is_asked && is_keyed && !is_due && self.state.re_asks(step)
            }
        }
    }

    fn timely(&mut self, what: What) {
        self.due();
        self.step(what);
    }

    fn due(&mut self) {
        for _ in 0..DUE_MAX {
            if self.deadline().is_none_or(|at| at > self.now) {
                return;
            }
            if self.limit().is_some_and(|at| at <= self.now) {
                self.time_over();
            } else {
                self.step(What::Time);
            }
        }
    }

    fn key(&mut self, arrived: At, key: Key, lasted: std::time::Duration) {
        let call = &mut self.call;
        let speaks = call.speaks();
        let touch = call.ear.hear(&call.settings, arrived, key, lasted, speaks);
        if call.ear.tones_off() && !matches!(self.state, State::Over) {
            call.push(Output::Listen(false));
        }
        let Some(touch) = touch else {
            return;
        };
        // Where a program leads and asks for nothing, keys are nobody's: a card is not held for them.
        if !matches!(&self.state, State::Led(led) if !led.asks()) {
            call.progress_at = self.now;
        }
        self.step(What::Key(key, touch));
    }

    /// Lets the state see it; what every state answers alike is answered here.
    fn step(&mut self, what: What) {
        let now = self.now;
        let state = std::mem::replace(&mut self.state, State::Over);
        let call = &mut self.call;
        match what {
            // A caller who is keying goes on: what follows is the rest of a number whose beginning is gone.
            What::KeysLost => call.ear.flush = call.until_heard(),
            What::ReAsk(step) if state.re_asks(step) => {
                call.ear.flush = call.until_heard();
                call.progress_at = now;
            }
            _ => {}
        }
        self.state = match what {
            what if !state.interruptible() => state.handle(call, now, what),
            What::HungUp => {
                drop(state);
                call.hang_up();
                ending::over(call, CallResult::CallerHungUp)
            }
            What::Cancel => leave(
                call,
                now,
                state,
                CallResult::AgentCancelled,
                Line::AgentCancelled,
            ),
            What::Shutdown => leave(
                call,
                now,
                state,
                CallResult::InternalError,
                Line::InternalError,
            ),
            What::Pause if state.pausable() => paused::enter(call, now, state),
            what => state.handle(call, now, what),
        };
    }

    /// The session limit, or the limit without progress.
    fn limit(&self) -> Option<At> {
        if !self.state.interruptible() {
            return None;
        }
        let session = self.call.began.plus(self.call.settings.session);
        // Of a card that is held while nobody goes on with it there is an end.
        if matches!(self.state, State::Paused(_))
            || matches!(&self.state, State::Led(led) if !led.holds_card())
        {
            return Some(session);
        }
        Some(session.min(self.call.progress_at.plus(self.call.settings.no_progress)))
    }

    fn time_over(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = leave(
            &mut self.call,
            self.now,
            state,
            CallResult::SessionTimeout,
            Line::SessionTimeout,
        );
    }
}

/// Ends before anything was sent. In a pause without a word: caller and operator are talking.
fn leave(call: &mut Call, now: At, state: State, result: CallResult, line: Line) -> State {
    let silent = matches!(state, State::Paused(_));
    // Wiped before anything is said.
    drop(state);
    if silent {
        call.stop_play();
        return ending::over(call, result);
    }
    ending::say(call, now, result, &[line])
}

impl State {
    fn handle(self, call: &mut Call, now: At, what: What) -> Self {
        match self {
            Self::Greeting(state) => state.handle(call, now, what),
            Self::Amount(state) => state.handle(call, now, what),
            Self::Stored(state) => state.handle(call, now, what),
            Self::CollectPan(state) => state.handle(call, now, what),
            Self::CollectExpiry(state) => state.handle(call, now, what),
            Self::ExpiryPast(state) => state.handle(call, now, what),
            Self::CollectCode(state) => state.handle(call, now, what),
            Self::Plan(state) => state.handle(call, now, what),
            Self::Confirm(state) => state.handle(call, now, what),
            Self::Writing(state) => state.handle(call, now, what),
            Self::Authorise(state) => state.handle(call, now, what),
            Self::Declined(state) => state.handle(call, now, what),
            Self::Led(state) => state.handle(call, now, what),
            Self::Paused(state) => state.handle(call, now, what),
            Self::Ending(state) => state.handle(call, now, what),
            Self::New | Self::Over => self,
        }
    }

    fn deadline(&self, call: &Call) -> Option<At> {
        match self {
            Self::New => Some(At::default()),
            Self::Greeting(state) => Some(state.deadline()),
            Self::Amount(state) => Some(state.deadline(call)),
            Self::Stored(state) => Some(state.deadline(call)),
            Self::CollectPan(state) => Some(state.deadline(call)),
            Self::CollectExpiry(state) => Some(state.deadline(call)),
            Self::ExpiryPast(state) => Some(state.deadline(call)),
            Self::CollectCode(state) => Some(state.deadline(call)),
            Self::Plan(state) => Some(state.deadline(call)),
            Self::Confirm(state) => Some(state.deadline(call)),
            Self::Authorise(state) => state.deadline(call),
            Self::Declined(state) => Some(state.deadline(call)),
            Self::Led(state) => state.deadline(call),
            Self::Paused(state) => state.deadline(),
            Self::Ending(state) => Some(state.deadline()),
            Self::Writing(_) | Self::Over => None,
        }
    }

    /// Nothing is in flight and the result is not decided: hang-up, cancellation, shutdown and limits end the call.
    fn interruptible(&self) -> bool {
        !matches!(
            self,
            Self::New | Self::Authorise(_) | Self::Ending(_) | Self::Over
        )
    }

    /// Whether a program leads from here, in a pause too.
    fn is_led(&self) -> bool {
        match self {
            Self::Led(_) => true,
            Self::Paused(paused) => paused.is_led(),
            _ => false,
        }
    }

    /// Whether a field is asked by that, where a program leads.
    fn asks_led(&self, call: &Call, step: Step) -> bool {
        let again = false;
        let ask = CardField::of(step).map(|field| Ask { field, again });
        self.is_led() && ask.is_some_and(|ask| self.captures(call, ask))
    }

    fn captures(&self, call: &Call, ask: Ask) -> bool {
        match self {
            Self::Led(led) => led.captures(call, ask),
            Self::Paused(paused) => paused.captures(call, ask),
            _ => false,
        }
    }

    fn completes(&self, call: &Call) -> bool {
        match self {
            Self::Led(led) => led.is_complete(call),
            Self::Paused(paused) => paused.completes(call),
            _ => false,
        }
    }

    /// Whether it was completed, in a pause too.
    fn completing(&self) -> bool {
        match self {
            Self::Confirm(_) | Self::Writing(_) => true,
            Self::Paused(paused) => paused.completing(),
            _ => false,
        }
    }

    /// Whether a person may have this asked anew from here.
    fn re_asks(&self, step: Step) -> bool {
        match (self, step) {
            (Self::Paused(paused), step) => paused.re_asks(step),
            (Self::Amount(_), Step::PaymentAmount)
            | (Self::Stored(_), Step::StoredCard)
            | (Self::Confirm(_), Step::Confirmation)
            | (Self::Confirm(_) | Self::Plan(_), Step::PaymentPlan)
            | (Self::Confirm(_) | Self::Plan(_) | Self::CollectCode(_), Step::SecurityCode)
            | (
                Self::Confirm(_)
                | Self::Plan(_)
                | Self::CollectCode(_)
                | Self::ExpiryPast(_)
                | Self::CollectExpiry(_),
                Step::ExpirationDate,
            )
            | (Self::Declined(_), Step::CardDeclined) => true,
            // By `captures`.
            (Self::Writing(_) | Self::Led(_), _) => false,
            (state, Step::PaymentCardNumber) => state.holds_card(),
            _ => false,
        }
    }

    fn card(&self) -> Option<Truncated> {
        match self {
            Self::Stored(state) => Some(state.card()),
            Self::CollectExpiry(state) => Some(state.card()),
            Self::ExpiryPast(state) => Some(state.card()),
            Self::CollectCode(state) => Some(state.card()),
            Self::Plan(state) => Some(state.card()),
            Self::Confirm(state) => Some(state.card()),
            Self::Writing(state) => Some(state.card()),
            Self::Led(state) => state.card(),
            Self::Paused(state) => state.card(),
            _ => None,
        }
    }

    /// Whether the card is one that the acquirer has.
    fn is_stored(&self) -> bool {
        match self {
            Self::Confirm(state) => state.is_stored(),
            Self::Plan(state) => state.is_stored(),
            Self::Paused(state) => state.is_stored(),
            _ => false,
        }
    }

    fn pausable(&self) -> bool {
        self.interruptible() && !matches!(self, Self::Writing(_) | Self::Paused(_))
    }

    fn holds_card(&self) -> bool {
        if let Self::Led(led) = self {
            return led.holds_card();
        }
        matches!(
            self,
            Self::CollectPan(_)
                | Self::CollectExpiry(_)
                | Self::ExpiryPast(_)
                | Self::CollectCode(_)
                | Self::Plan(_)
                | Self::Confirm(_)
                | Self::Writing(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static_assertions::assert_not_impl_any!(Dialogue: Clone, std::fmt::Debug, std::fmt::Display);
    static_assertions::assert_not_impl_any!(Input: Clone, std::fmt::Debug);
    static_assertions::assert_not_impl_any!(Output: Clone, std::fmt::Debug);
    // A call's task may move between threads.
    static_assertions::assert_impl_all!(Dialogue: Send);
}
