//! Where the entry of digits is: waited for, being keyed, or told to go on. The card's fields and the keypad's rows have it alike.

use std::time::Duration;

use crate::io::At;
use crate::settings::Settings;
use crate::wait::Wait;

pub(crate) enum Phase {
    First(Wait),
    /// Last key at.
    Keying(At),
    /// Whoever keys is being told to go on; until this time at the latest.
    Continue(At),
    /// Told to go on; silence since.
    Continued(At),
}

impl Phase {
    pub(crate) fn prompt_ended(&mut self, now: At) {
        match self {
            Self::First(wait) => wait.prompt_ended(now),
            Self::Continue(_) => *self = Self::Continued(now),
            Self::Keying(_) | Self::Continued(_) => {}
        }
    }

    /// `quiet`: how long it must be quiet, while it is keyed, for the entry to end by itself; it is looked at after
    /// `inter_digit_timeout` at the latest.
    pub(crate) fn deadline(&self, settings: &Settings, quiet: impl FnOnce() -> Duration) -> At {
        let between = settings.inter_digit_timeout;
        match self {
            Self::First(wait) => wait.deadline(settings),
            Self::Keying(last) => last.plus(quiet().min(between)),
            Self::Continue(until) => *until,
            Self::Continued(since) => since.plus(between),
        }
    }
}
