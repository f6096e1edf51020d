//! What a dialplan does around a payment, and with digits.
//!
//! Works on [`Context`]s: whoever has a dialplan, from `extensions.conf` or from a running Asterisk, fills them. Jumps to what is named are
//! followed, over contexts and subroutines; a variable is not evaluated: where one names the extension of a jump, it may be each of the
//! context, and where one names context or priority, the jump is not followed.

mod digits;
mod flow;
mod parse;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::catalogue as c;
use crate::conf::At;
use crate::finding::{Change, Check};

pub(crate) use digits::variables;
use parse::{Act, acts};
pub(crate) use parse::{arguments, split_once_outside};

/// What our own contexts begin with. They mute the caller for recorders before their `Stasis()`, and put no card into a variable.
const OURS: &str = "ivrpay-";
/// Subroutine of ours that takes a payment.
const PAY: &str = "ivrpay-pay";
/// Letters of Dial, Queue and Bridge that give a party features: transfer, hang-up, park, record.
const RIGHTS: &str = "tThHkKwWxX";
/// Steps behind a payment in which a wait for digits is a finding.
const BEHIND_MAX: usize = 4;
/// Contexts that `include` one another.
const INCLUDE_DEPTH_MAX: usize = 16;
/// Extensions that one jump may lead to, where a variable decides.
const TARGETS_MAX: usize = 64;

/// One context, with all its extensions. One that is written in several places is one here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context {
    /// Name.
    pub(crate) name: String,
    /// Names of contexts that it includes.
    pub(crate) includes: Vec<String>,
    /// In the order in which they are written.
    pub(crate) steps: Vec<Step>,
}

/// One priority.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Where it is written.
    pub(crate) at: At,
    /// Extension, patterns with their `_`.
    pub(crate) exten: String,
    /// Priority, from 1.
    pub(crate) priority: u32,
    /// Its label; empty without one.
    pub(crate) label: String,
    /// What stands in its line before the application: `same => n,`.
    pub(crate) before: String,
    /// Application as written.
    pub(crate) name: String,
    /// What stands in its brackets.
    pub(crate) arguments: String,
}

impl Step {
    /// The line with other arguments.
    fn with(&self, arguments: &str) -> Change {
        let line = format!("{}{}({arguments})", self.before, self.name);
        Change::Replace(line)
    }

    /// The line with another text in the place of `old`.
    fn with_instead(&self, old: &str, new: &str) -> Change {
        self.with(&self.arguments.replacen(old, new, 1))
    }

    /// The line as it stands.
    fn line(&self) -> String {
        format!("{}{}({})", self.before, self.name, self.arguments)
    }
}

/// A finding in a dialplan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) check: &'static Check,
    pub(crate) at: At,
    pub(crate) found: String,
    pub(crate) change: Change,
}

/// What a dialplan shows.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) found: Vec<Found>,
    /// Whether somebody has feature rights.
    pub(crate) rights: bool,
    /// Variables that hold what callers keyed, with a line that read them.
    pub(crate) keyed: BTreeMap<String, At>,
    /// Names of limits that were met: what lies behind them was not followed.
    pub(crate) limits: BTreeSet<&'static str>,
}

/// A step with what it executes: an `ExecIf()` executes two applications.
struct Acting<'a> {
    step: &'a Step,
    context: usize,
    acts: Vec<Act>,
}

/// A dialplan in which steps are found.
struct Dialplan<'a> {
    contexts: &'a [Context],
    steps: Vec<Acting<'a>>,
    by_name: HashMap<&'a str, usize>,
    /// Steps of an extension of a context, by priority; labels with theirs.
    extensions: HashMap<(usize, &'a str), Extension<'a>>,
    /// Pattern extensions of each context.
    patterns: Vec<Vec<&'a str>>,
    /// Extensions of each context, the first [`TARGETS_MAX`].
    names: Vec<Vec<&'a str>>,
}

#[derive(Default)]
struct Extension<'a> {
    priorities: BTreeMap<u32, usize>,
    labels: HashMap<&'a str, u32>,
}

/// Where a jump goes; a part that is not written is where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    context: Option<String>,
    exten: Option<String>,
    priority: String,
}

