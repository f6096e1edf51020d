//! What came of an operation: three answers to the money question, never two, and one for our own faults.

use serde::{Deserialize, Serialize};

use crate::{AcquirerRef, Truncated};

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
    /// The acquirer's own code, cut to 40 printable ASCII characters, for support.
    pub code: String,
    /// The schemes forbid to try this card again for this purchase (lost, stolen, closed, "do not try again").
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hard: bool,
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
    InsufficientFunds,
    InvalidCard,
    InvalidExpiry,
    InvalidNumber,
    IssuerUnavailable,
    LimitExceeded,
    LostOrStolen,
    MerchantConfig,
    PaymentForbidden,
    Pickup,
    PinError,
    PlanNotAllowed,
    Referral,
    RequestRefused,
}

/// What a refusal allows next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing that the caller can do: operator.
    Operator,
    /// Another card may be tried.
    OtherCard,
    /// The same card may be entered again, from its number: often a mistyped digit. Bounded by the cards of a call.
    ReEnter,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Reason; 23] = [
        Self::AmountError,
        Self::AuthenticationRequired,
        Self::CardNotSupported,
        Self::CardUnusable,
        Self::CvvMismatch,
        Self::CvvMissing,
        Self::Duplicate,
        Self::ExpiredCard,
        Self::FraudSuspected,
        Self::InsufficientFunds,
        Self::InvalidCard,
        Self::InvalidExpiry,
        Self::InvalidNumber,
        Self::IssuerUnavailable,
        Self::LimitExceeded,
        Self::LostOrStolen,
        Self::MerchantConfig,
        Self::PaymentForbidden,
        Self::Pickup,
        Self::PinError,
        Self::PlanNotAllowed,
        Self::Referral,
        Self::RequestRefused,
    ];

    /// What the caller may do next.
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            Self::CvvMismatch | Self::CvvMissing | Self::InvalidExpiry | Self::InvalidNumber => {
                Action::ReEnter
            }
            Self::AmountError
            | Self::Duplicate
            | Self::IssuerUnavailable
            | Self::MerchantConfig
            | Self::PlanNotAllowed => Action::Operator,
            _ => Action::OtherCard,
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
            Self::InsufficientFunds => "insufficient_funds",
            Self::InvalidCard => "invalid_card",
            Self::InvalidExpiry => "invalid_expiry",
            Self::InvalidNumber => "invalid_number",
            Self::IssuerUnavailable => "issuer_unavailable",
            Self::LimitExceeded => "limit_exceeded",
            Self::LostOrStolen => "lost_or_stolen",
            Self::MerchantConfig => "merchant_config",
            Self::PaymentForbidden => "payment_forbidden",
            Self::Pickup => "pickup",
            Self::PinError => "pin_error",
            Self::PlanNotAllowed => "plan_not_allowed",
            Self::Referral => "referral",
            Self::RequestRefused => "request_refused",
        }
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
        }
    }
}
