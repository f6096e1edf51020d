//! The pages, and what their buttons do.

mod approvals;
mod call;
mod health;
mod live;
mod payment;
mod payments;
mod people;
pub(crate) mod sign_in;
mod tasks;

use std::sync::LazyLock;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::Console;
use crate::client::{Said, Trouble};
use crate::guard::{self, Cookie, Form, Posted, language};
use crate::sessions::{Flash, Person, Signed};
use crate::words::{self, Lang, Words};

/// Files that pages load, from the binary.
const ASSETS: [(&str, &str, &[u8]); 4] = [
    (
        "console.css",
        "text/css; charset=utf-8",
        include_bytes!("../assets/console.css"),
    ),
    (
        "console.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../assets/console.js"),
    ),
    (
        "live.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../assets/live.js"),
    ),
    (
        "icon.svg",
        "image/svg+xml",
        include_bytes!("../assets/icon.svg"),
    ),
];

/// Where they are: another path with each other content, since browsers keep them.
static ASSETS_AT: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (_, _, bytes) in ASSETS {
        hash.update(bytes);
    }
    let hash = hash.finalize();
    let short: String = hash.iter().take(6).map(|b| format!("{b:02x}")).collect();
    format!("/assets/{short}")
});

/// Every path of a form. All want somebody who is signed in and a form of ours; the sign-in has a proof of its own.
pub(crate) fn router(console: &Console) -> Router {
    Router::new()
        .route("/", get(call::page))
        .route("/alive", post(call::alive))
        .route("/call/start", post(call::start))
        .route("/call/{id}/{what}", post(call::wish))
        .route("/live", get(live::stream))
        .route("/wall", get(live::page))
        .route("/payments", get(payments::page))
        .route("/payments/{id}", get(payment::page))
        .route("/payments/{id}/{what}", post(payment::act))
        .route("/payments/{id}/receipts/{file}", get(payment::receipt))
        .route("/payments/{id}/evidence/{file}", get(payment::evidence))
        .route("/tasks", get(tasks::page))
        .route("/tasks/{id}/{what}", post(tasks::act))
        .route("/approvals", get(approvals::page))
        .route("/approvals/{id}/{what}", post(approvals::act))
        .route("/health", get(health::page))
        .route("/people", get(people::page))
        .route("/language", post(speak))
        .route("/sign-in", get(sign_in::page).post(sign_in::enter))
        .route("/sign-in/oidc", get(sign_in::leave))
        .route("/sign-in/oidc/back", get(sign_in::come_back))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/healthz", get(|| async { "ok" }))
        .route("/assets/{version}/{file}", get(asset))
        .fallback(nowhere)
        .layer(middleware::from_fn_with_state(
            console.clone(),
            guard::headers,
        ))
        .with_state(console.clone())
}

