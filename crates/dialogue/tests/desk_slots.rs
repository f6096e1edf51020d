//! Secret memory of the keypad: taken at the start, back whenever it ends. A process of its own, since the arena is the process's.

use std::sync::Arc;
use std::time::Duration;

use ivrpay_dialogue::desk::{Desk, Input, OrderDigits, Output, Setup, Who};
use ivrpay_dialogue::{At, Language, Settings};
use ivrpay_payment::{Currency, Money, Offers};
use ivrpay_secret::Key;

#[test]
fn slots_are_back_after_every_key() {
    let before = ivrpay_secret::in_use();
    for keys in ["1200#456#2**", "411111111111111#", "**"] {
        for stop in 0..=keys.len() {
            let setup = Setup {
                who: Who::Operator,
                language: Language::Ja,
                ask_language: true,
                amount_max: Some(Money::new(1_000_000, Currency::Jpy).unwrap()),
                order: OrderDigits::new(3, 8, false),
                offers: Offers::NONE,
            };
            let mut desk = Desk::new(Arc::new(Settings::default()), setup).unwrap();
            desk.start(At::default());
            let mut now = At::default();
            for byte in keys.bytes().take(stop) {
                now = now.plus(Duration::from_millis(700));
                let key = Key::from_byte(byte).unwrap();
                desk.handle(now, Input::Key(key, Duration::from_millis(80)));
                while let Some(output) = desk.poll_output() {
                    if matches!(output, Output::End(_)) {
                        break;
                    }
                }
                // All of it at the start: an entry that has begun never runs out of memory.
                assert_eq!(ivrpay_secret::in_use().small, before.small + 2);
            }
            drop(desk);
            assert_eq!(ivrpay_secret::in_use(), before, "after {stop} keys");
        }
    }
}
