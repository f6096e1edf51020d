//! Files and memory: where they are, what was in them before the call, what was written since.
//!
//! Of a file that only grows, what was added is searched; of any other that changed, all. Nothing is followed out of a folder, and numbers of
//! files and bytes are bounded; what is over a bound is told.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ivrpay_ari::Client;
use ivrpay_audit::canary::{Found, NEAR, Search};

use super::{Place, command, not, proc, searched};

/// Files of one folder that are looked at.
const FILES_MAX: usize = 50_000;
/// Most that is read of what one file has new, bytes.
const FILE_BYTES_MAX: u64 = 4 << 30;
/// Largest `/proc/PID/maps`, environment or command line, bytes.
const PROC_BYTES_MAX: u64 = 16 << 20;
/// Read at once, bytes.
const PIECE: usize = 1 << 20;
/// Ends of names of recordings that `ivrpay audit recording` can read.
const SOUND: [&str; 12] = [
    "wav", "ulaw", "alaw", "sln", "sln16", "sln24", "sln32", "sln44", "sln48", "raw", "pcm", "ul",
];

/// Where Asterisk's files are, as it says itself.
pub(super) struct Asterisk {
    /// Folder by what it is for; or why it is not known.
    folders: Result<Vec<(Kind, PathBuf)>, String>,
}

/// What a folder of Asterisk is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Log,
    Spool,
    Database,
}

impl Asterisk {
    pub(super) async fn find(ami: &Result<ivrpay_ami::Client, String>) -> Self {
        let folders = command(ami, "core show settings").await.and_then(|text| {
            let setting = |name: &str| {
                text.lines()
                    .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))
                    .map(|value| PathBuf::from(value.trim()))
                    .filter(|path| path.is_absolute())
            };
            let root = setting("PID file").and_then(|file| root_of(&file));
            let at = |path: PathBuf| match (&root, path.strip_prefix("/")) {
                (Some(root), Ok(below)) => root.join(below),
                _ => path,
            };
            let database = setting("ASTDB").and_then(|file| file.parent().map(Path::to_owned));
            let known = [
                (Kind::Log, setting("Log directory")),
                (Kind::Spool, setting("Spool directory")),
                (Kind::Database, database),
            ];
            let known: Vec<_> = known
                .into_iter()
                .filter_map(|(kind, path)| path.map(|path| (kind, at(path))))
                .collect();
            if known.is_empty() {
                return Err("Asterisk does not say where its files are".to_owned());
            }
            Ok(known)
        });
        Self { folders }
    }

    pub(super) fn folders(&self) -> Folders {
        Folders(self.folders.clone())
    }

    /// Records that go elsewhere than into files.
    pub(super) async fn elsewhere(
        &self,
        ami: &Result<ivrpay_ami::Client, String>,
        client: &Client,
    ) -> Vec<Place> {
        let mut places = Vec::new();
        for (what, ask, files) in [
            (
                "CDR",
                "cdr show status",
                ["csv", "Adaptive CSV", "cdr-custom", "cdr_manager"].as_slice(),
            ),
            (
                "CEL",
                "cel show status",
                [
                    "CEL Custom CSV Logging",
                    "Custom CSV",
                    "Manager Event Logging",
                    "CEL Manager",
                ]
                .as_slice(),
            ),
        ] {
            let Ok(text) = command(ami, ask).await else {
                continue;
            };
            for backend in backends(&text) {
                if !files.iter().any(|f| backend.eq_ignore_ascii_case(f)) {
                    places.push(not(
                        &format!("{what} of the backend {backend}"),
                        "it is not written into the log folder, as far as the canary knows; look there for the call yourself".to_owned(),
                    ));
                }
            }
            if text
                .lines()
                .any(|l| l.contains("Mode:") && l.contains("Batch"))
            {
                places.push(not(
                    "CDR of this call",
                    "they are written in batches, later (cdr.conf: batch)".to_owned(),
                ));
            }
        }
        let logs = client.logging().await.unwrap_or_default();
        for log in logs
            .iter()
            .filter(|l| l.kind.eq_ignore_ascii_case("syslog"))
        {
            places.push(not(
                &format!("Asterisk's log channel {}", log.channel),
                "it goes to syslog; search there yourself".to_owned(),
            ));
        }
        places
    }
}

