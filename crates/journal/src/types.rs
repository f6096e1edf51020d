//! What goes into the journal and what comes out of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ivrpay_payment::{
    AcquirerOrder, AcquirerRef, Asked, CallId, Durable, Entry, IdempotencyKey, Illegal, Intent,
    Money, Open, OperationId, OperationKind, OperatorId, OrderId, Outcome, Owner, PaymentId, Plan,
    RecordingId, SiteId, Standing, State, Step, StoredCard, TaskId, TenantId, Transaction,
    Truncated,
};
use serde::{Serialize, Serializer};

use crate::disputes::Dispute;

/// UTC milliseconds since 1970, injected so that tests and simulations own the time.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Milliseconds since now by the machine's own count.
fn steady() -> Clock {
    let began = std::time::Instant::now();
    Arc::new(move || i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX))
}

/// How a journal is opened for writing.
#[derive(Clone)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Name of this daemon in the journal (`[a-z0-9-]`, at most 64 bytes); its records form one chain.
    pub writer: String,
    /// The clock; the system's by default.
    pub clock: Clock,
    /// Milliseconds that nobody sets, since any time: how far the clock has jumped ahead is told by it. Without it a clock is believed.
    pub steady: Option<Clock>,
    /// How long a locked database is waited for; 5 s by default.
    pub busy_timeout: Duration,
    /// On PostgreSQL: how long this daemon counts as alive that says nothing, before another one takes over what it has left; 15 s by default.
    pub lease: Duration,
    /// By when tasks are due, and whose they are, by merchant; [`TaskRules::default`] for one that is not in it.
    pub task_rules: BTreeMap<TenantId, TaskRules>,
    /// Largest size of the file in pages of 4 KiB; none by default, so that only the disk is a limit.
    pub max_pages: Option<u32>,
}

impl OpenOptions {
    /// The defaults, for a daemon of this name.
    #[must_use]
    pub fn new(writer: impl Into<String>) -> Self {
        Self {
            writer: writer.into(),
            clock: Arc::new(|| jiff::Timestamp::now().as_millisecond()),
            steady: Some(steady()),
            busy_timeout: Duration::from_secs(5),
            lease: Duration::from_secs(15),
            task_rules: BTreeMap::new(),
            max_pages: None,
        }
    }
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("writer", &self.writer)
            .field("busy_timeout", &self.busy_timeout)
            .field("lease", &self.lease)
            .field("task_rules", &self.task_rules)
            .field("max_pages", &self.max_pages)
            .finish_non_exhaustive()
    }
}

/// Tasks that come of a merchant's payments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRules {
    /// From the moment that an outcome is unknown until it has to be known; 24 h by default.
    pub unknown_outcome_due: Duration,
    /// From the end of a call whose caller did not hear the approval until he has been told; 4 h by default.
    pub approved_caller_gone_due: Duration,
    /// Whose they are where the payment has no operator; nobody's in particular when `None`.
    pub owner: Option<Owner>,
    /// An approval that neither caller nor operator knows of is released again, beside the task; kept otherwise, which is the default.
    pub release_unheard: bool,
}

