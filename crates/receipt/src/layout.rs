//! A receipt on paper: places of texts and lines from the top to the end, and the PDF of that.
//!
//! The same receipt by the same template and font is the same file, byte by byte: nothing here knows the time or chance.

use std::sync::Arc;

use krilla::color::rgb;
use krilla::configure::{Archival, ConfigurationBuilder};
use krilla::geom::{PathBuilder, Point};
use krilla::metadata::{DateTime, Metadata};
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::{Fill, Stroke};
use krilla::text::{GlyphId, KrillaGlyph};
use krilla::{Document, SerializeSettings};
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider as _};

use crate::model::{Language, Receipt};
use crate::template::{Align, Block, Table, Template, What, filled};
use crate::words;

/// Points of a millimetre.
const MM: f32 = 72.0 / 25.4;
/// From one line of a text to the next, in its size.
const LEADING: f32 = 1.55;
/// Largest file of a font, bytes.
const FONT_BYTES_MAX: usize = 64 * 1024 * 1024;
const BLACK: [u8; 3] = [20, 20, 20];
const GREY: [u8; 3] = [150, 150, 150];

/// What keeps a file from being a font.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no OpenType or TrueType font that can be embedded, or has no face of this number")]
pub struct FontError;

/// Why there is no PDF.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PdfError {
    /// The font has not every letter.
    #[error(
        "the font has no glyph for {0:?}: name another one in [tenants.receipt] font, or write it otherwise"
    )]
    Glyph(char),
    /// The library says so.
    #[error("the PDF can't be made: {0}")]
    Library(String),
}

/// A font that is embedded, as far as its letters are used.
#[derive(Clone)]
pub struct Font {
    data: Arc<Vec<u8>>,
    face: u32,
    embedded: krilla::text::Font,
}

impl Font {
    /// Reads a font; `face` of a collection, else 0.
    ///
    /// # Errors
    /// [`FontError`].
    pub fn new(data: Vec<u8>, face: u32) -> Result<Self, FontError> {
        if data.len() > FONT_BYTES_MAX {
            return Err(FontError);
        }
        let data = Arc::new(data);
        FontRef::from_index(&data, face).map_err(|_| FontError)?;
        let embedded = krilla::text::Font::new(Arc::clone(&data).into(), face).ok_or(FontError)?;
        Ok(Self {
            data,
            face,
            embedded,
        })
    }

    /// The first letter of a text that it does not have.
    #[must_use]
    pub fn lacks(&self, text: &str) -> Option<char> {
        let Ok(font) = FontRef::from_index(&self.data, self.face) else {
            return text.chars().next();
        };
        let letters = font.charmap();
        text.chars()
            .find(|letter| *letter != '\n' && letters.map(*letter).is_none())
    }

    fn face(&self) -> Result<Face<'_>, PdfError> {
        let font = FontRef::from_index(&self.data, self.face)
            .map_err(|_| PdfError::Library(FontError.to_string()))?;
        Ok(Face {
            letters: font.charmap(),
            widths: font.glyph_metrics(Size::unscaled(), LocationRef::default()),
            per_em: f32::from(
                font.metrics(Size::unscaled(), LocationRef::default())
                    .units_per_em,
            ),
        })
    }
}

struct Face<'f> {
    letters: skrifa::charmap::Charmap<'f>,
    widths: skrifa::metrics::GlyphMetrics<'f>,
    per_em: f32,
}

impl Face<'_> {
    /// Which glyph, and how wide, in its size.
    fn letter(&self, letter: char) -> Result<(u32, f32), PdfError> {
        let glyph = self.letters.map(letter).ok_or(PdfError::Glyph(letter))?;
        let width = self.widths.advance_width(glyph).unwrap_or(self.per_em);
        Ok((glyph.to_u32(), width / self.per_em))
    }

    fn width(&self, text: &str, style: Style) -> Result<f32, PdfError> {
        let mut width = 0.0;
        for letter in text.chars() {
            width += self.letter(letter)?.1 + style.tracking;
        }
        Ok((width - style.tracking).max(0.0) * style.size)
    }

    /// As many lines as it needs in that width: words stay whole where they fit.
    fn wrap(&self, text: &str, style: Style, width: f32) -> Result<Vec<String>, PdfError> {
        let mut lines = Vec::new();
        let mut line = String::new();
        let mut used = 0.0;
        for letter in text.chars() {
            let wide = (self.letter(letter)?.1 + style.tracking) * style.size;
            if used + wide > width && !line.is_empty() {
                let kept = match line.rsplit_once(' ') {
                    Some((before, word))
                        if letter.is_ascii_alphanumeric() && !before.is_empty() =>
                    {
                        let word = word.to_owned();
                        line = before.to_owned();
                        word
                    }
                    _ => String::new(),
                };
                lines.push(std::mem::take(&mut line));
                used = self.width(&kept, style)?;
                line = kept;
            }
            if letter != ' ' || !line.is_empty() {
                line.push(letter);
                used += wide;
            }
        }
        lines.push(line);
        Ok(lines)
    }
}

