//! What goes into the keypad and what comes out of it.

use std::time::Duration;

use ivrpay_payment::{Money, Offers, OrderId, Plan};
use ivrpay_secret::Key;

use crate::io::{Language, Prompt};

/// Who keys: the questions, their order and the way out differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// An operator, before the customer moves: amount, order number, then the customer's language. `*` twice gives up.
    Operator,
    /// A customer on the line that nobody attends: language, then order number. `operator`: 0, or `*` twice, leads to one.
    Customer {
        /// Whether there is an operator to be reached.
        operator: bool,
    },
}

/// How many digits an order number has. A row that could be a card number is none, whatever its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderDigits {
    min: usize,
    max: usize,
    required: bool,
}

impl OrderDigits {
    /// Most digits of an order number: who keys more makes mistakes, and there must be room to see that there are too many.
    pub const MAX: usize = 20;

    /// From `min` to `max` digits; `required`: there is no payment without one. Where `min` is `max` the last digit ends the
    /// entry, else `#` does.
    ///
    /// `None` unless 1 <= `min` <= `max` <= [`Self::MAX`].
    #[must_use]
    pub const fn new(min: usize, max: usize, required: bool) -> Option<Self> {
        if min >= 1 && min <= max && max <= Self::MAX {
            Some(Self { min, max, required })
        } else {
            None
        }
    }

    pub(super) const fn min(self) -> usize {
        self.min
    }

    pub(super) const fn max(self) -> usize {
        self.max
    }

    pub(super) const fn required(self) -> bool {
        self.required
    }
}

/// What is asked, and of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Who keys.
    pub who: Who,
    /// What is spoken in this language: all of it to an operator, to a customer until another one is chosen.
    pub language: Language,
    /// Whether the customer's language is asked; else it is [`Self::language`].
    pub ask_language: bool,
    /// The largest amount that may be keyed, whose currency is that of the amount; the amount is not asked without it.
    pub amount_max: Option<Money>,
    /// The order number; not asked without it.
    pub order: Option<OrderDigits>,
    /// What the customer may be allowed beside one payment: asked of an operator, where there is something for the amount.
    pub offers: Offers,
}

/// What happens to the keypad.
pub enum Input {
    /// A key, as for the dialogue: `now` of this input is when it *arrived*, the span how long it was held (0: not known).
    Key(Key, Duration),
    /// Keys were lost: what is being asked is asked again.
    KeysLost,
    /// The prompt that was last asked for has ended by itself.
    PromptEnded,
    /// `deadline()` has been reached.
    DeadlineReached,
    /// The service is being stopped.
    Shutdown,
    /// Whoever keys hung up.
    HungUp,
}

/// A wish for the outer world. Drained after every `handle`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Play this in this language; whatever plays is replaced.
    Play(Prompt, Language),
    /// Stop what plays.
    StopPlay,
    /// Where the entry is. Never a digit.
    Progress(Progress),
    /// Over. Nothing comes after it.
    End(End),
}

/// What is being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Digits of the amount.
    Amount,
    /// Digits of the order number.
    Order,
    /// Whether the customer may choose how it is paid back: 1 he may, 2 one payment.
    Plan,
    /// 1 Japanese, 2 English.
    Language,
    /// What was keyed is read back: 1 right, 2 wrong.
    Confirm,
}

impl Step {
    /// Spelling in events and scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amount => "amount",
            Self::Order => "order",
            Self::Plan => "plan",
            Self::Language => "language",
            Self::Confirm => "confirm",
        }
    }
}

/// Where the entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being asked.
    pub step: Step,
    /// It is being asked, for the first time or anew; false while keys come in.
    pub asked: bool,
    /// Attempt at it, from 1.
    pub attempt: u8,
    /// Digits keyed.
    pub digits: u8,
    /// What was wrong with the last attempt.
    pub wrong: Option<Wrong>,
}

/// What was wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wrong {
    /// Zero, or nothing.
    Amount,
    /// More than the most.
    AmountTooLarge,
    /// It could be a card number.
    CardNumber,
    /// It can't be told which digits were pressed.
    DuplicateToneSuspected,
    /// Nothing was pressed.
    InputTimeout,
    /// A key that the menu does not have.
    Key,
    /// Fewer or more digits than an order number has.
    OrderLength,
    /// 2 at the reading back.
    ReadBack,
}

impl Wrong {
    /// Spelling in events and scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amount => "amount",
            Self::AmountTooLarge => "amount-too-large",
            Self::CardNumber => "card-number",
            Self::DuplicateToneSuspected => "duplicate-tone-suspected",
            Self::InputTimeout => "input-timeout",
            Self::Key => "key",
            Self::OrderLength => "order-length",
            Self::ReadBack => "read-back",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Read back and confirmed.
    Keyed(Keyed),
    /// The customer wants an operator.
    WantsOperator,
    /// Nothing was keyed.
    GivenUp(GaveUp),
}

/// What was keyed, read back and confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed {
    /// The amount, where it was asked.
    pub amount: Option<Money>,
    /// The order number, where one was keyed.
    pub order: Option<OrderId>,
    /// One payment, where the operator allows no other; else `None`.
    pub plan: Option<Plan>,
    /// Language of the customer's prompts.
    pub language: Language,
}

/// Why nothing was keyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GaveUp {
    /// `*` twice.
    Cancelled,
    /// Whoever keyed hung up.
    HungUp,
    /// The service is being stopped.
    Shutdown,
    /// It took too long.
    TimeOver,
    /// No attempt is left.
    TooManyFailedAttempts,
}

impl GaveUp {
    /// Spelling in events and scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::HungUp => "hung-up",
            Self::Shutdown => "shutdown",
            Self::TimeOver => "time-over",
            Self::TooManyFailedAttempts => "too-many-failed-attempts",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_numbers_have_a_range() {
        for (min, max, good) in [
            (1, 1, true),
            (4, 12, true),
            (14, 20, true),
            (0, 4, false),
            (5, 4, false),
            (1, 21, false),
        ] {
            assert_eq!(
                OrderDigits::new(min, max, true).is_some(),
                good,
                "{min} {max}"
            );
        }
    }
}
