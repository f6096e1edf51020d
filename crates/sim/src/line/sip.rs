//! SIP messages (RFC 3261), as far as one telephone needs them. No sockets, no clocks.

use std::net::{Ipv4Addr, SocketAddr};

use super::rtp::{PCMU, TELEPHONE_EVENT};

/// Longest datagram that is read; Asterisk's are under 2 KiB.
pub(crate) const MESSAGE_MAX: usize = 8192;

/// What we take.
const ALLOW: &str = "INVITE, ACK, CANCEL, OPTIONS, BYE, UPDATE, INFO, NOTIFY";

/// The branch of ours begins so (RFC 3261, 8.1.1.7).
const COOKIE: &str = "z9hG4bK";

/// A message that came in.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) start: Start,
    /// Names in lower case and long form, in the order of the message.
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Request { method: String },
    Response { status: u16 },
}

impl Message {
    /// `None`: not SIP/2.0, or without the headers that every message has (RFC 3261, 8.1.1).
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.trim_start_matches("\r\n").split("\r\n");
        let first = lines.next()?;
        let start = if let Some(rest) = first.strip_prefix("SIP/2.0 ") {
            let status = rest.get(..3)?.parse().ok()?;
            (100..700)
                .contains(&status)
                .then_some(Start::Response { status })?
        } else {
            let mut words = first.split(' ');
            let (method, _uri, version) = (words.next()?, words.next()?, words.next()?);
            (version == "SIP/2.0" && !method.is_empty()).then(|| Start::Request {
                method: method.to_owned(),
            })?
        };
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                // Folded (RFC 3261, 7.3.1).
                let (_, value) = headers.last_mut()?;
                value.push(' ');
                value.push_str(line.trim());
                continue;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((long_name(name.trim()), value.trim().to_owned()));
        }
        let message = Self {
            start,
            headers,
            body: body.to_owned(),
        };
        let complete = ["via", "from", "to", "call-id", "cseq"]
            .iter()
            .all(|name| message.header(name).is_some());
        (complete && message.cseq().is_some()).then_some(message)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// An INVITE outside every call (RFC 3261, 12.2.2).
    pub(crate) fn begins_a_call(&self) -> bool {
        let invite = matches!(&self.start, Start::Request { method } if method == "INVITE");
        invite && tag(self.header("to").unwrap_or_default()).is_none()
    }

    /// The user part of the URI in `From`: who calls.
    pub(crate) fn who_calls(&self) -> &str {
        let uri = uri(self.header("from").unwrap_or_default());
        let uri = uri.strip_prefix("sip:").unwrap_or(uri);
        uri.split_once('@').map_or("", |(user, _)| user)
    }

    /// Whom the other side is to be shown as, `NAME <NUMBER>` (RFC 3325); without it a telephone shows what it has shown before.
    pub(crate) fn shows(&self) -> Option<String> {
        let identity = self.header("p-asserted-identity")?;
        let name = identity.split('<').next().unwrap_or_default();
        let name = name.trim().trim_matches('"');
        let uri = uri(identity);
        let uri = uri.strip_prefix("sip:").unwrap_or(uri);
        let number = uri.split('@').next().unwrap_or_default();
        Some(format!("{name} <{number}>").trim_start().to_owned())
    }

    fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Number and method.
    pub(crate) fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.header("cseq")?.split_once(' ')?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// The branch of the topmost Via: ours, in an answer.
    pub(crate) fn branch(&self) -> Option<&str> {
        let via = self.header("via")?;
        let via = via.split(',').next()?;
        via.split(';')
            .find_map(|p| p.trim().strip_prefix("branch="))
    }
}

fn long_name(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    // RFC 3261, 7.3.3.
    match lower.as_str() {
        "o" => "event".into(),
        "r" => "refer-to".into(),
        "v" => "via".into(),
        "f" => "from".into(),
        "t" => "to".into(),
        "i" => "call-id".into(),
        "m" => "contact".into(),
        "c" => "content-type".into(),
        "l" => "content-length".into(),
        _ => lower,
    }
}

