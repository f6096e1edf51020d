//! A proxy between the service and Asterisk's HTTP port: cuts the event socket, keeps it away, has requests wait or answers them itself, and
//! sends events twice or late.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Asterisk has it.
    Passes,
    /// Asterisk has it so much later.
    Waits(Duration),
    /// It is answered so, and Asterisk never has it.
    Is(u16),
    /// Asterisk has it; of a bridge that is asked for by its id is said that it is native RTP.
    Native,
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Events {
    /// It passes.
    Pass,
    /// It comes twice.
    Twice,
    /// It comes so much later.
    Late(Duration),
}

struct State {
    to: SocketAddr,
    rest: Mutex<Rest>,
    events: Mutex<Events>,
    away: AtomicBool,
    cuts: watch::Sender<u64>,
}

/// The proxy, until it is dropped.
pub struct Between {
    /// Where the service connects to.
    pub address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Between {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

/// How long the address may be taken still.
const FREE_MAX: Duration = Duration::from_secs(2);

/// Longest head of a request.
const HEAD_MAX: usize = 64 * 1024;

impl Between {
    /// Listens at `address` and connects to `to`.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn start(address: SocketAddr, to: SocketAddr) -> anyhow::Result<Self> {
        // The one before may be about to let go of it.
        let began = Instant::now();
        let listener = loop {
            match TcpListener::bind(address).await {
                Err(_) if began.elapsed() < FREE_MAX => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                bound => break bound?,
            }
        };
        let state = Arc::new(State {
            to,
            rest: Mutex::new(Rest::Passes),
            events: Mutex::new(Events::Pass),
            away: AtomicBool::new(false),
            cuts: watch::Sender::new(0),
        });
        let task = tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let state = Arc::clone(&state);
                    // An error is one of the two ends going away.
                    tokio::spawn(async move { drop(state.serve(stream).await) });
                }
            }
        });
        Ok(Self {
            address,
            state,
            task,
        })
    }

    /// Of every request from now on.
    pub fn rest(&self, rest: Rest) {
        *lock(&self.state.rest) = rest;
    }

    /// Of every event from now on.
    pub fn events(&self, events: Events) {
        *lock(&self.state.events) = events;
    }

    /// Ends the event socket; a new one can be opened, unless it is [away](Self::away).
    pub fn cut(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Whether a new event socket is refused.
    pub fn away(&self, away: bool) {
        self.state.away.store(away, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// One connection: the event socket, or one request.
    async fn serve(&self, mut stream: TcpStream) -> anyhow::Result<()> {
        stream.set_nodelay(true)?;
        let mut read = Vec::new();
        let head = loop {
            if let Some(at) = read.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            anyhow::ensure!(read.len() < HEAD_MAX, "a long head");
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        let text = String::from_utf8_lossy(read.get(..head).unwrap_or_default()).into_owned();
        if text.to_ascii_lowercase().contains("upgrade: websocket") {
            return self.socket(stream, &read).await;
        }
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok())?
        });
        while read.len() < head + length.unwrap_or(0) {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        }
        let rest = *lock(&self.rest);
        match rest {
            Rest::Passes | Rest::Native => {}
            Rest::Waits(wait) => tokio::time::sleep(wait).await,
            Rest::Is(status) => {
                let answer = format!(
                    "HTTP/1.1 {status} By the proxy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).await?;
                return Ok(());
            }
        }
        let mut asterisk = TcpStream::connect(self.to).await?;
        let (line, after) = text.split_once("\r\n").context("no request line")?;
        asterisk
            .write_all(format!("{line}\r\nconnection: close\r\n{after}").as_bytes())
            .await?;
        asterisk
            .write_all(read.get(head..).unwrap_or_default())
            .await?;
        if rest == Rest::Native && line.starts_with("GET /ari/bridges/") {
            let mut answer = Vec::new();
            asterisk.read_to_end(&mut answer).await?;
            stream.write_all(&as_native(answer)).await?;
        } else {
            tokio::io::copy(&mut asterisk, &mut stream).await?;
        }
        stream.shutdown().await?;
        Ok(())
    }

    async fn socket(&self, service: TcpStream, read: &[u8]) -> anyhow::Result<()> {
        if self.away.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut cuts = self.cuts.subscribe();
        let mut asterisk = TcpStream::connect(self.to).await?;
        asterisk.set_nodelay(true)?;
        asterisk.write_all(read).await?;
        let (mut from_service, to_service) = service.into_split();
        let (from_asterisk, mut to_asterisk) = asterisk.into_split();
        // Both ends close when this is dropped.
        tokio::select! {
            _ = tokio::io::copy(&mut from_service, &mut to_asterisk) => {}
            passed = self.pass(from_asterisk, to_service) => passed?,
            _ = cuts.changed() => {}
        }
        Ok(())
    }

    /// Passes the answer to the opening, then frame by frame (RFC 6455, 5.2): what a server sends is not masked.
    async fn pass(&self, mut from: OwnedReadHalf, to: OwnedWriteHalf) -> anyhow::Result<()> {
        let (queue, mut due) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
        let write = async move {
            let mut to = to;
            while let Some((at, bytes)) = due.recv().await {
                tokio::time::sleep_until(at).await;
                to.write_all(&bytes).await?;
            }
            Ok::<_, anyhow::Error>(())
        };
        let read = async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(from.read_u8().await?);
            }
            queue.send((Instant::now(), head))?;
            loop {
                let frame = frame(&mut from).await?;
                let is_text = frame.first().is_some_and(|first| first & 0x0f == 1);
                let events = *lock(&self.events);
                let at = match events {
                    Events::Late(late) => Instant::now() + late,
                    _ => Instant::now(),
                };
                if is_text && events == Events::Twice {
                    queue.send((at, frame.clone()))?;
                }
                queue.send((at, frame))?;
            }
        };
        tokio::select! {
            done = write => done,
            done = read => done,
        }
    }
}

/// The same answer, as long, with another technology.
fn as_native(mut answer: Vec<u8>) -> Vec<u8> {
    let (simple, native) = (br#""simple_bridge""#, br#""native_rtp"   "#);
    if let Some(at) = answer.windows(simple.len()).position(|w| w == simple) {
        answer.splice(at..at + simple.len(), *native);
    }
    answer
}

/// One frame, whole.
async fn frame(from: &mut OwnedReadHalf) -> anyhow::Result<Vec<u8>> {
    let mut frame = vec![0; 2];
    from.read_exact(&mut frame).await?;
    let more = match frame.get(1).copied().unwrap_or(0) & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut length = u64::from(frame.get(1).copied().unwrap_or(0) & 0x7f);
    if more > 0 {
        let mut bytes = vec![0; more];
        from.read_exact(&mut bytes).await?;
        length = bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        frame.extend(bytes);
    }
    let head = frame.len();
    frame.resize(head + usize::try_from(length)?, 0);
    from.read_exact(frame.get_mut(head..).unwrap_or_default())
        .await?;
    Ok(frame)
}
