//! How a transaction comes to the disk: one connection writes, one transaction after the other, and those that come while one waits for the
//! disk share the next sync.
//!
//! A transaction that has to be synced is not committed when it ends but given to a *batch*: whoever waits for the connection meanwhile goes on
//! in the same transaction of the database, behind a savepoint, and one commit is for all of them. Each returns when that commit has. One that
//! fails is rolled back to its savepoint and takes nothing of the others with it. What rides on the next sync by itself is committed at once.
//!
//! *Invariant*: a commit of a batch is made by a task of its own, which no caller who goes away can end; a caller who goes away in the middle
//! of his own part leaves a mark, and his part is rolled back before anything else happens.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::sync::{Mutex, MutexGuard, Notify, oneshot};

use super::postgres::{self, Postgres};
use crate::Error;
use crate::db::{Connection, On, Pool, query};
use crate::types::Clock;

/// Whether a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Returns after the sync.
    Synced,
    /// Rides on the next sync; survives the end of the process, not that of the machine.
    Rides,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) records: i64,
    pub(super) hash: [u8; 32],
}

/// Where the connection that writes goes.
pub(super) enum Place {
    Sqlite(SqliteConnectOptions),
    Postgres(Postgres),
}

/// What writes.
pub(super) struct Write {
    pub(super) place: Place,
    pub(super) writer: String,
    pub(super) epoch: i64,
    slot: Mutex<Slot>,
    /// Parts and commits until now.
    count: [AtomicU64; 2],
    /// A task was committed.
    pub(super) task_made: Notify,
}

/// The one connection that writes. One that failed is closed, which rolls back whatever it had open.
#[derive(Default)]
struct Slot {
    connection: Option<Connection>,
    /// Whether SQLite's commits are synced at the moment.
    durability: Option<Durability>,
    /// End of this writer's chain by the last commit; read anew when `None`.
    head: Option<Head>,
    /// The transaction that is open between two callers.
    batch: Option<Batch>,
    /// Batches until now.
    batches: u64,
    /// Held while the journal is open, where it is a file.
    lock: Option<File>,
    is_stopped: bool,
}

/// A transaction of the database, with the parts of several callers.
struct Batch {
    number: u64,
    durability: Durability,
    head: Option<Head>,
    appended: bool,
    made_task: bool,
    /// Whose part is done, and who waits for the commit.
    waiting: Vec<oneshot::Sender<Result<(), Error>>>,
    /// Somebody went away in the middle of his part.
    is_dirty: bool,
    /// A task sees to the commit.
    is_seen_to: bool,
    /// PostgreSQL's name of the transaction, by which its fate is found out.
    name: Option<String>,
    server_ms: i64,
}

/// The savepoint of a part that is not the first one. There is one of this name at most: what is taken back is released too, since a second
/// `ROLLBACK TO` would find the one below, and take back somebody else's part. Without one it fails, and everybody is told so.
const PART: &str = "SAVEPOINT part";
const PART_DONE: &str = "RELEASE SAVEPOINT part";
const PART_BACK: &str = "ROLLBACK TO SAVEPOINT part";

impl Write {
    pub(super) fn new(
        place: Place,
        writer: String,
        epoch: i64,
        connection: Connection,
        lock: Option<File>,
    ) -> Self {
        let slot = Slot {
            connection: Some(connection),
            durability: Some(Durability::Synced),
            lock,
            ..Slot::default()
        };
        Self {
            place,
            writer,
            epoch,
            slot: Mutex::new(slot),
            count: Default::default(),
            task_made: Notify::new(),
        }
    }

    /// Transactions, and the commits that they have shared.
    pub(super) fn commits(&self) -> (u64, u64) {
        let [parts, commits] = &self.count;
        (
            parts.load(Ordering::Relaxed),
            commits.load(Ordering::Relaxed),
        )
    }

