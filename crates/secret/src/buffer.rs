//! Bytes in one slot of the arena.

use zeroize::Zeroize;

use crate::arena::{Arena, Full, Slot};

/// Bytes in locked memory, of a fixed capacity, wiped when dropped. Moving it moves a handle, never the bytes.
/// `AsRef<[u8]>` so that `Bytes::from_owner` can lend it to an HTTP client.
///
/// What is behind the length is zero, unless a closure given to [`Buffer::fill`] wrote more than it said.
pub struct Buffer {
    slot: Slot,
    capacity: usize,
    len: usize,
}

impl Buffer {
    /// Takes room for `capacity` bytes from the arena, in the smallest size of slot that holds it.
    ///
    /// # Errors
    /// [`Full`] when no slot of that size is free, or none is that large ([`crate::Layout::LARGE_BYTES`]).
    pub fn take(capacity: usize) -> Result<Self, Full> {
        Self::take_from(Arena::global(), capacity)
    }

    pub(crate) fn take_from(arena: &'static Arena, capacity: usize) -> Result<Self, Full> {
        Ok(Self {
            slot: arena.take(capacity)?,
            capacity,
            len: 0,
        })
    }

    /// Appends; all or nothing.
    ///
    /// # Errors
    /// [`Full`] when it does not fit; the buffer is as it was.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.len.checked_add(bytes.len()).ok_or(Full)?;
        let len = self.len;
        self.room_mut()
            .get_mut(len..end)
            .ok_or(Full)?
            .copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    /// Wipes and empties.
    pub fn clear(&mut self) {
        self.room_mut().zeroize();
        self.len = 0;
    }

    /// Keeps the first `len` bytes and wipes the rest.
    pub fn truncate(&mut self, len: usize) {
        let end = self.len;
        if let Some(tail) = self.room_mut().get_mut(len..end) {
            tail.zeroize();
            self.len = len;
        }
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
        self.capacity
    }

    /// Lends the bytes to `f`.
    pub fn expose<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        f(self.as_ref())
    }

    /// Lends the bytes to `f` to be changed in place; the length stays.
    pub fn expose_mut<R>(&mut self, f: impl FnOnce(&mut [u8]) -> R) -> R {
        let len = self.len;
        f(self.room_mut().get_mut(..len).unwrap_or_default())
    }

    /// Lends the unused tail to `f`, which says how many bytes it filled (for `read`).
    pub fn fill<R>(&mut self, f: impl FnOnce(&mut [u8]) -> (usize, R)) -> R {
        let len = self.len;
        let (n, result) = f(self.room_mut().get_mut(len..).unwrap_or_default());
        self.len = len.saturating_add(n).min(self.capacity);
        result
    }

    /// Drops the first `n` bytes, moves the rest to the front and wipes what is behind it.
    pub fn consume(&mut self, n: usize) {
        let end = self.len;
        let n = n.min(end);
        self.room_mut().copy_within(n..end, 0);
        self.truncate(end - n);
    }

    fn room_mut(&mut self) -> &mut [u8] {
        let capacity = self.capacity;
        self.slot
            .bytes_mut()
            .get_mut(..capacity)
            .unwrap_or_default()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.slot.bytes().get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Display};

    use serde::Serialize;
    use static_assertions::{assert_impl_all, assert_not_impl_any};

    use super::*;
    use crate::{Key, KeyRing};

    assert_not_impl_any!(Buffer: Clone, Debug, Display, Serialize, PartialEq);
    assert_not_impl_any!(KeyRing: Clone, Debug, Display, Serialize, PartialEq);
    // Keys are compared; they print nothing.
    assert_not_impl_any!(Key: Debug, Display, Serialize);
    assert_impl_all!(Buffer: Send, Sync, AsRef<[u8]>);
    assert_impl_all!(KeyRing: Send, Sync);

    fn buffer(capacity: usize, bytes: &[u8]) -> Buffer {
        let mut buffer = Buffer::take(capacity).unwrap();
        buffer.push(bytes).unwrap();
        buffer
    }

    /// The bytes held, and that everything behind them is zero.
    #[track_caller]
    fn check(buffer: &Buffer, expected: &[u8]) {
        assert!(buffer.as_ref() == expected, "other bytes than expected");
        assert_eq!(buffer.len(), expected.len());
        assert_eq!(buffer.is_empty(), expected.is_empty());
        assert!(
            buffer.slot.bytes()[expected.len()..]
                .iter()
                .all(|byte| *byte == 0),
            "left behind the end"
        );
    }

    #[test]
    fn push_is_all_or_nothing() {
        let mut five = buffer(5, b"abc");
        assert_eq!(
            five.push(b"def"),
            Err(Full),
            "the capacity is what was asked for, not that of the slot"
        );
        check(&five, b"abc");
        five.push(b"de").unwrap();
        check(&five, b"abcde");
        assert_eq!(five.push(b"f"), Err(Full));
        assert_eq!(five.capacity(), 5);
    }

    #[test]
    fn every_way_to_shorten_wipes() {
        let mut bytes = buffer(10, b"0123456789");
        bytes.consume(3);
        check(&bytes, b"3456789");
        bytes.truncate(5);
        check(&bytes, b"34567");
        bytes.truncate(9);
        check(&bytes, b"34567");
        bytes.consume(0);
        check(&bytes, b"34567");
        bytes.consume(99);
        check(&bytes, b"");
        bytes.push(b"xyz").unwrap();
        bytes.clear();
        check(&bytes, b"");
    }

    #[test]
    fn clear_wipes_what_a_closure_wrote_and_did_not_tell() {
        let mut bytes = buffer(8, b"");
        bytes.fill(|room| {
            room.fill(b'!');
            (2, ())
        });
        assert_eq!(bytes.len(), 2);
        bytes.clear();
        check(&bytes, b"");
    }

    #[test]
    fn fill_reads_into_the_rest() {
        let mut bytes = buffer(6, b"ab");
        let told = bytes.fill(|room| {
            assert_eq!(room.len(), 4);
            room[..3].copy_from_slice(b"cde");
            (3, "told")
        });
        assert_eq!(told, "told");
        check(&bytes, b"abcde");
        bytes.fill(|room| (usize::MAX, room.len()));
        assert_eq!(bytes.len(), 6, "no more than there is");
        bytes.expose_mut(|all| all.reverse());
        check(&bytes, b"\0edcba");
    }

    #[test]
    fn a_buffer_may_be_empty_or_large() {
        assert_eq!(Buffer::take(0).unwrap().push(b"a"), Err(Full));
        let large = Buffer::take(crate::Layout::LARGE_BYTES).unwrap();
        assert_eq!(large.capacity(), 256 * 1024);
        assert_eq!(
            Buffer::take(crate::Layout::LARGE_BYTES + 1).map(|_| ()),
            Err(Full)
        );
    }
}
