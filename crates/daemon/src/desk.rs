//! The operator's keypad before a transfer: the leg on which he keys amount and order, hears whether a payment can be taken, and which
//! the customer takes over when the transfer is attended.
//!
//! The dialplan's `ivrpay-desk` sends the leg here. What was keyed waits in the journal for the operator's extension, as one that was
//! announced by API: a blind transfer finds it there. An attended one puts the customer's channel in the place of this leg, and Asterisk
//! says whose place a channel took (`replace_channel`): that channel gets what was keyed on this leg, and no other. Where the leg is the
//! end of a Local channel (the feature code of Asterisk's own attended transfer) no channel is exchanged: who is at its other end is
//! looked at, and the dialplan fetches the customer from there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ivrpay_ari::{Bridge, CallEvent, Channel, ChannelId, Inbox, PlaybackId, RequestError, Start};
use ivrpay_dialogue::desk::{Desk, End, GaveUp, Keyed, Progress, Setup, Who};
use ivrpay_dialogue::operator::{self, Refusal};
use ivrpay_dialogue::{Command, Line, Prompt};
use ivrpay_journal::{
    CreateError, EnteredBy, Mode as PaymentMode, NewPayment, Origin, Payment, TRAINING,
};
use ivrpay_payment::{CallId, Currency, Money, Offers};
use ivrpay_prompts::Language;
use ivrpay_secret::Key;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, interval};

use crate::arguments::{Arguments, Mode};
use crate::call::{self, Shared};
use crate::config::Tenant;
use crate::edge::Edge;
use crate::events::{self, About};
use crate::guard::{Danger, Legs};
use crate::keypad::{self, Happens, Leg as _};
use crate::order;
use crate::paykey;
use crate::plans;
use crate::routing::Wish;
use crate::spies::Policy;
use crate::spoken;

/// How long a keyed payment waits for its customer: the operator is about to transfer him.
const WAITS: Duration = Duration::from_secs(15 * 60);
/// How long the leg stays after it was said that a payment can be taken, and how often that is said again: no silence.
const READY_MAX: Duration = Duration::from_secs(5 * 60);
const READY_EVERY: Duration = Duration::from_secs(10);
/// From the end of the leg to the customer in its place: the two are told in one breath.
const ARRIVAL_MAX: Duration = Duration::from_secs(2);
/// How often it is looked who is at the other end of a Local channel, and how often at first, until the operator is.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOKS_MAX: u32 = 3;
/// Longest that something is waited to be said.
const SAID_MAX: Duration = Duration::from_secs(15);
/// `TIMEOUT(absolute)` of the dialplan's `ivrpay-desk`, seconds: the customer has his own time, whatever the operator took.
const ABSOLUTE: &str = "960";

/// The argument of `Stasis()` that begins an operator's leg.
const ARGUMENT: &str = "desk=operator";

/// Whether these arguments are those of an operator's leg.
pub(crate) fn is_leg(args: &[String]) -> bool {
    args.iter().any(|arg| arg == ARGUMENT)
}

/// The arguments of the payment that begins on an operator's leg; `operator`: his extension by his channel, where none is named.
pub(crate) fn arguments(
    args: &[String],
    operator: Option<&str>,
) -> Result<Arguments, &'static str> {
    let rest: Vec<_> = args.iter().filter(|a| *a != ARGUMENT).cloned().collect();
    let mut args = Arguments::parse(&rest)?;
    args.or_extension(operator);
    Ok(args)
}

/// Operators' legs that are on, and how each gets the customer who takes its place.
#[derive(Clone, Default)]
pub(crate) struct Desks(Arc<Mutex<HashMap<ChannelId, oneshot::Sender<Start>>>>);

impl Desks {
    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, oneshot::Sender<Start>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, leg: &ChannelId) -> oneshot::Receiver<Start> {
        let (sender, customer) = oneshot::channel();
        self.lock().insert(leg.clone(), sender);
        customer
    }

    fn close(&self, leg: &ChannelId) {
        self.lock().remove(leg);
    }

    /// Gives a channel that took another's place to the leg that was there.
    ///
    /// # Errors
    /// It took the place of no leg that is on.
    pub(crate) fn hand_over(&self, start: Start) -> Result<(), Box<Start>> {
        let leg = start.replaced.as_ref().map(|replaced| replaced.id.clone());
        let sender = leg.and_then(|leg| self.lock().remove(&leg));
        match sender {
            Some(sender) => sender.send(start).map_err(Box::new),
            None => Err(Box::new(start)),
        }
    }
}

