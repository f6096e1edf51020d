//! `features.conf`.

use std::collections::BTreeSet;

use super::{Cx, dialplan::Rights, line, words};
use crate::catalogue as c;
use crate::conf::{Conf, Entry};
use crate::finding::Change;

/// Features whose default is a single key (main/features_config.c).
const SINGLE: [(&str, &str, &str); 2] = [("blindxfer", "#", "##"), ("disconnect", "*", "**")];

pub(super) fn check(cx: &mut Cx<'_>, rights: Rights) {
    let conf = cx.conf("features.conf");
    let map = conf.as_ref().and_then(|conf| conf.section("featuremap"));
    // Where the dialplan is seen and gives nobody the right, a code is of no effect.
    if rights != Rights::Nobody {
        let mut absent = Vec::new();
        for (feature, _, safe) in SINGLE {
            if map.and_then(|m| m.last(feature)).is_none() {
                absent.push(format!("{feature} = {safe}"));
            }
        }
        if let Some(map) = map {
            for entry in map.entries.iter().filter(|e| e.value.chars().count() == 1) {
                let doubled = entry.value.repeat(2);
                cx.find_value(c::FEATURES_KEYS, entry, &doubled);
            }
        }
        match (&conf, absent.is_empty()) {
            (_, true) => {}
            (None, false) => {
                let lines: Vec<&str> = std::iter::once("[featuremap]")
                    .chain(absent.iter().map(String::as_str))
                    .collect();
                cx.find_absent(
                    c::FEATURES_KEYS,
                    "features.conf",
                    "no features.conf: blindxfer is #, disconnect is *",
                    &lines,
                );
            }
            (Some(conf), false) => {
                let found = SINGLE
                    .iter()
                    .filter(|(f, _, _)| map.and_then(|m| m.last(f)).is_none())
                    .map(|(f, default, _)| format!("{f} is absent: {default}"))
                    .collect::<Vec<_>>()
                    .join(", ");
                let at = map.map_or_else(
                    || crate::conf::At {
                        file: conf.file.clone(),
                        line: 0,
                    },
                    |m| m.at.clone(),
                );
                let change = cx.add(conf, "featuremap", absent);
                cx.find(c::FEATURES_KEYS, &at, found, change);
            }
        }
    }
    if let Some(map) = map {
        for feature in ["automixmon", "automon"] {
            if let Some(entry) = map.last(feature).filter(|e| !e.value.is_empty()) {
                cx.find(c::FEATURES_RECORD, &entry.at, line(entry), Change::Delete);
            }
        }
    }
    for entry in conf.iter().flat_map(applications) {
        if records(entry) {
            cx.find(c::FEATURES_RECORD, &entry.at, line(entry), Change::Delete);
        }
    }
}

fn applications(conf: &Conf) -> impl Iterator<Item = &Entry> {
    let section = conf.section("applicationmap");
    section.into_iter().flat_map(|s| &s.entries)
}

/// Whether a feature of the application map records: `code,who[/by],application,arguments`.
fn records(entry: &Entry) -> bool {
    words(&entry.value).skip(2).any(|w| {
        let w = w.to_ascii_lowercase();
        w.contains("monitor") || w.contains("record")
    })
}

/// Names of features that record, and of groups with one of them: what `DYNAMIC_FEATURES` may name.
pub(super) fn recording(cx: &mut Cx<'_>) -> BTreeSet<String> {
    let Some(conf) = Conf::read(cx.tree, "features.conf") else {
        return BTreeSet::new();
    };
    let mut names: BTreeSet<String> = applications(&conf)
        .filter(|entry| records(entry))
        .map(|entry| entry.key.to_string())
        .collect();
    let groups = conf.sections().filter(|s| {
        !["general", "featuremap", "applicationmap"]
            .iter()
            .any(|n| s.name.eq_ignore_ascii_case(n))
            && s.entries.iter().any(|e| names.contains(&*e.key))
    });
    let groups: Vec<String> = groups.map(|s| s.name.to_string()).collect();
    names.extend(groups);
    names
}
