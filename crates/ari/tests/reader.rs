//! The reader, its router and the client together, against a small Asterisk in this process.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, unreachable_pub, reason = "shared by several tests")]
mod fake;

use std::time::Duration;

use fake::{Fake, default_answer};
use futures_util::{SinkExt, StreamExt};
use ivrpay_ari::{CallEvent, Calls, Client, Config, Inbox, Start, Status, Trouble, Why, connect};
use ivrpay_secret::Key;
use secrecy::SecretString;
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

type Socket = WebSocketStream<TcpStream>;

fn config(fake: &Fake) -> Config {
    let mut config = Config::new(
        &format!("http://{}", fake.at),
        "ivrpay",
        SecretString::from("s3cret"),
        "ivrpay",
    );
    config.backoff_min = Duration::from_millis(10);
    config.orphan_grace = Duration::from_millis(50);
    config
}

async fn up(fake: &mut Fake, config: Config) -> (Client, Calls, Socket) {
    let (client, mut calls) = connect(config).unwrap();
    let socket = fake.socket().await;
    calls
        .status
        .wait_for(|status| *status == Status::Connected)
        .await
        .unwrap();
    (client, calls, socket)
}

async fn send(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
}

fn channel(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","name":"PJSIP/t-\"digit\":\"7\"","state":"Up","protocol_id":"c","caller":{{"name":"","number":"0312345678"}},
        "dialplan":{{"context":"pay","exten":"8800","priority":3,"app_name":"Stasis","app_data":"ivrpay,order=5"}},"language":"ja"}}"#
    )
}

fn start(id: &str) -> String {
    format!(
        r#"{{"type":"StasisStart","args":["order=5"],"channel":{}}}"#,
        channel(id)
    )
}

fn key(id: &str, key: char) -> String {
    format!(
        "{{ \"digit\" : \"{key}\",\n \"duration_ms\":100, \"channel\":{}, \"type\":\"ChannelDtmfReceived\"}}",
        channel(id)
    )
}

async fn enter(calls: &mut Calls, socket: &mut Socket, id: &str) -> Start {
    send(socket, &start(id)).await;
    calls.starts.recv().await.unwrap()
}

#[track_caller]
fn is_key(inbox: &Inbox, event: Option<CallEvent>, expected: char) {
    assert!(
        matches!(event, Some(CallEvent::KeyWaiting { lasted, .. }) if lasted == Duration::from_millis(100))
    );
    let expected = Key::from_byte(u8::try_from(expected).unwrap());
    assert!(inbox.take_key() == expected, "the keys come out in order");
}

