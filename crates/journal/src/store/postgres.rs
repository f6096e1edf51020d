//! The journal as a database of PostgreSQL, which several daemons share.
//!
//! One of them writes at a time, as with SQLite: each transaction takes one advisory lock first, and has it until its commit is on disk. So
//! what a transaction reads nobody changes, and none has to be tried again. A daemon is known by its name, and each start of it by an epoch. It
//! has a *lease* in its row of `writers`, by the database's clock, and each transaction looks at it behind the lock: who takes over what another
//! has left behind does it under the same lock, when that lease has ended, and ends it for good. So a daemon that was away comes back to
//! [`Error::Fenced`], and writes nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::batch::{Durability, Head, Place, Write};
use super::{READERS, bytes32, check_ends, known_version, migration_error, register};
use crate::Error;
use crate::db::{Connection, Pool, bounded, query};
use crate::location::Server;
use crate::types::OpenOptions;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// "ivrp": of the advisory lock that whoever writes has.
const WRITE_LOCK: i64 = 0x6976_7270;

/// Oldest version that is tested against.
const VERSION_MIN: u32 = 140_000;

/// How long the server lets a transaction stand still: a daemon that is stopped in the middle of one keeps the others waiting so long.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// How long the fate of a commit is looked for whose answer was lost.
const FATE_MAX: Duration = Duration::from_secs(8);

/// The server's time, UTC milliseconds.
macro_rules! server_ms {
    () => {
        "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
    };
}

/// Asks for it.
pub(super) const SERVER_MS: &str = concat!("SELECT ", server_ms!());

/// The database, and the right of this daemon to write it.
pub(super) struct Postgres {
    connect: PgConnectOptions,
    pub(super) lease: Arc<Lease>,
}

/// A transaction that was begun.
pub(super) struct Begun {
    pub(super) connection: Connection,
    /// By which its fate can be asked for.
    pub(super) name: String,
    /// The server's time.
    pub(super) server_ms: i64,
}

pub(super) async fn open(
    server: &Server,
    options: &OpenOptions,
) -> Result<(Pool, Arc<Write>), Error> {
    let connect = session(&server.connect, &options.writer, options.busy_timeout);
    let mut connection = establish(&connect).await?;
    check_server(&mut connection).await?;
    MIGRATIONS
        .run(&mut connection)
        .await
        .map_err(|error| migration_error(error, known_version(&MIGRATIONS)))?;
    let mut connection = Connection::Postgres(connection);
    check_ends(&mut connection).await?;
    let registered = enter(&mut connection, options).await?;
    let lease = Arc::new(Lease::new(
        options.lease,
        registered.began,
        registered.instance,
    ));
    tokio::spawn(renew(
        connect.clone(),
        options.writer.clone(),
        registered.epoch,
        Arc::downgrade(&lease),
        options.lease,
    ));
    let reads = readers(&connect, options.busy_timeout).await?;
    let place = Place::Postgres(Postgres { connect, lease });
    let (writer, epoch) = (options.writer.clone(), registered.epoch);
    let write = Write::new(place, writer, epoch, connection, None);
    Ok((reads, Arc::new(write)))
}

pub(super) async fn open_read_only(server: &Server, busy_timeout: Duration) -> Result<Pool, Error> {
    let connect = session(&server.connect, "reader", busy_timeout);
    let mut connection = establish(&connect).await?;
    check_server(&mut connection).await?;
    readers(&connect, busy_timeout).await
}

fn session(connect: &PgConnectOptions, writer: &str, patience: Duration) -> PgConnectOptions {
    let idle = IDLE_MAX.as_millis().to_string();
    let patience = patience.as_millis().max(1).to_string();
    connect
        .clone()
        .application_name(&format!("ivrpay {writer}"))
        .options([
            ("idle_in_transaction_session_timeout", idle.as_str()),
            ("lock_timeout", patience.as_str()),
        ])
}

async fn establish(connect: &PgConnectOptions) -> Result<PgConnection, Error> {
    Ok(bounded(connect.connect()).await?)
}

async fn readers(connect: &PgConnectOptions, patience: Duration) -> Result<Pool, Error> {
    let pool = PgPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(patience)
        .after_connect(|connection, _| {
            Box::pin(async move {
                let read_only = "SET default_transaction_read_only = on";
                sqlx::query(read_only).execute(connection).await.map(drop)
            })
        })
        .connect_with(connect.clone())
        .await?;
    Ok(Pool::Postgres(pool))
}

