//! The client against a small HTTP server: what goes out, and what each answer becomes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, unreachable_pub, reason = "shared by several tests")]
mod fake;

use std::{io, time::Duration};

use fake::{Fake, Request};
use ivrpay_ari::{
    BridgeId, ChannelId, Client, Config, DeviceState, Direction, HangupReason, Originate,
    PlaybackId, RequestError, contract::REQUESTS,
};
use secrecy::SecretString;

fn client(fake: &Fake) -> Client {
    let mut config = Config::new(
        &format!("http://{}", fake.at),
        "ivrpay",
        SecretString::from("s3cret"),
        "ivrpay",
    );
    config.request_timeout = Duration::from_secs(5);
    Client::new(&config).unwrap()
}

fn listed(request: &Request) -> bool {
    let body: serde_json::Value =
        serde_json::from_str(&request.body).unwrap_or(serde_json::json!({}));
    REQUESTS.iter().any(|sent| {
        let mut parts = sent.path.split('/');
        let same = request
            .path
            .split('/')
            .all(|got| parts.next().is_some_and(|p| p.starts_with('{') || p == got));
        let known = body
            .as_object()
            .unwrap()
            .keys()
            .all(|key| sent.parameters.contains(&key.as_str()))
            || sent.parameters == ["filter"];
        same && parts.next().is_none() && known && sent.method == request.method
    })
}

