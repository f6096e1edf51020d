//! Rules about the workspace that a compiler does not hold: direction of the rings, reach of card data, licences, where
//! `unsafe` and `Durable::attest` may stand, that no build but one for measurements does without protected memory, how well the
//! systemd unit confines the service, which card numbers stand in sources, and that `docs/pci.md` names nothing that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Crates of ours, by their folder, and the crates of ours that each may name. The order is that of ARCHITECTURE.md.
const RINGS: [(&str, &[&str]); 22] = [
    ("ivrpay-secret", &[]),
    ("ivrpay-payment", &[]),
    ("ivrpay-card", &["ivrpay-secret", "ivrpay-payment"]),
    (
        "ivrpay-dialogue",
        &["ivrpay-secret", "ivrpay-payment", "ivrpay-card"],
    ),
    ("ivrpay-prompts", &["ivrpay-payment", "ivrpay-dialogue"]),
    (
        "ivrpay-acquirer",
        &["ivrpay-secret", "ivrpay-payment", "ivrpay-card"],
    ),
    (
        "ivrpay-seeds",
        &[
            "ivrpay-secret",
            "ivrpay-payment",
            "ivrpay-card",
            "ivrpay-dialogue",
            "ivrpay-acquirer",
        ],
    ),
    ("ivrpay-tone", &[]),
    ("ivrpay-api", &["ivrpay-payment"]),
    ("ivrpay-audit", &[]),
    ("ivrpay-ledger", &["ivrpay-payment"]),
    ("ivrpay-receipt", &["ivrpay-payment"]),
    ("ivrpay-ari", &["ivrpay-secret"]),
    ("ivrpay-agi", &[]),
    ("ivrpay-ami", &[]),
    (
        "ivrpay-wire",
        &[
            "ivrpay-secret",
            "ivrpay-payment",
            "ivrpay-card",
            "ivrpay-acquirer",
        ],
    ),
    ("ivrpay-journal", &["ivrpay-payment"]),
    (
        "ivrpay-web",
        &[
            "ivrpay-api",
            "ivrpay-payment",
            "ivrpay-journal",
            "ivrpay-receipt",
        ],
    ),
    (
        "ivrpay-daemon",
        &[
            "ivrpay-secret",
            "ivrpay-payment",
            "ivrpay-card",
            "ivrpay-dialogue",
            "ivrpay-prompts",
            "ivrpay-acquirer",
            "ivrpay-api",
            "ivrpay-audit",
            "ivrpay-ari",
            "ivrpay-agi",
            "ivrpay-ami",
            "ivrpay-wire",
            "ivrpay-journal",
            "ivrpay-receipt",
            "ivrpay-web",
        ],
    ),
    (
        "ivrpay",
        &[
            "ivrpay-secret",
            "ivrpay-payment",
            "ivrpay-card",
            "ivrpay-dialogue",
            "ivrpay-prompts",
            "ivrpay-acquirer",
            "ivrpay-tone",
            "ivrpay-api",
            "ivrpay-audit",
            "ivrpay-ami",
            "ivrpay-wire",
            "ivrpay-journal",
            "ivrpay-ledger",
            "ivrpay-daemon",
        ],
    ),
    // A process of its own: pages over the HTTP API.
    ("ivrpay-console", &["ivrpay-api", "ivrpay-payment"]),
    // `ivrpay-sim seeds` runs that crate, and nothing else there names one of ours (`the_judges_name_no_crate_of_ours`).
    ("ivrpay-sim", &["ivrpay-seeds"]),
];

/// No tokio, no clock, no randomness, no I/O. `secret` talks to the kernel about memory, and to nothing else.
const PURE: [&str; 11] = [
    "ivrpay-payment",
    "ivrpay-card",
    "ivrpay-dialogue",
    "ivrpay-prompts",
    "ivrpay-acquirer",
    "ivrpay-seeds",
    "ivrpay-tone",
    "ivrpay-api",
    "ivrpay-audit",
    "ivrpay-ledger",
    "ivrpay-receipt",
];

