//! The connection: login, requests by their id, one task that has the socket.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use md5::{Digest as _, Md5};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::message::{self, Message};
use crate::{
    Config, EVENTS_WAITING_MAX, Error, EventFilter, LIST_BYTES_MAX, LIST_EVENTS_MAX, Limit, Login,
    REQUESTS_MAX, Refusal,
};

/// Connects and logs in.
///
/// # Errors
/// What is wrong with the configuration, the connection or the login.
pub async fn connect(config: &Config) -> Result<(Client, Events), Error> {
    let address = config.socket()?;
    let opening = async {
        let socket = TcpStream::connect(address)
            .await
            .map_err(|e| Error::Unreachable(e.kind()))?;
        // Small writes, each waited for.
        socket
            .set_nodelay(true)
            .map_err(|e| Error::Unreachable(e.kind()))?;
        let (read, mut write) = socket.into_split();
        let mut read = BufReader::new(read);
        let version = banner(&mut read).await?;
        log_in(config, &mut read, &mut write).await?;
        Ok((read, write, version))
    };
    let (read, write, version) = timeout(config.connect_timeout, opening)
        .await
        .map_err(|_| Error::TimedOut)??;

    let shared = Arc::new(Shared::default());
    let (tell, events) = mpsc::channel(EVENTS_WAITING_MAX);
    let (send, to_send) = mpsc::channel(REQUESTS_MAX);
    tokio::spawn({
        let (shared, filter) = (Arc::clone(&shared), config.events.clone());
        async move {
            // With the first to end the other ends too, and with both the socket.
            let why = tokio::select! {
                why = read_all(read, &shared, filter, tell) => why,
                why = write_all(write, to_send) => why,
            };
            shared.end(why);
        }
    });
    let client = Client {
        shared: Arc::clone(&shared),
        send,
        next: Arc::new(AtomicU64::new(1)),
        answer_timeout: config.answer_timeout,
        version,
    };
    Ok((client, Events { events, shared }))
}

/// `Asterisk Call Manager/VERSION`; the version of the interface, which is not that of Asterisk.
async fn banner(read: &mut BufReader<OwnedReadHalf>) -> Result<String, Error> {
    let line = match message::line(read).await {
        Ok(line) => line,
        // HTTP and SIP wait for us, or close; nobody else begins with a long line.
        Err(Error::TooMuch(_)) => return Err(Error::NotAsterisk),
        Err(error) => return Err(error),
    };
    let version = line
        .strip_prefix("Asterisk Call Manager/")
        .filter(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
        .ok_or(Error::NotAsterisk)?;
    Ok(version.to_owned())
}

async fn log_in(
    config: &Config,
    read: &mut BufReader<OwnedReadHalf>,
    write: &mut OwnedWriteHalf,
) -> Result<(), Error> {
    let mut ask = async |name: &str, fields: &[(&str, &str)]| {
        let action = message::action(name, "login", fields)?;
        write.write_all(&action).await.map_err(|_| Error::Closed)?;
        loop {
            let answer = message::message(read).await?;
            match answer.get("Response") {
                Some("Success") => return Ok(answer),
                Some(_) => return Err(Error::LoginRefused),
                None if answer.event().is_empty() => return Err(Error::NotAsterisk),
                None => {}
            }
        }
    };
    let password = config.password.expose_secret();
    let events = config.events.as_ref().map_or("off", |e| &e.classes);
    let user = ("Username", config.user.as_str());
    let events = ("Events", events);
    match config.login {
        Login::Plain => ask("Login", &[user, ("Secret", password), events]).await?,
        Login::Challenge => {
            let challenge = ask("Challenge", &[("AuthType", "MD5")]).await?;
            let challenge = challenge.get("Challenge").ok_or(Error::NotAsterisk)?;
            let key = Md5::new()
                .chain_update(challenge)
                .chain_update(password)
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>();
            let login = [("AuthType", "MD5"), user, ("Key", &key), events];
            ask("Login", &login).await?
        }
    };
    Ok(())
}

/// Does actions. Clones share the connection, which ends with the last of them.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    send: mpsc::Sender<Vec<u8>>,
    next: Arc<AtomicU64>,
    answer_timeout: std::time::Duration,
    version: String,
}

