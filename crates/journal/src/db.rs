//! One way to ask for SQLite and PostgreSQL, so that a statement stands once.
//!
//! Statements are written with numbered placeholders (`?1`), which PostgreSQL gets as `$1`, and keep to what both understand. What differs
//! is a method of [`Connection`], or stands in `store/sqlite.rs` and `store/postgres.rs`.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Connection as _, Row as _};

/// A connection to the one or the other.
pub(crate) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Connections that read.
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Connection {
    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection) => bounded(connection.close()).await,
        }
    }

    /// Payments whose state is not that of their last record.
    pub(crate) const fn odd_payments(&self) -> &'static str {
        macro_rules! odd {
            ($state:literal) => {
                concat!(
                    "SELECT p.id FROM payments p WHERE p.state IS DISTINCT FROM (SELECT ",
                    $state,
                    " FROM records r WHERE r.payment = p.id ORDER BY r.sequence DESC LIMIT 1) LIMIT 100"
                )
            };
        }
        match self {
            Self::Sqlite(_) => odd!("r.body ->> '$.state'"),
            Self::Postgres(_) => odd!("CAST(r.body AS json) ->> 'state'"),
        }
    }
}

impl Pool {
    /// A connection of its own, in a transaction that sees everything as it is now.
    pub(crate) async fn snapshot(&self) -> Result<Connection, sqlx::Error> {
        let (mut connection, begin) = match self {
            Self::Sqlite(pool) => (Connection::Sqlite(pool.acquire().await?.detach()), "BEGIN"),
            Self::Postgres(pool) => (
                Connection::Postgres(pool.acquire().await?.detach()),
                "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            ),
        };
        query(begin).execute(&mut connection).await?;
        Ok(connection)
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// Where a statement runs.
pub(crate) enum On<'a> {
    Connection(&'a mut Connection),
    /// The connection was closed after a failure.
    Nowhere,
    Pool(&'a Pool),
}

/// Longest that PostgreSQL may take for one statement. A server that is gone without a word would be waited for by nobody but TCP.
const STATEMENT_MAX: Duration = Duration::from_secs(10);

pub(crate) async fn bounded<T>(
    done: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(STATEMENT_MAX, done)
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

impl<'a> From<&'a mut Connection> for On<'a> {
    fn from(connection: &'a mut Connection) -> Self {
        Self::Connection(connection)
    }
}

impl<'a> From<&'a Pool> for On<'a> {
    fn from(pool: &'a Pool) -> Self {
        Self::Pool(pool)
    }
}

/// What stands for a placeholder.
pub(crate) enum Bound {
    Bool(bool),
    Bytes(Option<Vec<u8>>),
    Number(Option<i64>),
    Text(Option<String>),
}

macro_rules! bound {
    ($($from:ty => |$value:ident| $bound:expr;)*) => {$(
        impl From<$from> for Bound {
            fn from($value: $from) -> Self {
                $bound
            }
        }
    )*};
}

bound! {
    bool => |value| Self::Bool(value);
    &[u8] => |value| Self::Bytes(Some(value.to_owned()));
    Option<&[u8]> => |value| Self::Bytes(value.map(<[u8]>::to_owned));
    i64 => |value| Self::Number(Some(value));
    &i64 => |value| Self::Number(Some(*value));
    u32 => |value| Self::Number(Some(value.into()));
    Option<i64> => |value| Self::Number(value);
    &Option<i64> => |value| Self::Number(*value);
    Option<u32> => |value| Self::Number(value.map(i64::from));
    String => |value| Self::Text(Some(value));
    &String => |value| Self::Text(Some(value.clone()));
    &str => |value| Self::Text(Some(value.to_owned()));
    Option<String> => |value| Self::Text(value);
    &Option<String> => |value| Self::Text(value.clone());
    Option<&str> => |value| Self::Text(value.map(str::to_owned));
}

/// A statement and what is bound to it.
pub(crate) struct Query {
    sql: &'static str,
    bound: Vec<Bound>,
}

/// `sql`: with `?1`, `?2` … for what is bound, in that order.
pub(crate) const fn query(sql: &'static str) -> Query {
    Query {
        sql,
        bound: Vec::new(),
    }
}

/// Runs a statement of either kind on whichever this is.
macro_rules! run {
    ($query:ident, $on:ident, $how:ident, $of:ident) => {
        match $on.into() {
            On::Connection(Connection::Sqlite(connection)) => {
                let arguments = $query.sqlite()?;
                let done = sqlx::query_with($query.sql, arguments).$how(connection);
                $of!(Sqlite, done.await?)
            }
            On::Nowhere => Err(sqlx::Error::WorkerCrashed),
            On::Pool(Pool::Sqlite(pool)) => {
                let arguments = $query.sqlite()?;
                let done = sqlx::query_with($query.sql, arguments).$how(pool);
                $of!(Sqlite, done.await?)
            }
            On::Connection(Connection::Postgres(connection)) => {
                let (sql, arguments) = ($query.dollars(), $query.postgres()?);
                let done = sqlx::query_with(AssertSqlSafe(sql), arguments).$how(connection);
                $of!(Postgres, bounded(done).await?)
            }
            On::Pool(Pool::Postgres(pool)) => {
                let (sql, arguments) = ($query.dollars(), $query.postgres()?);
                let done = sqlx::query_with(AssertSqlSafe(sql), arguments).$how(pool);
                $of!(Postgres, bounded(done).await?)
            }
        }
    };
}

macro_rules! one {
    ($kind:ident, $row:expr) => {
        Ok(Row::$kind($row))
    };
}
macro_rules! some {
    ($kind:ident, $row:expr) => {
        Ok($row.map(Row::$kind))
    };
}
macro_rules! all {
    ($kind:ident, $rows:expr) => {
        Ok($rows.into_iter().map(Row::$kind).collect())
    };
}
macro_rules! affected {
    ($kind:ident, $done:expr) => {
        Ok($done.rows_affected())
    };
}

impl Query {
    pub(crate) fn bind(mut self, value: impl Into<Bound>) -> Self {
        self.bound.push(value.into());
        self
    }

    /// Says how many rows it changed.
    pub(crate) async fn execute<'a>(self, on: impl Into<On<'a>>) -> Result<u64, sqlx::Error> {
        run!(self, on, execute, affected)
    }

    pub(crate) async fn fetch_one<'a>(self, on: impl Into<On<'a>>) -> Result<Row, sqlx::Error> {
        run!(self, on, fetch_one, one)
    }

    pub(crate) async fn fetch_optional<'a>(
        self,
        on: impl Into<On<'a>>,
    ) -> Result<Option<Row>, sqlx::Error> {
        run!(self, on, fetch_optional, some)
    }

