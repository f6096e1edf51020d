//! Every line of SQL; what the statements mean is decided in `journal`. They are the same for SQLite and PostgreSQL (`db`), what differs
//! between the two is in `store/sqlite.rs` and `store/postgres.rs`, and how transactions come to the disk in `store/batch.rs`.

mod accounts;
mod answers;
mod approvals;
mod batch;
mod calls;
mod connectors;
mod expiring;
mod inquiries;
mod keys;
mod outbox;
mod parts;
mod people;
mod places;
mod postgres;
mod receipts;
mod recordings;
mod retention;
mod sqlite;
mod tasks;
mod trail;

use std::sync::Arc;
use std::time::Duration;

use ivrpay_payment::{
    AcquirerOrder, AcquirerRef, Brand, CallId, CardToken, Currency, IdempotencyKey, Intent, Money,
    OperationId, OperationKind, OperatorId, OrderId, PaymentId, SiteId, State, StoredCard,
    TenantId, Transaction, Truncated,
};
use serde_json::{Value, json};
use sqlx::migrate::{MigrateError, Migrator};

use crate::Error;
use crate::chain::{self, Link};
use crate::db::{Connection, On, Pool, Row, query};
use crate::disputes::Dispute;
use crate::location::Location;
use crate::retention::TakenOut;
use crate::types::{
    Attached, Break, Clock, EnteredBy, Filter, Match, Mode, OpenOptions, Operation, OperationState,
    Origin, Payment, Record, TRAINING, VerifyReport,
};

pub(crate) use batch::{Durability, Tx};
use batch::{Head, Write};

/// Connections that read; the API's lists and the console's are few and short.
const READERS: u32 = 2;

/// Records read at a time by `verify`.
const PAGE: i64 = 1000;

/// Every column of a payment and the call that works on it.
macro_rules! select_payment {
    ($($rest:tt)*) => {
        concat!(
            "SELECT p.*, c.call FROM payments p LEFT JOIN claims c ON c.payment = p.id ",
            $($rest)*
        )
    };
}

/// What a process has left that is gone: neither this one (`?1`, `?2`) nor one whose lease goes on (`?3`: the database's time).
macro_rules! gone {
    ($from:literal, $order:literal) => {
        concat!(
            "SELECT x.* FROM ",
            $from,
            " NOT EXISTS (SELECT 1 FROM writers w WHERE w.name = x.writer AND w.epoch = x.epoch
                AND (w.lease_ms > ?3 OR (w.name = ?1 AND w.epoch = ?2))) ORDER BY ",
            $order
        )
    };
}
use gone;

/// A payment (`p`) that locks its order (part).
macro_rules! holds_order {
    () => {
        "p.state IN ('waiting', 'in-flight', 'unknown', 'approved')
           AND (p.state <> 'approved' OR p.transaction_type IN ('authorize', 'charge'))"
    };
}
use holds_order;

/// What processes have left that are gone, of each kind; see [`gone`].
macro_rules! left {
    (calls) => {
        gone!("calls x WHERE x.ended_ms IS NULL AND", "x.id")
    };
    (claims) => {
        gone!("claims x WHERE", "x.payment")
    };
    (operations) => {
        gone!("operations x WHERE x.state = 'in-flight' AND", "x.id")
    };
}
use left;

/// The payment that locks an order (part): at most one, by the index `payments_one_an_order`.
async fn order_holder<'a>(
    on: impl Into<On<'a>>,
    tenant: &TenantId,
    order: &OrderId,
    part: u32,
) -> Result<Option<Payment>, Error> {
    let row = query(select_payment!(
        "WHERE p.tenant = ?1 AND p.order_id = ?2 AND p.part = ?3 AND ",
        holds_order!()
    ))
    .bind(tenant.as_str())
    .bind(order.as_str())
    .bind(part)
    .fetch_optional(on)
    .await?;
    row.as_ref().map(payment).transpose()
}

/// The operations of a payment, oldest first.
async fn operations<'a>(
    on: impl Into<On<'a>>,
    payment: PaymentId,
) -> Result<Vec<Operation>, Error> {
    let rows = query("SELECT * FROM operations WHERE payment = ?1 ORDER BY id")
        .bind(payment.to_string())
        .fetch_all(on)
        .await?;
    rows.iter().map(operation).collect()
}

/// Where the journal is kept, and the connections to it.
pub(crate) struct Store {
    reads: Pool,
    /// `None` when opened for reading only.
    write: Option<Arc<Write>>,
}

impl Store {
    pub(crate) async fn open(at: &Location, options: &OpenOptions) -> Result<Self, Error> {
        let (reads, write) = match at {
            Location::File(path) => sqlite::open(path, options).await?,
            Location::Server(server) => postgres::open(server, options).await?,
        };
        Ok(Self {
            reads,
            write: Some(write),
        })
    }

