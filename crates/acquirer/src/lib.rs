//! Connectors to acquirers, without I/O.
//!
//! A [`Connector`] turns an operation whose intent is durable, and a card, into requests, and answers into an
//! [`ivrpay_payment::Outcome`]. `ivrpay-wire` carries the bytes. The request body is written once, straight into locked memory
//! (`ivrpay_secret::Buffer`), and never passes through a `String` or a JSON library; an answer holds no card by contract.
//! Digests over a card leave nothing behind ([`ivrpay_secret::leaving_nothing`]).
//!
//! Money rule: what is not clearly approved, declined or not charged is unknown, and unknown is never charged again
//! (the same request under the same key is the same charge: [`Resend`]).
//!
//! To add an acquirer: a folder beside `generic`, with `mod.rs` (the trait, and its [`About`]), `fields.rs` (its names), `codes.rs` (its
//! codes, each with its source), `tests.rs`; then its name in `connectors!` below, and a page in `docs/acquirers`.

mod about;
mod codes;
mod connector;
mod course;
mod digest;
mod endpoint;
mod form;
mod hook;
mod japan;
mod json;
mod message;
mod text;
mod xml;

/// The connectors that there are.
macro_rules! connectors {
    ($($name:ident),* $(,)?) => {
        $(pub mod $name;)*

        mod connectors {
            pub(crate) const ALL: &[&crate::About] = &[$(&crate::$name::ABOUT),*];
        }
    };
}

connectors! {
    adyen,
    generic,
    gmo,
    hyperswitch,
    kuroneko,
    null,
    sbps,
    stripe,
    veritrans,
    zeus,
}

pub use about::{
    About, Hosts, Kind, Mode, Sandbox, Setting, SettingError, Settings, TestCard, UnknownKind,
    configured,
};
pub use codes::foreign::codes_in;
pub use connector::{Asked, BuildError, Capabilities, Connector, Plans, Progress, Resend, Step};
pub use course::Course;
pub use endpoint::{CardKept, EndpointConfig, Identity};
pub use hook::{Heard, Hook, HookError, Posted};
pub use message::{Method, Reply, Request};

#[cfg(test)]
pub(crate) mod testing;
