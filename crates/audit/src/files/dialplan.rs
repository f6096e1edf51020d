//! `extensions.conf`: what it does around a payment, and with digits.
//!
//! Said is only what a line by itself, or the lines of one extension, show: a jump is not followed, a variable not evaluated.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cx, line, modules, replace};
use crate::catalogue as c;
use crate::conf::{At, Conf, Entry, Section};
use crate::finding::Change;

/// Subroutine of ours; it stops recorders of the channel before its `Stasis()`.
const PAY: &str = "ivrpay-pay";
/// Letters of Dial, Queue and Bridge that give a party features: transfer, hang-up, park, record.
const RIGHTS: &str = "tThHkKwWxX";
/// Steps behind a payment in which a wait for digits is a finding.
const BEHIND_MAX: usize = 4;

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

/// One priority.
struct Step<'a> {
    entry: &'a Entry,
    /// Extension.
    exten: String,
    /// Everything of the value before the application.
    before: String,
    /// Application, as written and in lower case.
    name: String,
    app: String,
    arguments: String,
}

impl Step<'_> {
    fn at(&self) -> &At {
        &self.entry.at
    }

    /// Whether it hands the caller to ivrpay, and how.
    fn pays(&self) -> Option<Pays> {
        match self.app.as_str() {
            "stasis" => Some(Pays::Stasis),
            "gosub" | "goto" if self.arguments.trim_start().starts_with(PAY) => {
                Some(Pays::Subroutine)
            }
            "gosubif" | "gotoif" | "execif" if self.arguments.contains(PAY) => {
                Some(Pays::Subroutine)
            }
            _ => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pays {
    Stasis,
    Subroutine,
}

pub(super) fn check(cx: &mut Cx<'_>, loaded: Option<&Conf>) -> Rights {
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
        return Rights::Unknown;
    };
    contexts(cx, &conf)
}

/// Every context, and the global variables.
pub(super) fn contexts(cx: &mut Cx<'_>, conf: &Conf) -> Rights {
    let mut rights = Rights::Nobody;
    for section in &conf.sections {
        if section.name.eq_ignore_ascii_case("globals") {
            if globals(cx, section) {
                rights = Rights::Some;
            }
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
        let steps = steps(section);
        let mut extensions: BTreeMap<&str, Vec<&Step<'_>>> = BTreeMap::new();
        for step in &steps {
            extensions.entry(&step.exten).or_default().push(step);
        }
        let mut recorded = BTreeSet::new();
        for steps in extensions.values() {
            recorded.append(&mut payments(cx, steps));
        }
        digits(cx, &steps);
        for step in &steps {
            if alone(cx, step, recorded.contains(&step.at().line)) {
                rights = Rights::Some;
            }
        }
    }
    rights
}

/// Reads the priorities of a context.
fn steps(section: &Section) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut exten = String::new();
    for entry in &section.entries {
        let rest = if entry.key.eq_ignore_ascii_case("exten") {
            let Some((name, rest)) = split_once_outside(&entry.value) else {
                continue;
            };
            exten = name.trim().to_owned();
            rest
        } else if entry.key.eq_ignore_ascii_case("same") {
            &*entry.value
        } else {
            continue;
        };
        // priority(label),application(arguments)
        let Some((priority, application)) = split_once_outside(rest) else {
            continue;
        };
        let application = application.trim();
        let end = application.find(['(', ',']).unwrap_or(application.len());
        let (name, arguments) = application.split_at(end);
        let arguments = arguments.get(1..).unwrap_or_default();
        let arguments = if application.contains('(') {
            arguments.strip_suffix(')').unwrap_or(arguments)
        } else {
            arguments
        };
        let before = if entry.key.eq_ignore_ascii_case("exten") {
            format!("{exten},{},", priority.trim())
        } else {
            format!("{},", priority.trim())
        };
        steps.push(Step {
            entry,
            exten: exten.clone(),
            before,
            name: name.trim().to_owned(),
            app: name.trim().to_ascii_lowercase(),
            arguments: arguments.to_owned(),
        });
    }
    steps
}

/// Splits at the first comma outside of brackets.
fn split_once_outside(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' | '{' => depth += 1,
            ']' | ')' | '}' => depth -= 1,
            ',' if depth <= 0 => return Some((text.get(..at)?, text.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// The arguments of an application: commas outside of brackets and quotes.
fn arguments(text: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth, mut quoted) = (Vec::new(), 0, 0_i32, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if depth <= 0 && !quoted => {
                parts.push(text.get(begin..at).unwrap_or_default());
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(begin..).unwrap_or_default());
    parts
}

/// Takes out `${…}` and `(…)`, so that only the letters of options are left.
fn letters(options: &str) -> String {
    let (mut left, mut depth) = (String::new(), 0_i32);
    let mut chars = options.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '$' if chars.peek() == Some(&'{') => {}
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            c if depth <= 0 => left.push(c),
            _ => {}
        }
    }
    left
}

/// Takes the letters of features out of options, and nothing of what stands in brackets.
fn without_rights(options: &str) -> String {
    let (mut left, mut depth, mut skip) = (String::new(), 0_i32, false);
    for c in options.chars() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
        // The brackets of a letter that goes go with it; none of these letters has any in Asterisk.
        if depth == 0 && RIGHTS.contains(c) && !skip {
            continue;
        }
        skip = c == '$';
        left.push(c);
    }
    left
}

/// `DIAL_OPTIONS` and its like, which FreePBX's dialplan uses everywhere. Whether they give rights.
fn globals(cx: &mut Cx<'_>, section: &Section) -> bool {
    let mut some = false;
    for entry in &section.entries {
        let options = entry.key.to_ascii_uppercase().ends_with("_OPTIONS");
        if options && letters(&entry.value).contains(|c| RIGHTS.contains(c)) {
            some = true;
            cx.find_value(c::DIALPLAN_RIGHTS, entry, &without_rights(&entry.value));
        }
    }
    some
}

/// One extension: recorders that run into a payment, and waits for digits right behind one. Gives the lines of the former.
fn payments(cx: &mut Cx<'_>, steps: &[&Step<'_>]) -> BTreeSet<u32> {
    let mut lines = BTreeSet::new();
    let mut recorder: Option<&Step<'_>> = None;
    for (i, step) in steps.iter().enumerate() {
        match step.app.as_str() {
            "mixmonitor" | "monitor" => recorder = Some(step),
            "stopmixmonitor" | "stopmonitor" => recorder = None,
            "tryexec" | "exec" if step.arguments.to_ascii_lowercase().contains("stopm") => {
                recorder = None
            }
            _ => {}
        }
        let Some(pays) = step.pays() else {
            continue;
        };
        if pays == Pays::Stasis
            && let Some(recorder) = recorder
        {
            let stop = if recorder.app == "monitor" {
                "StopMonitor()"
            } else {
                "StopMixMonitor()"
            };
            let found = format!(
                "{} of line {} runs on into Stasis()",
                recorder.name,
                recorder.at().line
            );
            cx.find(
                c::DIALPLAN_RECORDED,
                step.at(),
                found,
                Change::Above(format!("same => n,{stop}")),
            );
            lines.insert(recorder.at().line);
        }
        recorder = None;
        let behind = steps.iter().skip(i + 1).take(BEHIND_MAX);
        for late in behind {
            match late.app.as_str() {
                "read" | "waitexten" | "background" | "backgrounddetect" | "readexten" => {
                    let found = format!(
                        "{}() right behind the payment of line {}",
                        late.name,
                        step.at().line
                    );
                    cx.find(
                        c::DIALPLAN_LATE,
                        late.at(),
                        found,
                        Change::Above("same => n,Wait(2)".into()),
                    );
                    break;
                }
                // What passes time, or leaves.
                "wait" | "playback" | "hangup" | "dial" | "queue" | "goto" | "return"
                | "bridge" => break,
                _ => {}
            }
        }
    }
    lines
}

/// What was read with Read() in a context, and goes on from there.
fn digits(cx: &mut Cx<'_>, steps: &[Step<'_>]) {
    let mut read: BTreeMap<String, u32> = BTreeMap::new();
    for step in steps.iter().filter(|s| s.app == "read") {
        let name = arguments(&step.arguments)
            .first()
            .map(|n| n.trim().to_owned());
        if let Some(name) = name.filter(|n| !n.is_empty() && !n.contains('$')) {
            read.entry(name).or_insert(step.at().line);
        }
    }
    if read.is_empty() {
        return;
    }
    for step in steps {
        let sink = sink(step);
        let Some(sink) = sink else {
            continue;
        };
        let used = read.iter().find(|(name, _)| {
            step.arguments.contains(&format!("${{{name}}}"))
                || step.arguments.contains(&format!("${{{name}:"))
        });
        if let Some((name, line)) = used {
            let found = format!("{}: {sink} gets {name}, read in line {line}", step.name);
            let change =
                Change::Do("take the card with ivrpay, and what is read here nowhere else".into());
            cx.find(c::DIALPLAN_DIGITS_OUT, step.at(), found, change);
        }
    }
}

