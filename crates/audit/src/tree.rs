//! Configuration files in memory: whoever reads a disk fills a [`Tree`], and nothing here opens a file.

use std::collections::BTreeMap;

/// Largest file that is taken, in bytes. FreePBX writes the dialplan of some thousand extensions into one file of about 10 MB.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Files of a tree. A FreePBX folder has about 250.
pub const FILES_MAX: usize = 4_096;
/// All files of a tree together, in bytes.
pub const TREE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a tree does not take a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// One file is larger than [`FILE_BYTES_MAX`].
    #[error("the file has more than {FILE_BYTES_MAX} bytes")]
    FileTooLarge,
    /// There are more than [`FILES_MAX`].
    #[error("the folder has more than {FILES_MAX} files")]
    TooManyFiles,
    /// All together are larger than [`TREE_BYTES_MAX`].
    #[error("the files of the folder have more than {TREE_BYTES_MAX} bytes together")]
    TooLarge,
}

impl TreeError {
    /// What an admin should do.
    #[must_use]
    pub fn hint(self) -> &'static str {
        "name Asterisk's configuration folder alone, without backups, sounds or recordings below it"
    }
}

/// The files of a configuration folder, by their path below it, with `/` between its parts; files from elsewhere that these
/// include, by their absolute path.
#[derive(Debug, Clone)]
pub struct Tree {
    folder: String,
    files: BTreeMap<String, Vec<u8>>,
    bytes: usize,
}

impl Tree {
    /// An empty tree. `folder` is the absolute path by which Asterisk knows it: `#include` may name files with it.
    #[must_use]
    pub fn new(folder: &str) -> Self {
        Self {
            folder: folder.trim_end_matches('/').to_owned(),
            files: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Adds a file.
    ///
    /// # Errors
    /// [`TreeError`]; the tree is as before.
    pub fn add(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), TreeError> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(TreeError::FileTooLarge);
        }
        if self.files.len() >= FILES_MAX {
            return Err(TreeError::TooManyFiles);
        }
        if self.bytes + bytes.len() > TREE_BYTES_MAX {
            return Err(TreeError::TooLarge);
        }
        self.bytes += bytes.len();
        self.files.insert(path.to_owned(), bytes);
        Ok(())
    }

    /// Paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Whether there is such a file.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Files outside of the folder that an `#include` names and that are not here yet. Whoever reads a disk adds them by this
    /// name; without them the audit says that it did not look at them. At most [`FILES_MAX`].
    #[must_use]
    pub fn wanted(&self) -> Vec<String> {
        let mut wanted = Vec::new();
        let lines = self
            .files
            .values()
            .flat_map(|bytes| bytes.split(|b| *b == b'\n'));
        for line in lines {
            let Ok(line) = str::from_utf8(line) else {
                continue;
            };
            let line = line.trim_start_matches('\u{feff}');
            let directive = line.trim().split_once(char::is_whitespace);
            let Some(("#include" | "#tryinclude", name)) = directive else {
                continue;
            };
            let name = name.split(';').next().unwrap_or_default().trim();
            let name = name.trim_matches(['"', '<', '>']);
            let known = self.below(name).is_some() || wanted.iter().any(|w| w == name);
            if name.starts_with('/') && !known && wanted.len() < FILES_MAX {
                wanted.push(name.to_owned());
            }
        }
        wanted
    }

    pub(crate) fn bytes(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// The path in the tree of what `#include` names; `None` where it lies outside and was not added.
    pub(crate) fn below(&self, name: &str) -> Option<String> {
        if self.files.contains_key(name) {
            return Some(name.to_owned());
        }
        let inside = if name.starts_with('/') {
            let rest = name
                .strip_prefix(&self.folder)
                .or_else(|| name.strip_prefix("/etc/asterisk"))?;
            rest.strip_prefix('/')?
        } else {
            name
        };
        let mut parts: Vec<&str> = Vec::new();
        for part in inside.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                part => parts.push(part),
            }
        }
        Some(parts.join("/"))
    }
}
