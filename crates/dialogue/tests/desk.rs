//! The keypad of operators and of self-service: scripts whose transcripts are snapshots (`desk/README.md` has the words of a script),
//! and what holds for every sequence of keys.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use common::key;
use ivrpay_dialogue::desk::{
    Desk, End, GaveUp, Input, Keyed, OrderDigits, Output, Progress, Setup, Step, Who, Wrong,
};
use ivrpay_dialogue::{At, Language, Line, Prompt, Say, Settings};
use ivrpay_payment::{Currency, Money, Offers, Plan};
use ivrpay_secret::Key;
use proptest::prelude::*;

/// Longest that anything is waited for.
const WAIT_MAX: Duration = Duration::from_secs(2_000);

fn yen(minor: u64) -> Money {
    Money::new(minor, Currency::Jpy).unwrap()
}

fn setup() -> Setup {
    Setup {
        who: Who::Operator,
        language: Language::Ja,
        ask_language: true,
        amount_max: Some(yen(1_000_000)),
        order: OrderDigits::new(3, 8, false),
        offers: Offers::NONE,
    }
}

/// Drives the keypad through time, as a driver does; each key is written down as a dot.
struct Runner {
    desk: Desk,
    now: At,
    transcript: String,
    step: Option<Step>,
    wrong: Option<Wrong>,
    end: Option<End>,
    /// What was said, and the menu keys pressed since.
    said: Vec<(Say, Language)>,
    pressed_since: Vec<char>,
    prompt_ends: Option<At>,
    hung_up: bool,
}

impl Runner {
    fn new(settings: Settings, setup: Setup) -> Self {
        let mut desk = Desk::new(Arc::new(settings), setup).expect("tests stay within the arena");
        desk.start(At::default());
        let mut runner = Self {
            desk,
            now: At::default(),
            transcript: String::new(),
            step: None,
            wrong: None,
            end: None,
            said: Vec::new(),
            pressed_since: Vec::new(),
            prompt_ends: None,
            hung_up: false,
        };
        runner.drain();
        runner
    }

    fn key(&mut self, gap: u64, c: char) {
        self.advance(self.now.plus(Duration::from_millis(gap)));
        self.note(
            "<-",
            &format!("key {}", if c.is_ascii_digit() { '•' } else { c }),
        );
        if self.end.is_none() {
            self.pressed_since.push(c);
        }
        self.input(Input::Key(key(c), Duration::from_millis(80)));
    }

    fn advance(&mut self, to: At) {
        while let Some(at) = self.next().filter(|at| *at <= to) {
            self.now = self.now.max(at);
            self.happen();
        }
        self.now = self.now.max(to);
    }

    fn until(&mut self, done: impl Fn(&Self) -> bool) -> bool {
        let limit = self.now.plus(WAIT_MAX);
        while !done(self) {
            match self.next() {
                Some(at) if at <= limit && self.end.is_none() => {
                    self.now = self.now.max(at);
                    self.happen();
                }
                _ => return false,
            }
        }
        true
    }

