//! What goes into the dialogue and what comes out of it.

use std::time::Duration;

use ivrpay_card::Card;
use ivrpay_payment::{Brand, Durable, Intent, Money, Outcome, Truncated};
use ivrpay_secret::Key;
use serde::{Deserialize, Serialize};

/// Time since the call entered Stasis. Not a clock: recordings replay, snapshots read well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct At(pub Duration);

impl At {
    /// So much later; stays at the largest time instead of running over.
    #[must_use]
    pub const fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// Time from `earlier` to here, zero if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole milliseconds.
    #[must_use]
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

/// What happens to a dialogue.
pub enum Input {
    /// A key, at its release, and how long Asterisk says that it was held (0 where it is not known). `now` of this input
    /// is when the key *arrived*, not when its turn came: the duplicate-tone filter judges by the gaps between keys.
    Key(Key, Duration),
    /// Keys were lost (the socket was away, a queue ran over): the field starts again.
    KeysLost,
    /// The prompt that was last asked for has ended by itself (not after `StopPlay`).
    PromptEnded,
    /// `deadline()` has been reached.
    DeadlineReached,
    /// The intent is durable.
    Written(Durable<Intent>),
    /// The intent could not be written; nothing was sent.
    NotWritten(NotWritten),
    /// The acquirer answered, or did not.
    Answered(Outcome),
    /// From operator, API or console.
    Command(Command),
    /// The caller hung up.
    HungUp,
}

/// Why an intent was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotWritten {
    /// The disk is full, the database is locked ...
    Failed,
    /// Another payment of the same order is waiting, in flight, unknown or approved.
    OrderTaken,
}

/// From outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Command {
    /// End without a charge.
    Cancel,
    /// Stop the capture and let caller and operator talk.
    Pause,
    /// Ask this field again.
    ReAsk(Step),
    /// Go on at the same field.
    Resume,
    /// The service is being stopped: end as soon as that loses nothing.
    Shutdown,
}

/// Step of a call (prompts.md 1, `for`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Step {
    /// The greeting.
    Greeting,
    /// 1 = right, 2 = wrong.
    PaymentAmount,
    /// Card number.
    PaymentCardNumber,
    /// Expiry, MMYY.
    ExpirationDate,
    /// Security code.
    SecurityCode,
    /// By the last four.
    Confirmation,
    /// The acquirer is being asked.
    PaymentProcessing,
    /// After a decline: 1 another card, 2 operator.
    CardDeclined,
    /// After a date that has passed: 1 again, 2 another card.
    ExpirationDatePast,
    /// Caller and operator talk; the fields stand for at most 120 s.
    Paused,
    /// The result is being spoken.
    PaymentCompleted,
    /// The end without success is being spoken.
    PaymentFailed,
}

impl Step {
    /// Spelling in events, scripts and API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::PaymentAmount => "payment-amount",
            Self::PaymentCardNumber => "payment-card-number",
            Self::ExpirationDate => "expiration-date",
            Self::SecurityCode => "security-code",
            Self::Confirmation => "confirmation",
            Self::PaymentProcessing => "payment-processing",
            Self::CardDeclined => "card-declined",
            Self::ExpirationDatePast => "expiration-date-past",
            Self::Paused => "paused",
            Self::PaymentCompleted => "payment-completed",
            Self::PaymentFailed => "payment-failed",
        }
    }
}

/// A wish for the outer world. Drained after every `handle`.
pub enum Output {
    /// Play this; whatever plays is replaced.
    Play(Prompt),
    /// Stop what plays.
    StopPlay,
    /// For operator, console, API, test callers. Never a digit; of the security code only entered or not.
    Progress(Progress),
    /// Journal this intent, sync, and answer with `Written` or `NotWritten`.
    Write(Draft),
    /// Ask the acquirer, with the card; answer with `Answered`. The card is gone from the dialogue.
    Authorise(Durable<Intent>, Card),
    /// Over. Nothing comes after it.
    End(End),
}

/// What the dialogue knows of an intent; the journal adds ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// How much, as confirmed.
    pub amount: Money,
    /// Brand and last four, as confirmed.
    pub card: Truncated,
    /// What was spoken and which menu keys were pressed (never digits of the card): evidence in a dispute.
    pub evidence: Vec<Evidence>,
}

/// One thing that was spoken or pressed in a menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Evidence {
    /// A prompt was started, by its name, at this time of the call (ms).
    Spoken {
        /// Name in the prompt table.
        prompt: String,
        /// Milliseconds since the call began.
        at_ms: u64,
    },
    /// A menu key, 1 to 4.
    Pressed {
        /// Step of the menu.
        step: Step,
        /// The key.
        key: u8,
        /// Milliseconds since the call began.
        at_ms: u64,
    },
}

/// Progress of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Where the call is.
    pub step: Step,
    /// The step was entered, or is being asked anew; false while keys come in.
    pub asked: bool,
    /// Attempt at this field, from 1.
    pub attempt: u8,
    /// Digits keyed in this field; `None` for the security code.
    pub digits: Option<u8>,
    /// What was wrong with the last attempt.
    pub error: Option<ErrorType>,
}

