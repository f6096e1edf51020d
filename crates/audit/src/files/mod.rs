//! What the files of a configuration folder say.
//!
//! Every file is judged with what Asterisk does when it, or a line of it, is absent. What a file can't tell (database
//! configurations, programs, other dialplan languages) is listed as not looked at.

mod ari;
mod cel;
mod core;
mod dialplan;
mod features;
mod freepbx;
mod logger;
mod manager;
mod modules;
mod pjsip;
mod recorders;
mod records;
mod sip;

use std::collections::BTreeSet;

use crate::catalogue as c;
use crate::conf::{At, Conf, Entry, Section, What};
use crate::finding::{Change, Check, Place, Report};
use crate::tree::Tree;

pub(crate) use cel::WITHOUT_KEYS;
pub(crate) use dialplan::Rights;
pub(crate) use manager::{DIALPLAN, KEYS, sees};
pub(crate) use modules::LOADED;

/// Files that only an Asterisk has: one of them makes a folder one of Asterisk.
pub const KNOWN: [&str; 7] = [
    "asterisk.conf",
    "modules.conf",
    "extensions.conf",
    "logger.conf",
    "pjsip.conf",
    "manager.conf",
    "ari.conf",
];

/// The folder holds no configuration of Asterisk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no configuration of Asterisk: none of asterisk.conf, modules.conf, extensions.conf, logger.conf, pjsip.conf, manager.conf and ari.conf is there"
)]
pub struct NotAsterisk;

/// Audits the files of a folder.
///
/// # Errors
/// [`NotAsterisk`].
pub fn files(tree: &Tree) -> Result<Report, NotAsterisk> {
    if !KNOWN.iter().any(|file| tree.has(file)) {
        return Err(NotAsterisk);
    }
    let mut cx = Cx {
        tree,
        report: Report::default(),
        freepbx: freepbx::is(tree),
        read: BTreeSet::new(),
    };
    let modules = cx.conf("modules.conf");
    let stasis = cx.conf("stasis.conf");
    logger::check(&mut cx);
    let ami = manager::check(&mut cx);
    ari::check(&mut cx);
    cel::check(&mut cx, stasis.as_ref());
    let recording = features::recording(&mut cx);
    let given =
        pjsip::check(&mut cx, &recording) | sip::check(&mut cx, modules.as_ref(), &recording);
    let seen = dialplan::check(&mut cx, modules.as_ref(), &recording);
    let rights = if given { Rights::Some } else { seen.rights };
    features::check(&mut cx, rights);
    recorders::check(&mut cx);
    records::check(&mut cx, &seen.keyed);
    modules::check(&mut cx, modules.as_ref());
    modules::stasis(&mut cx, stasis.as_ref(), ami);
    core::check(&mut cx);
    let mut report = cx.report;
    report.sort();
    Ok(report)
}

/// A dialplan that was read from elsewhere: what is found in it, at the places of its entries, and whom it gives rights.
pub(crate) fn judge_dialplan(conf: &Conf) -> (Report, dialplan::Rights) {
    let tree = Tree::new("");
    let mut cx = Cx {
        tree: &tree,
        report: Report::default(),
        freepbx: false,
        read: BTreeSet::new(),
    };
    // Which features record, `features show` does not tell.
    let seen = dialplan::contexts(&mut cx, conf, &BTreeSet::new());
    (cx.report, seen.rights)
}

/// What all checks share.
struct Cx<'a> {
    tree: &'a Tree,
    report: Report,
    freepbx: bool,
    /// Files that were looked at.
    read: BTreeSet<String>,
}

