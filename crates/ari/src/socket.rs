//! The reader task: holds the event socket of one application, for ever.
//!
//! Starts with [`connect`], ends with [`Calls::stop`] or when [`Calls`] is dropped. It owns the redactor's window and the
//! router. It waits for the socket, its ping timer and its own small tasks, and for nothing else: requests (the listing
//! after a connect, giving channels back) run in tasks of their own.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval_at, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{Role, WebSocketConfig},
    },
};

use crate::{
    RESULT_VARIABLE,
    client::{Client, authorization},
    config::{Address, Config, ConfigError},
    error::{RequestError, Trouble},
    event::{Channel, NEEDED},
    ids::ChannelId,
    redact::{Fault, Redact, Window},
    route::{Counters, Refusal, Router, Start, Then, count},
};

/// Tungstenite's own buffers: an event has 0.5 to 3 kB.
const LIBRARY_BUFFER: usize = 4 * 1024;
/// Longest wait for a ping or close to be written: a socket that takes no 20 bytes is dead.
const WRITE_WAIT: Duration = Duration::from_secs(1);
/// Between attempts to list the channels after a connect.
const LISTING_WAIT: Duration = Duration::from_secs(1);
/// Between listings of the channels while a connection stands.
const LISTING_EVERY: Duration = Duration::from_secs(60);
/// Attempts to give a channel back to the dialplan.
const GIVE_BACK_TRIES: u32 = 3;
/// What a caller for whom there was no place is given back with.
const BUSY_RESULT: &str = "capacity-exceeded";

/// How the event socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Being opened, or waiting to be: callers get the dialplan's fallback until it is.
    Connecting {
        /// From 1; starts anew after each connection.
        attempt: u32,
        /// Why the last attempt failed or the last connection ended.
        error: Option<Trouble>,
    },
    /// Open.
    Connected,
    /// Another program took our application's name; it is taken back after `replaced_wait`.
    Replaced,
    /// Stopped by [`Calls::stop`].
    Stopped,
}

/// What comes from Asterisk.
pub struct Calls {
    /// Channels that entered.
    pub starts: mpsc::Receiver<Start>,
    /// Channels that entered and were not taken: give each back at once.
    pub refusals: mpsc::Receiver<Refusal>,
    /// How the socket is.
    pub status: watch::Receiver<Status>,
    /// What was counted.
    pub counters: Arc<Counters>,
    /// Stops the reader.
    pub stop: Stop,
}

/// Stops the reader; so does dropping it.
pub struct Stop {
    signal: oneshot::Sender<()>,
    /// Ends with the reader's thread, however that ends.
    ended: oneshot::Receiver<()>,
}

impl Stop {
    /// Closes the socket. New callers get the dialplan's fallback from now on; the inboxes of the others end.
    pub async fn stop(self) {
        drop(self.signal);
        self.ended.await.unwrap_or_default();
    }
}

