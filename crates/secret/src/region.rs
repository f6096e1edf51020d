//! One mapping of memory that is as hard to read from outside as the kernel allows.
//!
//! Three ways, tried in this order: `memfd_secret(2)`, an anonymous mapping under `mlock(2)`, and, only where the policy
//! allows it, an ordinary mapping. Every refusal is kept, so that `check` can say why a better one was not taken.

use std::ffi::c_void;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};

/// What to do where memory can't be locked: `[secret] policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Refuse to start.
    Locked,
    /// Take ordinary memory, and say so everywhere.
    Any,
}

/// The kind of memory that card data is in, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// `memfd_secret(2)`: out of the kernel's direct map; not readable through `/proc/PID/mem`, ptrace, or a core file.
    MemfdSecret,
    /// `mlock(2)`: never in swap or a core file, but readable by a debugger of root.
    Mlock,
    /// Neither was possible.
    Plain,
}

impl Backing {
    /// Spelling in logs, status and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MemfdSecret => "memfd_secret",
            Self::Mlock => "mlock",
            Self::Plain => "plain",
        }
    }

    /// Whether it can never reach swap.
    #[must_use]
    pub const fn is_locked(self) -> bool {
        !matches!(self, Self::Plain)
    }
}

impl fmt::Display for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a kind of memory was not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The kind that was tried.
    pub backing: Backing,
    /// The system call that failed.
    pub call: &'static str,
    /// Its `errno`.
    pub errno: i32,
}

impl Refusal {
    fn last(backing: Backing, call: &'static str) -> Self {
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
        Self {
            backing,
            call,
            errno,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.backing)?;
        if self.call != self.backing.name() {
            write!(f, "{}: ", self.call)?;
        }
        write!(f, "{}", io::Error::from_raw_os_error(self.errno))
    }
}

/// Why there is no secret memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// Something took secret memory before it was set up, or it was set up twice.
    #[error("secret memory is already set up")]
    Already,
    /// The policy is [`Policy::Locked`], and this is the build for measurements, feature `plain-memory`.
    #[error(
        "this build of ivrpay keeps card data in ordinary memory: it is for measurements alone"
    )]
    BuiltPlain,
    /// The policy is [`Policy::Locked`] and the kernel gave no locked memory.
    #[error("no locked memory for card data ({}; {})", Kib(*bytes), List(refusals))]
    NotLocked {
        /// Bytes that were asked for.
        bytes: usize,
        /// `RLIMIT_MEMLOCK`, bytes; `None` when unlimited.
        limit: Option<u64>,
        /// What was tried.
        refusals: Vec<Refusal>,
    },
    /// Not even ordinary memory.
    #[error("no memory for card data ({}; {})", Kib(*bytes), List(refusals))]
    NoMemory {
        /// Bytes that were asked for.
        bytes: usize,
        /// What was tried.
        refusals: Vec<Refusal>,
    },
}

impl InitError {
    /// What an operator can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Already => {
                "a fault of the program: set it up once, before anything else".to_owned()
            }
            Self::BuiltPlain => "install ivrpay with `make install`".to_owned(),
            Self::NoMemory { .. } => "free some memory, or lower [limits] calls_max".to_owned(),
            Self::NotLocked {
                bytes,
                limit,
                refusals,
            } => {
                let mut ways = Vec::new();
                if let Some(limit) = limit.filter(|limit| *limit < *bytes as u64) {
                    // Room for the guard pages and for what the daemon's libraries may lock.
                    let mib = (*bytes >> 20) + 2;
                    ways.push(format!(
                        "set LimitMEMLOCK={mib}M in the service (it is {} now)",
                        Kib(usize::try_from(limit).unwrap_or(usize::MAX))
                    ));
                    ways.push("lower [limits] calls_max".to_owned());
                }
                match refusals.iter().find(|r| r.backing == Backing::MemfdSecret).map(|r| r.errno) {
                    Some(libc::ENOSYS) => ways.push(
                        "use Linux 5.14 or later with memfd_secret (before 6.5 it needs secretmem.enable=1 on the kernel's \
                         command line)"
                            .to_owned(),
                    ),
                    Some(libc::EPERM | libc::EACCES) => ways.push(
                        "allow the system call memfd_secret in the seccomp profile of the container or service".to_owned(),
                    ),
                    _ => {}
                }
                ways.push(
                    "or accept memory that may reach swap, with [secret] policy = \"any\""
                        .to_owned(),
                );
                ways.join("; ")
            }
        }
    }
}