/// The URI of a name-addr or addr-spec (RFC 3261, 20.10).
fn uri(value: &str) -> &str {
    match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(rest),
        None => value.split(';').next().unwrap_or(value).trim(),
    }
}

/// The tag of a From or To.
fn tag(value: &str) -> Option<&str> {
    let rest = value.rsplit_once('>').map_or(value, |(_, rest)| rest);
    rest.split(';').find_map(|p| p.trim().strip_prefix("tag="))
}

/// One call, seen from our end (RFC 3261, 12).
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    /// Where we are reached.
    local: SocketAddr,
    number: String,
    /// Our end with our tag, and the far one.
    from: String,
    to: String,
    target: String,
    routes: Vec<String>,
    cseq: u32,
    /// Our last INVITE.
    invite_branch: String,
    invite_cseq: u32,
    media: SocketAddr,
    media_version: u32,
    /// Whether we take telephone-events.
    events: bool,
    /// The far end is on hold by us.
    pub(crate) holds: bool,
}

impl Dialog {
    /// A call of `number` at `local` to `extension` at `to`; sound comes and goes at `media`.
    pub(crate) fn new(
        number: &str,
        extension: &str,
        local: SocketAddr,
        to: SocketAddr,
        media: SocketAddr,
    ) -> Self {
        let target = format!("sip:{extension}@{to}");
        Self {
            call_id: uuid::Uuid::new_v4().to_string(),
            local,
            number: number.to_owned(),
            from: format!("\"caller\" <sip:{number}@{local}>;tag={}", token()),
            to: format!("<{target}>"),
            target,
            routes: Vec::new(),
            cseq: 0,
            invite_branch: branch(),
            invite_cseq: 0,
            media,
            media_version: 1,
            events: true,
            holds: false,
        }
    }

    /// The call that `invite` makes to `number` at `local` (RFC 3261, 12.1.1).
    pub(crate) fn incoming(
        invite: &Message,
        number: &str,
        local: SocketAddr,
        media: SocketAddr,
    ) -> Self {
        let header = |name| invite.header(name).unwrap_or_default().to_owned();
        let far = header("from");
        let target = invite.header("contact").map_or(uri(&far), uri).to_owned();
        Self {
            call_id: header("call-id"),
            local,
            number: number.to_owned(),
            from: format!("{};tag={}", header("to"), token()),
            to: far,
            target,
            routes: invite.headers("record-route").map(str::to_owned).collect(),
            cseq: 0,
            invite_branch: String::new(),
            invite_cseq: 0,
            media,
            media_version: 0,
            events: true,
            holds: false,
        }
    }

    /// Takes no telephone-events, so that Asterisk listens for tones where its endpoint says `dtmf_mode = auto`.
    pub(crate) fn without_events(mut self) -> Self {
        self.events = false;
        self
    }

    /// The first INVITE, or another one in the dialog, with our SDP.
    pub(crate) fn invite(&mut self) -> Vec<u8> {
        self.cseq += 1;
        self.invite_cseq = self.cseq;
        if self.cseq > 1 || self.invite_branch.is_empty() {
            self.invite_branch = branch();
            self.media_version += 1;
        }
        let sdp = self.sdp(None);
        let kind = "application/sdp";
        self.request("INVITE", self.cseq, &self.invite_branch, "", kind, &sdp)
    }

    pub(crate) fn invite_branch(&self) -> &str {
        &self.invite_branch
    }

    pub(crate) fn invite_cseq(&self) -> u32 {
        self.invite_cseq
    }

    /// The same transaction as the INVITE (RFC 3261, 9.1).
    pub(crate) fn cancel(&self) -> Vec<u8> {
        self.request("CANCEL", self.invite_cseq, &self.invite_branch, "", "", "")
    }

    /// Takes the answer in: tag, target and route.
    pub(crate) fn answered(&mut self, ok: &Message) {
        if let Some(to) = ok.header("to") {
            to.clone_into(&mut self.to);
        }
        if let Some(contact) = ok.header("contact") {
            uri(contact).clone_into(&mut self.target);
        }
        self.routes = ok.headers("record-route").map(str::to_owned).collect();
        self.routes.reverse();
    }

