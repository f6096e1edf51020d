//! `extensions.conf`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Cx, modules};
use crate::catalogue as c;
use crate::conf::{At, Conf, Entry, Section};
use crate::dialplan::{Context, Step, assigned, judge, safe_options, split_once_outside};
use crate::finding::Change;

/// Who has feature rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    /// The dialplan was seen and gives none.
    Nobody,
    /// It gives some.
    Some,
    /// There is none to be seen.
    Unknown,
}

/// What the dialplan shows to other checks.
pub(super) struct Seen {
    pub(super) rights: Rights,
    /// Variables that hold what callers keyed, with a line that read them.
    pub(super) keyed: BTreeMap<String, At>,
}

/// `recording`: names of features that record.
pub(super) fn check(cx: &mut Cx<'_>, loaded: Option<&Conf>, recording: &BTreeSet<String>) -> Seen {
    for (file, module) in [
        ("extensions.ael", "pbx_ael.so"),
        ("extensions.lua", "pbx_lua.so"),
    ] {
        if cx.tree.bytes(file).is_some_and(|b| !b.is_empty())
            && loaded.is_none_or(|m| modules::loads(m, module))
        {
            cx.report.not_looked(
                file,
                "it is no extensions.conf; this audit reads no AEL and no Lua",
            );
        }
    }
    let Some(conf) = cx.conf("extensions.conf") else {
        return Seen {
            rights: Rights::Unknown,
            keyed: BTreeMap::new(),
        };
    };
    contexts(cx, &conf, recording)
}

/// Every context, and the global variables. A dialplan that was read from elsewhere is judged as well as a file: labels stand behind the
/// priority, `exten => s,5(over),Hangup()`, and included contexts in entries `include`.
pub(super) fn contexts(cx: &mut Cx<'_>, conf: &Conf, recording: &BTreeSet<String>) -> Seen {
    let mut rights = false;
    for section in &conf.sections {
        if section.name.eq_ignore_ascii_case("globals") {
            rights |= globals(cx, section, recording);
            continue;
        }
        for entry in section.all("switch") {
            cx.report.not_looked(
                format!(
                    "dialplan of another source ({}:{})",
                    entry.at.file, entry.at.line
                ),
                "a switch names it; files do not show it",
            );
        }
    }
    let judged = judge(&read_all(conf), recording);
    for found in judged.found {
        cx.find(found.check, &found.at, found.found, found.change);
    }
    for limit in judged.limits {
        cx.report.not_looked(
            "part of the dialplan",
            format!("it was not followed to the end: more than the limit of {limit} allows"),
        );
        cx.incomplete();
    }
    let rights = match rights || judged.rights {
        true => Rights::Some,
        false => Rights::Nobody,
    };
    Seen {
        rights,
        keyed: judged.keyed,
    }
}

/// Reads the contexts, each once: Asterisk takes all sections of a name together.
fn read_all(conf: &Conf) -> Vec<Context> {
    let mut contexts: Vec<Context> = Vec::new();
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    let sections = conf.sections.iter();
    for section in sections.filter(|s| !s.name.eq_ignore_ascii_case("globals")) {
        let index = *by_name.entry(&section.name).or_insert_with(|| {
            contexts.push(Context {
                name: section.name.to_string(),
                ..Context::default()
            });
            contexts.len() - 1
        });
        read(section, &mut contexts[index]);
    }
    contexts
}

/// Reads the priorities of a section.
fn read(section: &Section, context: &mut Context) {
    let mut exten = String::new();
    let mut last = context.steps.last().map_or(0, |step| step.priority);
    for entry in &section.entries {
        let rest = if entry.key.eq_ignore_ascii_case("exten") {
            let Some((name, rest)) = split_once_outside(&entry.value) else {
                continue;
            };
            exten = name.trim().to_owned();
            rest
        } else if entry.key.eq_ignore_ascii_case("same") {
            &*entry.value
        } else if entry.key.eq_ignore_ascii_case("include") {
            // Times may follow.
            let name = entry.value.split([',', '|']).next().unwrap_or_default();
            context.includes.push(name.trim().to_owned());
            continue;
        } else {
            continue;
        };
        // priority(label),application(arguments)
        let Some((written, application)) = split_once_outside(rest) else {
            continue;
        };
        let written = written.trim();
        let (number, label) = match written.split_once('(') {
            Some((number, label)) => (number.trim(), label.trim_end_matches(')').trim()),
            None => (written, ""),
        };
        let Some(priority) = priority(number, last) else {
            continue;
        };
        last = priority;
        let application = application.trim();
        let end = application.find(['(', ',']).unwrap_or(application.len());
        let (name, arguments) = application.split_at(end);
        let arguments = arguments.get(1..).unwrap_or_default();
        let arguments = if application.contains('(') {
            arguments.strip_suffix(')').unwrap_or(arguments)
        } else {
            arguments
        };
        let arrow = if entry.arrow { "=>" } else { "=" };
        let before = if entry.key.eq_ignore_ascii_case("exten") {
            format!("{} {arrow} {exten},{written},", entry.key)
        } else {
            format!("{} {arrow} {written},", entry.key)
        };
        context.steps.push(Step {
            at: entry.at.clone(),
            exten: exten.clone(),
            priority,
            label: label.to_owned(),
            before,
            name: name.trim().to_owned(),
            arguments: arguments.to_owned(),
        });
    }
}

/// `1`, `n`, `s`, `n+101`; a hint has none.
fn priority(written: &str, last: u32) -> Option<u32> {
    let (number, more) = match written.split_once('+') {
        Some((number, more)) => (number.trim(), more.trim().parse().ok()?),
        None => (written, 0),
    };
    let number = match number {
        "n" | "next" => last.saturating_add(1),
        "s" | "same" => last,
        number => number.parse().ok()?,
    };
    Some(number.saturating_add(more))
}

/// `DIAL_OPTIONS` and its like, which FreePBX's dialplan uses everywhere. Whether they give rights.
fn globals(cx: &mut Cx<'_>, section: &Section, recording: &BTreeSet<String>) -> bool {
    let mut some = false;
    for entry in &section.entries {
        if entry.key.to_ascii_uppercase().ends_with("_OPTIONS") {
            if let Some(safe) = safe_options(&entry.value) {
                some = true;
                cx.find_value(c::DIALPLAN_RIGHTS, entry, &safe);
            }
            continue;
        }
        let assignment = format!("{}={}", entry.key, entry.value);
        some |= set(cx, entry, &assignment, recording);
    }
    some
}

/// A variable that a file sets: `NAME=VALUE` stands in the value of the entry, or is the entry. Whether it gives feature rights.
pub(super) fn set(
    cx: &mut Cx<'_>,
    entry: &Entry,
    assignment: &str,
    recording: &BTreeSet<String>,
) -> bool {
    let Some(found) = assigned(assignment, recording) else {
        return false;
    };
    let rights = found.check == c::DIALPLAN_RIGHTS;
    let whole = &*entry.value == assignment;
    let change = match found.safe {
        Some(safe) if whole => super::replace(entry, &safe),
        Some(safe) => {
            let value = safe.split_once('=').map_or("", |(_, value)| value);
            super::replace(entry, value)
        }
        None => Change::Delete,
    };
    let text = if whole {
        format!("{} = {}=…", entry.key, found.name)
    } else {
        super::line(entry)
    };
    cx.find(found.check, &entry.at, text, change);
    rights
}
