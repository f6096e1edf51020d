//! SQL of keys of programs.

use ivrpay_payment::{KeyId, TenantId};

use super::{DAMAGED, Store, Tx, bytes32, parsed};
use crate::Error;
use crate::db::{Row, query};
use crate::keys::ProgramKey;

impl Store {
    pub(crate) async fn keys(&self, tenant: Option<&TenantId>) -> Result<Vec<ProgramKey>, Error> {
        let rows =
            query("SELECT * FROM keys WHERE ?1 IS NULL OR tenant = ?1 ORDER BY id DESC LIMIT 2000")
                .bind(tenant.map(TenantId::as_str))
                .fetch_all(&self.reads)
                .await?;
        rows.iter().map(key).collect()
    }

    pub(crate) async fn live_keys(&self, since_ms: i64) -> Result<Vec<ProgramKey>, Error> {
        let rows = query("SELECT * FROM keys WHERE revoked_ms IS NULL AND (expires_ms IS NULL OR expires_ms > ?1) ORDER BY id")
            .bind(since_ms)
            .fetch_all(&self.reads)
            .await?;
        rows.iter().map(key).collect()
    }

    pub(crate) async fn key(&self, id: KeyId) -> Result<Option<ProgramKey>, Error> {
        let row = query("SELECT * FROM keys WHERE id = ?1")
            .bind(id.to_string())
            .fetch_optional(&self.reads)
            .await?;
        row.as_ref().map(key).transpose()
    }
}

impl Tx<'_> {
    /// Those that are not revoked, nor expired for so long.
    pub(crate) async fn count_keys(&mut self, kept_ms: i64) -> Result<i64, Error> {
        let count = query(
            "SELECT count(*) FROM keys WHERE revoked_ms IS NULL AND (expires_ms IS NULL OR expires_ms > ?1)",
        );
        let count = count.bind(self.now_ms.saturating_sub(kept_ms));
        Ok(count.scalar(self.on()).await?)
    }

    pub(crate) async fn insert_key(&mut self, key: &ProgramKey) -> Result<(), Error> {
        query(
            "INSERT INTO keys (id, tenant, name, prefix, hash, scopes, per_minute, created_ms, created_by, expires_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .bind(key.id.to_string())
        .bind(key.tenant.as_str())
        .bind(&key.name)
        .bind(&key.prefix)
        .bind(key.hash.as_slice())
        .bind(key.scopes.join(" "))
        .bind(key.per_minute)
        .bind(key.created_ms)
        .bind(&key.created_by)
        .bind(key.expires_ms)
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// It goes on until then at most; `false`: it is gone already.
    pub(crate) async fn end_key(&mut self, id: KeyId, ends_ms: i64) -> Result<bool, Error> {
        let ended = query(
            "UPDATE keys SET expires_ms = CASE WHEN expires_ms < ?2 THEN expires_ms ELSE ?2 END
             WHERE id = ?1 AND revoked_ms IS NULL AND (expires_ms IS NULL OR expires_ms > ?3)",
        )
        .bind(id.to_string())
        .bind(ends_ms)
        .bind(self.now_ms)
        .execute(self.on())
        .await?;
        Ok(ended > 0)
    }

    pub(crate) async fn revoke_key(&mut self, id: KeyId) -> Result<Option<ProgramKey>, Error> {
        let row = query(
            "UPDATE keys SET revoked_ms = coalesce(revoked_ms, ?2) WHERE id = ?1 RETURNING *",
        )
        .bind(id.to_string())
        .bind(self.now_ms)
        .fetch_optional(self.on())
        .await?;
        row.as_ref().map(key).transpose()
    }

    pub(crate) async fn key_used(&mut self, id: KeyId, at_ms: i64) -> Result<(), Error> {
        query("UPDATE keys SET used_ms = ?2 WHERE id = ?1 AND (used_ms IS NULL OR used_ms < ?2)")
            .bind(id.to_string())
            .bind(at_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }
}

fn key(row: &Row) -> Result<ProgramKey, Error> {
    let scopes: &str = row.try_get("scopes")?;
    Ok(ProgramKey {
        id: parsed(row, "id")?.ok_or(DAMAGED)?,
        tenant: parsed(row, "tenant")?.ok_or(DAMAGED)?,
        name: row.try_get("name")?,
        prefix: row.try_get("prefix")?,
        hash: bytes32(row, "hash")?,
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        per_minute: row.try_get("per_minute")?,
        created_ms: row.try_get("created_ms")?,
        created_by: row.try_get("created_by")?,
        expires_ms: row.try_get("expires_ms")?,
        used_ms: row.try_get("used_ms")?,
        revoked_ms: row.try_get("revoked_ms")?,
    })
}
