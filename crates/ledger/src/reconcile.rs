//! A settlement file against the journal, to the yen: each row has one movement of ours, of the same payment, kind and amount.

use std::collections::BTreeMap;

use ivrpay_payment::{Currency, OperationKind};

use crate::Entry;
use crate::settlement::{Kind, Settled};

/// What came of the comparison.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reconciled<'a> {
    /// In both, with the same amount.
    pub matched: Vec<(&'a Settled, &'a Entry)>,
    /// In the acquirer's file, and nothing here is it.
    pub missing_here: Vec<&'a Settled>,
    /// Moved here within the period, and not in the file.
    pub missing_there: Vec<&'a Entry>,
    /// Both know the payment, and not this movement of it: the row, and what there is here of that kind.
    pub different: Vec<(&'a Settled, Vec<&'a Entry>)>,
    /// Taken within the period and undone then, or voided later, and the file has neither: acquirers leave out what was cancelled before they
    /// settled it.
    /// What undoes a sale of an earlier period is none of these: whether that was settled stands in the file of its own period.
    pub cancelled: Vec<&'a Entry>,
}

impl Reconciled<'_> {
    /// Whether both say the same.
    #[must_use]
    pub fn is_even(&self) -> bool {
        self.missing_here.is_empty() && self.missing_there.is_empty() && self.different.is_empty()
    }
}

/// What it is to the acquirer; `None` where no money moved.
fn kind(entry: &Entry) -> Option<Kind> {
    match entry.moved() {
        0 => None,
        ..0 => Some(Kind::Refund),
        _ => Some(Kind::Sale),
    }
}

/// Compares. `entries`: every movement of that acquirer that a row may be about, oldest first; `expected`: whether one falls into what the
/// file is of.
#[must_use]
pub fn reconcile<'a>(
    rows: &'a [Settled],
    entries: &'a [Entry],
    expected: impl Fn(&Entry) -> bool,
) -> Reconciled<'a> {
    let mut done = Reconciled::default();
    let mut by_order: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut by_reference: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        by_order.entry(&entry.acquirer_order).or_default().push(at);
        if let Some(reference) = &entry.acquirer_ref {
            by_reference.entry(reference).or_default().push(at);
        }
    }
    let mut taken = vec![false; entries.len()];
    // What falls into the period first, so that a row does not take the same amount of another day.
    for row in rows {
        let of = |by: &BTreeMap<&str, Vec<usize>>, key: &Option<String>| {
            key.as_deref().and_then(|key| by.get(key)).cloned()
        };
        let of = of(&by_order, &row.order).or_else(|| of(&by_reference, &row.reference));
        let Some(of) = of else {
            done.missing_here.push(row);
            continue;
        };
        let mut same: Vec<(usize, &Entry)> = of
            .into_iter()
            .filter_map(|at| Some((at, entries.get(at)?)))
            .filter(|(_, entry)| kind(entry) == Some(row.kind))
            .collect();
        same.sort_by_key(|(_, entry)| !expected(entry));
        let found = same.iter().find(|(at, entry)| {
            let amount: (u64, Currency) = (entry.moved().unsigned_abs(), entry.amount.currency());
            amount == (row.minor, row.currency) && taken.get(*at) == Some(&false)
        });
        match found {
            Some((at, entry)) => {
                if let Some(taken) = taken.get_mut(*at) {
                    *taken = true;
                }
                done.matched.push((row, entry));
            }
            None => {
                let here = same.into_iter().map(|(_, entry)| entry).collect();
                done.different.push((row, here));
            }
        }
    }
    // What a row that differs is about has been told with that row.
    let told: Vec<(&str, Kind)> = done
        .different
        .iter()
        .flat_map(|(row, here)| here.iter().map(|e| (e.acquirer_order.as_str(), row.kind)))
        .collect();
    let open: Vec<&Entry> = entries
        .iter()
        .zip(&taken)
        .filter(|(_, taken)| !**taken)
        .map(|(entry, _)| entry)
        .filter(|entry| {
            kind(entry).is_some_and(|kind| !told.contains(&(entry.acquirer_order.as_str(), kind)))
        })
        .collect();
    for entry in open.iter().filter(|entry| expected(entry)) {
        let cancels = |other: &&Entry| {
            other.payment == entry.payment
                && other.payment_is_undone_by(entry)
                // A refund behind the period stands in a file of its own: what it is of was settled.
                && (expected(other) || other.kind == OperationKind::Void)
        };
        if open.iter().any(cancels) {
            done.cancelled.push(entry);
        } else {
            done.missing_there.push(entry);
        }
    }
    done
}

impl Entry {
    /// Whether of these two of one payment one is the void, or the refund, and the other what it undid, to the same amount. Acquirers make a
    /// cancellation of a refund that comes before they have settled.
    fn payment_is_undone_by(&self, other: &Entry) -> bool {
        self.undoes() != other.undoes() && self.moved().saturating_add(other.moved()) == 0
    }

    fn undoes(&self) -> bool {
        matches!(self.kind, OperationKind::Void | OperationKind::Refund)
    }
}
