//! What protects the process on this machine, one line each, for `ivrpay check` and the service's log.

use std::fs;

use crate::confine::{Confined, Missing, Reach};

/// How a protection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is there, and nothing is to be done.
    Holds,
    /// The machine could do better; the service is not the worse for it.
    Advice,
    /// It is not there.
    Lacks,
}

/// One protection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    /// Name in logs and metrics.
    pub name: &'static str,
    /// How it stands.
    pub standing: Standing,
    /// What was found.
    pub fact: String,
    /// What an operator can do.
    pub hint: Option<&'static str>,
}

/// Whether ordinary memory may reach a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// The host has no swap.
    None,
    /// The host swaps, but not our control group (`MemorySwapMax=0`).
    NotUs,
    /// The host swaps.
    Yes,
    /// /proc/swaps is not to be read.
    Unknown,
}

/// What the machine says of itself and of us. Read before [`crate::confine`], after which /proc is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The process that was attached as a debugger already, and stays.
    pub tracer: Option<u32>,
    /// What libraries hold in ordinary memory for a moment may reach the disk.
    pub swap: Swap,
    /// We run as root.
    pub root: bool,
    /// `kernel.yama.ptrace_scope`, where the kernel has it.
    pub ptrace_scope: Option<u8>,
    /// `kernel.core_pattern` is a pipe, into a program that ignores the limit.
    pub core_pipe: bool,
    /// The kernel wipes pages when they are freed (`init_on_free`), where it can be told.
    pub init_on_free: Option<bool>,
}

impl Host {
    /// Looks.
    #[must_use]
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        // The first line of /proc/swaps is a heading (proc(5)).
        let swap = match fs::read_to_string("/proc/swaps").map(|swaps| swaps.lines().count()) {
            Ok(0..=1) => Swap::None,
            Ok(_) if swap_max().is_some_and(|max| max.trim() == "0") => Swap::NotUs,
            Ok(_) => Swap::Yes,
            Err(_) => Swap::Unknown,
        };
        let status = read("/proc/self/status");
        let tracer = status
            .lines()
            .find_map(|line| line.strip_prefix("TracerPid:"))
            .and_then(|pid| pid.trim().parse().ok())
            .filter(|pid| *pid != 0);
        // SAFETY: asks for a number.
        let root = unsafe { libc::geteuid() } == 0;
        Self {
            tracer,
            swap,
            root,
            ptrace_scope: read("/proc/sys/kernel/yama/ptrace_scope")
                .trim()
                .parse()
                .ok(),
            core_pipe: read("/proc/sys/kernel/core_pattern").starts_with('|'),
            init_on_free: init_on_free(&read("/proc/cmdline"), &kernel_config()),
        }
    }

    /// Every protection, with what [`crate::harden`] has done already.
    #[must_use]
    pub fn protections(&self, confined: &Confined, reach: &Reach) -> Vec<Protection> {
        vec![
            self.core_files(),
            holds(
                "no-new-privs",
                "no set-user-id program gives new privileges".to_owned(),
            ),
            self.debugger(),
            self.user(),
            seccomp(confined),
            landlock(confined, reach),
            self.swapping(),
            self.freed_pages(),
        ]
    }

    fn core_files(&self) -> Protection {
        let pattern = if self.core_pipe {
            "core_pattern is a pipe, which gets nothing of a process that is not dumpable"
        } else {
            "core_pattern is a file"
        };
        holds(
            "core-files",
            format!("no core files: limit 0, not dumpable; {pattern}"),
        )
    }

    fn debugger(&self) -> Protection {
        const NAME: &str = "debugger";
        if let Some(tracer) = self.tracer {
            return lacks(
                NAME,
                format!(
                    "process {tracer} was attached as a debugger already, and sees what the service does"
                ),
                "start the service without a debugger or strace",
            );
        }
        let fact = "no debugger without root: not dumpable".to_owned();
        match self.ptrace_scope {
            // admin_attach and no_attach (Documentation/admin-guide/LSM/Yama.rst).
            Some(scope @ 2..) => holds(NAME, format!("{fact}; yama ptrace_scope is {scope}")),
            Some(scope) => advice(
                NAME,
                format!("{fact}; yama ptrace_scope is {scope}"),
                "sysctl kernel.yama.ptrace_scope=3 closes it to root too, until the next boot",
            ),
            None => advice(
                NAME,
                format!("{fact}; this kernel has no Yama"),
                "a kernel with Yama can close it to root too",
            ),
        }
    }

    fn user(&self) -> Protection {
        if self.root {
            return lacks(
                "user",
                "runs as root".to_owned(),
                "run it as a user of its own: `useradd --system --user-group ivrpay` and User=ivrpay in the unit; `check` too: sudo -u ivrpay",
            );
        }
        holds("user", "runs as a user without privileges".to_owned())
    }

    fn swapping(&self) -> Protection {
        const NAME: &str = "swap";
        const HINT: &str = "switch swap off (swapoff -a, and /etc/fstab), encrypt it, or keep MemorySwapMax=0 in the unit";
        match self.swap {
            Swap::None => holds(NAME, "this host does not swap".to_owned()),
            Swap::NotUs => holds(
                NAME,
                "this host swaps, but nothing of this service (MemorySwapMax=0)".to_owned(),
            ),
            Swap::Yes => lacks(
                NAME,
                "this host swaps: what libraries hold for a moment may reach the disk".to_owned(),
                HINT,
            ),
            Swap::Unknown => advice(
                NAME,
                "whether this host swaps can't be told: /proc/swaps can't be read".to_owned(),
                HINT,
            ),
        }
    }

    fn freed_pages(&self) -> Protection {
        const NAME: &str = "freed-pages";
        const HINT: &str = "add init_on_free=1 to the kernel's command line: socket buffers that held keys are wiped too";
        match self.init_on_free {
            Some(true) => holds(NAME, "the kernel wipes what it frees".to_owned()),
            Some(false) => advice(
                NAME,
                "the kernel does not wipe what it frees; what we free is wiped by us".to_owned(),
                HINT,
            ),
            None => advice(
                NAME,
                "whether the kernel wipes what it frees can't be told; what we free is wiped by us"
                    .to_owned(),
                HINT,
            ),
        }
    }
}

