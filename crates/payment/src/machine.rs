//! The state machine of a payment: which entry may follow where it stands, where it stands then, and what must be done next.
//!
//! The journal writes nothing that [`Standing::after`] refuses. A start after a crash writes by the same function that what was asked is
//! unknown and that the calls are over, and does what it says must be done. Knows no journal, no acquirer and no clock.

use std::fmt;

use crate::{Intent, OperationKind, Outcome, State, Transaction, plant};

/// What the entries so far have made of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: State,
    /// What it is for.
    pub transaction: Transaction,
    /// The whole amount, minor units.
    pub amount: u64,
    /// What is reserved instead of it, where that was changed before anything was taken.
    pub reserved: Option<u64>,
    /// What of it was taken.
    pub captured: Option<u64>,
    /// What of that was given back.
    pub refunded: u64,
    /// Whether a call works on it.
    pub in_call: bool,
    /// Whether the last card of this call was refused.
    pub refused: bool,
    /// What has been asked behind the call, and has no known outcome.
    pub open: Option<Open>,
}

/// An operation behind the call: capture, change, void or refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// What was asked.
    pub asked: Asked,
    /// Whether its outcome is unknown; else an answer may still be written by who asked.
    pub unknown: bool,
}

/// What is asked of an acquirer, and for how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// What.
    pub kind: OperationKind,
    /// How much, minor units.
    pub amount: u64,
}

impl Asked {
    /// What an intent asks.
    #[must_use]
    pub const fn of(intent: &Intent) -> Self {
        Self {
            kind: intent.kind,
            amount: intent.amount.minor(),
        }
    }
}

/// What came of it, as far as it matters to what may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the same as in Outcome")]
pub enum Answer {
    Approved,
    Declined,
    NotCharged,
    Unknown,
}

impl Answer {
    /// All answers.
    pub const ALL: [Self; 4] = [
        Self::Approved,
        Self::Declined,
        Self::NotCharged,
        Self::Unknown,
    ];
}

impl From<&Outcome> for Answer {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Approved(_) => Self::Approved,
            Outcome::Declined(_) => Self::Declined,
            Outcome::NotCharged(_) => Self::NotCharged,
            Outcome::Unknown(_) => Self::Unknown,
        }
    }
}

/// What is about to be written of a payment: what a record of the journal says, as far as it matters to what may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A call works on it from now on.
    Claimed,
    /// Another operator leads it.
    Assigned,
    /// An acquirer is about to be asked.
    Intent(Asked),
    /// Not one byte has gone out; another acquirer is about to be asked.
    FailedOver,
    /// The next of several requests is about to go out.
    Progress(OperationKind),
    /// The very same request is about to go out again, under the same key.
    Again(OperationKind),
    /// What came of it.
    Outcome(Asked, Answer),
    /// What was found out of an unknown one.
    Settled(Asked, Answer),
    /// Its call is over.
    Closed {
        /// Whether it waits for another call, where nothing was charged.
        waits_on: bool,
        /// Whether somebody knows how it ended.
        heard: bool,
    },
    /// Nobody waits for it any more, by a person's wish.
    Withdrawn,
    /// Its time is over.
    Expired,
}

/// What must be done once an entry is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Nothing.
    Nothing,
    /// The request goes out.
    Send,
    /// The caller is told.
    Tell,
    /// The acquirer is asked what became of it, until it is known or a person has found it out.
    Inquire,
    /// Somebody calls the customer back: it is approved, and nobody knows it.
    CallBack,
}

/// An entry that may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Where the payment stands then.
    pub standing: Standing,
    /// What must be done then.
    pub duty: Duty,
    /// Whether the merchant is told of the change.
    pub tells: bool,
}

/// An entry that may not follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{entry} can't follow on a payment that is {standing}")]
pub struct Illegal {
    /// Where the payment stands.
    pub standing: Standing,
    /// What was to be written.
    pub entry: Entry,
}

/// Why a capture, a change, a void or a refund is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAllowed {
    /// Nothing, or more than so many minor units are left.
    Amount(u64),
    /// Taken already.
    Captured,
    /// None of the four.
    Kind,
    /// A change to nothing, or to what is reserved already.
    NoChange(u64),
    /// Nothing has moved, nor will.
    NoMoney,
    /// Only what is approved, or, for a void, unknown.
    NotApproved(State),
    /// Nothing was taken that could be given back.
    NotCaptured,
    /// Something asked before has no known outcome.
    Open(OperationKind),
    /// A part was given back: what is left can't be voided.
    Refunded,
    /// A void is of the whole.
    WholeOnly,
}

