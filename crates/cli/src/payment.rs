//! `ivrpay payment list|show`: asks the running service over its Unix socket.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use ivrpay_api::{ErrorBody, Payment, Payments};

use crate::{ConfigPath, Exit, fail, load, runtime};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// The latest payments, newest first.
    List {
        #[command(flatten)]
        from: From,
        /// Only this merchant.
        #[arg(long)]
        tenant: Option<String>,
        /// Only this order.
        #[arg(long)]
        order: Option<String>,
        /// Only the one whose caller was told this number.
        #[arg(long)]
        reference: Option<u32>,
        /// Only this state: waiting, in-flight, unknown, approved, declined, cancelled, expired, voided.
        #[arg(long)]
        state: Option<String>,
        /// Practice and canary calls, which are left out otherwise.
        #[arg(long)]
        training: bool,
        /// At most so many, 1 to 200.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
    /// One payment, whole.
    Show {
        #[command(flatten)]
        from: From,
        /// Its id.
        id: String,
    },
}

#[derive(clap::Args)]
pub(crate) struct From {
    #[command(flatten)]
    config: ConfigPath,
    /// Socket of the service, instead of that of the configuration.
    #[arg(long)]
    socket: Option<PathBuf>,
    /// JSON, as the HTTP API gives it.
    #[arg(long)]
    json: bool,
}

impl From {
    pub(crate) fn config(&self) -> &std::path::Path {
        &self.config.config
    }

    pub(crate) fn socket(&self) -> Option<&PathBuf> {
        self.socket.as_ref()
    }

    pub(crate) const fn json(&self) -> bool {
        self.json
    }
}

pub(crate) fn run(command: Command) -> ExitCode {
    let (from, path) = match &command {
        Command::List {
            from,
            tenant,
            order,
            reference,
            state,
            training,
            limit,
        } => {
            let mut path = format!("/v1/payments?limit={limit}");
            if let Some(reference) = reference {
                path.push_str(&format!("&reference={reference}"));
            }
            if *training {
                path.push_str("&training=true");
            }
            for (key, value) in [("tenant", tenant), ("order_id", order), ("state", state)] {
                if let Some(value) = value {
                    path.push_str(&format!("&{key}={}", encode(value)));
                }
            }
            (from, path)
        }
        Command::Show { from, id } => (from, format!("/v1/payments/{}", encode(id))),
    };
    let socket = match &from.socket {
        Some(socket) => socket.clone(),
        None => match load(&from.config.config) {
            Ok(config) => config.admin_socket,
            Err(code) => return code,
        },
    };
    let answer = match runtime().and_then(|runtime| runtime.block_on(ask(&socket, &path, None))) {
        Ok(answer) => answer,
        Err(error) => return fail(&error),
    };
    let shown = if from.json {
        say!("{}", answer.trim_end());
        Ok(())
    } else {
        match command {
            Command::List { .. } => list(&answer),
            Command::Show { .. } => show(&answer),
        }
    };
    match shown {
        Ok(()) => Exit::Done.into(),
        Err(error) => fail(&error),
    }
}

/// What the running service answers: to a GET, or to a POST where there is a body, which is JSON.
pub(crate) async fn ask(
    socket: &std::path::Path,
    path: &str,
    body: Option<Vec<u8>>,
) -> anyhow::Result<String> {
    let client = reqwest::Client::builder()
        .unix_socket(socket)
        .no_proxy()
        .build()?;
    let url = format!("http://ivrpay{path}");
    let request = match body {
        Some(body) => client
            .post(url)
            .header("content-type", "application/json")
            .body(body),
        None => client.get(url),
    };
    let answer = request.send().await.with_context(|| {
        format!(
            "the service does not answer at {}; is `ivrpay serve` running, and may you open it?",
            socket.display()
        )
    })?;
    let good = answer.status().is_success();
    let text = answer.text().await?;
    if !good {
        match serde_json::from_str::<ErrorBody>(&text) {
            Ok(body) => bail!("{}", body.error.message),
            Err(_) => bail!("the service answered something else than JSON"),
        }
    }
    Ok(text)
}

fn list(answer: &str) -> anyhow::Result<()> {
    let Payments { payments } = serde_json::from_str(answer)?;
    if payments.is_empty() {
        say!("no payments");
        return Ok(());
    }
    say!(
        "{:<36}  {:<10}  {:>14}  {:<20}  {:<16}  created",
        "id",
        "state",
        "amount",
        "order",
        "card"
    );
    for p in &payments {
        say!(
            "{:<36}  {:<10}  {:>14}  {:<20}  {:<16}  {}",
            p.id.to_string(),
            p.state.name(),
            amount(p),
            p.order_id.as_deref().unwrap_or("-"),
            card(p),
            p.created_at
        );
    }
    Ok(())
}

fn show(answer: &str) -> anyhow::Result<()> {
    let p: Payment = serde_json::from_str(answer)?;
    let rows = [
        ("id", p.id.to_string()),
        ("state", p.state.name().to_owned()),
        ("result", p.result.clone().unwrap_or_default()),
        ("amount", amount(&p)),
        ("order", p.order_id.clone().unwrap_or_default()),
        ("part", p.part.to_string()),
        (
            "reference",
            p.reference.map(|n| n.to_string()).unwrap_or_default(),
        ),
        ("tenant", p.tenant.clone()),
        ("site", p.site.clone().unwrap_or_default()),
        ("operator", p.operator.clone().unwrap_or_default()),
        ("card", card(&p)),
        ("declined for", p.decline_reason.clone().unwrap_or_default()),
        ("approval code", p.approval_code.clone().unwrap_or_default()),
        (
            "acquirer's reference",
            p.acquirer_ref.clone().unwrap_or_default(),
        ),
        ("mode", p.mode.clone()),
        ("connector", p.connector.clone()),
        ("created", p.created_at.clone()),
        ("updated", p.updated_at.clone()),
    ];
    for (name, value) in rows {
        if !value.is_empty() {
            say!("{name:<21} {value}");
        }
    }
    Ok(())
}

fn amount(p: &Payment) -> String {
    p.currency
        .parse()
        .ok()
        .and_then(|currency| ivrpay_payment::Money::new(p.amount, currency).ok())
        .map_or_else(
            || format!("{} {}", p.amount, p.currency),
            |money| money.to_string(),
        )
}

fn card(p: &Payment) -> String {
    match (&p.brand, &p.last4) {
        (Some(brand), Some(last4)) => format!("{brand} {last4}"),
        _ => "-".into(),
    }
}

/// Percent-encodes all but letters, digits and `-_.~` (RFC 3986, 2.3).
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}
