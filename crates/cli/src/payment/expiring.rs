//! `ivrpay payment expiring`.

use std::process::ExitCode;

use ivrpay_api::{Expiring, ExpiringPayment};

use super::{From, amount, encode, money};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    from: From,
    /// How far ahead: days or hours, as 3d or 12h.
    #[arg(long, default_value = "3d", value_parser = hours)]
    within: u32,
    /// Only this merchant.
    #[arg(long)]
    tenant: Option<String>,
}

/// Hours of `3d` or `12h`; a year at most.
fn hours(text: &str) -> Result<u32, String> {
    let unit = |letter: char, hours: u32| {
        let number: u32 = text.strip_suffix(letter)?.parse().ok()?;
        number.checked_mul(hours)
    };
    unit('d', 24)
        .or_else(|| unit('h', 1))
        .filter(|hours| (1..=366 * 24).contains(hours))
        .ok_or_else(|| "days or hours, as 3d or 12h, a year at most".to_owned())
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let mut path = format!("/v1/payments/expiring?within_hours={}", args.within);
    if let Some(tenant) = &args.tenant {
        path.push_str(&format!("&tenant={}", encode(tenant)));
    }
    args.from.show(&path, None, show)
}

fn show(Expiring { payments }: Expiring) -> anyhow::Result<()> {
    if payments.is_empty() {
        say!("nothing that is reserved lapses until then");
        return Ok(());
    }
    say!(
        "{:<36}  {:<24}  {:>14}  {:<20}  connector",
        "id",
        "lapses",
        "amount",
        "order"
    );
    let mut unknown = Vec::new();
    for ExpiringPayment {
        lapses_at, payment, ..
    } in &payments
    {
        if lapses_at.is_none() && !unknown.contains(&&payment.connector) {
            unknown.push(&payment.connector);
        }
        say!(
            "{:<36}  {:<24}  {:>14}  {:<20}  {}",
            payment.id.to_string(),
            lapses_at.as_deref().unwrap_or("not known"),
            payment
                .reserved
                .map_or_else(|| amount(payment), |minor| money(minor, &payment.currency)),
            payment.order_id.as_deref().unwrap_or("-"),
            payment.connector
        );
    }
    for connector in unknown {
        say!(
            "hint: ask the acquirer of {connector} how long a reserved amount lives, and set [connectors.{connector}] authorisation_days"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::hours;

    #[test]
    fn days_and_hours() {
        for (text, expected) in [("3d", Some(72)), ("12h", Some(12)), ("366d", Some(8784))] {
            assert_eq!(hours(text).ok(), expected);
        }
        for wrong in ["", "d", "0h", "3", "3w", "367d", "-1d", "99999999999d"] {
            assert!(hours(wrong).is_err(), "{wrong}");
        }
    }
}
