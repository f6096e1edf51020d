//! Calls by Local channels: no SIP and no RTP, so that many fit on a small machine. The caller's half stands in an ARI
//! application of our own, which keys; the other half runs the payment extension.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::lab::Lab;
use crate::service::Service;

/// Our application.
pub const APP: &str = "ivrpay-bench";
/// Longest time without an event; the longest prompt takes half of it.
const SILENCE_MAX: Duration = Duration::from_secs(30);

type Told = Arc<Mutex<HashMap<String, mpsc::UnboundedSender<Value>>>>;

/// What a caller does.
pub struct Talk {
    /// Where he calls.
    pub extension: String,
    /// What he keys at each step.
    pub keys: Vec<(String, String)>,
    /// Hangs up when this step is announced.
    pub leave_at: Option<&'static str>,
    /// Hangs up in the middle of keying at this step.
    pub leave_behind: Option<&'static str>,
    /// Pause between two keys, ms.
    pub between: u32,
}

impl Default for Talk {
    fn default() -> Self {
        Self {
            extension: "7711200".into(),
            keys: Vec::new(),
            leave_at: None,
            leave_behind: None,
            between: PACE_MS,
        }
    }
}

/// Places calls.
pub struct Callers {
    http: reqwest::Client,
    base: String,
    user: String,
    password: String,
    told: Told,
    _app: Application,
    feed: JoinHandle<()>,
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.feed.abort();
    }
}

/// The application, as long as this is kept.
pub struct Application(JoinHandle<()>);

