//! TLS of the HTTP API: a certificate that may be renewed while the service runs, and a client's where that is asked for. A new pair that is
//! no good changes nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those that it hangs on, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
    /// Who signs the certificates of clients; without it none is asked for.
    pub client_ca: Option<PathBuf>,
}

/// Why a pair is no good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read, or holds nothing of its kind.
    #[error("{}: {what}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
    },
    /// They do not belong together, or the key is of a kind that nobody takes.
    #[error("the key is not that of the certificate")]
    Pair,
    /// Its time is over, or has not come.
    #[error("the certificate is good from {from} to {to} (seconds since 1970), and not now")]
    Time {
        /// From when on, seconds since 1970.
        from: i64,
        /// Until when.
        to: i64,
    },
}

/// A pair at work.
pub struct Tls {
    files: TlsFiles,
    now: RwLock<Now>,
}

#[derive(Clone)]
struct Now {
    config: Arc<ServerConfig>,
    /// What was read, to know something new by.
    read: Vec<Vec<u8>>,
    /// From when on it is good, and until when, seconds since 1970.
    time: (i64, i64),
}

impl Now {
    const fn is_good(&self, now_ms: i64) -> Result<(), TlsError> {
        let (from, to) = self.time;
        if now_ms < from.saturating_mul(1_000) || now_ms > to.saturating_mul(1_000) {
            return Err(TlsError::Time { from, to });
        }
        Ok(())
    }
}

impl Tls {
    /// Reads the pair. One whose time is over is taken: what else the service does goes on, and clients say themselves what they think of it.
    ///
    /// # Errors
    /// [`TlsError`], but for its time.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let now = read(&files)?;
        Ok(Self {
            files,
            now: RwLock::new(now),
        })
    }

    /// Reads it anew; says whether it is another one. Connections that are open go on with the old one.
    ///
    /// # Errors
    /// [`TlsError`]: then the old one stays.
    pub fn reload(&self, now_ms: i64) -> Result<bool, TlsError> {
        let new = read(&self.files)?;
        new.is_good(now_ms)?;
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = now.read != new.read;
        if is_new {
            *now = new;
        }
        Ok(is_new)
    }

    /// Whether its time has come, and is not over.
    ///
    /// # Errors
    /// [`TlsError::Time`].
    pub fn is_good(&self, now_ms: i64) -> Result<(), TlsError> {
        self.now().is_good(now_ms)
    }

    /// Until when the certificate is good, UTC milliseconds.
    #[must_use]
    pub fn ends_ms(&self) -> i64 {
        self.now().time.1.saturating_mul(1_000)
    }

    /// Folders that it is read from, wherever links lead: a new one may lie beside the old one.
    #[must_use]
    pub fn folders(files: &TlsFiles) -> Vec<PathBuf> {
        let all = [
            Some(&files.certificate),
            Some(&files.key),
            files.client_ca.as_ref(),
        ];
        let mut folders: Vec<PathBuf> = all
            .into_iter()
            .flatten()
            .flat_map(|file| [Some(file.clone()), std::fs::canonicalize(file).ok()])
            .flatten()
            .filter_map(|file| file.parent().map(Path::to_owned))
            .collect();
        folders.sort();
        folders.dedup();
        folders
    }

    fn now(&self) -> Now {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        now.clone()
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.now().config);
        acceptor.accept(stream).await
    }
}

fn read(files: &TlsFiles) -> Result<Now, TlsError> {
    let bad = |path: &Path, what| TlsError::File {
        path: path.to_owned(),
        what,
    };
    let bytes = |path: &Path| std::fs::read(path).map_err(|_| bad(path, "it can't be read"));
    let chain = |path: &Path, pem: &[u8]| -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let what = "it holds no certificate in PEM";
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let all = all.map_err(|_| bad(path, what))?;
        if all.is_empty() {
            return Err(bad(path, what));
        }
        Ok(all)
    };
    let mut read = vec![bytes(&files.certificate)?, bytes(&files.key)?];
    let [certificate, key] = read.as_slice() else {
        return Err(TlsError::Pair);
    };
    let own = chain(&files.certificate, certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| bad(&files.key, "it holds no private key in PEM"))?;
    let time = own
        .first()
        .and_then(|own| {
            let (_, own) = X509Certificate::from_der(own).ok()?;
            let time = own.validity();
            Some((time.not_before.timestamp(), time.not_after.timestamp()))
        })
        .ok_or_else(|| bad(&files.certificate, "its first certificate can't be read"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|_| TlsError::Pair)?;
    let config = match &files.client_ca {
        None => config.with_no_client_auth(),
        Some(path) => {
            let pem = bytes(path)?;
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(chain(path, &pem)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|_| bad(path, "it holds no authority"))?;
            read.push(pem);
            config.with_client_cert_verifier(verifier)
        }
    };
    let mut config = config
        .with_single_cert(own, key)
        .map_err(|_| TlsError::Pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Now {
        config: Arc::new(config),
        read,
        time,
    })
}
