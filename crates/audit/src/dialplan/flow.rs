//! Recorders that run into a payment: along priorities, jumps and subroutines.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use super::parse::Act;
use super::{Dialplan, Found, Judged};
use crate::catalogue as c;
use crate::conf::is_false;
use crate::finding::Change;

/// Steps that are walked over for all subroutines together: a large FreePBX has some 20,000 of them, and calls each some hundred times.
const WALK_MAX: usize = 4_000_000;
/// Subroutines that call one another.
const CALLS_DEEP_MAX: usize = 64;

/// Which recorder runs on the caller's channel; `Some(CALLER)`: one that the caller of a subroutine started.
type Runs = Option<usize>;
const CALLER: usize = usize::MAX;

/// What a subroutine does to recorders.
#[derive(Debug, Clone, Copy)]
struct Summary {
    /// One that ran before it runs on behind it.
    passes: bool,
    /// One that it starts and leaves running.
    starts: Runs,
}

/// Nothing is known of it: it does nothing.
const UNKNOWN: Summary = Summary {
    passes: true,
    starts: None,
};

/// Finds the recorders that run into a `Stasis()`, one for each, and gives their steps.
pub(super) fn recorded(plan: &Dialplan<'_>, judged: &mut Judged) -> BTreeSet<usize> {
    let mut flow = Flow {
        plan,
        summaries: HashMap::new(),
        walked: 0,
        depth: 0,
    };
    let mut seen: Vec<Runs> = vec![None; plan.steps.len()];
    let mut open = VecDeque::new();
    // Where recorders begin to run: in a step itself, or in a subroutine that it calls.
    for (number, acting) in plan.steps.iter().enumerate() {
        let here = acting.acts.iter().any(starts);
        let calls =
            !plan.is_ours(number) && acting.acts.iter().any(|act| !act.jumps.calls.is_empty());
        if here || calls {
            open.push_back((number, None));
        }
    }
    let mut recorded = BTreeSet::new();
    let mut told = BTreeSet::new();
    while let Some((number, runs)) = open.pop_front() {
        let led = flow.step(number, runs, true, &mut |recorder| {
            if told.insert(number) {
                recorded.insert(recorder);
                judged.found.push(finding(plan, recorder, number));
            }
        });
        for (next, runs) in led {
            let place = &mut seen[next];
            if place.is_none() && runs.is_some() {
                *place = runs;
                open.push_back((next, runs));
            }
        }
    }
    if flow.walked > WALK_MAX {
        judged.limits.insert("steps of subroutines");
    }
    recorded
}

fn finding(plan: &Dialplan<'_>, recorder: usize, payment: usize) -> Found {
    let (of, at) = (&plan.steps[recorder], &plan.steps[payment].step.at);
    let act = of.acts.iter().find(|act| starts(act));
    let app = act.map_or("", |act| act.app.as_str());
    let stop = match app {
        "monitor" => "StopMonitor()",
        "mixmonitor" => "StopMixMonitor()",
        _ => "Set(JACK_HOOK(manipulate)=off)",
    };
    Found {
        check: c::DIALPLAN_RECORDED,
        at: at.clone(),
        found: format!(
            "{} of {} runs on into Stasis()",
            act.map_or("a recorder", |act| act.name.as_str()),
            of.step.at.beside(at)
        ),
        change: Change::Above(format!("same => n,{stop}")),
    }
}

/// Whether it starts something that hears the channel from then on.
fn starts(act: &Act) -> bool {
    act.here
        && (matches!(act.app.as_str(), "mixmonitor" | "monitor")
            || act
                .assignments()
                .iter()
                .any(|(a, _)| hook(a).is_some_and(|value| !is_false(value))))
}

/// The value that `JACK_HOOK()` is set to.
fn hook(assignment: &str) -> Option<&str> {
    let (name, value) = assignment.split_once('=')?;
    let name = name.trim().to_ascii_uppercase();
    name.starts_with("JACK_HOOK(").then_some(value.trim())
}

