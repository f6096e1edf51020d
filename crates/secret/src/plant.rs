//! Leaks on purpose: what `make prove-leak` has to find. A build with the feature `plant` has them, one at a time, chosen at start by
//! the environment variable `IVRPAY_PLANT`; no other build knows them.

use std::alloc::{GlobalAlloc as _, Layout, System};
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::Key;

/// Keys that are remembered, last ones first to go: more than a number, a date and a code.
const KEYS_MAX: usize = 64;

static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());
static KEYED: Mutex<String> = Mutex::new(String::new());

/// A place at which the process may be killed, for `make crash`: it is named in the file `IVRPAY_POINTS`, and the `IVRPAY_KILL_AT`-th
/// that is passed ends the process as `kill -9` does.
pub fn point(name: &str) {
    static PASSED: AtomicU64 = AtomicU64::new(0);
    static KILL_AT: OnceLock<Option<u64>> = OnceLock::new();
    let passed = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    if let Some(file) = std::env::var_os("IVRPAY_POINTS") {
        let file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(file);
        let written = file.and_then(|mut file| writeln!(file, "{name}"));
        written.expect("IVRPAY_POINTS names a file that can be written");
    }
    let given = || std::env::var("IVRPAY_KILL_AT").ok()?.parse().ok();
    if *KILL_AT.get_or_init(given) == Some(passed) {
        // SAFETY: a signal to this process itself; nothing runs behind it.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        loop {
            std::thread::park();
        }
    }
}

/// Whether this leak was chosen.
#[must_use]
pub fn is(name: &str) -> bool {
    static CHOSEN: OnceLock<String> = OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("IVRPAY_PLANT").unwrap_or_default()) == name
}

/// A key as it is taken from the ring.
pub fn key(key: Key) {
    let mut keyed = KEYED.lock().unwrap_or_else(PoisonError::into_inner);
    // In memory the keys are a leak of their own: only those that are meant are remembered.
    let meant = ["event", "log", "media", "metric", "variable"];
    if let Key::Digit(digit) = key
        && keyed.len() < KEYS_MAX
        && meant.iter().any(|name| is(name))
    {
        keyed.push(char::from(b'0' + digit));
    }
}

/// The digits that were keyed, from the first on.
#[must_use]
pub fn keyed() -> String {
    KEYED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// A body as it goes to the acquirer.
pub fn body(body: &[u8]) {
    let text = || String::from_utf8_lossy(body).into_owned();
    if is("string") {
        KEPT.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text());
    }
    if is("file") {
        let folder = std::env::temp_dir();
        drop(std::fs::write(folder.join("request"), body));
    }
    if is("freed") {
        // Of many sizes, all at once: what is freed is used again at once by whoever needs that size.
        let layouts = (9..16).filter_map(|power| Layout::from_size_align(1 << power, 16).ok());
        let mut blocks = Vec::new();
        for layout in layouts.flat_map(|layout| [layout; 8]) {
            // SAFETY: the size is not 0, and the block is written within it.
            unsafe {
                let block = System.alloc(layout);
                if !block.is_null() {
                    // The first bytes of a freed block are the allocator's own.
                    let room = layout.size() - 64;
                    block
                        .add(64)
                        .copy_from_nonoverlapping(body.as_ptr(), body.len().min(room));
                    blocks.push((block, layout));
                }
            }
        }
        for (block, layout) in blocks {
            // SAFETY: allocated above, with this layout.
            unsafe { System.dealloc(block, layout) };
        }
    }
    if is("stack") {
        let copy = body.to_vec();
        std::thread::spawn(move || {
            let mut place = [0_u8; 2_048];
            let len = copy.len().min(place.len());
            place[..len].copy_from_slice(&copy[..len]);
            drop(copy);
            loop {
                std::hint::black_box(&mut place);
                std::thread::park();
            }
        });
    }
}
