//! What the process can't do any more, even when somebody else's code runs in it: Landlock for files and ports, seccomp for
//! system calls. Where the kernel lacks one, that is told, and the service runs without it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope, path_beneath_rules,
};

use crate::calls;

/// What the service needs outside itself, besides what every program needs ([`SYSTEM`], [`DEVICES`], [`DNS_PORT`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Files and folders that are read.
    pub read: Vec<PathBuf>,
    /// Folders in which files and sockets are made, written and removed.
    pub write: Vec<PathBuf>,
    /// TCP ports that are listened on.
    pub listen: Vec<u16>,
    /// TCP ports that are connected to.
    pub connect: Vec<u16>,
}

/// Read by the C library: resolv.conf, hosts, nsswitch.conf (and what they are links to, which a DHCP client makes anew in
/// /run), modules of the name service, certificate authorities, time zones; on NixOS all of them are links into its store.
pub const SYSTEM: [&str; 7] = [
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/run",
    "/var/lib/ca-certificates",
    "/nix/store",
];

/// Files that are no data: randomness for SQLite, and the usual sink and source.
pub const DEVICES: [&str; 3] = ["/dev/urandom", "/dev/random", "/dev/null"];

/// A name server's answer that does not fit a datagram comes over TCP (RFC 7766).
pub const DNS_PORT: u16 = 53;

/// Newest Landlock that is made use of. 7 has files, TCP ports, signals and abstract sockets; what is newer is not asked for, and
/// what is older gives what it has. From 9 on sockets by path could be closed too, which the name service needs.
const ABI_USED: ABI = ABI::V7;

/// Why a protection is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The kernel is built without it, or too old.
    NotInKernel,
    /// The kernel has it, but not switched on (`lsm=` on its command line).
    NotEnabled,
    /// The kernel, or a profile around us, said no; its `errno`, 0 when unknown.
    Refused(i32),
    /// Built for a processor that we have no table for.
    Processor,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInKernel => f.write_str("this kernel has it not"),
            Self::NotEnabled => f.write_str("this kernel has it, but not enabled"),
            Self::Refused(errno) => {
                write!(f, "refused: {}", io::Error::from_raw_os_error(*errno))
            }
            Self::Processor => f.write_str("there is no table of system calls for this processor"),
        }
    }
}

/// What Landlock holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Version of Landlock in the kernel.
    pub abi: u8,
    /// TCP ports are among what it holds (version 4 and later).
    pub ports: bool,
}

/// What the process is confined to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confined {
    /// Files and ports.
    pub landlock: Result<Fence, Missing>,
    /// System calls: how many have a rule.
    pub seccomp: Result<usize, Missing>,
}

/// Confines the calling thread and whatever it starts, for good. Once, after [`crate::harden`] and [`crate::init`], before
/// other threads.
#[must_use]
pub fn confine(reach: &Reach) -> Confined {
    // The kernel writes a core file as the process could: not at all, where Landlock is.
    #[cfg(feature = "plant")]
    if crate::plant::is("core") {
        return Confined {
            landlock: Err(Missing::NotEnabled),
            seccomp: Err(Missing::NotEnabled),
        };
    }
    // Landlock first: its calls need not be allowed afterwards.
    let landlock = fence(reach);
    let seccomp = calls::refuse();
    Confined { landlock, seccomp }
}

/// What [`confine`] would give on this machine, to this user: does it on a thread of its own, which then ends.
#[must_use]
pub fn rehearse(reach: &Reach) -> Confined {
    let reach = reach.clone();
    std::thread::spawn(move || confine(&reach))
        .join()
        .unwrap_or(Confined {
            landlock: Err(Missing::Refused(0)),
            seccomp: Err(Missing::Refused(0)),
        })
}

fn fence(reach: &Reach) -> Result<Fence, Missing> {
    let status = restrict(reach).map_err(|error| Missing::Refused(errno(&error)))?;
    let abi = match status.landlock {
        LandlockStatus::NotEnabled => return Err(Missing::NotEnabled),
        LandlockStatus::NotImplemented => return Err(Missing::NotInKernel),
        LandlockStatus::Available { effective_abi, .. } => effective_abi as u8,
    };
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err(Missing::NotInKernel);
    }
    Ok(Fence {
        abi,
        ports: abi >= ABI::V4 as u8,
    })
}

fn restrict(reach: &Reach) -> Result<RestrictionStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let make = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeSock
        | AccessFs::RemoveFile;
    let device = AccessFs::ReadFile | AccessFs::WriteFile;
    let all: BitFlags<AccessFs> = AccessFs::from_all(ABI_USED);
    let port = |port: &u16, access: AccessNet| NetPort::new(*port, access);
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(AccessNet::from_all(ABI_USED))?
        .scope(Scope::from_all(ABI_USED))?
        .create()?
        // A path that is not there gives no rule: what needs it says so itself.
        .add_rules(path_beneath_rules(SYSTEM, read))?
        .add_rules(path_beneath_rules(DEVICES, device))?
        .add_rules(path_beneath_rules(&reach.read, read))?
        .add_rules(path_beneath_rules(&reach.write, make))?
        .add_rules(
            reach
                .listen
                .iter()
                .map(|p| Ok::<_, RulesetError>(port(p, AccessNet::BindTcp))),
        )?
        .add_rules(
            reach
                .connect
                .iter()
                .chain([&DNS_PORT])
                .map(|p| Ok::<_, RulesetError>(port(p, AccessNet::ConnectTcp))),
        )?
        .restrict_self()
}

