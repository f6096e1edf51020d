//! Sends one request and reads one reply.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http_body::{Frame, SizeHint};
use ivrpay_acquirer::{CardKept, EndpointConfig, Method, Reply, Request};
use ivrpay_secret::Buffer;
use reqwest::{Body, Client, ClientBuilder, Url};
use rustls::ClientConfig;
use secrecy::ExposeSecret;
use tokio::sync::{oneshot, watch};

use crate::again::Keeping;
use crate::{ConfigError, SendError, Unreached, tls};

/// Sends requests to one endpoint, each on a connection of its own.
pub struct Sender {
    endpoint: Option<Endpoint>,
    card_kept: CardKept,
    pub(crate) keeping: Keeping,
    /// Whether nothing may go out again.
    stopping: watch::Sender<bool>,
    right: Option<Right>,
}

/// Whether anything may go out at all, asked when it would.
type Right = Arc<dyn Fn() -> bool + Send + Sync>;

/// A request whose head has been looked at, without its body.
pub(crate) struct Prepared {
    method: Method,
    path: String,
    head: HeaderMap,
}

/// A request's body has been wiped: the last copy of the card in this process.
#[derive(Debug, Clone, Copy)]
pub struct Wiped {
    /// When, by the wall clock: for whoever compares it with another process of the same machine.
    pub at: SystemTime,
    /// Time since the HTTP client took the body to write it: TLS encryption, the system calls and whatever came between them, hence
    /// never less than the time since the last byte was handed to the socket. `None` when no connection came about, and the
    /// body was wiped without having been sent.
    pub held: Option<Duration>,
}

pub(crate) struct Endpoint {
    client: Client,
    pub(crate) url: Url,
    pub(crate) tls: ClientConfig,
    pub(crate) connect_timeout: Duration,
    reply_timeout: Duration,
    /// HTTP Basic (RFC 7617), marked as sensitive so that nothing prints it.
    authorization: Option<HeaderValue>,
}

impl Sender {
    /// Checks the settings and reads the authorities; connects nowhere.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(config: &EndpointConfig) -> Result<Self, ConfigError> {
        let range = Duration::from_millis(100)..=Duration::from_secs(120);
        for (name, wait) in [
            ("connect_timeout", config.connect_timeout),
            ("reply_timeout", config.reply_timeout),
        ] {
            if !range.contains(&wait) {
                return Err(ConfigError::Timeout { name });
            }
        }
        let url = Url::parse(&config.url).map_err(|_| ConfigError::Url)?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if url.scheme() != "https" || url.host_str().is_none_or(str::is_empty) || !plain {
            return Err(ConfigError::Url);
        }
        let authorization = match (config.user.as_str(), &config.password) {
            ("", None) => None,
            ("", Some(_)) | (_, None) => return Err(ConfigError::Credentials),
            (user, Some(password)) => Some(basic(user, password.expose_secret())?),
        };
        let tls = tls::client(config.ca_file.as_deref(), config.identity.as_ref())?;
        let client = once(tls.clone())
            .https_only(true)
            .connect_timeout(config.connect_timeout)
            .tcp_nodelay(true)
            .build()
            .map_err(|_| ConfigError::Client)?;
        Ok(Self {
            endpoint: Some(Endpoint {
                client,
                url,
                tls,
                connect_timeout: config.connect_timeout,
                reply_timeout: config.reply_timeout,
                authorization,
            }),
            card_kept: config.card_kept,
            ..Self::offline()
        })
    }

    /// For connectors that send nothing (training): every [`Self::send`] is [`Unreached::NoEndpoint`].
    #[must_use]
    pub fn offline() -> Self {
        Self {
            endpoint: None,
            card_kept: CardKept::UntilSent,
            keeping: Keeping::default(),
            stopping: watch::Sender::new(false),
            right: None,
        }
    }

    /// Nothing goes out from now on unless `right` says so: it is asked before a connection is made, and again when the request is about
    /// to be written to it. A process that stood still in between may have been taken for dead, and what it was at been taken over.
    pub fn only_while(&mut self, right: impl Fn() -> bool + Send + Sync + 'static) {
        self.right = Some(Arc::new(right));
    }

    /// Whether a request with a card may be kept until its answer.
    pub(crate) fn keeps_cards(&self) -> bool {
        self.card_kept == CardKept::UntilAnswer
    }

    /// Nothing goes out again from now on, and what is kept for that is wiped. What has gone out is waited for.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Until [`Self::stop`].
    pub(crate) async fn stopping(&self) {
        // The other end is `self`.
        drop(self.stopping.subscribe().wait_for(|stop| *stop).await);
    }

    pub(crate) fn endpoint(&self) -> Result<&Endpoint, Unreached> {
        self.endpoint.as_ref().ok_or(Unreached::NoEndpoint)
    }

    /// Sends `request` once. Its body is wiped as soon as it has been written out, whatever comes then; `told` learns of it, once, on
    /// the thread that wiped it, unless no connection was even tried ([`Unreached::NoEndpoint`], [`Unreached::Request`]).
    ///
    /// To drop this future early means not to know what became of the request.
    ///
    /// # Errors
    /// [`SendError::NotSent`]: nothing was charged. [`SendError::NoReply`]: it may have been.
    pub async fn send(
        &self,
        request: Request,
        told: impl FnOnce(Wiped) + Send + 'static,
    ) -> Result<Reply, SendError> {
        let (prepared, body) = self.prepare(request)?;
        self.exchange(&prepared, body, Arc::default(), told).await
    }

    /// Looks at the head of a request.
    pub(crate) fn prepare(&self, request: Request) -> Result<(Prepared, Buffer), SendError> {
        self.reachable()?;
        let Request {
            method,
            path,
            headers,
            credentials,
            content_type,
            body,
        } = request;
        let invalid = SendError::NotSent {
            cause: Unreached::Request,
        };
        let mut head = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid)?;
            head.insert(name, HeaderValue::from_str(&value).map_err(|_| invalid)?);
        }
        for (name, value) in credentials {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid)?;
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| invalid)?;
            value.set_sensitive(true);
            head.insert(name, value);
        }
        head.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Ok((Prepared { method, path, head }, body))
    }

    /// As [`Self::send`]. `taken`: when the client first took the body to write it.
    pub(crate) async fn exchange<B>(
        &self,
        prepared: &Prepared,
        body: B,
        taken: Arc<OnceLock<Instant>>,
        told: impl FnOnce(Wiped) + Send + 'static,
    ) -> Result<Reply, SendError>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        let head = prepared.head.clone();
        self.reachable()?
            .exchange(
                prepared.method,
                &prepared.path,
                head,
                (body, taken, self.right.clone()),
                told,
            )
            .await
    }

    fn reachable(&self) -> Result<&Endpoint, SendError> {
        if self.right.as_ref().is_some_and(|right| !right()) {
            return Err(SendError::NotSent {
                cause: Unreached::NoRight,
            });
        }
        self.endpoint()
            .map_err(|cause| SendError::NotSent { cause })
    }
}

