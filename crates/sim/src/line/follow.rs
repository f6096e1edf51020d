//! Leads one call by its script: keys, pauses, and waits for sounds, voices and what the daemon announces.
//!
//! What a script does beyond that (hang up, hold, transfer) it hands to whoever owns the call.

use std::time::{Duration, Instant};

use super::audio::VOICE_MIN;
use super::events::Announced;
use super::leg::Leg;
use super::script::{Action, QUIET};
use super::{IDLE, Step};

/// Loud sound that counts as a prompt for `heard`.
const PROMPT_MIN: Duration = Duration::from_millis(100);
/// How often a voice is looked for: a packet's time.
const LISTEN: Duration = Duration::from_millis(20);
/// Steps of one call that are kept.
const STEPS_MAX: usize = 10_000;
/// What the daemon says when it doubts the rhythm of keys, as it may on a machine that is late.
const DOUBTED: &str = "duplicate-tone-suspected";
/// How often keys that were doubted are keyed again: a caller who is asked a third time gives up.
const AGAIN_MAX: usize = 2;
/// How long he listens before: what comes without a pause is taken for the rest of what was doubted.
const LISTENS: Duration = Duration::from_secs(2);

/// What the owner of the call has to do.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// Nothing before [`Follower::wake`].
    Waits,
    /// This action; then the script goes on.
    Does(&'a Action),
    /// The script is over.
    Over,
    /// What was waited for in vain.
    InVain(String),
}

#[derive(Debug, Clone, Copy)]
enum Doing {
    Next,
    /// Until this sample of our sound.
    Keys {
        over: u64,
    },
    Pause {
        until: Instant,
    },
    Step {
        until: Instant,
    },
    Heard {
        before: Duration,
        until: Instant,
    },
    Voice {
        from: Instant,
        until: Instant,
    },
}

/// The steps of one call that were announced, and how many of them a `wait:` has used.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    pub(crate) all: Vec<Step>,
    used: usize,
}

impl Steps {
    /// Keeps what was announced `after` the call began, when it is a step.
    pub(crate) fn take(&mut self, announced: &Announced, after: Duration) -> Option<Step> {
        let step = Step {
            step: announced.step.clone()?,
            attempt: announced.attempt,
            error: announced.error.clone(),
            ms: super::audio::millis(after),
        };
        self.keep(step.clone());
        Some(step)
    }

    pub(crate) fn keep(&mut self, step: Step) {
        if self.all.len() < STEPS_MAX {
            self.all.push(step);
        }
    }

    /// Uses the first one that fits, and all before it.
    fn used_up_to(&mut self, step: &str, error: Option<&String>) -> bool {
        let fits = |s: &Step| s.step == step && error.is_none_or(|e| s.error.as_ref() == Some(e));
        let unused = self.all.get(self.used..).unwrap_or_default();
        let Some(at) = unused.iter().position(fits) else {
            return false;
        };
        self.used += at + 1;
        true
    }

    /// Uses the first one that says that keys were doubted, and all before it: which.
    fn doubted(&mut self) -> Option<String> {
        let unused = self.all.get(self.used..).unwrap_or_default();
        let doubted = |s: &Step| s.error.as_deref() == Some(DOUBTED);
        let at = unused.iter().position(doubted)?;
        let step = unused.get(at).map(|s| s.step.clone());
        self.used += at + 1;
        step
    }
}

/// A script and where it stands.
pub(crate) struct Follower<'a> {
    script: &'a [Action],
    /// The action that is begun next; the one that is being done is before it.
    at: usize,
    doing: Doing,
    /// Longest wait for each.
    timeout: Duration,
    /// How often keys were keyed again.
    again: usize,
}

impl<'a> Follower<'a> {
    pub(crate) fn new(script: &'a [Action], timeout: Duration) -> Self {
        Self {
            script,
            at: 0,
            doing: Doing::Next,
            timeout,
            again: 0,
        }
    }

    /// Whether this step is waited for, now or later.
    pub(crate) fn awaits(&self, step: &str) -> bool {
        let rest = self.script.get(self.at.saturating_sub(1)..);
        let mut rest = rest.unwrap_or_default().iter();
        rest.any(|action| matches!(action, Action::Step { step: s, .. } if s == step))
    }

