//! An event to a merchant's program: signed as Standard Webhooks has it, sent once, to an address that was looked at.
//!
//! Whoever may name a host could have us knock at our own network. So its name is resolved once, each address that comes is looked at, and the
//! connection goes to one of these; nothing is redirected, no proxy is asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use ipnet::IpNet;
use ivrpay_acquirer::Identity;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url};
use secrecy::SecretString;

use crate::hook::{address, authorization, host, unreached};
use crate::send::once;
use crate::signed::{self, Key};
use crate::{ConfigError, Unreached, tls};

/// Addresses that a webhook may go to although they are none of the internet: `192.168.10.0/24`, `fd00::/8`, or one address.
pub type Network = IpNet;

/// Longest pause that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(8 * 3600);

/// Where events go, and how.
pub struct WebhookConfig {
    /// `https://…`, or `http://` at a loopback address.
    pub url: String,
    /// Each `whsec_` and 24 to 64 bytes as Base64; signed with all, so that one can be exchanged.
    pub secrets: Vec<SecretString>,
    /// Sent as `Authorization: Bearer …` (RFC 6750).
    pub bearer: Option<SecretString>,
    /// The certificate that we show.
    pub identity: Option<Identity>,
    /// Only this authority is trusted; the system's when absent.
    pub ca_file: Option<PathBuf>,
    /// What else is allowed than the internet.
    pub networks: Vec<Network>,
    /// Longest wait for the answer, connection included; 1 to 30 s.
    pub timeout: Duration,
}

/// One address that events go to.
#[derive(Clone)]
pub struct Webhook {
    client: Client,
    url: Url,
    keys: Arc<[Key]>,
    authorization: Option<HeaderValue>,
    allowed: Allowed,
    timeout: Duration,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Why it is not known that the receiver has the event. No text from outside, so that it may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// No connection.
    #[error("not reached: {0}")]
    Unreached(Unreached),
    /// An answer that is no acknowledgement.
    #[error("answered {status} instead of 2xx")]
    Refused {
        /// Its status.
        status: u16,
        /// How long it wants to be left alone; 8 h at most.
        retry_after: Option<Duration>,
    },
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Silent(Duration),
}

impl WebhookError {
    /// What whoever runs the receiver can do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Unreached(cause @ Unreached::Forbidden) => cause.hint(),
            Self::Unreached(_) => {
                "check host and port of [tenants.webhook] url, its certificate, and that the receiver runs"
            }
            Self::Refused {
                status: 300..=399, ..
            } => "a redirect is never followed: put the address that it leads to into url",
            Self::Refused {
                status: 401 | 403, ..
            } => {
                "set bearer_file or the client's certificate as the receiver wants it, or teach it the secret"
            }
            Self::Refused { .. } => "the receiver's own log says why; it has to answer 2xx",
            Self::Silent(_) => "answer before anything else is done, or raise timeout",
        }
    }
}

impl Webhook {
    /// Checks the settings; connects nowhere.
    ///
    /// # Errors
    /// [`ConfigError`]; [`ConfigError::Forbidden`] for an address that `networks` would have to allow.
    pub fn new(config: &WebhookConfig) -> Result<Self, ConfigError> {
        if !(Duration::from_secs(1)..=Duration::from_secs(30)).contains(&config.timeout) {
            return Err(ConfigError::Timeout { name: "timeout" });
        }
        let url = address(&config.url)?;
        let allowed = Allowed::new(config.networks.clone());
        if host(&url).parse().is_ok_and(|ip| !allowed.allows(ip)) {
            return Err(ConfigError::Forbidden);
        }
        let keys = config.secrets.iter().map(Key::parse);
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(ConfigError::Secret);
        }
        let client = once(tls::client(
            config.ca_file.as_deref(),
            config.identity.as_ref(),
        )?)
        .https_only(url.scheme() == "https")
        .dns_resolver(Arc::new(allowed.clone()))
        .timeout(config.timeout)
        .build()
        .map_err(|_| ConfigError::Client)?;
        Ok(Self {
            client,
            url,
            keys: keys.into(),
            authorization: config.bearer.as_ref().map(authorization).transpose()?,
            allowed,
            timeout: config.timeout,
        })
    }

    /// Sends the event once; 2xx in time is the acknowledgement. `id` is the event's own, the same at each try, `at` the wall clock.
    ///
    /// # Errors
    /// [`WebhookError`]: the receiver may have it all the same, unless it was not reached.
    pub async fn send(&self, id: &str, at: SystemTime, json: Vec<u8>) -> Result<(), WebhookError> {
        let request = self.client.post(self.url.clone()).header(
            CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        );
        let mut request = signed::sign(request, &self.keys, id, at, &json).body(json);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        match request.send().await {
            // What stands in it is nobody's business: it is not even read.
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(WebhookError::Refused {
                status: answer.status().as_u16(),
                retry_after: retry_after(answer.headers().get(RETRY_AFTER)),
            }),
            Err(error) => {
                let silent = WebhookError::Silent(self.timeout);
                Err(unreached(&error).map_or(silent, WebhookError::Unreached))
            }
        }
    }

    /// Whether its name leads to an address that may be asked; nothing is connected. For `ivrpay check`.
    ///
    /// # Errors
    /// [`Unreached`].
    pub async fn look(&self) -> Result<(), Unreached> {
        let addresses = resolve(host(&self.url), &self.allowed).await;
        addresses.map(drop).map_err(|error| match error {
            Resolved::Forbidden => Unreached::Forbidden,
            Resolved::Nothing => Unreached::UnknownHost,
        })
    }

    /// The port that it goes to.
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

