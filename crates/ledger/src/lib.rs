//! What accounting wants of payments: rows to export ([`export`]), the sums of a day ([`close`]), and a comparison with what an acquirer has
//! settled ([`reconcile`]).
//!
//! Begins with [`Entry`], one for each operation that an acquirer has approved, and ends with texts and numbers. Every sum is an integer of
//! minor units. Does not know the journal, files, encodings, or any of a card but brand and last four.

pub mod close;
mod entry;
pub mod export;
pub mod reconcile;
pub mod settlement;

pub use entry::{Entry, decimal};
