//! Locked memory for card data, keys, the zero-on-free allocator and the hardening of the process.
//!
//! One arena is mapped at start ([`init`]), in the best memory that the kernel gives ([`Backing`]), and divided into slots of
//! three sizes ([`Layout`]). [`Buffer`] and [`KeyRing`] are slots; each is wiped on every way out, a panic included. There is
//! no fall-back to the heap: no free slot is [`Full`], which is the admission control of a call.
//!
//! What this can't stop is told in ARCHITECTURE.md: root who injects code, a kernel exploit, a snapshot of the virtual
//! machine, the moment in registers and stack.
//!
//! This is the only crate with `unsafe` code. It does not know cards, calls or Asterisk.

mod alloc;
mod arena;
mod buffer;
mod calls;
#[cfg(test)]
mod child;
mod confine;
mod harden;
mod host;
mod key;
#[cfg(feature = "plant")]
pub mod plant;
mod region;
mod stack;

pub use alloc::ZeroOnFree;
pub use arena::{Full, Layout, Report, Usage, in_use, init, longest_life, probe};
pub use buffer::Buffer;
pub use confine::{Confined, DEVICES, DNS_PORT, Fence, Missing, Reach, SYSTEM, confine, rehearse};
pub use harden::{HardenError, harden};
pub use host::{Host, Protection, Standing, Swap};
pub use key::{Key, KeyRing, Overflow};
pub use region::{Backing, InitError, Policy, Refusal};
pub use stack::leaving_nothing;
