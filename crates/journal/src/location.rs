//! Where a journal is kept: a file of SQLite, or a database of PostgreSQL.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Where a journal is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file of SQLite, for one daemon.
    File(PathBuf),
    /// A database of PostgreSQL, for several.
    Server(Server),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(server) => server.fmt(f),
        }
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&PathBuf> for Location {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<Server> for Location {
    fn from(server: Server) -> Self {
        Self::Server(server)
    }
}

impl From<&Self> for Location {
    fn from(location: &Self) -> Self {
        location.clone()
    }
}

/// A database of PostgreSQL. Its password is in no `Debug` and no `Display`.
#[derive(Clone)]
pub struct Server {
    pub(crate) connect: Box<PgConnectOptions>,
    shown: String,
    files: Vec<PathBuf>,
}

/// Why a URL is none that a journal is kept at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// It names no database.
    #[error("it names no database; write postgres://USER@HOST/DATABASE")]
    NoDatabase,
    /// It holds a password, which would stand wherever the configuration is copied to.
    #[error("it holds a password; put that into a file and name it in password_file")]
    Password,
    /// It can't be read.
    #[error("it is no URL of PostgreSQL; write postgres://USER@HOST/DATABASE")]
    Syntax,
    /// The server is on another machine and would not be checked.
    #[error(
        "sslmode may be verify-full alone, where the server is not on this machine: anybody in between could read and write payments"
    )]
    Unproven,
}

impl Server {
    /// `postgres://USER@HOST:PORT/DATABASE`, or `postgres:///DATABASE?host=/run/postgresql` for a socket. Beyond this machine the server
    /// has to prove who it is. Without a password here, that of `PGPASSFILE` is taken.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn new(url: &str, password: Option<&str>) -> Result<Self, ServerError> {
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or(ServerError::Syntax)?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        if user.contains(':') || rest.contains("password=") {
            return Err(ServerError::Password);
        }
        let mut connect = PgConnectOptions::from_str(url)
            .map_err(|_| ServerError::Syntax)?
            .disable_statement_logging();
        if connect.get_database().is_none_or(str::is_empty) {
            return Err(ServerError::NoDatabase);
        }
        let host = connect.get_host();
        let is_here = connect.get_socket().is_some()
            || host.starts_with('/')
            || host == "localhost"
            || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        let mode = connect.get_ssl_mode();
        if !is_here {
            connect = match mode {
                // The default, which nobody has chosen.
                PgSslMode::Prefer | PgSslMode::VerifyFull => {
                    connect.ssl_mode(PgSslMode::VerifyFull)
                }
                _ => return Err(ServerError::Unproven),
            };
        }
        if let Some(password) = password {
            connect = connect.password(password);
        }
        let files = rest
            .split(['?', '&'])
            .skip(1)
            .filter_map(|pair| pair.split_once('='))
            .filter(|(key, _)| ["sslrootcert", "sslcert", "sslkey"].contains(key))
            .map(|(_, file)| file.into())
            .collect();
        let shown = rest.split('?').next().unwrap_or_default();
        Ok(Self {
            connect: Box::new(connect),
            shown: format!("postgres://{shown}"),
            files,
        })
    }

    /// The files that the URL names.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Host and port, where it is reached over the network.
    #[must_use]
    pub fn address(&self) -> Option<(&str, u16)> {
        let host = self.connect.get_host();
        let is_socket = self.connect.get_socket().is_some() || host.starts_with('/');
        (!is_socket).then(|| (host, self.connect.get_port()))
    }
}

impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.shown == other.shown
    }
}

impl Eq for Server {}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.shown).finish()
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let cases = [
            ("postgres://ivrpay@127.0.0.1/ivrpay", Ok(PgSslMode::Prefer)),
            (
                "postgresql://ivrpay@localhost:5433/j",
                Ok(PgSslMode::Prefer),
            ),
            (
                "postgres://ivrpay@db.example/j?sslmode=require",
                Err(ServerError::Unproven),
            ),
            (
                "postgres://ivrpay@db.example/j?sslmode=disable",
                Err(ServerError::Unproven),
            ),
            ("postgres://ivrpay@db.example/j", Ok(PgSslMode::VerifyFull)),
            (
                "postgres:///j?host=/run/postgresql&user=ivrpay",
                Ok(PgSslMode::Prefer),
            ),
            (
                "postgres://ivrpay:x@localhost/j",
                Err(ServerError::Password),
            ),
            (
                "postgres://ivrpay@localhost/j?password=x",
                Err(ServerError::Password),
            ),
            ("postgres://ivrpay@localhost", Err(ServerError::NoDatabase)),
            ("mysql://ivrpay@localhost/j", Err(ServerError::Syntax)),
        ];
        for (url, expected) in cases {
            let read = Server::new(url, Some("never-shown"));
            let mode = read.as_ref().map(|s| s.connect.get_ssl_mode());
            match (mode, expected) {
                (Ok(mode), Ok(wanted)) => {
                    assert_eq!(format!("{mode:?}"), format!("{wanted:?}"), "{url}")
                }
                (Err(error), Err(wanted)) => assert_eq!(*error, wanted, "{url}"),
                (got, _) => panic!("{url}: {got:?}"),
            }
            if let Ok(server) = read {
                assert!(!format!("{server:?}{server}").contains("never-shown"));
            }
        }
    }
}
