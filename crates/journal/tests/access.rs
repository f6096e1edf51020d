//! People, their sessions and tries, keys of programs, second persons, and who did what: on both stores.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{NOON, Place, announced, yen};
use ivrpay_journal::{
    ApprovalError, ApprovalFilter, ApprovalState, BegunSignIn, Deed, DeedFilter, Known, MayTry,
    NewApproval, NewKey, NewPerson, NewSession, NotRotated, PersonChange, PersonError, Role,
    SecondProof,
};
use ivrpay_payment::{OperationId, OperationKind, OperatorId, TenantId};

on_both!(
    a_person_signs_in_and_every_proof_is_good_once,
    tries_are_counted_before_they_are_looked_at,
    a_key_is_kept_rotated_and_revoked,
    a_second_person_decides_once,
    who_did_what_is_chained_and_goes_at_the_end_of_its_time,
);

const HOUR: i64 = 3_600_000;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn name(name: &str) -> OperatorId {
    OperatorId::new(name).unwrap()
}

fn somebody(called: &str) -> NewPerson {
    NewPerson {
        name: name(called),
        shown: called.into(),
        tenant: Some(tenant("acme")),
        role: Role::Operator,
        extension: None,
        language: None,
        email: Some(format!("{called}@Example.com")),
        subject: None,
    }
}

