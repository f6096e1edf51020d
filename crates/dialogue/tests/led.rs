//! A capture that a program leads: nothing is asked that it did not ask for, nothing is charged before its word.

mod common;

use std::time::Duration;

use common::{Runner, approved, key, outcome, setup};
use ivrpay_dialogue::{
    Ask, CallResult, CardField, Command, Fields, Leading, Say, Settings, Setup, Step,
};

const HELD: Duration = Duration::from_millis(100);
const GAP: Duration = Duration::from_millis(400);
const VISA: &str = "4242424242424242";
const AMEX: &str = "378282246310005";

fn led(leading: Leading) -> Runner {
    let setup = Setup {
        can_pause: true,
        led: Some(leading),
        ..setup(1_500)
    };
    let mut runner = Runner::new(Settings::default(), setup);
    runner.acquirer.push_back(approved());
    runner
}

fn silent() -> Runner {
    led(Leading::default())
}

const fn ask(field: CardField) -> Command {
    Command::Capture(Ask {
        field,
        again: false,
    })
}

const fn again(field: CardField) -> Command {
    Command::Capture(Ask { field, again: true })
}

const NUMBER: Command = ask(CardField::PaymentCardNumber);
const EXPIRY: Command = ask(CardField::ExpirationDate);
const CODE: Command = ask(CardField::SecurityCode);

/// Keys it, where it may be asked for.
fn keyed(runner: &mut Runner, command: Command, keys: &str) {
    assert!(runner.takes(command), "{command:?}: {}", runner.transcript);
    runner.command(command);
    // The operator says what to key.
    runner.advance(runner.now.plus(Duration::from_secs(2)));
    for one in keys.chars() {
        runner.key(GAP, key(one), HELD);
    }
}

fn required(runner: &Runner) -> Vec<&'static str> {
    let taken = runner.taken.as_ref().unwrap();
    let names = taken
        .required
        .iter()
        .map(|ask| match (ask.field, ask.again) {
            (CardField::PaymentCardNumber, false) => "number",
            (CardField::PaymentCardNumber, true) => "number-matcher",
            (CardField::ExpirationDate, false) => "expiry",
            (CardField::ExpirationDate, true) => "expiry-matcher",
            (CardField::SecurityCode, false) => "code",
            (CardField::SecurityCode, true) => "code-matcher",
        });
    names.collect()
}

fn error(runner: &Runner) -> Option<&'static str> {
    runner
        .taken
        .as_ref()
        .unwrap()
        .error
        .map(|error| error.name())
}

fn ends(runner: &mut Runner) -> CallResult {
    assert!(runner.until(|r| r.end.is_some()), "{}", runner.transcript);
    runner.result().unwrap()
}

#[test]
fn fields_come_one_by_one_and_nothing_is_said() {
    let mut runner = silent();
    // The two talk.
    assert_eq!(runner.step, Some(Step::Paused));
    runner.key(GAP, key('4'), HELD);
    keyed(&mut runner, NUMBER, &format!("{VISA}#"));
    assert_eq!(runner.step, Some(Step::AwaitingCapture));
    assert_eq!(required(&runner), ["expiry", "code"]);
    let card = runner.taken.as_ref().unwrap().card.unwrap();
    assert_eq!(card.last4_text(), "4242");
    // What is keyed while nothing is asked is nobody's.
    runner.key(GAP, key('9'), HELD);
    assert!(!runner.takes(Command::Complete));
    keyed(&mut runner, EXPIRY, "1230");
    keyed(&mut runner, CODE, "123");
    assert!(required(&runner).is_empty());
    assert!(runner.sent.is_empty(), "nothing goes out before its word");
    runner.advance(runner.now.plus(Duration::from_secs(60)));
    assert!(runner.sent.is_empty());
    assert!(runner.takes(Command::Complete));
    runner.command(Command::Complete);
    assert_eq!(ends(&mut runner), CallResult::Success);
    assert_eq!(runner.sent.len(), 1);
    assert_eq!(runner.sent[0].pan, VISA.as_bytes());
    assert!(runner.said.is_empty(), "{:?}", runner.said);
}

