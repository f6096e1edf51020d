//! Captures, voids, refunds and queries behind the call.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{NOON, Place, approved, call, declined, draft, order};
use ivrpay_journal::{
    ApiRequest, By, Journal, Judged, Later, LaterDraft, LaterError, NewPayment, OperationState,
    OutcomeError, TaskFilter, TaskKind,
};
use ivrpay_payment::{
    Doubt, Durable, Intent, OperationKind, OperatorId, Outcome, PaymentId, State, Transaction, Why,
};

const UNKNOWN: Outcome = Outcome::Unknown(Doubt::NoReply);
const NEVER: Outcome = Outcome::NotCharged(Why::NotArrived);

fn by() -> By {
    By {
        person: OperatorId::new("sato").unwrap(),
        via: "shop-api".into(),
    }
}

/// A payment of 1200 yen that was approved, and whose call is over.
async fn paid(journal: &Journal, kind: OperationKind) -> PaymentId {
    let name = uuid::Uuid::now_v7().to_string();
    let new = NewPayment {
        transaction: Transaction::from_name(kind.name()).unwrap(),
        ..order(&name)
    };
    let id = journal.create(new).await.unwrap().payment().id;
    journal.claim(id, call()).await.unwrap();
    let intent = journal.write_intent(id, draft()).await.unwrap();
    journal.write_outcome(&intent, &approved()).await.unwrap();
    let evidence = serde_json::Value::Null;
    journal.close(id, "success", evidence).await.unwrap();
    id
}

fn wish(kind: OperationKind, amount_minor: Option<u64>) -> LaterDraft {
    LaterDraft {
        kind,
        amount_minor,
        by: by(),
        request: None,
        judged: None,
    }
}

async fn written(
    journal: &Journal,
    id: PaymentId,
    kind: OperationKind,
    amount: Option<u64>,
) -> Result<Durable<Intent>, LaterError> {
    match journal.write_later(id, wish(kind, amount)).await? {
        Later::New(intent) => Ok(intent),
        Later::Existing(_) => panic!("no request was given"),
    }
}

/// Asks for it and has it answered with yes.
async fn done(journal: &Journal, id: PaymentId, kind: OperationKind, amount: Option<u64>) -> State {
    let intent = written(journal, id, kind, amount).await.unwrap();
    journal.write_outcome(&intent, &approved()).await.unwrap()
}

async fn amounts(journal: &Journal, id: PaymentId) -> (State, Option<u64>, u64) {
    let payment = journal.payment(id).await.unwrap().unwrap();
    (
        payment.state,
        payment.captured_minor,
        payment.refunded_minor,
    )
}

async fn what_is_left_decides_what_may_be_asked(place: Place) {
    use OperationKind::{Authorise, Capture, Charge, Refund, Void};
    let journal = place.open().await;

    // Reserved, a part taken, that given back in two parts: over.
    let id = paid(&journal, Authorise).await;
    assert_eq!(amounts(&journal, id).await, (State::Approved, None, 0));
    let refused = written(&journal, id, Refund, None).await;
    assert!(matches!(refused, Err(LaterError::NotCaptured)));
    for amount in [0, 1201] {
        let refused = written(&journal, id, Capture, Some(amount)).await;
        assert!(matches!(refused, Err(LaterError::Amount { left: 1200 })));
    }
    assert_eq!(
        done(&journal, id, Capture, Some(1000)).await,
        State::Approved
    );
    let refused = written(&journal, id, Capture, None).await;
    assert!(matches!(refused, Err(LaterError::Captured)));
    assert_eq!(done(&journal, id, Refund, Some(400)).await, State::Approved);
    assert_eq!(
        amounts(&journal, id).await,
        (State::Approved, Some(1000), 400)
    );
    let refused = written(&journal, id, Void, None).await;
    assert!(matches!(refused, Err(LaterError::Refunded)));
    let refused = written(&journal, id, Refund, Some(601)).await;
    assert!(matches!(refused, Err(LaterError::Amount { left: 600 })));
    assert_eq!(done(&journal, id, Refund, None).await, State::Voided);
    let refused = written(&journal, id, Refund, None).await;
    assert!(matches!(
        refused,
        Err(LaterError::NotApproved {
            state: State::Voided
        })
    ));

    // Whoever listens hears of it once, and of its end.
    let told = format!("SELECT kind FROM outbox WHERE payment = '{id}' ORDER BY number");
    let told = place.texts(&told).await;
    assert_eq!(told, ["payment.approved", "payment.voided"]);

    // Charged and undone.
    let id = paid(&journal, Charge).await;
    assert_eq!(
        amounts(&journal, id).await,
        (State::Approved, Some(1200), 0)
    );
    let refused = written(&journal, id, Void, Some(100)).await;
    assert!(matches!(refused, Err(LaterError::WholeOnly)));
    assert_eq!(done(&journal, id, Void, None).await, State::Voided);
    assert!(journal.verify().await.unwrap().is_sound());
}

