use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a request brought no reply. The split is about money: after `NotSent` nothing was charged; after `NoReply` it may have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Not one byte of the request went out: name, connection or TLS failed before. Or it went to a server that says, by an alert of TLS,
    /// that it does not accept our certificate: then the handshake was never over for it (RFC 8446, 4.4.2.4), and it has read nothing.
    #[error("the acquirer was not reached, nothing was sent: {cause}")]
    NotSent {
        /// What failed.
        cause: Unreached,
    },
    /// The connection stood, and no whole answer came.
    #[error("the acquirer gave no whole answer within {waited:?}; it may have charged the card")]
    NoReply {
        /// Time from the call on.
        waited: Duration,
    },
}

impl SendError {
    /// What the operator can do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NotSent { cause } => cause.hint(),
            Self::NoReply { .. } => {
                "do not charge again; look the payment up at the acquirer: `ivrpay payment show ID` has the order"
            }
        }
    }
}

/// Why no connection came about. No text from outside, so that it may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreached {
    /// The server's certificate is not accepted.
    #[error("its certificate is not accepted: {0}")]
    Certificate(Certificate),
    /// The server does not accept the certificate by which it is to know the merchant.
    #[error("it does not accept this merchant's client certificate, or wants one")]
    ClientCertificate,
    /// This sender has no endpoint (training).
    #[error("no endpoint is configured")]
    NoEndpoint,
    /// This process may not send any more ([`crate::Sender::only_while`]).
    #[error("this service may not send any more")]
    NoRight,
    /// The connection was refused or broken while it was made.
    #[error("the connection was refused")]
    Refused,
    /// The request could not be put into HTTP (a header or a path that is none).
    #[error("the request is not valid HTTP")]
    Request,
    /// No connection within the connect time-out.
    #[error("no connection came about in time")]
    TimedOut,
    /// TLS failed otherwise.
    #[error("TLS failed: {0}")]
    Tls(&'static str),
    /// The host's name has no address.
    #[error("the host name is unknown")]
    UnknownHost,
    /// An address of ours, or of nobody else's network, that no setting allows.
    #[error("its address is not one of the internet, and not allowed")]
    Forbidden,
    /// No route, no permission, or another error of the network.
    #[error("the network cannot reach it")]
    Unreachable,
}

impl Unreached {
    /// What the operator can do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Certificate(problem) => problem.hint(),
            Self::ClientCertificate => {
                "renew client_certificate_file and client_key_file, or set them: openssl x509 -enddate -noout -in FILE; check this machine's clock too"
            }
            Self::NoEndpoint => "set the acquirer's url, or its kind to null",
            Self::NoRight => {
                "the service starts anew by itself; its log says why it may not write the journal any more"
            }
            Self::Refused => {
                "nothing listens there: check host and port of the acquirer's url, and the acquirer's status"
            }
            Self::Request => "this is a bug of ivrpay: please report it",
            Self::TimedOut => "check the firewall towards the acquirer, or raise connect_timeout",
            Self::Tls(_) => "check that the url's port speaks HTTPS with TLS 1.2 or 1.3",
            Self::UnknownHost => "check the host in the acquirer's url, and this machine's DNS",
            Self::Forbidden => {
                "if it stands in a network of yours, name that in networks, as networks = [\"192.168.10.0/24\"]"
            }
            Self::Unreachable => "check this machine's network and its firewall",
        }
    }

    /// Reads an error's chain of causes.
    pub(crate) fn from_chain(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut found = Self::Unreachable;
        let mut next = Some(error);
        while let Some(error) = next {
            if error.is::<crate::webhook::Forbidden>() {
                return Self::Forbidden;
            }
            if let Some(io) = error.downcast_ref::<io::Error>() {
                found = Self::from_io(io);
                // `io::Error::source` skips the error inside; TLS is there.
                if let Some(inner) = io.get_ref() {
                    if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
                        return Self::from_tls(tls);
                    }
                    let inner: &(dyn std::error::Error + 'static) = inner;
                    next = Some(inner);
                    continue;
                }
            }
            if let Some(tls) = error.downcast_ref::<rustls::Error>() {
                return Self::from_tls(tls);
            }
            next = error.source();
        }
        found
    }

    fn from_io(error: &io::Error) -> Self {
        if let Some(tls) = error
            .get_ref()
            .and_then(|e| e.downcast_ref::<rustls::Error>())
        {
            return Self::from_tls(tls);
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::TimedOut,
            // TCP stood, or the kernel would have said "refused": so it broke in the handshake.
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => {
                Self::Tls("the peer closed the connection during the handshake")
            }
            _ => Self::Unreachable,
        }
    }

    fn from_tls(error: &rustls::Error) -> Self {
        use rustls::{AlertDescription as A, CertificateError as C};
        match error {
            rustls::Error::InvalidCertificate(problem) => Self::Certificate(match problem {
                C::Expired | C::ExpiredContext { .. } => Certificate::Expired,
                C::NotValidYet | C::NotValidYetContext { .. } => Certificate::NotYetValid,
                C::NotValidForName | C::NotValidForNameContext { .. } => Certificate::OtherName,
                C::Revoked => Certificate::Revoked,
                // A bad signature: an authority of the same name with another key, as after a renewal of a private one.
                C::UnknownIssuer | C::BadSignature => Certificate::UnknownIssuer,
                _ => Certificate::Invalid,
            }),
            rustls::Error::AlertReceived(
                A::BadCertificate
                | A::CertificateExpired
                | A::CertificateRequired
                | A::CertificateRevoked
                | A::CertificateUnknown
                // Of the handshake alone, by RFC 8446, 6.2: here a certificate of an authority of the same name with another key.
                | A::DecryptError
                | A::UnknownCA
                | A::UnsupportedCertificate,
            ) => Self::ClientCertificate,
            rustls::Error::AlertReceived(alert) => Self::Tls(
                alert
                    .as_str()
                    .unwrap_or("the peer ended the handshake with an alert"),
            ),
            rustls::Error::InvalidMessage(_) => Self::Tls("the peer does not speak TLS"),
            rustls::Error::PeerIncompatible(_) => Self::Tls("no version or cipher in common"),
            _ => Self::Tls("the handshake did not succeed"),
        }
    }
}

