//! SQL of connectors by which money moves.

use std::collections::BTreeMap;

use super::{DAMAGED, Store, Tx, document, operation};
use crate::Error;
use crate::connectors::{Kept, LiveConnector};
use crate::db::{Row, query};
use crate::types::Operation;

impl Store {
    pub(crate) async fn live_connector(&self, name: &str) -> Result<Option<Kept>, Error> {
        let row = query("SELECT * FROM live_connectors WHERE name = ?1")
            .bind(name)
            .fetch_optional(&self.reads)
            .await?;
        row.as_ref().map(kept).transpose()
    }

    /// Whether a live payment was asked of it.
    pub(crate) async fn connector_used(&self, name: &str) -> Result<bool, Error> {
        Ok(query(
            "SELECT EXISTS (SELECT 1 FROM operations o JOIN payments p ON p.id = o.payment WHERE o.connector = ?1 AND p.mode = 'live')",
        )
        .bind(name)
        .scalar(&self.reads)
        .await?)
    }

    /// Of live payments: what it has not answered, and what is reserved there.
    pub(crate) async fn open_at(&self, name: &str) -> Result<Vec<Operation>, Error> {
        let rows = query(
            "SELECT o.* FROM operations o JOIN payments p ON p.id = o.payment
             WHERE o.connector = ?1 AND p.mode = 'live' AND o.kind <> 'query'
               AND (o.state IN ('in-flight', 'unknown')
                 OR (o.kind = 'authorize' AND o.state = 'approved' AND p.state = 'approved' AND p.captured_minor IS NULL))
             ORDER BY o.id LIMIT 100",
        )
        .bind(name)
        .fetch_all(&self.reads)
        .await?;
        rows.iter().map(operation).collect()
    }
}

impl Tx<'_> {
    pub(crate) async fn put_live_connector(&mut self, kept: &Kept) -> Result<(), Error> {
        let Kept {
            connector,
            since_ms,
            changed_ms,
            changed_by,
        } = kept;
        query(
            "INSERT INTO live_connectors (name, kind, url, live, settings, credentials, since_ms, changed_ms, changed_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (name) DO UPDATE SET kind = ?2, url = ?3, live = ?4, settings = ?5, credentials = ?6, since_ms = ?7,
                changed_ms = ?8, changed_by = ?9",
        )
        .bind(&connector.name)
        .bind(&connector.kind)
        .bind(&connector.url)
        .bind(connector.live)
        .bind(serde_json::json!(connector.settings).to_string())
        .bind(serde_json::json!(connector.credentials).to_string())
        .bind(since_ms)
        .bind(changed_ms)
        .bind(changed_by)
        .execute(self.on())
        .await?;
        Ok(())
    }
}

fn kept(row: &Row) -> Result<Kept, Error> {
    let map = |column: &str| -> Result<BTreeMap<String, String>, Error> {
        let found = document(row, column)?.ok_or(DAMAGED)?;
        serde_json::from_value(found).map_err(|_| DAMAGED)
    };
    Ok(Kept {
        connector: LiveConnector {
            name: row.try_get("name")?,
            kind: row.try_get("kind")?,
            url: row.try_get("url")?,
            live: row.try_get("live")?,
            settings: map("settings")?,
            credentials: map("credentials")?,
        },
        since_ms: row.try_get("since_ms")?,
        changed_ms: row.try_get("changed_ms")?,
        changed_by: row.try_get("changed_by")?,
    })
}
