//! Recorders outside Asterisk, and the key that marks a recording.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use ivrpay_tests::call::Call;
use ivrpay_tests::lab::{Lab, binary};
use ivrpay_tests::service::{Service, set};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::scenarios::{SUCCESS, VISA, extension, keys};
use crate::short;

/// A recorder that notes what it is told, and answers as it is told to.
pub(crate) struct Recorder {
    at: String,
    told: Arc<Mutex<Vec<Value>>>,
    status: Arc<Mutex<u16>>,
}

impl Recorder {
    pub(crate) async fn start(lab: &Lab) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((lab.get("PHONE_IP")?, 0)).await?;
        let at = listener.local_addr()?.to_string();
        let told: Arc<Mutex<Vec<Value>>> = Arc::default();
        let status = Arc::new(Mutex::new(204));
        let (tell, answer) = (Arc::clone(&told), Arc::clone(&status));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some((_, body)) = request(&mut stream).await else {
                    continue;
                };
                let status = *lock(&answer);
                lock(&tell).push(serde_json::from_str(&body).unwrap_or_default());
                let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
                drop(stream.write_all(text.as_bytes()).await);
            }
        });
        Ok(Self { at, told, status })
    }

    pub(crate) fn named(&self, config: &mut toml::Table) {
        short(config);
        let mut recorder = toml::Table::new();
        for (key, value) in [("name", "siprec"), ("kind", "siprec")] {
            set(&mut recorder, key, value);
        }
        set(
            &mut recorder,
            "pause_url",
            format!("http://{}/pause", self.at),
        );
        set(
            &mut recorder,
            "resume_url",
            format!("http://{}/resume", self.at),
        );
        set(
            config,
            "recorders",
            toml::Value::Array(vec![recorder.into()]),
        );
    }

    /// It does not say that it pauses.
    pub(crate) fn refuses(&self) {
        *lock(&self.status) = 500;
    }

    fn events(&self) -> Vec<String> {
        let told = lock(&self.told);
        let event = |body: &Value| body["event"].as_str().unwrap_or_default().to_owned();
        told.iter().map(event).collect()
    }

    /// Waits until it was told these things, in this order.
    async fn was_told(&self, expected: &[&str]) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.events() != expected {
            ensure!(
                began.elapsed() < Duration::from_secs(15),
                "the recorder was told {:?} instead of {expected:?}",
                self.events()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// Head and JSON body of a request; `None` where it ends before it is whole.
pub(crate) async fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut read = Vec::new();
    loop {
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && serde_json::from_str::<Value>(body).is_ok()
        {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}

pub(crate) fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Paused before the first prompt, running again after the call; told who is meant.
pub(crate) async fn paused_and_resumed(lab: &Lab) -> anyhow::Result<()> {
    let recorder = Recorder::start(lab).await?;
    let service = Service::start(lab, "recorder", true, |c| recorder.named(c)).await?;
    let mut events = service.events().await?;
    let call = Call::new(extension(1, 1200), keys(VISA, "1230", "123"));
    let first_prompt = async {
        events.step("payment-amount").await?;
        Ok::<_, anyhow::Error>(recorder.events())
    };
    let (report, before) = tokio::join!(call.place(lab), first_prompt);
    let (report, before) = (report?, before?);
    ensure!(
        SUCCESS.contains(&report.result.as_str()),
        "ended with {}",
        report.result
    );
    ensure!(
        before == ["pause"],
        "before the first prompt it was told {before:?}"
    );
    recorder.was_told(&["pause", "resume"]).await?;
    let told = lock(&recorder.told).clone();
    for body in &told {
        for key in ["call_id", "channel_id", "sip_call_id", "caller", "at"] {
            ensure!(body[key].is_string(), "{key} is missing in {body}");
        }
    }
    ensure!(
        told[0]["call_id"] == told[1]["call_id"],
        "two calls: {told:?}"
    );
    Ok(())
}

/// No acknowledgement, no capture; and `check` says which recorder is away.
pub(crate) async fn not_acknowledged(lab: &Lab) -> anyhow::Result<()> {
    let recorder = Recorder::start(lab).await?;
    recorder.refuses();
    let service = Service::start(lab, "recorder-refuses", true, |c| recorder.named(c)).await?;
    let call = Call::new(extension(1, 1200), "until-end");
    let report = call.place(lab).await?;
    ensure!(
        report.result == "internal-error" && !report.way().contains("payment-amount"),
        "the call ended with {} by {}",
        report.result,
        report.way()
    );
    ensure!(
        report.heard_ms > 500,
        "the caller heard {} ms",
        report.heard_ms
    );
    // It may have paused all the same: it is asked to run until it says so.
    let again = async || recorder.events().iter().filter(|e| *e == "resume").count();
    let began = Instant::now();
    while again().await < 2 {
        ensure!(
            began.elapsed() < Duration::from_secs(15),
            "it was not asked to run again"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    *lock(&recorder.status) = 200;
    let config = service.folder.join("ivrpay.toml");
    let text = std::fs::read_to_string(&config)?.replace(&recorder.at, "127.0.0.1:9");
    std::fs::write(&config, text)?;
    let checked = std::process::Command::new(binary("ivrpay")?)
        .args(["check", "--json", "--config"])
        .arg(&config)
        .output()?;
    let facts = String::from_utf8_lossy(&checked.stdout).into_owned();
    ensure!(
        facts
            .lines()
            .any(|l| l.contains("\"bad\"") && l.contains("siprec")),
        "check says {facts}"
    );
    Ok(())
}

/// The daemon is killed in a call: the next one makes the recorder run again.
pub(crate) async fn resumed_by_the_next(lab: &Lab) -> anyhow::Result<()> {
    let recorder = Recorder::start(lab).await?;
    let mut service = Service::start(lab, "recorder-killed", true, |c| recorder.named(c)).await?;
    let mut events = service.events().await?;
    let script = "wait:payment-amount 1 wait:payment-card-number 4242 until-end";
    let call = Call::new(extension(1, 1200), script);
    let kill = async {
        events.step("payment-card-number").await?;
        service.kill_and_start().await
    };
    let (report, killed) = tokio::join!(call.place(lab), kill);
    report?;
    killed?;
    recorder.was_told(&["pause", "resume"]).await
}

/// The operator's key marks the recording; `ivrpay recording` takes it out of reach and closes the matter.
pub(crate) async fn quarantined_by_key(lab: &Lab) -> anyhow::Result<()> {
    let service = Service::start(lab, "quarantine", true, short).await?;
    let number = format!("05{:08}", uuid::Uuid::new_v4().as_u128() % 100_000_000);
    let call = Call::new("748", "until-end").with(&["--from", &number]);
    Call { deaf: true, ..call }.place(lab).await?;
    let recording = async |args: &[&str]| {
        let output = tokio::process::Command::new(binary("ivrpay")?)
            .arg("recording")
            .args(args)
            .args(["--json", "--config"])
            .arg(service.folder.join("ivrpay.toml"))
            .output()
            .await?;
        ensure!(
            output.status.success(),
            "recording {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(serde_json::from_slice::<Value>(&output.stdout)?)
    };
    let listed = recording(&["list"]).await?;
    let marked = listed["recordings"]
        .as_array()
        .and_then(|all| all.first())
        .context("nothing was marked")?;
    let origin = marked["origin"].as_str().unwrap_or_default();
    ensure!(
        marked["state"] == "marked" && origin.ends_with(&format!("recorded-{number}.wav")),
        "marked is {marked}"
    );
    // What Asterisk calls its file is below the lab's folder here.
    let file = lab
        .folder
        .join("spool")
        .join(format!("recorded-{number}.wav"));
    let file = file.to_str().context("UTF-8")?;
    let call = marked["call"].as_str().context("without its call")?;
    let moved = recording(&["quarantine", file, "--by", "T. Yamada", "--call", call]).await?;
    ensure!(moved["id"] == marked["id"], "another recording: {moved}");
    let kept = std::path::PathBuf::from(moved["file"].as_str().unwrap_or_default());
    ensure!(
        kept.is_file() && !std::path::Path::new(file).exists(),
        "the recording was not moved: {moved}"
    );
    let id = moved["id"].as_str().unwrap_or_default();
    let deleted = recording(&["resolve", id, "--by", "T. Yamada", "--action", "deleted"]).await?;
    ensure!(
        deleted["state"] == "deleted" && !kept.exists(),
        "after it was deleted: {deleted}"
    );
    Ok(())
}
