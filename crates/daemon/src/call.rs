//! One call: joins Asterisk's events, the dialogue, the journal and the acquirer.
//!
//! Starts with a channel that entered Stasis, ends when the channel was given back to the dialplan or hung up. Owns the
//! dialogue, and with it the call's secret memory. Does not know which prompts follow which, nor any acquirer.

mod keyed;
mod line;
mod operator;
#[cfg(feature = "plant")]
mod planted;
mod tones;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ivrpay_ari::{
    CallEvent, Client, Direction, Inbox, PlaybackId, RESULT_VARIABLE, RequestError, Start,
};
use ivrpay_card::{Month, Rules};
use ivrpay_dialogue::operator::Refusal;
use ivrpay_dialogue::{
    Ask, At, CallResult, CardField, Command, Dialogue, Draft, End, Input, Line, NotWritten, Output,
    Prompt, Say, Setup, Stage, Step,
};
use ivrpay_journal::{
    By, Claim, ClaimError, CreateError, EnteredBy, Mode as PaymentMode, NewPayment, Origin,
    Payment, TRAINING,
};
use ivrpay_payment::{
    Brand, CallId, Durable, Intent, Money, Offers, Outcome, PaymentId, State as PaymentState,
    Transaction,
};
use ivrpay_prompts::Language;
use ivrpay_web::{CaptureMode, Field, Want, Wished};
use tokio::sync::{mpsc, oneshot};

use crate::arguments::{Arguments, Mode};
use crate::cancels::{Cancels, Wish, Wishes};
use crate::captures::{Listed, Seen};
use crate::config::Tenant;
use crate::desk;
use crate::edge::Edge;
use crate::events::{self, About, Events};
use crate::guard::{Danger, Guard};
use crate::ladder::{self, Ending, Ladder, RUNGS_MAX};
use crate::lamps::{Lamp, Lamps, Until};
use crate::order::{self, NotFound};
use crate::outbound::Outbound;
use crate::pairs::{Company, Hearers, Leg, Pairs, Seated};
use crate::plans;
use crate::quarantine::{MARKED, Mark};
use crate::recorders::Recorders;
use crate::routing::Ways;
use crate::settle::Settle;
use crate::spies::{self, Spies};
use crate::spoken;
use crate::twilio::Led;

pub(crate) use operator::BRIDGE;
use operator::Operator;

/// Commands that may wait for a call; more come only from a mistake, and are refused.
pub(crate) const COMMANDS_MAX: usize = 8;

/// What all calls share.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) settle: Settle,
    pub(crate) events: Events,
    pub(crate) guard: Guard,
    pub(crate) edge: Edge,
    pub(crate) recorders: Recorders,
    pub(crate) pairs: Pairs,
    pub(crate) spies: Spies,
    pub(crate) outbound: Outbound,
    pub(crate) lamps: Lamps,
    pub(crate) cancels: Cancels,
    pub(crate) quarantine: ivrpay_web::Quarantine,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) settings: Arc<ivrpay_dialogue::Settings>,
}

/// What a call is about, once its payment is known.
struct Order {
    claim: Claim,
    language: Language,
    mode: Mode,
}

impl Order {
    /// Whom to ask for what was keyed. Practice goes nowhere, whatever its payment says.
    fn ways(&self, tenants: &[Tenant], draft: &Draft) -> Ways {
        let payment = self.claim.payment();
        let tenant = tenants.iter().find(|tenant| tenant.id == payment.tenant);
        match tenant {
            _ if self.mode == Mode::Training => Ways::only(TRAINING),
            Some(tenant) if !payment.connector_named => {
                tenant
                    .routing
                    .ways(draft.card.brand, draft.amount, draft.plan)
            }
            _ => Ways::only(&*payment.connector),
        }
    }
}

/// Why there is no payment for this call, as a result, what is said about it, and what the operator hears.
struct Refused {
    result: CallResult,
    /// Nothing where somebody has spoken already.
    say: &'static [Line],
    language: Language,
    why: Refusal,
}

impl Refused {
    const fn internal(language: Language) -> Self {
        Self {
            result: CallResult::InternalError,
            say: &[Line::InternalError],
            language,
            why: Refusal::ServiceAway,
        }
    }

    const fn because(self, why: Refusal) -> Self {
        Self { why, ..self }
    }
}

/// Takes a channel from StasisStart to its end. `keyed`: what an operator has keyed, in whose place the channel is, instead of its
/// own arguments.
pub(crate) async fn run(
    shared: Arc<Shared>,
    id: CallId,
    start: Start,
    commands: mpsc::Receiver<Command>,
    keyed: Option<Result<Arguments, &'static str>>,
) {
    if let Some(mark) = Mark::of(&start.args) {
        let kept = mark.keep(&shared.client, shared.settle.journal(), &shared.quarantine);
        if kept.await {
            // Without it the operator hears no beep, and marks again.
            drop(
                shared
                    .client
                    .set_variable(&start.channel.id, MARKED, "1")
                    .await,
            );
        }
        return go_on(&shared.client, &start.channel.id).await;
    }
    let mut paying = None;
    let pair = match Leg::of(&start.args) {
        None => None,
        Some(leg) => match shared.pairs.customer(leg.token, &start.channel.id) {
            Some((pair, arrival, pays)) => {
                paying = Some(pays);
                Some((pair, arrival))
            }
            None => {
                // Too late, or of a daemon that is no more: the dialplan brings the two together again.
                events::pair_unknown(&start.channel.id);
                drop(shared.client.voice_back(&start.channel.id).await);
                say_not_taken(&shared.client, &start.channel.id).await;
                return go_on(&shared.client, &start.channel.id).await;
            }
        },
    };
    let began = Instant::now();
    let listed = shared.events.captures().place(id);
    let mut call = Call {
        listed,
        about: About {
            call_id: id,
            channel_id: start.channel.id.clone(),
            sip_call_id: Some(start.channel.protocol_id.clone()).filter(|id| !id.is_empty()),
            tenant: None,
            payment_id: None,
            entered_by: match &pair {
                Some((pair, _)) if pair.company == Company::Keys => EnteredBy::Operator,
                _ => EnteredBy::Caller,
            },
            practice: false,
        },
        channel_name: start.channel.name.clone(),
        shared,
        inbox: start.inbox,
        commands,
        began,
        language: Language::Ja,
        playback: None,
        playbacks: 0,
        gone: false,
        overflowed: false,
        settled: None,
        unheard: false,
        key_arrived: None,
        last_key: None,
        seat: None,
        muted: false,
        recorded: false,
        silent: false,
        variables: BTreeMap::new(),
        operator: None,
        extension: None,
        lamp: None,
        ladder: None,
        told: false,
        ending: Ending::Error,
        whispered: String::new(),
        fetched: false,
        cancelled: None,
        detaches: false,
        hearers: Hearers::Customer,
        listeners: None,
        dtmf_mode: None,
        talk: None,
        paying,
        danger: None,
        begun: None,
        lead: None,
        switching: None,
        switched: false,
        completed: None,
        guarded: None,
    };
    let replaced = start.replaced.as_ref();
    if replaced.is_some() {
        // Where the one before was muted Asterisk believes that this one is, and he is not.
        let client = &call.shared.client;
        drop(client.unmute(&call.about.channel_id, Direction::In).await);
    }
    Box::pin(call.close_window()).await;
    // The place of a pair is kept to the end of the call; that of any other one by whoever has begun it.
    let (arguments, _place) = match (pair, keyed, replaced) {
        (Some((mut pair, arrival)), ..) => {
            if let Some(wanted) = pair.wanted.take() {
                (call.begun, call.lead) = (Some(wanted.begun), wanted.lead);
            }
            Box::pin(call.welcome(arrival, &pair)).await;
            (Ok(pair.arguments), Some(pair.place))
        }
        (None, Some(keyed), _) => (keyed, None),
        (None, None, Some(operator)) => {
            let extension = call.shared.edge.extension_of(operator);
            (desk::arguments(&start.args, extension), None)
        }
        (None, None, None) => (Arguments::parse(&start.args), None),
    };
    // A call is one task, as large as its largest wait. What takes a moment is boxed, so that the minutes of keying are small.
    let result = match Box::pin(call.lead(&start.channel, arguments)).await {
        Ok(order) => call.pay(order).await,
        Err(refused) => {
            call.started();
            Box::pin(call.refuse(refused)).await
        }
    };
    // Nothing where it was not we who called.
    call.shared.outbound.over(id, result);
    call.leave_lamp();
    call.shared
        .events
        .call_ended(&call.about, result, began.elapsed());
}

