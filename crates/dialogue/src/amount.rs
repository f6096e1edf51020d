//! Has the amount confirmed: 1 is right, 2 is wrong.
//!
//! Enters after the greeting. 2 is a result of its own: the operator corrects the amount and starts again. Owns no card data.

use crate::call::Call;
use crate::ending;
use crate::io::{At, CallResult, ErrorType, Say, Step};
use crate::line::Line;
use crate::menu::{Choice, Menu};
use crate::{State, What, greeting, paused};

pub(crate) struct Amount {
    menu: Menu,
}

pub(crate) fn enter(call: &mut Call, now: At) -> State {
    let says = vec![Say::Amount(call.setup.amount)];
    let menu = Menu::ask(
        call,
        now,
        Step::PaymentAmount,
        says,
        Some(ErrorType::InvalidAmount),
    );
    State::Amount(Amount { menu })
}

impl Amount {
    pub(crate) fn handle(mut self, call: &mut Call, now: At, what: What) -> State {
        if matches!(what, What::Resume | What::ReAsk(Step::PaymentAmount)) {
            self.menu.again(call, now);
            return State::Amount(self);
        }
        match self.menu.handle(call, now, &what) {
            Choice::Stay => State::Amount(self),
            Choice::One => greeting::first_card(call, now),
            Choice::Two => ending::say(
                call,
                now,
                CallResult::AmountRejected,
                &[Line::AmountRejected],
            ),
            Choice::TooMany => ending::too_many(call, now),
            Choice::Operator => paused::by_star(call, now, State::Amount(self)),
        }
    }

    pub(crate) fn deadline(&self, call: &Call) -> At {
        self.menu.deadline(call)
    }
}
