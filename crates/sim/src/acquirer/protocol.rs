//! The acquirers that have a protocol of their own, each below its name: `https://…/gmo/…`. Written from what is known of their
//! documents (each module says which), and not from our connectors.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::held::Held;
use super::hooks::{Hooks, Outgoing};
use super::http::{Received, whole};
use super::trouble::{Cut, Faults, Trouble};
use super::{adyen, gmo, hyperswitch, kuroneko, sbps, stripe, veritrans, zeus};

/// The contract's own books, as an acquirer beside the others; its one request is called `charge`.
pub(crate) const GENERIC: &str = "generic";

/// One acquirer as its clients see it.
pub(crate) trait Protocol: Send {
    /// First part of its path, and its name in the control port's answers.
    fn name(&self) -> &'static str;

    /// What a client has to be told, as `{"parameters": {…}, "secrets": {…}}`. Made up.
    fn settings(&self) -> Value;

    /// Answers one request, whose path no longer has the acquirer's name. Books what it books; what of it the client gets to know is
    /// the trouble's.
    fn answer(&mut self, request: &Received, faults: &Faults) -> Answered;

    /// Orders as they stand, for a test that compares: each with `order`, `state`, `amount`, `booked`, and what else there is.
    fn orders(&self) -> Vec<Value>;

    /// What it has to send of itself since it was asked last.
    fn outgoing(&mut self) -> Vec<Outgoing> {
        Vec::new()
    }

    /// Has it send this event about the last thing that was asked of an order; false where there is none such.
    fn tell(&mut self, _event: &str, _order: &str) -> bool {
        false
    }
}

/// An answer, and what becomes of it on the way.
pub(crate) struct Answered {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    trouble: Option<Trouble>,
    wrong: Option<String>,
}

impl Answered {
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type,
            body: body.into(),
            trouble: None,
            wrong: None,
        }
    }

    /// No word of the acquirer's protocol.
    pub(crate) fn page(status: u16, text: &str) -> Self {
        Self::new(status, "text/html", format!("<h1>{text}</h1>"))
    }

    /// To what is asked of no function that the acquirer has.
    pub(crate) fn nowhere() -> Self {
        Self::page(404, "Not Found").wrong("path, method or content type".to_owned())
    }

    pub(crate) fn with(mut self, trouble: Option<Trouble>) -> Self {
        self.trouble = trouble;
        self
    }

    /// What no client should ever have sent; it is kept for the log.
    pub(crate) fn wrong(mut self, about: impl Into<Option<String>>) -> Self {
        self.wrong = about.into();
        self
    }
}

/// An acquirer, and what it was asked that was wrong.
struct One {
    protocol: Box<dyn Protocol>,
    wrong: Vec<String>,
}

/// All of them, and the faults that a test has asked for.
pub(crate) struct Protocols {
    all: Held<Vec<One>>,
    faults: Faults,
    /// What a client of the contract is told.
    generic: Value,
    hooks: Arc<Hooks>,
}

/// All of them as they begin.
fn all() -> Vec<One> {
    let all: [Box<dyn Protocol>; 8] = [
        Box::new(adyen::Adyen::default()),
        Box::new(gmo::Gmo::default()),
        Box::new(hyperswitch::Hyperswitch::default()),
        Box::new(kuroneko::Kuroneko::default()),
        Box::new(sbps::Sbps::default()),
        Box::new(stripe::Stripe::default()),
        Box::new(veritrans::Veritrans::default()),
        Box::new(zeus::Zeus::default()),
    ];
    let new = |protocol| One {
        protocol,
        wrong: Vec::new(),
    };
    all.map(new).into()
}

impl Protocols {
    /// `credentials`: user and password of the contract's endpoint.
    pub(crate) fn new(credentials: Option<&(String, String)>) -> Self {
        let secrets = credentials.map_or_else(
            || json!({}),
            |(user, password)| json!({"basic_user": user, "basic_password": password}),
        );
        Self {
            all: Held::new(all()),
            faults: Faults::default(),
            generic: json!({"parameters": {}, "secrets": secrets}),
            hooks: Arc::default(),
        }
    }

    /// A fault that was asked for, of a request that is served elsewhere.
    pub(crate) fn fault(&self, acquirer: &str, request: &str) -> Option<Trouble> {
        self.faults.of(acquirer, request, None)
    }

