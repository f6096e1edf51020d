//! Who asks in Twilio's form: HTTP Basic, an account and its token, or an API key and its secret.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Web;
use crate::auth::{ApiKey, KeyHash};
use crate::twilio::fault::Fault;

/// One `[[twilio]]`.
#[derive(Debug, Clone)]
pub struct TwilioAccount {
    /// `AC` and 32 hexadecimal digits.
    pub sid: String,
    /// The name of the key of `[[http.keys]]` whose tenant, scopes and limits are the account's.
    pub key: String,
    /// SHA-256 of the account's token.
    pub token: KeyHash,
    /// API keys: `SK` and 32 hexadecimal digits, to a name of `[[http.keys]]`, whose key is the secret.
    pub api_keys: BTreeMap<String, String>,
}

/// Whose account it is: the key by whose tenant, scopes and limits it asks.
pub(super) fn account(web: &Web, headers: &HeaderMap, sid: &str) -> Result<ApiKey, Fault> {
    let (user, password) = basic(headers).ok_or_else(Fault::unauthorized)?;
    let mut accounts = web.twilio.accounts.iter();
    let account = accounts.find(|account| account.sid == sid);
    let account = account.ok_or_else(Fault::unauthorized)?;
    let key = if user == account.sid {
        account
            .token
            .is_of(&password)
            .then(|| web.keys.named(&account.key))
            .flatten()
    } else {
        let name = account.api_keys.get(&user);
        name.and_then(|name| web.keys.named(name))
            .filter(|key| key.hash.is_of(&password))
    };
    key.cloned().ok_or_else(Fault::unauthorized)
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, coded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(coded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
