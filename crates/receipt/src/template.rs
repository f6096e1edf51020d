//! A merchant's template: blocks from the top of the page to its end, with places for what a receipt says.

use serde::Deserialize;
use toml::Spanned;

use crate::model::{Kind, Language, Receipt};
use crate::words::{PLACES, place};

/// Largest template, bytes.
const BYTES_MAX: usize = 64 * 1024;

/// What keeps a template from being used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct TemplateError {
    /// From 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

/// How a receipt looks.
#[derive(Debug, Clone)]
pub struct Template {
    pub(crate) page: Page,
    /// Of the page, mm.
    pub(crate) margin: f32,
    pub(crate) accent: [u8; 3],
    pub(crate) blocks: Vec<Block>,
    text: String,
}

/// Size of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Page {
    A4,
    A5,
    A5Landscape,
}

impl Page {
    /// Width and height, mm.
    pub(crate) const fn size(self) -> (f32, f32) {
        match self {
            Self::A4 => (210.0, 297.0),
            Self::A5 => (148.0, 210.0),
            Self::A5Landscape => (210.0, 148.0),
        }
    }
}

/// Where a text stands in its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Align {
    #[default]
    Left,
    Center,
    Right,
}

/// A table that every receipt has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Table {
    Lines,
    Sums,
}

#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) what: What,
    /// Of the letters, points.
    pub(crate) size: f32,
    pub(crate) align: Align,
    pub(crate) bold: bool,
    pub(crate) accent: bool,
    pub(crate) frame: bool,
    pub(crate) underline: bool,
    /// Between letters, in their size.
    pub(crate) tracking: f32,
    /// Below it, mm.
    pub(crate) gap: f32,
    pub(crate) only: Option<Kind>,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Text(String),
    Columns(String, String),
    Table(Table),
    Rule,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default = "a4")]
    page: Page,
    #[serde(default = "twenty")]
    margin: Spanned<f32>,
    accent: Option<Spanned<String>>,
    #[serde(default)]
    block: Vec<Spanned<RawBlock>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBlock {
    text: Option<Spanned<String>>,
    left: Option<Spanned<String>>,
    right: Option<Spanned<String>>,
    table: Option<Table>,
    #[serde(default)]
    rule: bool,
    #[serde(default = "ten")]
    size: f32,
    #[serde(default)]
    align: Align,
    #[serde(default)]
    bold: bool,
    #[serde(default)]
    accent: bool,
    #[serde(default)]
    frame: bool,
    #[serde(default)]
    underline: bool,
    #[serde(default)]
    tracking: f32,
    #[serde(default)]
    gap: f32,
    only: Option<Kind>,
}

const fn a4() -> Page {
    Page::A4
}

fn twenty() -> Spanned<f32> {
    Spanned::new(0..0, 20.0)
}

const fn ten() -> f32 {
    10.0
}

impl Template {
    /// The one that is built in.
    #[must_use]
    pub fn built_in(language: Language) -> &'static str {
        match language {
            Language::Ja => include_str!("../templates/ja.toml"),
            Language::En => include_str!("../templates/en.toml"),
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`TemplateError`], with its line.
    pub fn read(text: &str) -> Result<Self, TemplateError> {
        let at = |offset: usize| text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1;
        if text.len() > BYTES_MAX {
            let what = format!("at most {BYTES_MAX} bytes");
            return Err(TemplateError { line: 1, what });
        }
        let raw: Raw = toml::from_str(text).map_err(|error| TemplateError {
            line: error.span().map_or(1, |span| at(span.start)),
            what: error.message().to_owned(),
        })?;
        let wrong = |span: std::ops::Range<usize>, what: String| TemplateError {
            line: at(span.start),
            what,
        };
        if !(5.0..=50.0).contains(raw.margin.get_ref()) {
            return Err(wrong(raw.margin.span(), "margin: 5 to 50 mm".to_owned()));
        }
        let accent = match &raw.accent {
            None => [0; 3],
            Some(text) => color(text.get_ref())
                .ok_or_else(|| wrong(text.span(), "accent: a color, as #23395b".to_owned()))?,
        };
        let mut blocks = Vec::with_capacity(raw.block.len());
        for block in raw.block {
            blocks.push(checked(block, &wrong)?);
        }
        let template = Self {
            page: raw.page,
            margin: raw.margin.into_inner(),
            accent,
            blocks,
            text: text.to_owned(),
        };
        template.is_whole()?;
        Ok(template)
    }

