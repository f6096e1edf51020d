//! What has gone out of an operation, and what is known of its money by that: of several requests, and of the same one again.

use ivrpay_payment::{Doubt, Intent, OperationKind, Outcome, Reason, Why, plant};

use crate::Progress;

/// How far the requests of an operation have gone.
#[derive(Debug, Clone, Copy)]
pub struct Course {
    /// Whether the next request is the first.
    opens: bool,
    /// Whether money may have moved by what has gone out. A question moves nothing, but without its answer nothing is known of what it
    /// is about.
    sent: bool,
    /// The same, without the last request.
    before: bool,
    /// Whether no money can move by the last request.
    harmless: bool,
    /// Whether a sending of the last request had no answer before another one had: money may have moved by it, whatever that one says.
    doubted: bool,
}

impl Course {
    /// Of an operation that has come so far.
    #[must_use]
    pub fn new(op: &Intent, progress: &Progress) -> Self {
        let opens = progress.stage == 0;
        let sent = !opens || op.kind == OperationKind::Query;
        Self {
            opens,
            sent,
            before: sent,
            harmless: false,
            doubted: false,
        }
    }

    /// Whether nothing has been tried to be sent so far: the record of the request that is next is the intent.
    #[must_use]
    pub const fn opens(&self) -> bool {
        self.opens
    }

    /// The next request goes out now.
    pub const fn goes_out(&mut self, progress: &Progress) {
        self.opens = false;
        self.before = self.sent;
        self.sent |= !progress.harmless;
        self.harmless = progress.harmless;
        self.doubted = false;
    }

    /// The last request went out more than once, and one of the sendings before had no answer.
    pub const fn doubt(&mut self) {
        // Where no money can move by it, there is nothing to doubt.
        self.doubted = !self.harmless;
    }

    /// What it means that nothing more goes out, or that no answer comes.
    #[must_use]
    pub fn stops(&self) -> Outcome {
        nothing_more(self.sent && !plant::is("no-reply-is-not-charged"))
    }

    /// What it means that not one byte of the last request has gone out: what went out before may have moved money, this one has not.
    #[must_use]
    pub const fn was_not_sent(&self) -> Outcome {
        nothing_more(self.before)
    }

    /// Whether what the last answer says can be about the last sending alone.
    #[must_use]
    pub fn doubts(&self, says: &Outcome) -> bool {
        self.doubted && !is_certain(says)
    }

    /// What is known, by what the last answer says.
    #[must_use]
    pub fn ends(&self, says: Outcome) -> Outcome {
        if !self.doubts(&says) {
            return says;
        }
        Outcome::Unknown(match says {
            Outcome::Unknown(doubt) => doubt,
            _ => Doubt::NoReply,
        })
    }
}

/// Nothing was charged, unless an earlier request of the operation did go out.
const fn nothing_more(sent: bool) -> Outcome {
    if sent {
        Outcome::Unknown(Doubt::NoReply)
    } else {
        Outcome::NotCharged(Why::NotSent)
    }
}

/// Whether an answer to a further sending tells what became of the operation. "No" can be about that sending alone: too many requests, a
/// key that has been changed since, a double that is refused by a code of the endpoint's own.
fn is_certain(outcome: &Outcome) -> bool {
    match outcome {
        _ if plant::is("no-to-the-second-sending-believed") => true,
        Outcome::Approved(_) => true,
        Outcome::Declined(decline) => !matches!(decline.reason, Reason::Other | Reason::Duplicate),
        Outcome::NotCharged(_) | Outcome::Unknown(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::soft;
    use crate::testing::{after, intent};

    const NOT_SENT: Outcome = Outcome::NotCharged(Why::NotSent);
    const NO_REPLY: Outcome = Outcome::Unknown(Doubt::NoReply);

    fn progress(harmless: bool) -> Progress {
        Progress {
            stage: 1,
            harmless,
            ..Progress::default()
        }
    }

    /// "Not charged" stands behind harmless requests alone; a question without an answer says nothing of what it is about.
    #[test]
    fn what_has_gone_out_may_have_moved_money() {
        let op = intent(1500);
        let mut course = Course::new(op.get(), &Progress::default());
        assert!(course.opens());
        assert_eq!(course.stops(), NOT_SENT);
        course.goes_out(&progress(true));
        assert!(!course.opens());
        assert_eq!(course.stops(), NOT_SENT);
        course.goes_out(&progress(false));
        assert_eq!(
            (course.stops(), course.was_not_sent()),
            (NO_REPLY, NOT_SENT)
        );
        course.goes_out(&progress(true));
        assert_eq!(
            (course.stops(), course.was_not_sent()),
            (NO_REPLY, NO_REPLY)
        );
        let goes_on = Course::new(op.get(), &progress(true));
        assert_eq!(goes_on.stops(), NO_REPLY);
        let query = after(OperationKind::Query, 1500, None);
        let question = Course::new(query.get(), &Progress::default());
        assert_eq!(question.stops(), NO_REPLY);
    }

    #[test]
    fn a_no_to_a_further_sending_is_no_verdict() {
        let op = intent(1500);
        let mut course = Course::new(op.get(), &Progress::default());
        let funds = soft(Reason::InsufficientFunds).outcome("51");
        let other = soft(Reason::Other).outcome("E-1");
        course.goes_out(&progress(false));
        assert_eq!(course.ends(other.clone()), other);
        course.doubt();
        assert_eq!(course.ends(funds.clone()), funds);
        assert_eq!(course.ends(other), NO_REPLY);
        assert_eq!(course.ends(NOT_SENT), NO_REPLY);
        let malformed = Outcome::Unknown(Doubt::Malformed);
        assert_eq!(course.ends(malformed.clone()), malformed);
    }
}