/// The system's reason below the library's.
fn errno(error: &(dyn std::error::Error + 'static)) -> i32 {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return io.raw_os_error().unwrap_or(0);
        }
        next = error.source();
    }
    0
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::child::{refuse_call, run_in_child};

    fn confined(reach: &Reach) -> Confined {
        crate::harden().unwrap();
        confine(reach)
    }

    #[test]
    fn files_and_ports_are_those_that_were_named() {
        run_in_child(
            "confine::tests::files_and_ports_are_those_that_were_named",
            || {
                let base =
                    std::env::temp_dir().join(format!("ivrpay-reach-{}", std::process::id()));
                let (own, other) = (base.join("own"), base.join("other"));
                fs::create_dir_all(&own).unwrap();
                fs::create_dir_all(&other).unwrap();
                fs::write(other.join("there"), "x").unwrap();
                fs::write(other.join("secret"), "x").unwrap();
                let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
                let named = TcpListener::bind("127.0.0.1:0").unwrap();
                let ours = TcpListener::bind("127.0.0.1:0").unwrap();
                let (elsewhere_at, named_at, ours_at) = (
                    elsewhere.local_addr().unwrap(),
                    named.local_addr().unwrap(),
                    ours.local_addr().unwrap(),
                );
                drop(ours);
                let reach = Reach {
                    read: vec![other.join("there"), base.join("is not there")],
                    write: vec![own.clone()],
                    listen: vec![ours_at.port()],
                    connect: vec![named_at.port()],
                };
                let Ok(fence) = confined(&reach).landlock else {
                    eprintln!("this kernel has no Landlock; nothing to see");
                    return;
                };

                // What SQLite, and a socket of ours, do.
                fs::write(own.join("a"), "abc").unwrap();
                fs::OpenOptions::new()
                    .write(true)
                    .open(own.join("a"))
                    .unwrap()
                    .set_len(1)
                    .unwrap();
                assert_eq!(fs::read(own.join("a")).unwrap(), b"a");
                assert_eq!(fs::read_dir(&own).unwrap().count(), 1);
                drop(UnixListener::bind(own.join("s")).unwrap());
                fs::remove_file(own.join("s")).unwrap();
                fs::remove_file(own.join("a")).unwrap();
                assert_eq!(fs::read(other.join("there")).unwrap(), b"x");
                assert!(fs::read("/etc/passwd").is_ok());

                let denied = |result: io::Result<()>| {
                    result.err().map(|e| e.kind()) == Some(ErrorKind::PermissionDenied)
                };
                assert!(denied(fs::write(other.join("there"), "y")));
                assert!(denied(fs::write(other.join("new"), "y")));
                assert!(denied(fs::read(other.join("secret")).map(drop)));
                assert!(denied(fs::remove_file(other.join("secret"))));
                assert!(denied(fs::create_dir(own.join("folder"))));
                assert!(denied(std::os::unix::fs::symlink("/", own.join("link"))));
                assert!(denied(fs::write("/etc/ivrpay-test", "y")));
                // Its own memory, and that of others: no file is a way there.
                assert!(denied(fs::read("/proc/self/mem").map(drop)));
                assert!(denied(fs::read("/proc/1/environ").map(drop)));
                // Names are still found.
                let found = ("localhost", 1).to_socket_addrs().unwrap();
                assert!(found.into_iter().all(|a| a.ip().is_loopback()));

                if fence.ports {
                    assert!(TcpStream::connect(named_at).is_ok());
                    assert!(denied(TcpStream::connect(elsewhere_at).map(drop)));
                    assert!(TcpListener::bind(ours_at).is_ok());
                    assert!(denied(TcpListener::bind("127.0.0.1:0").map(drop)));
                }
            },
        );
    }

    #[test]
    fn a_kernel_without_them_is_told_and_runs() {
        let name = "confine::tests::a_kernel_without_them_is_told_and_runs";
        let table = [
            (
                libc::SYS_landlock_create_ruleset,
                libc::ENOSYS,
                Missing::NotInKernel,
            ),
            (
                libc::SYS_landlock_create_ruleset,
                libc::EOPNOTSUPP,
                Missing::NotEnabled,
            ),
            (
                libc::SYS_seccomp,
                libc::EPERM,
                Missing::Refused(libc::EPERM),
            ),
            (libc::SYS_seccomp, libc::ENOSYS, Missing::NotInKernel),
        ];
        for (n, (call, errno, missing)) in table.into_iter().enumerate() {
            let variant = n.to_string();
            if crate::child::variant().is_some_and(|v| v != variant) {
                continue;
            }
            let here = std::env::temp_dir();
            let status = crate::child::status_as(name, &variant, &here, || {
                refuse_call(call, errno);
                let confined = confined(&Reach::default());
                let got = if call == libc::SYS_seccomp {
                    confined.seccomp.err()
                } else {
                    confined.landlock.err()
                };
                assert_eq!(got, Some(missing));
            });
            if let Some(status) = status {
                assert!(status.success(), "{missing:?}: {status}");
            }
        }
    }

    #[test]
    fn a_rehearsal_leaves_this_process_as_it_was() {
        run_in_child(
            "confine::tests::a_rehearsal_leaves_this_process_as_it_was",
            || {
                let first = rehearse(&Reach::default());
                assert!(fs::read_dir(std::env::temp_dir()).is_ok());
                assert_eq!(rehearse(&Reach::default()), first);
                let status = std::process::Command::new("/bin/true").status();
                assert!(status.unwrap().success());
            },
        );
    }
}