    /// As it was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a receipt made of it says what the law wants, in both kinds.
    fn is_whole(&self) -> Result<(), TemplateError> {
        for kind in [Kind::Receipt, Kind::Return] {
            let of = || {
                self.blocks
                    .iter()
                    .filter(move |b| b.only.is_none_or(|only| only == kind))
            };
            let texts: String = of()
                .map(|block| match &block.what {
                    What::Text(text) => text.clone(),
                    What::Columns(left, right) => format!("{left}{right}"),
                    What::Table(_) | What::Rule => String::new(),
                })
                .collect();
            let original: &[&str] = match kind {
                Kind::Receipt => &["purpose"],
                Kind::Return => &["original", "original_sold_on"],
            };
            let needed = [
                "title",
                "again",
                "test",
                "number",
                "issued_on",
                "sold_on",
                "recipient",
                "total",
                "card",
                "issuer",
                "registration",
                "note",
            ];
            let missing = needed
                .iter()
                .chain(original)
                .find(|name| !texts.contains(&format!("{{{name}}}")));
            let has =
                |table| of().any(|block| matches!(block.what, What::Table(one) if one == table));
            let what = match missing {
                Some(name) => format!("{{{name}}} stands nowhere in a {}: it has to", kind.name()),
                None if !has(Table::Lines) => format!(
                    "a {} without table = \"lines\" does not say what was sold",
                    kind.name()
                ),
                None if !has(Table::Sums) => format!(
                    "a {} without table = \"sums\" does not say its taxes",
                    kind.name()
                ),
                None => continue,
            };
            let line = self.text.lines().count().max(1);
            return Err(TemplateError { line, what });
        }
        Ok(())
    }
}

fn checked(
    block: Spanned<RawBlock>,
    wrong: &impl Fn(std::ops::Range<usize>, String) -> TemplateError,
) -> Result<Block, TemplateError> {
    let span = block.span();
    let raw = block.into_inner();
    for text in [&raw.text, &raw.left, &raw.right].into_iter().flatten() {
        if let Some((name, offset)) = unknown_place(text.get_ref()) {
            let lines = text
                .get_ref()
                .bytes()
                .take(offset)
                .filter(|b| *b == b'\n')
                .count();
            let mut error = wrong(
                text.span(),
                format!(
                    "there is no place {{{name}}}; there are {}",
                    PLACES.join(", ")
                ),
            );
            error.line += lines;
            return Err(error);
        }
    }
    for (name, value, least, most) in [
        ("size", raw.size, 5.0, 60.0),
        ("gap", raw.gap, 0.0, 100.0),
        ("tracking", raw.tracking, 0.0, 2.0),
    ] {
        if !(least..=most).contains(&value) {
            return Err(wrong(span, format!("{name}: {least} to {most}")));
        }
    }
    let columns = raw.left.is_some() || raw.right.is_some();
    let kinds = [raw.text.is_some(), columns, raw.table.is_some(), raw.rule];
    if kinds.iter().filter(|is| **is).count() != 1 {
        let what = "a block is one of: text, left and right, table, rule = true";
        return Err(wrong(span, what.to_owned()));
    }
    let inner = |text: Option<Spanned<String>>| text.map(Spanned::into_inner).unwrap_or_default();
    let what = match raw.table {
        Some(table) => What::Table(table),
        None if raw.rule => What::Rule,
        None if columns => What::Columns(inner(raw.left), inner(raw.right)),
        None => What::Text(inner(raw.text)),
    };
    Ok(Block {
        what,
        size: raw.size,
        align: raw.align,
        bold: raw.bold,
        accent: raw.accent,
        frame: raw.frame,
        underline: raw.underline,
        tracking: raw.tracking,
        gap: raw.gap,
        only: raw.only,
    })
}

