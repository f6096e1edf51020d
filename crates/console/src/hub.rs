//! What happens on the line, once for all pages of a merchant: events of the API, and `GET /v1/captures` for how things stand.
//!
//! One stream a merchant, with the token of somebody who is signed in and may hear it; another one's when that is over. Pages get the whole of how
//! things stand, so that one that comes in the middle of a call shows the same as one that has heard all of it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ivrpay_api as api;
use ivrpay_api::EventKind;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::{Client, Trouble};
use crate::sessions::Sessions;
use crate::sse::Reader;

/// How often how things stand is asked for at most, while keys come.
const LOAD_EVERY: Duration = Duration::from_millis(400);
/// And at least, while calls are on.
const LOAD_ANYWAY: Duration = Duration::from_secs(20);
/// After a refusal, because it was asked too often say.
const LOAD_REFUSED: Duration = Duration::from_secs(5);
/// Pause before the stream is opened again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked whether a page still listens.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A merchant without a page is not listened to any more.
const LONELY_MAX: Duration = Duration::from_secs(30);
/// Calls that are over and still shown, and how long.
const ENDED_MAX: usize = 200;
const ENDED_AGE: Duration = Duration::from_secs(30 * 60);

/// A capture as `GET /v1/captures` has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Capture {
    pub(crate) call_id: String,
    pub(crate) payment_id: Option<String>,
    pub(crate) order_id: Option<String>,
    pub(crate) amount: Option<u64>,
    pub(crate) currency: Option<String>,
    pub(crate) operator: Option<String>,
    pub(crate) operator_extension: Option<String>,
    pub(crate) mode: Option<String>,
    pub(crate) step: Option<String>,
    /// In a pause, where it goes on.
    pub(crate) field: Option<String>,
    pub(crate) digits: Option<u8>,
    pub(crate) attempt: Option<u8>,
    pub(crate) seconds_left: Option<u64>,
    pub(crate) brand: Option<String>,
    pub(crate) last4: Option<String>,
    pub(crate) began_at: String,
    pub(crate) entered_by: Option<String>,
    /// Of the last attempt.
    error: Option<String>,
    payment_plan: Option<String>,
}

#[derive(Deserialize)]
struct Captures {
    captures: Vec<Capture>,
}

/// A call, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) about: Capture,
    /// What was wrong with the last attempt, or why no card is asked for.
    pub(crate) wrong: Option<String>,
    /// No key has come at the first reminder.
    pub(crate) silent: bool,
    /// A plan was asked for.
    pub(crate) planned: bool,
    /// How it ended.
    pub(crate) result: Option<String>,
    /// Behind the end: the payment.
    pub(crate) payment: Option<Arc<api::Payment>>,
    /// When `seconds_left` was true.
    pub(crate) timed: Instant,
    /// When something of it was last heard.
    heard: Instant,
}

impl Call {
    fn new(about: Capture, now: Instant) -> Self {
        Self {
            wrong: about.error.clone(),
            planned: about.payment_plan.is_some(),
            about,
            silent: false,
            result: None,
            payment: None,
            timed: now,
            heard: now,
        }
    }

    /// What a payment tells of its call.
    fn learn(&mut self, payment: &api::Payment) {
        let about = &mut self.about;
        about.order_id.clone_from(&payment.order_id);
        about.amount = Some(payment.amount);
        about.currency = Some(payment.currency.clone());
        about.operator.clone_from(&payment.operator);
        about
            .operator_extension
            .clone_from(&payment.operator_extension);
        about.brand = payment.brand.map(|brand| brand.name().to_owned());
        about.last4.clone_from(&payment.last4);
    }
}

/// How things stand for a merchant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live {
    /// The API is being heard.
    pub(crate) connected: bool,
    /// Calls that are on.
    pub(crate) calls: BTreeMap<String, Arc<Call>>,
    /// Those that are over, the latest first.
    pub(crate) ended: VecDeque<Arc<Call>>,
}

impl Live {
    fn call(&mut self, id: &str, now: Instant) -> &mut Call {
        let made = || {
            let about = Capture {
                call_id: id.to_owned(),
                ..Capture::default()
            };
            Arc::new(Call::new(about, now))
        };
        Arc::make_mut(self.calls.entry(id.to_owned()).or_insert_with(made))
    }

