//! What the journal keeps, as rows, and the model disk below it.
//!
//! A commit is one frame of rows. What was written and not synced lies behind what was: a process that dies leaves all of it, a loss of
//! power any beginning of it, and of the frame behind that perhaps some rows. A frame that is not whole is thrown away at the next start.

use std::rc::Rc;

use ivrpay_acquirer::Progress;
use ivrpay_payment::{
    Asked, Entry, Illegal, Intent, Money, Open, OperationKind, Outcome, Standing, State, Step,
    Transaction, plant,
};

/// A payment.
#[derive(Debug, Clone)]
pub(crate) struct Payment {
    pub(crate) at: usize,
    /// No other one has it, whatever a loss of power takes away.
    pub(crate) uid: u64,
    /// Which order, and which part of it.
    pub(crate) slot: usize,
    pub(crate) transaction: Transaction,
    pub(crate) amount: Money,
    pub(crate) state: State,
    pub(crate) captured: Option<u64>,
    pub(crate) refunded: u64,
    /// Epoch and number of the call that has it.
    pub(crate) call: Option<(u32, usize)>,
    pub(crate) refused: bool,
    /// It was there before its call, and waits on behind one that failed.
    pub(crate) announced: bool,
    pub(crate) expires_ms: Option<i64>,
    pub(crate) connector: usize,
}

impl Payment {
    pub(crate) fn standing(&self, open: Option<Open>) -> Standing {
        Standing {
            state: self.state,
            transaction: self.transaction,
            amount: self.amount.minor(),
            // Nobody here changes an amount.
            reserved: None,
            captured: self.captured,
            refunded: self.refunded,
            in_call: self.call.is_some(),
            refused: self.refused,
            open,
        }
    }

    /// Takes it on by what is about to be written.
    pub(crate) fn advance(&mut self, open: Option<Open>, entry: Entry) -> Result<Step, Illegal> {
        let step = self.standing(open).after(entry)?;
        self.state = step.standing.state;
        self.captured = step.standing.captured;
        self.refunded = step.standing.refunded;
        Ok(step)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpState {
    InFlight,
    Approved,
    Declined,
    NotCharged,
    Unknown,
}

/// Who asks for something behind the call, or has found something out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Recovery,
    LateAnswer,
    /// A question that a person asked.
    Inquiry,
    Person,
    Webhook,
}

/// An operation.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) at: usize,
    pub(crate) uid: u64,
    pub(crate) payment: usize,
    pub(crate) connector: usize,
    pub(crate) parent: Option<usize>,
    pub(crate) kind: OperationKind,
    pub(crate) amount: Money,
    pub(crate) state: OpState,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) created_ms: i64,
    pub(crate) inquire_ms: Option<i64>,
    pub(crate) inquired: u32,
    pub(crate) progress: Progress,
    /// Who asked for it, behind the call.
    pub(crate) by: Option<By>,
    /// Under which key of a request.
    pub(crate) request: Option<u64>,
    pub(crate) intent: Rc<Intent>,
}

impl Operation {
    pub(crate) fn asked(&self) -> Asked {
        Asked {
            kind: self.kind,
            amount: self.amount.minor(),
        }
    }

    /// Where it is a capture, a void or a refund without a known outcome.
    pub(crate) fn open(&self) -> Option<Open> {
        let unknown = match self.state {
            OpState::InFlight => false,
            OpState::Unknown => true,
            _ => return None,
        };
        let moves = self.kind.is_later() && self.kind != OperationKind::Query;
        moves.then_some(Open {
            asked: self.asked(),
            unknown,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskKind {
    UnknownOutcome,
    CallBack,
    Contradicts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskState {
    Open,
    Taken,
    Done,
}

/// What a person has to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task {
    pub(crate) at: usize,
    pub(crate) payment: usize,
    pub(crate) kind: TaskKind,
    pub(crate) operation: Option<usize>,
    pub(crate) state: TaskState,
}

/// What the merchant is told of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) number: u64,
    pub(crate) payment: usize,
    pub(crate) state: State,
}

/// An approval that is to be released.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Release {
    pub(crate) payment: usize,
    pub(crate) since_ms: i64,
    pub(crate) at_ms: i64,
}

#[derive(Debug, Clone)]
pub(crate) enum Row {
    Payment(Payment),
    Operation(Operation),
    Task(Task),
    Told(Told),
    Release(Release),
    NoRelease(usize),
    /// The last of a frame: which one it is, and how many rows there are with it.
    Head {
        frame: u64,
        rows: u64,
    },
}

/// Everything that is kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    pub(crate) payments: Vec<Payment>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) told: Vec<Told>,
    pub(crate) releases: Vec<Release>,
    /// The last whole frame.
    pub(crate) frame: u64,
    rows: u64,
    whole: u64,
}

fn put<T>(all: &mut Vec<T>, at: usize, one: T) {
    match all.get_mut(at) {
        Some(place) => *place = one,
        None => all.push(one),
    }
}

impl Book {
    /// Whether a person has the task of an approval that nobody knew of.
    pub(crate) fn is_a_persons(&self, payment: usize) -> bool {
        self.tasks.iter().any(|task| {
            task.payment == payment
                && task.kind == TaskKind::CallBack
                && task.state != TaskState::Open
        })
    }

