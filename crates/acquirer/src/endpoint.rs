use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// A client's certificate and its key, PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those between it and the authority.
    pub certificate_file: PathBuf,
    /// Its private key, not encrypted (PKCS#8, PKCS#1 or SEC1).
    pub key_file: PathBuf,
}

/// How long the body that holds a card is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CardKept {
    /// Until it has been written out.
    #[default]
    UntilSent,
    /// Until its answer has come, for a short while at most, so that the same request can be sent again under its key.
    UntilAnswer,
}

impl CardKept {
    /// Spelling in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UntilSent => "until-sent",
            Self::UntilAnswer => "until-answer",
        }
    }
}

/// Where an acquirer is reached: plain data, checked by the edge that connects.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// `https://host[:port]/path`, without user, password, query or fragment.
    pub url: String,
    /// User of HTTP Basic; none when empty.
    pub user: String,
    /// Password of HTTP Basic, read from a file.
    pub password: Option<SecretString>,
    /// PEM file with the only authorities to be trusted; the system's when `None`.
    pub ca_file: Option<PathBuf>,
    /// Certificate by which the acquirer knows the merchant, where it asks for one.
    pub identity: Option<Identity>,
    /// Longest wait for name, connection and TLS together.
    pub connect_timeout: Duration,
    /// Longest wait for the whole answer, from the connection on.
    pub reply_timeout: Duration,
    /// How long a card is kept; longer only where the connector can make use of it ([`crate::Resend`]).
    pub card_kept: CardKept,
}

impl EndpointConfig {
    /// Default of [`Self::connect_timeout`]: 5 s.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    /// Default of [`Self::reply_timeout`]: 10 s.
    pub const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

    /// An endpoint without credentials and with the default waits.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: String::new(),
            password: None,
            ca_file: None,
            identity: None,
            connect_timeout: Self::CONNECT_TIMEOUT,
            reply_timeout: Self::REPLY_TIMEOUT,
            card_kept: CardKept::UntilSent,
        }
    }
}