impl<'a> Dialplan<'a> {
    fn new(contexts: &'a [Context]) -> Self {
        let mut plan = Self {
            contexts,
            steps: Vec::new(),
            by_name: HashMap::new(),
            extensions: HashMap::new(),
            patterns: vec![Vec::new(); contexts.len()],
            names: vec![Vec::new(); contexts.len()],
        };
        for (index, context) in contexts.iter().enumerate() {
            plan.by_name.entry(&context.name).or_insert(index);
            for step in &context.steps {
                let number = plan.steps.len();
                plan.steps.push(Acting {
                    step,
                    context: index,
                    acts: acts(&step.name, &step.arguments),
                });
                let new = !plan.extensions.contains_key(&(index, &*step.exten));
                if new && plan.names[index].len() < TARGETS_MAX {
                    plan.names[index].push(&step.exten);
                }
                // Of one caller alone: `exten => 100/0312345678,1,…`.
                if new && (step.exten.starts_with('_') || step.exten.contains('/')) {
                    plan.patterns[index].push(&step.exten);
                }
                let extension = plan.extensions.entry((index, &step.exten)).or_default();
                // Asterisk keeps the first of two.
                extension.priorities.entry(step.priority).or_insert(number);
                if !step.label.is_empty() {
                    let label = extension.labels.entry(&step.label);
                    label.or_insert(step.priority);
                }
            }
        }
        plan
    }

    /// The step behind one in its extension, or in one whose pattern goes on there.
    fn next(&self, step: usize) -> Option<usize> {
        let (at, context) = (self.steps[step].step, self.steps[step].context);
        let own = self.extensions.get(&(context, &*at.exten))?;
        let next = at.priority.saturating_add(1);
        own.priorities.get(&next).copied().or_else(|| {
            let named = !at.exten.starts_with('_');
            named.then(|| self.find(context, &at.exten, &next.to_string(), 0))?
        })
    }

    /// The first step of an extension as Asterisk finds it: by name, by pattern, then in what is included.
    fn find(&self, context: usize, exten: &str, priority: &str, depth: usize) -> Option<usize> {
        let in_extension = |name: &str| {
            let extension = self.extensions.get(&(context, name))?;
            let number = match priority.parse::<u32>() {
                Ok(number) => number,
                Err(_) => *extension.labels.get(priority)?,
            };
            extension.priorities.get(&number).copied()
        };
        in_extension(exten)
            .or_else(|| {
                let patterns = self.patterns[context].iter();
                let mut matching = patterns.filter(|p| parse::matches(p, exten));
                matching.find_map(|p| in_extension(p))
            })
            .or_else(|| {
                let deeper = depth < INCLUDE_DEPTH_MAX;
                let includes = self.contexts[context].includes.iter().filter(|_| deeper);
                let mut included = includes.filter_map(|name| self.by_name.get(name.as_str()));
                included.find_map(|inner| self.find(*inner, exten, priority, depth + 1))
            })
    }

    /// The steps that a jump may lead to; none where a variable names the context, and where it leads to nothing.
    fn resolve(&self, from: usize, target: &Target) -> Vec<usize> {
        let here = &self.steps[from];
        let context = match &target.context {
            Some(name) => match self.by_name.get(name.as_str()) {
                Some(context) => *context,
                None => return Vec::new(),
            },
            None => here.context,
        };
        let one = |exten: &str| self.find(context, exten, &target.priority, 0);
        match target.exten.as_deref() {
            // The caller's own extension.
            None | Some("${EXTEN}") => one(&here.step.exten).into_iter().collect(),
            Some(exten) if exten.contains('$') => self.names[context]
                .iter()
                .filter_map(|exten| one(exten))
                .collect(),
            Some(exten) => one(exten).into_iter().collect(),
        }
    }

    fn is_ours(&self, step: usize) -> bool {
        self.contexts[self.steps[step].context]
            .name
            .starts_with(OURS)
    }
}

/// Judges a dialplan. `recording`: names of features that record, of `features.conf`.
pub(crate) fn judge(contexts: &[Context], recording: &BTreeSet<String>) -> Judged {
    let plan = Dialplan::new(contexts);
    let mut judged = Judged::default();
    let recorded = flow::recorded(&plan, &mut judged);
    late(&plan, &mut judged);
    digits::judge(&plan, &mut judged);
    for (number, acting) in plan.steps.iter().enumerate() {
        for act in &acting.acts {
            alone(
                acting.step,
                act,
                recorded.contains(&number),
                recording,
                &mut judged,
            );
        }
    }
    judged
}

