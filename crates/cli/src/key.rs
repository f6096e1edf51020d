//! `ivrpay key create|list|rotate|revoke`: keys of programs, by the running service over its Unix socket.

use std::process::ExitCode;

use ivrpay_api::{CreateKey, Key, Keys, MadeKey, RotateKey, WhoAsks};

use crate::payment::{From, encode, filtered, json};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make a key. It is shown once.
    Create {
        #[command(flatten)]
        from: From,
        /// Who this is.
        name: String,
        /// The merchant.
        #[arg(long)]
        tenant: String,
        /// What it may do; several times, or with commas: payments, payments:read, captures, refunds, receipts, disputes, tasks, events,
        /// metrics, health, people, keys, audit.
        #[arg(long = "scope", required = true, value_delimiter = ',')]
        scopes: Vec<String>,
        /// From when on it is none any more, as 2027-01-31T00:00:00Z; never when absent.
        #[arg(long)]
        expires: Option<String>,
        /// How often it may ask; that of [http] when absent, 0 as often as it likes.
        #[arg(long)]
        requests_per_minute: Option<u32>,
        /// Who you are.
        #[arg(long)]
        by: String,
    },
    /// Keys, the newest first: how each begins, and when it was last used.
    List {
        #[command(flatten)]
        from: From,
        /// Only this merchant's.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Make a key behind another, which is good for a while yet.
    Rotate {
        #[command(flatten)]
        from: From,
        /// Id of the old one.
        id: String,
        /// How long the old one is still good.
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=720))]
        overlap_hours: u32,
        /// From when on the new one is none any more; never when absent.
        #[arg(long)]
        expires: Option<String>,
        /// Who you are.
        #[arg(long)]
        by: String,
    },
    /// Take a key away, at once.
    Revoke {
        #[command(flatten)]
        from: From,
        /// Its id.
        id: String,
        /// Who you are.
        #[arg(long)]
        by: String,
    },
}

pub(crate) fn run(command: Command) -> ExitCode {
    match command {
        Command::Create {
            from,
            name,
            tenant,
            scopes,
            expires,
            requests_per_minute,
            by,
        } => {
            let body = CreateKey {
                tenant: Some(tenant),
                name,
                scopes,
                expires_at: expires,
                requests_per_minute,
                by: Some(by),
            };
            from.show("/v1/keys", Some(json(&body)), made)
        }
        Command::List { from, tenant } => {
            // The filter goes behind a first one.
            let path = filtered("/v1/keys?".to_owned(), [("tenant", tenant)]);
            from.show(path.replace("?&", "?").trim_end_matches('?'), None, list)
        }
        Command::Rotate {
            from,
            id,
            overlap_hours,
            expires,
            by,
        } => {
            let body = RotateKey {
                overlap_hours: Some(overlap_hours),
                expires_at: expires,
                by: Some(by),
            };
            let path = format!("/v1/keys/{}/rotate", encode(&id));
            from.show(&path, Some(json(&body)), made)
        }
        Command::Revoke { from, id, by } => {
            let body = json(&WhoAsks { by: Some(by) });
            let path = format!("/v1/keys/{}/revoke", encode(&id));
            from.show(&path, Some(body), |key: Key| {
                say!("{} is revoked", key.prefix);
                Ok(())
            })
        }
    }
}

fn made(made: MadeKey) -> anyhow::Result<()> {
    say!("{}", made.key.0);
    eprintln!(
        "id {}, for {}: {}. The key is not shown again.",
        made.of.id,
        made.of.tenant,
        made.of.scopes.join(", ")
    );
    Ok(())
}

fn list(Keys { keys }: Keys) -> anyhow::Result<()> {
    if keys.is_empty() {
        say!("no keys; those of [[http.keys]] are in the configuration alone");
        return Ok(());
    }
    say!(
        "{:<36}  {:<12}  {:<20}  {:<12}  {:<7}  {:<20}  {:<20}  scopes",
        "id",
        "begins",
        "name",
        "tenant",
        "state",
        "used",
        "expires"
    );
    let at = |at: &Option<String>| {
        let text = at.as_deref().unwrap_or("-");
        text.chars().take(19).collect::<String>()
    };
    for key in &keys {
        say!(
            "{:<36}  {:<12}  {:<20}  {:<12}  {:<7}  {:<20}  {:<20}  {}",
            key.id.to_string(),
            key.prefix,
            key.name,
            key.tenant,
            key.state,
            at(&key.used_at),
            at(&key.expires_at),
            key.scopes.join(","),
        );
    }
    Ok(())
}
