//! Whole calls against a tiny far end in this process: what it got is decoded as Asterisk would.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;

use super::place::{CallReport, Ending, PlaceError, Plan, place};
use super::{exit, last_line};
use crate::line::audio::{decode, frequencies, tone, voice};
use crate::line::events::Feed;
use crate::line::rtp::{PCMU, Packet, TELEPHONE_EVENT};
use crate::line::script::{self, Key, user};
use crate::line::sip::{self, Media, Message, Start};
use crate::line::{Dtmf, Exit, Handset, InfoAt, loopback, loopback_port};

/// What the far end does.
#[derive(Clone, Copy, Default)]
struct Far {
    refuses: Option<&'static str>,
    /// Says nothing to INVITE but 180.
    only_rings: bool,
    /// Says nothing at all.
    dead: bool,
    /// Hears this many INVITEs before it answers one.
    deaf_invites: usize,
    /// Repeats its 200 once.
    repeats_ok: bool,
    /// Re-INVITE after the answer, sound moves to another port.
    reinvites: bool,
    /// Speaks this many ms from the answer on.
    speaks_ms: u32,
    /// With this tone instead of a key's.
    voice: Option<u32>,
    /// Answers without sound in PCMU.
    no_pcmu: bool,
    /// Sends a telephone-event to the caller.
    leaks: bool,
    /// Hangs up after this many keys.
    hangs_up_after: Option<usize>,
}

#[derive(Debug, Default)]
struct Got {
    /// Signs of keys by RFC 4733, in their order, with the duration of the last packet in ms.
    events: Vec<(char, u16)>,
    infos: Vec<String>,
    /// Signs of keys by tones.
    tones: String,
    methods: Vec<String>,
    acks: usize,
    /// Audio packets; by how many their sequence numbers and times jumped too far.
    audio: usize,
    gaps: usize,
    ok_to_reinvite: bool,
}

struct Uas {
    at: SocketAddr,
    task: tokio::task::JoinHandle<Got>,
}

impl Uas {
    /// Ends by itself 300 ms after BYE, CANCEL or the ACK of a refusal.
    async fn start(far: Far) -> Self {
        let sip = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = sip.local_addr().unwrap();
        let media = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self {
            at,
            task: tokio::spawn(serve(far, sip, media)),
        }
    }

    async fn got(self) -> Got {
        tokio::time::timeout(Duration::from_secs(10), self.task)
            .await
            .expect("the far end ends")
            .unwrap()
    }
}