/// Waits for digits right behind a payment.
fn late(plan: &Dialplan<'_>, judged: &mut Judged) {
    for (number, acting) in plan.steps.iter().enumerate() {
        if !acting.acts.iter().any(Act::pays) {
            continue;
        }
        let mut at = number;
        for _ in 0..BEHIND_MAX {
            let Some(next) = plan.next(at) else {
                break;
            };
            at = next;
            let late = plan.steps[at].step;
            match late.name.to_ascii_lowercase().as_str() {
                "read" | "waitexten" | "background" | "backgrounddetect" | "readexten" | "disa" => {
                    judged.found.push(Found {
                        check: c::DIALPLAN_LATE,
                        at: late.at.clone(),
                        found: format!(
                            "{}() right behind the payment of line {}",
                            late.name, acting.step.at.line
                        ),
                        change: Change::Above("same => n,Wait(2)".into()),
                    });
                    break;
                }
                // What passes time, or leaves.
                "wait" | "playback" | "hangup" | "dial" | "queue" | "goto" | "return"
                | "bridge" => break,
                _ => {}
            }
        }
    }
}

/// What an application says by itself.
fn alone(
    step: &Step,
    act: &Act,
    recorded: bool,
    recording: &BTreeSet<String>,
    judged: &mut Judged,
) {
    let mut find = |check, found: String, change| {
        judged.found.push(Found {
            check,
            at: step.at.clone(),
            found,
            change,
        });
    };
    let call = |arguments: &str| format!("{}({arguments})", act.name);
    match act.app.as_str() {
        "read" | "readexten" | "receivemf" | "receivesf" => {
            let variable = arguments(&act.arguments).first().map_or("", |v| v.trim());
            let change =
                Change::Do("for a card: Gosub(ivrpay-pay,s,1(…)) instead; else leave it".into());
            find(c::DIALPLAN_READ, call(&format!("{variable},…")), change);
        }
        "disa" => {
            let change =
                Change::Do("for a card: Gosub(ivrpay-pay,s,1(…)) instead; else leave it".into());
            find(c::DIALPLAN_READ, call("…"), change);
        }
        "storedtmf" if act.whole => find(c::DIALPLAN_STORE, call("…"), Change::Delete),
        "storedtmf" => {
            let change = Change::Do(format!("take {} out of this line", act.name));
            find(c::DIALPLAN_STORE, call("…"), change);
        }
        // Where it runs into a payment, the payment is the finding.
        "mixmonitor" | "monitor" if recorded => {}
        // ivrpay-unrecorded: what it had ended, behind the payment.
        "mixmonitor" if act.arguments.trim() == "${IVRPAY_RECORD_AGAIN}" => {}
        "mixmonitor" | "monitor" | "record" => {
            let change =
                Change::Do("record nothing that the caller's leg says during a payment".into());
            find(c::DIALPLAN_RECORDER, call("…"), change);
        }
        "meetme"
            if arguments(&act.arguments)
                .get(1)
                .is_some_and(|o| parse::letters(o).contains('r')) =>
        {
            let change = Change::Do("let nobody key a card in this conference".into());
            find(c::CONFBRIDGE_RECORDING, call("…,r"), change);
        }
        "chanspy" | "extenspy" => {
            let change = Change::Do("let nobody who may not hear cards dial it".into());
            find(c::DIALPLAN_SPY, call("…"), change);
        }
        "eagi" | "audiosocket" | "jack" | "externalivr" => {
            find(c::DIALPLAN_AUDIO_OUT, call("…"), away_from_payments());
        }
        "dial" => {
            let program = ["audiosocket/", "websocket/", "unicastrtp/"];
            let to = act.arguments.to_ascii_lowercase();
            if to
                .split(['&', ','])
                .any(|d| program.iter().any(|p| d.trim().starts_with(p)))
            {
                find(c::DIALPLAN_AUDIO_OUT, call("…"), away_from_payments());
            }
        }
        "agi"
            if act
                .arguments
                .trim_start()
                .to_ascii_lowercase()
                .starts_with("agi:async") =>
        {
            let change = Change::Do("use agi://, or ask for no digits over it".into());
            find(c::DIALPLAN_ASYNC_AGI, call("agi:async"), change);
        }
        _ => {}
    }
    for (assignment, written) in act.assignments() {
        let Some(set) = assigned(assignment, recording) else {
            continue;
        };
        judged.rights |= set.check == c::DIALPLAN_RIGHTS;
        let change = match &set.safe {
            Some(safe) => step.with_instead(written, &written.replacen(assignment, safe, 1)),
            None if act.whole && !act.is_many() => Change::Delete,
            None => Change::Do(format!("take {} out of this line", set.name)),
        };
        judged.found.push(Found {
            check: set.check,
            at: step.at.clone(),
            found: format!("{}({}=…)", act.name, set.name),
            change,
        });
    }
    feature_rights(step, act, judged);
}

