//! What a computation over secrets leaves on the stack.

use std::hint::black_box;

use zeroize::Zeroize;

/// Bytes of stack that are overwritten: a hash function's and a cipher's working arrays have a few hundred.
const SCRUBBED: usize = 16 * 1024;

/// Runs `f`, then overwrites the part of the stack that it has used: digests and ciphers work on copies of what they are given,
/// and those stay where they were when the function returns. `f` should be the computation alone.
pub fn leaving_nothing<R>(f: impl FnOnce() -> R) -> R {
    let result = apart(f);
    scrub();
    result
}

/// A frame of its own, so that all of `f` lies below ours, where [`scrub`] writes next.
#[inline(never)]
fn apart<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[inline(never)]
fn scrub() {
    let mut room = [0_u8; SCRUBBED];
    room.zeroize();
    black_box(&room);
}
