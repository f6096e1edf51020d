//! What callers keyed: which variables hold it, and where these go.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::parse::Act;
use super::{Dialplan, Found, Judged, arguments};
use crate::catalogue as c;
use crate::conf::At;
use crate::finding::Change;

/// Times that a context is looked at anew because more is known of its variables.
const ROUNDS_MAX: usize = 8;
/// Contexts and variables that are gone through for the flow from one context to another.
const FLOW_MAX: usize = 10_000_000;

/// A value that goes somewhere: the variables in it, and how it is used.
struct Use<'a> {
    step: usize,
    act: &'a Act,
    /// Names in its arguments.
    names: Vec<&'a str>,
}

/// Finds where keyed digits go on from the variables that they were read into.
pub(super) fn judge(plan: &Dialplan<'_>, judged: &mut Judged) {
    let mut keyed = Keyed::new(plan);
    keyed.follow(judged);
    for (context, uses) in keyed.uses.iter().enumerate() {
        let of = &keyed.names[context];
        if of.is_empty() {
            continue;
        }
        for used in uses {
            let Some((name, line)) = used.names.iter().find_map(|n| of.get(*n).map(|at| (n, at)))
            else {
                continue;
            };
            let at = &plan.steps[used.step].step.at;
            let read = format!("read in {}", line.beside(at));
            let app = &used.act.name;
            if let Some(sink) = sink(used.act, name) {
                judged.found.push(Found {
                    check: c::DIALPLAN_DIGITS_OUT,
                    at: at.clone(),
                    found: format!("{app}: {sink} gets {name}, {read}"),
                    change: Change::Do(
                        "take the card with ivrpay, and what is read here nowhere else".into(),
                    ),
                });
            } else if kept(used.act) {
                judged.found.push(Found {
                    check: c::DIALPLAN_DIGITS_DIALLED,
                    at: at.clone(),
                    found: format!("{app}: {name}, {read}"),
                    change: Change::Do("let this be no card and no code".into()),
                });
            }
        }
    }
    for (name, at) in keyed.names.into_iter().flatten() {
        judged.keyed.entry(name).or_insert(at);
    }
}

struct Keyed<'a> {
    plan: &'a Dialplan<'a>,
    /// By context: variables with keyed digits, and the line that read them.
    names: Vec<HashMap<String, At>>,
    /// By context: applications that use a variable.
    uses: Vec<Vec<Use<'a>>>,
    /// By context: the variables in them.
    used: Vec<BTreeSet<&'a str>>,
    /// By context: where it leads.
    leads: Vec<BTreeSet<usize>>,
}

impl<'a> Keyed<'a> {
    fn new(plan: &'a Dialplan<'a>) -> Self {
        let count = plan.contexts.len();
        let mut keyed = Self {
            plan,
            names: vec![HashMap::new(); count],
            uses: (0..count).map(|_| Vec::new()).collect(),
            used: vec![BTreeSet::new(); count],
            leads: vec![BTreeSet::new(); count],
        };
        for (number, acting) in plan.steps.iter().enumerate() {
            let context = acting.context;
            for act in &acting.acts {
                if let Some(name) = reads(act) {
                    let of = &mut keyed.names[context];
                    of.entry(name.to_owned()).or_insert(acting.step.at.clone());
                }
                let names = variables(&act.arguments);
                keyed.used[context].extend(&names);
                if !names.is_empty() {
                    keyed.uses[context].push(Use {
                        step: number,
                        act,
                        names,
                    });
                }
                let jumps = &act.jumps;
                let called = jumps.calls.iter().filter_map(|call| call.target.as_ref());
                for target in jumps.to.iter().chain(called) {
                    let to = plan.resolve(number, target).into_iter();
                    let to = to.filter(|to| !plan.is_ours(*to));
                    keyed.leads[context].extend(to.map(|to| plan.steps[to].context));
                }
            }
        }
        for (context, of) in plan.contexts.iter().enumerate() {
            let includes = of.includes.iter();
            let included = includes.filter_map(|name| plan.by_name.get(name.as_str()));
            keyed.leads[context].extend(included);
            keyed.leads[context].remove(&context);
        }
        keyed
    }

