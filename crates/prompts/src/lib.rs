//! From what the dialogue says to sound files ("clips") and words, in Japanese and English.
//!
//! Everything that can be heard stands in one table, `prompts.toml`; `scripts/prompts` speaks it into
//! `asterisk-conf/sounds/{ja,en}/ivrpay`. This crate chooses: which clips, one after the other, say this prompt with these values.
//! Pure: it opens no file. It knows a card only as [`Truncated`](ivrpay_payment::Truncated).

mod number;
mod table;
mod value;

pub use ivrpay_dialogue::Language;
use ivrpay_dialogue::{Prompt, Say};
use ivrpay_payment::Plan;

use crate::table::{Part, Slot, table};
use crate::value::Value;

/// Version of the table: the journal records it with each call, as evidence of what was said.
pub const VERSION: &str = table::VERSION;

/// The clips that say this, in order; each is a file `ivrpay/NAME.wav` below the folder of its language.
#[must_use]
pub fn clips(prompt: &Prompt, language: Language) -> Vec<&'static str> {
    prompt
        .0
        .iter()
        .flat_map(|say| clips_of(say, language))
        .collect()
}

/// Whether there are words for this plan: only such a one may be offered.
#[must_use]
pub fn can_say(plan: Plan) -> bool {
    value::plan_clip(plan).is_some_and(|clip| table(Language::Ja).find(&clip).is_some())
}

/// The words as they are written, for `ivrpay simulate` and as evidence: `お支払い金額は、12,800円です。…`
#[must_use]
pub fn text(prompt: &Prompt, language: Language) -> String {
    let says: Vec<String> = prompt.0.iter().map(|say| text_of(say, language)).collect();
    says.join(if language == Language::En { " " } else { "" })
}

/// What the clips say, one after the other: kana without accents, or English words.
#[must_use]
pub fn spoken(prompt: &Prompt, language: Language) -> String {
    let words: Vec<&str> = clips(prompt, language)
        .into_iter()
        .map(|clip| table(language).spoken(clip))
        .filter(|words| !words.is_empty())
        .collect();
    words.join(if language == Language::En { " " } else { "" })
}

/// Every sound file that there has to be, by language and name.
pub fn every_file() -> impl Iterator<Item = (Language, &'static str)> {
    Language::ALL
        .into_iter()
        .flat_map(|language| table(language).names().map(move |name| (language, name)))
}

fn clips_of(say: &Say, language: Language) -> Vec<&'static str> {
    let mut clips = Vec::new();
    let mut after_value = false;
    for part in table(language).sentence(say.name()) {
        match part {
            Part::Words { clip, .. } => clips.push(clip.as_str()),
            Part::Value(slot) => clips.extend(value(say, *slot).clips(language)),
            Part::Mark(_) => {}
        }
        // A clip of words brings its own pause along, a value does not: the next word must not run into it.
        if after_value && part.begins_with_mark() {
            let at = clips.len() - usize::from(matches!(part, Part::Words { .. }));
            clips.insert(at, table(language).clip("pause"));
        }
        after_value = matches!(part, Part::Value(_));
    }
    clips
}

fn text_of(say: &Say, language: Language) -> String {
    table(language)
        .sentence(say.name())
        .iter()
        .map(|part| match part {
            Part::Words { text, .. } | Part::Mark(text) => text.clone(),
            Part::Value(slot) => value(say, *slot).text(language),
        })
        .collect()
}

fn value(say: &Say, slot: Slot) -> Value {
    match (*say, slot) {
        (
            Say::Amount(amount)
            | Say::Confirm(_, amount)
            | Say::Stored(_, amount)
            | Say::ConfirmPlan(_, amount, _)
            | Say::Paid(_, amount)
            | Say::KeyedAmount(amount)
            | Say::AmountMost(amount)
            | Say::AmountTold(amount),
            Slot::Amount,
        ) => Value::Amount(amount),
        (
            Say::Confirm(card, _)
            | Say::ConfirmPlan(card, ..)
            | Say::ConfirmStoring(card)
            | Say::ConfirmChecking(card)
            | Say::Stored(card, _)
            | Say::Paid(card, _)
            | Say::WasStored(card)
            | Say::WasChecked(card),
            Slot::Last4,
        ) => Value::Last4(card),
        (Say::ConfirmPlan(_, _, plan) | Say::PlanRead(plan), Slot::Plan) => Value::Plan(plan),
        (Say::Plans(kinds), Slot::Plans) => Value::Plans(kinds),
        (Say::PlanCounts(counts), Slot::Counts) => Value::Counts(counts),
        (Say::Reference(reference), Slot::Reference) => Value::Reference(reference),
        (Say::Brands(brands), Slot::Brands) => Value::Brands(brands),
        (Say::Choice(choices), Slot::Count) => Value::Count(choices),
        (Say::Choice(choices), Slot::Choices) => Value::Choices(choices),
        (Say::Manager(signs), Slot::Code)
        | (Say::Goodbye(signs), Slot::Telephone)
        | (Say::KeyedOrder(signs), Slot::Order) => Value::Spelt(signs),
        _ => unreachable!("{} has no {slot:?}: tests speak every sentence", say.name()),
    }
}
