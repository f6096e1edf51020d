//! Whether an Asterisk would betray a card: read from the files of its configuration, or from what it says while it runs.
//!
//! Two ways in, one kind of answer. [`files()`] takes a [`Tree`], the files of a folder in memory. [`running()`] takes a [`Seen`],
//! what somebody asked a running Asterisk. Both give a [`Report`]: findings by the ids of the [`CATALOGUE`], each with its place, its reason
//! and the line to change, the places that were looked at, and those that were not.
//!
//! Opens no file and no socket, has no clock, never panics: any bytes give a report. It sees configurations, never a call; what it shows of them
//! holds no password and no long row of digits.

pub mod canary;
mod catalogue;
mod conf;
mod dialplan;
mod files;
mod finding;
mod running;
mod tree;
mod version;

pub use catalogue::CATALOGUE;
pub use conf::{At, Conf, Entry, Include, Section, Trouble, What, is_false, is_true};
pub use files::{KNOWN, NotAsterisk, files};
pub use finding::{
    Change, Check, FILE_VALUES_PLACE, Finding, NotLookedAt, Place, Report, Severity,
};
pub use running::{
    AskedFile, COMMANDS, FILE_VALUES, Look, PJSIP_SETTINGS, Seen, SeenApp, SeenChannel, SeenLog,
    manager_users, running,
};
pub use tree::{FILE_BYTES_MAX, FILES_MAX, TREE_BYTES_MAX, Tree, TreeError};
pub use version::Version;
