//! Two acquirers: the second is asked where the first is not reached, and never where the first has seen a byte.

use anyhow::{Context as _, ensure};
use ivrpay_tests::acquirers::{Merchants, get};
use ivrpay_tests::lab::Lab;
use ivrpay_tests::service::{Service, set};
use serde_json::Value;

use crate::scenarios::{VISA, keys};
use crate::short;

/// A port of the acquirers' host at which nothing listens.
const CLOSED: &str = ":9449/";

struct Routes<'a> {
    lab: &'a Lab,
    merchants: Merchants,
    service: Service,
}

impl Routes<'_> {
    async fn payment(&self, args: &[&str]) -> anyhow::Result<(Value, String)> {
        let arguments = [&["payment"], args].concat();
        let (json, said, _) = self.service.cli(&arguments).await?;
        Ok((json, said))
    }

    /// Pays as the merchant of this acquirer; the payment.
    async fn pays(&self, merchant: &str, amount: u64, result: &str) -> anyhow::Result<Value> {
        let keys = keys(VISA, "1230", "123");
        let call = self.merchants.call(self.lab, merchant, amount, keys)?;
        let report = call.place(self.lab).await?;
        ensure!(
            report.result == result,
            "{amount}: the call ended with {}, {}",
            report.result,
            report.way()
        );
        let id = report.payment_id.context("no payment")?;
        Ok(self.payment(&["show", &id]).await?.0)
    }

    /// Orders that an acquirer has in its books.
    async fn orders(&self, name: &str) -> anyhow::Result<usize> {
        let books = get(&format!("{}/log", self.merchants.control)).await?;
        let orders = &books["acquirers"][name]["orders"];
        Ok(orders.as_array().context("no orders")?.len())
    }

    async fn not_reached(&self) -> anyhow::Result<()> {
        let before = (self.orders("gmo").await?, self.orders("stripe").await?);
        let payment = self.pays("gmo", 1500, "success").await?;
        ensure!(
            payment["state"] == "approved" && payment["connector"] == "gmo",
            "{payment}"
        );
        let after = (self.orders("gmo").await?, self.orders("stripe").await?);
        ensure!(
            after == (before.0 + 1, before.1),
            "the books had {before:?} orders, and have {after:?}"
        );
        // What is done behind the call goes to the one that was asked. A part is given back once, though it is asked for twice.
        let id = payment["id"].as_str().unwrap_or_default();
        for round in 1..=2 {
            let (back, said) = self
                .payment(&["refund", id, "--amount", "400", "--by", "mori"])
                .await?;
            ensure!(
                back["payment"]["refunded"] == 400 && back["operation"]["connector"] == "gmo",
                "round {round}: {said}"
            );
        }
        Ok(())
    }

    /// The same by a file: judged before anything is asked, and run again without doing anything again.
    async fn by_a_file(&self) -> anyhow::Result<()> {
        let payment = self.pays("gmo", 1300, "success").await?;
        let id = payment["id"].as_str().unwrap_or_default();
        let file = self.service.folder.join("refunds.csv");
        let path = file.display().to_string();
        let refunded = async || {
            let (payment, said) = self.payment(&["show", id]).await?;
            payment["refunded"].as_u64().context(said)
        };
        let args = ["refund", "--file", &path, "--by", "mori"];
        let dry = [&args[..], &["--dry-run"]].concat();
        for (rows, args, says, left) in [
            (
                format!("{id},300,a\n{id},1001,b"),
                &dry[..],
                "with the lines before it",
                0,
            ),
            (
                format!("{id},300,a\n{id},1001,b"),
                &args[..],
                "nothing was",
                0,
            ),
            (
                format!("{id},300,a\n{id},300,b"),
                &dry[..],
                "would be asked for",
                0,
            ),
            (format!("{id},300,a\n{id},300,b"), &args[..], "done", 600),
            (
                format!("{id},300,a\n{id},300,b"),
                &args[..],
                "was done before",
                600,
            ),
        ] {
            std::fs::write(&file, format!("id,amount,key\n{rows}\n"))?;
            let (_, said) = self.payment(args).await?;
            ensure!(said.contains(says), "{args:?} said {said}");
            ensure!(refunded().await? == left, "after {args:?}: {said}");
        }
        Ok(())
    }

    async fn seen(&self) -> anyhow::Result<()> {
        let before = self.orders("stripe").await?;
        let payment = self.pays("sbps", 9003, "outcome-unknown").await?;
        ensure!(
            // By then the service may have asked what became of it.
            (payment["state"] == "unknown" || payment["state"] == "approved")
                && payment["connector"] == "gmo",
            "{payment}"
        );
        let after = self.orders("stripe").await?;
        ensure!(
            after == before,
            "the second acquirer has {after} orders, and had {before}"
        );
        Ok(())
    }
}

/// Of the merchants of the lab one has a first connector that nobody is at, and one a second behind a first that answers.
pub(crate) async fn two(lab: &Lab) -> anyhow::Result<()> {
    let merchants = Merchants::of(lab).await?;
    let mut wired = false;
    let service = Service::start(lab, "routes", true, |config| {
        short(config);
        merchants.configure(config);
        wired = wire(config).is_some();
    })
    .await?;
    ensure!(wired, "the lab's configuration has no such connectors");
    let routes = Routes {
        lab,
        merchants,
        service,
    };
    routes.not_reached().await?;
    routes.by_a_file().await?;
    routes.seen().await
}

fn wire(config: &mut toml::Table) -> Option<()> {
    let mut away = config.get("connectors")?.get("stripe")?.as_table()?.clone();
    let url = away.get("url")?.as_str()?.replace(":9443/", CLOSED);
    set(&mut away, "url", url);
    set(config, "connectors.away", away);
    let tenants = config.get_mut("tenants")?.as_array_mut()?;
    for tenant in tenants.iter_mut().filter_map(toml::Value::as_table_mut) {
        let (connector, fallback) = match tenant.get("name")?.as_str()? {
            "acquirer-1" => ("away", "gmo"),
            "acquirer-2" => ("gmo", "stripe"),
            _ => continue,
        };
        tenant.remove("connector")?;
        let mut amex = toml::Table::new();
        set(&mut amex, "connector", "stripe");
        set(&mut amex, "brands", vec![toml::Value::from("amex")]);
        let mut every = toml::Table::new();
        set(&mut every, "connector", connector);
        set(&mut every, "fallback", vec![toml::Value::from(fallback)]);
        set(
            tenant,
            "routes",
            vec![toml::Value::from(amex), every.into()],
        );
    }
    Some(())
}