/// Lines below `Registered Backends`.
fn backends(status: &str) -> Vec<String> {
    status
        .lines()
        .map(str::trim)
        .skip_while(|line| !line.contains("Registered Backends"))
        .skip(1)
        .filter(|line| !line.is_empty() && !line.starts_with('-') && !line.starts_with('('))
        .map(|line| line.trim_end_matches(" (suspended)").trim().to_owned())
        .collect()
}

/// The root folder of the Asterisk that wrote this pid file: its own in a container or a chroot.
fn root_of(pid_file: &Path) -> Option<PathBuf> {
    let below = pid_file.strip_prefix("/").ok()?;
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        if std::fs::read_to_string(proc(pid, "comm")).is_ok_and(|comm| comm.trim() == "asterisk") {
            let root = proc(pid, "root");
            let written = std::fs::read_to_string(root.join(below)).unwrap_or_default();
            // As it is numbered where it wrote the file.
            let status = std::fs::read_to_string(proc(pid, "status")).unwrap_or_default();
            let inside = status
                .lines()
                .find_map(|l| l.strip_prefix("NSpid:"))
                .and_then(|pids| pids.split_whitespace().last());
            if inside.is_some_and(|inside| inside == written.trim()) {
                return Some(root);
            }
        }
    }
    None
}

/// Folders of Asterisk, or why they are not known.
pub(super) struct Folders(Result<Vec<(Kind, PathBuf)>, String>);

