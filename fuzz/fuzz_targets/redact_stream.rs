//! Redactor and serde against serde alone.
//!
//! The first bytes choose the pieces that the socket gives and the room that is read; the rest is either raw frames (any
//! bytes, must end) or texts of messages, cut at 0xFF, of which half are made members of a key event.
#![no_main]

#[path = "../../crates/ari/tests/oracle/mod.rs"]
mod oracle;

use std::cell::RefCell;

use ivrpay_ari::redact::Window;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static WINDOW: RefCell<Window> = RefCell::new(Window::take(64 * 1024).expect("memory for one window"));
}

fuzz_target!(|input: &[u8]| {
    let [how, room, first, second, rest @ ..] = input else { return };
    let lens = [*first, *second];
    let room = usize::from(*room).max(1) * 16;
    WINDOW.with_borrow_mut(|window| {
        if how & 1 == 0 {
            let out = oracle::redact(window, rest, &lens, room);
            assert!(out.released.len() <= rest.len());
            return;
        }
        let mut stream = Vec::new();
        for (i, text) in rest.split(|byte| *byte == 0xFF).enumerate() {
            let text = if how >> (1 + i % 7) & 1 == 0 {
                text.to_vec()
            } else {
                [br#"{"type":"ChannelDtmfReceived","#, text, b"}"].concat()
            };
            let cut = usize::from(*first) % (text.len() + 1);
            let (one, two) = text.split_at(cut);
            for (head, part) in [(0x01, one), (0x80, two)] {
                stream.extend([head, 126]);
                stream.extend(u16::try_from(part.len()).unwrap_or_default().to_be_bytes());
                stream.extend(part.get(..usize::from(u16::try_from(part.len()).unwrap_or_default())).unwrap_or_default());
            }
        }
        let out = oracle::redact(window, &stream, &lens, room);
        if out.failed {
            return;
        }
        assert_eq!(out.released.len(), stream.len());
        let before = oracle::messages(&stream);
        let after = oracle::messages(&out.released);
        assert_eq!(before.len(), after.len());
        for ((before, after), key) in before.iter().zip(&after).zip(&out.keys) {
            oracle::check(before, after, *key);
        }
    });
});