/// What is reserved is changed up and down, also by what is found out later; that much is taken, and the acquirer is told of that much.
async fn what_is_reserved_may_be_changed(place: Place) {
    use OperationKind::{Authorise, Capture, Change, Charge, Refund, Void};
    let journal = place.open().await;
    let reserved = async |id| {
        let payment = journal.payment(id).await.unwrap().unwrap();
        (payment.amount.minor(), payment.reserved_minor)
    };
    let id = paid(&journal, Authorise).await;
    for amount in [None, Some(0), Some(1200)] {
        let refused = written(&journal, id, Change, amount).await;
        let same = matches!(refused, Err(LaterError::NoChange { reserved: 1200 }));
        assert!(same, "{amount:?}");
    }
    assert_eq!(done(&journal, id, Change, Some(900)).await, State::Approved);
    assert_eq!(reserved(id).await, (1200, Some(900)));
    let intent = written(&journal, id, Change, Some(1500)).await.unwrap();
    assert_eq!(intent.get().parent.as_ref().unwrap().amount.minor(), 900);
    journal.write_outcome(&intent, &declined()).await.unwrap();
    assert_eq!(reserved(id).await, (1200, Some(900)));

    let intent = written(&journal, id, Change, Some(1500)).await.unwrap();
    journal.write_outcome(&intent, &UNKNOWN).await.unwrap();
    for kind in [Capture, Change, Void] {
        let refused = written(&journal, id, kind, (kind == Change).then_some(1)).await;
        let open = matches!(refused, Err(LaterError::Open { kind: Change }));
        assert!(open, "{kind:?}");
    }
    let about = intent.get().operation_id;
    let query = journal.write_query(about, &by()).await.unwrap();
    assert_eq!(query.get().parent.as_ref().unwrap().kind, Change);
    journal.write_outcome(&query, &approved()).await.unwrap();
    journal.settle(about, &approved(), "inquiry").await.unwrap();
    assert_eq!(reserved(id).await, (1200, Some(1500)));

    let refused = written(&journal, id, Capture, Some(1501)).await;
    assert!(matches!(refused, Err(LaterError::Amount { left: 1500 })));
    let intent = written(&journal, id, Capture, None).await.unwrap();
    let asked = (intent.get().amount, intent.get().parent.clone().unwrap());
    assert_eq!((asked.0.minor(), asked.1.amount.minor()), (1500, 1500));
    journal.write_outcome(&intent, &approved()).await.unwrap();
    let refused = written(&journal, id, Change, Some(1)).await;
    assert!(matches!(refused, Err(LaterError::Captured)));
    assert_eq!(done(&journal, id, Refund, None).await, State::Voided);

    // What is taken at once is changed by nothing but a refund.
    let id = paid(&journal, Charge).await;
    let refused = written(&journal, id, Change, Some(900)).await;
    assert!(matches!(refused, Err(LaterError::Captured)));
    let told = journal.operations(id).await.unwrap().len();
    assert_eq!(told, 1, "nothing was written");
    assert!(journal.verify().await.unwrap().is_sound());
}

