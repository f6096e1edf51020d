//! What the operator hears of a payment: whether it can be taken, how far the customer is, how it ended.
//!
//! Pure functions from facts to what is said. Does not know the call's states, nor how anything is played. "Not paid yet" is in the
//! words of some lines: they are chosen only where no operation is approved or open.

use ivrpay_payment::{Action, Decline, Money, Outcome, Transaction, Why};

use crate::io::{CallResult, Choices, End, Keys, Prompt, Say, Spelt, Step, Waits};
use crate::line::Line;

/// Longest code of an acquirer that is read aloud, signs: nobody writes down a longer one, and words are not spelt.
const CODE_MAX: usize = 8;

/// Why a payment can't be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The acquirer can't be reached.
    AcquirerAway,
    /// The acquirer has said that it is in maintenance.
    AcquirerMaintenance,
    /// A payment of the order is waiting or in flight elsewhere.
    InProgress,
    /// The tenant does not let operators key a card.
    Keyed,
    /// Somebody listens who can't be taken off for the time of the capture.
    Monitored,
    /// The operator has no partner in the call.
    NoCustomer,
    /// No place is free.
    NoPlace,
    /// No payment waits for this operator.
    NothingWaiting,
    /// The order is paid.
    OrderPaid,
    /// It is not known whether a payment of the order was charged.
    OrderUnknown,
    /// A recorder can't be stopped.
    Recorded,
    /// The call is in a payment already.
    Running,
    /// The service is being stopped, or its journal can't be written. Where it does not answer at all, the dialplan plays the
    /// same line.
    ServiceAway,
    /// A third party is in the call.
    ThirdParty,
    /// Asterisk is not safe for card data.
    Unsafe,
    /// The key was pressed by the customer, who may hear this: it says nothing of a payment.
    WrongSide,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 16] = [
        Self::AcquirerAway,
        Self::AcquirerMaintenance,
        Self::InProgress,
        Self::Keyed,
        Self::Monitored,
        Self::NoCustomer,
        Self::NoPlace,
        Self::NothingWaiting,
        Self::OrderPaid,
        Self::OrderUnknown,
        Self::Recorded,
        Self::Running,
        Self::ServiceAway,
        Self::ThirdParty,
        Self::Unsafe,
        Self::WrongSide,
    ];
}

/// Why a payment can't be taken, said before the customer moves.
#[must_use]
pub fn reason(why: Refusal) -> Prompt {
    Prompt::from(match why {
        Refusal::AcquirerAway => Line::RefusedAcquirerAway,
        Refusal::AcquirerMaintenance => Line::RefusedAcquirerMaintenance,
        Refusal::InProgress => Line::RefusedInProgress,
        Refusal::Keyed => Line::RefusedKeyed,
        Refusal::Monitored => Line::RefusedMonitored,
        Refusal::NoCustomer => Line::RefusedNoCustomer,
        Refusal::NoPlace => Line::CapacityExceeded,
        Refusal::NothingWaiting => Line::RefusedNothingWaiting,
        Refusal::OrderPaid => Line::WhisperOrderAlreadyPaid,
        Refusal::OrderUnknown => Line::WhisperUnknown,
        Refusal::Recorded => Line::RefusedRecorded,
        Refusal::Running => Line::RefusedRunning,
        Refusal::ServiceAway => Line::RefusedServiceAway,
        Refusal::ThirdParty => Line::RefusedThirdParty,
        Refusal::Unsafe => Line::RefusedUnsafe,
        Refusal::WrongSide => Line::RefusedKey,
    })
}

/// A payment can be taken: said in a consultation, before the operator completes the transfer.
#[must_use]
pub fn ready() -> Prompt {
    Prompt::from(Line::PaymentReady)
}

/// Which of the orders that wait for this operator: the first is key 1. `None` for fewer than two, or more than [`Choices::MAX`].
#[must_use]
pub fn choice(orders: &[Waits]) -> Option<Prompt> {
    Choices::new(orders).map(|choices| Prompt(vec![Say::Choice(choices)]))
}

