//! Machines that lack a protection: what the admin is told, and what the service does there.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use ivrpay_tests::lab::{Lab, binary};
use ivrpay_tests::service::{absolute, set};
use serde_json::Value;

/// A machine, as `ivrpay-sim without` makes it.
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    without: &'static [&'static str],
    expected: Expected,
}

enum Expected {
    /// No locked memory: `locked` refuses with these words in its hint, `any` warns.
    NoLockedMemory(&'static str),
    /// Starts under `locked`, and `check` warns of facts with these words, as the metric of that name says.
    Lacks(&'static [(&'static str, &'static str)]),
}

/// Nobody's number on Debian; any user without privileges would do.
const NOBODY: &str = "65534";

pub(crate) const MACHINES: [Machine; 6] = [
    Machine {
        name: "an old kernel that locks nothing",
        without: &["memfd-secret=ENOSYS", "mlock=EPERM"],
        expected: Expected::NoLockedMemory("use Linux 5.14 or later"),
    },
    Machine {
        name: "a container that refuses both",
        without: &["memfd-secret=EPERM", "mlock=EPERM"],
        expected: Expected::NoLockedMemory("allow the system call memfd_secret"),
    },
    Machine {
        name: "a user who may lock nothing",
        without: &["--memlock=0", "--user", NOBODY],
        expected: Expected::NoLockedMemory("set LimitMEMLOCK="),
    },
    Machine {
        name: "a user who may lock too little",
        without: &["--memlock=65536", "--user", NOBODY],
        expected: Expected::NoLockedMemory("set LimitMEMLOCK="),
    },
    Machine {
        name: "a kernel without memfd_secret",
        without: &["memfd-secret=ENOSYS"],
        expected: Expected::Lacks(&[]),
    },
    Machine {
        name: "a kernel without Landlock, a container without seccomp",
        without: &["landlock=ENOSYS", "seccomp=EPERM"],
        expected: Expected::Lacks(&[("landlock", "no Landlock"), ("seccomp", "no seccomp")]),
    },
];

impl Machine {
    /// Runs the service there under both policies.
    pub(crate) async fn judge(&self, lab: &Lab) -> anyhow::Result<()> {
        match self.expected {
            Expected::NoLockedMemory(hint) => {
                self.refuses(&Folder::new(lab, "locked")?, hint)?;
                self.warns(&Folder::new(lab, "any")?).await
            }
            Expected::Lacks(lacks) => self.runs(&Folder::new(lab, "locked")?, lacks).await,
        }
    }

    fn refuses(&self, folder: &Folder, hint: &str) -> anyhow::Result<()> {
        let Output { status, stderr, .. } = self.command(folder, &["serve"])?.output()?;
        let text = String::from_utf8_lossy(&stderr);
        ensure!(
            status.code() == Some(78),
            "policy locked: ended with {status}: {text}"
        );
        let lines: Vec<_> = text.lines().collect();
        let [said, advised] = lines[..] else {
            bail!("not one line and a hint: {text}");
        };
        ensure!(
            said.starts_with("ivrpay: no locked memory for card data"),
            "says: {said}"
        );
        ensure!(
            advised.starts_with("hint: ") && advised.contains(hint),
            "advises: {advised}"
        );
        let facts = self.check(folder)?;
        let fact = find(&facts, "secret-memory", "no locked memory")?;
        ensure!(fact["verdict"] == "bad", "check says: {fact}");
        Ok(())
    }

    async fn warns(&self, folder: &Folder) -> anyhow::Result<()> {
        let facts = self.check(folder)?;
        let fact = find(&facts, "secret-memory", "not locked")?;
        ensure!(
            fact["verdict"] == "warning" && fact["hint"].is_string(),
            "check says: {fact}"
        );
        let mut serving = self.serve(folder).await?;
        let metrics = folder.metrics().await?;
        let log = serving.stop(folder)?;
        ensure!(
            metrics.contains("\nivrpay_secret_memory_locked 0\n"),
            "the metric does not say it"
        );
        ensure!(
            log.contains("secret memory is not locked"),
            "the log does not warn: {log}"
        );
        Ok(())
    }

    async fn runs(&self, folder: &Folder, lacks: &[(&str, &str)]) -> anyhow::Result<()> {
        let facts = self.check(folder)?;
        let fact = find(&facts, "secret-memory", "no swap")?;
        ensure!(fact["verdict"] == "good", "check says: {fact}");
        for (_, words) in lacks {
            let fact = find(&facts, "process", words)?;
            ensure!(
                fact["verdict"] == "warning" && fact["hint"].is_string(),
                "check says: {fact}"
            );
        }
        let mut serving = self.serve(folder).await?;
        let metrics = folder.metrics().await?;
        let log = serving.stop(folder)?;
        ensure!(
            metrics.contains("\nivrpay_secret_memory_locked 1\n"),
            "the metric does not say that memory is locked"
        );
        for name in ["landlock", "seccomp"] {
            let there = !lacks.iter().any(|(lacking, _)| *lacking == name);
            let line = format!("ivrpay_protection{{name=\"{name}\"}} {}\n", u8::from(there));
            ensure!(metrics.contains(&line), "the metrics have not {line}");
        }
        for (_, words) in lacks {
            ensure!(log.contains(words), "the log does not say {words}: {log}");
        }
        Ok(())
    }

    /// `ivrpay …` on this machine.
    fn command(&self, folder: &Folder, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(binary("ivrpay-sim")?);
        command
            .arg("without")
            .args(self.without)
            .arg("--")
            .arg(folder.path("ivrpay"))
            .args(arguments)
            .arg("--config")
            .arg(folder.path("ivrpay.toml"))
            .stdin(Stdio::null());
        Ok(command)
    }

    fn check(&self, folder: &Folder) -> anyhow::Result<Vec<Value>> {
        let output = self
            .command(folder, &["check", "--offline", "--json"])?
            .output()?;
        String::from_utf8(output.stdout)?
            .lines()
            .map(|line| serde_json::from_str(line).context("check printed no JSON"))
            .collect()
    }

    async fn serve(&self, folder: &Folder) -> anyhow::Result<Serving> {
        let log = std::fs::File::create(folder.path("log"))?;
        let child = self
            .command(folder, &["serve"])?
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut serving = Serving(child);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(15) {
            if let Some(status) = serving.0.try_wait()? {
                bail!("ended with {status}: {}", folder.log());
            }
            if folder.get("/healthz").await.is_ok() {
                return Ok(serving);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("not up after 15 s: {}", folder.log())
    }
}

/// A service that is killed when it is not stopped.
struct Serving(Child);

impl Serving {
    /// SIGTERM; the whole log.
    fn stop(&mut self, folder: &Folder) -> anyhow::Result<String> {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status()?;
        ensure!(sent.success(), "kill failed");
        let status = self.0.wait()?;
        let log = folder.log();
        ensure!(status.success(), "ended with {status}: {log}");
        Ok(log)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A configuration, and all that it names, which [`NOBODY`] owns: with the binary, since he may not get at ours.
struct Folder {
    folder: tempfile::TempDir,
    api: String,
    key: String,
}

impl Folder {
    fn new(lab: &Lab, policy: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut config = lab.config()?;
        absolute(&mut config, &lab.folder);
        set(&mut config, "secret.policy", policy);
        let mut text = config.to_string();
        for name in ["ari-password", "acquirer-password", "acquirer-ca.pem"] {
            let (from, to) = (lab.folder.join(name), folder.path().join(name));
            std::fs::copy(&from, &to)
                .with_context(|| format!("{} is not there", from.display()))?;
            text = text.replace(&from.display().to_string(), &to.display().to_string());
        }
        std::fs::write(folder.path().join("ivrpay.toml"), text)?;
        std::fs::copy(binary("ivrpay")?, folder.path().join("ivrpay"))?;
        let owned = Command::new("chown")
            .args(["-R", &format!("{NOBODY}:{NOBODY}")])
            .arg(folder.path())
            .status()?;
        ensure!(owned.success(), "chown failed; run this as root");
        Ok(Self {
            folder,
            api: lab.get("API_URL")?.to_owned(),
            key: std::fs::read_to_string(lab.path("API_KEY_FILE")?)?
                .trim()
                .to_owned(),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let answer = http
            .get(format!("{}{path}", self.api))
            .bearer_auth(&self.key)
            .send()
            .await?;
        Ok(answer.text().await?)
    }

    async fn metrics(&self) -> anyhow::Result<String> {
        self.get("/metrics").await
    }
}

fn find<'a>(facts: &'a [Value], ring: &str, words: &str) -> anyhow::Result<&'a Value> {
    let of_ring = |fact: &&Value| fact["ring"] == ring;
    facts
        .iter()
        .filter(of_ring)
        .find(|fact| fact["fact"].as_str().is_some_and(|f| f.contains(words)))
        .with_context(|| {
            let all: Vec<_> = facts.iter().filter(of_ring).collect();
            format!("check says nothing of {words:?}: {all:?}")
        })
}
