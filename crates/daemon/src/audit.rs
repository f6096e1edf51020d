//! Asks a running Asterisk what `ivrpay audit` wants to know: over ARI, and over AMI where `[ami]` is set.
//!
//! It only reads. Each question that brings no answer carries its reason; one that finds Asterisk gone or silent is the last one
//! on that way, so that an audit ends soon. Numbers of questions are bounded by the limits below.

use std::collections::BTreeMap;

use ivrpay_ari::{Client, RequestError};
use ivrpay_audit::{
    AskedFile, COMMANDS, FILE_VALUES, Look, PJSIP_SETTINGS, Seen, SeenApp, SeenChannel, SeenLog,
    manager_users,
};
use jiff::civil::Date;

use crate::config::Config;

/// PJSIP endpoints that are asked for.
const ENDPOINTS_MAX: usize = 2_000;
/// AMI users that are asked for.
const USERS_MAX: usize = 128;
/// Stasis applications that are asked for over AMI.
const APPS_MAX: usize = 32;
/// Channels whose recorders are asked for.
const CHANNELS_MAX: usize = 256;
/// Lines of one key in a file that are asked for, where all of them count.
const LINES_MAX: usize = 16;

/// Asks everything. `today` is for what is out of date.
pub async fn see(config: &Config, today: Date) -> Seen {
    let (ari, trouble) = match Client::new(&config.ari) {
        Ok(client) => (Some(client), None),
        Err(error) => (None, Some(format!("{error}; {}", error.hint()))),
    };
    let mut way = Way { trouble };
    let mut seen = Seen {
        today,
        our_app: config.ari.app.clone(),
        our_user: config.ari.user.clone(),
        version: Err(String::new()),
        build_options: Err(String::new()),
        logging: Err(String::new()),
        modules: Err(String::new()),
        applications: Err(String::new()),
        channels: Err(String::new()),
        endpoints: Err(String::new()),
        pjsip_global: Err(String::new()),
        file_values: Err(String::new()),
        commands: Err(String::new()),
    };
    over_ari(&mut seen, ari.as_ref(), &mut way).await;
    seen.commands = over_ami(config, &mut seen).await;
    seen
}

/// One way to Asterisk; once it is broken, nothing more is asked on it.
struct Way {
    trouble: Option<String>,
}

impl Way {
    /// The answer to a question over ARI, if it is worth asking.
    async fn ask<T>(&mut self, question: impl Future<Output = Result<T, RequestError>>) -> Look<T> {
        if let Some(trouble) = &self.trouble {
            return Err(trouble.clone());
        }
        question.await.map_err(|error| {
            let because = because(&error);
            let broken = matches!(
                error,
                RequestError::NotSent { .. }
                    | RequestError::OutcomeUnknown
                    | RequestError::Refused {
                        status: 401 | 403 | 503
                    }
            );
            if broken {
                self.trouble = Some(because.clone());
            }
            because
        })
    }
}

/// A failed question in words: nothing was to be carried out.
fn because(error: &RequestError) -> String {
    let fact = match error {
        RequestError::NotSent { .. } => "Asterisk's ARI can't be reached".to_owned(),
        RequestError::OutcomeUnknown => "Asterisk gave no whole answer over ARI".to_owned(),
        RequestError::Gone => {
            "this Asterisk does not know the question, or not what was asked for".to_owned()
        }
        RequestError::Refused { status: 401 } => {
            "Asterisk refused the ARI user or password".to_owned()
        }
        error => error.to_string(),
    };
    match error.hint() {
        Some(hint) => format!("{fact}; {hint}"),
        None => fact,
    }
}