impl Default for TaskRules {
    fn default() -> Self {
        Self {
            unknown_outcome_due: Duration::from_secs(24 * 3600),
            approved_caller_gone_due: Duration::from_secs(4 * 3600),
            owner: None,
            release_unheard: false,
        }
    }
}

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),*
        }

        impl $name {
            /// Each of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Spelling in the journal and the API.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// Reads that spelling.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

names!(
    /// Whether money can move.
    Mode {
        /// Real money.
        Live = "live",
        /// A test connector or an acquirer's test account.
        Test = "test",
    }
);
names!(
    /// Where a payment came from.
    Origin {
        /// `POST /v1/payments`: outlives a call that failed, until it expires.
        Api = "api",
        /// An operator's keys, before he transfers the caller: as one by API, and withdrawn when he keys the next.
        Desk = "desk",
        /// The dialplan's arguments: ends with its call.
        Dialplan = "dialplan",
    }
);
names!(
    /// Who keys the card.
    EnteredBy {
        /// The customer.
        Caller = "caller",
        /// The operator, for a caller who cannot key (in PCI scope).
        Operator = "operator",
    }
);
names!(
    /// State of an operation.
    OperationState {
        /// Intent written, no outcome yet.
        InFlight = "in-flight",
        /// The acquirer said yes.
        Approved = "approved",
        /// The acquirer or issuer said no.
        Declined = "declined",
        /// Nothing was charged, the card is not to blame.
        NotCharged = "not-charged",
        /// It may have been charged.
        Unknown = "unknown",
    }
);
names!(
    /// Why an order has a part.
    PartKind {
        /// Once more than the whole: delivery, something forgotten. A person says why.
        Additional = "additional",
        /// The whole order is paid by several cards, and this is what one of them pays.
        Split = "split",
    }
);
names!(
    /// What a person must do.
    TaskKind {
        /// Look at the acquirer: it says something else of an operation than what stands here.
        AcquirerContradicts = "acquirer-contradicts",
        /// Call the customer back: the payment is approved, and he may not have heard so.
        ApprovedCallerGone = "approved-caller-gone",
        /// Take or release what is reserved, before it lapses.
        ExpiringAuthorisation = "expiring-authorization",
        /// Call the customer back, as somebody promised.
        PromisedCallBack = "promised-call-back",
        /// Delete or redact a recording in which a card was spoken or keyed (PCI DSS v4.0.1, 12.10.7).
        QuarantinedRecording = "quarantined-recording",
        /// Take the rest of an order of which some parts are paid, or keep or release those.
        UnfinishedSplit = "unfinished-split",
        /// Find out at the acquirer what became of an operation; never send it again.
        UnknownOutcome = "unknown-outcome",
    }
);
names!(
    /// Where a task stands.
    TaskState {
        /// A person did it.
        Done = "done",
        /// Nobody is at it.
        Open = "open",
        /// A person is at it.
        Taken = "taken",
    }
);
names!(
    /// Where a recording that holds a card stands.
    RecordingState {
        /// Known, its file still where it was.
        Marked = "marked",
        /// Its file lies in quarantine.
        Quarantined = "quarantined",
        /// Its file is gone.
        Deleted = "deleted",
        /// The card was taken out of it.
        Redacted = "redacted",
    }
);

/// The `Idempotency-Key` of an API call and the hash of what was asked under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRequest {
    /// The key as the client sent it; only its SHA-256 is stored.
    pub key: String,
    /// SHA-256 of the request.
    pub hash: [u8; 32],
}

/// What the merchant's system says of a payment, for its people and for itself. No acquirer gets any of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Attached {
    /// In words.
    pub description: Option<String>,
    /// Given back as they came, by name.
    pub parameters: BTreeMap<String, String>,
}

impl Attached {
    /// Longest description, characters.
    pub const DESCRIPTION_MAX: usize = 200;
    /// Most parameters.
    pub const PARAMETERS_MAX: usize = 20;
    /// Longest name of one, characters.
    pub const NAME_MAX: usize = 40;
    /// Longest value of one, characters.
    pub const VALUE_MAX: usize = 500;
}