/// What is wrong with a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Certificate {
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Broken, or not meant for a server.
    #[error("not valid for a server")]
    Invalid,
    /// Its time has not begun.
    #[error("not yet valid")]
    NotYetValid,
    /// Made out to other names.
    #[error("made out to another name")]
    OtherName,
    /// Revoked.
    #[error("revoked")]
    Revoked,
    /// Signed by nobody that we trust, or by itself.
    #[error("issued by an unknown authority, or by itself")]
    UnknownIssuer,
}

impl Certificate {
    /// What the operator can do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Expired | Self::Revoked => {
                "the acquirer has to renew its certificate; check this machine's clock too"
            }
            Self::Invalid => "the acquirer has to install a server certificate",
            Self::NotYetValid => "check this machine's clock",
            Self::OtherName => {
                "use the host name that the certificate is made out to in the acquirer's url"
            }
            Self::UnknownIssuer => {
                "set ca_file to the acquirer's authority if it has one of its own, else do not trust this server"
            }
        }
    }
}

/// Why an endpoint's settings can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file of authorities can't be read.
    #[error("the acquirer's ca_file {path} cannot be read")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The file holds no certificate that can be an authority.
    #[error("the acquirer's ca_file {path} holds no usable certificate")]
    CaFileEmpty {
        /// The file.
        path: PathBuf,
    },
    /// User without password, or the other way round.
    #[error("the acquirer's user and password belong together, and one is missing")]
    Credentials,
    /// The HTTP client could not be made.
    #[error("the HTTPS client could not be set up")]
    Client,
    /// An address that is none of the internet's.
    #[error("the address in the url is not one of the internet")]
    Forbidden,
    /// A secret for signatures that is none.
    #[error(
        "the secret is not of the form whsec_… with 24 to 64 bytes as Base64 (Standard Webhooks)"
    )]
    Secret,
    /// The certificate by which the acquirer knows the merchant, or its key.
    #[error("the client's certificate or key {path} cannot be used")]
    Identity {
        /// The file.
        path: PathBuf,
    },
    /// The system has no list of authorities.
    #[error("this system has no trusted authorities")]
    NoAuthorities,
    /// A wait out of range.
    #[error("the acquirer's {name} is from 100 ms to 120 s")]
    Timeout {
        /// Which.
        name: &'static str,
    },
    /// Not `https://host[:port]/path`.
    #[error(
        "the acquirer's url is not of the form https://host[:port]/path, without user, query or fragment"
    )]
    Url,
}

impl ConfigError {
    /// What the operator can do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::CaFile { .. } | Self::CaFileEmpty { .. } => {
                "ca_file is a PEM file (-----BEGIN CERTIFICATE-----) that the daemon's user can read"
            }
            Self::Credentials => "set both user and password_file, or neither",
            Self::Client => "this is a bug of ivrpay: please report it",
            Self::Forbidden => {
                "if it stands in a network of yours, name that in networks, as networks = [\"192.168.10.0/24\"]"
            }
            Self::Identity { .. } => {
                "both are PEM files that the daemon's user can read; the key is not encrypted and belongs to the certificate"
            }
            Self::NoAuthorities => "install the package ca-certificates, or set ca_file",
            Self::Secret => "make one with: printf whsec_ >FILE; openssl rand -base64 32 >>FILE",
            Self::Timeout { .. } => "write it as \"5s\" or \"1500ms\"",
            Self::Url => {
                "card data goes over HTTPS only; credentials belong into user and password_file"
            }
        }
    }
}