impl Client {
    /// Version of the interface, for example `9.0.0`; `core show version` tells that of Asterisk.
    #[must_use]
    pub fn interface_version(&self) -> &str {
        &self.version
    }

    /// Does one action; the answer. For one that answers with events: [`Self::list`].
    ///
    /// # Errors
    /// [`Error::Refused`] when Asterisk says no. After [`Error::TimedOut`] and [`Error::Closed`] it may have been carried out.
    pub async fn action(&self, name: &str, fields: &[(&str, &str)]) -> Result<Message, Error> {
        let answer = self.ask(name, fields, false).await?.response;
        match answer.get("Response") {
            Some("Error") => Err(Error::Refused(Refusal::read(
                answer.get("Message").unwrap_or_default(),
            ))),
            _ => Ok(answer),
        }
    }

    /// Does an action that answers with a list of events, such as `CoreShowChannels`; without the last, which ends it.
    ///
    /// # Errors
    /// As [`Self::action`]; [`Error::NotAList`].
    pub async fn list(&self, name: &str, fields: &[(&str, &str)]) -> Result<Vec<Message>, Error> {
        let answer = self.ask(name, fields, true).await?;
        match answer.response.get("Response") {
            Some("Error") => Err(Error::Refused(Refusal::read(
                answer.response.get("Message").unwrap_or_default(),
            ))),
            _ if !begins_list(&answer.response) => Err(Error::NotAList),
            _ => Ok(answer.events),
        }
    }

    /// Runs a command of Asterisk's CLI; the lines of its output. Needs `write=command`.
    ///
    /// # Errors
    /// As [`Self::action`].
    pub async fn command(&self, cli: &str) -> Result<Vec<String>, Error> {
        let answer = self
            .ask("Command", &[("Command", cli)], false)
            .await?
            .response;
        let failed = answer.get("Response") == Some("Error");
        let refusal = Refusal::read(answer.get("Message").unwrap_or_default());
        let output = answer.into_output();
        // Both forms say it so (main/cli.c: ast_cli_command_full); 14 and later answer with an error too.
        let unknown = output
            .first()
            .is_some_and(|line| line.starts_with("No such command"));
        if unknown {
            return Err(Error::Refused(Refusal::NoSuchCommand));
        }
        if failed && (refusal == Refusal::Permission || output.is_empty()) {
            return Err(Error::Refused(refusal));
        }
        Ok(output)
    }

    async fn ask(&self, name: &str, fields: &[(&str, &str)], list: bool) -> Result<Answer, Error> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let action = message::action(name, &format!("ivrpay-{number}"), fields)?;
        let (tell, told) = oneshot::channel();
        let waiting = self.shared.wait(number, list, tell)?;
        let answer = async {
            // The queue has a place for each that waits.
            self.send
                .send(action)
                .await
                .map_err(|_| self.shared.ended())?;
            told.await.map_err(|_| self.shared.ended())
        };
        let answer = timeout(self.answer_timeout, answer).await;
        drop(waiting);
        answer.map_err(|_| Error::TimedOut)?
    }
}

/// What happens in Asterisk, as far as [`Config::events`] asks for it.
pub struct Events {
    events: mpsc::Receiver<Message>,
    shared: Arc<Shared>,
}

impl Events {
    /// The next event.
    ///
    /// # Errors
    /// Why the connection is over; never before the events that came in time are read.
    pub async fn next(&mut self) -> Result<Message, Error> {
        match self.events.recv().await {
            Some(event) => Ok(event),
            None => Err(self.shared.ended()),
        }
    }

    /// Events that were lost so far because [`EVENTS_WAITING_MAX`] waited.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

/// What the task and the clients share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    lost: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: HashMap<u64, Waiting>,
    ended: Option<Error>,
}

