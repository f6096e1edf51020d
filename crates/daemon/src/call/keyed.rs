//! An operator keys the card that his customer says, in a talk that nobody may record or hear.
//!
//! Both stay in one bridge of ours, which absorbs the keys of both; the operator's are the dialogue's, and it speaks to him. The customer
//! is muted until every recorder is known to be off: from then on a voice that is heard could be recorded, so what could betray it is
//! asked for again and again. PCI DSS: this brings the operator's telephone, desk and network into scope (`docs/pci.md`).

use std::time::{Duration, Instant};

use ivrpay_ari::CallEvent;
use ivrpay_dialogue::{Command, Input, Prompt, keyed};
use ivrpay_journal::EnteredBy;
use tokio::time::{Interval, MissedTickBehavior};

use super::Call;
use super::window::MIXMONITOR_FILENAME;
use crate::events;
use crate::guard::{Danger, Legs};

/// How often it is looked whether somebody began to record or to listen.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Set by recorders of Asterisk on the channel that they record: MixMonitor, and Monitor (before Asterisk 21). The dialplan takes them away
/// when it has stopped those (`ivrpay-unrecorded`).
const RECORDED_BY: [&str; 2] = [MIXMONITOR_FILENAME, "MONITORED"];

/// The talk of the two.
pub(super) struct Talk {
    /// Nothing where it was ended for what was found.
    look: Option<Interval>,
    /// The operator hung up, and the dialogue has not been told.
    left: bool,
}

/// What happens beside the events of the two legs.
pub(super) enum Happens {
    Left,
    Look,
}

/// Never ready where there is no such talk, or where it has been ended.
pub(super) async fn happens(talk: &mut Option<Talk>) -> Happens {
    match talk {
        Some(talk) if talk.left => {
            talk.left = false;
            Happens::Left
        }
        Some(Talk {
            look: Some(look), ..
        }) => {
            look.tick().await;
            Happens::Look
        }
        _ => std::future::pending().await,
    }
}

impl Talk {
    fn begins() -> Self {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.reset();
        Self {
            look: Some(look),
            left: false,
        }
    }
}

impl Call {
    /// Whether the operator keys the card.
    pub(super) fn operator_keys(&self) -> bool {
        self.about.entered_by == EnteredBy::Operator
    }

    /// Whether the dialogue speaks to the customer, and goes on when he has heard it: where the operator keys, only when he is gone.
    pub(super) fn is_led_by_customer(&self) -> bool {
        !self.operator_keys() || self.operator.as_ref().is_none_or(|operator| operator.gone)
    }

    /// Lets the two talk, when nothing records or hears either of them.
    pub(super) async fn begin_talk(&mut self) -> Result<Vec<Danger>, Danger> {
        let excepted = self.unrecorded().await?;
        self.open_window().await;
        self.muted = false;
        self.talk = Some(Talk::begins());
        Ok(excepted)
    }

    /// Why the two may not talk. Somebody may answer for dangers, but not for one who listens: he would hear the number.
    async fn unrecorded(&self) -> Result<Vec<Danger>, Danger> {
        let operator = self.operator.as_ref().filter(|operator| !operator.gone);
        let operator = operator.ok_or(Danger::NotKnown)?;
        let (client, now) = (&self.shared.client, Instant::now());
        let mut excepted = Vec::new();
        for (channel, name) in [
            (&self.about.channel_id, &self.channel_name),
            (&operator.channel, &operator.name),
        ] {
            for variable in RECORDED_BY {
                let set = client.get_variable(channel, variable).await;
                if set
                    .map_err(|_| Danger::NotKnown)?
                    .is_some_and(|value| !value.is_empty())
                {
                    return Err(Danger::Recorder);
                }
            }
            let legs = Legs::alone(channel, name);
            excepted.extend(self.shared.guard.check(client, legs, now).await?);
        }
        if excepted.contains(&Danger::Spy) {
            return Err(Danger::Spy);
        }
        excepted.sort_unstable();
        excepted.dedup();
        Ok(excepted)
    }

    /// Says something to the operator, and what both should hear to both. Whether its end will be told.
    pub(super) async fn play_to_operator(&mut self, prompt: &Prompt) -> bool {
        if keyed::is_for_both(prompt) {
            self.play_to_customer(prompt).await;
        }
        self.say_to_operator(prompt).await;
        self.operator
            .as_ref()
            .is_some_and(|operator| operator.playback.is_some())
    }

    /// What happened on the leg of an operator who keys, as something for the dialogue.
    pub(super) fn keyer_event(&mut self, event: Option<CallEvent>) -> Option<Input> {
        let operator = self.operator.as_mut()?;
        match event {
            Some(CallEvent::KeyWaiting { arrived, lasted }) => {
                let key = operator.inbox.take_key()?;
                if self.last_key.is_none() && operator.is_pay_key_again(key) {
                    return None;
                }
                self.key_arrived = Some(arrived);
                self.last_key = Some(arrived);
                Some(Input::Key(key, lasted))
            }
            Some(CallEvent::PlaybackFinished { id, .. }) => operator
                .playback
                .take_if(|playing| *playing == id)
                .map(|_| Input::PromptEnded),
            Some(CallEvent::KeysLost) => {
                events::keys_lost(&self.about);
                Some(Input::KeysLost)
            }
            Some(event) if !event.is_end() => None,
            _ => {
                operator.gone = true;
                events::operator_gone(&self.about);
                if let Some(talk) = &mut self.talk {
                    talk.left = true;
                }
                // What the customer hears as well ends with him; of the rest nobody tells the end any more.
                let lost = operator.playback.take().is_some() && self.playback.is_none();
                lost.then_some(Input::PromptEnded)
            }
        }
    }

    /// Nobody keys any more, or somebody may hear the two: it ends, before anything is sent.
    pub(super) async fn talk_event(&mut self, happens: Happens) -> Option<Input> {
        if let Happens::Look = happens {
            if self.is_led_by_customer() || self.gone {
                return None;
            }
            let danger = self.unrecorded().await.err()?;
            self.shared.events.capture_refused(&self.about, danger);
            self.danger = Some(danger);
            self.talk.as_mut()?.look = None;
        }
        Some(Input::Command(Command::Cancel))
    }
}
