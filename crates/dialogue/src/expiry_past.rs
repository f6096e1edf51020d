//! Asks what to do after a date that has passed: 1 enters it again, 2 takes another card.
//!
//! Enters from the expiry, as one of its attempts. Holds the card number.

use ivrpay_card::Pan;
use ivrpay_payment::Truncated;

use crate::call::Call;
use crate::io::{At, ErrorType, Say, Step};
use crate::line::Line;
use crate::menu::{Choice, Menu};
use crate::{State, What, collect_expiry, collect_pan, ending, paused};

pub(crate) struct ExpiryPast {
    pan: Pan,
    /// Attempt at the expiry that has failed.
    attempt: u8,
    menu: Menu,
}

pub(crate) fn enter(call: &mut Call, now: At, pan: Pan, attempt: u8) -> State {
    let says = vec![Say::Line(Line::InvalidDatePast)];
    let menu = Menu::ask_after(
        call,
        now,
        Step::ExpirationDatePast,
        says,
        None,
        Some(ErrorType::InvalidDate),
    );
    State::ExpiryPast(ExpiryPast { pan, attempt, menu })
}

impl ExpiryPast {
    pub(crate) fn handle(mut self, call: &mut Call, now: At, what: What) -> State {
        match what {
            What::Resume => {
                self.menu.again(call, now);
                return State::ExpiryPast(self);
            }
            What::ReAsk(Step::PaymentCardNumber) => return collect_pan::once_more(call, now),
            What::ReAsk(Step::ExpirationDate) => return collect_expiry::enter(call, now, self.pan),
            _ => {}
        }
        match self.menu.handle(call, now, &what) {
            Choice::Stay => State::ExpiryPast(self),
            Choice::One => collect_expiry::again(
                call,
                now,
                self.pan,
                self.attempt,
                ErrorType::InvalidDate,
                Line::ExpirationDate,
            ),
            Choice::Two => collect_pan::next_card(call, now),
            Choice::TooMany => ending::too_many(call, now),
            Choice::Operator => paused::by_star(call, now, State::ExpiryPast(self)),
        }
    }

    pub(crate) fn card(&self) -> Truncated {
        self.pan.truncated()
    }

    pub(crate) fn deadline(&self, call: &Call) -> At {
        self.menu.deadline(call)
    }
}
