//! What the daemon announces: one `GET /v1/events` (server-sent events), shared by all calls of this process.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

/// One announcement. Read by its JSON, not by the daemon's own type, so that a change of the wire is noticed here.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Announced {
    #[serde(default)]
    pub(crate) seq: u64,
    #[serde(default)]
    pub(crate) call_id: Option<String>,
    /// Call-ID of the INVITE.
    #[serde(default)]
    pub(crate) sip_call_id: Option<String>,
    /// `call-started`, `step`, `digits`, `call-ended`, …
    pub(crate) event: String,
    #[serde(default)]
    pub(crate) step: Option<String>,
    #[serde(default)]
    pub(crate) attempt: Option<u32>,
    #[serde(default)]
    pub(crate) error: Option<String>,
    #[serde(default)]
    pub(crate) result: Option<String>,
    #[serde(default)]
    pub(crate) payment_id: Option<String>,
}

/// What a call is told.
#[derive(Debug)]
pub(crate) enum Told {
    Announced(Announced),
    /// The stream ended; it is being opened again.
    Lost,
    Back,
}

/// Where the daemon announces what happens in its calls.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Announcements {
    /// `GET /v1/events` of the daemon.
    #[arg(long, value_name = "URL")]
    events: Option<String>,
    /// The bearer key for it.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// Why there is no stream for a script that needs one.
#[derive(Debug)]
pub(crate) enum NoFeed {
    /// The key can't be read.
    Key(anyhow::Error),
    /// The daemon is away, and the script waits for its steps.
    Daemon(anyhow::Error),
}

impl Announcements {
    /// Opens the stream, if there is one. A daemon that is away is no error for a script that does not wait for it: what the
    /// dialplan does then is worth a call; `who` says so then.
    ///
    /// # Errors
    /// Where the script can't be followed.
    pub(crate) async fn feed(&self, who: &str, waits: bool) -> Result<Option<Feed>, NoFeed> {
        let Some(url) = &self.events else {
            return Ok(None);
        };
        let key = match &self.key_file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("--key-file {} can't be read", path.display()))
                    .map_err(NoFeed::Key)?;
                Some(text.trim().to_owned())
            }
            None => None,
        };
        match Feed::connect(url, key.as_deref()).await {
            Ok(feed) => Ok(Some(feed)),
            Err(error) if waits => Err(NoFeed::Daemon(error.context(
                "the keys wait for steps, but the daemon's events can't be read (is `ivrpay serve` up?)",
            ))),
            Err(error) => {
                super::say(&format!("{who}: no events: {error:#}"));
                Ok(None)
            }
        }
    }
}

/// Instead of a Call-ID: who hears of any call.
pub(crate) const ANY_CALL: &str = "*";

/// Announcements waiting for one call; a call makes under a hundred.
const WAITING_MAX: usize = 1024;
/// Longest line of the stream.
const LINE_MAX: usize = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(250);

type Calls = Arc<Mutex<HashMap<String, mpsc::Sender<Told>>>>;

/// The open stream. Dropping it closes it.
pub(crate) struct Feed {
    calls: Calls,
    reader: tokio::task::JoinHandle<()>,
}

impl Feed {
    /// Returns when the daemon has answered, so that nothing of a call placed afterwards is missed.
    ///
    /// # Errors
    /// The daemon is not reached, or refuses the key.
    pub(crate) async fn connect(url: &str, key: Option<&str>) -> anyhow::Result<Self> {
        // reqwest wants a provider even for plain HTTP; a second call finds the first one's.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let client = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .build()?;
        let source = Source {
            client,
            url: url.to_owned(),
            key: key.map(str::to_owned),
        };
        let first = source.open(None).await?;
        let calls = Calls::default();
        let reader = tokio::spawn(source.read(first, Arc::clone(&calls)));
        Ok(Self { calls, reader })
    }

    /// The Call-ID of the only call.
    #[cfg(test)]
    pub(crate) fn only_call(&self) -> String {
        lock(&self.calls).keys().next().cloned().unwrap_or_default()
    }

