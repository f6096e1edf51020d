//! SQL of places for calls.

use super::{Store, Tx};
use crate::Error;
use crate::db::query;
use crate::places::Places;

impl Store {
    pub(crate) async fn places(&self) -> Result<Vec<Places>, Error> {
        let (writer, epoch) = self.writer().unwrap_or_default();
        let rows = query(
            "SELECT x.pool, x.here, CAST(sum(x.taken) AS bigint) AS taken FROM
                 (SELECT p.pool, p.taken, w.name = ?1 AND w.epoch = ?2 AS here FROM places p
                  JOIN writers w ON w.name = p.writer AND w.epoch = p.epoch
                  WHERE w.lease_ms > ?3 OR (w.name = ?1 AND w.epoch = ?2)) x
             GROUP BY x.pool, x.here ORDER BY x.pool",
        )
        .bind(writer)
        .bind(epoch)
        .bind(self.server_ms().await?)
        .fetch_all(&self.reads)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Places {
                    pool: row.try_get("pool")?,
                    here: row.try_get("here")?,
                    taken: row.try_get("taken")?,
                })
            })
            .collect()
    }
}

impl Tx<'_> {
    /// Those that other living services have given.
    pub(crate) async fn places_elsewhere(&mut self, pool: &str) -> Result<u32, Error> {
        Ok(query(
            "SELECT CAST(coalesce(sum(p.taken), 0) AS bigint) FROM places p
             JOIN writers w ON w.name = p.writer AND w.epoch = p.epoch
             WHERE p.pool = ?1 AND w.name <> ?2 AND w.lease_ms > ?3",
        )
        .bind(pool)
        .bind(self.writer())
        .bind(self.server_ms)
        .scalar(self.on())
        .await?)
    }

    pub(crate) async fn put_places(&mut self, pool: &str, here: u32) -> Result<(), Error> {
        query(
            "INSERT INTO places (pool, writer, epoch, taken) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (pool, writer) DO UPDATE SET epoch = excluded.epoch, taken = excluded.taken",
        )
        .bind(pool)
        .bind(self.writer())
        .bind(self.epoch())
        .bind(here)
        .execute(self.on())
        .await?;
        Ok(())
    }
}