/// Starts the reader, on a thread and a runtime of its own: whatever the rest of the program does, and wherever it waits, a slow
/// log or a burst of calls, the socket is read. Asterisk gives a slow reader up, and replays nothing.
///
/// # Errors
/// [`ConfigError`]. Asterisk being away is no error: see [`Calls::status`].
pub fn connect(config: Config) -> Result<(Client, Calls), ConfigError> {
    let address = config.address()?;
    let client = Client::at(&address, &config)?;
    let window = Window::take(config.message_max)?;
    let authorization = authorization(&config)?;
    let counters = Arc::new(Counters::default());
    let (starts, starts_out) = mpsc::channel(config.starts_max);
    let (refusals, refusals_out) = mpsc::channel(config.starts_max);
    let (status, status_out) = watch::channel(Status::Connecting {
        attempt: 1,
        error: None,
    });
    let (signal, stopped) = oneshot::channel();
    let router = Router::new(&config, starts, refusals, Arc::clone(&counters));
    let reader = Reader {
        authorization,
        // Of its own: a connection lives on the runtime that made it.
        client: Client::at(&address, &config)?,
        config,
        address,
        status,
        router,
        counters: Arc::clone(&counters),
        tasks: JoinSet::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|_| ConfigError::Thread)?;
    let (end, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("ivrpay-ari".to_owned())
        .spawn(move || {
            // Dropped by a panic as well.
            let _end: oneshot::Sender<()> = end;
            runtime.block_on(reader.run(window, stopped));
        })
        .map_err(|_| ConfigError::Thread)?;
    let stop = Stop { signal, ended };
    Ok((
        client,
        Calls {
            starts: starts_out,
            refusals: refusals_out,
            status: status_out,
            counters,
            stop,
        },
    ))
}

struct Reader {
    config: Config,
    address: Address,
    authorization: reqwest::header::HeaderValue,
    client: Client,
    status: watch::Sender<Status>,
    router: Router,
    counters: Arc<Counters>,
    /// Channels on their way back to the dialplan.
    tasks: JoinSet<()>,
}

/// How a connection ended.
enum Ended {
    Stopped,
    Lost(Trouble),
}

/// What the small tasks of a connection tell the reader.
enum Told {
    Listed(Vec<Channel>),
    /// The grace of these unknown channels is over.
    Settle(Vec<ChannelId>),
}

impl Reader {
    async fn run(mut self, mut window: Window, mut stopped: oneshot::Receiver<()>) {
        let mut attempt = 1;
        let mut error = None;
        let mut backoff = self.config.backoff_min;
        loop {
            self.status
                .send_replace(Status::Connecting { attempt, error });
            let opened = tokio::select! {
                biased;
                _ = &mut stopped => break,
                opened = timeout(self.config.request_timeout, open(&self.address, &self.authorization, &self.config, &mut window)) => {
                    opened.unwrap_or(Err(Trouble::TimedOut))
                }
            };
            let trouble = match opened {
                Ok(socket) => {
                    let begun = Instant::now();
                    self.router.handle_connected();
                    self.status.send_replace(Status::Connected);
                    let ended = self.read(socket, &mut stopped).await;
                    self.router.handle_lost();
                    attempt = 0;
                    if begun.elapsed() >= self.config.ping_every {
                        backoff = self.config.backoff_min;
                    }
                    match ended {
                        Ended::Stopped => break,
                        Ended::Lost(trouble) => trouble,
                    }
                }
                Err(trouble) => trouble,
            };
            attempt += 1;
            error = Some(trouble);
            let wait = match trouble {
                Trouble::Replaced => {
                    self.status.send_replace(Status::Replaced);
                    self.config.replaced_wait
                }
                other => {
                    self.status
                        .send_replace(Status::Connecting { attempt, error });
                    // Nothing but a person changes these: no need to fill Asterisk's log with refusals.
                    if matches!(other, Trouble::Unauthorized | Trouble::Forbidden) {
                        self.config.backoff_max
                    } else {
                        backoff
                    }
                }
            };
            backoff = (backoff * 2).min(self.config.backoff_max);
            tokio::select! {
                biased;
                _ = &mut stopped => break,
                () = sleep(wait) => {}
            }
        }
        // Channels that are on their way back arrive there before we say that we are done.
        while self.tasks.join_next().await.is_some() {}
        self.status.send_replace(Status::Stopped);
    }

    async fn read(
        &mut self,
        mut socket: WebSocketStream<Redact<'_, TcpStream>>,
        stopped: &mut oneshot::Receiver<()>,
    ) -> Ended {
        let mut keys = socket.get_ref().keys();
        let mut messages: u32 = 0;
        let mut ping_unanswered = false;
        let first_ping = tokio::time::Instant::now() + self.config.ping_every;
        let mut pings = interval_at(first_ping, self.config.ping_every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (tell, mut told) = mpsc::channel(4);
        // Ends with this function, and its tasks with it.
        let mut tasks = JoinSet::new();
        tasks.spawn(list(self.client.clone(), tell.clone()));
        let (client, app) = (self.client.clone(), self.config.app.clone());
        tasks.spawn(async move {
            // It only saves work: an Asterisk that does not know it sends more than is needed.
            drop(client.allow_events(&app, &NEEDED).await);
        });
        let mut listings = interval_at(tokio::time::Instant::now() + LISTING_EVERY, LISTING_EVERY);
        listings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // The socket comes last: it can always be ready, the others can't.
                biased;
                _ = &mut *stopped => {
                    // Whether the close went out or not: the socket is dropped.
                    drop(timeout(WRITE_WAIT, socket.close(None)).await);
                    return Ended::Stopped;
                }
                _ = pings.tick() => {
                    if ping_unanswered {
                        return Ended::Lost(Trouble::Silent);
                    }
                    ping_unanswered = true;
                    match timeout(WRITE_WAIT, socket.send(Message::Ping(tungstenite::Bytes::new()))).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => return Ended::Lost(trouble_of(&error)),
                        Err(_) => return Ended::Lost(Trouble::Silent),
                    }
                }
                // One that could not be given back, or whose start was never told, is found here.
                _ = listings.tick() => {
                    tasks.spawn(list(self.client.clone(), tell.clone()));
                }
                Some(what) = told.recv() => match what {
                    Told::Listed(channels) => {
                        let suspects = self.router.handle_listing(&channels);
                        if !suspects.is_empty() {
                            let (tell, grace) = (tell.clone(), self.config.orphan_grace);
                            tasks.spawn(async move {
                                sleep(grace).await;
                                // A reader that is gone will list again.
                                tell.send(Told::Settle(suspects)).await.unwrap_or_default();
                            });
                        }
                    }
                    Told::Settle(suspects) => {
                        for orphan in self.router.unknown(suspects) {
                            count(&self.counters.orphans);
                            // Its result stays as its last driver left it.
                            self.give_back(orphan, None);
                        }
                    }
                },
                Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => {}
                message = socket.next() => {
                    let arrived = Instant::now();
                    let then = match message {
                        Some(Ok(Message::Text(text))) => {
                            let key = keys.take_for(messages);
                            messages = messages.wrapping_add(1);
                            self.router.handle_message(text.as_str(), key, arrived)
                        }
                        Some(Ok(Message::Binary(_))) => {
                            let was_key = keys.take_for(messages).is_some();
                            messages = messages.wrapping_add(1);
                            self.router.handle_malformed(was_key);
                            Then::Nothing
                        }
                        Some(Ok(Message::Pong(_))) => {
                            ping_unanswered = false;
                            Then::Nothing
                        }
                        // Tungstenite answers pings and closes by itself.
                        Some(Ok(Message::Ping(_) | Message::Close(_) | Message::Frame(_))) => Then::Nothing,
                        Some(Err(error)) => return Ended::Lost(trouble_of(&error)),
                        None => return Ended::Lost(Trouble::Closed),
                    };
                    match then {
                        Then::Nothing => {}
                        Then::GiveBack(channel) => self.give_back(channel, Some(BUSY_RESULT)),
                        Then::Replaced => return Ended::Lost(Trouble::Replaced),
                    }
                }
            }
        }
    }

    fn give_back(&mut self, channel: ChannelId, result: Option<&'static str>) {
        let client = self.client.clone();
        self.tasks.spawn(async move {
            // Whatever comes of the variable, the caller must go on. Where an old prompt holds it up (OutcomeUnknown), it is
            // still set before the channel continues, since Asterisk keeps the order.
            if let Some(result) = result {
                drop(client.set_variable(&channel, RESULT_VARIABLE, result).await);
            }
            for _ in 0..GIVE_BACK_TRIES {
                // Whoever led an orphan had muted him. One that nobody led (`result`) was not.
                if result.is_none()
                    && let Err(RequestError::NotSent { .. } | RequestError::Refused { .. }) =
                        client.voice_back(&channel).await
                {
                    sleep(LISTING_WAIT).await;
                    continue;
                }
                match client.continue_in_dialplan(&channel, None).await {
                    Err(RequestError::NotSent { .. } | RequestError::Refused { .. }) => {
                        sleep(LISTING_WAIT).await
                    }
                    // A channel that could not be reached is given back after the next listing.
                    Ok(()) | Err(_) => return,
                }
            }
        });
    }
}

