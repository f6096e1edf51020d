//! Orders that are paid in parts: by several cards, and once more with a reason.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{NOON, Place, announced, approved, by, call, declined, draft, order, yen};
use ivrpay_journal::{
    CreateError, IntentDraft, Journal, Later, LaterDraft, NewPayment, Origin, Part, PartError,
    PartKind, Task, TaskFilter, TaskKind,
};
use ivrpay_payment::{
    Currency, Money, OperationKind, OrderId, Outcome, PaymentId, State, TenantId,
};

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn a1() -> OrderId {
    OrderId::new("A-1").unwrap()
}

fn part(part: u32, minor: u64) -> NewPayment {
    NewPayment {
        part,
        amount: yen(minor),
        ..announced("A-1", NOON + 60_000)
    }
}

async fn split(journal: &Journal, amounts: &[u64]) -> Result<Vec<Part>, PartError> {
    let amounts: Vec<_> = amounts.iter().map(|minor| yen(*minor)).collect();
    journal.split(&acme(), &a1(), &amounts, &by("sato")).await
}

async fn pay(journal: &Journal, new: NewPayment, outcome: Outcome) -> PaymentId {
    let amount = new.amount;
    let claim = journal.create_claimed(new, call()).await.unwrap();
    let id = claim.payment().id;
    let draft = IntentDraft { amount, ..draft() };
    let intent = journal.write_intent(id, draft).await.unwrap();
    journal.write_outcome(&intent, &outcome).await.unwrap();
    let nothing = serde_json::Value::Null;
    journal.release(&claim, "success", nothing).await.unwrap();
    id
}

async fn later(journal: &Journal, id: PaymentId, kind: OperationKind, minor: Option<u64>) {
    let wish = LaterDraft {
        kind,
        amount_minor: minor,
        by: by("sato"),
        request: None,
        judged: None,
    };
    let Later::New(intent) = journal.write_later(id, wish).await.unwrap() else {
        panic!("nobody asked for it before");
    };
    journal.write_outcome(&intent, &approved()).await.unwrap();
}

async fn tasks(journal: &Journal) -> Vec<Task> {
    let all = journal.tasks(&TaskFilter::default()).await.unwrap();
    all.into_iter()
        .filter(|task| task.kind == TaskKind::UnfinishedSplit)
        .collect()
}

