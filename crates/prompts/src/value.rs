//! Values inside a sentence: an amount, the last four, a reference, brands, plans, a choice of orders, what is spelt; as clips and as written.

use ivrpay_dialogue::{Brands, Choices, Counts, PlanKinds, Spelt, Waits};
use ivrpay_payment::{Currency, Money, Plan, Truncated};

use crate::Language;
use crate::number::{english, grouped, japanese};
use crate::table::table;

/// A value of a sentence.
pub(crate) enum Value {
    Amount(Money),
    Brands(Brands),
    /// What each is about, with its key.
    Choices(Choices),
    /// How many they are.
    Count(Choices),
    Counts(Counts),
    Last4(Truncated),
    Plan(Plan),
    /// Each with its key.
    Plans(PlanKinds),
    /// Up to eight digits.
    Reference(u32),
    Spelt(Spelt),
}

impl Value {
    pub(crate) fn clips(&self, language: Language) -> Vec<&'static str> {
        let names = match self {
            Self::Amount(amount) => amount_clips(*amount, language),
            Self::Brands(brands) => list_clips(brand_clips(*brands), Last::Or),
            Self::Choices(choices) => choice_clips(choices, language),
            Self::Count(choices) => vec![count_clip(choices)],
            Self::Counts(counts) => {
                list_clips(count_clips(*counts, language), Last::of_counts(language))
            }
            Self::Last4(card) => digit_clips(&card.last4_text()),
            Self::Plan(plan) => plan_clip(*plan).into_iter().collect(),
            Self::Plans(kinds) => list_clips(plan_clips(*kinds), Last::Nothing),
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
            Self::Brands(brands) => list_text(&brand_clips(*brands), Last::Or, language),
            Self::Choices(choices) => choice_text(choices, language),
            Self::Count(choices) => table(language).written(&count_clip(choices)).to_owned(),
            Self::Counts(counts) => list_text(
                &count_clips(*counts, language),
                Last::of_counts(language),
                language,
            ),
            Self::Last4(card) => card.last4_text(),
            Self::Plan(plan) => list_text(
                &plan_clip(*plan).into_iter().collect::<Vec<_>>(),
                Last::Nothing,
                language,
            ),
            Self::Plans(kinds) => list_text(&plan_clips(*kinds), Last::Nothing, language),
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

/// What it is about and its key in Japanese, the other way round in English.
fn choice_clips(choices: &Choices, language: Language) -> Vec<String> {
    let mut clips = Vec::new();
    for (key, waits) in choices.iter() {
        if key > 1 {
            clips.push("pause".to_owned());
        }
        let name = choice_clip(choices, key, language);
        match language {
            Language::En => {
                clips.push(name);
                clips.extend(waits_clips(waits, language));
            }
            Language::Ja => {
                clips.extend(waits_clips(waits, language));
                clips.push(name);
            }
        }
    }
    clips
}

fn waits_clips(waits: Waits, language: Language) -> Vec<String> {
    match waits {
        Waits::For(amount) => amount_clips(amount, language),
        Waits::ToRegister => vec!["card-to-register".to_owned()],
        Waits::ToCheck => vec!["card-to-check".to_owned()],
    }
}

fn choice_text(choices: &Choices, language: Language) -> String {
    let said: Vec<String> = choices
        .iter()
        .map(|(key, waits)| {
            let what = match waits {
                Waits::For(amount) => amount_text(amount, language),
                Waits::ToRegister | Waits::ToCheck => {
                    let clips = waits_clips(waits, language);
                    clips.iter().map(|c| table(language).written(c)).collect()
                }
            };
            match language {
                Language::En => format!("{key} for {what}"),
                Language::Ja => {
                    let name = choice_clip(choices, key, language);
                    format!("{what}{}", table(language).written(&name))
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

fn brand_clips(brands: Brands) -> Vec<String> {
    brands
        .iter()
        .map(|brand| format!("brand-{brand}"))
        .collect()
}

/// The clip of a plan; `None` where it has no word.
pub(crate) fn plan_clip(plan: Plan) -> Option<String> {
    match plan {
        Plan::Instalments(count) => Some(format!("plan-instalments-{}", count.get())),
        Plan::Revolving => Some("plan-revolving".to_owned()),
        Plan::BonusLumpSum => Some("plan-bonus".to_owned()),
        Plan::LumpSum | Plan::BonusInstalments(_) => None,
    }
}

fn plan_clips(kinds: PlanKinds) -> Vec<String> {
    kinds.keys().map(|key| format!("plan-key-{key}")).collect()
}

/// 回 changes the number before it, so that they are one clip.
fn count_clips(counts: Counts, language: Language) -> Vec<String> {
    let of = match language {
        Language::En => "number",
        Language::Ja => "count",
    };
    counts
        .iter()
        .map(|count| format!("{of}-{}", count.get()))
        .collect()
}

/// What stands before the last of several.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Or,
    Nothing,
}

impl Last {
    /// Numbers of instalments: 3回、5回、10回 in Japanese, 3, 5 or 10 in English.
    const fn of_counts(language: Language) -> Self {
        match language {
            Language::En => Self::Or,
            Language::Ja => Self::Nothing,
        }
    }
}

/// A, B, or C; one after the other with a pause.
fn list_clips(names: Vec<String>, before_last: Last) -> Vec<String> {
    let last = names.len().saturating_sub(1);
    let mut clips = Vec::new();
    for (n, name) in names.into_iter().enumerate() {
        if n > 0 {
            clips.push("pause".to_owned());
        }
        if n > 0 && n == last && before_last == Last::Or {
            clips.push("or".to_owned());
        }
        clips.push(name);
    }
    clips
}

fn list_text(names: &[String], before_last: Last, language: Language) -> String {
    let table = table(language);
    let mut words: Vec<&str> = names.iter().map(|name| table.written(name)).collect();
    let comma = match language {
        Language::En => ", ",
        Language::Ja => "、",
    };
    if before_last == Last::Nothing {
        return words.join(comma);
    }
    let last = words.pop().unwrap_or_default();
    match (words.is_empty(), language) {
        (true, _) => last.to_owned(),
        (false, Language::En) => format!("{} or {last}", words.join(comma)),
        (false, Language::Ja) => format!("{}、または{last}", words.join(comma)),
    }
}