impl Drop for Application {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens the application.
///
/// # Errors
/// When Asterisk does not answer.
pub async fn application(lab: &Lab) -> anyhow::Result<Application> {
    let base = lab.get("ARI_URL")?.trim_end_matches('/');
    let password = std::fs::read_to_string(lab.path("ARI_PASSWORD_FILE")?)?;
    let basic = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .get(base)
        .basic_auth(lab.get("ARI_USER")?, Some(password.trim()))
        .build()?
        .headers()
        .get("authorization")
        .context("no authorization")?
        .clone();
    let url = format!("{}/events?app={APP}", base.replacen("http", "ws", 1));
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("authorization", basic);
    let (mut socket, _) = tokio_tungstenite::connect_async(request)
        .await
        .context("Asterisk refused the application of the callers")?;
    let reader = tokio::spawn(async move { while let Some(Ok(_)) = socket.next().await {} });
    Ok(Application(reader))
}

fn lock(told: &Told) -> MutexGuard<'_, HashMap<String, mpsc::UnboundedSender<Value>>> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Callers {
    /// Opens the application and the service's stream of events.
    ///
    /// # Errors
    /// When Asterisk or the service does not answer.
    pub async fn new(lab: &Lab, service: &Service) -> anyhow::Result<Self> {
        let base = lab.get("ARI_URL")?.trim_end_matches('/').to_owned();
        let user = lab.get("ARI_USER")?.to_owned();
        let password = std::fs::read_to_string(lab.path("ARI_PASSWORD_FILE")?)?
            .trim()
            .to_owned();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(15))
            .build()?;
        let app = application(lab).await?;
        let told = Told::default();
        let mut events = service.events().await?;
        let tell = Arc::clone(&told);
        let feed = tokio::spawn(async move {
            while let Ok(event) = events.next().await {
                let channel = event["channel_id"].as_str().unwrap_or_default();
                if let Some(call) = lock(&tell).get(channel) {
                    drop(call.send(event));
                }
            }
            // Whoever still waits finds his queue closed.
            lock(&tell).clear();
        });
        let callers = Self {
            http,
            base,
            user,
            password,
            told,
            _app: app,
            feed,
        };
        // Who makes a Local call is subscribed to both its halves: an application that gets the keys of the one that pays would have
        // every capture refused.
        let keyless = json!({"disallowed": [{"type": "ChannelDtmfReceived"}]});
        let path = format!("/applications/{APP}/eventFilter");
        callers.send(Method::PUT, &path, &keyless).await?;
        Ok(callers)
    }

    /// One payment: `keys` are pressed as their steps are announced, and more slowly when a step is announced again; `at_card`
    /// is awaited before the card number. Hangs up as soon as the payment is completed. Gives how often it was asked again.
    ///
    /// # Errors
    /// When the call does not end with the result `success`.
    pub async fn pay(
        &self,
        id: &str,
        keys: &[(&str, String)],
        at_card: impl Future<Output = ()>,
    ) -> anyhow::Result<usize> {
        let paying = format!("{id}-pay");
        let (tell, mut told) = mpsc::unbounded_channel();
        lock(&self.told).insert(paying.clone(), tell);
        let mut heard = Vec::new();
        let talk = Talk {
            keys: keys
                .iter()
                .map(|(s, k)| ((*s).to_owned(), k.clone()))
                .collect(),
            ..Talk::default()
        };
        let result = self
            .talk(id, &paying, &talk, at_card, &mut told, &mut heard)
            .await
            .and_then(|(again, result)| {
                ensure!(result == "success", "ended as {result}");
                Ok(again)
            })
            .with_context(|| format!("after {}", heard.join(" ")));
        lock(&self.told).remove(&paying);
        if result.is_err() {
            drop(self.hang_up(id).await);
        }
        result
    }

    /// As [`Self::pay`], with any ending: what the service said of it, also where the caller hung up.
    ///
    /// # Errors
    /// When the call does not end.
    pub async fn call(&self, id: &str, talk: &Talk) -> anyhow::Result<String> {
        let paying = format!("{id}-pay");
        let (tell, mut told) = mpsc::unbounded_channel();
        lock(&self.told).insert(paying.clone(), tell);
        let mut heard = Vec::new();
        let result = self
            .talk(id, &paying, talk, async {}, &mut told, &mut heard)
            .await
            .with_context(|| format!("after {}", heard.join(" ")));
        lock(&self.told).remove(&paying);
        drop(self.hang_up(id).await);
        result.map(|(_, result)| result)
    }

    async fn talk(
        &self,
        id: &str,
        paying: &str,
        talk: &Talk,
        at_card: impl Future<Output = ()>,
        told: &mut mpsc::UnboundedReceiver<Value>,
        heard: &mut Vec<String>,
    ) -> anyhow::Result<(usize, String)> {
        // Without `formats` Asterisk takes the widest, and spends its time with resampling from 192 kHz.
        let made = self
            .post(
            "/channels",
            &json!({"endpoint": format!("Local/{}@lab/n", talk.extension), "formats": "ulaw", "app": APP, "channelId": id, "otherChannelId": paying}),
        )
        .await;
        // The id is this call's alone: that it is there already means that the request was taken, and its answer was not.
        if let Err(error) = made
            && !error.to_string().contains("409")
        {
            return Err(error);
        }
        let mut at_card = Some(at_card);
        let mut again = 0;
        let mut left = false;
        loop {
            let event = tokio::time::timeout(SILENCE_MAX, told.recv())
                .await
                .with_context(|| format!("no event for {} s", SILENCE_MAX.as_secs()))?
                .context("the service's events ended")?;
            if event["event"] == "call-ended" {
                let result = event["result"].as_str().unwrap_or_default();
                return Ok((again, result.to_owned()));
            }
            let Some(step) = event["step"].as_str().filter(|_| event["event"] == "step") else {
                continue;
            };
            heard.push(step.to_owned());
            if let Some(error) = event["error"].as_str() {
                heard.push(format!("({error})"));
            }
            if step == "payment-completed" || talk.leave_at == Some(step) {
                self.hang_up(id).await?;
                continue;
            }
            // What was announced before it was known that he had left.
            if left {
                continue;
            }
            let Some((_, pressed)) = talk.keys.iter().find(|(of, _)| *of == step) else {
                continue;
            };
            if step == "payment-card-number"
                && let Some(wait) = at_card.take()
            {
                wait.await;
            }
            let pace = if event["attempt"].as_u64() > Some(1) {
                again += 1;
                talk.between.max(SLOWER_MS)
            } else {
                talk.between
            };
            self.post(
                &format!("/channels/{id}/dtmf"),
                &json!({"dtmf": pressed, "duration": pace.min(SLOWER_MS), "between": pace}),
            )
            .await?;
            if talk.leave_behind == Some(step) {
                // Asterisk keys by itself: in the middle of it.
                let half = u64::from(pace) * pressed.len() as u64 / 2;
                tokio::time::sleep(Duration::from_millis(half)).await;
                left = true;
                self.hang_up(id).await?;
            }
        }
    }

    async fn hang_up(&self, id: &str) -> anyhow::Result<()> {
        self.http
            .delete(format!("{}/channels/{id}", self.base))
            .basic_auth(&self.user, Some(&self.password))
            .send()
            .await?;
        Ok(())
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        self.send(Method::POST, path, body).await
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<()> {
        let answer = self
            .http
            .request(method.clone(), format!("{}{path}", self.base))
            .basic_auth(&self.user, Some(&self.password))
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await?;
        let status = answer.status();
        if !status.is_success() {
            bail!(
                "{method} {path} answered {status}: {}",
                answer.text().await?
            );
        }
        Ok(())
    }
}

/// Key on, and off, ms: a quick hand, and one that was asked to press more slowly.
const PACE_MS: u32 = 80;
const SLOWER_MS: u32 = 250;
