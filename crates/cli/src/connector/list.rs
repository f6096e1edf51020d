//! `ivrpay connector list`.

use std::process::ExitCode;

use ivrpay_daemon::config::Config;
use ivrpay_daemon::live::{self, Known};
use ivrpay_journal::{Journal, Location, Standing};

use crate::{ConfigPath, Exit, fail, load, runtime};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigPath,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Row<'k> {
    name: &'k str,
    kind: &'k str,
    live: bool,
    url: &'k str,
    tenants: Vec<&'k str>,
    since: Option<String>,
    changed_at: Option<String>,
    changed_by: Option<&'k str>,
    changed: &'k [String],
    open: usize,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let config = match load(&args.config.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let known = runtime().and_then(|runtime| runtime.block_on(known(&config)));
    match known {
        Ok(known) => {
            show(&config, &known, args.json);
            Exit::Done.into()
        }
        Err(error) => fail(&error),
    }
}

/// The journal is read beside a service that writes it; before the first start there is none.
async fn known(config: &Config) -> anyhow::Result<Vec<Known>> {
    if matches!(&config.journal_at, Location::File(path) if !path.exists()) {
        return Ok(live::unknown(config));
    }
    let journal = Journal::open_read_only(&config.journal_at).await;
    let journal = journal.map_err(|error| {
        let path = &config.journal_at;
        anyhow::anyhow!("the journal {path}: {error}\nhint: {}", error.hint())
    })?;
    Ok(live::known(config, &journal).await?)
}

fn show(config: &Config, known: &[Known], json: bool) {
    if !json {
        say!(
            "{:<16}  {:<12}  {:<4}  {:<20}  {:<20}  {}",
            "name",
            "kind",
            "mode",
            "live since",
            "tenants",
            "where"
        );
    }
    for Known { now, standing } in known {
        let Standing {
            since_ms,
            changed_ms,
            changed_by,
            changed,
            open,
            ..
        } = standing;
        let tenants = config.tenants.iter().filter(|t| t.uses(&now.name));
        let tenants = tenants.map(|t| t.id.as_str());
        let row = Row {
            name: &now.name,
            kind: &now.kind,
            live: now.live,
            url: &now.url,
            tenants: tenants.collect(),
            since: since_ms.map(time),
            changed_at: changed_ms.map(time),
            changed_by: changed_by.as_deref(),
            changed,
            open: open.len(),
        };
        if json {
            say!("{}", serde_json::to_string(&row).unwrap_or_default());
            continue;
        }
        say!(
            "{:<16}  {:<12}  {:<4}  {:<20}  {:<20}  {}",
            row.name,
            row.kind,
            if row.live { "live" } else { "test" },
            row.since.as_deref().unwrap_or("-"),
            row.tenants.join(","),
            row.url
        );
        if let Some(at) = &row.changed_at {
            let by = row.changed_by.unwrap_or("nobody had to answer for it");
            say!("{:<16}  changed {at}, {by}", "");
        }
        if !row.changed.is_empty() {
            say!(
                "{:<16}  is another now: {}; {} open there",
                "",
                row.changed.join(", "),
                row.open
            );
        }
    }
}

fn time(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).ok();
    let seconds = time.and_then(|t| t.round(jiff::Unit::Second).ok());
    seconds.map(|t| t.to_string()).unwrap_or_default()
}
