//! Collects the expiry, four digits MMYY.
//!
//! Enters with a card number that passed its checks. Leaves on the fourth digit, or on the deadline. Holds the number and one
//! more slot of secret memory.

use ivrpay_card::{Expiry, ExpiryError, Pan};
use ivrpay_payment::Truncated;

use crate::call::Call;
use crate::ear::Flush;
use crate::field::{Asked, Field, Kind, Verdict};
use crate::io::{At, ErrorType, Say, Step};
use crate::line::Line;
use crate::{State, What, collect_code, collect_pan, ending, expiry_past, paused};

pub(crate) struct CollectExpiry {
    pan: Pan,
    field: Field,
}

pub(crate) fn enter(call: &mut Call, now: At, pan: Pan) -> State {
    ask(
        call,
        now,
        pan,
        Asked::FIRST,
        vec![Say::Line(Line::ExpirationDate)],
    )
}

/// The expiry once more, after `attempt` that was wrong.
pub(crate) fn again(
    call: &mut Call,
    now: At,
    pan: Pan,
    attempt: u8,
    error: ErrorType,
    say: Line,
) -> State {
    if attempt >= call.settings.max_attempts {
        return ending::too_many(call, now);
    }
    let mut says = vec![Say::Line(say)];
    if !says.contains(&Kind::Expiry.again()) {
        says.push(Kind::Expiry.again());
    }
    ask(
        call,
        now,
        pan,
        Asked {
            attempt: attempt + 1,
            error: Some(error),
        },
        says,
    )
}

fn ask(call: &mut Call, now: At, pan: Pan, asked: Asked, says: Vec<Say>) -> State {
    match Field::ask(call, now, Kind::Expiry, asked, says) {
        Ok(field) => State::CollectExpiry(CollectExpiry { pan, field }),
        Err(full) => ending::no_memory(call, now, full),
    }
}

impl CollectExpiry {
    pub(crate) fn handle(mut self, call: &mut Call, now: At, what: What) -> State {
        match what {
            What::Resume => {
                self.field.resume(call, now);
                return State::CollectExpiry(self);
            }
            What::ReAsk(Step::ExpirationDate) => {
                self.field
                    .restart(call, now, Say::Line(Line::ExpirationDate));
                return State::CollectExpiry(self);
            }
            What::ReAsk(Step::PaymentCardNumber) => return collect_pan::once_more(call, now),
            _ => {}
        }
        match self.field.handle(call, now, &what) {
            Verdict::Stay => State::CollectExpiry(self),
            Verdict::Ended => self.parse(call, now),
            Verdict::Doubtful => self.again(
                call,
                now,
                ErrorType::DuplicateToneSuspected,
                Line::DuplicateToneSuspected,
            ),
            Verdict::Long => self.again(call, now, ErrorType::InvalidDate, Line::InvalidDate),
            Verdict::TimedOut => {
                self.again(call, now, ErrorType::InputTimeout, Line::ExpirationDate)
            }
            Verdict::Operator => paused::by_star(call, now, State::CollectExpiry(self)),
        }
    }

    pub(crate) fn card(&self) -> Truncated {
        self.pan.truncated()
    }

    pub(crate) fn deadline(&self, call: &Call) -> At {
        self.field.deadline(call)
    }

    fn parse(self, call: &mut Call, now: At) -> State {
        let attempt = self.field.attempt();
        match Expiry::parse(self.field.into_digits(), call.setup.month) {
            Ok(expiry) => collect_code::enter(call, now, self.pan, expiry),
            // A menu whose answers lead nowhere is not offered.
            Err(ExpiryError::Past) if attempt >= call.settings.max_attempts => {
                ending::too_many(call, now)
            }
            Err(ExpiryError::Past) => {
                call.ear.flush = Flush::UntilPause;
                expiry_past::enter(call, now, self.pan, attempt)
            }
            Err(_) => {
                call.ear.flush = Flush::UntilPause;
                again(
                    call,
                    now,
                    self.pan,
                    attempt,
                    ErrorType::InvalidDate,
                    Line::InvalidDate,
                )
            }
        }
    }

    fn again(self, call: &mut Call, now: At, error: ErrorType, say: Line) -> State {
        let Self { pan, field } = self;
        let attempt = field.attempt();
        drop(field);
        call.ear.flush = Flush::UntilPause;
        again(call, now, pan, attempt, error, say)
    }
}
