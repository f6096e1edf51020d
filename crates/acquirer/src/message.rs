//! Requests and replies as values.

use ivrpay_payment::Doubt;
use ivrpay_secret::Buffer;
use secrecy::SecretString;

/// HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

impl Method {
    /// As it stands in the request line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// A request, ready to be sent. Has no `Debug`: the body holds a card.
pub struct Request {
    /// Method.
    pub method: Method,
    /// Appended to the endpoint's URL, with a query behind `?` where there is one; empty where the contract has one address only.
    /// Never holds card data.
    pub path: String,
    /// Headers beside those that the sender sets itself (host, length, content type, credentials). Never card data.
    pub headers: Vec<(&'static str, String)>,
    /// Headers with keys and tokens: never printed.
    pub credentials: Vec<(&'static str, SecretString)>,
    /// Type of the body.
    pub content_type: &'static str,
    /// The body, in locked memory; dropped, and so wiped, as soon as it has been written out.
    pub body: Buffer,
}

impl Request {
    /// A `POST` without headers of its own.
    pub(crate) fn post(path: impl Into<String>, content_type: &'static str, body: Buffer) -> Self {
        Self {
            method: Method::Post,
            path: path.into(),
            headers: Vec::new(),
            credentials: Vec::new(),
            content_type,
            body,
        }
    }
}

/// What came back. Has no `Debug`: an endpoint that echoes a card would be printed.
pub struct Reply {
    status: u16,
    /// `None` when it was longer than [`Self::BODY_MAX`].
    body: Option<Vec<u8>>,
}

impl Reply {
    /// Longest body that is read, bytes: 64 KiB. An answer of the contracts that we speak has under 2 KiB.
    pub const BODY_MAX: usize = 64 * 1024;

    /// A reply with its whole body. Longer than [`Self::BODY_MAX`] counts as [`Self::too_long`].
    #[must_use]
    pub fn new(status: u16, body: Vec<u8>) -> Self {
        let body = (body.len() <= Self::BODY_MAX).then_some(body);
        Self { status, body }
    }

    /// A reply whose body went on beyond the limit and was not read.
    #[must_use]
    pub const fn too_long(status: u16) -> Self {
        Self { status, body: None }
    }

    /// The body of an acquirer that says all it has to say with status 200; else what the lack of one leaves open.
    pub(crate) fn ok(&self) -> Result<&[u8], Doubt> {
        match self.status {
            200 => self.body().ok_or(Doubt::Malformed),
            status => Err(Doubt::Status { status }),
        }
    }

    /// HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The body; `None` when it was too long.
    #[must_use]
    pub fn body(&self) -> Option<&[u8]> {
        self.body.as_deref()
    }
}
