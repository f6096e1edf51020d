//! A key, and the queue in which keys wait.

use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroize;

use crate::arena::{Arena, Full, Slot};

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

/// The ring was full: a key was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("keys came faster than they were read")]
pub struct Overflow;

/// A bounded queue of keys in locked memory; a key read is wiped. Shared by reference between the one who puts and the one
/// who takes.
pub struct KeyRing {
    ring: Mutex<Ring>,
}

/// The positions say how many keys wait, which is no secret; the keys are in the slot.
struct Ring {
    slot: Slot,
    capacity: usize,
    head: usize,
    len: usize,
}

impl KeyRing {
    /// A ring for `keys` keys.
    ///
    /// # Errors
    /// [`Full`].
    pub fn take(keys: usize) -> Result<Self, Full> {
        let slot = Arena::global().take(keys)?;
        Ok(Self {
            ring: Mutex::new(Ring {
                slot,
                capacity: keys,
                head: 0,
                len: 0,
            }),
        })
    }

    /// Puts a key in at the end.
    ///
    /// # Errors
    /// [`Overflow`] when it is full.
    pub fn push(&self, byte: u8) -> Result<(), Overflow> {
        let mut ring = self.lock();
        if ring.len == ring.capacity {
            return Err(Overflow);
        }
        let end = (ring.head + ring.len) % ring.capacity;
        *ring.slot.bytes_mut().get_mut(end).ok_or(Overflow)? = byte;
        ring.len += 1;
        Ok(())
    }

    /// Takes the oldest key (its byte) out.
    pub fn pop(&self) -> Option<u8> {
        let mut ring = self.lock();
        if ring.len == 0 {
            return None;
        }
        let head = ring.head;
        let place = ring.slot.bytes_mut().get_mut(head)?;
        let byte = *place;
        place.zeroize();
        ring.head = (head + 1) % ring.capacity;
        ring.len -= 1;
        Some(byte)
    }

    /// Wipes all.
    pub fn clear(&self) {
        let mut ring = self.lock();
        ring.slot.bytes_mut().zeroize();
        (ring.head, ring.len) = (0, 0);
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        // Nothing between two writes of a position can panic.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn the_bytes_of_asterisk() {
        for byte in 0..=u8::MAX {
            let expected = match byte {
                b'0'..=b'9' => Some(Key::Digit(byte - 48)),
                b'*' => Some(Key::Star),
                b'#' => Some(Key::Hash),
                b'A' | b'B' | b'C' | b'D' | b'a' | b'b' | b'c' | b'd' => Some(Key::Letter),
                _ => None,
            };
            assert!(Key::from_byte(byte) == expected, "byte {byte}");
        }
    }

    #[test]
    fn a_key_read_is_wiped() {
        let ring = KeyRing::take(8).unwrap();
        for byte in *b"4111" {
            ring.push(byte).unwrap();
        }
        assert_eq!(ring.pop(), Some(b'4'));
        assert_eq!(ring.lock().slot.bytes()[..5], *b"\x00111\x00");
        ring.clear();
        assert!(ring.lock().slot.bytes().iter().all(|byte| *byte == 0));
        assert_eq!(ring.pop(), None);
    }

    #[test]
    fn a_ring_without_room_keeps_nothing() {
        let ring = KeyRing::take(0).unwrap();
        assert_eq!((ring.push(b'1'), ring.pop()), (Err(Overflow), None));
    }

    proptest::proptest! {
        /// `None` takes, `Some` puts: as a queue with a limit would do, and what is not in it is zero.
        #[test]
        fn it_is_a_queue(steps in proptest::collection::vec(proptest::option::of(1_u8..), 0..200), capacity in 1_usize..9) {
            let (ring, mut model) = (KeyRing::take(capacity).unwrap(), VecDeque::new());
            for step in steps {
                match step {
                    Some(byte) if model.len() < capacity => {
                        model.push_back(byte);
                        proptest::prop_assert_eq!(ring.push(byte), Ok(()));
                    }
                    Some(byte) => proptest::prop_assert_eq!(ring.push(byte), Err(Overflow)),
                    None => proptest::prop_assert_eq!(ring.pop(), model.pop_front()),
                }
                let left = ring.lock().slot.bytes().iter().filter(|byte| **byte != 0).count();
                proptest::prop_assert_eq!(left, model.len());
            }
        }
    }
}
