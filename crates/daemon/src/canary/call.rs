//! The canary's call: placed, checked, keyed. Its sockets live as long as [`Call`] does.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ivrpay_api as api;
use ivrpay_ari::{ChannelId, Client, Originate, listen};
use ivrpay_audit::canary::{Search, TestCard};
use ivrpay_journal::TRAINING;
use ivrpay_payment::PaymentId;
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use serde::de::value::Error as Unread;
use tokio::net::UnixStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::files::Memory;
use super::{
    CALLER, DURING_MAX, Ended, Error, KEYS, Kept, Request, SILENCE_MAX, START_MAX, Stream, Tell,
    blocking, command,
};
use crate::config::Config;
use crate::guard::Danger;

/// A key is held so long, and the next one comes so long after it, ms: a quick hand, and one that was asked to press more slowly.
const PACES: [(u32, u64); 2] = [(100, 220), (200, 500)];
/// Most attempts at one step.
const ATTEMPTS_MAX: u8 = 3;
/// Largest event of the service, bytes.
const EVENT_MAX: usize = 64 * 1024;
/// Years that the expiry lies ahead.
const EXPIRY_YEARS: i16 = 3;
/// Seconds in which the extension must answer.
const ANSWER_SECONDS: u32 = 10;
/// Carries the person to the extension.
const BY_VARIABLE: &str = "IVRPAY_CANARY_BY";

/// The running service, by its Unix socket.
pub(super) struct Service {
    http: reqwest::Client,
    socket: PathBuf,
    /// Who listens on the socket.
    pub(super) pid: Option<u32>,
}

impl Service {
    pub(super) async fn find(config: &Config) -> Result<Self, Error> {
        let socket = config.admin_socket.clone();
        let away = |_| Error::NoService(socket.clone());
        let stream = UnixStream::connect(&socket).await.map_err(away)?;
        let pid = stream.peer_cred().ok().and_then(|cred| cred.pid());
        let http = reqwest::Client::builder()
            .unix_socket(socket.as_path())
            .no_proxy()
            .build()
            .map_err(|_| Error::NoService(socket.clone()))?;
        Ok(Self {
            http,
            pid: pid.and_then(|pid| u32::try_from(pid).ok()),
            socket,
        })
    }

    async fn get(&self, path: &str) -> Result<reqwest::Response, Error> {
        let url = format!("http://ivrpay{path}");
        let answer = timeout(START_MAX, self.http.get(url).send()).await;
        let away = || Error::NoService(self.socket.clone());
        let answer = answer.map_err(|_| away())?.map_err(|_| away())?;
        if answer.status().is_success() {
            Ok(answer)
        } else {
            Err(self.other())
        }
    }

    fn other(&self) -> Error {
        Error::OtherService(self.socket.clone())
    }

    async fn payment(&self, id: PaymentId) -> Result<api::Payment, Error> {
        let answer = self.get(&format!("/v1/payments/{id}")).await?;
        let text = answer.bytes().await.map_err(|_| self.other())?;
        serde_json::from_slice(&text).map_err(|_| self.other())
    }
}

/// The service's events about the caller's half.
struct Events {
    stream: reqwest::Response,
    read: Vec<u8>,
}

impl Events {
    async fn next(&mut self) -> Result<api::Event, Error> {
        loop {
            while let Some(end) = self.read.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                let line = line.trim_ascii();
                if line == b"event: gap" {
                    return Err(Error::EventsEnded);
                }
                let event = line
                    .strip_prefix(b"data:")
                    .and_then(|data| serde_json::from_slice::<api::Event>(data).ok());
                if let Some(event) = event.filter(|e| e.channel_id.as_deref() == Some(CALLER)) {
                    return Ok(event);
                }
            }
            let more = self.stream.chunk().await;
            let more = more.ok().flatten().ok_or(Error::EventsEnded)?;
            if self.read.len() + more.len() > EVENT_MAX {
                return Err(Error::EventsEnded);
            }
            self.read.extend_from_slice(&more);
        }
    }
}

/// What was looked at in the middle of the call.
pub(super) struct During {
    pub(super) channel: Result<String, String>,
    pub(super) globals: Result<String, String>,
    pub(super) memory: Option<Memory>,
}