    pub(crate) async fn open_read_only(
        at: &Location,
        busy_timeout: Duration,
    ) -> Result<Self, Error> {
        let (reads, known) = match at {
            Location::File(path) => (
                sqlite::open_read_only(path, busy_timeout).await?,
                known_version(&sqlite::MIGRATIONS),
            ),
            Location::Server(server) => (
                postgres::open_read_only(server, busy_timeout).await?,
                known_version(&postgres::MIGRATIONS),
            ),
        };
        let found: Result<i64, _> = query("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
            .scalar(&reads)
            .await;
        let found = match found.map_err(Error::from) {
            // There is no such table in a database that is empty yet.
            Err(Error::Version { .. }) => 0,
            found => found?,
        };
        if found != known {
            return Err(Error::Version { found, known });
        }
        Ok(Self { reads, write: None })
    }

    /// Whether this process may send what it has written: no other one takes over what it has left.
    pub(crate) fn holds(&self) -> Result<(), Error> {
        match &self.write {
            Some(write) => write.holds(),
            None => Err(Error::ReadOnly),
        }
    }

    /// Transactions that this process has written, and the commits that they have shared.
    pub(crate) fn commits(&self) -> (u64, u64) {
        self.write.as_ref().map_or((0, 0), |write| write.commits())
    }

    /// Returns when this process may not write any more, and says why; never for a file.
    pub(crate) async fn fenced(&self) -> &'static str {
        match &self.write {
            Some(write) => write.fenced().await,
            None => std::future::pending().await,
        }
    }

    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self.reads, Pool::Postgres(_))
    }

    /// The database's time, by which leases are; 0 for a file, where there are none.
    pub(crate) async fn server_ms(&self) -> Result<i64, Error> {
        match &self.reads {
            Pool::Sqlite(_) => Ok(0),
            Pool::Postgres(_) => Ok(query(postgres::SERVER_MS).scalar(&self.reads).await?),
        }
    }

    /// Whether a process that is gone has left anything to make good, or its lease alone: what `recover` is to do.
    pub(crate) async fn is_left(&self) -> Result<bool, Error> {
        let Some((writer, epoch)) = self.writer() else {
            return Err(Error::ReadOnly);
        };
        let server_ms = self.server_ms().await?;
        let left = query(concat!(
            "SELECT EXISTS (SELECT 1 FROM writers WHERE lease_ms BETWEEN 1 AND ?3) OR EXISTS (",
            left!(operations),
            ") OR EXISTS (",
            left!(claims),
            ") OR EXISTS (",
            left!(calls),
            ")"
        ));
        let left = left.bind(writer).bind(epoch).bind(server_ms);
        Ok(left.scalar(&self.reads).await?)
    }

    /// Returns when a task was made since this last returned; never for a reader.
    pub(crate) async fn task_made(&self) {
        match &self.write {
            Some(write) => write.task_made.notified().await,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn writer(&self) -> Option<(&str, i64)> {
        self.write
            .as_ref()
            .map(|write| (write.writer.as_str(), write.epoch))
    }

    /// Begins a transaction with the write lock in hand.
    pub(crate) async fn begin(
        &self,
        durability: Durability,
        clock: &Clock,
    ) -> Result<Tx<'_>, Error> {
        let write = self.write.as_ref().ok_or(Error::ReadOnly)?;
        write.begin(durability, clock).await
    }

    /// Closes every connection and gives the lock back.
    pub(crate) async fn stop(&self) -> Result<(), Error> {
        match &self.write {
            Some(write) => write.stop(&self.reads).await,
            None => {
                self.reads.close().await;
                Ok(())
            }
        }
    }

    /// SQLite's own word on how the last transaction was committed: 2 is FULL, 1 NORMAL (sqlite.org/pragma.html#pragma_synchronous).
    #[cfg(test)]
    pub(crate) async fn synchronous(&self) -> i64 {
        let write = self.write.as_ref().expect("open for writing");
        write.synchronous().await
    }

    /// The registration that a token came from.
    pub(crate) async fn payment_of_token(
        &self,
        tenant: &TenantId,
        token: &CardToken,
        mode: Mode,
    ) -> Result<Option<Payment>, Error> {
        let row = query(select_payment!(
            "WHERE p.tenant = ?1 AND p.acquirer_ref = ?2 AND p.transaction_type = 'tokenize' AND p.state = 'approved'
             AND p.mode = ?3 AND p.connector <> ?4 ORDER BY p.id DESC LIMIT 1"
        ))
        .bind(tenant.as_str())
        .bind(token.as_str())
        .bind(mode.name())
        .bind(TRAINING)
        .fetch_optional(&self.reads)
        .await?;
        row.as_ref().map(payment).transpose()
    }

    pub(crate) async fn payment(&self, id: PaymentId) -> Result<Option<Payment>, Error> {
        let row = query(select_payment!("WHERE p.id = ?1"))
            .bind(id.to_string())
            .fetch_optional(&self.reads)
            .await?;
        row.as_ref().map(payment).transpose()
    }

    pub(crate) async fn payment_of_call(&self, call: CallId) -> Result<Option<Payment>, Error> {
        let row = query(select_payment!("WHERE c.call = ?1"))
            .bind(call.to_string())
            .fetch_optional(&self.reads)
            .await?;
        row.as_ref().map(payment).transpose()
    }

    pub(crate) async fn payments(&self, filter: &Filter) -> Result<Vec<Payment>, Error> {
        // What an index has stands in front by itself: behind an OR SQLite would walk through all payments.
        macro_rules! search {
            ($lead:literal) => {
                select_payment!(
                    "WHERE ",
                    $lead,
                    " (?1 IS NULL OR p.tenant = ?1) AND (?2 IS NULL OR p.order_id = ?2) AND (?3 IS NULL OR p.state = ?3)
                       AND (?4 IS NULL OR p.created_ms >= ?4) AND (?5 IS NULL OR p.id < ?5) AND (?7 IS NULL OR p.reference = ?7)
                       AND (p.connector = ?8) = ?9 AND (?10 IS NULL OR p.entered_by = ?10) AND (?11 IS NULL OR p.created_ms < ?11)
                       AND (?12 IS NULL OR p.match_caller_number = ?12) AND (?13 IS NULL OR p.last4 = ?13) AND (?14 IS NULL OR p.approval_code = ?14)
                       AND (?15 IS NULL OR p.operator = ?15) AND (?16 IS NULL OR p.site = ?16)
                       AND (?17 IS NULL OR (CASE WHEN p.disputed_ms IS NULL THEN 0 ELSE 1 END) = ?17)
                     ORDER BY p.id DESC LIMIT ?6"
                )
            };
        }
        let sql = match (
            &filter.tenant,
            &filter.order,
            &filter.caller_number,
            &filter.last4,
        ) {
            (Some(_), Some(_), _, _) => search!("p.tenant = ?1 AND p.order_id = ?2 AND"),
            (Some(_), _, Some(_), _) => {
                search!("p.tenant = ?1 AND p.match_caller_number = ?12 AND")
            }
            (Some(_), _, _, Some(_)) => search!("p.tenant = ?1 AND p.last4 = ?13 AND"),
            _ => search!(""),
        };
        let rows = query(sql)
            .bind(filter.tenant.as_ref().map(TenantId::as_str))
            .bind(filter.order.as_ref().map(OrderId::as_str))
            .bind(filter.state.map(State::name))
            .bind(filter.since_ms)
            .bind(filter.before.map(|id| id.to_string()))
            .bind(filter.limit.unwrap_or(100).min(Filter::MAX))
            .bind(filter.reference)
            .bind(TRAINING)
            .bind(filter.training)
            .bind(filter.entered_by.map(EnteredBy::name))
            .bind(filter.until_ms)
            .bind(&filter.caller_number)
            .bind(&filter.last4)
            .bind(&filter.approval_code)
            .bind(filter.operator.as_ref().map(OperatorId::as_str))
            .bind(filter.site.as_ref().map(SiteId::as_str))
            .bind(filter.disputed.map(u32::from))
            .fetch_all(&self.reads)
            .await?;
        rows.iter().map(payment).collect()
    }

    pub(crate) async fn waiting_for(&self, by: &Match, now_ms: i64) -> Result<Vec<Payment>, Error> {
        let (sql, tenant, value) = match by {
            Match::OperatorExtension { tenant, extension } => (
                select_payment!(
                    "WHERE p.state = 'waiting' AND p.origin = 'api' AND c.call IS NULL AND (p.expires_ms IS NULL OR p.expires_ms > ?1)
                       AND p.tenant = ?2 AND p.match_operator_extension = ?3 ORDER BY p.id LIMIT 10"
                ),
                tenant,
                extension,
            ),
            Match::CallerNumber { tenant, number } => (
                select_payment!(
                    "WHERE p.state = 'waiting' AND p.origin = 'api' AND c.call IS NULL AND (p.expires_ms IS NULL OR p.expires_ms > ?1)
                       AND p.tenant = ?2 AND p.match_caller_number = ?3 ORDER BY p.id LIMIT 10"
                ),
                tenant,
                number,
            ),
        };
        let rows = query(sql)
            .bind(now_ms)
            .bind(tenant.as_str())
            .bind(value)
            .fetch_all(&self.reads)
            .await?;
        rows.iter().map(payment).collect()
    }

    /// The payment that locks an order.
    pub(crate) async fn order_holder(
        &self,
        tenant: &TenantId,
        order: &OrderId,
        part: u32,
    ) -> Result<Option<Payment>, Error> {
        order_holder(&self.reads, tenant, order, part).await
    }

    pub(crate) async fn operations(&self, payment: PaymentId) -> Result<Vec<Operation>, Error> {
        operations(&self.reads, payment).await
    }

    pub(crate) async fn records(&self, payment: PaymentId) -> Result<Vec<Record>, Error> {
        let rows = query("SELECT * FROM records WHERE payment = ?1 ORDER BY sequence")
            .bind(payment.to_string())
            .fetch_all(&self.reads)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Record {
                    sequence: row.try_get("sequence")?,
                    payment: parsed(row, "payment")?,
                    operation: parsed(row, "operation")?,
                    kind: row.try_get("kind")?,
                    body: document(row, "body")?.unwrap_or(Value::Null),
                    writer: row.try_get("writer")?,
                    number: row.try_get("number")?,
                    epoch: row.try_get("epoch")?,
                    version: row.try_get("version")?,
                    at_ms: row.try_get("at_ms")?,
                    text: row
                        .try_get::<Option<&str>>("body")?
                        .unwrap_or_default()
                        .to_owned(),
                    hash: bytes32(row, "hash")?,
                    before: bytes32(row, "prev_hash")?,
                })
            })
            .collect()
    }

    /// Walks every writer's chain, then compares each payment with its last record.
    pub(crate) async fn verify(&self) -> Result<VerifyReport, Error> {
        let mut report = VerifyReport::default();
        // One snapshot, though the daemon goes on writing.
        let mut connection = self.reads.snapshot().await?;
        let walked = walk(&mut connection, &mut report).await;
        query("ROLLBACK").execute(&mut connection).await?;
        connection.close().await?;
        walked?;
        report.breaks.truncate(VerifyReport::MAX_BREAKS);
        Ok(report)
    }
}

