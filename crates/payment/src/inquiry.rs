//! When an acquirer is asked what became of an operation.

use std::time::Duration;

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

#[cfg(test)]
mod tests {
    use super::*;

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
