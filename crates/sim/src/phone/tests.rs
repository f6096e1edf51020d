//! Whole calls against a tiny Asterisk in this process, which is written by hand: what it gets is judged by its text.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::oneshot;

use super::desk::{CallReport, Plan, ServeError, Side, Transfer, serve};
use super::numbered;
use crate::caller::tests::{daemon, event};
use crate::line::audio::voice;
use crate::line::events::Feed;
use crate::line::rtp::{Packet, TELEPHONE_EVENT};
use crate::line::script::parse_phone;
use crate::line::sip::{self, Direction, Media, Message, Start};
use crate::line::{Dtmf, Handset, InfoAt};

/// One side of one call, as Asterisk has it.
struct Far {
    sip: UdpSocket,
    media: UdpSocket,
    phone: SocketAddr,
    call_id: String,
    /// `;tag=…` of the telephone, once it is known.
    phone_tag: String,
    cseq: u32,
    /// Requests that came before they were asked for.
    early: std::cell::RefCell<Vec<Message>>,
    /// More headers of its INVITE.
    invite_more: &'static str,
}

impl Far {
    async fn new(sip: UdpSocket, phone: SocketAddr) -> Self {
        Self {
            sip,
            media: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            phone,
            call_id: String::new(),
            phone_tag: String::new(),
            cseq: 100,
            early: Default::default(),
            invite_more: "",
        }
    }

    fn sdp(&self, direction: &str) -> String {
        let port = self.media.local_addr().unwrap().port();
        format!(
            "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio {port} RTP/AVP 0 101\r\n\
             a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
        )
    }

