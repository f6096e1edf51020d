//! The places that are searched, by name, and what was found in each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use ivrpay_tests::lab::binary;
use serde::Deserialize;
use tokio::process::Command;

/// Memory that nobody may read, as a place: what is found in it is that it could be read.
const SECRET: &str = "ivrpay: secret memory, whether it can be read";

/// What a search of one place gave, added up over all moments.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) moments: usize,
    /// Largest size that it had, bytes.
    pub(crate) bytes: u64,
    /// Times by form.
    pub(crate) found: BTreeMap<String, usize>,
}

/// The ledger of a check.
pub(crate) struct Places {
    cards: PathBuf,
    /// Says what it finds at once.
    pub(crate) loud: bool,
    digits: Option<&'static str>,
    seen: BTreeMap<String, Seen>,
    /// Memory that the kernel gives nobody.
    pub(crate) unreadable: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
struct Report {
    hits: Vec<Hit>,
    looked: Vec<Looked>,
    not_searched: Vec<String>,
}

#[derive(Deserialize)]
struct Hit {
    place: String,
    form: String,
    count: usize,
    around: String,
}

#[derive(Deserialize)]
struct Looked {
    place: String,
    bytes: u64,
}

/// A named place that is files.
pub(crate) struct Files<'a> {
    pub(crate) name: &'a str,
    pub(crate) path: PathBuf,
}

impl Places {
    pub(crate) fn new(cards: &Path, loud: bool) -> Self {
        Self {
            cards: cards.to_owned(),
            loud,
            digits: None,
            seen: BTreeMap::new(),
            unreadable: BTreeMap::new(),
        }
    }

    /// Looks for so many digits in a row, where the cards are too many for the usual eight.
    pub(crate) fn with_digits(mut self, digits: &'static str) -> Self {
        self.digits = Some(digits);
        self
    }

