//! Every event of the service: its log line, its metric and what `GET /v1/events` streams, in one place.
//!
//! Fields are ids, enums, counts and durations; free text from outside has no way in. `tests/tidy.rs` bans the macros of
//! `tracing` everywhere else, so this file is the list of all that can be logged (PCI DSS v4.0.1, 3.4.1 and 10.3).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ivrpay_acquirer::HookError;
use ivrpay_api as api;
use ivrpay_ari::{ChannelId, RequestError};
use ivrpay_dialogue::operator::Refusal;
use ivrpay_dialogue::{CallResult, Progress, desk};
use ivrpay_journal::{
    By, ChainHead, CustomerCall, EnteredBy, Event, EventCount, Task, TaskCount, TaskKind, Told,
};
use ivrpay_payment::{
    AcquirerRef, Brand, CallId, Decline, OperationId, Outcome, PaymentId, Plan, Reason,
    RecordingId, State, TenantId,
};
use ivrpay_web::{Answered, Feed, Want};
use ivrpay_wire::{Trouble, WebhookError, Wiped};

use crate::captures::Captures;
use crate::guard::{Danger, Exception};
use crate::pools::Full;
use metrics::{counter, gauge, histogram};
use tracing::{debug, error, info, warn};

/// Events that a slow listener may be behind before it loses some (and is told how many).
const LISTENER_LAG_MAX: usize = 4_096;

/// Where events go.
#[derive(Clone)]
pub(crate) struct Events {
    feed: Feed,
    captures: Captures,
}

/// Who an event is about: what every event of a call carries.
#[derive(Clone)]
pub(crate) struct About {
    pub(crate) call_id: CallId,
    pub(crate) channel_id: ChannelId,
    pub(crate) sip_call_id: Option<String>,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) payment_id: Option<PaymentId>,
    /// Who keys the card.
    pub(crate) entered_by: EnteredBy,
    /// Nobody is charged.
    pub(crate) practice: bool,
}

impl About {
    /// For metrics: practice, the canary's among it, is no payment.
    const fn mode(&self) -> &'static str {
        if self.practice { "practice" } else { "payment" }
    }
}

impl Events {
    pub(crate) fn new() -> Self {
        // Another at each start: numbers begin anew.
        let life = uuid::Uuid::now_v7().simple().to_string();
        Self {
            feed: Feed::new(life, LISTENER_LAG_MAX),
            captures: Captures::default(),
        }
    }

    pub(crate) fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// What is on now, by these events.
    pub(crate) fn captures(&self) -> &Captures {
        &self.captures
    }

    fn send(&self, about: &About, kind: api::EventKind, fill: impl FnOnce(&mut api::Event)) {
        self.stream_out(kind, about.tenant.as_ref(), |event| {
            event.call_id = Some(about.call_id);
            event.channel_id = Some(about.channel_id.as_str().to_owned());
            event.sip_call_id.clone_from(&about.sip_call_id);
            event.payment_id = about.payment_id;
            event.entered_by = (about.entered_by == EnteredBy::Operator)
                .then(|| about.entered_by.name().to_owned());
            fill(event);
        });
    }

    fn stream_out(
        &self,
        kind: api::EventKind,
        tenant: Option<&TenantId>,
        fill: impl FnOnce(&mut api::Event),
    ) {
        let mut event = api::Event {
            // The feed's to say.
            seq: 0,
            at: jiff::Timestamp::now().to_string(),
            call_id: None,
            channel_id: None,
            sip_call_id: None,
            tenant: tenant.map(ToString::to_string).unwrap_or_default(),
            event: kind,
            step: None,
            attempt: None,
            digits: None,
            error: None,
            payment_plan: None,
            payment_plan_count: None,
            result: None,
            entered_by: None,
            payment_id: None,
            task_id: None,
            task_kind: None,
        };
        fill(&mut event);
        // First: whoever asks because of the event finds what it says.
        self.captures.heard(&event);
        self.feed.send(event);
    }

    pub(crate) fn call_started(&self, about: &About) {
        info!(
            call_id = %about.call_id,
            channel_id = about.channel_id.as_str(),
            entered_by = about.entered_by.name(),
            "call started"
        );
        counter!("ivrpay_calls_started_total", "mode" => about.mode()).increment(1);
        if about.entered_by == EnteredBy::Operator {
            counter!("ivrpay_operator_keyed_total").increment(1);
        }
        self.send(about, api::EventKind::CallStarted, |_| {});
    }

    pub(crate) fn progress(&self, about: &About, progress: &Progress) {
        let error = progress.error.map(|error| error.name());
        let (step, attempt) = (progress.step.name(), progress.attempt);
        if progress.asked {
            asked(about, step, attempt, error);
        }
        self.step(about, progress.asked, |event| {
            event.step = Some(step.to_owned());
            event.attempt = Some(attempt);
            event.digits = progress.digits;
            event.error = error.map(str::to_owned);
            event.payment_plan = progress.plan.map(|plan| plan.name().to_owned());
            event.payment_plan_count = progress.plan.and_then(Plan::count);
        });
    }

    /// How far an operator is at the keypad. Never a digit.
    pub(crate) fn desk_progress(&self, about: &About, progress: &desk::Progress) {
        self.keyed(about, format!("desk-{}", progress.step.name()), progress);
    }

    /// `desk-ready` and `desk-refused`: what the operator is being told.
    pub(crate) fn desk_step(&self, about: &About, step: &'static str) {
        self.send(about, api::EventKind::Step, |event| {
            event.step = Some(step.to_owned());
        });
    }

    /// On the line without an operator, before there is a payment.
    pub(crate) fn entry(&self, about: &About, progress: &desk::Progress) {
        let step = progress.step.name();
        if progress.asked {
            let wrong = progress.wrong.map(|wrong| wrong.name());
            asked(about, step, progress.attempt, wrong);
        }
        self.keyed(about, step, progress);
    }

    fn keyed(&self, about: &About, step: impl Into<String>, progress: &desk::Progress) {
        self.step(about, progress.asked, |event| {
            event.step = Some(step.into());
            event.attempt = Some(progress.attempt);
            event.digits = Some(progress.digits);
            event.error = progress.wrong.map(|wrong| wrong.name().to_owned());
        });
    }

    /// A step is asked, or a key of it came.
    fn step(&self, about: &About, asked: bool, fill: impl FnOnce(&mut api::Event)) {
        let kind = if asked {
            api::EventKind::Step
        } else {
            api::EventKind::Digits
        };
        self.send(about, kind, fill);
    }

