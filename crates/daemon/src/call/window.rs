//! The capture window: from the caller's entry to the tail behind the wiped card, in which no recorder of Asterisk hears him.
//!
//! Asterisk takes the caller's voice away in a framehook (`ast_channel_suppress`, main/channel.c), which stands before all that
//! records or listens: MixMonitor however it was begun, ChanSpy, snoops and recordings of other ARI applications, Monitor. Keys
//! come from the channel driver and pass. The recording runs on with silence: nothing to stop, nothing to begin again. The
//! dialplan's `ivrpay-pay` mutes with its first line and unmutes with its last; for a dialplan without it this file does both.

use std::time::{Duration, Instant};

use ivrpay_ari::{Direction, RequestError};
use ivrpay_journal::RecorderPause;

use super::{Call, GO_ON_TRIES, GO_ON_WAIT, Shared, operator};
use crate::events;
use crate::guard::{Danger, Legs};

/// Quiet that must pass behind the last key before the caller is heard again: who keys on has not noticed that it is over. Twice
/// the usual pause between two keys.
const TAIL_QUIET: Duration = Duration::from_secs(1);
/// Longest that a caller who does not stop keying is held back.
const TAIL_MAX: Duration = Duration::from_secs(5);

/// As the journal keeps it.
const EXTENSION_MAX: usize = 40;

/// Where MixMonitor leaves the name of its file. Set when it begins, not cleared when it ends.
pub(super) const MIXMONITOR_FILENAME: &str = "MIXMONITOR_FILENAME";

impl Call {
    /// Takes the caller's voice away, first of all: people speak numbers and key early. Where Asterisk refuses, nothing may be asked.
    pub(super) async fn close_window(&mut self) {
        let (client, channel) = (&self.shared.client, &self.about.channel_id);
        match client.mute(channel, Direction::In).await {
            Ok(()) => self.muted = true,
            Err(error) => events::ari_request_failed(&self.about, "mute", &error),
        }
        #[cfg(feature = "plant")]
        if ivrpay_secret::plant::is("recording") {
            drop(client.unmute(channel, Direction::In).await);
        }
        let file = client.get_variable(channel, MIXMONITOR_FILENAME).await;
        self.recorded = matches!(file, Ok(Some(file)) if !file.is_empty());
        if self.recorded {
            events::recorded(&self.about);
        }
    }

    /// Why nobody may be asked for a card, were it for recorders inside Asterisk.
    pub(super) fn window_is_closed(&self) -> Result<(), Danger> {
        if self.muted {
            Ok(())
        } else {
            Err(Danger::NotMuted)
        }
    }

    /// Pauses the recorders outside Asterisk; why nobody may be asked for a card where one of them does not say that it has.
    pub(super) async fn pause_recorders(&self) -> Result<(), Danger> {
        let (Some(seat), Some(tenant)) = (&self.seat, &self.about.tenant) else {
            return Ok(());
        };
        let call = RecorderPause {
            recorder: String::new(),
            call: self.about.call_id,
            channel: self.about.channel_id.as_str().to_owned(),
            sip_call_id: self.about.sip_call_id.clone(),
            caller: seat.caller.clone(),
            extension: seat.extension.clone().filter(|e| e.len() <= EXTENSION_MAX),
            tenant: tenant.clone(),
            paused_ms: 0,
        };
        self.shared.recorders.pause(&call).await
    }

    /// What could betray a card is looked at, of what came since `arrived`; supervisors who listen are taken off, where the tenant wants
    /// that, until the caller is given back.
    pub(super) async fn unheard_by_others(
        &mut self,
        arrived: Instant,
    ) -> Result<Vec<Danger>, Danger> {
        let Shared { guard, client, .. } = &*self.shared;
        let operator = self.operator.as_ref();
        let legs = Legs {
            operator: operator.map(|o| (&o.channel, o.name.as_str())),
            ..Legs::alone(&self.about.channel_id, &self.channel_name)
        };
        let window = self.listeners.get_or_insert_with(|| {
            let legs = [Some(legs.customer), legs.operator].into_iter().flatten();
            let legs = legs.map(|(id, name)| (id.clone(), name.to_owned()));
            self.shared
                .spies
                .open(client, self.about.call_id, legs.collect())
        });
        match guard.check(client, legs, arrived).await {
            Err(Danger::Spy) if self.detaches => {
                window.take_off().await?;
                guard.check(client, legs, Instant::now()).await
            }
            found => found,
        }
    }

    /// Lets them run again, without waiting for it.
    pub(super) fn resume_recorders(&mut self) {
        if self.seat.take().is_some() {
            self.shared.recorders.resume(self.about.call_id);
        }
    }

    /// While nothing is played to a caller who is muted, MixMonitor has nothing to write, and its recording would lose that time.
    pub(super) fn wants_silence(&self) -> bool {
        self.recorded && !self.silent && !self.gone && self.playback.is_none()
    }

    pub(super) async fn send_silence(&mut self) {
        self.silent = true;
        if let Err(error) = self.shared.client.silence(&self.about.channel_id).await {
            events::ari_request_failed(&self.about, "silence", &error);
        }
    }

    /// Waits until whoever keys has stopped, with the caller's voice still away (where he keys) and the keys taken and dropped.
    pub(super) async fn tail(&mut self) {
        let limit = Instant::now() + TAIL_MAX;
        while let Some(last) = self.last_key
            && !self.gone
            && !self.overflowed
        {
            let until = (last + TAIL_QUIET).min(limit);
            if until <= Instant::now() {
                return;
            }
            tokio::select! {
                event = self.inbox.recv() => drop(self.input(event)),
                event = operator::event(&mut self.operator) => self.whispered(event),
                () = tokio::time::sleep_until(until.into()) => {}
            }
        }
    }

    /// Gives the voice back, and asks again where Asterisk did not take that: nobody talks to a caller who can't be heard.
    pub(super) async fn open_window(&mut self) {
        let mut wait = GO_ON_WAIT;
        for tries_left in (0..GO_ON_TRIES).rev() {
            let (client, channel) = (&self.shared.client, &self.about.channel_id);
            match client.unmute(channel, Direction::In).await {
                Ok(()) | Err(RequestError::Gone | RequestError::NotInStasis) => return,
                Err(error) => events::not_unmuted(channel, &error, tries_left),
            }
            if tries_left > 0 {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
        }
    }
}
