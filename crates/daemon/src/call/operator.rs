//! The operator's leg of a call: hold or stay, what he hears, what his keys ask for, and how the two come together again.
//!
//! The customer's voice is away from the pay key to the end of the window (`super::window`), and his keys are absorbed by our bridge:
//! nothing of what he keys reaches this leg. The operator's own keys are menu keys; they never reach the dialogue's fields,
//! but where he keys the card himself (`super::keyed`).

use std::time::{Duration, Instant};

use ivrpay_ari::{
    BridgeId, CallEvent, ChannelId, Direction, HangupReason, Inbox, PlaybackId, RequestError, Start,
};
use ivrpay_dialogue::{CardField, Command, Input, Progress, Prompt, Step};
use ivrpay_secret::Key;

use super::Call;
use crate::events;
use crate::guard::Danger;
use crate::ladder;
use crate::pairs::{ARRIVAL_MAX, Arrival, Company, Hearers, Pair, Seated};
use crate::spoken;

/// Longest that a whisper may take before the customer is joined.
const WHISPER_MAX: Duration = Duration::from_secs(15);
/// `*` and the key behind it are one key of the operator's when they come within this time.
const KEY_PAIR_MAX: Duration = Duration::from_secs(3);
/// `*9` within this time from the operator's arrival is the pay key once more, of a finger that pressed it twice: no pause.
const TWICE_MAX: Duration = Duration::from_secs(3);
/// How long the dialplan may take to fetch the operator: `Bridge()` behind the customer's `Stasis()`, and a line that it speaks before.
const FETCH_MAX: Duration = Duration::from_secs(10);

/// Beginning of our bridges' ids.
pub(crate) const BRIDGE: &str = "ivrpay-";

pub(super) struct Operator {
    pub(super) channel: ChannelId,
    /// As Asterisk names it, `PJSIP/201-0000002a`.
    pub(super) name: String,
    pub(super) inbox: Inbox,
    company: Company,
    /// The bridge of ours that he is in.
    bridge: Option<BridgeId>,
    /// The customer is in it too.
    together: bool,
    /// Both are heard, by their own wish.
    talking: bool,
    pub(super) playback: Option<PlaybackId>,
    playbacks: u32,
    /// He left Stasis or hung up.
    pub(super) gone: bool,
    arrived: Instant,
    star: Option<Instant>,
    step: Option<Step>,
    /// By it whoever takes his place is known for no caller.
    _seated: Seated,
}

/// The next event of the operator's leg; never ready where there is none.
pub(super) async fn event(operator: &mut Option<Operator>) -> Option<CallEvent> {
    match operator {
        Some(operator) if !operator.gone => operator.inbox.recv().await,
        _ => std::future::pending().await,
    }
}

impl Operator {
    fn of(start: Start, company: Company, seated: Seated) -> Self {
        Self {
            channel: start.channel.id,
            name: start.channel.name,
            inbox: start.inbox,
            company,
            bridge: None,
            together: false,
            talking: false,
            playback: None,
            playbacks: 0,
            gone: false,
            arrived: start.arrived,
            star: None,
            step: None,
            _seated: seated,
        }
    }

    /// Whether he is, or will be behind a pause, where that is.
    pub(super) fn is_already(&mut self, company: Company) -> bool {
        if self.talking {
            self.company = company;
        }
        self.company == company
    }

    /// What he does meanwhile.
    pub(super) const fn company(&self) -> &'static str {
        match self.company {
            Company::Hold => "hold",
            Company::Stay => "stay",
            Company::Keys => "keys",
        }
    }

    /// Whether he is beside the customer and hears what is going on.
    pub(super) fn stays(&self) -> bool {
        self.company == Company::Stay && self.together && !self.talking && !self.gone
    }

    /// Whether it belongs to the pay key once more, of a finger that pressed that twice.
    pub(super) fn is_pay_key_again(&mut self, key: Key) -> bool {
        match key {
            Key::Star if self.arrived.elapsed() < TWICE_MAX => {
                self.star = Some(Instant::now());
                true
            }
            Key::Digit(_) => self
                .star
                .take()
                .is_some_and(|at| at.elapsed() <= KEY_PAIR_MAX),
            _ => false,
        }
    }

    /// What his keys ask for: `*9` goes on after a pause or pauses, `*0` cancels.
    fn key(&mut self, key: Key) -> Option<Command> {
        match key {
            Key::Star => {
                self.star = Some(Instant::now());
                None
            }
            Key::Digit(digit) => {
                self.star.take().filter(|at| at.elapsed() <= KEY_PAIR_MAX)?;
                match digit {
                    9 if self.talking => Some(Command::Resume),
                    9 if self.arrived.elapsed() < TWICE_MAX => None,
                    9 => Some(Command::Pause),
                    0 => Some(Command::Cancel),
                    _ => None,
                }
            }
            _ => {
                self.star = None;
                None
            }
        }
    }
}