    /// Whether the request was for one of them; then the connection is at its end.
    pub(crate) async fn serve(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        request: &Received,
    ) -> bool {
        let answered = self.answer(request);
        if let Some(answered) = &answered {
            deliver(stream, answered).await;
        }
        answered.is_some()
    }

    /// The answer of the acquirer that a path belongs to; it sees the rest of the path.
    fn answer(&self, request: &Received) -> Option<Answered> {
        let path = request.path.strip_prefix('/')?;
        let (name, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
        self.all.with(|all| {
            let one = all.iter_mut().find(|one| one.protocol.name() == name)?;
            let mut answered = one.protocol.answer(&request.at(rest), &self.faults);
            one.wrong.extend(answered.wrong.take());
            self.hooks
                .send(one.protocol.name(), one.protocol.outgoing());
            Some(answered)
        })
    }

    /// `{"gmo": {"orders": […], "wrong": […], "webhooks": […]}, …}`.
    pub(crate) fn log(&self) -> Value {
        self.each(|one| {
            let webhooks = self.hooks.log(one.protocol.name());
            json!({"orders": one.protocol.orders(), "wrong": one.wrong, "webhooks": webhooks})
        })
    }

    pub(crate) fn settings(&self) -> Value {
        let mut all = self.each(|one| one.protocol.settings());
        all[GENERIC] = self.generic.clone();
        all
    }

    pub(crate) fn reset(&self) {
        self.faults.reset();
        self.hooks.reset();
        self.all.with(|them| *them = all());
    }

    fn each(&self, of: impl Fn(&One) -> Value) -> Value {
        self.all.with(|all| {
            let all = all.iter();
            all.map(|one| (one.protocol.name().to_owned(), of(one)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        })
    }
}

/// What a control port says that was asked for a fault: `POST /fault` with `{"acquirer", "request", "fault", "times"}`.
pub(crate) fn ask_for_fault(protocols: &Protocols, body: &[u8]) -> Result<Value, Value> {
    let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
    let wrong = |what: &str| json!({ "error": what });
    let asked: Value = serde_json::from_slice(body).map_err(|_| wrong("JSON is expected"))?;
    let acquirer = text(&asked, "acquirer").ok_or(wrong("acquirer: one of GET /settings"))?;
    let is = |one: &One| one.protocol.name() == acquirer;
    if acquirer != GENERIC && !protocols.all.with(|all| all.iter().any(is)) {
        return Err(wrong("acquirer: one of GET /settings"));
    }
    let request = text(&asked, "request").ok_or(wrong("request: as the acquirer calls it"))?;
    let trouble = text(&asked, "fault").and_then(|name| Trouble::named(&name));
    let trouble = trouble.ok_or(wrong("fault: one of those of --table"))?;
    let times = asked["times"].as_u64().unwrap_or(1);
    protocols.faults.ask(&acquirer, &request, trouble, times);
    Ok(json!({"asked": trouble.name()}))
}

/// The same for what it sends of itself: `POST /webhook` with `{"acquirer"}` and an address, a fault, or `{"event", "order"}`.
pub(crate) fn ask_for_webhook(protocols: &Protocols, body: &[u8]) -> Result<Value, Value> {
    let wrong = |what: &str| json!({ "error": what });
    let asked: Value = serde_json::from_slice(body).map_err(|_| wrong("JSON is expected"))?;
    let acquirer = asked["acquirer"].as_str().unwrap_or_default();
    let event = asked["event"].as_str();
    let told = protocols.all.with(|all| {
        let one = all.iter_mut().find(|one| one.protocol.name() == acquirer)?;
        let order = asked["order"].as_str().unwrap_or_default();
        let told = event.is_none_or(|event| one.protocol.tell(event, order));
        protocols
            .hooks
            .send(one.protocol.name(), one.protocol.outgoing());
        Some(told)
    });
    match told {
        None => Err(wrong("acquirer: one of GET /settings")),
        Some(false) => Err(wrong(
            "event, order: there is nothing that could be told so",
        )),
        Some(true) if event.is_some() => Ok(json!({ "told": event })),
        Some(true) => protocols
            .hooks
            .ask(acquirer, &asked)
            .map_err(|error| wrong(&error)),
    }
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
