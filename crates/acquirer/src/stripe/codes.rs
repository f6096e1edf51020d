//! An error of Stripe to what it means for the money: the table is `crate::codes::stripe`.

use ivrpay_payment::{Action, Outcome, Reason};
use serde_json::Value;

use super::fields::at;
use crate::codes::Class::{self, Declined, Unknown};
use crate::codes::{iso8583, listed, soft, stripe};
use crate::json;

/// What an error object says: the issuer's `decline_code` before Stripe's `code`, that before `type`. One that leaves the outcome open
/// outweighs all others, and what none of the three has a row for is unknown.
pub(super) fn class(error: &Value) -> (Class, &str) {
    let rows: Vec<_> = [at::DECLINE_CODE, at::CODE, at::TYPE]
        .into_iter()
        .filter_map(|place| json::text(error, place))
        .filter_map(|code| Some((listed(stripe::TABLE, &code.to_ascii_lowercase())?, code)))
        .collect();
    let open = rows.iter().find(|row| row.0 == Unknown);
    let declined = || rows.iter().find(|row| matches!(row.0, Declined { .. }));
    let (class, code) = *open
        .or_else(declined)
        .or(rows.first())
        .unwrap_or(&(Unknown, ""));
    let network = |place| json::text(error, place);
    let class = iso8583::refined(class, network(at::NETWORK_CODE), network(at::NETWORK_ADVICE));
    // Stripe's own advice, which it makes of those, outweighs what the code allows.
    let class = match json::text(error, at::ADVICE) {
        Some("do_not_try_again") => class.for_good(),
        Some("confirm_card_data") => class.with(Action::ReEnter),
        Some("try_again_later") => class.with(Action::Later),
        _ => class,
    };
    (class, code)
}

/// What an error means where it is known that no money moved: a refusal of the card, whatever else it says.
pub(super) fn refusal(error: &Value) -> Outcome {
    match class(error) {
        (class @ Declined { .. }, code) => class.outcome(code),
        (_, code) => soft(Reason::IssuerUnavailable).outcome(code),
    }
}

#[cfg(test)]
mod tests {
    use Reason::{CardUnusable, InsufficientFunds};
    use serde_json::json;

    use super::*;
    use crate::codes::Class::{Busy, Rejected};
    use crate::codes::hard;

    #[test]
    fn classes() {
        for (error, expected) in [
            (
                json!({"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}),
                soft(InsufficientFunds),
            ),
            (
                json!({"type": "card_error", "code": "card_declined", "decline_code": "never_heard_of"}),
                soft(CardUnusable),
            ),
            (
                json!({"type": "card_error", "code": "card_declined", "decline_code": "do_not_honor", "advice_code": "do_not_try_again"}),
                hard(CardUnusable),
            ),
            (
                json!({"type": "card_error", "decline_code": "do_not_honor", "advice_code": "confirm_card_data"}),
                soft(CardUnusable).with(Action::ReEnter),
            ),
            (
                json!({"type": "card_error", "decline_code": "do_not_honor", "advice_code": "try_again_later"}),
                soft(CardUnusable).with(Action::Later),
            ),
            (
                json!({"type": "card_error", "decline_code": "reenter_transaction"}),
                soft(Reason::IssuerUnavailable).with(Action::ReEnter),
            ),
            (
                json!({"type": "card_error", "decline_code": "generic_decline", "network_decline_code": "51"}),
                soft(InsufficientFunds),
            ),
            (
                json!({"type": "card_error", "decline_code": "insufficient_funds", "network_advice_code": "03"}),
                hard(InsufficientFunds),
            ),
            (json!({"type": "card_error", "decline_code": "duplicate_transaction"}), Unknown),
            (json!({"type": "card_error", "code": "processing_error"}), Unknown),
            (
                json!({"type": "card_error", "code": "card_declined", "decline_code": "processing_error"}),
                Unknown,
            ),
            (json!({"type": "card_error", "code": "never_heard_of"}), Unknown),
            (json!({"type": "api_error", "code": "card_declined"}), Unknown),
            (json!({"type": "idempotency_error"}), Unknown),
            (
                json!({"type": "invalid_request_error", "code": "idempotency_key_in_use"}),
                Unknown,
            ),
            (json!({"type": "invalid_request_error", "code": "rate_limit"}), Busy),
            (
                json!({"type": "invalid_request_error", "code": "parameter_unknown"}),
                Rejected,
            ),
            (json!({}), Unknown),
            (json!(7), Unknown),
        ] {
            assert_eq!(class(&error).0, expected, "{error}");
        }
    }
}
