//! How a purchase is paid back (支払区分).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How the cardholder pays the issuer back. The merchant gets the whole amount in every case; which plans there are is a matter of
/// his contract, the card's brand and the amount.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub enum Plan {
    /// 一括: all at once.
    #[default]
    LumpSum,
    /// 分割: in so many monthly parts.
    Instalments(Count),
    /// ボーナス一括: all at once, at the next bonus.
    BonusLumpSum,
    /// ボーナス分割: in so many bonuses.
    BonusInstalments(Count),
    /// リボ: a fixed sum a month.
    Revolving,
}

/// Number of instalments: 2 to 99.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Count(u8);

impl Count {
    /// `None` outside 2 to 99.
    #[must_use]
    pub const fn new(count: u8) -> Option<Self> {
        if count >= 2 && count <= 99 {
            Some(Self(count))
        } else {
            None
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Plan {
    /// Spelling without the count.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LumpSum => "lump_sum",
            Self::Instalments(_) => "installments",
            Self::BonusLumpSum => "bonus",
            Self::BonusInstalments(_) => "bonus_installments",
            Self::Revolving => "revolving",
        }
    }

    /// The number of instalments, where there are some.
    #[must_use]
    pub const fn count(self) -> Option<u8> {
        match self {
            Self::Instalments(count) | Self::BonusInstalments(count) => Some(count.get()),
            Self::LumpSum | Self::BonusLumpSum | Self::Revolving => None,
        }
    }

    /// Whether it is the one that every merchant and card has.
    #[must_use]
    pub const fn is_lump_sum(&self) -> bool {
        matches!(self, Self::LumpSum)
    }
}

/// `lump_sum`, `installments:3`, `bonus`, `bonus_installments:2`, `revolving`.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self.count() {
            Some(count) => write!(f, ":{count}"),
            None => Ok(()),
        }
    }
}

/// A text that is no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no payment plan: lump_sum, installments:N, bonus, bonus_installments:N or revolving, N from 2 to 99"
)]
pub struct PlanError;

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let (name, count) = match text.split_once(':') {
            Some((name, count)) => {
                let digits = count.bytes().all(|b| b.is_ascii_digit());
                let count = count.parse().ok().filter(|_| digits);
                (name, Some(count.and_then(Count::new).ok_or(PlanError)?))
            }
            None => (text, None),
        };
        match (name, count) {
            ("lump_sum", None) => Ok(Self::LumpSum),
            ("installments", Some(count)) => Ok(Self::Instalments(count)),
            ("bonus", None) => Ok(Self::BonusLumpSum),
            ("bonus_installments", Some(count)) => Ok(Self::BonusInstalments(count)),
            ("revolving", None) => Ok(Self::Revolving),
            _ => Err(PlanError),
        }
    }
}

impl From<Plan> for String {
    fn from(plan: Plan) -> Self {
        plan.to_string()
    }
}

impl TryFrom<String> for Plan {
    type Error = PlanError;

    fn try_from(text: String) -> Result<Self, PlanError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_read_back() {
        let three = Count::new(3).unwrap();
        for (plan, text) in [
            (Plan::LumpSum, "lump_sum"),
            (Plan::Instalments(three), "installments:3"),
            (Plan::BonusLumpSum, "bonus"),
            (Plan::BonusInstalments(three), "bonus_installments:3"),
            (Plan::Revolving, "revolving"),
        ] {
            assert_eq!(plan.to_string(), text);
            assert_eq!(text.parse(), Ok(plan));
            assert_eq!(serde_json::to_value(plan).unwrap(), text);
        }
        for wrong in [
            "",
            "installments",
            "installments:1",
            "installments:+3",
            "installments:100",
            "lump_sum:2",
            "bonus:x",
        ] {
            assert_eq!(wrong.parse::<Plan>(), Err(PlanError), "{wrong}");
        }
    }
}