/// A mapping of its own, with a guard page on either side, unmapped when dropped.
pub(crate) struct Region {
    /// First byte behind the lower guard page.
    start: NonNull<u8>,
    /// Usable bytes, whole pages.
    bytes: usize,
    page: usize,
    backing: Backing,
}

// SAFETY: a region is an address range that nobody else owns; it has no thread affinity and hands out only a raw pointer.
unsafe impl Send for Region {}
// SAFETY: as above; `&Region` gives no access to the bytes.
unsafe impl Sync for Region {}

impl Region {
    /// Maps at least `bytes`, as well as the kernel and `policy` allow; with it, what was refused.
    pub(crate) fn map(bytes: usize, policy: Policy) -> Result<(Self, Vec<Refusal>), InitError> {
        let page = page_size();
        let bytes = bytes.max(1).next_multiple_of(page);
        let mut refusals = Vec::new();
        #[cfg(feature = "plant")]
        if crate::plant::is("arena")
            && let Ok(region) = Self::map_as(Backing::Plain, bytes, page)
        {
            return Ok((region, refusals));
        }
        let backings: &[Backing] = if cfg!(feature = "plain-memory") {
            if policy == Policy::Locked {
                return Err(InitError::BuiltPlain);
            }
            &[Backing::Plain]
        } else {
            &[Backing::MemfdSecret, Backing::Mlock, Backing::Plain]
        };
        for &backing in backings {
            if backing == Backing::Plain && policy == Policy::Locked {
                return Err(InitError::NotLocked {
                    bytes,
                    limit: memlock_limit(),
                    refusals,
                });
            }
            match Self::map_as(backing, bytes, page) {
                Ok(region) => return Ok((region, refusals)),
                Err(refusal) => refusals.push(refusal),
            }
        }
        Err(InitError::NoMemory { bytes, refusals })
    }

