//! The table of prompts, read once. A sentence with values is cut into the parts around them: `confirmation-1`, `confirmation-2` ...
//!
//! The table is part of the program, so a mistake in it is a bug, and panics; the tests speak every row. Does not know what a
//! value is.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::Language;

const FILE: &str = include_str!("../prompts.toml");

/// Value of the key `version`.
pub(crate) const VERSION: &str = version(FILE.as_bytes());

/// The table in one language.
pub(crate) fn table(language: Language) -> &'static Table {
    static TABLES: LazyLock<[Table; 2]> = LazyLock::new(|| {
        let file: File =
            toml::from_str(FILE).expect("the table is TOML with the keys that are known here");
        Language::ALL.map(|language| Table::read(&file, language))
    });
    let [en, ja] = &*TABLES;
    match language {
        Language::En => en,
        Language::Ja => ja,
    }
}

/// Sentences and clips of one language, by name.
pub(crate) struct Table {
    sentences: BTreeMap<String, Vec<Part>>,
    clips: BTreeMap<String, Clip>,
}

/// A part of a sentence, in the order in which it is spoken.
pub(crate) enum Part {
    /// Punctuation between values.
    Mark(String),
    /// A value goes here.
    Value(Slot),
    /// Words with a clip of their own.
    Words {
        /// Name of the clip.
        clip: String,
        /// As it is written.
        text: String,
    },
}

impl Part {
    /// Whether a pause comes before it.
    pub(crate) fn begins_with_mark(&self) -> bool {
        match self {
            Self::Mark(text) | Self::Words { text, .. } => text.starts_with(['.', ',', '。', '、']),
            Self::Value(_) => false,
        }
    }
}

/// The `{name}` of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Slot {
    Amount,
    Brands,
    Choices,
    Code,
    Count,
    Counts,
    Last4,
    Order,
    Plan,
    Plans,
    Reference,
    Telephone,
}

struct Clip {
    written: String,
    spoken: String,
}

impl Table {
    /// Parts of a sentence.
    pub(crate) fn sentence(&self, name: &str) -> &[Part] {
        self.sentences
            .get(name)
            .unwrap_or_else(|| panic!("the table has no sentence {name}"))
    }

