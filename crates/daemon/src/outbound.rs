//! Customers whom we call (`POST /v1/calls`): rings them by the admin's dialplan, hears what became of it, and keeps it.
//!
//! The dialplan rings (`ivrpay-call`, the admin's, and `ivrpay-ring`), since the choice of a trunk is its own. It tells how that went by
//! `Stasis(…,call=ID,status=…)`; a customer who answered comes as `Stasis(…,call=ID,…)` and is led by [`crate::call`]. What tells
//! nothing is noticed by looking at the channel. Every call ends in the journal, once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ivrpay_ari::{Channel, ChannelId, Client, Dial, HangupReason, RequestError, Start};
use ivrpay_dialogue::CallResult;
use ivrpay_journal::{CustomerCall, First, Journal};
use ivrpay_payment::{CallId, TenantId};
use ivrpay_web::{NotCalled, ToCall};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::arguments::values;
use crate::call;
use crate::config::Tenant;
use crate::events::{self, Events};
use crate::pools::{NoPlace, Place, Pools};

/// What the ids of our channels begin with; the call's id follows.
const CHANNEL: &str = "ivrpay-call-";
/// Context of the admin's dialplan that dials a customer's number.
const CONTEXT: &str = "ivrpay-call";
/// Where the near half of our Local channel waits, should the admin's dialplan answer it before the customer does.
const NEAR: (&str, &str) = ("ivrpay-rung", "near");
/// Whose call it is, on each of its channels.
const INHERITED_APP: &str = "__IVRPAY_APP";
const APP: &str = "IVRPAY_APP";
/// How often the channel is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The channel is gone: how long the dialplan's word may be on its way.
const WORD_MAX: Duration = Duration::from_secs(2);
/// From the answer of the customer's telephone to our knowing of it, beyond the time that it rings: the dialplan may say first who is
/// calling. Our Local channel waits for so long in `ivrpay-rung`.
const SET_UP: Duration = Duration::from_secs(30);
/// How long an operator's telephone rings.
const OPERATOR_RING: Duration = Duration::from_secs(20);

/// Calls to customers that are on.
#[derive(Clone)]
pub(crate) struct Outbound(Arc<Inner>);