/// Where the customer is, in a word or two; `None` for the end, which [`whisper`] tells.
#[must_use]
pub fn progress(step: Step) -> Option<Prompt> {
    let line = match step {
        Step::Greeting => Line::ProgressGreeting,
        Step::PaymentAmount => Line::ProgressAmount,
        Step::PaymentCardNumber => Line::ProgressCardNumber,
        Step::ExpirationDate | Step::ExpirationDatePast => Line::ProgressExpirationDate,
        Step::SecurityCode => Line::ProgressSecurityCode,
        Step::PaymentPlan | Step::PaymentPlanCount | Step::PaymentPlanConfirmation => {
            Line::ProgressPlan
        }
        Step::StoredCard | Step::Confirmation => Line::ProgressConfirmation,
        Step::PaymentProcessing => Line::ProgressProcessing,
        Step::CardDeclined => Line::ProgressCardDeclined,
        Step::Paused => Line::ProgressPaused,
        // Who leads knows.
        Step::AwaitingCapture | Step::PaymentCompleted | Step::PaymentFailed => return None,
    };
    Some(Prompt::from(line))
}

/// The customer has not pressed a key that came, and is being told so.
#[must_use]
pub fn keys_not_heard() -> Prompt {
    Prompt::from(Line::WhisperKeysNotHeard)
}

/// How the payment of `amount` ended: whispered before the customer is joined. A refusal of the card that came before another
/// end (the customer then pressed `*`, or hung up) is told first.
#[must_use]
pub fn whisper(end: &End, amount: Money, transaction: Transaction) -> Prompt {
    let mut says = match &end.outcome {
        Some(Outcome::Approved(approval)) => vec![match approval.card.or(end.card) {
            Some(card) => match transaction {
                Transaction::Tokenise => Say::WasStored(card),
                Transaction::Verify => Say::WasChecked(card),
                _ => Say::Paid(card, amount),
            },
            // A dialogue that was approved had a card; without one the money is what counts.
            None => Say::Line(Line::PaymentCompleted),
        }],
        Some(Outcome::Unknown(_)) => vec![Say::Line(Line::WhisperUnknown)],
        Some(Outcome::NotCharged(Why::Rejected)) => vec![Say::Line(Line::WhisperManager)],
        Some(Outcome::NotCharged(_)) => vec![Say::Line(Line::WhisperTemporary)],
        Some(Outcome::Declined(decline)) => vec![refused(decline)],
        None => Vec::new(),
    };
    // An outcome says all, but of a declined card not how the call went on.
    if matches!(end.outcome, None | Some(Outcome::Declined(_))) {
        says.extend(ended(end.result, end.outcome.is_some()).map(Say::Line));
    }
    let stuck = matches!(
        end.result,
        CallResult::CallerHungUp | CallResult::SessionTimeout | CallResult::TooManyFailedAttempts
    );
    if end.keys != Keys::Fine && end.outcome.is_none() && stuck {
        says.push(Say::Line(Line::WhisperInband));
    }
    if end.hung_up && end.result != CallResult::CallerHungUp {
        says.push(Say::Line(Line::WhisperHungUp));
    }
    Prompt(says)
}

fn refused(decline: &Decline) -> Say {
    match decline.action() {
        Action::ReEnter => Say::Line(Line::WhisperDeclinedCheck),
        Action::OtherCard | Action::AskIssuer | Action::OtherPlan => {
            Say::Line(Line::WhisperDeclinedOtherCard)
        }
        Action::Later => Say::Line(Line::WhisperTemporary),
        Action::Operator | Action::LookUp => Some(&decline.code)
            .filter(|code| code.len() <= CODE_MAX)
            .and_then(|code| Spelt::new(code))
            .map_or(Say::Line(Line::WhisperManager), Say::Manager),
    }
}

/// By the result alone; `declined`: a refusal has been told already.
fn ended(result: CallResult, declined: bool) -> Option<Line> {
    Some(match result {
        CallResult::AmountRejected
        | CallResult::CallerInterruptedWithStar
        | CallResult::OperatorWanted => Line::WhisperStar,
        CallResult::AgentCancelled => Line::WhisperCancelled,
        CallResult::CallerHungUp => Line::WhisperHungUp,
        CallResult::CapacityExceeded => Line::CapacityExceeded,
        CallResult::InternalError | CallResult::LookupFailed | CallResult::ValidationError => {
            Line::WhisperInternalError
        }
        CallResult::NoKey => Line::CallNotAnswered,
        CallResult::OrderAlreadyPaid => Line::WhisperOrderAlreadyPaid,
        CallResult::SessionTimeout => Line::WhisperSessionTimeout,
        CallResult::PaymentConnectorError | CallResult::TooManyFailedAttempts if declined => {
            return None;
        }
        CallResult::PaymentConnectorError => Line::WhisperTemporary,
        CallResult::OrderNotFound | CallResult::TooManyFailedAttempts => Line::WhisperTooMany,
        // A success without an approval there is not; were there one, it would have to be looked at.
        CallResult::OutcomeUnknown | CallResult::Success => Line::WhisperUnknown,
    })
}

