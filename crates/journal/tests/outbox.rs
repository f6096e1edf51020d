//! Events for the merchants' programs: in their order, until they are delivered, and nobody else's.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{NOON, Place, approved, call, draft, order};
use ivrpay_journal::{Event, EventFilter, EventStanding, Journal, NewPayment};
use ivrpay_payment::{Doubt, Outcome, PaymentId, TenantId};

const HOLD: Duration = Duration::from_secs(60);

fn shop() -> TenantId {
    TenantId::new("shop").unwrap()
}

/// A payment of which nothing is known, and then that it is approved: two events.
async fn paid(journal: &Journal, tenant: &TenantId, name: &str) -> PaymentId {
    let new = NewPayment {
        tenant: tenant.clone(),
        ..order(name)
    };
    let claim = journal.create_claimed(new, call()).await.unwrap();
    let id = claim.payment().id;
    let intent = journal.write_intent(id, draft()).await.unwrap();
    let unknown = Outcome::Unknown(Doubt::NoReply);
    journal.write_outcome(&intent, &unknown).await.unwrap();
    let nothing = serde_json::Value::Null;
    let ended = journal.release(&claim, "outcome-unknown", nothing).await;
    ended.unwrap();
    let operation = intent.get().operation_id;
    let settled = journal.settle(operation, &approved(), "mori").await;
    settled.unwrap();
    id
}

async fn take(journal: &Journal, tenant: &TenantId) -> Option<Event> {
    journal.take_event(tenant, HOLD).await.unwrap()
}

async fn in_order_one_after_the_other_and_again_under_the_same_id(place: Place) {
    let journal = place.open().await;
    let (shop, other) = (shop(), TenantId::new("other").unwrap());
    let first = paid(&journal, &shop, "A").await;
    let second = paid(&journal, &shop, "B").await;
    let one = take(&journal, &shop).await.unwrap();
    assert_eq!(
        (one.payment, one.sequence, one.kind.as_str(), one.attempts),
        (first, 1, "payment.unknown", 1)
    );
    assert_eq!(one.data["order_id"], "A");
    // The second of that payment waits for the first; the other payment's does not.
    let two = take(&journal, &shop).await.unwrap();
    assert_eq!((two.payment, two.sequence), (second, 1));
    assert!(take(&journal, &shop).await.is_none());
    assert!(take(&journal, &other).await.is_none());

    journal.event_delivered(two).await.unwrap();
    let three = take(&journal, &shop).await.unwrap();
    assert_eq!((three.payment, three.sequence), (second, 2));
    // Whoever has taken the first has died: it is taken again when his time is over.
    place.now.fetch_add(60_000, Ordering::SeqCst);
    let again = take(&journal, &shop).await.unwrap();
    assert_eq!((again.id, again.attempts), (one.id, 2));
    journal.event_delivered(three).await.unwrap();
    journal.stop().await.unwrap();

    // And over a restart.
    let journal = place.open().await;
    place.now.fetch_add(60_000, Ordering::SeqCst);
    let again = take(&journal, &shop).await.unwrap();
    assert_eq!((again.id, again.attempts), (one.id, 3));
    let count = journal.event_count(&shop).await.unwrap();
    assert_eq!(
        (count.open, count.oldest_ms, count.given_up),
        (2, Some(NOON), 0)
    );
    assert_eq!(journal.event_count(&other).await.unwrap().oldest_ms, None);
}

