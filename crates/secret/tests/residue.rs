//! The allocator as it is used, at the head of a program: what was freed can't be found in the memory of the process.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

#[global_allocator]
static ALLOCATOR: ivrpay_secret::ZeroOnFree = ivrpay_secret::ZeroOnFree;

/// Byte `i` of a text that stands nowhere in the program: `seed` keeps the texts of the tests apart.
fn byte(seed: u8, i: u8) -> u8 {
    i.wrapping_mul(73).wrapping_add(seed) ^ 0xa5
}

fn mark(seed: u8) -> Vec<u8> {
    (0..32).map(|i| byte(seed, i)).collect()
}

/// One test at a time: what one search has just read would be found by another.
static ALONE: Mutex<()> = Mutex::new(());

/// How often the text stands in the writable memory of this process.
fn count(seed: u8) -> usize {
    const STEP: usize = 1 << 16;
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut chunk = vec![0; STEP + 31];
    // Not searched itself: what it read would be found again.
    let own = chunk.as_ptr() as usize..chunk.as_ptr() as usize + chunk.len();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let (from, to) = (
            usize::from_str_radix(from, 16).unwrap(),
            usize::from_str_radix(to, 16).unwrap(),
        );
        for start in (from..to).step_by(STEP) {
            let len = chunk.len().min(to - start);
            if memory
                .read_exact_at(&mut chunk[..len], start as u64)
                .is_err()
            {
                continue;
            }
            let first = byte(seed, 0);
            for at in 0..len.saturating_sub(31).min(STEP) {
                let same = chunk[at] == first
                    && (0..32_u8)
                        .zip(&chunk[at..])
                        .all(|(i, found)| byte(seed, i) == *found);
                found += usize::from(same && !own.contains(&(start + at)));
            }
        }
    }
    found
}

#[test]
fn what_was_freed_is_gone() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = 1;
    let held: Vec<Vec<u8>> = (0..10).map(|_| black_box(mark(seed))).collect();
    assert!(
        count(seed) >= 10,
        "the control: it is found while it is held"
    );
    drop(held);
    assert_eq!(count(seed), 0);
}

#[test]
fn what_grew_and_shrank_is_gone() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = 2;
    let mut text = Vec::new();
    for _ in 0..1_000 {
        text.extend((0..32).map(|i| byte(seed, i)));
    }
    text.truncate(40);
    text.shrink_to_fit();
    assert_eq!(count(seed), 1, "only what is still held");
    drop(black_box(text));
    assert_eq!(count(seed), 0);
}

#[test]
fn the_system_allocator_would_leave_it() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = 3;
    let layout = Layout::from_size_align(4096, 16).unwrap();
    // Many, since the search itself takes some of the freed blocks.
    let blocks: Vec<*mut u8> = (0..200)
        .map(|_| {
            // SAFETY: the size is not 0, and 32 of the 4,096 bytes are written, in the middle.
            unsafe {
                let block = System.alloc(layout);
                let text = mark(seed);
                block
                    .add(2048)
                    .copy_from_nonoverlapping(text.as_ptr(), text.len());
                black_box(block)
            }
        })
        .collect();
    for block in blocks {
        // SAFETY: allocated above with this layout, and freed once.
        unsafe { System.dealloc(block, layout) };
    }
    assert!(
        count(seed) >= 1,
        "the control: the search sees freed blocks"
    );
}
