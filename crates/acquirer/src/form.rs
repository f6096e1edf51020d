//! Writes `application/x-www-form-urlencoded` straight into locked memory (WHATWG URL, 5.2).

use ivrpay_secret::{Buffer, Full};

/// Writes one field after the other.
pub(crate) struct Form<'a> {
    out: &'a mut Buffer,
    first: bool,
}

impl<'a> Form<'a> {
    pub(crate) fn begin(out: &'a mut Buffer) -> Self {
        Self { out, first: true }
    }

    /// A field of ASCII or UTF-8.
    pub(crate) fn text(&mut self, name: &str, value: &str) -> Result<(), Full> {
        self.bytes(name, value.as_bytes())
    }

    /// A field whose value is in the acquirer's charset already, or digits lent by a card.
    pub(crate) fn bytes(&mut self, name: &str, value: &[u8]) -> Result<(), Full> {
        self.parts(name, &[value])
    }

    /// A field whose value is in several pieces: month and year of an expiry.
    pub(crate) fn parts(&mut self, name: &str, value: &[&[u8]]) -> Result<(), Full> {
        if !self.first {
            self.out.push(b"&")?;
        }
        self.first = false;
        self.encoded(name.as_bytes())?;
        self.out.push(b"=")?;
        value.iter().try_for_each(|part| self.encoded(part))
    }

    fn encoded(&mut self, text: &[u8]) -> Result<(), Full> {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        for &byte in text {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                    self.out.push(&[byte])?;
                }
                b' ' => self.out.push(b"+")?,
                _ => {
                    let hex = |n: u8| HEX.get(usize::from(n)).copied().unwrap_or(b'0');
                    self.out.push(&[b'%', hex(byte >> 4), hex(byte & 15)])?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded() {
        let mut buffer = Buffer::take(256).unwrap();
        let mut form = Form::begin(&mut buffer);
        form.text("card[number]", "a b&c=d+e").unwrap();
        form.bytes("x", &[0x93, 0x64]).unwrap();
        form.parts("exp", &[b"12", b"30"]).unwrap();
        assert!(
            buffer.expose(|b| b == b"card%5Bnumber%5D=a+b%26c%3Dd%2Be&x=%93d&exp=1230".as_slice())
        );
    }
}
