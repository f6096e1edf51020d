//! Any answer, at any stage of any operation, ends or asks on; an approval only by the document's word. And any bytes where webhooks come
//! in. `crates/acquirer/tests/read.rs` is the same on stable.
#![no_main]

#[path = "../../crates/acquirer/tests/any/mod.rs"]
#[allow(dead_code, reason = "what is for a measurement")]
mod any;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(answer) = any::Answer::read(bytes) {
        any::check("adyen", &answer);
    }
    any::hook("adyen", bytes);
});
