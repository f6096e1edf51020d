//! Nobody looks into the process, and it leaves no core file.

use std::fmt;
use std::io;

/// What is true of the process after [`harden`]. Its `Display` is the line of `ivrpay check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardened {
    /// The process that was attached as a debugger already, and stays.
    pub tracer: Option<u32>,
    /// The host swaps: what libraries hold in ordinary memory for a moment may reach the disk.
    pub swap: bool,
}

impl Hardened {
    /// What an operator can do, where something is left.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match (self.tracer, self.swap) {
            (Some(_), _) => Some("start the service without a debugger or strace"),
            (None, true) => Some("switch swap off (swapoff -a), or encrypt it"),
            (None, false) => None,
        }
    }
}

impl fmt::Display for Hardened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no core files, no debugger without root")?;
        if let Some(tracer) = self.tracer {
            write!(f, "; but process {tracer} was attached already")?;
        }
        if self.swap {
            f.write_str("; but this host swaps")?;
        }
        Ok(())
    }
}

/// Why the process could not be closed to others.
#[derive(Debug, thiserror::Error)]
#[error("{call} failed; the process could leave a core file with card data")]
pub struct HardenError {
    /// The system call.
    pub call: &'static str,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl HardenError {
    fn last(call: &'static str) -> Self {
        Self {
            call,
            source: io::Error::last_os_error(),
        }
    }

    /// What an operator can do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        "allow prctl and setrlimit in the seccomp profile of the container or service"
    }
}

/// Forbids core files and debuggers without privilege. Once, at start, after the last change of user: the kernel makes a process
/// dumpable anew on `execve` and on changes of its user.
///
/// # Errors
/// [`HardenError`].
pub fn harden() -> Result<Hardened, HardenError> {
    // A piped core_pattern (systemd-coredump) ignores the limit, but not the flag; a file obeys both.
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a valid limit.
    if unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) } != 0 {
        return Err(HardenError::last("setrlimit(RLIMIT_CORE)"));
    }
    // SAFETY: takes a number, touches no memory of ours.
    if unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) } != 0 {
        return Err(HardenError::last("prctl(PR_SET_DUMPABLE)"));
    }
    // Each arena of the C library keeps freed memory for its threads alone: with one a thread, most of what we hold would be that.
    // SAFETY: sets a number of the allocator, before other threads are there. What it answers is whether it knows the number: an
    // allocator that does not works all the same.
    #[cfg(target_env = "gnu")]
    let _known = unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
    Ok(Hardened {
        tracer: tracer(),
        swap: swaps(),
    })
}

fn tracer() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let pid = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"))?
        .trim()
        .parse()
        .ok()?;
    (pid != 0).then_some(pid)
}

/// The first line of `/proc/swaps` is a heading (proc(5)).
fn swaps() -> bool {
    std::fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() > 1)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::child::{refuse_call, run_in_child, status_in_child};

    #[test]
    fn a_crash_leaves_no_core_file() {
        let name = "harden::tests::a_crash_leaves_no_core_file";
        let status = status_in_child(name, || {
            let hardened = harden().unwrap();
            assert!(
                hardened.to_string().starts_with("no core files"),
                "{hardened}"
            );
            // SAFETY: asks for a flag.
            assert_eq!(unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) }, 0);
            std::process::abort();
        });
        if let Some(status) = status {
            assert_eq!(
                (status.signal(), status.core_dumped()),
                (Some(libc::SIGABRT), false)
            );
        }
    }

    #[test]
    fn a_refusal_is_told() {
        run_in_child("harden::tests::a_refusal_is_told", || {
            refuse_call(libc::SYS_prlimit64, libc::EPERM);
            refuse_call(libc::SYS_setrlimit, libc::EPERM);
            let error = harden().unwrap_err();
            assert_eq!(error.call, "setrlimit(RLIMIT_CORE)");
            assert!(error.hint().contains("seccomp"));
        });
    }

    #[test]
    fn what_is_left_is_told() {
        let tell = |tracer, swap| Hardened { tracer, swap }.to_string();
        assert!(tell(Some(7), false).contains("process 7"));
        assert!(tell(None, true).contains("swaps"));
        assert_eq!(
            Hardened {
                tracer: None,
                swap: false
            }
            .hint(),
            None
        );
    }
}
