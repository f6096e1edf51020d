//! What an acquirer says of itself, behind its answers: that an operation of ours has ended, and how.

use crate::{AcquirerOrder, AcquirerRef, Money, OperationId, OperationKind, Outcome};

/// What an acquirer's message says of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The acquirer's own name for it, out of its documents' list: no text from outside.
    pub event: &'static str,
    /// Which operation is meant.
    pub about: Noticed,
    /// What that operation may be.
    pub kinds: &'static [OperationKind],
    /// What it may be besides, where it settles nothing: a person is to look at it.
    pub warns: &'static [OperationKind],
    /// Of how much it speaks.
    pub sum: Sum,
    /// How the operation ended; never unknown.
    pub outcome: Outcome,
    /// The acquirer's reference of what it speaks of.
    pub reference: AcquirerRef,
}

/// How an operation is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noticed {
    /// By its id.
    Operation(OperationId),
    /// By our order number, which a payment's operations have in common.
    Order(AcquirerOrder),
}

/// Amount and currency, as far as they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sum {
    /// None of ours: a currency that we do not know, or an amount that no operation has.
    Foreign,
    /// So much.
    Is(Money),
    /// Not told.
    Untold,
}
