//! What a user of the journal would notice: who may charge, what is kept, and what happens when the machine fails.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::Ordering;

use common::{
    NOON, Place, UNDO_EIGHTH, announced, approved, by, call, declined, draft, order, under_key,
    visa, yen,
};
use ivrpay_journal::{
    Break, ClaimError, CreateError, Created, EnteredBy, Error, Filter, IntentDraft, IntentError,
    Journal, Location, Match, NewPayment, NewRecording, OpenOptions, OperationState, Origin,
    OutcomeError, RecorderPause, RecordingError, RecordingState, TRAINING, TaskFilter, TaskKind,
};
use ivrpay_payment::{
    Approval, Decline, Doubt, Durable, Intent, OperatorId, Outcome, Owner, PaymentId, Plan, Reason,
    RecordingId, State, TenantId,
};
use serde_json::json;

/// A payment that a call works on.
async fn claimed(journal: &Journal, new: NewPayment) -> PaymentId {
    let id = journal.create(new).await.unwrap().payment().id;
    journal.claim(id, call()).await.unwrap();
    id
}

async fn in_flight(journal: &Journal, name: &str) -> (PaymentId, Durable<Intent>) {
    let id = claimed(journal, order(name)).await;
    (id, journal.write_intent(id, draft()).await.unwrap())
}

async fn state(journal: &Journal, id: PaymentId) -> State {
    journal.payment(id).await.unwrap().unwrap().state
}

/// The process is gone without a word: every connection closed, nothing written. (The kernel gives the lock back.)
async fn die(journal: Journal) {
    drop(journal);
    // The connections' threads close the file on their own time.
    tokio::task::yield_now().await;
}

/// What was asked for stays, whatever the caller chose for a card that was declined: his next one may take it.
async fn a_plan_that_was_asked_for_stays(place: Place) {
    let journal = place.open().await;
    let bonus = Some(Plan::BonusLumpSum);
    let new = NewPayment {
        asked_plan: bonus,
        ..order("P-1")
    };
    let id = claimed(&journal, new).await;
    let plans = async || {
        let payment = journal.payment(id).await.unwrap().unwrap();
        (payment.asked_plan, payment.plan)
    };
    assert_eq!(plans().await, (bonus, Plan::LumpSum));
    let chosen = IntentDraft {
        plan: Plan::Revolving,
        ..draft()
    };
    let intent = journal.write_intent(id, chosen).await.unwrap();
    assert_eq!(intent.get().plan, Plan::Revolving);
    journal.write_outcome(&intent, &declined()).await.unwrap();
    assert_eq!(plans().await, (bonus, Plan::Revolving));
}

async fn a_payment_from_create_to_close(place: Place) {
    let journal = place.open().await;
    let id = claimed(&journal, order("A-1")).await;
    let intent = journal.write_intent(id, draft()).await.unwrap();
    assert_eq!(intent.get().acquirer_order.to_string().len(), 17);
    assert_eq!(state(&journal, id).await, State::InFlight);
    assert_eq!(
        journal.write_outcome(&intent, &approved()).await.unwrap(),
        State::Approved
    );
    assert_eq!(
        journal
            .close(id, "success", json!([{"prompt": "result-approved"}]))
            .await
            .unwrap(),
        State::Approved
    );

    let payment = journal.payment(id).await.unwrap().unwrap();
    let shown = serde_json::to_value(&payment).unwrap();
    assert_eq!(shown["card"], json!({"brand": "visa", "last4": "1111"}));
    assert_eq!(shown["approval_code"], "A1B2C3");
    assert_eq!(shown["result"], "success");
    assert_eq!(shown["call"], json!(null));
    let kinds: Vec<_> = journal
        .records(id)
        .await
        .unwrap()
        .into_iter()
        .map(|record| record.kind)
        .collect();
    assert_eq!(kinds, ["created", "claimed", "intent", "outcome", "closed"]);
    let operations = journal.operations(id).await.unwrap();
    assert_eq!(operations.len(), 1);
    assert_eq!(operations[0].state, OperationState::Approved);
    assert_eq!(operations[0].idempotency_key, intent.get().idempotency_key);
    assert!(
        journal
            .tasks(&TaskFilter::default())
            .await
            .unwrap()
            .is_empty()
    );
    let events = place.texts("SELECT kind FROM outbox").await;
    assert_eq!(events, ["payment.approved"]);
    let report = journal.verify().await.unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.records, report.payments), (5, 1));
}

async fn a_second_card_is_another_operation(place: Place) {
    let journal = place.open().await;
    let (id, first) = in_flight(&journal, "A-1").await;
    assert!(matches!(
        journal.write_intent(id, draft()).await,
        Err(IntentError::NotWaiting {
            state: State::InFlight
        })
    ));
    assert_eq!(
        journal.write_outcome(&first, &declined()).await.unwrap(),
        State::Waiting
    );
    let second = journal.write_intent(id, draft()).await.unwrap();
    assert_ne!(first.get().idempotency_key, second.get().idempotency_key);
    assert!(first.get().acquirer_order < second.get().acquirer_order);
    assert_eq!(journal.not_sent(&second).await.unwrap(), State::Waiting);
    assert_eq!(
        journal
            .close(id, "payment-connector-error", json!(null))
            .await
            .unwrap(),
        State::Cancelled
    );
    // The order is free again.
    journal.create(order("A-1")).await.unwrap();
}

async fn what_a_call_leaves_behind(place: Place) {
    let journal = place.open().await;

    let id = claimed(&journal, order("dialplan-nothing-sent")).await;
    assert_eq!(
        journal
            .close(id, "caller-hung-up", json!(null))
            .await
            .unwrap(),
        State::Cancelled
    );

    let (id, intent) = in_flight(&journal, "dialplan-declined").await;
    journal.write_outcome(&intent, &declined()).await.unwrap();
    assert_eq!(
        journal
            .close(id, "payment-connector-error", json!(null))
            .await
            .unwrap(),
        State::Declined
    );

    let id = journal
        .create(announced("api", NOON + 1000))
        .await
        .unwrap()
        .payment()
        .id;
    let claim = journal.claim(id, call()).await.unwrap();
    assert_eq!(
        journal
            .release(&claim, "caller-hung-up", json!(null))
            .await
            .unwrap(),
        State::Waiting
    );
    let again = journal.claim(id, call()).await.unwrap();
    // A claim that is over can't end the one after it.
    assert_eq!(
        journal
            .release(&claim, "caller-hung-up", json!(null))
            .await
            .unwrap(),
        State::Waiting
    );
    assert_eq!(
        journal.payment(id).await.unwrap().unwrap().call,
        Some(again.call())
    );
    place.now.fetch_add(1000, Ordering::SeqCst);
    assert_eq!(
        journal
            .release(&again, "caller-hung-up", json!(null))
            .await
            .unwrap(),
        State::Cancelled
    );

    let (id, _) = in_flight(&journal, "in-flight").await;
    assert_eq!(
        journal
            .close(id, "caller-hung-up", json!(null))
            .await
            .unwrap(),
        State::Unknown
    );
    assert_eq!(
        journal.tasks(&TaskFilter::default()).await.unwrap()[0].kind,
        TaskKind::UnknownOutcome
    );
}

