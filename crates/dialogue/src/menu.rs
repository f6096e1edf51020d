//! One menu: a question that 1 or 2 answers, or whichever keys it has.
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
    /// The keys that answer, ascending.
    keys: Vec<u8>,
    /// What another key is.
    wrong: Option<ErrorType>,
    attempt: u8,
    star: bool,
    wait: Wait,
    /// Until then no key counts, and the step is not announced: it can't have been heard yet.
    deaf_until: Option<At>,
}

/// What became of a menu of whichever keys.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Stay,
    Key(u8),
    /// No attempt is left.
    TooMany,
    /// `*` twice.
    Operator,
}

/// What became of a menu of 1 and 2.
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
            keys: vec![1, 2],
            wrong,
            attempt: 1,
            star: false,
            wait,
            deaf_until: None,
        };
        menu.say(call, now, error);
        menu
    }

    /// As [`Self::ask`], but a key that was typed ahead answers nothing: the question has to be heard. `before` is said once, ahead of it.
    pub(crate) fn ask_to_be_heard(
        call: &mut Call,
        now: At,
        step: Step,
        says: Vec<Say>,
        before: Vec<Say>,
    ) -> Self {
        call.play(
            now,
            before.into_iter().chain(says.iter().copied()).collect(),
        );
        Self {
            step,
            says,
            keys: vec![1, 2],
            wrong: None,
            attempt: 1,
            star: false,
            wait: Wait::after_prompt(&call.settings, now, call.settings.first_key, false),
            deaf_until: Some(now.plus(call.settings.after_error)),
        }
    }

    /// With these keys, of 1 to 4, instead of 1 and 2; another one is wrong for this reason.
    pub(crate) fn with_keys(self, keys: Vec<u8>, wrong: ErrorType) -> Self {
        Self {
            keys,
            wrong: Some(wrong),
            ..self
        }
    }

    /// The question once more; no attempt is counted.
    pub(crate) fn again(&mut self, call: &mut Call, now: At) {
        self.say(call, now, None);
    }

    pub(crate) fn handle(&mut self, call: &mut Call, now: At, what: &What) -> Choice {
        match self.answer(call, now, what) {
            Answer::Stay => Choice::Stay,
            Answer::Key(1) => Choice::One,
            Answer::Key(_) => Choice::Two,
            Answer::TooMany => Choice::TooMany,
            Answer::Operator => Choice::Operator,
        }
    }

    /// As [`Self::handle`], for the keys of [`Self::with_keys`].
    pub(crate) fn answer(&mut self, call: &mut Call, now: At, what: &What) -> Answer {
        if self.deaf_until.is_some_and(|until| now >= until) {
            self.deaf_until = None;
            call.entered(self.step, self.attempt, None);
        }
        match what {
            What::Key(..) if self.deaf_until.is_some() => Answer::Stay,
            // An echo in a menu changes nothing that was chosen: dropped.
            What::Key(_, touch) if touch.echo() => Answer::Stay,
            What::Key(key, _) => self.key(call, now, *key),
            What::KeysLost => {
                self.again(call, now);
                Answer::Stay
            }
            What::PromptEnded => {
                self.wait.prompt_ended(now);
                Answer::Stay
            }
            What::Time => match self.wait.time(&call.settings, now) {
                Turn::Nothing => Answer::Stay,
                Turn::Remind(n) => {
                    call.remind(now, n, self.says.clone());
                    Answer::Stay
                }
                Turn::Over => self.failed(call, now, Some(call.no_input())),
            },
            _ => Answer::Stay,
        }
    }

    pub(crate) fn deadline(&self, call: &Call) -> At {
        let wait = self.wait.deadline(&call.settings);
        self.deaf_until.map_or(wait, |until| until.min(wait))
    }

    fn key(&mut self, call: &mut Call, now: At, key: Key) -> Answer {
        call.stop_play();
        if key != Key::Star {
            self.star = false;
        }
        match key {
            Key::Digit(digit) if self.keys.contains(&digit) => {
                call.pressed(now, self.step, digit);
                call.ear.late_hash = Some(now.plus(call.settings.late_hash));
                Answer::Key(digit)
            }
            Key::Digit(_) | Key::Hash => {
                call.ear.flush = Flush::UntilPause;
                self.failed(call, now, self.wrong)
            }
            Key::Star if self.star => Answer::Operator,
            Key::Star => {
                self.star = true;
                let says = [Say::Line(Line::Help)].into_iter().chain(self.says.clone());
                call.play(now, says.collect());
                self.wait = Wait::after_prompt(&call.settings, now, call.settings.first_key, false);
                Answer::Stay
            }
            Key::Letter => Answer::Stay,
        }
    }

    fn failed(&mut self, call: &mut Call, now: At, error: Option<ErrorType>) -> Answer {
        if self.attempt >= call.settings.max_attempts {
            return Answer::TooMany;
        }
        self.attempt += 1;
        self.say(call, now, error);
        Answer::Stay
    }

    fn say(&mut self, call: &mut Call, now: At, error: Option<ErrorType>) {
        self.star = false;
        self.deaf_until = None;
        call.entered(self.step, self.attempt, error);
        let why = error.and_then(ErrorType::before_menu);
        call.play(now, why.into_iter().chain(self.says.clone()).collect());
        self.wait = Wait::after_prompt(&call.settings, now, call.settings.first_key, false);
    }
}
