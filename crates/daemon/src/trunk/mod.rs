//! `ivrpay check trunk`: one call of an admin's own, in which a person presses known keys, to see how keys arrive on a line.
//!
//! Starts with a call that is placed, or that comes to the dialplan's `ivrpay-trunk-check`; ends with [`Measured`], and the call is hung up
//! on every way out. It stands in an ARI application of its own, so that the running service never hears of it. No card is keyed, so its
//! sound may be recorded: for half a minute, in the last of three rounds, and the file is deleted as soon as it was read.
//!
//! What shows how a key came: Asterisk tells the key and not the way. Telephone-events are RTP packets of four bytes, so they show in the
//! counts of packets and bytes. Tones are looked for in the sound, in a round whose key events are dropped: Asterisk mutes the sound of a
//! channel between the begin and the end of an event. What is neither came by SIP (INFO).

mod judge;

use std::time::{Duration, Instant};

use ivrpay_ari::{
    CallEvent, Calls, ChannelId, Client, HangupReason, Originate, PlaybackId, RequestError,
    RtpReceived, Setting, Start, Status, Trouble,
};
use ivrpay_dialogue::{Line, Prompt};
use ivrpay_prompts::Language;
use ivrpay_secret::Key;
use tokio::time::{Instant as Timer, sleep, timeout, timeout_at};

use crate::config::Config;
use crate::order;
use crate::spoken;
pub use judge::{Finding, Sound, Tally, Way, judge};

/// The application in which the call stands: `Stasis(ivrpay-trunk)`.
pub const APP: &str = "ivrpay-trunk";
/// What is to be pressed in each round: the keypad, row by row.
pub const KEYS: &str = "123456789*0#";

/// Id of the call that we place, and of its other half. Asterisk has each once: so there is one check at a time.
const CALL: &str = "ivrpay-trunk-call";
const OTHER: &str = "ivrpay-trunk-other";
/// Name of the recording.
const RECORDING: &str = "ivrpay-trunk-check";

/// Longest wait for Asterisk's socket.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Longest ringing of a call that we place, s.
const RING_MAX: u32 = 60;
/// A round ends so long behind its last key, when all were pressed or not.
const QUIET_ALL: Duration = Duration::from_millis(1_500);
const QUIET: Duration = Duration::from_secs(6);
/// Longest wait for the first key of a round, and for the whole of it.
const FIRST_MAX: Duration = Duration::from_secs(12);
const ROUND_MAX: Duration = Duration::from_secs(60);
/// Longest prompt.
const PROMPT_MAX: Duration = Duration::from_secs(15);
/// Longest recording, and the silence that ends it, s.
const RECORD_MAX: u32 = 30;
const RECORD_SILENCE: u32 = 6;
/// Most keys of a round that are kept: more are none of a person's.
const KEYS_MAX: usize = 64;
/// How often it is asked whether it still records.
const RECORDS_EVERY: Duration = Duration::from_millis(250);
/// Asterisk publishes the event of a key before it is done with its sound.
const SETTLE: Duration = Duration::from_millis(200);

/// Where the call comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is placed: `PJSIP/NUMBER@TRUNK`, `Local/EXTENSION@CONTEXT`.
    Placed(String),
    /// It is waited for, so long.
    Awaited(Duration),
}

