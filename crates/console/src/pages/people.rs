//! Who may sign in, and which keys there are.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde_json::Value;

use super::{Frame, allowed, answer, html, rows, text};
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
    second_factor: String,
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
    let people = client.get::<Value>(token, "/v1/people");
    let keys = client.get::<Value>(token, "/v1/keys");
    let (people, keys) = tokio::join!(people, keys);
    let time = |value: &Value, name: &str| show::time(&text(value, name), &console.zone);
    let people = people?;
    let people = rows(&people, "people").iter().map(|one| Someone {
        person: text(one, "name"),
        name: text(one, "shown"),
        role: words::role_name(&text(one, "role"), lang).to_owned(),
        extension: text(one, "extension"),
        second_factor: text(one, "second_factor"),
        state: stands(one, &console.zone, w),
    });
    // A key's list is for those who may see keys.
    let keys = keys.unwrap_or(Value::Null);
    let keys = rows(&keys, "keys").iter().map(|one| {
        let scopes = rows(one, "scopes").iter().filter_map(Value::as_str);
        Key {
            name: text(one, "name"),
            prefix: text(one, "prefix"),
            scopes: scopes.collect::<Vec<_>>().join(", "),
            expires: time(one, "expires_at"),
            used: time(one, "used_at"),
        }
    });
    Ok(html(&PeoplePage {
        people: people.collect(),
        keys: keys.collect(),
        f: Frame::of(console, signed, "/people", w.people),
    }))
}

/// Whether he may sign in.
fn stands(one: &Value, zone: &jiff::tz::TimeZone, w: &Words) -> String {
    let locked = text(one, "locked_until");
    if !text(one, "disabled_at").is_empty() {
        w.disabled.to_owned()
    } else if !locked.is_empty() {
        format!("{} {}", w.locked_until, show::time(&locked, zone))
    } else {
        String::new()
    }
}
