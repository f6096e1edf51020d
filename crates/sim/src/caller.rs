//! Caller. SKELETON.
#[derive(clap::Args)]
pub(crate) struct Args {}
pub(crate) async fn run(_args: Args) -> u8 { 0 }
