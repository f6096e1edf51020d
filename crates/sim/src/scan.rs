//! Looks for a card where none may be: in the readable memory of a process and in files.
//!
//! Prints place, form and count, never a digit. The numbers come from a file, so that no command line holds them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;

/// Looks for card numbers in memory and files; says where and how often, never what.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A file with one `PAN MMYY CODE` a line: what to look for.
    #[arg(long)]
    cards: PathBuf,
    /// Processes whose readable memory is searched.
    #[arg(long)]
    pid: Vec<u32>,
    /// Files, and folders with all that is in them.
    #[arg(long)]
    path: Vec<PathBuf>,
    /// One JSON line instead of text.
    #[arg(long)]
    json: bool,
}

/// Bytes read at once; forms that cross the border are found because the pieces overlap.
const PIECE: usize = 1 << 20;
const OVERLAP: usize = 512;

struct Form {
    name: &'static str,
    bytes: Vec<u8>,
}

#[derive(serde::Serialize)]
struct Hit {
    place: String,
    form: &'static str,
    count: usize,
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

fn scan(args: &Args) -> anyhow::Result<u8> {
    let forms = forms(&args.cards)?;
    let (mut hits, mut places, mut bytes) = (Vec::new(), 0_usize, 0_u64);
    let mut not_searched = Vec::new();
    for pid in &args.pid {
        bytes += memory(*pid, &forms, &mut hits, &mut not_searched)?;
        places += 1;
    }
    for path in &args.path {
        let own = std::fs::canonicalize(&args.cards)?;
        files(path, &own, &forms, &mut hits, &mut places, &mut bytes)?;
    }
    let found: usize = hits.iter().map(|h| h.count).sum();
    if args.json {
        println!(
            "{}",
            serde_json::json!({
                "places": places, "bytes": bytes, "found": found, "hits": hits, "not_searched": not_searched
            })
        );
    } else {
        for hit in &hits {
            println!("found: {} x {} in {}", hit.count, hit.form, hit.place);
        }
        for place in &not_searched {
            println!("not searched: {place}");
        }
        println!("scan: {places} places, {} MiB, {found} found", bytes >> 20);
    }
    Ok(u8::from(found > 0))
}

/// The forms in which a number can stand. A run of eight digits or more is enough in text forms (the truncation
/// that is allowed leaves the last four alone).
fn forms(cards: &Path) -> anyhow::Result<Vec<Form>> {
    let mut forms = Vec::new();
    for line in BufReader::new(File::open(cards)?).lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let (Some(pan), Some(expiry), Some(code)) = (words.next(), words.next(), words.next())
        else {
            anyhow::bail!("a line of the cards' file is not `PAN MMYY CODE`");
        };
        anyhow::ensure!(
            pan.len() >= 12 && pan.bytes().all(|b| b.is_ascii_digit()),
            "a card number is 12 to 19 digits"
        );
        let digits: Vec<u8> = pan.bytes().map(|b| b - b'0').collect();
        let mut add = |name, bytes: Vec<u8>| forms.push(Form { name, bytes });
        // All but the last four, any window of eight.
        let secret = pan.as_bytes().get(..pan.len() - 4).unwrap_or_default();
        for window in secret.windows(8) {
            add("ASCII, 8 digits", window.to_vec());
            add(
                "reversed ASCII, 8 digits",
                window.iter().rev().copied().collect(),
            );
            add(
                "UTF-16LE, 8 digits",
                window.iter().flat_map(|b| [*b, 0]).collect(),
            );
            add(
                "UTF-16BE, 8 digits",
                window.iter().flat_map(|b| [0, *b]).collect(),
            );
            add(
                "UTF-32LE, 8 digits",
                window.iter().flat_map(|b| [*b, 0, 0, 0]).collect(),
            );
        }
        let grouped = |by: &str| {
            let groups: Vec<&str> = (0..pan.len())
                .step_by(4)
                .filter_map(|i| pan.get(i..(i + 4).min(pan.len())))
                .collect();
            groups.join(by).into_bytes()
        };
        add("grouped by blanks", grouped(" "));
        add("grouped by dashes", grouped("-"));
        add("one byte a digit", digits.clone());
        let nibbles = |odd: bool, swap: bool| {
            let mut all = digits.clone();
            if odd {
                all.remove(0);
            }
            all.chunks_exact(2)
                .map(|p| {
                    if swap {
                        p[1] << 4 | p[0]
                    } else {
                        p[0] << 4 | p[1]
                    }
                })
                .collect::<Vec<u8>>()
        };
        for (odd, swap) in [(false, false), (false, true), (true, false), (true, true)] {
            add("BCD", nibbles(odd, swap));
        }
        for offset in 0..3_usize {
            let padded: Vec<u8> = std::iter::repeat_n(b' ', offset)
                .chain(pan.bytes())
                .collect();
            for engine in [
                base64::engine::general_purpose::STANDARD_NO_PAD,
                base64::engine::general_purpose::URL_SAFE_NO_PAD,
            ] {
                let text = engine.encode(&padded);
                // The first group depends on what stands before, the last on what stands behind.
                let middle = text
                    .as_bytes()
                    .get(4..text.len() / 4 * 4 - 4)
                    .unwrap_or_default();
                if middle.len() >= 12 {
                    add("base64", middle.to_vec());
                }
            }
        }
        add(
            "digit events",
            pan.bytes()
                .flat_map(|b| {
                    [
                        b'"', b'd', b'i', b'g', b'i', b't', b'"', b':', b'"', b, b'"', b',',
                    ]
                })
                .take(36)
                .collect(),
        );
        for text in [
            format!("\"cvv\":\"{code}\""),
            format!("cvc={code}"),
            format!("{code}#{expiry}"),
            format!("{pan}#{expiry}"),
        ] {
            add("code or expiry in its context", text.into_bytes());
        }
    }
    anyhow::ensure!(
        !forms.is_empty(),
        "the cards' file is empty: nothing to look for"
    );
    Ok(forms)
}

