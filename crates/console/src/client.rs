//! The API, asked with the token of the person who is signed in. All that the console knows comes from here.

use std::time::Duration;

use reqwest::{Method, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::config::{self, ConfigError};
use crate::words::{self, Lang};

/// Longest wait for an answer. The acquirer is asked meanwhile where money moves.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Largest answer that is read, bytes.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// The stream of events says something each 15 s.
const EVENTS_SILENT_MAX: Duration = Duration::from_secs(45);

/// Why the API did not do it.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// Not reached, or no answer in time: it may have been done.
    Away,
    /// An answer that can't be read.
    Odd,
    /// Refused, with the API's reason.
    Refused(Box<Problem>),
    /// Refused here, by a word of [`words::problem`].
    Ours(&'static str),
}

/// An error of the API (RFC 9457). Whatever lacks is empty: the code alone decides.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) code: String,
    title: String,
    detail: String,
    hint: String,
    pub(crate) payment_id: Option<String>,
}

/// A sentence, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Said {
    pub(crate) what: String,
    pub(crate) todo: String,
    /// The API's own words, where they say more.
    pub(crate) detail: String,
}

impl Trouble {
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Away => "away",
            Self::Odd => "odd",
            Self::Refused(problem) => &problem.code,
            Self::Ours(code) => code,
        }
    }

    /// Whether the person is signed in no more.
    pub(crate) fn is_signed_out(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.status == 401)
    }

    /// For people.
    pub(crate) fn say(&self, lang: Lang) -> Said {
        let code = self.code();
        let (what, todo) = (words::problem(code, lang), words::remedy(code, lang));
        let Self::Refused(problem) = self else {
            return Said {
                what: what.to_owned(),
                todo: todo.to_owned(),
                detail: String::new(),
            };
        };
        // A code of a later version than this console has no words of ours.
        let known = what != code;
        match (lang, known) {
            (Lang::Ja, true) => Said {
                what: what.to_owned(),
                todo: todo.to_owned(),
                detail: problem.detail.clone(),
            },
            (Lang::En, true) if problem.detail.is_empty() => Said {
                what: what.to_owned(),
                todo: todo.to_owned(),
                detail: String::new(),
            },
            _ => Said {
                what: first(&[&problem.detail, &problem.title, what]),
                todo: problem.hint.clone(),
                detail: String::new(),
            },
        }
    }
}

/// The first that says something.
fn first(texts: &[&str]) -> String {
    let found = texts.iter().find(|text| !text.is_empty());
    found.copied().unwrap_or_default().to_owned()
}

/// A file that the API has made.
pub(crate) struct File {
    pub(crate) kind: String,
    pub(crate) bytes: Vec<u8>,
}

/// The API.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    /// For events: no limit to the whole.
    stream: reqwest::Client,
    base: String,
}