/// What a check is asked for.
pub struct Request {
    /// Where the call comes from.
    pub from: Origin,
    /// Of what is said to the person.
    pub language: Language,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration of ARI can't be used.
    #[error(transparent)]
    Configuration(#[from] ivrpay_ari::ConfigError),
    /// Asterisk's socket.
    #[error("Asterisk gives the check no events: {0}")]
    Socket(Trouble),
    /// It did not open in time.
    #[error("Asterisk's socket did not open within {} s", CONNECT_MAX.as_secs())]
    SocketLate,
    /// Another check is on.
    #[error("another check is on, since its channel or its application is there")]
    Busy,
    /// A request failed.
    #[error("{0} was refused or not answered by Asterisk: {1}")]
    Asterisk(&'static str, RequestError),
    /// Nobody answered the call.
    #[error("nobody answered within {RING_MAX} s, or the call was refused")]
    NotAnswered,
    /// No call came.
    #[error("no call came within {} s", .0.as_secs())]
    NoCall(Duration),
    /// The person hung up.
    #[error("the call ended before all rounds were over")]
    HungUp,
    /// Somebody stopped it.
    #[error("stopped; the call is hung up")]
    Stopped,
}

impl Error {
    /// What an admin should do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Configuration(e) => e.hint(),
            Self::Socket(trouble) => trouble.hint(),
            Self::SocketLate => "run `ivrpay check`: it says whether Asterisk can be reached",
            Self::Busy => {
                "wait until it is over; after a check that was killed, hang up its channel (`core show channels`: Stasis, ivrpay-trunk)"
            }
            Self::Asterisk("the recording", RequestError::Refused { .. }) => {
                "make the folder `recording` in Asterisk's spool folder (often /var/spool/asterisk), owned by its user, and see that res_ari_recordings.so is loaded"
            }
            Self::Asterisk("the call", _) => {
                "see that the endpoint exists (`pjsip show endpoints`), and write it as Dial() takes it: PJSIP/0312345678@trunk"
            }
            Self::Asterisk(_, e) => e.hint().unwrap_or("see Asterisk's log at this time"),
            Self::NotAnswered => {
                "see that the number is right and the trunk is registered or reachable, and answer the call"
            }
            Self::NoCall(_) => {
                "call an extension that does Goto(ivrpay-trunk-check,s,1) (dialplan/ivrpay.conf) while the check waits; `dialplan reload` after a change"
            }
            Self::HungUp => "run it again and stay on the line until it thanks you: about a minute",
            Self::Stopped => "run it again when it suits",
        }
    }
}

/// One key, as Asterisk told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressed {
    /// `0` to `9`, `*`, `#`, `A` for a letter.
    pub key: char,
    /// Since the first key of the round, ms.
    pub at_ms: u64,
    /// How long it was held, as it was told, ms; 0 where it was not.
    pub lasted_ms: u64,
}

/// One round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Round {
    /// Its keys.
    pub keys: Vec<Pressed>,
    /// Packets of RTP; `None` where the channel has none (Local).
    pub packets: Option<u64>,
    /// Those of them that were telephone-events.
    pub events: Option<u64>,
}

/// What a call has shown.
pub struct Measured {
    /// The channel, as `PJSIP/trunk-0000002a`.
    pub channel: String,
    /// How Asterisk took keys on it (`dtmf_mode`), where it is a SIP call.
    pub mode: Option<String>,
    /// Of its sound, as `ulaw`.
    pub codec: Option<String>,
    /// Of its endpoint, as Asterisk has them.
    pub settings: Vec<Setting>,
    /// Pressed slowly.
    pub slow: Round,
    /// Pressed quickly.
    pub fast: Round,
    /// Pressed slowly, with the events dropped: there are no keys in it.
    pub sound: Round,
    /// The sound of that round, WAV.
    pub recording: Vec<u8>,
}

impl Measured {
    /// The endpoint, as `trunk`; the whole name where it is not PJSIP.
    #[must_use]
    pub fn line(&self) -> &str {
        let name = self.channel.as_str();
        order::endpoint_of(name)
            .strip_prefix("PJSIP/")
            .unwrap_or(name)
    }
}

/// Tells a person how far it is.
pub type Tell<'a> = &'a mut dyn FnMut(&str);

