//! After a decline: the card again, another card, or the operator.
//!
//! Enters when the reason of the decline allows more than the operator, and cards are left. Owns no card data: the declined card
//! was handed to the acquirer.

use ivrpay_payment::Action;

use crate::call::Call;
use crate::io::{At, CallResult, ErrorType, Say, Step};
use crate::line::Line;
use crate::menu::{Choice, Menu};
use crate::{State, What, collect_pan, ending, paused};

pub(crate) struct Declined {
    menu: Menu,
}

pub(crate) fn enter(call: &mut Call, now: At, action: Action) -> State {
    if call.cards >= call.settings.cards_max {
        return ending::too_many(call, now);
    }
    if action == Action::ReEnter {
        let says = vec![Say::Line(Line::CardDeclinedAgain)];
        return collect_pan::next_card(call, now, Some(ErrorType::CardDeclined), says);
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
            Choice::One => {
                collect_pan::next_card(call, now, None, vec![Say::Line(Line::PaymentCardNumber)])
            }
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
