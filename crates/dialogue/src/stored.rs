//! Offers the card that the acquirer has: 1 pays with it, 2 asks for another one.
//!
//! Enters after the amount, where the payment brings such a card. The last step before money moves: it is heard before it is answered, as
//! the confirmation of a keyed card is. Owns no card data: brand and last four are all that is known of that card here.

use ivrpay_payment::{Plan, Truncated};

use crate::call::Call;
use crate::io::{At, Say, Step};
use crate::menu::{Choice, Menu};
use crate::writing::{self, With};
use crate::{State, What, collect_pan, ending, paused, plan};

pub(crate) struct Stored {
    card: Truncated,
    menu: Menu,
}

pub(crate) fn enter(call: &mut Call, now: At, card: Truncated) -> State {
    let says = vec![Say::Stored(card, call.setup.amount)];
    let menu = Menu::ask_to_be_heard(call, now, Step::StoredCard, says, Vec::new());
    State::Stored(Stored { card, menu })
}

impl Stored {
    pub(crate) fn handle(mut self, call: &mut Call, now: At, what: What) -> State {
        if matches!(what, What::Resume | What::ReAsk(Step::StoredCard)) {
            self.menu.again(call, now);
            return State::Stored(self);
        }
        match self.menu.handle(call, now, &what) {
            Choice::Stay => State::Stored(self),
            Choice::One => {
                call.cards += 1;
                let with = With::Stored(self.card);
                if plan::is_settled(call, &with) {
                    call.plan = Some(Plan::LumpSum);
                    writing::enter(call, with, Plan::LumpSum)
                } else {
                    // Amount and plan are confirmed together.
                    plan::enter(call, now, with)
                }
            }
            Choice::Two => collect_pan::next_card(call, now),
            Choice::TooMany => ending::too_many(call, now),
            Choice::Operator => paused::by_star(call, now, State::Stored(self)),
        }
    }

    pub(crate) const fn card(&self) -> Truncated {
        self.card
    }

    pub(crate) fn deadline(&self, call: &Call) -> At {
        self.menu.deadline(call)
    }
}