impl Endpoint {
    pub(crate) async fn exchange<B>(
        &self,
        method: Method,
        path: &str,
        mut head: HeaderMap,
        (body, taken, right): (B, Arc<OnceLock<Instant>>, Option<Right>),
        told: impl FnOnce(Wiped) + Send + 'static,
    ) -> Result<Reply, SendError>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        let begun = Instant::now();
        let mut url = self.url.clone();
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        url.set_query(query);
        if !path.is_empty() {
            url.set_path(&format!(
                "{}/{}",
                self.url.path().trim_end_matches('/'),
                path.trim_start_matches('/')
            ));
        }
        if let Some(authorization) = &self.authorization {
            head.insert(AUTHORIZATION, authorization.clone());
        }
        let method = match method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
        };
        #[cfg(feature = "plant")]
        ivrpay_secret::plant::body(body.as_ref());
        #[cfg(feature = "plant")]
        ivrpay_secret::plant::point("before a request");
        let (written, was_written) = oneshot::channel();
        let lent = Lent {
            body: Some(body),
            taken: Arc::clone(&taken),
            dropped: Some((written, told)),
        };
        // `Body::from(Bytes)` would be kept by reqwest until the answer has come; a wrapped body is dropped when it is written.
        let body = Body::wrap(Once {
            bytes: Some(Bytes::from_owner(lent)),
            taken,
            right,
        });
        let request = self.client.request(method, url).headers(head).body(body);

        let answered = AtomicBool::new(false);
        let exchange = async {
            let mut response = request.send().await?;
            answered.store(true, Ordering::Relaxed);
            #[cfg(feature = "plant")]
            ivrpay_secret::plant::point("in the middle of an answer");
            let status = response.status().as_u16();
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                if body.len() + chunk.len() > Reply::BODY_MAX {
                    return Ok(Reply::too_long(status));
                }
                body.extend_from_slice(&chunk);
            }
            #[cfg(feature = "plant")]
            ivrpay_secret::plant::point("behind an answer");
            Ok::<_, reqwest::Error>(Reply::new(status, body))
        };
        // The wait for the answer begins when the request is out; until then the connect time-out rules, and a peer that does
        // not take the request from us runs into both together.
        let no_answer = async {
            tokio::select! {
                _ = was_written => {}
                () = tokio::time::sleep(self.connect_timeout) => {}
            }
            tokio::time::sleep(self.reply_timeout).await;
        };
        tokio::select! {
            biased;
            result = exchange => result.map_err(|error| {
                // Only the making of the connection is "not sent": name, TCP, TLS, and their time-out. In TLS 1.3 a server looks at our
                // certificate when for us the handshake is over, and reads no request before (RFC 8446, 4.4.4); one that has answered did.
                match cause(&error) {
                    cause if error.is_connect() => SendError::NotSent { cause },
                    cause @ Unreached::ClientCertificate if !answered.load(Ordering::Relaxed) => {
                        SendError::NotSent { cause }
                    }
                    _ => SendError::NoReply { waited: begun.elapsed() },
                }
            }),
            () = no_answer => Err(SendError::NoReply { waited: begun.elapsed() }),
        }
    }
}

