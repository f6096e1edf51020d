//! Places one call and leads it to its end.
//!
//! Begins with the INVITE, ends when the far side or we hung up, and the daemon has said how the call ended. One task, two
//! sockets and one timer a call, so that a hundred calls fit into one process. Knows nothing of the command line.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;

use super::audio::{Ear, RATE, samples_in};
use super::events::{Announced, Feed, Subscription, Told};
use super::rtp::{self, Carry, Leaked, Press, Sender, TELEPHONE_EVENT};
use super::script::{Action, Key, QUIET};
use super::sip::{self, Dialog, MESSAGE_MAX, Media, Message, Start};

/// How keys travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Dtmf {
    /// RFC 4733 telephone-events in RTP.
    Rfc4733,
    /// SIP INFO with application/dtmf-relay.
    Info,
    /// Tones in the sound.
    Inband,
    /// RFC 4733 and INFO for each key, as some telephones do.
    Both,
}

/// When a SIP INFO goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum InfoAt {
    /// When the key is pressed.
    Press,
    /// When it is released.
    Release,
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) extension: String,
    pub(crate) from: String,
    pub(crate) script: Vec<Action>,
    pub(crate) dtmf: Dtmf,
    pub(crate) info_at: InfoAt,
    pub(crate) on_ms: u32,
    pub(crate) off_ms: u32,
    /// Our address; ports are chosen by the system.
    pub(crate) bind: IpAddr,
    pub(crate) to: SocketAddr,
    /// Longest wait for each: the answer, a step, silence, the end after the last key.
    pub(crate) timeout: Duration,
    /// How long the line stays open after the daemon's `call-ended`, so that the dialplan can go on.
    pub(crate) linger: Duration,
    pub(crate) keep_audio: bool,
    /// The caller hums where he presses no key.
    pub(crate) hums: bool,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The daemon's word.
    Result(String),
    /// The far side hung up, and no daemon said anything.
    WithoutResult,
    /// The script hung up, and no daemon said anything.
    HungUp,
    /// Refused with this SIP status.
    Rejected(u16),
    /// What was waited for in vain.
    TimedOut(String),
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Result(result) => f.write_str(result),
            Self::WithoutResult => f.write_str("ended-without-result"),
            Self::HungUp => f.write_str("hung-up"),
            Self::Rejected(status) => write!(f, "rejected {status}"),
            Self::TimedOut(what) => write!(f, "timeout waiting for {what}"),
        }
    }
}

/// A step as the daemon announced it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Step {
    pub(crate) step: String,
    pub(crate) attempt: Option<u32>,
    pub(crate) error: Option<String>,
    /// Since the INVITE.
    pub(crate) ms: u64,
}

/// What the caller saw and heard.
#[derive(Debug)]
pub(crate) struct CallReport {
    pub(crate) ending: Ending,
    pub(crate) steps: Vec<Step>,
    pub(crate) keys_sent: usize,
    pub(crate) payment_id: Option<String>,
    pub(crate) call_id: Option<String>,
    pub(crate) sip_call_id: String,
    pub(crate) answered: bool,
    /// Time from the INVITE to the end.
    pub(crate) lasted: Duration,
    /// Sound that was louder than a quiet line.
    pub(crate) heard: Duration,
    /// Telephone-events that reached the caller; any is a leak.
    pub(crate) events_received: usize,
    /// The latest that a packet of ours left after its time: over some 20 ms, this machine is too slow for the test.
    pub(crate) late_max: Duration,
    pub(crate) audio: Option<Vec<i16>>,
}

/// What happens in the call, for a person who watches.
#[derive(Debug)]
pub(crate) enum Seen<'a> {
    Calling,
    Ringing,
    Answered,
    /// The far end takes no RFC 4733.
    NoTelephoneEvents,
    /// How many keys were pressed.
    Keys(usize),
    Step(&'a Step),
    /// The INFO with a key was refused with this status.
    InfoRefused(u16),
    EventsLost,
    EventsBack,
    Ended(&'a str),
    FarHungUp,
    HungUp,
}

/// The script waits for steps, but no daemon announces any.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("the keys wait for a step, but nobody announces steps")]
    NoEvents,
    #[error("no socket at {bind}")]
    Socket { bind: IpAddr, source: io::Error },
}