/// What makes a crate an edge.
const EFFECTS: [&str; 13] = [
    "tokio",
    "hyper",
    "reqwest",
    "axum",
    "sqlx",
    "mio",
    "socket2",
    "async-std",
    "rand",
    "rustls",
    "chrono",
    "time",
    "tungstenite",
];

/// These can't name card data: not even through a dependency.
const CARD_FREE: [&str; 8] = [
    "ivrpay-payment",
    "ivrpay-journal",
    "ivrpay-api",
    "ivrpay-audit",
    "ivrpay-ledger",
    "ivrpay-receipt",
    "ivrpay-web",
    "ivrpay-console",
];

/// Licences that a dependency may offer; one of an `OR` is enough.
const LICENCES: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the project")
        .to_owned()
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        // What is built here is what is judged; crates of other systems may not even be on this machine.
        .other_options(vec![
            "--offline".to_owned(),
            "--filter-platform".to_owned(),
            format!("{}-unknown-linux-gnu", std::env::consts::ARCH),
        ])
        .exec()
        .expect("cargo metadata; run `cargo fetch` once")
}

/// Names of the crates that `name` is built with (not those of its tests), itself left out.
fn reach(metadata: &Metadata, name: &str) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().expect("a resolved graph");
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|n| (&n.id, n)).collect();
    let names: BTreeMap<_, _> = metadata
        .packages
        .iter()
        .map(|p| (&p.id, p.name.to_string()))
        .collect();
    let start = metadata
        .packages
        .iter()
        .find(|p| p.name.as_str() == name)
        .expect("a crate of ours");
    let (mut seen, mut open) = (BTreeSet::new(), vec![&start.id]);
    while let Some(id) = open.pop() {
        for dep in &nodes[id].deps {
            let built = dep
                .dep_kinds
                .iter()
                .any(|k| k.kind == DependencyKind::Normal);
            if built && seen.insert(&dep.pkg) {
                open.push(&dep.pkg);
            }
        }
    }
    seen.into_iter().map(|id| names[id].clone()).collect()
}

#[test]
fn crates_know_only_those_further_in() {
    let metadata = metadata();
    let rings: BTreeMap<_, _> = RINGS.into_iter().collect();
    for package in metadata.workspace_packages() {
        if package.name.as_str() == "ivrpay-tests" {
            continue;
        }
        let allowed = rings.get(package.name.as_str()).unwrap_or_else(|| {
            panic!(
                "{} is not in the rings of tests/tidy.rs and ARCHITECTURE.md",
                package.name
            )
        });
        for dependency in package
            .dependencies
            .iter()
            .filter(|d| d.kind == DependencyKind::Normal && d.path.is_some())
        {
            assert!(
                allowed.contains(&dependency.name.as_str()),
                "{} may not know {}",
                package.name,
                dependency.name
            );
        }
    }
}

#[test]
fn pure_crates_have_no_effects() {
    let metadata = metadata();
    for name in PURE {
        let reach = reach(&metadata, name);
        let effects: Vec<_> = EFFECTS.iter().filter(|e| reach.contains(**e)).collect();
        assert!(
            effects.is_empty(),
            "{name} is pure, and reaches {effects:?}"
        );
    }
    // Types that others fill: an id or a time is given, not made.
    for (path, text) in sources() {
        let relative = path
            .strip_prefix(root())
            .expect("below the root")
            .display()
            .to_string();
        let pure = PURE.iter().any(|name| {
            let folder = name.trim_start_matches("ivrpay-");
            relative.starts_with(&format!("crates/{folder}/src/"))
        });
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        for call in [
            "::now_v7(",
            "::new_v4(",
            "Instant::now(",
            "SystemTime::now(",
            "Timestamp::now(",
        ] {
            assert!(
                !pure || !product.contains(call),
                "{relative} is pure, and calls {call}…)"
            );
        }
    }
}