/// Lists the channels until that works or the connection ends.
async fn list(client: Client, tell: mpsc::Sender<Told>) {
    loop {
        if let Ok(channels) = client.channels().await {
            // A reader that is gone will list again.
            tell.send(Told::Listed(channels)).await.unwrap_or_default();
            return;
        }
        sleep(LISTING_WAIT).await;
    }
}

/// Opens the event socket. The handshake is ours and not tungstenite's, which writes the request, and with it the
/// password, into the log at trace level.
async fn open<'w>(
    address: &Address,
    authorization: &reqwest::header::HeaderValue,
    config: &Config,
    window: &'w mut Window,
) -> Result<WebSocketStream<Redact<'w, TcpStream>>, Trouble> {
    let unreachable = |error: io::Error| Trouble::Unreachable(error.kind());
    let socket = TcpStream::connect(address.socket)
        .await
        .map_err(unreachable)?;
    socket.set_nodelay(true).map_err(unreachable)?;
    let mut socket = Redact::new(socket, window);
    let key = generate_key();
    let request = request(address, &config.app, &key);
    let closed = |error: io::Error| match error.get_ref().and_then(|e| e.downcast_ref::<Fault>()) {
        Some(Fault::TooLong { .. }) => Trouble::NotAsterisk,
        _ => Trouble::Closed,
    };
    for part in [
        request.as_bytes(),
        b"Authorization: ",
        authorization.as_bytes(),
        b"\r\n\r\n",
    ] {
        socket.write_all(part).await.map_err(closed)?;
    }
    socket.flush().await.map_err(closed)?;
    let mut head = Vec::with_capacity(512);
    // The redactor gives the head out whole and nothing behind it before it has been read.
    while !(head.ends_with(b"\n\n") || head.ends_with(b"\n\r\n")) {
        if socket.read_buf(&mut head).await.map_err(closed)? == 0 {
            return Err(if head.is_empty() {
                Trouble::Closed
            } else {
                Trouble::NotAsterisk
            });
        }
    }
    upgraded(&head, &derive_accept_key(key.as_bytes()))?;
    let limits = WebSocketConfig::default()
        .read_buffer_size(LIBRARY_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(LIBRARY_BUFFER)
        .max_message_size(Some(config.message_max))
        .max_frame_size(Some(config.message_max));
    Ok(WebSocketStream::from_raw_socket(socket, Role::Client, Some(limits)).await)
}