async fn asset(Path((_, file)): Path<(String, String)>) -> Response {
    let found = ASSETS.iter().find(|(name, ..)| *name == file);
    match found {
        Some((_, kind, bytes)) => ([(header::CONTENT_TYPE, *kind)], *bytes).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn nowhere(State(console): State<Console>, headers: HeaderMap, uri: Uri) -> Response {
    let lang = language(&console, &headers);
    // A file that somebody guesses is not worth a page.
    if uri.path().contains('.') {
        return StatusCode::NOT_FOUND.into_response();
    }
    let said = Said {
        what: lang.words().unknown_page.to_owned(),
        todo: String::new(),
        detail: String::new(),
    };
    plain_error(&console, lang, StatusCode::NOT_FOUND, said)
}

/// A page of the menu.
pub(crate) struct Item {
    href: &'static str,
    name: &'static str,
    here: bool,
}

/// What surrounds every page.
pub(crate) struct Frame {
    w: &'static Words,
    lang: &'static str,
    assets: &'static str,
    title: String,
    /// Empty where nobody is signed in.
    csrf: String,
    menu: Vec<Item>,
    who: String,
    role: String,
    flash: Option<Flash>,
    idle: u64,
    here: &'static str,
}

impl Frame {
    pub(crate) fn nobody(lang: Lang, title: &str) -> Self {
        Self {
            w: lang.words(),
            lang: lang.code(),
            assets: &ASSETS_AT,
            title: title.to_owned(),
            csrf: String::new(),
            menu: Vec::new(),
            who: String::new(),
            role: String::new(),
            flash: None,
            idle: 0,
            here: "",
        }
    }

    fn of(console: &Console, signed: &Signed, here: &'static str, title: &str) -> Self {
        let lang = signed.lang;
        Self {
            csrf: signed.csrf(),
            menu: menu(&signed.person, here, lang),
            who: signed.person.shown().to_owned(),
            role: words::role_name(&signed.person.role, lang).to_owned(),
            flash: console.sessions.take_flash(&signed.id),
            idle: signed.idle,
            here,
            ..Self::nobody(lang, title)
        }
    }
}

/// What each page needs.
const PAGES: [(&str, &str); 7] = [
    ("/", "events"),
    ("/wall", "events"),
    ("/payments", "payments:read"),
    ("/tasks", "tasks"),
    ("/approvals", "refunds"),
    ("/health", "health"),
    ("/people", "people"),
];

/// An operator has his own call; those of others are a supervisor's.
fn may_see(person: &Person, href: &str) -> bool {
    let needs = PAGES.iter().find(|(page, _)| *page == href);
    let has = needs.is_some_and(|(_, scope)| person.may(scope));
    let of_others = matches!(href, "/wall" | "/approvals");
    has && !(of_others && person.role == "operator")
}

fn menu(person: &Person, here: &str, lang: Lang) -> Vec<Item> {
    let w = lang.words();
    let names = [
        w.my_call,
        w.wall,
        w.payments,
        w.tasks,
        w.approvals,
        w.health,
        w.people,
    ];
    let pages = PAGES.iter().zip(names);
    pages
        .filter(|((href, _), _)| may_see(person, href))
        .map(|((href, _), name)| Item {
            href,
            name,
            here: *href == here,
        })
        .collect()
}

/// A template as an answer.
fn html(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => Html(text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    f: Frame,
    said: Said,
}

/// An error for whoever it is.
pub(crate) fn plain_error(
    console: &Console,
    lang: Lang,
    status: StatusCode,
    said: Said,
) -> Response {
    let _ = console;
    let f = Frame::nobody(lang, lang.words().error_title);
    (status, html(&ErrorPage { f, said })).into_response()
}

/// A page, or the error in its place. Whose token is worth nothing any more signs in again.
fn answer(
    console: &Console,
    signed: &Signed,
    here: &'static str,
    page: Result<Response, Trouble>,
) -> Response {
    let trouble = match page {
        Ok(page) => return page,
        Err(trouble) => trouble,
    };
    if trouble.is_signed_out() {
        return signed_out(console, signed);
    }
    let status = match trouble.code() {
        "forbidden" => StatusCode::FORBIDDEN,
        "not-found" => StatusCode::NOT_FOUND,
        "away" | "odd" => StatusCode::BAD_GATEWAY,
        _ => StatusCode::BAD_REQUEST,
    };
    let title = signed.lang.words().error_title;
    let f = Frame::of(console, signed, here, title);
    let said = trouble.say(signed.lang);
    (status, html(&ErrorPage { f, said })).into_response()
}

fn signed_out(console: &Console, signed: &Signed) -> Response {
    drop(console.sessions.close(&signed.id));
    let mut response = Redirect::to("/sign-in?why=expired").into_response();
    let gone = Cookie::Session.write(console, "");
    response.headers_mut().append(header::SET_COOKIE, gone);
    response
}

/// Whose role does not show this page is told so before the API is asked.
fn allowed(person: &Person, href: &str) -> Result<(), Trouble> {
    match may_see(person, href) {
        true => Ok(()),
        false => Err(Trouble::Ours("forbidden")),
    }
}

/// What a button has done.
#[derive(Serialize)]
struct Told {
    good: bool,
    what: String,
    todo: String,
    detail: String,
    /// Where the page goes on, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    go: Option<String>,
}

/// The answer to a button: to a script, or by the next page.
fn told(console: &Console, posted: &Posted, done: Result<Flash, Trouble>, back: &str) -> Response {
    let signed = &posted.signed;
    let (flash, detail, status) = match done {
        Ok(flash) => (flash, String::new(), StatusCode::OK),
        Err(trouble) if trouble.is_signed_out() => {
            let response = signed_out(console, signed);
            return match posted.quiet {
                true => (StatusCode::UNAUTHORIZED, response).into_response(),
                false => response,
            };
        }
        Err(trouble) => {
            let said = trouble.say(signed.lang);
            let flash = Flash {
                good: false,
                text: said.what,
                todo: said.todo,
            };
            (flash, said.detail, StatusCode::CONFLICT)
        }
    };
    if posted.quiet {
        let told = Told {
            good: flash.good,
            what: flash.text,
            todo: flash.todo,
            detail,
            go: None,
        };
        return (status, Json(told)).into_response();
    }
    let text = match detail.is_empty() {
        true => flash.text,
        false => format!("{} ({detail})", flash.text),
    };
    console.sessions.flash(&signed.id, Flash { text, ..flash });
    Redirect::to(back).into_response()
}

fn good(text: &str) -> Flash {
    Flash {
        good: true,
        text: text.to_owned(),
        todo: String::new(),
    }
}

/// The other language, and the same page again.
async fn speak(State(console): State<Console>, posted: Posted) -> Response {
    let wanted = Lang::from_code(posted.form.get("to")).unwrap_or_default();
    console.sessions.speak(&posted.signed.id, wanted);
    Redirect::to(local(posted.form.get("back"))).into_response()
}

/// A path of ours, or the first page: no other host is gone to.
pub(crate) fn local(path: &str) -> &str {
    let bytes = path.as_bytes();
    let ours = bytes.first() == Some(&b'/')
        && !matches!(bytes.get(1), Some(b'/' | b'\\'))
        && bytes.iter().all(|b| b.is_ascii_graphic());
    match ours {
        true => path,
        false => "/",
    }
}

/// An id that goes into a path of the API.
fn id(text: &str) -> String {
    crate::client::encode(text)
}

/// A number that this form alone has: sent twice, it is done once.
fn once() -> String {
    format!("console-{}", crate::sessions::random())
}

/// The form's own.
fn once_of(form: &Form) -> Option<&str> {
    Some(form.get("once")).filter(|once| !once.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for (path, goes) in [
            ("/payments?order=1", "/payments?order=1"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("javascript:alert(1)", "/"),
            ("", "/"),
            ("/a\nSet-Cookie: x", "/"),
        ] {
            assert_eq!(local(path), goes, "{path:?}");
        }
    }

    #[test]
    fn a_role_sees_what_it_may() {
        let person = |role: &str, scopes: &[&str]| Person {
            role: role.into(),
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
            ..Person::default()
        };
        let seen = |person: &Person| -> Vec<&str> {
            let menu = menu(person, "/", Lang::En);
            menu.iter().map(|item| item.href).collect()
        };
        let operator = person("operator", &["events", "payments", "tasks"]);
        assert_eq!(seen(&operator), ["/", "/payments", "/tasks"]);
        let supervisor = person("supervisor", &["events", "payments", "tasks", "health"]);
        assert_eq!(
            seen(&supervisor),
            ["/", "/wall", "/payments", "/tasks", "/approvals", "/health"]
        );
        let admin = person("admin", &["people", "health"]);
        assert_eq!(seen(&admin), ["/health", "/people"]);
        assert!(seen(&person("operator", &[])).is_empty());
    }
}
