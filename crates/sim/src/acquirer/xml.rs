//! As much of XML as acquirers' servers need: elements with text or with elements, no mixture.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

#[derive(Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    /// As it stands, blanks included.
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// `None`: not well-formed, or with a document type.
    pub(crate) fn read(document: &str) -> Option<Self> {
        let mut reader = Reader::from_str(document);
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => open.push(Self::begun(&start)?),
                Event::Empty(start) => open.last_mut()?.children.push(Self::begun(&start)?),
                Event::End(_) => {
                    let done = open.pop()?;
                    open.last_mut()?.children.push(done);
                }
                Event::Text(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
                Event::CData(text) => open.last_mut()?.text.push_str(&text),
                Event::GeneralRef(name) => {
                    let text = match name.resolve_char_ref().ok()? {
                        Some(c) => c.to_string(),
                        None => quick_xml::escape::resolve_predefined_entity(&name)?.to_owned(),
                    };
                    open.last_mut()?.text.push_str(&text);
                }
                Event::DocType(_) => return None,
                Event::Eof => break,
                _ => {}
            }
        }
        let document = open.pop().filter(|_| open.is_empty())?;
        let [root] = <[Self; 1]>::try_from(document.children).ok()?;
        document.text.trim().is_empty().then_some(root)
    }

    fn begun(start: &BytesStart<'_>) -> Option<Self> {
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.ok()?;
            let value = quick_xml::escape::unescape(&attribute.value).ok()?;
            attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
        }
        Some(Self {
            name: start.name().as_ref().to_owned(),
            attributes,
            ..Self::default()
        })
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(n, _)| n == name)?;
        Some(found.1.as_str())
    }

    /// The text of an element below, by names with `/` between them; empty when it is not there.
    pub(crate) fn at(&self, path: &str) -> &str {
        let found = path.split('/').try_fold(self, |element, name| {
            element.children.iter().find(|child| child.name == name)
        });
        found.map_or("", |element| element.text.as_str())
    }

    /// The paths of all elements that hold no others, in the document's order, with their texts.
    pub(crate) fn leaves(&self) -> Vec<(String, &str)> {
        let mut all = Vec::new();
        for child in &self.children {
            if child.children.is_empty() {
                all.push((child.name.clone(), child.text.as_str()));
            }
            let below = child.leaves().into_iter();
            all.extend(below.map(|(path, text)| (format!("{}/{path}", child.name), text)));
        }
        all
    }

    /// What of it is none of `known`, or stands twice.
    pub(crate) fn stranger(&self, known: &[&str]) -> Option<String> {
        let leaves = self.leaves();
        let twice = |at: usize, path: &str| leaves.iter().take(at).any(|(p, _)| p == path);
        let mut numbered = leaves.iter().enumerate();
        let found =
            numbered.find(|(at, (path, _))| !known.contains(&path.as_str()) || twice(*at, path));
        found.map(|(_, (path, _))| path.clone())
    }
}
