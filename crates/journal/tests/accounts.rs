//! What was approved within a time, copies, and ends of chains that are kept elsewhere.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::Ordering;

use common::{Place, approved, by, call, declined, draft, order};
use ivrpay_journal::{ChainHead, Error, Held, Journal, Later, LaterDraft, Location, Mode, Period};
use ivrpay_payment::{Doubt, OperationKind, Outcome, TenantId};
use serde_json::json;

on_both!(
    what_was_approved_is_read_by_the_time_of_its_approval,
    a_copy_is_a_journal,
    an_end_that_was_kept_elsewhere_shows_what_was_changed_or_cut_off,
);

fn place_is_file(place: &Place) -> bool {
    matches!(place.at(), Location::File(_))
}

async fn paid(journal: &Journal, name: &str, outcome: &Outcome) -> ivrpay_payment::PaymentId {
    let claim = journal.create_claimed(order(name), call()).await.unwrap();
    let intent = journal
        .write_intent(claim.payment().id, draft())
        .await
        .unwrap();
    journal.write_outcome(&intent, outcome).await.unwrap();
    journal
        .release(&claim, "success", json!(null))
        .await
        .unwrap();
    claim.payment().id
}

async fn what_was_approved_is_read_by_the_time_of_its_approval(place: Place) {
    let journal = place.open().await;
    let began = place.now.load(Ordering::SeqCst);
    let first = paid(&journal, "A-1", &approved()).await;
    paid(&journal, "A-2", &declined()).await;
    paid(&journal, "A-3", &Outcome::Unknown(Doubt::NoReply)).await;
    place.now.fetch_add(1_000, Ordering::SeqCst);
    let refund = LaterDraft {
        kind: OperationKind::Refund,
        amount_minor: Some(100),
        by: by("mori"),
        request: None,
        judged: None,
    };
    let Later::New(refund) = journal.write_later(first, refund).await.unwrap() else {
        panic!("no request was given")
    };
    journal.write_outcome(&refund, &approved()).await.unwrap();
    let mode = journal.payment(first).await.unwrap().unwrap().mode;
    let tenant = TenantId::new("acme").unwrap();
    let period = Period {
        tenant: Some(&tenant),
        connector: Some("null"),
        mode,
        from_ms: began,
        to_ms: began + 1_000,
    };
    let kinds = async |period: &Period<'_>| {
        let all = journal.approved(period).await.unwrap();
        all.iter().map(|(_, o)| o.kind).collect::<Vec<_>>()
    };
    let all = Period {
        to_ms: began + 1_001,
        tenant: None,
        connector: None,
        ..period
    };
    assert_eq!(kinds(&period).await, [OperationKind::Charge]);
    assert_eq!(
        kinds(&all).await,
        [OperationKind::Charge, OperationKind::Refund]
    );
    let other = TenantId::new("other").unwrap();
    let none: [OperationKind; 0] = [];
    assert_eq!(
        kinds(&Period {
            tenant: Some(&other),
            ..all
        })
        .await,
        none
    );
    assert_eq!(
        kinds(&Period {
            connector: Some("gmo"),
            ..all
        })
        .await,
        none
    );
    let other = if mode == Mode::Live {
        Mode::Test
    } else {
        Mode::Live
    };
    assert_eq!(kinds(&Period { mode: other, ..all }).await, none);
    assert_eq!(journal.unknown(None, mode).await.unwrap(), 1);
}

/// A copy that is made while the journal is written is a journal, and belongs to its owner alone.
async fn a_copy_is_a_journal(place: Place) {
    let journal = place.open().await;
    let id = paid(&journal, "A-1", &approved()).await;
    let copy = tempfile::tempdir().unwrap();
    let file = copy.path().join("copy.db");
    if !place_is_file(&place) {
        let refused = journal.copy_to(&file).await.unwrap_err();
        assert!(matches!(refused, Error::Server { .. }), "{refused}");
        return;
    }
    // As the command does it: beside the daemon.
    let reader = Journal::open_read_only(place.at()).await.unwrap();
    reader.copy_to(&file).await.unwrap();
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    paid(&journal, "A-2", &approved()).await;
    let again = reader.copy_to(&file).await.unwrap_err();
    assert!(
        matches!(again, Error::Io { .. }),
        "nothing is overwritten: {again}"
    );
    let copied = Journal::open_read_only(file.as_path()).await.unwrap();
    assert!(copied.verify().await.unwrap().is_sound());
    assert!(copied.payment(id).await.unwrap().is_some());
    let nowhere = copy.path().join("no/such/folder");
    assert!(matches!(
        reader.copy_to(&nowhere).await,
        Err(Error::Io { .. })
    ));
}

/// Whoever owns the file can write every hash of it anew. An end that was kept elsewhere shows that, and that something was cut off.
async fn an_end_that_was_kept_elsewhere_shows_what_was_changed_or_cut_off(place: Place) {
    let journal = place.open().await;
    paid(&journal, "A-1", &approved()).await;
    let kept = journal.heads().await.unwrap();
    let [head] = kept.as_slice() else {
        panic!("{kept:?}")
    };
    paid(&journal, "A-2", &approved()).await;
    let line = format!("2026-11-27T04:00:00Z  INFO ivrpay: {head}\r\n");
    assert_eq!(ChainHead::find(&line).as_ref(), Some(head), "{line}");
    for other in [
        "",
        "chain-head",
        "chain-head ivrpay 3 abc",
        "chain-head ivrpay x",
    ] {
        assert_eq!(ChainHead::find(other), None, "{other}");
    }
    assert_eq!(journal.holds(head).await.unwrap(), Held::AsItWas);
    let changed = ChainHead {
        hash: [7; 32],
        ..head.clone()
    };
    assert_eq!(journal.holds(&changed).await.unwrap(), Held::Changed);
    let lost = ChainHead {
        records: head.records + 100,
        ..head.clone()
    };
    assert_eq!(journal.holds(&lost).await.unwrap(), Held::Lost);
    let nothing = ChainHead {
        records: 0,
        hash: [0; 32],
        ..head.clone()
    };
    assert_eq!(journal.holds(&nothing).await.unwrap(), Held::AsItWas);
}