async fn who_keys_the_card_is_said_of_the_last_call_and_kept_of_each(place: Place) {
    let journal = place.open().await;
    let id = journal.create(announced("api", NOON + 1000)).await;
    let id = id.unwrap().payment().id;
    for who in [EnteredBy::Operator, EnteredBy::Caller, EnteredBy::Operator] {
        let claim = journal.claim_keyed_by(id, call(), who).await.unwrap();
        assert_eq!(claim.payment().entered_by, who);
        let released = journal.release(&claim, "agent-cancelled", json!(null));
        assert_eq!(released.await.unwrap(), State::Waiting);
        let stored = journal.payment(id).await.unwrap().unwrap();
        assert_eq!(stored.entered_by, who);
    }
    let records = journal.records(id).await.unwrap();
    let said: Vec<_> = records
        .iter()
        .filter(|record| record.kind == "claimed")
        .map(|record| record.body["entered_by"].clone())
        .collect();
    assert_eq!(said, ["operator", "caller", "operator"]);
    for (who, found) in [(EnteredBy::Operator, 1), (EnteredBy::Caller, 0)] {
        let filter = Filter {
            entered_by: Some(who),
            ..Filter::default()
        };
        assert_eq!(journal.payments(&filter).await.unwrap().len(), found);
    }
}

async fn an_outcome_is_written_once(place: Place) {
    let journal = place.open().await;
    for (name, first) in [
        ("approved", approved()),
        ("declined", declined()),
        ("unknown", Outcome::Unknown(Doubt::NoReply)),
    ] {
        let (id, intent) = in_flight(&journal, name).await;
        let after = journal.write_outcome(&intent, &first).await.unwrap();
        for second in [approved(), declined()] {
            assert!(matches!(
                journal.write_outcome(&intent, &second).await,
                Err(OutcomeError::AlreadyWritten)
            ));
        }
        assert_eq!(state(&journal, id).await, after);
    }
}

async fn an_unknown_outcome_is_a_task_until_it_is_settled(place: Place) {
    let journal = place.open().await;
    let (id, intent) = in_flight(&journal, "A-1").await;
    let doubt = Outcome::Unknown(Doubt::NoReply);
    assert_eq!(
        journal.write_outcome(&intent, &doubt).await.unwrap(),
        State::Unknown
    );
    let tasks = journal.tasks(&TaskFilter::default()).await.unwrap();
    assert_eq!(
        (tasks[0].kind, tasks[0].payment, tasks[0].due_ms),
        (TaskKind::UnknownOutcome, Some(id), NOON + 24 * 3600 * 1000)
    );
    assert!(matches!(
        journal.write_intent(id, draft()).await,
        Err(IntentError::NotWaiting {
            state: State::Unknown
        })
    ));
    assert!(matches!(
        journal.create(order("A-1")).await,
        Err(CreateError::OrderTaken {
            state: State::Unknown,
            ..
        })
    ));

    let operation = intent.get().operation_id;
    assert!(matches!(
        journal.settle(operation, &doubt, "query").await,
        Err(OutcomeError::AlreadyWritten)
    ));
    assert_eq!(
        journal
            .settle(operation, &approved(), "query")
            .await
            .unwrap(),
        State::Approved
    );
    assert!(matches!(
        journal.settle(operation, &declined(), "query").await,
        Err(OutcomeError::AlreadyWritten)
    ));
    let tasks = journal.tasks(&TaskFilter::default()).await.unwrap();
    assert_eq!(
        tasks.iter().map(|task| task.kind).collect::<Vec<_>>(),
        [TaskKind::ApprovedCallerGone]
    );
    assert!(journal.verify().await.unwrap().is_sound());
}

async fn an_approval_that_the_caller_did_not_hear_is_called_back(given: Place) {
    for (outcome, tasks) in [(approved(), 1), (declined(), 0)] {
        let place = given.another().await;
        let journal = place.open().await;
        let Created::New(payment) = journal.create(order("A-1")).await.unwrap() else {
            panic!("the order is new");
        };
        let claim = journal.claim(payment.id, call()).await.unwrap();
        let intent = journal.write_intent(payment.id, draft()).await.unwrap();
        journal.write_outcome(&intent, &outcome).await.unwrap();
        journal
            .release_unheard(&claim, "success", serde_json::Value::Null, false)
            .await
            .unwrap();
        let open = journal.tasks(&TaskFilter::default()).await.unwrap();
        assert_eq!(open.len(), tasks, "{outcome:?}");
        assert!(
            open.iter()
                .all(|task| task.kind == TaskKind::ApprovedCallerGone)
        );
    }
}

