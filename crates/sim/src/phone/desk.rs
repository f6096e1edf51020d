//! The telephone itself: one call after the other, each led by its script.
//!
//! Begins with its socket, ends behind the last script, at the limit or with SIGTERM. In a consultation it has two calls, as a telephone
//! with two lines. Knows nothing of the command line.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::signal::unix::{SignalKind, signal};

use crate::line::audio::{Ear, millis};
use crate::line::events::{self, ANY_CALL, Feed, Told};
use crate::line::follow::{Follower, Next, Steps};
use crate::line::leg::{Event, Leg, State, socket};
use crate::line::script::{self, Action, Begins, PhoneScript};
use crate::line::sip::{self, Dialog, MESSAGE_MAX, Message};
use crate::line::{Handset, Heard, IDLE, Step};

/// A telephone and what it does.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) number: String,
    pub(crate) listen: SocketAddr,
    /// Asterisk.
    pub(crate) to: SocketAddr,
    /// One a call.
    pub(crate) scripts: Vec<PhoneScript>,
    pub(crate) handset: Handset,
    pub(crate) answer_after: Duration,
    /// Longest wait for each.
    pub(crate) timeout: Duration,
    /// Longest time of all.
    pub(crate) limit: Duration,
    pub(crate) keep_audio: bool,
}

/// Who ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    /// This telephone.
    Own,
    Far,
}

/// A transfer by REFER.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Transfer {
    /// The answer to the REFER.
    pub(crate) status: Option<u16>,
    /// What was told of it afterwards, in its order.
    pub(crate) notified: Vec<u16>,
}

/// What happened in one call.
#[derive(Debug, serde::Serialize)]
pub(crate) struct CallReport {
    /// From 1.
    pub(crate) call: usize,
    pub(crate) incoming: bool,
    /// The far end's number.
    pub(crate) with: String,
    /// `hung-up`, `far-hung-up`, `cancelled`, `busy`, `declined`, `transferred`, `not-acceptable`, `rejected STATUS`, `stopped`, `timeout waiting for …`.
    pub(crate) result: String,
    pub(crate) ended_by: Side,
    /// Since the INVITE.
    pub(crate) answered_ms: Option<u64>,
    pub(crate) ended_ms: u64,
    pub(crate) transfer: Option<Transfer>,
    pub(crate) consultation: Option<Box<CallReport>>,
    /// What went wrong in SIP, as `INFO 415`.
    pub(crate) errors: Vec<String>,
    pub(crate) steps: Vec<Step>,
    pub(crate) sip_call_id: String,
    #[serde(flatten)]
    pub(crate) heard: Heard,
    #[serde(skip)]
    pub(crate) audio: Option<Vec<i16>>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(
        "no socket at {at}; hint: --listen takes a free port at an address of this machine, as 127.0.10.3:5201"
    )]
    Socket { at: SocketAddr, source: io::Error },
    #[error("call {call} did not come; hint: --limit is the time for all calls")]
    NotCalled { call: usize },
}

/// The header by which the lab's dialplan names the Call-ID of the customer's call.
const CUSTOMERS_CALL: &str = "x-lab-call-id";
/// How long the last word on a transfer may come behind the BYE.
const LAST_WORD_MAX: Duration = Duration::from_secs(1);