#[cfg(test)]
mod tests {
    use ivrpay_payment::{AcquirerRef, Approval, Brand, Currency, Doubt, Reason, Truncated};

    use super::*;

    const RESULTS: [CallResult; 17] = [
        CallResult::AgentCancelled,
        CallResult::AmountRejected,
        CallResult::CallerHungUp,
        CallResult::CallerInterruptedWithStar,
        CallResult::CapacityExceeded,
        CallResult::InternalError,
        CallResult::LookupFailed,
        CallResult::NoKey,
        CallResult::OperatorWanted,
        CallResult::OrderAlreadyPaid,
        CallResult::OrderNotFound,
        CallResult::OutcomeUnknown,
        CallResult::PaymentConnectorError,
        CallResult::SessionTimeout,
        CallResult::Success,
        CallResult::TooManyFailedAttempts,
        CallResult::ValidationError,
    ];

    fn amount() -> Money {
        Money::new(12_800, Currency::Jpy).unwrap()
    }

    fn card() -> Truncated {
        Truncated::new(Brand::Visa, [1, 1, 1, 1]).unwrap()
    }

    fn approved() -> Outcome {
        Outcome::Approved(Approval {
            acquirer_ref: AcquirerRef::new("ch_1").unwrap(),
            code: None,
            card: None,
        })
    }

    fn declined(reason: Reason, code: &str) -> Outcome {
        Outcome::Declined(Decline {
            reason,
            code: code.to_owned(),
            hard: false,
            action: None,
        })
    }

    fn end(result: CallResult, outcome: Option<Outcome>, hung_up: bool) -> End {
        End {
            result,
            card: outcome.is_some().then(card),
            outcome,
            hung_up,
            keys: Keys::Fine,
            evidence: Vec::new(),
        }
    }

    #[test]
    fn every_ending_has_its_whisper() {
        use CallResult as R;
        let doubt = || Some(Outcome::Unknown(Doubt::NoReply));
        let not = |why| Some(Outcome::NotCharged(why));
        let no = |reason, code| Some(declined(reason, code));
        let paid = Say::Paid(card(), amount());
        let line = Say::Line;
        let code = |text| Say::Manager(Spelt::new(text).unwrap());
        let table = [
            (R::Success, Some(approved()), false, vec![paid]),
            (
                R::Success,
                Some(approved()),
                true,
                vec![paid, line(Line::WhisperHungUp)],
            ),
            (
                R::OutcomeUnknown,
                doubt(),
                false,
                vec![line(Line::WhisperUnknown)],
            ),
            (
                R::OutcomeUnknown,
                None,
                false,
                vec![line(Line::WhisperUnknown)],
            ),
            (
                R::PaymentConnectorError,
                not(Why::NotSent),
                false,
                vec![line(Line::WhisperTemporary)],
            ),
            (
                R::PaymentConnectorError,
                not(Why::Busy),
                false,
                vec![line(Line::WhisperTemporary)],
            ),
            (
                R::PaymentConnectorError,
                not(Why::Rejected),
                false,
                vec![line(Line::WhisperManager)],
            ),
            (
                R::PaymentConnectorError,
                no(Reason::InsufficientFunds, "51"),
                false,
                vec![line(Line::WhisperDeclinedOtherCard)],
            ),
            (
                R::TooManyFailedAttempts,
                no(Reason::CvvMismatch, "82"),
                false,
                vec![line(Line::WhisperDeclinedCheck)],
            ),
            (
                R::PaymentConnectorError,
                no(Reason::IssuerUnavailable, "91"),
                false,
                vec![line(Line::WhisperTemporary)],
            ),
            (
                R::PaymentConnectorError,
                no(Reason::MerchantConfig, "g65"),
                false,
                vec![code("G65")],
            ),
            // A word is not spelt.
            (
                R::PaymentConnectorError,
                no(Reason::MerchantConfig, "invalidaccount"),
                false,
                vec![line(Line::WhisperManager)],
            ),
            (
                R::PaymentConnectorError,
                no(Reason::MerchantConfig, "do_not"),
                false,
                vec![line(Line::WhisperManager)],
            ),
            (
                R::CallerInterruptedWithStar,
                no(Reason::CvvMismatch, "82"),
                false,
                vec![line(Line::WhisperDeclinedCheck), line(Line::WhisperStar)],
            ),
            (
                R::CallerHungUp,
                no(Reason::CvvMismatch, "82"),
                true,
                vec![line(Line::WhisperDeclinedCheck), line(Line::WhisperHungUp)],
            ),
            (R::CallerHungUp, None, true, vec![line(Line::WhisperHungUp)]),
            (
                R::AmountRejected,
                None,
                false,
                vec![line(Line::WhisperStar)],
            ),
            (
                R::TooManyFailedAttempts,
                None,
                false,
                vec![line(Line::WhisperTooMany)],
            ),
            (
                R::OrderAlreadyPaid,
                None,
                false,
                vec![line(Line::WhisperOrderAlreadyPaid)],
            ),
        ];
        for (result, outcome, hung_up, expected) in table {
            let told = whisper(
                &end(result, outcome, hung_up),
                amount(),
                Transaction::Charge,
            );
            assert_eq!(told.0, expected, "{}", result.name());
        }
    }

