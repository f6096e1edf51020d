//! Places for calls, by pool, of all services that share the journal: each writes how many it has given, and reads what the others have. They are
//! no money: nothing of them is in the chain of records, and what is lost with the database's last moment is written again.

use crate::Error;
use crate::journal::Journal;
use crate::store::{Durability, Tx};

/// Places of a pool that one service has given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The pool's name.
    pub pool: String,
    /// This service's, or all others' together.
    pub here: bool,
    /// How many.
    pub taken: u32,
}

impl Journal {
    /// Counts the places that this service has given of a pool, the one that it is about to give among them, unless `may` says of those that other
    /// living services have that it is one too many; then nothing is changed. Whether it was counted. Between the reading of the others and the
    /// writing of ours no other service counts.
    ///
    /// # Errors
    /// The journal's own. It may be counted all the same: see [`Self::count_places`].
    pub async fn take_place(
        &self,
        pool: &str,
        here: u32,
        may: impl FnOnce(u32) -> bool,
    ) -> Result<bool, Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let taken = take(&mut tx, pool, here, may).await;
        tx.end(taken).await
    }

    /// Writes how many places this service has given, in place of what was written before.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn count_places(&self, counts: &[(&str, u32)]) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let counted = async {
            for (pool, here) in counts {
                tx.put_places(pool, *here).await?;
            }
            Ok(())
        };
        let counted = counted.await;
        tx.end(counted).await
    }

    /// The places that living services have given, by pool: this one's as it wrote them last, and the others'.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn places(&self) -> Result<Vec<Places>, Error> {
        self.store().places().await
    }
}

async fn take(
    tx: &mut Tx<'_>,
    pool: &str,
    here: u32,
    may: impl FnOnce(u32) -> bool,
) -> Result<bool, Error> {
    if !may(tx.places_elsewhere(pool).await?) {
        return Ok(false);
    }
    tx.put_places(pool, here).await?;
    Ok(true)
}
