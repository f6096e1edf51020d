//! One field of digits: keys, `*`, `#`, waits, reminders, the end by length or by quiet.
//!
//! Begins with its prompt; ends with a verdict, upon which the state takes the digits. Owns one slot of secret memory, wiped
//! whenever the field is dropped. Does not know which step comes next.

use std::time::Duration;

use ivrpay_card::{Digits, SecurityCode};
use ivrpay_payment::Brand;
use ivrpay_secret::{Full, Key};

use crate::What;
use crate::call::Call;
use crate::io::{At, ErrorType, Progress, Say, Step};
use crate::line::Line;
use crate::pace::{Heard, Pace, Touch};
use crate::phase::Phase;
use crate::plan::Counts;
use crate::wait::{Turn, Wait};

/// Fewest digits of a card number (ISO/IEC 7812-1 and Maestro).
const NUMBER_MIN: usize = 12;

/// Which field.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Number,
    Expiry,
    Code(Brand),
    /// How many instalments: no card data.
    Count(Counts),
}

/// How a field was asked: attempt from 1, and what was wrong before.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) attempt: u8,
    pub(crate) error: Option<ErrorType>,
}

impl Asked {
    pub(crate) const FIRST: Self = Self {
        attempt: 1,
        error: None,
    };
}

pub(crate) struct Field {
    kind: Kind,
    asked: Asked,
    digits: Digits,
    pace: Pace,
    /// More digits came than any field takes.
    long: bool,
    /// `*` was pressed on the empty field.
    star: bool,
    phase: Phase,
}

/// What became of the field.
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    Stay,
    /// It has ended. Its digits may be read.
    Ended,
    /// It can't be told which digits were pressed.
    Doubtful,
    /// More digits than any field takes.
    Long,
    TimedOut,
    /// `*` twice.
    Operator,
}

impl Kind {
    pub(crate) fn step(self) -> Step {
        match self {
            Self::Number => Step::PaymentCardNumber,
            Self::Expiry => Step::ExpirationDate,
            Self::Code(_) => Step::SecurityCode,
            Self::Count(_) => Step::PaymentPlanCount,
        }
    }

    pub(crate) fn question(self) -> Say {
        Say::Line(match self {
            Self::Number => Line::PaymentCardNumber,
            Self::Expiry => Line::ExpirationDate,
            Self::Code(Brand::Amex) => Line::SecurityCodeAmex,
            Self::Code(_) => Line::SecurityCode,
            Self::Count(counts) => return Say::PlanCounts(counts),
        })
    }

    pub(crate) fn again(self) -> Say {
        match self {
            Self::Number => Say::Line(Line::PaymentCardNumberAgain),
            Self::Expiry => Say::Line(Line::ExpirationDateAgain),
            Self::Code(_) | Self::Count(_) => self.question(),
        }
    }

    fn length(self) -> Option<usize> {
        match self {
            Self::Number => None,
            Self::Expiry => Some(4),
            Self::Code(brand) => Some(SecurityCode::digits(brand)),
            Self::Count(counts) => Some(counts.digits()),
        }
    }

    fn wait(self, call: &Call, now: At) -> Wait {
        match self {
            Self::Number => Wait::after_prompt(
                &call.settings,
                now,
                call.settings.first_key_card_number,
                true,
            ),
            Self::Expiry | Self::Code(_) | Self::Count(_) => {
                Wait::after_prompt(&call.settings, now, call.settings.first_key, false)
            }
        }
    }

    fn reminder(self, n: u32) -> Vec<Say> {
        match self {
            Self::Number if n.is_multiple_of(2) => vec![Say::Line(Line::PaymentCardNumberWait)],
            Self::Number => vec![Say::Line(Line::Help)],
            Self::Expiry | Self::Code(_) | Self::Count(_) => {
                vec![self.question(), Say::Line(Line::Help)]
            }
        }
    }
}

impl Field {
    /// Asks for it, with these words.
    pub(crate) fn ask(
        call: &mut Call,
        now: At,
        kind: Kind,
        asked: Asked,
        says: Vec<Say>,
    ) -> Result<Self, Full> {
        let digits = call.digits()?;
        let mut field = Self {
            kind,
            asked,
            digits,
            pace: Pace::new(),
            long: false,
            star: false,
            phase: Phase::First(kind.wait(call, now)),
        };
        field.report(call, true);
        field.say(call, now, says);
        Ok(field)
    }

    pub(crate) fn attempt(&self) -> u8 {
        self.asked.attempt
    }

    pub(crate) fn into_digits(self) -> Digits {
        self.digits
    }

    /// After a pause: goes on where it stood, or asks again when it is empty.
    pub(crate) fn resume(&mut self, call: &mut Call, now: At) {
        self.star = false;
        if self.digits.is_empty() {
            self.report(call, true);
            self.say(call, now, vec![self.kind.question()]);
        } else {
            // A gap of minutes says nothing of the caller's pace.
            call.ear.trail.wipe();
            self.report(call, true);
            self.go_on(call, now);
        }
    }

    /// Asks from the start: a person's wish, or keys that were lost. No attempt is counted.
    pub(crate) fn restart(&mut self, call: &mut Call, now: At, say: Say) {
        self.clear();
        self.report(call, true);
        self.say(call, now, vec![say]);
    }

    pub(crate) fn handle(&mut self, call: &mut Call, now: At, what: &What) -> Verdict {
        match what {
            What::Key(key, touch) => self.key(call, now, *key, *touch),
            What::KeysLost => {
                self.restart(call, now, self.kind.again());
                Verdict::Stay
            }
            What::PromptEnded => {
                self.phase.prompt_ended(now);
                Verdict::Stay
            }
            What::Time => self.time(call, now),
            _ => Verdict::Stay,
        }
    }