/// Takes or places the call and leads the person through it. `stop` ends it.
///
/// # Errors
/// [`Error`]; the call is hung up.
pub async fn run(
    config: &Config,
    request: &Request,
    stop: impl Future<Output = ()>,
    tell: Tell<'_>,
) -> Result<Measured, Error> {
    let mut ari = config.ari.clone();
    APP.clone_into(&mut ari.app);
    let probe = Client::new(&ari)?;
    // A socket of the same name would take the application away from a check that is on.
    match probe.application(APP).await {
        Ok(app) if !app.channel_ids.is_empty() => return Err(Error::Busy),
        Ok(_) | Err(RequestError::Gone) => {}
        Err(error) => return Err(Error::Asterisk("the list of applications", error)),
    }
    let (client, mut calls) = ivrpay_ari::connect(ari)?;
    let mut channel = None;
    let done = async {
        connected(&mut calls).await?;
        let start = begin(&client, &mut calls, request, tell).await?;
        channel = Some(start.channel.id.clone());
        let mut call = Call {
            client: &client,
            id: start.channel.id.clone(),
            language: request.language,
            start,
            played: 0,
            voice: None,
        };
        call.lead(tell).await
    };
    let done = tokio::select! {
        done = done => done,
        () = stop => Err(Error::Stopped),
    };
    let placed = matches!(request.from, Origin::Placed(_));
    for id in channel
        .into_iter()
        .chain(placed.then(|| ChannelId::new(CALL).ok()).flatten())
    {
        drop(client.hangup(&id, HangupReason::Normal).await);
    }
    // Of a call that ended in the middle of it, too.
    drop(client.delete_recording(RECORDING).await);
    calls.stop.stop().await;
    done
}

async fn connected(calls: &mut Calls) -> Result<(), Error> {
    let wait = calls.status.wait_for(|status| {
        matches!(
            status,
            Status::Connected
                | Status::Replaced
                | Status::Stopped
                | Status::Connecting { error: Some(_), .. }
        )
    });
    match timeout(CONNECT_MAX, wait).await {
        Ok(Ok(status)) => match &*status {
            Status::Connected => Ok(()),
            Status::Connecting {
                error: Some(error), ..
            } => Err(Error::Socket(*error)),
            _ => Err(Error::Busy),
        },
        _ => Err(Error::SocketLate),
    }
}

/// The call, answered.
async fn begin(
    client: &Client,
    calls: &mut Calls,
    request: &Request,
    tell: Tell<'_>,
) -> Result<Start, Error> {
    let within = match &request.from {
        Origin::Placed(endpoint) => {
            tell(&format!("calls {endpoint}; answer it"));
            let call = Originate {
                endpoint,
                formats: if endpoint.starts_with("Local/") {
                    "ulaw"
                } else {
                    ""
                },
                app: APP,
                channel: CALL,
                other: OTHER,
                timeout: RING_MAX,
                variables: [].into(),
            };
            client.originate(&call).await.map_err(|e| match e {
                RequestError::NotInStasis => Error::Busy,
                e => Error::Asterisk("the call", e),
            })?;
            Duration::from_secs(RING_MAX.into())
        }
        Origin::Awaited(within) => {
            tell(&format!(
                "waits {} s for a call to ivrpay-trunk-check",
                within.as_secs()
            ));
            *within
        }
    };
    let limit = Timer::now() + within;
    loop {
        let start = timeout(Duration::from_secs(1), calls.starts.recv()).await;
        match (start, &request.from) {
            (Ok(Some(start)), _) => return Ok(start),
            (Ok(None), _) => return Err(Error::SocketLate),
            (Err(_), Origin::Awaited(_)) if Timer::now() < limit => {}
            (Err(_), Origin::Awaited(within)) => return Err(Error::NoCall(*within)),
            // Busy, refused, or not taken: its channel is gone, long before the time is over.
            (Err(_), Origin::Placed(_)) => {
                let call = ChannelId::new(CALL).map_err(|_| Error::Busy)?;
                let rings = !matches!(client.channel(&call).await, Err(RequestError::Gone));
                if !rings || Timer::now() >= limit {
                    return Err(Error::NotAnswered);
                }
            }
        }
    }
}

struct Call<'a> {
    client: &'a Client,
    id: ChannelId,
    language: Language,
    start: Start,
    played: u32,
    /// Bytes of a packet of sound: the most that a prompt has shown, since keys pressed in one make it less.
    voice: Option<u64>,
}

