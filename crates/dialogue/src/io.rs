//! What goes into the dialogue and what comes out of it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ivrpay_card::Card;
use ivrpay_payment::{Brand, Durable, Intent, Money, Outcome, Plan, Truncated, is_card_like};
use ivrpay_secret::Key;
use serde::{Deserialize, Serialize};

use crate::led::{Ask, Taken};
use crate::line::Line;
use crate::plan::{Counts, PlanKinds};

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
    /// Asterisk detects tones in the sound from now on, as [`Output::Listen`] asked.
    Listening,
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
    /// The merchant does not offer the plan: not for this card, this amount, or not any more.
    PlanNotOffered,
}

/// From outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Command {
    /// End without a charge.
    Cancel,
    /// Have this keyed now, in a capture that a program leads.
    Capture(Ask),
    /// Charge what was keyed, in such a capture.
    Complete,
    /// Stop the capture and let caller and operator talk.
    Pause,
    /// Ask this field again.
    ReAsk(Step),
    /// Go on at the same field.
    Resume,
    /// The service is being stopped: end as soon as that loses nothing.
    Shutdown,
}

/// How far a call is, to whoever wants to end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// [`Command::Cancel`] ends it, and nothing is charged for it.
    Open,
    /// The acquirer is being asked: nothing but its answer ends it.
    Charging,
    /// Its result is decided.
    Ending,
}

/// Step of a call (`for` of Twilio Pay).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Step {
    /// The greeting.
    Greeting,
    /// 1 = right, 2 = wrong.
    PaymentAmount,
    /// A card that the acquirer has: 1 = this one, 2 = another.
    StoredCard,
    /// Card number.
    PaymentCardNumber,
    /// Expiry, MMYY.
    ExpirationDate,
    /// Security code.
    SecurityCode,
    /// How it is paid back, of what is offered: 1 to 4.
    PaymentPlan,
    /// In how many instalments.
    PaymentPlanCount,
    /// That number, read back: 1 = right, 2 = choose again.
    PaymentPlanConfirmation,
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
    /// A program leads, and has not said yet what is keyed next.
    AwaitingCapture,
}

impl Step {
    /// Every step, in the order of a call.
    pub const ALL: [Self; 17] = [
        Self::Greeting,
        Self::PaymentAmount,
        Self::StoredCard,
        Self::PaymentCardNumber,
        Self::ExpirationDate,
        Self::SecurityCode,
        Self::PaymentPlan,
        Self::PaymentPlanCount,
        Self::PaymentPlanConfirmation,
        Self::Confirmation,
        Self::PaymentProcessing,
        Self::CardDeclined,
        Self::ExpirationDatePast,
        Self::Paused,
        Self::PaymentCompleted,
        Self::PaymentFailed,
        Self::AwaitingCapture,
    ];

    /// Spelling in events, scripts and API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::PaymentAmount => "payment-amount",
            Self::StoredCard => "stored-card",
            Self::PaymentCardNumber => "payment-card-number",
            Self::ExpirationDate => "expiration-date",
            Self::SecurityCode => "security-code",
            Self::PaymentPlan => "payment-plan",
            Self::PaymentPlanCount => "payment-plan-count",
            Self::PaymentPlanConfirmation => "payment-plan-confirmation",
            Self::Confirmation => "confirmation",
            Self::PaymentProcessing => "payment-processing",
            Self::CardDeclined => "card-declined",
            Self::ExpirationDatePast => "expiration-date-past",
            Self::Paused => "paused",
            Self::PaymentCompleted => "payment-completed",
            Self::PaymentFailed => "payment-failed",
            Self::AwaitingCapture => "awaiting-capture",
        }
    }
}

