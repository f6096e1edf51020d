//! Folders where any program leaves files: those that came, or changed, since the check began are searched, whoever made them.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use ivrpay_tests::lab::Lab;
use tempfile::NamedTempFile;

use crate::places::{Files, Places};

/// As a place.
pub(crate) const NAME: &str = "the machine: new files in /tmp, /var/tmp and /dev/shm";
/// Folders of this machine, and those of Asterisk's root that are not the same.
const HERE: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
const INSIDE: [&str; 2] = ["tmp", "var/tmp"];
/// Digits in a row that make a finding: others write here too, and eight of theirs may be eight of a card by chance.
const DIGITS: &str = "12";
/// What the control leaves there; its files begin so.
const NAIVE: &str = "ivrpay-naive-";
/// New files; with more, something else than this check fills the folders.
const FILES_MAX: usize = 2_000;

pub(crate) struct Temporary {
    folders: Vec<PathBuf>,
    /// Seconds since 1970.
    began: i64,
    /// One in each folder: that it is found shows that the folder is looked at.
    marks: Vec<NamedTempFile>,
}

impl Temporary {
    pub(crate) fn new(lab: &Lab) -> anyhow::Result<Self> {
        let began = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let pid = std::fs::read_to_string(lab.folder.join("asterisk.pid"))?;
        let pid = pid.split_whitespace().next().unwrap_or_default();
        let root = std::fs::read_link(format!("/proc/{pid}/root"))?;
        let mut folders: Vec<PathBuf> = HERE.iter().map(PathBuf::from).collect();
        if root != Path::new("/") {
            folders.extend(INSIDE.iter().map(|folder| root.join(folder)));
        }
        let mut marks = Vec::new();
        for folder in &folders {
            let mark = tempfile::Builder::new()
                .prefix("ivrpay-leakcheck-")
                .tempfile_in(folder)
                .with_context(|| format!("{} can't be written to", folder.display()))?;
            std::fs::write(mark.path(), "looked at")?;
            marks.push(mark);
        }
        Ok(Self {
            folders,
            began: i64::try_from(began)?,
            marks,
        })
    }

    /// Searches what is new; how much was found.
    pub(crate) async fn search(&self, cards: &Path, places: &mut Places) -> anyhow::Result<usize> {
        let loud = places.loud;
        let mut new = Vec::new();
        for folder in &self.folders {
            self.walk(folder, &mut new);
        }
        for mark in &self.marks {
            ensure!(
                new.iter().any(|path| path == mark.path()),
                "{} was not found: its folder is not looked at",
                mark.path().display()
            );
        }
        ensure!(
            new.len() <= FILES_MAX,
            "{} new files are in the folders of temporary files: run this on a machine that does nothing else",
            new.len()
        );
        let files: Vec<Files<'_>> = new
            .into_iter()
            .map(|path| Files { name: NAME, path })
            .collect();
        let mut here = Places::new(cards, loud).with_digits(DIGITS);
        let found = here.search(None, &files).await?;
        places.count(NAME, "a card", found);
        Ok(found)
    }

    /// Takes away what the control left.
    pub(crate) fn clean(&self) -> anyhow::Result<()> {
        for folder in &self.folders {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_name().to_string_lossy().starts_with(NAIVE) {
                    std::fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// Plain files; a folder or file that went away meanwhile is passed over.
    fn walk(&self, folder: &Path, new: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else {
                continue;
            };
            if meta.is_dir() {
                self.walk(&entry.path(), new);
            } else if meta.is_file() && meta.ctime() >= self.began {
                new.push(entry.path());
            }
        }
    }
}
