//! Any bytes give the request of an AGI session, an answer, or an error; any text becomes one command, or none.
#![no_main]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ivrpay_agi::protocol::{Answer, answer, command, request};
use ivrpay_agi::{ANSWER_LINE_BYTES_MAX, COMMAND_BYTES_MAX, ENVIRONMENT_LINES_MAX};
use libfuzzer_sys::fuzz_target;

/// Bytes in memory are always ready.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("waited for bytes that are there"),
    }
}

fuzz_target!(|input: &[u8]| {
    let [how, rest @ ..] = input else { return };
    match how % 3 {
        0 => {
            // Half of them begin as Asterisk does.
            let begun = [b"agi_network: yes\nagi_channel: A\nagi_uniqueid: 1\nagi_context: c\nagi_extension: s\nagi_priority: 1\n", rest].concat();
            let mut from = if how & 4 == 0 { rest } else { &begun };
            if let Ok(request) = now(request(&mut from)) {
                assert!(!request.channel().is_empty() && !request.unique_id().is_empty());
                assert!(!request.script().contains('?') && request.arguments().len() <= ENVIRONMENT_LINES_MAX);
                let values = [request.channel(), request.script(), request.extension()];
                assert!(values.iter().all(|value| !value.contains('\n')));
                assert_eq!(request.parameter(""), request.parameter(""));
            }
        }
        1 => {
            let mut from = rest;
            let mut hung_up = false;
            while let Ok(read) = now(answer(&mut from, &mut hung_up)) {
                if let Answer::Done { text: Some(text), .. } = read {
                    assert!(!text.contains('\n') && text.len() <= ANSWER_LINE_BYTES_MAX * 3);
                }
            }
        }
        _ => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            if let Ok(line) = command("SET VARIABLE", &["X", text]) {
                assert!(line.len() <= COMMAND_BYTES_MAX && line.ends_with(b"\"\n"));
                assert_eq!(line.iter().filter(|byte| byte.is_ascii_control()).count(), 1);
            }
        }
    }
});