struct Call {
    about: About,
    /// Its place in what is shown of captures.
    listed: Listed,
    /// As Asterisk names it, `PJSIP/trunk-0000002a`.
    channel_name: String,
    shared: Arc<Shared>,
    inbox: Inbox,
    commands: mpsc::Receiver<Command>,
    began: Instant,
    language: Language,
    /// What plays now.
    playback: Option<PlaybackId>,
    /// Playbacks so far: makes their ids.
    playbacks: u32,
    /// The channel left Stasis or hung up: no request can reach it.
    gone: bool,
    /// Events came faster than they could be taken, and no more come; the channel is still there.
    overflowed: bool,
    /// The acquirer has answered: what takes the place of the mark of [`Self::mark_unknown`].
    settled: Option<&'static str>,
    /// The last prompt was not played to the caller.
    unheard: bool,
    /// When the key that is being handled was read from the socket.
    key_arrived: Option<Instant>,
    /// When the last key was read from the socket.
    last_key: Option<Instant>,
    /// Who talks where, for recorders that have to pause; `None` where there are none.
    seat: Option<Seat>,
    /// Asterisk took the caller's voice away.
    muted: bool,
    /// A MixMonitor was begun on this channel.
    recorded: bool,
    /// Silence is sent while nothing plays.
    silent: bool,
    /// What was set on the channel: each request costs Asterisk more than us.
    variables: BTreeMap<&'static str, String>,
    /// The operator's leg, where the pay key brought it.
    operator: Option<Operator>,
    /// The extension of the operator who has the caller, where it is known.
    extension: Option<String>,
    /// That of his extension, lit.
    lamp: Option<Lamp>,
    /// Who takes an attended caller back.
    ladder: Option<Ladder>,
    /// Listeners know that the call has begun.
    told: bool,
    /// Which of its ladders it is.
    ending: Ending,
    /// What whoever takes the caller back hears, as files.
    whispered: String,
    /// The dialplan has brought the two together again.
    fetched: bool,
    /// Who ended it by the API, and when.
    cancelled: Option<(By, At)>,
    /// Supervisors who listen are taken off.
    detaches: bool,
    /// Who hears the prompts where the operator stays.
    hearers: Hearers,
    /// Keeps them off.
    listeners: Option<spies::Window>,
    /// How Asterisk took keys before it was to detect tones (`tones`).
    dtmf_mode: Option<String>,
    /// Of a call in which the operator keys: the talk that nobody may record.
    talk: Option<keyed::Talk>,
    /// Until he goes back to the dialplan no other pair takes the caller.
    paying: Option<Seated>,
    /// For what it had to be ended, in the middle.
    danger: Option<Danger>,
    /// Who asked for the capture by the API and has not been told yet.
    begun: Option<oneshot::Sender<Result<(), Refusal>>>,
    /// A program leads the capture.
    lead: Option<Led>,
    /// Where the operator is to be, when the field stands still.
    switching: Option<Company>,
    /// He is there, and it goes on.
    switched: bool,
    /// Who had it charged by the API, and when.
    completed: Option<(By, At)>,
    /// What was seen to before the card was asked for: evidence.
    guarded: Option<serde_json::Value>,
}

/// By what a recorder outside Asterisk finds the call.
struct Seat {
    caller: Option<String>,
    extension: Option<String>,
}

/// What the dialogue waits for beside events.
#[derive(Default)]
struct Pending {
    /// An intent that the dialogue has been told of, and has not answered with a charge.
    unsent: Option<Durable<Intent>>,
    written: Option<oneshot::Receiver<Result<Durable<Intent>, NotWritten>>>,
    /// Whom to ask, once it is written.
    ways: Option<Ways>,
    answered: Option<oneshot::Receiver<Outcome>>,
}

