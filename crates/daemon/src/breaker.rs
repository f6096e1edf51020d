//! Whether an acquirer can be asked now: known before a customer is moved, so that nobody keys a card for nothing.
//!
//! A connector that has not answered three times in a row is left alone for half a minute; then it is tried again, and a further failure
//! leaves it alone for as long again. Any answer about the payment itself, also a refusal, ends that. Times of maintenance stand in
//! the configuration.

use std::str::FromStr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ivrpay_dialogue::operator::Refusal;
use ivrpay_payment::{Doubt, Outcome, Why};
use jiff::Timestamp;
use jiff::civil::Time;
use jiff::fmt::strtime;
use jiff::tz::Offset;

/// Failures in a row after which an acquirer is left alone, where the configuration says nothing else.
pub const FAILURES: u32 = 3;
/// For how long.
const OPEN: Duration = Duration::from_secs(30);

/// What is known of one acquirer.
pub struct Breaker {
    maintenance: Vec<Maintenance>,
    failures_max: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
    /// Its last word was that it is busy or in maintenance.
    busy: bool,
}

/// When an acquirer is in maintenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Maintenance {
    /// Once.
    Once(Timestamp, Timestamp),
    /// Every day between these times, at this distance from UTC; over midnight, where the end is before the beginning.
    Daily(Time, Time, Offset),
}

/// A text that says no time of maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is written as \"2026-12-01T02:00:00+09:00/2026-12-01T05:00:00+09:00\", or for every day as \"23:30-00:30 +09:00\""
)]
pub struct MaintenanceError;

impl FromStr for Maintenance {
    type Err = MaintenanceError;

    fn from_str(text: &str) -> Result<Self, MaintenanceError> {
        if let Some((from, to)) = text.split_once('/')
            && let (Ok(from), Ok(to)) = (from.parse::<Timestamp>(), to.parse::<Timestamp>())
        {
            return if from < to {
                Ok(Self::Once(from, to))
            } else {
                Err(MaintenanceError)
            };
        }
        let (times, zone) = text.split_once(' ').ok_or(MaintenanceError)?;
        let (from, to) = times.split_once('-').ok_or(MaintenanceError)?;
        let time = |text: &str| Time::strptime("%H:%M", text).map_err(|_| MaintenanceError);
        let zone = strtime::parse("%:z", zone).map_err(|_| MaintenanceError)?;
        let zone = zone.offset().ok_or(MaintenanceError)?;
        let (from, to) = (time(from)?, time(to)?);
        if from == to {
            return Err(MaintenanceError);
        }
        Ok(Self::Daily(from, to, zone))
    }
}

impl Maintenance {
    fn is_on(&self, now: Timestamp) -> bool {
        match self {
            Self::Once(from, to) => (*from..*to).contains(&now),
            Self::Daily(from, to, zone) => {
                let now = zone.to_datetime(now).time();
                if from < to {
                    (*from..*to).contains(&now)
                } else {
                    now >= *from || now < *to
                }
            }
        }
    }
}

impl Breaker {
    /// Of an acquirer with these times of maintenance, which is left alone after so many failures in a row; 0: never.
    #[must_use]
    pub fn new(maintenance: Vec<Maintenance>, failures_max: u32) -> Self {
        Self {
            maintenance,
            failures_max,
            state: Mutex::default(),
        }
    }

    /// Whether it can be asked now; else what an operator is told.
    ///
    /// # Errors
    /// [`Refusal::AcquirerMaintenance`], [`Refusal::AcquirerAway`].
    pub(crate) fn closed(&self, now: Instant, clock: Timestamp) -> Result<(), Refusal> {
        if self.maintenance.iter().any(|m| m.is_on(clock)) {
            return Err(Refusal::AcquirerMaintenance);
        }
        self.with(|state| match state.open_until {
            Some(until) if now < until && state.busy => Err(Refusal::AcquirerMaintenance),
            Some(until) if now < until => Err(Refusal::AcquirerAway),
            _ => Ok(()),
        })
    }

