//! Append, sync and recover payments; SQLite.
//!
//! Begins with [`Journal::open`] at the start of a daemon and ends with [`Journal::stop`]. Owns the journal's file, its lock and the
//! only right to say [`Durable`](ivrpay_payment::Durable): whoever asks an acquirer for money needs a `Durable<Intent>`, and
//! [`Journal::write_intent`] makes one after the intent is synced. Does not know acquirers, calls, HTTP, or any of a card but brand and last four.
//!
//! **What is synced when.** The intent, the outcome and whatever an API caller was told are each one transaction of SQLite's WAL
//! with `synchronous=FULL`. Claims, closings and payments that begin with their call are committed without a sync of their own: a crash of
//! the process loses none of them, a loss of power may lose those since the last sync, and never one before another that was kept (the WAL is one file,
//! read up to its first torn frame). [`Journal::recover`] makes good what such a loss leaves open. So a payment by telephone costs two syncs.

mod accounts;
mod answers;
mod approvals;
mod calls;
mod chain;
mod connectors;
mod db;
mod disputes;
mod error;
mod expiring;
mod inquiries;
mod journal;
mod keys;
mod later;
mod location;
mod notices;
mod outbox;
mod parts;
mod people;
mod places;
#[cfg(feature = "plant")]
pub mod plant;
mod receipts;
mod recordings;
mod rehearsal;
mod retention;
mod scrub;
mod store;
mod tasks;
mod trail;
mod types;

pub use accounts::{ChainHead, Held, Period};
pub use answers::{Begun, GivenAnswer};
pub use approvals::{Approval, ApprovalError, ApprovalFilter, ApprovalState, NewApproval};
pub use connectors::{LiveConnector, Standing};
pub use disputes::Dispute;
pub use error::{
    AssignError, CallError, ClaimError, CreateError, DisputeError, Error, IntentError, LaterError,
    OutcomeError, PartError, ReceiptError, RecordingError, TaskError,
};
pub use expiring::Reserved;
pub use inquiries::{HALF_DONE, LATE_ANSWER, RECOVERY, Unheard, Unknowns};
pub use journal::Journal;
pub use keys::{NewKey, NotRotated, ProgramKey};
pub use location::{Location, Server, ServerError};
pub use notices::Told;
pub use outbox::{Event, EventCount, EventFilter, EventStanding};
pub use parts::Part;
pub use people::{
    BegunSignIn, Known, MayTry, NewPerson, NewSession, Person, PersonChange, PersonError, Proofs,
    Role, SecondProof, Session,
};
pub use places::Places;
pub use receipts::{IssuedReceipt, MadeReceipt, ReceiptOf};
pub use rehearsal::Rehearsal;
pub use retention::{Over, Retained, Terms};
pub use scrub::looks_like_card;
pub use trail::{Deed, DeedFilter, Deeds, Done};
pub use types::{
    About, ApiRequest, Assignment, Attached, Break, By, CalledNow, Claim, Clock, Created,
    CustomerCall, EnteredBy, Filter, First, Found, IntentDraft, Judged, Later, LaterDraft, Match,
    Mode, NewCustomerCall, NewPayment, NewRecording, OpenOptions, Operation, OperationState,
    Origin, PartKind, Payment, Planned, Promise, Record, RecorderPause, Recording, RecordingState,
    Recovered, TRAINING, Task, TaskCount, TaskFilter, TaskKind, TaskNews, TaskRules, TaskState,
    VerifyReport, Which,
};
