//! Types of the HTTP API. Cannot name card data: the crate knows `payment` alone.
//!
//! Spelling follows the names that developers of telephone payment know; ids are UUIDs, amounts are whole minor units,
//! times are RFC 3339 in UTC.

use std::collections::BTreeMap;

use ivrpay_payment::{Brand, CallId, EventId, PaymentId, State, TaskId, Transaction};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod access;
pub mod names;

pub use access::*;

/// Body of `POST /v1/payments`: announces a payment before or during the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePayment {
    /// `charge`, `authorize` (captured later), `tokenize` (the card is stored at the acquirer), `verify` (it is checked); the tenant's
    /// `transaction_type` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<names::Transaction>)]
    pub transaction_type: Option<Transaction>,
    /// Amount in minor units: 1200 is 1,200 yen or 12.00 dollars. 1 to 99,999,999; none for `tokenize` and `verify`.
    #[serde(default)]
    pub amount: u64,
    /// The acquirer's name for a card that it has stored: the caller pays with that card by one key, or keys another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_token: Option<String>,
    /// Brand of the card of a `payment_token` that no call of ours has stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<names::Brand>)]
    pub brand: Option<Brand>,
    /// Its last four digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last4: Option<String>,
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
    /// The connector that is asked, one of the tenant's, and no other; by its routes when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// How it is to be paid back, which the caller then only confirms: `lump_sum`, `installments`, `revolving` or `bonus`. When absent he
    /// chooses of what the merchant offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_plan: Option<String>,
    /// In how many instalments, for `installments`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_plan_count: Option<u8>,
    /// What it is about, for people: one line, 1 to 200 characters. It is not spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub description: Option<String>,
    /// Your own: given back with the payment, and never to an acquirer. At most 20; names 1 to 40 characters, values at most 500.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Until when it waits for its call, RFC 3339; as long as the merchant's `waiting_max` when absent, and never longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
}

/// A payment as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Payment {
    /// Ours.
    #[schema(value_type = String, format = "uuid")]
    pub id: PaymentId,
    /// The merchant.
    pub tenant: String,
    /// The merchant's order.
    pub order_id: Option<String>,
    /// Part of a split.
    pub part: u32,
    /// `waiting`, `in-flight`, `unknown`, `approved`, `declined`, `cancelled`, `expired`, `voided`.
    #[schema(value_type = names::State)]
    pub state: State,
    /// `charge`, `authorize`, `tokenize` or `verify`.
    #[serde(default)]
    #[schema(value_type = names::Transaction)]
    pub transaction_type: Transaction,
    /// Minor units; 0 for `tokenize` and `verify`.
    pub amount: u64,
    /// ISO 4217.
    pub currency: String,
    /// The person who led it.
    pub operator: Option<String>,
    /// Extension of the operator whose call it belongs to.
    #[serde(default)]
    pub operator_extension: Option<String>,
    /// Place or brand of the merchant.
    pub site: Option<String>,
    /// Result of the last call (`success`, `caller-hung-up` ...).
    pub result: Option<String>,
    /// The number that a caller without an operator is told.
    #[serde(default)]
    pub reference: Option<u32>,
    /// Brand of the card that was charged or, where none was, of the last one that was declined.
    #[schema(value_type = Option<names::Brand>)]
    pub brand: Option<Brand>,
    /// Last four digits of that card.
    pub last4: Option<String>,
    /// Why the last card was declined, neutral of the acquirer (`insufficient_funds` ...).
    #[serde(default)]
    pub decline_reason: Option<String>,
    /// The same in whole; of one payment that is asked for by its id, and not of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline: Option<Decline>,
    /// The acquirer's reference.
    pub acquirer_ref: Option<String>,
    /// The issuer's approval code.
    pub approval_code: Option<String>,
    /// The acquirer's name for the card: that it has stored it under (`tokenize`), or that this payment offers to charge.
    #[serde(default)]
    pub payment_token: Option<String>,
    /// Who keys the card in the last call: `caller`, or `operator` for a caller who can't.
    #[serde(default)]
    pub entered_by: String,
    /// `test` or `live`.
    pub mode: String,
    /// Name of the connector that is asked; `training` sends nothing to anybody.
    #[serde(default)]
    pub connector: String,
    /// How it is paid back: `lump_sum`, `installments`, `bonus`, `bonus_installments`, `revolving`. Before a card was sent: as it was asked
    /// for, or null where the caller chooses.
    #[serde(default)]
    pub payment_plan: Option<String>,
    /// In how many instalments, where it is in some.
    #[serde(default)]
    pub payment_plan_count: Option<u8>,
    /// What is reserved instead of `amount`, where that was changed before anything was taken, minor units.
    #[serde(default)]
    pub reserved: Option<u64>,
    /// What has been taken, minor units; null for nothing.
    #[serde(default)]
    pub captured: Option<u64>,
    /// What of that has been given back, minor units.
    #[serde(default)]
    pub refunded: u64,
    /// What it is about, as it was announced.
    #[serde(default)]
    pub description: Option<String>,
    /// As they were announced.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// Until when it waits for its call, RFC 3339; null for one that began with its call.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// When it was announced.
    pub created_at: String,
    /// That it is disputed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disputed: Option<Disputed>,
    /// When it last changed.
    pub updated_at: String,
}

/// That a payment is disputed: it is neither refunded, voided nor changed meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Disputed {
    /// Since when, RFC 3339.
    pub since: String,
    /// Who said so.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Why the last card was declined, and what may be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decline {
    /// Neutral of the acquirer: `insufficient_funds` ...; `hard_declined_before` and `tries_exceeded` are our own, and nothing was sent.
    pub reason: String,
    /// The acquirer's own code.
    pub code: Option<String>,
    /// The schemes forbid to try this card again.
    pub hard: bool,
    /// Whether the same card may be tried again, now or later.
    pub same_card: bool,
    /// What may be done next: `re-enter`, `other-card`, `ask-issuer`, `other-plan`, `later`, `operator`, `look-up`.
    pub action: String,
    /// What to tell the caller, and what to do.
    pub advice: Advice,
}

