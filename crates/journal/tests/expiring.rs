//! What is reserved and not taken: listed, and a task before it lapses.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{NOON, Place, approved, by, call, draft, order};
use ivrpay_journal::{
    IntentDraft, Journal, Later, LaterDraft, NewPayment, TRAINING, TaskFilter, TaskKind,
};
use ivrpay_payment::{OperationKind, PaymentId, Transaction};

async fn paid(journal: &Journal, name: &str, kind: OperationKind, connector: &str) -> PaymentId {
    let new = NewPayment {
        connector: connector.to_owned(),
        transaction: Transaction::from_name(kind.name()).unwrap(),
        ..order(name)
    };
    let claim = journal.create_claimed(new, call()).await.unwrap();
    let draft = IntentDraft {
        connector: connector.to_owned(),
        ..draft()
    };
    let id = claim.payment().id;
    let intent = journal.write_intent(id, draft).await.unwrap();
    journal.write_outcome(&intent, &approved()).await.unwrap();
    let nothing = serde_json::Value::Null;
    journal.release(&claim, "success", nothing).await.unwrap();
    id
}

async fn what_lapses_is_told_once_until_it_is_taken(place: Place) {
    let journal = place.open().await;
    let reserve = OperationKind::Authorise;
    let first = paid(&journal, "first", reserve, "a").await;
    let second = paid(&journal, "second", reserve, "a").await;
    let charged = paid(&journal, "charged", OperationKind::Charge, "a").await;
    paid(&journal, "practice", reserve, TRAINING).await;
    let reserved = async || -> Vec<(PaymentId, i64)> {
        let all = journal.reserved(None).await.unwrap();
        all.iter().map(|r| (r.payment.id, r.since_ms)).collect()
    };
    assert_eq!(reserved().await, [(first, NOON), (second, NOON)]);
    let other = "other".parse().unwrap();
    assert!(journal.reserved(Some(&other)).await.unwrap().is_empty());

    // Looked for by connector and age, until they are told.
    let untold = async |connector: &str, since_ms: i64| -> Vec<PaymentId> {
        let all = journal.reserved_untold(connector, since_ms).await.unwrap();
        all.iter().map(|r| r.payment.id).collect()
    };
    assert_eq!(untold("a", NOON).await, [first, second]);
    assert_eq!(untold("a", NOON - 1).await, []);
    assert_eq!(untold("b", NOON).await, []);

    let lapses = NOON + 1000;
    assert!(journal.expiring(first, lapses).await.unwrap());
    assert!(journal.expiring(second, lapses).await.unwrap());
    for id in [first, second, charged] {
        assert!(!journal.expiring(id, lapses).await.unwrap());
    }
    assert_eq!(untold("a", NOON).await, []);
    let tasks = async || journal.tasks(&TaskFilter::default()).await.unwrap();
    let open = tasks().await;
    let kinds: Vec<_> = open.iter().map(|t| (t.payment, t.kind, t.due_ms)).collect();
    let kind = TaskKind::ExpiringAuthorisation;
    assert_eq!(
        kinds,
        [(Some(first), kind, lapses), (Some(second), kind, lapses)]
    );
    // A person may close it and let it lapse: he is not told again.
    let (person, note) = (by("mori"), "the order was cancelled");
    let closed = journal.finish_task(open[1].id, &person, note, None).await;
    closed.unwrap();
    assert!(!journal.expiring(second, lapses).await.unwrap());
    // Taken, it is no task any more.
    let capture = LaterDraft {
        kind: OperationKind::Capture,
        amount_minor: None,
        by: by("mori"),
        request: None,
        judged: None,
    };
    let Later::New(capture) = journal.write_later(first, capture).await.unwrap() else {
        panic!("no request was given");
    };
    journal.write_outcome(&capture, &approved()).await.unwrap();
    assert!(tasks().await.is_empty());
    assert_eq!(reserved().await, [(second, NOON)]);
}

on_both!(what_lapses_is_told_once_until_it_is_taken,);
