//! Looks for cards where none may be: in the readable memory of processes and in files.
//!
//! Prints place, form and count, never a digit. The numbers come from a file, so that no command line holds them.

mod forms;
mod search;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use search::{Found, SPAN_MAX, Search};

/// Looks for card numbers in memory and files; says where and how often, never what.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A file with one `PAN MMYY CODE` a line: what to look for.
    #[arg(long)]
    cards: PathBuf,
    /// Processes whose readable memory, environment, command line and open files are searched.
    #[arg(long)]
    pid: Vec<u32>,
    /// Files, and folders with all that is in them.
    #[arg(long)]
    path: Vec<PathBuf>,
    /// One JSON line instead of text.
    #[arg(long)]
    json: bool,
    /// Consecutive digits of a number, its last four aside, that are enough in a text.
    #[arg(long, default_value_t = forms::TEXT_DIGITS, value_parser = enough)]
    digits: usize,
    /// Search once for every line of standard input, until it ends.
    #[arg(long)]
    again: bool,
}

fn enough(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(digits @ 8..=12) => Ok(digits),
        _ => Err("8 to 12".into()),
    }
}

/// Holds a card in memory in every form until its input ends, or writes it into files: what a search has to find.
#[derive(clap::Args)]
pub(crate) struct HoldArgs {
    /// A file with one `PAN MMYY CODE` a line; the first is held.
    #[arg(long)]
    cards: PathBuf,
    /// Write each copy into a file of its own in this folder, and end.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// What is skipped where nothing can be read, bytes.
const PAGE: u64 = 4 << 10;

/// Bytes read at once; what crosses the border is found because the pieces overlap.
const PIECE: usize = 4 << 20;

#[derive(serde::Serialize)]
struct Hit {
    place: String,
    form: &'static str,
    count: usize,
    /// Around the first, digits masked.
    around: String,
}

/// Exit code 0: nothing found; 1: found; 2: could not look.
pub(crate) async fn run(args: Args) -> u8 {
    match tokio::task::spawn_blocking(move || scan(&args)).await {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            eprintln!("scan: {error:#}");
            2
        }
        Err(_) => 2,
    }
}

/// One line a copy, its name and the form under which it is found with a tab between them; then `holding`, until standard input
/// ends.
pub(crate) fn hold(args: &HoldArgs) -> u8 {
    match holding(args) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("hold: {error:#}");
            2
        }
    }
}

fn holding(args: &HoldArgs) -> anyhow::Result<()> {
    let cards = forms::cards(&args.cards)?;
    let plants = cards.first().map(forms::planted).unwrap_or_default();
    for (number, plant) in plants.iter().enumerate() {
        println!("{number}\t{}\t{}", plant.name, plant.form);
        if let Some(folder) = &args.write {
            std::fs::write(folder.join(number.to_string()), &plant.bytes)?;
        }
    }
    if args.write.is_none() {
        println!("holding");
        std::io::stdin().read_to_end(&mut Vec::new())?;
    }
    std::hint::black_box(&plants);
    Ok(())
}

/// What a search went through.
struct Scan<'a> {
    search: &'a Search,
    /// The cards' own file, which is not a leak.
    own: PathBuf,
    hits: Vec<Hit>,
    looked: Vec<Looked>,
    not_searched: Vec<String>,
}

/// A place that was searched.
#[derive(serde::Serialize)]
struct Looked {
    place: String,
    bytes: u64,
}

fn scan(args: &Args) -> anyhow::Result<u8> {
    let search = Search::new(&forms::cards(&args.cards)?, args.digits)?;
    if !args.again {
        return Ok(u8::from(once(args, &search)? > 0));
    }
    let mut found = 0;
    for line in std::io::stdin().lines() {
        line?;
        found += once(args, &search)?;
    }
    Ok(u8::from(found > 0))
}

fn once(args: &Args, search: &Search) -> anyhow::Result<usize> {
    let mut scan = Scan {
        search,
        own: std::fs::canonicalize(&args.cards)?,
        hits: Vec::new(),
        looked: Vec::new(),
        not_searched: Vec::new(),
    };
    for pid in &args.pid {
        scan.process(*pid)?;
    }
    for path in &args.path {
        scan.files(path)?;
    }
    let found: usize = scan.hits.iter().map(|h| h.count).sum();
    if args.json {
        println!(
            "{}",
            serde_json::json!({
                "places": scan.looked.len(),
                "looked": scan.looked,
                "found": found,
                "hits": scan.hits,
                "not_searched": scan.not_searched,
            })
        );
    } else {
        for hit in &scan.hits {
            println!(
                "found: {} x {} in {}: `{}`",
                hit.count, hit.form, hit.place, hit.around
            );
        }
        for place in &scan.not_searched {
            println!("not searched: {place}");
        }
        println!(
            "scan: {} places, {} MiB, {found} found",
            scan.looked.len(),
            scan.looked.iter().map(|l| l.bytes).sum::<u64>() >> 20
        );
    }
    Ok(found)
}

