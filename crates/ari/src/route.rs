//! Sends what the socket brings to the call that it belongs to.
//!
//! No input or output of its own, and nothing here waits: a full queue ends that call ([`CallEvent::Overflow`]), a full list of new
//! calls refuses that call ([`Refusal`]). The reader makes a call's queue when the channel enters, so no early event is lost.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ivrpay_secret::{Full, Key, KeyRing};
use tokio::sync::mpsc;

use crate::{
    config::Config,
    event::{self, Channel, Event},
    ids::{ChannelId, PlaybackId},
};

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallEvent {
    /// One key can be taken with [`Inbox::take_key`]. Exactly one such event is sent for a key.
    KeyWaiting {
        /// When it was read off the socket.
        arrived: Instant,
        /// How long it was held; zero where Asterisk doesn't know.
        lasted: Duration,
    },
    /// A playback on this channel ended: played to its end, stopped, or failed.
    PlaybackFinished {
        /// Which.
        id: PlaybackId,
        /// It could not be played (to its end).
        failed: bool,
    },
    /// The caller hung up.
    HangupRequest,
    /// The channel left our application.
    StasisEnd,
    /// The channel is no more.
    Destroyed {
        /// Cause (ITU-T Q.850).
        cause: u32,
    },
    /// Keys may have been lost: what is being entered has to start again.
    KeysLost,
    /// The event socket is away: keys pressed from now on are lost. Requests may still work.
    SocketLost,
    /// The event socket is back and the channel still ours. [`CallEvent::KeysLost`] came before it.
    SocketBack,
    /// The channel went away, or left us, while the socket was away.
    Gone,
    /// Events came faster than they were read; nothing comes any more. End the call.
    Overflow,
}

impl CallEvent {
    /// The channel is going, gone, or no more ours to hear of.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        matches!(
            self,
            Self::HangupRequest
                | Self::StasisEnd
                | Self::Destroyed { .. }
                | Self::Gone
                | Self::Overflow
        )
    }
}

/// A channel entered.
pub struct Start {
    /// The channel.
    pub channel: Channel,
    /// Arguments of `Stasis()` after the application's name.
    pub args: Vec<String>,
    /// The channel whose place it took by an attended transfer; that one has left.
    pub replaced: Option<Channel>,
    /// Its events and keys.
    pub inbox: Inbox,
    /// When the event was read.
    pub arrived: Instant,
}

/// A channel entered and was not taken: give it back to the dialplan with a result.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The channel.
    pub channel: ChannelId,
    /// Why.
    pub why: Why,
}

/// Why a channel was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// No secret memory is free for its keys.
    NoMemory,
    /// New calls come faster than they are taken.
    Busy,
}

/// The receiving end of a call.
pub struct Inbox {
    events: mpsc::Receiver<CallEvent>,
    keys: Arc<KeyRing>,
    overflow: Arc<AtomicBool>,
    over: bool,
}

impl Inbox {
    /// The next event; `None` once the channel left or is no more. Cancel-safe.
    pub async fn recv(&mut self) -> Option<CallEvent> {
        let event = self.events.recv().await;
        self.after(event)
    }

    /// The next event, if there is one.
    pub fn try_recv(&mut self) -> Option<CallEvent> {
        let event = self.events.try_recv().ok();
        self.after(event)
    }

    /// The oldest key, once for each [`CallEvent::KeyWaiting`].
    pub fn take_key(&self) -> Option<Key> {
        let key = self.keys.pop().and_then(Key::from_byte);
        #[cfg(feature = "plant")]
        if let Some(key) = key {
            ivrpay_secret::plant::key(key);
        }
        key
    }

    fn after(&mut self, event: Option<CallEvent>) -> Option<CallEvent> {
        if self.over {
            return None;
        }
        if self.overflow.load(Ordering::Acquire) {
            self.over = true;
            self.events.close();
            self.keys.clear();
            return Some(CallEvent::Overflow);
        }
        event
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.events.close();
        self.keys.clear();
    }
}

/// The sending end of a call. Public for simulated Asterisks.
pub struct Outlet {
    events: mpsc::Sender<CallEvent>,
    keys: Arc<KeyRing>,
    overflow: Arc<AtomicBool>,
}

/// Makes both ends of a call's queue.
///
/// # Errors
/// [`Full`]: no secret memory for the keys.
pub fn pair(events_max: usize, keys_max: usize) -> Result<(Outlet, Inbox), Full> {
    let keys = Arc::new(KeyRing::take(keys_max)?);
    let overflow = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel(events_max.max(1));
    let outlet = Outlet {
        events: sender,
        keys: Arc::clone(&keys),
        overflow: Arc::clone(&overflow),
    };
    Ok((
        outlet,
        Inbox {
            events: receiver,
            keys,
            overflow,
            over: false,
        },
    ))
}

