//! `ivrpay serve` under test: started with the lab's configuration and some changes, stopped by signal.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::lab::{Lab, binary};

/// A running service.
pub struct Service {
    child: Option<Child>,
    /// The binary.
    program: PathBuf,
    /// Program and arguments that run the service's own, `exec` at their end; empty for none.
    wrapper: Vec<String>,
    /// The folder, where it goes with the service.
    _folder: Option<tempfile::TempDir>,
    /// Folder with configuration, journal and log of this service.
    pub folder: PathBuf,
    /// `http://127.0.10.1:9480`
    pub api: String,
    key: String,
    http: reqwest::Client,
}

/// Longest wait for an event: what a caller does before it takes less.
const EVENT_MAX: Duration = Duration::from_secs(60);

/// `GET /v1/events`.
pub struct Events {
    stream: reqwest::Response,
    read: String,
}

impl Events {
    /// The next event.
    ///
    /// # Errors
    /// When the stream ends.
    pub async fn next(&mut self) -> anyhow::Result<Value> {
        loop {
            while let Some((line, rest)) = self.read.split_once('\n') {
                let event: Option<Value> = line
                    .strip_prefix("data:")
                    .and_then(|d| serde_json::from_str(d).ok());
                self.read = rest.to_owned();
                if let Some(event) = event {
                    return Ok(event);
                }
            }
            let more = self
                .stream
                .chunk()
                .await?
                .context("the stream of events ended")?;
            self.read.push_str(&String::from_utf8_lossy(&more));
        }
    }

    /// The first event from now on of which this is true.
    ///
    /// # Errors
    /// After [`EVENT_MAX`], or when the stream ends.
    pub async fn first(&mut self, is: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        self.within(EVENT_MAX, is).await
    }

    /// As [`Self::first`], with another limit.
    ///
    /// # Errors
    /// After `limit`, or when the stream ends.
    pub async fn within(
        &mut self,
        limit: Duration,
        is: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let found = async {
            loop {
                let event = self.next().await?;
                if is(&event) {
                    return Ok(event);
                }
            }
        };
        tokio::time::timeout(limit, found)
            .await
            .with_context(|| format!("an event that was waited for did not come in {limit:?}"))?
    }

    /// Waits until a call enters this step; the event.
    ///
    /// # Errors
    /// As [`Self::first`].
    pub async fn step(&mut self, step: &str) -> anyhow::Result<Value> {
        let is = |event: &Value| event["event"] == "step" && event["step"] == step;
        let found = self.first(is).await;
        found.with_context(|| format!("no call came to {step}"))
    }
}

/// Nobody's number on Debian; any user without privileges would do.
pub const NOBODY: &str = "65534";

/// How a service is run.
#[derive(Debug, Clone, Copy)]
pub struct How<'a> {
    /// A binary beside the one that runs.
    pub program: &'a str,
    /// Program and arguments that get the service's own behind theirs; empty for none.
    pub wrapper: &'a [&'a str],
    /// Numeric user who shall own the service's folder, because the wrapper runs it as him; `None`: ours.
    pub owner: Option<&'a str>,
}

impl Default for How<'_> {
    fn default() -> Self {
        Self {
            program: "ivrpay",
            wrapper: &[],
            owner: None,
        }
    }
}

/// How a service ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The kernel wrote a core file, or gave one to the program of core_pattern.
    pub core_dumped: bool,
    /// How long it took.
    pub took: Duration,
}

/// Waits of the dialogue, shortened: a lab's caller does not look for his glasses.
pub const SHORT_WAITS: &str = r#"
first_key_card_number = "6s"
first_key = "5s"
reminder_after = "2s"
reminder_every = "2s"
inter_digit_timeout = "2500ms"
quiet = "1500ms"
"#;

impl Service {
    /// Writes a configuration below `name`, changed by `change`, and starts the service; returns when it takes calls.
    ///
    /// # Errors
    /// When it does not come up; its last log lines are in the message.
    pub async fn start(
        lab: &Lab,
        name: &str,
        wait_for_asterisk: bool,
        change: impl FnOnce(&mut toml::Table),
    ) -> anyhow::Result<Self> {
        Self::start_as(How::default(), lab, name, wait_for_asterisk, change).await
    }