/// How an operator's leg was left.
enum Left {
    /// The customer is in its place.
    Customer(Box<Start>),
    /// The customer is at the other end of the Local channel: his channel's name.
    Behind(String),
    /// He hung up.
    Gone,
    /// Events came faster than they could be taken, or nobody reads Asterisk's socket any more; he is there, and is given back.
    Unheard,
}

struct Leg {
    about: About,
    channel_name: String,
    shared: Arc<Shared>,
    inbox: Inbox,
    commands: mpsc::Receiver<Command>,
    customer: oneshot::Receiver<Start>,
    began: Instant,
    language: Language,
    playback: Option<PlaybackId>,
    playbacks: u32,
    /// Where the leg is the end of a Local channel: when to look who is at the other end, and the operator who was.
    look: Option<Interval>,
    behind: Option<ChannelId>,
    /// What the customer's payment will be.
    arguments: Arguments,
}

/// Leads an operator's leg to its end, and the customer's payment where he took its place. `moved`: the call is on that channel now. `keep`
/// has the call's place: it is kept for a customer who is yet to come, of that name where it is known, before anything sends him.
pub(crate) async fn run(
    shared: Arc<Shared>,
    desks: Desks,
    id: CallId,
    start: Start,
    commands: mpsc::Receiver<Command>,
    moved: impl FnOnce(&ChannelId),
    keep: impl FnOnce(Option<String>),
) {
    let channel = start.channel.id.clone();
    let read = arguments(&start.args, shared.edge.extension_of(&start.channel));
    let mut leg = Leg {
        about: About {
            call_id: id,
            channel_id: channel.clone(),
            sip_call_id: Some(start.channel.protocol_id.clone()).filter(|id| !id.is_empty()),
            tenant: None,
            payment_id: None,
            entered_by: EnteredBy::Caller,
            practice: read.as_ref().is_ok_and(|args| args.mode == Mode::Training),
        },
        shared: Arc::clone(&shared),
        inbox: start.inbox,
        commands,
        customer: desks.open(&channel),
        began: Instant::now(),
        language: Language::Ja,
        playback: None,
        playbacks: 0,
        look: paykey::other_half(&start.channel.name).map(|_| interval(LOOK_EVERY)),
        behind: None,
        channel_name: start.channel.name,
        arguments: Arguments::default(),
    };
    events::desk_began(&leg.about);
    let mut bad = None;
    let led = match read {
        Ok(args) => {
            leg.arguments = args;
            Box::pin(leg.lead()).await
        }
        Err(why) => {
            bad = Some(why);
            leg.language = shared.tenants.first().map_or(Language::Ja, |t| t.language);
            events::arguments_refused(&leg.about, why);
            leg.refuse(Refusal::ServiceAway).await
        }
    };
    desks.close(&channel);
    // One who came at this very moment.
    let led = match leg.customer.try_recv() {
        Ok(start) => Err(Left::Customer(Box::new(start))),
        Err(_) => led,
    };
    // What the operator was being told is not for the customer, who stands on his leg now.
    leg.stop_play().await;
    let waits = leg.arguments.payment.is_some();
    let customer = match led {
        Ok(()) | Err(Left::Unheard) => {
            events::desk_ended(&leg.about, "given back");
            // He has heard that a payment can be taken.
            if waits {
                keep(None);
            }
            return call::go_on(&shared.client, &channel).await;
        }
        Err(Left::Gone) => {
            events::desk_ended(&leg.about, "hung up");
            if waits {
                keep(None);
            }
            return;
        }
        Err(Left::Behind(customer)) => {
            events::desk_ended(&leg.about, "transferred");
            leg.send_for(&customer).await;
            keep(Some(customer));
            return call::go_on(&shared.client, &channel).await;
        }
        Err(Left::Customer(start)) => *start,
    };
    events::desk_ended(&leg.about, "transferred");
    moved(&customer.channel.id);
    let Leg {
        commands,
        arguments,
        ..
    } = leg;
    let limit = "TIMEOUT(absolute)";
    let client = &shared.client;
    if let Err(error) = client
        .set_variable(&customer.channel.id, limit, ABSOLUTE)
        .await
    {
        events::ari_channel_request_failed(&customer.channel.id, limit, &error);
    }
    let keyed = bad.map_or(Ok(arguments), Err);
    Box::pin(call::run(shared, id, customer, commands, Some(keyed))).await;
    drop(keep);
}

