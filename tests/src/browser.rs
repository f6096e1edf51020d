//! A headless Chromium, driven by its DevTools protocol over a websocket on this machine.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;

/// Longest wait for an answer of the browser: a snapshot of its heap takes a while.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether a page says what it should.
const LOOK_EVERY: Duration = Duration::from_millis(40);

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

/// A page in a browser of its own; both go when it is dropped.
pub struct Page {
    _chromium: Child,
    _profile: tempfile::TempDir,
    send: mpsc::UnboundedSender<Value>,
    waiting: Waiting,
    next: std::sync::atomic::AtomicU64,
    session: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// Everything that the network part of the protocol has told, as it came.
    network: String,
    /// Requests whose bodies can be asked for.
    requests: Vec<String>,
    heap: String,
    console: Vec<String>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Page {
    /// An empty page, in a window of this size, dark or light.
    ///
    /// # Errors
    /// When Chromium is not installed or does not start.
    pub async fn open(width: u32, height: u32, dark: bool) -> anyhow::Result<Self> {
        let profile = tempfile::tempdir()?;
        let mut chromium = Command::new("chromium")
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-proxy-server",
                "--accept-lang=ja",
                "--remote-debugging-port=0",
                "--remote-debugging-address=127.0.0.1",
            ])
            .arg(format!("--window-size={width},{height}"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("chromium can't be run; scripts/setup installs it")?;
        let mut lines = BufReader::new(chromium.stderr.take().context("piped")?).lines();
        let address = tokio::time::timeout(ANSWER_MAX, async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, address)) = line.split_once("DevTools listening on ") {
                    return Ok(address.trim().to_owned());
                }
            }
            bail!("chromium ended before it listened")
        })
        .await??;
        // Read on, so that it never waits for us.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let config = tokio_tungstenite::tungstenite::protocol::WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None);
        let (socket, _) =
            tokio_tungstenite::connect_async_with_config(address, Some(config), false).await?;
        let (mut out, mut inward) = socket.split();
        let (send, mut queue) = mpsc::unbounded_channel::<Value>();
        tokio::spawn(async move {
            while let Some(value) = queue.recv().await {
                if out.send(Message::text(value.to_string())).await.is_err() {
                    return;
                }
            }
        });
        let waiting = Waiting::default();
        let seen = Arc::<Mutex<Seen>>::default();
        let (answers, told) = (Arc::clone(&waiting), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Some(Ok(message)) = inward.next().await {
                let Ok(text) = message.into_text() else {
                    continue;
                };
                let Ok(mut value) = serde_json::from_str::<Value>(&text) else {
                    continue;
                };
                match value["id"].as_u64() {
                    Some(id) => {
                        if let Some(waiter) = locked(&answers).remove(&id) {
                            drop(waiter.send(value));
                        }
                    }
                    None => locked(&told).hear(&text, &mut value),
                }
            }
        });
        let mut page = Self {
            _chromium: chromium,
            _profile: profile,
            send,
            waiting,
            next: 1.into(),
            session: String::new(),
            seen,
        };
        let target = page
            .ask("Target.createTarget", json!({"url": "about:blank"}))
            .await?;
        let attached = page
            .ask(
                "Target.attachToTarget",
                json!({"targetId": target["targetId"], "flatten": true}),
            )
            .await?;
        page.session = attached["sessionId"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        for domain in ["Page", "Network", "Runtime", "Log"] {
            page.ask(&format!("{domain}.enable"), json!({})).await?;
        }
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        page.ask("Emulation.setDeviceMetricsOverride", size).await?;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]});
        page.ask("Emulation.setEmulatedMedia", features).await?;
        Ok(page)
    }

    /// A request of the protocol.
    ///
    /// # Errors
    /// When it is refused, or not answered.
    pub async fn ask(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        let id = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (waiter, answer) = oneshot::channel();
        locked(&self.waiting).insert(id, waiter);
        let mut request = json!({"id": id, "method": method, "params": params});
        if !self.session.is_empty() {
            request["sessionId"] = json!(self.session);
        }
        self.send.send(request).context("the browser has gone")?;
        let mut answer = tokio::time::timeout(ANSWER_MAX, answer)
            .await
            .with_context(|| format!("{method} was not answered"))?
            .context("the browser has gone")?;
        ensure!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        Ok(answer["result"].take())
    }

    /// Goes to an address, as one types it.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn go(&self, address: &str) -> anyhow::Result<()> {
        let gone = self.ask("Page.navigate", json!({"url": address})).await?;
        ensure!(
            gone["errorText"].is_null(),
            "{address}: {}",
            gone["errorText"]
        );
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")
            .await
    }

    /// What an expression is.
    ///
    /// # Errors
    /// When it throws.
    pub async fn eval(&self, expression: &str) -> anyhow::Result<Value> {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true});
        let mut done = self.ask("Runtime.evaluate", params).await?;
        ensure!(
            done["exceptionDetails"].is_null(),
            "{expression}: {}",
            done["exceptionDetails"]
        );
        Ok(done["result"]["value"].take())
    }

    /// Waits until an expression is true.
    ///
    /// # Errors
    /// After 20 s; with what the page says then.
    pub async fn until(&self, expression: &str) -> anyhow::Result<()> {
        self.within(Duration::from_secs(20), expression).await
    }

    /// The same, with another limit.
    ///
    /// # Errors
    /// After it; with what the page says then.
    pub async fn within(&self, limit: Duration, expression: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            // A page that is being left has nothing to say.
            if self.eval(expression).await.is_ok_and(|v| v == json!(true)) {
                return Ok(());
            }
            if began.elapsed() > limit {
                let text = self
                    .eval("location.href + '\\n' + document.body.innerText")
                    .await;
                bail!(
                    "`{expression}` is not true after {limit:?}; the page says: {}\nits console: {:?}",
                    text.unwrap_or_default().as_str().unwrap_or_default(),
                    locked(&self.seen).console
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Presses a key on the keyboard.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn press(&self, key: &str) -> anyhow::Result<()> {
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" && key.len() == 1 {
                key
            } else {
                ""
            };
            let params = json!({"type": kind, "key": key, "text": text});
            self.ask("Input.dispatchKeyEvent", params).await?;
        }
        Ok(())
    }

    /// Puts text into a field, as by a keyboard.
    ///
    /// # Errors
    /// When there is none.
    pub async fn fill(&self, selector: &str, text: &str) -> anyhow::Result<()> {
        let focus = format!(
            "(() => {{ const f = document.querySelector({}); f.focus(); f.select?.(); return true; }})()",
            json!(selector)
        );
        self.eval(&focus).await?;
        self.ask("Input.insertText", json!({"text": text})).await?;
        Ok(())
    }

    /// Clicks on something.
    ///
    /// # Errors
    /// When there is none.
    pub async fn click(&self, selector: &str) -> anyhow::Result<()> {
        let click = format!("document.querySelector({}).click()", json!(selector));
        self.eval(&click).await.map(drop)
    }

    /// Writes what it shows into a PNG.
    ///
    /// # Errors
    /// When it can't.
    pub async fn picture(&self, file: &Path) -> anyhow::Result<()> {
        let shot = self
            .ask("Page.captureScreenshot", json!({"format": "png"}))
            .await?;
        let bytes = base64::prelude::BASE64_STANDARD
            .decode(shot["data"].as_str().context("no picture")?)?;
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(file, bytes)?)
    }

    /// The page as it stands, what is in its fields too.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn dom(&self) -> anyhow::Result<String> {
        let all = "document.documentElement.outerHTML + '\\n' + [...document.querySelectorAll('input')].map(i => i.value).join('\\n') + '\\n' + document.body.innerText";
        Ok(self
            .eval(all)
            .await?
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }

    /// All that went over the network since the beginning: requests, answers, events, bodies as far as the browser has kept them.
    pub async fn network(&self) -> String {
        let requests = std::mem::take(&mut locked(&self.seen).requests);
        let mut all = String::new();
        for request in requests {
            let body = self
                .ask("Network.getResponseBody", json!({"requestId": request}))
                .await;
            if let Ok(body) = body {
                all.push_str(body["body"].as_str().unwrap_or_default());
                all.push('\n');
            }
        }
        let mut seen = locked(&self.seen);
        seen.network.push_str(&all);
        seen.network.clone()
    }

    /// All that is in the memory of the page's scripts.
    ///
    /// # Errors
    /// When the browser gives none.
    pub async fn heap(&self) -> anyhow::Result<String> {
        locked(&self.seen).heap.clear();
        self.ask("HeapProfiler.enable", json!({})).await?;
        let whole = json!({"reportProgress": false, "captureNumericValue": true});
        self.ask("HeapProfiler.takeHeapSnapshot", whole).await?;
        let heap = locked(&self.seen).heap.clone();
        ensure!(heap.len() > 100_000, "a snapshot of {} bytes", heap.len());
        Ok(heap)
    }

    /// What the browser has complained of: refused scripts, errors.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        locked(&self.seen).console.clone()
    }
}

impl Seen {
    fn hear(&mut self, text: &str, value: &mut Value) {
        let method = value["method"].as_str().unwrap_or_default().to_owned();
        let params = &mut value["params"];
        match &*method {
            "HeapProfiler.addHeapSnapshotChunk" => {
                self.heap
                    .push_str(params["chunk"].as_str().unwrap_or_default());
            }
            "Log.entryAdded" | "Runtime.exceptionThrown" => self.console.push(params.to_string()),
            "Network.loadingFinished" => {
                let id = params["requestId"].as_str().unwrap_or_default();
                self.requests.push(id.to_owned());
            }
            _ => {}
        }
        if method.starts_with("Network.") {
            self.network.push_str(text);
            self.network.push('\n');
        }
    }
}
