//! `cel.conf`.

use super::{Cx, words};
use crate::catalogue as c;
use crate::conf::{Conf, Entry, Section};

/// What is written in the place of ALL: everything of 22 but the local channels', the streams' and the keys.
pub(crate) const WITHOUT_KEYS: &str = "CHAN_START,CHAN_END,ANSWER,HANGUP,BRIDGE_ENTER,BRIDGE_EXIT,APP_START,APP_END,PARK_START,PARK_END,BLINDTRANSFER,ATTENDEDTRANSFER,PICKUP,FORWARD,LINKEDID_END,USER_DEFINED";

/// Applications whose arguments may hold what a caller keyed, or the name of a sound of it.
const TELLING: [&str; 20] = [
    "agi",
    "deadagi",
    "eagi",
    "exec",
    "execif",
    "log",
    "mset",
    "noop",
    "playback",
    "queuelog",
    "saydigits",
    "saynumber",
    "senddtmf",
    "sendtext",
    "set",
    "system",
    "tryexec",
    "trysystem",
    "userevent",
    "verbose",
];

pub(super) fn check(cx: &mut Cx<'_>, stasis: Option<&Conf>) {
    // Without the file CEL is off.
    let Some(conf) = cx.conf("cel.conf") else {
        return;
    };
    // CEL takes every [general].
    let general: Vec<&Section> = conf
        .sections()
        .filter(|s| s.name.eq_ignore_ascii_case("general"))
        .collect();
    let enabled = general.iter().filter_map(|s| s.last("enable")).next_back();
    if !enabled.is_some_and(Entry::is_true) {
        return;
    }
    let tracks = |event: &str| {
        let lines = general.iter().flat_map(|s| s.all("events"));
        lines.into_iter().any(|e| has(e, event) || has(e, "ALL"))
    };
    // Arguments of an application are recorded when it starts, of those that are named.
    if tracks("APP_START") {
        for apps in general.iter().flat_map(|s| s.all("apps")) {
            let telling = |word: &&str| TELLING.iter().any(|t| word.eq_ignore_ascii_case(t));
            if words(&apps.value).any(|w| telling(&w)) {
                let kept: Vec<&str> = words(&apps.value).filter(|w| !telling(w)).collect();
                cx.find_value(c::CEL_APPS, apps, &kept.join(","));
            }
        }
    }
    // The event never comes into being.
    let declined = stasis
        .and_then(|s| s.section("declined_message_types"))
        .is_some_and(|s| s.all("decline").any(|e| &*e.value == "cel_generic_type"));
    if declined {
        return;
    }
    // Each line adds to those before it (main/cel.c, events_handler): none takes anything back.
    for events in general.iter().flat_map(|s| s.all("events")) {
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
        if has(events, "ALL") {
            cx.find_value(c::CEL_DTMF, events, WITHOUT_KEYS);
        } else if has(events, "DTMF") {
            cx.find_value(c::CEL_DTMF, events, &kept());
        } else if has(events, "STREAM_BEGIN") {
            cx.find_value(c::CEL_STREAM, events, &kept());
        }
    }
}

fn has(events: &Entry, event: &str) -> bool {
    words(&events.value).any(|w| w.eq_ignore_ascii_case(event))
}