    /// As [`Self::start`], in another way.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_as(
        how: How<'_>,
        lab: &Lab,
        name: &str,
        wait_for_asterisk: bool,
        change: impl FnOnce(&mut toml::Table),
    ) -> anyhow::Result<Self> {
        let own = how.owner.map(|_| tempfile::tempdir()).transpose()?;
        let folder = match &own {
            Some(own) => own.path().to_owned(),
            None => lab.folder.join("service").join(name),
        };
        if own.is_none() && !folder.join("keep").exists() {
            drop(std::fs::remove_dir_all(&folder));
        }
        std::fs::create_dir_all(folder.join("tmp"))?;
        let mut config = lab.config()?;
        absolute(&mut config, &lab.folder);
        change(&mut config);
        std::fs::write(folder.join("ivrpay.toml"), config.to_string())?;
        let mut program = binary(how.program)?;
        if let Some(user) = how.owner {
            program = give_to(user, &folder, lab)?;
        }
        // Two of them run side by side, each at an address of its own.
        let listen = config
            .get("http")
            .and_then(|http| http.get("listen")?.as_str());
        let api = match listen {
            Some(listen) => format!("http://{listen}"),
            None => lab.get("API_URL")?.to_owned(),
        };
        let key = std::fs::read_to_string(lab.path("API_KEY_FILE")?)?
            .trim()
            .to_owned();
        let mut service = Self {
            child: None,
            program,
            wrapper: how.wrapper.iter().map(|w| (*w).to_owned()).collect(),
            _folder: own,
            folder,
            api,
            key,
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(10))
                .build()?,
        };
        service.spawn()?;
        service.ready(wait_for_asterisk).await?;
        Ok(service)
    }

    /// Starts the process (again, after [`Self::kill`]) on the same configuration and journal.
    ///
    /// # Errors
    /// When the binary can't be run.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))?;
        let mut command = match self.wrapper.split_first() {
            None => Command::new(&self.program),
            Some((program, args)) => {
                let mut command = Command::new(program);
                command.args(args).arg(&self.program);
                command
            }
        };
        self.child = Some(
            command
                .arg("serve")
                .arg("--config")
                .arg(self.folder.join("ivrpay.toml"))
                .env(
                    "IVRPAY_LOG",
                    std::env::var("IVRPAY_LOG").unwrap_or_else(|_| "trace".into()),
                )
                // A core file would fall here.
                .current_dir(&self.folder)
                // Where libraries put temporary files: a place of its own, that can be searched.
                .env("TMPDIR", self.folder.join("tmp"))
                .env("SQLITE_TMPDIR", self.folder.join("tmp"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .context("ivrpay serve can't be run")?,
        );
        Ok(())
    }

    /// Waits until `/readyz` is good (or, without Asterisk, until it answers at all).
    ///
    /// # Errors
    /// After 15 s, or when the process ended.
    pub async fn ready(&mut self, wait_for_asterisk: bool) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(15) {
            if let Some(status) = self
                .child
                .as_mut()
                .and_then(|c| c.try_wait().ok().flatten())
            {
                bail!(
                    "ivrpay serve ended with {status}; its log ends:\n{}",
                    self.log_tail()
                );
            }
            if let Ok(answer) = self.http.get(format!("{}/readyz", self.api)).send().await
                && (answer.status().is_success() || !wait_for_asterisk)
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!(
            "ivrpay serve is not ready after 15 s; its log ends:\n{}",
            self.log_tail()
        )
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// The lab's key of the API.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Opens the stream of events; what happens from now on is in it.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn events(&self) -> anyhow::Result<Events> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let request = http
            .get(format!("{}/v1/events", self.api))
            .bearer_auth(&self.key);
        let stream = request.send().await?.error_for_status()?;
        Ok(Events {
            stream,
            read: String::new(),
        })
    }

    /// GET with the lab's key; status and body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        let answer = self
            .http
            .get(format!("{}{path}", self.api))
            .bearer_auth(&self.key)
            .send()
            .await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    /// POST of JSON with the lab's key; status and body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(
        &self,
        path: &str,
        body: &Value,
        idempotency_key: Option<&str>,
    ) -> anyhow::Result<(u16, Value)> {
        self.post_as(&self.key, path, body, idempotency_key).await
    }

    /// `ivrpay ARGUMENTS --json` with this service's configuration: the JSON, null where it is none; all that was said; and whether it
    /// ended well.
    ///
    /// # Errors
    /// When the program can't be run.
    pub async fn cli(&self, arguments: &[&str]) -> anyhow::Result<(Value, String, bool)> {
        let mut command = tokio::process::Command::new(binary("ivrpay")?);
        command.args(arguments).args(["--json", "--config"]);
        let output = command
            .arg(self.folder.join("ivrpay.toml"))
            .output()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let said = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok((json, said, output.status.success()))
    }

    /// Takes the program's file away, which runs on without: one that was copied for another user.
    ///
    /// # Errors
    /// When it can't be.
    pub fn forget_program(&self) -> anyhow::Result<()> {
        std::fs::remove_file(&self.program)?;
        Ok(())
    }

    /// As [`Self::post`], with the key of another merchant.
    ///
    /// # Errors
    /// As there.
    pub async fn post_as(
        &self,
        key: &str,
        path: &str,
        body: &Value,
        idempotency_key: Option<&str>,
    ) -> anyhow::Result<(u16, Value)> {
        let mut request = self
            .http
            .post(format!("{}{path}", self.api))
            .bearer_auth(key)
            .header("content-type", "application/json")
            .body(body.to_string());
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    /// The payment of that id.
    ///
    /// # Errors
    /// When there is none.
    pub async fn payment(&self, id: &str) -> anyhow::Result<Value> {
        let (status, body) = self.get(&format!("/v1/payments/{id}")).await?;
        ensure!(
            status == 200,
            "GET /v1/payments/{id} answered {status}: {body}"
        );
        Ok(body)
    }

    /// SIGTERM, and how it ended.
    ///
    /// # Errors
    /// When it did not end within `limit`; it is killed then.
    pub async fn stop(&mut self, limit: Duration) -> anyhow::Result<Ended> {
        self.signal("-TERM")?;
        self.ended(limit).await
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When there is nothing to kill.
    pub async fn kill(&mut self) -> anyhow::Result<Ended> {
        self.signal("-KILL")?;
        self.ended(Duration::from_secs(5)).await
    }

    /// SIGKILL, then another process on the same configuration and journal; returns when it takes calls.
    ///
    /// # Errors
    /// As [`Self::kill`], [`Self::spawn`] and [`Self::ready`].
    pub async fn kill_and_start(&mut self) -> anyhow::Result<()> {
        self.kill().await?;
        self.spawn()?;
        self.ready(true).await
    }

    /// Sends a signal by name.
    ///
    /// # Errors
    /// When it can't be sent.
    pub fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let sent = Command::new("kill")
            .arg(signal)
            .arg(self.pid().to_string())
            .status()?;
        ensure!(sent.success(), "kill {signal} failed");
        Ok(())
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    /// When it did not end within `limit`; it is killed then.
    pub async fn ended(&mut self, limit: Duration) -> anyhow::Result<Ended> {
        let began = Instant::now();
        let child = self.child.as_mut().context("not running")?;
        while began.elapsed() < limit {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                return Ok(Ended {
                    code: status.code(),
                    signal: status.signal(),
                    core_dumped: status.core_dumped(),
                    took: began.elapsed(),
                });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        child.kill()?;
        child.wait()?;
        self.child = None;
        bail!(
            "ivrpay serve did not end within {limit:?}; its log ends:\n{}",
            self.log_tail()
        )
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Makes the paths of the lab's configuration absolute, but for the journal, which every service has of its own.
pub fn absolute(config: &mut toml::Table, folder: &Path) {
    for (_, value) in config.iter_mut() {
        visit(value, folder);
    }
    fn visit(value: &mut toml::Value, folder: &Path) {
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table.iter_mut() {
                    if let (true, toml::Value::String(path)) = (key.ends_with("_file"), &mut *value)
                    {
                        *path = folder.join(&*path).display().to_string();
                    }
                    visit(value, folder);
                }
            }
            toml::Value::Array(array) => array.iter_mut().for_each(|v| visit(v, folder)),
            _ => {}
        }
    }
}

/// Copies the files that `ivrpay.toml` in `folder` names into it, and the binary, since this user may not get at ours; all that is in
/// there is his then. The copy of the binary.
///
/// # Errors
/// When a file is missing, or we are not root.
pub fn give_to(user: &str, folder: &Path, lab: &Lab) -> anyhow::Result<PathBuf> {
    let config = folder.join("ivrpay.toml");
    let mut text = std::fs::read_to_string(&config)?;
    for name in [
        "ari-password",
        "ami-audit-password",
        "ami-key-password",
        "acquirer-password",
        "acquirer-ca.pem",
    ] {
        let (from, to) = (lab.folder.join(name), folder.join(name));
        std::fs::copy(&from, &to).with_context(|| format!("{} is not there", from.display()))?;
        text = text.replace(&from.display().to_string(), &to.display().to_string());
    }
    std::fs::write(&config, text)?;
    let program = folder.join("ivrpay");
    std::fs::copy(binary("ivrpay")?, &program)?;
    let owned = Command::new("chown")
        .args(["-R", &format!("{user}:{user}")])
        .arg(folder)
        .status()?;
    ensure!(owned.success(), "chown failed; run this as root");
    Ok(program)
}

/// The value at `a.b.c`, made where it is not.
pub fn set(config: &mut toml::Table, path: &str, value: impl Into<toml::Value>) {
    let mut keys: Vec<&str> = path.split('.').collect();
    let Some(last) = keys.pop() else { return };
    let mut table = config;
    for key in keys {
        let entry = table
            .entry(key)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        match entry {
            toml::Value::Table(inner) => table = inner,
            _ => return,
        }
    }
    table.insert(last.to_owned(), value.into());
}

/// The lab's tenant lets operators key a card.
pub fn let_operators_key(config: &mut toml::Table) {
    set(tenant(config), "operator_keyed", "in-scope");
}

/// The lab's tenant.
///
/// # Panics
/// When the configuration has none.
pub fn tenant(config: &mut toml::Table) -> &mut toml::Table {
    let tenants = config.get_mut("tenants").and_then(|t| t.as_array_mut());
    let first = tenants.and_then(|t| t.first_mut()?.as_table_mut());
    first.expect("scripts/lab writes a tenant")
}