/// Adds what is found in `data`, whose first `seen` bytes were in the piece before.
fn search(place: &str, data: &[u8], seen: usize, forms: &[Form], hits: &mut Vec<Hit>) {
    let mut by_first: Vec<Vec<&Form>> = (0..256).map(|_| Vec::new()).collect();
    for form in forms {
        by_first[usize::from(form.bytes[0])].push(form);
    }
    for (start, byte) in data.iter().enumerate() {
        for form in &by_first[usize::from(*byte)] {
            if data[start..].starts_with(&form.bytes) && start + form.bytes.len() > seen {
                match hits
                    .iter_mut()
                    .find(|h| h.place == place && h.form == form.name)
                {
                    Some(hit) => hit.count += 1,
                    None => hits.push(Hit {
                        place: place.to_owned(),
                        form: form.name,
                        count: 1,
                    }),
                }
            }
        }
    }
}

fn memory(
    pid: u32,
    forms: &[Form],
    hits: &mut Vec<Hit>,
    not_searched: &mut Vec<String>,
) -> anyhow::Result<u64> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut bytes = 0;
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
        let (start, end) = (
            u64::from_str_radix(start, 16)?,
            u64::from_str_radix(end, 16)?,
        );
        let place = format!("memory of {pid}, {name}");
        let mut buffer = vec![0; PIECE];
        let (mut at, mut keep) = (start, 0_usize);
        while at < end {
            let want = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE - keep);
            // EIO: secret memory, which nobody can read; that is the point.
            let n = match memory.read_at(&mut buffer[keep..keep + want], at) {
                Ok(n) if n > 0 => n,
                _ => {
                    not_searched.push(format!(
                        "{} KiB of {place}: the kernel lets nobody read it",
                        (end - at) >> 10
                    ));
                    break;
                }
            };
            search(&place, &buffer[..keep + n], keep, forms, hits);
            bytes += n as u64;
            at += n as u64;
            let total = keep + n;
            keep = OVERLAP.min(total);
            buffer.copy_within(total - keep..total, 0);
        }
    }
    Ok(bytes)
}

fn files(
    path: &Path,
    own: &Path,
    forms: &[Form],
    hits: &mut Vec<Hit>,
    places: &mut usize,
    bytes: &mut u64,
) -> anyhow::Result<()> {
    let meta = std::fs::symlink_metadata(path)?;
    if meta.is_dir() {
        for entry in std::fs::read_dir(path)? {
            files(&entry?.path(), own, forms, hits, places, bytes)?;
        }
    } else if meta.is_file() && std::fs::canonicalize(path)? != own {
        let mut data = Vec::new();
        File::open(path)?.read_to_end(&mut data)?;
        search(&path.display().to_string(), &data, 0, forms, hits);
        *places += 1;
        *bytes += data.len() as u64;
    }
    Ok(())
}