/// A payment to be created.
#[derive(Debug, Clone)]
pub struct NewPayment {
    /// The merchant.
    pub tenant: TenantId,
    /// The merchant's order; without one nothing is locked.
    pub order: Option<OrderId>,
    /// Part of the order; 0 unless a split or an additional payment was declared. A part that was not is refused: it would be a
    /// way around the order's lock.
    pub part: u32,
    /// The person who leads the payment.
    pub operator: Option<OperatorId>,
    /// Place or brand of the merchant.
    pub site: Option<SiteId>,
    /// How much.
    pub amount: Money,
    /// How it is to be paid back; `None`: the caller chooses of what is offered.
    pub asked_plan: Option<Plan>,
    /// Live or test.
    pub mode: Mode,
    /// Name of the connector; the merchant's routes may choose another one, unless it was named.
    pub connector: String,
    /// Whether whoever announces the payment has named its connector: it goes there and nowhere else.
    pub connector_named: bool,
    /// Language of the prompts.
    pub language: String,
    /// Version of the prompts.
    pub prompt_version: String,
    /// API or dialplan.
    pub origin: Origin,
    /// Who keys the card.
    pub entered_by: EnteredBy,
    /// When it stops waiting for a call; `None` for one that begins with its call.
    pub expires_ms: Option<i64>,
    /// Matched to the call that this extension brings.
    pub operator_extension: Option<String>,
    /// Matched to the call from this number.
    pub caller_number: Option<String>,
    /// The API call, so that the same one makes one payment.
    pub request: Option<ApiRequest>,
    /// What it is for.
    pub transaction: Transaction,
    /// The card that is charged where the caller agrees, instead of one that he keys.
    pub stored: Option<StoredCard>,
    /// What the merchant's system says of it.
    pub attached: Attached,
}

names!(
    /// Who is rung first.
    First {
        /// The customer, who is then led by us.
        Customer = "customer",
        /// The operator, who then talks with the customer and presses his pay key.
        Operator = "operator",
    }
);

/// A customer who is to be called.
#[derive(Debug, Clone)]
pub struct NewCustomerCall {
    /// The merchant.
    pub tenant: TenantId,
    /// About which payment.
    pub about: About,
    /// Number of the customer.
    pub number: String,
    /// Who is rung first.
    pub first: First,
    /// The API call, so that the same one calls once.
    pub request: Option<ApiRequest>,
    /// Calls at once of this merchant.
    pub at_once_max: u32,
}

/// What a customer is called about.
#[derive(Debug, Clone)]
pub enum About {
    /// A payment that waits.
    Payment(PaymentId),
    /// One that is made with the call.
    New(Box<NewPayment>),
}

/// What `call_customer` found or kept.
#[derive(Debug, Clone, PartialEq)]
pub enum CalledNow {
    /// To be called now.
    New(CustomerCall, Box<Payment>),
    /// The same request came before: nobody is called again.
    Before(CustomerCall),
}

/// A customer who is, or was, called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerCall {
    /// Its id; that of the payment's call too.
    pub id: CallId,
    /// The merchant.
    pub tenant: TenantId,
    /// About which payment.
    pub payment: PaymentId,
    /// Number of the customer.
    pub number: String,
    /// Who is rung first.
    pub first: First,
    /// What became of it (`busy`, `no-answer`, a result of a payment's call …); `None` while it is on.
    pub result: Option<String>,
    /// When it was asked for, UTC milliseconds.
    pub created_ms: i64,
    /// When it was over.
    pub ended_ms: Option<i64>,
}

/// What `create` found or made.
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// A payment was created.
    New(Payment),
    /// The same request came before; this is its payment.
    Existing(Payment),
}

impl Created {
    /// The payment, new or not.
    #[must_use]
    pub fn payment(&self) -> &Payment {
        match self {
            Self::New(payment) | Self::Existing(payment) => payment,
        }
    }
}

