//! The server against the `AGI()` of a running Asterisk: the lab's, on this machine.
//!
//! Needs `IVRPAY_TEST_AMI_ADDRESS`, `IVRPAY_TEST_AMI_USER` and `IVRPAY_TEST_AMI_PASSWORD_FILE`, the user having
//! `write = command,reporting`; `make e2e` sets them. Makes a context of its own in the dialplan, and takes it out again.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;
use std::{env, fs};

use ivrpay_agi::{Allowed, ChannelState, Error, Listener, Session};
use ivrpay_ami::{Client, Config, connect};
use secrecy::SecretString;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

const CONTEXT: &str = "ivrpay-agi-test";
/// Longest wait for anything: a call here takes a second or two.
const PATIENCE: Duration = Duration::from_secs(20);

async fn ami() -> Option<Client> {
    let address = env::var("IVRPAY_TEST_AMI_ADDRESS").ok()?;
    let user = env::var("IVRPAY_TEST_AMI_USER").expect("the user is set beside the address");
    let file = env::var("IVRPAY_TEST_AMI_PASSWORD_FILE").expect("and so is the password file");
    let password = fs::read_to_string(file).expect("the password file can be read");
    let config = Config::new(&address, &user, SecretString::from(password.trim()));
    Some(connect(&config).await.unwrap().0)
}

/// Lines of one extension, each `APPLICATION(ARGUMENTS)`.
async fn extension(ami: &Client, name: &str, lines: &[String]) {
    for (number, line) in lines.iter().enumerate() {
        // What the command line would take for the end of a word.
        let line = line.replace('"', "\\\"");
        let add = format!(
            "dialplan add extension {name},{},\"{line}\" into {CONTEXT} replace",
            number + 1
        );
        ami.command(&add).await.unwrap();
    }
}

/// A call whose one leg runs `asks` and whose other runs `keys`.
async fn call(ami: &Client, asks: &str, keys: &str) {
    let originate =
        format!("channel originate Local/{keys}@{CONTEXT}/n extension {asks}@{CONTEXT}");
    ami.command(&originate).await.unwrap();
}

