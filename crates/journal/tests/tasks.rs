//! What people must do: by whom, by when, and what is kept of it; and a waiting payment that another operator takes over.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{NOON, Place, UNDO_EIGHTH, announced, approved, call, declined, draft, order};
use ivrpay_journal::{
    AssignError, Assignment, By, Error, Filter, Found, IntentDraft, Journal, Match, NewPayment,
    NewRecording, Promise, TRAINING, Task, TaskError, TaskFilter, TaskKind, TaskRules, TaskState,
    Which,
};
use ivrpay_payment::{
    AcquirerRef, Doubt, OperatorId, Outcome, Owner, PaymentId, State, TaskId, TenantId,
};
use serde_json::json;

const HOUR: i64 = 3_600_000;

fn by(person: &str) -> By {
    By {
        person: OperatorId::new(person).unwrap(),
        via: "desk".into(),
    }
}

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn promise(order: &str) -> Promise {
    Promise {
        tenant: acme(),
        payment: None,
        order: Some(order.parse().unwrap()),
        caller_number: Some("0312345678".into()),
        owner: Owner::new("role:front").unwrap(),
        due_ms: NOON + HOUR,
        reason: "the card is at home".into(),
    }
}

fn charged() -> Found {
    Found::Charged {
        acquirer_ref: AcquirerRef::new("ch_9").unwrap(),
        approval_code: Some("Z9".into()),
    }
}

async fn all(journal: &Journal) -> Vec<Task> {
    journal.tasks(&TaskFilter::default()).await.unwrap()
}

async fn done(journal: &Journal) -> Vec<Task> {
    let filter = TaskFilter {
        state: Some(TaskState::Done),
        ..TaskFilter::default()
    };
    journal.tasks(&filter).await.unwrap()
}

/// A payment whose acquirer did not answer; its call is over.
async fn unknown(journal: &Journal, new: NewPayment) -> PaymentId {
    let claim = journal.create_claimed(new, call()).await.unwrap();
    let id = claim.payment().id;
    let intent = journal.write_intent(id, draft()).await.unwrap();
    let doubt = Outcome::Unknown(Doubt::NoReply);
    journal.write_outcome(&intent, &doubt).await.unwrap();
    let result = "outcome-unknown";
    journal.release(&claim, result, json!(null)).await.unwrap();
    id
}

/// A payment that was approved; its caller hung up before he heard it.
async fn unheard(journal: &Journal, new: NewPayment) -> PaymentId {
    let claim = journal.create_claimed(new, call()).await.unwrap();
    let id = claim.payment().id;
    let draft = IntentDraft {
        connector: claim.payment().connector.clone(),
        ..draft()
    };
    let intent = journal.write_intent(id, draft).await.unwrap();
    journal.write_outcome(&intent, &approved()).await.unwrap();
    let result = "success";
    journal
        .release_unheard(&claim, result, json!(null), false)
        .await
        .unwrap();
    id
}