    /// Searches a process and files. The name of a place of files is that of the longest path that it stands below.
    pub(crate) async fn search(
        &mut self,
        process: Option<(u32, &str)>,
        files: &[Files<'_>],
    ) -> anyhow::Result<usize> {
        let mut command = Command::new(binary("ivrpay-sim")?);
        command
            .args(["scan", "--json", "--cards"])
            .arg(&self.cards)
            .stdin(Stdio::null());
        if let Some(digits) = self.digits {
            command.args(["--digits", digits]);
        }
        if let Some((pid, _)) = process {
            command.args(["--pid", &pid.to_string()]);
        }
        for file in files.iter().filter(|f| f.path.exists()) {
            command.arg("--path").arg(&file.path);
            self.seen.entry(file.name.to_owned()).or_default();
        }
        let output = command.output().await?;
        ensure!(
            matches!(output.status.code(), Some(0 | 1)),
            "the search failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let report: Report = serde_json::from_slice(&output.stdout)?;
        let name = |place: &str| -> anyhow::Result<String> {
            if let Some((pid, whose)) = process
                && let Some(part) = of_process(place, pid)
            {
                return Ok(format!("{whose}: {part}"));
            }
            let below = files
                .iter()
                .filter(|f| Path::new(place).starts_with(&f.path));
            let longest = below.max_by_key(|f| f.path.as_os_str().len());
            Ok(longest
                .with_context(|| format!("{place} is no place that was asked for"))?
                .name
                .to_owned())
        };
        let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
        let (secret, others): (Vec<&Looked>, Vec<&Looked>) = report
            .looked
            .iter()
            .partition(|l| l.place.contains("secretmem"));
        // The kernel gives nobody a byte of it, root neither: what it gives is a finding.
        if !secret.is_empty() {
            let readable = secret.iter().filter(|l| l.bytes > 0).count();
            self.count(SECRET, "readable mapping", readable);
        }
        for looked in others {
            *bytes.entry(name(&looked.place)?).or_default() += looked.bytes;
        }
        for (place, bytes) in bytes {
            let seen = self.seen.entry(place).or_default();
            seen.moments += 1;
            seen.bytes = seen.bytes.max(bytes);
        }
        let mut found = 0;
        for hit in report.hits {
            let place = name(&hit.place)?;
            if self.loud {
                println!(
                    "FOUND {} x {} in {place}: {}: `{}`",
                    hit.count, hit.form, hit.place, hit.around
                );
            }
            let seen = self.seen.entry(place).or_default();
            *seen.found.entry(hit.form).or_default() += hit.count;
            found += hit.count;
        }
        for line in report.not_searched {
            let what = line.split(" of memory").next().unwrap_or_default();
            let mapping = line.rsplit_once(", ").map_or(line.as_str(), |(_, m)| m);
            let mapping = mapping.split(':').next().unwrap_or_default();
            *self
                .unreadable
                .entry(format!("{what} of {mapping}"))
                .or_default() += 1;
        }
        Ok(found)
    }

    /// Decodes the tones of recordings. A place as the others are, with a decoder in the place of a search for bytes.
    pub(crate) async fn listen(&mut self, name: &str, path: &Path) -> anyhow::Result<usize> {
        let output = Command::new(binary("ivrpay")?)
            .args(["audit", "recording", "--json"])
            .arg(path)
            .stdin(Stdio::null())
            .output()
            .await?;
        let audible = match output.status.code() {
            Some(0) => 0,
            Some(1) => 1,
            other => bail!(
                "`ivrpay audit recording` ended with {other:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            ),
        };
        let seen = self.seen.entry(name.to_owned()).or_default();
        seen.moments += 1;
        seen.bytes = seen.bytes.max(size(path));
        if audible > 0 {
            *seen.found.entry("audible tones".into()).or_default() += audible;
        }
        Ok(audible)
    }

    /// A fact that is a place: what should not be there, counted.
    pub(crate) fn count(&mut self, name: &str, form: &str, found: usize) {
        let seen = self.seen.entry(name.to_owned()).or_default();
        seen.moments += 1;
        seen.bytes = seen.bytes.max(1);
        if found > 0 {
            *seen.found.entry(form.into()).or_default() += found;
        }
    }

    pub(crate) fn seen(&self) -> &BTreeMap<String, Seen> {
        &self.seen
    }

    /// Whether this place holds a card in a form whose name begins so.
    pub(crate) fn holds(&self, name: &str, form: &str) -> bool {
        self.seen
            .get(name)
            .is_some_and(|seen| seen.found.keys().any(|f| f.starts_with(form)))
    }

    /// Places in which something was found.
    pub(crate) fn dirty(&self) -> usize {
        self.seen.values().filter(|s| !s.found.is_empty()).count()
    }

    pub(crate) fn found(&self) -> usize {
        self.seen
            .values()
            .map(|s| s.found.values().sum::<usize>())
            .sum()
    }

    /// Prints the table. A place without a byte was not searched: that is a failure of the check, and named.
    pub(crate) fn print(&self) {
        for (name, seen) in &self.seen {
            let found: usize = seen.found.values().sum();
            println!(
                "{:<58} {:>4} times {:>9} KiB {:>6} found",
                name,
                seen.moments,
                seen.bytes.div_ceil(1024),
                found
            );
            for (form, count) in &seen.found {
                println!("    {count} x {form}");
            }
        }
    }

    pub(crate) fn empty(&self, may_be: &[&str]) -> Vec<&str> {
        self.seen
            .iter()
            .filter(|(name, seen)| seen.bytes == 0 && !may_be.contains(&name.as_str()))
            .map(|(name, _)| name.as_str())
            .collect()
    }
}

pub(crate) fn size(path: &Path) -> u64 {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|e| size(&e.path())).sum(),
        Err(_) => std::fs::metadata(path).map_or(0, |m| m.len()),
    }
}

/// Which part of a process a place of the scanner is.
fn of_process(place: &str, pid: u32) -> Option<&'static str> {
    if let Some(mapping) = place.strip_prefix(&format!("memory of {pid}, ")) {
        return Some(match mapping {
            "[heap]" => "heap",
            "[stack]" => "stack of the first thread",
            "anonymous" => "anonymous memory, other stacks among it",
            "[vdso]" => "other mappings",
            m if m.contains(".so") => "libraries and their data",
            m if m.starts_with('/') && !m.contains("secretmem") && !m.starts_with("/dev") => {
                "the program, its data and mapped files"
            }
            _ => "other mappings",
        });
    }
    if place.starts_with(&format!("open file of {pid}")) {
        return Some("open files");
    }
    match place.strip_prefix(&format!("/proc/{pid}/")) {
        Some("environ") => Some("environment"),
        Some("cmdline") => Some("command line"),
        _ => None,
    }
}
