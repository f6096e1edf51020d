//! An operator's key says that a card was spoken or keyed while the call was recorded: `Stasis(ivrpay,mark=CHANNEL,operator=WHO)`.
//!
//! The recording still runs, and belongs to Asterisk's user: it is marked, with a task for its owner. `ivrpay recording quarantine`
//! moves it.

use std::time::Duration;

use ivrpay_ari::{ChannelId, Client};
use ivrpay_journal::{Journal, NewRecording, RecordingError};
use ivrpay_payment::OperatorId;
use ivrpay_web::Quarantine;

use crate::events;

/// The argument that makes a channel a mark, and no call.
const MARK: &str = "mark=";
const OPERATOR: &str = "operator=";
/// Set to 1 on the mark's own channel: then the operator hears a beep.
pub(crate) const MARKED: &str = "IVRPAY_MARKED";
/// Longest name of a person in the journal.
const BY_MAX: usize = 64;
/// Where MixMonitor leaves the name of its file.
const MIXMONITOR_FILENAME: &str = "MIXMONITOR_FILENAME";
const REASON: &str = "marked by the operator's key during the call";

/// What a mark says.
pub(crate) struct Mark {
    channel: ChannelId,
    by: String,
}

impl Mark {
    /// `None` for a call.
    pub(crate) fn of(args: &[String]) -> Option<Self> {
        let value = |key| args.iter().find_map(|arg| arg.trim().strip_prefix(key));
        let channel = ChannelId::new(value(MARK)?).ok()?;
        let who = value(OPERATOR).unwrap_or_default();
        // `201-0000002a` of PJSIP/201-0000002a: the endpoint, and a number of the call.
        let who = match who.rsplit_once('-') {
            Some((endpoint, call))
                if call.len() == 8 && call.bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                endpoint
            }
            _ => who,
        };
        let who = if who.is_empty() { "an operator" } else { who };
        Some(Self {
            channel,
            by: who.chars().take(BY_MAX).collect(),
        })
    }

    /// Keeps which recording it is about; whether it is in the journal.
    pub(crate) async fn keep(
        self,
        client: &Client,
        journal: &Journal,
        quarantine: &Quarantine,
    ) -> bool {
        let file = match client
            .get_variable(&self.channel, MIXMONITOR_FILENAME)
            .await
        {
            Ok(Some(file)) if !file.is_empty() => file,
            Ok(_) => {
                events::nothing_to_mark(&self.channel, None);
                return false;
            }
            Err(error) => {
                events::nothing_to_mark(&self.channel, Some(&error));
                return false;
            }
        };
        let new = NewRecording {
            origin: file,
            file: None,
            call: Some(self.channel.as_str().to_owned()),
            by: self.by,
            reason: REASON.to_owned(),
        };
        let due_ms = quarantine.due(jiff::Timestamp::now().as_millisecond());
        let owner: Option<OperatorId> = quarantine.owner.clone();
        match journal.quarantine(new, owner, due_ms).await {
            Ok(recording) => {
                events::recording_marked(recording.id, &self.channel);
                return true;
            }
            Err(RecordingError::Journal(error)) => events::journal_failed(None, "mark", &error),
            Err(_) => events::nothing_to_mark(&self.channel, None),
        }
        false
    }
}

/// By when a recording has to be deleted or redacted, where the configuration does not say.
pub(crate) const DUE: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_told_from_a_call() {
        let of = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
            Mark::of(&args).map(|mark| (mark.channel.as_str().to_owned(), mark.by))
        };
        let mark = |channel: &str, by: &str| Some((channel.to_owned(), by.to_owned()));
        assert_eq!(of(&["tenant=demo", "order=1"]), None);
        assert_eq!(of(&["mark=", "operator=201"]), None);
        assert_eq!(
            of(&["mark=1795661748.2", "operator=201-0000002a"]),
            mark("1795661748.2", "201")
        );
        assert_eq!(
            of(&["mark=1.2", "operator=front-desk"]),
            mark("1.2", "front-desk")
        );
        assert_eq!(of(&["mark=1.2", "operator="]), mark("1.2", "an operator"));
    }
}
