//! What the API has answered under an `Idempotency-Key`. No record stands in the chain for it: it is what was said of payments, not what they
//! are, and it goes after a day.

use ivrpay_payment::TenantId;

use crate::Error;
use crate::chain;
use crate::journal::Journal;
use crate::store::{Durability, Tx};
use crate::types::ApiRequest;

/// How long an answer is kept, milliseconds.
const KEPT_MS: i64 = 24 * 3_600_000;

/// Longest that a request may be in flight, milliseconds: longer than any acquirer is waited for. One whose end could not be written is
/// not in flight for ever.
const IN_FLIGHT_MS: i64 = 600_000;

/// An answer as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenAnswer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// `Location`, where it had one.
    pub location: Option<String>,
    /// Body.
    pub body: String,
}

/// What is known of a request that comes under an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is the first, and is this process's to answer now.
    New,
    /// The first one is being answered, by a process that lives.
    InFlight,
    /// The process that was to answer the first one is gone, or has not been able to say that it is answered. It is this one's to answer now; what the first one did, it has done.
    Lost,
    /// This was answered.
    Answered(GivenAnswer),
    /// The first one asked for something else.
    Reused,
}

/// What stands under a key.
pub(crate) struct Standing {
    pub(crate) hash: [u8; 32],
    pub(crate) answer: Option<GivenAnswer>,
    /// Whose it is to answer lives.
    pub(crate) lives: bool,
    /// Since when.
    pub(crate) at_ms: i64,
}

impl Journal {
    /// A request comes: whether it is to be done now. [`Self::end_request`] must follow on [`Begun::New`] and [`Begun::Lost`].
    ///
    /// # Errors
    /// The journal's own.
    pub async fn begin_request(
        &self,
        tenant: &TenantId,
        request: &ApiRequest,
    ) -> Result<Begun, Error> {
        // What is done under it is synced by itself; after a loss of power it is asked of what was done.
        let mut tx = self.begin(Durability::Rides).await?;
        let begun = begin(&mut tx, tenant, request).await;
        tx.end(begun).await
    }

    /// It is answered, or was not begun at all (`None`) and may come again.
    ///
    /// # Errors
    /// The journal's own; it stays in flight then, for ten minutes or until this process is gone.
    pub async fn end_request(
        &self,
        tenant: &TenantId,
        request: &ApiRequest,
        answer: Option<&GivenAnswer>,
    ) -> Result<(), Error> {
        let key = chain::digest(request.key.as_bytes());
        let mut tx = self.begin(Durability::Rides).await?;
        let ended = match answer {
            Some(answer) => tx.put_answer(tenant, &key, answer).await,
            None => tx.delete_answer(tenant, &key).await,
        };
        tx.end(ended).await
    }
}

async fn begin(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    ApiRequest { key, hash }: &ApiRequest,
) -> Result<Begun, Error> {
    let key = chain::digest(key.as_bytes());
    delete_old(tx, tx.now_ms).await?;
    let Some(before) = tx.answer(tenant, &key).await? else {
        tx.insert_answer(tenant, &key, hash).await?;
        return Ok(Begun::New);
    };
    if before.hash != *hash {
        return Ok(Begun::Reused);
    }
    match before.answer {
        Some(answer) => Ok(Begun::Answered(answer)),
        None if before.lives && tx.now_ms.saturating_sub(before.at_ms) < IN_FLIGHT_MS => {
            Ok(Begun::InFlight)
        }
        None => {
            tx.take_answer(tenant, &key).await?;
            Ok(Begun::Lost)
        }
    }
}

/// Those whose day is over.
pub(crate) async fn delete_old(tx: &mut Tx<'_>, now_ms: i64) -> Result<(), Error> {
    tx.delete_answers(now_ms.saturating_sub(KEPT_MS)).await
}