#[derive(Clone, Copy)]
struct Style {
    size: f32,
    color: [u8; 3],
    bold: bool,
    tracking: f32,
}

/// What is drawn on a page.
enum Ink {
    Text {
        x: f32,
        y: f32,
        text: String,
        style: Style,
    },
    Line {
        from: (f32, f32),
        to: (f32, f32),
        width: f32,
        color: [u8; 3],
    },
}

struct Sheet<'f> {
    face: Face<'f>,
    pages: Vec<Vec<Ink>>,
    /// Where the next thing goes, from the top.
    y: f32,
    left: f32,
    right: f32,
    top: f32,
    bottom: f32,
}

impl Sheet<'_> {
    fn ink(&mut self, ink: Ink) {
        if let Some(page) = self.pages.last_mut() {
            page.push(ink);
        }
    }

    /// Begins another page where there is no room for so much.
    fn room(&mut self, height: f32) -> bool {
        let full = self.y + height > self.bottom && self.y > self.top;
        if full {
            self.pages.push(Vec::new());
            self.y = self.top;
        }
        full
    }

    fn text(
        &mut self,
        text: &str,
        style: Style,
        align: Align,
        (left, right): (f32, f32),
    ) -> Result<(), PdfError> {
        let width = self.face.width(text, style)?;
        let x = match align {
            Align::Left => left,
            Align::Center => left + (right - left - width) / 2.0,
            Align::Right => right - width,
        };
        let y = self.y + style.size * (0.5 + LEADING / 2.0 - 0.12);
        self.ink(Ink::Text {
            x,
            y,
            text: text.to_owned(),
            style,
        });
        Ok(())
    }

    fn rule(&mut self, (left, right): (f32, f32), y: f32, width: f32, color: [u8; 3]) {
        self.ink(Ink::Line {
            from: (left, y),
            to: (right, y),
            width,
            color,
        });
    }

    fn block(&mut self, block: &Block, receipt: &Receipt, accent: [u8; 3]) -> Result<(), PdfError> {
        let style = Style {
            size: block.size,
            color: if block.accent { accent } else { BLACK },
            bold: block.bold,
            tracking: block.tracking,
        };
        let began = (self.pages.len(), self.y);
        match &block.what {
            What::Text(text) => self.paragraphs(&filled(text, receipt), block, style)?,
            What::Columns(left, right) => {
                let (left, right) = (filled(left, receipt), filled(right, receipt));
                self.columns(&left, &right, style)?;
            }
            What::Table(Table::Lines) => self.lines(receipt, style, accent)?,
            What::Table(Table::Sums) => self.sums(receipt, style, accent)?,
            What::Rule => {
                self.room(style.size);
                self.rule((self.left, self.right), self.y, 0.7, accent);
                self.y += 1.0;
            }
        }
        // What says nothing takes no room.
        if (self.pages.len(), self.y) != began {
            self.y += block.gap * MM;
        }
        Ok(())
    }

    fn paragraphs(
        &mut self,
        lines: &[String],
        block: &Block,
        style: Style,
    ) -> Result<(), PdfError> {
        let height = style.size * LEADING;
        let inset = if block.frame { 4.0 * MM } else { 0.0 };
        let (left, right) = (self.left + inset, self.right - inset);
        for line in lines {
            for part in self.face.wrap(line, style, right - left)? {
                self.room(height + inset);
                let top = self.y;
                if block.frame {
                    self.y += 1.6 * MM;
                }
                self.text(&part, style, block.align, (left, right))?;
                self.y += height;
                if block.frame {
                    self.y += 1.6 * MM;
                    for y in [top, self.y] {
                        self.rule((self.left, self.right), y, 0.9, BLACK);
                    }
                }
                if block.underline {
                    self.rule((left, left + (right - left) * 0.72), self.y, 0.7, BLACK);
                    self.y += 1.0;
                }
            }
        }
        Ok(())
    }

    fn columns(&mut self, left: &[String], right: &[String], style: Style) -> Result<(), PdfError> {
        let height = style.size * LEADING;
        let middle = self.left + (self.right - self.left) * 0.58;
        let mut sides = Vec::new();
        for (texts, from, to) in [
            (left, self.left, middle - 4.0 * MM),
            (right, middle, self.right),
        ] {
            let mut lines = Vec::new();
            for text in texts {
                lines.append(&mut self.face.wrap(text, style, to - from)?);
            }
            sides.push((lines, from, to));
        }
        let most = sides
            .iter()
            .map(|(lines, ..)| lines.len())
            .max()
            .unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "some lines of a page")]
        self.room(most as f32 * height);
        let began = self.y;
        let mut ended = began;
        for (lines, from, to) in sides {
            self.y = began;
            for line in lines {
                self.text(&line, style, Align::Left, (from, to))?;
                self.y += height;
            }
            ended = ended.max(self.y);
        }
        self.y = ended;
        Ok(())
    }

    fn lines(&mut self, receipt: &Receipt, style: Style, accent: [u8; 3]) -> Result<(), PdfError> {
        let heads = words::line_heads(receipt.language).map(str::to_owned);
        let rows = receipt
            .lines
            .iter()
            .map(|line| words::line(receipt, line).to_vec());
        self.table(&heads, rows.collect(), &[0.62, 0.14, 0.24], style, accent)
    }

    fn sums(&mut self, receipt: &Receipt, style: Style, accent: [u8; 3]) -> Result<(), PdfError> {
        let heads = words::sum_heads(receipt.language).map(str::to_owned);
        let rows = receipt
            .sums
            .iter()
            .map(|sum| words::sum(receipt, sum).to_vec());
        let (mut rows, mut shares): (Vec<_>, Vec<f32>) =
            (rows.collect(), vec![0.28, 0.24, 0.24, 0.24]);
        let mut heads = heads.to_vec();
        // Who may show no tax has two columns.
        if receipt.sums.iter().all(|sum| sum.tax.is_none()) {
            heads.drain(1..3);
            for row in &mut rows {
                row.drain(1..3);
            }
            shares = vec![0.6, 0.4];
        }
        self.table(&heads, rows, &shares, style, accent)
    }

    /// The first column to the left, the others to the right; its heads again on each page.
    fn table(
        &mut self,
        heads: &[String],
        rows: Vec<Vec<String>>,
        shares: &[f32],
        style: Style,
        accent: [u8; 3],
    ) -> Result<(), PdfError> {
        let whole = self.right - self.left;
        let mut edges = vec![self.left];
        for share in shares {
            let last = edges.last().copied().unwrap_or(self.left);
            edges.push(last + share * whole);
        }
        let height = style.size * LEADING;
        let head = Style {
            bold: true,
            color: accent,
            ..style
        };
        self.room(height * 3.0);
        self.heads(heads, &edges, head, height)?;
        for row in rows {
            let first_width = edges.get(1).copied().unwrap_or(self.right) - self.left - 2.0 * MM;
            let wrapped = match row.first() {
                Some(first) => self.face.wrap(first, style, first_width)?,
                None => Vec::new(),
            };
            #[expect(clippy::cast_precision_loss, reason = "some lines of a page")]
            if self.room(height * wrapped.len() as f32) {
                self.heads(heads, &edges, head, height)?;
            }
            let began = self.y;
            for line in &wrapped {
                self.text(line, style, Align::Left, (self.left, self.right))?;
                self.y += height;
            }
            let ended = self.y;
            self.y = began;
            for (cell, pair) in row.iter().zip(edges.windows(2)).skip(1) {
                if let [from, to] = pair {
                    self.text(cell, style, Align::Right, (*from, *to))?;
                }
            }
            self.y = ended;
            self.rule((self.left, self.right), self.y, 0.3, GREY);
        }
        Ok(())
    }

    fn heads(
        &mut self,
        heads: &[String],
        edges: &[f32],
        style: Style,
        height: f32,
    ) -> Result<(), PdfError> {
        self.rule((self.left, self.right), self.y, 0.8, style.color);
        for (at, (name, pair)) in heads.iter().zip(edges.windows(2)).enumerate() {
            if let [from, to] = pair {
                let align = if at == 0 { Align::Left } else { Align::Right };
                self.text(name, style, align, (*from, *to))?;
            }
        }
        self.y += height;
        self.rule((self.left, self.right), self.y, 0.8, style.color);
        Ok(())
    }
}

