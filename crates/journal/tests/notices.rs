//! What an acquirer says of itself, and voids of what nobody knows to be charged: in every order in which they can come.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{NOON, Place, approved, by, call, declined, draft, order, yen};
use ivrpay_journal::{
    Journal, Later, LaterDraft, LaterError, NewPayment, OperationState, Task, TaskFilter, TaskKind,
    TaskState, Told,
};
use ivrpay_payment::{
    AcquirerRef, Approval, Currency, Doubt, Durable, Intent, Money, Notice, Noticed, OperationKind,
    Outcome, PaymentId, State, Sum, Transaction, Why,
};

const UNKNOWN: Outcome = Outcome::Unknown(Doubt::NoReply);
const PSP: &str = "993617895204576J";

/// A payment of 1200 yen with this outcome of its charge, whose call is over.
async fn charged(journal: &Journal, outcome: Option<&Outcome>) -> (PaymentId, Durable<Intent>) {
    let name = uuid::Uuid::now_v7().to_string();
    let new = NewPayment {
        transaction: Transaction::Charge,
        ..order(&name)
    };
    let id = journal.create(new).await.unwrap().payment().id;
    journal.claim(id, call()).await.unwrap();
    let intent = journal.write_intent(id, draft()).await.unwrap();
    if let Some(outcome) = outcome {
        journal.write_outcome(&intent, outcome).await.unwrap();
        let evidence = serde_json::Value::Null;
        journal.close(id, "success", evidence).await.unwrap();
    }
    (id, intent)
}

async fn later(
    journal: &Journal,
    id: PaymentId,
    kind: OperationKind,
    amount_minor: Option<u64>,
) -> Result<Durable<Intent>, LaterError> {
    let draft = LaterDraft {
        kind,
        amount_minor,
        by: by("sato"),
        request: None,
        judged: None,
    };
    match journal.write_later(id, draft).await? {
        Later::New(intent) => Ok(intent),
        Later::Existing(_) => panic!("no request was given"),
    }
}

fn yes() -> Outcome {
    Outcome::Approved(Approval {
        acquirer_ref: AcquirerRef::new(PSP).unwrap(),
        code: None,
        card: None,
    })
}

/// A word about an operation, by its id.
fn about(intent: &Durable<Intent>, outcome: Outcome) -> Notice {
    let intent = intent.get();
    Notice {
        event: "EVENT",
        about: Noticed::Operation(intent.operation_id),
        kinds: &[
            OperationKind::Charge,
            OperationKind::Capture,
            OperationKind::Refund,
            OperationKind::Void,
        ],
        warns: &[],
        sum: Sum::Is(intent.amount),
        outcome,
        reference: AcquirerRef::new(PSP).unwrap(),
    }
}

/// The same by the order number.
fn about_order(intent: &Durable<Intent>, kind: &'static [OperationKind], yes: Outcome) -> Notice {
    Notice {
        about: Noticed::Order(intent.get().acquirer_order),
        kinds: kind,
        ..about(intent, yes)
    }
}

async fn told(journal: &Journal, notice: &Notice) -> Told {
    journal.notice("null", notice).await.unwrap()
}

async fn state(journal: &Journal, id: PaymentId) -> State {
    journal.payment(id).await.unwrap().unwrap().state
}

/// What is to be done about a payment.
async fn tasks(journal: &Journal, id: PaymentId) -> Vec<Task> {
    let all = journal.tasks(&TaskFilter::default()).await.unwrap();
    all.into_iter().filter(|t| t.payment == Some(id)).collect()
}

async fn kinds(journal: &Journal, id: PaymentId) -> Vec<TaskKind> {
    let mut kinds: Vec<_> = tasks(journal, id).await.iter().map(|t| t.kind).collect();
    kinds.sort_by_key(|kind| kind.name());
    kinds
}

async fn is_sound(journal: &Journal) {
    let report = journal.verify().await.unwrap();
    assert!(report.is_sound(), "{report:?}");
}

