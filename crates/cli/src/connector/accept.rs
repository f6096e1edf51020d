//! `ivrpay connector accept NAME`.

use std::process::ExitCode;

use ivrpay_daemon::live::{self, Accepted};

use crate::{ConfigPath, Exit, fail, load, runtime};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigPath,
    /// Its name in the configuration.
    name: String,
    /// Who answers for it.
    #[arg(long, value_parser = person)]
    by: String,
    /// Take it; without this it is only said what has changed and what is open there.
    #[arg(long)]
    force: bool,
}

fn person(text: &str) -> Result<String, String> {
    let person = ivrpay_payment::OperatorId::new(text.to_owned());
    person
        .map(|person| person.to_string())
        .map_err(|error| error.to_string())
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let config = match load(&args.config.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let accepted = runtime().and_then(|runtime| {
        runtime.block_on(live::accept(&config, &args.name, &args.by, args.force))
    });
    match accepted {
        Ok(Accepted::NothingToDo) => {
            say!("connector {} is as it was; nothing was changed", args.name);
            Exit::Done.into()
        }
        Ok(Accepted::Taken(changed)) => {
            say!("{changed}");
            say!(
                "connector {} is taken as it is now; {} answers for it in the journal",
                args.name,
                args.by
            );
            Exit::Done.into()
        }
        Ok(Accepted::Refused(changed)) => {
            eprintln!("ivrpay: {changed}\nhint: {}", changed.hint());
            Exit::Failed.into()
        }
        Err(error) => fail(&error),
    }
}
