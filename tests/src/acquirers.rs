//! Merchants of a lab, each with an acquirer of its own: the simulated ones that have a protocol of their own (`ivrpay-sim acquirer`).

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::call::Call;
use crate::lab::Lab;
use crate::service::set;

/// As the simulated acquirers are called; the lab's 70N is the N-th, whose merchant is `acquirer-N`.
pub const NAMES: [&str; 8] = [
    "gmo",
    "sbps",
    "veritrans",
    "kuroneko",
    "zeus",
    "stripe",
    "adyen",
    "hyperswitch",
];

/// What a service has to be told of them.
pub struct Merchants {
    /// Address of the simulator's control port.
    pub control: String,
    folder: PathBuf,
    connectors: Vec<(&'static str, toml::Table)>,
    api_keys: Vec<(usize, String)>,
}

/// Writes what only the service may read; says where.
///
/// # Errors
/// When the file can't be written.
pub fn secret(path: &Path, text: &str) -> anyhow::Result<String> {
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(path.display().to_string())
}

/// JSON of the control port.
///
/// # Errors
/// When it does not answer so.
pub async fn get(url: &str) -> anyhow::Result<Value> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let text = http.get(url).send().await?.text().await?;
    serde_json::from_str(&text).with_context(|| format!("{url}: {text}"))
}

/// The connectors of those that have a protocol of their own, as the simulator at this address says that they have to be told; with their
/// secrets in files of the folder.
///
/// # Errors
/// When it does not say so, or the files can't be written.
pub fn connectors(
    settings: &Value,
    folder: &Path,
    at: &str,
    ca: &Path,
) -> anyhow::Result<Vec<(&'static str, toml::Table)>> {
    let mut connectors = Vec::new();
    for name in NAMES {
        let of = &settings[name];
        let mut table = toml::Table::new();
        set(&mut table, "kind", name);
        set(&mut table, "mode", "test");
        set(&mut table, "raw_pan", "contracted");
        set(&mut table, "url", format!("{at}/{name}"));
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
    Ok(connectors)
}

/// Asks the control port for something.
///
/// # Errors
/// When it says no.
pub async fn ask(url: &str, body: &Value) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let answer = http.post(url).body(body.to_string()).send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    anyhow::ensure!(status == 200, "{url}: {body} answered {status}: {text}");
    Ok(())
}

impl Merchants {
    fn number(name: &str) -> anyhow::Result<usize> {
        let at = NAMES.iter().position(|n| *n == name);
        Ok(at.context("no such acquirer")? + 1)
    }

    /// The API key of this acquirer's merchant.
    ///
    /// # Errors
    /// When there is no such acquirer.
    pub fn key(name: &str) -> anyhow::Result<String> {
        Ok(format!("key-of-acquirer-{}", Self::number(name)?))
    }

    /// Asks the simulator what a client has to be told, and writes the secrets.
    ///
    /// # Errors
    /// When it does not say so.
    pub async fn of(lab: &Lab) -> anyhow::Result<Self> {
        let ip = lab.get("ACQUIRER_IP")?.to_owned();
        let control = format!("http://{ip}:9480");
        let settings = get(&format!("{control}/settings")).await?;
        let folder = lab.folder.join("acquirers");
        std::fs::create_dir_all(&folder)?;
        let ca = lab.folder.join("acquirer-ca.pem");
        let at = format!("https://{ip}:9443");
        let connectors = connectors(&settings, &folder, &at, &ca)?;
        let mut api_keys = Vec::new();
        for number in 1..=NAMES.len() {
            let key = format!("key-of-acquirer-{number}");
            secret(&folder.join(format!("key-{number}")), &key)?;
            let hash = Sha256::digest(key.as_bytes());
            let hash: String = hash.iter().map(|b| format!("{b:02x}")).collect();
            api_keys.push((number, hash));
        }
        Ok(Self {
            control,
            folder,
            connectors,
            api_keys,
        })
    }

    /// Adds connectors, merchants and their API keys to the lab's configuration.
    pub fn configure(&self, config: &mut toml::Table) {
        for (name, table) in &self.connectors {
            set(config, &format!("connectors.{name}"), table.clone());
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
                    if *name == "kuroneko" {
                        // It has a code for no other.
                        let brands = ["visa", "mastercard", "jcb", "amex", "diners-club"];
                        let brands: Vec<toml::Value> = brands.map(toml::Value::from).into();
                        set(tenant, "valid_card_types", brands);
                    }
                }
                tenants.push(tenant);
            }
        }
        let http = config.get_mut("http").and_then(|h| h.as_table_mut());
        if let Some(keys) = http.and_then(|h| h.get_mut("keys")?.as_array_mut()) {
            for (number, hash) in &self.api_keys {
                let mut key = toml::Table::new();
                set(&mut key, "name", format!("acquirer-{number}"));
                set(&mut key, "tenant", format!("acquirer-{number}"));
                set(&mut key, "sha256", hash.clone());
                let scopes = ["payments", "events"].map(toml::Value::from);
                set(&mut key, "scopes", scopes.to_vec());
                keys.push(key.into());
            }
        }
    }

    /// A call in which `amount` yen are paid at this acquirer.
    ///
    /// # Errors
    /// When the lab is not up.
    pub fn call(&self, lab: &Lab, name: &str, amount: u64, keys: String) -> anyhow::Result<Call> {
        self.dials(lab, name, "70", &amount.to_string(), keys)
    }

    /// A call to `PREFIX`, number of the acquirer's merchant, `rest`.
    ///
    /// # Errors
    /// When the lab is not up.
    pub fn dials(
        &self,
        lab: &Lab,
        name: &str,
        prefix: &str,
        rest: &str,
        keys: String,
    ) -> anyhow::Result<Call> {
        let at = Self::number(name)?;
        let mut call = Call::new(format!("{prefix}{at}{rest}"), keys);
        // An API key sees its own merchant's calls alone.
        call.deaf = true;
        let events = format!("{}/v1/events", lab.get("API_URL")?);
        let key = self.folder.join(format!("key-{at}")).display().to_string();
        Ok(call.with(&["--events", &events, "--key-file", &key]))
    }
}