async fn a_notice_settles_what_is_unknown_once(place: Place) {
    let journal = place.open().await;
    let by_order = &[OperationKind::Charge];
    for (outcome, after, task) in [
        (yes(), State::Approved, &[TaskKind::ApprovedCallerGone][..]),
        (declined(), State::Declined, &[]),
    ] {
        let (id, intent) = charged(&journal, Some(&UNKNOWN)).await;
        assert_eq!(kinds(&journal, id).await, [TaskKind::UnknownOutcome]);
        let notice = about_order(&intent, by_order, outcome);
        let operation = intent.get().operation_id;
        assert_eq!(told(&journal, &notice).await, Told::Settled(id, operation));
        // Acquirers send twice.
        assert_eq!(told(&journal, &notice).await, Told::Known);
        assert_eq!(state(&journal, id).await, after);
        assert_eq!(kinds(&journal, id).await, task);
        let records = journal.records(id).await.unwrap();
        let settled = records.iter().filter(|r| r.kind == "settled");
        let by: Vec<_> = settled.map(|r| r.body["by"].clone()).collect();
        assert_eq!(by, ["webhook"]);
    }
    for (outcome, refunded) in [(yes(), 400), (declined(), 0)] {
        let (id, _) = charged(&journal, Some(&approved())).await;
        let refund = later(&journal, id, OperationKind::Refund, Some(400)).await;
        let refund = refund.unwrap();
        journal.write_outcome(&refund, &UNKNOWN).await.unwrap();
        let notice = about(&refund, outcome);
        assert!(matches!(told(&journal, &notice).await, Told::Settled(..)));
        assert_eq!(told(&journal, &notice).await, Told::Known);
        let payment = journal.payment(id).await.unwrap().unwrap();
        assert_eq!(payment.refunded_minor, refunded);
        assert_eq!(kinds(&journal, id).await, []);
    }
    is_sound(&journal).await;
}

/// The acquirer's own answer comes first: what is in flight belongs to the one who asks.
async fn a_notice_before_the_answer_waits(place: Place) {
    let journal = place.open().await;
    let (id, intent) = charged(&journal, None).await;
    let notice = about(&intent, yes());
    assert_eq!(told(&journal, &notice).await, Told::InFlight);
    assert_eq!(state(&journal, id).await, State::InFlight);
    journal.write_outcome(&intent, &yes()).await.unwrap();
    assert_eq!(told(&journal, &notice).await, Told::Known);
    assert_eq!(kinds(&journal, id).await, []);
}

/// The same order authorised under two references is a card that was taken twice: somebody has to give one back.
async fn a_second_authorisation_is_a_task(place: Place) {
    let journal = place.open().await;
    let (id, intent) = charged(&journal, Some(&yes())).await;
    let mut notice = about(&intent, yes());
    assert_eq!(told(&journal, &notice).await, Told::Known);
    notice.reference = AcquirerRef::new("another").unwrap();
    assert!(matches!(
        told(&journal, &notice).await,
        Told::Contradicts(..)
    ));
    assert_eq!(told(&journal, &notice).await, Told::Known, "once");
    assert_eq!(kinds(&journal, id).await, [TaskKind::AcquirerContradicts]);
    is_sound(&journal).await;
}

async fn what_is_not_ours_changes_nothing(place: Place) {
    let journal = place.open().await;
    let (id, intent) = charged(&journal, Some(&UNKNOWN)).await;
    let of_a_capture = about_order(&intent, &[OperationKind::Capture], yes());
    let stranger = Notice {
        about: Noticed::Operation("0193a1b2-0000-7000-8000-000000000009".parse().unwrap()),
        ..about(&intent, yes())
    };
    for notice in [of_a_capture, stranger] {
        assert_eq!(told(&journal, &notice).await, Told::NotOurs);
    }
    let ours = about(&intent, yes());
    let other = journal.notice("other", &ours).await.unwrap();
    assert_eq!(other, Told::NotOurs, "another connector's acquirer");
    assert_eq!(state(&journal, id).await, State::Unknown);
}

/// Amount and currency have to be ours (I7); else a person looks.
async fn another_amount_settles_nothing(place: Place) {
    let journal = place.open().await;
    let (id, intent) = charged(&journal, Some(&UNKNOWN)).await;
    let euro = Money::new(1200, Currency::Eur).unwrap();
    for (n, sum) in [Sum::Is(yen(1199)), Sum::Is(euro), Sum::Foreign]
        .into_iter()
        .enumerate()
    {
        let notice = Notice {
            sum,
            ..about(&intent, yes())
        };
        assert!(matches!(
            told(&journal, &notice).await,
            Told::Contradicts(..)
        ));
        assert_eq!(told(&journal, &notice).await, Told::Known, "once");
        assert_eq!(state(&journal, id).await, State::Unknown);
        assert_eq!(kinds(&journal, id).await.len(), n + 2);
    }
    let settled = told(&journal, &about(&intent, yes())).await;
    assert!(matches!(settled, Told::Settled(..)));
    is_sound(&journal).await;
}

