//! Telephones of operators, by `ivrpay-sim phone`.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::lab::{Lab, binary};

/// A telephone: its number, what it does with each call, how.
#[derive(Debug, Clone)]
pub struct Phone {
    number: String,
    scripts: Vec<String>,
    options: Vec<String>,
    listen: Option<String>,
    deaf: bool,
}

/// What a telephone saw of one call. Times are ms since its INVITE.
#[derive(Debug, Clone, Deserialize)]
pub struct PhoneReport {
    /// Which call, from 1.
    pub call: usize,
    /// It was called.
    pub incoming: bool,
    /// The number of the far end.
    pub with: String,
    /// `hung-up`, `far-hung-up`, `cancelled`, `busy`, `declined`, `transferred`, `rejected STATUS`, `stopped`, `timeout waiting for …`.
    pub result: String,
    /// `own` or `far`.
    pub ended_by: String,
    /// When it answered, or was answered.
    pub answered_ms: Option<u64>,
    /// When the call was over.
    pub ended_ms: u64,
    /// The transfer that it made.
    pub transfer: Option<Transfer>,
    /// Its second call.
    pub consultation: Option<Box<PhoneReport>>,
    /// What went wrong in SIP.
    pub errors: Vec<String>,
    /// When the INVITE came or went, ms since 1970.
    pub began_unix_ms: u64,
    /// Speech of any kind that was heard.
    pub heard_ms: u64,
    /// Begin and end of each time that a voice was heard, by its Hz.
    pub voices: BTreeMap<u32, Vec<(u64, u64)>>,
    /// Begin and end of each time of 2 s or more in which nothing was heard and no key pressed, from the answer to the end.
    #[serde(default)]
    pub quiet: Vec<(u64, u64)>,
    /// Telephone-events that reached it.
    pub telephone_events_received: usize,
    /// When each did.
    pub telephone_events_at_ms: Vec<u64>,
    /// Keys that it pressed.
    pub keys_sent: usize,
    /// When the last of them was released.
    pub last_key_ms: Option<u64>,
    /// Whom its display showed as the far end, `NAME <NUMBER>`, and from when on; where Asterisk tells it.
    #[serde(default)]
    pub shown: Vec<(u64, String)>,
    /// The latest that a packet of it left after its time.
    pub late_ms_max: u64,
}

/// A transfer by REFER.
#[derive(Debug, Clone, Deserialize)]
pub struct Transfer {
    /// The answer to the REFER.
    pub status: Option<u16>,
    /// What was told of it afterwards.
    pub notified: Vec<u16>,
}

impl Phone {
    /// The telephone of this extension, which does this with its first call.
    #[must_use]
    pub fn new(number: impl Into<String>, script: impl Into<String>) -> Self {
        Self {
            number: number.into(),
            scripts: vec![script.into()],
            options: Vec::new(),
            listen: None,
            deaf: false,
        }
    }

    /// And with the next one this.
    #[must_use]
    pub fn then(mut self, script: impl Into<String>) -> Self {
        self.scripts.push(script.into());
        self
    }

