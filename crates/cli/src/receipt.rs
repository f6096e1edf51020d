//! `ivrpay receipt issue|list|show|print`: receipts (領収書), from the running service over its Unix socket.

use std::path::PathBuf;
use std::process::ExitCode;

use ivrpay_api::{IssueReceipt, Receipt, ReceiptKind, ReceiptLanguage, ReceiptLine, Receipts};

use crate::payment::{From, encode, fetch, json, write_new};
use crate::{Exit, fail, runtime};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Issue the receipt of a payment; once there is one, issue it again, which it then says.
    Issue {
        #[command(flatten)]
        from: From,
        /// The payment's id.
        payment: String,
        /// Of what was given back since (返還インボイス), instead of what was paid.
        #[arg(long)]
        r#return: bool,
        /// Who gets it (宛名).
        #[arg(long)]
        to: Option<String>,
        /// What it is for (但し書き); the merchant's default when absent.
        #[arg(long)]
        purpose: Option<String>,
        /// Something that was sold: its words, its amount with tax in minor units, and its tax in per cent, as "緑茶=1080@8"; again for each.
        #[arg(long, value_name = "WORDS=AMOUNT@RATE", value_parser = line)]
        line: Vec<ReceiptLine>,
        /// The day on which it was sold or delivered, as 2026-11-27, where that is not the day of the payment.
        #[arg(long, value_name = "DAY")]
        sold_on: Option<String>,
        /// ja or en; that of the call when absent.
        #[arg(long, value_parser = ["ja", "en"])]
        language: Option<String>,
        /// Who issues it.
        #[arg(long)]
        by: String,
    },
    /// What was issued of a payment.
    List {
        #[command(flatten)]
        from: From,
        /// The payment's id.
        payment: String,
    },
    /// One of them as text.
    Show {
        #[command(flatten)]
        from: From,
        /// The payment's id.
        payment: String,
        /// Its number.
        number: String,
    },
    /// One of them as a PDF file, as it was issued.
    Print {
        #[command(flatten)]
        from: From,
        /// The payment's id.
        payment: String,
        /// Its number.
        number: String,
        /// Which issue of it; the last when absent.
        #[arg(long)]
        issue: Option<u32>,
        /// Into this new file, which only its owner may read.
        #[arg(long, value_name = "FILE.pdf")]
        out: PathBuf,
    },
}

/// `緑茶=1080@8`.
fn line(text: &str) -> Result<ReceiptLine, String> {
    let wrong = || "as \"緑茶=1080@8\": words, amount with tax, per cent".to_owned();
    let (description, rest) = text.rsplit_once('=').ok_or_else(wrong)?;
    let (amount, rate) = rest.split_once('@').ok_or_else(wrong)?;
    Ok(ReceiptLine {
        description: description.to_owned(),
        amount: amount.parse().map_err(|_| wrong())?,
        rate: rate.to_owned(),
    })
}

pub(crate) fn run(command: Command) -> ExitCode {
    match command {
        Command::Issue {
            from,
            payment,
            r#return,
            to,
            purpose,
            line,
            sold_on,
            language,
            by,
        } => {
            let body = IssueReceipt {
                kind: if r#return {
                    ReceiptKind::Return
                } else {
                    ReceiptKind::Receipt
                },
                recipient: to,
                purpose,
                lines: line,
                sold_on,
                language: language.map(|language| match &*language {
                    "en" => ReceiptLanguage::En,
                    _ => ReceiptLanguage::Ja,
                }),
                by: Some(by),
            };
            let path = format!("/v1/payments/{}/receipts", encode(&payment));
            from.show(&path, Some(json(&body)), show)
        }
        Command::List { from, payment } => {
            let path = format!("/v1/payments/{}/receipts", encode(&payment));
            from.show(&path, None, list)
        }
        Command::Show {
            from,
            payment,
            number,
        } => from.show(&path(&payment, &number), None, show),
        Command::Print {
            from,
            payment,
            number,
            issue,
            out,
        } => {
            let socket = match from.socket_of_service() {
                Ok(socket) => socket,
                Err(code) => return code,
            };
            let issue = issue.map(|issue| format!("?issue={issue}"));
            let path = format!("{}{}", path(&payment, &number), issue.unwrap_or_default());
            let fetched = runtime()
                .and_then(|runtime| runtime.block_on(fetch(&socket, &path, "application/pdf")));
            match fetched.and_then(|bytes| write_new(&out, &bytes)) {
                Ok(()) => Exit::Done.into(),
                Err(error) => fail(&error),
            }
        }
    }
}

fn path(payment: &str, number: &str) -> String {
    format!(
        "/v1/payments/{}/receipts/{}",
        encode(payment),
        encode(number)
    )
}

fn show(receipt: Receipt) -> anyhow::Result<()> {
    say!("{}", receipt.text.trim_end());
    Ok(())
}

fn list(Receipts { receipts }: Receipts) -> anyhow::Result<()> {
    if receipts.is_empty() {
        say!("no receipts");
        return Ok(());
    }
    say!(
        "{:<20}  {:>5}  {:<8}  {:>12}  {:<10}  by",
        "number",
        "issue",
        "kind",
        "amount",
        "issued"
    );
    for r in &receipts {
        let kind = match r.kind {
            ReceiptKind::Receipt => "receipt",
            ReceiptKind::Return => "return",
        };
        let amount = crate::payment::money(r.amount, &r.currency);
        say!(
            "{:<20}  {:>5}  {kind:<8}  {amount:>12}  {:<10}  {}",
            r.number,
            r.issue,
            r.issued_on,
            r.by
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_line_is_words_amount_and_rate() {
        let tea = line("緑茶 a=b=1080@8").unwrap();
        assert_eq!(
            (&*tea.description, tea.amount, &*tea.rate),
            ("緑茶 a=b", 1080, "8")
        );
        assert_eq!(line("値引=-100@10").unwrap().amount, -100);
        for wrong in ["", "茶", "茶=1080", "茶@8=1080", "茶=千@8"] {
            assert!(line(wrong).is_err(), "{wrong}");
        }
    }
}
