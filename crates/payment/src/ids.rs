//! Ids as types, so that a payment's id can't stand where a channel's belongs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::is_card_like;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Empty, or only blanks.
    #[error("{what} is empty")]
    Empty {
        /// Which id.
        what: &'static str,
    },
    /// A character that is not allowed.
    #[error("{what} holds a character that is not allowed; use letters, digits and {allowed}")]
    Character {
        /// Which id.
        what: &'static str,
        /// The signs that are allowed beside letters and digits.
        allowed: &'static str,
    },
    /// Thirteen digits or more that pass the Luhn check: it may be a card number, and card numbers are not ids.
    #[error("{what} looks like a card number; a card number is never an id")]
    LooksLikeCard {
        /// Which id.
        what: &'static str,
    },
    /// Longer than its limit.
    #[error("{what} is longer than {max} characters")]
    TooLong {
        /// Which id.
        what: &'static str,
        /// The limit, characters.
        max: usize,
    },
    /// Not a UUID.
    #[error("{what} is not of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")]
    Uuid {
        /// Which id.
        what: &'static str,
    },
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// Made by the caller (a UUID version 7, so that ids sort by time).
            #[must_use]
            pub const fn new(id: uuid::Uuid) -> Self {
                Self(id)
            }

            /// The UUID itself.
            #[must_use]
            pub const fn uuid(self) -> uuid::Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                uuid::Uuid::parse_str(text).map(Self).map_err(|_| IdError::Uuid { what: $what })
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $allowed:literal, card: $card:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Longest, characters.
            pub const MAX: usize = $max;

            /// Reads an id.
            ///
            /// # Errors
            /// [`IdError`] when it is empty, too long, holds other characters than ASCII letters, digits and the few
            /// signs that this id allows, or looks like a card number.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check($what, &text, $max, $allowed, $card)?;
                Ok(Self(text))
            }

            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

uuid_id!(
    /// One telephone call at ours, from entering Stasis to leaving it.
    CallId, "call id"
);
uuid_id!(
    /// One payment of one order (part).
    PaymentId, "payment id"
);
uuid_id!(
    /// One operation of a payment: authorise, capture, void ... A second card is another operation.
    OperationId, "operation id"
);
uuid_id!(
    /// What an acquirer de-duplicates by. Belongs to the operation, not to the payment.
    IdempotencyKey, "idempotency key"
);

uuid_id!(
    /// One recording in which a card was spoken or keyed.
    RecordingId, "recording id"
);
uuid_id!(
    /// Something that a person must do.
    TaskId, "task id"
);
uuid_id!(
    /// One event that a merchant's program is told, the same at each try.
    EventId, "event id"
);
uuid_id!(
    /// One person who signs in.
    PersonId, "person id"
);
uuid_id!(
    /// One key of a program, kept in the journal.
    KeyId, "key id"
);
uuid_id!(
    /// One wish that a second person has to allow.
    ApprovalId, "approval id"
);

text_id!(
    /// A merchant on this installation.
    TenantId, "tenant", 40, "-_.", card: true
);
text_id!(
    /// The merchant's own number of an order.
    OrderId, "order", 64, "-_.:/", card: true
);
text_id!(
    /// The person who led the payment, from agent login or API; not the extension.
    OperatorId, "operator", 64, "-_.@:/", card: true
);
text_id!(
    /// Whose a task is: an operator, or a role, which is written `role:NAME`.
    Owner, "owner", 64, "-_.@:/", card: true
);
text_id!(
    /// A place or brand of the merchant, for reports.
    SiteId, "site", 40, "-_.", card: true
);
text_id!(
    /// The acquirer's reference of a transaction (`charge_id`).
    AcquirerRef, "acquirer reference", 128, "-_.:/+=", card: false
);

text_id!(
    /// The acquirer's name for a card that it has stored. Charges it without keys, so it is the merchant's secret, but no card number.
    CardToken, "card token", 128, "-_.:/+=", card: true
);

impl From<&OperatorId> for Owner {
    fn from(operator: &OperatorId) -> Self {
        Self(operator.0.clone())
    }
}

/// An order number for acquirers: 17 digits, which fits every one of them; allotted by the journal before the intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AcquirerOrder(u64);

impl AcquirerOrder {
    /// Largest: seventeen nines.
    pub const MAX: u64 = 99_999_999_999_999_999;

    /// `None` above [`Self::MAX`].
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number <= Self::MAX {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for AcquirerOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:017}", self.0)
    }
}

fn check(
    what: &'static str,
    text: &str,
    max: usize,
    allowed: &'static str,
    card: bool,
) -> Result<(), IdError> {
    if text.trim().is_empty() {
        return Err(IdError::Empty { what });
    }
    if text.len() > max {
        return Err(IdError::TooLong { what, max });
    }
    if !text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || allowed.contains(c))
    {
        return Err(IdError::Character { what, allowed });
    }
    if card && looks_like_card(text) {
        return Err(IdError::LooksLikeCard { what });
    }
    Ok(())
}

/// A run of digits that could be a card number as a whole, by itself or with `-_.:/` between its digits. An order number that
/// happens to look so is refused too: better one order renamed than one card number in every log.
fn looks_like_card(text: &str) -> bool {
    // Of digits alone, and joined over the signs between them.
    let (mut run, mut joined) = (Vec::new(), Vec::new());
    let mut found = false;
    for c in text.chars().chain(['\0']) {
        if let Some(digit) = c.to_digit(10) {
            let digit = u8::try_from(digit).unwrap_or_default();
            run.push(digit);
            joined.push(digit);
            continue;
        }
        found |= is_card_like(&run);
        run.clear();
        if !"-_.:/".contains(c) {
            found |= is_card_like(&joined);
            joined.clear();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn order(text: &str, expected: Result<(), IdError>) {
        assert_eq!(OrderId::new(text).map(|_| ()), expected);
    }

    #[test]
    fn orders() {
        order("A-1024", Ok(()));
        order("2026/11/000123", Ok(()));
        order("", Err(IdError::Empty { what: "order" }));
        order(
            "a b",
            Err(IdError::Character {
                what: "order",
                allowed: "-_.:/",
            }),
        );
        order(
            &"9".repeat(65),
            Err(IdError::TooLong {
                what: "order",
                max: 64,
            }),
        );
    }

    #[test]
    fn a_card_number_is_no_order() {
        let card = Err(IdError::LooksLikeCard { what: "order" });
        order("4111111111111111", card.clone());
        order("4111-1111-1111-1111", card.clone());
        order("TEL:378282246310005", card.clone());
        order("4111_1111.1111/1111", card.clone());
        order("2026/4111111111111111", card.clone());
        order("1-4111111111111111-2", card);
        order("4111111111111112", Ok(()));
        // Passes the Luhn check, and is a date and a number.
        order("2026/11/23/000006", Ok(()));
    }

    #[test]
    fn acquirer_orders_have_seventeen_digits() {
        assert_eq!(
            AcquirerOrder::new(42).unwrap().to_string(),
            "00000000000000042"
        );
        assert!(AcquirerOrder::new(AcquirerOrder::MAX + 1).is_none());
    }
}
