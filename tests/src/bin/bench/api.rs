//! What the HTTP API costs: payments created against a handler that only syncs a file, and five hundred listeners while two hundred pay.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use ivrpay_tests::service::{Events, Service};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Requests of each kind in all, and clients that ask at once, each one request after the other on one connection.
const REQUESTS: usize = 4_000;
const CLIENTS: usize = 16;
/// Turns of each kind: the machine is not the same from one minute to the next.
const TURNS: usize = 4;
/// Streams of events that are open at once.
pub(crate) const LISTENERS: usize = 500;

/// What one kind of request took.
#[derive(Default)]
pub(crate) struct Took {
    each: Vec<Duration>,
    all: Duration,
}

impl Took {
    fn ms(&self, p: usize) -> f64 {
        let mut each = self.each.clone();
        each.sort_unstable();
        let at = each.len().saturating_sub(1) * p / 100;
        each.get(at).map_or(f64::NAN, |t| 1e3 * t.as_secs_f64())
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.each.len() as f64 / self.all.as_secs_f64()
    }

    pub(crate) fn text(&self) -> String {
        format!(
            "p50 {:.2} and p99 {:.2} ms, {:.0} a second",
            self.ms(50),
            self.ms(99),
            self.per_second()
        )
    }

    fn add(&mut self, other: Self) {
        self.each.extend(other.each);
        self.all += other.all;
    }
}

/// Payments created, and the same bodies to a handler that writes and syncs them.
pub(crate) async fn created(service: &Service) -> anyhow::Result<(Took, Took)> {
    let bare = bare(&service.folder).await?;
    let (mut ours, mut theirs) = <(Took, Took)>::default();
    let number = Arc::new(AtomicUsize::new(0));
    for _ in 0..TURNS {
        theirs.add(asked(&bare, "none", &number).await?);
        let url = format!("{}/v1/payments", service.api);
        ours.add(asked(&url, service.key(), &number).await?);
    }
    Ok((ours, theirs))
}

/// One turn: every client's requests, at once.
async fn asked(url: &str, key: &str, number: &Arc<AtomicUsize>) -> anyhow::Result<Took> {
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (url, key, number) = (url.to_owned(), key.to_owned(), Arc::clone(number));
        clients.spawn(async move {
            let http = reqwest::Client::builder().no_proxy().build()?;
            let mut each = Vec::new();
            for _ in 0..REQUESTS / TURNS / CLIENTS {
                let n = number.fetch_add(1, Ordering::Relaxed);
                let body = json!({"amount": 1200, "order_id": format!("bench-{n}"), "description": "a bench"});
                let asked = Instant::now();
                let request = http.post(&url).bearer_auth(&key);
                let request = request.header("content-type", "application/json");
                let answer = request.body(body.to_string()).send().await?;
                let status = answer.status();
                let text = answer.text().await?;
                each.push(asked.elapsed());
                ensure!(status == 201, "{url} answered {status}: {text}");
            }
            anyhow::Ok(each)
        });
    }
    let mut took = Took::default();
    while let Some(each) = clients.join_next().await {
        took.each.extend(each??);
    }
    took.all = began.elapsed();
    Ok(took)
}

/// Answers 201 when the body is in a file and synced: the least that a service of payments can do. Its address.
async fn bare(folder: &Path) -> anyhow::Result<String> {
    let file = std::fs::File::create(folder.join("bare"))?;
    let file = Arc::new(Mutex::new(file));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let file = Arc::clone(&file);
            tokio::spawn(async move {
                if let Err(error) = answers(socket, &file).await {
                    eprintln!("bench: the bare handler: {error:#}");
                }
            });
        }
    });
    Ok(url)
}

async fn answers(mut socket: TcpStream, file: &Arc<Mutex<std::fs::File>>) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let mut read = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if socket.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(read.get(..end).unwrap_or_default()).to_lowercase();
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "));
        let length: usize = length.context("no length")?.trim().parse()?;
        while read.len() < end + length {
            ensure!(socket.read_buf(&mut read).await? > 0, "a short body");
        }
        let rest = read.split_off(end + length);
        let body = read.split_off(end);
        read = rest;
        let file = Arc::clone(file);
        tokio::task::spawn_blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(&body)?;
            file.sync_data()
        })
        .await??;
        let answer = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}";
        socket.write_all(answer).await?;
    }
}

/// Streams of events, read as fast as they come.
pub(crate) struct Listeners {
    readers: JoinSet<anyhow::Result<()>>,
    late: Arc<Mutex<Vec<Duration>>>,
}

impl Listeners {
    pub(crate) async fn open(service: &Service) -> anyhow::Result<Self> {
        let late = Arc::new(Mutex::new(Vec::new()));
        let mut readers = JoinSet::new();
        for _ in 0..LISTENERS {
            let (events, late) = (service.events().await?, Arc::clone(&late));
            readers.spawn(listen(events, late));
        }
        Ok(Self { readers, late })
    }

    /// From an event's own time to its line at a listener: p50, p99 and how many.
    pub(crate) fn close(mut self) -> anyhow::Result<(Duration, Duration, usize)> {
        if let Some(over) = self.readers.try_join_next() {
            over??;
        }
        let mut late =
            std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner));
        late.sort_unstable();
        let at = |p| late.get(late.len() * p / 100).copied().context("no event");
        Ok((at(50)?, at(99)?, late.len()))
    }
}

async fn listen(mut events: Events, late: Arc<Mutex<Vec<Duration>>>) -> anyhow::Result<()> {
    loop {
        let event = events.next().await?;
        let at = sent(&event).context("an event without a time")?;
        let took = SystemTime::now()
            .duration_since(UNIX_EPOCH)?
            .saturating_sub(at);
        late.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(took);
    }
}

/// `at` of an event, since 1970: `2026-11-27T18:30:25.123Z`, whose day is today's or yesterday's.
fn sent(event: &Value) -> Option<Duration> {
    let (_, time) = event["at"].as_str()?.split_once('T')?;
    let mut parts = time.strip_suffix('Z')?.split(':');
    let mut next = || parts.next()?.parse::<f64>().ok();
    let of_day = next()?.mul_add(3600.0, next()? * 60.0) + next()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let day = Duration::from_secs(now.as_secs() / 86_400 * 86_400);
    let at = day + Duration::from_secs_f64(of_day);
    Some(if at > now + Duration::from_secs(43_200) {
        at.saturating_sub(Duration::from_secs(86_400))
    } else {
        at
    })
}
