//! Runs a command in an environment that lacks something, as an old kernel, the profile of a container or a small limit would
//! have it.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

/// What is run, and what it lacks.
#[derive(clap::Args)]
#[command(
    after_help = "Example: ivrpay-sim without memfd-secret=ENOSYS mlock=EPERM -- ivrpay serve --config ivrpay.toml\nThe command takes the place of this process: its id, output and exit code are the command's own.\nExit code 2: nothing was run."
)]
pub(crate) struct Args {
    /// What fails, and how: memfd-secret, mlock, landlock or seccomp, then = and ENOSYS, EPERM or EOPNOTSUPP.
    #[arg(value_name = "WHAT=ERROR")]
    lacks: Vec<Lack>,
    /// Most memory that may be locked, bytes. Root has no such limit: give --user too.
    #[arg(long, value_name = "BYTES")]
    memlock: Option<u64>,
    /// Numeric user (and group) that it runs as, for example 65534; needs root.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u32).range(1..))]
    user: Option<u32>,
    /// The command.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// System calls that fail with one error.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lack {
    calls: &'static [i64],
    errno: i32,
}

/// Names, and the calls behind each.
const CALLS: [(&str, &[i64]); 4] = [
    ("memfd-secret", &[libc::SYS_memfd_secret]),
    (
        "mlock",
        &[libc::SYS_mlock, libc::SYS_mlock2, libc::SYS_mlockall],
    ),
    (
        "landlock",
        &[
            libc::SYS_landlock_create_ruleset,
            libc::SYS_landlock_add_rule,
            libc::SYS_landlock_restrict_self,
        ],
    ),
    ("seccomp", &[libc::SYS_seccomp]),
];

const ERRORS: [(&str, i32); 3] = [
    ("ENOSYS", libc::ENOSYS),
    ("EPERM", libc::EPERM),
    ("EOPNOTSUPP", libc::EOPNOTSUPP),
];

impl std::str::FromStr for Lack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let find = |what: &str, error: &str| {
            let calls = CALLS.iter().find(|(name, _)| *name == what)?.1;
            let errno = ERRORS.iter().find(|(name, _)| *name == error)?.1;
            Some(Self { calls, errno })
        };
        text.split_once('=')
            .and_then(|(what, error)| find(what, error))
            .ok_or_else(|| {
                let names = |names: &[&str]| names.join(", ");
                format!(
                    "write WHAT=ERROR, WHAT being {} and ERROR {}",
                    names(&CALLS.map(|(name, _)| name)),
                    names(&ERRORS.map(|(name, _)| name))
                )
            })
    }
}

pub(crate) fn run(args: &Args) -> u8 {
    let Err(error) = become_command(args) else {
        return 0;
    };
    eprintln!("without: {error:#}");
    2
}

/// Returns only when it did not come to that.
fn become_command(args: &Args) -> anyhow::Result<()> {
    let Some((program, arguments)) = args.command.split_first() else {
        bail!("no command; write it behind --");
    };
    ensure!(
        args.memlock.is_none() || args.user.is_some() || !rustix::process::geteuid().is_root(),
        "root locks as much memory as it likes; give --user as well"
    );
    if let Some(bytes) = args.memlock {
        let limit = Rlimit {
            current: Some(bytes),
            maximum: Some(bytes),
        };
        setrlimit(Resource::Memlock, limit).context("the limit of locked memory can't be set")?;
    }
    // Theirs, and of those that they make: two filters with different errors may both be in force. The last stays in the way of
    // the next, so `seccomp` comes last.
    let mut lacks = args.lacks.clone();
    lacks.sort_by_key(|lack| lack.calls.contains(&libc::SYS_seccomp));
    for lack in &lacks {
        refuse(lack)?;
    }
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(user) = args.user {
        command.uid(user).gid(user);
    }
    Err(command.exec()).with_context(|| format!("{program} can't be run"))
}

fn refuse(lack: &Lack) -> anyhow::Result<()> {
    let processor = TargetArch::try_from(std::env::consts::ARCH)?;
    let rules: BTreeMap<_, _> = lack.calls.iter().map(|call| (*call, vec![])).collect();
    let refusal = SeccompAction::Errno(lack.errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, processor)?;
    apply_filter(&BpfProgram::try_from(filter)?).context("this machine has no seccomp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named() {
        let lack = |text: &str| text.parse::<Lack>().map(|l| (l.calls[0], l.errno));
        assert_eq!(
            lack("memfd-secret=ENOSYS"),
            Ok((libc::SYS_memfd_secret, libc::ENOSYS))
        );
        assert_eq!(lack("mlock=EPERM"), Ok((libc::SYS_mlock, libc::EPERM)));
        for wrong in ["", "mlock", "mlock=", "mlock=1", "swap=EPERM", "=EPERM"] {
            let error = lack(wrong).expect_err(wrong);
            assert!(error.contains("memfd-secret") && error.contains("ENOSYS"));
        }
    }
}