/// A wish for the outer world. Drained after every `handle`.
#[allow(
    clippy::large_enum_variant,
    reason = "one of them lives at a time, and is taken apart at once"
)]
pub enum Output {
    /// Play this; whatever plays is replaced.
    Play(Prompt),
    /// Stop what plays.
    StopPlay,
    /// No key has come in this call: detect tones in the sound too, and say so with [`Input::Listening`]. False: each key comes twice
    /// by that, so no longer.
    Listen(bool),
    /// For operator, console, API, test callers. Never a digit; of the security code only entered or not.
    Progress(Progress),
    /// Where a capture is that a program leads.
    Taken(Taken),
    /// Journal this intent, sync, and answer with `Written` or `NotWritten`.
    Write(Draft),
    /// Ask the acquirer, with the card, or for the stored one that the intent names; answer with `Answered`. The card is gone from the
    /// dialogue.
    Authorise(Durable<Intent>, Option<Card>),
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
    /// It is the stored card of the call's setup.
    pub stored: bool,
    /// How it is paid back, as confirmed.
    pub plan: Plan,
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
    /// How it is paid back, where that is being confirmed.
    pub plan: Option<Plan>,
}

/// What was wrong with an entry (`errorType` of Twilio Pay).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are the documentation")]
#[non_exhaustive]
pub enum ErrorType {
    CardDeclined,
    DuplicateToneSuspected,
    InputMatchingFailed,
    InputTimeout,
    InvalidAmount,
    InvalidCardNumber,
    InvalidCardType,
    InvalidDate,
    InvalidPaymentPlan,
    InvalidSecurityCode,
    KeysNotHeard,
}

impl ErrorType {
    /// What is said of keys that are not heard, ahead of the question, whichever that is.
    pub(crate) fn unheard(self) -> Option<Say> {
        (self == Self::KeysNotHeard).then_some(Say::Line(Line::KeysNotHeard))
    }

    /// What is said ahead of a menu's question.
    pub(crate) fn before_menu(self) -> Option<Say> {
        match self {
            Self::InvalidPaymentPlan => Some(Say::Line(Line::InvalidPaymentPlan)),
            other => other.unheard(),
        }
    }

    /// Spelling in events and API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CardDeclined => "card-declined",
            Self::DuplicateToneSuspected => "duplicate-tone-suspected",
            Self::InputMatchingFailed => "input-matching-failed",
            Self::InputTimeout => "input-timeout",
            Self::InvalidAmount => "invalid-amount",
            Self::InvalidCardNumber => "invalid-card-number",
            Self::InvalidCardType => "invalid-card-type",
            Self::InvalidDate => "invalid-date",
            Self::InvalidPaymentPlan => "invalid-payment-plan",
            Self::InvalidSecurityCode => "invalid-security-code",
            Self::KeysNotHeard => "keys-not-heard",
        }
    }
}

/// How a call ended (`Result` of Twilio Pay; the value of `IVRPAY_RESULT`).
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
    /// The merchant did not say what the order costs.
    LookupFailed,
    /// Who was called pressed no key, as an answering machine doesn't.
    NoKey,
    /// The caller asked for a person before there was a payment.
    OperatorWanted,
    OrderAlreadyPaid,
    /// No order has the number that was keyed.
    OrderNotFound,
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
            Self::LookupFailed => "lookup-failed",
            Self::NoKey => "no-key",
            Self::OperatorWanted => "operator-wanted",
            Self::OrderAlreadyPaid => "order-already-paid",
            Self::OrderNotFound => "order-not-found",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::PaymentConnectorError => "payment-connector-error",
            Self::SessionTimeout => "session-timeout",
            Self::Success => "success",
            Self::TooManyFailedAttempts => "too-many-failed-attempts",
            Self::ValidationError => "validation-error",
        }
    }
}

/// How the keys of a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keys {
    /// Only after Asterisk had begun to detect tones: the line may send them as sound alone.
    AsSound,
    /// As they should, as far as it is known.
    Fine,
    /// None came, though they were asked for more than once.
    NotHeard,
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
    /// How keys came.
    pub keys: Keys,
    /// What was spoken and pressed (see [`Draft::evidence`]), whole.
    pub evidence: Vec<Evidence>,
}

/// What is to be spoken: names of the prompt table, with values. The words and clips are the crate `prompts`'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt(pub Vec<Say>);

impl From<Line> for Prompt {
    fn from(line: Line) -> Self {
        Self(vec![Say::Line(line)])
    }
}

