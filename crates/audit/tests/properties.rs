//! Any bytes give a report, and what is written well is read as it was written.

use ivrpay_audit::{Conf, KNOWN, Tree, files, manager_users};
use proptest::prelude::*;

/// Lines that a configuration is made of, and some that break it.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("[general]".to_owned()),
        Just("[x](!)".to_owned()),
        Just("[y](x,general)".to_owned()),
        Just("[general](+)".to_owned()),
        Just(";-- a block".to_owned()),
        Just("--;".to_owned()),
        Just("#include b.conf".to_owned()),
        Just("#tryinclude *.conf".to_owned()),
        Just("#exec x".to_owned()),
        Just("type = endpoint".to_owned()),
        Just("read = all".to_owned()),
        Just("exten => s,1,Dial(a,1,${x}tT(".to_owned()),
        Just("same => n,Stasis(ivrpay".to_owned()),
        Just("a += b".to_owned()),
        "[a-z]{1,4} =>? [a-z0-9,;(){}$é\\\\]{0,12}",
        "\\PC{0,24}",
    ]
}

proptest! {
    #[test]
    fn any_bytes_give_a_report(bytes in prop::collection::vec(any::<u8>(), 0..2_000), other in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut tree = Tree::new("/etc/asterisk");
        for file in KNOWN {
            tree.add(file, bytes.clone()).expect("small");
        }
        tree.add("b.conf", other).expect("small");
        files(&tree).expect("a folder of Asterisk");
    }

    #[test]
    fn any_lines_give_a_report(lines in prop::collection::vec(line(), 0..60), other in prop::collection::vec(line(), 0..20)) {
        let mut tree = Tree::new("/etc/asterisk");
        let text = lines.join("\n");
        for file in KNOWN.iter().chain(&["cel.conf", "features.conf", "http.conf", "queues.conf"]) {
            tree.add(file, text.clone().into_bytes()).expect("small");
        }
        tree.add("b.conf", other.join("\r\n").into_bytes()).expect("small");
        let report = files(&tree).expect("a folder of Asterisk");
        for finding in &report.findings {
            prop_assert!(!finding.found.chars().any(char::is_control));
            prop_assert!(ivrpay_audit::CATALOGUE.iter().any(|c| c.id == finding.id && c.severity == finding.severity));
        }
    }

    #[test]
    fn what_is_written_is_read(sections in prop::collection::vec(("[a-z]{1,8}", prop::collection::vec(("[a-z_]{1,8}", "[a-zA-Z0-9,./ -]{0,12}"), 0..6)), 0..8)) {
        let mut text = String::new();
        for (name, entries) in &sections {
            text.push_str(&format!("[{name}] ; head\n"));
            for (key, value) in entries {
                text.push_str(&format!("  {key} = {value} ; comment\r\n"));
            }
        }
        let mut tree = Tree::new("/etc/asterisk");
        tree.add("a.conf", text.into_bytes()).expect("small");
        let conf = Conf::read(&tree, "a.conf").expect("there");
        prop_assert!(conf.troubles.is_empty());
        let read: Vec<_> = conf
            .sections
            .iter()
            .map(|s| (s.name.to_string(), s.entries.iter().map(|e| (e.key.to_string(), e.value.to_string())).collect::<Vec<_>>()))
            .collect();
        let written: Vec<_> = sections
            .iter()
            .map(|(name, entries)| (name.clone(), entries.iter().map(|(k, v)| (k.clone(), v.trim().to_owned())).collect::<Vec<_>>()))
            .collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn any_output_has_users_or_none(lines in prop::collection::vec("\\PC{0,20}", 0..50)) {
        prop_assert!(manager_users(&lines).len() <= lines.len());
    }
}
