//! Collects the card number.
//!
//! Enters after the amount, after a decline that allows another card, and when the caller wants to enter the card again. Leaves on
//! `#`, on quiet after the brand's usual length with a valid Luhn, on the deadline. Holds one slot of secret memory.
//! Does not know which acquirer will be asked.

use ivrpay_card::{Pan, PanError};

use crate::call::Call;
use crate::ear::Flush;
use crate::field::{Asked, Field, Kind, Verdict};
use crate::io::{At, Brands, ErrorType, Say, Step};
use crate::line::Line;
use crate::{State, What, collect_expiry, ending, led, paused};

pub(crate) struct CollectPan {
    field: Field,
}

/// The first card of the call, another one, or the same one from its number: one card more of those that a call may have.
pub(crate) fn next_card(call: &mut Call, now: At) -> State {
    if call.cards >= call.settings.cards_max {
        return ending::too_many(call, now);
    }
    // Led, a card counts when it is to be charged.
    call.cards += u8::from(call.setup.led.is_none());
    once_more(call, now)
}

/// The number once more, without counting a card: a person's wish, or after a pause in which it was wiped.
pub(crate) fn once_more(call: &mut Call, now: At) -> State {
    if call.setup.led.is_some() {
        return led::anew(call);
    }
    ask(
        call,
        now,
        Asked::FIRST,
        vec![Say::Line(Line::PaymentCardNumber)],
    )
}

fn ask(call: &mut Call, now: At, asked: Asked, says: Vec<Say>) -> State {
    match Field::ask(call, now, Kind::Number, asked, says) {
        Ok(field) => State::CollectPan(CollectPan { field }),
        Err(full) => ending::no_memory(call, now, full),
    }
}

impl CollectPan {
    pub(crate) fn handle(mut self, call: &mut Call, now: At, what: What) -> State {
        match what {
            What::Resume => {
                self.field.resume(call, now);
                return State::CollectPan(self);
            }
            What::ReAsk(Step::PaymentCardNumber) => {
                self.field
                    .restart(call, now, Say::Line(Line::PaymentCardNumber));
                return State::CollectPan(self);
            }
            _ => {}
        }
        match self.field.handle(call, now, &what) {
            Verdict::Stay => State::CollectPan(self),
            Verdict::Ended => self.parse(call, now),
            Verdict::Doubtful => self.again(
                call,
                now,
                ErrorType::DuplicateToneSuspected,
                Some(Say::Line(Line::DuplicateToneSuspected)),
            ),
            Verdict::Long => self.again(
                call,
                now,
                ErrorType::InvalidCardNumber,
                Some(Say::Line(Line::InvalidCardNumberLong)),
            ),
            Verdict::TimedOut => {
                let error = call.no_input();
                self.again(call, now, error, error.unheard())
            }
            Verdict::Operator => paused::by_star(call, now, State::CollectPan(self)),
        }
    }

    pub(crate) fn deadline(&self, call: &Call) -> At {
        self.field.deadline(call)
    }

    fn parse(self, call: &mut Call, now: At) -> State {
        let attempt = self.field.attempt();
        let (error, say) = match Pan::parse(self.field.into_digits(), &call.setup.rules) {
            Ok(pan) => return collect_expiry::enter(call, now, pan),
            Err(PanError::Brand) => (
                ErrorType::InvalidCardType,
                Say::Brands(Brands::of(&call.setup.rules.brands)),
            ),
            Err(PanError::Short) => (
                ErrorType::InvalidCardNumber,
                Say::Line(Line::InvalidCardNumberShort),
            ),
            Err(PanError::Long) => (
                ErrorType::InvalidCardNumber,
                Say::Line(Line::InvalidCardNumberLong),
            ),
            Err(_) => (
                ErrorType::InvalidCardNumber,
                Say::Line(Line::InvalidCardNumberChecksum),
            ),
        };
        again(call, now, attempt, error, Some(say))
    }

    fn again(self, call: &mut Call, now: At, error: ErrorType, say: Option<Say>) -> State {
        let attempt = self.field.attempt();
        // Wiped before anything else is said.
        drop(self);
        again(call, now, attempt, error, say)
    }
}

fn again(call: &mut Call, now: At, attempt: u8, error: ErrorType, say: Option<Say>) -> State {
    call.ear.flush = Flush::UntilPause;
    if attempt >= call.settings.max_attempts {
        return ending::too_many(call, now);
    }
    // A card that nobody takes is not to be keyed again.
    let again = (error != ErrorType::InvalidCardType).then_some(Kind::Number.again());
    let says = say.into_iter().chain(again).collect();
    ask(
        call,
        now,
        Asked {
            attempt: attempt + 1,
            error: Some(error),
        },
        says,
    )
}
