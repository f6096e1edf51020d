//! The server against peers that do everything that Asterisk does, and everything that it does not.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ivrpay_agi::{
    ANSWER_LINE_BYTES_MAX, Allowed, Argument, ChannelState, ENVIRONMENT_MAX, Error, Flaw,
    KEY_WAIT_MAX, Limit, Listener, QUICK_MAX, Session, Waited,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

const ENVIRONMENT: &str = "agi_network: yes\nagi_network_script: pay?mode=hold\nagi_request: agi://127.0.0.1/pay?mode=hold\n\
     agi_channel: PJSIP/op-00000001\nagi_language: en\nagi_type: PJSIP\nagi_uniqueid: 1795674000.7\nagi_version: 22.10.1\n\
     agi_callerid: unknown\nagi_context: ivrpay-key\nagi_extension: s\nagi_priority: 1\nagi_arg_1: tenant=demo\n\n";

/// A server that hands over what comes of each connection.
struct Server {
    address: SocketAddr,
    arrivals: mpsc::UnboundedReceiver<Result<Session, Error>>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn new(allowed: Allowed) -> Self {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), allowed, 8)
            .await
            .unwrap();
        let (tell, arrivals) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let (session, failure) = (tell.clone(), tell);
        let address = listener.address().unwrap();
        let task = tokio::spawn(listener.serve(
            move |s| {
                let _sent = session.send(Ok(s));
                std::future::ready(())
            },
            move |error| {
                let _sent = failure.send(Err(error));
            },
            async move {
                let _stopped = stopped.await;
            },
        ));
        Self {
            address,
            arrivals,
            stop: Some(stop),
            task,
        }
    }

    async fn connect(&self) -> Peer {
        Peer(BufReader::new(
            TcpStream::connect(self.address).await.unwrap(),
        ))
    }

    async fn arrival(&mut self) -> Result<Session, Error> {
        self.arrivals.recv().await.unwrap()
    }
}

/// Asterisk's side.
struct Peer(BufReader<TcpStream>);

impl Peer {
    async fn say(&mut self, text: &str) {
        // A session that has given up is what some tests want.
        drop(self.0.get_mut().write_all(text.as_bytes()).await);
    }

    /// The next command; empty when the session is closed.
    async fn hear(&mut self) -> String {
        let mut line = String::new();
        let _read = self.0.read_line(&mut line).await;
        line.trim_end_matches('\n').to_owned()
    }

    async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        matches!(self.0.read_to_end(&mut rest).await, Ok(0) | Err(_))
    }
}

