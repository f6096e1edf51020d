//! System calls that the service never makes, refused by seccomp: what would let card data out of the process, or code in.
//!
//! A list of refusals, because it must not break with the next version of a library; the systemd unit has the list of what
//! is allowed (`asterisk-conf/ivrpay.service`). A refused call fails with an error and kills nothing: a mistake in this table
//! must not end a call in which money moves.

use std::collections::BTreeMap;
use std::ffi::c_long;

use libc::{
    AF_INET, AF_INET6, AF_UNIX, CLONE_THREAD, EAFNOSUPPORT, ENOSYS, EPERM, PROT_EXEC, PROT_WRITE,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::confine::Missing;

/// When a call is refused.
#[derive(Debug, Clone, Copy)]
enum When {
    Always,
    /// The bits of the argument under the mask are these: `(argument, mask, bits)`.
    Bits(u8, i32, i32),
    /// The argument is none of these.
    NoneOf(u8, &'static [i32]),
    /// The argument, a pointer, is not null.
    Given(u8),
}

/// Calls that are refused together, how, and why.
struct Refused {
    calls: &'static [c_long],
    when: When,
    errno: i32,
    /// Shown to nobody; each row has to have one.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the reader of the table"))]
    why: &'static str,
}

const fn refused(calls: &'static [c_long], when: When, why: &'static str) -> Refused {
    Refused {
        calls,
        when,
        errno: EPERM,
        why,
    }
}

use When::{Always, Bits, Given, NoneOf};

/// The table.
const REFUSED: &[Refused] = &[
    // Other processes, and this one, as seen by a debugger.
    refused(
        &[
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_getfd,
            libc::SYS_kcmp,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
        ],
        Always,
        "reads, writes or stops memory and takes descriptors: the tools of a debugger",
    ),
    refused(
        &[libc::SYS_prctl],
        Bits(0, -1, libc::PR_SET_DUMPABLE),
        "core files and debuggers would be possible again",
    ),
    refused(
        &[libc::SYS_prctl],
        Bits(0, -1, libc::PR_SET_PTRACER),
        "would name a process that may attach (Yama)",
    ),
    refused(
        &[libc::SYS_prctl],
        Bits(0, -1, libc::PR_SET_MM),
        "moves the marks of the process's own memory",
    ),
    refused(
        &[libc::SYS_prlimit64],
        Given(2),
        "core files, and memory that is not locked, would be possible again; reading limits stays",
    ),
    refused(&[libc::SYS_setrlimit], Always, "as prlimit64"),
    refused(
        &[libc::SYS_munlock, libc::SYS_munlockall],
        Always,
        "card memory stays locked until it is unmapped",
    ),
    // Code.
    refused(
        &[libc::SYS_execve, libc::SYS_execveat],
        Always,
        "the service starts no program; a new one would also be dumpable",
    ),
    #[cfg(target_arch = "x86_64")]
    refused(
        &[libc::SYS_fork, libc::SYS_vfork, libc::SYS_modify_ldt],
        Always,
        "as clone; and an old way to odd segments",
    ),
    refused(
        &[libc::SYS_clone],
        Bits(0, CLONE_THREAD, 0),
        "threads, but no processes: a child would keep copies of ordinary memory",
    ),
    Refused {
        calls: &[libc::SYS_clone3],
        when: Always,
        // What the C library then does is clone (glibc: sysdeps/unix/sysv/linux/clone-internal.c).
        errno: ENOSYS,
        why: "its flags lie in memory, where a filter can't see them",
    },
    refused(
        &[libc::SYS_mmap],
        Bits(2, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC),
        "memory that is written and run: for injected code; ours is compiled",
    ),
    refused(
        &[libc::SYS_mprotect, libc::SYS_pkey_mprotect],
        Bits(2, PROT_EXEC, PROT_EXEC),
        "as mmap, in two steps; modules of the name service are mapped as they are in their files",
    ),
    refused(
        &[libc::SYS_memfd_create],
        Always,
        "a program without a file; memfd_secret is another call",
    ),
    refused(
        &[libc::SYS_personality],
        Always,
        "switches the protection of addresses off",
    ),
    // The kernel.
    refused(
        &[
            libc::SYS_bpf,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_delete_module,
            libc::SYS_kexec_load,
            // Not named by the crate libc elsewhere.
            #[cfg(any(
                target_arch = "x86_64",
                all(target_arch = "aarch64", target_env = "gnu")
            ))]
            libc::SYS_kexec_file_load,
            libc::SYS_reboot,
            libc::SYS_syslog,
            libc::SYS_acct,
            libc::SYS_swapon,
            libc::SYS_swapoff,
        ],
        Always,
        "code in the kernel, its log, or swap switched on",
    ),
    #[cfg(target_arch = "x86_64")]
    refused(
        &[libc::SYS_iopl, libc::SYS_ioperm],
        Always,
        "ports of devices",
    ),
    refused(
        &[
            libc::SYS_io_uring_setup,
            libc::SYS_io_uring_enter,
            libc::SYS_io_uring_register,
        ],
        Always,
        "does what other calls do, past filters like this one; tokio does not use it",
    ),
    refused(
        &[libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl],
        Always,
        "keys of the kernel outlive the process",
    ),
    // Files and users.
    refused(
        &[
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_move_mount,
            libc::SYS_open_tree,
            libc::SYS_fsopen,
            libc::SYS_fsconfig,
            libc::SYS_fsmount,
            libc::SYS_fspick,
            libc::SYS_mount_setattr,
            libc::SYS_setns,
            libc::SYS_unshare,
        ],
        Always,
        "other views of the file system and of users, in which checks by path mean something else",
    ),
    refused(
        &[
            libc::SYS_open_by_handle_at,
            libc::SYS_name_to_handle_at,
            libc::SYS_mknodat,
        ],
        Always,
        "files without their paths; devices, which are raw memory and disks",
    ),
    #[cfg(target_arch = "x86_64")]
    refused(&[libc::SYS_mknod], Always, "as mknodat"),
    refused(
        &[
            libc::SYS_setuid,
            libc::SYS_setgid,
            libc::SYS_setreuid,
            libc::SYS_setregid,
            libc::SYS_setresuid,
            libc::SYS_setresgid,
            libc::SYS_setfsuid,
            libc::SYS_setfsgid,
            libc::SYS_setgroups,
            libc::SYS_capset,
        ],
        Always,
        "the user stays; a change would make the process dumpable anew",
    ),
    refused(
        &[
            libc::SYS_clock_settime,
            libc::SYS_settimeofday,
            libc::SYS_clock_adjtime,
            libc::SYS_adjtimex,
        ],
        Always,
        "the clock decides the month of an expiry and stands in every record",
    ),
    Refused {
        calls: &[libc::SYS_socket],
        when: NoneOf(0, &[AF_UNIX, AF_INET, AF_INET6]),
        errno: EAFNOSUPPORT,
        why: "raw packets and talk with the kernel; getaddrinfo does without netlink (glibc: check_pf.c)",
    },
];

