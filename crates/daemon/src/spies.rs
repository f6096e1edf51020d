//! Supervisors who listen to a call (ChanSpy, ExtenSpy): taken off for its capture, told so, and put back behind it.
//!
//! The dialplan (`ivrpay-spy`) sends a listener into Stasis, and from there back into the same application. He waits until no capture is on to
//! which he would listen: one who listens to many may be wanted off by more than one call. Without us he comes back by the dialplan's time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use ivrpay_ari::{Channel, ChannelId, Client, PlaybackId, Start};
use ivrpay_dialogue::{Line, Prompt};
use ivrpay_payment::CallId;
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::arguments::values;
use crate::guard::{Danger, can_be_taken_off, listens};
use crate::{call, events, paykey, spoken};

/// Context of the dialplan.
pub(crate) const CONTEXT: &str = "ivrpay-spy";
/// Listeners of one call who are taken off; nobody has more supervisors than that.
const LISTENERS_MAX: usize = 8;
/// How long one may take to come to us: milliseconds (measured), and time for a busy machine.
const ARRIVAL_MAX: Duration = Duration::from_secs(3);
const ARRIVAL_SECONDS: u32 = 3;

/// What becomes of a supervisor who listens: `spy` of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// No capture while he does.
    #[default]
    Refuse,
    /// He is taken off for it.
    Detach,
}

/// Captures that are on, and who was taken off for them.
#[derive(Clone, Default)]
pub(crate) struct Spies(Arc<Mutex<Now>>);

#[derive(Default)]
struct Now {
    /// By the call: id and name of each leg to which nobody may listen.
    windows: HashMap<CallId, Vec<(ChannelId, String)>>,
    /// Listeners who are on their way to us, by their token.
    coming: HashMap<String, oneshot::Sender<Start>>,
    off: Vec<Off>,
}

/// Somebody who was taken off.
struct Off {
    /// As he listened.
    listener: Channel,
    /// As he is here.
    here: Start,
}

/// A capture's time; dropping it ends it.
pub(crate) struct Window {
    call: CallId,
    client: Client,
    all: Spies,
}

/// The token of a listener who was sent here; `None`: a channel that came for something else.
pub(crate) fn token(args: &[String]) -> Option<&str> {
    values(args, "spy").next()
}

impl Spies {
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A capture begins on these legs: nobody is put back who would listen to one of them.
    pub(crate) fn open(
        &self,
        client: &Client,
        call: CallId,
        legs: Vec<(ChannelId, String)>,
    ) -> Window {
        self.lock().windows.insert(call, legs);
        Window {
            call,
            client: client.clone(),
            all: self.clone(),
        }
    }

    /// Hands a listener who came to whoever waits for him.
    ///
    /// # Errors
    /// Nobody does any more: give him back.
    pub(crate) fn arrived(&self, token: &str, start: Start) -> Result<(), Box<Start>> {
        match self.lock().coming.remove(token) {
            Some(waits) => waits.send(start).map_err(Box::new),
            None => Err(Box::new(start)),
        }
    }
}

impl Window {
    /// Takes off whoever listens to one of the legs. Who is still there behind it, another look at Asterisk tells.
    ///
    /// # Errors
    /// What Asterisk did not answer, or a listener who can't be taken off.
    pub(crate) async fn take_off(&self) -> Result<(), Danger> {
        let channels = self.client.channels().await;
        let channels = channels.map_err(|_| Danger::NotKnown)?;
        let listeners: Vec<Channel> = {
            let now = self.all.lock();
            let legs = now.windows.get(&self.call).map(Vec::as_slice);
            channels
                .into_iter()
                .filter(|spy| hears(spy, legs.unwrap_or_default()))
                .collect()
        };
        if listeners.len() > LISTENERS_MAX || !listeners.iter().all(can_be_taken_off) {
            return Err(Danger::Spy);
        }
        join_all(listeners.into_iter().map(|one| self.take_one_off(one))).await;
        Ok(())
    }

