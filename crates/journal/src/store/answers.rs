//! SQL of answers that were given under an `Idempotency-Key`.

use ivrpay_payment::TenantId;

use super::{DAMAGED, Tx, bytes32};
use crate::Error;
use crate::answers::{GivenAnswer, Standing};
use crate::db::{Row, query};

impl Tx<'_> {
    pub(crate) async fn answer(
        &mut self,
        tenant: &TenantId,
        key: &[u8; 32],
    ) -> Result<Option<Standing>, Error> {
        let row = query(
            "SELECT a.*, (a.writer = ?3 AND a.epoch = ?4) OR EXISTS (SELECT 1 FROM writers w
                 WHERE w.name = a.writer AND w.epoch = a.epoch AND w.lease_ms > ?5) AS lives
             FROM answers a WHERE a.tenant = ?1 AND a.request_key = ?2",
        )
        .bind(tenant.as_str())
        .bind(key.as_slice())
        .bind(self.writer())
        .bind(self.epoch())
        .bind(self.server_ms)
        .fetch_optional(self.on())
        .await?;
        row.as_ref().map(standing).transpose()
    }

    pub(crate) async fn insert_answer(
        &mut self,
        tenant: &TenantId,
        key: &[u8; 32],
        hash: &[u8; 32],
    ) -> Result<(), Error> {
        query(
            "INSERT INTO answers (tenant, request_key, request_hash, at_ms, writer, epoch) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .bind(tenant.as_str())
        .bind(key.as_slice())
        .bind(hash.as_slice())
        .bind(self.now_ms)
        .bind(self.writer())
        .bind(self.epoch())
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// It is this process's to answer.
    pub(crate) async fn take_answer(
        &mut self,
        tenant: &TenantId,
        key: &[u8; 32],
    ) -> Result<(), Error> {
        query("UPDATE answers SET writer = ?3, epoch = ?4, at_ms = ?5 WHERE tenant = ?1 AND request_key = ?2")
            .bind(tenant.as_str())
            .bind(key.as_slice())
            .bind(self.writer())
            .bind(self.epoch())
            .bind(self.now_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }

    pub(crate) async fn put_answer(
        &mut self,
        tenant: &TenantId,
        key: &[u8; 32],
        answer: &GivenAnswer,
    ) -> Result<(), Error> {
        query(
            "UPDATE answers SET status = ?3, content_type = ?4, location = ?5, body = ?6
             WHERE tenant = ?1 AND request_key = ?2 AND writer = ?7 AND epoch = ?8",
        )
        .bind(tenant.as_str())
        .bind(key.as_slice())
        .bind(u32::from(answer.status))
        .bind(&answer.content_type)
        .bind(&answer.location)
        .bind(&answer.body)
        .bind(self.writer())
        .bind(self.epoch())
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// One that this process was to answer, and did not begin.
    pub(crate) async fn delete_answer(
        &mut self,
        tenant: &TenantId,
        key: &[u8; 32],
    ) -> Result<(), Error> {
        query(
            "DELETE FROM answers WHERE tenant = ?1 AND request_key = ?2 AND status IS NULL AND writer = ?3 AND epoch = ?4",
        )
        .bind(tenant.as_str())
        .bind(key.as_slice())
        .bind(self.writer())
        .bind(self.epoch())
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// Those from before this time.
    pub(crate) async fn delete_answers(&mut self, before_ms: i64) -> Result<(), Error> {
        query("DELETE FROM answers WHERE at_ms < ?1")
            .bind(before_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }
}

fn standing(row: &Row) -> Result<Standing, Error> {
    let status: Option<u32> = row.try_get("status")?;
    let answer = status
        .map(|status| {
            let body: Option<String> = row.try_get("body")?;
            let content_type: Option<String> = row.try_get("content_type")?;
            Ok::<_, Error>(GivenAnswer {
                status: u16::try_from(status).map_err(|_| DAMAGED)?,
                content_type: content_type.unwrap_or_default(),
                location: row.try_get("location")?,
                body: body.ok_or(DAMAGED)?,
            })
        })
        .transpose()?;
    Ok(Standing {
        hash: bytes32(row, "request_hash")?,
        answer,
        lives: row.try_get("lives")?,
        at_ms: row.try_get("at_ms")?,
    })
}