fn color(text: &str) -> Option<[u8; 3]> {
    let hex = text
        .strip_prefix('#')
        .filter(|hex| hex.len() == 6 && hex.is_ascii())?;
    let part = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    Some([part(0)?, part(2)?, part(4)?])
}

/// A place that is none, and where it stands.
fn unknown_place(text: &str) -> Option<(String, usize)> {
    pieces(text).find_map(|piece| match piece {
        Piece::Place(name, at) if !PLACES.contains(&name) => Some((name.to_owned(), at)),
        _ => None,
    })
}

enum Piece<'t> {
    Text(&'t str),
    Place(&'t str, usize),
}

/// A text and its places in order; a brace without its other one is a text.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let at = text.len() - rest.len();
        if let Some(behind) = rest.strip_prefix('{')
            && let Some((name, next)) = behind.split_once('}')
        {
            rest = next;
            return Some(Piece::Place(name, at));
        }
        let from = usize::from(rest.starts_with('{'));
        let end = rest
            .bytes()
            .skip(from)
            .position(|b| b == b'{')
            .map_or(rest.len(), |end| end + from);
        let (before, next) = rest.split_at_checked(end).unwrap_or((rest, ""));
        rest = next;
        Some(Piece::Text(before))
    })
}

/// The lines of a text; one in which all places have nothing to say is left out.
pub(crate) fn filled(text: &str, receipt: &Receipt) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let (mut written, mut places, mut said) = (String::new(), 0, 0);
        for piece in pieces(line) {
            match piece {
                Piece::Text(text) => written.push_str(text),
                Piece::Place(name, _) => {
                    let value = place(receipt, name);
                    places += 1;
                    said += usize::from(!value.is_empty());
                    written.push_str(&value);
                }
            }
        }
        if places == 0 || said > 0 {
            lines.extend(written.lines().map(str::to_owned));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn the_built_in_ones_are_templates() {
        for language in [Language::Ja, Language::En] {
            Template::read(Template::built_in(language)).unwrap();
        }
    }

    /// Whoever edits one is told the line.
    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let whole = Template::built_in(Language::Ja);
        for (from, to, line, what) in [
            ("margin = 20", "margin = 200", 3, "5 to 50 mm"),
            ("accent = \"#23395b\"", "accent = \"blue\"", 4, "a color"),
            ("page = \"a4\"", "page = \"b5\"", 2, "unknown variant"),
            ("size = 26", "sise = 26", 14, "unknown field"),
            ("size = 26", "size = 2600", 12, "size: 5 to 60"),
            (
                "但し {purpose}\n上記の金額を正に",
                "但し {purpos}\n上記の金額を正に",
                49,
                "no place {purpos}",
            ),
            ("table = \"lines\"", "rule = true", 107, "what was sold"),
            (
                "登録番号 {registration}\n",
                "",
                106,
                "{registration} stands nowhere",
            ),
            (
                "table = \"sums\"",
                "table = \"sums\"\nrule = true",
                86,
                "a block is one of",
            ),
        ] {
            assert!(whole.contains(from), "{from}");
            let error = Template::read(&whole.replacen(from, to, 1)).unwrap_err();
            assert!(error.what.contains(what), "{to}: {error}");
            assert!(error.line.abs_diff(line) <= 2, "{to}: {error}");
        }
    }

    #[test]
    fn braces_without_a_place_are_text() {
        assert_eq!(unknown_place("a { b"), None);
        assert_eq!(unknown_place("{}"), Some((String::new(), 0)));
        assert_eq!(unknown_place("{title} {x}"), Some(("x".to_owned(), 8)));
    }
}