    /// Whether this process may write, and send what it has written.
    pub(super) fn holds(&self) -> Result<(), Error> {
        match &self.place {
            Place::Sqlite(_) => Ok(()),
            Place::Postgres(server) => server.lease.holds(),
        }
    }

    /// Returns when it may not any more.
    pub(super) async fn fenced(&self) -> &'static str {
        match &self.place {
            Place::Sqlite(_) => std::future::pending().await,
            Place::Postgres(server) => server.lease.ended().await,
        }
    }

    /// Begins a transaction with the write lock in hand.
    pub(super) async fn begin<'a>(
        self: &'a Arc<Self>,
        durability: Durability,
        clock: &Clock,
    ) -> Result<Tx<'a>, Error> {
        let mut slot = self.slot.lock().await;
        if slot.is_stopped {
            return Err(Error::ReadOnly);
        }
        // What can't be taken back is gone with its transaction; another one is begun.
        self.clean(&mut slot).await.ok();
        let is_first = slot.batch.is_none();
        if is_first {
            self.open(&mut slot, durability).await?;
        }
        let mut tx = Tx {
            head: slot.batch.as_ref().and_then(|batch| batch.head),
            server_ms: slot.batch.as_ref().map_or(0, |batch| batch.server_ms),
            slot,
            write: self,
            now_ms: 0,
            jumped_ms: 0,
            appended: false,
            made_task: false,
            is_first,
            is_over: false,
        };
        if !is_first && let Err(error) = query(PART).execute(tx.on()).await {
            let error = Error::from(error);
            tx.is_over = true;
            tx.slot.lose(&error);
            return Err(error);
        }
        tx.now_ms = clock();
        Ok(tx)
    }

    /// A transaction of the database.
    async fn open(&self, slot: &mut Slot, durability: Durability) -> Result<(), Error> {
        let (mut name, mut server_ms) = (None, 0);
        let connection = match &self.place {
            Place::Sqlite(connect) => {
                let mut connection = match slot.connection.take() {
                    Some(connection) => connection,
                    None => {
                        (slot.durability, slot.head) = (Some(Durability::Synced), None);
                        Connection::Sqlite(connect.connect().await?)
                    }
                };
                if slot.durability != Some(durability) {
                    slot.durability = None;
                    let pragma = match durability {
                        Durability::Synced => "PRAGMA synchronous = FULL",
                        Durability::Rides => "PRAGMA synchronous = NORMAL",
                    };
                    query(pragma).execute(&mut connection).await?;
                    slot.durability = Some(durability);
                }
                if let Err(error) = query("BEGIN IMMEDIATE").execute(&mut connection).await {
                    let error = Error::from(error);
                    if matches!(error, Error::Busy) {
                        slot.connection = Some(connection);
                    }
                    return Err(error);
                }
                connection
            }
            Place::Postgres(server) => {
                let had = slot.connection.take();
                let begun = server
                    .begin(had, (&self.writer, self.epoch), slot.head, durability)
                    .await?;
                (name, server_ms) = (Some(begun.name), begun.server_ms);
                begun.connection
            }
        };
        slot.connection = Some(connection);
        slot.batches += 1;
        slot.batch = Some(Batch {
            number: slot.batches,
            durability,
            head: slot.head,
            appended: false,
            made_task: false,
            waiting: Vec::new(),
            is_dirty: false,
            is_seen_to: false,
            name,
            server_ms,
        });
        Ok(())
    }

    /// Takes back what somebody left who went away.
    async fn clean(&self, slot: &mut Slot) -> Result<(), Error> {
        let (Some(batch), Some(connection)) = (&mut slot.batch, &mut slot.connection) else {
            return Ok(());
        };
        if !batch.is_dirty {
            return Ok(());
        }
        match take_back(connection).await {
            Ok(()) => {
                batch.is_dirty = false;
                Ok(())
            }
            Err(error) => {
                let error = Error::from(error);
                slot.lose(&error);
                Err(error)
            }
        }
    }

    /// Commits what is open, and tells everybody who waits for it.
    async fn commit(&self, slot: &mut Slot) -> Result<(), Error> {
        // A failure of it has been told.
        self.clean(slot).await?;
        let Some(batch) = slot.batch.take() else {
            return Ok(());
        };
        let Some(mut connection) = slot.connection.take() else {
            return Err(Error::gone());
        };
        // Whoever waits here may go away, and what became of it is not known then: where the chain ends is read anew.
        let before = slot.head.take();
        let committed = self.commit_on(&mut connection, &batch).await;
        let is_lost = match (&self.place, &committed) {
            (Place::Postgres(server), Err(error)) if postgres::is_lost(error) => Some(server),
            _ => None,
        };
        let committed = match is_lost {
            // The connection is gone, and with it the answer.
            Some(server) => server.fate(batch.name.as_deref()).await,
            None => {
                if committed.is_ok() {
                    slot.connection = Some(connection);
                }
                committed.map_err(Error::from)
            }
        };
        match &committed {
            Ok(()) => {
                slot.head = batch.head;
                let parts = batch.waiting.len().max(1);
                for (count, more) in self.count.iter().zip([parts, 1]) {
                    count.fetch_add(more as u64, Ordering::Relaxed);
                }
                if batch.made_task {
                    self.task_made.notify_one();
                }
            }
            // PostgreSQL's is known: nothing was written behind it.
            Err(_) if matches!(self.place, Place::Sqlite(_)) => {}
            Err(_) => slot.head = before,
        }
        for waiting in batch.waiting {
            let told = committed.as_ref().copied().map_err(Error::again);
            // Whoever has gone away does not need it.
            waiting.send(told).ok();
        }
        committed
    }

    async fn commit_on(
        &self,
        connection: &mut Connection,
        batch: &Batch,
    ) -> Result<(), sqlx::Error> {
        if let Some(head) = batch.head
            && batch.appended
        {
            query("UPDATE writers SET records = ?2, head = ?3 WHERE name = ?1")
                .bind(&self.writer)
                .bind(head.records)
                .bind(head.hash.as_slice())
                .execute(&mut *connection)
                .await?;
        } else if matches!(self.place, Place::Postgres(_)) {
            // A transaction that has failed is rolled back by COMMIT without a word; this says it.
            query("SELECT 1").execute(&mut *connection).await?;
        }
        #[cfg(feature = "plant")]
        crate::plant::point("before a commit");
        query("COMMIT").execute(&mut *connection).await?;
        #[cfg(feature = "plant")]
        crate::plant::point("behind a commit");
        Ok(())
    }

    /// Commits what is open, closes every connection and gives the lock back.
    pub(super) async fn stop(&self, reads: &Pool) -> Result<(), Error> {
        let mut slot = self.slot.lock().await;
        let committed = self.commit(&mut slot).await;
        slot.is_stopped = true;
        reads.close().await;
        match (&self.place, slot.connection.take()) {
            (Place::Sqlite(_), Some(mut connection)) => {
                // Everything from the WAL into the file.
                query("PRAGMA wal_checkpoint(TRUNCATE)")
                    .execute(&mut connection)
                    .await?;
                connection.close().await?;
            }
            (Place::Postgres(server), connection) => {
                server.leave(connection, (&self.writer, self.epoch)).await?;
            }
            (Place::Sqlite(_), None) => {}
        }
        slot.lock = None;
        committed
    }

    #[cfg(test)]
    pub(super) async fn synchronous(&self) -> i64 {
        let mut slot = self.slot.lock().await;
        let connection = slot.connection.as_mut().expect("between two transactions");
        query("PRAGMA synchronous")
            .scalar(connection)
            .await
            .expect("a pragma")
    }
}