#[test]
fn card_data_can_not_be_named_where_it_has_no_business() {
    let metadata = metadata();
    for name in CARD_FREE {
        let reach = reach(&metadata, name);
        for forbidden in [
            "ivrpay-secret",
            "ivrpay-card",
            "ivrpay-dialogue",
            "ivrpay-acquirer",
        ] {
            assert!(!reach.contains(forbidden), "{name} reaches {forbidden}");
        }
    }
    // What the console knows, the API has told it.
    let reach = reach(&metadata, "ivrpay-console");
    for forbidden in ["ivrpay-journal", "ivrpay-web", "ivrpay-daemon", "sqlx"] {
        assert!(
            !reach.contains(forbidden),
            "the console reaches {forbidden}"
        );
    }
}

#[test]
fn licences_of_dependencies_allow_us() {
    let metadata = metadata();
    let mut bad = Vec::new();
    for package in metadata.packages.iter().filter(|p| p.source.is_some()) {
        let licence = package
            .license
            .clone()
            .unwrap_or_default()
            .replace('/', " OR ");
        if !allowed(&licence) {
            bad.push(format!("{} {}: {licence:?}", package.name, package.version));
        }
    }
    assert!(
        bad.is_empty(),
        "licences that are not on the list of tests/tidy.rs: {bad:#?}"
    );
}

/// Understands `A OR B`, `A AND B` and brackets around them, as far as the dependencies use them.
fn allowed(licence: &str) -> bool {
    let licence = licence.trim();
    let parts = split(licence, " AND ");
    if parts.len() > 1 {
        return parts.iter().all(|p| allowed(p));
    }
    let parts = split(licence, " OR ");
    if parts.len() > 1 {
        return parts.iter().any(|p| allowed(p));
    }
    match licence.strip_prefix('(').and_then(|l| l.strip_suffix(')')) {
        Some(inner) => allowed(inner),
        None => LICENCES.contains(&licence),
    }
}

/// Splits at `by` outside brackets.
fn split(text: &str, by: &str) -> Vec<String> {
    let (mut parts, mut part, mut depth) = (Vec::new(), String::new(), 0);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if depth == 0
            && let Some(behind) = rest.strip_prefix(by)
        {
            parts.push(std::mem::take(&mut part));
            rest = behind;
            continue;
        }
        depth += i32::from(c == '(') - i32::from(c == ')');
        part.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    parts.push(part);
    parts
}