/// Language of what is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Language {
    /// English.
    En,
    /// Japanese.
    Ja,
}

impl Language {
    /// All that there are.
    pub const ALL: [Self; 2] = [Self::En, Self::Ja];

    /// Name of the folder of sounds, and of Asterisk's channel language: `ja`, `en`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ja => "ja",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Language {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        Self::ALL
            .into_iter()
            .find(|language| language.code() == text)
            .ok_or("languages are ja and en")
    }
}

/// One piece of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    /// A sentence without values, by its name in the table.
    Line(Line),
    /// `payment-amount`: the amount, 1 or 2.
    Amount(Money),
    /// `confirmation`: the last four and the amount, 1 or 2; of one payment.
    Confirm(Truncated, Money),
    /// `confirmation-tokenize`: the last four of the card that is to be stored, 1 or 2.
    ConfirmStoring(Truncated),
    /// `confirmation-verify`: the last four of the card that is to be checked, 1 or 2.
    ConfirmChecking(Truncated),
    /// `stored-card`: the last four of the card that the acquirer has and the amount, 1 or 2.
    Stored(Truncated, Money),
    /// `confirmation-plan`: the same, with another plan.
    ConfirmPlan(Truncated, Money, Plan),
    /// `payment-plan`: these, each with its key.
    Plans(PlanKinds),
    /// `payment-plan-count`: in how many instalments, of these.
    PlanCounts(Counts),
    /// `payment-plan-confirmation`: the plan, 1 or 2.
    PlanRead(Plan),
    /// `payment-completed.reference`: up to eight digits, read one by one.
    Reference(u32),
    /// `invalid-card-type`: please use one of these brands.
    Brands(Brands),
    /// `whisper-success`: the amount and the last four.
    Paid(Truncated, Money),
    /// `whisper-tokenized`: the last four.
    WasStored(Truncated),
    /// `whisper-verified`: the last four.
    WasChecked(Truncated),
    /// `whisper-manager`: the acquirer's code of a refusal, read sign by sign.
    Manager(Spelt),
    /// `payment-choice`: the orders that wait, each with its key.
    Choice(Choices),
    /// `return-goodbye`: the telephone number to call, read digit by digit.
    Goodbye(Spelt),
    /// `desk-read-amount`: what was keyed, read back.
    KeyedAmount(Money),
    /// `desk-read-order`: what was keyed, read back digit by digit.
    KeyedOrder(Spelt),
    /// `desk-amount-most`: the largest amount that may be keyed.
    AmountMost(Money),
    /// `keyed-amount`: the amount, to the caller and to the operator who keys for him, 1 or 2.
    AmountTold(Money),
}

impl Say {
    /// Whether it asks for 1 or 2 before money moves.
    pub(crate) const fn is_a_confirmation(&self) -> bool {
        matches!(
            self,
            Self::Confirm(..)
                | Self::ConfirmPlan(..)
                | Self::ConfirmStoring(_)
                | Self::ConfirmChecking(_)
        )
    }

    /// Name in the prompt table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Line(line) => line.name(),
            Self::Amount(_) => "payment-amount",
            Self::Confirm(..) => "confirmation",
            Self::ConfirmStoring(_) => "confirmation-tokenize",
            Self::ConfirmChecking(_) => "confirmation-verify",
            Self::Stored(..) => "stored-card",
            Self::ConfirmPlan(..) => "confirmation-plan",
            Self::Plans(_) => "payment-plan",
            Self::PlanCounts(_) => "payment-plan-count",
            Self::PlanRead(_) => "payment-plan-confirmation",
            Self::Reference(_) => "payment-completed-reference",
            Self::Brands(_) => "invalid-card-type",
            Self::Paid(..) => "whisper-success",
            Self::WasStored(_) => "whisper-tokenized",
            Self::WasChecked(_) => "whisper-verified",
            Self::Manager(_) => "whisper-manager",
            Self::Choice(_) => "payment-choice",
            Self::Goodbye(_) => "return-goodbye",
            Self::KeyedAmount(_) => "desk-read-amount",
            Self::KeyedOrder(_) => "desk-read-order",
            Self::AmountMost(_) => "desk-amount-most",
            Self::AmountTold(_) => "keyed-amount",
        }
    }
}