async fn take_back(connection: &mut Connection) -> Result<(), sqlx::Error> {
    query(PART_BACK).execute(&mut *connection).await?;
    query(PART_DONE).execute(connection).await?;
    Ok(())
}

impl Slot {
    /// The transaction is gone, and the parts of everybody in it.
    fn lose(&mut self, why: &Error) {
        self.connection = None;
        for waiting in self.batch.take().into_iter().flat_map(|b| b.waiting) {
            waiting.send(Err(why.again())).ok();
        }
    }
}

/// A transaction. Dropped without [`Tx::end`] it is rolled back.
pub(crate) struct Tx<'a> {
    slot: MutexGuard<'a, Slot>,
    write: &'a Arc<Write>,
    /// One time for the whole transaction.
    pub(crate) now_ms: i64,
    /// How far the clock has jumped ahead since the journal was opened.
    pub(crate) jumped_ms: i64,
    /// The database's, by which leases are; 0 where there are none.
    pub(super) server_ms: i64,
    pub(super) head: Option<Head>,
    pub(super) appended: bool,
    pub(super) made_task: bool,
    /// Nobody's part is before it.
    is_first: bool,
    is_over: bool,
}

impl<'a> Tx<'a> {
    pub(super) fn on(&mut self) -> On<'_> {
        match &mut self.slot.connection {
            Some(connection) => On::Connection(connection),
            None => On::Nowhere,
        }
    }

    pub(super) fn writer(&self) -> &'a str {
        let write = self.write;
        &write.writer
    }

    pub(super) fn epoch(&self) -> i64 {
        self.write.epoch
    }

    /// Commits what went well and rolls back what did not.
    pub(crate) async fn end<T, E: From<Error>>(mut self, outcome: Result<T, E>) -> Result<T, E> {
        match outcome {
            Ok(value) => {
                self.commit().await?;
                Ok(value)
            }
            Err(error) => {
                self.roll_back().await;
                Err(error)
            }
        }
    }

    async fn roll_back(&mut self) {
        let done = match &mut self.slot.connection {
            Some(connection) if self.is_first => {
                query("ROLLBACK").execute(connection).await.map(drop)
            }
            Some(connection) => take_back(connection).await,
            None => Err(sqlx::Error::WorkerCrashed),
        };
        self.is_over = true;
        match done {
            Ok(()) if self.is_first => self.slot.batch = None,
            Ok(()) => {}
            // SQLite may have rolled back everything by itself (disk full); the connection is not used again.
            Err(error) => self.slot.lose(&error.into()),
        }
    }

    async fn commit(mut self) -> Result<(), Error> {
        if !self.is_first
            && let Err(error) = query(PART_DONE).execute(self.on()).await
        {
            self.is_over = true;
            let error = Error::from(error);
            self.slot.lose(&error);
            return Err(error);
        }
        let write = self.write;
        let (head, appended, made_task) = (self.head, self.appended, self.made_task);
        self.is_over = true;
        let Some(batch) = &mut self.slot.batch else {
            return Err(Error::gone());
        };
        batch.head = head;
        batch.appended |= appended;
        batch.made_task |= made_task;
        if batch.durability == Durability::Rides {
            return write.commit(&mut self.slot).await;
        }
        let (done, wait) = oneshot::channel();
        batch.waiting.push(done);
        if !batch.is_seen_to {
            batch.is_seen_to = true;
            let (write, number) = (Arc::clone(write), batch.number);
            // Behind those who wait for the connection now: they share its commit.
            tokio::spawn(async move {
                let mut slot = write.slot.lock().await;
                if slot.batch.as_ref().is_some_and(|b| b.number == number) {
                    // Everybody has been told.
                    write.commit(&mut slot).await.ok();
                }
            });
        }
        drop(self);
        wait.await.unwrap_or_else(|_| Err(Error::gone()))
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if self.is_first {
            // Closed, which rolls it back.
            (self.slot.connection, self.slot.batch) = (None, None);
        } else if let Some(batch) = &mut self.slot.batch {
            batch.is_dirty = true;
        }
    }
}
