//! Finds, byte by byte, what the redactor must hide in one text message.
//!
//! A total scanner: any bytes, in any cut, give an answer; it allocates nothing and keeps at most one byte of a value.
//! It follows JSON (RFC 8259) only as far as needed to know which strings stand at the top level of the outermost
//! object. On text that is not JSON it may find too much, never too little of what a JSON parser would find.

use ivrpay_secret::Key;

/// Words that the scanner tells apart; the index is the bit in [`Text::may_be`].
const WORDS: [&[u8]; 3] = [b"type", b"digit", b"ChannelDtmfReceived"];
const TYPE: u8 = 1;
const DIGIT: u8 = 1 << 1;
const DTMF: u8 = 1 << 2;

/// Stands for any character that none of our words and no key has.
const OTHER: u8 = 0xFF;

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Other,
    Name,
    Type,
    Digit,
}

#[derive(Clone, Copy)]
enum Escape {
    No,
    Begun,
    Hex { left: u8, value: u16 },
}

/// One decoded string, compared while it passes.
#[derive(Clone, Copy)]
struct Text {
    len: usize,
    may_be: u8,
    last: u8,
}

impl Text {
    const EMPTY: Self = Self {
        len: 0,
        may_be: TYPE | DIGIT | DTMF,
        last: OTHER,
    };

    fn push(&mut self, byte: u8) {
        for (i, word) in WORDS.iter().enumerate() {
            if word.get(self.len) != Some(&byte) {
                self.may_be &= !(1 << i);
            }
        }
        self.len = self.len.saturating_add(1);
        self.last = byte;
    }

    fn is(&self, bit: u8) -> bool {
        let word = WORDS[bit.trailing_zeros() as usize];
        self.may_be & bit != 0 && self.len == word.len()
    }
}

/// State of the scan over one message.
pub(crate) struct Scanner {
    depth: u32,
    in_object: bool,
    in_string: bool,
    escape: Escape,
    at_value: bool,
    role: Role,
    name: Role,
    text: Text,
    /// Inside a top-level `digit` that is not a string: hidden to its end.
    blanking: bool,
    types: u32,
    digits: u32,
    dtmf: bool,
    key: u8,
}

impl Scanner {
    pub(crate) const fn new() -> Self {
        Self {
            depth: 0,
            in_object: false,
            in_string: false,
            escape: Escape::No,
            at_value: false,
            role: Role::Other,
            name: Role::Other,
            text: Text::EMPTY,
            blanking: false,
            types: 0,
            digits: 0,
            dtmf: false,
            key: OTHER,
        }
    }

    /// Whether a top-level `type` said `ChannelDtmfReceived`.
    pub(crate) fn is_dtmf(&self) -> bool {
        self.dtmf
    }

    /// The key, if the message has exactly one type, exactly one `digit`, and that is one character which is a key.
    /// The scanner forgets it.
    pub(crate) fn take_key(&mut self) -> Option<u8> {
        let key = std::mem::replace(&mut self.key, OTHER);
        self.text = Text::EMPTY;
        // Keeps the two writes above: without it they are dead stores, and a key would outlive them on the stack.
        std::hint::black_box(&mut *self);
        (self.dtmf && self.types == 1 && self.digits == 1 && Key::from_byte(key).is_some())
            .then_some(key)
    }

    /// Looks at the next byte. `Some` is what must stand in its place if this is a DTMF event. The replaced text is JSON
    /// wherever the original was: characters of a string become `x`, any other value becomes `0` and blanks.
    pub(crate) fn look(&mut self, byte: u8) -> Option<u8> {
        if self.in_string {
            // Most bytes of most messages: text that is neither a name nor a value at the top.
            if self.role == Role::Other
                && matches!(self.escape, Escape::No)
                && byte != b'"'
                && byte != b'\\'
            {
                return self.blanking.then_some(b' ');
            }
            if matches!(self.escape, Escape::No) && byte == b'"' {
                self.end_string();
                return self.blanking.then_some(b' ');
            }
            self.string_byte(byte);
            return if self.blanking {
                Some(b' ')
            } else {
                (self.role == Role::Digit).then_some(b'x')
            };
        }
        let top = self.depth == 1 && self.in_object;
        if top && (byte == b',' || byte == b'}') {
            self.blanking = false;
        }
        let begins = top
            && self.at_value
            && self.name == Role::Digit
            && !self.blanking
            && !matches!(
                byte,
                b'"' | b':' | b',' | b'}' | b' ' | b'\t' | b'\n' | b'\r'
            );
        if begins {
            self.blanking = true;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.text = Text::EMPTY;
                self.role = match (top && !self.blanking, self.at_value) {
                    (false, _) => Role::Other,
                    (true, false) => Role::Name,
                    (true, true) => self.name,
                };
            }
            b'{' | b'[' => {
                if self.depth == 0 {
                    self.in_object = byte == b'{';
                    self.at_value = false;
                    self.name = Role::Other;
                }
                self.depth = self.depth.saturating_add(1);
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b':' if top => self.at_value = true,
            b',' if top => {
                self.at_value = false;
                self.name = Role::Other;
            }
            _ => {}
        }
        match (begins, self.blanking) {
            (true, _) => Some(b'0'),
            (false, true) => Some(b' '),
            (false, false) => None,
        }
    }

    fn string_byte(&mut self, byte: u8) {
        let decoded = match self.escape {
            Escape::No if byte == b'\\' => {
                self.escape = Escape::Begun;
                return;
            }
            Escape::No if byte.is_ascii() => byte,
            Escape::No => OTHER,
            Escape::Begun if byte == b'u' => {
                self.escape = Escape::Hex { left: 4, value: 0 };
                return;
            }
            Escape::Begun => {
                self.escape = Escape::No;
                // The other escapes of RFC 8259 stand for characters that no word and no key has.
                OTHER
            }
            Escape::Hex { left, value } => {
                let Some(nibble) = char::from(byte)
                    .to_digit(16)
                    .and_then(|n| u16::try_from(n).ok())
                else {
                    self.escape = Escape::No;
                    self.text.push(OTHER);
                    return;
                };
                let value = (value << 4) | nibble;
                if left > 1 {
                    self.escape = Escape::Hex {
                        left: left - 1,
                        value,
                    };
                    return;
                }
                self.escape = Escape::No;
                u8::try_from(value)
                    .ok()
                    .filter(u8::is_ascii)
                    .unwrap_or(OTHER)
            }
        };
        self.text.push(decoded);
    }

    fn end_string(&mut self) {
        self.in_string = false;
        match self.role {
            Role::Other => {}
            Role::Name => {
                // Members are counted by their names, whatever their values are: a doubled one makes the event unreadable.
                self.name = if self.text.is(TYPE) {
                    self.types = self.types.saturating_add(1);
                    Role::Type
                } else if self.text.is(DIGIT) {
                    self.digits = self.digits.saturating_add(1);
                    Role::Digit
                } else {
                    Role::Other
                };
            }
            Role::Type => self.dtmf |= self.text.is(DTMF),
            Role::Digit => {
                self.key = if self.text.len == 1 {
                    self.text.last
                } else {
                    OTHER
                }
            }
        }
        self.role = Role::Other;
    }
}
