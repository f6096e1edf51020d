//! From what the dialogue says to clips and words. TEMPORARY interface; being written.

use ivrpay_dialogue::Prompt;

/// Version of the table.
pub const VERSION: &str = "0";

/// Language of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Language {
    En,
    Ja,
}

impl Language {
    /// `ja`, `en`
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ja => "ja",
        }
    }
}

impl std::fmt::Display for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl std::str::FromStr for Language {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "ja" => Ok(Self::Ja),
            "en" => Ok(Self::En),
            _ => Err("languages are ja and en"),
        }
    }
}

/// Clips.
#[must_use]
pub fn clips(_prompt: &Prompt, _language: Language) -> Vec<&'static str> {
    vec!["beep"]
}

/// Text.
#[must_use]
pub fn text(prompt: &Prompt, _language: Language) -> String {
    format!("{prompt:?}")
}

/// Files.
pub fn every_file() -> impl Iterator<Item = (Language, String)> {
    std::iter::empty()
}
