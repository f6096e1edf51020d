//! What an installation sets for every call, and what one call brings.

use std::time::Duration;

use ivrpay_card::{Month, Rules};
use ivrpay_payment::{Brand, Money, Offers, Plan, Transaction, Truncated};

use crate::led::Leading;

/// How callers are led. The defaults are those of the product's prompt table; every span is of the call's own time.
///
/// The confirmation by the last four can't be switched off: fields end by length and by quiet, so a doubled or lost key can
/// make another valid number, and the caller's ear is the last check before money moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Wait for the first key of the card number after its prompt. 60 s: the phone leaves the ear, glasses are looked for.
    pub first_key_card_number: Duration,
    /// Wait for the first key of every other field and menu. 20 s.
    pub first_key: Duration,
    /// Silence until the first reminder. 8 s.
    pub reminder_after: Duration,
    /// Silence between further reminders of the card number; elsewhere there is only one. 15 s.
    pub reminder_every: Duration,
    /// Wait between two keys. 10 s: then the digits are kept and the caller is told to go on; a second one asks again.
    pub inter_digit_timeout: Duration,
    /// Shortest quiet that ends a card number of its brand's usual length and a valid Luhn. 1.5 s. The quiet that counts is
    /// the longer of this and 1.5 times the longest gap between two keys of this field.
    pub quiet: Duration,
    /// Attempts at one field or menu. 3.
    pub max_attempts: u8,
    /// Cards of one call. 3.
    pub cards_max: u8,
    /// Longest time without a key, an answer or a resumption. 180 s.
    pub no_progress: Duration,
    /// Longest call. 900 s. Not while the acquirer is being asked, nor while the end is being spoken.
    pub session: Duration,
    /// Longest time that card data is kept while caller and operator talk. 120 s; then it is wiped.
    pub pause: Duration,
    /// Wait for the acquirer until the caller is told that it takes longer, and between repetitions. 8 s.
    pub processing_long: Duration,
    /// A `#` that comes so soon after a field has ended by itself belongs to that field. 5 s: the quiet, the first words of
    /// the next prompt, and a finger.
    pub late_hash: Duration,
    /// After an error keys are thrown away until there is a pause of this length: what was keyed on before the error was heard
    /// does not belong to the new attempt. 600 ms: nobody hears a sentence begin and answers it sooner.
    pub after_error: Duration,
    /// Whether tones in the sound are to be detected when no key has come ([`Output::Listen`](crate::Output::Listen)). On.
    pub detect_tones: bool,
    /// Longest that a prompt is waited for; then it is taken as ended, so that a lost `PromptEnded` strands nobody. 30 s.
    pub prompt_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            first_key_card_number: Duration::from_secs(60),
            first_key: Duration::from_secs(20),
            reminder_after: Duration::from_secs(8),
            reminder_every: Duration::from_secs(15),
            inter_digit_timeout: Duration::from_secs(10),
            quiet: Duration::from_millis(1_500),
            max_attempts: 3,
            cards_max: 3,
            no_progress: Duration::from_secs(180),
            session: Duration::from_secs(900),
            pause: Duration::from_secs(120),
            processing_long: Duration::from_secs(8),
            late_hash: Duration::from_secs(5),
            after_error: Duration::from_millis(600),
            detect_tones: true,
            prompt_max: Duration::from_secs(30),
        }
    }
}

/// What one call brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// How much is to be paid.
    pub amount: Money,
    /// What the card is for: where no money moves, no amount is spoken.
    pub transaction: Transaction,
    /// A card that the acquirer has: it is offered before one is asked for.
    pub stored: Option<Truncated>,
    /// An operator takes the caller back; false: self-service.
    pub attended: bool,
    /// Brands that are taken.
    pub rules: Rules,
    /// The month of the call, from outside.
    pub month: Month,
    /// Practice: said first, and the connector charges nothing.
    pub training: bool,
    /// The operator has already had the amount confirmed: the step is skipped.
    pub amount_confirmed: bool,
    /// Whether the greeting is spoken.
    pub greeting: bool,
    /// Whether the security code is asked.
    pub security_code: bool,
    /// Whether `*` twice pauses and somebody can resume; else it ends the call towards the operator.
    pub can_pause: bool,
    /// Reference to be read out after a payment in self-service, where there is one.
    pub reference: Option<u32>,
    /// An operator keys what the caller says: see [`crate::keyed`].
    pub operator_keys: bool,
    /// A program says which field is keyed, and when all is charged.
    pub led: Option<Leading>,
    /// What may be chosen beside one payment, for this amount and on this day.
    pub offers: Offers,
    /// How it is to be paid back, where that was settled before the call: then it is not asked.
    pub plan: Option<Plan>,
}

impl Setup {
    /// An attended call with greeting, amount and security code; the brands that are usual in Japan. The month is one in which
    /// no date has passed: give the real one.
    #[must_use]
    pub fn default_for(amount: Money) -> Self {
        Self {
            amount,
            transaction: Transaction::Charge,
            stored: None,
            attended: true,
            rules: Rules {
                brands: vec![
                    Brand::Visa,
                    Brand::Mastercard,
                    Brand::Jcb,
                    Brand::Amex,
                    Brand::DinersClub,
                ],
                luhn: true,
            },
            month: Month {
                year: 2000,
                month: 1,
            },
            training: false,
            amount_confirmed: false,
            greeting: true,
            security_code: true,
            can_pause: false,
            reference: None,
            operator_keys: false,
            led: None,
            offers: Offers::NONE,
            plan: None,
        }
    }
}