    /// Does all that is due.
    pub(crate) fn follow(&mut self, leg: &mut Leg, steps: &mut Steps, now: Instant) -> Next<'a> {
        loop {
            let current = self.script.get(self.at.wrapping_sub(1));
            match (self.doing, current) {
                (Doing::Next, _) => {
                    let Some(action) = self.script.get(self.at) else {
                        return Next::Over;
                    };
                    self.at += 1;
                    match self.begin(action, leg, now) {
                        Some(doing) => self.doing = doing,
                        None => return Next::Does(action),
                    }
                    continue;
                }
                (Doing::Keys { over }, _) if now >= leg.moment(over) => {}
                (Doing::Pause { until }, _) if now >= until => {}
                (Doing::Step { until }, Some(Action::Step { step, error })) => {
                    if steps.used_up_to(step, error.as_ref()) {
                    } else if self.keys_again(steps, now) {
                        continue;
                    } else {
                        let error = error.as_ref().map_or(String::new(), |e| format!("/{e}"));
                        return in_vain(now >= until, || format!("step {step}{error}"));
                    }
                }
                (Doing::Heard { before, until }, _) => {
                    let spoke = leg.ear.heard() >= before + PROMPT_MIN;
                    let quiet = leg.ear.last_loud().is_some_and(|loud| now >= loud + QUIET);
                    if !(spoke && quiet) {
                        return in_vain(now >= until, || "a prompt and silence".into());
                    }
                }
                (Doing::Voice { from, until }, Some(Action::Voice { hz, there, .. })) => {
                    let voice = leg.ear.voice(*hz);
                    let good = if *there {
                        voice.is_some_and(|v| v.heard_since(from, now) >= VOICE_MIN)
                    } else {
                        let last = voice.and_then(super::audio::Voice::last);
                        now >= last.map_or(from, |last| last.max(from)) + QUIET
                    };
                    if !good {
                        let what = if *there { "voice" } else { "silence of voice" };
                        return in_vain(now >= until, || format!("{what} {hz}"));
                    }
                }
                _ => return Next::Waits,
            }
            self.doing = Doing::Next;
        }
    }

    /// Asked to key more slowly, which no script expects: goes back to the keys of that step, as a caller would.
    fn keys_again(&mut self, steps: &mut Steps, now: Instant) -> bool {
        if self.again >= AGAIN_MAX {
            return false;
        }
        let Some(doubted) = steps.doubted() else {
            return false;
        };
        let done = self.script.get(..self.at.saturating_sub(1));
        let of_it =
            |action: &Action| matches!(action, Action::Step { step, .. } if *step == doubted);
        let Some(at) = done.unwrap_or_default().iter().rposition(of_it) else {
            return false;
        };
        self.again += 1;
        self.at = at + 1;
        self.doing = Doing::Pause {
            until: now + LISTENS,
        };
        true
    }

    /// `None`: the owner's to do.
    fn begin(&mut self, action: &Action, leg: &mut Leg, now: Instant) -> Option<Doing> {
        let until = now + self.timeout;
        Some(match action {
            Action::Pause(time) => Doing::Pause { until: now + *time },
            Action::Step { .. } => Doing::Step { until },
            Action::Heard => Doing::Heard {
                before: leg.ear.heard(),
                until,
            },
            Action::Voice { limit, .. } => Doing::Voice {
                from: now,
                until: limit.map_or(until, |limit| now + limit),
            },
            Action::Key(key) => {
                // Keys in a row are pressed by the clock of the samples, however late this task is.
                let mut over = leg.press(*key);
                while let Some(Action::Key(key)) = self.script.get(self.at) {
                    over = leg.press(*key);
                    self.at += 1;
                }
                Doing::Keys { over }
            }
            Action::HangUp
            | Action::UntilEnd
            | Action::Hold(_)
            | Action::Refer(_)
            | Action::Attended { .. } => return None,
        })
    }

    /// The next moment at which something is due, when nothing comes in.
    pub(crate) fn wake(&self, leg: &Leg, now: Instant) -> Instant {
        match self.doing {
            Doing::Next => now + IDLE,
            Doing::Keys { over } => leg.moment(over),
            Doing::Pause { until } | Doing::Step { until } => until,
            Doing::Heard { until, .. } => match leg.ear.last_loud() {
                // At the moment of quiet itself, or at the next sound.
                Some(loud) if loud + QUIET > now => until.min(loud + QUIET),
                _ => until,
            },
            Doing::Voice { until, .. } => until.min(now + LISTEN),
        }
    }
}

fn in_vain<'a>(over: bool, what: impl FnOnce() -> String) -> Next<'a> {
    if over {
        Next::InVain(what())
    } else {
        Next::Waits
    }
}