    fn next(&self) -> Option<At> {
        [self.prompt_ends, self.desk.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn happen(&mut self) {
        if self.prompt_ends.is_some_and(|at| at <= self.now) {
            self.prompt_ends = None;
            self.note("<-", "prompt ended");
            self.input(Input::PromptEnded);
        } else {
            self.note("<-", "deadline");
            self.input(Input::DeadlineReached);
            assert!(
                self.desk.deadline().is_none_or(|at| at > self.now),
                "a deadline that was reached is still there\n{}",
                self.transcript
            );
        }
    }

    fn input(&mut self, input: Input) {
        self.hung_up |= matches!(input, Input::HungUp);
        self.desk.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.desk.poll_output() {
            assert!(
                self.end.is_none(),
                "an output after the end\n{}",
                self.transcript
            );
            match output {
                Output::Play(prompt, language) => self.play(&prompt, language),
                Output::StopPlay => {
                    self.prompt_ends = None;
                    self.note("->", "stop");
                }
                Output::Progress(progress) => self.progress(&progress),
                Output::End(end) => {
                    self.note("->", &format!("end {}", shown(&end)));
                    self.end = Some(end);
                }
            }
        }
    }

    fn play(&mut self, prompt: &Prompt, language: Language) {
        assert!(!self.hung_up, "played to nobody\n{}", self.transcript);
        let says: Vec<String> = prompt
            .0
            .iter()
            .map(|say| match say {
                Say::KeyedAmount(amount) | Say::AmountMost(amount) => {
                    format!("{} ({amount})", say.name())
                }
                Say::KeyedOrder(order) => format!("{} ({})", say.name(), order.text()),
                _ => say.name().to_owned(),
            })
            .collect();
        self.said
            .extend(prompt.0.iter().map(|say| (*say, language)));
        self.pressed_since.clear();
        self.note("->", &format!("play {language} {}", says.join(" + ")));
        let seconds = 3 * u64::try_from(says.len()).unwrap();
        self.prompt_ends = Some(self.now.plus(Duration::from_secs(seconds)));
    }

    fn progress(&mut self, progress: &Progress) {
        if progress.asked {
            self.step = Some(progress.step);
            self.wrong = progress.wrong;
            let wrong = progress
                .wrong
                .map_or(String::new(), |w| format!(", {}", w.name()));
            self.note(
                "->",
                &format!("step {} {}{wrong}", progress.step.name(), progress.attempt),
            );
        } else {
            self.note("->", &format!("digits {}", progress.digits));
        }
    }

    fn note(&mut self, direction: &str, thing: &str) {
        let ms = self.now.millis();
        let (seconds, ms) = (ms / 1_000, ms % 1_000);
        writeln!(self.transcript, "{seconds:02}.{ms:03} {direction} {thing}")
            .expect("a string takes everything");
    }
}

fn shown(end: &End) -> String {
    match end {
        End::Keyed(Keyed {
            amount,
            order,
            plan,
            language,
        }) => {
            let amount = amount.map_or("-".to_owned(), |amount| amount.to_string());
            let order = order.as_ref().map_or("-".to_owned(), ToString::to_string);
            let plan = plan.map_or(String::new(), |plan| format!("{plan}, "));
            format!("keyed: amount {amount}, order {order}, {plan}{language}")
        }
        End::WantsOperator => "wants-operator".to_owned(),
        End::GivenUp(why) => format!("given-up {}", why.name()),
    }
}

#[test]
fn transcripts() {
    common::transcripts("desk", 20, "../snapshots/desk", play);
}

fn play(name: &str, script: &str) -> String {
    let lines: Vec<&str> = script
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with("//"))
        .collect();
    let (mut given, mut rest) = (setup(), lines.as_slice());
    if let Some((first, behind)) = rest.split_first()
        && let Some(words) = first.strip_prefix("setup ")
    {
        words
            .split_whitespace()
            .for_each(|word| set(name, &mut given, word));
        rest = behind;
    }
    let mut runner = Runner::new(Settings::default(), given);
    for line in rest {
        obey(name, &mut runner, line);
    }
    assert!(
        runner.end.is_some(),
        "{name}: the script stops before the end\n{}",
        runner.transcript
    );
    runner.transcript
}

fn set(name: &str, setup: &mut Setup, word: &str) {
    let (word, value) = word.split_once('=').unwrap_or((word, ""));
    match word {
        "customer" => {
            setup.who = Who::Customer { operator: false };
            setup.amount_max = None;
        }
        "customer-with-operator" => {
            setup.who = Who::Customer { operator: true };
            setup.amount_max = None;
        }
        "english" => setup.language = Language::En,
        "one-language" => setup.ask_language = false,
        "plans" => {
            let mut rows = common::offers().rows().to_vec();
            rows.iter_mut().for_each(|row| row.amount.0 = 1_000);
            setup.offers = Offers::new(Currency::Jpy, rows);
        }
        "no-order" => setup.order = None,
        "no-amount" => setup.amount_max = None,
        "dollars" => setup.amount_max = Some(Money::new(500_000, Currency::Usd).unwrap()),
        "order" | "order-required" => {
            let (min, max) = value.split_once("..").expect("order=3..8");
            let (min, max) = (min.parse().unwrap(), max.parse().unwrap());
            setup.order = Some(OrderDigits::new(min, max, word == "order-required").unwrap());
        }
        _ => panic!("{name}: no such setup: {word}"),
    }
}

fn obey(name: &str, runner: &mut Runner, line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let word = words.get(1).copied().unwrap_or_default();
    let gap = words
        .iter()
        .find_map(|w| w.strip_prefix("gap="))
        .map_or(250, |ms| ms.parse().unwrap());
    match words[0] {
        "wait" => assert!(
            runner.until(|r| r.step.is_some_and(|step| step.name() == word)),
            "{name}: `{line}` never comes\n{}",
            runner.transcript
        ),
        "hear" => assert!(
            runner.until(|r| r.prompt_ends.is_none()),
            "{name}: it never ends"
        ),
        "keys" => word.chars().for_each(|c| runner.key(gap, c)),
        "pause" => {
            let seconds: u64 = word.trim_end_matches('s').parse().expect("seconds");
            runner.advance(runner.now.plus(Duration::from_secs(seconds)));
        }
        "keys-lost" => {
            runner.note("<-", "keys lost");
            runner.input(Input::KeysLost);
        }
        "hang-up" => {
            runner.note("<-", "hung up");
            runner.prompt_ends = None;
            runner.input(Input::HungUp);
        }
        "shutdown" => {
            runner.note("<-", "shutdown");
            runner.input(Input::Shutdown);
        }
        "end" => {
            assert!(
                runner.until(|r| r.end.is_some()),
                "{name}: it never ends\n{}",
                runner.transcript
            );
            let wanted = line.strip_prefix("end ").unwrap_or_default();
            let end = runner.end.as_ref().map(shown).unwrap_or_default();
            assert_eq!(end, wanted, "{name}\n{}", runner.transcript);
        }
        _ => panic!("{name}: no such word: {line}"),
    }
}

#[derive(Debug, Clone)]
enum Act {
    Keys(String, u64),
    Wait(u64),
    Hear,
    KeysLost,
    StrayPromptEnded,
    StrayDeadline,
    Shutdown,
    HangUp,
}

/// Rows that somebody keys, and some that nobody should.
fn keys() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[0-9]{1,9}#",
        2 => Just("1".to_owned()),
        1 => Just("2".to_owned()),
        1 => Just("0#".to_owned()),
        1 => Just("**".to_owned()),
        1 => Just("#".to_owned()),
        1 => Just("4111111111111111#".to_owned()),
        1 => Just("378282246310005".to_owned()),
        1 => "[0-9*#A]{1,30}",
    ]
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => (keys(), prop_oneof![Just(0_u64), 20..160_u64, 200..3_000_u64]).prop_map(|(k, gap)| Act::Keys(k, gap)),
        8 => Just(Act::Hear),
        3 => (0..30_000_u64).prop_map(Act::Wait),
        1 => Just(Act::KeysLost),
        1 => prop_oneof![Just(Act::StrayPromptEnded), Just(Act::StrayDeadline)],
        1 => Just(Act::Wait(200_000)),
    ];
    let last = prop_oneof![
        4 => Just(Vec::new()),
        1 => Just(vec![Act::HangUp]),
        1 => Just(vec![Act::Shutdown]),
    ];
    (prop::collection::vec(act, 0..30), last).prop_map(|(a, b)| [a, b].concat())
}

