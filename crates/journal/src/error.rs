//! Why the journal refuses, each as a decision that a caller can take.

use std::io;

use sqlx::postgres::PgDatabaseError;

use ivrpay_payment::{CallId, Illegal, Money, OperationKind, OperatorId, PaymentId, State, TaskId};

/// Why the journal could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another connection held the journal longer than the busy time-out. Nothing was written; the same may be tried again.
    #[error("the journal is locked by another process; nothing was written")]
    Busy,
    /// The file is damaged, or is no journal.
    #[error("the journal is damaged: {what}")]
    Corrupt {
        /// What was found.
        what: &'static str,
    },
    /// This daemon may not write any more: what it has left is another one's to make good. It has to be started anew.
    #[error("this daemon may not write the journal any more: {why}")]
    Fenced {
        /// Why.
        why: &'static str,
    },
    /// The disk, or the journal's own limit, is full. Nothing was written.
    #[error("no room is left for the journal; nothing was written")]
    Full,
    /// A bug: what was to be written may not follow on what is written. Nothing was.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// Another daemon writes this journal.
    #[error("the journal is in use by {}", pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")))]
    InUse {
        /// Its process id, when the lock file tells.
        pid: Option<u32>,
    },
    /// The file system failed.
    #[error("the journal's file could not be used")]
    Io {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file or its folder may not be written, or the journal was opened for reading only.
    #[error("the journal cannot be written: read-only")]
    ReadOnly,
    /// The database server's settings, or its version, would break what is promised.
    #[error("{what}")]
    Server {
        /// What was found.
        what: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// The database failed in a way that has no better name here.
    #[error("the journal's database failed")]
    Store {
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
    /// The database is not reached, or the connection to it was lost. Nothing was written.
    #[error("the journal's database is not reached; nothing was written")]
    Unreachable {
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
    /// The connection was lost while a commit was on its way, and the database has not said since what became of it: it may be written, or not.
    #[error("whether the journal has written this is not known")]
    Unsure,
    /// The journal was written by another version of the schema.
    #[error("the journal has schema version {found}; this program knows {known}")]
    Version {
        /// Version of the file.
        found: i64,
        /// Version of this program.
        known: i64,
    },
}

impl Error {
    /// What an operator can do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Busy => {
                "end the program that holds the journal open for writing (a backup, a sqlite3 shell), then try again"
            }
            Self::Corrupt { .. } => {
                "do not start on it and do not delete it: keep the file with its -wal, restore the last backup, and compare with the acquirer's list"
            }
            Self::Fenced { .. } => {
                "start this daemon anew; look why it was away for longer than its lease: a machine that stood still, a network that was cut"
            }
            Self::Full => {
                "free space on the journal's file system; payments are accepted again at once, no restart is needed"
            }
            Self::Illegal(_) => {
                "this is a fault of ivrpay: report it with this text; the payment stays as it was"
            }
            Self::InUse { .. } => {
                "one daemon a file, and one of a name in a database: stop the other one, or give this one its own [journal] path or daemon"
            }
            Self::Io { .. } => {
                "check that the folder of the journal exists and belongs to the service's user"
            }
            Self::ReadOnly => {
                "give the service's user write permission on the journal and its folder, or remount the file system writable"
            }
            Self::Server { hint, .. } => hint,
            Self::Unreachable { .. } => {
                "see that PostgreSQL runs and lets this user in ([journal] url, pg_hba.conf); payments are accepted again at once, no restart is needed"
            }
            Self::Unsure => "this daemon has to be started anew, which makes good what is open",
            Self::Store { .. } => "see the cause; `ivrpay check` reads the whole file",
            Self::Version { found, known } => {
                if *found > *known {
                    "install the newer ivrpay that wrote this journal; an older one must not write it"
                } else {
                    "start the daemon once: it migrates the journal"
                }
            }
        }
    }
}

impl Error {
    /// The task that was to commit is gone, with the process.
    pub(crate) const fn gone() -> Self {
        Self::Unsure
    }