impl Leg {
    /// `Ok`: the operator is still there, and is given back.
    async fn lead(&mut self) -> Result<(), Left> {
        let shared = Arc::clone(&self.shared);
        let Some(tenant) = order::tenant(&shared.tenants, &self.arguments) else {
            events::arguments_refused(&self.about, "tenant is not one of the configuration");
            return self.refuse(Refusal::ServiceAway).await;
        };
        self.about.tenant = Some(tenant.id.clone());
        self.language = self.arguments.language.unwrap_or(tenant.language);
        // The customer's is keyed.
        self.arguments.language = None;
        if !self.find_operator().await {
            // Nobody could tell that the customer came.
            return self.refuse(Refusal::NoCustomer).await;
        }
        if self.arguments.operator_extension.is_none() {
            events::arguments_refused(
                &self.about,
                "the operator's extension is not known; name it in extension",
            );
            return self.refuse(Refusal::ServiceAway).await;
        }
        // Nobody keys for nothing.
        if let Err(why) = self.safe(tenant).await {
            return self.refuse(why).await;
        }
        let keyed = match self.ask(tenant).await? {
            End::Keyed(keyed) => keyed,
            // It has been said to him.
            End::WantsOperator | End::GivenUp(_) => return Ok(()),
        };
        let payment = match self.make(tenant, keyed).await {
            Ok(payment) => payment,
            Err(why) => return self.refuse(why).await,
        };
        self.about.payment_id = Some(payment.id);
        if let Err(why) = self.safe(tenant).await {
            self.withdraw(&payment).await;
            return self.refuse(why).await;
        }
        self.arguments.payment = Some(payment.id);
        events::desk_ready(&self.about);
        let ready = self.ready().await;
        if matches!(ready, Ok(Stays::Withdraws)) {
            self.withdraw(&payment).await;
            self.arguments.payment = None;
            return self.tell(&Prompt::from(Line::DeskEnded)).await;
        }
        ready.map(drop)
    }

    /// Whoever is at the other end of the Local channel that this leg is the end of.
    async fn at_the_other_end(&self) -> Option<Channel> {
        let client = &self.shared.client;
        let (channels, bridges) = tokio::try_join!(client.channels(), client.bridges()).ok()?;
        let half = paykey::other_half(&self.channel_name)?;
        let half = channels.iter().find(|c| c.name == half)?;
        let partner = paykey::partner(&channels, &bridges, half.id.as_str());
        partner.ok().cloned()
    }

    /// The operator at the other end of a Local channel, and his extension where none is named. False when there is nobody.
    async fn find_operator(&mut self) -> bool {
        for _ in 0..LOOKS_MAX {
            let Some(look) = &mut self.look else {
                return true;
            };
            look.tick().await;
            if let Some(operator) = self.at_the_other_end().await {
                let extension = self.shared.edge.extension_of(&operator);
                self.arguments.or_extension(extension);
                self.behind = Some(operator.id);
                return true;
            }
        }
        false
    }

    /// Tells the dialplan whom to fetch, and for what.
    async fn send_for(&self, customer: &str) {
        let args = &self.arguments;
        let payment = args.payment.map(|id| id.to_string());
        let client = &self.shared.client;
        for (name, value) in [
            ("IVRPAY_PAYMENT_ID", payment.unwrap_or_default()),
            (
                "IVRPAY_DESK_EXTENSION",
                args.operator_extension.clone().unwrap_or_default(),
            ),
            ("IVRPAY_DESK_CUSTOMER", customer.to_owned()),
        ] {
            let set = client.set_variable(&self.about.channel_id, name, &value);
            if let Err(error) = set.await {
                events::ari_request_failed(&self.about, "variable", &error);
            }
        }
    }

