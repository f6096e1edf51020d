//! `sip.conf` of chan_sip, which Asterisk has up to 20.

use std::collections::BTreeSet;

use super::{Cx, dialplan, modules};
use crate::catalogue as c;
use crate::conf::{Conf, Entry, Section};
use crate::finding::Change;

/// Whether a peer gives its calls feature rights.
pub(super) fn check(cx: &mut Cx<'_>, loaded: Option<&Conf>, recording: &BTreeSet<String>) -> bool {
    if !cx.tree.has("sip.conf") || loaded.is_some_and(|m| !modules::loads(m, "chan_sip.so")) {
        return false;
    }
    let Some(conf) = cx.conf("sip.conf") else {
        return false;
    };
    let mut rights = false;
    // Both names are of the same option.
    let direct = |section: &Section| {
        let entries = section.entries.iter().rev();
        let mut of = entries.filter(|e| {
            ["directmedia", "canreinvite"]
                .iter()
                .any(|k| e.key.eq_ignore_ascii_case(k))
        });
        of.next().cloned()
    };
    for section in conf.sections() {
        let general = section.name.eq_ignore_ascii_case("general");
        match direct(section) {
            Some(entry) if !entry.is_false() => cx.find_value(c::SIP_DIRECT_MEDIA, &entry, "no"),
            None if general => cx.find(
                c::SIP_DIRECT_MEDIA,
                &section.at,
                "directmedia is absent: yes",
                Change::Below("directmedia = no".into()),
            ),
            _ => {}
        }
        for entry in section.all("setvar") {
            rights |= dialplan::set(cx, entry, &entry.value, recording);
        }
        for key in ["sipdebug", "recordhistory"] {
            if let Some(entry) = section.last(key).filter(|e| general && Entry::is_true(e)) {
                cx.find_value(c::SIP_DEBUG, entry, "no");
            }
        }
    }
    rights
}