/// Waits until a global variable has a value, which it gives.
async fn global(ami: &Client, name: &str) -> String {
    let wait = async {
        loop {
            let answer = ami.action("Getvar", &[("Variable", name)]).await.unwrap();
            match answer.get("Value") {
                Some(value) if !value.is_empty() => return value.to_owned(),
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("{name} was not set"))
}

/// Leads the call of `pay`; what it saw.
async fn pay(mut session: Session) -> Result<(), Error> {
    let request = session.request().clone();
    // A comma ends the address: what follows is an argument.
    assert_eq!(
        (request.script(), request.query(), request.arguments()),
        ("pay", Some("mode=hold"), &["tenant=demo".to_owned()][..])
    );
    assert_eq!(
        (request.parameter("mode"), request.parameter("tenant")),
        (Some("hold"), Some("demo"))
    );
    assert_eq!(
        (request.context(), request.extension(), request.priority()),
        (CONTEXT, "pay", 2)
    );
    assert!(request.channel().starts_with("Local/"));

    let own = session.get_variable("CHANNEL").await?;
    assert_eq!(own.as_deref(), Some(request.channel()));
    let unique = session.get_variable("UNIQUEID").await?;
    assert_eq!(unique.as_deref(), Some(request.unique_id()));
    assert_eq!(session.get_variable("IVRPAY_NONE").await?, None);
    assert_eq!(
        session.get_variable("CHANNEL(state)").await?,
        Some("Up".into())
    );
    assert_eq!(session.evaluate("${LEN(abc)}-${IVRPAY_NONE}").await?, "3-");
    assert_eq!(session.channel_status().await?, ChannelState::Up);

    // What the parser of Asterisk could take for something else comes back as it went.
    for value in [
        "",
        " ",
        "a b",
        "\"q\" \\ ${EXTEN} (x) y)",
        "200 result=1 (z)",
        "番号",
        "a,b;c",
    ] {
        session.set_variable("IVRPAY_VALUE", value).await?;
        let got = session.get_variable("IVRPAY_VALUE").await?;
        assert_eq!(got.as_deref(), Some(value));
        assert_eq!(session.evaluate("${IVRPAY_VALUE}").await?, value);
    }
    session.set_variable("CHANNEL(language)", "en").await?;
    let language = session.get_variable("CHANNEL(language)").await?;
    assert_eq!(language.as_deref(), Some("en"));
    session.verbose("a \"word\" for the log", 1).await?;

    let whole = session.stream_file("beep", "").await?;
    assert_eq!(whole.key, None);
    assert!(whole.samples > 100, "{whole:?}");
    assert_eq!(
        session.stream_file("ivrpay-no-such-file", "").await,
        Err(Error::Failed)
    );

    let short = Duration::from_millis(1);
    assert_eq!(session.wait_for_key(short).await?, None);
    session
        .set_variable("GLOBAL(IVRPAY_AGI_READY)", "1")
        .await?;
    let ended = session.stream_file("demo-instruct", "5").await?;
    assert_eq!(ended.key, Some('5'));
    // The other leg keys 5 and 7 in turn, and the 5 may come again.
    let mut key = None;
    for _ in 0..3 {
        key = session.wait_for_key(Duration::from_secs(5)).await?;
        if key == Some('7') {
            break;
        }
    }
    assert_eq!(key, Some('7'));

    assert_eq!(session.exec("NoOp", "").await?, 0);
    assert_eq!(session.exec("Set", "IVRPAY_SET=a \"b\", c").await?, 0);
    let set = session.get_variable("IVRPAY_SET").await?;
    assert_eq!(set.as_deref(), Some("a \"b\", c"));
    assert_eq!(
        session.exec("IvrpayHasNone", "").await,
        Err(Error::NoSuchApplication)
    );
    session.set_variable("IVRPAY_PAIR", "token-1").await?;
    Ok(())
}

/// Plays until the other leg hangs up.
async fn hung_up(mut session: Session) -> Result<(), Error> {
    let played = session.stream_file("demo-instruct", "").await;
    assert_eq!(played, Err(Error::HungUp));
    assert!(session.is_hung_up());
    assert_eq!(session.channel_status().await, Err(Error::HungUp));
    let unique = session.get_variable("UNIQUEID").await?;
    assert_eq!(unique.as_deref(), Some(session.request().unique_id()));
    session
        .set_variable("GLOBAL(IVRPAY_AGI_HUNGUP)", "set after it")
        .await?;
    assert_eq!(session.exec("NoOp", "").await?, 0);
    Ok(())
}

#[tokio::test]
async fn asterisk_answers_as_we_read_it() {
    let Some(ami) = ami().await else { return };
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Allowed::Loopback, 4)
        .await
        .unwrap();
    let port = listener.address().unwrap().port();
    let (tell, mut done) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let failures = tell.clone();
    let task = tokio::spawn(listener.serve(
        move |session| {
            let tell = tell.clone();
            async move {
                let end = match session.request().script() {
                    "pay" => pay(session).await,
                    "hung-up" => hung_up(session).await,
                    // Closed at once, as one that finds no place free.
                    _ => Ok(()),
                };
                let _sent = tell.send(end);
            }
        },
        move |error| {
            let _sent = failures.send(Err(error));
        },
        async move {
            let _stopped = stopped.await;
        },
    ));
    let line = |text: &str| text.to_owned();
    let mut lines = vec![
        line("Answer()"),
        format!("AGI(agi://127.0.0.1:{port}/pay?mode=hold,tenant=demo)"),
        line("Set(GLOBAL(IVRPAY_AGI_PAY)=${AGISTATUS}:${IVRPAY_PAIR})"),
        line("Hangup()"),
    ];
    extension(&ami, "pay", &lines).await;
    lines[1] = format!("AGI(agi://127.0.0.1:{port}/hung-up)");
    extension(&ami, "hung-up", &lines).await;
    lines[1] = format!("AGI(agi://127.0.0.1:{port}/closed)");
    lines[2] = line("Set(GLOBAL(IVRPAY_AGI_CLOSED)=${AGISTATUS}:${IVRPAY_PAIR})");
    extension(&ami, "closed", &lines).await;
    lines[2] = line("Set(GLOBAL(IVRPAY_AGI_AWAY)=${AGISTATUS}:${IVRPAY_PAIR})");
    extension(&ami, "away", &lines).await;
    // 5 and 7 in turn, once it is asked for keys.
    let keys = [
        "Answer()",
        "Wait(0.2)",
        "GotoIf($[\"${IVRPAY_AGI_READY}\"=\"\"]?2)",
        "SendDTMF(5)",
        "Wait(0.3)",
        "SendDTMF(7)",
        "Goto(2)",
    ];
    extension(&ami, "keys", &keys.map(line)).await;
    extension(
        &ami,
        "leaves",
        &["Answer()", "Wait(1)", "Hangup()"].map(line),
    )
    .await;
    extension(&ami, "stays", &["Answer()", "Wait(10)"].map(line)).await;
    for name in ["READY", "PAY", "CLOSED", "AWAY", "HUNGUP"] {
        let clear = format!("dialplan set global IVRPAY_AGI_{name} \"\"");
        ami.command(&clear).await.unwrap();
    }

    let mut ended = async || {
        timeout(PATIENCE, done.recv())
            .await
            .expect("an end")
            .expect("one that did not panic")
    };
    call(&ami, "pay", "keys").await;
    assert_eq!(ended().await, Ok(()));
    // Because of the sound file that is not there.
    assert_eq!(global(&ami, "IVRPAY_AGI_PAY").await, "FAILURE:token-1");

    call(&ami, "hung-up", "leaves").await;
    assert_eq!(ended().await, Ok(()));
    assert_eq!(global(&ami, "IVRPAY_AGI_HUNGUP").await, "set after it");

    call(&ami, "closed", "stays").await;
    assert_eq!(ended().await, Ok(()));
    assert_eq!(global(&ami, "IVRPAY_AGI_CLOSED").await, "SUCCESS:");

    drop(stop);
    task.await.unwrap();
    call(&ami, "away", "stays").await;
    assert_eq!(global(&ami, "IVRPAY_AGI_AWAY").await, "FAILURE:");
    for name in [
        "pay", "hung-up", "closed", "away", "keys", "leaves", "stays",
    ] {
        let remove = format!("dialplan remove extension {name}@{CONTEXT}");
        ami.command(&remove).await.unwrap();
    }
}
