//! Has the card confirmed by its last four: 1 pays, 2 enters the card again.
//!
//! Enters with a whole card and how it is paid back. The last step before money moves; it can't be switched off (see `Settings`). Holds the card.

use ivrpay_card::Card;
use ivrpay_payment::Plan;

use crate::call::Call;
use crate::io::{At, Say, Step};
use crate::line::Line;
use crate::menu::{Choice, Menu};
use crate::{
    State, What, collect_code, collect_expiry, collect_pan, ending, paused, plan, writing,
};

pub(crate) struct Confirm {
    card: Card,
    plan: Plan,
    menu: Menu,
}

/// `before` is said once, ahead of the question.
pub(crate) fn enter(call: &mut Call, now: At, card: Card, plan: Plan, before: Vec<Say>) -> State {
    let (amount, last4) = (call.setup.amount, card.pan.truncated());
    let question = if plan.is_lump_sum() {
        Say::Confirm(last4, amount)
    } else {
        Say::ConfirmPlan(last4, amount, plan)
    };
    call.plan = Some(plan);
    let menu = Menu::ask_to_be_heard(call, now, Step::Confirmation, vec![question], before);
    State::Confirm(Confirm { card, plan, menu })
}

impl Confirm {
    pub(crate) fn handle(mut self, call: &mut Call, now: At, what: What) -> State {
        match what {
            What::Resume | What::ReAsk(Step::Confirmation) => {
                self.menu.again(call, now);
                return State::Confirm(self);
            }
            What::ReAsk(Step::PaymentPlan) => return plan::ask(call, now, self.card),
            What::ReAsk(Step::SecurityCode) => {
                let Card { pan, expiry, code } = self.card;
                drop(code);
                return collect_code::enter(call, now, pan, expiry);
            }
            What::ReAsk(Step::ExpirationDate) => {
                let Card { pan, expiry, code } = self.card;
                drop((expiry, code));
                return collect_expiry::enter(call, now, pan);
            }
            What::ReAsk(Step::PaymentCardNumber) => return collect_pan::once_more(call, now),
            _ => {}
        }
        match self.menu.handle(call, now, &what) {
            Choice::Stay => State::Confirm(self),
            Choice::One => writing::enter(call, self.card, self.plan),
            Choice::Two => {
                // Wiped before the number is asked for.
                drop(self);
                collect_pan::next_card(call, now, None, vec![Say::Line(Line::PaymentCardNumber)])
            }
            Choice::TooMany => ending::too_many(call, now),
            Choice::Operator => paused::by_star(call, now, State::Confirm(self)),
        }
    }

    pub(crate) fn deadline(&self, call: &Call) -> At {
        self.menu.deadline(call)
    }
}
