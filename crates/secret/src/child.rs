//! Tests that need a process of their own: the arena is one a process, and limits and filters can't be taken back.

use std::path::Path;
use std::process::{Command, ExitStatus};

const MARK: &str = "IVRPAY_SECRET_TEST_CHILD";

/// Runs `test` in a child process. `name` is the full name of the test that calls this.
#[track_caller]
pub(crate) fn run_in_child(name: &str, test: impl FnOnce()) {
    if let Some(status) = status_in_child(name, test) {
        assert!(status.success(), "{name}: {status}");
    }
}

/// Which of its variants a child is to be; `None` in the parent.
pub(crate) fn variant() -> Option<String> {
    std::env::var(MARK).ok()
}

/// As [`run_in_child`], but gives the child's exit status; `None` in the child itself.
pub(crate) fn status_in_child(name: &str, test: impl FnOnce()) -> Option<ExitStatus> {
    status_as(name, "-", &std::env::temp_dir(), test)
}

/// As [`status_in_child`], as a variant of the test and in a folder.
pub(crate) fn status_as(
    name: &str,
    variant: &str,
    folder: &Path,
    test: impl FnOnce(),
) -> Option<ExitStatus> {
    if std::env::var_os(MARK).is_some() {
        test();
        return None;
    }
    let myself = std::env::current_exe().unwrap();
    let output = Command::new(myself)
        .args(["--exact", name, "--test-threads=1", "--nocapture"])
        .env(MARK, variant)
        .current_dir(folder)
        .output();
    let output = output.unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        told.contains("running 1 test"),
        "no test has the name {name}"
    );
    if !output.status.success() {
        println!("{told}{}", String::from_utf8_lossy(&output.stderr));
    }
    Some(output.status)
}

/// No locked memory for this process from now on, as under `LimitMEMLOCK=0`.
pub(crate) fn without_memlock() {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a valid limit; the process is the test's own.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const none) };
    assert_eq!(set, 0);
    // Root has CAP_IPC_LOCK, which lifts the limit: become nobody.
    // SAFETY: changes the user of the test's own process.
    let nobody = unsafe { libc::geteuid() != 0 || libc::setuid(65_534) == 0 };
    assert!(nobody);
}

/// Has `call` fail with `errno` from now on, as a seccomp profile of a container or an old kernel would.
pub(crate) fn refuse_call(call: libc::c_long, errno: i32) {
    let instruction = |code: u32, jt, jf, k| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt,
        jf,
        k,
    };
    let mut filter = [
        // The number of the system call is the first word of `seccomp_data`.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            u32::try_from(call).unwrap(),
        ),
        instruction(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | errno.unsigned_abs(),
        ),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: a valid filter program, copied by the kernel; the process is the test's own.
    let set = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ) == 0
    };
    assert!(set, "{}", std::io::Error::last_os_error());
}
