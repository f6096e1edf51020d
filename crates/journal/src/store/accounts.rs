//! SQL of what accounting and an auditor read.

use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ivrpay_payment::{PaymentId, TenantId};

use super::{Store, bytes32, operation, payment};
use crate::Error;
use crate::accounts::{ChainHead, Period};
use crate::db::query;
use crate::types::{Mode, Operation, Payment, TRAINING};

impl Store {
    pub(crate) async fn approved(
        &self,
        period: &Period<'_>,
    ) -> Result<Vec<(Payment, Operation)>, Error> {
        let &Period {
            tenant,
            connector,
            mode,
            from_ms,
            to_ms,
        } = period;
        macro_rules! approved {
            ($what:literal, $order:literal) => {
                concat!(
                    "SELECT ",
                    $what,
                    " FROM operations o JOIN payments p ON p.id = o.payment LEFT JOIN claims c ON c.payment = p.id
                      WHERE o.state = 'approved' AND o.kind IN ('authorize', 'capture', 'charge', 'refund', 'void') AND NOT o.changes
                        AND o.updated_ms >= ?1 AND o.updated_ms < ?2 AND p.mode = ?3 AND p.connector <> ?4
                        AND (?5 IS NULL OR p.tenant = ?5) AND (?6 IS NULL OR o.connector = ?6) ",
                    $order
                )
            };
        }
        let bound = |sql| {
            query(sql)
                .bind(from_ms)
                .bind(to_ms)
                .bind(mode.name())
                .bind(TRAINING)
                .bind(tenant.map(TenantId::as_str))
                .bind(connector)
        };
        let payments = bound(approved!("DISTINCT p.*, c.call", ""));
        let payments = payments.fetch_all(&self.reads).await?;
        let payments: Vec<Payment> = payments.iter().map(payment).collect::<Result<_, _>>()?;
        let payments: BTreeMap<PaymentId, Payment> =
            payments.into_iter().map(|p| (p.id, p)).collect();
        let operations = bound(approved!("o.*", "ORDER BY o.updated_ms, o.id"));
        let operations = operations.fetch_all(&self.reads).await?;
        let of = |row| {
            let operation = operation(row)?;
            // One that was made between the two statements is of the next time.
            Ok(payments
                .get(&operation.payment)
                .map(|p| (p.clone(), operation)))
        };
        operations
            .iter()
            .filter_map(|row| of(row).transpose())
            .collect()
    }

    pub(crate) async fn unknown(
        &self,
        tenant: Option<&TenantId>,
        mode: Mode,
    ) -> Result<u64, Error> {
        let unknown: i64 = query(
            "SELECT count(*) FROM operations o JOIN payments p ON p.id = o.payment
             WHERE o.state = 'unknown' AND o.kind IN ('authorize', 'capture', 'charge', 'refund', 'void')
               AND p.mode = ?1 AND p.connector <> ?2 AND (?3 IS NULL OR p.tenant = ?3)",
        )
        .bind(mode.name())
        .bind(TRAINING)
        .bind(tenant.map(TenantId::as_str))
        .scalar(&self.reads)
        .await?;
        Ok(unknown.cast_unsigned())
    }

    pub(crate) async fn heads(&self) -> Result<Vec<ChainHead>, Error> {
        let rows = query("SELECT name, records, head FROM writers ORDER BY name")
            .fetch_all(&self.reads)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(ChainHead {
                    writer: row.try_get("name")?,
                    records: row.try_get("records")?,
                    hash: bytes32(row, "head")?,
                })
            })
            .collect()
    }

    pub(crate) async fn hash_of(
        &self,
        writer: &str,
        number: i64,
    ) -> Result<Option<[u8; 32]>, Error> {
        let row = query("SELECT hash FROM records WHERE writer = ?1 AND number = ?2")
            .bind(writer)
            .bind(number)
            .fetch_optional(&self.reads)
            .await?;
        row.map(|row| bytes32(&row, "hash")).transpose()
    }

    pub(crate) async fn copy_to(&self, file: &Path) -> Result<(), Error> {
        if self.is_shared() {
            return Err(Error::Server {
                what: "the journal is at a database server, which is no file to copy",
                hint: "copy it with pg_dump, or with the server's own backup",
            });
        }
        let text = file.to_str().ok_or_else(|| {
            let what = "the name of the file is not UTF-8";
            std::io::Error::new(std::io::ErrorKind::InvalidInput, what)
        })?;
        // Made by us, so that it is there for its owner alone from the first byte on; SQLite fills an empty file.
        let made = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)?;
        let copied = query("VACUUM INTO ?1")
            .bind(text)
            .execute(&self.reads)
            .await;
        if let Err(error) = copied {
            std::fs::remove_file(file).ok();
            return Err(error.into());
        }
        made.sync_all()?;
        let folder = file.parent().filter(|f| !f.as_os_str().is_empty());
        std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(())
    }
}