/// Every Rust source of the project.
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder)
            .expect("a folder of ours")
            .flatten()
        {
            let path = entry.path();
            if path.is_dir() {
                if path.file_name().is_none_or(|n| n != "target") {
                    walk(&path, found);
                }
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push((path.clone(), std::fs::read_to_string(&path).expect("UTF-8")));
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["crates", "tests", "fuzz"] {
        if root().join(folder).is_dir() {
            walk(&root().join(folder), &mut found);
        }
    }
    found
}

#[test]
fn only_the_journal_says_that_something_is_durable() {
    let call = ["Durable", "::attest("].concat();
    for (path, text) in sources() {
        let relative = path
            .strip_prefix(root())
            .expect("below the root")
            .display()
            .to_string();
        // The model journal of the simulation says it of its model disk: nothing is sent to anybody there.
        let in_journal =
            relative.starts_with("crates/journal/") || relative == "crates/seeds/src/store.rs";
        // The tests of pure crates stand in for the journal: they send nothing to anybody.
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        let in_tests = relative.contains("/tests/")
            || relative.contains("/tests.rs")
            || relative.ends_with("acquirer/src/testing.rs")
            || relative.starts_with("fuzz/");
        assert!(
            in_journal || in_tests || !product.contains(&call),
            "{relative} attests what is on disk"
        );
    }
}

/// Simulated acquirers, and what judges by them, are written from the acquirers' documents and the rules of money: a mistake of ours
/// is not in them as well.
#[test]
fn the_judges_name_no_crate_of_ours() {
    let mut judges = 0;
    for (path, text) in sources() {
        let relative = path
            .strip_prefix(root())
            .expect("below the root")
            .display()
            .to_string();
        let seeds = ["crates/seeds/src/audit.rs", "crates/seeds/src/bank.rs"];
        let of_seeds = seeds.contains(&relative.as_str());
        let of_sim = relative.starts_with("crates/sim/src/")
            && relative != "crates/sim/src/seeds.rs"
            && !relative.contains("/tests");
        if of_seeds || of_sim {
            judges += 1;
            assert!(
                !text.contains("ivrpay_"),
                "{relative} names a crate of ours"
            );
        }
    }
    assert!(judges > 10, "{judges} judges");
}

#[test]
fn unsafe_code_stands_in_secret_alone() {
    for (path, text) in sources() {
        let relative = path
            .strip_prefix(root())
            .expect("below the root")
            .display()
            .to_string();
        let has = text.lines().any(|l| {
            let code = l.split("//").next().unwrap_or_default();
            [["unsafe", " {"], ["unsafe", " fn"], ["unsafe", " impl"]]
                .iter()
                .any(|w| code.contains(&w.concat()))
        });
        assert!(
            !has || relative.starts_with("crates/secret/"),
            "{relative} has unsafe code"
        );
    }
}

#[test]
fn events_are_logged_in_one_file() {
    for (path, text) in sources() {
        let relative = path
            .strip_prefix(root())
            .expect("below the root")
            .display()
            .to_string();
        if relative == "crates/daemon/src/events.rs" || relative.starts_with("tests/") {
            continue;
        }
        for word in [
            "use tracing::",
            "tracing::event!(",
            "tracing::trace!(",
            "tracing::debug!(",
            "tracing::info!(",
            "tracing::warn!(",
            "tracing::error!(",
        ] {
            assert!(
                !text.contains(word),
                "{relative} logs ({word}); daemon/src/events.rs is the place"
            );
        }
    }
}

/// The feature that takes the protection of memory away, for `make bench` to measure what it costs; and all that may name it.
const PLAIN: &str = "plain-memory";
const NAMES_PLAIN: [&str; 7] = [
    "crates/cli/Cargo.toml",
    "crates/cli/src/main.rs",
    "crates/secret/Cargo.toml",
    "crates/secret/src/region.rs",
    "scripts/bench",
    "tests/src/bin/bench/cost.rs",
    "tests/tidy.rs",
];

#[test]
fn memory_is_unprotected_in_the_build_for_bench_alone() {
    let metadata = metadata();
    let mut has = BTreeSet::new();
    for package in metadata.workspace_packages() {
        for (feature, switches_on) in &package.features {
            let reaches = feature == PLAIN || switches_on.iter().any(|f| f.ends_with(PLAIN));
            assert!(
                !reaches || feature == PLAIN,
                "{}: feature {feature} has {PLAIN}",
                package.name
            );
            if reaches {
                has.insert(package.name.as_str());
            }
        }
        for dependency in &package.dependencies {
            assert!(
                !dependency.features.iter().any(|f| f == PLAIN),
                "{} has {} built with {PLAIN}",
                package.name,
                dependency.name
            );
        }
    }
    assert_eq!(has, BTreeSet::from(["ivrpay", "ivrpay-secret"]));
    // What a plain `cargo build` is made with.
    let resolve = metadata.resolve.as_ref().expect("a resolved graph");
    for node in &resolve.nodes {
        assert!(
            !node.features.iter().any(|f| f.as_ref() == PLAIN),
            "{} has {PLAIN} by default",
            node.id
        );
    }

    // Every file that git knows, or would: scripts, Makefile and workflows are where a build could ask for it.
    let listed = std::process::Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root())
        .output()
        .expect("git");
    let listed = String::from_utf8(listed.stdout).expect("UTF-8");
    let naming: Vec<&str> = listed
        .split_terminator('\0')
        .filter(|path| !path.ends_with(".md"))
        .filter(|path| {
            std::fs::read(root().join(path))
                .is_ok_and(|bytes| bytes.windows(PLAIN.len()).any(|w| w == PLAIN.as_bytes()))
        })
        .collect();
    assert_eq!(naming, NAMES_PLAIN, "what names {PLAIN}");
}