impl PlaceError {
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NoEvents => {
                "start `ivrpay serve` and give its --events URL, or use `heard`, `sleep:MS` and `,` instead of `wait:`"
            }
            Self::Socket { .. } => "--bind takes an address of this machine, as 127.0.10.2",
        }
    }
}

/// RFC 3261, 17.1.1.1.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// Timers B and F: 64 × T1.
const TRANSACTION_MAX: Duration = Duration::from_secs(32);
/// How long the answer to BYE or CANCEL is waited for.
const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// How long `call-ended` may come after the line was closed: when the daemon had the call, and when it never spoke of it.
const RESULT_MAX: Duration = Duration::from_secs(5);
const RESULT_MAX_UNSEEN: Duration = Duration::from_millis(700);
/// Loud sound that counts as a prompt for `heard`.
const PROMPT_MIN: Duration = Duration::from_millis(100);
/// Steps of one call that are kept.
const STEPS_MAX: usize = 10_000;
/// No timer is set: look again after this.
const IDLE: Duration = Duration::from_secs(3600);

/// Places the call and returns when it is over.
///
/// # Errors
/// Nothing was called: no sockets, or steps are waited for and there is no feed.
pub(crate) async fn place(
    plan: &Plan,
    feed: Option<&Feed>,
    seen: impl FnMut(Duration, Seen<'_>) + Send,
) -> Result<CallReport, PlaceError> {
    let waits = plan.script.iter().any(|a| matches!(a, Action::Step { .. }));
    if waits && feed.is_none() {
        return Err(PlaceError::NoEvents);
    }
    let (sip, sip_at) = socket(plan.bind).await?;
    let (media, media_at) = socket(plan.bind).await?;
    let dialog = Dialog::new(&plan.from, &plan.extension, sip_at, plan.to, media_at);
    let mut told = feed.map(|feed| feed.subscribe(&dialog.call_id));
    let mut call = Call::new(plan, dialog, feed.is_some(), seen);
    call.dial();
    let (mut sip_in, mut media_in) = (vec![0; MESSAGE_MAX], vec![0; 2048]);
    loop {
        call.advance(Instant::now());
        // On loopback a datagram leaves at once or is lost; UDP's own answer to loss is the retransmission.
        while let Some((bytes, to)) = call.sip_out.pop_front() {
            sip.send_to(&bytes, to).await.ok();
        }
        call.send_media(&media);
        if call.state == State::Over {
            return Ok(call.report());
        }
        let wake = call.wake();
        tokio::select! {
            Ok((n, from)) = sip.recv_from(&mut sip_in) => call.handle_sip(&sip_in[..n], from),
            Ok((n, from)) = media.recv_from(&mut media_in) => call.handle_media(&media_in[..n], from),
            Some(told) = next(&mut told) => call.handle_told(told),
            () = tokio::time::sleep_until(wake.into()) => {}
        }
    }
}

async fn next(subscription: &mut Option<Subscription>) -> Option<Told> {
    match subscription {
        Some(subscription) => subscription.told.recv().await,
        None => std::future::pending().await,
    }
}

async fn socket(bind: IpAddr) -> Result<(UdpSocket, SocketAddr), PlaceError> {
    let failed = |source| PlaceError::Socket { bind, source };
    let socket = UdpSocket::bind((bind, 0)).await.map_err(failed)?;
    let at = socket.local_addr().map_err(failed)?;
    Ok((socket, at))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// INVITE sent.
    Calling {
        ringing: bool,
    },
    Talking,
    /// CANCEL sent; the refusal, or an answer that crossed it, is awaited.
    Cancelling {
        until: Instant,
    },
    /// BYE sent.
    Leaving {
        until: Instant,
    },
    /// The line is closed, the result is awaited.
    Closed {
        until: Instant,
    },
    Over,
}

#[derive(Debug, Clone, Copy)]
enum Doing {
    Next,
    /// Until this sample of our sound.
    Keys {
        over: u64,
    },
    Pause {
        until: Instant,
    },
    Step {
        until: Instant,
    },
    Heard {
        before: Duration,
        until: Instant,
    },
    End {
        until: Instant,
    },
}

/// A datagram that is repeated until it is answered.
struct Repeated {
    branch: String,
    method: &'static str,
    bytes: Vec<u8>,
    to: SocketAddr,
    next: Instant,
    every: Duration,
    until: Instant,
}

struct Info {
    at: u64,
    key: Key,
}

struct Call<'a, F> {
    plan: &'a Plan,
    seen: F,
    dialog: Dialog,
    began: Instant,
    state: State,
    sip_out: VecDeque<(Vec<u8>, SocketAddr)>,
    repeated: Vec<Repeated>,
    /// Our last answer to a request of the far end: its CSeq and method, and the answer, for when it comes again.
    last_answer: Option<(u32, String, Vec<u8>)>,

    /// When sample 0 of our sound was.
    answered: Option<Instant>,
    sender: Sender,
    far_media: Option<SocketAddr>,
    events_as: Option<u8>,
    packet: Vec<u8>,
    infos: VecDeque<Info>,
    pressed: VecDeque<Press>,
    keys_sent: usize,
    late_max: Duration,

    ear: Ear,
    leaked: Leaked,

    script_at: usize,
    doing: Doing,
    steps: Vec<Step>,
    /// Steps before this one were used by a `wait:`.
    steps_used: usize,
    /// There is a stream of announcements.
    listening: bool,
    told_any: bool,
    result: Option<String>,
    /// Why the call ended when the daemon does not say.
    otherwise: Ending,
    payment_id: Option<String>,
    call_id: Option<String>,
    ended: Option<Instant>,
}