    /// Leads the operator through the keypad.
    async fn ask(&mut self, tenant: &Tenant) -> Result<End, Left> {
        let currency = self.arguments.currency.unwrap_or(tenant.currency);
        let practice = self.arguments.mode == Mode::Training;
        if practice {
            self.tell(&Prompt::from(Line::Training)).await?;
        }
        let setup = Setup {
            who: Who::Operator,
            language: self.language,
            ask_language: tenant.desk.ask_language,
            amount_max: Money::new(self.most(tenant, currency), currency).ok(),
            order: tenant.desk.order,
            offers: if tenant.desk.ask_plan {
                plans::today_of(tenant)
            } else {
                Offers::NONE
            },
        };
        let Ok(desk) = Desk::new(Arc::clone(&self.shared.settings), setup) else {
            events::capacity(&self.about.channel_id);
            self.refuse(Refusal::NoPlace).await?;
            return Ok(End::GivenUp(GaveUp::Shutdown));
        };
        keypad::lead(self, desk, Vec::new()).await
    }

    /// The largest amount that may be keyed: what the acquirers have no room for is told at once. 0 where they have room for none.
    fn most(&self, tenant: &Tenant, currency: Currency) -> u64 {
        let most = tenant.desk.amount_max;
        if self.arguments.mode == Mode::Training {
            return most;
        }
        let offers = plans::today_for(tenant, tenant.transaction);
        most.min(tenant.routing.most(currency, &offers))
    }

    /// The payment that was keyed; it waits for the operator's extension.
    async fn make(&self, tenant: &Tenant, keyed: Keyed) -> Result<Payment, Refusal> {
        let args = &self.arguments;
        let practice = args.mode == Mode::Training;
        // It is always asked.
        let amount = keyed.amount.ok_or(Refusal::ServiceAway)?;
        let offers = plans::today_for(tenant, tenant.transaction);
        let wish = Wish {
            named: None,
            amount,
            plan: keyed.plan,
            offers: &offers,
        };
        if !practice && let Some(why) = tenant.routing.refuses(wish) {
            events::arguments_refused(&self.about, &why);
            return Err(Refusal::NothingWaiting);
        }
        let waits = i64::try_from(WAITS.min(tenant.waiting_max).as_millis()).unwrap_or(i64::MAX);
        let new = NewPayment {
            tenant: tenant.id.clone(),
            // Practice locks no order.
            order: keyed.order.filter(|_| !practice),
            part: args.part,
            operator: args.operator.clone(),
            site: tenant.site.clone(),
            asked_plan: keyed.plan,
            amount,
            mode: if tenant.live && !practice {
                PaymentMode::Live
            } else {
                PaymentMode::Test
            },
            entered_by: EnteredBy::Caller,
            connector: if practice {
                TRAINING.to_owned()
            } else {
                tenant.connector.clone()
            },
            connector_named: false,
            language: keyed.language.to_string(),
            prompt_version: ivrpay_prompts::VERSION.to_owned(),
            operator_extension: args.operator_extension.clone(),
            caller_number: None,
            origin: Origin::Desk,
            request: None,
            transaction: tenant.transaction,
            stored: None,
            attached: ivrpay_journal::Attached::default(),
            expires_ms: Some(
                jiff::Timestamp::now()
                    .as_millisecond()
                    .saturating_add(waits),
            ),
        };
        match self.shared.settle.journal().create(new).await {
            Ok(created) => Ok(created.payment().clone()),
            Err(CreateError::OrderTaken { payment_id, state }) => {
                events::order_taken(&self.about, payment_id, state);
                Err(order::refusal(state))
            }
            Err(CreateError::Journal(error)) => {
                events::journal_failed(None, "create", &error);
                Err(Refusal::ServiceAway)
            }
            Err(_) => {
                let why = "a field looks like a card number or is too long";
                events::arguments_refused(&self.about, why);
                Err(Refusal::ServiceAway)
            }
        }
    }

    async fn withdraw(&self, payment: &Payment) {
        if let Err(error) = self.shared.settle.journal().withdraw(payment.id).await {
            // It is over by itself before long.
            events::journal_failed(Some(payment.id), "withdraw", &error);
        }
    }

    /// Says that a payment can be taken, until the operator transfers the customer or hangs up.
    async fn ready(&mut self) -> Result<Stays, Left> {
        self.shared.events.desk_step(&self.about, "desk-ready");
        let prompt = operator::ready();
        let until = Instant::now() + READY_MAX;
        let mut again = Some(Instant::now());
        let mut star = false;
        loop {
            if again.is_some_and(|at| at <= Instant::now()) {
                let plays = self.play(&prompt, self.language).await;
                again = (!plays).then(|| Instant::now() + READY_EVERY);
            }
            match self
                .next(Some(again.map_or(until, |at| at.min(until))))
                .await?
            {
                // As on the keypad: twice, and it is withdrawn.
                Happens::Key(Key::Star, ..) if star => return Ok(Stays::Withdraws),
                Happens::Key(key, ..) => star = matches!(key, Key::Star),
                Happens::PromptEnded => again = Some(Instant::now() + READY_EVERY),
                Happens::Shutdown => return Ok(Stays::Waits),
                Happens::Due if Instant::now() >= until => return Ok(Stays::Waits),
                Happens::Due | Happens::KeysLost => {}
            }
        }
    }

