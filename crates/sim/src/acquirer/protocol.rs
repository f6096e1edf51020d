//! The acquirers that have a protocol of their own, each below its name: `https://…/gmo/…`. Written from what is known of their
//! documents (each module says which), and not from our connectors.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::http::{Received, whole};
use super::trouble::{Cut, Faults, Trouble};
use super::{adyen, gmo, hyperswitch, kuroneko, sbps, stripe, veritrans, zeus};

/// One acquirer as its clients see it.
pub(crate) trait Protocol: Send + Sync {
    /// First part of its path, and its name in the control port's answers.
    fn name(&self) -> &'static str;

    /// What a client has to be told, as `{"parameters": {…}, "secrets": {…}}`. Made up.
    fn settings(&self) -> Value;

    /// Answers one request, whose path no longer has the acquirer's name. Books what it books; what of it the client gets to know is
    /// the trouble's.
    fn answer(&self, request: &Received, faults: &Faults) -> Answered;

    /// Orders as they stand, for a test that compares: `{"orders": [{"order", "state", "amount", "requests", …}], "wrong": […]}`.
    fn log(&self) -> Value;

    /// Forgets everything.
    fn reset(&self);
}

/// An answer, and what becomes of it on the way.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) trouble: Option<Trouble>,
}

impl Answered {
    pub(crate) fn ok(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            content_type,
            body: body.into(),
            trouble: None,
        }
    }

    pub(crate) fn with(mut self, trouble: Option<Trouble>) -> Self {
        self.trouble = trouble;
        self
    }
}

/// All of them, and the faults that a test has asked for.
pub(crate) struct Protocols {
    all: Vec<Arc<dyn Protocol>>,
    pub(crate) faults: Faults,
}

impl Protocols {
    pub(crate) fn new() -> Self {
        Self {
            all: vec![
                Arc::new(adyen::Adyen::default()),
                Arc::new(gmo::Gmo::default()),
                Arc::new(hyperswitch::Hyperswitch::default()),
                Arc::new(kuroneko::Kuroneko::default()),
                Arc::new(sbps::Sbps::default()),
                Arc::new(stripe::Stripe::default()),
                Arc::new(veritrans::Veritrans::default()),
                Arc::new(zeus::Zeus::default()),
            ],
            faults: Faults::default(),
        }
    }

    /// The acquirer that a path belongs to, and the path that it sees.
    fn of<'a>(&self, path: &'a str) -> Option<(&Arc<dyn Protocol>, &'a str)> {
        let path = path.strip_prefix('/')?;
        let (name, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
        let found = self.all.iter().find(|protocol| protocol.name() == name)?;
        Some((found, rest))
    }

    /// Whether the request was for one of them; then the connection is at its end.
    pub(crate) async fn serve(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        request: &Received,
    ) -> bool {
        let Some((protocol, path)) = self.of(&request.path) else {
            return false;
        };
        let answered = protocol.answer(&request.at(path), &self.faults);
        deliver(stream, &answered).await;
        true
    }

    pub(crate) fn log(&self) -> Value {
        self.each(|protocol| protocol.log())
    }

    pub(crate) fn settings(&self) -> Value {
        self.each(|protocol| protocol.settings())
    }

    pub(crate) fn reset(&self) {
        self.faults.reset();
        self.all.iter().for_each(|protocol| protocol.reset());
    }

    fn each(&self, of: impl Fn(&dyn Protocol) -> Value) -> Value {
        let all = self.all.iter();
        all.map(|p| (p.name().to_owned(), of(p.as_ref())))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// What a control port says that was asked for a fault: `POST /fault` with `{"acquirer", "request", "fault", "times"}`.
pub(crate) fn ask_for_fault(protocols: &Protocols, body: &[u8]) -> Result<Value, Value> {
    let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
    let wrong = |what: &str| json!({ "error": what });
    let asked: Value = serde_json::from_slice(body).map_err(|_| wrong("JSON is expected"))?;
    let acquirer = text(&asked, "acquirer").ok_or(wrong("acquirer: one of GET /settings"))?;
    if !protocols.all.iter().any(|p| p.name() == acquirer) {
        return Err(wrong("acquirer: one of GET /settings"));
    }
    let request = text(&asked, "request").ok_or(wrong("request: as the acquirer calls it"))?;
    let trouble = text(&asked, "fault").and_then(|name| Trouble::named(&name));
    let trouble = trouble.ok_or(wrong("fault: one of those of --table"))?;
    let times = asked["times"].as_u64().unwrap_or(1);
    protocols.faults.ask(&acquirer, &request, trouble, times);
    Ok(json!({"asked": trouble.name()}))
}

async fn deliver(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), answered: &Answered) {
    let good = whole(answered.status, answered.content_type, &answered.body);
    let part = |to: usize| good.get(..to).unwrap_or_default().to_vec();
    let cut = answered.trouble.map(|trouble| trouble.cut);
    let bytes = match cut {
        // Maintenance and throttling are in the acquirer's own words.
        None | Some(Cut::Maintenance | Cut::Throttled) => good,
        Some(Cut::Slow) => {
            tokio::time::sleep(std::time::Duration::from_secs(3)).await;
            good
        }
        Some(Cut::Silent) => {
            let mut rest = [0; 64];
            while stream.read(&mut rest).await.is_ok_and(|n| n > 0) {}
            return;
        }
        Some(Cut::Closed) => return,
        Some(Cut::Head) => part(20),
        Some(Cut::Body) => part(good.len() - (answered.body.len() / 2).max(1)),
        Some(Cut::Html) => whole(
            200,
            "text/html",
            b"<html><body><h1>It works!</h1></body></html>",
        ),
        Some(Cut::Error) => whole(500, "text/html", b"<h1>Internal Server Error</h1>"),
        Some(Cut::Huge) => whole(200, answered.content_type, &vec![b'x'; 1_000_000]),
    };
    if stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok() {
        stream.shutdown().await.unwrap_or_default();
    }
}
