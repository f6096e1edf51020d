//! Status callbacks as Twilio sends them: a form, signed with the account's token, to an address that whoever asks names.
//!
//! It is an address from outside, so it is judged as a webhook's is (`webhook.rs`): each address that its name leads to is looked at, nothing
//! is redirected; and only the ports of the settings are gone to.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret as _, SecretString};
use sha1::Sha1;

use crate::hook::{address, host, unreached};
use crate::send::once;
use crate::webhook::{Allowed, Network};
use crate::{ConfigError, Unreached, tls};

/// As Twilio's validators look for it.
const SIGNATURE: &str = "X-Twilio-Signature";

/// Where callbacks of one account may go.
pub struct CallbackConfig {
    /// The account's token: what they are signed with.
    pub token: SecretString,
    /// What else is allowed than the internet.
    pub networks: Vec<Network>,
    /// The ports.
    pub ports: Vec<u16>,
    /// Longest wait for the answer, connection included.
    pub timeout: Duration,
}

/// Sends the callbacks of one account.
#[derive(Clone)]
pub struct Callback {
    client: Client,
    token: Arc<SecretString>,
    allowed: Allowed,
    ports: Arc<[u16]>,
    timeout: Duration,
}

impl std::fmt::Debug for Callback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callback")
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

/// Why a callback did not arrive, as far as that is known. No text from outside, so that it may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// None that may be gone to.
    #[error(
        "no address for a callback: https://host[:port]/path, or http:// at 127.0.0.1 or [::1], without user or fragment"
    )]
    Address,
    /// A port that is not among those of the settings.
    #[error("a port that is not in callback_ports of [[twilio]]")]
    Port,
    /// An address that is none of the internet, nor of `callback_networks`.
    #[error("an address that is none of the internet and not in callback_networks of [[twilio]]")]
    Forbidden,
    /// No connection.
    #[error("not reached: {0}")]
    Unreached(Unreached),
    /// An answer that is no acknowledgement.
    #[error("answered {0} instead of 2xx")]
    Refused(u16),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Silent(Duration),
}

impl Callback {
    /// Connects nowhere.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(config: CallbackConfig) -> Result<Self, ConfigError> {
        let allowed = Allowed::new(config.networks);
        let client = once(tls::client(None, None)?)
            .dns_resolver(Arc::new(allowed.clone()))
            .timeout(config.timeout)
            .build()
            .map_err(|_| ConfigError::Client)?;
        Ok(Self {
            client,
            token: Arc::new(config.token),
            allowed,
            ports: config.ports.into(),
            timeout: config.timeout,
        })
    }

    /// The ports that it goes to.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Whether callbacks may go to it; nothing is connected. A name is looked at when it is gone to.
    ///
    /// # Errors
    /// [`CallbackError`].
    pub fn judge(&self, url: &str) -> Result<(), CallbackError> {
        self.url(url).map(drop)
    }

    fn url(&self, url: &str) -> Result<Url, CallbackError> {
        let url = address(url).map_err(|_| CallbackError::Address)?;
        let port = url.port_or_known_default();
        if !port.is_some_and(|port| self.ports.contains(&port)) {
            return Err(CallbackError::Port);
        }
        if host(&url).parse().is_ok_and(|ip| !self.allowed.allows(ip)) {
            return Err(CallbackError::Forbidden);
        }
        Ok(url)
    }

    /// Sends it once; 2xx in time is the acknowledgement. Signed is the address as it is asked for, by which the receiver reckons: a name in
    /// small letters, no port that is the scheme's own.
    ///
    /// # Errors
    /// [`CallbackError`]: the receiver may have it all the same, unless it was not reached.
    pub async fn send(&self, url: &str, fields: &[(String, String)]) -> Result<(), CallbackError> {
        let to = self.url(url)?;
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let signature = signature(&self.token, to.as_str(), fields);
        let request = self
            .client
            .post(to)
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"),
            )
            .header(SIGNATURE, signature)
            .body(body);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(CallbackError::Refused(answer.status().as_u16())),
            Err(error) => {
                let silent = CallbackError::Silent(self.timeout);
                Err(unreached(&error).map_or(silent, CallbackError::Unreached))
            }
        }
    }
}

/// HMAC-SHA1 with the token, as Base64, of the address and, in the order of their names, every field's name and value (Twilio, "Validating
/// requests").
fn signature(token: &SecretString, url: &str, fields: &[(String, String)]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.expose_secret().as_bytes())
        .expect("HMAC takes a key of any length (RFC 2104)");
    mac.update(url.as_bytes());
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort();
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callback(networks: &[&str], ports: &[u16]) -> Callback {
        Callback::new(CallbackConfig {
            token: "12345".into(),
            networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
            ports: ports.to_vec(),
            timeout: Duration::from_secs(1),
        })
        .unwrap()
    }

    /// The example of Twilio's documents.
    #[test]
    fn the_signature_is_twilios() {
        let fields = [
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        assert_eq!(
            signature(&"12345".into(), url, &fields),
            "RSOYDt4T1cUTdK1PDd93/VVr8B8="
        );
    }

    #[test]
    fn addresses_are_judged_as_those_of_webhooks() {
        use CallbackError as E;
        let open = callback(&["127.0.0.1/32"], &[443, 9000]);
        for (url, expected) in [
            ("https://cti.example.com/pay?x=1", Ok(())),
            ("https://cti.example.com:9000/pay", Ok(())),
            ("https://cti.example.com:22/pay", Err(E::Port)),
            ("http://127.0.0.1:9000/pay", Ok(())),
            ("https://127.0.0.2:9000/pay", Err(E::Forbidden)),
            ("https://2130706434/pay", Err(E::Forbidden)),
            ("https://[::ffff:10.0.0.1]/pay", Err(E::Forbidden)),
            ("https://169.254.169.254/latest", Err(E::Forbidden)),
            ("http://cti.example.com:9000/pay", Err(E::Address)),
            ("https://user@cti.example.com/pay", Err(E::Address)),
            ("ftp://cti.example.com/", Err(E::Address)),
            ("/pay", Err(E::Address)),
        ] {
            assert_eq!(open.judge(url), expected, "{url}");
        }
        let closed = callback(&[], &[443]);
        assert!(closed.judge("https://127.0.0.1/pay").is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_here_is_not_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let closed = callback(&[], &[port]);
        let sent = closed
            .send(&format!("https://localhost:{port}/x"), &[])
            .await;
        assert_eq!(sent, Err(CallbackError::Unreached(Unreached::Forbidden)));
        let knocked = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(knocked.is_err(), "somebody was connected to");
    }
}