    fn map_as(backing: Backing, bytes: usize, page: usize) -> Result<Self, Refusal> {
        let whole = bytes + 2 * page;
        let base = match backing {
            Backing::MemfdSecret => map_secret(whole)?,
            Backing::Mlock | Backing::Plain => map_anonymous(backing, whole)?,
        };
        // SAFETY: `base` is the start of a mapping of `whole` > `page` bytes.
        let start = unsafe { base.add(page) };
        // From here on the region is unmapped on every way out.
        let region = Self {
            start,
            bytes,
            page,
            backing,
        };
        region.guard()?;
        match backing {
            // A shared mapping can't be wiped on fork, so a child does not get it at all.
            Backing::MemfdSecret => region.advise(libc::MADV_DONTFORK, "madvise(MADV_DONTFORK)")?,
            Backing::Mlock => {
                // SAFETY: the range is the region's own mapping.
                if unsafe { libc::mlock(start.as_ptr().cast(), bytes) } != 0 {
                    return Err(Refusal::last(backing, "mlock"));
                }
                region.advise(libc::MADV_WIPEONFORK, "madvise(MADV_WIPEONFORK)")?;
            }
            Backing::Plain => region.advise(libc::MADV_WIPEONFORK, "madvise(MADV_WIPEONFORK)")?,
        }
        region.advise(libc::MADV_DONTDUMP, "madvise(MADV_DONTDUMP)")?;
        region.touch();
        Ok(region)
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn backing(&self) -> Backing {
        self.backing
    }

    fn base(&self) -> *mut c_void {
        // SAFETY: one page below `start` is the beginning of the same mapping.
        unsafe { self.start.sub(self.page) }.as_ptr().cast()
    }

    fn whole(&self) -> usize {
        self.bytes + 2 * self.page
    }

    /// An overrun in any code of the process ends it, and reads nothing.
    fn guard(&self) -> Result<(), Refusal> {
        // SAFETY: one past the usable bytes is the upper guard page of the same mapping.
        let upper = unsafe { self.start.add(self.bytes) }.as_ptr().cast();
        for guard in [self.base(), upper] {
            // SAFETY: a whole page of the region's own mapping that nothing points into.
            if unsafe { libc::mprotect(guard, self.page, libc::PROT_NONE) } != 0 {
                return Err(Refusal::last(self.backing, "mprotect"));
            }
        }
        Ok(())
    }

    fn advise(&self, advice: libc::c_int, call: &'static str) -> Result<(), Refusal> {
        // SAFETY: the range is the region's own mapping, and none of the advices that are given changes what is in it now.
        if unsafe { libc::madvise(self.base(), self.whole(), advice) } != 0 {
            return Err(Refusal::last(self.backing, call));
        }
        Ok(())
    }

    /// Has every page allocated now (16 µs a page with `memfd_secret`), not in the middle of a call.
    fn touch(&self) {
        for offset in (0..self.bytes).step_by(self.page) {
            // SAFETY: within the usable bytes, which are mapped for writing and not yet lent to anybody.
            unsafe { self.start.add(offset).write_volatile(0) };
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the whole of the region's own mapping; whoever lent slots of it keeps it alive.
        let unmapped = unsafe { libc::munmap(self.base(), self.whole()) };
        debug_assert_eq!(unmapped, 0, "the region is a mapping of its own");
    }
}

fn map_secret(bytes: usize) -> Result<NonNull<u8>, Refusal> {
    let refused = |call| Refusal::last(Backing::MemfdSecret, call);
    let flags: libc::c_uint = libc::O_CLOEXEC.unsigned_abs();
    // By number: glibc has no wrapper yet.
    // SAFETY: takes flags, returns a descriptor or -1, touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, flags) };
    let fd = libc::c_int::try_from(fd)
        .ok()
        .filter(|fd| *fd >= 0)
        .ok_or_else(|| refused("memfd_secret"))?;
    // Closed at the end of this function: as long as it is open, `pidfd_getfd` of another process gets at the memory.
    // SAFETY: just made, and owned by nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let length = libc::off_t::try_from(bytes).map_err(|_| Refusal {
        backing: Backing::MemfdSecret,
        call: "ftruncate",
        errno: libc::EFBIG,
    })?;
    // SAFETY: an open descriptor.
    if unsafe { libc::ftruncate(fd.as_raw_fd(), length) } != 0 {
        return Err(refused("ftruncate"));
    }
    // SAFETY: a new mapping at an address of the kernel's choice.
    let base = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            fd.as_raw_fd(),
            0,
        )
    };
    mapped(base).ok_or_else(|| refused("mmap"))
}

fn map_anonymous(backing: Backing, bytes: usize) -> Result<NonNull<u8>, Refusal> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let base = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            -1,
            0,
        )
    };
    mapped(base).ok_or_else(|| Refusal::last(backing, "mmap"))
}

fn mapped(base: *mut c_void) -> Option<NonNull<u8>> {
    if base == libc::MAP_FAILED {
        None
    } else {
        NonNull::new(base.cast())
    }
}

fn page_size() -> usize {
    // SAFETY: asks for a constant of the system.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size)
        .ok()
        .filter(|size| size.is_power_of_two())
        .unwrap_or(4096)
}

/// `RLIMIT_MEMLOCK`, bytes; `None` when unlimited or not told.
fn memlock_limit() -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid place for the answer.
    let told = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } == 0;
    (told && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// Bytes, in words for people.
pub(crate) struct Kib(pub(crate) usize);

impl fmt::Display for Kib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB", self.0 >> 10)
    }
}

/// Refusals, one after the other.
pub(crate) struct List<'a>(pub(crate) &'a [Refusal]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, refusal) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            refusal.fmt(f)?;
        }
        Ok(())
    }
}
