//! Who asks, whether a form is ours, and what every answer says to the browser.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Json, body};

use crate::Console;
use crate::client::Said;
use crate::pages;
use crate::sessions::{Signed, proof, same};
use crate::words::Lang;

/// Largest form, bytes.
const FORM_MAX: usize = 16 << 10;
/// Time for it to come.
const FORM_TIME: Duration = Duration::from_secs(10);

/// Over TLS browsers keep cookies of this prefix to this host, `Secure`, and let no other host set them.
const HOST: &str = "__Host-";

/// What a cookie is for.
#[derive(Clone, Copy)]
pub(crate) enum Cookie {
    /// Who is signed in.
    Session,
    /// The form of the sign-in.
    Before,
    /// Single sign-on, out and back: sent when the other site comes back to us.
    SignOn,
}

impl Cookie {
    const fn plain(self) -> &'static str {
        match self {
            Self::Session => "ivrpay-console",
            Self::Before => "ivrpay-console-before",
            Self::SignOn => "ivrpay-console-sign-on",
        }
    }

    fn name(self, console: &Console) -> String {
        // Without TLS browsers would throw it away.
        let prefix = if console.config.tls.is_some() {
            HOST
        } else {
            ""
        };
        format!("{prefix}{}", self.plain())
    }

    /// Its value, of a request.
    pub(crate) fn read(self, console: &Console, headers: &HeaderMap) -> Option<String> {
        let name = self.name(console);
        let lines = headers.get_all(header::COOKIE);
        let all = lines.iter().filter_map(|line| line.to_str().ok());
        all.flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(known, value)| *known == name && !value.is_empty())
            .map(|(_, value)| value.to_owned())
    }

    /// `Set-Cookie`; an empty value takes it away.
    pub(crate) fn write(self, console: &Console, value: &str) -> HeaderValue {
        let secure = if console.config.tls.is_some() {
            "; Secure"
        } else {
            ""
        };
        let site = match self {
            Self::SignOn => "Lax",
            // In a frame of another site a strict one is never sent. This one is kept apart for each such site, and every form has its own proof.
            _ if console.config.embed.cross_site => "None; Partitioned",
            _ => "Strict",
        };
        let gone = if value.is_empty() { "; Max-Age=0" } else { "" };
        let text = format!(
            "{}={value}; Path=/; HttpOnly; SameSite={site}{secure}{gone}",
            self.name(console)
        );
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// Whether the answer goes to a script of ours.
pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    accept.is_some_and(|accept| accept.as_bytes().starts_with(b"application/json"))
}

/// The language that the browser asks for, else that of the settings.
pub(crate) fn language(console: &Console, headers: &HeaderMap) -> Lang {
    let accepted = headers.get(header::ACCEPT_LANGUAGE);
    let accepted = accepted.and_then(|text| text.to_str().ok());
    let first =
        accepted.and_then(|text| text.split(',').find_map(|one| Lang::from_code(one.trim())));
    first.unwrap_or(console.config.language)
}

/// Pages load this by themselves: nobody has pressed a key.
const BY_ITSELF: [&str; 1] = ["/live"];

impl FromRequestParts<Console> for Signed {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        let active = !BY_ITSELF.contains(&parts.uri.path());
        let id = Cookie::Session.read(console, &parts.headers);
        let found = id.and_then(|id| console.sessions.find(&id, active));
        found.ok_or_else(|| nobody(console, parts))
    }
}

/// Nobody is signed in.
fn nobody(console: &Console, parts: &Parts) -> Response {
    let lang = language(console, &parts.headers);
    if parts.method != Method::GET || wants_json(&parts.headers) || parts.uri.path() == "/live" {
        let words = lang.words();
        let said = Said {
            what: words.expired.to_owned(),
            todo: String::new(),
            detail: String::new(),
        };
        return match wants_json(&parts.headers) {
            true => (StatusCode::UNAUTHORIZED, Json(said)).into_response(),
            false if parts.method == Method::GET => StatusCode::UNAUTHORIZED.into_response(),
            false => Redirect::to("/sign-in?why=expired").into_response(),
        };
    }
    let here = parts.uri.path_and_query().map_or("/", |here| here.as_str());
    // A link on another site: strict cookies come only with what we ask for ourselves.
    let site = parts.headers.get("sec-fetch-site");
    let from_elsewhere = site.is_some_and(|site| site == "cross-site" || site == "same-site");
    if from_elsewhere && !here.contains("moment=1") {
        return pages::sign_in::moment(console, lang, here);
    }
    let next = crate::client::encode(here);
    Redirect::to(&format!("/sign-in?next={next}")).into_response()
}

