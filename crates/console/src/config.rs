//! `/etc/ivrpay/console.toml`: where the console listens, and whose pages it shows.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::words::Lang;

/// The settings; unknown names are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port of the pages.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Language of whoever has not said another.
    #[serde(default)]
    pub language: Lang,
    /// In which zone times are shown; this machine's when absent.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Minutes without a key or a click after which a person has to sign in again.
    #[serde(default = "default_idle")]
    pub idle_minutes: u8,
    /// The API.
    pub api: Api,
    /// Certificate and key; needed unless `listen` is this machine alone.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Who may show the console inside a page of theirs.
    #[serde(default)]
    pub embed: Embed,
}

/// `[api]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Its address, without a path.
    pub address: String,
    /// PEM file of whoever has signed its certificate; the system's when absent.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// `[tls]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file: the certificate, and those between it and the root.
    pub certificate: PathBuf,
    /// PEM file: its key.
    pub key: PathBuf,
}

/// `[embed]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embed {
    /// `https://HOST` of pages that may show the console in a frame.
    #[serde(default)]
    pub origins: Vec<String>,
    /// They are of another site (another registered domain), where browsers send no strict cookie.
    #[serde(default)]
    pub cross_site: bool,
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 9490))
}

const fn default_idle() -> u8 {
    IDLE_MAX
}

/// PCI DSS v4.0.1, 8.2.8.
const IDLE_MAX: u8 = 15;

/// Settings that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not there, or not ours to read.
    #[error("{0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// No TOML, an unknown name, a value of another kind.
    #[error("{0}: {1}")]
    Parse(PathBuf, Box<toml::de::Error>),
    /// A value that can't be used.
    #[error("{0}: {1}")]
    Value(PathBuf, String),
}

impl ConfigError {
    /// What an admin should do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Read(..) => {
                "copy asterisk-conf/console.sample.toml there, readable for the console's user, or name another file with --config"
            }
            Self::Parse(..) => "asterisk-conf/console.sample.toml has every setting",
            Self::Value(..) => "change it as the message says",
        }
    }
}

impl Config {
    /// Reads and judges a file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read(path.to_owned(), error))?;
        let config: Self = toml::from_str(&text)
            .map_err(|error| ConfigError::Parse(path.to_owned(), Box::new(error)))?;
        match config.wrong() {
            None => Ok(config),
            Some(why) => Err(ConfigError::Value(path.to_owned(), why)),
        }
    }

    /// What can't be used of it.
    #[must_use]
    pub fn wrong(&self) -> Option<String> {
        if self.idle_minutes == 0 || self.idle_minutes > IDLE_MAX {
            return Some(format!("idle_minutes: from 1 to {IDLE_MAX}"));
        }
        if self.tls.is_none() && !self.listen.ip().is_loopback() {
            return Some(format!(
                "listen: passwords would go in clear to {}; add [tls], or listen on 127.0.0.1 behind a proxy of this machine",
                self.listen
            ));
        }
        if let Some(zone) = &self.time_zone
            && jiff::tz::TimeZone::get(zone).is_err()
        {
            return Some(format!(
                "time_zone: {zone} is not known; such as Asia/Tokyo"
            ));
        }
        let origins = self.embed.origins.iter();
        if let Some(bad) = origins.clone().find(|origin| !is_origin(origin)) {
            return Some(format!(
                "embed.origins: {bad} is no origin; write https://HOST or https://HOST:PORT, without a path"
            ));
        }
        if self.embed.cross_site && (self.tls.is_none() || self.embed.origins.is_empty()) {
            return Some("embed.cross_site needs [tls] and an origin: browsers take such cookies over TLS alone".to_owned());
        }
        self.wrong_api()
    }

    fn wrong_api(&self) -> Option<String> {
        let Ok(address) = reqwest::Url::parse(&self.api.address) else {
            return Some("api.address: no address; such as http://127.0.0.1:9480".to_owned());
        };
        if address.path() != "/" || address.query().is_some() || !address.username().is_empty() {
            return Some("api.address: without a path, a query or a name".to_owned());
        }
        let here = address.host_str().is_some_and(|host| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost"
                || host
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback())
        });
        match address.scheme() {
            "https" => None,
            "http" if here => None,
            "http" => Some("api.address: http is for this machine alone; use https".to_owned()),
            other => Some(format!("api.address: {other} is not spoken; https")),
        }
    }

    /// In which zone times are shown.
    pub(crate) fn zone(&self) -> jiff::tz::TimeZone {
        let named = self.time_zone.as_deref();
        named
            .and_then(|zone| jiff::tz::TimeZone::get(zone).ok())
            .unwrap_or_else(jiff::tz::TimeZone::system)
    }
}

/// `https://HOST[:PORT]`, and nothing that would end the header's directive.
fn is_origin(text: &str) -> bool {
    text.strip_prefix("https://").is_some_and(|host| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
        !host.is_empty() && host.chars().all(plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(file.path())
    }

    #[test]
    fn the_sample_is_read_and_has_every_setting() {
        let sample = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../asterisk-conf/console.sample.toml"
        );
        let text = std::fs::read_to_string(sample).unwrap();
        read(&text).unwrap();
        // Those that are off in it can be used too.
        let all: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(on) if on.starts_with('[') || on.contains(" = ") => format!("{on}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let config = read(&all).unwrap();
        assert!(config.tls.is_some() && config.time_zone.is_some() && config.api.ca.is_some());
        assert!(config.embed.cross_site && !config.embed.origins.is_empty());
    }

    #[test]
    fn what_can_not_be_used_is_refused_with_its_name() {
        let api = "[api]\naddress = \"http://127.0.0.1:9480\"\n";
        read(api).unwrap();
        for (text, says) in [
            (
                "[api]\naddress = \"http://pay.example.jp\"\n".to_owned(),
                "https",
            ),
            (
                "[api]\naddress = \"https://pay.example.jp/v1\"\n".to_owned(),
                "path",
            ),
            (
                "[api]\naddress = \"ftp://pay.example.jp\"\n".to_owned(),
                "ftp",
            ),
            ("[api]\naddress = \"pay\"\n".to_owned(), "api.address"),
            (format!("listen = \"0.0.0.0:9490\"\n{api}"), "[tls]"),
            (format!("idle_minutes = 0\n{api}"), "idle_minutes"),
            (format!("idle_minutes = 16\n{api}"), "idle_minutes"),
            (format!("time_zone = \"Mars\"\n{api}"), "Mars"),
            (format!("language = \"fr\"\n{api}"), "language"),
            (format!("colour = \"red\"\n{api}"), "colour"),
            (
                format!("{api}[embed]\norigins = [\"http://crm\"]\n"),
                "origin",
            ),
            (
                format!("{api}[embed]\norigins = [\"https://crm; script-src *\"]\n"),
                "origin",
            ),
            (format!("{api}[embed]\ncross_site = true\n"), "cross_site"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }
}
