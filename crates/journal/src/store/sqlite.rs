//! The journal as a file of SQLite: made, locked, looked at before it is written to.

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};

use super::batch::{Place, Write};
use super::{READERS, check_ends, known_version, migration_error, register};
use crate::Error;
use crate::db::{Connection, Pool};
use crate::types::{OpenOptions, lock_path};

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// "ivrp": SQLite's `application_id`, so that another program's database is never taken for a journal.
const APPLICATION_ID: i64 = 0x6976_7270;

/// Page cache of a connection, KiB as SQLite wants them. What is read twice is read within a call; SQLite's default of 2 MiB for each
/// connection only grows with the journal.
const CACHE: &str = "-384";

/// `temp_store` of a connection: what does not fit the cache stays in memory. The service may write nowhere but beside the journal.
const IN_MEMORY: &str = "MEMORY";

pub(super) async fn open(path: &Path, options: &OpenOptions) -> Result<(Pool, Arc<Write>), Error> {
    let lock = claim_file(path)?;
    let fresh = create_private(path)?;
    let mut connect = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(options.busy_timeout)
        .pragma("cache_size", CACHE)
        .pragma("temp_store", IN_MEMORY)
        // What is taken out at the end of its time is overwritten, not only free to be.
        .pragma("secure_delete", "ON")
        .disable_statement_logging();
    if let Some(pages) = options.max_pages {
        connect = connect.pragma("max_page_count", pages.to_string());
    }
    if !fresh {
        // Before anything is written to it: a damaged or foreign file must stay as it is.
        inspect(path, options.busy_timeout).await?;
    }
    let mut connection = connect.connect().await?;
    sqlx::query("PRAGMA application_id = 0x69767270")
        .execute(&mut connection)
        .await?;
    MIGRATIONS
        .run(&mut connection)
        .await
        .map_err(|error| migration_error(error, known_version(&MIGRATIONS)))?;
    let mut connection = Connection::Sqlite(connection);
    check_ends(&mut connection).await?;
    let epoch = register(&mut connection, &options.writer, (options.clock)()).await?;
    // A new file's directory entry must survive a loss of power as well.
    if fresh
        && let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
    {
        File::open(folder)?.sync_all()?;
    }
    let reads = readers(path, options.busy_timeout).await?;
    let place = Place::Sqlite(connect);
    let write = Write::new(place, options.writer.clone(), epoch, connection, Some(lock));
    Ok((reads, Arc::new(write)))
}

pub(super) async fn open_read_only(path: &Path, busy_timeout: Duration) -> Result<Pool, Error> {
    fs::metadata(path)?;
    inspect(path, busy_timeout).await?;
    readers(path, busy_timeout).await
}

/// Takes the lock that keeps a second daemon away. The kernel gives it back when the process ends, however it ends.
fn claim_file(path: &Path) -> Result<File, Error> {
    let mut lock = private().truncate(false).open(lock_path(path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let pid = lock
                .read_to_string(&mut text)
                .ok()
                .and_then(|_| text.trim().parse().ok());
            return Err(Error::InUse { pid });
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())?;
    Ok(lock)
}

/// Makes the file, or tightens its mode; says whether it is new. SQLite gives `-wal` and `-shm` the mode of the file.
fn create_private(path: &Path) -> Result<bool, Error> {
    let file = private().truncate(false).open(path)?;
    for beside in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(beside);
        let name = PathBuf::from(name);
        match fs::metadata(&name) {
            Ok(found) if found.permissions().mode() & 0o077 != 0 => {
                fs::set_permissions(&name, fs::Permissions::from_mode(0o600))?;
            }
            _ => {}
        }
    }
    Ok(file.metadata()?.len() == 0)
}

fn private() -> fs::OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

async fn readers(path: &Path, busy_timeout: Duration) -> Result<Pool, Error> {
    let connect = reading(path, busy_timeout);
    let pool = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(busy_timeout)
        .connect_with(connect)
        .await?;
    Ok(Pool::Sqlite(pool))
}

fn reading(path: &Path, busy_timeout: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .read_only(true)
        .busy_timeout(busy_timeout)
        .pragma("cache_size", CACHE)
        .pragma("temp_store", IN_MEMORY)
        .disable_statement_logging()
}

/// Reads the whole structure of an existing file before it is written to.
async fn inspect(path: &Path, busy_timeout: Duration) -> Result<(), Error> {
    let mut connection: SqliteConnection = reading(path, busy_timeout).connect().await?;
    let application: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut connection)
        .await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut connection)
        .await?;
    if application != APPLICATION_ID && tables > 0 {
        return Err(Error::Corrupt {
            what: "the file is a database of another program",
        });
    }
    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(Error::Corrupt {
            what: "SQLite's quick_check found a damaged page",
        })
    }
}