/// What was wrong with an entry (prompts.md 1, `errorType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are the documentation")]
#[non_exhaustive]
pub enum ErrorType {
    CardDeclined,
    DuplicateToneSuspected,
    InputTimeout,
    InvalidAmount,
    InvalidCardNumber,
    InvalidCardType,
    InvalidDate,
    InvalidSecurityCode,
}

impl ErrorType {
    /// Spelling in events and API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CardDeclined => "card-declined",
            Self::DuplicateToneSuspected => "duplicate-tone-suspected",
            Self::InputTimeout => "input-timeout",
            Self::InvalidAmount => "invalid-amount",
            Self::InvalidCardNumber => "invalid-card-number",
            Self::InvalidCardType => "invalid-card-type",
            Self::InvalidDate => "invalid-date",
            Self::InvalidSecurityCode => "invalid-security-code",
        }
    }
}

/// How a call ended (prompts.md 1, `Result`; the value of `IVRPAY_RESULT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are the documentation")]
#[non_exhaustive]
pub enum CallResult {
    AgentCancelled,
    AmountRejected,
    CallerHungUp,
    CallerInterruptedWithStar,
    CapacityExceeded,
    InternalError,
    OrderAlreadyPaid,
    OutcomeUnknown,
    PaymentConnectorError,
    SessionTimeout,
    Success,
    TooManyFailedAttempts,
    ValidationError,
}

impl CallResult {
    /// Value of `IVRPAY_RESULT`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AgentCancelled => "agent-cancelled",
            Self::AmountRejected => "amount-rejected",
            Self::CallerHungUp => "caller-hung-up",
            Self::CallerInterruptedWithStar => "caller-interrupted-with-star",
            Self::CapacityExceeded => "capacity-exceeded",
            Self::InternalError => "internal-error",
            Self::OrderAlreadyPaid => "order-already-paid",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::PaymentConnectorError => "payment-connector-error",
            Self::SessionTimeout => "session-timeout",
            Self::Success => "success",
            Self::TooManyFailedAttempts => "too-many-failed-attempts",
            Self::ValidationError => "validation-error",
        }
    }
}

/// The end of a dialogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Result.
    pub result: CallResult,
    /// The last outcome of the acquirer, if there was one.
    pub outcome: Option<Outcome>,
    /// Brand and last four of the last card that was sent to the acquirer.
    pub card: Option<Truncated>,
    /// The caller hung up before the result had been spoken to its end: an approval that nobody heard needs a call back.
    pub hung_up: bool,
    /// What was spoken and pressed (see [`Draft::evidence`]), whole.
    pub evidence: Vec<Evidence>,
}

/// What is to be spoken: names of the prompt table, with values. The words and clips are the crate `prompts`'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt(pub Vec<Say>);

/// One piece of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    /// A sentence without values, by its name in the table.
    Line(Line),
    /// `payment-amount`: the amount, 1 or 2.
    Amount(Money),
    /// `confirmation`: the last four and the amount, 1 or 2.
    Confirm(Truncated, Money),
    /// `payment-completed.reference`: up to eight digits, read one by one.
    Reference(u32),
    /// `invalid-card-type`: please use one of these brands.
    Brands(Brands),
}

impl Say {
    /// Name in the prompt table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Line(line) => line.name(),
            Self::Amount(_) => "payment-amount",
            Self::Confirm(..) => "confirmation",
            Self::Reference(_) => "payment-completed-reference",
            Self::Brands(_) => "invalid-card-type",
        }
    }
}

/// A set of brands, `Copy`: bit n is `Brand::ALL[n]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Brands(pub u16);

impl Brands {
    /// The set of these.
    #[must_use]
    pub fn of(brands: &[Brand]) -> Self {
        brands.iter().copied().collect()
    }

    /// Whether it is in the set.
    #[must_use]
    pub fn contains(self, brand: Brand) -> bool {
        self.0 & bit(brand) != 0
    }

    /// Those in the set, in the order of `Brand::ALL`.
    pub fn iter(self) -> impl Iterator<Item = Brand> {
        Brand::ALL
            .into_iter()
            .filter(move |brand| self.contains(*brand))
    }
}

impl FromIterator<Brand> for Brands {
    fn from_iter<T: IntoIterator<Item = Brand>>(brands: T) -> Self {
        Self(brands.into_iter().fold(0, |set, brand| set | bit(brand)))
    }
}

fn bit(brand: Brand) -> u16 {
    Brand::ALL
        .iter()
        .position(|b| *b == brand)
        .map_or(0, |n| 1 << n)
}