/// What comes behind a success, or behind what a person has found, changes nothing and is not lost: each such word is a task, once.
async fn what_contradicts_is_a_task(place: Place) {
    use OperationKind::{Charge, Refund};
    let journal = place.open().await;
    let (id, charge) = charged(&journal, Some(&approved())).await;
    let refund = later(&journal, id, Refund, None).await.unwrap();
    journal.write_outcome(&refund, &approved()).await.unwrap();
    let failed = Notice {
        event: "REFUND_FAILED",
        ..about(&refund, declined())
    };
    let not_captured = Notice {
        event: "CAPTURE_FAILED",
        kinds: &[],
        warns: &[Charge],
        ..about_order(&charge, &[], declined())
    };
    for notice in [&failed, &not_captured] {
        assert!(matches!(
            told(&journal, notice).await,
            Told::Contradicts(..)
        ));
        assert_eq!(told(&journal, notice).await, Told::Known);
    }
    assert_eq!(state(&journal, id).await, State::Voided);
    let open = tasks(&journal, id).await;
    assert_eq!(open.len(), 2, "{open:?}");
    assert!(open.iter().all(|t| t.kind == TaskKind::AcquirerContradicts));
    let task = open
        .iter()
        .find(|t| t.reason.contains("REFUND_FAILED"))
        .unwrap();
    for said in [PSP, "refund of 1200", "JPY", "approved here"] {
        assert!(task.reason.contains(said), "{said}: {}", task.reason);
    }
    // A note closes it, and the same word does not open it again.
    let closed = journal
        .finish_task(task.id, &by("sato"), "paid back by bank", None)
        .await;
    assert_eq!(closed.unwrap().state, TaskState::Done);
    assert_eq!(told(&journal, &failed).await, Told::Known);
    assert_eq!(tasks(&journal, id).await.len(), 1);

    // A person found that nothing was charged; the acquirer says later that it was.
    let (id, intent) = charged(&journal, Some(&UNKNOWN)).await;
    let operation = intent.get().operation_id;
    let nothing = Outcome::NotCharged(Why::LookedUp);
    place
        .now
        .store(NOON + 11 * 60_000, std::sync::atomic::Ordering::SeqCst);
    journal.settle(operation, &nothing, "sato").await.unwrap();
    let late = told(&journal, &about(&intent, yes())).await;
    assert_eq!(late, Told::Contradicts(id, operation));
    assert_eq!(state(&journal, id).await, State::Cancelled);
    is_sound(&journal).await;
}

/// A capture that failed says nothing about an authorisation of which nobody knows.
async fn a_warning_settles_nothing(place: Place) {
    let journal = place.open().await;
    let (id, intent) = charged(&journal, Some(&UNKNOWN)).await;
    let notice = Notice {
        warns: &[OperationKind::Charge],
        ..about_order(&intent, &[], declined())
    };
    assert!(matches!(
        told(&journal, &notice).await,
        Told::Contradicts(..)
    ));
    assert_eq!(state(&journal, id).await, State::Unknown);
}

/// By the order number alone a refund is meant where there is one.
async fn of_two_refunds_the_order_tells_none(place: Place) {
    let journal = place.open().await;
    let (id, charge) = charged(&journal, Some(&approved())).await;
    let notice = Notice {
        sum: Sum::Is(yen(100)),
        ..about_order(&charge, &[OperationKind::Refund], yes())
    };
    let refund = async |outcome: &Outcome| {
        let refund = later(&journal, id, OperationKind::Refund, Some(100)).await;
        journal
            .write_outcome(&refund.unwrap(), outcome)
            .await
            .unwrap();
    };
    // One that was never sent is not meant.
    refund(&Outcome::NotCharged(Why::NotSent)).await;
    refund(&UNKNOWN).await;
    assert!(matches!(told(&journal, &notice).await, Told::Settled(..)));
    refund(&UNKNOWN).await;
    assert_eq!(
        told(&journal, &notice).await,
        Told::NotOurs,
        "it is the first one's, again"
    );
    let payment = journal.payment(id).await.unwrap().unwrap();
    assert_eq!(payment.refunded_minor, 100);
}

