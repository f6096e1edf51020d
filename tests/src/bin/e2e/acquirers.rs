//! Each acquirer's connector in a real call: the card is keyed and charged, stands in the acquirer's books, and is given back behind the
//! call; a charge whose answer was lost is found again. And `ivrpay connector test` against each.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, ensure};
use ivrpay_tests::acquirers::{Merchants, NAMES, get};
use ivrpay_tests::lab::{Lab, binary};
use ivrpay_tests::service::Service;
use serde_json::{Value, json};

use crate::scenarios::{VISA, keys};
use crate::short;

/// What the acquirer of one of them does behind a charge.
fn given_back(name: &str) -> &'static str {
    match name {
        // It says "received" alone; what became of it comes by webhook.
        "adyen" => "unknown",
        _ => "approved",
    }
}

struct Acquirers<'a> {
    lab: &'a Lab,
    merchants: Merchants,
    service: Service,
}

impl Acquirers<'_> {
    /// `ivrpay payment OPERATION ID`, as JSON; what it says otherwise.
    async fn payment(&self, operation: &str, id: &str) -> anyhow::Result<Value> {
        let mut command = tokio::process::Command::new(binary("ivrpay")?);
        command.args(["payment", operation, id, "--json", "--config"]);
        command.arg(self.service.folder.join("ivrpay.toml"));
        if operation != "show" {
            command.args(["--by", "mori"]);
        }
        let output = command.output().await?;
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).with_context(|| {
            format!(
                "`ivrpay payment {operation}` said {text}{}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }

    /// A call that pays `amount` yen at the acquirer; the payment.
    async fn pays(&self, name: &str, amount: u64, result: &str) -> anyhow::Result<String> {
        let keys = keys(VISA, "1230", "123");
        let call = self.merchants.call(self.lab, name, amount, keys)?;
        let report = call.place(self.lab).await?;
        ensure!(
            report.result == result,
            "{name}: the call ended with {}, {}",
            report.result,
            report.way()
        );
        report
            .payment_id
            .with_context(|| format!("{name}: no payment"))
    }

    /// Paid in a call, in the books of both, and given back.
    async fn paid(&self, name: &str) -> anyhow::Result<()> {
        let id = self.pays(name, 1500, "success").await?;
        let payment = self.payment("show", &id).await?;
        ensure!(
            payment["state"] == "approved" && payment["captured"] == 1500,
            "{name}: {payment}"
        );
        let back = self.payment("refund", &id).await?;
        ensure!(
            back["operation"]["state"] == given_back(name),
            "{name}: the refund is {back}"
        );
        let order = &back["operation"]["acquirer_order"];
        let books = get(&format!("{}/log", self.merchants.control)).await?;
        let of = &books["acquirers"][name];
        let text = order.as_str().unwrap_or_default();
        let found = of["orders"].as_array().context("no orders")?;
        let found = found.iter().find(|o| {
            o["order"]
                .as_str()
                .is_some_and(|number| number.contains(text))
        });
        ensure!(
            found.is_some_and(|o| o["amount"] == 1500 || o["booked"] == false),
            "{name}: order {text} is {found:?} in {of}"
        );
        ensure!(
            of["wrong"] == json!([]),
            "{name} refused as wrong: {}",
            of["wrong"]
        );
        Ok(())
    }

    /// `ivrpay connector test`: all green, nothing left behind.
    async fn tested(&self, name: &str) -> anyhow::Result<()> {
        let cards = self.service.folder.join(format!("cards-{name}"));
        // Adyen's test system has one date for all.
        let date = if name == "adyen" { "0330" } else { "1230" };
        let text = format!("approved {VISA} {date} 123\ndeclined 4000000000000002 {date} 123\n");
        std::fs::write(&cards, text)?;
        std::fs::set_permissions(&cards, std::fs::Permissions::from_mode(0o600))?;
        let mut command = tokio::process::Command::new(binary("ivrpay")?);
        command.args(["connector", "test", name, "--json", "--card-file"]);
        command.arg(cards).arg("--config");
        command.arg(self.service.folder.join("ivrpay.toml"));
        let output = command.output().await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let report: Value = serde_json::from_str(&text).with_context(|| {
            format!("{name}: {text}{}", String::from_utf8_lossy(&output.stderr))
        })?;
        let cases = report["cases"].as_array().context("no cases")?;
        let failed: Vec<_> = cases.iter().filter(|c| c["result"] == "failed").collect();
        let tried = cases.iter().filter(|c| c["result"] == "ok").count();
        ensure!(
            output.status.success() && report["good"] == true && failed.is_empty() && tried >= 6,
            "{name}: {tried} cases ok, failed {failed:?}, left {}",
            report["left"]
        );
        ensure!(report["left"] == json!([]), "{name}: {}", report["left"]);
        Ok(())
    }

    /// The acquirer books and does not answer: the caller hears that it is being checked, and an inquiry finds it.
    async fn lost_and_found(&self) -> anyhow::Result<()> {
        let id = self.pays("gmo", 9003, "outcome-unknown").await?;
        let unknown = self.payment("show", &id).await?;
        ensure!(unknown["state"] == "unknown", "{unknown}");
        let found = self.payment("inquire", &id).await?;
        ensure!(
            found["operations"][0]["state"] == "approved"
                && found["payment"]["state"] == "approved",
            "{found}"
        );
        let nothing = self.payment("inquire", &id).await?;
        ensure!(nothing["operations"] == json!([]), "{nothing}");
        let back = self.payment("void", &id).await?;
        ensure!(back["payment"]["state"] == "voided", "{back}");
        Ok(())
    }
}

/// All of them at once, on one service.
pub(crate) async fn all(lab: &Lab) -> anyhow::Result<()> {
    let merchants = Merchants::of(lab).await?;
    let service = Service::start(lab, "acquirers", true, |config| {
        short(config);
        merchants.configure(config);
    })
    .await?;
    let acquirers = Acquirers {
        lab,
        merchants,
        service,
    };
    let paid = NAMES.map(|name| acquirers.paid(name));
    let (paid, lost) = tokio::join!(
        futures_util::future::join_all(paid),
        acquirers.lost_and_found()
    );
    let tested = NAMES.map(|name| acquirers.tested(name));
    let tested = futures_util::future::join_all(tested).await;
    let wrong: Vec<_> = paid
        .into_iter()
        .chain([lost])
        .chain(tested)
        .filter_map(Result::err)
        .map(|error| format!("{error:#}"))
        .collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}
