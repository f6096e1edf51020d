//! Takes the keys out of the event stream before any library sees them.
//!
//! [`Redact`] stands between the TCP socket and tungstenite. It reads into a [`Window`] of locked memory, lets the HTTP
//! upgrade response through, then releases one whole message at a time (one frame, or all frames of a fragmented one
//! with what is interleaved) and wipes it behind the read position. In every text or binary message whose *top-level*
//! `type` is `ChannelDtmfReceived`, each *top-level* `digit` is overwritten (`x`, or `0` and blanks where it is no string).
//! The length and everything else stay.
//!
//! # How keys and events are paired
//! Both sides count the data messages of a connection from 0. A key that could be read goes into the ring together with
//! the number of its message; [`Keys::take_for`] gives a key out for exactly that number. A message that the consumer
//! can't parse, or skips, thus costs its own key and never shifts the next one. No key for a DTMF event means that it
//! could not be read (no or several digits, several types, not one of `0-9 * # A-D`), and the field must start again.
//! Since a message is only redacted once all before it have been released, at most two keys wait in the ring.
//!
//! Owns one [`Window`] for the life of the connection. Does not know what channels or calls are.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use ivrpay_secret::{Buffer, Full, KeyRing};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::scan::Scanner;

/// Largest HTTP response head that is let through: Asterisk's has about 200 bytes.
const HEAD_MAX: usize = 8 * 1024;
/// Most that is read at once, so that what has to move when a message is released stays small.
const READ_MAX: usize = 16 * 1024;
/// Longest frame header of a server: 2 bytes and a 64-bit length (RFC 6455, 5.2).
const FRAME_HEAD_MAX: usize = 10;
/// Keys that fit the ring; at most two can be waiting (see the module).
const KEYS_MAX: usize = 8;
/// A ring entry: number of the message, big-endian, then the key.
const ENTRY_LEN: usize = 5;

/// Locked memory that outlives a connection: taken once, so that a reconnect can't fail for want of it.
pub struct Window {
    buffer: Buffer,
    ring: Arc<KeyRing>,
}

impl Window {
    /// Room for messages of up to `message_max` bytes, frame headers included.
    ///
    /// # Errors
    /// [`Full`].
    pub fn take(message_max: usize) -> Result<Self, Full> {
        let buffer = Buffer::take(message_max.max(HEAD_MAX))?;
        Ok(Self {
            buffer,
            ring: Arc::new(KeyRing::take(KEYS_MAX * ENTRY_LEN)?),
        })
    }

    fn wipe(&mut self) {
        self.buffer.clear();
        self.ring.clear();
    }
}

/// The consumer's end: keys by the number of their message.
pub struct Keys {
    ring: Arc<KeyRing>,
    /// Number of the entry whose key is at the front of the ring.
    front: Option<u32>,
}

impl Keys {
    /// The key of data message number `message` (text and binary, counted from 0 and wrapping). Call it once for every message, in order.
    /// Keys of earlier messages that nobody asked for are dropped.
    pub fn take_for(&mut self, message: u32) -> Option<u8> {
        loop {
            let front = match self.front {
                Some(front) => front,
                None => {
                    let mut number = [0; 4];
                    for byte in &mut number {
                        *byte = self.ring.pop()?;
                    }
                    u32::from_be_bytes(number)
                }
            };
            // Serial arithmetic (RFC 1982): the count may wrap on a connection that lasts for years.
            let ahead = front.wrapping_sub(message);
            if ahead != 0 && ahead < u32::MAX / 2 {
                self.front = Some(front);
                return None;
            }
            self.front = None;
            let key = self.ring.pop();
            if ahead == 0 {
                return key;
            }
        }
    }
}

/// Why the stream was ended from this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A message, frame or HTTP head is larger than the window.
    #[error("a message is larger than the limit of {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// Not what a server may send without extensions (RFC 6455, 5.1 to 5.5).
    #[error("the stream is not a websocket of a server")]
    Protocol,
    /// More keys were waiting than can be.
    #[error("keys were released faster than they were read")]
    KeysFull,
}

