//! The call as a state machine without I/O. SKELETON.

mod io;

pub use io::*;