/// Seconds (RFC 9110, 10.2.3); a date is not read, since its clock may be another.
fn retry_after(value: Option<&HeaderValue>) -> Option<Duration> {
    let seconds = value?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// An address that is not allowed.
#[derive(Debug, thiserror::Error)]
#[error("this address is not allowed")]
pub(crate) struct Forbidden;

enum Resolved {
    Forbidden,
    Nothing,
}

/// What may be connected to.
#[derive(Clone)]
pub(crate) struct Allowed(Arc<[Network]>);

impl Allowed {
    pub(crate) fn new(networks: Vec<Network>) -> Self {
        Self(networks.into())
    }

    pub(crate) fn allows(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        is_of_the_internet(ip) || self.0.iter().any(|network| network.contains(&ip))
    }
}

/// One that is not allowed among those of a name, and none is asked: it is that one that an attacker wants.
async fn resolve(host: &str, allowed: &Allowed) -> Result<Vec<SocketAddr>, Resolved> {
    let found = tokio::net::lookup_host((host, 0)).await;
    let found: Vec<_> = found.map_err(|_| Resolved::Nothing)?.collect();
    if found.is_empty() {
        return Err(Resolved::Nothing);
    }
    if found.iter().all(|address| allowed.allows(address.ip())) {
        Ok(found)
    } else {
        Err(Resolved::Forbidden)
    }
}

impl Resolve for Allowed {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.clone();
        Box::pin(async move {
            match resolve(name.as_str(), &allowed).await {
                Ok(found) => Ok(Box::new(found.into_iter()) as Addrs),
                Err(Resolved::Forbidden) => Err(Forbidden.into()),
                Err(Resolved::Nothing) => {
                    Err(std::io::Error::from(std::io::ErrorKind::NotFound).into())
                }
            }
        })
    }
}

/// Whether an address is one that anybody in the internet has (IANA's registries of special-purpose addresses, RFC 6890). What carries an
/// IPv4 address inside is that one.
fn is_of_the_internet(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => v4(ip),
        IpAddr::V6(ip) => v6(ip),
    }
}

fn v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        // "This network"; shared by carriers (RFC 6598); protocol assignments; the way to 6to4; benchmarks (RFC 2544); reserved, broadcast among it.
        || a == 0
        || a == 100 && (64..128).contains(&b)
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || a == 198 && (b == 18 || b == 19)
        || a >= 240;
    !special
}