/// Card numbers that may stand in sources: test numbers that acquirers, card brands and libraries publish.
const TEST_NUMBERS: [&str; 42] = [
    "2223003122003222",
    "30569309025904",
    "3056930009020004",
    "3530111333300000",
    "3566002020360505",
    "3569990010095841",
    "36006666333344",
    "36227206271667",
    "370000000000002",
    "371449635398431",
    "378282246310005",
    "38520000023237",
    "4000000000000002",
    "4000000000000069",
    "4000000000000119",
    "4000000000000127",
    "4000000000006975",
    "4000000000009979",
    "4000000000009987",
    "4000000000009995",
    "4000002500003155",
    "4000003920000003",
    "4000056655665556",
    "4012888888881881",
    "4100000000000019",
    "4111111111111111",
    "4222222222222",
    "4242424242424242",
    "5105105105105100",
    "5200828282828210",
    "5555555555554444",
    "6011000990139424",
    "6011111111111117",
    "6200000000000005",
    "6200000000000047",
    "6205500000000000004",
    "6212345678900000003",
    "6221260000000000",
    "6759649826438453",
    // Of our own: a number that is another brand's when its first digits are lost. Nearly all zeroes, so that nobody has it.
    "36000000000008",
    "4204000000000006",
    "4236000000000008",
];

/// Every file below `folder` that people write or read, as text, by its path below the root.
fn texts(folder: &str) -> Vec<(String, String)> {
    /// What is made here, not kept.
    const MADE: [&str; 6] = [".git", ".cache", ".lab", "target", "corpus", "artifacts"];
    fn walk(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder)
            .expect("a folder of ours")
            .flatten()
        {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let kind = entry.file_type().expect("of an entry");
            if kind.is_dir() && !MADE.contains(&&*name) && !name.starts_with("target-") {
                walk(&path, found);
            } else if kind.is_file()
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                let below = path.strip_prefix(root()).expect("below the root");
                found.push((below.display().to_string(), text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found
}

/// Numbers of 13 to 19 digits in a line that begin and check out as a card's do. Blanks, dots, hyphens and underscores may group
/// them; of several groups, each that may begin a number does.
fn cards(line: &str) -> Vec<String> {
    let mut runs: Vec<Vec<String>> = vec![Vec::new()];
    let mut before = b'x';
    // Rust's own grouping says nothing of where a number begins.
    for byte in line.replace('_', "").bytes() {
        let run = runs.last_mut().expect("never empty");
        match byte {
            b'0'..=b'9' => match run.last_mut() {
                Some(group) if before.is_ascii_digit() => group.push(char::from(byte)),
                _ => run.push(char::from(byte).to_string()),
            },
            b' ' | b'.' | b'-' if before.is_ascii_digit() => {}
            _ => runs.push(Vec::new()),
        }
        before = byte;
    }
    let mut found = Vec::new();
    for run in runs {
        for from in 0..run.len() {
            let mut number = String::new();
            for group in run.iter().skip(from).take_while(|g| g.len() < 20) {
                number.push_str(group);
                if is_card(&number) {
                    found.push(number.clone());
                }
            }
        }
    }
    found
}

/// ISO/IEC 7812-1: 3 to 6 are the brands' first digits, 2221 to 2720 are Mastercard's too, 81 is UnionPay's.
fn is_card(number: &str) -> bool {
    let begins = match number.as_bytes() {
        [b'3'..=b'6', ..] | [b'8', b'1', ..] => true,
        [b'2', ..] => {
            number.len() == 16
                && number
                    .get(..4)
                    .is_some_and(|p| ("2221"..="2720").contains(&p))
        }
        _ => false,
    };
    let sum: u32 = number
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| match (place % 2, u32::from(byte - b'0')) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    (13..=19).contains(&number.len()) && begins && sum.is_multiple_of(10)
}

#[test]
fn sources_hold_only_test_numbers() {
    // PCI DSS v4.0.1, 6.5.5. The search itself has to see one, however it is written, and nothing in a date or an address.
    let grouped = |by: &str| ["4111", "1111", "1111", "1111"].join(by);
    for written in ["", " ", "-", "_", "."].map(grouped) {
        assert_eq!(
            cards(&format!("keys {written}# 1230")).len(),
            1,
            "{written}"
        );
    }
    assert_eq!(cards(&format!("{} 1230 123", grouped(" "))).len(), 1);
    assert_eq!(cards("2026-11-26 03:04:42.123456 127.0.0.1").len(), 0);

    let (mut met, mut bad) = (BTreeSet::new(), Vec::new());
    for (path, text) in texts("") {
        for (line, text) in (1..).zip(text.lines()) {
            for number in cards(text) {
                match TEST_NUMBERS.iter().find(|n| **n == number) {
                    Some(number) => drop(met.insert(*number)),
                    None => bad.push(format!("{path}:{line}: {} digits", number.len())),
                }
            }
        }
    }
    assert!(
        bad.is_empty(),
        "could be somebody's card; take a number of TEST_NUMBERS, or `ivrpay-sim card` at run time: {bad:#?}"
    );
    assert_eq!(
        met.len(),
        TEST_NUMBERS.len(),
        "of {TEST_NUMBERS:?}, only {met:?} are used"
    );
}

/// What stands in backticks, outside of fenced blocks, line by line.
fn cited(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut fenced) = (Vec::new(), false);
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let quoted = line.split('`').skip(1).step_by(2);
            found.extend(quoted.map(|q| (number, q.to_owned())));
        }
    }
    found
}

