//! Records of calls beside CEL: what AMI gets of them, and the columns that an admin made.

use std::collections::BTreeMap;

use super::{Cx, line, words};
use crate::catalogue as c;
use crate::conf::{At, Conf, Entry};
use crate::dialplan::variables;
use crate::finding::Change;

/// Files with columns of one's own, and the section that has them.
const COLUMNS: [(&str, &str); 4] = [
    ("cdr_custom.conf", "mappings"),
    ("cdr_syslog.conf", "cdr"),
    ("cel_custom.conf", "mappings"),
    ("cel_sqlite3_custom.conf", "master"),
];

/// `keyed`: variables of the dialplan that hold what callers keyed.
pub(super) fn check(cx: &mut Cx<'_>, keyed: &BTreeMap<String, At>) {
    for (file, section) in [
        ("cel_manager.conf", "manager"),
        ("cdr_manager.conf", "general"),
    ] {
        if !cx.tree.has(file) {
            continue;
        }
        let Some(conf) = cx.conf(file) else {
            continue;
        };
        let enabled = conf.section(section).and_then(|s| s.last("enabled"));
        if let Some(enabled) = enabled.filter(|e| Entry::is_true(e)) {
            cx.find_value(c::AMI_RECORDS, enabled, "no");
        }
    }
    for (file, section) in COLUMNS {
        if !cx.tree.has(file) {
            continue;
        }
        let Some(conf) = cx.conf(file) else {
            continue;
        };
        let sections = conf
            .sections()
            .filter(|s| s.name.eq_ignore_ascii_case(section));
        let entries = sections.flat_map(|s| &s.entries);
        for entry in entries {
            let names = variables(&entry.value).into_iter();
            told(cx, entry, names, keyed);
        }
    }
    // Variables of a channel that stand in every event.
    for file in ["manager.conf", "ari.conf"] {
        let Some(conf) = Conf::read(cx.tree, file) else {
            continue;
        };
        let general = conf.section("general");
        if let Some(entry) = general.and_then(|g| g.last("channelvars")) {
            told(cx, entry, words(&entry.value), keyed);
        }
    }
}

fn told<'e>(
    cx: &mut Cx<'_>,
    entry: &'e Entry,
    mut names: impl Iterator<Item = &'e str>,
    keyed: &BTreeMap<String, At>,
) {
    let Some((name, read)) = names.find_map(|n| keyed.get_key_value(n)) else {
        return;
    };
    let found = format!(
        "{}, and {name} is read in {}:{}",
        line(entry),
        read.file,
        read.line
    );
    let change = Change::Do(format!("take {name} out of this line"));
    cx.find(c::RECORD_KEYED, &entry.at, found, change);
}