/// A payment as the journal knows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the same names as in NewPayment")]
pub struct Payment {
    pub id: PaymentId,
    pub tenant: TenantId,
    pub order: Option<OrderId>,
    pub part: u32,
    pub operator: Option<OperatorId>,
    pub site: Option<SiteId>,
    pub amount: Money,
    pub state: State,
    pub mode: Mode,
    /// The connector of its last operation; until there is one, the first that may be asked.
    pub connector: String,
    pub connector_named: bool,
    pub language: String,
    pub prompt_version: String,
    pub origin: Origin,
    pub entered_by: EnteredBy,
    pub operator_extension: Option<String>,
    pub caller_number: Option<String>,
    pub created_ms: i64,
    pub expires_ms: Option<i64>,
    /// Last change, UTC milliseconds.
    pub updated_ms: i64,
    /// The number that a caller without an operator is told, at most eight digits; `None` for one of an older version.
    pub reference: Option<u32>,
    /// Brand and last four of the card of the last operation.
    #[serde(serialize_with = "card")]
    pub card: Option<Truncated>,
    /// The issuer's approval code.
    pub approval_code: Option<String>,
    /// The acquirer's reference.
    pub acquirer_ref: Option<AcquirerRef>,
    /// Neutral reason of the last decline (`insufficient_funds` ...).
    pub decline_reason: Option<String>,
    /// Result of the last call (`success`, `payment-connector-error` ...).
    pub result: Option<String>,
    /// What was spoken and pressed in the last call: prompt names, amounts, menu keys.
    pub evidence: Option<serde_json::Value>,
    /// The call that works on it.
    pub call: Option<CallId>,
    /// How it is to be paid back, where that was settled before the call.
    pub asked_plan: Option<Plan>,
    /// How it is paid back, by the last card that was sent.
    pub plan: Plan,
    /// What is reserved instead of [`Self::amount`], where that was changed before anything was taken, minor units.
    pub reserved_minor: Option<u64>,
    /// What of it has been taken, minor units; `None` for nothing: waiting, or authorised alone.
    pub captured_minor: Option<u64>,
    /// What of that has been given back, minor units.
    pub refunded_minor: u64,
    /// What it is for.
    pub transaction: Transaction,
    /// The card that is charged where the caller agrees.
    #[serde(serialize_with = "stored")]
    pub stored: Option<StoredCard>,
    /// What the merchant's system says of it.
    pub attached: Attached,
    /// That it is disputed.
    pub disputed: Option<Dispute>,
}

impl Payment {
    /// Where it stands for what may follow. `open`: what was asked behind the call and has no known outcome, where that matters.
    pub(crate) fn standing(&self, open: Option<Open>) -> Standing {
        Standing {
            state: self.state,
            transaction: self.transaction,
            amount: self.amount.minor(),
            reserved: self.reserved_minor,
            captured: self.captured_minor,
            refunded: self.refunded_minor,
            in_call: self.call.is_some(),
            refused: self.decline_reason.is_some(),
            open,
        }
    }

    /// Takes it on by what is about to be written.
    pub(crate) fn advance(&mut self, open: Option<Open>, entry: Entry) -> Result<Step, Illegal> {
        let step = self.standing(open).after(entry)?;
        self.state = step.standing.state;
        self.reserved_minor = step.standing.reserved;
        self.captured_minor = step.standing.captured;
        self.refunded_minor = step.standing.refunded;
        Ok(step)
    }

    /// The acquirer's name for the card: of one that was stored by this payment, else of the one that it charges.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        if self.transaction == Transaction::Tokenise {
            let stored = self.acquirer_ref.as_ref();
            return stored.map(AcquirerRef::as_str);
        }
        self.stored.as_ref().map(|stored| stored.token.as_str())
    }
}

impl Operation {
    pub(crate) fn asked(&self) -> Asked {
        Asked {
            kind: self.kind,
            amount: self.amount.minor(),
        }
    }

    /// Where it is a capture, a void or a refund without a known outcome.
    pub(crate) fn open(&self) -> Option<Open> {
        let unknown = match self.state {
            OperationState::InFlight => false,
            OperationState::Unknown => true,
            _ => return None,
        };
        let moves = self.kind.is_later() && self.kind != OperationKind::Query;
        moves.then_some(Open {
            asked: self.asked(),
            unknown,
        })
    }
}

