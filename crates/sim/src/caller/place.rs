//! Places one call and leads it to its end.
//!
//! Begins with the INVITE, ends when the far side or we hung up, and the daemon has said how the call ended. One task, two
//! sockets and one timer a call, so that a hundred calls fit into one process. Knows nothing of the command line.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::line::audio::{Ear, millis};
use crate::line::events::{self, Announced, Feed, Told};
use crate::line::follow::{Follower, Next, Steps};
use crate::line::leg::{Event, Leg, State, socket};
use crate::line::script::{self, Action};
use crate::line::sip::{self, Dialog, MESSAGE_MAX, Message};
use crate::line::{Handset, Heard, Step};

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) extension: String,
    pub(crate) from: String,
    pub(crate) script: Vec<Action>,
    pub(crate) handset: Handset,
    /// Our address; ports are chosen by the system.
    pub(crate) bind: IpAddr,
    pub(crate) to: SocketAddr,
    /// Longest wait for each: the answer, a step, silence, the end after the last key.
    pub(crate) timeout: Duration,
    /// How long the line stays open after the daemon's `call-ended`, so that the dialplan can go on.
    pub(crate) linger: Duration,
    pub(crate) keep_audio: bool,
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

/// What the caller saw and heard.
#[derive(Debug)]
pub(crate) struct CallReport {
    pub(crate) ending: Ending,
    pub(crate) steps: Vec<Step>,
    pub(crate) payment_id: Option<String>,
    pub(crate) call_id: Option<String>,
    pub(crate) sip_call_id: String,
    pub(crate) answered: bool,
    /// Time from the INVITE to the end.
    pub(crate) lasted: Duration,
    /// Telephone-events among it: any is a leak.
    pub(crate) heard: Heard,
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

/// How long `call-ended` may come after the line was closed: when the daemon had the call, and when it never spoke of it.
const RESULT_MAX: Duration = Duration::from_secs(5);
const RESULT_MAX_UNSEEN: Duration = Duration::from_millis(700);

/// Places the call and returns when it is over.
///
/// # Errors
/// Nothing was called: no sockets, or steps are waited for and there is no feed.
pub(crate) async fn place(
    plan: &Plan,
    feed: Option<&Feed>,
    mut seen: impl FnMut(Duration, Seen<'_>) + Send,
) -> Result<CallReport, PlaceError> {
    if script::waits_for_steps(&plan.script) && feed.is_none() {
        return Err(PlaceError::NoEvents);
    }
    let bind = plan.bind;
    let failed = |source| PlaceError::Socket { bind, source };
    let (sip, sip_at) = socket(bind).await.map_err(failed)?;
    let (media, media_at) = socket(bind).await.map_err(failed)?;
    let dialog = Dialog::new(&plan.from, &plan.extension, sip_at, plan.to, media_at);
    let mut told = feed.map(|feed| feed.subscribe(&dialog.call_id));
    let mut voices = script::voices(&plan.script);
    voices.extend(&plan.handset.hear);
    let ear = Ear::new(plan.keep_audio, &voices, Instant::now());
    seen(Duration::ZERO, Seen::Calling);
    let leg = Leg::call(dialog, &plan.handset, plan.to, ear);
    let mut call = Call {
        plan,
        seen,
        leg,
        follower: Follower::new(&plan.script, plan.timeout),
        ends: None,
        closes: None,
        steps: Steps::default(),
        listening: feed.is_some(),
        told_any: false,
        result: None,
        otherwise: Ending::WithoutResult,
        payment_id: None,
        call_id: None,
    };
    let (mut sip_in, mut media_in) = (vec![0; MESSAGE_MAX], vec![0; 2048]);
    loop {
        let over = call.advance(Instant::now());
        // On loopback a datagram leaves at once or is lost; UDP's own answer to loss is the retransmission.
        while let Some((bytes, to)) = call.leg.poll_sip() {
            sip.send_to(&bytes, to).await.ok();
        }
        call.leg.send_media(&media);
        if over {
            return Ok(call.report());
        }
        let wake = call.wake();
        tokio::select! {
            Ok((n, from)) = sip.recv_from(&mut sip_in) => {
                let answer = call.handle_sip(&sip_in[..n], from);
                if let Some(bytes) = answer {
                    sip.send_to(&bytes, from).await.ok();
                }
            }
            Ok((n, from)) = media.recv_from(&mut media_in) => {
                call.leg.handle_media(&media_in[..n], from, Instant::now());
            }
            Some(told) = events::next(&mut told) => call.handle_told(told),
            () = tokio::time::sleep_until(wake.into()) => {}
        }
    }
}

struct Call<'a, F> {
    plan: &'a Plan,
    seen: F,
    leg: Leg,
    follower: Follower<'a>,
    /// The script is over: when the line is closed from here.
    ends: Option<Instant>,
    /// The line is closed: until when the result is awaited.
    closes: Option<Instant>,
    steps: Steps,
    /// There is a stream of announcements.
    listening: bool,
    told_any: bool,
    result: Option<String>,
    /// Why the call ended when the daemon does not say.
    otherwise: Ending,
    payment_id: Option<String>,
    call_id: Option<String>,
}

impl<F: FnMut(Duration, Seen<'_>)> Call<'_, F> {
    fn see(&mut self, seen: Seen<'_>) {
        (self.seen)(self.leg.began.elapsed(), seen);
    }

    fn report(self) -> CallReport {
        let ending = match (self.otherwise, self.result) {
            // A wait in vain is the finding, also when hanging up then made the daemon say how the call ended.
            (timed_out @ Ending::TimedOut(_), _) => timed_out,
            (_, Some(result)) => Ending::Result(result),
            (otherwise, None) => otherwise,
        };
        CallReport {
            ending,
            steps: self.steps.all,
            payment_id: self.payment_id,
            call_id: self.call_id,
            answered: self.leg.answered.is_some(),
            lasted: self.leg.lasted(),
            heard: self.leg.heard(),
            sip_call_id: self.leg.dialog.call_id,
            audio: self.leg.ear.into_samples(),
        }
    }

    /// Does all that is due; true when the call is over.
    fn advance(&mut self, now: Instant) -> bool {
        self.leg.advance(now);
        self.see_events();
        match self.leg.state() {
            State::Calling { .. } if now >= self.leg.began + self.plan.timeout => {
                self.give_up("an answer".to_owned(), now);
            }
            State::Talking => self.talk(now),
            _ => {}
        }
        self.see_events();
        self.leg.closed() && self.is_over(now)
    }

    fn talk(&mut self, now: Instant) {
        if let Some(ends) = self.ends {
            if now < ends {
            } else if self.result.is_some() {
                self.hang_up(now);
            } else {
                self.give_up("the end of the call".to_owned(), now);
            }
            return;
        }
        match self.follower.follow(&mut self.leg, &mut self.steps, now) {
            Next::Waits => {}
            Next::Does(Action::HangUp) => {
                self.otherwise = Ending::HungUp;
                self.hang_up(now);
            }
            // No other action is a caller's.
            Next::Does(_) | Next::Over => self.ends = Some(now + self.plan.timeout),
            Next::InVain(what) => self.give_up(what, now),
        }
    }

    /// The line is closed: waits for `call-ended` if one can come.
    fn is_over(&mut self, now: Instant) -> bool {
        let wait = if self.told_any {
            RESULT_MAX
        } else {
            RESULT_MAX_UNSEEN
        };
        let can_come = self.listening && self.leg.answered.is_some() && self.result.is_none();
        let closes = *self.closes.get_or_insert(now + wait);
        !can_come || now >= closes
    }

    /// The next moment at which something is due.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        let wake = self.leg.wake();
        match self.leg.state() {
            State::Calling { .. } => wake.min(self.leg.began + self.plan.timeout),
            State::Talking => wake.min(
                self.ends
                    .unwrap_or_else(|| self.follower.wake(&self.leg, now)),
            ),
            State::Closed => wake.min(self.closes.unwrap_or(now)),
            _ => wake,
        }
    }

    /// A wait was in vain: the call is ended from here.
    fn give_up(&mut self, what: String, now: Instant) {
        self.otherwise = Ending::TimedOut(what);
        if self.leg.state() == State::Talking {
            self.hang_up(now);
        } else {
            self.leg.hang_up(now);
        }
    }

    fn hang_up(&mut self, now: Instant) {
        self.see(Seen::HungUp);
        self.leg.hang_up(now);
    }

    fn see_events(&mut self) {
        while let Some(event) = self.leg.poll_event() {
            match event {
                Event::Ringing => self.see(Seen::Ringing),
                Event::Answered => self.see(Seen::Answered),
                Event::NoTelephoneEvents => self.see(Seen::NoTelephoneEvents),
                Event::Keys(count) => self.see(Seen::Keys(count)),
                Event::InfoRefused(status) => self.see(Seen::InfoRefused(status)),
                Event::FarHungUp => self.see(Seen::FarHungUp),
                Event::Refused(status) => self.otherwise = Ending::Rejected(status),
                // Of calls that come in, and of transfers.
                Event::Cancelled | Event::Referred(_) | Event::Transfer { .. } => {}
            }
        }
    }

    fn handle_told(&mut self, told: Told) {
        match told {
            Told::Lost => self.see(Seen::EventsLost),
            Told::Back => self.see(Seen::EventsBack),
            Told::Announced(announced) => self.handle_announced(&announced),
        }
    }

    fn handle_announced(&mut self, announced: &Announced) {
        self.told_any = true;
        self.payment_id = announced.payment_id.clone().or(self.payment_id.take());
        self.call_id = announced.call_id.clone().or(self.call_id.take());
        match announced.event.as_str() {
            "step" => {
                if let Some(step) = self.steps.take(announced, self.leg.began.elapsed()) {
                    self.see(Seen::Step(&step));
                }
            }
            // The first reminder: keys as sound alone are listened for from here on.
            "keys-awaited" if self.follower.awaits("keys-awaited") => {
                self.steps.keep(Step {
                    step: "keys-awaited".to_owned(),
                    attempt: None,
                    error: None,
                    ms: millis(self.leg.began.elapsed()),
                });
            }
            "call-ended" => {
                let result = announced.result.clone();
                let result = result.unwrap_or_else(|| "none".to_owned());
                self.see(Seen::Ended(&result));
                if self.follower.awaits("call-ended") {
                    // The script goes on behind it: with an operator, or with another payment.
                    let step = Step {
                        step: "call-ended".to_owned(),
                        attempt: None,
                        error: Some(result.clone()),
                        ms: millis(self.leg.began.elapsed()),
                    };
                    self.steps.keep(step);
                } else {
                    self.ends = Some(Instant::now() + self.plan.linger);
                }
                self.result = Some(result);
            }
            _ => {}
        }
    }

    /// Takes a datagram; an answer to one that is not of this call.
    fn handle_sip(&mut self, bytes: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
        let message = Message::parse(bytes)?;
        if self.leg.owns(&message) {
            self.leg.handle_sip(&message, from, Instant::now());
            return None;
        }
        sip::respond_outside(&message)
    }
}