/// With order, number, owner and deadline: what somebody needs who was not there.
async fn a_task_says_who_is_to_call_whom_about_what_by_when(place: Place) {
    let mut options = place.options();
    options.task_rules.insert(
        TenantId::new("night").unwrap(),
        TaskRules {
            unknown_outcome_due: Duration::from_secs(7200),
            approved_caller_gone_due: Duration::from_secs(60),
            owner: Some(Owner::new("role:supervisor").unwrap()),
            ..TaskRules::default()
        },
    );
    let journal = Journal::open(place.at(), options).await.unwrap();
    let of = |tenant: &str, name: &str, operator: Option<&str>| NewPayment {
        tenant: TenantId::new(tenant).unwrap(),
        operator: operator.map(|o| OperatorId::new(o).unwrap()),
        caller_number: Some("0312345678".into()),
        ..order(name)
    };
    for (tenant, operator, owner, gone_ms, unknown_ms) in [
        ("acme", None, None, 4 * HOUR, 24 * HOUR),
        ("acme", Some("sato"), Some("sato"), 4 * HOUR, 24 * HOUR),
        ("night", None, Some("role:supervisor"), 60_000, 2 * HOUR),
        ("night", Some("sato"), Some("sato"), 60_000, 2 * HOUR),
    ] {
        let name = |kind: &str| format!("{tenant}-{kind}-{}", operator.unwrap_or("nobody"));
        let gone = unheard(&journal, of(tenant, &name("gone"), operator)).await;
        let lost = unknown(&journal, of(tenant, &name("lost"), operator)).await;
        for (payment, kind, due_ms, order) in [
            (gone, TaskKind::ApprovedCallerGone, gone_ms, name("gone")),
            (lost, TaskKind::UnknownOutcome, unknown_ms, name("lost")),
        ] {
            let tasks = all(&journal).await;
            let of_payment: Vec<_> = tasks
                .iter()
                .filter(|t| t.payment == Some(payment))
                .collect();
            assert_eq!(of_payment.len(), 1, "{order}");
            let task = of_payment[0];
            assert_eq!((task.kind, task.state), (kind, TaskState::Open), "{order}");
            assert_eq!(task.due_ms, NOON + due_ms, "{order}");
            assert_eq!(task.owner.as_ref().map(Owner::as_str), owner, "{order}");
            assert_eq!(task.order.as_ref().unwrap().as_str(), order);
            assert_eq!(task.tenant.as_ref().unwrap().as_str(), tenant);
            assert_eq!(task.caller_number.as_deref(), Some("0312345678"));
            assert_eq!(journal.task(task.id).await.unwrap().as_ref(), Some(task));
        }
    }
    // Practice is nobody's worry.
    let practice = NewPayment {
        connector: TRAINING.into(),
        ..order("practice")
    };
    let practice = unheard(&journal, practice).await;
    assert!(
        all(&journal)
            .await
            .iter()
            .all(|t| t.payment != Some(practice))
    );
}

async fn a_task_is_one_persons_until_it_is_done(place: Place) {
    let journal = place.open().await;
    let payment = unheard(&journal, order("A-1")).await;
    let task = all(&journal).await.remove(0);
    place.now.fetch_add(1000, Ordering::SeqCst);
    let taken = journal.take_task(task.id, &by("sato")).await.unwrap();
    assert_eq!(taken.state, TaskState::Taken);
    assert_eq!(
        (taken.taken_by.as_ref().unwrap().as_str(), taken.taken_ms),
        ("sato", Some(NOON + 1000))
    );
    place.now.fetch_add(1000, Ordering::SeqCst);
    // Pressed twice is pressed once.
    assert_eq!(
        journal.take_task(task.id, &by("sato")).await.unwrap(),
        taken
    );
    match journal.take_task(task.id, &by("suzuki")).await {
        Err(TaskError::Taken { by }) => assert_eq!(by.as_str(), "sato"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        journal
            .finish_task(task.id, &by("sato"), "called", Some(charged()))
            .await,
        Err(TaskError::NothingToFind)
    ));
    let finished = journal
        .finish_task(task.id, &by("suzuki"), "彼に伝えた", None)
        .await
        .unwrap();
    assert_eq!(finished.state, TaskState::Done);
    assert_eq!(
        (finished.done_by.as_deref(), finished.done_ms),
        (Some("suzuki"), Some(NOON + 2000))
    );
    assert_eq!(finished.note.as_deref(), Some("彼に伝えた"));
    assert_eq!(finished.taken_by.as_ref().unwrap().as_str(), "sato");
    assert_eq!(done(&journal).await, [finished]);
    assert!(all(&journal).await.is_empty());
    assert!(matches!(
        journal.take_task(task.id, &by("sato")).await,
        Err(TaskError::Done)
    ));
    assert!(matches!(
        journal.finish_task(task.id, &by("sato"), "x", None).await,
        Err(TaskError::Done)
    ));
    let nobodys = TaskId::new(uuid::Uuid::now_v7());
    assert!(matches!(
        journal.take_task(nobodys, &by("sato")).await,
        Err(TaskError::NotFound)
    ));
    // Who did it stands where nobody can change it.
    let records = journal.records(payment).await.unwrap();
    let tasks: Vec<_> = records
        .iter()
        .filter(|record| record.kind == "task")
        .map(|record| (record.body["task_state"].clone(), record.body["by"].clone()))
        .collect();
    assert_eq!(
        tasks,
        [
            (json!("taken"), json!("sato")),
            (json!("done"), json!("suzuki"))
        ]
    );
    assert!(records.iter().all(|r| r.body["state"].is_string()));
    assert!(journal.verify().await.unwrap().is_sound());
}

