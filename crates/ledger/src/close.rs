//! The sums of a day by merchant, site, operator and currency.

use std::collections::BTreeMap;

use ivrpay_payment::{Currency, OperationKind};
use serde::Serialize;

use crate::Entry;

/// Whose sums.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Whose {
    /// The merchant.
    pub tenant: String,
    /// Place or brand; `None` where none is said.
    pub site: Option<String>,
    /// Who was in the call; `None` where nobody was.
    pub operator: Option<String>,
    /// ISO 4217.
    pub currency: String,
}

/// How many, and how much in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub struct Sum {
    pub count: u64,
    pub minor: i64,
}

impl Sum {
    fn add(&mut self, minor: i64) {
        self.count += 1;
        self.minor = self.minor.saturating_add(minor);
    }
}

/// What was approved in a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Charges and captures: what was taken.
    pub sales: Sum,
    /// Refunds.
    pub refunds: Sum,
    /// Voids: what of it had been taken goes back.
    pub voids: Sum,
    /// Authorisations: reserved, nothing is moved by them.
    pub authorisations: Sum,
    /// Sales less refunds and voids, minor units.
    pub net_minor: i64,
}

impl Sums {
    fn add(&mut self, entry: &Entry) {
        let moved = entry.moved();
        self.net_minor = self.net_minor.saturating_add(moved);
        match entry.kind {
            OperationKind::Charge | OperationKind::Capture => self.sales.add(moved),
            OperationKind::Refund => self.refunds.add(moved),
            OperationKind::Void => self.voids.add(moved),
            OperationKind::Authorise => {
                let minor = entry.amount.minor();
                self.authorisations
                    .add(i64::try_from(minor).unwrap_or(i64::MAX));
            }
            _ => {}
        }
    }
}

/// A closed day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closing {
    /// By merchant, site and operator.
    pub rows: BTreeMap<Whose, Sums>,
    /// By merchant and currency.
    pub totals: BTreeMap<(String, String), Sums>,
}

/// Adds up.
#[must_use]
pub fn close<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Closing {
    let mut closing = Closing::default();
    for entry in entries {
        let currency: Currency = entry.amount.currency();
        let whose = Whose {
            tenant: entry.tenant.to_string(),
            site: entry.site.as_ref().map(ToString::to_string),
            operator: entry.operator.as_ref().map(ToString::to_string),
            currency: currency.to_string(),
        };
        let total = (whose.tenant.clone(), whose.currency.clone());
        closing.totals.entry(total).or_default().add(entry);
        closing.rows.entry(whose).or_default().add(entry);
    }
    closing
}
