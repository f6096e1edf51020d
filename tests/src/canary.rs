//! `ivrpay audit --canary` under test.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::lab::binary;
use crate::service::Service;

/// Who starts it.
pub const PERSON: &str = "e2e-person";

/// What a canary said.
pub struct Canary {
    /// Exit code.
    pub code: Option<i32>,
    /// Lines of standard output.
    pub lines: Vec<Value>,
    /// Standard error.
    pub errors: String,
}

impl Canary {
    /// Starts one at the service's extension.
    ///
    /// # Errors
    /// When the binary can't be run.
    pub fn start(service: &Service, options: &[&str]) -> anyhow::Result<Child> {
        Command::new(binary("ivrpay")?)
            .args(["audit", "--canary", "--json", "--person", PERSON])
            .arg("--config")
            .arg(service.folder.join("ivrpay.toml"))
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("ivrpay audit can't be run")
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it takes too long, says something else than JSON, or shows a row of digits.
    pub async fn end(child: Child) -> anyhow::Result<Self> {
        let output = tokio::time::timeout(Duration::from_secs(120), child.wait_with_output())
            .await
            .context("the canary did not end within 120 s")??;
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        // A time has nine digits behind its point; the card has more than that in a row.
        let digits = |text: &str| {
            let runs = text.split(|c: char| !c.is_ascii_digit());
            runs.map(str::len).max().unwrap_or_default()
        };
        ensure!(
            digits(&text) < 13 && digits(&errors) < 13,
            "the canary shows a row of digits"
        );
        let lines = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            code: output.status.code(),
            lines,
            errors,
        })
    }

    /// Starts one and waits for its end.
    ///
    /// # Errors
    /// As [`Self::start`] and [`Self::end`].
    pub async fn run(service: &Service, options: &[&str]) -> anyhow::Result<Self> {
        Self::end(Self::start(service, options)?).await
    }

    /// The last line.
    #[must_use]
    pub fn summary(&self) -> &Value {
        self.lines.last().unwrap_or(&Value::Null)
    }

    /// The line of a kind whose place is named so.
    #[must_use]
    pub fn place(&self, kind: &str, place: &str) -> Option<&Value> {
        self.lines.iter().find(|l| {
            l["kind"] == kind && l["place"].as_str().is_some_and(|p| p.starts_with(place))
        })
    }
}
