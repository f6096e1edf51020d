//! What is taken out of the journal when its time is over: payments that ended long ago, with all that was kept of them.
//!
//! The chains of records stay whole: of a record that is taken out its place, its time, its kind and its hashes stay, and a record of kind
//! `retention` says which were taken out. One that lost its content without such a record is a break.

use std::collections::BTreeMap;
use std::time::Duration;

use ivrpay_payment::{PaymentId, TaskId, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Error;
use crate::journal::Journal;
use crate::store::{Durability, Tx};

/// How long payments are kept, from their last change on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// For every merchant that has none of its own, those that have left too; `None`: for ever.
    pub all: Option<Duration>,
    /// Of single merchants.
    pub of: BTreeMap<TenantId, Option<Duration>>,
}

impl Terms {
    /// Most payments that are taken out in one transaction: nobody who wants to write waits for long.
    pub const AT_ONCE: u32 = 10;
    /// On so many days the journal has to have been written, by the clock, within [`Terms::SEEN`]. A machine that comes up in another year
    /// would have the whole journal be over at once; so it has a week to be noticed.
    pub const DAYS_MIN: i64 = 7;
    /// Days that are looked at for that.
    pub const SEEN: Duration = Duration::from_secs(14 * 24 * 3600);

    /// How long a merchant's payments are kept.
    #[must_use]
    pub fn of(&self, tenant: &TenantId) -> Option<Duration> {
        self.of.get(tenant).copied().unwrap_or(self.all)
    }

    /// Whether anything is ever over.
    #[must_use]
    pub fn are_any(&self) -> bool {
        self.all.is_some() || self.of.values().any(Option::is_some)
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retained {
    /// So many payments, and promises about none of ours, are gone; more may be over.
    Removed(usize),
    /// The journal was written on too few of the days before: the clock may be wrong, and nothing was touched.
    Waits,
}

/// A merchant's payments that are over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Over {
    /// Whose.
    pub tenant: TenantId,
    /// Of before then, UTC milliseconds.
    pub before_ms: i64,
    /// To be taken out.
    pub payments: i64,
    /// As old, and kept, since something of them is open: a task, an unknown outcome, a card that is registered.
    pub held: i64,
}

/// Records of one writer that were taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cut {
    pub(crate) writer: String,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Journal {
    /// Takes out some of what is over. To be called again while it says that something was.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn retain(&self, terms: &Terms) -> Result<Retained, Error> {
        // By a clock that jumped while we ran nothing is older.
        let now_ms = self.now_ms().saturating_sub(self.jumped_ms());
        if !self.clock_is_known(now_ms).await? {
            return Ok(Retained::Waits);
        }
        // What is to go is looked for beside whoever writes.
        for tenant in self.store().tenants().await? {
            let Some(term) = terms.of(&tenant) else {
                continue;
            };
            let before_ms = now_ms.saturating_sub(ms(term));
            let payments = self.store().over(&tenant, before_ms).await?;
            let promises = self.store().promises_over(&tenant, before_ms).await?;
            if payments.is_empty() && promises.is_empty() {
                continue;
            }
            let mut tx = self.begin(Durability::Rides).await?;
            let removed = remove(&mut tx, &tenant, before_ms, (payments, promises)).await;
            return tx.end(removed.map(Retained::Removed)).await;
        }
        Ok(Retained::Removed(0))
    }

    /// Whether the journal was written on enough of the days before now.
    pub(crate) async fn clock_is_known(&self, now_ms: i64) -> Result<bool, Error> {
        let from_ms = now_ms.saturating_sub(ms(Terms::SEEN));
        let days = self.store().days_written(from_ms, now_ms).await?;
        Ok(days >= Terms::DAYS_MIN)
    }

    /// What [`Self::retain`] would take out, and what it would leave though it is as old, by merchant.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn over(&self, terms: &Terms) -> Result<Vec<Over>, Error> {
        let mut all = Vec::new();
        for tenant in self.store().tenants().await? {
            let Some(term) = terms.of(&tenant) else {
                continue;
            };
            let before_ms = self.now_ms().saturating_sub(ms(term));
            let (payments, held) = self.store().count_over(&tenant, before_ms).await?;
            all.push(Over {
                tenant,
                before_ms,
                payments,
                held,
            });
        }
        Ok(all)
    }

    /// Before when payments of this merchant have been taken out, UTC milliseconds: what is read of before then is not the whole.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn removed_before(&self, tenant: Option<&TenantId>) -> Result<Option<i64>, Error> {
        self.store().removed_before(tenant).await
    }
}