async fn an_unknown_outcome_is_closed_by_what_was_found_out_alone(place: Place) {
    let journal = place.open().await;
    for (name, found, state, next) in [
        (
            "charged",
            charged(),
            State::Approved,
            Some(TaskKind::ApprovedCallerGone),
        ),
        ("not", Found::NotCharged, State::Cancelled, None),
    ] {
        let id = unknown(&journal, order(name)).await;
        let task = all(&journal)
            .await
            .into_iter()
            .find(|task| task.payment == Some(id))
            .unwrap();
        journal.take_task(task.id, &by("sato")).await.unwrap();
        // The answer that is still missing does not make a second task of a taken one.
        assert!(matches!(
            journal
                .finish_task(task.id, &by("sato"), "dunno", None)
                .await,
            Err(TaskError::NotFoundOut)
        ));
        if found == Found::NotCharged {
            let early = journal
                .finish_task(task.id, &by("sato"), "not seen", Some(found.clone()))
                .await;
            let sure = place.now.load(Ordering::SeqCst) + 10 * 60_000;
            assert!(
                matches!(early, Err(TaskError::TooEarly { sure_ms }) if sure_ms == sure),
                "{early:?}"
            );
            place.now.store(sure, Ordering::SeqCst);
        }
        let payment = journal.payment(id).await.unwrap().unwrap();
        assert_eq!(payment.state, State::Unknown, "{name}");
        let closed = journal
            .finish_task(task.id, &by("sato"), "looked up", Some(found))
            .await
            .unwrap();
        assert_eq!(
            (
                closed.state,
                closed.note.as_deref(),
                closed.done_by.as_deref()
            ),
            (TaskState::Done, Some("looked up"), Some("sato"))
        );
        let payment = journal.payment(id).await.unwrap().unwrap();
        assert_eq!(payment.state, state, "{name}");
        if state == State::Approved {
            assert_eq!(payment.acquirer_ref.unwrap().as_str(), "ch_9");
            assert_eq!(payment.approval_code.as_deref(), Some("Z9"));
        } else {
            // The order is free again.
            journal.create(order(name)).await.unwrap();
        }
        let open: Vec<_> = all(&journal)
            .await
            .iter()
            .filter(|task| task.payment == Some(id))
            .map(|task| task.kind)
            .collect();
        assert_eq!(open, next.into_iter().collect::<Vec<_>>(), "{name}");
    }
    // Nobody's word: the acquirer's own answer, late.
    let claim = journal.create_claimed(order("late"), call()).await.unwrap();
    let intent = journal.write_intent(claim.payment().id, draft()).await;
    let intent = intent.unwrap();
    journal
        .release(&claim, "caller-hung-up", json!(null))
        .await
        .unwrap();
    let operation = intent.get().operation_id;
    journal
        .settle(operation, &declined(), "late answer")
        .await
        .unwrap();
    let newest = done(&journal).await;
    let newest = newest
        .iter()
        .find(|task| task.payment == Some(claim.payment().id))
        .unwrap();
    assert_eq!(newest.done_by.as_deref(), Some("late answer"));
    assert!(journal.verify().await.unwrap().is_sound());
}

