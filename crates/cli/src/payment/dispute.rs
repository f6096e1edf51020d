//! `ivrpay payment dispute`.

use std::process::ExitCode;

use ivrpay_api::{DisputePayment, EndDispute, Payment};

use super::{From, encode, json};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    from: From,
    /// Its id.
    id: String,
    /// Why, on one line; or --end.
    #[arg(long, required_unless_present = "end")]
    reason: Option<String>,
    /// The dispute is over: how it ended, on one line.
    #[arg(long, value_name = "OUTCOME", conflicts_with = "reason")]
    end: Option<String>,
    /// Who says so.
    #[arg(long)]
    by: String,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let by = Some(args.by.clone());
    let path = format!("/v1/payments/{}/dispute", encode(&args.id));
    match &args.end {
        Some(outcome) => {
            let outcome = outcome.clone();
            let body = json(&EndDispute { outcome, by });
            args.from.show(&format!("{path}/end"), Some(body), show)
        }
        None => {
            let reason = args.reason.clone().unwrap_or_default();
            args.from
                .show(&path, Some(json(&DisputePayment { reason, by })), show)
        }
    }
}

fn show(payment: Payment) -> anyhow::Result<()> {
    match &payment.disputed {
        Some(dispute) => say!(
            "payment {} is disputed since {}: it is neither refunded, voided nor changed until that is over",
            payment.id,
            dispute.since
        ),
        None => say!("payment {} is not disputed any more", payment.id),
    }
    Ok(())
}
