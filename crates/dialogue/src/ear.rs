//! Which keys count: those of no telephone, echoes, and keys that belong to what is over do not.
//!
//! Hears every key of a call before its state does, and knows whether any has come. Owns the last key (secret memory, `pace.rs`). Does not know steps or prompts.

use std::time::Duration;

use ivrpay_secret::{Full, Key};

use crate::io::{At, Keys};
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

/// Tones in the sound: Asterisk detects them when no key has come otherwise, whatever the line had promised.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tones {
    Not,
    /// Asked for.
    Wanted,
    /// Detected from now on.
    On,
    /// A key has come since.
    Heard,
    /// Each key comes twice: as an event too.
    Doubled,
    Off,
}

pub(crate) struct Ear {
    pub(crate) trail: Trail,
    /// A key has arrived in this call, whichever.
    pub(crate) keyed: bool,
    /// The caller was reminded.
    pub(crate) reminded: bool,
    tones: Tones,
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
            reminded: false,
            tones: Tones::Not,
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
        self.tones = match self.tones {
            Tones::On => Tones::Heard,
            Tones::Heard if touch.echo() => Tones::Doubled,
            tones => tones,
        };
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

    /// Whether tones are to be detected from here on: once in a call, and only where no key has come.
    pub(crate) fn wants_tones(&mut self) -> bool {
        let wants = !self.keyed && self.tones == Tones::Not;
        if wants {
            self.tones = Tones::Wanted;
        }
        wants
    }

    /// They are.
    pub(crate) fn tones_on(&mut self) {
        // A key that came meanwhile came without.
        if self.tones == Tones::Wanted && !self.keyed {
            self.tones = Tones::On;
        }
    }

    /// Whether they are to be detected no longer; told once.
    pub(crate) fn tones_off(&mut self) -> bool {
        let doubled = self.tones == Tones::Doubled;
        if doubled {
            self.tones = Tones::Off;
        }
        doubled
    }

    pub(crate) fn keys(&self) -> Keys {
        match self.tones {
            Tones::Heard => Keys::AsSound,
            _ if !self.keyed && self.reminded => Keys::NotHeard,
            _ => Keys::Fine,
        }
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
