//! The hash of a record: SHA-256 over every column, each with its length before it, and the hash of the writer's record before.

use sha2::{Digest as _, Sha256};

/// Form of the hashed bytes and of the bodies; goes up when either changes.
pub(crate) const VERSION: i64 = 1;

/// What stands before a writer's first record.
pub(crate) const ROOT: [u8; 32] = [0; 32];

/// The columns that a hash covers (`sequence` is the store's own and left out).
pub(crate) struct Link<'a> {
    pub(crate) writer: &'a str,
    pub(crate) number: i64,
    pub(crate) epoch: i64,
    pub(crate) version: i64,
    pub(crate) at_ms: i64,
    pub(crate) payment: Option<&'a str>,
    pub(crate) operation: Option<&'a str>,
    pub(crate) kind: &'a str,
    pub(crate) body: &'a str,
}

pub(crate) fn hash(link: &Link<'_>, before: &[u8; 32]) -> [u8; 32] {
    let mut sha = Sha256::new();
    let mut text = |text: &str| {
        sha.update((text.len() as u64).to_be_bytes());
        sha.update(text.as_bytes());
    };
    for part in [
        link.writer,
        link.payment.unwrap_or_default(),
        link.operation.unwrap_or_default(),
        link.kind,
        link.body,
    ] {
        text(part);
    }
    for number in [link.number, link.epoch, link.version, link.at_ms] {
        sha.update(number.to_be_bytes());
    }
    sha.update(before);
    sha.finalize().into()
}

/// SHA-256 of `bytes`: how an API call's `Idempotency-Key` is stored, so that the column can't hold what a client put into it.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