/// Refuses a server on which a promise of ours would not hold.
async fn check_server(connection: &mut PgConnection) -> Result<(), Error> {
    if connection
        .server_version_num()
        .is_some_and(|version| version < VERSION_MIN)
    {
        return Err(Error::Server {
            what: "the server is older than PostgreSQL 14",
            hint: "install PostgreSQL 14 or newer",
        });
    }
    let setting = async |connection: &mut PgConnection, name: &'static str| {
        let shown = sqlx::query_scalar("SELECT current_setting($1)").bind(name);
        bounded(shown.fetch_one(connection)).await
    };
    let off: String = setting(connection, "fsync").await?;
    if off == "off" {
        return Err(Error::Server {
            what: "the server runs with fsync = off: a loss of power would lose payments that were promised to be kept",
            hint: "set fsync = on in postgresql.conf, and start the server anew",
        });
    }
    let off: String = setting(connection, "synchronous_commit").await?;
    if off == "off" {
        return Err(Error::Server {
            what: "the server commits with synchronous_commit = off: a crash would lose payments that were promised to be kept",
            hint: "set synchronous_commit = on in postgresql.conf, or take it out of ALTER ROLE and ALTER DATABASE",
        });
    }
    let off: String = setting(connection, "full_page_writes").await?;
    if off == "off" {
        return Err(Error::Server {
            what: "the server runs with full_page_writes = off: a loss of power may damage the journal",
            hint: "set full_page_writes = on in postgresql.conf",
        });
    }
    Ok(())
}

struct Registered {
    epoch: i64,
    instance: Instance,
    /// When the lease was asked for.
    began: Moment,
}

/// A new epoch for this daemon, when no other one of its name is alive.
async fn enter(connection: &mut Connection, options: &OpenOptions) -> Result<Registered, Error> {
    let patience = Instant::now() + options.lease + Duration::from_secs(1);
    loop {
        let began = Moment::now();
        let instance = Instance::new();
        query("BEGIN").execute(&mut *connection).await?;
        let entered = enter_now(connection, options, &instance).await;
        match entered {
            Ok(Some(epoch)) => {
                query("COMMIT").execute(&mut *connection).await?;
                return Ok(Registered {
                    epoch,
                    instance,
                    began,
                });
            }
            Ok(None) if Instant::now() < patience => {
                query("ROLLBACK").execute(&mut *connection).await?;
                sleep(Duration::from_millis(200)).await;
            }
            Ok(None) => {
                let pid: i64 = query("SELECT pid FROM writers WHERE name = ?1")
                    .bind(&options.writer)
                    .scalar(&mut *connection)
                    .await?;
                return Err(Error::InUse {
                    pid: u32::try_from(pid).ok(),
                });
            }
            Err(error) => return Err(error),
        }
    }
}