/// What nobody knows to be charged can be released, and nothing else.
async fn an_unknown_charge_can_be_voided(place: Place) {
    use OperationKind::{Capture, Refund, Void};
    let journal = place.open().await;
    let (id, charge) = charged(&journal, Some(&UNKNOWN)).await;
    for kind in [Capture, Refund] {
        let refused = later(&journal, id, kind, None).await;
        let state = State::Unknown;
        assert!(matches!(refused, Err(LaterError::NotApproved { state: s }) if s == state));
    }
    let void = later(&journal, id, Void, None).await.unwrap();
    let parent = void.get().parent.clone().unwrap();
    assert_eq!(parent.operation_id, charge.get().operation_id);
    assert_eq!((parent.acquirer_ref, void.get().amount), (None, yen(1200)));
    let second = later(&journal, id, Void, None).await;
    assert!(matches!(second, Err(LaterError::Open { kind: Void })));
    // Received is not done: the order stays locked, and a person has a task.
    journal.write_outcome(&void, &UNKNOWN).await.unwrap();
    assert_eq!(state(&journal, id).await, State::Unknown);
    assert_eq!(kinds(&journal, id).await, [TaskKind::UnknownOutcome]);
    // Refused: nothing is known by that.
    let refused = about_order(&charge, &[Void], declined());
    assert!(matches!(told(&journal, &refused).await, Told::Settled(..)));
    assert_eq!(state(&journal, id).await, State::Unknown);
    assert_eq!(kinds(&journal, id).await, [TaskKind::UnknownOutcome]);
    // Another one is meant by the order as long as it is open, and an acquirer may answer at once.
    let void = later(&journal, id, Void, None).await.unwrap();
    assert_eq!(
        journal.write_outcome(&void, &yes()).await.unwrap(),
        State::Voided
    );
    let root = journal.operations(id).await.unwrap().remove(0);
    assert_eq!(root.outcome, Some(Outcome::NotCharged(Why::Reversed)));
    assert_eq!(kinds(&journal, id).await, []);
    // That it had been authorised is no news any more.
    assert_eq!(told(&journal, &about(&charge, yes())).await, Told::Known);
    assert_eq!(state(&journal, id).await, State::Voided);
    is_sound(&journal).await;
}

/// The two words, that it was authorised or not and that it was released or not, come in either order.
async fn a_void_and_what_it_is_about_are_settled_in_either_order(given: Place) {
    use State::{Approved, Declined, Unknown, Voided};
    let unknown = &[TaskKind::UnknownOutcome][..];
    let gone = &[TaskKind::ApprovedCallerGone][..];
    let both = &[TaskKind::ApprovedCallerGone, TaskKind::UnknownOutcome][..];
    let no_task = &[][..];
    for (first_void, void, charge, first, first_tasks, last, last_tasks) in [
        (true, yes(), yes(), Voided, no_task, Voided, no_task),
        (true, declined(), yes(), Unknown, unknown, Approved, gone),
        (
            true,
            declined(),
            declined(),
            Unknown,
            unknown,
            Declined,
            no_task,
        ),
        (false, yes(), yes(), Approved, both, Voided, gone),
        (false, declined(), yes(), Approved, both, Approved, gone),
        (
            false,
            declined(),
            declined(),
            Declined,
            unknown,
            Declined,
            no_task,
        ),
        // What took nothing is not voided.
        (
            false,
            yes(),
            declined(),
            Declined,
            unknown,
            Declined,
            no_task,
        ),
    ] {
        let place = given.another().await;
        let journal = place.open().await;
        let (id, asked) = charged(&journal, Some(&UNKNOWN)).await;
        let released = later(&journal, id, OperationKind::Void, None)
            .await
            .unwrap();
        journal.write_outcome(&released, &UNKNOWN).await.unwrap();
        let name = format!("{first_void} {void:?} {charge:?}");
        let (void, charge) = (about(&released, void), about(&asked, charge));
        let (one, other) = if first_void {
            (&void, &charge)
        } else {
            (&charge, &void)
        };
        told(&journal, one).await;
        assert_eq!(state(&journal, id).await, first, "{name}");
        assert_eq!(kinds(&journal, id).await, first_tasks, "{name}");
        told(&journal, other).await;
        assert_eq!(state(&journal, id).await, last, "{name}");
        assert_eq!(kinds(&journal, id).await, last_tasks, "{name}");
        let open = journal.operations(id).await.unwrap();
        assert!(
            open.iter().all(|o| o.state != OperationState::Unknown),
            "{name}"
        );
        is_sound(&journal).await;
    }
}

on_both!(
    a_notice_settles_what_is_unknown_once,
    a_notice_before_the_answer_waits,
    a_second_authorisation_is_a_task,
    what_is_not_ours_changes_nothing,
    another_amount_settles_nothing,
    what_contradicts_is_a_task,
    a_warning_settles_nothing,
    of_two_refunds_the_order_tells_none,
    an_unknown_charge_can_be_voided,
    a_void_and_what_it_is_about_are_settled_in_either_order,
);
