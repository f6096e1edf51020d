//! SIP messages (RFC 3261), as far as one caller needs them. No sockets, no clocks.

use std::net::{Ipv4Addr, SocketAddr};

use super::rtp::{PCMU, TELEPHONE_EVENT};

/// Longest datagram that is read; Asterisk's are under 2 KiB.
pub(crate) const MESSAGE_MAX: usize = 8192;

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

/// One call, seen from its caller (RFC 3261, 12).
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    /// Where we are reached.
    local: SocketAddr,
    number: String,
    /// `From` with our tag, `To` as answered.
    from: String,
    to: String,
    target: String,
    routes: Vec<String>,
    cseq: u32,
    invite_branch: String,
    media: SocketAddr,
    media_version: u32,
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
            media,
            media_version: 1,
        }
    }

    pub(crate) fn invite(&mut self) -> Vec<u8> {
        self.cseq = 1;
        let sdp = self.sdp();
        self.request("INVITE", 1, &self.invite_branch, "application/sdp", &sdp)
    }

    pub(crate) fn invite_branch(&self) -> &str {
        &self.invite_branch
    }

    /// The same transaction as the INVITE (RFC 3261, 9.1).
    pub(crate) fn cancel(&self) -> Vec<u8> {
        self.request("CANCEL", 1, &self.invite_branch, "", "")
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
        self.request("ACK", 1, &branch(), "", "")
    }

    /// The ACK of a refusal belongs to the INVITE's transaction (RFC 3261, 17.1.1.3).
    pub(crate) fn ack_refusal(&mut self, refusal: &Message) -> Vec<u8> {
        if let Some(to) = refusal.header("to") {
            to.clone_into(&mut self.to);
        }
        self.request("ACK", 1, &self.invite_branch, "", "")
    }

    /// A request in the dialog, and its branch.
    pub(crate) fn next(&mut self, method: &str, kind: &str, body: &str) -> (Vec<u8>, String) {
        self.cseq += 1;
        let branch = branch();
        (self.request(method, self.cseq, &branch, kind, body), branch)
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
            self.sdp()
        } else {
            String::new()
        };
        respond(request, status, &contact, &body)
    }

    fn request(&self, method: &str, cseq: u32, branch: &str, kind: &str, body: &str) -> Vec<u8> {
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
                 Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, UPDATE, INFO, NOTIFY\r\n\
                 User-Agent: ivrpay-sim\r\n"
            );
        }
        if !body.is_empty() {
            text += &format!("Content-Type: {kind}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        text.into_bytes()
    }

    fn sdp(&self) -> String {
        let (ip, port) = (self.media.ip(), self.media.port());
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        format!(
            "v=0\r\n\
             o=- 1 {version} IN {family} {ip}\r\n\
             s=-\r\n\
             c=IN {family} {ip}\r\n\
             t=0 0\r\n\
             m=audio {port} RTP/AVP {PCMU} {TELEPHONE_EVENT}\r\n\
             a=rtpmap:{PCMU} PCMU/8000\r\n\
             a=rtpmap:{TELEPHONE_EVENT} telephone-event/8000\r\n\
             a=fmtp:{TELEPHONE_EVENT} 0-16\r\n\
             a=ptime:20\r\n\
             a=sendrecv\r\n",
            version = self.media_version
        )
    }
}

/// An answer to any request: Via, From, To, Call-ID, CSeq and Record-Route as they came (RFC 3261, 8.2.6).
pub(crate) fn respond(request: &Message, status: &str, more: &str, sdp: &str) -> Vec<u8> {
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
                text += &format!(";tag={}", token());
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

/// The far end's sound, from its SDP.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Media {
    pub(crate) address: SocketAddr,
    /// Payload type of telephone-event; `None` when the far end takes none.
    pub(crate) events: Option<u8>,
}

impl Media {
    /// `None`: no audio in PCMU at an IPv4 address.
    pub(crate) fn parse(sdp: &str) -> Option<Self> {
        let (mut session, mut own, mut port, mut events) = (None, None, None, None);
        let mut other = false;
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
                events: Some(101)
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

    #[track_caller]
    fn check_media(sdp: &str, expected: Option<(&str, Option<u8>)>) {
        let expected = expected.map(|(address, events)| Media {
            address: address.parse().unwrap(),
            events,
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