/// `None` while another one of this name has a lease.
async fn enter_now(
    connection: &mut Connection,
    options: &OpenOptions,
    instance: &Instance,
) -> Result<Option<i64>, Error> {
    query("SELECT pg_advisory_xact_lock(?1)")
        .bind(WRITE_LOCK)
        .execute(&mut *connection)
        .await?;
    let other = query(concat!(
        "SELECT lease_ms > ",
        server_ms!(),
        " AS is_alive, instance FROM writers WHERE name = ?1"
    ))
    .bind(&options.writer)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(other) = other {
        let instance: Option<&str> = other.try_get("instance")?;
        if other.try_get("is_alive")? && !instance.is_some_and(Instance::is_gone) {
            return Ok(None);
        }
    }
    let epoch = register(connection, &options.writer, (options.clock)()).await?;
    query(concat!(
        "UPDATE writers SET instance = ?2, lease_ms = ",
        server_ms!(),
        " + ?3 WHERE name = ?1"
    ))
    .bind(&options.writer)
    .bind(instance.name.as_deref())
    .bind(milliseconds(options.lease))
    .execute(&mut *connection)
    .await?;
    Ok(Some(epoch))
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl Postgres {
    /// Begins a transaction with the lock of whoever writes, and the lease seen to hold. `head`: the end of our chain by our last commit.
    pub(super) async fn begin(
        &self,
        had: Option<Connection>,
        (writer, epoch): (&str, i64),
        head: Option<Head>,
        durability: Durability,
    ) -> Result<Begun, Error> {
        self.lease.holds()?;
        let mut connection = match had {
            Some(connection) => connection,
            None => Connection::Postgres(establish(&self.connect).await?),
        };
        if let Err(error) = lock(&mut connection, durability).await {
            if !is_lost(&error) {
                // Of no use any more: it may have begun.
                return Err(error.into());
            }
            // The server was started anew, or has let go of a connection that stood still. Nothing was asked of it yet.
            connection = Connection::Postgres(establish(&self.connect).await?);
            lock(&mut connection, durability).await?;
        }
        let row = query(concat!(
            "SELECT epoch = ?2 AND lease_ms > ",
            server_ms!(),
            " AS holds, records, head, CAST(pg_current_xact_id() AS text) AS name, ",
            server_ms!(),
            " AS server_ms FROM writers WHERE name = ?1"
        ))
        .bind(writer)
        .bind(epoch)
        .fetch_one(&mut connection)
        .await?;
        if !row.try_get("holds")? {
            self.lease.end(LAPSED);
            return Err(Error::Fenced { why: LAPSED });
        }
        let found = Head {
            records: row.try_get("records")?,
            hash: bytes32(&row, "head")?,
        };
        if head.is_some_and(|head| head != found) {
            self.lease.end(LOST);
            return Err(Error::Fenced { why: LOST });
        }
        let (name, server_ms) = (row.try_get("name")?, row.try_get("server_ms")?);
        drop(row);
        Ok(Begun {
            connection,
            name,
            server_ms,
        })
    }

    /// What became of a transaction whose commit was not answered.
    pub(super) async fn fate(&self, name: Option<&str>) -> Result<(), Error> {
        let found = async {
            loop {
                match self.ask_fate(name).await {
                    Ok(Some(committed)) => return committed,
                    // It is being committed still, or the server is not back yet.
                    Ok(None) | Err(_) => sleep(Duration::from_millis(100)).await,
                }
            }
        };
        match timeout(FATE_MAX, found).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Unreachable {
                source: std::io::Error::from(std::io::ErrorKind::ConnectionAborted).into(),
            }),
            Err(_) => {
                // What this process believes may differ from what is written: another start makes it good.
                self.lease.end(UNSURE);
                Err(Error::Unsure)
            }
        }
    }

    async fn ask_fate(&self, name: Option<&str>) -> Result<Option<bool>, Error> {
        let mut connection = Connection::Postgres(establish(&self.connect).await?);
        let fate: Option<String> = query("SELECT pg_xact_status(CAST(CAST(?1 AS text) AS xid8))")
            .bind(name)
            .scalar(&mut connection)
            .await?;
        connection.close().await.ok();
        Ok(match fate.as_deref() {
            Some("committed") => Some(true),
            Some("aborted") => Some(false),
            _ => None,
        })
    }

    /// Gives the lease back, so that the next start of this name need not wait for its end.
    pub(super) async fn leave(
        &self,
        connection: Option<Connection>,
        (writer, epoch): (&str, i64),
    ) -> Result<(), Error> {
        self.lease.end(CLOSED);
        let mut connection = match connection {
            Some(connection) => connection,
            None => Connection::Postgres(establish(&self.connect).await?),
        };
        query("UPDATE writers SET lease_ms = 0 WHERE name = ?1 AND epoch = ?2")
            .bind(writer)
            .bind(epoch)
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(())
    }
}

async fn lock(connection: &mut Connection, durability: Durability) -> Result<(), sqlx::Error> {
    let Connection::Postgres(connection) = connection else {
        return Err(sqlx::Error::WorkerCrashed);
    };
    let rides = match durability {
        // As the server has it: `on`, or stricter.
        Durability::Synced => "",
        Durability::Rides => "SET LOCAL synchronous_commit = off;",
    };
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED;{rides}SELECT pg_advisory_xact_lock({WRITE_LOCK})"
    );
    bounded(sqlx::raw_sql(AssertSqlSafe(begin)).execute(connection))
        .await
        .map(drop)
}

/// Whether the connection is gone, so that nobody knows what became of what was asked last.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error
            .code()
            // connection exceptions, shut down or crashed by somebody, idle for too long
            .is_some_and(|code| {
                code.starts_with("08") || code.starts_with("57P") || code == "25P03"
            }),
        _ => false,
    }
}

const LAPSED: &str = "its lease has ended, and another daemon may have taken over what it left";
const LOST: &str = "the database has lost what it had confirmed, as after a crash or a switch to a copy that was behind";
const UNSURE: &str = "the database did not say whether it has written a payment's last step";
const CLOSED: &str = "it was closed";

