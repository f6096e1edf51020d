//! The most that may be known of a card outside the crates that hold it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A card scheme. The spelling is that of `valid_card_types` in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are the documentation")]
#[non_exhaustive]
pub enum Brand {
    Amex,
    DinersClub,
    Discover,
    Jcb,
    Maestro,
    Mastercard,
    Unionpay,
    Visa,
}

impl Brand {
    /// All that we know.
    pub const ALL: [Brand; 8] = [
        Self::Amex,
        Self::DinersClub,
        Self::Discover,
        Self::Jcb,
        Self::Maestro,
        Self::Mastercard,
        Self::Unionpay,
        Self::Visa,
    ];

    /// Spelling in configuration, API, events and channel variables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amex => "amex",
            Self::DinersClub => "diners-club",
            Self::Discover => "discover",
            Self::Jcb => "jcb",
            Self::Maestro => "maestro",
            Self::Mastercard => "mastercard",
            Self::Unionpay => "unionpay",
            Self::Visa => "visa",
        }
    }
}

impl fmt::Display for Brand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Brand and last four: the only form of a card number that leaves the crates of card data (PCI DSS v4.0.1, 3.4.1;
/// one truncation in every system, FAQ 1117).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truncated {
    /// The scheme.
    pub brand: Brand,
    /// The last four digits, each 0 to 9.
    last4: [u8; 4],
}

impl Truncated {
    /// `None` if one of the four is not a digit.
    #[must_use]
    pub fn new(brand: Brand, last4: [u8; 4]) -> Option<Self> {
        last4
            .iter()
            .all(|d| *d <= 9)
            .then_some(Self { brand, last4 })
    }

    /// The last four digits as values, 0 to 9.
    #[must_use]
    pub const fn last4(self) -> [u8; 4] {
        self.last4
    }

    /// The last four digits as text.
    #[must_use]
    pub fn last4_text(self) -> String {
        self.last4.iter().map(|d| char::from(b'0' + d)).collect()
    }
}

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.brand, self.last4_text())
    }
}