impl OperationKind {
    /// Whether it is done about an operation before it, behind the call.
    #[must_use]
    pub const fn is_later(self) -> bool {
        matches!(
            self,
            Self::Capture | Self::Change | Self::Void | Self::Refund | Self::Query
        )
    }
}

impl Standing {
    /// Of a payment that has just been made.
    #[must_use]
    pub const fn new(transaction: Transaction, amount: u64) -> Self {
        Self {
            state: State::Waiting,
            transaction,
            amount,
            reserved: None,
            captured: None,
            refunded: 0,
            in_call: false,
            refused: false,
            open: None,
        }
    }

    /// Where it stands after this entry, and what must be done then.
    ///
    /// # Errors
    /// [`Illegal`]: nothing may be written, nor sent.
    pub fn after(self, entry: Entry) -> Result<Step, Illegal> {
        let illegal = Illegal {
            standing: self,
            entry,
        };
        let (standing, duty) = self.next(entry).ok_or(illegal)?;
        let changed = standing.state != self.state;
        Ok(Step {
            standing,
            duty,
            // What goes on is told by its end.
            tells: (changed || plant::is("told-though-nothing-changed"))
                && !matches!(standing.state, State::Waiting | State::InFlight),
        })
    }

    fn next(self, entry: Entry) -> Option<(Self, Duty)> {
        let waiting = self.state == State::Waiting;
        let free = waiting && !self.in_call;
        let to = |standing| Some((standing, Duty::Nothing));
        match entry {
            Entry::Claimed if free => to(Self {
                in_call: true,
                refused: false,
                ..self
            }),
            Entry::Assigned if free => to(self),
            Entry::Expired if free => to(self.with(State::Expired)),
            Entry::Withdrawn if free => to(self.with(State::Cancelled)),
            Entry::Intent(asked) => self.asked(asked),
            Entry::FailedOver if self.state == State::InFlight => Some((self, Duty::Send)),
            Entry::Progress(kind) if self.waits_for(kind) => Some((self, Duty::Send)),
            // The call may be over: what became of the first sending is known by the next one alone.
            // Not behind a wish to release it.
            Entry::Again(kind)
                if self.waits_for(kind) || self.is_unknown(kind) && self.open.is_none() =>
            {
                Some((self, Duty::Send))
            }
            Entry::Outcome(asked, answer) => self.answered(asked, answer),
            Entry::Settled(asked, answer) => self.settled(asked, answer),
            Entry::Closed { waits_on, heard } if self.in_call => self.closed(waits_on, heard),
            _ => None,
        }
    }

    fn with(self, state: State) -> Self {
        Self { state, ..self }
    }

    /// Whether that is what was asked.
    fn was_asked(self, asked: Asked) -> bool {
        match asked.kind {
            OperationKind::Query => true,
            kind if kind.is_later() => self.open.is_some_and(|open| open.asked == asked),
            kind => kind == self.transaction.kind() && asked.amount == self.amount,
        }
    }

    /// Whether an answer to that may still be written by who asked.
    fn waits_for(self, kind: OperationKind) -> bool {
        match kind {
            // A question moves nothing, whatever comes of it.
            OperationKind::Query => true,
            kind if kind.is_later() => self
                .open
                .is_some_and(|open| open.asked.kind == kind && !open.unknown),
            kind => self.state == State::InFlight && self.transaction.kind() == kind,
        }
    }

    /// Whether it took the card, and nobody knows what became of it.
    fn is_unknown(self, kind: OperationKind) -> bool {
        self.state == State::Unknown && self.transaction.kind() == kind
    }

    fn asked(self, asked: Asked) -> Option<(Self, Duty)> {
        let next = match asked.kind {
            OperationKind::Query => self,
            kind if kind.is_later() => {
                self.allows(kind, Some(asked.amount)).ok()?;
                let unknown = false;
                Self {
                    open: Some(Open { asked, unknown }),
                    ..self
                }
            }
            _ => {
                let ready = self.state == State::Waiting && self.in_call && self.was_asked(asked);
                ready.then_some(Self {
                    refused: false,
                    ..self.with(State::InFlight)
                })?
            }
        };
        Some((next, Duty::Send))
    }

