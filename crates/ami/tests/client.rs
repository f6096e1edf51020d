//! The client against a server that says what a test tells it to.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ivrpay_ami::{
    Client, Config, Error, EventFilter, Events, LIST_EVENTS_MAX, Limit, Login, REQUESTS_MAX,
    Refusal, connect,
};
use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A server's side of one connection.
struct Peer(BufReader<TcpStream>);

impl Peer {
    async fn say(&mut self, text: &str) {
        // A client that has given up is what some tests want.
        drop(self.0.get_mut().write_all(text.as_bytes()).await);
    }

    /// The lines of the next action; empty when the client is gone.
    async fn hear(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await.unwrap_or(0) == 0 {
                return Vec::new();
            }
            match line.trim_end_matches("\r\n") {
                "" => return lines,
                line => lines.push(line.to_owned()),
            }
        }
    }

    /// The number of the next action, which must be of this name.
    async fn hear_id(&mut self, action: &str) -> String {
        let heard = self.hear().await;
        assert_eq!(heard[0], format!("Action: {action}"));
        heard[1].strip_prefix("ActionID: ").unwrap().to_owned()
    }

    /// Banner and login by challenge.
    async fn let_in(&mut self) {
        self.say("Asterisk Call Manager/9.0.0\r\n").await;
        self.hear_id("Challenge").await;
        self.say("Response: Success\r\nActionID: login\r\nChallenge: 123\r\n\r\n")
            .await;
        self.hear_id("Login").await;
        self.say(
            "Response: Success\r\nActionID: login\r\nMessage: Authentication accepted\r\n\r\n",
        )
        .await;
    }
}

/// A server that lives as long as `script`, and a configuration for it.
async fn server<F: Future<Output = ()> + Send>(
    script: impl FnOnce(Peer) -> F + Send + 'static,
) -> (Config, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new(
        &listener.local_addr().unwrap().to_string(),
        "audit",
        SecretString::from("secret"),
    );
    config.connect_timeout = Duration::from_millis(500);
    config.answer_timeout = Duration::from_millis(500);
    let task = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        script(Peer(BufReader::new(socket))).await;
    });
    (config, task)
}

/// A client that is logged in, before a server that then does as `script` says.
async fn logged_in<F: Future<Output = ()> + Send + 'static>(
    script: impl FnOnce(Peer) -> F + Send + 'static,
) -> (Client, Events, JoinHandle<()>) {
    let (config, task) = server(|mut peer: Peer| async {
        peer.let_in().await;
        script(peer).await;
    })
    .await;
    let (client, events) = connect(&config).await.unwrap();
    (client, events, task)
}

