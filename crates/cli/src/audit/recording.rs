//! `ivrpay audit recording`: whether somebody with a recording could tell a card number from its tones.
//!
//! Each channel of each file is listened to by itself; keys that follow one another are a run, judged as soon as it is over and
//! wiped then. Keys lie in secret memory; what leaves is file, channel, time, kind and count.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ivrpay_card::{Digits, Pan, Rules};
use ivrpay_payment::Brand;
use ivrpay_secret::Buffer;
use ivrpay_tone::{Grade, Raw, Recording, RecordingError, Tone};
use serde_json::json;

use crate::{Exit, fail};

/// Longest pause between two keys of a run, ms: the time that a caller usually has for the next one.
const PAUSE_MS: u64 = 10_000;
/// The same between two tones of which neither would be decoded: a voice makes some of these, but seldom several in a row.
const PAUSE_LIKE_MS: u64 = 4000;
/// Fewest digits of a run that are part of a number: the 8 of an issuer number (ISO/IEC 7812-1).
const PART_DIGITS: usize = 8;
/// Digits of a security code or an expiry.
const CODE_DIGITS: std::ops::RangeInclusive<usize> = 3..=4;
/// Longest pause between two pieces of one number, ms. Farther apart are two matters of a call.
const PIECES_MS: u64 = 60_000;
/// Digits of a number that is keyed in pieces. Shorter and longer ones are rare; with them 5 of 1,000 calls with menus and customer numbers
/// would be taken for one, without them 2 (measured: the test of ordinary calls).
const PIECES_DIGITS: std::ops::RangeInclusive<usize> = 14..=16;
/// Longest time from a number (or the code before) to its code, ms: a prompt or two.
const CODE_WITHIN_MS: u64 = 60_000;
/// Longest run; a longer one is judged in pieces. Each is a small slot of secret memory.
const RUN_KEYS: usize = 64;
/// Fewest tones of a run that are told where no receiver would decode a single one and it is no number: less is a voice.
const STRAY_KEYS: usize = 4;
/// Shortest and longest card number.
const NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 12..=19;

/// Ends of names of sound that can't be read: in a folder they are told, where other files are left out.
const OTHER_SOUND: [&str; 36] = [
    "aac", "aif", "aiff", "amr", "au", "caf", "flac", "g719", "g722", "g723", "g723sf", "g726-16",
    "g726-24", "g726-32", "g726-40", "g729", "gsm", "ilbc", "m4a", "mka", "mkv", "mp2", "mp3",
    "mp4", "oga", "ogg", "opus", "siren14", "siren7", "speex", "spx", "vox", "w64", "weba", "webm",
    "wma",
];

#[derive(clap::Args)]
#[command(
    after_help = "Reads WAV (PCM of 8 to 32 bits, float, A-law, mu-law; up to 32 channels) and the headerless files of Asterisk (.ulaw .alaw .sln \
.sln16 ... .raw .pcm), also while they are being written. MP3, GSM and WAV49 must be converted first.

What counts: keys that follow one another within 10 s are a run (4 s between tones that no receiver would decode: too short, too weak, in noise, off \
their frequency).
  card number       the digits contain a number of a card brand (12 to 19 digits, right check digit), also across * and # and with * as \"take back\"
  part of a number  8 digits or more
  number in pieces  whole runs that make up a number of 14 to 16 digits together, at most 60 s apart, with no # or * in between. Of 1,000 calls in
                    which nothing but menus and other numbers is keyed, about 2 sound like one
  code              3 or 4 digits within 60 s after one of these
  other keys        anything less: only noted. Up to 3 tones that no receiver would decode are left to the voice that made them