    pub(crate) fn customer_called(&self, call: &CustomerCall) {
        info!(call_id = %call.id, payment_id = %call.payment, first = call.first.name(), "a customer is called");
        counter!("ivrpay_customer_calls_total", "first" => call.first.name()).increment(1);
        self.customer_call(api::EventKind::CustomerCalled, call, None);
    }

    /// `result` is one of ours.
    pub(crate) fn customer_call_ended(&self, call: &CustomerCall, result: &'static str) {
        info!(call_id = %call.id, payment_id = %call.payment, result, "the call to a customer is over");
        counter!("ivrpay_customer_calls_ended_total", "result" => result).increment(1);
        self.customer_call(api::EventKind::CustomerCallEnded, call, Some(result));
    }

    fn customer_call(
        &self,
        kind: api::EventKind,
        call: &CustomerCall,
        result: Option<&'static str>,
    ) {
        self.stream_out(kind, Some(&call.tenant), |event| {
            event.call_id = Some(call.id);
            event.payment_id = Some(call.payment);
            event.result = result.map(str::to_owned);
        });
    }

    pub(crate) fn capture_refused(&self, about: &About, danger: Danger) {
        error!(
            call_id = %about.call_id,
            channel_id = about.channel_id.as_str(),
            danger = danger.name(),
            why = danger.why(),
            hint = danger.hint(),
            "capture refused: nobody is asked for a card"
        );
        counter!("ivrpay_capture_refused_total", "danger" => danger.name()).increment(1);
        self.send(about, api::EventKind::CaptureRefused, |event| {
            event.error = Some(danger.name().to_owned());
        });
    }

    /// No key has come at the first reminder. `line`: the endpoint that the caller came by.
    pub(crate) fn keys_awaited(&self, about: &About, line: &str) {
        info!(call_id = %about.call_id, line, "no key has come; tones are detected from now on where Asterisk can");
        counter!("ivrpay_keys_awaited_total").increment(1);
        self.send(about, api::EventKind::KeysAwaited, |_| {});
    }

    pub(crate) fn task_made(&self, task: &Task) {
        info!(
            task_id = %task.id,
            kind = task.kind.name(),
            payment_id = task.payment.map(tracing::field::display),
            "a task for a person; run `ivrpay task list`"
        );
        counter!("ivrpay_tasks_made_total", "kind" => task.kind.name()).increment(1);
        self.task(api::EventKind::TaskMade, task);
    }

    pub(crate) fn task_overdue(&self, task: &Task) {
        warn!(
            task_id = %task.id,
            kind = task.kind.name(),
            payment_id = task.payment.map(tracing::field::display),
            "a task is overdue; run `ivrpay task list`"
        );
        self.task(api::EventKind::TaskOverdue, task);
    }

    fn task(&self, kind: api::EventKind, task: &Task) {
        self.stream_out(kind, task.tenant.as_ref(), |event| {
            event.payment_id = task.payment;
            event.task_id = Some(task.id);
            event.task_kind = Some(task.kind.name().to_owned());
        });
    }

    pub(crate) fn call_ended(&self, about: &About, result: CallResult, lasted: Duration) {
        info!(
            call_id = %about.call_id,
            payment_id = about.payment_id.map(tracing::field::display),
            result = result.name(),
            seconds = lasted.as_secs(),
            "call ended"
        );
        counter!("ivrpay_calls_ended_total", "result" => result.name(), "mode" => about.mode())
            .increment(1);
        histogram!("ivrpay_call_seconds").record(lasted.as_secs_f64());
        self.send(about, api::EventKind::CallEnded, |event| {
            event.result = Some(result.name().to_owned())
        });
    }
}

