//! A journal in a folder of its own, and payments to put into it.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test program uses some of it"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ivrpay_journal::{
    ApiRequest, By, EnteredBy, IntentDraft, Journal, Location, Mode, NewPayment, OpenOptions,
    Origin, Server,
};
use ivrpay_payment::{
    AcquirerRef, Approval, Brand, CallId, Currency, Decline, Money, OrderId, Outcome, Plan, Reason,
    TenantId, Transaction, Truncated,
};

pub const NOON: i64 = 1_795_435_200_000;

#[path = "../../../../tests/src/postgres.rs"]
pub mod server;

/// Runs tests on both stores: each is a function that takes the [`Place`].
#[macro_export]
macro_rules! on_both {
    ($($(#[$attribute:meta])* $test:ident),* $(,)?) => {
        mod sqlite {
            $($(#[$attribute])* #[tokio::test] async fn $test() { super::$test(super::Place::new()).await })*
        }
        mod postgres {
            $($(#[$attribute])* #[tokio::test] async fn $test() { super::$test(super::Place::on_postgres().await).await })*
        }
    };
}

/// Where a journal is, in a folder of its own or a database of its own.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub now: Arc<AtomicI64>,
    at: Location,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            at: folder.path().join("journal.db").into(),
            folder,
            now: Arc::new(AtomicI64::new(NOON)),
        }
    }

    pub async fn on_postgres() -> Self {
        Self {
            at: Server::new(&server::database().await, None).unwrap().into(),
            ..Self::new()
        }
    }

    /// Another one of the same kind.
    pub async fn another(&self) -> Self {
        match self.at {
            Location::File(_) => Self::new(),
            Location::Server(_) => Self::on_postgres().await,
        }
    }

    pub fn at(&self) -> Location {
        self.at.clone()
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("journal.db")
    }

    pub fn options(&self) -> OpenOptions {
        let now = Arc::clone(&self.now);
        let mut options = OpenOptions::new("edge-1");
        options.clock = Arc::new(move || now.load(Ordering::SeqCst));
        options.steady = None;
        options.busy_timeout = Duration::from_millis(200);
        options
    }

    pub async fn open(&self) -> Journal {
        Journal::open(self.at(), self.options()).await.unwrap()
    }

    /// What somebody else does, past the journal; says how many rows it changed.
    pub async fn run(&self, sql: &str) -> Result<u64, sqlx::Error> {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        Ok(match &self.at {
            Location::File(_) => {
                let mut raw = self.raw().await;
                let done = sqlx::query(sql).execute(&mut raw);
                done.await?.rows_affected()
            }
            Location::Server(at) => {
                let mut raw = raw_of(at).await;
                let done = sqlx::query(sql).execute(&mut raw);
                done.await?.rows_affected()
            }
        })
    }

    /// The texts that somebody else reads.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match &self.at {
            Location::File(_) => {
                let mut raw = self.raw().await;
                let read = sqlx::query_scalar(sql).fetch_all(&mut raw);
                read.await.unwrap()
            }
            Location::Server(at) => {
                let mut raw = raw_of(at).await;
                let read = sqlx::query_scalar(sql).fetch_all(&mut raw);
                read.await.unwrap()
            }
        }
    }

    /// A connection of somebody else, past the journal; of a file.
    pub async fn raw(&self) -> sqlx::SqliteConnection {
        use sqlx::ConnectOptions as _;
        sqlx::sqlite::SqliteConnectOptions::new()
            .filename(self.path())
            .connect()
            .await
            .unwrap()
    }
}

/// What takes the columns of the eighth migration and of those behind it away again.
pub const UNDO_EIGHTH: [&str; 69] = [
    "DROP INDEX payments_disputed",
    "ALTER TABLE payments DROP COLUMN disputed_ms",
    "ALTER TABLE payments DROP COLUMN disputed_by",
    "ALTER TABLE payments DROP COLUMN dispute_reason",
    "DROP TABLE receipts",
    "DROP TABLE receipt_templates",
    "DROP TABLE receipt_numbers",
    "DROP INDEX approvals_by_payment",
    "ALTER TABLE people DROP COLUMN confirmed_by",
    "ALTER TABLE people DROP COLUMN factor_by",
    "ALTER TABLE people DROP COLUMN password_by",
    "DROP TABLE approvals",
    "DROP TABLE sign_ins",
    "DROP TABLE keys",
    "DROP TABLE tries",
    "DROP TABLE sessions",
    "DROP TABLE recovery_codes",
    "DROP TABLE people",
    "DROP INDEX records_access",
    "ALTER TABLE payments DROP COLUMN reserved_minor",
    "ALTER TABLE operations DROP COLUMN changes",
    "DROP INDEX outbox_open",
    "DROP INDEX outbox_given_up",
    "ALTER TABLE outbox DROP COLUMN tenant",
    "ALTER TABLE outbox DROP COLUMN error",
    "ALTER TABLE outbox DROP COLUMN tried_ms",
    "ALTER TABLE outbox DROP COLUMN again_ms",
    "DROP TABLE answers",
    "DROP INDEX payments_by_caller",
    "DROP INDEX payments_by_last4",
    "ALTER TABLE payments DROP COLUMN description",
    "ALTER TABLE payments DROP COLUMN parameters",
    "DROP INDEX records_by_operation",
    "DROP INDEX records_anchored",
    "DROP INDEX operations_by_parent",
    "DROP INDEX IF EXISTS calls_by_payment",
    "DROP INDEX audit_by_payment",
    "DROP INDEX payments_by_age",
    "DROP INDEX records_retention",
    "DROP TRIGGER records_are_never_changed",
    "CREATE TRIGGER records_are_never_changed BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'records are append-only'); END",
    "DROP TABLE places",
    "ALTER TABLE writers DROP COLUMN lease_ms",
    "ALTER TABLE writers DROP COLUMN instance",
    "DROP TABLE releases",
    "DROP INDEX operations_to_inquire",
    "ALTER TABLE operations DROP COLUMN inquire_ms",
    "ALTER TABLE operations DROP COLUMN inquired",
    "DROP INDEX payments_reserved",
    "DROP INDEX operations_by_connector",
    "DROP TABLE live_connectors",
    "ALTER TABLE operations DROP COLUMN connector",
    "ALTER TABLE payments DROP COLUMN connector_named",
    "DROP INDEX payments_stored",
    "DROP INDEX payments_one_an_order",
    "CREATE UNIQUE INDEX payments_one_an_order ON payments (tenant, order_id, part)
        WHERE order_id IS NOT NULL AND state IN ('waiting', 'in-flight', 'unknown', 'approved')",
    "ALTER TABLE payments DROP COLUMN transaction_type",
    "ALTER TABLE payments DROP COLUMN token",
    "ALTER TABLE payments DROP COLUMN token_brand",
    "ALTER TABLE payments DROP COLUMN token_last4",
    "ALTER TABLE payments DROP COLUMN asked_plan",
    "ALTER TABLE payments DROP COLUMN plan",
    "ALTER TABLE payments DROP COLUMN captured_minor",
    "ALTER TABLE payments DROP COLUMN refunded_minor",
    "DROP INDEX operations_one_a_request",
    "DROP INDEX operations_one_later",
    "ALTER TABLE operations DROP COLUMN by_whom",
    "ALTER TABLE operations DROP COLUMN request_key",
    "ALTER TABLE operations DROP COLUMN request_hash",
];

/// A connection of somebody else, past the journal; of a database.
pub async fn raw_of(server: &Server) -> sqlx::postgres::PgConnection {
    server::raw(&server.to_string()).await
}

pub fn yen(minor: u64) -> Money {
    Money::new(minor, Currency::Jpy).unwrap()
}

pub fn order(text: &str) -> NewPayment {
    NewPayment {
        tenant: TenantId::new("acme").unwrap(),
        order: Some(OrderId::new(text).unwrap()),
        part: 0,
        operator: None,
        site: None,
        asked_plan: None,
        amount: yen(1200),
        mode: Mode::Test,
        connector: "null".into(),
        connector_named: false,
        language: "ja".into(),
        prompt_version: "1".into(),
        origin: Origin::Dialplan,
        entered_by: EnteredBy::Caller,
        expires_ms: None,
        operator_extension: None,
        caller_number: None,
        request: None,
        transaction: Transaction::Charge,
        stored: None,
        attached: ivrpay_journal::Attached::default(),
    }
}

pub fn announced(text: &str, expires_ms: i64) -> NewPayment {
    NewPayment {
        origin: Origin::Api,
        expires_ms: Some(expires_ms),
        ..order(text)
    }
}

pub fn under_key(text: &str, key: &str, hash: u8) -> NewPayment {
    NewPayment {
        request: Some(ApiRequest {
            key: key.into(),
            hash: [hash; 32],
        }),
        ..announced(text, NOON + 60_000)
    }
}

pub fn call() -> CallId {
    CallId::new(uuid::Uuid::now_v7())
}

pub fn visa() -> Truncated {
    Truncated::new(Brand::Visa, [1, 1, 1, 1]).unwrap()
}

pub fn draft() -> IntentDraft {
    IntentDraft {
        stored: false,
        amount: yen(1200),
        card: visa(),
        plan: Plan::LumpSum,
        connector: "null".into(),
        evidence: serde_json::json!([{"prompt": "amount", "amount": 1200, "key": "1"}]),
    }
}

pub fn approved() -> Outcome {
    Outcome::Approved(Approval {
        acquirer_ref: AcquirerRef::new("ch_1").unwrap(),
        code: Some("A1B2C3".into()),
        card: Some(visa()),
    })
}

pub fn declined() -> Outcome {
    Outcome::Declined(Decline {
        reason: Reason::InsufficientFunds,
        code: "G02".into(),
        hard: false,
        action: None,
    })
}

pub fn by(person: &str) -> By {
    By {
        person: person.parse().unwrap(),
        via: "admin".into(),
    }
}
