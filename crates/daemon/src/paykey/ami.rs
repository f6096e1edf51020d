//! The pay key without AGI: the dialplan asks on a Local channel that the operator rings from within his talk. He hears its early media, it
//! gets his keys; it is never answered. AMI's Redirect then moves both legs in one request, and the Local channel ends with that.
//!
//! A connection for each press: nothing has to be kept alive, and it is found at once that nobody answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ivrpay_ami::{Error, Refusal as NotDone};
use ivrpay_ari::{CallEvent, Channel, ChannelId, Client, Inbox, PlaybackId, RequestError, Start};
use ivrpay_dialogue::Prompt;
use ivrpay_dialogue::operator::Refusal;
use ivrpay_prompts::Language;
use ivrpay_secret::Key;

use super::{Ear, No, PayKey, Press, Ready, spoken};
use crate::pairs::Company;
use crate::{call, events};

/// The argument of `Stasis()` that makes a channel a press: the unique id of the operator's channel.
const ARGUMENT: &str = "key=";
/// Context of the dialplan where both legs go on.
const CONTEXT: &str = "ivrpay-key";
/// Set when the operator has heard what there is to say: else the dialplan says that the service is away.
const ANSWERED: &str = "IVRPAY_KEY_ANSWERED";
/// How long the check and a choice may take: less than the operator's `Dial()` waits (60 s, `ivrpay-features.conf`).
const DECIDE_MAX: Duration = Duration::from_secs(45);
/// Longest that something is waited to be said.
const SAID_MAX: Duration = Duration::from_secs(40);

/// How long the Local channel may be there when the operator has been moved, who ends it.
const GONE_MAX: Duration = Duration::from_secs(2);

/// Whether a channel comes because an operator pressed the key.
pub(crate) fn asks(args: &[String]) -> bool {
    args.iter().any(|arg| arg.starts_with(ARGUMENT))
}

impl PayKey {
    /// Leads one press.
    pub(crate) async fn pressed(self: Arc<Self>, start: Start) {
        let (client, channel) = (&self.shared.client, start.channel.id.clone());
        let mut leg = Leg {
            client: client.clone(),
            channel: channel.clone(),
            inbox: start.inbox,
            playbacks: 0,
        };
        match self.led(&mut leg, &start.args).await {
            Ok(Did::Moved) => {
                let until = Instant::now() + GONE_MAX;
                while let Ok(Some(_)) = leg.next(until).await {}
            }
            Ok(Did::Told) => {
                let told = client.set_variable(&channel, ANSWERED, "1").await;
                if let Err(error) = told {
                    events::ari_channel_request_failed(&channel, ANSWERED, &error);
                }
            }
            Err(Lost::Gone) => return,
            Err(Lost::Unheard) => {}
        }
        call::go_on(client, &channel).await;
    }

    async fn led(&self, leg: &mut Leg, args: &[String]) -> Result<Did, Lost> {
        let (mut id, mut rest) = ("", Vec::new());
        for arg in args {
            match arg.strip_prefix(ARGUMENT) {
                Some(operator) => id = operator,
                None => rest.push(arg.clone()),
            }
        }
        let operator = match ChannelId::new(id) {
            Ok(id) => self.shared.client.channel(&id).await,
            Err(_) => Err(RequestError::Gone),
        };
        let operator = operator.map_err(|error| {
            events::ari_channel_request_failed(&leg.channel, "operator", &error);
            Lost::Unheard
        })?;
        let mut language = spoken(&operator.language);
        let press = Press {
            operator: operator.id.as_str(),
            name: &operator.name,
            number: &operator.caller.number,
            arguments: &rest,
            wanted: None,
        };
        let moved = match &self.ami {
            Some(ami) => {
                let deciding = self.decide(leg, press, &mut language);
                let decided = tokio::time::timeout(DECIDE_MAX, deciding).await;
                match decided.unwrap_or(Err(No::Undecided)) {
                    Ok(ready) => {
                        let moved = self.moved(ami, leg, &operator, &ready).await;
                        moved.map_err(No::from)
                    }
                    Err(no) => Err(no),
                }
            }
            None => {
                events::redirect_not_set();
                Err(Refusal::ServiceAway.into())
            }
        };
        match moved {
            Ok(()) => {
                events::pay_key(&operator.name);
                Ok(Did::Moved)
            }
            Err(no) => {
                Self::tell(leg, language, &operator.name, no).await?;
                Ok(Did::Told)
            }
        }
    }

