//! `GET /v1/events`: what happens, as it happens, and what was missed.
//!
//! The last events are kept, by number and by age. Who comes back with `Last-Event-ID` hears what it has missed; where that is no longer whole,
//! or of another life of the service, it is told so by an event named `gap`, and has to load how things stand.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt as _, stream};
use ivrpay_api as api;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use crate::Web;
use crate::auth::{Scope, Who};
use crate::error::ApiError;

/// Events that are kept.
const KEPT_MAX: usize = 4_096;
/// And how long.
const AGE_MAX: Duration = Duration::from_secs(600);
/// How often it is looked whether who listens still may.
const STILL: Duration = Duration::from_secs(3);
/// When a client tries again whose connection broke.
const RETRY: Duration = Duration::from_secs(2);

/// Where events go in, and listeners hear them.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    /// Which life of which service: numbers begin anew with each.
    life: String,
    stream: broadcast::Sender<Arc<api::Event>>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    events: VecDeque<(Instant, Arc<api::Event>)>,
    /// Number of the next.
    next: u64,
}

/// What a listener that comes hears first.
struct Missed {
    events: Vec<Arc<api::Event>>,
    /// Why that is not all.
    gap: Option<api::GapReason>,
    /// The last number that he has heard of when he has heard these: where there is none, he has one to come back with all the same.
    before: Option<u64>,
}

impl Feed {
    /// `life`: letters and digits, another for each start of each service. `lag_max`: events that a listener may be behind.
    #[must_use]
    pub fn new(life: impl Into<String>, lag_max: usize) -> Self {
        Self(Arc::new(Inner {
            life: life.into(),
            stream: broadcast::channel(lag_max).0,
            kept: Mutex::default(),
        }))
    }

    /// Keeps an event, and tells it. It gets its number here.
    pub fn send(&self, mut event: api::Event) {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        event.seq = kept.next;
        kept.next += 1;
        let event = Arc::new(event);
        kept.drop_old(Instant::now());
        kept.events.push_back((Instant::now(), Arc::clone(&event)));
        // Under the lock: a listener hears each event once, kept or told. An error only means that nobody listens.
        drop(self.0.stream.send(event));
    }

    /// All that happens from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<api::Event>> {
        self.0.stream.subscribe()
    }

    fn id(&self, seq: u64) -> String {
        format!("{}-{seq}", self.0.life)
    }

    /// From now on, and what was missed behind `last`.
    fn listen(&self, last: Option<&str>) -> (Missed, BroadcastStream<Arc<api::Event>>) {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.drop_old(Instant::now());
        let stream = BroadcastStream::new(self.0.stream.subscribe());
        let seen = last.map(|id| {
            id.rsplit_once('-')
                .filter(|(life, _)| *life == self.0.life)
                .and_then(|(_, seq)| seq.parse::<u64>().ok())
                .filter(|seq| *seq < kept.next)
        });
        let missed = match seen {
            None => Missed {
                events: Vec::new(),
                gap: None,
                before: kept.next.checked_sub(1),
            },
            Some(None) => Missed {
                events: kept.all().collect(),
                gap: Some(api::GapReason::OtherService),
                before: None,
            },
            Some(Some(seq)) => {
                let first = kept.all().next().map_or(kept.next, |event| event.seq);
                let gap = (seq + 1 < first).then_some(api::GapReason::TooOld);
                Missed {
                    events: kept.all().filter(|event| event.seq > seq).collect(),
                    gap,
                    before: Some(seq),
                }
            }
        };
        (missed, stream)
    }
}

impl Kept {
    fn all(&self) -> impl Iterator<Item = Arc<api::Event>> {
        self.events.iter().map(|(_, event)| Arc::clone(event))
    }

    fn drop_old(&mut self, now: Instant) {
        while let Some((at, _)) = self.events.front()
            && (self.events.len() >= KEPT_MAX || now.duration_since(*at) > AGE_MAX)
        {
            self.events.pop_front();
        }
    }
}

/// What happens to calls, captures and tasks, as server-sent events. Each has an `id`: come back with it in `Last-Event-ID` to hear what was missed.
/// An event named `gap` says that something was missed for good: load how things stand then.
#[utoipa::path(
    get, path = "/v1/events",
    params(("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was heard")),
    responses((status = 200, body = api::Event, content_type = "text/event-stream"))
)]
pub(crate) async fn events(
    State(web): State<Web>,
    who: Who,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    who.need(Scope::Events)?;
    // One that can't be read is none of ours.
    let last = headers.get("last-event-id");
    let last = last.map(|id| id.to_str().unwrap_or_default());
    let (missed, live) = web.events.listen(last);
    let whose = who.clone();
    let feed = web.events.clone();
    let hello = Event::default().retry(RETRY);
    let hello = match missed.before {
        Some(seq) => hello.id(feed.id(seq)),
        None => hello,
    };
    let gap = |why, lost| {
        Event::default()
            .event("gap")
            .json_data(api::Gap { why, lost })
            .ok()
    };
    let first = missed.gap.map(|why| gap(why, None));
    let then = missed.events.into_iter().map(Ok);
    let told = stream::iter(then).chain(live).map(move |item| match item {
        Ok(event) if who.sees(&event.tenant) => Event::default()
            .id(feed.id(event.seq))
            .json_data(event.as_ref())
            .ok(),
        // Another merchant's: its number alone, so that whoever comes back later has missed nothing of it.
        Ok(event) => Some(Event::default().id(feed.id(event.seq))),
        // A listener that does not read.
        Err(BroadcastStreamRecvError::Lagged(lost)) => gap(api::GapReason::Slow, Some(lost)),
    });
    let all = stream::iter([Some(hello)])
        .chain(stream::iter(first))
        .chain(told)
        .filter_map(|event| std::future::ready(event.map(Ok)))
        .take_until(until(web, whose));
    Ok(Sse::new(all).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// The service ends, or who listens may not any more: his session is over, or his key.
async fn until(web: Web, who: Who) {
    loop {
        tokio::select! {
            () = web.closing.cancelled() => return,
            () = tokio::time::sleep(STILL) => {}
        }
        if !web.access.is_still(&web, &who).await {
            return;
        }
    }
}
