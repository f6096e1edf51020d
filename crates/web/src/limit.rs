//! How often a key may ask.
//!
//! A bucket of as many requests as a minute has, that fills evenly: who was quiet may ask all of them at once. Kept as one number a key: when
//! the bucket would be full again (the "theoretical arrival time" of the generic cell rate algorithm), so that nothing has to be counted
//! while nobody asks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

use crate::error::whole_seconds;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const WINDOW: Duration = Duration::from_secs(60);
/// Buckets that are kept before those that are full are let go of: there is one for each address that has tried to sign in.
const BUCKETS_MAX: usize = 20_000;

/// Since any moment that stays the same.
pub type Steady = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The buckets of all keys.
#[derive(Clone)]
pub struct Limits {
    now: Steady,
    full_at: Arc<Mutex<HashMap<String, Duration>>>,
}

/// What is left of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    per_minute: u32,
    requests: u32,
    full_in: Duration,
}

impl Limits {
    /// By this clock.
    #[must_use]
    pub fn new(now: Steady) -> Self {
        Self {
            now,
            full_at: Arc::default(),
        }
    }

    /// Takes one request out of a key's bucket; `Err`: it is empty, and this long there is none.
    pub(crate) fn take(&self, key: &str, per_minute: u32) -> Result<Left, Duration> {
        let now = (self.now)();
        let each = WINDOW / per_minute.max(1);
        let mut all = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= BUCKETS_MAX {
            // One that is full again is as one that is not there.
            all.retain(|_, full_at| *full_at > now);
        }
        let full_at = all.entry(key.to_owned()).or_default();
        let missing = full_at.saturating_sub(now);
        // One more would be more than it holds.
        if let Some(wait) = (missing + each)
            .checked_sub(WINDOW)
            .filter(|w| !w.is_zero())
        {
            return Err(wait);
        }
        let full_in = missing + each;
        *full_at = now + full_in;
        let requests = (WINDOW - full_in).as_nanos() / each.as_nanos().max(1);
        Ok(Left {
            per_minute,
            requests: requests.try_into().unwrap_or(u32::MAX),
            full_in,
        })
    }
}

impl Left {
    /// Nothing.
    pub(crate) const fn none(per_minute: u32) -> Self {
        Self {
            per_minute,
            requests: 0,
            full_in: WINDOW,
        }
    }

    /// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): quota and window, then what is left and when it is whole.
    pub(crate) fn tell(self, response: &mut Response) {
        let policy = format!("\"key\";q={};w={}", self.per_minute, WINDOW.as_secs());
        let left = format!(
            "\"key\";r={};t={}",
            self.requests,
            whole_seconds(self.full_in)
        );
        for (name, value) in [(POLICY, policy), (LIMIT, left)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_evenly() {
        let ms = Arc::new(AtomicU64::new(5_000));
        let clock = Arc::clone(&ms);
        let limits = Limits::new(Arc::new(move || {
            Duration::from_millis(clock.load(Ordering::Relaxed))
        }));
        let take = |key: &str| limits.take(key, 60).map(|left| left.requests);
        for left in (0..60).rev() {
            assert_eq!(take("a"), Ok(left));
        }
        assert_eq!(take("a"), Err(Duration::from_secs(1)));
        // Another's is full.
        assert_eq!(take("b"), Ok(59));
        // To be refused costs nothing.
        ms.fetch_add(999, Ordering::Relaxed);
        assert_eq!(take("a"), Err(Duration::from_millis(1)));
        ms.fetch_add(1, Ordering::Relaxed);
        assert_eq!(take("a"), Ok(0));
        assert_eq!(take("a"), Err(Duration::from_secs(1)));
        // An hour does not make more of it than it holds.
        ms.fetch_add(3_600_000, Ordering::Relaxed);
        assert_eq!(take("a"), Ok(59));
        let told = |per_minute, asked| {
            let mut response = Response::default();
            for _ in 0..asked {
                limits.take("c", per_minute).unwrap().tell(&mut response);
            }
            let text = |name| response.headers()[name].to_str().unwrap().to_owned();
            (text("ratelimit-policy"), text("ratelimit"))
        };
        let expected = ("\"key\";q=7;w=60".to_owned(), "\"key\";r=4;t=26".to_owned());
        assert_eq!(told(7, 3), expected);
    }
}
