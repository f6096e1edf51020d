//! Waits until the intent is durable.
//!
//! Enters with a confirmed card. Nothing has been sent yet, so a hang-up, a cancellation or the session limit still ends the call
//! here without a charge; the intent that becomes durable afterwards is closed by the driver as not sent. Holds the card that was keyed.

use ivrpay_card::Card;
use ivrpay_payment::{Plan, Truncated};

use crate::call::Call;
use crate::io::{At, CallResult, Draft, NotWritten, Output, Step};
use crate::led::CardField;
use crate::line::Line;
use crate::{State, What, authorise, collect_code, collect_expiry, collect_pan, ending, led};

pub(crate) struct Writing {
    with: With,
}

/// What is charged.
pub(crate) enum With {
    /// What the caller keyed.
    Card(Card),
    /// What the acquirer has.
    Stored(Truncated),
}

impl With {
    pub(crate) fn truncated(&self) -> Truncated {
        match self {
            Self::Card(card) => card.pan.truncated(),
            Self::Stored(card) => *card,
        }
    }

    /// Whether a person who wants this asked anew means a field of the card.
    pub(crate) const fn is_of_a_card(step: Step) -> bool {
        matches!(
            step,
            Step::PaymentCardNumber | Step::ExpirationDate | Step::SecurityCode
        )
    }

    /// A field of the card once more; of a stored card there is none but the whole one.
    pub(crate) fn re_ask(self, call: &mut Call, now: At, step: Step) -> State {
        match (self, step) {
            (Self::Card(card), step) if call.setup.led.is_some() => match CardField::of(step) {
                Some(field) => led::back(call, now, card, field),
                None => led::anew(call),
            },
            (Self::Card(Card { pan, expiry, code }), Step::SecurityCode) => {
                drop(code);
                collect_code::enter(call, now, pan, expiry)
            }
            (Self::Card(Card { pan, expiry, code }), Step::ExpirationDate) => {
                drop((expiry, code));
                collect_expiry::enter(call, now, pan)
            }
            (with, _) => {
                drop(with);
                collect_pan::once_more(call, now)
            }
        }
    }
}

pub(crate) fn enter(call: &mut Call, with: With, plan: Plan) -> State {
    call.entered(Step::PaymentProcessing, call.cards, None);
    let draft = Draft {
        amount: call.setup.amount,
        card: with.truncated(),
        stored: matches!(with, With::Stored(_)),
        plan,
        evidence: call.evidence(),
    };
    call.push(Output::Write(draft));
    State::Writing(Writing { with })
}

impl Writing {
    pub(crate) fn card(&self) -> Truncated {
        self.with.truncated()
    }

    pub(crate) fn handle(self, call: &mut Call, now: At, what: What) -> State {
        match what {
            What::Written(intent) => authorise::enter(call, now, intent, self.with),
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
