//! What came of an operation: three answers to the money question, never two, and one for our own faults.

use serde::{Deserialize, Serialize};

use crate::{AcquirerRef, Advice, Truncated};

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Outcome {
    /// The acquirer said yes.
    Approved(Approval),
    /// The acquirer or the issuer said no; no money moved.
    Declined(Decline),
    /// Nothing was charged, and the card is not to blame: our request was wrong, or nobody was reached.
    NotCharged(Why),
    /// It may have been charged. Inquired, never charged again.
    Unknown(Doubt),
}

/// An approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The acquirer's reference.
    pub acquirer_ref: AcquirerRef,
    /// Approval code of the issuer, when the acquirer gives one: up to 16 letters and digits.
    pub code: Option<String>,
    /// The card, when the acquirer echoes it.
    pub card: Option<Truncated>,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decline {
    /// The neutral reason, for operator and report.
    pub reason: Reason,
    /// The acquirer's own code, cut to 40 printable ASCII characters, for support; empty where we refused it ourselves.
    pub code: String,
    /// The schemes forbid to try this card again (lost, stolen, closed, "do not try again").
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hard: bool,
    /// What may be done next, where the code says something else than its reason does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
}

impl Decline {
    /// What may be done next. Where the card may not be tried again, nothing that would try it again.
    #[must_use]
    pub fn action(&self) -> Action {
        match self.action.unwrap_or(self.reason.action()) {
            Action::Later | Action::OtherPlan if self.hard => Action::OtherCard,
            action => action,
        }
    }

    /// Whether the same card may be tried again, now or later.
    #[must_use]
    pub fn same_card(&self) -> bool {
        use Action::{AskIssuer, Later, OtherPlan, ReEnter};
        !self.hard && matches!(self.action(), AskIssuer | Later | OtherPlan | ReEnter)
    }

    /// What the operator is advised to tell the caller, and to do.
    #[must_use]
    pub fn advice(&self) -> Advice {
        if self.action() == self.reason.action() {
            self.reason.advice()
        } else {
            self.action().advice()
        }
    }
}

/// Neutral reason of a refusal (the same for every acquirer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the documentation")]
#[non_exhaustive]
pub enum Reason {
    AmountError,
    AuthenticationRequired,
    CardNotSupported,
    CardUnusable,
    CvvMismatch,
    CvvMissing,
    Duplicate,
    ExpiredCard,
    FraudSuspected,
    /// Refused by us: the same card was declined for good within the last day.
    HardDeclinedBefore,
    InsufficientFunds,
    InvalidCard,
    InvalidExpiry,
    InvalidNumber,
    IssuerUnavailable,
    LimitExceeded,
    LostOrStolen,
    MerchantConfig,
    /// Declined by a code that stands in no table.
    Other,
    PaymentForbidden,
    Pickup,
    PinError,
    PlanNotAllowed,
    Referral,
    RequestRefused,
    /// Refused by us: the same card was tried too often within the last day.
    TriesExceeded,
}

/// What a refusal allows next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The caller has to ask the card's issuer.
    AskIssuer,
    /// The same card later.
    Later,
    /// What became of it, or of one before it, is looked up first.
    LookUp,
    /// Nothing that the caller can do: operator.
    Operator,
    /// Another card may be tried.
    OtherCard,
    /// The same card may be tried with another way to pay it back, or a lower amount.
    OtherPlan,
    /// The same card may be entered again, from its number: often a mistyped digit. Bounded by the cards of a call.
    ReEnter,
}

impl Action {
    /// All actions.
    pub const ALL: [Action; 7] = [
        Self::AskIssuer,
        Self::Later,
        Self::LookUp,
        Self::Operator,
        Self::OtherCard,
        Self::OtherPlan,
        Self::ReEnter,
    ];

    /// Spelling in the journal and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AskIssuer => "ask-issuer",
            Self::Later => "later",
            Self::LookUp => "look-up",
            Self::Operator => "operator",
            Self::OtherCard => "other-card",
            Self::OtherPlan => "other-plan",
            Self::ReEnter => "re-enter",
        }
    }
}

impl Reason {
    /// All reasons.
    pub const ALL: [Reason; 26] = [
        Self::AmountError,
        Self::AuthenticationRequired,
        Self::CardNotSupported,
        Self::CardUnusable,
        Self::CvvMismatch,
        Self::CvvMissing,
        Self::Duplicate,
        Self::ExpiredCard,
        Self::FraudSuspected,
        Self::HardDeclinedBefore,
        Self::InsufficientFunds,
        Self::InvalidCard,
        Self::InvalidExpiry,
        Self::InvalidNumber,
        Self::IssuerUnavailable,
        Self::LimitExceeded,
        Self::LostOrStolen,
        Self::MerchantConfig,
        Self::Other,
        Self::PaymentForbidden,
        Self::Pickup,
        Self::PinError,
        Self::PlanNotAllowed,
        Self::Referral,
        Self::RequestRefused,
        Self::TriesExceeded,
    ];

