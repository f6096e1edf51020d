//! Name, TCP and TLS, and nothing else: for `ivrpay check`.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{Sender, Unreached};

/// What answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Its address.
    pub peer: SocketAddr,
    /// "TLS 1.2" or "TLS 1.3".
    pub tls: &'static str,
}

impl Sender {
    /// Connects and shakes hands as a payment would, sends no request, and closes again.
    ///
    /// # Errors
    /// [`Unreached`], whose `hint()` says what to do.
    pub async fn probe(&self) -> Result<Reached, Unreached> {
        let endpoint = self.endpoint()?;
        let shake = async {
            let host = endpoint.url.host_str().ok_or(Unreached::UnknownHost)?;
            let host = host.trim_matches(['[', ']']);
            let port = endpoint.url.port_or_known_default().unwrap_or(443);
            let addresses = tokio::net::lookup_host((host, port))
                .await
                .map_err(|_| Unreached::UnknownHost)?;
            let mut stream = Err(Unreached::UnknownHost);
            for address in addresses {
                stream = TcpStream::connect(address)
                    .await
                    .map_err(|error| Unreached::from_chain(&error));
                if stream.is_ok() {
                    break;
                }
            }
            let stream = stream?;
            let peer = stream.peer_addr().map_err(|_| Unreached::Unreachable)?;
            let name = ServerName::try_from(host.to_owned()).map_err(|_| Unreached::UnknownHost)?;
            let connector = TlsConnector::from(Arc::new(endpoint.tls.clone()));
            let stream = connector
                .connect(name, stream)
                .await
                .map_err(|error| Unreached::from_chain(&error))?;
            let tls = match stream.get_ref().1.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
                _ => "TLS 1.2",
            };
            Ok(Reached { peer, tls })
        };
        tokio::time::timeout(endpoint.connect_timeout, shake)
            .await
            .unwrap_or(Err(Unreached::TimedOut))
    }
}