pub(crate) fn ms(term: Duration) -> i64 {
    i64::try_from(term.as_millis()).unwrap_or(i64::MAX)
}

async fn remove(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    before_ms: i64,
    (payments, promises): (Vec<PaymentId>, Vec<TaskId>),
) -> Result<usize, Error> {
    let (mut gone, mut records) = (0, Vec::new());
    for payment in payments {
        // Somebody may have refunded it since it was found.
        if !tx.is_over(tenant, before_ms, payment).await? {
            continue;
        }
        if let Some(mut of) = tx.remove(payment).await? {
            gone += 1;
            records.append(&mut of);
        }
    }
    let mut kept = 0;
    for promise in promises {
        kept += usize::from(tx.remove_promise(promise).await?);
    }
    tx.remove_parts(tenant, before_ms).await?;
    if gone + kept > 0 {
        let body = json!({
            "tenant": tenant, "before_ms": before_ms, "payments": gone, "promises": kept, "records": cuts(records),
        });
        tx.append_alone("retention", body).await?;
    }
    Ok(gone + kept)
}

/// Numbers in a row as one.
pub(crate) fn cuts(mut records: Vec<(String, i64)>) -> Vec<Cut> {
    records.sort();
    let mut cuts: Vec<Cut> = Vec::new();
    for (writer, number) in records {
        match cuts.last_mut() {
            Some(cut) if cut.writer == writer && cut.to + 1 == number => cut.to = number,
            _ => cuts.push(Cut {
                writer,
                from: number,
                to: number,
            }),
        }
    }
    cuts
}

/// What a record of kind `retention` says.
#[derive(Deserialize)]
pub(crate) struct Removal {
    /// Whose payments they were; none of what was no payment's.
    #[serde(default)]
    pub(crate) tenant: Option<TenantId>,
    pub(crate) before_ms: i64,
    pub(crate) records: Vec<Cut>,
}

/// Every record that was taken out, by what all records of kind `retention` say.
#[derive(Default)]
pub(crate) struct TakenOut(BTreeMap<String, BTreeMap<i64, i64>>);

impl FromIterator<Removal> for TakenOut {
    fn from_iter<I: IntoIterator<Item = Removal>>(removals: I) -> Self {
        let mut all = Self::default();
        for cut in removals.into_iter().flat_map(|removal| removal.records) {
            all.0
                .entry(cut.writer)
                .or_default()
                .insert(cut.from, cut.to);
        }
        all
    }
}

impl TakenOut {
    pub(crate) fn has(&self, writer: &str, number: i64) -> bool {
        let of = self.0.get(writer);
        let before = of.and_then(|of| of.range(..=number).next_back());
        before.is_some_and(|(_, to)| number <= *to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_row_are_one_cut() {
        let records = [("b", 1), ("a", 7), ("a", 5), ("a", 6), ("a", 9)];
        let records = records.map(|(writer, number)| (writer.to_owned(), number));
        let cut = |writer: &str, from, to| Cut {
            writer: writer.into(),
            from,
            to,
        };
        let cuts = cuts(records.into());
        assert_eq!(cuts, [cut("a", 5, 7), cut("a", 9, 9), cut("b", 1, 1)]);
        let removal = Removal {
            tenant: Some(TenantId::new("acme").unwrap()),
            before_ms: 0,
            records: cuts,
        };
        let out: TakenOut = [removal].into_iter().collect();
        for (writer, number, is) in [
            ("a", 4, false),
            ("a", 5, true),
            ("a", 7, true),
            ("a", 8, false),
            ("a", 9, true),
            ("b", 1, true),
            ("c", 1, false),
        ] {
            assert_eq!(out.has(writer, number), is, "{writer} {number}");
        }
    }
}
