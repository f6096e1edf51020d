//! `cel.conf`.

use super::{Cx, line, replace, words};
use crate::catalogue as c;
use crate::conf::{Conf, Entry};

/// What is written in the place of ALL: everything of 22 but the local channels', the streams' and the keys.
pub(crate) const WITHOUT_KEYS: &str = "CHAN_START,CHAN_END,ANSWER,HANGUP,BRIDGE_ENTER,BRIDGE_EXIT,APP_START,APP_END,PARK_START,PARK_END,BLINDTRANSFER,ATTENDEDTRANSFER,PICKUP,FORWARD,LINKEDID_END,USER_DEFINED";

pub(super) fn check(cx: &mut Cx<'_>, stasis: Option<&Conf>) {
    // Without the file CEL is off.
    let Some(conf) = cx.conf("cel.conf") else {
        return;
    };
    // CEL takes every [general].
    let last = |key: &str| {
        let general = conf
            .sections()
            .filter(|s| s.name.eq_ignore_ascii_case("general"));
        general.filter_map(|s| s.last(key)).last()
    };
    if !last("enable").is_some_and(Entry::is_true) {
        return;
    }
    // The event never comes into being.
    let declined = stasis
        .and_then(|s| s.section("declined_message_types"))
        .is_some_and(|s| s.all("decline").any(|e| &*e.value == "cel_generic_type"));
    let Some(events) = last("events").filter(|_| !declined) else {
        return;
    };
    let has = |event: &str| words(&events.value).any(|w| w.eq_ignore_ascii_case(event));
    let kept = || {
        let kept: Vec<&str> = words(&events.value)
            .filter(|w| {
                !["ALL", "DTMF", "STREAM_BEGIN", "STREAM_END"]
                    .iter()
                    .any(|e| w.eq_ignore_ascii_case(e))
            })
            .collect();
        kept.join(",")
    };
    if has("ALL") {
        cx.find_value(c::CEL_DTMF, events, WITHOUT_KEYS);
    } else if has("DTMF") {
        cx.find(
            c::CEL_DTMF,
            &events.at,
            line(events),
            replace(events, &kept()),
        );
    } else if has("STREAM_BEGIN") {
        cx.find(
            c::CEL_STREAM,
            &events.at,
            line(events),
            replace(events, &kept()),
        );
    }
}