async fn what_failed_is_tried_later_and_at_once_when_the_receiver_is_back(place: Place) {
    let journal = place.open().await;
    let shop = shop();
    paid(&journal, &shop, "A").await;
    paid(&journal, &shop, "B").await;
    let later = |ms| Some(NOON + ms);
    let (one, two) = (
        take(&journal, &shop).await.unwrap(),
        take(&journal, &shop).await.unwrap(),
    );
    let failed = journal.event_failed(one, "answered 503 instead of 2xx", later(5000));
    failed.await.unwrap();
    let failed = journal.event_failed(two.clone(), "not reached", later(7_200_000));
    failed.await.unwrap();
    assert!(take(&journal, &shop).await.is_none());
    place.now.fetch_add(90_000, Ordering::SeqCst);
    let one = take(&journal, &shop).await.unwrap();
    journal.event_delivered(one).await.unwrap();
    // It is back: nobody waits for two hours.
    let next = take(&journal, &shop).await.unwrap();
    let last = take(&journal, &shop).await.unwrap();
    let mut ids = [next.id, last.id];
    ids.sort_unstable();
    assert!(ids.contains(&two.id), "the one that waited is due");
    assert!(take(&journal, &shop).await.is_none());
}

async fn dead_letters_are_listed_and_sent_again_by_a_person(place: Place) {
    let journal = place.open().await;
    let shop = shop();
    let id = paid(&journal, &shop, "A").await;
    let one = take(&journal, &shop).await.unwrap();
    journal.event_failed(one, "no answer", None).await.unwrap();
    // What comes behind it is not kept back for ever.
    let two = take(&journal, &shop).await.unwrap();
    assert_eq!((two.payment, two.sequence), (id, 2));
    let of = |standing| EventFilter {
        tenant: Some(shop.clone()),
        standing: Some(standing),
        ..EventFilter::default()
    };
    let dead = journal.events(&of(EventStanding::GivenUp)).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].error.as_deref(), Some("no answer"));
    assert_eq!(
        journal
            .events(&of(EventStanding::Open))
            .await
            .unwrap()
            .len(),
        1
    );

    let again = journal.resend_event(dead[0].id).await.unwrap().unwrap();
    assert_eq!(
        (again.id, again.standing()),
        (dead[0].id, EventStanding::Open)
    );
    assert_eq!(again.again_ms, Some(NOON));
    let taken = take(&journal, &shop).await.unwrap();
    assert_eq!(taken.id, again.id);
    // A person has it sent once more while that try is on its way: what comes of the try does not undo the wish.
    journal.resend_event(taken.id).await.unwrap();
    journal
        .event_failed(taken, "no answer", None)
        .await
        .unwrap();
    let taken = take(&journal, &shop).await.unwrap();
    assert_eq!(taken.id, again.id);
    journal.event_delivered(taken).await.unwrap();
    let all = journal.events(&of(EventStanding::Delivered)).await.unwrap();
    assert_eq!(all.len(), 1);
    let nothing = "0193a1b2-0000-7000-8000-0000000000ff".parse().unwrap();
    assert!(journal.resend_event(nothing).await.unwrap().is_none());
}

/// A merchant's first webhook is told of what is new, not of years.
async fn old_events_are_not_sent_to_a_new_receiver(place: Place) {
    let journal = place.open().await;
    let shop = shop();
    paid(&journal, &shop, "old").await;
    place.now.fetch_add(73 * 3_600_000, Ordering::SeqCst);
    let id = paid(&journal, &shop, "new").await;
    let since = journal.now_ms() - 72 * 3_600_000;
    assert_eq!(journal.begin_events(&shop, since).await.unwrap(), 2);
    let one = take(&journal, &shop).await.unwrap();
    assert_eq!(one.payment, id);
    journal
        .event_failed(one, "no answer", Some(since))
        .await
        .unwrap();
    // Once one was tried, nothing is given up in silence, however long nobody was there.
    place.now.fetch_add(100 * 3_600_000, Ordering::SeqCst);
    let since = journal.now_ms() - 72 * 3_600_000;
    assert_eq!(journal.begin_events(&shop, since).await.unwrap(), 0);
}

on_both! {
    in_order_one_after_the_other_and_again_under_the_same_id,
    what_failed_is_tried_later_and_at_once_when_the_receiver_is_back,
    dead_letters_are_listed_and_sent_again_by_a_person,
    old_events_are_not_sent_to_a_new_receiver,
}
