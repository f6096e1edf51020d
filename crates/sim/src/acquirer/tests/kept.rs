//! Cards that are kept until their answer: what was cut is asked again under the same key, and the acquirer's books have it once.

use ivrpay_acquirer::{CardKept, Kind};
use ivrpay_payment::{OperationKind, Outcome};

use super::matrix::{Shop, word};
use super::*;
use crate::acquirer::trouble::TROUBLES;

const CARD: &str = "4111111111111111";

/// Where the same request may go out again, and the requests that a charge is made of.
const AGAIN: &[(&str, &[&str])] = &[
    ("adyen", &["payments"]),
    ("generic", &["charge"]),
    ("stripe", &["payment_methods", "payment_intents"]),
];

/// The faults by which no answer comes.
const NO_ANSWER: &[&str] = &[
    "silent-unbooked",
    "silent-booked",
    "closed-unbooked",
    "closed-booked",
    "cut-head",
    "cut-body",
];

/// How often the books have the order of a charge.
async fn booked(shop: &Shop<'_>, of: &super::matrix::Done) -> usize {
    let log = shop.lab.log().await;
    let number = of.op.get().acquirer_order.to_string();
    let orders = log["acquirers"][shop.name]["orders"].as_array().unwrap();
    let of_it = orders.iter().filter(|o| o["order"] == number);
    of_it.filter(|o| o["booked"] == true).count()
}

async fn charge(shop: &Shop<'_>) -> super::matrix::Done {
    let intent = shop.intent(OperationKind::Charge, 1500, None);
    shop.run(intent, Some(CARD)).await
}

/// Every fault of every request: booked once at most, and what no answer came to is approved after all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_had_no_answer_is_asked_again_and_booked_once() {
    let tried = AGAIN.iter().map(|(name, requests)| async move {
        let lab = Lab::start().await;
        let shop = Shop::keeping(&lab, name, CardKept::UntilAnswer).await;
        for request in *requests {
            for (_, _, fault) in TROUBLES {
                let at = format!("{name} {request} {fault}");
                shop.fault(request, fault).await;
                let done = charge(&shop).await;
                let books = booked(&shop, &done).await;
                if NO_ANSWER.contains(fault) {
                    assert_eq!(word(&done.outcome), "approved", "{at}");
                }
                match &done.outcome {
                    Outcome::Approved(_) => assert_eq!(books, 1, "{at}"),
                    Outcome::Declined(_) | Outcome::NotCharged(_) => assert_eq!(books, 0, "{at}"),
                    Outcome::Unknown(_) => assert!(books <= 1, "{at}"),
                }
            }
        }
        let wrong = &lab.log().await["acquirers"][*name]["wrong"];
        assert_eq!(*wrong, json!([]), "{name}: no other bytes under one key");
    });
    futures_util::future::join_all(tried).await;
}

/// Three times in all, and then it is unknown; booked once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_three_requests_it_is_unknown() {
    let tried = AGAIN.iter().map(|(name, requests)| async move {
        let lab = Lab::start().await;
        let shop = Shop::keeping(&lab, name, CardKept::UntilAnswer).await;
        let last = requests.last().unwrap();
        for (fault, times, expected, books) in [
            ("closed-booked", 2, "approved", 1),
            ("closed-booked", 3, "unknown: NoReply", 1),
            ("closed-unbooked", 3, "unknown: NoReply", 0),
        ] {
            shop.faults(last, fault, times).await;
            let done = charge(&shop).await;
            assert_eq!(word(&done.outcome), expected, "{name} {fault} {times}");
            assert_eq!(booked(&shop, &done).await, books, "{name} {fault} {times}");
        }
    });
    futures_util::future::join_all(tried).await;
}

/// An answer to the second request that is about that one alone is no word about the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_the_second_time_was_not_refused_the_first() {
    let tried = AGAIN.iter().map(|(name, requests)| async move {
        let lab = Lab::start().await;
        let shop = Shop::keeping(&lab, name, CardKept::UntilAnswer).await;
        let last = requests.last().unwrap();
        for second in ["throttled", "maintenance"] {
            shop.fault(last, "closed-booked").await;
            shop.fault(last, second).await;
            let done = charge(&shop).await;
            assert_eq!(booked(&shop, &done).await, 1, "{name} {second}");
            // Stripe says of too many requests that the same one may come again.
            let again = *name == "stripe" && second == "throttled";
            match done.outcome {
                Outcome::Approved(_) => assert!(again, "{name} {second}"),
                Outcome::Unknown(_) => assert!(!again, "{name} {second}"),
                other => panic!("{name} {second}: {other:?}"),
            }
        }
    });
    futures_util::future::join_all(tried).await;
}

/// Without the setting, and of what has no card in it, a request goes out once, whatever the acquirer could do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_out_twice_unasked() {
    let tried = Kind::all().filter(|kind| kind.needs_endpoint());
    let tried = tried.map(|kind| async move {
        let name = kind.name();
        let request = match name {
            "gmo" => "ExecTran",
            "hyperswitch" => "payments",
            "kuroneko" => "credit",
            "sbps" => "ST01-00111-101",
            "veritrans" => "Authorize",
            "zeus" => "payment",
            _ => AGAIN
                .iter()
                .find(|row| row.0 == name)
                .unwrap()
                .1
                .last()
                .unwrap(),
        };
        let may = AGAIN.iter().any(|row| row.0 == name);
        for kept in [CardKept::UntilSent, CardKept::UntilAnswer] {
            if may && kept == CardKept::UntilAnswer {
                continue;
            }
            let lab = Lab::start().await;
            let shop = Shop::keeping(&lab, name, kept).await;
            for fault in ["closed-unbooked", "closed-booked"] {
                shop.fault(request, fault).await;
                let done = charge(&shop).await;
                assert_eq!(word(&done.outcome), "unknown: NoReply", "{name} {fault}");
                assert!(booked(&shop, &done).await <= 1, "{name} {fault}");
            }
        }
        if name != "stripe" && name != "adyen" {
            return;
        }
        // Behind the call there is no card, and the person who asks is there to ask again.
        let lab = Lab::start().await;
        let shop = Shop::keeping(&lab, name, CardKept::UntilAnswer).await;
        let paid = charge(&shop).await;
        let request = if name == "adyen" {
            "reversals"
        } else {
            "refunds"
        };
        shop.fault(request, "closed-booked").await;
        let refund = shop.intent(OperationKind::Refund, 1500, Some(&paid));
        let refund = shop.run(refund, None).await;
        assert_eq!(word(&refund.outcome), "unknown: NoReply", "{name}");
    });
    futures_util::future::join_all(tried).await;
}