/// The acquirer is told of the payment by the number and the reference that it has.
async fn a_later_operation_names_the_one_before(place: Place) {
    let journal = place.open().await;
    let id = paid(&journal, OperationKind::Charge).await;
    let first = journal.operations(id).await.unwrap().remove(0);
    let intent = written(&journal, id, OperationKind::Refund, None)
        .await
        .unwrap();
    let parent = intent.get().parent.clone().unwrap();
    assert_eq!(intent.get().acquirer_order, first.acquirer_order);
    assert_ne!(intent.get().idempotency_key, first.idempotency_key);
    assert_eq!(parent.operation_id, first.id);
    assert_eq!(parent.acquirer_ref.unwrap().as_str(), "ch_1");
    let operations = journal.operations(id).await.unwrap();
    assert_eq!(operations[1].parent, Some(first.id));
    assert_eq!(operations[1].by.as_deref(), Some("sato"));
}

/// One is open at a time; one whose answer is not known makes a task, leaves the payment approved, and is settled by what is found.
async fn an_unknown_refund_keeps_others_away_until_it_is_settled(given: Place) {
    for (found, state) in [(approved(), State::Voided), (NEVER, State::Approved)] {
        let place = given.another().await;
        let journal = place.open().await;
        let id = paid(&journal, OperationKind::Charge).await;
        let refund = written(&journal, id, OperationKind::Refund, None)
            .await
            .unwrap();
        let second = written(&journal, id, OperationKind::Void, None).await;
        assert!(matches!(
            second,
            Err(LaterError::Open {
                kind: OperationKind::Refund
            })
        ));
        assert_eq!(
            journal.write_outcome(&refund, &UNKNOWN).await.unwrap(),
            State::Approved
        );
        let second = written(&journal, id, OperationKind::Refund, None).await;
        assert!(matches!(second, Err(LaterError::Open { .. })));
        let tasks = journal.tasks(&TaskFilter::default()).await.unwrap();
        assert!(tasks.iter().any(|t| t.kind == TaskKind::UnknownOutcome));

        let about = refund.get().operation_id;
        let query = journal.write_query(about, &by()).await.unwrap();
        assert_eq!(query.get().parent.as_ref().unwrap().operation_id, about);
        assert_eq!(
            journal.write_outcome(&query, &found).await.unwrap(),
            State::Approved
        );
        if found == NEVER {
            let early = journal.settle(about, &found, "inquiry").await;
            let sure = NOON + 10 * 60_000;
            assert!(
                matches!(early, Err(OutcomeError::TooEarly { sure_ms }) if sure_ms == sure),
                "the acquirer may still be at it: {early:?}"
            );
            place.now.store(sure, std::sync::atomic::Ordering::SeqCst);
        }
        assert_eq!(
            journal.settle(about, &found, "inquiry").await.unwrap(),
            state
        );
        let open = journal.tasks(&TaskFilter::default()).await.unwrap();
        assert!(!open.iter().any(|t| t.kind == TaskKind::UnknownOutcome
            && t.payment == Some(id)
            && t.done_ms.is_none()));
    }
}

async fn a_refused_refund_leaves_the_payment_as_it_is(place: Place) {
    let journal = place.open().await;
    let id = paid(&journal, OperationKind::Charge).await;
    for outcome in [declined(), NEVER] {
        let intent = written(&journal, id, OperationKind::Refund, Some(100))
            .await
            .unwrap();
        assert_eq!(
            journal.write_outcome(&intent, &outcome).await.unwrap(),
            State::Approved
        );
        assert_eq!(
            amounts(&journal, id).await,
            (State::Approved, Some(1200), 0)
        );
        let payment = journal.payment(id).await.unwrap().unwrap();
        assert_eq!(payment.decline_reason, None, "the card was not refused");
        assert_eq!(payment.acquirer_ref.unwrap().as_str(), "ch_1");
    }
}