    async fn refuse(&mut self, why: Refusal) -> Result<(), Left> {
        events::desk_refused(&self.about, why);
        self.shared.events.desk_step(&self.about, "desk-refused");
        self.tell(&operator::reason(why)).await
    }

    /// Says something to its end.
    async fn tell(&mut self, prompt: &Prompt) -> Result<(), Left> {
        if !self.play(prompt, self.language).await {
            return Ok(());
        }
        let until = Instant::now() + SAID_MAX;
        loop {
            match self.next(Some(until)).await? {
                Happens::PromptEnded | Happens::Due => return Ok(()),
                Happens::Key(..) | Happens::KeysLost | Happens::Shutdown => {}
            }
        }
    }

    /// The leg is over; whether the customer took its place is told at the same time.
    async fn left(&mut self) -> Left {
        match tokio::time::timeout(ARRIVAL_MAX, &mut self.customer).await {
            Ok(Ok(start)) => Left::Customer(Box::new(start)),
            _ => Left::Gone,
        }
    }

    /// Whether Asterisk may be trusted with the customer's keys, as far as can be known before he moves.
    async fn safe(&self, tenant: &Tenant) -> Result<(), Refusal> {
        let Shared {
            guard,
            client,
            edge,
            settle,
            ..
        } = &*self.shared;
        if self.arguments.mode != Mode::Training {
            settle.can_be_asked(&tenant.routing.candidates(None))?;
        }
        let currency = self.arguments.currency.unwrap_or(tenant.currency);
        if self.most(tenant, currency) == 0 {
            let why = "currency is none that the tenant's acquirer has";
            events::arguments_refused(&self.about, why);
            return Err(Refusal::NothingWaiting);
        }
        let listed = tokio::try_join!(client.channels(), client.bridges());
        let (channels, bridges) = listed.map_err(|_| Refusal::Unsafe)?;
        let own = (&self.about.channel_id, self.channel_name.as_str());
        let extension = self.arguments.operator_extension.as_deref();
        let practice = self.arguments.mode == Mode::Training;
        let checked = match customer(edge, &channels, &bridges, own, extension, practice)? {
            Some(customer) => {
                let legs = Legs {
                    taken_off: tenant.spy == Policy::Detach,
                    ..Legs::alone(&customer.id, &customer.name)
                };
                guard.before_the_move(client, legs, Instant::now()).await
            }
            None => guard.of_every_call(client, own, Instant::now()).await,
        };
        checked.map_err(Danger::refusal)
    }
}

impl keypad::Leg for Leg {
    type Left = Left;

    fn began(&self) -> Instant {
        self.began
    }

    fn tell(&self, progress: &Progress) {
        self.shared.events.desk_progress(&self.about, progress);
    }

    async fn next(&mut self, due: Option<Instant>) -> Result<Happens, Left> {
        loop {
            let event = tokio::select! {
                // Keys before deadlines.
                biased;
                event = self.inbox.recv() => event,
                customer = &mut self.customer => {
                    return Err(customer.map_or(Left::Gone, |start| Left::Customer(Box::new(start))));
                }
                Some(command) = self.commands.recv() => {
                    if command == Command::Shutdown {
                        return Ok(Happens::Shutdown);
                    }
                    continue;
                }
                () = tick(&mut self.look) => {
                    if let Some(other) = self.at_the_other_end().await
                        && self.behind.as_ref().is_some_and(|operator| *operator != other.id)
                    {
                        return Err(Left::Behind(other.name));
                    }
                    continue;
                }
                () = call::sleep_until(due.map(tokio::time::Instant::from_std)) => return Ok(Happens::Due),
            };
            match event {
                Some(CallEvent::KeyWaiting { arrived, lasted }) => {
                    if let Some(key) = self.inbox.take_key() {
                        return Ok(Happens::Key(key, lasted, arrived));
                    }
                }
                Some(CallEvent::PlaybackFinished { id, .. }) => {
                    if self.playback.take_if(|playing| *playing == id).is_some() {
                        return Ok(Happens::PromptEnded);
                    }
                }
                Some(CallEvent::KeysLost) => {
                    events::keys_lost(&self.about);
                    return Ok(Happens::KeysLost);
                }
                Some(CallEvent::Overflow) => {
                    events::overflow(&self.about);
                    return Err(Left::Unheard);
                }
                None => return Err(Left::Unheard),
                Some(event) if event.is_end() => return Err(self.left().await),
                Some(_) => {}
            }
        }
    }