/// What a file was before the call.
struct Mark {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Mark {
    fn of(meta: &std::fs::Metadata) -> Self {
        Self {
            inode: meta.ino(),
            length: meta.len(),
            changed: (meta.mtime(), meta.mtime_nsec()),
        }
    }
}

/// Everything that is searched behind the call, as it was before.
pub(super) struct Before {
    folders: Folders,
    own: Vec<(&'static str, PathBuf)>,
    pid: Option<u32>,
    marks: HashMap<PathBuf, Mark>,
}

/// What one place came to, of many files.
#[derive(Default)]
struct Sum {
    bytes: u64,
    files: u64,
    changed: u64,
    found: Found,
    trouble: Option<String>,
}

impl Sum {
    fn place(self, name: &str) -> Place {
        match self.trouble {
            Some(because) if self.files == 0 => not(name, because),
            trouble => {
                let trouble = trouble
                    .map(|t| format!(", not all: {t}"))
                    .unwrap_or_default();
                let note = format!(
                    "{} files, {} of them written{trouble}",
                    self.files, self.changed
                );
                searched(name, self.bytes, self.found, Some(note))
            }
        }
    }
}

impl Before {
    pub(super) fn look(
        folders: Folders,
        own: &[(&'static str, PathBuf)],
        pid: Option<u32>,
    ) -> Self {
        let mut marks = HashMap::new();
        let known = folders.0.iter().flatten();
        let mut paths: Vec<PathBuf> = known
            .flat_map(|(_, folder)| files(folder, &mut |_| {}))
            .collect();
        paths.extend(pid.map(|pid| proc(pid, "fd/2")));
        for path in paths {
            if let Ok(meta) = std::fs::metadata(&path) {
                marks.insert(path, Mark::of(&meta));
            }
        }
        Self {
            folders,
            own: own.to_vec(),
            pid,
            marks,
        }
    }

    /// Searches what was written since. The recordings among it are for somebody with an ear.
    pub(super) fn search(
        &self,
        search: &Search,
        halt: &AtomicBool,
    ) -> (Vec<Place>, Result<Vec<PathBuf>, String>) {
        let mut places = self.service(search, halt);
        let mut sums: BTreeMap<&'static str, Sum> = BTreeMap::new();
        let mut recordings = Ok(Vec::new());
        match &self.folders.0 {
            Err(because) => {
                for name in [LOGS, SPOOL, DATABASE] {
                    places.push(not(name, because.clone()));
                }
                recordings = Err(because.clone());
            }
            Ok(folders) => {
                for (kind, folder) in folders {
                    let name = match kind {
                        Kind::Log => LOGS,
                        Kind::Spool => SPOOL,
                        Kind::Database => DATABASE,
                    };
                    let mut trouble = None;
                    let all = files(folder, &mut |why| trouble = Some(why));
                    if *kind == Kind::Spool
                        && all.is_empty()
                        && let Some(why) = &trouble
                    {
                        recordings = Err(why.clone());
                    }
                    sums.entry(name).or_default().trouble = trouble;
                    for path in all {
                        let name = if *kind == Kind::Log {
                            record(folder, &path)
                        } else {
                            name
                        };
                        let sum = sums.entry(name).or_default();
                        if self.file(&path, search, sum, halt)
                            && *kind == Kind::Spool
                            && is_sound(&path)
                            && let Ok(recordings) = &mut recordings
                        {
                            recordings.push(path);
                        }
                    }
                }
            }
        }
        places.extend(sums.into_iter().map(|(name, sum)| sum.place(name)));
        (places, recordings)
    }

    /// Searches what is new in a file; whether anything is.
    fn file(&self, path: &Path, search: &Search, sum: &mut Sum, halt: &AtomicBool) -> bool {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (meta, mut file) = match opened {
            Ok(opened) => opened,
            // It went away meanwhile: a call's temporary file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
            Err(error) => {
                sum.trouble = Some(error.to_string());
                return false;
            }
        };
        if !meta.is_file() {
            return false;
        }
        sum.files += 1;
        let now = Mark::of(&meta);
        let from = match self.marks.get(path) {
            Some(was) if was.inode == now.inode => {
                if was.length == now.length && was.changed == now.changed {
                    return false;
                }
                // A database is written in its middle; a log only behind its end.
                if was.length < now.length && grows(path) {
                    was.length
                } else {
                    0
                }
            }
            _ => 0,
        };
        sum.changed += 1;
        let read = file
            .seek(SeekFrom::Start(from))
            .and_then(|_| stream(&mut file.take(FILE_BYTES_MAX), search, &mut sum.found, halt));
        match read {
            Ok(bytes) => sum.bytes += bytes,
            Err(error) => sum.trouble = Some(error.to_string()),
        }
        true
    }

    /// The service's own files.
    fn service(&self, search: &Search, halt: &AtomicBool) -> Vec<Place> {
        let mut places = Vec::new();
        for (name, path) in &self.own {
            let mut sum = Sum::default();
            self.file(path, search, &mut sum, halt);
            if sum.files > 0 || sum.trouble.is_some() {
                places.push(sum.place(name));
            }
        }
        let log = "the service's log";
        places.push(match self.pid.map(|pid| proc(pid, "fd/2")) {
            None => not(
                log,
                "the kernel does not say which process the service is".to_owned(),
            ),
            Some(path) => match std::fs::metadata(&path) {
                Ok(meta) if meta.is_file() => {
                    let mut sum = Sum::default();
                    self.file(&path, search, &mut sum, halt);
                    sum.place(log)
                }
                Ok(_) => not(
                    log,
                    "it is no file; search where it goes, for systemd in `journalctl -u ivrpay`"
                        .to_owned(),
                ),
                Err(error) => not(log, needs_root(&error)),
            },
        });
        places
    }
}

const LOGS: &str = "Asterisk's log folder";
const SPOOL: &str = "Asterisk's spool folder, as bytes";
const DATABASE: &str = "files of Asterisk's database";

/// What kind of record a file of the log folder is.
fn record(folder: &Path, path: &Path) -> &'static str {
    let below = path.strip_prefix(folder).unwrap_or(path);
    let first = below
        .iter()
        .next()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    if first.starts_with("cdr") {
        "CDR in files"
    } else if first.starts_with("cel") {
        "CEL in files"
    } else if first.starts_with("queue_log") {
        "queue_log"
    } else {
        LOGS
    }
}

/// Whether a file is only written behind its end. Not a recording, whose head has its length, and not a database.
fn grows(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    let database = ["sqlite", "sqlite3", "db", "journal"];
    let end = name.rsplit('.').next().unwrap_or_default();
    let is_database = database.contains(&end) || name.contains(".sqlite") || name.contains("astdb");
    !is_database && !is_sound(path)
}

fn is_sound(path: &Path) -> bool {
    let end = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    SOUND.iter().any(|s| end.eq_ignore_ascii_case(s))
}

/// Every file below a folder; links are not followed.
fn files(folder: &Path, trouble: &mut dyn FnMut(String)) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                trouble(format!("{}: {}", folder.display(), needs_root(&error)));
                continue;
            }
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
            if found.len() + open.len() >= FILES_MAX {
                trouble(format!("more than {FILES_MAX} files"));
                return found;
            }
        }
    }
    found
}

