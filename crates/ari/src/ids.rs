//! Names that Asterisk gives to channels, and that we give to playbacks.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, de};

/// Longest id that is taken: Asterisk's own limit (`AST_MAX_UNIQUEID` is 150) with room to spare.
const ID_LEN_MAX: usize = 255;

/// Not usable as an id: empty, over 255 bytes, with control characters, or a relative path segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not usable as an id: empty, too long, with control characters, or `.` or `..`")]
pub struct InvalidId;

fn check(text: &str) -> Result<Arc<str>, InvalidId> {
    // `.` and `..` would be folded away by URL normalisation and address another resource, even percent-encoded.
    let fits = !text.is_empty() && text.len() <= ID_LEN_MAX && text != "." && text != "..";
    if fits && !text.chars().any(char::is_control) {
        Ok(text.into())
    } else {
        Err(InvalidId)
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986, 2.3.
pub(crate) fn encode_segment(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes an id.
            ///
            /// # Errors
            /// [`InvalidId`].
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                check(text).map(Self)
            }

            /// The id as Asterisk writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The id as one segment of a URL's path.
            pub(crate) fn segment(&self) -> String {
                encode_segment(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(de::Error::custom)
            }
        }
    };
}

id! {
    /// Unique id of a channel (Asterisk's `Uniqueid`), never the channel's name.
    ChannelId
}
id! {
    /// Id of a playback, chosen by the caller so that a stop can be sent before the answer to the play has come.
    PlaybackId
}

id! {
    /// Id of a bridge of ours, chosen by us so that it can be ended before the answer to its making has come.
    BridgeId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment_of_the_path() {
        #[track_caller]
        fn check(id: &str, segment: Result<&str, InvalidId>) {
            assert_eq!(
                ChannelId::new(id).map(|id| id.segment()).as_deref(),
                segment.as_ref().map(|s| *s)
            );
        }
        check("1763887000.12", Ok("1763887000.12"));
        check("PJSIP/trunk-0001", Ok("PJSIP%2Ftrunk-0001"));
        check("a?b=c&d#e", Ok("a%3Fb%3Dc%26d%23e"));
        check("../../asterisk", Ok("..%2F..%2Fasterisk"));
        check("客", Ok("%E5%AE%A2"));
        check("", Err(InvalidId));
        check(".", Err(InvalidId));
        check("..", Err(InvalidId));
        check("a\r\nHost: x", Err(InvalidId));
        check(&"9".repeat(256), Err(InvalidId));
    }
}
