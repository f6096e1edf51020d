//! Where the interface is and who logs in.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use secrecy::SecretString;

use crate::Error;
use crate::message::clean;

/// How to reach Asterisk's manager interface. [`Config::new`] sets what has a default.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// `127.0.0.1:5038`, `[::1]:5038` or `localhost`; 5038 where no port is given.
    pub address: String,
    /// Section in manager.conf.
    pub user: String,
    /// Its `secret`.
    pub password: SecretString,
    /// How the password is proved.
    pub login: Login,
    /// Lets the address be that of another machine. Everything is in clear then, unless a VPN carries it.
    pub beyond_loopback: bool,
    /// Longest wait for connection, banner and login together.
    pub connect_timeout: Duration,
    /// Longest wait for the whole answer to an action, a list's last event included.
    pub answer_timeout: Duration,
    /// Events wanted; none when absent.
    pub events: Option<EventFilter>,
}

/// How the password is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// MD5 of a challenge and the password: the password itself does not cross the socket.
    Challenge,
    /// The password in clear, for an Asterisk that refuses `AuthType: MD5`.
    Plain,
}

/// Which events are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter {
    /// Classes as in manager.conf, for example `call,reporting`; `on` for all that `read=` of the user has.
    pub classes: String,
    /// Names, for example `MixMonitorStart`; all when empty.
    pub names: BTreeSet<String>,
}

impl Config {
    /// Defaults for everything but address and user.
    #[must_use]
    pub fn new(address: &str, user: &str, password: SecretString) -> Self {
        Self {
            address: address.to_owned(),
            user: user.to_owned(),
            password,
            login: Login::Challenge,
            beyond_loopback: false,
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(5),
            events: None,
        }
    }

    /// Looks at everything that can be seen without connecting.
    ///
    /// # Errors
    /// What is wrong with address, user or classes.
    pub fn check(&self) -> Result<(), Error> {
        self.socket().map(|_| ())
    }

    /// The port of the address; `None` where that can't be used.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.socket().ok().map(|address| address.port())
    }

    /// Reads the address and looks at what goes into the login.
    pub(crate) fn socket(&self) -> Result<SocketAddr, Error> {
        if self.user.is_empty() || !clean(&self.user) {
            return Err(Error::User);
        }
        let classes = self.events.as_ref().map_or("off", |e| &e.classes);
        let class = |c: char| c.is_ascii_lowercase() || c == ',';
        if classes.is_empty() || !classes.chars().all(class) {
            return Err(Error::EventClasses);
        }
        let host = self.address.trim();
        let host = match host.strip_prefix("localhost") {
            Some(port) if port.is_empty() || port.starts_with(':') => format!("127.0.0.1{port}"),
            _ => host.to_owned(),
        };
        let address = match host.parse::<SocketAddr>() {
            Ok(address) => address,
            Err(_) => format!("{host}:5038").parse().map_err(|_| Error::Address)?,
        };
        if address.port() == 0 {
            return Err(Error::Address);
        }
        if !address.ip().is_loopback() && !self.beyond_loopback {
            return Err(Error::NotLoopback);
        }
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let table = [
            ("127.0.0.1", false, Ok("127.0.0.1:5038")),
            ("127.0.34.1:5039", false, Ok("127.0.34.1:5039")),
            ("localhost", false, Ok("127.0.0.1:5038")),
            ("localhost:50", false, Ok("127.0.0.1:50")),
            ("[::1]:5038", false, Ok("[::1]:5038")),
            ("[::1]", false, Ok("[::1]:5038")),
            ("192.0.2.7", false, Err(Error::NotLoopback)),
            ("192.0.2.7", true, Ok("192.0.2.7:5038")),
            ("pbx.example", true, Err(Error::Address)),
            ("localhost.example", false, Err(Error::Address)),
            ("127.0.0.1:0", false, Err(Error::Address)),
            ("tcp://127.0.0.1", false, Err(Error::Address)),
            ("", false, Err(Error::Address)),
        ];
        for (address, beyond, expected) in table {
            let mut config = Config::new(address, "audit", SecretString::from("p"));
            config.beyond_loopback = beyond;
            let got = config.socket().map(|a| a.to_string());
            assert_eq!(got, expected.map(str::to_owned), "{address}");
        }
    }

    #[test]
    fn a_login_that_would_inject_a_line_is_refused() {
        let mut config = Config::new("127.0.0.1", "a\r\nAction: Command", SecretString::from("p"));
        assert_eq!(config.socket(), Err(Error::User));
        config.user = "audit".to_owned();
        for classes in ["", "on\r\nAction: Command", "call, cdr"] {
            config.events = Some(EventFilter {
                classes: classes.to_owned(),
                names: BTreeSet::new(),
            });
            assert_eq!(config.socket(), Err(Error::EventClasses));
        }
    }
}