fn needs_root(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::PermissionDenied {
        "this user may not; run the canary as root".to_owned()
    } else {
        error.to_string()
    }
}

/// Searches a stream from where it stands; how many bytes it had.
fn stream(
    from: &mut impl Read,
    search: &Search,
    found: &mut Found,
    halt: &AtomicBool,
) -> io::Result<u64> {
    let mut window = Window::new(search, found);
    let mut piece = vec![0; PIECE];
    while !halt.load(Ordering::Relaxed) {
        let n = from.read(&mut piece)?;
        if n == 0 {
            break;
        }
        window.push(piece.get(..n).unwrap_or_default());
    }
    Ok(window.end())
}

/// Gives a stream to the search with what is near on either side.
struct Window<'a> {
    search: &'a Search,
    found: &'a mut Found,
    held: Vec<u8>,
    /// Of what is held, what was searched.
    done: usize,
    bytes: u64,
}

impl<'a> Window<'a> {
    fn new(search: &'a Search, found: &'a mut Found) -> Self {
        Self {
            search,
            found,
            held: Vec::with_capacity(PIECE + 2 * NEAR),
            done: 0,
            bytes: 0,
        }
    }

    fn push(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.held.extend_from_slice(piece);
        let to = self.held.len().saturating_sub(NEAR).max(self.done);
        self.search.feed(&self.held, self.done, to, self.found);
        let drop = to.saturating_sub(NEAR);
        self.held.drain(..drop);
        self.done = to - drop;
    }

    /// The end of the stream, or a hole in it.
    fn end(self) -> u64 {
        self.search
            .feed(&self.held, self.done, self.held.len(), self.found);
        self.search.finish(self.found);
        self.bytes
    }
}

/// What the search of a process came to.
pub(super) enum Memory {
    Searched {
        bytes: u64,
        found: Found,
        /// Secret memory, KiB.
        closed: u64,
    },
    Not(String),
}

impl Memory {
    /// Every readable mapping, the environment and the command line.
    pub(super) fn search(pid: u32, search: &Search, halt: &AtomicBool) -> Self {
        let opened =
            read_proc(pid, "maps").and_then(|maps| Ok((maps, File::open(proc(pid, "mem"))?)));
        let (maps, memory) = match opened {
            Ok(opened) => opened,
            Err(error) => return Self::Not(needs_root(&error)),
        };
        let (mut bytes, mut closed) = (0, 0);
        let mut found = Found::default();
        let mut piece = vec![0; PIECE];
        for mapping in String::from_utf8_lossy(&maps).lines().filter_map(mapping) {
            if mapping.secret {
                closed += (mapping.end - mapping.start) / 1024;
                continue;
            }
            let mut window = Window::new(search, &mut found);
            let mut at = mapping.start;
            while at < mapping.end && !halt.load(Ordering::Relaxed) {
                let want = usize::try_from(mapping.end - at)
                    .unwrap_or(PIECE)
                    .min(PIECE);
                let Some(piece) = piece.get_mut(..want) else {
                    break;
                };
                match memory.read_at(piece, at) {
                    Ok(n) if n > 0 => {
                        window.push(piece.get(..n).unwrap_or_default());
                        at += n as u64;
                    }
                    // Unmapped meanwhile, or the kernel's own.
                    Ok(_) | Err(_) => break,
                }
            }
            bytes += window.end();
        }
        for name in ["environ", "cmdline"] {
            if let Ok(text) = read_proc(pid, name) {
                bytes += text.len() as u64;
                search.whole(&text, &mut found);
            }
        }
        if bytes == 0 {
            return Self::Not("the service ended, or its memory can't be read by this user; run the canary as root".to_owned());
        }
        Self::Searched {
            bytes,
            found,
            closed,
        }
    }
}

fn read_proc(pid: u32, name: &str) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(proc(pid, name))?
        .take(PROC_BYTES_MAX)
        .read_to_end(&mut text)?;
    Ok(text)
}

struct Mapping {
    start: u64,
    end: u64,
    secret: bool,
}

/// A readable line of `/proc/PID/maps`.
fn mapping(line: &str) -> Option<Mapping> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let readable = words.next()?.starts_with('r');
    let name = words.nth(3).unwrap_or_default();
    // Read by the kernel alone.
    let kernels = ["[vvar]", "[vvar_vclock]", "[vsyscall]"].contains(&name);
    let secret = name.contains("secretmem");
    (secret || readable && !kernels).then_some(())?;
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        secret,
    })
}

