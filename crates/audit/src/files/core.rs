//! `asterisk.conf`, `cli.conf`, and a `safe_asterisk` where one lies in the folder.

use super::{Cx, line};
use crate::catalogue as c;
use crate::conf::{At, Entry};
use crate::finding::Change;

/// The verbosity at which arguments and digits are printed.
const VERBOSE_MAX: i64 = 2;

pub(super) fn check(cx: &mut Cx<'_>) {
    if let Some(conf) = cx.conf("asterisk.conf")
        && let Some(options) = cx.only(&conf, "options")
    {
        // A number; a word that is true counts as 1 (main/options.c).
        let level = |key: &str| {
            options.last(key).map(|e| {
                let number = e.value.parse().unwrap_or_else(|_| i64::from(e.is_true()));
                (e, number)
            })
        };
        if let Some((entry, level)) = level("debug")
            && level > 0
        {
            cx.find_value(c::ASTERISK_DEBUG, entry, "0");
        }
        if let Some((entry, level)) = level("verbose")
            && level > VERBOSE_MAX
        {
            cx.find_value(c::ASTERISK_VERBOSE, entry, "0");
        }
        for (key, check) in [
            ("dumpcore", c::ASTERISK_CORE),
            ("live_dangerously", c::ASTERISK_DANGEROUS),
        ] {
            if let Some(entry) = options.last(key).filter(|e| Entry::is_true(e)) {
                cx.find_value(check, entry, "no");
            }
        }
    }
    if let Some(conf) = cx.conf("cli.conf")
        && let Some(commands) = cx.only(&conf, "startup_commands")
    {
        for entry in commands.entries.iter().filter(|e| !e.is_false()) {
            if shows_keys(&entry.key) {
                cx.find(c::CLI_STARTUP, &entry.at, line(entry), Change::Delete);
            }
        }
    }
    safe_asterisk(cx);
}

/// Whether a command of Asterisk's command line switches something on that shows keys.
fn shows_keys(command: &str) -> bool {
    let command = command.to_ascii_lowercase();
    let words: Vec<&str> = command.split_whitespace().collect();
    let number = |at: usize| words.get(at).and_then(|w| w.parse::<i64>().ok());
    match words.as_slice() {
        ["core", "set", "debug", "channel", ..] => !words.contains(&"off"),
        ["core", "set", "debug", rest @ ..] => !rest.contains(&"0") && !rest.contains(&"off"),
        ["core", "set", "verbose", ..] => number(3).is_some_and(|n| n > VERBOSE_MAX),
        [
            "rtp" | "agi" | "manager" | "iax2" | "sip",
            "set",
            "debug",
            rest @ ..,
        ] => !rest.contains(&"off"),
        ["ari", "set", "debug", rest @ ..] => !rest.contains(&"off"),
        ["pjsip", "set", "logger" | "history", rest @ ..] => !rest.contains(&"off"),
        ["logger", "set", "level", "dtmf", state] => *state != "off",
        ["logger", "add", "channel", ..] => command.contains("dtmf") || command.contains('*'),
        _ => false,
    }
}

/// The start script, where a copy of it lies in the folder. It is a program, so only two plain lines are looked for.
fn safe_asterisk(cx: &mut Cx<'_>) {
    let scripts: Vec<String> = cx
        .tree
        .paths()
        .filter(|p| p.ends_with("safe_asterisk") || p.starts_with("startup.d/"))
        .map(str::to_owned)
        .collect();
    for script in scripts {
        let text = String::from_utf8_lossy(cx.tree.bytes(&script).unwrap_or_default()).into_owned();
        cx.report.looked(script.clone());
        for (number, text) in text.lines().enumerate() {
            let code = text.trim();
            if code.starts_with("ulimit -c") && !code.ends_with(" 0") {
                let at = At {
                    file: script.as_str().into(),
                    line: u32::try_from(number + 1).unwrap_or(u32::MAX),
                };
                cx.find(
                    c::ASTERISK_CORE,
                    &at,
                    code,
                    Change::Replace("ulimit -c 0".into()),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_show_keys() {
        for (command, expected) in [
            ("core set debug 3", true),
            ("core set debug 1 res_rtp_asterisk.so", true),
            ("core set debug 0", false),
            ("core set debug off", false),
            ("core set debug channel all", true),
            ("core set verbose 3", true),
            ("core set verbose 1", false),
            ("rtp set debug on", true),
            ("rtp set debug off", false),
            ("pjsip set logger on", true),
            ("pjsip set logger host 192.0.2.1", true),
            ("pjsip set history off", false),
            ("ari set debug all on", true),
            ("logger set level DTMF on", true),
            ("logger add channel x dtmf", true),
            ("sip show peers", false),
            ("", false),
        ] {
            assert_eq!(shows_keys(command), expected, "{command}");
        }
    }
}
