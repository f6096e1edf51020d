//! What `ivrpay check` and `audit` say.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use ivrpay_api as api;

use super::{Frame, allowed, answer, html};
use crate::Console;
use crate::client::Trouble;
use crate::sessions::Signed;
use crate::show;
use crate::words::{self, Lang};

struct Row {
    code: String,
    /// `ok`, `note`, `warning` or `danger`.
    severity: &'static str,
    severity_name: String,
    what: String,
    hint: String,
}

#[derive(Template)]
#[template(path = "health.html")]
struct HealthPage {
    f: Frame,
    checked_at: String,
    rows: Vec<Row>,
    counts: Vec<(&'static str, String, usize)>,
    ready: Option<api::Ready>,
}

fn row(finding: api::HealthFinding, lang: Lang) -> Row {
    let severity = match finding.severity {
        api::HealthSeverity::Danger => "danger",
        api::HealthSeverity::Warning => "warning",
        api::HealthSeverity::Note => "note",
        api::HealthSeverity::Ok => "ok",
    };
    Row {
        severity,
        severity_name: words::severity(severity, lang).to_owned(),
        code: finding.code,
        what: finding.what,
        hint: finding.hint.unwrap_or_default(),
    }
}

/// The worst first, as the API has them.
const SEVERITIES: [&str; 4] = ["danger", "warning", "note", "ok"];

pub(crate) async fn page(State(console): State<Console>, signed: Signed) -> Response {
    let page = shown(&console, &signed).await;
    answer(&console, &signed, "/health", page)
}

async fn shown(console: &Console, signed: &Signed) -> Result<Response, Trouble> {
    allowed(&signed.person, "/health")?;
    let lang = signed.lang;
    let found = console
        .client
        .get::<api::HealthFindings>(&signed.token, "/v1/health/findings");
    let ready = console.client.open::<api::Ready>("/readyz");
    let (found, ready) = tokio::join!(found, ready);
    let found = found?;
    let rows: Vec<Row> = found
        .findings
        .into_iter()
        .map(|finding| row(finding, lang))
        .collect();
    let counts = SEVERITIES.map(|severity| {
        let count = rows.iter().filter(|row| row.severity == severity).count();
        (severity, words::severity(severity, lang).to_owned(), count)
    });
    Ok(html(&HealthPage {
        f: Frame::of(console, signed, "/health", lang.words().health),
        checked_at: show::time(&found.checked_at, &console.zone),
        counts: counts.into_iter().collect(),
        rows,
        ready: ready.ok(),
    }))
}
