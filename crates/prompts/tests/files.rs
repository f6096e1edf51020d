//! The committed sound files: all there, none unknown, of one format and loudness, within the limits of length.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use ivrpay_dialogue::operator::{Refusal, choice, progress, ready, reason};
use ivrpay_dialogue::{
    Brands, Counts, ErrorType, Line, PlanKinds, Prompt, Say, Spelt, Step, Waits,
};
use ivrpay_payment::{Brand, Count, Currency, Money, Plan, Truncated};
use ivrpay_prompts::{Language, clips, every_file, spoken, text};

const HZ: f64 = 8000.0;
const FULL_SCALE: f64 = 32_768.0;

fn folder(language: Language) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../asterisk-conf/sounds")
        .join(language.code())
        .join("ivrpay")
}

/// Samples of a clip; panics if it is not 8 kHz, 16 bits, mono PCM in a plain RIFF file.
#[track_caller]
fn samples(language: Language, clip: &str) -> Vec<i16> {
    let path = folder(language).join(format!("{clip}.wav"));
    let file = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let half = |at: usize| u16::from_le_bytes(file[at..at + 2].try_into().unwrap());
    assert_eq!(
        (&file[..4], &file[8..16], &file[36..40]),
        (&b"RIFF"[..], &b"WAVEfmt "[..], &b"data"[..]),
        "{clip}"
    );
    assert_eq!(
        (half(20), half(22), word(24), word(28), half(32), half(34)),
        (1, 1, 8000, 16_000, 2, 16),
        "{clip}"
    );
    assert_eq!(
        (word(4) as usize + 8, word(40) as usize + 44),
        (file.len(), file.len()),
        "{clip}: lengths in the head"
    );
    file[44..]
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

fn seconds(samples: usize) -> f64 {
    f64::from(u32::try_from(samples).unwrap()) / HZ
}

fn length(prompt: &Prompt, language: Language) -> f64 {
    clips(prompt, language)
        .into_iter()
        .map(|clip| seconds(samples(language, clip).len()))
        .sum()
}

fn db(power: f64) -> f64 {
    10.0 * power.log10()
}

/// Powers of frames of 20 ms, full scale 1.
fn frames(samples: &[i16]) -> Vec<f64> {
    samples
        .chunks_exact(160)
        .map(|frame| {
            frame
                .iter()
                .map(|s| (f64::from(*s) / FULL_SCALE).powi(2))
                .sum::<f64>()
                / 160.0
        })
        .collect()
}

/// Power of the frames that are not pauses.
fn active(samples: &[i16]) -> f64 {
    let frames = frames(samples);
    let loudest = frames.iter().copied().fold(0.0, f64::max);
    let active: Vec<f64> = frames
        .into_iter()
        .filter(|power| *power > loudest / 1000.0)
        .collect();
    active.iter().sum::<f64>() / f64::from(u32::try_from(active.len()).unwrap())
}

fn line(line: Line) -> Prompt {
    Prompt(vec![Say::Line(line)])
}

fn card() -> Truncated {
    Truncated::new(Brand::Visa, [1, 1, 1, 1]).unwrap()
}

fn instalments(counts: &[u8]) -> Vec<Plan> {
    counts
        .iter()
        .map(|n| Plan::Instalments(Count::new(*n).unwrap()))
        .collect()
}

/// Every plan that can be offered.
fn plans() -> Vec<Plan> {
    let mut plans = instalments(&[2, 3, 5, 6, 10, 12, 15, 18, 20, 24, 30, 36]);
    plans.extend([Plan::LumpSum, Plan::Revolving, Plan::BonusLumpSum]);
    plans
}

fn yen(amount: u64) -> Money {
    Money::new(amount, Currency::Jpy).unwrap()
}

#[test]
fn files_are_those_of_the_table() {
    for language in Language::ALL {
        let named: BTreeSet<String> = every_file()
            .filter(|(of, _)| *of == language)
            .map(|(_, name)| format!("{name}.wav"))
            .collect();
        let there: BTreeSet<String> = std::fs::read_dir(folder(language))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(there, named, "{language}");
    }
}

/// The rows of the table, as they stand there.
fn table() -> toml::Table {
    toml::from_str(include_str!("../prompts.toml")).unwrap()
}

fn rows() -> Vec<toml::Value> {
    table()["prompt"].as_array().unwrap().clone()
}

/// The words around the `{values}`, by the names of their clips.
fn parts(name: &str, spoken: &str) -> Vec<(String, String)> {
    let words: Vec<&str> = spoken
        .split(['{', '}'])
        .step_by(2)
        .map(|words| {
            words
                .trim_start_matches(['.', ',', '、', '。', ' '])
                .trim_end()
        })
        .filter(|words| words.contains(char::is_alphanumeric))
        .collect();
    match (&words[..], spoken.contains('{')) {
        ([words], false) => vec![(name.to_owned(), (*words).to_owned())],
        (words, _) => words
            .iter()
            .zip(1..)
            .map(|(words, n)| (format!("{name}-{n}"), (*words).to_owned()))
            .collect(),
    }
}

/// spoken.txt is written when the files are made: words that changed since then are not in the files yet.
#[test]
fn files_say_what_the_table_says() {
    let table = table();
    let mut wanted = Vec::new();
    for (language, spoken) in [(Language::Ja, "kana"), (Language::En, "en")] {
        let said = |row: &toml::Value| {
            let text = row
                .get(format!("{spoken}_say"))
                .or_else(|| row.get(spoken))?;
            Some(text.as_str().unwrap().to_owned())
        };
        for row in rows() {
            let name = row["name"].as_str().unwrap();
            wanted.extend(
                parts(name, &said(&row).unwrap())
                    .into_iter()
                    .map(|(name, words)| (language, name, words)),
            );
        }
        for (name, row) in table["clips"].as_table().unwrap() {
            let silence = row.get("silence_ms").map(|ms| format!("{ms} ms"));
            wanted.extend(
                said(row)
                    .or(silence)
                    .map(|words| (language, name.clone(), words)),
            );
        }
    }
    let mut wanted: Vec<String> = wanted
        .iter()
        .map(|(language, name, words)| format!("{language}/ivrpay/{name}.wav\t{words}"))
        .collect();
    wanted.sort();
    let made = std::fs::read_to_string(folder(Language::Ja).join("../../spoken.txt")).unwrap();
    let made: Vec<&str> = made.lines().collect();
    for (made, wanted) in made.iter().zip(&wanted) {
        assert_eq!(made, wanted, "run scripts/prompts");
    }
    assert_eq!(made.len(), wanted.len(), "run scripts/prompts");
    assert_eq!(made.len(), every_file().count());
}

#[test]
fn version_is_that_of_the_table() {
    assert_eq!(table()["version"].as_str(), Some(ivrpay_prompts::VERSION));
}

/// Text and reading bring the same values in the same order; no language lacks one.
#[test]
fn every_row_is_whole() {
    let values = |text: &toml::Value| -> Vec<String> {
        text.as_str()
            .unwrap()
            .split(['{', '}'])
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    for row in rows() {
        let name = row["name"].as_str().unwrap();
        assert_eq!(values(&row["ja"]), values(&row["kana"]), "{name}");
        assert_eq!(
            values(&row["en"]),
            row.get("en_say").map_or(values(&row["en"]), values),
            "{name}"
        );
        let (mut ja, mut en) = (values(&row["ja"]), values(&row["en"]));
        ja.sort();
        en.sort();
        assert_eq!(ja, en, "{name}");
        for (_, kana) in parts(name, row["kana"].as_str().unwrap()) {
            let kanji = kana
                .chars()
                .find(|c| ('\u{4e00}'..='\u{9fff}').contains(c) || c.is_ascii_alphanumeric());
            assert_eq!(kanji, None, "{name}: {kana} is not kana");
        }
    }
}

/// Every row, also those that the dialogue does not use. Two seconds stand for its values.
#[test]
fn every_row_keeps_its_limit() {
    for row in rows() {
        let name = row["name"].as_str().unwrap();
        let limit = if row.get("menu").is_some() { 11.0 } else { 8.0 };
        for (language, text) in [(Language::Ja, "kana"), (Language::En, "en")] {
            let text = row[text].as_str().unwrap();
            let words: f64 = parts(name, text)
                .iter()
                .map(|(clip, _)| seconds(samples(language, clip).len()))
                .sum();
            let values = if text.contains('{') { 2.0 } else { 0.0 };
            assert!(
                words + values <= limit,
                "{language} {name}: {words:.2} s and its values"
            );
        }
    }
}

/// A person finds a prompt by its name: words, joined by hyphens, and numbers that are spoken.
#[test]
fn names_are_words() {
    for (_, name) in every_file() {
        assert!(name.len() <= 40, "{name}");
        for word in name.split('-') {
            let (letters, digits) = (
                word.bytes().all(|b| b.is_ascii_lowercase()),
                word.bytes().all(|b| b.is_ascii_digit()),
            );
            let known = ["last4"].contains(&word);
            assert!(!word.is_empty() && (letters || digits || known), "{name}");
        }
    }
}

#[test]
fn loudness_is_sane_and_the_same() {
    for (language, name) in every_file().filter(|(_, name)| *name != "pause") {
        let samples = samples(language, name);
        let level = db(active(&samples));
        assert!(
            (-22.0..=-18.0).contains(&level),
            "{language} {name}: {level:.1} dB"
        );
        let peak = samples
            .iter()
            .map(|s| f64::from(s.unsigned_abs()))
            .fold(0.0, f64::max);
        let peak_db = db((peak / FULL_SCALE).powi(2));
        assert!(
            (-14.0..=-1.0).contains(&peak_db),
            "{language} {name}: peak {peak_db:.1} dB"
        );
        // Clipped tops are flat.
        let flat = samples
            .windows(4)
            .filter(|w| f64::from(w[0].unsigned_abs()) >= peak && w.iter().all(|s| *s == w[0]));
        assert_eq!(flat.count(), 0, "{language} {name} is clipped");
        let mean = samples.iter().map(|s| f64::from(*s)).sum::<f64>()
            / f64::from(u32::try_from(samples.len()).unwrap());
        assert!(mean.abs() < 30.0, "{language} {name}: offset {mean:.0}");
    }
}

/// No click at a join, no hole either: clips begin and end in silence, and it is short.
#[test]
fn edges_are_quiet_and_short() {
    for (language, name) in every_file().filter(|(_, name)| *name != "pause") {
        let samples = samples(language, name);
        let loudest = frames(&samples).into_iter().fold(0.0, f64::max);
        let quiet = |frames: &[f64]| {
            frames
                .iter()
                .take_while(|power| **power < loudest / 1000.0)
                .count()
        };
        let all = frames(&samples);
        let backwards: Vec<f64> = all.iter().rev().copied().collect();
        assert!(
            samples[0].abs() < 100 && samples[samples.len() - 1].abs() < 100,
            "{language} {name} clicks"
        );
        let (before, behind) = (quiet(&all) * 20, quiet(&backwards) * 20);
        let joined = ["number-", "yen-", "digit-", "unit-"]
            .iter()
            .any(|start| name.starts_with(start));
        // A soft consonant counts as silence here: the f of ふつか, the d of "charged".
        let most = if joined { (160, 160) } else { (200, 440) };
        assert!(
            before <= most.0 && behind <= most.1,
            "{language} {name}: silence of {before} and {behind} ms"
        );
    }
}

#[test]
fn clips_have_a_sane_length() {
    for (language, name) in every_file() {
        let length = seconds(samples(language, name).len());
        assert!(
            (0.18..=11.0).contains(&length),
            "{language} {name}: {length:.2} s"
        );
    }
}

/// At most 8 s, menus and the confirmation 11 s.
#[test]
fn prompts_keep_their_limits() {
    let menus = [
        Line::CardDeclined,
        Line::DeskLanguage,
        Line::DeskPlan,
        Line::InvalidDatePast,
        Line::KeyedDeclined,
    ];
    for language in Language::ALL {
        for one in Line::ALL {
            let (length, limit) = (
                length(&line(one), language),
                if menus.contains(&one) { 11.0 } else { 8.0 },
            );
            assert!(length <= limit, "{language} {}: {length:.2} s", one.name());
        }
        // The usual five brands, a reference of eight digits, amounts up to six places.
        let five = [
            Brand::Amex,
            Brand::DinersClub,
            Brand::Jcb,
            Brand::Mastercard,
            Brand::Visa,
        ];
        for (say, limit) in [
            (Say::Amount(yen(12_800)), 11.0),
            (Say::Amount(yen(198_765)), 11.0),
            (Say::Confirm(card(), yen(12_800)), 11.0),
            (Say::ConfirmStoring(card()), 11.0),
            (Say::ConfirmChecking(card()), 11.0),
            (Say::Stored(card(), yen(12_800)), 11.0),
            (Say::WasStored(card()), 8.0),
            (Say::WasChecked(card()), 8.0),
            (Say::Plans(PlanKinds::of(&plans())), 11.0),
            // Three numbers; the nine that are usual are longer, as any list is.
            (Say::PlanCounts(Counts::of(&instalments(&[3, 5, 10]))), 8.0),
            (
                Say::PlanCounts(Counts::of(&instalments(&[3, 5, 6, 10, 12, 15, 18, 20, 24]))),
                16.0,
            ),
            (Say::PlanRead(instalments(&[24])[0]), 11.0),
            (
                Say::ConfirmPlan(card(), yen(12_800), instalments(&[24])[0]),
                11.0,
            ),
            (
                Say::ConfirmPlan(card(), yen(12_800), Plan::BonusLumpSum),
                11.0,
            ),
            (Say::Brands(Brands::of(&five)), 11.0),
            (Say::Reference(40_962_350), 8.0),
            (Say::Paid(card(), yen(12_800)), 8.0),
            (Say::Manager(Spelt::new("G65").unwrap()), 8.0),
            (Say::KeyedAmount(yen(198_765)), 8.0),
            (Say::KeyedOrder(Spelt::new("40962350").unwrap()), 8.0),
            (Say::AmountMost(yen(1_000_000)), 8.0),
            (Say::Goodbye(Spelt::new("0120-123-456").unwrap()), 11.0),
        ] {
            let length = length(&Prompt(vec![say]), language);
            assert!(length <= limit, "{language} {}: {length:.2} s", say.name());
        }
        // Two orders as any menu; each more as long as its amount and its key.
        for (count, limit) in [(2, 11.0), (9, 40.0)] {
            let prompt = choice(&vec![Waits::For(yen(12_800)); count]).unwrap();
            let length = length(&prompt, language);
            assert!(length <= limit, "{language} {count} orders: {length:.2} s");
        }
        // Told while the customer keys: it must not last longer than the step.
        for step in Step::ALL {
            if let Some(prompt) = progress(step) {
                let length = length(&prompt, language);
                assert!(length <= 2.5, "{language} {}: {length:.2} s", step.name());
            }
        }
    }
}

#[test]
fn attended_happy_path_is_at_most_55_seconds() {
    let card = card();
    let amount = yen(12_800);
    let path = Prompt(vec![
        Say::Line(Line::Greeting),
        Say::Amount(amount),
        Say::Line(Line::PaymentCardNumber),
        Say::Line(Line::ExpirationDate),
        Say::Line(Line::SecurityCode),
        Say::Confirm(card, amount),
        Say::Line(Line::PaymentProcessing),
        Say::Line(Line::PaymentCompleted),
        Say::Line(Line::AgentReturn),
    ]);
    for language in Language::ALL {
        let length = length(&path, language);
        assert!(length <= 55.0, "{language}: {length:.1} s");
    }
}

/// What the dialogue says at a step, first and after each error that it can have there.
fn said(step: Step, error: Option<ErrorType>) -> Option<Vec<Prompt>> {
    use ErrorType as E;
    let lines = |lines: &[Line]| Some(lines.iter().copied().map(line).collect());
    let amount = || Some(vec![Prompt(vec![Say::Amount(yen(300))])]);
    let each = |says: &[Say]| Some(says.iter().map(|say| Prompt(vec![*say])).collect());
    let confirm = || {
        let others = plans()
            .into_iter()
            .map(|plan| Say::ConfirmPlan(card(), yen(300), plan));
        let all = [
            Say::Confirm(card(), yen(300)),
            Say::ConfirmStoring(card()),
            Say::ConfirmChecking(card()),
        ];
        let all = all.into_iter().chain(others);
        Some(all.map(|say| Prompt(vec![say])).collect())
    };
    match (step, error) {
        (Step::Greeting, None) => lines(&[
            Line::Training,
            Line::Greeting,
            Line::GreetingSilence1,
            Line::GreetingSilence2,
        ]),
        (Step::PaymentAmount, None | Some(E::InputTimeout | E::InvalidAmount)) => amount(),
        (Step::PaymentAmount | Step::PaymentCardNumber, Some(E::KeysNotHeard)) => {
            lines(&[Line::KeysNotHeard])
        }
        (Step::PaymentCardNumber, None) => lines(&[
            Line::PaymentCardNumber,
            Line::PaymentCardNumberWait,
            Line::Help,
            Line::FieldContinue,
        ]),
        (Step::PaymentCardNumber, Some(E::InputTimeout)) => lines(&[Line::PaymentCardNumberAgain]),
        (Step::PaymentCardNumber, Some(E::InvalidCardNumber)) => lines(&[
            Line::InvalidCardNumberShort,
            Line::InvalidCardNumberLong,
            Line::InvalidCardNumberChecksum,
            Line::PaymentCardNumberAgain,
        ]),
        (Step::PaymentCardNumber, Some(E::InvalidCardType)) => {
            Some(vec![Prompt(vec![Say::Brands(Brands::of(&Brand::ALL))])])
        }
        (Step::ExpirationDate, None) => lines(&[Line::ExpirationDate]),
        (Step::ExpirationDate, Some(E::InvalidDate)) => {
            lines(&[Line::InvalidDate, Line::ExpirationDateAgain])
        }
        (Step::ExpirationDate, Some(E::InputTimeout)) => lines(&[Line::ExpirationDateAgain]),
        (Step::ExpirationDatePast, None | Some(E::InvalidDate | E::InputTimeout)) => {
            lines(&[Line::InvalidDatePast])
        }
        (Step::SecurityCode, None | Some(E::InputTimeout)) => {
            lines(&[Line::SecurityCode, Line::SecurityCodeAmex])
        }
        (Step::SecurityCode, Some(E::InvalidSecurityCode)) => lines(&[Line::InvalidSecurityCode]),
        (
            Step::PaymentCardNumber
            | Step::ExpirationDate
            | Step::SecurityCode
            | Step::PaymentPlanCount,
            Some(E::DuplicateToneSuspected),
        ) => lines(&[Line::DuplicateToneSuspected]),
        (Step::PaymentPlan, None | Some(E::InputTimeout)) => Some(vec![
            line(Line::PaymentPlanSingle),
            Prompt(vec![Say::Plans(PlanKinds::of(&plans()))]),
        ]),
        (Step::PaymentPlan | Step::PaymentPlanCount, Some(E::InvalidPaymentPlan)) => {
            lines(&[Line::InvalidPaymentPlan])
        }
        (Step::PaymentPlanCount, None | Some(E::InputTimeout)) => {
            Some(vec![Prompt(vec![Say::PlanCounts(Counts::of(&plans()))])])
        }
        (Step::PaymentPlanConfirmation, None | Some(E::InputTimeout)) => {
            let read = |plan| Prompt(vec![Say::PlanRead(plan)]);
            Some(instalments(&[2, 36]).into_iter().map(read).collect())
        }
        (Step::Confirmation, None | Some(E::InputTimeout)) => confirm(),
        (Step::PaymentProcessing, None) => {
            lines(&[Line::PaymentProcessing, Line::PaymentProcessingLong])
        }
        (Step::CardDeclined, None | Some(E::CardDeclined | E::InputTimeout)) => {
            lines(&[Line::CardDeclined])
        }
        (Step::Paused, None) => lines(&[Line::CallerInterruptedWithStar, Line::FieldContinue]),
        (Step::StoredCard, None | Some(E::InputTimeout)) => each(&[Say::Stored(card(), yen(300))]),
        (Step::PaymentCompleted, None) => Some(vec![
            line(Line::PaymentCompleted),
            line(Line::TokenizeCompleted),
            line(Line::VerifyCompleted),
            Prompt(vec![Say::Reference(12_345_678)]),
            line(Line::AgentReturn),
            line(Line::SelfServiceEnd),
        ]),
        (Step::PaymentFailed, None) => lines(&[
            Line::AgentCancelled,
            Line::AmountRejected,
            Line::CallerInterruptedWithStar,
            Line::CapacityExceeded,
            Line::InternalError,
            Line::OrderAlreadyPaid,
            Line::OutcomeUnknown,
            Line::PaymentConnectorError,
            Line::SessionTimeout,
            Line::TooManyFailedAttempts,
        ]),
        _ => None,
    }
}

#[test]
fn every_step_and_error_is_heard_in_every_language() {
    let errors = [
        ErrorType::CardDeclined,
        ErrorType::DuplicateToneSuspected,
        ErrorType::InputTimeout,
        ErrorType::InvalidAmount,
        ErrorType::InvalidCardNumber,
        ErrorType::InvalidCardType,
        ErrorType::InvalidDate,
        ErrorType::InvalidPaymentPlan,
        ErrorType::InvalidSecurityCode,
        ErrorType::KeysNotHeard,
    ];
    let mut lines = BTreeSet::new();
    // A program leads there, and nothing is said.
    let spoken_of = Step::ALL.into_iter();
    for step in spoken_of.filter(|step| *step != Step::AwaitingCapture) {
        assert!(said(step, None).is_some(), "{}", step.name());
        for error in [None].into_iter().chain(errors.map(Some)) {
            for prompt in said(step, error).unwrap_or_default() {
                lines.extend(prompt.0.iter().map(|say| say.name()));
                for language in Language::ALL {
                    assert!(length(&prompt, language) > 1.0);
                    assert!(
                        !text(&prompt, language).is_empty()
                            && !spoken(&prompt, language).is_empty()
                    );
                }
            }
        }
    }
    for error in errors {
        assert!(
            Step::ALL
                .iter()
                .any(|step| said(*step, Some(error)).is_some()),
            "{}",
            error.name()
        );
    }
    for prompt in Step::ALL
        .into_iter()
        .filter_map(progress)
        .chain(Refusal::ALL.map(reason))
        .chain([ready()])
    {
        lines.extend(prompt.0.iter().map(|say| say.name()));
        for language in Language::ALL {
            assert!(length(&prompt, language) > 0.3, "{prompt:?}");
        }
    }
    // Whispers and the keypad's lines have their tests in the dialogue; here, that each can be heard.
    for line in Line::ALL.into_iter().filter(|line| {
        [
            "whisper-",
            "monitor-",
            "desk-",
            "language-",
            "order-number",
            "call-",
            "entry-",
            "return-",
            "agent-return-",
            "trunk-",
            "keyed-",
        ]
        .iter()
        .any(|start| line.name().starts_with(start))
    }) {
        lines.insert(line.name());
        for language in Language::ALL {
            assert!(
                length(&Prompt::from(line), language) > 0.5,
                "{}",
                line.name()
            );
        }
    }
    // None of the dialogue's lines is without its place above.
    for line in Line::ALL {
        assert!(lines.contains(line.name()), "{}", line.name());
    }
}

/// The dialplan plays these by itself, two of them by the name of the result.
#[test]
fn dialplan_has_its_files() {
    let dialplan = std::fs::read_to_string(
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../dialplan/ivrpay.conf"),
    )
    .unwrap();
    let mut played: BTreeSet<&str> = dialplan
        .split("(ivrpay/")
        .skip(1)
        .map(|rest| rest.split([')', ',', '&']).next().unwrap())
        .collect();
    assert!(played.contains("internal-error"), "{played:?}");
    if played.remove("${IVRPAY_RESULT}") {
        played.extend(["session-timeout", "outcome-unknown"]);
    }
    for name in played {
        for language in Language::ALL {
            assert!(every_file().any(|file| file == (language, name)), "{name}");
        }
    }
}
