//! SQL of customers who are called.

use ivrpay_payment::{CallId, PaymentId, TenantId};

use super::{DAMAGED, Store, Tx, bytes32, gone, ids, left, named, parsed};
use crate::Error;
use crate::db::{Row, query};
use crate::types::{CustomerCall, First};

impl Store {
    pub(crate) async fn customer_call(&self, id: CallId) -> Result<Option<CustomerCall>, Error> {
        let row = query("SELECT * FROM calls WHERE id = ?1")
            .bind(id.to_string())
            .fetch_optional(&self.reads)
            .await?;
        row.as_ref().map(customer_call).transpose()
    }

    /// Those of other daemons that live.
    pub(crate) async fn calls_elsewhere(&self) -> Result<Vec<CallId>, Error> {
        let (writer, epoch) = self.writer().unwrap_or_default();
        let rows = query(
            "SELECT x.call FROM (SELECT call, writer, epoch FROM claims
                 UNION SELECT id AS call, writer, epoch FROM calls WHERE ended_ms IS NULL) x
             JOIN writers w ON w.name = x.writer AND w.epoch = x.epoch
             WHERE w.lease_ms > ?3 AND NOT (w.name = ?1 AND w.epoch = ?2) ORDER BY x.call",
        )
        .bind(writer)
        .bind(epoch)
        .bind(self.server_ms().await?)
        .fetch_all(&self.reads)
        .await?;
        rows.iter()
            .map(|row| parsed(row, "call")?.ok_or(DAMAGED))
            .collect()
    }
}

impl Tx<'_> {
    /// The call of an earlier request under this key, and the hash of that request.
    pub(crate) async fn customer_call_of_request(
        &mut self,
        tenant: &TenantId,
        key: &[u8; 32],
    ) -> Result<Option<(CustomerCall, [u8; 32])>, Error> {
        let row = query("SELECT * FROM calls WHERE tenant = ?1 AND request_key = ?2")
            .bind(tenant.as_str())
            .bind(key.as_slice())
            .fetch_optional(self.on())
            .await?;
        row.map(|row| Ok((customer_call(&row)?, bytes32(&row, "request_hash")?)))
            .transpose()
    }

    /// The call that is on about this payment.
    pub(crate) async fn customer_call_on(
        &mut self,
        payment: PaymentId,
    ) -> Result<Option<CallId>, Error> {
        let row = query("SELECT id FROM calls WHERE payment = ?1 AND ended_ms IS NULL")
            .bind(payment.to_string())
            .fetch_optional(self.on())
            .await?;
        row.map(|row| parsed(&row, "id")?.ok_or(DAMAGED))
            .transpose()
    }

    /// How many of a merchant are on.
    pub(crate) async fn customer_calls_on(&mut self, tenant: &TenantId) -> Result<u32, Error> {
        Ok(
            query("SELECT count(*) FROM calls WHERE tenant = ?1 AND ended_ms IS NULL")
                .bind(tenant.as_str())
                .scalar(self.on())
                .await?,
        )
    }

    pub(crate) async fn insert_customer_call(
        &mut self,
        call: &CustomerCall,
        request: Option<(&[u8; 32], &[u8; 32])>,
    ) -> Result<(), Error> {
        query(
            "INSERT INTO calls (id, tenant, payment, number, first, request_key, request_hash, created_ms, writer, epoch)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .bind(call.id.to_string())
        .bind(call.tenant.as_str())
        .bind(call.payment.to_string())
        .bind(&call.number)
        .bind(call.first.name())
        .bind(request.map(|(key, _)| key.as_slice()))
        .bind(request.map(|(_, hash)| hash.as_slice()))
        .bind(call.created_ms)
        .bind(self.writer())
        .bind(self.epoch())
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// Which payment it was about; `None` when it had ended before.
    pub(crate) async fn end_customer_call(
        &mut self,
        id: CallId,
        result: &str,
    ) -> Result<Option<PaymentId>, Error> {
        let row = query(
            "UPDATE calls SET result = ?2, ended_ms = ?3 WHERE id = ?1 AND ended_ms IS NULL RETURNING payment",
        )
        .bind(id.to_string())
        .bind(result)
        .bind(self.now_ms)
        .fetch_optional(self.on())
        .await?;
        row.map(|row| parsed(&row, "payment")?.ok_or(DAMAGED))
            .transpose()
    }

    /// Those of a process that is gone.
    pub(crate) async fn customer_calls_left(&mut self) -> Result<Vec<CallId>, Error> {
        let rows = query(left!(calls))
            .bind(self.writer())
            .bind(self.epoch())
            .bind(self.server_ms)
            .fetch_all(self.on())
            .await?;
        ids(&rows)
    }
}

fn customer_call(row: &Row) -> Result<CustomerCall, Error> {
    Ok(CustomerCall {
        id: parsed(row, "id")?.ok_or(DAMAGED)?,
        tenant: parsed(row, "tenant")?.ok_or(DAMAGED)?,
        payment: parsed(row, "payment")?.ok_or(DAMAGED)?,
        number: row.try_get("number")?,
        first: named(row, "first", First::from_name)?,
        result: row.try_get("result")?,
        created_ms: row.try_get("created_ms")?,
        ended_ms: row.try_get("ended_ms")?,
    })
}