    /// Follows variables into variables, and contexts into contexts.
    fn follow(&mut self, judged: &mut Judged) {
        let mut open: VecDeque<usize> = (0..self.names.len())
            .filter(|context| !self.names[*context].is_empty())
            .collect();
        let mut waits: Vec<bool> = self.names.iter().map(|of| !of.is_empty()).collect();
        let mut rounds = vec![0_usize; self.names.len()];
        let mut work = 0_usize;
        while let Some(context) = open.pop_front() {
            rounds[context] += 1;
            waits[context] = false;
            let mut more = self.within(context);
            // What is used elsewhere goes there.
            let of = &self.names[context];
            let mut seen = BTreeSet::from([context]);
            let mut to: VecDeque<usize> = self.leads[context].iter().copied().collect();
            let mut new: Vec<(usize, String, At)> = Vec::new();
            while let Some(next) = to.pop_front() {
                if !seen.insert(next) {
                    continue;
                }
                work += 1 + self.used[next].len();
                for name in &self.used[next] {
                    // Its arguments are a subroutine's own.
                    if !name.starts_with("ARG")
                        && let Some(at) = of.get(*name)
                        && !self.names[next].contains_key(*name)
                    {
                        new.push((next, (*name).to_owned(), at.clone()));
                    }
                }
                to.extend(self.leads[next].iter().copied());
                if work > FLOW_MAX {
                    break;
                }
            }
            more.append(&mut new);
            for (to, name, at) in more {
                if self.names[to].insert(name, at).is_none() && !waits[to] {
                    if rounds[to] < ROUNDS_MAX {
                        waits[to] = true;
                        open.push_back(to);
                    } else {
                        judged
                            .limits
                            .insert("variables that are set from one another");
                    }
                }
            }
            if work > FLOW_MAX {
                judged.limits.insert("variables and contexts");
                return;
            }
        }
    }

    /// Variables that get their value from others; in the context itself, and the arguments of subroutines elsewhere.
    fn within(&mut self, context: usize) -> Vec<(usize, String, At)> {
        let plan = self.plan;
        let mut elsewhere = Vec::new();
        // Forwards once more for each line that stands before the one that it gets its value from.
        for _ in 0..ROUNDS_MAX {
            let mut new = Vec::new();
            let of = &self.names[context];
            for used in &self.uses[context] {
                let held = |text: &str| {
                    let names = variables(text);
                    names.into_iter().find_map(|n| of.get(n).cloned())
                };
                for (assignment, _) in used.act.assignments() {
                    let Some((to, value)) = assignment.split_once('=') else {
                        continue;
                    };
                    if let Some(at) = held(value) {
                        let named = set(to).into_iter().filter(|n| !of.contains_key(*n));
                        new.extend(named.map(|name| (name.to_owned(), at.clone())));
                    }
                }
                for call in &used.act.jumps.calls {
                    let Some(target) = &call.target else {
                        continue;
                    };
                    // An extension that a variable names is in the same context.
                    let to = plan.resolve(used.step, target).first().copied();
                    let Some(to) = to.filter(|to| !plan.is_ours(*to)) else {
                        continue;
                    };
                    for (number, argument) in (1..).zip(&call.arguments) {
                        let name = format!("ARG{number}");
                        let to = plan.steps[to].context;
                        if let Some(at) = held(argument)
                            && !self.names[to].contains_key(&name)
                        {
                            elsewhere.push((to, name, at));
                        }
                    }
                }
            }
            if new.is_empty() {
                break;
            }
            self.names[context].extend(new);
        }
        elsewhere
    }
}

/// The variable that an application reads keys into.
fn reads(act: &Act) -> Option<&str> {
    let index = match act.app.as_str() {
        "read" | "readexten" | "receivemf" | "receivesf" => 0,
        "storedtmf" => 1,
        _ => return None,
    };
    let name = arguments(&act.arguments).get(index)?.trim();
    let name = set(name).into_iter().next()?;
    (!name.contains('$')).then_some(name)
}

/// The variables that an assignment sets: `__X`, `GLOBAL(X)`, `ARRAY(X,Y)`.
fn set(to: &str) -> Vec<&str> {
    let to = to.trim();
    let inner = to.split_once('(');
    let named: Vec<&str> = match inner {
        Some((function, rest)) => {
            let function = function.trim().to_ascii_uppercase();
            let rest = rest.strip_suffix(')').unwrap_or(rest);
            match function.as_str() {
                "ARRAY" => rest.split(',').collect(),
                "GLOBAL" | "LOCAL" | "SHARED" | "HASH" => rest.split(',').take(1).collect(),
                _ => Vec::new(),
            }
        }
        None => vec![to],
    };
    named
        .into_iter()
        .map(|n| n.trim().trim_start_matches('_'))
        .filter(|n| !n.is_empty() && !n.contains('$'))
        .collect()
}

