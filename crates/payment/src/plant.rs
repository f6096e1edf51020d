//! Mistakes on purpose, which the simulation has to find (`make prove-seeds`). A build with the feature `plant` has them; no other knows them.
//!
//! One is chosen for a thread: simulations run side by side, each with its own. No I/O: what chooses is the program.

use std::cell::Cell;

thread_local! {
    static CHOSEN: Cell<&'static str> = const { Cell::new("") };
}

/// Makes this mistake on this thread from now on; none for an empty name.
pub fn choose(name: &'static str) {
    CHOSEN.set(name);
}

/// Whether this mistake is made here.
#[must_use]
pub fn is(name: &str) -> bool {
    CHOSEN.get() == name
}