/// A sentence for an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Advice {
    /// Japanese.
    pub ja: String,
    /// English.
    pub en: String,
}

/// A page of payments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Payments {
    /// Newest first.
    pub payments: Vec<Payment>,
    /// The parameter `after` of the next page; absent where this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub next: Option<PaymentId>,
}

/// Every error of the API has this one form, `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Where it is explained: a path of this service, `/docs#CODE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words: the same for every error of this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// For people: what is wrong with this request.
    pub detail: String,
    /// For programs: a closed set of words.
    pub code: ErrorCode,
    /// What to do.
    pub hint: String,
    /// `X-Request-Id` of the answer, by which the service's log has it.
    pub request_id: String,
    /// The payment that is in the way, for `order-taken`, `not-waiting`, `not-in-call` and `charge-sent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub payment_id: Option<PaymentId>,
    /// The call that is on already, for `call-exists`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub call_id: Option<CallId>,
    /// The task that is there already, for `task-exists`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub task_id: Option<TaskId>,
}

/// Words of [`Problem::code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The acquirer can't be asked now.
    AcquirerAway,
    /// The customer is being called about this payment already.
    CallExists,
    /// No place is free for another call.
    CapacityExceeded,
    /// The talk is in a capture already.
    CaptureRunning,
    /// The charge is on its way to the acquirer, or has been answered.
    ChargeSent,
    /// The password is right; the second factor's code is missing.
    CodeRequired,
    /// The key may not do this.
    Forbidden,
    /// The same `Idempotency-Key` came with another body.
    IdempotencyReused,
    /// The first request of this `Idempotency-Key` is not answered yet.
    InFlight,
    /// Something on our side, perhaps in the middle of it.
    Internal,
    /// The body or a parameter is wrong.
    InvalidRequest,
    /// The key was good until some time ago.
    KeyExpired,
    /// Nobody of this name, or from this address, may try to sign in for a while.
    Locked,
    /// No such thing, or not yours.
    NotFound,
    /// No call takes the payment now.
    NotInCall,
    /// The payment's state, or its acquirer, does not allow it.
    NotPossible,
    /// A card that is keyed now might be heard, seen or kept.
    NotSafe,
    /// The payment is in a call, or over.
    NotWaiting,
    /// The operator and one customer are not talking.
    NoTalk,
    /// Another payment of the same order is open or approved.
    OrderTaken,
    /// The key asks too often.
    RateLimited,
    /// Who signs in has no second factor that is confirmed.
    SecondFactorMissing,
    /// The session is over.
    SessionEnded,
    /// Name, password or code is wrong.
    SignInFailed,
    /// The task is done already.
    TaskDone,
    /// The payment or order has such a task that is to be done.
    TaskExists,
    /// Another person is at the task.
    TaskTaken,
    /// Nobody can say yet that nothing was charged.
    TooEarly,
    /// As many customers are being called as may be at once.
    TooManyCalls,
    /// The service can't take this now (disk full, database busy).
    Unavailable,
    /// No key, or a wrong one.
    Unauthorized,
}

