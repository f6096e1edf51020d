//! Transactions that share a commit: what one of them does, or leaves undone, is nobody else's.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::future::poll_fn;
use std::task::Poll;

use common::{Place, order};
use ivrpay_journal::{CreateError, Journal, NewPayment, Origin};

on_both!(who_goes_away_takes_nothing_of_anybody_else);

/// Its caller waits for the disk.
fn announced(name: &str) -> NewPayment {
    NewPayment {
        origin: Origin::Api,
        ..order(name)
    }
}

/// Polled n times and dropped; whether it ended before.
async fn polled(journal: &Journal, name: String, times: u32) -> bool {
    let mut asked = Box::pin(journal.create(announced(&name)));
    let mut left = times;
    poll_fn(move |context| match asked.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(done.is_ok()),
        Poll::Pending if left == 0 => Poll::Ready(false),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// One is done, one is refused, one is done, one goes away somewhere in the middle: what was told to be written is there, and the journal
/// fits together.
async fn who_goes_away_takes_nothing_of_anybody_else(place: Place) {
    let mut journal = place.open().await;
    let mut dropped = 0;
    for times in 0..400 {
        let name = |of: &str| format!("{of}-{times}");
        // Tasks of their own, each polled when its own wait is over; they get the journal in this order.
        let begun = [name("A"), name("A"), name("B")].map(|name| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.create(announced(&name)).await })
        });
        let leaving = {
            let (journal, name) = (journal.clone(), name("C"));
            tokio::spawn(async move { polled(&journal, name, times).await })
        };
        let [first, twice, second] = begun;
        let (first, twice, second) = (
            first.await.unwrap(),
            twice.await.unwrap(),
            second.await.unwrap(),
        );
        let gone = leaving.await.unwrap();
        assert!(
            matches!(
                twice,
                Err(CreateError::OrderTaken { .. }) | Err(CreateError::Journal(_))
            ),
            "{times}: {twice:?}"
        );
        for told in [first, second].into_iter().flatten() {
            let id = told.payment().id;
            let found = journal.payment(id).await.unwrap();
            assert!(found.is_some(), "{times}: told as written, and not there");
        }
        dropped += u32::from(!gone);
        let report = journal.verify().await.unwrap();
        assert!(report.is_sound(), "{times}: {report:?}");
        if times % 50 == 0 {
            journal.stop().await.unwrap();
            drop(journal);
            journal = place.open().await;
        }
        if gone && times > 20 {
            break;
        }
    }
    assert!(dropped > 3, "{dropped}");
}