/// A claim as it stands in the journal.
pub(crate) struct Holder {
    pub(crate) payment: PaymentId,
    pub(crate) call: CallId,
    pub(crate) ours: bool,
}

impl Tx<'_> {
    /// Appends a record to this writer's chain.
    pub(crate) async fn append(
        &mut self,
        kind: &str,
        payment: &Payment,
        operation: Option<OperationId>,
        mut body: Value,
    ) -> Result<(), Error> {
        body["state"] = Value::from(payment.state.name());
        self.append_about(kind, Some(payment.id), operation, &body)
            .await
    }

    /// A record that is about no payment.
    pub(crate) async fn append_alone(&mut self, kind: &str, body: Value) -> Result<(), Error> {
        self.append_about(kind, None, None, &body).await
    }

    async fn append_about(
        &mut self,
        kind: &str,
        payment: Option<PaymentId>,
        operation: Option<OperationId>,
        body: &Value,
    ) -> Result<(), Error> {
        let body = body.to_string();
        let head = match self.head {
            Some(head) => head,
            None => {
                let row = query("SELECT records, head FROM writers WHERE name = ?1")
                    .bind(self.writer())
                    .fetch_one(self.on())
                    .await?;
                Head {
                    records: row.try_get("records")?,
                    hash: bytes32(&row, "head")?,
                }
            }
        };
        let payment = payment.map(|id| id.to_string());
        let operation = operation.map(|id| id.to_string());
        let number = head.records + 1;
        let hash = chain::hash(
            &Link {
                writer: self.writer(),
                number,
                epoch: self.epoch(),
                version: chain::VERSION,
                at_ms: self.now_ms,
                payment: payment.as_deref(),
                operation: operation.as_deref(),
                kind,
                body: &body,
            },
            &head.hash,
        );
        query(
            "INSERT INTO records (payment, operation, kind, body, writer, number, epoch, version, at_ms, hash, prev_hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )
        .bind(&payment)
        .bind(&operation)
        .bind(kind)
        .bind(&body)
        .bind(self.writer())
        .bind(number)
        .bind(self.epoch())
        .bind(chain::VERSION)
        .bind(self.now_ms)
        .bind(hash.as_slice())
        .bind(head.hash.as_slice())
        .execute(self.on())
        .await?;
        self.head = Some(Head {
            records: number,
            hash,
        });
        self.appended = true;
        Ok(())
    }

    pub(crate) async fn payment(&mut self, id: PaymentId) -> Result<Option<Payment>, Error> {
        let row = query(select_payment!("WHERE p.id = ?1"))
            .bind(id.to_string())
            .fetch_optional(self.on())
            .await?;
        row.as_ref().map(payment).transpose()
    }

    /// The payment of an earlier request under this key, and the hash of that request.
    pub(crate) async fn payment_of_request(
        &mut self,
        tenant: &TenantId,
        key: &[u8; 32],
    ) -> Result<Option<(Payment, [u8; 32])>, Error> {
        let row = query(select_payment!(
            "WHERE p.tenant = ?1 AND p.request_key = ?2"
        ))
        .bind(tenant.as_str())
        .bind(key.as_slice())
        .fetch_optional(self.on())
        .await?;
        row.map(|row| Ok((payment(&row)?, bytes32(&row, "request_hash")?)))
            .transpose()
    }

    /// The payment that locks an order.
    pub(crate) async fn payment_of_order(
        &mut self,
        tenant: &TenantId,
        order: &OrderId,
        part: u32,
    ) -> Result<Option<Payment>, Error> {
        order_holder(self.on(), tenant, order, part).await
    }

    pub(crate) async fn insert_payment(
        &mut self,
        payment: &Payment,
        request: Option<(&[u8; 32], &[u8; 32])>,
    ) -> Result<(), Error> {
        query(
            "INSERT INTO payments (id, tenant, order_id, part, operator, site, amount_minor, currency, state, mode, connector,
                language, prompt_version, origin, entered_by, match_operator_extension, match_caller_number, request_key,
                request_hash, created_ms, expires_ms, updated_ms, reference, desk, connector_named, transaction_type, token, token_brand, token_last4,
                asked_plan, description, parameters)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?20, ?22, ?23,
                ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31)",
        )
        .bind(payment.id.to_string())
        .bind(payment.tenant.as_str())
        .bind(payment.order.as_ref().map(OrderId::as_str))
        .bind(payment.part)
        .bind(payment.operator.as_ref().map(OperatorId::as_str))
        .bind(payment.site.as_ref().map(SiteId::as_str))
        .bind(minor(payment.amount))
        .bind(payment.amount.currency().code())
        .bind(payment.state.name())
        .bind(payment.mode.name())
        .bind(&payment.connector)
        .bind(&payment.language)
        .bind(&payment.prompt_version)
        .bind(match payment.origin {
            // Of its kind, with a mark of its own.
            Origin::Desk => Origin::Api.name(),
            other => other.name(),
        })
        .bind(payment.entered_by.name())
        .bind(&payment.operator_extension)
        .bind(&payment.caller_number)
        .bind(request.map(|(key, _)| key.as_slice()))
        .bind(request.map(|(_, hash)| hash.as_slice()))
        .bind(payment.created_ms)
        .bind(payment.expires_ms)
        .bind(payment.reference)
        .bind(payment.origin == Origin::Desk)
        .bind(payment.connector_named)
        .bind(payment.transaction.name())
        .bind(payment.stored.as_ref().map(|stored| stored.token.as_str()))
        .bind(payment.stored.as_ref().map(|stored| stored.card.brand.name()))
        .bind(payment.stored.as_ref().map(|stored| stored.card.last4_text()))
        .bind(payment.asked_plan.map(|plan| plan.to_string()))
        .bind(&payment.attached.description)
        .bind(parameters(&payment.attached))
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// What this operator has keyed and no call has.
    pub(crate) async fn keyed_by(
        &mut self,
        tenant: &TenantId,
        extension: &str,
    ) -> Result<Vec<Payment>, Error> {
        let rows = query(select_payment!(
            "WHERE p.state = 'waiting' AND p.desk AND c.call IS NULL AND p.tenant = ?1 AND p.match_operator_extension = ?2 ORDER BY p.id"
        ))
        .bind(tenant.as_str())
        .bind(extension)
        .fetch_all(self.on())
        .await?;
        rows.iter().map(payment).collect()
    }

    /// Writes what may change of a payment.
    pub(crate) async fn update_payment(&mut self, payment: &mut Payment) -> Result<(), Error> {
        payment.updated_ms = self.now_ms;
        query(
            "UPDATE payments SET state = ?2, updated_ms = ?3, brand = ?4, last4 = ?5, approval_code = ?6, acquirer_ref = ?7,
                decline_reason = ?8, result = ?9, evidence = ?10, entered_by = ?11, plan = ?12, captured_minor = ?13,
                refunded_minor = ?14, connector = ?15, reserved_minor = ?16 WHERE id = ?1",
        )
        .bind(payment.id.to_string())
        .bind(payment.state.name())
        .bind(payment.updated_ms)
        .bind(payment.card.map(|card| card.brand.name()))
        .bind(payment.card.map(Truncated::last4_text))
        .bind(&payment.approval_code)
        .bind(payment.acquirer_ref.as_ref().map(AcquirerRef::as_str))
        .bind(&payment.decline_reason)
        .bind(&payment.result)
        .bind(payment.evidence.as_ref().map(Value::to_string))
        .bind(payment.entered_by.name())
        .bind(payment.plan.to_string())
        .bind(payment.captured_minor.map(u64::cast_signed))
        .bind(payment.refunded_minor.cast_signed())
        .bind(&payment.connector)
        .bind(payment.reserved_minor.map(u64::cast_signed))
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// Writes whether it is disputed.
    pub(crate) async fn write_dispute(&mut self, payment: &mut Payment) -> Result<(), Error> {
        payment.updated_ms = self.now_ms;
        let dispute = payment.disputed.as_ref();
        query(
            "UPDATE payments SET disputed_ms = ?2, disputed_by = ?3, dispute_reason = ?4, updated_ms = ?5 WHERE id = ?1",
        )
        .bind(payment.id.to_string())
        .bind(dispute.map(|dispute| dispute.since_ms))
        .bind(dispute.map(|dispute| dispute.by.as_str()))
        .bind(dispute.map(|dispute| dispute.reason.as_str()))
        .bind(payment.updated_ms)
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// Writes who leads the payment.
    pub(crate) async fn assign_payment(&mut self, payment: &mut Payment) -> Result<(), Error> {
        payment.updated_ms = self.now_ms;
        query(
            "UPDATE payments SET operator = ?2, match_operator_extension = ?3, updated_ms = ?4 WHERE id = ?1",
        )
        .bind(payment.id.to_string())
        .bind(payment.operator.as_ref().map(OperatorId::as_str))
        .bind(&payment.operator_extension)
        .bind(payment.updated_ms)
        .execute(self.on())
        .await?;
        Ok(())
    }

    pub(crate) async fn insert_operation(
        &mut self,
        intent: &Intent,
        connector: &str,
    ) -> Result<(), Error> {
        query(
            "INSERT INTO operations (id, payment, kind, amount_minor, currency, idempotency_key, acquirer_order, state, brand,
                last4, writer, epoch, created_ms, updated_ms, parent, connector, changes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'in-flight', ?8, ?9, ?10, ?11, ?12, ?12, ?13, ?14, ?15)",
        )
        .bind(intent.operation_id.to_string())
        .bind(intent.payment_id.to_string())
        .bind(match intent.kind {
            // It reserves, with a mark of its own, what a capture will take.
            OperationKind::Change => OperationKind::Capture.name(),
            other => other.name(),
        })
        .bind(minor(intent.amount))
        .bind(intent.amount.currency().code())
        .bind(intent.idempotency_key.to_string())
        .bind(intent.acquirer_order.get().cast_signed())
        .bind(intent.card.brand.name())
        .bind(intent.card.last4_text())
        .bind(self.writer())
        .bind(self.epoch())
        .bind(self.now_ms)
        .bind(intent.parent.as_ref().map(|p| p.operation_id.to_string()))
        .bind(connector)
        .bind(intent.kind == OperationKind::Change)
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// A capture, void, refund or query: by whose request.
    pub(crate) async fn insert_later(
        &mut self,
        intent: &Intent,
        connector: &str,
        by: &str,
        request: Option<(&[u8; 32], &[u8; 32])>,
    ) -> Result<(), Error> {
        self.insert_operation(intent, connector).await?;
        query(
            "UPDATE operations SET by_whom = ?2, request_key = ?3, request_hash = ?4 WHERE id = ?1",
        )
        .bind(intent.operation_id.to_string())
        .bind(by)
        .bind(request.map(|(key, _)| key.as_slice()))
        .bind(request.map(|(_, hash)| hash.as_slice()))
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// The operations of a payment, oldest first.
    pub(crate) async fn operations(&mut self, payment: PaymentId) -> Result<Vec<Operation>, Error> {
        operations(self.on(), payment).await
    }

    /// The operation that an API call asked for, and the hash of what was asked.
    pub(crate) async fn operation_of_request(
        &mut self,
        payment: PaymentId,
        key: &[u8; 32],
    ) -> Result<Option<(Operation, [u8; 32])>, Error> {
        let row = query("SELECT * FROM operations WHERE payment = ?1 AND request_key = ?2")
            .bind(payment.to_string())
            .bind(key.as_slice())
            .fetch_optional(self.on())
            .await?;
        row.map(|row| Ok((operation(&row)?, bytes32(&row, "request_hash")?)))
            .transpose()
    }

    pub(crate) async fn update_progress(
        &mut self,
        id: OperationId,
        progress: &Value,
    ) -> Result<(), Error> {
        query("UPDATE operations SET progress = ?2, updated_ms = ?3 WHERE id = ?1")
            .bind(id.to_string())
            .bind(progress.to_string())
            .bind(self.now_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }

    /// Writes that an operation is asked of another connector.
    pub(crate) async fn update_connector(
        &mut self,
        id: OperationId,
        connector: &str,
    ) -> Result<(), Error> {
        query("UPDATE operations SET connector = ?2, updated_ms = ?3 WHERE id = ?1")
            .bind(id.to_string())
            .bind(connector)
            .bind(self.now_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }

    pub(crate) async fn operation(&mut self, id: OperationId) -> Result<Option<Operation>, Error> {
        let row = query("SELECT * FROM operations WHERE id = ?1")
            .bind(id.to_string())
            .fetch_optional(self.on())
            .await?;
        row.as_ref().map(operation).transpose()
    }

    /// All that have this order number at their acquirer, oldest first.
    pub(crate) async fn operations_of_order(
        &mut self,
        order: AcquirerOrder,
    ) -> Result<Vec<Operation>, Error> {
        let rows = query(
            "SELECT * FROM operations WHERE acquirer_order = ?1 AND payment =
               (SELECT payment FROM operations WHERE acquirer_order = ?1 AND parent IS NULL) ORDER BY id",
        )
        .bind(order.get().cast_signed())
        .fetch_all(self.on())
        .await?;
        rows.iter().map(operation).collect()
    }

    /// Operations that are in flight: all of a payment, or those of processes that are gone.
    pub(crate) async fn in_flight(
        &mut self,
        payment: Option<PaymentId>,
    ) -> Result<Vec<Operation>, Error> {
        let rows = match payment {
            Some(payment) => query(
                "SELECT * FROM operations WHERE state = 'in-flight' AND payment = ?1 ORDER BY id",
            )
            .bind(payment.to_string())
            .fetch_all(self.on())
            .await?,
            None => {
                query(left!(operations))
                    .bind(self.writer())
                    .bind(self.epoch())
                    .bind(self.server_ms)
                    .fetch_all(self.on())
                    .await?
            }
        };
        rows.iter().map(operation).collect()
    }

    pub(crate) async fn update_operation(
        &mut self,
        id: OperationId,
        state: OperationState,
        outcome: &Value,
        inquire_ms: Option<i64>,
    ) -> Result<(), Error> {
        query(
            "UPDATE operations SET state = ?2, outcome = ?3, updated_ms = ?4, inquire_ms = ?5 WHERE id = ?1",
        )
        .bind(id.to_string())
        .bind(state.name())
        .bind(outcome.to_string())
        .bind(self.now_ms)
        .bind(inquire_ms)
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// The next of a row that never repeats and never falls, at least `floor`.
    pub(crate) async fn next_acquirer_order(&mut self, floor: i64) -> Result<AcquirerOrder, Error> {
        let number: i64 = query(
            "UPDATE counters SET value = CASE WHEN value + 1 > ?1 THEN value + 1 ELSE ?1 END WHERE name = 'acquirer_order'
             RETURNING value",
        )
        .bind(floor)
        .scalar(self.on())
        .await?;
        u64::try_from(number)
            .ok()
            .and_then(AcquirerOrder::new)
            .ok_or(Error::Corrupt {
                what: "the counter of acquirer orders is out of range",
            })
    }

    /// The next number to tell a caller.
    pub(crate) async fn next_reference(&mut self) -> Result<u32, Error> {
        let number: i64 =
            query("UPDATE counters SET value = value + 1 WHERE name = 'reference' RETURNING value")
                .scalar(self.on())
                .await?;
        u32::try_from(number).map_err(|_| DAMAGED)
    }

    pub(crate) async fn claim(&mut self, payment: PaymentId) -> Result<Option<Holder>, Error> {
        let row = query("SELECT * FROM claims WHERE payment = ?1")
            .bind(payment.to_string())
            .fetch_optional(self.on())
            .await?;
        row.map(|row| self.holder(&row)).transpose()
    }

    /// The payment that a call of this process works on.
    pub(crate) async fn claim_of_call(&mut self, call: CallId) -> Result<Option<PaymentId>, Error> {
        let row =
            query("SELECT payment FROM claims WHERE call = ?1 AND writer = ?2 AND epoch = ?3")
                .bind(call.to_string())
                .bind(self.writer())
                .bind(self.epoch())
                .fetch_optional(self.on())
                .await?;
        row.map(|row| parsed(&row, "payment")?.ok_or(DAMAGED))
            .transpose()
    }

    /// Claims of processes that are gone.
    pub(crate) async fn stale_claims(&mut self) -> Result<Vec<Holder>, Error> {
        let rows = query(left!(claims))
            .bind(self.writer())
            .bind(self.epoch())
            .bind(self.server_ms)
            .fetch_all(self.on())
            .await?;
        rows.iter().map(|row| self.holder(row)).collect()
    }

    fn holder(&self, row: &Row) -> Result<Holder, Error> {
        let (writer, epoch): (&str, i64) = (row.try_get("writer")?, row.try_get("epoch")?);
        Ok(Holder {
            payment: parsed(row, "payment")?.ok_or(DAMAGED)?,
            call: parsed(row, "call")?.ok_or(DAMAGED)?,
            ours: writer == self.writer() && epoch == self.epoch(),
        })
    }

    pub(crate) async fn insert_claim(
        &mut self,
        payment: PaymentId,
        call: CallId,
    ) -> Result<(), Error> {
        query(
            "INSERT INTO claims (payment, call, writer, epoch, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(payment.to_string())
        .bind(call.to_string())
        .bind(self.writer())
        .bind(self.epoch())
        .bind(self.now_ms)
        .execute(self.on())
        .await?;
        Ok(())
    }

    pub(crate) async fn delete_claim(&mut self, payment: PaymentId) -> Result<(), Error> {
        query("DELETE FROM claims WHERE payment = ?1")
            .bind(payment.to_string())
            .execute(self.on())
            .await?;
        Ok(())
    }

    /// Waiting payments without a call whose time is over.
    pub(crate) async fn overdue(&mut self, now_ms: i64) -> Result<Vec<Payment>, Error> {
        let rows = query(select_payment!(
            "WHERE p.state = 'waiting' AND c.call IS NULL AND p.expires_ms <= ?1 ORDER BY p.id LIMIT 1000"
        ))
        .bind(now_ms)
        .fetch_all(self.on())
        .await?;
        rows.iter().map(payment).collect()
    }

    /// A webhook event about the payment as it is now.
    pub(crate) async fn insert_event(
        &mut self,
        id: uuid::Uuid,
        payment: &Payment,
    ) -> Result<(), Error> {
        let kind = format!("payment.{}", payment.state.name());
        self.insert_event_of(id, payment, &kind, None).await
    }

    /// Of another kind, with something more.
    pub(crate) async fn insert_event_of(
        &mut self,
        id: uuid::Uuid,
        payment: &Payment,
        kind: &str,
        more: Option<(&str, Value)>,
    ) -> Result<(), Error> {
        let mut body = json!({
            "payment_id": payment.id, "tenant": payment.tenant, "order_id": payment.order, "part": payment.part,
            "state": payment.state.name(), "transaction_type": payment.transaction.name(), "amount": payment.amount.minor(),
            "currency": payment.amount.currency().code(), "mode": payment.mode.name(), "operator": payment.operator, "site": payment.site,
            "brand": payment.card.map(|card| card.brand.name()), "last4": payment.card.map(Truncated::last4_text),
            "approval_code": payment.approval_code, "decline_reason": payment.decline_reason,
            "reserved": payment.reserved_minor, "captured": payment.captured_minor, "refunded": payment.refunded_minor,
        });
        if let Some((name, more)) = more {
            body[name] = more;
        }
        query(
            "INSERT INTO outbox (id, payment, number, kind, body, created_ms, due_ms, tenant)
             VALUES (?1, ?2, (SELECT coalesce(max(number), 0) + 1 FROM outbox WHERE payment = ?2), ?3, ?4, ?5, ?5, ?6)",
        )
        .bind(id.to_string())
        .bind(payment.id.to_string())
        .bind(kind)
        .bind(body.to_string())
        .bind(self.now_ms)
        .bind(payment.tenant.as_str())
        .execute(self.on())
        .await?;
        Ok(())
    }

    pub(crate) async fn insert_audit(
        &mut self,
        who: &str,
        what: &str,
        payment: &Payment,
    ) -> Result<(), Error> {
        query("INSERT INTO audit (who, what, tenant, payment, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)")
            .bind(who)
            .bind(what)
            .bind(payment.tenant.as_str())
            .bind(payment.id.to_string())
            .bind(self.now_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }

    /// Ends the leases that have run out for good, so that what their daemons have left can be taken over.
    pub(crate) async fn end_leases(&mut self) -> Result<(), Error> {
        query("UPDATE writers SET lease_ms = 0 WHERE lease_ms BETWEEN 1 AND ?1")
            .bind(self.server_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }

    pub(crate) async fn seen(&mut self) -> Result<(), Error> {
        query("UPDATE writers SET seen_ms = ?2 WHERE name = ?1")
            .bind(self.writer())
            .bind(self.now_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }
}

const DAMAGED: Error = Error::Corrupt {
    what: "a column holds what this program never wrote",
};

/// Every chain must end where its writer left it: a file put back from a copy without its `-wal`, or cut, is noticed at the start.
async fn check_ends(connection: &mut Connection) -> Result<(), Error> {
    let broken: i64 = query(
        "SELECT count(*) FROM writers w WHERE w.records <> (SELECT coalesce(max(number), 0) FROM records WHERE writer = w.name)
            OR (w.records > 0 AND w.head IS DISTINCT FROM (SELECT hash FROM records WHERE writer = w.name AND number = w.records))",
    )
    .scalar(connection)
    .await?;
    if broken == 0 {
        Ok(())
    } else {
        Err(Error::Corrupt {
            what: "the last records of a writer are missing or changed",
        })
    }
}

/// A new epoch for this writer: whatever an earlier one left open belongs to a process that is gone.
async fn register(connection: &mut Connection, writer: &str, now_ms: i64) -> Result<i64, Error> {
    let epoch = query(
        "INSERT INTO writers (name, epoch, pid, started_ms, seen_ms, head) VALUES (?1, 1, ?2, ?3, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET epoch = writers.epoch + 1, pid = excluded.pid, started_ms = excluded.started_ms,
            seen_ms = excluded.seen_ms
         RETURNING epoch",
    )
    .bind(writer)
    .bind(std::process::id())
    .bind(now_ms)
    .bind(chain::ROOT.as_slice())
    .scalar(connection)
    .await?;
    Ok(epoch)
}

fn migration_error(error: MigrateError, known: i64) -> Error {
    match error {
        MigrateError::VersionMissing(found) | MigrateError::VersionTooNew(found, _) => {
            Error::Version { found, known }
        }
        MigrateError::VersionMismatch(_) | MigrateError::Dirty(_) => Error::Corrupt {
            what: "a migration of the schema was changed or left half done",
        },
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => source.into(),
        other => Error::Store {
            source: sqlx::Error::Migrate(Box::new(other)),
        },
    }
}

fn known_version(migrations: &Migrator) -> i64 {
    migrations
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

async fn walk(connection: &mut Connection, report: &mut VerifyReport) -> Result<(), Error> {
    let writers = query("SELECT name, records, head FROM writers ORDER BY name")
        .fetch_all(&mut *connection)
        .await?;
    let removals = retention::removals(&mut *connection).await?;
    let taken_out: TakenOut = removals.into_iter().collect();
    for writer in &writers {
        let name: &str = writer.try_get("name")?;
        let (mut before, mut number) = (chain::ROOT, 0_i64);
        loop {
            let rows = query(
                "SELECT * FROM records WHERE writer = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
            )
            .bind(name)
            .bind(number)
            .bind(PAGE)
            .fetch_all(&mut *connection)
            .await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let sequence = row.try_get("sequence")?;
                let prev = bytes32(row, "prev_hash")?;
                let link = Link {
                    writer: name,
                    number: row.try_get("number")?,
                    epoch: row.try_get("epoch")?,
                    version: row.try_get("version")?,
                    at_ms: row.try_get("at_ms")?,
                    payment: row.try_get("payment")?,
                    operation: row.try_get("operation")?,
                    kind: row.try_get("kind")?,
                    body: row.try_get("body")?,
                };
                let hash = bytes32(row, "hash")?;
                if link.number != number + 1 || prev != before {
                    note(report, Break::Order { sequence });
                }
                if link.body == retention::TAKEN_OUT {
                    report.removed += 1;
                    if !taken_out.has(name, link.number) {
                        note(report, Break::Removed { sequence });
                    }
                } else if chain::hash(&link, &prev) != hash {
                    note(report, Break::Content { sequence });
                }
                (before, number) = (hash, link.number);
                report.records += 1;
            }
        }
        if number != writer.try_get::<i64>("records")? || before != bytes32(writer, "head")? {
            note(
                report,
                Break::End {
                    writer: name.to_owned(),
                },
            );
        }
    }
    // A chain whose writer was taken away, or that begins before its first record, is walked by nobody.
    let strays = query(
        "SELECT DISTINCT writer FROM records r WHERE number < 1 OR NOT EXISTS (SELECT 1 FROM writers w WHERE w.name = r.writer)",
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in &strays {
        let writer = row.try_get("writer")?;
        note(report, Break::End { writer });
    }
    let payments: i64 = query("SELECT count(*) FROM payments")
        .scalar(&mut *connection)
        .await?;
    report.payments = payments.cast_unsigned();
    let odd = query(connection.odd_payments())
        .fetch_all(&mut *connection)
        .await?;
    for row in &odd {
        note(
            report,
            Break::State {
                payment: parsed(row, "id")?.ok_or(DAMAGED)?,
            },
        );
    }
    Ok(())
}

fn note(report: &mut VerifyReport, found: Break) {
    if report.breaks.len() < VerifyReport::MAX_BREAKS {
        report.breaks.push(found);
    }
}

fn payment(row: &Row) -> Result<Payment, Error> {
    Ok(Payment {
        id: parsed(row, "id")?.ok_or(DAMAGED)?,
        tenant: parsed(row, "tenant")?.ok_or(DAMAGED)?,
        order: parsed(row, "order_id")?,
        part: row.try_get("part")?,
        operator: parsed(row, "operator")?,
        site: parsed(row, "site")?,
        amount: money(row)?,
        state: named(row, "state", State::from_name)?,
        mode: named(row, "mode", Mode::from_name)?,
        connector: row.try_get("connector")?,
        connector_named: row.try_get("connector_named")?,
        language: row.try_get("language")?,
        prompt_version: row.try_get("prompt_version")?,
        origin: if row.try_get("desk")? {
            Origin::Desk
        } else {
            named(row, "origin", Origin::from_name)?
        },
        entered_by: named(row, "entered_by", EnteredBy::from_name)?,
        operator_extension: row.try_get("match_operator_extension")?,
        caller_number: row.try_get("match_caller_number")?,
        created_ms: row.try_get("created_ms")?,
        expires_ms: row.try_get("expires_ms")?,
        updated_ms: row.try_get("updated_ms")?,
        reference: row.try_get("reference")?,
        card: card(row)?,
        approval_code: row.try_get("approval_code")?,
        acquirer_ref: parsed(row, "acquirer_ref")?,
        decline_reason: row.try_get("decline_reason")?,
        result: row.try_get("result")?,
        evidence: document(row, "evidence")?,
        call: parsed(row, "call")?,
        asked_plan: parsed(row, "asked_plan")?,
        plan: parsed(row, "plan")?.ok_or(DAMAGED)?,
        reserved_minor: row
            .try_get::<Option<i64>>("reserved_minor")?
            .map(i64::cast_unsigned),
        captured_minor: row
            .try_get::<Option<i64>>("captured_minor")?
            .map(i64::cast_unsigned),
        refunded_minor: row.try_get::<i64>("refunded_minor")?.cast_unsigned(),
        transaction: named(row, "transaction_type", Transaction::from_name)?,
        stored: stored(row)?,
        attached: Attached {
            description: row.try_get("description")?,
            parameters: document(row, "parameters")?
                .map(serde_json::from_value)
                .transpose()
                .map_err(|_| DAMAGED)?
                .unwrap_or_default(),
        },
        disputed: dispute(row)?,
    })
}

fn dispute(row: &Row) -> Result<Option<Dispute>, Error> {
    let Some(since_ms) = row.try_get("disputed_ms")? else {
        return Ok(None);
    };
    Ok(Some(Dispute {
        since_ms,
        by: parsed(row, "disputed_by")?.ok_or(DAMAGED)?,
        reason: row
            .try_get::<Option<String>>("dispute_reason")?
            .ok_or(DAMAGED)?,
    }))
}

/// None at all are no column.
fn parameters(attached: &Attached) -> Option<String> {
    let parameters = &attached.parameters;
    (!parameters.is_empty()).then(|| serde_json::json!(parameters).to_string())
}

fn stored(row: &Row) -> Result<Option<StoredCard>, Error> {
    let Some(token) = parsed(row, "token")? else {
        return Ok(None);
    };
    let card = truncated(row, "token_brand", "token_last4")?.ok_or(DAMAGED)?;
    Ok(Some(StoredCard { token, card }))
}

fn operation(row: &Row) -> Result<Operation, Error> {
    let order: i64 = row.try_get("acquirer_order")?;
    let outcome = document(row, "outcome")?;
    Ok(Operation {
        id: parsed(row, "id")?.ok_or(DAMAGED)?,
        payment: parsed(row, "payment")?.ok_or(DAMAGED)?,
        connector: row.try_get::<Option<String>>("connector")?.ok_or(DAMAGED)?,
        parent: parsed(row, "parent")?,
        by: row.try_get("by_whom")?,
        progress: document(row, "progress")?,
        kind: if row.try_get("changes")? {
            OperationKind::Change
        } else {
            named(row, "kind", kind)?
        },
        amount: money(row)?,
        idempotency_key: parsed::<IdempotencyKey>(row, "idempotency_key")?.ok_or(DAMAGED)?,
        acquirer_order: AcquirerOrder::new(order.cast_unsigned()).ok_or(DAMAGED)?,
        state: named(row, "state", OperationState::from_name)?,
        outcome: outcome
            .map(serde_json::from_value)
            .transpose()
            .map_err(|_| DAMAGED)?,
        card: card(row)?.ok_or(DAMAGED)?,
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
    })
}

fn kind(name: &str) -> Option<OperationKind> {
    use OperationKind as Kind;
    [
        Kind::Authorise,
        Kind::Capture,
        Kind::Charge,
        Kind::Query,
        Kind::Refund,
        Kind::Tokenise,
        Kind::Verify,
        Kind::Void,
    ]
    .into_iter()
    .find(|kind| kind.name() == name)
}

fn money(row: &Row) -> Result<Money, Error> {
    let (minor, currency): (i64, &str) = (row.try_get("amount_minor")?, row.try_get("currency")?);
    let currency: Currency = currency.parse().map_err(|_| DAMAGED)?;
    Money::new(u64::try_from(minor).map_err(|_| DAMAGED)?, currency).map_err(|_| DAMAGED)
}

/// [`Money::MAX`] is far below `i64::MAX`.
fn minor(amount: Money) -> i64 {
    amount.minor().cast_signed()
}

fn card(row: &Row) -> Result<Option<Truncated>, Error> {
    truncated(row, "brand", "last4")
}

fn truncated(row: &Row, brand: &str, last4: &str) -> Result<Option<Truncated>, Error> {
    let (brand, last4): (Option<&str>, Option<&str>) = (row.try_get(brand)?, row.try_get(last4)?);
    let (Some(brand), Some(last4)) = (brand, last4) else {
        return Ok(None);
    };
    let brand = Brand::ALL
        .into_iter()
        .find(|known| known.name() == brand)
        .ok_or(DAMAGED)?;
    let digits: [u8; 4] = last4.as_bytes().try_into().map_err(|_| DAMAGED)?;
    Truncated::new(brand, digits.map(|digit| digit.wrapping_sub(b'0')))
        .map(Some)
        .ok_or(DAMAGED)
}

fn parsed<T: std::str::FromStr>(row: &Row, column: &str) -> Result<Option<T>, Error> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| text.parse().map_err(|_| DAMAGED))
        .transpose()
}

/// The ids of rows.
fn ids<T: std::str::FromStr>(rows: &[Row]) -> Result<Vec<T>, Error> {
    rows.iter()
        .map(|row| parsed(row, "id")?.ok_or(DAMAGED))
        .collect()
}

fn named<T>(row: &Row, column: &str, from_name: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
    from_name(row.try_get(column)?).ok_or(DAMAGED)
}

fn document(row: &Row, column: &str) -> Result<Option<Value>, Error> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| serde_json::from_str(text).map_err(|_| DAMAGED))
        .transpose()
}

fn bytes32(row: &Row, column: &str) -> Result<[u8; 32], Error> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| DAMAGED)
}
