//! `ivrpay audit --canary`: what a call with a published test card left behind, place by place.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use ivrpay_daemon::canary::{self, Ended, Extension, Look, Place, Report, Request};
use ivrpay_daemon::config::Config;
use ivrpay_payment::OperatorId;
use serde::Serialize;

use super::recording;
use super::show::Form;
use crate::{Exit, fail, no_signals, runtime, stop_signal};

/// One line of JSON. Reading programs tell them apart by `kind`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Line<'a> {
    Place {
        place: &'a str,
        found: u64,
        forms: &'a BTreeMap<&'static str, u64>,
        own_keys: u64,
        bytes: u64,
        note: Option<&'a str>,
    },
    NotLookedAt {
        place: &'a str,
        because: &'a str,
    },
    Refused {
        place: &'static str,
        danger: &'static str,
        why: &'static str,
        hint: &'static str,
    },
    Summary {
        payment: String,
        person: &'a str,
        time: jiff::Timestamp,
        result: &'a str,
        places: usize,
        found: usize,
        not_looked_at: usize,
    },
}

const GUARD: &str = "the service's guard";

pub(super) fn run(
    config: &Config,
    person: OperatorId,
    extension: Extension,
    form: Form,
) -> ExitCode {
    // Recordings are listened to in secret memory.
    if let Err(code) = recording::prepare() {
        return code;
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let request = Request { person, extension };
    let done = runtime.block_on(async {
        // From here on a signal no longer ends the process before the call is hung up.
        let stop = stop_signal()?;
        let terminal = std::io::stderr().is_terminal();
        let mut tell = |what: &str| {
            if terminal {
                eprintln!("canary: {what}");
            }
        };
        Ok::<_, std::io::Error>(canary::run(config, &request, stop, &mut tell).await)
    });
    // A search of files that was stopped sees so at its next piece.
    runtime.shutdown_background();
    let mut report = match done {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => {
            eprintln!("ivrpay: {error}\nhint: {}", error.hint());
            return Exit::Failed.into();
        }
        Err(error) => return no_signals(&error),
    };
    if matches!(report.ended, Ended::Keyed(_)) {
        listen(&mut report);
    }
    show(&report, request.person.as_str(), form)
}

/// Listens to the recordings that were written meanwhile: one more place.
fn listen(report: &mut Report) {
    let look = match &report.recordings {
        Err(because) => Look::Not(because.clone()),
        Ok(files) => {
            let heard = recording::audible(files);
            let mut forms = BTreeMap::new();
            if heard.with_number > 0 {
                forms.insert("audible keys", heard.with_number);
            }
            let unread = match heard.unread {
                0 => String::new(),
                n => format!(", {n} more could not be read"),
            };
            Look::Searched {
                bytes: heard.bytes,
                forms,
                own: 0,
                note: Some(format!("{} recordings were written{unread}", heard.files)),
            }
        }
    };
    report.places.push(Place {
        name: "recordings in Asterisk's spool folder, listened to".to_owned(),
        look,
    });
}

fn json(line: &Line<'_>) {
    say!("{}", serde_json::to_string(line).unwrap_or_default());
}

fn show(report: &Report, person: &str, form: Form) -> ExitCode {
    let (mut searched, mut found, mut not_looked_at) = (0, 0, 0);
    for place in &report.places {
        let name = place.name.as_str();
        match &place.look {
            Look::Searched {
                bytes,
                forms,
                own,
                note,
            } => {
                searched += 1;
                let count: u64 = forms.values().sum();
                found += usize::from(count > 0);
                if form == Form::Json {
                    json(&Line::Place {
                        place: name,
                        found: count,
                        forms,
                        own_keys: *own,
                        bytes: *bytes,
                        note: note.as_deref(),
                    });
                    continue;
                }
                let mark = if count > 0 { "FOUND" } else { "0" };
                let note = note.as_ref().map(|n| format!(", {n}")).unwrap_or_default();
                say!("{mark:<6} {name} ({} KiB{note})", bytes.div_ceil(1024));
                for (form, count) in forms {
                    say!("{:<6}   {count} x {form}", "");
                }
                if *own > 0 {
                    say!(
                        "{:<6}   not counted: {own} keys of the canary's own half, which no caller has",
                        ""
                    );
                }
            }
            Look::Not(because) => {
                not_looked_at += 1;
                if form == Form::Json {
                    json(&Line::NotLookedAt {
                        place: name,
                        because,
                    });
                } else {
                    say!("not looked at: {name}, because {because}");
                }
            }
        }
    }
    let result = match &report.ended {
        Ended::Keyed(result) => result.as_str(),
        Ended::Refused(danger) => {
            (searched, found) = (1, 1);
            if form == Form::Json {
                json(&Line::Refused {
                    place: GUARD,
                    danger: danger.name(),
                    why: danger.why(),
                    hint: danger.hint(),
                });
            } else {
                say!(
                    "FOUND  {GUARD} let nobody be asked for a card: {danger}, {}",
                    danger.why()
                );
                say!("{:<6}   hint: {}", "", danger.hint());
            }
            "refused"
        }
    };
    if form == Form::Json {
        json(&Line::Summary {
            payment: report.payment.to_string(),
            person,
            time: jiff::Timestamp::now(),
            result,
            places: searched,
            found,
            not_looked_at,
        });
    } else {
        say!(
            "payment {} of {person} (practice), call ended as {result}",
            report.payment
        );
        say!("audit: canary: {searched} places, {found} found, {not_looked_at} not looked at");
    }
    // A call that did not come to its end shows nothing of the rest.
    if found > 0 || result != "success" {
        Exit::Failed.into()
    } else {
        Exit::Done.into()
    }
}