/// Bit of the numbers of the x32 interface (`asm/unistd.h: __X32_SYSCALL_BIT`): the same calls, on a kernel that has it.
#[cfg(target_arch = "x86_64")]
const X32: c_long = 0x4000_0000;
/// Numbers that the x32 interface has of its own, among them execve, ptrace and process_vm_readv (`syscall_64.tbl`).
#[cfg(target_arch = "x86_64")]
const X32_OWN: std::ops::RangeInclusive<c_long> = 512..=547;

/// Puts the table into force for the calling thread and whatever it starts; how many calls have a rule.
pub(crate) fn refuse() -> Result<usize, Missing> {
    let mut count = 0;
    // One filter for each error; the kernel asks all, and refuses when one does.
    for errno in [EPERM, ENOSYS, EAFNOSUPPORT] {
        let (program, calls) = filter(errno)?;
        seccompiler::apply_filter(&program).map_err(|error| match error {
            seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => {
                match error.raw_os_error() {
                    Some(ENOSYS | libc::EINVAL) => Missing::NotInKernel,
                    errno => Missing::Refused(errno.unwrap_or(0)),
                }
            }
            _ => Missing::Refused(0),
        })?;
        count += calls;
    }
    Ok(count)
}

fn filter(errno: i32) -> Result<(BpfProgram, usize), Missing> {
    let processor = TargetArch::try_from(std::env::consts::ARCH).map_err(|_| Missing::Processor)?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for row in REFUSED.iter().filter(|row| row.errno == errno) {
        for call in row.calls {
            let numbers = [
                *call,
                #[cfg(target_arch = "x86_64")]
                {
                    *call | X32
                },
            ];
            for number in numbers {
                let of_call = rules.entry(number).or_default();
                if let Some(rule) = row.when.rule()? {
                    of_call.push(rule);
                }
            }
        }
    }
    let calls = rules.len();
    #[cfg(target_arch = "x86_64")]
    let calls = {
        if errno == EPERM {
            rules.extend(X32_OWN.map(|number| (number | X32, Vec::new())));
        }
        calls / 2
    };
    let refusal = SeccompAction::Errno(errno.unsigned_abs());
    let program = SeccompFilter::new(rules, SeccompAction::Allow, refusal, processor)
        .and_then(BpfProgram::try_from)
        .map_err(|_| Missing::Processor)?;
    Ok((program, calls))
}

