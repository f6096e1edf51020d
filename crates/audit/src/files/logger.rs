//! `logger.conf`.

use super::{Cx, line, replace, words};
use crate::catalogue as c;
use crate::finding::Change;

/// What a log may have.
const HARMLESS: &str = "notice,warning,error";

pub(super) fn check(cx: &mut Cx<'_>) {
    // Without the file: the console alone, without DTMF.
    let Some(conf) = cx.conf("logger.conf") else {
        return;
    };
    let Some(section) = cx.only(&conf, "logfiles") else {
        let change = cx.add(&conf, "logfiles", vec![format!("messages => {HARMLESS}")]);
        let at = crate::conf::At {
            file: conf.file.clone(),
            line: 0,
        };
        cx.find(c::LOG_EMPTY, &at, "no [logfiles]", change);
        return;
    };
    if section.entries.is_empty() {
        let change = Change::Below(format!("messages => {HARMLESS}"));
        cx.find(c::LOG_EMPTY, &section.at, "[logfiles] is empty", change);
    }
    for entry in &section.entries {
        let (formatter, levels) = match entry.value.strip_prefix('[') {
            Some(rest) => rest.split_once(']').unwrap_or(("", rest)),
            None => ("", &*entry.value),
        };
        let console = entry.key.eq_ignore_ascii_case("console");
        let mut kept = Vec::new();
        let (mut keys, mut debug, mut verbose) = (false, false, false);
        for level in words(levels) {
            let lower = level.to_ascii_lowercase();
            match lower.as_str() {
                "dtmf" | "*" => keys = true,
                "debug" => debug = true,
                // The console has it whatever stands here.
                _ if lower.starts_with("verbose") && console => kept.push(level),
                _ if lower.starts_with("verbose") => verbose = true,
                _ => kept.push(level),
            }
        }
        let kept = if kept.is_empty() {
            HARMLESS.to_owned()
        } else {
            kept.join(",")
        };
        let kept = if formatter.is_empty() {
            kept
        } else {
            format!("[{formatter}]{kept}")
        };
        for (there, check) in [
            (keys, c::LOG_DTMF),
            (debug, c::LOG_DEBUG),
            (verbose, c::LOG_VERBOSE),
        ] {
            if there {
                cx.find(check, &entry.at, line(entry), replace(entry, &kept));
            }
        }
        if entry.key.to_ascii_lowercase().starts_with("syslog") {
            let change = Change::Do("know where syslog sends it; or write to a file".into());
            cx.find(c::LOG_SYSLOG, &entry.at, line(entry), change);
        }
    }
}
