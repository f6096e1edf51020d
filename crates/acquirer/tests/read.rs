//! What connectors read is total: whatever an endpoint sends, there is an outcome, and an approval only where the contract has one.
//! `generic::read` by itself, and `step` of every connector. The fuzz targets `acquirer_reply_*` drive the same functions.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::{Duration, Instant};

use any::Answer;
use ivrpay_acquirer::{Heard, Kind, Reply, generic};
use ivrpay_payment::{
    AcquirerOrder, Brand, Currency, IdempotencyKey, Intent, Money, OperationId, OperationKind,
    Outcome, PaymentId, Plan, Truncated,
};
use proptest::prelude::*;

fn intent() -> Intent {
    let id = "0193a1b2-0000-7000-8000-000000000001";
    Intent {
        payment_id: id.parse::<PaymentId>().unwrap(),
        operation_id: id.parse::<OperationId>().unwrap(),
        kind: OperationKind::Charge,
        amount: Money::new(1500, Currency::Jpy).unwrap(),
        card: Truncated::new(Brand::Visa, [1, 1, 1, 1]).unwrap(),
        idempotency_key: id.parse::<IdempotencyKey>().unwrap(),
        acquirer_order: AcquirerOrder::new(1).unwrap(),
        order: None,
        operator: None,
        plan: Plan::LumpSum,
        token: None,
        parent: None,
    }
}

/// Values as an endpoint might put them where an id or a code belongs.
fn value() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "[ -~]{0,20}".prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        Just(serde_json::json!({"a": [1]})),
    ]
}

proptest! {
    #[test]
    fn any_bytes_give_an_outcome(status in any::<u16>(), body in prop::collection::vec(any::<u8>(), 0..300)) {
        let outcome = generic::read(&intent(), &Reply::new(status, body));
        prop_assert!(!matches!(outcome, Outcome::Approved(_)));
    }

    #[test]
    fn approved_only_by_200_with_a_charge_and_no_error(
        status in prop_oneof![Just(200_u16), 100..600_u16],
        charge_id in value(),
        error_code in value(),
        amount in prop_oneof![Just(serde_json::Value::from(1500)), value()],
    ) {
        let body = serde_json::json!({"charge_id": charge_id, "error_code": error_code, "parameters": {"amount": amount}});
        let outcome = generic::read(&intent(), &Reply::new(status, serde_json::to_vec(&body).unwrap()));
        if let Outcome::Approved(approval) = &outcome {
            prop_assert_eq!(status, 200);
            prop_assert!(error_code.is_null());
            prop_assert_eq!(
                approval.acquirer_ref.as_str(),
                charge_id.as_str().map_or_else(|| charge_id.to_string(), String::from)
            );
        }
        if !charge_id.is_null() {
            prop_assert!(!matches!(outcome, Outcome::Declined(_) | Outcome::NotCharged(_)), "a charge is there");
        }
    }
}

mod any;

/// Those that read answers.
fn names() -> impl Iterator<Item = &'static str> {
    Kind::all().map(Kind::name).filter(|name| *name != "null")
}

/// Answers that a document calls good, and others: `fuzz/seeds/acquirer_reply_NAME`.
fn corpus(name: &str) -> Vec<(String, Answer)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds");
    let files = std::fs::read_dir(format!("{folder}/acquirer_reply_{name}")).unwrap();
    let mut all: Vec<_> = files
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, Answer::read(&std::fs::read(&path).unwrap()).unwrap())
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Each file's name begins with what comes of it: without answers that are a yes the rest would prove nothing.
#[test]
fn the_corpus_is_read_as_its_names_say() {
    for name in names() {
        let corpus = corpus(name);
        assert!(
            corpus.iter().any(|(file, _)| file.starts_with("approved")),
            "{name}"
        );
        for (file, answer) in corpus {
            let said = match any::check(name, &answer) {
                Some(Outcome::Approved(_)) => "approved",
                Some(Outcome::Declined(_)) => "declined",
                Some(Outcome::NotCharged(_)) => "not-charged",
                Some(Outcome::Unknown(_)) => "unknown",
                None => "goes-on",
            };
            assert!(file.starts_with(said), "{name}: {file} is {said}");
        }
    }
}

/// Under [`any::HMAC_KEY`]; computed by openssl 3.
const SIGNED: &str = r#"{"live":"false","notificationItems":[{"NotificationRequestItem":{"additionalData":{"hmacSignature":
"A59KSGl114udC/xsVRXSdhcUxr6L2rGc8//7dt5lAXE="},"amount":{"currency":"JPY","value":1500},"eventCode":"AUTHORISATION",
"eventDate":"2026-04-01T12:00:00+09:00","merchantAccountCode":"Shop","merchantReference":"17954352000001234","paymentMethod":"visa",
"pspReference":"993617895204576J","reason":"033899:1111:03/2030","success":"true"}}]}"#;