async fn serve(far: Far, sip: UdpSocket, media: UdpSocket) -> Got {
    let moved = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut got = Got::default();
    let mut seen: BTreeMap<u32, (u8, u16, bool)> = BTreeMap::new();
    let mut audio = Vec::new();
    let mut last: Option<(u16, u32)> = None;
    let (mut buffer, mut rtp, mut rtp_moved) = (vec![0; 4096], vec![0; 4096], vec![0; 4096]);
    let mut invites = 0;
    let mut caller: Option<(Message, SocketAddr, SocketAddr)> = None;
    let mut ends: Option<tokio::time::Instant> = None;
    let sdp = |socket: &UdpSocket| {
        format!(
            "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio {} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n",
            socket.local_addr().unwrap().port()
        )
    };
    let contact = format!("Contact: <sip:far@{}>\r\n", sip.local_addr().unwrap());
    let mut speak = tokio::time::interval(Duration::from_millis(20));
    let mut spoken = 0;
    loop {
        let until = ends.unwrap_or_else(|| tokio::time::Instant::now() + Duration::from_secs(60));
        let (packet, n): (&[u8], usize) = tokio::select! {
            Ok((n, from)) = sip.recv_from(&mut buffer) => {
                let message = Message::parse(&buffer[..n]).expect("the caller sends SIP");
                let send = |text: Vec<u8>| { let sip = &sip; async move { sip.send_to(&text, from).await.unwrap() } };
                match &message.start {
                    Start::Request { method } => {
                        got.methods.push(method.clone());
                        match method.as_str() {
                            "INVITE" => {
                                invites += 1;
                                if far.dead || invites <= far.deaf_invites { continue; }
                                send(sip::respond(&message, "100 Trying", "", "")).await;
                                if let Some(status) = far.refuses {
                                    send(sip::respond(&message, status, "", "")).await;
                                    continue;
                                }
                                send(sip::respond(&message, "180 Ringing", "", "")).await;
                                if !far.only_rings {
                                    let sound = sdp(&media).replace("AVP 0", if far.no_pcmu { "AVP 8" } else { "AVP 0" });
                                    let ok = sip::respond(&message, "200 OK", &contact, &sound);
                                    send(ok.clone()).await;
                                    if far.repeats_ok { send(ok).await; }
                                }
                                let sound = Media::parse(&message.body).unwrap();
                                assert_eq!(sound.events, Some(TELEPHONE_EVENT));
                                caller = Some((message, from, sound.address));
                            }
                            "ACK" => {
                                got.acks += 1;
                                if far.refuses.is_some() { ends = Some(soon()); }
                                if far.reinvites && got.acks == 1 {
                                    let text = in_dialog(&caller.as_ref().unwrap().0, "INVITE", &sdp(&moved), &contact);
                                    send(text).await;
                                }
                            }
                            "INFO" => {
                                got.infos.push(message.body.clone());
                                send(sip::respond(&message, "200 OK", "", "")).await;
                            }
                            "CANCEL" => {
                                send(sip::respond(&message, "200 OK", "", "")).await;
                                let (invite, from, _) = caller.as_ref().unwrap();
                                sip.send_to(&sip::respond(invite, "487 Request Terminated", "", ""), from).await.unwrap();
                                ends = Some(soon());
                            }
                            "BYE" => {
                                send(sip::respond(&message, "200 OK", "", "")).await;
                                ends = Some(soon());
                            }
                            other => panic!("{other}"),
                        }
                    }
                    Start::Response { status } => {
                        if message.cseq().unwrap().1 == "INVITE" {
                            got.ok_to_reinvite = *status == 200 && Media::parse(&message.body).is_some();
                            send(in_dialog(&caller.as_ref().unwrap().0, "ACK", "", &contact)).await;
                        }
                    }
                }
                continue;
            }
            Ok((n, _)) = media.recv_from(&mut rtp) => (&rtp, n),
            Ok((n, _)) = moved.recv_from(&mut rtp_moved) => (&rtp_moved, n),
            _ = speak.tick() => {
                if let Some((_, _, to)) = &caller && !far.only_rings && far.refuses.is_none() {
                    if spoken < far.speaks_ms {
                        let from = u64::from(spoken) * 8;
                        let mut text = vec![0x80, 0];
                        text.extend_from_slice(&[0; 10]);
                        text.extend((from..from + 160).map(|at| match far.voice {
                            Some(hz) => voice(hz, at),
                            None => tone(Key::parse('1').unwrap(), at),
                        }));
                        media.send_to(&text, to).await.unwrap();
                        // Not from the far end's address: must not count.
                        moved.send_to(&text, to).await.unwrap();
                        spoken += 20;
                    }
                    if far.leaks && spoken % 100 == 0 {
                        media.send_to(&[0x80, 101, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 5, 0x8a, 1, 0], to).await.unwrap();
                    }
                }
                continue;
            }
            () = tokio::time::sleep_until(until) => break,
        };
        let packet = Packet::parse(&packet[..n]).expect("the caller sends RTP");
        if let Some((sequence, timestamp)) = last
            && (packet.sequence != sequence.wrapping_add(1)
                || packet.timestamp.wrapping_sub(timestamp) > 480 * 8)
        {
            got.gaps += 1;
        }
        last = Some((packet.sequence, packet.timestamp));
        if packet.payload_type == PCMU {
            got.audio += 1;
            audio.extend(packet.payload.iter().map(|code| decode(*code)));
        } else {
            assert_eq!(packet.payload_type, TELEPHONE_EVENT);
            let event = seen
                .entry(packet.timestamp)
                .or_insert((packet.payload[0], 0, false));
            assert_eq!(event.0, packet.payload[0]);
            event.1 = u16::from_be_bytes([packet.payload[2], packet.payload[3]]);
            let over = packet.payload[1] & 0x80 != 0;
            if over && !event.2 {
                event.2 = true;
                got.events.push((sign(event.0), event.1 / 8));
                if far.hangs_up_after == Some(got.events.len()) {
                    let (invite, from, _) = caller.as_ref().unwrap();
                    sip.send_to(&in_dialog(invite, "BYE", "", &contact), from)
                        .await
                        .unwrap();
                    ends = Some(soon());
                }
            }
        }
    }
    got.tones = tones(&audio);
    got
}

