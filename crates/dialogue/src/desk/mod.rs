//! The keypad of somebody who is no payer yet: an operator keys amount, order number, whether the customer may choose how it is paid back, and the
//! customer's language; a customer on
//! the unattended line chooses a language and keys the order number. Before a payment, without a card.
//!
//! # Contract
//!
//! That of the dialogue (see the crate's first page): [`Desk::new`] takes all its secret memory, [`Desk::start`] begins; one change by
//! [`Desk::handle`], then [`Desk::poll_output`] until `None`, then the next event or [`Desk::deadline`]. After [`Output::End`] nothing
//! comes. [`Input::PromptEnded`] only for the prompt that was last asked for and was not stopped.
//!
//! # What it promises
//!
//! - What it gives was read back and confirmed by a key that came after the reading had begun.
//! - An amount is from 1 to [`Setup::amount_max`], an order number has the digits of [`Setup::order`].
//! - A row that could be a card number is refused while it is keyed, wiped, and neither spoken nor given; so is every row of 13 digits
//!   and more where that is too long. Its keys are told apart from echoes and wiped as those of a card are.
//! - Every entry ends: within [`Settings::session`] and the last prompt, and after [`Settings::max_attempts`] at each question.

mod ask;
mod board;
mod io;
mod row;

use std::sync::Arc;

use ivrpay_payment::{Money, OrderId, Plan};
use ivrpay_secret::{Full, Key};

use self::ask::{Ask, Choice};
use self::board::Board;
pub use self::io::*;
use self::row::{Kind, Row, Verdict};
use crate::DUE_MAX;
use crate::ear::Flush;
use crate::io::{At, Language, Say, Spelt};
use crate::line::Line;
use crate::pace::Touch;
use crate::settings::Settings;

/// One entry.
pub struct Desk {
    board: Board,
    state: State,
    /// Latest time heard of: it never goes back.
    now: At,
}

enum State {
    New,
    Language(Ask),
    Plan(Ask),
    Row(Row),
    Confirm(Ask),
    /// The end is being said; until this time at the latest.
    Ending(End, At),
    Over,
}

/// What a question gets to see of an input.
enum What {
    Key(Key, Touch),
    KeysLost,
    PromptEnded,
    Time,
}

impl Desk {
    /// An entry that has not begun. Takes its secret memory.
    ///
    /// # Errors
    /// [`Full`] when no secret memory is free.
    pub fn new(settings: Arc<Settings>, setup: Setup) -> Result<Self, Full> {
        Ok(Self {
            board: Board::new(settings, setup)?,
            state: State::New,
            now: At::default(),
        })
    }

    /// Begins; the first outputs are there afterwards. A `handle` without it begins too.
    pub fn start(&mut self, now: At) {
        self.now = self.now.max(now);
        if matches!(self.state, State::New) {
            self.board.began = self.now;
            self.board.progress_at = self.now;
            self.state = enter(&mut self.board, self.now, None);
        }
    }

    /// Takes one change in.
    pub fn handle(&mut self, now: At, input: Input) {
        self.start(now);
        match input {
            Input::Key(key, lasted) => {
                // The wait that ended before the key arrived comes first; a key that arrived in time counts, however late we are.
                self.due();
                if !self.asks() {
                    return;
                }
                let speaks = self.board.speaks();
                let board = &mut self.board;
                if let Some(touch) = board.ear.hear(&board.settings, now, key, lasted, speaks) {
                    board.progress_at = self.now;
                    self.step(&What::Key(key, touch));
                }
            }
            // Belongs to the prompt that plays now, not to one that a due deadline would begin.
            Input::PromptEnded => {
                self.board.prompt_ended();
                self.step(&What::PromptEnded);
                self.due();
            }
            Input::DeadlineReached => self.due(),
            Input::KeysLost => {
                self.due();
                // What follows is the rest of a number whose beginning is gone.
                self.board.ear.flush = Flush::UntilHeard;
                self.step(&What::KeysLost);
            }
            Input::Shutdown => {
                self.due();
                if self.asks() {
                    self.state = give_up(&mut self.board, self.now, GaveUp::Shutdown);
                }
            }
            Input::HungUp => {
                if !matches!(self.state, State::Over) {
                    self.board.hang_up();
                    self.state = over(&mut self.board, End::GivenUp(GaveUp::HungUp));
                }
            }
        }
    }