    async fn play(&mut self, prompt: &Prompt, language: Language) -> bool {
        self.stop_play().await;
        self.playbacks += 1;
        let name = format!("ivrpay-{}-desk-{}", self.about.call_id, self.playbacks);
        let Ok(id) = PlaybackId::new(&name) else {
            return false;
        };
        let (client, channel) = (&self.shared.client, &self.about.channel_id);
        match spoken::play(client, channel, &id, prompt, language).await {
            // It may play all the same; then its end is told.
            Ok(()) | Err(RequestError::OutcomeUnknown) => {
                self.playback = Some(id);
                true
            }
            Err(error) => {
                events::ari_request_failed(&self.about, "play", &error);
                false
            }
        }
    }

    async fn stop_play(&mut self) {
        if let Some(id) = self.playback.take()
            && let Err(error) = self.shared.client.stop_playback(&id).await
        {
            events::ari_request_failed(&self.about, "stop", &error);
        }
    }
}

/// Never, where nothing is to be looked at.
async fn tick(look: &mut Option<Interval>) {
    match look {
        Some(look) => drop(look.tick().await),
        None => std::future::pending().await,
    }
}

/// What the operator does when a payment can be taken.
enum Stays {
    /// It waits for its customer.
    Waits,
    Withdraws,
}

/// The customer whom the operator on the leg `own` has on hold: the one with whom another call of the same telephone talks. `None`: there
/// is nobody, or nobody knows which.
///
/// # Errors
/// He talks with several, or his customer comes by no trunk of the edge.
fn customer<'a>(
    edge: &Edge,
    channels: &'a [Channel],
    bridges: &[Bridge],
    own: (&ChannelId, &str),
    extension: Option<&str>,
    practice: bool,
) -> Result<Option<&'a Channel>, Refusal> {
    // Behind an office PBX all telephones are one endpoint.
    let his = |c: &Channel| !edge.is_set() || edge.extension_of(c) == extension;
    let others = channels
        .iter()
        .filter(|c| c.id != *own.0 && same_telephone(&c.name, own.1) && his(c));
    let mut customers = Vec::new();
    for other in others {
        match paykey::partner(channels, bridges, other.id.as_str()) {
            Ok(customer) => customers.push(customer),
            Err(Refusal::ThirdParty) => return Err(Refusal::ThirdParty),
            Err(_) => {}
        }
    }
    let [customer] = customers[..] else {
        return Ok(None);
    };
    let takes = edge.takes(&customer.name, practice);
    takes.map_err(Danger::refusal)?;
    Ok(Some(customer))
}