impl Default for During {
    fn default() -> Self {
        let not = || Err("the call did not come so far".to_owned());
        Self {
            channel: not(),
            globals: not(),
            memory: Some(Memory::Not("the call did not come so far".to_owned())),
        }
    }
}

/// The halves, and what is looked for.
pub(super) struct Legs {
    pub(super) search: Search,
    caller: String,
}

/// A call that can be placed: what is told of it is kept from now on.
pub(super) struct Call<'a> {
    client: &'a Client,
    service: &'a Service,
    events: Events,
    /// Events of the application in which the half that keys stands; Asterisk gives it those of the caller's half as well.
    pub(super) heard: Kept,
}

impl<'a> Call<'a> {
    pub(super) async fn prepare(
        config: &Config,
        client: &'a Client,
        service: &'a Service,
    ) -> Result<Self, Error> {
        let heard = events(config).await?;
        // With keys among them the guard would refuse the capture, as it should.
        client
            .disallow_events(KEYS, &["ChannelDtmfReceived"])
            .await
            .map_err(|e| Error::Asterisk("the filter of events", e))?;
        let events = Events {
            stream: service.get("/v1/events").await?,
            read: Vec::new(),
        };
        Ok(Self {
            client,
            service,
            events,
            heard,
        })
    }

    async fn next(&mut self, within: Duration, late: Error) -> Result<api::Event, Error> {
        timeout(within, self.events.next())
            .await
            .unwrap_or(Err(late))
    }

    /// The whole call; the caller of this hangs up.
    pub(super) async fn talk(
        &mut self,
        config: &Config,
        request: &Request,
        ami: &Result<ivrpay_ami::Client, String>,
        halt: &Arc<AtomicBool>,
        tell: Tell<'_>,
    ) -> Result<(Ended, PaymentId, Legs, During), Error> {
        let extension = &request.extension;
        let endpoint = format!("Local/{}@{}/n", extension.extension, extension.context);
        let call = Originate {
            endpoint: &endpoint,
            formats: "ulaw",
            app: KEYS,
            channel: KEYS,
            other: CALLER,
            timeout: ANSWER_SECONDS,
            variables: [(BY_VARIABLE, request.person.as_str())].into(),
        };
        self.client.originate(&call).await.map_err(|e| match e {
            ivrpay_ari::RequestError::NotInStasis => Error::Busy,
            e => Error::Asterisk("the call", e),
        })?;
        let started = loop {
            let event = self.next(START_MAX, Error::NotTaken).await?;
            match event.event {
                api::EventKind::CallStarted => break event,
                api::EventKind::CallEnded => return Err(Error::NoPayment),
                _ => {}
            }
        };
        let id = started.payment_id.ok_or(Error::NoPayment)?;
        // Before the first key, and on the word of the journal: its connector does not change any more.
        let payment = self.service.payment(id).await?;
        if payment.connector != TRAINING {
            return Err(Error::NotTraining);
        }
        if payment.operator.as_deref() != Some(request.person.as_str()) {
            return Err(Error::NotNamed);
        }
        let tenant = config
            .tenants
            .iter()
            .find(|t| t.id.as_str() == payment.tenant);
        let brands = tenant.map(|t| t.brands.as_slice()).unwrap_or_default();
        let card = preferred(brands).ok_or(Error::NoCard)?;
        let legs = self.legs(&card).await?;
        let (ended, during) = self.key(&card, id, &legs, ami, halt, tell).await?;
        Ok((ended, id, legs, during))
    }

    /// The names that Asterisk gave to the halves.
    async fn legs(&self, card: &TestCard) -> Result<Legs, Error> {
        let asked = |e| Error::Asterisk("the name of the canary's channel", e);
        let mut names = Vec::new();
        for id in [CALLER, KEYS] {
            let id = ChannelId::new(id).map_err(|_| Error::Busy)?;
            names.push(self.client.channel(&id).await.map_err(asked)?.name);
        }
        let [caller, own] = names.try_into().map_err(|_| Error::Busy)?;
        let search = Search::new(card, &caller, &own).map_err(|_| Error::Busy)?;
        Ok(Legs { search, caller })
    }