/// Takes the calls, one script each; `done` gets each when it is over.
///
/// # Errors
/// No socket, or a call that did not come.
pub(crate) async fn serve(
    plan: &Plan,
    feed: Option<&Feed>,
    listens: impl Fn(SocketAddr),
    mut done: impl FnMut(CallReport),
    seen: impl Fn(usize, Duration, &str),
) -> Result<(), ServeError> {
    let at = plan.listen;
    let failed = |source| ServeError::Socket { at, source };
    let sip = UdpSocket::bind(at).await.map_err(failed)?;
    let at = sip.local_addr().map_err(failed)?;
    let mut stop = signal(SignalKind::terminate()).map_err(failed)?;
    listens(at);
    let limit = Instant::now() + plan.limit;
    let mut sip_in = vec![0; MESSAGE_MAX];
    for (n, script) in (1..).zip(&plan.scripts) {
        let invite = if let Begins::Calls(_) = script.begins {
            None
        } else {
            let invite = tokio::select! {
                invite = invited(&sip, &mut sip_in) => invite,
                () = tokio::time::sleep_until(limit.into()) => return Err(ServeError::NotCalled { call: n }),
                _ = stop.recv() => return Ok(()),
            };
            Some(invite)
        };
        let customers = invite
            .as_ref()
            .and_then(|(invite, _)| invite.header(CUSTOMERS_CALL))
            .unwrap_or(ANY_CALL)
            .to_owned();
        let mut told = feed.map(|feed| feed.subscribe(&customers));
        let (media, media_at) = socket(at.ip()).await.map_err(failed)?;
        let desk = Desk {
            plan,
            at,
            call: n,
            seen: &seen,
        };
        let mut call = Call::begin(desk, script, invite, media_at);
        let mut stopped = false;
        let mut second: Option<UdpSocket> = None;
        let mut second_told = None;
        let (mut media_in, mut second_in) = (vec![0; 2048], vec![0; 2048]);
        loop {
            if call.wants_second() {
                let (media, media_at) = socket(at.ip()).await.map_err(failed)?;
                second = Some(media);
                call.consult(media_at);
                let own = call.consult.as_ref().map(|c| &c.leg.dialog.call_id);
                second_told = own.and_then(|id| feed.map(|feed| feed.subscribe(id)));
            }
            let over = call.advance(Instant::now());
            while let Some((bytes, to)) = call.poll_sip() {
                sip.send_to(&bytes, to).await.ok();
            }
            call.leg.send_media(&media);
            if let (Some(consult), Some(media)) = (&mut call.consult, &second) {
                consult.leg.send_media(media);
            }
            if over {
                break;
            }
            if call.wants_second() {
                continue;
            }
            let wake = call.wake();
            tokio::select! {
                Ok((n, from)) = sip.recv_from(&mut sip_in) => {
                    if let Some(answer) = call.handle_sip(&sip_in[..n], from) {
                        sip.send_to(&answer, from).await.ok();
                    }
                }
                Ok((n, from)) = media.recv_from(&mut media_in) => {
                    call.leg.handle_media(&media_in[..n], from, Instant::now());
                }
                Ok((n, from)) = receive(&second, &mut second_in) => {
                    if let Some(consult) = &mut call.consult {
                        consult.leg.handle_media(&second_in[..n], from, Instant::now());
                    }
                }
                Some(told) = events::next(&mut told) => call.handle_told(&told),
                Some(told) = events::next(&mut second_told) => call.handle_told(&told),
                () = tokio::time::sleep_until(wake.into()) => {}
                () = tokio::time::sleep_until(limit.into()), if !stopped => {
                    stopped = true;
                    call.stop("timeout waiting for the end of all calls");
                }
                _ = stop.recv(), if !stopped => {
                    stopped = true;
                    call.stop("stopped");
                }
            }
        }
        done(call.report());
        if stopped {
            break;
        }
    }
    Ok(())
}

/// The next INVITE that begins a call.
async fn invited(sip: &UdpSocket, buffer: &mut [u8]) -> (Message, SocketAddr) {
    loop {
        // An error is that of an earlier answer which nobody took.
        let Ok((n, from)) = sip.recv_from(buffer).await else {
            continue;
        };
        let Some(message) = Message::parse(&buffer[..n]) else {
            continue;
        };
        if message.begins_a_call() {
            return (message, from);
        }
        if let Some(answer) = sip::respond_outside(&message) {
            sip.send_to(&answer, from).await.ok();
        }
    }
}

async fn receive(socket: &Option<UdpSocket>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from(buffer).await,
        None => std::future::pending().await,
    }
}

/// What stays the same over the calls.
struct Desk<'a, S> {
    plan: &'a Plan,
    at: SocketAddr,
    call: usize,
    seen: &'a S,
}

#[derive(Debug, Clone, Copy)]
enum Doing<'a> {
    /// Until it answers; it does not when `None`.
    Rings(Option<Instant>),
    Calls {
        until: Instant,
    },
    /// Until its answer is acknowledged.
    Answers {
        until: Instant,
    },
    Follows,
    /// Another INVITE is under way, then the script goes on.
    Changes,
    /// The same, then `extension` is called.
    Holds {
        extension: &'a str,
        script: &'a [Action],
    },
    /// The second call rings or is talked in.
    Consults {
        until: Instant,
    },
    Refers {
        until: Instant,
    },
    Ends {
        until: Instant,
    },
    Leaves,
}