/// Whether what `docs/pci.md` cites is there. Every kind of citation has its place; what is of no kind is not there.
fn is_there(cited: &str) -> bool {
    let text = |path: &str| std::fs::read_to_string(root().join(path)).unwrap_or_default();
    let below = |folder| -> String { texts(folder).into_iter().map(|(_, text)| text).collect() };
    let has = |text: String, name: &str| text.contains(&format!("\"{name}\""));
    if let Some(target) = cited.strip_prefix("make ") {
        return text("Makefile").contains(&format!("\n{target}:"));
    }
    if let Some(name) = cited.strip_prefix("e2e: ") {
        let machine = name.strip_prefix("hardening: ").unwrap_or(name);
        return has(below("tests/src/bin/e2e"), name) || has(below("tests/src/bin/e2e"), machine);
    }
    if let Some(name) = cited.strip_prefix("leakcheck: ") {
        return has(below("tests/src/bin/leakcheck"), name);
    }
    if let Some(id) = cited.strip_prefix("audit: ") {
        return has(text("crates/audit/src/catalogue.rs"), id);
    }
    if let Some(words) = cited.strip_prefix("ivrpay ") {
        let cli = below("crates/cli/src");
        return words.split(' ').all(|word| match word.strip_prefix("--") {
            Some(option) => cli.contains(&format!(" {}: ", option.replace('-', "_"))),
            // FILE, PERSON
            None if word.bytes().all(|b| b.is_ascii_uppercase()) => true,
            None => {
                let (first, rest) = word.split_at(1);
                let variant = format!("    {}{rest}", first.to_ascii_uppercase());
                // A command, or the value of an option.
                let ends = ["(", " {", ","];
                ends.iter()
                    .any(|end| cli.contains(&format!("{variant}{end}")))
                    || cli.contains(&format!("[\"{word}\""))
            }
        });
    }
    if cited.starts_with("ivrpay_") {
        return has(text("crates/daemon/src/events.rs"), cited);
    }
    if cited.starts_with('[') {
        let sample = text("asterisk-conf/ivrpay.sample.toml");
        let (table, key) = cited.rsplit_once("] ").map_or((cited, ""), |(t, k)| (t, k));
        let line = |l: &&str| {
            l.trim_start_matches(['#', ' '])
                .starts_with(&format!("{key} = "))
        };
        return sample.contains(table) && (key.is_empty() || sample.lines().any(|l| line(&l)));
    }
    if let Some((path, name)) = cited.split_once("::") {
        return text(path).contains(&format!("fn {name}("));
    }
    cited.contains(['/', '.']) && !cited.starts_with('/') && root().join(cited).exists()
}