Exit codes: 0 no card number, part or code was heard; 1 one was; 2 none was, but a file could not be read, or there is no recording at all. \
Digits are never shown."
)]
pub(crate) struct Args {
    /// Recordings, or folders of them (searched whole; links to folders are not followed).
    #[arg(required = true, value_name = "FILE|FOLDER")]
    places: Vec<PathBuf>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    if let Err(code) = prepare() {
        return code;
    }
    let mut audit = Audit::new(Some(args.json));
    let mut open: Vec<(PathBuf, bool)> = args
        .places
        .iter()
        .rev()
        .map(|p| (p.clone(), true))
        .collect();
    while let Some((path, named)) = open.pop() {
        audit.visit(&path, named, &mut open);
    }
    audit.end()
}

/// Keys will be in memory: no core file, and no other place than the arena. Before the first thread.
pub(crate) fn prepare() -> Result<(), ExitCode> {
    if let Err(error) = ivrpay_secret::harden() {
        eprintln!("ivrpay: {error}\nhint: {}", error.hint());
        return Err(Exit::Failed.into());
    }
    let layout = ivrpay_secret::Layout::for_calls(1);
    ivrpay_secret::init(ivrpay_secret::Policy::Any, layout)
        .map(|_| ())
        .map_err(|error| fail(&error.into()))
}

/// What was heard in recordings.
pub(super) struct Heard {
    /// Recordings that were listened to.
    pub(super) files: u64,
    /// Of these, with an audible number, part of one or code.
    pub(super) with_number: u64,
    /// That could not be read.
    pub(super) unread: u64,
    /// Size of all.
    pub(super) bytes: u64,
}

/// Listens to recordings without a word about each. [`prepare`] comes first.
pub(super) fn audible(files: &[PathBuf]) -> Heard {
    let mut audit = Audit::new(None);
    let mut bytes = 0;
    for path in files {
        bytes += std::fs::metadata(path).map_or(0, |m| m.len());
        audit.visit(path, true, &mut Vec::new());
    }
    audit.progress.clear();
    Heard {
        files: audit.files,
        with_number: audit.with_number,
        unread: audit.unread,
        bytes,
    }
}

struct Audit {
    /// Whether it speaks JSON; `None` = it says nothing.
    json: Option<bool>,
    progress: Progress,
    /// Files that were listened to.
    files: u64,
    /// Of these, with something that counts.
    with_number: u64,
    /// With keys that don't.
    with_keys: u64,
    /// Files and folders that could not be read.
    unread: u64,
    /// Files of a folder that are no recordings.
    left_out: u64,
}

impl Audit {
    fn new(json: Option<bool>) -> Self {
        Self {
            json,
            progress: Progress::new(),
            files: 0,
            with_number: 0,
            with_keys: 0,
            unread: 0,
            left_out: 0,
        }
    }

    /// Listens to a file, or puts what is in a folder onto `open`. `named`: the user named it, so it must be a recording.
    fn visit(&mut self, path: &Path, named: bool, open: &mut Vec<(PathBuf, bool)>) {
        let kind = match std::fs::metadata(path) {
            Ok(metadata) => metadata.file_type(),
            Err(error) => return self.unreadable(path, &error.into()),
        };
        if kind.is_dir() {
            if !named && path.is_symlink() {
                self.left_out += 1;
                return;
            }
            match entries(path) {
                Ok(entries) => open.extend(entries.into_iter().rev().map(|path| (path, false))),
                Err(error) => self.unreadable(path, &error.into()),
            }
        } else if kind.is_file() {
            let end = end(path);
            let sound = named || end == "wav" || Raw::named(&end).is_some() || is_other(&end);
            match self.listen(path, &end) {
                Ok(()) => {}
                Err(RecordingError::Unknown | RecordingError::Empty) if !sound => {
                    self.left_out += 1;
                }
                // Nothing was recorded, so nothing can be heard.
                Err(error @ RecordingError::Empty) => {
                    self.files += 1;
                    self.note(path, &error);
                }
                Err(error) => self.unreadable(path, &error),
            }
        } else if named {
            self.unreadable(path, &RecordingError::Unknown);
        } else {
            self.left_out += 1;
        }
    }

