//! A sender against a real TLS server in this process: what each fault means for the money, and how many requests it saw.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use ivrpay_acquirer::generic::Generic;
use ivrpay_acquirer::null::Null;
use ivrpay_acquirer::{
    About, Asked, BuildError, Connector, EndpointConfig, Identity, Method, Progress, Reply,
    Request, Step,
};
use ivrpay_card::{Card, Expiry, Month, Pan, Rules, SecurityCode};
use ivrpay_payment::{
    AcquirerOrder, Brand, Currency, Doubt, Durable, IdempotencyKey, Intent, Money, OperationId,
    OperationKind, Outcome, PaymentId, Plan, Reason, Truncated, Why,
};
use ivrpay_secret::Buffer;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::PrivatePkcs8KeyDer;
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    Certificate, Checkpoint, ConfigError, Kept, NotWritten, Ran, SendError, Sender, Trouble,
    Unreached, Wiped, run_from,
};

const BODY: &[u8] = br#"{"method":"charge"}"#;

/// What the server does with a request that it has read whole.
#[derive(Clone)]
enum Answer {
    /// Writes this, then closes properly.
    Bytes(Vec<u8>),
    /// Writes this, then closes TCP without TLS's farewell.
    Cut(Vec<u8>),
    /// Writes this, then one space every 20 ms.
    Drip(Vec<u8>),
    /// Writes nothing until told to, then an approval.
    When(Arc<Notify>),
    /// Takes the connection's first bytes and resets it.
    ResetUnread,
    /// Closes before the handshake.
    NoTls,
    /// Reads the request, writes this, and resets the connection.
    ThenReset(Vec<u8>),
    /// To each connection another one; the last to all that come behind it.
    InTurn(Vec<Answer>),
    /// To each connection what comes of its number.
    By(fn(usize) -> Answer),
}

impl Answer {
    /// To the connection of this number.
    fn of(&self, connection: usize) -> Self {
        match self {
            Self::InTurn(all) => all.get(connection).or(all.last()).unwrap().clone(),
            Self::By(of) => of(connection),
            one => one.clone(),
        }
    }
}

struct Server {
    address: SocketAddr,
    ca: NamedTempFile,
    /// A certificate of its authority for a client, and the key.
    merchant: (NamedTempFile, NamedTempFile),
    old_merchant: (NamedTempFile, NamedTempFile),
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    heads: tokio::sync::mpsc::UnboundedReceiver<String>,
    /// Of each whole request: all of it but the connection.
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

#[derive(Clone, Copy)]
struct Cert {
    name: &'static str,
    years: (i32, i32),
    issued: bool,
    /// Whether the client has to show a certificate of the same authority.
    mutual: bool,
}

const GOOD: Cert = Cert {
    name: "127.0.0.1",
    years: (2020, 2090),
    issued: true,
    mutual: false,
};

impl Server {
    async fn start(cert: Cert, answer: Answer) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca_params = CertificateParams::new(Vec::new()).unwrap();
        ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_cert = ca_params.self_signed(&ca_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![cert.name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(cert.years.0, 1, 1);
        params.not_after = date_time_ymd(cert.years.1, 1, 1);
        let issuer = Issuer::new(ca_params, ca_key);
        let leaf = if cert.issued {
            params.signed_by(&key, &issuer).unwrap()
        } else {
            params.self_signed(&key).unwrap()
        };
        let (merchant, old_merchant) = (merchant(&issuer, 2090), merchant(&issuer, 2021));
        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca_cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let verifier = if cert.mutual {
            verifier.build().unwrap()
        } else {
            WebPkiClientVerifier::no_client_auth()
        };
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        let ca = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), ca_cert.pem()).unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (tell, heads) = tokio::sync::mpsc::unbounded_channel();
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&bodies);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (seen, counted) = (connections.clone(), requests.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answer.of(seen.fetch_add(1, Ordering::SeqCst));
                if matches!(answer, Answer::NoTls) {
                    continue;
                }
                let (acceptor, counted, tell, keep) = (
                    acceptor.clone(),
                    counted.clone(),
                    tell.clone(),
                    keep.clone(),
                );
                tokio::spawn(async move {
                    let mut stream = match acceptor.accept(stream).into_fallible().await {
                        Ok(stream) => stream,
                        Err((_, mut stream)) => {
                            // What was sent is taken, so that the alert is not lost by a reset.
                            let mut rest = [0; 1024];
                            while stream.read(&mut rest).await.is_ok_and(|n| n > 0) {}
                            return;
                        }
                    };
                    if matches!(answer, Answer::ResetUnread) {
                        counted.fetch_add(1, Ordering::SeqCst);
                        stream.get_ref().0.set_zero_linger().unwrap();
                        return;
                    }
                    // More than one request on a connection would be counted too.
                    while let Some((head, body)) = request(&mut stream).await {
                        counted.fetch_add(1, Ordering::SeqCst);
                        keep.lock().unwrap().push([head.as_bytes(), &body].concat());
                        tell.send(head).unwrap();
                        if !respond(&mut stream, &answer).await {
                            return;
                        }
                    }
                });
            }
        });
        Self {
            address,
            ca,
            merchant,
            old_merchant,
            connections,
            requests,
            heads,
            bodies,
        }
    }

    fn config(&self) -> EndpointConfig {
        EndpointConfig {
            ca_file: Some(self.ca.path().into()),
            user: "shop".into(),
            password: Some("secret".into()),
            connect_timeout: Duration::from_secs(5),
            reply_timeout: Duration::from_millis(400),
            ..EndpointConfig::new(format!("https://{}/pay", self.address))
        }
    }

    #[track_caller]
    fn saw(&self, connections: usize, requests: usize) {
        assert_eq!(
            self.connections.load(Ordering::SeqCst),
            connections,
            "connections"
        );
        assert_eq!(self.requests.load(Ordering::SeqCst), requests, "requests");
    }
}