fn soon() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_millis(300)
}

fn sign(event: u8) -> char {
    "0123456789*#ABCD"
        .chars()
        .find(|c| Key::parse(*c).unwrap().event() == event)
        .unwrap()
}

/// A request of the far end in the dialog that this INVITE made.
fn in_dialog(invite: &Message, method: &str, sdp: &str, contact: &str) -> Vec<u8> {
    let kind = if sdp.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "{method} sip:caller SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{method}\r\nFrom: {}\r\nTo: {}\r\n\
         Call-ID: {}\r\nCSeq: 7 {method}\r\n{contact}{kind}Content-Length: {}\r\n\r\n{sdp}",
        invite.header("to").unwrap(),
        invite.header("from").unwrap(),
        invite.header("call-id").unwrap(),
        sdp.len()
    )
    .into_bytes()
}

/// Keys in a piece of sound: Goertzel over 10 ms, a key counts when it is heard twice in a row.
fn tones(audio: &[i16]) -> String {
    let power = |piece: &[i16], hz: f64| {
        let k = 2.0 * (std::f64::consts::TAU * hz / 8000.0).cos();
        let (mut a, mut b) = (0.0, 0.0);
        for s in piece {
            (a, b) = (f64::from(*s) + k * a - b, a);
        }
        a * a + b * b - k * a * b
    };
    let mut keys = String::new();
    let mut before = [None, None];
    for piece in audio.chunks_exact(80) {
        let energy: f64 = piece.iter().map(|s| f64::from(*s).powi(2)).sum();
        let heard = (energy > 80.0 * 3000.0_f64.powi(2)).then(|| {
            let strength = |c: &char| {
                let (row, column) = frequencies(Key::parse(*c).unwrap());
                power(piece, row).min(power(piece, column))
            };
            "0123456789*#ABCD"
                .chars()
                .max_by(|a, b| strength(a).total_cmp(&strength(b)))
                .unwrap()
        });
        if let Some(key) = heard
            && before[1] == heard
            && before[0] != heard
        {
            keys.push(key);
        }
        before = [before[1], heard];
    }
    keys
}

fn plan(to: SocketAddr, keys: &str) -> Plan {
    Plan {
        extension: "8800".into(),
        from: "0312345678".into(),
        script: script::parse(keys).unwrap(),
        handset: Handset {
            dtmf: Dtmf::Rfc4733,
            info_at: InfoAt::Release,
            on_ms: 40,
            off_ms: 40,
            voice: None,
            hear: Vec::new(),
        },
        bind: "127.0.0.2".parse().unwrap(),
        to,
        timeout: Duration::from_secs(3),
        linger: Duration::from_millis(100),
        keep_audio: false,
    }
}

async fn call(far: Far, keys: &str, change: impl FnOnce(&mut Plan)) -> (CallReport, Got) {
    let uas = Uas::start(far).await;
    let mut plan = plan(uas.at, keys);
    change(&mut plan);
    let report = place(&plan, None, |_, _| {}).await.unwrap();
    (report, uas.got().await)
}

#[tokio::test]
async fn keys_arrive_once_each_with_their_duration() {
    let (report, got) = call(Far::default(), "sleep:60 0123456789*#ABCD,5 hangup", |_| {}).await;
    let signs: String = got.events.iter().map(|(sign, _)| *sign).collect();
    assert_eq!(signs, "0123456789*#ABCD5");
    assert!(
        got.events.iter().all(|(_, ms)| *ms == 40),
        "{:?}",
        got.events
    );
    assert_eq!(
        (report.ending, report.heard.keys_sent, report.answered),
        (Ending::HungUp, 17, true)
    );
    assert_eq!((got.gaps, got.infos.len(), got.tones.as_str()), (0, 0, ""));
    assert_eq!(got.methods, ["INVITE", "ACK", "BYE"]);
    assert!(
        got.audio >= 25,
        "the pauses are filled with silence: {}",
        got.audio
    );
}

