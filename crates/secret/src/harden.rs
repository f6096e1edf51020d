//! Nobody looks into the process, it leaves no core file, and it gains no rights.

use std::io;

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

/// Forbids core files, debuggers without privilege, and new privileges. Once, at start, before other threads, after the last
/// change of user: the kernel makes a process dumpable anew on `execve` and on changes of its user.
///
/// # Errors
/// [`HardenError`].
pub fn harden() -> Result<(), HardenError> {
    #[cfg(feature = "plant")]
    if crate::plant::is("core") {
        return Ok(());
    }
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
    // No set-user-id program gives it more than it has; seccomp and Landlock ask for it too.
    // SAFETY: as above.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(HardenError::last("prctl(PR_SET_NO_NEW_PRIVS)"));
    }
    // Each arena of the C library keeps freed memory for its threads alone: with one a thread, most of what we hold would be that.
    // SAFETY: sets a number of the allocator, before other threads are there. What it answers is whether it knows the number: an
    // allocator that does not works all the same.
    #[cfg(target_env = "gnu")]
    let _known = unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::child::{refuse_call, run_in_child, status_as};

    /// A service that is started again and again: however it dies, no core file, even where the limit was off before.
    #[test]
    fn a_crash_leaves_no_core_file() {
        let deaths: [(&str, fn(), i32); 4] = [
            ("abort", || std::process::abort(), libc::SIGABRT),
            ("segv", || raise(libc::SIGSEGV), libc::SIGSEGV),
            ("bus", || raise(libc::SIGBUS), libc::SIGBUS),
            // As `panic = "abort"` and a panic in a destructor end.
            (
                "panic",
                || {
                    struct Again;
                    impl Drop for Again {
                        fn drop(&mut self) {
                            panic!("again");
                        }
                    }
                    let _again = Again;
                    panic!("once");
                },
                libc::SIGABRT,
            ),
        ];
        let name = "harden::tests::a_crash_leaves_no_core_file";
        let folder = std::env::temp_dir().join(format!("ivrpay-core-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        // The control: without us this machine writes one, or has them off for good.
        let control = status_as(name, "control", &folder, || {
            if crate::child::variant().is_some_and(|v| v == "control") {
                assert!(unlimited_core(), "core files are off on this machine");
                std::process::abort();
            }
        });
        if let Some(control) = control {
            let off = control.signal().is_none();
            assert!(
                control.core_dumped() || off,
                "the control left no core file"
            );
            std::fs::remove_dir_all(&folder).unwrap();
            std::fs::create_dir(&folder).unwrap();
        }
        for (way, die, signal) in deaths {
            if crate::child::variant().is_some_and(|variant| variant != way) {
                continue;
            }
            let status = status_as(name, way, &folder, || {
                unlimited_core();
                harden().unwrap();
                // SAFETY: asks for a flag.
                assert_eq!(unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) }, 0);
                die();
            });
            if let Some(status) = status {
                assert_eq!(
                    (status.signal(), status.core_dumped()),
                    (Some(signal), false),
                    "{way}"
                );
            }
        }
        let left = std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(left, 0, "files in the folder where it died");
        std::fs::remove_dir(&folder).unwrap();
    }

    fn raise(signal: i32) {
        // SAFETY: sends a signal to the test's own process, to its default end.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }

    /// As far as this machine lets it; whether it does.
    fn unlimited_core() -> bool {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: valid limits, of the test's own process.
        unsafe {
            libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit);
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_CORE, &raw const limit);
        }
        limit.rlim_max > 0
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
    fn no_program_gives_new_privileges() {
        run_in_child("harden::tests::no_program_gives_new_privileges", || {
            harden().unwrap();
            // SAFETY: asks for a flag.
            let set = unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) };
            assert_eq!(set, 1);
        });
    }
}
