//! The wait for a first key: prompt, silence, reminders, time-out.
//!
//! Begins with a prompt and is dropped at the first key. Owns only times. Does not know what is said.

use std::time::Duration;

use crate::call::Call;
use crate::io::{At, Line, Say};

pub(crate) struct Wait {
    phase: Phase,
    longest: Duration,
    /// More than one reminder.
    repeat: bool,
}

#[derive(Clone, Copy)]
enum Phase {
    /// Something is being said, until this time at the latest.
    Prompt(At),
    /// Silence since, with so many reminders.
    Silence(At, u32),
}

/// What the time has brought.
pub(crate) enum Turn {
    Nothing,
    /// The n-th reminder, from 0, is due.
    Remind(u32),
    Over,
}

impl Wait {
    /// After a prompt that begins now.
    pub(crate) fn after_prompt(call: &Call, now: At, longest: Duration, repeat: bool) -> Self {
        Self {
            phase: Phase::Prompt(now.plus(call.settings.prompt_max)),
            longest,
            repeat,
        }
    }

    pub(crate) fn prompt_ended(&mut self, now: At) {
        if let Phase::Prompt(_) = self.phase {
            self.phase = Phase::Silence(now, 0);
        }
    }

    pub(crate) fn time(&mut self, call: &Call, now: At) -> Turn {
        if now < self.deadline(call) {
            return Turn::Nothing;
        }
        match self.phase {
            Phase::Prompt(_) => {
                self.phase = Phase::Silence(now, 0);
                Turn::Nothing
            }
            Phase::Silence(since, _) if now >= since.plus(self.longest) => Turn::Over,
            Phase::Silence(since, reminders) => {
                self.phase = Phase::Silence(since, reminders.saturating_add(1));
                Turn::Remind(reminders)
            }
        }
    }

    pub(crate) fn deadline(&self, call: &Call) -> At {
        match self.phase {
            Phase::Prompt(until) => until,
            Phase::Silence(since, reminders) => {
                let over = since.plus(self.longest);
                if reminders > 0 && !self.repeat {
                    return over;
                }
                let every = call.settings.reminder_every.saturating_mul(reminders);
                over.min(since.plus(call.settings.reminder_after.saturating_add(every)))
            }
        }
    }
}

/// What a reminder says: as long as no key at all has come, that none arrives; else what belongs to the step.
pub(crate) fn reminder(call: &Call, n: u32, own: Vec<Say>) -> Vec<Say> {
    if n == 0 && !call.keyed {
        vec![
            Say::Line(Line::GreetingSilence1),
            Say::Line(Line::GreetingSilence2),
        ]
    } else {
        own
    }
}