#[tokio::test]
async fn login_by_challenge_asks_for_no_events() {
    let (config, task) = server(|mut peer| async move {
        peer.say("Asterisk Call Manager/9.0.0\r\n").await;
        let challenge = peer.hear().await;
        assert_eq!(
            challenge,
            ["Action: Challenge", "ActionID: login", "AuthType: MD5"]
        );
        // An event may come between: FullyBooted, a message of a module.
        peer.say("Event: FullyBooted\r\nStatus: Fully Booted\r\n\r\nResponse: Success\r\nChallenge: 123\r\n\r\n").await;
        let login = peer.hear().await;
        assert_eq!(
            login,
            [
                "Action: Login",
                "ActionID: login",
                "AuthType: MD5",
                "Username: audit",
                // md5sum of 123secret
                "Key: ad4f596c85c6fd9fad1cbd30efb611c2",
                "Events: off",
            ]
        );
        peer.say("Response: Success\r\n\r\n").await;
        peer.hear().await;
    })
    .await;
    let (client, _) = connect(&config).await.unwrap();
    assert_eq!(client.interface_version(), "9.0.0");
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn login_in_clear_sends_the_password_once() {
    let (mut config, task) = server(|mut peer| async move {
        peer.say("Asterisk Call Manager/2.10.6\r\n").await;
        let login = peer.hear().await;
        assert_eq!(
            login[2..],
            ["Username: audit", "Secret: secret", "Events: call"]
        );
        peer.say("Response: Success\r\n\r\n").await;
        peer.hear().await;
    })
    .await;
    config.login = Login::Plain;
    config.events = Some(EventFilter {
        classes: "call".to_owned(),
        names: BTreeSet::new(),
    });
    drop(connect(&config).await.unwrap());
    task.await.unwrap();
}

/// What a server says before and instead of a login, and what the admin is told.
#[tokio::test]
async fn whoever_is_not_asterisk_or_says_no() {
    let refused = "Response: Error\r\nMessage: Authentication failed\r\n\r\n";
    let table = [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "", Error::NotAsterisk),
        ("SSH-2.0-OpenSSH_9.9\r\n", "", Error::NotAsterisk),
        ("Asterisk Call Manager/\r\n", "", Error::NotAsterisk),
        ("\0\u{1}\u{2}\r\n", "", Error::NotAsterisk),
        ("", "", Error::Closed),
        ("Asterisk Call", "", Error::Closed),
        ("Asterisk Call Manager/9.0.0\r\n", "", Error::Closed),
        (
            "Asterisk Call Manager/9.0.0\r\n",
            "Response: Succ",
            Error::Closed,
        ),
        (
            "Asterisk Call Manager/9.0.0\r\n",
            refused,
            Error::LoginRefused,
        ),
        (
            "Asterisk Call Manager/9.0.0\r\n",
            "Response: Success\r\n\r\n",
            Error::NotAsterisk,
        ),
        (
            "Asterisk Call Manager/9.0.0\r\n",
            "what: is this\r\n\r\n",
            Error::NotAsterisk,
        ),
    ];
    for (first, then, expected) in table {
        let (config, task) = server(move |mut peer| async move {
            peer.say(first).await;
            if !then.is_empty() {
                peer.hear().await;
                peer.say(then).await;
            }
        })
        .await;
        let got = connect(&config).await.err();
        assert_eq!(got, Some(expected), "{first:?} {then:?}");
        assert!(!expected.hint().is_empty());
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_banner_without_an_end_is_not_asterisk() {
    let (config, task) = server(|mut peer| async move {
        peer.say(&"x".repeat(100_000)).await;
        peer.hear().await;
    })
    .await;
    assert_eq!(connect(&config).await.err(), Some(Error::NotAsterisk));
    task.await.unwrap();
}

#[tokio::test]
async fn nobody_listens_and_nobody_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut config = Config::new(&address, "audit", SecretString::from("secret"));
    config.connect_timeout = Duration::from_millis(200);
    let began = Instant::now();
    assert_eq!(connect(&config).await.err(), Some(Error::TimedOut));
    assert!(began.elapsed() < Duration::from_secs(2));
    drop(listener);
    let got = connect(&config).await.err();
    assert_eq!(
        got,
        Some(Error::Unreachable(std::io::ErrorKind::ConnectionRefused))
    );
}

/// A server that gives a byte now and then never lets the login finish: the limit is over all of it.
#[tokio::test]
async fn a_slow_login_ends_at_the_limit() {
    let (config, task) = server(|mut peer| async move {
        loop {
            peer.say("A").await;
            // Ends when the client goes.
            let mut byte = [0];
            let gone = tokio::time::timeout(Duration::from_millis(20), peer.0.read(&mut byte));
            if gone.await.is_ok() {
                return;
            }
        }
    })
    .await;
    let began = Instant::now();
    assert_eq!(connect(&config).await.err(), Some(Error::TimedOut));
    assert!(began.elapsed() < Duration::from_secs(2));
    task.await.unwrap();
}

#[tokio::test]
async fn answers_find_their_request_in_any_order() {
    let (client, _events, task) = logged_in(|mut peer| async move {
        let first = peer.hear_id("Getvar").await;
        let second = peer.hear_id("Getvar").await;
        for id in [&second, &first] {
            peer.say(&format!(
                "Response: Success\r\nActionID: {id}\r\nValue: of {id}\r\n\r\n"
            ))
            .await;
        }
        peer.hear().await;
    })
    .await;
    let ask = || client.action("Getvar", &[("Variable", "X")]);
    let (a, b) = tokio::join!(ask(), ask());
    let (a, b) = (a.unwrap(), b.unwrap());
    for answer in [&a, &b] {
        let id = answer.get("ActionID").unwrap();
        assert_eq!(answer.get("Value"), Some(&*format!("of {id}")));
    }
    assert_ne!(a.get("Value"), b.get("Value"));
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn a_refusal_says_why() {
    let table = [
        ("Permission denied", Refusal::Permission),
        (
            "Invalid/unknown command: X. Use Action: ListCommands to show available commands.",
            Refusal::NoSuchAction,
        ),
        ("No such channel", Refusal::NoSuchChannel),
        ("Channel not specified", Refusal::Other),
    ];
    let (client, _events, task) = logged_in(move |mut peer| async move {
        for (message, _) in table {
            let id = peer.hear_id("X").await;
            peer.say(&format!(
                "Response: Error\r\nActionID: {id}\r\nMessage: {message}\r\n\r\n"
            ))
            .await;
        }
        peer.hear().await;
    })
    .await;
    for (_, refusal) in table {
        let got = client.action("X", &[]).await;
        assert_eq!(got, Err(Error::Refused(refusal)));
    }
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn commands_of_old_and_new_asterisk() {
    let table: [(&str, Result<&[&str], Error>); 7] = [
        (
            "Response: Success\r\n#Message: Command output follows\r\nOutput: a\r\nOutput: b: c\r\n\r\n",
            Ok(&["a", "b: c"]),
        ),
        (
            "Response: Follows\r\nPrivilege: Command\r\n#a\n\nb: c\n--END COMMAND--\r\n\r\n",
            Ok(&["a", "", "b: c"]),
        ),
        (
            "Response: Error\r\n#Message: Command output follows\r\nOutput: No such command 'x' (type 'core show help x' for other possible commands)\r\n\r\n",
            Err(Error::Refused(Refusal::NoSuchCommand)),
        ),
        (
            "Response: Follows\r\nPrivilege: Command\r\n#No such command 'x' (type ...)\n--END COMMAND--\r\n\r\n",
            Err(Error::Refused(Refusal::NoSuchCommand)),
        ),
        (
            "Response: Error\r\n#Message: Permission denied\r\n\r\n",
            Err(Error::Refused(Refusal::Permission)),
        ),
        // A command that failed, and says so itself.
        (
            "Response: Error\r\n#Message: Command output follows\r\nOutput: odd is not a known channel\r\n\r\n",
            Ok(&["odd is not a known channel"]),
        ),
        ("Response: Success\r\n#\r\n", Ok(&[])),
    ];
    let answers = table.map(|(answer, _)| answer);
    let (client, _events, task) = logged_in(move |mut peer| async move {
        for answer in answers {
            let id = peer.hear_id("Command").await;
            let answer = answer.replacen('#', &format!("ActionID: {id}\r\n"), 1);
            peer.say(&answer).await;
        }
        peer.hear().await;
    })
    .await;
    for (answer, expected) in table {
        let got = client.command("x").await;
        let expected = expected.map(|lines| lines.iter().map(|l| (*l).to_owned()).collect());
        assert_eq!(got, expected, "{answer:?}");
    }
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn lists_are_gathered_and_other_events_go_to_the_stream() {
    let (config, task) = server(|mut peer: Peer| async move {
        peer.let_in().await;
        let id = peer.hear_id("CoreShowChannels").await;
        peer.say(&format!(
            "Event: Hangup\r\nChannel: other\r\n\r\n\
             Response: Success\r\nActionID: {id}\r\nEventList: start\r\n\r\n\
             Event: CoreShowChannel\r\nActionID: {id}\r\nChannel: a\r\n\r\n\
             Event: Newexten\r\nChannel: unwanted\r\n\r\n\
             Event: CoreShowChannel\r\nActionID: {id}\r\nChannel: b\r\n\r\n\
             Event: CoreShowChannelsComplete\r\nActionID: {id}\r\nEventList: Complete\r\nListItems: 2\r\n\r\n\
             Event: Hangup\r\nChannel: last\r\n\r\n"
        ))
        .await;
        let id = peer.hear_id("Ping").await;
        peer.say(&format!("Response: Success\r\nActionID: {id}\r\nPing: Pong\r\n\r\n")).await;
        let id = peer.hear_id("Originate").await;
        // Answered later, by an event that bears the id.
        peer.say(&format!("Response: Success\r\nActionID: {id}\r\n\r\nEvent: Hangup\r\nActionID: {id}\r\nChannel: originated\r\n\r\n")).await;
    })
    .await;
    let mut config = config;
    config.events = Some(EventFilter {
        classes: "on".to_owned(),
        names: BTreeSet::from(["Hangup".to_owned()]),
    });
    let (client, mut events) = connect(&config).await.unwrap();
    let list = client.list("CoreShowChannels", &[]).await.unwrap();
    let channels: Vec<_> = list.iter().filter_map(|e| e.get("Channel")).collect();
    assert_eq!(channels, ["a", "b"]);
    assert_eq!(client.list("Ping", &[]).await, Err(Error::NotAList));
    client.action("Originate", &[]).await.unwrap();
    for expected in ["other", "last", "originated"] {
        let event = events.next().await.unwrap();
        assert_eq!(event.get("Channel"), Some(expected));
    }
    // The server is gone: that is told after the last event, and to whoever asks.
    assert_eq!(events.next().await, Err(Error::Closed));
    assert_eq!(client.action("Ping", &[]).await, Err(Error::Closed));
    assert_eq!(events.lost(), 0);
    task.await.unwrap();
}

#[tokio::test]
async fn an_endless_list_ends_the_connection() {
    let (client, _events, task) = logged_in(|mut peer| async move {
        let id = peer.hear_id("Status").await;
        peer.say(&format!(
            "Response: Success\r\nActionID: {id}\r\nEventList: start\r\n\r\n"
        ))
        .await;
        let one = format!("Event: Status\r\nActionID: {id}\r\n\r\n").repeat(500);
        for _ in 0..=LIST_EVENTS_MAX / 500 {
            peer.say(&one).await;
        }
        peer.hear().await;
    })
    .await;
    let too_much = Err(Error::TooMuch(Limit::ListEvents));
    assert_eq!(client.list("Status", &[]).await, too_much);
    assert_eq!(client.list("Status", &[]).await, too_much);
    task.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_drops_in_the_middle_of_an_answer() {
    for half in [
        "",
        "Response: Success\r\nActionID: #\r\n",
        "Response: Success\r\nActionID: #\r\nEventList: start\r\n\r\nEvent: Status\r\n",
        "Response: Follows\r\nPrivilege: Command\r\nActionID: #\r\nhalf an out",
    ] {
        let (client, _events, task) = logged_in(move |mut peer| async move {
            let id = peer.hear_id("Status").await;
            peer.say(&half.replace('#', &id)).await;
        })
        .await;
        let began = Instant::now();
        let got = client.list("Status", &[]).await;
        assert_eq!(got, Err(Error::Closed), "{half:?}");
        assert!(began.elapsed() < Duration::from_millis(400), "told at once");
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_late_answer_is_nobodys_and_the_next_request_gets_its_own() {
    let (client, _events, task) = logged_in(|mut peer| async move {
        let late = peer.hear_id("Slow").await;
        let id = peer.hear_id("Ping").await;
        for id in [late, id] {
            peer.say(&format!(
                "Response: Success\r\nActionID: {id}\r\nOf: {id}\r\n\r\n"
            ))
            .await;
        }
        peer.hear().await;
    })
    .await;
    assert_eq!(client.action("Slow", &[]).await, Err(Error::TimedOut));
    let answer = client.action("Ping", &[]).await.unwrap();
    assert_eq!(answer.get("Of"), answer.get("ActionID"));
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn requests_at_once_are_limited() {
    let (client, _events, task) = logged_in(|mut peer| async move {
        for _ in 0..REQUESTS_MAX {
            peer.hear_id("Slow").await;
        }
        // Until the client goes.
        assert!(peer.hear().await.is_empty());
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..REQUESTS_MAX {
        let client = client.clone();
        let mut request = Box::pin(async move { client.action("Slow", &[]).await });
        // Begun, and under way.
        tokio::select! {
            biased;
            _ = &mut request => panic!("nobody answered"),
            () = tokio::task::yield_now() => {}
        }
        open.push(request);
    }
    assert_eq!(client.action("Ping", &[]).await, Err(Error::Busy));
    drop(open);
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn nothing_that_would_be_two_lines_goes_out() {
    let (client, _events, task) = logged_in(|mut peer| async move {
        assert!(peer.hear().await.is_empty(), "nothing was sent");
    })
    .await;
    let bad = "x\r\nAction: Originate";
    assert_eq!(
        client.action("Getvar", &[("Variable", bad)]).await,
        Err(Error::Field)
    );
    assert_eq!(client.action(bad, &[]).await, Err(Error::Field));
    assert_eq!(client.command(bad).await, Err(Error::Field));
    drop(client);
    task.await.unwrap();
}