async fn a_promise_is_about_a_payment_or_an_order_and_is_made_once(place: Place) {
    let journal = place.open().await;
    let made = journal.promise(promise("A-1"), &by("sato")).await.unwrap();
    assert_eq!(
        (
            made.kind,
            made.state,
            made.created_by.as_ref().unwrap().as_str()
        ),
        (TaskKind::PromisedCallBack, TaskState::Open, "sato")
    );
    assert_eq!(all(&journal).await, std::slice::from_ref(&made));
    let again = journal.promise(promise("A-1"), &by("suzuki")).await;
    assert!(matches!(again, Err(TaskError::Exists { task_id }) if task_id == made.id));
    // Order numbers are each merchant's own.
    let elsewhere = Promise {
        tenant: TenantId::new("other").unwrap(),
        ..promise("A-1")
    };
    journal.promise(elsewhere, &by("sato")).await.unwrap();
    journal
        .finish_task(made.id, &by("sato"), "called", None)
        .await
        .unwrap();
    journal.promise(promise("A-1"), &by("sato")).await.unwrap();

    let with_number = NewPayment {
        caller_number: Some("0611112222".into()),
        ..announced("B-1", NOON + HOUR)
    };
    let numbered = journal.create(with_number).await.unwrap().payment().id;
    let bare = journal.create(announced("B-2", NOON + HOUR)).await.unwrap();
    let about = |payment, number: Option<&str>| Promise {
        payment: Some(payment),
        order: None,
        caller_number: number.map(Into::into),
        ..promise("x")
    };
    let task = journal
        .promise(about(numbered, None), &by("sato"))
        .await
        .unwrap();
    assert_eq!(task.caller_number.as_deref(), Some("0611112222"));
    assert_eq!(task.order.unwrap().as_str(), "B-1");
    let bare = bare.payment().id;
    let strangers = Promise {
        tenant: TenantId::new("other").unwrap(),
        ..about(numbered, None)
    };
    assert!(matches!(
        journal.promise(strangers, &by("sato")).await,
        Err(TaskError::PaymentNotFound)
    ));
    let long = "x".repeat(Task::NOTE_MAX + 1);
    for (field, wrong) in [
        ("caller_number", about(bare, None)),
        ("caller_number", about(bare, Some("4111111111111111"))),
        ("caller_number", about(bare, Some(""))),
        (
            "payment_id",
            Promise {
                order: None,
                ..promise("x")
            },
        ),
        (
            "due_at",
            Promise {
                due_ms: NOON,
                ..promise("x")
            },
        ),
        (
            "due_at",
            Promise {
                due_ms: NOON + 91 * 24 * HOUR,
                ..promise("x")
            },
        ),
        (
            "due_at",
            Promise {
                due_ms: i64::MIN,
                ..promise("x")
            },
        ),
        (
            "reason",
            Promise {
                reason: "４１１１１１１１１１１１１１１１".into(),
                ..promise("x")
            },
        ),
        (
            "reason",
            Promise {
                reason: long.clone(),
                ..promise("x")
            },
        ),
    ] {
        let refused = journal.promise(wrong, &by("sato")).await;
        assert!(
            matches!(refused, Err(TaskError::Field { field: f, .. }) if f == field),
            "{field}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn what_people_write_holds_no_card() {
    let place = Place::new();
    let journal = place.open().await;
    let id = unknown(&journal, order("A-1")).await;
    let task = all(&journal).await.remove(0);
    for note in [
        "",
        " ",
        "card 4111 1111 1111 1111",
        "４１１１－１１１１－１１１１－１１１１",
        "3782\u{3000}822463\u{3000}10005",
        "two\nlines",
        "\u{1b}[2J",
        &"x".repeat(501),
    ] {
        let refused = journal
            .finish_task(task.id, &by("sato"), note, Some(Found::NotCharged))
            .await;
        assert!(
            matches!(refused, Err(TaskError::Field { field: "note", .. })),
            "{refused:?}"
        );
    }
    for (field, acquirer_ref, code) in [
        ("acquirer_ref", "4111111111111111", None),
        ("approval_code", "ch_1", Some("4111111111111111")),
        ("approval_code", "ch_1", Some("")),
        ("approval_code", "ch_1", Some("A 1")),
    ] {
        let found = Found::Charged {
            acquirer_ref: AcquirerRef::new(acquirer_ref).unwrap(),
            approval_code: code.map(Into::into),
        };
        let refused = journal
            .finish_task(task.id, &by("sato"), "charged", Some(found))
            .await;
        assert!(
            matches!(refused, Err(TaskError::Field { field: f, .. }) if f == field),
            "{refused:?}"
        );
    }
    let payment = journal.payment(id).await.unwrap().unwrap();
    assert_eq!(payment.state, State::Unknown, "nothing of all this counted");
    journal.stop().await.unwrap();
    let file = std::fs::read(place.path()).unwrap();
    for card in ["4111111111111111", "4111 1111", "４１１１"] {
        let found = file.windows(card.len()).any(|w| w == card.as_bytes());
        assert!(!found, "{card}");
    }
}

async fn the_task_of_a_recording_is_closed_by_what_became_of_it(place: Place) {
    let journal = place.open().await;
    let recording = NewRecording {
        origin: "/spool/a.wav".into(),
        file: None,
        call: None,
        by: "201".into(),
        reason: String::new(),
    };
    journal.quarantine(recording, None, NOON + 1).await.unwrap();
    let task = all(&journal).await.remove(0);
    assert_eq!((task.tenant, task.payment), (None, None));
    journal.take_task(task.id, &by("sato")).await.unwrap();
    assert!(matches!(
        journal.finish_task(task.id, &by("sato"), "x", None).await,
        Err(TaskError::Recording)
    ));
    let recording = task.recording.unwrap();
    let deleted = ivrpay_journal::RecordingState::Deleted;
    journal
        .resolve_recording(recording, deleted, "T. Yamada")
        .await
        .unwrap();
    let closed = done(&journal).await;
    assert_eq!(closed[0].done_by.as_deref(), Some("T. Yamada"));
}

async fn tasks_are_listed_by_urgency_page_by_page(place: Place) {
    let journal = place.open().await;
    // Two are due at the same time.
    for (name, hours) in [("A", 3), ("B", 1), ("C", 2), ("D", 2), ("E", 5)] {
        let new = Promise {
            due_ms: NOON + hours * HOUR,
            ..promise(name)
        };
        journal.promise(new, &by("sato")).await.unwrap();
        place.now.fetch_add(1, Ordering::SeqCst);
    }
    let pages = async |mut filter: TaskFilter| {
        filter.limit = Some(2);
        let mut seen = Vec::new();
        loop {
            let page = journal.tasks(&filter).await.unwrap();
            let Some(last) = page.last() else { break };
            filter.after = Some(last.id);
            seen.extend(page.iter().map(|t| t.order.as_ref().unwrap().to_string()));
        }
        seen.join("")
    };
    assert_eq!(pages(TaskFilter::default()).await, "BCDAE");
    let find = async |name: &str| {
        let tasks = all(&journal).await;
        let found = tasks
            .iter()
            .find(|t| t.order.as_ref().unwrap().as_str() == name);
        found.unwrap().id
    };
    journal
        .take_task(find("A").await, &by("suzuki"))
        .await
        .unwrap();
    for name in ["C", "B"] {
        place.now.fetch_add(1, Ordering::SeqCst);
        let id = find(name).await;
        journal
            .finish_task(id, &by("sato"), "called", None)
            .await
            .unwrap();
    }
    let of = |state: Option<TaskState>, owner: Option<&str>| TaskFilter {
        state,
        owner: owner.map(|o| Owner::new(o).unwrap()),
        tenant: Some(acme()),
        ..TaskFilter::default()
    };
    for (state, owner, expected) in [
        (None, None, "DAE"),
        (Some(TaskState::Open), None, "DE"),
        (Some(TaskState::Taken), None, "A"),
        (Some(TaskState::Done), None, "BC"),
        (None, Some("suzuki"), "A"),
        (None, Some("role:front"), "DAE"),
        (None, Some("role:back"), ""),
    ] {
        let shown = pages(of(state, owner)).await;
        assert_eq!(shown, expected, "{state:?} {owner:?}");
    }
    let elsewhere = TaskFilter {
        tenant: Some(TenantId::new("other").unwrap()),
        ..TaskFilter::default()
    };
    assert_eq!(pages(elsewhere).await, "");
}

async fn news_come_once_and_counts_are_of_now(place: Place) {
    let journal = place.open().await;
    assert!(journal.task_news().await.unwrap().is_empty());
    let id = unheard(&journal, order("A-1")).await;
    tokio::time::timeout(Duration::from_secs(5), journal.task_made())
        .await
        .expect("somebody is waiting for it");
    let news = journal.task_news().await.unwrap();
    assert_eq!(news.made.len(), 1);
    assert_eq!(news.made[0].payment, Some(id));
    assert!(news.overdue.is_empty());
    assert!(journal.task_news().await.unwrap().is_empty());
    place.now.fetch_add(4 * HOUR, Ordering::SeqCst);
    let counts = journal.task_counts().await.unwrap();
    assert_eq!(counts.len(), 1);
    assert_eq!(
        (
            counts[0].kind,
            counts[0].open,
            counts[0].taken,
            counts[0].overdue
        ),
        (TaskKind::ApprovedCallerGone, 1, 0, 1)
    );
    // Whoever is told comes back as another process.
    journal.stop().await.unwrap();
    let journal = place.open().await;
    let news = journal.task_news().await.unwrap();
    assert_eq!((news.made.len(), news.overdue.len()), (0, 1));
    assert!(journal.task_news().await.unwrap().is_empty());
    // One that is done in time is never late.
    let id = unheard(&journal, order("A-2")).await;
    let tasks = all(&journal).await;
    let task = tasks.iter().find(|t| t.payment == Some(id)).unwrap();
    journal
        .finish_task(task.id, &by("sato"), "called", None)
        .await
        .unwrap();
    place.now.fetch_add(4 * HOUR, Ordering::SeqCst);
    let news = journal.task_news().await.unwrap();
    assert_eq!((news.made.len(), news.overdue.len()), (1, 0));
}

async fn a_waiting_payment_is_taken_over_with_its_extension(place: Place) {
    let journal = place.open().await;
    let new = NewPayment {
        operator: Some(OperatorId::new("sato").unwrap()),
        operator_extension: Some("201".into()),
        ..announced("A-1", NOON + HOUR)
    };
    let id = journal.create(new).await.unwrap().payment().id;
    let to = |operator: Option<&str>, extension: Option<&str>| Assignment {
        operator: operator.map(|o| OperatorId::new(o).unwrap()),
        operator_extension: extension.map(Into::into),
    };
    let of_phone = async |extension: &str| {
        let by = Match::OperatorExtension {
            tenant: acme(),
            extension: extension.into(),
        };
        journal.waiting_for(&by).await.unwrap().len()
    };
    let by_order = |name: &str| Which::Order {
        tenant: acme(),
        order: name.parse().unwrap(),
        part: 0,
    };
    place.now.fetch_add(1, Ordering::SeqCst);
    let suzuki = to(Some("suzuki"), Some("202"));
    let moved = journal
        .assign(&by_order("A-1"), suzuki.clone(), &by("suzuki"))
        .await;
    let moved = moved.unwrap();
    assert_eq!((moved.id, moved.updated_ms), (id, NOON + 1));
    assert_eq!(journal.payment(id).await.unwrap().unwrap(), moved);
    assert_eq!((of_phone("201").await, of_phone("202").await), (0, 1));
    // Told twice is told once.
    journal
        .assign(&Which::Id(id), suzuki, &by("suzuki"))
        .await
        .unwrap();
    let records = journal.records(id).await.unwrap();
    let assigned: Vec<_> = records.iter().filter(|r| r.kind == "assigned").collect();
    assert_eq!(assigned.len(), 1);
    let body = &assigned[0].body;
    assert_eq!(
        (
            &body["by"],
            &body["via"],
            &body["from_operator"],
            &body["operator"]
        ),
        (
            &json!("suzuki"),
            &json!("desk"),
            &json!("sato"),
            &json!("suzuki")
        )
    );
    // A person without a phone: never matched to the phone of the one before.
    let tanaka = journal
        .assign(&Which::Id(id), to(Some("tanaka"), None), &by("tanaka"))
        .await;
    assert_eq!(tanaka.unwrap().operator_extension, None);
    assert_eq!(of_phone("202").await, 0);

    for bad in [
        to(None, None),
        to(None, Some("")),
        to(None, Some("4111111111111111")),
    ] {
        let refused = journal.assign(&Which::Id(id), bad, &by("x")).await;
        assert!(
            matches!(refused, Err(AssignError::Field { .. })),
            "{refused:?}"
        );
    }
    let anybody = || to(Some("mori"), None);
    assert!(matches!(
        journal
            .assign(&by_order("A-9"), anybody(), &by("mori"))
            .await,
        Err(AssignError::NotFound)
    ));
    let claim = journal.claim(id, call()).await.unwrap();
    assert!(matches!(
        journal.assign(&Which::Id(id), anybody(), &by("mori")).await,
        Err(AssignError::InCall { payment_id }) if payment_id == id
    ));
    let intent = journal.write_intent(id, draft()).await.unwrap();
    assert_eq!(intent.get().operator.as_ref().unwrap().as_str(), "tanaka");
    journal.write_outcome(&intent, &approved()).await.unwrap();
    journal
        .release(&claim, "success", json!(null))
        .await
        .unwrap();
    assert!(matches!(
        journal.assign(&Which::Id(id), anybody(), &by("mori")).await,
        Err(AssignError::NotWaiting {
            state: State::Approved,
            ..
        })
    ));
    let old = journal.create(announced("B-1", NOON + 10)).await.unwrap();
    place.now.fetch_add(10, Ordering::SeqCst);
    assert!(matches!(
        journal
            .assign(&Which::Id(old.payment().id), anybody(), &by("mori"))
            .await,
        Err(AssignError::NotWaiting {
            state: State::Expired,
            ..
        })
    ));
    assert!(journal.verify().await.unwrap().is_sound());
}

/// A disk that is full, a lock, a person who goes away in the middle: the task and what it is about change together or not at all.
#[tokio::test]
async fn a_task_is_closed_whole_or_not_at_all() {
    let place = Place::new();
    let mut options = place.options();
    options.max_pages = Some(200);
    let journal = Journal::open(place.path(), options).await.unwrap();
    let id = unknown(&journal, order("A-1")).await;
    let task = all(&journal).await.remove(0);
    let finish = || async {
        let note = "looked up";
        journal
            .finish_task(task.id, &by("sato"), note, Some(charged()))
            .await
    };
    let untouched = async || {
        assert_eq!(all(&journal).await, std::slice::from_ref(&task));
        let payment = journal.payment(id).await.unwrap().unwrap();
        assert_eq!(payment.state, State::Unknown);
        assert!(journal.verify().await.unwrap().is_sound());
    };
    let mut raw = place.raw().await;
    let mut run = async |sql: &'static str| {
        sqlx::query(sql).execute(&mut raw).await.unwrap();
    };
    run("BEGIN IMMEDIATE").await;
    assert!(matches!(
        finish().await,
        Err(TaskError::Journal(Error::Busy))
    ));
    untouched().await;
    run("ROLLBACK").await;

    run("CREATE TABLE ballast (x BLOB)").await;
    run("INSERT INTO ballast VALUES (zeroblob(600000))").await;
    // Room that the last pages still have is used up by promises; the one that is refused leaves nothing.
    let mut made = 0;
    let refused = loop {
        let new = Promise {
            reason: "x".repeat(500),
            ..promise(&format!("P-{made}"))
        };
        match journal.promise(new, &by("sato")).await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
        assert!(made < 2000, "never full");
    };
    assert!(
        matches!(refused, TaskError::Journal(Error::Full)),
        "{refused:?}"
    );
    assert_eq!(all(&journal).await.len(), made + 1);
    let payment = journal.payment(id).await.unwrap().unwrap();
    assert_eq!(payment.state, State::Unknown);
    run("DROP TABLE ballast").await;
    assert!(journal.verify().await.unwrap().is_sound());

    // Polled n times and dropped, for every n until it is done.
    let mut polls = 0;
    let state = loop {
        polls += 1;
        assert!(polls < 2000);
        let mut closing = Box::pin(finish());
        let mut left = polls;
        std::future::poll_fn(|context| {
            left -= 1;
            match closing.as_mut().poll(context) {
                std::task::Poll::Pending if left > 0 => std::task::Poll::Pending,
                _ => std::task::Poll::Ready(()),
            }
        })
        .await;
        drop(closing);
        let payment = journal.payment(id).await.unwrap().unwrap();
        let now = journal.task(task.id).await.unwrap().unwrap().state;
        match (payment.state, now) {
            (State::Unknown, TaskState::Open) => {}
            both => break both,
        }
    };
    assert_eq!(state, (State::Approved, TaskState::Done));
    assert!(journal.verify().await.unwrap().is_sound());
}

/// Tasks of the version before this one: what they say stays, and nobody is told of them as if they were new.
#[tokio::test]
async fn the_tasks_of_the_version_before_are_migrated() {
    let place = Place::new();
    let journal = place.open().await;
    let with_number = NewPayment {
        caller_number: Some("0312345678".into()),
        operator: Some(OperatorId::new("sato").unwrap()),
        ..order("lost")
    };
    let lost = unknown(&journal, with_number).await;
    let gone = unheard(&journal, order("gone")).await;
    let settled = unknown(&journal, order("settled")).await;
    let tasks = all(&journal).await;
    let of = |id| tasks.iter().find(|t| t.payment == Some(id)).unwrap();
    let settled = of(settled).id;
    place.now.fetch_add(10 * 60_000, Ordering::SeqCst);
    journal
        .finish_task(settled, &by("sato"), "no", Some(Found::NotCharged))
        .await
        .unwrap();
    let recording = NewRecording {
        origin: "/spool/a.wav".into(),
        file: None,
        call: None,
        by: "201".into(),
        reason: String::new(),
    };
    journal
        .quarantine(recording, None, NOON + HOUR)
        .await
        .unwrap();
    let before = (all(&journal).await, done(&journal).await);
    journal.stop().await.unwrap();

    // The table as the migration before left it.
    let third = include_str!("../migrations/sqlite/0003_recordings.sql");
    let (_, table) = third.split_once("CREATE TABLE tasks_new").unwrap();
    let (table, _) = table.split_once("STRICT;").unwrap();
    let table = format!("CREATE TABLE tasks_old {table} STRICT");
    let mut raw = place.raw().await;
    for undo in [
        "DROP TABLE calls",
        table.as_str(),
        "INSERT INTO tasks_old SELECT id, CASE kind WHEN 'unknown-outcome' THEN 'inquire' WHEN 'approved-caller-gone' THEN 'call-back'
            ELSE 'quarantine' END, payment, operation, recording, owner, due_ms, state, reason, created_ms, done_ms, done_by FROM tasks",
        "DROP TABLE tasks",
        "ALTER TABLE tasks_old RENAME TO tasks",
        "CREATE INDEX tasks_open ON tasks (due_ms) WHERE state = 'open'",
        "CREATE UNIQUE INDEX tasks_one_of_a_kind ON tasks (payment, kind) WHERE state = 'open'",
        "ALTER TABLE payments DROP COLUMN desk",
        "ALTER TABLE recorder_pauses DROP COLUMN writer",
        "ALTER TABLE recorder_pauses DROP COLUMN epoch",
        "ALTER TABLE recordings DROP COLUMN deleting_by",
        "DELETE FROM _sqlx_migrations WHERE version > 3",
    ]
    .into_iter()
    .chain(UNDO_EIGHTH)
    {
        sqlx::query(sqlx::AssertSqlSafe(undo.to_owned())).execute(&mut raw).await.unwrap();
    }
    sqlx::Connection::close(raw).await.unwrap();
    let refused = Journal::open_read_only(place.path()).await.unwrap_err();
    assert!(
        matches!(refused, Error::Version { found: 3, .. }),
        "{refused:?}"
    );

    let journal = place.open().await;
    let mut after = (all(&journal).await, done(&journal).await);
    assert_eq!(after.0.len(), 3);
    assert_eq!(after.1[0].note, None, "the version before had no notes");
    after.1[0].note.clone_from(&before.1[0].note);
    assert_eq!(after, before);
    let news = journal.task_news().await.unwrap();
    assert!(news.is_empty(), "{news:?}");
    // And they can be done.
    for task in &after.0 {
        if task.payment == Some(lost) {
            journal
                .finish_task(task.id, &by("mori"), "charged", Some(charged()))
                .await
                .unwrap();
        } else if task.payment == Some(gone) {
            journal
                .finish_task(task.id, &by("mori"), "called", None)
                .await
                .unwrap();
        }
    }
    let filter = Filter::default();
    let payments = journal.payments(&filter).await.unwrap();
    assert!(payments.iter().all(|p| p.state != State::Unknown));
    assert!(journal.verify().await.unwrap().is_sound());
}

on_both!(
    a_task_says_who_is_to_call_whom_about_what_by_when,
    a_task_is_one_persons_until_it_is_done,
    an_unknown_outcome_is_closed_by_what_was_found_out_alone,
    a_promise_is_about_a_payment_or_an_order_and_is_made_once,
    the_task_of_a_recording_is_closed_by_what_became_of_it,
    tasks_are_listed_by_urgency_page_by_page,
    news_come_once_and_counts_are_of_now,
    a_waiting_payment_is_taken_over_with_its_extension,
);
