//! `[[twilio]]`: accounts by which a program may ask in Twilio's form.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ivrpay_web::{ApiKey, KeyHash};
use ivrpay_wire::{Callback, CallbackConfig, Network};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::config::{ConfigError, secret};

/// How long whoever is called back may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Where callbacks go where the settings name no port.
const PORT: u16 = 443;

/// `[[twilio]]`, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAccount {
    account_sid: String,
    auth_token_file: PathBuf,
    key: String,
    #[serde(default)]
    api_keys: BTreeMap<String, String>,
    #[serde(default)]
    prompts: bool,
    #[serde(default)]
    callback_networks: Vec<String>,
    callback_ports: Option<Vec<u16>>,
}

/// One account, checked.
#[derive(Debug, Clone)]
pub struct Account {
    /// `AC` and 32 hexadecimal digits.
    pub sid: String,
    /// A name of `[[http.keys]]`: whose tenant, scopes and limits are the account's.
    pub key: String,
    /// SHA-256 of its token.
    pub token: KeyHash,
    /// API keys by their sid, to names of `[[http.keys]]`.
    pub api_keys: BTreeMap<String, String>,
    /// The customer hears what he is to key.
    pub prompts: bool,
    /// Who sends its status callbacks.
    pub callback: Callback,
}

pub(crate) fn accounts_of(
    raw: Vec<RawAccount>,
    keys: &[ApiKey],
    folder: &Path,
) -> Result<Vec<Account>, ConfigError> {
    let mut accounts: Vec<Account> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let account = account(index, raw, keys, folder)?;
        if accounts.iter().any(|known| known.sid == account.sid) {
            let at = format!("twilio[{index}].account_sid");
            return Err(ConfigError::value(at, "two accounts have this sid"));
        }
        accounts.push(account);
    }
    Ok(accounts)
}

fn account(
    index: usize,
    raw: RawAccount,
    keys: &[ApiKey],
    folder: &Path,
) -> Result<Account, ConfigError> {
    let at = |key: &str| format!("twilio[{index}].{key}");
    if !is_sid("AC", &raw.account_sid) {
        return Err(ConfigError::value(
            at("account_sid"),
            "AC and 32 hexadecimal digits, made with: echo AC$(openssl rand -hex 16)",
        ));
    }
    let named = |key: &str, name: &str| {
        let mut of = keys.iter().filter(|known| known.name == name);
        match (of.next(), of.next()) {
            (Some(known), None) => Ok(&known.tenant),
            // Names are each merchant's own elsewhere: here one would get the other's.
            (Some(_), Some(_)) => Err(ConfigError::value(
                at(key),
                "two keys of [[http.keys]] have this name; give the one that is meant a name of its own",
            )),
            _ => Err(ConfigError::value(
                at(key),
                "there is no key of this name in [[http.keys]]",
            )),
        }
    };
    let tenant = named("key", &raw.key)?;
    for (sid, name) in &raw.api_keys {
        if !is_sid("SK", sid) {
            return Err(ConfigError::value(
                at("api_keys"),
                "each is SK and 32 hexadecimal digits, to a name of [[http.keys]]",
            ));
        }
        if named("api_keys", name)? != tenant {
            return Err(ConfigError::value(
                at("api_keys"),
                "the keys of one account are one tenant's",
            ));
        }
    }
    let networks = raw.callback_networks.iter().map(|text| {
        let address = text.parse::<IpAddr>().map(Network::from);
        address.or_else(|_| text.parse()).map_err(|_| {
            ConfigError::value(
                at("callback_networks"),
                "networks as 192.168.10.0/24 or fd00::/8, or addresses",
            )
        })
    });
    let ports = raw.callback_ports.unwrap_or_else(|| vec![PORT]);
    if ports.is_empty() || ports.len() > 16 || ports.contains(&0) {
        return Err(ConfigError::value(at("callback_ports"), "1 to 16 ports"));
    }
    let token = secret(&at("auth_token_file"), &folder.join(raw.auth_token_file))?;
    if token.expose_secret().len() < 32 {
        return Err(ConfigError::value(
            at("auth_token_file"),
            "a token of at least 32 characters, made with: openssl rand -hex 16",
        ));
    }
    let hash = KeyHash::of(token.expose_secret());
    let callback = Callback::new(CallbackConfig {
        token,
        networks: networks.collect::<Result<_, _>>()?,
        ports,
        timeout: TIMEOUT,
    });
    Ok(Account {
        sid: raw.account_sid,
        key: raw.key,
        token: hash,
        api_keys: raw.api_keys,
        prompts: raw.prompts,
        callback: callback
            .map_err(|error| ConfigError::value(at("callback_networks"), error.to_string()))?,
    })
}

fn is_sid(kind: &str, text: &str) -> bool {
    let hex = text.strip_prefix(kind);
    hex.is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}