struct Inner {
    client: Client,
    journal: Journal,
    events: Events,
    tenants: Vec<Tenant>,
    on: Mutex<HashMap<CallId, On>>,
    pools: Pools,
    /// Our name for Asterisk: what the dialplan tells of these calls comes here, and to no other daemon.
    app: String,
    /// Nobody is called any more.
    draining: CancellationToken,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

struct On {
    tell: mpsc::UnboundedSender<Told>,
    /// Kept for the customer until he answers: then it is his call's, or he talks with an operator and needs none yet.
    place: Option<Place>,
}

/// What becomes known of a call.
enum Told {
    /// The customer answered.
    Answered,
    /// `DIALSTATUS` of the dialplan.
    Status(String),
    /// The payment's call is over.
    Over(CallResult),
}

/// Without AGI ([`Outbound::joined`]) the dialplan says so by a channel that does nothing else.
const JOINED: &str = "JOINED";

/// A channel of the dialplan that belongs to a call.
pub(crate) enum Mark {
    /// The customer, who has answered.
    Customer(CallId),
    /// It only tells what became of the ringing.
    Status(CallId, String),
}

impl Mark {
    pub(crate) fn of(args: &[String]) -> Option<Self> {
        let call = values(args, "call").next()?.parse().ok()?;
        Some(match values(args, "status").next() {
            Some(status) => Self::Status(call, status.to_owned()),
            None => Self::Customer(call),
        })
    }
}

impl Outbound {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one thing that a call needs"
    )]
    pub(crate) fn new(
        client: Client,
        journal: Journal,
        events: Events,
        tenants: Vec<Tenant>,
        pools: Pools,
        app: String,
        (draining, stopping): (CancellationToken, CancellationToken),
        tasks: TaskTracker,
    ) -> Self {
        Self(Arc::new(Inner {
            client,
            journal,
            events,
            tenants,
            on: Mutex::default(),
            pools,
            app,
            draining,
            stopping,
            tasks,
        }))
    }

    fn on(&self) -> MutexGuard<'_, HashMap<CallId, On>> {
        self.0.on.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a customer who is to be called, which he has when he answers.
    pub(crate) async fn ready(&self, tenant: &TenantId) -> Result<Place, NotCalled> {
        if self.0.draining.is_cancelled() || self.0.stopping.is_cancelled() {
            return Err(NotCalled::Away(
                "the service is being stopped; nobody is called",
            ));
        }
        let place = self.0.pools.place(tenant.as_str()).await;
        place.map_err(|why| match why {
            NoPlace::Full => NotCalled::Full,
            NoPlace::Away => NotCalled::Away(
                "the journal does not say whether a place is free; nobody is called",
            ),
        })
    }

    /// Customers who are being rung, and have not come yet.
    pub(crate) fn rung(&self) -> usize {
        self.on().values().filter(|on| on.place.is_some()).count()
    }

    /// Calls, in a task of its own.
    pub(crate) fn call(&self, to: ToCall, place: Place) {
        let (tell, told) = mpsc::unbounded_channel();
        let place = Some(place);
        self.on().insert(to.call.id, On { tell, place });
        let this = self.clone();
        self.0.tasks.spawn(async move {
            this.0.events.customer_called(&to.call);
            let result = this.lead(&to, told).await;
            this.on().remove(&to.call.id);
            this.end(&to.call, result).await;
        });
    }

    /// The customer answered: the place that was kept for him. `None` for a call that is not on, or has its customer: whoever it is, is not asked
    /// for anything.
    pub(crate) fn answered(&self, call: CallId) -> Option<Place> {
        let mut on = self.on();
        let on = on.get_mut(&call)?;
        let place = on.place.take()?;
        on.tell.send(Told::Answered).ok().map(|()| place)
    }

    /// The payment's call is over.
    pub(crate) fn over(&self, call: CallId, result: CallResult) {
        self.tell(call, Told::Over(result));
    }

    /// What became of the ringing; the channel that tells it goes on in the dialplan.
    pub(crate) fn status(&self, call: CallId, status: String, start: Start) {
        if status == JOINED {
            // They talk: no customer comes to us in this call's place.
            let place = self.on().get_mut(&call).and_then(|on| on.place.take());
            drop(place);
        }
        self.tell(call, Told::Status(status));
        let client = self.0.client.clone();
        self.0
            .tasks
            .spawn(async move { call::go_on(&client, &start.channel.id).await });
    }

    /// The two are talking, says the dialplan over AGI.
    pub(crate) fn joined(&self, call: CallId) {
        drop(self.answered(call));
    }

    fn tell(&self, call: CallId, told: Told) {
        if let Some(on) = self.on().get(&call) {
            // It may be over at this moment.
            drop(on.tell.send(told));
        }
    }

    async fn end(&self, call: &CustomerCall, result: &'static str) {
        match self.0.journal.end_customer_call(call.id, result).await {
            Ok(true) => self.0.events.customer_call_ended(call, result),
            Ok(false) => {}
            Err(error) => events::journal_failed(Some(call.payment), "call", &error),
        }
    }

    /// Rings, and waits for the end; how it ended.
    async fn lead(&self, to: &ToCall, mut told: mpsc::UnboundedReceiver<Told>) -> &'static str {
        let Ok(channel) = ChannelId::new(&format!("{CHANNEL}{}", to.call.id)) else {
            return INTERNAL;
        };
        let Some(tenant) = self.0.tenants.iter().find(|t| t.id == to.call.tenant) else {
            return INTERNAL;
        };
        if let Err(error) = self.ring(to, tenant, &channel).await {
            events::customer_not_called(to.call.id, "Asterisk refused the call");
            events::call_request_failed(to.call.id, &error);
            // It may ring all the same.
            self.hang_up(&channel).await;
            return match to.call.first {
                First::Customer => UNREACHABLE,
                First::Operator => OPERATOR_NO_ANSWER,
            };
        }
        let operator = match to.call.first {
            First::Customer => Duration::ZERO,
            First::Operator => OPERATOR_RING,
        };
        let limit = Instant::now() + operator + tenant.calls.ring + SET_UP;
        let talks = to.call.first == First::Operator;
        let mut look = tokio::time::interval(LOOK_EVERY);
        let (mut answered, mut gone_since) = (false, None::<Instant>);
        loop {
            tokio::select! {
                biased;
                Some(news) = told.recv() => match news {
                    Told::Answered => {
                        answered = true;
                        if !talks {
                            // Our Local channel has done its work.
                            self.hang_up(&channel).await;
                        }
                    }
                    Told::Over(result) => return result.name(),
                    Told::Status(status) if talks && status == JOINED => answered = true,
                    // Of a dialplan that says so of two who have talked.
                    Told::Status(status) if talks && (answered || status == "ANSWER") => return TALKED,
                    // The call of the payment says how it ended.
                    Told::Status(_) if answered => {}
                    Told::Status(status) => return result_of(&status),
                },
                () = self.0.stopping.cancelled(), if !answered || talks => {
                    if answered {
                        // They talk on without us.
                        return TALKED;
                    }
                    self.hang_up(&channel).await;
                    return INTERNAL;
                }
                () = tokio::time::sleep_until(limit), if !answered => {
                    self.hang_up(&channel).await;
                    return NO_ANSWER;
                }
                // The customer's own channel is led by the call of the payment, which always says how it ended.
                _ = look.tick(), if !answered || talks => {
                    match self.0.client.channel(&channel).await {
                        Err(RequestError::Gone) => {}
                        _ => continue,
                    }
                    if answered {
                        return TALKED;
                    }
                    let since = *gone_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= WORD_MAX {
                        if talks {
                            return OPERATOR_NO_ANSWER;
                        }
                        events::customer_not_called(
                            to.call.id,
                            "the dialplan did not say what became of it",
                        );
                        return INTERNAL;
                    }
                }
            }
        }
    }

    async fn ring(
        &self,
        to: &ToCall,
        tenant: &Tenant,
        channel: &ChannelId,
    ) -> Result<(), RequestError> {
        let call = to.call.id.to_string();
        let payment = to.payment.id.to_string();
        let ring_text = tenant.calls.ring.as_secs().to_string();
        let extension = to.operator_extension.as_deref().unwrap_or_default();
        let operator = to.payment.operator.as_ref().map(|o| o.as_str());
        let attended = match (to.call.first, &to.operator_extension) {
            (First::Customer, None) => "self-service",
            _ => "attended",
        };
        let (local, rung);
        let (endpoint, context, exten, timeout) = match to.call.first {
            First::Customer => {
                local = format!("Local/{}@{CONTEXT}/n", to.call.number);
                let longest = tenant.calls.ring + SET_UP;
                (&local, NEAR.0, NEAR.1, longest.as_secs())
            }
            First::Operator => {
                rung = tenant.ladder.operator.replace("{extension}", extension);
                let number = to.call.number.as_str();
                (&rung, CONTEXT, number, OPERATOR_RING.as_secs())
            }
        };
        let variables = BTreeMap::from([
            (INHERITED_APP, self.0.app.as_str()),
            ("__IVRPAY_CALL", call.as_str()),
            ("__IVRPAY_CALL_FIRST", to.call.first.name()),
            ("__IVRPAY_CALL_FROM", to.from.as_deref().unwrap_or_default()),
            ("__IVRPAY_CALL_RING", &ring_text),
            ("__IVRPAY_CALL_TO", &to.call.number),
            ("__IVRPAY_TENANT", to.call.tenant.as_str()),
            ("__IVRPAY_PAYMENT", &payment),
            ("__IVRPAY_MODE", attended),
            ("__IVRPAY_LANGUAGE", &to.payment.language),
            ("__IVRPAY_AGENT", operator.unwrap_or_default()),
            ("__IVRPAY_EXTENSION", extension),
        ]);
        let dial = Dial {
            endpoint,
            context,
            extension: exten,
            priority: 1,
            caller: match to.call.first {
                First::Customer => to.from.as_deref().unwrap_or_default(),
                First::Operator => &to.call.number,
            },
            channel: channel.as_str(),
            timeout: u32::try_from(timeout).unwrap_or(u32::MAX),
            variables,
        };
        self.0.client.dial(&dial).await
    }

    async fn hang_up(&self, channel: &ChannelId) {
        let hung_up = self.0.client.hangup(channel, HangupReason::Normal).await;
        drop(hung_up);
    }
}

