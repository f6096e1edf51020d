//! Any bytes as the files of a configuration folder give a report.
#![no_main]

use ivrpay_audit::{KNOWN, Tree, files};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (&[u8], &[u8])| {
    let mut tree = Tree::new("/etc/asterisk");
    let more = ["cel.conf", "cli.conf", "features.conf", "hep.conf", "http.conf", "queues.conf"];
    for file in KNOWN.into_iter().chain(more) {
        tree.add(file, parts.0.to_vec()).expect("a small file");
    }
    tree.add("b.conf", parts.1.to_vec()).expect("a small file");
    let report = files(&tree).expect("a folder of Asterisk");
    for finding in &report.findings {
        assert!(!finding.found.chars().any(char::is_control));
    }
});
