//! Some seeds, and the model journal against the real one.

mod journal;

use std::cell::RefCell;

use ivrpay_acquirer::Progress;
use ivrpay_payment::{Notice, OperationKind, Outcome, Truncated};

use crate::book::{Book, By, Release};
use crate::points::Crash;
use crate::store::{Closes, Heard, New, No};
use crate::{Lab, run, trace};

/// Seeds of a plain `cargo test`; `make test` and `make prove-seeds` have more of them.
const SEEDS: u64 = 400;

#[test]
fn every_seed_keeps_the_rules() {
    let lab = Lab::new();
    for seed in 0..SEEDS {
        let ran = run(&lab, seed);
        let again = format!("ivrpay-sim seeds --seed {seed}");
        assert_eq!(ran.broken, None, "{again}");
    }
}

/// I12.
#[test]
fn the_same_seed_is_the_same_run() {
    let lab = Lab::new();
    for seed in 0..1000 {
        let (first, second) = (run(&lab, seed), run(&lab, seed));
        assert_eq!(first, second, "{seed}");
        if seed < 100 {
            assert_eq!(trace(&lab, seed).hash, first.hash, "{seed}");
        }
    }
}

/// What the journal is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    Create(New),
    CreateClaimed(New, usize),
    Claim(usize, usize),
    Expire,
    Withdraw(usize),
    Intent(usize, Truncated, usize),
    FailOver(usize, usize),
    Progress(usize, Progress),
    Outcome(usize, Outcome),
    Settle(usize, Outcome, By),
    Notice(usize, Notice),
    Later(usize, OperationKind, Option<u64>, By, u64),
    Query(usize, By),
    Finish(usize, Closes, Heard),
    Recover,
    InquireAt(usize, Option<i64>),
    ToRelease(Vec<(usize, i64, bool)>),
    ReleaseAt(usize, i64),
    Released(usize),
    TakeTask(usize),
    FinishTask(usize, Option<Outcome>),
}

/// One of it, and what came of it.
pub(crate) struct Call {
    pub(crate) now: i64,
    pub(crate) epoch: u32,
    pub(crate) said: Said,
    /// Whether something was written, though whoever asked may be gone.
    pub(crate) written: bool,
    pub(crate) no: Option<No>,
    /// Whether the process was gone before it had an answer.
    pub(crate) died: bool,
    pub(crate) book: Book,
}

/// All of it, where somebody wants to know.
#[derive(Default)]
pub(crate) struct Trail {
    pub(crate) kept: bool,
    saying: RefCell<Option<Said>>,
    pub(crate) calls: RefCell<Vec<Call>>,
}

impl Trail {
    pub(crate) fn says(&self, said: impl FnOnce() -> Said) {
        if self.kept {
            self.saying.replace(Some(said()));
        }
    }

    pub(crate) fn said(
        &self,
        now: i64,
        epoch: u32,
        book: &Book,
        before: u64,
        came: Result<Option<No>, Crash>,
    ) {
        if let Some(said) = self.saying.take() {
            self.calls.borrow_mut().push(Call {
                now,
                epoch,
                said,
                written: book.frame > before,
                no: came.ok().flatten(),
                died: came.is_err(),
                book: book.clone(),
            });
        }
    }

    pub(crate) fn saw(&self, now: i64, epoch: u32, due: &[(Release, bool)]) {
        if self.kept {
            let due = due
                .iter()
                .map(|(r, wanted)| (r.payment, r.since_ms, *wanted));
            self.saying.replace(Some(Said::ToRelease(due.collect())));
            self.said(now, epoch, &Book::default(), 0, Ok(None));
        }
    }
}
