//! A live connector stays as it is: its account has the merchant's money, and its open operations are asked about at its address. One that
//! has been used and is another now keeps the service from starting, until a person says that it is meant (`ivrpay connector accept`).

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use ivrpay_acquirer::{CardKept, Mode};
use ivrpay_journal::{Journal, LiveConnector, Location, OpenOptions, Standing};

use crate::config::{Config, Connector};
use crate::events;

/// Open operations that are named; there may be more.
const NAMED_MAX: usize = 10;

/// A live connector is another than it was.
#[derive(Debug, thiserror::Error)]
#[error("[connectors.{name}] is live, and is another than it was: {what}{open}", what = .standing.changed.join(", "), open = Open(.standing))]
pub struct Changed {
    /// Its name.
    pub name: String,
    /// What the journal says.
    pub standing: Box<Standing>,
}

impl Changed {
    /// What an admin should do.
    #[must_use]
    pub fn hint(&self) -> String {
        let name = &self.name;
        format!(
            "put the settings back, and give another account a [connectors] table of its own; if it is meant, stop the service and run `ivrpay connector accept {name} --force --by YOUR-NAME`"
        )
    }
}

/// What would be asked about at another place.
struct Open<'s>(&'s Standing);

impl fmt::Display for Open<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = &self.0.open;
        if open.is_empty() {
            return Ok(());
        }
        f.write_str(
            "; what is open there would be asked about, captured and given back at another place:",
        )?;
        for (at, operation) in open.iter().take(NAMED_MAX).enumerate() {
            write!(
                f,
                "{} {} of {} ({}, payment {})",
                if at == 0 { "" } else { "," },
                operation.kind.name(),
                operation.amount,
                operation.state.name(),
                operation.payment
            )?;
        }
        match open.len().saturating_sub(NAMED_MAX) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

/// A connector beside what the journal says of it.
pub struct Known {
    /// As the configuration has it.
    pub now: LiveConnector,
    /// What the journal says.
    pub standing: Standing,
}

/// Every connector of the configuration, beside what the journal says of it.
///
/// # Errors
/// The journal's own.
pub async fn known(
    config: &Config,
    journal: &Journal,
) -> Result<Vec<Known>, ivrpay_journal::Error> {
    let mut all = Vec::new();
    for (name, connector) in &config.connectors {
        let now = as_it_is(config, name, connector);
        let standing = journal.connector(&now).await?;
        all.push(Known { now, standing });
    }
    Ok(all)
}

/// The same, where there is no journal yet.
#[must_use]
pub fn unknown(config: &Config) -> Vec<Known> {
    let connectors = config.connectors.iter();
    connectors
        .map(|(name, connector)| Known {
            now: as_it_is(config, name, connector),
            standing: Standing::default(),
        })
        .collect()
}

/// Those that have been used and are others now.
pub(crate) async fn changed(
    config: &Config,
    journal: &Journal,
) -> Result<Vec<Changed>, ivrpay_journal::Error> {
    let known = known(config, journal).await?.into_iter();
    Ok(known.filter(Known::is_changed).map(Changed::from).collect())
}

impl Known {
    /// It has been used, and is another now.
    fn is_changed(&self) -> bool {
        self.standing.used && !self.standing.changed.is_empty()
    }
}

impl From<Known> for Changed {
    fn from(Known { now, standing }: Known) -> Self {
        Self {
            name: now.name,
            standing: Box::new(standing),
        }
    }
}

/// Keeps live connectors that are new, have other credentials, or were never used; refuses one that has been used and is another now.
///
/// # Errors
/// [`Changed`], or the journal's own.
pub(crate) async fn guard(config: &Config, journal: &Journal) -> anyhow::Result<()> {
    let mut all = known(config, journal).await?;
    if let Some(at) = all.iter().position(Known::is_changed) {
        return Err(Changed::from(all.swap_remove(at)).into());
    }
    for Known { now, standing } in &all {
        let is_other = !standing.changed.is_empty() || !standing.rotated.is_empty();
        let is_new = standing.since_ms.is_none() && now.live;
        if is_new || is_other {
            journal.keep_connector(now, standing, None).await?;
            let mut what: Vec<_> = standing.changed.iter().chain(&standing.rotated).collect();
            what.sort();
            events::connector_kept(&now.name, &what);
        }
    }
    Ok(())
}