#[tokio::test]
async fn every_speed_and_way_brings_the_same_keys() {
    let keys = "1593#*7700";
    let mut calls = tokio::task::JoinSet::new();
    for (on, off) in [
        (40, 40),
        (40, 60),
        (80, 20),
        (100, 20),
        (100, 80),
        (50, 30),
        (45, 35),
        (200, 200),
    ] {
        for dtmf in [
            Dtmf::Rfc4733,
            Dtmf::Info,
            Dtmf::Inband,
            Dtmf::Both,
            Dtmf::InfoInband,
        ] {
            calls.spawn(async move {
                let (report, got) =
                    call(Far::default(), &format!("{keys} sleep:60 hangup"), |plan| {
                        let handset = &mut plan.handset;
                        (handset.on_ms, handset.off_ms, handset.dtmf) = (on, off, dtmf);
                    })
                    .await;
                let what = format!("{on}/{off} {dtmf:?}");
                let events: String = got.events.iter().map(|(sign, _)| *sign).collect();
                let infos: String = got
                    .infos
                    .iter()
                    .map(|body| {
                        assert!(
                            body.ends_with(&format!("\r\nDuration={on}\r\n")),
                            "{what}: {body}"
                        );
                        body.strip_prefix("Signal=")
                            .unwrap()
                            .chars()
                            .next()
                            .unwrap()
                    })
                    .collect();
                let expect = |ways: &[Dtmf]| if ways.contains(&dtmf) { keys } else { "" };
                assert_eq!(events, expect(&[Dtmf::Rfc4733, Dtmf::Both]), "{what}");
                assert_eq!(
                    infos,
                    expect(&[Dtmf::Info, Dtmf::Both, Dtmf::InfoInband]),
                    "{what}"
                );
                assert_eq!(
                    got.tones,
                    expect(&[Dtmf::Inband, Dtmf::InfoInband]),
                    "{what}"
                );
                assert!(
                    got.events.iter().all(|(_, ms)| u32::from(*ms) == on),
                    "{what}"
                );
                assert_eq!(report.heard.keys_sent, keys.len(), "{what}");
                let least = Duration::from_millis(u64::from(on + off) * keys.len() as u64);
                assert!(report.lasted >= least, "{what}: {:?}", report.lasted);
            });
        }
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn many_calls_in_one_process() {
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..92 {
        calls.spawn(call(Far::default(), "123456# hangup", |_| {}));
    }
    while let Some(done) = calls.join_next().await {
        let (report, got) = done.unwrap();
        let signs: String = got.events.iter().map(|(sign, _)| *sign).collect();
        assert_eq!((signs.as_str(), report.ending), ("123456#", Ending::HungUp));
    }
}

#[track_caller]
fn check_end(report: &CallReport, ending: &str, code: Exit) {
    assert_eq!(report.ending.to_string(), ending);
    assert_eq!(exit(&report.ending, None), code);
    assert_eq!(exit(&report.ending, Some(ending)), Exit::Done);
}

#[tokio::test]
async fn the_far_end_hangs_up() {
    let far = Far {
        hangs_up_after: Some(2),
        ..Far::default()
    };
    let (report, got) = call(far, "12,3456", |_| {}).await;
    check_end(&report, "ended-without-result", Exit::WithoutResult);
    assert_eq!((got.events.len(), report.heard.keys_sent), (2, 2));
    assert!(!got.methods.contains(&"BYE".to_owned()));
}

#[tokio::test]
async fn a_refusal_is_acknowledged_and_named() {
    let far = Far {
        refuses: Some("486 Busy Here"),
        ..Far::default()
    };
    let (report, got) = call(far, "1", |_| {}).await;
    check_end(&report, "rejected 486", Exit::Rejected);
    assert_eq!(
        (got.methods, report.heard.keys_sent),
        (vec!["INVITE".to_owned(), "ACK".to_owned()], 0)
    );
}

#[tokio::test]
async fn an_answer_without_our_codec() {
    let far = Far {
        no_pcmu: true,
        ..Far::default()
    };
    let (report, got) = call(far, "1", |_| {}).await;
    check_end(&report, "rejected 488", Exit::Rejected);
    assert_eq!(got.methods, ["INVITE", "ACK", "BYE"]);
}

#[tokio::test]
async fn nobody_answers() {
    let far = Far {
        only_rings: true,
        ..Far::default()
    };
    let (report, got) = call(far, "1", |plan| plan.timeout = Duration::from_millis(700)).await;
    check_end(&report, "timeout waiting for an answer", Exit::TimedOut);
    assert_eq!(got.methods, ["INVITE", "CANCEL", "ACK"]);

    let uas = Uas::start(Far {
        dead: true,
        ..Far::default()
    })
    .await;
    let mut plan = plan(uas.at, "1");
    plan.timeout = Duration::from_millis(600);
    let report = place(&plan, None, |_, _| {}).await.unwrap();
    check_end(&report, "timeout waiting for an answer", Exit::TimedOut);
    uas.task.abort();
}

#[tokio::test]
async fn lost_and_repeated_messages() {
    let far = Far {
        deaf_invites: 1,
        repeats_ok: true,
        reinvites: true,
        ..Far::default()
    };
    let (report, got) = call(far, "sleep:100 12 hangup", |_| {}).await;
    assert_eq!(report.ending, Ending::HungUp);
    assert_eq!(got.methods, ["INVITE", "INVITE", "ACK", "ACK", "BYE"]);
    assert!(got.ok_to_reinvite);
    assert_eq!(
        (got.events.len(), got.gaps),
        (2, 0),
        "the sound goes on at the new port"
    );
}

#[tokio::test]
async fn hears_speech_and_leaks() {
    let far = Far {
        speaks_ms: 500,
        leaks: true,
        ..Far::default()
    };
    let (report, _) = call(far, "heard hangup", |plan| plan.keep_audio = true).await;
    assert_eq!(report.ending, Ending::HungUp);
    assert_eq!(report.heard.heard_ms, 500);
    assert_eq!(report.heard.telephone_events_received, 1);
    assert_eq!(report.heard.telephone_events_at_ms.len(), 1);
    assert!(
        report.lasted >= Duration::from_millis(1000),
        "500 ms of speech and 600 of quiet: {:?}",
        report.lasted
    );
    assert!(report.audio.unwrap().len() >= 4000);

    let (report, _) = call(Far::default(), "heard", |plan| {
        plan.timeout = Duration::from_millis(300)
    })
    .await;
    check_end(
        &report,
        "timeout waiting for a prompt and silence",
        Exit::TimedOut,
    );
}

#[tokio::test]
async fn waits_for_a_voice_and_for_its_end() {
    let far = Far {
        speaks_ms: 600,
        voice: Some(1000),
        ..Far::default()
    };
    let keys = "hears:1000 not-hears:440 1 not-hears:1000 2 hangup";
    let (report, got) = call(far, keys, |plan| plan.handset.voice = Some(440)).await;
    assert_eq!((report.ending, got.events.len()), (Ending::HungUp, 2));
    let voices = &report.heard.voices;
    assert_eq!(voices[&440], [], "our own voice is not heard by us");
    let [(begin, end)] = voices[&1000][..] else {
        panic!("{voices:?}")
    };
    assert!((580..=700).contains(&(end - begin)), "{begin} to {end}");

    for (keys, vain) in [
        ("hears:440/300", "voice 440"),
        ("not-hears:1000/300", "silence of voice 1000"),
    ] {
        let (report, _) = call(far, keys, |_| {}).await;
        check_end(
            &report,
            &format!("timeout waiting for {vain}"),
            Exit::TimedOut,
        );
    }
}

#[tokio::test]
async fn the_end_is_not_waited_for_without_end() {
    let (report, got) = call(Far::default(), "1", |plan| {
        plan.timeout = Duration::from_millis(300)
    })
    .await;
    check_end(
        &report,
        "timeout waiting for the end of the call",
        Exit::TimedOut,
    );
    assert_eq!(got.methods.last().unwrap(), "BYE");
}

/// A daemon's `GET /v1/events`: what is sent to the channel goes out as one event; `None` cuts the connection.
pub(crate) async fn daemon(
    status: &'static str,
) -> (String, mpsc::UnboundedSender<Option<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/events", listener.local_addr().unwrap());
    let (sender, mut events) = mpsc::unbounded_channel::<Option<String>>();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let n = socket.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..n]).to_lowercase();
            assert!(request.starts_with("get /v1/events http/1.1\r\n"));
            assert!(
                request.contains("\r\nauthorization: bearer open-sesame\r\n"),
                "{request}"
            );
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: hello\n\n"
            );
            socket.write_all(head.as_bytes()).await.unwrap();
            while let Some(event) = events.recv().await {
                let Some(event) = event else { break };
                socket
                    .write_all(format!("data: {event}\n\n").as_bytes())
                    .await
                    .unwrap();
            }
        }
    });
    (url, sender)
}