/// An operation as the journal knows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// Its payment.
    pub payment: PaymentId,
    /// Of which connector it was asked.
    pub connector: String,
    /// The one that it is about: what is captured, voided, refunded or asked about.
    pub parent: Option<OperationId>,
    /// Who asked for it, behind the call.
    pub by: Option<String>,
    /// How far it had come before its last request: the acquirer's references.
    pub progress: Option<serde_json::Value>,
    /// What was asked.
    #[serde(serialize_with = "kind")]
    pub kind: OperationKind,
    /// How much.
    pub amount: Money,
    /// What the acquirer de-duplicates by.
    pub idempotency_key: IdempotencyKey,
    /// Our order number at the acquirer, 17 digits.
    #[serde(serialize_with = "acquirer_order")]
    pub acquirer_order: AcquirerOrder,
    /// Where it stands.
    pub state: OperationState,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// Brand and last four.
    #[serde(serialize_with = "some_card")]
    pub card: Truncated,
    /// Intent written, UTC milliseconds.
    pub created_ms: i64,
    /// Last change, UTC milliseconds.
    pub updated_ms: i64,
}

/// One entry of the append-only part.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Record {
    /// Place in the journal.
    pub sequence: i64,
    /// Its payment.
    pub payment: Option<PaymentId>,
    /// Its operation.
    pub operation: Option<OperationId>,
    /// `created`, `claimed`, `intent`, `outcome`, `closed`, `expired`, `settled`, `assigned`, `task` ...
    pub kind: String,
    /// What it says, with the payment's state after it.
    pub body: serde_json::Value,
    /// Who wrote it.
    pub writer: String,
    /// Its place in the writer's chain, from 1 on.
    #[serde(skip)]
    pub number: i64,
    /// Which start of that writer.
    pub epoch: i64,
    /// Form of the hashed bytes.
    #[serde(skip)]
    pub version: i64,
    /// When, UTC milliseconds.
    pub at_ms: i64,
    /// The body as it was hashed.
    #[serde(skip)]
    pub text: String,
    /// The hash of the record, and of all before it of the same writer by that.
    #[serde(skip)]
    pub hash: [u8; 32],
    /// The hash of the record before.
    #[serde(skip)]
    pub before: [u8; 32],
}

/// Something that a person must do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What.
    pub kind: TaskKind,
    /// Where it stands.
    pub state: TaskState,
    /// The merchant; `None` where it is about a recording.
    pub tenant: Option<TenantId>,
    /// About which payment; `None` where it is about a recording, or about an order that has none.
    pub payment: Option<PaymentId>,
    /// About which operation.
    pub operation: Option<OperationId>,
    /// About which recording.
    pub recording: Option<RecordingId>,
    /// About which order.
    pub order: Option<OrderId>,
    /// The customer's number, as the payment has it or as it was promised.
    pub caller_number: Option<String>,
    /// Whose it is; nobody's in particular when `None`.
    pub owner: Option<Owner>,
    /// By when, UTC milliseconds.
    pub due_ms: i64,
    /// Why there is this task.
    pub reason: String,
    /// When it was made, UTC milliseconds.
    pub created_ms: i64,
    /// Who promised it; `None` for one that the journal made.
    pub created_by: Option<OperatorId>,
    /// Who is at it.
    pub taken_by: Option<OperatorId>,
    /// Since when, UTC milliseconds.
    pub taken_ms: Option<i64>,
    /// Who did it: a person, or what found the outcome.
    pub done_by: Option<String>,
    /// When, UTC milliseconds.
    pub done_ms: Option<i64>,
    /// What the person wrote.
    pub note: Option<String>,
}

/// A person who does something, and by which door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// The person.
    pub person: OperatorId,
    /// Name of the API key, or `admin` for the Unix socket: who vouches for the person.
    pub via: String,
}

/// A call that somebody promised to a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The merchant.
    pub tenant: TenantId,
    /// About which payment; else about `order`.
    pub payment: Option<PaymentId>,
    /// About which order, where there is no payment.
    pub order: Option<OrderId>,
    /// Which number to call; the payment's when `None`.
    pub caller_number: Option<String>,
    /// Who is to call.
    pub owner: Owner,
    /// By when, UTC milliseconds: from now on, at most [`Promise::DUE_MAX`] ahead.
    pub due_ms: i64,
    /// Why; at most [`Task::NOTE_MAX`] characters.
    pub reason: String,
}

