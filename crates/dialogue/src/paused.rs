//! Caller and operator talk; the field stands still.
//!
//! Enters on `*` twice or on a command, where somebody can resume. Leaves on resumption, cancellation, hang-up or the session limit
//! (the wait goes on after the wipe: people talk). Holds what the step held, but card data no longer than `Settings::pause`: then
//! it is wiped for certain, and the resumption asks from where nothing is missing.

use ivrpay_payment::Truncated;

use crate::call::Call;
use crate::io::{At, CallResult, Say, Step};
use crate::led::{self, Ask, Led};
use crate::line::Line;
use crate::{State, What, collect_pan, ending};

pub(crate) struct Paused {
    held: Held,
    /// When card data is wiped; `None` where there is none.
    wipe_at: Option<At>,
}

enum Held {
    Step(Box<State>),
    /// The card was wiped: its number is asked first.
    Nothing,
}

/// `*` twice: a pause, or the end where nobody could resume.
pub(crate) fn by_star(call: &mut Call, now: At, state: State) -> State {
    if !call.setup.can_pause {
        drop(state);
        let result = if call.setup.operator_keys {
            CallResult::AgentCancelled
        } else {
            CallResult::CallerInterruptedWithStar
        };
        return ending::say(call, now, result, &[Line::CallerInterruptedWithStar]);
    }
    let paused = enter(call, now, state);
    call.play(now, vec![Say::Line(Line::CallerInterruptedWithStar)]);
    paused
}

pub(crate) fn enter(call: &mut Call, now: At, state: State) -> State {
    call.stop_play();
    call.entered(Step::Paused, 1, None);
    let wipe_at = state.holds_card().then(|| now.plus(call.settings.pause));
    State::Paused(Paused {
        held: Held::Step(Box::new(state)),
        wipe_at,
    })
}

impl Paused {
    pub(crate) fn handle(self, call: &mut Call, now: At, what: What) -> State {
        match what {
            What::Resume => self.resume(call, now),
            // A person asks for a field: that resumes too, at that field where it can.
            What::ReAsk(step) => match self.held {
                Held::Step(state) if state.re_asks(step) || state.asks_led(call, step) => {
                    state.handle(call, now, what)
                }
                held => Self { held, ..self }.resume(call, now),
            },
            // A program's word for a field is a resumption too, and its word for the charge.
            What::Capture(ask) if self.captures(call, ask) => {
                let state = self.resume(call, now);
                state.handle(call, now, what)
            }
            What::Complete if self.completes(call) => {
                let state = self.resume(call, now);
                state.handle(call, now, what)
            }
            What::Time if self.wipe_at.is_some_and(|at| now >= at) => {
                drop(self.held);
                call.ear.trail.wipe();
                if call.setup.led.is_some() {
                    led::wiped(call);
                }
                State::Paused(Self {
                    held: Held::Nothing,
                    wipe_at: None,
                })
            }
            _ => State::Paused(self),
        }
    }

    pub(crate) fn re_asks(&self, step: Step) -> bool {
        match &self.held {
            Held::Step(state) => state.re_asks(step),
            // What would be asked first, by any way on.
            Held::Nothing => step == Step::PaymentCardNumber,
        }
    }

    pub(crate) fn is_led(&self) -> bool {
        match &self.held {
            Held::Step(state) => state.is_led(),
            // Then the setup tells, by what is asked first.
            Held::Nothing => true,
        }
    }

    pub(crate) fn captures(&self, call: &Call, ask: Ask) -> bool {
        match &self.held {
            Held::Step(state) => state.captures(call, ask),
            Held::Nothing => call.setup.led.is_some() && Led::EMPTY.captures(call, ask),
        }
    }

    pub(crate) fn completes(&self, call: &Call) -> bool {
        matches!(&self.held, Held::Step(state) if state.completes(call))
    }

    pub(crate) fn completing(&self) -> bool {
        matches!(&self.held, Held::Step(state) if state.completing())
    }

    pub(crate) fn card(&self) -> Option<Truncated> {
        match &self.held {
            Held::Step(state) => state.card(),
            Held::Nothing => None,
        }
    }

    pub(crate) fn is_stored(&self) -> bool {
        matches!(&self.held, Held::Step(state) if state.is_stored())
    }

    pub(crate) fn deadline(&self) -> Option<At> {
        self.wipe_at
    }

    fn resume(self, call: &mut Call, now: At) -> State {
        call.stop_play();
        call.progress_at = now;
        match self.held {
            Held::Step(state) => state.handle(call, now, What::Resume),
            // It was told when it was wiped.
            Held::Nothing if call.setup.led.is_some() => led::awaiting(call),
            Held::Nothing => collect_pan::once_more(call, now),
        }
    }
}
