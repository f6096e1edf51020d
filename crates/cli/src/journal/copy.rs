//! `ivrpay journal backup`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use ivrpay_journal::Location;

use super::{opened, with_journal};
use crate::{ConfigPath, Exit};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to; a file that is not there yet.
    file: PathBuf,
    #[command(flatten)]
    config: ConfigPath,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    with_journal(&args.config, async |_, journal| {
        let to = args.file.display();
        journal.copy_to(&args.file).await.map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            let (cause, hint) = (cause.unwrap_or_default(), error.hint());
            anyhow::anyhow!("{to}: {error}{cause}\nhint: {hint}")
        })?;
        let copy = opened(&Location::File(args.file.clone())).await;
        let report = copy.context("the copy")?.verify().await?;
        if args.json {
            let sound = report.is_sound();
            say!(
                "{}",
                serde_json::json!({"file": args.file, "records": report.records, "payments": report.payments, "sound": sound})
            );
        } else {
            say!(
                "{to}: {} payments, {} records{}",
                report.payments,
                report.records,
                if report.is_sound() {
                    ", every hash fits"
                } else {
                    "; NOT SOUND, as the journal itself: see `ivrpay journal verify`"
                }
            );
        }
        Ok(if report.is_sound() {
            Exit::Done
        } else {
            Exit::Failed
        })
    })
}