/// Whether the id of something of ours, which is `prefix` and a call's id, is older than this start of the service: it holds its time.
pub(crate) fn is_before(id: &str, prefix: &str, began: Uuid) -> bool {
    let call = id.strip_prefix(prefix).and_then(|id| id.parse().ok());
    call.is_some_and(|id: Uuid| id < began)
}

/// Telephones that a service before this one rings: its calls are over in the journal, and may be asked for again. An operator who has
/// answered is left to his customer.
pub(crate) fn left(channels: &[Channel], began: Uuid) -> impl Iterator<Item = &ChannelId> {
    let ours = move |channel: &&Channel| {
        is_before(channel.id.as_str(), CHANNEL, began)
            && (channel.state != "Up" || channel.dialplan.context == NEAR.0)
    };
    channels.iter().filter(ours).map(|channel| &channel.id)
}

/// Whether that telephone is rung under this name, or under none that is told.
pub(crate) async fn is_of(client: &Client, channel: &ChannelId, app: &str) -> bool {
    let owner = client.get_variable(channel, APP).await.ok().flatten();
    owner.is_none_or(|owner| owner.is_empty() || owner == app)
}

const BUSY: &str = "busy";
const INTERNAL: &str = "internal-error";
const NO_ANSWER: &str = "no-answer";
const OPERATOR_NO_ANSWER: &str = "operator-no-answer";
const TALKED: &str = "talked";
const UNREACHABLE: &str = "unreachable";

