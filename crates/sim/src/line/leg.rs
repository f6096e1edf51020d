//! One call over SIP and RTP, as caller or as the one who is called.
//!
//! Begins with the INVITE, ends when the line is closed on both sides. Has its dialog, its transactions, its sound out and in; what
//! happens to it is told as [`Event`]s. Owns no socket: datagrams come in by `handle_`, go out by `poll_sip` and `send_media`.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;

use super::audio::{Ear, RATE, millis, samples_in};
use super::rtp::{self, Carry, Leaked, Press, Sender, TELEPHONE_EVENT};
use super::script::Key;
use super::sip::{self, Dialog, Direction, Media, Message, Start};
use super::{Dtmf, Handset, Heard, IDLE, InfoAt, unix_ms};

/// RFC 3261, 17.1.1.1.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// Timers B, F and H: 64 × T1.
const TRANSACTION_MAX: Duration = Duration::from_secs(32);
/// How long the answer to BYE or CANCEL, or the ACK of a refusal, is waited for.
const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// Two INVITEs that crossed: again after this (RFC 3261, 14.1, at most 2 s where the far end made the call, 2.1 to 4 s where we did).
const GLARE_CALLED: Duration = Duration::from_millis(1000);
const GLARE_CALLING: Duration = Duration::from_millis(2500);
/// Errors of SIP that one call keeps.
const ERRORS_MAX: usize = 100;
/// Changes of its display that one call keeps.
const SHOWN_MAX: usize = 100;

/// What happened to the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The far end rings.
    Ringing,
    Answered,
    /// The far end takes no RFC 4733.
    NoTelephoneEvents,
    /// So many keys were pressed.
    Keys(usize),
    /// The INFO with a key was refused with this status.
    InfoRefused(u16),
    /// Our INVITE was refused with this status; 488 also where the answer has no sound for us, 408 where none came.
    Refused(u16),
    /// The caller gave up before we answered.
    Cancelled,
    FarHungUp,
    /// Our transfer was taken or refused with this status.
    Referred(u16),
    /// What the far end tells of the transfer, and whether that was its last word (RFC 3515, 2.4.5).
    Transfer {
        status: u16,
        last: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// INVITE sent.
    Calling {
        ringing: bool,
    },
    /// An INVITE came, and 180 was sent.
    Called,
    Talking,
    /// CANCEL sent; the refusal, or an answer that crossed it, is awaited.
    Cancelling {
        until: Instant,
    },
    /// An INVITE was refused; its ACK is awaited.
    Refusing {
        until: Instant,
    },
    /// BYE sent.
    Leaving {
        until: Instant,
    },
    Closed,
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

/// In [`Repeated::method`]: our final answer to an INVITE, until its ACK.
const ANSWER: &str = "answer";

struct Info {
    at: u64,
    key: Key,
}

/// What the far end is asked about with an INVITE inside the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    Asked,
    /// Crossed one of the far end: again then.
    Again(Instant),
}

pub(crate) struct Leg {
    pub(crate) dialog: Dialog,
    handset: Handset,
    /// Where requests go when the dialog names no address.
    to: SocketAddr,
    /// We made the call.
    calling: bool,
    pub(crate) began: Instant,
    /// When the line was closed.
    pub(crate) ended: Option<Instant>,
    state: State,
    events: VecDeque<Event>,
    sip_out: VecDeque<(Vec<u8>, SocketAddr)>,
    repeated: Vec<Repeated>,
    /// Our last answer to a request of the far end: its CSeq and method, and the answer, for when it comes again.
    last_answer: Option<(u32, String, Vec<u8>)>,
    /// The INVITE that is not answered yet, and where it came from.
    invite: Option<(Message, SocketAddr)>,
    change: Change,
    /// What went wrong in SIP, as `INFO 415`.
    pub(crate) errors: Vec<String>,

    /// When sample 0 of our sound was.
    pub(crate) answered: Option<Instant>,
    told_answered: bool,
    sender: Sender,
    far: Option<Media>,
    packet: Vec<u8>,
    infos: VecDeque<Info>,
    pressed: VecDeque<Press>,
    keys_sent: usize,
    /// When the last of them was released.
    last_key: Option<Instant>,
    late_max: Duration,