    /// The same for another one whose part was in the same transaction.
    pub(crate) fn again(&self) -> Self {
        let text = |source: &sqlx::Error| sqlx::Error::Protocol(source.to_string());
        match self {
            Self::Busy => Self::Busy,
            Self::Corrupt { what } => Self::Corrupt { what },
            Self::Fenced { why } => Self::Fenced { why },
            Self::Full => Self::Full,
            Self::Illegal(illegal) => Self::Illegal(*illegal),
            Self::InUse { pid } => Self::InUse { pid: *pid },
            Self::Io { source } => Self::Io {
                source: source.kind().into(),
            },
            Self::ReadOnly => Self::ReadOnly,
            Self::Server { what, hint } => Self::Server { what, hint },
            Self::Store { source } => Self::Store {
                source: text(source),
            },
            Self::Unreachable { source } => Self::Unreachable {
                source: text(source),
            },
            Self::Unsure => Self::Unsure,
            Self::Version { found, known } => Self::Version {
                found: *found,
                known: *known,
            },
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(source: sqlx::Error) -> Self {
        match &source {
            sqlx::Error::Database(error) => {
                let code = error.code();
                // Of the connection, shut down by somebody, stood still for too long.
                let is_gone = |code: &str| {
                    code.len() == 5
                        && (code.starts_with("08") || code.starts_with("57P") || code == "25P03")
                };
                if code.as_deref().is_some_and(is_gone) {
                    return Self::Unreachable { source };
                }
                let named = match error.try_downcast_ref::<PgDatabaseError>() {
                    Some(error) => Self::of_postgres(error.code()),
                    None => code.and_then(|code| Self::of_sqlite(code.parse().ok()?)),
                };
                named.unwrap_or(Self::Store { source })
            }
            // SQLite's are of the database.
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) => Self::Unreachable { source },
            sqlx::Error::PoolTimedOut => Self::Busy,
            _ => Self::Store { source },
        }
    }
}

impl Error {
    /// Primary result codes: the low byte of an extended one (sqlite.org/rescode.html).
    const fn of_sqlite(code: u32) -> Option<Self> {
        Some(match code & 0xff {
            5 | 6 => Self::Busy,
            8 => Self::ReadOnly,
            11 => Self::Corrupt {
                what: "SQLite found a malformed page (SQLITE_CORRUPT)",
            },
            13 => Self::Full,
            26 => Self::Corrupt {
                what: "the file is not a SQLite database (SQLITE_NOTADB)",
            },
            _ => return None,
        })
    }

    /// Codes of PostgreSQL (appendix A of its manual).
    fn of_postgres(code: &str) -> Option<Self> {
        Some(match code {
            // lock_not_available, query_canceled, deadlock_detected, serialization_failure, too_many_connections
            "55P03" | "57014" | "40P01" | "40001" | "53300" => Self::Busy,
            "53100" => Self::Full,
            "25006" | "42501" => Self::ReadOnly,
            // undefined_table: of the list of migrations
            "42P01" => Self::Version { found: 0, known: 0 },
            "XX001" | "XX002" => Self::Corrupt {
                what: "PostgreSQL found a damaged page or index",
            },
            _ => return None,
        })
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io { source },
        }
    }
}

/// Why a payment was not created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// A field looks like a card number, which is never stored (PCI DSS v4.0.1, 3.3.1).
    #[error("{field} looks like a card number or is too long")]
    Field {
        /// Which field.
        field: &'static str,
    },
    /// The same `Idempotency-Key` came before with another request.
    #[error("the idempotency key was used before for another request (payment {payment_id})")]
    IdempotencyReused {
        /// The payment of the first request.
        payment_id: PaymentId,
    },
    /// Only a declared part of an order has a lock of its own.
    #[error("part {part} of this order was not declared; the whole order is part 0")]
    PartNotDeclared {
        /// The part.
        part: u32,
    },
    /// Another amount was declared for this part.
    #[error("part {part} of this order is declared with {} {}", amount.minor(), amount.currency().code())]
    PartDiffers {
        /// The part.
        part: u32,
        /// Its amount.
        amount: Money,
    },
    /// The order (part) has a payment that is waiting, in flight, unknown or approved.
    #[error("the order already has payment {payment_id}, which is {}", state.name())]
    OrderTaken {
        /// That payment.
        payment_id: PaymentId,
        /// Its state.
        state: State,
    },
    /// The journal itself.
    #[error(transparent)]
    Journal(#[from] Error),
}

/// Why no part of an order was declared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// Too few, or too many.
    #[error("an order is split into 2 to {max} parts", max = crate::Part::MAX)]
    Count,
    /// They differ.
    #[error("all parts of an order are in one currency")]
    Currency,
    /// The order has other parts.
    #[error("the order has other parts already; those stand")]
    Declared,
    /// There is nothing that it would be additional to.
    #[error("the order has no payment yet: an additional one needs a first one")]
    NotPaid,
    /// The whole order has a payment, or had one that is paid.
    #[error("the whole order has payment {payment_id}, which is {}: cancel it before the order is split", state.name())]
    OrderTaken {
        /// That payment.
        payment_id: PaymentId,
        /// Its state.
        state: State,
    },
    /// It can't be kept.
    #[error(
        "reason: 1 to {max} characters on one line, and no row of digits that looks like a card number",
        max = crate::Part::REASON_MAX
    )]
    Reason,
    /// More than a payment may be.
    #[error("the parts are more than {max} minor units together", max = ivrpay_payment::Money::MAX)]
    Total,
    /// The journal itself.
    #[error(transparent)]
    Journal(#[from] Error),
}