impl Scan<'_> {
    fn add(&mut self, place: &str, bytes: u64, mut found: Found) {
        self.search.finish(&mut found);
        for (form, seen) in found.forms {
            self.hits.push(Hit {
                place: place.to_owned(),
                form,
                count: seen.count,
                around: seen.around,
            });
        }
        self.looked.push(Looked {
            place: place.to_owned(),
            bytes,
        });
    }

    /// Searches what `read` gives, piece by piece; `read` answers 0 at the end.
    fn place(
        &mut self,
        place: &str,
        mut read: impl FnMut(&mut [u8]) -> std::io::Result<usize>,
    ) -> std::io::Result<()> {
        let mut found = Found::default();
        let mut buffer = vec![0; PIECE];
        let (mut kept, mut bytes) = (0, 0);
        loop {
            let mut filled = kept;
            while filled < buffer.len() {
                match read(&mut buffer[filled..])? {
                    0 => break,
                    n => filled += n,
                }
            }
            if filled == kept {
                break;
            }
            self.search.feed(&buffer[..filled], kept, &mut found);
            bytes += (filled - kept) as u64;
            let keep = SPAN_MAX.min(filled);
            buffer.copy_within(filled - keep..filled, 0);
            kept = keep;
        }
        self.add(place, bytes, found);
        Ok(())
    }

    fn process(&mut self, pid: u32) -> anyhow::Result<()> {
        self.memory(pid)?;
        for name in ["environ", "cmdline"] {
            let path = format!("/proc/{pid}/{name}");
            let mut file = File::open(&path)?;
            self.place(&path, |buffer| file.read(buffer))?;
        }
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
            // What is open, deleted files among it; sockets and pipes have no content that stays.
            let path = entry.path();
            let is_file = std::fs::metadata(&path).is_ok_and(|m| m.is_file());
            let target = std::fs::read_link(&path).unwrap_or_default();
            if is_file && target != self.own {
                let mut file = File::open(&path)?;
                let place = format!("open file of {pid}: {}", target.display());
                self.place(&place, |buffer| file.read(buffer))?;
            }
        }
        Ok(())
    }

    fn memory(&mut self, pid: u32) -> anyhow::Result<()> {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let memory = File::open(format!("/proc/{pid}/mem"))?;
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let (Some(range), Some(rights)) = (words.next(), words.next()) else {
                continue;
            };
            let name = words.nth(3).unwrap_or("anonymous");
            if !rights.starts_with('r') || name == "[vvar]" || name == "[vsyscall]" {
                continue;
            }
            let Some((start, end)) = range.split_once('-') else {
                continue;
            };
            let (mut at, end) = (
                u64::from_str_radix(start, 16)?,
                u64::from_str_radix(end, 16)?,
            );
            let place = format!("memory of {pid}, {name}");
            let mut refused = 0;
            self.place(&place, |buffer| {
                while at < end {
                    let want = usize::try_from(end - at)
                        .unwrap_or(usize::MAX)
                        .min(buffer.len());
                    let n = memory.read_at(&mut buffer[..want], at).unwrap_or(0);
                    if n > 0 {
                        at += n as u64;
                        return Ok(n);
                    }
                    // EIO: secret memory, which nobody can read; that is the point. Or a guard page between stacks that
                    // are one mapping: what stands behind it is looked at.
                    at += PAGE;
                    refused += PAGE;
                }
                Ok(0)
            })?;
            if refused > 0 {
                self.not_searched.push(format!(
                    "{} KiB of {place}: the kernel lets nobody read it",
                    refused >> 10
                ));
            }
        }
        Ok(())
    }

    fn files(&mut self, path: &Path) -> anyhow::Result<()> {
        let meta = match std::fs::symlink_metadata(path) {
            Ok(meta) => meta,
            // It went away between the listing and now: a journal's side file, a log that was turned over.
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && !self.looked.is_empty() =>
            {
                return Ok(());
            }
            Err(error) => return Err(anyhow::Error::new(error).context(path.display().to_string())),
        };
        if meta.is_dir() {
            let mut entries: Vec<PathBuf> = std::fs::read_dir(path)?
                .map(|entry| entry.map(|e| e.path()))
                .collect::<Result<_, _>>()?;
            entries.sort();
            for entry in entries {
                self.files(&entry)?;
            }
        } else if meta.is_file() {
            let mut file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if std::fs::canonicalize(path).is_ok_and(|path| path == self.own) {
                return Ok(());
            }
            self.place(&path.display().to_string(), |buffer| file.read(buffer))?;
        }
        Ok(())
    }
}
