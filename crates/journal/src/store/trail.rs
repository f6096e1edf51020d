//! SQL of who did what.

use super::retention::TAKEN_OUT;
use super::{DAMAGED, Store, Tx};
use crate::Error;
use crate::db::{Row, query};
use crate::trail::{Deed, DeedFilter, Deeds, Done};

/// Rows that are read at a time; those of other merchants among them are left out.
const PAGE: u32 = 500;
/// So many times at most for one who asks: of somebody who has done nothing there is nothing, however far one looks.
const PAGES_MAX: usize = 20;

impl Store {
    pub(crate) async fn deeds(&self, filter: &DeedFilter) -> Result<Deeds, Error> {
        let sql = if filter.after.is_some() {
            "SELECT sequence, at_ms, body FROM records WHERE kind = 'access' AND sequence > ?1 ORDER BY sequence LIMIT ?2"
        } else {
            "SELECT sequence, at_ms, body FROM records WHERE kind = 'access' AND sequence < ?1 ORDER BY sequence DESC LIMIT ?2"
        };
        let mut from = filter
            .after
            .unwrap_or_else(|| filter.before.unwrap_or(i64::MAX));
        let mut found = Vec::new();
        let most = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        for _ in 0..PAGES_MAX {
            let rows = query(sql)
                .bind(from)
                .bind(PAGE)
                .fetch_all(&self.reads)
                .await?;
            for row in &rows {
                from = row.try_get("sequence")?;
                let Some(done) = done(row)? else {
                    continue;
                };
                let tenant = filter.tenant.as_ref();
                if tenant.is_none_or(|tenant| done.deed.tenant.as_ref() == Some(tenant))
                    && filter.who.as_ref().is_none_or(|who| *who == done.deed.who)
                {
                    found.push(done);
                }
                if found.len() >= most {
                    return Ok(whole(found));
                }
            }
            if rows.len() < PAGE as usize {
                return Ok(whole(found));
            }
        }
        Ok(Deeds {
            found,
            looked_to: Some(from),
        })
    }

    pub(crate) async fn has_deeds_before(&self, before_ms: i64) -> Result<bool, Error> {
        let found: i64 = query(
            "SELECT count(*) FROM (SELECT 1 FROM records WHERE kind = 'access' AND body <> ?1 AND at_ms < ?2 LIMIT 1) x",
        )
        .bind(TAKEN_OUT)
        .bind(before_ms)
        .scalar(&self.reads)
        .await?;
        Ok(found > 0)
    }
}

impl Tx<'_> {
    /// Says of which records the content is gone.
    pub(crate) async fn remove_deeds(
        &mut self,
        before_ms: i64,
        most: u32,
    ) -> Result<Vec<(String, i64)>, Error> {
        let rows = query(
            "UPDATE records SET body = ?1 WHERE sequence IN
               (SELECT sequence FROM records WHERE kind = 'access' AND body <> ?1 AND at_ms < ?2 ORDER BY sequence LIMIT ?3)
             RETURNING writer, number",
        )
        .bind(TAKEN_OUT)
        .bind(before_ms)
        .bind(most)
        .fetch_all(self.on())
        .await?;
        rows.iter()
            .map(|row| Ok((row.try_get("writer")?, row.try_get("number")?)))
            .collect()
    }
}

const fn whole(found: Vec<Done>) -> Deeds {
    Deeds {
        found,
        looked_to: None,
    }
}

/// `None`: its time is over.
fn done(row: &Row) -> Result<Option<Done>, Error> {
    let body: &str = row.try_get("body")?;
    if body == TAKEN_OUT {
        return Ok(None);
    }
    let deed: Deed = serde_json::from_str(body).map_err(|_| DAMAGED)?;
    Ok(Some(Done {
        sequence: row.try_get("sequence")?,
        at_ms: row.try_get("at_ms")?,
        deed,
    }))
}