    /// Sends both legs to their places in the dialplan.
    async fn moved(
        &self,
        ami: &ivrpay_ami::Config,
        leg: &Leg,
        operator: &Channel,
        ready: &Ready,
    ) -> Result<(), Refusal> {
        let Ready {
            token, customer, ..
        } = ready;
        let entered_by = match ready.company {
            Company::Keys => "operator",
            Company::Hold | Company::Stay => "caller",
        };
        let shared = |name| format!("SHARED({name},{})", customer.name);
        let variables = [
            (&*shared("IVRPAY_PARTNER"), operator.name.as_str()),
            (&shared("IVRPAY_ENTERED_BY"), entered_by),
        ];
        let set = leg.client.set_variables(&leg.channel, &variables).await;
        if let Err(error) = set {
            events::ari_channel_request_failed(&leg.channel, "variable", &error);
            self.shared.pairs.forget(token);
            return Err(Refusal::ServiceAway);
        }
        let (error, asked) = match ivrpay_ami::connect(ami).await {
            Ok((client, _events)) => {
                match redirect(&client, &customer.name, &operator.name, token).await {
                    Ok(()) => return Ok(()),
                    Err(error) => (error, true),
                }
            }
            Err(error) => (error, false),
        };
        events::redirect_failed(&operator.name, &error);
        // Not answered, it may have been done, or be done yet; then they find their pair.
        if !(asked && matches!(error, Error::TimedOut | Error::Closed)) {
            self.shared.pairs.forget(token);
        }
        Err(match error {
            Error::Refused(NotDone::NoSuchChannel) => Refusal::NoCustomer,
            _ => Refusal::ServiceAway,
        })
    }
}

/// Both at once: of one alone the other one's talk would end, and he be hung up.
async fn redirect(
    client: &ivrpay_ami::Client,
    customer: &str,
    operator: &str,
    token: &str,
) -> Result<(), Error> {
    let places = [format!("customer-{token}"), format!("operator-{token}")];
    let fields = [
        ("Channel", customer),
        ("Context", CONTEXT),
        ("Exten", &places[0]),
        ("Priority", "1"),
        ("ExtraChannel", operator),
        ("ExtraContext", CONTEXT),
        ("ExtraExten", &places[1]),
        ("ExtraPriority", "1"),
    ];
    client.action("Redirect", &fields).await.map(drop)
}

/// What came of a press.
enum Did {
    /// Both are on their way.
    Moved,
    /// The operator knows why not.
    Told,
}

/// The Local channel is no way to the operator any more.
enum Lost {
    /// He has hung up.
    Gone,
    /// It is there, and nobody hears it: back to the dialplan, which says that the service is away.
    Unheard,
}

struct Leg {
    client: Client,
    channel: ChannelId,
    inbox: Inbox,
    playbacks: u32,
}

/// What is waited for on the leg.
enum Came {
    Key(u8),
    Ended(PlaybackId),
}

impl Leg {
    /// The next of the two; `None` when it is time.
    async fn next(&mut self, until: Instant) -> Result<Option<Came>, Lost> {
        loop {
            let event = tokio::time::timeout_at(until.into(), self.inbox.recv());
            let Ok(event) = event.await else {
                return Ok(None);
            };
            match event {
                Some(CallEvent::KeyWaiting { .. }) => match self.inbox.take_key() {
                    Some(Key::Digit(digit)) => return Ok(Some(Came::Key(digit))),
                    Some(Key::Star | Key::Hash | Key::Letter) => return Ok(Some(Came::Key(0))),
                    None => {}
                },
                Some(CallEvent::PlaybackFinished { id, .. }) => return Ok(Some(Came::Ended(id))),
                Some(CallEvent::Overflow) | None => return Err(Lost::Unheard),
                Some(event) if event.is_end() => return Err(Lost::Gone),
                Some(_) => {}
            }
        }
    }
}

impl Ear for Leg {
    type Lost = Lost;

    async fn say(
        &mut self,
        language: Language,
        prompt: &Prompt,
        choice: bool,
    ) -> Result<Option<u8>, Lost> {
        self.playbacks += 1;
        let name = format!("ivrpay-{}-key-{}", self.channel.as_str(), self.playbacks);
        let playback = PlaybackId::new(&name).map_err(|_| Lost::Unheard)?;
        let plays = crate::spoken::play(&self.client, &self.channel, &playback, prompt, language);
        match plays.await {
            Ok(()) | Err(RequestError::OutcomeUnknown) => {}
            Err(error) => {
                events::ari_channel_request_failed(&self.channel, "play", &error);
                return Err(Lost::Unheard);
            }
        }
        let until = Instant::now() + SAID_MAX;
        let mut chosen = None;
        loop {
            match self.next(until).await? {
                Some(Came::Key(key)) if choice && chosen.is_none() && key > 0 => {
                    chosen = Some(key);
                    if let Err(error) = self.client.stop_playback(&playback).await {
                        events::ari_channel_request_failed(&self.channel, "stop", &error);
                    }
                }
                // What is said next is said behind it.
                Some(Came::Ended(id)) if id == playback => return Ok(chosen),
                Some(_) => {}
                None => return Ok(chosen),
            }
        }
    }

    async fn wait_for_key(&mut self, wait: Duration) -> Result<Option<u8>, Lost> {
        let until = Instant::now() + wait;
        loop {
            match self.next(until).await? {
                Some(Came::Key(key)) => return Ok(Some(key)),
                Some(Came::Ended(_)) => {}
                None => return Ok(None),
            }
        }
    }
}
