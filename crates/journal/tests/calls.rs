//! Customers who are called: once a request, one call a payment, so many a merchant, and every one ends.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use ivrpay_journal::{
    About, ApiRequest, CallError, CalledNow, CreateError, CustomerCall, First, Journal,
    NewCustomerCall,
};
use ivrpay_payment::State;

fn new(about: About) -> NewCustomerCall {
    NewCustomerCall {
        tenant: order("A-1").tenant,
        about,
        number: "0398765432".into(),
        first: First::Customer,
        request: None,
        at_once_max: 2,
    }
}

fn request(key: &str, hash: u8) -> Option<ApiRequest> {
    Some(ApiRequest {
        key: key.into(),
        hash: [hash; 32],
    })
}

async fn called(journal: &Journal, new: NewCustomerCall) -> CustomerCall {
    match journal.call_customer(new).await.unwrap() {
        CalledNow::New(call, payment) => {
            assert_eq!((call.payment, payment.state), (payment.id, State::Waiting));
            call
        }
        CalledNow::Before(call) => panic!("called before: {call:?}"),
    }
}

async fn one_call_a_payment_and_so_many_a_merchant(place: Place) {
    let journal = place.open().await;
    let first = called(&journal, new(About::New(Box::new(order("A-1"))))).await;
    let again = journal.call_customer(new(About::Payment(first.payment)));
    assert!(
        matches!(again.await, Err(CallError::OnAlready { call }) if call == first.id),
        "the same payment"
    );
    let taken = journal.call_customer(new(About::New(Box::new(order("A-1")))));
    assert!(matches!(
        taken.await,
        Err(CallError::Payment(CreateError::OrderTaken { .. }))
    ));
    let second = called(&journal, new(About::New(Box::new(order("A-2"))))).await;
    let third = journal.call_customer(new(About::New(Box::new(order("A-3")))));
    assert!(matches!(
        third.await,
        Err(CallError::TooMany { at_once_max: 2 })
    ));
    // Nothing was made of it.
    let third = order("A-3");
    let holder = journal.order_holder(&third.tenant, third.order.as_ref().unwrap(), 0);
    assert_eq!(holder.await.unwrap(), None);

    assert!(journal.end_customer_call(first.id, "busy").await.unwrap());
    assert!(
        !journal
            .end_customer_call(first.id, "success")
            .await
            .unwrap()
    );
    let ended = journal.customer_call(first.id).await.unwrap().unwrap();
    assert_eq!(ended.result.as_deref(), Some("busy"));
    assert!(ended.ended_ms.is_some());
    let waiting = journal.payment(first.payment).await.unwrap().unwrap();
    assert_eq!(waiting.state, State::Waiting);
    let kinds: Vec<String> = journal
        .records(first.payment)
        .await
        .unwrap()
        .into_iter()
        .map(|record| record.kind)
        .collect();
    assert_eq!(kinds, ["created", "called", "call-ended"]);
    called(&journal, new(About::Payment(first.payment))).await;
    assert!(journal.verify().await.unwrap().is_sound());

    // A start of the service ends what the last one left.
    drop(journal);
    let journal = place.open().await;
    journal.recover().await.unwrap();
    let left = journal.customer_call(second.id).await.unwrap().unwrap();
    assert_eq!(left.result.as_deref(), Some("internal-error"));
    called(&journal, new(About::Payment(second.payment))).await;
}

async fn the_same_request_calls_once_over_a_restart_too(place: Place) {
    let journal = place.open().await;
    let with = |hash| NewCustomerCall {
        request: request("key-1", hash),
        ..new(About::New(Box::new(order("A-1"))))
    };
    let first = called(&journal, with(1)).await;
    journal.end_customer_call(first.id, "busy").await.unwrap();
    drop(journal);
    let journal = place.open().await;
    let same = journal.call_customer(with(1)).await.unwrap();
    assert!(matches!(same, CalledNow::Before(call) if call.id == first.id));
    let other = journal.call_customer(with(2)).await;
    assert!(matches!(other, Err(CallError::IdempotencyReused)));
}

async fn nobody_is_called_about_what_can_not_be_taken(place: Place) {
    let journal = place.open().await;
    let nobodys = ivrpay_payment::PaymentId::new(uuid::Uuid::from_u128(1));
    let none = journal.call_customer(new(About::Payment(nobodys)));
    assert!(matches!(none.await, Err(CallError::NotFound)));
    let payment = journal.create(order("A-1")).await.unwrap().payment().id;
    let foreign = NewCustomerCall {
        tenant: ivrpay_payment::TenantId::new("other").unwrap(),
        ..new(About::Payment(payment))
    };
    let foreign = journal.call_customer(foreign).await;
    assert!(matches!(foreign, Err(CallError::NotFound)));
    let claim = journal.claim(payment, call()).await.unwrap();
    let busy = journal.call_customer(new(About::Payment(payment))).await;
    assert!(matches!(busy, Err(CallError::InCall { .. })));
    let end = serde_json::Value::Null;
    journal
        .release(&claim, "amount-rejected", end)
        .await
        .unwrap();
    let over = journal.call_customer(new(About::Payment(payment))).await;
    assert!(matches!(
        over,
        Err(CallError::NotWaiting {
            state: State::Cancelled,
            ..
        })
    ));
    let number = NewCustomerCall {
        number: "4111111111111111".into(),
        ..new(About::New(Box::new(order("A-2"))))
    };
    let number = journal.call_customer(number).await;
    assert!(matches!(
        number,
        Err(CallError::Payment(CreateError::Field { field: "to" }))
    ));
}

on_both!(
    one_call_a_payment_and_so_many_a_merchant,
    the_same_request_calls_once_over_a_restart_too,
    nobody_is_called_about_what_can_not_be_taken,
);
