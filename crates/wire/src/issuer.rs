//! Requests to the issuer of single sign-on: one connection each, no redirect, an answer of a limited size.

use std::path::Path;
use std::time::Duration;

use http::HeaderValue;
use http::header::ACCEPT;
use reqwest::{Client, RequestBuilder, Url};
use secrecy::{ExposeSecret as _, SecretString};

use crate::ConfigError;
use crate::hook::{address, reach};

/// Largest answer that is read.
const ANSWER_MAX: usize = 256 * 1024;

/// Why there is no answer. No text from outside, so that it may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// The address is none that is asked: `https://`, or `http://` at this machine.
    #[error("an address that the issuer names is not asked: https:// alone")]
    Address,
    /// No whole answer in time.
    #[error("the issuer does not answer")]
    Silent,
    /// Another status than 200.
    #[error("the issuer answered {0} instead of 200")]
    Refused(u16),
    /// More than is read.
    #[error("the issuer's answer is too large")]
    Large,
}

/// Who is asked.
pub struct Issuer {
    client: Client,
    port: Option<u16>,
}

impl Issuer {
    /// Checks the address; connects nowhere.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(url: &str, ca_file: Option<&Path>, timeout: Duration) -> Result<Self, ConfigError> {
        let (client, url) = reach(url, ca_file, timeout)?;
        Ok(Self {
            client,
            port: url.port_or_known_default(),
        })
    }

    /// The port that is asked.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`IssuerError`].
    pub async fn get(&self, url: &str) -> Result<Vec<u8>, IssuerError> {
        let url = address(url).map_err(|_| IssuerError::Address)?;
        answer(self.client.get(url)).await
    }

    /// Sends a form, in our own name.
    ///
    /// # Errors
    /// [`IssuerError`].
    pub async fn post(
        &self,
        url: &str,
        form: &[(&str, String)],
        (user, password): (&str, &SecretString),
    ) -> Result<Vec<u8>, IssuerError> {
        let url = address(url).map_err(|_| IssuerError::Address)?;
        // As RFC 6749, section 2.3.1 has it: both are encoded before they are put together.
        let encoded = |text: &str| encode(&[("", text)]).split_off(1);
        let body = encode(form);
        let request = self
            .client
            .post(url)
            .basic_auth(encoded(user), Some(encoded(password.expose_secret())))
            .header(
                http::header::CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            )
            .body(body);
        answer(request).await
    }
}

/// As a form is written.
fn encode<V: AsRef<str>>(form: &[(&str, V)]) -> String {
    let mut url = Url::parse("http://x/").expect("a URL of ours");
    url.query_pairs_mut()
        .extend_pairs(form.iter().map(|(name, value)| (*name, value.as_ref())));
    url.query().unwrap_or_default().to_owned()
}

async fn answer(request: RequestBuilder) -> Result<Vec<u8>, IssuerError> {
    let json = HeaderValue::from_static("application/json");
    let answer = request.header(ACCEPT, json).send().await;
    let mut answer = answer.map_err(|_| IssuerError::Silent)?;
    if answer.status() != http::StatusCode::OK {
        return Err(IssuerError::Refused(answer.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(|_| IssuerError::Silent)? {
        if body.len() + part.len() > ANSWER_MAX {
            return Err(IssuerError::Large);
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_encoded() {
        assert_eq!(
            encode(&[("a", "b c&d=e"), ("f", "é")]),
            "a=b+c%26d%3De&f=%C3%A9"
        );
    }
}
