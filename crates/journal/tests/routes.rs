//! An operation that its first acquirer never saw is asked of another one; everything behind it goes to the one that was asked.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{NOON, Place, announced, approved, by, call, declined, draft, order};
use ivrpay_journal::{
    IntentDraft, IntentError, Journal, Later, LaterDraft, NewPayment, OperationState, OutcomeError,
    TRAINING,
};
use ivrpay_payment::{Doubt, Durable, Intent, OperationKind, Outcome, PaymentId, State, Why};

const UNKNOWN: Outcome = Outcome::Unknown(Doubt::NoReply);

async fn asked_of(journal: &Journal, connector: &str) -> (PaymentId, Durable<Intent>) {
    let id = journal.create(order(connector)).await.unwrap().payment().id;
    journal.claim(id, call()).await.unwrap();
    let draft = IntentDraft {
        connector: connector.to_owned(),
        ..draft()
    };
    (id, journal.write_intent(id, draft).await.unwrap())
}

async fn connectors(journal: &Journal, id: PaymentId) -> Vec<String> {
    let operations = journal.operations(id).await.unwrap();
    let payment = journal.payment(id).await.unwrap().unwrap();
    let all = operations.into_iter().map(|o| o.connector);
    all.chain([payment.connector]).collect()
}

async fn what_follows_goes_to_the_connector_that_was_asked(place: Place) {
    let journal = place.open().await;
    let (id, intent) = asked_of(&journal, "a").await;
    assert_eq!(connectors(&journal, id).await, ["a", "a"]);
    journal.fail_over(&intent, "b").await.unwrap();
    journal.fail_over(&intent, "c").await.unwrap();
    journal.write_outcome(&intent, &approved()).await.unwrap();
    // Its answer is known: it is asked of nobody any more.
    let late = journal.fail_over(&intent, "a").await;
    assert!(
        matches!(late, Err(OutcomeError::AlreadyWritten)),
        "{late:?}"
    );
    let refund = LaterDraft {
        kind: OperationKind::Refund,
        amount_minor: Some(100),
        by: by("sato"),
        request: None,
        judged: None,
    };
    let Later::New(refund) = journal.write_later(id, refund).await.unwrap() else {
        panic!("no request was given");
    };
    // What is done behind the call has one acquirer that can do it.
    let elsewhere = journal.fail_over(&refund, "b").await;
    assert!(matches!(elsewhere, Err(OutcomeError::AlreadyWritten)));
    journal.write_outcome(&refund, &UNKNOWN).await.unwrap();
    let refund = refund.get().operation_id;
    journal.write_query(refund, &by("sato")).await.unwrap();
    assert_eq!(connectors(&journal, id).await, ["c", "c", "c", "c"]);
    let records = journal.records(id).await.unwrap();
    let moves: Vec<_> = records.iter().filter(|r| r.kind == "failed-over").collect();
    let moved =
        |r: &ivrpay_journal::Record| (r.body["not_reached"].clone(), r.body["connector"].clone());
    assert_eq!(
        moves.into_iter().map(moved).collect::<Vec<_>>(),
        [("a".into(), "b".into()), ("b".into(), "c".into())]
    );
    assert!(journal.verify().await.unwrap().is_sound());
}

/// The process dies while the second one is asked: that one is asked what became of it.
async fn a_crash_behind_a_fail_over_is_inquired_where_it_was_sent(place: Place) {
    let journal = place.open().await;
    let (id, intent) = asked_of(&journal, "a").await;
    journal.fail_over(&intent, "b").await.unwrap();
    drop(journal);
    tokio::task::yield_now().await;
    let journal = place.open().await;
    journal.recover().await.unwrap();
    let operation = journal.operations(id).await.unwrap().remove(0);
    assert_eq!(
        (operation.state, operation.connector.as_str()),
        (OperationState::Unknown, "b")
    );
    // The task of the old process comes back late.
    let late = journal.fail_over(&intent, "c").await;
    assert!(matches!(late, Err(OutcomeError::AlreadyWritten)));
    journal
        .write_query(operation.id, &by("sato"))
        .await
        .unwrap();
    assert_eq!(connectors(&journal, id).await, ["b", "b", "b"]);
}

/// Where the connector was named, and in practice, no other one is asked.
async fn a_named_connector_and_practice_stay_where_they_are(place: Place) {
    let journal = place.open().await;
    for (own, named, other) in [
        ("a", true, "b"),
        (TRAINING, false, "b"),
        ("a", false, TRAINING),
    ] {
        let new = NewPayment {
            order: None,
            connector: own.to_owned(),
            connector_named: named,
            ..order("A-1")
        };
        let claim = journal.create_claimed(new, call()).await.unwrap();
        let id = claim.payment().id;
        let draft = |connector: &str| IntentDraft {
            connector: connector.to_owned(),
            ..draft()
        };
        let refused = journal.write_intent(id, draft(other)).await;
        assert!(
            matches!(refused, Err(IntentError::Connector)),
            "{own}: {refused:?}"
        );
        journal.write_intent(id, draft(own)).await.unwrap();
    }
}

/// A second card is another operation, and may be of another connector.
async fn the_connector_is_that_of_the_last_operation(place: Place) {
    let journal = place.open().await;
    let id = journal
        .create(announced("A-1", NOON + 60_000))
        .await
        .unwrap();
    let id = id.payment().id;
    journal.claim(id, call()).await.unwrap();
    for (connector, outcome, state) in [
        ("a", declined(), State::Waiting),
        ("b", Outcome::NotCharged(Why::NotSent), State::Waiting),
        ("c", approved(), State::Approved),
    ] {
        let draft = IntentDraft {
            connector: connector.to_owned(),
            ..draft()
        };
        let intent = journal.write_intent(id, draft).await.unwrap();
        let now = journal.write_outcome(&intent, &outcome).await.unwrap();
        assert_eq!(now, state);
    }
    assert_eq!(connectors(&journal, id).await, ["a", "b", "c", "c"]);
}

on_both!(
    what_follows_goes_to_the_connector_that_was_asked,
    a_crash_behind_a_fail_over_is_inquired_where_it_was_sent,
    a_named_connector_and_practice_stay_where_they_are,
    the_connector_is_that_of_the_last_operation,
);