    /// How much a capture, a void or a refund would be of; `wanted`, or all that is left. What a change would be to.
    ///
    /// # Errors
    /// [`NotAllowed`].
    pub fn allows(self, kind: OperationKind, wanted: Option<u64>) -> Result<u64, NotAllowed> {
        // Charged or not, it can be released, where the acquirer does that by our order number.
        let released = self.state == State::Unknown && kind == OperationKind::Void;
        if self.state != State::Approved && !released {
            return Err(NotAllowed::NotApproved(self.state));
        }
        if !self.transaction.moves_money() {
            return Err(NotAllowed::NoMoney);
        }
        let reserved = self.reserved.unwrap_or(self.amount);
        let left = match (kind, self.captured) {
            (OperationKind::Capture, None) => reserved,
            (OperationKind::Change, None) => {
                let other = wanted.filter(|wanted| *wanted > 0 && *wanted != reserved);
                other.ok_or(NotAllowed::NoChange(reserved))?
            }
            (OperationKind::Change, Some(_)) => return Err(NotAllowed::Captured),
            (OperationKind::Capture, Some(_)) if plant::is("captured-twice") => self.amount,
            (OperationKind::Capture, Some(_)) => return Err(NotAllowed::Captured),
            (OperationKind::Void, _) if self.refunded > 0 => return Err(NotAllowed::Refunded),
            (OperationKind::Void, captured) => {
                let left = captured.unwrap_or(reserved);
                if wanted.is_some_and(|wanted| wanted != left) {
                    return Err(NotAllowed::WholeOnly);
                }
                left
            }
            (OperationKind::Refund, Some(captured)) => captured.saturating_sub(self.refunded),
            (OperationKind::Refund, None) => return Err(NotAllowed::NotCaptured),
            _ => return Err(NotAllowed::Kind),
        };
        let amount = wanted.unwrap_or(left);
        if amount == 0 || amount > left {
            return Err(NotAllowed::Amount(left));
        }
        match self.open {
            Some(open) => Err(NotAllowed::Open(open.asked.kind)),
            None => Ok(amount),
        }
    }

    fn answered(self, asked: Asked, answer: Answer) -> Option<(Self, Duty)> {
        if !self.waits_for(asked.kind) || !self.was_asked(asked) {
            return None;
        }
        let unknown = answer == Answer::Unknown;
        let (next, duty) = match asked.kind {
            OperationKind::Query => (self, Duty::Nothing),
            kind if kind.is_later() && unknown => {
                let open = Some(Open { asked, unknown });
                (Self { open, ..self }, Duty::Inquire)
            }
            kind if kind.is_later() => (self.done(asked, answer), Duty::Nothing),
            _ => match answer {
                Answer::Approved => (self.taken(asked).with(State::Approved), Duty::Tell),
                // The call goes on, perhaps with another card; its end decides.
                Answer::Declined => (
                    Self {
                        refused: true,
                        ..self.with(State::Waiting)
                    },
                    Duty::Tell,
                ),
                Answer::NotCharged => (self.with(State::Waiting), Duty::Tell),
                Answer::Unknown => (self.with(State::Unknown), Duty::Inquire),
            },
        };
        Some((next, duty))
    }

    fn settled(self, asked: Asked, answer: Answer) -> Option<(Self, Duty)> {
        let found = answer != Answer::Unknown && asked.kind != OperationKind::Query;
        if !found || !self.was_asked(asked) {
            return None;
        }
        if asked.kind.is_later() {
            let unknown = self.open.is_some_and(|open| open.unknown);
            return unknown.then_some((self.done(asked, answer), Duty::Nothing));
        }
        if self.state != State::Unknown {
            return None;
        }
        Some(match answer {
            Answer::Approved if plant::is("found-out-and-nobody-told") => {
                (self.taken(asked).with(State::Approved), Duty::Nothing)
            }
            Answer::Approved => (self.taken(asked).with(State::Approved), Duty::CallBack),
            Answer::Declined => (self.with(State::Declined), Duty::Nothing),
            _ => (self.with(State::Cancelled), Duty::Nothing),
        })
    }

    /// What is behind the call is open no more.
    fn done(self, asked: Asked, answer: Answer) -> Self {
        let next = Self { open: None, ..self };
        match answer {
            Answer::Approved => next.taken(asked),
            _ => next,
        }
    }