#[cfg(feature = "plant")]
impl Events {
    /// Leaks on purpose: see `ivrpay_secret::plant`.
    pub(crate) fn planted(&self, about: &About, keyed: &str) {
        use ivrpay_secret::plant;
        if plant::is("log") {
            for digit in keyed.chars() {
                info!(call_id = %about.call_id, %digit, "key");
            }
        }
        if plant::is("metric") {
            counter!("ivrpay_planted_total", "keys" => keyed.to_owned()).increment(1);
        }
        if plant::is("event") {
            self.send(about, api::EventKind::Digits, |event| {
                event.error = Some(keyed.to_owned());
            });
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count of calls or slots is far below 2^52"
)]
fn as_f64(count: usize) -> f64 {
    count as f64
}

/// One call more, or one fewer.
pub(crate) fn call_on(began: bool) {
    let calls = gauge!("ivrpay_calls");
    if began {
        calls.increment(1.0);
    } else {
        calls.decrement(1.0);
    }
}

pub(crate) fn starting(instance: &str, backing: &str) {
    info!(
        instance,
        secret_memory = backing,
        version = env!("CARGO_PKG_VERSION"),
        "starting"
    );
}

pub(crate) fn secret_memory_not_locked() {
    warn!(
        "secret memory is not locked ([secret] policy = \"any\"): card data may reach swap or a core file"
    );
    gauge!("ivrpay_secret_memory_locked").set(0.0);
}

pub(crate) fn secret_memory_locked() {
    gauge!("ivrpay_secret_memory_locked").set(1.0);
}

/// What the process is protected by; a missing one is for the admin, who finds the rest in `ivrpay check`.
pub(crate) fn protections(all: &[ivrpay_secret::Protection]) {
    use ivrpay_secret::Standing;
    for protection in all {
        let there = protection.standing != Standing::Lacks;
        gauge!("ivrpay_protection", "name" => protection.name).set(f64::from(u8::from(there)));
        if !there {
            warn!(
                protection = protection.name,
                fact = protection.fact,
                hint = protection.hint,
                "a protection of the process is missing"
            );
        }
    }
    let there = all.iter().filter(|p| p.standing != Standing::Lacks).count();
    info!(protections = there, of = all.len(), "hardened");
}

pub(crate) fn serving(calls_max: usize) {
    gauge!("ivrpay_calls_max").set(as_f64(calls_max));
    gauge!("ivrpay_draining").set(0.0);
    // There from the start: of one that comes with its first count, Prometheus does not see that one.
    for counter in [
        counter!("ivrpay_panics_total"),
        counter!("ivrpay_journal_failures_total"),
        counter!("ivrpay_keys_lost_total"),
        counter!("ivrpay_prompt_failures_total"),
        counter!("ivrpay_calls_not_taken_total"),
        counter!("ivrpay_capacity_exceeded_total"),
    ] {
        counter.increment(0);
    }
    info!(calls_max, "ready");
}

pub(crate) fn asterisk(status: &ivrpay_ari::Status) {
    use ivrpay_ari::Status;
    gauge!("ivrpay_ari_connected").set(if *status == Status::Connected {
        1.0
    } else {
        0.0
    });
    match status {
        Status::Connected => info!("connected to Asterisk"),
        Status::Connecting {
            attempt,
            error: Some(error),
        } => {
            warn!(attempt, reason = %error, hint = error.hint(), "waiting for Asterisk");
        }
        Status::Connecting { .. } => info!("connecting to Asterisk"),
        Status::Replaced => {
            let trouble = ivrpay_ari::Trouble::Replaced;
            error!(reason = %trouble, hint = trouble.hint(), "no events come any more");
        }
        Status::Stopped => info!("disconnected from Asterisk"),
    }
}

pub(crate) fn arguments_refused(about: &About, why: &str) {
    warn!(call_id = %about.call_id, channel_id = about.channel_id.as_str(), why, "the arguments of Stasis() can't be used");
    counter!("ivrpay_arguments_refused_total").increment(1);
}

/// A caller is asked.
fn asked(about: &About, step: &'static str, attempt: u8, error: Option<&'static str>) {
    debug!(call_id = %about.call_id, step, attempt, error, "step");
    let how = match error {
        None if attempt <= 1 => "asked",
        None => "asked-again",
        Some("input-timeout" | "keys-not-heard") => "timed-out",
        Some(_) => "refused",
    };
    counter!("ivrpay_steps_total", "step" => step, "how" => how).increment(1);
}

pub(crate) fn no_payment_matched(about: &About, candidates: usize) {
    warn!(call_id = %about.call_id, candidates, "no payment for this call, and no amount in the dialplan");
}

pub(crate) fn order_not_found(about: &About) {
    info!(call_id = %about.call_id, "no order has the number that was keyed");
}

pub(crate) fn looked_up(waited: Duration) {
    histogram!("ivrpay_lookup_seconds").record(waited.as_secs_f64());
}

pub(crate) fn lookup_failed(about: &About, error: &ivrpay_wire::LookupError, waited: Duration) {
    error!(
        call_id = %about.call_id,
        reason = %error,
        ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
        "the merchant did not say what the order costs; the caller goes on in the dialplan"
    );
    counter!("ivrpay_lookup_failures_total").increment(1);
}

pub(crate) fn lookup_unread(about: &About, why: &'static str) {
    error!(call_id = %about.call_id, why, "the merchant's answer about an order can't be used; the caller goes on in the dialplan");
    counter!("ivrpay_lookup_failures_total").increment(1);
}

pub(crate) fn call_request_failed(call: CallId, error: &ivrpay_ari::RequestError) {
    warn!(call_id = %call, reason = %error, hint = error.hint(), "a request to call a customer failed");
    counter!("ivrpay_ari_request_failures_total").increment(1);
}

pub(crate) fn customer_not_called(call: CallId, why: &'static str) {
    error!(call_id = %call, why, "a customer could not be called; dialplan/README.md has the context ivrpay-call");
}

pub(crate) fn order_taken(about: &About, payment: PaymentId, state: State) {
    info!(call_id = %about.call_id, taken_by = %payment, state = state.name(), "the order is taken");
}

pub(crate) fn captured_by_exception(about: &About, dangers: &[Danger]) {
    for danger in dangers {
        warn!(
            call_id = %about.call_id,
            danger = danger.name(),
            "a card is asked for all the same, by an exception of [guard]"
        );
        counter!("ivrpay_captured_by_exception_total", "danger" => danger.name()).increment(1);
    }
}

/// Said at every start, as long as it stands in the configuration.
pub(crate) fn exception(exception: &Exception, today: jiff::civil::Date) {
    let (danger, person, reason) = (
        exception.danger.name(),
        &exception.person,
        &exception.reason,
    );
    if exception.stands(today) {
        warn!(danger, person, reason, until = %exception.until, "calls are taken in spite of a danger for card data");
    } else {
        warn!(danger, person, reason, until = %exception.until, "an exception of [guard] is over and has no effect; take it out");
    }
}

pub(crate) fn capacity(channel: &ChannelId) {
    warn!(
        channel_id = channel.as_str(),
        "no place for another call; raise [limits] calls_max, or what its pool may have"
    );
    counter!("ivrpay_capacity_exceeded_total").increment(1);
}

/// What a pool was sold.
pub(crate) fn pool(name: &str, guaranteed: u32, limit: Option<u32>) {
    gauge!("ivrpay_pool_guaranteed", "pool" => name.to_owned()).set(f64::from(guaranteed));
    if let Some(limit) = limit {
        gauge!("ivrpay_pool_limit", "pool" => name.to_owned()).set(f64::from(limit));
    }
    for why in [Full::Limit, Full::Rest] {
        pool_refused(name, why).increment(0);
    }
}

pub(crate) fn pool_used(name: &str, places: u32) {
    gauge!("ivrpay_pool_used", "pool" => name.to_owned()).set(f64::from(places));
}

/// At other services that share the journal.
pub(crate) fn pool_elsewhere(name: &str, places: u32) {
    gauge!("ivrpay_pool_elsewhere", "pool" => name.to_owned()).set(f64::from(places));
}

fn pool_refused(name: &str, why: Full) -> metrics::Counter {
    counter!("ivrpay_pool_refused_total", "pool" => name.to_owned(), "why" => why.name())
}

/// A pool gets no place. Whoever wanted it is told by another line.
pub(crate) fn no_place(name: &str, why: Full) {
    debug!(pool = name, why = why.name(), "no place in a pool");
    pool_refused(name, why).increment(1);
}

/// Other services may have given as many as there are: nobody gets one.
pub(crate) fn not_counted(reason: &str) {
    warn!(
        reason,
        "the journal does not say whether a place is free; the caller is given back"
    );
    counter!("ivrpay_journal_failures_total").increment(1);
}

pub(crate) fn ari_request_failed(
    about: &About,
    what: &'static str,
    error: &ivrpay_ari::RequestError,
) {
    debug!(call_id = %about.call_id, what, error = %error, "a request to Asterisk failed");
    counter!("ivrpay_ari_request_failures_total").increment(1);
}

pub(crate) fn lamp_failed(lamp: &str, error: &ivrpay_ari::RequestError) {
    warn!(lamp, error = %error, "Asterisk did not take the state of an operator's lamp");
    counter!("ivrpay_ari_request_failures_total").increment(1);
}

pub(crate) fn not_given_back(
    channel: &ChannelId,
    error: &ivrpay_ari::RequestError,
    tries_left: u32,
) {
    warn!(channel_id = channel.as_str(), error = %error, tries_left, "Asterisk did not take a caller back into the dialplan");
    counter!("ivrpay_ari_request_failures_total").increment(1);
}

pub(crate) fn not_unmuted(channel: &ChannelId, error: &ivrpay_ari::RequestError, tries_left: u32) {
    warn!(channel_id = channel.as_str(), error = %error, tries_left, "Asterisk did not give a caller's voice back; the dialplan does, where it has ivrpay-pay");
    counter!("ivrpay_ari_request_failures_total").increment(1);
}

/// The pay key, with the operator's channel: his extension is in its name.
pub(crate) fn pay_key(operator: &str) {
    info!(operator, "pay key: both are on their way");
    counter!("ivrpay_pay_keys_total", "result" => "taken").increment(1);
}

pub(crate) fn pay_key_refused(operator: &str, why: Refusal) {
    info!(operator, why = ?why, "pay key: the operator is told why not, and both go on talking");
    counter!("ivrpay_pay_keys_total", "result" => "refused").increment(1);
}

pub(crate) fn pay_key_undecided(operator: &str) {
    info!(
        operator,
        "pay key: several payments wait, and the operator chose none"
    );
    counter!("ivrpay_pay_keys_total", "result" => "undecided").increment(1);
}

/// The API has a talk taken over.
pub(crate) fn capture_started(operator: &str, call: CallId, by: &By) {
    let (by, via) = (by.person.as_str(), by.via.as_str());
    info!(operator, call_id = %call, by, via, "the API begins a capture: both are on their way");
    counter!("ivrpay_captures_started_total", "result" => "taken").increment(1);
}

pub(crate) fn capture_not_started(operator: &str, why: Refusal) {
    info!(operator, why = ?why, "the API asked for a capture that can't be begun; both go on talking");
    counter!("ivrpay_captures_started_total", "result" => "refused").increment(1);
}

/// What the dialplan says of the payment can't be used.
pub(crate) fn pay_key_unusable(why: &str) {
    warn!(
        why,
        "what the pay key asks for can't be used; see dialplan/README.md, ivrpay-key"
    );
}

/// The dialplan asks in the second way, and we have no user for it.
pub(crate) fn redirect_not_set() {
    warn!(
        hint = "add [pay_key] to the configuration, or take IVRPAY_KEY_WAY out of the dialplan",
        "pay key: the dialplan has IVRPAY_KEY_WAY = ami, and there is no [pay_key]"
    );
}

/// Both legs were to be moved, and were not.
pub(crate) fn redirect_failed(operator: &str, error: &ivrpay_ami::Error) {
    warn!(operator, reason = %error, hint = error.hint(), "pay key: AMI's Redirect did not move the two");
    counter!("ivrpay_redirect_failures_total").increment(1);
}

pub(crate) fn agi_refused(why: &'static str) {
    warn!(
        why,
        "a request over AGI can't be used; see dialplan/README.md, ivrpay-key"
    );
}

pub(crate) fn agi_failed(error: &ivrpay_agi::Error) {
    warn!(reason = %error, hint = error.hint(), "a session of AGI ended early");
}

/// A connection that became no session. `ivrpay check` connects and says nothing.
pub(crate) fn no_session(error: &ivrpay_agi::Error) {
    if matches!(error, ivrpay_agi::Error::Closed) {
        debug!(reason = %error, "a connection to [agi] listen became no session");
    } else {
        agi_failed(error);
    }
}

pub(crate) fn pair_unknown(channel: &ChannelId) {
    warn!(
        channel_id = channel.as_str(),
        "a leg came with a token of the pay key that is not known (any more); it is given back"
    );
}

pub(crate) fn place_taken(channel: &ChannelId) {
    warn!(
        channel_id = channel.as_str(),
        "an operator transferred while his customer pays: that transfer is hung up, the payment goes on, and the return ladder brings the customer back"
    );
}

pub(crate) fn desk_began(about: &About) {
    info!(call_id = %about.call_id, channel_id = about.channel_id.as_str(), "an operator is at the keypad");
}

/// The payment that was keyed waits for its customer.
pub(crate) fn desk_ready(about: &About) {
    info!(call_id = %about.call_id, payment_id = about.payment_id.map(tracing::field::display), "keypad: a payment can be taken");
    counter!("ivrpay_desks_total", "result" => "ready").increment(1);
}

pub(crate) fn desk_refused(about: &About, why: Refusal) {
    info!(call_id = %about.call_id, why = ?why, "keypad: the operator is told why no payment can be taken");
    counter!("ivrpay_desks_total", "result" => "refused").increment(1);
}

pub(crate) fn desk_ended(about: &About, how: &'static str) {
    info!(call_id = %about.call_id, how, "the operator has left the keypad");
}

pub(crate) fn ari_channel_request_failed(
    channel: &ChannelId,
    what: &'static str,
    error: &ivrpay_ari::RequestError,
) {
    warn!(channel_id = channel.as_str(), what, error = %error, "a request to Asterisk failed");
    counter!("ivrpay_ari_request_failures_total").increment(1);
}

pub(crate) fn operator_missing(about: &About) {
    warn!(call_id = %about.call_id, "the operator's leg did not come with the customer's; the payment goes on without");
}

pub(crate) fn not_led(about: &About) {
    warn!(call_id = %about.call_id, "the capture was to be led by a program, and nobody leads: the operator is gone, or the program waited no longer; the customer goes back");
}

pub(crate) fn operator_gone(about: &About) {
    info!(call_id = %about.call_id, "the operator hung up; the payment goes on");
}

pub(crate) fn wished(about: &About, want: Want, by: &By) {
    let (by, via) = (by.person.as_str(), by.via.as_str());
    let call_id = about.call_id;
    match want {
        Want::Cancel => {
            info!(%call_id, by, via, "the API ends the capture; nothing is charged");
        }
        Want::Pause => info!(%call_id, by, via, "the API pauses the capture"),
        Want::Resume => info!(%call_id, by, via, "the API goes on with the capture"),
        Want::Complete => info!(%call_id, by, via, "the API has what was keyed charged"),
        Want::Capture(field, again) => {
            let field = field.name();
            info!(%call_id, by, via, field, again, "the API has a field keyed");
        }
        Want::Switch(mode) => {
            info!(%call_id, by, via, ?mode, "the API has the operator wait apart, or stay");
        }
        Want::Ask(field) => {
            let field = field.name();
            info!(%call_id, by, via, field, "the API has a field asked anew");
        }
    }
}

/// A program that leads a capture was not told how far it is.
pub(crate) fn status_callback_failed(call: CallId, error: &ivrpay_wire::CallbackError) {
    warn!(call_id = %call, reason = %error, "a status callback did not arrive; the capture goes on");
    counter!("ivrpay_status_callbacks_total", "result" => "failed").increment(1);
}

pub(crate) fn status_callback_sent(call: CallId) {
    debug!(call_id = %call, "a status callback was taken");
    counter!("ivrpay_status_callbacks_total", "result" => "taken").increment(1);
}

pub(crate) fn listener_off(channel: &ChannelId, call: CallId) {
    info!(
        channel_id = channel.as_str(),
        call_id = %call,
        "a supervisor who listened is taken off for the capture"
    );
    counter!("ivrpay_listeners_taken_off_total").increment(1);
}

pub(crate) fn listener_back(channel: &ChannelId) {
    info!(
        channel_id = channel.as_str(),
        "a supervisor who was taken off is put back"
    );
}

/// `error`: Asterisk did not run the dialplan; without one the listener did not come.
pub(crate) fn listener_stays(channel: &ChannelId, error: Option<&RequestError>) {
    warn!(
        channel_id = channel.as_str(),
        error = error.map(tracing::field::display),
        "a supervisor who listens was not taken off; is ivrpay-spy of dialplan/ivrpay.conf there?"
    );
}

pub(crate) fn recorded(about: &About) {
    debug!(call_id = %about.call_id, "the caller is being recorded; the recording goes on without his voice until he is given back");
    counter!("ivrpay_calls_recorded_total").increment(1);
}

/// One recorder more that is paused, or one fewer. What stays above 0 without a call is a recorder that records nothing.
pub(crate) fn recorder_paused(paused: bool) {
    let recorders = gauge!("ivrpay_recorders_paused");
    if paused {
        recorders.increment(1.0);
    } else {
        recorders.decrement(1.0);
    }
}

/// `recorder` is a name of the configuration.
pub(crate) fn recorder_not_paused(call: CallId, recorder: &str, error: &ivrpay_wire::HookError) {
    error!(call_id = %call, recorder, error = %error, "a recorder did not acknowledge its pause");
    counter!("ivrpay_recorder_failures_total", "event" => "pause").increment(1);
}

pub(crate) fn recorder_not_resumed(
    call: CallId,
    recorder: &str,
    error: &ivrpay_wire::HookError,
    failures: u32,
    for_good: bool,
) {
    if for_good {
        error!(call_id = %call, recorder, error = %error, failures, "a recorder stays paused: it does not acknowledge that it runs again; it is asked on");
    } else {
        warn!(call_id = %call, recorder, error = %error, failures, "a recorder did not acknowledge that it runs again");
    }
    counter!("ivrpay_recorder_failures_total", "event" => "resume").increment(1);
}

pub(crate) fn recorder_unknown(call: CallId, recorder: &str) {
    error!(call_id = %call, recorder, "a recorder was paused that the configuration no longer names: see to it that it runs");
}

/// Never the file's name: it may hold anything.
pub(crate) fn recording_marked(recording: RecordingId, channel: &ChannelId) {
    warn!(recording_id = %recording, channel_id = channel.as_str(), "a recording holds a card, says an operator; run `ivrpay recording list`");
    counter!("ivrpay_recordings_marked_total").increment(1);
}

pub(crate) fn nothing_to_mark(channel: &ChannelId, error: Option<&ivrpay_ari::RequestError>) {
    error!(
        channel_id = channel.as_str(),
        error = error.map(tracing::field::display),
        "an operator marked a recording that can't be found; find the recording of this channel, and run `ivrpay recording quarantine`"
    );
}

pub(crate) fn overflow(about: &About) {
    warn!(call_id = %about.call_id, "events came faster than they could be taken; the call ends and the caller is given back");
}

/// What the ARI reader has counted so far.
pub(crate) fn ari(counters: &ivrpay_ari::Counters) {
    use std::sync::atomic::Ordering::Relaxed;
    for (name, counted) in [
        ("ivrpay_ari_connects_total", &counters.connects),
        ("ivrpay_ari_messages_total", &counters.messages),
        ("ivrpay_ari_messages_malformed_total", &counters.malformed),
        ("ivrpay_ari_messages_unknown_total", &counters.unknown),
        ("ivrpay_ari_messages_unrouted_total", &counters.unrouted),
        ("ivrpay_ari_messages_repeated_total", &counters.repeated),
        ("ivrpay_ari_orphans_total", &counters.orphans),
        ("ivrpay_ari_overflows_total", &counters.overflows),
    ] {
        counter!(name).absolute(counted.load(Relaxed));
    }
}

pub(crate) fn keys_lost(about: &About) {
    warn!(call_id = %about.call_id, "keys were lost; the field is asked anew");
    counter!("ivrpay_keys_lost_total").increment(1);
}

/// `how`: as `IVRPAY_KEYS`.
pub(crate) fn keys(about: &About, line: &str, how: &'static str) {
    warn!(
        call_id = %about.call_id,
        line,
        keys = how,
        "the keys of a call came as sound alone, or not at all; `ivrpay check trunk` tells which setting to change"
    );
    counter!("ivrpay_calls_keys_total", "keys" => how).increment(1);
}

pub(crate) fn prompt_failed(about: &About) {
    warn!(call_id = %about.call_id, "Asterisk could not play a prompt; run `ivrpay check`");
    counter!("ivrpay_prompt_failures_total").increment(1);
}

pub(crate) fn key_to_request(lasted: Duration) {
    histogram!("ivrpay_key_to_request_seconds").record(lasted.as_secs_f64());
}

pub(crate) fn journal_failed(
    payment: Option<PaymentId>,
    what: &'static str,
    error: &ivrpay_journal::Error,
) {
    error!(
        payment_id = payment.map(tracing::field::display),
        what,
        error = %error,
        hint = error.hint(),
        "the journal could not be written"
    );
    counter!("ivrpay_journal_failures_total").increment(1);
}

const fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Approved(_) => "approved",
        Outcome::Declined(_) => "declined",
        Outcome::NotCharged(_) => "not-charged",
        Outcome::Unknown(_) => "unknown",
    }
}

