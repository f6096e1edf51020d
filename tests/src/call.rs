//! Real calls by `ivrpay-sim call`.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use tokio::process::Command;

use crate::lab::{Lab, binary};

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
    /// The latest that a packet of the caller left after its time, ms: over some 20, this machine was too slow for the test.
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
    /// Telephone-events that reached the caller.
    #[serde(default)]
    pub telephone_events_received: usize,
    /// The steps that were announced, as JSON.
    #[serde(default)]
    pub steps: serde_json::Value,
}

impl Report {
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
        let output = tokio::time::timeout(Duration::from_secs(240), command.output())
            .await
            .context("the caller did not end within 240 s")??;
        let text = String::from_utf8_lossy(&output.stdout);
        let reports: Vec<Report> = text
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        ensure!(
            !reports.is_empty(),
            "the caller gave no report: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(reports)
    }
}
