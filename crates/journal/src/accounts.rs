//! What accounting and an auditor read: what was approved within a time, a copy of the journal, and where its chains of records end.

use std::fmt;
use std::path::Path;

use ivrpay_payment::TenantId;

use serde_json::json;

use crate::journal::Journal;
use crate::store::Durability;
use crate::types::{Mode, Operation, Payment};
use crate::{Error, chain};

/// What is asked for of what was approved.
#[derive(Debug, Clone, Copy)]
pub struct Period<'a> {
    /// Of one merchant.
    pub tenant: Option<&'a TenantId>,
    /// Of one connector.
    pub connector: Option<&'a str>,
    /// Live or test.
    pub mode: Mode,
    /// From then on, UTC milliseconds.
    pub from_ms: i64,
    /// Until before then, UTC milliseconds.
    pub to_ms: i64,
}

/// The end of a writer's chain of records. Kept where nobody who can change the journal can change it too, it shows later that nothing before
/// it was changed or taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainHead {
    /// Whose chain.
    pub writer: String,
    /// How many records it had.
    pub records: i64,
    /// The hash of the last one.
    pub hash: [u8; 32],
}

/// `chain-head WRITER RECORDS HASH`, with the hash in groups of eight: no row of digits that could be taken for a card's.
impl fmt::Display for ChainHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WORD} {} {} ", self.writer, self.records)?;
        for (at, four) in self.hash.chunks(4).enumerate() {
            if at > 0 {
                f.write_str("-")?;
            }
            for byte in four {
                write!(f, "{byte:02x}")?;
            }
        }
        Ok(())
    }
}

const WORD: &str = "chain-head";

impl ChainHead {
    /// The end that a line tells, wherever in it: a line of a log has a time before. `None` for any other line.
    #[must_use]
    pub fn find(line: &str) -> Option<Self> {
        let (_, behind) = line.split_once(WORD)?;
        let mut words = behind.split_whitespace();
        let (writer, records, hash) = (words.next()?, words.next()?, words.next()?);
        let digits: String = hash
            .chars()
            .take_while(|c| c.is_ascii_hexdigit() || *c == '-')
            .filter(|c| *c != '-')
            .collect();
        if digits.len() != 64 {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self {
            writer: writer.to_owned(),
            records: records.parse().ok()?,
            hash,
        })
    }
}

/// What an end that was kept says of the journal now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// That record is there as it was.
    AsItWas,
    /// There is another one in its place.
    Changed,
    /// The chain ends before it.
    Lost,
}

impl Journal {
    /// Charges, authorisations, captures, voids and refunds that were approved within a time, oldest first; never those of practice.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn approved(&self, period: &Period<'_>) -> Result<Vec<(Payment, Operation)>, Error> {
        self.store().approved(period).await
    }

    /// How many operations that move money are unknown now, of one merchant or of all.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn unknown(&self, tenant: Option<&TenantId>, mode: Mode) -> Result<u64, Error> {
        self.store().unknown(tenant, mode).await
    }

    /// Where each writer's chain of records ends now.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn heads(&self) -> Result<Vec<ChainHead>, Error> {
        self.store().heads().await
    }

    /// The same, once everything before is on the disk: what is told elsewhere is not taken back by a loss of power. It is a record itself.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn anchor(&self) -> Result<Vec<ChainHead>, Error> {
        let mut tx = self.begin(Durability::Synced).await?;
        let written = tx.append_alone("anchored", json!({})).await;
        tx.end(written).await?;
        self.heads().await
    }

    /// Whether the journal still has that record. A chain of no record is held by every journal.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn holds(&self, head: &ChainHead) -> Result<Held, Error> {
        if head.records == 0 && head.hash == chain::ROOT {
            return Ok(Held::AsItWas);
        }
        let hash = self.store().hash_of(&head.writer, head.records).await?;
        Ok(match hash {
            Some(hash) if hash == head.hash => Held::AsItWas,
            Some(_) => Held::Changed,
            None => Held::Lost,
        })
    }

    /// Copies the journal as it is now into a new file, while a daemon writes on, and syncs it.
    ///
    /// # Errors
    /// [`Error::Io`] where the file is there already or can't be written; [`Error::Server`] for a journal at a server, which has its own ways.
    pub async fn copy_to(&self, file: &Path) -> Result<(), Error> {
        self.store().copy_to(file).await
    }
}