fn signed_fields(message: &[u8]) -> Vec<String> {
    let message: serde_json::Value = serde_json::from_slice(message).unwrap();
    let item = &message["notificationItems"][0]["NotificationRequestItem"];
    let names = [
        "/pspReference",
        "/originalReference",
        "/merchantAccountCode",
        "/merchantReference",
        "/amount/value",
        "/amount/currency",
        "/eventCode",
        "/success",
    ];
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let of = |name: &&str| {
        let value = item.pointer(name).cloned().unwrap_or_default();
        text(&value).unwrap_or_else(|| value.to_string())
    };
    names.iter().map(of).collect()
}

/// Without it the two below would prove nothing.
#[test]
fn a_signed_message_is_read() {
    let heard = any::hook("adyen", SIGNED.as_bytes()).unwrap();
    assert!(matches!(&heard[..], [Heard::Notice(notice)] if notice.event == "AUTHORISATION"));
}

fn answer() -> impl Strategy<Value = Answer> {
    let body = prop::collection::vec(any::<u8>(), 0..300);
    let status = prop_oneof![3 => Just(200_u16), 1 => Just(201), 1 => any::<u16>()];
    (0..9_u8, 0..9_u8, 0..9_u8, 0..12_u8, status, body).prop_map(
        |(kind, about, stage, reference, status, body)| Answer {
            kind,
            about,
            stage,
            reference,
            status,
            body,
        },
    )
}

/// What `make bench` prints of it.
#[test]
#[ignore = "a measurement: scripts/bench runs it"]
#[allow(clippy::print_stdout, reason = "a measurement")]
fn speed_of_building_and_reading() {
    const ROUNDS: usize = 2_000;
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e6
    };
    let card = any::card();
    for name in names() {
        let connector = any::connector(name);
        let corpus = corpus(name);
        let (_, approval) = corpus
            .iter()
            .find(|(file, answer)| file.starts_with("approved") && answer.kind <= 1)
            .unwrap();
        let opened = corpus.iter().find(|(file, _)| file == "goes-on-entry");
        let opened = opened.map(|(_, answer)| Reply::new(answer.status, answer.body.clone()));
        let (mut built, mut read) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let at = Instant::now();
            any::build(connector.as_ref(), opened.as_ref(), &card);
            built.push(at.elapsed());
            let at = Instant::now();
            let outcome = any::read(connector.as_ref(), approval, &card);
            read.push(at.elapsed());
            assert!(matches!(outcome, Some(Outcome::Approved(_))));
        }
        println!(
            "connector {name}: {:.1} us to make the request with the card, {:.1} us to read the approval; medians of {ROUNDS}",
            median(built),
            median(read)
        );
    }
}

proptest! {
    /// Any bytes, at every stage of every operation of every connector.
    #[test]
    fn any_bytes_end_or_ask_on(answer in answer()) {
        for name in names() {
            any::check(name, &answer);
        }
    }

    /// Any bytes where webhooks come in: nobody has signed them.
    #[test]
    fn any_bytes_are_no_message(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for name in names() {
            let heard = any::hook(name, &bytes);
            prop_assert!(heard.is_none_or(|heard| heard.is_empty()));
        }
    }

    /// And bytes that are nearly those of a signed message: what is read of it is what was signed.
    #[test]
    fn a_message_is_read_as_it_was_signed(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut message = SIGNED.as_bytes().to_vec();
        for (at, byte) in &changes {
            let at = at.index(message.len());
            message[at] = *byte;
        }
        if any::hook("adyen", &message).is_some_and(|heard| !heard.is_empty()) {
            prop_assert_eq!(signed_fields(&message), signed_fields(SIGNED.as_bytes()));
        }
    }

    /// The same of answers that are nearly right: a few bytes are others, or the place is another one.
    #[test]
    fn a_changed_answer_is_approved_only_by_the_document_s_word(
        at in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        place in prop::option::of((0..9_u8, 0..9_u8, 0..9_u8, 0..12_u8)),
    ) {
        for name in names() {
            let corpus = corpus(name);
            let mut answer = at.get(&corpus).1.clone();
            for (at, byte) in &changes {
                let at = at.index(answer.body.len());
                answer.body[at] = *byte;
            }
            if let Some((kind, about, stage, reference)) = place {
                answer = Answer { kind, about, stage, reference, ..answer };
            }
            any::check(name, &answer);
        }
    }
}
