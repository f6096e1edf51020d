//! What `GET /v1/health/findings` says: what `ivrpay check` and `ivrpay audit` find, looked at from inside the running service.
//!
//! Left out is what only another process can try: the prompts on disk (Asterisk is asked for them), and the protections, which are told as
//! they stood at the start. It is looked on a thread of its own, so that no call waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ivrpay_api as api;
use ivrpay_audit::Severity;
use tokio::sync::Mutex;

use crate::check::{Check, Fact, Verdict};
use crate::config::Config;

/// How long a look stands: whoever polls does not make Asterisk and the acquirers answer without end.
const KEPT: Duration = Duration::from_secs(60);
/// Longest that one may take.
const LOOK_MAX: Duration = Duration::from_secs(30);

/// Looks, at most once a minute.
#[derive(Clone)]
pub(crate) struct Health(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    /// How the process was protected at its start.
    began: Vec<api::HealthFinding>,
    last: Mutex<Option<(Instant, api::HealthFindings)>>,
}

impl Health {
    pub(crate) fn new(
        config: Arc<Config>,
        memory: &ivrpay_secret::Report,
        protections: &[ivrpay_secret::Protection],
    ) -> Self {
        let mut began = vec![api::HealthFinding {
            code: "check/secret-memory".to_owned(),
            severity: if memory.backing.is_locked() {
                api::HealthSeverity::Ok
            } else {
                api::HealthSeverity::Warning
            },
            what: memory.to_string(),
            hint: (!memory.backing.is_locked())
                .then(|| "`ivrpay check` says what to do".to_owned()),
        }];
        began.extend(protections.iter().map(|protection| api::HealthFinding {
            code: "check/process".to_owned(),
            severity: match protection.standing {
                ivrpay_secret::Standing::Lacks => api::HealthSeverity::Warning,
                ivrpay_secret::Standing::Holds | ivrpay_secret::Standing::Advice => {
                    api::HealthSeverity::Ok
                }
            },
            what: protection.fact.clone(),
            hint: protection.hint.map(str::to_owned),
        }));
        Self(Arc::new(Inner {
            config,
            began,
            last: Mutex::default(),
        }))
    }

    /// What is found now, or was within the last minute.
    pub(crate) fn findings(&self) -> BoxFuture<'static, api::HealthFindings> {
        let inner = Arc::clone(&self.0);
        // Who goes away in the middle does not make the next one begin anew.
        let looked = tokio::spawn(async move { inner.findings().await });
        async move {
            looked.await.unwrap_or_else(|_| api::HealthFindings {
                checked_at: jiff::Timestamp::now().to_string(),
                whole: false,
                findings: Vec::new(),
            })
        }
        .boxed()
    }
}

impl Inner {
    async fn findings(&self) -> api::HealthFindings {
        let mut last = self.last.lock().await;
        if let Some((at, findings)) = &*last
            && at.elapsed() < KEPT
        {
            return findings.clone();
        }
        let (seen, whole) = look(Arc::clone(&self.config)).await;
        let mut findings = self.began.clone();
        findings.extend(seen);
        findings.sort_by(|a, b| (a.severity, &a.code).cmp(&(b.severity, &b.code)));
        let findings = api::HealthFindings {
            checked_at: jiff::Timestamp::now().to_string(),
            whole,
            findings,
        };
        *last = Some((Instant::now(), findings.clone()));
        findings
    }
}

/// All that can be looked at in time, and whether that is all.
async fn look(config: Arc<Config>) -> (Vec<api::HealthFinding>, bool) {
    let (tell, told) = std::sync::mpsc::channel();
    let looked = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .ok()?;
        let look = async {
            let mut said = |fact: &Fact| drop(tell.send(of_fact(fact)));
            Check::new(&mut said).run_inside(&config).await;
            let seen = crate::audit::see(&config, jiff::Zoned::now().date()).await;
            let report = ivrpay_audit::running(&seen);
            for finding in &report.findings {
                drop(tell.send(of_finding(finding)));
            }
            for place in &report.not_looked_at {
                drop(tell.send(api::HealthFinding {
                    code: "audit/not-looked-at".to_owned(),
                    severity: api::HealthSeverity::Note,
                    what: place.place.clone(),
                    hint: Some(place.because.clone()),
                }));
            }
        };
        runtime.block_on(async { tokio::time::timeout(LOOK_MAX, look).await.ok() })
    });
    let whole = matches!(looked.await, Ok(Some(())));
    (told.try_iter().collect(), whole)
}

fn of_fact(fact: &Fact) -> api::HealthFinding {
    api::HealthFinding {
        code: format!("check/{}", fact.ring),
        severity: match fact.verdict {
            Verdict::Good => api::HealthSeverity::Ok,
            Verdict::Warning => api::HealthSeverity::Warning,
            Verdict::Bad => api::HealthSeverity::Danger,
        },
        what: fact.fact.clone(),
        hint: fact.hint.clone(),
    }
}

fn of_finding(finding: &ivrpay_audit::Finding) -> api::HealthFinding {
    api::HealthFinding {
        code: format!("audit/{}", finding.id),
        severity: match finding.severity {
            Severity::Note => api::HealthSeverity::Note,
            Severity::Warning => api::HealthSeverity::Warning,
            Severity::High | Severity::Critical => api::HealthSeverity::Danger,
        },
        what: format!("{}: {}; {}", finding.place, finding.found, finding.why),
        hint: Some(finding.change.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::config::tests::{Folder, SAMPLE};

    /// Nobody is there to answer: that is what it says, the worst first, once a minute, and no password stands in it.
    #[tokio::test]
    async fn what_is_found_is_told_the_worst_first() {
        let folder = Folder::new();
        let config = folder
            .load(&SAMPLE.replace("http://127.0.0.1:8088", "http://127.0.0.1:9"))
            .unwrap();
        let memory =
            ivrpay_secret::probe(config.secret_policy, ivrpay_secret::Layout::for_calls(1));
        let health = Health::new(Arc::new(config), &memory.unwrap(), &[]);
        let first = health.findings().await;
        let worst = first.findings.first().unwrap();
        assert_eq!(worst.severity, api::HealthSeverity::Danger);
        assert!(first.findings.is_sorted_by_key(|finding| finding.severity));
        let of = |code: &str| first.findings.iter().find(|finding| finding.code == code);
        assert_eq!(
            of("check/asterisk").unwrap().severity,
            api::HealthSeverity::Danger
        );
        assert_eq!(
            of("check/values").unwrap().severity,
            api::HealthSeverity::Ok
        );
        let text = serde_json::to_string(&first).unwrap();
        // A password of the folder, and a key of its webhook.
        for secret in ["two", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(
                !text.contains(&format!("\"{secret}")) && !text.contains(&format!(":{secret}@")),
                "{text}"
            );
        }
        assert_eq!(health.findings().await.checked_at, first.checked_at);
    }
}