struct Waiting {
    tell: oneshot::Sender<Answer>,
    list: bool,
    response: Option<Message>,
    events: Vec<Message>,
    bytes: usize,
}

struct Answer {
    response: Message,
    events: Vec<Message>,
}

/// Takes a request off when its future is dropped.
struct Place<'a>(&'a Shared, u64);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting.remove(&self.1);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> Error {
        self.lock().ended.unwrap_or(Error::Closed)
    }

    fn end(&self, why: Error) {
        let mut state = self.lock();
        state.ended.get_or_insert(why);
        // Whoever waits finds his sender gone.
        state.waiting.clear();
    }

    fn wait(
        &self,
        number: u64,
        list: bool,
        tell: oneshot::Sender<Answer>,
    ) -> Result<Place<'_>, Error> {
        let mut state = self.lock();
        if let Some(ended) = state.ended {
            return Err(ended);
        }
        if state.waiting.len() >= REQUESTS_MAX {
            return Err(Error::Busy);
        }
        let waiting = Waiting {
            tell,
            list,
            response: None,
            events: Vec::new(),
            bytes: 0,
        };
        state.waiting.insert(number, waiting);
        Ok(Place(self, number))
    }

    /// Gives a message to the request that waits for it; gives it back when there is none.
    fn take(&self, message: Message) -> Result<Option<Message>, Error> {
        let number = message
            .get("ActionID")
            .and_then(|id| id.strip_prefix("ivrpay-"))
            .and_then(|n| n.parse::<u64>().ok());
        let mut state = self.lock();
        let Some(number) = number else {
            return Ok(Some(message));
        };
        let Some(waiting) = state.waiting.get_mut(&number) else {
            return Ok(Some(message));
        };
        let complete = if message.get("Response").is_some() {
            let more = waiting.list && begins_list(&message);
            waiting.response = Some(message);
            !more
        } else if !waiting.list {
            // An event of an action that answered otherwise: for the stream.
            return Ok(Some(message));
        } else {
            let last = message.get("EventList").is_some_and(|l| {
                l.eq_ignore_ascii_case("complete") || l.eq_ignore_ascii_case("cancelled")
            });
            if !last {
                waiting.bytes += message.bytes();
                waiting.events.push(message);
                if waiting.events.len() > LIST_EVENTS_MAX {
                    return Err(Error::TooMuch(Limit::ListEvents));
                }
                if waiting.bytes > LIST_BYTES_MAX {
                    return Err(Error::TooMuch(Limit::ListBytes));
                }
            }
            last
        };
        if complete
            && let Some(done) = state.waiting.remove(&number)
            && let Some(response) = done.response
        {
            let events = done.events;
            // Who does not wait any more does not need it.
            drop(done.tell.send(Answer { response, events }));
        }
        Ok(None)
    }
}

fn begins_list(response: &Message) -> bool {
    response
        .get("EventList")
        .is_some_and(|l| l.eq_ignore_ascii_case("start"))
}

async fn read_all(
    mut read: BufReader<OwnedReadHalf>,
    shared: &Shared,
    filter: Option<EventFilter>,
    tell: mpsc::Sender<Message>,
) -> Error {
    loop {
        let message = match message::message(&mut read).await {
            Ok(message) => message,
            Err(error) => return error,
        };
        let event = match shared.take(message) {
            Ok(Some(event)) if !event.event().is_empty() => event,
            Ok(_) => continue,
            Err(error) => return error,
        };
        let wanted = filter
            .as_ref()
            .is_some_and(|f| f.names.is_empty() || f.names.contains(event.event()));
        // Never waits: Asterisk closes the socket of a slow reader (`writetimeout`), and answers would wait too.
        if wanted && tell.try_send(event).is_err() {
            shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Ends with the last client.
async fn write_all(mut write: OwnedWriteHalf, mut to_send: mpsc::Receiver<Vec<u8>>) -> Error {
    while let Some(action) = to_send.recv().await {
        if write.write_all(&action).await.is_err() {
            break;
        }
    }
    Error::Closed
}