    pub(crate) fn deadline(&self, call: &Call) -> At {
        self.phase.deadline(&call.settings, || self.quiet(call))
    }

    fn key(&mut self, call: &mut Call, now: At, key: Key, touch: Touch) -> Verdict {
        match key {
            Key::Digit(digit) => self.digit(call, now, digit, touch),
            Key::Hash => {
                call.stop_play();
                if !self.digits.is_empty() {
                    // Who presses it twice means one.
                    call.ear.late_hash = Some(now.plus(call.settings.late_hash));
                }
                self.verdict(false)
            }
            Key::Star => self.star(call, now),
            Key::Letter => Verdict::Stay,
        }
    }

    fn digit(&mut self, call: &mut Call, now: At, digit: u8, touch: Touch) -> Verdict {
        if self.pace.hear(touch) == Heard::Again {
            return Verdict::Stay;
        }
        call.stop_play();
        self.star = false;
        self.long |= self.digits.push(digit).is_err();
        self.phase = Phase::Keying(now);
        // Of the security code only that it was begun: the number of reports would be the number of digits.
        if !matches!(self.kind, Kind::Code(_)) || self.digits.len() == 1 {
            self.report(call, false);
        }
        if self
            .kind
            .length()
            .is_some_and(|length| self.digits.len() >= length)
        {
            call.ear.late_hash = Some(now.plus(call.settings.late_hash));
            return self.verdict(true);
        }
        Verdict::Stay
    }

    fn star(&mut self, call: &mut Call, now: At) -> Verdict {
        call.stop_play();
        if !self.digits.is_empty() {
            self.restart(call, now, self.kind.question());
        } else if self.star {
            return Verdict::Operator;
        } else {
            self.star = true;
            let says = vec![Say::Line(Line::Help), self.kind.question()];
            self.say(call, now, says);
        }
        Verdict::Stay
    }

    fn time(&mut self, call: &mut Call, now: At) -> Verdict {
        if now < self.deadline(call) {
            return Verdict::Stay;
        }
        match &mut self.phase {
            Phase::First(wait) => match wait.time(&call.settings, now) {
                Turn::Nothing => {}
                Turn::Remind(n) => {
                    call.remind(now, n, self.kind.reminder(n));
                    self.unheard(call, now);
                }
                Turn::Over => return Verdict::TimedOut,
            },
            Phase::Keying(last) => {
                let waited = now.since(*last);
                let quiet = waited >= self.quiet(call);
                let legal = matches!(self.kind, Kind::Number)
                    && ivrpay_card::legal(&self.digits, &call.setup.rules);
                if quiet || legal || self.long {
                    call.ear.late_hash = Some(now.plus(call.settings.late_hash));
                    return self.verdict(false);
                }
                self.go_on(call, now);
            }
            Phase::Continue(_) => self.phase = Phase::Continued(now),
            Phase::Continued(_) => {
                return if self.doubtful(false) {
                    Verdict::Doubtful
                } else {
                    Verdict::TimedOut
                };
            }
        }
        Verdict::Stay
    }

    /// How long it must be quiet for the field to end by itself; for ever where it can't.
    fn quiet(&self, call: &Call) -> Duration {
        let ends = match self.kind {
            Kind::Number => {
                ivrpay_card::progress(&self.digits, &call.setup.rules) == ivrpay_card::Progress::Complete
                || self.long
                // A doubtful one is never accepted; but the sooner it is said, the less is keyed in vain.
                || (self.digits.len() >= NUMBER_MIN && self.doubtful(false))
            }
            Kind::Count(counts) => counts.read(&self.digits).is_some(),
            Kind::Expiry | Kind::Code(_) => false,
        };
        if ends {
            let longest = self.pace.longest();
            call.settings.quiet.max(longest.saturating_add(longest / 2))
        } else {
            Duration::MAX
        }
    }

    fn verdict(&self, by_length: bool) -> Verdict {
        if self.doubtful(by_length) {
            Verdict::Doubtful
        } else if self.long {
            Verdict::Long
        } else {
            Verdict::Ended
        }
    }

    fn doubtful(&self, by_length: bool) -> bool {
        self.pace.doubtful(&self.digits, by_length)
    }

    fn clear(&mut self) {
        self.digits.clear();
        self.pace = Pace::new();
        self.long = false;
        self.star = false;
    }

    /// Says something, after which the wait for the first key begins.
    fn say(&mut self, call: &mut Call, now: At, says: Vec<Say>) {
        call.play(now, says);
        self.phase = Phase::First(self.kind.wait(call, now));
        self.unheard(call, now);
    }

    /// Tells whoever keys to go on.
    fn go_on(&mut self, call: &mut Call, now: At) {
        call.play(now, vec![Say::Line(Line::FieldContinue)]);
        self.phase = Phase::Continue(now.plus(call.settings.prompt_max));
        self.unheard(call, now);
    }

    /// Where nothing is said, nothing ends: whoever leads is saying it.
    fn unheard(&mut self, call: &Call, now: At) {
        if call.is_silent() {
            self.phase.prompt_ended(now);
        }
    }

    fn report(&mut self, call: &mut Call, asked: bool) {
        let digits = match self.kind {
            // Never how many (PCI DSS v4.0.1, 3.3.1.2): only entered or not.
            Kind::Code(_) => None,
            Kind::Number | Kind::Expiry | Kind::Count(_) => {
                Some(u8::try_from(self.digits.len()).unwrap_or(u8::MAX))
            }
        };
        let error = if asked { self.asked.error } else { None };
        call.progress(Progress {
            step: self.kind.step(),
            asked,
            attempt: self.asked.attempt,
            digits,
            error,
            plan: None,
        });
    }
}