    async fn send(&self, method: &str, more: &str, body: &str) {
        let (at, phone) = (self.sip.local_addr().unwrap(), self.phone);
        let (call_id, tag, cseq) = (&self.call_id, &self.phone_tag, self.cseq);
        let text = format!(
            "{method} sip:201@{phone} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{cseq}\r\n\
             From: \"shop\" <sip:0312345678@{at}>;tag=far\r\nTo: <sip:201@{phone}>{tag}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:asterisk@{at}>\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.sip.send_to(text.as_bytes(), phone).await.unwrap();
    }

    async fn request(&mut self, method: &str, more: &str, body: &str) {
        self.cseq += 1;
        self.send(method, more, body).await;
    }

    async fn receive(&self) -> Message {
        let mut bytes = vec![0; 4096];
        let received = self.sip.recv_from(&mut bytes);
        let (n, _) = tokio::time::timeout(Duration::from_secs(5), received)
            .await
            .expect("the telephone says something")
            .unwrap();
        Message::parse(&bytes[..n]).expect("the telephone sends SIP")
    }

    #[track_caller]
    fn is_answer(message: &Message, status: u16, method: &str) {
        assert_eq!(message.start, Start::Response { status }, "to {method}");
        assert_eq!(message.cseq().unwrap().1, method);
    }

    async fn answer(&self, status: u16, method: &str) -> Message {
        let message = self.receive().await;
        Self::is_answer(&message, status, method);
        message
    }

    /// The next request of this method. Those of two calls may come in either order.
    async fn asked(&self, method: &str) -> Message {
        let expected = Start::Request {
            method: method.to_owned(),
        };
        let early = self.early.borrow().iter().position(|m| m.start == expected);
        if let Some(at) = early {
            return self.early.borrow_mut().remove(at);
        }
        loop {
            let message = self.receive().await;
            if message.start == expected {
                return message;
            }
            assert!(
                matches!(message.start, Start::Request { .. }),
                "{message:?}"
            );
            self.early.borrow_mut().push(message);
        }
    }

    async fn reply(&self, request: &Message, status: &str, sdp: &str) -> Message {
        let contact = format!(
            "Contact: <sip:asterisk@{}>\r\n",
            self.sip.local_addr().unwrap()
        );
        let text = sip::respond(request, status, &contact, sdp);
        self.sip.send_to(&text, self.phone).await.unwrap();
        Message::parse(&text).unwrap()
    }

    /// A new call up to 180.
    async fn call(&mut self) {
        self.call_id = uuid::Uuid::new_v4().to_string();
        self.phone_tag.clear();
        let sdp = self.sdp("sendrecv");
        self.request("INVITE", self.invite_more, &sdp).await;
        self.rings().await;
    }

    async fn rings(&mut self) {
        let ringing = self.answer(180, "INVITE").await;
        let to = ringing.header("to").unwrap();
        let tag = to.split_once(";tag=").expect("180 has a tag").1;
        self.phone_tag = format!(";tag={tag}");
    }

    /// A new call up to the ACK of the answer; the telephone's sound.
    async fn talk(&mut self) -> Media {
        self.call().await;
        let ok = self.answer(200, "INVITE").await;
        assert!(
            ok.header("to").unwrap().ends_with(&self.phone_tag),
            "the same tag"
        );
        self.send("ACK", "", "").await;
        Media::parse(&ok.body).unwrap()
    }

    async fn notify(&mut self, status: &str, state: &str) {
        let more = format!("Event: refer\r\nSubscription-State: {state}\r\n");
        self.request("NOTIFY", &more, &format!("SIP/2.0 {status}\r\n"))
            .await;
        self.answer(200, "NOTIFY").await;
    }

    /// An INVITE inside the call, of this direction, taken.
    async fn changed(&self, expected: Direction, own: &str) {
        let invite = self.changes(expected).await;
        self.take_change(&invite, own).await;
    }

    async fn changes(&self, expected: Direction) -> Message {
        let invite = self.asked("INVITE").await;
        assert_eq!(Media::parse(&invite.body).unwrap().direction, expected);
        invite
    }

    async fn take_change(&self, invite: &Message, own: &str) {
        self.reply(invite, "200 OK", &self.sdp(own)).await;
        let ack = self.asked("ACK").await;
        assert_eq!(ack.cseq().unwrap().0, invite.cseq().unwrap().0);
    }

    async fn bye(&self) {
        let bye = self.asked("BYE").await;
        assert_eq!(bye.header("call-id"), Some(self.call_id.as_str()));
        self.reply(&bye, "200 OK", "").await;
    }
}

/// Runs a telephone and, beside it, what Asterisk does; the reports.
async fn check(
    scripts: &[&str],
    change: impl FnOnce(&mut Plan),
    far: impl AsyncFnOnce(&mut Far),
) -> (Vec<CallReport>, Result<(), ServeError>) {
    check_with(None, scripts, change, far).await
}

/// As [`check`], with a daemon's announcements.
async fn check_with(
    feed: Option<&Feed>,
    scripts: &[&str],
    change: impl FnOnce(&mut Plan),
    far: impl AsyncFnOnce(&mut Far),
) -> (Vec<CallReport>, Result<(), ServeError>) {
    let sip = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut plan = Plan {
        number: "201".into(),
        listen: "127.0.0.3:0".parse().unwrap(),
        to: sip.local_addr().unwrap(),
        scripts: scripts.iter().map(|s| parse_phone(s).unwrap()).collect(),
        handset: Handset {
            dtmf: Dtmf::Rfc4733,
            info_at: InfoAt::Release,
            on_ms: 40,
            off_ms: 40,
            voice: None,
            hear: Vec::new(),
        },
        answer_after: Duration::from_millis(20),
        timeout: Duration::from_secs(5),
        limit: Duration::from_secs(20),
        keep_audio: false,
    };
    change(&mut plan);
    let (sender, listening) = oneshot::channel();
    let sender = std::cell::Cell::new(Some(sender));
    let listens = |at| sender.take().unwrap().send(at).unwrap();
    let mut reports = Vec::new();
    let phone = serve(
        &plan,
        feed,
        listens,
        |report| reports.push(report),
        |_, _, _| {},
    );
    let far = async {
        let mut far_end = Far::new(sip, listening.await.unwrap()).await;
        far(&mut far_end).await;
        let early = far_end.early.into_inner();
        assert!(early.is_empty(), "also came: {early:?}");
    };
    let (served, ()) = tokio::join!(phone, far);
    (reports, served)
}

#[tokio::test]
async fn each_call_by_its_own_script() {
    let scripts = [
        "answer:150 12 hangup",
        "busy",
        "declines",
        "rings",
        "hears:1000 until-end",
    ];
    let keep = |plan: &mut Plan| plan.keep_audio = true;
    let (reports, served) = check(&scripts, keep, async |far| {
        // The INVITE comes twice; another caller meanwhile.
        far.call().await;
        let first = (far.call_id.clone(), far.phone_tag.clone());
        far.phone_tag.clear();
        let sdp = far.sdp("sendrecv");
        far.send("INVITE", "", &sdp).await;
        let again = far.answer(180, "INVITE").await;
        assert!(again.header("to").unwrap().ends_with(&first.1));
        far.call_id = "another".into();
        far.send("INVITE", "", &sdp).await;
        far.answer(486, "INVITE").await;
        far.send("ACK", "", "").await;
        (far.call_id, far.phone_tag) = first;
        let ok = far.answer(200, "INVITE").await;
        // The ACK is lost once.
        let repeated = far.answer(200, "INVITE").await;
        assert_eq!(ok.body, repeated.body);
        far.send("ACK", "", "").await;
        far.bye().await;
        let mut keys = std::collections::BTreeSet::new();
        let mut bytes = [0; 512];
        while let Ok((n, _)) = far.media.try_recv_from(&mut bytes) {
            let packet = Packet::parse(&bytes[..n]).unwrap();
            if packet.payload_type == TELEPHONE_EVENT {
                keys.insert((packet.timestamp, packet.payload[0]));
            }
        }
        let keys: Vec<u8> = keys.into_iter().map(|(_, key)| key).collect();
        assert_eq!(keys, [1, 2]);

        for status in [486, 603] {
            far.call_id = status.to_string();
            far.phone_tag.clear();
            far.request("INVITE", "", &sdp).await;
            far.rings().await;
            far.answer(status, "INVITE").await;
            far.send("ACK", "", "").await;
        }

        far.call().await;
        far.send("CANCEL", "", "").await;
        far.answer(200, "CANCEL").await;
        far.answer(487, "INVITE").await;
        far.send("ACK", "", "").await;

        let phone = far.talk().await;
        for n in 0..25_u64 {
            let mut packet = vec![0x80, 0];
            packet.extend_from_slice(&[0; 10]);
            packet.extend((n * 160..n * 160 + 160).map(|at| voice(1000, at)));
            far.media.send_to(&packet, phone.address).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for _ in 0..3 {
            let event = [0x80, 101, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 5, 0x8a, 1, 0];
            far.media.send_to(&event, phone.address).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        far.request("BYE", "", "").await;
        far.answer(200, "BYE").await;
    })
    .await;
    served.unwrap();
    let ends: Vec<(&str, Side, bool)> = reports
        .iter()
        .map(|r| (r.result.as_str(), r.ended_by, r.answered_ms.is_some()))
        .collect();
    assert_eq!(
        ends,
        [
            ("hung-up", Side::Own, true),
            ("busy", Side::Own, false),
            ("declined", Side::Own, false),
            ("cancelled", Side::Far, false),
            ("far-hung-up", Side::Far, true),
        ]
    );
    for report in &reports {
        assert_eq!(
            (report.with.as_str(), report.incoming),
            ("0312345678", true)
        );
        assert_eq!(report.errors, [""; 0]);
    }
    assert!((150..1000).contains(&reports[0].answered_ms.unwrap()));
    let last = &reports[4];
    assert_eq!((reports[0].heard.keys_sent, last.heard.keys_sent), (2, 0));
    assert!(
        reports[0]
            .heard
            .last_key_ms
            .is_some_and(|ms| (1..=reports[0].ended_ms).contains(&ms))
    );
    assert_eq!(last.heard.last_key_ms, None);
    assert_eq!(last.heard.telephone_events_at_ms.len(), 1);
    let [(begin, end)] = last.heard.voices[&1000][..] else {
        panic!("{:?}", last.heard.voices)
    };
    assert!((400..900).contains(&(end - begin)), "{begin} to {end}");
    assert!(last.audio.as_ref().unwrap().len() >= 25 * 160);
    let json = serde_json::to_value(last).unwrap();
    assert_eq!(json["voices"]["1000"][0][0], begin);
    assert_eq!(json["ended_by"], "far");
}

#[tokio::test]
async fn keys_in_every_way() {
    for (dtmf, infos, events) in [(Dtmf::Info, 2, true), (Dtmf::Inband, 0, false)] {
        let change = |plan: &mut Plan| plan.handset.dtmf = dtmf;
        let (reports, served) = check(&["12 hangup"], change, async |far| {
            let media = far.talk().await;
            assert_eq!(media.events.is_some(), events, "{dtmf:?}");
            for _ in 0..infos {
                let info = far.asked("INFO").await;
                assert!(info.body.starts_with("Signal="));
                far.reply(&info, "200 OK", "").await;
            }
            far.bye().await;
        })
        .await;
        served.unwrap();
        assert_eq!(reports[0].heard.keys_sent, 2);
    }
}

#[tokio::test]
async fn holds_and_resumes_also_when_invites_cross() {
    let scripts = ["hold sleep:50 resume hangup"];
    let (reports, served) = check(
        &scripts,
        |_| {},
        async |far| {
            far.talk().await;
            let invite = far.asked("INVITE").await;
            // Ours crosses: neither is taken (RFC 3261, 14).
            let sdp = far.sdp("sendrecv");
            far.request("INVITE", "", &sdp).await;
            far.answer(491, "INVITE").await;
            far.send("ACK", "", "").await;
            far.reply(&invite, "491 Request Pending", "").await;
            far.asked("ACK").await;
            far.changed(Direction::Sends, "recvonly").await;
            // Nothing is heard of a telephone that holds.
            let mut bytes = [0; 512];
            while far.media.try_recv_from(&mut bytes).is_ok() {}
            far.changed(Direction::Both, "sendrecv").await;
            assert!(far.media.try_recv_from(&mut bytes).is_err());
            far.bye().await;
        },
    )
    .await;
    served.unwrap();
    assert_eq!(
        (reports[0].result.as_str(), reports[0].errors.len()),
        ("hung-up", 0)
    );
}

#[tokio::test]
async fn a_blind_transfer_that_fails_and_one_that_does_not() {
    let (reports, served) = check(
        &["refer:8803 refer:8804"],
        |_| {},
        async |far| {
            far.talk().await;
            for (extension, told) in [("8803", "503 Service Unavailable"), ("8804", "200 OK")] {
                let refer = far.asked("REFER").await;
                let to = format!("<sip:{extension}@{}>", far.sip.local_addr().unwrap());
                assert_eq!(refer.header("refer-to"), Some(to.as_str()));
                far.reply(&refer, "202 Accepted", "").await;
                far.notify("100 Trying", "active;expires=60").await;
                far.request(
                    "NOTIFY",
                    "Event: refer\r\nSubscription-State: terminated\r\n",
                    &format!("SIP/2.0 {told}"),
                )
                .await;
                far.answer(200, "NOTIFY").await;
            }
            far.bye().await;
        },
    )
    .await;
    served.unwrap();
    assert_eq!(reports[0].result, "transferred");
    let transfer = Transfer {
        status: Some(202),
        notified: vec![100, 200],
    };
    assert_eq!(reports[0].transfer, Some(transfer));
}

#[tokio::test]
async fn a_refused_transfer_goes_on_with_the_script() {
    let (reports, served) = check(
        &["refer:1 1 hangup"],
        |_| {},
        async |far| {
            far.talk().await;
            let refer = far.asked("REFER").await;
            far.reply(&refer, "603 Decline", "").await;
            far.bye().await;
        },
    )
    .await;
    served.unwrap();
    assert_eq!(reports[0].result, "hung-up");
    assert_eq!(reports[0].errors, ["REFER 603"]);
    assert_eq!(reports[0].transfer.as_ref().unwrap().status, Some(603));
    assert_eq!(reports[0].heard.keys_sent, 1);
}

#[tokio::test]
async fn an_attended_transfer() {
    let scripts = ["attended:8803 { 1 }"];
    let (mut reports, served) = check(
        &scripts,
        |_| {},
        async |far| {
            far.talk().await;
            far.changed(Direction::Sends, "recvonly").await;
            let second = far.asked("INVITE").await;
            assert_ne!(second.header("call-id"), Some(far.call_id.as_str()));
            let ok = far.reply(&second, "200 OK", &far.sdp("sendrecv")).await;
            far.asked("ACK").await;
            let refer = far.asked("REFER").await;
            assert_eq!(refer.header("call-id"), Some(far.call_id.as_str()));
            let tag = |value: &str| value.rsplit_once(";tag=").unwrap().1.to_owned();
            let expected = format!(
                "<sip:8803@{}?Replaces={}%3Bto-tag%3D{}%3Bfrom-tag%3D{}>",
                far.sip.local_addr().unwrap(),
                second.header("call-id").unwrap(),
                tag(ok.header("to").unwrap()),
                tag(second.header("from").unwrap()),
            );
            assert_eq!(refer.header("refer-to"), Some(expected.as_str()));
            far.reply(&refer, "202 Accepted", "").await;
            // Asterisk hangs up first, and says then how it went.
            far.request("BYE", "", "").await;
            far.answer(200, "BYE").await;
            far.notify("200 OK", "terminated").await;
            let bye = far.asked("BYE").await;
            assert_eq!(bye.header("call-id"), second.header("call-id"));
            far.reply(&bye, "200 OK", "").await;
        },
    )
    .await;
    served.unwrap();
    let report = reports.remove(0);
    assert_eq!(
        (report.result.as_str(), report.ended_by),
        ("transferred", Side::Far)
    );
    assert_eq!(report.transfer.unwrap().notified, [200]);
    let second = report.consultation.unwrap();
    assert_eq!((second.with.as_str(), second.heard.keys_sent), ("8803", 1));
}

#[tokio::test]
async fn a_consultation_that_comes_back() {
    for (script, refused) in [
        ("attended:8803 { 1 hangup } 2 hangup", None),
        ("attended:8803 2 hangup", Some("486 Busy Here")),
    ] {
        let (mut reports, served) = check(
            &[script],
            |_| {},
            async |far| {
                far.talk().await;
                far.changed(Direction::Sends, "recvonly").await;
                let second = far.asked("INVITE").await;
                let status = refused.unwrap_or("200 OK");
                let sdp = if refused.is_none() {
                    far.sdp("sendrecv")
                } else {
                    String::new()
                };
                far.reply(&second, status, &sdp).await;
                far.asked("ACK").await;
                let resumes = far.changes(Direction::Both).await;
                if refused.is_none() {
                    let bye = far.asked("BYE").await;
                    assert_eq!(bye.header("call-id"), second.header("call-id"));
                    far.reply(&bye, "200 OK", "").await;
                }
                far.take_change(&resumes, "sendrecv").await;
                far.bye().await;
            },
        )
        .await;
        served.unwrap();
        let report = reports.remove(0);
        assert_eq!(
            (report.result.as_str(), report.transfer),
            ("hung-up", None),
            "{script}"
        );
        assert_eq!(report.heard.keys_sent, 1);
        let second = report.consultation.unwrap();
        let expected = if refused.is_some() {
            "rejected 486"
        } else {
            "hung-up"
        };
        assert_eq!(second.result, expected);
    }
}

#[tokio::test]
async fn calls_from_here() {
    let (reports, served) = check(
        &["call:6203 1 hangup", "call:1"],
        |_| {},
        async |far| {
            let invite = far.asked("INVITE").await;
            assert_eq!(invite.who_calls(), "201");
            far.call_id = invite.header("call-id").unwrap().to_owned();
            far.reply(&invite, "200 OK", &far.sdp("sendrecv")).await;
            far.asked("ACK").await;
            far.bye().await;
            let invite = far.asked("INVITE").await;
            far.reply(&invite, "404 Not Found", "").await;
            far.asked("ACK").await;
        },
    )
    .await;
    served.unwrap();
    assert_eq!(
        (reports[0].result.as_str(), reports[0].incoming),
        ("hung-up", false)
    );
    assert_eq!(
        (reports[0].with.as_str(), reports[1].result.as_str()),
        ("6203", "rejected 404")
    );
}

#[tokio::test]
async fn waits_for_steps_of_the_customers_call() {
    let (url, send) = daemon("200 OK").await;
    let feed = Feed::connect(&url, Some("open-sesame")).await.unwrap();
    let step = |id: &str, step: &str| {
        send.send(event(id, "step", &format!(r#","step":"{step}""#)))
            .unwrap();
    };
    let scripts = ["wait:confirmation hangup", "wait:call-ended/success hangup"];
    let (reports, served) = check_with(
        Some(&feed),
        &scripts,
        |_| {},
        async |far| {
            // Another customer's step is not this telephone's.
            far.invite_more = "X-Lab-Call-ID: customer-1\r\n";
            far.talk().await;
            step("customer-2", "confirmation");
            step("customer-1", "payment-amount");
            step("customer-1", "confirmation");
            far.bye().await;
            // Without the header any is.
            far.invite_more = "";
            far.talk().await;
            let result = r#","result":"success""#;
            send.send(event("customer-3", "call-ended", result))
                .unwrap();
            far.bye().await;
        },
    )
    .await;
    served.unwrap();
    let steps =
        |n: usize| -> Vec<&str> { reports[n].steps.iter().map(|s| s.step.as_str()).collect() };
    assert_eq!(steps(0), ["payment-amount", "confirmation"]);
    assert_eq!(steps(1), ["call-ended"]);
}

#[tokio::test]
async fn nothing_is_waited_for_without_end() {
    let short = |plan: &mut Plan| plan.limit = Duration::from_millis(300);
    let (reports, served) = check(&["1"], short, async |_| {}).await;
    assert!(matches!(served, Err(ServeError::NotCalled { call: 1 })));
    assert!(reports.is_empty());
    for (script, result) in [
        ("until-end", "timeout waiting for the end of all calls"),
        ("hears:1000/100", "timeout waiting for voice 1000"),
    ] {
        let short = |plan: &mut Plan| plan.limit = Duration::from_millis(700);
        let (reports, served) = check(&[script], short, async |far| {
            far.talk().await;
            far.bye().await;
        })
        .await;
        served.unwrap();
        assert_eq!(reports[0].result, result);
    }
}

#[test]
fn recordings_have_names_of_their_own() {
    let name = |n| numbered("/tmp/a.b/heard.wav".as_ref(), n);
    assert_eq!(name(1), std::path::Path::new("/tmp/a.b/heard.wav"));
    assert_eq!(name(2), std::path::Path::new("/tmp/a.b/heard-2.wav"));
}
