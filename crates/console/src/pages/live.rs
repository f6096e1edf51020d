//! What happens, to a page, as it happens; and the live wall.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use ivrpay_api as api;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use super::{Frame, allowed, answer, html, may_see};
use crate::Console;
use crate::guard::Asked;
use crate::hub::Live;
use crate::sessions::Signed;
use crate::show;
use crate::view;

/// A page is told at most so often: a person does not read faster.
const TOLD_EVERY: Duration = Duration::from_millis(80);
/// How often it is looked whether the person is still signed in.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often places and unknown outcomes are asked for, for a wall.
const ASIDE_EVERY: Duration = Duration::from_secs(10);
/// Unknown outcomes that are shown.
const UNKNOWN_MAX: usize = 50;

#[derive(Template)]
#[template(path = "wall.html")]
struct WallPage {
    f: Frame,
}

pub(crate) async fn page(State(console): State<Console>, signed: Signed) -> Response {
    let page = allowed(&signed.person, "/wall").map(|()| {
        let f = Frame::of(&console, &signed, "/wall", signed.lang.words().wall);
        html(&WallPage { f })
    });
    answer(&console, &signed, "/wall", page)
}

/// What is not of a call.
#[derive(Serialize, Default)]
struct Aside {
    pools: Vec<Place>,
    unknowns: Vec<Unknown>,
}

#[derive(Serialize)]
struct Place {
    name: String,
    used: u32,
    guaranteed: u32,
    limit: Option<u32>,
}

#[derive(Serialize)]
struct Unknown {
    id: String,
    order: String,
    amount: String,
    operator: String,
    age: String,
}

/// One page that listens.
struct Listener {
    console: Console,
    id: String,
    extension: String,
    wall: bool,
    live: watch::Receiver<Arc<Live>>,
    /// What it was told last.
    before: String,
    aside: Option<Instant>,
    over: bool,
}

pub(crate) async fn stream(
    State(console): State<Console>,
    signed: Signed,
    Asked(query): Asked,
) -> Response {
    let wall = query.get("wall") == "1";
    let page = if wall { "/wall" } else { "/" };
    if !may_see(&signed.person, page) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let mut live = console.hubs.listen(&signed.person.tenant);
    // How things stand comes first.
    live.mark_changed();
    let listener = Listener {
        extension: query.get("extension").to_owned(),
        id: signed.id,
        wall,
        live,
        before: String::new(),
        aside: None,
        over: false,
        console,
    };
    let events = stream::unfold(listener, |mut listener| async {
        let event = listener.next().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
        .into_response()
}

impl Listener {
    /// What the page is told next; `None` behind the end.
    async fn next(&mut self) -> Option<Event> {
        if self.over {
            return None;
        }
        loop {
            let due = self.aside.is_none_or(|at| at.elapsed() >= ASIDE_EVERY);
            if self.wall && due && !self.before.is_empty() {
                let signed = self.console.sessions.find(&self.id, false)?;
                self.aside = Some(Instant::now());
                return Event::default()
                    .event("aside")
                    .json_data(aside(&self.console, &signed).await)
                    .ok();
            }
            let look = tokio::time::timeout(LOOK_EVERY, self.live.changed());
            let changed = match look.await {
                Ok(Err(_)) => return None,
                Ok(Ok(())) => true,
                Err(_) => false,
            };
            let Some(signed) = self.console.sessions.find(&self.id, false) else {
                self.over = true;
                return Some(Event::default().event("over").data("{}"));
            };
            if changed && let Some(event) = self.tell(&signed) {
                tokio::time::sleep(TOLD_EVERY).await;
                return Some(event);
            }
        }
    }

    /// Where something that is shown has changed.
    fn tell(&mut self, signed: &Signed) -> Option<Event> {
        let live = Arc::clone(&self.live.borrow_and_update());
        let (lang, zone) = (signed.lang, &self.console.zone);
        if self.wall {
            let text = serde_json::to_string(&view::wall(&live, lang, zone)).ok()?;
            return self
                .changed(text)
                .map(|text| Event::default().event("wall").data(text));
        }
        let mut call = view::my_call(&live, &self.extension, lang);
        // A page counts the seconds by itself, from when they were last known.
        let seconds = call.seconds.take();
        let text = serde_json::to_string(&call).ok()?;
        self.changed(format!("{text}{:?}", call.timed))?;
        call.seconds = seconds;
        Event::default().event("call").json_data(&call).ok()
    }

    fn changed(&mut self, text: String) -> Option<String> {
        if text == self.before {
            return None;
        }
        self.before.clone_from(&text);
        Some(text)
    }
}

/// What this person may not see is left out.
async fn aside(console: &Console, signed: &Signed) -> Aside {
    let client = &console.client;
    let pools = client.get::<api::Pools>(&signed.token, "/v1/pools");
    let path = format!("/v1/payments?state=unknown&limit={UNKNOWN_MAX}");
    let unknowns = client.get::<api::Payments>(&signed.token, &path);
    let (pools, unknowns) = tokio::join!(pools, unknowns);
    let now = Timestamp::now();
    Aside {
        pools: pools.map_or_else(
            |_| Vec::new(),
            |answer| {
                let all = answer.pools.into_iter();
                all.map(|pool| Place {
                    used: pool.used + pool.elsewhere,
                    guaranteed: pool.guaranteed,
                    limit: pool.limit,
                    name: pool.name,
                })
                .collect()
            },
        ),
        unknowns: unknowns.map_or_else(
            |_| Vec::new(),
            |answer| {
                let all = answer.payments.into_iter();
                all.map(|payment| Unknown {
                    id: payment.id.to_string(),
                    order: payment.order_id.unwrap_or_default(),
                    amount: show::amount(payment.amount, &payment.currency),
                    operator: payment.operator.unwrap_or_default(),
                    age: show::age(&payment.updated_at, now, signed.lang),
                })
                .collect()
            },
        ),
    }
}