    fn listen(&mut self, path: &Path, end: &str) -> Result<(), RecordingError> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        self.progress.begin(path, size);
        let told = Told {
            file,
            progress: &self.progress,
        };
        let recording = match Recording::open(told, Raw::named(end)) {
            Err(RecordingError::Unknown) if is_other(end) => {
                return Err(RecordingError::Other);
            }
            opened => opened?,
        };
        let (rate, of) = (u64::from(recording.rate()), recording.channels());
        let mut channels: Vec<Channel> = (0..of).map(|_| Channel::default()).collect();
        let (mut number, mut keys) = (false, false);
        let mut tell = |channel: u16, finding: Finding| {
            number |= finding.kind.counts();
            keys |= !finding.kind.counts();
            self.progress.clear();
            let Some(json) = self.json else { return };
            let (start, end) = (finding.start_ms, finding.end_ms);
            if json {
                say!(
                    "{}",
                    json!({
                        "file": path.to_string_lossy(), "channel": channel + 1, "channels": of,
                        "start_ms": start, "end_ms": end, "kind": finding.kind.name(), "keys": finding.keys,
                        "tone_like": finding.like, "audible": finding.kind.counts(),
                    })
                );
                return;
            }
            let keys = match finding.keys {
                1 => "1 key".to_owned(),
                n => format!("{n} keys"),
            };
            let like = match finding.like {
                0 => String::new(),
                n => format!(" ({n} that no receiver would decode)"),
            };
            say!(
                "{}: channel {} of {of}, {} to {}: {}, {keys}{like}",
                shown(path),
                channel + 1,
                clock(start),
                clock(end),
                finding.kind.text()
            );
        };
        let listened = recording.listen(|channel, tone| {
            if let Some(channel_of) = channels.get_mut(usize::from(channel)) {
                for finding in channel_of.key(&tone, rate) {
                    tell(channel, finding);
                }
            }
        });
        for (channel, left) in (0..).zip(&mut channels) {
            for finding in left.close() {
                tell(channel, finding);
            }
        }
        // What was heard before the disk failed counts all the same.
        self.files += u64::from(listened.is_ok());
        self.with_number += u64::from(number);
        self.with_keys += u64::from(keys && !number);
        listened.map(|_| ())
    }

    fn unreadable(&mut self, path: &Path, error: &RecordingError) {
        self.unread += 1;
        self.note(path, error);
    }

    fn note(&self, path: &Path, error: &RecordingError) {
        self.progress.clear();
        let Some(json) = self.json else { return };
        if json {
            let file = path.to_string_lossy();
            say!(
                "{}",
                json!({ "file": file, "error": error.to_string(), "hint": error.hint() })
            );
        } else {
            eprintln!("ivrpay: {} {error}\nhint: {}", shown(path), error.hint());
        }
    }

    fn end(&self) -> ExitCode {
        self.progress.clear();
        let Self {
            files,
            with_number,
            with_keys,
            unread,
            left_out,
            ..
        } = self;
        if self.json == Some(true) {
            say!(
                "{}",
                json!({
                    "files": files, "with_card_number": with_number, "with_other_keys": with_keys,
                    "unreadable": unread, "left_out": left_out,
                })
            );
        } else {
            let mut more = String::new();
            if *unread > 0 {
                more.push_str(&format!(", {unread} could not be read"));
            }
            if *left_out > 0 {
                more.push_str(&format!(", {left_out} left out (no recordings)"));
            }
            say!(
                "audit recording: {files} files, {with_number} with an audible card number, {with_keys} with other keys{more}"
            );
        }
        // A wrong path must not pass for recordings without a card.
        if (*files, *unread) == (0, 0) {
            eprintln!(
                "ivrpay: no recording was found\nhint: name the folder that the recordings are in, usually /var/spool/asterisk/monitor, or the files themselves"
            );
            return Exit::Usage.into();
        }
        match (with_number, unread) {
            (0, 0) => Exit::Done.into(),
            (0, _) => Exit::Usage.into(),
            _ => Exit::Failed.into(),
        }
    }
}

