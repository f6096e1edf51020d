//! `ivrpay journal export`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use ivrpay_ledger::export::{COLUMNS, COLUMNS_JA, row};
use jiff::civil::Date;

use super::days::{Days, Whose, entries};
use super::with_journal;
use crate::{ConfigPath, Exit};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The first day, as 2026-11-01.
    #[arg(long)]
    from: Date,
    /// The last day, itself in it; the first one when absent.
    #[arg(long)]
    to: Option<Date>,
    #[command(flatten)]
    whose: Whose,
    /// Into this file, which is not there yet; to standard output when absent.
    #[arg(long)]
    out: Option<PathBuf>,
    /// How letters become bytes: utf-8-bom is UTF-8 as Excel knows it, cp932 is what is called Shift_JIS.
    #[arg(long, default_value = "utf-8")]
    encoding: Encoding,
    /// In which language the names of the columns are.
    #[arg(long, default_value = "en")]
    header: Header,
    #[command(flatten)]
    config: ConfigPath,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Encoding {
    #[value(name = "utf-8")]
    Utf8,
    #[value(name = "utf-8-bom")]
    Utf8Bom,
    Cp932,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Header {
    En,
    Ja,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    with_journal(&args.config, async |config, journal| {
        let days = Days::new(args.from, args.to.unwrap_or(args.from))?;
        let mut csv = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        csv.write_record(match args.header {
            Header::En => COLUMNS,
            Header::Ja => COLUMNS_JA,
        })?;
        let mut rows = 0_usize;
        for tenant in args.whose.tenants(config)? {
            let times = days.times(tenant)?;
            for entry in entries(&journal, tenant, None, args.whose.mode.into(), times).await? {
                csv.write_record(row(&entry, &tenant.time_zone))?;
                rows += 1;
            }
        }
        let text = String::from_utf8(csv.into_inner()?)?;
        let bytes = encoded(&text, args.encoding)?;
        match &args.out {
            None => std::io::stdout().write_all(&bytes)?,
            Some(file) => {
                let made = std::fs::File::options()
                    .write(true)
                    .create_new(true)
                    .open(file);
                let mut made = made.with_context(|| format!("{}", file.display()))?;
                made.write_all(&bytes).and_then(|()| made.sync_all())?;
                say!("{}: {rows} rows", file.display());
            }
        }
        Ok(Exit::Done)
    })
}

fn encoded(text: &str, encoding: Encoding) -> anyhow::Result<Vec<u8>> {
    match encoding {
        Encoding::Utf8 => Ok(text.as_bytes().to_vec()),
        Encoding::Utf8Bom => Ok(format!("\u{feff}{text}").into_bytes()),
        Encoding::Cp932 => {
            let (bytes, _, some_lost) = encoding_rs::SHIFT_JIS.encode(text);
            if some_lost {
                bail!("there is a letter that cp932 does not have: take --encoding utf-8-bom");
            }
            Ok(bytes.into_owned())
        }
    }
}