/// Reads a whole request; `None` at the end of the connection.
async fn request(stream: &mut TlsStream<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    let end = loop {
        let byte = stream.read_u8().await.ok()?;
        read.push(byte);
        if read.ends_with(b"\r\n\r\n") {
            break read.len();
        }
    };
    let head = String::from_utf8(read.split_off(0)).unwrap();
    assert_eq!(head.len(), end);
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: "))?
        .parse()
        .unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    assert!(
        body.starts_with(br#"{"method":"charge""#),
        "the body arrives from its first byte on"
    );
    Some((head, body))
}

/// Whether the connection may go on.
async fn respond(stream: &mut TlsStream<TcpStream>, answer: &Answer) -> bool {
    match answer {
        Answer::Bytes(bytes) => {
            // The client may have had enough before all is written.
            if stream.write_all(bytes).await.is_ok() && stream.flush().await.is_ok() {
                return true;
            }
        }
        Answer::Cut(bytes) => {
            stream.write_all(bytes).await.unwrap();
            stream.flush().await.unwrap();
            stream.get_mut().0.shutdown().await.unwrap();
        }
        Answer::Drip(bytes) => {
            stream.write_all(bytes).await.unwrap();
            while stream.write_all(b" ").await.is_ok() && stream.flush().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Answer::When(told) => {
            told.notified().await;
            stream
                .write_all(&ok(br#"{"charge_id":"ch_1"}"#))
                .await
                .unwrap();
            return true;
        }
        Answer::ThenReset(bytes) => {
            stream.write_all(bytes).await.unwrap();
            stream.flush().await.unwrap();
            stream.get_ref().0.set_zero_linger().unwrap();
        }
        Answer::ResetUnread | Answer::NoTls | Answer::InTurn(_) | Answer::By(_) => {}
    }
    false
}

fn ok(body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A certificate and its key, as an acquirer gives them to a merchant.
fn merchant(issuer: &Issuer<'_, KeyPair>, until: i32) -> (NamedTempFile, NamedTempFile) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["merchant".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let certificate = params.signed_by(&key, issuer).unwrap();
    let files = (NamedTempFile::new().unwrap(), NamedTempFile::new().unwrap());
    std::fs::write(files.0.path(), certificate.pem()).unwrap();
    std::fs::write(files.1.path(), key.serialize_pem()).unwrap();
    files
}

fn charge() -> Request {
    let mut body = Buffer::take(64).unwrap();
    body.push(BODY).unwrap();
    Request {
        method: Method::Post,
        path: String::new(),
        headers: vec![("accept", "application/json".into())],
        credentials: Vec::new(),
        content_type: "application/json",
        body,
    }
}

/// Sends once to a good server that answers so.
async fn ask(answer: Answer) -> (Server, Result<Reply, SendError>) {
    let server = Server::start(GOOD, answer).await;
    let result = Sender::new(&server.config())
        .unwrap()
        .send(charge(), |_| {})
        .await;
    (server, result)
}

#[track_caller]
fn no_reply(result: Result<Reply, SendError>) -> Duration {
    match result {
        Err(SendError::NoReply { waited }) => waited,
        Err(other) => panic!("{other}"),
        Ok(reply) => panic!("a reply with status {}", reply.status()),
    }
}

#[tokio::test]
async fn a_reply_arrives_whole_and_the_request_is_plain_http_1() {
    let (mut server, result) = ask(Answer::Bytes(ok(br#"{"charge_id":"ch_1"}"#))).await;
    let reply = result.map_err(|e| e.to_string()).ok().unwrap();
    assert_eq!(
        (reply.status(), reply.body()),
        (200, Some(&br#"{"charge_id":"ch_1"}"#[..]))
    );
    server.saw(1, 1);
    let head = server.heads.recv().await.unwrap();
    assert!(head.starts_with("POST /pay HTTP/1.1\r\n"), "{head}");
    for line in [
        "content-type: application/json",
        "authorization: Basic c2hvcDpzZWNyZXQ=",
        "content-length: 19",
    ] {
        assert!(head.lines().any(|l| l == line), "{line} in {head}");
    }
    assert!(
        !head.contains("transfer-encoding") && !head.contains("referer"),
        "{head}"
    );
}

#[tokio::test]
async fn two_payments_are_two_connections() {
    let server = Server::start(GOOD, Answer::Bytes(ok(b"{}"))).await;
    let sender = Sender::new(&server.config()).unwrap();
    for _ in 0..3 {
        assert!(sender.send(charge(), |_| {}).await.is_ok());
    }
    server.saw(3, 3);
}

#[tokio::test]
async fn any_status_is_a_reply_and_a_redirect_is_not_followed() {
    for status in [302, 307, 308, 401, 404, 429, 500, 503] {
        let head = format!(
            "HTTP/1.1 {status} X\r\nlocation: /other\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n"
        );
        let (server, result) = ask(Answer::Bytes(head.into_bytes())).await;
        assert_eq!(result.map(|r| r.status()).ok(), Some(status));
        server.saw(1, 1);
    }
}

#[tokio::test]
async fn html_and_doubled_answers_are_replies() {
    let html = b"<html><body>502</body></html>";
    let (server, result) = ask(Answer::Bytes(ok(html))).await;
    assert_eq!(result.ok().unwrap().body(), Some(&html[..]));
    server.saw(1, 1);
    let twice = [ok(br#"{"charge_id":"a"}"#), ok(br#"{"charge_id":"b"}"#)].concat();
    let (server, result) = ask(Answer::Bytes(twice)).await;
    assert_eq!(
        result.ok().unwrap().body(),
        Some(&br#"{"charge_id":"a"}"#[..]),
        "the first counts"
    );
    server.saw(1, 1);
}

#[tokio::test]
async fn ten_megabytes_are_not_read() {
    let announced = ok(&vec![b'x'; 10_000_000]);
    let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..1000 {
        chunked.extend_from_slice(b"2710\r\n");
        chunked.extend_from_slice(&vec![b'x'; 10_000]);
        chunked.extend_from_slice(b"\r\n");
    }
    for bytes in [announced, chunked] {
        let begun = Instant::now();
        let (server, result) = ask(Answer::Bytes(bytes)).await;
        let reply = result.ok().unwrap();
        assert_eq!((reply.status(), reply.body()), (200, None));
        assert!(begun.elapsed() < Duration::from_secs(5));
        server.saw(1, 1);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_is_no_reply() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\ncontent-ty",
        b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"charge_id\":",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"cha",
        // The end of the body would be the end of the connection, and TLS says that it was not meant.
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"charge_id\":\"ch_1\"}",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ] {
        let (server, result) = ask(Answer::Cut(bytes.to_vec())).await;
        no_reply(result);
        server.saw(1, 1);
    }
    let (server, result) = ask(Answer::ResetUnread).await;
    no_reply(result);
    server.saw(1, 1);
}

#[tokio::test]
async fn silence_and_dripping_end_at_the_reply_time_out() {
    let silent = Answer::When(Arc::new(Notify::new()));
    let endless = Answer::Drip(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n".to_vec());
    for answer in [silent, endless] {
        let (server, result) = ask(answer).await;
        let waited = no_reply(result);
        assert!((400..2000).contains(&waited.as_millis()), "{waited:?}");
        server.saw(1, 1);
    }
}

#[track_caller]
fn not_sent(result: Result<Reply, SendError>, expected: Unreached) {
    match result {
        Err(SendError::NotSent { cause }) => {
            assert_eq!(cause, expected);
            assert!(!cause.hint().is_empty());
        }
        Err(other) => panic!("{other}, not {expected}"),
        Ok(reply) => panic!("a reply with status {}", reply.status()),
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_good_gets_no_request() {
    for (cert, problem) in [
        (
            Cert {
                years: (2020, 2021),
                ..GOOD
            },
            Certificate::Expired,
        ),
        (
            Cert {
                years: (2089, 2090),
                ..GOOD
            },
            Certificate::NotYetValid,
        ),
        (
            Cert {
                name: "127.0.0.2",
                ..GOOD
            },
            Certificate::OtherName,
        ),
        (
            Cert {
                issued: false,
                ..GOOD
            },
            Certificate::UnknownIssuer,
        ),
    ] {
        let server = Server::start(cert, Answer::Bytes(ok(b"{}"))).await;
        let sender = Sender::new(&server.config()).unwrap();
        not_sent(
            sender.send(charge(), |_| {}).await,
            Unreached::Certificate(problem),
        );
        assert_eq!(sender.probe().await, Err(Unreached::Certificate(problem)));
        server.saw(2, 0);
    }
    // The authority is not among the system's.
    let server = Server::start(GOOD, Answer::Bytes(ok(b"{}"))).await;
    let other = Server::start(GOOD, Answer::Bytes(ok(b"{}"))).await;
    let config = EndpointConfig {
        ca_file: Some(other.ca.path().into()),
        ..server.config()
    };
    let unknown = Unreached::Certificate(Certificate::UnknownIssuer);
    not_sent(
        Sender::new(&config).unwrap().send(charge(), |_| {}).await,
        unknown,
    );
    server.saw(1, 0);
}

#[tokio::test]
async fn an_acquirer_that_asks_for_a_certificate_gets_it() {
    let mutual = Cert {
        mutual: true,
        ..GOOD
    };
    let server = Server::start(mutual, Answer::Bytes(ok(b"{}"))).await;
    let known = |certificate: &NamedTempFile, key: &NamedTempFile| EndpointConfig {
        identity: Some(Identity {
            certificate_file: certificate.path().into(),
            key_file: key.path().into(),
        }),
        ..server.config()
    };
    let config = known(&server.merchant.0, &server.merchant.1);
    let sent = Sender::new(&config).unwrap().send(charge(), |_| {}).await;
    assert_eq!(sent.unwrap().status(), 200);

    let other = Server::start(mutual, Answer::Bytes(ok(b"{}"))).await;
    let strange = known(&other.merchant.0, &other.merchant.1);
    let expired = known(&server.old_merchant.0, &server.old_merchant.1);
    for config in [server.config(), strange, expired] {
        let refused = Sender::new(&config).unwrap().send(charge(), |_| {}).await;
        not_sent(refused, Unreached::ClientCertificate);
    }
    server.saw(4, 1);

    // Key and certificate that are no pair, and files that are none.
    let swapped = known(&server.merchant.0, &other.merchant.1);
    let none = known(&server.merchant.1, &server.merchant.0);
    for config in [swapped, none] {
        assert!(matches!(
            Sender::new(&config).err(),
            Some(ConfigError::Identity { .. })
        ));
    }
}

/// A key in a header, and a query behind the path: both arrive, and the endpoint's own path stays.
#[tokio::test]
async fn credentials_and_queries_arrive() {
    let mut server = Server::start(GOOD, Answer::Bytes(ok(b"{}"))).await;
    let request = Request {
        path: "/orders/7?sync=true".into(),
        credentials: vec![("api-key", "snd_1".into())],
        ..charge()
    };
    let sender = Sender::new(&server.config()).unwrap();
    assert!(sender.send(request, |_| {}).await.is_ok());
    let head = server.heads.recv().await.unwrap();
    assert!(
        head.starts_with("POST /pay/orders/7?sync=true HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\napi-key: snd_1\r\n"), "{head}");
}

#[tokio::test]
async fn what_was_never_reached_is_not_sent() {
    let server = Server::start(GOOD, Answer::Bytes(ok(b"{}"))).await;
    let to = |url: String| {
        Sender::new(&EndpointConfig {
            url,
            ..server.config()
        })
        .unwrap()
    };

    // RFC 6761, 6.4: never a name.
    let nowhere = to("https://acquirer.invalid/".into());
    not_sent(nowhere.send(charge(), |_| {}).await, Unreached::UnknownHost);
    assert_eq!(nowhere.probe().await, Err(Unreached::UnknownHost));

    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = free.local_addr().unwrap();
    drop(free);
    let refused = to(format!("https://{closed}/"));
    let (learn, wiped) = oneshot::channel();
    let told = move |wiped| learn.send(wiped).unwrap_or_default();
    not_sent(refused.send(charge(), told).await, Unreached::Refused);
    let wiped: Wiped = wiped.await.unwrap();
    assert!(wiped.held.is_none(), "wiped, and nobody had taken it");
    assert_eq!(refused.probe().await, Err(Unreached::Refused));

    // A peer that closes, or speaks no TLS.
    for (greeting, cause) in [
        (
            &b""[..],
            Unreached::Tls("the peer closed the connection during the handshake"),
        ),
        (
            b"220 mail.example ESMTP\r\n",
            Unreached::Tls("the peer does not speak TLS"),
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // The hello first, or the kernel would answer it with a reset.
                let mut hello = [0; 4096];
                assert!(stream.read(&mut hello).await.unwrap() > 0);
                stream.write_all(greeting).await.unwrap();
            }
        });
        let sender = to(format!("https://{address}/"));
        not_sent(sender.send(charge(), |_| {}).await, cause);
        assert_eq!(sender.probe().await, Err(cause));
    }

    // A peer that takes the connection and never speaks.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = EndpointConfig {
        url: format!("https://{}/", mute.local_addr().unwrap()),
        connect_timeout: Duration::from_millis(200),
        ..server.config()
    };
    let sender = Sender::new(&config).unwrap();
    not_sent(sender.send(charge(), |_| {}).await, Unreached::TimedOut);
    assert_eq!(sender.probe().await, Err(Unreached::TimedOut));

    not_sent(
        Sender::offline().send(charge(), |_| {}).await,
        Unreached::NoEndpoint,
    );
    server.saw(0, 0);
}

/// A process that has stood still, before the connection or in its handshake, sends no request any more.
#[tokio::test]
async fn without_the_right_no_request_goes_out() {
    // Before a connection is made, twice, and behind its handshake.
    for (granted, connections) in [(0, 0), (1, 0), (2, 1)] {
        let server = Server::start(GOOD, Answer::Bytes(ok(b"{}"))).await;
        let mut sender = Sender::new(&server.config()).unwrap();
        let asked = AtomicUsize::new(0);
        sender.only_while(move || asked.fetch_add(1, Ordering::Relaxed) < granted);
        let result = sender.send(charge(), |_| ()).await;
        if connections == 0 {
            not_sent(result, Unreached::NoRight);
        } else {
            no_reply(result);
        }
        server.saw(connections, 0);
    }
}

#[tokio::test]
async fn a_probe_shakes_hands_and_asks_nothing() {
    let server = Server::start(GOOD, Answer::Bytes(ok(b"{}"))).await;
    let reached = Sender::new(&server.config())
        .unwrap()
        .probe()
        .await
        .unwrap();
    assert_eq!((reached.peer, reached.tls), (server.address, "TLS 1.3"));
    server.saw(1, 0);
}

/// A body that tells when it is dropped.
struct Told(Option<oneshot::Sender<Instant>>);

impl AsRef<[u8]> for Told {
    fn as_ref(&self) -> &[u8] {
        BODY
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell.send(Instant::now()).unwrap_or_default();
        }
    }
}

#[tokio::test]
async fn the_body_is_dropped_while_the_answer_is_awaited() {
    let answer = Arc::new(Notify::new());
    let mut server = Server::start(GOOD, Answer::When(answer.clone())).await;
    let config = EndpointConfig {
        reply_timeout: Duration::from_secs(20),
        ..server.config()
    };
    let sender = Arc::new(Sender::new(&config).unwrap());
    let (tell, dropped) = oneshot::channel();
    let (learn, wiped) = oneshot::channel();
    let begun = (Instant::now(), SystemTime::now());
    let exchange = tokio::spawn({
        let sender = sender.clone();
        async move {
            let head = http::HeaderMap::new();
            sender
                .endpoint()
                .unwrap()
                .exchange(
                    Method::Post,
                    "",
                    head,
                    (Told(Some(tell)), Arc::default(), None),
                    move |wiped| {
                        learn.send(wiped).unwrap_or_default();
                    },
                )
                .await
        }
    });
    // The server has the whole request and says nothing.
    server.heads.recv().await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), dropped)
        .await
        .expect("dropped before the answer")
        .unwrap();
    let wiped: Wiped = wiped.await.unwrap();
    let held = wiped.held.expect("it was written");
    assert!(held <= begun.0.elapsed());
    assert!((begun.1..=SystemTime::now()).contains(&wiped.at));
    assert!(!exchange.is_finished());
    answer.notify_one();
    assert_eq!(exchange.await.unwrap().map(|r| r.status()).ok(), Some(200));
    server.saw(1, 1);
}

fn digits(text: &str) -> ivrpay_card::Digits {
    let mut digits = ivrpay_card::Digits::take().unwrap();
    for byte in text.bytes() {
        digits.push(byte - b'0').unwrap();
    }
    digits
}

/// A published test card.
fn card() -> Card {
    let rules = Rules {
        brands: Brand::ALL.to_vec(),
        luhn: true,
    };
    Card {
        pan: Pan::parse(digits("4111111111111111"), &rules).unwrap(),
        expiry: Expiry::parse(
            digits("1230"),
            Month {
                year: 2026,
                month: 11,
            },
        )
        .unwrap(),
        code: Some(SecurityCode::parse(digits("987"), Brand::Visa).unwrap()),
    }
}

fn intent() -> Durable<Intent> {
    let id = "0193a1b2-0000-7000-8000-000000000001";
    Durable::attest(Intent {
        payment_id: id.parse::<PaymentId>().unwrap(),
        operation_id: id.parse::<OperationId>().unwrap(),
        kind: OperationKind::Charge,
        amount: Money::new(1500, Currency::Jpy).unwrap(),
        card: Truncated::new(Brand::Visa, [1, 1, 1, 1]).unwrap(),
        idempotency_key: id.parse::<IdempotencyKey>().unwrap(),
        acquirer_order: AcquirerOrder::new(1).unwrap(),
        order: None,
        operator: None,
        plan: Plan::LumpSum,
        token: None,
        parent: None,
    })
}

/// An operation from its start.
async fn run(connector: &dyn Connector, sender: &Sender) -> Ran {
    let op = intent();
    let (begin, mut kept) = (Progress::default(), Kept::default());
    run_from(
        connector,
        sender,
        &op,
        Some(card()),
        begin,
        &mut kept,
        |_| {},
    )
    .await
}

#[tokio::test]
async fn a_charge_ends_in_one_of_four_ways_after_one_request() {
    let connector: Box<dyn Connector> = Box::new(Generic::default());
    let approval = ok(br#"{"charge_id":"ch_1","error_code":null,"parameters":{"amount":"1500"}}"#);
    let refusal = ok(br#"{"charge_id":null,"error_code":"insufficient_funds"}"#);
    let unknown = |doubt| Outcome::Unknown(doubt);
    for (answer, expected) in [
        (Answer::Bytes(ok(b"<html>")), unknown(Doubt::Malformed)),
        (
            Answer::Bytes(ok(&vec![b' '; 10_000_000])),
            unknown(Doubt::Malformed),
        ),
        (
            Answer::Bytes(ok(br#"{"charge_id":"ch_1","parameters":{"amount":"15"}}"#)),
            unknown(Doubt::Mismatch),
        ),
        (
            Answer::Bytes(b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n".to_vec()),
            unknown(Doubt::Status { status: 500 }),
        ),
        (
            Answer::Cut(approval.get(..approval.len() - 5).unwrap().to_vec()),
            unknown(Doubt::NoReply),
        ),
        (
            Answer::When(Arc::new(Notify::new())),
            unknown(Doubt::NoReply),
        ),
    ] {
        let server = Server::start(GOOD, answer).await;
        let sender = Sender::new(&server.config()).unwrap();
        assert_eq!(run(connector.as_ref(), &sender).await.outcome, expected);
        server.saw(1, 1);
    }
    for (answer, approved) in [(approval, true), (refusal, false)] {
        let server = Server::start(GOOD, Answer::Bytes(answer)).await;
        let sender = Sender::new(&server.config()).unwrap();
        match run(connector.as_ref(), &sender).await.outcome {
            Outcome::Approved(a) => assert!(approved && a.acquirer_ref.as_str() == "ch_1"),
            Outcome::Declined(d) => assert!(!approved && d.reason == Reason::InsufficientFunds),
            other => panic!("{other:?}"),
        }
        server.saw(1, 1);
    }
    let server = Server::start(
        Cert {
            years: (2020, 2021),
            ..GOOD
        },
        Answer::Bytes(ok(b"{}")),
    )
    .await;
    let sender = Sender::new(&server.config()).unwrap();
    let ran = run(connector.as_ref(), &sender).await;
    assert_eq!(ran.outcome, Outcome::NotCharged(Why::NotSent));
    let trouble = ran.trouble.expect("said for the log");
    assert!(trouble.to_string().contains("certificate"), "{trouble}");
    server.saw(1, 0);
}

/// The card comes back for another acquirer where this one has not seen one byte of a request, and never else.
#[tokio::test]
async fn the_card_comes_back_where_nothing_went_out() {
    let generic: &dyn Connector = &Generic::default();
    let expired = Cert {
        years: (2020, 2021),
        ..GOOD
    };
    for (cert, answer, steps, back) in [
        (expired, Answer::Bytes(ok(b"{}")), generic, true),
        (expired, Answer::Bytes(ok(b"{}")), &TwoSteps, true),
        (GOOD, Answer::ResetUnread, generic, false),
        (GOOD, Answer::Cut(b"HTTP/1.1 2".to_vec()), generic, false),
        (GOOD, Answer::Bytes(ok(b"<html>")), generic, false),
        (GOOD, Answer::Bytes(ok(b"{}")), &SecondFails, false),
    ] {
        let server = Server::start(cert, answer).await;
        let sender = Sender::new(&server.config()).unwrap();
        let mut disk = Disk {
            written: Vec::new(),
            full: false,
        };
        let ran = run_from(
            steps,
            &sender,
            &intent(),
            Some(card()),
            Progress::default(),
            &mut disk,
            |_| {},
        )
        .await;
        assert_eq!(ran.unsent.is_some(), back, "{ran:?}");
        if back {
            assert_eq!(ran.outcome, Outcome::NotCharged(Why::NotSent));
        }
        assert_eq!(server.requests.load(Ordering::SeqCst) == 0, back);
    }
}

#[tokio::test]
async fn training_needs_no_endpoint() {
    let connector: Box<dyn Connector> = Box::new(Null);
    let ran = run(connector.as_ref(), &Sender::offline()).await;
    assert!(matches!(ran.outcome, Outcome::Approved(_)));
}

/// Two requests, the card needed in both, as GMO's entry and execution.
struct TwoSteps;

impl Connector for TwoSteps {
    fn about(&self) -> &'static About {
        unreachable!("not asked when an operation runs")
    }

    fn step(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        assert_eq!(last.is_some(), progress.stage > 0);
        match (progress.stage, asked.card) {
            (stage @ (0 | 1), Some(_)) => {
                let next = Progress {
                    stage: stage + 1,
                    reference: None,
                    needs_card: stage == 0,
                    harmless: false,
                    again: 0,
                };
                Ok(Step::Send(charge(), next))
            }
            (2, None) => Null.step(asked, progress, None),
            _ => panic!(
                "stage {} with a card: {}",
                progress.stage,
                asked.card.is_some()
            ),
        }
    }
}

/// Its first request is answered, its second never goes out.
struct SecondFails;

impl Connector for SecondFails {
    fn about(&self) -> &'static About {
        unreachable!("not asked when an operation runs")
    }

    fn step(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let mut step = TwoSteps.step(asked, progress, last)?;
        if let Step::Send(request, next) = &mut step {
            next.needs_card = true;
            if progress.stage == 1 {
                request.headers.push(("x", "\n".to_owned()));
            }
        }
        Ok(step)
    }
}

/// Writes, or does not.
struct Disk {
    written: Vec<u8>,
    full: bool,
}

impl Checkpoint for Disk {
    fn write<'a>(
        &'a mut self,
        _op: &'a Durable<Intent>,
        progress: &'a Progress,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), NotWritten>> + Send + 'a>> {
        self.written.push(progress.stage);
        Box::pin(std::future::ready(if self.full {
            Err(NotWritten)
        } else {
            Ok(())
        }))
    }
}

#[tokio::test]
async fn a_second_request_waits_for_its_record_and_the_card_goes_before_the_last() {
    for full in [false, true] {
        let wiped: &'static AtomicUsize = Box::leak(Box::default());
        let server = Server::start(GOOD, Answer::Bytes(ok(b"{}"))).await;
        let sender = Sender::new(&server.config()).unwrap();
        let mut disk = Disk {
            written: Vec::new(),
            full,
        };
        let ran = run_from(
            &TwoSteps,
            &sender,
            &intent(),
            Some(card()),
            Progress::default(),
            &mut disk,
            |told| {
                assert!(told.held.is_some());
                wiped.fetch_add(1, Ordering::SeqCst);
            },
        )
        .await;
        assert_eq!(disk.written, [2]);
        let bodies = if full { 1 } else { 2 };
        assert_eq!(wiped.load(Ordering::SeqCst), bodies, "each body is told of");
        if full {
            assert_eq!(ran.outcome, Outcome::Unknown(Doubt::NoReply));
            assert_eq!(ran.trouble, Some(Trouble::NotWritten(NotWritten)));
            server.saw(1, 1);
        } else {
            assert!(matches!(ran.outcome, Outcome::Approved(_)));
            assert_eq!(ran.trouble, None);
            server.saw(2, 2);
        }
    }
}

/// One request by which no money can move.
struct Harmless;

impl Connector for Harmless {
    fn about(&self) -> &'static About {
        unreachable!("not asked when an operation runs")
    }

    fn step(
        &self,
        _asked: &Asked<'_>,
        progress: &Progress,
        _last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let next = Progress {
            stage: progress.stage + 1,
            harmless: true,
            ..Progress::default()
        };
        Ok(Step::Send(charge(), next))
    }
}

/// A request that moves nothing may be lost. A question may, too, but then nothing is known of what it was about.
#[tokio::test]
async fn a_question_without_an_answer_is_no_verdict() {
    for (kind, expected) in [
        (OperationKind::Tokenise, Outcome::NotCharged(Why::NotSent)),
        (OperationKind::Query, Outcome::Unknown(Doubt::NoReply)),
    ] {
        let server = Server::start(GOOD, Answer::ResetUnread).await;
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = free.local_addr().unwrap();
        drop(free);
        let nowhere = EndpointConfig {
            url: format!("https://{closed}/"),
            ..server.config()
        };
        for config in [server.config(), nowhere] {
            let op = Durable::attest(Intent {
                kind,
                ..intent().get().clone()
            });
            let mut disk = Disk {
                written: Vec::new(),
                full: false,
            };
            let ran = run_from(
                &Harmless,
                &Sender::new(&config).unwrap(),
                &op,
                None,
                Progress::default(),
                &mut disk,
                |_| {},
            )
            .await;
            assert_eq!(ran.outcome, expected, "{kind:?}");
        }
    }
}

mod again;
mod once;
