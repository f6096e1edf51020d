//! How long a card is still in the service's memory when the acquirer has read the last byte of its request.
//!
//! Both sides note a time of the clock that they share: the simulated acquirer in its books (`read_at_ns`), the service in a line of its
//! log under the target `ivrpay_daemon::wiped`. The payment's id joins them.

use std::collections::HashMap;
use std::time::SystemTime;

use anyhow::{Context as _, ensure};
use ivrpay_tests::lab::Lab;
use ivrpay_tests::service::Service;
use serde_json::Value;

/// All payments so far, each with the time when its request had been read, and what came of it.
pub(crate) struct Wipes(Vec<(u64, Wipe)>);

/// How much later than read a request was wiped, ns, negative when before; `None`: the log does not say that it was.
#[derive(Clone, Copy)]
struct Wipe(Option<i64>);

/// A stretch of the run.
#[derive(Clone, Copy)]
pub(crate) struct Phase(u64, u64);

/// Nanoseconds since 1970, as both sides count them.
pub(crate) fn now_ns() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since_1970.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

impl Phase {
    pub(crate) fn since(begun: u64) -> Self {
        Self(begun, now_ns())
    }
}

impl Wipes {
    /// Of a lab whose acquirer has seen this service alone.
    pub(crate) async fn read(lab: &Lab, service: &Service) -> anyhow::Result<Self> {
        let log = std::fs::read_to_string(service.folder.join("log"))?;
        let wiped = |line: &str| -> Option<(String, u64)> {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == "card wiped").then(|| {
                Some((
                    line["payment_id"].as_str()?.to_owned(),
                    line["at_ns"].as_u64()?,
                ))
            })?
        };
        let wiped: HashMap<_, _> = log.lines().filter_map(wiped).collect();
        ensure!(
            !wiped.is_empty(),
            "the log does not say when a card was wiped; run scripts/bench, which asks for it"
        );
        let http = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("http://{}:9480/log", lab.get("ACQUIRER_IP")?);
        let books: Value = serde_json::from_str(&http.get(url).send().await?.text().await?)?;
        let all = books["transactions"].as_array();
        let all = all.context("the acquirer's log has no transactions")?;
        all.iter()
            .map(|entry| {
                let payment = entry["parameters"]["payment_id"].as_str();
                let payment = payment.context("a transaction without our payment's id")?;
                let read = entry["read_at_ns"].as_u64().context("no read_at_ns")?;
                let after = wiped
                    .get(payment)
                    .map(|at| at.cast_signed() - read.cast_signed());
                Ok((read, Wipe(after)))
            })
            .collect::<anyhow::Result<_>>()
            .map(Self)
    }

    /// Payments in all.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Payments whose request nobody saw wiped.
    pub(crate) fn missing(&self) -> usize {
        self.0.iter().filter(|(_, wipe)| wipe.0.is_none()).count()
    }

    /// In order, the shortest first, ns.
    fn sorted(&self, Phase(begun, ended): Phase) -> Vec<i64> {
        let within = self.0.iter().filter(|(at, _)| (begun..ended).contains(at));
        let mut after: Vec<i64> = within.filter_map(|(_, wipe)| wipe.0).collect();
        after.sort_unstable();
        after
    }

    /// The 99th percentile, µs.
    pub(crate) fn p99(&self, phase: Phase) -> f64 {
        rank(&self.sorted(phase), 0.99)
    }

    pub(crate) fn text(&self, phase: Phase, at: &str) -> String {
        let after = self.sorted(phase);
        let before = after.iter().filter(|ns| **ns < 0).count();
        format!(
            "{:.0}, {:.0} and {:.0} µs at {at} ({before} of {} already wiped when it was read)",
            rank(&after, 0.5),
            rank(&after, 0.99),
            rank(&after, 1.0),
            after.len()
        )
    }
}

/// By nearest rank, in µs; NaN of nothing.
fn rank(sorted: &[i64], p: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank is between 0 and the count"
    )]
    let rank = (sorted.len() as f64 * p).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .map_or(f64::NAN, |ns| *ns as f64 / 1e3)
}
