//! Locked memory for card data, keys, the zero-on-free allocator and the hardening of the process.
//!
//! SKELETON: interface only, the memory is not locked yet.

use std::sync::Mutex;

/// No slot of that size is free: the named limit of the arena is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no secret memory is free; raise [limits] calls_max or wait for a call to end")]
pub struct Full;

/// A key of a telephone. `Copy`, but prints nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// 0 to 9.
    Digit(u8),
    /// `*`
    Star,
    /// `#`
    Hash,
    /// A to D, which no telephone has and some devices send.
    Letter,
}

impl Key {
    /// Reads the byte that Asterisk sends.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            b'0'..=b'9' => Some(Self::Digit(byte - b'0')),
            b'*' => Some(Self::Star),
            b'#' => Some(Self::Hash),
            b'A'..=b'D' | b'a'..=b'd' => Some(Self::Letter),
            _ => None,
        }
    }
}

/// Bytes in locked memory, of a fixed capacity, wiped when dropped. Moving it moves a handle, never the bytes.
/// `AsRef<[u8]>` so that `Bytes::from_owner` can lend it to an HTTP client.
pub struct Buffer {
    bytes: Box<[u8]>,
    len: usize,
}

impl Buffer {
    /// Takes room for `capacity` bytes from the arena.
    ///
    /// # Errors
    /// [`Full`].
    pub fn take(capacity: usize) -> Result<Self, Full> {
        Ok(Self { bytes: vec![0; capacity].into_boxed_slice(), len: 0 })
    }

    /// Appends; all or nothing.
    ///
    /// # Errors
    /// [`Full`] when it does not fit; the buffer is as it was.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end).ok_or(Full)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    /// Wipes and empties.
    pub fn clear(&mut self) {
        self.bytes.fill(0);
        self.len = 0;
    }

    /// Bytes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Lends the bytes to `f`.
    pub fn expose<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        f(self.bytes.get(..self.len).unwrap_or_default())
    }

    /// Lends the bytes to `f` to be changed in place; the length stays.
    pub fn expose_mut<R>(&mut self, f: impl FnOnce(&mut [u8]) -> R) -> R {
        f(self.bytes.get_mut(..self.len).unwrap_or_default())
    }

    /// Lends the unused tail to `f`, which says how many bytes it filled (for `read`).
    pub fn fill<R>(&mut self, f: impl FnOnce(&mut [u8]) -> (usize, R)) -> R {
        let (n, result) = f(self.bytes.get_mut(self.len..).unwrap_or_default());
        self.len = (self.len + n).min(self.bytes.len());
        result
    }

    /// Drops the first `n` bytes, moves the rest to the front and wipes what is behind it.
    pub fn consume(&mut self, n: usize) {
        let n = n.min(self.len);
        self.bytes.copy_within(n..self.len, 0);
        let len = self.len - n;
        if let Some(tail) = self.bytes.get_mut(len..self.len) {
            tail.fill(0);
        }
        self.len = len;
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// A bounded queue of keys in locked memory; a key read is wiped. Shared by reference between the one who puts and the one who takes.
pub struct KeyRing {
    ring: Mutex<(Buffer, usize)>,
}

/// The ring was full: a key was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("keys came faster than they were read")]
pub struct Overflow;

impl KeyRing {
    /// A ring for `keys` keys.
    ///
    /// # Errors
    /// [`Full`].
    pub fn take(keys: usize) -> Result<Self, Full> {
        Ok(Self { ring: Mutex::new((Buffer::take(keys)?, 0)) })
    }

    /// Puts a key in at the end.
    ///
    /// # Errors
    /// [`Overflow`] when it is full.
    pub fn push(&self, byte: u8) -> Result<(), Overflow> {
        self.ring.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0.push(&[byte]).map_err(|_| Overflow)
    }

    /// Takes the oldest key (its byte) out.
    pub fn pop(&self) -> Option<u8> {
        let mut ring = self.ring.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let first = ring.0.expose(|b| b.first().copied());
        ring.0.consume(1);
        first
    }

    /// Wipes all.
    pub fn clear(&self) {
        self.ring.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0.clear();
    }
}