impl ErrorCode {
    /// All of them, as [`Self::name`] orders them.
    pub const ALL: [Self; 31] = [
        Self::AcquirerAway,
        Self::CallExists,
        Self::CapacityExceeded,
        Self::CaptureRunning,
        Self::ChargeSent,
        Self::CodeRequired,
        Self::Forbidden,
        Self::IdempotencyReused,
        Self::InFlight,
        Self::Internal,
        Self::InvalidRequest,
        Self::KeyExpired,
        Self::Locked,
        Self::NoTalk,
        Self::NotFound,
        Self::NotInCall,
        Self::NotPossible,
        Self::NotSafe,
        Self::NotWaiting,
        Self::OrderTaken,
        Self::RateLimited,
        Self::SecondFactorMissing,
        Self::SessionEnded,
        Self::SignInFailed,
        Self::TaskDone,
        Self::TaskExists,
        Self::TaskTaken,
        Self::TooEarly,
        Self::TooManyCalls,
        Self::Unauthorized,
        Self::Unavailable,
    ];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.words().0
    }

    /// The same for people ([`Problem::title`]).
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.words().1
    }

    /// What to do where the error itself does not say more ([`Problem::hint`]).
    #[must_use]
    pub const fn hint(self) -> &'static str {
        self.words().2
    }

    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::AcquirerAway => (
                "acquirer-away",
                "The acquirer can't be asked now",
                "try again later; nobody was moved, and nothing was charged",
            ),
            Self::CaptureRunning => (
                "capture-running",
                "The talk is in a capture already",
                "follow that one in /v1/events, or cancel it first",
            ),
            Self::NoTalk => (
                "no-talk",
                "There is no talk of two in which a payment could be taken",
                "let operator and customer talk, the two alone, then ask again; nothing was charged",
            ),
            Self::NotSafe => (
                "not-safe",
                "Card data would not be safe now",
                "look into the service's log and at `ivrpay check`, and end what is named there; nothing was charged",
            ),
            Self::CallExists => (
                "call-exists",
                "The customer is being called already",
                "follow the call of call_id",
            ),
            Self::CapacityExceeded => (
                "capacity-exceeded",
                "No place is free for another call",
                "try again when a call is over; nothing was changed",
            ),
            Self::ChargeSent => (
                "charge-sent",
                "The charge has been sent",
                "wait for its answer, or look at the payment; do not charge again",
            ),
            Self::CodeRequired => (
                "code-required",
                "The second factor is asked for",
                "send the same once more with code: the six digits of the authenticator, or a recovery code",
            ),
            Self::Forbidden => (
                "forbidden",
                "This key or person may not do this",
                "use a key that may, or have the scopes of the key or the role of the person changed",
            ),
            Self::IdempotencyReused => (
                "idempotency-reused",
                "The Idempotency-Key was used for another request",
                "send a new key with a new request, and the old body with the old key",
            ),
            Self::InFlight => (
                "in-flight",
                "The first request of this Idempotency-Key is not answered yet",
                "send it again after Retry-After, with the same key and body",
            ),
            Self::Internal => (
                "internal",
                "Something is wrong on our side",
                "look at what it was about; the same request under the same Idempotency-Key is safe; report the request_id",
            ),
            Self::InvalidRequest => (
                "invalid-request",
                "The request is wrong",
                "change it as detail says; the same one would be refused again",
            ),
            Self::KeyExpired => (
                "key-expired",
                "The key has expired",
                "use the key that was made for it, or have one made: ivrpay key create",
            ),
            Self::Locked => (
                "locked",
                "Nobody may try to sign in for a while",
                "wait as long as Retry-After says, or have an admin run: ivrpay person unlock",
            ),
            Self::NotFound => (
                "not-found",
                "There is no such thing",
                "look at the path, the id and whose key it is",
            ),
            Self::NotInCall => (
                "not-in-call",
                "No call takes the payment now",
                "look at the payment; do it while a call takes it",
            ),
            Self::NotPossible => (
                "not-possible",
                "The state of things does not allow it",
                "do what detail says, or look at the payment",
            ),
            Self::NotWaiting => (
                "not-waiting",
                "The payment does not wait",
                "look at the payment of payment_id",
            ),
            Self::OrderTaken => (
                "order-taken",
                "The order has a payment already",
                "look at the payment of payment_id; declare a part with /v1/orders/split or /v1/orders/additional if one more is meant",
            ),
            Self::RateLimited => (
                "rate-limited",
                "The key asks too often",
                "wait as long as Retry-After says; listen to /v1/events instead of asking again and again",
            ),
            Self::SecondFactorMissing => (
                "second-factor-missing",
                "There is no second factor",
                "have an admin set one up with you: ivrpay person second-factor",
            ),
            Self::SessionEnded => ("session-ended", "The session is over", "sign in again"),
            Self::SignInFailed => (
                "sign-in-failed",
                "Name, password or code is wrong",
                "try again; after ten times nobody of this name may for half an hour",
            ),
            Self::TaskDone => (
                "task-done",
                "The task is done already",
                "look at the task; what it says stands",
            ),
            Self::TaskExists => (
                "task-exists",
                "There is such a task already",
                "close the task of task_id first",
            ),
            Self::TaskTaken => (
                "task-taken",
                "Another person is at the task",
                "ask them, or close it if it is done",
            ),
            Self::TooEarly => (
                "too-early",
                "Nobody can say yet that nothing was charged",
                "try again at the time of detail",
            ),
            Self::TooManyCalls => (
                "too-many-calls",
                "As many customers are being called as may be at once",
                "try again when one call is over",
            ),
            Self::Unauthorized => (
                "unauthorized",
                "No key, or a wrong one",
                "send the header `Authorization: Bearer KEY` with a key of [[http.keys]] or of `ivrpay key`, or a session's token",
            ),
            Self::Unavailable => (
                "unavailable",
                "The service can't take this now",
                "try again after a pause with the same Idempotency-Key: what was done is not done twice",
            ),
        }
    }
}

/// What `GET /v1/events` streams, one JSON object each. Never a digit of a card; of the security code only that the step is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Grows by one for every event of this daemon's life.
    pub seq: u64,
    /// When, RFC 3339.
    pub at: String,
    /// Our id of the call; none for a task.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub call_id: Option<CallId>,
    /// Asterisk's id of the caller's channel; none for a task.
    #[serde(default)]
    pub channel_id: Option<String>,
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
    /// How it is paid back, in the step `confirmation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_plan: Option<String>,
    /// In how many instalments, where it is in some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_plan_count: Option<u8>,
    /// How the call ended.
    #[serde(default)]
    pub result: Option<String>,
    /// `operator` in a call in which he keys the card; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered_by: Option<String>,
    /// The payment of this call or task.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub payment_id: Option<PaymentId>,
    /// The task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub task_id: Option<TaskId>,
    /// What is to be done (`unknown-outcome` ...).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_kind: Option<String>,
}

/// Data of the event `gap` of `GET /v1/events`: something was missed for good. Load how things stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gap {
    /// Why.
    pub why: GapReason,
    /// How many events at most, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
}

/// Why something was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GapReason {
    /// `Last-Event-ID` is of another service, or of an earlier life of this one.
    OtherService,
    /// The listener did not read.
    Slow,
    /// What follows `Last-Event-ID` is no longer kept.
    TooOld,
}

/// Kinds of [`Event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventKind {
    /// The call is over; `result` says how.
    CallEnded,
    /// A channel entered.
    CallStarted,
    /// Asterisk would betray a card: nobody is asked for one; `error` names the danger.
    CaptureRefused,
    /// A customer is being called.
    CustomerCalled,
    /// That call is over; `result` says how.
    CustomerCallEnded,
    /// A key came; `digits` counts.
    Digits,
    /// No key of the caller has come at the first reminder: he is told so, and so is the operator.
    KeysAwaited,
    /// A step was entered or is being asked anew.
    Step,
    /// A person must do something.
    TaskMade,
    /// A task's time is over and it is not done; told once.
    TaskOverdue,
}

