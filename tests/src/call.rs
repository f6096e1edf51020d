//! Real calls by `ivrpay-sim call`.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use tokio::process::Command;

use crate::lab::{Lab, binary};
use crate::late;

/// One call: where to, which keys, how.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// Extension.
    pub extension: String,
    /// Script of keys and waits.
    pub keys: String,
    /// More options of `ivrpay-sim call`.
    pub options: Vec<String>,
    /// Steps are not listened to: nobody announces them.
    pub deaf: bool,
}

/// What the caller saw.
#[derive(Debug, Clone, Deserialize)]
pub struct Report {
    /// The daemon's result, or how the call ended without one.
    pub result: String,
    /// Milliseconds of speech that the caller heard.
    #[serde(default)]
    pub heard_ms: u64,
    /// The latest that a packet of the caller left after its time, or that anything on this machine had its turn, ms: over some 20,
    /// it was too slow for the test.
    #[serde(default)]
    pub late_ms_max: u64,
    /// From the INVITE to the end, ms.
    #[serde(default)]
    pub lasted_ms: u64,
    /// The payment.
    #[serde(default)]
    pub payment_id: Option<String>,
    /// The daemon's name for the (last) call.
    #[serde(default)]
    pub call_id: Option<String>,
    /// When the INVITE was sent, ms since 1970: the zero of all other times.
    #[serde(default)]
    pub began_unix_ms: u64,
    /// Begin and end, ms, of each time that a voice was heard (`--voice` of the other side, `hears:` or `--hear` here), by its Hz.
    #[serde(default)]
    pub voices: BTreeMap<u32, Vec<(u64, u64)>>,
    /// Begin and end, ms, of each time of 2 s or more in which nothing was heard and no key pressed, from the answer to the end.
    #[serde(default)]
    pub quiet: Vec<(u64, u64)>,
    /// Telephone-events that reached the caller.
    #[serde(default)]
    pub telephone_events_received: usize,
    /// Whom the display showed as the far end, `NAME <NUMBER>`, and from when on; where Asterisk tells it.
    #[serde(default)]
    pub shown: Vec<(u64, String)>,
    /// The steps that were announced, as JSON.
    #[serde(default)]
    pub steps: serde_json::Value,
}

/// How long nobody hears anything whom something waits for, with [`SHORT_WAITS`](crate::service::SHORT_WAITS): 3 s behind the one
/// reminder of a field, and what a busy machine takes to begin the next prompt.
pub const SILENCE_MAX: Duration = Duration::from_millis(4_500);

/// The same while an acquirer is asked: until it is said that it takes longer.
const PROCESSING_MAX: Duration = Duration::from_millis(9_000);

/// That none of these times without sound, ms, is too long.
///
/// # Errors
/// One is; when.
pub fn not_silent(quiet: &[(u64, u64)]) -> anyhow::Result<()> {
    let long = |(from, to): &&(u64, u64)| Duration::from_millis(to - from) > SILENCE_MAX;
    match quiet.iter().find(long) {
        Some((from, to)) => bail!("nothing was heard from {from} to {to} ms"),
        None => Ok(()),
    }
}

impl Report {
    /// That the caller was never left in silence, from the answer to the end.
    ///
    /// # Errors
    /// He was; when.
    pub fn never_silent(&self) -> anyhow::Result<()> {
        let steps = self.steps.as_array().map(Vec::as_slice).unwrap_or_default();
        let begins = |step: &serde_json::Value| step["ms"].as_u64().unwrap_or(u64::MAX);
        let asking = |at: u64| {
            let now = steps.iter().rfind(|step| begins(step) <= at);
            now.is_some_and(|step| step["step"] == "payment-processing")
        };
        let quiet = self.quiet.iter().copied();
        let (asked, other): (Vec<_>, Vec<_>) = quiet.partition(|(_, to)| asking(*to));
        let long = |(from, to): &(u64, u64)| Duration::from_millis(to - from) > PROCESSING_MAX;
        ensure!(!asked.iter().any(long), "while asked: {asked:?} ms");
        not_silent(&other).with_context(|| self.way())
    }

    /// The steps in one line, as `payment-card-number/invalid-card-number@3524`.
    #[must_use]
    pub fn way(&self) -> String {
        let step = |s: &serde_json::Value| {
            let error = s["error"]
                .as_str()
                .map_or(String::new(), |e| format!("/{e}"));
            format!(
                "{}{error}@{}",
                s["step"].as_str().unwrap_or_default(),
                s["ms"]
            )
        };
        let steps = self.steps.as_array().map(Vec::as_slice).unwrap_or_default();
        steps.iter().map(step).collect::<Vec<_>>().join(" ")
    }
}

impl Call {
    /// A call to `extension` with `keys`.
    #[must_use]
    pub fn new(extension: impl Into<String>, keys: impl Into<String>) -> Self {
        Self {
            extension: extension.into(),
            keys: keys.into(),
            options: Vec::new(),
            deaf: false,
        }
    }

    /// With more options.
    #[must_use]
    pub fn with(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|o| (*o).to_owned()));
        self
    }

    /// Places it and waits for its end.
    ///
    /// # Errors
    /// When the caller can't be run or gives no report.
    pub async fn place(&self, lab: &Lab) -> anyhow::Result<Report> {
        let mut reports = self.place_many(lab, 1, 1).await?;
        reports.pop().context("the caller gave no report")
    }

    /// Places it `count` times, `parallel` at once, and waits for the end of all.
    ///
    /// # Errors
    /// When the caller can't be run or gives no report.
    pub async fn place_many(
        &self,
        lab: &Lab,
        count: usize,
        parallel: usize,
    ) -> anyhow::Result<Vec<Report>> {
        let bound = self.options.iter().any(|o| o == "--bind");
        let mut command = Command::new(binary("ivrpay-sim")?);
        command
            .arg("call")
            .arg(&self.extension)
            .arg(&self.keys)
            .arg("--json")
            .args(["--count", &count.to_string()])
            .args(["--parallel", &parallel.to_string()]);
        command.args(["--to", &format!("{}:5060", lab.get("ASTERISK_IP")?)]);
        if !bound {
            command.args(["--bind", lab.get("TRUNK_IP")?]);
        }
        if !self.deaf {
            let events = format!("{}/v1/events", lab.get("API_URL")?);
            command.args(["--events", &events]);
            command.arg("--key-file").arg(lab.path("API_KEY_FILE")?);
        }
        command
            .args(&self.options)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let began = Instant::now();
        late::watch();
        let output = tokio::time::timeout(Duration::from_secs(240), command.output())
            .await
            .context("the caller did not end within 240 s")??;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut reports: Vec<Report> = text
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        let late = u64::try_from(late::most(began).as_millis())?;
        for report in &mut reports {
            report.late_ms_max = report.late_ms_max.max(late);
        }
        ensure!(
            !reports.is_empty(),
            "the caller gave no report: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(reports)
    }
}