impl Call<'_> {
    async fn lead(&mut self, tell: Tell<'_>) -> Result<Measured, Error> {
        let channel = self.start.channel.name.clone();
        let mode = self.variable("PJSIP_DTMF_MODE()").await;
        let codec = self.variable("CHANNEL(audionativeformat)").await;
        let settings = match self.variable("CHANNEL(endpoint)").await {
            Some(endpoint) => self.client.pjsip_settings("endpoint", &endpoint).await,
            None => Ok(Vec::new()),
        };
        tell(&format!("{channel}: {KEYS}, slowly"));
        let slow = self.round(Line::TrunkSlow).await?;
        // Where none came, none would come faster.
        let fast = if slow.keys.is_empty() {
            Round::default()
        } else {
            tell("the same keys, quickly");
            self.round(Line::TrunkFast).await?
        };
        tell("the same keys, slowly: their sound is recorded");
        let (sound, recording) = self.record().await?;
        self.say(Line::SelfServiceEnd, None).await?;
        Ok(Measured {
            channel,
            mode,
            codec,
            settings: settings.unwrap_or_default(),
            slow,
            fast,
            sound,
            recording,
        })
    }

    async fn variable(&self, name: &str) -> Option<String> {
        let value = self.client.get_variable(&self.id, name).await;
        value.ok().flatten().filter(|value| !value.is_empty())
    }

    async fn received(&self) -> Result<Option<RtpReceived>, Error> {
        match self.client.rtp_received(&self.id).await {
            Ok(received) => Ok(Some(received)),
            Err(RequestError::Gone) => Ok(None),
            Err(error) => Err(Error::Asterisk("the counts of RTP", error)),
        }
    }

    /// Says a line to its end. Keys that come meanwhile go to `keys`.
    async fn say(&mut self, line: Line, mut keys: Option<&mut Keys>) -> Result<(), Error> {
        self.played += 1;
        let playback =
            PlaybackId::new(&format!("{CALL}-{}", self.played)).map_err(|_| Error::Busy)?;
        let before = self.received().await?;
        let prompt = Prompt::from(line);
        spoken::play(self.client, &self.id, &playback, &prompt, self.language)
            .await
            .map_err(|e| Error::Asterisk("a prompt", e))?;
        let limit = Timer::now() + PROMPT_MAX;
        while let Ok(event) = timeout_at(limit, self.start.inbox.recv()).await {
            match event {
                Some(CallEvent::PlaybackFinished { id, .. }) if id == playback => break,
                Some(CallEvent::KeyWaiting { arrived, lasted }) => {
                    let key = self.start.inbox.take_key();
                    if let (Some(keys), Some(key)) = (keys.as_deref_mut(), key) {
                        keys.push(arrived, lasted, key);
                    }
                }
                Some(event) if !event.is_end() => {}
                _ => return Err(Error::HungUp),
            }
        }
        let voice = difference(before, self.received().await?)
            .filter(|received| received.packets > 0)
            .map(|received| received.octets.div_ceil(received.packets));
        self.voice = self.voice.max(voice);
        Ok(())
    }

    /// Asks for all keys, and takes them until there are no more.
    async fn round(&mut self, line: Line) -> Result<Round, Error> {
        let mut keys = Keys::default();
        let before = self.received().await?;
        self.say(line, Some(&mut keys)).await?;
        let began = Timer::now();
        let limit = began + ROUND_MAX;
        loop {
            let until = match keys.last {
                None => began + FIRST_MAX,
                Some(last) if keys.all() => Timer::from_std(last) + QUIET_ALL,
                Some(last) => Timer::from_std(last) + QUIET,
            };
            match timeout_at(until.min(limit), self.start.inbox.recv()).await {
                Err(_) => break,
                Ok(Some(CallEvent::KeyWaiting { arrived, lasted })) => {
                    if let Some(key) = self.start.inbox.take_key() {
                        keys.push(arrived, lasted, key);
                    }
                }
                Ok(Some(event)) if !event.is_end() => {}
                Ok(_) => return Err(Error::HungUp),
            }
        }
        let received = difference(before, self.received().await?);
        Ok(self.told(keys.pressed, received))
    }

    fn told(&self, keys: Vec<Pressed>, received: Option<RtpReceived>) -> Round {
        Round {
            keys,
            packets: received.map(|received| received.packets),
            events: received
                .zip(self.voice)
                .map(|(received, voice)| short(received, voice)),
        }
    }

    /// All keys once more, with their events dropped, so that their sound is left.
    async fn record(&mut self) -> Result<(Round, Vec<u8>), Error> {
        let asked = |e| Error::Asterisk("the recording", e);
        self.say(Line::TrunkSound, None).await?;
        let drop_keys = "DTMF_BEGIN,DTMF_END";
        self.client
            .set_variable(&self.id, "FRAME_DROP(RX)", drop_keys)
            .await
            .map_err(|e| {
                Error::Asterisk(
                    "FRAME_DROP (func_frame_drop.so; Asterisk 16.21, 18.7 or later)",
                    e,
                )
            })?;
        let before = self.received().await?;
        self.client
            .record(&self.id, RECORDING, RECORD_MAX, RECORD_SILENCE)
            .await
            .map_err(asked)?;
        let limit = Instant::now() + Duration::from_secs(u64::from(RECORD_MAX) + 5);
        loop {
            sleep(RECORDS_EVERY).await;
            while let Some(event) = self.start.inbox.try_recv() {
                if event.is_end() {
                    return Err(Error::HungUp);
                }
            }
            if !self.client.records(RECORDING).await.map_err(asked)? || Instant::now() > limit {
                break;
            }
        }
        let received = difference(before, self.received().await?);
        sleep(SETTLE).await;
        let recording = self.client.recording(RECORDING).await.map_err(asked)?;
        self.client
            .delete_recording(RECORDING)
            .await
            .map_err(asked)?;
        Ok((self.told(Vec::new(), received), recording))
    }
}

