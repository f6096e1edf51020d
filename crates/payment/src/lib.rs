//! What a payment is: money, ids, operations, outcomes and the records of a journal.
//!
//! Pure: no clock, no randomness, no I/O. This crate cannot name card data: the most that it knows of a card is
//! [`Truncated`], brand and last four (PCI DSS v4.0.1, 3.4.1 and 3.5.1; one truncation everywhere, FAQ 1117).

mod advice;
mod card_like;
mod durable;
mod ids;
mod inquiry;
mod machine;
mod money;
mod notice;
mod offer;
mod operation;
mod outcome;
mod plan;
pub mod plant;
mod transaction;
mod truncated;

pub use advice::Advice;
pub use card_like::{CARD_LENGTHS, is_card_like};
pub use durable::Durable;
pub use ids::{
    AcquirerOrder, AcquirerRef, ApprovalId, CallId, CardToken, EventId, IdError, IdempotencyKey,
    KeyId, OperationId, OperatorId, OrderId, Owner, PaymentId, PersonId, RecordingId, SiteId,
    TaskId, TenantId,
};
pub use inquiry::{believed_from_ms, inquiry_pause};
pub use machine::{Answer, Asked, Duty, Entry, Illegal, NotAllowed, Open, Standing, Step};
pub use money::{Currency, Money, MoneyError};
pub use notice::{Notice, Noticed, Sum};
pub use offer::{Day, Offer, Offers, Period, PeriodError};
pub use operation::{Intent, OperationKind, Parent, State};
pub use outcome::{Action, Approval, Decline, Doubt, Outcome, Reason, Why};
pub use plan::{Count, Plan, PlanError};
pub use transaction::{StoredCard, Transaction};
pub use truncated::{Brand, Truncated};
