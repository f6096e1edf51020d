//! A capture that the operator's program leads: it says which field is keyed now, and when all of it is charged.
//!
//! Begins as a pause, in which the two talk; from the first field on the customer is not heard. Nothing is asked that the program did not
//! ask for, nothing is charged before it says so, and what is keyed while no field is asked is nobody's. Holds what has been keyed so far.
//! The last four are confirmed by whoever leads, or by the customer where that is wanted. Does not know who the program is.

use ivrpay_card::{Card, Digits, Expiry, Pan, PanError, SecurityCode};
use ivrpay_payment::{Plan, Truncated};

use crate::call::Call;
use crate::ear::Flush;
use crate::field::{Asked, Field, Kind, Verdict};
use crate::io::{At, ErrorType, Output, Say, Step};
use crate::line::Line;
use crate::writing::{self, With};
use crate::{State, What, confirm, ending, paused};

/// How a capture is led by a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leading {
    /// The customer is told which field to key; else whoever leads tells him, and he hears no prompt.
    pub prompts: bool,
    /// These are keyed twice.
    pub twice: Fields,
    /// The customer presses 1 to his last four before the charge.
    pub confirmation: bool,
}

/// Some fields of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names of `Step`")]
pub struct Fields {
    pub card_number: bool,
    pub expiration_date: bool,
    pub security_code: bool,
}

impl Fields {
    const NONE: Self = Self {
        card_number: false,
        expiration_date: false,
        security_code: false,
    };

    const fn has(self, field: CardField) -> bool {
        match field {
            CardField::PaymentCardNumber => self.card_number,
            CardField::ExpirationDate => self.expiration_date,
            CardField::SecurityCode => self.security_code,
        }
    }

    const fn set(&mut self, field: CardField, is: bool) {
        match field {
            CardField::PaymentCardNumber => self.card_number = is,
            CardField::ExpirationDate => self.expiration_date = is,
            CardField::SecurityCode => self.security_code = is,
        }
    }
}

/// One thing that is to be keyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ask {
    /// Which field.
    pub field: CardField,
    /// Once more, to be compared (`-matcher`).
    pub again: bool,
}

/// A field of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names of `Step`")]
pub enum CardField {
    PaymentCardNumber,
    ExpirationDate,
    SecurityCode,
}

impl CardField {
    const ALL: [Self; 3] = [
        Self::PaymentCardNumber,
        Self::ExpirationDate,
        Self::SecurityCode,
    ];

    /// `None` for a step that is no field of a card.
    #[must_use]
    pub const fn of(step: Step) -> Option<Self> {
        match step {
            Step::PaymentCardNumber => Some(Self::PaymentCardNumber),
            Step::ExpirationDate => Some(Self::ExpirationDate),
            Step::SecurityCode => Some(Self::SecurityCode),
            _ => None,
        }
    }

    /// As the step.
    #[must_use]
    pub const fn step(self) -> Step {
        match self {
            Self::PaymentCardNumber => Step::PaymentCardNumber,
            Self::ExpirationDate => Step::ExpirationDate,
            Self::SecurityCode => Step::SecurityCode,
        }
    }
}

/// Where a led capture is, told at each change. Never a digit but the last four, and of expiry and code only whether they were taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What is being keyed, or was just keyed.
    pub asked: Ask,
    /// It is being keyed; else nothing is asked.
    pub open: bool,
    /// Attempt at it, from 1.
    pub attempt: u8,
    /// What was wrong with the last one.
    pub error: Option<ErrorType>,
    /// Brand and last four, once the number was taken.
    pub card: Option<Truncated>,
    /// The expiry was taken.
    pub expiration_date: bool,
    /// The code was taken.
    pub security_code: bool,
    /// What is missing, in order.
    pub required: Vec<Ask>,
}

pub(crate) struct Led {
    pan: Option<Pan>,
    expiry: Option<Expiry>,
    code: Option<SecurityCode>,
    /// Keyed twice alike.
    matched: Fields,
    /// Were asked for a second time: that has to be alike too, before anything is charged.
    compared: Fields,
    asked: Option<(Ask, Field)>,
}

/// The first state of such a capture: the two talk, until a field is asked for.
pub(crate) fn begin(call: &mut Call, now: At) -> State {
    paused::enter(call, now, State::Led(Led::EMPTY))
}