/// Where the arguments of a step go, if not into the dialplan alone.
fn sink(step: &Step<'_>) -> Option<&'static str> {
    let by_app = match step.app.as_str() {
        "system" | "trysystem" | "agi" | "eagi" | "fastagi" | "deadagi" | "externalivr" => {
            Some("a program")
        }
        "log" | "noop" | "verbose" | "dumpchan" => Some("the log"),
        "saydigits" | "saynumber" | "sayalpha" | "sayphonetic" | "playback" | "background" => {
            Some("a loudspeaker, and the log with it,")
        }
        "userevent" => Some("AMI"),
        "senddtmf" | "sendtext" | "sendurl" | "sipaddheader" => Some("the other telephone"),
        "stasis" => Some("ARI"),
        "dbput" => Some("a database"),
        _ => None,
    };
    if by_app.is_some() {
        return by_app;
    }
    let text = step.arguments.to_ascii_lowercase();
    let by_function = [
        ("curl(", "a web server"),
        ("shell(", "a program"),
        ("odbc", "a database"),
        ("db(", "a database"),
        ("cdr(", "a record"),
        ("file(", "a file"),
        ("global(", "a global variable"),
        ("pjsip_header(", "the other telephone"),
    ];
    by_function
        .iter()
        .find(|(function, _)| text.contains(function))
        .map(|(_, sink)| *sink)
}

/// What a line says by itself. Whether it gives somebody feature rights.
fn alone(cx: &mut Cx<'_>, step: &Step<'_>, recorded: bool) -> bool {
    let at = step.at();
    let call = |arguments: &str| format!("{}({arguments})", step.name);
    match step.app.as_str() {
        "read" => {
            let variable = arguments(&step.arguments).first().map_or("", |v| v.trim());
            let change =
                Change::Do("for a card: Gosub(ivrpay-pay,s,1(…)) instead; else leave it".into());
            cx.find(c::DIALPLAN_READ, at, call(&format!("{variable},…")), change);
        }
        "storedtmf" => cx.find(c::DIALPLAN_STORE, at, call("…"), Change::Delete),
        // Where it runs into a payment, the payment is the finding.
        "mixmonitor" | "monitor" if !recorded => {
            let change =
                Change::Do("record nothing that the caller's leg says during a payment".into());
            cx.find(c::DIALPLAN_RECORDER, at, call("…"), change);
        }
        "chanspy" | "extenspy" => {
            let change = Change::Do("let nobody who may not hear cards dial it".into());
            cx.find(c::DIALPLAN_SPY, at, call("…"), change);
        }
        _ => {}
    }
    let text = step.arguments.to_ascii_uppercase();
    if text.contains("FRAME_TRACE(") {
        cx.find(
            c::DIALPLAN_TRACE,
            at,
            call("FRAME_TRACE(…)=…"),
            Change::Delete,
        );
    }
    if text.contains("FRAME_DROP(TX)") && text.contains("DTMF") {
        cx.find(
            c::DIALPLAN_DROP_TX,
            at,
            call("FRAME_DROP(TX)=…"),
            Change::Delete,
        );
    }
    feature_rights(cx, step)
}

fn feature_rights(cx: &mut Cx<'_>, step: &Step<'_>) -> bool {
    let index = match step.app.as_str() {
        "dial" => 2,
        "queue" | "bridge" => 1,
        "retrydial" => 5,
        _ => return false,
    };
    let arguments = arguments(&step.arguments);
    let Some(options) = arguments.get(index) else {
        return false;
    };
    if !letters(options).contains(|c| RIGHTS.contains(c)) {
        return false;
    }
    let safe = without_rights(options);
    let mut changed = arguments.clone();
    if let Some(place) = changed.get_mut(index) {
        *place = &safe;
    }
    let call = format!("{}({})", step.name, changed.join(","));
    let change = replace(step.entry, &format!("{}{call}", step.before));
    cx.find(c::DIALPLAN_RIGHTS, step.at(), line(step.entry), change);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_and_options() {
        assert_eq!(
            arguments("a,\"b,c\",d(e,f),${G(h,i)}"),
            ["a", "\"b,c\"", "d(e,f)", "${G(h,i)}"]
        );
        for (options, left, safe) in [
            ("tTr", "tTr", "r"),
            ("r${OPT}M(x,tT)", "rM", "r${OPT}M(x,tT)"),
            ("${tT}", "", "${tT}"),
            ("", "", ""),
        ] {
            assert_eq!(letters(options), left, "{options}");
            assert_eq!(without_rights(options), safe, "{options}");
        }
    }
}
