//! How the dialplan writes applications, options, jumps and patterns.

use super::{PAY, RIGHTS, Target};

/// Applications within one another that are taken apart.
const NESTED_MAX: usize = 4;

/// One application that a step executes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Act {
    /// Application as written.
    pub(super) name: String,
    /// The same in lower case.
    pub(super) app: String,
    pub(super) arguments: String,
    /// The condition of an `ExecIf()`; `!` stands before that of its second application.
    pub(super) when: Option<String>,
    /// It is the whole step, not executed by another application.
    pub(super) whole: bool,
    /// On the step's own channel: `Originate()` has another.
    pub(super) here: bool,
    pub(super) jumps: Jumps,
}

impl Act {
    fn new(name: &str, arguments: &str, when: Option<String>, whole: bool, here: bool) -> Self {
        let mut act = Self {
            name: name.to_owned(),
            app: name.to_ascii_lowercase(),
            arguments: arguments.to_owned(),
            when,
            whole,
            here,
            jumps: Jumps::default(),
        };
        act.jumps = act.leads();
        act
    }

    /// Whether it hands the caller to ivrpay.
    pub(super) fn pays(&self) -> bool {
        match self.app.as_str() {
            "stasis" => self.here,
            "gosub" | "goto" => self.arguments.trim_start().starts_with(PAY),
            "gosubif" | "gotoif" => self.arguments.contains(PAY),
            _ => false,
        }
    }

    /// Whether it assigns several variables.
    pub(super) fn is_many(&self) -> bool {
        self.app == "mset"
    }

    /// `NAME=VALUE` of each assignment, and how it is written in the arguments.
    pub(super) fn assignments(&self) -> Vec<(&str, &str)> {
        match self.app.as_str() {
            "set" | "setglobalvar" => vec![(self.arguments.trim(), self.arguments.trim())],
            "mset" => arguments(&self.arguments)
                .into_iter()
                .map(|a| (a.trim().trim_matches('"'), a))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Where it jumps to, and whether the step behind it is reached without a jump.
    fn leads(&self) -> Jumps {
        let always = self.when.is_none();
        let mut jumps = Jumps {
            falls: true,
            ..Jumps::default()
        };
        match self.app.as_str() {
            "goto" => {
                jumps.to.extend(target(&self.arguments));
                jumps.falls = !always;
            }
            "gotoif" | "gotoiftime" => {
                let (targets, whole) = branches(&self.arguments);
                jumps.falls = !always || !whole;
                jumps.to = targets.into_iter().filter_map(target).collect();
            }
            "gosub" => {
                jumps.falls = !always;
                jumps.calls.push(Call::read(&self.arguments));
            }
            "gosubif" => {
                let (targets, whole) = branches(&self.arguments);
                jumps.falls = !always || !whole;
                jumps.calls = targets.into_iter().map(Call::read).collect();
            }
            "macro" | "macroexclusive" => {
                jumps.falls = !always;
                let parts = arguments(&self.arguments);
                let name = parts.first().map_or("", |n| n.trim());
                jumps.calls.push(Call {
                    target: target(&format!("macro-{name},s,1")),
                    arguments: parts.iter().skip(1).map(|a| (*a).to_owned()).collect(),
                });
            }
            "return" | "macroexit" => {
                jumps.returns = true;
                jumps.falls = !always;
            }
            "hangup" | "busy" | "congestion" => jumps.falls = !always,
            _ => {}
        }
        jumps
    }
}

/// Where a step leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Jumps {
    pub(super) to: Vec<Target>,
    pub(super) calls: Vec<Call>,
    pub(super) returns: bool,
    pub(super) falls: bool,
}

/// A subroutine that is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// `None` where a variable decides.
    pub(super) target: Option<Target>,
    pub(super) arguments: Vec<String>,
}

impl Call {
    fn read(text: &str) -> Self {
        let (place, rest) = match text.find('(') {
            Some(at) if !text.get(..at).unwrap_or_default().ends_with('$') => text.split_at(at),
            _ => (text, ""),
        };
        let inner = rest.strip_prefix('(').unwrap_or_default();
        let inner = inner.trim_end().strip_suffix(')').unwrap_or(inner);
        let given = if inner.is_empty() {
            Vec::new()
        } else {
            arguments(inner).into_iter().map(str::to_owned).collect()
        };
        Self {
            target: target(place),
            arguments: given,
        }
    }
}

