//! An operator keys the card for a caller who can't: the same dialogue, said to somebody else.
//!
//! What is in other words, who hears it, and which waits are longer; the two talk meanwhile. Does not know the call's states. "Nothing
//! has been charged" is in the words of [`Line::KeyedEnded`]: it stands for lines that say so, or that are said where nothing was.

use crate::io::{CallResult, End, Prompt, Say};
use crate::line::Line;
use crate::operator;
use crate::settings::Settings;
use ivrpay_payment::{Money, Transaction};

/// Waits for somebody who has to be told each number: the longest for every field, and no reminder, which would talk over the caller.
#[must_use]
pub fn settings(of: &Settings) -> Settings {
    let longest = of.first_key_card_number.max(of.first_key);
    Settings {
        first_key_card_number: longest,
        first_key: longest,
        reminder_after: longest,
        // The one who keys has a telephone that sends events; the other one talks.
        detect_tones: false,
        ..of.clone()
    }
}

/// What is said instead.
pub(crate) fn words(says: Vec<Say>) -> Vec<Say> {
    let alone = says.len() == 1;
    let said = says.into_iter().filter_map(|say| {
        Some(match say {
            Say::Amount(amount) => Say::AmountTold(amount),
            Say::Line(line) => Say::Line(match line {
                Line::PaymentCardNumber => Line::KeyedCardNumber,
                Line::CardDeclined => Line::KeyedDeclined,
                Line::Help => Line::KeyedHelp,
                Line::AgentCancelled
                | Line::AmountRejected
                | Line::CallerInterruptedWithStar
                | Line::SessionTimeout
                | Line::TooManyFailedAttempts => Line::KeyedEnded,
                // They are together. Alone it is said of a card that was declined.
                Line::AgentReturn | Line::SelfServiceEnd if alone => Line::KeyedEnded,
                Line::AgentReturn | Line::SelfServiceEnd => return None,
                other => other,
            }),
            other => other,
        })
    });
    said.collect()
}

/// Whether the caller hears it as well: how much is to be paid, and what became of it.
#[must_use]
pub fn is_for_both(prompt: &Prompt) -> bool {
    prompt.0.iter().any(|say| {
        matches!(
            say,
            Say::AmountTold(_)
                | Say::Line(
                    Line::InternalError
                        | Line::KeyedDeclined
                        | Line::KeyedEnded
                        | Line::OutcomeUnknown
                        | Line::PaymentCompleted
                        | Line::PaymentConnectorError
                        | Line::PaymentProcessing
                        | Line::PaymentProcessingLong
                        | Line::TokenizeCompleted
                        | Line::Training
                        | Line::VerifyCompleted
                )
        )
    })
}

/// As [`operator::whisper`]; what the operator did himself is not told as the caller's wish.
#[must_use]
pub fn whisper(end: &End, amount: Money, transaction: Transaction) -> Prompt {
    if end.result == CallResult::AmountRejected {
        return Prompt::from(Line::WhisperCancelled);
    }
    operator::whisper(end, amount, transaction)
}

#[cfg(test)]
mod tests {
    use ivrpay_payment::Currency;

    use super::*;

    fn lines(lines: &[Line]) -> Vec<Say> {
        lines.iter().copied().map(Say::Line).collect()
    }

    #[test]
    fn nobody_is_connected_to_the_operator_who_is_there() {
        for (said, instead) in [
            (
                &[Line::PaymentCompleted, Line::AgentReturn][..],
                &[Line::PaymentCompleted][..],
            ),
            (
                &[Line::OutcomeUnknown, Line::AgentReturn],
                &[Line::OutcomeUnknown],
            ),
            (
                &[Line::PaymentConnectorError, Line::AgentReturn],
                &[Line::PaymentConnectorError],
            ),
            (&[Line::AgentReturn], &[Line::KeyedEnded]),
            (&[Line::AgentCancelled], &[Line::KeyedEnded]),
            (&[Line::AmountRejected], &[Line::KeyedEnded]),
            (&[Line::SessionTimeout], &[Line::KeyedEnded]),
            (&[Line::TooManyFailedAttempts], &[Line::KeyedEnded]),
            (&[Line::CallerInterruptedWithStar], &[Line::KeyedEnded]),
            (
                &[Line::Help, Line::PaymentCardNumber],
                &[Line::KeyedHelp, Line::KeyedCardNumber],
            ),
            (&[Line::SecurityCode], &[Line::SecurityCode]),
        ] {
            assert_eq!(words(lines(said)), lines(instead), "{said:?}");
        }
    }

    #[test]
    fn the_caller_hears_the_amount_and_the_result_and_no_question() {
        let amount = Money::new(1_500, Currency::Jpy).unwrap();
        let both = |says: Vec<Say>| is_for_both(&Prompt(words(says)));
        assert!(both(vec![Say::Amount(amount)]));
        for line in [
            Line::PaymentCompleted,
            Line::OutcomeUnknown,
            Line::PaymentConnectorError,
            Line::CardDeclined,
            Line::SessionTimeout,
            Line::AgentReturn,
            Line::InternalError,
        ] {
            assert!(both(lines(&[line])), "{line:?}");
        }
        for line in [
            Line::PaymentCardNumber,
            Line::PaymentCardNumberAgain,
            Line::ExpirationDate,
            Line::SecurityCode,
            Line::InvalidCardNumberChecksum,
            Line::FieldContinue,
            Line::Help,
        ] {
            assert!(!both(lines(&[line])), "{line:?}");
        }
    }
}