impl Cx<'_> {
    /// Reads a configuration and reports what can't be followed in it.
    fn conf(&mut self, file: &str) -> Option<Conf> {
        let Some(conf) = Conf::read(self.tree, file) else {
            self.report.looked(format!("{file} (absent: the defaults)"));
            return None;
        };
        let included = conf.includes.iter().map(|i| &*i.file);
        for file in std::iter::once(file).chain(included) {
            if self.read.insert(file.to_owned()) {
                self.report.looked(file);
            }
        }
        // What was not followed may hold what seems to be absent.
        let unseen = conf
            .troubles
            .iter()
            .any(|t| matches!(t.what, What::Exec | What::Outside(_) | What::Limit(_)));
        if unseen {
            self.incomplete();
        }
        for trouble in &conf.troubles {
            match &trouble.what {
                What::Refused(why) if unseen && why.contains("is not there") => {
                    self.report.not_looked(
                        format!("what follows {}:{}", trouble.at.file, trouble.at.line),
                        format!("it needs {why}, which may stand in what could not be followed"),
                    );
                }
                What::Exec => self.find(
                    c::CONF_EXEC,
                    &trouble.at,
                    "#exec",
                    Change::Do("look at what the program writes".into()),
                ),
                What::Missing(name) => self.find(
                    c::CONF_REFUSED,
                    &trouble.at,
                    format!("#include {name}: there is no such file"),
                    Change::Replace(format!("#tryinclude {name}")),
                ),
                What::Refused(why) => self.find(
                    c::CONF_REFUSED,
                    &trouble.at,
                    *why,
                    Change::Do(
                        "mend the line; `asterisk -rx \"module reload\"` shows whether it is taken"
                            .into(),
                    ),
                ),
                What::Outside(name) => self.report.not_looked(
                    format!("{} ({}:{})", name, trouble.at.file, trouble.at.line),
                    "it lies outside of the folder and was not found, or its name is a pattern that is not followed",
                ),
                What::Limit(limit) => self.report.not_looked(
                    format!("what follows {}:{}", trouble.at.file, trouble.at.line),
                    format!("there is more than the limit of {limit} allows"),
                ),
                What::Skipped(_) => {}
            }
        }
        Some(conf)
    }

    /// Something that Asterisk reads was not read: the exit code has to say so.
    fn incomplete(&mut self) {
        self.report.incomplete = true;
    }

    /// The first section of a name, for files of which Asterisk reads no other; a second one is a finding.
    fn only<'c>(&mut self, conf: &'c Conf, name: &str) -> Option<&'c Section> {
        let mut same = conf
            .sections()
            .filter(|s| s.name.eq_ignore_ascii_case(name));
        let first = same.next();
        for again in same.filter(|s| !s.entries.is_empty()) {
            self.find(
                c::CONF_TWICE,
                &again.at,
                format!("[{name}] for the second time"),
                Change::Replace(format!("[{name}](+)")),
            );
        }
        first
    }

    fn find(&mut self, check: &'static Check, at: &At, found: impl AsRef<str>, change: Change) {
        let place = Place::File {
            file: at.file.to_string(),
            line: at.line,
        };
        self.report.find(check, place, found, change);
        if self.freepbx
            && let Some(last) = self.report.findings.last_mut()
        {
            last.freepbx = freepbx::twin(&at.file);
        }
    }

    /// A finding about an absent file.
    fn find_absent(
        &mut self,
        check: &'static Check,
        file: &str,
        found: impl AsRef<str>,
        lines: &[&str],
    ) {
        let at = At {
            file: file.into(),
            line: 0,
        };
        self.find(
            check,
            &at,
            found,
            Change::Add {
                file: file.to_owned(),
                lines: lines.iter().map(|l| (*l).to_owned()).collect(),
            },
        );
    }

    /// A finding at an entry, which is to be written with another value.
    fn find_value(&mut self, check: &'static Check, entry: &Entry, value: &str) {
        self.find(check, &entry.at, line(entry), replace(entry, value));
    }

    /// Where lines for a section go: into the file itself, or on FreePBX into the twin that it leaves alone.
    fn add(&self, conf: &Conf, section: &str, lines: Vec<String>) -> Change {
        let custom = conf.includes.iter().filter(|i| i.file.contains("_custom"));
        let inside = |i: &&crate::conf::Include| i.section.as_deref() == Some(section);
        let file = if self.freepbx {
            let best = custom
                .clone()
                .find(inside)
                .or_else(|| custom.clone().next());
            best.map_or(&conf.file, |i| &i.file)
        } else {
            &conf.file
        };
        let head = if conf.section(section).is_some() {
            format!("[{section}](+)")
        } else {
            format!("[{section}]")
        };
        Change::Add {
            file: file.to_string(),
            lines: std::iter::once(head).chain(lines).collect(),
        }
    }
}

/// An entry as it stands.
fn line(entry: &Entry) -> String {
    let arrow = if entry.arrow { "=>" } else { "=" };
    format!("{} {arrow} {}", entry.key, entry.value)
}

/// An entry with another value.
fn replace(entry: &Entry, value: &str) -> Change {
    let arrow = if entry.arrow { "=>" } else { "=" };
    let line = format!("{} {arrow} {value}", entry.key);
    Change::Replace(line.trim_end().to_owned())
}

/// The words of a list with commas.
fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|w| !w.is_empty())
}

/// Whether an address of a `bindaddr` is this machine alone. `[::1]:8088`, `127.0.0.1:5038` and `localhost` are.
pub(crate) fn is_loopback(address: &str) -> bool {
    let address = address.trim();
    if let Ok(socket) = address.parse::<std::net::SocketAddr>() {
        return socket.ip().is_loopback();
    }
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<std::net::IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => {
            let host = address.split(':').next().unwrap_or_default();
            host.eq_ignore_ascii_case("localhost")
        }
    }
}
