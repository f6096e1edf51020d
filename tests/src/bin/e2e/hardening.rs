//! Machines that lack a protection: what the admin is told, and what the service does there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use ivrpay_tests::lab::{Lab, binary, root};
use ivrpay_tests::service::{NOBODY, absolute, give_to, set};
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
        name: "a kernel without memfd_secret, a user of its own",
        without: &["memfd-secret=ENOSYS", "--user", NOBODY],
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
        closed_to_its_own_user(serving.0.id())?;
        if lacks.is_empty() {
            every_thread_is_confined(serving.0.id())?;
        }
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
        serving.up(folder).await?;
        Ok(serving)
    }
}

/// The unit lets the service make every call that it makes: from its start to its end, as a user of its own. What Asterisk and an
/// acquirer add is reading and writing sockets.
pub(crate) async fn the_unit_lets_it_work(lab: &Lab) -> anyhow::Result<()> {
    let allowed = allowed_by_the_unit()?;
    let folder = Folder::new(lab, "locked")?;
    let log = std::fs::File::create(folder.path("log"))?;
    // -D: the service itself is our child.
    let child = Command::new(binary("ivrpay-sim")?)
        .args([
            "without", "--user", NOBODY, "--", "strace", "-D", "-f", "-qq",
        ])
        .arg("-o")
        .arg(folder.path("trace"))
        .arg(folder.path("ivrpay"))
        .args(["serve", "--config"])
        .arg(folder.path("ivrpay.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("strace; scripts/setup installs it")?;
    let mut serving = Serving(child);
    serving.up(&folder).await?;
    folder.metrics().await?;
    serving.stop(&folder)?;
    let trace = std::fs::read_to_string(folder.path("trace"))?;
    // PID  name(arguments…
    let made: BTreeSet<&str> = trace
        .lines()
        .filter_map(|line| {
            line.split_once(char::is_whitespace)?
                .1
                .trim()
                .split_once('(')
        })
        .map(|(name, _)| name)
        .filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        .collect();
    ensure!(
        ["memfd_secret", "landlock_restrict_self", "pwrite64"]
            .iter()
            .all(|call| made.contains(call)),
        "the trace does not have what the service does: {made:?}"
    );
    let refused: Vec<_> = made.iter().filter(|c| !allowed.contains(**c)).collect();
    ensure!(refused.is_empty(), "the unit refuses {refused:?}");
    Ok(())
}

/// What `SystemCallFilter=` of the unit comes to, line by line (systemd.exec(5)).
fn allowed_by_the_unit() -> anyhow::Result<BTreeSet<String>> {
    let unit = std::fs::read_to_string(root().join("asterisk-conf/ivrpay.service"))?;
    let mut allowed = BTreeSet::new();
    // systemd needs these itself to start anything.
    calls("@default", &mut allowed)?;
    for words in unit
        .lines()
        .filter_map(|l| l.strip_prefix("SystemCallFilter="))
    {
        let mut named = BTreeSet::new();
        for word in words.trim_start_matches('~').split_whitespace() {
            calls(word, &mut named)?;
        }
        if words.starts_with('~') {
            allowed.retain(|call| !named.contains(call));
        } else {
            allowed.append(&mut named);
        }
    }
    ensure!(allowed.len() > 100, "{} calls are allowed", allowed.len());
    Ok(allowed)
}

/// The calls of a group, and of the groups in it; or the call itself.
fn calls(word: &str, into: &mut BTreeSet<String>) -> anyhow::Result<()> {
    if !word.starts_with('@') {
        into.insert(word.to_owned());
        return Ok(());
    }
    let listed = Command::new("systemd-analyze")
        .args(["syscall-filter", "--no-pager", word])
        .output()
        .context("systemd-analyze; scripts/setup installs it")?;
    ensure!(listed.status.success(), "systemd knows no {word}");
    for line in String::from_utf8(listed.stdout)?.lines().skip(1) {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            calls(line, into)?;
        }
    }
    Ok(())
}

/// Another program of the same user gets at neither memory nor environment.
fn closed_to_its_own_user(pid: u32) -> anyhow::Result<()> {
    for file in ["mem", "environ", "maps"] {
        let read = Command::new(binary("ivrpay-sim")?)
            .args(["without", "--user", NOBODY, "--", "head", "-c", "1"])
            .arg(format!("/proc/{pid}/{file}"))
            .output()?;
        let said = String::from_utf8_lossy(&read.stderr);
        ensure!(
            said.contains("Permission denied"),
            "/proc/PID/{file} is not closed: {said}"
        );
    }
    Ok(())
}

/// Whoever was started, and when.
fn every_thread_is_confined(pid: u32) -> anyhow::Result<()> {
    let mut threads = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = std::fs::read_to_string(thread?.path().join("status"))?;
        // 2: a filter (proc(5)).
        for line in ["NoNewPrivs:\t1", "Seccomp:\t2"] {
            ensure!(status.contains(line), "a thread is not confined:\n{status}");
        }
        threads += 1;
    }
    ensure!(threads > 3, "{threads} threads are too few to tell");
    Ok(())
}

/// A service that is killed when it is not stopped.
struct Serving(Child);

impl Serving {
    /// Waits until the API answers.
    async fn up(&mut self, folder: &Folder) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(15) {
            if let Some(status) = self.0.try_wait()? {
                bail!("ended with {status}: {}", folder.log());
            }
            if folder.get("/healthz").await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("not up after 15 s: {}", folder.log())
    }

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
        std::fs::write(folder.path().join("ivrpay.toml"), config.to_string())?;
        give_to(NOBODY, folder.path(), lab)?;
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