    /// What is to be done now, in order; `None` when there is nothing more.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.board.poll()
    }

    /// When [`Input::DeadlineReached`] is wanted, unless something else happens first.
    #[must_use]
    pub fn deadline(&self) -> Option<At> {
        let own = match &self.state {
            State::New => At::default(),
            State::Language(ask) | State::Plan(ask) | State::Confirm(ask) => {
                ask.deadline(&self.board)
            }
            State::Row(row) => row.deadline(&self.board),
            State::Ending(_, until) => *until,
            State::Over => return None,
        };
        Some(self.limit().map_or(own, |limit| own.min(limit)))
    }

    fn due(&mut self) {
        for _ in 0..DUE_MAX {
            if self.deadline().is_none_or(|at| at > self.now) {
                return;
            }
            if self.limit().is_some_and(|at| at <= self.now) {
                self.state = give_up(&mut self.board, self.now, GaveUp::TimeOver);
            } else {
                self.step(&What::Time);
            }
        }
    }

    /// Something is being asked: the limits hold, and the entry can be ended.
    fn asks(&self) -> bool {
        matches!(
            self.state,
            State::Language(_) | State::Plan(_) | State::Row(_) | State::Confirm(_)
        )
    }

    /// The session limit, or the limit without progress.
    fn limit(&self) -> Option<At> {
        let settings = &self.board.settings;
        let session = self.board.began.plus(settings.session);
        let progress = self.board.progress_at.plus(settings.no_progress);
        self.asks().then(|| session.min(progress))
    }

    fn step(&mut self, what: &What) {
        let (board, now) = (&mut self.board, self.now);
        self.state = match std::mem::replace(&mut self.state, State::Over) {
            State::Language(mut ask) => match ask.handle(board, now, what) {
                Choice::Stay => State::Language(ask),
                Choice::One => chosen(board, now, Language::Ja),
                Choice::Two => chosen(board, now, Language::En),
                other => left(board, now, other),
            },
            State::Plan(mut ask) => match ask.handle(board, now, what) {
                Choice::Stay => State::Plan(ask),
                Choice::One => plans(board, now, true),
                Choice::Two => plans(board, now, false),
                other => left(board, now, other),
            },
            State::Row(mut row) => match row.handle(board, now, what) {
                Verdict::Stay => State::Row(row),
                Verdict::Ended => read(board, now, &row),
                Verdict::Wrong(wrong) => again(board, now, &row, wrong),
                Verdict::Zero => wants_operator(board, now),
                Verdict::Star => by_star(board, now),
            },
            State::Confirm(mut ask) => match ask.handle(board, now, what) {
                Choice::Stay => State::Confirm(ask),
                Choice::One => confirmed(board),
                Choice::Two => read_back_wrong(board, now),
                other => left(board, now, other),
            },
            State::Ending(end, until) => match what {
                What::PromptEnded => over(board, end),
                What::Time if now >= until => over(board, end),
                _ => State::Ending(end, until),
            },
            state @ (State::New | State::Over) => state,
        };
    }
}

/// The questions in their order: an operator thinks of the money first, a customer has to understand the next question.
const fn order_of(who: Who) -> [Step; 5] {
    match who {
        Who::Operator => [
            Step::Amount,
            Step::Order,
            Step::Plan,
            Step::Language,
            Step::Confirm,
        ],
        Who::Customer { .. } => [
            Step::Language,
            Step::Order,
            Step::Amount,
            Step::Plan,
            Step::Confirm,
        ],
    }
}

/// The first question behind `after` that is asked here; the end where there is none.
fn enter(board: &mut Board, now: At, after: Option<Step>) -> State {
    let steps = order_of(board.setup.who);
    let behind = after
        .and_then(|after| steps.iter().position(|step| *step == after))
        .map_or(0, |n| n + 1);
    for step in steps.into_iter().skip(behind) {
        match step {
            Step::Amount if board.setup.amount_max.is_some() => {}
            Step::Order if board.setup.order.is_some() => {}
            Step::Plan if board.asks_plans() => {}
            Step::Language if board.setup.ask_language => {}
            // A language alone needs no reading back: the next words are in it.
            Step::Confirm if board.setup.amount_max.is_some() || board.setup.order.is_some() => {}
            _ => continue,
        }
        return ask(board, now, step);
    }
    confirmed(board)
}

