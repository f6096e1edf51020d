//! Card number, security code and expiry in locked memory.
//!
//! [`Digits`] takes what is keyed; [`Pan`], [`Expiry`] and [`SecurityCode`] are digits that were checked, still in the same
//! slot; [`Card`] is what an acquirer needs. All are wiped when dropped. The digits are only ever lent, as ASCII, to a
//! closure; [`ivrpay_payment::Truncated`] is the only form that leaves.
//!
//! This crate holds no copy: functions read digits one at a time where they lie. It does not know prompts, calls or
//! acquirers, and has no clock.

mod brand;
mod code;
mod digits;
mod expiry;
mod pan;

pub use brand::{Range, Ranges, RangesError, SOURCE, ranges};
pub use code::{SecurityCode, SecurityCodeError};
pub use digits::Digits;
pub use expiry::{Expiry, ExpiryError, Month};
pub use pan::{Pan, PanError, Progress, Rules, legal, progress};

/// A whole card, as an acquirer needs it.
pub struct Card {
    /// Number.
    pub pan: Pan,
    /// Expiry.
    pub expiry: Expiry,
    /// Code, where it was asked.
    pub code: Option<SecurityCode>,
}

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Display};

    use serde::Serialize;
    use static_assertions::{assert_impl_all, assert_not_impl_any};

    use super::*;

    assert_not_impl_any!(Digits: Clone, Debug, Display, Serialize, PartialEq);
    assert_not_impl_any!(Pan: Clone, Debug, Display, Serialize, PartialEq);
    assert_not_impl_any!(Expiry: Clone, Debug, Display, Serialize, PartialEq);
    assert_not_impl_any!(SecurityCode: Clone, Debug, Display, Serialize, PartialEq);
    assert_not_impl_any!(Card: Clone, Debug, Display, Serialize, PartialEq);
    assert_impl_all!(Card: Send, Sync);
}