fn holds(name: &'static str, fact: String) -> Protection {
    Protection {
        name,
        standing: Standing::Holds,
        fact,
        hint: None,
    }
}

fn advice(name: &'static str, fact: String, hint: &'static str) -> Protection {
    Protection {
        name,
        standing: Standing::Advice,
        fact,
        hint: Some(hint),
    }
}

fn lacks(name: &'static str, fact: String, hint: &'static str) -> Protection {
    Protection {
        name,
        standing: Standing::Lacks,
        fact,
        hint: Some(hint),
    }
}

fn seccomp(confined: &Confined) -> Protection {
    const NAME: &str = "seccomp";
    match confined.seccomp {
        Ok(calls) => holds(
            NAME,
            format!(
                "seccomp: {calls} system calls are refused: debugging, new programs, code in written memory, mounts, users"
            ),
        ),
        Err(why) => lacks(
            NAME,
            format!("no seccomp: {why}"),
            match why {
                Missing::Refused(_) => {
                    "allow seccomp and prctl in the profile of the container or service"
                }
                Missing::Processor => {
                    "the unit's SystemCallFilter works on every processor: use it"
                }
                Missing::NotInKernel | Missing::NotEnabled => {
                    "use a kernel with CONFIG_SECCOMP_FILTER, as every distribution's is"
                }
            },
        ),
    }
}

fn landlock(confined: &Confined, reach: &Reach) -> Protection {
    const NAME: &str = "landlock";
    let folders: Vec<_> = reach
        .write
        .iter()
        .map(|p| p.display().to_string())
        .collect();
    let folders = folders.join(", ");
    match confined.landlock {
        Ok(fence) if fence.ports => holds(
            NAME,
            format!(
                "Landlock {}: writes only below {folders}; {} TCP port(s) to listen on, {} to connect to",
                fence.abi,
                reach.listen.len(),
                reach.connect.len() + 1
            ),
        ),
        Ok(fence) => advice(
            NAME,
            format!(
                "Landlock {}: writes only below {folders}; any TCP port",
                fence.abi
            ),
            "Linux 6.7 or later can hold TCP ports too",
        ),
        Err(why) => lacks(
            NAME,
            format!("no Landlock: {why}"),
            match why {
                Missing::NotEnabled => {
                    "add landlock to lsm= on the kernel's command line; until then the unit's ProtectSystem=strict does it"
                }
                Missing::Refused(_) => {
                    "allow landlock_create_ruleset, landlock_add_rule and landlock_restrict_self in the profile of the container or service"
                }
                Missing::NotInKernel | Missing::Processor => {
                    "use Linux 5.13 or later; until then the unit's ProtectSystem=strict does it"
                }
            },
        ),
    }
}

/// `memory.swap.max` of our control group (version 2), in bytes or `max`.
fn swap_max() -> Option<String> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    fs::read_to_string(format!("/sys/fs/cgroup/{path}/memory.swap.max")).ok()
}

