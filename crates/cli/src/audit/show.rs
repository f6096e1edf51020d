//! A report as people and programs read it.

use std::collections::BTreeSet;

use ivrpay_audit::{Finding, NotLookedAt, Report, Severity};
use serde::Serialize;

/// How lines are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Several lines a finding.
    Terminal,
    /// One line a finding, tabs between its parts.
    Plain,
    /// One JSON object a line.
    Json,
}

/// One line of JSON. Reading programs tell them apart by `kind`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Line<'a> {
    Finding(&'a Finding),
    NotLookedAt(&'a NotLookedAt),
    Summary {
        findings: usize,
        critical: usize,
        high: usize,
        warnings: usize,
        notes: usize,
        looked_at: usize,
        not_looked_at: usize,
    },
}

fn json(line: &impl Serialize) {
    say!("{}", serde_json::to_string(line).unwrap_or_default());
}

/// Everything, with the summary last.
pub(super) fn report(report: &Report, form: Form) {
    for finding in &report.findings {
        match form {
            Form::Json => json(&Line::Finding(finding)),
            _ => self::finding(finding, form),
        }
    }
    if form == Form::Json {
        for not in &report.not_looked_at {
            json(&Line::NotLookedAt(not));
        }
    } else {
        // One reason is said once: an ARI that is switched off answers every question in the same way.
        let mut told = BTreeSet::new();
        for not in &report.not_looked_at {
            if !told.insert(&not.because) {
                continue;
            }
            let same = report.not_looked_at.iter();
            let places: Vec<&str> = same
                .filter(|other| other.because == not.because)
                .map(|other| &*other.place)
                .collect();
            let switched_off = places.contains(&"version")
                && not
                    .because
                    .starts_with("this Asterisk does not know the question");
            say!(
                "not looked at: {}, because {}",
                places.join("; "),
                not.because
            );
            if switched_off {
                say!(
                    "hint: ARI is switched off there (enabled in [general] of ari.conf), or [ari] url names something else"
                );
            }
        }
    }
    let count = |severity| report.count(severity);
    let (critical, high, warnings) = (
        count(Severity::Critical),
        count(Severity::High),
        count(Severity::Warning),
    );
    if form == Form::Json {
        return json(&Line::Summary {
            findings: report.findings.len(),
            critical,
            high,
            warnings,
            notes: count(Severity::Note),
            looked_at: report.looked_at.len(),
            not_looked_at: report.not_looked_at.len(),
        });
    }
    let not = match report.not_looked_at.len() {
        0 => String::new(),
        not => format!(", {not} not"),
    };
    say!(
        "audit: {} findings ({critical} critical, {high} high, {warnings} warnings), {} places looked at{not}",
        report.findings.len(),
        report.looked_at.len(),
    );
}

/// One finding, for people.
pub(super) fn finding(finding: &Finding, form: Form) {
    if form == Form::Plain {
        let change = match finding.freepbx {
            Some(freepbx) => format!("{}; in FreePBX: {freepbx}", finding.change),
            None => finding.change.to_string(),
        };
        say!(
            "{}\t{}\t{}\t{}\t{change}\t{}",
            finding.severity,
            finding.id,
            finding.place,
            finding.found,
            finding.why
        );
        return;
    }
    say!(
        "{:<9} {:<26} {}",
        finding.severity,
        finding.id,
        finding.place
    );
    let part = |name: &str, text: &str| say!("{:<9} {name:<8} {text}", "");
    part("found", &finding.found);
    part("why", finding.why);
    part("change", &finding.change.to_string());
    if let Some(freepbx) = finding.freepbx {
        part("FreePBX", freepbx);
    }
    part("concerns", finding.versions);
}