    pub(crate) async fn fetch_all<'a>(
        self,
        on: impl Into<On<'a>>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        run!(self, on, fetch_all, all)
    }

    /// The first column of the one row.
    pub(crate) async fn scalar<'a, T: for<'r> Column<'r>>(
        self,
        on: impl Into<On<'a>>,
    ) -> Result<T, sqlx::Error> {
        self.fetch_one(on).await?.at(0)
    }

    fn sqlite(&self) -> Result<SqliteArguments, sqlx::Error> {
        let mut arguments = SqliteArguments::default();
        for bound in &self.bound {
            match bound {
                Bound::Bool(value) => arguments.add(*value),
                Bound::Bytes(value) => arguments.add(value.clone()),
                Bound::Number(value) => arguments.add(*value),
                Bound::Text(value) => arguments.add(value.clone()),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }

    fn postgres(&self) -> Result<PgArguments, sqlx::Error> {
        let mut arguments = PgArguments::default();
        for bound in &self.bound {
            match bound {
                Bound::Bool(value) => arguments.add(*value),
                Bound::Bytes(value) => arguments.add(value.as_deref()),
                Bound::Number(value) => arguments.add(*value),
                Bound::Text(value) => arguments.add(value.as_deref()),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }

    fn dollars(&self) -> String {
        dollars(self.sql)
    }
}

/// `?12` as `$12`. No statement of ours has a question mark that stands for anything else.
fn dollars(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut parts = sql.split('?');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        // A string takes every character.
        write!(text, "${part}").ok();
    }
    text
}

/// A row of the one or the other.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn try_get<'r, T: Column<'r>>(&'r self, name: &str) -> Result<T, sqlx::Error> {
        T::get(self, name)
    }

    fn at<T: for<'r> Column<'r>>(&self, number: usize) -> Result<T, sqlx::Error> {
        T::at(self, number)
    }
}

/// What a column can be read as.
pub(crate) trait Column<'r>: Sized {
    fn get(row: &'r Row, name: &str) -> Result<Self, sqlx::Error>;
    fn at(row: &'r Row, number: usize) -> Result<Self, sqlx::Error>;
}

macro_rules! columns {
    ($($column:ty),*) => {$(
        impl<'r> Column<'r> for $column {
            fn get(row: &'r Row, name: &str) -> Result<Self, sqlx::Error> {
                match row {
                    Row::Sqlite(row) => row.try_get(name),
                    Row::Postgres(row) => row.try_get(name),
                }
            }

            fn at(row: &'r Row, number: usize) -> Result<Self, sqlx::Error> {
                match row {
                    Row::Sqlite(row) => row.try_get(number),
                    Row::Postgres(row) => row.try_get(number),
                }
            }
        }
    )*};
}

columns!(
    bool,
    i64,
    String,
    &'r str,
    &'r [u8],
    Option<&'r [u8]>,
    Option<i64>,
    Option<String>,
    Option<&'r str>
);

/// PostgreSQL has no numbers without a sign.
impl<'r> Column<'r> for Option<u32> {
    fn get(row: &'r Row, name: &str) -> Result<Self, sqlx::Error> {
        small(Column::get(row, name)?)
    }

    fn at(row: &'r Row, number: usize) -> Result<Self, sqlx::Error> {
        small(Column::at(row, number)?)
    }
}

impl<'r> Column<'r> for u32 {
    fn get(row: &'r Row, name: &str) -> Result<Self, sqlx::Error> {
        Option::get(row, name)?.ok_or(sqlx::Error::RowNotFound)
    }

    fn at(row: &'r Row, number: usize) -> Result<Self, sqlx::Error> {
        Option::at(row, number)?.ok_or(sqlx::Error::RowNotFound)
    }
}

fn small(number: Option<i64>) -> Result<Option<u32>, sqlx::Error> {
    number
        .map(|number| u32::try_from(number).map_err(|error| sqlx::Error::Decode(error.into())))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_both() {
        assert_eq!(
            dollars("a = ?1 AND (?12 IS NULL OR b = ?12)"),
            "a = $1 AND ($12 IS NULL OR b = $12)"
        );
        assert_eq!(dollars("BEGIN"), "BEGIN");
    }
}