/// A client that sends each request once, to where it was told, and keeps nothing of it.
pub(crate) fn once(tls: ClientConfig) -> ClientBuilder {
    #[cfg(feature = "plant")]
    if ivrpay_secret::plant::is("http2") {
        let mut tls = tls;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        return Client::builder()
            .tls_backend_preconfigured(tls)
            .http2_prior_knowledge()
            .no_proxy();
    }
    Client::builder()
        .tls_backend_preconfigured(tls)
        // HTTP/2 copies a body under 1 KiB into a buffer that lives as long as the connection.
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // Money: neither reqwest's retries after "refused stream" nor hyper's after a stale idle connection.
        .retry(reqwest::retry::never())
        .pool_max_idle_per_host(0)
        .user_agent(concat!("ivrpay/", env!("CARGO_PKG_VERSION")))
}

fn cause(error: &reqwest::Error) -> Unreached {
    if error.is_dns() {
        Unreached::UnknownHost
    } else if error.is_timeout() {
        Unreached::TimedOut
    } else {
        Unreached::from_chain(error)
    }
}

/// A body in one piece that notes when the client takes it to write it.
struct Once {
    bytes: Option<Bytes>,
    taken: Arc<OnceLock<Instant>>,
    right: Option<Right>,
}

impl http_body::Body for Once {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let bytes = self.bytes.take();
        // Behind the handshake. Without its body a request is none.
        if bytes.is_some() && self.right.as_ref().is_some_and(|right| !right()) {
            return Poll::Ready(Some(Err(io::ErrorKind::PermissionDenied.into())));
        }
        self.taken.get_or_init(Instant::now);
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.as_ref().is_none_or(Bytes::is_empty)
    }

    /// The exact length, so that the request has a `content-length`.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, Bytes::len) as u64)
    }
}

/// A body that tells when it is dropped, after it has been dropped.
struct Lent<B, F: FnOnce(Wiped)> {
    body: Option<B>,
    taken: Arc<OnceLock<Instant>>,
    dropped: Option<(oneshot::Sender<()>, F)>,
}

impl<B: AsRef<[u8]>, F: FnOnce(Wiped)> AsRef<[u8]> for Lent<B, F> {
    fn as_ref(&self) -> &[u8] {
        self.body.as_ref().map(AsRef::as_ref).unwrap_or_default()
    }
}

impl<B, F: FnOnce(Wiped)> Drop for Lent<B, F> {
    fn drop(&mut self) {
        drop(self.body.take());
        let at = SystemTime::now();
        let held = self.taken.get().map(Instant::elapsed);
        #[cfg(feature = "plant")]
        ivrpay_secret::plant::point("behind a request");
        if let Some((written, told)) = self.dropped.take() {
            // Nobody waits any more: the exchange has ended before.
            written.send(()).unwrap_or_default();
            told(Wiped { at, held });
        }
    }
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, ConfigError> {
    use base64::Engine;
    let pair = secrecy::SecretString::from(format!("{user}:{password}"));
    let text = secrecy::SecretString::from(format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair.expose_secret())
    ));
    let mut value =
        HeaderValue::from_str(text.expose_secret()).map_err(|_| ConfigError::Credentials)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(change: impl FnOnce(&mut EndpointConfig)) -> ConfigError {
        let mut config = EndpointConfig::new("https://127.0.0.1:9443/pay");
        change(&mut config);
        match Sender::new(&config) {
            Ok(_) => panic!("must be refused"),
            Err(error) => error,
        }
    }

    #[test]
    fn settings_that_cannot_be_right_are_refused() {
        for url in [
            "",
            "http://127.0.0.1/pay",
            "https://",
            "https://user:pw@127.0.0.1/",
            "https://127.0.0.1/?key=1",
            "https://127.0.0.1/#x",
            "127.0.0.1:9443",
            "file:///etc/passwd",
        ] {
            assert!(
                matches!(refused(|c| c.url = url.into()), ConfigError::Url),
                "{url}"
            );
        }
        assert!(matches!(
            refused(|c| c.user = "u".into()),
            ConfigError::Credentials
        ));
        assert!(matches!(
            refused(|c| c.password = Some("p".into())),
            ConfigError::Credentials
        ));
        assert!(matches!(
            refused(|c| c.reply_timeout = Duration::ZERO),
            ConfigError::Timeout {
                name: "reply_timeout"
            }
        ));
        assert!(matches!(
            refused(|c| c.ca_file = Some("/nonexistent".into())),
            ConfigError::CaFile { .. }
        ));
        assert!(matches!(
            refused(|c| c.ca_file = Some("/dev/null".into())),
            ConfigError::CaFileEmpty { .. }
        ));
    }
}