    /// The ACK of a 2xx is a transaction of its own (RFC 3261, 13.2.2.4).
    pub(crate) fn ack(&self) -> Vec<u8> {
        self.request("ACK", self.invite_cseq, &branch(), "", "", "")
    }

    /// The ACK of a refusal belongs to the INVITE's transaction (RFC 3261, 17.1.1.3).
    pub(crate) fn ack_refusal(&mut self, refusal: &Message) -> Vec<u8> {
        if let Some(to) = refusal.header("to") {
            to.clone_into(&mut self.to);
        }
        self.request("ACK", self.invite_cseq, &self.invite_branch, "", "", "")
    }

    /// A request in the dialog, and its branch.
    pub(crate) fn next(&mut self, method: &str, kind: &str, body: &str) -> (Vec<u8>, String) {
        self.cseq += 1;
        let branch = branch();
        let bytes = self.request(method, self.cseq, &branch, "", kind, body);
        (bytes, branch)
    }

    /// A REFER of the far end to `extension` at `to` (RFC 3515), into the call `replaces` where there is one (RFC 3891), and its branch.
    pub(crate) fn refer(
        &mut self,
        extension: &str,
        to: SocketAddr,
        replaces: Option<&Self>,
    ) -> (Vec<u8>, String) {
        // The tags are named as the far end of that other call has them: its own is `to-tag` (RFC 3891, 3).
        let replaces = replaces.map_or(String::new(), |other| {
            let (far, own) = (tag(&other.to), tag(&other.from));
            let (far, own) = (far.unwrap_or_default(), own.unwrap_or_default());
            format!(
                "?Replaces={}%3Bto-tag%3D{far}%3Bfrom-tag%3D{own}",
                other.call_id.replace('@', "%40")
            )
        });
        let referred_by = uri(&self.from).to_owned();
        let more = format!(
            "Refer-To: <sip:{extension}@{to}{replaces}>\r\nReferred-By: <{referred_by}>\r\n"
        );
        self.cseq += 1;
        let branch = branch();
        let bytes = self.request("REFER", self.cseq, &branch, &more, "", "");
        (bytes, branch)
    }

    /// Where requests in the dialog go: the far contact when it is an address, else `to`.
    pub(crate) fn next_hop(&self, to: SocketAddr) -> SocketAddr {
        if !self.routes.is_empty() {
            return to;
        }
        let host = self.target.strip_prefix("sip:").unwrap_or(&self.target);
        let host = host.split([';', '?']).next().unwrap_or(host);
        let host = host.rsplit('@').next().unwrap_or(host);
        host.parse()
            .or_else(|_| host.parse::<Ipv4Addr>().map(|ip| (ip, 5060).into()))
            .ok()
            .filter(|address: &SocketAddr| address.ip().is_loopback())
            .unwrap_or(to)
    }

    /// An answer to a request in this dialog, with our SDP on demand.
    pub(crate) fn respond(&mut self, request: &Message, status: &str, sdp: bool) -> Vec<u8> {
        let contact = format!("Contact: <sip:{}@{}>\r\n", self.number, self.local);
        let body = if sdp {
            self.media_version += 1;
            self.sdp(Media::parse(&request.body).map(|offer| offer.direction))
        } else {
            String::new()
        };
        let own = tag(&self.from).unwrap_or_default();
        respond_as(request, status, &contact, &body, own)
    }

