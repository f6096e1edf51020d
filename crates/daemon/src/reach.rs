//! What the service needs outside its own process, read from its configuration: everything else is closed to it
//! ([`ivrpay_secret::confine`]).
//!
//! A setting that names a file, a folder or an address has its line here: without it the service is refused what it names.

use std::path::{Path, PathBuf};

use ivrpay_journal::Location;
use ivrpay_secret::Reach;
use reqwest::Url;

use crate::config::Config;
use crate::recorders::Recorder;

/// Port of ARI where its address has none, as in `ari/src/config.rs`.
const ARI_PORT: u16 = 8088;

/// Where rustls-native-certs looks for authorities before it looks where the system has them (as OpenSSL does).
const AUTHORITIES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Files, folders and ports of this configuration.
#[must_use]
pub fn reach(config: &Config) -> Reach {
    let endpoints = || {
        config
            .connectors
            .values()
            .filter_map(|c| c.endpoint.as_ref())
    };
    let mut read: Vec<PathBuf> = endpoints().filter_map(|e| e.ca_file.clone()).collect();
    for identity in endpoints().filter_map(|e| e.identity.as_ref()) {
        read.push(identity.certificate_file.clone());
        read.push(identity.key_file.clone());
    }
    // A certificate that is renewed is another file in the same folder.
    read.extend(config.http.tls.iter().flat_map(ivrpay_web::Tls::folders));
    read.extend(
        AUTHORITIES
            .iter()
            .filter_map(std::env::var_os)
            .flat_map(|paths| std::env::split_paths(&paths).collect::<Vec<_>>()),
    );
    // SQLite makes and removes -wal and -shm beside the journal, wherever a link leads; [admin] socket lies beside it or
    // elsewhere.
    let journal = std::fs::canonicalize(&config.journal);
    let journal = journal.as_deref().unwrap_or(&config.journal);
    let mut write = vec![
        folder(&config.journal),
        folder(journal),
        folder(&config.admin_socket),
    ];
    write.sort();
    write.dedup();
    let mut connect = vec![port(&config.ari.url).unwrap_or(ARI_PORT)];
    connect.extend(
        endpoints()
            .filter_map(|e| Url::parse(&e.url).ok())
            .filter_map(|url| url.port_or_known_default()),
    );
    // Asked by `GET /v1/health/findings`, as our own port of the pay key is tried.
    connect.extend(config.ami.iter().filter_map(|ami| ami.port()));
    connect.extend(config.agi.iter().map(|agi| agi.listen.port()));
    connect.extend(config.pay_key.iter().filter_map(|ami| ami.port()));
    connect.extend(config.recorders.iter().flat_map(Recorder::ports));
    let lookups = config.tenants.iter().filter_map(|t| t.lookup.as_ref());
    connect.extend(lookups.filter_map(|lookup| lookup.port()));
    let webhooks = config.tenants.iter().filter_map(|t| t.webhook.as_ref());
    connect.extend(webhooks.filter_map(ivrpay_wire::Webhook::port));
    let accounts = config.twilio.iter();
    connect.extend(accounts.flat_map(|account| account.callback.ports().iter().copied()));
    let (issuer, authority) = config.access.reach();
    connect.extend(issuer);
    read.extend(authority.cloned());
    if let Location::Server(server) = &config.journal_at {
        connect.extend(server.address().map(|(_, port)| port));
        read.extend(server.files().iter().cloned());
    }
    connect.sort_unstable();
    connect.dedup();
    Reach {
        read,
        write,
        listen: config
            .http
            .listen
            .iter()
            .chain(config.agi.iter().map(|agi| &agi.listen))
            .map(|address| address.port())
            .collect(),
        connect,
    }
}

/// The port as it is written: [`Url`] forgets the one that its scheme has anyway, and ARI's default is another.
fn port(url: &str) -> Option<u16> {
    let authority = url.split_once("://")?.1.split('/').next()?;
    authority.rsplit_once(':')?.1.parse().ok()
}

/// The folder of a file, whole: what is asked for must not change with the current folder.
fn folder(file: &Path) -> PathBuf {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const CONFIG: &str = r#"
[ari]
url = "URL"
app = "ivrpay"
user = "ivrpay"
password_file = "password"

[http]
listen = "127.0.0.1:9480"

[agi]
listen = "127.0.0.1:4573"

[ami]
address = "127.0.0.1:5039"
password_file = "password"

[pay_key]
address = "127.0.0.1:5037"
password_file = "password"

[journal]
path = "link.sqlite"

[[tenants]]
name = "demo"
mode = "test"
language = "ja"
currency = "JPY"
valid_card_types = ["visa"]
connector = "generic"

[connectors.generic]
kind = "generic"
url = "https://pay.example/charge"
user = "ivrpay"
password_file = "password"
ca_file = "/etc/ssl/certs/ca-certificates.crt"

[[recorders]]
name = "siprec"
kind = "siprec"
pause_url = "http://127.0.0.1:7070/pause"
resume_url = "http://127.0.0.1:7071/resume"

[connectors.other]
kind = "generic"
url = "https://127.0.0.1:9443/charge"
user = "ivrpay"
password_file = "password"
"#;

    #[test]
    fn everything_that_is_named_and_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let here = std::fs::canonicalize(folder.path()).unwrap();
        let there = here.join("there");
        std::fs::create_dir(&there).unwrap();
        std::fs::write(there.join("journal.sqlite"), "").unwrap();
        std::os::unix::fs::symlink(there.join("journal.sqlite"), here.join("link.sqlite")).unwrap();
        let password = here.join("password");
        std::fs::write(&password, "one").unwrap();
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
        for (url, ari) in [
            ("http://127.0.0.1", 8088),
            ("http://127.0.0.1/pbx/ari", 8088),
            ("http://127.0.0.1:8089/ari", 8089),
            ("ws://[::1]:8087", 8087),
            ("http://127.0.0.1:80", 80),
        ] {
            let file = here.join("ivrpay.toml");
            std::fs::write(&file, CONFIG.replace("URL", url)).unwrap();
            let config = match Config::load(&file) {
                Ok(config) => config,
                Err(error) => panic!("{error}"),
            };
            let mut connect = vec![ari, 443, 4573, 5037, 5039, 7070, 7071, 9443];
            connect.sort_unstable();
            let mut got = reach(&config);
            // Behind it is what the environment of the tests names.
            got.read.truncate(1);
            assert_eq!(
                got,
                Reach {
                    read: vec![PathBuf::from("/etc/ssl/certs/ca-certificates.crt")],
                    write: vec![here.clone(), there.clone()],
                    listen: vec![9480, 4573],
                    connect,
                },
                "{url}"
            );
        }
    }
}
