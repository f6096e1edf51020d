//! What can go wrong between Asterisk's `AGI()` and us.

use std::io;

use crate::{
    ANSWER_BYTES_MAX, ANSWER_LINE_BYTES_MAX, ANSWER_LINES_MAX, COMMAND_BYTES_MAX,
    ENVIRONMENT_BYTES_MAX, ENVIRONMENT_LINE_BYTES_MAX, ENVIRONMENT_LINES_MAX, KEY_WAIT_MAX,
};

/// Why something was not done. No message holds text of Asterisk, a value that was sent, or a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What we would have sent; nothing was.
    #[error("the AGI command was not sent: {0}")]
    Argument(Argument),
    /// The address can't be listened on.
    #[error("FastAGI can't listen at its address ({0})")]
    Bind(io::ErrorKind),
    /// The connection is over, and Asterisk had not said that the channel was hung up.
    #[error("the AGI connection is closed")]
    Closed,
    /// What came first is not an environment block.
    #[error("what connected is not Asterisk's AGI: {0}")]
    Environment(Flaw),
    /// Understood, and answered with -1 on a channel that is up: a sound file that is not there, an application that failed.
    #[error("Asterisk could not do the AGI command")]
    Failed,
    /// As many sessions as are allowed are on.
    #[error("no AGI session is free")]
    Full,
    /// The channel was hung up, or sent elsewhere by a redirect (Asterisk says the same of both). Variables can still be read and set, until the connection ends.
    #[error("the channel of the AGI session was hung up")]
    HungUp,
    /// An answer that AGI does not have.
    #[error("Asterisk's AGI answer can't be understood")]
    NotAnAnswer,
    /// A peer that is not let in.
    #[error("an address that is not allowed connected to FastAGI")]
    NotAllowed,
    /// Others could connect, and no list says who may.
    #[error("FastAGI would listen beyond this machine, for anybody")]
    NotLoopback,
    /// `EXEC` of an application that is not loaded.
    #[error("Asterisk has no such application of the dialplan")]
    NoSuchApplication,
    /// 510.
    #[error("this Asterisk has no such AGI command")]
    NoSuchCommand,
    /// A line that nobody had asked for: a value with a line break in it, for example.
    #[error("Asterisk sent an AGI line that was not asked for")]
    OutOfStep,
    /// Not in time; the session is closed.
    #[error("Asterisk did not send {0} in time over AGI")]
    TimedOut(Waited),
    /// More than a limit allows; the session is closed.
    #[error("what came over AGI is over the limit of {0}")]
    TooMuch(Limit),
    /// 520.
    #[error("this Asterisk takes the AGI command in another form")]
    Usage,
}

/// What can't be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Argument {
    /// A line break, a zero byte or another control character.
    #[error("it has a control character")]
    Control,
    /// Keys that end a sound file.
    #[error("the keys are not from 0123456789*#ABCD")]
    Keys,
    /// Over [`COMMAND_BYTES_MAX`].
    #[error("it has more than {COMMAND_BYTES_MAX} bytes")]
    Long,
    /// Name of a variable, an application or a sound file.
    #[error("the name is empty or has characters that a name can't have")]
    Name,
    /// Nothing, or over [`KEY_WAIT_MAX`].
    #[error("the wait for a key is not between 1 ms and {KEY_WAIT_MAX:?}")]
    Wait,
}

/// Why a block is no environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Arguments count from 1.
    #[error("the arguments are not numbered 1, 2, 3")]
    Arguments,
    /// The same variable twice.
    #[error("a variable came twice")]
    Duplicate,
    /// The first line has to be `agi_network: yes`.
    #[error("it does not begin with agi_network")]
    First,
    /// Not `name: value`.
    #[error("a line is no variable")]
    Line,
    /// Channel, unique id, context, extension or priority.
    #[error("it does not say which channel it is about")]
    Missing,
    /// Not a number.
    #[error("the priority is no number")]
    Priority,
}

/// What was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Waited {
    /// An answer.
    #[error("an answer")]
    Answer,
    /// The blank line behind the environment.
    #[error("its environment")]
    Environment,
}

/// A limit of this crate, by its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// [`ANSWER_BYTES_MAX`]
    #[error("{ANSWER_BYTES_MAX} bytes an answer")]
    AnswerBytes,
    /// [`ANSWER_LINE_BYTES_MAX`]
    #[error("{ANSWER_LINE_BYTES_MAX} bytes a line of an answer")]
    AnswerLineBytes,
    /// [`ANSWER_LINES_MAX`]
    #[error("{ANSWER_LINES_MAX} lines an answer")]
    AnswerLines,
    /// [`ENVIRONMENT_BYTES_MAX`]
    #[error("{ENVIRONMENT_BYTES_MAX} bytes an environment")]
    EnvironmentBytes,
    /// [`ENVIRONMENT_LINE_BYTES_MAX`]
    #[error("{ENVIRONMENT_LINE_BYTES_MAX} bytes a variable of the environment")]
    EnvironmentLineBytes,
    /// [`ENVIRONMENT_LINES_MAX`]
    #[error("{ENVIRONMENT_LINES_MAX} lines an environment")]
    EnvironmentLines,
}

impl Error {
    /// What an operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Argument(_) => "this is a mistake of ivrpay; tell its authors",
            Self::Bind(_) => {
                "is it running already, or another program on that port? `ss -ltnp` tells; the dialplan's agi://HOST:PORT must change with it"
            }
            Self::Closed => {
                "the dialplan goes on by itself; see Asterisk's log at this time, and whether it was restarted"
            }
            Self::Environment(_) | Self::TooMuch(_) => {
                "let Asterisk's AGI() alone connect to this port: no monitor, no browser; if it was Asterisk, see the arguments of AGI() and the caller's name for line breaks"
            }
            Self::Failed => {
                "see Asterisk's log at this time: a sound file that it can't find, or an application that failed"
            }
            Self::Full => "raise the number of sessions, or look for calls that hang in AGI()",
            Self::HungUp => {
                "the call is over, or was redirected; nothing is to be done. If it is neither: AGI() can't be used in an intercept routine"
            }
            Self::NotAnAnswer | Self::OutOfStep => {
                "tell the authors of ivrpay the version of Asterisk; a variable with a line break in it does this too"
            }
            Self::NotAllowed => {
                "if it is your Asterisk, add its address to the list; if not, close the port to others"
            }
            Self::NotLoopback => {
                "FastAGI is in clear: let it listen on 127.0.0.1, or name the addresses that may connect"
            }
            Self::NoSuchApplication => {
                "load the module that brings the application (`core show applications` lists them)"
            }
            Self::NoSuchCommand | Self::Usage => {
                "load res_agi.so (`agi show commands` lists its commands), or use a newer Asterisk"
            }
            Self::TimedOut(_) => {
                "Asterisk hangs or is overloaded: see `core show taskprocessors` and `core show locks`, or restart it"
            }
        }
    }
}