/// What [`accept`] did.
pub enum Accepted {
    /// It is as it was, or has never moved money.
    NothingToDo,
    /// It is another, and was not taken, since nobody insisted.
    Refused(Changed),
    /// A person answers for it now.
    Taken(Changed),
}

/// Takes a live connector as it is now, by a person's word. The service may not run.
///
/// # Errors
/// No such connector, a journal that is in use or another user's, or the journal's own.
pub async fn accept(
    config: &Config,
    name: &str,
    by: &str,
    force: bool,
) -> anyhow::Result<Accepted> {
    let connector = config
        .connectors
        .get(name)
        .with_context(|| format!("there is no [connectors.{name}]"))?;
    if let Location::File(path) = &config.journal_at {
        is_ours(path)?;
    }
    let options = OpenOptions::new(&config.daemon);
    let journal = Journal::open(&config.journal_at, options).await;
    let journal = journal.map_err(|error| {
        let hint = match error {
            ivrpay_journal::Error::InUse { .. } => "stop the service first",
            ref other => other.hint(),
        };
        anyhow::anyhow!("the journal {}: {error}\nhint: {hint}", config.journal_at)
    })?;
    let now = as_it_is(config, name, connector);
    let standing = journal.connector(&now).await?;
    let done = if standing.changed.is_empty() {
        Accepted::NothingToDo
    } else {
        let changed = Changed {
            name: name.to_owned(),
            standing: Box::new(standing),
        };
        if force {
            journal
                .keep_connector(&now, &changed.standing, Some(by))
                .await?;
            Accepted::Taken(changed)
        } else {
            Accepted::Refused(changed)
        }
    };
    journal.stop().await?;
    Ok(done)
}

/// Whether money moves by it: it says so, or a live tenant uses it.
fn is_live(config: &Config, name: &str, connector: &Connector) -> bool {
    let mut tenants = config.tenants.iter();
    connector.mode == Some(Mode::Live) || tenants.any(|tenant| tenant.live && tenant.uses(name))
}

fn as_it_is(config: &Config, name: &str, connector: &Connector) -> LiveConnector {
    let endpoint = connector.endpoint.as_ref();
    let parameters = connector.settings.parameters.iter();
    let mut settings: std::collections::BTreeMap<_, _> = parameters
        .map(|(name, value)| (format!("parameters.{name}"), value.clone()))
        .collect();
    if let Some(endpoint) = endpoint {
        settings.insert("user".to_owned(), endpoint.user.clone());
        // The default stands in no line: a journal from before there was a choice knows none.
        if endpoint.card_kept == CardKept::UntilAnswer {
            settings.insert("card_kept".to_owned(), endpoint.card_kept.name().to_owned());
        }
    }
    let written = |path: &std::path::Path| {
        let meta = std::fs::metadata(path);
        let at = meta.map_or(0, |meta| meta.mtime());
        format!("{}, {at}", path.display())
    };
    let files = connector.credentials.iter();
    LiveConnector {
        name: name.to_owned(),
        kind: connector.kind.name().to_owned(),
        url: endpoint.map(|e| e.url.clone()).unwrap_or_default(),
        live: is_live(config, name, connector),
        settings,
        credentials: files
            .map(|(name, path)| (name.clone(), written(path)))
            .collect(),
    }
}