impl When {
    /// All conditions of a rule must hold; no rule at all is "always".
    fn rule(self) -> Result<Option<SeccompRule>, Missing> {
        let condition = |argument, length, operator, value| {
            SeccompCondition::new(argument, length, operator, value).map_err(|_| Missing::Processor)
        };
        // As the kernel sees an int: its 32 bits, without a sign.
        let bits = |value: i32| u64::from(value.cast_unsigned());
        let conditions = match self {
            Always => return Ok(None),
            Bits(argument, mask, value) => vec![condition(
                argument,
                SeccompCmpArgLen::Dword,
                SeccompCmpOp::MaskedEq(bits(mask)),
                bits(value),
            )?],
            NoneOf(argument, values) => values
                .iter()
                .map(|value| {
                    condition(
                        argument,
                        SeccompCmpArgLen::Dword,
                        SeccompCmpOp::Ne,
                        bits(*value),
                    )
                })
                .collect::<Result<_, _>>()?,
            Given(argument) => vec![condition(
                argument,
                SeccompCmpArgLen::Qword,
                SeccompCmpOp::Ne,
                0,
            )?],
        };
        SeccompRule::new(conditions)
            .map(Some)
            .map_err(|_| Missing::Processor)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::process::Command;

    use super::*;
    use crate::child::run_in_child;

    /// What a call says, with arguments that do nothing where it is allowed.
    fn says(call: c_long, arguments: [c_long; 4]) -> Option<i32> {
        let [a, b, c, d] = arguments;
        // SAFETY: each call of the tests is refused by the filter, or is given arguments under which it changes nothing.
        let result = unsafe { libc::syscall(call, a, b, c, d, 0, 0) };
        (result == -1)
            .then(|| io::Error::last_os_error().raw_os_error())
            .flatten()
    }

    #[test]
    fn every_row_refuses_with_a_reason() {
        run_in_child("calls::tests::every_row_refuses_with_a_reason", || {
            crate::harden().unwrap();
            let count = refuse().unwrap();
            assert!(count > 70, "{count}");
            for row in REFUSED {
                assert!(!row.why.is_empty());
                for call in row.calls {
                    let arguments = match row.when {
                        // With nonsense in them: refused before anybody reads it.
                        Always => [-1; 4],
                        Bits(0, _, value) => [value.into(), 0, 0, 0],
                        Bits(_, _, value) => [0, 0, value.into(), 0],
                        NoneOf(..) => [libc::AF_NETLINK.into(), libc::SOCK_RAW.into(), 0, 0],
                        Given(_) => [0, libc::RLIMIT_CORE.into(), 1, 0],
                    };
                    assert_eq!(
                        says(*call, arguments),
                        Some(row.errno),
                        "{call} {}",
                        row.why
                    );
                }
            }
            // The same through the x32 numbers.
            #[cfg(target_arch = "x86_64")]
            for number in [libc::SYS_memfd_create | X32, 521 | X32, 539 | X32] {
                assert_eq!(says(number, [-1; 4]), Some(EPERM), "{number:#x}");
            }
        });
    }

    #[test]
    fn what_the_service_does_goes_on() {
        run_in_child("calls::tests::what_the_service_does_goes_on", || {
            crate::harden().unwrap();
            refuse().unwrap();
            // Threads, by clone where clone3 is refused, and whatever they allocate.
            let sum: usize = (0..4)
                .map(|n| std::thread::spawn(move || vec![n; 100_000].len()))
                .map(|t| t.join().unwrap())
                .sum();
            assert_eq!(sum, 400_000);
            // Secret memory, should it come after.
            crate::init(crate::Policy::Any, crate::Layout::for_calls(1)).unwrap();
            // Limits are read, sockets of ours are made, a panic unwinds.
            let mut limit = libc::rlimit {
                rlim_cur: 1,
                rlim_max: 1,
            };
            // SAFETY: a valid place for the answer.
            let told = unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) };
            assert_eq!((told, limit.rlim_max), (0, 0));
            for address in ["127.0.0.1:0", "[::1]:0"] {
                match std::net::TcpListener::bind(address) {
                    Ok(_) => {}
                    // A machine without IPv6.
                    Err(error) => assert_ne!(error.raw_os_error(), Some(EPERM)),
                }
            }
            std::os::unix::net::UnixDatagram::unbound().unwrap();
            assert!(std::panic::catch_unwind(|| panic!("on purpose")).is_err());
            // And no program.
            let refused = Command::new("/bin/true").spawn().unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(EPERM));
        });
    }
}