async fn a_person_signs_in_and_every_proof_is_good_once(place: Place) {
    let journal = place.open().await;
    let sato = journal
        .create_person(somebody("Sato"), "root")
        .await
        .unwrap();
    assert_eq!((sato.name.as_str(), sato.has_factor), ("sato", false));
    let again = journal.create_person(somebody("sAto"), "root").await;
    assert!(matches!(again, Err(PersonError::NameTaken)));
    let mut other = somebody("mori");
    other.email = Some("SATO@example.com".into());
    let other = journal.create_person(other, "root").await;
    assert!(matches!(other, Err(PersonError::SubjectTaken)));
    // What the service does by itself stands under that name.
    let service = journal.create_person(somebody("recovery"), "root").await;
    assert!(matches!(service, Err(PersonError::Field { .. })));
    let changed = async |change| journal.change_person(sato.id, change, "Mori").await;
    let change = async |change| changed(change).await.unwrap();
    change(PersonChange::Password("$argon2id$x".into())).await;
    change(PersonChange::Factor(vec![1; 48])).await;
    let confirmed = |factor: u8| PersonChange::Confirmed {
        factor: vec![factor; 48],
        step: 10,
        recovery: vec![[7; 32], [8; 32]],
    };
    let open = async |hash: u8, proof| {
        let new = NewSession {
            hash: [hash; 32],
            person: sato.id,
            address: "192.0.2.7".into(),
            expires_ms: NOON + 12 * HOUR,
            proof,
            known: None,
        };
        journal.open_session(new).await.unwrap().is_some()
    };
    // A factor that is not confirmed is none.
    assert!(!open(1, SecondProof::Step(11)).await);
    // Nor is one that was begun anew since a code of it was shown, and nobody confirms twice.
    let other = changed(confirmed(2)).await;
    assert!(matches!(other, Err(PersonError::Changed)), "{other:?}");
    assert!(change(confirmed(1)).await.has_factor);
    let twice = changed(confirmed(1)).await;
    assert!(matches!(twice, Err(PersonError::Changed)), "{twice:?}");
    let own = |old: &str| PersonChange::OwnPassword {
        new: "$argon2id$y".into(),
        old: old.into(),
    };
    let stale = changed(own("$argon2id$w")).await;
    assert!(matches!(stale, Err(PersonError::Changed)), "{stale:?}");
    // Who has given him his password and his factor knows them, until he has a password of his own.
    let known = journal.person(sato.id).await.unwrap().unwrap();
    assert_eq!(known.given_by, ["Mori", "Mori", "Mori"]);
    assert!(known.is_in_the_hands_of(&name("mori")));
    assert!(known.is_in_the_hands_of(&name("root")));
    assert!(!known.is_in_the_hands_of(&name("tanaka")));
    change(own("$argon2id$x")).await;
    let known = journal.person(sato.id).await.unwrap().unwrap();
    assert_eq!(known.given_by, ["Mori", "Mori"]);
    // What was looked at has to be what is.
    for (password, factor, good) in [
        ("$argon2id$x", 1, false),
        ("$argon2id$y", 2, false),
        ("$argon2id$y", 1, true),
    ] {
        let new = NewSession {
            hash: [9; 32],
            person: sato.id,
            address: "192.0.2.7".into(),
            expires_ms: NOON + 12 * HOUR,
            proof: SecondProof::Step(11),
            known: Some(Known {
                password: Some(password.into()),
                factor: Some(vec![factor; 48]),
            }),
        };
        let opened = journal.open_session(new).await.unwrap();
        assert_eq!(opened.is_some(), good, "{password} {factor}");
    }
    for (hash, proof, good) in [
        (1, SecondProof::Step(10), false),
        (1, SecondProof::Step(12), true),
        (2, SecondProof::Step(12), false),
        (2, SecondProof::Step(11), false),
        (2, SecondProof::Recovery([9; 32]), false),
        (2, SecondProof::Recovery([7; 32]), true),
        (3, SecondProof::Recovery([7; 32]), false),
        (3, SecondProof::SingleSignOn, true),
    ] {
        assert_eq!(open(hash, proof).await, good, "{proof:?}");
    }
    let known = journal.person_named("SATO").await.unwrap().unwrap();
    assert_eq!((known.step, known.factor), (12, Some(vec![1; 48])));
    let session = journal.session(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((session.person.id, session.seen_ms), (sato.id, NOON));
    journal.seen(&[1; 32], NOON + 5).await.unwrap();
    journal.end_session(&[2; 32]).await.unwrap();
    let is = async |hash: u8| journal.session(&[hash; 32]).await.unwrap().is_some();
    assert!(is(1).await && !is(2).await && is(3).await);
    // Another start of the service knows all of it.
    journal.stop().await.unwrap();
    let journal = place.open().await;
    let is = async |hash: u8| journal.session(&[hash; 32]).await.unwrap().is_some();
    assert!(is(1).await);
    let session = journal.session(&[1; 32]).await.unwrap().unwrap();
    assert_eq!(session.seen_ms, NOON + 5);
    let disabled = journal
        .change_person(sato.id, PersonChange::Disabled, "mori")
        .await;
    assert_eq!(disabled.unwrap().disabled_ms, Some(NOON));
    assert!(!is(1).await && !is(3).await);
    let enabled = journal
        .change_person(sato.id, PersonChange::Enabled, "mori")
        .await;
    assert_eq!(enabled.unwrap().disabled_ms, None);
    assert!(!is(1).await);
    // By an address that the issuer has looked at, where it names nobody by a subject.
    let by = async |subject: &str, email| journal.person_of(subject, email).await.unwrap();
    assert!(by("s-1", None).await.is_none());
    assert!(by("s-1", Some("sato@example.com")).await.is_some());
    let begun = BegunSignIn {
        nonce: "n".into(),
        verifier: "v".into(),
    };
    journal.begin_sign_in("a", &begun).await.unwrap();
    journal.begin_sign_in("b", &begun).await.unwrap();
    assert_eq!(journal.take_sign_in("a").await.unwrap().unwrap().nonce, "n");
    assert!(journal.take_sign_in("a").await.unwrap().is_none());
    place.now.fetch_add(HOUR, Ordering::SeqCst);
    assert!(journal.take_sign_in("b").await.unwrap().is_none());
    journal.tidy_people().await.unwrap();
    let people = journal.people(Some(&tenant("acme"))).await.unwrap();
    assert_eq!(people.len(), 1);
    assert!(
        journal
            .people(Some(&tenant("other")))
            .await
            .unwrap()
            .is_empty()
    );
}

async fn tries_are_counted_before_they_are_looked_at(place: Place) {
    let journal = place.open().await;
    let sato = journal
        .create_person(somebody("sato"), "root")
        .await
        .unwrap();
    let tried = async || journal.try_sign_in("Sato").await.unwrap();
    for _ in 0..9 {
        assert_eq!(tried().await, MayTry::Yes);
    }
    assert_eq!(tried().await, MayTry::Last);
    let until_ms = NOON + 30 * 60_000;
    assert_eq!(tried().await, MayTry::Locked { until_ms });
    assert_eq!(journal.try_sign_in("mori").await.unwrap(), MayTry::Yes);
    assert_eq!(
        journal.locked_until(&sato.name).await.unwrap(),
        Some(until_ms)
    );
    journal.unlock(&sato.name).await.unwrap();
    for _ in 0..9 {
        assert_eq!(tried().await, MayTry::Yes);
    }
    assert_eq!(tried().await, MayTry::Last);
    assert!(matches!(tried().await, MayTry::Locked { .. }));
    place.now.fetch_add(30 * 60_000 + 1, Ordering::SeqCst);
    assert_eq!(tried().await, MayTry::Yes);
    assert_eq!(journal.locked_until(&sato.name).await.unwrap(), None);
}

async fn a_key_is_kept_rotated_and_revoked(place: Place) {
    let journal = place.open().await;
    let new = |hash: u8| NewKey {
        tenant: tenant("acme"),
        name: "crm".into(),
        prefix: "ivk_abcdefgh".into(),
        hash: [hash; 32],
        scopes: vec!["payments".into(), "events".into()],
        per_minute: Some(60),
        expires_ms: None,
    };
    let first = journal.create_key(new(1), "root").await.unwrap().unwrap();
    let second = journal.rotate_key(first.id, new(2), HOUR, "root").await;
    let second = second.unwrap().unwrap();
    let live = journal.live_keys().await.unwrap();
    assert_eq!(live.len(), 2);
    assert_eq!(live[0].expires_ms, Some(NOON + HOUR));
    assert_eq!(live[1].scopes, ["payments", "events"]);
    journal.key_used(second.id, NOON + 7).await.unwrap();
    assert_eq!(
        journal.key(second.id).await.unwrap().unwrap().used_ms,
        Some(NOON + 7)
    );
    let revoked = journal.revoke_key(second.id).await.unwrap().unwrap();
    assert_eq!(revoked.revoked_ms, Some(NOON));
    assert_eq!(journal.live_keys().await.unwrap().len(), 1);
    let gone = journal.rotate_key(second.id, new(3), HOUR, "root").await;
    assert_eq!(gone.unwrap(), Err(NotRotated::Gone));
    place.now.fetch_add(2 * HOUR, Ordering::SeqCst);
    let gone = journal.rotate_key(first.id, new(3), HOUR, "root").await;
    assert_eq!(gone.unwrap(), Err(NotRotated::Gone));
    // One that is expired is told so for a week.
    assert_eq!(journal.live_keys().await.unwrap().len(), 1);
    place.now.fetch_add(7 * 24 * HOUR, Ordering::SeqCst);
    assert!(journal.live_keys().await.unwrap().is_empty());
    assert_eq!(journal.keys(Some(&tenant("acme"))).await.unwrap().len(), 2);
    assert!(
        journal
            .keys(Some(&tenant("other")))
            .await
            .unwrap()
            .is_empty()
    );
}

async fn a_second_person_decides_once(place: Place) {
    let journal = place.open().await;
    let payment = journal
        .create(announced("A-1", NOON + 100 * HOUR))
        .await
        .unwrap();
    let payment = payment.payment().clone();
    let new = || NewApproval {
        tenant: payment.tenant.clone(),
        payment: payment.id,
        kind: OperationKind::Change,
        asked_minor: Some(900),
        amount: yen(900),
        request: "same".into(),
        asked_by: name("sato"),
        until_ms: NOON + HOUR,
    };
    let asked = journal.ask_approval(new()).await.unwrap();
    assert_eq!(journal.ask_approval(new()).await.unwrap(), asked);
    for own in ["sato", "Sato"] {
        let own = journal.decide(asked.id, &name(own), true).await;
        assert!(matches!(own, Err(ApprovalError::Own)));
    }
    let yes = journal.decide(asked.id, &name("mori"), true).await.unwrap();
    assert_eq!(
        (yes.state, yes.kind),
        (ApprovalState::Approved, OperationKind::Change)
    );
    // Once more, since nobody knows whether it was done.
    journal.decide(asked.id, &name("mori"), true).await.unwrap();
    let operation = OperationId::new(uuid::Uuid::now_v7());
    journal.approval_done(asked.id, operation).await.unwrap();
    for yes in [true, false] {
        let over = journal.decide(asked.id, &name("mori"), yes).await;
        let state = ApprovalState::Done;
        assert!(matches!(over, Err(ApprovalError::Over { state: found }) if found == state));
    }
    let late = journal.ask_approval(new()).await.unwrap();
    assert_ne!(late.id, asked.id);
    place.now.fetch_add(HOUR, Ordering::SeqCst);
    let over = journal.decide(late.id, &name("mori"), true).await;
    assert!(matches!(
        over,
        Err(ApprovalError::Over {
            state: ApprovalState::Lapsed
        })
    ));
    let in_state = async |state| {
        let filter = ApprovalFilter {
            tenant: Some(payment.tenant.clone()),
            state: Some(state),
            limit: 10,
            ..ApprovalFilter::default()
        };
        journal.approvals(&filter).await.unwrap().len()
    };
    assert_eq!(in_state(ApprovalState::Done).await, 1);
    assert_eq!(in_state(ApprovalState::Lapsed).await, 1);
    assert_eq!(in_state(ApprovalState::Open).await, 0);
    let again = journal.ask_approval(NewApproval {
        until_ms: NOON + 3 * HOUR,
        ..new()
    });
    assert_eq!(again.await.unwrap().state, ApprovalState::Open);
    let kinds = journal.records(payment.id).await.unwrap();
    let kinds: Vec<_> = kinds.iter().map(|record| record.kind.as_str()).collect();
    assert!(
        kinds.contains(&"approval-asked") && kinds.contains(&"approval-given"),
        "{kinds:?}"
    );
    assert!(journal.verify().await.unwrap().is_sound());
}

async fn who_did_what_is_chained_and_goes_at_the_end_of_its_time(place: Place) {
    let journal = place.open().await;
    let deed = |who: &str, of: Option<&str>| Deed {
        who: who.into(),
        via: "key".into(),
        what: "POST /v1/payments/4111111111111111/refund".into(),
        result: "begun".into(),
        tenant: of.map(tenant),
        ..Deed::default()
    };
    for (who, of) in [
        ("a", Some("acme")),
        ("b", Some("other")),
        ("c", None),
        ("a", Some("acme")),
    ] {
        journal.note_deed(&deed(who, of)).await.unwrap();
    }
    let found = async |filter| journal.deeds(&filter).await.unwrap().found;
    let filter = || DeedFilter {
        limit: 10,
        ..DeedFilter::default()
    };
    let all = found(filter()).await;
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|done| !done.deed.what.contains("4111")));
    let own = found(DeedFilter {
        tenant: Some(tenant("acme")),
        ..filter()
    })
    .await;
    assert_eq!(own.len(), 2);
    let rest = found(DeedFilter {
        after: Some(all[3].sequence),
        ..filter()
    })
    .await;
    assert_eq!(rest.len(), 3);
    assert!(rest.windows(2).all(|two| two[0].sequence < two[1].sequence));
    assert_eq!(
        found(DeedFilter {
            who: Some("c".into()),
            ..filter()
        })
        .await
        .len(),
        1
    );
    // A clock that has jumped takes nothing out.
    let term = Duration::from_secs(366 * 24 * 3_600);
    place.now.fetch_add(400 * 24 * HOUR, Ordering::SeqCst);
    assert_eq!(journal.retain_deeds(term).await.unwrap(), 0);
    for _ in 0..8 {
        journal.anchor().await.unwrap();
        place.now.fetch_add(24 * HOUR, Ordering::SeqCst);
    }
    journal.note_deed(&deed("new", None)).await.unwrap();
    assert_eq!(journal.retain_deeds(term).await.unwrap(), 4);
    assert_eq!(journal.retain_deeds(term).await.unwrap(), 0);
    assert_eq!(found(filter()).await.len(), 1);
    let report = journal.verify().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.breaks);
    assert_eq!(report.removed, 4);
    // No payment was taken out with them.
    assert_eq!(journal.removed_before(None).await.unwrap(), None);
    // And one that is changed is found.
    assert!(
        place
            .run("UPDATE records SET body = '{}' WHERE kind = 'access'")
            .await
            .is_err()
    );
}
