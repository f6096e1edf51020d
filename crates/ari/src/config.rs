//! Where Asterisk is, and every limit of this crate by its name.

use std::time::Duration;

use ivrpay_secret::Full;
use secrecy::SecretString;

/// How to reach Asterisk. [`Config::new`] sets what has a default.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// Base address, `http://127.0.0.1:8088` with or without `/ari`; a prefix of http.conf stands before that.
    pub url: String,
    /// User in ari.conf.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// Name of our application, the first argument of `Stasis()`.
    pub app: String,
    /// Longest wait for an answer to a request, and for the socket to open.
    pub request_timeout: Duration,
    /// Requests at once. Asterisk's `sessionlimit` (http.conf, default 100) counts them and the socket.
    pub requests_max: usize,
    /// Between pings; a ping not answered before the next one ends the connection.
    pub ping_every: Duration,
    /// First wait before connecting again; doubled each time.
    pub backoff_min: Duration,
    /// Longest wait before connecting again.
    pub backoff_max: Duration,
    /// Wait before the name is taken back after another program took it.
    pub replaced_wait: Duration,
    /// How long an unknown channel of ours may be unknown before it is given back: its `StasisStart` may be on the way.
    pub orphan_grace: Duration,
    /// Largest message from Asterisk, in bytes; so much locked memory is held.
    pub message_max: usize,
    /// Events that may wait for one call.
    pub call_events_max: usize,
    /// Keys that may wait for one call.
    pub call_keys_max: usize,
    /// Calls that may wait to be taken by the daemon.
    pub starts_max: usize,
}

impl Config {
    /// Defaults for everything but the address.
    #[must_use]
    pub fn new(url: &str, user: &str, password: SecretString, app: &str) -> Self {
        Self {
            url: url.to_owned(),
            user: user.to_owned(),
            password,
            app: app.to_owned(),
            request_timeout: Duration::from_secs(5),
            requests_max: 16,
            ping_every: Duration::from_secs(5),
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(5),
            replaced_wait: Duration::from_secs(30),
            orphan_grace: Duration::from_millis(500),
            message_max: 256 * 1024,
            call_events_max: 128,
            call_keys_max: 64,
            starts_max: 64,
        }
    }

    /// Reads address, user and application name.
    pub(crate) fn address(&self) -> Result<Address, ConfigError> {
        let bad_app = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if self.app.is_empty() || self.app.len() > 64 || self.app.contains(bad_app) {
            return Err(ConfigError::App);
        }
        if self.user.is_empty() || self.user.contains(|c: char| c == ':' || c.is_control()) {
            return Err(ConfigError::User);
        }
        if self.requests_max == 0
            || self.call_events_max == 0
            || self.call_keys_max == 0
            || self.starts_max == 0
        {
            return Err(ConfigError::ZeroLimit);
        }
        let (scheme, rest) = self.url.split_once("://").ok_or(ConfigError::Url)?;
        match scheme {
            "http" | "ws" => {}
            "https" | "wss" => return Err(ConfigError::Tls),
            _ => return Err(ConfigError::Url),
        }
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        if authority.contains('@')
            || path.contains(['?', '#', ' '])
            || path.contains(char::is_control)
        {
            return Err(ConfigError::Url);
        }
        let full;
        let authority = match authority.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok_and(|port| port != 0) => authority,
            None => {
                full = format!("{authority}:8088");
                &full
            }
            Some(_) => return Err(ConfigError::Url),
        };
        let socket = match authority.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => authority.to_owned(),
        };
        let socket: std::net::SocketAddr = socket.parse().map_err(|_| ConfigError::NotLoopback)?;
        if !socket.ip().is_loopback() {
            return Err(ConfigError::NotLoopback);
        }
        let prefix = path.trim_end_matches('/');
        let prefix = prefix.strip_suffix("/ari").unwrap_or(prefix);
        Ok(Address {
            socket,
            path: format!("{prefix}/ari"),
        })
    }
}

/// Where ARI is, read from the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) socket: std::net::SocketAddr,
    /// Path of the interface, ends in `/ari`.
    pub(crate) path: String,
}

