//! Signatures over requests that hold a card: nothing of it stays in hash state or on the stack. And hexadecimal digits.

use ivrpay_secret::leaving_nothing;
use sha2::Digest;

/// Lower-case hexadecimal SHA-256 of the parts, one behind the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> String {
    hex(leaving_nothing(|| whole::<sha2::Sha256>(parts)).as_ref())
}

/// Lower-case hexadecimal SHA-1 of the parts, one behind the other.
pub(crate) fn sha1(parts: &[&[u8]]) -> String {
    hex(leaving_nothing(|| whole::<sha1::Sha1>(parts)).as_ref())
}

/// Lower-case hexadecimal MD5 of the parts, one behind the other.
pub(crate) fn md5(parts: &[&[u8]]) -> String {
    hex(leaving_nothing(|| whole::<md5::Md5>(parts)).as_ref())
}

/// The digest's state is wiped when it is dropped (feature `zeroize`).
fn whole<D: Digest>(parts: &[&[u8]]) -> impl AsRef<[u8]> + use<D> {
    let mut digest = D::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // To write into a `String` can't fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

/// What 64 hexadecimal digits say: a key of 32 bytes, or an HMAC-SHA256.
pub(crate) fn unhex32(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks_exact(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4 and RFC 1321, "abc".
    #[test]
    fn known_digests() {
        let abc: &[&[u8]] = &[b"a", b"bc"];
        assert_eq!(sha1(abc), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(
            sha256(abc),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(md5(abc), "900150983cd24fb0d6963f7d28e17f72");
    }
}