async fn only_a_claimed_payment_is_charged_and_only_its_amount(place: Place) {
    let journal = place.open().await;
    let id = journal.create(order("A-1")).await.unwrap().payment().id;
    assert!(matches!(
        journal.write_intent(id, draft()).await,
        Err(IntentError::NotClaimed)
    ));
    journal.claim(id, call()).await.unwrap();
    assert!(matches!(
        journal.claim(id, call()).await,
        Err(ClaimError::Taken)
    ));
    let mut other = draft();
    other.amount = common::yen(1201);
    assert!(matches!(
        journal.write_intent(id, other).await,
        Err(IntentError::AmountDiffers)
    ));
    let mut other = draft();
    other.stored = true;
    assert!(matches!(
        journal.write_intent(id, other).await,
        Err(IntentError::NotStored)
    ));
    let nobody = PaymentId::new(uuid::Uuid::now_v7());
    assert!(matches!(
        journal.write_intent(nobody, draft()).await,
        Err(IntentError::NotFound)
    ));
    assert!(matches!(
        journal.claim(nobody, call()).await,
        Err(ClaimError::NotFound)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_at_once_for_one_order_and_one_gets_it() {
    let place = Place::new();
    let journal = place.open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let journal = journal.clone();
        tasks.spawn(async move { journal.create(order("A-1")).await });
    }
    let (mut made, mut refused) = (Vec::new(), Vec::new());
    while let Some(created) = tasks.join_next().await {
        match created.unwrap() {
            Ok(created) => made.push(created.payment().id),
            Err(CreateError::OrderTaken {
                payment_id,
                state: State::Waiting,
            }) => refused.push(payment_id),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((made.len(), refused.len()), (1, 49));
    assert!(refused.iter().all(|id| *id == made[0]));

    // One of fifty calls gets the payment, and one intent comes of it.
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (journal, id) = (journal.clone(), made[0]);
        tasks.spawn(async move {
            let claimed = journal.claim(id, call()).await.is_ok();
            (claimed, journal.write_intent(id, draft()).await.is_ok())
        });
    }
    let done = tasks.join_all().await;
    assert_eq!(done.iter().filter(|(claimed, _)| *claimed).count(), 1);
    assert_eq!(done.iter().filter(|(_, sent)| *sent).count(), 1);
}

async fn the_index_holds_the_order_lock_by_itself(place: Place) {
    let journal = place.open().await;
    journal.create(order("A-1")).await.unwrap();
    let free = journal
        .create(NewPayment {
            order: None,
            ..order("x")
        })
        .await
        .unwrap()
        .payment()
        .id;
    journal
        .create(NewPayment {
            order: None,
            ..order("x")
        })
        .await
        .unwrap();
    let taken = format!("UPDATE payments SET order_id = 'A-1' WHERE id = '{free}'");
    let error = place.run(&taken).await.unwrap_err();
    assert!(error.as_database_error().unwrap().is_unique_violation());
}

async fn only_a_declared_part_has_a_lock_of_its_own(place: Place) {
    let journal = place.open().await;
    journal.create(order("A-1")).await.unwrap();
    let part = || NewPayment {
        part: 1,
        amount: yen(300),
        ..order("A-1")
    };
    assert!(matches!(
        journal.create(part()).await,
        Err(CreateError::PartNotDeclared { part: 1 })
    ));
    let (acme, a1) = ("acme".parse().unwrap(), "A-1".parse().unwrap());
    let reason = "delivered by express";
    let sato = by("sato");
    let added = journal.add_part(&acme, &a1, yen(300), reason, &sato).await;
    assert_eq!(added.unwrap().part, 1);
    journal.create(part()).await.unwrap();
}

async fn a_payment_is_made_with_its_call_or_not_at_all(place: Place) {
    let journal = place.open().await;
    let claim = journal.create_claimed(order("A-1"), call()).await.unwrap();
    assert_eq!(claim.payment().call, Some(claim.call()));
    // The number that its caller is told finds it.
    let filter = Filter {
        reference: claim.payment().reference,
        ..Filter::default()
    };
    assert!(filter.reference.is_some());
    let found = journal.payments(&filter).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, claim.payment().id);
    assert!(matches!(
        journal.create_claimed(order("A-1"), call()).await,
        Err(CreateError::OrderTaken { payment_id, state: State::Waiting }) if payment_id == claim.payment().id
    ));
    assert_eq!(
        journal
            .release(&claim, "caller-hung-up", json!(null))
            .await
            .unwrap(),
        State::Cancelled
    );
}

/// A bug ends a call's task: what it held is over at once, not at the next start.
async fn a_call_that_died_gives_its_payment_back(place: Place) {
    let journal = place.open().await;
    let claim = journal.create_claimed(order("A-1"), call()).await.unwrap();
    let id = claim.payment().id;
    assert_eq!(journal.abandon(call()).await.unwrap(), None);
    assert_eq!(journal.abandon(claim.call()).await.unwrap(), Some(id));
    assert_eq!(state(&journal, id).await, State::Cancelled);
    assert_eq!(journal.abandon(claim.call()).await.unwrap(), None);

    // With the acquirer's answer out: unknown, and known when it comes.
    let claim = journal.create_claimed(order("A-1"), call()).await.unwrap();
    let id = claim.payment().id;
    let intent = journal.write_intent(id, draft()).await.unwrap();
    journal.abandon(claim.call()).await.unwrap();
    assert_eq!(state(&journal, id).await, State::Unknown);
    assert!(matches!(
        journal.write_outcome(&intent, &approved()).await,
        Err(OutcomeError::AlreadyWritten)
    ));
    let operation = intent.get().operation_id;
    journal
        .settle(operation, &approved(), "answer")
        .await
        .unwrap();
    assert_eq!(state(&journal, id).await, State::Approved);
    let tasks = journal.tasks(&TaskFilter::default()).await.unwrap();
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].kind, TaskKind::ApprovedCallerGone);
}

/// The disk was full when the answer came, so the caller heard "is being checked"; then there was room again.
async fn an_approval_after_other_words_is_called_back(place: Place) {
    let journal = place.open().await;
    let claim = journal.create_claimed(order("A-1"), call()).await.unwrap();
    let intent = journal
        .write_intent(claim.payment().id, draft())
        .await
        .unwrap();
    journal.write_outcome(&intent, &approved()).await.unwrap();
    let state = journal
        .release(&claim, "outcome-unknown", json!(null))
        .await
        .unwrap();
    assert_eq!(state, State::Approved);
    let tasks = journal.tasks(&TaskFilter::default()).await.unwrap();
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].kind, TaskKind::ApprovedCallerGone);
}

/// What an announced payment is after a call that did not pay it.
async fn an_announced_payment_after_a_call(place: Place) {
    let journal = place.open().await;
    for (result, expected) in [
        ("caller-hung-up", State::Waiting),
        ("payment-declined", State::Waiting),
        // It is announced anew with the right amount.
        ("amount-rejected", State::Cancelled),
    ] {
        let new = announced(result, NOON + 100_000);
        let id = claimed(&journal, new).await;
        if result == "payment-declined" {
            let intent = journal.write_intent(id, draft()).await.unwrap();
            journal.write_outcome(&intent, &declined()).await.unwrap();
        }
        let state = journal.close(id, result, json!(null)).await.unwrap();
        assert_eq!(state, expected, "{result}");
        let payment = journal.payment(id).await.unwrap().unwrap();
        assert_eq!(
            payment.card, None,
            "{result}: a card of a payment that waits"
        );
    }
}

async fn the_same_request_makes_one_payment(place: Place) {
    let journal = place.open().await;
    let first = journal.create(under_key("A-1", "k-1", 1)).await.unwrap();
    let Created::New(first) = first else {
        panic!("{first:?}")
    };
    match journal.create(under_key("A-1", "k-1", 1)).await.unwrap() {
        Created::Existing(payment) => assert_eq!(payment, first),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        journal.create(under_key("A-2", "k-1", 2)).await,
        Err(CreateError::IdempotencyReused { payment_id }) if payment_id == first.id
    ));
    let other = NewPayment {
        tenant: TenantId::new("other").unwrap(),
        ..under_key("A-1", "k-1", 2)
    };
    assert!(matches!(journal.create(other).await, Ok(Created::New(_))));
}

