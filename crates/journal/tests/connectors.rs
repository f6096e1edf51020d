//! A live connector that is another than it was is noticed, with what is open there.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use common::{NOON, Place, approved, call, draft, order};
use ivrpay_journal::{IntentDraft, Journal, LiveConnector, Mode, NewPayment};
use ivrpay_payment::{Doubt, OperationKind, Outcome, Transaction};

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    owned.collect()
}

fn shop() -> LiveConnector {
    LiveConnector {
        name: "gmo".into(),
        kind: "gmo".into(),
        url: "https://p01.mul-pay.jp/payment".into(),
        live: true,
        settings: map(&[("parameters.shop_id", "S-1"), ("user", "")]),
        credentials: map(&[("secrets.shop_pass", "shop-pass, 1")]),
    }
}

async fn asked(journal: &Journal, name: &str, kind: OperationKind, mode: Mode, outcome: Outcome) {
    let new = NewPayment {
        mode,
        connector: "gmo".into(),
        transaction: Transaction::from_name(kind.name()).unwrap(),
        ..order(name)
    };
    let claim = journal.create_claimed(new, call()).await.unwrap();
    let draft = IntentDraft {
        connector: "gmo".into(),
        ..draft()
    };
    let id = claim.payment().id;
    let intent = journal.write_intent(id, draft).await.unwrap();
    journal.write_outcome(&intent, &outcome).await.unwrap();
}

async fn what_changed_is_named_and_kept_with_who_answers_for_it(place: Place) {
    let journal = place.open().await;
    let new = journal.connector(&shop()).await.unwrap();
    assert_eq!((new.since_ms, new.used), (None, false));
    journal.keep_connector(&shop(), &new, None).await.unwrap();
    place.now.fetch_add(1000, Ordering::SeqCst);

    let other = |change: fn(&mut LiveConnector)| {
        let mut connector = shop();
        change(&mut connector);
        connector
    };
    for (now, changed, rotated) in [
        (shop(), &[][..], &[][..]),
        (other(|c| c.kind = "smbc".into()), &["kind"], &[]),
        (
            other(|c| c.url = "https://127.0.0.1/".into()),
            &["url"],
            &[],
        ),
        (other(|c| c.live = false), &["mode"], &[]),
        (
            other(|c| c.settings = map(&[("parameters.shop_id", "S-2"), ("user", "")])),
            &["parameters.shop_id"],
            &[],
        ),
        (other(|c| drop(c.settings.remove("user"))), &["user"], &[]),
        (
            other(|c| c.credentials = map(&[("secrets.shop_pass", "shop-pass, 2")])),
            &[],
            &["secrets.shop_pass"],
        ),
    ] {
        let standing = journal.connector(&now).await.unwrap();
        assert_eq!(standing.since_ms, Some(NOON));
        assert_eq!(
            (standing.changed, standing.rotated),
            (
                changed.iter().map(ToString::to_string).collect(),
                rotated.iter().map(ToString::to_string).collect(),
            )
        );
    }

    let moved = other(|c| c.url = "https://127.0.0.1/".into());
    let standing = journal.connector(&moved).await.unwrap();
    journal
        .keep_connector(&moved, &standing, Some("mori"))
        .await
        .unwrap();
    let standing = journal.connector(&moved).await.unwrap();
    assert_eq!(
        (
            standing.since_ms,
            standing.changed_ms,
            standing.changed_by.as_deref()
        ),
        (Some(NOON), Some(NOON + 1000), Some("mori"))
    );
    assert!(standing.changed.is_empty());
    assert!(journal.verify().await.unwrap().is_sound());
    let bodies = place
        .texts("SELECT body FROM records WHERE kind = 'connector' ORDER BY sequence")
        .await;
    assert_eq!(bodies.len(), 2);
    assert!(
        bodies[1].contains(r#""changed":["url"]"#) && bodies[1].contains(r#""by":"mori""#),
        "{bodies:?}"
    );
    // A digest stands for what says whose account it is.
    let settings = place.texts("SELECT settings FROM live_connectors").await;
    assert!(!settings[0].contains("S-1"), "{settings:?}");
}

async fn what_is_open_there_is_told(place: Place) {
    let journal = place.open().await;
    let new = journal.connector(&shop()).await.unwrap();
    journal.keep_connector(&shop(), &new, None).await.unwrap();
    let unknown = || Outcome::Unknown(Doubt::NoReply);
    let charge = OperationKind::Charge;
    asked(&journal, "test", charge, Mode::Test, unknown()).await;
    let standing = journal.connector(&shop()).await.unwrap();
    assert_eq!((standing.used, standing.open.len()), (false, 0));
    asked(&journal, "paid", charge, Mode::Live, approved()).await;
    asked(&journal, "lost", charge, Mode::Live, unknown()).await;
    asked(
        &journal,
        "held",
        OperationKind::Authorise,
        Mode::Live,
        approved(),
    )
    .await;
    let standing = journal.connector(&shop()).await.unwrap();
    assert!(standing.used);
    let open: Vec<_> = standing.open.iter().map(|o| o.kind).collect();
    assert_eq!(open, [charge, OperationKind::Authorise]);
}

on_both!(
    what_changed_is_named_and_kept_with_who_answers_for_it,
    what_is_open_there_is_told,
);