impl Outlet {
    /// Sends an event. False when nobody reads any more, or the queue ran over: then drop this end.
    pub fn send(&self, event: CallEvent) -> bool {
        match self.events.try_send(event) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.overflow.store(true, Ordering::Release);
                self.keys.clear();
                false
            }
        }
    }

    /// Sends a key (its byte as Asterisk sends it), or says that one was lost.
    pub fn send_key(&self, key: Option<u8>, arrived: Instant, lasted: Duration) -> bool {
        if self.events.is_closed() {
            return false;
        }
        match key {
            Some(key) if self.keys.push(key).is_ok() => {
                self.send(CallEvent::KeyWaiting { arrived, lasted })
            }
            _ => self.send(CallEvent::KeysLost),
        }
    }
}

/// What was counted since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages read.
    pub messages: AtomicU64,
    /// Messages that could not be read.
    pub malformed: AtomicU64,
    /// Messages of types that we don't use.
    pub unknown: AtomicU64,
    /// Events of channels that are not (any more) ours.
    pub unrouted: AtomicU64,
    /// Key events.
    pub keys: AtomicU64,
    /// Times that a call was told [`CallEvent::KeysLost`].
    pub keys_lost: AtomicU64,
    /// Calls ended by a full queue.
    pub overflows: AtomicU64,
    /// Starts and keys that came twice, and counted once.
    pub repeated: AtomicU64,
    /// Channels refused.
    pub refused: AtomicU64,
    /// Channels of an earlier life given back to the dialplan.
    pub orphans: AtomicU64,
    /// Times that the socket was opened.
    pub connects: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

struct Route {
    outlet: Outlet,
    /// Connection during which it began.
    connection: u32,
    /// Asterisk's time of its start, and of the last key: the same event twice is one.
    started: Option<String>,
    last_key: Option<String>,
}

/// What the reader has to do after a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    /// Nobody can be told about this refused channel: give it back at once.
    GiveBack(ChannelId),
    Replaced,
}

/// All calls of one application.
pub(crate) struct Router {
    routes: HashMap<ChannelId, Route>,
    starts: mpsc::Sender<Start>,
    refusals: mpsc::Sender<Refusal>,
    counters: Arc<Counters>,
    events_max: usize,
    keys_max: usize,
    app: String,
    connection: u32,
}