/// Answer of `GET /healthz`: the process lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// The loop that takes calls turns.
    pub ok: bool,
    /// Seconds since it last did; it does each second.
    pub main_loop_seconds: u64,
    /// Calls now.
    pub calls: usize,
    /// Most calls at once.
    pub calls_max: usize,
    /// What holds card data: `memfd_secret`, `mlock` or `plain`.
    pub secret_memory: String,
    /// No new call is taken; those that are on go on to their end.
    pub draining: bool,
    /// The daemon is being stopped.
    pub stopping: bool,
}

/// Places of a pool: those that its calls have at this service, and what it was sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pool {
    /// As in `[pools.NAME]`; `rest`: of all that have none.
    pub name: String,
    /// Places that it has at this service.
    pub used: u32,
    /// At other services that share the journal, as this one last heard; 0 of a pool without a limit.
    pub elsewhere: u32,
    /// Kept free for it at each service.
    pub guaranteed: u32,
    /// Most at once, over all services; none where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Whose calls take them.
    pub tenants: Vec<String>,
}

/// Answer of `GET /v1/pools`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pools {
    /// In the order of their names, `rest` last; empty where none is configured.
    pub pools: Vec<Pool>,
}

/// Answer of `GET /readyz`: whether a call could be taken now. States alone, no names and no reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// All of what follows is well.
    pub ready: bool,
    /// The ARI websocket: `connected` or `not connected`.
    pub asterisk: String,
    /// The journal: `writable` or `not writable`.
    pub journal: String,
    /// What is known of the acquirers: `answer`, `some away`, or `away`, with which nobody can pay.
    pub acquirers: String,
    /// `taken`, `draining` or `stopping`.
    pub calls: String,
}

/// Body of `POST /v1/drain` on the Unix socket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartDrain {
    /// How long calls may go on; the configuration's where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_seconds: Option<u64>,
}

/// How far a drain is: answer of `POST /v1/drain` and `GET /v1/drain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drain {
    /// No new call is taken.
    pub draining: bool,
    /// The limit is over, or nothing runs any more: what is left is told to end.
    pub stopping: bool,
    /// Calls that are on, and customers who are being called.
    pub calls: usize,
    /// How long they may go on.
    pub seconds_left: Option<u64>,
}

/// How a drain ended: answer of `GET /v1/drain/end`, when it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drained {
    /// Calls that were told to end, since the limit was over; those before their charge were given back with a sentence.
    pub told_to_end: usize,
    /// Calls that had not ended even so.
    pub left: usize,
    /// The journal has taken all outcomes.
    pub all_written: bool,
}

/// Body of `POST /v1/recordings` on the Unix socket: a recording in which a card was spoken or keyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveRecording {
    /// `deleting` (before the file goes; its task stays open), then `deleted`; or `redacted`.
    pub action: String,
    /// Who did it, 1 to 64 characters.
    pub by: String,
}

/// A recording that holds a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Recording {
    /// Its id.
    pub id: String,
    /// `marked`, `quarantined`, `deleting` (its file may be gone), `deleted` or `redacted`.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Recordings {
    /// The newest first; at most 1,000.
    pub recordings: Vec<Recording>,
}

/// Body of `POST /v1/tasks`: a call that somebody promised to a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromiseCall {
    /// About which payment; else `order_id` says what it is about.
    #[serde(default)]
    pub payment_id: Option<String>,
    /// About which order.
    #[serde(default)]
    pub order_id: Option<String>,
    /// Which number to call; the payment's when absent.
    #[serde(default)]
    pub caller_number: Option<String>,
    /// Who is to call: an operator, or `role:NAME`.
    pub owner: String,
    /// By when, RFC 3339; at most 90 days ahead.
    pub due_at: String,
    /// Why, 1 to 500 characters.
    pub reason: String,
    /// Who promised it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Body of `POST /v1/tasks/{id}/take`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeTask {
    /// Who is at it from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Body of `POST /v1/tasks/{id}/done`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishTask {
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What was done, 1 to 500 characters.
    pub note: String,
    /// Of an unknown outcome, and of nothing else: `charged` or `not-charged`, as the acquirer says.
    #[serde(default)]
    pub found: Option<String>,
    /// The acquirer's reference, where it was charged.
    #[serde(default)]
    pub acquirer_ref: Option<String>,
    /// The issuer's approval code, where it was charged and is known.
    #[serde(default)]
    pub approval_code: Option<String>,
}

/// Body of `POST /v1/payments/{id}/cancel`: ends the call's capture before anything is charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelPayment {
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Body of `POST /v1/calls/{id}/ask`: one field of a live capture is asked anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskField {
    /// Which.
    #[serde(rename = "for")]
    pub field: CaptureField,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What may be asked anew, as steps of `/v1/events` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CaptureField {
    /// 1 = right, 2 = wrong.
    PaymentAmount,
    /// The card's number, and then what follows.
    PaymentCardNumber,
    /// Its expiry, and then what follows.
    ExpirationDate,
    /// Its code, and then what follows.
    SecurityCode,
    /// How it is paid back.
    PaymentPlan,
    /// By the last four.
    Confirmation,
}

impl CaptureField {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::PaymentAmount,
        Self::PaymentCardNumber,
        Self::ExpirationDate,
        Self::SecurityCode,
        Self::PaymentPlan,
        Self::Confirmation,
    ];

    /// By the name of a step.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PaymentAmount => "payment-amount",
            Self::PaymentCardNumber => "payment-card-number",
            Self::ExpirationDate => "expiration-date",
            Self::SecurityCode => "security-code",
            Self::PaymentPlan => "payment-plan",
            Self::Confirmation => "confirmation",
        }
    }
}