    /// Whether a person sees to what is unknown of a payment.
    pub(crate) fn is_looked_up(&self, payment: usize) -> bool {
        self.tasks.iter().any(|task| {
            task.payment == payment
                && task.kind == TaskKind::UnknownOutcome
                && task.state == TaskState::Taken
        })
    }

    fn apply(&mut self, row: Row) {
        self.rows += 1;
        match row {
            Row::Payment(payment) => put(&mut self.payments, payment.at, payment),
            Row::Operation(operation) => put(&mut self.operations, operation.at, operation),
            Row::Task(task) => put(&mut self.tasks, task.at, task),
            Row::Told(told) => self.told.push(told),
            Row::Release(release) => {
                self.releases.retain(|r| r.payment != release.payment);
                self.releases.push(release);
            }
            Row::NoRelease(payment) => self.releases.retain(|r| r.payment != payment),
            Row::Head { frame, rows } => (self.frame, self.whole) = (frame, rows),
        }
    }

    /// Whether it ends with a whole frame: what `ivrpay journal verify` finds out by hashes.
    pub(crate) const fn is_whole(&self) -> bool {
        self.rows == self.whole
    }

    pub(crate) fn of(&self, payment: usize) -> impl DoubleEndedIterator<Item = &Operation> {
        self.operations.iter().filter(move |o| o.payment == payment)
    }

    /// What is open of it behind the call.
    pub(crate) fn open(&self, payment: usize) -> Option<Open> {
        self.of(payment).find_map(Operation::open)
    }

    pub(crate) fn has_task(&self, payment: usize, kind: TaskKind) -> bool {
        self.tasks.iter().any(|task| {
            task.payment == payment && task.kind == kind && task.state != TaskState::Done
        })
    }
}

/// How long a commit waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    Synced,
    /// It comes to the disk with the next one that is synced.
    Rides,
}

/// What is in memory, what was written, and what is on the disk.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// As the process sees it.
    pub(crate) book: Book,
    /// What no loss of power takes away.
    pub(crate) synced: Book,
    behind: Vec<Vec<Row>>,
    /// A frame whose sync has failed: the process was told that it is not there. It lies in the file all the same, until the next one
    /// is written in its place.
    failed: Option<Vec<Row>>,
}

impl Disk {
    /// Writes a frame; it is not synced by that.
    pub(crate) fn append(&mut self, mut rows: Vec<Row>) {
        self.failed = None;
        rows.push(Row::Head {
            frame: self.book.frame + 1,
            rows: self.book.rows + rows.len() as u64 + 1,
        });
        for row in &rows {
            self.book.apply(row.clone());
        }
        self.behind.push(rows);
    }

    /// Writes a frame whose sync fails.
    pub(crate) fn fail(&mut self, rows: Vec<Row>) {
        self.failed = Some(rows);
    }

    /// The next start reads what the last process took for not written.
    pub(crate) fn finds_what_failed(&mut self) -> bool {
        match self.failed.take() {
            Some(rows) => {
                self.append(rows);
                true
            }
            None => false,
        }
    }

    pub(crate) fn sync(&mut self) {
        for row in self.behind.drain(..).flatten() {
            self.synced.apply(row);
        }
    }

    /// Frames that a loss of power may take away.
    pub(crate) fn unsynced(&self) -> usize {
        self.behind.len()
    }

    /// The power is lost: `frames` of what was not synced are there, and of the next one that many rows.
    pub(crate) fn lose(&mut self, frames: usize, torn: usize) {
        self.failed = None;
        let behind = std::mem::take(&mut self.behind);
        let mut left = behind.into_iter();
        for row in left.by_ref().take(frames).flatten() {
            self.synced.apply(row);
        }
        if plant::is("torn-tail-is-read")
            && let Some(next) = left.next()
        {
            for row in next.into_iter().take(torn) {
                self.synced.apply(row);
            }
        }
        // Else the next frame, which is not whole, is as if it had never been written.
        self.book = self.synced.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(number: u64) -> Row {
        Row::Told(Told {
            number,
            payment: 0,
            state: State::Approved,
        })
    }

    /// Synced stays; of the rest any beginning may, in whole frames.
    #[test]
    fn a_loss_of_power_takes_what_was_not_synced() {
        for (kept, there) in [(0, 2), (1, 3), (2, 4), (9, 4)] {
            let mut disk = Disk::default();
            disk.append(vec![told(1)]);
            disk.append(vec![told(2)]);
            disk.sync();
            disk.append(vec![told(3)]);
            disk.append(vec![told(4)]);
            assert_eq!(disk.unsynced(), 2);
            disk.lose(kept, 1);
            assert_eq!(disk.book.told.len(), there, "{kept}");
            assert!(disk.book.is_whole());
            disk.append(vec![told(5)]);
            disk.sync();
            assert_eq!(disk.synced.told.len(), there + 1);
        }
    }
}