/// An attended transfer into our application: the one who was there has left, and the other stands where he stood.
#[tokio::test]
async fn one_channel_takes_the_place_of_another() {
    let mut fake = Fake::start().await;
    let (_client, mut calls) = connect(config(&fake)).unwrap();
    let (mut socket, _) = fake.sockets.recv().await.unwrap();
    let mut operator = enter(&mut calls, &mut socket, "1.1").await;
    assert_eq!(operator.replaced, None);
    let (new, old) = (channel("1.2"), channel("1.1"));
    let text =
        format!(r#"{{"type":"StasisStart","args":[],"replace_channel":{old},"channel":{new}}}"#);
    send(&mut socket, &text).await;
    let customer = calls.starts.recv().await.unwrap();
    assert_eq!(operator.inbox.recv().await, Some(CallEvent::StasisEnd));
    assert_eq!(operator.inbox.recv().await, None);
    assert_eq!(customer.channel.id.as_str(), "1.2");
    assert_eq!(customer.replaced.unwrap().id.as_str(), "1.1");
    // Asterisk tells no arguments of him; they are those of the place.
    assert_eq!(customer.args, ["order=5"]);
    send(&mut socket, &key("1.2", '7')).await;
    let mut inbox = customer.inbox;
    let event = inbox.recv().await;
    is_key(&inbox, event, '7');
}

/// The same event twice is one, by Asterisk's own time of it: no digit is doubled, and no call begins anew.
#[tokio::test]
async fn an_event_that_comes_twice_counts_once() {
    let mut fake = Fake::start().await;
    let (_client, mut calls) = connect(config(&fake)).unwrap();
    let (mut socket, _) = fake.sockets.recv().await.unwrap();
    let at = |time: &str, event: String| {
        event.replacen(
            '{',
            &format!(r#"{{"timestamp":"2026-11-27T04:43:38.{time}+0000","#),
            1,
        )
    };
    send(&mut socket, &at("001", start("1.1"))).await;
    send(&mut socket, &at("001", start("1.1"))).await;
    for (time, digit) in [
        ("101", '4'),
        ("101", '4'),
        ("301", '4'),
        ("501", '2'),
        ("501", '2'),
    ] {
        send(&mut socket, &at(time, key("1.1", digit))).await;
    }
    // Entered again, with another time: another call.
    send(&mut socket, &at("901", start("1.1"))).await;
    let mut inbox = calls.starts.recv().await.unwrap().inbox;
    for digit in "442".chars() {
        let event = inbox.recv().await;
        is_key(&inbox, event, digit);
    }
    assert_eq!(inbox.recv().await, Some(CallEvent::StasisEnd));
    drop(calls.starts.recv().await.unwrap());
    assert!(calls.starts.try_recv().is_err(), "two starts, no more");
}

#[tokio::test]
async fn keys_reach_their_own_call_in_order() {
    let mut fake = Fake::start().await;
    let (_client, mut calls) = connect(config(&fake)).unwrap();
    let (mut socket, headers) = fake.sockets.recv().await.unwrap();
    assert!(!headers.iter().any(|(name, _)| name == "origin"));
    assert!(headers.contains(&("uri".into(), "/ari/events?app=ivrpay".into())));
    assert!(headers.contains(&("authorization".into(), "Basic aXZycGF5OnMzY3JldA==".into())));
    // Before anybody took the call: the keys wait in its inbox.
    send(&mut socket, &start("1.1")).await;
    send(&mut socket, &key("1.1", '4')).await;
    send(&mut socket, &start("1.2")).await;
    send(&mut socket, &key("1.2", '5')).await;
    send(&mut socket, &key("1.9", '9')).await;
    for digit in "111#".chars() {
        send(&mut socket, &key("1.1", digit)).await;
    }
    let Start {
        channel,
        args,
        inbox: mut first,
        ..
    } = calls.starts.recv().await.unwrap();
    let mut second = calls.starts.recv().await.unwrap().inbox;
    assert_eq!(
        (channel.id.as_str(), channel.language.as_str()),
        ("1.1", "ja")
    );
    assert_eq!(channel.caller.number, "0312345678");
    assert_eq!(args, ["order=5"]);
    for digit in "4111#".chars() {
        let event = first.recv().await;
        is_key(&first, event, digit);
    }
    let event = second.recv().await;
    is_key(&second, event, '5');
    assert!(first.take_key().is_none());
    send(&mut socket, r#"{"type":"PlaybackFinished","playback":{"id":"p","target_uri":"channel:1.1","state":"failed"}}"#).await;
    send(
        &mut socket,
        r#"{"type":"ChannelHangupRequest","channel":{"id":"1.1"}}"#,
    )
    .await;
    send(
        &mut socket,
        r#"{"type":"StasisEnd","channel":{"id":"1.1"}}"#,
    )
    .await;
    send(
        &mut socket,
        r#"{"type":"ChannelDestroyed","cause":16,"channel":{"id":"1.2"}}"#,
    )
    .await;
    assert!(
        matches!(first.recv().await, Some(CallEvent::PlaybackFinished { id, failed: true }) if id.as_str() == "p")
    );
    assert_eq!(first.recv().await, Some(CallEvent::HangupRequest));
    assert_eq!(first.recv().await, Some(CallEvent::StasisEnd));
    assert_eq!(first.recv().await, None);
    assert_eq!(
        second.recv().await,
        Some(CallEvent::Destroyed { cause: 16 })
    );
    assert_eq!(second.recv().await, None);
}

/// A message that can't be read costs its own key, and says so; it never shifts the keys behind it.
#[tokio::test]
async fn a_key_that_cant_be_read_never_becomes_another_one() {
    let mut fake = Fake::start().await;
    let config = config(&fake);
    let (_client, mut calls, mut socket) = up(&mut fake, config).await;
    let mut inbox = enter(&mut calls, &mut socket, "1").await.inbox;
    send(
        &mut socket,
        r#"{"type":"ChannelDtmfReceived","digit":"8","channel":{"id":{}}}"#,
    )
    .await;
    send(&mut socket, &key("1", '1')).await;
    send(
        &mut socket,
        r#"{"type":"ChannelDtmfReceived","digit":"8","channel":{"id":"1"},}"#,
    )
    .await;
    socket
        .send(Message::binary(key("1", '8').into_bytes()))
        .await
        .unwrap();
    send(&mut socket, &key("1", '2')).await;
    send(
        &mut socket,
        r#"{"type":"ChannelDtmfReceived","digit":"88","channel":{"id":"1"}}"#,
    )
    .await;
    send(&mut socket, "no json").await;
    send(&mut socket, &key("1", '3')).await;
    let mut seen = String::new();
    while !seen.ends_with('3') {
        match inbox.recv().await.unwrap() {
            CallEvent::KeysLost => seen.push('!'),
            CallEvent::KeyWaiting { .. } => match inbox.take_key() {
                Some(Key::Digit(digit)) => seen.push(char::from(b'0' + digit)),
                _ => seen.push('?'),
            },
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, "!1!!2!3");
    assert_eq!(
        calls
            .counters
            .malformed
            .load(std::sync::atomic::Ordering::Relaxed),
        4
    );
}

#[tokio::test]
async fn a_call_that_does_not_read_ends_alone() {
    let mut fake = Fake::start().await;
    let mut config = config(&fake);
    config.call_events_max = 4;
    let (_client, mut calls, mut socket) = up(&mut fake, config).await;
    let mut slow = enter(&mut calls, &mut socket, "1").await.inbox;
    let mut other = enter(&mut calls, &mut socket, "2").await.inbox;
    for _ in 0..6 {
        send(&mut socket, &key("1", '1')).await;
    }
    send(&mut socket, &key("2", '2')).await;
    let event = other.recv().await;
    is_key(&other, event, '2');
    assert_eq!(slow.recv().await, Some(CallEvent::Overflow));
    assert!(slow.take_key().is_none(), "its keys are wiped");
    assert_eq!(slow.recv().await, None);
}

#[tokio::test]
async fn more_keys_than_fit_are_told_as_lost() {
    let mut fake = Fake::start().await;
    let mut config = config(&fake);
    config.call_keys_max = 2;
    let (_client, mut calls, mut socket) = up(&mut fake, config).await;
    let mut inbox = enter(&mut calls, &mut socket, "1").await.inbox;
    for digit in ['1', '2', '3'] {
        send(&mut socket, &key("1", digit)).await;
    }
    send(&mut socket, r#"{"type":"StasisEnd","channel":{"id":"1"}}"#).await;
    let mut lost = 0;
    while let Some(event) = inbox.recv().await {
        lost += u32::from(event == CallEvent::KeysLost);
    }
    assert_eq!(lost, 1);
}

#[tokio::test]
async fn calls_that_cant_be_taken_are_refused_or_given_back() {
    let mut fake = Fake::start().await;
    let mut config = config(&fake);
    config.starts_max = 1;
    let (_client, mut calls, mut socket) = up(&mut fake, config).await;
    for id in ["1", "2", "3"] {
        send(&mut socket, &start(id)).await;
    }
    // Nobody has taken the second one yet, so the queue of refusals is full too: the reader gives the third back by itself.
    let variable = fake.request(|r| r.path == "/channels/3/variable").await;
    assert_eq!(
        variable.body,
        r#"{"variable":"IVRPAY_RESULT","value":"capacity-exceeded"}"#
    );
    fake.request(|r| r.path == "/channels/3/continue").await;
    let refusal = calls.refusals.recv().await.unwrap();
    assert_eq!((refusal.channel.as_str(), refusal.why), ("2", Why::Busy));
    assert_eq!(calls.starts.recv().await.unwrap().channel.id.as_str(), "1");
}

#[tokio::test]
async fn after_a_lost_socket_every_call_is_told_and_orphans_go_back() {
    let mut fake = Fake::start().await;
    let config = config(&fake);
    let (_client, mut calls, mut socket) = up(&mut fake, config).await;
    let mut stays = enter(&mut calls, &mut socket, "stays").await.inbox;
    let mut goes = enter(&mut calls, &mut socket, "goes").await.inbox;
    let listing = format!(
        "[{},{},{},{}]",
        channel("stays"),
        channel("orphan/1"),
        channel("muted"),
        channel("others").replace("ivrpay,order=5", "ivrpay2,order=5")
    );
    fake.answer(move |request| match request.path.as_str() {
        "/channels" => Some((200, listing.clone())),
        // Its dialplan has muted it, and unmutes it.
        "/channels/muted/variable" => Some((200, r#"{"value":"1"}"#.into())),
        "/channels/orphan%2F1/variable" => Some((
            404,
            r#"{"message":"Provided variable was not found"}"#.into(),
        )),
        _ => default_answer(request),
    });
    drop(socket);
    assert_eq!(stays.recv().await, Some(CallEvent::SocketLost));
    assert_eq!(goes.recv().await, Some(CallEvent::SocketLost));
    let mut socket = fake.socket().await;
    assert_eq!(stays.recv().await, Some(CallEvent::KeysLost));
    assert_eq!(stays.recv().await, Some(CallEvent::SocketBack));
    assert_eq!(goes.recv().await, Some(CallEvent::KeysLost));
    assert_eq!(goes.recv().await, Some(CallEvent::Gone));
    assert_eq!(goes.recv().await, None);
    send(&mut socket, &key("stays", '6')).await;
    let event = stays.recv().await;
    is_key(&stays, event, '6');
    // Its variables stay as they are: they may say that a charge is out.
    let mut touched = Vec::new();
    while touched.len() < 3 {
        let request = fake
            .request(|r| r.method != "GET" && r.method != "PUT")
            .await;
        touched.push((request.method, request.path, request.body));
    }
    calls.stop.stop().await;
    while let Ok(request) = fake.requests.try_recv() {
        touched.push((request.method, request.path, request.body));
    }
    touched.sort();
    let of = |method: &str, path: &str, body: &str| {
        (method.to_owned(), path.to_owned(), body.to_owned())
    };
    assert_eq!(
        touched,
        [
            of(
                "DELETE",
                "/channels/orphan%2F1/mute",
                r#"{"direction":"in"}"#
            ),
            of("POST", "/channels/muted/continue", ""),
            of("POST", "/channels/orphan%2F1/continue", ""),
        ],
        "each hears and is heard again; nothing else was touched"
    );
}

/// A number with a hole in it may pass the Luhn check: what was lost is told before the first key of the new connection, however
/// long the listing takes.
#[tokio::test]
async fn lost_keys_are_told_before_the_next_key() {
    let mut fake = Fake::start().await;
    let config = config(&fake);
    let (_client, mut calls, mut socket) = up(&mut fake, config).await;
    let mut call = enter(&mut calls, &mut socket, "1").await.inbox;
    fake.answer(|request| match request.path.as_str() {
        "/channels" => Some((500, String::new())),
        _ => default_answer(request),
    });
    drop(socket);
    assert_eq!(call.recv().await, Some(CallEvent::SocketLost));
    let mut socket = fake.socket().await;
    send(&mut socket, &key("1", '7')).await;
    assert_eq!(call.recv().await, Some(CallEvent::KeysLost));
    let event = call.recv().await;
    is_key(&call, event, '7');
    calls.stop.stop().await;
}

/// A channel may be listed before its `StasisStart` arrives: it is a call, not an orphan.
#[tokio::test]
async fn a_call_that_is_listed_before_it_starts_is_no_orphan() {
    let mut fake = Fake::start().await;
    let listing = format!("[{},{}]", channel("new"), channel("orphan"));
    fake.answer(move |request| match request.path.as_str() {
        "/channels" => Some((200, listing.clone())),
        _ => default_answer(request),
    });
    let config = config(&fake);
    let (_client, mut calls, mut socket) = up(&mut fake, config).await;
    fake.request(|r| r.path == "/channels").await;
    let mut inbox = enter(&mut calls, &mut socket, "new").await.inbox;
    fake.request(|r| r.path == "/channels/orphan/continue")
        .await;
    calls.stop.stop().await;
    assert!(fake.requests.try_recv().is_err());
    assert_eq!(inbox.recv().await, Some(CallEvent::SocketLost));
    assert_eq!(inbox.recv().await, None);
}

#[track_caller]
fn error(status: Status) -> Option<Trouble> {
    match status {
        Status::Connecting { error, .. } => error,
        _ => None,
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_and_tried_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    drop(listener);
    let mut config = Config::new(
        &format!("http://{at}"),
        "ivrpay",
        SecretString::from("p"),
        "ivrpay",
    );
    config.backoff_min = Duration::from_millis(10);
    config.backoff_max = Duration::from_millis(20);
    let (_client, mut calls) = connect(config).unwrap();
    let refused = Trouble::Unreachable(std::io::ErrorKind::ConnectionRefused);
    calls
        .status
        .wait_for(|s| error(*s) == Some(refused))
        .await
        .unwrap();
    let fake = Fake::on(tokio::net::TcpListener::bind(at).await.unwrap());
    for (status, trouble) in [
        (401, Trouble::Unauthorized),
        (403, Trouble::Forbidden),
        (404, Trouble::NoAri),
        (503, Trouble::NotUpgraded(503)),
    ] {
        fake.answer(move |_| Some((status, String::new())));
        calls
            .status
            .wait_for(|s| error(*s) == Some(trouble))
            .await
            .unwrap();
        assert!(!trouble.hint().is_empty());
    }
    fake.answer(default_answer);
    fake.answer(|request| {
        if request.path == "/events" {
            Some((200, String::new()))
        } else {
            default_answer(request)
        }
    });
    calls
        .status
        .wait_for(|s| *s == Status::Connected)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_silent_socket_is_given_up() {
    let mut fake = Fake::start().await;
    let mut config = config(&fake);
    config.ping_every = Duration::from_millis(50);
    let (_client, mut calls) = connect(config).unwrap();
    // Nobody reads it, so nobody answers the ping.
    let _mute = fake.socket().await;
    calls
        .status
        .wait_for(|s| error(*s) == Some(Trouble::Silent))
        .await
        .unwrap();
    // One that is read stays: its pings are answered for longer than the other lived.
    let mut socket = fake.socket().await;
    for _ in 0..4 {
        assert!(matches!(socket.next().await, Some(Ok(Message::Ping(_)))));
    }
    assert_eq!(*calls.status.borrow(), Status::Connected);
}

#[tokio::test]
async fn another_program_with_our_name_is_told() {
    let mut fake = Fake::start().await;
    let mut config = config(&fake);
    config.replaced_wait = Duration::from_millis(20);
    let (_client, mut calls, mut socket) = up(&mut fake, config).await;
    let mut inbox = enter(&mut calls, &mut socket, "1").await.inbox;
    send(
        &mut socket,
        r#"{"type":"ApplicationReplaced","application":"ivrpay"}"#,
    )
    .await;
    calls
        .status
        .wait_for(|s| *s == Status::Replaced)
        .await
        .unwrap();
    assert_eq!(inbox.recv().await, Some(CallEvent::SocketLost));
    fake.socket().await;
    calls
        .status
        .wait_for(|s| *s == Status::Connected)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_connection_and_is_told() {
    let mut fake = Fake::start().await;
    let mut config = config(&fake);
    config.message_max = 16 * 1024;
    let (_client, mut calls, mut socket) = up(&mut fake, config).await;
    send(&mut socket, &" ".repeat(20_000)).await;
    calls
        .status
        .wait_for(|s| matches!(error(*s), Some(Trouble::Fault(_))))
        .await
        .unwrap();
}

#[tokio::test]
async fn stop_closes_the_socket() {
    let mut fake = Fake::start().await;
    let config = config(&fake);
    let (_client, calls, mut socket) = up(&mut fake, config).await;
    let status = calls.status.clone();
    let closed =
        tokio::spawn(async move { matches!(socket.next().await, Some(Ok(Message::Close(_)))) });
    calls.stop.stop().await;
    assert!(closed.await.unwrap());
    assert_eq!(*status.borrow(), Status::Stopped);
}