/// The second call.
struct Consult<'a> {
    leg: Leg,
    extension: &'a str,
    follower: Follower<'a>,
    result: Option<String>,
    ended_by: Side,
}

struct Call<'a, S> {
    desk: Desk<'a, S>,
    incoming: bool,
    with: String,
    leg: Leg,
    follower: Follower<'a>,
    steps: Steps,
    doing: Doing<'a>,
    consult: Option<Consult<'a>>,
    result: Option<String>,
    ended_by: Side,
    transfer: Option<Transfer>,
}

impl<'a, S: Fn(usize, Duration, &str)> Call<'a, S> {
    fn begin(
        desk: Desk<'a, S>,
        script: &'a PhoneScript,
        invite: Option<(Message, SocketAddr)>,
        media: SocketAddr,
    ) -> Self {
        let plan = desk.plan;
        let now = Instant::now();
        let ear = desk.ear(script, plan.keep_audio);
        let incoming = invite.is_some();
        let (leg, with) = match (invite, &script.begins) {
            (Some((invite, from)), _) => {
                let with = invite.who_calls().to_owned();
                let dialog = Dialog::incoming(&invite, &plan.number, desk.at, media);
                (Leg::ring(dialog, invite, from, &plan.handset, ear), with)
            }
            (None, Begins::Calls(extension)) => {
                let dialog = Dialog::new(&plan.number, extension, desk.at, plan.to, media);
                let leg = Leg::call(dialog, &plan.handset, plan.to, ear);
                (leg, extension.clone())
            }
            (None, _) => unreachable!("only a script that calls begins without an INVITE"),
        };
        let doing = match &script.begins {
            Begins::Answers(after) => Doing::Rings(Some(now + after.unwrap_or(plan.answer_after))),
            Begins::Calls(_) => Doing::Calls {
                until: now + plan.timeout,
            },
            Begins::Busy | Begins::Declines | Begins::Rings => Doing::Rings(None),
        };
        let mut call = Self {
            desk,
            incoming,
            with,
            leg,
            follower: Follower::new(&script.actions, plan.timeout),
            steps: Steps::default(),
            doing,
            consult: None,
            result: None,
            ended_by: Side::Own,
            transfer: None,
        };
        call.see(if incoming { "<- calls" } else { "-> calls" });
        match script.begins {
            Begins::Busy => call.refuse("486 Busy Here", "busy", now),
            Begins::Declines => call.refuse("603 Decline", "declined", now),
            _ => {}
        }
        call
    }

    fn see(&self, what: &str) {
        (self.desk.seen)(self.desk.call, self.leg.began.elapsed(), what);
    }

    fn refuse(&mut self, status: &str, result: &str, now: Instant) {
        self.see(&format!("-> {status}"));
        self.result = Some(result.to_owned());
        self.leg.refuse(status, now);
        self.doing = Doing::Leaves;
    }

    fn report(mut self) -> CallReport {
        let steps = std::mem::take(&mut self.steps.all);
        let number = self.desk.call;
        let consultation = self.consult.take().map(|consult| {
            let end = (consult.result, consult.ended_by);
            let with = consult.extension.to_owned();
            Box::new(report(number, consult.leg, false, with, end))
        });
        let end = (self.result, self.ended_by);
        CallReport {
            steps,
            transfer: self.transfer,
            consultation,
            ..report(number, self.leg, self.incoming, self.with, end)
        }
    }

    /// Ends all from outside.
    fn stop(&mut self, result: &str) {
        self.leave(result, Instant::now());
    }

    // --- what happens

    fn poll_sip(&mut self) -> Option<(Vec<u8>, SocketAddr)> {
        // The ACK of a hold goes before the INVITE of the second call.
        let first = self.leg.poll_sip();
        first.or_else(|| self.consult.as_mut().and_then(|c| c.leg.poll_sip()))
    }