fn difference(before: Option<RtpReceived>, after: Option<RtpReceived>) -> Option<RtpReceived> {
    before.zip(after).map(|(before, after)| RtpReceived {
        packets: after.packets.saturating_sub(before.packets),
        octets: after.octets.saturating_sub(before.octets),
    })
}

/// Of so many packets and bytes, those of four bytes among those of `voice` bytes (RFC 4733, 2.3: a telephone-event is four).
fn short(received: RtpReceived, voice: u64) -> u64 {
    const EVENT: u64 = 4;
    let whole = received.packets.saturating_mul(voice);
    whole.saturating_sub(received.octets) / voice.saturating_sub(EVENT).max(1)
}

#[derive(Default)]
struct Keys {
    pressed: Vec<Pressed>,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Keys {
    fn push(&mut self, arrived: Instant, lasted: Duration, key: Key) {
        let first = *self.first.get_or_insert(arrived);
        self.last = Some(arrived);
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        if self.pressed.len() < KEYS_MAX {
            self.pressed.push(Pressed {
                key: match key {
                    Key::Digit(digit) => char::from(b'0'.saturating_add(digit)),
                    Key::Star => '*',
                    Key::Hash => '#',
                    Key::Letter => 'A',
                },
                at_ms: ms(arrived.saturating_duration_since(first)),
                lasted_ms: ms(lasted),
            });
        }
    }

    /// The last key of a round has come.
    fn all(&self) -> bool {
        self.pressed.len() >= KEYS.len()
            && self.pressed.last().map(|pressed| pressed.key) == KEYS.chars().last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As counted by Asterisk 22 for six keys of 100 ms, and for none.
    #[test]
    fn telephone_events_are_told_by_their_length() {
        for (packets, octets, voice, events) in [
            (251, 33_608, 160, 42),
            (250, 40_000, 160, 0),
            (0, 0, 160, 0),
            // 30 ms a packet.
            (100, 24_000 - 5 * 236, 240, 5),
        ] {
            assert_eq!(short(RtpReceived { packets, octets }, voice), events);
        }
    }
}