/// Signs that are read one by one, `Copy`: a telephone number, an order number, an acquirer's code. Never one that could be a
/// card number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spelt {
    signs: [u8; Self::MAX],
    len: usize,
}

impl Spelt {
    /// Most signs, hyphens included.
    pub const MAX: usize = 24;

    /// ASCII letters (case does not matter), digits, and hyphens, at which a pause is made.
    ///
    /// `None` when it is empty or longer than [`Self::MAX`], has another sign or nothing but hyphens, or when its digits could be
    /// a card number.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut spelt = Self {
            signs: [0; Self::MAX],
            len: text.len(),
        };
        let room = spelt.signs.get_mut(..text.len())?;
        for (sign, byte) in room.iter_mut().zip(text.bytes()) {
            if !byte.is_ascii_alphanumeric() && byte != b'-' {
                return None;
            }
            *sign = byte.to_ascii_uppercase();
        }
        let digits: Vec<u8> = text
            .bytes()
            .filter(u8::is_ascii_digit)
            .map(|byte| byte - b'0')
            .collect();
        let says = text.bytes().any(|byte| byte != b'-');
        (says && !is_card_like(&digits)).then_some(spelt)
    }

    /// As it is written: digits, capital letters, hyphens.
    #[must_use]
    pub fn text(&self) -> &str {
        let signs = self.signs.get(..self.len).unwrap_or_default();
        str::from_utf8(signs).unwrap_or_default()
    }
}

/// What an order that waits is about, for who chooses among several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// To be charged, or reserved.
    For(Money),
    /// A card to be stored, without a charge.
    ToRegister,
    /// A card to be checked, without a charge.
    ToCheck,
}

/// 2 to 9 orders that wait, `Copy`; the first is key 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choices {
    first: Waits,
    others: [Option<Waits>; 8],
}

impl Choices {
    /// Most orders: there are keys 1 to 9.
    pub const MAX: usize = 9;

    /// `None` for fewer than two, among which there is nothing to choose, and for more than [`Self::MAX`].
    #[must_use]
    pub fn new(orders: &[Waits]) -> Option<Self> {
        let (first, others) = orders.split_first()?;
        let mut choices = Self {
            first: *first,
            others: [None; 8],
        };
        for (place, order) in choices
            .others
            .get_mut(..others.len())?
            .iter_mut()
            .zip(others)
        {
            *place = Some(*order);
        }
        (!others.is_empty()).then_some(choices)
    }

    /// Key and order, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u8, Waits)> {
        let orders = [Some(self.first)].into_iter().chain(self.others);
        (1..).zip(orders.flatten())
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
    fn spelt_is_what_can_be_read_aloud_and_no_card() {
        for (text, expected) in [
            ("0120-123-456", Some("0120-123-456")),
            ("g12", Some("G12")),
            ("123456789012345678901234", Some("123456789012345678901234")),
            ("", None),
            ("--", None),
            ("+81312345678", None),
            ("03 1234", None),
            ("１２", None),
            ("1234567890123456789012345", None),
            ("4111-1111-1111-1111", None),
            ("4111111111111111", None),
        ] {
            let spelt = Spelt::new(text);
            assert_eq!(spelt.as_ref().map(Spelt::text), expected, "{text}");
        }
    }

    #[test]
    fn choices_are_two_to_nine() {
        let yen = |minor| Money::new(minor, ivrpay_payment::Currency::Jpy).unwrap();
        let orders: Vec<_> = (1..=10).map(|minor| Waits::For(yen(minor))).collect();
        for count in 0..=10 {
            let choices = Choices::new(&orders[..count]);
            assert_eq!(choices.is_some(), (2..=9).contains(&count), "{count}");
            if let Some(choices) = choices {
                let read: Vec<_> = choices.iter().collect();
                let wanted: Vec<_> = (1..).zip(orders[..count].iter().copied()).collect();
                assert_eq!(read, wanted);
            }
        }
    }
}
