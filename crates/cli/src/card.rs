//! `ivrpay card brands`: which numbers belong to which brand.

use std::path::PathBuf;
use std::process::ExitCode;

use ivrpay_card::{Range, SOURCE, ranges};
use ivrpay_daemon::config::read_ranges;
use serde_json::json;

use crate::{ConfigPath, Exit, load};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show which issuer numbers belong to which brand, how long its card numbers are, and where that is from.
    Brands(Args),
}

#[derive(clap::Args)]
#[command(
    after_help = "What is printed reads back: write it into a file, change it, look at it by --file, and name it in the configuration: [cards] ranges = \"FILE\".\n\
A line is FROM-TO BRAND LENGTHS USUAL [SECOND]; docs/cards.md.\n\n\
Exit codes: 0 shown; 2 wrong usage, or the file is wrong; 78 the configuration can't be used."
)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigPath,
    /// Those of this file, which is checked, and not those of the configuration.
    #[arg(long, value_name = "FILE", conflicts_with = "built_in")]
    file: Option<PathBuf>,
    /// Those that are built in.
    #[arg(long)]
    built_in: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: Command) -> ExitCode {
    let Command::Brands(args) = command;
    if let Some(file) = args.file {
        return match read_ranges(&file) {
            Ok(read) => show(&file.display().to_string(), read.rows(), args.json),
            Err(error) => {
                eprintln!("ivrpay: {error}");
                Exit::Usage.into()
            }
        };
    }
    if args.built_in {
        return show(SOURCE, ranges(), args.json);
    }
    match load(&args.config.config) {
        Ok(config) => {
            let file = config
                .card_ranges
                .map(|(file, _)| file.display().to_string());
            show(file.as_deref().unwrap_or(SOURCE), ranges(), args.json)
        }
        Err(code) => code,
    }
}

fn show(source: &str, ranges: &[Range], json: bool) -> ExitCode {
    if json {
        let rows: Vec<_> = ranges
            .iter()
            .map(|range| {
                let (from, to) = range.issuers();
                json!({
                    "from": from, "to": to, "brand": range.brand, "lengths": range.lengths, "usual": range.usual, "second": range.second,
                })
            })
            .collect();
        say!("{}", json!({"source": source, "ranges": rows}));
        return Exit::Done.into();
    }
    say!("# {source}");
    say!("# issuer numbers, brand, lengths of its card numbers, the usual one, second brand");
    for range in ranges {
        say!("{range}");
    }
    Exit::Done.into()
}