/// What a name ends with, in small letters.
fn end(path: &Path) -> String {
    path.extension()
        .and_then(|end| end.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase()
}

fn is_other(end: &str) -> bool {
    OTHER_SOUND.contains(&end)
}

/// What is in a folder, by name.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// A name as a terminal may have it: recordings are named after what callers send.
fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.replace(|c: char| c.is_control(), "\u{fffd}")
}

/// `1:02:03.4`
fn clock(ms: u64) -> String {
    let tenths = (ms + 50) / 100;
    let (tenths, seconds) = (tenths % 10, tenths / 10);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}.{tenths}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}.{tenths}"),
    }
}

/// What a run of keys is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    CardNumber,
    Pieces,
    PartOfNumber,
    Code,
    Other,
}

impl Kind {
    /// Whether it is told with exit code 1.
    fn counts(self) -> bool {
        self != Self::Other
    }

    fn name(self) -> &'static str {
        match self {
            Self::CardNumber => "card-number",
            Self::Pieces => "number-in-pieces",
            Self::PartOfNumber => "part-of-number",
            Self::Code => "code",
            Self::Other => "other",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::CardNumber => "CARD NUMBER",
            Self::Pieces => "CARD NUMBER IN PIECES",
            Self::PartOfNumber => "PART OF A NUMBER",
            Self::Code => "CODE after a number",
            Self::Other => "other keys",
        }
    }
}

/// A run that is over.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    start_ms: u64,
    end_ms: u64,
    kind: Kind,
    keys: usize,
    /// Of these, no receiver would decode so many.
    like: u32,
}

/// One channel of one file.
#[derive(Default)]
struct Channel {
    run: Option<Run>,
    pieces: Pieces,
    /// When the last number or code ended.
    number_ms: Option<u64>,
}

/// Keys that follow one another.
struct Run {
    keys: Buffer,
    /// A bit for each key that no receiver would decode.
    like: u64,
    start_ms: u64,
    end_ms: u64,
}

impl Channel {
    /// Takes a key; tells the run before it if it begins another.
    fn key(&mut self, tone: &Tone, rate: u64) -> Vec<Finding> {
        let (start_ms, end_ms) = (tone.start * 1000 / rate, tone.end * 1000 / rate);
        let like = tone.grade == Grade::ToneLike;
        let over = self.run.as_ref().is_some_and(|run| {
            let pause = if like && run.like >> (run.keys.len() - 1) & 1 == 1 {
                PAUSE_LIKE_MS
            } else {
                PAUSE_MS
            };
            run.keys.len() == RUN_KEYS || start_ms.saturating_sub(run.end_ms) > pause
        });
        let findings = if over { self.close() } else { Vec::new() };
        let run = self.run.get_or_insert_with(|| Run {
            keys: Buffer::take(RUN_KEYS).expect("a slot for each channel"),
            like: 0,
            start_ms,
            end_ms,
        });
        run.like |= u64::from(like) << run.keys.len();
        run.keys
            .push(&[tone.key.expose()])
            .expect("a full run is closed first");
        run.end_ms = end_ms;
        findings
    }

