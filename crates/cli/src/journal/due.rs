//! `ivrpay journal due`.

use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::json;

use super::with_journal;
use crate::{ConfigPath, Exit};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigPath,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    with_journal(&args.config, async |config, journal| {
        if !config.terms.are_any() && !args.json {
            say!("nothing is ever taken out: neither [journal] nor a merchant has keep_days");
            return Ok(Exit::Done);
        }
        for over in journal.over(&config.terms).await? {
            if args.json {
                say!("{}", json!(over));
                continue;
            }
            let before = Timestamp::from_millisecond(over.before_ms)?;
            say!(
                "{}  before {before:.0}: {} to be taken out, {} as old stay since something of them is open",
                over.tenant.as_str(),
                over.payments,
                over.held
            );
        }
        Ok(Exit::Done)
    })
}