    /// What may be done next, the best first. A code whose row says something else has it in [`Decline::action`].
    #[must_use]
    pub const fn actions(self) -> &'static [Action] {
        use Action::{AskIssuer, Later, LookUp, Operator, OtherCard, OtherPlan, ReEnter};
        match self {
            Self::CvvMismatch | Self::CvvMissing | Self::InvalidExpiry | Self::InvalidNumber => {
                &[ReEnter]
            }
            Self::InsufficientFunds | Self::LimitExceeded => &[OtherCard, OtherPlan],
            Self::CardUnusable | Self::RequestRefused | Self::Other => &[OtherCard, AskIssuer],
            Self::AuthenticationRequired
            | Self::CardNotSupported
            | Self::ExpiredCard
            | Self::FraudSuspected
            | Self::HardDeclinedBefore
            | Self::InvalidCard
            | Self::LostOrStolen
            | Self::PaymentForbidden
            | Self::Pickup
            | Self::PinError
            | Self::TriesExceeded => &[OtherCard],
            Self::Referral => &[AskIssuer],
            Self::PlanNotAllowed => &[OtherPlan],
            Self::IssuerUnavailable => &[Later, OtherCard],
            Self::AmountError | Self::MerchantConfig => &[Operator],
            Self::Duplicate => &[LookUp],
        }
    }

    /// The first of [`Self::actions`].
    #[must_use]
    pub const fn action(self) -> Action {
        match self.actions() {
            [first, ..] => *first,
            [] => Action::Operator,
        }
    }

    /// Spelling in the journal, the API and connectors' tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AmountError => "amount_error",
            Self::AuthenticationRequired => "authentication_required",
            Self::CardNotSupported => "card_not_supported",
            Self::CardUnusable => "card_unusable",
            Self::CvvMismatch => "cvv_mismatch",
            Self::CvvMissing => "cvv_missing",
            Self::Duplicate => "duplicate",
            Self::ExpiredCard => "expired_card",
            Self::FraudSuspected => "fraud_suspected",
            Self::HardDeclinedBefore => "hard_declined_before",
            Self::InsufficientFunds => "insufficient_funds",
            Self::InvalidCard => "invalid_card",
            Self::InvalidExpiry => "invalid_expiry",
            Self::InvalidNumber => "invalid_number",
            Self::IssuerUnavailable => "issuer_unavailable",
            Self::LimitExceeded => "limit_exceeded",
            Self::LostOrStolen => "lost_or_stolen",
            Self::MerchantConfig => "merchant_config",
            Self::Other => "other",
            Self::PaymentForbidden => "payment_forbidden",
            Self::Pickup => "pickup",
            Self::PinError => "pin_error",
            Self::PlanNotAllowed => "plan_not_allowed",
            Self::Referral => "referral",
            Self::RequestRefused => "request_refused",
            Self::TriesExceeded => "tries_exceeded",
        }
    }

    /// Reads [`Self::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// Why nothing was charged although no card was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Why {
    /// The acquirer was busy or in maintenance and refused before doing anything.
    Busy,
    /// A person looked it up at the acquirer: nothing was charged.
    LookedUp,
    /// The acquirer was asked: our request never reached it.
    NotArrived,
    /// The request that charges was not sent: name, connection or TLS failed, or a step before it, which moves nothing, had no answer.
    NotSent,
    /// The acquirer refused our request as wrong: fields, contract, credentials.
    Rejected,
    /// The acquirer was asked: it was approved, and released again before anything was taken.
    Reversed,
}

impl Why {
    /// Spelling in the journal and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::LookedUp => "looked-up",
            Self::NotArrived => "not-arrived",
            Self::NotSent => "not-sent",
            Self::Rejected => "rejected",
            Self::Reversed => "reversed",
        }
    }

    /// What an admin can do.
    #[must_use]
    pub const fn hint(self) -> Option<&'static str> {
        match self {
            Self::Rejected => Some(
                "the acquirer refuses our requests as wrong: look at credentials, contract and limits; `ivrpay connector test NAME` tries them at its test system",
            ),
            Self::Busy => Some(
                "wait; if it goes on, look at the acquirer's maintenance notices and at this machine's clock",
            ),
            _ => None,
        }
    }
}

/// Why we do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "doubt", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Doubt {
    /// A payment of several requests that has stopped in the middle: the amount is reserved, and no request of ours will take it any more.
    HalfDone,
    /// An answer that can't be read: not the contract's form, too long, broken.
    Malformed,
    /// Amount, currency or order of the answer differ from what was asked (I7).
    Mismatch,
    /// No answer, or the connection broke after the request had begun to go out.
    NoReply,
    /// The acquirer has not decided, or our request may still reach it: ask again later.
    Pending,
    /// An HTTP status that says nothing about the money.
    Status {
        /// The status, 100 to 999.
        status: u16,
    },
    /// A code that the acquirer's document does not list.
    UnlistedCode,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_serde() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
            assert_eq!(Reason::from_name(reason.name()), Some(reason));
        }
        for action in Action::ALL {
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
        }
        use Why::{Busy, LookedUp, NotArrived, NotSent, Rejected, Reversed};
        for why in [Busy, LookedUp, NotArrived, NotSent, Rejected, Reversed] {
            assert_eq!(serde_json::to_value(why).unwrap()["why"], why.name());
        }
    }

    /// What is advised never tries a card again that may not be tried again.
    #[test]
    fn a_hard_decline_is_not_tried_again() {
        for reason in Reason::ALL {
            for action in Action::ALL.map(Some).into_iter().chain([None]) {
                let mut decline = Decline {
                    reason,
                    code: String::new(),
                    hard: false,
                    action,
                };
                assert_eq!(decline.action(), action.unwrap_or(reason.action()));
                decline.hard = true;
                assert!(!decline.same_card());
                assert!(!matches!(
                    decline.action(),
                    Action::Later | Action::OtherPlan
                ));
            }
        }
    }

    /// The form of journals that were written before.
    #[test]
    fn an_older_decline_is_read() {
        let old = r#"{"reason":"pickup","code":"G56","hard":true}"#;
        let decline: Decline = serde_json::from_str(old).unwrap();
        assert_eq!((decline.hard, decline.action), (true, None));
        assert_eq!(serde_json::to_string(&decline).unwrap(), old);
    }
}