    /// With more options of `ivrpay-sim phone`.
    #[must_use]
    pub fn with(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|o| (*o).to_owned()));
        self
    }

    /// Steps are not listened to: its scripts wait for none.
    #[must_use]
    pub fn deaf(mut self) -> Self {
        self.deaf = true;
        self
    }

    /// Listens at this address instead of the extension's: a customer who is called.
    #[must_use]
    pub fn at(mut self, listen: impl Into<String>) -> Self {
        self.listen = Some(listen.into());
        self
    }

    /// Starts it; it can be called when this returns.
    ///
    /// # Errors
    /// When it can't listen.
    pub async fn start(&self, lab: &Lab) -> anyhow::Result<Desk> {
        let listen = match &self.listen {
            Some(listen) => listen.clone(),
            // As scripts/lab names the contacts.
            None => format!("{}:5{}", lab.get("PHONE_IP")?, self.number),
        };
        let mut command = Command::new(binary("ivrpay-sim")?);
        command
            .args(["phone", "--json", "--number", &self.number])
            .args(["--listen", &listen])
            .args(["--to", &format!("{}:5060", lab.get("ASTERISK_IP")?)])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if !self.deaf {
            let events = format!("{}/v1/events", lab.get("API_URL")?);
            command.args(["--events", &events]);
            command.arg("--key-file").arg(lab.path("API_KEY_FILE")?);
        }
        command.arg("--").args(&self.scripts);
        let mut child = command.spawn()?;
        let out = child.stdout.take().context("its output is piped")?;
        let mut said = child.stderr.take().context("its errors are piped")?;
        // Read all the time, so that the telephone never waits for us.
        let said = tokio::spawn(async move {
            let mut text = String::new();
            said.read_to_string(&mut text).await.ok();
            text
        });
        let mut desk = Desk {
            number: self.number.clone(),
            child,
            lines: BufReader::new(out).lines(),
            said,
        };
        let first = desk.line().await?;
        if first.is_none_or(|line| !line.contains("listening")) {
            let said = desk.said().await;
            anyhow::bail!("telephone {} does not listen: {said}", self.number);
        }
        Ok(desk)
    }
}

/// A telephone that runs. Dropping it takes it away without a word.
pub struct Desk {
    number: String,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: tokio::task::JoinHandle<String>,
}

/// Longest wait for the end of a call.
const CALL_MAX: Duration = Duration::from_secs(240);

impl Desk {
    async fn line(&mut self) -> anyhow::Result<Option<String>> {
        let number = &self.number;
        Ok(tokio::time::timeout(CALL_MAX, self.lines.next_line())
            .await
            .with_context(|| format!("telephone {number} did not end a call within 240 s"))??)
    }

    async fn said(&mut self) -> String {
        tokio::time::timeout(Duration::from_secs(5), &mut self.said)
            .await
            .map_or(String::new(), Result::unwrap_or_default)
    }

    /// The next call's report, when that call is over.
    ///
    /// # Errors
    /// When the telephone ends without one.
    pub async fn next(&mut self) -> anyhow::Result<PhoneReport> {
        let Some(line) = self.line().await? else {
            let said = self.said().await;
            anyhow::bail!("telephone {} ended without a report: {said}", self.number);
        };
        Ok(serde_json::from_str(&line)?)
    }

    /// Waits until it has done all its scripts; the reports that are left.
    ///
    /// # Errors
    /// When it ends with an error: something was waited for in vain, or a call did not come.
    pub async fn reports(mut self) -> anyhow::Result<Vec<PhoneReport>> {
        let mut reports = Vec::new();
        while let Some(line) = self.line().await? {
            reports.push(serde_json::from_str(&line)?);
        }
        let status = self.child.wait().await?;
        let said = self.said().await;
        let number = self.number;
        ensure!(
            status.success(),
            "telephone {number} ended with {status}: {said}"
        );
        Ok(reports)
    }

    /// As [`Self::reports`] of a telephone that has one call left.
    ///
    /// # Errors
    /// As [`Self::reports`].
    pub async fn report(self) -> anyhow::Result<PhoneReport> {
        let number = self.number.clone();
        let mut reports = self.reports().await?;
        reports
            .pop()
            .with_context(|| format!("telephone {number} had no call"))
    }

    /// Hangs up (SIGTERM) and ends; the reports that are left.
    ///
    /// # Errors
    /// As [`Self::reports`].
    pub async fn stop(self) -> anyhow::Result<Vec<PhoneReport>> {
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            std::process::Command::new("kill")
                .args(["-TERM", &pid.to_string()])
                .status()?;
        }
        self.reports().await
    }
}

impl PhoneReport {
    /// How long a voice was heard in all, ms.
    #[must_use]
    pub fn heard(&self, hz: u32) -> u64 {
        heard(&self.voices, hz)
    }
}

/// How long a voice was heard in all, ms.
#[must_use]
pub fn heard(voices: &BTreeMap<u32, Vec<(u64, u64)>>, hz: u32) -> u64 {
    let stretches = voices.get(&hz).map(Vec::as_slice).unwrap_or_default();
    stretches.iter().map(|(begin, end)| end - begin).sum()
}