/// What a step executes: itself, or what `ExecIf()`, `TryExec()`, `Exec()` and `Originate()` execute.
pub(super) fn acts(name: &str, text: &str) -> Vec<Act> {
    let mut all = Vec::new();
    add(&mut all, Act::new(name, text, None, true, true), 0);
    all
}

fn add(all: &mut Vec<Act>, act: Act, depth: usize) {
    if depth >= NESTED_MAX {
        all.push(act);
        return;
    }
    let inner = |text: &str, when: Option<String>, here: bool| {
        let (name, arguments) = called(text);
        Act::new(name, arguments, when, false, act.here && here)
    };
    match act.app.as_str() {
        "execif" | "execiftime" => {
            let Some((condition, rest)) = split_at(&act.arguments, '?') else {
                return;
            };
            let (yes, no) = split_at(rest, ':').unwrap_or((rest, ""));
            let condition = match &act.when {
                Some(outer) => format!("{outer} & {}", condition.trim()),
                None => condition.trim().to_owned(),
            };
            for (text, when) in [(yes, condition.clone()), (no, format!("!{condition}"))] {
                if !text.trim().is_empty() {
                    add(all, inner(text, Some(when), true), depth + 1);
                }
            }
        }
        "exec" | "tryexec" => add(
            all,
            inner(&act.arguments, act.when.clone(), true),
            depth + 1,
        ),
        "originate" => {
            let parts = arguments(&act.arguments);
            let started = match parts.as_slice() {
                [_, kind, app, rest @ ..] if kind.trim().eq_ignore_ascii_case("app") => {
                    // Its argument may hold commas in quotes.
                    let given = rest.first().map_or("", |a| a.trim().trim_matches('"'));
                    Some(inner(
                        &format!("{}({given})", app.trim()),
                        act.when.clone(),
                        false,
                    ))
                }
                _ => None,
            };
            all.push(act);
            if let Some(started) = started {
                add(all, started, depth + 1);
            }
        }
        _ => all.push(act),
    }
}

/// `App(arguments)`.
fn called(text: &str) -> (&str, &str) {
    let text = text.trim();
    match text.split_once('(') {
        Some((name, rest)) => (name.trim(), rest.strip_suffix(')').unwrap_or(rest)),
        None => (text, ""),
    }
}

/// The targets of `condition?one:two`, and whether every way leads to one.
fn branches(text: &str) -> (Vec<&str>, bool) {
    let Some((_, rest)) = split_at(text, '?') else {
        return (Vec::new(), false);
    };
    let (yes, no) = split_at(rest, ':').unwrap_or((rest, ""));
    let there: Vec<&str> = [yes, no]
        .into_iter()
        .filter(|t| !t.trim().is_empty())
        .collect();
    let whole = there.len() == 2;
    (there, whole)
}

/// `[[context,]extension,]priority`.
fn target(text: &str) -> Option<Target> {
    let text = text.trim().trim_matches('"');
    let parts: Vec<&str> = arguments(text).into_iter().map(str::trim).collect();
    let some = |text: &str| Some(text.to_owned());
    let target = match parts.as_slice() {
        [priority] => Target {
            context: None,
            exten: None,
            priority: (*priority).to_owned(),
        },
        [exten, priority] => Target {
            context: None,
            exten: some(exten),
            priority: (*priority).to_owned(),
        },
        [context, exten, priority, ..] => Target {
            context: some(context),
            exten: some(exten),
            priority: (*priority).to_owned(),
        },
        [] => return None,
    };
    let decided = |text: &Option<String>| text.as_ref().is_none_or(|t| !t.contains('$'));
    (decided(&target.context) && !target.priority.contains('$') && !target.priority.is_empty())
        .then_some(target)
}

/// Splits at the first comma outside of brackets.
pub(crate) fn split_once_outside(text: &str) -> Option<(&str, &str)> {
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

/// The characters outside of brackets and quotes, and where they stand.
fn outside(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut depth, mut quoted) = (0_i32, false);
    text.char_indices().filter(move |(_, c)| {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            _ => return depth <= 0 && !quoted,
        }
        false
    })
}

