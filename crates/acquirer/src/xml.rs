//! XML: requests written straight into locked memory, answers read into a small tree.

use ivrpay_secret::{Buffer, Full};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Deepest element of an answer.
const DEPTH_MAX: usize = 16;
/// Most elements of an answer.
const ELEMENTS_MAX: usize = 2_000;

/// Writes elements; the caller closes what it opens.
pub(crate) struct Writer<'a>(&'a mut Buffer);

impl<'a> Writer<'a> {
    pub(crate) fn begin(out: &'a mut Buffer, prolog: &str) -> Result<Self, Full> {
        out.push(prolog.as_bytes())?;
        Ok(Self(out))
    }

    /// An element with attributes and what `inside` writes.
    pub(crate) fn element(
        &mut self,
        name: &str,
        attributes: &[(&str, &str)],
        inside: impl FnOnce(&mut Self) -> Result<(), Full>,
    ) -> Result<(), Full> {
        self.0.push(b"<")?;
        self.0.push(name.as_bytes())?;
        for (name, value) in attributes {
            self.0.push(b" ")?;
            self.0.push(name.as_bytes())?;
            self.0.push(b"=\"")?;
            self.escaped(value.as_bytes())?;
            self.0.push(b"\"")?;
        }
        self.0.push(b">")?;
        inside(self)?;
        self.0.push(b"</")?;
        self.0.push(name.as_bytes())?;
        self.0.push(b">")
    }

    /// An element that holds text, in the document's charset, or digits lent by a card.
    pub(crate) fn text(&mut self, name: &str, value: &[u8]) -> Result<(), Full> {
        self.parts(name, &[value])
    }

    /// The same, of several pieces.
    pub(crate) fn parts(&mut self, name: &str, value: &[&[u8]]) -> Result<(), Full> {
        self.element(name, &[], |inside| {
            value.iter().try_for_each(|part| inside.escaped(part))
        })
    }

    /// Text inside an element (XML 1.0, 2.4). Only ASCII is escaped: no second byte of Windows-31J is one of these (they are 0x40 and above).
    pub(crate) fn escaped(&mut self, text: &[u8]) -> Result<(), Full> {
        for &byte in text {
            match byte {
                b'&' => self.0.push(b"&amp;")?,
                b'<' => self.0.push(b"&lt;")?,
                b'>' => self.0.push(b"&gt;")?,
                b'"' => self.0.push(b"&quot;")?,
                _ => self.0.push(&[byte])?,
            }
        }
        Ok(())
    }
}

/// An element of an answer.
#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    /// Its own text, ends trimmed.
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// Reads a whole document. `None` when it is none: cut off, not nested, too deep, with an entity of its own.
    pub(crate) fn read(document: &str) -> Option<Self> {
        let mut reader = Reader::from_str(document);
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        let mut elements = 0;
        let close = |open: &mut Vec<Self>, root: &mut Option<Self>| -> Option<()> {
            let mut done = open.pop()?;
            done.text = done.text.trim().to_owned();
            match open.last_mut() {
                Some(parent) => parent.children.push(done),
                None => *root = Some(done),
            }
            Some(())
        };
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => {
                    elements += 1;
                    if root.is_some() || open.len() >= DEPTH_MAX || elements > ELEMENTS_MAX {
                        return None;
                    }
                    open.push(Self::named(&start)?);
                }
                Event::Empty(start) => {
                    elements += 1;
                    if root.is_some() || open.len() >= DEPTH_MAX || elements > ELEMENTS_MAX {
                        return None;
                    }
                    open.push(Self::named(&start)?);
                    close(&mut open, &mut root)?;
                }
                Event::End(_) => close(&mut open, &mut root)?,
                Event::Text(text) => {
                    let text = text.xml10_content();
                    match open.last_mut() {
                        Some(element) => element.text.push_str(&text),
                        None if text.trim().is_empty() => {}
                        None => return None,
                    }
                }
                Event::CData(text) => open.last_mut()?.text.push_str(&text),
                Event::GeneralRef(name) => {
                    let text = match name.resolve_char_ref().ok()? {
                        Some(c) => c.to_string(),
                        None => quick_xml::escape::resolve_predefined_entity(&name)?.to_owned(),
                    };
                    open.last_mut()?.text.push_str(&text);
                }
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
                // A document type may define entities.
                Event::DocType(_) => return None,
                Event::Eof => return if open.is_empty() { root } else { None },
            }
        }
    }

    fn named(start: &BytesStart<'_>) -> Option<Self> {
        let name = start.name().as_ref().to_owned();
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.ok()?;
            let name = attribute.key.as_ref().to_owned();
            let value = quick_xml::escape::unescape(&attribute.value).ok()?;
            attributes.push((name, value.into_owned()));
        }
        Some(Self {
            name,
            attributes,
            ..Self::default()
        })
    }

    /// The first element below by its names, one a level: `"result/status"`.
    pub(crate) fn at(&self, path: &str) -> Option<&Self> {
        path.split('/').try_fold(self, |element, name| {
            element.children.iter().find(|child| child.name == name)
        })
    }

    /// Its text; `None` when it is not there or empty.
    pub(crate) fn text_at(&self, path: &str) -> Option<&str> {
        let text = self.at(path)?.text.as_str();
        (!text.is_empty()).then_some(text)
    }

    /// An attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(n, _)| n == name)?;
        Some(found.1.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut buffer = Buffer::take(512).unwrap();
        let mut xml = Writer::begin(&mut buffer, "<?xml version=\"1.0\"?>").unwrap();
        xml.element("a", &[("id", "1<\"2\"")], |xml| {
            xml.text("b", b"x & <y>")?;
            xml.element("c", &[], |xml| xml.parts("d", &[b"20", b"30"]))
        })
        .unwrap();
        let text = buffer.expose(|b| String::from_utf8(b.to_vec()).unwrap());
        let read = Element::read(&text).unwrap();
        assert_eq!(read.attribute("id"), Some("1<\"2\""));
        assert_eq!(read.text_at("b"), Some("x & <y>"));
        assert_eq!(read.text_at("c/d"), Some("2030"));
        assert_eq!(read.text_at("c"), None);
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for wrong in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a>&other;</a>",
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
            &"<a>".repeat(17),
        ] {
            assert!(Element::read(wrong).is_none(), "{wrong}");
        }
        assert!(Element::read("<?xml version='1.0'?>\n<a>&#65;</a>\n").is_some());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(<[a-c]>|</[a-c]>|<[a-c]/>|&[a-z]*;|[ -~]){0,40}") {
            drop(Element::read(&text));
        }
    }
}
