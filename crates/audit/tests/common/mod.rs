//! Folders of `tests/trees` and of the project, in memory.

#![allow(dead_code, reason = "each test uses some of it")]

use std::fs;
use std::path::{Path, PathBuf};

use ivrpay_audit::{Report, Tree, files};

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub(crate) fn tree(path: &Path) -> Tree {
    fn walk(tree: &mut Tree, path: &Path, below: &str) {
        for entry in fs::read_dir(path).expect("a folder of ours") {
            let path = entry.expect("readable").path();
            let name = path.file_name().expect("named").to_string_lossy();
            if path.is_dir() {
                walk(tree, &path, &format!("{below}{name}/"));
            } else {
                let bytes = fs::read(&path).expect("readable");
                tree.add(&format!("{below}{name}"), bytes).expect("small");
            }
        }
    }
    let mut tree = Tree::new("/etc/asterisk");
    walk(&mut tree, path, "");
    tree
}

/// The stored folders.
pub(crate) const TREES: [&str; 8] = [
    "asterisk-16",
    "asterisk-18",
    "asterisk-20",
    "asterisk-21",
    "asterisk-22",
    "asterisk-23",
    "freepbx-16",
    "freepbx-17",
];

pub(crate) fn audited(name: &str) -> Report {
    files(&tree(&folder("tests/trees").join(name))).expect("a folder of Asterisk")
}
