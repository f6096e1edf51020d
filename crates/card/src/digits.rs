//! A field of digits.

use ivrpay_secret::{Buffer, Full};

/// Digits as they are keyed, in locked memory, one ASCII byte each.
pub struct Digits(Buffer);

impl Digits {
    /// Most digits that a field keeps: 19 (ISO/IEC 7812-1) and some more, so that "too many" is seen, not cut off.
    pub const MAX: usize = 24;

    /// An empty field.
    ///
    /// # Errors
    /// [`Full`].
    pub fn take() -> Result<Self, Full> {
        Buffer::take(Self::MAX).map(Self)
    }

    /// Appends one digit, 0 to 9.
    ///
    /// # Errors
    /// [`Full`] when it has [`Self::MAX`]. A value above 9 is not kept either.
    pub fn push(&mut self, digit: u8) -> Result<(), Full> {
        if digit > 9 {
            return Err(Full);
        }
        self.0.push(&[b'0' + digit])
    }

    /// Digits held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Wipes.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Lends the digits, one ASCII byte each.
    pub fn expose<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        self.0.expose(f)
    }

    /// The last digit, if any, taken away again (for the duplicate-tone filter).
    pub fn pop(&mut self) {
        self.0.truncate(self.0.len().saturating_sub(1));
    }
}

/// The value of an ASCII digit. `Digits` holds nothing else.
pub(crate) fn value(ascii: u8) -> u8 {
    ascii.wrapping_sub(b'0')
}

#[cfg(test)]
pub(crate) fn keyed(text: &str) -> Digits {
    let mut digits = Digits::take().unwrap();
    for byte in text.bytes() {
        digits.push(value(byte)).unwrap();
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(digits: &Digits, expected: &[u8]) {
        assert!(
            digits.expose(|d| d == expected),
            "other digits than expected"
        );
        assert_eq!(
            (digits.len(), digits.is_empty()),
            (expected.len(), expected.is_empty())
        );
    }

    #[test]
    fn keyed_and_taken_back() {
        let mut digits = keyed("0129");
        check(&digits, b"0129");
        digits.pop();
        check(&digits, b"012");
        digits.push(7).unwrap();
        check(&digits, b"0127");
        digits.clear();
        check(&digits, b"");
        digits.pop();
        check(&digits, b"");
    }

    #[test]
    fn too_many_are_refused_not_cut() {
        let mut digits = Digits::take().unwrap();
        for _ in 0..Digits::MAX {
            digits.push(1).unwrap();
        }
        assert_eq!(digits.push(2), Err(Full));
        check(&digits, &[b'1'; Digits::MAX]);
    }

    #[test]
    fn what_is_no_digit_is_not_kept() {
        let mut digits = Digits::take().unwrap();
        for no in 10..=u8::MAX {
            assert_eq!(digits.push(no), Err(Full));
        }
        check(&digits, b"");
    }
}
