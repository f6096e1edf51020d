//! A key that was heard.

use zeroize::Zeroize;

/// Letters of the keypad, row by row, as its frequencies are arranged (ITU-T Q.23).
const KEYPAD: &[u8; 16] = b"123A456B789C*0#D";

/// A key of a telephone. `Copy`, but prints nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(u8);

impl Key {
    /// The key in a row and a column of the keypad, 0 to 3 each.
    pub(crate) fn at(row: usize, column: usize) -> Self {
        Self(*KEYPAD.get(row * 4 + column).unwrap_or(&0))
    }

    /// The key of an ASCII character, as [`Self::expose`] gives it.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        KEYPAD.contains(&byte).then_some(Self(byte))
    }

    /// 0 to 9, or nothing for `*`, `#` and the letters A to D.
    #[must_use]
    pub fn digit(self) -> Option<u8> {
        self.0.is_ascii_digit().then(|| self.0 - b'0')
    }

    /// The ASCII character: `0` to `9`, `*`, `#`, `A` to `D`. Card data as soon as there are some in a row.
    #[must_use]
    pub fn expose(self) -> u8 {
        self.0
    }
}

impl Zeroize for Key {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}
