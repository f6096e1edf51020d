//! What is unknown is asked about by itself, and approvals that nobody knows of are released again.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use common::{Place, approved, by, call, declined, draft, order};
use ivrpay_journal::{
    By, Claim, HALF_DONE, Journal, Later, LaterDraft, LaterError, NewPayment, OpenOptions,
    RECOVERY, TRAINING, TaskFilter, TaskKind, TaskRules, Unknowns,
};
use ivrpay_payment::{Doubt, OperationId, OperationKind, Outcome, State, TenantId, Why};
use serde_json::json;

const UNKNOWN: Outcome = Outcome::Unknown(Doubt::NoReply);

/// An operation that is unknown; its call is over.
async fn lost(journal: &Journal, name: &str) -> OperationId {
    let claim = journal.create_claimed(order(name), call()).await.unwrap();
    let intent = journal
        .write_intent(claim.payment().id, draft())
        .await
        .unwrap();
    journal.write_outcome(&intent, &UNKNOWN).await.unwrap();
    let result = "outcome-unknown";
    journal.release(&claim, result, json!(null)).await.unwrap();
    intent.get().operation_id
}

async fn due(journal: &Journal) -> Vec<OperationId> {
    let due = journal.to_inquire("null", 100).await.unwrap();
    due.into_iter().map(|operation| operation.id).collect()
}

/// 5 s, 15 s, 60 s, 5 min and 30 min after the doubt, and over a restart; then each half hour, for a day.
async fn an_acquirer_is_asked_with_growing_pauses_for_a_day(place: Place) {
    let mut journal = place.open().await;
    let began = place.now.load(Ordering::SeqCst);
    let operation = lost(&journal, "A-1").await;
    assert_eq!(journal.to_inquire("gmo", 100).await.unwrap(), []);
    let mut at = Vec::new();
    loop {
        let now = place.now.fetch_add(5000, Ordering::SeqCst) + 5000;
        if now - began > 2 * 24 * 3_600_000 {
            break;
        }
        if due(&journal).await != [operation] {
            continue;
        }
        at.push((now - began) / 1000);
        let query = journal.write_query(operation, &by(RECOVERY)).await.unwrap();
        // What is asked is not asked again before its time, whatever becomes of the answer.
        assert_eq!(due(&journal).await, []);
        // A person's question takes none of them away.
        let asked = journal.write_query(operation, &by("mori")).await.unwrap();
        journal.write_outcome(&asked, &UNKNOWN).await.unwrap();
        if at.len() == 3 {
            drop(journal);
            journal = place.open().await;
            journal.recover().await.unwrap();
        } else {
            journal.write_outcome(&query, &UNKNOWN).await.unwrap();
        }
        if at.len() > 6 {
            // The rest in steps of a minute.
            place.now.fetch_add(29 * 60_000, Ordering::SeqCst);
        }
    }
    assert_eq!(at.get(..6).unwrap(), [5, 15, 60, 300, 1800, 3600]);
    assert_eq!(at.len(), 52);
    let open = journal.tasks(&TaskFilter::default()).await.unwrap();
    assert_eq!(open.len(), 1, "a person has it");
}

/// What is known is not asked about; what can't be said yet is asked when it can.
async fn nothing_known_is_asked_about(place: Place) {
    let journal = place.open().await;
    let (yes, no, never) = (
        lost(&journal, "A-1").await,
        lost(&journal, "A-2").await,
        lost(&journal, "A-3").await,
    );
    place.now.fetch_add(5_000, Ordering::SeqCst);
    assert_eq!(due(&journal).await, [yes, no, never]);
    journal.settle(yes, &approved(), "inquiry").await.unwrap();
    journal.settle(no, &declined(), "inquiry").await.unwrap();
    let absent = Outcome::NotCharged(Why::NotArrived);
    let early = journal.settle(never, &absent, "inquiry").await;
    let Err(ivrpay_journal::OutcomeError::TooEarly { sure_ms }) = early else {
        panic!("{early:?}")
    };
    journal.inquire_at(never, sure_ms).await.unwrap();
    assert_eq!(due(&journal).await, []);
    // Nobody puts off what is known.
    journal.inquire_at(yes, 0).await.unwrap();
    assert_eq!(due(&journal).await, []);
    place.now.store(sure_ms, Ordering::SeqCst);
    assert_eq!(due(&journal).await, [never]);
    journal.settle(never, &absent, "inquiry").await.unwrap();
    assert_eq!(due(&journal).await, []);
}

