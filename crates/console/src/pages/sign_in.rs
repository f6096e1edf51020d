//! In and out.

use askama::Template;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Frame, html, local};
use crate::Console;
use crate::client::Trouble;
use crate::guard::{Asked, Cookie, Form, Posted, is_same_origin, language};
use crate::sessions::{Person, proof, random, same};
use crate::words::Lang;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    f: Frame,
    proof: String,
    next: String,
    person: String,
    /// The password was right so far; the code is asked for.
    code: bool,
    error: String,
    oidc: bool,
    other: &'static str,
}

/// Answer of `POST /v1/sessions`.
#[derive(Deserialize)]
struct Entered {
    #[serde(deserialize_with = "secret")]
    token: SecretString,
    #[serde(flatten)]
    person: Person,
}

fn secret<'de, D: serde::Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    String::deserialize(from).map(SecretString::from)
}

/// Answer of `GET /v1/sign-in/oidc`.
#[derive(Deserialize)]
struct Oidc {
    url: String,
    state: String,
}

#[derive(Template)]
#[template(path = "moment.html")]
struct Moment {
    f: Frame,
    to: String,
}

/// Somebody comes by a link of another site: strict cookies come with the next request, which is ours.
pub(crate) fn moment(console: &Console, lang: Lang, here: &str) -> Response {
    let _ = console;
    let sign = if here.contains('?') { '&' } else { '?' };
    let to = format!("{}{sign}moment=1", local(here));
    let f = Frame::nobody(lang, lang.words().one_moment);
    html(&Moment { f, to })
}

/// What the form shows.
#[derive(Default)]
struct Shown<'a> {
    next: &'a str,
    person: &'a str,
    code: bool,
    error: &'a str,
}

