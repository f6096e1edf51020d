//! `ivrpay person …`: who may sign in, by the running service over its Unix socket.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use ivrpay_api::{
    ConfirmFactor, CreatePerson, People, Person, RecoveryCodes, SecondFactor, Secret, SetPassword,
    WhoAsks,
};

use crate::payment::{From, ask, encode, filtered, json};
use crate::{fail, runtime};

/// Longest password that is read, bytes.
const PASSWORD_MAX: u64 = 1_024;

#[derive(clap::Args)]
pub(crate) struct Of {
    #[command(flatten)]
    from: From,
    /// The name to sign in with, or the id.
    person: String,
    /// Who you are.
    #[arg(long)]
    by: String,
}

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make a person. He can sign in when he has a password and a second factor.
    Create {
        #[command(flatten)]
        from: From,
        /// The name to sign in with: letters, digits and - _ . @ : /
        name: String,
        /// operator, supervisor or admin
        #[arg(long)]
        role: String,
        /// The only merchant whose things he sees; only an admin may have none, and sees all.
        #[arg(long)]
        tenant: Option<String>,
        /// How he is called on a screen; the name when absent.
        #[arg(long)]
        shown: Option<String>,
        /// The extension of his telephone.
        #[arg(long)]
        extension: Option<String>,
        /// ja or en
        #[arg(long)]
        language: Option<String>,
        /// His address, by which single sign-on may know him.
        #[arg(long)]
        email: Option<String>,
        /// How the issuer of single sign-on names him (sub).
        #[arg(long)]
        subject: Option<String>,
        /// Who you are.
        #[arg(long)]
        by: String,
    },
    /// Everybody, by name.
    List {
        #[command(flatten)]
        from: From,
        /// Only this merchant's.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Give him a password: asked for in a terminal, else the first line of standard input. His sessions end.
    Password {
        #[command(flatten)]
        of: Of,
        /// Read it from this file instead.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Begin a new second factor: its secret is shown once, and counts when it is confirmed. His sessions end.
    SecondFactor {
        #[command(flatten)]
        of: Of,
    },
    /// Confirm the second factor by what the authenticator shows now; prints ten codes for the day that it is lost.
    Confirm {
        #[command(flatten)]
        of: Of,
        /// Six digits; each is good for half a minute.
        #[arg(long)]
        code: String,
    },
    /// He may not sign in any more; his sessions end.
    Disable {
        #[command(flatten)]
        of: Of,
    },
    /// He may sign in again.
    Enable {
        #[command(flatten)]
        of: Of,
    },
    /// He may try again at once, after too many tries that were not good.
    Unlock {
        #[command(flatten)]
        of: Of,
    },
}

pub(crate) fn run(command: Command) -> ExitCode {
    match command {
        Command::Create {
            from,
            name,
            role,
            tenant,
            shown,
            extension,
            language,
            email,
            subject,
            by,
        } => {
            let body = CreatePerson {
                name,
                shown,
                tenant,
                role,
                extension,
                language,
                email,
                subject,
                by: Some(by),
            };
            from.show("/v1/people", Some(json(&body)), |person: Person| {
                say!("{}  {}", person.id, person.name);
                eprintln!(
                    "next: ivrpay person password {0}, ivrpay person second-factor {0}",
                    person.name
                );
                Ok(())
            })
        }
        Command::List { from, tenant } => {
            let path = filtered("/v1/people?".to_owned(), [("tenant", tenant)]);
            from.show(path.replace("?&", "?").trim_end_matches('?'), None, list)
        }
        Command::Password { of, file } => {
            let password = match password(file.as_deref()) {
                Ok(password) => password,
                Err(error) => return fail(&error),
            };
            let body = SetPassword {
                password,
                by: Some(of.by.clone()),
            };
            done(&of, "password", &json(&body), "has a new password")
        }
        Command::SecondFactor { of } => {
            let body = json(&asks(&of));
            with(&of, "second-factor", body, |factor: SecondFactor| {
                say!("{}", factor.uri.0);
                say!("secret: {}", factor.secret.0);
                eprintln!("next: ivrpay person confirm {} --code …", of.person);
                Ok(())
            })
        }
        Command::Confirm { of, code } => {
            let body = json(&ConfirmFactor {
                code: Secret(code),
                by: Some(of.by.clone()),
            });
            let path = "second-factor/confirm";
            with(&of, path, body, |RecoveryCodes { codes }| {
                for code in &codes {
                    say!("{}", code.0);
                }
                eprintln!("each of these signs in once, where the authenticator is lost");
                Ok(())
            })
        }
        Command::Disable { of } => done(&of, "disable", &json(&asks(&of)), "may not sign in"),
        Command::Enable { of } => done(&of, "enable", &json(&asks(&of)), "may sign in"),
        Command::Unlock { of } => done(&of, "unlock", &json(&asks(&of)), "may try again"),
    }
}

fn asks(of: &Of) -> WhoAsks {
    WhoAsks {
        by: Some(of.by.clone()),
    }
}

fn done(of: &Of, what: &str, body: &[u8], says: &str) -> ExitCode {
    with(of, what, body.to_vec(), |person: Person| {
        say!("{} {says}", person.name);
        Ok(())
    })
}

fn with<T: serde::de::DeserializeOwned>(
    of: &Of,
    what: &str,
    body: Vec<u8>,
    show: impl FnOnce(T) -> anyhow::Result<()>,
) -> ExitCode {
    let id = match id(of) {
        Ok(id) => id,
        Err(code) => return code,
    };
    let path = format!("/v1/people/{}/{what}", encode(&id));
    of.from.show(&path, Some(body), show)
}

/// The id of a person who is named.
fn id(of: &Of) -> Result<String, ExitCode> {
    if uuid::Uuid::parse_str(&of.person).is_ok() {
        return Ok(of.person.clone());
    }
    let socket = of.from.socket_of_service()?;
    let answer = runtime()
        .and_then(|runtime| runtime.block_on(ask(&socket, "/v1/people", None)))
        .and_then(|answer| Ok(serde_json::from_str::<People>(&answer)?))
        .map_err(|error| fail(&error))?;
    let name = of.person.to_lowercase();
    let mut people = answer.people.into_iter();
    people
        .find(|person| person.name == name)
        .map(|person| person.id.to_string())
        .ok_or_else(|| {
            fail(&anyhow::anyhow!(
                "there is no person {name}; `ivrpay person list` has all"
            ))
        })
}

/// Never an argument: those are everybody's to read.
fn password(file: Option<&Path>) -> anyhow::Result<Secret> {
    if file.is_none() && std::io::stdin().is_terminal() {
        let password = rpassword::prompt_password("new password: ")?;
        if password != rpassword::prompt_password("once more: ")? {
            bail!("they are not the same");
        }
        return Ok(Secret(password));
    }
    let mut text = String::new();
    match file {
        Some(file) => std::fs::File::open(file)
            .and_then(|file| file.take(PASSWORD_MAX).read_to_string(&mut text))
            .with_context(|| format!("{}", file.display()))?,
        None => std::io::stdin()
            .take(PASSWORD_MAX)
            .read_to_string(&mut text)
            .context("standard input")?,
    };
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        bail!("there is no password in the first line");
    }
    Ok(Secret(line.to_owned()))
}

fn list(People { people }: People) -> anyhow::Result<()> {
    if people.is_empty() {
        say!("nobody; make somebody with: ivrpay person create");
        return Ok(());
    }
    say!(
        "{:<36}  {:<20}  {:<10}  {:<12}  {:<9}  state",
        "id",
        "name",
        "role",
        "tenant",
        "extension"
    );
    for person in &people {
        let state = if person.disabled_at.is_some() {
            "disabled".to_owned()
        } else if let Some(until) = &person.locked_until {
            format!("locked until {until}")
        } else if person.single_sign_on || person.password && person.second_factor {
            "may sign in".to_owned()
        } else if person.password {
            "without a second factor".to_owned()
        } else {
            "without a password".to_owned()
        };
        say!(
            "{:<36}  {:<20}  {:<10}  {:<12}  {:<9}  {state}",
            person.id.to_string(),
            person.name,
            person.role,
            person.tenant.as_deref().unwrap_or("(all)"),
            person.extension.as_deref().unwrap_or("-"),
        );
    }
    Ok(())
}