    /// Nobody is left without a word, and "not paid yet" is said of nothing that may have been paid.
    #[test]
    fn not_paid_is_said_only_where_nothing_was() {
        let outcomes = [
            None,
            Some(approved()),
            Some(Outcome::Unknown(Doubt::NoReply)),
            Some(Outcome::NotCharged(Why::Busy)),
            Some(declined(Reason::Pickup, "04")),
        ];
        let not_paid = [
            Line::WhisperCancelled,
            Line::WhisperSessionTimeout,
            Line::WhisperStar,
            Line::WhisperTooMany,
        ];
        for result in RESULTS {
            for outcome in &outcomes {
                for hung_up in [false, true] {
                    let told = whisper(
                        &end(result, outcome.clone(), hung_up),
                        amount(),
                        Transaction::Charge,
                    );
                    assert!(!told.0.is_empty(), "{} {outcome:?}", result.name());
                    let says_not_paid = told
                        .0
                        .iter()
                        .any(|say| matches!(say, Say::Line(line) if not_paid.contains(line)));
                    let open = matches!(outcome, Some(Outcome::Approved(_) | Outcome::Unknown(_)));
                    assert!(!(says_not_paid && open), "{} {outcome:?}", result.name());
                    let says_paid = told.0.iter().any(|say| matches!(say, Say::Paid(..)));
                    assert_eq!(says_paid, matches!(outcome, Some(Outcome::Approved(_))));
                }
            }
        }
    }

    /// A customer whose keys did not come could not pay; one whose keys came as sound, and who paid all the same, could.
    #[test]
    fn keys_that_did_not_come_are_told() {
        let inband = Say::Line(Line::WhisperInband);
        let told = |result, outcome, keys| {
            let end = End {
                keys,
                ..end(result, outcome, false)
            };
            whisper(&end, amount(), Transaction::Charge)
                .0
                .contains(&inband)
        };
        for keys in [Keys::AsSound, Keys::NotHeard] {
            for result in [
                CallResult::CallerHungUp,
                CallResult::SessionTimeout,
                CallResult::TooManyFailedAttempts,
            ] {
                assert!(told(result, None, keys), "{}", result.name());
                assert!(!told(result, None, Keys::Fine), "{}", result.name());
            }
            assert!(!told(CallResult::Success, Some(approved()), keys));
            assert!(!told(CallResult::AmountRejected, None, keys));
        }
    }

    #[test]
    fn every_reason_says_something_else() {
        let said: std::collections::BTreeSet<_> = Refusal::ALL
            .into_iter()
            .flat_map(|why| reason(why).0)
            .map(Say::name)
            .collect();
        assert_eq!(said.len(), Refusal::ALL.len());
    }
}
