//! The global allocator that wipes what is freed.
//!
//! The second line: HTTP, TLS and JSON libraries keep copies in blocks of their own, which this empties when they give them
//! back. It does nothing for a buffer that lives as long as its connection; those must never see a key in the first place.

use std::alloc::{GlobalAlloc, Layout, System};

use zeroize::Zeroize;

/// The system's allocator, wiping every block when it is freed or moved.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: ivrpay_secret::ZeroOnFree = ivrpay_secret::ZeroOnFree;
/// ```
pub struct ZeroOnFree;

// SAFETY: every call is passed on to `System` with its own arguments; the bytes of a block are only written while the caller
// has given the block up.
unsafe impl GlobalAlloc for ZeroOnFree {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { dealloc(&System, block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { realloc(&System, block, layout, size) }
    }
}

/// # Safety
/// As [`GlobalAlloc::dealloc`].
#[inline]
unsafe fn dealloc(inner: &impl GlobalAlloc, block: *mut u8, layout: Layout) {
    // SAFETY: the caller owns the whole block and gives it up.
    unsafe {
        wipe(block, layout.size());
        inner.dealloc(block, layout);
    }
}

/// Always a new block: an allocator's own `realloc` may move the bytes and leave the old ones, when it shrinks too.
///
/// # Safety
/// As [`GlobalAlloc::realloc`].
#[inline]
unsafe fn realloc(
    inner: &impl GlobalAlloc,
    block: *mut u8,
    layout: Layout,
    size: usize,
) -> *mut u8 {
    // SAFETY: the caller promises that `size`, rounded up to the alignment, does not overflow `isize`, and that it is not 0;
    // the alignment is that of a valid layout.
    unsafe {
        let new = inner.alloc(Layout::from_size_align_unchecked(size, layout.align()));
        if !new.is_null() {
            new.copy_from_nonoverlapping(block, layout.size().min(size));
            dealloc(inner, block, layout);
        }
        new
    }
}

/// Writes zeroes that the compiler may not leave out.
///
/// # Safety
/// `block` is valid for writing `len` bytes and nobody reads them as anything but bytes.
#[inline]
unsafe fn wipe(block: *mut u8, len: usize) {
    // Initialises first, since a block may never have been written to, and a reference to such bytes would be undefined.
    // SAFETY: promised by the caller.
    unsafe {
        block.write_bytes(0, len);
        std::slice::from_raw_parts_mut(block, len).zeroize();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// Looks at each block at the moment when it would be freed.
    #[derive(Default)]
    struct Spy {
        freed: RefCell<Vec<Vec<u8>>>,
        refuse: Cell<bool>,
    }

    // SAFETY: passes everything on to `System`, or refuses.
    unsafe impl GlobalAlloc for Spy {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            if self.refuse.get() {
                return std::ptr::null_mut();
            }
            // SAFETY: as the caller's.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: the block is still allocated, and every test fills it before it frees it.
            self.freed
                .borrow_mut()
                .push(unsafe { std::slice::from_raw_parts(block, layout.size()) }.to_vec());
            // SAFETY: as the caller's.
            unsafe { System.dealloc(block, layout) }
        }
    }

    /// A block of `size` bytes, all `!`.
    fn filled(spy: &Spy, size: usize, align: usize) -> (*mut u8, Layout) {
        let layout = Layout::from_size_align(size, align).unwrap();
        // SAFETY: the size is not 0; the block is filled at once.
        unsafe {
            let block = spy.alloc(layout);
            assert!(!block.is_null());
            block.write_bytes(b'!', size);
            (block, layout)
        }
    }

    #[test]
    fn freed_blocks_are_zero() {
        for (size, align) in [(1, 1), (24, 8), (4096, 4096), (100_000, 64)] {
            let spy = Spy::default();
            let (block, layout) = filled(&spy, size, align);
            // SAFETY: allocated above, with this layout.
            unsafe { dealloc(&spy, block, layout) };
            assert_eq!(*spy.freed.borrow(), [vec![0; size]]);
        }
    }

    #[test]
    fn moved_blocks_leave_nothing() {
        for (from, to) in [(16, 64), (64, 16), (100, 100), (1, 100_000), (100_000, 1)] {
            let spy = Spy::default();
            let (block, layout) = filled(&spy, from, 8);
            // SAFETY: allocated above, with this layout; `kept` bytes of the new block were copied.
            unsafe {
                let new = realloc(&spy, block, layout, to);
                let kept = std::slice::from_raw_parts(new, from.min(to));
                assert!(kept.iter().all(|byte| *byte == b'!'), "{from} to {to}");
                assert_eq!(*spy.freed.borrow(), [vec![0; from]], "{from} to {to}");
                System.dealloc(new, Layout::from_size_align(to, 8).unwrap());
            }
        }
    }

    #[test]
    fn a_refused_move_keeps_the_block() {
        let spy = Spy::default();
        let (block, layout) = filled(&spy, 32, 8);
        spy.refuse.set(true);
        // SAFETY: allocated above, with this layout; still valid, since it could not be moved.
        unsafe {
            assert!(realloc(&spy, block, layout, 64).is_null());
            assert_eq!(std::slice::from_raw_parts(block, 32), [b'!'; 32]);
            System.dealloc(block, layout);
        }
        assert!(spy.freed.borrow().is_empty());
    }
}
