//! The service: configuration, checks, calls, settlement. Joins every crate but `cli` and `sim`.

mod access;
mod anchor;
mod arguments;
pub mod audit;
pub mod breaker;
mod call;
pub mod canary;
mod cancels;
mod captures;
pub mod check;
pub mod config;
mod desk;
mod drain;
pub mod edge;
mod events;
mod expiring;
mod guard;
mod health;
mod keypad;
pub mod ladder;
mod lamps;
pub mod line;
pub mod live;
mod order;
mod outbound;
mod pairs;
mod paykey;
mod plans;
pub mod pools;
mod quarantine;
mod reach;
mod receipts;
pub mod recorders;
mod recovery;
mod retention;
pub mod routing;
mod serve;
pub mod settle;
pub mod spies;
mod spoken;
mod tasks;
#[cfg(feature = "plant")]
pub mod teller;
mod tls;
pub mod tries;
pub mod trunk;
mod twilio;
mod webhooks;

pub use reach::reach;
pub use serve::serve;

/// One provider of cryptography for every TLS of the process: ring.
pub fn install_crypto() {
    // An error only says that it is there already.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
}
