//! Sentences without values, by their names in the prompt table.
//!
//! Does not know the words: those are the crate `prompts`'.

macro_rules! lines {
    ($($line:ident = $name:literal,)*) => {
        /// Sentences without values. [`Line::name`] is the name of the table and of the sound file.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(
            missing_docs,
            reason = "the names are those of the prompt table, which holds the words"
        )]
        #[non_exhaustive]
        pub enum Line {
            $($line,)*
        }

        impl Line {
            /// Every line.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$line),*];

            /// Name in the prompt table and of the sound file (`ivrpay/NAME.wav`).
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$line => $name,)*
                }
            }
        }
    };
}

lines! {
    // The customer's steps, errors and results.
    AgentReturn = "agent-return",
    AmountRejected = "amount-rejected",
    CallerInterruptedWithStar = "caller-interrupted-with-star",
    CardDeclined = "card-declined",
    CardDeclinedAgain = "card-declined-again",
    CapacityExceeded = "capacity-exceeded",
    AgentCancelled = "agent-cancelled",
    DuplicateToneSuspected = "duplicate-tone-suspected",
    ExpirationDate = "expiration-date",
    ExpirationDateAgain = "expiration-date-again",
    FieldContinue = "field-continue",
    Greeting = "greeting",
    GreetingSilence1 = "greeting-silence-1",
    GreetingSilence2 = "greeting-silence-2",
    Help = "help",
    InternalError = "internal-error",
    InvalidCardNumberChecksum = "invalid-card-number-checksum",
    InvalidCardNumberLong = "invalid-card-number-long",
    InvalidCardNumberShort = "invalid-card-number-short",
    InvalidDate = "invalid-date",
    InvalidDatePast = "invalid-date-past",
    InvalidPaymentPlan = "invalid-payment-plan",
    InvalidSecurityCode = "invalid-security-code",
    KeysNotHeard = "keys-not-heard",
    OrderAlreadyPaid = "order-already-paid",
    OutcomeUnknown = "outcome-unknown",
    PaymentCardNumber = "payment-card-number",
    PaymentCardNumberAgain = "payment-card-number-again",
    PaymentCardNumberWait = "payment-card-number-wait",
    PaymentCompleted = "payment-completed",
    PaymentConnectorError = "payment-connector-error",
    PaymentPlanSingle = "payment-plan-single",
    PaymentProcessing = "payment-processing",
    PaymentProcessingLong = "payment-processing-long",
    SecurityCode = "security-code",
    SecurityCodeAmex = "security-code-amex",
    SelfServiceEnd = "self-service-end",
    SessionTimeout = "session-timeout",
    TooManyFailedAttempts = "too-many-failed-attempts",
    Training = "training",
    // Whispered to the operator before the customer is joined.
    WhisperCancelled = "whisper-cancelled",
    WhisperDeclinedCheck = "whisper-declined-check",
    WhisperDeclinedOtherCard = "whisper-declined-other-card",
    WhisperHungUp = "whisper-hung-up",
    WhisperInband = "whisper-inband",
    WhisperInternalError = "whisper-internal-error",
    WhisperKeysNotHeard = "whisper-keys-not-heard",
    WhisperManager = "whisper-manager-no-code",
    WhisperOrderAlreadyPaid = "whisper-order-already-paid",
    WhisperSessionTimeout = "whisper-session-timeout",
    WhisperStar = "whisper-star",
    WhisperTemporary = "whisper-temporary",
    WhisperTooMany = "whisper-too-many",
    WhisperUnknown = "whisper-unknown",
    // Told to the operator while the customer keys.
    ProgressAmount = "progress-amount",
    ProgressCardDeclined = "progress-card-declined",
    ProgressCardNumber = "progress-card-number",
    ProgressConfirmation = "progress-confirmation",
    ProgressExpirationDate = "progress-expiration-date",
    ProgressGreeting = "progress-greeting",
    ProgressPaused = "progress-paused",
    ProgressPlan = "progress-plan",
    ProgressProcessing = "progress-processing",
    ProgressSecurityCode = "progress-security-code",
    // Told to the operator before the customer moves.
    PaymentReady = "payment-ready",
    RefusedAcquirerAway = "refused-acquirer-away",
    RefusedAcquirerMaintenance = "refused-acquirer-maintenance",
    RefusedInProgress = "refused-in-progress",
    RefusedKey = "refused-key",
    RefusedMonitored = "refused-monitored",
    RefusedNoCustomer = "refused-no-customer",
    RefusedNothingWaiting = "refused-nothing-waiting",
    RefusedRecorded = "refused-recorded",
    RefusedRunning = "refused-running",
    RefusedServiceAway = "refused-service-away",
    RefusedThirdParty = "refused-third-party",
    RefusedUnsafe = "refused-unsafe",
    // Told to a supervisor who listened and is taken off for the capture.
    MonitorPaused = "monitor-paused",
    // Told to the customer who waits for somebody after the payment.
    AgentReturnWait = "agent-return-wait",
    ReturnGoodbyeLater = "return-goodbye-later",
    // `ivrpay check trunk`.
    TrunkFast = "trunk-fast",
    TrunkSlow = "trunk-slow",
    TrunkSound = "trunk-sound",
    // The operator's keypad, and the customer's order number (`crate::desk`).
    DeskAmount = "desk-amount",
    DeskAmountDecimals = "desk-amount-decimals",
    DeskAmountWrong = "desk-amount-wrong",
    DeskCardNumber = "desk-card-number",
    DeskConfirm = "desk-confirm",
    DeskEnded = "desk-ended",
    DeskHelp = "desk-help",
    DeskLanguage = "desk-language",
    DeskOrder = "desk-order",
    DeskOrderNone = "desk-order-none",
    DeskPlan = "desk-plan",
    DeskReadEnglish = "desk-read-en",
    DeskReadJapanese = "desk-read-ja",
    DeskReadNoOrder = "desk-read-no-order",
    DeskReadPlanCustomer = "desk-read-plan-customer",
    DeskReadPlanSingle = "desk-read-plan-single",
    EntryFailed = "entry-failed",
    LanguageEnglish = "language-en",
    LanguageJapanese = "language-ja",
    LanguageOperator = "language-operator",
    OrderNumber = "order-number",
    OrderNumberLength = "order-number-length",
    OrderNumberNotFound = "order-number-not-found",
    OrderNumberOperator = "order-number-operator",
    // A customer who is called, before anything is said of a payment; and the operator whose customer was not reached.
    CallContinue = "call-continue",
    CallNotAnswered = "call-not-answered",
    // Where an operator keys the card (`crate::keyed`).
    KeyedCardNumber = "keyed-card-number",
    KeyedDeclined = "keyed-declined",
    KeyedEnded = "keyed-ended",
    KeyedHelp = "keyed-help",
    RefusedKeyed = "refused-keyed",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            Line::ALL.iter().map(|line| line.name()).collect();
        assert_eq!(names.len(), Line::ALL.len());
    }
}