    /// Judges the run that is on, if one is, and wipes it.
    fn close(&mut self) -> Vec<Finding> {
        let Some(run) = self.run.take() else {
            return Vec::new();
        };
        let digits = run
            .keys
            .expose(|keys| keys.iter().filter(|k| k.is_ascii_digit()).count());
        let after = self
            .number_ms
            .is_some_and(|number| run.start_ms.saturating_sub(number) <= CODE_WITHIN_MS);
        let kind = if digits >= *NUMBER_DIGITS.start() && run.has_number() {
            Kind::CardNumber
        } else if digits >= PART_DIGITS {
            Kind::PartOfNumber
        } else if after && CODE_DIGITS.contains(&digits) {
            Kind::Code
        } else {
            Kind::Other
        };
        let whole = if kind.counts() {
            self.number_ms = Some(run.end_ms);
            self.pieces = Pieces::default();
            None
        } else if run.keys.len() < STRAY_KEYS && run.like.count_ones() as usize == run.keys.len() {
            return Vec::new();
        } else {
            self.pieces.add(&run)
        };
        if let Some(whole) = &whole {
            self.number_ms = Some(whole.end_ms);
        }
        let finding = Finding {
            start_ms: run.start_ms,
            end_ms: run.end_ms,
            kind,
            keys: run.keys.len(),
            like: run.like.count_ones(),
        };
        std::iter::once(finding).chain(whole).collect()
    }
}

/// Runs that may be pieces of one number: the last of them, of at most as many digits as one has.
#[derive(Default)]
struct Pieces {
    /// Of all, one behind the other.
    digits: Option<Buffer>,
    of: Vec<Piece>,
}

struct Piece {
    digits: usize,
    start_ms: u64,
    end_ms: u64,
}

impl Pieces {
    /// Adds a run that is no number by itself. Tells the number that it ends, if it does.
    fn add(&mut self, run: &Run) -> Option<Finding> {
        let late = |last: &Piece| run.start_ms.saturating_sub(last.end_ms) > PIECES_MS;
        if self.of.last().is_some_and(late) {
            *self = Self::default();
        }
        let mut all = Buffer::take(2 * RUN_KEYS).expect("a slot for each channel");
        let mut piece = 0;
        if let Some(before) = &self.digits {
            before.expose(|digits| all.push(digits).expect("a number's digits at most"));
        }
        let mut found = None;
        run.keys.expose(|keys| {
            for (n, key) in keys.iter().enumerate() {
                match key {
                    // A voice, or a letter: no part of what is keyed.
                    _ if run.like >> n & 1 == 1 => {}
                    b'*' | b'#' => {
                        // What was keyed ends here.
                        found = found.take().or_else(|| self.end(run, &all, piece));
                        (self.of, piece) = (Vec::new(), 0);
                        all.truncate(0);
                    }
                    key if key.is_ascii_digit() => {
                        all.push(&[*key]).expect("a run behind a number's digits");
                        piece += 1;
                    }
                    _ => {}
                }
            }
        });
        found = found.or_else(|| self.end(run, &all, piece));
        if found.is_some() {
            *self = Self::default();
            return found;
        }
        // Only what may still be part of a number.
        let mut kept = 0;
        while self.of.iter().skip(kept).map(|p| p.digits).sum::<usize>() > *PIECES_DIGITS.end() {
            kept += 1;
        }
        let gone: usize = self.of.drain(..kept).map(|p| p.digits).sum();
        let mut digits = Buffer::take(RUN_KEYS).expect("a slot for each channel");
        all.expose(|all| {
            digits
                .push(all.get(gone..).unwrap_or_default())
                .expect("at most 16")
        });
        self.digits = Some(digits);
        None
    }

    /// Ends a piece, and looks whether it and those before it are a number.
    fn end(&mut self, run: &Run, all: &Buffer, digits: usize) -> Option<Finding> {
        if digits == 0 {
            return None;
        }
        self.of.push(Piece {
            digits,
            start_ms: run.start_ms,
            end_ms: run.end_ms,
        });
        let mut length = digits;
        for piece in self.of.iter().rev().skip(1) {
            length += piece.digits;
            let is_number = PIECES_DIGITS.contains(&length)
                && all.expose(|all| {
                    let begin = all.len().saturating_sub(length);
                    is_number(all.get(begin..).unwrap_or_default())
                });
            if is_number {
                return Some(Finding {
                    start_ms: piece.start_ms,
                    end_ms: run.end_ms,
                    kind: Kind::Pieces,
                    keys: length,
                    like: 0,
                });
            }
        }
        None
    }
}