pub(crate) fn intent(payment: PaymentId, operation: OperationId) {
    debug!(payment_id = %payment, operation_id = %operation, "intent is durable");
}

/// The acquirer's yes came after somebody had written down another outcome, which stands.
pub(crate) fn approved_too_late(
    payment: PaymentId,
    operation: OperationId,
    acquirer_ref: &AcquirerRef,
) {
    error!(
        payment_id = %payment, operation_id = %operation, acquirer_ref = acquirer_ref.as_str(),
        hint = "compare the payment with the acquirer's books; where it was settled as not charged, void it there",
        "the acquirer approved after the operation had been settled"
    );
}

/// An inquiry that nobody asked for has found what became of an operation.
pub(crate) fn found_out(payment: PaymentId, operation: OperationId, outcome: &Outcome) {
    info!(payment_id = %payment, operation_id = %operation, outcome = outcome_name(outcome), "what was unknown is known");
}

/// An approval that nobody knows of was to be released.
pub(crate) fn released(payment: PaymentId, void: &ivrpay_journal::Operation) {
    warn!(
        payment_id = %payment, operation_id = %void.id, outcome = void.state.name(),
        hint = "its task says whom to call back; unheard_approval = \"keep\" keeps such approvals",
        "an approval that neither caller nor operator knows of was to be released"
    );
}

