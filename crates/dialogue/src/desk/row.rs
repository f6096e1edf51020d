//! One row of digits: the amount, or the order number.
//!
//! Begins with its question; ends with a verdict, upon which the digits may be read. They stand on the board, in secret memory, and
//! are wiped whenever a row is asked. A card number is refused while it is being keyed. Does not know what comes next.

use std::time::Duration;

use ivrpay_secret::Key;

use super::What;
use super::board::Board;
use super::io::{OrderDigits, Step, Wrong};
use crate::ear::Flush;
use crate::io::{At, Say};
use crate::line::Line;
use crate::pace::{Heard, Pace, Touch};
use crate::phase::Phase;
use crate::wait::{Turn, Wait};

/// Fewest digits that are taken for a card number where more digits came than the row takes (ISO/IEC 7812-1 as brands use it).
const CARD_MIN: usize = 13;

/// Most digits of an amount, leading zeros included: those that `Money::parse` reads, and fewer than any card number has.
const AMOUNT_MAX: usize = 12;

/// Which row.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// `decimals`: the currency has two digits behind the point, which are keyed without it. `*` is no point: it clears, here as
    /// in every other row, and whoever forgets the decimals hears it when the amount is read back.
    Amount {
        decimals: bool,
    },
    Order(OrderDigits),
}

impl Kind {
    pub(super) const fn step(self) -> Step {
        match self {
            Self::Amount { .. } => Step::Amount,
            Self::Order(_) => Step::Order,
        }
    }

    pub(super) fn question(self, board: &Board) -> Vec<Say> {
        let lines = match (self, board.setup.who) {
            (Self::Amount { decimals: false }, _) => vec![Line::DeskAmount],
            (Self::Amount { decimals: true }, _) => vec![Line::DeskAmountDecimals],
            (Self::Order(digits), super::Who::Operator) if digits.required() => {
                vec![Line::DeskOrder]
            }
            (Self::Order(_), super::Who::Operator) => vec![Line::DeskOrder, Line::DeskOrderNone],
            (Self::Order(digits), super::Who::Customer { operator }) => {
                let none = (!digits.required()).then_some(Line::DeskOrderNone);
                let way_out = operator.then_some(Line::OrderNumberOperator);
                [Line::OrderNumber]
                    .into_iter()
                    .chain(none)
                    .chain(way_out)
                    .collect()
            }
        };
        lines.into_iter().map(Say::Line).collect()
    }

    const fn min(self) -> usize {
        match self {
            Self::Amount { .. } => 1,
            Self::Order(digits) => digits.min(),
        }
    }

    const fn max(self) -> usize {
        match self {
            Self::Amount { .. } => AMOUNT_MAX,
            Self::Order(digits) => digits.max(),
        }
    }

    /// Its last digit ends it.
    const fn by_length(self) -> bool {
        self.min() == self.max()
    }
}

pub(super) struct Row {
    kind: Kind,
    attempt: u8,
    pace: Pace,
    /// `*` was pressed on the empty row.
    star: bool,
    phase: Phase,
}

/// What became of the row.
#[derive(Clone, Copy)]
pub(super) enum Verdict {
    Stay,
    /// It has ended. Its digits may be read: none, or any number of them.
    Ended,
    Wrong(Wrong),
    /// `*` twice.
    Star,
    /// 0 alone, where that leads to an operator.
    Zero,
}

