//! Receipts (領収書): what one has to say ([`issue`], [`reissue`], [`give_back`]), and how it looks ([`pdf`], [`plain`]).
//!
//! Begins with what was charged ([`Sale`]), who issues ([`Issuer`]) and what is wished ([`Wish`]); ends with a [`Receipt`], which is all that a
//! template can show. Does not know files, clocks, numbers that were given before, or any of a card but brand and last four. Every amount is an
//! integer of minor units; floats stand for places on a page alone.

mod layout;
mod model;
mod plain;
mod rules;
mod template;
mod words;

pub use layout::{Font, FontError, PdfError, pdf};
pub use model::{
    Card, Issuer, Kind, Language, Line, Original, Rate, RateError, Receipt, Registration,
    RegistrationError, Rounding, Sale, Sum, Wish,
};
pub use plain::plain;
pub use rules::{LINES_MAX, Refused, TEXT_MAX, give_back, issue, reissue};
pub use template::{Template, TemplateError};
