//! `ivrpay journal verify`, `ivrpay journal head`.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use ivrpay_journal::{ChainHead, Held, Location};

use super::{opened, with_journal};
use crate::{ConfigPath, Exit};

/// Longest file of ends, bytes: ten years of one an hour.
const ANCHOR_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Lines of `ivrpay journal head`, or of the service's log, that were kept elsewhere; - for standard input.
    #[arg(long)]
    anchor: Option<PathBuf>,
    /// This copy, and not the configuration's journal.
    #[arg(long)]
    file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigPath,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(crate) struct HeadArgs {
    #[command(flatten)]
    config: ConfigPath,
}

pub(crate) fn head(args: &HeadArgs) -> ExitCode {
    with_journal(&args.config, async |_, journal| {
        let now = jiff::Timestamp::now();
        for head in journal.heads().await? {
            say!("{now:.0} {head}");
        }
        Ok(Exit::Done)
    })
}

pub(crate) fn run(args: &Args) -> ExitCode {
    with_journal(&args.config, async |_, journal| {
        let journal = match &args.file {
            Some(file) => opened(&Location::File(file.clone())).await?,
            None => journal,
        };
        let kept = args.anchor.as_deref().map(kept).transpose()?;
        let report = journal.verify().await?;
        let mut broken = Vec::new();
        for head in kept.iter().flatten() {
            let held = journal.holds(head).await?;
            if held != Held::AsItWas {
                broken.push((head, held));
            }
        }
        let sound = report.is_sound() && broken.is_empty();
        let kept = kept.as_ref().map(Vec::len);
        if args.json {
            let broken: Vec<_> = broken
                .iter()
                .map(|(head, held)| serde_json::json!({"writer": head.writer, "record": head.records, "is": word(*held)}))
                .collect();
            say!(
                "{}",
                serde_json::json!({
                    "sound": sound, "records": report.records, "removed": report.removed, "payments": report.payments, "breaks": report.breaks,
                    "anchors": kept, "anchors_broken": broken,
                })
            );
        } else {
            for found in &report.breaks {
                say!("WRONG {found}");
            }
            for (head, held) in &broken {
                let (writer, record) = (&head.writer, head.records);
                say!("WRONG record {record} of {writer}: {}", word(*held));
            }
            let kept = kept.map(|kept| format!(", {kept} ends kept elsewhere"));
            let removed = (report.removed > 0).then(|| {
                format!(
                    " ({} of them taken out at the end of their time)",
                    report.removed
                )
            });
            say!(
                "{} payments, {} records{}{}: {}",
                report.payments,
                report.records,
                removed.unwrap_or_default(),
                kept.unwrap_or_default(),
                if sound { "sound" } else { "NOT SOUND" }
            );
        }
        Ok(if sound { Exit::Done } else { Exit::Failed })
    })
}

const fn word(held: Held) -> &'static str {
    match held {
        Held::AsItWas => "as it was",
        Held::Changed => "is another one than was kept elsewhere",
        Held::Lost => "was kept elsewhere, and is not there any more",
    }
}

fn kept(from: &Path) -> anyhow::Result<Vec<ChainHead>> {
    let mut text = String::new();
    let read = if from == Path::new("-") {
        std::io::stdin()
            .take(ANCHOR_BYTES_MAX)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(from)
            .and_then(|file| file.take(ANCHOR_BYTES_MAX).read_to_string(&mut text))
    };
    read.with_context(|| format!("{}", from.display()))?;
    let heads: Vec<_> = text.lines().filter_map(ChainHead::find).collect();
    // An empty file would be no proof, and look like one.
    if heads.is_empty() {
        bail!(
            "{}: there is no line of `ivrpay journal head` in it",
            from.display()
        );
    }
    Ok(heads)
}
