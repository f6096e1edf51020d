//! What is taken out of the journal when its time is over, and what stays.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{NOON, Place, announced, approved, by, call, declined, draft, order};
use ivrpay_journal::{
    Break, ChainHead, Held, Journal, NewPayment, OpenOptions, Over, Promise, Retained, Terms,
};
use ivrpay_payment::{CardToken, Doubt, Outcome, PaymentId, TenantId, Transaction};

const DAY: i64 = 24 * 3_600_000;

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3600)
}

fn terms(all: Option<u64>) -> Terms {
    Terms {
        all: all.map(days),
        of: [].into(),
    }
}

/// Moves the clock, and has the ends of the chains kept on each of the last days, as the service does.
async fn later(place: &Place, journal: &Journal, by_days: i64) {
    place.now.fetch_add((by_days - 7) * DAY, Ordering::SeqCst);
    for _ in 0..7 {
        place.now.fetch_add(DAY, Ordering::SeqCst);
        journal.anchor().await.unwrap();
    }
}

async fn ended(journal: &Journal, new: NewPayment, outcome: &Outcome) -> PaymentId {
    let claim = journal.create_claimed(new, call()).await.unwrap();
    let id = claim.payment().id;
    let intent = journal.write_intent(id, draft()).await.unwrap();
    journal.write_outcome(&intent, outcome).await.unwrap();
    let nothing = serde_json::Value::Null;
    journal.release(&claim, "success", nothing).await.unwrap();
    id
}

fn of(tenant: &str, name: &str) -> NewPayment {
    NewPayment {
        tenant: TenantId::new(tenant).unwrap(),
        caller_number: Some("0312345678".into()),
        ..order(name)
    }
}

/// Takes out all that is over; says how much.
async fn retain(journal: &Journal, terms: &Terms) -> usize {
    let mut gone = 0;
    loop {
        match journal.retain(terms).await.unwrap() {
            Retained::Removed(0) => return gone,
            Retained::Removed(some) => gone += some,
            Retained::Waits => panic!("the clock is right"),
        }
    }
}

async fn is_there(journal: &Journal, id: PaymentId) -> bool {
    journal.payment(id).await.unwrap().is_some()
}

async fn what_is_over_goes_and_what_is_open_stays(place: Place) {
    let journal = place.open().await;
    let paid = ended(&journal, of("acme", "paid"), &approved()).await;
    let refused = ended(&journal, of("acme", "refused"), &declined()).await;
    let other = ended(&journal, of("other", "paid"), &approved()).await;
    let unknown = Outcome::Unknown(Doubt::NoReply);
    let unknown = ended(&journal, of("acme", "unknown"), &unknown).await;
    let card = NewPayment {
        transaction: Transaction::Tokenise,
        ..of("acme", "card")
    };
    let claim = journal.create_claimed(card, call()).await.unwrap();
    let card = claim.payment().id;
    let intent = journal.write_intent(card, draft()).await.unwrap();
    let registered = Outcome::Approved(ivrpay_payment::Approval {
        acquirer_ref: CardToken::new("tok-1").unwrap().as_str().parse().unwrap(),
        code: None,
        card: None,
    });
    journal.write_outcome(&intent, &registered).await.unwrap();
    journal
        .release(&claim, "success", serde_json::Value::Null)
        .await
        .unwrap();
    let waits = journal.create(announced("waits", NOON + 1000 * DAY)).await;
    let waits = waits.unwrap().payment().id;
    // Nobody has rung the caller back yet.
    let promised = ended(&journal, of("acme", "promised"), &approved()).await;
    let promise = Promise {
        tenant: TenantId::new("acme").unwrap(),
        payment: Some(promised),
        order: None,
        caller_number: None,
        owner: "sato".parse().unwrap(),
        due_ms: NOON + DAY,
        reason: "has to be rung back".into(),
    };
    journal.promise(promise, &by("sato")).await.unwrap();

    let head = journal.heads().await.unwrap();
    later(&place, &journal, 400).await;
    let young = ended(&journal, of("acme", "young"), &approved()).await;
    assert_eq!(retain(&journal, &terms(None)).await, 0);
    let mut of = terms(Some(200));
    of.of.insert(TenantId::new("other").unwrap(), None);
    let over = Over {
        tenant: TenantId::new("acme").unwrap(),
        before_ms: NOON + 200 * DAY,
        payments: 2,
        held: 4,
    };
    assert_eq!(journal.over(&of).await.unwrap(), [over]);
    assert_eq!(retain(&journal, &of).await, 2);
    assert_eq!(retain(&journal, &of).await, 0);
    for (id, stays) in [
        (paid, false),
        (refused, false),
        (other, true),
        (unknown, true),
        (card, true),
        (waits, true),
        (promised, true),
        (young, true),
    ] {
        assert_eq!(is_there(&journal, id).await, stays, "{id}");
    }
    assert_eq!(
        journal.removed_before(None).await.unwrap(),
        Some(NOON + 200 * DAY)
    );
    let other = TenantId::new("other").unwrap();
    assert_eq!(journal.removed_before(Some(&other)).await.unwrap(), None);

    // The chains are whole, and end where they ended: also for whoever kept an end elsewhere before.
    let report = journal.verify().await.unwrap();
    assert!(report.is_sound() && report.removed >= 6, "{report:?}");
    let held = journal.holds(&head[0] as &ChainHead).await.unwrap();
    assert_eq!(held, Held::AsItWas);
    let left = place
        .texts("SELECT body FROM records UNION ALL SELECT coalesce(order_id, '') FROM payments UNION ALL SELECT body FROM outbox")
        .await
        .concat();
    assert!(!left.contains("refused\"") && !left.contains(&paid.to_string()));
    // An order that is gone may be paid again; one that is there may not.
    assert!(journal.create(order("paid")).await.is_ok());
    assert!(journal.create(order("young")).await.is_err());
    // And the start behind it.
    journal.stop().await.unwrap();
    assert!(place.open().await.verify().await.unwrap().is_sound());
}

