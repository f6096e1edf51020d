//! What the protection of memory costs: the zeroing allocator and locked memory against the system's allocator and ordinary memory, as
//! CPU time of the service a payment, over the whole way of a payment.
//!
//! Two builds that differ in nothing else (feature `plain-memory`) take turns on the same Asterisk, so that both meet the same machine.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use ivrpay_tests::lab::Lab;
use ivrpay_tests::local::Callers;
use ivrpay_tests::service::{How, Service, set};
use tokio::task::JoinSet;

use crate::{cpu_ns, gauge, keys};

/// Turns of each build.
pub(crate) const PAIRS: usize = 8;
/// Payments of a turn, all of them at once.
pub(crate) const PAYMENTS: usize = 120;
/// Time over which the callers of a turn arrive.
const SPREAD: Duration = Duration::from_secs(2);
/// The build without protection, as scripts/bench leaves it.
const PLAIN: &str = "ivrpay-plain";

/// CPU time a payment, ms, of both builds, pair by pair.
pub(crate) struct Cost {
    pairs: Vec<(f64, f64)>,
    pub(crate) failed: usize,
}

impl Cost {
    pub(crate) async fn measure(lab: &Lab) -> anyhow::Result<Self> {
        let mut cost = Self {
            pairs: Vec::new(),
            failed: 0,
        };
        for pair in 0..PAIRS {
            let (protected, failed) = turn(lab, "ivrpay", pair).await?;
            let (plain, failed_too) = turn(lab, PLAIN, pair).await?;
            eprintln!(
                "bench: pair {} of {PAIRS}: {protected:.2} ms a payment protected, {plain:.2} without",
                pair + 1
            );
            cost.pairs.push((protected, plain));
            cost.failed += failed + failed_too;
        }
        Ok(cost)
    }

    /// Protected to plain, the smallest first.
    fn ratios(&self) -> Vec<f64> {
        let mut ratios: Vec<f64> = self.pairs.iter().map(|(a, b)| a / b).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }

    /// The median of the ratios.
    pub(crate) fn ratio(&self) -> f64 {
        median(self.ratios())
    }

    pub(crate) fn text(&self) -> String {
        let (protected, plain) = self.pairs.iter().copied().unzip();
        let ratios = self.ratios();
        format!(
            "{:.3} of the CPU time without (median of {PAIRS} pairs, {:.3} to {:.3}; {:.2} and {:.2} ms a payment, {PAYMENTS} payments a turn)",
            self.ratio(),
            ratios.first().unwrap_or(&f64::NAN),
            ratios.last().unwrap_or(&f64::NAN),
            median(protected),
            median(plain)
        )
    }
}

pub(crate) fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    let at = |n: usize| all.get(n).copied().unwrap_or(f64::NAN);
    f64::midpoint(at(all.len().saturating_sub(1) / 2), at(all.len() / 2))
}

/// CPU time a payment, ms, and how many failed.
async fn turn(lab: &Lab, program: &str, pair: usize) -> anyhow::Result<(f64, usize)> {
    let protected = program != PLAIN;
    let change = |config: &mut toml::Table| {
        set(config, "limits.calls_max", 250);
        set(
            config,
            "secret.policy",
            if protected { "locked" } else { "any" },
        );
    };
    let how = How {
        program,
        ..How::default()
    };
    let mut service = Service::start_as(how, lab, program, true, change).await?;
    ensure!(
        gauge(&service, "ivrpay_secret_memory_locked").await? == f64::from(u8::from(protected)),
        "{program} is not the build that it should be; run scripts/bench, which makes it"
    );
    let callers = Arc::new(Callers::new(lab, &service).await?);
    let before = cpu_ns(service.pid())?;
    let mut calls = JoinSet::new();
    for n in 0..PAYMENTS {
        let (callers, id) = (Arc::clone(&callers), format!("{program}-{pair}-{n}"));
        let turn = SPREAD.mul_f64(n as f64 / PAYMENTS as f64);
        calls.spawn(async move {
            tokio::time::sleep(turn).await;
            callers.pay(&id, &keys(), async {}).await
        });
    }
    let mut failed = 0;
    while let Some(paid) = calls.join_next().await {
        if let Err(error) = paid? {
            eprintln!("bench: {program}: {error:#}");
            failed += 1;
        }
    }
    // The last call has ended for its caller; what the service does behind it belongs to it.
    while gauge(&service, "ivrpay_calls").await? > 0.0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let after = cpu_ns(service.pid())?;
    // What a thread that is gone had used is not known; those of the service last as long as it does.
    let used: u64 = after
        .iter()
        .map(|(thread, ns)| ns - before.get(thread).unwrap_or(&0))
        .sum();
    drop(callers);
    service.stop(Duration::from_secs(30)).await?;
    Ok((used as f64 / 1e6 / PAYMENTS as f64, failed))
}
