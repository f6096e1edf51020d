//! Speaks the greeting.
//!
//! Begins the call; ends with the prompt, or with a key, which stops it and counts at the first question. Owns nothing.

use crate::call::Call;
use crate::io::{At, Say, Step};
use crate::line::Line;
use crate::{State, What, amount, collect_pan, led, stored};

pub(crate) struct Greeting {
    until: At,
}

/// The first state of a call.
pub(crate) fn enter(call: &mut Call, now: At) -> State {
    if call.setup.led.is_some() {
        return led::begin(call, now);
    }
    let mut says = Vec::new();
    if call.setup.training {
        says.push(Say::Line(Line::Training));
    }
    if call.setup.greeting {
        says.push(Say::Line(Line::Greeting));
    }
    if says.is_empty() {
        return first_question(call, now);
    }
    call.entered(Step::Greeting, 1, None);
    call.play(now, says);
    State::Greeting(Greeting {
        until: now.plus(call.settings.prompt_max),
    })
}

impl Greeting {
    pub(crate) fn handle(self, call: &mut Call, now: At, what: What) -> State {
        match what {
            What::Key(ivrpay_secret::Key::Hash, _) => {
                call.stop_play();
                first_question(call, now)
            }
            What::Key(..) => {
                call.stop_play();
                first_question(call, now).handle(call, now, what)
            }
            What::PromptEnded => first_question(call, now),
            What::Time if now >= self.until => first_question(call, now),
            What::Resume => enter(call, now),
            _ => State::Greeting(self),
        }
    }

    pub(crate) fn deadline(&self) -> At {
        self.until
    }
}

fn first_question(call: &mut Call, now: At) -> State {
    if call.setup.amount_confirmed || !call.setup.transaction.moves_money() {
        first_card(call, now)
    } else {
        amount::enter(call, now)
    }
}

/// The card that the acquirer has, else the first that is keyed.
pub(crate) fn first_card(call: &mut Call, now: At) -> State {
    match call.setup.stored {
        Some(card) => stored::enter(call, now, card),
        None => collect_pan::next_card(call, now),
    }
}
