//! Values inside a sentence: an amount, the last four, a reference, brands, a choice of orders, what is spelt; as clips and as written.

use ivrpay_dialogue::{Brands, Choices, Spelt};
use ivrpay_payment::{Currency, Money, Truncated};

use crate::Language;
use crate::number::{english, grouped, japanese};
use crate::table::table;

/// A value of a sentence.
pub(crate) enum Value {
    Amount(Money),
    Brands(Brands),
    /// The amounts, each with its key.
    Choices(Choices),
    /// How many they are.
    Count(Choices),
    Last4(Truncated),
    /// Up to eight digits.
    Reference(u32),
    Spelt(Spelt),
}

impl Value {
    pub(crate) fn clips(&self, language: Language) -> Vec<&'static str> {
        let names = match self {
            Self::Amount(amount) => amount_clips(*amount, language),
            Self::Brands(brands) => brand_clips(*brands),
            Self::Choices(choices) => choice_clips(choices, language),
            Self::Count(choices) => vec![count_clip(choices)],
            Self::Last4(card) => digit_clips(&card.last4_text()),
            Self::Reference(reference) => digit_clips(&reference.to_string()),
            Self::Spelt(signs) => sign_clips(signs.text()),
        };
        names
            .iter()
            .map(|name| table(language).clip(name))
            .collect()
    }

    pub(crate) fn text(&self, language: Language) -> String {
        match self {
            Self::Amount(amount) => amount_text(*amount, language),
            Self::Brands(brands) => brand_text(*brands, language),
            Self::Choices(choices) => choice_text(choices, language),
            Self::Count(choices) => table(language).written(&count_clip(choices)).to_owned(),
            Self::Last4(card) => card.last4_text(),
            Self::Reference(reference) => reference.to_string(),
            Self::Spelt(signs) => signs.text().to_owned(),
        }
    }
}

fn amount_clips(amount: Money, language: Language) -> Vec<String> {
    if (language, amount.currency()) == (Language::Ja, Currency::Jpy) {
        return yen(amount.minor());
    }
    let mut clips = Vec::new();
    for (number, unit) in counted(amount) {
        if language == Language::En && !clips.is_empty() {
            clips.push("and".to_owned());
        }
        match language {
            Language::En => clips.extend(english(number)),
            Language::Ja => clips.extend(
                japanese(number)
                    .into_iter()
                    .map(|value| format!("number-{value}")),
            ),
        }
        clips.push(unit_clip(&unit, number, language).to_owned());
    }
    clips
}

/// 円 changes the number before it (よえん), so the last place and 円 are one clip.
fn yen(number: u64) -> Vec<String> {
    let mut places = japanese(number);
    let last = places.pop();
    places
        .into_iter()
        .map(|value| format!("number-{value}"))
        .chain(last.map(|value| format!("yen-{value}")))
        .collect()
}

fn amount_text(amount: Money, language: Language) -> String {
    if (language, amount.currency()) == (Language::Ja, Currency::Jpy) {
        return format!("{}円", grouped(amount.minor()));
    }
    let said: Vec<String> = counted(amount)
        .map(|(number, unit)| {
            let unit = table(language).written(unit_clip(&unit, number, language));
            match language {
                Language::En => format!("{} {unit}", grouped(number)),
                Language::Ja => format!("{}{unit}", grouped(number)),
            }
        })
        .collect();
    said.join(if language == Language::En {
        " and "
    } else {
        ""
    })
}

/// What is counted, and the clip of its unit; nothing is said of a zero.
fn counted(amount: Money) -> impl Iterator<Item = (u64, String)> {
    let (whole, rest) = amount.parts();
    let currency = amount.currency();
    let small = match currency {
        Currency::Chf => "centime",
        Currency::Gbp => "penny",
        _ => "cent",
    };
    let units = [
        (
            whole,
            format!("unit-{}", currency.code().to_ascii_lowercase()),
        ),
        (rest, format!("unit-{small}")),
    ];
    units.into_iter().filter(|(number, _)| *number > 0)
}

