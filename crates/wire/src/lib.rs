//! HTTPS to acquirers: one request, one connection, one answer, or a plain statement about the money.
//!
//! A [`Sender`] belongs to one endpoint. It never sends a request twice: no retry, no redirect, no proxy, and no idle connection
//! that might turn out to be stale. [`SendError`] says whether anything may have been charged.
//!
//! The body is lent from locked memory and dropped, hence wiped, as soon as it has been written out, while the answer is still
//! awaited (PCI DSS v4.0.1, 3.3.1.2). Where merchant and connector allow it, [`run_from`] keeps it until the answer has come, and sends
//! the same request again under the same key (`again`). HTTP/1.1 only: HTTP/2 copies small bodies into a buffer of the connection.
//!
//! A [`Hook`] is something else: card-free words to a recorder, over HTTP on this machine too; and so is a [`Lookup`], which asks a
//! merchant what an order costs, and a [`Webhook`], which tells him what became of it.
//!
//! [`run_from`] drives a connector's steps over a sender; the card goes before the last request that needs it leaves.

mod again;
mod callback;
pub mod conformance;
mod error;
mod hook;
mod issuer;
mod lookup;
mod probe;
#[cfg(test)]
mod resumed;
mod run;
mod send;
mod signed;
#[cfg(test)]
mod tests;
mod tls;
mod webhook;

pub use callback::{Callback, CallbackConfig, CallbackError};
pub use error::{Certificate, ConfigError, SendError, Unreached};
pub use hook::{Hook, HookConfig, HookError};
pub use issuer::{Issuer, IssuerError};
pub use lookup::{ANSWER_MAX, Lookup, LookupConfig, LookupError};
pub use probe::Reached;
pub use run::{Checkpoint, Kept, NotWritten, Ran, Trouble, hint, run_from};
pub use send::{Sender, Wiped};
pub use webhook::{Network, Webhook, WebhookConfig, WebhookError};