/// What the operator does while the customer keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CaptureMode {
    /// He waits apart, with music.
    Hold,
    /// He stays and talks the customer through it; he hears nothing of him.
    Stay,
    /// He stays, and his program says which field is keyed (`POST /v1/calls/{id}/ask`), and when all is charged (`…/complete`). Until the
    /// first field the two talk.
    Led,
}

/// Body of `POST /v1/calls/{id}/switch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchCapture {
    /// `hold` or `stay`.
    pub mode: CaptureMode,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Body of `POST /v1/captures`: the talk of an operator is taken over, as by his pay key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartCapture {
    /// The payment that waits; then amount, currency, order and the rest are its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<String>,
    /// Amount of a new one, in minor units; none for `tokenize` and `verify`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<u64>,
    /// ISO 4217; the tenant's currency when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The merchant's own number of the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// As in `POST /v1/payments`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<names::Transaction>)]
    pub transaction_type: Option<Transaction>,
    /// `ja` or `en`; the tenant's language when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The person who leads the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// How a new one is to be paid back, as in `POST /v1/payments`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_plan: Option<String>,
    /// In how many instalments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_plan_count: Option<u8>,
    /// What a new one is about, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Your own, given back with the payment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// The operator, by his extension: the talk in which he is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_extension: Option<String>,
    /// The operator's channel instead, by its name or its unique id in Asterisk (`PJSIP/201-0000002a`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// What the operator does meanwhile; as the dialplan has it for his key (`IVRPAY_COMPANY`) when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<CaptureMode>,
    /// Who says so; the key's name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A capture that is on now: what somebody knows who has heard all events of its call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Capture {
    /// Our id of the call.
    #[schema(value_type = String, format = "uuid")]
    pub call_id: CallId,
    /// The payment that it takes.
    #[schema(value_type = String, format = "uuid")]
    pub payment_id: PaymentId,
    /// The merchant.
    pub tenant: String,
    /// The merchant's order.
    pub order_id: Option<String>,
    /// Minor units.
    pub amount: u64,
    /// ISO 4217.
    pub currency: String,
    /// `charge`, `authorize`, `tokenize` or `verify`.
    #[schema(value_type = names::Transaction)]
    pub transaction_type: Transaction,
    /// What it is about, as it was announced.
    pub description: Option<String>,
    /// The person who leads it.
    pub operator: Option<String>,
    /// Extension of the operator whose call it is.
    pub operator_extension: Option<String>,
    /// `hold` (he waits apart), `stay` (he stays and hears nothing of the customer), `led` (his program asks for each field), `keys` (he keys the card), `caller` (no operator's leg is
    /// here; he has the customer back), `self-service`.
    pub mode: String,
    /// Nobody is charged.
    pub practice: bool,
    /// Where the call is, as `step` of `/v1/events`.
    pub step: String,
    /// The field that is open, in a pause the one that stands still, where it may be asked anew.
    pub field: Option<String>,
    /// Digits keyed in this field; null for the security code.
    pub digits: Option<u8>,
    /// Attempt at this field, from 1.
    pub attempt: Option<u8>,
    /// What was wrong with the last attempt, or the danger for which no card is asked for.
    pub error: Option<String>,
    /// Until it ends by itself, unless a key comes; null where nothing but an answer ends it.
    pub seconds_left: Option<u64>,
    /// Brand of the card, once its number was keyed.
    #[schema(value_type = Option<names::Brand>)]
    pub brand: Option<Brand>,
    /// Last four digits of that card.
    pub last4: Option<String>,
    /// How it is paid back, where that was asked for or is being confirmed.
    pub payment_plan: Option<String>,
    /// In how many instalments, where it is in some.
    pub payment_plan_count: Option<u8>,
    /// When the capture began, RFC 3339.
    pub began_at: String,
    /// Who keys the card: `caller` or `operator`.
    pub entered_by: String,
}

/// All that can be shown of a payment to somebody who was not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// When it was made, RFC 3339.
    pub made_at: String,
    /// The payment.
    pub payment: Payment,
    /// The caller's number, where it is known.
    pub caller_number: Option<String>,
    /// Version of what was said: `prompt_version` and the prompt's name are its words.
    pub prompt_version: String,
    /// What happened, oldest first; `guarded` says what was seen to while the card was keyed.
    pub story: Vec<StoryEntry>,
    /// What acquirers were asked.
    pub operations: Vec<Operation>,
    /// Receipts that were issued.
    pub receipts: Vec<Receipt>,
    /// The payment's records of the journal.
    pub records: Vec<EvidenceRecord>,
    /// Where the chains of those records end now: `chain-head WRITER RECORDS HASH`.
    pub heads: Vec<String>,
    /// How somebody else checks the hashes.
    pub how_to_check: String,
}

/// One record of the journal, as it was hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceRecord {
    /// Who wrote it.
    pub writer: String,
    /// Its place in that writer's chain.
    pub number: i64,
    /// Which start of that writer.
    pub epoch: i64,
    /// Form of the hashed bytes.
    pub version: i64,
    /// When, UTC milliseconds.
    pub at_ms: i64,
    /// Its operation.
    pub operation_id: Option<String>,
    /// What it is.
    pub kind: String,
    /// What it says: JSON, to the byte.
    pub body: String,
    /// Its hash, in groups of eight.
    pub hash: String,
    /// That of the record before.
    pub before: String,
}

