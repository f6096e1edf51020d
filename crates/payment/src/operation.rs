//! Operations of a payment and the states that a payment may be in.

use serde::{Deserialize, Serialize};

use crate::{
    AcquirerOrder, AcquirerRef, CardToken, IdempotencyKey, Money, OperationId, OperatorId, OrderId,
    PaymentId, Plan, Truncated,
};

/// What is asked of an acquirer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OperationKind {
    /// Reserve the amount (仮売上).
    Authorise,
    /// Take a reserved amount (実売上).
    Capture,
    /// Reserve another amount instead of the one that is reserved (金額変更).
    Change,
    /// Authorise and capture at once (即時売上).
    Charge,
    /// Read what became of an operation.
    Query,
    /// Give captured money back.
    Refund,
    /// Store the card at the acquirer.
    Tokenise,
    /// Check the card without moving money.
    Verify,
    /// Release a reservation.
    Void,
}

impl OperationKind {
    /// Spelling in the journal and the API (`authorize`, `tokenize`, as Twilio Pay spells them).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authorise => "authorize",
            Self::Capture => "capture",
            Self::Change => "change",
            Self::Charge => "charge",
            Self::Query => "query",
            Self::Refund => "refund",
            Self::Tokenise => "tokenize",
            Self::Verify => "verify",
            Self::Void => "void",
        }
    }
}

/// What is written, and synced, before one byte goes to an acquirer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The payment.
    pub payment_id: PaymentId,
    /// This operation. A second card is another one.
    pub operation_id: OperationId,
    /// What is asked.
    pub kind: OperationKind,
    /// How much.
    pub amount: Money,
    /// Brand and last four.
    pub card: Truncated,
    /// What the acquirer de-duplicates by.
    pub idempotency_key: IdempotencyKey,
    /// Our order number at the acquirer; of a later operation that of its parent.
    pub acquirer_order: AcquirerOrder,
    /// The merchant's order.
    pub order: Option<OrderId>,
    /// The person who took it.
    pub operator: Option<OperatorId>,
    /// How it is paid back; of a later operation that of its parent.
    pub plan: Plan,
    /// The card, where the acquirer has it and no caller keys it.
    pub token: Option<CardToken>,
    /// What is captured, voided, refunded or asked about; `None` for what begins a payment.
    pub parent: Option<Box<Parent>>,
}

impl Intent {
    /// As a later operation is told of this one, of which the acquirer has said so much.
    #[must_use]
    pub fn as_parent(&self, acquirer_ref: Option<AcquirerRef>, at_unix_s: i64) -> Parent {
        Parent {
            operation_id: self.operation_id,
            kind: self.kind,
            amount: self.amount,
            acquirer_order: self.acquirer_order,
            idempotency_key: self.idempotency_key,
            acquirer_ref,
            at_unix_s,
        }
    }
}

/// The operation that a later one is about, as an acquirer has to be told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Which one.
    pub operation_id: OperationId,
    /// What it was.
    pub kind: OperationKind,
    /// How much.
    pub amount: Money,
    /// Our order number at the acquirer.
    pub acquirer_order: AcquirerOrder,
    /// What the acquirer de-duplicated it by.
    pub idempotency_key: IdempotencyKey,
    /// The acquirer's reference, where its answer came.
    pub acquirer_ref: Option<AcquirerRef>,
    /// When its intent was written, seconds since 1970: some acquirers ask for the day.
    pub at_unix_s: i64,
}

/// State of a payment. In every one but the last four the order is locked: (tenant, order, part) has one such payment at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum State {
    /// Announced by API or dialplan; no call, or a call that has not sent anything.
    Waiting,
    /// An intent is durable and not yet answered.
    InFlight,
    /// It may have been charged.
    Unknown,
    /// Charged.
    Approved,
    /// Refused by the issuer, and the call ended without another card.
    Declined,
    /// Nothing was charged: caller, operator or API gave up, or the acquirer was not reached.
    Cancelled,
    /// Waited too long without a call.
    Expired,
    /// Approved, then released again.
    Voided,
}

impl State {
    /// All states.
    pub const ALL: [State; 8] = [
        Self::Waiting,
        Self::InFlight,
        Self::Unknown,
        Self::Approved,
        Self::Declined,
        Self::Cancelled,
        Self::Expired,
        Self::Voided,
    ];

    /// Spelling in the journal and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::InFlight => "in-flight",
            Self::Unknown => "unknown",
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Voided => "voided",
        }
    }

    /// Reads [`Self::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Whether a payment in this state keeps others of the same order away.
    #[must_use]
    pub const fn locks_order(self) -> bool {
        matches!(
            self,
            Self::Waiting | Self::InFlight | Self::Unknown | Self::Approved
        )
    }
}
