//! The client against the AMI of a running Asterisk: the lab's.
//!
//! Needs `IVRPAY_TEST_AMI_ADDRESS`, `IVRPAY_TEST_AMI_USER` and `IVRPAY_TEST_AMI_PASSWORD_FILE`, the user having
//! `write = command,reporting`; `make e2e` sets them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{env, fs};

use ivrpay_ami::{Config, Error, EventFilter, Login, Refusal, connect};
use secrecy::SecretString;

fn from_env() -> Option<Config> {
    let address = env::var("IVRPAY_TEST_AMI_ADDRESS").ok()?;
    let user = env::var("IVRPAY_TEST_AMI_USER").expect("the user is set beside the address");
    let file = env::var("IVRPAY_TEST_AMI_PASSWORD_FILE").expect("and so is the password file");
    let password = fs::read_to_string(file).expect("the password file can be read");
    Some(Config::new(
        &address,
        &user,
        SecretString::from(password.trim()),
    ))
}

#[tokio::test]
async fn asterisk_answers_as_we_read_it() {
    let Some(mut config) = from_env() else { return };
    for login in [Login::Challenge, Login::Plain] {
        config.login = login;
        let (client, _events) = connect(&config).await.unwrap();

        let ping = client.action("Ping", &[]).await.unwrap();
        assert_eq!(ping.get("Ping"), Some("Pong"));

        let version = client.command("core show version").await.unwrap();
        assert!(
            version[0].starts_with("Asterisk "),
            "{} lines",
            version.len()
        );
        let settings = client.command("core show settings").await.unwrap();
        assert!(
            settings
                .iter()
                .any(|l| l.contains("Root console verbosity"))
        );
        assert_eq!(
            client.command("ivrpay has no such command").await,
            Err(Error::Refused(Refusal::NoSuchCommand))
        );

        let core = client.action("CoreSettings", &[]).await.unwrap();
        assert!(core.get("AsteriskVersion").is_some());
        // No call is on; a list ends all the same.
        client.list("CoreShowChannels", &[]).await.unwrap();
        let channel = [("Channel", "PJSIP/none-1"), ("Variable", "X")];
        assert_eq!(
            client.action("Getvar", &channel).await,
            Err(Error::Refused(Refusal::NoSuchChannel))
        );
        assert_eq!(
            client.action("NoSuchAction", &[]).await,
            Err(Error::Refused(Refusal::NoSuchAction))
        );
        // Needs the class call, which an auditor does not have.
        assert_eq!(
            client.action("MixMonitorMute", &channel).await,
            Err(Error::Refused(Refusal::Permission))
        );
    }
    config.password = SecretString::from("wrong");
    for login in [Login::Challenge, Login::Plain] {
        config.login = login;
        assert_eq!(connect(&config).await.err(), Some(Error::LoginRefused));
    }
}

#[tokio::test]
async fn a_user_without_read_gets_no_events() {
    let Some(mut config) = from_env() else { return };
    config.events = Some(EventFilter {
        classes: "on".to_owned(),
        names: Default::default(),
    });
    let (client, mut events) = connect(&config).await.unwrap();
    for _ in 0..3 {
        client.command("core show uptime").await.unwrap();
    }
    drop(client);
    assert_eq!(events.next().await, Err(Error::Closed));
}