impl Promise {
    /// Furthest ahead that a call may be promised.
    pub const DUE_MAX: Duration = Duration::from_secs(90 * 24 * 3600);
}

impl Task {
    /// Longest text of a person, characters.
    pub const NOTE_MAX: usize = 500;
}

/// What a person found out at the acquirer about an unknown operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The card was charged.
    Charged {
        /// The acquirer's reference.
        acquirer_ref: AcquirerRef,
        /// The issuer's approval code, at most 16 characters.
        approval_code: Option<String>,
    },
    /// It was not, and will not be.
    NotCharged,
}

/// Which tasks to list: those that are to be done, the most urgent first; or those that are done, the latest first.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Only this merchant's.
    pub tenant: Option<TenantId>,
    /// Only those in this state; open and taken ones when `None`.
    pub state: Option<TaskState>,
    /// Only those that are this owner's, or that he took.
    pub owner: Option<Owner>,
    /// Behind this task: the next page.
    pub after: Option<TaskId>,
    /// At most so many; [`TaskFilter::MAX`] when `None`, and never more.
    pub limit: Option<u32>,
}

impl TaskFilter {
    /// Most tasks in one answer.
    pub const MAX: u32 = 1000;
}

/// Tasks that nobody was told of yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskNews {
    /// Were made.
    pub made: Vec<Task>,
    /// Became overdue.
    pub overdue: Vec<Task>,
}

impl TaskNews {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.made.is_empty() && self.overdue.is_empty()
    }
}

/// How many tasks of a kind are to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskCount {
    /// What.
    pub kind: TaskKind,
    /// Nobody is at them.
    pub open: usize,
    /// Somebody is.
    pub taken: usize,
    /// Of both, those whose time is over.
    pub overdue: usize,
}

/// Who leads a waiting payment from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The person; nobody when `None`.
    pub operator: Option<OperatorId>,
    /// The extension whose call it is matched to; none when `None`.
    pub operator_extension: Option<String>,
}

/// Which payment is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one with this id.
    Id(PaymentId),
    /// The one that holds this order (part).
    Order {
        /// The merchant.
        tenant: TenantId,
        /// The order.
        order: OrderId,
        /// The part.
        part: u32,
    },
}

/// A recorder beside Asterisk that is paused for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecorderPause {
    /// Its name in the configuration.
    pub recorder: String,
    /// Our call.
    pub call: CallId,
    /// Asterisk's id of the caller's channel.
    pub channel: String,
    /// SIP Call-ID of the caller's leg.
    pub sip_call_id: Option<String>,
    /// The caller's number, unless it looks like a card's.
    pub caller: Option<String>,
    /// Extension of the operator who sent the caller.
    pub extension: Option<String>,
    /// The merchant.
    pub tenant: TenantId,
    /// Since when, UTC milliseconds; given by the journal.
    pub paused_ms: i64,
}

/// A recording that is found to hold a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecording {
    /// Where it was found.
    pub origin: String,
    /// Where it was moved to; `None` when it was only marked.
    pub file: Option<String>,
    /// Its call or channel, where known.
    pub call: Option<String>,
    /// Who says so.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A recording that holds a card, as the journal knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Recording {
    /// Its id.
    pub id: RecordingId,
    /// Where it stands.
    pub state: RecordingState,
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
    /// When it was found, UTC milliseconds.
    pub marked_ms: i64,
    /// When it was moved, UTC milliseconds.
    pub quarantined_ms: Option<i64>,
    /// Who ended the matter.
    pub resolved_by: Option<String>,
    /// When, UTC milliseconds.
    pub resolved_ms: Option<i64>,
    /// Who began to delete its file; it may be gone while the matter is still open.
    pub deleting_by: Option<String>,
}