    /// Takes a datagram; an answer to one that is not of this call.
    fn handle_sip(&mut self, bytes: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
        let message = Message::parse(bytes)?;
        let now = Instant::now();
        if self.leg.owns(&message) {
            self.leg.handle_sip(&message, from, now);
            return None;
        }
        if let Some(consult) = self.consult.as_mut().filter(|c| c.leg.owns(&message)) {
            consult.leg.handle_sip(&message, from, now);
            return None;
        }
        if message.begins_a_call() {
            self.see("-> 486 Busy Here to another call");
            return Some(sip::respond(&message, "486 Busy Here", "", ""));
        }
        sip::respond_outside(&message)
    }

    fn handle_told(&mut self, told: &Told) {
        let Told::Announced(announced) = told else {
            return;
        };
        let after = self.leg.began.elapsed();
        let step = match announced.event.as_str() {
            "step" => self.steps.take(announced, after),
            "call-ended" => {
                let step = Step {
                    step: "call-ended".to_owned(),
                    attempt: None,
                    error: announced.result.clone(),
                    ms: millis(after),
                };
                self.steps.keep(step.clone());
                Some(step)
            }
            _ => None,
        };
        if let Some(step) = step {
            let error = step.error.map_or(String::new(), |e| format!(", {e}"));
            self.see(&format!("<- {}{error}", step.step));
        }
    }

    /// Does all that is due; true when the call is over.
    fn advance(&mut self, now: Instant) -> bool {
        self.leg.advance(now);
        if let Some(consult) = &mut self.consult {
            consult.leg.advance(now);
        }
        // Each thing that is done may make another one due.
        while self.step(now) {}
        let second = self.consult.as_ref().is_none_or(|c| c.leg.closed());
        self.leg.closed() && second && !matches!(self.doing, Doing::Refers { .. })
    }

    /// True when something was done.
    fn step(&mut self, now: Instant) -> bool {
        if let Some(event) = self.leg.poll_event() {
            self.handle(event, now);
            return true;
        }
        if let Some(event) = self.consult.as_mut().and_then(|c| c.leg.poll_event()) {
            self.handle_second(event, now);
            return true;
        }
        match self.doing {
            Doing::Rings(Some(at)) if now >= at => {
                self.leg.answer(now);
                self.doing = Doing::Answers {
                    until: now + self.desk.plan.timeout,
                };
                if !self.is_talking() {
                    self.result = Some("not-acceptable".to_owned());
                    self.doing = Doing::Leaves;
                }
            }
            Doing::Calls { until } if now >= until => {
                self.leave("timeout waiting for an answer", now);
            }
            Doing::Answers { until } if now >= until => {
                self.leave("timeout waiting for the ACK of its answer", now);
            }
            Doing::Follows if self.is_talking() => return self.follow(now),
            Doing::Changes if self.leg.settled() => self.doing = Doing::Follows,
            Doing::Consults { until } => return self.follow_second(until, now),
            Doing::Refers { until } if now >= until => {
                if self.leg.closed() {
                    self.doing = Doing::Leaves;
                } else {
                    self.leave("timeout waiting for the transfer", now);
                }
            }
            Doing::Ends { until } if now >= until => {
                self.leave("timeout waiting for the end of the call", now);
            }
            _ => return false,
        }
        true
    }

    fn is_talking(&self) -> bool {
        self.leg.state() == State::Talking
    }

    fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Ringing => self.see("<- rings"),
            Event::Answered => {
                self.see(if self.incoming {
                    "-> answers"
                } else {
                    "<- answers"
                });
                self.doing = Doing::Follows;
            }
            Event::NoTelephoneEvents => {
                self.see("!! the far end takes no telephone-event: these keys won't be understood");
            }
            Event::Keys(count) => self.see(&format!("-> {}", "•".repeat(count))),
            Event::InfoRefused(status) => {
                self.see(&format!("!! the INFO with a key was refused: {status}"));
            }
            Event::Refused(status) => {
                self.see(&format!("<- {status}"));
                self.result = Some(format!("rejected {status}"));
                self.ended_by = Side::Far;
                self.doing = Doing::Leaves;
            }
            Event::Cancelled | Event::FarHungUp => self.far_left(event, now),
            Event::Referred(status) => {
                self.see(&format!("<- {status} to the transfer"));
                self.transfer.get_or_insert_default().status = Some(status);
                if status >= 300 {
                    self.transfer_failed(now);
                }
            }
            Event::Transfer { status, last } => {
                self.see(&format!("<- transfer: {status}"));
                let transfer = self.transfer.get_or_insert_default();
                transfer.notified.push(status);
                if !last || !matches!(self.doing, Doing::Refers { .. }) {
                } else if status < 300 {
                    self.leave("transferred", now);
                    self.result = Some("transferred".to_owned());
                } else {
                    self.transfer_failed(now);
                }
            }
        }
    }

    fn far_left(&mut self, event: Event, now: Instant) {
        let cancelled = event == Event::Cancelled;
        self.see(if cancelled {
            "<- gives up"
        } else {
            "<- hangs up"
        });
        let result = if cancelled {
            "cancelled"
        } else {
            "far-hung-up"
        };
        if self.result.is_none() {
            self.result = Some(result.to_owned());
            self.ended_by = Side::Far;
        }
        if let Some(consult) = &mut self.consult
            && !matches!(self.doing, Doing::Refers { .. })
        {
            consult.leg.hang_up(now);
        }
        self.doing = match self.doing {
            // Asterisk may hang up before it says how the transfer went.
            Doing::Refers { until } => Doing::Refers {
                until: until.min(now + LAST_WORD_MAX),
            },
            _ => Doing::Leaves,
        };
    }

    fn transfer_failed(&mut self, now: Instant) {
        if self.is_talking() {
            self.come_back(now);
        } else {
            self.doing = Doing::Leaves;
        }
    }

    /// Ends both calls.
    fn leave(&mut self, result: &str, now: Instant) {
        if self.result.is_none() {
            self.result = Some(result.to_owned());
            self.see(&format!("-> hangs up: {result}"));
        }
        self.leg.hang_up(now);
        if let Some(consult) = &mut self.consult {
            consult.leg.hang_up(now);
        }
        self.doing = Doing::Leaves;
    }

    // --- the script

    /// True when something was done.
    fn follow(&mut self, now: Instant) -> bool {
        match self.follower.follow(&mut self.leg, &mut self.steps, now) {
            Next::Waits => return false,
            Next::Does(Action::HangUp) => self.leave("hung-up", now),
            Next::Does(Action::Hold(holds)) => {
                self.see(if *holds { "-> holds" } else { "-> resumes" });
                self.leg.hold(*holds);
                self.doing = Doing::Changes;
            }
            Next::Does(Action::Refer(extension)) => {
                self.see("-> transfers");
                self.refer(extension, false, now);
            }
            Next::Does(Action::Attended { extension, script }) => {
                self.see("-> holds, and calls for a consultation");
                self.leg.hold(true);
                self.doing = Doing::Holds { extension, script };
            }
            Next::Does(_) | Next::Over => {
                self.doing = Doing::Ends {
                    until: now + self.desk.plan.timeout,
                };
            }
            Next::InVain(what) => self.leave(&format!("timeout waiting for {what}"), now),
        }
        true
    }

    /// `attended`: into the second call. One that is over is not named: Asterisk would take it for a call elsewhere.
    fn refer(&mut self, extension: &str, attended: bool, now: Instant) {
        let replaces = self.consult.as_ref().map(|c| &c.leg).filter(|_| attended);
        self.leg.refer(extension, replaces);
        self.transfer = Some(Transfer::default());
        self.doing = Doing::Refers {
            until: now + self.desk.plan.timeout,
        };
    }

    // --- the second call

    /// The far end is on hold, and the second call needs its sound.
    fn wants_second(&self) -> bool {
        matches!(self.doing, Doing::Holds { .. }) && self.leg.settled()
    }

    fn consult(&mut self, media: SocketAddr) {
        let Doing::Holds { extension, script } = self.doing else {
            return;
        };
        let plan = self.desk.plan;
        let dialog = Dialog::new(&plan.number, extension, self.desk.at, plan.to, media);
        let mut voices = script::voices(script);
        voices.extend(&plan.handset.hear);
        let ear = Ear::new(false, &voices, Instant::now());
        self.consult = Some(Consult {
            leg: Leg::call(dialog, &plan.handset, plan.to, ear),
            extension,
            follower: Follower::new(script, plan.timeout),
            result: None,
            ended_by: Side::Own,
        });
        self.doing = Doing::Consults {
            until: Instant::now() + plan.timeout,
        };
    }

    fn handle_second(&mut self, event: Event, now: Instant) {
        let Some(consult) = &mut self.consult else {
            return;
        };
        let ended = match event {
            Event::Answered => return self.see("<- answers (second call)"),
            Event::Keys(count) => {
                return self.see(&format!("-> {} (second call)", "•".repeat(count)));
            }
            Event::Refused(status) => format!("rejected {status}"),
            Event::FarHungUp if matches!(self.doing, Doing::Refers { .. } | Doing::Leaves) => {
                "transferred".to_owned()
            }
            Event::FarHungUp => "far-hung-up".to_owned(),
            _ => return,
        };
        consult.ended_by = Side::Far;
        let result = consult.result.get_or_insert(ended).clone();
        self.see(&format!("<- {result} (second call)"));
        if matches!(self.doing, Doing::Consults { .. }) {
            self.come_back(now);
        }
    }

    /// True when something was done.
    fn follow_second(&mut self, until: Instant, now: Instant) -> bool {
        let Some(consult) = &mut self.consult else {
            return false;
        };
        let vain = match consult.leg.state() {
            State::Talking => {
                let extension = consult.extension;
                match consult
                    .follower
                    .follow(&mut consult.leg, &mut self.steps, now)
                {
                    Next::Waits => return false,
                    Next::Does(Action::HangUp) => "hung-up".to_owned(),
                    Next::Does(_) | Next::Over => {
                        self.see("-> transfers into the second call");
                        self.refer(extension, true, now);
                        return true;
                    }
                    Next::InVain(what) => format!("timeout waiting for {what}"),
                }
            }
            State::Calling { .. } if now >= until => "timeout waiting for an answer".to_owned(),
            _ => return false,
        };
        consult.result.get_or_insert(vain);
        self.come_back(now);
        true
    }

    /// From a consultation or a failed transfer to the far end.
    fn come_back(&mut self, now: Instant) {
        if let Some(consult) = &mut self.consult {
            consult.leg.hang_up(now);
        }
        self.doing = Doing::Follows;
        if self.leg.dialog.holds {
            self.see("-> resumes");
            self.leg.hold(false);
            self.doing = Doing::Changes;
        }
    }

    /// The next moment at which something is due.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        let second = self.consult.as_ref();
        let wake = second.map_or(now + IDLE, |c| c.leg.wake());
        wake.min(self.leg.wake()).min(match self.doing {
            Doing::Rings(Some(at)) => at,
            Doing::Calls { until }
            | Doing::Answers { until }
            | Doing::Refers { until }
            | Doing::Ends { until } => until,
            Doing::Follows => self.follower.wake(&self.leg, now),
            Doing::Consults { until } => match second {
                Some(c) if c.leg.state() == State::Talking => c.follower.wake(&c.leg, now),
                _ => until,
            },
            Doing::Rings(None) | Doing::Changes | Doing::Holds { .. } | Doing::Leaves => now + IDLE,
        })
    }
}

impl<S> Desk<'_, S> {
    /// Tells the voices apart for which this script waits, and those that are asked for.
    fn ear(&self, script: &PhoneScript, keep: bool) -> Ear {
        let mut voices = script::voices(&script.actions);
        voices.extend(&self.plan.handset.hear);
        Ear::new(keep, &voices, Instant::now())
    }
}

fn report(
    call: usize,
    leg: Leg,
    incoming: bool,
    with: String,
    (result, ended_by): (Option<String>, Side),
) -> CallReport {
    let heard = leg.heard();
    CallReport {
        call,
        incoming,
        with,
        result: result.unwrap_or_else(|| "transferred".to_owned()),
        ended_by,
        answered_ms: leg.answered.map(|at| millis(at.duration_since(leg.began))),
        ended_ms: millis(leg.lasted()),
        transfer: None,
        consultation: None,
        errors: leg.errors,
        steps: Vec::new(),
        sip_call_id: leg.dialog.call_id,
        heard,
        audio: leg.ear.into_samples(),
    }
}