    fn request(
        &self,
        method: &str,
        cseq: u32,
        branch: &str,
        more: &str,
        kind: &str,
        body: &str,
    ) -> Vec<u8> {
        let Self {
            call_id,
            local,
            number,
            from,
            to,
            target,
            ..
        } = self;
        let mut text = format!(
            "{method} {target} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};rport;branch={branch}\r\n\
             Max-Forwards: 70\r\n"
        );
        for route in &self.routes {
            text += &format!("Route: {route}\r\n");
        }
        text +=
            &format!("From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n");
        if !matches!(method, "ACK" | "CANCEL" | "BYE") {
            text += &format!(
                "Contact: <sip:{number}@{local}>\r\n\
                 Allow: {ALLOW}\r\n\
                 User-Agent: ivrpay-sim\r\n"
            );
        }
        text += more;
        if !body.is_empty() {
            text += &format!("Content-Type: {kind}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        text.into_bytes()
    }

    /// As an answer to what the far end `offered`, or as an offer.
    fn sdp(&self, offered: Option<Direction>) -> String {
        let (ip, port) = (self.media.ip(), self.media.port());
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        // RFC 3264, 6.1 and 8.4.
        let direction = match (self.holds, offered.unwrap_or(Direction::Both)) {
            (false, Direction::Both) => "sendrecv",
            (true, Direction::Both | Direction::Receives) | (false, Direction::Receives) => {
                "sendonly"
            }
            (false, Direction::Sends) => "recvonly",
            (_, Direction::None) | (true, Direction::Sends) => "inactive",
        };
        let (kind, events) = if self.events {
            (
                format!(" {TELEPHONE_EVENT}"),
                format!(
                    "a=rtpmap:{TELEPHONE_EVENT} telephone-event/8000\r\na=fmtp:{TELEPHONE_EVENT} 0-16\r\n"
                ),
            )
        } else {
            Default::default()
        };
        format!(
            "v=0\r\n\
             o=- 1 {version} IN {family} {ip}\r\n\
             s=-\r\n\
             c=IN {family} {ip}\r\n\
             t=0 0\r\n\
             m=audio {port} RTP/AVP {PCMU}{kind}\r\n\
             a=rtpmap:{PCMU} PCMU/8000\r\n\
             {events}\
             a=ptime:20\r\n\
             a={direction}\r\n",
            version = self.media_version
        )
    }
}

/// An answer to any request: Via, From, To, Call-ID, CSeq and Record-Route as they came (RFC 3261, 8.2.6).
pub(crate) fn respond(request: &Message, status: &str, more: &str, sdp: &str) -> Vec<u8> {
    respond_as(request, status, more, sdp, &token())
}

/// The answer to a request that belongs to no call of ours; none to a response or an ACK.
pub(crate) fn respond_outside(request: &Message) -> Option<Vec<u8>> {
    let Start::Request { method } = &request.start else {
        return None;
    };
    let status = match method.as_str() {
        "ACK" => return None,
        "OPTIONS" => "200 OK",
        _ => "481 Call/Transaction Does Not Exist",
    };
    Some(respond(request, status, &format!("Allow: {ALLOW}\r\n"), ""))
}

/// As [`respond`], with our tag where To has none.
fn respond_as(request: &Message, status: &str, more: &str, sdp: &str, own: &str) -> Vec<u8> {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for (name, shown) in [
        ("via", "Via"),
        ("record-route", "Record-Route"),
        ("from", "From"),
        ("to", "To"),
        ("call-id", "Call-ID"),
        ("cseq", "CSeq"),
    ] {
        for value in request.headers(name) {
            text += &format!("{shown}: {value}");
            if name == "to" && !value.contains(";tag=") && !status.starts_with("100") {
                text += &format!(";tag={own}");
            }
            text += "\r\n";
        }
    }
    text += more;
    if !sdp.is_empty() {
        text += "Content-Type: application/sdp\r\n";
    }
    text += &format!("Content-Length: {}\r\n\r\n{sdp}", sdp.len());
    text.into_bytes()
}

/// What the one who wrote an SDP does with sound (RFC 4566, 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Both,
    Sends,
    Receives,
    None,
}

/// Status and whether it is the last word, of a NOTIFY on a transfer (RFC 3515, 2.4.4 and 2.4.5).
pub(crate) fn transfer_state(notify: &Message) -> Option<(u16, bool)> {
    let event = notify.header("event")?;
    if event.split(';').next()?.trim() != "refer" {
        return None;
    }
    let status = notify
        .body
        .strip_prefix("SIP/2.0 ")?
        .get(..3)?
        .parse()
        .ok()?;
    let state = notify.header("subscription-state").unwrap_or_default();
    // A final status ends the subscription, whatever the header says.
    Some((status, status >= 200 || state.starts_with("terminated")))
}

/// The far end's sound, from its SDP.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Media {
    pub(crate) address: SocketAddr,
    /// Payload type of telephone-event; `None` when the far end takes none.
    pub(crate) events: Option<u8>,
    pub(crate) direction: Direction,
}