/// Several at once look at the same payment: the limits of each are judged by what was there before all of them.
async fn what_was_judged_by_what_is_no_more_is_not_written(place: Place) {
    let journal = place.open().await;
    let id = paid(&journal, OperationKind::Charge).await;
    let payment = journal.payment(id).await.unwrap().unwrap();
    let part = || LaterDraft {
        judged: Some(Judged::of(&payment, 500)),
        ..wish(OperationKind::Refund, Some(500))
    };
    let Later::New(first) = journal.write_later(id, part()).await.unwrap() else {
        panic!("the first is new");
    };
    journal.write_outcome(&first, &approved()).await.unwrap();
    let second = journal.write_later(id, part()).await;
    assert!(matches!(second, Err(LaterError::Changed)), "{second:?}");
    // Neither is the rest what the whole was.
    let payment = journal.payment(id).await.unwrap().unwrap();
    let whole = LaterDraft {
        judged: Some(Judged::of(&payment, 1200)),
        ..wish(OperationKind::Refund, None)
    };
    let whole = journal.write_later(id, whole).await;
    assert!(matches!(whole, Err(LaterError::Changed)), "{whole:?}");
    assert_eq!(amounts(&journal, id).await.2, 500);
}

async fn the_same_request_asks_once(place: Place) {
    let journal = place.open().await;
    let id = paid(&journal, OperationKind::Charge).await;
    let asked = |hash: u8| LaterDraft {
        request: Some(ApiRequest {
            key: "refund-1".into(),
            hash: [hash; 32],
        }),
        ..wish(OperationKind::Refund, Some(100))
    };
    let Later::New(intent) = journal.write_later(id, asked(1)).await.unwrap() else {
        panic!("the first is new");
    };
    journal.write_outcome(&intent, &approved()).await.unwrap();
    let again = journal.write_later(id, asked(1)).await.unwrap();
    assert!(
        matches!(again, Later::Existing(o) if o.id == intent.get().operation_id && o.state == OperationState::Approved)
    );
    let other = journal.write_later(id, asked(2)).await;
    assert!(matches!(other, Err(LaterError::IdempotencyReused)));
    assert_eq!(amounts(&journal, id).await.2, 100);
}

/// A process that dies while it asks leaves an unknown refund and a task; its question alone leaves nothing to do.
async fn what_was_open_when_the_process_died_is_unknown(place: Place) {
    let journal = place.open().await;
    let (refunded, asked) = (
        paid(&journal, OperationKind::Charge).await,
        paid(&journal, OperationKind::Charge).await,
    );
    let intent = written(&journal, refunded, OperationKind::Refund, None)
        .await
        .unwrap();
    let progress = serde_json::json!({"stage": 2, "reference": "3618be:4099"});
    journal.write_progress(&intent, progress).await.unwrap();
    let about = journal.operations(asked).await.unwrap()[0].id;
    journal.write_query(about, &by()).await.unwrap();
    drop(journal);
    tokio::task::yield_now().await;

    let journal = place.open().await;
    let recovered = journal.recover().await.unwrap();
    assert_eq!(recovered.unknown, [refunded]);
    for id in [refunded, asked] {
        assert_eq!(
            amounts(&journal, id).await,
            (State::Approved, Some(1200), 0)
        );
    }
    let operation = journal.operations(refunded).await.unwrap().remove(1);
    assert_eq!(operation.state, OperationState::Unknown);
    assert_eq!(operation.progress.unwrap()["reference"], "3618be:4099");
    // The acquirer is asked about the refund by what it said of the refund.
    let query = journal.write_query(operation.id, &by()).await.unwrap();
    let parent = query.get().parent.clone().unwrap();
    assert_eq!(parent.acquirer_ref.unwrap().as_str(), "3618be:4099");
    let tasks = journal.tasks(&TaskFilter::default()).await.unwrap();
    let unknown = tasks.iter().filter(|t| t.kind == TaskKind::UnknownOutcome);
    assert_eq!(
        unknown.map(|t| t.payment).collect::<Vec<_>>(),
        [Some(refunded)]
    );
}

on_both!(
    what_was_judged_by_what_is_no_more_is_not_written,
    what_is_left_decides_what_may_be_asked,
    what_is_reserved_may_be_changed,
    a_later_operation_names_the_one_before,
    an_unknown_refund_keeps_others_away_until_it_is_settled,
    a_refused_refund_leaves_the_payment_as_it_is,
    the_same_request_asks_once,
    what_was_open_when_the_process_died_is_unknown,
);