/// Names of the variables whose value, or part of it, stands in a text: not of those that only their length or a comparison is told of.
pub(crate) fn variables(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|r| r.find('$')) {
        let begin = at + found;
        at = begin + 1;
        let Some(behind) = text.get(at..) else {
            break;
        };
        if behind.starts_with('[') {
            // `$[… = …]` is 0 or 1, and `$[… ? … : …]` one of two values.
            let end = closing(behind, '[', ']');
            let inner = behind.get(1..end).unwrap_or_default();
            if is_comparison(inner) {
                at = begin + 1 + end;
            }
            continue;
        }
        let Some(inner) = behind.strip_prefix('{') else {
            continue;
        };
        let name = inner
            .split([':', '}', '(', '$', '{'])
            .next()
            .unwrap_or_default();
        let sign = inner.get(name.len()..).and_then(|r| r.chars().next());
        if sign == Some('(') {
            match name.to_ascii_uppercase().as_str() {
                "LEN" | "ISNULL" | "EXISTS" | "FIELDNUM" | "FIELDQTY" | "REGEX" => {
                    at = begin + 1 + closing(behind, '{', '}');
                }
                // These take the name, not the value.
                "CUT" | "REPLACE" | "STRREPLACE" | "SHIFT" | "POP" | "UNSHIFT" | "PASSTHRU"
                | "GLOBAL" | "SHARED" | "HASH" | "LISTFILTER" => {
                    let taken = inner.get(name.len() + 1..).unwrap_or_default();
                    let taken = taken.split([',', ')', ':', '}']).next().unwrap_or_default();
                    names.extend(Some(taken.trim()).filter(|n| !n.is_empty() && !n.contains('$')));
                }
                _ => {}
            }
        } else if matches!(sign, Some('}' | ':')) && !name.is_empty() {
            names.push(name);
        }
    }
    names
}

/// Where a bracket that a text begins with is closed; its end where it is not.
fn closing(text: &str, open: char, close: char) -> usize {
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return at;
            }
        }
    }
    text.len()
}

/// Whether an expression compares: its value is 0 or 1 then.
fn is_comparison(expression: &str) -> bool {
    let outside = super::parse::letters(expression);
    outside.contains(['=', '<', '>']) && !outside.contains('?')
}

/// Where the arguments of an application go, if not into the dialplan alone.
fn sink(act: &Act, name: &str) -> Option<&'static str> {
    let by_app = match act.app.as_str() {
        "system" | "trysystem" | "agi" | "eagi" | "fastagi" | "deadagi" | "externalivr" => {
            Some("a program")
        }
        "log" | "noop" | "verbose" | "dumpchan" => Some("the log"),
        "saydigits" | "saynumber" | "sayalpha" | "sayphonetic" | "playback" | "background"
        | "controlplayback" | "festival" => Some("a loudspeaker, and the log with it,"),
        "queuelog" => Some("the queue's log"),
        "celgenuserevent" => Some("CEL"),
        "userevent" => Some("AMI"),
        "senddtmf" | "sendtext" | "sendurl" | "sipaddheader" | "messagesend" => {
            Some("the other telephone")
        }
        "stasis" => Some("ARI"),
        "dbput" | "realtimeupdate" => Some("a database"),
        "setglobalvar" => Some("a global variable"),
        // Digits that are sent when it is answered.
        "dial" if sent(&act.arguments, name) => Some("the other telephone"),
        _ => None,
    };
    if by_app.is_some() {
        return by_app;
    }
    let text = act.arguments.to_ascii_lowercase();
    let by_function = [
        ("curl(", "a web server"),
        ("shell(", "a program"),
        ("odbc", "a database"),
        ("db(", "a database"),
        ("cdr(", "a record"),
        ("file(", "a file"),
        ("global(", "a global variable"),
        ("pjsip_header(", "the other telephone"),
        ("sip_header(", "the other telephone"),
        ("realtime(", "a database"),
    ];
    // In arguments of a jump a function only decides where to.
    if matches!(
        act.app.as_str(),
        "gotoif" | "gosubif" | "gotoiftime" | "while"
    ) {
        return None;
    }
    by_function
        .iter()
        .find(|(function, _)| text.contains(function))
        .map(|(_, sink)| *sink)
}

/// Whether an option `D()` of Dial holds the variable.
fn sent(text: &str, name: &str) -> bool {
    let parts = arguments(text);
    let options = parts.get(2).copied().unwrap_or_default();
    options
        .split_once("D(")
        .is_some_and(|(_, rest)| variables(rest).contains(&name))
}

/// Whether CDR, CEL or the queue's log keep what stands in its arguments.
fn kept(act: &Act) -> bool {
    matches!(
        act.app.as_str(),
        "dial" | "goto" | "queue" | "originate" | "channelredirect" | "transfer" | "bridge"
    )
}
