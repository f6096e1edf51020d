//! The API by TLS: a certificate is renewed while the service runs, and a bad one changes nothing.

use ivrpay_web::{Tls, TlsError, TlsFiles};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};

use super::*;

/// Writes a new pair; says what a client has to trust.
fn pair(files: &TlsFiles) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()
}

type Stream = tokio_rustls::client::TlsStream<TcpStream>;

async fn connect(to: SocketAddr, trusted: &CertificateDer<'static>) -> std::io::Result<Stream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(to).await?;
    let name = ServerName::try_from("localhost").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
}

async fn is_alive(stream: &mut Stream) -> bool {
    let ask = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    if stream.write_all(ask).await.is_err() {
        return false;
    }
    // To the end of its answer: the next one is another.
    let mut read = Vec::new();
    loop {
        match stream.read_buf(&mut read).await {
            Ok(1..) => {}
            _ => return false,
        }
        let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.split_once("content-length: ").unwrap().1;
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        if body.len() == length {
            return head.starts_with("http/1.1 200");
        }
    }
}

#[tokio::test]
async fn a_certificate_is_renewed_and_a_bad_one_is_none() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles {
        certificate: folder.path().join("api.crt"),
        key: folder.path().join("api.key"),
        client_ca: None,
    };
    let first = pair(&files);
    let tls = Arc::new(Tls::open(files.clone()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let router = ivrpay_web::router(server.web.clone());
    let serving = tokio::spawn(ivrpay_web::serve_tls(
        listener,
        router,
        Some(Arc::clone(&tls)),
        stop.clone().cancelled_owned(),
    ));
    // One whose time is over is told of, and keeps nothing from starting.
    assert!(tls.is_good(NOW_MS).is_ok());
    assert!(matches!(tls.is_good(i64::MAX), Err(TlsError::Time { .. })));
    let mut old = connect(at, &first).await.unwrap();
    assert!(is_alive(&mut old).await);
    assert!(!tls.reload(NOW_MS).unwrap());
    // Half of a pair, then none at all: the old one stays.
    let key = std::fs::read(&files.key).unwrap();
    let second = pair(&files);
    let new_key = std::fs::read(&files.key).unwrap();
    std::fs::write(&files.key, key).unwrap();
    assert_eq!(tls.reload(NOW_MS), Err(TlsError::Pair));
    std::fs::write(&files.key, "nothing").unwrap();
    assert!(matches!(tls.reload(NOW_MS), Err(TlsError::File { .. })));
    connect(at, &first).await.unwrap();
    std::fs::write(&files.key, new_key).unwrap();
    assert!(matches!(tls.reload(i64::MAX), Err(TlsError::Time { .. })));
    assert!(tls.reload(NOW_MS).unwrap());
    assert!(connect(at, &first).await.is_err());
    assert!(is_alive(&mut connect(at, &second).await.unwrap()).await);
    // Who spoke before goes on.
    assert!(is_alive(&mut old).await);
    // In clear there is nothing.
    let clear = ask_clear(at).await;
    assert!(!clear.starts_with(b"HTTP"), "{clear:?}");
    drop(old);
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), serving)
        .await
        .unwrap()
        .unwrap();
}

async fn ask_clear(at: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes).await);
    bytes
}

#[tokio::test]
async fn a_client_without_a_certificate_stays_outside_where_one_is_asked_for() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles {
        certificate: folder.path().join("api.crt"),
        key: folder.path().join("api.key"),
        client_ca: Some(folder.path().join("api.crt")),
    };
    let trusted = pair(&files);
    let tls = Arc::new(Tls::open(files).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let router = ivrpay_web::router(server.web.clone());
    tokio::spawn(ivrpay_web::serve_tls(
        listener,
        router,
        Some(tls),
        std::future::pending(),
    ));
    // By TLS 1.3 the client hears of it when it first reads.
    let heard = async {
        let mut stream = connect(at, &trusted).await?;
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await?;
        let mut bytes = [0; 1];
        stream.read_exact(&mut bytes).await
    };
    assert!(heard.await.is_err());
}
