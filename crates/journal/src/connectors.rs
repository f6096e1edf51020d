//! Connectors by which money moves, as they were when they were last taken. One that changes afterwards would be asked about operations
//! that another place has: that is noticed, and a person answers for it.

use std::collections::BTreeMap;

use serde_json::json;

use crate::journal::Journal;
use crate::store::{Durability, Tx};
use crate::types::Operation;
use crate::{Error, chain, scrub};

/// A connector as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveConnector {
    /// Its name.
    pub name: String,
    /// Which contract.
    pub kind: String,
    /// Where; empty where nothing is sent.
    pub url: String,
    /// Whether money moves.
    pub live: bool,
    /// What else says whose account it is, by name. Kept as digests.
    pub settings: BTreeMap<String, String>,
    /// Where its credentials lie and when they were written, by name. Never what they are.
    pub credentials: BTreeMap<String, String>,
}

/// What the journal says of a connector.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Standing {
    /// Since when it is known, UTC milliseconds; `None` for one that never moved money.
    pub since_ms: Option<i64>,
    /// When a change was last taken, UTC milliseconds.
    pub changed_ms: Option<i64>,
    /// Who answered for it.
    pub changed_by: Option<String>,
    /// What is another than it was, by name: `kind`, `url`, `mode`, a setting.
    pub changed: Vec<String>,
    /// Credentials that are others, or lie elsewhere, by name.
    pub rotated: Vec<String>,
    /// Whether it has been asked for live payments.
    pub used: bool,
    /// Operations of live payments that it has not answered, or that are reserved and not taken; a hundred at most.
    pub open: Vec<Operation>,
}

/// As it is in the journal.
pub(crate) struct Kept {
    pub(crate) connector: LiveConnector,
    pub(crate) since_ms: i64,
    pub(crate) changed_ms: Option<i64>,
    pub(crate) changed_by: Option<String>,
}

impl Journal {
    /// What is known of a connector, and what is another than it was.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn connector(&self, now: &LiveConnector) -> Result<Standing, Error> {
        let Some(kept) = self.store().live_connector(&now.name).await? else {
            return Ok(Standing::default());
        };
        let before = &kept.connector;
        let mut changed = Vec::new();
        for (name, same) in [
            ("kind", before.kind == now.kind),
            ("url", before.url == now.url),
            ("mode", before.live == now.live),
        ] {
            if !same {
                changed.push(name.to_owned());
            }
        }
        changed.extend(differ(&before.settings, &digests(&now.settings)));
        Ok(Standing {
            since_ms: Some(kept.since_ms),
            changed_ms: kept.changed_ms,
            changed_by: kept.changed_by,
            changed,
            rotated: differ(&before.credentials, &now.credentials),
            used: self.store().connector_used(&now.name).await?,
            open: self.store().open_at(&now.name).await?,
        })
    }

    /// Keeps a connector as it is now, with who answers for it where that is another than it was.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn keep_connector(
        &self,
        now: &LiveConnector,
        standing: &Standing,
        by: Option<&str>,
    ) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Synced).await?;
        let kept = keep(&mut tx, now, standing, by).await;
        tx.end(kept).await
    }
}

async fn keep(
    tx: &mut Tx<'_>,
    now: &LiveConnector,
    standing: &Standing,
    by: Option<&str>,
) -> Result<(), Error> {
    let by = by.map(|by| scrub::text(by).chars().take(64).collect::<String>());
    let is_new = standing.since_ms.is_none();
    let kept = Kept {
        connector: LiveConnector {
            settings: digests(&now.settings),
            ..now.clone()
        },
        since_ms: standing.since_ms.unwrap_or(tx.now_ms),
        changed_ms: (!is_new).then_some(tx.now_ms),
        changed_by: by.clone(),
    };
    tx.put_live_connector(&kept).await?;
    let open: Vec<_> = standing.open.iter().map(|o| o.id.to_string()).collect();
    let body = json!({
        "connector": now.name, "kind": now.kind, "url": now.url, "live": now.live, "changed": standing.changed,
        "credentials": standing.rotated, "open": open, "by": by,
    });
    tx.append_alone("connector", scrub::json(body)).await
}

fn digests(settings: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let hex = |text: &str| {
        let digest = chain::digest(text.as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    settings
        .iter()
        .map(|(name, value)| (name.clone(), hex(value)))
        .collect()
}

/// Names whose value is another, or that only one of the two has.
fn differ(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let mut names: Vec<&String> = before.keys().chain(now.keys()).collect();
    names.sort();
    names.dedup();
    names.retain(|name| before.get(*name) != now.get(*name));
    names.into_iter().cloned().collect()
}