    /// Notes what came of an operation; true when it is left alone from now on.
    pub(crate) fn note(&self, outcome: &Outcome, now: Instant) -> bool {
        let busy = matches!(outcome, Outcome::NotCharged(Why::Busy));
        let failed = busy
            || matches!(
                outcome,
                Outcome::NotCharged(Why::NotSent)
                    | Outcome::Unknown(Doubt::NoReply | Doubt::Malformed)
                    | Outcome::Unknown(Doubt::Status { status: 500.. })
            );
        self.with(|state| {
            if !failed {
                *state = State::default();
                return false;
            }
            state.failures = state.failures.saturating_add(1);
            state.busy = busy;
            let opens = self.failures_max > 0 && state.failures >= self.failures_max;
            if opens {
                state.open_until = Some(now + OPEN);
            }
            opens
        })
    }

    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use ivrpay_payment::{Decline, Reason};

    use super::*;

    const AWAY: Outcome = Outcome::NotCharged(Why::NotSent);

    fn noon() -> Timestamp {
        "2026-11-26T12:00:00+09:00".parse().unwrap()
    }

    #[test]
    fn three_failures_leave_it_alone_and_one_answer_ends_that() {
        let (breaker, now) = (Breaker::new(Vec::new(), FAILURES), Instant::now());
        let refused = Outcome::Declined(Decline {
            reason: Reason::CardUnusable,
            code: "G12".into(),
            hard: false,
            action: None,
        });
        for outcome in [&AWAY, &AWAY, &refused, &AWAY, &AWAY] {
            assert!(!breaker.note(outcome, now), "not three in a row");
            assert_eq!(breaker.closed(now, noon()), Ok(()));
        }
        assert!(breaker.note(&Outcome::Unknown(Doubt::NoReply), now));
        assert_eq!(breaker.closed(now, noon()), Err(Refusal::AcquirerAway));
        // Half a minute later one tries, and fails: as long again.
        let later = now + OPEN;
        assert_eq!(breaker.closed(later, noon()), Ok(()));
        assert!(breaker.note(&Outcome::NotCharged(Why::Busy), later));
        assert_eq!(
            breaker.closed(later, noon()),
            Err(Refusal::AcquirerMaintenance)
        );
        assert!(!breaker.note(&refused, later));
        assert_eq!(breaker.closed(later, noon()), Ok(()));
    }

    #[test]
    fn what_is_no_failure_of_the_acquirer() {
        let (breaker, now) = (Breaker::new(Vec::new(), FAILURES), Instant::now());
        for outcome in [
            Outcome::NotCharged(Why::Rejected),
            Outcome::Unknown(Doubt::Mismatch),
            Outcome::Unknown(Doubt::Status { status: 404 }),
        ] {
            for _ in 0..5 {
                assert!(!breaker.note(&outcome, now), "{outcome:?}");
            }
        }
    }

    #[test]
    fn maintenance_is_once_or_daily() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (text, time, on) in [
            (
                "2026-12-01T02:00:00+09:00/2026-12-01T05:00:00+09:00",
                "2026-11-30T17:00:00Z",
                true,
            ),
            (
                "2026-12-01T02:00:00+09:00/2026-12-01T05:00:00+09:00",
                "2026-11-30T20:00:00Z",
                false,
            ),
            ("23:30-00:30 +09:00", "2026-11-26T23:30:00+09:00", true),
            ("23:30-00:30 +09:00", "2026-11-27T00:29:59+09:00", true),
            ("23:30-00:30 +09:00", "2026-11-27T00:30:00+09:00", false),
            ("02:00-04:00 +09:00", "2026-11-26T18:00:00Z", true),
            ("02:00-04:00 +09:00", "2026-11-26T12:00:00Z", false),
        ] {
            let maintenance: Maintenance = text.parse().unwrap();
            assert_eq!(maintenance.is_on(at(time)), on, "{text} at {time}");
        }
        for wrong in [
            "",
            "23:30",
            "23:30-00:30",
            "25:00-26:00 +09:00",
            "23:30-23:30 +09:00",
            "23:30-00:30 Asia/Tokyo",
            "2026-12-01T05:00:00+09:00/2026-12-01T02:00:00+09:00",
        ] {
            assert_eq!(
                wrong.parse::<Maintenance>(),
                Err(MaintenanceError),
                "{wrong}"
            );
        }
    }
}
