//! `ivrpay order show|split|add`: orders that are paid in parts, at the running service over its Unix socket.

use std::process::ExitCode;

use ivrpay_api::{AddToOrder, Order, OrderPart, SplitOrder};

use crate::payment::{From, encode, json};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// An order's parts, and what is paid of it.
    Show {
        #[command(flatten)]
        of: Of,
    },
    /// Have an order paid by several cards, each part with its amount.
    Split {
        #[command(flatten)]
        of: Of,
        /// What each card pays, minor units (yen, cents), the first first: --amounts 5000,3000
        #[arg(long, value_delimiter = ',', required = true, num_args = 1..=9)]
        amounts: Vec<u64>,
        /// ISO 4217; the merchant's when absent.
        #[arg(long)]
        currency: Option<String>,
        /// Who says so.
        #[arg(long)]
        by: String,
    },
    /// Have an order paid once more, for a reason; prints the number of the part.
    Add {
        #[command(flatten)]
        of: Of,
        /// Minor units (yen, cents).
        #[arg(long)]
        amount: u64,
        /// ISO 4217; the merchant's when absent.
        #[arg(long)]
        currency: Option<String>,
        /// Why, at most 200 characters; never a card number.
        #[arg(long)]
        reason: String,
        /// Who says so.
        #[arg(long)]
        by: String,
    },
}

#[derive(clap::Args)]
pub(crate) struct Of {
    #[command(flatten)]
    from: From,
    /// The order.
    order: String,
    /// Whose it is.
    #[arg(long)]
    tenant: String,
}

pub(crate) fn run(command: Command) -> ExitCode {
    match command {
        Command::Show { of } => {
            let (order, tenant) = (encode(&of.order), encode(&of.tenant));
            let path = format!("/v1/orders?order_id={order}&tenant={tenant}");
            of.from.show(&path, None, show)
        }
        Command::Split {
            of,
            amounts,
            currency,
            by,
        } => {
            let body = SplitOrder {
                tenant: Some(of.tenant),
                order_id: of.order,
                amounts,
                currency,
                by: Some(by),
            };
            of.from.show("/v1/orders/split", Some(json(&body)), show)
        }
        Command::Add {
            of,
            amount,
            currency,
            reason,
            by,
        } => {
            let body = AddToOrder {
                tenant: Some(of.tenant),
                order_id: of.order,
                amount,
                currency,
                reason,
                by: Some(by),
            };
            let path = "/v1/orders/additional";
            of.from.show(path, Some(json(&body)), |part: OrderPart| {
                say!("part {}", part.part);
                Ok(())
            })
        }
    }
}

fn show(order: Order) -> anyhow::Result<()> {
    let currency = &order.currency;
    match order.total {
        Some(total) => say!(
            "{}: {} of {total} {currency} paid",
            order.order_id,
            order.paid
        ),
        None => say!("{}: {} {currency} paid", order.order_id, order.paid),
    }
    if let Some(whole) = order.whole {
        say!("the whole order: payment {whole}");
    }
    for part in &order.parts {
        let payment = match (&part.payment_id, &part.state) {
            (Some(id), Some(state)) => format!("payment {id}, {}", state.name()),
            _ => "no payment yet".to_owned(),
        };
        let why = part.reason.as_deref().map(|why| format!(" ({why})"));
        say!(
            "part {}  {:<10}  {:>10} {currency}  {payment}{}",
            part.part,
            part.kind,
            part.amount,
            why.unwrap_or_default()
        );
    }
    if order
        .total
        .is_some_and(|total| 0 < order.paid && order.paid < total)
    {
        say!(
            "the rest is not paid: take it, or keep what is paid (`ivrpay task done`), or release each part (`ivrpay payment void ID`)"
        );
    }
    Ok(())
}
