//! `ivrpay reconcile`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use ivrpay_journal::looks_like_card;
use ivrpay_ledger::reconcile::{Reconciled, reconcile};
use ivrpay_ledger::settlement::{BUILT_IN, Encoding, Kind, Map, Read, Reader, Settled, built_in};
use ivrpay_ledger::{Entry, decimal};
use ivrpay_payment::Currency;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use crate::csv_quotes::{Fields, Wrong, quotes};
use crate::journal::days::{Days, Whose, entries};
use crate::journal::opened;
use crate::{ConfigPath, Exit, fail, load, runtime};

/// Longest file, bytes.
const BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How many days before the first one a row may be about: refunds come late.
const BEFORE_DAYS: i64 = 400;
/// Lines that can't be read, of which each is named.
const BAD_MAX: usize = 20;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The acquirer's settlement file, CSV with a header line.
    file: PathBuf,
    /// The connector whose acquirer it is from.
    #[arg(long)]
    connector: String,
    /// How its columns are read: a map that comes along (adyen, ivrpay, stripe), or a file; the connector's kind when absent.
    #[arg(long)]
    map: Option<String>,
    /// The first day that the file is of, as 2026-11-01.
    #[arg(long)]
    from: Date,
    /// The last day, itself in it; the first one when absent.
    #[arg(long)]
    to: Option<Date>,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    config: ConfigPath,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let config = match load(&args.config.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let done = runtime().and_then(|runtime| {
        runtime.block_on(async {
            let connector = config.connectors.get(&args.connector);
            let Some(connector) = connector else {
                let known: Vec<_> = config.connectors.keys().map(String::as_str).collect();
                let name = &args.connector;
                bail!(
                    "there is no connector {name}; there are {}",
                    known.join(", ")
                );
            };
            let map = map(args.map.as_deref().unwrap_or(connector.kind.name()))?;
            let days = Days::new(args.from, args.to.unwrap_or(args.from))?;
            let journal = opened(&config.journal_at).await?;
            let mut all = Vec::new();
            let mut periods = Vec::new();
            let tenants = args.whose.tenants(&config)?;
            for tenant in &tenants {
                let (from, to) = days.times(tenant)?;
                let early = from.checked_sub((BEFORE_DAYS * 24).hours())?;
                // A row may be of a day that is over here and not there.
                let late = to.checked_add(48.hours())?;
                let of = Some(args.connector.as_str());
                let mode = args.whose.mode.into();
                all.extend(entries(&journal, tenant, of, mode, (early, late)).await?);
                periods.push((tenant.id.clone(), from, to));
            }
            all.sort_by_key(|entry| (entry.at, entry.operation));
            let currency = tenants
                .first()
                .map_or(Currency::Jpy, |tenant| tenant.currency);
            if map.columns.currency.is_none() && tenants.iter().any(|t| t.currency != currency) {
                bail!("the map names no column of the currency, and the merchants have different ones: take --tenant");
            }
            let rows = rows(&args.file, &map, currency)?;
            let expected = |entry: &Entry| {
                periods
                    .iter()
                    .any(|(tenant, from, to): &(_, Timestamp, Timestamp)| {
                        *tenant == entry.tenant && (*from..*to).contains(&entry.at)
                    })
            };
            let done = reconcile(&rows.settled, &all, expected);
            show(&done, &rows, args.json);
            Ok(if done.is_even() {
                Exit::Done
            } else {
                Exit::Failed
            })
        })
    });
    match done {
        Ok(exit) => exit.into(),
        Err(error) => fail(&error),
    }
}

fn map(name: &str) -> anyhow::Result<Map> {
    if let Some(map) = built_in(name) {
        return Ok(map);
    }
    let text = std::fs::read_to_string(name).with_context(|| {
        format!(
            "--map {name}: no map of that name comes along ({}), and the file can't be read",
            BUILT_IN.join(", ")
        )
    })?;
    toml::from_str(&text).with_context(|| format!("--map {name}"))
}

/// A file that was read.
struct Rows {
    settled: Vec<Settled>,
    /// Kinds that are no sales and no refunds, and how many.
    others: std::collections::BTreeMap<String, usize>,
}