async fn over_ari(seen: &mut Seen, client: Option<&Client>, way: &mut Way) {
    // Without one, the way is broken from the start; the question is never put.
    macro_rules! ask {
        ($client:ident => $question:expr) => {
            match client {
                Some($client) => way.ask($question).await,
                None => Err(way.trouble.clone().unwrap_or_default()),
            }
        };
    }
    let info = ask!(c => c.info());
    seen.version = info
        .as_ref()
        .map(|i| i.version.clone())
        .map_err(Clone::clone);
    seen.build_options = info.map(|i| i.build_options);
    seen.logging = ask!(c => c.logging()).map(|logs| {
        let of = |l: ivrpay_ari::LogChannel| SeenLog {
            name: l.channel,
            kind: l.kind,
            enabled: l.status.eq_ignore_ascii_case("Enabled"),
            levels: l.configuration,
        };
        logs.into_iter().map(of).collect()
    });
    seen.modules = ask!(c => c.modules()).map(|modules| {
        let running = modules.into_iter().filter(|m| m.status == "Running");
        running.map(|m| m.name).collect()
    });
    seen.applications = ask!(c => c.applications()).map(|apps| {
        let of = |a: ivrpay_ari::Application| SeenApp {
            name: a.name,
            channel_ids: a.channel_ids,
            endpoint_ids: a.endpoint_ids,
            allowed: a.events_allowed,
            disallowed: a.events_disallowed,
        };
        apps.into_iter().map(of).collect()
    });
    let channels = ask!(c => c.channels());
    let has_pjsip = |modules: &Look<Vec<String>>| {
        modules
            .as_ref()
            .map_or(true, |m| m.iter().any(|name| name == "res_pjsip.so"))
    };
    seen.pjsip_global = if has_pjsip(&seen.modules) {
        ask!(c => c.pjsip_settings("global", "global")).map(settings)
    } else {
        Ok(BTreeMap::new())
    };
    seen.endpoints = match ask!(c => c.endpoints()) {
        Ok(endpoints) => {
            let mut all = BTreeMap::new();
            let pjsip = endpoints.into_iter().filter(|e| e.technology == "PJSIP");
            for (number, endpoint) in pjsip.enumerate() {
                let name = endpoint.resource;
                let look = if number < ENDPOINTS_MAX {
                    ask!(c => c.pjsip_settings("endpoint", &name)).map(settings)
                } else {
                    Err(format!(
                        "more than {ENDPOINTS_MAX} endpoints are not asked for"
                    ))
                };
                all.insert(name, look);
            }
            Ok(all)
        }
        Err(because) => Err(because),
    };
    let first = match &channels {
        Ok(channels) => channels.first().map(|ch| ch.id.clone()).ok_or_else(|| {
            "they are read over AMI, or through a channel, and there is none at the moment; look again during a call, or at the files with --files".to_owned()
        }),
        Err(because) => Err(because.clone()),
    };
    seen.file_values = match (client, first) {
        (Some(client), Ok(channel)) => {
            file_values(async |function| {
                let question = async {
                    match client.get_variable(&channel, &function).await {
                        // What is not written there is answered with 500, as what can't be read.
                        Err(RequestError::Refused { status: 500 }) => Ok(None),
                        answer => answer,
                    }
                };
                way.ask(question).await
            })
            .await
        }
        (_, first) => Err(first.err().unwrap_or_default()),
    };
    let app = seen.our_app.clone();
    seen.channels = channels.map(|channels| {
        let of = |ch: ivrpay_ari::Channel| SeenChannel {
            ours: ch.is_in(&app),
            id: ch.id.to_string(),
            name: ch.name,
            app: ch.dialplan.app_name,
        };
        channels.into_iter().map(of).collect()
    });
}

/// Values of files, by a function of the dialplan; `read` gives its value.
async fn file_values(
    mut read: impl AsyncFnMut(String) -> Look<Option<String>>,
) -> Look<BTreeMap<AskedFile, Option<String>>> {
    let mut values = BTreeMap::new();
    for asked in FILE_VALUES {
        let of = |index: &str| {
            format!(
                "AST_CONFIG({},{},{},{index})",
                asked.file, asked.section, asked.key
            )
        };
        // Of all others the last line counts.
        let value = if asked.key == "events" {
            let mut lines = Vec::new();
            for index in 0..LINES_MAX {
                let Some(line) = read(of(&index.to_string())).await? else {
                    break;
                };
                lines.push(line);
            }
            if lines.len() == LINES_MAX {
                // More than anybody writes: not read to its end.
                lines.push("ALL".to_owned());
            }
            (!lines.is_empty()).then(|| lines.join(","))
        } else {
            read(of("-1")).await?
        };
        values.insert(asked, value);
    }
    // An Asterisk that has the files has one of these.
    if values.values().all(Option::is_none) {
        return Err("Asterisk gave none of them; load func_config.so, and see its log".to_owned());
    }
    Ok(values)
}

fn settings(settings: Vec<ivrpay_ari::Setting>) -> BTreeMap<String, String> {
    settings
        .into_iter()
        .map(|s| (s.attribute, s.value))
        .collect()
}

