//! The lab: a real Asterisk and a simulated acquirer on loopback, by `scripts/lab`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

/// The project's folder.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
        .to_owned()
}

/// A binary of ours, beside the one that runs.
///
/// # Errors
/// When it is not built.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own
        .ancestors()
        .skip(1)
        .take(3)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built; run cargo build --workspace"))
}

/// A running lab.
pub struct Lab {
    /// Which one.
    pub instance: u32,
    /// Its folder, `.lab/N`.
    pub folder: PathBuf,
    env: BTreeMap<String, String>,
    /// What takes down that which was brought up for this.
    down: Vec<String>,
}

impl Lab {
    /// Brings an instance up, or takes the one that is.
    ///
    /// # Errors
    /// What `scripts/lab` said.
    pub fn up(instance: u32, suite: &str) -> anyhow::Result<Self> {
        Self::bring_up(instance, &["--suite", suite])
    }

    /// As [`Self::up`], with the files of `tests/NAME` over the lab's own; anew, since who uses this changes files of the lab.
    ///
    /// # Errors
    /// As [`Self::up`].
    pub fn up_with(instance: u32, suite: &str, name: &str) -> anyhow::Result<Self> {
        script(&["down", "--instance", &instance.to_string()])?;
        Self::bring_up(instance, &["--suite", suite, "--with", name])
    }

    fn bring_up(instance: u32, options: &[&str]) -> anyhow::Result<Self> {
        let number = instance.to_string();
        let was_up = script(&["status", "--instance", &number])?.status.success();
        up(&[&["--instance", &number], options].concat())?;
        let down: &[&str] = if was_up {
            &[]
        } else {
            &["--instance", &number]
        };
        Self::at(instance, root().join(".lab").join(&number), down)
    }

    /// Brings up the office PBX behind this Asterisk. It is a lab of its own: its telephones are started with it.
    ///
    /// # Errors
    /// What `scripts/lab` said.
    pub fn office(&self) -> anyhow::Result<Self> {
        let of = ["--instance", &self.instance.to_string(), "--office"];
        let suite = self.get("SUITE")?;
        let status = script(&["status", "--instance", &self.instance.to_string()])?;
        let was_up = String::from_utf8_lossy(&status.stdout).contains("office    up");
        up(&[&of, &["--suite", suite][..]].concat())?;
        let down: &[&str] = if was_up { &[] } else { &of };
        Self::at(self.instance, self.folder.join("office"), down)
    }

