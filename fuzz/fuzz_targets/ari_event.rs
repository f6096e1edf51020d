//! Any text gives an event, nothing, or an error; what is read as a key event is one.
#![no_main]

use ivrpay_ari::Event;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(Some(Event::DtmfReceived { .. })) = ivrpay_ari::read(text) {
        // Only what is nested too deep for a tree of values is refused here.
        let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return };
        assert!(value.is_array() || value["type"] == "ChannelDtmfReceived");
    }
});