fn rows(file: &Path, map: &Map, currency: Currency) -> anyhow::Result<Rows> {
    let at = || format!("{}", file.display());
    let meta = std::fs::metadata(file).with_context(at)?;
    if !meta.is_file() || meta.len() > BYTES_MAX {
        bail!("{}: is no file of at most {BYTES_MAX} bytes", at());
    }
    let bytes = std::fs::read(file).with_context(at)?;
    let text = match map.encoding {
        Encoding::Utf8 => String::from_utf8(bytes).map_err(|_| {
            anyhow::anyhow!(
                "{}: is not UTF-8; the map may say encoding = \"cp932\"",
                at()
            )
        })?,
        Encoding::Cp932 => {
            let (text, _, wrong) = encoding_rs::SHIFT_JIS.decode(&bytes);
            if wrong {
                bail!("{}: is not cp932", at());
            }
            text.into_owned()
        }
    };
    // Windows writes this mark before UTF-8.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let skipped: usize = text
        .split_inclusive('\n')
        .take(map.skip_lines)
        .map(str::len)
        .sum();
    let text = text.get(skipped..).unwrap_or_default();
    let delimiter = u8::try_from(map.delimiter).context("delimiter: one ASCII character")?;
    if let Err(Wrong { line, why }) = quotes(text, map.delimiter, Fields::MayGoOn) {
        let line = line.saturating_add(u64::try_from(map.skip_lines)?);
        bail!("{}: nothing was compared\nline {line}: {why}", at());
    }
    let mut csv = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .from_reader(text.as_bytes());
    let header = csv.headers().with_context(at)?.clone();
    let reader = Reader::new(map, header.iter()).with_context(at)?;
    let mut read = Rows {
        settled: Vec::new(),
        others: std::collections::BTreeMap::new(),
    };
    let mut bad = Vec::new();
    for record in csv.records() {
        let record = record.with_context(at)?;
        let line = record.position().map_or(0, csv::Position::line);
        let line = line.saturating_add(u64::try_from(map.skip_lines)?);
        let fields: Vec<&str> = record.iter().collect();
        // One field more or less, and each behind it would be another one.
        if fields.len() != header.len() {
            bad.push(format!(
                "line {line}: has {} fields and the header line {}",
                fields.len(),
                header.len()
            ));
            continue;
        }
        match reader.read(line, &fields, currency) {
            Ok(Read::Settled(settled)) => read.settled.push(settled),
            Ok(Read::Other(kind)) => *read.others.entry(plain(&kind)).or_default() += 1,
            Err(error) => bad.push(format!("line {line}: {error}")),
        }
    }
    // Half a file that was compared would look like a whole one.
    if !bad.is_empty() {
        let more = bad.len().saturating_sub(BAD_MAX);
        bad.truncate(BAD_MAX);
        let more = if more > 0 {
            format!("\nand {more} more")
        } else {
            String::new()
        };
        bail!("{}: nothing was compared\n{}{more}", at(), bad.join("\n"));
    }
    Ok(read)
}

/// A word of the file, for a person: what could be a card number in it is not shown.
fn plain(text: &str) -> String {
    if looks_like_card(text) || text.chars().any(char::is_control) {
        "(not shown)".to_owned()
    } else {
        text.chars().take(60).collect()
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Sale => "sale",
        Kind::Refund => "refund",
    }
}

fn of_row(row: &Settled) -> Value {
    let key = row.order.as_deref().or(row.reference.as_deref());
    json!({
        "line": row.line, "key": key.map(plain), "kind": kind(row.kind), "amount_minor": row.minor, "currency": row.currency.code(),
    })
}

fn of_entry(entry: &Entry) -> Value {
    json!({
        "payment": entry.payment, "order_id": entry.order, "kind": entry.kind.name(), "moved_minor": entry.moved(),
        "currency": entry.amount.currency().code(), "at": entry.at.to_string(), "acquirer_order": entry.acquirer_order,
    })
}

fn row_text(row: &Settled) -> String {
    let key = row.order.as_deref().or(row.reference.as_deref()).map(plain);
    let minor = i64::try_from(row.minor).unwrap_or(i64::MAX);
    format!(
        "line {}, {}: {} of {} {}",
        row.line,
        key.unwrap_or_default(),
        kind(row.kind),
        decimal(minor, row.currency),
        row.currency
    )
}

fn entry_text(entry: &Entry) -> String {
    let currency = entry.amount.currency();
    format!(
        "{} of {} {currency}, {}, payment {}",
        entry.kind.name(),
        decimal(entry.moved(), currency),
        entry.at,
        entry.payment
    )
}

fn show(done: &Reconciled<'_>, rows: &Rows, json: bool) {
    let counts = [
        ("matched", done.matched.len()),
        ("different", done.different.len()),
        ("missing_here", done.missing_here.len()),
        ("missing_there", done.missing_there.len()),
        ("cancelled", done.cancelled.len()),
    ];
    if json {
        for (row, here) in &done.different {
            let here: Vec<_> = here.iter().map(|entry| of_entry(entry)).collect();
            say!(
                "{}",
                json!({"is": "different", "there": of_row(row), "here": here})
            );
        }
        for row in &done.missing_here {
            say!("{}", json!({"is": "missing-here", "there": of_row(row)}));
        }
        for entry in &done.missing_there {
            say!(
                "{}",
                json!({"is": "missing-there", "here": of_entry(entry)})
            );
        }
        let counts: serde_json::Map<_, _> = counts
            .into_iter()
            .map(|(name, n)| (name.to_owned(), n.into()))
            .collect();
        say!(
            "{}",
            json!({"is": "sum", "counts": counts, "other_kinds": rows.others, "even": done.is_even()})
        );
        return;
    }
    for (row, here) in &done.different {
        say!("DIFFERENT  {}", row_text(row));
        for entry in here {
            say!("           here: {}", entry_text(entry));
        }
        if here.is_empty() {
            say!("           here: no {} of that payment", kind(row.kind));
        }
    }
    for row in &done.missing_here {
        say!("MISSING HERE  {}", row_text(row));
    }
    for entry in &done.missing_there {
        say!("MISSING THERE  {}", entry_text(entry));
    }
    for (kind, count) in &rows.others {
        say!("not compared: {count} of kind {kind}");
    }
    let [
        (_, matched),
        (_, different),
        (_, here),
        (_, there),
        (_, cancelled),
    ] = counts;
    say!(
        "{matched} matched, {different} different, {here} missing here, {there} missing there, {cancelled} cancelled before settlement: {}",
        if done.is_even() { "even" } else { "NOT EVEN" }
    );
}