    /// What is announced of the call with this Call-ID, from now on; of any call when it is [`ANY_CALL`].
    pub(crate) fn subscribe(&self, sip_call_id: &str) -> Subscription {
        let (sender, told) = mpsc::channel(WAITING_MAX);
        lock(&self.calls).insert(sip_call_id.to_owned(), sender);
        Subscription {
            told,
            sip_call_id: sip_call_id.to_owned(),
            calls: Arc::clone(&self.calls),
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// The next thing that is told; never, without a stream.
pub(crate) async fn next(subscription: &mut Option<Subscription>) -> Option<Told> {
    match subscription {
        Some(subscription) => subscription.told.recv().await,
        None => std::future::pending().await,
    }
}

pub(crate) struct Subscription {
    pub(crate) told: mpsc::Receiver<Told>,
    sip_call_id: String,
    calls: Calls,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        lock(&self.calls).remove(&self.sip_call_id);
    }
}

fn lock(calls: &Calls) -> MutexGuard<'_, HashMap<String, mpsc::Sender<Told>>> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Source {
    client: reqwest::Client,
    url: String,
    key: Option<String>,
}

impl Source {
    async fn open(&self, last: Option<u64>) -> anyhow::Result<reqwest::Response> {
        let mut request = self
            .client
            .get(&self.url)
            .header("Accept", "text/event-stream");
        if let Some(key) = &self.key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last.to_string());
        }
        let response = tokio::time::timeout(CONNECT_TIMEOUT, request.send())
            .await
            .context("no answer within 5 s")??;
        anyhow::ensure!(
            response.status().is_success(),
            "the daemon answered {} (is the key of --key-file the right one?)",
            response.status().as_u16()
        );
        Ok(response)
    }

    async fn read(self, first: reqwest::Response, calls: Calls) {
        let mut response = Some(first);
        let mut last = None;
        loop {
            if let Some(open) = response.take() {
                let mut body = open.bytes_stream();
                let mut lines = Lines::default();
                while let Some(Ok(bytes)) = body.next().await {
                    lines.push(&bytes, |announced| {
                        last = Some(announced.seq);
                        deliver(&calls, announced);
                    });
                }
                tell_all(&calls, || Told::Lost);
            }
            tokio::time::sleep(RETRY).await;
            if let Ok(open) = self.open(last).await {
                response = Some(open);
                tell_all(&calls, || Told::Back);
            }
        }
    }
}

fn deliver(calls: &Calls, announced: Announced) {
    let calls = lock(calls);
    let own = announced.sip_call_id.as_ref().and_then(|id| calls.get(id));
    // Full: the call is long behind and fails by its own time-out.
    for call in own.into_iter().chain(calls.get(ANY_CALL)) {
        call.try_send(Told::Announced(announced.clone())).ok();
    }
}

fn tell_all(calls: &Calls, told: impl Fn() -> Told) {
    for call in lock(calls).values() {
        call.try_send(told()).ok();
    }
}

/// Cuts a stream into events (WHATWG HTML, 9.2.6). What is not JSON of the agreed form is passed over.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    data: String,
    after_cr: bool,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], mut event: impl FnMut(Announced)) {
        for byte in bytes {
            let lf_of_crlf = std::mem::take(&mut self.after_cr) && *byte == b'\n';
            match byte {
                _ if lf_of_crlf => {}
                b'\n' | b'\r' => {
                    self.after_cr = *byte == b'\r';
                    if let Some(announced) = self.end_of_line() {
                        event(announced);
                    }
                }
                _ if self.line.len() < LINE_MAX => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn end_of_line(&mut self) -> Option<Announced> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return serde_json::from_str(&data).ok();
        }
        let line = String::from_utf8_lossy(&line);
        let value = line.strip_prefix("data:")?;
        if !self.data.is_empty() {
            self.data.push('\n');
        }
        if self.data.len() < LINE_MAX {
            self.data.push_str(value.strip_prefix(' ').unwrap_or(value));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the stream is cut, the same events come out; shown as `seq event`.
    #[track_caller]
    fn check(stream: &str, expected: &[&str]) {
        for size in [1, 2, 3, 7, 1000] {
            let mut lines = Lines::default();
            let mut seen = Vec::new();
            for piece in stream.as_bytes().chunks(size) {
                lines.push(piece, |a| seen.push(format!("{} {}", a.seq, a.event)));
            }
            assert_eq!(seen, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn streams() {
        let one = r#"data: {"seq":1,"event":"step","step":"x"}"#;
        check(&format!("{one}\n\n"), &["1 step"]);
        check(&format!("{one}\r\n\r\n{one}\r\r"), &["1 step", "1 step"]);
        check(
            &format!(": hello\n\nid: 1\nevent: step\n{one}\n\n"),
            &["1 step"],
        );
        check(one, &[]);
        check(
            "data: {\"seq\":2,\ndata:\"event\":\"call-ended\",\"other\":[]}\n\n",
            &["2 call-ended"],
        );
        check("data: {broken\n\ndata: {\"seq\":3}\n\ndata: 7\n\n\n", &[]);
        check(
            &format!("data: {}\n\n{one}\n\n", "x".repeat(200_000)),
            &["1 step"],
        );
    }

    #[test]
    fn reads_every_field_of_the_agreed_form() {
        let text = r#"{"seq":1,"at":"2026-11-23T00:00:00Z","call_id":"c","sip_call_id":"s","tenant":"demo","event":"call-ended",
            "step":"payment-amount","attempt":2,"digits":0,"error":null,"result":"success","payment_id":"p"}"#;
        let announced: Announced = serde_json::from_str(text).unwrap();
        let expected = Announced {
            seq: 1,
            call_id: Some("c".into()),
            sip_call_id: Some("s".into()),
            event: "call-ended".into(),
            step: Some("payment-amount".into()),
            attempt: Some(2),
            error: None,
            result: Some("success".into()),
            payment_id: Some("p".into()),
        };
        assert_eq!(announced, expected);
    }
}
