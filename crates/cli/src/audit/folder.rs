//! Reads the files of a configuration folder into memory.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ivrpay_audit::{FILE_BYTES_MAX, KNOWN, NotAsterisk, Tree, TreeError};

/// Folders within one another.
const DEPTH_MAX: usize = 8;

/// Why a folder can't be audited.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    #[error("{} is no folder", .0.display())]
    NoFolder(PathBuf),
    #[error("{} can't be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Tree { path: PathBuf, source: TreeError },
    #[error("{}: {source}", path.display())]
    NotAsterisk { path: PathBuf, source: NotAsterisk },
}

impl FolderError {
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::NoFolder(_) => "name the folder of asterisk.conf, usually /etc/asterisk",
            Self::Read { .. } => {
                "run it as root or as Asterisk's own user: an audit that can't read a file would say too little"
            }
            Self::Tree { source, .. } => source.hint(),
            Self::NotAsterisk { .. } => {
                "name the folder of asterisk.conf, usually /etc/asterisk; `core show settings` says which"
            }
        }
    }
}

/// A folder in memory, and what in it was passed over, with the reason.
pub(super) struct Folder {
    pub(super) tree: Tree,
    pub(super) passed_over: Vec<(String, String)>,
}

pub(super) fn read(folder: &Path) -> Result<Folder, FolderError> {
    if !folder.is_dir() {
        return Err(match fs::metadata(folder) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => FolderError::Read {
                path: folder.to_owned(),
                source,
            },
            _ => FolderError::NoFolder(folder.to_owned()),
        });
    }
    // One that may not be searched holds nothing that can be seen.
    let read = fs::read_dir(folder).map(|_| ());
    let known = KNOWN.map(|file| folder.join(file).symlink_metadata().map(|_| ()));
    let denied = |r: &io::Result<()>| matches!(r, Err(error) if error.kind() == io::ErrorKind::PermissionDenied);
    let nothing = !known.iter().any(Result::is_ok);
    if let Some(Err(source)) = known.into_iter().chain([read]).find(denied) {
        return Err(FolderError::Read {
            path: folder.to_owned(),
            source,
        });
    }
    // Before all of somebody's home is read.
    if nothing {
        return Err(FolderError::NotAsterisk {
            path: folder.to_owned(),
            source: NotAsterisk,
        });
    }
    let absolute = fs::canonicalize(folder).map_err(|source| FolderError::Read {
        path: folder.to_owned(),
        source,
    })?;
    let mut reading = Reading {
        folder: Folder {
            tree: Tree::new(&absolute.to_string_lossy()),
            passed_over: Vec::new(),
        },
        seen: BTreeSet::from([absolute]),
    };
    reading.walk(folder, "", 0)?;
    for _ in 0..DEPTH_MAX {
        if !reading.outside()? {
            break;
        }
    }
    Ok(reading.folder)
}

struct Reading {
    folder: Folder,
    /// Folders by their real path: a link that leads back is followed once.
    seen: BTreeSet<PathBuf>,
}

impl Reading {
    fn walk(&mut self, path: &Path, below: &str, depth: usize) -> Result<(), FolderError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| FolderError::Read { path, source }
        };
        for entry in fs::read_dir(path).map_err(failed(path))? {
            let entry = entry.map_err(failed(path))?;
            let path = entry.path();
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            // Of what a link leads to: FreePBX links many files into its modules.
            let meta = match fs::metadata(&path) {
                Ok(meta) => meta,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.pass_over(
                        name,
                        "a link that leads to nothing; Asterisk does not see it either",
                    );
                    continue;
                }
                // Too many links: to itself, or in a circle.
                Err(error) if leads_nowhere(&error) => {
                    self.pass_over(
                        name,
                        "a link that leads to itself; Asterisk does not see it either",
                    );
                    continue;
                }
                Err(source) => return Err(FolderError::Read { path, source }),
            };
            if meta.is_dir() {
                if name.ends_with(".conf") {
                    self.pass_over(name.clone(), "it is a folder, where Asterisk wants a file");
                }
                let real = fs::canonicalize(&path).map_err(failed(&path))?;
                if depth + 1 >= DEPTH_MAX {
                    self.pass_over(name, "a folder more than 8 deep");
                } else if self.seen.insert(real) {
                    self.walk(&path, &format!("{name}/"), depth + 1)?;
                }
                continue;
            }
            match plain(&path).map_err(failed(&path))? {
                Ok(bytes) => {
                    let added = self.folder.tree.add(&name, bytes);
                    added.map_err(|source| FolderError::Tree { path, source })?;
                }
                Err(because) => self.pass_over(name, because),
            }
        }
        Ok(())
    }

    /// Files elsewhere that those here include. Whether there were any; those that are not there are the audit's to name.
    fn outside(&mut self) -> Result<bool, FolderError> {
        let mut any = false;
        for name in self.folder.tree.wanted() {
            let path = PathBuf::from(&name);
            let bytes = match plain(&path) {
                Ok(Ok(bytes)) => bytes,
                Ok(Err(because)) => {
                    self.pass_over(name, because);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(FolderError::Read { path, source }),
            };
            let added = self.folder.tree.add(&name, bytes);
            added.map_err(|source| FolderError::Tree { path, source })?;
            any = true;
        }
        Ok(any)
    }

    fn pass_over(&mut self, name: String, because: &str) {
        self.folder.passed_over.push((name, because.to_owned()));
    }
}

/// Places whose files are the kernel's: reading one may wait for ever, or take from others what it gives.
const KERNEL: [&str; 2] = ["/proc", "/sys"];

/// The bytes of a plain file, or why it is passed over.
fn plain(path: &Path) -> io::Result<Result<Vec<u8>, &'static str>> {
    let real = fs::canonicalize(path)?;
    if KERNEL.iter().any(|place| real.starts_with(place)) {
        return Ok(Err("it leads to the kernel, not to a file of a disk"));
    }
    if !fs::metadata(&real)?.is_file() {
        return Ok(Err("it is no plain file"));
    }
    let mut bytes = Vec::new();
    let bound = FILE_BYTES_MAX as u64 + 1;
    fs::File::open(&real)?.take(bound).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Ok(Err("it has more than 16 MiB"));
    }
    Ok(Ok(bytes))
}

/// Whether a link can't be followed to an end.
fn leads_nowhere(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}
