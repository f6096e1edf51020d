//! Folders of Asterisk 16 to 23 and of FreePBX, each with leaks planted, against what is found in them; and the files of
//! `asterisk-conf/` as an admin includes them, in which nothing is found.

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use common::{TREES, audited, folder};
use ivrpay_audit::{Report, Severity, Tree, files};

/// Everything but the reasons, which are the catalogue's.
fn shown(report: &Report) -> String {
    let mut text = String::new();
    for f in &report.findings {
        writeln!(
            text,
            "{} {} {}\n    {}\n    {}",
            f.severity, f.id, f.place, f.found, f.change
        )
        .expect("a string");
        if let Some(freepbx) = f.freepbx {
            writeln!(text, "    FreePBX: {freepbx}").expect("a string");
        }
    }
    for n in &report.not_looked_at {
        writeln!(text, "not looked at: {}: {}", n.place, n.because).expect("a string");
    }
    text
}

#[test]
fn each_folder_shows_its_planted_leaks() {
    for name in TREES {
        let text = shown(&audited(name));
        assert!(!text.contains("not-shown"), "{name} shows a password");
        insta::assert_snapshot!(name, text);
    }
}

/// The files of `asterisk-conf/` and `dialplan/`, included as their READMEs say.
fn hardened(more: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::new("/etc/asterisk");
    for place in ["../../asterisk-conf", "../../dialplan"] {
        for entry in fs::read_dir(folder(place)).expect("of the project") {
            let path = entry.expect("readable").path();
            if path.extension().is_some_and(|e| e == "conf") {
                let name = path.file_name().expect("named").to_string_lossy();
                tree.add(&name, fs::read(&path).expect("readable"))
                    .expect("small");
            }
        }
    }
    for (file, text) in [
        ("asterisk.conf", "[directories]\n[options]\nverbose = 0\n#include \"ivrpay-asterisk.conf\"\n"),
        ("modules.conf", "[modules]\nautoload = yes\n#include \"ivrpay-modules.conf\"\n"),
        ("logger.conf", "[general]\n[logfiles]\nconsole => error\n#include \"ivrpay-logger.conf\"\n"),
        (
            "manager.conf",
            "[general]\nenabled = yes\nbindaddr = 127.0.0.1\n#include \"ivrpay-manager.conf\"\n[ivrpay-audit](ivrpay-audit-user)\nsecret = not-shown\n",
        ),
        ("cel.conf", "[general]\nenable = yes\nevents = ALL\n#include \"ivrpay-cel.conf\"\n"),
        ("ari.conf", "[general]\n#include \"ivrpay-ari.conf\"\n[ivrpay](ivrpay-user)\npassword = not-shown\n"),
        ("http.conf", "[general]\n#include \"ivrpay-http.conf\"\n"),
        ("features.conf", "[general]\n[applicationmap]\n[featuremap]\n#include \"ivrpay-features.conf\"\n"),
        ("hep.conf", "[general]\ncapture_address = 192.0.2.9\n"),
        (
            "pjsip.conf",
            "#include \"ivrpay-pjsip.conf\"\n[trunk](ivrpay-leg)\nmedia_encryption = sdes\n[trunk]\ntype = identify\nendpoint = trunk\nmatch = 203.0.113.7\n",
        ),
        (
            "extensions.conf",
            "[general]\n#include \"ivrpay.conf\"\n#include \"ivrpay-samples.conf\"\n[from-trunk]\ninclude => ivrpay-samples\n",
        ),
    ]
    .iter()
    .chain(more)
    {
        tree.add(file, text.as_bytes().to_vec()).expect("small");
    }
    tree
}

#[test]
fn the_hardened_files_have_no_finding() {
    let report = files(&hardened(&[])).expect("a folder of Asterisk");
    assert_eq!(shown(&report), "");
    assert!(!report.is_bad());
    assert!(report.looked_at.len() > 25, "{:?}", report.looked_at);
}

#[test]
fn one_line_behind_the_hardening_is_seen() {
    // Apply Config, or somebody in a hurry.
    for (file, text, id, line) in [
        (
            "logger.conf",
            "[logfiles]\n#include \"ivrpay-logger.conf\"\nfull => notice,dtmf\n",
            "log-dtmf",
            3,
        ),
        (
            "manager.conf",
            "[general]\nenabled=yes\nbindaddr=127.0.0.1\n[x]\nread=dtmf\n",
            "ami-dtmf",
            5,
        ),
        (
            "cel.conf",
            "[general]\n#include \"ivrpay-cel.conf\"\nenable=yes\nevents=ALL\n",
            "cel-dtmf",
            4,
        ),
        (
            "http.conf",
            "[general]\n#include \"ivrpay-http.conf\"\nbindaddr=0.0.0.0\n",
            "http-clear",
            3,
        ),
        (
            "asterisk.conf",
            "[options]\n#include \"ivrpay-asterisk.conf\"\ndebug=4\n",
            "core-debug",
            3,
        ),
        ("modules.conf", "[modules]\nautoload=yes\n", "module-hep", 1),
    ] {
        let report = files(&hardened(&[(file, text)])).expect("a folder of Asterisk");
        let found = report
            .findings
            .iter()
            .find(|f| f.id == id)
            .unwrap_or_else(|| panic!("{id} is not found"));
        let place = if id == "module-hep" {
            "hep.conf:1".to_owned()
        } else {
            format!("{file}:{line}")
        };
        assert_eq!(found.place.to_string(), place);
        assert!(report.is_bad());
    }
}

#[test]
fn a_folder_of_something_else_is_none_of_asterisk() {
    let mut tree = Tree::new("/etc/x");
    tree.add("nginx.conf", b"server {}".to_vec())
        .expect("small");
    assert!(files(&tree).is_err());
}

#[test]
fn the_folders_show_every_check_of_files() {
    // Those that only a running Asterisk shows.
    let running = BTreeSet::from([
        "ami-test",
        "ari-debug",
        "ari-other-app",
        "asterisk-end-of-life",
        "cel-all-later",
        "live-media",
        "live-recorder",
        "live-spy",
    ]);
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for name in TREES {
        seen.extend(audited(name).findings.iter().map(|f| f.id));
    }
    let missing: Vec<&str> = ivrpay_audit::CATALOGUE
        .iter()
        .map(|c| c.id)
        .filter(|id| !seen.contains(id) && !running.contains(id))
        .collect();
    assert!(missing.is_empty(), "no folder shows {missing:?}");
    assert!(seen.is_disjoint(&running));
    let critical = audited("asterisk-22").count(Severity::Critical);
    assert_eq!(
        critical, 4,
        "log, AMI, CEL and the recorder of the naive configuration"
    );
}