/// Which payments to list, newest first. The default is all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this merchant's.
    pub tenant: Option<TenantId>,
    /// Only this order's.
    pub order: Option<OrderId>,
    /// Only the one with this number.
    pub reference: Option<u32>,
    /// Only in this state.
    pub state: Option<State>,
    /// Only those whose card is keyed by him.
    pub entered_by: Option<EnteredBy>,
    /// Created at or after this time, UTC milliseconds.
    pub since_ms: Option<i64>,
    /// And before this one.
    pub until_ms: Option<i64>,
    /// Only those of this caller.
    pub caller_number: Option<String>,
    /// Only those whose card ends so.
    pub last4: Option<String>,
    /// Only those with this approval code.
    pub approval_code: Option<String>,
    /// Only those that this person leads, or has led.
    pub operator: Option<OperatorId>,
    /// Only those of this place or brand.
    pub site: Option<SiteId>,
    /// Older than this payment: the next page.
    pub before: Option<PaymentId>,
    /// Only those that are disputed, or only those that are not.
    pub disputed: Option<bool>,
    /// Practice ([`TRAINING`]) alone; else it is left out: no list of payments counts it among them.
    pub training: bool,
    /// At most so many; 100 when `None`, never above [`Filter::MAX`].
    pub limit: Option<u32>,
}

/// Connector of practice and canary calls: it sends nothing to anybody.
pub const TRAINING: &str = "training";

impl Filter {
    /// Most payments in one answer.
    pub const MAX: u32 = 1000;
}

/// By what a call finds its waiting payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// The operator's extension brought the call.
    OperatorExtension {
        /// The merchant.
        tenant: TenantId,
        /// The extension.
        extension: String,
    },
    /// The customer's own number. More than one hit is never guessed.
    CallerNumber {
        /// The merchant.
        tenant: TenantId,
        /// The number as the trunk gives it.
        number: String,
    },
}

/// The right of one call to work on a payment. It ends with `release` or `close`, or with the process.
#[derive(Debug, PartialEq)]
pub struct Claim {
    pub(crate) payment: Payment,
    pub(crate) call: CallId,
}

impl Claim {
    /// The payment as it was when claimed.
    #[must_use]
    pub const fn payment(&self) -> &Payment {
        &self.payment
    }

    /// The call.
    #[must_use]
    pub const fn call(&self) -> CallId {
        self.call
    }
}

/// A capture, void or refund that a person or the merchant's system asks for.
#[derive(Debug, Clone)]
pub struct LaterDraft {
    /// Capture, void or refund.
    pub kind: OperationKind,
    /// Minor units; all that there is when `None`.
    pub amount_minor: Option<u64>,
    /// Who asks.
    pub by: By,
    /// The API call, so that the same one asks once.
    pub request: Option<ApiRequest>,
    /// By what it was judged whether it may be asked; nothing is written where that is not so any more.
    pub judged: Option<Judged>,
}

/// A payment's amounts as somebody has looked at them, minor units, and what a wish came to then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// [`Payment::reserved_minor`].
    pub reserved: Option<u64>,
    /// [`Payment::captured_minor`].
    pub captured: Option<u64>,
    /// [`Payment::refunded_minor`].
    pub refunded: u64,
    /// What would be captured, changed to, voided or refunded.
    pub asked: u64,
}

impl Judged {
    /// This wish, of this payment as it is.
    #[must_use]
    pub const fn of(payment: &Payment, asked: u64) -> Self {
        Self {
            reserved: payment.reserved_minor,
            captured: payment.captured_minor,
            refunded: payment.refunded_minor,
            asked,
        }
    }
}

/// What `write_later` wrote or found.
#[derive(Debug, Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "one of them lives at a time, and is taken apart at once"
)]
pub enum Later {
    /// It may be sent now.
    New(Durable<Intent>),
    /// The same request wrote it before.
    Existing(Operation),
}

/// What `write_later` would do.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "one of them lives at a time, and is taken apart at once"
)]
pub enum Planned {
    /// Ask for so much.
    New(Money),
    /// Nothing: the same request wrote this before.
    Before(Operation),
}