    /// What the approval of an operation makes of the amounts.
    fn taken(self, asked: Asked) -> Self {
        match asked.kind {
            OperationKind::Charge | OperationKind::Capture => Self {
                captured: Some(asked.amount),
                ..self
            },
            OperationKind::Change => Self {
                reserved: Some(asked.amount),
                ..self
            },
            // What was found out meanwhile to have taken nothing stays so.
            OperationKind::Void if matches!(self.state, State::Approved | State::Unknown) => {
                self.with(State::Voided)
            }
            OperationKind::Refund => {
                let refunded = self.refunded.saturating_add(asked.amount);
                let next = Self { refunded, ..self };
                if self.captured == Some(refunded) {
                    next.with(State::Voided)
                } else {
                    next
                }
            }
            _ => self,
        }
    }

    fn closed(self, waits_on: bool, heard: bool) -> Option<(Self, Duty)> {
        let over = Self {
            in_call: false,
            ..self
        };
        Some(match self.state {
            // Its outcome has to be written first: nobody may take it for refused.
            State::InFlight => return None,
            State::Waiting if waits_on => (
                Self {
                    refused: false,
                    ..over
                },
                Duty::Nothing,
            ),
            State::Waiting if self.refused => (over.with(State::Declined), Duty::Nothing),
            State::Waiting => (over.with(State::Cancelled), Duty::Nothing),
            State::Approved if !heard && !plant::is("unheard-is-heard") => (over, Duty::CallBack),
            State::Unknown if plant::is("unknown-is-over-with-its-call") => {
                (over.with(State::Declined), Duty::Nothing)
            }
            State::Unknown => (over, Duty::Inquire),
            _ => (over, Duty::Nothing),
        })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state.name())?;
        if self.in_call {
            f.write_str(", in a call")?;
        }
        match self.open {
            Some(Open { asked, unknown }) => {
                let how = if unknown { "unknown" } else { "not answered" };
                write!(f, ", with {} that is {how}", asked.kind.name())
            }
            None => Ok(()),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |f: &mut fmt::Formatter<'_>, what, asked: &Asked| {
            write!(f, "{what} {} of {}", asked.kind.name(), asked.amount)
        };
        match self {
            Self::Claimed => f.write_str("a call's claim"),
            Self::Assigned => f.write_str("another operator"),
            Self::Intent(asked) => of(f, "an intent of", asked),
            Self::FailedOver => f.write_str("another acquirer"),
            Self::Progress(kind) => write!(f, "the next request of {}", kind.name()),
            Self::Again(kind) => write!(f, "the same request of {} once more", kind.name()),
            Self::Outcome(asked, answer) => {
                of(f, "the outcome of", asked)?;
                write!(f, " ({answer})")
            }
            Self::Settled(asked, answer) => {
                of(f, "what was found out of", asked)?;
                write!(f, " ({answer})")
            }
            Self::Closed { .. } => f.write_str("the end of a call"),
            Self::Withdrawn => f.write_str("a withdrawal"),
            Self::Expired => f.write_str("an expiry"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::NotCharged => "not charged",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(amount: u64) -> Asked {
        Asked {
            kind: OperationKind::Charge,
            amount,
        }
    }

    const KINDS: [OperationKind; 9] = [
        OperationKind::Authorise,
        OperationKind::Capture,
        OperationKind::Change,
        OperationKind::Charge,
        OperationKind::Query,
        OperationKind::Refund,
        OperationKind::Tokenise,
        OperationKind::Verify,
        OperationKind::Void,
    ];

    /// Every entry, of the whole amount and of others.
    fn entries() -> Vec<Entry> {
        let mut all = vec![
            Entry::Claimed,
            Entry::Assigned,
            Entry::FailedOver,
            Entry::Withdrawn,
            Entry::Expired,
        ];
        for (waits_on, heard) in [(true, true), (true, false), (false, true), (false, false)] {
            all.push(Entry::Closed { waits_on, heard });
        }
        for kind in KINDS {
            all.extend([Entry::Progress(kind), Entry::Again(kind)]);
            for amount in [0, 400, 600, 1000, 1001] {
                let asked = Asked { kind, amount };
                all.push(Entry::Intent(asked));
                all.extend(Answer::ALL.map(|answer| Entry::Outcome(asked, answer)));
                all.extend(Answer::ALL.map(|answer| Entry::Settled(asked, answer)));
            }
        }
        all
    }

    /// Everything that can be reached, with the way there.
    fn reached(transaction: Transaction) -> Vec<(Standing, Vec<Entry>)> {
        let mut found = vec![(Standing::new(transaction, 1000), Vec::new())];
        let mut at = 0;
        while let Some((standing, way)) = found.get(at).cloned() {
            at += 1;
            for entry in entries() {
                let Ok(step) = standing.after(entry) else {
                    continue;
                };
                if !found.iter().any(|(known, _)| *known == step.standing) {
                    let way = [way.as_slice(), &[entry]].concat();
                    found.push((step.standing, way));
                }
            }
        }
        found
    }

    /// All ways of a payment, by every entry from everywhere: what money may never do.
    #[test]
    fn nothing_that_can_be_reached_is_against_the_rules_of_money() {
        for transaction in Transaction::ALL {
            let all = reached(transaction);
            assert!(all.len() > 8, "{}", transaction.name());
            for (standing, way) in all {
                let captured = standing.captured.unwrap_or_default();
                let reserved = standing.reserved.unwrap_or(1000);
                let given = standing.refunded;
                assert!(captured <= reserved && given <= captured, "{way:?}");
                assert!(
                    reserved == 1000 || transaction == Transaction::Authorise,
                    "{way:?}"
                );
                assert!(captured == 0 || transaction.moves_money(), "{way:?}");
                for entry in entries() {
                    let Ok(step) = standing.after(entry) else {
                        continue;
                    };
                    let (was, is) = (standing, step.standing);
                    let way = [way.as_slice(), &[entry]].concat();
                    if let Entry::Intent(asked) = entry {
                        // I1, I6: a card is sent only where nothing was sent, or what was is known to have moved nothing.
                        if !asked.kind.is_later() {
                            assert!(was.state == State::Waiting && was.in_call, "{way:?}");
                            assert_eq!(asked.amount, 1000, "I7: {way:?}");
                        }
                        assert_eq!(step.duty, Duty::Send, "{way:?}");
                    }
                    // What is sent, or sent further, is said by an entry of its own, and by no other.
                    let sends = matches!(
                        entry,
                        Entry::Intent(_) | Entry::FailedOver | Entry::Progress(_) | Entry::Again(_)
                    );
                    assert_eq!(step.duty == Duty::Send, sends, "{way:?}");
                    // I11: what is unknown is asked about, or was already; what became of it ends it.
                    if is.state == State::Unknown && was.state != State::Unknown {
                        assert_eq!(step.duty, Duty::Inquire, "{way:?}");
                    }
                    if was.state == State::Unknown && is.state != State::Unknown {
                        let found = matches!(entry, Entry::Settled(..));
                        let released = is.state == State::Voided
                            && was
                                .open
                                .is_some_and(|o| o.asked.kind == OperationKind::Void);
                        assert!(found || released, "{way:?}");
                    }
                    // Approved is undone by what gives the money back alone.
                    if was.state == State::Approved && is.state != State::Approved {
                        assert_eq!(is.state, State::Voided, "{way:?}");
                        assert_eq!(is.open, None, "{way:?}");
                    }
                    // What is over stays so.
                    if !was.state.locks_order() {
                        assert_eq!(is.state, was.state, "{way:?}");
                        assert!(!step.tells, "told twice: {way:?}");
                    }
                    // I8: each change that the merchant waits for is told, and told once.
                    let ends = !matches!(is.state, State::Waiting | State::InFlight);
                    assert_eq!(step.tells, ends && is.state != was.state, "{way:?}");
                    // A call that is over leaves nothing in flight.
                    if !is.in_call {
                        assert_ne!(is.state, State::InFlight, "{way:?}");
                    }
                }
            }
        }
    }

    /// I2: an approval that nobody has heard makes a call back, once.
    #[test]
    fn an_approval_that_nobody_heard_is_called_back() {
        let sent = Standing {
            in_call: true,
            state: State::InFlight,
            ..Standing::new(Transaction::Charge, 1000)
        };
        let answered = |s: Standing, a| s.after(Entry::Outcome(charge(1000), a)).unwrap();
        let closed = |s: Standing, heard| {
            let waits_on = false;
            s.after(Entry::Closed { waits_on, heard }).unwrap()
        };
        let settled = |s: Standing, a| s.after(Entry::Settled(charge(1000), a)).unwrap();

        let approved = answered(sent, Answer::Approved);
        assert_eq!((approved.duty, approved.tells), (Duty::Tell, true));
        assert_eq!(approved.standing.captured, Some(1000));
        assert_eq!(closed(approved.standing, true).duty, Duty::Nothing);
        let unheard = closed(approved.standing, false);
        assert_eq!((unheard.duty, unheard.tells), (Duty::CallBack, false));

        let unknown = answered(sent, Answer::Unknown).standing;
        let gone = closed(unknown, true);
        assert_eq!(gone.duty, Duty::Inquire);
        let found = settled(gone.standing, Answer::Approved);
        assert_eq!((found.duty, found.tells), (Duty::CallBack, true));
        for (answer, state) in [
            (Answer::Declined, State::Declined),
            (Answer::NotCharged, State::Cancelled),
        ] {
            // Found out while the call is still on: its end tells nobody again.
            let found = settled(unknown, answer);
            assert_eq!((found.standing.state, found.tells), (state, true));
            let over = closed(found.standing, true);
            assert_eq!((over.standing.state, over.tells), (state, false));
        }
    }

    /// What is reserved is what may be taken and released, however often it was changed; what is taken is changed no more.
    #[test]
    fn a_changed_amount_is_the_one_that_is_taken() {
        use OperationKind::{Capture, Change, Refund, Void};
        let mut standing = Standing {
            state: State::Approved,
            ..Standing::new(Transaction::Authorise, 1000)
        };
        let done = |standing: Standing, kind, amount, answer| {
            let asked = Asked { kind, amount };
            let open = standing.after(Entry::Intent(asked)).unwrap().standing;
            let other = Asked {
                kind: Capture,
                amount: 1,
            };
            assert!(open.after(Entry::Intent(other)).is_err());
            let ended = open.after(Entry::Outcome(asked, answer)).unwrap();
            assert!(!ended.tells);
            ended.standing
        };
        for amount in [0, 1000] {
            let refused = standing.allows(Change, Some(amount));
            assert_eq!(refused, Err(NotAllowed::NoChange(1000)));
        }
        assert_eq!(
            standing.allows(Change, None),
            Err(NotAllowed::NoChange(1000))
        );
        standing = done(standing, Change, 1200, Answer::Declined);
        assert_eq!(standing.allows(Capture, None), Ok(1000));
        standing = done(standing, Change, 1200, Answer::Approved);
        standing = done(standing, Change, 700, Answer::Approved);
        standing = done(standing, Change, 1500, Answer::Unknown);
        let asked = Asked {
            kind: Change,
            amount: 1500,
        };
        assert_eq!(
            standing.allows(Capture, None),
            Err(NotAllowed::Open(Change))
        );
        let found = Entry::Settled(asked, Answer::Approved);
        standing = standing.after(found).unwrap().standing;
        assert_eq!(standing.allows(Void, None), Ok(1500));
        assert_eq!(
            standing.allows(Capture, Some(1501)),
            Err(NotAllowed::Amount(1500))
        );
        standing = done(standing, Capture, 1500, Answer::Approved);
        assert_eq!(standing.allows(Change, Some(1)), Err(NotAllowed::Captured));
        assert_eq!(standing.allows(Refund, None), Ok(1500));
    }

    /// An error names where the payment stands and what was to be written.
    #[test]
    fn what_may_not_follow_names_both() {
        let begun = Standing::new(Transaction::Authorise, 1200);
        let reserve = Asked {
            kind: OperationKind::Authorise,
            amount: 1200,
        };
        let error = begun.after(Entry::Intent(reserve)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "an intent of authorize of 1200 can't follow on a payment that is waiting"
        );
        let mut standing = begun;
        for entry in [
            Entry::Claimed,
            Entry::Intent(reserve),
            Entry::Outcome(reserve, Answer::Approved),
        ] {
            standing = standing.after(entry).unwrap().standing;
        }
        let capture = Asked {
            kind: OperationKind::Capture,
            amount: 1000,
        };
        standing = standing.after(Entry::Intent(capture)).unwrap().standing;
        let error = standing.after(Entry::Intent(capture)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "an intent of capture of 1000 can't follow on a payment that is approved, in a call, with capture that is not answered"
        );
    }
}