impl<'a, F: FnMut(Duration, Seen<'_>)> Call<'a, F> {
    fn new(plan: &'a Plan, dialog: Dialog, listening: bool, seen: F) -> Self {
        let began = Instant::now();
        let carry = match plan.dtmf {
            Dtmf::Rfc4733 | Dtmf::Both => Carry::Events,
            Dtmf::Inband => Carry::Tones,
            Dtmf::Info => Carry::Nothing,
        };
        let seed = uuid::Uuid::new_v4().as_u128();
        let mut sender = Sender::new(carry, plan.on_ms, plan.off_ms, seed);
        if plan.hums {
            sender.hum();
        }
        Self {
            plan,
            seen,
            dialog,
            began,
            state: State::Calling { ringing: false },
            sip_out: VecDeque::new(),
            repeated: Vec::new(),
            last_answer: None,
            answered: None,
            sender,
            far_media: None,
            events_as: None,
            packet: Vec::with_capacity(172),
            infos: VecDeque::new(),
            pressed: VecDeque::new(),
            keys_sent: 0,
            late_max: Duration::ZERO,
            ear: Ear::new(plan.keep_audio, began),
            leaked: Leaked::default(),
            script_at: 0,
            doing: Doing::Next,
            steps: Vec::new(),
            steps_used: 0,
            listening,
            told_any: false,
            result: None,
            otherwise: Ending::WithoutResult,
            payment_id: None,
            call_id: None,
            ended: None,
        }
    }

    fn see(&mut self, seen: Seen<'_>) {
        (self.seen)(self.began.elapsed(), seen);
    }

    fn dial(&mut self) {
        self.see(Seen::Calling);
        let invite = self.dialog.invite();
        let branch = self.dialog.invite_branch().to_owned();
        self.repeat("INVITE", invite, branch, self.plan.to);
    }

    fn report(self) -> CallReport {
        let lasted = self
            .ended
            .unwrap_or_else(Instant::now)
            .duration_since(self.began);
        let ending = match (self.otherwise, self.result) {
            // A wait in vain is the finding, also when hanging up then made the daemon say how the call ended.
            (timed_out @ Ending::TimedOut(_), _) => timed_out,
            (_, Some(result)) => Ending::Result(result),
            (otherwise, None) => otherwise,
        };
        CallReport {
            ending,
            steps: self.steps,
            keys_sent: self.keys_sent,
            payment_id: self.payment_id,
            call_id: self.call_id,
            sip_call_id: self.dialog.call_id,
            answered: self.answered.is_some(),
            lasted,
            heard: self.ear.heard(),
            events_received: self.leaked.count(),
            late_max: self.late_max,
            audio: self.ear.into_samples(),
        }
    }

    // --- time

    /// Does all that is due.
    fn advance(&mut self, now: Instant) {
        self.repeat_due(now);
        match self.state {
            State::Calling { .. } if now >= self.began + self.plan.timeout => {
                self.give_up("an answer", now);
            }
            State::Talking => {
                self.release_keys(now);
                self.follow_script(now);
            }
            State::Cancelling { until } if now >= until => self.close(now),
            State::Leaving { until } if now >= until => self.close(now),
            State::Closed { until } if now >= until || self.result.is_some() => {
                self.state = State::Over;
            }
            _ => {}
        }
    }

    /// The next moment at which something is due.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        let mut wake = now + IDLE;
        for repeated in &self.repeated {
            wake = wake.min(repeated.next);
        }
        match self.state {
            State::Calling { .. } => wake.min(self.began + self.plan.timeout),
            State::Cancelling { until } | State::Leaving { until } | State::Closed { until } => {
                wake.min(until)
            }
            State::Over => now,
            State::Talking => {
                wake = wake.min(self.moment(self.sender.due()));
                if let Some(info) = self.infos.front() {
                    wake = wake.min(self.moment(info.at));
                }
                wake.min(match self.doing {
                    Doing::Next => now,
                    Doing::Keys { over } => self.moment(over),
                    Doing::Pause { until } | Doing::Step { until } | Doing::End { until } => until,
                    Doing::Heard { until, .. } => match self.ear.last_loud() {
                        // At the moment of quiet itself, or at the next sound.
                        Some(loud) if loud + QUIET > now => until.min(loud + QUIET),
                        _ => until,
                    },
                })
            }
        }
    }

    /// When a sample of our sound is due.
    fn moment(&self, sample: u64) -> Instant {
        self.answered.unwrap_or(self.began) + Duration::from_micros(sample * 1_000_000 / RATE)
    }

    // --- keys and waits

    fn follow_script(&mut self, now: Instant) {
        let plan = self.plan;
        while self.state == State::Talking {
            match self.doing {
                Doing::Next => self.begin(plan.script.get(self.script_at), now),
                Doing::Keys { over } if now >= self.moment(over) => self.doing = Doing::Next,
                Doing::Pause { until } if now >= until => self.doing = Doing::Next,
                Doing::Step { until } => {
                    // The action that is being done is the one before `script_at`.
                    let Some(Action::Step { step, error }) = plan.script.get(self.script_at - 1)
                    else {
                        self.doing = Doing::Next;
                        continue;
                    };
                    let fits = |s: &Step| {
                        s.step == *step
                            && error.as_ref().is_none_or(|e| s.error.as_ref() == Some(e))
                    };
                    let unused = self.steps.get(self.steps_used..).unwrap_or_default();
                    if let Some(at) = unused.iter().position(fits) {
                        self.steps_used += at + 1;
                        self.doing = Doing::Next;
                    } else if now >= until {
                        let error = error.as_ref().map_or(String::new(), |e| format!("/{e}"));
                        self.give_up(&format!("step {step}{error}"), now);
                    } else {
                        return;
                    }
                }
                Doing::Heard { before, until } => {
                    let spoke = self.ear.heard() >= before + PROMPT_MIN;
                    let quiet = self.ear.last_loud().is_some_and(|loud| now >= loud + QUIET);
                    if spoke && quiet {
                        self.doing = Doing::Next;
                    } else if now >= until {
                        self.give_up("a prompt and silence", now);
                    } else {
                        return;
                    }
                }
                Doing::End { until } if now >= until => {
                    if self.result.is_some() {
                        self.hang_up(now);
                    } else {
                        self.give_up("the end of the call", now);
                    }
                }
                _ => return,
            }
        }
    }

    fn begin(&mut self, action: Option<&Action>, now: Instant) {
        let until = now + self.plan.timeout;
        self.script_at += 1;
        self.doing = match action {
            None | Some(Action::UntilEnd) => {
                self.script_at = self.plan.script.len();
                Doing::End { until }
            }
            Some(Action::Pause(time)) => Doing::Pause { until: now + *time },
            Some(Action::Step { .. }) => Doing::Step { until },
            Some(Action::Heard) => Doing::Heard {
                before: self.ear.heard(),
                until,
            },
            Some(Action::HangUp) => {
                self.otherwise = Ending::HungUp;
                self.hang_up(now);
                Doing::Next
            }
            Some(Action::Key(key)) => {
                // Keys in a row are pressed by the clock of the samples, however late this task is.
                let mut over = self.press(*key);
                while let Some(Action::Key(key)) = self.plan.script.get(self.script_at) {
                    over = self.press(*key);
                    self.script_at += 1;
                }
                Doing::Keys { over }
            }
        };
    }

    /// Returns when something else can begin.
    fn press(&mut self, key: Key) -> u64 {
        let press = self.sender.press(key);
        self.pressed.push_back(press);
        if matches!(self.plan.dtmf, Dtmf::Info | Dtmf::Both) {
            let at = match self.plan.info_at {
                InfoAt::Press => press.begins,
                InfoAt::Release => press.ends,
            };
            self.infos.push_back(Info { at, key });
        }
        press.over
    }

    /// Counts and shows the keys that are pressed by now, sends the INFO of those that are due.
    fn release_keys(&mut self, now: Instant) {
        let mut pressed = 0;
        while self
            .pressed
            .front()
            .is_some_and(|p| self.moment(p.begins) <= now)
        {
            self.pressed.pop_front();
            pressed += 1;
        }
        if pressed > 0 {
            self.keys_sent += pressed;
            self.see(Seen::Keys(pressed));
        }
        while self.infos.front().is_some_and(|i| self.moment(i.at) <= now) {
            if let Some(info) = self.infos.pop_front() {
                let body = format!(
                    "Signal={}\r\nDuration={}\r\n",
                    info.key.sign(),
                    self.plan.on_ms
                );
                self.request("INFO", "application/dtmf-relay", &body);
            }
        }
    }

    /// A wait was in vain: the call is ended from here.
    fn give_up(&mut self, what: &str, now: Instant) {
        self.otherwise = Ending::TimedOut(what.to_owned());
        match self.state {
            State::Calling { ringing } => {
                self.repeated.clear();
                if ringing {
                    let cancel = self.dialog.cancel();
                    let branch = self.dialog.invite_branch().to_owned();
                    self.repeat("CANCEL", cancel, branch, self.plan.to);
                    self.state = State::Cancelling {
                        until: now + FAREWELL_MAX,
                    };
                } else {
                    // Nobody has heard of the INVITE: nothing to cancel (RFC 3261, 9.1).
                    self.close(now);
                }
            }
            _ => self.hang_up(now),
        }
    }

    fn hang_up(&mut self, now: Instant) {
        self.see(Seen::HungUp);
        self.request("BYE", "", "");
        self.state = State::Leaving {
            until: now + FAREWELL_MAX,
        };
    }

    /// The line is closed: waits for `call-ended` if one can come.
    fn close(&mut self, now: Instant) {
        self.repeated.clear();
        self.ended.get_or_insert(now);
        let wait = if self.told_any {
            RESULT_MAX
        } else {
            RESULT_MAX_UNSEEN
        };
        self.state = if self.result.is_none() && self.answered.is_some() && self.listening {
            State::Closed { until: now + wait }
        } else {
            State::Over
        };
    }

    fn handle_told(&mut self, told: Told) {
        match told {
            Told::Lost => self.see(Seen::EventsLost),
            Told::Back => self.see(Seen::EventsBack),
            Told::Announced(announced) => self.handle_announced(announced),
        }
    }

    fn handle_announced(&mut self, announced: Announced) {
        self.told_any = true;
        self.payment_id = announced.payment_id.or(self.payment_id.take());
        self.call_id = announced.call_id.or(self.call_id.take());
        match (announced.event.as_str(), announced.step) {
            ("step", Some(step)) => {
                let step = Step {
                    step,
                    attempt: announced.attempt,
                    error: announced.error,
                    ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
                };
                self.see(Seen::Step(&step));
                if self.steps.len() < STEPS_MAX {
                    self.steps.push(step);
                }
            }
            ("call-ended", _) => {
                let result = announced.result.unwrap_or_else(|| "none".to_owned());
                self.see(Seen::Ended(&result));
                self.result = Some(result);
                self.script_at = self.plan.script.len();
                self.doing = Doing::End {
                    until: Instant::now() + self.plan.linger,
                };
            }
            _ => {}
        }
    }

    // --- SIP

    fn handle_sip(&mut self, bytes: &[u8], from: SocketAddr) {
        let Some(message) = Message::parse(bytes) else {
            return;
        };
        let now = Instant::now();
        match message.start {
            Start::Response { status } => self.handle_response(status, &message, now),
            Start::Request { ref method } => self.handle_request(method, &message, from, now),
        }
    }

    fn handle_response(&mut self, status: u16, message: &Message, now: Instant) {
        if message.header("call-id") != Some(&self.dialog.call_id) {
            return;
        }
        let Some((number, method)) = message.cseq() else {
            return;
        };
        if method == "INVITE" {
            if number == 1 {
                self.handle_answer(status, message, now);
            }
            return;
        }
        let branch = message.branch().unwrap_or_default();
        let matching = |r: &Repeated| r.branch == branch && r.method == method;
        let Some(at) = self.repeated.iter().position(matching) else {
            return;
        };
        if status < 200 {
            // RFC 3261, 17.1.2.2: from now on every T2.
            self.repeated[at].every = T2;
            return;
        }
        self.repeated.remove(at);
        match method {
            "BYE" => self.close(now),
            "INFO" if status >= 300 => self.see(Seen::InfoRefused(status)),
            _ => {}
        }
    }

    /// An answer to the INVITE.
    fn handle_answer(&mut self, status: u16, message: &Message, now: Instant) {
        self.repeated.retain(|r| r.method != "INVITE");
        match status {
            100..=199 => {
                if let State::Calling { ringing } = &mut self.state {
                    *ringing = true;
                    if status >= 180 {
                        self.see(Seen::Ringing);
                    }
                }
            }
            200..=299 => {
                if matches!(self.state, State::Calling { .. } | State::Cancelling { .. }) {
                    self.dialog.answered(message);
                    self.take_media(&message.body);
                }
                // Also for each repetition of the answer.
                let (ack, to) = (self.dialog.ack(), self.dialog.next_hop(self.plan.to));
                self.sip_out.push_back((ack, to));
                match self.state {
                    State::Calling { .. } if self.far_media.is_none() => {
                        // No PCMU at a loopback address: what a telephone calls 488 when it is the one that is called.
                        self.otherwise = Ending::Rejected(488);
                        self.hang_up(now);
                    }
                    State::Calling { .. } => {
                        self.answered = Some(now);
                        self.state = State::Talking;
                        self.see(Seen::Answered);
                        if matches!(self.plan.dtmf, Dtmf::Rfc4733 | Dtmf::Both)
                            && self.events_as.is_none()
                        {
                            self.see(Seen::NoTelephoneEvents);
                        }
                    }
                    State::Cancelling { .. } => {
                        self.repeated.clear();
                        self.hang_up(now);
                    }
                    _ => {}
                }
            }
            _ => {
                let ack = self.dialog.ack_refusal(message);
                self.sip_out.push_back((ack, self.plan.to));
                match self.state {
                    State::Calling { .. } => {
                        self.otherwise = Ending::Rejected(status);
                        self.close(now);
                    }
                    State::Cancelling { .. } => self.close(now),
                    _ => {}
                }
            }
        }
    }

    fn handle_request(&mut self, method: &str, request: &Message, from: SocketAddr, now: Instant) {
        let ours = request.header("call-id") == Some(&self.dialog.call_id);
        let number = request.cseq().map_or(0, |(number, _)| number);
        if method == "ACK" {
            self.repeated.retain(|r| r.method != "200");
            return;
        }
        if let Some((last, last_method, answer)) = &self.last_answer
            && ours
            && (*last, last_method.as_str()) == (number, method)
        {
            self.sip_out.push_back((answer.clone(), from));
            return;
        }
        let answer = match method {
            "OPTIONS" => self.dialog.respond(request, "200 OK", false),
            _ if !ours => sip::respond(request, "481 Call/Transaction Does Not Exist", "", ""),
            "BYE" | "INFO" | "NOTIFY" | "MESSAGE" => self.dialog.respond(request, "200 OK", false),
            "INVITE" | "UPDATE" => {
                let offered = !request.body.is_empty();
                if offered {
                    self.take_media(&request.body);
                }
                self.dialog
                    .respond(request, "200 OK", offered || method == "INVITE")
            }
            "CANCEL" => self.dialog.respond(request, "200 OK", false),
            _ => sip::respond(request, "405 Method Not Allowed", "", ""),
        };
        if ours {
            self.last_answer = Some((number, method.to_owned(), answer.clone()));
        }
        if ours && method == "INVITE" {
            // RFC 3261, 13.3.1.4: the 200 is repeated until its ACK.
            self.repeat("200", answer, String::new(), from);
        } else {
            self.sip_out.push_back((answer, from));
        }
        if ours && method == "BYE" && matches!(self.state, State::Talking | State::Leaving { .. }) {
            if self.state == State::Talking {
                self.see(Seen::FarHungUp);
            }
            self.close(now);
        }
    }

    fn take_media(&mut self, sdp: &str) {
        if let Some(media) = Media::parse(sdp).filter(|m| m.address.ip().is_loopback()) {
            self.far_media = Some(media.address);
            self.events_as = media.events;
            self.sender
                .events_as(media.events.unwrap_or(TELEPHONE_EVENT));
        }
    }

    fn request(&mut self, method: &'static str, kind: &str, body: &str) {
        let (bytes, branch) = self.dialog.next(method, kind, body);
        let to = self.dialog.next_hop(self.plan.to);
        self.repeat(method, bytes, branch, to);
    }

    /// Sends, and again until it is answered (RFC 3261, 17.1).
    fn repeat(&mut self, method: &'static str, bytes: Vec<u8>, branch: String, to: SocketAddr) {
        let now = Instant::now();
        self.sip_out.push_back((bytes.clone(), to));
        self.repeated.push(Repeated {
            branch,
            method,
            bytes,
            to,
            next: now + T1,
            every: T1,
            until: now + TRANSACTION_MAX,
        });
    }

    fn repeat_due(&mut self, now: Instant) {
        self.repeated.retain(|r| now < r.until);
        for repeated in &mut self.repeated {
            if now >= repeated.next {
                self.sip_out
                    .push_back((repeated.bytes.clone(), repeated.to));
                // Timer A has no upper bound but B; E and G stop at T2.
                repeated.every = match repeated.method {
                    "INVITE" => repeated.every * 2,
                    _ => T2.min(repeated.every * 2),
                };
                repeated.next = now + repeated.every;
            }
        }
    }

    // --- sound

    /// Sends the packets that are due. Never waits: a full socket loses the packet, as a network would.
    fn send_media(&mut self, socket: &UdpSocket) {
        let (Some(answered), Some(to), State::Talking) =
            (self.answered, self.far_media, self.state)
        else {
            return;
        };
        let now = answered.elapsed();
        let sample = samples_in(now);
        while self.sender.due() <= sample {
            let due = Duration::from_micros(self.sender.due() * 1_000_000 / RATE);
            self.late_max = self.late_max.max(now.saturating_sub(due));
            self.sender.poll(&mut self.packet);
            socket.try_send_to(&self.packet, to).ok();
        }
    }

    fn handle_media(&mut self, bytes: &[u8], from: SocketAddr) {
        // RTCP of a neighbour's call can arrive at the port above its RTP, which may be ours.
        if self.far_media != Some(from) {
            return;
        }
        let Some(packet) = rtp::Packet::parse(bytes) else {
            return;
        };
        if packet.payload_type == rtp::PCMU {
            self.ear.hear(packet.payload, Instant::now());
        } else if packet.payload_type == self.events_as.unwrap_or(TELEPHONE_EVENT) {
            self.leaked.take(&packet);
        }
    }
}