/// What is about to be asked of an acquirer; ids, key and acquirer's order number are the journal's to allot.
#[derive(Debug, Clone)]
pub struct IntentDraft {
    /// The card is the stored one of the payment; else one that was keyed.
    pub stored: bool,
    /// How much; the payment's own amount.
    pub amount: Money,
    /// Brand and last four.
    pub card: Truncated,
    /// How it is paid back.
    pub plan: Plan,
    /// Of which connector it is asked.
    pub connector: String,
    /// What was spoken and pressed until now: prompt names, amounts, menu keys.
    pub evidence: serde_json::Value,
}

/// What `recover` did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// Were in flight when a process died: unknown now, to be inquired, never sent again.
    pub unknown: Vec<PaymentId>,
    /// Were claimed by a dead process and had sent nothing: waiting again, or over.
    pub released: Vec<PaymentId>,
    /// Had their outcome but no closing record; an approved one of these has a call-back task.
    pub closed: Vec<PaymentId>,
}

impl Recovered {
    /// Whether there was nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unknown.is_empty() && self.released.is_empty() && self.closed.is_empty()
    }
}

/// What `verify` found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Records read.
    pub records: u64,
    /// Of them, those that were taken out since their time was over: place, time, kind and hashes are left.
    pub removed: u64,
    /// Payments whose state was compared with their last record.
    pub payments: u64,
    /// What is wrong; empty in a sound journal. At most [`VerifyReport::MAX_BREAKS`] are listed.
    pub breaks: Vec<Break>,
}

impl VerifyReport {
    /// Most breaks that are listed.
    pub const MAX_BREAKS: usize = 100;

    /// Whether every hash, number and state fits.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.breaks.is_empty()
    }
}

/// A place where the journal does not fit together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "break", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Break {
    /// A record's content does not have its hash: it was changed.
    Content {
        /// Which.
        sequence: i64,
    },
    /// A record does not follow the one before: some between were removed, or put in.
    Order {
        /// Which.
        sequence: i64,
    },
    /// The end of a writer's chain is not where the writer left it.
    End {
        /// Whose.
        writer: String,
    },
    /// A record has lost its content, and no record of kind `retention` says so.
    Removed {
        /// Which.
        sequence: i64,
    },
    /// A payment's state is not that of its last record.
    State {
        /// Which.
        payment: PaymentId,
    },
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content { sequence } => {
                write!(f, "record {sequence} was changed: its hash does not fit")
            }
            Self::Order { sequence } => write!(
                f,
                "record {sequence} does not follow the one before: some were taken out, or put in"
            ),
            Self::End { writer } => {
                write!(f, "the records of {writer} do not end where they should")
            }
            Self::Removed { sequence } => write!(
                f,
                "record {sequence} has lost its content, and no record of a removal says so"
            ),
            Self::State { payment } => {
                write!(
                    f,
                    "payment {payment} has another state than its last record"
                )
            }
        }
    }
}

fn card<S: Serializer>(card: &Option<Truncated>, serializer: S) -> Result<S::Ok, S::Error> {
    card.map(CardText::from).serialize(serializer)
}

/// The card alone: who has the token may charge it, and this goes into listings.
fn stored<S: Serializer>(stored: &Option<StoredCard>, serializer: S) -> Result<S::Ok, S::Error> {
    card(&stored.as_ref().map(|stored| stored.card), serializer)
}

fn some_card<S: Serializer>(card: &Truncated, serializer: S) -> Result<S::Ok, S::Error> {
    CardText::from(*card).serialize(serializer)
}

fn kind<S: Serializer>(kind: &OperationKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

fn acquirer_order<S: Serializer>(order: &AcquirerOrder, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(order)
}

/// Brand and last four as an API shows them.
#[derive(Serialize)]
struct CardText {
    brand: &'static str,
    last4: String,
}

impl From<Truncated> for CardText {
    fn from(card: Truncated) -> Self {
        Self {
            brand: card.brand.name(),
            last4: card.last4_text(),
        }
    }
}

/// The file beside the journal that its writer keeps locked.
pub(crate) fn lock_path(path: &std::path::Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