impl Row {
    /// Asks for it: with what was wrong, then the question.
    pub(super) fn ask(
        board: &mut Board,
        now: At,
        kind: Kind,
        attempt: u8,
        wrong: Option<(Wrong, Option<Say>)>,
    ) -> Self {
        board.digits.clear();
        let row = Self {
            kind,
            attempt,
            pace: Pace::new(),
            star: false,
            phase: Self::first(board, now),
        };
        board.report(kind.step(), true, attempt, wrong.map(|(wrong, _)| wrong));
        let error = wrong.and_then(|(_, say)| say);
        let says = error.into_iter().chain(kind.question(board)).collect();
        board.play(says);
        row
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn attempt(&self) -> u8 {
        self.attempt
    }

    pub(super) fn handle(&mut self, board: &mut Board, now: At, what: &What) -> Verdict {
        match what {
            What::Key(key, touch) => self.key(board, now, *key, *touch),
            What::KeysLost => {
                self.restart(board, now, Vec::new());
                Verdict::Stay
            }
            What::PromptEnded => {
                self.phase.prompt_ended(now);
                Verdict::Stay
            }
            What::Time => self.time(board, now),
        }
    }

    pub(super) fn deadline(&self, board: &Board) -> At {
        self.phase.deadline(&board.settings, || Duration::MAX)
    }

    fn key(&mut self, board: &mut Board, now: At, key: Key, touch: Touch) -> Verdict {
        match key {
            Key::Digit(digit) => self.digit(board, now, digit, touch),
            Key::Hash => {
                board.stop_play();
                if !board.digits.is_empty() {
                    // Who presses it twice at once means one; a little later it is the next row that is left empty.
                    swallow_hash(board, now, board.settings.after_error);
                }
                self.verdict(board, false)
            }
            Key::Star => self.star(board, now),
            Key::Letter => Verdict::Stay,
        }
    }

    fn digit(&mut self, board: &mut Board, now: At, digit: u8, touch: Touch) -> Verdict {
        if self.pace.hear(touch) == Heard::Again {
            return Verdict::Stay;
        }
        board.stop_play();
        self.star = false;
        // Never full: a row that has too many digits has ended by then, as a card number.
        let kept = board.digits.push(digit).is_ok();
        self.phase = Phase::Keying(now);
        board.report(self.kind.step(), false, self.attempt, None);
        let len = board.digits.len();
        if !kept
            || len >= CARD_MIN && len > self.kind.max()
            || ivrpay_card::legal(&board.digits, &board.cards)
        {
            // Its rest is still on its way, and could pass for a row of its own.
            board.ear.flush = Flush::UntilHeard;
            return Verdict::Wrong(Wrong::CardNumber);
        }
        if self.kind.by_length() && len == self.kind.max() {
            swallow_hash(board, now, board.settings.late_hash);
            return self.verdict(board, true);
        }
        Verdict::Stay
    }

    fn star(&mut self, board: &mut Board, now: At) -> Verdict {
        board.stop_play();
        if !board.digits.is_empty() {
            self.restart(board, now, Vec::new());
        } else if self.star {
            return Verdict::Star;
        } else {
            let help = vec![board.help()];
            self.restart(board, now, help);
            self.star = true;
        }
        Verdict::Stay
    }

    fn time(&mut self, board: &mut Board, now: At) -> Verdict {
        if now < self.deadline(board) {
            return Verdict::Stay;
        }
        match &mut self.phase {
            Phase::First(wait) => match wait.time(&board.settings, now) {
                Turn::Nothing => {}
                Turn::Remind(n) => {
                    let says = board.reminder(n, self.kind.question(board));
                    board.play(says);
                }
                Turn::Over => return Verdict::Wrong(Wrong::InputTimeout),
            },
            Phase::Keying(_) => {
                let len = board.digits.len();
                // Whole, or beyond help; what is read back is confirmed anyway.
                if len >= self.kind.min() || is_zero(board) {
                    swallow_hash(board, now, board.settings.late_hash);
                    return self.verdict(board, false);
                }
                board.play(vec![Say::Line(Line::FieldContinue)]);
                self.phase = Phase::Continue(now.plus(board.settings.prompt_max));
            }
            Phase::Continue(_) => self.phase = Phase::Continued(now),
            Phase::Continued(_) => return self.verdict(board, false),
        }
        Verdict::Stay
    }

    fn verdict(&self, board: &Board, by_length: bool) -> Verdict {
        if self.pace.doubtful(&board.digits, by_length) {
            Verdict::Wrong(Wrong::DuplicateToneSuspected)
        } else if is_zero(board) {
            Verdict::Zero
        } else {
            Verdict::Ended
        }
    }

    /// From the start, with these words before the question; no attempt is counted.
    fn restart(&mut self, board: &mut Board, now: At, before: Vec<Say>) {
        board.digits.clear();
        self.pace = Pace::new();
        self.star = false;
        board.report(self.kind.step(), true, self.attempt, None);
        let says = before
            .into_iter()
            .chain(self.kind.question(board))
            .collect();
        board.play(says);
        self.phase = Self::first(board, now);
    }

    fn first(board: &Board, now: At) -> Phase {
        let longest = board.settings.first_key;
        Phase::First(Wait::after_prompt(&board.settings, now, longest, false))
    }
}

/// A 0 and nothing else, where that leads to an operator.
fn is_zero(board: &Board) -> bool {
    board.operator() && board.digits.expose(|digits| digits == b"0")
}

fn swallow_hash(board: &mut Board, now: At, span: Duration) {
    board.ear.late_hash = Some(now.plus(span));
}
