//! Types of the HTTP API. Cannot name card data: the crate knows `payment` alone.
//!
//! Spelling follows the names that developers of telephone payment know; ids are UUIDs, amounts are whole minor units,
//! times are RFC 3339 in UTC.

use ivrpay_payment::{Brand, CallId, PaymentId, State};
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/payments`: announces a payment before or during the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreatePayment {
    /// Amount in minor units: 1200 is 1,200 yen or 12.00 dollars. 1 to 99,999,999.
    pub amount: u64,
    /// ISO 4217; the tenant's currency when absent.
    #[serde(default)]
    pub currency: Option<String>,
    /// The merchant's own number of the order. One (tenant, order, part) has at most one open or approved payment.
    pub order_id: String,
    /// Part of a declared split, 0 when absent.
    #[serde(default)]
    pub part: u32,
    /// `ja` or `en`; the tenant's language when absent.
    #[serde(default)]
    pub language: Option<String>,
    /// Extension of the operator whose call this payment belongs to (`201`).
    #[serde(default)]
    pub operator_extension: Option<String>,
    /// The person who leads the payment.
    #[serde(default)]
    pub operator: Option<String>,
    /// The caller's number as Asterisk shows it; used on attended calls with exactly one hit.
    #[serde(default)]
    pub caller_number: Option<String>,
    /// Place or brand of the merchant, for reports.
    #[serde(default)]
    pub site: Option<String>,
}

/// A payment as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Ours.
    pub id: PaymentId,
    /// The merchant.
    pub tenant: String,
    /// The merchant's order.
    pub order_id: Option<String>,
    /// Part of a split.
    pub part: u32,
    /// `waiting`, `in-flight`, `unknown`, `approved`, `declined`, `cancelled`, `expired`, `voided`.
    pub state: State,
    /// Minor units.
    pub amount: u64,
    /// ISO 4217.
    pub currency: String,
    /// The person who led it.
    pub operator: Option<String>,
    /// Place or brand of the merchant.
    pub site: Option<String>,
    /// Result of the last call (`success`, `caller-hung-up` ...).
    pub result: Option<String>,
    /// The number that a caller without an operator is told.
    #[serde(default)]
    pub reference: Option<u32>,
    /// Brand of the card that was charged or, where none was, of the last one that was declined.
    pub brand: Option<Brand>,
    /// Last four digits of that card.
    pub last4: Option<String>,
    /// Why the last card was declined, neutral of the acquirer (`insufficient_funds` ...).
    #[serde(default)]
    pub decline_reason: Option<String>,
    /// The acquirer's reference.
    pub acquirer_ref: Option<String>,
    /// The issuer's approval code.
    pub approval_code: Option<String>,
    /// `test` or `live`.
    pub mode: String,
    /// Name of the connector that is asked; `training` sends nothing to anybody.
    #[serde(default)]
    pub connector: String,
    /// When it was announced.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
}

/// A page of payments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payments {
    /// Newest first.
    pub payments: Vec<Payment>,
}

/// Every error of the API has this one form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// For programs: a closed set of words.
    pub code: ErrorCode,
    /// For people: what is wrong and what to do.
    pub message: String,
    /// The payment that is in the way, for `order-taken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<PaymentId>,
}

/// Words of [`ErrorDetail::code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The key may not do this.
    Forbidden,
    /// The same `Idempotency-Key` came with another body.
    IdempotencyReused,
    /// Something on our side; nothing was changed.
    Internal,
    /// The body or a parameter is wrong.
    InvalidRequest,
    /// No such thing, or not yours.
    NotFound,
    /// Another payment of the same order is open or approved.
    OrderTaken,
    /// The service can't take this now (disk full, database busy).
    Unavailable,
    /// No key, or a wrong one.
    Unauthorized,
}

/// What `GET /v1/events` streams, one JSON object each. Never a digit of a card; of the security code only that the step is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Grows by one for every event of this daemon's life.
    pub seq: u64,
    /// When, RFC 3339.
    pub at: String,
    /// Our id of the call.
    pub call_id: CallId,
    /// Asterisk's id of the caller's channel.
    pub channel_id: String,
    /// SIP Call-ID of the caller's leg, where the channel has one.
    pub sip_call_id: Option<String>,
    /// The merchant.
    pub tenant: String,
    /// What happened.
    pub event: EventKind,
    /// Where the call is.
    #[serde(default)]
    pub step: Option<String>,
    /// Attempt at this field, from 1.
    #[serde(default)]
    pub attempt: Option<u8>,
    /// Digits keyed in this field; absent for the security code.
    #[serde(default)]
    pub digits: Option<u8>,
    /// What was wrong with the last attempt, or the danger for which no card is asked for.
    #[serde(default)]
    pub error: Option<String>,
    /// How the call ended.
    #[serde(default)]
    pub result: Option<String>,
    /// The payment of this call.
    #[serde(default)]
    pub payment_id: Option<PaymentId>,
}

/// Kinds of [`Event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventKind {
    /// The call is over; `result` says how.
    CallEnded,
    /// A channel entered.
    CallStarted,
    /// Asterisk would betray a card: nobody is asked for one; `error` names the danger.
    CaptureRefused,
    /// A key came; `digits` counts.
    Digits,
    /// A step was entered or is being asked anew.
    Step,
}

/// Answer of `GET /healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether a call could be taken now.
    pub ok: bool,
    /// The ARI websocket: `connected`, or what is wrong.
    pub asterisk: String,
    /// The journal: `writable`, or what is wrong.
    pub journal: String,
    /// Calls now.
    pub calls: usize,
    /// Most calls at once.
    pub calls_max: usize,
    /// What holds card data: `memfd_secret`, `mlock` or `plain`.
    pub secret_memory: String,
    /// The daemon is being stopped.
    pub stopping: bool,
}

/// Body of `POST /v1/recordings` on the Unix socket: a recording in which a card was spoken or keyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkRecording {
    /// Where it was found; an absolute path.
    pub origin: String,
    /// Where it was moved to; absent when it was only marked.
    #[serde(default)]
    pub file: Option<String>,
    /// Its call or channel.
    #[serde(default)]
    pub call: Option<String>,
    /// Who says so, 1 to 64 characters.
    pub by: String,
    /// Why, at most 200 characters.
    #[serde(default)]
    pub reason: String,
}

/// Body of `POST /v1/recordings/{id}/resolve` on the Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolveRecording {
    /// `deleted` or `redacted`.
    pub action: String,
    /// Who did it, 1 to 64 characters.
    pub by: String,
}

/// A recording that holds a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Its id.
    pub id: String,
    /// `marked`, `quarantined`, `deleted` or `redacted`.
    pub state: String,
    /// Where it was found.
    pub origin: String,
    /// Where it lies in quarantine.
    pub file: Option<String>,
    /// Its call or channel.
    pub call: Option<String>,
    /// Who found it.
    pub marked_by: String,
    /// Why.
    pub reason: String,
    /// When it was found, RFC 3339.
    pub marked_at: String,
    /// Until when it has to be deleted or redacted, RFC 3339.
    pub due_at: String,
    /// Who ended the matter.
    pub resolved_by: Option<String>,
    /// When, RFC 3339.
    pub resolved_at: Option<String>,
}

/// Answer of `GET /v1/recordings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recordings {
    /// The newest first; at most 1,000.
    pub recordings: Vec<Recording>,
}
