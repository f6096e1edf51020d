//! Payments by seeds: a virtual clock, a random schedule of everything that goes wrong, and an auditor at every step.
//!
//! What decides is the real code: the state machine of a payment, what is asked when and believed from when (`ivrpay-payment`), the
//! dialogue, connectors, and what may be said of the money behind requests (`ivrpay-acquirer`). The journal is its contract over a model disk
//! (`store.rs`, `book.rs`), compared with the real one by a test; the acquirers are models of three protocols with books of their own
//! (`bank.rs`). The process is killed, or its power lost, at any place of any of it (`points.rs`).
//!
//! One seed is one run: the same seed gives the same steps and the same hash. No I/O, no clock and no threads here.

mod audit;
mod bank;
mod book;
mod call;
#[cfg(feature = "plant")]
mod plants;
mod points;
mod rng;
mod settle;
mod store;
mod world;

pub use audit::Counts;
#[cfg(feature = "plant")]
pub use plants::{PLANTS, Plant, choose};
pub use world::{Ends, Lab, Ran, Wrong};

/// Runs one seed.
#[must_use]
pub fn run(lab: &Lab, seed: u64) -> Ran {
    world::World::new(lab, seed, false).run(seed)
}

/// The same, with a line of each thing that happened.
#[must_use]
pub fn trace(lab: &Lab, seed: u64) -> Ran {
    world::World::new(lab, seed, true).run(seed)
}

#[cfg(test)]
mod tests;