impl Run {
    /// Whether the digits contain a card number: with and without the keys that no receiver would decode (some may be speech),
    /// with `*` as a key that is in between, and as one that takes the last digit back.
    fn has_number(&self) -> bool {
        [(true, false), (true, true), (false, false), (false, true)]
            .into_iter()
            .any(|(like, back)| self.digits(like, back).expose(contains_number))
    }

    fn digits(&self, with_like: bool, star_takes_back: bool) -> Buffer {
        let mut digits = Buffer::take(RUN_KEYS).expect("a slot besides those of the channels");
        self.keys.expose(|keys| {
            for (n, key) in keys.iter().enumerate() {
                if !with_like && self.like >> n & 1 == 1 {
                    continue;
                }
                match key {
                    b'*' if star_takes_back => digits.truncate(digits.len().saturating_sub(1)),
                    key if key.is_ascii_digit() => {
                        digits.push(&[*key]).expect("no more than there are keys");
                    }
                    _ => {}
                }
            }
        });
        digits
    }
}

fn contains_number(digits: &[u8]) -> bool {
    NUMBER_DIGITS
        .into_iter()
        .any(|length| digits.windows(length).any(is_number))
}

fn is_number(digits: &[u8]) -> bool {
    let rules = Rules {
        brands: Brand::ALL.to_vec(),
        luhn: true,
    };
    let mut number = Digits::take().expect("a slot besides those of the channels");
    for ascii in digits {
        number
            .push(ascii.wrapping_sub(b'0'))
            .expect("19 digits at most");
    }
    Pan::parse(number, &rules).is_ok()
}

/// A line on standard error that says how far it is, for a person at a terminal.
struct Progress {
    on: bool,
    name: std::cell::RefCell<String>,
    files: Cell<u64>,
    size: Cell<u64>,
    read: Cell<u64>,
    shown: Cell<Instant>,
}

/// From one line to the next.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Characters of a name that are shown.
const PROGRESS_NAME: usize = 50;

impl Progress {
    fn new() -> Self {
        Self {
            on: io::stderr().is_terminal(),
            name: std::cell::RefCell::default(),
            files: Cell::new(0),
            size: Cell::new(0),
            read: Cell::new(0),
            shown: Cell::new(Instant::now()),
        }
    }

    fn begin(&self, path: &Path, size: u64) {
        // Only its end: what wraps can't be cleared.
        let name = shown(path);
        let from = name.chars().count().saturating_sub(PROGRESS_NAME);
        self.name.replace(name.chars().skip(from).collect());
        self.files.set(self.files.get() + 1);
        self.size.set(size.max(1));
        self.read.set(0);
    }

    fn read(&self, bytes: usize) {
        self.read.set(self.read.get() + bytes as u64);
        if self.on && self.shown.get().elapsed() >= PROGRESS_EVERY {
            self.shown.set(Instant::now());
            let percent = (self.read.get() * 100 / self.size.get()).min(100);
            eprint!(
                "\r\x1b[Kfile {}: {percent} % of {}",
                self.files.get(),
                self.name.borrow()
            );
        }
    }

    fn clear(&self) {
        if self.on {
            eprint!("\r\x1b[K");
        }
    }
}

/// A file whose reading is told to [`Progress`].
struct Told<'a> {
    file: File,
    progress: &'a Progress,
}

