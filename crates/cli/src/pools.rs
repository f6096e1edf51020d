//! `ivrpay pools`: places for calls by pool, from the running service over its Unix socket.

use std::process::ExitCode;

use ivrpay_api::Pools;

use crate::payment::From;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    from: From,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    args.from.show("/v1/pools", None, show)
}

fn show(Pools { pools }: Pools) -> anyhow::Result<()> {
    if pools.is_empty() {
        say!("no pools: all calls share [limits] calls_max");
        return Ok(());
    }
    say!(
        "{:<20}  {:>6}  {:>9}  {:>10}  {:>6}  tenants",
        "pool",
        "here",
        "elsewhere",
        "guaranteed",
        "limit"
    );
    for pool in &pools {
        say!(
            "{:<20}  {:>6}  {:>9}  {:>10}  {:>6}  {}",
            pool.name,
            pool.used,
            pool.elsewhere,
            pool.guaranteed,
            pool.limit.map_or("-".to_owned(), |limit| limit.to_string()),
            pool.tenants.join(", ")
        );
    }
    Ok(())
}