/// Splits at the first `sign` outside of brackets and quotes.
fn split_at(text: &str, sign: char) -> Option<(&str, &str)> {
    let (at, _) = outside(text).find(|(_, c)| *c == sign)?;
    Some((text.get(..at)?, text.get(at + sign.len_utf8()..)?))
}

/// The arguments of an application: commas outside of brackets and quotes.
pub(crate) fn arguments(text: &str) -> Vec<&str> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    for (at, _) in outside(text).filter(|(_, c)| *c == ',') {
        parts.push(text.get(begin..at).unwrap_or_default());
        begin = at + 1;
    }
    parts.push(text.get(begin..).unwrap_or_default());
    parts
}

/// Takes out `${…}` and `(…)`, so that only the letters of options are left.
pub(super) fn letters(options: &str) -> String {
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
pub(super) fn without_rights(options: &str) -> String {
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

/// Whether a pattern fits an extension (main/pbx.c): `X` `Z` `N`, sets in `[]`, `.` and `!` at the end, `-` without meaning.
/// What stands behind a `/` is the caller that it is for.
pub(super) fn matches(pattern: &str, exten: &str) -> bool {
    let pattern = pattern.split('/').next().unwrap_or_default();
    let Some(pattern) = pattern.strip_prefix('_') else {
        return pattern == exten;
    };
    let pattern: Vec<char> = pattern.chars().collect();
    let mut exten = exten.chars().filter(|c| *c != '-').peekable();
    let mut at = 0;
    while let Some(sign) = pattern.get(at).copied() {
        at += 1;
        match sign {
            '-' => continue,
            '.' => return exten.peek().is_some(),
            '!' => return true,
            _ => {}
        }
        let Some(digit) = exten.next() else {
            return false;
        };
        let fits = match sign.to_ascii_uppercase() {
            'X' => digit.is_ascii_digit(),
            'Z' => ('1'..='9').contains(&digit),
            'N' => ('2'..='9').contains(&digit),
            '[' => {
                let Some(length) = pattern
                    .get(at..)
                    .and_then(|p| p.iter().position(|c| *c == ']'))
                else {
                    return false;
                };
                let set = pattern.get(at..at + length).unwrap_or_default();
                at += length + 1;
                set.contains(&digit)
                    || set
                        .windows(3)
                        .any(|w| w[1] == '-' && (w[0]..=w[2]).contains(&digit))
            }
            _ => sign == digit,
        };
        if !fits {
            return false;
        }
    }
    exten.next().is_none()
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

    #[test]
    fn what_a_step_executes() {
        for (name, text, expected) in [
            ("NoOp", "x", &["NoOp(x)"][..]),
            (
                "ExecIf",
                "$[\"${A}\" = \"?\"]?Set(X=a:b):NoOp(c)",
                &["Set(X=a:b)", "NoOp(c)"],
            ),
            (
                "TryExec",
                "ExecIf(1?StoreDTMF(RX,x,1))",
                &["StoreDTMF(RX,x,1)"],
            ),
            (
                "Originate",
                "Local/1@x,app,MixMonitor,\"a.wav,b\"",
                &[
                    "Originate(Local/1@x,app,MixMonitor,\"a.wav,b\")",
                    "MixMonitor(a.wav,b)",
                ],
            ),
            ("ExecIf", "no question", &[]),
        ] {
            let shown: Vec<String> = acts(name, text)
                .iter()
                .map(|a| format!("{}({})", a.name, a.arguments))
                .collect();
            assert_eq!(shown, expected, "{name}({text})");
        }
    }

    #[test]
    fn patterns_fit_as_in_asterisk() {
        for (pattern, exten, expected) in [
            ("_X.", "8800", true),
            ("_X.", "8", false),
            ("_X!", "8", true),
            ("_NXX", "123", false),
            ("_ZXX", "123", true),
            ("_[1-35]X", "50", true),
            ("_[1-35]X", "40", false),
            ("_8800", "8800", true),
            ("_[", "1", false),
            ("8800", "8800", true),
            ("8800/0312345678", "8800", true),
            ("_88XX/_03X.", "8800", true),
        ] {
            assert_eq!(matches(pattern, exten), expected, "{pattern} {exten}");
        }
    }
}