#[test]
fn what_is_wrong_is_asked_again_and_then_left_to_whoever_leads() {
    let mut runner = silent();
    keyed(&mut runner, NUMBER, "4242424242424241#");
    assert_eq!(error(&runner), Some("invalid-card-number"));
    assert!(runner.taken.as_ref().unwrap().open);
    for _ in 0..2 {
        runner.advance(runner.now.plus(Duration::from_secs(2)));
        for one in "4242424242424241#".chars() {
            runner.key(GAP, key(one), HELD);
        }
    }
    let taken = runner.taken.as_ref().unwrap();
    assert!(!taken.open && taken.attempt == 3 && taken.card.is_none());
    assert_eq!(runner.step, Some(Step::AwaitingCapture));
    keyed(&mut runner, NUMBER, &format!("{VISA}#"));
    assert_eq!(
        (error(&runner), required(&runner)),
        (None, vec!["expiry", "code"])
    );
    // A date that has passed, and silence.
    keyed(&mut runner, EXPIRY, "0120");
    assert_eq!(error(&runner), Some("invalid-date"));
    assert!(runner.until(|r| r.taken.as_ref().is_some_and(|t| !t.open)));
    assert_eq!(error(&runner), Some("input-timeout"));
    assert!(runner.end.is_none());
}

#[test]
fn a_new_number_takes_its_code_with_it() {
    let mut runner = silent();
    assert!(!runner.takes(CODE), "the brand has its length");
    keyed(&mut runner, NUMBER, &format!("{VISA}#"));
    keyed(&mut runner, EXPIRY, "1230");
    keyed(&mut runner, CODE, "123");
    keyed(&mut runner, NUMBER, &format!("{AMEX}#"));
    assert_eq!(required(&runner), ["code"]);
    keyed(&mut runner, CODE, "1234");
    runner.command(Command::Complete);
    assert_eq!(ends(&mut runner), CallResult::Success);
    assert_eq!(runner.sent[0].pan, AMEX.as_bytes());
}

#[test]
fn what_is_keyed_twice_has_to_be_alike() {
    let mut runner = led(Leading {
        twice: Fields {
            card_number: true,
            expiration_date: false,
            security_code: true,
        },
        ..Leading::default()
    });
    let (number, code) = (
        again(CardField::PaymentCardNumber),
        again(CardField::SecurityCode),
    );
    assert!(!runner.takes(number));
    keyed(&mut runner, NUMBER, &format!("{VISA}#"));
    assert_eq!(
        required(&runner),
        ["number-matcher", "expiry", "code", "code-matcher"]
    );
    keyed(&mut runner, number, "5555555555554444#");
    assert_eq!(error(&runner), Some("input-matching-failed"));
    keyed(&mut runner, number, &format!("{VISA}#"));
    keyed(&mut runner, EXPIRY, "1230");
    keyed(&mut runner, CODE, "123");
    assert!(!runner.takes(Command::Complete));
    keyed(&mut runner, code, "123");
    assert!(required(&runner).is_empty());
    runner.command(Command::Complete);
    assert_eq!(ends(&mut runner), CallResult::Success);
}

#[test]
fn a_decline_ends_it_and_so_does_a_cancel_and_a_hang_up() {
    for how in ["declined", "cancel", "hang-up"] {
        let mut runner = silent();
        runner.acquirer.clear();
        runner.acquirer.push_back(outcome("insufficient_funds"));
        keyed(&mut runner, NUMBER, &format!("{VISA}#"));
        keyed(&mut runner, EXPIRY, "1230");
        keyed(&mut runner, CODE, "12");
        let expected = match how {
            "declined" => {
                runner.key(GAP, key('3'), HELD);
                runner.command(Command::Complete);
                CallResult::PaymentConnectorError
            }
            "cancel" => {
                runner.command(Command::Cancel);
                CallResult::AgentCancelled
            }
            _ => {
                runner.hang_up();
                CallResult::CallerHungUp
            }
        };
        assert_eq!(ends(&mut runner), expected, "{how}");
        assert_eq!(runner.sent.len(), usize::from(how == "declined"));
    }
}

#[test]
fn a_card_is_not_held_for_ever() {
    // In a pause it is wiped, and the next field begins anew.
    let mut runner = silent();
    keyed(&mut runner, NUMBER, &format!("{VISA}#"));
    runner.command(Command::Pause);
    assert_eq!(runner.step, Some(Step::Paused));
    runner.advance(runner.now.plus(Duration::from_secs(130)));
    assert!(!runner.takes(CODE) && runner.takes(NUMBER));
    // Whoever leads is told so.
    assert_eq!(required(&runner), ["number", "expiry", "code"]);
    assert!(runner.taken.as_ref().unwrap().card.is_none());
    keyed(&mut runner, NUMBER, &format!("{VISA}#"));
    // And while whoever leads says nothing, it comes to an end.
    assert_eq!(ends(&mut runner), CallResult::SessionTimeout);
    assert!(runner.sent.is_empty());
}