/// It can't be: its task is a person's.
/// A request of the API is answered. Its path is that of the routes, its id one of a form that holds no card.
pub(crate) fn asked_of_api(answered: &Answered) {
    let (method, path, status) = (answered.method, &*answered.path, answered.status);
    let class = match status {
        429 => "limited",
        400..=499 => "refused",
        500.. => "failed",
        _ => "ok",
    };
    counter!("ivrpay_api_requests_total", "method" => method, "path" => path.to_owned(), "result" => class)
        .increment(1);
    let took_ms = u64::try_from(answered.took.as_millis()).unwrap_or(u64::MAX);
    let key = answered.key.as_deref().unwrap_or_default();
    // Who asks whether it lives does so each few seconds.
    if method == "POST" || status >= 400 {
        info!(request_id = %answered.id, method, path, status, key, took_ms, "api request");
    } else {
        debug!(request_id = %answered.id, method, path, status, key, took_ms, "api request");
    }
}

pub(crate) fn not_released(payment: PaymentId, refused: &ivrpay_web::LaterRefused) {
    error!(
        payment_id = %payment, reason = %refused,
        hint = "void or refund it: `ivrpay payment void`, `ivrpay payment refund`",
        "an approval that neither caller nor operator knows of can't be released"
    );
}

/// A charge that was reserved and never taken, and what came of its release.
pub(crate) fn half_done(
    payment: PaymentId,
    released: Result<ivrpay_journal::Operation, ivrpay_web::LaterRefused>,
) {
    match released {
        Ok(void) => warn!(
            payment_id = %payment, operation_id = %void.id, outcome = void.state.name(),
            hint = "its caller was told that it is being checked: he has paid nothing",
            "a charge that stopped in the middle was to be released"
        ),
        Err(refused) => warn!(
            payment_id = %payment, reason = %refused,
            hint = "its task is a person's: `ivrpay payment void` releases it",
            "a charge that stopped in the middle can't be released now"
        ),
    }
}