/// The file of a receipt, PDF/A-2b.
///
/// # Errors
/// [`PdfError`].
pub fn pdf(receipt: &Receipt, template: &Template, font: &Font) -> Result<Vec<u8>, PdfError> {
    let (width, height) = template.page.size();
    let (width, height, margin) = (width * MM, height * MM, template.margin * MM);
    let mut sheet = Sheet {
        face: font.face()?,
        pages: vec![Vec::new()],
        y: margin,
        left: margin,
        right: width - margin,
        top: margin,
        bottom: height - margin,
    };
    for block in &template.blocks {
        if block.only.is_none_or(|only| only == receipt.kind) {
            sheet.block(block, receipt, template.accent)?;
        }
    }
    number_pages(&mut sheet, receipt, margin)?;
    let Sheet { face, pages, .. } = sheet;
    draw(receipt, &pages, (width, height), &face, font)
}

/// Whose pages these are, where there is more than one.
fn number_pages(sheet: &mut Sheet<'_>, receipt: &Receipt, margin: f32) -> Result<(), PdfError> {
    let count = sheet.pages.len();
    if count < 2 {
        return Ok(());
    }
    let style = Style {
        size: 8.0,
        color: BLACK,
        bold: false,
        tracking: 0.0,
    };
    for at in 0..count {
        let text = format!("No. {}  {}/{count}", receipt.number, at + 1);
        let width = sheet.face.width(&text, style)?;
        let ink = Ink::Text {
            x: sheet.right - width,
            y: sheet.bottom + margin / 2.0,
            text,
            style,
        };
        if let Some(page) = sheet.pages.get_mut(at) {
            page.push(ink);
        }
    }
    Ok(())
}