impl Call {
    /// Waits for the operator's leg. Without it the payment goes on, and the return is the ladder's.
    pub(super) async fn welcome(&mut self, arrival: Arrival, pair: &Pair) {
        match tokio::time::timeout(ARRIVAL_MAX, arrival).await {
            Ok(Ok(start)) => {
                let seated = self.shared.pairs.seat(&start.channel.id);
                self.operator = Some(Operator::of(start, pair.company, seated));
            }
            _ => events::operator_missing(&self.about),
        }
    }

    /// Whether the operator is there, as far as was told by now: of one who hung up on the way it may not have been read yet.
    pub(super) fn has_operator(&mut self) -> bool {
        while let Some(event) = self
            .operator
            .as_mut()
            .filter(|operator| !operator.gone)
            .and_then(|operator| operator.inbox.try_recv())
        {
            self.whispered(Some(event));
        }
        self.operator
            .as_ref()
            .is_some_and(|operator| !operator.gone)
    }

    /// Music for an operator who waits; one bridge for one who stays, in which the customer's keys are absorbed.
    pub(super) async fn seat_operator(&mut self) -> Result<(), Danger> {
        let Some(operator) = &self.operator else {
            return Ok(());
        };
        match operator.company {
            Company::Hold => {
                self.operator_music().await;
                Ok(())
            }
            Company::Stay | Company::Keys => self.join().await,
        }
    }

    /// Both into our bridge. What the bridge is made of is looked at before anybody keys: native RTP would carry keys past us.
    async fn join(&mut self) -> Result<(), Danger> {
        let client = self.shared.client.clone();
        let customer = self.about.channel_id.clone();
        let Some(operator) = &mut self.operator else {
            return Ok(());
        };
        if operator.gone || operator.together {
            return Ok(());
        }
        let id = match &operator.bridge {
            Some(id) => id.clone(),
            None => BridgeId::new(&format!("{BRIDGE}{}", self.about.call_id))
                .map_err(|_| Danger::NotKnown)?,
        };
        let result = async {
            if operator.bridge.is_none() {
                client.create_bridge(&id, "ivrpay").await?;
                operator.bridge = Some(id.clone());
                client.stop_music(&operator.channel).await?;
                client.add_to_bridge(&id, &operator.channel, true).await?;
            }
            client.add_to_bridge(&id, &customer, true).await?;
            operator.together = true;
            client.bridge(&id).await
        };
        match result.await {
            Ok(bridge) if bridge.technology.starts_with("native") => Err(Danger::NativeBridge),
            Ok(_) => Ok(()),
            Err(error) => {
                events::ari_request_failed(&self.about, "bridge", &error);
                Err(Danger::NotKnown)
            }
        }
    }

    /// Out of our bridge; both stay in Stasis.
    pub(super) async fn part(&mut self) {
        let client = self.shared.client.clone();
        let Some(operator) = &mut self.operator else {
            return;
        };
        operator.together = false;
        if let Some(bridge) = operator.bridge.take()
            && let Err(error) = client.destroy_bridge(&bridge).await
        {
            events::ari_request_failed(&self.about, "bridge", &error);
        }
    }

    /// The customer out of the bridge with an operator who is told something: one who is told can't talk, and the customer would hear nothing.
    async fn step_out(&mut self) {
        let Some(operator) = &mut self.operator else {
            return;
        };
        if self.gone || !operator.together {
            return;
        }
        let Some(bridge) = &operator.bridge else {
            return;
        };
        let (client, customer) = (&self.shared.client, &self.about.channel_id);
        match client.remove_from_bridge(bridge, customer).await {
            Ok(()) => operator.together = false,
            Err(error) => events::ari_request_failed(&self.about, "bridge", &error),
        }
    }

    async fn operator_music(&mut self) {
        if let Some(operator) = &self.operator
            && !operator.gone
            && operator.bridge.is_none()
            && let Err(error) = self.shared.client.start_music(&operator.channel).await
        {
            events::ari_request_failed(&self.about, "moh", &error);
        }
    }

