//! `ivrpay audit-log list|verify`: who did what.

use std::process::ExitCode;

use ivrpay_api::AuditLog;

use crate::journal::verify;
use crate::payment::{From, filtered};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Who did what, the newest first; with --after the oldest first, for a program that reads on.
    List {
        #[command(flatten)]
        from: From,
        /// Only this person or key.
        #[arg(long)]
        who: Option<String>,
        /// Only this merchant.
        #[arg(long)]
        tenant: Option<String>,
        /// Behind this entry, the oldest first; 0 is the beginning.
        #[arg(long)]
        after: Option<i64>,
        /// Before this entry: the next page.
        #[arg(long, conflicts_with = "after")]
        before: Option<i64>,
        /// At most so many, 1 to 200.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
    /// Look at the chain of hashes that these entries stand in, with those of payments: fails, and names the first that is broken.
    Verify(verify::Args),
}

pub(crate) fn run(command: Command) -> ExitCode {
    match command {
        Command::List {
            from,
            who,
            tenant,
            after,
            before,
            limit,
        } => {
            let filters = [
                ("who", who),
                ("tenant", tenant),
                ("after", after.map(|id| id.to_string())),
                ("before", before.map(|id| id.to_string())),
            ];
            let path = filtered(format!("/v1/audit?limit={limit}"), filters);
            from.show(&path, None, |log| list(&log, after.is_some()))
        }
        Command::Verify(args) => verify::run(&args),
    }
}

fn list(log: &AuditLog, is_after: bool) -> anyhow::Result<()> {
    if log.entries.is_empty() {
        say!("no entries");
    }
    for entry in &log.entries {
        let by = entry.by.as_ref().map(|by| format!(" for {by}"));
        say!(
            "{:>8}  {:<19}  {:<8}  {:<20}  {:<15}  {}: {}",
            entry.id,
            entry.at.chars().take(19).collect::<String>(),
            entry.via,
            format!("{}{}", entry.who, by.unwrap_or_default()),
            entry.address.as_deref().unwrap_or("-"),
            entry.what,
            entry.result,
        );
    }
    if let Some(next) = log.next {
        let word = if is_after { "after" } else { "before" };
        say!("more with --{word} {next}");
    }
    Ok(())
}
