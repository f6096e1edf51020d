//! What holds for every sequence of inputs.

mod common;

use std::time::Duration;

use common::{Runner, approved, key, offers, outcome, setup};
use ivrpay_dialogue::{At, CallResult, Command, Input, NotWritten, Say, Settings, Step};
use ivrpay_payment::{Brand, Offers, Outcome, Plan, Transaction, Truncated};
use ivrpay_secret::Key;
use proptest::prelude::*;

/// Published test numbers of every length that the default brands have.
const NUMBERS: [&str; 8] = [
    "4111111111111111",
    "4242424242424242",
    "5555555555554444",
    "378282246310005",
    "371449635398431",
    "3530111333300000",
    "36227206271667",
    "30569309025904",
];

#[derive(Debug, Clone)]
enum Act {
    Key(u8, u16),
    Keys(&'static str, u64),
    Wait(u64),
    Hear,
    HangUp,
    KeysLost,
    Command(Command),
    Answer(&'static str),
    AnswerAfter(u64),
    Journal(Option<NotWritten>),
    StrayPromptEnded,
    StrayDeadline,
    StrayAnswer,
    StrayNotWritten,
}

fn act() -> impl Strategy<Value = Act> {
    let keys = prop_oneof![
        Just("1"),
        Just("2"),
        Just("3"),
        Just("4"),
        Just("10#"),
        Just("5555555555554444#"),
        Just("4111111111111111#"),
        Just("378282246310005"),
        Just("4111111111111112#"),
        Just("1228"),
        Just("1025"),
        Just("123"),
        Just("**"),
        Just("1444444444444444444444444444444444444444"),
    ];
    let answer = prop_oneof![
        Just("approved"),
        Just("insufficient_funds"),
        Just("cvv_mismatch"),
        Just("duplicate"),
        Just("unknown"),
        Just("not-sent"),
    ];
    let command = prop_oneof![
        Just(Command::Pause),
        Just(Command::Resume),
        Just(Command::ReAsk(Step::PaymentCardNumber)),
        Just(Command::ReAsk(Step::ExpirationDate)),
        Just(Command::ReAsk(Step::SecurityCode)),
        Just(Command::ReAsk(Step::PaymentPlan)),
        Just(Command::ReAsk(Step::Greeting)),
    ];
    prop_oneof![
        6 => (prop::sample::select(b"0123456789*#A".to_vec()), 0..1_500_u16).prop_map(|(k, held)| Act::Key(k, held)),
        12 => (keys, prop_oneof![Just(0_u64), 20..160_u64, 200..3_000_u64]).prop_map(|(k, gap)| Act::Keys(k, gap)),
        5 => (0..20_000_u64).prop_map(Act::Wait),
        1 => (0..400_000_u64).prop_map(Act::Wait),
        8 => Just(Act::Hear),
        1 => Just(Act::KeysLost),
        2 => command.prop_map(Act::Command),
        3 => answer.prop_map(Act::Answer),
        1 => (0..90_000_u64).prop_map(Act::AnswerAfter),
        1 => prop_oneof![Just(None), Just(Some(NotWritten::Failed)), Just(Some(NotWritten::OrderTaken))].prop_map(Act::Journal),
        1 => prop_oneof![
            Just(Act::StrayPromptEnded),
            Just(Act::StrayDeadline),
            Just(Act::StrayAnswer),
            Just(Act::StrayNotWritten),
        ],
    ]
}

/// What a caller keys who pays, up to the plan.
fn to_the_plan() -> Vec<Act> {
    let keys = [
        ("1", 300),
        ("4111111111111111#", 250),
        ("1228", 250),
        ("123", 250),
    ];
    keys.into_iter()
        .flat_map(|(keys, gap)| [Act::Hear, Act::Keys(keys, gap)])
        .collect()
}

/// A caller who, mostly, would like to pay; and at times does anything.
fn acts() -> impl Strategy<Value = Vec<Act>> {
    let good = prop_oneof![
        Just([to_the_plan(), vec![Act::Hear, Act::Keys("1", 300)]].concat()),
        prop::sample::select(&["1", "2", "3", "4"][..]).prop_map(|plan| {
            let chosen = vec![
                Act::Hear,
                Act::Keys(plan, 300),
                Act::Hear,
                Act::Keys("3#", 300),
            ];
            let paid = vec![
                Act::Hear,
                Act::Keys("1", 300),
                Act::Hear,
                Act::Keys("1", 300),
            ];
            [to_the_plan(), chosen, paid].concat()
        }),
        Just(Vec::new()),
    ];
    let last = prop_oneof![
        4 => Just(Vec::new()),
        1 => Just(vec![Act::HangUp]),
        1 => Just(vec![Act::Command(Command::Cancel)]),
        1 => Just(vec![Act::Command(Command::Shutdown)]),
    ];
    (
        prop::collection::vec(act(), 0..6),
        good,
        prop::collection::vec(act(), 0..30),
        last,
    )
        .prop_map(|(a, b, c, d)| [a, b, c, d].concat())
}

fn perform(runner: &mut Runner, act: &Act) {
    let later = |runner: &Runner, ms: u64| runner.now.plus(Duration::from_millis(ms));
    match act {
        Act::Key(byte, held) => {
            runner.key(
                Duration::from_millis(300),
                key(char::from(*byte)),
                Duration::from_millis(u64::from(*held)),
            );
        }
        Act::Keys(keys, gap) => {
            for c in keys.chars() {
                runner.key(Duration::from_millis(*gap), key(c), Duration::ZERO);
            }
        }
        Act::Wait(ms) => runner.advance(later(runner, *ms)),
        Act::Hear => {
            runner.until(|r| !r.playing());
        }
        Act::HangUp => runner.hang_up(),
        Act::KeysLost => runner.keys_lost(),
        Act::Command(command) => runner.command(*command),
        Act::Answer(answer) => runner.acquirer.push_back(outcome(answer)),
        Act::AnswerAfter(ms) => runner.acquirer_after = Duration::from_millis(*ms),
        Act::Journal(answer) => runner.journal.push_back(*answer),
        Act::StrayPromptEnded => runner.stray(Input::PromptEnded),
        Act::StrayDeadline => runner.stray(Input::DeadlineReached),
        // Only where nothing is in flight: the driver answers each `Authorise` once.
        Act::StrayAnswer if runner.step != Some(Step::PaymentProcessing) => {
            runner.stray(Input::Answered(approved()))
        }
        Act::StrayNotWritten if runner.step != Some(Step::PaymentProcessing) => {
            runner.stray(Input::NotWritten(NotWritten::Failed));
        }
        Act::StrayAnswer | Act::StrayNotWritten => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn every_call_ends(
        acts in acts(),
        can_pause: bool,
        attended: bool,
        security_code: bool,
        operator_keys: bool,
        stored: bool,
        transaction in prop::sample::select(&Transaction::ALL[..]),
        offers in prop_oneof![Just(Offers::NONE), Just(offers())],
        given in prop::option::weighted(0.3, prop::sample::select(&["lump_sum", "installments:3", "revolving", "installments:4"][..])),
    ) {
        let stored = Truncated::new(Brand::Jcb, [0, 5, 0, 5]).filter(|_| stored && transaction.moves_money());
        let plan: Option<Plan> = given.map(|plan| plan.parse().unwrap());
        let call = ivrpay_dialogue::Setup {
            can_pause, attended, security_code, operator_keys, transaction, stored, reference: Some(12_345), offers: offers.clone(), plan, ..setup(1_500)
        };
        let amount = call.amount;
        let settings = Settings::default();
        let mut runner = Runner::new(settings.clone(), call);
        for act in &acts {
            perform(&mut runner, act);
        }
        prop_assert!(runner.until(|r| r.end.is_some()), "it never ends\n{}", runner.transcript);
        let ended = runner.now;
        // Nothing after the end, whatever still happens (`drain` asserts it).
        runner.key(Duration::from_millis(100), Key::Digit(1), Duration::ZERO);
        runner.stray(Input::PromptEnded);
        runner.command(Command::Resume);
        runner.stray(Input::HungUp);
        prop_assert!(runner.deadline().is_none(), "a deadline after the end");

        prop_assert!(!runner.played_to_nobody, "played to nobody\n{}", runner.transcript);
        // Session, the longest answers of three cards, and the last prompt; what the acts waited after the end is not the call's.
        let longest = settings.session + Duration::from_secs(3 * 90) + settings.prompt_max;
        let waited = runner.transcript.lines().rfind(|l| l.contains("-> end")).unwrap_or_default();
        let at: f64 = waited.split(' ').next().unwrap_or_default().parse().unwrap_or(f64::MAX);
        prop_assert!(at <= longest.as_secs_f64(), "ended at {at} s\n{}", runner.transcript);
        prop_assert!(ended >= At::default());

        // Digits are spoken of the amount, the reference, and of a card the last four alone.
        for say in &runner.said {
            match say {
                Say::Amount(said) => prop_assert!(*said == amount && !operator_keys && transaction.moves_money()),
                Say::AmountTold(said) => prop_assert!(*said == amount && operator_keys && transaction.moves_money()),
                Say::Confirm(_, said) | Say::ConfirmPlan(_, said, _) => prop_assert!(*said == amount && transaction.moves_money()),
                Say::ConfirmStoring(_) => prop_assert_eq!(transaction, Transaction::Tokenise),
                Say::ConfirmChecking(_) => prop_assert_eq!(transaction, Transaction::Verify),
                Say::Stored(card, said) => prop_assert!(*said == amount && Some(*card) == stored),
                Say::Plans(_) | Say::PlanCounts(_) | Say::PlanRead(_) => prop_assert!(!offers.is_empty() && transaction.moves_money()),
                Say::Reference(number) => prop_assert!(!attended && *number == 12_345),
                Say::Line(_) | Say::Brands(_) => {}
                other => prop_assert!(false, "{} is the operator's", other.name()),
            }
        }
        for sent in &runner.sent {
            let digits: Vec<u8> = sent.pan.iter().rev().take(4).rev().map(|b| b - b'0').collect();
            prop_assert_eq!(&digits[..], &sent.last4[..]);
            // Never a plan that was not offered for this card, given or chosen, and confirmed.
            let heard = |say: &Say| match say {
                Say::Confirm(card, _) | Say::ConfirmStoring(card) | Say::ConfirmChecking(card) => {
                    card.last4() == sent.last4 && sent.plan.is_lump_sum()
                }
                Say::ConfirmPlan(card, _, plan) => card.last4() == sent.last4 && *plan == sent.plan,
                _ => false,
            };
            prop_assert!(runner.said.iter().any(heard), "unconfirmed\n{}", runner.transcript);
            prop_assert!(offers.with(sent.brand).allows(sent.plan), "{} was not offered\n{}", sent.plan, runner.transcript);
            let chosen = runner.said.iter().any(|say| matches!(say, Say::Plans(_)));
            prop_assert!(sent.plan.is_lump_sum() || plan == Some(sent.plan) || chosen, "nobody chose {}", sent.plan);
        }
        prop_assert!(runner.sent.len() <= usize::from(settings.cards_max), "{} cards", runner.sent.len());
        // The stored card is charged once at most, and only where it was offered.
        prop_assert!(runner.by_token <= usize::from(runner.said.iter().any(|s| matches!(s, Say::Stored(..)))));
        prop_assert!(runner.sent.len() + runner.by_token <= usize::from(settings.cards_max));

        let end = runner.end.as_ref().unwrap();
        prop_assert!(end.evidence.len() <= 64);
        // I3, I4: success is said of an approval and of nothing else; after an unknown no other card is sent.
        prop_assert_eq!(end.result == CallResult::Success, matches!(end.outcome, Some(Outcome::Approved(_))));
        // Unknown is said too where another payment of the order may be open.
        let taken = acts.iter().any(|act| matches!(act, Act::Journal(Some(NotWritten::OrderTaken))));
        let unknown = matches!(end.outcome, Some(Outcome::Unknown(_)));
        let said = end.result == CallResult::OutcomeUnknown;
        prop_assert!(said == unknown || said && taken, "{}", runner.transcript);
        prop_assert!(runner.transcript.matches("<- unknown").count() <= 1);
        prop_assert!(runner.transcript.matches("<- approved").count() <= 1);
    }

    /// Whatever Asterisk or the telephone adds: the number that is sent is the one that was keyed, or none is sent.
    #[test]
    fn never_a_wrong_number(
        number in prop::sample::select(&NUMBERS[..]),
        echoes in echoes(),
        on in 40..1_200_u64,
        off in 20..900_u64,
        jitter in prop::collection::vec(0..12_u64, 20),
        which in prop::collection::vec(any::<bool>(), 20),
        pauses in prop::collection::vec(prop_oneof![6 => Just(0_u64), 1 => 500..9_000_u64], 20),
        hash: bool,
    ) {
        let call = ivrpay_dialogue::Setup { greeting: false, amount_confirmed: true, ..setup(1_500) };
        let mut runner = Runner::new(Settings::default(), call);
        runner.until(|r| !r.playing());
        let (on, off) = echoes.pace(on, off);
        // (arrival, key, length)
        let mut events: Vec<(At, char, u64)> = Vec::new();
        let mut at = 300;
        for (n, c) in number.chars().enumerate() {
            at += pauses[n];
            let (down, up) = (at, at + on);
            at = up + off;
            let arrival = |ms: u64| runner.now.plus(Duration::from_millis(ms));
            match echoes {
                Echoes::None => events.push((arrival(up + jitter[n]), c, on)),
                // The first on time, then once or twice more as it is read again.
                Echoes::Asterisk(lag) => {
                    events.push((arrival(up), c, on));
                    if n > 0 && which[n] {
                        events.push((arrival(up + lag + jitter[n]), c, on));
                    }
                }
                Echoes::AtRelease(twice) => {
                    events.push((arrival(up), c, on));
                    events.push((arrival(up + jitter[n]), c, 100));
                    if twice {
                        events.push((arrival(up + jitter[n] + 1), c, 100));
                    }
                }
                Echoes::PressAndRelease(known) => {
                    events.push((arrival(down + jitter[n]), c, if known { 100 } else { 0 }));
                    events.push((arrival(up + jitter[n]), c, if known { on } else { 0 }));
                }
            }
        }
        if hash {
            events.push((runner.now.plus(Duration::from_millis(at + 400)), '#', 100));
        }
        events.sort_by_key(|event| event.0);
        for (arrival, c, length) in events {
            let gap = arrival.since(runner.now);
            runner.key(gap, key(c), Duration::from_millis(length));
        }
        // Who is asked for the expiry goes on, at ease.
        runner.until(|r| !r.playing() && r.step == Some(Step::ExpirationDate) || r.last_error.is_some());
        if runner.step == Some(Step::ExpirationDate) {
            for (keys, next) in [("1228", Step::SecurityCode), ("1234", Step::Confirmation)] {
                runner.until(|r| !r.playing());
                for c in keys.chars() {
                    if runner.step != Some(next) {
                        runner.key(Duration::from_millis(400), key(c), Duration::from_millis(100));
                    }
                }
            }
            runner.until(|r| !r.playing());
            runner.key(Duration::from_millis(700), key('1'), Duration::from_millis(100));
        }
        runner.until(|r| r.end.is_some());
        for sent in &runner.sent {
            prop_assert!(sent.pan == number.as_bytes(), "a wrong number was sent: {echoes:?} {on}/{off}\n{}", runner.transcript);
        }
        // And who keys at a human pace, on a telephone without echoes or with plain ones, is not troubled.
        // (But 5555555555554444 keyed in pairs is troubled: it sounds as an echo does.)
        let in_pairs = number == "5555555555554444" && pauses.iter().any(|pause| *pause > 0);
        if matches!(echoes, Echoes::None | Echoes::AtRelease(_)) && on >= 80 && off >= 100 && !in_pairs {
            prop_assert_eq!(runner.sent.len(), 1, "{}", runner.transcript);
        }
    }

    /// Keys are lost while the caller keys, or an operator asks anew: what follows is the rest of a number, and is never sent as one,
    /// though its last four digits are right.
    #[test]
    fn a_number_with_a_hole_is_never_sent(
        number in prop::sample::select(&HOLED[..]),
        from in 0..16_usize,
        hole in 0..6_usize,
        gap in 100..2_000_u64,
        re_ask: bool,
    ) {
        let call = ivrpay_dialogue::Setup { greeting: false, amount_confirmed: true, ..setup(1_500) };
        let mut runner = Runner::new(Settings::default(), call);
        runner.until(|r| !r.playing());
        let gap = Duration::from_millis(gap);
        let digits: Vec<char> = number.chars().collect();
        for c in &digits[..from.min(digits.len())] {
            runner.key(gap, key(*c), Duration::from_millis(80));
        }
        if re_ask {
            runner.command(Command::ReAsk(Step::PaymentCardNumber));
        } else {
            runner.keys_lost();
        }
        for c in digits.iter().skip(from + hole) {
            // A slow caller hears the voice, and stops; a quick one keys on to the end.
            if gap >= Duration::from_millis(600) && !runner.playing() {
                break;
            }
            runner.key(gap, key(*c), Duration::from_millis(80));
        }
        runner.until(|r| !r.playing());
        if runner.step == Some(Step::PaymentCardNumber) {
            runner.advance(runner.now.plus(Duration::from_secs(1)));
            for c in number.chars().chain(['#']) {
                runner.key(Duration::from_millis(250), key(c), Duration::from_millis(80));
            }
        }
        for (step, keys) in [(Step::ExpirationDate, "1228"), (Step::SecurityCode, "123"), (Step::Confirmation, "1")] {
            runner.until(|r| r.step == Some(step) && !r.playing() || r.end.is_some());
            for c in keys.chars() {
                runner.key(Duration::from_millis(700), key(c), Duration::from_millis(80));
            }
        }
        runner.until(|r| r.end.is_some());
        for sent in &runner.sent {
            prop_assert!(sent.pan == number.as_bytes(), "a wrong number was sent: from {from}, {hole} lost\n{}", runner.transcript);
        }
        if gap < Duration::from_millis(600) {
            prop_assert_eq!(runner.sent.len(), 1, "{}", runner.transcript);
        }
    }
}

/// Visa numbers whose rests are numbers of other lengths and brands, with a check digit that is right.
const HOLED: [&str; 3] = ["4236000000000008", "4204000000000006", "4111111111111111"];

/// Where second events come from.
#[derive(Debug, Clone, Copy)]
enum Echoes {
    None,
    /// Some keys once more, so many ms later; only at a pace at which Asterisk does that.
    Asterisk(u64),
    /// RFC 4733 and INFO, both at the release; once or twice more.
    AtRelease(bool),
    /// INFO at the press, RFC 4733 at the release; with or without a length.
    PressAndRelease(bool),
}

impl Echoes {
    fn pace(self, on: u64, off: u64) -> (u64, u64) {
        match self {
            // Doubling was measured at periods of 120 ms and below.
            Self::Asterisk(_) => (on.min(100), off.min(120 - on.min(100)).max(20)),
            // Two releases of one key are not closer than its pause.
            Self::None | Self::AtRelease(_) | Self::PressAndRelease(true) => (on, off.max(60)),
            // Without a length only the rhythm tells, and only if there is one.
            Self::PressAndRelease(false) => {
                if on * 2 > off && off * 2 > on {
                    (on, on * 2 + 100)
                } else {
                    (on, off)
                }
            }
        }
    }
}

fn echoes() -> impl Strategy<Value = Echoes> {
    prop_oneof![
        Just(Echoes::None),
        (0..150_u64).prop_map(Echoes::Asterisk),
        any::<bool>().prop_map(Echoes::AtRelease),
        any::<bool>().prop_map(Echoes::PressAndRelease),
    ]
}

/// `PROPTEST_CASES` where it is set (`make prove`), else what a quick check can spend.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(400)
}