fn away_from_payments() -> Change {
    Change::Do("let no call come by here on its way into a payment, and take no card here".into())
}

/// What setting a variable or function does.
pub(crate) struct Assigned {
    pub(crate) check: &'static Check,
    /// The variable or function, without its value.
    pub(crate) name: String,
    /// The assignment as it should be; `None` = without it.
    pub(crate) safe: Option<String>,
}

/// Judges `NAME=VALUE`, of `Set()`, `setvar` and `set_var`.
pub(crate) fn assigned(assignment: &str, recording: &BTreeSet<String>) -> Option<Assigned> {
    let (written, value) = assignment.split_once('=')?;
    let (written, value) = (written.trim(), value.trim());
    let bare = written.trim_start_matches('_').to_ascii_uppercase();
    let function = bare.split_once('(');
    let found = |check, safe| {
        let name = written.to_owned();
        Some(Assigned { check, name, safe })
    };
    match (bare.as_str(), function) {
        ("BRIDGE_FEATURES", _) if parse::letters(value).contains(|c| RIGHTS.contains(c)) => found(
            c::DIALPLAN_RIGHTS,
            Some(format!("{written}={}", parse::without_rights(value))),
        ),
        ("DYNAMIC_FEATURES", _) => {
            let records = |name: &str| {
                let name = name.trim();
                ["automixmon", "automon"].contains(&name) || recording.contains(name)
            };
            if !value.split('#').any(records) {
                return None;
            }
            let kept: Vec<&str> = value.split('#').filter(|name| !records(name)).collect();
            found(
                c::FEATURES_RECORD,
                Some(format!("{written}={}", kept.join("#"))),
            )
        }
        (_, Some(("FEATUREMAP", of))) if of.starts_with("AUTO") && !value.is_empty() => {
            found(c::FEATURES_RECORD, None)
        }
        (_, Some(("CONFBRIDGE", of)))
            if of.contains("RECORD_CONFERENCE") && !crate::conf::is_false(value) =>
        {
            found(c::CONFBRIDGE_RECORDING, None)
        }
        (_, Some(("JACK_HOOK", _))) if !crate::conf::is_false(value) => {
            found(c::DIALPLAN_AUDIO_OUT, None)
        }
        (_, Some(("FRAME_TRACE", _))) => found(c::DIALPLAN_TRACE, None),
        (_, Some(("FRAME_DROP", of)))
            if !of.starts_with("RX") && value.to_ascii_uppercase().contains("DTMF") =>
        {
            found(c::DIALPLAN_DROP_TX, None)
        }
        _ => None,
    }
}

/// Options of Dial, Queue and Bridge.
fn feature_rights(step: &Step, act: &Act, judged: &mut Judged) {
    let index = match act.app.as_str() {
        "dial" => 2,
        "queue" | "bridge" => 1,
        "retrydial" => 5,
        _ => return,
    };
    let parts = arguments(&act.arguments);
    let Some(options) = parts.get(index) else {
        return;
    };
    if !parse::letters(options).contains(|c| RIGHTS.contains(c)) {
        return;
    }
    let safe = parse::without_rights(options);
    let mut changed = parts.clone();
    if let Some(place) = changed.get_mut(index) {
        *place = &safe;
    }
    judged.rights = true;
    judged.found.push(Found {
        check: c::DIALPLAN_RIGHTS,
        at: step.at.clone(),
        found: step.line(),
        change: step.with_instead(&act.arguments, &changed.join(",")),
    });
}

/// Options in a global variable such as `DIAL_OPTIONS`: without the rights that they give, where they give any.
pub(crate) fn safe_options(options: &str) -> Option<String> {
    let some = parse::letters(options).contains(|c| RIGHTS.contains(c));
    some.then(|| parse::without_rights(options))
}