/// `unit-usd-1` is the singular, where the language has one.
fn unit_clip(unit: &str, number: u64, language: Language) -> &'static str {
    let table = table(language);
    let singular = (number == 1)
        .then(|| table.find(&format!("{unit}-1")))
        .flatten();
    singular.unwrap_or_else(|| table.clip(unit))
}

/// One by one, in groups of four.
fn digit_clips(digits: &str) -> Vec<String> {
    let mut clips = Vec::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && n.is_multiple_of(4) {
            clips.push("pause".to_owned());
        }
        clips.push(format!("digit-{digit}"));
    }
    clips
}

/// One by one; a pause at each hyphen, or where there is none in groups of four.
fn sign_clips(signs: &str) -> Vec<String> {
    let hyphens = signs.contains('-');
    let mut clips = Vec::new();
    for (n, sign) in signs.chars().enumerate() {
        match sign {
            '-' => clips.push("pause".to_owned()),
            _ if !hyphens && n > 0 && n.is_multiple_of(4) => {
                clips.extend(["pause".to_owned(), sign_clip(sign)]);
            }
            _ => clips.push(sign_clip(sign)),
        }
    }
    clips
}

fn sign_clip(sign: char) -> String {
    if sign.is_ascii_digit() {
        format!("digit-{sign}")
    } else {
        format!("letter-{}", sign.to_ascii_lowercase())
    }
}

fn count_clip(choices: &Choices) -> String {
    format!("orders-{}", choices.iter().count())
}

/// Amount and key in Japanese, key and amount in English.
fn choice_clips(choices: &Choices, language: Language) -> Vec<String> {
    let mut clips = Vec::new();
    for (key, amount) in choices.iter() {
        if key > 1 {
            clips.push("pause".to_owned());
        }
        let name = choice_clip(choices, key, language);
        match language {
            Language::En => {
                clips.push(name);
                clips.extend(amount_clips(amount, language));
            }
            Language::Ja => {
                clips.extend(amount_clips(amount, language));
                clips.push(name);
            }
        }
    }
    clips
}

fn choice_text(choices: &Choices, language: Language) -> String {
    let said: Vec<String> = choices
        .iter()
        .map(|(key, amount)| {
            let amount = amount_text(amount, language);
            match language {
                Language::En => format!("{key} for {amount}"),
                Language::Ja => {
                    let name = choice_clip(choices, key, language);
                    format!("{amount}{}", table(language).written(&name))
                }
            }
        })
        .collect();
    said.join(if language == Language::En {
        ", "
    } else {
        "、"
    })
}

/// In Japanese the last one ends the sentence.
fn choice_clip(choices: &Choices, key: u8, language: Language) -> String {
    if language == Language::Ja && usize::from(key) == choices.iter().count() {
        format!("choice-last-{key}")
    } else {
        format!("choice-{key}")
    }
}

/// A, B, or C.
fn brand_clips(brands: Brands) -> Vec<String> {
    let last = brands.iter().count().saturating_sub(1);
    let mut clips = Vec::new();
    for (n, brand) in brands.iter().enumerate() {
        if n > 0 {
            clips.push("pause".to_owned());
        }
        if n > 0 && n == last {
            clips.push("or".to_owned());
        }
        clips.push(format!("brand-{brand}"));
    }
    clips
}

fn brand_text(brands: Brands, language: Language) -> String {
    let table = table(language);
    let mut names: Vec<&str> = brands
        .iter()
        .map(|brand| table.written(&format!("brand-{brand}")))
        .collect();
    let last = names.pop().unwrap_or_default();
    match (names.is_empty(), language) {
        (true, _) => last.to_owned(),
        (false, Language::En) => format!("{} or {last}", names.join(", ")),
        (false, Language::Ja) => format!("{}、または{last}", names.join("、")),
    }
}