#[cfg(test)]
mod tests {
    use ivrpay_audit::canary::TestCard;

    use super::*;

    const CALLER: &str = "Local/s@ivrpay-canary-00000001;2";
    const OWN: &str = "Local/s@ivrpay-canary-00000001;1";

    fn folders(path: &Path) -> Folders {
        let of = |kind, name: &str| (kind, path.join(name));
        Folders(Ok(vec![
            of(Kind::Log, "log"),
            of(Kind::Spool, "spool"),
            of(Kind::Database, "db"),
        ]))
    }

    #[test]
    fn what_was_there_before_is_not_the_canarys_and_what_was_written_since_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        for name in ["log/cdr-csv", "spool/monitor", "db"] {
            std::fs::create_dir_all(at.join(name)).unwrap();
        }
        let card = TestCard::of("visa").unwrap();
        let write = |name: &str, text: &str| std::fs::write(at.join(name), text).unwrap();
        let old = format!("old {}\n", card.keys());
        for name in [
            "log/full",
            "log/old",
            "log/cdr-csv/Master.csv",
            "log/queue_log",
            "spool/a.wav",
        ] {
            write(name, &old);
        }
        write("db/astdb.sqlite3", &format!("{} and more", card.keys()));
        let journal = at.join("journal.sqlite");
        std::fs::write(&journal, "").unwrap();
        let own = [("the journal", journal.clone())];
        let before = Before::look(folders(at), &own, None);

        write("log/full", &format!("{old}new {}\n", card.keys()));
        write("log/cdr-csv/Master.csv", &format!("{old}nothing\n"));
        write("log/cel-custom.csv", &card.keys());
        write("spool/monitor/b.wav", "RIFF");
        write("spool/unsound", &card.keys());
        // In its middle, as a database is written.
        write(
            "db/astdb.sqlite3",
            &format!("{} and much more", card.keys()),
        );
        let search = Search::new(&card, CALLER, OWN).unwrap();
        let (places, recordings) = before.search(&search, &AtomicBool::new(false));
        let count = |name: &str| {
            let place = places.iter().find(|p| p.name == name).expect(name);
            match &place.look {
                super::super::Look::Searched { forms, .. } => forms.values().sum::<u64>(),
                super::super::Look::Not(because) => panic!("{name}: {because}"),
            }
        };
        for (name, found) in [
            (LOGS, 1),
            ("CDR in files", 0),
            ("CEL in files", 1),
            ("queue_log", 0),
            (SPOOL, 1),
            (DATABASE, 1),
        ] {
            assert_eq!(count(name), found, "{name}");
        }
        assert_eq!(recordings.unwrap(), [at.join("spool/monitor/b.wav")]);
    }

    #[test]
    fn a_folder_that_is_not_there_was_not_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let before = Before::look(folders(folder.path()), &[], None);
        let card = TestCard::of("visa").unwrap();
        let search = Search::new(&card, CALLER, OWN).unwrap();
        let (places, recordings) = before.search(&search, &AtomicBool::new(false));
        let not = |p: &&Place| matches!(p.look, super::super::Look::Not(_));
        assert_eq!(places.iter().filter(not).count(), 4);
        assert!(recordings.is_err());
    }

    #[test]
    fn memory_of_a_process_is_searched() {
        let card = TestCard::of("visa").unwrap();
        let search = Search::new(&card, CALLER, OWN).unwrap();
        let kept = std::hint::black_box(card.keys());
        let memory = Memory::search(std::process::id(), &search, &AtomicBool::new(false));
        drop(kept);
        match memory {
            Memory::Searched { bytes, found, .. } => {
                assert!(bytes > 100_000 && found.count() > 0);
            }
            Memory::Not(because) => panic!("{because}"),
        }
    }

    #[test]
    fn backends_are_named() {
        let text = "* Registered Backends\n  -------------------\n    cdr-custom\n    csv (suspended)\n    ODBC\n\n";
        assert_eq!(backends(text), ["cdr-custom", "csv", "ODBC"]);
        assert!(backends("* Registered Backends\n  ---\n    (none)\n").is_empty());
        assert!(backends("CEL Logging: Disabled\n").is_empty());
    }
}
