//! Each acquirer's connector in a real call: the card is keyed and charged, stands in the acquirer's books, and is given back behind the
//! call; a charge whose answer was lost is found again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use ivrpay_tests::call::Call;
use ivrpay_tests::lab::{Lab, binary};
use ivrpay_tests::service::{Service, set};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::scenarios::{VISA, keys};
use crate::short;

/// As the simulated acquirers are called; the lab's 70N is the N-th.
const NAMES: [&str; 8] = [
    "gmo",
    "sbps",
    "veritrans",
    "kuroneko",
    "zeus",
    "stripe",
    "adyen",
    "hyperswitch",
];

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
    control: String,
    http: reqwest::Client,
    folder: PathBuf,
    service: Service,
}

async fn get(http: &reqwest::Client, url: &str) -> anyhow::Result<Value> {
    let text = http.get(url).send().await?.text().await?;
    serde_json::from_str(&text).with_context(|| format!("{url}: {text}"))
}

/// Writes what only the service may read.
fn secret(path: &PathBuf, text: &str) -> anyhow::Result<String> {
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(path.display().to_string())
}

impl<'a> Acquirers<'a> {
    /// A merchant for each, with what its simulator says that a client has to be told.
    async fn open(lab: &'a Lab) -> anyhow::Result<Self> {
        let ip = lab.get("ACQUIRER_IP")?.to_owned();
        let control = format!("http://{ip}:9480");
        let http = reqwest::Client::builder().no_proxy().build()?;
        let settings = get(&http, &format!("{control}/settings")).await?;
        let folder = lab.folder.join("acquirers");
        std::fs::create_dir_all(&folder)?;
        let mut connectors = Vec::new();
        for name in NAMES {
            let of = &settings[name];
            let mut table = toml::Table::new();
            set(&mut table, "kind", name);
            set(&mut table, "mode", "test");
            set(&mut table, "raw_pan", "contracted");
            set(&mut table, "url", format!("https://{ip}:9443/{name}"));
            let ca = lab.folder.join("acquirer-ca.pem");
            set(&mut table, "ca_file", ca.display().to_string());
            set(&mut table, "reply_timeout", "3s");
            for (key, value) in of["parameters"].as_object().context("no parameters")? {
                let value = value.as_str().unwrap_or_default();
                set(&mut table, &format!("parameters.{key}"), value);
            }
            for (key, value) in of["secrets"].as_object().context("no secrets")? {
                let value = value.as_str().unwrap_or_default();
                let file = || secret(&folder.join(format!("{name}-{key}")), value);
                match key.as_str() {
                    "basic_user" => set(&mut table, "user", value),
                    "basic_password" => set(&mut table, "password_file", file()?),
                    _ => set(&mut table, &format!("secrets.{key}"), file()?),
                }
            }
            connectors.push((name, table));
        }
        let mut api_keys = Vec::new();
        for number in 1..=NAMES.len() {
            let key = format!("key-of-acquirer-{number}");
            secret(&folder.join(format!("key-{number}")), &key)?;
            let hash = Sha256::digest(key.as_bytes());
            let hash: String = hash.iter().map(|b| format!("{b:02x}")).collect();
            api_keys.push((number, hash));
        }
        let service = Service::start(lab, "acquirers", true, |config| {
            short(config);
            for (name, table) in connectors {
                set(config, &format!("connectors.{name}"), table);
            }
            let tenants = config.get_mut("tenants").and_then(|t| t.as_array_mut());
            if let Some(tenants) = tenants
                && let Some(first) = tenants.first().cloned()
            {
                for (at, name) in NAMES.iter().enumerate() {
                    let mut tenant = first.clone();
                    if let Some(tenant) = tenant.as_table_mut() {
                        set(tenant, "name", format!("acquirer-{}", at + 1));
                        set(tenant, "connector", *name);
                    }
                    tenants.push(tenant);
                }
            }
            let http = config.get_mut("http").and_then(|h| h.as_table_mut());
            if let Some(keys) = http.and_then(|h| h.get_mut("keys")?.as_array_mut()) {
                for (number, hash) in api_keys {
                    let mut key = toml::Table::new();
                    set(&mut key, "name", format!("acquirer-{number}"));
                    set(&mut key, "tenant", format!("acquirer-{number}"));
                    set(&mut key, "sha256", hash);
                    let scopes = ["payments", "events"].map(toml::Value::from);
                    set(&mut key, "scopes", scopes.to_vec());
                    keys.push(key.into());
                }
            }
        })
        .await?;
        Ok(Self {
            lab,
            control,
            http,
            folder,
            service,
        })
    }

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
        let at = NAMES.iter().position(|n| *n == name).context("no such")? + 1;
        let mut call = Call::new(format!("70{at}{amount}"), keys(VISA, "1230", "123"));
        call.deaf = true;
        let events = format!("{}/v1/events", self.lab.get("API_URL")?);
        let key = self.folder.join(format!("key-{at}")).display().to_string();
        let report = call
            .with(&["--events", &events, "--key-file", &key])
            .place(self.lab)
            .await?;
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
        let books = get(&self.http, &format!("{}/log", self.control)).await?;
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
    let acquirers = Acquirers::open(lab).await?;
    let paid = NAMES.map(|name| acquirers.paid(name));
    let (paid, lost) = tokio::join!(
        futures_util::future::join_all(paid),
        acquirers.lost_and_found()
    );
    let wrong: Vec<_> = paid
        .into_iter()
        .chain([lost])
        .filter_map(Result::err)
        .map(|error| format!("{error:#}"))
        .collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}
