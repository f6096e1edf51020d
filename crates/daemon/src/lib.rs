//! The service: configuration, checks, calls, settlement. Joins every crate but `cli` and `sim`.

mod arguments;
pub mod audit;
mod call;
pub mod canary;
pub mod check;
pub mod config;
mod desk;
pub mod edge;
mod events;
mod guard;
pub mod ladder;
mod lamps;
mod order;
mod pairs;
mod paykey;
mod quarantine;
mod reach;
pub mod recorders;
mod serve;
pub mod settle;
mod spoken;
mod tasks;

pub use reach::reach;
pub use serve::serve;

/// One provider of cryptography for every TLS of the process: ring.
pub fn install_crypto() {
    // An error only says that it is there already.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
}
