//! Requests to Asterisk: HTTP/1.1 with keep-alive, JSON bodies, never a query string.
//!
//! Asterisk writes request lines into its log at some levels and shows them in `http show status`; bodies it does not.
//! The requests of one call keep their order because the caller awaits each; requests of different calls run side by side,
//! at most `requests_max` of them.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::Engine as _;
use reqwest::{
    Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use secrecy::ExposeSecret;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Semaphore;

use crate::{
    config::{Address, Config, ConfigError},
    error::RequestError,
    event::Channel,
    ids::{ChannelId, PlaybackId, encode_segment},
    request::{
        Application, Bridge, Continue, Dial, Direction, Dtmf, Endpoint, EventBan, EventFilter,
        EventType, GetVariable, Hangup, HangupReason, Info, LogChannel, Message, Module, Mute,
        Originate, Play, SetVariable, Setting, Sound, Variable,
    },
};

/// Largest answer that is read: `GET /channels` has about 1 KiB a channel.
const ANSWER_MAX: usize = 4 * 1024 * 1024;
/// Idle connections are dropped before Asterisk does so (`session_keep_alive` in http.conf, 15 s): a request that meets a
/// closing connection would end as [`RequestError::OutcomeUnknown`].
const IDLE_MAX: Duration = Duration::from_secs(10);

/// How long somebody whose call was broken off may key on without being heard; the dialplan waits as long (`ivrpay-tail`).
const TAIL: Duration = Duration::from_secs(2);

/// Sends requests. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    base: String,
    timeout: Duration,
    permits: Semaphore,
}

/// Basic authorisation (RFC 7617), marked so that no library prints it.
pub(crate) fn authorization(config: &Config) -> Result<HeaderValue, ConfigError> {
    let pair = secrecy::SecretString::from(format!(
        "{}:{}",
        config.user,
        config.password.expose_secret()
    ));
    let coded = base64::engine::general_purpose::STANDARD.encode(pair.expose_secret());
    let text = secrecy::SecretString::from(format!("Basic {coded}"));
    let mut value = HeaderValue::from_str(text.expose_secret()).map_err(|_| ConfigError::User)?;
    value.set_sensitive(true);
    Ok(value)
}