    /// What an event says; the payment that has to be looked up for it.
    fn hear(&mut self, event: &api::Event, now: Instant) -> Option<Lookup> {
        let id = event.call_id?.to_string();
        let keyed = match event.event {
            EventKind::CallStarted | EventKind::Step | EventKind::Digits => true,
            EventKind::CaptureRefused | EventKind::KeysAwaited => true,
            EventKind::CallEnded => return self.end(&id, event, now),
            // Tasks, and customers who are being called: no capture yet.
            _ => false,
        };
        if !keyed {
            return None;
        }
        let new = !self.calls.contains_key(&id);
        let call = self.call(&id, now);
        call.heard = now;
        if call.about.began_at.is_empty() {
            call.about.began_at.clone_from(&event.at);
        }
        if event.entered_by.is_some() {
            call.about.entered_by.clone_from(&event.entered_by);
        }
        let known = call.about.payment_id.is_some();
        if let Some(payment) = event.payment_id {
            call.about.payment_id = Some(payment.to_string());
        }
        match event.event {
            EventKind::KeysAwaited => call.silent = true,
            EventKind::CaptureRefused => call.wrong.clone_from(&event.error),
            EventKind::Step | EventKind::Digits => {
                if event.event == EventKind::Digits {
                    call.silent = false;
                }
                let paused = event.step.as_deref() == Some("paused");
                if paused && call.about.step.as_deref() != Some("paused") {
                    call.about.field = call.about.step.take();
                }
                call.about.step.clone_from(&event.step);
                call.about.attempt = event.attempt;
                call.about.digits = event.digits;
                call.wrong.clone_from(&event.error);
                let step = event.step.as_deref().unwrap_or_default();
                call.planned |= step.starts_with("payment-plan");
            }
            _ => {}
        }
        let payment = call.about.payment_id.clone()?;
        (new || !known).then_some(Lookup { call: id, payment })
    }

    fn end(&mut self, id: &str, event: &api::Event, now: Instant) -> Option<Lookup> {
        let mut call = match self.calls.remove(id) {
            Some(call) => Arc::unwrap_or_clone(call),
            None => Call::new(
                Capture {
                    call_id: id.to_owned(),
                    began_at: event.at.clone(),
                    ..Capture::default()
                },
                now,
            ),
        };
        call.heard = now;
        call.result.clone_from(&event.result);
        if let Some(payment) = event.payment_id {
            call.about.payment_id = Some(payment.to_string());
        }
        let payment = call.about.payment_id.clone();
        self.ended.push_front(Arc::new(call));
        self.drop_old(now);
        Some(Lookup {
            call: id.to_owned(),
            payment: payment?,
        })
    }

    fn drop_old(&mut self, now: Instant) {
        self.ended.truncate(ENDED_MAX);
        self.ended
            .retain(|call| now.duration_since(call.heard) < ENDED_AGE);
    }

    /// How things stood when that was asked at `asked`: what was heard since is newer.
    fn stand(&mut self, captures: Vec<Capture>, asked: Instant, now: Instant) {
        let mut listed: HashMap<String, Capture> = captures
            .into_iter()
            .map(|capture| (capture.call_id.clone(), capture))
            .collect();
        self.calls
            .retain(|id, call| listed.contains_key(id) || call.heard >= asked);
        for (id, call) in &mut self.calls {
            let Some(mut capture) = listed.remove(id) else {
                continue;
            };
            let call = Arc::make_mut(call);
            if call.heard >= asked {
                capture.step.clone_from(&call.about.step);
                capture.field.clone_from(&call.about.field);
                capture.digits = call.about.digits;
                capture.attempt = call.about.attempt;
            }
            call.about = capture;
            call.timed = now;
        }
        // One that has ended meanwhile is not on again.
        let ended: Vec<&str> = self.ended.iter().map(|c| &*c.about.call_id).collect();
        let new = listed
            .into_iter()
            .filter(|(id, _)| !ended.contains(&&**id))
            .map(|(id, capture)| (id, Arc::new(Call::new(capture, now))));
        self.calls.extend(new.collect::<Vec<_>>());
    }

    fn learn(&mut self, id: &str, payment: api::Payment) {
        let payment = Arc::new(payment);
        if let Some(call) = self.calls.get_mut(id) {
            let call = Arc::make_mut(call);
            if call.about.amount.is_none() {
                call.learn(&payment);
            }
        }
        let ended = self.ended.iter_mut().find(|c| c.about.call_id == id);
        if let Some(call) = ended {
            let call = Arc::make_mut(call);
            call.learn(&payment);
            call.payment = Some(payment);
        }
    }
}

