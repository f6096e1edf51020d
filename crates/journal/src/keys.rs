//! Keys of programs, kept as hashes. Those of the configuration are not here.

use ivrpay_payment::{KeyId, TenantId};
use uuid::Uuid;

use crate::Error;
use crate::journal::Journal;
use crate::store::Durability;

/// A key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramKey {
    /// Its id.
    pub id: KeyId,
    /// The only merchant whose things it sees.
    pub tenant: TenantId,
    /// Who this is. A key that was rotated and the one behind it have the same.
    pub name: String,
    /// How it begins, for people who look for the one that they have.
    pub prefix: String,
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// Names of what it may do.
    pub scopes: Vec<String>,
    /// How often it may ask, where it has a limit of its own.
    pub per_minute: Option<u32>,
    /// When it was made, UTC milliseconds.
    pub created_ms: i64,
    /// By whom.
    pub created_by: String,
    /// From when on it is none any more.
    pub expires_ms: Option<i64>,
    /// When it was last used, to the minute.
    pub used_ms: Option<i64>,
    /// When somebody took it away.
    pub revoked_ms: Option<i64>,
}

/// A key that is to be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Merchant.
    pub tenant: TenantId,
    /// Who this is.
    pub name: String,
    /// How it begins.
    pub prefix: String,
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// Names of what it may do.
    pub scopes: Vec<String>,
    /// A limit of its own.
    pub per_minute: Option<u32>,
    /// From when on it is none any more.
    pub expires_ms: Option<i64>,
}

/// Why there is no other key in the place of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRotated {
    /// There is no such key any more.
    Gone,
    /// There are too many.
    TooMany,
}

/// How long a key that is expired is told so, milliseconds. Then it is nobody's.
const EXPIRED_KEPT_MS: i64 = 7 * 24 * 3_600_000;

impl Journal {
    /// Most keys that are neither revoked nor long expired: all of them are held in memory.
    pub const KEYS_MAX: i64 = 2_000;

    /// Keeps a key; `None`: there are too many.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn create_key(&self, new: NewKey, by: &str) -> Result<Option<ProgramKey>, Error> {
        let mut tx = self.begin(Durability::Synced).await?;
        let done = async {
            if tx.count_keys(EXPIRED_KEPT_MS).await? >= Self::KEYS_MAX {
                return Ok(None);
            }
            let key = made(new, by, tx.now_ms);
            tx.insert_key(&key).await?;
            Ok(Some(key))
        }
        .await;
        tx.end(done).await
    }

    /// Keeps a key behind another, which goes on for a while.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn rotate_key(
        &self,
        old: KeyId,
        new: NewKey,
        overlap_ms: i64,
        by: &str,
    ) -> Result<Result<ProgramKey, NotRotated>, Error> {
        let mut tx = self.begin(Durability::Synced).await?;
        let done = async {
            if tx.count_keys(EXPIRED_KEPT_MS).await? >= Self::KEYS_MAX {
                return Ok(Err(NotRotated::TooMany));
            }
            let ends_ms = tx.now_ms.saturating_add(overlap_ms);
            if !tx.end_key(old, ends_ms).await? {
                return Ok(Err(NotRotated::Gone));
            }
            let key = made(new, by, tx.now_ms);
            tx.insert_key(&key).await?;
            Ok(Ok(key))
        }
        .await;
        tx.end(done).await
    }

    /// Takes a key away; other services know it when they next look.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn revoke_key(&self, id: KeyId) -> Result<Option<ProgramKey>, Error> {
        let mut tx = self.begin(Durability::Synced).await?;
        let revoked = tx.revoke_key(id).await;
        tx.end(revoked).await
    }

    /// Keys of a merchant, or all, those that are revoked too.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn keys(&self, tenant: Option<&TenantId>) -> Result<Vec<ProgramKey>, Error> {
        self.store().keys(tenant).await
    }

    /// One key.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn key(&self, id: KeyId) -> Result<Option<ProgramKey>, Error> {
        self.store().key(id).await
    }

    /// Every key that was not revoked, and is not expired for long.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn live_keys(&self) -> Result<Vec<ProgramKey>, Error> {
        let since_ms = self.now_ms().saturating_sub(EXPIRED_KEPT_MS);
        self.store().live_keys(since_ms).await
    }

    /// A key was used.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn key_used(&self, id: KeyId, at_ms: i64) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let used = tx.key_used(id, at_ms).await;
        tx.end(used).await
    }
}

fn made(new: NewKey, by: &str, now_ms: i64) -> ProgramKey {
    ProgramKey {
        id: KeyId::new(Uuid::now_v7()),
        tenant: new.tenant,
        name: new.name,
        prefix: new.prefix,
        hash: new.hash,
        scopes: new.scopes,
        per_minute: new.per_minute,
        created_ms: now_ms,
        created_by: by.to_owned(),
        expires_ms: new.expires_ms,
        used_ms: None,
        revoked_ms: None,
    }
}