impl Router {
    pub(crate) fn new(
        config: &Config,
        starts: mpsc::Sender<Start>,
        refusals: mpsc::Sender<Refusal>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            routes: HashMap::new(),
            starts,
            refusals,
            counters,
            events_max: config.call_events_max,
            keys_max: config.call_keys_max,
            app: config.app.clone(),
            connection: 0,
        }
    }

    /// One message, and the key that the redactor took out of it.
    pub(crate) fn handle_message(&mut self, text: &str, key: Option<u8>, arrived: Instant) -> Then {
        count(&self.counters.messages);
        let event = match event::read(text) {
            Ok(Some(event)) => event,
            Ok(None) => {
                count(&self.counters.unknown);
                return Then::Nothing;
            }
            Err(malformed) => {
                self.handle_malformed(malformed.was_key || key.is_some());
                return Then::Nothing;
            }
        };
        match event {
            Event::StasisStart {
                channel,
                args,
                replaced,
            } => {
                let stamp = event::stamp(text).map(Cow::into_owned);
                let known = self.routes.get(channel.id.as_str());
                if known.is_some_and(|known| stamp.is_some() && known.started == stamp) {
                    count(&self.counters.repeated);
                    return Then::Nothing;
                }
                return self.handle_start(*channel, args, replaced.map(|r| *r), arrived, stamp);
            }
            Event::ApplicationReplaced => return Then::Replaced,
            Event::DtmfReceived {
                channel,
                duration_ms,
            } => {
                let stamp = event::stamp(text).map(Cow::into_owned);
                if let Some(route) = self.routes.get_mut(channel.as_ref())
                    && stamp.is_some()
                {
                    if route.last_key == stamp {
                        // No two keys of a telephone end in the same millisecond.
                        count(&self.counters.repeated);
                        return Then::Nothing;
                    }
                    route.last_key = stamp;
                }
                count(&self.counters.keys);
                if key.is_none() {
                    count(&self.counters.keys_lost);
                }
                let lasted = Duration::from_millis(duration_ms.into());
                self.with(&channel, |outlet| outlet.send_key(key, arrived, lasted));
            }
            Event::HangupRequest { channel } => {
                self.with(&channel, |outlet| outlet.send(CallEvent::HangupRequest))
            }
            Event::PlaybackFinished(playback) => {
                if let Some(channel) = playback.target_uri.strip_prefix("channel:") {
                    let failed = playback.state == "failed";
                    self.with(channel, |outlet| {
                        outlet.send(CallEvent::PlaybackFinished {
                            id: playback.id,
                            failed,
                        })
                    });
                }
            }
            Event::StasisEnd { channel } => self.end(&channel, CallEvent::StasisEnd),
            Event::Destroyed { channel, cause } => {
                self.end(&channel, CallEvent::Destroyed { cause })
            }
            Event::PlaybackStarted(_) | Event::EnteredBridge { .. } | Event::LeftBridge { .. } => {}
        }
        Then::Nothing
    }

    /// A message that is no text, or text that can't be read. Which call lost a key can't be known, so all did.
    pub(crate) fn handle_malformed(&mut self, was_key: bool) {
        count(&self.counters.malformed);
        if was_key {
            count(&self.counters.keys_lost);
            self.tell_all(&CallEvent::KeysLost);
        }
    }

    pub(crate) fn handle_connected(&mut self) {
        count(&self.counters.connects);
        self.connection = self.connection.wrapping_add(1);
        // Before the first key of this connection: a number with a hole in it must not be taken for one without.
        for _ in &self.routes {
            count(&self.counters.keys_lost);
        }
        self.tell_all(&CallEvent::KeysLost);
    }

    pub(crate) fn handle_lost(&mut self) {
        self.tell_all(&CallEvent::SocketLost);
    }

    /// All channels of Asterisk, asked for after the socket was opened. Returns those of our application that we don't know.
    pub(crate) fn handle_listing(&mut self, channels: &[Channel]) -> Vec<ChannelId> {
        let ours: HashSet<&ChannelId> = channels
            .iter()
            .filter(|channel| channel.is_in(&self.app))
            .map(|channel| &channel.id)
            .collect();
        let connection = self.connection;
        self.routes.retain(|id, route| {
            // What entered over this connection may have done so after the list was made.
            if route.connection == connection {
                return true;
            }
            route.connection = connection;
            if ours.contains(id) {
                route.outlet.send(CallEvent::SocketBack)
            } else {
                route.outlet.send(CallEvent::Gone);
                false
            }
        });
        self.unknown(ours.into_iter().cloned())
    }

    /// Those of `ids` that are (still) not known.
    pub(crate) fn unknown(&self, ids: impl IntoIterator<Item = ChannelId>) -> Vec<ChannelId> {
        ids.into_iter()
            .filter(|id| !self.routes.contains_key(id))
            .collect()
    }

    fn handle_start(
        &mut self,
        channel: Channel,
        mut args: Vec<String>,
        replaced: Option<Channel>,
        arrived: Instant,
        started: Option<String>,
    ) -> Then {
        let id = channel.id.clone();
        // The same channel again without an end between: the end was lost.
        self.end_known(id.as_str(), CallEvent::StasisEnd);
        if let Some(replaced) = &replaced {
            self.end_known(replaced.id.as_str(), CallEvent::StasisEnd);
            // Asterisk tells none of such a channel.
            if args.is_empty() && channel.is_in(&self.app) {
                args = channel.stasis_arguments();
            }
        }
        let why = match pair(self.events_max, self.keys_max) {
            Ok((outlet, inbox)) => match self.starts.try_send(Start {
                channel,
                args,
                replaced,
                inbox,
                arrived,
            }) {
                Ok(()) => {
                    self.routes.insert(
                        id,
                        Route {
                            outlet,
                            connection: self.connection,
                            started,
                            last_key: None,
                        },
                    );
                    return Then::Nothing;
                }
                Err(_) => Why::Busy,
            },
            Err(_) => Why::NoMemory,
        };
        count(&self.counters.refused);
        match self.refusals.try_send(Refusal { channel: id, why }) {
            Ok(()) => Then::Nothing,
            Err(e) => Then::GiveBack(e.into_inner().channel),
        }
    }

    fn with(&mut self, id: &str, send: impl FnOnce(&Outlet) -> bool) {
        let Some(route) = self.routes.get(id) else {
            count(&self.counters.unrouted);
            return;
        };
        if !send(&route.outlet) {
            self.drop_route(id);
        }
    }

    fn end(&mut self, id: &str, event: CallEvent) {
        if !self.end_known(id, event) {
            count(&self.counters.unrouted);
        }
    }

    fn end_known(&mut self, id: &str, event: CallEvent) -> bool {
        let Some(route) = self.routes.get(id) else {
            return false;
        };
        route.outlet.send(event);
        self.drop_route(id);
        true
    }

    fn tell_all(&mut self, event: &CallEvent) {
        let counters = &self.counters;
        self.routes.retain(|_, route| {
            let goes_on = route.outlet.send(event.clone());
            if route.outlet.overflow.load(Ordering::Acquire) {
                count(&counters.overflows);
            }
            goes_on
        });
    }

    fn drop_route(&mut self, id: &str) {
        if let Some(route) = self.routes.remove(id)
            && route.outlet.overflow.load(Ordering::Acquire)
        {
            count(&self.counters.overflows);
        }
    }
}
