//! What a payment is for: a card is stored, then charged by its token.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Place, approved, call, draft, order, visa};
use ivrpay_journal::{
    CreateError, IntentDraft, IntentError, LaterDraft, LaterError, Mode, NewPayment,
};
use ivrpay_payment::{
    CardToken, OperationKind, PaymentId, State, StoredCard, TenantId, Transaction,
};

fn of(transaction: Transaction, name: &str) -> NewPayment {
    NewPayment {
        transaction,
        ..order(name)
    }
}

async fn approve(
    journal: &ivrpay_journal::Journal,
    new: NewPayment,
    draft: IntentDraft,
) -> (PaymentId, OperationKind) {
    let id = journal.create(new).await.unwrap().payment().id;
    journal.claim(id, call()).await.unwrap();
    let intent = journal.write_intent(id, draft).await.unwrap();
    journal.write_outcome(&intent, &approved()).await.unwrap();
    journal
        .close(id, "success", serde_json::Value::Null)
        .await
        .unwrap();
    (id, intent.get().kind)
}

async fn each_asks_for_its_own_operation_and_only_money_locks_an_order(place: Place) {
    let journal = place.open().await;
    for transaction in Transaction::ALL {
        let name = transaction.name();
        let (id, kind) = approve(&journal, of(transaction, name), draft()).await;
        assert_eq!(kind, transaction.kind());
        let payment = journal.payment(id).await.unwrap().unwrap();
        assert_eq!(payment.state, State::Approved, "{name}");
        assert_eq!(
            payment.captured_minor.is_some(),
            transaction == Transaction::Charge,
            "{name}"
        );
        assert_eq!(
            payment.token().is_some(),
            transaction == Transaction::Tokenise,
            "{name}"
        );

        let again = journal.create(of(transaction, name)).await;
        let holder = journal
            .order_holder(&payment.tenant, payment.order.as_ref().unwrap(), 0)
            .await
            .unwrap();
        if transaction.moves_money() {
            assert!(
                matches!(again, Err(CreateError::OrderTaken { .. })),
                "{name}"
            );
            assert_eq!(holder.unwrap().id, id);
        } else {
            // The second one waits, and holds the order as long as it does.
            assert_eq!(holder.unwrap().id, again.unwrap().payment().id, "{name}");
            for kind in [
                OperationKind::Capture,
                OperationKind::Void,
                OperationKind::Refund,
            ] {
                let wish = LaterDraft {
                    kind,
                    amount_minor: None,
                    by: common::by("sato"),
                    request: None,
                    judged: None,
                };
                let refused = journal.write_later(id, wish).await;
                assert!(matches!(refused, Err(LaterError::NoMoney)), "{name}");
            }
        }
    }
    assert!(journal.verify().await.unwrap().is_sound());
}

async fn a_stored_card_is_known_by_its_token_to_its_own_merchant_and_charged_by_it(place: Place) {
    let journal = place.open().await;
    let registration = of(Transaction::Tokenise, "customer-7");
    let (id, _) = approve(&journal, registration, draft()).await;
    let payment = journal.payment(id).await.unwrap().unwrap();
    let token: CardToken = payment.token().unwrap().parse().unwrap();

    let acme = TenantId::new("acme").unwrap();
    let found = journal
        .stored_card(&acme, &token, Mode::Test)
        .await
        .unwrap();
    assert_eq!(found, Some((visa(), "null".to_owned())));
    let other = TenantId::new("other").unwrap();
    assert_eq!(
        journal
            .stored_card(&other, &token, Mode::Test)
            .await
            .unwrap(),
        None
    );
    // What was stored at the acquirer's test system is no live card.
    let live = journal.stored_card(&acme, &token, Mode::Live).await;
    assert_eq!(live.unwrap(), None);
    let unknown = CardToken::new("tok-nobody").unwrap();
    assert_eq!(
        journal
            .stored_card(&acme, &unknown, Mode::Test)
            .await
            .unwrap(),
        None
    );

    let new = NewPayment {
        stored: Some(StoredCard {
            token: token.clone(),
            card: visa(),
        }),
        ..order("A-7")
    };
    let id = journal.create(new).await.unwrap().payment().id;
    let waiting = journal.payment(id).await.unwrap().unwrap();
    assert_eq!(waiting.stored.as_ref().map(|s| &s.token), Some(&token));
    assert_eq!(waiting.card, None, "nothing was charged yet");
    let listed = serde_json::to_string(&waiting).unwrap();
    assert!(!listed.contains(token.as_str()), "{listed}");
    journal.claim(id, call()).await.unwrap();

    // Another card than the one that the caller agreed to.
    let other = IntentDraft {
        stored: true,
        card: ivrpay_payment::Truncated::new(visa().brand, [9, 9, 9, 9]).unwrap(),
        ..draft()
    };
    assert!(matches!(
        journal.write_intent(id, other).await,
        Err(IntentError::NotStored)
    ));
    let agreed = IntentDraft {
        stored: true,
        ..draft()
    };
    let intent = journal.write_intent(id, agreed).await.unwrap();
    assert_eq!(intent.get().token, Some(token));
    // It is declined; the caller keys another card, and the token does not go with that.
    let declined = common::declined();
    journal.write_outcome(&intent, &declined).await.unwrap();
    let intent = journal.write_intent(id, draft()).await.unwrap();
    assert_eq!(intent.get().token, None);
    journal.write_outcome(&intent, &approved()).await.unwrap();
    assert!(journal.verify().await.unwrap().is_sound());
}

on_both!(
    each_asks_for_its_own_operation_and_only_money_locks_an_order,
    a_stored_card_is_known_by_its_token_to_its_own_merchant_and_charged_by_it,
);
