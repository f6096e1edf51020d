//! What the guard asks, of an Asterisk of a few lines.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const HUNG_UP: &str = "1700000000.1";
const ALIVE: &str = "1700000000.2";

/// What it answers to a path, and to a variable.
type Answers = fn(path: &str, body: &str) -> (u16, &'static str);

/// Hardened; its cel_manager runs, so that cel.conf is read through the channel.
fn hardened(path: &str, body: &str) -> (u16, &'static str) {
    match path {
        "/ari/asterisk/logging" => (
            200,
            r#"[{"channel":"/full","type":"File","status":"Enabled","configuration":"NOTICE "}]"#,
        ),
        "/ari/asterisk/modules" => (
            200,
            r#"[{"name":"cel_manager.so","status":"Running"},{"name":"func_config.so","status":"Running"},{"name":"res_pjsip.so","status":"Running"}]"#,
        ),
        "/ari/asterisk/info" => (200, r#"{"system":{"version":"22.10.1"}}"#),
        "/ari/asterisk/config/dynamic/res_pjsip/global/global" => {
            (200, r#"[{"attribute":"debug","value":"no"}]"#)
        }
        "/ari/asterisk/config/dynamic/res_pjsip/endpoint/trunk" => {
            (200, r#"[{"attribute":"direct_media","value":"false"}]"#)
        }
        path if path.contains(HUNG_UP) => (404, r#"{"message":"Channel not found"}"#),
        path if path.ends_with("/variable") && body.contains("enable") => {
            (200, r#"{"value":"no"}"#)
        }
        _ => (200, "[]"),
    }
}

/// An HTTP server of one answer a connection.
async fn asterisk(answers: Answers) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, answers));
        }
    });
    let password = secrecy::SecretString::from("x");
    Client::new(&ivrpay_ari::Config::new(&url, "u", password, "ivrpay")).unwrap()
}

async fn answer(mut stream: TcpStream, answers: Answers) {
    let (mut read, mut chunk) = (Vec::new(), [0; 4096]);
    let (path, body) = loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.parse().unwrap());
            if body.len() >= length {
                let path = head.split(' ').nth(1).unwrap().to_owned();
                break (path, body.to_owned());
            }
        }
        let length = stream.read(&mut chunk).await.unwrap();
        assert_ne!(length, 0, "a whole request");
        read.extend_from_slice(&chunk[..length]);
    };
    let (status, body) = answers(&path, &body);
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
}

async fn checked(guard: &Guard, client: &Client, id: &str, name: &str) -> Result<(), Danger> {
    let id = ChannelId::new(id).unwrap();
    let dangers = guard
        .check(client, Legs::alone(&id, name), Instant::now())
        .await;
    dangers.map(|dangers| assert!(dangers.is_empty(), "{dangers:?}"))
}

/// Without cli_aliases.conf there is neither `cel reload` nor `pjsip reload`.
#[test]
fn hints_name_commands_that_every_asterisk_has() {
    for (danger, command) in [
        (Danger::DtmfLog, "`logger reload`"),
        (Danger::CelKeys, "`module reload cel`"),
        (Danger::DirectMedia, "`module reload res_pjsip.so`"),
        (Danger::SipCopy, "`module reload res_pjsip.so`"),
    ] {
        assert!(danger.hint().contains(command), "{danger}");
    }
}

#[tokio::test]
async fn one_who_hangs_up_refuses_nobody_else() {
    let client = asterisk(hardened).await;
    let guard = Guard::new("ivrpay", Vec::new());
    let first = checked(&guard, &client, HUNG_UP, "PJSIP/trunk-00000001").await;
    assert_eq!(first, Err(Danger::NotKnown));
    let second = checked(&guard, &client, ALIVE, "PJSIP/trunk-00000002").await;
    assert_eq!(second, Ok(()), "the next caller, at once");
}

#[tokio::test]
async fn what_asterisk_does_not_say_is_not_off() {
    let cases: [(&str, Answers, &str, Result<(), Danger>); 5] = [
        ("all is said", hardened, "PJSIP/trunk-00000002", Ok(())),
        (
            "a SIP log may stand in a section of another name",
            |path, body| match path {
                "/ari/asterisk/config/dynamic/res_pjsip/global/global" => (404, "{}"),
                _ => hardened(path, body),
            },
            "PJSIP/trunk-00000002",
            Err(Danger::SipCopy),
        ),
        (
            "without PJSIP there is no such log",
            |path, body| match path {
                "/ari/asterisk/config/dynamic/res_pjsip/global/global" => (404, "{}"),
                "/ari/asterisk/modules" => (200, "[]"),
                _ => hardened(path, body),
            },
            "IAX2/trunk-2",
            Ok(()),
        ),
        (
            "direct media of chan_sip can't be asked for",
            hardened,
            "SIP/trunk-00000002",
            Err(Danger::DirectMedia),
        ),
        (
            "no log channel: all goes to standard output",
            |path, body| match path {
                "/ari/asterisk/logging" => (200, "[]"),
                _ => hardened(path, body),
            },
            "PJSIP/trunk-00000002",
            Err(Danger::DtmfLog),
        ),
    ];
    for (case, answers, name, expected) in cases {
        let client = asterisk(answers).await;
        let guard = Guard::new("ivrpay", Vec::new());
        let found = checked(&guard, &client, ALIVE, name).await;
        assert_eq!(found, expected, "{case}");
    }
}

/// Native, as two who talk may be; and, behind it, a customer whose media may go past Asterisk for good.
fn native(path: &str, body: &str) -> (u16, &'static str) {
    match path {
        "/ari/bridges" => (
            200,
            r#"[{"id":"b","technology":"native_rtp","channels":["1700000000.2"]}]"#,
        ),
        "/ari/asterisk/config/dynamic/res_pjsip/endpoint/past" => {
            (200, r#"[{"attribute":"direct_media","value":"true"}]"#)
        }
        _ => hardened(path, body),
    }
}

#[tokio::test]
async fn a_native_talk_hides_no_other_danger() {
    let client = asterisk(native).await;
    let guard = Guard::new("ivrpay", Vec::new());
    let id = ChannelId::new(ALIVE).unwrap();
    for (name, expected) in [
        ("PJSIP/trunk-00000002", Ok(())),
        ("PJSIP/past-00000002", Err(Danger::DirectMedia)),
    ] {
        let legs = Legs::alone(&id, name);
        let found = guard.before_the_move(&client, legs, Instant::now()).await;
        assert_eq!(found, expected, "{name}");
        let captured = checked(&guard, &client, ALIVE, name).await;
        assert_eq!(captured, Err(Danger::NativeBridge), "{name}");
        // Of one whom nobody knows yet neither is.
        let found = guard.of_every_call(&client, (&id, name), Instant::now());
        assert_eq!(found.await, Ok(()), "{name}");
    }
}