async fn an_order_is_split_once_and_each_part_costs_what_was_said(place: Place) {
    let journal = place.open().await;
    for (amounts, why) in [
        (&[1200][..], "2 to 9 parts"),
        (&[1; 10], "2 to 9 parts"),
        (&[99_999_999, 1], "more than 99999999"),
    ] {
        let refused = split(&journal, amounts).await.unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
    let mixed = [yen(1), Money::new(1, Currency::Usd).unwrap()];
    let mixed = journal.split(&acme(), &a1(), &mixed, &by("sato")).await;
    assert!(matches!(mixed, Err(PartError::Currency)));

    let declared = split(&journal, &[5000, 3000]).await.unwrap();
    let kinds: Vec<_> = declared
        .iter()
        .map(|p| (p.part, p.kind, p.amount))
        .collect();
    let kind = PartKind::Split;
    assert_eq!(kinds, [(0, kind, yen(5000)), (1, kind, yen(3000))]);
    assert_eq!(split(&journal, &[5000, 3000]).await.unwrap(), declared);
    assert_eq!(journal.parts(&acme(), &a1()).await.unwrap(), declared);
    let other = split(&journal, &[4000, 4000]).await;
    assert!(matches!(other, Err(PartError::Declared)));

    for (new, why) in [
        (
            part(0, 8000),
            "part 0 of this order is declared with 5000 JPY",
        ),
        (
            part(1, 5000),
            "part 1 of this order is declared with 3000 JPY",
        ),
        (part(2, 3000), "part 2 of this order was not declared"),
    ] {
        let refused = journal.create(new).await.unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
    journal.create(part(0, 5000)).await.unwrap();
    journal.create(part(1, 3000)).await.unwrap();
    assert!(matches!(
        journal.create(part(1, 3000)).await,
        Err(CreateError::OrderTaken {
            state: State::Waiting,
            ..
        })
    ));
    assert!(journal.verify().await.unwrap().is_sound());
}

/// The caller began with the whole, and says then that he has two cards.
async fn what_was_begun_as_a_whole_is_cancelled_first(place: Place) {
    let journal = place.open().await;
    let whole = journal.create(part(0, 8000)).await.unwrap().payment().id;
    let refused = split(&journal, &[5000, 3000]).await.unwrap_err();
    assert!(matches!(refused, PartError::OrderTaken { payment_id, .. } if payment_id == whole));
    assert!(journal.withdraw(whole).await.unwrap());
    split(&journal, &[5000, 3000]).await.unwrap();
    // What was paid for the whole is no part of it, unless it is the first.
    let paid = pay(
        &journal,
        NewPayment {
            order: Some("A-2".parse().unwrap()),
            ..part(0, 5000)
        },
        approved(),
    )
    .await;
    let a2: OrderId = "A-2".parse().unwrap();
    let refused = journal
        .split(&acme(), &a2, &[yen(4000), yen(1000)], &by("sato"))
        .await;
    assert!(
        matches!(refused, Err(PartError::OrderTaken { payment_id, state: State::Approved }) if payment_id == paid)
    );
    journal
        .split(&acme(), &a2, &[yen(5000), yen(3000)], &by("sato"))
        .await
        .unwrap();
}

async fn a_rest_is_somebodys_task_until_it_is_paid_or_released(place: Place) {
    let journal = place.open().await;
    split(&journal, &[5000, 3000, 2000]).await.unwrap();
    // Announced it would wait for another call.
    let once = NewPayment {
        origin: Origin::Dialplan,
        expires_ms: None,
        ..part(1, 3000)
    };
    pay(&journal, once, declined()).await;
    assert_eq!(tasks(&journal).await, []);
    let first = pay(&journal, part(0, 5000), approved()).await;
    let open = tasks(&journal).await;
    assert_eq!((open.len(), open[0].payment), (1, Some(first)));
    assert_eq!(open[0].order, Some(a1()));
    let second = pay(&journal, part(1, 3000), approved()).await;
    assert_eq!(tasks(&journal).await, open, "one task an order");
    pay(&journal, part(2, 2000), approved()).await;
    assert_eq!(tasks(&journal).await, [], "all is paid");

    // One of them is given back: in part, which leaves it paid, then whole.
    later(&journal, second, OperationKind::Refund, Some(1000)).await;
    assert_eq!(tasks(&journal).await, []);
    later(&journal, second, OperationKind::Refund, Some(2000)).await;
    assert_eq!(tasks(&journal).await.len(), 1);
    later(&journal, first, OperationKind::Void, None).await;
    let filter = TaskFilter {
        state: Some(ivrpay_journal::TaskState::Done),
        ..TaskFilter::default()
    };
    assert_eq!(tasks(&journal).await.len(), 1, "the third is paid still");
    let third = journal
        .order_holder(&acme(), &a1(), 2)
        .await
        .unwrap()
        .unwrap();
    later(&journal, third.id, OperationKind::Void, None).await;
    assert_eq!(tasks(&journal).await, []);
    let done = journal.tasks(&filter).await.unwrap();
    let notes: Vec<_> = done
        .iter()
        .filter_map(|task| task.note.as_deref())
        .collect();
    assert!(
        notes.contains(&"all parts of the order are paid"),
        "{notes:?}"
    );
    assert!(
        notes.contains(&"nothing of the order is paid any more"),
        "{notes:?}"
    );
    assert!(journal.verify().await.unwrap().is_sound());
}

/// Two equal parts: as long as nobody knows whether the first was charged, nobody keys the second over it.
async fn a_part_that_may_have_been_charged_is_not_passed_by(place: Place) {
    let journal = place.open().await;
    split(&journal, &[4000, 4000]).await.unwrap();
    let keyed = || NewPayment {
        amount: yen(4000),
        origin: Origin::Desk,
        ..order("A-1")
    };
    let unknown = Outcome::Unknown(ivrpay_payment::Doubt::NoReply);
    let first = pay(&journal, keyed(), unknown).await;
    let refused = journal.create(keyed()).await.unwrap_err();
    assert!(
        matches!(refused, CreateError::OrderTaken { payment_id, state: State::Unknown } if payment_id == first),
        "{refused}"
    );
    let asked = async |amount| journal.part_for(&acme(), &a1(), 0, amount).await.unwrap();
    assert_eq!((asked(Some(yen(4000))).await, asked(None).await), (0, 0));
}

/// What a call is about that brings an order, with or without an amount.
async fn a_call_is_about_the_first_part_that_is_not_paid(place: Place) {
    let journal = place.open().await;
    let asked = async |part, amount: Option<u64>| {
        let amount = amount.map(yen);
        journal
            .part_for(&acme(), &a1(), part, amount)
            .await
            .unwrap()
    };
    assert_eq!(asked(0, Some(5000)).await, 0, "the whole order");
    split(&journal, &[5000, 3000]).await.unwrap();
    assert_eq!((asked(0, None).await, asked(0, Some(3000)).await), (0, 1));
    pay(&journal, part(0, 5000), approved()).await;
    assert_eq!((asked(0, None).await, asked(0, Some(5000)).await), (1, 0));
    assert_eq!((asked(0, Some(3000)).await, asked(1, None).await), (1, 1));
}

/// The rest is somebody's task also where the first part was paid before anybody spoke of parts; and what he has decided is not asked again.
async fn a_decision_stands(place: Place) {
    let journal = place.open().await;
    let first = NewPayment {
        transaction: ivrpay_payment::Transaction::Authorise,
        ..part(0, 5000)
    };
    let first = pay(&journal, first, approved()).await;
    split(&journal, &[5000, 3000]).await.unwrap();
    let open = tasks(&journal).await;
    assert_eq!((open.len(), open[0].payment), (1, Some(first)));
    journal
        .finish_task(open[0].id, &by("mori"), "keeps it", None)
        .await
        .unwrap();
    later(&journal, first, OperationKind::Capture, None).await;
    later(&journal, first, OperationKind::Refund, Some(1)).await;
    assert_eq!(tasks(&journal).await, []);
}

/// Whoever keys it at a telephone knows the amount, and no number of a part.
async fn in_a_call_the_amount_says_which_part_it_is(place: Place) {
    let journal = place.open().await;
    split(&journal, &[4000, 4000, 2000]).await.unwrap();
    let keyed = |minor| NewPayment {
        amount: yen(minor),
        origin: Origin::Dialplan,
        ..order("A-1")
    };
    let refused = journal.create(keyed(8000)).await;
    assert!(matches!(refused, Err(CreateError::PartDiffers { .. })));
    for (minor, part) in [(4000, 0), (2000, 2), (4000, 1)] {
        let id = pay(&journal, keyed(minor), approved()).await;
        assert_eq!(journal.payment(id).await.unwrap().unwrap().part, part);
    }
    let refused = journal.create(keyed(4000)).await.unwrap_err();
    assert!(
        matches!(
            refused,
            CreateError::OrderTaken {
                state: State::Approved,
                ..
            }
        ),
        "{refused}"
    );
    let refused = journal.create(keyed(2000)).await.unwrap_err();
    assert!(
        matches!(
            refused,
            CreateError::OrderTaken {
                state: State::Approved,
                ..
            } | CreateError::PartDiffers { .. }
        ),
        "{refused}"
    );
}

/// Whatever comes at once, an order costs what it costs.
async fn of_many_at_once_each_part_is_paid_once(place: Place) {
    let journal = place.open().await;
    split(&journal, &[5000, 3000, 2000]).await.unwrap();
    let mut callers = Vec::new();
    for n in 0..30_u32 {
        let journal = journal.clone();
        callers.push(tokio::spawn(async move {
            let (number, minor) = [(0, 5000), (1, 3000), (2, 2000)][n as usize % 3];
            let new = part(number, minor);
            let Ok(claim) = journal.create_claimed(new, call()).await else {
                return 0;
            };
            let id = claim.payment().id;
            let draft = IntentDraft {
                amount: yen(minor),
                ..draft()
            };
            let intent = journal.write_intent(id, draft).await.unwrap();
            journal.write_outcome(&intent, &approved()).await.unwrap();
            minor
        }));
    }
    let mut paid = 0;
    for caller in callers {
        paid += caller.await.unwrap();
    }
    assert_eq!(paid, 10_000);
    assert_eq!(tasks(&journal).await, []);
    assert!(journal.verify().await.unwrap().is_sound());
}

async fn one_more_needs_a_first_one_a_person_and_a_reason(place: Place) {
    let journal = place.open().await;
    let add = async |reason: &str| {
        let by = by("mori");
        let added = journal
            .add_part(&acme(), &a1(), yen(700), reason, &by)
            .await;
        added.map(|part| part.part)
    };
    assert!(matches!(add("delivery").await, Err(PartError::NotPaid)));
    pay(&journal, part(0, 5000), approved()).await;
    for bad in ["", "  ", "a\nb", "4111111111111111"] {
        assert!(matches!(add(bad).await, Err(PartError::Reason)), "{bad:?}");
    }
    assert_eq!(add("delivery").await.unwrap(), 1);
    assert_eq!(add("wrapped as a present").await.unwrap(), 2);
    // The answer was lost, and it is asked for again: as long as nothing of it is paid it is the same one.
    assert_eq!(add("delivery").await.unwrap(), 1);
    pay(&journal, part(2, 700), approved()).await;
    assert_eq!(add("wrapped as a present").await.unwrap(), 3);
    // It is no split: nothing is unfinished.
    assert_eq!(tasks(&journal).await, []);
    let parts = journal.parts(&acme(), &a1()).await.unwrap();
    assert_eq!(parts[1].reason.as_deref(), Some("wrapped as a present"));
    assert_eq!(parts[1].person.as_str(), "mori");
}

on_both! {
    a_part_that_may_have_been_charged_is_not_passed_by,
    a_call_is_about_the_first_part_that_is_not_paid,
    a_decision_stands,
    an_order_is_split_once_and_each_part_costs_what_was_said,
    what_was_begun_as_a_whole_is_cancelled_first,
    a_rest_is_somebodys_task_until_it_is_paid_or_released,
    in_a_call_the_amount_says_which_part_it_is,
    of_many_at_once_each_part_is_paid_once,
    one_more_needs_a_first_one_a_person_and_a_reason,
}
