//! The one arena of the process: a [`Region`] divided into slots of three sizes.
//!
//! Set up once by [`init`] at start; where nobody did (tests of other crates), the first use sets it up with
//! [`Policy::Any`] and room for hundreds of calls. Lives until the process ends.

use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroize;

use crate::region::{Backing, InitError, Kib, List, Policy, Refusal, Region};

static ARENA: OnceLock<Arena> = OnceLock::new();

/// Sets the arena up. Once, at start, before other threads and before anything takes secret memory.
///
/// # Errors
/// [`InitError`].
pub fn init(policy: Policy, layout: Layout) -> Result<Report, InitError> {
    if ARENA.get().is_some() {
        return Err(InitError::Already);
    }
    let arena = Arena::map(policy, layout)?;
    let report = arena.report.clone();
    ARENA.set(arena).map_err(|_| InitError::Already)?;
    Ok(report)
}

/// What [`init`] would find, for `ivrpay check`: maps, looks and unmaps.
///
/// # Errors
/// [`InitError`].
pub fn probe(policy: Policy, layout: Layout) -> Result<Report, InitError> {
    Arena::map(policy, layout).map(|arena| arena.report.clone())
}

/// Slots in use now; all zero when no call is on and no connection open.
#[must_use]
pub fn in_use() -> Usage {
    ARENA.get().map(Arena::usage).unwrap_or_default()
}

/// Longest time for which a slot that has been given back was held, from being taken to being wiped. Those of the connection to Asterisk
/// are held as long as the process runs, and count when it ends.
#[must_use]
pub fn longest_life() -> Duration {
    ARENA.get().map(Arena::longest_life).unwrap_or_default()
}

/// No slot of that size is free: the named limit of the arena is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no secret memory is free; raise [limits] calls_max or wait for a call to end")]
pub struct Full;

/// How many slots of each size the arena has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Slots of [`Self::SMALL_BYTES`]: a field of digits, a ring of keys.
    pub small: usize,
    /// Slots of [`Self::MEDIUM_BYTES`]: a request to an acquirer.
    pub medium: usize,
    /// Slots of [`Self::LARGE_BYTES`]: the window onto a connection to Asterisk, the table of cards that were tried.
    pub large: usize,
}

impl Layout {
    /// Size of a small slot, bytes.
    pub const SMALL_BYTES: usize = 64;
    /// Size of a medium slot, bytes.
    pub const MEDIUM_BYTES: usize = 4 * 1024;
    /// Size of a large slot, bytes.
    pub const LARGE_BYTES: usize = 256 * 1024;

    /// Small slots a call: its ring of keys, the last key, number, expiry and code being keyed and once more while the last
    /// card is on its way out, the order number or, behind it, the number of instalments; and two to spare.
    const SMALL_PER_CALL: usize = 12;

    /// For tests of other crates, which run hundreds of dialogues at once: 5.25 MiB, under the usual 8 MiB of
    /// `RLIMIT_MEMLOCK`.
    const UNASKED: Self = Self {
        small: 4096,
        medium: 256,
        large: 16,
    };

    /// Enough for so many calls at once. 200 calls take 1.7 MiB, 1,000 take 5.5 MiB; the usual limit without privilege
    /// (`RLIMIT_MEMLOCK`, `LimitMEMLOCK=`) is 8 MiB.
    #[must_use]
    pub const fn for_calls(calls_max: usize) -> Self {
        Self {
            // Some for what is there once: rings of connections, calls that are being handed back.
            small: calls_max
                .saturating_mul(Self::SMALL_PER_CALL)
                .saturating_add(64),
            medium: calls_max.saturating_add(8),
            large: 3,
        }
    }

    /// Bytes in all.
    #[must_use]
    pub const fn bytes(self) -> usize {
        (self.small.saturating_mul(Self::SMALL_BYTES))
            .saturating_add(self.medium.saturating_mul(Self::MEDIUM_BYTES))
            .saturating_add(self.large.saturating_mul(Self::LARGE_BYTES))
    }
}

/// Slots in use, by size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Of [`Layout::SMALL_BYTES`].
    pub small: usize,
    /// Of [`Layout::MEDIUM_BYTES`].
    pub medium: usize,
    /// Of [`Layout::LARGE_BYTES`].
    pub large: usize,
}

