//! What an audit says.

use std::fmt;

use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing; nothing leaks by it alone.
    Note,
    /// Leaks together with something else.
    Warning,
    /// Leaks with one command more, or takes a protection away.
    High,
    /// Keys of cards are stored, shown or sent out as it stands.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// One kind of finding: a row of [`CATALOGUE`](crate::CATALOGUE).
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// Short name that stays.
    pub id: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Asterisk versions that it concerns.
    pub versions: &'static str,
    /// Why, with the place in Asterisk's source where that helps.
    pub why: &'static str,
}

/// Where a finding is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case", untagged)]
pub enum Place {
    /// A line of a file; line 0 = the file as a whole, or its absence.
    File {
        /// Path below the folder.
        file: String,
        /// From 1.
        line: u32,
    },
    /// The running Asterisk.
    Running {
        /// What was asked.
        running: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line: 0 } => write!(f, "{file}"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Running { running } => write!(f, "{running}"),
        }
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Write this line in its place.
    Replace(String),
    /// Take the line out.
    Delete,
    /// Write this line right before it.
    Above(String),
    /// Write this line right behind it, into the same section.
    Below(String),
    /// Write these lines into a file, below everything else that is there.
    Add {
        /// The file.
        file: String,
        /// The lines.
        lines: Vec<String>,
    },
    /// Type this at Asterisk's command line.
    Run(String),
    /// What a line can't say.
    Do(String),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replace(line) => write!(f, "write instead: {line}"),
            Self::Delete => write!(f, "take this line out"),
            Self::Above(line) => write!(f, "write before it: {line}"),
            Self::Below(line) => write!(f, "write behind it: {line}"),
            Self::Add { file, lines } => write!(f, "add to {file}: {}", lines.join(" | ")),
            Self::Run(command) => write!(f, "at Asterisk's command line: {command}"),
            Self::Do(text) => write!(f, "{text}"),
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Finding {
    /// Which [`Check`].
    pub id: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What stands there; never a password, never a long row of digits.
    pub found: String,
    /// Why it is a finding.
    pub why: &'static str,
    /// What to do.
    pub change: Change,
    /// Where FreePBX lets it be changed, as it writes the file itself anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freepbx: Option<&'static str>,
    /// Asterisk versions that it concerns.
    pub versions: &'static str,
}

/// A place that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NotLookedAt {
    /// Which.
    pub place: String,
    /// Why not, and what to do.
    pub because: String,
}

/// What an audit found, and how far it saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst first, then by place.
    pub findings: Vec<Finding>,
    /// Places that were looked at.
    pub looked_at: Vec<String>,
    /// Places that were not.
    pub not_looked_at: Vec<NotLookedAt>,
    /// Whether a part of what Asterisk reads could not be: it may hold anything, so that no finding is no proof.
    pub incomplete: bool,
}

impl Report {
    /// Findings of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|f| f.severity == severity)
            .count()
    }

    /// Whether somebody has to do something: anything above a note.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.findings.iter().any(|f| f.severity > Severity::Note)
    }

    /// Whether this report speaks about a place: what it does not show there is not there any more.
    #[must_use]
    pub fn covers(&self, place: &Place) -> bool {
        // Files are read all together or not at all.
        let Place::Running { running } = place else {
            return true;
        };
        let looked = |place: &str| self.looked_at.iter().any(|l| l == place);
        // One of many is covered, too, where the list of all shows that it is gone.
        let list = [
            ("PJSIP endpoint ", "PJSIP endpoints"),
            ("manager show user ", "manager show users"),
            ("ari show app ", "Stasis applications"),
            ("mixmonitor list ", "channels"),
            ("dialplan show, globals", "dialplan show globals"),
            ("dialplan show, ", "dialplan show"),
        ];
        let listed = list
            .iter()
            .find(|(one, _)| running.starts_with(one))
            .map(|(_, all)| *all);
        let listed = listed.or_else(|| running.ends_with(".conf").then_some(FILE_VALUES_PLACE));
        looked(running)
            || (listed.is_some_and(looked)
                && !self.not_looked_at.iter().any(|n| n.place == *running))
    }

    pub(crate) fn find(
        &mut self,
        check: &'static Check,
        place: Place,
        found: impl AsRef<str>,
        change: Change,
    ) {
        self.findings.push(Finding {
            id: check.id,
            severity: check.severity,
            place,
            found: shown(found.as_ref()),
            why: check.why,
            change: safe(change),
            freepbx: None,
            versions: check.versions,
        });
    }

    pub(crate) fn looked(&mut self, place: impl Into<String>) {
        self.looked_at.push(place.into());
    }

    pub(crate) fn not_looked(&mut self, place: impl AsRef<str>, because: impl Into<String>) {
        self.not_looked_at.push(NotLookedAt {
            place: shown(place.as_ref()),
            because: because.into(),
        });
    }

    /// The worst first, each once.
    pub(crate) fn sort(&mut self) {
        self.findings
            .sort_by(|a, b| (b.severity, &a.place, a.id).cmp(&(a.severity, &b.place, b.id)));
        self.findings.dedup();
        self.not_looked_at.sort();
        self.not_looked_at.dedup();
    }
}