    pub(crate) ear: Ear,
    leaked: Leaked,
    /// What its display showed of the far end, and since when.
    shown: Vec<(Instant, String)>,
}

/// A SIP or media socket at an address of ours; the system chooses the port.
///
/// # Errors
/// What the system said.
pub(crate) async fn socket(bind: IpAddr) -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind((bind, 0)).await?;
    let at = socket.local_addr()?;
    Ok((socket, at))
}

impl Leg {
    /// Calls by this dialog.
    pub(crate) fn call(dialog: Dialog, handset: &Handset, to: SocketAddr, ear: Ear) -> Self {
        let mut leg = Self::new(dialog, handset, to, ear, true);
        leg.send_invite();
        leg
    }

    /// Rings by this dialog, which `invite` made.
    pub(crate) fn ring(
        mut dialog: Dialog,
        invite: Message,
        from: SocketAddr,
        handset: &Handset,
        ear: Ear,
    ) -> Self {
        if handset.dtmf == Dtmf::Inband {
            dialog = dialog.without_events();
        }
        let mut leg = Self::new(dialog, handset, from, ear, false);
        leg.take_media(&invite.body);
        leg.show(&invite);
        leg.answer_invite(&invite, from, "180 Ringing", false);
        leg.invite = Some((invite, from));
        leg
    }