/// "Not there" is believed when no request can be on its way any more, by a clock that nobody sets.
#[tokio::test]
async fn a_clock_that_jumps_ahead_makes_nobody_believe_sooner() {
    let place = Place::new();
    let steady = Arc::new(AtomicI64::new(0));
    let mut options = place.options();
    let count = Arc::clone(&steady);
    options.steady = Some(Arc::new(move || count.load(Ordering::SeqCst)));
    let journal = Journal::open(place.path(), options).await.unwrap();
    let operation = lost(&journal, "A-1").await;
    place.now.fetch_add(3_600_000, Ordering::SeqCst);
    let absent = Outcome::NotCharged(Why::NotArrived);
    for (minutes, is_early) in [(0, true), (9, true), (1, false)] {
        place.now.fetch_add(minutes * 60_000, Ordering::SeqCst);
        steady.fetch_add(minutes * 60_000, Ordering::SeqCst);
        let settled = journal.settle(operation, &absent, RECOVERY).await;
        match settled {
            Err(ivrpay_journal::OutcomeError::TooEarly { .. }) => assert!(is_early, "{minutes}"),
            other => assert!(!is_early && other.is_ok(), "{minutes}: {other:?}"),
        }
    }
}

fn releasing(options: &mut OpenOptions) {
    let rules = TaskRules {
        release_unheard: true,
        ..TaskRules::default()
    };
    let acme = TenantId::new("acme").unwrap();
    options.task_rules.insert(acme, rules);
}

/// How a call ended whose payment was approved.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Heard,
    OperatorKnows,
    HungUp,
    SaidUnknown,
    Killed,
    FoundOut,
    FoundByAPerson,
}

async fn ends(journal: &Journal, claim: &Claim, end: End) {
    let id = claim.payment().id;
    let draft = ivrpay_journal::IntentDraft {
        connector: claim.payment().connector.clone(),
        ..draft()
    };
    let intent = journal.write_intent(id, draft).await.unwrap();
    if matches!(end, End::FoundOut | End::FoundByAPerson) {
        journal.write_outcome(&intent, &UNKNOWN).await.unwrap();
    } else {
        journal.write_outcome(&intent, &approved()).await.unwrap();
    }
    let nothing = json!(null);
    let state = match end {
        End::Heard => journal.release(claim, "success", nothing).await,
        End::SaidUnknown | End::FoundOut | End::FoundByAPerson => {
            journal.release(claim, "outcome-unknown", nothing).await
        }
        End::OperatorKnows | End::HungUp => {
            let operator = end == End::OperatorKnows;
            journal
                .release_unheard(claim, "success", nothing, operator)
                .await
        }
        End::Killed => Ok(State::Approved),
    };
    state.unwrap();
    let by = match end {
        End::FoundOut => RECOVERY,
        End::FoundByAPerson => "sato",
        _ => return,
    };
    let operation = intent.get().operation_id;
    journal.settle(operation, &approved(), by).await.unwrap();
}

async fn an_approval_that_nobody_knows_of_is_released_where_its_merchant_wants_that(given: Place) {
    for (end, releases) in [
        (End::Heard, false),
        (End::OperatorKnows, false),
        // The dialplan, or the next daemon, may tell somebody yet.
        (End::HungUp, false),
        (End::SaidUnknown, false),
        (End::Killed, false),
        (End::FoundByAPerson, false),
        (End::FoundOut, true),
    ] {
        for (tenant, connector, wants) in [
            ("acme", "null", releases),
            ("other", "null", false),
            ("acme", TRAINING, false),
        ] {
            let place = given.another().await;
            let mut options = place.options();
            releasing(&mut options);
            let open = async || {
                let mut options = place.options();
                releasing(&mut options);
                Journal::open(place.at(), options).await.unwrap()
            };
            let mut journal = open().await;
            let new = NewPayment {
                tenant: TenantId::new(tenant).unwrap(),
                connector: connector.into(),
                ..order("A-1")
            };
            let claim = journal.create_claimed(new, call()).await.unwrap();
            ends(&journal, &claim, end).await;
            // Nothing of it is lost by a restart.
            drop(journal);
            journal = open().await;
            journal.recover().await.unwrap();
            let due = journal.to_release(10).await.unwrap();
            let what = format!("{end:?}, {tenant}, {connector}: {due:?}");
            assert_eq!(due.len(), usize::from(wants), "{what}");
            let Some(unheard) = due.first() else {
                continue;
            };
            assert!(
                unheard.wanted && unheard.payment == claim.payment().id,
                "{what}"
            );
        }
    }
}