impl Media {
    /// `None`: no audio in PCMU at an IPv4 address.
    pub(crate) fn parse(sdp: &str) -> Option<Self> {
        let (mut session, mut own, mut port, mut events) = (None, None, None, None);
        let (mut other, mut direction) = (false, Direction::Both);
        for line in sdp.lines() {
            if let Some(media) = line.strip_prefix("m=") {
                let mut words = media.split(' ');
                other = words.next() != Some("audio") || port.is_some();
                if !other {
                    port = words.next().and_then(|p| p.parse::<u16>().ok());
                    if !words.skip(1).any(|kind| kind == "0") {
                        return None;
                    }
                }
            } else if other {
            } else if let Some(way) = match line.trim_end() {
                "a=sendrecv" => Some(Direction::Both),
                "a=sendonly" => Some(Direction::Sends),
                "a=recvonly" => Some(Direction::Receives),
                "a=inactive" => Some(Direction::None),
                _ => None,
            } {
                direction = way;
            } else if let Some(ip) = line.strip_prefix("c=IN IP4 ") {
                let ip = ip.trim().parse::<Ipv4Addr>().ok();
                if port.is_some() {
                    own = ip
                } else {
                    session = ip
                }
            } else if let Some(map) = line.strip_prefix("a=rtpmap:")
                && let Some((kind, name)) = map.split_once(' ')
                && name
                    .to_ascii_lowercase()
                    .starts_with("telephone-event/8000")
            {
                events = kind.parse().ok();
            }
        }
        Some(Self {
            address: (own.or(session)?, port.filter(|p| *p > 0)?).into(),
            events,
            direction,
        })
    }
}

fn branch() -> String {
    format!("{COOKIE}{}", token())
}

