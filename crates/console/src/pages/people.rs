//! Who may sign in, and which keys there are.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use ivrpay_api as api;

use super::{Frame, allowed, answer, html};
use crate::Console;
use crate::client::Trouble;
use crate::sessions::Signed;
use crate::show;
use crate::words::{self, Words};

struct Someone {
    person: String,
    name: String,
    role: String,
    extension: String,
    second_factor: &'static str,
    state: String,
}

struct Key {
    name: String,
    prefix: String,
    scopes: String,
    expires: String,
    used: String,
}

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    f: Frame,
    people: Vec<Someone>,
    keys: Vec<Key>,
}

pub(crate) async fn page(State(console): State<Console>, signed: Signed) -> Response {
    let page = listed(&console, &signed).await;
    answer(&console, &signed, "/people", page)
}

async fn listed(console: &Console, signed: &Signed) -> Result<Response, Trouble> {
    allowed(&signed.person, "/people")?;
    let (client, token, lang) = (&console.client, &signed.token, signed.lang);
    let w = lang.words();
    let people = client.get::<api::People>(token, "/v1/people");
    let keys = client.get::<api::Keys>(token, "/v1/keys");
    let (people, keys) = tokio::join!(people, keys);
    let time = |at: Option<String>| at.map_or(String::new(), |at| show::time(&at, &console.zone));
    let people = people?.people.into_iter().map(|one| Someone {
        state: stands(&one, &console.zone, w),
        role: words::role_name(&one.role, lang).to_owned(),
        extension: one.extension.unwrap_or_default(),
        second_factor: if one.second_factor { "✓" } else { "–" },
        person: one.name,
        name: one.shown,
    });
    // A key's list is for those who may see keys.
    let keys = keys.map_or_else(|_| Vec::new(), |all| all.keys);
    let keys = keys.into_iter().map(|one| Key {
        name: one.name,
        prefix: one.prefix,
        scopes: one.scopes.join(", "),
        expires: time(one.expires_at),
        used: time(one.used_at),
    });
    Ok(html(&PeoplePage {
        people: people.collect(),
        keys: keys.collect(),
        f: Frame::of(console, signed, "/people", w.people),
    }))
}

/// Whether he may sign in.
fn stands(one: &api::Person, zone: &jiff::tz::TimeZone, w: &Words) -> String {
    match (&one.disabled_at, &one.locked_until) {
        (Some(_), _) => w.disabled.to_owned(),
        (None, Some(until)) => format!("{} {}", w.locked_until, show::time(until, zone)),
        (None, None) => String::new(),
    }
}
