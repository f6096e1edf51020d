//! 3DES in CBC mode, as the children of `pay_method_info` have it: filled with blanks to eight bytes, a short key with zeros.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use cbc::{Decryptor, Encryptor};
use des::TdesEde3;
use ivrpay_secret::{Buffer, Full, leaving_nothing};
use secrecy::{ExposeSecret, SecretString};

pub(super) const BLOCK: usize = 8;
pub(super) const KEY: usize = 24;
/// Longest plain value, bytes: a card number and its filling.
const VALUE_MAX: usize = 32;

/// Key and initial vector. Both ciphers wipe their schedules when they are dropped (feature `zeroize`).
pub(super) struct Cipher {
    key: SecretString,
    iv: SecretString,
}

impl Cipher {
    /// Key and initial vector as the acquirer gives them: ASCII, at most [`KEY`] bytes and exactly [`BLOCK`].
    pub(super) const fn new(key: SecretString, iv: SecretString) -> Self {
        Self { key, iv }
    }

    /// The key, filled up, in locked memory.
    fn filled_key(&self) -> Result<Buffer, Full> {
        let mut key = Buffer::take(KEY)?;
        key.push(self.key.expose_secret().as_bytes())?;
        let missing = KEY.saturating_sub(key.len());
        key.push([0; KEY].get(..missing).unwrap_or_default())?;
        Ok(key)
    }

    /// The parts, one behind the other, encrypted, as base64. Plain text and key leave nothing behind.
    pub(super) fn seal(&self, parts: &[&[u8]]) -> Result<Buffer, Full> {
        let mut bytes = Buffer::take(VALUE_MAX)?;
        parts.iter().try_for_each(|part| bytes.push(part))?;
        while !bytes.len().is_multiple_of(BLOCK) {
            bytes.push(b" ")?;
        }
        let key = self.filled_key()?;
        let iv = self.iv.expose_secret().as_bytes();
        leaving_nothing(|| {
            let mut cipher = key
                .expose(|key| Encryptor::<TdesEde3>::new_from_slices(key, iv))
                .map_err(|_| Full)?;
            bytes.expose_mut(|bytes| {
                for block in bytes.chunks_exact_mut(BLOCK) {
                    if let Ok(block) = <&mut Array<u8, _>>::try_from(block) {
                        cipher.encrypt_block(block);
                    }
                }
            });
            Ok::<_, Full>(())
        })?;
        let mut coded = Buffer::take(VALUE_MAX.div_ceil(3) * 4)?;
        coded.fill(|room| match STANDARD.encode_slice(bytes.as_ref(), room) {
            Ok(written) => (written, Ok(())),
            Err(_) => (0, Err(Full)),
        })?;
        Ok(coded)
    }

    /// What was sealed, blanks at its end cut off; `None` where it is not of this cipher's form.
    pub(super) fn open(&self, sealed: &str) -> Option<Buffer> {
        let mut bytes = Buffer::take(VALUE_MAX + 1).ok()?;
        bytes.fill(|room| match STANDARD.decode_slice(sealed, room) {
            Ok(read) => (read, Some(())),
            Err(_) => (0, None),
        })?;
        if bytes.is_empty() || !bytes.len().is_multiple_of(BLOCK) {
            return None;
        }
        let key = self.filled_key().ok()?;
        let iv = self.iv.expose_secret().as_bytes();
        leaving_nothing(|| {
            let mut cipher = key
                .expose(|key| Decryptor::<TdesEde3>::new_from_slices(key, iv))
                .ok()?;
            bytes.expose_mut(|bytes| {
                for block in bytes.chunks_exact_mut(BLOCK) {
                    if let Ok(block) = <&mut Array<u8, _>>::try_from(block) {
                        cipher.decrypt_block(block);
                    }
                }
            });
            Some(())
        })?;
        let end = bytes.expose(|bytes| bytes.trim_ascii_end().len());
        bytes.truncate(end);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher() -> Cipher {
        Cipher::new("0123456789abcdef01234567".into(), "abcdefgh".into())
    }

    /// Their document.
    #[test]
    fn known_answers() {
        for (plain, sealed) in [
            (&["4242424242424242"][..], "i2UqoIYubRhdkWwd9hGtwQ=="),
            (&["20", "30", "12"], "czHidshVoD8="),
            (&["000"], "UnK9lLAFEWU="),
            (&["10"], "O9/0qK/OHcE="),
        ] {
            let parts: Vec<_> = plain.iter().map(|p| p.as_bytes()).collect();
            assert!(cipher().seal(&parts).unwrap().expose(|b| b == sealed.as_bytes()));
            let open = cipher().open(sealed).unwrap();
            assert!(open.expose(|b| b == plain.concat().as_bytes()));
        }
    }

    #[test]
    fn what_is_not_sealed_is_not_opened() {
        for text in ["", "1", "AAAA", "*", &"A".repeat(400)] {
            assert!(cipher().open(text).is_none(), "{text}");
        }
    }
}
