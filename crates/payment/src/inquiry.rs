//! When an acquirer is asked what became of an operation.

use std::time::Duration;

use crate::{Outcome, Why, plant};

/// From one question to the next. The first three fall into the call or just behind it, while somebody waits; acquirers show an operation
/// within minutes, or after a disturbance of theirs.
const PAUSES_S: [u64; 5] = [5, 10, 45, 4 * 60, 25 * 60];
/// Behind these, each.
const LATER_S: u64 = 30 * 60;
/// Questions in all: a day. Then a person alone.
const TIMES: u32 = 52;

/// How long after the doubt, or after the last of `asked` questions, the next one is asked; `None` when a person has to.
#[must_use]
pub fn inquiry_pause(asked: u32) -> Option<Duration> {
    let nth = usize::try_from(asked).ok().filter(|_| asked < TIMES)?;
    let seconds = PAUSES_S.get(nth).copied().unwrap_or(LATER_S);
    Some(Duration::from_secs(seconds))
}

/// How long nobody can say that an operation was not charged, from its intent, milliseconds. The acquirer's own answer may still come
/// (connecting 60 s and the reply 2 min at most), and would find its operation settled; and what an acquirer shows lags behind.
const NOT_CHARGED_AFTER_MS: i64 = 10 * 60 * 1000;

/// From when on what was found out of an operation may be believed, UTC milliseconds, by when its intent was written; `None`: at once.
#[must_use]
pub fn believed_from_ms(found: &Outcome, intent_ms: i64) -> Option<i64> {
    match found {
        _ if plant::is("not-there-believed-at-once") => None,
        Outcome::NotCharged(Why::LookedUp | Why::NotArrived) => {
            Some(intent_ms.saturating_add(NOT_CHARGED_AFTER_MS))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "Not there" alone is waited with; whoever released it, or was refused, knows.
    #[test]
    fn not_there_is_believed_later() {
        let late = Some(1_000 + 600_000);
        for (why, from) in [
            (Why::LookedUp, late),
            (Why::NotArrived, late),
            (Why::Reversed, None),
            (Why::Rejected, None),
        ] {
            assert_eq!(believed_from_ms(&Outcome::NotCharged(why), 1_000), from);
        }
    }

    #[test]
    fn a_day_and_then_a_person() {
        let all: Vec<_> = (0..).map_while(inquiry_pause).collect();
        let sum = |n| all.iter().take(n).sum::<Duration>().as_secs();
        // 5 s, 15 s, 60 s, 5 min and 30 min from the doubt on.
        assert_eq!([1, 2, 3, 4, 5].map(sum), [5, 15, 60, 300, 1800]);
        let day = 24 * 3600;
        assert!(
            (day..day + 1800).contains(&sum(all.len())),
            "{}",
            sum(all.len())
        );
        assert_eq!(inquiry_pause(u32::MAX), None);
    }
}
