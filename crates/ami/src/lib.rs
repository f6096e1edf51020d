//! Asterisk Manager Interface: what ARI can't tell or do. Login, actions, lists, CLI commands, events.
//!
//! [`connect`] logs in and starts one task that has the socket; it ends with the last [`Client`] or with the connection.
//! Nothing connects again by itself: who needs it, connects.
//!
//! Requests may be under way at once, [`REQUESTS_MAX`] of them. Events are off unless [`Config::events`] asks for some.
//! Everything that Asterisk sends is bounded by the limits below; what is over them ends the connection.
//!
//! Does not know what it is asked for: neither audits, recordings, calls nor cards. What passes through may hold variables of
//! the dialplan, so that no error and no `Debug` here shows a value.

mod client;
mod config;
mod error;
mod message;

pub use client::{Client, Events, connect};
pub use config::{Config, EventFilter, Login};
pub use error::{Error, Limit, Refusal};
pub use message::Message;

/// Longest line from Asterisk, in bytes. A value is a channel variable (4096, `main/manager.c: action_getvar`) or a line of CLI
/// output; nothing sends more than this.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Lines of one message, an output of CLI included: `core show channels verbose` has one a channel.
pub const MESSAGE_LINES_MAX: usize = 50_000;
/// Bytes of one message.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Events of one list.
pub const LIST_EVENTS_MAX: usize = 20_000;
/// Bytes of one list.
pub const LIST_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Requests under way at once.
pub const REQUESTS_MAX: usize = 32;
/// Fields of one action. Asterisk drops what is over 128 (`include/asterisk/manager.h: AST_MAX_MANHEADERS`); action and id are two.
pub const FIELDS_MAX: usize = 120;
/// Longest line that goes out, in bytes. Asterisk throws away a message with a line over 1024
/// (`main/manager.c: mansession_session.inbuf`).
pub const FIELD_BYTES_MAX: usize = 1000;
/// Events that wait to be taken; those that find it full are counted by [`Events::lost`].
pub const EVENTS_WAITING_MAX: usize = 4096;