#[tokio::test]
async fn requests_go_out_as_the_table_says() {
    let mut fake = Fake::start().await;
    fake.answer(|request| {
        Some(match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/channels/1.2") => (200, r#"{"id":"1.2","name":"PJSIP/t-1","state":"Up"}"#.into()),
            ("GET", "/bridges/b%2F1") => (200, r#"{"id":"b/1","technology":"simple_bridge","channels":["1.2"]}"#.into()),
            ("GET", "/channels/1.2/rtp_statistics") => (200, r#"{"rxcount":7,"rxoctetcount":1120,"channel_uniqueid":"1.2"}"#.into()),
            ("GET", "/recordings/live/r") => (200, r#"{"name":"r","state":"recording"}"#.into()),
            ("GET", "/recordings/stored/r/file") => (200, "RIFF".into()),
            ("GET", "/channels/1.2/variable") => (200, r#"{"value":"v"}"#.into()),
            ("GET", "/asterisk/info") => (200, r#"{"system":{"version":"22.10.1","entity_id":"e"},"build":{"options":"OPTIONAL_API","os":"Linux"}}"#.into()),
            ("GET", "/applications/ivrpay") => (200, r#"{"name":"ivrpay","channel_ids":["1.2"],"endpoint_ids":[],"events_disallowed":[{"type":"Dial"}],"x":1}"#.into()),
            ("GET", "/asterisk/logging") => (
                200,
                r#"[{"channel":"full","type":"File","status":"Enabled","configuration":"NOTICE DTMF "}]"#.into(),
            ),
            ("GET", "/asterisk/modules") => (200, r#"[{"name":"res_pjsip.so","status":"Running","use_count":1}]"#.into()),
            ("GET", "/asterisk/config/dynamic/res_pjsip/endpoint/a%20b") => {
                (200, r#"[{"attribute":"direct_media","value":"false"}]"#.into())
            }
            ("GET", "/endpoints") => (200, r#"[{"technology":"PJSIP","resource":"a b","state":"online"}]"#.into()),
            ("GET", _) => (200, "[]".into()),
            _ => (204, String::new()),
        })
    });
    let client = client(&fake);
    let channel = ChannelId::new("1.2").unwrap();
    let playback = PlaybackId::new("call/7?").unwrap();
    client.answer(&channel).await.unwrap();
    client.hangup(&channel, HangupReason::Normal).await.unwrap();
    client.continue_in_dialplan(&channel, None).await.unwrap();
    client
        .continue_in_dialplan(&channel, Some(("ctx", "s", 1)))
        .await
        .unwrap();
    client
        .set_variables(&channel, &[("A", "1"), ("B", "2")])
        .await
        .unwrap();
    assert_eq!(
        client.get_variable(&channel, "A").await.unwrap().as_deref(),
        Some("v")
    );
    client
        .play(&channel, &playback, &["sound:a", "sound:b"], Some("ja"))
        .await
        .unwrap();
    client.stop_playback(&playback).await.unwrap();
    client.mute(&channel, Direction::In).await.unwrap();
    client.unmute(&channel, Direction::Both).await.unwrap();
    client.voice_back(&channel).await.unwrap();
    client.silence(&channel).await.unwrap();
    assert_eq!(client.channels().await.unwrap(), []);
    assert_eq!(client.channel(&channel).await.unwrap().id, channel);
    assert!(
        client.logging().await.unwrap()[0]
            .configuration
            .contains("DTMF")
    );
    assert_eq!(client.applications().await.unwrap(), []);
    let application = client.application("ivrpay").await.unwrap();
    assert_eq!(application.channel_ids, ["1.2"]);
    assert_eq!(application.events_disallowed, ["Dial"]);
    let info = client.info().await.unwrap();
    assert_eq!(
        (info.version.as_str(), info.build_options.as_str()),
        ("22.10.1", "OPTIONAL_API")
    );
    let endpoint = &client.endpoints().await.unwrap()[0].resource;
    let settings = client.pjsip_settings("endpoint", endpoint).await.unwrap();
    assert_eq!(settings[0].attribute, "direct_media");
    assert_eq!(client.modules().await.unwrap()[0].status, "Running");
    client.ping().await.unwrap();
    assert_eq!(client.sounds().await.unwrap(), []);
    assert_eq!(client.bridges().await.unwrap(), []);
    client
        .allow_events("ivrpay", &["StasisStart"])
        .await
        .unwrap();
    client
        .disallow_events("canary", &["ChannelDtmfReceived"])
        .await
        .unwrap();
    client.dtmf(&channel, '#', 100).await.unwrap();
    let bridge = BridgeId::new("b/1").unwrap();
    client.create_bridge(&bridge, "ivrpay").await.unwrap();
    client.add_to_bridge(&bridge, &channel, true).await.unwrap();
    assert_eq!(
        client.bridge(&bridge).await.unwrap().technology,
        "simple_bridge"
    );
    client.remove_from_bridge(&bridge, &channel).await.unwrap();
    client.destroy_bridge(&bridge).await.unwrap();
    client.start_music(&channel).await.unwrap();
    client.stop_music(&channel).await.unwrap();
    let lamp = "Stasis:ivrpay-201";
    client
        .set_device_state(lamp, DeviceState::Inuse)
        .await
        .unwrap();
    client.forget_device(lamp).await.unwrap();
    assert!(client.devices().await.unwrap().is_empty());
    let call = Originate {
        endpoint: "Local/s@c/n",
        formats: "ulaw",
        app: "canary",
        channel: "a",
        other: "b",
        timeout: 10,
        variables: [("BY", "sato")].into(),
    };
    client.originate(&call).await.unwrap();
    let run = client.run_dialplan("ivrpay-spy", "off", [("SPY", "PJSIP/202-1")].into(), 5);
    run.await.unwrap();
    client.record(&channel, "r", 30, 6).await.unwrap();
    assert!(client.records("r").await.unwrap());
    assert_eq!(client.recording("r").await.unwrap(), b"RIFF");
    client.delete_recording("r").await.unwrap();
    let received = client.rtp_received(&channel).await.unwrap();
    assert_eq!((received.packets, received.octets), (7, 1120));
    let mut seen = Vec::new();
    while let Ok(request) = fake.requests.try_recv() {
        assert!(
            listed(&request),
            "{} {} {}",
            request.method,
            request.path,
            request.body
        );
        let lower = request.head.to_ascii_lowercase();
        assert!(
            lower.contains("\r\nauthorization: basic axzycgf5onmzy3jlda==\r\n"),
            "{lower}"
        );
        assert!(!request.head.contains("s3cret"));
        seen.push((request.method, request.path, request.body));
    }
    let sent = |method: &str, path: &str, body: &str| {
        (method.to_owned(), path.to_owned(), body.to_owned())
    };
    assert!(seen.contains(&sent(
        "POST",
        "/channels",
        r#"{"endpoint":"Local/off@ivrpay-spy/n","context":"ivrpay-spy","extension":"off","priority":1,"timeout":5,"variables":{"SPY":"PJSIP/202-1"}}"#
    )));
    // The order of the types counts: see `ivrpay_ari::Client::create_bridge`.
    assert!(seen.contains(&sent(
        "POST",
        "/bridges/b%2F1",
        r#"{"type":"mixing,dtmf_events,proxy_media","name":"ivrpay"}"#
    )));
    assert!(seen.contains(&sent(
        "POST",
        "/bridges/b%2F1/addChannel",
        r#"{"channel":"1.2","absorbDTMF":true}"#
    )));
    assert!(seen.contains(&sent(
        "PUT",
        "/deviceStates/Stasis%3Aivrpay-201",
        r#"{"deviceState":"INUSE"}"#
    )));
    assert!(seen.contains(&sent(
        "POST",
        "/channels/1.2/dtmf",
        r##"{"dtmf":"#","duration":100}"##
    )));
    assert!(seen.contains(&sent(
        "POST",
        "/channels",
        r#"{"endpoint":"Local/s@c/n","formats":"ulaw","app":"canary","channelId":"a","otherChannelId":"b","timeout":10,"variables":{"BY":"sato"}}"#
    )));
    assert!(seen.contains(&sent(
        "POST",
        "/channels/1.2/variable",
        r#"{"variable":"B","value":"2"}"#
    )));
    assert!(seen.contains(&sent(
        "POST",
        "/channels/1.2/play/call%2F7%3F",
        r#"{"media":["sound:a","sound:b"],"lang":"ja"}"#
    )));
    assert!(seen.contains(&sent(
        "PUT",
        "/applications/ivrpay/eventFilter",
        r#"{"allowed":[{"type":"StasisStart"}]}"#
    )));
    assert!(seen.contains(&sent("POST", "/channels/1.2/continue", "")));
    assert!(seen.contains(&sent("DELETE", "/channels/1.2", r#"{"reason":"normal"}"#)));
    for row in REQUESTS.iter().filter(|row| row.path != "/events") {
        let like = |path: &str| {
            row.path
                .split('/')
                .zip(path.split('/'))
                .all(|(a, b)| a.starts_with('{') || a == b)
                && row.path.matches('/').count() == path.matches('/').count()
        };
        assert!(
            seen.iter()
                .any(|(method, path, _)| method == row.method && like(path)),
            "{row:?} was never sent"
        );
    }
}

#[tokio::test]
async fn answers_become_decisions() {
    let fake = Fake::start().await;
    let client = client(&fake);
    let channel = ChannelId::new("1.2").unwrap();
    for (status, expected) in [
        (
            404,
            "Asterisk does not know the channel or playback (any more)",
        ),
        (409, "the channel is not in our application"),
        (401, "Asterisk refused the request with status 401"),
        (500, "Asterisk refused the request with status 500"),
        (302, "Asterisk refused the request with status 302"),
    ] {
        fake.answer(move |_| Some((status, r#"{"message":"sound:hidden"}"#.into())));
        let error = client.answer(&channel).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!format!("{error:?}").contains("hidden"));
        assert!(error.hint().is_some() || matches!(status, 404 | 409 | 302));
    }
    fake.answer(|_| Some((404, "{}".into())));
    client
        .stop_playback(&PlaybackId::new("p").unwrap())
        .await
        .unwrap();
    assert!(matches!(
        client.get_variable(&channel, "A").await,
        Err(RequestError::Gone)
    ));
    fake.answer(|_| {
        Some((
            404,
            r#"{"message":"Provided variable was not found"}"#.into(),
        ))
    });
    assert_eq!(client.get_variable(&channel, "A").await.unwrap(), None);
    fake.answer(|_| Some((200, "<html>".into())));
    assert!(matches!(
        client.channels().await,
        Err(RequestError::Unreadable)
    ));
    fake.answer(|_| Some((200, "x".repeat(5 << 20))));
    assert!(matches!(
        client.channels().await,
        Err(RequestError::Unreadable)
    ));
}

#[tokio::test]
async fn silence_is_unknown_and_a_closed_port_is_not_sent() {
    let fake = Fake::start().await;
    fake.answer(|_| None);
    let mut config = Config::new(
        &format!("http://{}", fake.at),
        "ivrpay",
        SecretString::from("p"),
        "ivrpay",
    );
    config.request_timeout = Duration::from_millis(100);
    config.requests_max = 1;
    let client = Client::new(&config).unwrap();
    let channel = ChannelId::new("1").unwrap();
    assert!(matches!(
        client.answer(&channel).await,
        Err(RequestError::OutcomeUnknown)
    ));
    // The only slot is taken by one for as long as another may wait: of three, one at least gets none in time.
    let (first, second, third) = tokio::join!(
        client.answer(&channel),
        client.answer(&channel),
        client.answer(&channel)
    );
    assert!(
        [first, second, third]
            .iter()
            .any(|result| matches!(result, Err(RequestError::NotSent { source: None })))
    );

    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let config = Config::new(
        &format!("http://{closed}"),
        "ivrpay",
        SecretString::from("p"),
        "ivrpay",
    );
    match Client::new(&config).unwrap().answer(&channel).await {
        Err(RequestError::NotSent {
            source: Some(source),
        }) => {
            assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
        }
        other => panic!("{other:?}"),
    }
}