fn v6(ip: Ipv6Addr) -> bool {
    let [a, b, .., g, h] = ip.segments();
    let inside = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        v4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        // NAT64 (RFC 6052), 6to4 (RFC 3056).
        (0x64, 0xff9b) => ip.segments()[2..6] == [0; 4] && inside(g, h),
        (0x2002, high) => inside(high, ip.segments()[2]),
        // Documentation; Teredo, ORCHID and other assignments of 2001::/23.
        (0x2001, 0xdb8 | 0..=0x1ff) | (0x3fff, 0..=0xfff) => false,
        // Global unicast (RFC 4291, 2.4) is 2000::/3: neither ::, ::1, fc00::/7, fe80::/10, fec0::/10 nor ff00::/8.
        (0x2000..=0x3fff, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn config(url: &str) -> WebhookConfig {
        WebhookConfig {
            url: url.into(),
            secrets: vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()],
            bearer: Some("s3cret".into()),
            identity: None,
            ca_file: None,
            networks: vec!["127.0.0.1/32".parse().unwrap()],
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn addresses_that_are_none_of_the_internet() {
        for (ip, good) in [
            ("8.8.8.8", true),
            ("203.104.1.1", true),
            ("2606:4700::1111", true),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("10.1.2.3", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("127.0.0.2", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("172.32.0.1", true),
            ("192.0.0.8", false),
            ("192.168.1.1", false),
            ("198.18.0.1", false),
            ("203.0.113.1", false),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("::ffff:8.8.8.8", true),
            ("64:ff9b::8.8.8.8", true),
            ("64:ff9b::10.0.0.1", false),
            ("64:ff9b:1::8.8.8.8", false),
            ("2002:7f00:1::", false),
            ("2002:808:808::", true),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("2001:240::1", true),
            ("3fff:1::1", false),
            ("fc00::1", false),
            ("fd12::1", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(is_of_the_internet(ip.to_canonical()), good, "{ip}");
        }
    }

    /// An address in any spelling is that address, and none of these is asked, whatever the setting's file says.
    #[test]
    fn hosts_that_are_refused_at_the_start() {
        for (url, good) in [
            ("https://shop.example.com/hook", true),
            ("http://127.0.0.1:9/hook", true),
            ("http://127.0.0.2:9/hook", false),
            ("https://127.0.0.2/hook", false),
            ("https://2130706434/hook", false),
            ("https://0x7f000002/hook", false),
            ("https://0177.0.0.2/hook", false),
            ("https://127.2/hook", false),
            ("https://[::ffff:127.0.0.2]/hook", false),
            ("https://[::1]/hook", false),
            ("https://169.254.169.254/latest", false),
            ("https://8.8.8.8/hook", true),
            ("http://8.8.8.8/hook", false),
            ("https://user@shop.example.com/hook", false),
        ] {
            assert_eq!(Webhook::new(&config(url)).is_ok(), good, "{url}");
        }
        let none = WebhookConfig {
            secrets: Vec::new(),
            ..config("https://shop.example.com/")
        };
        assert!(matches!(Webhook::new(&none), Err(ConfigError::Secret)));
    }

    #[tokio::test]
    async fn a_name_that_leads_here_is_not_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("https://localhost:{port}/hook");
        let elsewhere = WebhookConfig {
            networks: vec!["192.168.0.0/16".parse().unwrap()],
            ..config(&url)
        };
        let webhook = Webhook::new(&elsewhere).unwrap();
        let sent = webhook.send("a", SystemTime::now(), b"{}".to_vec()).await;
        let forbidden = WebhookError::Unreached(Unreached::Forbidden);
        assert_eq!(sent, Err(forbidden));
        assert_eq!(webhook.look().await, Err(Unreached::Forbidden));
        let knocked = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(knocked.is_err(), "somebody was connected to");
    }

    #[tokio::test]
    async fn only_2xx_in_time_is_an_acknowledgement() {
        let refused = |status, retry_after: Option<u64>| {
            let retry_after = retry_after.map(Duration::from_secs);
            Err(WebhookError::Refused {
                status,
                retry_after,
            })
        };
        for (answer, expected) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", Ok(())),
            // Nobody reads it.
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{}",
                Ok(()),
            ),
            (
                "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
                refused(302, None),
            ),
            (
                "HTTP/1.1 429 Slowly\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
                refused(429, Some(7)),
            ),
            (
                "HTTP/1.1 503 No\r\nRetry-After: 999999999\r\nContent-Length: 0\r\n\r\n",
                refused(503, Some(8 * 3600)),
            ),
            ("", Err(WebhookError::Silent(Duration::from_secs(1)))),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/hook", listener.local_addr().unwrap());
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut read = Vec::new();
                while !read.ends_with(b"{\"type\":\"x\"}") {
                    assert!(stream.read_buf(&mut read).await.unwrap() > 0);
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
                if answer.is_empty() {
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
                String::from_utf8(read).unwrap().to_ascii_lowercase()
            });
            let two = WebhookConfig {
                secrets: vec![
                    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(),
                    "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
                ],
                ..config(&url)
            };
            let webhook = Webhook::new(&two).unwrap();
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_614_265_330);
            let body = b"{\"type\":\"x\"}".to_vec();
            assert_eq!(webhook.send("msg_1", at, body).await, expected, "{answer}");
            let request = server.await.unwrap();
            assert!(request.starts_with("post /hook http/1.1\r\n"), "{request}");
            assert!(request.contains("authorization: bearer s3cret\r\n"));
            assert!(request.contains("webhook-id: msg_1\r\n"));
            let signatures = request.lines().find(|l| l.starts_with("webhook-signature"));
            assert_eq!(signatures.unwrap().matches("v1,").count(), 2, "{request}");
        }
    }
}