/// Why a payment was not claimed for a call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// No such payment.
    #[error("no such payment")]
    NotFound,
    /// It is not waiting (any more).
    #[error("the payment is {}, not waiting", state.name())]
    NotWaiting {
        /// Its state.
        state: State,
    },
    /// Another call works on it.
    #[error("another call works on this payment")]
    Taken,
    /// The journal itself.
    #[error(transparent)]
    Journal(#[from] Error),
}

/// Why no intent was written. Nothing may be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntentError {
    /// Amount or currency differ from the payment's (I7).
    #[error("the amount differs from the payment's")]
    AmountDiffers,
    /// Its connector was named, and is another one; or practice would be charged, or a real payment practised.
    #[error("the payment can't go through this connector")]
    Connector,
    /// The payment has no stored card, or another one.
    #[error("the payment has no such stored card")]
    NotStored,
    /// No call of this process holds the payment.
    #[error("no call of this process has claimed the payment")]
    NotClaimed,
    /// No such payment.
    #[error("no such payment")]
    NotFound,
    /// An earlier attempt is not answered yet, or the payment is over: another card now could charge twice (I4, I6).
    #[error("the payment is {}, not waiting", state.name())]
    NotWaiting {
        /// Its state.
        state: State,
    },
    /// Another payment of the order is waiting, in flight, unknown or approved.
    #[error("another payment holds the order")]
    OrderTaken,
    /// The journal itself.
    #[error(transparent)]
    Journal(#[from] Error),
}

/// Why a capture, void, refund or query was not written. Nothing was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaterError {
    /// Nothing, or more than there is.
    #[error("there are {left} minor units left for that")]
    Amount {
        /// What is left.
        left: u64,
    },
    /// Taken already.
    #[error("the payment is captured already")]
    Captured,
    /// Something else was done since it was judged whether this may be.
    #[error("the payment has changed since it was looked at: look again, and ask anew")]
    Changed,
    /// Another request had this key.
    #[error("another request was sent under this Idempotency-Key")]
    IdempotencyReused,
    /// What the issuer may have given back already is not given back once more.
    #[error(
        "the payment is disputed: it is neither voided, refunded nor changed until that is over"
    )]
    Disputed,
    /// The key holds what could be a card number.
    #[error("the Idempotency-Key holds what could be a card number")]
    Key,
    /// No later operation.
    #[error("behind the call there is capture, change, void and refund")]
    Kind,
    /// A change to nothing, or to what is reserved already.
    #[error("{reserved} minor units are reserved: name another amount")]
    NoChange {
        /// What is reserved.
        reserved: u64,
    },
    /// Only approved payments are captured, voided, refunded.
    #[error("the payment is {}, not approved", state.name())]
    NotApproved {
        /// Its state.
        state: State,
    },
    /// Nothing was taken that could be given back.
    #[error("the payment is authorised and not captured: void it")]
    NotCaptured,
    /// The card was stored or checked.
    #[error("nothing was charged: the card was stored or checked")]
    NoMoney,
    /// No such payment or operation.
    #[error("no such payment")]
    NotFound,
    /// One before it is not answered, or its answer is not known.
    #[error("a {} before it is not answered yet, or not known: inquire, or close its task first", kind.name())]
    Open {
        /// Which.
        kind: OperationKind,
    },
    /// A part was given back: what is left can't be voided.
    #[error("a part of the payment is refunded: refund the rest")]
    Refunded,
    /// The service would release what a person sees to.
    #[error("a person has taken its task")]
    Taken,
    /// A void is of the whole.
    #[error("a void is of the whole amount: refund a part, or capture less")]
    WholeOnly,
    /// The journal itself.
    #[error(transparent)]
    Journal(#[from] Error),
}

/// Why no receipt was issued.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError<E> {
    /// No such payment.
    #[error("no such payment")]
    NotFound,
    /// Its maker says why.
    #[error("refused")]
    Refused(E),
    /// The journal itself.
    #[error(transparent)]
    Journal(#[from] Error),
}

/// Why a dispute was not kept, or not ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DisputeError {
    /// Somebody said so before.
    #[error("the payment is disputed already: {by} said so")]
    Disputed {
        /// Who.
        by: OperatorId,
    },
    /// Nothing was charged.
    #[error("the payment is {}: nothing was charged that could be disputed", state.name())]
    NotCharged {
        /// Its state.
        state: State,
    },
    /// It is not.
    #[error("the payment is not disputed")]
    NotDisputed,
    /// No such payment.
    #[error("no such payment")]
    NotFound,
    /// A text that is none.
    #[error("1 to {max} characters on one line, and nothing that could be a card number", max = crate::Task::NOTE_MAX)]
    Text,
    /// The journal itself.
    #[error(transparent)]
    Journal(#[from] Error),
}