    fn at(instance: u32, folder: PathBuf, down: &[&str]) -> anyhow::Result<Self> {
        let env =
            std::fs::read_to_string(folder.join("env")).context("the lab wrote no env file")?;
        let env = env
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(k, v)| {
                (
                    k.trim().to_owned(),
                    v.trim().trim_matches(['"', '\'']).to_owned(),
                )
            })
            .collect();
        Ok(Self {
            instance,
            folder,
            env,
            down: down.iter().map(|&arg| arg.to_owned()).collect(),
        })
    }

    /// A value of the env file.
    ///
    /// # Errors
    /// When the lab did not write it.
    pub fn get(&self, key: &str) -> anyhow::Result<&str> {
        self.env
            .get(key)
            .map(String::as_str)
            .with_context(|| format!("the lab's env file has no {key}"))
    }

    /// The path that the env file gives, relative ones below the project.
    ///
    /// # Errors
    /// When the lab did not write it.
    pub fn path(&self, key: &str) -> anyhow::Result<PathBuf> {
        Ok(root().join(self.get(key)?))
    }

    /// Waits until the dialplan has gone on after a call of ours: the lab's dialplan writes one line then, with what it got.
    ///
    /// # Errors
    /// When no such line has come after 5 s.
    pub async fn dialplan_went_on(&self, result: &str, payment: &str) -> anyhow::Result<()> {
        let line = format!("ivrpay result={result} payment={payment} ");
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(5) {
            let log = tokio::fs::read(self.folder.join("log/ivrpay.log")).await?;
            if String::from_utf8_lossy(&log).contains(&line) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the dialplan did not go on with result={result} payment={payment}")
    }

    /// A request to Asterisk's ARI; the answer's JSON, null where it has none.
    ///
    /// # Errors
    /// When there is no answer, or a refusal but 404.
    pub async fn ari(&self, method: &str, path: &str) -> anyhow::Result<serde_json::Value> {
        self.ari_body(method, path, &serde_json::Value::Null).await
    }

    /// As [`Self::ari`], with a body where it is not null.
    ///
    /// # Errors
    /// As [`Self::ari`].
    pub async fn ari_body(
        &self,
        method: &str,
        path: &str,
        body: &serde_json::Value,
    ) -> anyhow::Result<serde_json::Value> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let password = std::fs::read_to_string(self.path("ARI_PASSWORD_FILE")?)?;
        let url = format!("{}{path}", self.get("ARI_URL")?);
        let mut request = http
            .request(method.parse()?, url)
            .basic_auth(self.get("ARI_USER")?, Some(password.trim()));
        if !body.is_null() {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await?;
        let status = answer.status();
        ensure!(
            status.is_success() || status.as_u16() == 404,
            "{method} {path} answered {status}"
        );
        Ok(serde_json::from_str(&answer.text().await?).unwrap_or_default())
    }

    /// Waits until a variable of a channel has this value.
    ///
    /// # Errors
    /// When it has not after 10 s.
    pub async fn variable_is(
        &self,
        channel: &str,
        variable: &str,
        value: &str,
    ) -> anyhow::Result<()> {
        let path = format!("/channels/{channel}/variable?variable={variable}");
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            let answer = self.ari("GET", &path).await?;
            if answer["value"] == value {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("{variable} of {channel} did not become {value}")
    }

    /// Waits until Asterisk has no channel.
    ///
    /// # Errors
    /// When it has one after `within`.
    pub async fn no_channel(&self, within: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let channels = self.ari("GET", "/channels").await?;
            if channels.as_array().is_some_and(Vec::is_empty) {
                return Ok(());
            }
            ensure!(began.elapsed() < within, "channels are left: {channels}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until Asterisk has no channel and no bridge.
    ///
    /// # Errors
    /// When it has one after `within`.
    pub async fn is_empty(&self, within: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let mut left = Vec::new();
            for (what, name) in [("channels", "name"), ("bridges", "id")] {
                let list = self.ari("GET", &format!("/{what}")).await?;
                let names = list.as_array().into_iter().flatten();
                left.extend(names.map(|one| format!("{what} {}", one[name])));
            }
            if left.is_empty() {
                return Ok(());
            }
            ensure!(began.elapsed() < within, "left behind: {}", left.join(", "));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kills Asterisk, and starts it again; the acquirer goes on.
    ///
    /// # Errors
    /// When it can't be killed or does not come up.
    pub fn restart_asterisk(&self) -> anyhow::Result<()> {
        let path = self.folder.join("asterisk.pid");
        let file = std::fs::read_to_string(&path)?;
        let pid = file.split(' ').next().context("no process")?;
        let killed = Command::new("kill").args(["-KILL", pid]).status()?;
        ensure!(killed.success(), "Asterisk could not be killed");
        let began = Instant::now();
        while std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
        {
            ensure!(
                began.elapsed() < Duration::from_secs(10),
                "Asterisk did not end"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        // Where nobody buries it, the script would take it for alive.
        std::fs::remove_file(path)?;
        let number = self.instance.to_string();
        up(&["--instance", &number, "--suite", self.get("SUITE")?])
    }

    /// The configuration that the lab wrote.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn config(&self) -> anyhow::Result<toml::Table> {
        Ok(std::fs::read_to_string(self.path("CONFIG")?)?.parse()?)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.down.is_empty() {
            let args: Vec<&str> = self.down.iter().map(String::as_str).collect();
            drop(script(&[&["down"], &args[..]].concat()));
        }
    }
}

fn up(options: &[&str]) -> anyhow::Result<()> {
    let up = script(&[&["up"], options].concat())?;
    ensure!(
        up.status.success(),
        "scripts/lab up failed:\n{}{}",
        String::from_utf8_lossy(&up.stdout),
        String::from_utf8_lossy(&up.stderr)
    );
    Ok(())
}

fn script(args: &[&str]) -> anyhow::Result<std::process::Output> {
    Command::new(root().join("scripts/lab"))
        .args(args)
        .current_dir(root())
        .env("IVRPAY_SIM", binary("ivrpay-sim")?)
        .output()
        .context("scripts/lab can't be run")
}
