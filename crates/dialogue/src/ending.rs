//! Speaks the result, then ends.
//!
//! Enters with the result decided; leaves when the last prompt has ended, or the caller has. Keys are ignored. Owns nothing.
//! "Nothing has been charged" is in the words of some of these lines: they are used only before anything was sent, or after a
//! decline, never while an outcome is open.

use ivrpay_payment::Transaction;
use ivrpay_secret::Full;

use crate::call::Call;
use crate::io::{At, CallResult, Say, Step};
use crate::line::Line;
use crate::{State, What};

pub(crate) struct Ending {
    result: CallResult,
    until: At,
}

pub(crate) fn say(call: &mut Call, now: At, result: CallResult, lines: &[Line]) -> State {
    say_all(
        call,
        now,
        result,
        lines.iter().copied().map(Say::Line).collect(),
    )
}

pub(crate) fn approved(call: &mut Call, now: At) -> State {
    let mut says = vec![Say::Line(match call.setup.transaction {
        Transaction::Tokenise => Line::TokenizeCompleted,
        Transaction::Verify => Line::VerifyCompleted,
        _ => Line::PaymentCompleted,
    })];
    if let (false, Some(reference)) = (call.setup.attended, call.setup.reference) {
        says.push(Say::Reference(reference));
    }
    says.push(Say::Line(goodbye(call)));
    say_all(call, now, CallResult::Success, says)
}

pub(crate) fn too_many(call: &mut Call, now: At) -> State {
    say(
        call,
        now,
        CallResult::TooManyFailedAttempts,
        &[Line::TooManyFailedAttempts],
    )
}

/// The slots of a call are taken at its start; this is for an arena that is smaller than its calls.
pub(crate) fn no_memory(call: &mut Call, now: At, _full: Full) -> State {
    say(
        call,
        now,
        CallResult::CapacityExceeded,
        &[Line::InternalError],
    )
}

/// Where the caller goes from here.
pub(crate) fn goodbye(call: &Call) -> Line {
    if call.setup.attended {
        Line::AgentReturn
    } else {
        Line::SelfServiceEnd
    }
}

fn say_all(call: &mut Call, now: At, result: CallResult, says: Vec<Say>) -> State {
    let step = if result == CallResult::Success {
        Step::PaymentCompleted
    } else {
        Step::PaymentFailed
    };
    call.entered(step, 1, None);
    if call.hung_up || call.is_silent() {
        return over(call, result);
    }
    call.play(now, says);
    State::Ending(Ending {
        result,
        until: now.plus(call.settings.prompt_max),
    })
}

/// Ends without a word.
pub(crate) fn over(call: &mut Call, result: CallResult) -> State {
    call.end(result);
    State::Over
}

impl Ending {
    pub(crate) fn handle(self, call: &mut Call, now: At, what: What) -> State {
        match what {
            What::PromptEnded => over(call, self.result),
            What::Time if now >= self.until => over(call, self.result),
            What::HungUp => {
                call.hang_up();
                over(call, self.result)
            }
            _ => State::Ending(self),
        }
    }

    pub(crate) fn deadline(&self) -> At {
        self.until
    }
}
