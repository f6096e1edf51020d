//! One menu: a question that 1 or 2 answers.
//!
//! Begins with its prompt; ends with a choice. Owns no card data. Does not know what the choices mean.

use ivrpay_secret::Key;

use crate::What;
use crate::call::Call;
use crate::ear::Flush;
use crate::io::{At, ErrorType, Say, Step};
use crate::line::Line;
use crate::wait::{Turn, Wait};

pub(crate) struct Menu {
    step: Step,
    says: Vec<Say>,
    /// What another key than 1 and 2 is.
    wrong: Option<ErrorType>,
    attempt: u8,
    star: bool,
    wait: Wait,
    /// Until then no key counts, and the step is not announced: it can't have been heard yet.
    deaf_until: Option<At>,
}

/// What became of the menu.
#[derive(Clone, Copy)]
pub(crate) enum Choice {
    Stay,
    One,
    Two,
    /// No attempt is left.
    TooMany,
    /// `*` twice.
    Operator,
}

impl Menu {
    pub(crate) fn ask(
        call: &mut Call,
        now: At,
        step: Step,
        says: Vec<Say>,
        wrong: Option<ErrorType>,
    ) -> Self {
        Self::ask_after(call, now, step, says, wrong, None)
    }

    /// As [`Self::ask`], after this error of the step before.
    pub(crate) fn ask_after(
        call: &mut Call,
        now: At,
        step: Step,
        says: Vec<Say>,
        wrong: Option<ErrorType>,
        error: Option<ErrorType>,
    ) -> Self {
        let wait = Wait::after_prompt(&call.settings, now, call.settings.first_key, false);
        let mut menu = Self {
            step,
            says,
            wrong,
            attempt: 1,
            star: false,
            wait,
            deaf_until: None,
        };
        menu.say(call, now, error);
        menu
    }

    /// As [`Self::ask`], but a key that was typed ahead answers nothing: the question has to be heard.
    pub(crate) fn ask_to_be_heard(call: &mut Call, now: At, step: Step, says: Vec<Say>) -> Self {
        call.play(now, says.clone());
        Self {
            step,
            says,
            wrong: None,
            attempt: 1,
            star: false,
            wait: Wait::after_prompt(&call.settings, now, call.settings.first_key, false),
            deaf_until: Some(now.plus(call.settings.after_error)),
        }
    }

    /// The question once more; no attempt is counted.
    pub(crate) fn again(&mut self, call: &mut Call, now: At) {
        self.say(call, now, None);
    }

    pub(crate) fn handle(&mut self, call: &mut Call, now: At, what: &What) -> Choice {
        if self.deaf_until.is_some_and(|until| now >= until) {
            self.deaf_until = None;
            call.entered(self.step, self.attempt, None);
        }
        match what {
            What::Key(..) if self.deaf_until.is_some() => Choice::Stay,
            // An echo in a menu changes nothing that was chosen: dropped.
            What::Key(_, touch) if touch.echo() => Choice::Stay,
            What::Key(key, _) => self.key(call, now, *key),
            What::KeysLost => {
                self.again(call, now);
                Choice::Stay
            }
            What::PromptEnded => {
                self.wait.prompt_ended(now);
                Choice::Stay
            }
            What::Time => match self.wait.time(&call.settings, now) {
                Turn::Nothing => Choice::Stay,
                Turn::Remind(n) => {
                    call.remind(now, n, self.says.clone());
                    Choice::Stay
                }
                Turn::Over => self.failed(call, now, Some(call.no_input())),
            },
            _ => Choice::Stay,
        }
    }

    pub(crate) fn deadline(&self, call: &Call) -> At {
        let wait = self.wait.deadline(&call.settings);
        self.deaf_until.map_or(wait, |until| until.min(wait))
    }

    fn key(&mut self, call: &mut Call, now: At, key: Key) -> Choice {
        call.stop_play();
        if key != Key::Star {
            self.star = false;
        }
        match key {
            Key::Digit(digit @ (1 | 2)) => {
                call.pressed(now, self.step, digit);
                call.ear.late_hash = Some(now.plus(call.settings.late_hash));
                if digit == 1 { Choice::One } else { Choice::Two }
            }
            Key::Digit(_) | Key::Hash => {
                call.ear.flush = Flush::UntilPause;
                self.failed(call, now, self.wrong)
            }
            Key::Star if self.star => Choice::Operator,
            Key::Star => {
                self.star = true;
                let says = [Say::Line(Line::Help)].into_iter().chain(self.says.clone());
                call.play(now, says.collect());
                self.wait = Wait::after_prompt(&call.settings, now, call.settings.first_key, false);
                Choice::Stay
            }
            Key::Letter => Choice::Stay,
        }
    }

    fn failed(&mut self, call: &mut Call, now: At, error: Option<ErrorType>) -> Choice {
        if self.attempt >= call.settings.max_attempts {
            return Choice::TooMany;
        }
        self.attempt += 1;
        self.say(call, now, error);
        Choice::Stay
    }

    fn say(&mut self, call: &mut Call, now: At, error: Option<ErrorType>) {
        self.star = false;
        self.deaf_until = None;
        call.entered(self.step, self.attempt, error);
        let why = error.and_then(ErrorType::unheard);
        call.play(now, why.into_iter().chain(self.says.clone()).collect());
        self.wait = Wait::after_prompt(&call.settings, now, call.settings.first_key, false);
    }
}
