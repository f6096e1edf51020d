//! FastAGI server: the dialplan asks, we lead one channel for a moment, the dialplan goes on.
//!
//! `AGI(agi://127.0.0.1:4573/script?query,argument…)` connects to [`Listener`]. What Asterisk says of the channel becomes
//! a [`Request`]; the [`Session`] then sends one command at a time and reads its answer, until it is dropped: that ends `AGI()`.
//! Everything that Asterisk sends is bounded by the limits below, in bytes and in time; what is over them ends the session. So does a
//! command whose future is dropped before its answer has come.
//!
//! **`AGISTATUS` does not tell whether somebody was there.** It is `FAILURE` where nobody listens, and as well after a sound file that is not there or
//! an application that returned 2; it is `SUCCESS` after a connection that was closed at once (no place free, an address that is not let in, a session
//! that failed). A dialplan looks at a variable that the session sets. (Measured, Asterisk 22; `res/res_agi.c: run_agi`.)
//!
//! **No card digit goes this way.** FastAGI is in clear, and `agi set debug on` or AMI's `AGIExecStart` and `AGIExecEnd` show every command and answer.
//! The keys of [`Session::stream_file`] and [`Session::wait_for_key`] are an operator's choices in a menu, one at a time; there is no
//! command for a row of digits.
//!
//! Does not know what it is used for: neither payments nor operators. What passes through may be variables of the dialplan, so that no
//! error and no `Debug` here shows a value or a key.

mod error;
mod listen;
pub mod protocol;
mod session;

pub use error::{Argument, Error, Flaw, Limit, Waited};
pub use listen::{Allowed, Listener};
pub use protocol::Request;
pub use session::{ChannelState, Played, Session};

use std::time::Duration;

/// Longest line of the environment block, in bytes: an argument of `AGI()` with room to spare.
pub const ENVIRONMENT_LINE_BYTES_MAX: usize = 4096;
/// Lines of the environment block. Asterisk sends 23, and one for each argument of `AGI()`, at most 127 (`include/asterisk/agi.h: MAX_ARGS`).
pub const ENVIRONMENT_LINES_MAX: usize = 192;
/// Bytes of the environment block.
pub const ENVIRONMENT_BYTES_MAX: usize = 32 * 1024;
/// Time from the connection to the blank line that ends the environment block. Asterisk writes it at once.
pub const ENVIRONMENT_MAX: Duration = Duration::from_secs(5);
/// Longest line of an answer, in bytes. The value of a variable has 4096 at most (`main/pbx_variables.c: VAR_BUF_SIZE`).
pub const ANSWER_LINE_BYTES_MAX: usize = 8 * 1024;
/// Lines of an answer: the usage text of a command is the longest.
pub const ANSWER_LINES_MAX: usize = 256;
/// Bytes of an answer.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Longest command, in bytes. Old versions read 2048 (`res/res_agi.c: AGI_BUF_LEN`), and take the rest as another command.
pub const COMMAND_BYTES_MAX: usize = 2000;
/// Time for a command that Asterisk answers at once: variables, state, log. A function of the dialplan may ask a database.
pub const QUICK_MAX: Duration = Duration::from_secs(5);
/// Time for a sound file to be played.
pub const PLAY_MAX: Duration = Duration::from_secs(60);
/// Time for an application of the dialplan.
pub const EXEC_MAX: Duration = Duration::from_secs(60);
/// Longest wait for a key; its answer has [`QUICK_MAX`] more.
pub const KEY_WAIT_MAX: Duration = Duration::from_secs(60);
