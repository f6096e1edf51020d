//! Which keys count: those of no telephone, echoes, and keys that belong to what is over do not.
//!
//! Hears every key of a call before its state does. Owns the last key (secret memory, `pace.rs`). Does not know steps or prompts.

use std::time::Duration;

use ivrpay_secret::{Full, Key};

use crate::io::At;
use crate::pace::{Touch, Trail};
use crate::settings::Settings;

/// Keys that belong to what is over are thrown away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    No,
    /// After an error: until there is a pause between two keys.
    UntilPause,
    /// Where the middle of a number is missing, its rest could pass for a whole one: until the question was heard to its end, and
    /// there is a pause.
    UntilHeard,
}

pub(crate) struct Ear {
    pub(crate) trail: Trail,
    /// A key has arrived in this call, whichever.
    pub(crate) keyed: bool,
    /// Until when a `#` belongs to the field that has just ended by itself.
    pub(crate) late_hash: Option<At>,
    /// Whether keys are thrown away at the moment.
    pub(crate) flush: Flush,
}

impl Ear {
    pub(crate) fn take() -> Result<Self, Full> {
        Ok(Self {
            trail: Trail::take()?,
            keyed: false,
            late_hash: None,
            flush: Flush::No,
        })
    }

    /// How the key stands to the one before it; `None` where it does not count. `speaks`: a prompt plays, or is about to.
    pub(crate) fn hear(
        &mut self,
        settings: &Settings,
        arrived: At,
        key: Key,
        lasted: Duration,
        speaks: bool,
    ) -> Option<Touch> {
        let touch = self.trail.touch(arrived, key, lasted);
        self.keyed = true;
        match key {
            // No telephone has these; what sends them is no finger.
            Key::Letter => return None,
            // `*` and `#` twice mean something else than once: an echo must not.
            Key::Star | Key::Hash if touch.echo() => return None,
            _ => {}
        }
        if self.throws_away(settings, touch.gap, speaks) {
            return None;
        }
        if let Some(until) = self.late_hash {
            if touch.same_press() {
                return None;
            }
            self.late_hash = None;
            if key == Key::Hash && arrived <= until {
                return None;
            }
        }
        Some(touch)
    }

    pub(crate) fn prompt_ended(&mut self) {
        if self.flush == Flush::UntilHeard {
            self.flush = Flush::UntilPause;
        }
    }

    /// Whether a key belongs to what is over; `gap` is the time since the key before.
    fn throws_away(&mut self, settings: &Settings, gap: Option<Duration>, speaks: bool) -> bool {
        let waits = match self.flush {
            Flush::No => false,
            Flush::UntilHeard if speaks => return true,
            Flush::UntilHeard | Flush::UntilPause => {
                gap.is_some_and(|gap| gap < settings.after_error)
            }
        };
        if !waits {
            self.flush = Flush::No;
        }
        waits
    }
}