/// From the beginning, after what was keyed has been wiped.
pub(crate) fn anew(call: &mut Call) -> State {
    let state = awaiting(call);
    wiped(call);
    state
}

/// The same, where whoever leads knows it.
pub(crate) fn awaiting(call: &mut Call) -> State {
    call.entered(Step::AwaitingCapture, 1, None);
    State::Led(Led::EMPTY)
}

/// Tells whoever leads that nothing of a card is there any more: all of it is missing.
pub(crate) fn wiped(call: &mut Call) {
    let first = Ask {
        field: CardField::PaymentCardNumber,
        again: false,
    };
    Led::EMPTY.tell(call, first, false, 1, None);
}

/// Back from the confirmation, to a field that is asked anew.
pub(crate) fn back(call: &mut Call, now: At, card: Card, field: CardField) -> State {
    let Card { pan, expiry, code } = card;
    let led = Led {
        pan: Some(pan),
        expiry: Some(expiry),
        code,
        // Each was, or it would not have come to the confirmation.
        matched: call.setup.led.unwrap_or_default().twice,
        compared: Fields::NONE,
        asked: None,
    };
    let again = false;
    led.capture(call, now, Ask { field, again })
}

impl Led {
    /// Nothing of a card.
    pub(crate) const EMPTY: Self = Self {
        pan: None,
        expiry: None,
        code: None,
        matched: Fields::NONE,
        compared: Fields::NONE,
        asked: None,
    };

    pub(crate) fn handle(mut self, call: &mut Call, now: At, what: What) -> State {
        match what {
            What::Capture(ask) if self.captures(call, ask) => return self.capture(call, now, ask),
            What::ReAsk(step) => {
                let ask = CardField::of(step).map(|field| Ask {
                    field,
                    again: false,
                });
                return match ask.filter(|ask| self.captures(call, *ask)) {
                    Some(ask) => self.capture(call, now, ask),
                    None => State::Led(self),
                };
            }
            What::Complete if self.is_complete(call) => return self.complete(call, now),
            What::Resume => {
                match &mut self.asked {
                    Some((_, field)) => field.resume(call, now),
                    None => call.entered(Step::AwaitingCapture, 1, None),
                }
                return State::Led(self);
            }
            _ => {}
        }
        let Some((ask, mut field)) = self.asked.take() else {
            return State::Led(self);
        };
        // What is keyed on may be the rest of a number whose beginning is gone: whoever leads asks for it again.
        if matches!(what, What::KeysLost) {
            return self.failed(call, ask, field.attempt(), ErrorType::InputTimeout);
        }
        let verdict = field.handle(call, now, &what);
        let attempt = field.attempt();
        match verdict {
            Verdict::Stay => {
                self.asked = Some((ask, field));
                State::Led(self)
            }
            Verdict::Operator => {
                self.asked = Some((ask, field));
                paused::by_star(call, now, State::Led(self))
            }
            Verdict::Ended => match self.take(call, ask, field.into_digits()) {
                Ok(()) => {
                    call.entered(Step::AwaitingCapture, 1, None);
                    self.tell(call, ask, false, attempt, None);
                    State::Led(self)
                }
                Err(wrong) => {
                    let (error, say) = *wrong;
                    self.again(call, now, ask, attempt, error, Some(say))
                }
            },
            wrong => {
                // Wiped before anything else is said.
                drop(field);
                let (error, say) = match (wrong, ask.field) {
                    (Verdict::Doubtful, _) => (
                        ErrorType::DuplicateToneSuspected,
                        Some(Say::Line(Line::DuplicateToneSuspected)),
                    ),
                    (Verdict::Long, CardField::PaymentCardNumber) => (
                        ErrorType::InvalidCardNumber,
                        Some(Say::Line(Line::InvalidCardNumberLong)),
                    ),
                    (Verdict::Long, CardField::ExpirationDate) => {
                        (ErrorType::InvalidDate, Some(Say::Line(Line::InvalidDate)))
                    }
                    (Verdict::Long, CardField::SecurityCode) => (
                        ErrorType::InvalidSecurityCode,
                        Some(Say::Line(Line::InvalidSecurityCode)),
                    ),
                    _ => (call.no_input(), None),
                };
                self.again(call, now, ask, attempt, error, say)
            }
        }
    }

    pub(crate) fn deadline(&self, call: &Call) -> Option<At> {
        let (_, field) = self.asked.as_ref()?;
        Some(field.deadline(call))
    }

