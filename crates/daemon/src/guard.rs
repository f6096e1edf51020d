//! Whether Asterisk would betray a card: asked before every capture, the answer kept for a short, named time.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use ivrpay_ari::{Client, LogChannel};

/// How long an answer of Asterisk stands. A log channel that is switched on in between is seen by the next call.
pub(crate) const ANSWER_KEPT: Duration = Duration::from_secs(5);

/// Asks Asterisk what it logs.
#[derive(Default)]
pub(crate) struct Guard {
    last: Mutex<Option<(Instant, Result<(), &'static str>)>>,
}

impl Guard {
    /// # Errors
    /// Why no card may be keyed now, in words for an admin.
    pub(crate) async fn check(&self, client: &Client) -> Result<(), &'static str> {
        let last = *self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((asked, answer)) = last
            && asked.elapsed() < ANSWER_KEPT
        {
            return answer;
        }
        let answer = match client.logging().await {
            Ok(channels) => verdict(&channels),
            // Not knowing is not safe. The answer is not kept: the next call asks anew.
            Err(_) => return Err("Asterisk does not say what it logs"),
        };
        *self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((Instant::now(), answer));
        answer
    }
}

/// A log channel with the level DTMF writes every key to a file (`DTMF begin … received on …`, main/channel.c).
pub(crate) fn verdict(channels: &[LogChannel]) -> Result<(), &'static str> {
    if channels.iter().any(LogChannel::logs_keys) {
        Err("a log channel has the level DTMF (logger.conf: take `dtmf` and `*` out, then `logger reload`)")
    } else {
        Ok(())
    }
}
