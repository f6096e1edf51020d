//! A POST to a program beside the payment: a recorder that has to pause. Never card data, never to an acquirer.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;

use crate::send::once;
use crate::{ConfigError, Unreached, tls};

/// Where a hook is, and how it is reached.
pub struct HookConfig {
    /// `https://…`, or `http://` at a loopback address.
    pub url: String,
    /// Sent as `Authorization: Bearer …` (RFC 6750).
    pub bearer: Option<SecretString>,
    /// Only this authority is trusted; the system's when absent.
    pub ca_file: Option<PathBuf>,
    /// Longest wait for the answer, connection included; 100 ms to 10 s.
    pub timeout: Duration,
}

/// One address that is told something, and says that it heard.
#[derive(Clone)]
pub struct Hook {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

/// Why it is not known that a hook heard. No text from outside, so that it may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
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

impl Hook {
    /// The port that it is told at.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.url.port_or_known_default()
    }

    /// Checks the settings; connects nowhere.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(config: &HookConfig) -> Result<Self, ConfigError> {
        let (client, url) = reach(&config.url, config.ca_file.as_deref(), config.timeout)?;
        let authorization = config.bearer.as_ref().map(authorization).transpose()?;
        Ok(Self {
            client,
            url,
            authorization,
            timeout: config.timeout,
        })
    }

    /// Tells it once, as JSON; 2xx in time is the acknowledgement, whatever stands in it.
    ///
    /// # Errors
    /// [`HookError`]: it may have heard all the same, unless it was not reached.
    pub async fn tell(&self, json: Vec<u8>) -> Result<(), HookError> {
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(json);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(HookError::Refused(answer.status().as_u16())),
            // A connection that was closed without an answer is one that said nothing either.
            Err(error) => {
                Err(unreached(&error).map_or(HookError::Silent(self.timeout), HookError::Unreached))
            }
        }
    }

    /// Whether anything listens there; nothing is told. For `ivrpay check`.
    ///
    /// # Errors
    /// [`HookError::Unreached`].
    pub async fn probe(&self) -> Result<(), HookError> {
        let knocked = knock(&self.url, self.timeout).await;
        knocked.map_err(HookError::Unreached)
    }

    /// Its host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        host(&self.url)
    }
}

/// `Authorization: Bearer …` (RFC 6750).
pub(crate) fn authorization(bearer: &SecretString) -> Result<HeaderValue, ConfigError> {
    let text = SecretString::from(format!("Bearer {}", bearer.expose_secret()));
    let value = HeaderValue::from_str(text.expose_secret());
    let mut value = value.map_err(|_| ConfigError::Credentials)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The host of an address, without brackets.
pub(crate) fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_matches(['[', ']'])
}

/// Whether anything listens there; nothing is said.
pub(crate) async fn knock(url: &Url, timeout: Duration) -> Result<(), Unreached> {
    let port = url.port_or_known_default().unwrap_or(443);
    match tokio::time::timeout(timeout, TcpStream::connect((host(url), port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Unreached::from_chain(&error)),
        Err(_) => Err(Unreached::TimedOut),
    }
}

/// A client for one address of somebody else's that is told or asked something, and that address; `timeout` from 0.1 to 10 s.
pub(crate) fn reach(
    url: &str,
    ca_file: Option<&Path>,
    timeout: Duration,
) -> Result<(Client, Url), ConfigError> {
    let range = Duration::from_millis(100)..=Duration::from_secs(10);
    if !range.contains(&timeout) {
        return Err(ConfigError::Timeout { name: "timeout" });
    }
    let url = address(url)?;
    let client = once(tls::client(ca_file, None)?)
        .https_only(url.scheme() == "https")
        .timeout(timeout)
        .build()
        .map_err(|_| ConfigError::Client)?;
    Ok((client, url))
}

/// Why nobody was reached; `None` where somebody was.
pub(crate) fn unreached(error: &reqwest::Error) -> Option<Unreached> {
    match (error.is_connect(), error.is_timeout()) {
        (false, _) => None,
        (true, true) => Some(Unreached::TimedOut),
        (true, false) => Some(Unreached::from_chain(error)),
    }
}

/// `https://…`, or `http://` at a loopback address: what leaves this machine is encrypted.
pub(crate) fn address(text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text).map_err(|_| ConfigError::Url)?;
    let ip = host(&url).parse::<IpAddr>();
    let loopback = ip.is_ok_and(|ip| ip.is_loopback());
    let good = match url.scheme() {
        "https" => url.host_str().is_some_and(|host| !host.is_empty()),
        "http" => loopback,
        _ => false,
    };
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if good && plain {
        Ok(url)
    } else {
        Err(ConfigError::Url)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn config(url: &str) -> HookConfig {
        HookConfig {
            url: url.into(),
            bearer: Some("s3cret".into()),
            ca_file: None,
            timeout: Duration::from_millis(300),
        }
    }

    #[test]
    fn only_https_or_this_machine() {
        for (url, good) in [
            ("https://recorder.example.com/pause?seat=1", true),
            ("http://127.0.0.1:8080/pause", true),
            ("http://[::1]:8080/pause", true),
            ("http://recorder.example.com/pause", false),
            ("http://127.0.0.1.example.com/pause", false),
            ("https://user:pw@recorder.example.com/", false),
            ("ftp://127.0.0.1/", false),
            ("", false),
        ] {
            assert_eq!(Hook::new(&config(url)).is_ok(), good, "{url}");
        }
        let mut slow = config("http://127.0.0.1/");
        slow.timeout = Duration::from_secs(60);
        assert!(Hook::new(&slow).is_err());
    }

    #[tokio::test]
    async fn only_2xx_in_time_is_an_acknowledgement() {
        for (answer, expected) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", Ok(())),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Ok(())),
            (
                "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
                Err(HookError::Refused(302)),
            ),
            (
                "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
                Err(HookError::Refused(500)),
            ),
            ("", Err(HookError::Silent(Duration::from_millis(300)))),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/pause", listener.local_addr().unwrap());
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut read = Vec::new();
                while !read.ends_with(b"{\"event\":\"pause\"}") {
                    assert!(stream.read_buf(&mut read).await.unwrap() > 0);
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
                if answer.is_empty() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                String::from_utf8(read).unwrap().to_ascii_lowercase()
            });
            let hook = Hook::new(&config(&url)).unwrap();
            let told = hook.tell(b"{\"event\":\"pause\"}".to_vec()).await;
            assert_eq!(told, expected, "{answer}");
            let request = server.await.unwrap();
            assert!(request.starts_with("post /pause http/1.1\r\n"), "{request}");
            assert!(request.contains("authorization: bearer s3cret\r\n"));
        }
    }

    #[tokio::test]
    async fn nobody_there_is_told_apart() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", free.local_addr().unwrap());
        let hook = Hook::new(&config(&url)).unwrap();
        assert_eq!(hook.probe().await, Ok(()));
        drop(free);
        let refused = Err(HookError::Unreached(Unreached::Refused));
        assert_eq!(hook.probe().await, refused);
        assert_eq!(hook.tell(b"{}".to_vec()).await, refused);
    }
}
