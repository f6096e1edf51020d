//! Mistakes on purpose, which the simulation has to find (`make prove-seeds`). A build with the feature `plant` has them; in every other one
//! none is ever made.
//!
//! One is chosen for a thread: simulations run side by side, each with its own. No I/O: what chooses is the program.

#[cfg(feature = "plant")]
use std::cell::Cell;

#[cfg(feature = "plant")]
thread_local! {
    static CHOSEN: Cell<&'static str> = const { Cell::new("") };
}

/// Makes this mistake on this thread from now on; none for an empty name.
#[cfg(feature = "plant")]
pub fn choose(name: &'static str) {
    CHOSEN.set(name);
}

/// Whether this mistake is made here.
#[cfg(feature = "plant")]
#[must_use]
pub fn is(name: &str) -> bool {
    CHOSEN.get() == name
}

/// No mistake is made on purpose.
#[cfg(not(feature = "plant"))]
#[must_use]
#[inline]
pub const fn is(_: &str) -> bool {
    false
}