/// When something was, by the clock that runs on while a process is stopped and by the one that runs on while a machine is.
#[derive(Clone, Copy)]
struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    fn now() -> Self {
        Self {
            steady: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// The longer one of the two.
    fn age(&self) -> Duration {
        let wall = self.wall.elapsed().unwrap_or_default();
        self.steady.elapsed().max(wall)
    }
}

/// The right to write, as far as this process knows. It ends once, and never comes back.
pub(super) struct Lease {
    length: Duration,
    /// When the renewal that was granted last was asked for: it is good from then on, or a little longer.
    asked: Mutex<Moment>,
    ended: watch::Sender<Option<&'static str>>,
    /// As long as this is here, the process counts as alive.
    _instance: Instance,
}

impl Lease {
    fn new(length: Duration, began: Moment, instance: Instance) -> Self {
        Self {
            length,
            asked: Mutex::new(began),
            ended: watch::Sender::new(None),
            _instance: instance,
        }
    }

    /// Whether this process may write, and send what it has written.
    pub(super) fn holds(&self) -> Result<(), Error> {
        if let Some(why) = *self.ended.borrow() {
            return Err(match why {
                CLOSED => Error::ReadOnly,
                why => Error::Fenced { why },
            });
        }
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.age() >= self.length {
            self.end(LAPSED);
            return Err(Error::Fenced { why: LAPSED });
        }
        Ok(())
    }

    fn end(&self, why: &'static str) {
        self.ended.send_if_modified(|ended| {
            let is_first = ended.is_none();
            ended.get_or_insert(why);
            is_first
        });
    }

    /// Returns when it has ended, but by a stop.
    pub(super) async fn ended(&self) -> &'static str {
        let mut ended = self.ended.subscribe();
        let over = ended.wait_for(|ended| ended.is_some_and(|why| why != CLOSED));
        match over.await.map(|why| *why) {
            Ok(Some(why)) => why,
            _ => std::future::pending().await,
        }
    }
}

/// Renews the lease, three times in its length, until it ends or nobody has it any more.
async fn renew(
    connect: PgConnectOptions,
    writer: String,
    epoch: i64,
    lease: std::sync::Weak<Lease>,
    length: Duration,
) {
    let mut connection = None;
    loop {
        sleep(length / 3).await;
        let Some(lease) = lease.upgrade() else {
            return;
        };
        if lease.holds().is_err() {
            return;
        }
        let asked = Moment::now();
        let renewed = async {
            let mut one = match connection.take() {
                Some(one) => one,
                None => Connection::Postgres(establish(&connect).await?),
            };
            let renewed = query(concat!(
                "UPDATE writers SET lease_ms = ",
                server_ms!(),
                " + ?3 WHERE name = ?1 AND epoch = ?2 AND lease_ms > ",
                server_ms!()
            ))
            .bind(&writer)
            .bind(epoch)
            .bind(milliseconds(length))
            .execute(&mut one)
            .await?;
            connection = Some(one);
            Ok::<_, Error>(renewed == 1)
        };
        // One that takes longer is no use.
        match timeout(length / 2, renewed).await {
            Ok(Ok(true)) => {
                *lease.asked.lock().unwrap_or_else(PoisonError::into_inner) = asked;
            }
            Ok(Ok(false)) => return lease.end(LAPSED),
            // Tried again until it has lapsed.
            Ok(Err(_)) | Err(_) => {}
        }
        if lease.holds().is_err() {
            return;
        }
    }
}

/// A process, by which another start on the same machine can tell that it is gone.
struct Instance {
    id: Uuid,
    name: Option<String>,
}

static HERE: Mutex<BTreeSet<Uuid>> = Mutex::new(BTreeSet::new());

fn here() -> MutexGuard<'static, BTreeSet<Uuid>> {
    HERE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Instance {
    fn new() -> Self {
        let id = Uuid::new_v4();
        here().insert(id);
        let name = place().map(|place| format!("{place} {} {id}", std::process::id()));
        Self { id, name }
    }

    /// Only where it is sure: another machine's process, or one of a number that somebody has, may live.
    fn is_gone(name: &str) -> bool {
        let Some((there, pid, id)) = split(name) else {
            return false;
        };
        if place().is_none_or(|place| place != there) {
            return false;
        }
        if pid == std::process::id() {
            return !here().contains(&id);
        }
        matches!(
            std::fs::symlink_metadata(format!("/proc/{pid}")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound
        )
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        here().remove(&self.id);
    }
}

fn split(name: &str) -> Option<(&str, u32, Uuid)> {
    let (rest, id) = name.rsplit_once(' ')?;
    let (place, pid) = rest.rsplit_once(' ')?;
    Some((place, pid.parse().ok()?, id.parse().ok()?))
}

/// The machine since its last start, and where on it processes are numbered.
fn place() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let processes = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), processes.display()))
}