/// `PJSIP/201-00000001` and `PJSIP/201-0000002a` are two calls of one telephone.
fn same_telephone(one: &str, other: &str) -> bool {
    let telephone = |name: &str| name.rsplit_once('-').map(|(t, _)| t.to_owned());
    let one = telephone(one).filter(|name| !name.starts_with("Local/"));
    one.is_some() && one == telephone(other)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn channel(id: &str, name: &str) -> Channel {
        serde_json::from_value(serde_json::json!({"id": id, "name": name, "state": "Up"})).unwrap()
    }

    fn start(id: &str, replaced: Option<&str>) -> Start {
        let (_, inbox) = ivrpay_ari::pair(4, 4).unwrap();
        Start {
            channel: channel(id, "PJSIP/trunk-00000001"),
            args: Vec::new(),
            replaced: replaced.map(|id| channel(id, "PJSIP/201-00000002")),
            inbox,
            arrived: Instant::now(),
        }
    }

    #[test]
    fn a_customer_gets_the_leg_whose_place_he_took_and_no_other() {
        let desks = Desks::default();
        let leg = ChannelId::new("1.2").unwrap();
        let mut customer = desks.open(&leg);
        assert!(desks.hand_over(start("1.1", None)).is_err());
        assert!(desks.hand_over(start("1.1", Some("1.3"))).is_err());
        assert!(customer.try_recv().is_err());
        assert!(desks.hand_over(start("1.1", Some("1.2"))).is_ok());
        assert_eq!(customer.try_recv().unwrap().channel.id.as_str(), "1.1");
        // Once; and a leg that is over gets nobody.
        assert!(desks.hand_over(start("1.4", Some("1.2"))).is_err());
        drop(desks.open(&leg));
        let late = desks.hand_over(start("1.4", Some("1.2"))).unwrap_err();
        assert_eq!(late.channel.id.as_str(), "1.4");
        desks.open(&leg);
        desks.close(&leg);
        assert!(desks.lock().is_empty());
    }

    #[test]
    fn the_operators_extension_is_his_channels() {
        let read = |text: &str, operator: &str| {
            let args: Vec<_> = text.split(',').map(str::to_owned).collect();
            assert!(is_leg(&args));
            arguments(&args, order::extension_of(operator))
        };
        let args = read(
            "desk=operator,tenant=demo,mode=training",
            "PJSIP/207-0000002a",
        )
        .unwrap();
        assert_eq!(args.operator_extension.as_deref(), Some("207"));
        assert_eq!(args.mode, Mode::Training);
        let args = read("desk=operator,extension=301", "Local/8810@lab-0001;2").unwrap();
        assert_eq!(args.operator_extension.as_deref(), Some("301"));
        let args = read("desk=operator", "Local/8810@lab-0001;2").unwrap();
        assert_eq!(args.operator_extension, None);
        assert!(read("desk=operator,colour=red", "PJSIP/207-0000002a").is_err());
        assert!(!is_leg(&["tenant=demo".to_owned()]));
    }

    #[test]
    fn behind_an_edge_the_customer_on_hold_comes_by_a_trunk() {
        let channel = |id: &str, name: &str, number: &str| -> Channel {
            let caller = serde_json::json!({"name": "", "number": number});
            let of = serde_json::json!({"id": id, "name": name, "state": "Up", "caller": caller});
            serde_json::from_value(of).unwrap()
        };
        let bridge = |members: [&str; 2]| -> Bridge {
            let of =
                serde_json::json!({"id": "b", "technology": "simple_bridge", "channels": members});
            serde_json::from_value(of).unwrap()
        };
        let own = (&ChannelId::new("9").unwrap(), "PJSIP/office-00000009");
        let edge = Edge::checked(toml::from_str(r#"trunks = ["PJSIP/trunk"]"#).unwrap()).unwrap();
        let none = Edge::default();
        for (edge, customer_name, practice, expected) in [
            (&edge, "PJSIP/trunk-00000001", false, Ok(Some("1"))),
            (&edge, "PJSIP/office-00000001", false, Err(Refusal::Unsafe)),
            (&edge, "Local/1@a-00000001;9", false, Err(Refusal::Unsafe)),
            (&edge, "Local/1@a-00000001;9", true, Ok(Some("1"))),
            (&none, "PJSIP/anybody-00000001", false, Ok(None)),
        ] {
            let channels = [
                channel("9", "PJSIP/office-00000009", "201"),
                channel("1", customer_name, "0312345678"),
                channel("2", "PJSIP/office-00000002", "201"),
                // Another operator's, with another customer.
                channel("3", "PJSIP/office-00000003", "202"),
                channel("4", "PJSIP/trunk-00000004", "0312345679"),
            ];
            let bridges = [bridge(["1", "2"]), bridge(["3", "4"])];
            let found = customer(edge, &channels, &bridges, own, Some("201"), practice);
            let found = found.map(|found| found.map(|c| c.id.as_str()));
            assert_eq!(found, expected, "{customer_name}");
        }
    }

    #[test]
    fn calls_of_one_telephone() {
        assert!(same_telephone("PJSIP/201-00000001", "PJSIP/201-0000002a"));
        assert!(!same_telephone("PJSIP/201-00000001", "PJSIP/2011-0000002a"));
        assert!(!same_telephone(
            "PJSIP/201-00000001",
            "PJSIP/trunk-0000002a"
        ));
        assert!(!same_telephone("Local/201@a-0001;1", "Local/201@a-0001;2"));
        assert!(!same_telephone("odd", "odd"));
    }
}
