//! Several daemons on one journal: what one announces another one takes, what a dead one left another one makes good, and one that was away
//! too long comes back to nothing.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{NOON, Place, announced, approved, call, draft, order, raw_of};
use ivrpay_journal::{
    ClaimError, CreateError, Created, Error, IntentError, Journal, Location, NewPayment,
    OperationState, OutcomeError, Server,
};
use ivrpay_payment::{Doubt, Durable, Intent, Outcome, PaymentId, State};
use sqlx::Connection as _;

async fn daemon(place: &Place, name: &str, lease: Duration) -> Journal {
    let mut options = place.options();
    options.writer = name.into();
    options.lease = lease;
    options.busy_timeout = Duration::from_secs(5);
    Journal::open(place.at(), options).await.unwrap()
}

const LONG: Duration = Duration::from_secs(60);

async fn two() -> (Place, Journal, Journal) {
    let place = Place::on_postgres().await;
    let (a, b) = (
        daemon(&place, "a", LONG).await,
        daemon(&place, "b", LONG).await,
    );
    (place, a, b)
}

async fn in_flight(journal: &Journal, name: &str) -> (PaymentId, Durable<Intent>) {
    let id = journal.create(order(name)).await.unwrap().payment().id;
    journal.claim(id, call()).await.unwrap();
    (id, journal.write_intent(id, draft()).await.unwrap())
}

async fn state(journal: &Journal, id: PaymentId) -> State {
    journal.payment(id).await.unwrap().unwrap().state
}

fn at(place: &Place) -> Server {
    match place.at() {
        Location::Server(server) => server,
        Location::File(_) => unreachable!(),
    }
}

/// The lease of a daemon is over, as after a machine that stood still; it does not know.
async fn lapse(place: &Place, name: &str) {
    let lapsed = format!("UPDATE writers SET lease_ms = 1 WHERE name = '{name}'");
    assert_eq!(place.run(&lapsed).await.unwrap(), 1);
}

#[tokio::test]
async fn one_order_is_one_payment_and_one_call_over_all() {
    let (_place, a, b) = two().await;
    let created = a.create(announced("A-1", NOON + 60_000)).await.unwrap();
    let id = created.payment().id;
    assert!(matches!(
        b.create(order("A-1")).await,
        Err(CreateError::OrderTaken { payment_id, state: State::Waiting }) if payment_id == id
    ));
    // The same request of the order system, sent to the other one.
    assert!(matches!(
        b.create(announced("A-1", NOON + 60_000)).await,
        Err(CreateError::OrderTaken { .. })
    ));
    b.claim(id, call()).await.unwrap();
    assert!(matches!(a.claim(id, call()).await, Err(ClaimError::Taken)));
    // A claim is the right of the daemon that has it.
    assert!(matches!(
        a.write_intent(id, draft()).await,
        Err(IntentError::NotClaimed)
    ));
    let intent = b.write_intent(id, draft()).await.unwrap();
    assert_eq!(
        b.write_outcome(&intent, &approved()).await.unwrap(),
        State::Approved
    );
    assert_eq!(state(&a, id).await, State::Approved);
    let (a, b) = (a.verify().await.unwrap(), b.verify().await.unwrap());
    assert!(a.is_sound() && a == b, "{a:?} {b:?}");
}

