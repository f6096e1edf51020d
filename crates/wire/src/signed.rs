//! Signatures of Standard Webhooks: what a merchant's program is asked or told by us.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;

use crate::ConfigError;

/// What a secret begins with (Standard Webhooks, "Symmetric").
const SECRET: &str = "whsec_";

/// One secret that both sides know.
pub(crate) struct Key(SecretSlice<u8>);

impl Key {
    /// `whsec_` and 24 to 64 bytes as Base64.
    ///
    /// # Errors
    /// [`ConfigError::Secret`].
    pub(crate) fn parse(secret: &SecretString) -> Result<Self, ConfigError> {
        let coded = secret.expose_secret().strip_prefix(SECRET);
        coded
            .and_then(|coded| STANDARD.decode(coded).ok())
            .filter(|secret| (24..=64).contains(&secret.len()))
            .map(|secret| Self(secret.into()))
            .ok_or(ConfigError::Secret)
    }

    /// `v1,` and the HMAC-SHA256 of `id.timestamp.body` as Base64 (Standard Webhooks, "Signature scheme").
    fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret())
            .expect("HMAC takes a key of any length (RFC 2104)");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// Adds what a receiver needs to know who says this, when, and whether he has heard it before: one signature for each key, so that he may
/// go over to another one while both are signed with.
pub(crate) fn sign(
    request: RequestBuilder,
    keys: &[Key],
    id: &str,
    at: SystemTime,
    body: &[u8],
) -> RequestBuilder {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH);
    let timestamp = seconds.unwrap_or_default().as_secs().to_string();
    let signatures = keys.iter().map(|key| key.sign(id, &timestamp, body));
    let signatures = signatures.collect::<Vec<_>>().join(" ");
    request
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signatures)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks libraries.
    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        let key = Key::parse(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap();
        let signed = key.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_have_their_form() {
        for (secret, good) in [
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false),
            ("whsec_c2hvcnQ=", false),
            ("whsec_no base64", false),
            ("", false),
        ] {
            assert_eq!(Key::parse(&secret.into()).is_ok(), good, "{secret}");
        }
    }
}