async fn more_than_a_transaction_takes_goes_in_several(place: Place) {
    let journal = place.open().await;
    let many = Terms::AT_ONCE as usize + 7;
    for n in 0..many {
        ended(&journal, of("acme", &format!("N-{n}")), &declined()).await;
    }
    later(&place, &journal, 181).await;
    let all = terms(Some(180));
    let first = journal.retain(&all).await.unwrap();
    assert_eq!(first, Retained::Removed(Terms::AT_ONCE as usize));
    assert_eq!(retain(&journal, &all).await, 7);
    assert!(journal.verify().await.unwrap().is_sound());
}

/// Whoever takes the content of a record out by hand, as the retention does, is found.
async fn a_removal_that_nobody_wrote_down_is_found(place: Place) {
    let journal = place.open().await;
    let id = ended(&journal, of("acme", "A-1"), &approved()).await;
    let tampered = format!(
        "UPDATE records SET body = 'null', payment = NULL, operation = NULL WHERE payment = '{id}' AND kind = 'outcome'"
    );
    assert_eq!(place.run(&tampered).await.unwrap(), 1);
    let report = journal.verify().await.unwrap();
    let is_removed = |found: &Break| matches!(found, Break::Removed { .. });
    assert!(report.breaks.iter().any(is_removed), "{report:?}");
    // And nothing else of a record can be changed.
    for change in [
        "UPDATE records SET body = 'null' WHERE kind = 'intent'",
        "UPDATE records SET body = 'null', payment = NULL, operation = NULL, kind = 'x' WHERE kind = 'intent'",
        "UPDATE records SET body = '{}', payment = NULL, operation = NULL WHERE kind = 'intent'",
        "UPDATE records SET body = 'null', payment = NULL, operation = NULL, number = 77 WHERE kind = 'intent'",
        "DELETE FROM records WHERE kind = 'intent'",
    ] {
        place.run(change).await.expect_err(change);
    }
}

/// A machine that comes up in another year, or whose clock jumps, has nothing taken out: however often it is started.
async fn a_clock_that_is_wrong_takes_nothing_out(place: Place) {
    let mut journal = place.open().await;
    let id = ended(&journal, of("acme", "A-1"), &approved()).await;
    place.now.fetch_add(3650 * DAY, Ordering::SeqCst);
    let all = terms(Some(180));
    for _ in 0..3 {
        journal.stop().await.unwrap();
        journal = place.open().await;
        journal.anchor().await.unwrap();
        ended(&journal, of("acme", "A-2"), &declined()).await;
        assert_eq!(journal.retain(&all).await.unwrap(), Retained::Waits);
        place.now.fetch_add(DAY, Ordering::SeqCst);
    }
    assert!(is_there(&journal, id).await);

    let place = place.another().await;
    let started = place.now.load(Ordering::SeqCst);
    let mut options: OpenOptions = place.options();
    // What nobody sets stands still.
    options.steady = Some(std::sync::Arc::new(move || started));
    let journal = Journal::open(place.at(), options).await.unwrap();
    let id = ended(&journal, of("acme", "A-1"), &approved()).await;
    later(&place, &journal, 3650).await;
    assert_eq!(journal.retain(&all).await.unwrap(), Retained::Waits);
    assert!(is_there(&journal, id).await);
}

on_both! {
    what_is_over_goes_and_what_is_open_stays,
    more_than_a_transaction_takes_goes_in_several,
    a_removal_that_nobody_wrote_down_is_found,
    a_clock_that_is_wrong_takes_nothing_out,
}
