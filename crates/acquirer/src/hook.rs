//! Messages that an acquirer sends of itself: who proves that they are its own, and what they say.

use ivrpay_payment::Notice;

/// A message as it came over HTTP. Has no `Debug`: it is from outside, and may hold anything.
pub struct Posted<'a> {
    /// The header `Authorization`.
    pub authorization: Option<&'a [u8]>,
    /// The header in which the signature over the body is, where it is none of the message's own: `Stripe-Signature`.
    pub signature: Option<&'a [u8]>,
    /// When it came, seconds since 1970.
    pub now_unix_s: i64,
    /// The body.
    pub body: &'a [u8],
}

/// One thing that a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Nothing to us: its name in the acquirer's documents, or `other`.
    Nothing(&'static str),
    /// How an operation of ours ended.
    Notice(Notice),
}

impl Heard {
    /// Its name in the acquirer's documents, or `other`; for the log.
    #[must_use]
    pub const fn event(&self) -> &'static str {
        match self {
            Self::Nothing(event) => event,
            Self::Notice(notice) => notice.event,
        }
    }
}

/// Why nothing of a message is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// It is not of the acquirer's form.
    #[error("this is no message of the acquirer's form")]
    Malformed,
    /// It was signed at another time: it is a copy, or a clock is wrong.
    #[error(
        "it was signed more than five minutes ago, or ahead, by our clock: a copy, or our clock is wrong"
    )]
    Old,
    /// Its signature, or its user and password, are missing or wrong.
    #[error("its signature, or its user and password, are missing or wrong")]
    Unproven,
}

/// Reads what an acquirer sends of itself.
pub trait Hook: Send + Sync {
    /// What the message says: all of it is proven, or nothing is read. Total.
    ///
    /// # Errors
    /// [`HookError`].
    fn read(&self, posted: &Posted<'_>) -> Result<Vec<Heard>, HookError>;
}
