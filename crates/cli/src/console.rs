//! `ivrpay console`: the web pages, a program of its own beside this one. It takes this process's place, so that nothing that can name a card is in
//! its memory.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use crate::Exit;

/// Beside the running program.
const PROGRAM: &str = "ivrpay-console";

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Its own: --config FILE (/etc/ivrpay/console.toml), check, --help.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENTS"
    )]
    arguments: Vec<OsString>,
}

/// Returns only when it can't be run.
pub(crate) fn run(args: &Args) -> ExitCode {
    let here = std::env::current_exe().ok();
    let program = here.and_then(|here| Some(here.parent()?.join(PROGRAM)));
    let program = program.unwrap_or_else(|| PROGRAM.into());
    let error = Command::new(&program).args(&args.arguments).exec();
    eprintln!(
        "ivrpay: {}: {error}\nhint: put {PROGRAM} beside ivrpay; `make install` does",
        program.display()
    );
    Exit::Failed.into()
}