/// What SQLite makes beside the journal would be ours, and the service could not write it.
fn is_ours(path: &Path) -> anyhow::Result<()> {
    let journal = path.display();
    let owner = match std::fs::metadata(path) {
        Ok(journal) => journal.uid(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "there is no journal at {journal} yet, so that no connector has been used and nothing has to be accepted: the service takes them as they are at its first start"
        ),
        Err(error) => return Err(error).with_context(|| format!("the journal {journal}")),
    };
    anyhow::ensure!(
        owner == std::fs::metadata("/proc/self")?.uid(),
        "the journal {journal} belongs to another user\nhint: run this as the user of the service: sudo -u ivrpay ivrpay connector accept …"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use ivrpay_journal::{Mode as PaymentMode, NewPayment};
    use ivrpay_payment::{CallId, Doubt, Outcome};

    use super::*;
    use crate::config::tests::{Folder, SAMPLE};
    use crate::settle::tests::{draft_of, payment_of};

    async fn lost(journal: &Journal) {
        let new = NewPayment {
            mode: PaymentMode::Live,
            ..payment_of("generic")
        };
        let call = CallId::new(uuid::Uuid::now_v7());
        let claim = journal.create_claimed(new, call).await.unwrap();
        let draft = draft_of(claim.payment());
        let intent = journal.write_intent(claim.payment().id, draft).await;
        let unknown = Outcome::Unknown(Doubt::NoReply);
        journal
            .write_outcome(&intent.unwrap(), &unknown)
            .await
            .unwrap();
    }

    /// A live connector may be anything until it has charged somebody; then a person answers for every change but new credentials.
    #[tokio::test]
    async fn a_live_connector_that_was_used_is_changed_by_a_persons_word_alone() {
        let folder = Folder::new();
        let live = SAMPLE
            .replace("mode = \"test\"", "mode = \"live\"")
            .replace(
                "#path = \"/var/lib/ivrpay/journal.sqlite\"",
                "path = \"journal.sqlite\"",
            );
        let load = |from: &str, to: &str| {
            assert!(live.contains(from), "{from}");
            folder
                .load(&live.replace(from, to))
                .map_err(|e| e.to_string())
                .unwrap()
        };
        let (host, other) = ("https://pay.example.com/", "https://pay.example.net/");
        let first = load(host, host);
        let open = || Journal::open(&first.journal, OpenOptions::new("test"));
        let journal = open().await.unwrap();
        guard(&first, &journal).await.unwrap();
        guard(&load(host, other), &journal).await.unwrap();
        guard(&first, &journal).await.unwrap();
        lost(&journal).await;
        guard(&first, &journal).await.unwrap();
        folder.secret("acquirer-password", "three", 0o600);
        let file = "password_file = \"acquirer-password\"";
        guard(&load(file, "password_file = \"ami-password\""), &journal)
            .await
            .unwrap();
        for (from, to, what) in [
            (host, other, "url"),
            ("user = \"shop\"", "user = \"chop\"", "user"),
            (
                "user = \"shop\"",
                "user = \"shop\"\ncard_kept = \"until-answer\"\nendpoint_deduplicates = true",
                "card_kept",
            ),
            (
                "#parameters = { merchant_id = \"M-1\" }",
                "parameters = { merchant_id = \"M-2\" }",
                "parameters.merchant_id",
            ),
            ("mode = \"live\"", "mode = \"test\"", "mode"),
        ] {
            let error = guard(&load(from, to), &journal).await.unwrap_err();
            let text = error.to_string();
            assert!(
                text.starts_with(&format!(
                    "[connectors.generic] is live, and is another than it was: {what}; what is open there"
                )) && text.contains("charge of 1200 JPY (unknown, payment "),
                "{text}"
            );
            assert!(
                error
                    .downcast::<Changed>()
                    .unwrap()
                    .hint()
                    .contains("accept generic --force")
            );
        }
        let moved = load(host, other);
        let in_use = accept(&moved, "generic", "mori", true).await.err().unwrap();
        assert!(in_use.to_string().contains("stop the service"), "{in_use}");
        journal.stop().await.unwrap();
        drop(journal);
        let asked = accept(&moved, "generic", "mori", false).await.unwrap();
        assert!(matches!(asked, Accepted::Refused(_)));
        let journal = open().await.unwrap();
        guard(&moved, &journal).await.unwrap_err();
        journal.stop().await.unwrap();
        drop(journal);
        let taken = accept(&moved, "generic", "mori", true).await.unwrap();
        assert!(matches!(taken, Accepted::Taken(_)));
        let again = accept(&moved, "generic", "mori", true).await.unwrap();
        assert!(matches!(again, Accepted::NothingToDo));
        let journal = open().await.unwrap();
        guard(&moved, &journal).await.unwrap();
        let standing = known(&moved, &journal).await.unwrap().remove(0).standing;
        assert_eq!(standing.changed_by.as_deref(), Some("mori"));
        guard(&first, &journal).await.unwrap_err();
    }
}
