//! The wait for a first key: prompt, silence, reminders, time-out.
//!
//! Begins with a prompt and is dropped at the first key. Owns only times. Does not know what is said.

use std::time::Duration;

use crate::io::{At, Say};
use crate::line::Line;
use crate::settings::Settings;

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
    Silence {
        since: At,
        reminders: u32,
        /// When the last reminder ends: at the latest, until its end is known. Time to answer it is given behind it.
        reminded: Option<At>,
    },
}

impl Phase {
    const fn silence(since: At) -> Self {
        Self::Silence {
            since,
            reminders: 0,
            reminded: None,
        }
    }
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
    pub(crate) fn after_prompt(
        settings: &Settings,
        now: At,
        longest: Duration,
        repeat: bool,
    ) -> Self {
        Self {
            phase: Phase::Prompt(now.plus(settings.prompt_max)),
            longest,
            repeat,
        }
    }

    pub(crate) fn prompt_ended(&mut self, now: At) {
        match &mut self.phase {
            Phase::Prompt(_) => self.phase = Phase::silence(now),
            Phase::Silence { reminded, .. } => *reminded = reminded.map(|_| now),
        }
    }

    pub(crate) fn time(&mut self, settings: &Settings, now: At) -> Turn {
        if now < self.deadline(settings) {
            return Turn::Nothing;
        }
        match self.phase {
            Phase::Prompt(_) => {
                self.phase = Phase::silence(now);
                Turn::Nothing
            }
            Phase::Silence {
                since, reminded, ..
            } if now >= self.over(settings, since, reminded) => Turn::Over,
            Phase::Silence {
                since, reminders, ..
            } => {
                self.phase = Phase::Silence {
                    since,
                    reminders: reminders.saturating_add(1),
                    reminded: Some(now.plus(settings.prompt_max)),
                };
                Turn::Remind(reminders)
            }
        }
    }

    pub(crate) fn deadline(&self, settings: &Settings) -> At {
        match self.phase {
            Phase::Prompt(until) => until,
            Phase::Silence {
                since,
                reminders,
                reminded,
            } => {
                let over = self.over(settings, since, reminded);
                if reminders > 0 && !self.repeat {
                    return over;
                }
                let every = settings.reminder_every.saturating_mul(reminders);
                let next = since.plus(settings.reminder_after.saturating_add(every));
                if next >= since.plus(self.longest) {
                    over
                } else {
                    next
                }
            }
        }
    }

    fn over(&self, settings: &Settings, since: At, reminded: Option<At>) -> At {
        let over = since.plus(self.longest);
        reminded.map_or(over, |end| over.max(end.plus(settings.reminder_after)))
    }
}

/// What a reminder says: as long as no key at all has come, that none arrives; else what belongs to the step.
pub(crate) fn reminder(keyed: bool, n: u32, own: Vec<Say>) -> Vec<Say> {
    if n == 0 && !keyed {
        vec![
            Say::Line(Line::GreetingSilence1),
            Say::Line(Line::GreetingSilence2),
        ]
    } else {
        own
    }
}
