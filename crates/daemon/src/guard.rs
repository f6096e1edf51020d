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
        let last = *self
            .last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
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
        *self
            .last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some((Instant::now(), answer));
        answer
    }
}

/// A log channel with the level DTMF writes every key to a file (`DTMF begin … received on …`, main/channel.c).
pub(crate) fn verdict(channels: &[LogChannel]) -> Result<(), &'static str> {
    if channels.iter().any(writes_keys) {
        Err(
            "a log channel has the level DTMF (logger.conf: take `dtmf` and `*` out, then `logger reload`)",
        )
    } else {
        Ok(())
    }
}

/// `configuration` is a list of level names in capitals, with blanks between them.
fn writes_keys(channel: &LogChannel) -> bool {
    channel.status.eq_ignore_ascii_case("Enabled")
        && channel
            .configuration
            .split_whitespace()
            .any(|level| level.eq_ignore_ascii_case("DTMF"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(status: &str, levels: &str) -> LogChannel {
        LogChannel {
            channel: "/var/log/full".into(),
            kind: "File".into(),
            status: status.into(),
            configuration: levels.into(),
        }
    }

    #[test]
    fn a_log_of_keys_refuses_capture() {
        assert!(verdict(&[channel("Enabled", "NOTICE WARNING ERROR ")]).is_ok());
        assert!(
            verdict(&[
                channel("Enabled", "NOTICE "),
                channel("Enabled", "DEBUG NOTICE WARNING ERROR VERBOSE DTMF FAX ")
            ])
            .is_err()
        );
        assert!(verdict(&[channel("Disabled", "DTMF ")]).is_ok());
        assert!(verdict(&[]).is_ok());
    }
}