    pub(crate) fn card(&self) -> Option<Truncated> {
        self.pan.as_ref().map(Pan::truncated)
    }

    /// Whether there is anything of a card in it.
    pub(crate) const fn holds_card(&self) -> bool {
        self.pan.is_some() || self.expiry.is_some() || self.code.is_some() || self.asked.is_some()
    }

    /// Whether a field is being keyed.
    pub(crate) const fn asks(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether this can be asked for now: a code only behind its number, whose brand has its length; a second time only behind the first.
    pub(crate) fn captures(&self, call: &Call, ask: Ask) -> bool {
        let is_part = ask.field != CardField::SecurityCode || call.setup.security_code;
        let before = match (ask.field, ask.again) {
            (CardField::PaymentCardNumber | CardField::ExpirationDate, false) => true,
            (CardField::PaymentCardNumber, true) | (CardField::SecurityCode, false) => {
                self.pan.is_some()
            }
            (CardField::ExpirationDate, true) => self.expiry.is_some(),
            (CardField::SecurityCode, true) => self.code.is_some(),
        };
        is_part && before
    }

    /// Whether nothing is missing.
    pub(crate) fn is_complete(&self, call: &Call) -> bool {
        self.asked.is_none() && self.required(call).is_empty()
    }

    fn required(&self, call: &Call) -> Vec<Ask> {
        let twice = call.setup.led.unwrap_or_default().twice;
        let mut required = Vec::new();
        for field in CardField::ALL {
            let there = match field {
                CardField::PaymentCardNumber => self.pan.is_some(),
                CardField::ExpirationDate => self.expiry.is_some(),
                CardField::SecurityCode if !call.setup.security_code => continue,
                CardField::SecurityCode => self.code.is_some(),
            };
            let wanted = twice.has(field) || self.compared.has(field);
            let asks = [(false, !there), (true, wanted && !self.matched.has(field))];
            let missing = asks.into_iter().filter(|(_, missing)| *missing);
            required.extend(missing.map(|(again, _)| Ask { field, again }));
        }
        required
    }

    /// Asks for it; what was keyed of it before is wiped, and what was keyed of another field that is half done.
    fn capture(mut self, call: &mut Call, now: At, ask: Ask) -> State {
        self.asked = None;
        call.stop_play();
        call.progress_at = now;
        // A finger that is still at the field before.
        call.ear.flush = Flush::UntilPause;
        // Anew, or a second time: what was alike is no more.
        self.matched.set(ask.field, false);
        if ask.again {
            self.compared.set(ask.field, true);
        } else {
            match ask.field {
                CardField::PaymentCardNumber => {
                    // The code belongs to its card.
                    (self.pan, self.code) = (None, None);
                    self.matched.security_code = false;
                }
                CardField::ExpirationDate => self.expiry = None,
                CardField::SecurityCode => self.code = None,
            }
        }
        self.ask(call, now, ask, Asked::FIRST, Vec::new())
    }

    fn ask(
        mut self,
        call: &mut Call,
        now: At,
        ask: Ask,
        asked: Asked,
        mut says: Vec<Say>,
    ) -> State {
        let kind = match (ask.field, &self.pan) {
            (CardField::PaymentCardNumber, _) => Kind::Number,
            (CardField::ExpirationDate, _) => Kind::Expiry,
            (CardField::SecurityCode, Some(pan)) => Kind::Code(pan.brand()),
            // `captures` lets nobody ask for it.
            (CardField::SecurityCode, None) => return State::Led(self),
        };
        says.push(if asked.attempt > 1 || ask.again {
            kind.again()
        } else {
            kind.question()
        });
        match Field::ask(call, now, kind, asked, says) {
            Ok(field) => {
                self.asked = Some((ask, field));
                self.tell(call, ask, true, asked.attempt, asked.error);
                State::Led(self)
            }
            Err(full) => ending::no_memory(call, now, full),
        }
    }

    /// The same once more, where an attempt is left.
    fn again(
        self,
        call: &mut Call,
        now: At,
        ask: Ask,
        attempt: u8,
        error: ErrorType,
        say: Option<Say>,
    ) -> State {
        call.ear.flush = Flush::UntilPause;
        if attempt >= call.settings.max_attempts {
            return self.failed(call, ask, attempt, error);
        }
        let asked = Asked {
            attempt: attempt + 1,
            error: Some(error),
        };
        self.ask(call, now, ask, asked, say.into_iter().collect())
    }

    /// Nothing is asked any more, until whoever leads says what.
    fn failed(self, call: &mut Call, ask: Ask, attempt: u8, error: ErrorType) -> State {
        call.entered(Step::AwaitingCapture, 1, Some(error));
        self.tell(call, ask, false, attempt, Some(error));
        State::Led(self)
    }

    /// What was keyed, judged.
    fn take(&mut self, call: &Call, ask: Ask, digits: Digits) -> Result<(), Box<(ErrorType, Say)>> {
        if ask.again {
            return self.matches(ask.field, &digits);
        }
        let line = |error, line| Box::new((error, Say::Line(line)));
        match ask.field {
            CardField::PaymentCardNumber => {
                let rules = &call.setup.rules;
                let parsed = Pan::parse(digits, rules);
                self.pan = Some(parsed.map_err(|why| match why {
                    PanError::Brand => {
                        let brands = crate::io::Brands::of(&rules.brands);
                        Box::new((ErrorType::InvalidCardType, Say::Brands(brands)))
                    }
                    PanError::Short => {
                        line(ErrorType::InvalidCardNumber, Line::InvalidCardNumberShort)
                    }
                    PanError::Long => {
                        line(ErrorType::InvalidCardNumber, Line::InvalidCardNumberLong)
                    }
                    _ => line(
                        ErrorType::InvalidCardNumber,
                        Line::InvalidCardNumberChecksum,
                    ),
                })?);
            }
            CardField::ExpirationDate => {
                let parsed = Expiry::parse(digits, call.setup.month);
                self.expiry =
                    Some(parsed.map_err(|_| line(ErrorType::InvalidDate, Line::InvalidDate))?);
            }
            CardField::SecurityCode => {
                let brand = self.pan.as_ref().map(Pan::brand);
                let parsed = brand.and_then(|brand| SecurityCode::parse(digits, brand).ok());
                let parsed = parsed.ok_or_else(|| {
                    line(ErrorType::InvalidSecurityCode, Line::InvalidSecurityCode)
                })?;
                self.code = Some(parsed);
            }
        }
        Ok(())
    }

    /// Whether it is what was keyed before.
    fn matches(&mut self, field: CardField, digits: &Digits) -> Result<(), Box<(ErrorType, Say)>> {
        let alike = digits.expose(|second| match field {
            CardField::PaymentCardNumber => {
                let pan = self.pan.as_ref();
                pan.is_some_and(|pan| pan.expose(|first| first == second))
            }
            CardField::ExpirationDate => self.expiry.as_ref().is_some_and(|expiry| {
                expiry.expose(|month, year| second.split_at_checked(2) == Some((month, year)))
            }),
            CardField::SecurityCode => {
                let code = self.code.as_ref();
                code.is_some_and(|code| code.expose(|first| first == second))
            }
        });
        if !alike {
            let say = match field {
                CardField::PaymentCardNumber => Line::InvalidCardNumberChecksum,
                CardField::ExpirationDate => Line::InvalidDate,
                CardField::SecurityCode => Line::InvalidSecurityCode,
            };
            return Err(Box::new((ErrorType::InputMatchingFailed, Say::Line(say))));
        }
        self.matched.set(field, true);
        Ok(())
    }

    fn complete(self, call: &mut Call, now: At) -> State {
        let Self {
            pan: Some(pan),
            expiry: Some(expiry),
            code,
            ..
        } = self
        else {
            return State::Led(self);
        };
        call.cards = call.cards.saturating_add(1);
        call.progress_at = now;
        let card = Card { pan, expiry, code };
        // Nothing is asked but what the program asks for: a plan is one that was settled before the call.
        let plan = call.setup.plan.unwrap_or(Plan::LumpSum);
        if call.setup.led.is_some_and(|led| led.confirmation) {
            return confirm::enter(call, now, With::Card(card), plan, Vec::new());
        }
        call.plan = Some(plan);
        writing::enter(call, With::Card(card), plan)
    }

    fn tell(&self, call: &mut Call, asked: Ask, open: bool, attempt: u8, error: Option<ErrorType>) {
        let taken = Taken {
            asked,
            open,
            attempt,
            error,
            card: self.card(),
            expiration_date: self.expiry.is_some(),
            security_code: self.code.is_some(),
            required: self.required(call),
        };
        call.push(Output::Taken(taken));
    }
}
