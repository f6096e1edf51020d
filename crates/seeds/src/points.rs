//! Places at which the process may be ended: a seed says at which of those that it passes, and how.

use std::collections::VecDeque;

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// As by `kill -9`: what was written stays.
    Killed,
    /// What was not synced is gone, or torn.
    PowerLost,
}

/// The process is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crash;

/// Passed places, and those at which it ends.
#[derive(Debug, Default)]
pub(crate) struct Points {
    /// So many more places, then it ends like that.
    pub(crate) ends: VecDeque<(u32, How)>,
    /// Where it has ended.
    pub(crate) at: Option<(&'static str, How)>,
}

impl Points {
    /// Passes a place, or ends there.
    pub(crate) fn pass(&mut self, place: &'static str) -> Result<(), Crash> {
        let Some((left, how)) = self.ends.front_mut() else {
            return Ok(());
        };
        if *left > 0 {
            *left -= 1;
            return Ok(());
        }
        self.at = Some((place, *how));
        self.ends.pop_front();
        Err(Crash)
    }
}