async fn form(
    console: &Console,
    headers: &HeaderMap,
    lang: Lang,
    status: StatusCode,
    shown: Shown<'_>,
) -> Response {
    let known = Cookie::Before.read(console, headers);
    let before = known.clone().unwrap_or_else(random);
    let f = Frame::nobody(lang, lang.words().sign_in);
    let page = SignIn {
        proof: proof(&before),
        next: local(shown.next).to_owned(),
        person: shown.person.to_owned(),
        code: shown.code,
        error: shown.error.to_owned(),
        oidc: offers_oidc(console).await,
        other: match lang {
            Lang::Ja => "en",
            Lang::En => "ja",
        },
        f,
    };
    let mut response = (status, html(&page)).into_response();
    if known.is_none() {
        let cookie = Cookie::Before.write(console, &before);
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

async fn offers_oidc(console: &Console) -> bool {
    let asked = console.client.open::<Oidc>("/v1/sign-in/oidc");
    asked.await.is_ok()
}

fn spoken(console: &Console, headers: &HeaderMap, form: &Form) -> Lang {
    Lang::from_code(form.get("lang")).unwrap_or_else(|| language(console, headers))
}

pub(crate) async fn page(
    State(console): State<Console>,
    headers: HeaderMap,
    Asked(query): Asked,
) -> Response {
    let lang = spoken(&console, &headers, &query);
    // Whoever is signed in already goes on; a form that is too old would only tell him so.
    let id = Cookie::Session.read(&console, &headers);
    if id.is_some_and(|id| console.sessions.find(&id, false).is_some()) {
        return Redirect::to(local(query.get("next"))).into_response();
    }
    let error = match query.get("why") {
        "expired" => lang.words().expired,
        _ => "",
    };
    let shown = Shown {
        next: query.get("next"),
        error,
        ..Shown::default()
    };
    form(&console, &headers, lang, StatusCode::OK, shown).await
}

pub(crate) async fn enter(State(console): State<Console>, request: Request) -> Response {
    let headers = request.headers().clone();
    let posted = match Form::read(request).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    let lang = spoken(&console, &headers, &posted);
    let words = lang.words();
    let mut shown = Shown {
        next: posted.get("next"),
        person: posted.get("person"),
        ..Shown::default()
    };
    let before = Cookie::Before.read(&console, &headers).unwrap_or_default();
    if !is_same_origin(&headers) || !same(posted.raw("csrf"), &proof(&before)) {
        shown.error = words.stale_form;
        return form(&console, &headers, lang, StatusCode::FORBIDDEN, shown).await;
    }
    let password = Zeroizing::new(posted.raw("password").to_owned());
    if shown.person.is_empty() || password.is_empty() {
        shown.error = words.enter_both;
        return form(&console, &headers, lang, StatusCode::BAD_REQUEST, shown).await;
    }
    let mut body = json!({"person": shown.person, "password": *password});
    let code: String = posted.get("code").split_whitespace().collect();
    if let Some(body) = body.as_object_mut().filter(|_| !code.is_empty()) {
        body.insert("code".to_owned(), code.as_str().into());
    }
    let answer = console.client.post(None, "/v1/sessions", &body, None).await;
    match answer {
        Ok(entered) => welcome(&console, &headers, lang, posted.get("next"), entered),
        Err(trouble) => {
            let said = trouble.say(lang);
            let (status, error) = match trouble.code() {
                "sign-in-failed" | "unauthorized" => {
                    (StatusCode::UNAUTHORIZED, words.sign_in_failed)
                }
                "code-required" => {
                    shown.code = true;
                    (StatusCode::UNAUTHORIZED, words.code_wanted)
                }
                "locked" | "rate-limited" => (StatusCode::TOO_MANY_REQUESTS, words.locked),
                "second-factor-missing" => (StatusCode::FORBIDDEN, &*said.what),
                _ => (StatusCode::BAD_GATEWAY, &*said.what),
            };
            shown.error = error;
            shown.code |= !code.is_empty();
            form(&console, &headers, lang, status, shown).await
        }
    }
}

/// A new number for a new session, whatever the browser had before.
fn welcome(
    console: &Console,
    headers: &HeaderMap,
    lang: Lang,
    next: &str,
    entered: Entered,
) -> Response {
    let old = Cookie::Session.read(console, headers);
    if let Some(token) = old.and_then(|id| console.sessions.close(&id)) {
        console.end_later(token);
    }
    let Entered { token, person } = entered;
    let theirs = person.language.as_deref().and_then(Lang::from_code);
    let first = match super::menu(&person, "", lang).first() {
        Some(item) if next.is_empty() || next == "/" => item.href,
        _ => local(next),
    };
    let first = first.to_owned();
    let opened = console
        .sessions
        .open(person, token.clone(), theirs.unwrap_or(lang));
    let Some(id) = opened else {
        console.end_later(token);
        return super::plain_error(
            console,
            lang,
            StatusCode::SERVICE_UNAVAILABLE,
            Trouble::Ours("unavailable").say(lang),
        );
    };
    let mut response = Redirect::to(&first).into_response();
    let set = response.headers_mut();
    set.append(header::SET_COOKIE, Cookie::Session.write(console, &id));
    set.append(header::SET_COOKIE, Cookie::Before.write(console, ""));
    response
}

/// To the provider of the single sign-on.
pub(crate) async fn leave(State(console): State<Console>, headers: HeaderMap) -> Response {
    let lang = language(&console, &headers);
    match console.client.open::<Oidc>("/v1/sign-in/oidc").await {
        Ok(oidc) if oidc.url.starts_with("https://") || oidc.url.starts_with("http://127.") => {
            let mut response = Redirect::to(&oidc.url).into_response();
            let cookie = Cookie::SignOn.write(&console, &proof(&oidc.state));
            response.headers_mut().append(header::SET_COOKIE, cookie);
            response
        }
        Ok(_) => trouble(&console, lang, &Trouble::Odd),
        Err(refused) => trouble(&console, lang, &refused),
    }
}

fn trouble(console: &Console, lang: Lang, trouble: &Trouble) -> Response {
    super::plain_error(console, lang, StatusCode::BAD_GATEWAY, trouble.say(lang))
}

/// And back: only the browser that left with this state comes back with it.
pub(crate) async fn come_back(
    State(console): State<Console>,
    headers: HeaderMap,
    Asked(query): Asked,
) -> Response {
    let lang = language(&console, &headers);
    let left = Cookie::SignOn.read(&console, &headers).unwrap_or_default();
    let state = query.get("state");
    let mut response = match same(&left, &proof(state)) && !query.get("code").is_empty() {
        false => {
            let error = lang.words().stale_form;
            let shown = Shown {
                error,
                ..Shown::default()
            };
            form(&console, &headers, lang, StatusCode::FORBIDDEN, shown).await
        }
        true => {
            let body = json!({"code": query.get("code"), "state": state});
            let path = "/v1/sessions/oidc";
            match console.client.post(None, path, &body, None).await {
                Ok(entered) => welcome(&console, &headers, lang, "", entered),
                Err(refused) => {
                    let said = refused.say(lang).what;
                    let shown = Shown {
                        error: &said,
                        ..Shown::default()
                    };
                    form(&console, &headers, lang, StatusCode::UNAUTHORIZED, shown).await
                }
            }
        }
    };
    let gone = Cookie::SignOn.write(&console, "");
    response.headers_mut().append(header::SET_COOKIE, gone);
    response
}

pub(crate) async fn sign_out(State(console): State<Console>, posted: Posted) -> Response {
    if let Some(token) = console.sessions.close(&posted.signed.id) {
        console.end_later(token);
    }
    let gone = Cookie::Session.write(&console, "");
    if posted.quiet {
        return ([(header::SET_COOKIE, gone)], Json(json!({}))).into_response();
    }
    let mut response = Redirect::to("/sign-in").into_response();
    response.headers_mut().append(header::SET_COOKIE, gone);
    response
}