pub(crate) fn event(id: &str, kind: &str, more: &str) -> Option<String> {
    Some(format!(
        r#"{{"seq":1,"call_id":"c1","sip_call_id":"{id}","event":"{kind}"{more}}}"#
    ))
}

#[tokio::test]
async fn waits_for_steps_and_ends_with_the_result() {
    let uas = Uas::start(Far::default()).await;
    let (url, send) = daemon("200 OK").await;
    let feed = Feed::connect(&url, Some("open-sesame")).await.unwrap();
    let plan = plan(
        uas.at,
        "wait:payment-amount 1 wait:payment-card-number/invalid 2 wait:confirmation 3",
    );
    // The daemon's side follows what the caller does.
    let (seen, mut seen_by_daemon) = mpsc::unbounded_channel();
    let call = place(&plan, Some(&feed), move |_, s| {
        seen.send(format!("{s:?}")).unwrap();
    });
    let lead = async {
        // Whose call it is, the daemon knows from Asterisk; here from the far end, which sees the INVITE: any id goes
        // to all, so it is asked of the feed.
        let mut transcript = Vec::new();
        while let Some(line) = seen_by_daemon.recv().await {
            let id = feed.only_call();
            if line.starts_with("Answered") {
                send.send(event("somebody-else", "step", r#","step":"confirmation""#))
                    .unwrap();
                send.send(event(&id, "call-started", "")).unwrap();
                // Keyed errors come before the plain question: the plain one must not satisfy `/invalid`.
                send.send(event(
                    &id,
                    "step",
                    r#","step":"payment-amount","attempt":1"#,
                ))
                .unwrap();
                send.send(event(
                    &id,
                    "step",
                    r#","step":"payment-card-number","attempt":1"#,
                ))
                .unwrap();
            } else if line.starts_with("Keys") {
                match transcript
                    .iter()
                    .filter(|l: &&String| l.starts_with("Keys"))
                    .count()
                {
                    0 => {
                        send.send(None).unwrap();
                    }
                    1 => send
                        .send(event(&id, "step", r#","step":"confirmation","attempt":1"#))
                        .unwrap(),
                    _ => send
                        .send(event(
                            &id,
                            "call-ended",
                            r#","result":"success","payment_id":"p1""#,
                        ))
                        .unwrap(),
                }
            } else if line.starts_with("EventsBack") {
                send.send(event(
                    &id,
                    "digits",
                    r#","step":"payment-card-number","digits":3"#,
                ))
                .unwrap();
                send.send(event(
                    &id,
                    "step",
                    r#","step":"payment-card-number","attempt":2,"error":"invalid""#,
                ))
                .unwrap();
            }
            transcript.push(line);
        }
        transcript
    };
    let (report, transcript) = tokio::join!(call, lead);
    let report = report.unwrap();
    check_end(&report, "success", Exit::Done);
    assert_eq!(exit(&report.ending, Some("failed")), Exit::Unexpected);
    let steps: Vec<(&str, Option<&str>)> = report
        .steps
        .iter()
        .map(|s| (s.step.as_str(), s.error.as_deref()))
        .collect();
    assert_eq!(
        steps,
        [
            ("payment-amount", None),
            ("payment-card-number", None),
            ("payment-card-number", Some("invalid")),
            ("confirmation", None)
        ],
        "{transcript:?}"
    );
    assert_eq!(
        (report.payment_id.as_deref(), report.heard.keys_sent),
        (Some("p1"), 3)
    );
    let signs: String = uas
        .got()
        .await
        .events
        .iter()
        .map(|(sign, _)| *sign)
        .collect();
    assert_eq!(signs, "123");
    let json: serde_json::Value = serde_json::from_str(&last_line(&report, true)).unwrap();
    assert_eq!(json["result"], "success");
    assert_eq!(json["steps"][2]["error"], "invalid");
    assert_eq!(last_line(&report, false), "call: success");
}

#[tokio::test]
async fn keys_that_were_doubted_are_keyed_again_and_twice_at_most() {
    let uas = Uas::start(Far::default()).await;
    let (url, send) = daemon("200 OK").await;
    let feed = Feed::connect(&url, Some("open-sesame")).await.unwrap();
    let mut plan = plan(
        uas.at,
        "wait:payment-amount 1 wait:payment-card-number 23 wait:confirmation 4",
    );
    plan.timeout = Duration::from_millis(2500);
    let (seen, mut seen_by_daemon) = mpsc::unbounded_channel();
    let call = place(&plan, Some(&feed), move |_, s| {
        seen.send(format!("{s:?}")).unwrap();
    });
    let lead = async {
        let mut keys = 0;
        while let Some(line) = seen_by_daemon.recv().await {
            keys += usize::from(line.starts_with("Keys"));
            let step = match (line.as_str(), keys) {
                ("Answered", _) => "payment-amount",
                (line, 1) if line.starts_with("Keys") => "payment-card-number",
                (line, _) if line.starts_with("Keys") => {
                    r#"payment-card-number","error":"duplicate-tone-suspected"#
                }
                _ => continue,
            };
            let step = format!(r#","step":"{step}""#);
            send.send(event(&feed.only_call(), "step", &step)).unwrap();
        }
    };
    let (report, ()) = tokio::join!(call, lead);
    check_end(
        &report.unwrap(),
        "timeout waiting for step confirmation",
        Exit::TimedOut,
    );
    let signs = uas.got().await.events.into_iter().map(|(sign, _)| sign);
    assert_eq!(signs.collect::<String>(), "1232323");
}

#[tokio::test]
async fn a_step_that_never_comes() {
    let uas = Uas::start(Far::default()).await;
    let (url, _send) = daemon("200 OK").await;
    let feed = Feed::connect(&url, Some("open-sesame")).await.unwrap();
    let mut plan = plan(uas.at, "wait:payment-amount/invalid 1");
    plan.timeout = Duration::from_millis(300);
    let report = place(&plan, Some(&feed), |_, _| {}).await.unwrap();
    check_end(
        &report,
        "timeout waiting for step payment-amount/invalid",
        Exit::TimedOut,
    );
    assert_eq!(
        (report.heard.keys_sent, uas.got().await.events.len()),
        (0, 0)
    );
}

#[tokio::test]
async fn no_daemon() {
    let to = "127.0.0.1:9".parse().unwrap();
    let waits = place(&plan(to, "wait:x"), None, |_, _| {}).await;
    assert!(matches!(waits, Err(PlaceError::NoEvents)));
    assert!(waits.unwrap_err().hint().contains("ivrpay serve"));
    let (url, _send) = daemon("401 Unauthorized").await;
    let refused = Feed::connect(&url, Some("open-sesame"))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        refused.contains("401") && refused.contains("--key-file"),
        "{refused}"
    );
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    assert!(
        Feed::connect(&format!("http://{free}/v1/events"), None)
            .await
            .is_err()
    );
}

#[test]
fn only_loopback_and_plain_names() {
    assert!(loopback("127.0.10.2").is_ok());
    assert!(loopback("0.0.0.0").is_err());
    assert!(loopback_port("192.0.2.1:5060").is_err());
    assert_eq!(
        loopback_port("127.0.10.1").unwrap(),
        "127.0.10.1:5060".parse().unwrap()
    );
    assert_eq!(user("*9#").unwrap(), "*9%23");
    assert!(user("a@b").is_err() && user("").is_err() && user("a\r\nb").is_err());
}