impl Call {
    /// Tells once that the call has begun: with its payment, or before it has one.
    fn started(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            self.shared.events.call_started(&self.about);
        }
    }

    /// Tells whoever asked for the capture by the API whether a card is asked for. False: he waits no longer.
    fn told_begun(&mut self, begins: Result<(), Refusal>) -> bool {
        match self.begun.take() {
            Some(begun) => begun.send(begins).is_ok(),
            None => true,
        }
    }

    /// Whether somebody leads: his program knows of the call, and he is there to say what to key. Else the customer would sit in
    /// silence until the capture's time is over.
    fn is_led_on(&mut self) -> bool {
        if self.lead.is_none() {
            // Who waits no longer finds the call by its payment.
            self.told_begun(Ok(()));
            return true;
        }
        self.has_operator() && self.told_begun(Ok(()))
    }

    /// To the payment that the call is about: from what the dialplan said, or from what the caller keys first.
    async fn lead(
        &mut self,
        channel: &ivrpay_ari::Channel,
        args: Result<Arguments, &'static str>,
    ) -> Result<Order, Refused> {
        let args = match args {
            Ok(args) if args.line => Ok(Box::pin(self.line(channel, args)).await?),
            Ok(args) if args.call.is_some() => Ok(Box::pin(self.human(args)).await?),
            other => other,
        };
        self.order(channel, args).await
    }

    /// Finds or makes the payment that this call is about, and claims it.
    async fn order(
        &mut self,
        channel: &ivrpay_ari::Channel,
        args: Result<Arguments, &'static str>,
    ) -> Result<Order, Refused> {
        let internal = Refused::internal;
        let args = args.map_err(|why| {
            events::arguments_refused(&self.about, why);
            internal(Language::Ja)
        })?;
        self.about.practice = args.mode == Mode::Training;
        let shared = Arc::clone(&self.shared);
        let tenant = self.tenant(&shared, &args)?;
        self.detaches = tenant.spy == spies::Policy::Detach;
        self.hearers = tenant.stay_prompts;
        self.extension = self.operator_extension(&args).await?;
        if args.mode != Mode::SelfService {
            self.ladder = Some(tenant.ladder.clone());
        }
        if let Some(extension) = &self.extension {
            self.lamp = Box::pin(shared.lamps.light(extension)).await;
        }
        if shared.recorders.any(&tenant.id) {
            self.seat = Some(Seat {
                caller: caller_number(channel),
                // By it a softphone or a screen recorder knows its seat.
                extension: self.extension.clone(),
            });
        }
        let language = args.language.unwrap_or(tenant.language);
        self.language = language;
        // Should this process end, the dialplan has somebody for the caller all the same.
        Box::pin(self.set_ladder(Ending::Error, Line::WhisperInternalError)).await;

        let begins = args.begins(tenant.currency, tenant.transaction);
        let begins = begins.map_err(|why| {
            events::arguments_refused(&self.about, why);
            internal(language)
        })?;
        // Practice has a payment of its own: with the null connector, which approves, a real one would be taken for paid.
        let found = if args.mode == Mode::Training && begins.is_some() {
            None
        } else {
            self.find(channel, &args, tenant).await?
        };
        let claim = match (found, begins) {
            (Some(payment), begins) => {
                // Two sources that differ: nobody guesses about money (I7).
                let amount = begins.filter(|_| args.amount.is_some());
                let differs = if amount.is_some_and(|(_, amount)| amount != payment.amount) {
                    Some("amount differs from that of the announced payment")
                } else if args.transaction.is_some_and(|t| t != payment.transaction) {
                    Some("type differs from that of the announced payment")
                } else {
                    None
                };
                if let Some(why) = differs {
                    events::arguments_refused(&self.about, why);
                    return Err(internal(language));
                }
                if args.mode != Mode::Training {
                    self.has_room(order::refused(tenant, &payment))?;
                }
                self.claim(&payment, language).await?
            }
            (None, Some(begins)) => {
                self.create(&args, tenant, begins, channel, language)
                    .await?
            }
            (None, None) => {
                events::no_payment_matched(&self.about, 0);
                return Err(internal(language).because(Refusal::NothingWaiting));
            }
        };
        let language = args
            .language
            .or_else(|| claim.payment().language.parse().ok())
            .unwrap_or(language);
        self.language = language;
        self.about.payment_id = Some(claim.payment().id);
        Ok(Order {
            claim,
            language,
            mode: args.mode,
        })
    }

    /// Whether whoever is to be asked has room for the payment: else no card is asked for.
    fn has_room(&self, refused: Option<String>) -> Result<(), Refused> {
        match refused {
            None => Ok(()),
            Some(why) => {
                events::arguments_refused(&self.about, &why);
                let refused = Refused::internal(self.language);
                Err(refused.because(Refusal::NothingWaiting))
            }
        }
    }

    async fn claim(&self, payment: &Payment, language: Language) -> Result<Claim, Refused> {
        let journal = self.shared.settle.journal();
        let (call, entered_by) = (self.about.call_id, self.about.entered_by);
        let claimed = journal.claim_keyed_by(payment.id, call, entered_by).await;
        claimed.map_err(|error| match error {
            ClaimError::Journal(error) => {
                events::journal_failed(Some(payment.id), "claim", &error);
                Refused::internal(language)
            }
            ClaimError::NotWaiting { state } => self.taken(payment.id, state, language),
            // Another call has it at this moment.
            _ => self.taken(payment.id, PaymentState::Waiting, language),
        })
    }

    /// The tenant that the arguments name: the call's from here on.
    fn tenant<'a>(&mut self, shared: &'a Shared, args: &Arguments) -> Result<&'a Tenant, Refused> {
        let tenant = order::tenant(&shared.tenants, args).ok_or_else(|| {
            events::arguments_refused(&self.about, "tenant is not one of the configuration");
            Refused::internal(args.language.unwrap_or(Language::Ja))
        })?;
        self.about.tenant = Some(tenant.id.clone());
        Ok(tenant)
    }

    /// An announced payment: by argument, by the operator's channel, or, on attended calls, by the caller's number. Several
    /// candidates are never guessed.
    async fn find(
        &self,
        channel: &ivrpay_ari::Channel,
        args: &Arguments,
        tenant: &Tenant,
    ) -> Result<Option<Payment>, Refused> {
        let journal = self.shared.settle.journal();
        let (extension, caller) = (self.extension.as_deref(), &channel.caller.number);
        let found = order::find(journal, tenant, args, extension, caller).await;
        found.map_err(|why| match why {
            NotFound::Journal(error) => {
                events::journal_failed(None, "find", &error);
                Refused::internal(self.language)
            }
            NotFound::Foreign => {
                events::arguments_refused(&self.about, "payment is not one of this tenant's");
                Refused::internal(self.language)
            }
            NotFound::Taken { by, state } => self.taken(by, state, self.language),
            NotFound::Several(candidates) => {
                events::no_payment_matched(&self.about, candidates.len());
                Refused::internal(self.language)
            }
        })
    }

    /// The extension of the operator who sent the caller here: an argument, or the endpoint that made a blind transfer
    /// (`PJSIP/201-0000002a` is extension 201).
    async fn operator_extension(&self, args: &Arguments) -> Result<Option<String>, Refused> {
        if args.operator_extension.is_some() || args.mode == Mode::SelfService {
            return Ok(args.operator_extension.clone());
        }
        let Some(operator) = self.variable("BLINDTRANSFER").await? else {
            return Ok(None);
        };
        let edge = &self.shared.edge;
        let number = if edge.is_set() {
            // The customer's channel keeps with whom he talked, as the office PBX had told it.
            self.variable("CONNECTEDLINE(num)").await?
        } else {
            None
        };
        let extension = edge.extension(&operator, number.as_deref().unwrap_or_default());
        Ok(extension.map(str::to_owned))
    }

    /// A variable of the caller's channel; `None` where it is not set or empty.
    async fn variable(&self, name: &'static str) -> Result<Option<String>, Refused> {
        let (client, channel) = (&self.shared.client, &self.about.channel_id);
        let value = client.get_variable(channel, name).await.map_err(|error| {
            // Not knowing is not "nobody": a second payment would be made beside the announced one.
            events::ari_request_failed(&self.about, name, &error);
            Refused::internal(self.language)
        })?;
        Ok(value.filter(|value| !value.is_empty()))
    }

    async fn create(
        &self,
        args: &Arguments,
        tenant: &Tenant,
        (transaction, amount): (Transaction, Money),
        channel: &ivrpay_ari::Channel,
        language: Language,
    ) -> Result<Claim, Refused> {
        let connector = if args.mode == Mode::Training {
            TRAINING
        } else {
            &tenant.connector
        };
        // A card is stored, or checked, where no route says another.
        let asked = if args.mode == Mode::Training || !transaction.moves_money() {
            vec![connector]
        } else {
            tenant.routing.connectors()
        };
        let settle = &self.shared.settle;
        if !asked
            .iter()
            .all(|name| settle.can(name, transaction.kind()))
        {
            events::arguments_refused(&self.about, "type is none that the tenant's acquirer has");
            return Err(Refused::internal(language));
        }
        if args.mode != Mode::Training {
            let named = (!transaction.moves_money()).then_some(connector);
            self.has_room(order::refused_new(tenant, transaction, named, amount))?;
        }
        let new = NewPayment {
            tenant: tenant.id.clone(),
            // Practice locks no order.
            order: args.order.clone().filter(|_| args.mode != Mode::Training),
            part: args.part,
            operator: args.operator.clone(),
            site: tenant.site.clone(),
            asked_plan: None,
            amount,
            mode: if tenant.live && args.mode != Mode::Training {
                PaymentMode::Live
            } else {
                PaymentMode::Test
            },
            entered_by: self.about.entered_by,
            connector: connector.to_owned(),
            connector_named: !transaction.moves_money(),
            language: language.to_string(),
            prompt_version: ivrpay_prompts::VERSION.to_owned(),
            operator_extension: args.operator_extension.clone(),
            caller_number: caller_number(channel),
            origin: Origin::Dialplan,
            request: None,
            // This call's own: it ends with the call.
            expires_ms: None,
            transaction,
            stored: None,
            attached: ivrpay_journal::Attached::default(),
        };
        let journal = self.shared.settle.journal();
        match journal.create_claimed(new, self.about.call_id).await {
            Ok(claim) => Ok(claim),
            Err(CreateError::OrderTaken { payment_id, state }) => {
                Err(self.taken(payment_id, state, language))
            }
            Err(CreateError::Journal(error)) => {
                events::journal_failed(None, "create", &error);
                Err(Refused::internal(language))
            }
            Err(error) => {
                events::arguments_refused(
                    &self.about,
                    match error {
                        CreateError::PartNotDeclared { .. } => {
                            "part is not a declared part of the order"
                        }
                        CreateError::PartDiffers { .. } => {
                            "the order is paid in parts, and this is the amount of none"
                        }
                        _ => "a field looks like a card number or is too long",
                    },
                );
                Err(Refused::internal(language))
            }
        }
    }

    /// What a caller hears whose order has another payment. "Paid" is said of a payment that is approved, and of no other: on
    /// that word the goods are sent.
    fn taken(&self, by: PaymentId, state: PaymentState, language: Language) -> Refused {
        events::order_taken(&self.about, by, state);
        let (result, say): (_, &[Line]) = match state {
            PaymentState::Approved => (CallResult::OrderAlreadyPaid, &[Line::OrderAlreadyPaid]),
            PaymentState::InFlight | PaymentState::Unknown => {
                (CallResult::OutcomeUnknown, &[Line::OutcomeUnknown])
            }
            // Another call is at it, or it is over; an operator looks it up.
            _ => (CallResult::InternalError, &[Line::InternalError]),
        };
        Refused {
            result,
            say,
            language,
            why: order::refusal(state),
        }
    }

    /// Whether a card may be asked for; dangers for which somebody answers.
    async fn safe(&mut self, practice: bool) -> Result<Vec<Danger>, Danger> {
        self.shared.edge.takes(&self.channel_name, practice)?;
        self.window_is_closed()?;
        // Recorders first: what they hear until they have paused is kept.
        self.pause_recorders().await?;
        self.unheard_by_others(self.began).await
    }

    /// Leads the caller through the payment.
    async fn pay(&mut self, order: Order) -> CallResult {
        let seen = Seen {
            mode: self.company(&order),
            card: None,
            ends: None,
        };
        let extension = self.extension.as_deref();
        self.listed.takes(order.claim.payment(), extension, seen);
        self.started();
        let shared = Arc::clone(&self.shared);
        let mut safe = match Box::pin(self.seat_operator()).await {
            Ok(()) => {
                let practice = order.mode == Mode::Training;
                Box::pin(self.safe(practice)).await
            }
            Err(danger) => Err(danger),
        };
        if self.operator_keys() && safe.is_ok() {
            safe = Box::pin(self.begin_talk()).await;
        }
        match safe {
            Ok(excepted) => {
                events::captured_by_exception(&self.about, &excepted);
                let excepted: Vec<_> = excepted.iter().map(|danger| danger.name()).collect();
                let at_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.guarded = Some(serde_json::json!({
                    "is": "guarded", "mode": self.company(&order), "muted": self.muted, "recorders_paused": self.seat.is_some(),
                    "excepted": excepted, "at_ms": at_ms,
                }));
            }
            Err(danger) => {
                if matches!(danger, Danger::NotKnown | Danger::NotMuted) {
                    // Of a channel that is no more Asterisk answers nothing, and perhaps before it tells its end.
                    Box::pin(self.await_end()).await;
                }
                let result = if self.gone {
                    CallResult::CallerHungUp
                } else {
                    shared.events.capture_refused(&self.about, danger);
                    CallResult::InternalError
                };
                self.release(order.claim, result, None).await;
                let refused = Refused::internal(order.language).because(danger.refusal());
                return Box::pin(self.refuse(refused)).await;
            }
        }
        let tenant = shared
            .tenants
            .iter()
            .find(|t| t.id == order.claim.payment().tenant);
        let setup = Setup {
            amount: order.claim.payment().amount,
            transaction: order.claim.payment().transaction,
            stored: order
                .claim
                .payment()
                .stored
                .as_ref()
                .map(|stored| stored.card),
            attended: order.mode != Mode::SelfService,
            rules: Rules {
                brands: match &self.lead {
                    Some(lead) => lead.brands(self.brands(&order)),
                    None => self.brands(&order),
                },
                luhn: true,
            },
            month: this_month(),
            training: order.mode == Mode::Training,
            reference: order.claim.payment().reference,
            security_code: tenant.is_none_or(|t| t.security_code)
                && self.lead.as_ref().is_none_or(Led::wants_code),
            led: self.lead.as_ref().map(Led::leading),
            can_pause: self.operator.is_some() && !self.operator_keys(),
            greeting: !self.operator_keys(),
            operator_keys: self.operator_keys(),
            offers: self.offers(&order),
            plan: order.claim.payment().asked_plan,
            ..Setup::default_for(order.claim.payment().amount)
        };
        let settings = if self.operator_keys() {
            Arc::new(ivrpay_dialogue::keyed::settings(&shared.settings))
        } else if let Some(lead) = &self.lead {
            Arc::new(lead.settings(&shared.settings))
        } else {
            Arc::clone(&shared.settings)
        };
        let Ok(mut dialogue) = Dialogue::new(settings, setup) else {
            events::capacity(&self.about.channel_id);
            let result = CallResult::CapacityExceeded;
            // Who is told makes an end of the payment that was made for this: it has to be free by then.
            self.release(order.claim, result, None).await;
            self.told_begun(Err(Refusal::NoPlace));
            // The dialplan speaks: it does so too where the daemon has no place to lead a call.
            self.give_back(result, None).await;
            Box::pin(self.see_off_operator()).await;
            return result;
        };
        let mut wishes = shared.cancels.take(order.claim.payment().id);
        if !self.is_led_on() {
            drop((dialogue, wishes));
            events::not_led(&self.about);
            let result = if self.gone {
                CallResult::CallerHungUp
            } else {
                CallResult::AgentCancelled
            };
            self.release(order.claim, result, None).await;
            let refused = Refused {
                result,
                say: &[],
                language: order.language,
                why: Refusal::NoCustomer,
            };
            return Box::pin(self.refuse(refused)).await;
        }
        let mut end = self.drive(&mut dialogue, &order, &mut wishes).await;
        // Before the payment is free for another call.
        drop(wishes);
        if self.overflowed && end.result == CallResult::CallerHungUp {
            // The dialogue was told so to make it end; the caller is there, and goes back.
            end.result = CallResult::InternalError;
        }
        // The digits are gone before anybody hears of the caller again.
        drop(dialogue);
        if let Some(lead) = &self.lead {
            lead.ended(&end);
        }
        self.keys_told(end.keys);
        let (amount, transaction) = {
            let payment = order.claim.payment();
            (payment.amount, payment.transaction)
        };
        self.release(order.claim, end.result, Some(&end)).await;
        let whisper = self.told_of(&end, amount, transaction);
        Box::pin(self.whisper(whisper)).await;
        self.give_back(end.result, Some(&end)).await;
        Box::pin(self.see_off_operator()).await;
        end.result
    }

    /// How it ended, and before it for what it had to.
    fn told_of(&self, end: &End, amount: Money, transaction: Transaction) -> Prompt {
        let danger = self.danger.map(|danger| danger.refusal());
        let mut says = danger.map_or_else(Vec::new, |why| ivrpay_dialogue::operator::reason(why).0);
        let ended = if self.talk.is_some() {
            ivrpay_dialogue::keyed::whisper(end, amount, transaction)
        } else {
            ivrpay_dialogue::operator::whisper(end, amount, transaction)
        };
        says.extend(ended.0);
        Prompt(says)
    }

    /// One change into the dialogue, then its outputs until there are none, then the next event or its deadline.
    async fn drive(&mut self, dialogue: &mut Dialogue, order: &Order, wishes: &mut Wishes) -> End {
        let mut pending = Pending::default();
        dialogue.start(self.now());
        loop {
            let end = self.drain(dialogue, order, &mut pending).await;
            // A key that asked for nothing: the next request is not its own.
            self.key_arrived = None;
            if let Some(intent) = pending.unsent.take() {
                // The caller hung up, or the call was ended, between the intent and the charge: nothing was sent.
                Box::pin(self.shared.settle.not_sent(&intent)).await;
            }
            if let Some(end) = end {
                // The dialogue may be over with an intent still on its way to the disk: it is not sent either.
                if let Some(writing) = pending.written.take()
                    && let Ok(Ok(intent)) = writing.await
                {
                    Box::pin(self.shared.settle.not_sent(&intent)).await;
                }
                return end;
            }
            if self.wants_silence() {
                Box::pin(self.send_silence()).await;
            }
            let deadline = dialogue
                .deadline()
                .map(|at| tokio::time::Instant::from_std(self.began + at.0));
            let input = tokio::select! {
                // Keys before deadlines: a key that has arrived counts, however late we are.
                biased;
                // A channel that is gone says no more, and says so at once: it would starve the answer.
                event = self.inbox.recv(), if !self.gone && !self.overflowed => match event {
                    Some(CallEvent::SocketBack) => Box::pin(self.socket_back()).await,
                    event => self.input(event),
                },
                event = operator::event(&mut self.operator) => {
                    Box::pin(self.operator_event(event)).await
                }
                happens = keyed::happens(&mut self.talk) => Box::pin(self.talk_event(happens)).await,
                Some(command) = self.commands.recv() => Some(Input::Command(command)),
                wish = wishes.next() => self.wish(dialogue, wish),
                written = wait(&mut pending.written) => Some(match written {
                    Some(Ok(intent)) => Input::Written(intent),
                    Some(Err(why)) => Input::NotWritten(why),
                    None => Input::NotWritten(NotWritten::Failed),
                }),
                answered = wait(&mut pending.answered) => Some(Input::Answered(
                    // The task that asks never drops its end but by a panic: then nobody knows.
                    answered.unwrap_or(Outcome::Unknown(ivrpay_payment::Doubt::NoReply)),
                )),
                () = sleep_until(deadline) => Some(Input::DeadlineReached),
            };
            if let Some(input) = input {
                if let Input::Answered(outcome) = &input {
                    self.settled = match outcome {
                        // It is on disk: whatever becomes of the last prompt, the card is charged.
                        Outcome::Approved(_) => Some(CallResult::Success.name()),
                        Outcome::Declined(_) | Outcome::NotCharged(_) => Some(""),
                        Outcome::Unknown(_) => None,
                    };
                }
                if let Input::Written(intent) = &input {
                    pending.unsent = Some(intent.clone());
                }
                // A key counts from when it came off the socket, however late its turn is.
                let at = match (&input, self.key_arrived) {
                    (Input::Key(..), Some(arrived)) => {
                        At(arrived.saturating_duration_since(self.began))
                    }
                    _ => self.now(),
                };
                dialogue.handle(at, input);
            }
        }
    }

    /// What somebody's wish is to the dialogue.
    fn wish(&mut self, dialogue: &Dialogue, wish: Wish) -> Option<Input> {
        let by = wish.by()?.clone();
        let want = wish.want();
        // Asked once more, what was done is answered once more; and of one that ends nothing else is wanted.
        if self.cancelled.is_some() {
            wish.answer(match want {
                Want::Cancel => Wished::Done(self.about.call_id),
                _ => Wished::NotInCall,
            });
            return None;
        }
        match dialogue.stage() {
            Stage::Open => {}
            Stage::Charging => {
                wish.answer(Wished::ChargeSent);
                return None;
            }
            Stage::Ending => {
                wish.answer(Wished::NotInCall);
                return None;
            }
        }
        let command = match want {
            Want::Switch(mode) => {
                let (answer, input) = self.wish_switch(dialogue, mode);
                if matches!(answer, Wished::Done(_)) {
                    events::wished(&self.about, want, &by);
                }
                wish.answer(answer);
                return input;
            }
            Want::Capture(field, again) => match card_field(field) {
                Some(field) => Command::Capture(Ask { field, again }),
                None => {
                    wish.answer(Wished::NotNow);
                    return None;
                }
            },
            Want::Complete => Command::Complete,
            Want::Cancel => Command::Cancel,
            Want::Pause => Command::Pause,
            Want::Resume => Command::Resume,
            Want::Ask(field) => Command::ReAsk(match field {
                Field::PaymentAmount => Step::PaymentAmount,
                Field::PaymentCardNumber => Step::PaymentCardNumber,
                Field::ExpirationDate => Step::ExpirationDate,
                Field::SecurityCode => Step::SecurityCode,
                Field::PaymentPlan => Step::PaymentPlan,
                Field::Confirmation => Step::Confirmation,
            }),
        };
        // Who pauses has to be able to talk.
        let alone = want == Want::Pause && self.operator.as_ref().is_none_or(|o| o.gone);
        if alone || !dialogue.takes(self.now(), command) {
            let completes = matches!(want, Want::Complete | Want::Capture(..));
            let answer = if completes && self.lead.is_some() && dialogue.is_completing() {
                Wished::Completing
            } else {
                Wished::NotNow
            };
            wish.answer(answer);
            return None;
        }
        events::wished(&self.about, want, &by);
        match want {
            Want::Cancel => self.cancelled = Some((by, self.now())),
            Want::Complete => self.completed = Some((by, self.now())),
            _ => {}
        }
        wish.answer(Wished::Done(self.about.call_id));
        Some(Input::Command(command))
    }

    /// Where the operator is to be from here on. While a field is keyed it stands still for that, and goes on by itself.
    fn wish_switch(&mut self, dialogue: &Dialogue, mode: CaptureMode) -> (Wished, Option<Input>) {
        let (now, done) = (self.now(), Wished::Done(self.about.call_id));
        let company = match mode {
            CaptureMode::Hold => Company::Hold,
            CaptureMode::Stay => Company::Stay,
            CaptureMode::Led => return (Wished::NotNow, None),
        };
        let fixed = self.operator_keys() || self.lead.is_some() || self.switching.is_some();
        let Some(operator) = self.operator.as_mut().filter(|o| !o.gone && !fixed) else {
            return (Wished::NotNow, None);
        };
        if operator.is_already(company) {
            return (done, None);
        }
        if !dialogue.takes(now, Command::Pause) {
            return (Wished::NotNow, None);
        }
        self.switching = Some(company);
        (done, Some(Input::Command(Command::Pause)))
    }

    /// The end of a prompt may have been told while nobody heard it: whoever waits for it would wait in silence.
    async fn socket_back(&mut self) -> Option<Input> {
        let id = self.playback.clone()?;
        match self.shared.client.playback(&id).await {
            Err(RequestError::Gone) => {
                let ended = CallEvent::PlaybackFinished { id, failed: false };
                self.input(Some(ended))
            }
            // It plays, or that can't be known: then its longest time ends it.
            _ => None,
        }
    }

    /// What an event of Asterisk is to the dialogue.
    fn input(&mut self, event: Option<CallEvent>) -> Option<Input> {
        match event {
            Some(CallEvent::KeyWaiting { arrived, lasted }) => {
                let key = self.inbox.take_key()?;
                if self.operator_keys() {
                    // The caller's keys are nobody's.
                    return None;
                }
                self.key_arrived = Some(arrived);
                self.last_key = Some(arrived);
                Some(Input::Key(key, lasted))
            }
            Some(CallEvent::PlaybackFinished { id, failed }) => {
                if self.playback.as_ref() != Some(&id) {
                    return None;
                }
                if failed && !self.gone {
                    events::prompt_failed(&self.about);
                }
                self.unheard = failed;
                self.playback = None;
                self.is_led_by_customer().then_some(Input::PromptEnded)
            }
            Some(CallEvent::KeysLost) if self.operator_keys() => None,
            Some(CallEvent::KeysLost) => {
                events::keys_lost(&self.about);
                Some(Input::KeysLost)
            }
            // Events, keys among them, came faster than any caller can press, and nothing more is told of this channel: the
            // dialogue ends as if hung up, and the caller is given back.
            Some(CallEvent::Overflow) => {
                events::overflow(&self.about);
                self.overflowed = true;
                Some(Input::HungUp)
            }
            Some(
                CallEvent::HangupRequest
                | CallEvent::StasisEnd
                | CallEvent::Destroyed { .. }
                | CallEvent::Gone,
            ) => {
                self.gone = true;
                Some(Input::HungUp)
            }
            // Nobody reads Asterisk's socket any more; the caller is there, and is given back.
            None => {
                self.overflowed = true;
                Some(Input::HungUp)
            }
            Some(_) => None,
        }
    }

    /// Does what the dialogue asks for. `Some` when it is over.
    async fn drain(
        &mut self,
        dialogue: &mut Dialogue,
        order: &Order,
        pending: &mut Pending,
    ) -> Option<End> {
        while let Some(output) = dialogue.poll_output() {
            match output {
                Output::Play(prompt) => {
                    if !self.play(&prompt).await {
                        // Nothing will end it: the dialogue goes on without.
                        dialogue.handle(self.now(), Input::PromptEnded);
                    }
                }
                Output::StopPlay if self.is_led_by_customer() => {
                    self.stop_play().await;
                    // One who waits hears other words, and music.
                    let beside = self.operator.as_ref().is_some_and(Operator::stays);
                    if beside && self.hearers == Hearers::Both {
                        Box::pin(self.hush_operator()).await;
                    }
                }
                // What the caller hears he hears to its end.
                Output::StopPlay => self.hush_operator().await,
                Output::Listen(on) => {
                    if Box::pin(self.listen(on)).await {
                        dialogue.handle(self.now(), Input::Listening);
                    }
                }
                Output::Progress(progress) => {
                    self.listed.sees(&Seen {
                        mode: self.company(order),
                        card: dialogue.card(),
                        ends: dialogue.ends().map(|at| self.began + at.0),
                    });
                    self.shared.events.progress(&self.about, &progress);
                    if let Some(danger) = Box::pin(self.follow(&progress)).await {
                        self.shared.events.capture_refused(&self.about, danger);
                        // A pause without an operator is no danger that the next one should hear of.
                        let is_there = self.operator.as_ref().is_some_and(|o| !o.gone);
                        self.danger = Some(danger).filter(|_| is_there);
                        dialogue.handle(self.now(), Input::Command(Command::Cancel));
                    } else if std::mem::take(&mut self.switched) {
                        dialogue.handle(self.now(), Input::Command(Command::Resume));
                    }
                }
                Output::Taken(taken) => {
                    if let Some(lead) = &self.lead {
                        lead.taken(taken);
                    }
                }
                Output::Write(draft) => {
                    if !self.is_offered(order, &draft) {
                        let why = NotWritten::PlanNotOffered;
                        dialogue.handle(self.now(), Input::NotWritten(why));
                        continue;
                    }
                    let (done, receiver) = oneshot::channel();
                    let (settle, payment) = (self.shared.settle.clone(), order.claim.payment().id);
                    let ways = settle.open(order.ways(&self.shared.tenants, &draft));
                    let connector = ways.first().to_owned();
                    pending.ways = Some(ways);
                    tokio::spawn(async move {
                        drop(done.send(settle.write(payment, &connector, draft).await));
                    });
                    pending.written = Some(receiver);
                    self.mark_unknown(order).await;
                }
                Output::Authorise(intent, card) => {
                    pending.unsent = None;
                    // Set where the intent was asked for; without it nobody would be asked.
                    let ways = pending.ways.take().unwrap_or_else(|| Ways::only(""));
                    let merchant = (order.mode != Mode::Training)
                        .then(|| order.claim.payment().tenant.clone());
                    pending.answered =
                        Some(self.shared.settle.authorise(ways, intent, card, merchant));
                }
                Output::End(end) => return Some(end),
            }
        }
        None
    }

    /// Where the operator is meanwhile.
    fn company(&self, order: &Order) -> &'static str {
        match &self.operator {
            Some(operator) if !operator.gone && self.lead.is_some() => "led",
            Some(operator) if !operator.gone => operator.company(),
            _ if order.mode == Mode::SelfService => "self-service",
            _ => "caller",
        }
    }

    /// What the merchant offers today for this payment, of what whoever is asked can carry. Practice goes nowhere.
    fn offers(&self, order: &Order) -> Offers {
        let payment = order.claim.payment();
        let tenants = &self.shared.tenants;
        let Some(tenant) = tenants.iter().find(|t| t.id == payment.tenant) else {
            return Offers::NONE;
        };
        let offers = plans::today_for(tenant, payment.transaction);
        if order.mode == Mode::Training {
            return offers.of(payment.amount);
        }
        tenant.routing.offers(order::wish(payment, &offers))
    }

    /// The brands by which it can be taken. Practice goes nowhere.
    fn brands(&self, order: &Order) -> Vec<Brand> {
        let payment = order.claim.payment();
        let tenants = &self.shared.tenants;
        let Some(tenant) = tenants.iter().find(|t| t.id == payment.tenant) else {
            return Vec::new();
        };
        if order.mode == Mode::Training {
            return tenant.brands.clone();
        }
        let offers = plans::today_for(tenant, payment.transaction);
        tenant.routing.brands(order::wish(payment, &offers))
    }

    /// Whether the merchant offers the plan, for this card and amount and today: asked once more before anything is written, and what
    /// is not is refused, never sent as one payment instead.
    fn is_offered(&self, order: &Order, draft: &Draft) -> bool {
        let offers = self.offers(order);
        let allowed = offers.with(draft.card.brand).allows(draft.plan);
        if !allowed {
            events::plan_refused(&self.about, draft.plan, draft.card.brand);
        }
        allowed
    }

    /// Whatever becomes of this process from here on, the dialplan does not take a charge for no charge: until the answer is
    /// there, the call's result is that nobody knows (I4: unknown is not declined).
    async fn mark_unknown(&mut self, order: &Order) {
        let id = order.claim.payment().id.to_string();
        self.set("IVRPAY_PAYMENT_ID", &id).await;
        self.set(RESULT_VARIABLE, CallResult::OutcomeUnknown.name())
            .await;
        Box::pin(self.set_ladder(Ending::Unknown, Line::WhisperUnknown)).await;
    }

    /// What the dialplan goes by. An Asterisk that refuses it now is asked again, as it is asked again to let the caller go on: of one who
    /// has paid the dialplan would believe that nobody knows.
    async fn set_all(&mut self, variables: &[(&'static str, String)]) {
        let mut wait = GO_ON_WAIT;
        for tries_left in (0..GO_ON_TRIES).rev() {
            let mut all = true;
            for (name, value) in variables {
                all &= self.set(name, value).await;
            }
            if all || tries_left == 0 {
                return;
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }

    /// False where it was not set, and may be another time.
    async fn set(&mut self, name: &'static str, value: &str) -> bool {
        if self.gone {
            return true;
        }
        if self.variables.get(name).is_some_and(|set| set == value) {
            return true;
        }
        let client = &self.shared.client;
        match client
            .set_variable(&self.about.channel_id, name, value)
            .await
        {
            Ok(()) => {
                self.variables.insert(name, value.to_owned());
                true
            }
            Err(error) => {
                // It may have been set all the same: what the channel has is not known now.
                self.variables.remove(name);
                events::ari_request_failed(&self.about, "variable", &error);
                // One that was taken and not answered in time is done before the caller goes on, since Asterisk keeps the order.
                !matches!(
                    error,
                    RequestError::NotSent { .. } | RequestError::Refused { .. }
                )
            }
        }
    }

    /// To whom the dialogue speaks. Whether it plays, or nobody is there to hear it.
    async fn play(&mut self, prompt: &Prompt) -> bool {
        if self.is_led_by_customer() {
            let plays = self.play_to_customer(prompt).await;
            Box::pin(self.play_beside(prompt)).await;
            return plays;
        }
        Box::pin(self.play_to_operator(prompt)).await
    }

    async fn play_to_customer(&mut self, prompt: &Prompt) -> bool {
        self.stop_play().await;
        if self.gone {
            return true;
        }
        if let Some(result) = self.settled.take() {
            // Here, since setting a variable waits for a prompt that plays.
            self.set(RESULT_VARIABLE, result).await;
        }
        self.playbacks += 1;
        let Ok(id) = PlaybackId::new(&format!("ivrpay-{}-{}", self.about.call_id, self.playbacks))
        else {
            return false;
        };
        self.request_begins();
        self.silent = false;
        let (client, channel) = (&self.shared.client, &self.about.channel_id);
        match spoken::play(client, channel, &id, prompt, self.language).await {
            Ok(()) => {
                self.playback = Some(id);
                self.unheard = false;
                true
            }
            // It may play all the same; then its end is told.
            Err(RequestError::OutcomeUnknown) => {
                self.playback = Some(id);
                self.unheard = true;
                events::ari_request_failed(&self.about, "play", &RequestError::OutcomeUnknown);
                true
            }
            Err(error) => {
                self.unheard = true;
                events::ari_request_failed(&self.about, "play", &error);
                false
            }
        }
    }

    async fn stop_play(&mut self) {
        let Some(id) = self.playback.take() else {
            return;
        };
        if self.gone {
            return;
        }
        self.request_begins();
        if let Err(error) = self.shared.client.stop_playback(&id).await {
            events::ari_request_failed(&self.about, "stop", &error);
        }
    }

    fn request_begins(&mut self) {
        if let Some(arrived) = self.key_arrived.take() {
            events::key_to_request(arrived.elapsed());
        }
    }

    /// Waits a moment for the end of the channel.
    async fn await_end(&mut self) {
        let limit = tokio::time::Instant::now() + END_WAIT;
        while !self.gone && !self.overflowed {
            tokio::select! {
                event = self.inbox.recv() => drop(self.input(event)),
                () = tokio::time::sleep_until(limit) => return,
            }
        }
    }

    /// Says why there is no payment, then gives the caller back.
    async fn refuse(&mut self, mut refused: Refused) -> CallResult {
        self.language = refused.language;
        let mut whisper = ivrpay_dialogue::operator::reason(refused.why);
        while let Some(event) = self.inbox.try_recv() {
            drop(self.input(Some(event)));
        }
        if self.gone && refused.result == CallResult::InternalError {
            // He hung up, and that is why: what was asked of his channel could not be answered.
            refused.result = CallResult::CallerHungUp;
            whisper = Prompt::from(Line::WhisperHungUp);
            refused.why = Refusal::NoCustomer;
        }
        self.told_begun(Err(refused.why));
        if !refused.say.is_empty() {
            let says = refused.say.iter().copied().map(Say::Line);
            self.play_to_customer(&Prompt(says.collect())).await;
        }
        let limit = tokio::time::Instant::now() + REFUSAL_MAX;
        while self.playback.is_some() && !self.gone && !self.overflowed {
            tokio::select! {
                event = self.inbox.recv() => drop(self.input(event)),
                () = tokio::time::sleep_until(limit) => break,
            }
        }
        Box::pin(self.whisper(whisper)).await;
        self.give_back(refused.result, None).await;
        Box::pin(self.see_off_operator()).await;
        refused.result
    }

    async fn release(&self, claim: Claim, result: CallResult, end: Option<&End>) {
        let mut evidence = end
            .and_then(|end| serde_json::to_value(&end.evidence).ok())
            .unwrap_or_default();
        let wishes = [
            ("cancelled", &self.cancelled),
            ("completed", &self.completed),
        ];
        for (is, done) in wishes {
            if let (Some(evidence), Some((by, at))) = (evidence.as_array_mut(), done) {
                let at_ms = u64::try_from(at.0.as_millis()).unwrap_or(u64::MAX);
                evidence.push(serde_json::json!({"is": is, "by": by.person.as_str(), "via": by.via, "at_ms": at_ms}));
            }
        }
        if let (Some(evidence), Some(guarded)) = (evidence.as_array_mut(), &self.guarded) {
            evidence.push(guarded.clone());
        }
        // Heard is what was played, not what was meant to be.
        let heard = !end.is_some_and(|end| end.hung_up || self.unheard);
        let settle = &self.shared.settle;
        let operator_knows = self
            .operator
            .as_ref()
            .is_some_and(|operator| !operator.gone);
        let known = (heard, operator_knows);
        Box::pin(settle.release(claim, result.name(), evidence, known)).await;
    }

    /// Result variables, then the next priority of the dialplan.
    async fn give_back(&mut self, result: CallResult, end: Option<&End>) {
        if self.gone {
            self.resume_recorders();
            self.listeners = None;
            return;
        }
        // Setting a variable waits for a prompt that still plays.
        self.stop_play().await;
        Box::pin(self.tail()).await;
        Box::pin(self.listen(false)).await;
        self.resume_recorders();
        let mut variables = vec![(RESULT_VARIABLE, result.name().to_owned())];
        if let Some(id) = self.about.payment_id {
            variables.push(("IVRPAY_PAYMENT_ID", id.to_string()));
        }
        if let Some(end) = end {
            if let Some(card) = end.card {
                variables.push(("IVRPAY_BRAND", card.brand.name().to_owned()));
                variables.push(("IVRPAY_LAST4", card.last4_text()));
            }
            if let Some(keys) = tones::name(end.keys) {
                variables.push(("IVRPAY_KEYS", keys.to_owned()));
            }
            if let Some(Outcome::Approved(approval)) = &end.outcome {
                variables.push(("IVRPAY_APPROVAL", approval.code.clone().unwrap_or_default()));
            }
        }
        self.set_all(&variables).await;
        let whispered = std::mem::take(&mut self.whispered);
        Box::pin(self.set_return(Ending::of(result, end), &whispered)).await;
        #[cfg(feature = "plant")]
        Box::pin(self.leak()).await;
        Box::pin(self.open_window()).await;
        // Nothing of ours is left around the two: the dialplan's `Bridge()` fetches the operator.
        Box::pin(self.part()).await;
        // Whoever has him next may take another payment.
        self.paying = None;
        Box::pin(go_on(&self.shared.client, &self.about.channel_id)).await;
        if let Some(window) = self.listeners.take() {
            Box::pin(window.close()).await;
        }
    }

    /// Who takes the caller back as things are, should no better be known.
    async fn set_ladder(&mut self, ending: Ending, whisper: Line) {
        let whisper = ladder::files(&Prompt(vec![Say::Line(whisper)]), self.language);
        self.set_return(ending, &whisper).await;
    }

    /// Who takes the caller back, for the dialplan, and what that person hears before.
    async fn set_return(&mut self, ending: Ending, whisper: &str) {
        let Some(ladder) = &self.ladder else {
            return;
        };
        self.ending = ending;
        let rungs = ladder.rungs(ending, self.extension.as_deref(), self.language);
        // Behind the last stands an empty one: an earlier payment of this channel may have had more.
        let rungs = rungs.iter().map(String::as_str).chain([""]);
        for (name, rung) in RUNGS.iter().zip(rungs) {
            self.set(name, rung).await;
        }
        self.set("IVRPAY_RETURN_LANGUAGE", self.language.code())
            .await;
        // Inherited by the channel of whoever is called.
        self.set("__IVRPAY_WHISPER", whisper).await;
    }

    /// The operator stays reserved until he has the caller again; without one who comes back, no longer.
    fn leave_lamp(&mut self) {
        let (Some(lamp), Some(ladder)) = (self.lamp.take(), &self.ladder) else {
            return;
        };
        let kept = ladder.kept(self.ending);
        if self.fetched || (kept.is_some() && !self.gone) {
            let until = Until {
                kept: kept.filter(|_| !self.fetched),
                wrap_up: ladder.wrap_up,
            };
            lamp.keep(self.about.channel_id.clone(), until);
        }
    }

    fn now(&self) -> At {
        At(self.began.elapsed())
    }
}

/// `None` for what is no field of a card.
fn card_field(field: Field) -> Option<CardField> {
    match field {
        Field::PaymentCardNumber => Some(CardField::PaymentCardNumber),
        Field::ExpirationDate => Some(CardField::ExpirationDate),
        Field::SecurityCode => Some(CardField::SecurityCode),
        Field::PaymentAmount | Field::PaymentPlan | Field::Confirmation => None,
    }
}

/// The rungs of the return ladder, and an empty one.
const RUNGS: [&str; RUNGS_MAX + 1] = [
    "IVRPAY_RETURN_1",
    "IVRPAY_RETURN_2",
    "IVRPAY_RETURN_3",
    "IVRPAY_RETURN_4",
    "IVRPAY_RETURN_5",
    "IVRPAY_RETURN_6",
    "IVRPAY_RETURN_7",
    "IVRPAY_RETURN_8",
    "IVRPAY_RETURN_9",
];

/// Times a channel is asked to go on in the dialplan, and the wait between, which doubles: 15 s in all.
const GO_ON_TRIES: u32 = 5;
const GO_ON_WAIT: Duration = Duration::from_secs(1);

/// Lets a channel go on in the dialplan, and asks again where Asterisk did not take it: a caller must not sit in silence until
/// `TIMEOUT(absolute)`. What could not be reached even so is found by the next listing of channels.
pub(crate) async fn go_on(client: &Client, channel: &ivrpay_ari::ChannelId) {
    let mut wait = GO_ON_WAIT;
    for tries_left in (0..GO_ON_TRIES).rev() {
        match client.continue_in_dialplan(channel, None).await {
            Ok(()) | Err(RequestError::Gone | RequestError::NotInStasis) => return,
            Err(error) => events::not_given_back(channel, &error, tries_left),
        }
        if tries_left > 0 {
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }
}

/// Variable of a channel that comes to this daemon and is none of its own: the dialplan asks another one, where there is one.
const NOT_TAKEN: &str = "IVRPAY_NOT_TAKEN";

/// Without the variable the dialplan goes on, and does not ask another daemon.
pub(crate) async fn say_not_taken(client: &Client, channel: &ivrpay_ari::ChannelId) {
    drop(client.set_variable(channel, NOT_TAKEN, "1").await);
}

/// Gives back a channel that has just come, of which nothing is known yet.
pub(crate) async fn not_taken(client: Client, channel: ivrpay_ari::ChannelId) {
    // For a dialplan that knows of no other daemon.
    let result = CallResult::InternalError.name();
    drop(client.set_variable(&channel, RESULT_VARIABLE, result).await);
    say_not_taken(&client, &channel).await;
    go_on(&client, &channel).await;
}

/// How long the end of a channel may be told behind an answer which says that it is gone.
const END_WAIT: Duration = Duration::from_millis(500);

/// Longest wait for a refusal to be spoken.
const REFUSAL_MAX: Duration = Duration::from_secs(15);

/// The value of a receiver that may not be there; it is taken away when it has come. Never ready where there is none.
async fn wait<T>(receiver: &mut Option<oneshot::Receiver<T>>) -> Option<T> {
    match receiver {
        Some(waiting) => {
            let value = waiting.await.ok();
            *receiver = None;
            value
        }
        None => std::future::pending().await,
    }
}

pub(crate) async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The caller's number as the trunk says it. A foreign number may look like a card's; then it is not kept.
fn caller_number(channel: &ivrpay_ari::Channel) -> Option<String> {
    let number = channel.caller.number.as_str();
    (!number.is_empty() && number.len() <= 24 && !ivrpay_journal::looks_like_card(number))
        .then(|| number.to_owned())
}

/// The month now where it is latest over, UTC-12: a card is good through the last day of its month, wherever the caller is. Up to
/// a day more is the issuer's to refuse.
fn this_month() -> Month {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(-12)));
    Month {
        year: u16::try_from(now.year()).unwrap_or(2099),
        month: u8::try_from(now.month()).unwrap_or(12),
    }
}
