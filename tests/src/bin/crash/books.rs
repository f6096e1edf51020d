//! The acquirer and what it has in its books: `ivrpay-sim acquirer`, a process of its own that outlives every kill.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::process::{Child, Command};

use super::{binary, connectors, secret, set, table};

/// Where it listens: addresses that no lab has.
const LISTEN: &str = "127.0.90.4:9443";
const CONTROL: &str = "127.0.90.4:9480";

pub(crate) struct Acquirer {
    _process: Child,
    http: reqwest::Client,
    connectors: BTreeMap<String, toml::Table>,
}

/// What an acquirer has of one order.
#[derive(Debug)]
pub(crate) struct Order {
    /// It holds, or has taken, the money, and has not given all of it back.
    pub(crate) booked: bool,
    /// How much of it is taken; `None` where its books do not say.
    pub(crate) taken: Option<u64>,
    /// Requests with a card; `None` where it does not count them.
    pub(crate) requests: Option<u64>,
}

impl Acquirer {
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let (ca, ready): (PathBuf, PathBuf) = (folder.join("ca.pem"), folder.join("ready"));
        let log = std::fs::File::create(folder.join("acquirer.log"))?;
        let mut process = Command::new(binary("ivrpay-sim")?)
            .args(["acquirer", "--listen", LISTEN, "--control", CONTROL])
            .arg("--cert-out")
            .arg(&ca)
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        while !ready.exists() {
            if let Some(status) = process.try_wait()? {
                let log = std::fs::read_to_string(folder.join("acquirer.log"))?;
                anyhow::bail!("the acquirer ended with {status}: {log}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The simulator closes after each answer: a kept connection could be met while it closes.
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()?;
        let text = http.get(format!("http://{CONTROL}/settings")).send();
        let settings: Value = serde_json::from_str(&text.await?.text().await?)?;
        let at = format!("https://{LISTEN}");
        let all = connectors(&settings, folder, &at, &ca)?;
        let mut connectors: BTreeMap<_, _> = all
            .into_iter()
            .map(|(name, table)| (name.to_owned(), table))
            .collect();
        let mut generic = toml::Table::new();
        set(&mut generic, "kind", "generic");
        set(&mut generic, "url", format!("{at}/"));
        set(&mut generic, "user", "ivrpay");
        let password = secret(&folder.join("generic-password"), "password")?;
        set(&mut generic, "password_file", password);
        set(&mut generic, "ca_file", ca.display().to_string());
        connectors.insert("generic".into(), generic);
        for table in connectors.values_mut() {
            // What is silent is silent for ever: each wait for it is one of the run's.
            set(table, "reply_timeout", "1s");
            set(table, "away_after", 0);
        }
        Ok(Self {
            _process: process,
            http,
            connectors,
        })
    }

    pub(crate) fn config(&self, connector: &str) -> anyhow::Result<toml::Table> {
        table(connector, &self.connectors)
    }

    /// What it has of the orders of this amount: there is one payment of it.
    pub(crate) async fn orders(&self, acquirer: &str, amount: u64) -> anyhow::Result<Vec<Order>> {
        let text = self.http.get(format!("http://{CONTROL}/log")).send();
        let log: Value = serde_json::from_str(&text.await?.text().await?)?;
        let all = if acquirer == "generic" {
            &log["transactions"]
        } else {
            let own = &log["acquirers"][acquirer];
            ensure!(
                own["wrong"].as_array().is_some_and(Vec::is_empty),
                "refused as wrong: {}",
                own["wrong"]
            );
            &own["orders"]
        };
        let all = all.as_array().context("the acquirer has no list")?;
        let of = all.iter().filter(|order| order["amount"] == amount);
        Ok(of
            .map(|order| {
                let back = ["refunded", "given_back"].map(|key| order[key].as_u64());
                let back = back.into_iter().flatten().max().unwrap_or_default();
                let taken = ["captured", "taken", "received"].map(|key| order[key].as_u64());
                let state = order["state"].as_str().unwrap_or_default();
                let by_state = match (acquirer, state) {
                    ("gmo", "AUTH" | "SAUTH") => Some(0),
                    ("gmo", "CAPTURE" | "SALES") => Some(amount),
                    _ => None,
                };
                Order {
                    taken: taken.into_iter().flatten().max().or(by_state),
                    booked: order["booked"] == true && back < amount,
                    requests: order["requests"].as_u64(),
                }
            })
            .collect())
    }
}
