//! How keys came: as they should, as sound alone, or not at all.

mod common;

use std::time::Duration;

use common::{Runner, key, setup};
use ivrpay_dialogue::{CallResult, Keys, Settings, Step};

const HELD: Duration = Duration::from_millis(100);

fn at_the_amount(settings: Settings) -> Runner {
    let mut runner = Runner::new(settings, setup(1_500));
    assert!(runner.until(|r| r.step == Some(Step::PaymentAmount)));
    assert!(runner.until(|r| !r.playing()));
    runner
}

/// `2`, "the amount is wrong", ends the call.
fn ended_by(mut runner: Runner, gap: Duration) -> (CallResult, Keys, bool) {
    runner.key(gap, key('2'), HELD);
    assert!(runner.until(|r| r.end.is_some()));
    let listened = runner.transcript.contains("listen for tones");
    let end = runner.end.expect("it has ended");
    (end.result, end.keys, listened)
}

#[test]
fn a_key_before_the_reminder_is_as_it_should_be() {
    let ended = ended_by(at_the_amount(Settings::default()), Duration::from_secs(5));
    assert_eq!(ended, (CallResult::AmountRejected, Keys::Fine, false));
}

#[test]
fn a_key_behind_it_came_as_sound() {
    let ended = ended_by(at_the_amount(Settings::default()), Duration::from_secs(9));
    assert_eq!(ended, (CallResult::AmountRejected, Keys::AsSound, true));
}

#[test]
fn a_key_that_comes_twice_did_not() {
    let mut runner = at_the_amount(Settings::default());
    runner.key(Duration::from_secs(9), key('1'), HELD);
    assert!(!runner.transcript.contains("no tones"));
    runner.key(Duration::from_millis(60), key('1'), HELD);
    assert!(
        runner.transcript.contains("no tones"),
        "{}",
        runner.transcript
    );
    runner.hang_up();
    assert_eq!(runner.end.unwrap().keys, Keys::Fine);
}

#[test]
fn tones_are_not_detected_where_nobody_wants_it() {
    let settings = Settings {
        detect_tones: false,
        ..Settings::default()
    };
    let ended = ended_by(at_the_amount(settings), Duration::from_secs(9));
    assert_eq!(ended, (CallResult::AmountRejected, Keys::Fine, false));
}

#[test]
fn no_key_at_all_is_told() {
    for detect_tones in [true, false] {
        let settings = Settings {
            detect_tones,
            ..Settings::default()
        };
        let mut runner = at_the_amount(settings);
        assert!(runner.until(|r| r.end.is_some()));
        let end = runner.end.unwrap();
        assert_eq!(end.result, CallResult::TooManyFailedAttempts);
        assert_eq!(end.keys, Keys::NotHeard);
        assert_eq!(
            runner.transcript.matches("keys-not-heard").count(),
            4,
            "{}",
            runner.transcript
        );
    }
}
