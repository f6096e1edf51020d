//! `ivrpay payment evidence`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{From, encode, fetch, write_new};
use crate::{Exit, fail, runtime};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    from: From,
    /// Its id.
    id: String,
    /// Into this new file, which only its owner may read: one page where its name ends with .html, else JSON. On the terminal when absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let socket = match args.from.socket_of_service() {
        Ok(socket) => socket,
        Err(code) => return code,
    };
    let is_page = args.out.as_ref().is_some_and(|file| {
        file.extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("html"))
    });
    let accept = if is_page {
        "text/html"
    } else {
        "application/json"
    };
    let path = format!("/v1/payments/{}/evidence", encode(&args.id));
    let fetched = runtime().and_then(|runtime| runtime.block_on(fetch(&socket, &path, accept)));
    let done = fetched.and_then(|bytes| match &args.out {
        Some(file) => write_new(file, &bytes),
        None => {
            let value: serde_json::Value = serde_json::from_slice(&bytes)?;
            say!("{}", serde_json::to_string_pretty(&value)?);
            Ok(())
        }
    });
    match done {
        Ok(()) => Exit::Done.into(),
        Err(error) => fail(&error),
    }
}
