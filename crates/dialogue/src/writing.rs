//! Waits until the intent is durable.
//!
//! Enters with a confirmed card. Nothing has been sent yet, so a hang-up, a cancellation or the session limit still ends the call
//! here without a charge; the intent that becomes durable afterwards is closed by the driver as not sent. Holds the card.

use ivrpay_card::Card;
use ivrpay_payment::Plan;

use crate::call::Call;
use crate::io::{At, CallResult, Draft, NotWritten, Output, Step};
use crate::line::Line;
use crate::{State, What, authorise, ending};

pub(crate) struct Writing {
    card: Card,
}

pub(crate) fn enter(call: &mut Call, card: Card, plan: Plan) -> State {
    call.entered(Step::PaymentProcessing, call.cards, None);
    let draft = Draft {
        amount: call.setup.amount,
        card: card.pan.truncated(),
        plan,
        evidence: call.evidence(),
    };
    call.push(Output::Write(draft));
    State::Writing(Writing { card })
}

impl Writing {
    pub(crate) fn handle(self, call: &mut Call, now: At, what: What) -> State {
        match what {
            What::Written(intent) => authorise::enter(call, now, intent, self.card),
            What::NotWritten(why) => {
                drop(self);
                match why {
                    // What holds the order may be approved or open: "paid" is not said of it.
                    NotWritten::OrderTaken => {
                        let last = ending::goodbye(call);
                        ending::say(
                            call,
                            now,
                            CallResult::OutcomeUnknown,
                            &[Line::OutcomeUnknown, last],
                        )
                    }
                    NotWritten::PlanNotOffered => {
                        let last = ending::goodbye(call);
                        ending::say(
                            call,
                            now,
                            CallResult::ValidationError,
                            &[Line::InvalidPaymentPlan, last],
                        )
                    }
                    NotWritten::Failed => {
                        ending::say(call, now, CallResult::InternalError, &[Line::InternalError])
                    }
                }
            }
            _ => State::Writing(self),
        }
    }
}
