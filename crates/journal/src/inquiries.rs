//! What is unknown, and when its acquirer is asked; approvals that nobody knows of, and that are released again.
//!
//! Both stand in the file, written in the transaction that causes them: a start after a crash finds them.

use ivrpay_payment::{OperationId, PaymentId, inquiry_pause};

use crate::Error;
use crate::journal::Journal;
use crate::store::Durability;
use crate::types::Operation;

/// When the next question is asked that follows `asked` ones.
pub(crate) fn next_ms(now_ms: i64, asked: u32) -> Option<i64> {
    let pause = inquiry_pause(asked)?;
    Some(now_ms.saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)))
}

/// How long what one service has taken is left to it, when it says nothing more.
const TAKEN_MS: i64 = 60_000;

/// Who settles what the service has found out by itself.
pub const RECOVERY: &str = "recovery";
/// By which door what is half done is released: only while nobody knows more of it.
pub const HALF_DONE: &str = "half-done";
/// Who settles an operation whose answer came after its call had been closed.
pub const LATE_ANSWER: &str = "late answer";

/// What whoever calls back has to know of a payment that was released.
pub(crate) const RELEASED: &str =
    "approved, nobody heard it, and it was released again: the customer has paid nothing";

/// An approval that nobody knows of, of a merchant who wants such released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unheard {
    /// The payment.
    pub payment: PaymentId,
    /// The connector that it was approved by.
    pub connector: String,
    /// Whether it is to be released still: it is approved, its merchant wants that, and no person sees to it.
    pub wanted: bool,
    /// Since when, UTC milliseconds.
    pub since_ms: i64,
    /// When it was to be tried, UTC milliseconds.
    pub at_ms: i64,
}

/// What is unknown now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unknowns {
    /// Operations.
    pub open: u32,
    /// When the oldest of them was written, UTC milliseconds.
    pub since_ms: Option<i64>,
}

impl Journal {
    /// Operations of which nobody knows what became of them; practice is left out.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn unknowns(&self) -> Result<Unknowns, Error> {
        self.store().unknowns().await
    }

    /// Operations of this connector whose acquirer is to be asked now what became of them, those first that have waited longest.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn to_inquire(&self, connector: &str, limit: u32) -> Result<Vec<Operation>, Error> {
        let now_ms = self.now_ms();
        self.store().to_inquire(connector, now_ms, limit).await
    }

    /// Takes a question that is due: of several services that share the journal one asks. False where another one has it. It is due again in a
    /// minute, should this process end before it has written the question.
    ///
    /// # Errors
    /// The journal's own; nobody is asked then.
    pub async fn take_inquiry(&self, operation: OperationId) -> Result<bool, Error> {
        if !self.is_shared() {
            return Ok(true);
        }
        let mut tx = self.begin(Durability::Rides).await?;
        let taken = tx.take_inquiry(operation, TAKEN_MS).await;
        tx.end(taken).await
    }

    /// The same of an approval that is to be released.
    ///
    /// # Errors
    /// The journal's own; nothing is released then.
    pub async fn take_release(&self, unheard: &Unheard) -> Result<bool, Error> {
        if !self.is_shared() {
            return Ok(true);
        }
        let mut tx = self.begin(Durability::Rides).await?;
        let taken = tx.take_release(unheard, TAKEN_MS).await;
        tx.end(taken).await
    }

    /// Asks about an operation no sooner than at that time, UTC milliseconds. Changes nothing where it is known meanwhile.
    ///
    /// # Errors
    /// The journal's own; it is asked about as before then.
    pub async fn inquire_at(&self, operation: OperationId, at_ms: i64) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let written = tx.inquire_at(operation, Some(at_ms)).await;
        tx.end(written).await
    }

    /// Asks about an operation no more: its acquirer can't be asked, and a person has its task.
    ///
    /// # Errors
    /// The journal's own; it is due again then.
    pub async fn inquire_no_more(&self, operation: OperationId) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let written = tx.inquire_at(operation, None).await;
        tx.end(written).await
    }

    /// Approvals that nobody knows of and that no call is about, of merchants who want such released, whose time has come; the oldest first.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn to_release(&self, limit: u32) -> Result<Vec<Unheard>, Error> {
        let due = self.store().to_release(self.now_ms(), limit).await?;
        let still = due.into_iter().map(|(tenant, unheard)| Unheard {
            wanted: unheard.wanted && self.rules().of(&tenant).release_unheard,
            ..unheard
        });
        Ok(still.collect())
    }

    /// The acquirer was not reached: it is tried again at that time, UTC milliseconds.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn release_at(&self, payment: PaymentId, at_ms: i64) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let written = tx.release_at(payment, at_ms).await;
        tx.end(written).await
    }

    /// It was released, or is not to be.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn released(&self, payment: PaymentId) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let written = tx.delete_release(payment).await;
        tx.end(written).await
    }
}