/// Why an outcome was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutcomeError {
    /// This operation has its outcome; the first stands.
    #[error("the operation already has an outcome")]
    AlreadyWritten,
    /// No such operation.
    #[error("no such operation")]
    NotFound,
    /// Nobody can say yet that it was not charged: the acquirer may still be at it.
    #[error("it is too early to say that nothing was charged")]
    TooEarly {
        /// From when on it can be said, UTC milliseconds.
        sure_ms: i64,
    },
    /// The journal itself. The operation stays in flight; `recover` makes it unknown, never charged again.
    #[error(transparent)]
    Journal(#[from] Error),
}

/// Why a recording could not be marked or resolved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// A text is empty or too long.
    #[error("{field} is empty, too long or not one that can be")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// No such recording.
    #[error("no such recording")]
    NotFound,
    /// It was resolved before; that stands.
    #[error("the recording is resolved already")]
    Resolved,
    /// The journal itself.
    #[error(transparent)]
    Journal(#[from] Error),
}

/// Why a task was not made, taken or closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// It is done already; that stands.
    #[error("the task is done already")]
    Done,
    /// The payment, or the order, has such a task that is to be done.
    #[error("a call back is promised already by task {task_id}")]
    Exists {
        /// That task.
        task_id: TaskId,
    },
    /// A field can't be kept.
    #[error("{field}: {wants}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it must be.
        wants: &'static str,
    },
    /// What was found out belongs to an unknown outcome alone.
    #[error("only a task of an unknown outcome takes what was found out")]
    NothingToFind,
    /// No such task.
    #[error("no such task")]
    NotFound,
    /// An unknown outcome is over when it is known.
    #[error(
        "the outcome is unknown: the task takes what was found out at the acquirer, charged or not-charged"
    )]
    NotFoundOut,
    /// No such payment.
    #[error("no such payment")]
    PaymentNotFound,
    /// A recording is deleted or redacted; that closes its task.
    #[error("the task of a recording is closed by saying what became of it")]
    Recording,
    /// Another person is at it.
    #[error("the task is taken by {by}")]
    Taken {
        /// Who.
        by: OperatorId,
    },
    /// The acquirer may still charge, or say that it did.
    #[error("it is too early to say that nothing was charged")]
    TooEarly {
        /// From when on it can be said, UTC milliseconds.
        sure_ms: i64,
    },
    /// The journal itself.
    #[error(transparent)]
    Journal(#[from] Error),
}

/// Why a payment was not given to another operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssignError {
    /// Neither person nor extension, or an extension that can't be one.
    #[error("{field}: {wants}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it must be.
        wants: &'static str,
    },
    /// A call works on it.
    #[error("the payment is in a call")]
    InCall {
        /// Which.
        payment_id: PaymentId,
    },
    /// No such payment, or none that holds the order.
    #[error("no such payment")]
    NotFound,
    /// It is not waiting (any more).
    #[error("the payment is {}, not waiting", state.name())]
    NotWaiting {
        /// Which.
        payment_id: PaymentId,
        /// Its state.
        state: State,
    },
    /// The journal itself.
    #[error(transparent)]
    Journal(#[from] Error),
}

/// Why a customer is not called.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The same key came with another request.
    #[error("this Idempotency-Key was used for another call")]
    IdempotencyReused,
    /// A call works on the payment.
    #[error("the payment is in a call")]
    InCall {
        /// Which.
        payment_id: PaymentId,
    },
    /// No such payment.
    #[error("no such payment")]
    NotFound,
    /// It is not waiting (any more).
    #[error("the payment is {}, not waiting", state.name())]
    NotWaiting {
        /// Which.
        payment_id: PaymentId,
        /// Its state.
        state: State,
    },
    /// The customer is being called about it already.
    #[error("a call about this payment is on")]
    OnAlready {
        /// Which.
        call: CallId,
    },
    /// The payment that is to be made with the call can't be.
    #[error(transparent)]
    Payment(CreateError),
    /// As many as may be are on.
    #[error("{at_once_max} calls to customers are on, which is the most at once")]
    TooMany {
        /// The limit.
        at_once_max: u32,
    },
    /// The journal itself.
    #[error(transparent)]
    Journal(#[from] Error),
}

macro_rules! hints {
    ($($error:ident),*) => {$(
        impl $error {
            /// What an operator can do, when the journal itself is to blame.
            #[must_use]
            pub const fn hint(&self) -> Option<&'static str> {
                match self {
                    Self::Journal(error) => Some(error.hint()),
                    _ => None,
                }
            }
        }

        impl From<sqlx::Error> for $error {
            fn from(source: sqlx::Error) -> Self {
                Self::Journal(source.into())
            }
        }
    )*};
}

hints!(
    AssignError,
    CallError,
    CreateError,
    ClaimError,
    IntentError,
    OutcomeError,
    RecordingError,
    TaskError
);