impl Read for Told<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(to)?;
        self.progress.read(n);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use ivrpay_tone::Key;

    use super::*;

    /// Slots of the arena are counted: one test at a time.
    static ONE: Mutex<()> = Mutex::new(());

    /// Runs of one channel: each key takes 100 ms and 100 ms of pause; `,` is 5 s more, and a key behind `?` would not be decoded.
    fn runs(keys: &str) -> Vec<(Kind, usize, u32)> {
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut channel, mut findings) = (Channel::default(), Vec::new());
        let (mut at, mut grade) = (0, Grade::Decoded);
        for sign in keys.chars() {
            match sign {
                ',' => at += 5000,
                '?' => grade = Grade::ToneLike,
                sign => {
                    let key = Key::from_byte(u8::try_from(sign).unwrap()).unwrap();
                    let (start, end) = (at * 8, (at + 100) * 8);
                    findings.extend(channel.key(
                        &Tone {
                            key,
                            start,
                            end,
                            grade,
                        },
                        8000,
                    ));
                    (at, grade) = (at + 200, Grade::Decoded);
                }
            }
        }
        findings.extend(channel.close());
        findings
            .into_iter()
            .map(|f| (f.kind, f.keys, f.like))
            .collect()
    }

    #[track_caller]
    fn check(what: &str, keys: &str, expected: &[(Kind, usize, u32)]) {
        assert_eq!(runs(keys), expected, "{what}");
    }

    /// Published by Stripe and Adyen for tests.
    const VISA: &str = "4242424242424242";
    const AMEX: &str = "378282246310005";

    #[test]
    fn what_a_run_is() {
        use Kind::{CardNumber, Code, Other, PartOfNumber, Pieces};
        let like: String = VISA.chars().flat_map(|c| ['?', c]).collect();
        for (what, keys, expected) in [
            ("nothing", String::new(), &[][..]),
            ("a number", VISA.to_owned(), &[(CardNumber, 16, 0)]),
            ("of 15 digits", format!("{AMEX}#"), &[(CardNumber, 16, 0)]),
            (
                "in groups of four",
                "4242,4242,4242,4242".to_owned(),
                &[(CardNumber, 16, 0)],
            ),
            (
                "an order number before it",
                format!("77031#{VISA}"),
                &[(CardNumber, 22, 0)],
            ),
            (
                "begun anew with *",
                format!("42421*{VISA}"),
                &[(CardNumber, 22, 0)],
            ),
            (
                "a digit taken back with *",
                "42429*424242424242".to_owned(),
                &[(CardNumber, 18, 0)],
            ),
            (
                "letters in between",
                "4242A4242B4242C4242D".to_owned(),
                &[(CardNumber, 20, 0)],
            ),
            (
                "a slip of the finger",
                "4242424242424243".to_owned(),
                &[(PartOfNumber, 16, 0)],
            ),
            (
                "no brand",
                "9999999999999995".to_owned(),
                &[(PartOfNumber, 16, 0)],
            ),
            (
                "the first eight",
                "42424242".to_owned(),
                &[(PartOfNumber, 8, 0)],
            ),
            ("seven", "4242424".to_owned(), &[(Other, 7, 0)]),
            (
                "in pieces",
                "424242,,,,424242,,,,4242".to_owned(),
                &[(Other, 6, 0), (Other, 6, 0), (Other, 4, 0), (Pieces, 16, 0)],
            ),
            (
                "in pieces behind a menu",
                "1,,,5#,,,424242,,,,424242,,,,4242,,,123".to_owned(),
                &[
                    (Other, 1, 0),
                    (Other, 2, 0),
                    (Other, 6, 0),
                    (Other, 6, 0),
                    (Other, 4, 0),
                    (Pieces, 16, 0),
                    (Code, 3, 0),
                ],
            ),
            (
                "in pieces, too far apart",
                format!("424242,,,,424242{},4242", ",".repeat(12)),
                &[(Other, 6, 0), (Other, 6, 0), (Other, 4, 0)],
            ),
            (
                "pieces that # ends are fields of their own",
                "424242#,,,424242#,,,4242#".to_owned(),
                &[(Other, 7, 0), (Other, 7, 0), (Other, 5, 0)],
            ),
            (
                "pieces of no number",
                "424242,,,,424242,,,,4243".to_owned(),
                &[(Other, 6, 0), (Other, 6, 0), (Other, 4, 0)],
            ),
            (
                "eight, with a long pause",
                "4242,,4242".to_owned(),
                &[(Other, 4, 0), (Other, 4, 0)],
            ),
            ("a menu", "1".to_owned(), &[(Other, 1, 0)]),
            (
                "number, expiry, code",
                format!("{VISA}#,,,1230#,,,123"),
                &[(CardNumber, 17, 0), (Code, 5, 0), (Code, 3, 0)],
            ),
            (
                "a code long after",
                format!("{VISA}{},123", ",".repeat(12)),
                &[(CardNumber, 16, 0), (Other, 3, 0)],
            ),
            (
                "a code before any number",
                "123,,,12".to_owned(),
                &[(Other, 3, 0), (Other, 2, 0)],
            ),
            (
                "keys that were muted late",
                like.clone(),
                &[(CardNumber, 16, 16)],
            ),
            (
                "a voice between the keys",
                VISA.replacen("2424", "24?524", 1),
                &[(CardNumber, 17, 1)],
            ),
            ("a voice", "?1?5?9".to_owned(), &[]),
            (
                "a voice for long",
                "?1,?5,?9,?1,?5,?9,?1,?5,?9,?1,?5".to_owned(),
                &[],
            ),
            ("a voice, and a menu", "?1?52".to_owned(), &[(Other, 3, 2)]),
            ("some tones", "?1?5?9?2".to_owned(), &[(Other, 4, 4)]),
        ] {
            check(what, &keys, expected);
        }
        // A run without end is judged in pieces.
        check(
            "a machine that plays keys",
            &"7".repeat(2 * RUN_KEYS + 1),
            &[
                (Kind::PartOfNumber, 64, 0),
                (Kind::PartOfNumber, 64, 0),
                (Kind::Other, 1, 0),
            ],
        );
        check("stars", &"*".repeat(RUN_KEYS), &[(Kind::Other, 64, 0)]);
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(
            ivrpay_secret::in_use(),
            ivrpay_secret::Usage::default(),
            "every run was wiped"
        );
    }

    /// A key every 11 s, as somebody keys who is told each digit.
    #[test]
    fn single_keys_that_are_a_number() {
        let slow: String = VISA.chars().flat_map(|c| [c, ',', ',', ',']).collect();
        let findings = runs(&slow);
        assert_eq!(findings.last(), Some(&(Kind::Pieces, 16, 0)));
        assert_eq!(findings.len(), 17);
    }

    /// Menus, extensions, dates, customer numbers with and without #: what callers key who pay nothing.
    #[test]
    fn ordinary_calls_are_seldom_taken_for_a_number_in_pieces() {
        const CALLS: u32 = 20_000;
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut below = |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 33) % n
        };
        let mut taken = 0;
        for _ in 0..CALLS {
            let mut keys = String::new();
            for _ in 0..1 + below(6) {
                let digits = match below(10) {
                    0..=5 => 1,
                    6..=7 => 3 + below(2),
                    _ => 5 + below(3),
                };
                for _ in 0..digits {
                    keys.push(char::from(b'0' + u8::try_from(below(10)).unwrap()));
                }
                if digits > 1 && below(2) == 0 {
                    keys.push('#');
                }
                keys.push_str(&",".repeat(2 + usize::try_from(below(10)).unwrap()));
            }
            taken += u32::from(runs(&keys).iter().any(|(kind, ..)| *kind == Kind::Pieces));
        }
        println!("{taken} of {CALLS} calls");
        assert!(taken < CALLS / 400, "{taken}");
    }

    #[test]
    fn names_and_times_as_they_are_shown() {
        assert_eq!(
            shown(Path::new("a\x1b[2Jb\n\u{30c6}.wav")),
            "a\u{fffd}[2Jb\u{fffd}\u{30c6}.wav"
        );
        for (ms, expected) in [(0, "0:00.0"), (62_360, "1:02.4"), (3_723_449, "1:02:03.4")] {
            assert_eq!(clock(ms), expected);
        }
    }
}
