//! TLS settings: ring, TLS 1.2 and 1.3, and who is trusted.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use ivrpay_acquirer::Identity;

use crate::ConfigError;

/// A client configuration that trusts the authorities of `ca_file`, or of the system when there is none, and shows `identity` to a
/// server that asks. Early data stays off: a request in it could be replayed.
pub(crate) fn client(
    ca_file: Option<&Path>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, ConfigError> {
    let roots = match ca_file {
        Some(path) => from_file(path)?,
        None => from_system()?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("ring has cipher suites for both versions")
        .with_root_certificates(roots);
    let mut config = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = known_by(identity)?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|_| ConfigError::Identity {
                    path: identity.key_file.clone(),
                })?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn known_by(
    identity: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ConfigError> {
    let unreadable = |path: &Path| ConfigError::Identity { path: path.into() };
    let file = identity.certificate_file.as_path();
    let chain: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|_| unreadable(file))?;
    if chain.is_empty() {
        return Err(unreadable(file));
    }
    let file = identity.key_file.as_path();
    let key = PrivateKeyDer::from_pem_file(file).map_err(|_| unreadable(file))?;
    Ok((chain, key))
}

fn from_file(path: &Path) -> Result<RootCertStore, ConfigError> {
    let unreadable = |source| ConfigError::CaFile {
        path: path.into(),
        source,
    };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        Err(ConfigError::CaFileEmpty { path: path.into() })
    } else {
        Ok(roots)
    }
}

fn from_system() -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    // Single files that can't be read are not our business as long as there are authorities at all.
    let (added, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        Err(ConfigError::NoAuthorities)
    } else {
        Ok(roots)
    }
}