/// Body of `POST /v1/payments/{id}/dispute`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DisputePayment {
    /// Why, 1 to 500 characters on one line.
    pub reason: String,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Body of `POST /v1/payments/{id}/dispute/end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndDispute {
    /// How it ended, 1 to 500 characters on one line.
    pub outcome: String,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What a document is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptKind {
    /// Of what was charged (領収書).
    #[default]
    Receipt,
    /// Of what was given back (返還インボイス).
    Return,
}

/// Language of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptLanguage {
    /// Japanese.
    Ja,
    /// English.
    En,
}

/// Body of `POST /v1/payments/{id}/receipts`. What is not said of one that is issued again is as before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueReceipt {
    /// `receipt` when absent.
    #[serde(default)]
    pub kind: ReceiptKind,
    /// Who gets it (宛名), 1 to 100 characters; 様 is added where no such word ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// What it is for (但し書き), 1 to 100 characters; the merchant's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// What was sold, or given back; their sum is what was charged, or given back. One of the merchant's default rate when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<ReceiptLine>,
    /// The day on which it was sold or delivered, `2026-11-27`, where that is not the day of the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sold_on: Option<String>,
    /// That of the call when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<ReceiptLanguage>,
    /// Who issues it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Something that was sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptLine {
    /// In words, 1 to 100 characters.
    pub description: String,
    /// With its tax, minor units; below zero for a discount.
    pub amount: i64,
    /// Its tax, per cent: `10`, `8`, `0` for what is not taxed.
    pub rate: String,
}

/// All of one rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptTax {
    /// Per cent.
    pub rate: String,
    /// With tax, minor units.
    pub gross: u64,
    /// The tax in it, rounded once; null where the issuer may show none.
    pub tax: Option<u64>,
}

/// A document that was issued; it is never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// Its number: without a gap in each series of a merchant.
    pub number: String,
    /// 1, and more for each time that it was issued again (再発行).
    pub issue: u32,
    /// What it is.
    pub kind: ReceiptKind,
    /// Of which payment.
    #[schema(value_type = String, format = "uuid")]
    pub payment_id: PaymentId,
    /// The merchant's order.
    pub order_id: Option<String>,
    /// With tax, minor units.
    pub amount: u64,
    /// ISO 4217.
    pub currency: String,
    /// When it was issued, RFC 3339.
    pub issued_at: String,
    /// On which day, where the merchant is.
    pub issued_on: String,
    /// On which day it was sold, or given back.
    pub sold_on: String,
    /// Who issued it.
    pub by: String,
    /// Its language.
    pub language: ReceiptLanguage,
    /// Who gets it.
    pub recipient: Option<String>,
    /// What it is for.
    pub purpose: String,
    /// What was sold.
    pub lines: Vec<ReceiptLine>,
    /// By rate.
    pub taxes: Vec<ReceiptTax>,
    /// Of a return: number of the receipt.
    pub original: Option<String>,
    /// No money moved: it says that it is a specimen, and has a number of another series.
    pub test: bool,
    /// SHA-256 of all that it says, as the journal has it.
    pub content_hash: String,
    /// The same as a text, for a message.
    pub text: String,
    /// Where it is: with `Accept: application/pdf` the file.
    pub path: String,
}

/// What was issued of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipts {
    /// Oldest first.
    pub receipts: Vec<Receipt>,
}

/// What happened to a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Story {
    /// Of which.
    #[schema(value_type = String, format = "uuid")]
    pub payment_id: PaymentId,
    /// Oldest first.
    pub entries: Vec<StoryEntry>,
}

/// One thing that happened to a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoryEntry {
    /// When, RFC 3339. Of what was spoken and pressed in a call: as its clock counts from its beginning, to a second or so.
    pub at: String,
    /// Who: a person, `caller`, the name of a connector that has answered, or `ivrpay`.
    pub who: String,
    /// By which door a person came: the name of a key, `admin` for the Unix socket.
    pub via: Option<String>,
    /// What: `created`, `assigned`, `called`, `call-ended`, `claimed`, `guarded`, `spoken`, `pressed`, `cancelled`, `asked` (an acquirer), `progress`, `failed-over`, `answered`,
    /// `settled`, `closed`, `expired`, `contradicted`, `task-made`, `task-taken`, `task-done`, `event`, `event-delivered`, `event-given-up`,
    /// `receipt-issued`, `disputed`, `dispute-ended`, `removed` (its time was over).
    pub what: String,
    /// The rest, as far as there is any.
    pub detail: StoryDetail,
}

/// The rest of a [`StoryEntry`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct StoryDetail {
    /// In English, one line.
    pub text: String,
    /// Where the payment stood behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<names::State>)]
    pub state: Option<State>,
    /// The call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// The operation at an acquirer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// What was asked: `charge`, `authorize`, `capture`, `void`, `refund`, `query`, `tokenize`, `verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<u64>,
    /// Of which connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// Our order number at the acquirer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acquirer_order: Option<String>,
    /// The answer: `approved`, `declined`, `not-charged`, `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The acquirer's reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acquirer_ref: Option<String>,
    /// The issuer's approval code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_code: Option<String>,
    /// Why it was declined, or not charged, or is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The acquirer's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acquirer_code: Option<String>,
    /// Result of a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Step of the call in which a key was pressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The key of a menu: never one of a card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<u8>,
    /// The prompt that was spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// Which kind of task or event it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// What a person wrote, or what went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
}

/// What `ivrpay check` and `ivrpay audit` find, without what needs root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthFindings {
    /// When it was looked, RFC 3339; at most a minute ago.
    pub checked_at: String,
    /// False: not all could be looked at in time.
    pub whole: bool,
    /// The worst first.
    pub findings: Vec<HealthFinding>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthFinding {
    /// Which: `check/RING`, as `ivrpay check` names its rings, or `audit/NAME`, as `ivrpay audit` names its findings.
    pub code: String,
    /// How bad.
    pub severity: HealthSeverity,
    /// What was found.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HealthSeverity {
    /// Calls fail, or a card is at risk.
    Danger,
    /// Works, and somebody should do something.
    Warning,
    /// Worth knowing.
    Note,
    /// As it should be.
    Ok,
}

/// Captures that are on now, of this service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Captures {
    /// Oldest first.
    pub captures: Vec<Capture>,
}