    async fn take_one_off(&self, listener: Channel) {
        let token = uuid::Uuid::new_v4().simple().to_string();
        let (sender, comes) = oneshot::channel();
        self.all.lock().coming.insert(token.clone(), sender);
        let place = &listener.dialplan;
        let at = format!("{},{},{}", place.context, place.exten, place.priority);
        let runs = format!("{}({})", place.app_name, place.app_data);
        let variables = [
            ("IVRPAY_SPY", listener.name.as_str()),
            ("IVRPAY_SPY_AT", &at),
            ("IVRPAY_SPY_RUNS", &runs),
            ("IVRPAY_SPY_TOKEN", &token),
        ];
        let client = &self.client;
        let sent = client.run_dialplan(CONTEXT, "off", variables.into(), ARRIVAL_SECONDS);
        let here = match sent.await {
            Ok(()) => tokio::time::timeout(ARRIVAL_MAX, comes).await,
            Err(error) => {
                events::listener_stays(&listener.id, Some(&error));
                self.all.lock().coming.remove(&token);
                return;
            }
        };
        let Ok(Ok(here)) = here else {
            // Gone, or he comes when nobody waits for him, and goes back.
            self.all.lock().coming.remove(&token);
            events::listener_stays(&listener.id, None);
            return;
        };
        events::listener_off(&here.channel.id, self.call);
        let (channel, language) = (here.channel.id.clone(), here.channel.language.clone());
        self.all.lock().off.push(Off { listener, here });
        if let Ok(id) = PlaybackId::new(&format!("ivrpay-{token}")) {
            let told = Prompt::from(Line::MonitorPaused);
            drop(spoken::play(client, &channel, &id, &told, paykey::spoken(&language)).await);
        }
        // Behind the words: Asterisk does one after the other.
        drop(client.start_music(&channel).await);
    }

    /// The capture is over: puts back whoever no other capture wants off.
    pub(crate) async fn close(self) {
        let back = self.end();
        let client = self.client.clone();
        join_all(back.into_iter().map(|off| put_back(client.clone(), off))).await;
    }

    fn end(&self) -> Vec<Off> {
        self.all.lock().end(self.call)
    }
}

impl Now {
    /// A capture is over; who can be put back now.
    fn end(&mut self, call: CallId) -> Vec<Off> {
        self.windows.remove(&call);
        let Self { windows, off, .. } = self;
        let wanted_off = |off: &Off| windows.values().any(|legs| hears(&off.listener, legs));
        off.extract_if(.., |off| !wanted_off(off)).collect()
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        for off in self.end() {
            tokio::spawn(put_back(self.client.clone(), off));
        }
    }
}

fn hears(spy: &Channel, legs: &[(ChannelId, String)]) -> bool {
    legs.iter().any(|(id, name)| listens(spy, id, name))
}

async fn put_back(client: Client, off: Off) {
    let channel = &off.here.channel.id;
    drop(client.stop_music(channel).await);
    call::go_on(&client, channel).await;
    events::listener_back(channel);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn off(name: &str, data: &str) -> Off {
        let listener = serde_json::json!({"id": name, "name": name, "state": "Up",
            "dialplan": {"context": "x", "exten": "66", "priority": 2, "app_name": "ChanSpy", "app_data": data}});
        let (_, inbox) = ivrpay_ari::pair(4, 4).unwrap();
        let listener: Channel = serde_json::from_value(listener).unwrap();
        let here = Start {
            channel: listener.clone(),
            args: Vec::new(),
            replaced: None,
            inbox,
            arrived: std::time::Instant::now(),
        };
        Off { listener, here }
    }

    fn legs(names: &[&str]) -> Vec<(ChannelId, String)> {
        let leg = |name: &&str| (ChannelId::new(name).unwrap(), (*name).to_owned());
        names.iter().map(leg).collect()
    }

    #[test]
    fn nobody_is_put_back_onto_another_capture() {
        let (one, two) = (
            CallId::new(uuid::Uuid::now_v7()),
            CallId::new(uuid::Uuid::now_v7()),
        );
        let mut now = Now::default();
        now.windows
            .insert(one, legs(&["PJSIP/trunk-1", "PJSIP/201-2"]));
        now.windows
            .insert(two, legs(&["PJSIP/trunk-3", "PJSIP/202-4"]));
        now.off.push(off("PJSIP/301-5", "PJSIP/201,q"));
        now.off.push(off("PJSIP/302-6", "PJSIP/20,q"));
        let names = |off: Vec<Off>| -> Vec<String> {
            off.into_iter().map(|off| off.listener.name).collect()
        };
        assert_eq!(names(now.end(one)), ["PJSIP/301-5"]);
        assert_eq!(names(now.end(two)), ["PJSIP/302-6"]);
        assert!(now.off.is_empty() && now.windows.is_empty());
        assert!(now.end(one).is_empty());
    }

    #[test]
    fn a_listener_comes_once_and_to_whoever_sent_for_him() {
        let spies = Spies::default();
        let (sender, mut comes) = oneshot::channel();
        spies.lock().coming.insert("t".into(), sender);
        let here = || off("PJSIP/301-5", "PJSIP/201").here;
        assert!(spies.arrived("another", here()).is_err());
        assert!(spies.arrived("t", here()).is_ok());
        assert_eq!(comes.try_recv().unwrap().channel.name, "PJSIP/301-5");
        assert!(spies.arrived("t", here()).is_err());
        let args = ["spy=t".to_owned()];
        assert_eq!(token(&args), Some("t"));
        assert_eq!(token(&["tenant=spy".to_owned()]), None);
    }
}
