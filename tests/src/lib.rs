//! Shared by the test programs: the lab, the daemon under test, calls. Sees only what a user sees: binaries, files, HTTP.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "test programs speak there"
)]

pub mod acquirers;
pub mod between;
pub mod browser;
pub mod call;
pub mod canary;
pub mod capture;
pub mod lab;
pub mod late;
pub mod local;
pub mod phone;
pub mod postgres;
pub mod recording;
pub mod service;
