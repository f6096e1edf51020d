//! After a decline: another card, or the operator.
//!
//! Enters after every decline of a caller who is there, while cards are left, whatever its reason: who tries cards that are not his learns
//! nothing. The reason is the operator's. Owns no card data: the declined card was handed to the acquirer.

use crate::call::Call;
use crate::io::{At, CallResult, ErrorType, Say, Step};
use crate::line::Line;
use crate::menu::{Choice, Menu};
use crate::{State, What, collect_pan, ending, paused};

pub(crate) struct Declined {
    menu: Menu,
}

pub(crate) fn enter(call: &mut Call, now: At) -> State {
    if call.cards >= call.settings.cards_max {
        return ending::too_many(call, now);
    }
    let says = vec![Say::Line(Line::CardDeclined)];
    let menu = Menu::ask_after(
        call,
        now,
        Step::CardDeclined,
        says,
        None,
        Some(ErrorType::CardDeclined),
    );
    State::Declined(Declined { menu })
}

impl Declined {
    pub(crate) fn handle(mut self, call: &mut Call, now: At, what: What) -> State {
        match what {
            What::Resume | What::ReAsk(Step::CardDeclined) => {
                self.menu.again(call, now);
                return State::Declined(self);
            }
            _ => {}
        }
        match self.menu.handle(call, now, &what) {
            Choice::Stay => State::Declined(self),
            Choice::One => collect_pan::next_card(call, now),
            Choice::Two => ending::say(
                call,
                now,
                CallResult::PaymentConnectorError,
                &[Line::AgentReturn],
            ),
            Choice::TooMany => ending::too_many(call, now),
            Choice::Operator => paused::by_star(call, now, State::Declined(self)),
        }
    }

    pub(crate) fn deadline(&self, call: &Call) -> At {
        self.menu.deadline(call)
    }
}