/// Body of `POST /v1/calls/{id}/pause` and `resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaptureWish {
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Their answer: it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CaptureDone {
    /// The payment.
    #[schema(value_type = String, format = "uuid")]
    pub payment_id: PaymentId,
    /// The call that takes it.
    #[schema(value_type = String, format = "uuid")]
    pub call_id: CallId,
}

/// Its answer: the capture is over, what was keyed is wiped, and the caller is being given back; or no call had the payment, and none will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cancelled {
    /// The payment.
    #[schema(value_type = String, format = "uuid")]
    pub payment_id: PaymentId,
    /// The call that took it; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub call_id: Option<CallId>,
    /// How that call, or the payment, ends: `agent-cancelled`.
    pub result: String,
}

/// Body of `POST /v1/payments/{id}/capture`, `change`, `void` and `refund`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Later {
    /// Minor units; all that there is when absent. Of a change, what is to be reserved: it can't be absent.
    #[serde(default)]
    pub amount: Option<u64>,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, for the trail of who did what (`/v1/audit`): one line, 1 to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub reason: Option<String>,
    /// Only say what would be done ([`LaterPlanned`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What would be asked of an acquirer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaterPlanned {
    /// `capture`, `change`, `void` or `refund`.
    pub kind: String,
    /// How much, minor units.
    pub amount: u64,
    /// The same request asked before: this came of it, and nothing would be done.
    #[serde(default)]
    pub before: Option<Operation>,
    /// The payment as it is.
    pub payment: Payment,
}

/// Answer to `GET /v1/payments/expiring`: what is reserved and not taken, that lapses first before others; what nobody knows the end of, last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Expiring {
    /// Those.
    pub payments: Vec<ExpiringPayment>,
}

/// A payment that is reserved and not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExpiringPayment {
    /// Since when.
    pub reserved_at: String,
    /// When it lapses at the acquirer; `None` where `authorisation_days` of its connector is not set, and not known.
    pub lapses_at: Option<String>,
    /// The payment.
    pub payment: Payment,
}

/// Body of `POST /v1/payments/{id}/inquire`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Inquire {
    /// Who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What was asked of an acquirer, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// Its id.
    pub id: String,
    /// `authorize`, `capture`, `change`, `charge`, `refund`, `void`.
    pub kind: String,
    /// `in-flight`, `approved`, `declined`, `not-charged` (it was not done; of a void or refund that means that what was charged stays
    /// charged), or `unknown`: it may have been done.
    pub state: String,
    /// Minor units.
    pub amount: u64,
    /// Of which connector it was asked.
    #[serde(default)]
    pub connector: String,
    /// Our order number at the acquirer.
    pub acquirer_order: String,
    /// The acquirer's reference.
    pub acquirer_ref: Option<String>,
    /// Why it was refused, neutral of the acquirer.
    pub decline_reason: Option<String>,
    /// The acquirer's own code of a refusal.
    pub acquirer_code: Option<String>,
    /// Of `not-charged`, why it was not done: `rejected` (the acquirer refused the request as wrong), `busy`, `not-sent`, `not-arrived`,
    /// `looked-up`, `reversed`.
    #[serde(default)]
    pub why: Option<String>,
    /// What to do about that, in English, where there is something to say.
    #[serde(default)]
    pub hint: Option<String>,
    /// Who asked for it, behind the call.
    pub by: Option<String>,
    /// When its intent was written.
    pub at: String,
}

/// Answer to a capture, void or refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaterDone {
    /// What was asked.
    pub operation: Operation,
    /// The payment after it.
    pub payment: Payment,
}

/// Answer to an inquiry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Inquired {
    /// What was unknown, as it stands now; empty where nothing was.
    pub operations: Vec<Operation>,
    /// The payment after it.
    pub payment: Payment,
}

/// Something that a person must do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: TaskId,
    /// `unknown-outcome`, `acquirer-contradicts`, `approved-caller-gone`, `expiring-authorization`, `promised-call-back`, `unfinished-split` or
    /// `quarantined-recording`.
    pub kind: String,
    /// `open`, `taken` or `done`.
    pub state: String,
    /// The merchant; none where it is about a recording.
    pub tenant: Option<String>,
    /// About which payment.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub payment_id: Option<PaymentId>,
    /// About which order.
    pub order_id: Option<String>,
    /// About which recording.
    pub recording_id: Option<String>,
    /// The customer's number.
    pub caller_number: Option<String>,
    /// Whose it is: an operator, or `role:NAME`.
    pub owner: Option<String>,
    /// By when, RFC 3339.
    pub due_at: String,
    /// Whether that is over and it is not done.
    pub overdue: bool,
    /// Why there is this task.
    pub reason: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// Who promised it.
    pub created_by: Option<String>,
    /// Who is at it.
    pub taken_by: Option<String>,
    /// Since when, RFC 3339.
    pub taken_at: Option<String>,
    /// Who did it.
    pub done_by: Option<String>,
    /// When, RFC 3339.
    pub done_at: Option<String>,
    /// What was done.
    pub note: Option<String>,
}

/// A page of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tasks {
    /// The most urgent first; those that are done, the latest first.
    pub tasks: Vec<Task>,
    /// The parameter `after` of the next page; absent where this is the last.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub next: Option<TaskId>,
}

