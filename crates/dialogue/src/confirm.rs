//! Has the card confirmed by its last four: 1 pays, 2 enters the card again.
//!
//! Enters with a whole card and how it is paid back. The last step before money moves; it can't be switched off (see `Settings`). Holds the card that was keyed.

use ivrpay_payment::{Plan, Transaction, Truncated};

use crate::call::Call;
use crate::io::{At, Say, Step};
use crate::menu::{Choice, Menu};
use crate::writing::{self, With};
use crate::{State, What, collect_pan, ending, paused, plan};

pub(crate) struct Confirm {
    with: With,
    plan: Plan,
    menu: Menu,
}

/// `before` is said once, ahead of the question.
pub(crate) fn enter(call: &mut Call, now: At, with: With, plan: Plan, before: Vec<Say>) -> State {
    let (amount, last4) = (call.setup.amount, with.truncated());
    let question = match call.setup.transaction {
        Transaction::Tokenise => Say::ConfirmStoring(last4),
        Transaction::Verify => Say::ConfirmChecking(last4),
        _ if plan.is_lump_sum() => Say::Confirm(last4, amount),
        _ => Say::ConfirmPlan(last4, amount, plan),
    };
    call.plan = Some(plan);
    let menu = Menu::ask_to_be_heard(call, now, Step::Confirmation, vec![question], before);
    State::Confirm(Confirm { with, plan, menu })
}

impl Confirm {
    pub(crate) fn handle(mut self, call: &mut Call, now: At, what: What) -> State {
        match what {
            What::Resume | What::ReAsk(Step::Confirmation) => {
                self.menu.again(call, now);
                return State::Confirm(self);
            }
            What::ReAsk(Step::PaymentPlan) => return plan::ask(call, now, self.with),
            What::ReAsk(step) if With::is_of_a_card(step) => {
                return self.with.re_ask(call, now, step);
            }
            _ => {}
        }
        match self.menu.handle(call, now, &what) {
            Choice::Stay => State::Confirm(self),
            Choice::One => writing::enter(call, self.with, self.plan),
            Choice::Two => {
                // Wiped before the number is asked for.
                drop(self);
                collect_pan::next_card(call, now)
            }
            Choice::TooMany => ending::too_many(call, now),
            Choice::Operator => paused::by_star(call, now, State::Confirm(self)),
        }
    }

    pub(crate) const fn is_stored(&self) -> bool {
        matches!(self.with, With::Stored(_))
    }

    pub(crate) fn card(&self) -> Truncated {
        self.with.truncated()
    }

    pub(crate) fn deadline(&self, call: &Call) -> At {
        self.menu.deadline(call)
    }
}