/// What is open could not be looked after now; the next second tries again.
pub(crate) fn recovery_failed(refused: &ivrpay_web::LaterRefused) {
    if let ivrpay_web::LaterRefused::Stopping = refused {
        return;
    }
    error!(reason = %refused, "open payments could not be looked after");
}

/// A live connector is new, or another in a way that nobody has to answer for.
pub(crate) fn connector_kept(connector: &str, what: &[&String]) {
    info!(connector, changed = ?what, "a live connector is kept as it is now");
}

/// So many failures in a row that no customer is moved for it now.
pub(crate) fn acquirer_away(connector: &str) {
    warn!(
        connector,
        hint = "ivrpay check; where no other connector can take the payment, the pay key asks nobody for a card until it answers again",
        "the acquirer does not answer"
    );
}

/// No answer came, or one that asks for it: the same request goes out once more under the same key, which is on disk.
pub(crate) fn sent_again(payment: PaymentId, operation: OperationId, again: u8) {
    warn!(payment_id = %payment, operation_id = %operation, time = again.saturating_add(1), "the same request is sent again under its key");
    counter!("ivrpay_sent_again_total").increment(1);
}

/// Not one byte has gone out to the first, and now the second is asked.
pub(crate) fn failed_over(
    payment: PaymentId,
    operation: OperationId,
    (from, to): (&str, &str),
    trouble: Option<&Trouble>,
) {
    let hint = trouble.map(Trouble::hint);
    let reason = trouble.map(tracing::field::display);
    warn!(payment_id = %payment, operation_id = %operation, connector = from, reason, hint, asked_now = to, "not reached: the next connector is asked");
    counter!("ivrpay_failed_over_total", "connector" => from.to_owned()).increment(1);
}