/// The commands of [`COMMANDS`], and those for each user, application and channel of ours. Values of files too, where there was no
/// channel to read them through.
async fn over_ami(config: &Config, seen: &mut Seen) -> Look<BTreeMap<String, Look<Vec<String>>>> {
    let Some(ami) = &config.ami else {
        return Err(
            "there is no [ami] in the configuration; add it, with the user ivrpay-audit of asterisk-conf/ivrpay-manager.conf"
                .to_owned(),
        );
    };
    let words = |error: ivrpay_ami::Error| format!("{error}; {}", error.hint());
    let (client, _events) = ivrpay_ami::connect(ami).await.map_err(words)?;
    if seen.file_values.is_err() {
        seen.file_values = file_values(async |function| {
            let answer = client.action("Getvar", &[("Variable", &function)]).await;
            let answer = answer.map_err(words)?;
            let value = answer.get("Value").unwrap_or_default();
            // What is not written there is empty, as what can't be read.
            Ok((!value.is_empty()).then(|| value.to_owned()))
        })
        .await;
    }
    let mut outputs = BTreeMap::new();
    let mut broken: Option<String> = None;
    let mut open: Vec<String> = Vec::new();
    if seen
        .modules
        .as_ref()
        .is_ok_and(|m| m.iter().any(|name| name == "res_pjsip.so"))
    {
        open.push(PJSIP_SETTINGS.to_owned());
    }
    let apps = seen.applications.iter().flatten().take(APPS_MAX);
    open.extend(
        apps.filter(|a| is_word(&a.name))
            .map(|a| format!("ari show app {}", a.name)),
    );
    let ours = seen
        .channels
        .iter()
        .flatten()
        .filter(|ch| ch.ours && is_word(&ch.name));
    open.extend(
        ours.take(CHANNELS_MAX)
            .map(|ch| format!("mixmonitor list {}", ch.name)),
    );
    // The last may be longer than is taken, which ends the connection.
    open.extend(COMMANDS.iter().map(|c| (*c).to_owned()));
    let mut next = 0;
    while let Some(command) = open.get(next).cloned() {
        next += 1;
        let output = match &broken {
            Some(because) => Err(because.clone()),
            None => client.command(&command).await.map_err(|error| {
                use ivrpay_ami::Error;
                if matches!(error, Error::Closed | Error::TimedOut | Error::TooMuch(_)) {
                    broken = Some(words(error));
                }
                words(error)
            }),
        };
        if command == "manager show users" {
            let users = output.as_deref().map(manager_users).unwrap_or_default();
            let users = users.into_iter().filter(|u| is_word(u)).take(USERS_MAX);
            open.splice(next..next, users.map(|u| format!("manager show user {u}")));
        }
        outputs.insert(command, output);
    }
    Ok(outputs)
}

/// Whether a name may stand in a command: one word, so that it can't be another command.
fn is_word(name: &str) -> bool {
    let good = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
    !name.is_empty() && name.len() <= 128 && name.chars().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CEL takes every line `events`; of all other keys the last one counts.
    #[tokio::test]
    async fn every_line_of_events_is_read() {
        let values = file_values(async |function| {
            let lines: &[&str] = match function.as_str() {
                f if f.starts_with("AST_CONFIG(cel.conf,general,events,") => &["ALL", "CHAN_START"],
                f if f.starts_with("AST_CONFIG(cel.conf,general,enable,") => &["no", "yes"],
                _ => &[],
            };
            let index = function
                .trim_end_matches(')')
                .rsplit(',')
                .next()
                .unwrap_or_default();
            let line = match index.parse::<usize>() {
                Ok(index) => lines.get(index),
                Err(_) => lines.last(),
            };
            Ok(line.map(|l| (*l).to_owned()))
        })
        .await
        .expect("values");
        let of = |key: &str| {
            let found = values
                .iter()
                .find(|(a, _)| a.file == "cel.conf" && a.key == key);
            found.and_then(|(_, value)| value.as_deref())
        };
        assert_eq!(of("events"), Some("ALL,CHAN_START"));
        assert_eq!(of("enable"), Some("yes"));
    }

    #[test]
    fn only_words_go_into_commands() {
        for (name, expected) in [
            ("admin", true),
            ("PJSIP/trunk-00000001", true),
            ("a b", false),
            ("a\r\nAction: x", false),
            ("a\"b", false),
            ("", false),
        ] {
            assert_eq!(is_word(name), expected, "{name:?}");
        }
    }
}
