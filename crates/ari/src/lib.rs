//! Asterisk REST Interface: a redacting socket, the events and requests that we use, one bounded queue a channel.
//!
//! [`connect`] starts one reader task that holds the websocket of one application, and gives a [`Client`] for requests
//! and [`Calls`] for what comes in. The reader never waits for anything but the socket: Asterisk closes the socket of a
//! reader that is 100 ms late (`websocket_write_timeout`) and replays nothing.
//!
//! A key press passes through in three pieces that never meet in a library's memory: [`redact`] takes the key out of the
//! event while the bytes are still in locked memory; the event goes on through tungstenite and serde with `x` in its
//! place; the reader puts the key into the call's own [`KeyRing`](ivrpay_secret::KeyRing) and
//! [`CallEvent::KeyWaiting`] into the call's queue.
//!
//! [`listen`] is the one way around the redactor: for `ivrpay audit --canary`, which looks for its own test card in events.
//!
//! Does not know what a call is for: neither dialogue, prompts, cards nor money.

mod bridge;
mod client;
mod config;
pub mod contract;
mod error;
mod event;
mod ids;
mod listen;
mod record;
pub mod redact;
mod request;
mod route;
mod scan;
mod socket;

pub use bridge::DeviceState;
pub use client::Client;
pub use config::{Config, ConfigError};
pub use error::{RequestError, Trouble};
pub use event::{Caller, Channel, Dialplan, Event, Malformed, Playback, read};
pub use ids::{BridgeId, ChannelId, InvalidId, PlaybackId};
pub use listen::{Listener, listen};
pub use record::RtpReceived;
pub use request::{
    Application, Bridge, Dial, Direction, Endpoint, HangupReason, Info, LogChannel, Module,
    Originate, Setting, Sound, SoundLanguage,
};
pub use route::{CallEvent, Counters, Inbox, Outlet, Refusal, Start, Why, pair};
pub use socket::{Calls, Status, connect};

/// Channel variable that tells the dialplan how the payment ended.
pub const RESULT_VARIABLE: &str = "IVRPAY_RESULT";

/// Channel variable with which a dialplan says `1` when it has muted the caller itself, and gives the voice back behind `Stasis()`.
pub const MUTED_VARIABLE: &str = "IVRPAY_MUTED";
