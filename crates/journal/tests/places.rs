//! Places for calls that services on one journal count together: no pool has more than its limit, and a service that is gone has none.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::Place;
use ivrpay_journal::{Error, Journal};

on_both!(its_own_count_is_what_it_wrote_last);

async fn daemon(place: &Place, name: &str) -> Journal {
    let mut options = place.options();
    options.writer = name.into();
    options.lease = Duration::from_secs(60);
    options.busy_timeout = Duration::from_secs(5);
    Journal::open(place.at(), options).await.unwrap()
}

/// (pool, ours, how many), as this service reads it.
async fn counts(journal: &Journal) -> Vec<(String, bool, u32)> {
    let places = journal.places().await.unwrap().into_iter();
    places.map(|p| (p.pool, p.here, p.taken)).collect()
}

fn count(pool: &str, here: bool, taken: u32) -> (String, bool, u32) {
    (pool.into(), here, taken)
}

/// One more of a pool with that limit, by a service that has so many.
async fn take(journal: &Journal, here: u32, limit: u32) -> Result<bool, Error> {
    let may = move |elsewhere| here + elsewhere < limit;
    journal.take_place("gold", here + 1, may).await
}

async fn its_own_count_is_what_it_wrote_last(place: Place) {
    let journal = place.open().await;
    assert!(counts(&journal).await.is_empty());
    for here in 0..3 {
        assert!(take(&journal, here, 3).await.unwrap());
    }
    assert!(!take(&journal, 3, 3).await.unwrap());
    assert_eq!(counts(&journal).await, [count("gold", true, 3)]);
    journal
        .count_places(&[("gold", 1), ("silver", 4)])
        .await
        .unwrap();
    let both = [count("gold", true, 1), count("silver", true, 4)];
    assert_eq!(counts(&journal).await, both);
    assert!(journal.verify().await.unwrap().is_sound());
    // Another start of the same service has given none yet.
    journal.stop().await.unwrap();
    let journal = place.open().await;
    assert!(counts(&journal).await.is_empty());
    assert!(take(&journal, 0, 1).await.unwrap());
    assert_eq!(counts(&journal).await, [count("gold", true, 1)]);
}

/// Calls at once at two services, in any order: exactly as many as there are get one.
#[tokio::test]
async fn of_fifty_calls_at_two_services_as_many_get_a_place_as_there_are() {
    const LIMIT: u32 = 7;
    let place = Place::on_postgres().await;
    let services = [daemon(&place, "a").await, daemon(&place, "b").await];
    // Each service counts one call after the other, and a call that is refused lets the next one try.
    let given = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
    let locks = Arc::new([tokio::sync::Mutex::new(()), tokio::sync::Mutex::new(())]);
    let mut calls = Vec::new();
    for n in 0..50 {
        let (journal, which) = (services[n % 2].clone(), n % 2);
        let (given, locks) = (Arc::clone(&given), Arc::clone(&locks));
        calls.push(tokio::spawn(async move {
            let _one = locks[which].lock().await;
            let here = given[which].load(Ordering::SeqCst);
            let got = take(&journal, here, LIMIT).await.unwrap();
            given[which].fetch_add(u32::from(got), Ordering::SeqCst);
            got
        }));
    }
    let mut got = 0;
    for call in calls {
        got += u32::from(call.await.unwrap());
    }
    assert_eq!(got, LIMIT);
    let all: u32 = counts(&services[0]).await.iter().map(|c| c.2).sum();
    assert_eq!(all, LIMIT);
    // Each sees the other's as those of others.
    let (a, b) = (
        given[0].load(Ordering::SeqCst),
        given[1].load(Ordering::SeqCst),
    );
    for (journal, here, elsewhere) in [(&services[0], a, b), (&services[1], b, a)] {
        for (_, ours, taken) in counts(journal).await {
            assert_eq!(taken, if ours { here } else { elsewhere });
        }
    }
}

#[tokio::test]
async fn the_places_of_one_that_is_gone_come_back_with_its_lease() {
    let place = Place::on_postgres().await;
    let (a, b) = (daemon(&place, "a").await, daemon(&place, "b").await);
    assert!(take(&a, 0, 2).await.unwrap() && take(&a, 1, 2).await.unwrap());
    assert!(!take(&b, 0, 2).await.unwrap());
    let lapsed = "UPDATE writers SET lease_ms = 1 WHERE name = 'a'";
    assert_eq!(place.run(lapsed).await.unwrap(), 1);
    assert_eq!(counts(&b).await, []);
    assert!(take(&b, 0, 2).await.unwrap());
    // It comes back, and thinks that it has them still.
    let fenced = take(&a, 2, 9).await.unwrap_err();
    assert!(matches!(fenced, Error::Fenced { .. }), "{fenced:?}");
    let fenced = a.count_places(&[("gold", 2)]).await.unwrap_err();
    assert!(matches!(fenced, Error::Fenced { .. }), "{fenced:?}");
    assert!(take(&b, 1, 2).await.unwrap());
    // Nor does another start of it have what that one had.
    drop(a);
    let again = daemon(&place, "a").await;
    assert!(!take(&again, 0, 2).await.unwrap());
    // One that leaves in order gives its own back at once.
    b.stop().await.unwrap();
    assert!(take(&again, 0, 2).await.unwrap());
}
