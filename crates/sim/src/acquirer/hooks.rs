//! What an acquirer sends of itself, to an address that the control port was given, and how that goes wrong: late, twice, out of order,
//! signed by somebody else, never. What is not accepted is sent again, as acquirers do; here after seconds, not minutes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::held::Held;

/// How long a late one is late.
const LATE: Duration = Duration::from_secs(3);
/// Longest wait for an answer, as Adyen's.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Between two attempts; each is twice the one before.
const AGAIN: Duration = Duration::from_millis(500);
const ATTEMPTS: u32 = 6;

/// One message.
pub(crate) struct Outgoing {
    /// For the log: event and reference.
    pub(crate) name: String,
    /// Signed.
    pub(crate) body: String,
    /// The same, signed with another key.
    pub(crate) forged: String,
    /// The line of the header that signs it, made anew for each attempt; where the body is not signed itself.
    pub(crate) signature: Option<fn(&str, Signing) -> String>,
}

/// How an attempt is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signing {
    Good,
    Forged,
    /// As one of some time ago.
    Old,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Late,
    Twice,
    /// Behind the next one.
    OutOfOrder,
    Signature,
    /// A copy of an old one, where its time is signed.
    Old,
    Never,
}

const WRONGS: [(&str, Wrong); 6] = [
    ("late", Wrong::Late),
    ("twice", Wrong::Twice),
    ("out-of-order", Wrong::OutOfOrder),
    ("wrong-signature", Wrong::Signature),
    ("old", Wrong::Old),
    ("never", Wrong::Never),
];

/// What may go wrong with a message, for people.
pub(crate) fn help() -> String {
    let names = WRONGS.map(|row| row.0).join(", ");
    format!(
        "{{\"acquirer\": \"adyen\" or \"stripe\", \"fault\", \"times\"}}: of the next ones, one of {names}"
    )
}

#[derive(Clone)]
struct Target {
    address: SocketAddr,
    path: String,
    authorization: Option<String>,
}

#[derive(Default)]
struct Line {
    target: Option<Target>,
    /// What goes wrong with the next ones, in this order.
    wrongs: Vec<Wrong>,
    held: Vec<Outgoing>,
    /// Each attempt: what, and the status that it was answered; 0 without an answer.
    sent: Vec<Value>,
}

/// What is sent, by acquirer.
#[derive(Default)]
pub(crate) struct Hooks(Held<BTreeMap<String, Line>>);

impl Hooks {
    fn line<R>(&self, acquirer: &str, f: impl FnOnce(&mut Line) -> R) -> R {
        self.0
            .with(|lines| f(lines.entry(acquirer.to_owned()).or_default()))
    }

    pub(crate) fn reset(&self) {
        self.0.with(BTreeMap::clear);
    }

    pub(crate) fn log(&self, acquirer: &str) -> Value {
        self.line(acquirer, |line| line.sent.clone()).into()
    }

    /// What a control port was asked: `{"url", "user", "password"}`, or `{"fault", "times"}`.
    pub(crate) fn ask(&self, acquirer: &str, asked: &Value) -> Result<Value, String> {
        if let Some(url) = asked["url"].as_str() {
            let target = Target::read(url, asked)?;
            self.line(acquirer, |line| line.target = Some(target));
            return Ok(json!({"url": url}));
        }
        let name = asked["fault"].as_str().unwrap_or_default();
        let wrong = WRONGS.iter().find(|row| row.0 == name);
        let names = WRONGS.map(|row| row.0).join(", ");
        let (name, wrong) = wrong.ok_or(format!("url, event, or fault: one of {names}"))?;
        let times = usize::try_from(asked["times"].as_u64().unwrap_or(1)).unwrap_or(1);
        let wrongs = std::iter::repeat_n(*wrong, times.min(1_000));
        self.line(acquirer, |line| line.wrongs.extend(wrongs));
        Ok(json!({"asked": name}))
    }

    /// Sends, where there is an address; comes back at once.
    pub(crate) fn send(self: &Arc<Self>, acquirer: &'static str, all: Vec<Outgoing>) {
        for one in all {
            let ready = self.line(acquirer, |line| {
                let target = line.target.clone()?;
                let wrong = (!line.wrongs.is_empty()).then(|| line.wrongs.remove(0));
                if wrong == Some(Wrong::OutOfOrder) {
                    line.held.push(one);
                    return None;
                }
                Some((target, wrong, one, std::mem::take(&mut line.held)))
            });
            let Some((target, wrong, one, held)) = ready else {
                continue;
            };
            let this = Arc::clone(self);
            tokio::spawn(async move {
                this.deliver(acquirer, &target, wrong, &one).await;
                for before in &held {
                    this.deliver(acquirer, &target, None, before).await;
                }
            });
        }
    }

    async fn deliver(&self, acquirer: &str, to: &Target, wrong: Option<Wrong>, one: &Outgoing) {
        let (times, body) = match wrong {
            Some(Wrong::Never) => return,
            Some(Wrong::Twice) => (2, &one.body),
            Some(Wrong::Signature) => (1, &one.forged),
            _ => (1, &one.body),
        };
        let signing = match wrong {
            Some(Wrong::Signature) => Signing::Forged,
            Some(Wrong::Old) => Signing::Old,
            _ => Signing::Good,
        };
        if wrong == Some(Wrong::Late) {
            tokio::time::sleep(LATE).await;
        }
        for _ in 0..times {
            for attempt in 0..ATTEMPTS {
                let signature = one.signature.map(|sign| sign(body, signing));
                let posted = to.post(body, signature.as_deref().unwrap_or_default());
                let answer = tokio::time::timeout(ANSWER_MAX, posted).await;
                let answer = answer.ok().flatten();
                let status = answer.as_ref().map_or(0, |(status, _)| *status);
                let sent = json!({"message": one.name, "status": status});
                self.line(acquirer, |line| line.sent.push(sent));
                if answer.is_some_and(|(status, body)| status == 200 && body == "[accepted]") {
                    break;
                }
                tokio::time::sleep(AGAIN * 2_u32.pow(attempt)).await;
            }
        }
    }
}

impl Target {
    fn read(url: &str, asked: &Value) -> Result<Self, String> {
        let wrong = || format!("{url}: http://ADDRESS:PORT/PATH of this machine is expected");
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let (address, path) = rest.split_once('/').ok_or_else(wrong)?;
        let address: SocketAddr = address.parse().map_err(|_| wrong())?;
        if !address.ip().is_loopback() {
            return Err(wrong());
        }
        let authorization = asked["user"].as_str().map(|user| {
            let password = asked["password"].as_str().unwrap_or_default();
            let pair = format!("{user}:{password}");
            let pair = base64::engine::general_purpose::STANDARD.encode(pair);
            format!("Basic {pair}")
        });
        Ok(Self {
            address,
            path: format!("/{path}"),
            authorization,
        })
    }

    /// Status and body of the answer.
    async fn post(&self, body: &str, signature: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        let authorization = self.authorization.as_ref();
        let authorization =
            authorization.map_or_else(String::new, |value| format!("authorization: {value}\r\n"));
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n{authorization}{signature}\r\n{body}",
            self.path,
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.take(64 * 1024).read_to_end(&mut answer).await.ok()?;
        let answer = String::from_utf8(answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }
}