#[test]
fn the_evidence_names_what_is_there() {
    let text = std::fs::read_to_string(root().join("docs/pci.md")).expect("docs/pci.md");
    let all = cited(&text);
    assert!(all.len() > 150, "{} citations", all.len());
    let tests = all.iter().filter(|(_, c)| c.contains(".rs::")).count();
    assert!(tests > 60, "{tests} tests are cited");
    let missing: Vec<_> = all.iter().filter(|(_, c)| !is_there(c)).collect();
    assert!(
        missing.is_empty(),
        "docs/pci.md, line and what is not there: {missing:#?}"
    );
    for wrong in [
        "make nothing",
        "e2e: nothing",
        "leakcheck: nothing",
        "audit: nothing",
        "ivrpay nothing",
        "ivrpay check --nothing",
        "ivrpay_nothing",
        "[secret] nothing",
        "crates/card/src/pan.rs::nothing",
        "/etc",
        "docs/nothing.md",
        "nothing",
    ] {
        assert!(!is_there(wrong), "{wrong} is not there");
    }

    // Dates of the end of life are those that `ivrpay audit` has.
    let calendar = std::fs::read_to_string(root().join("crates/audit/src/version.rs")).expect("it");
    let mut rows = 0;
    for line in text.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, series, day, ..] = cells[..] else {
            continue;
        };
        let parts: Vec<u32> = day.split('-').map_while(|p| p.parse().ok()).collect();
        if let ([year, month, day], Ok(series)) = (&parts[..], series.parse::<u32>()) {
            let row = format!("({series}, date({year}, {month}, {day}))");
            assert!(calendar.contains(&row), "docs/pci.md has {line}");
            rows += 1;
        }
    }
    assert!(rows >= 8, "{rows} series of Asterisk");

    // What nobody may say of himself (docs/pci.md, "What it is not").
    for (path, text) in texts("") {
        for words in [
            ["PCI DSS ", "準拠"],
            ["PCI DSS ", "compliant"],
            ["非保持化", "対応"],
        ] {
            assert!(!text.contains(&words.concat()), "{path} says {words:?}");
        }
    }
}

/// Highest exposure that `systemd-analyze security` may find. It is 1.1 with systemd 252; other versions count a little otherwise, and
/// call anything from 1 to 5 OK.
const EXPOSURE_MAX: f64 = 2.0;

#[test]
fn the_unit_is_as_closed_as_the_service_can_bear() {
    let unit = root().join("asterisk-conf/ivrpay.service");
    let analysed = std::process::Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--no-pager"])
        .arg(&unit)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("systemd-analyze; scripts/setup installs it");
    let text = String::from_utf8_lossy(&analysed.stdout);
    let overall = text
        .lines()
        .find_map(|line| line.split_once("ivrpay.service: "))
        .unwrap_or_else(|| panic!("no overall exposure in: {text}"))
        .1;
    let mut words = overall.split_whitespace();
    let exposure: f64 = words.next().and_then(|w| w.parse().ok()).expect("a number");
    let level = words.next().expect("a level");
    assert!(
        ["OK", "SAFE", "PERFECT"].contains(&level) && exposure <= EXPOSURE_MAX,
        "exposure {overall}:\n{text}"
    );

    // Each setting that confines has a reason: its own comment, or one for the lines around it.
    let text = std::fs::read_to_string(&unit).expect("the unit");
    let mut reasoned = false;
    for line in text.lines().skip_while(|l| *l != "[Service]") {
        if line.is_empty() || line.starts_with('[') {
            reasoned = false;
        } else if line.starts_with('#') {
            reasoned = true;
        } else {
            let plain = ["ExecStart=", "WantedBy="]
                .iter()
                .any(|p| line.starts_with(p));
            assert!(plain || reasoned, "{line} has no reason beside it");
        }
    }
}