    async fn key(
        &mut self,
        card: &TestCard,
        id: PaymentId,
        legs: &Legs,
        ami: &Result<ivrpay_ami::Client, String>,
        halt: &Arc<AtomicBool>,
        tell: Tell<'_>,
    ) -> Result<(Ended, During), Error> {
        let year = jiff::Zoned::now().year() + EXPIRY_YEARS;
        let expiry = format!("12{:02}", year % 100);
        let mut during = During::default();
        let mut looked = false;
        loop {
            let event = self.next(SILENCE_MAX, Error::Silent).await?;
            if event.payment_id != Some(id) {
                // Another payment on the same channel: nothing was checked for it.
                return Err(Error::NotTraining);
            }
            match event.event {
                api::EventKind::CaptureRefused => {
                    let danger = event.error.as_deref().and_then(danger);
                    return Ok((Ended::Refused(danger.unwrap_or(Danger::NotKnown)), during));
                }
                api::EventKind::CallEnded => {
                    return Ok((Ended::Keyed(event.result.unwrap_or_default()), during));
                }
                api::EventKind::Step => {}
                _ => continue,
            }
            let step = event.step.unwrap_or_default();
            let attempt = event.attempt.unwrap_or(1).max(1);
            let keys = match step.as_str() {
                "payment-amount" | "confirmation" => "1".to_owned(),
                "payment-card-number" => format!("{}#", card.keys()),
                "expiration-date" => expiry.clone(),
                "security-code" => card.code().to_owned(),
                _ => continue,
            };
            if attempt > ATTEMPTS_MAX {
                return Err(Error::NotKeyed(step));
            }
            tell(&step);
            // All of the card is in now, and nothing of it has left.
            if step == "confirmation" && !looked {
                looked = true;
                during = self.look(card, legs, ami, halt).await;
            }
            self.press(&keys, attempt).await?;
        }
    }

    /// Each key by itself, as a hand presses them.
    async fn press(&self, keys: &str, attempt: u8) -> Result<(), Error> {
        let [quick, slow] = PACES;
        let (held, every) = if attempt > 1 { slow } else { quick };
        let mut pace = interval(Duration::from_millis(every));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let channel = ChannelId::new(KEYS).map_err(|_| Error::Busy)?;
        for key in keys.chars() {
            pace.tick().await;
            match self.client.dtmf(&channel, key, held).await {
                Ok(()) => {}
                // The call is over; its last event says how.
                Err(ivrpay_ari::RequestError::Gone | ivrpay_ari::RequestError::NotInStasis) => {
                    return Ok(());
                }
                Err(e) => return Err(Error::Asterisk("a key", e)),
            }
        }
        Ok(())
    }

    /// What shows a card only as long as it is there.
    async fn look(
        &self,
        card: &TestCard,
        legs: &Legs,
        ami: &Result<ivrpay_ami::Client, String>,
        halt: &Arc<AtomicBool>,
    ) -> During {
        let memory = async {
            let pid = self.service.pid?;
            let search = Search::new(card, &legs.caller, KEYS).ok()?;
            let halt = Arc::clone(halt);
            let work = blocking(move || Memory::search(pid, &search, &halt));
            timeout(DURING_MAX, work).await.ok()
        };
        // A name of Asterisk's own making, of an extension that was checked: one word of a command.
        let show = format!("core show channel {}", legs.caller);
        let (channel, globals, memory) = tokio::join!(
            command(ami, &show),
            command(ami, "dialplan show globals"),
            memory
        );
        During {
            channel,
            globals,
            memory,
        }
    }
}

/// The first test card of a brand that is taken, the commonest first.
fn preferred(brands: &[ivrpay_payment::Brand]) -> Option<TestCard> {
    [
        "visa",
        "mastercard",
        "jcb",
        "amex",
        "discover",
        "diners-club",
    ]
    .into_iter()
    .filter(|name| brands.iter().any(|b| b.name() == *name))
    .find_map(TestCard::of)
}

fn danger(name: &str) -> Option<Danger> {
    let name: serde::de::value::StrDeserializer<'_, Unread> = name.into_deserializer();
    Danger::deserialize(name).ok()
}

async fn events(config: &Config) -> Result<Kept, Error> {
    let mut ari = config.ari.clone();
    KEYS.clone_into(&mut ari.app);
    let mut listener = listen(&ari).await?.map_err(Error::Socket)?;
    Ok(Kept::new(|text| async move {
        while let Some(event) = listener.next().await {
            Stream::keep(&text, &event);
        }
        Stream::lose(&text);
    }))
}