fn ask(board: &mut Board, now: At, step: Step) -> State {
    match step {
        Step::Amount => {
            let kind = amount_kind(board);
            State::Row(Row::ask(board, now, kind, 1, None))
        }
        Step::Order => match board.setup.order {
            Some(digits) => State::Row(Row::ask(board, now, Kind::Order(digits), 1, None)),
            None => enter(board, now, Some(step)),
        },
        Step::Plan => {
            let question = vec![Say::Line(Line::DeskPlan)];
            let parts = vec![(question, board.spoken())];
            State::Plan(Ask::begin(board, now, step, parts, true))
        }
        Step::Language => {
            let parts = language_question(board);
            State::Language(Ask::begin(board, now, step, parts, false))
        }
        Step::Confirm => {
            let parts = vec![(reading(board), board.spoken())];
            State::Confirm(Ask::begin(board, now, step, parts, true))
        }
    }
}

fn amount_kind(board: &Board) -> Kind {
    let decimals = board
        .setup
        .amount_max
        .is_some_and(|most| most.currency().exponent() > 0);
    Kind::Amount { decimals }
}

/// A customer hears each language in that language, an operator both in his own.
fn language_question(board: &Board) -> Vec<(Vec<Say>, Language)> {
    let way_out = board.operator().then_some(Line::LanguageOperator);
    match board.setup.who {
        Who::Operator => vec![(vec![Say::Line(Line::DeskLanguage)], board.setup.language)],
        Who::Customer { .. } => [
            (Line::LanguageJapanese, Language::Ja),
            (Line::LanguageEnglish, Language::En),
        ]
        .into_iter()
        .map(|(line, language)| {
            let lines = [line].into_iter().chain(way_out);
            (lines.map(Say::Line).collect(), language)
        })
        .collect(),
    }
}

/// Everything that was keyed, and whether it is right.
fn reading(board: &Board) -> Vec<Say> {
    let mut says = Vec::new();
    says.extend(board.amount.map(Say::KeyedAmount));
    if board.setup.order.is_some() {
        says.push(match &board.order {
            Some((_, spelt)) => Say::KeyedOrder(*spelt),
            None => Say::Line(Line::DeskReadNoOrder),
        });
    }
    says.extend(board.plans.map(|plans| {
        Say::Line(if plans {
            Line::DeskReadPlanCustomer
        } else {
            Line::DeskReadPlanSingle
        })
    }));
    if board.setup.who == Who::Operator && board.setup.ask_language {
        says.push(Say::Line(match board.language {
            Language::En => Line::DeskReadEnglish,
            Language::Ja => Line::DeskReadJapanese,
        }));
    }
    says.push(Say::Line(Line::DeskConfirm));
    says
}

fn plans(board: &mut Board, now: At, plans: bool) -> State {
    board.plans = Some(plans);
    enter(board, now, Some(Step::Plan))
}

fn chosen(board: &mut Board, now: At, language: Language) -> State {
    board.language = language;
    enter(board, now, Some(Step::Language))
}

/// Reads the row that has ended.
fn read(board: &mut Board, now: At, row: &Row) -> State {
    let keyed = match row.kind() {
        Kind::Amount { .. } => read_amount(board).map(|amount| board.amount = Some(amount)),
        Kind::Order(digits) => read_order(board, digits).map(|order| board.order = order),
    };
    match keyed {
        Ok(()) => {
            board.digits.clear();
            enter(board, now, Some(row.kind().step()))
        }
        Err(wrong) => again(board, now, row, wrong),
    }
}

fn read_amount(board: &Board) -> Result<Money, Wrong> {
    let Some(most) = board.setup.amount_max else {
        return Err(Wrong::Amount);
    };
    let minor = board.digits.expose(number).ok_or(Wrong::AmountTooLarge)?;
    if minor > most.minor() {
        return Err(Wrong::AmountTooLarge);
    }
    Money::new(minor, most.currency()).map_err(|_| Wrong::Amount)
}

/// `None` where it runs over.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        number
            .checked_mul(10)?
            .checked_add(u64::from(digit.wrapping_sub(b'0')))
    })
}

fn read_order(board: &Board, digits: OrderDigits) -> Result<Option<(OrderId, Spelt)>, Wrong> {
    let len = board.digits.len();
    if len == 0 && !digits.required() {
        return Ok(None);
    }
    if !(digits.min()..=digits.max()).contains(&len) {
        return Err(Wrong::OrderLength);
    }
    let text = board
        .digits
        .expose(|digits| digits.iter().copied().map(char::from).collect::<String>());
    // Both refuse what could be a card number, at lengths too at which it was not refused while it came.
    let spelt = Spelt::new(&text).ok_or(Wrong::CardNumber)?;
    let order = OrderId::new(text).map_err(|_| Wrong::CardNumber)?;
    Ok(Some((order, spelt)))
}