/// Sentences without values. [`Line::name`] is the name of the table and of the sound file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(
    missing_docs,
    reason = "the names are those of the prompt table, which holds the words"
)]
#[non_exhaustive]
pub enum Line {
    AgentReturn,
    AmountRejected,
    CallerInterruptedWithStar,
    CardDeclined,
    CardDeclinedAgain,
    CapacityExceeded,
    AgentCancelled,
    DuplicateToneSuspected,
    ExpirationDate,
    ExpirationDateAgain,
    FieldContinue,
    Greeting,
    GreetingSilence1,
    GreetingSilence2,
    Help,
    InternalError,
    InvalidCardNumberChecksum,
    InvalidCardNumberLong,
    InvalidCardNumberShort,
    InvalidDate,
    InvalidDatePast,
    InvalidSecurityCode,
    OrderAlreadyPaid,
    OutcomeUnknown,
    PaymentCardNumber,
    PaymentCardNumberAgain,
    PaymentCardNumberWait,
    PaymentCompleted,
    PaymentConnectorError,
    PaymentProcessing,
    PaymentProcessingLong,
    SecurityCode,
    SecurityCodeAmex,
    SelfServiceEnd,
    SessionTimeout,
    TooManyFailedAttempts,
    Training,
}

impl Line {
    /// Every line.
    pub const ALL: [Line; 37] = [
        Self::AgentReturn,
        Self::AmountRejected,
        Self::CallerInterruptedWithStar,
        Self::CardDeclined,
        Self::CardDeclinedAgain,
        Self::CapacityExceeded,
        Self::AgentCancelled,
        Self::DuplicateToneSuspected,
        Self::ExpirationDate,
        Self::ExpirationDateAgain,
        Self::FieldContinue,
        Self::Greeting,
        Self::GreetingSilence1,
        Self::GreetingSilence2,
        Self::Help,
        Self::InternalError,
        Self::InvalidCardNumberChecksum,
        Self::InvalidCardNumberLong,
        Self::InvalidCardNumberShort,
        Self::InvalidDate,
        Self::InvalidDatePast,
        Self::InvalidSecurityCode,
        Self::OrderAlreadyPaid,
        Self::OutcomeUnknown,
        Self::PaymentCardNumber,
        Self::PaymentCardNumberAgain,
        Self::PaymentCardNumberWait,
        Self::PaymentCompleted,
        Self::PaymentConnectorError,
        Self::PaymentProcessing,
        Self::PaymentProcessingLong,
        Self::SecurityCode,
        Self::SecurityCodeAmex,
        Self::SelfServiceEnd,
        Self::SessionTimeout,
        Self::TooManyFailedAttempts,
        Self::Training,
    ];

    /// Name in the prompt table and of the sound file (`ivrpay/NAME.wav`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AgentReturn => "agent-return",
            Self::AmountRejected => "amount-rejected",
            Self::CallerInterruptedWithStar => "caller-interrupted-with-star",
            Self::CardDeclined => "card-declined",
            Self::CardDeclinedAgain => "card-declined-again",
            Self::CapacityExceeded => "capacity-exceeded",
            Self::AgentCancelled => "agent-cancelled",
            Self::DuplicateToneSuspected => "duplicate-tone-suspected",
            Self::ExpirationDate => "expiration-date",
            Self::ExpirationDateAgain => "expiration-date-again",
            Self::FieldContinue => "field-continue",
            Self::Greeting => "greeting",
            Self::GreetingSilence1 => "greeting-silence-1",
            Self::GreetingSilence2 => "greeting-silence-2",
            Self::Help => "help",
            Self::InternalError => "internal-error",
            Self::InvalidCardNumberChecksum => "invalid-card-number-checksum",
            Self::InvalidCardNumberLong => "invalid-card-number-long",
            Self::InvalidCardNumberShort => "invalid-card-number-short",
            Self::InvalidDate => "invalid-date",
            Self::InvalidDatePast => "invalid-date-past",
            Self::InvalidSecurityCode => "invalid-security-code",
            Self::OrderAlreadyPaid => "order-already-paid",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::PaymentCardNumber => "payment-card-number",
            Self::PaymentCardNumberAgain => "payment-card-number-again",
            Self::PaymentCardNumberWait => "payment-card-number-wait",
            Self::PaymentCompleted => "payment-completed",
            Self::PaymentConnectorError => "payment-connector-error",
            Self::PaymentProcessing => "payment-processing",
            Self::PaymentProcessingLong => "payment-processing-long",
            Self::SecurityCode => "security-code",
            Self::SecurityCodeAmex => "security-code-amex",
            Self::SelfServiceEnd => "self-service-end",
            Self::SessionTimeout => "session-timeout",
            Self::TooManyFailedAttempts => "too-many-failed-attempts",
            Self::Training => "training",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brands_are_a_set() {
        let set = Brands::of(&[Brand::Visa, Brand::Jcb, Brand::Visa]);
        assert!(set.contains(Brand::Jcb) && !set.contains(Brand::Amex));
        assert_eq!(set.iter().collect::<Vec<_>>(), [Brand::Jcb, Brand::Visa]);
        assert_eq!(Brands::of(&Brand::ALL).iter().count(), Brand::ALL.len());
    }

    #[test]
    fn every_line_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            Line::ALL.iter().map(|line| line.name()).collect();
        assert_eq!(names.len(), Line::ALL.len());
    }
}
