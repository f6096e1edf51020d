//! `modules.conf`, with the files of the modules that matter; `stasis.conf`.

use super::{Cx, line};
use crate::catalogue as c;
use crate::conf::{At, Conf, Entry};
use crate::finding::{Change, Check};

/// Modules that are a finding by being loaded.
pub(crate) const LOADED: [(&str, &Check); 4] = [
    ("res_pjsip_history.so", c::MODULE_HISTORY),
    ("func_frame_trace.so", c::MODULE_TRACE),
    ("app_dtmfstore.so", c::MODULE_STORE),
    ("app_jack.so", c::MODULE_JACK),
];

/// Message types that AMI subscribes to when it starts: with AMI enabled and one of them declined, 22.10.1 exits. Each was tried.
const OF_AMI: [&str; 20] = [
    "ast_bridge_snapshot_type",
    "ast_channel_chanspy_start_type",
    "ast_channel_chanspy_stop_type",
    "ast_channel_dial_type",
    "ast_channel_dtmf_begin_type",
    "ast_channel_dtmf_end_type",
    "ast_channel_entered_bridge_type",
    "ast_channel_fax_type",
    "ast_channel_flash_type",
    "ast_channel_hangup_handler_type",
    "ast_channel_hangup_request_type",
    "ast_channel_hold_type",
    "ast_channel_left_bridge_type",
    "ast_channel_mixmonitor_start_type",
    "ast_channel_mixmonitor_stop_type",
    "ast_channel_moh_start_type",
    "ast_channel_moh_stop_type",
    "ast_channel_snapshot_type",
    "ast_channel_unhold_type",
    "ast_channel_wink_type",
];

/// Whether a module is loaded, as far as the file says (main/loader.c): `noload` is stronger than everything else.
pub(super) fn loads(conf: &Conf, module: &str) -> bool {
    let Some(section) = conf.section("modules") else {
        return false;
    };
    let bare = module.trim_end_matches(".so");
    let names = |e: &Entry| e.value.trim_end_matches(".so").eq_ignore_ascii_case(bare);
    let any = |key| section.all(key).any(names);
    if any("noload") {
        return false;
    }
    section.last("autoload").is_some_and(Entry::is_true)
        || ["load", "preload", "require", "preload-require"]
            .into_iter()
            .any(any)
}

/// Where a module is loaded: its own line, or that of `autoload`.
fn loaded_at(conf: &Conf, module: &str) -> Option<(At, bool)> {
    let section = conf.section("modules")?;
    let own = section.entries.iter().find(|e| {
        ["load", "preload", "require"]
            .iter()
            .any(|k| e.key.eq_ignore_ascii_case(k))
            && e.value.eq_ignore_ascii_case(module)
    });
    match own {
        Some(entry) => Some((entry.at.clone(), true)),
        None => section.last("autoload").map(|e| (e.at.clone(), false)),
    }
}

pub(super) fn check(cx: &mut Cx<'_>, conf: Option<&Conf>) {
    let hep = cx.conf("hep.conf");
    let snmp = cx.conf("res_snmp.conf");
    let Some(conf) = conf else {
        return;
    };
    cx.only(conf, "modules");
    for (module, check) in LOADED {
        if loads(conf, module) {
            find(cx, conf, check, module);
        }
    }
    // Drivers that print each key; without their file they do not load.
    for (module, file, check) in [
        ("chan_unistim.so", "unistim.conf", c::MODULE_UNISTIM),
        ("chan_console.so", "console.conf", c::MODULE_CONSOLE),
    ] {
        if cx.tree.has(file) && loads(conf, module) {
            find(cx, conf, check, module);
        }
    }
    // Without the file it declines to load; with it, enabled is yes unless it says no.
    if let Some(hep) = &hep
        && loads(conf, "res_hep.so")
        && loads(conf, "res_hep_pjsip.so")
    {
        let enabled = hep.section("general").and_then(|g| g.last("enabled"));
        match enabled {
            Some(enabled) if enabled.is_true() => cx.find_value(c::MODULE_HEP, enabled, "no"),
            Some(_) => {}
            None => {
                let change = cx.add(hep, "general", vec!["enabled = no".into()]);
                let at = hep.section("general").map_or_else(
                    || At {
                        file: hep.file.clone(),
                        line: 0,
                    },
                    |g| g.at.clone(),
                );
                cx.find(c::MODULE_HEP, &at, "enabled is absent: yes", change);
            }
        }
    }
    if let Some(snmp) = &snmp
        && loads(conf, "res_snmp.so")
        && let Some(enabled) = snmp.section("general").and_then(|g| g.last("enabled"))
        && enabled.is_true()
    {
        cx.find_value(c::MODULE_SNMP, enabled, "no");
    }
}

fn find(cx: &mut Cx<'_>, conf: &Conf, check: &'static Check, module: &str) {
    let Some((at, own)) = loaded_at(conf, module) else {
        return;
    };
    let noload = format!("noload = {module}");
    let (found, change) = if own {
        (format!("{module} is loaded"), Change::Replace(noload))
    } else {
        (
            format!("autoload = yes loads {module}"),
            Change::Below(noload),
        )
    };
    cx.find(check, &at, found, change);
}

/// Message types that must not be declined.
pub(super) fn stasis(cx: &mut Cx<'_>, conf: Option<&Conf>, ami: bool) {
    let declined = conf.and_then(|conf| conf.section("declined_message_types"));
    for entry in declined.iter().flat_map(|s| s.all("decline")) {
        if &*entry.value == "ast_channel_dtmf_end_type" {
            cx.find(
                c::STASIS_END_DECLINED,
                &entry.at,
                line(entry),
                Change::Delete,
            );
        }
        if ami && OF_AMI.contains(&&*entry.value) {
            cx.find(c::STASIS_AMI, &entry.at, line(entry), Change::Delete);
        }
    }
}