/// The configuration can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not `http://HOST:PORT[/PREFIX]`.
    #[error("the address of Asterisk is not of the form http://HOST:PORT")]
    Url,
    /// TLS to Asterisk.
    #[error("ARI over TLS (https, wss) is not supported")]
    Tls,
    /// A host that is not this machine.
    #[error("Asterisk must be on this machine: the host is not a loopback address")]
    NotLoopback,
    /// The application's name.
    #[error("the ARI application name must be 1 to 64 letters, digits, `-`, `_` or `.`")]
    App,
    /// The user's name.
    #[error("the ARI user is empty or has a colon or a control character in it")]
    User,
    /// A limit of zero.
    #[error("a limit of the ARI client is zero")]
    ZeroLimit,
    /// No locked memory.
    #[error("no secret memory is free for the event socket")]
    NoMemory,
    /// No thread for the reader.
    #[error("the system gives no thread for the event socket")]
    Thread,
}

impl From<Full> for ConfigError {
    fn from(_: Full) -> Self {
        Self::NoMemory
    }
}

impl ConfigError {
    /// What an operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Url => {
                "write for example url = \"http://127.0.0.1:8088\"; user and password have their own settings"
            }
            Self::Tls => {
                "TLS libraries keep what they decrypt, and every key passes here: use http:// to 127.0.0.1, and where Asterisk is elsewhere, a TLS proxy (stunnel) on this machine"
            }
            Self::NotLoopback => {
                "keys would cross the network in clear: run ivrpay beside Asterisk, or a TLS proxy (stunnel) on this machine"
            }
            Self::App => {
                "use the first argument of Stasis() in the dialplan, for example app = \"ivrpay\""
            }
            Self::User => "use the name of the section in ari.conf",
            Self::ZeroLimit => "set it to 1 or more",
            Self::NoMemory => "raise LimitMEMLOCK of the service, or lower [limits] calls_max",
            Self::Thread => "raise TasksMax and LimitNPROC of the service",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, app: &str, expected: Result<(&str, &str), ConfigError>) {
        let got = Config::new(url, "ivrpay", SecretString::from("p"), app).address();
        assert_eq!(
            got.as_ref()
                .map(|a| (a.socket.to_string(), a.path.as_str())),
            expected.as_ref().map(|(s, p)| (s.to_string(), *p)),
            "{url} {app}"
        );
    }

    #[test]
    fn addresses() {
        check(
            "http://127.0.0.1:8088",
            "ivrpay",
            Ok(("127.0.0.1:8088", "/ari")),
        );
        check(
            "http://127.0.10.1:8088/ari",
            "ivrpay",
            Ok(("127.0.10.1:8088", "/ari")),
        );
        check(
            "ws://localhost/pbx/ari/",
            "ivrpay-1",
            Ok(("127.0.0.1:8088", "/pbx/ari")),
        );
        check("http://[::1]:8089/", "ivrpay", Ok(("[::1]:8089", "/ari")));
        check("https://127.0.0.1:8089", "ivrpay", Err(ConfigError::Tls));
        check("wss://127.0.0.1:8089", "ivrpay", Err(ConfigError::Tls));
        check(
            "http://192.0.2.7:8088",
            "ivrpay",
            Err(ConfigError::NotLoopback),
        );
        check(
            "http://pbx.example:8088",
            "ivrpay",
            Err(ConfigError::NotLoopback),
        );
        check("http://u:p@127.0.0.1:8088", "ivrpay", Err(ConfigError::Url));
        check("http://127.0.0.1:0", "ivrpay", Err(ConfigError::Url));
        check(
            "http://127.0.0.1:8088/?api_key=x",
            "ivrpay",
            Err(ConfigError::Url),
        );
        check("127.0.0.1", "ivrpay", Err(ConfigError::Url));
        check("http://127.0.0.1:8088", "a,b", Err(ConfigError::App));
        check("http://127.0.0.1:8088", "", Err(ConfigError::App));
    }
}