/// The fields of a form.
#[derive(Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.trim())
    }

    /// As it was entered, blanks too.
    pub(crate) fn raw(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// Of a query.
    pub(crate) fn of_query(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    pub(crate) async fn read(request: Request) -> Result<Self, Response> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let is_form = kind.is_some_and(|kind| {
            kind.as_bytes()
                .starts_with(b"application/x-www-form-urlencoded")
        });
        if !is_form {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response());
        }
        let whole = body::to_bytes(request.into_body(), FORM_MAX);
        match tokio::time::timeout(FORM_TIME, whole).await {
            Ok(Ok(bytes)) => Ok(Self(form_urlencoded::parse(&bytes).into_owned().collect())),
            Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE.into_response()),
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT.into_response()),
        }
    }
}

/// The query of a page.
pub(crate) struct Asked(pub(crate) Form);

impl FromRequestParts<Console> for Asked {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Console) -> Result<Self, Self::Rejection> {
        Ok(Self(Form::of_query(parts.uri.query())))
    }
}

/// A form of ours, by somebody who is signed in.
pub(crate) struct Posted {
    pub(crate) signed: Signed,
    pub(crate) form: Form,
    /// A script of ours waits for the answer.
    pub(crate) quiet: bool,
}

/// A form that is not ours, or was made before somebody else signed in.
pub(crate) fn not_ours(console: &Console, headers: &HeaderMap) -> Response {
    let lang = language(console, headers);
    let said = Said {
        what: lang.words().stale_form.to_owned(),
        todo: String::new(),
        detail: String::new(),
    };
    match wants_json(headers) {
        true => (StatusCode::FORBIDDEN, Json(said)).into_response(),
        false => pages::plain_error(console, lang, StatusCode::FORBIDDEN, said),
    }
}

/// Whether a request comes of a page of ours, as far as the browser says.
pub(crate) fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text(HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    // `null` is what our own pages send, since they send no referrer.
    match text(header::ORIGIN).filter(|origin| *origin != "null") {
        Some(origin) => {
            let host = origin.split_once("://").map_or("", |(_, host)| host);
            text(header::HOST) == Some(host)
        }
        None => true,
    }
}

impl FromRequest<Console> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let headers = parts.headers.clone();
        if !is_same_origin(&headers) {
            return Err(not_ours(console, &headers));
        }
        let signed = Signed::from_request_parts(&mut parts, console).await?;
        let form = Form::read(Request::from_parts(parts, body)).await?;
        if !same(form.raw("csrf"), &proof(&signed.id)) {
            return Err(not_ours(console, &headers));
        }
        Ok(Self {
            signed,
            form,
            quiet: wants_json(&headers),
        })
    }
}

/// What every answer says.
pub(crate) async fn headers(
    State(console): State<Console>,
    request: Request,
    next: Next,
) -> Response {
    let is_asset = request.uri().path().starts_with("/assets/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    let ancestors = match console.config.embed.origins.is_empty() {
        true => "'none'".to_owned(),
        false => format!("'self' {}", console.config.embed.origins.join(" ")),
    };
    set(
        "content-security-policy",
        &format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
             base-uri 'none'; frame-ancestors {ancestors}"
        ),
    );
    if console.config.embed.origins.is_empty() {
        // For browsers that are too old for `frame-ancestors`.
        set("x-frame-options", "DENY");
    }
    if console.config.tls.is_some() {
        set("strict-transport-security", "max-age=31536000");
    }
    set("x-content-type-options", "nosniff");
    set("referrer-policy", "no-referrer");
    set("cross-origin-opener-policy", "same-origin");
    set("cross-origin-resource-policy", "same-origin");
    set(
        "permissions-policy",
        "camera=(), microphone=(), geolocation=()",
    );
    // The path of an asset changes with what it is.
    let keep = match is_asset {
        true => "public, max-age=31536000, immutable",
        false => "no-store",
    };
    set("cache-control", keep);
    response
}