    /// Says something to the operator alone.
    pub(super) async fn say_to_operator(&mut self, prompt: &Prompt) {
        self.hush_operator().await;
        let client = self.shared.client.clone();
        let language = self.language;
        let call = self.about.call_id;
        let Some(operator) = &mut self.operator else {
            return;
        };
        if operator.gone {
            return;
        }
        operator.playbacks += 1;
        let Ok(id) = PlaybackId::new(&format!("ivrpay-{call}-operator-{}", operator.playbacks))
        else {
            return;
        };
        match spoken::play(&client, &operator.channel, &id, prompt, language).await {
            Ok(()) | Err(RequestError::OutcomeUnknown) => operator.playback = Some(id),
            Err(error) => events::ari_request_failed(&self.about, "play", &error),
        }
    }

    /// What the customer is asked, to an operator who stays and is to hear it.
    pub(super) async fn play_beside(&mut self, prompt: &Prompt) {
        if self.hearers == Hearers::Both && self.operator.as_ref().is_some_and(Operator::stays) {
            self.say_to_operator(prompt).await;
        }
    }

    /// Stops what is being said to him.
    pub(super) async fn hush_operator(&mut self) {
        if let Some(operator) = &mut self.operator
            && let Some(old) = operator.playback.take()
            && !operator.gone
        {
            drop(self.shared.client.stop_playback(&old).await);
        }
    }

    /// What happened on the operator's leg, as something for the dialogue.
    pub(super) async fn operator_event(&mut self, event: Option<CallEvent>) -> Option<Input> {
        if self.operator_keys() {
            return self.keyer_event(event);
        }
        let operator = self.operator.as_mut()?;
        match event {
            Some(CallEvent::KeyWaiting { .. }) => {
                let key = operator.inbox.take_key()?;
                operator.key(key).map(Input::Command)
            }
            Some(CallEvent::PlaybackFinished { id, .. }) => {
                if operator.playback.as_ref() == Some(&id) {
                    operator.playback = None;
                    self.operator_music().await;
                }
                None
            }
            Some(event) if !event.is_end() => None,
            _ => {
                operator.gone = true;
                events::operator_gone(&self.about);
                if self.lead.is_some() {
                    // Nobody tells the customer what to key any more.
                    return Some(Input::Command(Command::Cancel));
                }
                // A pause in which nobody talks is silence; the customer goes on.
                operator.talking.then_some(Input::Command(Command::Resume))
            }
        }
    }

    /// Tells the operator how far the customer is; lets them talk in a pause. `Some` when it may not go on.
    pub(super) async fn follow(&mut self, progress: &Progress) -> Option<Danger> {
        let operator = self.operator.as_mut()?;
        let before = operator.step.replace(progress.step);
        if before == Some(progress.step) {
            return None;
        }
        if progress.step == Step::Paused {
            return match self.switching.take() {
                Some(company) => self.switch(company).await.err(),
                None => self.talk().await.err(),
            };
        }
        if operator.talking {
            if let Err(danger) = self.talked().await {
                return Some(danger);
            }
        } else if self.lead.is_some()
            && before == Some(Step::AwaitingCapture)
            && CardField::of(progress.step).is_some()
        {
            // Between two fields people talk for as long as they like: somebody may have begun to listen.
            if let Err(danger) = self.unheard_by_others(Instant::now()).await {
                return Some(danger);
            }
        }
        if let Some(operator) = &self.operator
            && operator.company == Company::Hold
            && let Some(prompt) = ivrpay_dialogue::operator::progress(progress.step)
        {
            self.say_to_operator(&prompt).await;
        }
        None
    }

    /// The operator apart, or beside the customer, while the field stands still: nobody is heard meanwhile, and what could betray a card
    /// is asked for again.
    async fn switch(&mut self, company: Company) -> Result<(), Danger> {
        self.switched = true;
        self.hush_operator().await;
        if let Some(operator) = &mut self.operator {
            operator.company = company;
        }
        match company {
            Company::Stay | Company::Keys => self.join().await?,
            Company::Hold => {
                self.part().await;
                self.operator_music().await;
            }
        }
        let (client, channel) = (&self.shared.client, &self.about.channel_id);
        if let Err(error) = client.mute(channel, Direction::In).await {
            events::ari_request_failed(&self.about, "mute", &error);
            return Err(Danger::NotMuted);
        }
        self.unheard_by_others(Instant::now()).await.map(drop)
    }