    fn new(dialog: Dialog, handset: &Handset, to: SocketAddr, ear: Ear, calling: bool) -> Self {
        let carry = match handset.dtmf {
            Dtmf::Rfc4733 | Dtmf::Both => Carry::Events,
            Dtmf::Inband | Dtmf::InfoInband => Carry::Tones,
            Dtmf::Info => Carry::Nothing,
        };
        let seed = uuid::Uuid::new_v4().as_u128();
        let sender = Sender::new(carry, handset.on_ms, handset.off_ms, handset.voice, seed);
        Self {
            dialog,
            handset: handset.clone(),
            to,
            calling,
            began: Instant::now(),
            ended: None,
            state: if calling {
                State::Calling { ringing: false }
            } else {
                State::Called
            },
            events: VecDeque::new(),
            sip_out: VecDeque::new(),
            repeated: Vec::new(),
            last_answer: None,
            invite: None,
            change: Change::None,
            errors: Vec::new(),
            answered: None,
            told_answered: false,
            sender,
            far: None,
            packet: Vec::with_capacity(172),
            infos: VecDeque::new(),
            pressed: VecDeque::new(),
            keys_sent: 0,
            last_key: None,
            late_max: Duration::ZERO,
            ear,
            leaked: Leaked::default(),
            shown: Vec::new(),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn closed(&self) -> bool {
        self.state == State::Closed
    }

    /// No INVITE inside the call is under way.
    pub(crate) fn settled(&self) -> bool {
        self.change == Change::None
    }

    /// Milliseconds from the INVITE to the end, or to now.
    pub(crate) fn lasted(&self) -> Duration {
        let end = self.ended.unwrap_or_else(Instant::now);
        end.duration_since(self.began)
    }

    pub(crate) fn heard(&self) -> Heard {
        let ms = |at: Instant| millis(at.saturating_duration_since(self.began));
        let voices = self.ear.voices().iter();
        let ended = self.ended.unwrap_or_else(Instant::now);
        let quiet = self.answered.map(|from| self.ear.quiet(from, ended));
        Heard {
            began_unix_ms: unix_ms(self.began),
            heard_ms: millis(self.ear.heard()),
            voices: voices.map(|v| (v.hz, v.in_ms(self.began))).collect(),
            quiet: quiet
                .into_iter()
                .flatten()
                .map(|(from, to)| (ms(from), ms(to)))
                .collect(),
            telephone_events_received: self.leaked.times().len(),
            telephone_events_at_ms: self.leaked.times().map(ms).collect(),
            keys_sent: self.keys_sent,
            last_key_ms: self.last_key.map(ms),
            shown: self
                .shown
                .iter()
                .map(|(at, who)| (ms(*at), who.clone()))
                .collect(),
            late_ms_max: millis(self.late_max),
        }
    }

    // --- what the owner wants

    /// Answers the call that rings; [`Event::Answered`] comes with the ACK: before it no other request may go out (RFC 3261, 15).
    pub(crate) fn answer(&mut self, now: Instant) {
        let Some((invite, from)) = self.invite.take() else {
            return;
        };
        if self.far.is_none() {
            self.answer_invite(&invite, from, "488 Not Acceptable Here", false);
            self.error("no sound for us in the INVITE");
            self.state = State::Refusing {
                until: now + FAREWELL_MAX,
            };
            return;
        }
        self.answer_invite(&invite, from, "200 OK", true);
        self.answered = Some(now);
        self.state = State::Talking;
    }

    /// Refuses the call that rings, as `486 Busy Here`.
    pub(crate) fn refuse(&mut self, status: &str, now: Instant) {
        if let Some((invite, from)) = self.invite.take() {
            self.answer_invite(&invite, from, status, false);
            self.state = State::Refusing {
                until: now + FAREWELL_MAX,
            };
        }
    }

    /// Ends the call, whatever its state.
    pub(crate) fn hang_up(&mut self, now: Instant) {
        match self.state {
            State::Calling { ringing } => {
                self.repeated.clear();
                if ringing {
                    let cancel = self.dialog.cancel();
                    let branch = self.dialog.invite_branch().to_owned();
                    self.repeat("CANCEL", cancel, branch, self.to);
                    self.state = State::Cancelling {
                        until: now + FAREWELL_MAX,
                    };
                } else {
                    // Nobody has heard of the INVITE: nothing to cancel (RFC 3261, 9.1).
                    self.close(now);
                }
            }
            State::Called => self.refuse("480 Temporarily Unavailable", now),
            State::Talking => {
                self.request("BYE", "", "");
                self.state = State::Leaving {
                    until: now + FAREWELL_MAX,
                };
            }
            _ => {}
        }
    }

    /// Puts the far end on hold, or takes it back, by an INVITE inside the call; [`Self::settled`] when that is answered.
    pub(crate) fn hold(&mut self, holds: bool) {
        self.dialog.holds = holds;
        self.change = Change::Asked;
        self.send_invite();
    }

    /// Transfers the far end to `extension`, into the call of `replaces` where there is one.
    pub(crate) fn refer(&mut self, extension: &str, replaces: Option<&Self>) {
        let other = replaces.map(|leg| &leg.dialog);
        let (bytes, branch) = self.dialog.refer(extension, self.to, other);
        let to = self.dialog.next_hop(self.to);
        self.repeat("REFER", bytes, branch, to);
    }

    /// Returns when something else can begin.
    pub(crate) fn press(&mut self, key: Key) -> u64 {
        let press = self.sender.press(key);
        self.pressed.push_back(press);
        if matches!(
            self.handset.dtmf,
            Dtmf::Info | Dtmf::Both | Dtmf::InfoInband
        ) {
            let at = match self.handset.info_at {
                InfoAt::Press => press.begins,
                InfoAt::Release => press.ends,
            };
            self.infos.push_back(Info { at, key });
        }
        press.over
    }

    // --- what happens by itself

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(crate) fn poll_sip(&mut self) -> Option<(Vec<u8>, SocketAddr)> {
        self.sip_out.pop_front()
    }

    /// Does all that is due.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.repeat_due(now);
        match self.state {
            State::Talking => {
                self.release_keys(now);
                if let Change::Again(at) = self.change
                    && now >= at
                {
                    self.change = Change::Asked;
                    self.send_invite();
                }
            }
            State::Cancelling { until } | State::Refusing { until } | State::Leaving { until }
                if now >= until =>
            {
                self.close(now);
            }
            _ => {}
        }
    }

    /// The next moment at which something is due.
    pub(crate) fn wake(&self) -> Instant {
        let now = Instant::now();
        let mut wake = now + IDLE;
        for repeated in &self.repeated {
            wake = wake.min(repeated.next).min(repeated.until);
        }
        match self.state {
            State::Cancelling { until } | State::Refusing { until } | State::Leaving { until } => {
                wake.min(until)
            }
            State::Talking => {
                if let Change::Again(at) = self.change {
                    wake = wake.min(at);
                }
                if let Some(info) = self.infos.front() {
                    wake = wake.min(self.moment(info.at));
                }
                wake.min(self.moment(self.sender.due()))
            }
            State::Calling { .. } | State::Called | State::Closed => wake,
        }
    }

    /// When a sample of our sound is due.
    pub(crate) fn moment(&self, sample: u64) -> Instant {
        self.answered.unwrap_or(self.began) + Duration::from_micros(sample * 1_000_000 / RATE)
    }

    /// Counts the keys that are pressed by now, sends the INFO of those that are due.
    fn release_keys(&mut self, now: Instant) {
        let mut pressed = 0;
        while let Some(press) = self.pressed.front()
            && self.moment(press.begins) <= now
        {
            let held = Duration::from_millis(self.handset.on_ms.into());
            self.last_key = Some(self.moment(press.begins) + held);
            self.pressed.pop_front();
            pressed += 1;
        }
        if pressed > 0 {
            self.ear.stir(now);
            self.keys_sent += pressed;
            self.events.push_back(Event::Keys(pressed));
        }
        while self.infos.front().is_some_and(|i| self.moment(i.at) <= now) {
            if let Some(info) = self.infos.pop_front() {
                let body = format!(
                    "Signal={}\r\nDuration={}\r\n",
                    info.key.sign(),
                    self.handset.on_ms
                );
                self.request("INFO", "application/dtmf-relay", &body);
            }
        }
    }

    fn talk(&mut self, now: Instant) {
        self.answered = Some(now);
        self.state = State::Talking;
        self.told_answered = true;
        self.tell_answered();
    }

    fn tell_answered(&mut self) {
        self.events.push_back(Event::Answered);
        let events = self.far.as_ref().and_then(|media| media.events);
        if matches!(self.handset.dtmf, Dtmf::Rfc4733 | Dtmf::Both) && events.is_none() {
            self.events.push_back(Event::NoTelephoneEvents);
        }
    }

    fn close(&mut self, now: Instant) {
        self.repeated.clear();
        self.ended.get_or_insert(now);
        self.state = State::Closed;
    }

    fn error(&mut self, what: &str) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(what.to_owned());
        }
    }

    // --- SIP

    /// Whether this message is of this call.
    pub(crate) fn owns(&self, message: &Message) -> bool {
        message.header("call-id") == Some(&self.dialog.call_id)
    }

    /// What the message says of the far end, on the display.
    fn show(&mut self, message: &Message) {
        if let Some(who) = message.shows()
            && self.shown.last().is_none_or(|(_, last)| *last != who)
            && self.shown.len() < SHOWN_MAX
        {
            self.shown.push((Instant::now(), who));
        }
    }

    /// Takes a message of this call.
    pub(crate) fn handle_sip(&mut self, message: &Message, from: SocketAddr, now: Instant) {
        self.show(message);
        match message.start {
            Start::Response { status } => self.handle_response(status, message, now),
            Start::Request { ref method } => self.handle_request(method, message, from, now),
        }
    }

    fn handle_response(&mut self, status: u16, message: &Message, now: Instant) {
        let Some((number, method)) = message.cseq() else {
            return;
        };
        if method == "INVITE" {
            if number == self.dialog.invite_cseq() {
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
        if status >= 300 && method != "BYE" {
            self.error(&format!("{method} {status}"));
        }
        match method {
            "BYE" => self.close(now),
            "INFO" if status >= 300 => self.events.push_back(Event::InfoRefused(status)),
            "REFER" => self.events.push_back(Event::Referred(status)),
            _ => {}
        }
    }

    /// An answer to our last INVITE.
    fn handle_answer(&mut self, status: u16, message: &Message, now: Instant) {
        self.repeated.retain(|r| r.method != "INVITE");
        if self.answered.is_some() {
            return self.handle_answer_inside(status, message, now);
        }
        match status {
            100..=199 => {
                if let State::Calling { ringing } = &mut self.state {
                    *ringing = true;
                    if status >= 180 {
                        self.events.push_back(Event::Ringing);
                    }
                }
            }
            200..=299 => {
                if matches!(self.state, State::Calling { .. } | State::Cancelling { .. }) {
                    self.dialog.answered(message);
                    self.take_media(&message.body);
                }
                self.acknowledge();
                match self.state {
                    State::Calling { .. } if self.far.is_none() => {
                        // No PCMU at a loopback address: what a telephone calls 488 when it is the one that is called.
                        self.events.push_back(Event::Refused(488));
                        self.state = State::Talking;
                        self.hang_up(now);
                    }
                    State::Calling { .. } => self.talk(now),
                    State::Cancelling { .. } => {
                        self.repeated.clear();
                        self.state = State::Talking;
                        self.hang_up(now);
                    }
                    _ => {}
                }
            }
            _ => {
                let ack = self.dialog.ack_refusal(message);
                self.sip_out.push_back((ack, self.to));
                match self.state {
                    State::Calling { .. } => {
                        self.events.push_back(Event::Refused(status));
                        self.close(now);
                    }
                    State::Cancelling { .. } => self.close(now),
                    _ => {}
                }
            }
        }
    }

    /// An answer to an INVITE inside the call.
    fn handle_answer_inside(&mut self, status: u16, message: &Message, now: Instant) {
        match status {
            100..=199 => {}
            200..=299 => {
                if self.change == Change::Asked {
                    self.take_media(&message.body);
                    self.change = Change::None;
                }
                self.acknowledge();
            }
            _ => {
                let ack = self.dialog.ack_refusal(message);
                let to = self.dialog.next_hop(self.to);
                self.sip_out.push_back((ack, to));
                if self.change != Change::Asked {
                } else if status == 491 {
                    let wait = if self.calling {
                        GLARE_CALLING
                    } else {
                        GLARE_CALLED
                    };
                    self.change = Change::Again(now + wait);
                } else {
                    self.error(&format!("INVITE {status}"));
                    self.change = Change::None;
                }
            }
        }
    }

    /// Also for each repetition of the answer.
    fn acknowledge(&mut self) {
        let (ack, to) = (self.dialog.ack(), self.dialog.next_hop(self.to));
        self.sip_out.push_back((ack, to));
    }

    fn handle_request(&mut self, method: &str, request: &Message, from: SocketAddr, now: Instant) {
        let number = request.cseq().map_or(0, |(number, _)| number);
        if method == "ACK" {
            self.repeated.retain(|r| r.method != ANSWER);
            match self.state {
                State::Refusing { .. } => self.close(now),
                State::Talking if !std::mem::replace(&mut self.told_answered, true) => {
                    self.tell_answered();
                }
                _ => {}
            }
            return;
        }
        if let Some((last, last_method, answer)) = &self.last_answer
            && (*last, last_method.as_str()) == (number, method)
        {
            self.sip_out.push_back((answer.clone(), from));
            return;
        }
        if method == "INVITE" {
            if self.change == Change::Asked {
                // RFC 3261, 14.2.
                self.answer_invite(request, from, "491 Request Pending", false);
            } else {
                // Without an offer, ours is in the answer (RFC 3261, 14.2).
                self.take_media(&request.body);
                self.answer_invite(request, from, "200 OK", true);
            }
            return;
        }
        let answer = match method {
            "OPTIONS" | "BYE" | "INFO" | "NOTIFY" | "MESSAGE" | "CANCEL" => {
                self.dialog.respond(request, "200 OK", false)
            }
            "UPDATE" => {
                let offered = !request.body.is_empty();
                if offered {
                    self.take_media(&request.body);
                }
                self.dialog.respond(request, "200 OK", offered)
            }
            _ => sip::respond(request, "405 Method Not Allowed", "", ""),
        };
        if method != "CANCEL" {
            self.last_answer = Some((number, method.to_owned(), answer.clone()));
        }
        self.sip_out.push_back((answer, from));
        match (method, self.state) {
            ("CANCEL", State::Called) => {
                self.events.push_back(Event::Cancelled);
                self.refuse("487 Request Terminated", now);
            }
            // Behind an answer of ours that crossed it.
            ("BYE", State::Talking | State::Leaving { .. } | State::Called) => {
                if self.state == State::Talking {
                    self.events.push_back(Event::FarHungUp);
                }
                self.close(now);
            }
            ("NOTIFY", _) => {
                if let Some((status, last)) = sip::transfer_state(request) {
                    self.events.push_back(Event::Transfer { status, last });
                }
            }
            _ => {}
        }
    }

    /// Answers an INVITE; a final answer is repeated until its ACK (RFC 3261, 13.3.1.4 and 17.2.1).
    fn answer_invite(&mut self, invite: &Message, from: SocketAddr, status: &str, sdp: bool) {
        let answer = self.dialog.respond(invite, status, sdp);
        let number = invite.cseq().map_or(0, |(number, _)| number);
        self.last_answer = Some((number, "INVITE".to_owned(), answer.clone()));
        if status.starts_with('1') {
            self.sip_out.push_back((answer, from));
        } else {
            self.repeat(ANSWER, answer, String::new(), from);
        }
    }

    fn take_media(&mut self, sdp: &str) {
        if let Some(media) = Media::parse(sdp).filter(|m| m.address.ip().is_loopback()) {
            self.sender
                .events_as(media.events.unwrap_or(TELEPHONE_EVENT));
            self.far = Some(media);
        }
    }

    fn send_invite(&mut self) {
        let invite = self.dialog.invite();
        let branch = self.dialog.invite_branch().to_owned();
        let to = if self.answered.is_some() {
            self.dialog.next_hop(self.to)
        } else {
            self.to
        };
        self.repeat("INVITE", invite, branch, to);
    }

    fn request(&mut self, method: &'static str, kind: &str, body: &str) {
        let (bytes, branch) = self.dialog.next(method, kind, body);
        let to = self.dialog.next_hop(self.to);
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
        let mut given_up = Vec::new();
        self.repeated.retain(|r| {
            if now >= r.until {
                given_up.push(r.method);
            }
            now < r.until
        });
        for method in given_up {
            // RFC 3261, 8.1.3.1: a time-out is a 408.
            match method {
                "INVITE" if self.answered.is_none() => {
                    self.events.push_back(Event::Refused(408));
                    self.close(now);
                }
                "INVITE" => self.change = Change::None,
                "REFER" => self.events.push_back(Event::Referred(408)),
                _ => {}
            }
            self.error(&format!("{method} without an answer"));
        }
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
    pub(crate) fn send_media(&mut self, socket: &UdpSocket) {
        let (Some(answered), Some(far), State::Talking) = (self.answered, &self.far, self.state)
        else {
            return;
        };
        let now = answered.elapsed();
        let sample = samples_in(now);
        let takes = matches!(far.direction, Direction::Both | Direction::Receives);
        if self.dialog.holds || !takes {
            self.sender.pass_over(sample);
            return;
        }
        while self.sender.due() <= sample {
            let due = Duration::from_micros(self.sender.due() * 1_000_000 / RATE);
            self.late_max = self.late_max.max(now.saturating_sub(due));
            self.sender.poll(&mut self.packet);
            socket.try_send_to(&self.packet, far.address).ok();
        }
    }

    pub(crate) fn handle_media(&mut self, bytes: &[u8], from: SocketAddr, now: Instant) {
        // RTCP of a neighbour's call can arrive at the port above its RTP, which may be ours.
        let Some(far) = self.far.as_ref().filter(|far| far.address == from) else {
            return;
        };
        let Some(packet) = rtp::Packet::parse(bytes) else {
            return;
        };
        if packet.payload_type == rtp::PCMU {
            self.ear.hear(packet.payload, now);
        } else if packet.payload_type == far.events.unwrap_or(TELEPHONE_EVENT) {
            self.leaked.take(&packet, now);
        }
    }
}