/// Whether it ends what `recorder` started, or takes the caller's voice away from it.
fn ends(act: &Act, plan: &Dialplan<'_>, recorder: usize) -> bool {
    // Which one the caller of a subroutine started is not known: whatever ends one ends it.
    let acting = plan.steps.get(recorder);
    let recorder = acting.and_then(|acting| acting.acts.iter().find(|a| starts(a)));
    // A condition counts where the recorder has the same: both or none is executed.
    let always = act.when.is_none() || recorder.is_some_and(|r| r.when == act.when);
    let of = recorder.map(|r| r.app.as_str());
    always
        && match act.app.as_str() {
            "stopmixmonitor" => of.is_none_or(|of| of == "mixmonitor"),
            "stopmonitor" => of.is_none_or(|of| of == "monitor"),
            _ => act.assignments().iter().any(|(assignment, _)| {
                let muted = assignment.to_ascii_lowercase().replace(' ', "");
                ["muteaudio(in)=on", "muteaudio(all)=on"].contains(&muted.as_str())
                    || (of == Some("set") && hook(assignment).is_some_and(is_false))
            }),
        }
}

struct Flow<'a> {
    plan: &'a Dialplan<'a>,
    /// By the first step; `None` while it is being walked: it calls itself.
    summaries: HashMap<usize, Option<Summary>>,
    walked: usize,
    depth: usize,
}

impl Flow<'_> {
    /// One step: where it leads, with what runs there. `entered`: the first steps of what it calls are among them. `into`: a payment is
    /// reached while a recorder runs.
    fn step(
        &mut self,
        number: usize,
        runs: Runs,
        entered: bool,
        into: &mut dyn FnMut(usize),
    ) -> Vec<(usize, Runs)> {
        let plan = self.plan;
        let (mut next, mut falls) = (Vec::new(), true);
        let mut runs = BTreeSet::from([runs]);
        for act in &plan.steps[number].acts {
            if starts(act) {
                if act.when.is_none() {
                    runs.clear();
                }
                runs.insert(Some(number));
                continue;
            }
            runs = runs
                .into_iter()
                .map(|r| r.filter(|r| !ends(act, plan, *r)))
                .collect();
            if act.app == "stasis" && act.here {
                for recorder in runs.iter().flatten().filter(|r| **r != CALLER) {
                    into(*recorder);
                }
                runs = BTreeSet::from([None]);
                continue;
            }
            let jumps = &act.jumps;
            for target in &jumps.to {
                for to in plan.resolve(number, target) {
                    if !plan.is_ours(to) {
                        next.extend(runs.iter().map(|r| (to, *r)));
                    }
                }
            }
            if jumps.calls.is_empty() {
                falls &= jumps.falls;
                continue;
            }
            let mut behind = if jumps.falls {
                runs.clone()
            } else {
                BTreeSet::new()
            };
            for call in &jumps.calls {
                let target = call.target.as_ref();
                let to = target.map_or_else(Vec::new, |target| plan.resolve(number, target));
                let to: Vec<usize> = to.into_iter().filter(|to| !plan.is_ours(*to)).collect();
                if to.is_empty() {
                    behind.extend(&runs);
                }
                for to in to {
                    let summary = self.summary(to);
                    if entered {
                        next.extend(runs.iter().map(|r| (to, *r)));
                    }
                    behind.extend(summary.starts.map(Some));
                    behind.extend(runs.iter().map(|r| r.filter(|_| summary.passes)));
                }
            }
            runs = behind;
        }
        if falls && let Some(behind) = plan.next(number) {
            next.extend(runs.into_iter().map(|r| (behind, r)));
        }
        next
    }

    fn summary(&mut self, first: usize) -> Summary {
        match self.summaries.get(&first) {
            Some(Some(summary)) => return *summary,
            Some(None) => return UNKNOWN,
            None if self.depth >= CALLS_DEEP_MAX => return UNKNOWN,
            None => {}
        }
        self.summaries.insert(first, None);
        self.depth += 1;
        let mut summary = Summary {
            passes: false,
            starts: None,
        };
        // One recorder of its own is enough to be told.
        let kind = |runs: Runs| runs.map(|r| r == CALLER);
        let mut seen = HashSet::from([(first, kind(Some(CALLER)))]);
        let mut open = vec![(first, Some(CALLER))];
        while let Some((number, runs)) = open.pop() {
            self.walked += 1;
            if self.walked > WALK_MAX {
                summary = UNKNOWN;
                break;
            }
            let acts = &self.plan.steps[number].acts;
            if acts.iter().any(|act| act.jumps.returns) {
                summary.passes |= runs == Some(CALLER);
                summary.starts = summary.starts.or(runs.filter(|r| *r != CALLER));
            }
            for (next, runs) in self.step(number, runs, false, &mut |_| {}) {
                if seen.insert((next, kind(runs))) {
                    open.push((next, runs));
                }
            }
        }
        self.depth -= 1;
        self.summaries.insert(first, Some(summary));
        summary
    }
}