fn setups() -> impl Strategy<Value = Setup> {
    let who = prop_oneof![
        Just(Who::Operator),
        Just(Who::Customer { operator: true }),
        Just(Who::Customer { operator: false }),
    ];
    let amount = prop_oneof![
        Just(None),
        (1..=Money::MAX).prop_map(|minor| Some(yen(minor))),
        (1..=Money::MAX).prop_map(|minor| Some(Money::new(minor, Currency::Usd).unwrap())),
    ];
    let order = prop_oneof![
        1 => Just(None),
        4 => (1..=20_usize, 0..=19_usize, any::<bool>())
            .prop_map(|(min, more, required)| OrderDigits::new(min, (min + more).min(20), required)),
    ];
    let offers = prop_oneof![Just(Offers::NONE), Just(common::offers())];
    (who, amount, order, any::<bool>(), any::<bool>(), offers).prop_map(
        |(who, amount_max, order, ask_language, ja, offers)| Setup {
            who,
            language: if ja { Language::Ja } else { Language::En },
            ask_language,
            amount_max,
            order,
            offers,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// Whatever is keyed: it ends, in time, and gives nothing that was not read back and confirmed.
    #[test]
    fn every_entry_ends(acts in acts(), given in setups()) {
        let settings = Settings::default();
        let mut runner = Runner::new(settings.clone(), given.clone());
        for act in &acts {
            match act {
                Act::Keys(keys, gap) => keys.chars().for_each(|c| runner.key(*gap, c)),
                Act::Wait(ms) => runner.advance(runner.now.plus(Duration::from_millis(*ms))),
                Act::Hear => { runner.until(|r| r.prompt_ends.is_none()); }
                Act::KeysLost => runner.input(Input::KeysLost),
                Act::StrayPromptEnded => runner.input(Input::PromptEnded),
                Act::StrayDeadline => runner.input(Input::DeadlineReached),
                Act::Shutdown => runner.input(Input::Shutdown),
                Act::HangUp => { runner.prompt_ends = None; runner.input(Input::HungUp) }
            }
        }
        prop_assert!(runner.until(|r| r.end.is_some()), "it never ends\n{}", runner.transcript);
        let pressed = runner.pressed_since.clone();
        // Nothing after the end (`drain` asserts it).
        runner.key(100, '1');
        runner.input(Input::PromptEnded);
        runner.input(Input::Shutdown);
        runner.input(Input::HungUp);
        prop_assert!(runner.desk.deadline().is_none(), "a deadline after the end");

        let at: f64 = runner.transcript.lines().rfind(|l| l.contains("-> end"))
            .and_then(|l| l.split(' ').next()).and_then(|s| s.parse().ok()).unwrap_or(f64::MAX);
        let longest = settings.session + settings.prompt_max;
        prop_assert!(at <= longest.as_secs_f64(), "ended at {at} s\n{}", runner.transcript);

        // No row that could be a card is spoken, ever.
        for (say, _) in &runner.said {
            if let Say::KeyedOrder(order) = say {
                let digits: Vec<u8> = order.text().bytes().map(|b| b - b'0').collect();
                prop_assert!(!ivrpay_payment::is_card_like(&digits));
            }
        }
        match runner.end.as_ref().unwrap() {
            End::Keyed(keyed) => {
                prop_assert_eq!(keyed.amount.is_some(), given.amount_max.is_some());
                if let (Some(amount), Some(most)) = (keyed.amount, given.amount_max) {
                    prop_assert!(amount.currency() == most.currency() && amount.minor() <= most.minor());
                }
                if let Some(order) = &keyed.order {
                    prop_assert!(given.order.is_some());
                    prop_assert!(order.as_str().bytes().all(|b| b.is_ascii_digit()));
                }
                if !given.ask_language {
                    prop_assert_eq!(keyed.language, given.language);
                }
                if given.amount_max.is_some() || given.order.is_some() {
                    // The last that was said is that reading (with the way out, where it was said again), and 1 was pressed since.
                    let last: Vec<Say> = runner.said.iter().rev().map(|(say, _)| *say).take(6).collect();
                    prop_assert!(keyed.amount.is_none_or(|amount| last.contains(&Say::KeyedAmount(amount))), "{}", runner.transcript);
                    if let Some(order) = &keyed.order {
                        let read = |say: &Say| matches!(say, Say::KeyedOrder(spelt) if spelt.text() == order.as_str());
                        prop_assert!(last.iter().any(read), "{}", runner.transcript);
                    }
                    // And what of the plan, where that was asked.
                    let asked = given.who == Who::Operator && keyed.amount.is_some_and(|amount| !given.offers.of(amount).is_empty());
                    let [single, choice] = [Line::DeskReadPlanSingle, Line::DeskReadPlanCustomer].map(|line| last.contains(&Say::Line(line)));
                    prop_assert_eq!((keyed.plan, asked), (single.then_some(Plan::LumpSum), single || choice), "{}", runner.transcript);
                    prop_assert_eq!(pressed.last(), Some(&'1'), "{}", runner.transcript);
                }
            }
            End::WantsOperator => prop_assert_eq!(given.who, Who::Customer { operator: true }),
            End::GivenUp(GaveUp::Cancelled) => prop_assert_ne!(given.who, Who::Customer { operator: true }),
            End::GivenUp(_) => {}
        }
    }

    /// Who keys at a human pace and listens gets what was keyed.
    #[test]
    fn what_is_keyed_is_given(amount in 1..=1_000_000_u64, order in "[0-9]{3,8}", english: bool, gap in 200..2_000_u64) {
        let mut runner = Runner::new(Settings::default(), setup());
        // A rhythm of pairs, and digits that are all pairs, are another thing: they are asked again.
        let language = if english { "2" } else { "1" };
        for (step, keys) in [(Step::Amount, format!("{amount}#")), (Step::Order, format!("{order}#")), (Step::Language, language.to_owned()), (Step::Confirm, "1".to_owned())] {
            prop_assert!(runner.until(|r| r.step == Some(step) && r.prompt_ends.is_none()), "{}", runner.transcript);
            prop_assert_eq!(runner.wrong, None, "{}", runner.transcript);
            keys.chars().for_each(|c| runner.key(gap, c));
        }
        let keyed = Keyed {
            amount: Some(yen(amount)),
            order: Some(order.parse().unwrap()),
            plan: None,
            language: if english { Language::En } else { Language::Ja },
        };
        prop_assert_eq!(runner.end, Some(End::Keyed(keyed)), "{}", runner.transcript);
    }

    /// A card number is refused while it is keyed, in every row that has room for more than its own digits, and its rest makes no row.
    #[test]
    fn a_card_number_is_refused(number in prop::sample::select(&CARDS[..]), gap in 90..500_u64, max in 4..=20_usize, in_order: bool) {
        let given = Setup {
            order: OrderDigits::new(3, max, false),
            amount_max: (!in_order).then(|| yen(1_000_000)),
            ..setup()
        };
        let mut runner = Runner::new(Settings::default(), given);
        runner.until(|r| r.prompt_ends.is_none());
        number.chars().for_each(|c| runner.key(gap, c));
        let doubtful = gap < 150 && runner.wrong.is_none();
        prop_assert!(doubtful || runner.wrong == Some(Wrong::CardNumber), "{}", runner.transcript);
        runner.key(gap, '#');
        runner.until(|r| r.prompt_ends.is_none());
        let step = if in_order { Step::Order } else { Step::Amount };
        prop_assert_eq!(runner.step, Some(step), "{}", runner.transcript);
        prop_assert!(!runner.transcript.contains("desk-read"), "{}", runner.transcript);
    }

    /// Rows of a fixed length cut a card number into pieces: none of them is confirmed by the digits behind it.
    #[test]
    fn pieces_of_a_card_number_confirm_nothing(number in prop::sample::select(&CARDS[..]), gap in 90..590_u64, length in 1..=20_usize, ask_language: bool) {
        let given = Setup {
            order: OrderDigits::new(length, length, true),
            amount_max: None,
            ask_language,
            ..setup()
        };
        let mut runner = Runner::new(Settings::default(), given);
        runner.until(|r| r.prompt_ends.is_none());
        number.chars().chain(['#']).for_each(|c| runner.key(gap, c));
        prop_assert_eq!(&runner.end, &None, "{}", runner.transcript);
        runner.until(|r| r.end.is_some());
        prop_assert!(matches!(runner.end, Some(End::GivenUp(_))), "{}", runner.transcript);
    }
}

/// Published test numbers.
const CARDS: [&str; 6] = [
    "4111111111111111",
    "5555555555554444",
    "378282246310005",
    "3530111333300000",
    "36227206271667",
    "30569309025904",
];

/// `PROPTEST_CASES` where it is set (`make prove`), else what a quick check can spend.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(400)
}

/// No telephone has them.
#[test]
fn letters_are_no_keys() {
    let mut runner = Runner::new(Settings::default(), setup());
    runner.until(|r| r.prompt_ends.is_none());
    runner
        .desk
        .handle(runner.now, Input::Key(Key::Letter, Duration::ZERO));
    assert_eq!(runner.desk.poll_output(), None);
}