    /// Customer and operator talk. The fields stand still in secret memory, and the customer's keys are absorbed.
    async fn talk(&mut self) -> Result<(), Danger> {
        let Some(operator) = &mut self.operator else {
            return Ok(());
        };
        if operator.gone {
            return Err(Danger::NotKnown);
        }
        operator.talking = true;
        self.hush_operator().await;
        self.join().await?;
        self.open_window().await;
        self.muted = false;
        Ok(())
    }

    /// The pause is over: nobody hears the customer any more, and what could betray him is asked for again.
    async fn talked(&mut self) -> Result<(), Danger> {
        let (client, channel) = (self.shared.client.clone(), self.about.channel_id.clone());
        let company = self.operator.as_mut().map(|operator| {
            operator.talking = false;
            operator.company
        });
        if let Err(error) = client.mute(&channel, Direction::In).await {
            events::ari_request_failed(&self.about, "mute", &error);
            return Err(Danger::NotMuted);
        }
        self.muted = true;
        if company == Some(Company::Hold) {
            self.part().await;
            self.operator_music().await;
        }
        self.unheard_by_others(Instant::now()).await.map(drop)
    }

    /// The result into the operator's ear, before the customer is joined.
    pub(super) async fn whisper(&mut self, prompt: Prompt) {
        // Should this operator not be there to the end, whoever takes the caller back hears it.
        self.whispered = ladder::files(&prompt, self.language);
        if self.lead.is_some() {
            // His program tells him, and he has been beside the customer all the time.
            return;
        }
        if self.operator.as_ref().is_none_or(|operator| operator.gone) {
            return;
        }
        self.step_out().await;
        if !self.gone && self.operator.as_ref().is_some_and(|o| !o.together) {
            // He has heard that he is being connected; this takes some seconds.
            drop(self.shared.client.start_music(&self.about.channel_id).await);
        }
        self.say_to_operator(&prompt).await;
        let limit = tokio::time::Instant::now() + WHISPER_MAX;
        while self
            .operator
            .as_ref()
            .is_some_and(|o| o.playback.is_some() && !o.gone)
        {
            tokio::select! {
                event = event(&mut self.operator) => self.whispered(event),
                event = self.inbox.recv(), if !self.gone && !self.overflowed => drop(self.input(event)),
                () = tokio::time::sleep_until(limit) => break,
            }
        }
        if !self.gone {
            drop(self.shared.client.stop_music(&self.about.channel_id).await);
        }
    }

    /// What happens on his leg when the dialogue is over.
    pub(super) fn whispered(&mut self, event: Option<CallEvent>) {
        let keys = self.operator_keys();
        let Some(operator) = &mut self.operator else {
            return;
        };
        match event {
            Some(CallEvent::PlaybackFinished { id, .. }) => {
                operator.playback.take_if(|playing| *playing == id);
            }
            // The last key pressed is no wish any more, nor of a card.
            Some(CallEvent::KeyWaiting { arrived, .. }) => {
                _ = operator.inbox.take_key();
                if keys {
                    self.last_key = Some(arrived);
                }
            }
            Some(event) if !event.is_end() => {}
            _ => operator.gone = true,
        }
    }

    /// Sees to it that the operator is not left in Stasis: the dialplan fetches him, or he is let go.
    pub(super) async fn see_off_operator(&mut self) {
        // Of a customer who hung up, our bridge is still there.
        self.part().await;
        let Some(mut operator) = self.operator.take() else {
            return;
        };
        let client = &self.shared.client;
        let limit = tokio::time::Instant::now() + FETCH_MAX;
        while !operator.gone && !self.gone {
            tokio::select! {
                event = operator.inbox.recv() => match event {
                    Some(CallEvent::StasisEnd) => {
                        operator.gone = true;
                        self.fetched = true;
                    }
                    Some(CallEvent::Destroyed { .. } | CallEvent::Gone | CallEvent::Overflow) | None => {
                        operator.gone = true;
                    }
                    Some(CallEvent::KeyWaiting { .. }) => drop(operator.inbox.take_key()),
                    Some(_) => {}
                },
                () = tokio::time::sleep_until(limit) => break,
            }
        }
        if !operator.gone
            && let Err(error) = client.hangup(&operator.channel, HangupReason::Normal).await
            && !matches!(error, RequestError::Gone)
        {
            events::ari_request_failed(&self.about, "hangup", &error);
        }
    }
}
