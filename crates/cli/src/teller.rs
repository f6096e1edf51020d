//! `ivrpay teller`: payments without a call, for `make crash`. Only a build with the feature `plant` has it.

use std::path::PathBuf;
use std::process::ExitCode;

use ivrpay_daemon::teller::{self, Paid};
use ivrpay_payment::{OperationKind, Transaction};

use crate::{Exit, fail, runtime};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Pay, in the configuration's first tenant.
    Pay {
        #[arg(long)]
        config: PathBuf,
        #[arg(long)]
        order: String,
        /// Several times: an order in parts.
        #[arg(long, required = true)]
        amount: Vec<u64>,
        /// File with PAN MMYY CODE; a line for each part.
        #[arg(long)]
        card: PathBuf,
        /// Reserve the amount alone.
        #[arg(long)]
        reserve: bool,
        /// capture, void or refund
        #[arg(long)]
        then: Option<String>,
    },
    /// Tell the merchants' programs what waits for them.
    Deliver {
        #[arg(long)]
        config: PathBuf,
    },
    /// Start as behind a crash, and look after what is open.
    Settle {
        #[arg(long)]
        config: PathBuf,
    },
}

pub(crate) fn run(command: Command) -> ExitCode {
    let done = runtime().and_then(|runtime| match command {
        Command::Pay {
            config,
            order,
            amount,
            card,
            reserve,
            then,
        } => {
            let kinds = [
                OperationKind::Capture,
                OperationKind::Void,
                OperationKind::Refund,
            ];
            let then = then.and_then(|name| kinds.into_iter().find(|kind| kind.name() == name));
            let transaction = if reserve {
                Transaction::Authorise
            } else {
                Transaction::Charge
            };
            let paid = Paid {
                order,
                amounts: amount,
                transaction,
                then,
            };
            runtime.block_on(teller::pay(&config, &card, paid))
        }
        Command::Deliver { config } => runtime.block_on(teller::deliver(&config)),
        Command::Settle { config } => runtime.block_on(teller::settle(&config)),
    });
    match done {
        Ok(()) => Exit::Done.into(),
        Err(error) => fail(&error),
    }
}