/// The row once more, after what was wrong.
fn again(board: &mut Board, now: At, row: &Row, wrong: Wrong) -> State {
    // Wiped before anything is said.
    board.digits.clear();
    if board.ear.flush == Flush::No {
        board.ear.flush = Flush::UntilPause;
    }
    if row.attempt() >= board.settings.max_attempts {
        return give_up(board, now, GaveUp::TooManyFailedAttempts);
    }
    let said = match (wrong, board.setup.amount_max) {
        (Wrong::AmountTooLarge, Some(most)) => Some(Say::AmountMost(most)),
        (Wrong::Amount | Wrong::AmountTooLarge, _) => Some(Say::Line(Line::DeskAmountWrong)),
        (Wrong::CardNumber, _) => Some(Say::Line(Line::DeskCardNumber)),
        (Wrong::DuplicateToneSuspected, _) => Some(Say::Line(Line::DuplicateToneSuspected)),
        (Wrong::OrderLength, _) => Some(Say::Line(Line::OrderNumberLength)),
        (Wrong::InputTimeout | Wrong::Key | Wrong::ReadBack, _) => None,
    };
    let (kind, attempt) = (row.kind(), row.attempt().saturating_add(1));
    State::Row(Row::ask(board, now, kind, attempt, Some((wrong, said))))
}

/// 2 at the reading back: from the start, but a customer's language has been heard.
fn read_back_wrong(board: &mut Board, now: At) -> State {
    board.rounds = board.rounds.saturating_add(1);
    if board.rounds >= board.settings.max_attempts {
        return give_up(board, now, GaveUp::TooManyFailedAttempts);
    }
    (board.amount, board.order, board.plans) = (None, None, None);
    match board.setup.who {
        Who::Operator => {
            board.language = board.setup.language;
            enter(board, now, None)
        }
        Who::Customer { .. } => enter(board, now, Some(Step::Language)),
    }
}

fn confirmed(board: &mut Board) -> State {
    let keyed = Keyed {
        amount: board.amount.take(),
        order: board.order.take().map(|(order, _)| order),
        plan: (board.plans == Some(false)).then_some(Plan::LumpSum),
        language: board.language,
    };
    over(board, End::Keyed(keyed))
}

/// A menu that was left without an answer.
fn left(board: &mut Board, now: At, choice: Choice) -> State {
    match choice {
        Choice::Zero => wants_operator(board, now),
        Choice::Star => by_star(board, now),
        Choice::Stay | Choice::One | Choice::Two | Choice::TooMany => {
            give_up(board, now, GaveUp::TooManyFailedAttempts)
        }
    }
}

fn by_star(board: &mut Board, now: At) -> State {
    if board.operator() {
        wants_operator(board, now)
    } else {
        give_up(board, now, GaveUp::Cancelled)
    }
}

fn wants_operator(board: &mut Board, now: At) -> State {
    say(board, now, End::WantsOperator, &[Line::AgentReturn])
}

fn give_up(board: &mut Board, now: At, why: GaveUp) -> State {
    let lines: &[Line] = match board.setup.who {
        Who::Operator => &[Line::DeskEnded],
        Who::Customer { operator: true } if why == GaveUp::Shutdown => &[Line::InternalError],
        Who::Customer { operator: true } => &[Line::TooManyFailedAttempts],
        Who::Customer { operator: false } if why == GaveUp::Cancelled => &[Line::SelfServiceEnd],
        Who::Customer { operator: false } => &[Line::EntryFailed, Line::SelfServiceEnd],
    };
    say(board, now, End::GivenUp(why), lines)
}

fn say(board: &mut Board, now: At, end: End, lines: &[Line]) -> State {
    // Wiped before anything is said.
    board.digits.clear();
    (board.amount, board.order, board.plans) = (None, None, None);
    board.stop_play();
    board.play(lines.iter().copied().map(Say::Line).collect());
    State::Ending(end, now.plus(board.settings.prompt_max))
}

fn over(board: &mut Board, end: End) -> State {
    board.end(end);
    State::Over
}

#[cfg(test)]
mod tests {
    use super::*;

    static_assertions::assert_not_impl_any!(Desk: Clone, std::fmt::Debug, std::fmt::Display);
    // As the dialogue's: it carries a key.
    static_assertions::assert_not_impl_any!(Input: Clone, std::fmt::Debug);
    static_assertions::assert_impl_all!(Desk: Send);
}
