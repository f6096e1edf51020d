//! How late this machine is: where two cores carry Asterisk, the service and two dozen callers, keys and events wait for their turn.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(10);
/// Less is not kept.
const KEPT_MIN: Duration = Duration::from_millis(10);

/// When a thread that only sleeps woke late, and by how much.
static LATE: OnceLock<Mutex<Vec<(Instant, Duration)>>> = OnceLock::new();

fn late() -> &'static Mutex<Vec<(Instant, Duration)>> {
    LATE.get_or_init(|| {
        std::thread::spawn(|| {
            loop {
                let due = Instant::now() + EVERY;
                std::thread::sleep(EVERY);
                let now = Instant::now();
                let by = now.saturating_duration_since(due);
                if by >= KEPT_MIN {
                    let mut late = late().lock().unwrap_or_else(PoisonError::into_inner);
                    late.push((now, by));
                }
            }
        });
        Mutex::default()
    })
}

/// Begins to look.
pub fn watch() {
    late();
}

/// The longest that something had to wait for its turn since then, as far as a sleeping thread of ours shows it.
#[must_use]
pub fn most(since: Instant) -> Duration {
    let late = late().lock().unwrap_or_else(PoisonError::into_inner);
    let then = late.iter().rev().take_while(|(at, _)| *at >= since);
    then.map(|(_, by)| *by).max().unwrap_or_default()
}