/// `DIALSTATUS` (app_dial.c) as a result; `GONE`, of `ivrpay-rung`: the customer answered, and hung up before he came to us.
fn result_of(status: &str) -> &'static str {
    match status {
        "BUSY" => BUSY,
        "NOANSWER" | "CANCEL" | "DONTCALL" | "TORTURE" => NO_ANSWER,
        "CHANUNAVAIL" | "CONGESTION" => UNREACHABLE,
        "GONE" => CallResult::CallerHungUp.name(),
        // INVALIDARGS: the admin's dialplan.
        _ => INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn channels_of_a_call_are_told_apart() {
        let id = "01930000-0000-7000-8000-000000000001";
        let of = |text: &str| Mark::of(&text.split(',').map(str::to_owned).collect::<Vec<_>>());
        let call = |mark: Option<Mark>| match mark {
            Some(Mark::Customer(call)) => Some((call.to_string(), None)),
            Some(Mark::Status(call, status)) => Some((call.to_string(), Some(status))),
            None => None,
        };
        assert_eq!(
            call(of(&format!("tenant=demo,call={id}"))),
            Some((id.to_owned(), None))
        );
        assert_eq!(
            call(of(&format!("call={id},status=BUSY"))),
            Some((id.to_owned(), Some("BUSY".to_owned())))
        );
        // Never a customer, whatever the dialplan could not say.
        assert_eq!(
            call(of(&format!("call={id},status="))),
            Some((id.to_owned(), Some(String::new())))
        );
        for other in ["tenant=demo,call=", "call=1", "tenant=demo,order=1"] {
            assert!(of(other).is_none(), "{other}");
        }
    }

    #[test]
    fn telephones_of_a_service_before_are_known() {
        let old = "01930000-0000-7000-8000-000000000001";
        let new = "01930000-0000-7000-8000-000000000003";
        let began = "01930000-0000-7000-8000-000000000002".parse().unwrap();
        let channel = |id: String, state: &str, context: &str| -> Channel {
            let dialplan = serde_json::json!({"context": context, "exten": "", "app_name": "", "app_data": ""});
            serde_json::from_value(
                serde_json::json!({"id": id, "name": "Local/1", "state": state, "dialplan": dialplan}),
            )
            .unwrap()
        };
        for (id, state, context, expected) in [
            (format!("ivrpay-call-{old}"), "Ringing", "", true),
            (format!("ivrpay-call-{old}"), "Down", "", true),
            // The admin's dialplan has answered, and the customer has not.
            (format!("ivrpay-call-{old}"), "Up", "ivrpay-rung", true),
            (format!("ivrpay-call-{old}"), "Up", "ivrpay-call", false),
            (format!("ivrpay-call-{new}"), "Ringing", "", false),
            ("1764142245.7".to_owned(), "Ringing", "", false),
        ] {
            let channels = [channel(id.clone(), state, context)];
            assert_eq!(
                left(&channels, began).count() == 1,
                expected,
                "{id} {state}"
            );
        }
    }

    #[test]
    fn every_dial_status_is_a_result() {
        for (status, result) in [
            ("BUSY", "busy"),
            ("NOANSWER", "no-answer"),
            ("CANCEL", "no-answer"),
            ("CHANUNAVAIL", "unreachable"),
            ("CONGESTION", "unreachable"),
            ("GONE", "caller-hung-up"),
            ("INVALIDARGS", "internal-error"),
            ("", "internal-error"),
        ] {
            assert_eq!(result_of(status), result, "{status}");
        }
    }
}