/// A person who has taken the task decides; and what was released is told to who calls back.
async fn a_release_is_done_once_and_never_over_a_person(given: Place) {
    for taken in [false, true] {
        let place = given.another().await;
        let mut options = place.options();
        releasing(&mut options);
        let journal = Journal::open(place.at(), options).await.unwrap();
        let claim = journal.create_claimed(order("A-1"), call()).await.unwrap();
        let id = claim.payment().id;
        ends(&journal, &claim, End::FoundOut).await;
        let task = journal.tasks(&TaskFilter::default()).await.unwrap();
        let task = task.first().unwrap();
        assert_eq!(task.kind, TaskKind::ApprovedCallerGone);
        if taken {
            journal.take_task(task.id, &by("mori")).await.unwrap();
        }
        let due = journal.to_release(10).await.unwrap();
        let unheard = due.first().unwrap();
        assert_eq!(unheard.wanted, !taken);
        // A merchant who does not want it any more.
        drop(journal);
        let journal = place.open().await;
        assert!(
            !journal
                .to_release(10)
                .await
                .unwrap()
                .first()
                .unwrap()
                .wanted
        );
        drop(journal);
        let mut options = place.options();
        releasing(&mut options);
        let journal = Journal::open(place.at(), options).await.unwrap();
        // Not reached: later.
        let later = unheard.at_ms + 30_000;
        journal.release_at(id, later).await.unwrap();
        assert_eq!(journal.to_release(10).await.unwrap(), []);
        place.now.store(later, Ordering::SeqCst);
        let due = journal.to_release(10).await.unwrap();
        assert_eq!(due.first().unwrap().since_ms, unheard.since_ms);
        let draft = LaterDraft {
            kind: OperationKind::Void,
            amount_minor: None,
            by: by(RECOVERY),
            request: None,
            judged: None,
        };
        // Also where the task is taken between reading and writing.
        match journal.write_later(id, draft).await {
            Ok(Later::New(void)) if !taken => {
                journal.write_outcome(&void, &approved()).await.unwrap();
            }
            Err(LaterError::Taken) if taken => {}
            other => panic!("{taken}: {other:?}"),
        }
        journal.released(id).await.unwrap();
        assert_eq!(journal.to_release(10).await.unwrap(), []);
        let reason = journal.task(task.id).await.unwrap().unwrap().reason;
        assert_eq!(reason.contains("paid nothing"), !taken, "{reason}");
    }
}

/// What looked half done may be taken by now, as somebody has found out: it is not released then.
async fn what_is_half_done_is_released_only_while_nobody_knows_more(place: Place) {
    let journal = place.open().await;
    for known in [false, true] {
        let operation = lost(&journal, if known { "H-1" } else { "H-2" }).await;
        if known {
            let found = journal.settle(operation, &approved(), "mori").await;
            found.unwrap();
        }
        let of = format!("SELECT payment FROM operations WHERE id = '{operation}'");
        let payment = place.texts(&of).await[0].parse().unwrap();
        let draft = LaterDraft {
            kind: OperationKind::Void,
            amount_minor: None,
            by: By {
                via: HALF_DONE.into(),
                ..by(RECOVERY)
            },
            request: None,
            judged: None,
        };
        match journal.write_later(payment, draft).await {
            Ok(Later::New(_)) if !known => {}
            Err(LaterError::Taken) if known => {}
            other => panic!("{known}: {other:?}"),
        }
    }
}

/// How much is unknown, and since when; neither practice nor the questions about it.
async fn what_is_unknown_is_counted_with_its_age(place: Place) {
    let journal = place.open().await;
    assert_eq!(journal.unknowns().await.unwrap(), Unknowns::default());
    let since_ms = Some(place.now.load(Ordering::SeqCst));
    let first = lost(&journal, "U-1").await;
    place.now.fetch_add(60_000, Ordering::SeqCst);
    lost(&journal, "U-2").await;
    let query = journal.write_query(first, &by("mori")).await.unwrap();
    journal.write_outcome(&query, &UNKNOWN).await.unwrap();
    let two = Unknowns { open: 2, since_ms };
    assert_eq!(journal.unknowns().await.unwrap(), two);
    journal.settle(first, &declined(), "mori").await.unwrap();
    let one = journal.unknowns().await.unwrap();
    assert_eq!((one.open, one.since_ms > since_ms), (1, true));
}

on_both!(
    an_acquirer_is_asked_with_growing_pauses_for_a_day,
    nothing_known_is_asked_about,
    an_approval_that_nobody_knows_of_is_released_where_its_merchant_wants_that,
    a_release_is_done_once_and_never_over_a_person,
    what_is_half_done_is_released_only_while_nobody_knows_more,
    what_is_unknown_is_counted_with_its_age,
);