/// A session with an Asterisk that answers as it is told: what it hears, what it says; then it closes.
async fn talk(script: Vec<(&'static str, String)>) -> (Session, tokio::task::JoinHandle<()>) {
    let mut server = Server::new(Allowed::Loopback).await;
    let mut peer = server.connect().await;
    peer.say(ENVIRONMENT).await;
    let session = server.arrival().await.unwrap();
    let task = tokio::spawn(async move {
        for (heard, said) in script {
            assert_eq!(peer.hear().await, heard);
            peer.say(&said).await;
        }
    });
    (session, task)
}

#[tokio::test]
async fn every_command_as_asterisk_answers_it() {
    let say = |text: &str| format!("{text}\n");
    let (mut session, peer) = talk(vec![
        (
            "GET VARIABLE \"BRIDGEPEER\"",
            say("200 result=1 (PJSIP/trunk-00000002)"),
        ),
        ("GET VARIABLE \"NONE\"", say("200 result=0")),
        ("GET VARIABLE \"CHANNEL(language)\"", say("200 result=1 ()")),
        (
            "GET FULL VARIABLE \"${IF($[\\\"a\\\" = \\\"b\\\"]?c:d)}\"",
            say("200 result=1 (d)"),
        ),
        (
            "SET VARIABLE \"IVRPAY_PAIR\" \"two \\\"words\\\" \\\\\"",
            say("200 result=1"),
        ),
        (
            "STREAM FILE \"ivrpay/help\" \"12#\"",
            say("200 result=0 endpos=8160"),
        ),
        (
            "STREAM FILE \"ivrpay/help\" \"12#\"",
            say("200 result=35 endpos=160"),
        ),
        ("WAIT FOR DIGIT \"1500\"", say("200 result=0")),
        ("WAIT FOR DIGIT \"1500\"", say("200 result=42")),
        ("WAIT FOR DIGIT \"1500\"", say("200 result=102")),
        (
            "EXEC \"ChannelRedirect\" \"PJSIP/trunk-00000002,a,s,1\"",
            say("200 result=0"),
        ),
        ("CHANNEL STATUS", say("200 result=6")),
        ("VERBOSE \"pay key\" \"3\"", say("200 result=1")),
    ])
    .await;
    let request = session.request();
    assert_eq!(
        (request.script(), request.parameter("mode")),
        ("pay", Some("hold"))
    );
    assert_eq!(request.parameter("tenant"), Some("demo"));
    assert_eq!(request.caller_id(), None);

    let variable = session.get_variable("BRIDGEPEER").await;
    assert_eq!(variable, Ok(Some("PJSIP/trunk-00000002".into())));
    assert_eq!(session.get_variable("NONE").await, Ok(None));
    assert_eq!(
        session.get_variable("CHANNEL(language)").await,
        Ok(Some(String::new()))
    );
    let value = session.evaluate("${IF($[\"a\" = \"b\"]?c:d)}").await;
    assert_eq!(value, Ok("d".into()));
    session
        .set_variable("IVRPAY_PAIR", "two \"words\" \\")
        .await
        .unwrap();
    let whole = session.stream_file("ivrpay/help", "12#").await.unwrap();
    assert_eq!((whole.key, whole.samples), (None, 8160));
    let ended = session.stream_file("ivrpay/help", "12#").await.unwrap();
    assert_eq!((ended.key, ended.samples), (Some('#'), 160));
    assert!(
        !format!("{ended:?} {session:?}").contains(['#', '7']),
        "no key, no value"
    );
    let wait = Duration::from_millis(1500);
    for key in [None, Some('*'), None] {
        assert_eq!(session.wait_for_key(wait).await, Ok(key));
    }
    let redirect = session
        .exec("ChannelRedirect", "PJSIP/trunk-00000002,a,s,1")
        .await;
    assert_eq!(redirect, Ok(0));
    assert_eq!(session.channel_status().await, Ok(ChannelState::Up));
    session.verbose("pay key", 3).await.unwrap();
    peer.await.unwrap();
    // It has closed.
    assert_eq!(session.get_variable("X").await, Err(Error::Closed));
    assert_eq!(session.get_variable("X").await, Err(Error::Closed));
    assert!(!session.is_hung_up());
}

#[tokio::test]
async fn what_can_not_be_sent_is_not_sent() {
    let (mut session, _peer) = talk(vec![]).await;
    let argument = |a| Error::Argument(a);
    let control = argument(Argument::Control);
    assert_eq!(session.set_variable("X", "a\nHANGUP").await, Err(control));
    assert_eq!(session.evaluate("a\r\n").await, Err(control));
    assert_eq!(session.exec("NoOp", "\0").await, Err(control));
    assert_eq!(session.verbose("a\n", 1).await, Err(control));
    let name = argument(Argument::Name);
    for bad in ["", "A B", "${X}", "X\n", "X)", "(X)", "X(a", "X\" \"Y"] {
        assert_eq!(session.get_variable(bad).await, Err(name), "{bad:?}");
        assert_eq!(session.set_variable(bad, "").await, Err(name), "{bad:?}");
    }
    for bad in ["", "a b", "a&b", "a\n", "a\"b", "番号"] {
        assert_eq!(
            session.stream_file(bad, "").await.err(),
            Some(name),
            "{bad:?}"
        );
        assert_eq!(session.exec(bad, "").await, Err(name), "{bad:?}");
    }
    for bad in ["x", "1 2", "#\n"] {
        let played = session.stream_file("a", bad).await;
        assert_eq!(played.err(), Some(argument(Argument::Keys)), "{bad:?}");
    }
    for bad in [
        Duration::ZERO,
        Duration::from_micros(900),
        KEY_WAIT_MAX + Duration::from_millis(1),
    ] {
        let waited = session.wait_for_key(bad).await;
        assert_eq!(waited, Err(argument(Argument::Wait)), "{bad:?}");
    }
    let long = session.set_variable("X", &"x".repeat(2000)).await;
    assert_eq!(long, Err(argument(Argument::Long)));
}

/// What is answered to `STREAM FILE`, what that is, and what the next command then is.
#[tokio::test]
async fn bad_answers() {
    let usage = "520-Invalid command syntax.  Proper usage follows:\nUsage: STREAM FILE\n\n520 End of proper usage.\n";
    let table: Vec<(&str, String, Error, Option<Error>)> = vec![
        (
            "510",
            "510 Invalid or unknown command\n".into(),
            Error::NoSuchCommand,
            None,
        ),
        (
            "520",
            "520 Invalid command syntax.  Proper usage not available.\n".into(),
            Error::Usage,
            None,
        ),
        ("520-", usage.into(), Error::Usage, None),
        (
            "511",
            "511 Command Not Permitted on a dead channel or intercept routine\n".into(),
            Error::HungUp,
            None,
        ),
        (
            "garbage",
            "\u{0}\u{7f}garbage\n".into(),
            Error::NotAnAnswer,
            Some(Error::Closed),
        ),
        (
            "HTTP",
            "HTTP/1.1 400 Bad Request\r\n".into(),
            Error::NotAnAnswer,
            Some(Error::Closed),
        ),
        (
            "a row",
            "200 result=1234567 endpos=1\n".into(),
            Error::NotAnAnswer,
            Some(Error::Closed),
        ),
        (
            "a key that was not asked for",
            "200 result=53 endpos=1\n".into(),
            Error::NotAnAnswer,
            Some(Error::Closed),
        ),
        (
            "no position",
            "200 result=0\n".into(),
            Error::NotAnAnswer,
            Some(Error::Closed),
        ),
        (
            "half",
            "200 result=0 endp".into(),
            Error::Closed,
            Some(Error::Closed),
        ),
        ("nothing", String::new(), Error::Closed, Some(Error::Closed)),
        (
            "hang-up, then nothing",
            "HANGUP\n".into(),
            Error::HungUp,
            Some(Error::HungUp),
        ),
        (
            "endless line",
            "x".repeat(ANSWER_LINE_BYTES_MAX + 1),
            Error::TooMuch(Limit::AnswerLineBytes),
            Some(Error::Closed),
        ),
        (
            "endless usage",
            format!("520-\n{}", "x\n".repeat(1000)),
            Error::TooMuch(Limit::AnswerLines),
            Some(Error::Closed),
        ),
    ];
    for (what, said, error, next) in table {
        let mut script = vec![("STREAM FILE \"a\" \"12\"", said)];
        if next.is_none() {
            script.push(("GET VARIABLE \"X\"", "200 result=1 (y)\n".into()));
        }
        let (mut session, peer) = talk(script).await;
        assert_eq!(
            session.stream_file("a", "12").await.err(),
            Some(error),
            "{what}"
        );
        let then = session.get_variable("X").await;
        assert_eq!(then.clone().err(), next, "{what}");
        assert_eq!(
            then.ok(),
            next.is_none().then(|| Some("y".into())),
            "{what}"
        );
        assert!(!error.hint().is_empty());
        peer.await.unwrap();
    }
}

#[tokio::test]
async fn hang_ups_everywhere() {
    // Before the first command, between command and answer, between two commands: variables work on, the channel does not.
    for (first, second) in [("HANGUP\n", ""), ("", "HANGUP\n"), ("", "HANGUP\nHANGUP\n")] {
        let mut server = Server::new(Allowed::Loopback).await;
        let mut peer = server.connect().await;
        peer.say(&format!("{ENVIRONMENT}{first}")).await;
        let mut session = server.arrival().await.unwrap();
        let task = tokio::spawn(async move {
            for _ in 0..2 {
                assert_eq!(peer.hear().await, "GET VARIABLE \"X\"");
                peer.say(&format!("{second}200 result=1 (y)\n")).await;
            }
            peer.is_closed().await
        });
        assert_eq!(session.get_variable("X").await, Ok(Some("y".into())));
        assert!(session.is_hung_up());
        let wait = Duration::from_secs(1);
        assert_eq!(
            session.stream_file("a", "").await.err(),
            Some(Error::HungUp)
        );
        assert_eq!(session.wait_for_key(wait).await, Err(Error::HungUp));
        assert_eq!(session.channel_status().await, Err(Error::HungUp));
        assert_eq!(session.get_variable("X").await, Ok(Some("y".into())));
        drop(session);
        assert!(task.await.unwrap(), "nothing else was sent");
    }
    // Asterisk tells of a hang-up behind the -1, of a file that is not there never.
    let status = "CHANNEL STATUS";
    for (said, error) in [
        (
            "HANGUP\n511 Command Not Permitted on a dead channel or intercept routine\n",
            Error::HungUp,
        ),
        ("HANGUP\n200 result=6\n", Error::HungUp),
        (
            "511 Command Not Permitted on a dead channel or intercept routine\n",
            Error::HungUp,
        ),
        ("HANGUP\n", Error::HungUp),
        ("200 result=6\n", Error::Failed),
    ] {
        let (mut session, _peer) = talk(vec![
            ("STREAM FILE \"a\" \"\"", "200 result=-1 endpos=0\n".into()),
            (status, said.into()),
        ])
        .await;
        assert_eq!(
            session.stream_file("a", "").await.err(),
            Some(error),
            "{said}"
        );
        let (mut session, _peer) = talk(vec![
            ("WAIT FOR DIGIT \"9\"", "200 result=-1\n".into()),
            (status, said.into()),
        ])
        .await;
        let waited = session.wait_for_key(Duration::from_millis(9)).await;
        assert_eq!(waited, Err(error), "{said}");
        let (mut session, _peer) = talk(vec![
            ("EXEC \"A\" \"\"", "200 result=-1\n".into()),
            (status, said.into()),
        ])
        .await;
        assert_eq!(session.exec("A", "").await, Err(error), "{said}");
    }
}

/// Asterisk answers an application that returns 1 twice.
#[tokio::test]
async fn applications() {
    let usage = "520-Invalid command syntax.  Proper usage follows:\nUsage: EXEC\n520 End of proper usage.\n";
    for (behind, next) in [(usage, ""), ("", usage), ("", "")] {
        let (mut session, peer) = talk(vec![
            ("EXEC \"A\" \"\"", format!("200 result=1\n{behind}")),
            ("NOOP", format!("{next}200 result=0\n")),
            ("GET VARIABLE \"X\"", "200 result=1 (y)\n".into()),
        ])
        .await;
        assert_eq!(session.exec("A", "").await, Ok(1));
        assert_eq!(session.get_variable("X").await, Ok(Some("y".into())));
        peer.await.unwrap();
    }
    let (mut session, _peer) = talk(vec![("EXEC \"A\" \"\"", "200 result=-2\n".into())]).await;
    assert_eq!(session.exec("A", "").await, Err(Error::NoSuchApplication));
}

/// A value with a line break in it must not become the answer to the next question.
#[tokio::test]
async fn answers_that_nobody_asked_for() {
    let (mut session, _peer) = talk(vec![(
        "GET VARIABLE \"NAME\"",
        "200 result=1 (a)\n200 result=1 (forged)\n".into(),
    )])
    .await;
    assert_eq!(session.get_variable("NAME").await, Ok(Some("a".into())));
    assert_eq!(session.get_variable("PAID").await, Err(Error::OutOfStep));
    assert_eq!(session.get_variable("PAID").await, Err(Error::Closed));
    // One that ends the environment early.
    let mut server = Server::new(Allowed::Loopback).await;
    let mut peer = server.connect().await;
    peer.say(&format!("{ENVIRONMENT}agi_context: real\n\n"))
        .await;
    let mut session = server.arrival().await.unwrap();
    assert_eq!(session.get_variable("X").await, Err(Error::OutOfStep));
    assert!(peer.is_closed().await || peer.is_closed().await);
}

#[tokio::test]
async fn a_command_given_up_closes_the_session() {
    let (mut session, peer) = talk(vec![("WAIT FOR DIGIT \"5000\"", String::new())]).await;
    tokio::select! {
        _ = session.wait_for_key(Duration::from_secs(5)) => {}
        () = async { peer.await.unwrap() } => {}
    }
    assert_eq!(session.get_variable("X").await, Err(Error::Closed));
}

#[tokio::test]
async fn environments_that_are_none() {
    let flaw = |flaw| Error::Environment(flaw);
    let table = [
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            flaw(Flaw::First),
        ),
        ("\u{0}\u{3}\u{ff}\n".into(), flaw(Flaw::First)),
        ("\n".into(), flaw(Flaw::First)),
        (
            "x".repeat(100_000),
            Error::TooMuch(Limit::EnvironmentLineBytes),
        ),
        (
            (0..100_000).fold("agi_network: yes\n".into(), |all: String, n| {
                all + &format!("v{n}: \n")
            }),
            Error::TooMuch(Limit::EnvironmentLines),
        ),
        ("agi_network: yes\n\n".into(), flaw(Flaw::Missing)),
        (
            ENVIRONMENT.replace("\n\n", "\nagi_channel: x\n\n"),
            flaw(Flaw::Duplicate),
        ),
        (
            ENVIRONMENT.replace("\n\n", "\nHANGUP\n\n"),
            flaw(Flaw::Line),
        ),
    ];
    let mut server = Server::new(Allowed::Loopback).await;
    for (said, error) in table {
        let mut peer = server.connect().await;
        peer.say(&said).await;
        assert_eq!(server.arrival().await.err(), Some(error), "{said:.40}");
        assert!(peer.is_closed().await, "{said:.40}");
    }
    // Half a block, then gone.
    let mut peer = server.connect().await;
    peer.say(ENVIRONMENT.split_at(200).0).await;
    drop(peer);
    assert_eq!(server.arrival().await.err(), Some(Error::Closed));
    // And the next one is served.
    let mut peer = server.connect().await;
    peer.say(ENVIRONMENT).await;
    assert!(server.arrival().await.is_ok());
}

