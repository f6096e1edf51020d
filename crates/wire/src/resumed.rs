//! The second charge to a host: a new connection, whose handshake is an abbreviated one, and no early data.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ivrpay_acquirer::{EndpointConfig, Method, Request};
use ivrpay_secret::Buffer;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::HandshakeKind;
use rustls_pki_types::PrivatePkcs8KeyDer;
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::Sender;

/// Of each connection: how the handshake went, and whether there was early data.
type Seen = Arc<Mutex<Vec<(HandshakeKind, bool)>>>;

/// A server that would take early data, and answers one request a connection.
async fn server() -> (EndpointConfig, NamedTempFile, Seen) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &Issuer::new(ca, ca_key))
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    config.max_early_data_size = 16_384;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let seen = Seen::default();
    let tell = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let tls = stream.get_mut().1;
            let kind = tls.handshake_kind().unwrap();
            let early = tls.early_data().is_some();
            tell.lock().unwrap().push((kind, early));
            let mut read = [0; 2_048];
            while stream.read(&mut read).await.is_ok_and(|n| n == read.len()) {}
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
            stream.write_all(answer).await.unwrap_or_default();
            stream.shutdown().await.unwrap_or_default();
        }
    });
    let config = EndpointConfig {
        ca_file: Some(file.path().into()),
        ..EndpointConfig::new(url)
    };
    (config, file, seen)
}

fn charge() -> Request {
    let mut body = Buffer::take(64).unwrap();
    body.push(br#"{"method":"charge"}"#).unwrap();
    Request {
        method: Method::Post,
        path: String::new(),
        headers: Vec::new(),
        credentials: Vec::new(),
        content_type: "application/json",
        body,
    }
}

#[tokio::test]
async fn the_second_charge_makes_no_full_handshake_and_sends_nothing_early() {
    let (config, _ca, seen) = server().await;
    let sender = Sender::new(&config).unwrap();
    for _ in 0..3 {
        assert_eq!(sender.send(charge(), |_| {}).await.unwrap().status(), 200);
    }
    // Three connections, none of them used twice.
    assert_eq!(
        *seen.lock().unwrap(),
        [
            (HandshakeKind::Full, false),
            (HandshakeKind::Resumed, false),
            (HandshakeKind::Resumed, false)
        ]
    );
}

/// What `make bench` prints of it.
#[tokio::test]
#[ignore = "a measurement: scripts/bench runs it"]
async fn resumption_is_measured() {
    const EACH: u32 = 200;
    let (config, _ca, seen) = server().await;
    let timed = async |sender: &Sender| {
        let began = Instant::now();
        assert_eq!(sender.send(charge(), |_| {}).await.unwrap().status(), 200);
        began.elapsed()
    };
    let (mut full, mut resumed) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..EACH {
        let sender = Sender::new(&config).unwrap();
        full += timed(&sender).await;
        resumed += timed(&sender).await;
    }
    let seen = seen.lock().unwrap();
    let of = |kind| seen.iter().filter(|one| one.0 == kind).count();
    let ratio = resumed.as_secs_f64() / full.as_secs_f64();
    println!(
        "tls: {} of {EACH} second charges to a host resumed its session, {} with early data; {:?} a charge with the whole handshake, {:?} without: {ratio:.2} times the time; aim: \
         all resumed, none with early data: {}",
        of(HandshakeKind::Resumed),
        seen.iter().filter(|one| one.1).count(),
        full / EACH,
        resumed / EACH,
        if of(HandshakeKind::Resumed) == EACH as usize {
            "ok"
        } else {
            "missed"
        }
    );
}
