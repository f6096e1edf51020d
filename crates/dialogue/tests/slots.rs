//! Secret memory: taken at the start, back on every way out. A process of its own, since the arena is the process's.

mod common;

use std::time::Duration;

use common::{Runner, key, offers, setup};
use ivrpay_dialogue::{Command, Settings, Setup, Step};

#[derive(Debug, Clone, Copy, PartialEq)]
enum WayOut {
    Cancelled,
    Dropped,
    HungUp,
    Paused,
}

#[test]
fn slots_are_back_on_every_way_out() {
    // Everything that a caller keys, with a wrong number and a clearing in between.
    let keys = "1411*4111111111111112#,4111111111111111#1228123,2,4#,,10,1,1";
    let before = ivrpay_secret::in_use();
    for way in [
        WayOut::Cancelled,
        WayOut::Dropped,
        WayOut::HungUp,
        WayOut::Paused,
    ] {
        for stop in 0..=keys.len() {
            let mut runner = Runner::new(
                Settings::default(),
                Setup {
                    can_pause: true,
                    offers: offers(),
                    ..setup(1_500)
                },
            );
            for c in keys.chars().take(stop) {
                if c == ',' {
                    runner.until(|r| !r.playing());
                } else {
                    runner.key(
                        Duration::from_millis(250),
                        key(c),
                        Duration::from_millis(100),
                    );
                }
            }
            match way {
                WayOut::Dropped => {}
                WayOut::HungUp => runner.hang_up(),
                WayOut::Cancelled => runner.command(Command::Cancel),
                WayOut::Paused => {
                    let card = matches!(
                        runner.step,
                        Some(
                            Step::PaymentCardNumber
                                | Step::ExpirationDate
                                | Step::SecurityCode
                                | Step::PaymentPlan
                                | Step::PaymentPlanCount
                                | Step::PaymentPlanConfirmation
                                | Step::Confirmation
                        )
                    );
                    runner.command(Command::Pause);
                    if runner.step != Some(Step::Paused) {
                        // The intent is being written: too late.
                        continue;
                    }
                    let held = ivrpay_secret::in_use().small;
                    runner.advance(runner.now.plus(Duration::from_secs(119)));
                    assert_eq!(ivrpay_secret::in_use().small, held, "wiped too early");
                    runner.advance(runner.now.plus(Duration::from_secs(2)));
                    let wiped = ivrpay_secret::in_use().small < held;
                    assert_eq!(wiped, card, "after two minutes of pause at {stop} keys");
                }
            }
            if matches!(way, WayOut::HungUp | WayOut::Cancelled) {
                // The last key alone is still held (and wiped); where the intent was being written, its answer is still due.
                let left = ivrpay_secret::in_use().small - before.small;
                let ended = runner.end.is_some();
                assert!(
                    !ended || left <= 1,
                    "{way:?} after {stop} keys: {left} slots are held after the end"
                );
            }
            drop(runner);
            assert_eq!(ivrpay_secret::in_use(), before, "{way:?} after {stop} keys");
        }
    }
}