#[tokio::test]
async fn who_is_silent_is_let_go() {
    let mut server = Server::new(Allowed::Loopback).await;
    let began = Instant::now();
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    half.say(ENVIRONMENT.split_at(200).0).await;
    for _ in 0..2 {
        let error = server.arrival().await.err();
        assert_eq!(error, Some(Error::TimedOut(Waited::Environment)));
    }
    assert!(began.elapsed() >= ENVIRONMENT_MAX);
    assert!(silent.is_closed().await && half.is_closed().await);
}

#[tokio::test]
async fn answers_that_come_too_late_or_in_drops() {
    let mut server = Server::new(Allowed::Loopback).await;
    let mut peer = server.connect().await;
    peer.say(ENVIRONMENT).await;
    let mut session = server.arrival().await.unwrap();
    let began = Instant::now();
    let peer = tokio::spawn(async move {
        peer.hear().await;
        // Never a whole answer, never quiet.
        while peer.0.get_mut().write_all(b"HANGUP\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let late = session.get_variable("X").await;
    assert_eq!(late, Err(Error::TimedOut(Waited::Answer)));
    assert!(began.elapsed() >= QUICK_MAX);
    assert_eq!(session.get_variable("X").await, Err(Error::HungUp));
    peer.await.unwrap();
}

#[tokio::test]
async fn only_who_is_allowed_and_only_so_many() {
    let others = Allowed::Addresses(["192.0.2.7".parse().unwrap()].into());
    let mut server = Server::new(others).await;
    let mut peer = server.connect().await;
    assert_eq!(server.arrival().await.err(), Some(Error::NotAllowed));
    assert!(peer.is_closed().await);

    // A session counts until its handler has ended, and a handler that panics ends alone.
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Allowed::Loopback, 2)
        .await
        .unwrap();
    let address = listener.address().unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    let tell_full = tell.clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let door = Arc::new(tokio::sync::Semaphore::new(0));
    let handlers_door = Arc::clone(&door);
    let task = tokio::spawn(listener.serve(
        move |session: Session| {
            let (tell, door) = (tell.clone(), Arc::clone(&handlers_door));
            async move {
                let _sent = tell.send(None);
                drop(door.acquire().await.unwrap());
                drop(session);
                panic!("a mistake of the handler");
            }
        },
        move |error| {
            let _sent = tell_full.send(Some(error));
        },
        async move {
            let _stopped = stopped.await;
        },
    ));
    let mut peers = Vec::new();
    for _ in 0..2 {
        let mut peer = TcpStream::connect(address).await.unwrap();
        peer.write_all(ENVIRONMENT.as_bytes()).await.unwrap();
        assert_eq!(told.recv().await, Some(None));
        peers.push(peer);
    }
    let mut third = Peer(BufReader::new(TcpStream::connect(address).await.unwrap()));
    assert_eq!(told.recv().await, Some(Some(Error::Full)));
    assert!(third.is_closed().await);
    // Both end by a panic; then there is room again.
    door.add_permits(1);
    for peer in peers {
        let mut peer = Peer(BufReader::new(peer));
        assert!(peer.is_closed().await);
    }
    let mut again = TcpStream::connect(address).await.unwrap();
    again.write_all(ENVIRONMENT.as_bytes()).await.unwrap();
    assert_eq!(told.recv().await, Some(None));
    drop(stop);
    task.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn stops() {
    let mut server = Server::new(Allowed::Loopback).await;
    let _silent = server.connect().await;
    drop(server.stop.take());
    // One that is on comes to its end first; none, where the stop was seen before the connection.
    server.task.await.unwrap();
    let error = server.arrivals.recv().await.and_then(Result::err);
    assert!(
        matches!(error, Some(Error::TimedOut(Waited::Environment)) | None),
        "{error:?}"
    );
}