impl Client {
    pub(crate) fn new(api: &config::Api) -> Result<Self, ConfigError> {
        let wrong = |why: String| {
            let file = api.ca.clone().unwrap_or_default();
            ConfigError::Value(file, why)
        };
        let build = || {
            let mut builder = reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT_MAX);
            if let Some(file) = &api.ca {
                let pem =
                    std::fs::read(file).map_err(|error| ConfigError::Read(file.clone(), error))?;
                let all = reqwest::Certificate::from_pem_bundle(&pem)
                    .map_err(|error| wrong(error.to_string()))?;
                if all.is_empty() {
                    return Err(wrong("no certificate in it; PEM is expected".to_owned()));
                }
                builder = builder.tls_certs_only(all);
            }
            Ok(builder)
        };
        let made = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| wrong(error.to_string()))
        };
        Ok(Self {
            http: made(build()?.timeout(ANSWER_MAX))?,
            stream: made(build()?.read_timeout(EVENTS_SILENT_MAX))?,
            base: api.address.trim_end_matches('/').to_owned(),
        })
    }

    /// GET.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        token: &SecretString,
        path: &str,
    ) -> Result<T, Trouble> {
        read(self.ask(Some(token), Method::GET, path, None, None).await?)
    }

    /// GET without a person.
    pub(crate) async fn open<T: DeserializeOwned>(&self, path: &str) -> Result<T, Trouble> {
        read(self.ask(None, Method::GET, path, None, None).await?)
    }

    /// POST of JSON, done once however often it is sent under this `once`.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        token: Option<&SecretString>,
        path: &str,
        body: &Value,
        once: Option<&str>,
    ) -> Result<T, Trouble> {
        read(
            self.ask(token, Method::POST, path, Some(body), once)
                .await?,
        )
    }

    /// POST whose answer nobody reads.
    pub(crate) async fn tell(
        &self,
        token: &SecretString,
        path: &str,
        body: &Value,
    ) -> Result<(), Trouble> {
        let answer = self
            .ask(Some(token), Method::POST, path, Some(body), None)
            .await?;
        drop(answer);
        Ok(())
    }

    /// A file of that kind.
    pub(crate) async fn file(
        &self,
        token: &SecretString,
        path: &str,
        kind: &str,
    ) -> Result<File, Trouble> {
        let request = self
            .http
            .get(format!("{}{path}", self.base))
            .bearer_auth(token.expose_secret())
            .header(header::ACCEPT, kind);
        let (status, kind, bytes) = whole(request).await?;
        match status.is_success() {
            true => Ok(File { kind, bytes }),
            false => Err(refused(status, &bytes)),
        }
    }

    /// `GET /v1/events`, from behind `last` on.
    pub(crate) async fn events(
        &self,
        token: &SecretString,
        last: Option<&str>,
    ) -> Result<reqwest::Response, Trouble> {
        let mut request = self
            .stream
            .get(format!("{}/v1/events", self.base))
            .bearer_auth(token.expose_secret());
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = request.send().await.map_err(|_| Trouble::Away)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let bytes = answer.bytes().await.unwrap_or_default();
        Err(refused(status, &bytes))
    }

    /// Whether the API answers at all.
    pub(crate) async fn lives(&self) -> Result<(), Trouble> {
        let request = self.http.get(format!("{}/healthz", self.base));
        whole(request).await.map(drop)
    }

    async fn ask(
        &self,
        token: Option<&SecretString>,
        method: Method,
        path: &str,
        body: Option<&Value>,
        once: Option<&str>,
    ) -> Result<Vec<u8>, Trouble> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(once) = once {
            request = request.header("idempotency-key", once);
        }
        if let Some(body) = body {
            let text = Zeroizing::new(body.to_string());
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(text.as_bytes().to_vec());
        }
        let (status, _, bytes) = whole(request).await?;
        match status.is_success() {
            true => Ok(bytes),
            false => Err(refused(status, &bytes)),
        }
    }
}

/// Status, kind and body, the body to a bound.
async fn whole(request: reqwest::RequestBuilder) -> Result<(StatusCode, String, Vec<u8>), Trouble> {
    let mut answer = request.send().await.map_err(|_| Trouble::Away)?;
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.to_owned();
    let mut bytes = Vec::new();
    while let Some(more) = answer.chunk().await.map_err(|_| Trouble::Away)? {
        if bytes.len() + more.len() > ANSWER_BYTES_MAX {
            return Err(Trouble::Odd);
        }
        bytes.extend_from_slice(&more);
    }
    Ok((status, kind, bytes))
}

fn refused(status: StatusCode, bytes: &[u8]) -> Trouble {
    match serde_json::from_slice::<Problem>(bytes) {
        Ok(mut problem) if !problem.code.is_empty() => {
            problem.status = status.as_u16();
            Trouble::Refused(Box::new(problem))
        }
        _ => Trouble::Odd,
    }
}

/// An answer without a body is null.
fn read<T: DeserializeOwned>(bytes: Vec<u8>) -> Result<T, Trouble> {
    let bytes = if bytes.is_empty() { b"null" } else { &*bytes };
    serde_json::from_slice(bytes).map_err(|_| Trouble::Odd)
}

/// One segment of a path, or one value of a query.
pub(crate) fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// A path with those filters that say something.
pub(crate) fn filtered(path: &str, filters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in filters {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    match query.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{query}"),
    }
}
