//! Waits for the acquirer.
//!
//! Enters when the intent is durable; hands the card out and keeps none of it. Leaves only with an outcome: neither hang-up nor
//! cancellation, shutdown or limit ends a call while money may be moving. The driver always answers. Keys are dropped.

use ivrpay_payment::{Durable, Intent, Outcome, plant};

use crate::call::Call;
use crate::io::{At, CallResult, Output, Progress, Say, Step};
use crate::line::Line;
use crate::writing::With;
use crate::{State, What, declined, ending};

pub(crate) struct Authorise {
    since: At,
    /// Times that the caller was told that it takes longer.
    told: u32,
}

pub(crate) fn enter(call: &mut Call, now: At, intent: Durable<Intent>, with: With) -> State {
    call.card = Some(with.truncated());
    let card = match with {
        With::Card(card) => Some(card),
        With::Stored(_) => None,
    };
    call.push(Output::Authorise(intent, card));
    call.play(now, vec![Say::Line(Line::PaymentProcessing)]);
    State::Authorise(Authorise {
        since: now,
        told: 0,
    })
}

impl Authorise {
    pub(crate) fn handle(mut self, call: &mut Call, now: At, what: What) -> State {
        match what {
            What::Answered(outcome) => {
                call.progress_at = now;
                call.outcome = Some(outcome.clone());
                answered(call, now, &outcome)
            }
            What::Time if self.deadline(call).is_some_and(|at| now >= at) => {
                self.told = self.told.saturating_add(1);
                call.play(now, vec![Say::Line(Line::PaymentProcessingLong)]);
                State::Authorise(self)
            }
            What::HungUp => {
                call.hang_up();
                State::Authorise(self)
            }
            What::Shutdown => {
                call.stopping = true;
                State::Authorise(self)
            }
            // Too late for a person's wish; say where the call is.
            What::Cancel | What::ReAsk(_) | What::Pause => {
                call.progress(Progress {
                    step: Step::PaymentProcessing,
                    asked: false,
                    attempt: call.cards,
                    digits: None,
                    error: None,
                    plan: None,
                });
                State::Authorise(self)
            }
            _ => State::Authorise(self),
        }
    }

    /// When the caller is told again that it takes longer; none after a hang-up.
    pub(crate) fn deadline(&self, call: &Call) -> Option<At> {
        let wait = call
            .settings
            .processing_long
            .saturating_mul(self.told.saturating_add(1));
        (!call.hung_up).then(|| self.since.plus(wait))
    }
}

fn answered(call: &mut Call, now: At, outcome: &Outcome) -> State {
    let last = ending::goodbye(call);
    match outcome {
        Outcome::Unknown(_) if plant::is("another-card-though-unknown") => {
            declined::enter(call, now)
        }
        Outcome::Unknown(_) if plant::is("unknown-is-spoken-as-paid") => {
            ending::approved(call, now)
        }
        Outcome::Approved(_) => ending::approved(call, now),
        // Of a capture that is led, whoever leads says what comes next: another one.
        Outcome::Declined(_) if call.hung_up || call.stopping || call.setup.led.is_some() => {
            // Where no operator tells the caller that nothing was charged, this does; the decline is journalled.
            let line = if call.setup.attended {
                last
            } else {
                Line::TooManyFailedAttempts
            };
            ending::say(call, now, CallResult::PaymentConnectorError, &[line])
        }
        Outcome::Declined(_) => declined::enter(call, now),
        Outcome::NotCharged(_) => ending::say(
            call,
            now,
            CallResult::PaymentConnectorError,
            &[Line::PaymentConnectorError, last],
        ),
        // I4: never another card while one may have been charged.
        Outcome::Unknown(_) => ending::say(
            call,
            now,
            CallResult::OutcomeUnknown,
            &[Line::OutcomeUnknown, last],
        ),
    }
}