/// `connector` was asked for `kind`.
pub(crate) fn outcome(
    payment: PaymentId,
    operation: OperationId,
    (connector, kind): (&str, &'static str),
    outcome: &Outcome,
    trouble: Option<&Trouble>,
    codes: &str,
    waited: Duration,
) {
    let (name, reason) = (
        outcome_name(outcome),
        match outcome {
            Outcome::Declined(decline) => decline.reason.name(),
            _ => "",
        },
    );
    let hint = ivrpay_wire::hint(outcome, trouble);
    let trouble = trouble.map(tracing::field::display);
    match outcome {
        Outcome::Unknown(doubt) => {
            error!(payment_id = %payment, operation_id = %operation, doubt = ?doubt, codes, reason = trouble, hint, "outcome unknown: do not charge again");
        }
        Outcome::NotCharged(why) => {
            warn!(payment_id = %payment, operation_id = %operation, why = ?why, reason = trouble, hint, "nothing was charged");
        }
        // Of no table: somebody has to look what it is.
        Outcome::Declined(Decline {
            reason: Reason::Other,
            code,
            ..
        }) => {
            warn!(payment_id = %payment, operation_id = %operation, outcome = name, reason, code, "answered, by a code that is not listed");
        }
        _ => {
            info!(payment_id = %payment, operation_id = %operation, outcome = name, reason, "answered");
        }
    }
    outcomes(connector, kind, name, reason);
    histogram!("ivrpay_acquirer_seconds", "connector" => connector.to_owned(), "operation" => kind)
        .record(waited.as_secs_f64());
}

fn outcomes(connector: &str, kind: &'static str, outcome: &'static str, reason: &'static str) {
    counter!(
        "ivrpay_outcomes_total",
        "connector" => connector.to_owned(),
        "operation" => kind,
        "outcome" => outcome,
        "reason" => reason
    )
    .increment(1);
}

/// A card was not sent, by the schemes' rules or our limit.
pub(crate) fn not_tried(
    payment: PaymentId,
    operation: OperationId,
    (connector, kind): (&str, &'static str),
    reason: Reason,
) {
    let reason = reason.name();
    info!(payment_id = %payment, operation_id = %operation, outcome = "declined", reason, "not sent: this card may not be tried again yet");
    outcomes(connector, kind, "declined", reason);
}

/// A card has left this process. The line has a target of its own: `make bench` asks for it alone and compares its time with the
/// acquirer's.
pub(crate) fn wiped(payment: PaymentId, operation: OperationId, wiped: Wiped) {
    let Some(held) = wiped.held else {
        return;
    };
    let since_1970 = wiped.at.duration_since(SystemTime::UNIX_EPOCH);
    debug!(
        target: "ivrpay_daemon::wiped",
        payment_id = %payment,
        operation_id = %operation,
        at_ns = u64::try_from(since_1970.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX),
        "card wiped"
    );
    histogram!("ivrpay_card_wiped_seconds").record(held.as_secs_f64());
}

/// Slots of secret memory. More than those of the socket to Asterisk (a small one, a large one) and the table of cards that were tried (a
/// large one) while no call is on would be a leak.
pub(crate) fn secret_memory(in_use: ivrpay_secret::Usage, longest: Duration) {
    for (size, slots) in [
        ("small", in_use.small),
        ("medium", in_use.medium),
        ("large", in_use.large),
    ] {
        gauge!("ivrpay_secret_slots_in_use", "size" => size).set(as_f64(slots));
    }
    gauge!("ivrpay_secret_slot_longest_seconds").set(longest.as_secs_f64());
}

/// Tasks that are to be done now, kinds without any too.
pub(crate) fn tasks(counts: &[TaskCount]) {
    for kind in TaskKind::ALL {
        let count = counts.iter().find(|count| count.kind == *kind);
        let (open, taken, overdue) = count.map_or((0, 0, 0), |c| (c.open, c.taken, c.overdue));
        let kind = kind.name();
        for (state, number) in [("open", open), ("taken", taken)] {
            gauge!("ivrpay_tasks", "kind" => kind, "state" => state).set(as_f64(number));
        }
        gauge!("ivrpay_tasks_overdue", "kind" => kind).set(as_f64(overdue));
    }
}

pub(crate) fn recovered(in_flight: usize, released: usize) {
    if in_flight > 0 {
        error!(
            in_flight,
            "payments were in flight when the service last stopped: now unknown, each with a task for a person"
        );
    }
    if released > 0 {
        info!(
            released,
            "payments of calls that ended with the last service wait again or are cancelled"
        );
    }
}

/// What other daemons had left that are gone.
pub(crate) fn taken_over(in_flight: usize, released: usize, closed: usize) {
    error!(
        in_flight,
        released,
        closed,
        "another service was gone for longer than its lease: what it left is made good here"
    );
}

pub(crate) fn fenced(why: &'static str) {
    error!(
        why,
        "this service may not write the journal any more: it takes no call, sends nothing and starts anew"
    );
}

/// What is unknown now, and for how long the oldest of it.
pub(crate) fn unknowns(unknowns: ivrpay_journal::Unknowns, now_ms: i64) {
    gauge!("ivrpay_unknown_operations").set(f64::from(unknowns.open));
    let age_ms = unknowns
        .since_ms
        .map_or(0, |since| now_ms.saturating_sub(since));
    let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
    gauge!("ivrpay_unknown_oldest_seconds").set(age.as_secs_f64());
}

/// Whether an acquirer can be asked now.
pub(crate) fn acquirer_open(connector: &str, open: bool) {
    gauge!("ivrpay_acquirer_open", "connector" => connector.to_owned())
        .set(f64::from(u8::from(open)));
}

/// A write that a caller waits for: `what` is the intent or the outcome of a charge.
pub(crate) fn journalled(what: &'static str, lasted: Duration) {
    histogram!("ivrpay_journal_write_seconds", "what" => what).record(lasted.as_secs_f64());
}

/// No new call is taken from now on. `calls`: those that are on, and customers who are being called.
pub(crate) fn draining(calls: usize, limit: Duration) {
    info!(
        calls,
        limit_seconds = limit.as_secs(),
        "draining: no new calls; those that are on go on to their end"
    );
    gauge!("ivrpay_draining").set(1.0);
}

pub(crate) fn not_taken(channel: &ChannelId) {
    info!(
        channel_id = channel.as_str(),
        "a call is not taken, since the service is about to leave; the dialplan goes on with it"
    );
    counter!("ivrpay_calls_not_taken_total").increment(1);
}

pub(crate) fn stopping(calls: usize) {
    info!(calls, "stopping: calls that are on are told to end");
    gauge!("ivrpay_draining").set(1.0);
}

pub(crate) fn stopped(left: usize, all_written: bool) {
    if left == 0 && all_written {
        info!("stopped");
    } else if left == 0 {
        warn!("stopped before the journal took all; what is missing is settled at the next start");
    } else {
        warn!(
            left,
            "stopped with calls on; they were given back to the dialplan, their payments are settled at the next start"
        );
    }
}

pub(crate) fn call_panicked() {
    error!("a call ended by a panic, which is a bug: please report it; the caller was given back");
    counter!("ivrpay_panics_total").increment(1);
}

/// With all that an admin needs should the journal never take it.
pub(crate) fn outcome_not_written(
    payment: PaymentId,
    operation: OperationId,
    outcome: &Outcome,
    error: &ivrpay_journal::OutcomeError,
) {
    let acquirer_ref = match outcome {
        Outcome::Approved(approval) => Some(approval.acquirer_ref.as_str()),
        _ => None,
    };
    error!(
        payment_id = %payment,
        operation_id = %operation,
        outcome = outcome_name(outcome),
        acquirer_ref,
        error = %error,
        hint = error.hint(),
        "an outcome could not be journalled; trying again"
    );
    counter!("ivrpay_journal_failures_total").increment(1);
}

/// What an acquirer has told of itself; `None`: nothing that concerns us.
pub(crate) fn noticed(connector: &str, event: &'static str, told: Option<Told>) {
    let result = match told {
        None => "ignored",
        Some(Told::NotOurs) => "not-ours",
        Some(Told::Known) => "known",
        Some(Told::InFlight) => "again",
        Some(Told::Settled(..)) => "settled",
        Some(Told::Contradicts(..)) => "contradicts",
    };
    counter!("ivrpay_webhooks_total", "connector" => connector.to_owned(), "result" => result)
        .increment(1);
    match told {
        Some(Told::Settled(payment, operation)) => info!(
            connector,
            event,
            payment_id = %payment,
            operation_id = %operation,
            "the acquirer told by webhook what became of an operation"
        ),
        Some(Told::Contradicts(payment, operation)) => error!(
            connector,
            event,
            payment_id = %payment,
            operation_id = %operation,
            "the acquirer says something else of an operation than the journal: there is a task for a person"
        ),
        _ => debug!(connector, event, result, "webhook"),
    }
}

/// Events of before that nobody waits for.
pub(crate) fn webhook_begins(tenant: &TenantId, old: u64) {
    info!(
        tenant = %tenant,
        old,
        "the first webhook of this merchant: events that are older than 72 hours are not sent; `ivrpay webhook resend` sends one"
    );
}

/// The merchant's program has it.
pub(crate) fn webhook_delivered(event: &Event) {
    let tenant = event.tenant.to_string();
    counter!("ivrpay_events_sent_total", "tenant" => tenant, "result" => "delivered").increment(1);
    debug!(
        event_id = %event.id,
        payment_id = %event.payment,
        attempts = event.attempts,
        "an event was delivered to the merchant's program"
    );
}

/// The merchant's program does not have it, as far as is known; `None`: it is given up.
pub(crate) fn webhook_failed(event: &Event, why: &WebhookError, next_ms: Option<i64>) {
    let result = if next_ms.is_some() {
        "failed"
    } else {
        "given-up"
    };
    let tenant = event.tenant.to_string();
    counter!("ivrpay_events_sent_total", "tenant" => tenant, "result" => result).increment(1);
    let (event_id, payment_id, attempts) = (event.id, event.payment, event.attempts);
    if next_ms.is_some() {
        warn!(
            %event_id, %payment_id, tenant = %event.tenant, attempts, %why,
            "an event was not taken by the merchant's program: it is sent again"
        );
    } else {
        error!(
            %event_id, %payment_id, tenant = %event.tenant, attempts, %why,
            hint = "`ivrpay webhook list --state given-up` lists these, `ivrpay webhook resend ID` sends one again",
            "an event was not taken by the merchant's program for 72 hours: it is given up"
        );
    }
}

/// How many events of a merchant wait, or were given up.
pub(crate) fn webhooks_waiting(tenant: &TenantId, count: EventCount, now_ms: i64) {
    let tenant = tenant.to_string();
    let of = |number: i64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let age = count
        .oldest_ms
        .map_or(0, |ms| now_ms.saturating_sub(ms).max(0) / 1000);
    gauge!("ivrpay_events_open", "tenant" => tenant.clone()).set(of(count.open));
    gauge!("ivrpay_events_given_up", "tenant" => tenant.clone()).set(of(count.given_up));
    gauge!("ivrpay_events_oldest_seconds", "tenant" => tenant).set(of(age));
}

/// The end of a chain of records, in the words that `ivrpay journal verify --anchor` reads.
pub(crate) fn chain_head(head: &ChainHead) {
    info!("{head}");
}

/// Payments whose time was over.
pub(crate) fn retained(count: usize) {
    info!(
        count,
        "payments and promises taken out of the journal: their time was over"
    );
}

pub(crate) fn retention_waits() {
    warn!(
        hint = "if the clock is right, nothing is to be done: it begins by itself within a week",
        "nothing is taken out of the journal: by the clock it was written on less than 7 of the last 14 days"
    );
}

/// A message that nothing of was read. Anybody may send some: each is counted, and the log has one a minute.
pub(crate) fn hook_refused(connector: &str, error: &HookError) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    counter!("ivrpay_webhooks_total", "connector" => connector.to_owned(), "result" => "refused")
        .increment(1);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_some_and(|last| last.elapsed() < Duration::from_secs(60)) {
        return;
    }
    *last = Some(Instant::now());
    warn!(
        connector,
        error = %error,
        hint = "compare the webhook's HMAC key, user and password at the acquirer with the connector's secrets",
        "a webhook was refused"
    );
}

pub(crate) fn plan_refused(about: &About, plan: Plan, brand: Brand) {
    warn!(
        call_id = %about.call_id,
        payment_id = about.payment_id.map(tracing::field::display),
        plan = %plan,
        brand = %brand,
        "the payment plan is not offered for this card, amount and day; nothing was sent"
    );
}

pub(crate) fn intent_refused(payment: PaymentId, error: &ivrpay_journal::IntentError) {
    error!(payment_id = %payment, error = %error, "an intent was refused; nothing was sent");
}

/// Who comes in at the API, and who does not. No name: what was typed as one may be a password.
pub(crate) fn security(what: ivrpay_web::Security) {
    use ivrpay_web::Security;
    let result = match what {
        Security::SignedIn => "signed-in",
        Security::SignInFailed => "failed",
        Security::Locked => "locked",
        Security::Refused => "refused",
        Security::NotKept | Security::ResultNotKept => "not-kept",
    };
    counter!("ivrpay_access_total", "result" => result).increment(1);
    match what {
        Security::Locked => warn!(
            hint = "`ivrpay audit-log list` says who and from where; `ivrpay person unlock` lets him try again",
            "ten tries to sign in under one name were not good: nobody of that name may for half an hour"
        ),
        Security::NotKept => error!(
            hint = "see the journal: what changes something is refused as long as nobody can say who did it",
            "what somebody wanted to do could not be kept, and was not done"
        ),
        Security::SignedIn
        | Security::SignInFailed
        | Security::Refused
        | Security::ResultNotKept => {}
    }
}

/// Until when the HTTP API's certificate is good.
pub(crate) fn certificate(ends_ms: i64) {
    // Seconds of this century fit.
    let seconds = u32::try_from(ends_ms / 1_000).unwrap_or(u32::MAX);
    gauge!("ivrpay_certificate_ends_seconds").set(f64::from(seconds));
}

pub(crate) fn certificate_renewed() {
    counter!("ivrpay_certificate_reloads_total", "result" => "renewed").increment(1);
    info!("the HTTP API has a new certificate");
}

pub(crate) fn certificate_over(error: &ivrpay_web::TlsError) {
    error!(
        error = %error,
        hint = "renew it: the service takes the new one by itself; until then clients refuse it",
        "the HTTP API's certificate is not good now"
    );
}

pub(crate) fn certificate_refused(error: &ivrpay_web::TlsError) {
    counter!("ivrpay_certificate_reloads_total", "result" => "refused").increment(1);
    error!(
        error = %error,
        hint = "put a certificate and its key, both in PEM, where [http] names them; the old ones stay until then",
        "the HTTP API's new certificate is no good"
    );
}
