//! `ivrpay approval list|approve|refuse`: what people may not ask of an acquirer alone, by the running service over its Unix socket.

use std::process::ExitCode;

use ivrpay_api::{Approval, Approvals, LaterDone, WhoAsks};

use crate::payment::{From, encode, filtered, json};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// What waits for a second person, and what did; the newest first.
    List {
        #[command(flatten)]
        from: From,
        /// Only these: open, approved, refused, done or lapsed.
        #[arg(long)]
        state: Option<String>,
        /// Only this merchant's.
        #[arg(long)]
        tenant: Option<String>,
        /// Behind this one: the next page.
        #[arg(long)]
        after: Option<String>,
        /// At most so many, 1 to 200.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
    /// Allow it, and have it done.
    Approve {
        #[command(flatten)]
        from: From,
        /// Its id.
        id: String,
        /// Who you are: not who has asked.
        #[arg(long)]
        by: String,
    },
    /// Refuse it.
    Refuse {
        #[command(flatten)]
        from: From,
        /// Its id.
        id: String,
        /// Who you are: not who has asked.
        #[arg(long)]
        by: String,
    },
}

pub(crate) fn run(command: Command) -> ExitCode {
    match command {
        Command::List {
            from,
            state,
            tenant,
            after,
            limit,
        } => {
            let filters = [("state", state), ("tenant", tenant), ("after", after)];
            let path = filtered(format!("/v1/approvals?limit={limit}"), filters);
            from.show(&path, None, list)
        }
        Command::Approve { from, id, by } => {
            let path = format!("/v1/approvals/{}/approve", encode(&id));
            let body = json(&WhoAsks { by: Some(by) });
            from.show(&path, Some(body), |done: LaterDone| {
                let operation = &done.operation;
                say!(
                    "{} of {}: {}",
                    operation.kind,
                    operation.amount,
                    operation.state
                );
                Ok(())
            })
        }
        Command::Refuse { from, id, by } => {
            let path = format!("/v1/approvals/{}/refuse", encode(&id));
            let body = json(&WhoAsks { by: Some(by) });
            from.show(&path, Some(body), |approval: Approval| {
                say!("{} is {}", approval.id, approval.state);
                Ok(())
            })
        }
    }
}

fn list(Approvals { approvals, next }: Approvals) -> anyhow::Result<()> {
    if approvals.is_empty() {
        say!("no approvals");
        return Ok(());
    }
    for approval in &approvals {
        say!(
            "{:<36}  {:<8}  {:<7}  {:>10} {}  payment {}  asked by {}, until {}{}",
            approval.id.to_string(),
            approval.state,
            approval.kind,
            approval.amount,
            approval.currency,
            approval.payment_id,
            approval.asked_by,
            approval.until.chars().take(16).collect::<String>(),
            approval
                .decided_by
                .as_ref()
                .map_or_else(String::new, |by| format!(", decided by {by}")),
        );
    }
    if let Some(next) = next {
        say!("more with --after {next}");
    }
    Ok(())
}
