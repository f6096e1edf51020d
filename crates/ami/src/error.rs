//! What can go wrong between Asterisk's manager interface and us.

use std::io;

/// Why something was not done. No message holds text of Asterisk or a value that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not `HOST:PORT` with a numeric host.
    #[error("the address of AMI is not of the form 127.0.0.1:5038")]
    Address,
    /// Connected, and the connection ended in the middle: by Asterisk's restart, `manager reload` or a limit of its own.
    #[error("Asterisk closed the AMI connection")]
    Closed,
    /// Classes of events.
    #[error("the AMI event classes are not a list of lower-case words with commas between")]
    EventClasses,
    /// Too many requests under way.
    #[error("{} AMI requests are under way already", crate::REQUESTS_MAX)]
    Busy,
    /// A line of ours that Asterisk would read as two, or throw away.
    #[error("an AMI field is empty, too long, or has a line break in it")]
    Field,
    /// Wrong user or password, or the address is not let in.
    #[error("Asterisk refused the AMI user or password")]
    LoginRefused,
    /// What answers is something else.
    #[error("what answers at this address is not Asterisk's AMI")]
    NotAsterisk,
    /// The action answers with one message.
    #[error("the AMI action does not answer with a list")]
    NotAList,
    /// A host that is not this machine.
    #[error("AMI must be on this machine: the host is not a loopback address")]
    NotLoopback,
    /// The action was understood and not done.
    #[error("Asterisk refused the AMI action: {0}")]
    Refused(Refusal),
    /// No whole answer in time. The action may have been carried out, or may be yet.
    #[error("Asterisk did not answer on AMI in time")]
    TimedOut,
    /// Asterisk sent more than a limit allows; the connection was given up.
    #[error("Asterisk's AMI answer is over the limit of {0}")]
    TooMuch(Limit),
    /// No TCP connection.
    #[error("Asterisk's AMI can't be reached ({0})")]
    Unreachable(io::ErrorKind),
    /// The user's name.
    #[error("the AMI user is empty or has a line break in it")]
    User,
}

/// Why an action was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// `write=` of the user lacks a class.
    #[error("the user's classes do not allow it")]
    Permission,
    /// The action does not exist: its module is not loaded, or this Asterisk is too old.
    #[error("it has no such action")]
    NoSuchAction,
    /// The channel is not there (any more).
    #[error("it has no such channel (any more)")]
    NoSuchChannel,
    /// A CLI command that does not exist.
    #[error("it has no such command")]
    NoSuchCommand,
    /// Anything else.
    #[error("for a reason that its log may tell")]
    Other,
}

impl Refusal {
    /// Reads `Message:` of an error answer (`main/manager.c`).
    pub(crate) fn read(message: &str) -> Self {
        let message = message.to_ascii_lowercase();
        let has = |text| message.contains(text);
        if has("permission denied") {
            Self::Permission
        } else if has("invalid/unknown command") {
            Self::NoSuchAction
        } else if has("no such channel")
            || has("channel not found")
            || has("channel not existent")
            || has("channel does not exist")
        {
            Self::NoSuchChannel
        } else {
            Self::Other
        }
    }
}

/// A limit of this crate, by its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// [`crate::LINE_BYTES_MAX`]
    #[error("{} bytes a line", crate::LINE_BYTES_MAX)]
    LineBytes,
    /// [`crate::MESSAGE_LINES_MAX`]
    #[error("{} lines a message", crate::MESSAGE_LINES_MAX)]
    MessageLines,
    /// [`crate::MESSAGE_BYTES_MAX`]
    #[error("{} bytes a message", crate::MESSAGE_BYTES_MAX)]
    MessageBytes,
    /// [`crate::LIST_EVENTS_MAX`]
    #[error("{} events a list", crate::LIST_EVENTS_MAX)]
    ListEvents,
    /// [`crate::LIST_BYTES_MAX`]
    #[error("{} bytes a list", crate::LIST_BYTES_MAX)]
    ListBytes,
}

impl Error {
    /// What an operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Address => {
                "write bindaddr and port of manager.conf, for example 127.0.0.1:5038; a name but localhost is not looked up"
            }
            Self::Busy => "ask for less at once; if this goes on, Asterisk does not answer",
            Self::Closed => {
                "connect again; if this repeats, see Asterisk's log at this time, and timestampevents, sessionlimit and writetimeout in manager.conf"
            }
            Self::EventClasses => {
                "write classes as in read= of manager.conf, for example call,reporting"
            }
            Self::Field => "values have one line of at most 1000 bytes",
            Self::LoginRefused => {
                "the user's section in manager.conf must have the same secret, and permit this address; then `manager reload`"
            }
            Self::NotAsterisk => {
                "check the address: AMI's port is 5038 unless manager.conf says otherwise; 8088 is HTTP, 5060 SIP"
            }
            Self::NotAList => {
                "this is a mistake of ivrpay; tell its authors the version of Asterisk"
            }
            Self::NotLoopback => {
                "AMI is in clear: use a TLS proxy (stunnel) on this machine, or allow the other address explicitly"
            }
            Self::Refused(refusal) => refusal.hint(),
            Self::TimedOut => {
                "Asterisk hangs or is overloaded: see `core show taskprocessors` and `core show locks`, or restart it"
            }
            Self::TooMuch(_) => {
                "what answers is not a common Asterisk; if it is, tell the authors of ivrpay which command it was"
            }
            Self::Unreachable(_) => {
                "is Asterisk running? set enabled = yes, bindaddr and port in [general] of manager.conf, then `manager reload`"
            }
            Self::User => "write the name of the section in manager.conf",
        }
    }
}

impl Refusal {
    /// What an operator can do.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Permission => {
                "add the class that the action needs to write= of the user in manager.conf (`manager show command NAME` tells it), then `manager reload`"
            }
            Self::NoSuchAction => {
                "`manager show commands` lists the actions; load the module that brings it, or use a newer Asterisk"
            }
            Self::NoSuchChannel => "the call is over; nothing is to be done",
            Self::NoSuchCommand => {
                "load the module that brings the command, or use a newer Asterisk"
            }
            Self::Other => "see Asterisk's log at this time",
        }
    }
}