/// The command line wins over how the kernel was built.
fn init_on_free(command_line: &str, config: &str) -> Option<bool> {
    let given = command_line
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("init_on_free="))
        .next_back()
        .map(|value| matches!(value, "1" | "on" | "y" | "Y"));
    let built = || {
        config.lines().find_map(|line| match line {
            "CONFIG_INIT_ON_FREE_DEFAULT_ON=y" => Some(true),
            "# CONFIG_INIT_ON_FREE_DEFAULT_ON is not set" => Some(false),
            _ => None,
        })
    };
    given.or_else(built)
}

/// As Debian and Fedora install it.
fn kernel_config() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    fs::read_to_string(format!("/boot/config-{}", release.trim())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::confine::Fence;

    const FINE: Host = Host {
        tracer: None,
        swap: Swap::None,
        root: false,
        ptrace_scope: Some(3),
        core_pipe: false,
        init_on_free: Some(true),
    };

    fn confined() -> Confined {
        Confined {
            landlock: Ok(Fence {
                abi: 7,
                ports: true,
            }),
            seccomp: Ok(80),
        }
    }

    #[test]
    fn nothing_is_to_be_done_where_everything_holds() {
        for protection in FINE.protections(&confined(), &Reach::default()) {
            assert_eq!(protection.standing, Standing::Holds, "{protection:?}");
            assert_eq!(protection.hint, None);
        }
    }

    #[test]
    fn every_lack_is_told_with_what_to_do() {
        use Standing::{Advice, Lacks};
        let host = |change: fn(&mut Host)| {
            let mut host = FINE;
            change(&mut host);
            (host, confined())
        };
        let without = |landlock, seccomp| (FINE, Confined { landlock, seccomp });
        let fence = Ok(Fence {
            abi: 3,
            ports: false,
        });
        let fine = confined();
        let table = [
            (host(|h| h.tracer = Some(7)), "debugger", Lacks, "process 7"),
            (
                host(|h| h.ptrace_scope = Some(1)),
                "debugger",
                Advice,
                "ptrace_scope is 1",
            ),
            (
                host(|h| h.ptrace_scope = None),
                "debugger",
                Advice,
                "no Yama",
            ),
            (host(|h| h.swap = Swap::Yes), "swap", Lacks, "swaps"),
            (
                host(|h| h.swap = Swap::Unknown),
                "swap",
                Advice,
                "can't be told",
            ),
            (host(|h| h.root = true), "user", Lacks, "root"),
            (
                host(|h| h.init_on_free = Some(false)),
                "freed-pages",
                Advice,
                "does not wipe",
            ),
            (
                host(|h| h.init_on_free = None),
                "freed-pages",
                Advice,
                "can't be told",
            ),
            (
                without(fence, fine.seccomp),
                "landlock",
                Advice,
                "any TCP port",
            ),
            (
                without(Err(Missing::NotInKernel), fine.seccomp),
                "landlock",
                Lacks,
                "has it not",
            ),
            (
                without(Err(Missing::NotEnabled), fine.seccomp),
                "landlock",
                Lacks,
                "not enabled",
            ),
            (
                without(fine.landlock, Err(Missing::Refused(libc::EPERM))),
                "seccomp",
                Lacks,
                "refused",
            ),
        ];
        for ((host, confined), name, standing, says) in table {
            let all = host.protections(&confined, &Reach::default());
            let worse: Vec<_> = all
                .iter()
                .filter(|p| p.standing != Standing::Holds)
                .collect();
            assert_eq!(worse.len(), 1, "{worse:?}");
            assert_eq!((worse[0].name, worse[0].standing), (name, standing));
            assert!(worse[0].fact.contains(says), "{}", worse[0].fact);
            assert!(worse[0].hint.is_some_and(|hint| !hint.is_empty()));
        }
    }

    #[test]
    fn whether_freed_pages_are_wiped() {
        let on = "CONFIG_X=y\nCONFIG_INIT_ON_FREE_DEFAULT_ON=y\n";
        let off = "# CONFIG_INIT_ON_FREE_DEFAULT_ON is not set\n";
        for (command_line, config, expected) in [
            ("ro quiet", "", None),
            ("ro quiet", on, Some(true)),
            ("ro quiet", off, Some(false)),
            ("ro init_on_free=1", off, Some(true)),
            ("ro init_on_free=0", on, Some(false)),
            ("init_on_free=0 init_on_free=1", "", Some(true)),
        ] {
            assert_eq!(init_on_free(command_line, config), expected);
        }
    }
}
