//! Who did what: one record of kind `access` each, in the chain that payments are in, so that it is hashed, kept elsewhere (`anchor`) and
//! verified with them.

use std::time::Duration;

use ivrpay_payment::TenantId;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::journal::Journal;
use crate::retention::{cuts, ms};
use crate::scrub;
use crate::store::{Durability, Tx};

/// Of what kind those records are.
pub(crate) const ACCESS: &str = "access";
/// Most that are taken out in one transaction.
const AT_ONCE: u32 = 500;

/// What somebody did, or wanted to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deed {
    /// Where he was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The person whom a key's request names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, as the request says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The request, by which the service's log has it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request: String,
    /// What came of it: `begun`, an HTTP status, or a word.
    pub result: String,
    /// The merchant, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// By which door: `key`, `session`, `socket`, `sign-in`.
    pub via: String,
    /// Method and path, or a word.
    pub what: String,
    /// The person, or the key's name; empty where nobody is known.
    pub who: String,
}

/// The same as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Its place; what is later has a larger one.
    pub sequence: i64,
    /// When, UTC milliseconds.
    pub at_ms: i64,
    /// What.
    pub deed: Deed,
}

/// What was found of it.
#[derive(Debug, Clone, Default)]
pub struct Deeds {
    /// Those that were asked for.
    pub found: Vec<Done>,
    /// So far it was looked, where that was not to the end, and nobody had enough yet.
    pub looked_to: Option<i64>,
}

/// Which of them.
#[derive(Debug, Clone, Default)]
pub struct DeedFilter {
    /// Of this merchant alone.
    pub tenant: Option<TenantId>,
    /// Of this person or key alone.
    pub who: Option<String>,
    /// Behind this one, the oldest first.
    pub after: Option<i64>,
    /// Before this one, the newest first; where `after` is none.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

impl Journal {
    /// Keeps what somebody did. It survives the end of the process at once, and that of the machine with the next thing that is synced: what
    /// is done for money is synced behind it.
    ///
    /// # Errors
    /// The journal's own: then it may not be done.
    pub async fn note_deed(&self, deed: &Deed) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let noted = note(&mut tx, deed).await;
        tx.end(noted).await
    }

    /// Who did what.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn deeds(&self, filter: &DeedFilter) -> Result<Deeds, Error> {
        self.store().deeds(filter).await
    }

    /// Takes out some of what is older than that, as [`Journal::retain`] does payments; says how many. To be called again while it is not 0.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn retain_deeds(&self, term: Duration) -> Result<usize, Error> {
        let now_ms = self.now_ms().saturating_sub(self.jumped_ms());
        if !self.clock_is_known(now_ms).await? {
            return Ok(0);
        }
        let before_ms = now_ms.saturating_sub(ms(term));
        if !self.store().has_deeds_before(before_ms).await? {
            return Ok(0);
        }
        let mut tx = self.begin(Durability::Rides).await?;
        let done = async {
            let records = tx.remove_deeds(before_ms, AT_ONCE).await?;
            let gone = records.len();
            if gone > 0 {
                let body = serde_json::json!({"before_ms": before_ms, "deeds": gone, "records": cuts(records)});
                tx.append_alone("retention", body).await?;
            }
            Ok(gone)
        }
        .await;
        tx.end(done).await
    }
}

/// Texts of it come from outside: what looks like a card is not kept.
pub(crate) async fn note(tx: &mut Tx<'_>, deed: &Deed) -> Result<(), Error> {
    let body = serde_json::to_value(deed).unwrap_or_default();
    tx.append_alone(ACCESS, scrub::json(body)).await
}
