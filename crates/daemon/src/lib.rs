//! The service: configuration, checks, calls, settlement. Joins every crate but `cli` and `sim`.

mod arguments;
mod call;
pub mod check;
pub mod config;
mod events;
mod guard;
mod serve;
pub mod settle;

pub use serve::serve;