/// The upgrade without its last line, the authorisation. Without an Origin header, which makes Asterisk log a notice.
pub(crate) fn request(address: &Address, app: &str, key: &str) -> String {
    [
        format!("GET {}/events?app={app} HTTP/1.1\r\nHost: {}\r\n", address.path, address.socket),
        format!("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"),
    ]
    .concat()
}

/// Checks the answer to the upgrade (RFC 6455, 4.1).
pub(crate) fn upgraded(head: &[u8], accept: &str) -> Result<(), Trouble> {
    let head = std::str::from_utf8(head).map_err(|_| Trouble::NotAsterisk)?;
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|rest| rest.get(..3));
    match status
        .and_then(|digits| digits.parse::<u16>().ok())
        .ok_or(Trouble::NotAsterisk)?
    {
        101 => {}
        401 => return Err(Trouble::Unauthorized),
        403 => return Err(Trouble::Forbidden),
        404 => return Err(Trouble::NoAri),
        status => return Err(Trouble::NotUpgraded(status)),
    }
    let value = |name: &str| {
        head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let upgraded = value("upgrade").is_some_and(|v| v.eq_ignore_ascii_case("websocket"))
        && value("sec-websocket-accept") == Some(accept)
        && value("sec-websocket-extensions").is_none();
    if upgraded {
        Ok(())
    } else {
        Err(Trouble::NotAsterisk)
    }
}

fn trouble_of(error: &tungstenite::Error) -> Trouble {
    match error {
        tungstenite::Error::Io(io) => match io.get_ref().and_then(|e| e.downcast_ref::<Fault>()) {
            Some(fault) => Trouble::Fault(*fault),
            None => Trouble::Closed,
        },
        tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        )
        | tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed => Trouble::Closed,
        _ => Trouble::Fault(Fault::Protocol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_switch_is_a_websocket() {
        #[track_caller]
        fn check(head: &str, expected: Result<(), Trouble>) {
            assert_eq!(upgraded(head.as_bytes(), "abc="), expected, "{head}");
        }
        let good = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nconnection: Upgrade\r\nSec-WebSocket-Accept: abc=\r\n\r\n";
        check(good, Ok(()));
        check(&good.replace("abc=", "abd="), Err(Trouble::NotAsterisk));
        check(&good.replace("101", "200"), Err(Trouble::NotUpgraded(200)));
        check(
            &good.replace(
                "\r\n\r\n",
                "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            ),
            Err(Trouble::NotAsterisk),
        );
        check(
            "HTTP/1.1 401 Unauthorized\r\n\r\n",
            Err(Trouble::Unauthorized),
        );
        check("HTTP/1.1 403 Forbidden\r\n\r\n", Err(Trouble::Forbidden));
        check("HTTP/1.1 404 Not Found\r\n\r\n", Err(Trouble::NoAri));
        check("SIP/2.0 400\r\n\r\n", Err(Trouble::NotAsterisk));
        check("HTTP/1.1\r\n\r\n", Err(Trouble::NotAsterisk));
    }
}
