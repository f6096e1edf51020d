//! A key that was heard.

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

    /// The ASCII character: `0` to `9`, `*`, `#`, `A` to `D`. Card data as soon as there are some in a row.
    #[must_use]
    pub fn expose(self) -> u8 {
        self.0
    }
}
