//! Wishes of the API about a capture, to end it for one: by its payment, handed to the call that takes it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ivrpay_journal::By;
use ivrpay_payment::PaymentId;
use ivrpay_web::{Want, Wished};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

/// Wishes that may wait for one call; more come only from a mistake, and are told to try again.
const WISHES_MAX: usize = 4;
/// Longest that a call may take to answer. It answers between two events, and only asks Asterisk in between.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Somebody wants something of the capture. Dropped without an answer: the call's result is decided.
pub(crate) struct Wish {
    want: Want,
    by: By,
    answer: oneshot::Sender<Wished>,
}

/// Calls that take a payment now.
#[derive(Clone, Default)]
pub(crate) struct Cancels(Arc<Mutex<HashMap<PaymentId, mpsc::Sender<Wish>>>>);

/// A call's place among them; dropping it gives the place up.
pub(crate) struct Wishes {
    payment: PaymentId,
    wishes: mpsc::Receiver<Wish>,
    all: Cancels,
}

impl Cancels {
    fn lock(&self) -> MutexGuard<'_, HashMap<PaymentId, mpsc::Sender<Wish>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wished of this payment from now on. The payment is the call's own by its claim: no other call has it.
    pub(crate) fn take(&self, payment: PaymentId) -> Wishes {
        let (sender, wishes) = mpsc::channel(WISHES_MAX);
        self.lock().insert(payment, sender);
        Wishes {
            payment,
            wishes,
            all: self.clone(),
        }
    }

    /// Asks the call that takes this payment; it does what can still be done.
    pub(crate) async fn wish(&self, payment: PaymentId, want: Want, by: By) -> Wished {
        let Some(call) = self.lock().get(&payment).cloned() else {
            return Wished::NotInCall;
        };
        let (answer, answered) = oneshot::channel();
        match call.try_send(Wish { want, by, answer }) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return Wished::NotInCall,
            Err(TrySendError::Full(_)) => return Wished::NoAnswer,
        }
        match tokio::time::timeout(ANSWER_MAX, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Wished::NotInCall,
            Err(_) => Wished::NoAnswer,
        }
    }
}

impl Wish {
    /// Who wants it; `None`: has given up waiting, and was told so.
    pub(crate) fn by(&self) -> Option<&By> {
        (!self.answer.is_closed()).then_some(&self.by)
    }

    pub(crate) const fn want(&self) -> Want {
        self.want
    }

    pub(crate) fn answer(self, answer: Wished) {
        // Whoever gave up in this moment finds the call over.
        self.answer.send(answer).ok();
    }
}

impl Wishes {
    /// The next one. Never ready without one.
    pub(crate) async fn next(&mut self) -> Wish {
        match self.wishes.recv().await {
            Some(wish) => wish,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Wishes {
    fn drop(&mut self) {
        self.all.lock().remove(&self.payment);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use futures_util::FutureExt as _;
    use ivrpay_payment::{CallId, OperatorId};

    use super::*;

    fn payment(n: u8) -> PaymentId {
        format!("01890000-0000-7000-8000-0000000000{n:02}")
            .parse()
            .unwrap()
    }

    fn by() -> By {
        By {
            person: OperatorId::new("mori").unwrap(),
            via: "shop".into(),
        }
    }

    #[tokio::test]
    async fn a_wish_reaches_the_call_of_its_payment_and_no_other() {
        let cancels = Cancels::default();
        assert_eq!(
            cancels.wish(payment(1), Want::Cancel, by()).await,
            Wished::NotInCall
        );
        let mut one = cancels.take(payment(1));
        let mut other = cancels.take(payment(2));
        let call = CallId::new(uuid::Uuid::now_v7());
        let answered = async {
            let wish = one.next().await;
            assert_eq!(wish.by(), Some(&by()));
            wish.answer(Wished::Done(call));
        };
        let (told, ()) = tokio::join!(cancels.wish(payment(1), Want::Cancel, by()), answered);
        assert_eq!(told, Wished::Done(call));
        tokio::select! {
            biased;
            _ = other.next() => panic!("it was not about this one"),
            () = std::future::ready(()) => {}
        }
        drop(one);
        assert_eq!(
            cancels.wish(payment(1), Want::Cancel, by()).await,
            Wished::NotInCall
        );
    }

    #[tokio::test]
    async fn a_call_that_ends_or_has_too_much_to_do_is_told_of() {
        let cancels = Cancels::default();
        let wishes = cancels.take(payment(1));
        let ends = async { drop(wishes) };
        let (told, ()) = tokio::join!(cancels.wish(payment(1), Want::Cancel, by()), ends);
        assert_eq!(told, Wished::NotInCall);

        let mut wishes = cancels.take(payment(1));
        for _ in 0..WISHES_MAX {
            // Gives up waiting at once.
            let told = cancels.wish(payment(1), Want::Cancel, by()).now_or_never();
            assert_eq!(told, None);
        }
        assert_eq!(
            cancels.wish(payment(1), Want::Cancel, by()).await,
            Wished::NoAnswer
        );
        // What nobody waits for any more is not done.
        assert_eq!(wishes.next().await.by(), None);
    }
}
