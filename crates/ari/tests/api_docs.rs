//! Our tables against the description that a running Asterisk serves of itself.
//!
//! Needs `IVRPAY_TEST_ARI_URL`, `IVRPAY_TEST_ARI_USER` and `IVRPAY_TEST_ARI_PASSWORD_FILE`; `make e2e` sets them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::HashMap,
    env, fs,
    io::{Read, Write},
    net::TcpStream,
};

use base64::Engine as _;
use ivrpay_ari::{
    Client, Config,
    contract::{FIELDS, REQUESTS},
};
use secrecy::SecretString;
use serde_json::Value;

/// Fields that Asterisk versions we support don't have; ours are then at their defaults.
const SINCE: &[(&str, &str)] = &[
    ("Channel", "protocol_id"),
    ("DialplanCEP", "app_name"),
    ("DialplanCEP", "app_data"),
];

struct Asterisk {
    authority: String,
    path: String,
    user: String,
    password: String,
}

impl Asterisk {
    fn from_env() -> Option<Self> {
        let url = env::var("IVRPAY_TEST_ARI_URL").ok()?;
        let user =
            env::var("IVRPAY_TEST_ARI_USER").expect("IVRPAY_TEST_ARI_USER is set beside the URL");
        let file = env::var("IVRPAY_TEST_ARI_PASSWORD_FILE")
            .expect("the password file is set beside the URL");
        let password = fs::read_to_string(file)
            .expect("the password file can be read")
            .trim()
            .to_owned();
        let rest = url
            .split_once("://")
            .expect("a URL")
            .1
            .trim_end_matches('/')
            .trim_end_matches("/ari");
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Some(Self {
            authority: authority.to_owned(),
            path: path.to_owned(),
            user,
            password,
        })
    }

    fn document(&self, name: &str) -> Value {
        let login = base64::engine::general_purpose::STANDARD
            .encode(format!("{}:{}", self.user, self.password));
        let mut stream = TcpStream::connect(&self.authority).unwrap();
        write!(
            stream,
            "GET {}/ari/api-docs/{name} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Basic {login}\r\n\r\n",
            self.path, self.authority
        )
        .unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let head = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap()
            + 4;
        assert!(
            bytes.starts_with(b"HTTP/1.1 200"),
            "{name}: {:?}",
            String::from_utf8_lossy(&bytes[..head])
        );
        serde_json::from_slice(&bytes[head..]).expect(name)
    }
}

#[test]
fn the_running_asterisk_has_all_that_we_use() {
    let Some(asterisk) = Asterisk::from_env() else {
        println!(
            "not run: IVRPAY_TEST_ARI_URL is not set; `make e2e` runs this against its Asterisk"
        );
        return;
    };
    let mut documents: HashMap<&str, Value> = HashMap::new();
    let names = REQUESTS
        .iter()
        .map(|r| r.document)
        .chain(FIELDS.iter().map(|f| f.document));
    for name in names {
        documents
            .entry(name)
            .or_insert_with(|| asterisk.document(name));
    }
    let mut missing = Vec::new();
    for field in FIELDS {
        let property = &documents[field.document]["models"][field.model]["properties"][field.field];
        let kind = property["type"].as_str();
        let promised = property["required"].as_bool() == Some(true);
        let late = kind.is_none() && SINCE.contains(&(field.model, field.field));
        if !late && (kind != Some(field.kind) || (field.needed && !promised)) {
            missing.push(format!(
                "{}.{}: {:?}, promised {promised}",
                field.model, field.field, kind
            ));
        }
    }
    // Has no field of its own.
    if !documents["events.json"]["models"]["ApplicationReplaced"].is_object() {
        missing.push("ApplicationReplaced".to_owned());
    }
    for sent in REQUESTS {
        let operation = documents[sent.document]["apis"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|api| api["path"] == sent.path)
            .flat_map(|api| api["operations"].as_array().into_iter().flatten())
            .find(|operation| operation["httpMethod"] == sent.method);
        let Some(operation) = operation else {
            missing.push(format!("{} {}", sent.method, sent.path));
            continue;
        };
        for parameter in sent.parameters {
            let known = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|p| p["name"] == *parameter);
            if !known {
                missing.push(format!("{} {}: {parameter}", sent.method, sent.path));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// What only a real answer can show: that the bodies are taken, and the answers read.
#[tokio::test]
async fn the_running_asterisk_answers_the_client() {
    let Some(asterisk) = Asterisk::from_env() else {
        println!(
            "not run: IVRPAY_TEST_ARI_URL is not set; `make e2e` runs this against its Asterisk"
        );
        return;
    };
    let url = format!("http://{}{}", asterisk.authority, asterisk.path);
    let password = SecretString::from(asterisk.password);
    let client = Client::new(&Config::new(
        &url,
        &asterisk.user,
        password,
        "ivrpay-contract",
    ))
    .unwrap();
    client.ping().await.unwrap();
    assert!(client.info().await.unwrap().version.contains('.'));
    assert!(!client.modules().await.unwrap().is_empty());
    client.logging().await.unwrap();
    client.applications().await.unwrap();
    client.channels().await.unwrap();
}