/// Where the walk over the window stands. Offsets are from the front of the window.
#[derive(Default)]
struct Walk {
    upgraded: bool,
    /// First byte not walked over.
    at: usize,
    /// A fragmented data message has begun at 0 and not ended.
    fragmented: bool,
    /// Data messages completed.
    messages: u32,
}

enum Step {
    /// So many bytes from the front may go.
    Release(usize),
    NeedMore,
}

/// A stream whose reader never sees a key. See the [module](self).
pub struct Redact<'w, S> {
    socket: S,
    window: &'w mut Window,
    walk: Walk,
    /// Bytes at the front that may go.
    released: usize,
    fault: Option<Fault>,
}

impl<'w, S> Redact<'w, S> {
    /// A fresh connection, whose first bytes are the HTTP response to the upgrade. What the window held is wiped.
    pub fn new(socket: S, window: &'w mut Window) -> Self {
        window.wipe();
        Self {
            socket,
            window,
            walk: Walk::default(),
            released: 0,
            fault: None,
        }
    }

    /// The keys of this connection; to be taken once.
    pub fn keys(&self) -> Keys {
        Keys {
            ring: Arc::clone(&self.window.ring),
            front: None,
        }
    }

    /// Walks on until something may be released.
    fn advance(&mut self) -> Result<Step, Fault> {
        let limit = self.window.buffer.capacity();
        let ring = &self.window.ring;
        let walk = &mut self.walk;
        self.window.buffer.expose_mut(|bytes| {
            if !walk.upgraded {
                return match head_len(bytes) {
                    Some(len) if len <= HEAD_MAX => {
                        walk.upgraded = true;
                        walk.at = len;
                        Ok(Step::Release(len))
                    }
                    None if bytes.len() < HEAD_MAX => Ok(Step::NeedMore),
                    _ => Err(Fault::TooLong { limit: HEAD_MAX }),
                };
            }
            loop {
                let rest = bytes.get(walk.at..).unwrap_or_default();
                let Some(frame) = Frame::parse(rest)? else {
                    return Ok(Step::NeedMore);
                };
                let whole = frame
                    .whole_len()
                    .filter(|len| *len <= limit.saturating_sub(walk.at));
                let Some(whole) = whole else {
                    return Err(Fault::TooLong { limit });
                };
                if rest.len() < whole {
                    return Ok(Step::NeedMore);
                }
                match (frame.kind, walk.fragmented) {
                    (Kind::Control, _) => {}
                    (Kind::Data, false) | (Kind::Continuation, true) => {
                        walk.fragmented = !frame.last
                    }
                    (Kind::Data, true) | (Kind::Continuation, false) => {
                        return Err(Fault::Protocol);
                    }
                }
                walk.at += whole;
                if walk.fragmented {
                    continue;
                }
                if frame.kind != Kind::Control {
                    let number = walk.messages;
                    walk.messages = number.wrapping_add(1);
                    redact_message(bytes.get_mut(..walk.at).unwrap_or_default(), number, ring)?;
                }
                return Ok(Step::Release(walk.at));
            }
        })
    }

    fn fail(&mut self, fault: Fault) -> io::Error {
        self.window.wipe();
        self.released = 0;
        self.fault = Some(fault);
        io::Error::new(io::ErrorKind::InvalidData, fault)
    }
}

impl<S> Drop for Redact<'_, S> {
    fn drop(&mut self) {
        self.window.wipe();
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Data,
    Continuation,
    Control,
}

struct Frame {
    kind: Kind,
    last: bool,
    head_len: usize,
    payload_len: u64,
}