/// What the arena is made of. Its `Display` is the line of `ivrpay check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The kind of memory.
    pub backing: Backing,
    /// Bytes in all.
    pub bytes: usize,
    /// Why no better kind was taken; empty for [`Backing::MemfdSecret`].
    pub why: Vec<Refusal>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", Kib(self.bytes))?;
        f.write_str(match self.backing {
            Backing::MemfdSecret => "in memfd_secret: no swap, no core file, no debugger reads it",
            Backing::Mlock => "locked by mlock: no swap, no core file, but a debugger of root reads it",
            Backing::Plain => "of ordinary memory, not locked: card data may reach swap, and a debugger of root reads it",
        })?;
        if !self.why.is_empty() {
            write!(f, " ({})", List(&self.why))?;
        }
        Ok(())
    }
}

/// A region and who has which part of it.
pub(crate) struct Arena {
    region: Region,
    /// Smallest first.
    classes: [Class; 3],
    report: Report,
}

struct Class {
    /// Bytes of a slot.
    size: usize,
    /// Offset of its first slot.
    first: usize,
    count: usize,
    /// Numbers of the free slots; the one given back last is taken next.
    free: Mutex<Vec<usize>>,
    /// When the arena was made.
    begun: Instant,
    /// [`longest_life`] of its slots, µs.
    longest_us: AtomicU64,
}

impl Arena {
    /// The arena of the process.
    pub(crate) fn global() -> &'static Self {
        ARENA.get_or_init(|| {
            Self::map(Policy::Any, Layout::UNASKED)
                .expect("a process that runs can map five MiB of ordinary memory")
        })
    }

    pub(crate) fn map(policy: Policy, layout: Layout) -> Result<Self, InitError> {
        let (region, why) = Region::map(layout.bytes(), policy)?;
        let (begun, mut first) = (Instant::now(), 0);
        let mut class = |size: usize, count: usize| {
            let class = Class {
                size,
                first,
                count,
                free: Mutex::new((0..count).rev().collect()),
                begun,
                longest_us: AtomicU64::new(0),
            };
            first += size * count;
            class
        };
        let classes = [
            class(Layout::SMALL_BYTES, layout.small),
            class(Layout::MEDIUM_BYTES, layout.medium),
            class(Layout::LARGE_BYTES, layout.large),
        ];
        let report = Report {
            backing: region.backing(),
            bytes: region.bytes(),
            why,
        };
        Ok(Self {
            region,
            classes,
            report,
        })
    }

    /// A slot of the smallest size that holds `bytes`. A bigger one is not taken instead: the sizes have separate limits.
    pub(crate) fn take(&'static self, bytes: usize) -> Result<Slot, Full> {
        let class = self
            .classes
            .iter()
            .find(|class| class.size >= bytes)
            .ok_or(Full)?;
        let number = class.free().pop().ok_or(Full)?;
        let offset = class.first + number * class.size;
        debug_assert!(
            offset + class.size <= self.region.bytes(),
            "the layout fits the region"
        );
        // SAFETY: the region is at least as large as the layout, and `number` is below the class's count.
        let start = unsafe { self.region.start().add(offset) };
        Ok(Slot {
            start,
            number,
            class,
            taken_us: class.now_us(),
        })
    }

    fn longest_life(&self) -> Duration {
        let longest = self.classes.iter().map(|class| &class.longest_us);
        let longest = longest.map(|us| us.load(Ordering::Relaxed)).max();
        Duration::from_micros(longest.unwrap_or(0))
    }

    fn usage(&self) -> Usage {
        let [small, medium, large] = self
            .classes
            .each_ref()
            .map(|class| class.count - class.free().len());
        Usage {
            small,
            medium,
            large,
        }
    }
}

