//! Connectors to acquirers, without I/O.
//!
//! A [`Connector`] turns an operation whose intent is durable, and a card, into requests, and answers into an
//! [`ivrpay_payment::Outcome`]. `ivrpay-wire` carries the bytes. The request body is written once, straight into locked memory
//! (`ivrpay_secret::Buffer`), and never passes through a `String` or a JSON library; an answer holds no card by contract.
//!
//! Money rule: what is not clearly approved, declined or not charged is unknown, and unknown is never charged again
//! (there is no retry in this crate, nor below it).
//!
//! To add an acquirer: a folder beside `generic`, with `mod.rs` (the trait), `fields.rs` (its names), `codes.rs` (its
//! codes, each with its source); then [`Kind`] and [`connector`].

mod connector;
mod endpoint;
pub mod generic;
mod json;
mod message;
pub mod null;
mod text;

pub use connector::{
    BuildError, Capabilities, Connector, Kind, Progress, Step, UnknownKind, configured, connector,
};
pub use endpoint::EndpointConfig;
pub use message::{Method, Reply, Request};