/// Leaks on purpose, for `make prove-leak` alone: no default feature and no recipe of an installation turns them on.
/// `leakcheck --plants` looks into the binary itself.
#[test]
fn planted_leaks_are_in_no_release() {
    for package in metadata().workspace_packages() {
        let default = package.features.get("default").cloned().unwrap_or_default();
        assert!(
            !default.iter().any(|f| f.contains("plant")),
            "{} has plants by default",
            package.name
        );
        for dependency in &package.dependencies {
            assert!(
                !dependency.features.iter().any(|f| f == "plant"),
                "{} builds {} with plants",
                package.name,
                dependency.name
            );
        }
    }
    for file in [
        "Makefile",
        "scripts/setup",
        "scripts/demo",
        "scripts/test",
        "scripts/bench",
    ] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let built = text.lines().any(|l| {
            l.contains("--all-features") || (l.contains("--features") && l.contains("plant"))
        });
        assert!(!built, "{file} builds with plants");
    }
}

/// Every name of a metric in a text.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    text.split(|c| !is_part(c))
        .filter(|word| word.starts_with("ivrpay_") && word.len() > "ivrpay_".len())
        .collect()
}

/// The metrics that the service has, those of docs/monitoring.md and those of the alarms: what is exported is written down and the other
/// way round, and no alarm looks at what is not there.
#[test]
fn metrics_are_written_down_and_alarms_look_at_them() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect(path);
    let (events, written, alarms) = (
        read("crates/daemon/src/events.rs"),
        read("docs/monitoring.md"),
        read("docs/alerts.yml"),
    );
    let mut exported: BTreeSet<&str> = events
        .split('"')
        .filter(|literal| metrics_in(literal).contains(literal) && *literal != "ivrpay_daemon")
        .collect();
    assert!(exported.remove("ivrpay_planted_total"), "of plants alone");
    let table: String = written
        .lines()
        .filter(|line| line.starts_with("| `ivrpay_"))
        .collect();
    assert_eq!(
        exported,
        metrics_in(&table),
        "left: in events.rs; right: in docs/monitoring.md"
    );

    // Prometheus' format of rules, as far as we write it: a list of alarms, each with what it needs.
    let head = "groups:\n  - name: ivrpay\n    rules:\n";
    let (_, rules) = alarms.split_once(head).expect("a group of rules");
    let mut names = BTreeSet::new();
    let mut looked_at = 0;
    for rule in rules.split("      - alert: ").skip(1) {
        let (name, rest) = rule.split_once('\n').expect("a rule");
        assert!(names.insert(name), "{name} stands twice");
        let keys: Vec<&str> = rest
            .lines()
            .filter_map(|line| line.strip_prefix("        "))
            .filter(|line| !line.starts_with(' '))
            .filter_map(|line| line.split(':').next())
            .collect();
        assert!(
            keys == ["expr", "labels", "annotations"]
                || keys == ["expr", "for", "labels", "annotations"],
            "{name} has {keys:?}"
        );
        for part in ["severity: ", "summary: ", "todo: "] {
            assert!(rest.contains(part), "{name} lacks {part}");
        }
        let expression = rest.split("        labels:").next().unwrap_or_default();
        for metric in metrics_in(expression) {
            let whole = metric.strip_suffix("_bucket").unwrap_or(metric);
            assert!(
                exported.contains(whole),
                "{name} looks at {metric}, which is not there"
            );
            looked_at += 1;
        }
    }
    assert!(names.len() > 10 && looked_at > 10, "{names:?}");
    assert!(!alarms.contains('\t'), "YAML has no tabs");
}