#[tokio::test]
async fn of_fifty_calls_at_two_daemons_one_gets_the_order() {
    let (_place, a, b) = two().await;
    let tries = (0..50).map(|n| {
        let journal = if n % 2 == 0 { a.clone() } else { b.clone() };
        tokio::spawn(async move { journal.create_claimed(order("A-1"), call()).await.is_ok() })
    });
    let mut got = 0;
    for one in tries.collect::<Vec<_>>() {
        got += usize::from(one.await.unwrap());
    }
    assert_eq!(got, 1);
    assert!(a.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn numbers_are_given_once_over_all() {
    let (_place, a, b) = two().await;
    let mut tasks = Vec::new();
    for n in 0..20 {
        for journal in [&a, &b] {
            let (journal, name) = (journal.clone(), format!("N-{n}-{}", tasks.len()));
            tasks.push(tokio::spawn(async move {
                let (id, intent) = in_flight(&journal, &name).await;
                let reference = journal.payment(id).await.unwrap().unwrap().reference;
                (intent.get().acquirer_order, reference.unwrap())
            }));
        }
    }
    let (mut orders, mut references) = (BTreeSet::new(), BTreeSet::new());
    for task in tasks {
        let (order, reference) = task.await.unwrap();
        assert!(orders.insert(order) && references.insert(reference));
    }
    assert!(b.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn what_a_living_one_is_at_is_left_to_it() {
    let (_place, a, b) = two().await;
    let (id, intent) = in_flight(&a, "A-1").await;
    let commits = b.commits();
    assert!(b.recover().await.unwrap().is_empty());
    assert_eq!(
        b.commits(),
        commits,
        "a look each few seconds writes nothing"
    );
    assert_eq!(state(&b, id).await, State::InFlight);
    assert_eq!(b.calls_elsewhere().await.unwrap().len(), 1);
    assert!(a.calls_elsewhere().await.unwrap().is_empty());
    a.write_outcome(&intent, &approved()).await.unwrap();
    assert!(b.recover().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_dead_one_left_is_made_good_once_and_it_writes_nothing_any_more() {
    let (place, a, b) = two().await;
    let c = daemon(&place, "c", LONG).await;
    let (sent, intent) = in_flight(&a, "A-1").await;
    let keyed = a.create(announced("A-2", NOON + 60_000)).await.unwrap();
    let keyed = keyed.payment().id;
    a.claim(keyed, call()).await.unwrap();
    a.may_send().unwrap();
    lapse(&place, "a").await;
    let (first, second) = tokio::join!(b.recover(), c.recover());
    let (first, second) = (first.unwrap(), second.unwrap());
    let (did, idle) = if first.is_empty() {
        (second, first)
    } else {
        (first, second)
    };
    assert!(idle.is_empty(), "one of them makes it good: {idle:?}");
    assert_eq!((did.unknown, did.released), (vec![sent], vec![keyed]));
    assert_eq!(state(&b, sent).await, State::Unknown);

    // It comes back, and thinks that it is at it still.
    let operation = intent.get().operation_id;
    let refused = a.write_outcome(&intent, &approved()).await.unwrap_err();
    assert!(
        matches!(refused, OutcomeError::Journal(Error::Fenced { .. })),
        "{refused:?}"
    );
    assert!(matches!(a.may_send(), Err(Error::Fenced { .. })));
    assert!(matches!(a.ping().await, Err(Error::Fenced { .. })));
    assert!(matches!(
        a.create(order("A-3")).await,
        Err(CreateError::Journal(Error::Fenced { .. }))
    ));
    a.fenced().await;
    let all = b.operations(sent).await.unwrap();
    assert_eq!((all.len(), all[0].id), (1, operation));
    assert_eq!(all[0].state, OperationState::Unknown);
    // What waits again is taken by another.
    b.claim(keyed, call()).await.unwrap();
    // Nor does it come back by its name's end.
    assert!(matches!(a.recover().await, Err(Error::Fenced { .. })));
    a.stop().await.unwrap();
    let again = daemon(&place, "a", LONG).await;
    again.ping().await.unwrap();
    assert!(again.recover().await.unwrap().is_empty());
    assert!(again.verify().await.unwrap().is_sound());
}

/// What is unknown is asked about by one of them.
#[tokio::test]
async fn a_question_that_is_due_is_taken_once() {
    let (place, a, b) = two().await;
    let (_, intent) = in_flight(&a, "A-1").await;
    let unknown = Outcome::Unknown(Doubt::NoReply);
    a.write_outcome(&intent, &unknown).await.unwrap();
    let id = intent.get().operation_id;
    assert!(!b.take_inquiry(id).await.unwrap(), "it is not due yet");
    place.now.fetch_add(10_000, Ordering::SeqCst);
    assert_eq!(b.to_inquire("null", 8).await.unwrap().len(), 1);
    let (first, second) = tokio::join!(a.take_inquiry(id), b.take_inquiry(id));
    assert_ne!(first.unwrap(), second.unwrap());
    assert!(b.to_inquire("null", 8).await.unwrap().is_empty());
    // The one that took it says nothing more.
    place.now.fetch_add(61_000, Ordering::SeqCst);
    assert!(b.take_inquiry(id).await.unwrap());
}

/// It is told by nobody: the renewal does not come through, and its own clock says that the lease is over.
#[tokio::test]
async fn one_that_cannot_renew_stops_by_itself_in_time() {
    let place = Place::on_postgres().await;
    let lease = Duration::from_millis(1500);
    let a = daemon(&place, "a", lease).await;
    a.may_send().unwrap();
    let mut held = raw_of(&at(&place)).await;
    sqlx::raw_sql("BEGIN; SELECT 1 FROM writers FOR UPDATE")
        .execute(&mut held)
        .await
        .unwrap();
    let began = std::time::Instant::now();
    let a_lease = a.clone();
    let why = tokio::spawn(async move { a_lease.fenced().await });
    while a.may_send().is_ok() {
        assert!(
            began.elapsed() < lease,
            "it may send though its lease is over"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(why.await.unwrap().contains("lease"));
    sqlx::raw_sql("ROLLBACK").execute(&mut held).await.unwrap();
    assert!(matches!(a.ping().await, Err(Error::Fenced { .. })));
}

#[tokio::test]
async fn a_lease_goes_on_as_long_as_it_is_renewed() {
    let place = Place::on_postgres().await;
    let a = daemon(&place, "a", Duration::from_secs(2)).await;
    let b = daemon(&place, "b", LONG).await;
    let (id, _) = in_flight(&a, "A-1").await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(b.recover().await.unwrap().is_empty());
    assert_eq!(state(&b, id).await, State::InFlight);
    a.may_send().unwrap();
}

#[tokio::test]
async fn a_name_is_of_one_daemon() {
    let place = Place::on_postgres().await;
    let a = daemon(&place, "a", Duration::from_secs(2)).await;
    let mut options = place.options();
    options.writer = "a".into();
    options.lease = Duration::from_millis(300);
    match Journal::open(place.at(), options).await {
        Err(Error::InUse { pid }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    a.ping().await.unwrap();
    // One that is gone need not be waited for, where it is sure that it is.
    drop(a);
    let began = std::time::Instant::now();
    daemon(&place, "a", LONG).await.ping().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
}

/// A daemon that stands still in the middle of a write keeps the others waiting for seconds, not for ever.
#[tokio::test]
async fn whoever_stands_still_in_a_write_is_cut_off() {
    let (place, a, _b) = two().await;
    let mut other = raw_of(&at(&place)).await;
    // As a daemon of ours sets it.
    sqlx::raw_sql("SET idle_in_transaction_session_timeout = 500; BEGIN; SELECT pg_advisory_xact_lock(1769370224)")
        .execute(&mut other)
        .await
        .unwrap();
    let began = std::time::Instant::now();
    a.ping().await.unwrap();
    let waited = began.elapsed();
    assert!(
        (Duration::from_millis(300)..Duration::from_secs(4)).contains(&waited),
        "{waited:?}"
    );
    assert!(other.ping().await.is_err());
}

/// A backend that is ended between two transactions, or in one.
#[tokio::test]
async fn a_lost_connection_loses_nothing_and_is_made_anew() {
    let (place, a, _b) = two().await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ivrpay a' AND datname = current_database()";
    for n in 0..20_u64 {
        let (id, intent) = in_flight(&a, &format!("L-{n}")).await;
        let outcome = approved();
        let writing = a.write_outcome(&intent, &outcome);
        let ending = async {
            tokio::time::sleep(Duration::from_micros(n * 150)).await;
            place.run(end).await.unwrap();
        };
        let (written, ()) = tokio::join!(writing, ending);
        let now = state(&a, id).await;
        match written {
            Ok(said) => assert_eq!((said, now), (State::Approved, State::Approved)),
            Err(OutcomeError::Journal(Error::Unreachable { .. })) => {
                assert_eq!(now, State::InFlight, "said not to be written");
                assert_eq!(
                    a.write_outcome(&intent, &approved()).await.unwrap(),
                    State::Approved
                );
            }
            other => panic!("{other:?}"),
        }
        a.close(id, "success", serde_json::Value::Null)
            .await
            .unwrap();
    }
    assert!(a.verify().await.unwrap().is_sound());
    a.may_send().unwrap();
}

/// Payments at once share a commit; what one of them may not do is taken back alone.
async fn many_at_once_share_a_sync(place: Place) {
    let journal = place.open().await;
    let mut tasks = Vec::new();
    for n in 0..64 {
        let journal = journal.clone();
        tasks.push(tokio::spawn(async move {
            // Each fourth wants an order that another one has.
            let name = if n % 4 == 3 {
                "S-0".into()
            } else {
                format!("S-{n}")
            };
            journal.create(announced(&name, NOON + 60_000)).await
        }));
    }
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(Created::New(_)) => made += 1,
            Err(CreateError::OrderTaken { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(made, 48);
    let (transactions, commits) = journal.commits();
    assert!(
        transactions == 48 && commits <= 24,
        "{commits} commits for {transactions} payments at once"
    );
    assert!(journal.verify().await.unwrap().is_sound());
}

/// Callers who go away in the middle take nothing of the others with them.
async fn who_goes_away_takes_his_own_part_alone(place: Place) {
    let journal = place.open().await;
    let mut stay = Vec::new();
    let mut leave = Vec::new();
    for n in 0..60 {
        let journal = journal.clone();
        let one = tokio::spawn(async move {
            journal
                .create(announced(&format!("G-{n}"), NOON + 60_000))
                .await
        });
        if n % 3 == 0 {
            leave.push(one)
        } else {
            stay.push(one)
        }
        if n % 7 == 0 {
            tokio::task::yield_now().await;
            for one in &leave {
                one.abort();
            }
        }
    }
    for one in stay {
        one.await.unwrap().unwrap();
    }
    assert!(journal.verify().await.unwrap().is_sound());
    // Whatever became of theirs, it is whole, and the journal goes on.
    let new = NewPayment {
        order: None,
        ..order("x")
    };
    journal.create(new).await.unwrap();
}

on_both!(
    many_at_once_share_a_sync,
    who_goes_away_takes_his_own_part_alone
);

/// A step of the schema that only one of the two has would be noticed here.
#[tokio::test]
async fn both_have_the_same_columns() {
    let (file, server) = (Place::new(), Place::on_postgres().await);
    file.open().await.stop().await.unwrap();
    server.open().await.stop().await.unwrap();
    let of_file = file.texts(
        "SELECT m.name || '.' || t.name FROM sqlite_schema m, pragma_table_info(m.name) t
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE '_sqlx%' ORDER BY 1",
    );
    let of_server = server.texts(
        "SELECT CAST(table_name || '.' || column_name AS text) FROM information_schema.columns
         WHERE table_schema = 'public' AND table_name NOT LIKE '\\_sqlx%'",
    );
    let sorted = |columns: Vec<String>| columns.into_iter().collect::<BTreeSet<_>>();
    let (of_file, of_server) = (sorted(of_file.await), sorted(of_server.await));
    let differ: Vec<_> = of_file.symmetric_difference(&of_server).collect();
    assert!(differ.is_empty(), "{differ:?}");
    let indexes = "SELECT CAST(indexname AS text) FROM pg_indexes WHERE schemaname = 'public' AND indexdef LIKE '%WHERE%'";
    let of_file =
        file.texts("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql LIKE '%WHERE%'");
    let (of_file, of_server) = (sorted(of_file.await), sorted(server.texts(indexes).await));
    assert_eq!(of_file, of_server);
}

#[tokio::test]
async fn a_server_that_would_lose_what_is_promised_is_refused() {
    let place = Place::on_postgres().await;
    place.open().await.stop().await.unwrap();
    let name = at(&place).to_string();
    let name = name.rsplit('/').next().unwrap();
    let set = format!("ALTER DATABASE {name} SET synchronous_commit = off");
    place.run(&set).await.unwrap();
    for refused in [
        Journal::open(place.at(), place.options()).await,
        Journal::open_read_only(place.at()).await,
    ] {
        let error = refused.unwrap_err();
        assert!(
            error.to_string().contains("synchronous_commit = off"),
            "{error}"
        );
        assert!(error.hint().contains("synchronous_commit = on"));
    }
}

#[tokio::test]
async fn an_empty_database_and_one_that_is_away_are_told_apart() {
    let place = Place::on_postgres().await;
    assert!(matches!(
        Journal::open_read_only(place.at()).await,
        Err(Error::Version { found: 0, .. })
    ));
    let away = Server::new("postgres:///journal?host=/nowhere&user=postgres", None).unwrap();
    assert!(matches!(
        Journal::open_read_only(away).await,
        Err(Error::Unreachable { .. })
    ));
}
