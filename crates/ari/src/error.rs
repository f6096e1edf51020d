//! What can go wrong between Asterisk and us.

use std::io;

/// Why a request brought no result. The split is about doing it again: after `NotSent` the same request may go again.
///
/// No message holds text of Asterisk, a media name or a value that was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Asterisk was not reached, or no request slot was free in time; nothing was sent.
    #[error("the request was not sent to Asterisk")]
    NotSent {
        /// Why.
        #[source]
        source: Option<io::Error>,
    },
    /// The request went out and no whole answer came; Asterisk may have done it, or may do it yet.
    #[error("Asterisk did not answer the request; it may have been carried out")]
    OutcomeUnknown,
    /// 404: the channel or playback is not there (any more).
    #[error("Asterisk does not know the channel or playback (any more)")]
    Gone,
    /// 409: the channel is there but not in our hands.
    #[error("the channel is not in our application")]
    NotInStasis,
    /// Any other refusal.
    #[error("Asterisk refused the request with status {status}")]
    Refused {
        /// HTTP status.
        status: u16,
    },
    /// It was carried out, but the answer is not what we understand.
    #[error("Asterisk's answer can't be read")]
    Unreadable,
}

impl RequestError {
    /// What an operator can do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotSent { .. } => Some(Trouble::Unreachable(io::ErrorKind::Other).hint()),
            Self::OutcomeUnknown => Some(
                "if this goes on, Asterisk hangs: see `core show taskprocessors` and `core show locks`, and restart it",
            ),
            Self::Refused { status: 401 } => Some(Trouble::Unauthorized.hint()),
            Self::Refused { status: 403 } => Some(
                "set read_only = no for our user in ari.conf, and check its permit/deny/acl, then `module reload res_ari`",
            ),
            Self::Refused { status: 503 } => {
                Some("raise sessionlimit in http.conf, then `module reload http`")
            }
            Self::Refused { status: 500 } => Some("see Asterisk's log at this time"),
            Self::Unreadable => Some("check with `core show version` that Asterisk is 16 or later"),
            Self::Gone | Self::NotInStasis | Self::Refused { .. } => None,
        }
    }
}

/// Why there is no event socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// No TCP connection.
    #[error("Asterisk's HTTP server can't be reached ({0})")]
    Unreachable(io::ErrorKind),
    /// Connected, but no (whole) answer in time.
    #[error("Asterisk did not answer in time")]
    TimedOut,
    /// 401.
    #[error("Asterisk refused the ARI user or password (401)")]
    Unauthorized,
    /// 403.
    #[error("Asterisk does not let this ARI user or address in (403)")]
    Forbidden,
    /// 404.
    #[error("there is no ARI under this address (404)")]
    NoAri,
    /// Another answer than the switch to a websocket.
    #[error("Asterisk did not open the websocket (status {0})")]
    NotUpgraded(u16),
    /// What answers is not a websocket server.
    #[error("what answers at this address is not Asterisk's ARI")]
    NotAsterisk,
    /// The socket closed or broke.
    #[error("the event socket was closed")]
    Closed,
    /// A ping was not answered.
    #[error("Asterisk stopped answering on the event socket")]
    Silent,
    /// The stream broke a limit or the protocol; see [`crate::redact::Fault`].
    #[error("the event socket was given up: {0}")]
    Fault(crate::redact::Fault),
    /// Another program opened the same application.
    #[error("another program uses the ARI application name")]
    Replaced,
}

impl Trouble {
    /// What an operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => {
                "is Asterisk running? set enabled = yes and bindaddr/bindport in http.conf as in [ari] url, then `module reload http`"
            }
            Self::TimedOut | Self::Silent => {
                "Asterisk hangs or is overloaded: see `core show taskprocessors`, or restart it"
            }
            Self::Unauthorized => {
                "the user's section in ari.conf must have type = user and the same password as [ari] password_file; then `module reload res_ari`"
            }
            Self::Forbidden => {
                "check permit/deny/acl of our user in ari.conf, then `module reload res_ari`"
            }
            Self::NoAri => {
                "set enabled = yes in ari.conf, load res_ari.so and res_ari_events.so, and check prefix in http.conf against [ari] url"
            }
            Self::NotUpgraded(503) => {
                "Asterisk is still starting; if this stays, see `core waitfullybooted` and its log"
            }
            Self::NotUpgraded(_) => {
                "load res_http_websocket.so and res_ari_events.so; see Asterisk's log at this time"
            }
            Self::NotAsterisk => "check [ari] url: another program answers at this address",
            Self::Closed => {
                "it is opened again by itself; if this repeats, raise websocket_write_timeout in ari.conf and see Asterisk's log"
            }
            Self::Fault(_) => {
                "it is opened again by itself; if this repeats, check channelvars in ari.conf for huge values"
            }
            Self::Replaced => {
                "stop the other daemon, or give each its own [ari] app and Stasis() argument"
            }
        }
    }
}
