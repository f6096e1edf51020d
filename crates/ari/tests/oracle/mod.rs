//! What the redactor must do, said a second time with `serde_json` as the judge. Used by the property test and by the
//! fuzz target.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use ivrpay_ari::redact::{Redact, Window};
use ivrpay_secret::Key;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket that gives `bytes` in pieces of the given lengths (over and over; 0 counts as 1), then ends.
pub struct Pieces<'a> {
    pub bytes: &'a [u8],
    pub lens: &'a [u8],
    pub turn: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = self
            .lens
            .get(self.turn % self.lens.len().max(1))
            .map_or(usize::MAX, |len| usize::from(*len).max(1));
        self.turn += 1;
        let (now, later) = self
            .bytes
            .split_at(len.min(self.bytes.len()).min(out.remaining()));
        out.put_slice(now);
        self.bytes = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What came out of the redactor.
pub struct Out {
    /// Bytes released.
    pub released: Vec<u8>,
    /// Keys by the number of their message, as far as `messages` asks.
    pub keys: Vec<Option<u8>>,
    /// The stream ended in an error.
    pub failed: bool,
}

/// The answer of a server that switches.
pub const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

/// Sends [`HEAD`] and `frames` through a redactor, in pieces of `lens`, read `room` bytes at a time. The consumer asks for
/// keys as a library would let it: after each read, for the messages that are whole by then.
pub fn redact(window: &mut Window, frames: &[u8], lens: &[u8], room: usize) -> Out {
    let bytes = [HEAD, frames].concat();
    let mut stream = Redact::new(
        Pieces {
            bytes: &bytes,
            lens,
            turn: 0,
        },
        window,
    );
    let mut keys = stream.keys();
    let mut out = Out {
        released: Vec::new(),
        keys: Vec::new(),
        failed: false,
    };
    let mut head_left = HEAD.len();
    loop {
        let mut into = vec![0; room.max(1)];
        let mut into = ReadBuf::new(&mut into);
        let polled =
            Pin::new(&mut stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut into);
        match polled {
            Poll::Ready(Ok(())) if into.filled().is_empty() => return out,
            Poll::Ready(Ok(())) => {
                let head = head_left.min(into.filled().len());
                head_left -= head;
                out.released.extend_from_slice(&into.filled()[head..]);
                while out.keys.len() < messages(&out.released).len() {
                    out.keys
                        .push(keys.take_for(u32::try_from(out.keys.len()).unwrap()));
                }
            }
            Poll::Ready(Err(_)) => {
                out.failed = true;
                return out;
            }
            Poll::Pending => panic!("this socket is always ready"),
        }
    }
}

/// The whole data messages in a well-formed stream of frames.
pub fn messages(mut frames: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut open = Vec::new();
    while frames.len() >= 2 {
        let (head, len) = match frames[1] & 0x7F {
            126 if frames.len() >= 4 => {
                (4, usize::from(u16::from_be_bytes([frames[2], frames[3]])))
            }
            127 if frames.len() >= 10 => (
                10,
                u64::from_be_bytes(frames[2..10].try_into().unwrap()) as usize,
            ),
            126 | 127 => break,
            len => (2, usize::from(len)),
        };
        if frames.len() < head + len {
            break;
        }
        if frames[0] & 0x0F < 8 {
            open.extend_from_slice(&frames[head..head + len]);
            if frames[0] & 0x80 != 0 {
                all.push(std::mem::take(&mut open));
            }
        }
        frames = &frames[head + len..];
    }
    all
}

/// Name and value of each member of a top-level object, in order, doubles too.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Members(all))
            }
        }
        deserializer.deserialize_map(All)
    }
}

fn members(text: &[u8]) -> Option<Vec<(String, Value)>> {
    serde_json::from_slice::<Members>(text)
        .ok()
        .map(|members| members.0)
}

/// Redactor and serde together must say what serde alone says, but for the digit.
#[track_caller]
pub fn check(original: &[u8], redacted: &[u8], key: Option<u8>) {
    assert_eq!(original.len(), redacted.len(), "the length stays");
    let Some(before) = members(original) else {
        return;
    };
    let is_type = |(name, _): &&(String, Value)| name == "type";
    let is_digit = |(name, _): &&(String, Value)| name == "digit";
    if !before
        .iter()
        .filter(is_type)
        .any(|(_, value)| value == "ChannelDtmfReceived")
    {
        assert!(original == redacted, "only key events are touched");
        assert!(key.is_none(), "only key events give keys");
        return;
    }
    let after = members(redacted).expect("what was JSON is JSON");
    assert_eq!(before.len(), after.len());
    for ((name, value), (name_after, value_after)) in before.iter().zip(&after) {
        assert_eq!(name, name_after);
        match value {
            _ if name != "digit" => assert_eq!(value, value_after),
            Value::String(_) => assert!(
                value_after
                    .as_str()
                    .is_some_and(|text| text.bytes().all(|b| b == b'x'))
            ),
            _ => assert_eq!(value_after, &Value::from(0)),
        }
    }
    let mut digits = before.iter().filter(is_digit);
    let expected = match (
        before.iter().filter(is_type).count(),
        digits.next(),
        digits.next(),
    ) {
        (1, Some((_, Value::String(text))), None) => match text.as_bytes() {
            [byte] if Key::from_byte(*byte).is_some() => Some(*byte),
            _ => None,
        },
        _ => None,
    };
    assert!(key == expected, "the key is that of the event");
}