impl Frame {
    /// `None` while the header is not complete (RFC 6455, 5.2).
    fn parse(bytes: &[u8]) -> Result<Option<Self>, Fault> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let last = first & 0x80 != 0;
        let kind = match first & 0x0F {
            0x0 => Kind::Continuation,
            0x1 | 0x2 => Kind::Data,
            0x8..=0xA => Kind::Control,
            _ => return Err(Fault::Protocol),
        };
        // Reserved bits belong to extensions, which we don't offer; a server never masks.
        if first & 0x70 != 0 || second & 0x80 != 0 {
            return Err(Fault::Protocol);
        }
        let short = second & 0x7F;
        if kind == Kind::Control && (!last || short > 125) {
            return Err(Fault::Protocol);
        }
        let (head_len, payload_len) = match short {
            126 => match rest {
                [a, b, ..] => (4, u64::from(u16::from_be_bytes([*a, *b]))),
                _ => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(len) => (FRAME_HEAD_MAX, u64::from_be_bytes(*len)),
                None => return Ok(None),
            },
            _ => (2, u64::from(short)),
        };
        Ok(Some(Self {
            kind,
            last,
            head_len,
            payload_len,
        }))
    }

    fn whole_len(&self) -> Option<usize> {
        usize::try_from(self.payload_len)
            .ok()?
            .checked_add(self.head_len)
    }
}

/// Hides the digit in one whole message, given as its frames, and puts the key into the ring.
fn redact_message(frames: &mut [u8], number: u32, ring: &KeyRing) -> Result<(), Fault> {
    let mut first = Scanner::new();
    each_payload_byte(frames, |byte| {
        first.look(*byte);
    });
    if !first.is_dtmf() {
        return Ok(());
    }
    let mut second = Scanner::new();
    each_payload_byte(frames, |byte| {
        if let Some(instead) = second.look(*byte) {
            #[cfg(feature = "plant")]
            if ivrpay_secret::plant::is("redaction") {
                return;
            }
            *byte = instead;
        }
    });
    // Only wipes what the second scan still holds.
    second.take_key();
    let Some(key) = first.take_key() else {
        return Ok(());
    };
    for byte in number.to_be_bytes().into_iter().chain([key]) {
        ring.push(byte).map_err(|_| Fault::KeysFull)?;
    }
    Ok(())
}

/// Visits the payload of the data frames in `frames`, which are whole.
fn each_payload_byte(frames: &mut [u8], mut visit: impl FnMut(&mut u8)) {
    let mut rest = frames;
    while let Ok(Some(frame)) = Frame::parse(rest) {
        let Some(whole) = frame.whole_len().filter(|len| *len <= rest.len()) else {
            return;
        };
        let (bytes, after) = rest.split_at_mut(whole);
        if frame.kind != Kind::Control {
            bytes.iter_mut().skip(frame.head_len).for_each(&mut visit);
        }
        rest = after;
    }
}

/// Length of the HTTP head, with its empty line. A lone LF ends a line too, since lenient parsers take it so: what they
/// would hand on as frames must not pass as head.
fn head_len(bytes: &[u8]) -> Option<usize> {
    let mut lf = None;
    for (i, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' if lf.is_some() => return Some(i + 1),
            b'\n' => lf = Some(i),
            b'\r' if lf == i.checked_sub(1) => {}
            _ => lf = None,
        }
    }
    None
}

impl<S: AsyncRead + Unpin> AsyncRead for Redact<'_, S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(fault) = this.fault {
            return Poll::Ready(Err(this.fail(fault)));
        }
        while this.released == 0 {
            match this.advance() {
                Ok(Step::Release(len)) => {
                    this.released = len;
                    break;
                }
                Ok(Step::NeedMore) => {}
                Err(fault) => return Poll::Ready(Err(this.fail(fault))),
            }
            let socket = Pin::new(&mut this.socket);
            let limit = this.window.buffer.capacity();
            if this.window.buffer.len() == limit {
                return Poll::Ready(Err(this.fail(Fault::TooLong { limit })));
            }
            let read = this.window.buffer.fill(|tail| {
                let room = tail.len().min(READ_MAX);
                let mut into = ReadBuf::new(tail.get_mut(..room).unwrap_or_default());
                let polled = socket.poll_read(cx, &mut into);
                let len = into.filled().len();
                (len, polled.map_ok(|()| len))
            });
            if ready!(read)? == 0 {
                // The end; a message cut short is never released.
                this.window.buffer.clear();
                return Poll::Ready(Ok(()));
            }
        }
        let len = this.released.min(out.remaining());
        this.window
            .buffer
            .expose(|bytes| out.put_slice(bytes.get(..len).unwrap_or_default()));
        this.window.buffer.consume(len);
        this.released -= len;
        this.walk.at -= len;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Redact<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
