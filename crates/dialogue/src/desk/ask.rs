//! One menu: a question that 1 or 2 answers, in one language or in several, one after the other.
//!
//! Begins with its first part; ends with a choice. Owns no digits. Does not know what the choices mean.

use ivrpay_secret::Key;

use super::What;
use super::board::Board;
use super::io::{Step, Wrong};
use crate::ear::Flush;
use crate::io::{At, Language, Say};
use crate::wait::{Turn, Wait};

pub(super) struct Ask {
    step: Step,
    /// Each in its language; there is at least one.
    parts: Vec<(Vec<Say>, Language)>,
    /// The part that plays.
    part: usize,
    /// When the part is taken as ended, so that a lost `PromptEnded` keeps nobody from the next.
    part_until: At,
    attempt: u8,
    star: bool,
    wait: Wait,
    /// Until then no key counts: the question can't have been heard yet.
    deaf_until: Option<At>,
}

/// What became of the menu.
#[derive(Clone, Copy)]
pub(super) enum Choice {
    Stay,
    One,
    Two,
    /// 0, where that leads to an operator.
    Zero,
    /// `*` twice.
    Star,
    /// No attempt is left.
    TooMany,
}

impl Ask {
    /// `heard`: a key that was typed ahead answers nothing.
    pub(super) fn begin(
        board: &mut Board,
        now: At,
        step: Step,
        parts: Vec<(Vec<Say>, Language)>,
        heard: bool,
    ) -> Self {
        let mut ask = Self {
            step,
            parts,
            part: 0,
            part_until: now,
            attempt: 1,
            star: false,
            wait: wait(board, now),
            deaf_until: None,
        };
        ask.say(board, now, None, None);
        if heard {
            ask.deaf_until = Some(now.plus(board.settings.after_error));
            // Who is still keying has something else in mind: a longer number, cut off by a row of fixed length.
            board.ear.flush = Flush::UntilPause;
        }
        ask
    }

    pub(super) fn handle(&mut self, board: &mut Board, now: At, what: &What) -> Choice {
        if self.deaf_until.is_some_and(|until| now >= until) {
            self.deaf_until = None;
        }
        match what {
            What::Key(..) if self.deaf_until.is_some() => Choice::Stay,
            // An echo in a menu changes nothing that was chosen: dropped.
            What::Key(_, touch) if touch.echo() => Choice::Stay,
            What::Key(key, _) => self.key(board, now, *key),
            What::KeysLost => {
                self.say(board, now, None, None);
                Choice::Stay
            }
            What::PromptEnded => {
                self.part_ended(board, now);
                Choice::Stay
            }
            What::Time if self.more() => {
                if now >= self.part_until {
                    self.part_ended(board, now);
                }
                Choice::Stay
            }
            What::Time => match self.wait.time(&board.settings, now) {
                Turn::Nothing => Choice::Stay,
                Turn::Remind(n) => {
                    self.remind(board, now, n);
                    Choice::Stay
                }
                Turn::Over => self.failed(board, now, Wrong::InputTimeout),
            },
        }
    }

    pub(super) fn deadline(&self, board: &Board) -> At {
        let next = if self.more() {
            self.part_until
        } else {
            self.wait.deadline(&board.settings)
        };
        self.deaf_until.map_or(next, |until| until.min(next))
    }

    fn key(&mut self, board: &mut Board, now: At, key: Key) -> Choice {
        board.stop_play();
        let star = std::mem::take(&mut self.star);
        let choice = match key {
            Key::Digit(1) => Choice::One,
            Key::Digit(2) => Choice::Two,
            Key::Digit(0) if board.operator() => Choice::Zero,
            Key::Digit(_) | Key::Hash => {
                board.ear.flush = Flush::UntilPause;
                return self.failed(board, now, Wrong::Key);
            }
            Key::Star if star => return Choice::Star,
            Key::Star => {
                let help = board.help();
                self.say(board, now, None, Some(help));
                self.star = true;
                return Choice::Stay;
            }
            Key::Letter => return Choice::Stay,
        };
        board.ear.late_hash = Some(now.plus(board.settings.late_hash));
        choice
    }

    fn failed(&mut self, board: &mut Board, now: At, wrong: Wrong) -> Choice {
        if self.attempt >= board.settings.max_attempts {
            return Choice::TooMany;
        }
        self.attempt += 1;
        self.say(board, now, Some(wrong), None);
        Choice::Stay
    }

    /// The question from its first part, with `before` ahead of it.
    fn say(&mut self, board: &mut Board, now: At, wrong: Option<Wrong>, before: Option<Say>) {
        self.star = false;
        self.deaf_until = None;
        board.report(self.step, true, self.attempt, wrong);
        self.play_part(board, now, 0, before);
        self.wait = wait(board, now);
    }

    /// One part has its reminder as every question has; of several all are said again.
    fn remind(&mut self, board: &mut Board, now: At, n: u32) {
        match self.parts.as_slice() {
            [(says, language)] => {
                let says = board.reminder(n, says.clone());
                board.play_in(says, *language);
            }
            _ => self.play_part(board, now, 0, None),
        }
    }

    fn more(&self) -> bool {
        self.part + 1 < self.parts.len()
    }

    fn part_ended(&mut self, board: &mut Board, now: At) {
        if self.more() {
            self.play_part(board, now, self.part + 1, None);
        } else {
            self.wait.prompt_ended(now);
        }
    }

    fn play_part(&mut self, board: &mut Board, now: At, part: usize, before: Option<Say>) {
        self.part = part;
        self.part_until = now.plus(board.settings.prompt_max);
        if let Some((says, language)) = self.parts.get(part) {
            let says = before.into_iter().chain(says.iter().copied()).collect();
            board.play_in(says, *language);
        }
    }
}

fn wait(board: &Board, now: At) -> Wait {
    Wait::after_prompt(&board.settings, now, board.settings.first_key, false)
}
