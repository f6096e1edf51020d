//! `ivrpay journal close`.

use std::process::ExitCode;

use ivrpay_ledger::close::{Sum, Sums, close};
use ivrpay_ledger::decimal;
use ivrpay_payment::Currency;
use jiff::civil::Date;
use serde_json::json;

use super::days::{Days, Whose, entries, yesterday};
use super::with_journal;
use crate::{ConfigPath, Exit};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The day, as 2026-11-26; yesterday at the merchant's place when absent.
    day: Option<Date>,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    config: ConfigPath,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    with_journal(&args.config, async |config, journal| {
        for tenant in args.whose.tenants(config)? {
            let day = match args.day {
                Some(day) => day,
                None => yesterday(tenant)?,
            };
            let mode = args.whose.mode.into();
            let times = Days::new(day, day)?.times(tenant)?;
            let entries = entries(&journal, tenant, None, mode, times).await?;
            let closing = close(&entries);
            let unknown = journal.unknown(Some(&tenant.id), mode).await?;
            // A day that is not over, or that knows of something open, is no last word.
            let is_over = times.1 <= jiff::Timestamp::now();
            let name = tenant.id.as_str();
            if args.json {
                for (whose, sums) in &closing.rows {
                    say!(
                        "{}",
                        json!({"day": day.to_string(), "whose": whose, "sums": sums})
                    );
                }
                for ((tenant, currency), sums) in &closing.totals {
                    say!(
                        "{}",
                        json!({
                            "day": day.to_string(), "total": tenant, "currency": currency, "sums": sums, "over": is_over,
                            "unknown_now": unknown,
                        })
                    );
                }
                continue;
            }
            let zone = tenant.time_zone.iana_name().unwrap_or("UTC");
            let note = if is_over { "" } else { "; the day is not over" };
            say!("{name}  {day}  {zone}{note}");
            say!(
                "  {:<16}  {:<16}  {:>18}  {:>18}  {:>18}  {:>18}  {:>14}",
                "site",
                "operator",
                "sales",
                "refunds",
                "voids",
                "authorised",
                "net"
            );
            for (whose, sums) in &closing.rows {
                let (site, operator) = (whose.site.as_deref(), whose.operator.as_deref());
                line(
                    site.unwrap_or("-"),
                    operator.unwrap_or("-"),
                    sums,
                    &whose.currency,
                )?;
            }
            for ((_, currency), sums) in &closing.totals {
                line("total", currency, sums, currency)?;
            }
            if closing.rows.is_empty() {
                say!("  nothing was approved");
            }
            if unknown > 0 {
                say!(
                    "  {unknown} unknown now: they count on the day on which they are found out (`ivrpay task list`)"
                );
            }
        }
        Ok(Exit::Done)
    })
}

fn line(site: &str, operator: &str, sums: &Sums, currency: &str) -> anyhow::Result<()> {
    let currency: Currency = currency.parse()?;
    let sum = |sum: Sum| format!("{} × {}", sum.count, decimal(sum.minor, currency));
    say!(
        "  {site:<16}  {operator:<16}  {:>18}  {:>18}  {:>18}  {:>18}  {:>14}",
        sum(sums.sales),
        sum(sums.refunds),
        sum(sums.voids),
        sum(sums.authorisations),
        decimal(sums.net_minor, currency)
    );
    Ok(())
}
