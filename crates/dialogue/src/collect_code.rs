//! Collects the security code, three digits or four.
//!
//! Enters with number and expiry. Leaves on the brand's length, or on the deadline; skipped where the code is not asked.
//! Holds number, expiry and one more slot of secret memory.

use ivrpay_card::{Card, Expiry, Pan, SecurityCode};
use ivrpay_payment::Truncated;

use crate::call::Call;
use crate::ear::Flush;
use crate::field::{Asked, Field, Kind, Verdict};
use crate::io::{At, ErrorType, Say, Step};
use crate::line::Line;
use crate::writing::With;
use crate::{State, What, collect_expiry, collect_pan, ending, paused, plan};

pub(crate) struct CollectCode {
    pan: Pan,
    expiry: Expiry,
    field: Field,
}

pub(crate) fn enter(call: &mut Call, now: At, pan: Pan, expiry: Expiry) -> State {
    if !call.setup.security_code {
        let card = Card {
            pan,
            expiry,
            code: None,
        };
        return plan::enter(call, now, With::Card(card));
    }
    let question = Kind::Code(pan.brand()).question();
    ask(call, now, pan, expiry, Asked::FIRST, vec![question])
}

fn ask(call: &mut Call, now: At, pan: Pan, expiry: Expiry, asked: Asked, says: Vec<Say>) -> State {
    match Field::ask(call, now, Kind::Code(pan.brand()), asked, says) {
        Ok(field) => State::CollectCode(CollectCode { pan, expiry, field }),
        Err(full) => ending::no_memory(call, now, full),
    }
}

impl CollectCode {
    pub(crate) fn handle(mut self, call: &mut Call, now: At, what: What) -> State {
        match what {
            What::Resume => {
                self.field.resume(call, now);
                return State::CollectCode(self);
            }
            What::ReAsk(Step::SecurityCode) => {
                self.field
                    .restart(call, now, Kind::Code(self.pan.brand()).question());
                return State::CollectCode(self);
            }
            What::ReAsk(Step::ExpirationDate) => return collect_expiry::enter(call, now, self.pan),
            What::ReAsk(Step::PaymentCardNumber) => return collect_pan::once_more(call, now),
            _ => {}
        }
        match self.field.handle(call, now, &what) {
            Verdict::Stay => State::CollectCode(self),
            Verdict::Ended => self.parse(call, now),
            Verdict::Doubtful => self.again(
                call,
                now,
                ErrorType::DuplicateToneSuspected,
                Some(Line::DuplicateToneSuspected),
            ),
            Verdict::Long => self.again(
                call,
                now,
                ErrorType::InvalidSecurityCode,
                Some(Line::InvalidSecurityCode),
            ),
            Verdict::TimedOut => self.again(call, now, ErrorType::InputTimeout, None),
            Verdict::Operator => paused::by_star(call, now, State::CollectCode(self)),
        }
    }

    pub(crate) fn card(&self) -> Truncated {
        self.pan.truncated()
    }

    pub(crate) fn deadline(&self, call: &Call) -> At {
        self.field.deadline(call)
    }

    fn parse(self, call: &mut Call, now: At) -> State {
        let Self { pan, expiry, field } = self;
        let attempt = field.attempt();
        match SecurityCode::parse(field.into_digits(), pan.brand()) {
            Ok(code) => {
                let card = Card {
                    pan,
                    expiry,
                    code: Some(code),
                };
                plan::enter(call, now, With::Card(card))
            }
            Err(_) => {
                let say = Some(Line::InvalidSecurityCode);
                again(
                    call,
                    now,
                    pan,
                    expiry,
                    attempt,
                    ErrorType::InvalidSecurityCode,
                    say,
                )
            }
        }
    }

    fn again(self, call: &mut Call, now: At, error: ErrorType, say: Option<Line>) -> State {
        let Self { pan, expiry, field } = self;
        let attempt = field.attempt();
        drop(field);
        again(call, now, pan, expiry, attempt, error, say)
    }
}

fn again(
    call: &mut Call,
    now: At,
    pan: Pan,
    expiry: Expiry,
    attempt: u8,
    error: ErrorType,
    say: Option<Line>,
) -> State {
    call.ear.flush = Flush::UntilPause;
    if attempt >= call.settings.max_attempts {
        return ending::too_many(call, now);
    }
    let question = Kind::Code(pan.brand()).again();
    let says = say.map(Say::Line).into_iter().chain([question]).collect();
    ask(
        call,
        now,
        pan,
        expiry,
        Asked {
            attempt: attempt + 1,
            error: Some(error),
        },
        says,
    )
}