async fn a_call_finds_its_payment(place: Place) {
    let journal = place.open().await;
    let tenant = TenantId::new("acme").unwrap();
    let by_extension = Match::OperatorExtension {
        tenant: tenant.clone(),
        extension: "201".into(),
    };
    let by_caller = Match::CallerNumber {
        tenant: tenant.clone(),
        number: "+81312345678".into(),
    };
    // A call's own payment is never another call's.
    let own = NewPayment {
        operator_extension: Some("201".into()),
        caller_number: Some("+81312345678".into()),
        ..order("A-0")
    };
    journal.create(own).await.unwrap();
    let mut ids = Vec::new();
    for name in ["A-1", "A-2"] {
        let new = NewPayment {
            operator_extension: Some("201".into()),
            caller_number: Some("+81312345678".into()),
            ..announced(name, NOON + 1000)
        };
        ids.push(journal.create(new).await.unwrap().payment().id);
    }
    let found = async |by: &Match| {
        journal
            .waiting_for(by)
            .await
            .unwrap()
            .into_iter()
            .map(|payment| payment.id)
            .collect::<Vec<_>>()
    };
    let holder = async |order: &str| {
        let order = order.parse().unwrap();
        let holder = journal.order_holder(&tenant, &order, 0).await.unwrap();
        holder.map(|payment| payment.id)
    };
    assert_eq!(holder("A-1").await, Some(ids[0]));
    assert_eq!(holder("A-9").await, None);
    let mut both = found(&by_extension).await;
    let mut sorted = ids.clone();
    both.sort();
    sorted.sort();
    assert_eq!(both, sorted);
    assert_eq!(found(&by_caller).await.len(), 2);

    let claim = journal.claim(ids[0], call()).await.unwrap();
    assert_eq!(found(&by_caller).await, ids[1..]);
    place.now.fetch_add(1000, Ordering::SeqCst);
    assert!(found(&by_caller).await.is_empty());
    assert_eq!(holder("A-2").await, None, "overdue");
    assert_eq!(holder("A-1").await, Some(ids[0]), "a call has it");
    assert!(matches!(
        journal.claim(ids[1], call()).await,
        Err(ClaimError::NotWaiting {
            state: State::Expired
        })
    ));
    // A call that works on it is not cut off.
    assert_eq!(journal.expire(NOON + 1000).await.unwrap(), ids[1..]);
    assert_eq!(journal.expire(NOON + 1000).await.unwrap(), []);
    assert_eq!(state(&journal, claim.payment().id).await, State::Waiting);
    assert_eq!(state(&journal, ids[1]).await, State::Expired);
}

async fn an_overdue_payment_does_not_keep_the_order(place: Place) {
    let journal = place.open().await;
    let old = journal
        .create(announced("A-1", NOON + 1))
        .await
        .unwrap()
        .payment()
        .id;
    place.now.fetch_add(1, Ordering::SeqCst);
    journal.create(announced("A-1", NOON + 1000)).await.unwrap();
    assert_eq!(state(&journal, old).await, State::Expired);
    assert!(journal.verify().await.unwrap().is_sound());
}