/// Body of `POST /v1/payments/{id}/operator`: who leads a waiting payment from now on. Both are replaced; what is absent is nobody's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignPayment {
    /// The person.
    #[serde(default)]
    pub operator: Option<String>,
    /// The extension whose call it belongs to.
    #[serde(default)]
    pub operator_extension: Option<String>,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Body of `POST /v1/payments/operator`: the same, for the payment that holds an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignOrder {
    /// The merchant, where the key does not say.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The order.
    pub order_id: String,
    /// Its part, 0 when absent.
    #[serde(default)]
    pub part: u32,
    /// The person.
    #[serde(default)]
    pub operator: Option<String>,
    /// The extension whose call it belongs to.
    #[serde(default)]
    pub operator_extension: Option<String>,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Body of `POST /v1/orders/split`: an order is paid by several cards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitOrder {
    /// The merchant, where the key does not say.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The order.
    pub order_id: String,
    /// What each part costs, minor units: part 0 first.
    pub amounts: Vec<u64>,
    /// ISO 4217; the merchant's when absent.
    #[serde(default)]
    pub currency: Option<String>,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Body of `POST /v1/orders/additional`: an order is paid once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddToOrder {
    /// The merchant, where the key does not say.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The order.
    pub order_id: String,
    /// Minor units.
    pub amount: u64,
    /// ISO 4217; the merchant's when absent.
    #[serde(default)]
    pub currency: Option<String>,
    /// Why.
    pub reason: String,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// An order, and what is paid of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Order {
    /// The merchant.
    pub tenant: String,
    /// The order.
    pub order_id: String,
    /// ISO 4217.
    pub currency: String,
    /// What all parts of a split cost, minor units; null where it is not split.
    pub total: Option<u64>,
    /// What the merchant has, or has reserved, of all its payments, minor units.
    pub paid: u64,
    /// The payment of the whole order, where it is not split: the one that is paid or open, else the last one.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub whole: Option<PaymentId>,
    /// Its declared parts.
    pub parts: Vec<OrderPart>,
}

/// A declared part of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderPart {
    /// Its number: `part` of `POST /v1/payments`.
    pub part: u32,
    /// `split` or `additional`.
    pub kind: String,
    /// What it costs, minor units.
    pub amount: u64,
    /// Why, of an additional one.
    pub reason: Option<String>,
    /// Who declared it.
    pub by: String,
    /// When.
    pub declared_at: String,
    /// Its payment: the one that is paid or open, else the last one.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub payment_id: Option<PaymentId>,
    /// That payment's state.
    #[schema(value_type = Option<names::State>)]
    pub state: Option<State>,
    /// What of it the merchant has, or has reserved, minor units.
    pub paid: u64,
}

/// Body of `POST /v1/calls`: a customer is called about a payment, which waits or is made with the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallCustomer {
    /// The payment that waits; then amount, currency, order and language are its own.
    #[serde(default)]
    pub payment_id: Option<String>,
    /// Amount of a new one, in minor units.
    #[serde(default)]
    pub amount: Option<u64>,
    /// ISO 4217; the tenant's currency when absent.
    #[serde(default)]
    pub currency: Option<String>,
    /// The merchant's own number of the order.
    #[serde(default)]
    pub order_id: Option<String>,
    /// `ja` or `en`; the tenant's language when absent.
    #[serde(default)]
    pub language: Option<String>,
    /// The person who leads the payment.
    #[serde(default)]
    pub operator: Option<String>,
    /// Place or brand of the merchant, for reports.
    #[serde(default)]
    pub site: Option<String>,
    /// How a new one is to be paid back, as in `POST /v1/payments`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_plan: Option<String>,
    /// In how many instalments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_plan_count: Option<u8>,
    /// The customer's number, as the dialplan's context `ivrpay-call` dials it.
    pub to: String,
    /// The number that the customer is shown; the dialplan's when absent.
    #[serde(default)]
    pub from: Option<String>,
    /// `customer` or `operator`.
    pub first: String,
    /// The operator's extension: rung first, or who takes the customer back afterwards.
    #[serde(default)]
    pub operator_extension: Option<String>,
}

/// A customer who is, or was, called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CustomerCall {
    /// Its id; `call_id` of its events.
    #[schema(value_type = String, format = "uuid")]
    pub id: CallId,
    /// The merchant.
    pub tenant: String,
    /// About which payment.
    #[schema(value_type = String, format = "uuid")]
    pub payment_id: PaymentId,
    /// The customer's number.
    pub to: String,
    /// Who is rung first.
    pub first: String,
    /// `on` or `over`.
    pub state: String,
    /// What became of it: `busy`, `no-answer`, `no-key`, `unreachable`, `operator-no-answer`, `talked`, or how the payment's call ended.
    pub result: Option<String>,
    /// When it was asked for, RFC 3339.
    pub created_at: String,
    /// When it was over, RFC 3339.
    pub ended_at: Option<String>,
}

/// An event that a merchant's program is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookEvent {
    /// Its `webhook-id`, the same at each try.
    #[schema(value_type = String, format = "uuid")]
    pub id: EventId,
    /// Whose.
    pub tenant: String,
    /// What it is about.
    #[schema(value_type = String, format = "uuid")]
    pub payment_id: PaymentId,
    /// Its place among the events of the payment, from 1 on.
    pub sequence: i64,
    /// `payment.` and the state.
    pub r#type: String,
    /// `open`, `delivered` or `given-up`.
    pub state: String,
    /// When it happened, RFC 3339.
    pub created_at: String,
    /// Tries until now.
    pub attempts: u32,
    /// When the last one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_at: Option<String>,
    /// What came of it, unless it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it is tried next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<String>,
    /// When the receiver had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<String>,
    /// The payment as it was then.
    pub data: serde_json::Value,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookEvents {
    /// The newest first.
    pub events: Vec<WebhookEvent>,
    /// The parameter `after` of the next page; absent where this is the last.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub next: Option<EventId>,
}

/// Body of `POST /v1/webhooks/test`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestWebhook {
    /// Whose receiver; a tenant's key has one alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestedWebhook {
    /// Whether the receiver answered 2xx.
    pub delivered: bool,
    /// What came of it otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What to do then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