    /// Name of a clip, as it stands in the table.
    pub(crate) fn clip(&'static self, name: &str) -> &'static str {
        self.find(name)
            .unwrap_or_else(|| panic!("the table has no clip {name}"))
    }

    /// As [`Self::clip`], for a clip that need not be there.
    pub(crate) fn find(&'static self, name: &str) -> Option<&'static str> {
        self.clips
            .get_key_value(name)
            .map(|(name, _)| name.as_str())
    }

    /// The words of a clip as they are written.
    pub(crate) fn written(&self, clip: &str) -> &str {
        self.clips
            .get(clip)
            .map_or("", |clip| clip.written.as_str())
    }

    /// What a clip says: kana without accents, or English words.
    pub(crate) fn spoken(&self, clip: &str) -> &str {
        self.clips.get(clip).map_or("", |clip| clip.spoken.as_str())
    }

    /// Every clip.
    pub(crate) fn names(&'static self) -> impl Iterator<Item = &'static str> {
        self.clips.keys().map(String::as_str)
    }

    fn read(file: &File, language: Language) -> Self {
        let mut table = Self {
            sentences: BTreeMap::new(),
            clips: BTreeMap::new(),
        };
        for row in &file.prompt {
            match language {
                Language::En => {
                    table.add_sentence(&row.name, &row.en, row.en_say.as_ref().unwrap_or(&row.en))
                }
                Language::Ja => table.add_sentence(&row.name, &row.ja, &row.kana),
            }
        }
        for (name, row) in &file.clips {
            let words = match language {
                Language::En => row.en.as_ref().map(|en| (en, en)),
                Language::Ja => row.ja.as_ref().zip(row.kana.as_ref()),
            };
            if let Some((written, spoken)) = words {
                table.add_clip(name, written, spoken);
            } else if row.silence_ms.is_some() {
                table.add_clip(name, "", "");
            }
        }
        table
    }

    fn add_sentence(&mut self, name: &str, written: &str, spoken: &str) {
        let mut said = pieces(spoken)
            .into_iter()
            .filter(|piece| matches!(piece, Piece::Words(_)));
        let pieces = pieces(written);
        let whole = pieces.len() == 1;
        let mut parts = Vec::new();
        let mut n = 0;
        for piece in pieces {
            parts.push(match piece {
                Piece::Value(slot) => Part::Value(slot),
                Piece::Mark(mark) => Part::Mark(mark.to_owned()),
                Piece::Words(text) => {
                    n += 1;
                    let clip = if whole {
                        name.to_owned()
                    } else {
                        format!("{name}-{n}")
                    };
                    let Some(Piece::Words(said)) = said.next() else {
                        panic!("{name}: text and reading are cut alike")
                    };
                    self.add_clip(&clip, text, said);
                    Part::Words {
                        clip,
                        text: text.to_owned(),
                    }
                }
            });
        }
        let before = self.sentences.insert(name.to_owned(), parts);
        assert!(before.is_none(), "{name} stands in the table twice");
    }

    fn add_clip(&mut self, name: &str, written: &str, spoken: &str) {
        let spoken = spoken.replace('\'', "").trim().to_owned();
        let before = self.clips.insert(
            name.to_owned(),
            Clip {
                written: written.to_owned(),
                spoken,
            },
        );
        assert!(
            before.is_none(),
            "the clip {name} stands in the table twice"
        );
    }
}

enum Piece<'a> {
    Mark(&'a str),
    Value(Slot),
    Words(&'a str),
}

/// Cuts `words {value} words`.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for (n, chunk) in text.split(['{', '}']).enumerate() {
        if n % 2 == 1 {
            let slot = Slot::deserialize(serde::de::value::StrDeserializer::<
                serde::de::value::Error,
            >::new(chunk));
            pieces.push(Piece::Value(slot.expect("the value is one of Slot's")));
        } else if chunk.contains(char::is_alphanumeric) {
            pieces.push(Piece::Words(chunk));
        } else if !chunk.is_empty() {
            pieces.push(Piece::Mark(chunk));
        }
    }
    pieces
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "`scripts/prompts` and the tests read the rest")]
struct File {
    version: String,
    prompt: Vec<Row>,
    clips: BTreeMap<String, ClipRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "`scripts/prompts` and the tests read the rest")]
struct Row {
    name: String,
    ja: String,
    kana: String,
    en: String,
    en_say: Option<String>,
    menu: Option<bool>,
    own_reading: Option<bool>,
    ja_rate: Option<f32>,
    en_rate: Option<f32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "`scripts/prompts` and the tests read the rest")]
struct ClipRow {
    ja: Option<String>,
    kana: Option<String>,
    en: Option<String>,
    en_say: Option<String>,
    own_reading: Option<bool>,
    silence_ms: Option<u32>,
}

/// The text between the quotes of the line `version = "…"`.
const fn version(file: &'static [u8]) -> &'static str {
    const KEY: &[u8] = b"\nversion = \"";
    let mut rest = file;
    while !starts_with(rest, KEY) {
        let Some((_, tail)) = rest.split_first() else {
            panic!("the table has a version")
        };
        rest = tail;
    }
    let (_, value) = rest.split_at(KEY.len());
    let mut length = 0;
    while value[length] != b'"' {
        length += 1;
    }
    match str::from_utf8(value.split_at(length).0) {
        Ok(version) => version,
        Err(_) => panic!("the version is UTF-8"),
    }
}

const fn starts_with(text: &[u8], start: &[u8]) -> bool {
    if text.len() < start.len() {
        return false;
    }
    let mut n = 0;
    while n < start.len() {
        if text[n] != start[n] {
            return false;
        }
        n += 1;
    }
    true
}