fn token() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialog() -> Dialog {
        let at = |a: &str| a.parse().unwrap();
        Dialog::new(
            "0312345678",
            "8800",
            at("127.0.0.2:5070"),
            at("127.0.0.1:5060"),
            at("127.0.0.2:4000"),
        )
    }

    const OK: &str = "SIP/2.0 200 OK\r\n\
        v: SIP/2.0/UDP 127.0.0.2:5070;rport=5070;received=127.0.0.2;branch=z9hG4bKabc\r\n\
        Record-Route: <sip:127.0.0.9;lr>\r\n\
        Record-Route: <sip:127.0.0.8;lr>\r\n\
        f: \"caller\" <sip:0312345678@127.0.0.2>;tag=1\r\n\
        t: <sip:8800@127.0.0.1>;tag=2\r\n\
        i: one\r\n\
        CSeq: 1 INVITE\r\n\
        m: \"x\" <sip:asterisk@127.0.0.7:5062;transport=udp>;expires=1\r\n\
        X-Long: first\r\n\
        \x20 second\r\n\
        l: 4\r\n\r\nbody";

    #[test]
    fn reads_an_answer_in_compact_form() {
        let ok = Message::parse(OK.as_bytes()).unwrap();
        assert_eq!(ok.start, Start::Response { status: 200 });
        assert_eq!(ok.branch(), Some("z9hG4bKabc"));
        assert_eq!(ok.cseq(), Some((1, "INVITE")));
        assert_eq!(ok.header("call-id"), Some("one"));
        assert_eq!(ok.header("x-long"), Some("first second"));
        assert_eq!(ok.body, "body");
    }

    #[test]
    fn refuses_what_is_not_sip() {
        for bytes in [
            "",
            "hello",
            "\r\n\r\n",
            "SIP/2.0 2\r\n\r\n",
            "SIP/2.0 999 No\r\nVia: a\r\nFrom: a\r\nTo: a\r\nCall-ID: a\r\nCSeq: 1 A\r\n\r\n",
            "BYE sip:a SIP/1.0\r\nVia: a\r\nFrom: a\r\nTo: a\r\nCall-ID: a\r\nCSeq: 1 BYE\r\n\r\n",
            "BYE sip:a SIP/2.0\r\nVia: a\r\nFrom: a\r\nTo: a\r\nCall-ID: a\r\nCSeq: x BYE\r\n\r\n",
            "BYE sip:a SIP/2.0\r\nVia: a\r\nFrom: a\r\nTo: a\r\nCSeq: 1 BYE\r\n\r\n",
            "BYE sip:a SIP/2.0\r\n folded first: a\r\n\r\n",
        ] {
            assert!(Message::parse(bytes.as_bytes()).is_none(), "{bytes:?}");
        }
        assert!(Message::parse(&[0xff; 40]).is_none());
    }

    #[test]
    fn a_dialog_goes_on_where_the_answer_says() {
        let mut dialog = dialog();
        let invite = dialog.invite();
        let sent = Message::parse(&invite).unwrap();
        assert_eq!(
            sent.start,
            Start::Request {
                method: "INVITE".into()
            }
        );
        assert_eq!(sent.branch(), Some(dialog.invite_branch()));
        assert_eq!(
            sent.header("content-length"),
            Some(sent.body.len().to_string().as_str())
        );
        assert_eq!(
            Media::parse(&sent.body),
            Some(Media {
                address: "127.0.0.2:4000".parse().unwrap(),
                events: Some(101),
                direction: Direction::Both,
            })
        );

        dialog.answered(&Message::parse(OK.as_bytes()).unwrap());
        let (bye, branch) = dialog.next("BYE", "", "");
        let bye = String::from_utf8(bye).unwrap();
        assert!(
            bye.starts_with("BYE sip:asterisk@127.0.0.7:5062;transport=udp SIP/2.0\r\n"),
            "{bye}"
        );
        assert!(bye.contains("\r\nTo: <sip:8800@127.0.0.1>;tag=2\r\n"));
        assert!(bye.contains("\r\nCSeq: 2 BYE\r\n"));
        assert!(bye.contains("Route: <sip:127.0.0.8;lr>\r\nRoute: <sip:127.0.0.9;lr>\r\n"));
        assert!(bye.contains(&branch) && branch != dialog.invite_branch());
        let to = "127.0.0.1:5060".parse().unwrap();
        assert_eq!(dialog.next_hop(to), to, "through the route");
        dialog.routes.clear();
        assert_eq!(dialog.next_hop(to), "127.0.0.7:5062".parse().unwrap());
        dialog.target = "sip:8.8.8.8".into();
        assert_eq!(dialog.next_hop(to), to, "never leaves loopback");
    }

    #[test]
    fn answers_repeat_the_request() {
        let request = "OPTIONS sip:a SIP/2.0\r\nVia: one\r\nVia: two\r\nFrom: a;tag=1\r\nTo: b\r\nCall-ID: c\r\nCSeq: 5 OPTIONS\r\n\r\n";
        let request = Message::parse(request.as_bytes()).unwrap();
        let text = String::from_utf8(dialog().respond(&request, "200 OK", true)).unwrap();
        assert!(
            text.starts_with(
                "SIP/2.0 200 OK\r\nVia: one\r\nVia: two\r\nFrom: a;tag=1\r\nTo: b;tag="
            ),
            "{text}"
        );
        assert!(text.contains("CSeq: 5 OPTIONS\r\nContact: <sip:0312345678@127.0.0.2:5070>\r\n"));
        assert!(Media::parse(&text).is_some());
    }

    const INVITE: &str = "INVITE sip:201@127.0.0.3:5201 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx\r\n\
        Record-Route: <sip:127.0.0.8;lr>\r\n\
        From: \"shop; tag=0\" <sip:0312345678@127.0.0.1>;tag=far\r\n\
        To: <sip:201@127.0.0.3:5201>\r\n\
        Call-ID: one@asterisk\r\n\
        Contact: <sip:asterisk@127.0.0.1:5060>\r\n\
        CSeq: 4711 INVITE\r\n\r\n";

    fn called() -> (Message, Dialog) {
        let at = |a: &str| a.parse().unwrap();
        let invite = Message::parse(INVITE.as_bytes()).unwrap();
        let (local, media) = (at("127.0.0.3:5201"), at("127.0.0.3:4000"));
        let dialog = Dialog::incoming(&invite, "201", local, media);
        (invite, dialog)
    }

    #[test]
    fn a_dialog_of_who_is_called() {
        let (invite, mut dialog) = called();
        assert_eq!(invite.who_calls(), "0312345678");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ringing = text(dialog.respond(&invite, "180 Ringing", false));
        let ok = text(dialog.respond(&invite, "200 OK", true));
        let own = tag(&dialog.from).unwrap().to_owned();
        for answer in [&ringing, &ok] {
            assert!(answer.contains(&format!("\r\nTo: <sip:201@127.0.0.3:5201>;tag={own}\r\n")));
        }
        assert!(Media::parse(&ok).is_some() && ok.contains("\r\na=sendrecv\r\n"));
        let bye = text(dialog.next("BYE", "", "").0);
        for line in [
            "BYE sip:asterisk@127.0.0.1:5060 SIP/2.0".to_owned(),
            "Route: <sip:127.0.0.8;lr>".to_owned(),
            format!("From: <sip:201@127.0.0.3:5201>;tag={own}"),
            "To: \"shop; tag=0\" <sip:0312345678@127.0.0.1>;tag=far".to_owned(),
            "Call-ID: one@asterisk".to_owned(),
            "CSeq: 1 BYE".to_owned(),
        ] {
            assert!(bye.contains(&line), "{line} in {bye}");
        }
    }

    #[test]
    fn hold_and_resume_by_another_invite() {
        let mut dialog = dialog();
        let first = dialog.invite_branch().to_owned();
        dialog.invite();
        assert_eq!(dialog.invite_branch(), first, "the first is announced");
        dialog.answered(&Message::parse(OK.as_bytes()).unwrap());
        for (holds, direction) in [(true, Direction::Sends), (false, Direction::Both)] {
            dialog.holds = holds;
            let invite = Message::parse(&dialog.invite()).unwrap();
            assert_eq!(Media::parse(&invite.body).unwrap().direction, direction);
        }
        assert_ne!(dialog.invite_branch(), first);
        let ack = String::from_utf8(dialog.ack()).unwrap();
        assert!(ack.contains(&format!("\r\nCSeq: {} ACK\r\n", dialog.invite_cseq())));
        assert_eq!(dialog.invite_cseq(), 3);
    }

    #[test]
    fn an_answer_has_the_other_direction() {
        let (_, mut dialog) = called();
        for (holds, offered, direction) in [
            (false, "sendrecv", "sendrecv"),
            (false, "sendonly", "recvonly"),
            (false, "recvonly", "sendonly"),
            (false, "inactive", "inactive"),
            (true, "sendrecv", "sendonly"),
            (true, "sendonly", "inactive"),
        ] {
            dialog.holds = holds;
            let sdp = format!("c=IN IP4 127.0.0.1\r\nm=audio 4 RTP/AVP 0\r\na={offered}\r\n");
            let invite = Message::parse(format!("{INVITE}{sdp}").as_bytes()).unwrap();
            let ok = String::from_utf8(dialog.respond(&invite, "200 OK", true)).unwrap();
            assert!(
                ok.contains(&format!("\r\na={direction}\r\n")),
                "to {offered}: {ok}"
            );
        }
    }

    #[test]
    fn transfers_name_where_to_and_which_call() {
        let (_, mut dialog) = called();
        let to = "127.0.0.1:5060".parse().unwrap();
        let refer = |dialog: &mut Dialog, other: Option<&Dialog>| {
            let (bytes, branch) = dialog.refer("8803", to, other);
            let refer = Message::parse(&bytes).unwrap();
            assert_eq!(refer.branch(), Some(branch.as_str()));
            assert_eq!(
                refer.header("referred-by"),
                Some("<sip:201@127.0.0.3:5201>")
            );
            refer.header("refer-to").unwrap().to_owned()
        };
        assert_eq!(refer(&mut dialog, None), "<sip:8803@127.0.0.1:5060>");
        let mut other = self::dialog();
        other.answered(&Message::parse(OK.as_bytes()).unwrap());
        other.call_id = "a@b".into();
        let own = tag(&other.from).unwrap();
        assert_eq!(
            refer(&mut dialog, Some(&other)),
            format!("<sip:8803@127.0.0.1:5060?Replaces=a%40b%3Bto-tag%3D2%3Bfrom-tag%3D{own}>")
        );
    }

    #[test]
    fn what_is_told_of_a_transfer() {
        let head = "NOTIFY sip:a SIP/2.0\r\nVia: a\r\nFrom: a\r\nTo: a\r\nCall-ID: a\r\nCSeq: 1 NOTIFY\r\n";
        for (rest, expected) in [
            (
                "Event: refer;id=1\r\nSubscription-State: active;expires=60\r\n\r\nSIP/2.0 100 Trying\r\n",
                Some((100, false)),
            ),
            (
                "o: refer\r\nSubscription-State: terminated;reason=noresource\r\n\r\nSIP/2.0 200 OK",
                Some((200, true)),
            ),
            (
                "Event: refer\r\nSubscription-State: active\r\n\r\nSIP/2.0 503 Service Unavailable",
                Some((503, true)),
            ),
            (
                "Event: refer\r\nSubscription-State: terminated\r\n\r\nSIP/2.0 180 Ringing",
                Some((180, true)),
            ),
            ("Event: message-summary\r\n\r\nSIP/2.0 200 OK", None),
            ("Event: refer\r\n\r\nMessages-Waiting: no", None),
        ] {
            let notify = Message::parse(format!("{head}{rest}").as_bytes()).unwrap();
            assert_eq!(transfer_state(&notify), expected, "{rest}");
        }
    }

    #[test]
    fn without_telephone_events_only_audio_is_offered() {
        let (invite, dialog) = called();
        let mut dialog = dialog.without_events();
        let ok = String::from_utf8(dialog.respond(&invite, "200 OK", true)).unwrap();
        assert!(!ok.contains("telephone-event") && ok.contains("RTP/AVP 0\r\n"));
    }

    #[track_caller]
    fn check_media(sdp: &str, expected: Option<(&str, Option<u8>)>) {
        let expected = expected.map(|(address, events)| Media {
            address: address.parse().unwrap(),
            events,
            direction: Direction::Both,
        });
        assert_eq!(Media::parse(&sdp.replace('|', "\r\n")), expected, "{sdp}");
    }

    #[test]
    fn sdp() {
        check_media(
            "v=0|c=IN IP4 127.0.0.1|m=audio 20000 RTP/AVP 0 97|a=rtpmap:97 telephone-event/8000",
            Some(("127.0.0.1:20000", Some(97))),
        );
        check_media(
            "c=IN IP4 127.0.0.1|m=audio 20000 RTP/AVP 0|c=IN IP4 127.0.0.5",
            Some(("127.0.0.5:20000", None)),
        );
        check_media(
            "c=IN IP4 127.0.0.1|m=audio 4 RTP/AVP 0|m=video 6 RTP/AVP 97|c=IN IP4 127.0.0.6",
            Some(("127.0.0.1:4", None)),
        );
        check_media("c=IN IP4 127.0.0.1|m=audio 4 RTP/AVP 8", None);
        check_media("c=IN IP4 127.0.0.1|m=audio 0 RTP/AVP 0", None);
        check_media("m=audio 4 RTP/AVP 0", None);
        check_media("", None);
    }
}