/// A payment that tells more of a call.
struct Lookup {
    call: String,
    payment: String,
}

enum Loaded {
    Captures(Instant, Result<Captures, Trouble>),
    Payment(String, Box<Result<api::Payment, Trouble>>),
}

type Tenant = Option<String>;

/// All merchants whose pages are open.
pub(crate) struct Hubs {
    client: Client,
    sessions: Arc<Sessions>,
    all: Mutex<HashMap<Tenant, watch::Sender<Arc<Live>>>>,
}

impl Hubs {
    pub(crate) fn new(client: Client, sessions: Arc<Sessions>) -> Arc<Self> {
        Arc::new(Self {
            client,
            sessions,
            all: Mutex::default(),
        })
    }

    /// How things stand for a merchant, from now on.
    pub(crate) fn listen(self: &Arc<Self>, tenant: &Tenant) -> watch::Receiver<Arc<Live>> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = all.get(tenant) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(Arc::new(Live::default()));
        all.insert(tenant.clone(), sender.clone());
        tokio::spawn(Arc::clone(self).run(tenant.clone(), sender));
        receiver
    }

    async fn run(self: Arc<Self>, tenant: Tenant, live: watch::Sender<Arc<Live>>) {
        let mut heard = Heard {
            live,
            last: None,
            lonely: None,
        };
        loop {
            if self.is_over(&tenant, &mut heard) {
                return;
            }
            let listener = self.sessions.listener(tenant.as_deref());
            if let Some((listener, token)) = listener
                && let Err(trouble) = self.follow(&tenant, &mut heard, &token).await
                && trouble.is_signed_out()
            {
                self.sessions.forget(&listener);
                continue;
            }
            heard.change(|live| live.connected = false);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Nobody has listened for a while: a page that comes now starts another.
    fn is_over(&self, tenant: &Tenant, heard: &mut Heard) -> bool {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.live.receiver_count() > 0 {
            heard.lonely = None;
            return false;
        }
        let since = *heard.lonely.get_or_insert_with(Instant::now);
        if since.elapsed() < LONELY_MAX {
            return false;
        }
        all.remove(tenant);
        true
    }

    /// Hears one stream to its end.
    async fn follow(
        &self,
        tenant: &Tenant,
        heard: &mut Heard,
        token: &SecretString,
    ) -> Result<(), Trouble> {
        let mut stream = self.client.events(token, heard.last.as_deref()).await?;
        let mut reader = Reader::default();
        let mut loads = JoinSet::new();
        // How things stand is asked for behind the stream's begin, so that nothing falls between the two.
        let mut wanted = true;
        let mut next = Instant::now();
        let mut loading = false;
        let mut tick = tokio::time::interval(LOOK_EVERY);
        heard.change(|live| live.connected = true);
        loop {
            tokio::select! {
                piece = stream.chunk() => {
                    let Ok(Some(piece)) = piece else {
                        return Err(Trouble::Away);
                    };
                    for event in reader.push(&piece) {
                        if event.id.is_some() {
                            heard.last = event.id;
                        }
                        wanted |= event.name == "gap";
                        let Ok(event) = serde_json::from_str::<api::Event>(&event.data) else {
                            continue;
                        };
                        wanted |= event.call_id.is_some();
                        let now = Instant::now();
                        let mut lookup = None;
                        heard.change(|live| lookup = live.hear(&event, now));
                        if let Some(Lookup { call, payment }) = lookup {
                            let (client, token) = (self.client.clone(), token.clone());
                            loads.spawn(async move {
                                let path = format!("/v1/payments/{payment}");
                                let answer = client.get(&token, &path).await;
                                Loaded::Payment(call, Box::new(answer))
                            });
                        }
                    }
                }
                Some(Ok(loaded)) = loads.join_next(), if !loads.is_empty() => match loaded {
                    Loaded::Captures(asked, Ok(Captures { captures })) => {
                        loading = false;
                        let now = Instant::now();
                        next = now + LOAD_EVERY;
                        heard.change(|live| live.stand(captures, asked, now));
                    }
                    Loaded::Captures(_, Err(trouble)) => {
                        if trouble.is_signed_out() {
                            return Err(trouble);
                        }
                        loading = false;
                        wanted = true;
                        next = Instant::now() + LOAD_REFUSED;
                    }
                    Loaded::Payment(call, answer) => if let Ok(payment) = *answer {
                        heard.change(|live| live.learn(&call, payment));
                    },
                },
                _ = tick.tick() => {
                    if self.is_over(tenant, heard) {
                        return Ok(());
                    }
                    let now = Instant::now();
                    wanted |= !heard.live.borrow().calls.is_empty() && now >= next + LOAD_ANYWAY;
                    if wanted && !loading && now >= next {
                        (wanted, loading) = (false, true);
                        let (client, token) = (self.client.clone(), token.clone());
                        loads.spawn(async move {
                            Loaded::Captures(now, client.get(&token, "/v1/captures").await)
                        });
                    }
                }
            }
        }
    }
}

/// A stream as far as it was heard.
struct Heard {
    live: watch::Sender<Arc<Live>>,
    /// `Last-Event-ID`.
    last: Option<String>,
    lonely: Option<Instant>,
}

impl Heard {
    fn change(&self, change: impl FnOnce(&mut Live)) {
        self.live.send_modify(|live| change(Arc::make_mut(live)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = "0193f000-0000-7000-8000-000000000001";

    fn event(kind: &str, more: serde_json::Value) -> api::Event {
        let mut event = serde_json::json!({
            "seq": 1, "at": "2026-11-27T09:00:00Z", "call_id": CALL, "sip_call_id": null,
            "tenant": "shop", "event": kind,
        });
        let more = more.as_object().cloned().unwrap_or_default();
        event.as_object_mut().unwrap().extend(more);
        serde_json::from_value(event).unwrap()
    }

    fn capture(step: &str, digits: u8) -> Capture {
        Capture {
            call_id: CALL.into(),
            order_id: Some("A-1".into()),
            step: Some(step.into()),
            digits: Some(digits),
            ..Capture::default()
        }
    }

    #[test]
    fn what_was_heard_since_it_was_asked_is_newer() {
        let began = Instant::now();
        let later = began + Duration::from_secs(1);
        let mut live = Live::default();
        live.hear(&event("call-started", serde_json::json!({})), began);
        live.hear(
            &event(
                "digits",
                serde_json::json!({"step": "payment-card-number", "digits": 7}),
            ),
            later,
        );
        live.stand(vec![capture("payment-card-number", 3)], began, later);
        let about = &live.calls[CALL].about;
        assert_eq!(about.digits, Some(7));
        assert_eq!(about.order_id.as_deref(), Some("A-1"));
        // Asked behind it, the answer is the newer one.
        let last = later + Duration::from_secs(1);
        live.stand(vec![capture("expiration-date", 0)], last, last);
        assert_eq!(live.calls[CALL].about.digits, Some(0));
        // And a call that is listed no more is over.
        live.stand(Vec::new(), last + Duration::from_secs(1), last);
        assert!(live.calls.is_empty());
    }

    #[test]
    fn a_call_that_has_ended_is_not_on_again() {
        let now = Instant::now();
        let mut live = Live::default();
        live.hear(&event("step", serde_json::json!({"step": "greeting"})), now);
        live.hear(
            &event("call-ended", serde_json::json!({"result": "success"})),
            now,
        );
        live.stand(vec![capture("confirmation", 0)], now, now);
        assert!(live.calls.is_empty());
        assert_eq!(live.ended[0].result.as_deref(), Some("success"));
    }

    #[test]
    fn a_pause_keeps_the_field_where_it_goes_on() {
        let now = Instant::now();
        let mut live = Live::default();
        for step in ["expiration-date", "paused", "paused"] {
            live.hear(&event("step", serde_json::json!({"step": step})), now);
        }
        assert_eq!(
            live.calls[CALL].about.field.as_deref(),
            Some("expiration-date")
        );
    }

    #[test]
    fn calls_that_are_over_are_shown_for_a_while_and_not_without_end() {
        let now = Instant::now();
        let mut live = Live::default();
        for _ in 0..ENDED_MAX + 5 {
            live.hear(&event("call-ended", serde_json::json!({})), now);
        }
        assert_eq!(live.ended.len(), ENDED_MAX);
        live.drop_old(now + ENDED_AGE);
        assert!(live.ended.is_empty());
    }
}
