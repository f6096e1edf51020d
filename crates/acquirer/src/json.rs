//! Writes a JSON object straight into locked memory: no `String`, no growth, no copy elsewhere.

use ivrpay_secret::{Buffer, Full};

/// Writes members of an object; the object is closed by [`Object::end`].
pub(crate) struct Object<'a> {
    out: &'a mut Buffer,
    first: bool,
}

impl<'a> Object<'a> {
    pub(crate) fn begin(out: &'a mut Buffer) -> Result<Self, Full> {
        out.push(b"{")?;
        Ok(Self { out, first: true })
    }

    /// A member whose value is text.
    pub(crate) fn text(&mut self, name: &str, value: &str) -> Result<(), Full> {
        self.bytes(name, value.as_bytes())
    }

    /// A member whose value is text, given as UTF-8 bytes (digits lent by a card).
    pub(crate) fn bytes(&mut self, name: &str, value: &[u8]) -> Result<(), Full> {
        self.parts(name, &[value])
    }

    /// The same, of several pieces: month and year of an expiry.
    pub(crate) fn parts(&mut self, name: &str, value: &[&[u8]]) -> Result<(), Full> {
        self.name(name)?;
        self.out.push(b"\"")?;
        for part in value {
            escaped(self.out, part)?;
        }
        self.out.push(b"\"")
    }

    /// A member that is a list of texts.
    pub(crate) fn list(&mut self, name: &str, items: &[&str]) -> Result<(), Full> {
        self.name(name)?;
        for (at, item) in items.iter().enumerate() {
            self.out.push(if at == 0 { b"[" } else { b"," })?;
            string(self.out, item.as_bytes())?;
        }
        self.out.push(b"]")
    }

    /// A member whose value is a number.
    pub(crate) fn number(&mut self, name: &str, value: u64) -> Result<(), Full> {
        self.name(name)?;
        self.out.push(value.to_string().as_bytes())
    }

    /// A member whose value is true or false.
    pub(crate) fn flag(&mut self, name: &str, value: bool) -> Result<(), Full> {
        self.name(name)?;
        self.out.push(if value { b"true" } else { b"false" })
    }

    /// A member that is an object itself.
    pub(crate) fn object(
        &mut self,
        name: &str,
        members: impl FnOnce(&mut Object<'_>) -> Result<(), Full>,
    ) -> Result<(), Full> {
        self.name(name)?;
        let mut inner = Object::begin(self.out)?;
        members(&mut inner)?;
        inner.end()
    }

    pub(crate) fn end(self) -> Result<(), Full> {
        self.out.push(b"}")
    }

    fn name(&mut self, name: &str) -> Result<(), Full> {
        if !self.first {
            self.out.push(b",")?;
        }
        self.first = false;
        string(self.out, name.as_bytes())?;
        self.out.push(b":")
    }
}

/// A JSON string (RFC 8259, 7): quotation mark, reverse solidus and control characters are escaped, all else stands as it is.
fn string(out: &mut Buffer, text: &[u8]) -> Result<(), Full> {
    out.push(b"\"")?;
    escaped(out, text)?;
    out.push(b"\"")
}

fn escaped(out: &mut Buffer, text: &[u8]) -> Result<(), Full> {
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.push(&[b'\\', byte])?,
            0..=0x1f => {
                let hex = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
                out.push(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)])?;
            }
            _ => out.push(&[byte])?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_reads_back(names in prop::collection::vec(("[a-z]{1,8}", any::<String>()), 0..6)) {
            let mut buffer = Buffer::take(4096).unwrap();
            let mut object = Object::begin(&mut buffer).unwrap();
            let mut expected = serde_json::Map::new();
            for (name, value) in names {
                prop_assume!(value.len() < 200);
                object.text(&name, &value).unwrap();
                expected.insert(name, value.into());
            }
            object.end().unwrap();
            let read: serde_json::Value = buffer.expose(|b| serde_json::from_slice(b)).unwrap();
            prop_assert_eq!(read, serde_json::Value::Object(expected));
        }
    }

    #[test]
    fn too_much_is_an_error_not_a_cut() {
        let mut buffer = Buffer::take(16).unwrap();
        let mut object = Object::begin(&mut buffer).unwrap();
        assert!(object.text("name", "more than sixteen bytes").is_err());
    }
}