async fn lists_page_by_page(place: Place) {
    let journal = place.open().await;
    for n in 0..5 {
        place.now.fetch_add(1, Ordering::SeqCst);
        journal.create(order(&format!("A-{n}"))).await.unwrap();
    }
    let mut filter = Filter {
        limit: Some(2),
        ..Filter::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = journal.payments(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.before = Some(last.id);
        seen.extend(
            page.iter()
                .map(|payment| payment.order.clone().unwrap().to_string()),
        );
    }
    assert_eq!(seen, ["A-4", "A-3", "A-2", "A-1", "A-0"]);
    let filter = Filter {
        state: Some(State::Approved),
        ..Filter::default()
    };
    assert!(journal.payments(&filter).await.unwrap().is_empty());
    let filter = Filter {
        since_ms: Some(NOON + 5),
        order: Some("A-4".parse().unwrap()),
        ..Filter::default()
    };
    assert_eq!(journal.payments(&filter).await.unwrap().len(), 1);
    // Practice is no payment among others.
    let mut practice = order("P-1");
    practice.connector = TRAINING.to_owned();
    journal.create(practice).await.unwrap();
    for (training, count) in [(false, 5), (true, 1)] {
        let filter = Filter {
            training,
            ..Filter::default()
        };
        let found = journal.payments(&filter).await.unwrap().len();
        assert_eq!(found, count, "training {training}");
    }
}

async fn recovery_charges_nobody_and_forgets_nothing(place: Place) {
    let journal = place.open().await;
    let (flying, intent) = in_flight(&journal, "flying").await;
    let started = claimed(&journal, order("started")).await;
    let announced = claimed(&journal, announced("announced", NOON + 1000)).await;
    let (unheard, answer) = in_flight(&journal, "unheard").await;
    journal.write_outcome(&answer, &approved()).await.unwrap();
    assert!(
        journal.recover().await.unwrap().is_empty(),
        "a living call is not touched"
    );
    die(journal).await;

    let journal = place.open().await;
    let recovered = journal.recover().await.unwrap();
    assert_eq!(recovered.unknown, [flying]);
    assert_eq!(recovered.closed.len(), 2, "{recovered:?}");
    assert!(recovered.closed.contains(&unheard));
    assert_eq!(recovered.released.len(), 2);
    assert_eq!(state(&journal, flying).await, State::Unknown);
    assert_eq!(state(&journal, started).await, State::Cancelled);
    assert_eq!(state(&journal, announced).await, State::Waiting);
    assert_eq!(state(&journal, unheard).await, State::Approved);
    let mut tasks: Vec<_> = journal
        .tasks(&TaskFilter::default())
        .await
        .unwrap()
        .into_iter()
        .map(|task| (task.payment, task.kind))
        .collect();
    tasks.sort_by_key(|(payment, _)| *payment != Some(flying));
    assert_eq!(
        tasks,
        [
            (Some(flying), TaskKind::UnknownOutcome),
            (Some(unheard), TaskKind::ApprovedCallerGone)
        ]
    );
    // The old process's answer comes too late, its claim is over.
    assert!(matches!(
        journal.write_outcome(&intent, &approved()).await,
        Err(OutcomeError::AlreadyWritten)
    ));
    assert!(matches!(
        journal.write_intent(announced, draft()).await,
        Err(IntentError::NotClaimed)
    ));

    let records = journal.verify().await.unwrap().records;
    for _ in 0..2 {
        assert!(journal.recover().await.unwrap().is_empty());
    }
    assert_eq!(journal.verify().await.unwrap().records, records);
    die(journal).await;
    let journal = place.open().await;
    assert!(journal.recover().await.unwrap().is_empty());
    assert_eq!(
        journal.tasks(&TaskFilter::default()).await.unwrap().len(),
        2
    );
    assert!(journal.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn closing_survives_the_end_of_the_process() {
    let place = Place::new();
    let journal = place.open().await;
    let (id, intent) = in_flight(&journal, "A-1").await;
    journal.write_outcome(&intent, &approved()).await.unwrap();
    journal.close(id, "success", json!(null)).await.unwrap();
    journal.stop().await.unwrap();
    assert!(matches!(journal.ping().await, Err(Error::ReadOnly)));
    // Without its -wal: an orderly stop leaves one whole file.
    assert!(!place.folder.path().join("journal.db-wal").exists());
    let journal = place.open().await;
    assert!(journal.recover().await.unwrap().is_empty());
    assert_eq!(
        journal
            .payment(id)
            .await
            .unwrap()
            .unwrap()
            .result
            .as_deref(),
        Some("success")
    );
}

async fn one_writer_many_readers(place: Place) {
    let journal = place.open().await;
    match Journal::open(place.at(), place.options()).await {
        Err(Error::InUse { pid }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    let id = claimed(&journal, order("A-1")).await;
    let reader = Journal::open_read_only(place.at()).await.unwrap();
    assert_eq!(state(&reader, id).await, State::Waiting);
    assert!(reader.verify().await.unwrap().is_sound());
    let error = reader.ping().await.unwrap_err();
    assert!(matches!(error, Error::ReadOnly), "{error:?}");
    journal.stop().await.unwrap();
    let journal = place.open().await;
    assert_eq!(state(&reader, id).await, State::Waiting);
    drop(journal);
}

#[tokio::test]
async fn files_are_for_the_service_alone() {
    let place = Place::new();
    let journal = place.open().await;
    journal.create(order("A-1")).await.unwrap();
    let mode = |name: &str| {
        std::fs::metadata(place.folder.path().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    for name in [
        "journal.db",
        "journal.db-wal",
        "journal.db-shm",
        "journal.db.lock",
    ] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    journal.stop().await.unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let journal = place.open().await;
    journal.ping().await.unwrap();
    assert_eq!((mode("journal.db"), mode("journal.db-wal")), (0o600, 0o600));
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let place = Place::new();
    let mut options = place.options();
    options.max_pages = Some(200);
    let journal = Journal::open(place.path(), options).await.unwrap();
    let id = claimed(&journal, order("A-1")).await;
    let mut raw = place.raw().await;
    sqlx::query("CREATE TABLE ballast (x BLOB)")
        .execute(&mut raw)
        .await
        .unwrap();
    sqlx::query("INSERT INTO ballast VALUES (zeroblob(600000))")
        .execute(&mut raw)
        .await
        .unwrap();
    // Whatever room the last pages of the tables still have is used up first.
    let mut filler = 0;
    let refused = loop {
        match journal.create(order(&format!("B-{filler}"))).await {
            Ok(_) => filler += 1,
            Err(error) => break error,
        }
        assert!(filler < 2000, "never full");
    };
    assert!(
        matches!(refused, CreateError::Journal(Error::Full)),
        "{refused:?}"
    );
    assert!(refused.hint().unwrap().contains("free space"));
    let mut big = draft();
    big.evidence = json!(["x".repeat(10_000)]);
    let error = journal.write_intent(id, big.clone()).await.unwrap_err();
    assert!(
        matches!(error, IntentError::Journal(Error::Full)),
        "{error:?}"
    );
    assert_eq!(state(&journal, id).await, State::Waiting);
    assert!(journal.operations(id).await.unwrap().is_empty());
    assert!(journal.verify().await.unwrap().is_sound());

    sqlx::query("DROP TABLE ballast")
        .execute(&mut raw)
        .await
        .unwrap();
    let intent = journal.write_intent(id, big).await.unwrap();
    assert_eq!(
        journal.write_outcome(&intent, &approved()).await.unwrap(),
        State::Approved
    );
    assert!(journal.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn a_locked_journal_is_busy_and_then_is_not() {
    let place = Place::new();
    let journal = place.open().await;
    let id = claimed(&journal, order("A-1")).await;
    let mut raw = place.raw().await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut raw)
        .await
        .unwrap();
    let error = journal.write_intent(id, draft()).await.unwrap_err();
    assert!(
        matches!(error, IntentError::Journal(Error::Busy)),
        "{error:?}"
    );
    assert!(matches!(journal.ping().await, Err(Error::Busy)));
    assert_eq!(state(&journal, id).await, State::Waiting, "reading goes on");
    sqlx::query("ROLLBACK").execute(&mut raw).await.unwrap();
    journal.ping().await.unwrap();
    journal.write_intent(id, draft()).await.unwrap();
}

/// State and number of operations, two reads that are not one snapshot: PostgreSQL may carry out
/// the commit of a caller who is gone between them, so what is seen must be seen again.
async fn seen_twice(journal: &Journal, id: PaymentId) -> (State, usize) {
    let mut before = None;
    loop {
        let operations = journal.operations(id).await.unwrap().len();
        let seen = (state(journal, id).await, operations);
        if before.replace(seen) == Some(seen) {
            return seen;
        }
    }
}

async fn a_caller_that_goes_away_leaves_nothing_half_done(place: Place) {
    let journal = place.open().await;
    let id = claimed(&journal, order("A-1")).await;
    // Polled n times and dropped, for every n until it is done.
    let mut done = false;
    for polls in 1..400 {
        let mut writing = Box::pin(journal.write_intent(id, draft()));
        let mut left = polls;
        let result = std::future::poll_fn(|context| {
            left -= 1;
            match writing.as_mut().poll(context) {
                std::task::Poll::Ready(result) => std::task::Poll::Ready(Some(result)),
                std::task::Poll::Pending if left == 0 => std::task::Poll::Ready(None),
                std::task::Poll::Pending => std::task::Poll::Pending,
            }
        })
        .await;
        drop(writing);
        match seen_twice(&journal, id).await {
            // "Busy" too: on a loaded machine the connection of the one before is not closed yet.
            (State::Waiting, 0) => assert!(!matches!(result, Some(Ok(_)))),
            (State::InFlight, 1) => done = true,
            other => panic!("{other:?} after {polls} polls"),
        }
        if done {
            break;
        }
    }
    assert!(done);
    assert!(journal.verify().await.unwrap().is_sound());
    journal.ping().await.unwrap();
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let place = Place::new();
    let missing = place.folder.path().join("missing/journal.db");
    assert!(matches!(
        Journal::open(&missing, place.options()).await,
        Err(Error::Io { .. })
    ));
    assert!(matches!(
        Journal::open_read_only(&missing).await,
        Err(Error::Io { .. })
    ));
    assert!(!missing.exists());

    let locked = place.folder.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write anywhere but in the kernel's own trees.
    let folder = if std::fs::write(locked.join("probe"), "").is_ok() {
        "/sys/kernel".into()
    } else {
        locked
    };
    let error = Journal::open(folder.join("journal.db"), OpenOptions::new("edge-1"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::ReadOnly), "{error:?}");
    assert!(error.hint().contains("write permission"));
}

#[tokio::test]
async fn a_damaged_file_stops_the_start() {
    let place = Place::new();
    let journal = place.open().await;
    for n in 0..60 {
        claimed(&journal, order(&format!("A-{n}"))).await;
    }
    journal.stop().await.unwrap();
    let whole = std::fs::read(place.path()).unwrap();

    let mut torn = whole.clone();
    let middle = torn.len() / 2 / 4096 * 4096;
    torn[middle..middle + 4096].fill(0xa5);
    let mut header = whole.clone();
    header[..100].fill(0);
    for (what, bytes) in [
        ("a torn page in the middle", torn),
        ("a cut file", whole[..whole.len() / 2].to_vec()),
        ("a zeroed header", header),
        (
            "text",
            b"this is no database, but it is long enough to be looked at as if it were one; "
                .repeat(100),
        ),
        ("a few bytes", b"x".repeat(40)),
    ] {
        std::fs::write(place.path(), &bytes).unwrap();
        for read_only in [false, true] {
            let opened = if read_only {
                Journal::open_read_only(place.path()).await
            } else {
                Journal::open(place.path(), place.options()).await
            };
            let error = opened.expect_err(what);
            assert!(matches!(error, Error::Corrupt { .. }), "{what}: {error:?}");
        }
        assert_eq!(
            std::fs::read(place.path()).unwrap(),
            bytes,
            "{what}: the evidence is kept as it was"
        );
    }
    std::fs::write(place.path(), &whole).unwrap();
    assert!(place.open().await.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn another_database_and_another_version_are_refused() {
    let place = Place::new();
    std::fs::write(place.path(), "").unwrap();
    let mut raw = place.raw().await;
    sqlx::query("CREATE TABLE recipes (cake TEXT)")
        .execute(&mut raw)
        .await
        .unwrap();
    sqlx::Connection::close(raw).await.unwrap();
    assert!(matches!(
        Journal::open(place.path(), place.options()).await,
        Err(Error::Corrupt { .. })
    ));

    let place = Place::new();
    place.open().await.stop().await.unwrap();
    let mut raw = place.raw().await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
         VALUES (99, 'later', '2030-01-01', 1, x'00', 0)",
    )
    .execute(&mut raw)
    .await
    .unwrap();
    sqlx::Connection::close(raw).await.unwrap();
    for error in [
        Journal::open(place.path(), place.options())
            .await
            .unwrap_err(),
        Journal::open_read_only(place.path()).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::Version { found: 99, .. }),
            "{error:?}"
        );
        assert!(error.hint().contains("newer"));
    }
}

/// Of what an operator keys, the last waits: for him, for his tenant, until a call has it.
async fn what_an_operator_keyed_waits_until_he_keys_the_next(place: Place) {
    let journal = place.open().await;
    let keyed = |extension: &str, order: &str| NewPayment {
        origin: Origin::Desk,
        operator_extension: Some(extension.into()),
        ..announced(order, NOON + 60_000)
    };
    let make = async |new| journal.create(new).await.unwrap().payment().id;
    let waiting = async |extension: &str| {
        let by = Match::OperatorExtension {
            tenant: TenantId::new("acme").unwrap(),
            extension: extension.into(),
        };
        let found = journal.waiting_for(&by).await.unwrap();
        found.iter().map(|p| (p.id, p.origin)).collect::<Vec<_>>()
    };
    let others = make(keyed("202", "B-1")).await;
    let api = make(NewPayment {
        origin: Origin::Api,
        ..keyed("201", "A-9")
    })
    .await;
    let wrong = make(keyed("201", "A-1")).await;
    // The same order once more, with another amount: he had keyed it wrong.
    let right = make(NewPayment {
        amount: yen(3400),
        ..keyed("201", "A-1")
    })
    .await;
    assert_eq!(state(&journal, wrong).await, State::Cancelled);
    assert_eq!(
        waiting("201").await,
        [(api, Origin::Api), (right, Origin::Desk)]
    );
    assert_eq!(waiting("202").await, [(others, Origin::Desk)]);

    // A call that has it keeps it, and it waits again behind a call that failed.
    let claim = journal.claim(right, call()).await.unwrap();
    assert!(!journal.withdraw(right).await.unwrap());
    let next = make(keyed("201", "A-2")).await;
    journal
        .release(&claim, "session-timeout", json!(null))
        .await
        .unwrap();
    assert_eq!(state(&journal, right).await, State::Waiting);
    assert_eq!(journal.payment(next).await.unwrap().unwrap().result, None);

    assert!(journal.withdraw(next).await.unwrap());
    assert!(!journal.withdraw(next).await.unwrap());
    let over = journal.payment(next).await.unwrap().unwrap();
    assert_eq!(
        (over.state, over.result.as_deref(), over.origin),
        (State::Cancelled, Some("agent-cancelled"), Origin::Desk)
    );
    assert!(journal.verify().await.unwrap().is_sound());
}

/// A journal of the first version is migrated at the start, and its payments stay as they were.
#[tokio::test]
async fn an_older_journal_is_migrated() {
    let place = Place::new();
    let journal = place.open().await;
    let (old, intent) = in_flight(&journal, "A-1").await;
    let unknown = Outcome::Unknown(Doubt::NoReply);
    journal.write_outcome(&intent, &unknown).await.unwrap();
    let (charged, intent) = in_flight(&journal, "A-0").await;
    journal.write_outcome(&intent, &approved()).await.unwrap();
    journal.stop().await.unwrap();
    let mut raw = place.raw().await;
    for undo in [
        "DROP TABLE calls",
        "CREATE TABLE old AS SELECT id, 'inquire' AS kind, payment, operation, owner, due_ms, state, reason AS note, created_ms,
            done_ms AS closed_ms, done_by AS closed_by FROM tasks",
        "DROP TABLE tasks",
        "ALTER TABLE old RENAME TO tasks",
        "DROP TABLE recordings",
        "DROP TABLE recorder_pauses",
        "DROP INDEX payments_reference",
        "ALTER TABLE payments DROP COLUMN reference",
        "ALTER TABLE payments DROP COLUMN desk",
        "DELETE FROM counters WHERE name = 'reference'",
        "DELETE FROM _sqlx_migrations WHERE version > 1",
    ]
    .into_iter()
    .chain(UNDO_EIGHTH)
    {
        sqlx::query(undo).execute(&mut raw).await.unwrap();
    }
    sqlx::Connection::close(raw).await.unwrap();
    let error = Journal::open_read_only(place.path()).await.unwrap_err();
    assert!(error.hint().contains("start the daemon once"), "{error:?}");

    let journal = place.open().await;
    let reference = async |id| journal.payment(id).await.unwrap().unwrap().reference;
    assert_eq!(reference(old).await, None);
    // Until then every approval was a charge.
    let taken = async |id| journal.payment(id).await.unwrap().unwrap().captured_minor;
    assert_eq!((taken(old).await, taken(charged).await), (None, Some(1200)));
    let new = journal.create(order("A-2")).await.unwrap().payment().id;
    assert_eq!(reference(new).await, Some(1));
    let tasks = journal.tasks(&TaskFilter::default()).await.unwrap();
    assert_eq!(
        (tasks.len(), tasks[0].kind, tasks[0].payment),
        (1, TaskKind::UnknownOutcome, Some(old))
    );
    assert!(journal.verify().await.unwrap().is_sound());
}

async fn tampering_is_found(given: Place) {
    let changed = "UPDATE records SET body = replace(body, '1200', '9200') WHERE kind = 'intent'";
    let removed = "DELETE FROM records WHERE kind = 'claimed'";
    let beheaded = "DELETE FROM records WHERE kind = 'closed'";
    let state = "UPDATE payments SET state = 'declined'";
    for (what, sql, expected) in [
        ("changed", changed, "Content"),
        ("removed", removed, "Order"),
        ("beheaded", beheaded, "End"),
        ("state", state, "State"),
    ] {
        let place = given.another().await;
        let journal = place.open().await;
        let (id, intent) = in_flight(&journal, "A-1").await;
        journal.write_outcome(&intent, &approved()).await.unwrap();
        journal.close(id, "success", json!(null)).await.unwrap();
        if what != "state" {
            place.run(sql).await.expect_err("records are append-only");
            let unguarded: &[&str] = match place.at() {
                Location::File(_) => &[
                    "DROP TRIGGER records_are_never_changed",
                    "DROP TRIGGER records_are_never_deleted",
                ],
                Location::Server(_) => &["DROP TRIGGER records_are_never_changed ON records"],
            };
            for trigger in unguarded {
                place.run(trigger).await.unwrap();
            }
        }
        assert_ne!(place.run(sql).await.unwrap(), 0, "{what}");
        let report = journal.verify().await.unwrap();
        let found = match &report.breaks[0] {
            Break::Content { .. } => "Content",
            Break::Order { .. } => "Order",
            Break::End { .. } => "End",
            Break::State { .. } => "State",
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "{what}: {report:?}");
        assert_eq!(report.breaks.len(), 1, "{what}: {report:?}");
        if what == "beheaded" {
            journal.stop().await.unwrap();
            assert!(matches!(
                Journal::open(place.at(), place.options()).await,
                Err(Error::Corrupt { .. })
            ));
        }
    }
}

/// Acquirers and callers of this crate do their worst; no card number arrives in any column, page or file (I10).
#[tokio::test]
async fn no_card_number_can_come_in() {
    let cards = [
        "4111111111111111",
        "378282246310005",
        "36227206271667",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
    ];
    let place = Place::new();
    let journal = place.open().await;
    for (n, card) in cards.into_iter().enumerate() {
        let refused = NewPayment {
            caller_number: Some(card.into()),
            ..order("R")
        };
        assert!(matches!(
            journal.create(refused).await,
            Err(CreateError::Field {
                field: "caller_number"
            })
        ));
        let refused = NewPayment {
            operator_extension: Some(card.into()),
            ..order("R")
        };
        assert!(matches!(
            journal.create(refused).await,
            Err(CreateError::Field {
                field: "operator_extension"
            })
        ));

        // Its hash would be stored, and the hash of a card number is as good as the number.
        assert!(matches!(
            journal.create(under_key("R", card, 1)).await,
            Err(CreateError::Field {
                field: "Idempotency-Key"
            })
        ));

        let id = claimed(&journal, order(&format!("A-{n}"))).await;
        let mut dirty = draft();
        dirty.evidence = json!({"prompt": card, card: [card], "number": card.parse::<u64>().ok()});
        let first = journal.write_intent(id, dirty.clone()).await.unwrap();
        let echo = Outcome::Declined(Decline {
            reason: Reason::InvalidNumber,
            code: format!("bad {card}"),
            hard: false,
            action: None,
        });
        journal.write_outcome(&first, &echo).await.unwrap();
        let second = journal.write_intent(id, dirty.clone()).await.unwrap();
        let reference = "ch_2".parse().unwrap();
        let echo = Outcome::Approved(Approval {
            acquirer_ref: reference,
            code: Some(card.into()),
            card: Some(visa()),
        });
        journal.write_outcome(&second, &echo).await.unwrap();
        // A result is a name; anything else is refused by the schema.
        assert!(journal.close(id, card, json!(null)).await.is_err());
        journal.close(id, "success", dirty.evidence).await.unwrap();
    }
    journal.stop().await.unwrap();
    let file = std::fs::read(place.path()).unwrap();
    for card in cards {
        assert!(
            !file
                .windows(card.len())
                .any(|window| window == card.as_bytes()),
            "a number in the file"
        );
    }
    // And the control: what is looked for this way is found.
    assert!(
        file.windows(8).any(|window| window == b"\"visa\",\"")
            || file.windows(4).any(|window| window == b"visa")
    );
}

/// No column is for more than brand and last four.
async fn the_schema_has_no_place_for_a_card(place: Place) {
    let journal = place.open().await;
    let id = claimed(&journal, order("A-1")).await;
    let columns = place
        .texts(match place.at() {
            Location::File(_) => {
                "SELECT m.name || '.' || t.name FROM sqlite_schema m, pragma_table_info(m.name) t WHERE m.type = 'table'"
            }
            Location::Server(_) => {
                "SELECT CAST(table_name || '.' || column_name AS text) FROM information_schema.columns WHERE table_schema = 'public'"
            }
        })
        .await;
    assert!(columns.len() > 80);
    for column in columns {
        let name = column.rsplit('.').next().unwrap();
        for word in [
            "pan", "card", "cvv", "cvc", "security", "expiry", "digits", "track", "holder",
        ] {
            assert!(!name.contains(word), "{column}");
        }
    }
    for value in ["41111", "411", "4a11", "4111111111111111"] {
        let written = format!("UPDATE payments SET last4 = '{value}' WHERE id = '{id}'");
        assert!(place.run(&written).await.is_err(), "{value}");
    }
}

/// Who was paused must be found by the next process, whatever became of this one.
async fn a_paused_recorder_is_known_until_it_runs_again(place: Place) {
    let journal = place.open().await;
    let (first, second) = (call(), call());
    for (recorder, call) in [("siprec", first), ("screen", first), ("siprec", second)] {
        let pause = RecorderPause {
            recorder: recorder.into(),
            call,
            channel: "1.2".into(),
            sip_call_id: Some("abc@127.0.0.1".into()),
            caller: None,
            extension: Some("201".into()),
            tenant: TenantId::new("acme").unwrap(),
            paused_ms: 0,
        };
        journal.recorder_pausing(&pause).await.unwrap();
        // Told twice is told once.
        journal.recorder_pausing(&pause).await.unwrap();
    }
    journal.recorder_resumed("siprec", first).await.unwrap();
    let of_first = journal.recorders_paused(Some(first)).await.unwrap();
    assert_eq!(of_first.len(), 1);
    assert_eq!(
        (of_first[0].recorder.as_str(), of_first[0].paused_ms),
        ("screen", NOON)
    );
    die(journal).await;
    let journal = place.open().await;
    assert_eq!(journal.recorders_paused(None).await.unwrap().len(), 2);
}

async fn a_recording_with_a_card_is_a_task_until_it_is_resolved(place: Place) {
    let journal = place.open().await;
    let marked = NewRecording {
        origin: "/var/spool/asterisk/monitor/a.wav".into(),
        file: None,
        call: Some("1.2".into()),
        by: "201".into(),
        reason: "the caller spoke it".into(),
    };
    let owner = Some(OperatorId::new("security").unwrap());
    let due = NOON + 1000;
    let first = journal
        .quarantine(marked.clone(), owner.clone(), due)
        .await
        .unwrap();
    let again = journal
        .quarantine(marked.clone(), None, due + 1)
        .await
        .unwrap();
    assert_eq!(first, again, "marked twice is one matter");
    let tasks = journal.tasks(&TaskFilter::default()).await.unwrap();
    assert_eq!(tasks.len(), 1);
    assert_eq!(
        (tasks[0].kind, tasks[0].recording, tasks[0].due_ms),
        (TaskKind::QuarantinedRecording, Some(first.id), due)
    );
    assert_eq!(tasks[0].owner, owner.as_ref().map(Owner::from));
    // Found under another name, by its call.
    let moved = NewRecording {
        origin: "/mnt/monitor/a.wav".into(),
        file: Some("/var/lib/ivrpay/quarantine/1.wav".into()),
        ..marked
    };
    let moved = journal.quarantine(moved, None, due).await.unwrap();
    assert_eq!(
        (moved.id, moved.state),
        (first.id, RecordingState::Quarantined)
    );
    // Who is about to delete its file is kept once, and before; the task stays.
    for by in ["T. Yamada", "S. Sato"] {
        let deleting = journal.delete_recording(first.id, by).await.unwrap();
        assert_eq!(deleting.deleting_by.as_deref(), Some("T. Yamada"));
        assert_eq!(deleting.state, RecordingState::Quarantined);
    }
    let tasks = journal.tasks(&TaskFilter::default()).await.unwrap();
    assert_eq!(tasks.len(), 1);
    let nobody = journal.delete_recording(first.id, " ").await;
    assert!(matches!(nobody, Err(RecordingError::Field { field: "by" })));
    let resolved = journal
        .resolve_recording(first.id, RecordingState::Deleted, "T. Yamada")
        .await
        .unwrap();
    assert_eq!(resolved.state, RecordingState::Deleted);
    let late = journal.delete_recording(first.id, "T. Yamada").await;
    assert!(matches!(late, Err(RecordingError::Resolved)));
    assert!(
        journal
            .tasks(&TaskFilter::default())
            .await
            .unwrap()
            .is_empty()
    );
    let again = journal
        .resolve_recording(first.id, RecordingState::Redacted, "T. Yamada")
        .await;
    assert!(matches!(again, Err(RecordingError::Resolved)));
    assert_eq!(journal.recordings().await.unwrap(), [resolved]);
    let report = journal.verify().await.unwrap();
    assert!(report.is_sound() && report.records == 4, "{report:?}");
}

async fn a_recording_needs_a_file_and_a_person(place: Place) {
    let journal = place.open().await;
    let new = NewRecording {
        origin: "a.wav".into(),
        file: None,
        call: None,
        by: "me".into(),
        reason: String::new(),
    };
    for (field, wrong) in [
        (
            "origin",
            NewRecording {
                origin: " ".into(),
                ..new.clone()
            },
        ),
        (
            "by",
            NewRecording {
                by: String::new(),
                ..new.clone()
            },
        ),
        (
            "reason",
            NewRecording {
                reason: "x".repeat(201),
                ..new.clone()
            },
        ),
    ] {
        let refused = journal.quarantine(wrong, None, NOON).await;
        assert!(
            matches!(refused, Err(RecordingError::Field { field: f }) if f == field),
            "{field}"
        );
    }
    let nobody = RecordingId::new(uuid::Uuid::now_v7());
    let unknown = journal
        .resolve_recording(nobody, RecordingState::Deleted, "me")
        .await;
    assert!(matches!(unknown, Err(RecordingError::NotFound)));
}

on_both!(
    a_plan_that_was_asked_for_stays,
    a_payment_from_create_to_close,
    a_second_card_is_another_operation,
    what_a_call_leaves_behind,
    who_keys_the_card_is_said_of_the_last_call_and_kept_of_each,
    an_outcome_is_written_once,
    an_unknown_outcome_is_a_task_until_it_is_settled,
    an_approval_that_the_caller_did_not_hear_is_called_back,
    only_a_claimed_payment_is_charged_and_only_its_amount,
    the_index_holds_the_order_lock_by_itself,
    only_a_declared_part_has_a_lock_of_its_own,
    a_payment_is_made_with_its_call_or_not_at_all,
    a_call_that_died_gives_its_payment_back,
    an_approval_after_other_words_is_called_back,
    an_announced_payment_after_a_call,
    the_same_request_makes_one_payment,
    a_call_finds_its_payment,
    an_overdue_payment_does_not_keep_the_order,
    lists_page_by_page,
    recovery_charges_nobody_and_forgets_nothing,
    one_writer_many_readers,
    a_caller_that_goes_away_leaves_nothing_half_done,
    what_an_operator_keyed_waits_until_he_keys_the_next,
    tampering_is_found,
    the_schema_has_no_place_for_a_card,
    a_paused_recorder_is_known_until_it_runs_again,
    a_recording_with_a_card_is_a_task_until_it_is_resolved,
    a_recording_needs_a_file_and_a_person,
);