impl Class {
    /// Since the arena was made, µs.
    fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn free(&self) -> MutexGuard<'_, Vec<usize>> {
        // A push or a pop that panicked would have left the list as it was.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of the arena that belongs to its holder alone. All zero when taken; wiped and given back when dropped.
pub(crate) struct Slot {
    start: NonNull<u8>,
    number: usize,
    class: &'static Class,
    /// Since the arena was made, µs.
    taken_us: u64,
}

// SAFETY: a slot is the only way to its bytes and the arena is never unmapped, so it may go to another thread.
unsafe impl Send for Slot {}
// SAFETY: through `&Slot` the bytes can only be read.
unsafe impl Sync for Slot {}

impl Slot {
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `start` is the first of `size` initialised bytes that only this slot names until it is dropped.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.class.size) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `&mut self` makes it the only access.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.class.size) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        #[cfg(feature = "plant")]
        if crate::plant::is("arena") {
            return;
        }
        self.bytes_mut().zeroize();
        let life = self.class.now_us().saturating_sub(self.taken_us);
        self.class.longest_us.fetch_max(life, Ordering::Relaxed);
        self.class.free().push(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::Buffer;
    use crate::child::{refuse_call, run_in_child, without_memlock};

    const FEW: Layout = Layout {
        small: 2,
        medium: 1,
        large: 1,
    };

    fn few() -> &'static Arena {
        Box::leak(Box::new(Arena::map(Policy::Any, FEW).unwrap()))
    }

    /// Everything that the arena holds, read past all owners.
    fn raw(arena: &Arena) -> &[u8] {
        // SAFETY: the whole region is mapped and initialised, and the test is the only one to use this arena.
        unsafe { std::slice::from_raw_parts(arena.region.start().as_ptr(), arena.region.bytes()) }
    }

    fn holds(arena: &Arena, secret: &[u8]) -> bool {
        raw(arena)
            .windows(secret.len())
            .any(|window| window == secret)
    }

    #[test]
    fn a_dropped_slot_is_wiped_and_comes_back() {
        let arena = few();
        for size in [1, 64, 65, 4096, 4097, 256 * 1024] {
            let mut buffer = Buffer::take_from(arena, size).unwrap();
            buffer.push(b"!").unwrap();
            assert!(
                holds(arena, b"!"),
                "the control: it is there while it is held, {size}"
            );
            assert_ne!(arena.usage(), Usage::default());
            drop(buffer);
            assert!(raw(arena).iter().all(|byte| *byte == 0), "{size}");
            assert_eq!(arena.usage(), Usage::default());
        }
    }

    #[test]
    fn the_longest_life_is_that_of_a_slot_given_back() {
        let arena = few();
        let begun = Instant::now();
        let long = Buffer::take_from(arena, 1).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(arena.longest_life(), Duration::ZERO, "still held");
        drop(long);
        let longest = arena.longest_life();
        // Both ends are counted in whole µs.
        let most = begun.elapsed() + Duration::from_micros(1);
        assert!((Duration::from_millis(4)..=most).contains(&longest));
        drop(Buffer::take_from(arena, 65).unwrap());
        assert_eq!(arena.longest_life(), longest, "a shorter one");
    }

    #[test]
    fn a_panic_wipes() {
        let arena = few();
        let panicked = std::panic::catch_unwind(|| {
            let mut buffer = Buffer::take_from(arena, 40).unwrap();
            buffer.push(b"secret").unwrap();
            assert!(holds(arena, b"secret"));
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.is_err());
        assert!(raw(arena).iter().all(|byte| *byte == 0));
        assert_eq!(arena.usage(), Usage::default());
    }

    #[test]
    fn full_is_an_answer_and_passes() {
        let arena = few();
        let first = Buffer::take_from(arena, 10).unwrap();
        let _second = Buffer::take_from(arena, 64).unwrap();
        assert_eq!(
            Buffer::take_from(arena, 10).map(|_| ()),
            Err(Full),
            "no larger slot is taken instead"
        );
        assert_eq!(
            arena.usage(),
            Usage {
                small: 2,
                medium: 0,
                large: 0
            }
        );
        drop(first);
        assert!(Buffer::take_from(arena, 10).is_ok());
        assert_eq!(
            Buffer::take_from(arena, Layout::LARGE_BYTES + 1).map(|_| ()),
            Err(Full)
        );
    }

    #[test]
    fn slots_do_not_overlap() {
        let arena: &'static Arena = Box::leak(Box::new(
            Arena::map(
                Policy::Any,
                Layout {
                    small: 70,
                    medium: 5,
                    large: 2,
                },
            )
            .unwrap(),
        ));
        let mut all: Vec<Slot> = Vec::new();
        for size in [
            Layout::SMALL_BYTES,
            Layout::MEDIUM_BYTES,
            Layout::LARGE_BYTES,
        ] {
            all.extend(std::iter::from_fn(|| arena.take(size).ok()));
        }
        assert_eq!(all.len(), 77);
        for (i, slot) in all.iter_mut().enumerate() {
            slot.bytes_mut().fill(u8::try_from(i + 1).unwrap());
        }
        for (i, slot) in all.iter().enumerate() {
            assert!(
                slot.bytes().iter().all(|byte| usize::from(*byte) == i + 1),
                "slot {i}"
            );
        }
    }

    #[test]
    fn many_threads_take_and_give_back() {
        let arena: &'static Arena = Box::leak(Box::new(
            Arena::map(
                Policy::Any,
                Layout {
                    small: 8,
                    medium: 0,
                    large: 0,
                },
            )
            .unwrap(),
        ));
        std::thread::scope(|scope| {
            for thread in 0..16_u8 {
                scope.spawn(move || {
                    let mut taken = 0;
                    while taken < 2_000 {
                        let Ok(mut buffer) = Buffer::take_from(arena, 8) else {
                            std::thread::yield_now();
                            continue;
                        };
                        buffer.expose(|b| assert!(b.is_empty()));
                        buffer.push(&[thread; 8]).unwrap();
                        buffer.expose(|b| assert_eq!(b, [thread; 8]));
                        taken += 1;
                    }
                });
            }
        });
        assert_eq!(arena.usage(), Usage::default());
        assert!(raw(arena).iter().all(|byte| *byte == 0));
    }

    #[test]
    fn layouts_stay_under_the_usual_limit() {
        let usual = 8 << 20;
        assert!(
            Layout::for_calls(200).bytes() < usual / 4,
            "{}",
            Layout::for_calls(200).bytes()
        );
        assert!(Layout::for_calls(1_000).bytes() < usual * 3 / 4);
        assert!(Layout::UNASKED.bytes() < usual);
    }

    /// The memory of this process at `at`, as a debugger would read it.
    fn read_from_outside(at: *const u8, len: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        File::open("/proc/self/mem")?.read_exact_at(&mut bytes, at as u64)?;
        Ok(bytes)
    }

    #[test]
    fn a_debugger_reads_ordinary_memory_but_not_memfd_secret() {
        run_in_child(
            "arena::tests::a_debugger_reads_ordinary_memory_but_not_memfd_secret",
            || {
                let report = init(Policy::Any, FEW).unwrap();
                let mut buffer = Buffer::take(16).unwrap();
                buffer.push(b"4111111111111111").unwrap();
                let inside = read_from_outside(buffer.as_ref().as_ptr(), 16);
                let ordinary: Box<[u8]> = (*b"ordinary-memory!").into();
                assert_eq!(
                    read_from_outside(ordinary.as_ptr(), 16).unwrap(),
                    *ordinary,
                    "the control"
                );
                match report.backing {
                    Backing::MemfdSecret => {
                        assert_eq!(inside.unwrap_err().raw_os_error(), Some(libc::EIO));
                        // The guard pages and the closed descriptor.
                        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
                        assert!(maps.contains("/secretmem"), "{maps}");
                        let open = std::fs::read_dir("/proc/self/fd")
                            .unwrap()
                            .filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok())
                            .any(|target| target.to_string_lossy().contains("secretmem"));
                        assert!(!open, "the descriptor must be closed");
                    }
                    Backing::Mlock | Backing::Plain => {
                        assert_eq!(
                            report.why.first().map(|r| r.backing),
                            Some(Backing::MemfdSecret),
                            "it says why"
                        );
                        assert_eq!(
                            inside.unwrap(),
                            b"4111111111111111",
                            "no better than ordinary memory"
                        );
                    }
                }
            },
        );
    }

    #[test]
    fn a_child_process_sees_nothing() {
        run_in_child("arena::tests::a_child_process_sees_nothing", || {
            refuse_call(libc::SYS_memfd_secret, libc::ENOSYS);
            assert_eq!(init(Policy::Locked, FEW).unwrap().backing, Backing::Mlock);
            let mut buffer = Buffer::take(16).unwrap();
            buffer.push(b"4111111111111111").unwrap();
            // SAFETY: the child only compares memory and leaves.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                let wiped = buffer.as_ref().iter().all(|byte| *byte == 0);
                // SAFETY: leaves the forked child at once.
                unsafe { libc::_exit(if wiped { 0 } else { 1 }) };
            }
            let mut status = 0;
            // SAFETY: waits for the child just made.
            assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
            assert_eq!(status, 0, "wiped on fork");
            assert_eq!(buffer.as_ref(), b"4111111111111111");
        });
    }

    #[test]
    fn without_the_system_call_mlock_is_taken_and_said() {
        run_in_child(
            "arena::tests::without_the_system_call_mlock_is_taken_and_said",
            || {
                for (errno, words) in [
                    (libc::ENOSYS, "not implemented"),
                    (libc::EPERM, "not permitted"),
                ] {
                    refuse_call(libc::SYS_memfd_secret, errno);
                    let report = probe(Policy::Locked, FEW).unwrap();
                    assert_eq!(report.backing, Backing::Mlock);
                    let text = report.to_string();
                    assert!(
                        text.contains("mlock")
                            && text.contains("memfd_secret")
                            && text.contains(words),
                        "{text}"
                    );
                }
            },
        );
    }

    #[test]
    fn locked_refuses_where_nothing_can_be_locked() {
        run_in_child(
            "arena::tests::locked_refuses_where_nothing_can_be_locked",
            || {
                without_memlock();
                refuse_call(libc::SYS_memfd_secret, libc::ENOSYS);
                let error = init(Policy::Locked, FEW).unwrap_err();
                assert!(
                    matches!(error, InitError::NotLocked { limit: Some(0), .. }),
                    "{error}"
                );
                let hint = error.hint();
                for word in [
                    "LimitMEMLOCK=2M",
                    "5.14",
                    "secretmem.enable=1",
                    "policy = \"any\"",
                ] {
                    assert!(hint.contains(word), "{hint}");
                }
                let report = init(Policy::Any, FEW).unwrap();
                assert_eq!((report.backing, report.why.len()), (Backing::Plain, 2));
                assert!(report.to_string().contains("not locked"), "{report}");
                assert!(Buffer::take(16).is_ok());
            },
        );
    }

    #[test]
    fn the_limit_counts_for_memfd_secret_too() {
        run_in_child(
            "arena::tests::the_limit_counts_for_memfd_secret_too",
            || {
                without_memlock();
                let error = init(Policy::Locked, FEW).unwrap_err();
                assert!(
                    error.hint().contains("LimitMEMLOCK"),
                    "{error}: {}",
                    error.hint()
                );
            },
        );
    }

    #[test]
    fn it_is_set_up_once() {
        run_in_child("arena::tests::it_is_set_up_once", || {
            assert_eq!(in_use(), Usage::default(), "asking sets nothing up");
            assert!(init(Policy::Any, FEW).is_ok());
            assert_eq!(init(Policy::Any, FEW), Err(InitError::Already));
            let held = Buffer::take(100).unwrap();
            assert_eq!(
                in_use(),
                Usage {
                    small: 0,
                    medium: 1,
                    large: 0
                }
            );
            drop(held);
            assert_eq!(in_use(), Usage::default());
        });
    }

    #[test]
    fn unasked_it_sets_itself_up() {
        run_in_child("arena::tests::unasked_it_sets_itself_up", || {
            let all: Vec<Buffer> = (0..4096).map(|_| Buffer::take(24).unwrap()).collect();
            assert_eq!(in_use().small, all.len());
            assert_eq!(init(Policy::Any, FEW), Err(InitError::Already), "too late");
        });
    }

    #[test]
    fn an_overrun_ends_the_process() {
        use std::os::unix::process::ExitStatusExt;
        let name = "arena::tests::an_overrun_ends_the_process";
        let status = crate::child::status_in_child(name, || {
            let (region, _) = Region::map(4096, Policy::Any).unwrap();
            // SAFETY: not safe at all: the guard page behind the region is what is tested, in a process of its own.
            let byte = unsafe { region.start().add(region.bytes()).read_volatile() };
            assert_eq!(byte, 0);
        });
        if let Some(status) = status {
            assert_eq!(status.signal(), Some(libc::SIGSEGV), "{status}");
        }
    }
}