fn draw(
    receipt: &Receipt,
    pages: &[Vec<Ink>],
    (width, height): (f32, f32),
    face: &Face<'_>,
    font: &Font,
) -> Result<Vec<u8>, PdfError> {
    let library = |what: &str| PdfError::Library(what.to_owned());
    let configuration = ConfigurationBuilder::new()
        .with_archival_validator(Archival::A2_B)
        .finish()
        .map_err(|_| library("PDF/A-2b is not known"))?;
    let mut document = Document::new_with(SerializeSettings {
        configuration,
        ..SerializeSettings::default()
    });
    let issued = receipt.issued_on;
    let part = |number: i8| u8::try_from(number).unwrap_or(1);
    let written = DateTime::new(u16::try_from(issued.year()).unwrap_or_default())
        .month(part(issued.month()))
        .day(part(issued.day()))
        .hour(0)
        .minute(0)
        .second(0)
        .utc_offset_hour(0)
        .utc_offset_minute(0);
    let language = match receipt.language {
        Language::Ja => "ja",
        Language::En => "en",
    };
    document.set_metadata(
        Metadata::new()
            .title(format!("{} {}", words::title(receipt), receipt.number))
            .authors(vec![receipt.issuer.clone()])
            .creator("ivrpay".to_owned())
            .language(language.to_owned())
            .creation_date(written)
            .document_id(format!(
                "{}/{}/{}",
                receipt.payment, receipt.number, receipt.issue
            )),
    );
    for inks in pages {
        let settings =
            PageSettings::from_wh(width, height).ok_or_else(|| library("no such page"))?;
        let mut page = document.start_page_with(settings);
        let mut surface = page.surface();
        for ink in inks {
            match ink {
                Ink::Line {
                    from,
                    to,
                    width,
                    color,
                } => {
                    let mut path = PathBuilder::new();
                    path.move_to(from.0, from.1);
                    path.line_to(to.0, to.1);
                    surface.set_fill(None);
                    surface.set_stroke(Some(stroke(*color, *width)));
                    if let Some(path) = path.finish() {
                        surface.draw_path(&path);
                    }
                }
                Ink::Text { x, y, text, style } => {
                    let mut glyphs = Vec::with_capacity(text.len());
                    for (at, letter) in text.char_indices() {
                        let (glyph, advance) = face.letter(letter)?;
                        glyphs.push(KrillaGlyph::new(
                            GlyphId::new(glyph),
                            advance + style.tracking,
                            0.0,
                            0.0,
                            0.0,
                            at..at + letter.len_utf8(),
                            None,
                        ));
                    }
                    surface.set_fill(Some(Fill {
                        paint: rgb(style.color).into(),
                        opacity: NormalizedF32::ONE,
                        rule: krilla::paint::FillRule::default(),
                    }));
                    surface.set_stroke(style.bold.then(|| stroke(style.color, style.size * 0.025)));
                    let start = Point::from_xy(*x, *y);
                    surface.draw_glyphs(
                        start,
                        &glyphs,
                        font.embedded.clone(),
                        text,
                        style.size,
                        false,
                    );
                }
            }
        }
        surface.finish();
        page.finish();
    }
    document
        .finish()
        .map_err(|error| library(&format!("{error:?}")))
}

fn rgb([red, green, blue]: [u8; 3]) -> rgb::Color {
    rgb::Color::new(red, green, blue)
}

fn stroke(color: [u8; 3], width: f32) -> Stroke {
    Stroke {
        paint: rgb(color).into(),
        width,
        ..Stroke::default()
    }
}
