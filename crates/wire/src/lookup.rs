//! A question to a merchant's own program: what an order costs. Signed as Standard Webhooks has it; never card data.
//!
//! One question, one connection, one answer of a limited size: no redirect, no second try.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use http::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Url};
use secrecy::SecretString;

use crate::hook::{host, knock, reach, unreached};
use crate::signed::{self, Key};
use crate::{ConfigError, Unreached};

/// Largest answer that is read. An amount, a currency, a word and a description are far below.
pub const ANSWER_MAX: usize = 16 * 1024;

/// Where a merchant is asked, and how.
pub struct LookupConfig {
    /// `https://…`, or `http://` at a loopback address.
    pub url: String,
    /// `whsec_` and 24 to 64 bytes as Base64.
    pub secret: SecretString,
    /// Only this authority is trusted; the system's when absent.
    pub ca_file: Option<PathBuf>,
    /// Longest wait for the whole answer, connection included; 100 ms to 10 s.
    pub timeout: Duration,
}

/// One address that answers questions.
pub struct Lookup {
    client: Client,
    url: Url,
    key: [Key; 1],
    timeout: Duration,
}

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookup")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Why there is no answer. No text from outside, so that it may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No connection.
    #[error("not reached: {0}")]
    Unreached(Unreached),
    /// Another status than 200.
    #[error("answered {0} instead of 200")]
    Refused(u16),
    /// No whole answer in time.
    #[error("no whole answer within {0:?}")]
    Silent(Duration),
    /// More than [`ANSWER_MAX`] bytes.
    #[error("its answer is larger than {ANSWER_MAX} bytes")]
    Large,
}

impl Lookup {
    /// Checks the settings; connects nowhere.
    ///
    /// # Errors
    /// [`ConfigError`]; [`ConfigError::Secret`] for one that is not of the form above.
    pub fn new(config: &LookupConfig) -> Result<Self, ConfigError> {
        let (client, url) = reach(&config.url, config.ca_file.as_deref(), config.timeout)?;
        Ok(Self {
            client,
            url,
            key: [Key::parse(&config.secret)?],
            timeout: config.timeout,
        })
    }

    /// Asks once; the body of the answer, as it is. `id` is the question's own, `at` the wall clock: both are signed, so that the
    /// merchant can refuse one that comes again.
    ///
    /// # Errors
    /// [`LookupError`].
    pub async fn ask(
        &self,
        id: &str,
        at: SystemTime,
        json: Vec<u8>,
    ) -> Result<Vec<u8>, LookupError> {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        let request = signed::sign(request, &self.key, id, at, &json).body(json);
        let silent = LookupError::Silent(self.timeout);
        let answer = request.send().await;
        let mut answer =
            answer.map_err(|error| unreached(&error).map_or(silent, LookupError::Unreached))?;
        if answer.status() != http::StatusCode::OK {
            return Err(LookupError::Refused(answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|_| silent)? {
            if body.len() + part.len() > ANSWER_MAX {
                return Err(LookupError::Large);
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }

    /// Whether anything listens there; nothing is asked. For `ivrpay check`.
    ///
    /// # Errors
    /// [`LookupError::Unreached`].
    pub async fn probe(&self) -> Result<(), LookupError> {
        let knocked = knock(&self.url, self.timeout).await;
        knocked.map_err(LookupError::Unreached)
    }

    /// The port that is asked.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.url.port_or_known_default()
    }

    /// Its host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        host(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn config(url: &str) -> LookupConfig {
        LookupConfig {
            url: url.into(),
            secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(),
            ca_file: None,
            timeout: Duration::from_millis(400),
        }
    }

    #[test]
    fn only_https_or_this_machine() {
        assert!(Lookup::new(&config("http://shop.example.com/")).is_err());
        assert!(Lookup::new(&config("http://127.0.0.1:8080/")).is_ok());
    }

    #[tokio::test]
    async fn only_a_whole_answer_of_200_in_time_is_one() {
        let large = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n{}",
            "x".repeat(20_000)
        );
        let silent = Err(LookupError::Silent(Duration::from_millis(400)));
        for (answer, expected) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
                Ok(b"{}".to_vec()),
            ),
            (
                "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
                Err(LookupError::Refused(302)),
            ),
            (
                "HTTP/1.1 204 No Content\r\n\r\n",
                Err(LookupError::Refused(204)),
            ),
            (&large, Err(LookupError::Large)),
            // Cut off, and never begun.
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{",
                silent.clone(),
            ),
            ("", silent),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/order", listener.local_addr().unwrap());
            let answer = answer.to_owned();
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut read = Vec::new();
                while !read.ends_with(b"{\"order_id\":\"A\"}") {
                    assert!(stream.read_buf(&mut read).await.unwrap() > 0);
                }
                // The client may have gone in the middle of a large answer.
                stream.write_all(answer.as_bytes()).await.ok();
                if answer.len() < 60 {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                String::from_utf8(read).unwrap().to_ascii_lowercase()
            });
            let lookup = Lookup::new(&config(&url)).unwrap();
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_614_265_330);
            let asked = lookup.ask("msg_1", at, b"{\"order_id\":\"A\"}".to_vec());
            assert_eq!(asked.await, expected);
            let request = server.await.unwrap();
            for header in [
                "webhook-id: msg_1\r\n",
                "webhook-timestamp: 1614265330\r\n",
                "webhook-signature: v1,",
            ] {
                assert!(request.contains(header), "{request}");
            }
        }
    }
}