impl Client {
    /// A client for the Asterisk of `config`; connects when the first request is sent. For programs that need no events.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Self::at(&config.address()?, config)
    }

    pub(crate) fn at(address: &Address, config: &Config) -> Result<Self, ConfigError> {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization(config)?)]);
        // Never used, since only http:// is taken; without it reqwest wants a process-wide crypto provider.
        let no_tls = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .expect("ring has the default protocol versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(no_tls)
            .default_headers(headers)
            .http1_only()
            .no_proxy()
            .referer(false)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .pool_max_idle_per_host(config.requests_max)
            .pool_idle_timeout(IDLE_MAX)
            .build()
            .expect("a client with our own TLS settings needs nothing from outside");
        Ok(Self(Arc::new(Inner {
            http,
            base: format!("http://{}{}", address.socket, address.path),
            timeout: config.request_timeout,
            permits: Semaphore::new(config.requests_max.min(Semaphore::MAX_PERMITS)),
        })))
    }

    /// Answers a channel.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn answer(&self, channel: &ChannelId) -> Result<(), RequestError> {
        self.done(
            Method::POST,
            &format!("/channels/{}/answer", channel.segment()),
            None::<()>,
        )
        .await
    }

    /// Hangs a channel up.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn hangup(
        &self,
        channel: &ChannelId,
        reason: HangupReason,
    ) -> Result<(), RequestError> {
        self.done(
            Method::DELETE,
            &format!("/channels/{}", channel.segment()),
            Some(Hangup { reason }),
        )
        .await
    }

    /// Gives a channel back to the dialplan: at context, extension and priority, or behind `Stasis()`. A playback that runs
    /// on it is played to its end first: stop it before.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn continue_in_dialplan(
        &self,
        channel: &ChannelId,
        to: Option<(&str, &str, u32)>,
    ) -> Result<(), RequestError> {
        let body = to.map(|(context, extension, priority)| Continue {
            context,
            extension,
            priority,
        });
        self.done(
            Method::POST,
            &format!("/channels/{}/continue", channel.segment()),
            body,
        )
        .await
    }

    /// Sets a variable of a channel. Waits behind a playback that runs on the channel. Never for card data.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn set_variable(
        &self,
        channel: &ChannelId,
        variable: &str,
        value: &str,
    ) -> Result<(), RequestError> {
        let body = SetVariable { variable, value };
        self.done(
            Method::POST,
            &format!("/channels/{}/variable", channel.segment()),
            Some(body),
        )
        .await
    }

    /// Sets variables one after the other; those before the one that failed are set.
    ///
    /// # Errors
    /// [`RequestError`] of the first that failed.
    pub async fn set_variables(
        &self,
        channel: &ChannelId,
        pairs: &[(&str, &str)],
    ) -> Result<(), RequestError> {
        for (variable, value) in pairs {
            self.set_variable(channel, variable, value).await?;
        }
        Ok(())
    }

    /// The value of a variable or function of a channel; `None` where Asterisk says that it has none.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn get_variable(
        &self,
        channel: &ChannelId,
        variable: &str,
    ) -> Result<Option<String>, RequestError> {
        let path = format!("/channels/{}/variable", channel.segment());
        let answer = self
            .send(Method::GET, &path, Some(GetVariable { variable }))
            .await?;
        if answer.status == StatusCode::NOT_FOUND
            && serde_json::from_slice::<Message>(&answer.body)
                .is_ok_and(|m| m.message == "Provided variable was not found")
        {
            return Ok(None);
        }
        answer.json::<Variable>().map(|v| Some(v.value))
    }

    /// Plays media on a channel, one after the other, as one playback with an id of the caller's choice.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn play(
        &self,
        channel: &ChannelId,
        playback: &PlaybackId,
        media: &[&str],
        lang: Option<&str>,
    ) -> Result<(), RequestError> {
        let path = format!(
            "/channels/{}/play/{}",
            channel.segment(),
            playback.segment()
        );
        self.done(Method::POST, &path, Some(Play { media, lang }))
            .await
    }

    /// Stops a playback, queued or playing. One that has ended is no error: that is a normal race.
    /// `digits:`, `number:` and `characters:` can't be stopped (status 500).
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn stop_playback(&self, playback: &PlaybackId) -> Result<(), RequestError> {
        match self
            .done(
                Method::DELETE,
                &format!("/playbacks/{}", playback.segment()),
                None::<()>,
            )
            .await
        {
            Err(RequestError::Gone) => Ok(()),
            other => other,
        }
    }

    /// Whether a playback is queued or playing: [`RequestError::Gone`] where it has ended.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn playback(&self, playback: &PlaybackId) -> Result<(), RequestError> {
        let path = format!("/playbacks/{}", playback.segment());
        self.bytes(&path).await.map(drop)
    }

    /// Takes a channel's voice away; keys pass all the same.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn mute(
        &self,
        channel: &ChannelId,
        direction: Direction,
    ) -> Result<(), RequestError> {
        self.done(
            Method::POST,
            &format!("/channels/{}/mute", channel.segment()),
            Some(Mute { direction }),
        )
        .await
    }

    /// Gives a channel's voice back.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn unmute(
        &self,
        channel: &ChannelId,
        direction: Direction,
    ) -> Result<(), RequestError> {
        self.done(
            Method::DELETE,
            &format!("/channels/{}/mute", channel.segment()),
            Some(Mute { direction }),
        )
        .await
    }

    /// Gives a caller his voice back whom a daemon may have muted, and who may be keying at this moment: two seconds later, so that
    /// the rest of his keys is not heard either. Does nothing where the dialplan says with
    /// [`MUTED_VARIABLE`](crate::MUTED_VARIABLE) that it does all this itself. Both set the same flag of the channel, which does not
    /// count (`ast_channel_suppress`, main/channel.c): one unmute undoes any number of mutes.
    ///
    /// # Errors
    /// [`RequestError`]; the caller may still be muted then.
    pub async fn voice_back(&self, channel: &ChannelId) -> Result<(), RequestError> {
        match self.get_variable(channel, crate::MUTED_VARIABLE).await {
            Ok(Some(by_dialplan)) if by_dialplan == "1" => Ok(()),
            Err(RequestError::Gone) => Err(RequestError::Gone),
            // Not knowing is "no": a caller whom nobody hears is worse than a moment too early.
            _ => {
                tokio::time::sleep(TAIL).await;
                self.unmute(channel, Direction::In).await
            }
        }
    }

    /// Sends silence to a channel until something else is played. Recorders of that channel keep their time line by it: with the
    /// caller muted and nothing sent, MixMonitor writes nothing at all (measured, Asterisk 22).
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn silence(&self, channel: &ChannelId) -> Result<(), RequestError> {
        self.done(
            Method::POST,
            &format!("/channels/{}/silence", channel.segment()),
            None::<()>,
        )
        .await
    }

    /// All channels of Asterisk.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn channels(&self) -> Result<Vec<Channel>, RequestError> {
        let answer = self.send(Method::GET, "/channels", None::<()>).await?;
        let body = answer.checked()?;
        serde_json::from_slice(&body)
            .or_else(|_| addressable(&body))
            .map_err(|_| RequestError::Unreadable)
    }

    /// One channel.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn channel(&self, channel: &ChannelId) -> Result<Channel, RequestError> {
        self.get(&format!("/channels/{}", channel.segment())).await
    }

    /// The log channels, with their levels.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn logging(&self) -> Result<Vec<LogChannel>, RequestError> {
        self.get("/asterisk/logging").await
    }

    /// The applications that Asterisk knows. A listed one may still have no client: its channels keep it alive.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn applications(&self) -> Result<Vec<Application>, RequestError> {
        self.get("/applications").await
    }

    /// One application; [`RequestError::Gone`] where Asterisk does not know it.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn application(&self, name: &str) -> Result<Application, RequestError> {
        self.get(&format!("/applications/{}", encode_segment(name)))
            .await
    }

    /// All bridges, those of `Dial()` and `Queue()` among them.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn bridges(&self) -> Result<Vec<Bridge>, RequestError> {
        self.get("/bridges").await
    }

    /// Has Asterisk send an application no other events than these.
    ///
    /// # Errors
    /// [`RequestError`]; [`RequestError::Gone`] where Asterisk does not know the application, or is too old for this.
    pub async fn allow_events(&self, name: &str, types: &[&str]) -> Result<(), RequestError> {
        let filter = EventFilter {
            allowed: types
                .iter()
                .map(|kind| EventType {
                    kind: (*kind).to_owned(),
                })
                .collect(),
        };
        let path = format!("/applications/{}/eventFilter", encode_segment(name));
        self.done(Method::PUT, &path, Some(filter)).await
    }

    /// Has Asterisk send an application everything but these.
    ///
    /// # Errors
    /// As [`Self::allow_events`].
    pub async fn disallow_events(&self, name: &str, types: &[&str]) -> Result<(), RequestError> {
        let ban = EventBan {
            disallowed: types
                .iter()
                .map(|kind| EventType {
                    kind: (*kind).to_owned(),
                })
                .collect(),
        };
        let path = format!("/applications/{}/eventFilter", encode_segment(name));
        self.done(Method::PUT, &path, Some(ban)).await
    }

    /// Places a call of our own, for tests of an installation.
    ///
    /// # Errors
    /// [`RequestError`]; [`RequestError::NotInStasis`] (status 409) where a channel of that id is there.
    pub async fn originate(&self, call: &Originate<'_>) -> Result<(), RequestError> {
        self.done(Method::POST, "/channels", Some(call)).await
    }

    /// Runs a piece of dialplan on a Local channel: an extension that does something and hangs up. It has `seconds` to its end or to its
    /// `Answer()`. Returns when it has begun.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn run_dialplan(
        &self,
        context: &str,
        extension: &str,
        variables: BTreeMap<&str, &str>,
        seconds: u32,
    ) -> Result<(), RequestError> {
        self.dial(&Dial {
            endpoint: &format!("Local/{extension}@{context}/n"),
            // Where the other half would stand if it were answered.
            context,
            extension,
            priority: 1,
            caller: "",
            channel: "",
            timeout: seconds,
            variables,
        })
        .await
    }

    /// Calls somebody.
    ///
    /// # Errors
    /// [`RequestError`]; [`RequestError::NotInStasis`] (status 409) where a channel of that id is there.
    pub async fn dial(&self, call: &Dial<'_>) -> Result<(), RequestError> {
        self.done(Method::POST, "/channels", Some(call)).await
    }

    /// Sends one key on a channel of our own, held for so long. **Never for a caller's keys**: the key is in the body.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn dtmf(
        &self,
        channel: &ChannelId,
        key: char,
        held_ms: u32,
    ) -> Result<(), RequestError> {
        let path = format!("/channels/{}/dtmf", channel.segment());
        let body = Dtmf {
            dtmf: key,
            duration: held_ms,
        };
        self.done(Method::POST, &path, Some(body)).await
    }

    /// About Asterisk.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn info(&self) -> Result<Info, RequestError> {
        self.get("/asterisk/info").await
    }

    /// The loaded modules.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn modules(&self) -> Result<Vec<Module>, RequestError> {
        self.get("/asterisk/modules").await
    }

    /// Every endpoint, of all technologies.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn endpoints(&self) -> Result<Vec<Endpoint>, RequestError> {
        self.get("/endpoints").await
    }

    /// The settings of a PJSIP object, for example of `endpoint` and its name. Not for `auth`: its password is a setting.
    ///
    /// # Errors
    /// [`RequestError`]; [`RequestError::Gone`] where there is no such object.
    pub async fn pjsip_settings(
        &self,
        kind: &str,
        name: &str,
    ) -> Result<Vec<Setting>, RequestError> {
        self.get(&format!(
            "/asterisk/config/dynamic/res_pjsip/{}/{}",
            encode_segment(kind),
            encode_segment(name)
        ))
        .await
    }

    /// Every sound that Asterisk can play.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn sounds(&self) -> Result<Vec<Sound>, RequestError> {
        self.get("/sounds").await
    }

    /// Whether Asterisk answers, and how fast.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn ping(&self) -> Result<Duration, RequestError> {
        let begun = Instant::now();
        self.done(Method::GET, "/asterisk/ping", None::<()>).await?;
        Ok(begun.elapsed())
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RequestError> {
        self.send(Method::GET, path, None::<()>).await?.json()
    }

    pub(crate) async fn bytes(&self, path: &str) -> Result<Vec<u8>, RequestError> {
        self.send(Method::GET, path, None::<()>).await?.checked()
    }

    pub(crate) async fn done<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<B>,
    ) -> Result<(), RequestError> {
        self.send(method, path, body).await?.checked().map(|_| ())
    }

    async fn send<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<B>,
    ) -> Result<Answer, RequestError> {
        let inner = &*self.0;
        let not_sent = |source| RequestError::NotSent { source };
        let deadline = tokio::time::Instant::now() + inner.timeout;
        let permit = tokio::time::timeout_at(deadline, inner.permits.acquire());
        let _permit = match permit.await {
            // One that came at the last moment is none: what is not sent is better than what nobody knows of.
            Ok(Ok(permit)) if tokio::time::Instant::now() < deadline => permit,
            Ok(Ok(_) | Err(_)) | Err(_) => return Err(not_sent(None)),
        };
        let mut request = inner.http.request(method, format!("{}{path}", inner.base));
        if let Some(body) = body {
            let body = serde_json::to_vec(&body).map_err(|e| not_sent(Some(e.into())))?;
            request = request
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body);
        }
        let exchange = async {
            let mut response = request.send().await.map_err(|e| {
                // Only what failed before the request was written may go again.
                if e.is_connect() || e.is_builder() {
                    not_sent(io_cause(&e))
                } else {
                    RequestError::OutcomeUnknown
                }
            })?;
            let status = response.status();
            let mut body = Vec::new();
            while let Some(part) = response
                .chunk()
                .await
                .map_err(|_| RequestError::OutcomeUnknown)?
            {
                if body.len() + part.len() > ANSWER_MAX {
                    return Err(RequestError::Unreadable);
                }
                body.extend_from_slice(&part);
            }
            Ok(Answer { status, body })
        };
        tokio::time::timeout_at(deadline, exchange)
            .await
            .unwrap_or(Err(RequestError::OutcomeUnknown))
    }
}

/// Of a list that can't be read as a whole, what can: an application may give its channels ids that are none to us, and must not
/// hide all others with them.
fn addressable(body: &[u8]) -> Result<Vec<Channel>, serde_json::Error> {
    let all: Vec<serde_json::Value> = serde_json::from_slice(body)?;
    Ok(all
        .into_iter()
        .filter_map(|channel| serde_json::from_value(channel).ok())
        .collect())
}

/// The kind of the first I/O error in the chain; the rest may name addresses and paths.
fn io_cause(error: &reqwest::Error) -> Option<std::io::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind().into());
        }
        cause = error.source();
    }
    None
}

struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl Answer {
    fn checked(self) -> Result<Vec<u8>, RequestError> {
        match self.status {
            status if status.is_success() => Ok(self.body),
            StatusCode::NOT_FOUND => Err(RequestError::Gone),
            StatusCode::CONFLICT => Err(RequestError::NotInStasis),
            status => Err(RequestError::Refused {
                status: status.as_u16(),
            }),
        }
    }

    fn json<T: DeserializeOwned>(self) -> Result<T, RequestError> {
        serde_json::from_slice(&self.checked()?).map_err(|_| RequestError::Unreadable)
    }
}