#[test]
fn keys_that_are_nobodys_hold_no_card() {
    let mut runner = silent();
    keyed(&mut runner, NUMBER, &format!("{VISA}#"));
    let taken = runner.now;
    while runner.end.is_none() && runner.now < taken.plus(Duration::from_secs(600)) {
        runner.advance(runner.now.plus(Duration::from_secs(60)));
        if runner.end.is_none() {
            runner.key(GAP, key('1'), HELD);
        }
    }
    assert_eq!(ends(&mut runner), CallResult::SessionTimeout);
    assert!(runner.now < taken.plus(Duration::from_secs(300)));
}

#[test]
fn a_second_time_that_was_asked_for_has_to_be_alike() {
    let mut runner = silent();
    keyed(&mut runner, NUMBER, &format!("{VISA}#"));
    keyed(&mut runner, EXPIRY, "1230");
    keyed(&mut runner, CODE, "123");
    assert!(runner.takes(Command::Complete));
    keyed(&mut runner, again(CardField::SecurityCode), "124");
    assert_eq!(error(&runner), Some("input-matching-failed"));
    for _ in 0..2 {
        runner.advance(runner.now.plus(Duration::from_secs(2)));
        for one in "124".chars() {
            runner.key(GAP, key(one), HELD);
        }
    }
    assert!(!runner.taken.as_ref().unwrap().open);
    assert_eq!(required(&runner), ["code-matcher"]);
    assert!(!runner.takes(Command::Complete));
    keyed(&mut runner, again(CardField::SecurityCode), "123");
    assert!(runner.takes(Command::Complete));
}

#[test]
fn keys_that_were_lost_are_asked_for_by_whoever_leads() {
    let mut runner = silent();
    keyed(&mut runner, NUMBER, "42424242");
    runner.keys_lost();
    let taken = runner.taken.as_ref().unwrap();
    assert!(!taken.open && taken.card.is_none());
    for one in "42424242#".chars() {
        runner.key(GAP, key(one), HELD);
    }
    assert!(runner.taken.as_ref().unwrap().card.is_none());
    keyed(&mut runner, NUMBER, &format!("{VISA}#"));
    assert!(runner.taken.as_ref().unwrap().card.is_some());
}

#[test]
fn with_prompts_and_a_confirmation_the_customer_hears_both() {
    let mut runner = led(Leading {
        prompts: true,
        confirmation: true,
        ..Leading::default()
    });
    keyed(&mut runner, NUMBER, &format!("{VISA}#"));
    keyed(&mut runner, EXPIRY, "1230");
    keyed(&mut runner, CODE, "123");
    runner.command(Command::Complete);
    assert!(runner.until(|r| r.step == Some(Step::Confirmation) && !r.playing()));
    assert!(runner.sent.is_empty());
    // Wrong: from the beginning.
    runner.key(GAP, key('2'), HELD);
    assert_eq!(runner.step, Some(Step::AwaitingCapture));
    assert_eq!(required(&runner), ["number", "expiry", "code"]);
    assert!(!runner.takes(Command::Complete));
    keyed(&mut runner, NUMBER, &format!("{VISA}#"));
    keyed(&mut runner, EXPIRY, "1230");
    keyed(&mut runner, CODE, "123");
    runner.command(Command::Complete);
    assert!(runner.until(|r| r.step == Some(Step::Confirmation) && !r.playing()));
    runner.key(GAP, key('1'), HELD);
    assert_eq!(ends(&mut runner), CallResult::Success);
    assert!(
        runner
            .said
            .iter()
            .any(|say| matches!(say, Say::Confirm(..)))
    );
}

#[test]
fn the_api_of_our_own_asks_in_its_own_words() {
    let mut runner = silent();
    let ask = Command::ReAsk(Step::PaymentCardNumber);
    keyed(&mut runner, ask, &format!("{VISA}#"));
    assert!(!runner.takes(Command::ReAsk(Step::PaymentPlan)));
    keyed(&mut runner, Command::ReAsk(Step::ExpirationDate), "1230");
    keyed(&mut runner, Command::ReAsk(Step::SecurityCode), "123");
    assert!(runner.takes(Command::Complete));
}
