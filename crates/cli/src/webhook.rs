//! `ivrpay webhook list|show|resend|test`: what merchants' programs were told, from the running service over its Unix socket.

use std::process::ExitCode;

use ivrpay_api::{TestWebhook, TestedWebhook, WebhookEvent, WebhookEvents};

use crate::payment::{From, encode, filtered, json};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Events about payments, the newest first.
    List {
        #[command(flatten)]
        from: From,
        /// Only these: open (not taken yet), delivered, or given-up (the dead letters).
        #[arg(long)]
        state: Option<String>,
        /// Only those about this payment.
        #[arg(long, value_name = "ID")]
        payment: Option<String>,
        /// Only this merchant's.
        #[arg(long)]
        tenant: Option<String>,
        /// Behind this event: the next page.
        #[arg(long)]
        after: Option<String>,
        /// At most so many, 1 to 200.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
    /// One event, with what is sent.
    Show {
        #[command(flatten)]
        from: From,
        /// Its id.
        id: String,
    },
    /// Send an event once more, under the same id, for another 72 hours.
    Resend {
        #[command(flatten)]
        from: From,
        /// Its id.
        id: String,
    },
    /// Send a merchant's program an event of type webhook.test now; exit code 1 unless it is taken.
    Test {
        #[command(flatten)]
        from: From,
        /// The merchant.
        tenant: String,
    },
}

pub(crate) fn run(command: Command) -> ExitCode {
    match command {
        Command::List {
            from,
            state,
            payment,
            tenant,
            after,
            limit,
        } => {
            let filters = [
                ("state", state),
                ("payment_id", payment),
                ("tenant", tenant),
                ("after", after),
            ];
            let path = filtered(format!("/v1/webhooks/events?limit={limit}"), filters);
            from.show(&path, None, list)
        }
        Command::Show { from, id } => {
            from.show(&format!("/v1/webhooks/events/{}", encode(&id)), None, show)
        }
        Command::Resend { from, id } => {
            let path = format!("/v1/webhooks/events/{}/resend", encode(&id));
            from.show(&path, Some(Vec::new()), show)
        }
        Command::Test { from, tenant } => {
            let body = json(&TestWebhook {
                tenant: Some(tenant),
            });
            from.judge("/v1/webhooks/test", Some(body), |_| Ok(()), tested)
        }
    }
}

/// Words of the answer come on standard error where it was not taken.
fn tested(tested: &TestedWebhook) -> anyhow::Result<()> {
    if tested.delivered {
        say!("taken");
        return Ok(());
    }
    let hint = tested.hint.as_deref();
    let hint = hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"));
    anyhow::bail!(
        "not taken: {}{hint}",
        tested.error.as_deref().unwrap_or_default()
    )
}

fn list(WebhookEvents { events, next }: WebhookEvents) -> anyhow::Result<()> {
    if events.is_empty() {
        say!("no events");
        return Ok(());
    }
    say!(
        "{:<36}  {:<18}  {:<9}  {:>8}  {:<20}  why",
        "id",
        "type",
        "state",
        "attempts",
        "created"
    );
    for event in &events {
        say!(
            "{:<36}  {:<18}  {:<9}  {:>8}  {:<20}  {}",
            event.id.to_string(),
            event.r#type,
            event.state,
            event.attempts,
            event.created_at.chars().take(19).collect::<String>(),
            event.error.as_deref().unwrap_or("-"),
        );
    }
    if let Some(next) = next {
        say!("more with --after {next}");
    }
    Ok(())
}

fn show(event: WebhookEvent) -> anyhow::Result<()> {
    for (name, value) in [
        ("id", event.id.to_string()),
        ("type", event.r#type),
        ("tenant", event.tenant),
        ("payment", event.payment_id.to_string()),
        ("sequence", event.sequence.to_string()),
        ("state", event.state),
        ("created", event.created_at),
        ("attempts", event.attempts.to_string()),
        ("tried", event.tried_at.unwrap_or_default()),
        ("why", event.error.unwrap_or_default()),
        ("next", event.next_at.unwrap_or_default()),
        ("delivered", event.delivered_at.unwrap_or_default()),
        ("data", serde_json::to_string_pretty(&event.data)?),
    ] {
        if !value.is_empty() {
            say!("{:<10} {value}", format!("{name}:"));
        }
    }
    Ok(())
}
