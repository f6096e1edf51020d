//! What a payment is for.

use serde::{Deserialize, Serialize};

use crate::{CardToken, Currency, Money, OperationKind, Truncated};

/// What is asked of the acquirer with the card of a call (`transactionType` of Twilio's `<Pay>`, with two more).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Transaction {
    /// 仮売上: reserve the amount; it is captured when the goods leave.
    #[serde(rename = "authorize")]
    Authorise,
    /// 即時売上: take the amount at once.
    #[default]
    Charge,
    /// 会員登録: store the card at the acquirer, without a charge.
    #[serde(rename = "tokenize")]
    Tokenise,
    /// 有効性確認: check the card, without a charge.
    Verify,
}

impl Transaction {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Authorise, Self::Charge, Self::Tokenise, Self::Verify];

    /// Spelling in the journal and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.kind().name()
    }

    /// Reads [`Self::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    /// The operation that does it.
    #[must_use]
    pub const fn kind(self) -> OperationKind {
        match self {
            Self::Authorise => OperationKind::Authorise,
            Self::Charge => OperationKind::Charge,
            Self::Tokenise => OperationKind::Tokenise,
            Self::Verify => OperationKind::Verify,
        }
    }

    /// Whether it has an amount. Of the others the journal keeps one minor unit, which is what acquirers without such an operation
    /// reserve for a moment and release.
    #[must_use]
    pub const fn moves_money(self) -> bool {
        matches!(self, Self::Authorise | Self::Charge)
    }

    /// What stands in the place of an amount where there is none.
    #[must_use]
    pub fn nominal(currency: Currency) -> Money {
        Money::new(1, currency).expect("one is in the range of every currency")
    }
}

/// A card that the acquirer has, and what may be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCard {
    /// The acquirer's name for it.
    pub token: CardToken,
    /// Brand and last four.
    pub card: Truncated,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_wire() {
        let names = Transaction::ALL.map(Transaction::name);
        assert_eq!(names, ["authorize", "charge", "tokenize", "verify"]);
        for transaction in Transaction::ALL {
            assert_eq!(
                Transaction::from_name(transaction.name()),
                Some(transaction)
            );
            assert_eq!(
                serde_json::to_value(transaction).unwrap(),
                transaction.name()
            );
        }
        assert_eq!(Transaction::from_name("refund"), None);
    }
}