/// The place of values of files in a running Asterisk. They need a channel, so that it comes and goes with calls.
pub const FILE_VALUES_PLACE: &str = "values of files (AST_CONFIG)";
/// Longest text of a configuration that is shown, in characters.
const SHOWN_MAX: usize = 400;
/// Digits in a row that are not shown: the shortest card number has twelve (ISO/IEC 7812-1).
const DIGITS_MAX: usize = 12;

/// A text from outside as it may stand in a report: one line, no control characters for a terminal, no card number.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    // Digits with single blanks or dashes between them.
    let mut run = String::new();
    for c in text.chars().take(SHOWN_MAX) {
        if c.is_ascii_digit()
            || (matches!(c, ' ' | '-') && run.ends_with(|d: char| d.is_ascii_digit()))
        {
            run.push(c);
            continue;
        }
        flush(&mut shown, &mut run);
        shown.push(if c.is_control() { ' ' } else { c });
    }
    flush(&mut shown, &mut run);
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    without_passwords(&shown)
}

/// Takes the password out of `user:password@host`; `sip:user@host` has none.
fn without_passwords(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('@') {
        let password = before
            .rfind(|c: char| " /,(&=".contains(c))
            .map_or(0, |at| at + 1);
        let user = before.get(password..).unwrap_or_default();
        match user.rsplit_once(':') {
            Some((name, _)) if !["sip", "sips", "tel"].contains(&name) && !name.is_empty() => {
                shown.push_str(before.get(..password + name.len()).unwrap_or_default());
                shown.push_str(":…");
            }
            _ => shown.push_str(before),
        }
        shown.push('@');
        rest = after;
    }
    shown + rest
}

fn flush(shown: &mut String, run: &mut String) {
    if run.bytes().filter(u8::is_ascii_digit).count() < DIGITS_MAX {
        shown.push_str(run);
    } else {
        shown.push_str("[digits]");
    }
    run.clear();
}

fn safe(change: Change) -> Change {
    match change {
        Change::Replace(line) => Change::Replace(shown(&line)),
        Change::Above(line) => Change::Above(shown(&line)),
        Change::Below(line) => Change::Below(shown(&line)),
        Change::Add { file, lines } => Change::Add {
            file: shown(&file),
            lines: lines.iter().map(|l| shown(l)).collect(),
        },
        Change::Run(command) => Change::Run(shown(&command)),
        Change::Delete => Change::Delete,
        Change::Do(text) => Change::Do(shown(&text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_looked_at_is_not_gone() {
        let mut report = Report::default();
        report.looked("log channels");
        report.looked("manager show users");
        report.looked("PJSIP endpoints");
        report.not_looked("PJSIP endpoint b", "Asterisk gave no whole answer");
        report.not_looked("channels", "Asterisk gave no whole answer");
        for (place, expected) in [
            ("log channels", true),
            ("manager show user x", true),
            ("PJSIP endpoint a", true),
            ("PJSIP endpoint b", false),
            ("channels", false),
            ("mixmonitor list PJSIP/a-1", false),
            ("cel.conf", false),
        ] {
            let place = Place::Running {
                running: place.into(),
            };
            assert_eq!(report.covers(&place), expected, "{place}");
        }
    }

    #[test]
    fn texts_from_outside_are_harmless() {
        for (text, expected) in [
            ("full => dtmf", "full => dtmf"),
            ("a\u{1b}[2Jb\nc", "a [2Jb c"),
            ("Dial(PJSIP/0312345678@t)", "Dial(PJSIP/0312345678@t)"),
            ("x123456789012y", "x[digits]y"),
            ("x1234 5678-9012 3y", "x[digits]y"),
            ("1234 5678  9", "1234 5678  9"),
            ("Dial(SIP/me:pass@host,30,t)", "Dial(SIP/me:…@host,30,t)"),
            ("Dial(PJSIP/t/sip:1@h&a@b)", "Dial(PJSIP/t/sip:1@h&a@b)"),
        ] {
            assert_eq!(shown(text), expected);
        }
        assert_eq!(shown(&"é".repeat(500)).chars().count(), SHOWN_MAX + 1);
    }
}
