//! What was answered under an `Idempotency-Key`: over a restart, over several services, and for a day.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::Place;
use ivrpay_journal::{ApiRequest, Begun, GivenAnswer, Journal};
use ivrpay_payment::TenantId;

on_both!(
    an_answer_is_kept_over_a_restart_for_a_day,
    what_a_process_did_not_answer_is_the_next_ones
);

fn asked(key: &str, hash: u8) -> ApiRequest {
    ApiRequest {
        key: key.into(),
        hash: [hash; 32],
    }
}

fn tenant() -> TenantId {
    TenantId::new("shop").unwrap()
}

fn made() -> GivenAnswer {
    GivenAnswer {
        status: 201,
        content_type: "application/json".into(),
        location: Some("/v1/payments/1".into()),
        body: "{\"円\":1}".into(),
    }
}

async fn begin(journal: &Journal, key: &str, hash: u8) -> Begun {
    let request = asked(key, hash);
    journal.begin_request(&tenant(), &request).await.unwrap()
}

async fn end(journal: &Journal, key: &str, hash: u8, answer: Option<&GivenAnswer>) {
    let request = asked(key, hash);
    journal
        .end_request(&tenant(), &request, answer)
        .await
        .unwrap();
}

async fn an_answer_is_kept_over_a_restart_for_a_day(place: Place) {
    let journal = place.open().await;
    assert_eq!(begin(&journal, "k", 1).await, Begun::New);
    assert_eq!(begin(&journal, "k", 1).await, Begun::InFlight);
    assert_eq!(begin(&journal, "k", 2).await, Begun::Reused);
    end(&journal, "k", 1, Some(&made())).await;
    assert_eq!(begin(&journal, "k", 1).await, Begun::Answered(made()));
    assert_eq!(begin(&journal, "k", 2).await, Begun::Reused);
    // One that was not begun may come again, as another too.
    assert_eq!(begin(&journal, "wrong", 1).await, Begun::New);
    end(&journal, "wrong", 1, None).await;
    assert_eq!(begin(&journal, "wrong", 2).await, Begun::New);
    // Another merchant's key is another one.
    let other = TenantId::new("other").unwrap();
    let begun = journal.begin_request(&other, &asked("k", 9)).await.unwrap();
    assert_eq!(begun, Begun::New);
    journal.stop().await.unwrap();

    let journal = place.open().await;
    place.now.fetch_add(24 * 3_600_000, Ordering::Relaxed);
    assert_eq!(begin(&journal, "k", 1).await, Begun::Answered(made()));
    place.now.fetch_add(1, Ordering::Relaxed);
    assert_eq!(begin(&journal, "k", 2).await, Begun::New);
    // Nothing of it stands in the chain, and the minute's work takes it out where nobody asks.
    assert!(journal.verify().await.unwrap().is_sound());
    place.now.fetch_add(24 * 3_600_000 + 1, Ordering::Relaxed);
    journal.expire(journal.now_ms()).await.unwrap();
    let left = place.texts("SELECT tenant FROM answers").await;
    assert_eq!(left, Vec::<String>::new());
}

async fn what_a_process_did_not_answer_is_the_next_ones(place: Place) {
    let journal = place.open().await;
    assert_eq!(begin(&journal, "k", 1).await, Begun::New);
    // Stopped while a client waited.
    journal.stop().await.unwrap();
    drop(journal);
    let journal = place.open().await;
    assert_eq!(begin(&journal, "k", 1).await, Begun::Lost);
    assert_eq!(begin(&journal, "k", 1).await, Begun::InFlight);
    assert_eq!(begin(&journal, "k", 2).await, Begun::Reused);
    // Its end could not be written: nobody waits for it for ever.
    place.now.fetch_add(600_000, Ordering::Relaxed);
    assert_eq!(begin(&journal, "k", 1).await, Begun::Lost);
    assert_eq!(begin(&journal, "k", 1).await, Begun::InFlight);
    end(&journal, "k", 1, Some(&made())).await;
    assert_eq!(begin(&journal, "k", 1).await, Begun::Answered(made()));
}

async fn daemon(place: &Place, name: &str) -> Journal {
    let mut options = place.options();
    options.writer = name.into();
    options.lease = Duration::from_secs(60);
    options.busy_timeout = Duration::from_secs(5);
    Journal::open(place.at(), options).await.unwrap()
}

#[tokio::test]
async fn several_services_answer_as_one() {
    let place = Place::on_postgres().await;
    let (a, b) = (daemon(&place, "a").await, daemon(&place, "b").await);
    assert_eq!(begin(&a, "k", 1).await, Begun::New);
    assert_eq!(begin(&b, "k", 1).await, Begun::InFlight);
    end(&a, "k", 1, Some(&made())).await;
    assert_eq!(begin(&b, "k", 1).await, Begun::Answered(made()));
    // One that stood still too long: the other one answers, and what the first one says later is not kept.
    assert_eq!(begin(&a, "late", 1).await, Begun::New);
    let lapsed = "UPDATE writers SET lease_ms = 1 WHERE name = 'a'";
    assert_eq!(place.run(lapsed).await.unwrap(), 1);
    assert_eq!(begin(&b, "late", 1).await, Begun::Lost);
    let late = journal_error(&a).await;
    assert!(late, "it may not write any more");
    end(&b, "late", 1, Some(&made())).await;
    assert_eq!(begin(&b, "late", 1).await, Begun::Answered(made()));
    b.stop().await.unwrap();
}

async fn journal_error(journal: &Journal) -> bool {
    let request = asked("late", 1);
    let ended = journal.end_request(&tenant(), &request, None).await;
    ended.is_err()
}
